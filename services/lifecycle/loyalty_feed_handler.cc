#include "services/lifecycle/loyalty_feed_handler.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clm/contact/v1/contact.pb.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/consumed_event.h"
#include "services/lifecycle/folding.h"
#include "services/lifecycle/lifecycle_proto.h"

namespace clm::lifecycle {
namespace {

using loyalty::v1::TierChanged;

struct TierFact {
  EntityKey customer;
  FactPtr fact;
};

// What was recorded before directions were told says it by itself, except where a tier was given
// by hand.
std::optional<std::string> DirectionOf(const TierChanged& changed) {
  switch (changed.direction()) {
    case TierChanged::DIRECTION_UP:
      return "up";
    case TierChanged::DIRECTION_DOWN:
      return "down";
    default:
      break;
  }
  if (changed.from_tier().empty() || !changed.entered_tiers().empty()) return "up";
  if (changed.to_tier().empty()) return "down";
  return std::nullopt;
}

absl::StatusOr<TierFact> TierFactOf(const event::v1::Event& event) {
  TierChanged changed;
  if (!changed.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
  const auto name = ParseResourceName("member", "tenants/*/programs/*/members/*", changed.member());
  if (!name.ok() || (*name)[0] != event.tenant()) return journal::MalformedEvent("member");
  const auto contact = Uuid::Parse((*name)[2]);
  if (!contact) return journal::MalformedEvent("member");
  const auto id = Uuid::Parse(event.id());
  if (!id) return journal::MalformedEvent("id");
  if (!changed.has_since_time()) return journal::MalformedEvent("since_time");
  StoredFact fact;
  fact.id = *id;
  fact.fact.at = clm::FromProto(changed.since_time());
  fact.fact.type = kTierChangedFact;
  fact.properties["program"] = (*name)[1];
  fact.properties["from_tier"] = changed.from_tier();
  fact.properties["to_tier"] = changed.to_tier();
  if (auto direction = DirectionOf(changed)) fact.properties["direction"] = *std::move(direction);
  return TierFact{{event.tenant(), *contact}, ShareFact(std::move(fact))};
}

absl::Status FoldTierChange(const event::v1::Event& event, LifecycleWork& work,
                            journal::Recorder& recorder) {
  CLM_ASSIGN_OR_RETURN(const TierFact tier, TierFactOf(event));
  const Customer& customer = work.CustomerOf(tier.customer);
  if (customer.merged_into) {
    work.Redirect(tier.customer, tier.fact);
    return absl::OkStatus();
  }
  if (customer.status == contact::v1::Contact::STATUS_ERASED) return absl::OkStatus();
  FoldRequest request{.customer = tier.customer, .facts = {tier.fact}};
  if (!customer.known) {
    work.Change(tier.customer).create_time = tier.fact->fact.at;
    request.created = true;
  }
  CLM_ASSIGN_OR_RETURN(const FoldDecision decision, DecideFold(work, request, recorder.now()));
  CommitFold(work, recorder, decision, event.id());
  return absl::OkStatus();
}

}  // namespace

void LoyaltyFeedHandler::Declare(const event::v1::Event& event, journal::Work& base) {
  if (!journal::HasPayload<TierChanged>(event)) return;
  const auto tier = TierFactOf(event);
  // The whole row, also where no rule names the fact: it says whether the person was erased.
  if (tier.ok()) static_cast<LifecycleWork&>(base).NeedFold(tier->customer, {tier->fact});
}

absl::Status LoyaltyFeedHandler::Apply(const event::v1::Event& event, journal::Work& base,
                                       journal::Recorder& recorder) {
  if (!journal::HasPayload<TierChanged>(event)) return absl::OkStatus();
  return FoldTierChange(event, static_cast<LifecycleWork&>(base), recorder);
}

}  // namespace clm::lifecycle
