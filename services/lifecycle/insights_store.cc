#include "services/lifecycle/insights_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"

namespace clm::lifecycle {
namespace {

constexpr int64_t kMostDifferences = 1000;

// Reports go through many rows at once. Right after an import, before the tables are analysed, the
// planner would take these for a few and go through them once for every other. Sessions are set up
// to look rows up by key; a report may do otherwise.
constexpr pg::Statement kPlanForMany{"insights.plan_for_many", R"sql(
  SELECT set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'on', true),
         set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true),
         set_config('jit', 'off', true))sql"};

// $1 tenant, $2 model, $3 instant.
constexpr pg::Statement kBoard{"insights.board", R"sql(
  SELECT to_stage, count(*), count(*) FILTER (WHERE overdue_time < $3::timestamptz)
  FROM (
    SELECT DISTINCT ON (contact_id) to_stage, overdue_time
    FROM transition
    WHERE tenant_id = $1::text AND model_id = $2::text AND effective_time < $3::timestamptz
      AND supersede_time IS NULL
    ORDER BY contact_id, effective_time DESC, sequence DESC) AS latest
  WHERE to_stage <> '' GROUP BY to_stage)sql"};

// $3 first day, $4 the day of the instant, $5 its beginning, $6 the instant. Whole days come from
// the running totals, the last one from the log.
constexpr pg::Statement kFlows{"insights.flows", R"sql(
  SELECT day, stage, sum(entered)::bigint, sum("left")::bigint
  FROM (
    SELECT day, stage, entered, "left" FROM stage_day
    WHERE tenant_id = $1::text AND model_id = $2::text AND day >= $3::date AND day < $4::date
    UNION ALL
    SELECT $4::date, m.stage, m.entered, m."left"
    FROM transition t
    CROSS JOIN LATERAL (VALUES (t.to_stage, 1, 0), (t.from_stage, 0, 1))
      AS m (stage, entered, "left")
    WHERE t.tenant_id = $1::text AND t.model_id = $2::text AND t.supersede_time IS NULL
      AND t.effective_time >= $5::timestamptz AND t.effective_time < $6::timestamptz
      AND $4::date >= $3::date AND m.stage <> '') AS flow
  GROUP BY day, stage HAVING sum(entered) <> 0 OR sum("left") <> 0
  ORDER BY day, stage)sql"};

// $3 stages and $7 the steps, from 1, that they enter, [$4, $5) when the funnel is begun, $6 now. A
// customer's entries into the steps are looked at from an anchor on. Those that lead further than
// any before are its records: a strict step is a record that is just one step ahead of the last,
// and all records before it were; a record reaches every step it leads past.
constexpr pg::Statement kFunnel{"insights.funnel", R"sql(
  WITH step AS (
    SELECT stage, k FROM unnest($3::text[], $7::int[]) AS s (stage, k)
  ), move AS MATERIALIZED (
    SELECT contact_id, to_stage, effective_time AS at, sequence, overdue_time FROM transition
    WHERE tenant_id = $1::text AND model_id = $2::text AND effective_time < $6::timestamptz
      AND supersede_time IS NULL
  ), entry AS MATERIALIZED (
    SELECT m.contact_id, s.k, m.at,
           row_number() OVER (PARTITION BY m.contact_id ORDER BY m.at, m.sequence) AS place
    FROM move m JOIN step s ON s.stage = m.to_stage
  ), anchor AS (
    SELECT true AS strict, contact_id, min(place) AS place FROM entry
    WHERE k = 1 AND at >= $4::timestamptz AND at < $5::timestamptz GROUP BY contact_id
    UNION ALL
    SELECT false, contact_id, min(place) FROM entry
    WHERE (k = 1 OR place = 1) AND at >= $4::timestamptz AND at < $5::timestamptz
    GROUP BY contact_id
  ), seen AS (
    SELECT a.strict, e.contact_id, e.k, e.at, e.place,
           coalesce(max(e.k) OVER (PARTITION BY a.strict, e.contact_id ORDER BY e.place
                                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS best
    FROM anchor a JOIN entry e ON e.contact_id = a.contact_id AND e.place >= a.place
  ), record AS (
    SELECT strict, contact_id, k, at, best,
           row_number() OVER (PARTITION BY strict, contact_id ORDER BY place) AS nth
    FROM seen WHERE k > best
  ), reached AS (
    SELECT strict, contact_id, k, at FROM record WHERE strict AND nth = k
    UNION ALL
    SELECT strict, contact_id, g.k, at
    FROM record r CROSS JOIN LATERAL generate_series(r.best + 1, r.k) AS g (k) WHERE NOT strict
  ), timed AS (
    SELECT strict, contact_id, k, floor(extract(epoch FROM at - lag(at) OVER w))::bigint AS took,
           lead(k) OVER w IS NOT NULL AS advanced
    FROM reached WINDOW w AS (PARTITION BY strict, contact_id ORDER BY k)
  ), latest AS (
    SELECT DISTINCT ON (contact_id) contact_id, to_stage, overdue_time
    FROM move ORDER BY contact_id, at DESC, sequence DESC
  )
  SELECT t.strict, t.k - 1, count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY t.took),
         percentile_disc(0.9) WITHIN GROUP (ORDER BY t.took),
         count(*) FILTER (WHERE NOT t.advanced AND t.k < (SELECT max(k) FROM step)
                          AND (s.k IS DISTINCT FROM t.k OR l.overdue_time < $6::timestamptz))
  FROM timed t JOIN latest l ON l.contact_id = t.contact_id
  LEFT JOIN step s ON s.stage = l.to_stage
  GROUP BY t.strict, t.k ORDER BY t.strict, t.k)sql"};

// Spans (began, until] at whose boundaries somebody is a customer become rows by boundary. The
// spans of a customer do not overlap, and `first` is when the first of them began.
#define CLM_COUNT_BOUNDARIES(boundaries)                                                 \
  "), present AS ("                                                                      \
  "  SELECT s.contact_id, s.first, g.i FROM span s CROSS JOIN LATERAL generate_series("  \
  "    width_bucket(s.began, " boundaries ") + 1, width_bucket(s.until, " boundaries     \
  ")) AS g (i)"                                                                          \
  "), joined AS ("                                                                       \
  "  SELECT i, first, lead(i) OVER (PARTITION BY contact_id ORDER BY i) = i + 1 AS kept" \
  "  FROM present"                                                                       \
  ") SELECT i - 1, count(*), count(*) FILTER (WHERE kept),"                              \
  "    count(*) FILTER (WHERE first >= (" boundaries                                     \
  ")[i - 1])"                                                                            \
  "  FROM joined GROUP BY i ORDER BY i"

// $3 stages, $4 boundaries.
constexpr pg::Statement kInStages{"insights.in_stages", R"sql(
  WITH visit AS (
    SELECT contact_id, to_stage, effective_time AS began,
           lead(effective_time, 1, 'infinity') OVER (PARTITION BY contact_id
                                                     ORDER BY effective_time, sequence) AS until
    FROM transition
    WHERE tenant_id = $1::text AND model_id = $2::text AND supersede_time IS NULL
  ), span AS (
    SELECT contact_id, began, until, min(began) OVER (PARTITION BY contact_id) AS first
    FROM visit WHERE to_stage = ANY ($3::text[])
)sql" CLM_COUNT_BOUNDARIES("$4::timestamptz[]")};

// $2 type, $3 days, $4 boundaries.
constexpr pg::Statement kBoughtWithin{"insights.bought_within", R"sql(
  WITH bought AS (
    SELECT contact_id, occur_time AS began,
           lead(occur_time, 1, 'infinity') OVER (PARTITION BY contact_id
                                                 ORDER BY occur_time, event_id) AS next,
           min(occur_time) OVER (PARTITION BY contact_id) AS first
    FROM fact WHERE tenant_id = $1::text AND kind = 0 AND type = $2::text
      AND occur_time < ($4::timestamptz[])[cardinality($4::timestamptz[])]
  ), span AS (
    SELECT contact_id, began, first,
           least(next, began + make_interval(secs => 86400.0 * $3::int)) AS until
    FROM bought
)sql" CLM_COUNT_BOUNDARIES("$4::timestamptz[]")};

// $2 type, $3 period, $4 as of, $5 by sign-up, [$6, $7) first days of cohorts, $8 currency or
// empty. A row without a period holds the size of the cohort.
constexpr pg::Statement kCohorts{"insights.cohorts", R"sql(
  WITH main AS MATERIALIZED (
    SELECT CASE WHEN $8::text <> '' THEN $8::text ELSE (
      SELECT currency FROM fact
      WHERE tenant_id = $1::text AND kind = 0 AND type = $2::text AND occur_time < $4::timestamptz
        AND currency <> ''
      GROUP BY currency ORDER BY count(*) DESC, currency LIMIT 1) END AS currency
  ), event AS (
    SELECT contact_id, date_trunc($3::text, occur_time AT TIME ZONE 'UTC')::date AS period,
           type = $2::text AS counts,
           CASE WHEN currency = (SELECT currency FROM main)
                THEN CASE WHEN type = $2::text THEN amount_minor ELSE -amount_minor END END AS money
    FROM fact
    WHERE tenant_id = $1::text AND kind = 0 AND type IN ($2::text, 'refund')
      AND occur_time < $4::timestamptz
  ), done AS MATERIALIZED (
    SELECT contact_id, period, bool_or(counts) AS active, sum(money) AS money, NULL::date AS created
    FROM event GROUP BY contact_id, period
    UNION ALL
    SELECT contact_id, NULL, false, NULL, date_trunc($3::text, create_time AT TIME ZONE 'UTC')::date
    FROM customer
    WHERE $5::boolean AND tenant_id = $1::text AND merged_into IS NULL
      AND create_time < $4::timestamptz
  ), placed AS (
    SELECT period, active, money, row_number() OVER w = 1 AS head,
           CASE WHEN NOT $5::boolean THEN min(period) FILTER (WHERE active) OVER p
                WHEN min(created) OVER p IS NOT NULL
                THEN least(min(created) OVER p, min(period) FILTER (WHERE active) OVER p)
                END AS cohort
    FROM done WINDOW p AS (PARTITION BY contact_id), w AS (PARTITION BY contact_id ORDER BY period)
  ), chosen AS MATERIALIZED (
    SELECT period, active, money, head, cohort FROM placed
    WHERE cohort >= $6::date AND cohort < $7::date
  ), cell AS (
    SELECT cohort, NULL::date AS period, count(*) FILTER (WHERE head) AS people, 0::numeric AS money
    FROM chosen GROUP BY cohort
    UNION ALL
    SELECT cohort, period, count(*) FILTER (WHERE active), coalesce(sum(money), 0)
    FROM chosen WHERE period >= cohort GROUP BY cohort, period
  )
  SELECT c.cohort, c.period, c.people, c.money::bigint, m.currency, l.period
  FROM main m
  CROSS JOIN (SELECT max(period) AS period FROM done WHERE active) AS l
  LEFT JOIN cell c ON true
  ORDER BY c.cohort, c.period NULLS FIRST)sql"};

// $2 type.
constexpr pg::Statement kMainCurrency{"insights.main_currency", R"sql(
  SELECT currency FROM (
    SELECT 1 AS rank, currency, count(*) AS n FROM fact
    WHERE tenant_id = $1::text AND kind = 0 AND type = $2::text AND currency <> ''
    GROUP BY currency
    UNION ALL
    SELECT 2, currency, count(*) FROM acquisition_cost WHERE tenant_id = $1::text
    GROUP BY currency) AS c
  ORDER BY rank, n DESC, currency LIMIT 1)sql"};

// One row per person, and one without a person per cost that nobody bears. $2 currency, $3 as of.
// The cost of a source and period is divided evenly; the first by id take what does not divide.
#define CLM_PERSONS                                                                              \
  "WITH RECURSIVE owner AS ( "                                                                   \
  "SELECT id, contact_id FROM acquisition_cost "                                                 \
  "WHERE tenant_id = $1::text AND currency = $2::text AND contact_id IS NOT NULL "               \
  "AND start_date <= ($3::timestamptz AT TIME ZONE 'UTC')::date "                                \
  "UNION ALL "                                                                                   \
  "SELECT o.id, c.merged_into "                                                                  \
  "FROM owner o JOIN customer c ON c.tenant_id = $1::text AND c.contact_id = o.contact_id "      \
  "WHERE c.merged_into IS NOT NULL "                                                             \
  "), direct AS ( "                                                                              \
  "SELECT o.contact_id, a.amount_minor "                                                         \
  "FROM owner o "                                                                                \
  "JOIN acquisition_cost a ON a.tenant_id = $1::text AND a.id = o.id "                           \
  "LEFT JOIN customer c ON c.tenant_id = $1::text AND c.contact_id = o.contact_id "              \
  "WHERE c.merged_into IS NULL "                                                                 \
  "), spread AS ( "                                                                              \
  "SELECT a.source, a.amount_minor, c.contact_id, count(c.contact_id) OVER (PARTITION BY a.id) " \
  "AS n, "                                                                                       \
  "row_number() OVER (PARTITION BY a.id ORDER BY c.contact_id) AS nth "                          \
  "FROM acquisition_cost a "                                                                     \
  "LEFT JOIN customer c ON c.tenant_id = $1::text AND c.source = a.source "                      \
  "AND c.merged_into IS NULL AND c.create_time < $3::timestamptz "                               \
  "AND c.create_time >= a.start_date::timestamp AT TIME ZONE 'UTC' "                             \
  "AND c.create_time < (a.end_date + 1)::timestamp AT TIME ZONE 'UTC' "                          \
  "WHERE a.tenant_id = $1::text AND a.currency = $2::text AND a.contact_id IS NULL "             \
  "AND a.start_date <= ($3::timestamptz AT TIME ZONE 'UTC')::date "                              \
  "), money AS ( "                                                                               \
  "SELECT contact_id, NULL::text AS source, count(*) FILTER (WHERE type = 'purchase') AS "       \
  "purchases, "                                                                                  \
  "sum(amount_minor) FILTER (WHERE type = 'purchase' AND currency = $2::text) AS revenue, "      \
  "sum(amount_minor) FILTER (WHERE type = 'refund' AND currency = $2::text) AS refund, "         \
  "NULL::numeric AS cost, min(occur_time) FILTER (WHERE type = 'purchase') AS first, "           \
  "sum(CASE type WHEN 'refund' THEN -goods ELSE goods END) "                                     \
  "FILTER (WHERE currency = $2::text) AS goods, "                                                \
  "count(*) FILTER (WHERE type = 'purchase' AND currency = $2::text AND goods IS NULL) "         \
  "AS unpriced "                                                                                 \
  "FROM (SELECT contact_id, type, occur_time, amount_minor, currency, "                          \
  "CASE WHEN properties->>'cost_minor' ~ '" CLM_GOODS_COST_PATTERN                               \
  "' "                                                                                           \
  "THEN (properties->>'cost_minor')::bigint END AS goods "                                       \
  "FROM fact "                                                                                   \
  "WHERE tenant_id = $1::text AND kind = 0 AND type IN ('purchase', 'refund') "                  \
  "AND occur_time < $3::timestamptz) AS f "                                                      \
  "GROUP BY contact_id "                                                                         \
  "UNION ALL "                                                                                   \
  "SELECT contact_id, NULL, 0, NULL, NULL, amount_minor, NULL, NULL, 0 FROM direct "             \
  "UNION ALL "                                                                                   \
  "SELECT contact_id, source, 0, NULL, NULL, "                                                   \
  "CASE WHEN n = 0 THEN amount_minor "                                                           \
  "ELSE amount_minor / n + CASE WHEN nth <= amount_minor % n THEN 1 ELSE 0 END END, "            \
  "NULL, NULL, 0 "                                                                               \
  "FROM spread "                                                                                 \
  "), person AS ( "                                                                              \
  "SELECT m.contact_id, coalesce(c.source, m.source, '') AS source, "                            \
  "sum(m.purchases)::bigint AS purchases, coalesce(sum(m.revenue), 0)::bigint AS revenue, "      \
  "coalesce(sum(m.refund), 0)::bigint AS refund, coalesce(sum(m.cost), 0)::bigint AS cost, "     \
  "min(m.first) AS first, coalesce(sum(m.goods), 0)::bigint AS goods, "                          \
  "sum(m.unpriced)::bigint AS unpriced "                                                         \
  "FROM money m LEFT JOIN customer c ON c.tenant_id = $1::text AND c.contact_id = m.contact_id " \
  "WHERE $4::uuid IS NULL OR m.contact_id = $4::uuid "                                           \
  "GROUP BY 1, 2 "                                                                               \
  ") "

// $4 only this person, $5 what a row is, $6 after this key, $7 how many.
constexpr pg::Statement kValues{"insights.values", CLM_PERSONS R"sql(
  SELECT key, count(*) FILTER (WHERE purchases > 0), sum(purchases)::bigint, sum(revenue)::bigint,
         sum(refund)::bigint, sum(cost)::bigint, sum(goods)::bigint, sum(unpriced)::bigint
  FROM (
    SELECT CASE $5::text
             WHEN 'total' THEN 'total'
             WHEN 'source' THEN source
             ELSE coalesce(to_char(date_trunc('month', first AT TIME ZONE 'UTC'), 'YYYY-MM-DD'),
                           'none') END COLLATE "C" AS key,
           purchases, revenue, refund, cost, goods, unpriced
    FROM person) AS p
  WHERE $6::text IS NULL OR key > $6::text
  GROUP BY key ORDER BY key LIMIT $7::int)sql"};

// $5 and $6 after this value and person, $7 how many.
constexpr pg::Statement kCustomerValues{"insights.customer_values", CLM_PERSONS R"sql(
  SELECT contact_id, purchases, revenue, refund, cost, goods, unpriced
  FROM person
  WHERE contact_id IS NOT NULL
    AND ($5::bigint IS NULL OR revenue - refund - cost < $5::bigint
         OR (revenue - refund - cost = $5::bigint AND contact_id > $6::uuid))
  ORDER BY revenue - refund - cost DESC, contact_id LIMIT $7::int)sql"};

// $3 what a row is.
constexpr pg::Statement kVelocity{"insights.velocity", R"sql(
  WITH visit AS (
    SELECT contact_id, to_stage AS stage, synthetic, effective_time AS began,
           lead(effective_time) OVER w AS until, first_value(effective_time) OVER w AS first
    FROM transition
    WHERE tenant_id = $1::text AND model_id = $2::text AND supersede_time IS NULL
    WINDOW w AS (PARTITION BY contact_id ORDER BY effective_time, sequence)
  ), timed AS (
    SELECT v.stage, v.until IS NULL AS open,
           floor(extract(epoch FROM v.until - v.began))::bigint AS took,
           CASE $3::text
             WHEN 'cohort' THEN to_char(
               date_trunc('month', least(c.create_time, v.first) AT TIME ZONE 'UTC'), 'YYYY-MM-DD')
             WHEN 'source' THEN coalesce(c.source, '')
             ELSE '' END COLLATE "C" AS key
    FROM visit v LEFT JOIN customer c ON c.tenant_id = $1::text AND c.contact_id = v.contact_id
    WHERE v.stage <> '' AND NOT v.synthetic
  )
  SELECT stage, key, count(*) FILTER (WHERE NOT open), count(*) FILTER (WHERE open),
         percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
         percentile_disc(0.9) WITHIN GROUP (ORDER BY took)
  FROM timed GROUP BY stage, key ORDER BY stage, key)sql"};

constexpr pg::Statement kNewContacts{"insights.new_contacts", R"sql(
  SELECT count(*) FROM customer
  WHERE tenant_id = $1::text AND merged_into IS NULL AND create_time >= $2::timestamptz
    AND create_time < $3::timestamptz)sql"};

constexpr pg::Statement kStageEntries{"insights.stage_entries", R"sql(
  SELECT count(DISTINCT contact_id) FROM transition
  WHERE tenant_id = $1::text AND model_id = $2::text AND to_stage = $3::text
    AND supersede_time IS NULL AND effective_time >= $4::timestamptz
    AND effective_time < $5::timestamptz)sql"};

// $3 from, $4 to.
constexpr pg::Statement kConverted{"insights.converted", R"sql(
  WITH move AS (
    SELECT contact_id, to_stage, effective_time, sequence FROM transition
    WHERE tenant_id = $1::text AND model_id = $2::text AND supersede_time IS NULL
      AND effective_time >= $5::timestamptz AND effective_time < $6::timestamptz
      AND to_stage IN ($3::text, $4::text)
  ), came AS (
    SELECT DISTINCT ON (contact_id) contact_id, effective_time, sequence FROM move
    WHERE to_stage = $3::text ORDER BY contact_id, effective_time, sequence
  )
  SELECT count(*), count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM move m WHERE m.contact_id = c.contact_id AND m.to_stage = $4::text
      AND (m.effective_time, m.sequence) > (c.effective_time, c.sequence)))
  FROM came c)sql"};

// $3 stage, [$4, $5) when the contacts were created.
constexpr pg::Statement kLeads{"insights.leads", R"sql(
  SELECT count(*), count(t.contact_id)
  FROM customer c
  LEFT JOIN (
    SELECT DISTINCT contact_id FROM transition
    WHERE tenant_id = $1::text AND model_id = $2::text AND to_stage = $3::text
      AND supersede_time IS NULL AND effective_time < $5::timestamptz) AS t
    ON t.contact_id = c.contact_id
  WHERE c.tenant_id = $1::text AND c.merged_into IS NULL AND c.create_time >= $4::timestamptz
    AND c.create_time < $5::timestamptz)sql"};

constexpr pg::Statement kBuyers{"insights.buyers", R"sql(
  WITH bought AS (
    SELECT contact_id, occur_time >= $2::timestamptz AS now,
           row_number() OVER (PARTITION BY contact_id ORDER BY occur_time, event_id) AS nth
    FROM fact WHERE tenant_id = $1::text AND kind = 0 AND type = 'purchase'
      AND occur_time < $3::timestamptz
  )
  SELECT count(DISTINCT contact_id) FILTER (WHERE now),
         count(DISTINCT contact_id) FILTER (WHERE now AND nth > 1),
         count(*) FILTER (WHERE now AND nth = 1),
         count(*) FILTER (WHERE nth = 1),
         count(*) FILTER (WHERE nth = 1) - count(*) FILTER (WHERE nth = 2)
  FROM bought)sql"};

constexpr pg::Statement kRevenue{"insights.revenue", R"sql(
  SELECT coalesce(sum(CASE type WHEN 'refund' THEN -amount_minor ELSE amount_minor END), 0)::bigint
  FROM fact WHERE tenant_id = $1::text AND kind = 0 AND type IN ('purchase', 'refund')
    AND currency = $2::text AND occur_time >= $3::timestamptz
    AND occur_time < $4::timestamptz)sql"};

constexpr pg::Statement kCost{"insights.cost", R"sql(
  SELECT coalesce(sum(
    div(amount_minor::numeric * (least(end_date + 1, $4::date) - start_date),
        end_date + 1 - start_date)
    - div(amount_minor::numeric * (greatest(start_date, $3::date) - start_date),
          end_date + 1 - start_date)), 0)::bigint
  FROM acquisition_cost
  WHERE tenant_id = $1::text AND currency = $2::text AND start_date < $4::date
    AND end_date >= $3::date AND end_date >= start_date)sql"};

constexpr pg::Statement kMedian{"insights.median", R"sql(
  SELECT percentile_disc(0.5)
           WITHIN GROUP (ORDER BY floor(extract(epoch FROM until - began))::bigint)
  FROM (
    SELECT to_stage, synthetic, effective_time AS began,
           lead(effective_time) OVER (PARTITION BY contact_id
                                      ORDER BY effective_time, sequence) AS until
    FROM transition
    WHERE tenant_id = $1::text AND model_id = $2::text AND supersede_time IS NULL) AS visit
  WHERE to_stage = $3::text AND NOT synthetic AND until >= $4::timestamptz
    AND until < $5::timestamptz)sql"};

constexpr pg::Statement kKpis{"insights.kpis", R"sql(
  SELECT body, row_version FROM kpi WHERE tenant_id = $1::text ORDER BY id COLLATE "C")sql"};

constexpr pg::Statement kBackend{"insights.backend", "SELECT pg_backend_pid()::bigint"};

// $2 how many differences. One row without a total when all is well.
constexpr pg::Statement kRecount{"insights.recount", R"sql(
  WITH running AS (
    SELECT model_id, stage, day, sum(entered) AS entered, sum("left") AS "left"
    FROM stage_day WHERE tenant_id = $1::text GROUP BY model_id, stage, day
  ), move AS MATERIALIZED (
    SELECT contact_id, model_id, from_stage, to_stage, effective_time, sequence,
           (effective_time AT TIME ZONE 'UTC')::date AS day
    FROM transition WHERE tenant_id = $1::text AND supersede_time IS NULL
  ), counted AS (
    SELECT t.model_id, m.stage, t.day, sum(m.entered) AS entered, sum(m."left") AS "left"
    FROM move t
    CROSS JOIN LATERAL (VALUES (t.to_stage, 1, 0), (t.from_stage, 0, 1))
      AS m (stage, entered, "left")
    WHERE m.stage <> '' GROUP BY t.model_id, m.stage, t.day
  ), day AS (
    SELECT concat_ws('/', 'stage_day', model_id, stage, to_char(day, 'YYYY-MM-DD')) AS total,
           coalesce(r.entered, 0) AS re, coalesce(c.entered, 0) AS ce,
           coalesce(r."left", 0) AS rl, coalesce(c."left", 0) AS cl
    FROM running r FULL JOIN counted c USING (model_id, stage, day)
  ), here AS (
    SELECT model_id, stage, count(*) AS people FROM customer_stage
    WHERE tenant_id = $1::text AND stage <> '' GROUP BY model_id, stage
  ), latest AS (
    SELECT model_id, stage, count(*) AS people FROM (
      SELECT DISTINCT ON (model_id, contact_id) model_id, to_stage AS stage FROM move
      ORDER BY model_id, contact_id, effective_time DESC, sequence DESC) AS m
    WHERE stage <> '' GROUP BY model_id, stage
  ), line AS (
    SELECT total || '/entered' AS total, re AS running, ce AS recounted FROM day
    UNION ALL
    SELECT total || '/left', rl, cl FROM day
    UNION ALL
    SELECT concat_ws('/', 'customer_stage', model_id, stage), coalesce(h.people, 0),
           coalesce(l.people, 0)
    FROM here h FULL JOIN latest l USING (model_id, stage)
  )
  SELECT n.compared, d.total, d.running::bigint, d.recounted::bigint
  FROM (SELECT count(*) AS compared FROM line) AS n
  LEFT JOIN (SELECT total, running, recounted FROM line WHERE running <> recounted) AS d ON true
  ORDER BY d.total COLLATE "C" LIMIT $2::int)sql"};

absl::StatusOr<std::vector<BoundaryRow>> BoundariesFrom(absl::StatusOr<pg::Result> result) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, std::move(result));
  std::vector<BoundaryRow> boundaries;
  boundaries.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) {
    boundaries.push_back(
        {static_cast<int>(rows[i].Int(0)), rows[i].Int(1), rows[i].Int(2), rows[i].Int(3)});
  }
  return boundaries;
}

}  // namespace

absl::StatusOr<std::vector<BoardRow>> InsightsQueries::Board(const std::string& model,
                                                             absl::Time as_of) {
  pg::Args args;
  args.Add(tenant_).Add(model).Add(as_of);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kBoard, args));
  std::vector<BoardRow> board;
  board.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) {
    board.push_back({std::string(rows[i].Text(0)), rows[i].Int(1), rows[i].Int(2)});
  }
  return board;
}

absl::StatusOr<std::vector<FlowRow>> InsightsQueries::Flows(const std::string& model,
                                                            absl::CivilDay first,
                                                            absl::Time as_of) {
  const absl::CivilDay last = DayOf(as_of);
  pg::Args args;
  args.Add(tenant_).Add(model).Add(first).Add(last).Add(Midnight(last)).Add(as_of);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kFlows, args));
  std::vector<FlowRow> flows;
  flows.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) {
    flows.push_back({rows[i].Day(0), std::string(rows[i].Text(1)), rows[i].Int(2), rows[i].Int(3)});
  }
  return flows;
}

absl::StatusOr<std::vector<FunnelRow>> InsightsQueries::Funnel(
    const std::string& model, const std::vector<std::vector<std::string>>& steps, absl::Time start,
    absl::Time end, absl::Time now) {
  std::vector<std::string> stages;
  std::vector<int64_t> numbers;
  for (size_t k = 0; k < steps.size(); ++k) {
    for (const std::string& stage : steps[k]) {
      stages.push_back(stage);
      numbers.push_back(static_cast<int64_t>(k) + 1);
    }
  }
  pg::Args args;
  args.Add(tenant_).Add(model).AddArray(stages).Add(start).Add(end).Add(now).AddArray(numbers);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kFunnel, args));
  std::vector<FunnelRow> funnel;
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    funnel.push_back({row.Bool(0), static_cast<int>(row.Int(1)), row.Int(2), row.OptInt(3),
                      row.OptInt(4), row.Int(5)});
  }
  return funnel;
}

absl::StatusOr<std::vector<BoundaryRow>> InsightsQueries::InStages(
    const std::string& model, const std::vector<std::string>& stages,
    const std::vector<absl::Time>& boundaries) {
  pg::Args args;
  args.Add(tenant_).Add(model).AddArray(stages).AddArray(boundaries);
  return BoundariesFrom(tx_.Exec(kInStages, args));
}

absl::StatusOr<std::vector<BoundaryRow>> InsightsQueries::BoughtWithin(
    const std::string& type, int days, const std::vector<absl::Time>& boundaries) {
  pg::Args args;
  args.Add(tenant_).Add(type).Add(days).AddArray(boundaries);
  return BoundariesFrom(tx_.Exec(kBoughtWithin, args));
}

absl::StatusOr<CohortTable> InsightsQueries::Cohorts(const CohortQuery& query) {
  pg::Args args;
  args.Add(tenant_).Add(query.event_type).Add(PeriodName(query.period)).Add(query.as_of);
  args.Add(query.by_sign_up);
  if (query.from == absl::InfinitePast()) {
    args.Add("-infinity");
  } else {
    args.Add(PeriodStart(query.period, DayOf(query.from)));
  }
  if (query.until == absl::InfiniteFuture()) {
    args.Add("infinity");
  } else {
    // Cohorts begin at midnight: those before a time are those up to the day that it begins or
    // cuts.
    args.Add(DayOf(query.until - absl::Nanoseconds(1)) + 1);
  }
  args.Add(query.currency);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kCohorts, args));
  CohortTable table;
  table.currency = query.currency;
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    table.currency = row.OptText(4).value_or("");
    table.last_period = row.OptDay(5);
    const auto cohort = row.OptDay(0);
    if (!cohort) continue;
    const auto period = row.OptDay(1);
    if (!period) {
      table.cohorts.push_back({.start = *cohort, .size = row.Int(2)});
    } else {
      table.cohorts.back().activities.push_back({*period, row.Int(2), row.Int(3)});
    }
  }
  return table;
}

absl::StatusOr<std::string> InsightsQueries::MainCurrency(const std::string& type) {
  pg::Args args;
  args.Add(tenant_).Add(type);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kMainCurrency, args));
  return rows.empty() ? std::string() : std::string(rows[0].Text(0));
}

absl::StatusOr<std::vector<ValueRow>> InsightsQueries::Values(const ValueQuery& query,
                                                              ValueGroup group,
                                                              const std::string& after, int limit) {
  pg::Args args;
  args.Add(tenant_).Add(query.currency).Add(query.as_of).Add(query.contact);
  args.Add(group == ValueGroup::kTotal    ? "total"
           : group == ValueGroup::kSource ? "source"
                                          : "cohort");
  if (after.empty()) {
    args.AddNull();
  } else {
    args.Add(after);
  }
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kValues, args));
  std::vector<ValueRow> values;
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    values.push_back({.key = std::string(row.Text(0)),
                      .customers = row.Int(1),
                      .purchases = row.Int(2),
                      .revenue_minor = row.Int(3),
                      .refund_minor = row.Int(4),
                      .cost_minor = row.Int(5),
                      .goods_minor = row.Int(6),
                      .unpriced = row.Int(7)});
  }
  return values;
}

absl::StatusOr<std::vector<ValueRow>> InsightsQueries::CustomerValues(
    const ValueQuery& query, std::optional<int64_t> after_value, const Uuid& after, int limit) {
  pg::Args args;
  args.Add(tenant_).Add(query.currency).Add(query.as_of).Add(query.contact);
  args.Add(after_value).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kCustomerValues, args));
  std::vector<ValueRow> values;
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    values.push_back({.contact = row.Uuid(0),
                      .customers = row.Int(1) > 0 ? 1 : 0,
                      .purchases = row.Int(1),
                      .revenue_minor = row.Int(2),
                      .refund_minor = row.Int(3),
                      .cost_minor = row.Int(4),
                      .goods_minor = row.Int(5),
                      .unpriced = row.Int(6)});
  }
  return values;
}

absl::StatusOr<std::vector<VelocityRow>> InsightsQueries::Velocity(const std::string& model,
                                                                   VelocityGroup group) {
  pg::Args args;
  args.Add(tenant_).Add(model);
  args.Add(group == VelocityGroup::kCohort   ? "cohort"
           : group == VelocityGroup::kSource ? "source"
                                             : "");
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kVelocity, args));
  std::vector<VelocityRow> velocity;
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    velocity.push_back({std::string(row.Text(0)), std::string(row.Text(1)), row.Int(2), row.Int(3),
                        row.OptInt(4), row.OptInt(5)});
  }
  return velocity;
}

absl::StatusOr<int64_t> InsightsQueries::NewContacts(absl::Time start, absl::Time end) {
  pg::Args args;
  args.Add(tenant_).Add(start).Add(end);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kNewContacts, args));
  return rows[0].Int(0);
}

absl::StatusOr<int64_t> InsightsQueries::StageEntries(const std::string& model,
                                                      const std::string& stage, absl::Time start,
                                                      absl::Time end) {
  pg::Args args;
  args.Add(tenant_).Add(model).Add(stage).Add(start).Add(end);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kStageEntries, args));
  return rows[0].Int(0);
}

absl::StatusOr<InsightsQueries::Conversion> InsightsQueries::Converted(const std::string& model,
                                                                       const std::string& from,
                                                                       const std::string& to,
                                                                       absl::Time start,
                                                                       absl::Time end) {
  pg::Args args;
  args.Add(tenant_).Add(model).Add(from).Add(to).Add(start).Add(end);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kConverted, args));
  return Conversion{rows[0].Int(0), rows[0].Int(1)};
}

absl::StatusOr<InsightsQueries::Leads> InsightsQueries::LeadsOf(const std::string& model,
                                                                const std::string& stage,
                                                                absl::Time start, absl::Time end) {
  pg::Args args;
  args.Add(tenant_).Add(model).Add(stage).Add(start).Add(end);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kLeads, args));
  return Leads{rows[0].Int(0), rows[0].Int(1)};
}

absl::StatusOr<Buyers> InsightsQueries::BuyersOf(absl::Time start, absl::Time end) {
  pg::Args args;
  args.Add(tenant_).Add(start).Add(end);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kBuyers, args));
  const pg::Row row = rows[0];
  return Buyers{row.Int(0), row.Int(1), row.Int(2), row.Int(3), row.Int(4)};
}

absl::StatusOr<int64_t> InsightsQueries::Revenue(const std::string& currency, absl::Time start,
                                                 absl::Time end) {
  pg::Args args;
  args.Add(tenant_).Add(currency).Add(start).Add(end);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kRevenue, args));
  return rows[0].Int(0);
}

absl::StatusOr<int64_t> InsightsQueries::AcquisitionCost(const std::string& currency,
                                                         absl::CivilDay start, absl::CivilDay end) {
  pg::Args args;
  args.Add(tenant_).Add(currency).Add(start).Add(end);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kCost, args));
  return rows[0].Int(0);
}

absl::StatusOr<std::optional<int64_t>> InsightsQueries::MedianSeconds(const std::string& model,
                                                                      const std::string& stage,
                                                                      absl::Time start,
                                                                      absl::Time end) {
  pg::Args args;
  args.Add(tenant_).Add(model).Add(stage).Add(start).Add(end);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kMedian, args));
  return rows[0].OptInt(0);
}

absl::StatusOr<std::vector<InsightsQueries::StoredKpi>> InsightsQueries::Kpis() {
  pg::Args args;
  args.Add(tenant_);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kKpis, args));
  std::vector<StoredKpi> kpis;
  kpis.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) kpis.push_back({rows[i].Bytes(0), rows[i].Int(1)});
  return kpis;
}

absl::StatusOr<Recount> InsightsQueries::RecountTotals() {
  pg::Args args;
  args.Add(tenant_).Add(kMostDifferences);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kRecount, args));
  Recount recount;
  for (int i = 0; i < rows.size(); ++i) {
    recount.compared = rows[i].Int(0);
    if (const auto total = rows[i].OptText(1)) {
      recount.differences.push_back({*total, rows[i].Int(2), rows[i].Int(3)});
    }
  }
  return recount;
}

absl::StatusOr<int64_t> InsightsQueries::Backend() {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kBackend));
  return rows[0].Int(0);
}

absl::Status InsightsStore::Read(const std::string& tenant, absl::Time deadline,
                                 absl::FunctionRef<absl::Status(InsightsQueries&)> ask) {
  return pool_->Read(
      {pg::Scope::Tenant(tenant), deadline},
      [&](pg::Tx& tx) -> absl::Status {
        CLM_RETURN_IF_ERROR(tx.Exec(kPlanForMany).status());
        InsightsQueries queries(tx, tenant);
        return ask(queries);
      },
      /*repeatable=*/true);
}

std::vector<const pg::Statement*> InsightsStatements() {
  return {&kPlanForMany,  &kBoard,        &kFlows,   &kFunnel,         &kInStages, &kBoughtWithin,
          &kCohorts,      &kMainCurrency, &kValues,  &kCustomerValues, &kVelocity, &kNewContacts,
          &kStageEntries, &kConverted,    &kLeads,   &kBuyers,         &kRevenue,  &kCost,
          &kMedian,       &kKpis,         &kRecount, &kBackend};
}

}  // namespace clm::lifecycle
