-- Tenants and the tokens that act for them. Operators' tokens have the empty tenant.
CREATE TABLE tenant (
  tenant_id    text PRIMARY KEY,
  display_name text NOT NULL,
  create_time  timestamptz NOT NULL
);

CREATE TABLE token (
  tenant_id    text NOT NULL,
  key_id       text NOT NULL,
  secret_hash  bytea NOT NULL,
  display_name text NOT NULL,
  scopes       text[] NOT NULL,
  creator      text NOT NULL,
  create_time  timestamptz NOT NULL,
  expire_time  timestamptz NOT NULL,
  revoke_time  timestamptz,
  PRIMARY KEY (tenant_id, key_id)
);
-- A caller presents the key id alone.
CREATE UNIQUE INDEX token_key ON token (key_id);
CREATE INDEX token_list ON token (tenant_id, create_time DESC, key_id DESC);

-- One row per accepted mutation: the audit record, and the answer to a repeat. Never a secret.
CREATE TABLE access_journal (
  tenant_id   text NOT NULL,
  seq         bigint GENERATED ALWAYS AS IDENTITY,
  method      text NOT NULL,
  request_id  uuid,
  fingerprint bytea NOT NULL,
  actor       text NOT NULL,
  response    bytea,
  record_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);
CREATE UNIQUE INDEX access_journal_request ON access_journal (tenant_id, method, request_id);

ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
ALTER TABLE token ENABLE ROW LEVEL SECURITY;
ALTER TABLE token FORCE ROW LEVEL SECURITY;
ALTER TABLE access_journal ENABLE ROW LEVEL SECURITY;
ALTER TABLE access_journal FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenant USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON token USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON access_journal USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
