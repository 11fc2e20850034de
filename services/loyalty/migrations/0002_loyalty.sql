CREATE TABLE program (
  tenant_id   text NOT NULL,
  id          text NOT NULL,
  body        bytea NOT NULL,  -- A clm.loyalty.v1.Program: what callers set.
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  version     bigint NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE member (
  tenant_id   text NOT NULL,
  program_id  text NOT NULL,
  contact_id  uuid NOT NULL,
  enrol_time  timestamptz NOT NULL,
  merged_into uuid,  -- The contact became that one; flat: never an alias of an alias.
  erased      boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, program_id, contact_id)
);
CREATE INDEX member_contact ON member (contact_id, tenant_id);
CREATE INDEX member_alias ON member (merged_into, tenant_id) WHERE merged_into IS NOT NULL;

-- Which contacts became which, as the contact service told; flat. What the member had moves under the
-- locks of both, after this was written.
CREATE TABLE contact_alias (
  tenant_id   text NOT NULL,
  contact_id  uuid NOT NULL,
  merged_into uuid NOT NULL,
  moved       boolean NOT NULL,
  PRIMARY KEY (tenant_id, contact_id)
);
CREATE INDEX contact_alias_to_move ON contact_alias (tenant_id, contact_id) WHERE NOT moved;
CREATE INDEX contact_alias_of ON contact_alias (merged_into, tenant_id);

-- What a member has of one kind of points: running totals of the postings. The checks are the last
-- line: rules refuse before.
CREATE TABLE wallet (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  program_id text NOT NULL,
  wallet_id  text NOT NULL,
  active     bigint NOT NULL CHECK (active >= 0),
  pending    bigint NOT NULL CHECK (pending >= 0),
  held       bigint NOT NULL CHECK (held >= 0),
  debt       bigint NOT NULL CHECK (debt >= 0),
  earned     bigint NOT NULL CHECK (earned >= 0),
  redeemed   bigint NOT NULL CHECK (redeemed >= 0),
  expired    bigint NOT NULL CHECK (expired >= 0),
  returned   bigint NOT NULL CHECK (returned >= 0),
  adjusted   bigint NOT NULL,
  transferred bigint NOT NULL,
  postings   bigint NOT NULL,  -- How many there are: the number of the last one.
  PRIMARY KEY (tenant_id, contact_id, program_id, wallet_id),
  CHECK (debt = 0 OR active = 0)
) WITH (fillfactor = 85);

-- Points that were earned together and expire together.
CREATE TABLE lot (
  tenant_id     text NOT NULL,
  contact_id    uuid NOT NULL,
  program_id    text NOT NULL,
  wallet_id     text NOT NULL,
  id            uuid NOT NULL,
  posting_id    uuid NOT NULL,  -- That made it.
  earned        bigint NOT NULL CHECK (earned > 0),
  remaining     bigint NOT NULL CHECK (remaining >= 0),
  held          bigint NOT NULL CHECK (held >= 0),
  expired       bigint NOT NULL CHECK (expired >= 0),
  returned      bigint NOT NULL CHECK (returned >= 0),  -- Taken back for it, from whatever lots.
  pending       boolean NOT NULL,
  earn_time     timestamptz NOT NULL,
  activate_time timestamptz NOT NULL,
  expire_time   timestamptz NOT NULL,
  due_time      timestamptz NOT NULL,  -- When something happens to it by itself.
  PRIMARY KEY (tenant_id, contact_id, id),
  CHECK (remaining + held <= earned)
) WITH (fillfactor = 85);
-- What is due of a wallet, and the order in which its active points are spent: they are due when they
-- expire.
CREATE INDEX lot_next ON lot (contact_id, program_id, wallet_id, pending, due_time, earn_time, id,
  tenant_id) WHERE remaining > 0;
CREATE INDEX lot_due ON lot (due_time) WHERE remaining > 0 AND due_time < 'infinity';

-- Points set aside. The parts name the lots they were taken from, in the order taken.
CREATE TABLE hold (
  tenant_id    text NOT NULL,
  contact_id   uuid NOT NULL,
  program_id   text NOT NULL,
  wallet_id    text NOT NULL,
  id           uuid NOT NULL,
  amount       bigint NOT NULL CHECK (amount > 0),
  captured     bigint NOT NULL CHECK (captured >= 0 AND captured <= amount),
  state        smallint NOT NULL,  -- 1: open.
  lot_ids      uuid[] NOT NULL,
  lot_amounts  bigint[] NOT NULL,
  expire_time  timestamptz NOT NULL,
  create_time  timestamptz NOT NULL,
  end_posting  bigint,
  PRIMARY KEY (tenant_id, contact_id, id)
);
CREATE INDEX hold_open ON hold (contact_id, program_id, wallet_id, tenant_id) WHERE state = 1;
CREATE INDEX hold_due ON hold (expire_time) WHERE state = 1;

CREATE FUNCTION sums_to_zero(amounts bigint[]) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN (SELECT coalesce(sum(a), 0) = 0 FROM unnest(amounts) AS a);

-- The ledger: insert only, for ever. A row is one movement in one wallet, its entries are in the
-- arrays; what goes from member to member passes through an account of the programme, so that each
-- row is balanced by itself. No text by which a person could be known.
CREATE TABLE posting (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  program_id text NOT NULL,
  wallet_id  text NOT NULL,
  number     bigint NOT NULL,  -- Dense in its wallet.
  id         uuid NOT NULL,
  kind       smallint NOT NULL,
  amount     bigint NOT NULL,
  balance    bigint NOT NULL,  -- Active, pending and held less debt, after it.
  accounts   smallint[] NOT NULL,
  lots       uuid[] NOT NULL,  -- The nil UUID: none.
  amounts    bigint[] NOT NULL CHECK (sums_to_zero(amounts)),
  -- The posting that it undoes or goes on with, of this wallet or of one that was merged into it.
  refers_contact uuid,
  refers_number  bigint,
  peer       uuid,    -- The other member's contact.
  post_time  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, program_id, wallet_id, number),
  CHECK (cardinality(accounts) = cardinality(amounts) AND cardinality(lots) = cardinality(amounts)),
  CHECK ((refers_contact IS NULL) = (refers_number IS NULL))
);
CREATE INDEX posting_refers ON posting (refers_contact, program_id, wallet_id, refers_number,
  tenant_id) WHERE refers_contact IS NOT NULL;

-- What people said about postings; goes when the person is erased.
CREATE TABLE posting_note (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  program_id text NOT NULL,
  wallet_id  text NOT NULL,
  number     bigint NOT NULL,
  reason     text NOT NULL,
  actor      text NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, program_id, wallet_id, number)
);

-- The callers' own ids of what moved points: for ever, so that nothing counts twice. An order may both
-- earn and spend.
CREATE TABLE external_key (
  tenant_id   text NOT NULL,
  program_id  text NOT NULL,
  source      text NOT NULL,
  external_id text NOT NULL,
  kind        smallint NOT NULL,
  contact_id  uuid NOT NULL,
  wallet_id   text NOT NULL,
  number      bigint NOT NULL,
  fingerprint bytea NOT NULL,
  response    bytea NOT NULL,
  PRIMARY KEY (tenant_id, program_id, source, external_id, kind)
);
CREATE INDEX external_key_posting ON external_key (contact_id, program_id, wallet_id, number,
  tenant_id);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['program', 'member', 'contact_alias', 'wallet', 'lot', 'hold', 'posting',
                              'posting_note', 'external_key'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;

-- Nobody but the owner of the schema could change or delete a posting, not even by mistake.
DO $ledger$
DECLARE
  grantee text;
BEGIN
  FOR grantee IN
    SELECT DISTINCT pg_get_userbyid(a.grantee) FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'posting'::regclass AND a.grantee NOT IN (0, c.relowner) LOOP
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON posting FROM %I', grantee);
  END LOOP;
END $ledger$;
