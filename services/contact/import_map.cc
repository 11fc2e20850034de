#include "services/contact/import_map.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "services/contact/csv_out.h"
#include "services/contact/text.h"

namespace clm::contact {
namespace {

constexpr char kExternalIds[] = "external_ids.";
constexpr char kIdentifiers[] = "identifiers.";
constexpr char kAttributes[] = "attributes.";
constexpr char kProperties[] = "properties.";
constexpr char kTopics[] = "topics.";

constexpr const char* kContactFields[] = {"email",       "phone",  "given_name", "family_name",
                                          "full_name",   "locale", "timezone",   "source",
                                          "create_time", "action"};
constexpr const char* kEventFields[] = {"event_id",     "type",     "occur_time", "amount",
                                        "amount_minor", "currency", "quantity",   "channel",
                                        "email",        "phone"};

// Headers as other tools write them, in lower case with everything but letters and digits dropped.
struct HeaderName {
  const char* header;
  const char* field;
};
constexpr HeaderName kPersonHeaders[] = {
    {"email", "email"},
    {"emailaddress", "email"},
    {"mail", "email"},
    {"subscriberemail", "email"},
    {"customeremail", "email"},
    {"phone", "phone"},
    {"phonenumber", "phone"},
    {"mobile", "phone"},
    {"mobilenumber", "phone"},
    {"mobilephone", "phone"},
    {"mobilephonenumber", "phone"},
    {"telephone", "phone"},
    {"cellphone", "phone"},
    {"sms", "phone"},
    {"whatsapp", "phone"},
    {"userid", "external_ids.user_id"},
    {"anonymousid", "external_ids.anonymous_id"},
    {"externalid", "external_ids.user_id"},
    {"extid", "external_ids.user_id"},
};
constexpr HeaderName kContactHeaders[] = {
    {"firstname", "given_name"},
    {"fname", "given_name"},
    {"givenname", "given_name"},
    {"forename", "given_name"},
    {"vorname", "given_name"},
    {"prenom", "given_name"},
    {"lastname", "family_name"},
    {"lname", "family_name"},
    {"familyname", "family_name"},
    {"surname", "family_name"},
    {"nachname", "family_name"},
    {"nom", "family_name"},
    {"name", "full_name"},
    {"fullname", "full_name"},
    {"displayname", "full_name"},
    {"customername", "full_name"},
    {"locale", "locale"},
    {"language", "locale"},
    {"preferredlanguage", "locale"},
    {"timezone", "timezone"},
    {"tz", "timezone"},
    {"source", "source"},
    {"originalsource", "source"},
    {"leadsource", "source"},
    {"createtime", "create_time"},
    {"createdat", "create_time"},
    {"created", "create_time"},
    {"createdate", "create_time"},
    {"addedat", "create_time"},
    {"addedtime", "create_time"},
    {"optintime", "create_time"},
    {"signupdate", "create_time"},
    {"recordid", "external_ids.hubspot"},
    {"leid", "external_ids.mailchimp"},
    {"euid", "external_ids.mailchimp_euid"},
    {"contactid", "external_ids.brevo"},
    {"customerid", "external_ids.shopify"},
    {"action", "action"},
};
constexpr HeaderName kEventHeaders[] = {
    {"eventid", "event_id"},
    {"messageid", "event_id"},
    {"type", "type"},
    {"event", "type"},
    {"eventname", "type"},
    {"eventtype", "type"},
    {"occurtime", "occur_time"},
    {"occurredat", "occur_time"},
    {"timestamp", "occur_time"},
    {"time", "occur_time"},
    {"date", "occur_time"},
    {"eventtime", "occur_time"},
    {"paidat", "occur_time"},
    {"amount", "amount"},
    {"total", "amount"},
    {"ordertotal", "amount"},
    {"revenue", "amount"},
    {"value", "amount"},
    {"amountminor", "amount_minor"},
    {"currency", "currency"},
    {"quantity", "quantity"},
    {"qty", "quantity"},
    {"channel", "channel"},
};

template <size_t n>
const char* Find(const HeaderName (&names)[n], absl::string_view folded) {
  for (const HeaderName& name : names) {
    if (folded == name.header) return name.field;
  }
  return nullptr;
}

template <size_t n>
bool OneOf(const char* const (&fields)[n], absl::string_view field) {
  return std::find(std::begin(fields), std::end(fields), field) != std::end(fields);
}

bool ValidPropertyName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxPropertyKeyBytes &&
         (absl::ascii_isalpha(name[0]) || name[0] == '_') &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; });
}

bool ValidField(ImportKind kind, absl::string_view field) {
  absl::string_view key = field;
  if (absl::ConsumePrefix(&key, kExternalIds)) return ValidExternalIdType(key);
  if (kind == ImportKind::kEvents) {
    if (absl::ConsumePrefix(&key, kProperties)) return ValidPropertyName(key);
    return OneOf(kEventFields, field);
  }
  if (absl::ConsumePrefix(&key, kAttributes) || absl::ConsumePrefix(&key, kTopics)) {
    return ValidResourceId(key);
  }
  return OneOf(kContactFields, field);
}

// RFC 3339; a day means its first moment, a time without a zone is UTC.
std::optional<absl::Time> ReadTime(absl::string_view text) {
  if (auto time = clm::ParseTime(text)) return time;
  if (auto time = clm::ParseTime(absl::StrCat(text, "Z"))) return time;
  if (auto day = clm::ParseDay(text)) return absl::FromCivil(*day, absl::UTCTimeZone());
  return std::nullopt;
}

absl::Status Bad(absl::string_view what) { return error::InvalidField("", what); }

// A cell as a value of a defined attribute. JSON has types of its own, and they must fit.
absl::StatusOr<AttributeValue> ReadAttribute(const AttributeDefinition& definition,
                                             const ImportCell& cell, bool typed) {
  using Kind = ImportCell::Kind;
  if (typed) {
    Kind fitting = Kind::kText;
    switch (definition.type) {
      case AttributeType::kBool:
        fitting = Kind::kBool;
        break;
      case AttributeType::kInt64:
        fitting = Kind::kNumber;
        break;
      case AttributeType::kDecimal:
        fitting = cell.kind == Kind::kNumber ? Kind::kNumber : Kind::kText;
        break;
      case AttributeType::kStringSet:
        fitting = Kind::kTextSet;
        break;
      default:
        break;
    }
    if (cell.kind != fitting) {
      return Bad(absl::StrCat("the attribute is of type ", TypeName(definition.type),
                              ", the value is not"));
    }
  }
  return ParseValue(definition, cell.text);
}

// A cell as a property, which has no definition: JSON types are kept, CSV fields are text.
AttributeValue ReadProperty(const ImportCell& cell) {
  using Kind = ImportCell::Kind;
  switch (cell.kind) {
    case Kind::kBool:
      return cell.text == "true";
    case Kind::kNumber: {
      int64_t number;
      if (absl::SimpleAtoi(cell.text, &number)) return number;
      if (auto decimal = Decimal::Parse(cell.text)) return *decimal;
      break;
    }
    case Kind::kTextSet: {
      AttributeDefinition set{.id = "set", .type = AttributeType::kStringSet};
      if (auto value = ParseValue(set, cell.text); value.ok()) return *std::move(value);
      break;
    }
    case Kind::kText:
    case Kind::kNull:
      break;
  }
  return std::string(cell.text);
}

// The action a cell asks for; nullopt for anything that is neither word.
std::optional<bool> ReadAction(absl::string_view text) {
  const std::string action = absl::AsciiStrToLower(TrimText(text));
  if (action == "subscribe") return true;
  if (action == "unsubscribe") return false;
  return std::nullopt;
}

// "Ada King Lovelace" -> "Ada King", "Lovelace"; "Lovelace, Ada" -> "Ada", "Lovelace".
std::pair<std::string, std::string> SplitName(absl::string_view name) {
  name = TrimText(name);
  if (const size_t comma = name.find(','); comma != absl::string_view::npos) {
    return {std::string(TrimText(name.substr(comma + 1))),
            std::string(TrimText(name.substr(0, comma)))};
  }
  const size_t blank = name.rfind(' ');
  if (blank == absl::string_view::npos) return {std::string(name), ""};
  return {std::string(TrimText(name.substr(0, blank))), std::string(name.substr(blank + 1))};
}

// The text of a scalar cell; JSON numbers may stand for ids and phone numbers.
bool IsScalarText(const ImportCell& cell) {
  return cell.kind == ImportCell::Kind::kText || cell.kind == ImportCell::Kind::kNumber ||
         cell.kind == ImportCell::Kind::kNull;
}

}  // namespace

std::string DefaultField(ImportKind kind, absl::string_view header) {
  absl::string_view exact = TrimText(header);
  std::string named(exact);
  if (absl::ConsumePrefix(&exact, kIdentifiers)) {
    named = exact == kEmailType || exact == kPhoneType ? std::string(exact)
                                                       : absl::StrCat(kExternalIds, exact);
  }
  if (ValidField(kind, named)) return named;
  std::string folded;
  for (const char c : header) {
    if (absl::ascii_isalnum(c)) folded += absl::ascii_tolower(c);
  }
  const char* field = Find(kPersonHeaders, folded);
  if (field == nullptr) {
    field =
        kind == ImportKind::kContacts ? Find(kContactHeaders, folded) : Find(kEventHeaders, folded);
  }
  return field == nullptr ? "" : field;
}

absl::Status ValidateImportOptions(const ImportOptions& options) {
  error::FieldErrors errors;
  if (options.kind != ImportKind::kContacts && options.kind != ImportKind::kEvents) {
    errors.Add("kind", "is required");
  }
  std::set<std::string> used;
  for (const auto& [column, field] : options.columns) {
    if (field.empty()) continue;
    const std::string path = absl::StrCat("columns.", column.substr(0, 100));
    if (!ValidField(options.kind, field)) {
      errors.Add(path, absl::StrCat(field.substr(0, 100), " is not a field that can be imported"));
    } else if (!used.insert(field).second) {
      errors.Add(path, absl::StrCat("another column is already read as ", field));
    }
  }
  absl::string_view key = options.key;
  if (key != kEmailType && key != kPhoneType &&
      !(absl::ConsumePrefix(&key, kExternalIds) && ValidExternalIdType(key))) {
    errors.Add("key", "must be email, phone or external_ids.TYPE");
  }
  if (!options.topic.empty() && !ValidResourceId(options.topic)) {
    errors.Add("topic", "must match [a-z][a-z0-9_-]{0,62}");
  }
  errors.AddStatus("source", CheckText(options.source, 100));
  if (!options.currency.empty() && !CurrencyDigits(options.currency)) {
    errors.Add("currency", "is not a code of ISO 4217");
  }
  return errors.ToStatus();
}

ImportMapper::ImportMapper(ImportOptions options, ContactRules rules, const Uuid& id_space)
    : options_(std::move(options)), rules_(std::move(rules)), id_space_(id_space) {}

std::string ImportMapper::FieldOf(absl::string_view column) const {
  const auto named = options_.columns.find(std::string(column));
  if (named != options_.columns.end()) return named->second;
  std::string field = DefaultField(options_.kind, column);
  // A header that another column was chosen for means nothing by itself.
  for (const auto& [other, chosen] : options_.columns) {
    if (chosen == field) return "";
  }
  return field;
}

std::vector<ImportMapper::Assigned> ImportMapper::Assign(const ImportRecord& record,
                                                         error::FieldErrors& errors) {
  // Columns of NDJSON come from the file; what is remembered of them is bounded.
  constexpr size_t kMaxRemembered = 10'000;
  if (fields_.size() > kMaxRemembered) fields_.clear();
  // Learnt first: the pointers taken below stay valid while nothing is added.
  for (const ImportCell& cell : record.cells) {
    if (!fields_.contains(cell.column)) {
      fields_.emplace(std::string(cell.column), FieldOf(cell.column));
    }
  }
  std::vector<Assigned> assigned;
  for (const ImportCell& cell : record.cells) {
    const auto it = fields_.find(cell.column);
    if (it->second.empty()) continue;
    const auto twin = std::find_if(assigned.begin(), assigned.end(),
                                   [&](const Assigned& a) { return *a.field == it->second; });
    if (twin == assigned.end()) {
      assigned.push_back({&it->second, &cell});
    } else if (TrimText(twin->cell->text).empty()) {
      twin->cell = &cell;
    } else if (!TrimText(cell.text).empty() && cell.text != twin->cell->text) {
      errors.Add(it->second, "is given by two columns that disagree");
    }
  }
  return assigned;
}

absl::StatusOr<ContactRow> ImportMapper::MapContact(const ImportRecord& record, absl::Time now) {
  CLM_RETURN_IF_ERROR(record.status);
  error::FieldErrors errors;
  ContactRow row;
  row.number = record.number;
  ContactPatch& patch = row.patch;
  std::optional<std::string> full_name;
  const struct {
    const char* field;
    std::optional<std::string> ContactPatch::*value;
  } texts[] = {
      {"email", &ContactPatch::email},           {"phone", &ContactPatch::phone},
      {"given_name", &ContactPatch::given_name}, {"family_name", &ContactPatch::family_name},
      {"locale", &ContactPatch::locale},         {"timezone", &ContactPatch::timezone},
      {"source", &ContactPatch::source}};

  for (const auto& [field, cell] : Assign(record, errors)) {
    using Kind = ImportCell::Kind;
    const std::string text(TrimText(cell->text));
    absl::string_view id = *field;
    // Words come before the rule of blanks: a blank action means subscribe.
    if (*field == "action") {
      const auto action = text.empty() ? std::optional<bool>(true) : ReadAction(text);
      if (options_.topic.empty()) {
        errors.Add(*field, "the import names no topic that the action is about");
      } else if (!action) {
        errors.Add(*field, "must be subscribe, unsubscribe or blank");
      } else {
        row.topics.push_back({options_.topic, *action});
      }
      continue;
    }
    if (absl::ConsumePrefix(&id, kTopics)) {
      if (text.empty()) continue;
      if (const auto action = ReadAction(text)) {
        row.topics.push_back({std::string(id), *action});
      } else {
        errors.Add(*field, "must be subscribe, unsubscribe or blank");
      }
      continue;
    }
    // A CSV reader cannot tell an empty field from a missing one; JSON can.
    const bool csv_blank = text.empty() && cell->kind == Kind::kText && !record.typed;
    if (csv_blank && !options_.blank_clears) continue;

    if (absl::ConsumePrefix(&id, kAttributes)) {
      if (cell->kind == Kind::kNull || (text.empty() && cell->kind == Kind::kText)) {
        patch.attributes[std::string(id)] = std::nullopt;
        continue;
      }
      const auto definition = rules_.registry == nullptr ? AttributeRegistry::const_iterator{}
                                                         : rules_.registry->find(std::string(id));
      if (rules_.registry == nullptr || definition == rules_.registry->end()) {
        errors.Add(*field, "no such attribute is defined");
        continue;
      }
      auto value = ReadAttribute(definition->second, *cell, record.typed);
      if (value.ok()) {
        patch.attributes[std::string(id)] = *std::move(value);
      } else {
        errors.AddStatus(*field, value.status());
      }
      continue;
    }
    if (!IsScalarText(*cell)) {
      errors.Add(*field, "must be a text");
    } else if (absl::ConsumePrefix(&id, kExternalIds)) {
      patch.external_ids[std::string(id)] = text;
    } else if (*field == "full_name") {
      full_name = text;
    } else if (*field == "create_time") {
      if (text.empty()) continue;
      patch.create_time = ReadTime(text);
      if (!patch.create_time)
        errors.Add(*field, "must be a day or an instant, 2026-11-21T08:30:00Z");
    } else {
      for (const auto& [name, value] : texts) {
        if (*field == name) patch.*value = text;
      }
    }
  }
  if (patch.locale) patch.locale = absl::StrReplaceAll(*patch.locale, {{"_", "-"}});
  if (full_name) {
    auto [given, family] = SplitName(*full_name);
    if (!patch.given_name) patch.given_name = std::move(given);
    if (!patch.family_name) patch.family_name = std::move(family);
  }
  if (!options_.source.empty() && patch.source.value_or("").empty()) {
    patch.source = options_.source;
  }

  // The rules of creation find every bad field; what identifies somebody is checked here.
  absl::string_view key_type = options_.key;
  absl::ConsumePrefix(&key_type, kExternalIds);
  const bool own_field = options_.key == kEmailType || options_.key == kPhoneType;
  std::string key_text;
  if (options_.key == kEmailType) key_text = patch.email.value_or("");
  if (options_.key == kPhoneType) key_text = patch.phone.value_or("");
  if (!own_field) {
    const auto it = patch.external_ids.find(std::string(key_type));
    if (it != patch.external_ids.end()) key_text = it->second;
  }
  if (key_text.empty()) {
    errors.Add(options_.key, "is empty, but it is the key of this import");
  } else if (auto key = NormalizeIdentifier(key_type, key_text, rules_.normalize); key.ok()) {
    row.key = *std::move(key);
  }
  const auto trial = Create({}, patch, rules_, now);
  for (const auto& [field, what] : error::FieldViolations(trial.status())) {
    absl::string_view name = field;
    if (absl::ConsumePrefix(&name, "contact.")) errors.Add(name, what);
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return row;
}

absl::StatusOr<EventRow> ImportMapper::MapEvent(const ImportRecord& record, absl::Time now) {
  CLM_RETURN_IF_ERROR(record.status);
  error::FieldErrors errors;
  std::set<std::string> told;
  const auto refuse = [&](absl::string_view field, absl::string_view what) {
    errors.Add(field, what);
    told.emplace(field);
  };
  EventRow row;
  row.number = record.number;
  BehaviorEvent& event = row.event;
  event.source = options_.source;
  event.occur_time = absl::InfinitePast();
  std::string amount;
  std::string id_text;
  std::string content;

  for (const auto& [field, cell] : Assign(record, errors)) {
    const std::string text(TrimText(cell->text));
    if (text.empty()) continue;
    // Length-prefixed, so that no two different rows have one content.
    absl::StrAppend(&content, field->size(), ":", *field, text.size(), ":", text);
    absl::string_view id = *field;
    if (absl::ConsumePrefix(&id, kProperties)) {
      event.properties[std::string(id)] = ReadProperty(*cell);
    } else if (!IsScalarText(*cell)) {
      refuse(*field, "must be a text or a number");
    } else if (absl::ConsumePrefix(&id, kExternalIds) || id == kEmailType || id == kPhoneType) {
      auto identifier = NormalizeIdentifier(id, text, rules_.normalize);
      if (identifier.ok()) {
        // As it was said where the policy shortens it: an erased person is found by either.
        auto spelling = OtherSpelling(id, text, *rules_.normalize.policy);
        row.identifiers.push_back(spelling ? *std::move(spelling) : *std::move(identifier));
      } else {
        errors.AddStatus(*field, identifier.status());
      }
    } else if (*field == "event_id") {
      id_text = text;
    } else if (*field == "type") {
      event.type = text;
    } else if (*field == "occur_time") {
      const auto time = ReadTime(text);
      if (!time) refuse(*field, "must be a day or an instant, 2026-11-21T08:30:00Z");
      event.occur_time = time.value_or(now);
    } else if (*field == "amount") {
      amount = text;
    } else if (*field == "amount_minor" || *field == "quantity") {
      int64_t number = 0;
      if (!absl::ascii_isdigit(text[0]) || !absl::SimpleAtoi(text, &number)) {
        refuse(*field, "must be a whole number");
      }
      (*field == "quantity" ? event.quantity : event.amount_minor) = number;
    } else if (*field == "currency") {
      event.currency = absl::AsciiStrToUpper(text);
    } else if (*field == "channel") {
      event.channel = text;
    }
  }

  if (event.currency.empty() && (event.amount_minor || !amount.empty())) {
    event.currency = options_.currency;
  }
  if (!amount.empty()) {
    if (event.amount_minor) refuse("amount", "is given twice, in major and in minor units");
    event.amount_minor = 0;
    // Without a known currency the check below tells what is wrong.
    if (const auto digits = CurrencyDigits(event.currency)) {
      const auto minor = ParseAmountMinor(amount, *digits);
      if (minor) {
        event.amount_minor = *minor;
      } else {
        refuse("amount",
               absl::StrCat("must be an amount like 12.50 with at most ", *digits, " decimals"));
      }
    }
  }
  if (row.identifiers.empty() && errors.empty()) {
    refuse("", "names nobody: an e-mail address, a phone number or an external id is needed");
  }
  for (const auto& [field, what] : error::FieldViolations(ValidateEvent(event, now))) {
    absl::string_view name = field;
    absl::ConsumePrefix(&name, "event.");
    if (!told.contains(std::string(name))) errors.Add(name, what);
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());

  if (!id_text.empty()) {
    // Ids of other systems are rarely UUIDs; the same text gives the same id.
    const auto id = Uuid::Parse(id_text);
    event.event_id = id ? *id : Uuid::V5(id_space_, absl::StrCat("id:", id_text));
  } else {
    const Uuid base = Uuid::V5(id_space_, absl::StrCat("content:", content));
    const int32_t nth = ++seen_events_[base];
    event.event_id = nth == 1 ? base : Uuid::V5(base, absl::StrCat(nth));
  }
  return row;
}

std::vector<std::string> ImportMapper::IgnoredColumns() const {
  std::vector<std::string> ignored;
  for (const auto& [column, field] : fields_) {
    if (field.empty() && !column.empty()) ignored.push_back(column);
  }
  std::sort(ignored.begin(), ignored.end());
  return ignored;
}

std::vector<std::string> ImportMapper::MissingColumns() const {
  std::vector<std::string> missing;
  for (const auto& [column, field] : options_.columns) {
    if (!fields_.contains(column)) missing.push_back(column);
  }
  return missing;
}

std::vector<ImportRowError> RowErrors(int64_t row, const absl::Status& status) {
  std::vector<ImportRowError> errors;
  for (auto& [field, what] : error::FieldViolations(status)) errors.push_back({row, field, what});
  if (!errors.empty()) return errors;
  // What only the stored contacts could tell: "contact.email: taken by ...".
  const std::string path = error::MetadataValue(status, "field");
  absl::string_view field = path;
  absl::string_view text = status.message();
  if (!field.empty() && absl::ConsumePrefix(&text, absl::StrCat(field, ": "))) {
    absl::ConsumePrefix(&field, "contact.");
  } else {
    field = "";
  }
  errors.push_back({row, std::string(field), std::string(text)});
  return errors;
}

std::string RowErrorsCsvHeader() { return "row,field,reason\r\n"; }

std::string RowErrorsCsv(const std::vector<ImportRowError>& errors) {
  CsvWriter out;
  for (const ImportRowError& e : errors) {
    out.Number(e.row).Text(e.field).Text(e.reason).EndRow();
  }
  return out.Take();
}

}  // namespace clm::contact
