-- What a change set is told with what was there before and why. The names of fields, "contact.email",
-- hold a point, which ids of attributes cannot.
ALTER TABLE attribute_change ADD COLUMN former jsonb NOT NULL DEFAULT '{}';
ALTER TABLE attribute_change ADD COLUMN reason text NOT NULL DEFAULT '';
