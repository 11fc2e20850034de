-- What is asked, as it is now.
CREATE TABLE survey (
  tenant_id   text NOT NULL,
  id          text NOT NULL,
  state       smallint NOT NULL,
  version     int NOT NULL,     -- Of the questions; 0: a draft.
  body        bytea NOT NULL,   -- A clm.feedback.v1.Survey: what callers set.
  retired     bytea NOT NULL,   -- A Survey with the questions that some version had and this has not.
  response_limit bigint NOT NULL,
  triggered   boolean NOT NULL, -- In progress, and something that people do invites them.
  start_time  timestamptz,      -- First start.
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  row_version bigint NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX survey_triggered ON survey (tenant_id) WHERE triggered;

-- As it was in each version that people were asked.
CREATE TABLE survey_version (
  tenant_id text NOT NULL,
  survey_id text NOT NULL,
  version   int NOT NULL,
  body      bytea NOT NULL,
  PRIMARY KEY (tenant_id, survey_id, version)
);

CREATE TABLE feedback_settings (
  tenant_id          text NOT NULL PRIMARY KEY,
  transactional_days int NOT NULL CHECK (transactional_days >= 0),
  relational_days    int NOT NULL CHECK (relational_days >= 0),
  update_time        timestamptz NOT NULL,
  version            bigint NOT NULL
);

-- One person asked one survey, and what was answered: one row, so that a token has one answer. It is
-- changed under the lock of `shard`, which stays whoever the contact turns out to be.
CREATE TABLE invitation (
  tenant_id      text NOT NULL,
  id             uuid NOT NULL,
  shard          smallint NOT NULL,
  survey_id      text NOT NULL,
  contact_id     uuid,            -- None: the person was erased.
  state          smallint NOT NULL,
  relational     boolean NOT NULL,
  survey_version int NOT NULL,    -- 0: not displayed yet.
  drop_reason    smallint NOT NULL,
  channel        text NOT NULL,
  campaign       text NOT NULL,
  order_id       text NOT NULL,
  agent          text NOT NULL,
  subject        text NOT NULL,
  language       text NOT NULL,
  create_time    timestamptz NOT NULL,
  expire_time    timestamptz NOT NULL,
  display_time   timestamptz,
  start_time     timestamptz,
  submit_time    timestamptz,
  dismiss_time   timestamptz,
  update_time    timestamptz NOT NULL,
  day            date,            -- On which it counts, in the survey's zone; none: it does not.
  dims           text[] NOT NULL, -- By which it counts besides.
  body           bytea NOT NULL,  -- A clm.feedback.v1.Response: answers but for texts, and the moment.
  texts          bytea NOT NULL,  -- A Response with the texts, which go when the person is erased.
  rqi_numerator  bigint,
  rqi_denominator bigint CHECK (rqi_denominator > 0),
  version        bigint NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80);
CREATE INDEX invitation_contact ON invitation (contact_id, tenant_id) WHERE contact_id IS NOT NULL;
CREATE INDEX invitation_survey ON invitation (tenant_id, survey_id, create_time, id);
CREATE INDEX invitation_time ON invitation (tenant_id, create_time, id);
CREATE INDEX invitation_day ON invitation (tenant_id, survey_id, day) WHERE day IS NOT NULL;

-- How often each value was answered on a day: of a question, "" being the survey as a whole, among
-- those with one value of a dimension, "" being all. Folded with the answers, in their transactions.
CREATE TABLE score_counter (
  tenant_id   text NOT NULL,
  survey_id   text NOT NULL,
  dim         text NOT NULL,
  question_id text NOT NULL,
  day         date NOT NULL,
  dismissed   bigint NOT NULL,
  skipped     bigint NOT NULL,
  v0 bigint NOT NULL, v1 bigint NOT NULL,
  v2 bigint NOT NULL, v3 bigint NOT NULL,
  v4 bigint NOT NULL, v5 bigint NOT NULL,
  v6 bigint NOT NULL, v7 bigint NOT NULL,
  v8 bigint NOT NULL, v9 bigint NOT NULL,
  v10 bigint NOT NULL,
  PRIMARY KEY (tenant_id, survey_id, dim, question_id, day)
) WITH (fillfactor = 50);

DO $rls$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['survey', 'survey_version', 'feedback_settings', 'invitation',
                              'score_counter'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY tenant ON %I USING ('
      'tenant_id = ANY ((SELECT string_to_array(current_setting(''clm.tenant''), '',''))::text[]) '
      'OR (SELECT current_setting(''clm.tenant'')) = ''*'')', name);
  END LOOP;
END $rls$;
