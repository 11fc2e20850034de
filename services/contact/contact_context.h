// The customer context: everything worth knowing about a customer in one round trip, from the cache
// when all parts are there, from their owners otherwise. And the contact alone, which is a part of
// it. Answers are serialized messages: what is kept is sent as it is.
#ifndef CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_
#define CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "clm/contact/v1/contact.pb.h"
#include "libs/base/resource_name.h"
#include "libs/cache/customer_hash.h"
#include "libs/cache/near_cache.h"
#include "libs/journal/follower.h"
#include "services/contact/contact_reader.h"
#include "services/contact/contact_work.h"

namespace clm::contact {

// Fields of the customer hash.
inline constexpr char kCorePart[] = "core";
inline constexpr char kStagesPart[] = "stages";

// The stages of a customer in every model, from their owner: a CustomerContext with the fields
// `stages` and `stages_part` only. Blocks.
using StagesSource = std::function<absl::StatusOr<v1::CustomerContext>(const EntityKey& contact,
                                                                       absl::Time deadline)>;

// Kinds of answers.
enum class Answer : int {
  kContact = 0,  // A v1::Contact.
  kContext = 1,  // A v1::CustomerContext.
};

// What a caller allows.
struct Freshness {
  absl::Time now;  // When the call began.
  // Of an answer from the memory of this process, since it was confirmed. 0: none is wanted, and
  // none is kept.
  absl::Duration max_staleness = absl::ZeroDuration();
};

// Thread-safe. Also the observer that keeps the contact service's part of the cache true.
class ContactContext : public ContactObserver {
 public:
  // `hash` may be null: then every answer comes from the owners. So may `near`: then none from the
  // memory of this process.
  ContactContext(ContactReader* reader, cache::CustomerHash* hash, cache::NearCache* near,
                 StagesSource stages);

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
  absl::StatusOr<cache::Parts> FromOwners(const EntityKey& contact,
                                          const std::vector<std::string>& fields,
                                          absl::Time deadline);
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
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_
