#include "services/contact/timeline.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "services/contact/text.h"

namespace clm::contact {
namespace {

// The active codes of ISO 4217 for money; funds, metals and test codes are left out. Grouped by
// their number of minor digits, each group sorted.
constexpr absl::string_view kNoDigits =
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF ";
constexpr absl::string_view kTwoDigits =
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ";
constexpr absl::string_view kThreeDigits = "BHD IQD JOD KWD LYD OMR TND ";

bool Lists(absl::string_view codes, absl::string_view code) {
  for (size_t i = 0; i < codes.size(); i += 4) {
    if (codes.substr(i, 3) == code) return true;
  }
  return false;
}

absl::Time EarliestEvent() {
  static const absl::Time kEarliest =
      absl::FromCivil(absl::CivilSecond(1900, 1, 1), absl::UTCTimeZone());
  return kEarliest;
}

bool ValidPropertyKey(absl::string_view key) {
  if (key.empty() || key.size() > kMaxPropertyKeyBytes) return false;
  if (!absl::ascii_isalpha(key[0]) && key[0] != '_') return false;
  return std::all_of(key.begin(), key.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; });
}

void CheckMoney(absl::string_view path, int64_t amount, const std::string& currency,
                error::FieldErrors& errors) {
  if (amount < 0 || amount > kMaxAmountMinor) {
    errors.Add(absl::StrCat(path, ".amount_minor"),
               absl::StrCat("must lie within 0 and ", kMaxAmountMinor));
  }
  if (!CurrencyDigits(currency)) {
    errors.Add(absl::StrCat(path, ".currency"),
               currency.empty() ? "is required with an amount" : "is not a code of ISO 4217");
  }
}

void CheckProperties(const AttributeMap& properties, error::FieldErrors& errors) {
  if (properties.size() > kMaxProperties) {
    errors.Add("event.properties", absl::StrCat("more than ", kMaxProperties, " entries"));
  }
  size_t bytes = 0;
  for (const auto& [key, value] : properties) {
    const std::string path = absl::StrCat("event.properties.", key.substr(0, kMaxPropertyKeyBytes));
    if (!ValidPropertyKey(key))
      errors.Add(path, "the name must match [A-Za-z_][A-Za-z0-9_-]{0,63}");
    errors.AddStatus(path, ValidateValue(value));
    bytes += key.size() + FormatValue(value).size();
  }
  if (bytes > kMaxPropertiesBytes) {
    errors.Add("event.properties", absl::StrCat("larger than ", kMaxPropertiesBytes, " bytes"));
  }
}

const EventType* FindWellKnown(absl::string_view type) {
  for (const EventType& known : WellKnownEventTypes()) {
    if (type == known.type) return &known;
  }
  return nullptr;
}

}  // namespace

std::optional<int> CurrencyDigits(absl::string_view code) {
  if (code.size() != 3) return std::nullopt;
  if (Lists(kTwoDigits, code)) return 2;
  if (Lists(kNoDigits, code)) return 0;
  if (Lists(kThreeDigits, code)) return 3;
  return std::nullopt;
}

const std::vector<EventType>& WellKnownEventTypes() {
  static const auto* const kTypes = new std::vector<EventType>{
      {"cart_abandoned", false, false, nullptr, "left without buying what was in the cart"},
      {kDownload, false, false, "item", "took a document or a program"},
      {"form_submitted", false, false, nullptr, "filled in a form"},
      {"inquiry", false, false, nullptr, "asked before buying"},
      {"login", false, false, nullptr, "signed in"},
      {kOfferResponse, false, false, "response", "answered an offer: accepted, declined, ..."},
      {"page_view", false, false, nullptr, "looked at a page"},
      {kPurchase, true, false, nullptr, "bought something; an amount of 0 is a gift"},
      {"referral", false, false, nullptr, "brought somebody"},
      {kRefund, true, false, nullptr, "got money back; the amount is what was paid back"},
      {kServiceContact, false, true, nullptr,
       "was in touch with the service; the channel says how"},
      {"sign_up", false, false, nullptr, "made an account"},
      {kSubscriptionEnded, false, false, nullptr, "a contract ended"},
      {kSubscriptionRenewed, false, false, nullptr, "a contract went into its next period"},
      {kSubscriptionStarted, false, false, nullptr, "a contract began"},
      {"trial_started", false, false, nullptr, "began to try for free"},
      {"usage", false, false, nullptr, "used the product"},
  };
  return *kTypes;
}

bool ValidEventType(absl::string_view type) {
  if (type.empty() || type.size() > 63 || !absl::ascii_islower(type[0])) return false;
  return std::all_of(type.begin(), type.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '.';
  });
}

absl::Status ValidateEvent(const BehaviorEvent& event, absl::Time now) {
  error::FieldErrors errors;
  if (!ValidEventType(event.type)) {
    errors.Add("event.type", "must match [a-z][a-z0-9_.]{0,62}");
  }
  // Who could record them could climb a tier, and be paid for a stage, without either.
  if (absl::StartsWith(event.type, "loyalty.") || absl::StartsWith(event.type, "lifecycle.")) {
    errors.Add("event.type", "is told by the suite itself");
  }
  if (event.occur_time > now + kEventClockTolerance) {
    errors.Add("event.occur_time", "lies more than 10 minutes in the future");
  } else if (event.occur_time < EarliestEvent()) {
    errors.Add("event.occur_time", "is missing or lies before 1900");
  }
  if (event.amount_minor) {
    CheckMoney("event", *event.amount_minor, event.currency, errors);
  } else if (!event.currency.empty()) {
    errors.Add("event.currency", "goes with an amount only");
  }
  if (event.quantity && (*event.quantity < 0 || *event.quantity > kMaxQuantity)) {
    errors.Add("event.quantity", absl::StrCat("must lie within 0 and ", kMaxQuantity));
  }
  errors.AddStatus("event.channel", CheckText(event.channel, 60));
  errors.AddStatus("event.source", CheckText(event.source, 100));
  CheckProperties(event.properties, errors);

  if (const EventType* known = FindWellKnown(event.type)) {
    if (known->needs_amount && !event.amount_minor) {
      errors.Add("event.amount_minor", absl::StrCat("is required for a ", known->type));
    }
    if (known->needs_channel && event.channel.empty()) {
      errors.Add("event.channel", absl::StrCat("is required for a ", known->type));
    }
    if (known->needs_property != nullptr) {
      const auto it = event.properties.find(known->needs_property);
      const auto* text =
          it == event.properties.end() ? nullptr : std::get_if<std::string>(&it->second);
      if (text == nullptr || text->empty()) {
        errors.Add(absl::StrCat("event.properties.", known->needs_property),
                   absl::StrCat("is required as text for a ", known->type));
      }
    }
  }
  return errors.ToStatus();
}

absl::Status ValidateAcquisitionCost(const AcquisitionCost& cost, absl::Time now) {
  error::FieldErrors errors;
  if (!cost.contact && cost.source.empty()) {
    errors.Add("acquisition_cost.source", "is required when there is no contact");
  }
  errors.AddStatus("acquisition_cost.source", CheckText(cost.source, 100));
  if (cost.start_date.year() < 1900 || cost.start_date.year() > 9999) {
    errors.Add("acquisition_cost.start_date", "the year is not within 1900 to 9999");
  }
  if (cost.end_date < cost.start_date) {
    errors.Add("acquisition_cost.end_date", "lies before start_date");
  }
  // A budget may be entered ahead, but a period of centuries is a slip of the pen.
  if (cost.end_date > absl::ToCivilDay(now, absl::UTCTimeZone()) + 3660) {
    errors.Add("acquisition_cost.end_date", "lies more than ten years in the future");
  }
  CheckMoney("acquisition_cost", cost.amount_minor, cost.currency, errors);
  return errors.ToStatus();
}

std::optional<int64_t> ParseAmountMinor(absl::string_view text, int digits) {
  const size_t point = text.find('.');
  const absl::string_view whole = text.substr(0, point);
  absl::string_view fraction;
  if (point != absl::string_view::npos) {
    fraction = text.substr(point + 1);
    if (fraction.empty()) return std::nullopt;
  }
  if (whole.empty()) return std::nullopt;
  int64_t amount = 0;
  const auto take = [&](char c) {
    if (!absl::ascii_isdigit(c) || amount > kMaxAmountMinor) return false;
    amount = amount * 10 + (c - '0');
    return true;
  };
  for (char c : whole) {
    if (!take(c)) return std::nullopt;
  }
  for (int i = 0; i < digits; ++i) {
    if (!take(static_cast<size_t>(i) < fraction.size() ? fraction[i] : '0')) return std::nullopt;
  }
  for (size_t i = static_cast<size_t>(digits); i < fraction.size(); ++i) {
    if (fraction[i] != '0') return std::nullopt;
  }
  if (amount > kMaxAmountMinor) return std::nullopt;
  return amount;
}

}  // namespace clm::contact
