// The customer context: everything worth knowing about a customer in one round trip, from the cache
// when all parts are there, from their owners otherwise. And the contact alone, which is a part of
// it. Answers are serialized messages: what is kept is sent as it is.
#ifndef CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_
#define CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "clm/contact/v1/contact.pb.h"
#include "libs/base/clock.h"
#include "libs/base/resource_name.h"
#include "libs/cache/customer_hash.h"
#include "libs/cache/freshness.h"
#include "libs/cache/near_cache.h"
#include "libs/journal/follower.h"
#include "services/contact/contact_reader.h"
#include "services/contact/contact_work.h"

namespace clm::contact {

// Fields of the customer hash.
inline constexpr char kCorePart[] = "core";
inline constexpr char kStagesPart[] = "stages";
inline constexpr char kLoyaltyPart[] = "loyalty";

using cache::Freshness;
using cache::kMostStaleness;

// The stages of a customer in every model, from their owner: a CustomerContext with the fields
// `stages` and `stages_part` only. Blocks.
using StagesSource = std::function<absl::StatusOr<v1::CustomerContext>(const EntityKey& contact,
                                                                       absl::Time deadline)>;

// Their memberships in loyalty programmes likewise, with the fields `memberships` and
// `loyalty_part` only.
using MembershipsSource = StagesSource;

// Kinds of answers.
enum class Answer : int {
  kContact = 0,  // A v1::Contact.
  kContext = 1,  // A v1::CustomerContext.
};

// Thread-safe. Also the observer that keeps the contact service's part of the cache true.
class ContactContext : public ContactObserver {
 public:
  // `hash` may be null: then every answer comes from the owners. So may `near`: then none from the
  // memory of this process. `memberships` are asked for from AskForMemberships on. `clock` outlives
  // it; the machine's when null.
  ContactContext(ContactReader* reader, cache::CustomerHash* hash, cache::NearCache* near,
                 StagesSource stages, MembershipsSource memberships = nullptr,
                 const Clock* clock = nullptr);

  // There is a loyalty service. When it does not answer, contexts are answered without memberships,
  // and for a moment nobody waits for it.
  void AskForMemberships() { has_loyalty_ = true; }

  // A kContext from the owners, past the cache. Blocks.
  absl::StatusOr<std::string> Load(const EntityKey& contact, absl::Time deadline);
  // Through the cache. Blocks.
  absl::StatusOr<std::string> Get(Answer what, const EntityKey& contact, const Freshness& freshness,
                                  absl::Time deadline);
  // Looks into the cache without blocking: nullopt when something is missing. `done` may run on the
  // I/O thread of Redis.
  void Peek(Answer what, const EntityKey& contact, const Freshness& freshness,
            absl::AnyInvocable<void(std::optional<std::string>)> done);
  // From the memory of this process.
  std::optional<std::string> Recall(Answer what, const EntityKey& contact,
                                    const Freshness& freshness);

  absl::Status ContactsCommitted(const std::vector<EntityKey>& keys,
                                 const std::vector<EntityKey>& merged,
                                 const journal::Offsets& heads) override;

  // Whether a part of the cache agrees with its owner now. Blocks.
  absl::StatusOr<bool> Holds(const EntityKey& contact, const std::string& field,
                             const cache::Part& part);
  // What of the cache these events of the contact service make old.
  static std::vector<cache::PartChange> Outdated(absl::Span<const journal::Placed> events);

 private:
  absl::StatusOr<cache::Part> LoadCore(const EntityKey& contact, absl::Time deadline);
  absl::StatusOr<cache::Part> LoadStages(const EntityKey& contact, absl::Time deadline);
  absl::StatusOr<cache::Part> LoadMemberships(const EntityKey& contact, absl::Time deadline);
  // Those of an answer that are looked for in the cache, and those without which it is none now.
  std::vector<std::string> FieldsOf(Answer what) const;
  std::vector<std::string> RequiredFieldsOf(Answer what) const;
  // Without the memberships when the loyalty service does not answer, or did not a moment ago;
  // `always`: also then it is asked.
  absl::StatusOr<cache::Parts> FromOwners(const EntityKey& contact,
                                          const std::vector<std::string>& fields, bool always,
                                          absl::Time deadline);
  // Whether the loyalty service may be asked at `now`, and whether this very caller may: while it
  // is not known to answer again, only one does.
  bool MayAskLoyalty(absl::Time now) const;
  bool TakeTurnAtLoyalty(absl::Time now);
  // Whether an answer of these parts stays true for as long as callers may allow.
  bool MayRemember(Answer what, const cache::Parts& parts) const;
  absl::Status TellHash(const std::vector<EntityKey>& keys, const std::vector<EntityKey>& merged,
                        const journal::Offsets& heads);
  // Both take part in keeping an answer, if the caller wants that.
  std::optional<cache::NearCache::Ticket> Begin(Answer what, const EntityKey& contact,
                                                const Freshness& freshness) const;
  void Remember(Answer what, const EntityKey& contact,
                const std::optional<cache::NearCache::Ticket>& ticket, const std::string& answer);

  ContactReader* const reader_;
  cache::CustomerHash* const hash_;
  cache::NearCache* const near_;
  const StagesSource stages_;
  const MembershipsSource memberships_;
  const SystemClock machine_{};
  const Clock& clock_;
  std::atomic<bool> has_loyalty_{false};
  // Microseconds since 1970; 0: the loyalty service answers.
  std::atomic<int64_t> loyalty_rests_until_{0};
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_
