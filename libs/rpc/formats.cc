#include "libs/rpc/formats.h"

#include <re2/re2.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/container/flat_hash_set.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"

namespace clm::rpc {
namespace {

using options::v1::FieldRule;

bool Matches(absl::string_view text, const RE2& pattern) {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), pattern);
}

// RFC 5321's lengths and the unquoted part of its syntax, with RFC 6531's characters beyond ASCII.
bool ValidEmail(absl::string_view text) {
  static const RE2* const pattern = new RE2(
      R"((?:[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x7f])+(?:\.(?:[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x7f])+)*)"
      R"(@(?:(?:[a-zA-Z0-9]|[^\x00-\x7f])(?:(?:[a-zA-Z0-9-]|[^\x00-\x7f])*(?:[a-zA-Z0-9]|[^\x00-\x7f]))?\.)+)"
      R"((?:[a-zA-Z]|[^\x00-\x7f])(?:(?:[a-zA-Z0-9-]|[^\x00-\x7f])*(?:[a-zA-Z0-9]|[^\x00-\x7f])))");
  if (text.size() > 254) return false;
  const size_t at = text.rfind('@');
  if (at == absl::string_view::npos || at > 64) return false;
  for (absl::string_view rest = text.substr(at + 1); !rest.empty();) {
    const size_t dot = rest.find('.');
    if (std::min(dot, rest.size()) > 63) return false;
    rest = dot == absl::string_view::npos ? absl::string_view() : rest.substr(dot + 1);
  }
  return Matches(text, *pattern);
}

bool ValidE164(absl::string_view text) {
  static const RE2* const pattern = new RE2(R"(\+[1-9][0-9]{6,14})");
  return Matches(text, *pattern);
}

// RFC 5646 langtag, without the irregular tags of old.
bool ValidBcp47(absl::string_view text) {
  static const RE2* const pattern =
      new RE2(R"((?:[A-Za-z]{2,3}|[A-Za-z]{5,8})(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?)"
              R"((?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*)"
              R"((?:-[0-9A-WY-Za-wy-z](?:-[A-Za-z0-9]{2,8})+)*(?:-x(?:-[A-Za-z0-9]{1,8})+)?)");
  return text.size() <= 64 && Matches(text, *pattern);
}

// The codes of ISO 4217's list one that stand for money people pay with.
bool ValidIso4217(absl::string_view text) {
  static constexpr absl::string_view kCodes =
      "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP "
      "BYN BZD CAD CDF CHF CLF CLP CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD "
      "FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY "
      "KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU "
      "MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD "
      "RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP "
      "TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "
      "ZWL";
  if (text.size() != 3 || text.find(' ') != absl::string_view::npos) return false;
  const size_t at = kCodes.find(text);
  return at != absl::string_view::npos && at % 4 == 0;
}

bool ValidUrl(absl::string_view text) {
  static const RE2* const pattern =
      new RE2(R"((?i:https?)://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9.])?))"
              R"((?::[0-9]{1,5})?(?:[/?#][!-~]*)?)");
  return text.size() <= 2048 && Matches(text, *pattern);
}

const absl::flat_hash_set<std::string>& TimeZones() {
  static const auto* const zones = [] {
    auto* names = new absl::flat_hash_set<std::string>{"UTC"};
    const char* configured = std::getenv("TZDIR");
    const std::filesystem::path root = configured != nullptr ? configured : "/usr/share/zoneinfo";
    static const RE2 name_pattern(R"([A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*)");
    std::error_code error;
    for (auto it = std::filesystem::recursive_directory_iterator(root, error);
         !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
      const std::string name = it->path().lexically_relative(root).string();
      if (it->is_regular_file(error) && RE2::FullMatch(name, name_pattern)) names->insert(name);
    }
    return names;
  }();
  return *zones;
}

}  // namespace

bool KnownTimeZone(absl::string_view name) { return TimeZones().contains(std::string(name)); }

const char* FormatProblem(FieldRule::Format format, absl::string_view value) {
  switch (format) {
    case FieldRule::FORMAT_UUID:
      return Uuid::Parse(value) ? nullptr : "must be a UUID of 36 characters";
    case FieldRule::FORMAT_EMAIL:
      return ValidEmail(value) ? nullptr : "must be an e-mail address";
    case FieldRule::FORMAT_E164:
      return ValidE164(value) ? nullptr : "must be an international number as +4930123456";
    case FieldRule::FORMAT_BCP47:
      return ValidBcp47(value) ? nullptr : "must be a language tag as de-CH";
    case FieldRule::FORMAT_IANA_TZ:
      return KnownTimeZone(value) ? nullptr : "must be an IANA time zone as Europe/Berlin";
    case FieldRule::FORMAT_ISO4217:
      return ValidIso4217(value) ? nullptr : "must be a currency code as EUR";
    case FieldRule::FORMAT_URL:
      return ValidUrl(value) ? nullptr : "must be an absolute http or https URL";
    case FieldRule::FORMAT_RESOURCE_ID:
      return ValidResourceId(value)
                 ? nullptr
                 : "must be an id of [a-z][a-z0-9_-]{0,62} that ends in a letter or digit";
    default:
      return nullptr;
  }
}

}  // namespace clm::rpc
