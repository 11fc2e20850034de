#include "services/lifecycle/condition.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/filter/filter.h"
#include "services/lifecycle/customer.h"

namespace clm::lifecycle {
namespace {

enum FieldId {
  kType,
  kAmountMinor,
  kCurrency,
  kChannel,
  kQuantity,
  kProperties,
  kSource,
  kLocale,
  kStatus,
  kCreateTime,
  kAttributes,
  kStage,
};
enum FunctionId { kCount, kSum, kDaysSince };

const filter::Schema& ConditionSchema() {
  static const auto* const kSchema = [] {
    using filter::Type;
    auto* schema = new filter::Schema;
    schema->Add(kType, "type", Type::kString)
        .Add(kAmountMinor, "amount_minor", Type::kInt64)
        .Add(kCurrency, "currency", Type::kString)
        .Add(kChannel, "channel", Type::kString)
        .Add(kQuantity, "quantity", Type::kInt64)
        .AddMap(kProperties, "properties", Type::kAny)
        .Add(kSource, "source", Type::kString)
        .Add(kLocale, "locale", Type::kString)
        .AddEnum(kStatus, "status", {"ACTIVE", "BLOCKED", "DEACTIVATED", "ERASED"})
        .Add(kCreateTime, "create_time", Type::kTimestamp)
        .AddMap(kAttributes, "attributes", Type::kAny)
        .Add(kStage, "stage", Type::kString);
    schema->AddFunction({kCount, "count", {Type::kString, Type::kDuration}, 1, Type::kInt64, {}});
    schema->AddFunction(
        {kSum, "sum", {Type::kString, Type::kString, Type::kDuration}, 1, Type::kInt64, {}});
    schema->AddFunction({kDaysSince, "days_since", {Type::kString}, 0, Type::kInt64, {}});
    return schema;
  }();
  return *kSchema;
}

filter::Value ReadDynamic(const DynamicValue* value, filter::Type type) {
  if (value == nullptr) return {};
  if (const auto* set = std::get_if<std::vector<std::string>>(value)) {
    return filter::StringSet(*set);
  }
  return filter::ParseValue(type, std::get<std::string>(*value));
}

// One situation, as an expression sees it. Failures of the history are kept for the caller.
class SituationRecord : public filter::Record {
 public:
  explicit SituationRecord(const Situation& situation)
      : situation_(situation), history_(static_cast<const CustomerHistory*>(situation.history)) {
    if (situation.fact != nullptr) {
      event_ = static_cast<const StoredFact*>(situation.fact->details);
    }
  }

  filter::Value Get(const filter::Field& field) const override {
    switch (field.id) {
      case kType:
        if (event_ == nullptr) return {};
        return absl::string_view(event_->fact.type);
      case kAmountMinor:
        if (event_ == nullptr || !event_->amount_minor) return {};
        return *event_->amount_minor;
      case kCurrency:
        return EventText(&StoredFact::currency);
      case kChannel:
        return EventText(&StoredFact::channel);
      case kQuantity:
        if (event_ == nullptr || !event_->quantity) return {};
        return *event_->quantity;
      case kProperties: {
        if (event_ == nullptr) return {};
        const auto it = event_->properties.find(field.key);
        return it == event_->properties.end() ? filter::Value()
                                              : ReadDynamic(&it->second, field.type);
      }
      case kSource:
      case kLocale:
      case kStatus:
        return ReadDynamic(history_->FieldAt(field.name, situation_.moment), field.type);
      case kCreateTime:
        return history_->customer().create_time;
      case kAttributes:
        return ReadDynamic(
            history_->FieldAt(absl::StrCat("attributes.", field.key), situation_.moment),
            field.type);
      case kStage:
        if (situation_.stage.empty()) return {};
        return situation_.stage;
      default:
        return {};
    }
  }

  filter::Value Invoke(const filter::Call& call, absl::Time) const override {
    const absl::string_view type = std::get<absl::string_view>(call.args[0]);
    const auto since = [&](size_t argument) {
      return call.args.size() > argument
                 ? situation_.at - std::get<absl::Duration>(call.args[argument])
                 : absl::InfinitePast();
    };
    switch (call.id) {
      case kCount:
        return Keep(history_->Count(type, since(1), situation_.moment));
      case kSum:
        return Keep(history_->Sum(type, "", std::get<absl::string_view>(call.args[1]), since(2),
                                  situation_.moment));
      case kDaysSince: {
        // Up to and including this instant.
        const auto last = history_->Last(type, situation_.at + absl::Microseconds(1));
        if (!last.ok()) {
          failure_ = last.status();
          return {};
        }
        if (!last->has_value()) return {};
        return static_cast<int64_t>((situation_.at - **last) / absl::Hours(24));
      }
      default:
        return {};
    }
  }

  const absl::Status& failure() const { return failure_; }

 private:
  filter::Value EventText(std::string StoredFact::*member) const {
    if (event_ == nullptr || (event_->*member).empty()) return {};
    return absl::string_view(event_->*member);
  }
  filter::Value Keep(absl::StatusOr<int64_t> number) const {
    if (!number.ok()) {
      failure_ = std::move(number).status();
      return {};
    }
    return *number;
  }

  const Situation& situation_;
  const CustomerHistory* const history_;
  const StoredFact* event_ = nullptr;
  mutable absl::Status failure_;
};

}  // namespace

absl::StatusOr<Predicate> CompileCondition(absl::string_view field, absl::string_view text,
                                           Needs& needs) {
  filter::ParseOptions options;
  options.field = std::string(field);
  CLM_ASSIGN_OR_RETURN(const filter::Expression expression,
                       filter::Parse(text, ConditionSchema(), options));
  for (const filter::Field& named : filter::ReferencedFields(expression)) {
    switch (named.id) {
      case kSource:
      case kLocale:
      case kStatus:
        needs.fields.insert(named.name);
        break;
      case kAttributes:
        needs.fields.insert(absl::StrCat("attributes.", named.key));
        break;
      default:
        break;
    }
  }
  for (const filter::Call& call : filter::ReferencedFunctions(expression)) {
    needs.event_types.insert(std::string(std::get<absl::string_view>(call.args[0])));
    const size_t window = call.id == kCount ? 1 : 2;
    needs.reach = call.id != kDaysSince && call.args.size() > window
                      ? std::max(needs.reach, std::get<absl::Duration>(call.args[window]))
                      : absl::InfiniteDuration();
  }
  return Predicate([expression](const Situation& situation) -> absl::StatusOr<bool> {
    const SituationRecord record(situation);
    const bool holds = filter::Evaluate(expression, record, situation.at);
    if (!record.failure().ok()) return record.failure();
    return holds;
  });
}

}  // namespace clm::lifecycle
