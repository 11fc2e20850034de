// By which rules identifiers tell who a person is, as a tenant may set them: values that identify
// nobody, how many values of a type one person may have, which types are trusted more, and
// providers of mailboxes for whom different e-mail addresses are one. Pure.
#ifndef CLM_SERVICES_CONTACT_IDENTITY_POLICY_H_
#define CLM_SERVICES_CONTACT_IDENTITY_POLICY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/error.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace clm::contact {

// Types with a meaning of their own; every other type is the name of an external system.
inline constexpr char kEmailType[] = "email";
inline constexpr char kPhoneType[] = "phone";
inline constexpr char kUserIdType[] = "user_id";
inline constexpr char kAnonymousIdType[] = "anonymous_id";

// At most `max_values` different values of a type for one person within `window`, counted from the
// moment each was first seen.
struct IdentifierLimit {
  int max_values = 5;
  absl::Duration window = absl::InfiniteDuration();
  friend bool operator==(const IdentifierLimit&, const IdentifierLimit&) = default;
};

// RE2 patterns. Cheap to copy; thread-safe once made.
class BlockedPatterns {
 public:
  BlockedPatterns() = default;  // Matches nothing.
  // A pattern that does not compile is told in `errors` as "FIELD[i]" and left out.
  BlockedPatterns(const std::vector<std::string>& texts, absl::string_view field,
                  error::FieldErrors& errors);

  // Whether one of them is found in `text`, in any case.
  bool Match(absl::string_view text) const;
  const std::vector<std::string>& texts() const { return texts_; }
  friend bool operator==(const BlockedPatterns& a, const BlockedPatterns& b) {
    return a.texts_ == b.texts_;
  }

 private:
  std::vector<std::string> texts_;
  std::vector<std::shared_ptr<const re2::RE2>> compiled_;
};

// A provider for whom different local parts are one mailbox.
struct EmailProvider {
  bool ignore_dots = false;
  bool ignore_tags = false;      // What follows a '+'.
  std::string canonical_domain;  // A provider of the policy, in whose form the address is kept.
  friend bool operator==(const EmailProvider&, const EmailProvider&) = default;
};

struct IdentityPolicy {
  // The defaults.
  IdentityPolicy();

  // By type; types that are not listed have `default_limit`.
  std::map<std::string, IdentifierLimit> limits;
  IdentifierLimit default_limit;
  // Types from the most to the less trusted one; types that are not listed follow in alphabetical
  // order.
  std::vector<std::string> priorities;
  // Values that identify nobody, trimmed and in lower case.
  std::set<std::string> blocked_values;
  BlockedPatterns blocked_patterns;
  std::map<std::string, EmailProvider> email_providers;  // By domain in its ASCII form.

  friend bool operator==(const IdentityPolicy&, const IdentityPolicy&) = default;
};

// The one of tenants that have stored none.
const IdentityPolicy& DefaultIdentityPolicy();

// As it is stored. Version 1 is that of the defaults, which are not stored.
struct StoredIdentityPolicy {
  IdentityPolicy policy;
  int64_t version = 1;
  absl::Time update_time = absl::InfinitePast();
};

// Brings values, types and domains into their normal forms. What is wrong is told in `errors` by
// the names of the wire, behind `field`.
void NormalizeIdentityPolicy(absl::string_view field, IdentityPolicy& policy,
                             error::FieldErrors& errors);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IDENTITY_POLICY_H_
