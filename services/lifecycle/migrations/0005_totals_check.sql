-- runs from: 3
-- When each tenant's running totals were last compared with a recount of the log, and how many
-- differed. Derived: without a row the comparison is due.
CREATE TABLE totals_check (
  tenant_id  text PRIMARY KEY,
  check_time timestamptz NOT NULL,
  differing  bigint NOT NULL
);
ALTER TABLE totals_check ENABLE ROW LEVEL SECURITY;
ALTER TABLE totals_check FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON totals_check USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
