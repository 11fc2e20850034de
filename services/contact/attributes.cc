#include "services/contact/attributes.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "nlohmann/json.hpp"
#include "services/contact/text.h"

namespace clm::contact {
namespace {

constexpr size_t kMaxWholeDigits = 18;
constexpr size_t kMaxFractionDigits = 9;

constexpr std::array<std::pair<AttributeType, const char*>, 8> kTypeNames = {{
    {AttributeType::kString, "STRING"},
    {AttributeType::kBool, "BOOL"},
    {AttributeType::kInt64, "INT64"},
    {AttributeType::kDecimal, "DECIMAL"},
    {AttributeType::kDate, "DATE"},
    {AttributeType::kTimestamp, "TIMESTAMP"},
    {AttributeType::kEnum, "ENUM"},
    {AttributeType::kStringSet, "STRING_SET"},
}};

absl::Status Bad(absl::string_view what) { return error::InvalidField("", what); }

// The type a value has by itself. Enums are told from strings by the definition only.
AttributeType TypeOf(const AttributeValue& value) {
  constexpr AttributeType kByIndex[] = {AttributeType::kString,   AttributeType::kBool,
                                        AttributeType::kInt64,    AttributeType::kDecimal,
                                        AttributeType::kDate,     AttributeType::kTimestamp,
                                        AttributeType::kStringSet};
  return kByIndex[value.index()];
}

bool StorableTime(absl::Time time) {
  static const absl::Time kFirst = absl::FromCivil(absl::CivilSecond(1, 1, 1), absl::UTCTimeZone());
  static const absl::Time kEnd =
      absl::FromCivil(absl::CivilSecond(10000, 1, 1), absl::UTCTimeZone());
  return time >= kFirst && time < kEnd;
}

nlohmann::json ValueToJson(const AttributeValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* set = std::get_if<StringSet>(&value)) return *set;
  return FormatValue(value);
}

// nullopt when `json` is not what ValueToJson makes of a value of `type`.
std::optional<AttributeValue> ValueFromJson(AttributeType type, const nlohmann::json& json) {
  switch (type) {
    case AttributeType::kBool:
      if (!json.is_boolean()) return std::nullopt;
      return json.get<bool>();
    case AttributeType::kInt64:
      if (!json.is_number_integer()) return std::nullopt;
      return json.get<int64_t>();
    case AttributeType::kStringSet: {
      if (!json.is_array()) return std::nullopt;
      StringSet set;
      for (const auto& member : json) {
        if (!member.is_string()) return std::nullopt;
        set.insert(member.get<std::string>());
      }
      return set;
    }
    default:
      break;
  }
  if (!json.is_string()) return std::nullopt;
  const std::string& text = json.get_ref<const std::string&>();
  switch (type) {
    case AttributeType::kDecimal:
      if (auto decimal = Decimal::Parse(text)) return *decimal;
      return std::nullopt;
    case AttributeType::kDate:
      if (auto day = ParseDay(text)) return *day;
      return std::nullopt;
    case AttributeType::kTimestamp:
      if (auto time = ParseTime(text)) return *time;
      return std::nullopt;
    default:
      return text;
  }
}

// Text that is not UTF-8 cannot reach here through the wire; a replacement character is better than
// an exception if it ever does.
std::string Dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<nlohmann::json> ParseObject(absl::string_view json) {
  auto object = nlohmann::json::parse(json.begin(), json.end(), nullptr, false);
  if (!object.is_object()) return error::Internal("stored attributes: not a JSON object");
  return object;
}

}  // namespace

absl::string_view TypeName(AttributeType type) {
  for (const auto& [known, name] : kTypeNames) {
    if (known == type) return name;
  }
  return "";
}

std::optional<AttributeType> TypeFromName(absl::string_view name) {
  for (const auto& [type, known] : kTypeNames) {
    if (name == known) return type;
  }
  return std::nullopt;
}

std::optional<Decimal> Decimal::Parse(absl::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  const size_t point = text.find('.');
  absl::string_view whole = text.substr(0, point);
  absl::string_view fraction;
  if (point != absl::string_view::npos) {
    fraction = text.substr(point + 1);
    if (fraction.empty()) return std::nullopt;
  }
  const auto digits = [](absl::string_view part) {
    return std::all_of(part.begin(), part.end(), absl::ascii_isdigit);
  };
  if (whole.empty() || !digits(whole) || !digits(fraction)) return std::nullopt;
  while (whole.size() > 1 && whole[0] == '0') whole.remove_prefix(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  if (whole.size() > kMaxWholeDigits || fraction.size() > kMaxFractionDigits) return std::nullopt;
  const bool zero = whole == "0" && fraction.empty();
  Decimal result;
  result.text_ =
      absl::StrCat(negative && !zero ? "-" : "", whole, fraction.empty() ? "" : ".", fraction);
  return result;
}

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  const auto parts = [](absl::string_view text) {
    const bool negative = text[0] == '-';
    if (negative) text.remove_prefix(1);
    const size_t point = text.find('.');
    const absl::string_view whole = text.substr(0, point);
    const absl::string_view fraction =
        point == absl::string_view::npos ? absl::string_view() : text.substr(point + 1);
    return std::make_tuple(negative, whole, fraction);
  };
  const auto [a_negative, a_whole, a_fraction] = parts(a.text_);
  const auto [b_negative, b_whole, b_fraction] = parts(b.text_);
  if (a_negative != b_negative) {
    return a_negative ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  // Canonical whole parts of equal length compare as text, and so do fractions.
  std::strong_ordering order = a_whole.size() <=> b_whole.size();
  if (order == 0) order = a_whole.compare(b_whole) <=> 0;
  if (order == 0) order = a_fraction.compare(b_fraction) <=> 0;
  return a_negative ? 0 <=> order : order;
}

absl::Status ValidateDefinition(const AttributeDefinition& definition) {
  error::FieldErrors errors;
  if (!ValidResourceId(definition.id)) {
    errors.Add("attribute.name", "the id must match [a-z][a-z0-9_-]{0,62}");
  }
  if (TypeName(definition.type).empty()) errors.Add("attribute.type", "is required");
  errors.AddStatus("attribute.display_name", CheckText(definition.display_name, 200));
  if (definition.type == AttributeType::kEnum) {
    if (definition.enum_values.empty()) {
      errors.Add("attribute.enum_values", "an ENUM needs at least one value");
    }
    if (definition.enum_values.size() > kMaxEnumValues) {
      errors.Add("attribute.enum_values", absl::StrCat("at most ", kMaxEnumValues, " values"));
    }
    std::set<std::string> seen;
    for (size_t i = 0; i < definition.enum_values.size(); ++i) {
      const std::string& value = definition.enum_values[i];
      const std::string path = absl::StrCat("attribute.enum_values[", i, "]");
      if (value.empty()) errors.Add(path, "must not be empty");
      errors.AddStatus(path, CheckText(value, 100));
      if (!seen.insert(value).second) errors.Add(path, "occurs twice");
    }
  } else if (!definition.enum_values.empty()) {
    errors.Add("attribute.enum_values", "only an ENUM has values");
  }
  if (definition.indexed && definition.type == AttributeType::kStringSet) {
    errors.Add("attribute.indexed", "a STRING_SET cannot be indexed");
  }
  return errors.ToStatus();
}

absl::StatusOr<AttributeDefinition> UpdateDefinition(const AttributeDefinition& before,
                                                     const AttributeDefinition& wanted) {
  if (wanted.version != 0 && wanted.version != before.version) {
    return error::EtagMismatch("attribute_definition.etag", Etag(before.version));
  }
  AttributeDefinition after = wanted;
  after.id = before.id;
  after.create_time = before.create_time;
  after.version = before.version;
  if (after.type != before.type) {
    return error::Precondition(
        "ATTRIBUTE_TYPE_FIXED",
        "attribute.type: cannot change; define another attribute and move the values",
        {{"attribute", before.id}});
  }
  if (after.indexed != before.indexed) {
    return error::Precondition(
        "ATTRIBUTE_INDEX_FIXED",
        "attribute.indexed: cannot change; define another attribute and move the values",
        {{"attribute", before.id}});
  }
  CLM_RETURN_IF_ERROR(ValidateDefinition(after));
  for (const std::string& value : before.enum_values) {
    if (std::find(after.enum_values.begin(), after.enum_values.end(), value) ==
        after.enum_values.end()) {
      return error::Precondition("ENUM_VALUE_IN_USE",
                                 "attribute.enum_values: values may be added but not removed",
                                 {{"attribute", before.id}});
    }
  }
  return after;
}

absl::Status ValidateValue(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (text->size() > kMaxStringBytes) {
      return Bad(absl::StrCat("longer than ", kMaxStringBytes, " bytes"));
    }
    if (text->find('\0') != std::string::npos) return Bad("contains a NUL character");
    if (!IsUtf8(*text)) return Bad("is not UTF-8");
  } else if (const auto* set = std::get_if<StringSet>(&value)) {
    if (set->size() > kMaxSetMembers) {
      return Bad(absl::StrCat("more than ", kMaxSetMembers, " members"));
    }
    for (const std::string& member : *set) {
      if (member.empty()) return Bad("has an empty member");
      CLM_RETURN_IF_ERROR(CheckText(member, kMaxSetMemberBytes));
    }
  } else if (const auto* day = std::get_if<absl::CivilDay>(&value)) {
    if (day->year() < 1 || day->year() > 9999) return Bad("the year is not within 1 to 9999");
  } else if (const auto* time = std::get_if<absl::Time>(&value)) {
    if (!StorableTime(*time)) return Bad("the year is not within 1 to 9999");
  }
  return absl::OkStatus();
}

absl::Status ValidateValue(const AttributeDefinition& definition, const AttributeValue& value) {
  const AttributeType expected =
      definition.type == AttributeType::kEnum ? AttributeType::kString : definition.type;
  if (TypeOf(value) != expected) {
    return Bad(
        absl::StrCat("the attribute is of type ", TypeName(definition.type), ", the value is not"));
  }
  CLM_RETURN_IF_ERROR(ValidateValue(value));
  if (definition.type == AttributeType::kEnum &&
      std::find(definition.enum_values.begin(), definition.enum_values.end(),
                std::get<std::string>(value)) == definition.enum_values.end()) {
    return Bad(absl::StrCat("must be one of ", absl::StrJoin(definition.enum_values, ", ")));
  }
  return absl::OkStatus();
}

absl::StatusOr<AttributeValue> ParseValue(const AttributeDefinition& definition,
                                          absl::string_view text) {
  std::optional<AttributeValue> value;
  absl::string_view expected;
  switch (definition.type) {
    case AttributeType::kString:
    case AttributeType::kEnum:
      value = std::string(text);
      break;
    case AttributeType::kBool:
      expected = "true or false";
      if (text == "true") value = true;
      if (text == "false") value = false;
      break;
    case AttributeType::kInt64: {
      expected = "a whole number of 64 bits";
      int64_t number;
      // SimpleAtoi would also take blanks and a plus sign.
      const bool plain = !text.empty() && (text[0] == '-' || absl::ascii_isdigit(text[0])) &&
                         absl::ascii_isdigit(text.back());
      if (plain && absl::SimpleAtoi(text, &number)) value = number;
      break;
    }
    case AttributeType::kDecimal:
      expected = "a decimal number, 18 digits before and 9 after the point at most";
      if (auto decimal = Decimal::Parse(text)) value = *decimal;
      break;
    case AttributeType::kDate:
      expected = "a day, 2026-11-21";
      if (auto day = ParseDay(text)) value = *day;
      break;
    case AttributeType::kTimestamp:
      expected = "an instant, 2026-11-21T08:30:00Z";
      if (auto time = ParseTime(text)) value = *time;
      break;
    case AttributeType::kStringSet: {
      StringSet set;
      for (absl::string_view member : absl::StrSplit(text, ';')) {
        member = absl::StripAsciiWhitespace(member);
        if (!member.empty()) set.emplace(member);
      }
      value = std::move(set);
      break;
    }
  }
  if (!value) return Bad(absl::StrCat("must be ", expected));
  CLM_RETURN_IF_ERROR(ValidateValue(definition, *value));
  return *std::move(value);
}

std::string FormatValue(const AttributeValue& value) {
  struct Visitor {
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(int64_t number) const { return absl::StrCat(number); }
    std::string operator()(const Decimal& decimal) const { return decimal.ToString(); }
    std::string operator()(absl::CivilDay day) const { return clm::FormatDay(day); }
    std::string operator()(absl::Time time) const { return clm::FormatTime(time); }
    std::string operator()(const StringSet& set) const { return absl::StrJoin(set, ";"); }
  };
  return std::visit(Visitor{}, value);
}

std::string ToJson(const AttributeMap& values) {
  auto object = nlohmann::json::object();
  for (const auto& [id, value] : values) object[id] = ValueToJson(value);
  return Dump(object);
}

absl::StatusOr<AttributeMap> FromJson(const AttributeRegistry& registry, absl::string_view json) {
  CLM_ASSIGN_OR_RETURN(const nlohmann::json object, ParseObject(json));
  AttributeMap values;
  for (const auto& [id, stored] : object.items()) {
    const auto definition = registry.find(id);
    if (definition == registry.end()) {
      return error::Internal("stored attributes: a value without a definition");
    }
    auto value = ValueFromJson(definition->second.type, stored);
    if (!value) return error::Internal("stored attributes: a value of the wrong type");
    values.emplace(id, *std::move(value));
  }
  return values;
}

std::string ToTaggedJson(const AttributeMap& values) {
  auto object = nlohmann::json::object();
  for (const auto& [id, value] : values) {
    object[id] = nlohmann::json::array({std::string(TypeName(TypeOf(value))), ValueToJson(value)});
  }
  return Dump(object);
}

absl::StatusOr<AttributeMap> FromTaggedJson(absl::string_view json) {
  CLM_ASSIGN_OR_RETURN(const nlohmann::json object, ParseObject(json));
  AttributeMap values;
  for (const auto& [id, stored] : object.items()) {
    std::optional<AttributeValue> value;
    if (stored.is_array() && stored.size() == 2 && stored[0].is_string()) {
      const auto type = TypeFromName(stored[0].get_ref<const std::string&>());
      if (type) value = ValueFromJson(*type, stored[1]);
    }
    if (!value) return error::Internal("stored properties: a value of the wrong type");
    values.emplace(id, *std::move(value));
  }
  return values;
}

std::vector<AttributeHistoryEntry> HistoryOf(const AttributeMap& before, const AttributeMap& after,
                                             absl::Time at, absl::string_view actor,
                                             absl::string_view source) {
  std::vector<AttributeHistoryEntry> entries;
  const auto add = [&](const std::string& id, std::optional<AttributeValue> value) {
    entries.push_back({id, std::move(value), at, std::string(actor), std::string(source)});
  };
  for (const auto& [id, value] : before) {
    if (!after.contains(id)) add(id, std::nullopt);
  }
  for (const auto& [id, value] : after) {
    const auto old = before.find(id);
    if (old == before.end() || old->second != value) add(id, value);
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.attribute < b.attribute; });
  return entries;
}

}  // namespace clm::contact
