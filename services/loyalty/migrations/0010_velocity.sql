-- What velocity limits have counted: of each subject and limit the last period in which there was something.
-- The subject is a contact, or the keyed hash of an identifier.
CREATE TABLE velocity_count (
  tenant_id  text NOT NULL,
  program_id text NOT NULL,
  kind       smallint NOT NULL,
  subject    uuid NOT NULL,
  limit_id   text NOT NULL,
  start      timestamptz NOT NULL,
  requests   bigint NOT NULL,
  points     bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, kind, subject, limit_id)
) WITH (fillfactor = 85);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['velocity_count'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
