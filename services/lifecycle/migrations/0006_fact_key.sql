-- runs from: 3
-- What tells rows apart comes first: a search compares at every step, and nearly all steps compared
-- the same tenant with itself.
ALTER TABLE fact DROP CONSTRAINT fact_pkey,
  ADD PRIMARY KEY (contact_id, tenant_id, occur_time, event_id);
