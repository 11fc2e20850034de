-- runs from: 10
-- Which stages customers have entered, as the lifecycle service told it, for ever, so that no entering is
-- given its reward twice; only of tenants whose programmes look at stages.
CREATE TABLE stage_entry (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,     -- Of whom the move was told.
  model_id   text NOT NULL,
  sequence   bigint NOT NULL,   -- Of the move among those of the contact in the model.
  owner_id   uuid NOT NULL,     -- Who that is by now.
  stage_id   text NOT NULL,
  superseded boolean NOT NULL,  -- It turned out untrue.
  seen       boolean NOT NULL,  -- Rules have looked at it.
  PRIMARY KEY (tenant_id, contact_id, model_id, sequence)
);
CREATE INDEX stage_entry_owner ON stage_entry (owner_id, tenant_id);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['stage_entry'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
