// One customer as the lifecycle service keeps it, and what new facts, the passing of time or a
// change of the past do to it: pure functions around Fold and Reconcile. What a decision changes is
// returned whole, so nothing is half done when it fails.
#ifndef CLM_SERVICES_LIFECYCLE_CUSTOMER_H_
#define CLM_SERVICES_LIFECYCLE_CUSTOMER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "services/lifecycle/fold.h"

namespace clm::lifecycle {

// Dynamic values as conditions read them: in text form, sets apart.
using DynamicValue = std::variant<std::string, std::vector<std::string>>;
using DynamicValues = std::map<std::string, DynamicValue>;

// The type of the fact that a contact came into being. It is made from the customer's row, dated at
// its create_time, and not stored; its id is the contact's.
inline constexpr char kCreatedFact[] = "contact.created";

// The type of the fact that a member's tier changed, which callers cannot record themselves. Its id
// is that of the TierChanged, its time the one since when the tier is held; its properties are the
// texts "program", "from_tier", "to_tier" (empty: none) and "direction" ("up", "down"; missing
// where it was not told).
inline constexpr char kTierChangedFact[] = "loyalty.tier_changed";

// A fact with what conditions may ask of it. Immutable once shared.
struct StoredFact : FactDetails {
  Fact fact;  // fact.details == this, fact.id == id.ToString()
  Uuid id;
  std::optional<int64_t> amount_minor;
  std::string currency;
  std::optional<int64_t> quantity;
  std::string channel;
  DynamicValues properties;  // kAttribute: the new value under "value", none when it was cleared.
  std::string actor;         // kMove only.
  std::string request_id;    // kMove only: a UUID, or empty.
};
using FactPtr = std::shared_ptr<const StoredFact>;

// The event types that carry money, and the property that says what their goods cost, in minor
// units of the event's own currency.
inline constexpr char kPurchaseEvent[] = "purchase";
inline constexpr char kRefundEvent[] = "refund";
inline constexpr char kGoodsCost[] = "cost_minor";
// What the property must look like to say anything: whole, no more than an amount may be.
#define CLM_GOODS_COST_PATTERN "^[0-9]{1,15}$"

FactPtr ShareFact(StoredFact fact);
// What an event adds to the sum of an integer property, or of amounts when `property` is empty; of
// one currency unless `currency` is empty. nullopt: nothing.
std::optional<int64_t> Addend(const StoredFact& event, absl::string_view property,
                              absl::string_view currency);
// What an erasure leaves of a fact: that it happened, amounts and, of a purchase or a refund, what
// the goods cost. lifecycle.erase_facts does the same to what is stored.
StoredFact Bare(StoredFact fact);
// The order in which facts are folded.
bool Precedes(const FactPtr& a, const FactPtr& b);

// Where a customer is in one model.
struct Place {
  ModelState state;
  int64_t version = 0;                      // Behind the etag; 0: nothing stored.
  absl::Time due = absl::InfiniteFuture();  // When time alone will do something.
  bool operator==(const Place&) const = default;
};

// A line of the log as it is stored.
struct RecordedTransition {
  LoggedTransition logged;
  absl::Time record_time;
  std::string fact_type;
  std::string actor;
  std::string reason;
  std::string request_id;  // Of a move by hand: a UUID, or empty.
  std::optional<absl::Time> overdue_time;
  std::optional<absl::Time> supersede_time;
};

struct Customer {
  EntityKey key;
  bool known = false;  // There is a row.
  std::string source;
  std::string locale;
  int status = 0;            // clm.contact.v1.Contact.Status
  DynamicValues attributes;  // Now.
  DynamicValues initial;     // "source", "locale", "status", "attributes.plan" as first known.
  absl::Time create_time;
  std::optional<Uuid> merged_into;
  int64_t version = 0;
  std::map<std::string, Place> places;  // By model.

  const Place& PlaceIn(const std::string& model) const;
  FactPtr CreatedFact() const;
};

// A customer's facts as conditions and windows look back at them.
class CustomerHistory : public History {
 public:
  // `facts` in order; both must outlive the history.
  CustomerHistory(const Customer* customer, const std::vector<FactPtr>* facts);

  const Customer& customer() const { return *customer_; }
  // The value of a field of the customer ("source", "attributes.plan") at `moment`: that of the
  // latest change before or at it, else the first known. Null: none.
  const DynamicValue* FieldAt(absl::string_view field, const Moment& moment) const;
  // Events of `type` in (after, through], in order.
  absl::Span<const StoredFact* const> Events(absl::string_view type, absl::Time after,
                                             const Moment& through) const;

  absl::StatusOr<int64_t> Count(absl::string_view type, absl::Time after,
                                const Moment& through) const override;
  absl::StatusOr<int64_t> Sum(absl::string_view type, absl::string_view property,
                              absl::string_view currency, absl::Time after,
                              const Moment& through) const override;
  absl::StatusOr<std::optional<absl::Time>> Last(absl::string_view type,
                                                 absl::Time before) const override;

 private:
  using List = std::vector<const StoredFact*>;
  const Customer* const customer_;
  absl::flat_hash_map<std::string, List> events_;
  absl::flat_hash_map<std::string, List> changes_;
};

// What becomes of a customer's place in one model.
struct PlaceChange {
  std::string model_id;
  Place after;
  bool stored = false;   // `after` differs from what is stored.
  bool visible = false;  // Stage, overdue or log changed: worth an etag, and a cache write.
  std::vector<RecordedTransition> voided;  // With supersede_time.
  std::vector<RecordedTransition> appended;
  std::vector<OverdueNotice> overdue;
  std::vector<RefusedMove> refused;
};

// How long a customer whose timers lie in the past is left alone, in case more of its history is
// about to arrive: the timers then fire once, over all of it.
inline constexpr absl::Duration kSettleTime = absl::Seconds(1);

// Folds `fresh` (in order, all after what the place has seen) and then lets time run to `until`.
// `history` includes `fresh`.
absl::StatusOr<PlaceChange> Advance(const Plan& plan, const Place& before,
                                    absl::Span<const FactPtr> fresh, const History& history,
                                    absl::Time until, absl::Time now);

// Folds everything again: `facts` is all there is, in order; `log` the stored transitions that were
// not superseded, in order of (at, sequence). Time runs as far as the place had seen, and to
// `until`.
absl::StatusOr<PlaceChange> Refold(const Plan& plan, const Place& before,
                                   absl::Span<const FactPtr> facts,
                                   absl::Span<const RecordedTransition> log, const History& history,
                                   absl::Time until, absl::Time now);

// The log after a change: what stays of `log`, and what is new, in order of (at, sequence).
std::vector<RecordedTransition> LogAfter(std::vector<RecordedTransition> log,
                                         const PlaceChange& change);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_CUSTOMER_H_
