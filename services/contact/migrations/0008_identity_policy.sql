-- runs from: 6
-- By which rules identifiers tell who a person is, where a tenant has changed them.
CREATE TABLE identity_policy (
  tenant_id   text PRIMARY KEY,
  policy      bytea NOT NULL,  -- clm.contact.v1.IdentityPolicy without name, time and etag.
  update_time timestamptz NOT NULL,
  version     bigint NOT NULL
);

ALTER TABLE identity_policy ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_policy FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON identity_policy USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
