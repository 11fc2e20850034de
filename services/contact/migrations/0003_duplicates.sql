-- The block keys of contacts, hashed: who may be the same person as whom. Written by the scan for
-- duplicates alone, behind the changes; an erase and a merge take theirs away themselves.
CREATE TABLE duplicate_key (
  tenant_id  text NOT NULL,
  key        bigint NOT NULL,
  contact_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, key, contact_id)
);
CREATE INDEX duplicate_key_contact ON duplicate_key (contact_id, tenant_id);

-- Pairs are looked up from both ends.
CREATE INDEX duplicate_candidate_other ON duplicate_candidate (duplicate_id, tenant_id);

-- How far the scan has followed the service's own journal: one row.
CREATE TABLE duplicate_scan (
  only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  offs      bigint[] NOT NULL,  -- By shard.
  rules     int NOT NULL,       -- Which version of the rules has compared them.
  scan_time timestamptz NOT NULL
);
INSERT INTO duplicate_scan (offs, rules, scan_time)
  VALUES (array_fill(0::bigint, ARRAY[64]), 0, '-infinity');

ALTER TABLE duplicate_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE duplicate_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON duplicate_key USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
