// What identifies a person: normal forms of e-mail addresses, phone numbers and ids of other
// systems, values that identify nobody, and the decision which stored profiles an event or an
// upsert belongs to. Pure: the caller looks the profiles up and passes them in.
#ifndef CLM_SERVICES_CONTACT_IDENTIFIERS_H_
#define CLM_SERVICES_CONTACT_IDENTIFIERS_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "services/contact/identity_policy.h"

namespace clm::contact {

inline constexpr size_t kMaxEmailBytes = 254;
inline constexpr size_t kMaxExternalIdBytes = 256;

struct NormalizeOptions {
  // Which values identify nobody, and for which providers addresses that differ by dots or a "+tag"
  // are one: what a provider does with a local part is its own affair unless a tenant says
  // otherwise. Must outlive the call.
  const IdentityPolicy* policy = &DefaultIdentityPolicy();
  // ISO 3166 region for phone numbers without a country code ("DE"); empty: such numbers are
  // refused.
  std::string phone_region;
};

// Errors of the three functions have an empty field path and never repeat the value.

// Trimmed and in lower case, the domain in its ASCII form (IDNA 2008). The normal form of a normal
// form is itself.
absl::StatusOr<std::string> NormalizeEmail(absl::string_view text,
                                           const NormalizeOptions& options = {});
// E.164: "+4930123456". Extensions are refused.
absl::StatusOr<std::string> NormalizePhone(absl::string_view text,
                                           const NormalizeOptions& options = {});
// Trimmed; case is kept. Refuses blocked values.
absl::StatusOr<std::string> NormalizeExternalId(absl::string_view text,
                                                const NormalizeOptions& options = {});

// The ASCII form of a domain in lower case; nullopt when it has none.
std::optional<std::string> NormalizeDomain(absl::string_view domain);

// True for a type that may stand in front of an external id: [a-z][a-z0-9_-]{0,62}, and neither
// "email" nor "phone", which are fields of their own.
bool ValidExternalIdType(absl::string_view type);

// True for values that the policy blocks, in any case, with blanks around them.
bool IsBlockedValue(absl::string_view value,
                    const IdentityPolicy& policy = DefaultIdentityPolicy());

struct Identifier {
  std::string type;
  std::string value;  // Normal form.
  friend auto operator<=>(const Identifier&, const Identifier&) = default;
  friend bool operator==(const Identifier&, const Identifier&) = default;
  template <class H>
  friend H AbslHashValue(H h, const Identifier& identifier) {
    return H::combine(std::move(h), identifier.type, identifier.value);
  }
};

// `value` in the normal form of `type`. Refuses blocked values.
absl::StatusOr<Identifier> NormalizeIdentifier(absl::string_view type, absl::string_view value,
                                               const NormalizeOptions& options = {});

// The normal form without what the policy says of providers, where it is another one: what was
// stored of the person before the policy said so.
std::optional<Identifier> OtherSpelling(absl::string_view type, absl::string_view value,
                                        const IdentityPolicy& policy);

// What remains of an identifier after its person is erased: HMAC-SHA-256 with the tenant's salt, 32
// bytes. Equal for equal identifiers of a tenant, useless without the salt.
std::string TombstoneHash(absl::string_view salt, const Identifier& identifier);

// An identifier that a stored profile has.
struct KnownIdentifier {
  Identifier identifier;
  absl::Time first_seen;
  friend bool operator==(const KnownIdentifier&, const KnownIdentifier&) = default;
};

// A stored profile that shares at least one identifier with the question.
struct IdentityProfile {
  Uuid id;
  absl::Time create_time;
  std::vector<KnownIdentifier> identifiers;
};

// Why an identifier of the event was not used. Kept as an audit list. Type and value are text that
// can be stored and shown, shortened where the caller's were not.
struct IdentityViolation {
  enum class Kind { kBlockedValue = 1, kInvalid = 2, kLimit = 3 };
  Kind kind;
  Identifier identifier;       // The one that was dropped.
  std::string limit_type;      // kLimit: the type whose limit would have been broken.
  std::vector<Uuid> profiles;  // kLimit: the profiles that would have been joined, oldest first.
  friend bool operator==(const IdentityViolation&, const IdentityViolation&) = default;
};

// A violation as the audit list has it.
struct StoredViolation {
  IdentityViolation violation;
  Uuid event_id;         // The latest such event.
  absl::Time find_time;  // When it was received.
  int64_t event_count = 0;
};

struct IdentityDecision {
  enum class Kind {
    kUnidentified = 1,  // Nothing usable is left.
    kNewProfile = 2,    // Nobody has any of `identifiers`.
    kAdd = 3,           // profiles[0] is the person.
    kMerge = 4,         // All of `profiles` are the person; the oldest, first, survives.
  };
  Kind kind = Kind::kUnidentified;
  std::vector<Uuid> profiles;
  std::vector<Identifier> identifiers;  // To be held by the person afterwards, by priority.
  std::vector<IdentityViolation> violations;
};

// Decides whom identifiers belong to. When the limit of any type would be broken by joining what
// matches, the least trusted identifier of the event is dropped and the matching is done again
// without it. `identifiers` may be in any form; `profiles` are those found for their normal forms,
// each once, in any order.
IdentityDecision ResolveIdentity(const std::vector<Identifier>& identifiers,
                                 const std::vector<IdentityProfile>& profiles,
                                 const IdentityPolicy& policy, absl::Time now);

// Whether a person who has `held` may not have `added` besides.
bool ExceedsLimits(const std::vector<KnownIdentifier>& held, const std::vector<Identifier>& added,
                   const IdentityPolicy& policy, absl::Time now);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IDENTIFIERS_H_
