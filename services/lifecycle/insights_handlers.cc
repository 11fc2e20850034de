#include "services/lifecycle/insights_handlers.h"

#include <algorithm>
#include <climits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/lifecycle/crosswalk.h"
#include "services/lifecycle/insights_rules.h"
#include "services/lifecycle/kpi_work.h"
#include "services/lifecycle/lifecycle_proto.h"

namespace clm::lifecycle {
namespace {

constexpr int kMostFlowDays = 3660;
constexpr size_t kMostPeriods = 400;
// Cells of a cohort table: an answer of some megabytes.
constexpr int64_t kMostCells = 100'000;
constexpr int64_t kSecondsPerDay = 86'400;
// The longest id that a resource may have.
constexpr size_t kMaxResourceId = 63;

std::optional<Period> PeriodFrom(v1::Period period) {
  switch (period) {
    case v1::PERIOD_DAY:
      return Period::kDay;
    case v1::PERIOD_WEEK:
      return Period::kWeek;
    case v1::PERIOD_MONTH:
      return Period::kMonth;
    case v1::PERIOD_QUARTER:
      return Period::kQuarter;
    default:
      return std::nullopt;
  }
}

absl::Time Or(bool has, const google::protobuf::Timestamp& time, absl::Time otherwise) {
  return has ? FromProto(time) : otherwise;
}

// The newest version of a model. NOT_FOUND when the tenant does not have it.
absl::StatusOr<StageModel> FindModel(LifecycleReader& reader, const ModelKey& key,
                                     absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const auto models, reader.Models(key.tenant, deadline));
  const CompiledModel* model = models->Find(key.model);
  if (model == nullptr) return error::NotFound(ModelName(key.tenant, key.model));
  return model->newest();
}

std::string LabelOf(const Stage& stage) { return stage.label.empty() ? stage.id : stage.label; }

// Stages in order of position; those that the newest version no longer has come last, by id.
class StageOrder {
 public:
  explicit StageOrder(const StageModel& model) {
    for (const Stage& stage : model.stages) {
      position_[stage.id] = stage.position;
      label_[stage.id] = LabelOf(stage);
    }
  }
  std::pair<int64_t, std::string> Rank(const std::string& stage) const {
    const auto it = position_.find(stage);
    return {it == position_.end() ? INT64_MAX : it->second, stage};
  }
  std::string Label(const std::string& stage) const {
    const auto it = label_.find(stage);
    return it == label_.end() ? stage : it->second;
  }

 private:
  std::map<std::string, int> position_;
  std::map<std::string, std::string> label_;
};

std::string LabelOf(CanonicalStage stage) {
  return stage == CanonicalStage::kUnspecified
             ? "not mapped"
             : absl::StrReplaceAll(absl::AsciiStrToLower(Name(stage)), {{"_", " "}});
}

// A step of a funnel: a stage of the model, or all of one meaning.
struct FunnelStep {
  std::string stage;  // Empty for a canonical stage.
  std::string label;
  CanonicalStage canonical = CanonicalStage::kUnspecified;
  std::vector<std::string> stages;
};

absl::StatusOr<std::vector<FunnelStep>> StepsFrom(const StageModel& model,
                                                  const v1::GetFunnelRequest& request) {
  std::vector<std::string> named(request.steps().begin(), request.steps().end());
  std::vector<FunnelStep> steps;
  if (request.by_canonical_stage()) {
    if (!named.empty()) {
      return error::InvalidField("steps", "must be empty with by_canonical_stage");
    }
    for (CanonicalStep& step : CanonicalSteps(model)) {
      steps.push_back({"", LabelOf(step.canonical), step.canonical, std::move(step.stages)});
    }
    if (steps.empty()) {
      return error::Precondition("NOTHING_MAPPED",
                                 "model: no NORMAL stage of it has a canonical stage");
    }
    return steps;
  }
  CLM_RETURN_IF_ERROR(CheckStages(model, "steps", named));
  if (named.empty()) named = FunnelSteps(model);
  for (const std::string& id : named) {
    const Stage& stage = *FindStage(model, id);
    steps.push_back({id, LabelOf(stage), stage.canonical, {id}});
  }
  return steps;
}

// Fills a reading of a funnel; steps without rows have no entrants.
void FillSteps(const std::vector<FunnelStep>& steps, const std::vector<FunnelRow>& rows,
               bool strict, google::protobuf::RepeatedPtrField<v1::GetFunnelResponse::Step>* out) {
  std::vector<FunnelRow> by_step(steps.size());
  for (const FunnelRow& row : rows) {
    if (row.strict == strict) by_step[row.step] = row;
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    const FunnelRow& row = by_step[i];
    auto* step = out->Add();
    step->set_stage(steps[i].stage);
    step->set_label(steps[i].label);
    step->set_canonical_stage(ToProto(steps[i].canonical));
    step->set_entrants(row.entrants);
    step->set_drop_off(row.drop_off);
    if (const auto top = Share(row.entrants, by_step[0].entrants)) step->set_from_top(*top);
    if (i > 0) {
      const auto previous = Share(row.entrants, by_step[i - 1].entrants);
      if (previous) step->set_from_previous(*previous);
    }
    if (row.median_seconds) step->set_median_seconds(*row.median_seconds);
    if (row.p90_seconds) step->set_p90_seconds(*row.p90_seconds);
  }
}

// The same board with one row per meaning. Stages that the newest version of the model no longer
// has are not mapped.
void FillCanonicalBoard(const StageModel& model, const std::vector<BoardRow>& board,
                        const std::vector<FlowRow>& flows, v1::GetStageBoardResponse* response) {
  // In the order of the crosswalk, what is not mapped last.
  const auto rank = [](CanonicalStage stage) {
    return stage == CanonicalStage::kUnspecified ? INT_MAX : static_cast<int>(stage);
  };
  std::map<int, v1::GetStageBoardResponse::StageCount> rows;
  const auto row_of = [&](const std::string& id) -> auto& {
    const CanonicalStage canonical = CanonicalOf(model, id);
    auto& row = rows[rank(canonical)];
    row.set_label(LabelOf(canonical));
    row.set_canonical_stage(ToProto(canonical));
    return row;
  };
  for (const Stage& stage : model.stages) row_of(stage.id);
  for (const BoardRow& one : board) {
    auto& row = row_of(one.stage);
    row.set_count(row.count() + one.count);
    row.set_overdue_count(row.overdue_count() + one.overdue);
  }
  for (auto& [_, row] : rows) *response->add_stages() = std::move(row);
  std::map<std::pair<absl::CivilDay, int>, v1::GetStageBoardResponse::DayFlow> days;
  for (const FlowRow& one : flows) {
    const CanonicalStage canonical = CanonicalOf(model, one.stage);
    auto& flow = days[{one.day, rank(canonical)}];
    flow.set_date(FormatDay(one.day));
    flow.set_canonical_stage(ToProto(canonical));
    flow.set_entered(flow.entered() + one.entered);
    flow.set_left(flow.left() + one.left);
  }
  for (auto& [_, flow] : days) *response->add_flows() = std::move(flow);
}

// Who counts as a customer, checked and ready to be asked for.
struct Definition {
  std::string model;  // Empty: by purchases.
  std::vector<std::string> stages;
  std::string event_type;
  int days = 0;
  std::string text;

  absl::StatusOr<std::vector<BoundaryRow>> Ask(InsightsQueries& queries,
                                               const std::vector<absl::Time>& boundaries) const {
    return model.empty() ? queries.BoughtWithin(event_type, days, boundaries)
                         : queries.InStages(model, stages, boundaries);
  }
};

absl::StatusOr<Definition> DefinitionFrom(LifecycleReader& reader, const std::string& tenant,
                                          const v1::CustomerDefinition& definition,
                                          absl::Time deadline) {
  Definition out;
  if (definition.has_bought_within()) {
    out.days = definition.bought_within().days();
    out.event_type = definition.bought_within().event_type();
    if (out.event_type.empty()) out.event_type = kPurchaseEvent;
    out.text = absl::StrCat("A customer at an instant is who had at least one event of type \"",
                            out.event_type, "\" in the ", out.days, " days before it.");
    return out;
  }
  if (!definition.has_in_stage()) {
    return error::InvalidField("definition", "must be in_stage or bought_within");
  }
  const auto& in_stage = definition.in_stage();
  CLM_ASSIGN_OR_RETURN(const ModelKey key,
                       ParseModelName("definition.in_stage.model", in_stage.model()));
  if (key.tenant != tenant) {
    return error::InvalidField("definition.in_stage.model", "is of another tenant than the parent");
  }
  CLM_ASSIGN_OR_RETURN(const StageModel model, FindModel(reader, key, deadline));
  out.model = key.model;
  out.stages.assign(in_stage.stages().begin(), in_stage.stages().end());
  CLM_RETURN_IF_ERROR(CheckStages(model, "definition.in_stage.stages", out.stages));
  if (out.stages.empty()) out.stages = ActiveStages(model);
  std::vector<std::string> labels;
  for (const std::string& stage : out.stages) labels.push_back(LabelOf(*FindStage(model, stage)));
  out.text =
      absl::StrCat("A customer at an instant is who was, just before it, in one of the stages ",
                   absl::StrJoin(labels, ", "), " of the model \"",
                   model.display_name.empty() ? key.model : model.display_name, "\".");
  return out;
}

// One retention per period from what was counted at its boundaries.
std::vector<Retention> RetentionsFrom(const std::vector<BoundaryRow>& rows, size_t boundaries) {
  std::vector<BoundaryRow> at(boundaries);
  for (const BoundaryRow& row : rows) at[row.boundary] = row;
  std::vector<Retention> periods;
  for (size_t i = 0; i + 1 < boundaries; ++i) {
    periods.push_back(
        RetentionOf(at[i].customers, at[i + 1].customers, at[i + 1].fresh, at[i].kept));
  }
  return periods;
}

v1::GetCohortsResponse CohortsFrom(const CohortTable& table, Period period, absl::Time as_of,
                                   absl::CivilDay last) {
  v1::GetCohortsResponse response;
  response.set_currency(table.currency);
  for (const CohortTable::Cohort& cohort : table.cohorts) {
    auto* out = response.add_cohorts();
    out->set_start_date(FormatDay(cohort.start));
    out->set_size(cohort.size);
    auto activity = cohort.activities.begin();
    absl::CivilDay start = cohort.start;
    for (int age = 0; start <= last; ++age) {
      const absl::CivilDay next = PeriodAfter(period, start);
      CohortTable::Activity figures;
      if (activity != cohort.activities.end() && activity->period == start) figures = *activity++;
      auto* cell = out->add_cells();
      cell->set_age(age);
      cell->set_complete(Midnight(next) <= as_of);
      if (cell->complete()) {
        cell->set_active(figures.active);
        cell->set_revenue_minor(figures.revenue_minor);
        if (const auto share = Share(figures.active, cohort.size)) cell->set_share(*share);
        if (const auto head = DivideHalfEven(figures.revenue_minor, cohort.size)) {
          cell->set_revenue_per_head_minor(*head);
        }
      }
      start = next;
    }
  }
  return response;
}

bool NeedsStage(v1::Kpi::Metric metric) {
  switch (metric) {
    case v1::Kpi::METRIC_STAGE_ENTRIES:
    case v1::Kpi::METRIC_STAGE_COUNT:
    case v1::Kpi::METRIC_CONVERSION_RATE:
    case v1::Kpi::METRIC_RETENTION_RATE:
    case v1::Kpi::METRIC_MEDIAN_DAYS:
    case v1::Kpi::METRIC_LEAD_RATE:
      return true;
    default:
      return false;
  }
}

bool IsMoney(v1::Kpi::Metric metric) {
  return metric == v1::Kpi::METRIC_ACQUISITION_COST || metric == v1::Kpi::METRIC_REVENUE ||
         metric == v1::Kpi::METRIC_CUSTOMER_VALUE;
}

struct ReadyMetric {
  v1::Kpi::Metric metric;
  const char* id;
  const char* name;
};

// What shows how well a stage does what it is for.
std::vector<ReadyMetric> ReadyMetrics(CanonicalStage stage) {
  using K = v1::Kpi;
  switch (stage) {
    case CanonicalStage::kAwareness:
    case CanonicalStage::kInterest:
      return {{K::METRIC_NEW_CONTACTS, "new-contacts", "New contacts"}};
    case CanonicalStage::kConsideration:
    case CanonicalStage::kAcquisition:
      return {{K::METRIC_LEAD_RATE, "lead-rate", "Lead rate"}};
    case CanonicalStage::kActivation:
    case CanonicalStage::kConversion:
      return {{K::METRIC_CONVERSION_RATE, "conversion-rate", "Conversion rate"},
              {K::METRIC_ACQUISITION_COST, "acquisition-cost", "Acquisition cost"}};
    case CanonicalStage::kEngagement:
    case CanonicalStage::kRetention:
      return {{K::METRIC_RETENTION_RATE, "retention-rate", "Retention rate"},
              {K::METRIC_REPEAT_RATE, "repeat-rate", "Repeat rate"}};
    case CanonicalStage::kExpansion:
    case CanonicalStage::kLoyalty:
    case CanonicalStage::kAdvocacy:
      return {{K::METRIC_CUSTOMER_VALUE, "customer-value", "Customer value"}};
    default:
      return {};
  }
}

std::string KpiName(const KpiKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/kpis/", key.id);
}

absl::StatusOr<KpiKey> ParseKpiName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(const auto parts, ParseResourceName(field, "tenants/*/kpis/*", name));
  return KpiKey{parts[0], parts[1]};
}

// `model` is the one it names, if there is.
absl::Status CheckKpi(const v1::Kpi& kpi, const std::string& tenant, const StageModel* model) {
  error::FieldErrors errors;
  if (!v1::Kpi::Metric_IsValid(kpi.metric()) || kpi.metric() == v1::Kpi::METRIC_UNSPECIFIED) {
    errors.Add("kpi.metric", "must name a metric");
  } else if (NeedsStage(kpi.metric())) {
    const auto key = ParseModelName("kpi.model", kpi.model());
    if (!key.ok() || key->tenant != tenant || model == nullptr) {
      errors.Add("kpi.model", "must name a stage model of the tenant");
    } else if (FindStage(*model, kpi.stage()) == nullptr) {
      errors.Add("kpi.stage", "is not a stage of the model");
    } else if (kpi.metric() == v1::Kpi::METRIC_CONVERSION_RATE &&
               NormalStageBefore(*model, kpi.stage()) == nullptr) {
      errors.Add("kpi.stage", "has no NORMAL stage before it that customers could come from");
    }
  } else {
    if (!kpi.model().empty()) errors.Add("kpi.model", "has no meaning for this metric");
    if (!kpi.stage().empty()) errors.Add("kpi.stage", "has no meaning for this metric");
  }
  if (!kpi.currency().empty() && !IsMoney(kpi.metric())) {
    errors.Add("kpi.currency", "has no meaning for this metric");
  }
  return errors.ToStatus();
}

int KpiShard(const KpiKey& key) { return ShardOf(key.tenant, absl::string_view(KpiName(key))); }

// Journals the change and answers with the KPI.
std::string Tell(journal::Recorder& recorder, const KpiKey& key, const KpiRow& row, bool deleted) {
  v1::KpiChanged changed;
  *changed.mutable_kpi() = row.kpi;
  changed.set_deleted(deleted);
  recorder.Record({.shard = KpiShard(key),
                   .tenant = key.tenant,
                   .subject = KpiName(key),
                   .type = changed.GetDescriptor()->full_name(),
                   .subject_version = row.row_version,
                   .payload = changed.SerializeAsString()});
  return row.kpi.SerializeAsString();
}

using ApplyKpi =
    std::function<absl::StatusOr<std::string>(KpiWork& work, journal::Recorder& recorder)>;

template <class Req>
void ChangeKpi(journal::Lanes& lanes, const rpc::Call& call, const KpiKey& key, const Req& request,
               const std::string& model, ApplyKpi apply, rpc::Reply<v1::Kpi> reply) {
  journal::MutationInfo info = journal::InfoFor(call, key.tenant, request);
  info.shards.set(KpiShard(key));
  const auto model_key = ParseModelName("kpi.model", model);
  journal::Mutate<KpiWork>(
      lanes, std::move(info),
      [key, model_key](KpiWork& work) {
        work.Need(key);
        // Of another tenant: refused by CheckKpi, and out of this transaction's sight.
        if (model_key.ok()) work.NeedModel(key.tenant, model_key->model);
      },
      std::move(apply), std::move(reply));
}

const StageModel* ModelOf(const KpiWork& work, const KpiKey& key, const v1::Kpi& kpi) {
  const auto model = ParseModelName("kpi.model", kpi.model());
  return model.ok() ? work.Model(key.tenant, model->model) : nullptr;
}

// What a KPI is measured over: the period of an instant, up to it.
struct Span {
  absl::CivilDay first;
  absl::CivilDay next;  // The period after begins.
  absl::Time until;     // The end of the period, or the instant.

  absl::Time start() const { return Midnight(first); }
};

Span SpanOf(v1::Period period, absl::Time as_of) {
  const Period length = PeriodFrom(period).value_or(Period::kMonth);
  Span span;
  span.first = PeriodStart(length, DayOf(as_of));
  span.next = PeriodAfter(length, span.first);
  span.until = std::min(Midnight(span.next), as_of);
  return span;
}

// The actual value of a KPI in the unit of its target; none when there is nothing to measure.
absl::StatusOr<std::optional<int64_t>> Measure(InsightsQueries& queries, const v1::Kpi& kpi,
                                               const StageModel* model, const Span& span,
                                               const std::string& currency) {
  using Actual = std::optional<int64_t>;
  const absl::Time start = span.start();
  if (NeedsStage(kpi.metric()) && (model == nullptr || FindStage(*model, kpi.stage()) == nullptr)) {
    return Actual();
  }
  switch (kpi.metric()) {
    case v1::Kpi::METRIC_NEW_CONTACTS: {
      CLM_ASSIGN_OR_RETURN(const int64_t contacts, queries.NewContacts(start, span.until));
      return Actual(contacts);
    }
    case v1::Kpi::METRIC_STAGE_ENTRIES: {
      CLM_ASSIGN_OR_RETURN(const int64_t entries,
                           queries.StageEntries(model->id, kpi.stage(), start, span.until));
      return Actual(entries);
    }
    case v1::Kpi::METRIC_STAGE_COUNT: {
      CLM_ASSIGN_OR_RETURN(const auto board, queries.Board(model->id, span.until));
      for (const BoardRow& row : board) {
        if (row.stage == kpi.stage()) return Actual(row.count);
      }
      return Actual(0);
    }
    case v1::Kpi::METRIC_CONVERSION_RATE: {
      const Stage* before = NormalStageBefore(*model, kpi.stage());
      if (before == nullptr) return Actual();
      CLM_ASSIGN_OR_RETURN(
          const auto conversion,
          queries.Converted(model->id, before->id, kpi.stage(), start, span.until));
      return PartsPerMillion(conversion.converted, conversion.entered);
    }
    case v1::Kpi::METRIC_LEAD_RATE: {
      CLM_ASSIGN_OR_RETURN(const auto leads,
                           queries.LeadsOf(model->id, kpi.stage(), start, span.until));
      return PartsPerMillion(leads.entered, leads.contacts);
    }
    case v1::Kpi::METRIC_RETENTION_RATE: {
      CLM_ASSIGN_OR_RETURN(const auto rows,
                           queries.InStages(model->id, {kpi.stage()}, {start, span.until}));
      const Retention retention = RetentionsFrom(rows, 2)[0];
      return PartsPerMillion(retention.kept, retention.at_start);
    }
    case v1::Kpi::METRIC_REPEAT_RATE: {
      CLM_ASSIGN_OR_RETURN(const Buyers buyers, queries.BuyersOf(start, span.until));
      return PartsPerMillion(buyers.repeating, buyers.in_period);
    }
    case v1::Kpi::METRIC_ACQUISITION_COST: {
      CLM_ASSIGN_OR_RETURN(const Buyers buyers, queries.BuyersOf(start, span.until));
      // A day that has begun counts whole.
      const absl::CivilDay end = DayOf(span.until - absl::Nanoseconds(1)) + 1;
      CLM_ASSIGN_OR_RETURN(const int64_t cost, queries.AcquisitionCost(currency, span.first, end));
      return DivideHalfEven(cost, buyers.fresh);
    }
    case v1::Kpi::METRIC_REVENUE: {
      CLM_ASSIGN_OR_RETURN(const int64_t revenue, queries.Revenue(currency, start, span.until));
      return Actual(revenue);
    }
    case v1::Kpi::METRIC_CUSTOMER_VALUE: {
      CLM_ASSIGN_OR_RETURN(
          const auto rows,
          queries.Values({.currency = currency, .as_of = span.until}, ValueGroup::kTotal, "", 1));
      if (rows.empty()) return Actual();
      return DivideHalfEven(
          HistoricValue(rows[0].revenue_minor, rows[0].refund_minor, rows[0].cost_minor),
          rows[0].customers);
    }
    case v1::Kpi::METRIC_MEDIAN_DAYS: {
      CLM_ASSIGN_OR_RETURN(const auto seconds,
                           queries.MedianSeconds(model->id, kpi.stage(), start, span.until));
      return seconds ? DivideHalfEven(*seconds, kSecondsPerDay) : Actual();
    }
    case v1::Kpi::METRIC_ONE_AND_DONE: {
      CLM_ASSIGN_OR_RETURN(const Buyers buyers, queries.BuyersOf(start, span.until));
      return PartsPerMillion(buyers.once, buyers.ever);
    }
    default:
      return Actual();
  }
}

v1::GetCustomerValueResponse::Value ValueToProto(const std::string& tenant, bool customer,
                                                 const ValueRow& row) {
  v1::GetCustomerValueResponse::Value value;
  value.set_key(customer ? EntityName(kContacts, {tenant, row.contact}) : row.key);
  value.set_customers(row.customers);
  value.set_purchases(row.purchases);
  value.set_revenue_minor(row.revenue_minor);
  value.set_refund_minor(row.refund_minor);
  value.set_acquisition_cost_minor(row.cost_minor);
  value.set_value_minor(HistoricValue(row.revenue_minor, row.refund_minor, row.cost_minor));
  value.set_goods_cost_minor(row.goods_minor);
  if (const auto margin =
          Margin(row.revenue_minor, row.refund_minor, row.goods_minor, row.unpriced)) {
    value.set_margin_minor(*margin);
  }
  return value;
}

}  // namespace

absl::StatusOr<v1::GetStageBoardResponse> InsightsHandlers::GetStageBoard(
    const rpc::Call& call, const v1::GetStageBoardRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ModelKey key, ParseModelName("model", request.model()));
  const absl::Time as_of = Or(request.has_as_of_time(), request.as_of_time(), call.now);
  std::optional<absl::CivilDay> first;
  if (!request.start_date().empty()) {
    first = ParseDay(request.start_date());
    if (!first) return error::InvalidField("start_date", "must be a day as 2026-11-01");
    if (DayOf(as_of) - *first > kMostFlowDays) {
      return error::InvalidField("start_date", absl::StrCat("must be at most ", kMostFlowDays,
                                                            " days before the instant"));
    }
  }
  CLM_ASSIGN_OR_RETURN(const StageModel model, FindModel(*parts_.reader, key, call.deadline));
  std::vector<BoardRow> board;
  std::vector<FlowRow> flows;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(key.tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(board, queries.Board(key.model, as_of));
        if (!first) return absl::OkStatus();
        CLM_ASSIGN_OR_RETURN(flows, queries.Flows(key.model, *first, as_of));
        return absl::OkStatus();
      }));

  v1::GetStageBoardResponse response;
  ToProto(as_of, response.mutable_as_of_time());
  if (request.by_canonical_stage()) {
    FillCanonicalBoard(model, board, flows, &response);
    return response;
  }
  const StageOrder order(model);
  std::map<std::pair<int64_t, std::string>, BoardRow> rows;
  for (const Stage& stage : model.stages) rows[order.Rank(stage.id)].stage = stage.id;
  for (BoardRow& row : board) rows[order.Rank(row.stage)] = std::move(row);
  std::stable_sort(flows.begin(), flows.end(), [&](const FlowRow& a, const FlowRow& b) {
    return std::pair(a.day, order.Rank(a.stage)) < std::pair(b.day, order.Rank(b.stage));
  });
  for (const auto& [_, row] : rows) {
    auto* stage = response.add_stages();
    stage->set_stage(row.stage);
    stage->set_label(order.Label(row.stage));
    stage->set_count(row.count);
    stage->set_overdue_count(row.overdue);
    stage->set_canonical_stage(ToProto(CanonicalOf(model, row.stage)));
  }
  for (const FlowRow& row : flows) {
    auto* flow = response.add_flows();
    flow->set_date(FormatDay(row.day));
    flow->set_stage(row.stage);
    flow->set_entered(row.entered);
    flow->set_left(row.left);
    flow->set_canonical_stage(ToProto(CanonicalOf(model, row.stage)));
  }
  return response;
}

absl::StatusOr<v1::GetFunnelResponse> InsightsHandlers::GetFunnel(
    const rpc::Call& call, const v1::GetFunnelRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ModelKey key, ParseModelName("model", request.model()));
  const absl::Time start = Or(request.has_start_time(), request.start_time(), absl::InfinitePast());
  const absl::Time end = Or(request.has_end_time(), request.end_time(), absl::InfiniteFuture());
  if (start >= end) return error::InvalidField("end_time", "must be after start_time");
  CLM_ASSIGN_OR_RETURN(const StageModel model, FindModel(*parts_.reader, key, call.deadline));
  CLM_ASSIGN_OR_RETURN(const std::vector<FunnelStep> steps, StepsFrom(model, request));
  std::vector<std::vector<std::string>> stages;
  for (const FunnelStep& step : steps) stages.push_back(step.stages);
  std::vector<FunnelRow> rows;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(key.tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(rows, queries.Funnel(key.model, stages, start, end, call.now));
        return absl::OkStatus();
      }));
  v1::GetFunnelResponse response;
  FillSteps(steps, rows, /*strict=*/true, response.mutable_strict_order());
  FillSteps(steps, rows, /*strict=*/false, response.mutable_reached_at_least());
  return response;
}

absl::StatusOr<v1::GetRetentionResponse> InsightsHandlers::GetRetention(
    const rpc::Call& call, const v1::GetRetentionRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  const absl::Time start = FromProto(request.start_time());
  const absl::Time end = std::min(FromProto(request.end_time()), call.now);
  if (start >= end) {
    return error::InvalidField("start_time", "must be before end_time, and in the past");
  }
  const auto boundaries = Boundaries(start, end, PeriodFrom(request.period()), kMostPeriods);
  if (boundaries.size() > kMostPeriods + 1) {
    return error::InvalidField("period", absl::StrCat("would make more than ", kMostPeriods,
                                                      " periods; choose a longer one"));
  }
  CLM_ASSIGN_OR_RETURN(const Definition definition,
                       DefinitionFrom(*parts_.reader, tenant, request.definition(), call.deadline));
  std::vector<BoundaryRow> rows;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(rows, definition.Ask(queries, boundaries));
        return absl::OkStatus();
      }));
  v1::GetRetentionResponse response;
  response.set_definition_text(definition.text);
  const std::vector<Retention> periods = RetentionsFrom(rows, boundaries.size());
  for (size_t i = 0; i < periods.size(); ++i) {
    const Retention& r = periods[i];
    auto* period = response.add_periods();
    ToProto(boundaries[i], period->mutable_start_time());
    ToProto(boundaries[i + 1], period->mutable_end_time());
    period->set_at_start(r.at_start);
    period->set_at_end(r.at_end);
    period->set_new_customers(r.new_customers);
    period->set_kept(r.kept);
    period->set_lost(r.lost);
    period->set_returned(r.returned);
    if (r.rate) period->set_retention_rate(*r.rate);
    if (r.churn) period->set_churn_rate(*r.churn);
    if (r.naive_rate) period->set_naive_retention_rate(*r.naive_rate);
  }
  return response;
}

absl::StatusOr<v1::GetCohortsResponse> InsightsHandlers::GetCohorts(
    const rpc::Call& call, const v1::GetCohortsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CohortQuery query;
  query.by_sign_up = request.cohort_by() == v1::GetCohortsRequest::COHORT_BY_SIGN_UP;
  query.period = PeriodFrom(request.period()).value_or(Period::kMonth);
  query.from = Or(request.has_start_time(), request.start_time(), absl::InfinitePast());
  query.until = Or(request.has_end_time(), request.end_time(), absl::InfiniteFuture());
  query.as_of = Or(request.has_as_of_time(), request.as_of_time(), call.now);
  query.event_type = request.event_type().empty() ? kPurchaseEvent : request.event_type();
  query.currency = request.currency();
  if (query.from >= query.until) {
    return error::InvalidField("end_time", "must be after start_time");
  }
  CohortTable table;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(table, queries.Cohorts(query));
        return absl::OkStatus();
      }));
  absl::CivilDay last = PeriodStart(query.period, DayOf(query.as_of));
  if (table.last_period) last = std::min(last, *table.last_period);
  int64_t cells = 0;
  for (const auto& cohort : table.cohorts) {
    cells += std::max<int64_t>(0, PeriodsBetween(query.period, cohort.start, last) + 1);
  }
  if (cells > kMostCells) {
    return error::InvalidField("period", absl::StrCat("would make a table of more than ",
                                                      kMostCells, " cells; choose a longer one"));
  }
  return CohortsFrom(table, query.period, query.as_of, last);
}

absl::StatusOr<v1::GetCustomerValueResponse> InsightsHandlers::GetCustomerValue(
    const rpc::Call& call, const v1::GetCustomerValueRequest& request) {
  using Request = v1::GetCustomerValueRequest;
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int page_size, PageSize(request.page_size()));
  ValueQuery query;
  query.currency = request.currency();
  query.as_of = Or(request.has_as_of_time(), request.as_of_time(), call.now);
  if (!request.contact().empty()) {
    CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                         ParseEntityName("contact", kContacts, request.contact()));
    if (contact.tenant != tenant) {
      return error::InvalidField("contact", "is of another tenant than the parent");
    }
    query.contact = contact.id;
  }
  const bool customers = request.group_by() == Request::GROUP_BY_CUSTOMER;
  const std::vector<std::string> list = {
      "GetCustomerValue",
      request.parent(),
      absl::StrCat(static_cast<int>(request.group_by())),
      request.contact(),
      request.currency(),
      request.has_as_of_time() ? clm::FormatTime(query.as_of) : ""};
  // {instant, currency, key} or {instant, currency, contact, value}: later pages speak of the
  // instant and the currency of the first one.
  CLM_ASSIGN_OR_RETURN(const auto token, parts_.tokens->Decode(list, request.page_token()));
  std::string after_key;
  Uuid after;
  std::optional<int64_t> after_value;
  if (!token.empty()) {
    const size_t parts = customers ? 4 : 3;
    const auto as_of = token.size() == parts ? ParseTime(token[0]) : std::nullopt;
    if (!as_of) return error::InvalidField("page_token", "was not made for this list");
    query.as_of = *as_of;
    query.currency = token[1];
    after_key = token[2];
    if (customers) {
      int64_t value = 0;
      const auto id = Uuid::Parse(token[2]);
      if (!id || !absl::SimpleAtoi(token[3], &value)) {
        return error::InvalidField("page_token", "was not made for this list");
      }
      after = *id;
      after_value = value;
    }
  }
  std::vector<ValueRow> rows;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        if (query.currency.empty()) {
          CLM_ASSIGN_OR_RETURN(query.currency, queries.MainCurrency(kPurchaseEvent));
        }
        if (customers) {
          CLM_ASSIGN_OR_RETURN(rows,
                               queries.CustomerValues(query, after_value, after, page_size + 1));
          return absl::OkStatus();
        }
        const ValueGroup group =
            request.group_by() == Request::GROUP_BY_COHORT   ? ValueGroup::kCohort
            : request.group_by() == Request::GROUP_BY_SOURCE ? ValueGroup::kSource
                                                             : ValueGroup::kTotal;
        CLM_ASSIGN_OR_RETURN(rows, queries.Values(query, group, after_key, page_size + 1));
        if (rows.empty() && group == ValueGroup::kTotal && token.empty()) {
          rows.push_back({.key = "total"});
        }
        return absl::OkStatus();
      }));
  v1::GetCustomerValueResponse response;
  response.set_currency(query.currency);
  const bool more = rows.size() > static_cast<size_t>(page_size);
  if (more) rows.resize(page_size);
  for (const ValueRow& row : rows) *response.add_values() = ValueToProto(tenant, customers, row);
  if (more) {
    const ValueRow& last = rows.back();
    std::vector<std::string> key = {clm::FormatTime(query.as_of), query.currency,
                                    customers ? last.contact.ToString() : last.key};
    if (customers) {
      key.push_back(
          absl::StrCat(HistoricValue(last.revenue_minor, last.refund_minor, last.cost_minor)));
    }
    response.set_next_page_token(parts_.tokens->Encode(list, key));
  }
  return response;
}

absl::StatusOr<v1::GetVelocityResponse> InsightsHandlers::GetVelocity(
    const rpc::Call& call, const v1::GetVelocityRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ModelKey key, ParseModelName("model", request.model()));
  const VelocityGroup group =
      request.group_by() == v1::GetVelocityRequest::GROUP_BY_COHORT   ? VelocityGroup::kCohort
      : request.group_by() == v1::GetVelocityRequest::GROUP_BY_SOURCE ? VelocityGroup::kSource
                                                                      : VelocityGroup::kNone;
  CLM_ASSIGN_OR_RETURN(const StageModel model, FindModel(*parts_.reader, key, call.deadline));
  std::vector<VelocityRow> rows;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(key.tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(rows, queries.Velocity(key.model, group));
        return absl::OkStatus();
      }));
  const StageOrder order(model);
  std::stable_sort(rows.begin(), rows.end(), [&](const VelocityRow& a, const VelocityRow& b) {
    return std::pair(order.Rank(a.stage), a.group) < std::pair(order.Rank(b.stage), b.group);
  });
  v1::GetVelocityResponse response;
  for (const VelocityRow& row : rows) {
    auto* out = response.add_rows();
    out->set_stage(row.stage);
    out->set_label(order.Label(row.stage));
    out->set_group(row.group);
    out->set_completed_visits(row.completed);
    out->set_open_visits(row.open);
    if (row.median_seconds) out->set_median_seconds(*row.median_seconds);
    if (row.p90_seconds) out->set_p90_seconds(*row.p90_seconds);
    const Stage* stage = FindStage(model, row.stage);
    if (stage != nullptr) out->set_target_days(stage->target_days.value_or(0));
  }
  return response;
}

void InsightsHandlers::CreateKpi(const rpc::Call& call, const v1::CreateKpiRequest& request,
                                 rpc::Reply<v1::Kpi> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  const KpiKey key{*tenant, request.kpi_id()};
  ChangeKpi(
      *parts_.kpi_lanes, call, key, request, request.kpi().model(),
      [key, kpi = request.kpi()](KpiWork& work,
                                 journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(CheckKpi(kpi, key.tenant, ModelOf(work, key, kpi)));
        if (work.Find(key) != nullptr) {
          return error::Make(absl::StatusCode::kAlreadyExists, "KPI_EXISTS",
                             absl::StrCat(KpiName(key), " exists already"));
        }
        KpiRow row{.kpi = kpi, .create_time = recorder.now(), .update_time = recorder.now()};
        row.kpi.set_name(KpiName(key));
        row.kpi.set_etag(Etag(row.row_version));
        ToProto(row.create_time, row.kpi.mutable_create_time());
        work.Put(key, row);
        return Tell(recorder, key, row, /*deleted=*/false);
      },
      std::move(reply));
}

void InsightsHandlers::UpdateKpi(const rpc::Call& call, const v1::UpdateKpiRequest& request,
                                 rpc::Reply<v1::Kpi> reply) {
  const auto key = ParseKpiName("kpi.name", request.kpi().name());
  if (!key.ok()) return reply(key.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.kpi());
  if (!paths.ok()) return reply(paths.status());
  ChangeKpi(
      *parts_.kpi_lanes, call, *key, request, request.kpi().model(),
      [key = *key, paths = *std::move(paths), patch = request.kpi()](
          KpiWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const KpiRow* before = work.Find(key);
        if (before == nullptr) return error::NotFound(KpiName(key));
        CLM_RETURN_IF_ERROR(CheckEtag("kpi.etag", patch.etag(), before->row_version));
        v1::Kpi kpi = before->kpi;
        rpc::ApplyMask(paths, patch, kpi);
        CLM_RETURN_IF_ERROR(CheckKpi(kpi, key.tenant, ModelOf(work, key, kpi)));
        if (kpi.SerializeAsString() == before->kpi.SerializeAsString()) {
          return kpi.SerializeAsString();
        }
        KpiRow row{.kpi = std::move(kpi),
                   .row_version = before->row_version + 1,
                   .create_time = before->create_time,
                   .update_time = recorder.now()};
        row.kpi.set_etag(Etag(row.row_version));
        work.Put(key, row);
        return Tell(recorder, key, row, /*deleted=*/false);
      },
      std::move(reply));
}

void InsightsHandlers::DeleteKpi(const rpc::Call& call, const v1::DeleteKpiRequest& request,
                                 rpc::Reply<v1::Kpi> reply) {
  const auto key = ParseKpiName("name", request.name());
  if (!key.ok()) return reply(key.status());
  ChangeKpi(
      *parts_.kpi_lanes, call, *key, request, "",
      [key = *key, etag = request.etag()](
          KpiWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const KpiRow* before = work.Find(key);
        if (before == nullptr) return error::NotFound(KpiName(key));
        CLM_RETURN_IF_ERROR(CheckEtag("etag", etag, before->row_version));
        KpiRow row = *before;
        ++row.row_version;
        work.Put(key, std::nullopt);
        return Tell(recorder, key, row, /*deleted=*/true);
      },
      std::move(reply));
}

namespace {

absl::StatusOr<std::vector<v1::Kpi>> ReadKpis(InsightsQueries& queries) {
  CLM_ASSIGN_OR_RETURN(const auto stored, queries.Kpis());
  std::vector<v1::Kpi> kpis(stored.size());
  for (size_t i = 0; i < stored.size(); ++i) {
    if (!kpis[i].ParseFromString(stored[i].body)) {
      return error::Internal("a stored KPI does not parse");
    }
    kpis[i].set_etag(Etag(stored[i].row_version));
  }
  return kpis;
}

}  // namespace

absl::StatusOr<v1::ListKpisResponse> InsightsHandlers::ListKpis(
    const rpc::Call& call, const v1::ListKpisRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  std::vector<v1::Kpi> kpis;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(kpis, ReadKpis(queries));
        return absl::OkStatus();
      }));
  // By bytes, as places are compared; the database may sort by the rules of a language.
  std::sort(kpis.begin(), kpis.end(),
            [](const v1::Kpi& a, const v1::Kpi& b) { return a.name() < b.name(); });
  v1::ListKpisResponse response;
  CLM_ASSIGN_OR_RETURN(
      *response.mutable_next_page_token(),
      AddPage(
          PageOf{*parts_.tokens, {"ListKpis", tenant}, request.page_size(), request.page_token()},
          kpis, [](const v1::Kpi& kpi) { return std::vector{kpi.name()}; },
          [&](const v1::Kpi& kpi) { *response.add_kpis() = kpi; }));
  return response;
}

absl::StatusOr<v1::ListReadyKpisResponse> InsightsHandlers::ListReadyKpis(
    const rpc::Call& call, const v1::ListReadyKpisRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ModelKey key, ParseModelName("model", request.model()));
  CLM_ASSIGN_OR_RETURN(StageModel model, FindModel(*parts_.reader, key, call.deadline));
  std::sort(model.stages.begin(), model.stages.end(),
            [](const Stage& a, const Stage& b) { return a.position < b.position; });
  v1::ListReadyKpisResponse response;
  std::set<v1::Kpi::Metric> named;
  for (const Stage& stage : model.stages) {
    if (stage.kind == StageKind::kNegative || stage.kind == StageKind::kTerminal) continue;
    for (const ReadyMetric& ready : ReadyMetrics(stage.canonical)) {
      const bool of_stage = NeedsStage(ready.metric);
      if (!of_stage && !named.insert(ready.metric).second) continue;
      if (ready.metric == v1::Kpi::METRIC_CONVERSION_RATE &&
          NormalStageBefore(model, stage.id) == nullptr) {
        continue;
      }
      auto* out = response.add_kpis();
      out->set_stage(stage.id);
      std::string id = ready.id;
      std::string name = ready.name;
      v1::Kpi* kpi = out->mutable_kpi();
      if (of_stage) {
        kpi->set_model(request.model());
        kpi->set_stage(stage.id);
        absl::StrAppend(&id, "-", stage.id);
        absl::StrAppend(&name, ": ", LabelOf(stage));
      }
      id.resize(std::min(id.size(), kMaxResourceId));
      while (!absl::ascii_isalnum(static_cast<unsigned char>(id.back()))) id.pop_back();
      out->set_kpi_id(id);
      kpi->set_metric(ready.metric);
      kpi->set_display_name(name);
      kpi->set_period(v1::PERIOD_MONTH);
      kpi->set_lower_is_better(ready.metric == v1::Kpi::METRIC_ACQUISITION_COST);
    }
  }
  return response;
}

absl::StatusOr<v1::GetScorecardResponse> InsightsHandlers::GetScorecard(
    const rpc::Call& call, const v1::GetScorecardRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  const absl::Time as_of = Or(request.has_as_of_time(), request.as_of_time(), call.now);
  CLM_ASSIGN_OR_RETURN(const auto models, parts_.reader->Models(tenant, call.deadline));
  std::vector<v1::GetScorecardResponse::Score> scores;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        scores.clear();
        CLM_ASSIGN_OR_RETURN(std::vector<v1::Kpi> kpis, ReadKpis(queries));
        CLM_ASSIGN_OR_RETURN(const std::string main, queries.MainCurrency(kPurchaseEvent));
        for (v1::Kpi& kpi : kpis) {
          if (!request.owner().empty() && kpi.owner() != request.owner()) continue;
          const auto key = ParseModelName("model", kpi.model());
          const CompiledModel* model = key.ok() ? models->Find(key->model) : nullptr;
          const Span span = SpanOf(kpi.period(), as_of);
          const std::string& currency = kpi.currency().empty() ? main : kpi.currency();
          CLM_ASSIGN_OR_RETURN(
              const std::optional<int64_t> actual,
              Measure(queries, kpi, model == nullptr ? nullptr : &model->newest(), span, currency));
          auto& score = scores.emplace_back();
          ToProto(span.start(), score.mutable_start_time());
          ToProto(Midnight(span.next), score.mutable_end_time());
          if (IsMoney(kpi.metric())) score.set_currency(currency);
          if (actual) {
            score.set_actual(*actual);
            score.set_reached(kpi.lower_is_better() ? *actual <= kpi.target()
                                                    : *actual >= kpi.target());
          }
          *score.mutable_kpi() = std::move(kpi);
        }
        return absl::OkStatus();
      }));
  // They come by id.
  std::stable_sort(scores.begin(), scores.end(),
                   [](const auto& a, const auto& b) { return a.kpi().owner() < b.kpi().owner(); });
  v1::GetScorecardResponse response;
  for (auto& score : scores) *response.add_scores() = std::move(score);
  return response;
}

absl::StatusOr<v1::RecountTotalsResponse> InsightsHandlers::RecountTotals(
    const rpc::Call& call, const v1::RecountTotalsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  Recount recount;
  CLM_RETURN_IF_ERROR(
      parts_.store->Read(tenant, call.deadline, [&](InsightsQueries& queries) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(recount, queries.RecountTotals());
        return absl::OkStatus();
      }));
  v1::RecountTotalsResponse response;
  response.set_compared_count(recount.compared);
  for (const auto& difference : recount.differences) {
    auto* out = response.add_differences();
    out->set_total(difference.total);
    out->set_running(difference.running);
    out->set_recounted(difference.recounted);
  }
  return response;
}

}  // namespace clm::lifecycle
