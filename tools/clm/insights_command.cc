#include "tools/clm/insights_command.h"

#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "clm/lifecycle/v1/insights_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/time_text.h"
#include "tools/clm/demo_fill.h"
#include "tools/clm/prediction_command.h"
#include "tools/clm/values.h"
#include "tools/terminal/chart.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using lifecycle::v1::GetCohortsRequest;
using lifecycle::v1::GetCohortsResponse;
using lifecycle::v1::GetCustomerValueRequest;
using lifecycle::v1::GetFunnelRequest;
using lifecycle::v1::GetFunnelResponse;
using lifecycle::v1::GetVelocityRequest;
using lifecycle::v1::Kpi;
using lifecycle::v1::Period;
using Stub = lifecycle::v1::InsightsService::Stub;
using terminal::Share;

// Reports read much; they may take longer than a call about one customer.
constexpr absl::Duration kReport = absl::Minutes(5);

absl::StatusOr<bool> ForPeople(const Cli& cli) {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  return format == terminal::Format::kTable || format == terminal::Format::kWide;
}

void Title(const Cli& cli, absl::string_view text) {
  std::cout << terminal::Paint(cli.screen(), terminal::Tone::kStrong, terminal::Printable(text))
            << "\n\n";
}

// What the figures stand on.
void Remark(const Cli& cli, absl::string_view text) {
  std::cout << terminal::Paint(cli.screen(), terminal::Tone::kMuted, terminal::Printable(text))
            << "\n";
}

absl::Status SetMoment(absl::string_view flag, const std::string& text,
                       google::protobuf::Timestamp* (*mutable_time)(void*), void* request) {
  if (text.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const absl::Time time, ParseMoment(flag, text, absl::Now()));
  SetTime(time, mutable_time(request));
  return absl::OkStatus();
}

absl::StatusOr<Period> ParsePeriod(const std::string& text) {
  Period period = lifecycle::v1::PERIOD_UNSPECIFIED;
  if (text.empty()) return period;
  if (lifecycle::v1::Period_Parse(absl::StrCat("PERIOD_", absl::AsciiStrToUpper(text)), &period)) {
    return period;
  }
  return error::InvalidField("--period", "must be day, week, month or quarter");
}

terminal::Cell OptionalShare(bool has, double share) {
  return has ? terminal::Cell(Share{share}) : terminal::Cell();
}
terminal::Cell OptionalSeconds(bool has, int64_t seconds) {
  return has ? terminal::Cell(absl::Seconds(seconds)) : terminal::Cell();
}

struct Flags {
  std::string model, start, end, as_of, period, by, event_type, currency, contact, owner, reading;
  std::vector<std::string> models, steps, stages;
  int days = 0;
  int64_t limit = 50;
  bool revenue = false, per_head = false, canonical = false;
};

// "at_risk"; "-" for a stage that is not mapped.
std::string CanonicalText(lifecycle::v1::CanonicalStage stage) {
  if (stage == lifecycle::v1::CANONICAL_STAGE_UNSPECIFIED) return "-";
  return EnumText("CANONICAL_STAGE_", lifecycle::v1::CanonicalStage_Name(stage));
}

// What a row of a board or a step of a funnel is about: a stage of the model, or all of one
// meaning.
template <class Row>
std::string StageText(const Row& row) {
  return row.stage().empty() ? CanonicalText(row.canonical_stage()) : row.stage();
}

// ---- board

using lifecycle::v1::GetStageBoardResponse;

absl::StatusOr<GetStageBoardResponse> GetBoard(Cli& cli, const Flags& flags,
                                               const std::string& model) {
  lifecycle::v1::GetStageBoardRequest request;
  request.set_model(cli.Name("stageModels", model));
  request.set_by_canonical_stage(flags.canonical);
  CLM_RETURN_IF_ERROR(SetMoment(
      "--as-of", flags.as_of,
      [](void* r) {
        return static_cast<lifecycle::v1::GetStageBoardRequest*>(r)->mutable_as_of_time();
      },
      &request));
  if (!flags.start.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time start, ParseMoment("--start", flags.start, absl::Now()));
    request.set_start_date(FormatDay(absl::ToCivilDay(start, absl::UTCTimeZone())));
  }
  return cli.Call(&Stub::GetStageBoard, request, kReport);
}

// Boards of several models side by side: a row per meaning, and the customers in each model.
absl::Status Boards(Cli& cli, const Flags& flags) {
  std::vector<GetStageBoardResponse> boards;
  std::vector<terminal::Column> columns = {{"name", "CANONICAL STAGE"}};
  for (const std::string& model : flags.models) {
    CLM_ASSIGN_OR_RETURN(boards.emplace_back(), GetBoard(cli, flags, model));
    columns.push_back({LastPart(model)});
  }
  return cli.Print(Pointers(boards), true, [&] {
    std::map<int, std::vector<int64_t>> rows;
    std::vector<int64_t> totals(boards.size());
    for (size_t i = 0; i < boards.size(); ++i) {
      for (const auto& s : boards[i].stages()) {
        // What is not mapped comes last.
        const int rank = s.canonical_stage() == lifecycle::v1::CANONICAL_STAGE_UNSPECIFIED
                             ? lifecycle::v1::CanonicalStage_MAX + 1
                             : static_cast<int>(s.canonical_stage());
        auto& row = rows[rank];
        row.resize(boards.size());
        row[i] = s.count();
        totals[i] += s.count();
      }
    }
    terminal::Table table(columns);
    for (const auto& [rank, counts] : rows) {
      std::vector<terminal::Cell> cells = {
          rank > lifecycle::v1::CanonicalStage_MAX
              ? "not mapped"
              : CanonicalText(static_cast<lifecycle::v1::CanonicalStage>(rank))};
      cells.insert(cells.end(), counts.begin(), counts.end());
      table.Add(std::move(cells));
    }
    std::vector<terminal::Cell> sums = {"in all"};
    sums.insert(sums.end(), totals.begin(), totals.end());
    table.Add(std::move(sums));
    return table;
  });
}

absl::Status Board(Cli& cli, const Flags& flags) {
  if (flags.models.size() > 1) {
    if (!flags.canonical) {
      return error::InvalidField("--canonical", "stages of several models need it to be compared");
    }
    return Boards(cli, flags);
  }
  CLM_ASSIGN_OR_RETURN(const GetStageBoardResponse response,
                       GetBoard(cli, flags, flags.models.front()));
  CLM_ASSIGN_OR_RETURN(const bool people, ForPeople(cli));
  if (!people) {
    return cli.PrintReport(response, [&] {
      terminal::Table table({{"name"}, {"label"}, {"count"}, {"overdue_count"}});
      for (const auto& s : response.stages()) {
        table.Add({StageText(s), s.label(), s.count(), s.overdue_count()});
      }
      return table;
    });
  }
  int64_t total = 0;
  for (const auto& s : response.stages()) total += s.count();
  Title(cli,
        absl::StrCat(terminal::CountText(total), " customers by ",
                     flags.canonical ? "canonical stage" : "stage", " of ", flags.models.front(),
                     ", as of ", terminal::TimeText(ToTime(response.as_of_time()))));
  std::vector<terminal::Bar> bars;
  for (const auto& s : response.stages()) {
    std::string text = terminal::CountText(s.count());
    if (total > 0) {
      absl::StrAppend(
          &text, "  ",
          terminal::PercentText(static_cast<double>(s.count()) / static_cast<double>(total)));
    }
    if (s.overdue_count() > 0) {
      absl::StrAppend(&text, "  ", terminal::CountText(s.overdue_count()), " overdue");
    }
    bars.push_back({s.label(), static_cast<double>(s.count()), text});
  }
  std::cout << terminal::BarChart(cli.screen(), bars);
  if (response.flows().empty()) return absl::OkStatus();
  // Net entries by day, a line per stage.
  std::map<std::string, std::vector<std::optional<double>>> entered;
  std::map<std::string, std::pair<int64_t, int64_t>> sums;
  std::string day;
  size_t days = 0;
  for (const auto& f : response.flows()) {
    if (f.date() != day) ++days;
    day = f.date();
    auto& line = entered[StageText(f)];
    line.resize(days);
    line.back() = static_cast<double>(f.entered());
    sums[StageText(f)].first += f.entered();
    sums[StageText(f)].second += f.left();
  }
  std::cout << "\n";
  terminal::Table table({{"stage"}, {"entered"}, {"left"}, {"by_day", "ENTRIES BY DAY"}});
  for (const auto& s : response.stages()) {
    auto& line = entered[StageText(s)];
    line.resize(days);
    table.Add({s.label(), sums[StageText(s)].first, sums[StageText(s)].second,
               terminal::Sparkline(cli.screen(), line)});
  }
  return cli.PrintTable(table);
}

// ---- funnel

absl::Status ShowFunnel(Cli& cli, const Flags& flags) {
  GetFunnelRequest request;
  request.set_model(cli.Name("stageModels", flags.model));
  for (const std::string& step : flags.steps) request.add_steps(step);
  request.set_by_canonical_stage(flags.canonical);
  CLM_RETURN_IF_ERROR(SetMoment(
      "--start", flags.start,
      [](void* r) { return static_cast<GetFunnelRequest*>(r)->mutable_start_time(); }, &request));
  CLM_RETURN_IF_ERROR(SetMoment(
      "--end", flags.end,
      [](void* r) { return static_cast<GetFunnelRequest*>(r)->mutable_end_time(); }, &request));
  CLM_ASSIGN_OR_RETURN(const GetFunnelResponse response,
                       cli.Call(&Stub::GetFunnel, request, kReport));
  const bool strict = flags.reading == "strict";
  const auto& steps = strict ? response.strict_order() : response.reached_at_least();
  const auto table = [&] {
    terminal::Table rows({{"name", "STAGE"},
                          {"label"},
                          {"entrants"},
                          {"from_previous", "FROM PREVIOUS"},
                          {"from_top", "FROM TOP"},
                          {"median_time", "MEDIAN TIME"},
                          {"p90_time", "P90 TIME"},
                          {"drop_off", "DROP-OFF"}});
    for (const auto& s : steps) {
      rows.Add({StageText(s), s.label(), s.entrants(),
                OptionalShare(s.has_from_previous(), s.from_previous()),
                OptionalShare(s.has_from_top(), s.from_top()),
                OptionalSeconds(s.has_median_seconds(), s.median_seconds()),
                OptionalSeconds(s.has_p90_seconds(), s.p90_seconds()), s.drop_off()});
    }
    return rows;
  };
  CLM_ASSIGN_OR_RETURN(const bool people, ForPeople(cli));
  if (!people) return cli.PrintReport(response, table);
  Title(cli, absl::StrCat("Funnel of ", flags.model));
  std::vector<terminal::FunnelStep> drawn;
  for (const auto& s : steps) {
    terminal::FunnelStep step{.label = s.label(), .count = s.entrants(), .median_time = {}};
    if (s.has_median_seconds()) step.median_time = absl::Seconds(s.median_seconds());
    drawn.push_back(std::move(step));
  }
  std::cout << terminal::Funnel(cli.screen(), drawn) << "\n";
  CLM_RETURN_IF_ERROR(cli.PrintTable(table()));
  std::cout << "\n";
  Remark(cli, strict ? "Reading: customers who visited the steps in exactly this order "
                       "(--reading reached counts who came at least this far)."
                     : "Reading: customers who came at least this far, also by jumping over steps "
                       "(--reading strict wants exactly this order).");
  return absl::OkStatus();
}

// ---- retention

absl::Status Retention(Cli& cli, const Flags& flags) {
  lifecycle::v1::GetRetentionRequest request;
  request.set_parent(cli.tenant_name());
  if (flags.model.empty() == (flags.days == 0)) {
    return error::InvalidField(
        "--model", "say who is a customer: --bought-within DAYS, or --model MODEL [--stage STAGE]");
  }
  if (!flags.model.empty()) {
    auto* in = request.mutable_definition()->mutable_in_stage();
    in->set_model(cli.Name("stageModels", flags.model));
    for (const std::string& stage : flags.stages) in->add_stages(stage);
  } else {
    auto* bought = request.mutable_definition()->mutable_bought_within();
    bought->set_days(flags.days);
    bought->set_event_type(flags.event_type);
  }
  CLM_ASSIGN_OR_RETURN(const absl::Time start, ParseMoment("--start", flags.start, absl::Now()));
  CLM_ASSIGN_OR_RETURN(const absl::Time end, ParseMoment("--end", flags.end, absl::Now()));
  SetTime(start, request.mutable_start_time());
  SetTime(end, request.mutable_end_time());
  if (flags.period != "none") {
    CLM_ASSIGN_OR_RETURN(const Period period, ParsePeriod(flags.period));
    request.set_period(period);
  }
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Stub::GetRetention, request, kReport));
  const auto table = [&] {
    terminal::Table rows({{"start_time", "FROM"},
                          {"end_time", "TO"},
                          {"at_start", "AT START"},
                          {"kept"},
                          {"lost"},
                          {"new_customers", "NEW"},
                          {"returned", "CAME BACK"},
                          {"at_end", "AT END"},
                          {"retention_rate", "RETENTION"},
                          {"churn_rate", "CHURN"},
                          {"naive_retention_rate", "NAIVE"}});
    for (const auto& p : response.periods()) {
      rows.Add({ToTime(p.start_time()), ToTime(p.end_time()), p.at_start(), p.kept(), p.lost(),
                p.new_customers(), p.returned(), p.at_end(),
                OptionalShare(p.has_retention_rate(), p.retention_rate()),
                OptionalShare(p.has_churn_rate(), p.churn_rate()),
                OptionalShare(p.has_naive_retention_rate(), p.naive_retention_rate())});
    }
    return rows;
  };
  CLM_ASSIGN_OR_RETURN(const bool people, ForPeople(cli));
  if (!people) return cli.PrintReport(response, table);
  Title(cli, "Customer retention");
  CLM_RETURN_IF_ERROR(cli.PrintTable(table()));
  std::vector<std::optional<double>> rates;
  for (const auto& p : response.periods()) {
    rates.push_back(p.has_retention_rate() ? std::optional(p.retention_rate()) : std::nullopt);
  }
  if (rates.size() > 1) {
    std::cout << "\nretention  " << terminal::Sparkline(cli.screen(), rates) << "\n";
  }
  std::cout << "\n";
  Remark(cli, absl::StrCat("Customer: ", response.definition_text(),
                           " Naive counts those who came back as kept."));
  return absl::OkStatus();
}

// ---- cohorts

absl::Status DrawCohorts(Cli& cli, const GetCohortsResponse& response, const Flags& flags) {
  std::vector<terminal::CohortRow> rows;
  for (const auto& cohort : response.cohorts()) {
    terminal::CohortRow row{.label = cohort.start_date(), .size = cohort.size(), .shares = {}};
    for (const auto& cell : cohort.cells()) {
      row.shares.push_back(cell.complete() && cell.has_share() ? std::optional(cell.share())
                                                               : std::nullopt);
    }
    rows.push_back(std::move(row));
  }
  const std::string age = flags.period == "week"      ? "W"
                          : flags.period == "day"     ? "D"
                          : flags.period == "quarter" ? "Q"
                                                      : "M";
  std::cout << terminal::HeatTable(cli.screen(), "cohort", age, rows);
  if (!flags.revenue && !flags.per_head) return absl::OkStatus();
  std::cout << "\n";
  std::vector<terminal::Column> columns = {{"cohort"}, {"size"}};
  size_t ages = 0;
  for (const auto& row : rows) ages = std::max(ages, row.shares.size());
  for (size_t i = 0; i < ages; ++i) columns.push_back({absl::StrCat(age, i)});
  terminal::Table table(columns);
  for (const auto& cohort : response.cohorts()) {
    std::vector<terminal::Cell> cells = {cohort.start_date(), cohort.size()};
    for (const auto& cell : cohort.cells()) {
      const bool has = cell.complete() && (flags.per_head ? cell.has_revenue_per_head_minor()
                                                          : cell.has_revenue_minor());
      cells.push_back(
          has ? terminal::Cell(terminal::Money{
                    flags.per_head ? cell.revenue_per_head_minor() : cell.revenue_minor(),
                    response.currency()})
              : terminal::Cell());
    }
    table.Add(std::move(cells));
  }
  return cli.PrintTable(table);
}

absl::Status Cohorts(Cli& cli, const Flags& flags) {
  GetCohortsRequest request;
  request.set_parent(cli.tenant_name());
  request.set_cohort_by(flags.by == "sign-up" ? GetCohortsRequest::COHORT_BY_SIGN_UP
                                              : GetCohortsRequest::COHORT_BY_FIRST_PURCHASE);
  CLM_ASSIGN_OR_RETURN(const Period period, ParsePeriod(flags.period));
  request.set_period(period);
  CLM_RETURN_IF_ERROR(SetMoment(
      "--start", flags.start,
      [](void* r) { return static_cast<GetCohortsRequest*>(r)->mutable_start_time(); }, &request));
  CLM_RETURN_IF_ERROR(SetMoment(
      "--end", flags.end,
      [](void* r) { return static_cast<GetCohortsRequest*>(r)->mutable_end_time(); }, &request));
  CLM_RETURN_IF_ERROR(SetMoment(
      "--as-of", flags.as_of,
      [](void* r) { return static_cast<GetCohortsRequest*>(r)->mutable_as_of_time(); }, &request));
  request.set_event_type(flags.event_type);
  request.set_currency(flags.currency);
  CLM_ASSIGN_OR_RETURN(const GetCohortsResponse response,
                       cli.Call(&Stub::GetCohorts, request, kReport));
  CLM_ASSIGN_OR_RETURN(const bool people, ForPeople(cli));
  if (!people) {
    // One row per cell, as programs like it.
    return cli.PrintReport(response, [&] {
      terminal::Table table({{"name", "COHORT"},
                             {"size"},
                             {"age"},
                             {"complete"},
                             {"active"},
                             {"share"},
                             {"revenue"},
                             {"revenue_per_head"}});
      for (const auto& cohort : response.cohorts()) {
        for (const auto& c : cohort.cells()) {
          const auto money = [&](bool has, int64_t minor) {
            return has ? terminal::Cell(terminal::Money{minor, response.currency()})
                       : terminal::Cell();
          };
          table.Add({cohort.start_date(), cohort.size(), static_cast<int64_t>(c.age()),
                     c.complete(), c.has_active() ? terminal::Cell(c.active()) : terminal::Cell(),
                     OptionalShare(c.has_share(), c.share()),
                     money(c.has_revenue_minor(), c.revenue_minor()),
                     money(c.has_revenue_per_head_minor(), c.revenue_per_head_minor())});
        }
      }
      return table;
    });
  }
  Title(cli, absl::StrCat("Share of each cohort that was active, by age; cohorts by ",
                          flags.by == "sign-up" ? "sign-up" : "first purchase"));
  CLM_RETURN_IF_ERROR(DrawCohorts(cli, response, flags));
  std::cout << "\n";
  Remark(cli, "Blank: the period is not over yet.");
  return absl::OkStatus();
}

// ---- velocity

absl::Status Velocity(Cli& cli, const Flags& flags) {
  GetVelocityRequest request;
  request.set_model(cli.Name("stageModels", flags.model));
  if (flags.by == "cohort") request.set_group_by(GetVelocityRequest::GROUP_BY_COHORT);
  if (flags.by == "source") request.set_group_by(GetVelocityRequest::GROUP_BY_SOURCE);
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Stub::GetVelocity, request, kReport));
  CLM_ASSIGN_OR_RETURN(const bool people, ForPeople(cli));
  if (people) Title(cli, absl::StrCat("Time in the stages of ", flags.model));
  if (people && flags.by.empty()) {
    std::vector<terminal::Bar> bars;
    for (const auto& r : response.rows()) {
      if (!r.has_median_seconds()) continue;
      bars.push_back({r.label(), static_cast<double>(r.median_seconds()),
                      terminal::DurationText(absl::Seconds(r.median_seconds()))});
    }
    std::cout << terminal::BarChart(cli.screen(), bars) << "\n";
  }
  return cli.PrintReport(response, [&] {
    terminal::Table table({{"name", "STAGE"},
                           {"group"},
                           {"completed_visits", "LEFT"},
                           {"open_visits", "STILL IN"},
                           {"median_time", "MEDIAN"},
                           {"p90_time", "P90"},
                           {"target_days", "TARGET DAYS"}});
    for (const auto& r : response.rows()) {
      table.Add({r.stage(), TextCell(r.group()), r.completed_visits(), r.open_visits(),
                 OptionalSeconds(r.has_median_seconds(), r.median_seconds()),
                 OptionalSeconds(r.has_p90_seconds(), r.p90_seconds()),
                 r.target_days() > 0 ? terminal::Cell(static_cast<int64_t>(r.target_days()))
                                     : terminal::Cell()});
    }
    return table;
  });
}

// ---- value

absl::Status CustomerValue(Cli& cli, const Flags& flags) {
  GetCustomerValueRequest request;
  request.set_parent(cli.tenant_name());
  request.set_group_by(flags.by == "customer" ? GetCustomerValueRequest::GROUP_BY_CUSTOMER
                       : flags.by == "cohort" ? GetCustomerValueRequest::GROUP_BY_COHORT
                       : flags.by == "source" ? GetCustomerValueRequest::GROUP_BY_SOURCE
                                              : GetCustomerValueRequest::GROUP_BY_TOTAL);
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
    request.set_group_by(GetCustomerValueRequest::GROUP_BY_CUSTOMER);
  }
  request.set_currency(flags.currency);
  CLM_RETURN_IF_ERROR(SetMoment(
      "--as-of", flags.as_of,
      [](void* r) { return static_cast<GetCustomerValueRequest*>(r)->mutable_as_of_time(); },
      &request));
  request.set_page_size(static_cast<int32_t>(std::min<int64_t>(flags.limit, 1000)));
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Stub::GetCustomerValue, request, kReport));
  if (!response.next_page_token().empty()) cli.Note("there are more; --limit shows up to 1000");
  return cli.PrintReport(response, [&] {
    terminal::Table table({{"name", flags.by.empty() ? "ALL" : absl::AsciiStrToUpper(flags.by)},
                           {"customers"},
                           {"purchases"},
                           {"revenue"},
                           {"refunds"},
                           {"goods_cost", "GOODS", true},
                           {"margin"},
                           {"acquisition_cost", "COST"},
                           {"value"},
                           {"value_per_customer", "PER CUSTOMER"}});
    const auto money = [&](int64_t minor) { return terminal::Money{minor, response.currency()}; };
    for (const auto& v : response.values()) {
      table.Add({LastPart(v.key()), v.customers(), v.purchases(), money(v.revenue_minor()),
                 money(v.refund_minor()), money(v.goods_cost_minor()),
                 v.has_margin_minor() ? terminal::Cell(money(v.margin_minor())) : terminal::Cell(),
                 money(v.acquisition_cost_minor()), money(v.value_minor()),
                 v.customers() > 0 ? terminal::Cell(money(v.value_minor() / v.customers()))
                                   : terminal::Cell()});
    }
    return table;
  });
}

// ---- KPIs

// In the unit of the metric: a count, money, days or a share.
std::string TargetText(const Kpi& kpi, int64_t value, const std::string& currency) {
  switch (kpi.metric()) {
    case Kpi::METRIC_CONVERSION_RATE:
    case Kpi::METRIC_RETENTION_RATE:
    case Kpi::METRIC_REPEAT_RATE:
    case Kpi::METRIC_ONE_AND_DONE:
      return terminal::PercentText(static_cast<double>(value) / 1e6);
    case Kpi::METRIC_ACQUISITION_COST:
    case Kpi::METRIC_REVENUE:
    case Kpi::METRIC_CUSTOMER_VALUE:
      // Which currency it is of is told when it is measured.
      return currency.empty() ? absl::StrCat(terminal::CountText(value), " minor units")
                              : terminal::MoneyText(value, currency);
    default:
      return terminal::CountText(value);
  }
}

terminal::Table KpiTable(const std::vector<Kpi>& kpis) {
  terminal::Table table({{"name", "KPI"},
                         {"display_name", "NAME"},
                         {"metric"},
                         {"stage"},
                         {"target"},
                         {"period"},
                         {"owner"}});
  table.set_empty_text("no KPIs; clm insights add-kpi makes one");
  for (const Kpi& k : kpis) {
    table.Add({LastPart(k.name()), TextCell(k.display_name()),
               EnumText("METRIC_", Kpi::Metric_Name(k.metric())), TextCell(k.stage()),
               absl::StrCat(k.lower_is_better() ? "at most " : "at least ",
                            TargetText(k, k.target(), k.currency())),
               TextCell(EnumText("PERIOD_", lifecycle::v1::Period_Name(k.period()))), k.owner()});
  }
  return table;
}

absl::Status Scorecard(Cli& cli, const Flags& flags) {
  lifecycle::v1::GetScorecardRequest request;
  request.set_parent(cli.tenant_name());
  request.set_owner(flags.owner);
  CLM_RETURN_IF_ERROR(SetMoment(
      "--as-of", flags.as_of,
      [](void* r) {
        return static_cast<lifecycle::v1::GetScorecardRequest*>(r)->mutable_as_of_time();
      },
      &request));
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Stub::GetScorecard, request, kReport));
  return cli.PrintReport(response, [&] {
    terminal::Table table({{"owner"},
                           {"name", "KPI"},
                           {"stage"},
                           {"actual"},
                           {"target"},
                           {"reached"},
                           {"start_time", "FROM"},
                           {"end_time", "TO"}});
    table.set_empty_text("no KPIs; clm insights add-kpi makes one");
    for (const auto& s : response.scores()) {
      table.Add(
          {s.kpi().owner(),
           s.kpi().display_name().empty() ? LastPart(s.kpi().name()) : s.kpi().display_name(),
           TextCell(s.kpi().stage()),
           s.has_actual() ? terminal::Cell(TargetText(s.kpi(), s.actual(), s.currency()))
                          : terminal::Cell(),
           TargetText(s.kpi(), s.kpi().target(), s.currency()),
           terminal::Cell(s.reached(), s.reached() ? terminal::Tone::kGood : terminal::Tone::kBad),
           TimeCell(s.has_start_time(), s.start_time()), TimeCell(s.has_end_time(), s.end_time())});
    }
    return table;
  });
}

struct KpiFlags {
  std::string id, name, metric, model, stage, owner, period, currency, etag;
  int64_t target = 0;
  bool lower_is_better = false, higher_is_better = false;
};

absl::StatusOr<Kpi::Metric> ParseMetric(const std::string& text) {
  Kpi::Metric metric;
  std::string name = absl::AsciiStrToUpper(text);
  for (char& c : name) c = c == '-' ? '_' : c;
  if (Kpi::Metric_Parse(absl::StrCat("METRIC_", name), &metric)) return metric;
  return error::InvalidField("--metric", absl::StrCat("'", text,
                                                      "' is not a metric such as stage-count, "
                                                      "revenue, repeat-rate, retention-rate"));
}

absl::Status AddKpi(Cli& cli, const KpiFlags& flags) {
  lifecycle::v1::CreateKpiRequest request;
  request.set_parent(cli.tenant_name());
  request.set_kpi_id(flags.id);
  Kpi* kpi = request.mutable_kpi();
  CLM_ASSIGN_OR_RETURN(const Kpi::Metric metric, ParseMetric(flags.metric));
  kpi->set_metric(metric);
  kpi->set_display_name(flags.name);
  if (!flags.model.empty()) kpi->set_model(cli.Name("stageModels", flags.model));
  kpi->set_stage(flags.stage);
  kpi->set_owner(flags.owner);
  kpi->set_target(flags.target);
  kpi->set_currency(flags.currency);
  kpi->set_lower_is_better(flags.lower_is_better);
  CLM_ASSIGN_OR_RETURN(const Period period, ParsePeriod(flags.period));
  kpi->set_period(period);
  CLM_ASSIGN_OR_RETURN(const Kpi made, cli.Call(&Stub::CreateKpi, request));
  return cli.Print({&made}, false, [&] { return KpiTable({made}); });
}

// Changes what was given on the line, and nothing else.
absl::Status UpdateKpi(Cli& cli, Command command, const KpiFlags& flags) {
  lifecycle::v1::UpdateKpiRequest request;
  Kpi* kpi = request.mutable_kpi();
  kpi->set_name(cli.Name("kpis", flags.id));
  kpi->set_etag(flags.etag);
  const auto given = [&](const char* flag, const char* path) {
    if (!command.Given(flag)) return false;
    request.mutable_update_mask()->add_paths(path);
    return true;
  };
  if (given("--metric", "metric")) {
    CLM_ASSIGN_OR_RETURN(const Kpi::Metric metric, ParseMetric(flags.metric));
    kpi->set_metric(metric);
  }
  if (given("--period", "period")) {
    CLM_ASSIGN_OR_RETURN(const Period period, ParsePeriod(flags.period));
    kpi->set_period(period);
  }
  if (given("--model", "model") && !flags.model.empty()) {
    kpi->set_model(cli.Name("stageModels", flags.model));
  }
  if (given("--stage", "stage")) kpi->set_stage(flags.stage);
  if (given("--target", "target")) kpi->set_target(flags.target);
  if (given("--owner", "owner")) kpi->set_owner(flags.owner);
  if (given("--currency", "currency")) kpi->set_currency(flags.currency);
  if (given("--display-name", "display_name")) kpi->set_display_name(flags.name);
  if (given("--lower-is-better", "lower_is_better")) kpi->set_lower_is_better(true);
  if (given("--higher-is-better", "lower_is_better")) kpi->set_lower_is_better(false);
  if (request.update_mask().paths().empty()) {
    return error::InvalidField("--target", "or another flag must say what is to be changed");
  }
  CLM_ASSIGN_OR_RETURN(const Kpi updated, cli.Call(&Stub::UpdateKpi, request));
  return cli.Print({&updated}, false, [&] { return KpiTable({updated}); });
}

absl::Status DeleteKpi(Cli& cli, const KpiFlags& flags) {
  lifecycle::v1::DeleteKpiRequest request;
  request.set_name(cli.Name("kpis", flags.id));
  request.set_etag(flags.etag);
  CLM_ASSIGN_OR_RETURN(const Kpi deleted, cli.Call(&Stub::DeleteKpi, request));
  return cli.Print({&deleted}, false, [&] { return KpiTable({deleted}); });
}

absl::Status ReadyKpis(Cli& cli, const Flags& flags) {
  lifecycle::v1::ListReadyKpisRequest request;
  request.set_model(cli.Name("stageModels", flags.model));
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Stub::ListReadyKpis, request));
  return cli.PrintReport(response, [&] {
    terminal::Table table({{"stage"}, {"name", "KPI"}, {"metric"}, {"display_name", "NAME"}});
    table.set_empty_text("no stage of the model is mapped to one that a ready KPI is for");
    for (const auto& ready : response.kpis()) {
      table.Add({ready.stage(), ready.kpi_id(),
                 EnumText("METRIC_", Kpi::Metric_Name(ready.kpi().metric())),
                 ready.kpi().display_name()});
    }
    return table;
  });
}

void AddKpiFlags(Command c, KpiFlags& kpi) {
  c.AddOption("--model", kpi.model, "for metrics of a stage");
  c.AddOption("--stage", kpi.stage, "for metrics of a stage");
  c.AddOption("--period", kpi.period, "day, week, month or quarter; default: month");
  c.AddOption("--display-name", kpi.name, "for people");
  c.AddOption("--currency", kpi.currency,
              "of metrics that are money; default: the one most purchases have");
}

}  // namespace

absl::Status ShowDemoOverview(Cli& cli) {
  Flags flags;
  flags.model = kDemoModel;
  flags.models = {kDemoModel};
  CLM_RETURN_IF_ERROR(Board(cli, flags));
  std::cout << "\n";
  // The way to the first purchase and on; who subscribes need not have bought before.
  flags.steps = {"visitor", "member", "trial", "buyer", "repeat_buyer", "loyal"};
  return ShowFunnel(cli, flags);
}

absl::Status ShowCohorts(Cli& cli, absl::Time start, absl::Time end, const std::string& currency) {
  Flags flags;
  flags.start = clm::FormatTime(start);
  flags.end = clm::FormatTime(end);
  flags.as_of = flags.end;
  flags.currency = currency;
  return Cohorts(cli, flags);
}

void AddInsightsCommands(Cli& cli) {
  Command group = cli.AddGroup("insights", "What all customers together show");
  const auto command = [&](const char* name, const char* description,
                           const std::vector<std::string>& examples,
                           absl::Status (*run)(Cli&, const Flags&), std::shared_ptr<Flags> flags) {
    return cli.AddCommand(group, name, description, examples,
                          [&cli, flags, run] { return run(cli, *flags); });
  };
  const char* const kMoment = "day, time, or a span ago (90d)";

  auto board = std::make_shared<Flags>();
  Command c = command("board", "Customers per stage, and who came and left",
                      {"clm insights board subscription",
                       "clm insights board subscription --as-of 2026-01-01 --start 30d",
                       "clm insights board subscription hubspot-eight --canonical"},
                      &Board, board);
  c.AddOption("MODEL", board->models, "id of the stage model; several with --canonical").Required();
  c.AddFlag("--canonical", board->canonical,
            "by what stages mean across models, so that models can be compared");
  c.AddOption("--as-of", board->as_of, kMoment);
  c.AddOption("--start", board->start, "with entries and exits by day from then on");

  auto funnel = std::make_shared<Flags>();
  c = command("funnel", "Conversion from stage to stage, and where people are lost",
              {"clm insights funnel subscription",
               "clm insights funnel subscription --step member --step trial --step buyer "
               "--reading strict",
               "clm insights funnel subscription --canonical"},
              &ShowFunnel, funnel);
  c.AddOption("MODEL", funnel->model, "id of the stage model").Required();
  c.AddOption("--step", funnel->steps, "stage; may be repeated; default: the normal stages");
  c.AddFlag("--canonical", funnel->canonical, "steps are what stages mean across models");
  c.AddOption("--start", funnel->start, "who entered the first step from then on");
  c.AddOption("--end", funnel->end, "and before then");
  c.AddOption("--reading", funnel->reading, "reached or strict").OneOf({"reached", "strict"});

  auto retention = std::make_shared<Flags>();
  retention->start = "365d";
  retention->end = "now";
  retention->period = "month";
  c = command("retention", "Who stayed, who left, who came back, period by period",
              {"clm insights retention --bought-within 90",
               "clm insights retention --model subscription --start 2026-01-01 --period quarter"},
              &Retention, retention);
  c.AddOption("--bought-within", retention->days, "customer: has bought within so many days")
      .Between(1, 36500);
  c.AddOption("--event-type", retention->event_type, "what counts as buying; default: purchase");
  c.AddOption("--model", retention->model, "customer: is in a stage of this model");
  c.AddOption("--stage", retention->stages,
              "only of these; default: all but negative and terminal ones");
  c.AddOption("--start", retention->start, kMoment).ShowDefault();
  c.AddOption("--end", retention->end, kMoment).ShowDefault();
  c.AddOption("--period", retention->period, "day, week, month, quarter, or none").ShowDefault();

  auto cohorts = std::make_shared<Flags>();
  c = command("cohorts", "Cohorts by first purchase or sign-up, and what became of them",
              {"clm insights cohorts", "clm insights cohorts --by sign-up --period quarter",
               "clm insights cohorts --start 1997-01-01 --end 1997-04-01 --as-of 1998-07-01 "
               "--revenue"},
              &Cohorts, cohorts);
  c.AddOption("--by", cohorts->by, "first-purchase or sign-up")
      .OneOf({"first-purchase", "sign-up"});
  c.AddOption("--period", cohorts->period, "day, week, month or quarter; default: month");
  c.AddOption("--start", cohorts->start, "first cohort");
  c.AddOption("--end", cohorts->end, "cohorts before then");
  c.AddOption("--as-of", cohorts->as_of, "as it was then");
  c.AddOption("--event-type", cohorts->event_type, "default: purchase");
  c.AddOption("--currency", cohorts->currency, "of the revenue");
  c.AddFlag("--revenue", cohorts->revenue, "with the revenue of each cell");
  c.AddFlag("--revenue-per-head", cohorts->per_head, "with the revenue per customer");

  auto velocity = std::make_shared<Flags>();
  c = command(
      "velocity", "How long customers stay in each stage",
      {"clm insights velocity subscription", "clm insights velocity subscription --by source"},
      &Velocity, velocity);
  c.AddOption("MODEL", velocity->model, "id of the stage model").Required();
  c.AddOption("--by", velocity->by, "cohort or source").OneOf({"cohort", "source"});

  auto value = std::make_shared<Flags>();
  c = command(
      "value",
      "Historic customer lifetime value: revenue less refunds and cost. The margin is known "
      "where every purchase has the property cost_minor, what its goods cost",
      {"clm insights value", "clm insights value --by source",
       "clm insights value --by customer --limit 20"},
      &CustomerValue, value);
  c.AddOption("--by", value->by, "customer, cohort or source")
      .OneOf({"customer", "cohort", "source"});
  c.AddOption("--contact", value->contact, "of one person");
  c.AddOption("--currency", value->currency, "default: the one most events have");
  c.AddOption("--as-of", value->as_of, kMoment);
  c.AddOption("--limit", value->limit, "most to show").Between(1, 1000).ShowDefault();

  command(
      "kpis", "List the KPI catalogue", {"clm insights kpis"},
      [](Cli& one, const Flags&) -> absl::Status {
        lifecycle::v1::ListKpisRequest request;
        request.set_parent(one.tenant_name());
        CLM_ASSIGN_OR_RETURN(const std::vector<Kpi> kpis,
                             one.List(&Stub::ListKpis, request,
                                      &lifecycle::v1::ListKpisResponse::kpis, /*limit=*/0));
        return one.Print(Pointers(kpis), true, [&] { return KpiTable(kpis); });
      },
      std::make_shared<Flags>());
  auto kpi = std::make_shared<KpiFlags>();
  c = cli.AddCommand(group, "add-kpi", "Add a KPI to the catalogue",
                     {"clm insights add-kpi loyal-count --metric stage-count --model subscription "
                      "--stage loyal --target 300 --owner Mira"},
                     [&cli, kpi] { return AddKpi(cli, *kpi); });
  c.AddOption("KPI", kpi->id, "its id").Required();
  c.AddOption("--metric", kpi->metric, "stage-count, revenue, repeat-rate, ...").Required();
  c.AddOption("--target", kpi->target, "a count, minor units, or parts per million of a share")
      .Required();
  c.AddOption("--owner", kpi->owner, "who answers for it").Required();
  AddKpiFlags(c, *kpi);
  c.AddFlag("--lower-is-better", kpi->lower_is_better, "the target is a most");
  auto change = std::make_shared<KpiFlags>();
  auto changing = std::make_shared<std::optional<Command>>();
  c = cli.AddCommand(group, "update-kpi", "Change what is given of a KPI",
                     {"clm insights update-kpi loyal-count --target 350 --owner Jonas",
                      "clm insights update-kpi yen-revenue --currency JPY"},
                     [&cli, change, changing] { return UpdateKpi(cli, **changing, *change); });
  *changing = c;
  c.AddOption("KPI", change->id, "its id").Required();
  c.AddOption("--metric", change->metric, "stage-count, revenue, repeat-rate, ...");
  c.AddOption("--target", change->target, "a count, minor units, or parts per million of a share");
  c.AddOption("--owner", change->owner, "who answers for it");
  AddKpiFlags(c, *change);
  Option lower = c.AddFlag("--lower-is-better", change->lower_is_better, "the target is a most");
  c.AddFlag("--higher-is-better", change->higher_is_better, "the target is a least")
      .Excludes(lower);
  c.AddOption("--etag", change->etag, "change only what was read");
  auto gone = std::make_shared<KpiFlags>();
  c = cli.AddCommand(group, "delete-kpi", "Take a KPI out of the catalogue",
                     {"clm insights delete-kpi loyal-count"},
                     [&cli, gone] { return DeleteKpi(cli, *gone); });
  c.AddOption("KPI", gone->id, "its id").Required();
  c.AddOption("--etag", gone->etag, "delete only what was read");
  auto ready = std::make_shared<Flags>();
  c = command("ready-kpis", "List the KPIs that fit the stages of a model by their meaning",
              {"clm insights ready-kpis subscription"}, &ReadyKpis, ready);
  c.AddOption("MODEL", ready->model, "id of the stage model").Required();
  auto score = std::make_shared<Flags>();
  c = command("scorecard", "Actual against target of every KPI",
              {"clm insights scorecard --owner Mira"}, &Scorecard, score);
  c.AddOption("--owner", score->owner, "of one person");
  c.AddOption("--as-of", score->as_of, "the period that contains this moment");
  command(
      "recount", "Compare the running totals with a recount of the log", {"clm insights recount"},
      [](Cli& one, const Flags&) -> absl::Status {
        lifecycle::v1::RecountTotalsRequest request;
        request.set_parent(one.tenant_name());
        CLM_ASSIGN_OR_RETURN(const auto response, one.Call(&Stub::RecountTotals, request, kReport));
        one.Note(absl::StrCat(terminal::CountText(response.compared_count()), " totals compared, ",
                              response.differences_size(), " differ"));
        return one.PrintReport(response, [&] {
          terminal::Table table({{"name", "TOTAL"}, {"running"}, {"recounted"}});
          table.set_empty_text("all is well");
          for (const auto& d : response.differences()) {
            table.Add({d.total(), d.running(), d.recounted()});
          }
          return table;
        });
      },
      std::make_shared<Flags>());
  AddPredictionCommands(cli, group);
}

}  // namespace clm::cli
