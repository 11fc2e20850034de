#include "services/contact/identity_policy.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "re2/re2.h"
#include "services/contact/identifiers.h"
#include "services/contact/text.h"

namespace clm::contact {
namespace {

constexpr int kMostValues = 1000;
constexpr absl::Duration kLongestWindow = absl::Hours(24 * 366 * 100);

std::string Path(absl::string_view field, absl::string_view name) {
  return absl::StrCat(field, ".", name);
}

bool ValidType(absl::string_view type) {
  return type == kEmailType || type == kPhoneType || ValidExternalIdType(type);
}

void CheckLimit(const std::string& field, const IdentifierLimit& limit,
                error::FieldErrors& errors) {
  if (limit.max_values < 1 || limit.max_values > kMostValues) {
    errors.Add(field + ".max_values", absl::StrCat("must be from 1 to ", kMostValues));
  }
  if (limit.window == absl::InfiniteDuration()) return;
  if (limit.window < absl::Seconds(1) || limit.window > kLongestWindow ||
      limit.window != absl::Trunc(limit.window, absl::Seconds(1))) {
    errors.Add(field + ".window", "must be whole seconds, at least one and at most 100 years");
  }
}

void NormalizeBlocked(absl::string_view field, IdentityPolicy& policy, error::FieldErrors& errors) {
  std::set<std::string> values;
  for (const std::string& value : policy.blocked_values) {
    std::string normal = absl::AsciiStrToLower(TrimText(value));
    absl::Status valid = CheckText(normal, kMaxExternalIdBytes);
    if (normal.empty()) valid = error::InvalidField("", "one of them is empty");
    errors.AddStatus(Path(field, "blocked_values"), valid);
    if (valid.ok()) values.insert(std::move(normal));
  }
  policy.blocked_values = std::move(values);
}

void NormalizeProviders(absl::string_view field, IdentityPolicy& policy,
                        error::FieldErrors& errors) {
  std::map<std::string, EmailProvider> providers;
  const std::string path = Path(field, "email_providers");
  for (const auto& [domain, given] : policy.email_providers) {
    EmailProvider provider = given;
    const auto normal = NormalizeDomain(domain);
    if (!provider.canonical_domain.empty()) {
      const auto canonical = NormalizeDomain(provider.canonical_domain);
      if (!canonical) errors.Add(path, "a canonical_domain is no domain");
      provider.canonical_domain = canonical.value_or("");
      if (canonical == normal) provider.canonical_domain.clear();
    }
    if (!normal) {
      errors.Add(path, "a domain is malformed");
    } else if (!providers.try_emplace(*normal, std::move(provider)).second) {
      errors.Add(path, absl::StrCat("'", *normal, "' is there twice"));
    }
  }
  for (const auto& [domain, provider] : providers) {
    if (provider.canonical_domain.empty()) continue;
    const auto canonical = providers.find(provider.canonical_domain);
    // Otherwise the normal form of an address would not be its own normal form.
    if (canonical == providers.end() || !canonical->second.canonical_domain.empty()) {
      errors.Add(path, absl::StrCat("the canonical_domain of '", domain,
                                    "' must be in the list, without one of its own"));
    }
  }
  policy.email_providers = std::move(providers);
}

const BlockedPatterns& DefaultPatterns() {
  static const auto& kPatterns = *[] {
    error::FieldErrors errors;
    return new BlockedPatterns({"^[0-]*$"}, "", errors);
  }();
  return kPatterns;
}

}  // namespace

BlockedPatterns::BlockedPatterns(const std::vector<std::string>& texts, absl::string_view field,
                                 error::FieldErrors& errors) {
  RE2::Options options;
  options.set_case_sensitive(false);
  options.set_log_errors(false);
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string path = absl::StrCat(field, "[", i, "]");
    auto compiled = std::make_shared<const RE2>(texts[i], options);
    if (texts[i].empty()) {
      errors.Add(path, "is empty");
    } else if (!compiled->ok()) {
      errors.Add(path, absl::StrCat("is not an RE2 pattern: ", compiled->error()));
    } else if (std::find(texts_.begin(), texts_.end(), texts[i]) == texts_.end()) {
      texts_.push_back(texts[i]);
      compiled_.push_back(std::move(compiled));
    }
  }
}

bool BlockedPatterns::Match(absl::string_view text) const {
  const re2::StringPiece piece(text.data(), text.size());
  return std::any_of(compiled_.begin(), compiled_.end(),
                     [&](const auto& pattern) { return RE2::PartialMatch(piece, *pattern); });
}

IdentityPolicy::IdentityPolicy()
    : limits{{kUserIdType, {1, absl::InfiniteDuration()}},
             {kAnonymousIdType, {5, absl::Hours(7 * 24)}}},
      priorities{kUserIdType, kEmailType},
      blocked_values{"-1",    "null",    "(null)",    "nil",       "none",      "n/a",
                     "na",    "nan",     "unknown",   "undefined", "anonymous", "guest",
                     "void",  "not set", "(not set)", "test",      "default",   "[object object]",
                     "false", "true",    "{}",        "[]"},
      blocked_patterns(DefaultPatterns()) {}

const IdentityPolicy& DefaultIdentityPolicy() {
  static const auto& kDefault = *new IdentityPolicy;
  return kDefault;
}

void NormalizeIdentityPolicy(absl::string_view field, IdentityPolicy& policy,
                             error::FieldErrors& errors) {
  NormalizeBlocked(field, policy, errors);
  for (const auto& [type, limit] : policy.limits) {
    const std::string path = Path(field, absl::StrCat("limits.", type.substr(0, 63)));
    if (!ValidType(type)) errors.Add(path, "is not a type of identifier");
    CheckLimit(path, limit, errors);
  }
  CheckLimit(Path(field, "default_limit"), policy.default_limit, errors);
  std::set<std::string> seen;
  for (size_t i = 0; i < policy.priorities.size(); ++i) {
    const std::string path = absl::StrCat(field, ".priorities[", i, "]");
    if (!ValidType(policy.priorities[i])) errors.Add(path, "is not a type of identifier");
    if (!seen.insert(policy.priorities[i]).second) errors.Add(path, "is there already");
  }
  NormalizeProviders(field, policy, errors);
}

}  // namespace clm::contact
