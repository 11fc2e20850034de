#include "tools/clm/values.h"

#include <fstream>
#include <iostream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/util/json_util.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {

using contact::v1::AttributeDefinition;
using contact::v1::AttributeValue;

absl::Time ToTime(const google::protobuf::Timestamp& proto) {
  return absl::FromUnixSeconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

void SetTime(absl::Time time, google::protobuf::Timestamp* proto) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  proto->set_seconds(seconds);
  proto->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

absl::StatusOr<absl::Duration> ParseSpan(absl::string_view flag, absl::string_view text) {
  int64_t count = 0;
  if (text.size() > 1 && absl::SimpleAtoi(text.substr(0, text.size() - 1), &count) && count >= 0) {
    switch (text.back()) {
      case 'd':
        return absl::Hours(24) * count;
      case 'h':
        return absl::Hours(1) * count;
      case 'm':
        return absl::Minutes(1) * count;
      case 's':
        return absl::Seconds(1) * count;
      default:
        break;
    }
  }
  return error::InvalidField(flag,
                             absl::StrCat("'", text, "' is not a span such as 90d, 36h, 15m"));
}

absl::StatusOr<absl::Time> ParseMoment(absl::string_view flag, absl::string_view text,
                                       absl::Time now) {
  if (text == "now") return now;
  if (const auto day = ParseDay(text)) return absl::FromCivil(*day, absl::UTCTimeZone());
  if (const auto time = clm::ParseTime(text)) return *time;
  if (const auto span = ParseSpan(flag, text); span.ok()) return now - *span;
  return error::InvalidField(
      flag, absl::StrCat("'", text,
                         "' is neither a day (2026-11-21), a time (2026-11-21T08:30:00Z) nor a "
                         "span before now (90d, 36h)"));
}

absl::StatusOr<int64_t> ParseMoney(absl::string_view flag, absl::string_view text,
                                   absl::string_view currency) {
  const int digits = terminal::MinorDigits(currency);
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('.', 1));
  std::string fraction(parts.second);
  int64_t minor = 0;
  const auto all_digits = [](absl::string_view s) {
    for (const char c : s) {
      if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    }
    return true;
  };
  const bool form = !parts.first.empty() && all_digits(parts.first) && all_digits(fraction) &&
                    fraction.size() <= static_cast<size_t>(digits);
  fraction.resize(static_cast<size_t>(digits), '0');
  if (form && absl::SimpleAtoi(absl::StrCat(parts.first, fraction), &minor)) return minor;
  return error::InvalidField(flag, absl::StrCat("'", text, "' is not an amount with at most ",
                                                digits, " digits after the point"));
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParsePairs(
    absl::string_view flag, const std::vector<std::string>& texts) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& text : texts) {
    const size_t at = text.find('=');
    if (at == 0 || at == std::string::npos) {
      return error::InvalidField(flag, absl::StrCat("'", text, "' is not KEY=VALUE"));
    }
    pairs.emplace_back(text.substr(0, at), text.substr(at + 1));
  }
  return pairs;
}

absl::StatusOr<AttributeValue> ParseAttribute(absl::string_view flag,
                                              AttributeDefinition::Type type,
                                              absl::string_view text) {
  AttributeValue value;
  if (text.empty()) return value;
  const auto bad = [&](absl::string_view what) {
    return error::InvalidField(flag, absl::StrCat("'", text, "' is not ", what));
  };
  switch (type) {
    case AttributeDefinition::TYPE_BOOL: {
      bool parsed = false;
      if (!absl::SimpleAtob(text, &parsed)) return bad("true or false");
      value.set_bool_value(parsed);
      return value;
    }
    case AttributeDefinition::TYPE_INT64: {
      int64_t parsed = 0;
      if (!absl::SimpleAtoi(text, &parsed)) return bad("a whole number");
      value.set_int64_value(parsed);
      return value;
    }
    case AttributeDefinition::TYPE_DECIMAL:
      value.set_decimal_value(std::string(text));
      return value;
    case AttributeDefinition::TYPE_DATE:
      value.set_date_value(std::string(text));
      return value;
    case AttributeDefinition::TYPE_TIMESTAMP: {
      const auto time = clm::ParseTime(text);
      if (!time) return bad("a time (2026-11-21T08:30:00Z)");
      SetTime(*time, value.mutable_timestamp_value());
      return value;
    }
    case AttributeDefinition::TYPE_STRING_SET:
      for (const absl::string_view part : absl::StrSplit(text, ',')) {
        value.mutable_string_set_value()->add_values(std::string(part));
      }
      return value;
    default:
      value.set_string_value(std::string(text));
      return value;
  }
}

std::string AttributeText(const AttributeValue& value) {
  switch (value.kind_case()) {
    case AttributeValue::kStringValue:
      return value.string_value();
    case AttributeValue::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case AttributeValue::kInt64Value:
      return absl::StrCat(value.int64_value());
    case AttributeValue::kDecimalValue:
      return value.decimal_value();
    case AttributeValue::kDateValue:
      return value.date_value();
    case AttributeValue::kTimestampValue:
      return clm::FormatTime(ToTime(value.timestamp_value()));
    case AttributeValue::kStringSetValue:
      return absl::StrJoin(value.string_set_value().values(), ",");
    case AttributeValue::KIND_NOT_SET:
      break;
  }
  return "";
}

std::string EnumText(absl::string_view prefix, absl::string_view name) {
  std::string text = absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
  return text == "unspecified" ? "" : text;
}

std::string LastPart(absl::string_view name) {
  const size_t slash = name.rfind('/');
  return std::string(slash == absl::string_view::npos ? name : name.substr(slash + 1));
}

terminal::Cell TextCell(const std::string& text) {
  return text.empty() ? terminal::Cell() : terminal::Cell(text);
}

absl::Status ReadMessage(const std::string& file, google::protobuf::Message* message) {
  std::stringstream text;
  if (file == "-") {
    text << std::cin.rdbuf();
  } else {
    std::ifstream in(file);
    if (!in) return error::InvalidField("--from", absl::StrCat(file, ": cannot be read"));
    text << in.rdbuf();
  }
  const auto parsed = google::protobuf::util::JsonStringToMessage(text.str(), message);
  if (parsed.ok()) return absl::OkStatus();
  return error::InvalidField(
      "--from", absl::StrCat(file, ": is not a ", message->GetDescriptor()->name(), " as JSON: ",
                             std::string(parsed.message().data(), parsed.message().size())));
}

}  // namespace clm::cli
