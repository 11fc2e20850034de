// The SQL of the journal, in one place. Private to libs/journal.
#ifndef CLM_LIBS_JOURNAL_STATEMENTS_H_
#define CLM_LIBS_JOURNAL_STATEMENTS_H_

#include "libs/pg/pg.h"

namespace clm::journal {

// Locks shards in ascending order: whoever holds a head is alone in writing that shard.
inline constexpr pg::Statement kLockHeads{"journal.lock_heads", R"sql(
  SELECT shard, off FROM journal_head WHERE shard = ANY ($1::smallint[]) ORDER BY shard FOR UPDATE)sql"};

inline constexpr pg::Statement kSeenRequests{"journal.seen_requests", R"sql(
  SELECT r.tenant_id, r.request_id, r.fingerprint, r.response
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS request_id) AS w
  CROSS JOIN LATERAL (SELECT * FROM request r WHERE r.tenant_id = w.tenant_id
    AND r.request_id = w.request_id OFFSET 0) r)sql"};

// Arrays are unnested in the list of a SELECT, side by side: a FROM unnest(...) of several would be
// gathered in a store for each of them first.

// $1..$7 journal rows, $8..$11 and $15 request rows, $12..$13 heads, $14 now: one round trip.
inline constexpr pg::Statement kAppend{"journal.append", R"sql(
  WITH j AS (
    INSERT INTO journal (shard, off, tenant_id, event_id, subject, type, event, record_time)
    SELECT unnest($1::smallint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::uuid[]),
           unnest($5::text[]), unnest($6::text[]), unnest($7::bytea[]), $14::timestamptz
  ), r AS (
    INSERT INTO request (tenant_id, request_id, fingerprint, response, aggregate_id, create_time)
    SELECT unnest($8::text[]), unnest($9::uuid[]), unnest($10::bytea[]), unnest($11::bytea[]),
           unnest($15::uuid[]), $14::timestamptz
  )
  UPDATE journal_head h SET off = n.off
  FROM unnest($12::smallint[], $13::bigint[]) AS n (shard, off)
  WHERE h.shard = n.shard)sql"};

inline constexpr pg::Statement kEventAt{"journal.event_at", R"sql(
  SELECT event_id FROM journal WHERE shard = $1::smallint AND off = $2::bigint)sql"};

inline constexpr pg::Statement kHeads{"journal.heads", R"sql(
  SELECT shard, off FROM journal_head ORDER BY shard)sql"};

// Up to $4 bytes in all: the first record of every position, then the second of every one, and so
// on, so that large records of one shard take no room from the others. The very first comes
// whatever its size. Of those for which there was no room the first is given with a null event, to
// say so. The size of an event is known without reading it. EVENT is what is given of a record.
#define CLM_FETCH_SQL(EVENT)                                                                    \
  "SELECT shard, off, CASE WHEN total <= $4::bigint OR total = octet_length(event) THEN event " \
  "END FROM (SELECT j.shard, j.off, j.event, j.off - p.after AS rank, p.place, "                \
  "sum(octet_length(j.event)) OVER w AS total, row_number() OVER w AS number "                  \
  "FROM unnest($1::smallint[], $2::bigint[]) WITH ORDINALITY AS p (shard, after, place) "       \
  "CROSS JOIN LATERAL (SELECT shard, off, " EVENT                                               \
  " AS event FROM journal "                                                                     \
  "WHERE shard = p.shard AND off > p.after ORDER BY off LIMIT $3::int) AS j "                   \
  "WINDOW w AS (ORDER BY j.off - p.after, p.place ROWS UNBOUNDED PRECEDING)) AS r "             \
  "WHERE total - octet_length(event) <= $4::bigint OR number = 2 ORDER BY rank, place"

inline constexpr pg::Statement kFetch{"journal.fetch", CLM_FETCH_SQL("event")};

// Records of other types than $5 keep their place and lose their contents.
inline constexpr pg::Statement kFetchTypes{
    "journal.fetch_types",
    CLM_FETCH_SQL("CASE WHEN type = ANY ($5::text[]) THEN event ELSE '' END")};
#undef CLM_FETCH_SQL

// Where the records since $1 begin: the offset before the first of each shard that has some.
inline constexpr pg::Statement kSince{"journal.since", R"sql(
  SELECT shard, min(off) - 1 FROM journal WHERE record_time >= $1::timestamptz GROUP BY shard)sql"};

inline constexpr pg::Statement kDeadLetters{"consumer.dead_letters", R"sql(
  SELECT source, shard, off, event_id, subject, error_reason, error_message, attempts, waiting,
         park_time
  FROM dead_letter
  WHERE tenant_id = $1::text
    AND (park_time, source, shard, off) > ($2::timestamptz, $3::text, $4::smallint, $5::bigint)
  ORDER BY park_time, source, shard, off LIMIT $6::int)sql"};

inline constexpr pg::Statement kEnsureShards{"consumer.ensure_shards", R"sql(
  INSERT INTO consumer_shard (source, shard) SELECT $1::text, s FROM generate_series(0, $2::int - 1) AS s
  ON CONFLICT DO NOTHING)sql"};

inline constexpr pg::Statement kHeartbeat{"consumer.heartbeat", R"sql(
  INSERT INTO consumer_member (source, owner, lease_until)
  VALUES ($1::text, $2::uuid, clock_timestamp() + $3::float8 * interval '1 second')
  ON CONFLICT (source, owner) DO UPDATE SET lease_until = excluded.lease_until)sql"};

inline constexpr pg::Statement kForgetMembers{"consumer.forget_members", R"sql(
  DELETE FROM consumer_member WHERE source = $1::text AND lease_until < clock_timestamp())sql"};

inline constexpr pg::Statement kCountMembers{"consumer.count_members", R"sql(
  SELECT count(*) FROM consumer_member WHERE source = $1::text AND lease_until >= clock_timestamp())sql"};

inline constexpr pg::Statement kRenew{"consumer.renew", R"sql(
  UPDATE consumer_shard SET lease_until = clock_timestamp() + $3::float8 * interval '1 second'
  WHERE source = $1::text AND owner = $2::uuid AND lease_until >= clock_timestamp()
  RETURNING shard, fence, off)sql"};

inline constexpr pg::Statement kClaim{"consumer.claim", R"sql(
  UPDATE consumer_shard c
  SET owner = $2::uuid, fence = c.fence + 1,
      lease_until = clock_timestamp() + $3::float8 * interval '1 second'
  FROM (SELECT source, shard, owner FROM consumer_shard
        WHERE source = $1::text AND (owner IS NULL OR lease_until < clock_timestamp())
        ORDER BY shard LIMIT $4::int FOR UPDATE SKIP LOCKED) AS f
  WHERE c.source = f.source AND c.shard = f.shard
  RETURNING c.shard, c.fence, c.off, f.owner IS NOT NULL)sql"};

inline constexpr pg::Statement kTrials{"consumer.trials", R"sql(
  SELECT shard, off, begun FROM consumer_trial
  WHERE source = $1::text AND shard = ANY ($2::smallint[]))sql"};

inline constexpr pg::Statement kBeginTrials{"consumer.begin_trials", R"sql(
  INSERT INTO consumer_trial (source, shard, off, begun)
  SELECT $1::text, shard, t.off, begun
  FROM unnest($2::smallint[], $3::bigint[], $4::int[], $5::bigint[]) AS t (shard, off, begun, fence)
  JOIN consumer_shard c USING (shard, fence) WHERE c.source = $1::text
  ON CONFLICT (source, shard) DO UPDATE SET (off, begun) = (excluded.off, excluded.begun))sql"};

inline constexpr pg::Statement kHoldLease{"consumer.hold_lease", R"sql(
  SELECT fence FROM consumer_shard
  WHERE source = $1::text AND shard = $2::smallint AND fence = $3::bigint FOR SHARE)sql"};

inline constexpr pg::Statement kRelease{"consumer.release", R"sql(
  UPDATE consumer_shard SET owner = NULL, lease_until = '-infinity'
  WHERE source = $1::text AND owner = $2::uuid AND shard = ANY ($3::smallint[]))sql"};

inline constexpr pg::Statement kLeave{"consumer.leave", R"sql(
  DELETE FROM consumer_member WHERE source = $1::text AND owner = $2::uuid)sql"};

inline constexpr pg::Statement kAdvance{"consumer.advance", R"sql(
  UPDATE consumer_shard c SET off = n.off
  FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bigint[]) AS n (source, shard, off, fence)
  WHERE c.source = n.source AND c.shard = n.shard AND c.fence = n.fence)sql"};

inline constexpr pg::Statement kPositions{"consumer.positions", R"sql(
  SELECT source, shard, off, fence FROM consumer_shard
  WHERE source = ANY ($1::text[]) AND shard = ANY ($2::smallint[]))sql"};

inline constexpr pg::Statement kBlocked{"consumer.blocked", R"sql(
  SELECT DISTINCT source, tenant_id, subject FROM dead_letter
  WHERE source = ANY ($1::text[]) AND shard = ANY ($2::smallint[]))sql"};

inline constexpr pg::Statement kPark{"consumer.park", R"sql(
  INSERT INTO dead_letter (tenant_id, source, shard, off, event_id, subject, event, error_reason,
                           error_message, attempts, waiting, park_time)
  VALUES ($1::text, $2::text, $3::smallint, $4::bigint, $5::uuid, $6::text, $7::bytea, $8::text,
          $9::text, $10::int, $11::boolean, $12::timestamptz)
  ON CONFLICT (tenant_id, source, shard, off) DO UPDATE SET
    (error_reason, error_message, attempts, park_time) =
    (excluded.error_reason, excluded.error_message, dead_letter.attempts + 1, excluded.park_time))sql"};

inline constexpr pg::Statement kParked{"consumer.parked", R"sql(
  SELECT shard, off, event, error_reason FROM dead_letter
  WHERE tenant_id = $1::text AND source = $2::text AND subject = $3::text ORDER BY shard, off)sql"};

inline constexpr pg::Statement kUnpark{"consumer.unpark", R"sql(
  DELETE FROM dead_letter
  WHERE tenant_id = $1::text AND source = $2::text AND shard = $3::smallint AND off = $4::bigint)sql"};

inline constexpr pg::Statement kListParked{"consumer.list_parked", R"sql(
  SELECT source, shard, off, event_id, subject, error_reason, error_message, attempts, waiting, park_time
  FROM dead_letter
  WHERE tenant_id = $1::text AND (park_time, source, shard, off) > ($2::timestamptz, $3::text, $4::smallint, $5::bigint)
  ORDER BY park_time, source, shard, off LIMIT $6::int)sql"};

inline constexpr pg::Statement kForgetAnswers{"journal.forget_answers", R"sql(
  DELETE FROM request WHERE tenant_id = $1::text AND aggregate_id = $2::uuid)sql"};

// The oldest between $1 and $2, $3 at most. Whoever erases at the same moment is not waited for.
inline constexpr pg::Statement kExpireAnswers{"journal.expire_answers", R"sql(
  WITH gone AS (
    DELETE FROM request WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM request
      WHERE create_time >= $1::timestamptz AND create_time < $2::timestamptz
      ORDER BY create_time LIMIT $3::int FOR UPDATE SKIP LOCKED))
    RETURNING create_time)
  SELECT count(*), max(create_time) FROM gone)sql"};

inline constexpr pg::Statement kOldestAnswer{"journal.oldest_answer", R"sql(
  SELECT min(create_time) FROM request)sql"};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_STATEMENTS_H_
