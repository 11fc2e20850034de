// Contacts: the people a tenant keeps a relationship with, and every rule of creating and changing
// one. Pure: the functions take what is stored, what is wanted and the time, and answer with the
// next state and the fact worth telling others, or with every reason why not at once.
#ifndef CLM_SERVICES_CONTACT_CONTACT_H_
#define CLM_SERVICES_CONTACT_CONTACT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "services/contact/attributes.h"
#include "services/contact/identifiers.h"

namespace clm::contact {

// The numbers are those of the wire and of the database.
enum class ContactStatus { kActive = 1, kBlocked = 2, kDeactivated = 3, kErased = 4 };
absl::string_view StatusName(ContactStatus status);  // "ACTIVE".

inline constexpr size_t kMaxExternalIds = 32;

struct Contact {
  EntityKey key;
  std::string email;  // Normal form, like phone and external_ids. Empty: none, as everywhere here.
  std::string phone;
  std::string given_name;
  std::string family_name;
  std::string locale;                               // BCP 47, canonical case.
  std::string timezone;                             // IANA.
  std::map<std::string, std::string> external_ids;  // By type: "user_id", "shopify".
  AttributeMap attributes;
  std::string source;
  ContactStatus status = ContactStatus::kActive;
  std::optional<Uuid> merged_into;  // Set for good by a merge; the contact is then only an alias.
  absl::Time create_time;           // When the relationship began; may lie before the record.
  absl::Time update_time;
  int64_t version = 0;  // 1 after creation, one more with every change.
  friend bool operator==(const Contact&, const Contact&) = default;
};

// What one request wants changed. A field that is absent stays; one that is present and empty is
// cleared, and so is a map entry without a value or with an empty one.
struct ContactPatch {
  std::optional<int64_t> if_version;  // From an etag; 0 and absent: unconditional.
  std::optional<std::string> email;
  std::optional<std::string> phone;
  std::optional<std::string> given_name;
  std::optional<std::string> family_name;
  std::optional<std::string> locale;
  std::optional<std::string> timezone;
  std::optional<std::string> source;
  std::map<std::string, std::string> external_ids;
  std::map<std::string, std::optional<AttributeValue>> attributes;
  // True: entries of the map that the patch does not name are cleared.
  bool replace_external_ids = false;
  bool replace_attributes = false;
  std::optional<absl::Time> create_time;  // At creation only.
  friend bool operator==(const ContactPatch&, const ContactPatch&) = default;
};

// The patch that `given`, a whole contact as sent by a caller, means under an update mask: paths of
// the mask without a value clear. Paths: the fields of ContactPatch, "external_ids",
// "external_ids.TYPE", "attributes", "attributes.ID", or "*" alone for all of them. An empty mask
// means every field that `given` populates. INVALID_ARGUMENT names unknown and read-only paths.
absl::StatusOr<ContactPatch> ApplyMask(const ContactPatch& given,
                                       const std::vector<std::string>& mask);

// What the rules depend on beyond the request: settings and definitions of the tenant. Policy and
// registry must outlive the call.
struct ContactRules {
  NormalizeOptions normalize;
  const AttributeRegistry* registry = nullptr;  // nullptr: no attribute is defined.
};

// What happened, for the journal. The numbers are those of ContactChanged.Change.
enum class ContactEvent {
  kNone = 0,
  kCreated = 1,
  kUpdated = 2,
  kBlocked = 3,
  kUnblocked = 4,  // Active again.
  kDeactivated = 5,
  kErased = 6,
};

// The outcome of a decision. `event` is kNone exactly when nothing changes; `after` then equals the
// state before, version and all.
struct Change {
  Contact after;
  ContactEvent event = ContactEvent::kNone;
  std::vector<std::string> changed_fields;  // Sorted: "attributes.plan", "email".
  std::vector<Identifier> identifiers_added;
  std::vector<Identifier> identifiers_removed;
};

// Every identifier of `contact`: email, phone, external ids.
std::vector<Identifier> IdentifiersOf(const Contact& contact);

// What can be told of a patch by itself, without the contact and the definitions of attributes.
// Create and Update tell the same and more.
absl::Status ValidatePatch(const ContactPatch& patch, const NormalizeOptions& options,
                           absl::Time now);

// A new contact at version 1. At least one of e-mail, phone, given name, family name and external
// id must be there. `create_time` of the patch may lie in the past, not after `now`.
absl::StatusOr<Change> Create(const EntityKey& key, const ContactPatch& patch,
                              const ContactRules& rules, absl::Time now);

// ABORTED for a stale if_version; FAILED_PRECONDITION for erased and merged contacts.
absl::StatusOr<Change> Update(const Contact& before, const ContactPatch& patch,
                              const ContactRules& rules, absl::Time now);

// The verbs that move the status. A move to the present status changes nothing; a forbidden move is
// FAILED_PRECONDITION with the reason CONTACT_BLOCKED, CONTACT_DEACTIVATED, CONTACT_ERASED or
// CONTACT_MERGED. A blocked contact must be unblocked before it is deactivated: otherwise coming
// back would lift the block unseen.
absl::StatusOr<Change> Block(const Contact& before, absl::Time now);
absl::StatusOr<Change> Unblock(const Contact& before, absl::Time now);
absl::StatusOr<Change> Deactivate(const Contact& before, absl::Time now);
absl::StatusOr<Change> Reactivate(const Contact& before, absl::Time now);

// Purges what is personal: identifiers, names, locale, time zone, and every attribute whose
// definition does not say that it is not personal. `identifiers_removed` are the addresses whose
// tombstones must be kept. Allowed from every status and for merged contacts; cannot be undone.
absl::StatusOr<Change> Erase(const Contact& before, const ContactRules& rules, absl::Time now);

// The fields of the record whose former values are kept, beside the attributes, as text: "email",
// "external_ids.shop", "status".
AttributeMap FieldsOf(const Contact& contact);
// Whether one of them may have this name, which ids of attributes may have too.
bool IsFieldName(absl::string_view name);

// Where a contact has its identifiers of a type: "contact.email", "contact.external_ids.user_id".
std::string IdentifierField(absl::string_view identifier_type);

// ALREADY_EXISTS, reason CONTACT_EXISTS, with the name of the contact that has the identifier and
// the field ("contact.email") in the metadata.
absl::Status AlreadyExists(const EntityKey& existing, absl::string_view identifier_type);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_H_
