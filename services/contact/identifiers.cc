#include "services/contact/identifiers.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "idn2.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "phonenumbers/phonenumberutil.h"
#include "services/contact/text.h"

namespace clm::contact {
namespace {

constexpr size_t kMaxLocalPartBytes = 64;
constexpr size_t kMaxAuditBytes = 256;

absl::Status Bad(absl::string_view what) { return error::InvalidField("", what); }

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isascii);
}

// A dot-atom (RFC 5321, 6531). Quoted local parts exist on paper only and are refused.
bool ValidLocalPart(absl::string_view local) {
  constexpr absl::string_view kMarks = "!#$%&'*+/=?^_`{|}~-";
  if (local.empty() || local.front() == '.' || local.back() == '.') return false;
  for (size_t i = 0; i < local.size(); ++i) {
    const char c = local[i];
    if (c == '.' && local[i - 1] == '.') return false;
    if (c == '.' || absl::ascii_isalnum(c) || !absl::ascii_isascii(c)) continue;
    if (kMarks.find(c) == absl::string_view::npos) return false;
  }
  return true;
}

// At least two labels of letters, digits and inner hyphens; the last one is not a number.
bool ValidAsciiDomain(absl::string_view domain) {
  const std::vector<absl::string_view> labels = absl::StrSplit(domain, '.');
  if (labels.size() < 2) return false;
  for (absl::string_view label : labels) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
      return false;
    }
    for (char c : label) {
      if (!absl::ascii_isalnum(c) && c != '-') return false;
    }
  }
  return !std::all_of(labels.back().begin(), labels.back().end(), absl::ascii_isdigit);
}

// What the audit list shows of a caller's text.
std::string Shown(absl::string_view text) {
  std::string shown(text.substr(0, kMaxAuditBytes));
  while (!IsUtf8(shown)) shown.pop_back();
  std::replace(shown.begin(), shown.end(), '\0', ' ');
  return shown;
}

// One rank per type: its place in the list of priorities, then the alphabet.
using Rank = std::pair<size_t, std::string>;

Rank RankOf(const IdentityPolicy& policy, const std::string& type) {
  const auto it = std::find(policy.priorities.begin(), policy.priorities.end(), type);
  return {static_cast<size_t>(it - policy.priorities.begin()), type};
}

const IdentifierLimit& LimitOf(const IdentityPolicy& policy, const std::string& type) {
  const auto it = policy.limits.find(type);
  return it == policy.limits.end() ? policy.default_limit : it->second;
}

// The first type, by priority, whose limit joining `matches` and `wanted` would break. A profile
// that is over its limit already does not stop an event that adds nothing to it.
std::optional<std::string> BrokenLimit(const std::vector<const IdentityProfile*>& matches,
                                       const std::vector<Identifier>& wanted,
                                       const IdentityPolicy& policy, absl::Time now) {
  std::map<std::string, std::set<std::string>> joined;
  std::map<std::string, size_t> most_before;
  absl::flat_hash_set<Identifier> known;
  for (const IdentityProfile* profile : matches) {
    std::map<std::string, std::set<std::string>> own;
    for (const KnownIdentifier& k : profile->identifiers) {
      known.insert(k.identifier);
      if (k.first_seen > now - LimitOf(policy, k.identifier.type).window) {
        own[k.identifier.type].insert(k.identifier.value);
      }
    }
    for (auto& [type, values] : own) {
      most_before[type] = std::max(most_before[type], values.size());
      joined[type].merge(values);
    }
  }
  for (const Identifier& identifier : wanted) {
    if (!known.contains(identifier)) joined[identifier.type].insert(identifier.value);
  }
  std::optional<std::string> broken;
  for (const auto& [type, values] : joined) {
    if (values.size() <= static_cast<size_t>(std::max(0, LimitOf(policy, type).max_values))) {
      continue;
    }
    if (values.size() <= most_before[type]) continue;
    if (!broken || RankOf(policy, type) < RankOf(policy, *broken)) broken = type;
  }
  return broken;
}

// The address at a provider, in the form in which the policy keeps it.
absl::Status Shorten(const IdentityPolicy& policy, std::string& local, std::string& domain) {
  auto provider = policy.email_providers.find(domain);
  if (provider == policy.email_providers.end()) return absl::OkStatus();
  bool dots = provider->second.ignore_dots;
  bool tags = provider->second.ignore_tags;
  if (!provider->second.canonical_domain.empty()) {
    domain = provider->second.canonical_domain;
    provider = policy.email_providers.find(domain);
    if (provider != policy.email_providers.end()) {
      dots |= provider->second.ignore_dots;
      tags |= provider->second.ignore_tags;
    }
  }
  if (tags) local = local.substr(0, local.find('+'));
  if (dots) local.erase(std::remove(local.begin(), local.end(), '.'), local.end());
  if (local.empty()) return Bad("is not an e-mail address: nothing before the +");
  if (!ValidLocalPart(local)) {
    return Bad("is not an e-mail address: the part before the + is malformed");
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<std::string> NormalizeDomain(absl::string_view domain) {
  std::string ascii = absl::AsciiStrToLower(domain);
  if (!IsAscii(ascii) || absl::StrContains(ascii, "xn--")) {
    char* out = nullptr;
    const int rc = idn2_to_ascii_8z(ascii.c_str(), &out, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    const std::unique_ptr<char, decltype(&idn2_free)> owned(out, &idn2_free);
    if (rc != IDN2_OK) return std::nullopt;
    ascii = absl::AsciiStrToLower(out);
  }
  if (!ValidAsciiDomain(ascii)) return std::nullopt;
  return ascii;
}

absl::StatusOr<std::string> NormalizeEmail(absl::string_view text,
                                           const NormalizeOptions& options) {
  text = TrimText(text);
  if (text.empty()) return Bad("is empty");
  if (!IsUtf8(text)) return Bad("is not UTF-8");
  const size_t at = text.rfind('@');
  if (at == absl::string_view::npos) return Bad("is not an e-mail address: has no @");
  std::string local = absl::AsciiStrToLower(text.substr(0, at));
  if (local.size() > kMaxLocalPartBytes) {
    return Bad(absl::StrCat("is not an e-mail address: more than ", kMaxLocalPartBytes,
                            " bytes before the @"));
  }
  if (!ValidLocalPart(local) || !CheckText(local, kMaxLocalPartBytes).ok()) {
    return Bad("is not an e-mail address: the part before the @ is malformed");
  }
  auto domain = NormalizeDomain(text.substr(at + 1));
  if (!domain) return Bad("is not an e-mail address: the domain is malformed");
  CLM_RETURN_IF_ERROR(Shorten(*options.policy, local, *domain));
  std::string email = absl::StrCat(local, "@", *domain);
  if (email.size() > kMaxEmailBytes) {
    return Bad(absl::StrCat("longer than ", kMaxEmailBytes, " bytes"));
  }
  return email;
}

absl::StatusOr<std::string> NormalizePhone(absl::string_view text,
                                           const NormalizeOptions& options) {
  using i18n::phonenumbers::PhoneNumber;
  using i18n::phonenumbers::PhoneNumberUtil;
  // The library reads vanity letters, extensions and numbers within prose; none of them is an
  // address to send to.
  constexpr absl::string_view kAllowed = "0123456789+-()./ ";
  text = TrimText(text);
  if (text.empty()) return Bad("is empty");
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (absl::StartsWith(text.substr(i), "\xC2\xA0")) {
      plain += ' ';
      ++i;
    } else if (kAllowed.find(text[i]) == absl::string_view::npos) {
      return Bad("is not a phone number: only digits, blanks and + - ( ) . / are allowed");
    } else {
      plain += text[i];
    }
  }
  if (plain.size() > 40) return Bad("is not a phone number: too long");
  if (plain[0] != '+' && options.phone_region.empty()) {
    return Bad("needs the country code: +4930123456");
  }
  const PhoneNumberUtil& util = *PhoneNumberUtil::GetInstance();
  PhoneNumber number;
  const std::string region = options.phone_region.empty() ? "ZZ" : options.phone_region;
  const auto outcome = util.Parse(plain, region, &number);
  if (outcome == PhoneNumberUtil::INVALID_COUNTRY_CODE_ERROR) {
    return Bad("is not a phone number: unknown country code");
  }
  if (outcome != PhoneNumberUtil::NO_PARSING_ERROR || number.has_extension() ||
      util.IsPossibleNumberWithReason(number) != PhoneNumberUtil::IS_POSSIBLE) {
    return Bad("is not a phone number of that country");
  }
  std::string e164;
  util.Format(number, PhoneNumberUtil::E164, &e164);
  return e164;
}

absl::StatusOr<std::string> NormalizeExternalId(absl::string_view text,
                                                const NormalizeOptions& options) {
  text = TrimText(text);
  if (text.empty()) return Bad("is empty");
  CLM_RETURN_IF_ERROR(CheckText(text, kMaxExternalIdBytes));
  if (IsBlockedValue(text, *options.policy)) return Bad("is a placeholder, not an id");
  return std::string(text);
}

bool ValidExternalIdType(absl::string_view type) {
  return ValidResourceId(type) && type != kEmailType && type != kPhoneType;
}

bool IsBlockedValue(absl::string_view value, const IdentityPolicy& policy) {
  const std::string lower = absl::AsciiStrToLower(TrimText(value));
  return policy.blocked_values.contains(lower) || policy.blocked_patterns.Match(lower);
}

absl::StatusOr<Identifier> NormalizeIdentifier(absl::string_view type, absl::string_view value,
                                               const NormalizeOptions& options) {
  absl::StatusOr<std::string> normal;
  if (type == kEmailType) {
    normal = NormalizeEmail(value, options);
  } else if (type == kPhoneType) {
    normal = NormalizePhone(value, options);
  } else if (ValidExternalIdType(type)) {
    normal = NormalizeExternalId(value, options);
  } else {
    return Bad("the type of an identifier must match [a-z][a-z0-9_-]{0,62}");
  }
  if (!normal.ok()) return normal.status();
  if (IsBlockedValue(*normal, *options.policy)) return Bad("is a placeholder, not an id");
  return Identifier{std::string(type), *std::move(normal)};
}

std::optional<Identifier> OtherSpelling(absl::string_view type, absl::string_view value,
                                        const IdentityPolicy& policy) {
  if (type != kEmailType || policy.email_providers.empty()) return std::nullopt;
  const auto plain = NormalizeEmail(value);
  const auto kept = NormalizeEmail(value, {.policy = &policy});
  if (!plain.ok() || !kept.ok() || *plain == *kept) return std::nullopt;
  return Identifier{kEmailType, *plain};
}

std::string TombstoneHash(absl::string_view salt, const Identifier& identifier) {
  const std::string data =
      absl::StrCat(identifier.type, absl::string_view("\0", 1), identifier.value);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), salt.data(), static_cast<int>(salt.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest, &size);
  return std::string(reinterpret_cast<const char*>(digest), size);
}

IdentityDecision ResolveIdentity(const std::vector<Identifier>& identifiers,
                                 const std::vector<IdentityProfile>& profiles,
                                 const IdentityPolicy& policy, absl::Time now) {
  const NormalizeOptions options{.policy = &policy};
  IdentityDecision decision;
  std::vector<Identifier>& wanted = decision.identifiers;
  for (const Identifier& raw : identifiers) {
    using Violation = IdentityViolation;
    const Identifier shown{Shown(raw.type), Shown(raw.value)};
    if (IsBlockedValue(raw.value, policy)) {
      decision.violations.push_back({Violation::Kind::kBlockedValue, shown, "", {}});
      continue;
    }
    auto normal = NormalizeIdentifier(raw.type, raw.value, options);
    if (!normal.ok()) {
      decision.violations.push_back({Violation::Kind::kInvalid, shown, "", {}});
    } else if (std::find(wanted.begin(), wanted.end(), *normal) == wanted.end()) {
      wanted.push_back(*std::move(normal));
    }
  }
  std::stable_sort(wanted.begin(), wanted.end(), [&](const auto& a, const auto& b) {
    return RankOf(policy, a.type) < RankOf(policy, b.type);
  });

  for (;; wanted.pop_back()) {
    decision.profiles.clear();
    if (wanted.empty()) {
      decision.kind = IdentityDecision::Kind::kUnidentified;
      return decision;
    }
    std::vector<const IdentityProfile*> matches;
    for (const IdentityProfile& profile : profiles) {
      const bool shares = std::any_of(
          profile.identifiers.begin(), profile.identifiers.end(), [&](const auto& known) {
            return std::find(wanted.begin(), wanted.end(), known.identifier) != wanted.end();
          });
      if (shares) matches.push_back(&profile);
    }
    std::sort(matches.begin(), matches.end(), [](const auto* a, const auto* b) {
      return std::tie(a->create_time, a->id) < std::tie(b->create_time, b->id);
    });
    for (const IdentityProfile* match : matches) decision.profiles.push_back(match->id);

    const auto broken = BrokenLimit(matches, wanted, policy, now);
    if (!broken) {
      decision.kind = matches.empty()       ? IdentityDecision::Kind::kNewProfile
                      : matches.size() == 1 ? IdentityDecision::Kind::kAdd
                                            : IdentityDecision::Kind::kMerge;
      return decision;
    }
    decision.violations.push_back(
        {IdentityViolation::Kind::kLimit, wanted.back(), *broken, decision.profiles});
  }
}

bool ExceedsLimits(const std::vector<KnownIdentifier>& held, const std::vector<Identifier>& added,
                   const IdentityPolicy& policy, absl::Time now) {
  IdentityProfile profile;
  profile.identifiers = held;
  return BrokenLimit({&profile}, added, policy, now).has_value();
}

}  // namespace clm::contact
