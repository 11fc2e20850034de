// Merging two records of one person without doing harm: nothing is lost, nobody is written to who
// said no in either record, and the old id stays resolvable for ever. Pure; merging sends nothing.
#ifndef CLM_SERVICES_CONTACT_MERGE_H_
#define CLM_SERVICES_CONTACT_MERGE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "services/contact/attributes.h"
#include "services/contact/consent.h"
#include "services/contact/contact.h"
#include "services/contact/identifiers.h"

namespace clm::contact {

// Everything held about one of the two.
struct MergeSide {
  Contact contact;
  std::vector<KnownIdentifier> identifiers;  // All it ever had, those of `contact` included.
  std::vector<Uuid> aliases;                 // Ids merged into it before.
  std::vector<Subscription> subscriptions;   // One per topic.
  std::vector<ConsentAct> consents;          // The whole history.
  std::vector<Suppression> suppressions;
};

struct MergeOptions {
  // Who survives; absent: the one created first, of two equally old ones the smaller id.
  std::optional<Uuid> primary;
  // Absent: FAILED_PRECONDITION when both have a user_id and the two disagree. A caller who knows
  // better may insist.
  bool allow_user_id_conflict = false;
};

// A field in which both records had different values. The primary's was kept.
struct MergeConflict {
  std::string field;  // "email", "external_ids.shopify", "attributes.plan".
  friend bool operator==(const MergeConflict&, const MergeConflict&) = default;
};

// What to write, all in one transaction.
struct MergePlan {
  Change primary;    // `after` is the survivor; changed_fields are those filled from the other.
  Change secondary;  // `after` is the alias: merged_into set, identifiers gone, rest as it was.

  // From the secondary to the primary. A second e-mail address stays an identifier of the survivor
  // although the `email` field has room for one.
  std::vector<KnownIdentifier> moved_identifiers;
  // All ids that must resolve to the primary from now on without a detour: the secondary's and
  // those merged into it before.
  std::vector<Uuid> moved_aliases;
  // States of the survivor that differ from what it had, by topic.
  std::vector<Subscription> changed_subscriptions;
  // Acts of the secondary that the primary's history lacks, by time.
  std::vector<ConsentAct> moved_consents;
  std::vector<Suppression> moved_suppressions;
  // Attributes filled from the other, with source "merge".
  std::vector<AttributeHistoryEntry> attribute_history;
  // Which contact each attribute of the survivor came from.
  std::map<std::string, Uuid> attribute_origin;
  std::vector<MergeConflict> conflicts;  // Sorted by field.
};

// INVALID_ARGUMENT for two contacts that are the same, of different tenants, or when
// options.primary is neither. FAILED_PRECONDITION CONTACT_ERASED, CONTACT_MERGED or
// UNIQUE_IDENTIFIER_CONFLICT. The survivor's status is the more restrictive of the two.
absl::StatusOr<MergePlan> Merge(const MergeSide& a, const MergeSide& b, const MergeOptions& options,
                                absl::string_view actor, absl::Time now);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_MERGE_H_
