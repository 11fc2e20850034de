-- What customers say in public, and whether it may be shared. A review stays under the journal shard under
-- which it was recorded.
CREATE TABLE review (
  tenant_id      text NOT NULL,
  id             uuid NOT NULL,
  shard          smallint NOT NULL,
  contact_id     uuid,  -- NULL: not known, or erased.
  contact_erased boolean NOT NULL,
  kind           smallint NOT NULL,
  state          smallint NOT NULL,
  permission     smallint NOT NULL,
  publishable    boolean NOT NULL,
  platform       text NOT NULL,
  rating         smallint NOT NULL,  -- 0: not said.
  create_time    timestamptz NOT NULL,
  update_time    timestamptz NOT NULL,
  body           bytea NOT NULL,  -- A clm.feedback.v1.Review.
  version        bigint NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 85);
CREATE INDEX review_time ON review (tenant_id, create_time, id);
CREATE INDEX review_person ON review (contact_id, tenant_id, create_time, id)
  WHERE contact_id IS NOT NULL;

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['review'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
