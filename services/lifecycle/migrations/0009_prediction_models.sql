-- runs from: 7
-- Models of customers' purchases, as they were fitted. They never change: what a model said can be
-- asked again.
CREATE TABLE prediction_model (
  tenant_id   text NOT NULL,
  id          text NOT NULL,
  body        bytea NOT NULL,  -- clm.lifecycle.v1.PredictionModel.
  create_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
ALTER TABLE prediction_model ENABLE ROW LEVEL SECURITY;
ALTER TABLE prediction_model FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON prediction_model USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
