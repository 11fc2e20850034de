-- No "runs from": an older program would hear of a friend's purchase, or of an erasure, and do nothing.
-- The codes by which members bring others. Under the shard of the advocate's contact.
CREATE TABLE referral_code (
  tenant_id   text NOT NULL,
  program_id  text NOT NULL,
  id          uuid NOT NULL,
  contact_id  uuid,           -- The advocate's; NULL: was erased.
  code        text NOT NULL,  -- Folded.
  shown_code  text NOT NULL,
  usage_limit bigint NOT NULL,  -- 0: none.
  uses        bigint NOT NULL,
  start_time  timestamptz NOT NULL,
  expire_time timestamptz NOT NULL,
  friend_id   uuid,             -- The only one who may claim it.
  friend_only boolean NOT NULL, -- Also when that one was erased.
  revoke_time timestamptz,
  create_time timestamptz NOT NULL,
  version     bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id)
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX referral_code_code ON referral_code (code, program_id, tenant_id);
CREATE INDEX referral_code_person ON referral_code (contact_id, program_id, tenant_id)
  WHERE contact_id IS NOT NULL;
CREATE INDEX referral_code_friend ON referral_code (friend_id, tenant_id) WHERE friend_id IS NOT NULL;

-- Under the shard of the friend's contact; only advocate_id follows the advocate's.
CREATE TABLE referral (
  tenant_id         text NOT NULL,
  program_id        text NOT NULL,
  id                uuid NOT NULL,
  code_id           uuid NOT NULL,
  friend_id         uuid,  -- Contacts; NULL: was erased.
  advocate_id       uuid,
  state             smallint NOT NULL,
  end_reason        smallint NOT NULL,
  terms             bytea NOT NULL,  -- A clm.loyalty.v1.ReferralTerms: as it was claimed.
  claim_time        timestamptz NOT NULL,
  due_time          timestamptz NOT NULL,
  purchase_id       uuid,
  purchase_time     timestamptz,
  purchase_minor    bigint NOT NULL CHECK (purchase_minor >= 0),
  refunded_minor    bigint NOT NULL CHECK (refunded_minor BETWEEN 0 AND purchase_minor),
  reward_time       timestamptz,
  end_time          timestamptz,
  -- Of both: the posting, named by whose it was then, its lot, and how much it was.
  friend_member     uuid,
  friend_number     bigint NOT NULL,
  friend_lot        uuid,
  friend_points     bigint NOT NULL,
  friend_returned   bigint NOT NULL,
  advocate_member   uuid,
  advocate_number   bigint NOT NULL,
  advocate_lot      uuid,
  advocate_points   bigint NOT NULL,
  advocate_returned bigint NOT NULL,
  version           bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id)
) WITH (fillfactor = 85);
CREATE INDEX referral_friend ON referral (friend_id, tenant_id, program_id) WHERE friend_id IS NOT NULL;
CREATE INDEX referral_advocate ON referral (advocate_id, tenant_id, program_id, claim_time)
  WHERE advocate_id IS NOT NULL;
CREATE INDEX referral_due ON referral (due_time) WHERE due_time < 'infinity';

-- The first purchase of a contact in programmes with referrals, of those that qualify.
CREATE TABLE referral_purchase (
  tenant_id    text NOT NULL,
  contact_id   uuid NOT NULL,
  program_id   text NOT NULL,
  event_id     uuid NOT NULL,
  occur_time   timestamptz NOT NULL,
  amount_minor bigint NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, program_id)
);

-- What tells people apart: keyed hashes, never what was hashed.
CREATE TABLE referral_identifier (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  program_id text NOT NULL,
  hash       bytea NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, program_id, hash)
);

-- When something was claimed with which of them, by nobody in particular. Under the shard of the hash.
CREATE TABLE referral_claim (
  tenant_id  text NOT NULL,
  program_id text NOT NULL,
  hash       bytea NOT NULL,
  claim_time timestamptz NOT NULL,
  id         uuid NOT NULL,
  PRIMARY KEY (tenant_id, program_id, hash, claim_time, id)
);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['referral_code', 'referral', 'referral_purchase', 'referral_identifier',
                              'referral_claim'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
