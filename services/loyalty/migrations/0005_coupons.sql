-- No "runs from": an older program would hear of an erasure and leave the person's coupons as they are.
-- What a campaign may cost, and what of it is gone: reservations count until their time is over.
CREATE TABLE coupon_budget (
  tenant_id   text NOT NULL,
  program_id  text NOT NULL,
  id          text NOT NULL,
  body        bytea NOT NULL,  -- A clm.loyalty.v1.CouponBudget: what callers set.
  uses        bigint NOT NULL CHECK (uses >= 0),
  value_minor bigint NOT NULL CHECK (value_minor >= 0),
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  version     bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id)
) WITH (fillfactor = 85);

-- The counts are sums over its uses; those whose time is over are taken off when somebody next counts.
CREATE TABLE coupon (
  tenant_id     text NOT NULL,
  program_id    text NOT NULL,
  id            uuid NOT NULL,
  code          text NOT NULL,  -- Folded.
  shown_code    text NOT NULL,
  batch         text NOT NULL,
  budget_id     text NOT NULL,  -- Empty: none.
  contact_id    uuid,           -- The only one who may use it.
  member_erased boolean NOT NULL DEFAULT false,
  body          bytea NOT NULL,  -- A clm.loyalty.v1.Coupon: what else callers set.
  used          bigint NOT NULL CHECK (used >= 0),
  reserved      bigint NOT NULL CHECK (reserved >= 0),
  value_minor   bigint NOT NULL CHECK (value_minor >= 0),
  create_time   timestamptz NOT NULL,
  update_time   timestamptz NOT NULL,
  version       bigint NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id)
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX coupon_code ON coupon (code, program_id, tenant_id);
CREATE INDEX coupon_batch ON coupon (batch, program_id, tenant_id, id) WHERE batch <> '';
CREATE INDEX coupon_person ON coupon (contact_id, tenant_id) WHERE contact_id IS NOT NULL;

CREATE TABLE coupon_use (
  tenant_id      text NOT NULL,
  program_id     text NOT NULL,
  coupon_id      uuid NOT NULL,
  id             uuid NOT NULL,
  contact_id     uuid,
  state          smallint NOT NULL,  -- 1: reserved, 3: timed out.
  currency       text NOT NULL,
  order_minor    bigint NOT NULL CHECK (order_minor >= 0),
  discount_minor bigint NOT NULL CHECK (discount_minor >= 0 AND discount_minor <= order_minor),
  value_minor    bigint NOT NULL,  -- What of the discount counts for the coupon.
  budget_id      text NOT NULL,
  budget_counted boolean NOT NULL,  -- It is among the uses of the budget.
  budget_minor   bigint NOT NULL,   -- What of the discount counts for the budget.
  source         text NOT NULL,
  external_id    text NOT NULL,
  create_time    timestamptz NOT NULL,
  expire_time    timestamptz NOT NULL,
  redeem_time    timestamptz,
  end_time       timestamptz,
  version        bigint NOT NULL,
  PRIMARY KEY (tenant_id, coupon_id, id)
) WITH (fillfactor = 85);
CREATE INDEX coupon_use_due ON coupon_use (coupon_id, tenant_id, expire_time) WHERE state = 1;
CREATE INDEX coupon_use_due_of_budget ON coupon_use (budget_id, program_id, tenant_id, expire_time)
  WHERE budget_counted AND state IN (1, 3);
CREATE INDEX coupon_use_person ON coupon_use (contact_id, tenant_id, coupon_id)
  WHERE contact_id IS NOT NULL;

-- The callers' own ids of uses: for ever, so that no order counts twice.
CREATE TABLE coupon_key (
  tenant_id   text NOT NULL,
  program_id  text NOT NULL,
  source      text NOT NULL,
  external_id text NOT NULL,
  kind        smallint NOT NULL,
  coupon_id   uuid NOT NULL,
  use_id      uuid NOT NULL,
  fingerprint bytea NOT NULL,
  response    bytea NOT NULL,  -- Without whose it was, which is with the use.
  PRIMARY KEY (tenant_id, program_id, source, external_id, kind)
);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['coupon_budget', 'coupon', 'coupon_use', 'coupon_key'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
