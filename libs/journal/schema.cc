#include "libs/journal/schema.h"

#include "absl/strings/str_cat.h"
#include "libs/journal/statements.h"

namespace clm::journal {
namespace {

constexpr char kSql[] = R"sql(
-- One row per shard. Its lock is what makes the transactions of a shard serial, so that offsets are
-- dense and in commit order. Rewritten all the time: room on the page keeps the updates HOT.
CREATE TABLE journal_head (
  shard smallint PRIMARY KEY CHECK (shard >= 0 AND shard < 64),
  off   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
INSERT INTO journal_head (shard) SELECT s FROM generate_series(0, 63) AS s;

-- Every fact: event for consumers and audit record. Insert only, and kept.
CREATE TABLE journal (
  shard       smallint NOT NULL,
  off         bigint NOT NULL,
  tenant_id   text NOT NULL,
  event_id    uuid NOT NULL,
  subject     text NOT NULL,
  type        text NOT NULL,
  event       bytea NOT NULL,  -- A serialized clm.event.v1.Event; no personal data.
  record_time timestamptz NOT NULL,
  PRIMARY KEY (shard, off)
);
ALTER TABLE journal ALTER COLUMN event SET STORAGE EXTERNAL;
CREATE INDEX journal_time ON journal USING brin (record_time);

-- The answers to requests that took effect, for repeats.
CREATE TABLE request (
  tenant_id    text NOT NULL,
  request_id   uuid NOT NULL,
  fingerprint  bytea NOT NULL,
  response     bytea NOT NULL,
  aggregate_id uuid,  -- An erase removes the answers that speak of the erased.
  create_time  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, request_id)
);
CREATE INDEX request_aggregate ON request (aggregate_id, tenant_id) WHERE aggregate_id IS NOT NULL;
-- Answers are forgotten by age. A BRIN index would be smaller, but stops to tell ages apart once rows
-- take the place of forgotten ones.
CREATE INDEX request_time ON request (create_time);

-- How far this service has applied the journals of others, and which process may go on.
CREATE TABLE consumer_shard (
  source      text NOT NULL,
  shard       smallint NOT NULL,
  off         bigint NOT NULL DEFAULT 0,
  owner       uuid,
  fence       bigint NOT NULL DEFAULT 0,
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (source, shard)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE consumer_member (
  source      text NOT NULL,
  owner       uuid NOT NULL,
  lease_until timestamptz NOT NULL,
  PRIMARY KEY (source, owner)
);

-- Events that could not be applied, and those of the same subject that wait behind them.
CREATE TABLE dead_letter (
  tenant_id     text NOT NULL,
  source        text NOT NULL,
  shard         smallint NOT NULL,
  off           bigint NOT NULL,
  event_id      uuid NOT NULL,
  subject       text NOT NULL,
  event         bytea NOT NULL,
  error_reason  text NOT NULL,
  error_message text NOT NULL,
  attempts      int NOT NULL,
  waiting       boolean NOT NULL,
  park_time     timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, source, shard, off)
);
CREATE INDEX dead_letter_subject ON dead_letter (tenant_id, source, subject);
CREATE INDEX dead_letter_shard ON dead_letter (source, shard);

ALTER TABLE journal ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal FORCE ROW LEVEL SECURITY;
ALTER TABLE request ENABLE ROW LEVEL SECURITY;
ALTER TABLE request FORCE ROW LEVEL SECURITY;
ALTER TABLE dead_letter ENABLE ROW LEVEL SECURITY;
ALTER TABLE dead_letter FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON journal USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON request USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
CREATE POLICY tenant ON dead_letter USING (
  tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
  OR (SELECT current_setting('clm.tenant')) = '*');
)sql";

// Apart from the first migration, which databases have had for long.
constexpr char kTrialSql[] = R"sql(
-- Where a consumer began to apply events after the last owner of the shard had died, and how often:
-- an event behind that offset may be what they died of.
CREATE TABLE consumer_trial (
  source text NOT NULL,
  shard  smallint NOT NULL,
  off    bigint NOT NULL,  -- Last offset applied then.
  begun  int NOT NULL,
  PRIMARY KEY (source, shard)
);
)sql";

}  // namespace

pg::Migration JournalMigration() { return {1, "0001_journal", kSql}; }

pg::Migration ConsumerMigration(int number) {
  return {number, absl::StrCat(absl::Dec(number, absl::kZeroPad4), "_consumer_trial"), kTrialSql,
          number - 1};
}

std::vector<const pg::Statement*> Statements() {
  return {&kLockHeads,     &kSeenRequests, &kAppend,     &kEventAt,       &kHeads,
          &kFetch,         &kFetchTypes,   &kSince,      &kEnsureShards,  &kHeartbeat,
          &kForgetMembers, &kCountMembers, &kRenew,      &kClaim,         &kRelease,
          &kLeave,         &kAdvance,      &kPositions,  &kBlocked,       &kPark,
          &kParked,        &kUnpark,       &kListParked, &kForgetAnswers, &kExpireAnswers,
          &kOldestAnswer,  &kHoldLease,    &kTrials,     &kBeginTrials};
}

}  // namespace clm::journal
