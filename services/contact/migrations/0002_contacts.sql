-- People. The primary key is time-ordered (UUIDv7), so inserts go to the end of the index; nothing
-- that changes often is indexed, so updates stay on their page.
CREATE TABLE contact (
  tenant_id    text NOT NULL,
  id           uuid NOT NULL,
  status       smallint NOT NULL,
  email        text NOT NULL DEFAULT '',
  phone        text NOT NULL DEFAULT '',
  given_name   text NOT NULL DEFAULT '',
  family_name  text NOT NULL DEFAULT '',
  locale       text NOT NULL DEFAULT '',
  timezone     text NOT NULL DEFAULT '',
  external_ids jsonb NOT NULL DEFAULT '{}',
  attributes   jsonb NOT NULL DEFAULT '{}',
  source       text NOT NULL DEFAULT '',
  merged_into  uuid,  -- An alias of that contact; flat: never an alias of an alias.
  create_time  timestamptz NOT NULL,
  update_time  timestamptz NOT NULL,
  version      bigint NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 90);

-- The ids under which a contact was known before merges: contact.merged_into the other way round, as
-- a table of its own so that looking them up has one index to choose from.
CREATE TABLE contact_alias (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  alias_id   uuid NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, alias_id)
);

-- Who has an address or an id: what makes them unique across shards. A contact may have more of
-- them than its row shows (a second e-mail address after a merge).
CREATE TABLE contact_identifier (
  tenant_id  text NOT NULL,
  type       text NOT NULL,  -- 'email', 'phone' or the type of an external id.
  value      text NOT NULL,  -- Normal form.
  contact_id uuid NOT NULL,
  first_seen timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, type, value)
);
-- The tenant last, here and in other indexes that are not unique: a planner without statistics must
-- not take them for a way to look up by the other keys of the tenant.
CREATE INDEX contact_identifier_contact ON contact_identifier (contact_id, tenant_id);

-- Salted hashes of the identifiers of erased people: they must not come back by an import.
CREATE TABLE tombstone (
  tenant_id  text NOT NULL,
  hash       bytea NOT NULL,
  erase_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, hash)
);

CREATE TABLE attribute_definition (
  tenant_id    text NOT NULL,
  id           text NOT NULL,
  type         smallint NOT NULL,
  display_name text NOT NULL,
  enum_values  text[] NOT NULL,
  personal     boolean NOT NULL,
  create_time  timestamptz NOT NULL,
  version      bigint NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

-- What a change of a contact set its attributes to: one row per change, not per attribute.
CREATE TABLE attribute_change (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  version    bigint NOT NULL,
  set_time   timestamptz NOT NULL,
  actor      text NOT NULL,
  source     text NOT NULL,
  changes    jsonb NOT NULL,  -- {"plan": ["STRING", "pro"], "score": null}
  PRIMARY KEY (tenant_id, contact_id, version)
);

CREATE TABLE merge (
  tenant_id     text NOT NULL,
  merge_id      uuid NOT NULL,
  primary_id    uuid NOT NULL,
  duplicate_id  uuid NOT NULL,
  filled_fields text[] NOT NULL,
  merge_time    timestamptz NOT NULL,
  actor         text NOT NULL,
  PRIMARY KEY (tenant_id, merge_id)
);

-- What people did. The order of the primary key is that of a timeline.
CREATE TABLE event (
  tenant_id    text NOT NULL,
  contact_id   uuid NOT NULL,
  occur_time   timestamptz NOT NULL,
  event_id     uuid NOT NULL,
  type         text NOT NULL,
  receive_time timestamptz NOT NULL,
  amount_minor bigint,
  currency     text NOT NULL DEFAULT '',
  quantity     bigint,
  channel      text NOT NULL DEFAULT '',
  source       text NOT NULL DEFAULT '',
  properties   jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (tenant_id, contact_id, occur_time, event_id)
);
CREATE UNIQUE INDEX event_once ON event (tenant_id, event_id);

CREATE TABLE acquisition_cost (
  tenant_id    text NOT NULL,
  id           uuid NOT NULL,
  contact_id   uuid,
  source       text NOT NULL,
  start_date   date NOT NULL,
  end_date     date NOT NULL,
  amount_minor bigint NOT NULL,
  currency     text NOT NULL,
  create_time  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE topic (
  tenant_id    text NOT NULL,
  id           text NOT NULL,
  display_name text NOT NULL,
  channel      text NOT NULL,
  opt_in       smallint NOT NULL,
  create_time  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE subscription (
  tenant_id    text NOT NULL,
  contact_id   uuid NOT NULL,
  topic        text NOT NULL,
  state        smallint NOT NULL,
  change_time  timestamptz NOT NULL,
  explicit_act boolean NOT NULL,
  actor        text NOT NULL,
  source       text NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, topic)
);

-- Insert only.
CREATE TABLE consent_act (
  tenant_id    text NOT NULL,
  contact_id   uuid NOT NULL,
  act_id       uuid NOT NULL,
  purpose      text NOT NULL,
  channel      text NOT NULL,
  state        smallint NOT NULL,
  act_time     timestamptz NOT NULL,
  expire_time  timestamptz NOT NULL,
  legal_basis  text NOT NULL,
  source       text NOT NULL,
  text_version text NOT NULL,
  actor        text NOT NULL,
  record_time  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, act_id)
);

-- Found by the salted hash, so that a row without its address still stops a message.
CREATE TABLE suppression (
  tenant_id   text NOT NULL,
  channel     text NOT NULL,
  hash        bytea NOT NULL,
  address     text NOT NULL,  -- Empty for the erased.
  reason      smallint NOT NULL,
  create_time timestamptz NOT NULL,
  actor       text NOT NULL,
  PRIMARY KEY (tenant_id, channel, hash)
);
CREATE INDEX suppression_recorded ON suppression (tenant_id, create_time, channel, hash);

CREATE TABLE duplicate_candidate (
  tenant_id    text NOT NULL,
  contact_id   uuid NOT NULL,
  duplicate_id uuid NOT NULL,
  score        smallint NOT NULL,
  reasons      text[] NOT NULL,
  find_time    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, contact_id, duplicate_id)
);

CREATE TABLE import_job (
  tenant_id       text NOT NULL,
  id              uuid NOT NULL,
  display_name    text NOT NULL,
  format          smallint NOT NULL,
  kind            smallint NOT NULL,
  columns         jsonb NOT NULL,
  key             text NOT NULL,
  source          text NOT NULL,
  topic           text NOT NULL,
  currency        text NOT NULL,
  validate_only   boolean NOT NULL,
  state           smallint NOT NULL,
  content_hash    bytea NOT NULL,
  read_count      bigint NOT NULL DEFAULT 0,
  created_count   bigint NOT NULL DEFAULT 0,
  updated_count   bigint NOT NULL DEFAULT 0,
  unchanged_count bigint NOT NULL DEFAULT 0,
  failed_count    bigint NOT NULL DEFAULT 0,
  size_bytes      bigint NOT NULL DEFAULT 0,
  done_bytes      bigint NOT NULL DEFAULT 0,
  error_code      int NOT NULL DEFAULT 0,
  error_message   text NOT NULL DEFAULT '',
  actor           text NOT NULL,
  owner           uuid,  -- The process that runs it, while its lease lasts.
  lease_until     timestamptz NOT NULL DEFAULT '-infinity',
  create_time     timestamptz NOT NULL,
  end_time        timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX import_job_open ON import_job (create_time) WHERE state IN (1, 2);

CREATE TABLE import_chunk (
  tenant_id text NOT NULL,
  job_id    uuid NOT NULL,
  seq       int NOT NULL,
  data      bytea NOT NULL,
  PRIMARY KEY (tenant_id, job_id, seq)
);

CREATE TABLE import_error (
  tenant_id text NOT NULL,
  job_id    uuid NOT NULL,
  row       bigint NOT NULL,
  field     text NOT NULL,
  reason    text NOT NULL,
  PRIMARY KEY (tenant_id, job_id, row, field)
);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['contact', 'contact_alias', 'contact_identifier', 'tombstone', 'attribute_definition',
      'attribute_change', 'merge', 'event', 'acquisition_cost', 'topic', 'subscription',
      'consent_act', 'suppression', 'duplicate_candidate', 'import_job', 'import_chunk',
      'import_error'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format($p$CREATE POLICY tenant ON %I USING (
      tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
      OR (SELECT current_setting('clm.tenant')) = '*')$p$, t);
  END LOOP;
END $$;
