-- No "runs from": an older program would hear of an erasure and leave that the member was picked.
-- What an event was, so that what members spent can be told. Of events from before this nobody knows: they are
-- no purchases.
ALTER TABLE fact
  ADD COLUMN event_type text NOT NULL DEFAULT '',
  ADD COLUMN currency   text NOT NULL DEFAULT '';
CREATE INDEX fact_purchase ON fact (contact_id, program_id, tenant_id, occur_time) WHERE amount_minor > 0;

-- Points for the best members as a group. Whoever gives some of them shares a lock on the run, and whoever
-- stops it waits for that: nothing is given afterwards.
CREATE TABLE bonus_run (
  tenant_id     text NOT NULL,
  program_id    text NOT NULL,
  id            uuid NOT NULL,  -- By time.
  body          bytea NOT NULL,  -- A clm.loyalty.v1.BonusRun: what was asked for.
  state         smallint NOT NULL CHECK (state BETWEEN 1 AND 5),
  as_of         timestamptz NOT NULL,
  created_by    text NOT NULL,
  members       bigint NOT NULL,  -- Looked at.
  eligible      bigint NOT NULL,
  qualified     bigint NOT NULL,
  granted       bigint NOT NULL,
  merged        bigint NOT NULL,
  refused       bigint NOT NULL,
  -- How far it is in its state: the last member by contact id while it collects, by spend and contact after.
  place_contact uuid,
  place_spend   bigint NOT NULL,
  place_count   bigint NOT NULL,  -- How many were ranked up to there,
  place_rank    bigint NOT NULL,  -- and the rank of the last of them.
  create_time   timestamptz NOT NULL,
  end_time      timestamptz,
  version       bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id)
) WITH (fillfactor = 70);
CREATE INDEX bonus_run_open ON bonus_run (tenant_id, program_id, id) WHERE state <= 3;

-- Who meets the criteria of a run, the figures by which they do, and what became of it.
CREATE TABLE bonus_member (
  tenant_id     text NOT NULL,
  program_id    text NOT NULL,
  run_id        uuid NOT NULL,
  contact_id    uuid NOT NULL,
  state         smallint NOT NULL CHECK (state BETWEEN 0 AND 4),  -- 0: not ranked yet.
  tier          text NOT NULL,
  spend_minor   bigint NOT NULL,
  purchases     bigint NOT NULL,
  last_purchase timestamptz,
  rank          bigint NOT NULL,
  posted_for    uuid,  -- Whose posting it made, and which.
  posting       bigint,
  refusal       text NOT NULL,
  PRIMARY KEY (tenant_id, program_id, run_id, contact_id),
  CHECK ((posting IS NOT NULL) = (state = 2))
) WITH (fillfactor = 70);
CREATE INDEX bonus_member_best ON bonus_member (tenant_id, program_id, run_id, spend_minor, contact_id);
CREATE INDEX bonus_member_person ON bonus_member (contact_id, tenant_id);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['bonus_run', 'bonus_member'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
