-- No "runs from": an older program would hear of an erasure or a merge and leave the person's orders as
-- they are.
-- Orders of shops, and what they earned. The order's own id is the shop's number: for ever, so that none
-- earns twice.
CREATE TABLE customer_order (
  tenant_id     text NOT NULL,
  program_id    text NOT NULL,
  id            text NOT NULL,
  contact_id    uuid,  -- Whose points it moves; none any more when the person was erased.
  member_erased boolean NOT NULL DEFAULT false,
  earned_by     uuid,  -- Whose postings those of its earnings are.
  state         smallint NOT NULL,
  currency      text NOT NULL,
  amount_minor  bigint NOT NULL CHECK (amount_minor >= 0),  -- After discounts, before tax.
  body          bytea NOT NULL,  -- A clm.loyalty.v1.Order: lines, earnings, returns.
  counted       bigint NOT NULL,  -- For the tier, net of what was taken back.
  counted_money boolean NOT NULL,
  create_time   timestamptz NOT NULL,
  update_time   timestamptz NOT NULL,
  close_time    timestamptz,  -- When it was closed first: as of then it earns.
  version       bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id)
) WITH (fillfactor = 85);
CREATE INDEX customer_order_time ON customer_order (tenant_id, program_id, create_time, id);
CREATE INDEX customer_order_person ON customer_order (contact_id, tenant_id, program_id, create_time)
  WHERE contact_id IS NOT NULL;

-- With the note, which goes when the person is erased.
ALTER TABLE posting_note ADD COLUMN order_id text NOT NULL DEFAULT '';

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['customer_order'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
