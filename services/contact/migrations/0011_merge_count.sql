-- No "runs from": an older program would merge contacts and not count it, and a newer one beside it
-- would take who is merged for who is there.
-- Grows with each merge, so that a process may remember who is there.
CREATE TABLE merge_count (
  tenant_id   text PRIMARY KEY,
  merge_count bigint NOT NULL
);

ALTER TABLE merge_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE merge_count FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON merge_count USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
