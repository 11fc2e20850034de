#include "libs/filter/sample_schema.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "libs/base/time_text.h"
#include "libs/filter/text.h"

namespace clm::filter::sample {
namespace {

using Strings = std::vector<std::string>;

// Everything that quoting, LIKE, arrays, JSON or placeholders could trip over.
const Strings& Texts() {
  static const auto* const kTexts = new Strings{
      "ada",  "Ada", "",     "adalbert", "an ada",     "100%",       "100x",
      "a_a",  "a*a", "a\\a", "O'Brien",  "say \"hi\"", "$1",         "{a,b}",
      "null", "Zoë", "zoe",  "東京",     " ada",       "two\nlines", "'; DROP TABLE filter_row; --",
      "\\",   "%",   "_"};
  return *kTexts;
}

const Strings kEmails = {"ada@example.com", "bob@example.org", "a_b%c@example.com"};
const Strings kStatuses = {"ACTIVE", "BLOCKED", "ERASED"};
const Strings kTagPool = {"vip", "beta", "a,b", "o'x", "quo\"te", "back\\slash", "", "NULL"};
const Strings kInts = {
    "0", "1", "-1", "7", "42", "43", "-9223372036854775808", "9223372036854775807"};
const Strings kNumbers = {"0", "1.5", "-1.5", "1.500000001",
                          "7", "42",  "0.1",  "9999999999999999999.999999999"};
const Strings kTimes = {"2026-11-21T08:30:00Z",        "2026-11-21T09:30:00+01:00",
                        "2026-11-20T12:00:00Z",        "2026-11-20T12:00:00.000001Z",
                        "2024-02-29T23:59:59.999999Z", "0001-01-01T00:00:00Z",
                        "9999-12-31T23:59:59Z",        "2026-12-21T08:30:00Z"};
const Strings kDays = {"2026-11-21", "2026-11-20", "2024-02-29",
                       "0001-01-01", "9999-12-31", "2026-12-21"};
// Texts that a map may hold in place of a value of any type, and that must count as missing.
const Strings kBad = {"2026-02-30",
                      "2023-02-29T00:00:00Z",
                      "0000-01-01",
                      "2026-11-21T24:00:00Z",
                      "2026-11-21T08:30:00.1234567Z",
                      "2026-11-21T08:30:00+15:00",
                      "2026-11-21 08:30:00Z",
                      "2026-11-21T08:30:00",
                      "1e5",
                      "99999999999999999999",
                      "9223372036854775808",
                      "-9223372036854775809",
                      "1.",
                      ".5",
                      "+1",
                      "-",
                      "--1",
                      "1.0000000001",
                      "TRUE",
                      "t",
                      "1 ",
                      "",
                      "NaN",
                      "infinity",
                      "-infinity",
                      "now",
                      "1900-02-29",
                      "2000-02-29",
                      "2026-00-10",
                      "2026-13-10",
                      "2026-10-32",
                      "1.50",
                      "007",
                      "-0"};
const Strings kDurations = {"0d", "1d", "30d", "24h", "90m", "20s"};
const Strings kEvents = {"purchase", "visit", "it's"};
constexpr const char* kEquality[] = {" = ", " != ", "="};
constexpr const char* kOrder[] = {" = ", " != ", " < ", " <= ", " > ", " >= ", ">="};

const std::string& OneOf(Pick pick, const Strings& list) {
  return list[pick(static_cast<int>(list.size()))];
}

template <size_t N>
const char* OneOf(Pick pick, const char* const (&list)[N]) {
  return list[pick(N)];
}

// A string literal; sometimes with wildcards.
std::string TextLiteral(Pick pick, const Strings& pool, bool wildcards) {
  const std::string& text = OneOf(pick, pool);
  std::vector<std::string> pieces;
  if (!wildcards || pick(3) > 0) {
    pieces = {text};
  } else {
    const size_t half = text.size() / 2;
    size_t cut = half;
    while (cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) ++cut;
    switch (pick(5)) {
      case 0:
        pieces = {text.substr(0, cut), ""};
        break;
      case 1:
        pieces = {"", text.substr(cut)};
        break;
      case 2:
        pieces = {"", text, ""};
        break;
      case 3:
        pieces = {text.substr(0, cut), text.substr(cut)};
        break;
      case 4:
        pieces = {"", text.substr(0, cut), "", text.substr(cut), ""};
        break;
    }
  }
  return Quote(pieces);
}

std::string ClockLiteral(Pick pick, const char* clock) {
  if (pick(2) == 0) return clock;
  const std::string unit = clock[0] == 't' ? "30d" : OneOf(pick, kDurations);
  return absl::StrCat(clock, pick(2) == 0 ? " - " : "+", unit);
}

// `path` of `type` against a literal.
std::string Comparison(Pick pick, const std::string& path, Type type) {
  const bool ordered = type != Type::kBool && type != Type::kEnum && type != Type::kStringSet;
  if (pick(8) == 0) return absl::StrCat(path, ":*");
  const std::string left =
      absl::StrCat(path, ordered ? OneOf(pick, kOrder) : OneOf(pick, kEquality));
  switch (type) {
    case Type::kString:
      if (pick(2) == 0) {
        return absl::StrCat(path, OneOf(pick, kEquality), TextLiteral(pick, Texts(), true));
      }
      return absl::StrCat(left, TextLiteral(pick, Texts(), false));
    case Type::kBool:
      return pick(3) == 0 ? path : absl::StrCat(left, pick(2) == 0 ? "true" : "false");
    case Type::kInt64:
      return absl::StrCat(left, OneOf(pick, pick(3) == 0 ? kNumbers : kInts));
    case Type::kDecimal:
      return absl::StrCat(left, OneOf(pick, pick(3) == 0 ? kInts : kNumbers));
    case Type::kTimestamp:
      return absl::StrCat(left, pick(3) == 0 ? ClockLiteral(pick, "now()") : OneOf(pick, kTimes));
    case Type::kDate:
      return absl::StrCat(left, pick(3) == 0 ? ClockLiteral(pick, "today()") : OneOf(pick, kDays));
    case Type::kEnum:
      return absl::StrCat(left, OneOf(pick, kStatuses));
    case Type::kStringSet:
      return absl::StrCat(path, ":", Quote({OneOf(pick, kTagPool)}));
    case Type::kDuration:
    case Type::kAny:
      break;
  }
  return left;
}

std::string RandomTerm(Pick pick, bool with_functions) {
  switch (pick(with_functions ? 24 : 20)) {
    case 0:
      return Comparison(pick, "name", Type::kString);
    case 1:
      return absl::StrCat("email", OneOf(pick, kEquality), TextLiteral(pick, kEmails, true));
    case 2:
      return Comparison(pick, "active", Type::kBool);
    case 3:
      return Comparison(pick, "visits", Type::kInt64);
    case 4:
      return Comparison(pick, "balance", Type::kDecimal);
    case 5:
      return Comparison(pick, "created_at", Type::kTimestamp);
    case 6:
      return Comparison(pick, "birthday", Type::kDate);
    case 7:
      return Comparison(pick, "status", Type::kEnum);
    case 8:
      return Comparison(pick, "tags", Type::kStringSet);
    case 9:
      return Comparison(pick, "stats.score", Type::kDecimal);
    case 10:
      return Comparison(pick, "attributes.plan", Type::kString);
    case 11:
      return Comparison(pick, "attributes.seats", Type::kInt64);
    case 12:
      return Comparison(pick, "attributes.rate", Type::kDecimal);
    case 13:
      return Comparison(pick, "attributes.trial", Type::kBool);
    case 14:
      return Comparison(pick, "attributes.joined", Type::kTimestamp);
    case 15:
      return Comparison(pick, "attributes.renewed", Type::kDate);
    case 16:
      return absl::StrCat("attributes.size", OneOf(pick, kEquality), "M");
    case 17:
      return Comparison(pick, "attributes.topics", Type::kStringSet);
    case 18:
      return Comparison(pick, "attributes.\"odd key'\"", Type::kString);
    case 19: {
      constexpr Type kTypes[] = {Type::kString, Type::kBool, Type::kDecimal, Type::kTimestamp,
                                 Type::kDate};
      return Comparison(pick, "properties.p", kTypes[pick(5)]);
    }
    case 20:
      return absl::StrCat("count(", Quote({OneOf(pick, kEvents)}), ", ", OneOf(pick, kDurations),
                          ")", OneOf(pick, kOrder), OneOf(pick, kInts));
    case 21:
      return absl::StrCat("sum(", Quote({OneOf(pick, kEvents)}), ", \"amount\")",
                          OneOf(pick, kOrder), OneOf(pick, kNumbers));
    case 22:
      return absl::StrCat("days_since(", Quote({OneOf(pick, kEvents)}), ")", OneOf(pick, kOrder),
                          OneOf(pick, kInts));
    default:
      return pick(2) == 0 ? "is_member(vip)"
                          : absl::StrCat(ClockLiteral(pick, "now()"), OneOf(pick, kOrder),
                                         OneOf(pick, kTimes));
  }
}

// An entry of a map: a value of the type, another, or none.
void MaybeEntry(Pick pick, std::map<std::string, std::string>& map, const char* key,
                const Strings& pool) {
  const int draw = pick(6);
  if (draw == 0) return;
  map[key] = draw == 1 ? OneOf(pick, kBad) : OneOf(pick, pool);
}

Strings RandomSet(Pick pick) {
  Strings set;
  for (int n = pick(4); n > 0; --n) set.push_back(OneOf(pick, kTagPool));
  return set;
}

template <class T>
Value Optional(const std::optional<T>& value) {
  return value ? Value(*value) : Value();
}

template <>
Value Optional(const std::optional<std::string>& value) {
  return value ? Value(absl::string_view(*value)) : Value();
}

template <>
Value Optional(const std::optional<Strings>& value) {
  return value ? Value(StringSet(*value)) : Value();
}

}  // namespace

const Schema& SampleSchema() {
  static const auto* const kSchema = [] {
    auto* schema = new Schema();
    schema->Add(kName, "name", Type::kString)
        .AddString(kEmail, "email",
                   [](absl::string_view text) {
                     return absl::AsciiStrToLower(absl::StripAsciiWhitespace(text));
                   })
        .Add(kActive, "active", Type::kBool)
        .Add(kVisits, "visits", Type::kInt64)
        .Add(kBalance, "balance", Type::kDecimal)
        .Add(kCreatedAt, "created_at", Type::kTimestamp)
        .Add(kBirthday, "birthday", Type::kDate)
        .AddEnum(kStatus, "status", kStatuses)
        .Add(kTags, "tags", Type::kStringSet)
        .Add(kScore, "stats.score", Type::kDecimal)
        .AddMap(kAttributes, "attributes")
        .AddMap(kProperties, "properties", Type::kAny)
        .AddFunction({.id = kCount,
                      .name = "count",
                      .parameters = {Type::kString, Type::kDuration},
                      .optional_parameters = 1,
                      .result = Type::kInt64})
        .AddFunction({.id = kSum,
                      .name = "sum",
                      .parameters = {Type::kString, Type::kString, Type::kDuration},
                      .optional_parameters = 1,
                      .result = Type::kDecimal})
        .AddFunction({.id = kDaysSince,
                      .name = "days_since",
                      .parameters = {Type::kString},
                      .result = Type::kInt64,
                      .check =
                          [](absl::Span<const Value> args) {
                            return std::get<absl::string_view>(args[0]).empty()
                                       ? "expected an event type"
                                       : "";
                          }})
        .AddFunction({.id = kIsMember,
                      .name = "is_member",
                      .parameters = {Type::kString},
                      .result = Type::kBool});
    return schema;
  }();
  return *kSchema;
}

const DynamicFields& Attributes() {
  class SampleAttributes : public DynamicFields {
   public:
    std::optional<Entry> Find(absl::string_view map, absl::string_view key) const override {
      if (map != "attributes") return std::nullopt;
      const auto it = entries_.find(std::string(key));
      return it == entries_.end() ? std::nullopt : std::make_optional(it->second);
    }
    std::vector<std::string> Keys(absl::string_view map) const override {
      std::vector<std::string> keys;
      if (map != "attributes") return keys;
      for (const auto& [key, entry] : entries_) keys.push_back(key);
      return keys;
    }

   private:
    const std::map<std::string, Entry> entries_ = {
        {"plan", {Type::kString, {}}},      {"seats", {Type::kInt64, {}}},
        {"rate", {Type::kDecimal, {}}},     {"trial", {Type::kBool, {}}},
        {"joined", {Type::kTimestamp, {}}}, {"renewed", {Type::kDate, {}}},
        {"topics", {Type::kStringSet, {}}}, {"size", {Type::kEnum, {"S", "M", "L"}}},
        {"odd key'", {Type::kString, {}}},
    };
  };
  static const auto* const kAttributesOfSample = new SampleAttributes();
  return *kAttributesOfSample;
}

absl::StatusOr<Expression> Read(absl::string_view text) {
  return Parse(text, SampleSchema(), {.dynamic = &Attributes()});
}

Value Row::Get(const Field& field) const {
  switch (field.id) {
    case kName:
      return Optional(name);
    case kEmail:
      return Optional(email);
    case kActive:
      return Optional(active);
    case kVisits:
      return Optional(visits);
    case kBalance:
      return Optional(balance);
    case kCreatedAt:
      return Optional(created_at);
    case kBirthday:
      return Optional(birthday);
    case kStatus:
      return Optional(status);
    case kTags:
      return Optional(tags);
    case kScore:
      return Optional(score);
    case kAttributes:
      if (field.type == Type::kStringSet) {
        const auto set = attribute_sets.find(field.key);
        return set == attribute_sets.end() ? Value() : StringSet(set->second);
      }
      [[fallthrough]];
    case kProperties: {
      const auto& map = field.id == kAttributes ? attributes : properties;
      const auto entry = map.find(field.key);
      return entry == map.end() ? Value() : ParseValue(field.type, entry->second);
    }
  }
  return {};
}

Value Row::Invoke(const Call& call, absl::Time now) const {
  const std::string event(std::get<absl::string_view>(call.args[0]));
  const auto it = events.find(event);
  switch (call.id) {
    case kCount: {
      if (it == events.end()) return int64_t{0};
      const absl::Time since = call.args.size() < 2 ? absl::InfinitePast()
                                                    : now - std::get<absl::Duration>(call.args[1]);
      return static_cast<int64_t>(std::count_if(it->second.begin(), it->second.end(),
                                                [&](absl::Time at) { return at > since; }));
    }
    case kSum:
      return Decimal::FromMinorUnits(it == events.end() ? 0 : 150 * it->second.size(), 2);
    case kDaysSince:
      if (it == events.end() || it->second.empty()) return {};
      return (now - *std::max_element(it->second.begin(), it->second.end())) / absl::Hours(24);
    case kIsMember:
      return tags && std::find(tags->begin(), tags->end(), event) != tags->end();
  }
  return {};
}

absl::Time Now() { return *ParseTime("2026-11-21T08:30:00Z"); }

std::string RandomText(Pick pick, int depth, bool with_functions) {
  const int shape = depth <= 1 ? 0 : pick(6);
  if (shape < 2) return RandomTerm(pick, with_functions);
  const auto part = [&] { return RandomText(pick, depth - 1, with_functions); };
  if (shape == 2) {
    return absl::StrCat(pick(2) == 0 ? "NOT (" : "-(", part(), ")");
  }
  constexpr const char* kJoints[] = {" ", " AND ", " OR "};
  std::string text;
  for (int n = 2 + pick(3); n > 0; --n) {
    if (!text.empty()) text += OneOf(pick, kJoints);
    const bool grouped = pick(3) > 0;
    absl::StrAppend(&text, pick(4) == 0 ? "NOT " : "",
                    grouped ? absl::StrCat("(", part(), ")") : RandomTerm(pick, with_functions));
  }
  return text;
}

Row RandomRow(Pick pick) {
  Row row;
  const auto filled = [&] { return pick(5) > 0; };
  if (filled()) row.name = OneOf(pick, Texts());
  if (filled()) row.email = OneOf(pick, kEmails);
  if (filled()) row.active = pick(2) == 0;
  if (filled()) row.visits = std::get<int64_t>(ParseValue(Type::kInt64, OneOf(pick, kInts)));
  if (filled()) row.balance = Decimal::Parse(OneOf(pick, kNumbers));
  if (filled()) row.score = Decimal::Parse(OneOf(pick, kNumbers));
  if (filled()) row.created_at = ParseTime(OneOf(pick, kTimes));
  if (filled()) row.birthday = ParseDay(OneOf(pick, kDays));
  if (filled()) row.status = OneOf(pick, kStatuses);
  if (filled()) row.tags = RandomSet(pick);
  MaybeEntry(pick, row.attributes, "plan", Texts());
  MaybeEntry(pick, row.attributes, "seats", kInts);
  MaybeEntry(pick, row.attributes, "rate", kNumbers);
  MaybeEntry(pick, row.attributes, "trial", {"true", "false"});
  MaybeEntry(pick, row.attributes, "joined", kTimes);
  MaybeEntry(pick, row.attributes, "renewed", kDays);
  MaybeEntry(pick, row.attributes, "size", {"S", "M"});
  MaybeEntry(pick, row.attributes, "odd key'", Texts());
  if (filled()) row.attribute_sets["topics"] = RandomSet(pick);
  const Strings* const pools[] = {&Texts(), &kInts, &kNumbers, &kTimes, &kDays};
  MaybeEntry(pick, row.properties, "p", *pools[pick(5)]);
  for (const std::string& event : kEvents) {
    for (int n = pick(3); n > 0; --n) row.events[event].push_back(*ParseTime(OneOf(pick, kTimes)));
  }
  return row;
}

}  // namespace clm::filter::sample
