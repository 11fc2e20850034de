-- runs from: 6
-- What tells rows apart comes first: a search compares at every step, and nearly all steps compared
-- the same tenant with itself.
ALTER TABLE event DROP CONSTRAINT event_pkey,
  ADD PRIMARY KEY (contact_id, tenant_id, occur_time, event_id);
DROP INDEX event_once;
CREATE UNIQUE INDEX event_once ON event (event_id, tenant_id);
