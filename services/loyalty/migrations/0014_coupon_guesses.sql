-- No "runs from": an older program would hear of an erasure and leave that the member has guessed.
-- Codes that somebody has typed and that no coupon has. Whoever has tried none, or none lately, has no row.
CREATE TABLE coupon_guess (
  tenant_id  text NOT NULL,
  program_id text NOT NULL,
  guesser    text NOT NULL,  -- "member/" and the contact, or "caller/" and the actor.
  guesses    bigint NOT NULL CHECK (guesses > 0),
  until_time timestamptz NOT NULL,  -- Then they are forgotten.
  PRIMARY KEY (tenant_id, program_id, guesser)
) WITH (fillfactor = 85);
CREATE INDEX coupon_guess_until ON coupon_guess (tenant_id, until_time);

ALTER TABLE coupon_guess ENABLE ROW LEVEL SECURITY;
ALTER TABLE coupon_guess FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON coupon_guess USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
