-- No "runs from": an older program would hear of an erasure and leave whose the rewards were.
-- What is given out is what its redemptions add up to.
CREATE TABLE reward (
  tenant_id   text NOT NULL,
  program_id  text NOT NULL,
  id          text NOT NULL,
  body        bytea NOT NULL,  -- A clm.loyalty.v1.Reward: what callers set.
  archived    boolean NOT NULL,
  redeemed    bigint NOT NULL CHECK (redeemed >= 0),
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  version     bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id)
) WITH (fillfactor = 85);

CREATE TABLE reward_redemption (
  tenant_id   text NOT NULL,
  program_id  text NOT NULL,
  reward_id   text NOT NULL,
  id          uuid NOT NULL,
  contact_id  uuid,              -- As it was redeemed.
  state       smallint NOT NULL,  -- 1: redeemed, 2: cancelled.
  cost        bigint NOT NULL CHECK (cost >= 0),
  wallet_id   text NOT NULL,
  posting     bigint NOT NULL,  -- Its number in the wallet of the contact; 0: none.
  coupon_id   uuid,
  source      text NOT NULL,
  external_id text NOT NULL,
  create_time timestamptz NOT NULL,
  cancel_time timestamptz,
  version     bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, reward_id, id)
) WITH (fillfactor = 85);
CREATE INDEX reward_redemption_new ON reward_redemption (program_id, tenant_id, id);
CREATE INDEX reward_redemption_person ON reward_redemption (contact_id, tenant_id, program_id, id)
  WHERE contact_id IS NOT NULL;

-- The callers' own ids of redemptions: for ever.
CREATE TABLE reward_key (
  tenant_id     text NOT NULL,
  program_id    text NOT NULL,
  source        text NOT NULL,
  external_id   text NOT NULL,
  reward_id     text NOT NULL,
  redemption_id uuid NOT NULL,
  fingerprint   bytea NOT NULL,
  response      bytea NOT NULL,  -- Without whose it was, which is with the redemption.
  PRIMARY KEY (tenant_id, program_id, source, external_id)
);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['reward', 'reward_redemption', 'reward_key'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
