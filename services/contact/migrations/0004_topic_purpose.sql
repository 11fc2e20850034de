-- The purpose whose consent a message about the topic needs. Empty: none.
ALTER TABLE topic ADD COLUMN purpose text NOT NULL DEFAULT '';
