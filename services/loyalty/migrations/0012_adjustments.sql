-- No "runs from": an older program would hear of an erasure or a merge and leave the person's proposals as
-- they are.
-- Corrections of balances that one person proposes and another one decides about. Under the shard of the
-- member's contact, and under their own besides.
CREATE TABLE adjustment (
  tenant_id     text NOT NULL,
  program_id    text NOT NULL,
  id            uuid NOT NULL,  -- By time.
  contact_id    uuid,  -- Whose balance; none any more when the person was erased.
  member_erased boolean NOT NULL DEFAULT false,
  wallet_id     text NOT NULL,
  amount        bigint NOT NULL CHECK (amount <> 0),
  expiry        text NOT NULL,
  reason        text NOT NULL,
  state         smallint NOT NULL CHECK (state BETWEEN 1 AND 3),  -- Proposed, approved, rejected.
  proposed_by   text NOT NULL,
  propose_time  timestamptz NOT NULL,
  lapse_time    timestamptz NOT NULL,
  decided_by    text NOT NULL,
  decide_time   timestamptz,
  reject_reason text NOT NULL,
  posted_for    uuid,  -- Whose posting it made, and which.
  posting       bigint,
  version       bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id),
  CHECK ((posting IS NOT NULL) = (state = 2))
) WITH (fillfactor = 85);
CREATE INDEX adjustment_open ON adjustment (tenant_id, program_id, id) WHERE state = 1;
CREATE INDEX adjustment_person ON adjustment (contact_id, tenant_id, program_id, id)
  WHERE contact_id IS NOT NULL;

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['adjustment'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
