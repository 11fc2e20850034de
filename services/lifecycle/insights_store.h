// What the insights API reads: one set-based statement per question over the facts, the log of
// moves and the running totals. All SQL of the insights API is in the .cc of this file and in
// kpi_work.cc.
//
// As of an instant means just before it, as in stage_times.h. Superseded moves never count, and
// what a contact did before it was merged counts for the survivor.
#ifndef CLM_SERVICES_LIFECYCLE_INSIGHTS_STORE_H_
#define CLM_SERVICES_LIFECYCLE_INSIGHTS_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "services/lifecycle/customer.h"
#include "services/lifecycle/insights_rules.h"

namespace clm::lifecycle {

struct BoardRow {
  std::string stage;
  int64_t count = 0;
  int64_t overdue = 0;
};

struct FlowRow {
  absl::CivilDay day;
  std::string stage;
  int64_t entered = 0;
  int64_t left = 0;
};

// A step of a funnel in one of its readings; steps that nobody came to have no row.
struct FunnelRow {
  bool strict = false;
  int step = 0;  // From 0.
  int64_t entrants = 0;
  std::optional<int64_t> median_seconds;
  std::optional<int64_t> p90_seconds;
  int64_t drop_off = 0;
};

// Customers at a boundary between periods; boundaries without any have no row.
struct BoundaryRow {
  int boundary = 0;  // From 0.
  int64_t customers = 0;
  int64_t kept = 0;   // Customers at the next boundary, too.
  int64_t fresh = 0;  // Became customers for the first time since the boundary before.
};

struct CohortQuery {
  bool by_sign_up = false;
  Period period = Period::kMonth;
  absl::Time from = absl::InfinitePast();     // Of cohorts.
  absl::Time until = absl::InfiniteFuture();  // Of cohorts.
  absl::Time as_of;
  std::string event_type;
  std::string currency;  // Empty: the one most events have.
};
struct CohortTable {
  struct Activity {
    absl::CivilDay period;
    int64_t active = 0;
    int64_t revenue_minor = 0;
  };
  struct Cohort {
    absl::CivilDay start;
    int64_t size = 0;
    std::vector<Activity> activities;  // In order; periods without any are left out.
  };
  std::vector<Cohort> cohorts;  // In order.
  std::string currency;
  // Of the latest event of the type.
  std::optional<absl::CivilDay> last_period;
};

enum class ValueGroup { kTotal, kCohort, kSource };
struct ValueRow {
  std::string key;  // "total", cohort's first day or "none", source.
  Uuid contact;     // For rows of customers, instead.
  int64_t customers = 0;
  int64_t purchases = 0;
  int64_t revenue_minor = 0;
  int64_t refund_minor = 0;
  int64_t cost_minor = 0;
  int64_t goods_minor = 0;  // As far as purchases and refunds state it.
  int64_t unpriced = 0;     // Purchases in the currency that do not state it.
};
struct ValueQuery {
  std::string currency;
  absl::Time as_of;
  std::optional<Uuid> contact;
};

enum class VelocityGroup { kNone, kCohort, kSource };
struct VelocityRow {
  std::string stage;
  std::string group;
  int64_t completed = 0;
  int64_t open = 0;
  std::optional<int64_t> median_seconds;
  std::optional<int64_t> p90_seconds;
};

// Buyers of [start, end), and of all time before its end.
struct Buyers {
  int64_t in_period = 0;
  int64_t repeating = 0;  // One of their purchases of the period was not their first.
  int64_t fresh = 0;      // Their first purchase lies in the period.
  int64_t ever = 0;
  int64_t once = 0;  // Of `ever`, those with just one purchase.
};

struct Recount {
  struct Difference {
    std::string total;
    int64_t running = 0;
    int64_t recounted = 0;
  };
  int64_t compared = 0;
  std::vector<Difference> differences;  // 1000 at most.
};

// The questions, all answered from one snapshot. Lives as long as the transaction it was made for.
class InsightsQueries {
 public:
  InsightsQueries(pg::Tx& tx, std::string tenant) : tx_(tx), tenant_(std::move(tenant)) {}

  absl::StatusOr<std::vector<BoardRow>> Board(const std::string& model, absl::Time as_of);
  // Of the days from `first` on, the last one up to `as_of`; by day.
  absl::StatusOr<std::vector<FlowRow>> Flows(const std::string& model, absl::CivilDay first,
                                             absl::Time as_of);
  // See GetFunnelResponse for the two readings. A step is entered with any of its stages; no stage
  // is named twice.
  absl::StatusOr<std::vector<FunnelRow>> Funnel(const std::string& model,
                                                const std::vector<std::vector<std::string>>& steps,
                                                absl::Time start, absl::Time end, absl::Time now);
  // At each of the rising boundaries, who is in one of the stages, or has an event of the type in
  // the `days` before it.
  absl::StatusOr<std::vector<BoundaryRow>> InStages(const std::string& model,
                                                    const std::vector<std::string>& stages,
                                                    const std::vector<absl::Time>& boundaries);
  absl::StatusOr<std::vector<BoundaryRow>> BoughtWithin(const std::string& type, int days,
                                                        const std::vector<absl::Time>& boundaries);
  absl::StatusOr<CohortTable> Cohorts(const CohortQuery& query);
  // The currency that most events of the type have; of the acquisition costs when there is none;
  // empty when there is neither.
  absl::StatusOr<std::string> MainCurrency(const std::string& type);
  // By key after `after`.
  absl::StatusOr<std::vector<ValueRow>> Values(const ValueQuery& query, ValueGroup group,
                                               const std::string& after, int limit);
  // Highest value first, from behind (value, contact) on.
  absl::StatusOr<std::vector<ValueRow>> CustomerValues(const ValueQuery& query,
                                                       std::optional<int64_t> after_value,
                                                       const Uuid& after, int limit);
  absl::StatusOr<std::vector<VelocityRow>> Velocity(const std::string& model, VelocityGroup group);

  // For KPIs, over [start, end).
  absl::StatusOr<int64_t> NewContacts(absl::Time start, absl::Time end);
  absl::StatusOr<int64_t> StageEntries(const std::string& model, const std::string& stage,
                                       absl::Time start, absl::Time end);
  struct Conversion {
    int64_t entered = 0;    // `from` in the period.
    int64_t converted = 0;  // Then `to`, before its end.
  };
  absl::StatusOr<Conversion> Converted(const std::string& model, const std::string& from,
                                       const std::string& to, absl::Time start, absl::Time end);
  struct Leads {
    int64_t contacts = 0;  // Created in the period.
    int64_t entered = 0;   // Of them, those that entered the stage before its end.
  };
  absl::StatusOr<Leads> LeadsOf(const std::string& model, const std::string& stage,
                                absl::Time start, absl::Time end);
  absl::StatusOr<Buyers> BuyersOf(absl::Time start, absl::Time end);
  // Less refunds.
  absl::StatusOr<int64_t> Revenue(const std::string& currency, absl::Time start, absl::Time end);
  // The part of the costs that falls on the days [start, end); consecutive periods add up exactly.
  absl::StatusOr<int64_t> AcquisitionCost(const std::string& currency, absl::CivilDay start,
                                          absl::CivilDay end);
  // Of the visits that ended in the period.
  absl::StatusOr<std::optional<int64_t>> MedianSeconds(const std::string& model,
                                                       const std::string& stage, absl::Time start,
                                                       absl::Time end);
  struct StoredKpi {
    std::string body;  // Serialized clm.lifecycle.v1.Kpi.
    int64_t row_version = 0;
  };
  // By id.
  absl::StatusOr<std::vector<StoredKpi>> Kpis();

  absl::StatusOr<Recount> RecountTotals();
  // The database's process behind the transaction, for whoever wants to break it off.
  absl::StatusOr<int64_t> Backend();

 private:
  pg::Tx& tx_;
  const std::string tenant_;
};

// Thread-safe.
class InsightsStore {
 public:
  explicit InsightsStore(pg::Pool* pool) : pool_(pool) {}

  // Asks all questions of `ask` of one snapshot.
  absl::Status Read(const std::string& tenant, absl::Time deadline,
                    absl::FunctionRef<absl::Status(InsightsQueries&)> ask);

 private:
  pg::Pool* const pool_;
};

// Every statement, for the test that prepares them against the schema.
std::vector<const pg::Statement*> InsightsStatements();

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_INSIGHTS_STORE_H_
