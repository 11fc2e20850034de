-- Which contacts became which, and which were erased, as the contact service told. What they had here
-- follows under the locks of all shards concerned, after this was written; `pending` until then.
CREATE TABLE contact_change (
  tenant_id   text NOT NULL,
  contact_id  uuid NOT NULL,
  merged_into uuid,  -- Flat: never an alias of an alias.
  erased      boolean NOT NULL DEFAULT false,
  pending     boolean NOT NULL,
  PRIMARY KEY (tenant_id, contact_id)
);
CREATE INDEX contact_change_pending ON contact_change (tenant_id, contact_id) WHERE pending;
CREATE INDEX contact_change_into ON contact_change (merged_into, tenant_id)
  WHERE merged_into IS NOT NULL;

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['contact_change'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
