-- runs from: 3
-- Which request asked for a move by hand; null for moves of other causes, and where a caller gave
-- its request no id.
ALTER TABLE transition ADD COLUMN request_id uuid;
