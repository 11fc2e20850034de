-- Complaints, disputes and inquiries, and what came of them. A case stays under the journal shard of the
-- contact for whom it was opened.
CREATE TABLE feedback_case (
  tenant_id      text NOT NULL,
  id             uuid NOT NULL,
  shard          smallint NOT NULL,
  contact_id     uuid,  -- None any more when the person was erased.
  contact_erased boolean NOT NULL,
  type           smallint NOT NULL,
  state          smallint NOT NULL,
  severity       smallint NOT NULL,
  owner          text NOT NULL,
  channel        text NOT NULL,
  breached       boolean NOT NULL,  -- A clock of it was, since it was last opened.
  receive_time   timestamptz NOT NULL,
  create_time    timestamptz NOT NULL,
  update_time    timestamptz NOT NULL,
  end_time       timestamptz,           -- NULL: is open.
  due_time       timestamptz NOT NULL,  -- When a clock raises something, or points are to be granted.
  body           bytea NOT NULL,        -- A clm.feedback.v1.Case.
  version        bigint NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 85);
CREATE INDEX feedback_case_time ON feedback_case (tenant_id, create_time, id);
CREATE INDEX feedback_case_open ON feedback_case (tenant_id, create_time, id) WHERE end_time IS NULL;
CREATE INDEX feedback_case_person ON feedback_case (contact_id, tenant_id, create_time, id)
  WHERE contact_id IS NOT NULL;
CREATE INDEX feedback_case_due ON feedback_case (due_time) WHERE due_time < 'infinity';

-- What was said about a case on the way. Never changed.
CREATE TABLE case_note (
  tenant_id   text NOT NULL,
  case_id     uuid NOT NULL,
  number      bigint NOT NULL,
  id          uuid NOT NULL,
  text        text NOT NULL,
  to_customer boolean NOT NULL,
  author      text NOT NULL,
  create_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, case_id, number)
);

CREATE TABLE business_calendar (
  tenant_id   text PRIMARY KEY,
  body        bytea NOT NULL,  -- A clm.feedback.v1.BusinessCalendar.
  version     bigint NOT NULL,
  update_time timestamptz NOT NULL
);

CREATE TABLE case_policy (
  tenant_id   text PRIMARY KEY,
  body        bytea NOT NULL,  -- A clm.feedback.v1.CasePolicy.
  version     bigint NOT NULL,
  update_time timestamptz NOT NULL
);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['feedback_case', 'case_note', 'business_calendar', 'case_policy'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
