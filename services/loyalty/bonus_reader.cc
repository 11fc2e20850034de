#include "services/loyalty/bonus_reader.h"

#include <algorithm>
#include <limits>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/bonus_proto.h"
#include "services/loyalty/earn_rules.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/order_proto.h"
#include "services/loyalty/orders.h"

namespace clm::loyalty {
namespace {

// How long the background waits for an answer.
constexpr absl::Duration kPatience = absl::Seconds(30);

constexpr pg::Statement kGetBonusRun{"bonus.get",
                                     "SELECT " CLM_BONUS_RUN_COLUMNS R"sql( FROM bonus_run b
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text AND b.id = $3::uuid)sql"};

constexpr pg::Statement kProgramOfRuns{"bonus.program", R"sql(
  SELECT FROM program WHERE tenant_id = $1::text AND id = $2::text)sql"};

constexpr pg::Statement kListBonusRuns{"bonus.list",
                                       "SELECT " CLM_BONUS_RUN_COLUMNS R"sql( FROM bonus_run b
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text
    AND ($3::uuid IS NULL OR b.id < $3::uuid)
  ORDER BY b.id DESC LIMIT $4::int)sql"};

constexpr pg::Statement kOpenBonusRuns{"bonus.open",
                                       "SELECT " CLM_BONUS_RUN_COLUMNS R"sql( FROM bonus_run b
  WHERE b.state <= 3 ORDER BY b.tenant_id, b.program_id, b.id LIMIT $1::int)sql"};

constexpr pg::Statement kListPicked{"bonus.members",
                                    "SELECT " CLM_BONUS_MEMBER_COLUMNS R"sql( FROM bonus_member b
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text AND b.run_id = $3::uuid
    AND (b.spend_minor, b.contact_id) < ($4::bigint, $5::uuid)
    AND b.rank > 0 AND ($6::int IS NULL OR b.state = $6::int)
  ORDER BY b.spend_minor DESC, b.contact_id DESC LIMIT $7::int)sql"};

// By any of the names of who $8 is.
constexpr pg::Statement kListPickedOf{"bonus.members_of", "SELECT " CLM_BONUS_MEMBER_COLUMNS R"sql(
  FROM (SELECT coalesce((SELECT x.merged_into FROM contact_alias x
          WHERE x.tenant_id = $1::text AND x.contact_id = $8::uuid), $8::uuid) AS id) AS who
  CROSS JOIN LATERAL (SELECT who.id AS contact_id UNION ALL SELECT x.contact_id
    FROM contact_alias x WHERE x.merged_into = who.id AND x.tenant_id = $1::text) AS n
  JOIN bonus_member b ON b.tenant_id = $1::text AND b.program_id = $2::text
    AND b.run_id = $3::uuid AND b.contact_id = n.contact_id
  WHERE (b.spend_minor, b.contact_id) < ($4::bigint, $5::uuid)
    AND b.rank > 0 AND ($6::int IS NULL OR b.state = $6::int)
  ORDER BY b.spend_minor DESC, b.contact_id DESC LIMIT $7::int)sql"};

constexpr pg::Statement kNextPicked{
    "bonus.next", "SELECT coalesce(x.merged_into, b.contact_id), " CLM_BONUS_MEMBER_COLUMNS R"sql(
  FROM bonus_member b
  LEFT JOIN contact_alias x ON x.tenant_id = $1::text AND x.contact_id = b.contact_id
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text AND b.run_id = $3::uuid
    AND (b.spend_minor, b.contact_id) < ($4::bigint, $5::uuid)
  ORDER BY b.spend_minor DESC, b.contact_id DESC LIMIT $6::int)sql"};

// Events keep the name under which they were told; orders follow a merge. Sums are cut to what the
// criteria can ask for.
constexpr pg::Statement kPurchases{"bonus.purchases", R"sql(
  SELECT w.contact_id, s.spend, s.purchases, s.last
  FROM (SELECT unnest($3::uuid[]) AS contact_id) AS w
  CROSS JOIN LATERAL (
    SELECT least(coalesce(sum(p.net) FILTER (WHERE p.at >= $4::timestamptz
                   AND p.currency = $7::text), 0), 9007199254740991)::bigint AS spend,
           count(*) FILTER (WHERE p.at >= $4::timestamptz) AS purchases, max(p.at) AS last
    FROM (
      SELECT f.occur_time AS at, f.amount_minor - f.refunded_minor AS net, f.currency
      FROM (SELECT w.contact_id AS id UNION ALL SELECT x.contact_id FROM contact_alias x
            WHERE x.merged_into = w.contact_id AND x.tenant_id = $1::text) AS n
      CROSS JOIN LATERAL (SELECT * FROM fact f WHERE f.contact_id = n.id
        AND f.program_id = $2::text AND f.tenant_id = $1::text
        AND f.occur_time <= $5::timestamptz AND f.amount_minor > 0 OFFSET 0) f
      WHERE f.event_type = $6::text AND f.refunded_minor < f.amount_minor
      UNION ALL
      SELECT o.close_time, o.amount_minor, o.currency
      FROM customer_order o WHERE o.contact_id = w.contact_id AND o.tenant_id = $1::text
        AND o.program_id = $2::text AND o.state = 2 AND o.amount_minor > 0
        AND o.close_time <= $5::timestamptz) AS p) AS s
  WHERE s.last IS NOT NULL)sql"};

// What of them came back is in their lines.
constexpr pg::Statement kReturnedOrders{"bonus.returned_orders",
                                        "SELECT " CLM_ORDER_COLUMNS
                                        " FROM customer_order o " CLM_ORDER_DETAILS R"sql(
  WHERE o.contact_id = ANY ($3::uuid[]) AND o.tenant_id = $1::text AND o.program_id = $2::text
    AND o.state = 3 AND o.close_time <= $4::timestamptz)sql"};

pg::TxOptions InBackground(const std::string& tenant) {
  return {pg::Scope::Tenant(tenant), absl::Now() + kPatience};
}

// The place, or that before everybody's.
void AddPlace(const BonusPlace& place, pg::Args& args) {
  const bool begun = place.contact.has_value();
  args.Add(begun ? place.spend_minor : std::numeric_limits<int64_t>::max());
  args.Add(place.contact.value_or(Uuid()));
}

pg::Args OfRun(const BonusRunKey& key) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id);
  return args;
}

}  // namespace

absl::StatusOr<BonusRun> BonusReader::Get(const BonusRunKey& key, absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, pool_.Query({pg::Scope::Tenant(key.tenant), deadline},
                                                          kGetBonusRun, OfRun(key)));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadBonusRun(rows[0], 0);
}

absl::StatusOr<std::vector<BonusRun>> BonusReader::List(const ProgramKey& program,
                                                        std::optional<Uuid> before, int limit,
                                                        absl::Time deadline) {
  pg::Args of;
  of.Add(program.tenant).Add(program.program);
  pg::Args args = of;
  args.Add(before).Add(limit);
  std::vector<BonusRun> runs;
  CLM_RETURN_IF_ERROR(
      pool_.Read({pg::Scope::Tenant(program.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        runs.clear();
        CLM_ASSIGN_OR_RETURN(const pg::Result known, tx.Exec(kProgramOfRuns, of));
        if (known.empty()) return error::NotFound(NameOf(program));
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kListBonusRuns, args));
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(BonusRun run, ReadBonusRun(rows[i], 0));
          runs.push_back(std::move(run));
        }
        return absl::OkStatus();
      }));
  return runs;
}

absl::StatusOr<std::vector<BonusMember>> BonusReader::Members(const Query& query,
                                                              absl::Time deadline) {
  pg::Args args = OfRun(query.run);
  AddPlace(query.after, args);
  args.Add(query.state ? std::optional(static_cast<int64_t>(*query.state)) : std::nullopt);
  args.Add(query.limit);
  if (query.member) args.Add(*query.member);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query({pg::Scope::Tenant(query.run.tenant), deadline},
                                   query.member ? kListPickedOf : kListPicked, args));
  std::vector<BonusMember> members;
  for (int i = 0; i < rows.size(); ++i) members.push_back(ReadBonusMember(rows[i], 0));
  return members;
}

absl::StatusOr<std::vector<BonusRun>> BonusReader::Open(int limit) {
  pg::Args args;
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + kPatience}, kOpenBonusRuns, args));
  std::vector<BonusRun> runs;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(BonusRun run, ReadBonusRun(rows[i], 0));
    runs.push_back(std::move(run));
  }
  return runs;
}

absl::StatusOr<std::map<Uuid, BonusFigures>> BonusReader::Purchases(
    const BonusRun& run, absl::Time window_start, const std::vector<Uuid>& contacts) {
  std::map<Uuid, BonusFigures> figures;
  pg::Args args;
  args.Add(run.key.tenant).Add(run.key.program).AddArray(contacts).Add(window_start);
  args.Add(run.as_of).Add(run.criteria.event_type).Add(run.criteria.currency);
  pg::Args returned;
  returned.Add(run.key.tenant).Add(run.key.program).AddArray(contacts).Add(run.as_of);
  CLM_RETURN_IF_ERROR(pool_.Read(
      InBackground(run.key.tenant),
      [&](pg::Tx& tx) -> absl::Status {
        figures.clear();
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kPurchases, args));
        for (int i = 0; i < rows.size(); ++i) {
          BonusFigures& of = figures[rows[i].Uuid(0)];
          of.spend_minor = rows[i].Int(1);
          of.purchases = rows[i].Int(2);
          of.last_purchase = rows[i].Time(3);
        }
        CLM_ASSIGN_OR_RETURN(const pg::Result orders, tx.Exec(kReturnedOrders, returned));
        for (int i = 0; i < orders.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(const Order order, ReadOrder(orders[i], 0));
          const int64_t kept = MoneyKept(order);
          if (kept == 0 || !order.contact || !order.close_time) continue;
          BonusFigures& of = figures[*order.contact];
          of.last_purchase =
              std::max(of.last_purchase.value_or(absl::InfinitePast()), *order.close_time);
          if (*order.close_time < window_start) continue;
          ++of.purchases;
          if (order.currency != run.criteria.currency) continue;
          of.spend_minor = std::min(of.spend_minor + kept, kMaxEarnMoneyMinor);
        }
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return figures;
}

absl::StatusOr<std::vector<BonusReader::Picked>> BonusReader::Next(const BonusRun& run, int limit) {
  pg::Args args = OfRun(run.key);
  AddPlace(run.place, args);
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(InBackground(run.key.tenant), kNextPicked, args));
  std::vector<Picked> picked;
  for (int i = 0; i < rows.size(); ++i) {
    picked.push_back({ReadBonusMember(rows[i], 1), rows[i].Uuid(0)});
  }
  return picked;
}

std::vector<const pg::Statement*> BonusReaderStatements() {
  return {&kGetBonusRun,  &kProgramOfRuns, &kListBonusRuns, &kOpenBonusRuns, &kListPicked,
          &kListPickedOf, &kNextPicked,    &kPurchases,     &kReturnedOrders};
}

}  // namespace clm::loyalty
