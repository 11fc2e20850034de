// Who may be written to: topics and subscriptions, acts of consent with their proof, suppressions,
// and the one question MayReceive that weighs them. Histories are append-only; what holds now is
// folded from them. Pure.
#ifndef CLM_SERVICES_CONTACT_CONSENT_H_
#define CLM_SERVICES_CONTACT_CONSENT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/contact/contact.h"

namespace clm::contact {

// "email", "sms", "push", "post", "phone".
bool ValidChannel(absl::string_view channel);

// The numbers of the enums are those of the wire and of the database.

// How a subscription to a topic comes about.
enum class OptIn {
  kSingle = 1,  // Unconfirmed subscribers receive too.
  kDouble = 2,  // Only confirmed subscribers receive.
  kNone = 3,    // Everybody receives who has not left.
};

inline constexpr char kDefaultPurpose[] = "marketing";

struct Topic {
  std::string id;  // ValidResourceId, unique within the tenant.
  std::string display_name;
  std::string channel;
  OptIn opt_in = OptIn::kSingle;
  std::string purpose;  // Purpose whose consent a message needs; empty: none is needed, though a
                        // refusal of kDefaultPurpose still counts.
  absl::Time create_time = absl::InfinitePast();
  friend bool operator==(const Topic&, const Topic&) = default;
};
absl::Status ValidateTopic(const Topic& topic);

enum class SubscriptionState { kUnconfirmed = 1, kConfirmed = 2, kUnsubscribed = 3 };

struct Subscription {
  std::string topic;
  SubscriptionState state = SubscriptionState::kUnconfirmed;
  absl::Time change_time;
  // False for states that nobody asked for: memberships taken over by an import of a list.
  bool explicit_act = true;
  std::string actor;
  std::string source;
  friend bool operator==(const Subscription&, const Subscription&) = default;
};

// When, by whom and how a subscription changes.
struct SubscriptionAct {
  absl::Time at;
  bool explicit_act = true;
  std::string actor;
  std::string source;
};

// The state machine: subscribe -> UNCONFIRMED -> confirm -> CONFIRMED; unsubscribe from anywhere;
// subscribing again after leaving starts at UNCONFIRMED. Each returns the next state, or nullopt
// when nothing changes: the state holds already, a later act is already known, or an explicit act
// would be overridden by one that is not.
std::optional<Subscription> Subscribe(const std::optional<Subscription>& before,
                                      absl::string_view topic, const SubscriptionAct& act);
std::optional<Subscription> Unsubscribe(const std::optional<Subscription>& before,
                                        absl::string_view topic, const SubscriptionAct& act);
// FAILED_PRECONDITION, reason NOT_SUBSCRIBED, for somebody who never subscribed or has left: an old
// confirmation link brings nobody back.
absl::StatusOr<std::optional<Subscription>> Confirm(const std::optional<Subscription>& before,
                                                    const SubscriptionAct& act);

// The state of one person of whom two profiles were stored: the latest explicit act; on a tie the
// more restrictive state. Both are of the same topic.
const Subscription& StrongerSubscription(const Subscription& a, const Subscription& b);

enum class ConsentState { kGranted = 1, kDenied = 2, kRevoked = 3 };

struct ConsentAct {
  std::string purpose;  // ValidResourceId: "marketing".
  std::string channel;  // Empty: every channel.
  ConsentState state = ConsentState::kDenied;
  absl::Time act_time;
  absl::Time expire_time = absl::InfiniteFuture();  // Only a grant ends by itself.
  std::string legal_basis;
  std::string source;
  std::string text_version;
  std::string actor;
  absl::Time record_time;
  friend bool operator==(const ConsentAct&, const ConsentAct&) = default;
};

// INVALID_ARGUMENT naming every bad field, as "consent.legal_basis". A grant needs a legal basis;
// acts lie at most 10 minutes after `now`.
absl::Status ValidateConsentAct(const ConsentAct& act, absl::Time now);

// The act that holds for (purpose, channel): the latest; on a tie the more restrictive one. A
// refusal of all channels and one of the channel alone both count; a grant for all channels does
// not lift an earlier refusal of the channel alone. nullptr: nothing was ever said. The result
// points into `acts`, which may be in any order.
const ConsentAct* CurrentConsent(const std::vector<ConsentAct>& acts, absl::string_view purpose,
                                 absl::string_view channel);
// The latest act of every (purpose, channel) pair that occurs, sorted by them.
std::vector<ConsentAct> FoldConsent(const std::vector<ConsentAct>& acts);

enum class SuppressionReason {
  kHardBounce = 1,
  kComplaint = 2,
  kManual = 3,
  kErased = 4,
  kDeactivated = 5,
  kLegal = 6,
};
absl::string_view ReasonName(SuppressionReason reason);  // "HARD_BOUNCE".

struct Suppression {
  std::string channel;
  std::string address;  // Normal form; empty when only its tombstone hash is kept.
  SuppressionReason reason = SuppressionReason::kManual;
  absl::Time create_time;
  std::string actor;
  friend bool operator==(const Suppression&, const Suppression&) = default;
};
// The address in normal form; INVALID_ARGUMENT naming every bad field, as "suppression.address".
absl::StatusOr<Suppression> NormalizeSuppression(const Suppression& suppression,
                                                 const NormalizeOptions& options);

// Everything that decides whether a person may receive a message.
struct ReceiveQuestion {
  ContactStatus status = ContactStatus::kActive;
  std::vector<Suppression> suppressions;  // Of the person's addresses; other channels are ignored.
  std::vector<ConsentAct> consents;
  std::optional<Subscription> subscription;  // To `topic`.
  Topic topic;
};

// Why somebody receives nothing, strongest reason first: what a person did or the law demands is
// never hidden by a weaker reason.
enum class Refusal {
  kErased = 1,
  kBlocked = 2,
  kDeactivated = 3,
  kSuppressed = 4,
  kConsentRevoked = 5,
  kConsentDenied = 6,
  kConsentExpired = 7,
  kUnsubscribed = 8,
  kConsentMissing = 9,
  kNotSubscribed = 10,
  kUnconfirmed = 11,
};
absl::string_view RefusalName(Refusal refusal);  // "CONSENT_REVOKED".

struct Refused {
  Refusal why;
  std::optional<SuppressionReason> suppression;  // For kSuppressed.
  friend bool operator==(const Refused&, const Refused&) = default;
};

// nullopt: yes. A topic without a purpose needs no consent, but a refusal of kDefaultPurpose for
// its channel still holds.
std::optional<Refused> MayReceive(const ReceiveQuestion& question, absl::Time now);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONSENT_H_
