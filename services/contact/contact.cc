#include "services/contact/contact.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "re2/re2.h"
#include "services/contact/text.h"

namespace clm::contact {
namespace {

constexpr size_t kMaxNameBytes = 200;
constexpr size_t kMaxSourceBytes = 100;
constexpr size_t kMaxAttributes = 256;

// The text fields that are stored as given, apart from trimming.
struct TextField {
  const char* name;
  std::optional<std::string> ContactPatch::*patch;
  std::string Contact::*value;
  size_t max_bytes;
};
constexpr TextField kTextFields[] = {
    {"given_name", &ContactPatch::given_name, &Contact::given_name, kMaxNameBytes},
    {"family_name", &ContactPatch::family_name, &Contact::family_name, kMaxNameBytes},
    {"source", &ContactPatch::source, &Contact::source, kMaxSourceBytes},
};

struct MaskField {
  const char* name;
  std::optional<std::string> ContactPatch::*patch;
};
constexpr MaskField kMaskFields[] = {
    {"email", &ContactPatch::email},           {"phone", &ContactPatch::phone},
    {"given_name", &ContactPatch::given_name}, {"family_name", &ContactPatch::family_name},
    {"locale", &ContactPatch::locale},         {"timezone", &ContactPatch::timezone},
    {"source", &ContactPatch::source},
};

bool IsReadOnlyPath(absl::string_view path) {
  constexpr absl::string_view kReadOnly[] = {"name",        "status", "create_time",
                                             "update_time", "etag",   "aliases"};
  return std::find(std::begin(kReadOnly), std::end(kReadOnly), path) != std::end(kReadOnly);
}

absl::StatusOr<std::string> NormalizeLocale(absl::string_view text) {
  static const auto* const kTag = new RE2(
      "(?i)(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
      "(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*"
      "(?:-x(?:-[a-z0-9]{1,8})+)?");
  const std::string tag = absl::AsciiStrToLower(TrimText(text));
  if (tag.size() > 35 || !RE2::FullMatch(tag, *kTag)) {
    return error::InvalidField("", "is not a language tag, as de or de-CH");
  }
  // Canonical case (RFC 5646 2.1.1): regions upper, scripts with a capital, the rest lower; nothing
  // after a singleton is touched.
  std::vector<std::string> parts = absl::StrSplit(tag, '-');
  for (size_t i = 1; i < parts.size() && parts[i].size() > 1; ++i) {
    if (parts[i].size() == 2) parts[i] = absl::AsciiStrToUpper(parts[i]);
    if (parts[i].size() == 4 && absl::ascii_isalpha(parts[i][0])) {
      parts[i][0] = absl::ascii_toupper(parts[i][0]);
    }
  }
  std::string canonical = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) absl::StrAppend(&canonical, "-", parts[i]);
  return canonical;
}

absl::StatusOr<std::string> NormalizeTimezone(absl::string_view text) {
  // The pattern keeps paths and the zone library's own "Fixed/UTC" names out.
  static const auto* const kName =
      new RE2("[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z][A-Za-z0-9_+-]{0,31}){0,2}");
  static const bool kHaveDatabase = [] {
    absl::TimeZone zone;
    return absl::LoadTimeZone("Europe/London", &zone);
  }();
  std::string name(TrimText(text));
  absl::TimeZone zone;
  // A machine without the zone database can still check the form.
  if (!RE2::FullMatch(name, *kName) || absl::StartsWith(name, "Fixed/") ||
      (kHaveDatabase && !absl::LoadTimeZone(name, &zone))) {
    return error::InvalidField("", "is not a time zone of the IANA database, as Europe/Berlin");
  }
  return name;
}

using Normalize = absl::FunctionRef<absl::StatusOr<std::string>(absl::string_view)>;

// Applies one optional field: absent stays, blank clears, anything else is normalised.
void Apply(const std::optional<std::string>& wanted, const char* field, Normalize normalize,
           std::string& value, error::FieldErrors& errors) {
  if (!wanted) return;
  if (TrimText(*wanted).empty()) {
    value.clear();
    return;
  }
  auto normal = normalize(*wanted);
  if (normal.ok()) {
    value = *std::move(normal);
  } else {
    errors.AddStatus(absl::StrCat("contact.", field), normal.status());
  }
}

void ApplyExternalIds(const ContactPatch& patch, const NormalizeOptions& options, Contact& after,
                      error::FieldErrors& errors) {
  if (patch.replace_external_ids) after.external_ids.clear();
  for (const auto& [type, text] : patch.external_ids) {
    const std::string path = absl::StrCat("contact.external_ids.", type.substr(0, 63));
    if (!ValidExternalIdType(type)) {
      errors.Add(path, "the type must match [a-z][a-z0-9_-]{0,62} and be neither email nor phone");
    } else if (TrimText(text).empty()) {
      after.external_ids.erase(type);
    } else if (auto id = NormalizeExternalId(text, options); id.ok()) {
      after.external_ids[type] = *std::move(id);
    } else {
      errors.AddStatus(path, id.status());
    }
  }
  if (after.external_ids.size() > kMaxExternalIds) {
    errors.Add("contact.external_ids", absl::StrCat("more than ", kMaxExternalIds, " entries"));
  }
}

bool IsEmptyText(const AttributeValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr && text->empty();
}

void ApplyAttributes(const ContactPatch& patch, const ContactRules& rules, Contact& after,
                     error::FieldErrors& errors) {
  if (patch.replace_attributes) after.attributes.clear();
  for (const auto& [id, value] : patch.attributes) {
    const std::string path = absl::StrCat("contact.attributes.", id.substr(0, 63));
    const AttributeDefinition* definition = nullptr;
    if (rules.registry != nullptr) {
      const auto it = rules.registry->find(id);
      if (it != rules.registry->end()) definition = &it->second;
    }
    if (definition == nullptr) {
      errors.Add(path, "no such attribute is defined");
    } else if (!value || IsEmptyText(*value)) {
      after.attributes.erase(id);
    } else if (absl::Status valid = ValidateValue(*definition, *value); !valid.ok()) {
      errors.AddStatus(path, valid);
    } else {
      after.attributes[id] = *value;
    }
  }
  if (after.attributes.size() > kMaxAttributes) {
    errors.Add("contact.attributes", absl::StrCat("more than ", kMaxAttributes, " entries"));
  }
}

bool Identifiable(const Contact& contact) {
  return !contact.email.empty() || !contact.phone.empty() || !contact.given_name.empty() ||
         !contact.family_name.empty() || !contact.external_ids.empty();
}

// All but the attributes, for which the tenant's definitions are needed.
void ApplyTexts(const ContactPatch& patch, const NormalizeOptions& options, Contact& after,
                error::FieldErrors& errors) {
  const auto identifier = [&](const char* type) {
    return [&options, type](absl::string_view text) -> absl::StatusOr<std::string> {
      CLM_ASSIGN_OR_RETURN(Identifier normal, NormalizeIdentifier(type, text, options));
      return std::move(normal.value);
    };
  };
  Apply(patch.email, "email", identifier(kEmailType), after.email, errors);
  Apply(patch.phone, "phone", identifier(kPhoneType), after.phone, errors);
  Apply(patch.locale, "locale", NormalizeLocale, after.locale, errors);
  Apply(patch.timezone, "timezone", NormalizeTimezone, after.timezone, errors);
  for (const TextField& field : kTextFields) {
    const auto normalize = [&](absl::string_view text) -> absl::StatusOr<std::string> {
      text = TrimText(text);
      CLM_RETURN_IF_ERROR(CheckText(text, field.max_bytes));
      return std::string(text);
    };
    Apply(patch.*field.patch, field.name, normalize, after.*field.value, errors);
  }
  ApplyExternalIds(patch, options, after, errors);
}

void ApplyFields(const ContactPatch& patch, const ContactRules& rules, Contact& after,
                 error::FieldErrors& errors) {
  ApplyTexts(patch, rules.normalize, after, errors);
  ApplyAttributes(patch, rules, after, errors);
}

void CheckCreateTime(absl::Time create_time, absl::Time now, error::FieldErrors& errors) {
  static const absl::Time kEarliest =
      absl::FromCivil(absl::CivilSecond(1900, 1, 1), absl::UTCTimeZone());
  if (create_time > now) errors.Add("contact.create_time", "lies in the future");
  if (create_time < kEarliest) errors.Add("contact.create_time", "lies before 1900");
}

template <class Map>
void MapDifference(const char* field, const Map& before, const Map& after,
                   std::vector<std::string>& names) {
  for (const auto& [key, value] : before) {
    if (!after.contains(key)) names.push_back(absl::StrCat(field, ".", key));
  }
  for (const auto& [key, value] : after) {
    const auto old = before.find(key);
    if (old == before.end() || old->second != value) names.push_back(absl::StrCat(field, ".", key));
  }
}

std::vector<std::string> ChangedFields(const Contact& before, const Contact& after) {
  std::vector<std::string> names;
  const auto note = [&](const char* name, bool changed) {
    if (changed) names.emplace_back(name);
  };
  note("email", before.email != after.email);
  note("phone", before.phone != after.phone);
  note("given_name", before.given_name != after.given_name);
  note("family_name", before.family_name != after.family_name);
  note("locale", before.locale != after.locale);
  note("timezone", before.timezone != after.timezone);
  note("source", before.source != after.source);
  note("status", before.status != after.status);
  note("create_time", before.create_time != after.create_time);
  MapDifference("external_ids", before.external_ids, after.external_ids, names);
  MapDifference("attributes", before.attributes, after.attributes, names);
  std::sort(names.begin(), names.end());
  return names;
}

// The change from `before` to `after`, or none at all when they are equal.
Change ChangeOf(const Contact& before, Contact after, ContactEvent event, absl::Time now) {
  Change change;
  if (after == before) {
    change.after = before;
    return change;
  }
  change.event = event;
  change.changed_fields = ChangedFields(before, after);
  std::vector<Identifier> had = IdentifiersOf(before);
  std::vector<Identifier> has = IdentifiersOf(after);
  std::sort(had.begin(), had.end());
  std::sort(has.begin(), has.end());
  std::set_difference(has.begin(), has.end(), had.begin(), had.end(),
                      std::back_inserter(change.identifiers_added));
  std::set_difference(had.begin(), had.end(), has.begin(), has.end(),
                      std::back_inserter(change.identifiers_removed));
  after.version = before.version + 1;
  after.update_time = now;
  change.after = std::move(after);
  return change;
}

absl::Status RefuseIfGone(const Contact& contact) {
  if (contact.status == ContactStatus::kErased) {
    return error::Precondition("CONTACT_ERASED", "contact: is erased and cannot change");
  }
  if (contact.merged_into) {
    return error::Precondition(
        "CONTACT_MERGED", "contact: was merged into another contact; use that one",
        {{"merged_into", EntityName("contacts", {contact.key.tenant, *contact.merged_into})}});
  }
  return absl::OkStatus();
}

// One verb: from the only status it starts from to the one it leads to.
absl::StatusOr<Change> MoveStatus(const Contact& before, ContactStatus from, ContactStatus to,
                                  ContactEvent event, absl::Time now) {
  CLM_RETURN_IF_ERROR(RefuseIfGone(before));
  if (before.status == from || before.status == to) {
    Contact after = before;
    after.status = to;
    return ChangeOf(before, std::move(after), event, now);
  }
  if (before.status == ContactStatus::kBlocked) {
    return error::Precondition("CONTACT_BLOCKED", "contact: is blocked; unblock it first");
  }
  return error::Precondition("CONTACT_DEACTIVATED", "contact: is deactivated; reactivate it first");
}

}  // namespace

absl::StatusOr<ContactPatch> ApplyMask(const ContactPatch& given,
                                       const std::vector<std::string>& mask) {
  if (mask.empty()) return given;
  ContactPatch patch;
  patch.if_version = given.if_version;
  const bool all = mask.size() == 1 && mask[0] == "*";
  error::FieldErrors errors;
  for (const std::string& path : mask) {
    bool known = all;
    for (const MaskField& field : kMaskFields) {
      if (!all && path != field.name) continue;
      patch.*field.patch = (given.*field.patch).value_or("");
      known = true;
    }
    if (all || path == "external_ids") {
      patch.external_ids = given.external_ids;
      patch.replace_external_ids = known = true;
    }
    if (all || path == "attributes") {
      patch.attributes = given.attributes;
      patch.replace_attributes = known = true;
    }
    absl::string_view key = path;
    if (absl::ConsumePrefix(&key, "external_ids.")) {
      const auto it = given.external_ids.find(std::string(key));
      patch.external_ids[std::string(key)] = it == given.external_ids.end() ? "" : it->second;
      known = true;
    } else if (absl::ConsumePrefix(&key, "attributes.")) {
      const auto it = given.attributes.find(std::string(key));
      patch.attributes[std::string(key)] = it == given.attributes.end() ? std::nullopt : it->second;
      known = true;
    }
    if (!known) {
      const std::string shown = path.substr(0, 100);
      errors.Add("update_mask",
                 absl::StrCat(shown, IsReadOnlyPath(path) ? " is read-only"
                                                          : " is not a field of a contact"));
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return patch;
}

std::vector<Identifier> IdentifiersOf(const Contact& contact) {
  std::vector<Identifier> identifiers;
  if (!contact.email.empty()) identifiers.push_back({kEmailType, contact.email});
  if (!contact.phone.empty()) identifiers.push_back({kPhoneType, contact.phone});
  for (const auto& [type, id] : contact.external_ids) identifiers.push_back({type, id});
  return identifiers;
}

absl::Status ValidatePatch(const ContactPatch& patch, const NormalizeOptions& options,
                           absl::Time now) {
  error::FieldErrors errors;
  if (patch.create_time) CheckCreateTime(*patch.create_time, now, errors);
  Contact scratch;
  ApplyTexts(patch, options, scratch, errors);
  return errors.ToStatus();
}

absl::StatusOr<Change> Create(const EntityKey& key, const ContactPatch& patch,
                              const ContactRules& rules, absl::Time now) {
  error::FieldErrors errors;
  Contact before;
  before.key = key;
  before.create_time = patch.create_time.value_or(now);
  CheckCreateTime(before.create_time, now, errors);
  Contact after = before;
  ApplyFields(patch, rules, after, errors);
  // With a bad field around it cannot be told whether the contact would have been identifiable.
  if (errors.empty() && !Identifiable(after)) {
    errors.Add("contact",
               "at least one of email, phone, given_name, family_name and external_ids is needed");
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return ChangeOf(before, std::move(after), ContactEvent::kCreated, now);
}

absl::StatusOr<Change> Update(const Contact& before, const ContactPatch& patch,
                              const ContactRules& rules, absl::Time now) {
  CLM_RETURN_IF_ERROR(RefuseIfGone(before));
  if (patch.if_version.value_or(0) != 0 && *patch.if_version != before.version) {
    return error::EtagMismatch("contact.etag", Etag(before.version));
  }
  error::FieldErrors errors;
  if (patch.create_time && *patch.create_time != before.create_time) {
    errors.Add("contact.create_time", "can be set at creation only");
  }
  Contact after = before;
  ApplyFields(patch, rules, after, errors);
  if (errors.empty() && !Identifiable(after)) {
    errors.Add("contact",
               "at least one of email, phone, given_name, family_name and external_ids must stay");
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return ChangeOf(before, std::move(after), ContactEvent::kUpdated, now);
}

absl::StatusOr<Change> Block(const Contact& before, absl::Time now) {
  return MoveStatus(before, ContactStatus::kActive, ContactStatus::kBlocked, ContactEvent::kBlocked,
                    now);
}

absl::StatusOr<Change> Unblock(const Contact& before, absl::Time now) {
  return MoveStatus(before, ContactStatus::kBlocked, ContactStatus::kActive,
                    ContactEvent::kUnblocked, now);
}

absl::StatusOr<Change> Deactivate(const Contact& before, absl::Time now) {
  return MoveStatus(before, ContactStatus::kActive, ContactStatus::kDeactivated,
                    ContactEvent::kDeactivated, now);
}

absl::StatusOr<Change> Reactivate(const Contact& before, absl::Time now) {
  return MoveStatus(before, ContactStatus::kDeactivated, ContactStatus::kActive,
                    ContactEvent::kUnblocked, now);
}

absl::StatusOr<Change> Erase(const Contact& before, const ContactRules& rules, absl::Time now) {
  Contact after;
  after.key = before.key;
  after.source = before.source;
  after.status = ContactStatus::kErased;
  after.merged_into = before.merged_into;
  after.create_time = before.create_time;
  after.update_time = before.update_time;
  after.version = before.version;
  for (const auto& [id, value] : before.attributes) {
    if (rules.registry == nullptr) break;
    const auto definition = rules.registry->find(id);
    if (definition != rules.registry->end() && !definition->second.personal) {
      after.attributes.emplace(id, value);
    }
  }
  return ChangeOf(before, std::move(after), ContactEvent::kErased, now);
}

AttributeMap FieldsOf(const Contact& contact) {
  AttributeMap fields;
  const auto put = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) fields.emplace(name, value);
  };
  put("email", contact.email);
  put("phone", contact.phone);
  put("given_name", contact.given_name);
  put("family_name", contact.family_name);
  put("locale", contact.locale);
  put("timezone", contact.timezone);
  put("source", contact.source);
  put("status", std::string(StatusName(contact.status)));
  for (const auto& [type, id] : contact.external_ids) put(absl::StrCat("external_ids.", type), id);
  return fields;
}

bool IsFieldName(absl::string_view name) {
  constexpr absl::string_view kNames[] = {"email",  "phone",    "given_name", "family_name",
                                          "locale", "timezone", "source",     "status"};
  return absl::StartsWith(name, "external_ids.") ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

absl::string_view StatusName(ContactStatus status) {
  switch (status) {
    case ContactStatus::kActive:
      return "ACTIVE";
    case ContactStatus::kBlocked:
      return "BLOCKED";
    case ContactStatus::kDeactivated:
      return "DEACTIVATED";
    case ContactStatus::kErased:
      return "ERASED";
  }
  return "";
}

std::string IdentifierField(absl::string_view identifier_type) {
  const bool own_field = identifier_type == kEmailType || identifier_type == kPhoneType;
  return absl::StrCat("contact.", own_field ? "" : "external_ids.", identifier_type);
}

absl::Status AlreadyExists(const EntityKey& existing, absl::string_view identifier_type) {
  const std::string field = IdentifierField(identifier_type);
  const std::string name = EntityName("contacts", existing);
  return error::Make(absl::StatusCode::kAlreadyExists, "CONTACT_EXISTS",
                     absl::StrCat(field, ": taken by ", name),
                     {{"field", field}, {"contact", name}});
}

}  // namespace clm::contact
