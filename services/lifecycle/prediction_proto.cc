#include "services/lifecycle/prediction_proto.h"

#include <algorithm>
#include <array>
#include <utility>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"

namespace clm::lifecycle {
namespace {

using v1::PredictionModel;

std::optional<predict::PurchaseModelKind> KindFrom(PredictionModel::Kind kind) {
  switch (kind) {
    case PredictionModel::KIND_UNSPECIFIED:
    case PredictionModel::KIND_BG_NBD:
      return predict::PurchaseModelKind::kBgNbd;
    case PredictionModel::KIND_MBG_NBD:
      return predict::PurchaseModelKind::kMbgNbd;
    case PredictionModel::KIND_PARETO_NBD:
      return predict::PurchaseModelKind::kParetoNbd;
    default:
      return std::nullopt;
  }
}

std::optional<predict::TimeUnit> UnitFrom(PredictionModel::TimeUnit unit) {
  switch (unit) {
    case PredictionModel::TIME_UNIT_DAY:
      return predict::TimeUnit::kDay;
    case PredictionModel::TIME_UNIT_UNSPECIFIED:
    case PredictionModel::TIME_UNIT_WEEK:
      return predict::TimeUnit::kWeek;
    case PredictionModel::TIME_UNIT_MONTH:
      return predict::TimeUnit::kMonth;
    default:
      return std::nullopt;
  }
}

void WriteReport(const predict::FitReport& report, PredictionModel::Fit* out) {
  for (size_t i = 0; i < report.names.size(); ++i) {
    auto* parameter = out->add_parameters();
    parameter->set_name(report.names[i]);
    parameter->set_value(report.parameters[i]);
    parameter->set_standard_error(report.standard_errors[i]);
  }
  out->set_log_likelihood(report.log_likelihood);
  out->set_gradient_norm(report.gradient_norm);
  out->set_iterations(report.iterations);
  out->set_starts(report.starts);
  out->set_customers(static_cast<int64_t>(report.customers));
}

void WriteComparison(const Comparison& comparison, const Purchases& purchases,
                     PredictionModel::Holdout* out) {
  if (purchases.calibration_end) {
    out->set_calibration_end_date(FormatDay(*purchases.calibration_end));
  }
  out->set_customers(comparison.customers);
  out->set_actual_purchases(comparison.actual);
  out->set_expected_purchases(comparison.expected);
  for (const FrequencyClass& each : comparison.classes) {
    auto* to = out->add_classes();
    to->set_frequency(static_cast<int32_t>(each.frequency));
    to->set_customers(each.customers);
    to->set_actual(each.actual);
    to->set_expected(each.expected);
  }
  for (const TrackingPoint& each : comparison.points) {
    auto* to = out->add_points();
    to->set_day(static_cast<int32_t>(each.day));
    to->set_actual(each.actual);
    to->set_expected(each.expected);
  }
}

template <size_t N>
bool ReadParameters(const PredictionModel::Fit& fit, std::array<double, N>& out) {
  if (fit.parameters_size() != static_cast<int>(N)) return false;
  for (size_t i = 0; i < N; ++i) out[i] = fit.parameters(static_cast<int>(i)).value();
  return true;
}

}  // namespace

absl::StatusOr<absl::CivilDay> EndFrom(const std::string& end_date, absl::CivilDay otherwise,
                                       absl::CivilDay yesterday) {
  if (end_date.empty()) return otherwise;
  const auto day = ParseDay(end_date);
  if (!day) return error::InvalidField("end_date", "must be a day like 2026-11-01");
  if (*day > yesterday)
    return error::InvalidField("end_date", "must be a day that is over, in UTC");
  return *day;
}

absl::StatusOr<PredictionRequest> RequestFrom(const PredictionModel& model,
                                              absl::CivilDay yesterday) {
  error::FieldErrors errors;
  PredictionRequest request;
  const auto kind = KindFrom(model.kind());
  const auto unit = UnitFrom(model.time_unit());
  const auto end = EndFrom(model.end_date(), yesterday, yesterday);
  if (!kind) errors.Add("prediction_model.kind", "must name a kind of model");
  if (!unit) errors.Add("prediction_model.time_unit", "must name a unit");
  if (!end.ok()) errors.AddStatus("prediction_model", end.status());
  if (model.product().empty() != model.product_property().empty()) {
    errors.Add(
        model.product().empty() ? "prediction_model.product" : "prediction_model.product_property",
        "product_property and product are set together");
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return PredictionRequest{*kind, *unit, *end};
}

void ToProto(const FittedPrediction& fitted, const Purchases& purchases, PredictionModel& out) {
  switch (fitted.purchases.model.kind()) {
    case predict::PurchaseModelKind::kBgNbd:
      out.set_kind(PredictionModel::KIND_BG_NBD);
      break;
    case predict::PurchaseModelKind::kMbgNbd:
      out.set_kind(PredictionModel::KIND_MBG_NBD);
      break;
    case predict::PurchaseModelKind::kParetoNbd:
      out.set_kind(PredictionModel::KIND_PARETO_NBD);
      break;
  }
  if (out.time_unit() == PredictionModel::TIME_UNIT_UNSPECIFIED) {
    out.set_time_unit(PredictionModel::TIME_UNIT_WEEK);
  }
  out.set_end_date(FormatDay(purchases.end));
  if (purchases.calibration_end) {
    out.set_holdout_days(static_cast<int32_t>(purchases.end - *purchases.calibration_end));
  }
  WriteReport(fitted.purchases.report, out.mutable_purchases());
  out.clear_spend();
  if (fitted.spend) WriteReport(fitted.spend->report, out.mutable_spend());
  out.set_spend_problem(fitted.spend_problem);
  out.set_spend_correlation(fitted.spend ? fitted.spend->correlation : 0);
  out.clear_holdout();
  if (fitted.comparison) {
    WriteComparison(*fitted.comparison, purchases, out.mutable_holdout());
  }
  out.set_holdout_problem(fitted.comparison_problem);
}

absl::StatusOr<StoredPrediction> StoredFrom(const PredictionModel& model) {
  const absl::Status unreadable = error::Internal("a stored prediction model cannot be read");
  predict::PurchaseModel::Parameters parameters{};
  const auto kind = KindFrom(model.kind());
  const auto unit = UnitFrom(model.time_unit());
  const auto end = ParseDay(model.end_date());
  if (!kind || !unit || !end || !ReadParameters(model.purchases(), parameters)) return unreadable;
  auto purchases = predict::PurchaseModel::Make(*kind, *unit, parameters);
  if (!purchases.ok()) return unreadable;
  StoredPrediction stored{.purchases = *std::move(purchases), .end = *end};
  if (!model.has_spend()) return stored;
  predict::SpendModel::Parameters amounts{};
  if (!ReadParameters(model.spend(), amounts)) return unreadable;
  auto spend = predict::SpendModel::Make(amounts);
  if (!spend.ok()) return unreadable;
  stored.spend = *std::move(spend);
  return stored;
}

absl::StatusOr<BuyerScore> ScoreOf(const StoredPrediction& model, predict::CustomerScorer& scorer,
                                   const Buyer& buyer) {
  BuyerScore of;
  CLM_ASSIGN_OR_RETURN(of.score, scorer.Of(HistoryOf(buyer)));
  if (!model.spend) return of;
  const double mean = MeanSpend(buyer);
  CLM_ASSIGN_OR_RETURN(of.spend, model.spend->ExpectedSpend(mean > 0 ? buyer.frequency : 0, mean));
  return of;
}

}  // namespace clm::lifecycle
