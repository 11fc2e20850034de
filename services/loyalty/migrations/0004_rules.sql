-- How the member stands in the tiers; see tiers.h.
ALTER TABLE member
  ADD COLUMN tier           text NOT NULL DEFAULT '',  -- By the basis; '': none.
  ADD COLUMN tier_since     timestamptz NOT NULL DEFAULT '-infinity',
  ADD COLUMN tier_expires   timestamptz,
  ADD COLUMN tier_short     timestamptz,               -- Since when the basis is short of it.
  ADD COLUMN manual_tier    text NOT NULL DEFAULT '',
  ADD COLUMN manual_until   timestamptz,
  ADD COLUMN tier_due       timestamptz NOT NULL DEFAULT 'infinity',  -- When to look again.
  ADD COLUMN tier_warned    timestamptz NOT NULL DEFAULT '-infinity'; -- Of which loss of the tier.
CREATE INDEX member_tier_due ON member (tier_due) WHERE tier_due < 'infinity';

-- What counts for the tier of a member: sums, each of what came at `at` or later, and before the next
-- one. `at` is the start of a local day, or the last change of tier.
CREATE TABLE tier_basis (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  program_id text NOT NULL,
  at         timestamptz NOT NULL,
  value      bigint NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, program_id, at)
);

-- What members have earned by rules with caps, net, in periods of the caps.
CREATE TABLE earn_count (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  program_id text NOT NULL,
  rule_id    text NOT NULL,
  period     smallint NOT NULL,
  start      timestamptz NOT NULL,
  points     bigint NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, program_id, rule_id, period, start)
) WITH (fillfactor = 85);

-- Events of customers that earned something or count for tiers: for ever, so that none does twice. The
-- arrays are one element for each rule that gave points.
CREATE TABLE fact (
  tenant_id      text NOT NULL,
  program_id     text NOT NULL,
  id             uuid NOT NULL,
  contact_id     uuid NOT NULL,
  occur_time     timestamptz NOT NULL,
  amount_minor   bigint NOT NULL,
  counted        bigint NOT NULL,  -- For the tier, as long as nothing of it was refunded.
  refunded_minor bigint NOT NULL CHECK (refunded_minor BETWEEN 0 AND amount_minor),
  rules          text[] NOT NULL,
  wallets        text[] NOT NULL,
  numbers        bigint[] NOT NULL,  -- Of the postings.
  lots           uuid[] NOT NULL,
  points         bigint[] NOT NULL,
  PRIMARY KEY (tenant_id, program_id, id)
) WITH (fillfactor = 90);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['tier_basis', 'earn_count', 'fact'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
