#include "services/lifecycle/prediction_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/lifecycle/insights_rules.h"

namespace clm::lifecycle {
namespace {

// One pass over many rows: never looked up one by one.
constexpr pg::Statement kPlanForMany{"prediction.plan_for_many", R"sql(
  SELECT set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'on', true),
         set_config('enable_hashjoin', 'on', true), set_config('jit', 'off', true),
         set_config('work_mem', '64MB', true))sql"};

// $1 tenant, $2 before this instant, $3 and $4 the property and its value.
#define CLM_PURCHASE_FACTS                                                   \
  "FROM fact WHERE tenant_id = $1::text AND kind = 0 AND type = 'purchase' " \
  "AND occur_time < $2::timestamptz "                                        \
  "AND ($3::text IS NULL OR properties ->> $3::text = $4::text) "

constexpr pg::Statement kBounds{"prediction.bounds", R"sql(
  SELECT min(first AT TIME ZONE 'UTC')::date,
         (array_agg(currency ORDER BY n DESC, currency) FILTER (WHERE currency <> ''))[1]
  FROM (SELECT currency, min(occur_time) AS first, count(*) AS n )sql" CLM_PURCHASE_FACTS
                                                     R"sql(GROUP BY currency) AS c)sql"};

// A day of a customer; `nth` from 1. $5 currency.
#define CLM_PURCHASE_DAYS(whose)                                                                  \
  "WITH day AS ("                                                                                 \
  "  SELECT contact_id, (occur_time AT TIME ZONE 'UTC')::date AS d,"                              \
  "         coalesce(sum(amount_minor) FILTER (WHERE currency = $5::text), 0) AS "                \
  "amount " CLM_PURCHASE_FACTS whose                                                              \
  " GROUP BY 1, 2"                                                                                \
  "), counted AS ("                                                                               \
  "  SELECT contact_id, d, amount, row_number() OVER (PARTITION BY contact_id ORDER BY d) AS nth" \
  "  FROM day) "

// $6 end, $7 end of calibration.
#define CLM_BUYERS                                                            \
  "SELECT contact_id, count(*) - 1, (max(d) - min(d))::bigint, "              \
  "       ($6::date - min(d))::bigint, "                                      \
  "       coalesce(sum(amount) FILTER (WHERE nth > 1), 0)::bigint, "          \
  "       count(*) FILTER (WHERE d <= $7::date) - 1, "                        \
  "       coalesce(max(d) FILTER (WHERE d <= $7::date) - min(d), 0)::bigint " \
  "FROM counted GROUP BY contact_id ORDER BY contact_id"

constexpr pg::Statement kBuyers{"prediction.buyers", CLM_PURCHASE_DAYS("") CLM_BUYERS};

// $8 whose.
constexpr pg::Statement kBuyer{"prediction.buyer",
                               CLM_PURCHASE_DAYS("AND contact_id = $8::uuid") CLM_BUYERS};

constexpr pg::Statement kDays{"prediction.days", CLM_PURCHASE_DAYS("") R"sql(
  SELECT d, count(*) FILTER (WHERE nth = 1), count(*) FILTER (WHERE nth > 1)
  FROM counted GROUP BY d ORDER BY d)sql"};

constexpr pg::Statement kModel{"prediction.model", R"sql(
  SELECT body FROM prediction_model WHERE tenant_id = $1::text AND id = $2::text)sql"};

constexpr pg::Statement kModels{"prediction.models", R"sql(
  SELECT id, body FROM prediction_model
  WHERE tenant_id = $1::text AND id COLLATE "C" > $2::text
  ORDER BY id COLLATE "C" LIMIT $3::int)sql"};

void AddFacts(pg::Args& args, const std::string& tenant, const PurchaseQuery& query) {
  args.Add(tenant).Add(Midnight(query.end + 1));
  if (query.product_property.empty()) {
    args.AddNull().AddNull();
  } else {
    args.Add(query.product_property).Add(query.product);
  }
}

absl::StatusOr<std::vector<Buyer>> ReadBuyers(pg::Tx& tx, const std::string& tenant,
                                              const PurchaseQuery& query) {
  pg::Args args;
  AddFacts(args, tenant, query);
  args.Add(query.currency).Add(query.end).Add(query.calibration_end);
  if (query.contact) args.Add(*query.contact);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(query.contact ? kBuyer : kBuyers, args));
  std::vector<Buyer> buyers;
  buyers.reserve(static_cast<size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    buyers.push_back({.contact = row.Uuid(0),
                      .frequency = row.Int(1),
                      .recency_days = row.Int(2),
                      .age_days = row.Int(3),
                      .repeat_spend_minor = row.Int(4),
                      .frequency_before = row.Int(5),
                      .recency_before_days = row.Int(6)});
  }
  return buyers;
}

absl::StatusOr<std::vector<PurchaseDay>> ReadDays(pg::Tx& tx, const std::string& tenant,
                                                  const PurchaseQuery& query) {
  pg::Args args;
  AddFacts(args, tenant, query);
  args.Add(query.currency);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kDays, args));
  std::vector<PurchaseDay> days;
  for (int i = 0; i < rows.size(); ++i) {
    days.push_back({rows[i].Day(0), rows[i].Int(1), rows[i].Int(2)});
  }
  return days;
}

absl::StatusOr<v1::PredictionModel> Parsed(const std::string& tenant, const std::string& id,
                                           const std::string& body) {
  v1::PredictionModel model;
  if (!model.ParseFromString(body)) {
    return error::Internal("a stored prediction model does not parse");
  }
  model.set_name(PredictionModelName(tenant, id));
  return model;
}

}  // namespace

std::string PredictionModelName(const std::string& tenant, const std::string& id) {
  return absl::StrCat("tenants/", tenant, "/predictionModels/", id);
}

absl::StatusOr<HistoryBounds> PredictionStore::Bounds(const std::string& tenant,
                                                      absl::Time deadline,
                                                      const PurchaseQuery& query) {
  pg::Args args;
  AddFacts(args, tenant, query);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kBounds, args));
  return HistoryBounds{rows[0].OptDay(0), rows[0].OptText(1).value_or("")};
}

absl::StatusOr<std::vector<Buyer>> PredictionStore::Buyers(const std::string& tenant,
                                                           absl::Time deadline,
                                                           const PurchaseQuery& query) {
  std::vector<Buyer> buyers;
  CLM_RETURN_IF_ERROR(
      pool_->Read({pg::Scope::Tenant(tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        if (!query.contact) CLM_RETURN_IF_ERROR(tx.Exec(kPlanForMany).status());
        CLM_ASSIGN_OR_RETURN(buyers, ReadBuyers(tx, tenant, query));
        return absl::OkStatus();
      }));
  return buyers;
}

absl::StatusOr<Purchases> PredictionStore::Read(const std::string& tenant, absl::Time deadline,
                                                const PurchaseQuery& query) {
  Purchases purchases;
  purchases.end = query.end;
  if (query.calibration_end < query.end) purchases.calibration_end = query.calibration_end;
  CLM_RETURN_IF_ERROR(pool_->Read(
      {pg::Scope::Tenant(tenant), deadline},
      [&](pg::Tx& tx) -> absl::Status {
        CLM_RETURN_IF_ERROR(tx.Exec(kPlanForMany).status());
        CLM_ASSIGN_OR_RETURN(purchases.buyers, ReadBuyers(tx, tenant, query));
        CLM_ASSIGN_OR_RETURN(purchases.days, ReadDays(tx, tenant, query));
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return purchases;
}

absl::StatusOr<v1::PredictionModel> PredictionStore::Model(const std::string& tenant,
                                                           const std::string& id,
                                                           absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kModel, args));
  if (rows.empty()) return error::NotFound(PredictionModelName(tenant, id));
  return Parsed(tenant, id, rows[0].Bytes(0));
}

absl::StatusOr<std::vector<v1::PredictionModel>> PredictionStore::Models(const std::string& tenant,
                                                                         const std::string& after,
                                                                         int limit,
                                                                         absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kModels, args));
  std::vector<v1::PredictionModel> models;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(v1::PredictionModel model,
                         Parsed(tenant, std::string(rows[i].Text(0)), rows[i].Bytes(1)));
    models.push_back(std::move(model));
  }
  return models;
}

std::vector<const pg::Statement*> PredictionStatements() {
  return {&kPlanForMany, &kBounds, &kBuyers, &kBuyer, &kDays, &kModel, &kModels};
}

}  // namespace clm::lifecycle
