#include "services/contact/consent.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "services/contact/text.h"

namespace clm::contact {
namespace {

constexpr absl::Duration kClockTolerance = absl::Minutes(10);

// Higher is more restrictive.
int Severity(SubscriptionState state) {
  switch (state) {
    case SubscriptionState::kConfirmed:
      return 0;
    case SubscriptionState::kUnconfirmed:
      return 1;
    case SubscriptionState::kUnsubscribed:
      return 2;
  }
  return 2;
}

int Severity(ConsentState state) {
  switch (state) {
    case ConsentState::kGranted:
      return 0;
    case ConsentState::kDenied:
      return 1;
    case ConsentState::kRevoked:
      return 2;
  }
  return 2;
}

// True when `a` overrides `b`.
bool Overrides(const ConsentAct& a, const ConsentAct& b) {
  if (a.act_time != b.act_time) return a.act_time > b.act_time;
  if (a.state != b.state) return Severity(a.state) > Severity(b.state);
  return a.expire_time < b.expire_time;
}

// The state after an act that wants `state`; nullopt when the act changes nothing.
std::optional<Subscription> Act(const std::optional<Subscription>& before, absl::string_view topic,
                                SubscriptionState state, const SubscriptionAct& act) {
  if (before) {
    if (before->explicit_act && !act.explicit_act) return std::nullopt;
    const bool same_kind = before->explicit_act == act.explicit_act;
    if (same_kind && before->change_time > act.at) return std::nullopt;
    if (same_kind && before->change_time == act.at && Severity(before->state) > Severity(state)) {
      return std::nullopt;
    }
  }
  return Subscription{std::string(topic), state, act.at, act.explicit_act, act.actor, act.source};
}

}  // namespace

bool ValidChannel(absl::string_view channel) {
  return channel == "email" || channel == "sms" || channel == "push" || channel == "post" ||
         channel == "phone";
}

absl::Status ValidateTopic(const Topic& topic) {
  error::FieldErrors errors;
  if (!ValidResourceId(topic.id)) {
    errors.Add("topic.name", "the id must match [a-z][a-z0-9_-]{0,62}");
  }
  errors.AddStatus("topic.display_name", CheckText(topic.display_name, 200));
  if (!ValidChannel(topic.channel)) {
    errors.Add("topic.channel", "must be one of email, sms, push, post, phone");
  }
  if (topic.opt_in != OptIn::kSingle && topic.opt_in != OptIn::kDouble &&
      topic.opt_in != OptIn::kNone) {
    errors.Add("topic.opt_in", "is required");
  }
  if (!topic.purpose.empty() && !ValidResourceId(topic.purpose)) {
    errors.Add("topic.purpose", "must match [a-z][a-z0-9_-]{0,62}");
  }
  return errors.ToStatus();
}

std::optional<Subscription> Subscribe(const std::optional<Subscription>& before,
                                      absl::string_view topic, const SubscriptionAct& act) {
  if (before && before->state != SubscriptionState::kUnsubscribed &&
      (before->explicit_act || !act.explicit_act)) {
    return std::nullopt;
  }
  // Somebody who was confirmed by an import and now subscribes in person stays confirmed.
  const bool confirmed = before && before->state == SubscriptionState::kConfirmed;
  return Act(before, topic,
             confirmed ? SubscriptionState::kConfirmed : SubscriptionState::kUnconfirmed, act);
}

std::optional<Subscription> Unsubscribe(const std::optional<Subscription>& before,
                                        absl::string_view topic, const SubscriptionAct& act) {
  if (before && before->state == SubscriptionState::kUnsubscribed &&
      (before->explicit_act || !act.explicit_act)) {
    return std::nullopt;
  }
  return Act(before, topic, SubscriptionState::kUnsubscribed, act);
}

absl::StatusOr<std::optional<Subscription>> Confirm(const std::optional<Subscription>& before,
                                                    const SubscriptionAct& act) {
  if (!before || before->state == SubscriptionState::kUnsubscribed) {
    return error::Precondition("NOT_SUBSCRIBED",
                               "subscription: there is none to confirm; subscribe again");
  }
  std::optional<Subscription> after;
  if (before->state == SubscriptionState::kConfirmed) return after;
  // A confirmation answers the subscription it confirms, so it cannot be older than that.
  after = Subscription{before->topic,
                       SubscriptionState::kConfirmed,
                       std::max(act.at, before->change_time),
                       true,
                       act.actor,
                       act.source};
  return after;
}

const Subscription& StrongerSubscription(const Subscription& a, const Subscription& b) {
  const auto strength = [](const Subscription& s) {
    return std::make_tuple(s.explicit_act, s.change_time, Severity(s.state));
  };
  return strength(b) > strength(a) ? b : a;
}

absl::Status ValidateConsentAct(const ConsentAct& act, absl::Time now) {
  error::FieldErrors errors;
  if (!ValidResourceId(act.purpose)) {
    errors.Add("consent.purpose", "must match [a-z][a-z0-9_-]{0,62}");
  }
  if (!act.channel.empty() && !ValidChannel(act.channel)) {
    errors.Add("consent.channel", "must be empty or one of email, sms, push, post, phone");
  }
  if (act.state != ConsentState::kGranted && act.state != ConsentState::kDenied &&
      act.state != ConsentState::kRevoked) {
    errors.Add("consent.state", "is required");
  }
  if (act.act_time > now + kClockTolerance) {
    errors.Add("consent.act_time", "lies more than 10 minutes in the future");
  }
  if (act.expire_time != absl::InfiniteFuture()) {
    if (act.state != ConsentState::kGranted) {
      errors.Add("consent.expire_time", "only an agreement can end by itself");
    } else if (act.expire_time <= act.act_time) {
      errors.Add("consent.expire_time", "must be later than act_time");
    }
  }
  if (act.state == ConsentState::kGranted && act.legal_basis.empty()) {
    errors.Add("consent.legal_basis", "is required for an agreement");
  }
  errors.AddStatus("consent.legal_basis", CheckText(act.legal_basis, 60));
  errors.AddStatus("consent.source", CheckText(act.source, 100));
  errors.AddStatus("consent.text_version", CheckText(act.text_version, 60));
  return errors.ToStatus();
}

const ConsentAct* CurrentConsent(const std::vector<ConsentAct>& acts, absl::string_view purpose,
                                 absl::string_view channel) {
  const ConsentAct* general = nullptr;
  const ConsentAct* narrow = nullptr;
  for (const ConsentAct& act : acts) {
    if (act.purpose != purpose) continue;
    const ConsentAct*& slot = act.channel.empty() ? general : narrow;
    if (!act.channel.empty() && act.channel != channel) continue;
    if (slot == nullptr || Overrides(act, *slot)) slot = &act;
  }
  if (general == nullptr || narrow == nullptr) return general != nullptr ? general : narrow;
  if (general->state == ConsentState::kGranted && narrow->state != ConsentState::kGranted) {
    return narrow;
  }
  return Overrides(*general, *narrow) ? general : narrow;
}

std::vector<ConsentAct> FoldConsent(const std::vector<ConsentAct>& acts) {
  std::map<std::pair<std::string, std::string>, const ConsentAct*> latest;
  for (const ConsentAct& act : acts) {
    const ConsentAct*& slot = latest[{act.purpose, act.channel}];
    if (slot == nullptr || Overrides(act, *slot)) slot = &act;
  }
  std::vector<ConsentAct> folded;
  folded.reserve(latest.size());
  for (const auto& [key, act] : latest) folded.push_back(*act);
  return folded;
}

absl::string_view ReasonName(SuppressionReason reason) {
  switch (reason) {
    case SuppressionReason::kHardBounce:
      return "HARD_BOUNCE";
    case SuppressionReason::kComplaint:
      return "COMPLAINT";
    case SuppressionReason::kManual:
      return "MANUAL";
    case SuppressionReason::kErased:
      return "ERASED";
    case SuppressionReason::kDeactivated:
      return "DEACTIVATED";
    case SuppressionReason::kLegal:
      return "LEGAL";
  }
  return "";
}

absl::StatusOr<Suppression> NormalizeSuppression(const Suppression& suppression,
                                                 const NormalizeOptions& options) {
  error::FieldErrors errors;
  Suppression normal = suppression;
  if (!ValidChannel(suppression.channel)) {
    errors.Add("suppression.channel", "must be one of email, sms, push, post, phone");
  }
  if (ReasonName(suppression.reason).empty()) errors.Add("suppression.reason", "is required");
  absl::StatusOr<std::string> address;
  if (suppression.channel == "email") {
    address = NormalizeEmail(suppression.address, options);
  } else if (suppression.channel == "sms" || suppression.channel == "phone") {
    address = NormalizePhone(suppression.address, options);
  } else {
    address = std::string(TrimText(suppression.address));
    if (address->empty()) address = error::InvalidField("", "is empty");
    if (address.ok()) {
      if (absl::Status text = CheckText(*address, 320); !text.ok()) address = text;
    }
  }
  if (address.ok()) {
    normal.address = *std::move(address);
  } else {
    errors.AddStatus("suppression.address", address.status());
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return normal;
}

absl::string_view RefusalName(Refusal refusal) {
  constexpr absl::string_view kNames[] = {"",
                                          "ERASED",
                                          "BLOCKED",
                                          "DEACTIVATED",
                                          "SUPPRESSED",
                                          "CONSENT_REVOKED",
                                          "CONSENT_DENIED",
                                          "CONSENT_EXPIRED",
                                          "UNSUBSCRIBED",
                                          "CONSENT_MISSING",
                                          "NOT_SUBSCRIBED",
                                          "UNCONFIRMED"};
  return kNames[static_cast<int>(refusal)];
}

std::optional<Refused> MayReceive(const ReceiveQuestion& question, absl::Time now) {
  const auto no = [](Refusal why) { return Refused{why, std::nullopt}; };
  switch (question.status) {
    case ContactStatus::kErased:
      return no(Refusal::kErased);
    case ContactStatus::kBlocked:
      return no(Refusal::kBlocked);
    case ContactStatus::kDeactivated:
      return no(Refusal::kDeactivated);
    case ContactStatus::kActive:
      break;
  }
  const Topic& topic = question.topic;
  // The oldest suppression is told: it is the one that began the silence.
  const Suppression* oldest = nullptr;
  for (const Suppression& s : question.suppressions) {
    if (s.channel != topic.channel) continue;
    if (oldest == nullptr || s.create_time < oldest->create_time) oldest = &s;
  }
  if (oldest != nullptr) return Refused{Refusal::kSuppressed, oldest->reason};

  const bool needs_consent = !topic.purpose.empty();
  const ConsentAct* consent = CurrentConsent(
      question.consents, needs_consent ? topic.purpose : kDefaultPurpose, topic.channel);
  if (consent != nullptr) {
    if (consent->state == ConsentState::kRevoked) return no(Refusal::kConsentRevoked);
    if (consent->state == ConsentState::kDenied) return no(Refusal::kConsentDenied);
    if (needs_consent && consent->expire_time <= now) return no(Refusal::kConsentExpired);
  }
  if (question.subscription && question.subscription->state == SubscriptionState::kUnsubscribed) {
    return no(Refusal::kUnsubscribed);
  }
  if (needs_consent && consent == nullptr) return no(Refusal::kConsentMissing);
  if (topic.opt_in == OptIn::kNone) return std::nullopt;
  if (!question.subscription) return no(Refusal::kNotSubscribed);
  if (topic.opt_in == OptIn::kDouble &&
      question.subscription->state != SubscriptionState::kConfirmed) {
    return no(Refusal::kUnconfirmed);
  }
  return std::nullopt;
}

}  // namespace clm::contact
