-- When the member is to be warned next that the lot expires; 'infinity': no more. Null until it is
-- active, and where its wallet gives no warnings.
ALTER TABLE lot ADD COLUMN warn_time timestamptz;
CREATE INDEX lot_warn ON lot (warn_time) WHERE remaining > 0 AND warn_time < 'infinity';
