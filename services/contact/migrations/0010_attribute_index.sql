-- No "runs from": an older program would write the values of indexed attributes and not their rows
-- here, and filters would miss contacts from the first indexed attribute on. It cannot tell that
-- there is one, so it does not begin to run on this schema.
ALTER TABLE attribute_definition ADD COLUMN indexed boolean NOT NULL DEFAULT false;

-- Which contacts have which value of an indexed attribute; aliases are not contacts. The contact
-- last: those with one value come in the order of lists.
CREATE TABLE attribute_index (
  tenant_id    text NOT NULL,
  attribute_id text NOT NULL,
  value        text NOT NULL,  -- As in the contact's row; of a long one a hash.
  contact_id   uuid NOT NULL,
  PRIMARY KEY (value, attribute_id, tenant_id, contact_id)
);

ALTER TABLE attribute_index ENABLE ROW LEVEL SECURITY;
ALTER TABLE attribute_index FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON attribute_index USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
