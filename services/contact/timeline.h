// The timeline of a person: what they did and what was done for them, as typed events with amounts
// in minor units, and what finding them cost. Late events are welcome and take their place by
// occur_time. Pure.
#ifndef CLM_SERVICES_CONTACT_TIMELINE_H_
#define CLM_SERVICES_CONTACT_TIMELINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "services/contact/attributes.h"

namespace clm::contact {

// Minor digits of an active ISO 4217 currency ("EUR" 2, "JPY" 0, "KWD" 3); nullopt for anything
// else, lower case included.
std::optional<int> CurrencyDigits(absl::string_view code);

// Event types that the suite gives a meaning to. Every other type is the tenant's own.
inline constexpr char kPurchase[] = "purchase";
inline constexpr char kRefund[] = "refund";
inline constexpr char kDownload[] = "download";
inline constexpr char kOfferResponse[] = "offer_response";
inline constexpr char kServiceContact[] = "service_contact";
inline constexpr char kSubscriptionStarted[] = "subscription_started";
inline constexpr char kSubscriptionRenewed[] = "subscription_renewed";
inline constexpr char kSubscriptionEnded[] = "subscription_ended";

// The property of a purchase or a refund that says what the goods cost, in minor units. An erase
// that anonymizes events keeps it, as it keeps amounts, where it is nothing but a number: up to 15
// digits.
inline constexpr char kGoodsCost[] = "cost_minor";
inline constexpr size_t kMaxGoodsCostDigits = 15;

// The latest event in which a person and the tenant were in contact on a channel: one of type
// kServiceContact or kOfferResponse that names a channel.
struct LastContact {
  std::string channel;
  std::string type;
  absl::Time occur_time;
};

// What a well-known type asks of an event beyond what holds for all.
struct EventType {
  const char* type;
  bool needs_amount;
  bool needs_channel;
  const char* needs_property;  // A property that must be there, as text; nullptr: none.
  const char* meaning;
};
// The well-known types, sorted by name.
const std::vector<EventType>& WellKnownEventTypes();

inline constexpr absl::Duration kEventClockTolerance = absl::Minutes(10);
inline constexpr int64_t kMaxAmountMinor = 1'000'000'000'000'000;
inline constexpr int64_t kMaxQuantity = 1'000'000'000;
inline constexpr size_t kMaxProperties = 64;
inline constexpr size_t kMaxPropertyKeyBytes = 64;
inline constexpr size_t kMaxPropertiesBytes = 32 * 1024;  // Keys and text forms together.

struct BehaviorEvent {
  Uuid event_id;  // The same id twice is one event.
  std::string type;
  absl::Time occur_time;
  absl::Time receive_time = absl::InfinitePast();  // Set by the store.
  std::optional<int64_t> amount_minor;             // Never negative: a refund is its own type.
  std::string currency;                            // There exactly when the amount is.
  std::optional<int64_t> quantity;
  std::string channel;  // "web", "store", "phone".
  std::string source;   // What reported it: "api", "import", "cdnow".
  AttributeMap properties;
  friend bool operator==(const BehaviorEvent&, const BehaviorEvent&) = default;
};

// [a-z][a-z0-9_.]{0,62}
bool ValidEventType(absl::string_view type);

// INVALID_ARGUMENT naming every bad field, as "event.currency".
absl::Status ValidateEvent(const BehaviorEvent& event, absl::Time now);

// What finding customers cost: of one person, or of a source in a period.
struct AcquisitionCost {
  Uuid id;
  std::optional<Uuid> contact;
  std::string source;         // Required without a contact.
  absl::CivilDay start_date;  // Both days belong to the period.
  absl::CivilDay end_date;
  int64_t amount_minor = 0;
  std::string currency;
  absl::Time create_time = absl::InfinitePast();
  friend bool operator==(const AcquisitionCost&, const AcquisitionCost&) = default;
};

// INVALID_ARGUMENT naming every bad field, as "acquisition_cost.end_date".
absl::Status ValidateAcquisitionCost(const AcquisitionCost& cost, absl::Time now);

// An amount in minor units from text like "12", "12.5", "12.50" with at most `digits` decimals
// (more are taken when they are zeros); exact, no sign, no grouping. nullopt for anything else and
// above kMaxAmountMinor.
std::optional<int64_t> ParseAmountMinor(absl::string_view text, int digits);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_TIMELINE_H_
