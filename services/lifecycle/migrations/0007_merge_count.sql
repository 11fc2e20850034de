-- Grows with each merge, so that a process may remember who is there.
ALTER TABLE model_epoch ALTER COLUMN epoch SET DEFAULT 0,
  ADD COLUMN merge_count bigint NOT NULL DEFAULT 0;
