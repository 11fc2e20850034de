-- Identifiers of events that were not used, and why: for whoever looks after the senders. A sender that
-- tells nonsense tells it with every event, so events are counted.
CREATE TABLE identity_violation (
  tenant_id   text NOT NULL,
  contact_id  uuid NOT NULL,  -- Whom the events went to.
  kind        smallint NOT NULL,
  type        text NOT NULL,
  value       text NOT NULL,
  limit_type  text NOT NULL,
  profiles    uuid[] NOT NULL,
  event_id    uuid NOT NULL,  -- The latest.
  find_time   timestamptz NOT NULL,
  event_count bigint NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, kind, type, value, limit_type)
);
-- An erase removes the person's identifiers also where somebody else's events named them.
CREATE INDEX identity_violation_value ON identity_violation (value, tenant_id);

ALTER TABLE identity_violation ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_violation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON identity_violation USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
