#include "services/lifecycle/pg_lifecycle_store.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "clm/contact/v1/contact.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/journal/schema.h"
#include "libs/pg/key_args.h"
#include "libs/pg/status.h"
#include "services/lifecycle/lifecycle_proto.h"
#include "services/lifecycle/schema.h"
#include "services/lifecycle/state_codec.h"

namespace clm::lifecycle {
namespace {

// Twins come in swarms: somebody sends everything once more.
constexpr absl::Duration kLookAfterTwin = absl::Minutes(1);

constexpr pg::Statement kEpochs{"lifecycle.epochs", R"sql(
  SELECT tenant_id, epoch FROM model_epoch WHERE tenant_id = ANY ($1::text[]))sql"};

// Merges ($2) have the gate to themselves, everybody else shares it; see LifecycleWork. Taken with
// the first statement, as later ones must see what whoever held it has committed. The shards are
// locked by then, so that nobody waits for a shard while holding the gate.
constexpr pg::Statement kEnter{"lifecycle.enter", R"sql(
  SELECT w.tenant_id, coalesce(e.epoch, 0)
  FROM (SELECT CASE WHEN $2::boolean THEN pg_advisory_xact_lock(6712090)
               ELSE pg_advisory_xact_lock_shared(6712090) END OFFSET 0) AS gate
  CROSS JOIN unnest($1::text[]) AS w (tenant_id)
  LEFT JOIN LATERAL (SELECT epoch FROM model_epoch e WHERE e.tenant_id = w.tenant_id OFFSET 0) e
    ON true)sql"};

// A statement of its own: kEnter sees what was committed before it waited for the gate, and whoever
// held the gate has changed just this. Models change under all shards, so their epoch is right.
constexpr pg::Statement kMergeCounts{"lifecycle.merge_counts", R"sql(
  SELECT w.tenant_id, coalesce(e.merge_count, 0)
  FROM unnest($1::text[]) AS w (tenant_id)
  LEFT JOIN LATERAL (SELECT merge_count FROM model_epoch e WHERE e.tenant_id = w.tenant_id
    OFFSET 0) e ON true)sql"};

constexpr pg::Statement kModels{"lifecycle.models", R"sql(
  SELECT tenant_id, id, version, row_version, preset, body, create_time, update_time
  FROM stage_model WHERE tenant_id = ANY ($1::text[]))sql"};

constexpr pg::Statement kRevisions{"lifecycle.revisions", R"sql(
  SELECT tenant_id, model_id, revision, from_time, body, rules, mapping
  FROM model_revision WHERE tenant_id = ANY ($1::text[]) ORDER BY tenant_id, model_id, revision)sql"};

constexpr pg::Statement kRules{"lifecycle.rules", R"sql(
  SELECT tenant_id, model_id, id, body, row_version FROM rule WHERE tenant_id = ANY ($1::text[]))sql"};

constexpr pg::Statement kSaveEpoch{"lifecycle.save_epoch", R"sql(
  INSERT INTO model_epoch (tenant_id, epoch) VALUES ($1::text, $2::bigint)
  ON CONFLICT (tenant_id) DO UPDATE SET epoch = excluded.epoch)sql"};

constexpr pg::Statement kCountMerge{"lifecycle.count_merge", R"sql(
  INSERT INTO model_epoch (tenant_id, merge_count) VALUES ($1::text, 1)
  ON CONFLICT (tenant_id) DO UPDATE SET merge_count = model_epoch.merge_count + 1)sql"};

constexpr pg::Statement kSaveModel{"lifecycle.save_model", R"sql(
  INSERT INTO stage_model (tenant_id, id, version, row_version, preset, body, create_time, update_time)
  VALUES ($1::text, $2::text, $3::int, $4::bigint, $5::text, $6::bytea, $7::timestamptz, $8::timestamptz)
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (version, row_version, body, update_time) =
    (excluded.version, excluded.row_version, excluded.body, excluded.update_time))sql"};

constexpr pg::Statement kSaveRevision{"lifecycle.save_revision", R"sql(
  INSERT INTO model_revision (tenant_id, model_id, revision, from_time, body, rules, mapping)
  VALUES ($1::text, $2::text, $3::int, $4::timestamptz, $5::bytea, $6::bytea, $7::jsonb)
  ON CONFLICT (tenant_id, model_id, revision) DO UPDATE SET
    (from_time, body, rules, mapping) =
    (excluded.from_time, excluded.body, excluded.rules, excluded.mapping))sql"};

constexpr pg::Statement kSaveRule{"lifecycle.save_rule", R"sql(
  INSERT INTO rule (tenant_id, model_id, id, body, row_version)
  VALUES ($1::text, $2::text, $3::text, $4::bytea, $5::bigint)
  ON CONFLICT (tenant_id, model_id, id) DO UPDATE SET
    (body, row_version) = (excluded.body, excluded.row_version))sql"};

constexpr pg::Statement kDeleteRule{"lifecycle.delete_rule", R"sql(
  DELETE FROM rule WHERE tenant_id = $1::text AND model_id = $2::text AND id = $3::text)sql"};

constexpr pg::Statement kOpenJob{"lifecycle.open_job", R"sql(
  INSERT INTO model_job (tenant_id, model_id, job, anew, done_up_to, done_count, lease_until)
  VALUES ($1::text, $2::text, gen_random_uuid(), $3::boolean,
          '00000000-0000-0000-0000-000000000000', 0, '-infinity')
  ON CONFLICT (tenant_id, model_id) DO UPDATE SET
    job = excluded.job, done_up_to = excluded.done_up_to, done_count = 0,
    -- A job that was to begin at the first facts and has not got through yet stays one.
    anew = excluded.anew OR (model_job.anew AND model_job.finish_time IS NULL),
    lease_until = '-infinity', finish_time = NULL)sql"};

// What is looked up by key is looked up in a subquery that OFFSET 0 keeps the planner from turning
// into a join: one index probe per key, whatever it believes of the table's size. Updates, which
// must name their table in a join, join it by the place of the row found.

constexpr pg::Statement kCustomers{"lifecycle.customers", R"sql(
  SELECT c.tenant_id, c.contact_id, c.source, c.locale, c.status, c.attributes, c.initial,
         c.create_time, c.merged_into, c.version
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, contact_id)
  CROSS JOIN LATERAL (SELECT * FROM customer c WHERE c.tenant_id = w.tenant_id
    AND c.contact_id = w.contact_id OFFSET 0) c)sql"};

constexpr pg::Statement kPresent{"lifecycle.present", R"sql(
  SELECT w.n
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               generate_subscripts($2::uuid[], 1) AS n) AS w
  CROSS JOIN LATERAL (SELECT FROM customer c WHERE c.tenant_id = w.tenant_id
    AND c.contact_id = w.contact_id AND c.merged_into IS NULL OFFSET 0) c)sql"};

constexpr pg::Statement kPlaces{"lifecycle.places", R"sql(
  SELECT s.tenant_id, s.contact_id, s.model_id, s.state, s.version, s.due_time
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, contact_id)
  CROSS JOIN LATERAL (SELECT * FROM customer_stage s WHERE s.tenant_id = w.tenant_id
    AND s.contact_id = w.contact_id OFFSET 0) s)sql"};

// Both at once: a row per place, one without for who has none.
constexpr pg::Statement kCustomersInPlaces{"lifecycle.customers_in_places", R"sql(
  SELECT c.tenant_id, c.contact_id, c.source, c.locale, c.status, c.attributes, c.initial,
         c.create_time, c.merged_into, c.version, s.model_id, s.state, s.version, s.due_time
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, contact_id)
  CROSS JOIN LATERAL (SELECT * FROM customer c WHERE c.tenant_id = w.tenant_id
    AND c.contact_id = w.contact_id OFFSET 0) c
  LEFT JOIN LATERAL (SELECT * FROM customer_stage s WHERE s.tenant_id = w.tenant_id
    AND s.contact_id = w.contact_id OFFSET 0) s ON true)sql"};

constexpr pg::Statement kKnownFacts{"lifecycle.known_facts", R"sql(
  SELECT f.tenant_id, f.contact_id, f.event_id
  FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::uuid[])
    AS w (tenant_id, contact_id, occur_time, event_id)
  CROSS JOIN LATERAL (SELECT * FROM fact f WHERE f.tenant_id = w.tenant_id
    AND f.contact_id = w.contact_id AND f.occur_time = w.occur_time
    AND f.event_id = w.event_id OFFSET 0) f)sql"};

#define CLM_FACT_COLUMNS                                                                  \
  "f.tenant_id, f.contact_id, f.occur_time, f.event_id, f.kind, f.type, f.amount_minor, " \
  "f.currency, f.quantity, f.channel, f.properties "

constexpr pg::Statement kAllFacts{"lifecycle.all_facts", "SELECT " CLM_FACT_COLUMNS R"sql(
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, contact_id)
  CROSS JOIN LATERAL (SELECT * FROM fact f WHERE f.tenant_id = w.tenant_id
    AND f.contact_id = w.contact_id OFFSET 0) f
  ORDER BY f.tenant_id, f.contact_id, f.occur_time, f.event_id)sql"};

constexpr pg::Statement kSomeFacts{"lifecycle.some_facts", "SELECT " CLM_FACT_COLUMNS R"sql(
  FROM unnest($1::text[], $2::uuid[], $3::timestamptz[]) AS w (tenant_id, contact_id, since)
  CROSS JOIN LATERAL (SELECT * FROM fact f WHERE f.tenant_id = w.tenant_id
      AND f.contact_id = w.contact_id AND f.occur_time > w.since
      AND ((f.kind = 0 AND f.type = ANY ($4::text[])) OR (f.kind = 1 AND f.type = ANY ($5::text[])))
    OFFSET 0) f
  ORDER BY f.tenant_id, f.contact_id, f.occur_time, f.event_id)sql"};

constexpr pg::Statement kFactsById{"lifecycle.facts_by_id", "SELECT " CLM_FACT_COLUMNS R"sql(
  FROM fact f WHERE f.tenant_id = $1::text AND f.contact_id = $2::uuid
    AND f.event_id = ANY ($3::uuid[]))sql"};

#define CLM_LOG_COLUMNS                                                                        \
  "t.tenant_id, t.contact_id, t.model_id, t.sequence, t.from_stage, t.to_stage, "              \
  "t.effective_time, t.record_time, t.cause, t.direction, t.rule_id, t.fact_id, t.fact_type, " \
  "t.actor, t.reason, t.skipped, t.synthetic, t.model_version, t.episode, t.overdue_time, "    \
  "t.supersede_time, t.request_id "

constexpr pg::Statement kLog{"lifecycle.log", "SELECT " CLM_LOG_COLUMNS R"sql(
  FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, contact_id)
  CROSS JOIN LATERAL (SELECT * FROM transition t WHERE t.tenant_id = w.tenant_id
    AND t.contact_id = w.contact_id AND t.supersede_time IS NULL OFFSET 0) t
  ORDER BY t.tenant_id, t.contact_id, t.model_id, t.effective_time, t.sequence)sql"};

constexpr pg::Statement kListTransitions{"lifecycle.list_transitions",
                                         "SELECT " CLM_LOG_COLUMNS R"sql(
  FROM transition t
  WHERE t.tenant_id = $1::text AND t.contact_id = $2::uuid
    AND ($3::text = '' OR t.model_id = $3::text)
    AND ($4::boolean OR t.supersede_time IS NULL)
    AND (t.effective_time, t.model_id, t.sequence) > ($5::timestamptz, $6::text, $7::bigint)
  ORDER BY t.effective_time, t.model_id, t.sequence LIMIT $8::int)sql"};

constexpr pg::Statement kInsertCustomers{"lifecycle.insert_customers", R"sql(
  INSERT INTO customer (tenant_id, contact_id, source, locale, status, attributes, initial,
                        create_time, merged_into, version)
  SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::jsonb[],
                       $7::jsonb[], $8::timestamptz[], $9::uuid[], $10::bigint[])
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kUpdateCustomers{"lifecycle.update_customers", R"sql(
  UPDATE customer c SET
    (source, locale, status, attributes, initial, create_time, merged_into, version) =
    (w.source, w.locale, w.status, w.attributes, w.initial, w.create_time, w.merged_into, w.version)
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::jsonb[],
              $7::jsonb[], $8::timestamptz[], $9::uuid[], $10::bigint[], $11::uuid[])
    AS w (tenant_id, contact_id, source, locale, status, attributes, initial, create_time,
          merged_into, version, was_merged_into)
  CROSS JOIN LATERAL (SELECT f.ctid FROM customer f WHERE f.tenant_id = w.tenant_id
                      AND f.contact_id = w.contact_id OFFSET 0) AS at
  WHERE c.ctid = at.ctid AND c.merged_into IS NOT DISTINCT FROM w.was_merged_into)sql"};

constexpr pg::Statement kProgressCustomers{"lifecycle.progress_customers", R"sql(
  UPDATE customer c SET version = w.version
  FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::uuid[])
    AS w (tenant_id, contact_id, version, was_merged_into)
  CROSS JOIN LATERAL (SELECT f.ctid FROM customer f WHERE f.tenant_id = w.tenant_id
                      AND f.contact_id = w.contact_id OFFSET 0) AS at
  WHERE c.ctid = at.ctid AND c.merged_into IS NOT DISTINCT FROM w.was_merged_into)sql"};

#define CLM_FACT_COLUMN_NAMES                                                                   \
  "tenant_id, contact_id, occur_time, event_id, kind, type, amount_minor, currency, quantity, " \
  "channel, properties"
#define CLM_INSERT_FACTS                                                              \
  "INSERT INTO fact (" CLM_FACT_COLUMN_NAMES ") SELECT " CLM_FACT_COLUMN_NAMES        \
  " FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id, " \
  "unnest($3::timestamptz[]) AS occur_time, unnest($4::uuid[]) AS event_id, "         \
  "unnest($5::smallint[]) AS kind, unnest($6::text[]) AS type, "                      \
  "unnest($7::bigint[]) AS amount_minor, unnest($8::text[]) AS currency, "            \
  "unnest($9::bigint[]) AS quantity, unnest($10::text[]) AS channel, "                \
  "unnest($11::jsonb[]) AS properties) AS w"

// Facts that are known to be new: looking for a conflict all the same nearly doubles the cost.
constexpr pg::Statement kInsertFacts{"lifecycle.insert_facts", CLM_INSERT_FACTS};
// Facts that may be there. Under the lock of their shard it is enough to look here, which costs
// less than being ready for a conflict.
constexpr pg::Statement kInsertUnread{"lifecycle.insert_unread", CLM_INSERT_FACTS R"sql(
  WHERE NOT EXISTS (SELECT FROM fact f WHERE f.tenant_id = w.tenant_id
    AND f.contact_id = w.contact_id AND f.occur_time = w.occur_time AND f.event_id = w.event_id
    OFFSET 0))sql"};
// Facts of an alias, which a merge may have brought to the survivor already.
constexpr pg::Statement kRedirectFacts{"lifecycle.redirect_facts",
                                       CLM_INSERT_FACTS " ON CONFLICT DO NOTHING"};

constexpr pg::Statement kMoveFacts{"lifecycle.move_facts", R"sql(
  WITH gone AS (
    DELETE FROM fact WHERE tenant_id = $1::text AND contact_id = $2::uuid
    RETURNING tenant_id, occur_time, event_id, kind, type, amount_minor, currency, quantity, channel,
              properties
  )
  INSERT INTO fact (tenant_id, contact_id, occur_time, event_id, kind, type, amount_minor, currency,
                    quantity, channel, properties)
  SELECT tenant_id, $3::uuid, occur_time, event_id, kind, type, amount_minor, currency, quantity,
         channel, properties FROM gone
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kDropPlaces{"lifecycle.drop_places", R"sql(
  DELETE FROM customer_stage WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

constexpr pg::Statement kSurvivor{"lifecycle.survivor", R"sql(
  SELECT merged_into FROM customer WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

constexpr pg::Statement kIsErased{"lifecycle.is_erased", R"sql(
  SELECT status = $3::smallint FROM customer
  WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

constexpr pg::Statement kMarkRefold{"lifecycle.mark_refold", R"sql(
  INSERT INTO refold (tenant_id, contact_id, token) VALUES ($1::text, $2::uuid, gen_random_uuid())
  ON CONFLICT (tenant_id, contact_id) DO UPDATE SET token = excluded.token)sql"};

constexpr pg::Statement kRefoldDone{"lifecycle.refold_done", R"sql(
  DELETE FROM refold WHERE tenant_id = $1::text AND contact_id = $2::uuid AND token = $3::uuid)sql"};

constexpr pg::Statement kSavePlaces{"lifecycle.save_places", R"sql(
  INSERT INTO customer_stage (tenant_id, contact_id, model_id, state, stage, enter_time, episode,
                              overdue, due_time, version)
  SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bytea[], $5::text[],
                       $6::timestamptz[], $7::int[], $8::boolean[], $9::timestamptz[], $10::bigint[])
  ON CONFLICT (tenant_id, contact_id, model_id) DO UPDATE SET
    (state, stage, enter_time, episode, overdue, due_time, version) =
    (excluded.state, excluded.stage, excluded.enter_time, excluded.episode, excluded.overdue,
     excluded.due_time, excluded.version))sql"};

constexpr pg::Statement kAppendLog{"lifecycle.append_log", R"sql(
  INSERT INTO transition (tenant_id, contact_id, model_id, sequence, from_stage, to_stage,
                          effective_time, record_time, cause, direction, rule_id, fact_id, fact_type,
                          actor, reason, skipped, synthetic, model_version, episode, request_id)
  SELECT tenant_id, contact_id, model_id, sequence, from_stage, to_stage, effective_time,
         record_time, cause, direction, rule_id, fact_id, fact_type, actor, reason,
         string_to_array(skipped, ','), synthetic, model_version, episode, request_id
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[],
              $7::timestamptz[], $8::timestamptz[], $9::smallint[], $10::smallint[], $11::text[],
              $12::uuid[], $13::text[], $14::text[], $15::text[], $16::text[], $17::boolean[],
              $18::int[], $19::int[], $20::uuid[])
    AS w (tenant_id, contact_id, model_id, sequence, from_stage, to_stage, effective_time,
          record_time, cause, direction, rule_id, fact_id, fact_type, actor, reason, skipped,
          synthetic, model_version, episode, request_id))sql"};

constexpr pg::Statement kSupersede{"lifecycle.supersede", R"sql(
  UPDATE transition t SET supersede_time = w.supersede_time
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[])
    AS w (tenant_id, contact_id, model_id, sequence, supersede_time)
  CROSS JOIN LATERAL (SELECT f.ctid FROM transition f WHERE f.tenant_id = w.tenant_id
                      AND f.contact_id = w.contact_id AND f.model_id = w.model_id
                      AND f.sequence = w.sequence OFFSET 0) AS at
  WHERE t.ctid = at.ctid)sql"};

constexpr pg::Statement kOverdue{"lifecycle.overdue", R"sql(
  UPDATE transition t SET overdue_time = w.overdue_time
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
    AS w (tenant_id, contact_id, model_id, stage, enter_time, overdue_time)
  CROSS JOIN LATERAL (SELECT f.ctid FROM transition f WHERE f.tenant_id = w.tenant_id
                      AND f.contact_id = w.contact_id AND f.model_id = w.model_id
                      AND f.to_stage = w.stage AND f.effective_time = w.enter_time
                      AND f.supersede_time IS NULL OFFSET 0) AS at
  WHERE t.ctid = at.ctid)sql"};

// In the order of the key, so that two transactions that meet on a row cannot deadlock.
constexpr pg::Statement kAddDays{"lifecycle.add_days", R"sql(
  INSERT INTO stage_day (tenant_id, model_id, stage, day, shard, entered, "left")
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::smallint[], $6::bigint[],
                       $7::bigint[])
  ORDER BY 1, 2, 3, 4, 5
  ON CONFLICT (tenant_id, model_id, stage, day, shard) DO UPDATE SET
    entered = stage_day.entered + excluded.entered, "left" = stage_day."left" + excluded."left")sql"};

// As Bare does it.
constexpr pg::Statement kEraseFacts{"lifecycle.erase_facts", R"sql(
  UPDATE fact SET channel = NULL, properties = CASE kind
      WHEN 2 THEN properties - 'reason'
      WHEN 1 THEN CASE WHEN type LIKE 'attributes.%' THEN '{}' ELSE properties END
      ELSE CASE WHEN type IN ('purchase', 'refund')
                 AND properties->>'cost_minor' ~ ')sql" CLM_GOODS_COST_PATTERN R"sql('
           THEN jsonb_build_object('cost_minor', properties->'cost_minor') END
      END
  WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

constexpr pg::Statement kEraseLog{"lifecycle.erase_log", R"sql(
  UPDATE transition SET reason = '' WHERE tenant_id = $1::text AND contact_id = $2::uuid
    AND reason <> '')sql"};

constexpr pg::Statement kEraseAnswers{"lifecycle.erase_answers", R"sql(
  DELETE FROM request WHERE tenant_id = $1::text AND aggregate_id = $2::uuid)sql"};

constexpr pg::Statement kInsertCosts{"lifecycle.insert_costs", R"sql(
  INSERT INTO acquisition_cost (tenant_id, id, contact_id, source, start_date, end_date,
                                amount_minor, currency, create_time)
  VALUES ($1::text, $2::uuid, $3::uuid, $4::text, $5::date, $6::date, $7::bigint, $8::text,
          $9::timestamptz)
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kInStage{"lifecycle.in_stage", R"sql(
  SELECT contact_id, state, version, due_time FROM customer_stage
  WHERE tenant_id = $1::text AND model_id = $2::text AND stage = $3::text AND stage <> ''
    AND (enter_time, contact_id) > ($4::timestamptz, $5::uuid)
  ORDER BY enter_time, contact_id LIMIT $6::int)sql"};

constexpr pg::Statement kCountByStage{"lifecycle.count_by_stage", R"sql(
  SELECT stage, count(*) FROM customer_stage
  WHERE tenant_id = $1::text AND model_id = $2::text AND stage <> '' GROUP BY stage)sql"};

constexpr pg::Statement kHasCustomers{"lifecycle.has_customers", R"sql(
  SELECT EXISTS (SELECT 1 FROM customer WHERE tenant_id = $1::text))sql"};

constexpr pg::Statement kKpis{"lifecycle.kpis", R"sql(
  SELECT body FROM kpi WHERE tenant_id = $1::text ORDER BY id COLLATE "C")sql"};

constexpr pg::Statement kCustomersAfter{"lifecycle.customers_after", R"sql(
  SELECT contact_id FROM customer
  WHERE tenant_id = $1::text AND contact_id > $2::uuid AND merged_into IS NULL
  ORDER BY contact_id LIMIT $3::int)sql"};

constexpr pg::Statement kDue{"lifecycle.due", R"sql(
  SELECT DISTINCT tenant_id, contact_id, due_time FROM (
    SELECT tenant_id, contact_id, due_time FROM customer_stage
    WHERE due_time <= $1::timestamptz ORDER BY due_time LIMIT $2::int) AS d)sql"};

constexpr pg::Statement kNextDue{"lifecycle.next_due", R"sql(
  SELECT due_time FROM customer_stage WHERE due_time IS NOT NULL ORDER BY due_time LIMIT 1)sql"};

constexpr pg::Statement kRefoldMarks{"lifecycle.refold_marks", R"sql(
  SELECT tenant_id, contact_id, token FROM refold LIMIT $1::int)sql"};

constexpr pg::Statement kClaimJob{"lifecycle.claim_job", R"sql(
  UPDATE model_job j SET lease_until = $2::timestamptz
  FROM (SELECT tenant_id, model_id FROM model_job
        WHERE finish_time IS NULL AND lease_until < $1::timestamptz
        ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED) AS f
  WHERE j.tenant_id = f.tenant_id AND j.model_id = f.model_id
  RETURNING j.tenant_id, j.model_id, j.job, j.anew, j.done_up_to)sql"};

constexpr pg::Statement kAdvanceJob{"lifecycle.advance_job", R"sql(
  UPDATE model_job SET done_up_to = $4::uuid, done_count = done_count + $5::bigint,
    finish_time = $6::timestamptz, lease_until = $7::timestamptz
  WHERE tenant_id = $1::text AND model_id = $2::text AND job = $3::uuid)sql"};

constexpr pg::Statement kJobProgress{"lifecycle.job_progress", R"sql(
  SELECT done_count, finish_time IS NULL FROM model_job
  WHERE tenant_id = $1::text AND model_id = $2::text)sql"};

std::string ToJson(const DynamicValues& values) {
  if (values.empty()) return "{}";
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [key, value] : values) {
    if (const auto* set = std::get_if<std::vector<std::string>>(&value)) {
      json[key] = *set;
    } else {
      json[key] = std::get<std::string>(value);
    }
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// What ToJson wrote; anything else in the column is skipped.
DynamicValues FromJson(absl::string_view text) {
  DynamicValues values;
  if (text.size() <= 2) return values;
  const auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return values;
  for (const auto& [key, value] : json.items()) {
    if (value.is_string()) {
      values[key] = value.get<std::string>();
    } else if (value.is_array()) {
      std::vector<std::string> set;
      for (const auto& member : value) {
        if (member.is_string()) set.push_back(member.get<std::string>());
      }
      values[key] = std::move(set);
    }
  }
  return values;
}

std::string TextOf(const DynamicValues& values, const std::string& key) {
  const auto it = values.find(key);
  if (it == values.end()) return "";
  const auto* text = std::get_if<std::string>(&it->second);
  return text == nullptr ? "" : *text;
}

// How a move by hand is kept in fact.properties.
DynamicValues PropertiesOf(const StoredFact& fact) {
  if (fact.fact.kind != Fact::Kind::kMove) return fact.properties;
  const MoveRequest& move = fact.fact.move;
  DynamicValues values = {{"verb", std::string(Name(move.verb))},
                          {"to", move.to},
                          {"reason", move.reason},
                          {"actor", fact.actor}};
  if (!fact.request_id.empty()) values["request_id"] = fact.request_id;
  if (move.allow_regress) values["allow_regress"] = std::string("true");
  if (move.has_role) values["has_role"] = std::string("true");
  return values;
}

MoveRequest MoveFrom(const DynamicValues& values) {
  MoveRequest move;
  const std::string verb = TextOf(values, "verb");
  move.verb = verb == Name(Verb::kClear)        ? Verb::kClear
              : verb == Name(Verb::kReactivate) ? Verb::kReactivate
                                                : Verb::kEnter;
  move.to = TextOf(values, "to");
  move.reason = TextOf(values, "reason");
  move.allow_regress = TextOf(values, "allow_regress") == "true";
  move.has_role = TextOf(values, "has_role") == "true";
  return move;
}

EntityKey KeyOf(const pg::Row& row) { return {std::string(row.Text(0)), row.Uuid(1)}; }

FactPtr FactFrom(const pg::Row& row) {
  StoredFact fact;
  fact.fact.at = row.Time(2);
  fact.id = row.Uuid(3);
  fact.fact.kind = static_cast<Fact::Kind>(row.Int(4));
  fact.fact.type = std::string(row.Text(5));
  fact.amount_minor = row.OptInt(6);
  fact.currency = row.OptText(7).value_or("");
  fact.quantity = row.OptInt(8);
  fact.channel = row.OptText(9).value_or("");
  if (!row.IsNull(10)) fact.properties = FromJson(row.Text(10));
  if (fact.fact.kind == Fact::Kind::kMove) {
    fact.fact.move = MoveFrom(fact.properties);
    fact.actor = TextOf(fact.properties, "actor");
    fact.request_id = TextOf(fact.properties, "request_id");
    fact.properties.clear();
  }
  return ShareFact(std::move(fact));
}

RecordedTransition LineFrom(const pg::Row& row) {
  RecordedTransition line;
  LoggedTransition& logged = line.logged;
  logged.sequence = row.Int(3);
  logged.from = std::string(row.Text(4));
  logged.to = std::string(row.Text(5));
  logged.at = row.Time(6);
  line.record_time = row.Time(7);
  logged.cause = static_cast<Cause>(row.Int(8));
  logged.direction = static_cast<Direction>(row.Int(9));
  logged.rule_id = std::string(row.Text(10));
  if (const auto fact = row.OptUuid(11)) logged.fact_id = fact->ToString();
  line.fact_type = std::string(row.Text(12));
  line.actor = std::string(row.Text(13));
  line.reason = std::string(row.Text(14));
  logged.skipped = row.TextArray(15);
  logged.synthetic = row.Bool(16);
  logged.model_version = static_cast<int32_t>(row.Int(17));
  logged.episode = static_cast<int32_t>(row.Int(18));
  line.overdue_time = row.OptTime(19);
  line.supersede_time = row.OptTime(20);
  if (const auto request = row.OptUuid(21)) line.request_id = request->ToString();
  return line;
}

Customer CustomerFrom(const pg::Row& row) {
  Customer customer;
  customer.key = KeyOf(row);
  customer.known = true;
  customer.source = std::string(row.Text(2));
  customer.locale = std::string(row.Text(3));
  customer.status = static_cast<int>(row.Int(4));
  customer.attributes = FromJson(row.Text(5));
  customer.initial = FromJson(row.Text(6));
  customer.create_time = row.Time(7);
  customer.merged_into = row.OptUuid(8);
  customer.version = row.Int(9);
  return customer;
}

absl::StatusOr<Place> PlaceFrom(const pg::Row& row, int state, int version, int due) {
  Place place;
  CLM_ASSIGN_OR_RETURN(place.state, DecodeState(row.Bytes(state)));
  place.version = row.Int(version);
  place.due = row.OptTime(due).value_or(absl::InfiniteFuture());
  return place;
}

absl::Status Unreadable() {
  return error::Make(absl::StatusCode::kDataLoss, "MODEL_UNREADABLE",
                     "a stored stage model is not in a form this program can read");
}

using DefinitionsByTenant = std::map<std::string, std::map<std::string, ModelDefinition>>;

// Runs statements of a transaction, or each alone.
using Run = absl::FunctionRef<absl::StatusOr<pg::Result>(const pg::Statement&, const pg::Args&)>;

absl::StatusOr<std::map<std::string, int64_t>> ReadEpochs(Run run,
                                                          const std::vector<std::string>& tenants) {
  pg::Args args;
  args.AddArray(tenants);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, run(kEpochs, args));
  std::map<std::string, int64_t> epochs;
  for (const std::string& tenant : tenants) epochs[tenant] = 0;
  for (int i = 0; i < rows.size(); ++i) epochs[std::string(rows[i].Text(0))] = rows[i].Int(1);
  return epochs;
}

absl::StatusOr<DefinitionsByTenant> ReadDefinitions(Run run,
                                                    const std::vector<std::string>& tenants) {
  DefinitionsByTenant all;
  for (const std::string& tenant : tenants) all[tenant];
  pg::Args args;
  args.AddArray(tenants);
  CLM_ASSIGN_OR_RETURN(const pg::Result models, run(kModels, args));
  for (int i = 0; i < models.size(); ++i) {
    const pg::Row row = models[i];
    const std::string id(row.Text(1));
    v1::StageModel body;
    if (!body.ParseFromString(row.Bytes(5))) return Unreadable();
    ModelDefinition& definition = all[std::string(row.Text(0))][id];
    definition.model = FromProto(body, id);
    definition.row_version = row.Int(3);
    definition.preset = std::string(row.Text(4));
    definition.create_time = row.Time(6);
    definition.update_time = row.Time(7);
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result revisions, run(kRevisions, args));
  for (int i = 0; i < revisions.size(); ++i) {
    const pg::Row row = revisions[i];
    const std::string id(row.Text(1));
    v1::StageModel body;
    v1::ListRulesResponse rules;
    if (!body.ParseFromString(row.Bytes(4)) || !rules.ParseFromString(row.Bytes(5))) {
      return Unreadable();
    }
    Revision revision;
    revision.number = static_cast<int32_t>(row.Int(2));
    revision.from = row.Time(3);
    revision.model = FromProto(body, id);
    for (const v1::TransitionRule& wire : rules.rules()) {
      CLM_ASSIGN_OR_RETURN(Rule rule, FromProto(wire));
      rule.id = wire.name();
      rule.model_id = id;
      revision.rules.push_back(std::move(rule));
    }
    for (const auto& [from, to] : FromJson(row.Text(6))) {
      revision.mapping[from] = std::get<std::string>(to);
    }
    all[std::string(row.Text(0))][id].revisions.push_back(std::move(revision));
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result rules, run(kRules, args));
  for (int i = 0; i < rules.size(); ++i) {
    const pg::Row row = rules[i];
    v1::TransitionRule body;
    if (!body.ParseFromString(row.Bytes(3))) return Unreadable();
    RuleRecord record;
    CLM_ASSIGN_OR_RETURN(record.rule, FromProto(body));
    record.rule.model_id = std::string(row.Text(1));
    record.rule.id = std::string(row.Text(2));
    record.display_name = body.display_name();
    if (body.has_enable_time()) record.enable_time = FromProto(body.enable_time());
    record.create_time = FromProto(body.create_time());
    record.row_version = row.Int(4);
    all[std::string(row.Text(0))][record.rule.model_id].rules[record.rule.id] = std::move(record);
  }
  return all;
}

void MakeBare(std::vector<FactPtr>& facts) {
  for (FactPtr& fact : facts) fact = ShareFact(Bare(*fact));
}

void DropReasons(std::map<std::string, std::vector<RecordedTransition>>& log) {
  for (auto& [_, lines] : log) {
    for (RecordedTransition& line : lines) line.reason.clear();
  }
}

void MergeFacts(std::vector<FactPtr>& facts, const std::vector<FactPtr>& more) {
  if (more.empty()) return;
  facts.insert(facts.end(), more.begin(), more.end());
  std::sort(facts.begin(), facts.end(), Precedes);
  facts.erase(std::unique(facts.begin(), facts.end(),
                          [](const FactPtr& a, const FactPtr& b) {
                            return a->id == b->id && a->fact.at == b->fact.at;
                          }),
              facts.end());
}

}  // namespace

void LifecycleWork::NeedDefinitions(const std::string& tenant) {
  tenants_.insert(tenant);
  define_.insert(tenant);
}

void LifecycleWork::NeedCustomer(const EntityKey& key) {
  tenants_.insert(key.tenant);
  declared_.insert(key);
  whole_.insert(key);
}

void LifecycleWork::NeedFold(const EntityKey& key, const std::vector<FactPtr>& facts) {
  NeedCustomer(key);
  std::vector<FactPtr>& all = folds_[key];
  all.insert(all.end(), facts.begin(), facts.end());
}

void LifecycleWork::NeedRecord(const EntityKey& key, const std::vector<FactPtr>& facts) {
  tenants_.insert(key.tenant);
  declared_.insert(key);
  std::vector<FactPtr>& all = folds_[key];
  all.insert(all.end(), facts.begin(), facts.end());
}

void LifecycleWork::NeedAll(const EntityKey& key) {
  NeedCustomer(key);
  all_.insert(key);
}

void LifecycleWork::NeedMerge(const EntityKey& survivor, const EntityKey& merged) {
  NeedAll(survivor);
  NeedAll(merged);
  merges_ = true;
}

const std::vector<FactPtr>* LifecycleWork::Remembered(const event::v1::Event* event) const {
  const auto it = decoded_.find(event);
  return it == decoded_.end() ? nullptr : &it->second;
}

absl::Status LifecycleWork::LoadModels(pg::Tx& tx) {
  const std::vector<std::string> tenants(tenants_.begin(), tenants_.end());
  const auto run = [&](const pg::Statement& statement, const pg::Args& args) {
    return tx.Exec(statement, args);
  };
  pg::Args args;
  args.AddArray(tenants).Add(merges_);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kEnter, args));
  std::map<std::string, int64_t> epochs;
  for (int i = 0; i < rows.size(); ++i) epochs[std::string(rows[i].Text(0))] = rows[i].Int(1);
  std::vector<std::string> unread(define_.begin(), define_.end());
  for (const auto& [tenant, epoch] : epochs) {
    tenant_[tenant].models = context_->models->Get(tenant, epoch);
    if (tenant_[tenant].models == nullptr && !define_.contains(tenant)) unread.push_back(tenant);
  }
  if (unread.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(DefinitionsByTenant definitions, ReadDefinitions(run, unread));
  for (const std::string& tenant : unread) {
    Tenant& loaded = tenant_[tenant];
    loaded.definitions = std::move(definitions[tenant]);
    if (loaded.models != nullptr) continue;
    CLM_ASSIGN_OR_RETURN(loaded.models, Compile(epochs.at(tenant), loaded.definitions));
    context_->models->Put(tenant, loaded.models);
  }
  return absl::OkStatus();
}

absl::Status LifecycleWork::LoadUnread(pg::Tx& tx, std::vector<EntityKey>& keys) {
  // Whoever changes models here may give a name to what had none.
  if (!define_.empty()) return absl::OkStatus();
  const auto whole = [&](const EntityKey& key) {
    if (whole_.contains(key)) return true;
    const TenantModels& models = Models(key.tenant);
    const std::vector<FactPtr>& facts = folds_[key];
    return std::any_of(facts.begin(), facts.end(),
                       [&](const FactPtr& fact) { return models.MayConcern(fact->fact); });
  };
  const auto unnamed = std::stable_partition(keys.begin(), keys.end(), whole);
  if (unnamed == keys.end()) return absl::OkStatus();
  const std::vector<EntityKey> wanted(unnamed, keys.end());
  keys.erase(unnamed, keys.end());
  pg::Args tenants;
  tenants.AddArray(std::vector<std::string>(tenants_.begin(), tenants_.end()));
  CLM_ASSIGN_OR_RETURN(const pg::Result counts, tx.Exec(kMergeCounts, tenants));
  absl::flat_hash_map<std::string, int64_t> merge_counts;
  for (int i = 0; i < counts.size(); ++i) {
    merge_counts[std::string(counts[i].Text(0))] = counts[i].Int(1);
  }
  const std::vector<bool> known = context_->known->Find(wanted, merge_counts);
  std::vector<EntityKey> unsure;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (known[i]) {
      AddUnread(wanted[i]);
    } else {
      unsure.push_back(wanted[i]);
    }
  }
  if (unsure.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kPresent, pg::KeyArgs(unsure)));
  std::vector<bool> present(unsure.size());
  for (int i = 0; i < rows.size(); ++i) present[rows[i].Int(0) - 1] = true;
  std::vector<EntityKey> found;
  for (size_t i = 0; i < unsure.size(); ++i) {
    if (present[i]) {
      AddUnread(unsure[i]);
      found.push_back(unsure[i]);
    } else {
      keys.push_back(unsure[i]);
    }
  }
  context_->known->Add(found, merge_counts);
  return absl::OkStatus();
}

void LifecycleWork::AddUnread(const EntityKey& key) {
  auto entry = std::make_unique<Entry>();
  entry->customer.key = key;
  entry->customer.known = true;
  entry->unread = true;
  entries_[key] = std::move(entry);
}

absl::Status LifecycleWork::LoadCustomers(pg::Tx& tx, const std::vector<EntityKey>& keys) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCustomersInPlaces, pg::KeyArgs(keys)));
  for (const EntityKey& key : keys) {
    auto entry = std::make_unique<Entry>();
    entry->customer.key = key;
    entries_[key] = std::move(entry);
  }
  for (int i = 0; i < rows.size(); ++i) {
    Entry& entry = *entries_[KeyOf(rows[i])];
    if (!entry.customer.known) {
      entry.customer = CustomerFrom(rows[i]);
      entry.was_merged_into = entry.customer.merged_into;
    }
    if (rows[i].IsNull(10)) continue;
    CLM_ASSIGN_OR_RETURN(entry.customer.places[std::string(rows[i].Text(10))],
                         PlaceFrom(rows[i], 11, 12, 13));
  }
  // Who is unknown has no history.
  for (const EntityKey& key : keys) {
    Entry& entry = *entries_[key];
    if (!entry.customer.known) {
      entry.depth = Depth::kAll;
      entry.has_log = true;
    }
  }
  return absl::OkStatus();
}

LifecycleWork::Depth LifecycleWork::DepthFor(const Entry& entry,
                                             const std::vector<FactPtr>& facts) const {
  const Customer& customer = entry.customer;
  if (customer.merged_into) return Depth::kNone;
  Depth depth = Depth::kNone;
  const bool sorted = std::is_sorted(facts.begin(), facts.end(), Precedes);
  for (const auto& model : Models(customer.key.tenant).models) {
    const ModelState& state = customer.PlaceIn(model->id).state;
    if (model->Outdated(state)) return Depth::kAll;
    bool concerned = false;
    for (const FactPtr& fact : facts) {
      if (model->plan.IsLate(state, fact->fact)) return Depth::kAll;
      concerned |= model->plan.Concerns(state, fact->fact);
    }
    // One of the batch may come after another that it precedes.
    if (concerned && !sorted) return Depth::kAll;
    // Without facts it is time that will move the customer.
    if ((concerned || facts.empty()) && model->LooksBack(state)) depth = Depth::kSome;
  }
  return depth;
}

absl::Status LifecycleWork::LoadKnownIds(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> contacts, ids;
  std::vector<absl::Time> times;
  for (const auto& [key, facts] : folds_) {
    const Entry& entry = *entries_[key];
    if (!entry.customer.known || entry.unread) continue;
    for (const FactPtr& fact : facts) {
      tenants.push_back(key.tenant);
      contacts.push_back(key.id);
      times.push_back(fact->fact.at);
      ids.push_back(fact->id);
    }
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(tenants).AddArray(contacts).AddArray(times).AddArray(ids);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kKnownFacts, args));
  for (int i = 0; i < rows.size(); ++i) {
    entries_[KeyOf(rows[i])]->known_ids.insert(rows[i].Uuid(2));
  }
  return absl::OkStatus();
}

absl::Status LifecycleWork::LoadFacts(pg::Tx& tx, const std::vector<EntityKey>& keys, Depth depth) {
  if (keys.empty()) return absl::OkStatus();
  pg::Args args = pg::KeyArgs(keys);
  if (depth == Depth::kSome) {
    std::vector<absl::Time> since;
    std::set<std::string> types, fields;
    for (const EntityKey& key : keys) {
      const Entry& entry = *entries_[key];
      absl::Time first = absl::InfiniteFuture();
      const auto fold = folds_.find(key);
      if (fold != folds_.end()) {
        for (const FactPtr& fact : fold->second) first = std::min(first, fact->fact.at);
      }
      absl::Time from = first;
      for (const auto& model : Models(key.tenant).models) {
        const ModelState& state = entry.customer.PlaceIn(model->id).state;
        if (!model->LooksBack(state)) continue;
        types.insert(model->needs.event_types.begin(), model->needs.event_types.end());
        fields.insert(model->needs.fields.begin(), model->needs.fields.end());
        const bool all = !model->needs.fields.empty() || state.revision != model->latest() ||
                         model->needs.reach == absl::InfiniteDuration();
        from = std::min(from, all ? absl::InfinitePast() : first - model->needs.reach);
      }
      since.push_back(first == absl::InfiniteFuture() ? absl::InfinitePast() : from);
    }
    args.AddArray(since);
    args.AddArray(std::vector<std::string>(types.begin(), types.end()));
    args.AddArray(std::vector<std::string>(fields.begin(), fields.end()));
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       tx.Exec(depth == Depth::kAll ? kAllFacts : kSomeFacts, args));
  absl::flat_hash_map<EntityKey, std::vector<FactPtr>> loaded;
  for (int i = 0; i < rows.size(); ++i) loaded[KeyOf(rows[i])].push_back(FactFrom(rows[i]));
  for (const EntityKey& key : keys) {
    Entry& entry = *entries_[key];
    if (entry.erased) MakeBare(loaded[key]);
    MergeFacts(entry.facts, loaded[key]);
    entry.depth = depth;
  }
  return absl::OkStatus();
}

absl::Status LifecycleWork::LoadLog(pg::Tx& tx, const std::vector<EntityKey>& keys) {
  if (keys.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLog, pg::KeyArgs(keys)));
  for (const EntityKey& key : keys) {
    entries_[key]->has_log = true;
    entries_[key]->log.clear();
  }
  for (int i = 0; i < rows.size(); ++i) {
    entries_[KeyOf(rows[i])]->log[std::string(rows[i].Text(2))].push_back(LineFrom(rows[i]));
  }
  for (const EntityKey& key : keys) {
    Entry& entry = *entries_[key];
    for (const PlaceChange& change : entry.unlogged) {
      auto& log = entry.log[change.model_id];
      log = LogAfter(std::move(log), change);
    }
    entry.unlogged.clear();
    if (entry.erased) DropReasons(entry.log);
  }
  return absl::OkStatus();
}

absl::Status LifecycleWork::Load(pg::Tx& tx) {
  tx_ = &tx;
  if (tenants_.empty()) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(LoadModels(tx));
  if (declared_.empty()) return absl::OkStatus();
  std::vector<EntityKey> keys(declared_.begin(), declared_.end());
  CLM_RETURN_IF_ERROR(LoadUnread(tx, keys));
  if (keys.empty()) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(LoadCustomers(tx, keys));
  CLM_RETURN_IF_ERROR(LoadKnownIds(tx));
  std::vector<EntityKey> some, all;
  for (const EntityKey& key : keys) {
    const Entry& entry = *entries_[key];
    if (entry.depth == Depth::kAll) continue;
    const auto fold = folds_.find(key);
    Depth depth = fold == folds_.end() ? Depth::kNone : DepthFor(entry, fold->second);
    if (all_.contains(key)) depth = Depth::kAll;
    if (depth == Depth::kSome) some.push_back(key);
    if (depth == Depth::kAll) all.push_back(key);
  }
  CLM_RETURN_IF_ERROR(LoadFacts(tx, some, Depth::kSome));
  CLM_RETURN_IF_ERROR(LoadFacts(tx, all, Depth::kAll));
  return LoadLog(tx, all);
}

LifecycleWork::Entry& LifecycleWork::Get(const EntityKey& key) {
  auto& entry = entries_[key];
  if (entry == nullptr) {
    // Nobody declared it; what is asked of it is that nothing is known.
    entry = std::make_unique<Entry>();
    entry->customer.key = key;
  }
  return *entry;
}

LifecycleWork::Entry& LifecycleWork::Touch(const EntityKey& key) {
  Entry& entry = Get(key);
  if (touched_.insert(key).second) undo_.emplace_back(key, std::make_unique<Entry>(entry));
  return entry;
}

LifecycleWork::Tenant& LifecycleWork::TouchTenant(const std::string& tenant) {
  Tenant& t = tenant_[tenant];
  undo_tenants_.emplace_back(tenant, t);
  return t;
}

void LifecycleWork::Keep() {
  undo_.clear();
  touched_.clear();
  undo_tenants_.clear();
  marks_ = {pending_.facts.size(),    pending_.unread.size(),     pending_.appended.size(),
            pending_.voided.size(),   pending_.overdue.size(),    pending_.moved.size(),
            pending_.erased.size(),   pending_.redirected.size(), pending_.costs.size(),
            pending_.refolded.size(), pending_.models.size(),     pending_.jobs.size(),
            pending_.rules.size()};
}

void LifecycleWork::Discard() {
  for (auto& [key, before] : undo_) entries_[key] = std::move(before);
  undo_.clear();
  touched_.clear();
  for (auto it = undo_tenants_.rbegin(); it != undo_tenants_.rend(); ++it) {
    tenant_[it->first] = std::move(it->second);
  }
  undo_tenants_.clear();
  const auto cut = [](auto& list, size_t size) { list.erase(list.begin() + size, list.end()); };
  cut(pending_.facts, marks_.facts);
  cut(pending_.unread, marks_.unread);
  cut(pending_.appended, marks_.appended);
  cut(pending_.voided, marks_.voided);
  cut(pending_.overdue, marks_.overdue);
  cut(pending_.moved, marks_.moved);
  cut(pending_.erased, marks_.erased);
  cut(pending_.redirected, marks_.redirected);
  cut(pending_.costs, marks_.costs);
  cut(pending_.refolded, marks_.refolded);
  cut(pending_.models, marks_.models);
  cut(pending_.jobs, marks_.jobs);
  cut(pending_.rules, marks_.rules);
}

const TenantModels& LifecycleWork::Models(const std::string& tenant) const {
  static const TenantModels* const kNone = new TenantModels;
  const auto it = tenant_.find(tenant);
  return it == tenant_.end() || it->second.models == nullptr ? *kNone : *it->second.models;
}

const Customer& LifecycleWork::CustomerOf(const EntityKey& key) { return Get(key).customer; }

const std::vector<FactPtr>& LifecycleWork::FactsOf(const EntityKey& key) { return Get(key).facts; }

bool LifecycleWork::HasFact(const EntityKey& key, const FactPtr& fact) {
  const Entry& entry = Get(key);
  if (entry.known_ids.contains(fact->id)) return true;
  for (auto it = std::lower_bound(entry.facts.begin(), entry.facts.end(), fact, Precedes);
       it != entry.facts.end() && (*it)->fact.at == fact->fact.at; ++it) {
    if ((*it)->id == fact->id) return true;
  }
  return false;
}

const std::vector<RecordedTransition>& LifecycleWork::LogOf(const EntityKey& key,
                                                            const std::string& model) {
  static const auto* const kEmpty = new std::vector<RecordedTransition>;
  const Entry& entry = Get(key);
  const auto it = entry.log.find(model);
  return it == entry.log.end() ? *kEmpty : it->second;
}

absl::Status LifecycleWork::LoadAll(const EntityKey& key) {
  const Entry& entry = Get(key);
  if (entry.depth != Depth::kAll) CLM_RETURN_IF_ERROR(LoadFacts(*tx_, {key}, Depth::kAll));
  if (!entry.has_log) CLM_RETURN_IF_ERROR(LoadLog(*tx_, {key}));
  return absl::OkStatus();
}

absl::Status LifecycleWork::LoadHistory(const EntityKey& key) {
  // What was not foreseen is read whole; so is what was loaded for rules that this very transaction
  // has changed.
  const Depth depth = Get(key).depth;
  const auto tenant = tenant_.find(key.tenant);
  const bool changed = tenant != tenant_.end() && tenant->second.changed;
  if (depth == Depth::kAll || (depth == Depth::kSome && !changed)) return absl::OkStatus();
  return LoadFacts(*tx_, {key}, Depth::kAll);
}

Customer& LifecycleWork::Change(const EntityKey& key) {
  Entry& entry = Touch(key);
  entry.dirty = true;
  if (!entry.customer.known) {
    entry.customer.known = true;
    entry.inserted = true;
  }
  return entry.customer;
}

Customer& LifecycleWork::Progress(const EntityKey& key) {
  if (!Get(key).customer.known) return Change(key);
  Entry& entry = Touch(key);
  entry.progressed = true;
  return entry.customer;
}

void LifecycleWork::AddFact(const EntityKey& key, const FactPtr& fact) {
  Entry& entry = Touch(key);
  entry.facts.insert(std::upper_bound(entry.facts.begin(), entry.facts.end(), fact, Precedes),
                     fact);
  (entry.unread ? pending_.unread : pending_.facts).emplace_back(key, fact);
}

void LifecycleWork::SavePlace(const EntityKey& key, const PlaceChange& change) {
  if (!change.stored) return;
  Entry& entry = Touch(key);
  entry.customer.places[change.model_id] = change.after;
  entry.dirty_places.insert(change.model_id);
  entry.visible |= change.visible;
  if (entry.has_log) {
    auto& log = entry.log[change.model_id];
    log = LogAfter(std::move(log), change);
  } else if (change.visible) {
    entry.unlogged.push_back(change);
  }
  for (const auto& line : change.voided) pending_.voided.push_back({key, change.model_id, line});
  for (const auto& line : change.appended) {
    pending_.appended.push_back({key, change.model_id, line});
  }
  for (const auto& notice : change.overdue) {
    pending_.overdue.push_back({key, change.model_id, notice});
  }
}

std::vector<std::pair<std::string, RecordedTransition>> LifecycleWork::MoveHistory(
    const EntityKey& from, const EntityKey& to, absl::Time now) {
  Change(from).merged_into = to.id;
  Entry& source = Get(from);
  if (CustomerOf(to).merged_into) {
    // Gone itself meanwhile: whoever has it now is folded again under its own shard.
    pending_.moved.push_back({from, to, /*further=*/true});
  } else {
    pending_.moved.push_back({from, to, /*further=*/false});
    MergeFacts(Touch(to).facts, source.facts);
  }
  std::vector<std::pair<std::string, RecordedTransition>> voided;
  for (const auto& [model, log] : source.log) {
    for (RecordedTransition line : log) {
      line.supersede_time = now;
      pending_.voided.push_back({from, model, line});
      voided.emplace_back(model, std::move(line));
    }
  }
  source.facts.clear();
  source.log.clear();
  source.customer.places.clear();
  source.dirty_places.clear();
  source.visible = true;
  ++source.customer.version;
  return voided;
}

void LifecycleWork::Erase(const EntityKey& key) {
  Customer& customer = Change(key);
  customer.attributes.clear();
  for (auto it = customer.initial.begin(); it != customer.initial.end();) {
    it = absl::StartsWith(it->first, "attributes.") ? customer.initial.erase(it) : std::next(it);
  }
  Entry& entry = Get(key);
  entry.erased = true;
  MakeBare(entry.facts);
  DropReasons(entry.log);
  pending_.erased.push_back(key);
}

void LifecycleWork::Redirect(const EntityKey& alias, const FactPtr& fact) {
  pending_.redirected.emplace_back(alias, fact);
}

void LifecycleWork::AddCost(const std::string& tenant, Cost cost) {
  pending_.costs.emplace_back(tenant, std::move(cost));
}

void LifecycleWork::RefoldDone(const EntityKey& key, const Uuid& token) {
  pending_.refolded.emplace_back(key, token);
}

const std::map<std::string, ModelDefinition>& LifecycleWork::Definitions(
    const std::string& tenant) const {
  static const auto* const kNone = new std::map<std::string, ModelDefinition>;
  const auto it = tenant_.find(tenant);
  return it == tenant_.end() ? *kNone : it->second.definitions;
}

absl::Status LifecycleWork::SaveModel(const std::string& tenant, ModelDefinition definition,
                                      bool refold, bool anew) {
  const std::string id = definition.model.id;
  std::map<std::string, ModelDefinition> definitions = Definitions(tenant);
  definitions[id] = std::move(definition);
  CLM_ASSIGN_OR_RETURN(auto models, Compile(Models(tenant).epoch + 1, definitions));
  Tenant& staged = TouchTenant(tenant);
  staged.definitions = std::move(definitions);
  staged.models = std::move(models);
  staged.changed = true;
  pending_.models.emplace_back(tenant, id);
  if (refold) pending_.jobs.push_back({tenant, id, anew});
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, int64_t>> LifecycleWork::CountByStage(
    const std::string& tenant, const std::string& model) {
  pg::Args args;
  args.Add(tenant).Add(model);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_->Exec(kCountByStage, args));
  std::map<std::string, int64_t> counts;
  for (int i = 0; i < rows.size(); ++i) counts[std::string(rows[i].Text(0))] = rows[i].Int(1);
  return counts;
}

absl::StatusOr<bool> LifecycleWork::HasCustomers(const std::string& tenant) {
  pg::Args args;
  args.Add(tenant);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_->Exec(kHasCustomers, args));
  return rows[0].Bool(0);
}

absl::StatusOr<std::vector<std::string>> LifecycleWork::Kpis(const std::string& tenant) {
  pg::Args args;
  args.Add(tenant);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_->Exec(kKpis, args));
  std::vector<std::string> kpis;
  kpis.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) kpis.push_back(rows[i].Bytes(0));
  return kpis;
}

void LifecycleWork::SaveRule(const std::string& tenant, RuleRecord record) {
  TouchTenant(tenant).definitions[record.rule.model_id].rules[record.rule.id] = record;
  pending_.rules.push_back({tenant, std::move(record), false});
}

void LifecycleWork::DeleteRule(const std::string& tenant, const RuleRecord& record) {
  TouchTenant(tenant).definitions[record.rule.model_id].rules.erase(record.rule.id);
  pending_.rules.push_back({tenant, record, true});
}

absl::Status LifecycleWork::FlushModels(pg::Tx& tx) {
  std::set<std::pair<std::string, std::string>> saved(pending_.models.begin(),
                                                      pending_.models.end());
  for (const auto& [tenant, id] : saved) {
    const ModelDefinition& definition = tenant_[tenant].definitions.at(id);
    pg::Args args;
    args.Add(tenant).Add(id).Add(definition.model.version).Add(definition.row_version);
    args.Add(definition.preset).AddBytes(ToProto(definition.model).SerializeAsString());
    args.Add(definition.create_time).Add(definition.update_time);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveModel, args).status());
    for (const Revision& revision : definition.revisions) {
      v1::ListRulesResponse rules;
      for (const Rule& rule : revision.rules) *rules.add_rules() = ToProto(rule);
      DynamicValues mapping;
      for (const auto& [from, to] : revision.mapping) mapping[from] = to;
      pg::Args r;
      r.Add(tenant).Add(id).Add(revision.number).Add(revision.from);
      r.AddBytes(ToProto(revision.model).SerializeAsString());
      r.AddBytes(rules.SerializeAsString()).Add(ToJson(mapping));
      CLM_RETURN_IF_ERROR(tx.Exec(kSaveRevision, r).status());
    }
  }
  for (const SavedRule& saved_rule : pending_.rules) {
    const Rule& rule = saved_rule.record.rule;
    pg::Args args;
    args.Add(saved_rule.tenant).Add(rule.model_id).Add(rule.id);
    if (saved_rule.deleted) {
      CLM_RETURN_IF_ERROR(tx.Exec(kDeleteRule, args).status());
      continue;
    }
    args.AddBytes(ToProto(saved_rule.tenant, saved_rule.record).SerializeAsString());
    args.Add(saved_rule.record.row_version);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveRule, args).status());
  }
  for (const Job& job : pending_.jobs) {
    pg::Args args;
    args.Add(job.tenant).Add(job.model).Add(job.anew);
    CLM_RETURN_IF_ERROR(tx.Exec(kOpenJob, args).status());
  }
  for (const auto& [tenant, state] : tenant_) {
    if (!state.changed) continue;
    pg::Args args;
    args.Add(tenant).Add(state.models->epoch);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveEpoch, args).status());
  }
  return absl::OkStatus();
}

absl::Status LifecycleWork::FlushCustomers(pg::Tx& tx) {
  struct Columns {
    std::vector<std::string> tenants, sources, locales, attributes, initials;
    std::vector<Uuid> ids;
    std::vector<int64_t> statuses, versions;
    std::vector<absl::Time> create_times;
    std::vector<std::optional<Uuid>> merged, was_merged;
  } inserts, updates, progresses;
  std::vector<EntityKey> keys;
  for (const auto& [key, entry] : entries_) {
    if (entry->dirty || entry->progressed) keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());
  for (const EntityKey& key : keys) {
    const Entry& entry = *entries_[key];
    const Customer& customer = entry.customer;
    Columns& c = entry.inserted ? inserts : entry.dirty ? updates : progresses;
    c.tenants.push_back(key.tenant);
    c.ids.push_back(key.id);
    c.versions.push_back(customer.version);
    c.was_merged.push_back(entry.was_merged_into);
    if (&c == &progresses) continue;
    c.sources.push_back(customer.source);
    c.locales.push_back(customer.locale);
    c.statuses.push_back(customer.status);
    c.attributes.push_back(ToJson(customer.attributes));
    c.initials.push_back(ToJson(customer.initial));
    c.create_times.push_back(customer.create_time);
    c.merged.push_back(customer.merged_into);
  }
  const auto write = [&](const pg::Statement& statement, const Columns& c) -> absl::Status {
    if (c.ids.empty()) return absl::OkStatus();
    pg::Args args;
    args.AddArray(c.tenants).AddArray(c.ids);
    if (&c != &progresses) {
      args.AddArray(c.sources).AddArray(c.locales).AddArray(c.statuses).AddArray(c.attributes);
      args.AddArray(c.initials).AddArray(c.create_times).AddArray(c.merged);
    }
    args.AddArray(c.versions);
    if (&c != &inserts) args.AddArray(c.was_merged);
    CLM_ASSIGN_OR_RETURN(const pg::Result done, tx.Exec(statement, args));
    // A merge in another shard has made or merged one of them since it was read.
    if (done.affected() != static_cast<int64_t>(c.ids.size())) return pg::Retry();
    return absl::OkStatus();
  };
  CLM_RETURN_IF_ERROR(write(kInsertCustomers, inserts));
  CLM_RETURN_IF_ERROR(write(kUpdateCustomers, updates));
  return write(kProgressCustomers, progresses);
}

namespace {

absl::Status InsertFacts(pg::Tx& tx, const pg::Statement& statement,
                         const std::vector<std::pair<EntityKey, FactPtr>>& facts) {
  if (facts.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, types;
  std::vector<Uuid> contacts, ids;
  std::vector<absl::Time> times;
  std::vector<int64_t> kinds;
  std::vector<std::optional<int64_t>> amounts, quantities;
  std::vector<std::optional<std::string>> currencies, channels, properties;
  const auto optional = [](const std::string& text) {
    return text.empty() ? std::nullopt : std::optional<std::string>(text);
  };
  for (const auto& [key, fact] : facts) {
    tenants.push_back(key.tenant);
    contacts.push_back(key.id);
    times.push_back(fact->fact.at);
    ids.push_back(fact->id);
    kinds.push_back(static_cast<int64_t>(fact->fact.kind));
    types.push_back(fact->fact.type);
    amounts.push_back(fact->amount_minor);
    currencies.push_back(optional(fact->currency));
    quantities.push_back(fact->quantity);
    channels.push_back(optional(fact->channel));
    const DynamicValues values = PropertiesOf(*fact);
    properties.push_back(values.empty() ? std::nullopt : std::optional(ToJson(values)));
  }
  pg::Args args;
  args.AddArray(tenants).AddArray(contacts).AddArray(times).AddArray(ids).AddArray(kinds);
  args.AddArray(types).AddArray(amounts).AddArray(currencies).AddArray(quantities);
  args.AddArray(channels).AddArray(properties);
  return tx.Exec(statement, args).status();
}

}  // namespace

// Twins of an event are rare: nobody looks for them, until one is met. Its transaction fails by the
// key, the lane runs it again, and for a while those that come look first.
absl::Status LifecycleWork::InsertUnread(pg::Tx& tx) const {
  const absl::Time now = context_->clock->Now();
  const bool look = absl::ToUnixMicros(now) < context_->look_until_micros;
  absl::Status status = InsertFacts(tx, look ? kInsertUnread : kInsertFacts, pending_.unread);
  if (pg::SqlState(status) == "23505") {
    context_->look_until_micros = absl::ToUnixMicros(now + kLookAfterTwin);
  }
  return status;
}

absl::Status LifecycleWork::FlushFacts(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(InsertFacts(tx, kInsertFacts, pending_.facts));
  CLM_RETURN_IF_ERROR(InsertUnread(tx));
  // The last of those that `alias` was merged into; no merge is under way.
  const auto find_survivor = [&](EntityKey at) -> absl::StatusOr<EntityKey> {
    for (;;) {
      pg::Args args;
      args.Add(at.tenant).Add(at.id);
      CLM_ASSIGN_OR_RETURN(const pg::Result row, tx.Exec(kSurvivor, args));
      if (row.empty() || row[0].IsNull(0)) return at;
      at.id = row[0].Uuid(0);
    }
  };
  const auto is_erased = [&](const EntityKey& key) -> absl::StatusOr<bool> {
    pg::Args args;
    args.Add(key.tenant).Add(key.id).Add(int64_t{contact::v1::Contact::STATUS_ERASED});
    CLM_ASSIGN_OR_RETURN(const pg::Result row, tx.Exec(kIsErased, args));
    return !row.empty() && row[0].Bool(0);
  };
  const auto mark = [&](const EntityKey& key) {
    pg::Args args;
    args.Add(key.tenant).Add(key.id);
    return tx.Exec(kMarkRefold, args).status();
  };
  for (const Moved& moved : pending_.moved) {
    EntityKey to = moved.to;
    if (moved.further) {
      CLM_ASSIGN_OR_RETURN(to, find_survivor(moved.to));
      CLM_RETURN_IF_ERROR(mark(to));
    }
    pg::Args args;
    pg::Args tenant;
    tenant.Add(moved.from.tenant);
    CLM_RETURN_IF_ERROR(tx.Exec(kCountMerge, tenant).status());
    args.Add(moved.from.tenant).Add(moved.from.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kDropPlaces, args).status());
    args.Add(to.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kMoveFacts, args).status());
  }
  for (const auto& [alias, fact] : pending_.redirected) {
    CLM_ASSIGN_OR_RETURN(const EntityKey survivor, find_survivor(alias));
    CLM_ASSIGN_OR_RETURN(const bool erased, is_erased(survivor));
    if (erased && fact->fact.type == kTierChangedFact) continue;
    const FactPtr kept = erased ? ShareFact(Bare(*fact)) : fact;
    CLM_RETURN_IF_ERROR(InsertFacts(tx, kRedirectFacts, {{survivor, kept}}));
    CLM_RETURN_IF_ERROR(mark(survivor));
  }
  for (const EntityKey& key : pending_.erased) {
    pg::Args args;
    args.Add(key.tenant).Add(key.id);
    for (const pg::Statement* statement : {&kEraseFacts, &kEraseAnswers}) {
      CLM_RETURN_IF_ERROR(tx.Exec(*statement, args).status());
    }
  }
  return absl::OkStatus();
}

absl::Status LifecycleWork::FlushPlaces(pg::Tx& tx) {
  std::vector<std::string> tenants, models, states, stages;
  std::vector<Uuid> contacts;
  std::vector<absl::Time> enter_times;
  std::vector<int64_t> episodes, versions;
  std::vector<bool> overdue;
  std::vector<std::optional<absl::Time>> due;
  for (const auto& [key, entry] : entries_) {
    for (const std::string& model : entry->dirty_places) {
      const Place& place = entry->customer.places.at(model);
      tenants.push_back(key.tenant);
      contacts.push_back(key.id);
      models.push_back(model);
      states.push_back(EncodeState(place.state));
      stages.push_back(place.state.stage);
      enter_times.push_back(place.state.entered_at);
      episodes.push_back(place.state.episode);
      overdue.push_back(place.state.overdue);
      due.push_back(place.due == absl::InfiniteFuture() ? std::nullopt
                                                        : std::optional<absl::Time>(place.due));
      versions.push_back(place.version);
    }
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(tenants).AddArray(contacts).AddArray(models).AddBytesArray(states);
  args.AddArray(stages).AddArray(enter_times).AddArray(episodes).AddArray(overdue).AddArray(due);
  args.AddArray(versions);
  return tx.Exec(kSavePlaces, args).status();
}

absl::Status LifecycleWork::FlushLog(pg::Tx& tx) {
  struct Totals {
    int64_t entered = 0;
    int64_t left = 0;
  };
  using DayKey = std::tuple<std::string, std::string, std::string, std::string, int>;
  std::map<DayKey, Totals> days;
  // A merged customer's moves are counted under the survivor's shard, which is the one locked.
  absl::flat_hash_map<EntityKey, EntityKey> moved;
  for (const Moved& m : pending_.moved) moved.emplace(m.from, m.to);
  const auto count = [&](const Line& line, int64_t by) {
    const LoggedTransition& logged = line.transition.logged;
    const std::string day = FormatDay(absl::ToCivilDay(logged.at, absl::UTCTimeZone()));
    const auto survivor = moved.find(line.key);
    const EntityKey& owner = survivor == moved.end() ? line.key : survivor->second;
    const int shard = ShardOf(owner.tenant, owner.id);
    const std::string& tenant = line.key.tenant;
    if (!logged.from.empty()) days[{tenant, line.model, logged.from, day, shard}].left += by;
    if (!logged.to.empty()) days[{tenant, line.model, logged.to, day, shard}].entered += by;
  };

  if (!pending_.appended.empty()) {
    std::vector<std::string> tenants, models, from, to, rules, fact_types, actors, reasons, skipped;
    std::vector<Uuid> contacts;
    std::vector<int64_t> sequences, causes, directions, versions, episodes;
    std::vector<absl::Time> times, record_times;
    std::vector<std::optional<Uuid>> facts, requests;
    std::vector<bool> synthetic;
    for (const Line& line : pending_.appended) {
      const RecordedTransition& t = line.transition;
      count(line, 1);
      tenants.push_back(line.key.tenant);
      contacts.push_back(line.key.id);
      models.push_back(line.model);
      sequences.push_back(t.logged.sequence);
      from.push_back(t.logged.from);
      to.push_back(t.logged.to);
      times.push_back(t.logged.at);
      record_times.push_back(t.record_time);
      causes.push_back(static_cast<int64_t>(t.logged.cause));
      directions.push_back(static_cast<int64_t>(t.logged.direction));
      rules.push_back(t.logged.rule_id);
      facts.push_back(Uuid::Parse(t.logged.fact_id));
      fact_types.push_back(t.fact_type);
      actors.push_back(t.actor);
      reasons.push_back(t.reason);
      requests.push_back(Uuid::Parse(t.request_id));
      skipped.push_back(absl::StrJoin(t.logged.skipped, ","));
      synthetic.push_back(t.logged.synthetic);
      versions.push_back(t.logged.model_version);
      episodes.push_back(t.logged.episode);
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(contacts).AddArray(models).AddArray(sequences).AddArray(from);
    args.AddArray(to).AddArray(times).AddArray(record_times).AddArray(causes).AddArray(directions);
    args.AddArray(rules).AddArray(facts).AddArray(fact_types).AddArray(actors).AddArray(reasons);
    args.AddArray(skipped).AddArray(synthetic).AddArray(versions).AddArray(episodes);
    args.AddArray(requests);
    CLM_RETURN_IF_ERROR(tx.Exec(kAppendLog, args).status());
  }
  if (!pending_.overdue.empty()) {
    std::vector<std::string> tenants, models, stages;
    std::vector<Uuid> contacts;
    std::vector<absl::Time> enter_times, overdue_times;
    for (const Overdue& o : pending_.overdue) {
      tenants.push_back(o.key.tenant);
      contacts.push_back(o.key.id);
      models.push_back(o.model);
      stages.push_back(o.notice.stage);
      enter_times.push_back(o.notice.entered_at);
      overdue_times.push_back(o.notice.at);
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(contacts).AddArray(models).AddArray(stages);
    args.AddArray(enter_times).AddArray(overdue_times);
    CLM_RETURN_IF_ERROR(tx.Exec(kOverdue, args).status());
  }
  if (!pending_.voided.empty()) {
    std::vector<std::string> tenants, models;
    std::vector<Uuid> contacts;
    std::vector<int64_t> sequences;
    std::vector<absl::Time> times;
    for (const Line& line : pending_.voided) {
      count(line, -1);
      tenants.push_back(line.key.tenant);
      contacts.push_back(line.key.id);
      models.push_back(line.model);
      sequences.push_back(line.transition.logged.sequence);
      times.push_back(*line.transition.supersede_time);
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(contacts).AddArray(models).AddArray(sequences).AddArray(times);
    CLM_RETURN_IF_ERROR(tx.Exec(kSupersede, args).status());
  }
  for (const EntityKey& key : pending_.erased) {
    pg::Args args;
    args.Add(key.tenant).Add(key.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kEraseLog, args).status());
  }
  std::vector<std::string> tenants, models, stages, dates;
  std::vector<int64_t> shards, entered, left;
  for (const auto& [key, totals] : days) {
    if (totals.entered == 0 && totals.left == 0) continue;
    tenants.push_back(std::get<0>(key));
    models.push_back(std::get<1>(key));
    stages.push_back(std::get<2>(key));
    dates.push_back(std::get<3>(key));
    shards.push_back(std::get<4>(key));
    entered.push_back(totals.entered);
    left.push_back(totals.left);
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(tenants).AddArray(models).AddArray(stages).AddArray(dates).AddArray(shards);
  args.AddArray(entered).AddArray(left);
  return tx.Exec(kAddDays, args).status();
}

absl::Status LifecycleWork::FlushRest(pg::Tx& tx) {
  for (const auto& [tenant, cost] : pending_.costs) {
    pg::Args args;
    args.Add(tenant).Add(cost.id).Add(cost.contact).Add(cost.source).Add(cost.start);
    args.Add(cost.end).Add(cost.amount_minor).Add(cost.currency).Add(cost.create_time);
    CLM_RETURN_IF_ERROR(tx.Exec(kInsertCosts, args).status());
  }
  for (const auto& [key, token] : pending_.refolded) {
    pg::Args args;
    args.Add(key.tenant).Add(key.id).Add(token);
    CLM_RETURN_IF_ERROR(tx.Exec(kRefoldDone, args).status());
  }
  return absl::OkStatus();
}

absl::Status LifecycleWork::Flush(pg::Tx& tx) {
  Discard();
  CLM_RETURN_IF_ERROR(FlushModels(tx));
  // First the customers: their rows are what guards against a merge.
  CLM_RETURN_IF_ERROR(FlushCustomers(tx));
  CLM_RETURN_IF_ERROR(FlushFacts(tx));
  CLM_RETURN_IF_ERROR(FlushPlaces(tx));
  CLM_RETURN_IF_ERROR(FlushLog(tx));
  return FlushRest(tx);
}

absl::Status LifecycleWork::Committed(const journal::Offsets&) {
  for (const auto& [tenant, state] : tenant_) {
    if (state.changed) context_->models->Put(tenant, state.models);
  }
  absl::Time due = absl::InfiniteFuture();
  std::vector<ChangedStages> changed;
  const absl::Time now = context_->clock->Now();
  for (const auto& [key, entry] : entries_) {
    for (const std::string& model : entry->dirty_places) {
      due = std::min(due, entry->customer.places.at(model).due);
    }
    if (!entry->visible || context_->cache == nullptr) continue;
    changed.push_back({key, entry->customer.version, now,
                       StagesOf(entry->customer, Models(key.tenant), now).SerializeAsString()});
  }
  absl::Status told = changed.empty() ? absl::OkStatus() : context_->cache->StagesChanged(changed);
  // Work of this kind is found by looking; the earliest possible moment is now.
  if (!pending_.jobs.empty() || !pending_.redirected.empty() || !pending_.moved.empty()) {
    due = absl::InfinitePast();
  }
  if (due != absl::InfiniteFuture() && context_->on_due) context_->on_due(due);
  return told;
}

// ---- Reads.

namespace {

pg::TxOptions For(const std::string& tenant, absl::Time deadline) {
  return {pg::Scope::Tenant(tenant), deadline};
}

pg::TxOptions ForSuite() { return {pg::Scope::Suite(), absl::Now() + absl::Seconds(30)}; }

}  // namespace

absl::StatusOr<std::shared_ptr<const TenantModels>> LifecycleReader::Models(
    const std::string& tenant, absl::Time deadline) {
  std::shared_ptr<const TenantModels> models;
  CLM_RETURN_IF_ERROR(pool_->Read(
      For(tenant, deadline),
      [&](pg::Tx& tx) -> absl::Status {
        const auto run = [&](const pg::Statement& statement, const pg::Args& args) {
          return tx.Exec(statement, args);
        };
        CLM_ASSIGN_OR_RETURN(const auto epochs, ReadEpochs(run, {tenant}));
        models = models_->Get(tenant, epochs.at(tenant));
        if (models != nullptr) return absl::OkStatus();
        CLM_ASSIGN_OR_RETURN(const DefinitionsByTenant definitions, ReadDefinitions(run, {tenant}));
        CLM_ASSIGN_OR_RETURN(models, Compile(epochs.at(tenant), definitions.at(tenant)));
        models_->Put(tenant, models);
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return models;
}

absl::StatusOr<std::map<std::string, ModelDefinition>> LifecycleReader::Definitions(
    const std::string& tenant, absl::Time deadline) {
  std::map<std::string, ModelDefinition> definitions;
  CLM_RETURN_IF_ERROR(pool_->Read(
      For(tenant, deadline),
      [&](pg::Tx& tx) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(
            auto all,
            ReadDefinitions([&](const pg::Statement& statement,
                                const pg::Args& args) { return tx.Exec(statement, args); },
                            {tenant}));
        definitions = std::move(all[tenant]);
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return definitions;
}

absl::StatusOr<Customer> LifecycleReader::FindCustomer(const EntityKey& key, absl::Time deadline) {
  std::optional<Customer> found;
  CLM_RETURN_IF_ERROR(pool_->Read(
      For(key.tenant, deadline),
      [&](pg::Tx& tx) -> absl::Status {
        EntityKey at = key;
        for (;;) {
          const pg::Args args = pg::KeyArgs({at});
          CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCustomers, args));
          if (rows.empty()) return error::NotFound(EntityName(kContacts, key));
          found = CustomerFrom(rows[0]);
          if (!found->merged_into) {
            CLM_ASSIGN_OR_RETURN(const pg::Result places, tx.Exec(kPlaces, args));
            for (int i = 0; i < places.size(); ++i) {
              CLM_ASSIGN_OR_RETURN(found->places[std::string(places[i].Text(2))],
                                   PlaceFrom(places[i], 3, 4, 5));
            }
            return absl::OkStatus();
          }
          at.id = *found->merged_into;
        }
      },
      /*repeatable=*/true));
  return *std::move(found);
}

absl::StatusOr<std::vector<TransitionLine>> LifecycleReader::Transitions(
    const EntityKey& key, const std::string& model, bool show_superseded,
    const TransitionPosition& after, int limit, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.id).Add(model).Add(show_superseded);
  args.Add(after.at).Add(after.model).Add(after.sequence).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query(For(key.tenant, deadline), kListTransitions, args));
  std::vector<TransitionLine> lines;
  lines.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) {
    lines.push_back({std::string(rows[i].Text(2)), LineFrom(rows[i])});
  }
  return lines;
}

absl::StatusOr<std::vector<FactPtr>> LifecycleReader::Facts(const EntityKey& key,
                                                            const std::vector<Uuid>& ids,
                                                            absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.id).AddArray(ids);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query(For(key.tenant, deadline), kFactsById, args));
  std::vector<FactPtr> facts;
  facts.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) facts.push_back(FactFrom(rows[i]));
  return facts;
}

absl::StatusOr<std::vector<FactPtr>> LifecycleReader::FactsSince(
    const EntityKey& key, absl::Time since, const std::set<std::string>& event_types,
    const std::set<std::string>& fields, absl::Time deadline) {
  pg::Args args = pg::KeyArgs({key});
  args.AddArray(std::vector<absl::Time>{since});
  args.AddArray(std::vector<std::string>(event_types.begin(), event_types.end()));
  args.AddArray(std::vector<std::string>(fields.begin(), fields.end()));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query(For(key.tenant, deadline), kSomeFacts, args));
  std::vector<FactPtr> facts;
  facts.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) facts.push_back(FactFrom(rows[i]));
  return facts;
}

absl::StatusOr<std::vector<LifecycleReader::InStage>> LifecycleReader::CustomersInStage(
    const std::string& tenant, const std::string& model, const std::string& stage,
    absl::Time after_time, const Uuid& after, int limit, absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(model).Add(stage).Add(after_time).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, pool_->Query(For(tenant, deadline), kInStage, args));
  std::vector<InStage> customers;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(Place place, PlaceFrom(rows[i], 1, 2, 3));
    customers.push_back({{tenant, rows[i].Uuid(0)}, std::move(place)});
  }
  return customers;
}

absl::StatusOr<std::map<std::string, int64_t>> LifecycleReader::CountByStage(
    const std::string& tenant, const std::string& model, absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(model);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query(For(tenant, deadline), kCountByStage, args));
  std::map<std::string, int64_t> counts;
  for (int i = 0; i < rows.size(); ++i) counts[std::string(rows[i].Text(0))] = rows[i].Int(1);
  return counts;
}

absl::StatusOr<std::vector<std::pair<Customer, std::vector<FactPtr>>>> LifecycleReader::Histories(
    const std::string& tenant, const Uuid& after, int limit, absl::Time deadline) {
  std::vector<std::pair<Customer, std::vector<FactPtr>>> histories;
  CLM_RETURN_IF_ERROR(pool_->Read(
      For(tenant, deadline),
      [&](pg::Tx& tx) -> absl::Status {
        histories.clear();
        pg::Args page;
        page.Add(tenant).Add(after).Add(limit);
        CLM_ASSIGN_OR_RETURN(const pg::Result ids, tx.Exec(kCustomersAfter, page));
        std::vector<EntityKey> keys;
        keys.reserve(ids.size());
        for (int i = 0; i < ids.size(); ++i) keys.push_back({tenant, ids[i].Uuid(0)});
        if (keys.empty()) return absl::OkStatus();
        const pg::Args args = pg::KeyArgs(keys);
        std::map<EntityKey, std::pair<Customer, std::vector<FactPtr>>> by_key;
        CLM_ASSIGN_OR_RETURN(const pg::Result customers, tx.Exec(kCustomers, args));
        for (int i = 0; i < customers.size(); ++i) {
          by_key[KeyOf(customers[i])].first = CustomerFrom(customers[i]);
        }
        CLM_ASSIGN_OR_RETURN(const pg::Result places, tx.Exec(kPlaces, args));
        for (int i = 0; i < places.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(
              by_key[KeyOf(places[i])].first.places[std::string(places[i].Text(2))],
              PlaceFrom(places[i], 3, 4, 5));
        }
        CLM_ASSIGN_OR_RETURN(const pg::Result facts, tx.Exec(kAllFacts, args));
        for (int i = 0; i < facts.size(); ++i) {
          by_key[KeyOf(facts[i])].second.push_back(FactFrom(facts[i]));
        }
        for (auto& [_, history] : by_key) histories.push_back(std::move(history));
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return histories;
}

absl::StatusOr<std::vector<DueCustomer>> LifecycleReader::Due(absl::Time now, int limit) {
  pg::Args args;
  args.Add(now).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, pool_->Query(ForSuite(), kDue, args));
  std::vector<DueCustomer> due;
  due.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) due.push_back({KeyOf(rows[i]), rows[i].Time(2)});
  return due;
}

absl::StatusOr<absl::Time> LifecycleReader::NextDue() {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, pool_->Query(ForSuite(), kNextDue));
  return rows.empty() ? absl::InfiniteFuture() : rows[0].Time(0);
}

absl::StatusOr<std::vector<RefoldMark>> LifecycleReader::RefoldMarks(int limit) {
  pg::Args args;
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, pool_->Query(ForSuite(), kRefoldMarks, args));
  std::vector<RefoldMark> marks;
  marks.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) marks.push_back({KeyOf(rows[i]), rows[i].Uuid(2)});
  return marks;
}

absl::StatusOr<std::optional<ModelJob>> LifecycleReader::ClaimJob(absl::Time now,
                                                                  absl::Time lease) {
  std::optional<ModelJob> job;
  CLM_RETURN_IF_ERROR(pool_->Transact(ForSuite(), [&](pg::Tx& tx) -> absl::Status {
    pg::Args args;
    args.Add(now).Add(lease);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kClaimJob, args));
    job.reset();
    if (!rows.empty()) {
      const pg::Row row = rows[0];
      job = ModelJob{std::string(row.Text(0)), std::string(row.Text(1)), row.Uuid(2), row.Bool(3),
                     row.Uuid(4)};
    }
    return absl::OkStatus();
  }));
  return job;
}

absl::StatusOr<std::vector<EntityKey>> LifecycleReader::CustomersAfter(const std::string& tenant,
                                                                       const Uuid& after,
                                                                       int limit) {
  pg::Args args;
  args.Add(tenant).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, pool_->Query(ForSuite(), kCustomersAfter, args));
  std::vector<EntityKey> keys;
  keys.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) keys.push_back({tenant, rows[i].Uuid(0)});
  return keys;
}

absl::StatusOr<bool> LifecycleReader::AdvanceJob(const ModelJob& job, int64_t more, bool finished,
                                                 absl::Time now, absl::Time lease) {
  bool mine = false;
  CLM_RETURN_IF_ERROR(pool_->Transact(ForSuite(), [&](pg::Tx& tx) -> absl::Status {
    pg::Args args;
    args.Add(job.tenant).Add(job.model).Add(job.job).Add(job.done_up_to).Add(more);
    if (finished) {
      args.Add(now);
    } else {
      args.AddNull();
    }
    args.Add(lease);
    CLM_ASSIGN_OR_RETURN(const pg::Result done, tx.Exec(kAdvanceJob, args));
    mine = done.affected() == 1;
    return absl::OkStatus();
  }));
  return mine;
}

absl::StatusOr<LifecycleReader::Progress> LifecycleReader::JobProgress(const std::string& tenant,
                                                                       const std::string& model,
                                                                       absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(model);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query(For(tenant, deadline), kJobProgress, args));
  if (rows.empty()) return Progress{};
  return Progress{rows[0].Int(0), rows[0].Bool(1)};
}

pg::Schema LifecycleDatabase() {
  pg::Schema schema = LifecycleSchema();
  schema.migrations.insert(schema.migrations.begin(), journal::JournalMigration());
  // It has the number that the files leave out.
  int at = 0;
  while (at < static_cast<int>(schema.migrations.size()) &&
         schema.migrations[at].number == at + 1) {
    ++at;
  }
  schema.migrations.insert(schema.migrations.begin() + at, journal::ConsumerMigration(at + 1));
  return schema;
}

std::vector<const pg::Statement*> LifecycleStatements() {
  return {&kEpochs,
          &kEnter,
          &kMergeCounts,
          &kModels,
          &kRevisions,
          &kRules,
          &kSaveEpoch,
          &kCountMerge,
          &kSaveModel,
          &kSaveRevision,
          &kSaveRule,
          &kDeleteRule,
          &kOpenJob,
          &kCustomers,
          &kPresent,
          &kPlaces,
          &kCustomersInPlaces,
          &kKnownFacts,
          &kAllFacts,
          &kSomeFacts,
          &kFactsById,
          &kLog,
          &kListTransitions,
          &kInsertCustomers,
          &kUpdateCustomers,
          &kProgressCustomers,
          &kInsertFacts,
          &kInsertUnread,
          &kRedirectFacts,
          &kMoveFacts,
          &kDropPlaces,
          &kSurvivor,
          &kIsErased,
          &kMarkRefold,
          &kRefoldDone,
          &kSavePlaces,
          &kAppendLog,
          &kSupersede,
          &kOverdue,
          &kAddDays,
          &kEraseFacts,
          &kEraseLog,
          &kEraseAnswers,
          &kInsertCosts,
          &kInStage,
          &kCountByStage,
          &kCustomersAfter,
          &kDue,
          &kNextDue,
          &kRefoldMarks,
          &kClaimJob,
          &kAdvanceJob,
          &kHasCustomers,
          &kKpis,
          &kJobProgress};
}

}  // namespace clm::lifecycle
