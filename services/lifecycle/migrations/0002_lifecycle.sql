-- Grows with every change of a tenant's models or rules. Such a change holds all shards of the
-- journal, so whoever holds one reads the epoch that its fold must use.
CREATE TABLE model_epoch (
  tenant_id text PRIMARY KEY,
  epoch     bigint NOT NULL
);

-- The newest version of each stage model.
CREATE TABLE stage_model (
  tenant_id   text NOT NULL,
  id          text NOT NULL,
  version     int NOT NULL,     -- Of the model, as published.
  row_version bigint NOT NULL,  -- Behind the etag.
  preset      text NOT NULL,
  body        bytea NOT NULL,   -- clm.lifecycle.v1.StageModel.
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

-- What judged customers, and since when: model and rules together. The first also judges everything
-- before it. Every version stays, because the log of moves must be explained and folded again.
CREATE TABLE model_revision (
  tenant_id text NOT NULL,
  model_id  text NOT NULL,
  revision  int NOT NULL,
  from_time timestamptz NOT NULL,
  body      bytea NOT NULL,  -- clm.lifecycle.v1.StageModel.
  rules     bytea NOT NULL,  -- clm.lifecycle.v1.ListRulesResponse: those switched on.
  mapping   jsonb NOT NULL,  -- Stage of the revision before -> stage.
  PRIMARY KEY (tenant_id, model_id, revision)
);

-- Rules as they are now, switched on or off.
CREATE TABLE rule (
  tenant_id   text NOT NULL,
  model_id    text NOT NULL,
  id          text NOT NULL,
  body        bytea NOT NULL,  -- clm.lifecycle.v1.TransitionRule.
  row_version bigint NOT NULL,
  PRIMARY KEY (tenant_id, model_id, id)
);

-- Customers that must be folded again because a model or its rules changed: one task per model,
-- which goes through the tenant's customers in order of id and survives restarts.
CREATE TABLE model_job (
  tenant_id   text NOT NULL,
  model_id    text NOT NULL,
  job         uuid NOT NULL,  -- A later change of the model makes a new one.
  anew        boolean NOT NULL,  -- From the first fact on, not from the stored state.
  done_up_to  uuid NOT NULL,  -- Nil before the first customer.
  done_count  bigint NOT NULL,
  lease_until timestamptz NOT NULL,
  finish_time timestamptz,
  PRIMARY KEY (tenant_id, model_id)
);
CREATE INDEX model_job_open ON model_job (lease_until) WHERE finish_time IS NULL;

-- What conditions and reports need to know of a contact; nothing personal. One row per contact that
-- was ever heard of. Room on the page keeps updates HOT: no index covers what changes.
CREATE TABLE customer (
  tenant_id       text NOT NULL,
  contact_id      uuid NOT NULL,
  source          text NOT NULL,
  locale          text NOT NULL,
  status          smallint NOT NULL,  -- clm.contact.v1.Contact.Status.
  attributes      jsonb NOT NULL,     -- Now.
  initial         jsonb NOT NULL,     -- Fields as they first were, so that a fold can look back.
  create_time     timestamptz NOT NULL,
  merged_into     uuid,               -- An alias; its facts belong to that customer.
  last_event_time timestamptz,        -- Of the latest behaviour event.
  version         bigint NOT NULL,    -- Grows with each journal entry about the customer.
  PRIMARY KEY (tenant_id, contact_id)
) WITH (fillfactor = 85);

-- Everything that can move a customer, kept for ever: the log of moves is a function of this table
-- and of model_revision. Clustered by customer through its key.
CREATE TABLE fact (
  tenant_id    text NOT NULL,
  contact_id   uuid NOT NULL,
  occur_time   timestamptz NOT NULL,
  event_id     uuid NOT NULL,
  kind         smallint NOT NULL,  -- 0 behaviour event, 1 change of a field, 2 move by hand.
  type         text NOT NULL,      -- Event type, field, or model id.
  amount_minor bigint,
  currency     text,
  quantity     bigint,
  channel      text,
  properties   jsonb,
  PRIMARY KEY (tenant_id, contact_id, occur_time, event_id)
);
-- For reports over the events of a type; moves and changes of fields are read by customer only.
-- The tenant is not first, so that a planner without statistics does not look up customers by it.
CREATE INDEX fact_type ON fact (type, tenant_id, occur_time) WHERE kind = 0;

-- Where each customer is. `state` is all that a fold must remember (state_codec.h); the other columns
-- repeat parts of it for queries.
CREATE TABLE customer_stage (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  model_id   text NOT NULL,
  state      bytea NOT NULL,
  stage      text NOT NULL,      -- Empty: no stage.
  enter_time timestamptz NOT NULL,
  episode    int NOT NULL,
  overdue    boolean NOT NULL,
  due_time   timestamptz,        -- When time itself will move the customer or make it overdue.
  version    bigint NOT NULL,    -- Behind the etag; grows with each visible change.
  PRIMARY KEY (tenant_id, contact_id, model_id)
) WITH (fillfactor = 85);
-- The timers' scan, across tenants.
CREATE INDEX customer_stage_due ON customer_stage (due_time) WHERE due_time IS NOT NULL;
-- Who is in a stage, longest first.
CREATE INDEX customer_stage_board ON customer_stage (model_id, tenant_id, stage, enter_time, contact_id)
  WHERE stage <> '';

-- Every move, append-only: a move that a late fact made untrue gets a supersede_time and stays.
CREATE TABLE transition (
  tenant_id      text NOT NULL,
  contact_id     uuid NOT NULL,
  model_id       text NOT NULL,
  sequence       bigint NOT NULL,
  from_stage     text NOT NULL,
  to_stage       text NOT NULL,
  effective_time timestamptz NOT NULL,
  record_time    timestamptz NOT NULL,
  cause          smallint NOT NULL,   -- Cause of fold.h.
  direction      smallint NOT NULL,   -- Direction of transition.h.
  rule_id        text NOT NULL,
  fact_id        uuid,
  fact_type      text NOT NULL,
  actor          text NOT NULL,
  reason         text NOT NULL,
  skipped        text[] NOT NULL,
  synthetic      boolean NOT NULL,
  model_version  int NOT NULL,
  episode        int NOT NULL,
  overdue_time   timestamptz,         -- The visit that began here outlasted its target.
  supersede_time timestamptz,
  PRIMARY KEY (tenant_id, contact_id, model_id, sequence)
);
CREATE INDEX transition_time ON transition (model_id, tenant_id, effective_time);

-- Running totals of transition, kept in the same transaction; superseded moves are taken off again.
-- By shard, so that lanes do not queue for the rows of today; a report adds the shards up.
CREATE TABLE stage_day (
  tenant_id text NOT NULL,
  model_id  text NOT NULL,
  stage     text NOT NULL,
  day       date NOT NULL,  -- UTC.
  shard     smallint NOT NULL,
  entered   bigint NOT NULL,
  "left"    bigint NOT NULL,
  PRIMARY KEY (tenant_id, model_id, stage, day, shard)
) WITH (fillfactor = 85);

-- Customers that another shard's work has given facts to (events of a merged contact that came after
-- the merge); they are folded again under their own shard's lock.
CREATE TABLE refold (
  tenant_id  text NOT NULL,
  contact_id uuid NOT NULL,
  token      uuid NOT NULL,  -- Changes with every request, so that none is lost to one under way.
  PRIMARY KEY (tenant_id, contact_id)
);

-- What finding customers cost, as the contact service tells it.
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

-- KPI definitions of the insights API.
CREATE TABLE kpi (
  tenant_id   text NOT NULL,
  id          text NOT NULL,
  body        bytea NOT NULL,  -- clm.lifecycle.v1.Kpi.
  row_version bigint NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

-- The second wall between tenants. '*' is the suite itself: consumers, timers, feeds.
ALTER TABLE model_epoch ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_epoch FORCE ROW LEVEL SECURITY;
ALTER TABLE stage_model ENABLE ROW LEVEL SECURITY;
ALTER TABLE stage_model FORCE ROW LEVEL SECURITY;
ALTER TABLE model_revision ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_revision FORCE ROW LEVEL SECURITY;
ALTER TABLE rule ENABLE ROW LEVEL SECURITY;
ALTER TABLE rule FORCE ROW LEVEL SECURITY;
ALTER TABLE model_job ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_job FORCE ROW LEVEL SECURITY;
ALTER TABLE customer ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer FORCE ROW LEVEL SECURITY;
ALTER TABLE fact ENABLE ROW LEVEL SECURITY;
ALTER TABLE fact FORCE ROW LEVEL SECURITY;
ALTER TABLE customer_stage ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer_stage FORCE ROW LEVEL SECURITY;
ALTER TABLE transition ENABLE ROW LEVEL SECURITY;
ALTER TABLE transition FORCE ROW LEVEL SECURITY;
ALTER TABLE stage_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE stage_day FORCE ROW LEVEL SECURITY;
ALTER TABLE refold ENABLE ROW LEVEL SECURITY;
ALTER TABLE refold FORCE ROW LEVEL SECURITY;
ALTER TABLE acquisition_cost ENABLE ROW LEVEL SECURITY;
ALTER TABLE acquisition_cost FORCE ROW LEVEL SECURITY;
ALTER TABLE kpi ENABLE ROW LEVEL SECURITY;
ALTER TABLE kpi FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON model_epoch USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON stage_model USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON model_revision USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON rule USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON model_job USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON customer USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON fact USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON customer_stage USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON transition USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON stage_day USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON refold USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON acquisition_cost USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON kpi USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
