#include "services/contact/contact_proto.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/journal/payload.h"
#include "libs/rpc/status.h"

namespace clm::contact {

void ToProto(const AttributeValue& value, v1::AttributeValue* out) {
  struct Visitor {
    v1::AttributeValue* out;
    void operator()(const std::string& v) const { out->set_string_value(v); }
    void operator()(bool v) const { out->set_bool_value(v); }
    void operator()(int64_t v) const { out->set_int64_value(v); }
    void operator()(const Decimal& v) const { out->set_decimal_value(v.ToString()); }
    void operator()(absl::CivilDay v) const { out->set_date_value(FormatDay(v)); }
    void operator()(absl::Time v) const { ToProto(v, out->mutable_timestamp_value()); }
    void operator()(const StringSet& v) const {
      for (const auto& member : v) out->mutable_string_set_value()->add_values(member);
    }
  };
  std::visit(Visitor{out}, value);
}

absl::StatusOr<std::optional<AttributeValue>> FromProto(absl::string_view field,
                                                        const v1::AttributeValue& value) {
  switch (value.kind_case()) {
    case v1::AttributeValue::kStringValue:
      return AttributeValue(value.string_value());
    case v1::AttributeValue::kBoolValue:
      return AttributeValue(value.bool_value());
    case v1::AttributeValue::kInt64Value:
      return AttributeValue(value.int64_value());
    case v1::AttributeValue::kDecimalValue: {
      const auto decimal = Decimal::Parse(value.decimal_value());
      if (!decimal) {
        return error::InvalidField(absl::StrCat(field, ".decimal_value"),
                                   "is not a decimal number such as 12.50");
      }
      return AttributeValue(*decimal);
    }
    case v1::AttributeValue::kDateValue: {
      const auto day = ParseDay(value.date_value());
      if (!day) {
        return error::InvalidField(absl::StrCat(field, ".date_value"),
                                   "is not a day such as 2026-11-21");
      }
      return AttributeValue(*day);
    }
    case v1::AttributeValue::kTimestampValue:
      return AttributeValue(FromProto(value.timestamp_value()));
    case v1::AttributeValue::kStringSetValue: {
      const auto& values = value.string_set_value().values();
      return AttributeValue(StringSet(values.begin(), values.end()));
    }
    case v1::AttributeValue::KIND_NOT_SET:
      break;
  }
  return std::nullopt;
}

v1::Contact ToProto(const Contact& contact, const std::vector<Uuid>& aliases) {
  v1::Contact out;
  ToProto(contact, aliases, &out);
  return out;
}

void ToProto(const Contact& contact, const std::vector<Uuid>& aliases, v1::Contact* out) {
  out->set_name(EntityName(kContacts, contact.key));
  out->set_email(contact.email);
  out->set_phone(contact.phone);
  out->set_given_name(contact.given_name);
  out->set_family_name(contact.family_name);
  out->set_locale(contact.locale);
  out->set_timezone(contact.timezone);
  for (const auto& [type, value] : contact.external_ids)
    (*out->mutable_external_ids())[type] = value;
  for (const auto& [id, value] : contact.attributes)
    ToProto(value, &(*out->mutable_attributes())[id]);
  out->set_source(contact.source);
  out->set_status(static_cast<v1::Contact::Status>(contact.status));
  ToProto(contact.create_time, out->mutable_create_time());
  ToProto(contact.update_time, out->mutable_update_time());
  out->set_etag(Etag(contact.version));
  for (const Uuid& alias : aliases) {
    out->add_aliases(EntityName(kContacts, {contact.key.tenant, alias}));
  }
}

absl::StatusOr<ContactPatch> PatchFrom(absl::string_view field, const v1::Contact& contact) {
  error::FieldErrors errors;
  ContactPatch patch = PatchFrom(field, contact, errors);
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return patch;
}

ContactPatch PatchFrom(absl::string_view field, const v1::Contact& contact,
                       error::FieldErrors& errors) {
  ContactPatch patch;
  const auto etag = ParseEtag(absl::StrCat(field, ".etag"), contact.etag());
  if (!etag.ok()) {
    errors.AddStatus("", etag.status());
  } else if (*etag > 0) {
    patch.if_version = *etag;
  }
  const auto set = [](const std::string& value, std::optional<std::string>& slot) {
    if (!value.empty()) slot = value;
  };
  set(contact.email(), patch.email);
  set(contact.phone(), patch.phone);
  set(contact.given_name(), patch.given_name);
  set(contact.family_name(), patch.family_name);
  set(contact.locale(), patch.locale);
  set(contact.timezone(), patch.timezone);
  set(contact.source(), patch.source);
  for (const auto& [type, value] : contact.external_ids()) patch.external_ids[type] = value;
  for (const auto& [id, value] : contact.attributes()) {
    auto parsed = FromProto(absl::StrCat(field, ".attributes.", id), value);
    if (!parsed.ok()) {
      errors.AddStatus("", parsed.status());
    } else {
      patch.attributes[id] = *std::move(parsed);
    }
  }
  if (contact.has_create_time()) patch.create_time = FromProto(contact.create_time());
  return patch;
}

absl::StatusOr<ContactPatch> PatchFrom(absl::string_view field, const v1::Contact& contact,
                                       const google::protobuf::FieldMask& mask) {
  CLM_ASSIGN_OR_RETURN(ContactPatch given, PatchFrom(field, contact));
  std::vector<std::string> paths;
  for (const std::string& path : mask.paths()) {
    if (path != "name" && path != "etag") paths.push_back(path);
  }
  if (paths.empty() && mask.paths_size() > 0) {
    ContactPatch nothing;
    nothing.if_version = given.if_version;
    return nothing;
  }
  return ApplyMask(given, paths);
}

v1::AttributeDefinition ToProto(const std::string& tenant, const AttributeDefinition& definition) {
  v1::AttributeDefinition out;
  out.set_name(absl::StrCat("tenants/", tenant, "/attributes/", definition.id));
  out.set_type(static_cast<v1::AttributeDefinition::Type>(definition.type));
  out.set_display_name(definition.display_name);
  for (const auto& value : definition.enum_values) out.add_enum_values(value);
  out.set_personal(definition.personal);
  out.set_indexed(definition.indexed);
  ToProto(definition.create_time, out.mutable_create_time());
  out.set_etag(Etag(definition.version));
  return out;
}

v1::AttributeHistoryEntry ToProto(const AttributeHistoryEntry& entry) {
  v1::AttributeHistoryEntry out;
  out.set_attribute(entry.attribute);
  if (entry.value) ToProto(*entry.value, out.mutable_value());
  ToProto(entry.set_time, out.mutable_set_time());
  out.set_actor(entry.actor);
  out.set_source(entry.source);
  out.set_reason(entry.reason);
  if (entry.former) ToProto(*entry.former, out.mutable_former_value());
  return out;
}

namespace {

v1::IdentityPolicy::Limit ToProto(const IdentifierLimit& limit) {
  v1::IdentityPolicy::Limit out;
  out.set_max_values(limit.max_values);
  if (limit.window != absl::InfiniteDuration()) {
    out.mutable_window()->set_seconds(absl::ToInt64Seconds(limit.window));
  }
  return out;
}

IdentifierLimit FromProto(const v1::IdentityPolicy::Limit& limit) {
  IdentifierLimit out;
  out.max_values = limit.max_values();
  if (limit.has_window()) {
    out.window =
        absl::Seconds(limit.window().seconds()) + absl::Nanoseconds(limit.window().nanos());
  }
  return out;
}

}  // namespace

v1::IdentityPolicy ToProto(const IdentityPolicy& policy) {
  v1::IdentityPolicy out;
  for (const auto& value : policy.blocked_values) out.add_blocked_values(value);
  for (const auto& text : policy.blocked_patterns.texts()) out.add_blocked_patterns(text);
  for (const auto& [type, limit] : policy.limits) (*out.mutable_limits())[type] = ToProto(limit);
  *out.mutable_default_limit() = ToProto(policy.default_limit);
  for (const auto& type : policy.priorities) out.add_priorities(type);
  for (const auto& [domain, provider] : policy.email_providers) {
    auto* one = out.add_email_providers();
    one->set_domain(domain);
    one->set_ignore_dots(provider.ignore_dots);
    one->set_ignore_tags(provider.ignore_tags);
    one->set_canonical_domain(provider.canonical_domain);
  }
  return out;
}

v1::IdentityPolicy ToProto(const std::string& tenant, const StoredIdentityPolicy& stored) {
  v1::IdentityPolicy out = ToProto(stored.policy);
  out.set_name(absl::StrCat("tenants/", tenant, "/identityPolicy"));
  ToProto(stored.update_time, out.mutable_update_time());
  if (stored.update_time == absl::InfinitePast()) out.clear_update_time();
  out.set_etag(Etag(stored.version));
  return out;
}

IdentityPolicy FromProto(absl::string_view field, const v1::IdentityPolicy& policy,
                         error::FieldErrors& errors) {
  IdentityPolicy out;
  out.blocked_values = {policy.blocked_values().begin(), policy.blocked_values().end()};
  out.blocked_patterns =
      BlockedPatterns({policy.blocked_patterns().begin(), policy.blocked_patterns().end()},
                      absl::StrCat(field, ".blocked_patterns"), errors);
  out.limits.clear();
  for (const auto& [type, limit] : policy.limits()) out.limits[type] = FromProto(limit);
  if (policy.has_default_limit()) out.default_limit = FromProto(policy.default_limit());
  out.priorities = {policy.priorities().begin(), policy.priorities().end()};
  for (const auto& provider : policy.email_providers()) {
    const EmailProvider one = {provider.ignore_dots(), provider.ignore_tags(),
                               provider.canonical_domain()};
    if (!out.email_providers.try_emplace(provider.domain(), one).second) {
      errors.Add(absl::StrCat(field, ".email_providers"), "names a domain twice");
    }
  }
  NormalizeIdentityPolicy(field, out, errors);
  return out;
}

AttributeDefinition FromProto(const std::string& id, const v1::AttributeDefinition& definition) {
  AttributeDefinition out;
  out.id = id;
  out.type = static_cast<AttributeType>(definition.type());
  out.display_name = definition.display_name();
  out.enum_values.assign(definition.enum_values().begin(), definition.enum_values().end());
  out.personal = definition.personal();
  out.indexed = definition.indexed();
  return out;
}

void ToProto(absl::string_view contact, const BehaviorEvent& event, v1::BehaviorEvent* out) {
  out->set_event_id(event.event_id.ToString());
  out->set_contact(contact.data(), contact.size());
  out->set_type(event.type);
  ToProto(event.occur_time, out->mutable_occur_time());
  if (event.receive_time != absl::InfinitePast()) {
    ToProto(event.receive_time, out->mutable_receive_time());
  }
  if (event.amount_minor) out->set_amount_minor(*event.amount_minor);
  out->set_currency(event.currency);
  if (event.quantity) out->set_quantity(*event.quantity);
  out->set_channel(event.channel);
  for (const auto& [key, value] : event.properties)
    ToProto(value, &(*out->mutable_properties())[key]);
}

v1::BehaviorEvent ToProto(const EntityKey& contact, const BehaviorEvent& event) {
  v1::BehaviorEvent out;
  ToProto(EntityName(kContacts, contact), event, &out);
  return out;
}

BehaviorEvent FromProto(absl::string_view field, const v1::BehaviorEvent& event,
                        error::FieldErrors& errors) {
  BehaviorEvent out;
  if (!event.event_id().empty()) {
    const auto id = Uuid::Parse(event.event_id());
    if (id) {
      out.event_id = *id;
    } else {
      errors.Add(absl::StrCat(field, ".event_id"), "is not a UUID");
    }
  }
  out.type = event.type();
  out.occur_time = FromProto(event.occur_time());
  if (event.has_amount_minor()) out.amount_minor = event.amount_minor();
  out.currency = event.currency();
  if (event.has_quantity()) out.quantity = event.quantity();
  out.channel = event.channel();
  for (const auto& [key, value] : event.properties()) {
    auto parsed = FromProto(absl::StrCat(field, ".properties.", key), value);
    if (!parsed.ok()) {
      errors.AddStatus("", parsed.status());
    } else if (*parsed) {
      out.properties[key] = **std::move(parsed);
    }
  }
  return out;
}

v1::AcquisitionCost ToProto(const std::string& tenant, const AcquisitionCost& cost) {
  v1::AcquisitionCost out;
  out.set_name(EntityName(kAcquisitionCosts, {tenant, cost.id}));
  if (cost.contact) out.set_contact(EntityName(kContacts, {tenant, *cost.contact}));
  out.set_source(cost.source);
  out.set_start_date(FormatDay(cost.start_date));
  out.set_end_date(FormatDay(cost.end_date));
  out.set_amount_minor(cost.amount_minor);
  out.set_currency(cost.currency);
  ToProto(cost.create_time, out.mutable_create_time());
  return out;
}

absl::StatusOr<AcquisitionCost> FromProto(absl::string_view field, const std::string& tenant,
                                          const v1::AcquisitionCost& cost) {
  AcquisitionCost out;
  error::FieldErrors errors;
  if (!cost.name().empty()) {
    const auto key = ParseEntityName(absl::StrCat(field, ".name"), kAcquisitionCosts, cost.name());
    if (!key.ok()) {
      errors.AddStatus("", key.status());
    } else if (key->tenant != tenant) {
      errors.Add(absl::StrCat(field, ".name"), "is of another tenant than the parent");
    } else {
      out.id = key->id;
    }
  }
  if (!cost.contact().empty()) {
    const auto key = ParseEntityName(absl::StrCat(field, ".contact"), kContacts, cost.contact());
    if (!key.ok()) {
      errors.AddStatus("", key.status());
    } else if (key->tenant != tenant) {
      errors.Add(absl::StrCat(field, ".contact"), "is of another tenant than the parent");
    } else {
      out.contact = key->id;
    }
  }
  const auto start = ParseDay(cost.start_date());
  const auto end = ParseDay(cost.end_date());
  if (!start) errors.Add(absl::StrCat(field, ".start_date"), "is not a day such as 2026-11-01");
  if (!end) errors.Add(absl::StrCat(field, ".end_date"), "is not a day such as 2026-11-30");
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  out.source = cost.source();
  out.start_date = *start;
  out.end_date = *end;
  out.amount_minor = cost.amount_minor();
  out.currency = cost.currency();
  return out;
}

v1::IdentityViolation ToProto(const EntityKey& contact, const StoredViolation& violation) {
  v1::IdentityViolation out;
  const IdentityViolation& v = violation.violation;
  out.set_kind(static_cast<v1::IdentityViolation::Kind>(v.kind));
  out.set_event_id(violation.event_id.ToString());
  out.set_contact(EntityName(kContacts, contact));
  out.set_type(v.identifier.type);
  out.set_value(v.identifier.value);
  out.set_limit_type(v.limit_type);
  for (const Uuid& id : v.profiles) out.add_profiles(EntityName(kContacts, {contact.tenant, id}));
  ToProto(violation.find_time, out.mutable_find_time());
  out.set_event_count(violation.event_count);
  return out;
}

std::string TopicName(const std::string& tenant, absl::string_view topic) {
  return absl::StrCat("tenants/", tenant, "/topics/", topic);
}

v1::Topic ToProto(const std::string& tenant, const Topic& topic) {
  v1::Topic out;
  out.set_name(TopicName(tenant, topic.id));
  out.set_display_name(topic.display_name);
  out.set_channel(topic.channel);
  out.set_opt_in(static_cast<v1::Topic::OptIn>(topic.opt_in));
  out.set_purpose(topic.purpose);
  ToProto(topic.create_time, out.mutable_create_time());
  return out;
}

v1::Subscription ToProto(const std::string& tenant, const Subscription& subscription) {
  v1::Subscription out;
  out.set_topic(TopicName(tenant, subscription.topic));
  out.set_state(static_cast<v1::Subscription::State>(subscription.state));
  ToProto(subscription.change_time, out.mutable_change_time());
  out.set_actor(subscription.actor);
  out.set_source(subscription.source);
  return out;
}

v1::ConsentAct ToProto(const ConsentAct& act) {
  v1::ConsentAct out;
  out.set_purpose(act.purpose);
  out.set_channel(act.channel);
  out.set_state(static_cast<v1::ConsentAct::State>(act.state));
  ToProto(act.act_time, out.mutable_act_time());
  if (act.expire_time != absl::InfiniteFuture())
    ToProto(act.expire_time, out.mutable_expire_time());
  out.set_legal_basis(act.legal_basis);
  out.set_source(act.source);
  out.set_text_version(act.text_version);
  out.set_actor(act.actor);
  ToProto(act.record_time, out.mutable_record_time());
  return out;
}

ConsentAct FromProto(const v1::ConsentAct& act, absl::Time now) {
  ConsentAct out;
  out.purpose = act.purpose();
  out.channel = act.channel();
  out.state = static_cast<ConsentState>(act.state());
  out.act_time = act.has_act_time() ? FromProto(act.act_time()) : now;
  if (act.has_expire_time()) out.expire_time = FromProto(act.expire_time());
  out.legal_basis = act.legal_basis();
  out.source = act.source();
  out.text_version = act.text_version();
  out.record_time = now;
  return out;
}

v1::Suppression ToProto(const Suppression& suppression) {
  v1::Suppression out;
  out.set_channel(suppression.channel);
  out.set_address(suppression.address);
  out.set_reason(static_cast<v1::Suppression::Reason>(suppression.reason));
  ToProto(suppression.create_time, out.mutable_create_time());
  out.set_actor(suppression.actor);
  return out;
}

bool SetsAttributes(const Change& change) {
  return std::any_of(change.changed_fields.begin(), change.changed_fields.end(),
                     [&](absl::string_view field) {
                       return absl::ConsumePrefix(&field, "attributes.") &&
                              change.after.attributes.contains(std::string(field));
                     });
}

v1::ContactChanged ChangedPayload(const Change& change, const AttributeRegistry& registry) {
  v1::ContactChanged out;
  out.set_contact(EntityName(kContacts, change.after.key));
  out.set_change(static_cast<v1::ContactChanged::Change>(change.event));
  for (const auto& field : change.changed_fields) out.add_changed_fields(field);
  out.set_status(static_cast<v1::Contact::Status>(change.after.status));
  out.set_source(change.after.source);
  ToProto(change.after.create_time, out.mutable_create_time());
  for (const auto& [id, value] : change.after.attributes) {
    const auto definition = registry.find(id);
    if (definition == registry.end() || definition->second.personal) continue;
    ToProto(value, &(*out.mutable_attributes())[id]);
  }
  out.set_locale(change.after.locale);
  if (out.ByteSizeLong() > journal::kMaxPayload && !SetsAttributes(change)) out.clear_attributes();
  return out;
}

}  // namespace clm::contact
