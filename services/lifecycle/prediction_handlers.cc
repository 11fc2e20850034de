#include "services/lifecycle/prediction_handlers.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/journal/mutate.h"
#include "libs/predict/customer_value.h"
#include "services/lifecycle/insights_rules.h"
#include "services/lifecycle/lifecycle_proto.h"
#include "services/lifecycle/prediction.h"
#include "services/lifecycle/prediction_proto.h"
#include "services/lifecycle/prediction_work.h"

namespace clm::lifecycle {
namespace {

constexpr double kMonthlyDiscount = 0.01;
constexpr int kDefaultHorizonDays = 365;

using Key = PredictionWork::Key;

absl::StatusOr<Key> ParsePredictionName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(const auto parts,
                       ParseResourceName(field, "tenants/*/predictionModels/*", name));
  return Key{parts[0], parts[1]};
}

absl::CivilDay Yesterday(const rpc::Call& call) { return DayOf(call.now) - 1; }

predict::TimeSpan HorizonOf(int32_t days) {
  return predict::TimeSpan::Days(days == 0 ? kDefaultHorizonDays : days);
}

PurchaseQuery QueryOf(const v1::PredictionModel& model, absl::CivilDay end) {
  return {.end = end,
          .calibration_end = end,
          .currency = model.currency(),
          .product_property = model.product_property(),
          .product = model.product()};
}

// Everything of a new model but its name and time.
absl::StatusOr<v1::PredictionModel> Fitted(PredictionStore& store, const rpc::Call& call,
                                           const std::string& tenant, v1::PredictionModel model) {
  CLM_ASSIGN_OR_RETURN(const PredictionRequest request, RequestFrom(model, Yesterday(call)));
  PurchaseQuery query = QueryOf(model, request.end);
  CLM_ASSIGN_OR_RETURN(const HistoryBounds bounds, store.Bounds(tenant, call.deadline, query));
  if (query.currency.empty()) query.currency = bounds.currency;
  model.set_currency(query.currency);
  query.calibration_end =
      CalibrationEnd(bounds.first.value_or(query.end), query.end, model.holdout_days())
          .value_or(query.end);
  CLM_ASSIGN_OR_RETURN(const Purchases purchases, store.Read(tenant, call.deadline, query));
  CLM_ASSIGN_OR_RETURN(const FittedPrediction fitted,
                       FitPrediction(request.kind, request.unit, purchases, [&] {
                         return call.IsCancelled() || absl::Now() > call.deadline;
                       }));
  ToProto(fitted, purchases, model);
  return model;
}

void AddPrediction(const v1::PredictionModel& model, const std::string& tenant, const Buyer& buyer,
                   const BuyerScore& of, v1::CustomerPrediction& out) {
  out.set_contact(EntityName(kContacts, {tenant, buyer.contact}));
  out.set_model(model.name());
  out.set_p_alive(of.score.p_alive);
  out.set_expected_purchases(of.score.expected_purchases);
  out.set_currency(model.currency());
  if (of.spend) {
    out.set_expected_spend_minor(std::llround(*of.spend));
    out.set_value_minor(std::llround(*of.value()));
  }
  out.set_frequency(buyer.frequency);
  out.set_recency_days(buyer.recency_days);
  out.set_age_days(buyer.age_days);
}

// A customer's place in the list: rank first, so that the order is strict.
struct Ranked {
  double rank = 0;
  const Buyer* buyer = nullptr;
  BuyerScore of;
  auto Place() const { return std::make_tuple(rank, buyer->contact); }
};

}  // namespace

absl::StatusOr<v1::PredictionModel> PredictionHandlers::CreatePredictionModel(
    const rpc::Call& call, const v1::CreatePredictionModelRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  const Key key{tenant, request.prediction_model_id()};
  const std::string name = PredictionModelName(key.first, key.second);
  // A refusal goes through the lanes like a model, as the request may have its answer already.
  auto fitted = Fitted(*parts_.store, call, tenant, request.prediction_model());
  const int shard = ShardOf(tenant, absl::string_view(name));
  journal::MutationInfo info = journal::InfoFor(call, tenant, request);
  info.shards.set(shard);
  absl::StatusOr<v1::PredictionModel> answer;
  absl::Notification done;
  journal::Mutate<PredictionWork>(
      *parts_.lanes, std::move(info), [&](PredictionWork& work) { work.Need(key); },
      [&](PredictionWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        if (work.Exists(key)) {
          return error::Make(absl::StatusCode::kAlreadyExists, "PREDICTION_MODEL_EXISTS",
                             absl::StrCat(name, " exists already; a later fit needs its own id"));
        }
        CLM_ASSIGN_OR_RETURN(v1::PredictionModel model, fitted);
        model.set_name(name);
        ToProto(recorder.now(), model.mutable_create_time());
        v1::PredictionModelFitted event;
        *event.mutable_model() = model;
        // The curves are for whoever asks.
        event.mutable_model()->mutable_holdout()->clear_points();
        recorder.Record({.shard = shard,
                         .tenant = tenant,
                         .subject = name,
                         .type = event.GetDescriptor()->full_name(),
                         .subject_version = 1,
                         .payload = event.SerializeAsString()});
        work.Add(key, model, recorder.now());
        return model.SerializeAsString();
      },
      rpc::Reply<v1::PredictionModel>::To([&](absl::StatusOr<v1::PredictionModel> result) {
        answer = std::move(result);
        done.Notify();
      }));
  done.WaitForNotification();
  return answer;
}

absl::StatusOr<v1::PredictionModel> PredictionHandlers::GetPredictionModel(
    const rpc::Call& call, const v1::GetPredictionModelRequest& request) {
  CLM_ASSIGN_OR_RETURN(const Key key, ParsePredictionName("name", request.name()));
  return parts_.store->Model(key.first, key.second, call.deadline);
}

absl::StatusOr<v1::ListPredictionModelsResponse> PredictionHandlers::ListPredictionModels(
    const rpc::Call& call, const v1::ListPredictionModelsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int page_size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListPredictionModels", tenant};
  CLM_ASSIGN_OR_RETURN(const auto token, parts_.tokens->Decode(list, request.page_token()));
  CLM_ASSIGN_OR_RETURN(auto models, parts_.store->Models(tenant, token.empty() ? "" : token[0],
                                                         page_size + 1, call.deadline));
  v1::ListPredictionModelsResponse response;
  const bool more = models.size() > static_cast<size_t>(page_size);
  if (more) models.resize(static_cast<size_t>(page_size));
  for (v1::PredictionModel& model : models) {
    if (model.has_holdout()) model.mutable_holdout()->clear_points();
    *response.add_prediction_models() = std::move(model);
  }
  if (more) {
    CLM_ASSIGN_OR_RETURN(
        const Key last,
        ParsePredictionName("name", response.prediction_models(page_size - 1).name()));
    response.set_next_page_token(parts_.tokens->Encode(list, {last.second}));
  }
  return response;
}

absl::StatusOr<v1::CustomerPrediction> PredictionHandlers::GetCustomerPrediction(
    const rpc::Call& call, const v1::GetCustomerPredictionRequest& request) {
  CLM_ASSIGN_OR_RETURN(const Key key, ParsePredictionName("model", request.model()));
  CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                       ParseEntityName("contact", kContacts, request.contact()));
  if (contact.tenant != key.first) {
    return error::InvalidField("contact", "is of another tenant than the model");
  }
  CLM_ASSIGN_OR_RETURN(const v1::PredictionModel model,
                       parts_.store->Model(key.first, key.second, call.deadline));
  CLM_ASSIGN_OR_RETURN(const StoredPrediction stored, StoredFrom(model));
  CLM_ASSIGN_OR_RETURN(const absl::CivilDay end,
                       EndFrom(request.end_date(), stored.end, Yesterday(call)));
  PurchaseQuery query = QueryOf(model, end);
  query.contact = contact.id;
  CLM_ASSIGN_OR_RETURN(const auto buyers, parts_.store->Buyers(key.first, call.deadline, query));
  if (buyers.empty()) return error::NotFound(request.contact());
  CLM_ASSIGN_OR_RETURN(auto scorer,
                       predict::CustomerScorer::Make(
                           stored.purchases, HorizonOf(request.horizon_days()), kMonthlyDiscount));
  CLM_ASSIGN_OR_RETURN(const BuyerScore of, ScoreOf(stored, scorer, buyers[0]));
  v1::CustomerPrediction prediction;
  AddPrediction(model, key.first, buyers[0], of, prediction);
  return prediction;
}

absl::StatusOr<v1::ListCustomerPredictionsResponse> PredictionHandlers::ListCustomerPredictions(
    const rpc::Call& call, const v1::ListCustomerPredictionsRequest& request) {
  using Request = v1::ListCustomerPredictionsRequest;
  CLM_ASSIGN_OR_RETURN(const Key key, ParsePredictionName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int page_size, PageSize(request.page_size()));
  if (!Request::Order_IsValid(request.order())) {
    return error::InvalidField("order", "must name an order");
  }
  const bool at_risk = request.order() == Request::ORDER_AT_RISK;
  const std::vector<std::string> list = {"ListCustomerPredictions", request.parent(),
                                         at_risk ? "risk" : "value",
                                         absl::StrCat(request.horizon_days()), request.end_date()};
  CLM_ASSIGN_OR_RETURN(const auto token, parts_.tokens->Decode(list, request.page_token()));
  CLM_ASSIGN_OR_RETURN(const v1::PredictionModel model,
                       parts_.store->Model(key.first, key.second, call.deadline));
  CLM_ASSIGN_OR_RETURN(const StoredPrediction stored, StoredFrom(model));
  CLM_ASSIGN_OR_RETURN(const absl::CivilDay end,
                       EndFrom(request.end_date(), stored.end, Yesterday(call)));
  CLM_ASSIGN_OR_RETURN(const auto buyers,
                       parts_.store->Buyers(key.first, call.deadline, QueryOf(model, end)));
  CLM_ASSIGN_OR_RETURN(auto scorer,
                       predict::CustomerScorer::Make(
                           stored.purchases, HorizonOf(request.horizon_days()), kMonthlyDiscount));
  std::vector<Ranked> ranked;
  ranked.reserve(buyers.size());
  for (const Buyer& buyer : buyers) {
    if (at_risk && buyer.frequency == 0) continue;
    CLM_ASSIGN_OR_RETURN(BuyerScore of, ScoreOf(stored, scorer, buyer));
    const double rank =
        at_risk ? of.score.p_alive : -of.value().value_or(of.score.expected_purchases);
    ranked.push_back({rank, &buyer, of});
  }
  std::sort(ranked.begin(), ranked.end(),
            [](const Ranked& a, const Ranked& b) { return a.Place() < b.Place(); });
  // The token has the place as text that reads the same.
  size_t from = 0;
  if (!token.empty()) {
    double rank = 0;
    const auto contact = token.size() == 2 ? Uuid::Parse(token[1]) : std::nullopt;
    if (!contact || !absl::SimpleAtod(token[0], &rank)) {
      return error::InvalidField("page_token", "was not made for this list");
    }
    from = static_cast<size_t>(
        std::upper_bound(ranked.begin(), ranked.end(), std::make_tuple(rank, *contact),
                         [](const auto& place, const Ranked& b) { return place < b.Place(); }) -
        ranked.begin());
  }
  v1::ListCustomerPredictionsResponse response;
  const size_t until = std::min(ranked.size(), from + static_cast<size_t>(page_size));
  for (size_t i = from; i < until; ++i) {
    AddPrediction(model, key.first, *ranked[i].buyer, ranked[i].of,
                  *response.add_customer_predictions());
  }
  if (until < ranked.size()) {
    const Ranked& last = ranked[until - 1];
    response.set_next_page_token(parts_.tokens->Encode(
        list, {absl::StrFormat("%.17g", last.rank), last.buyer->contact.ToString()}));
  }
  return response;
}

}  // namespace clm::lifecycle
