// Creating and changing contacts inside a unit of work: what CreateContact, UpsertContact, batches,
// imports and identity resolution have in common.
#ifndef CLM_SERVICES_CONTACT_UPSERT_H_
#define CLM_SERVICES_CONTACT_UPSERT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/base/resource_name.h"
#include "libs/journal/mutation.h"
#include "services/contact/contact.h"
#include "services/contact/contact_work.h"

namespace clm::contact {

// The identifiers of a patch that have a normal form; the others are the rules' to refuse.
std::vector<Identifier> IdentifiersIn(const ContactPatch& patch, const IdentityPolicy& policy);

// Declares what creating or updating `key` by `patch` needs under the policy that decides later.
void DeclareWrite(ContactWork& work, const EntityKey& key, const ContactPatch& patch,
                  const IdentityPolicy& policy);

// What the rules depend on for a loaded tenant. `policy` must outlive what is returned.
ContactRules RulesOf(const ContactWork& work, const std::string& tenant,
                     const IdentityPolicy& policy);

// ABORTED, reason CONTACT_MOVED, with the id of the contact that it is now: the caller decides
// again under that contact's shard.
absl::Status Moved(const Uuid& to);
// Whether `status` is that, and where to.
std::optional<Uuid> MovedTo(const absl::Status& status);

// The loaded contact. NOT_FOUND when there is none; Moved when it was merged.
absl::StatusOr<const Contact*> Require(const ContactWork& work, const EntityKey& key);

// Stages a decided change and records it: nothing for a change that is none. ALREADY_EXISTS when an
// added identifier belongs to somebody else, FAILED_PRECONDITION, reason ADDRESS_ERASED, when its
// person was erased.
absl::Status Commit(ContactWork& work, journal::Recorder& recorder, const Change& change,
                    const std::string& actor, const std::string& source,
                    const std::string& reason = "");

struct UpsertOutcome {
  Contact contact;
  bool created = false;
  bool unchanged = false;
};

// Writes `patch` to the contact that has `key_identifier`, or to a new one with the id of `target`.
// The unit of work has loaded `target`, which the caller found by looking the identifier up; Moved
// when it is somebody else's by now. Stages only when it succeeds.
absl::StatusOr<UpsertOutcome> Upsert(ContactWork& work, journal::Recorder& recorder,
                                     const EntityKey& target, const Identifier& key_identifier,
                                     const ContactPatch& patch, const IdentityPolicy& policy,
                                     const std::string& actor, const std::string& source);

struct MergeOutcome {
  Contact survivor;
  std::vector<Uuid> aliases;
  Uuid merge_id;
  std::vector<std::string> filled_fields;
};

// Merges `b` into `a`, or into whichever the rule chooses, and records it. The surroundings of both
// are loaded. NOT_FOUND, FAILED_PRECONDITION as Merge says; when `b` is an alias of `a` already,
// the survivor as it is.
absl::StatusOr<MergeOutcome> MergeInto(ContactWork& work, journal::Recorder& recorder,
                                       const EntityKey& a, const EntityKey& b, bool choose_primary,
                                       const std::string& actor);

// "email", "phone" or "external_ids.TYPE" -> the identifier of that kind in the patch.
// INVALID_ARGUMENT on `field` for another key, or when the patch has no such value.
absl::StatusOr<Identifier> KeyIdentifier(absl::string_view field, absl::string_view key,
                                         const ContactPatch& patch, const IdentityPolicy& policy);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_UPSERT_H_
