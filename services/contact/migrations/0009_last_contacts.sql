-- runs from: 6
-- The latest contact on a channel, whenever it was told: one probe for each channel that a person
-- used, and no upkeep but for the events that count.
CREATE INDEX event_last_contact ON event (contact_id, tenant_id, channel, occur_time, event_id)
  WHERE type IN ('service_contact', 'offer_response') AND channel <> '';
