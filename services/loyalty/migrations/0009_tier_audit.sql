-- No "runs from": an older program would count a refund of an event off the tier, and leave here what it
-- counts.
-- What an event counts for the tier is kept net of what was refunded. Counted events are found by their
-- contact, for the audit.
DO $net$
BEGIN
  PERFORM set_config('clm.tenant', '*', true);
  UPDATE fact SET counted = CASE
    WHEN counted = amount_minor THEN counted - refunded_minor
    WHEN refunded_minor = amount_minor THEN 0
    ELSE counted
  END WHERE refunded_minor > 0 AND counted > 0;
END $net$;
CREATE INDEX fact_counted ON fact (contact_id, program_id, tenant_id) WHERE counted > 0;

-- Programmes whose tiers were changed, until all their members have been looked at: those up to `after`
-- have.
CREATE TABLE tier_sweep (
  tenant_id  text NOT NULL,
  program_id text NOT NULL,
  version    bigint NOT NULL,  -- Of the programme.
  after      uuid NOT NULL,
  PRIMARY KEY (tenant_id, program_id)
);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['tier_sweep'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
