#include "services/contact/upsert.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/payload.h"
#include "services/contact/contact_proto.h"
#include "services/contact/merge.h"

namespace clm::contact {
namespace {

// Leaves room for what other changes of the contact tell besides: above all the names of all the
// attributes and ids that one of them takes away.
constexpr size_t kMaxAttributesPayload = journal::kMaxPayload - 32 * 1024;

}  // namespace

std::vector<Identifier> IdentifiersIn(const ContactPatch& patch, const IdentityPolicy& policy) {
  std::vector<Identifier> identifiers;
  const auto add = [&](absl::string_view type, const std::string& value) {
    if (value.empty()) return;
    auto identifier = NormalizeIdentifier(type, value, {.policy = &policy});
    if (identifier.ok()) identifiers.push_back(*std::move(identifier));
  };
  if (patch.email) add(kEmailType, *patch.email);
  if (patch.phone) add(kPhoneType, *patch.phone);
  for (const auto& [type, value] : patch.external_ids) add(type, value);
  return identifiers;
}

void DeclareWrite(ContactWork& work, const EntityKey& key, const ContactPatch& patch,
                  const IdentityPolicy& policy) {
  work.NeedContact(key);
  for (const auto& identifier : IdentifiersIn(patch, policy)) {
    work.NeedIdentifier(key.tenant, identifier);
    if (identifier.type != kEmailType) continue;
    if (const auto spelling = OtherSpelling(kEmailType, *patch.email, policy)) {
      work.NeedSpelling(key.tenant, identifier, *spelling);
    }
  }
}

ContactRules RulesOf(const ContactWork& work, const std::string& tenant,
                     const IdentityPolicy& policy) {
  ContactRules rules;
  rules.normalize.policy = &policy;
  rules.registry = &work.Registry(tenant);
  return rules;
}

absl::Status Moved(const Uuid& to) {
  return error::Make(absl::StatusCode::kAborted, "CONTACT_MOVED",
                     "the contact has just been merged or its key changed hands; try again",
                     {{"contact_id", to.ToString()}});
}

std::optional<Uuid> MovedTo(const absl::Status& status) {
  if (error::Reason(status) != "CONTACT_MOVED") return std::nullopt;
  return Uuid::Parse(error::MetadataValue(status, "contact_id"));
}

absl::StatusOr<const Contact*> Require(const ContactWork& work, const EntityKey& key) {
  const Contact* contact = work.FindContact(key);
  if (contact == nullptr) return error::NotFound(EntityName(kContacts, key));
  if (contact->merged_into) return Moved(*contact->merged_into);
  return contact;
}

absl::Status Commit(ContactWork& work, journal::Recorder& recorder, const Change& change,
                    const std::string& actor, const std::string& source,
                    const std::string& reason) {
  if (change.event == ContactEvent::kNone) return absl::OkStatus();
  const EntityKey& key = change.after.key;
  for (const Identifier& added : change.identifiers_added) {
    if (const auto owner = work.Owner(key.tenant, added); owner && *owner != key.id) {
      return AlreadyExists({key.tenant, *owner}, added.type);
    }
    if (work.IsTombstone(key.tenant, added)) {
      const std::string field = IdentifierField(added.type);
      return error::Precondition(
          "ADDRESS_ERASED",
          absl::StrCat(field, ": its owner was erased and must not be brought back"),
          {{"field", field}});
    }
  }
  std::string payload = ChangedPayload(change, work.Registry(key.tenant)).SerializeAsString();
  // Attributes that are not personal are all in it; nothing else of it can be so large.
  if (payload.size() > kMaxAttributesPayload && SetsAttributes(change)) {
    return error::InvalidField("contact.attributes",
                               absl::StrCat("come to ", payload.size(), " bytes together; at most ",
                                            kMaxAttributesPayload, " are possible"));
  }
  work.Save(change, actor, source, reason);
  journal::Entry entry;
  entry.shard = ShardOf(key.tenant, key.id);
  entry.tenant = key.tenant;
  entry.subject = EntityName(kContacts, key);
  entry.type = v1::ContactChanged::descriptor()->full_name();
  entry.subject_version = change.after.version;
  if (change.event == ContactEvent::kCreated) entry.occur_time = change.after.create_time;
  entry.payload = std::move(payload);
  recorder.Record(std::move(entry));
  return absl::OkStatus();
}

absl::StatusOr<UpsertOutcome> Upsert(ContactWork& work, journal::Recorder& recorder,
                                     const EntityKey& target, const Identifier& key_identifier,
                                     const ContactPatch& patch, const IdentityPolicy& policy,
                                     const std::string& actor, const std::string& source) {
  const auto owner = work.Owner(target.tenant, key_identifier);
  const Contact* before = work.FindContact(target);
  if (owner && *owner != target.id) return Moved(*owner);
  // The key went away between looking it up and locking.
  if (!owner && before != nullptr) return Moved(Uuid::V7(recorder.now()));
  const ContactRules rules = RulesOf(work, target.tenant, policy);
  UpsertOutcome outcome;
  absl::StatusOr<Change> change;
  if (before == nullptr) {
    change = Create(target, patch, rules, recorder.now());
    outcome.created = true;
  } else {
    if (before->merged_into) return Moved(*before->merged_into);
    // When the relationship began is said once.
    ContactPatch update = patch;
    update.create_time.reset();
    change = Update(*before, update, rules, recorder.now());
  }
  if (!change.ok()) return change.status();
  CLM_RETURN_IF_ERROR(Commit(work, recorder, *change, actor, source));
  outcome.unchanged = change->event == ContactEvent::kNone;
  outcome.contact = std::move(change->after);
  return outcome;
}

absl::StatusOr<MergeOutcome> MergeInto(ContactWork& work, journal::Recorder& recorder,
                                       const EntityKey& a, const EntityKey& b, bool choose_primary,
                                       const std::string& actor) {
  const auto side = [&](const EntityKey& key) -> absl::StatusOr<MergeSide> {
    const Contact* contact = work.FindContact(key);
    if (contact == nullptr) return error::NotFound(EntityName(kContacts, key));
    MergeSide side;
    side.contact = *contact;
    for (const auto& h : work.Identifiers(key))
      side.identifiers.push_back({h.identifier, h.first_seen});
    side.aliases = work.Aliases(key);
    side.subscriptions = work.Subscriptions(key);
    side.consents = work.Consents(key);
    side.suppressions = work.Suppressions(key);
    return side;
  };
  CLM_ASSIGN_OR_RETURN(const MergeSide left, side(a));
  CLM_ASSIGN_OR_RETURN(const MergeSide right, side(b));
  MergeOptions options;
  if (!choose_primary) options.primary = a.id;
  CLM_ASSIGN_OR_RETURN(const MergePlan plan, Merge(left, right, options, actor, recorder.now()));
  const EntityKey& survivor = plan.primary.after.key;
  MergeOutcome outcome;
  outcome.merge_id = Uuid::V7(recorder.now());
  work.ApplyMerge(plan, outcome.merge_id, actor);

  v1::ContactsMerged merged;
  merged.set_contact(EntityName(kContacts, survivor));
  merged.set_merged_contact(EntityName(kContacts, plan.secondary.after.key));
  merged.set_merge_id(outcome.merge_id.ToString());
  const int shard = ShardOf(survivor.tenant, survivor.id);
  recorder.Record({shard, survivor.tenant, merged.contact(),
                   v1::ContactsMerged::descriptor()->full_name(), plan.primary.after.version,
                   std::nullopt, "", merged.SerializeAsString()});
  if (plan.primary.event != ContactEvent::kNone) {
    recorder.Record(
        {shard, survivor.tenant, merged.contact(), v1::ContactChanged::descriptor()->full_name(),
         plan.primary.after.version, std::nullopt, "",
         ChangedPayload(plan.primary, work.Registry(survivor.tenant)).SerializeAsString()});
  }
  outcome.survivor = plan.primary.after;
  outcome.aliases = work.Aliases(survivor);
  for (const Uuid& alias : plan.moved_aliases) outcome.aliases.push_back(alias);
  outcome.filled_fields = plan.primary.changed_fields;
  return outcome;
}

absl::StatusOr<Identifier> KeyIdentifier(absl::string_view field, absl::string_view key,
                                         const ContactPatch& patch, const IdentityPolicy& policy) {
  std::string type;
  std::string value;
  if (key.empty() || key == "email") {
    type = kEmailType;
    value = patch.email.value_or("");
  } else if (key == "phone") {
    type = kPhoneType;
    value = patch.phone.value_or("");
  } else if (absl::StartsWith(key, "external_ids.")) {
    type = std::string(absl::StripPrefix(key, "external_ids."));
    const auto it = patch.external_ids.find(type);
    if (it != patch.external_ids.end()) value = it->second;
  } else {
    return error::InvalidField(field, "is none of email, phone, external_ids.TYPE");
  }
  if (value.empty()) {
    return error::InvalidField(
        field, absl::StrCat("names '", key.empty() ? "email" : key, "', which the contact lacks"));
  }
  auto identifier = NormalizeIdentifier(type, value, {.policy = &policy});
  if (!identifier.ok()) {
    const std::string path = type == kEmailType || type == kPhoneType
                                 ? absl::StrCat("contact.", type)
                                 : absl::StrCat("contact.external_ids.", type);
    return error::InvalidField(path, identifier.status().message());
  }
  return identifier;
}

}  // namespace clm::contact
