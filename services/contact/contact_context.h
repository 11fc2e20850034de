// The customer context: everything worth knowing about a customer in one round trip, from the cache
// when all parts are there, from their owners otherwise.
#ifndef CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_
#define CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "clm/contact/v1/contact.pb.h"
#include "libs/base/resource_name.h"
#include "libs/cache/customer_hash.h"
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

// Thread-safe. Also the observer that keeps the contact service's part of the cache true.
class ContactContext : public ContactObserver {
 public:
  // `hash` may be null: then every answer comes from the owners.
  ContactContext(ContactReader* reader, cache::CustomerHash* hash, StagesSource stages);

  // From the owners, past the cache. Blocks.
  absl::StatusOr<v1::CustomerContext> Load(const EntityKey& contact, absl::Time deadline);
  // Through the cache. Blocks.
  absl::StatusOr<v1::CustomerContext> Get(const EntityKey& contact, absl::Time deadline);
  // Looks into the cache without blocking: nullopt when a part of `parts` is missing. `done` may
  // run on the I/O thread of Redis.
  void Peek(const EntityKey& contact, std::vector<std::string> parts,
            absl::AnyInvocable<void(std::optional<v1::CustomerContext>)> done);

  // The contact service's part alone, through the cache. Blocks.
  absl::StatusOr<v1::Contact> GetContact(const EntityKey& contact, absl::Time deadline);

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
  absl::StatusOr<cache::Parts> Through(const EntityKey& contact,
                                       const std::vector<std::string>& fields, absl::Time deadline);

  ContactReader* const reader_;
  cache::CustomerHash* const hash_;
  const StagesSource stages_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_CONTEXT_H_
