#include "services/contact/ingest.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "services/contact/contact_proto.h"
#include "services/contact/upsert.h"

namespace clm::contact {
namespace {

void AddResult(v1::IngestEventsResponse& response, const absl::Status& status) {
  *response.add_results()->mutable_status() = ToRpcStatus(status);
}

// A patch that gives a new contact its identifiers.
ContactPatch PatchOf(const std::vector<Identifier>& identifiers) {
  ContactPatch patch;
  for (const auto& identifier : identifiers) {
    if (identifier.type == kEmailType) {
      patch.email = identifier.value;
    } else if (identifier.type == kPhoneType) {
      patch.phone = identifier.value;
    } else {
      patch.external_ids[identifier.type] = identifier.value;
    }
  }
  return patch;
}

// Makes the contact of an item, or attaches to it the identifiers that nobody has.
absl::Status PrepareTarget(const IngestBatch& batch, const IngestItem& item, ContactWork& work,
                           journal::Recorder& recorder) {
  const Contact* contact = work.FindContact(item.target);
  if (contact == nullptr && !item.create) {
    return error::NotFound(EntityName(kContacts, item.target));
  }
  if (contact != nullptr && contact->merged_into) return Moved(*contact->merged_into);
  if (contact != nullptr && contact->status == ContactStatus::kErased) {
    return error::Precondition("CONTACT_ERASED", "the contact was erased; it takes no more events");
  }
  for (const auto& identifier : item.hold) {
    const auto owner = work.Owner(batch.tenant, identifier);
    if (owner && *owner != item.target.id) return Moved(*owner);
  }
  if (contact == nullptr) {
    ContactRules rules;
    rules.registry = &work.Registry(batch.tenant);
    ContactPatch patch = PatchOf(item.hold);
    patch.create_time = std::min(item.event.occur_time, recorder.now());
    CLM_ASSIGN_OR_RETURN(const Change change, Create(item.target, patch, rules, recorder.now()));
    return Commit(work, recorder, change, batch.actor, "event");
  }
  for (const auto& identifier : item.hold) {
    if (work.Owner(batch.tenant, identifier)) continue;
    if (work.IsTombstone(batch.tenant, identifier)) continue;
    work.Hold(item.target, identifier, recorder.now());
  }
  return absl::OkStatus();
}

// Joins profiles that an event showed to be one person: two at a time, the oldest surviving.
// Blocks.
absl::Status MergeProfiles(const ContactParts& parts, const IngestBatch& batch,
                           const std::vector<Uuid>& profiles) {
  for (size_t i = 1; i < profiles.size(); ++i) {
    const EntityKey primary{batch.tenant, profiles[0]};
    const EntityKey duplicate{batch.tenant, profiles[i]};
    journal::MutationInfo info;
    info.tenant = batch.tenant;
    info.shards.set(ShardOf(batch.tenant, primary.id));
    info.shards.set(ShardOf(batch.tenant, duplicate.id));
    info.aggregate = primary.id;
    info.actor = batch.actor;
    info.traceparent = batch.traceparent;
    info.deadline = batch.deadline;
    const auto answer = parts.lanes->Run<ContactWork>(
        std::move(info),
        [&](ContactWork& work) {
          work.NeedSurroundings(primary);
          work.NeedSurroundings(duplicate);
        },
        [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          CLM_RETURN_IF_ERROR(
              MergeInto(work, recorder, primary, duplicate, false, batch.actor).status());
          return std::string();
        });
    CLM_RETURN_IF_ERROR(answer.status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ResolveIngest(const ContactParts& parts, IngestBatch& batch) {
  std::vector<Identifier> all;
  std::vector<Uuid> named;
  for (const IngestItem& item : batch.items) {
    if (!item.status.ok()) continue;
    if (item.identifiers.empty()) named.push_back(item.target.id);
    for (const auto& identifier : item.identifiers) {
      auto normal = NormalizeIdentifier(identifier.type, identifier.value);
      if (normal.ok()) all.push_back(*std::move(normal));
    }
  }
  CLM_ASSIGN_OR_RETURN(const auto found, parts.reader->Get(batch.tenant, named, batch.deadline));
  absl::flat_hash_map<Uuid, Uuid> survivors;
  for (size_t i = 0; i < named.size(); ++i) {
    if (found[i]) survivors[named[i]] = found[i]->contact.key.id;
  }
  CLM_ASSIGN_OR_RETURN(const auto owners, parts.reader->Owners(batch.tenant, all, batch.deadline));
  absl::flat_hash_map<Identifier, Uuid> owner_of;
  std::vector<Uuid> ids;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!owners[i]) continue;
    owner_of[all[i]] = *owners[i];
    ids.push_back(*owners[i]);
  }
  CLM_ASSIGN_OR_RETURN(const auto profiles,
                       parts.reader->Profiles(batch.tenant, ids, batch.deadline));
  absl::flat_hash_map<Uuid, const IdentityProfile*> profile_of;
  for (const auto& profile : profiles) profile_of[profile.id] = &profile;

  absl::flat_hash_map<Identifier, Uuid> fresh;
  for (IngestItem& item : batch.items) {
    if (!item.status.ok()) continue;
    if (item.identifiers.empty()) {
      const auto it = survivors.find(item.target.id);
      if (it != survivors.end()) item.target.id = it->second;
      continue;
    }
    std::vector<IdentityProfile> matching;
    for (const auto& identifier : item.identifiers) {
      const auto normal = NormalizeIdentifier(identifier.type, identifier.value);
      if (!normal.ok()) continue;
      const auto owner = owner_of.find(*normal);
      if (owner == owner_of.end()) continue;
      const bool there = std::any_of(matching.begin(), matching.end(),
                                     [&](const auto& p) { return p.id == owner->second; });
      if (!there && profile_of.contains(owner->second))
        matching.push_back(*profile_of[owner->second]);
    }
    const IdentityDecision decision = ResolveIdentity(item.identifiers, matching, IdentityPolicy(),
                                                      NormalizeOptions(), batch.now);
    item.hold = decision.identifiers;
    item.create = false;
    switch (decision.kind) {
      case IdentityDecision::Kind::kUnidentified:
        item.status = error::InvalidField("identifiers", "identify nobody");
        break;
      case IdentityDecision::Kind::kMerge: {
        // Two that disagree for good (two user ids) stay two; the event goes to the oldest.
        const absl::Status merged = MergeProfiles(parts, batch, decision.profiles);
        if (error::IsTransient(merged)) return merged;
        if (!merged.ok()) item.hold.clear();
        item.target = {batch.tenant, decision.profiles[0]};
        break;
      }
      case IdentityDecision::Kind::kAdd:
        item.target = {batch.tenant, decision.profiles[0]};
        break;
      case IdentityDecision::Kind::kNewProfile: {
        if (!batch.create_contacts) {
          item.status = error::Make(absl::StatusCode::kNotFound, "CONTACT_UNKNOWN",
                                    "identifiers: nobody has them; set create_contacts to make a "
                                    "contact");
          break;
        }
        Uuid id = Uuid::V7(batch.now);
        for (const auto& identifier : item.hold) {
          if (const auto it = fresh.find(identifier); it != fresh.end()) id = it->second;
        }
        for (const auto& identifier : item.hold) fresh.try_emplace(identifier, id);
        item.target = {batch.tenant, id};
        item.create = true;
        break;
      }
    }
  }
  return absl::OkStatus();
}

journal::ShardSet ShardsOf(const IngestBatch& batch) {
  journal::ShardSet shards;
  for (const IngestItem& item : batch.items) {
    if (item.status.ok()) shards.set(ShardOf(batch.tenant, item.target.id));
  }
  return shards;
}

void DeclareIngest(const IngestBatch& batch, ContactWork& work) {
  for (const IngestItem& item : batch.items) {
    if (!item.status.ok()) continue;
    work.NeedContact(item.target);
    work.NeedEvent(batch.tenant, item.event.event_id);
    for (const auto& identifier : item.hold) work.NeedIdentifier(batch.tenant, identifier);
  }
}

absl::StatusOr<v1::IngestEventsResponse> ApplyIngest(const IngestBatch& batch, ContactWork& work,
                                                     journal::Recorder& recorder) {
  v1::IngestEventsResponse response;
  std::map<EntityKey, v1::BehaviorRecorded> recorded;
  for (const IngestItem& item : batch.items) {
    if (!item.status.ok()) {
      AddResult(response, item.status);
      continue;
    }
    if (const auto known = work.EventContact(batch.tenant, item.event.event_id)) {
      auto* result = response.add_results();
      result->set_event_id(item.event.event_id.ToString());
      result->set_contact(EntityName(kContacts, {batch.tenant, *known}));
      result->set_duplicate(true);
      continue;
    }
    const absl::Status prepared = PrepareTarget(batch, item, work, recorder);
    if (MovedTo(prepared)) return prepared;
    if (!prepared.ok()) {
      AddResult(response, prepared);
      continue;
    }
    BehaviorEvent event = item.event;
    event.receive_time = recorder.now();
    *recorded[item.target].add_events() = ToProto(item.target, event);
    auto* result = response.add_results();
    result->set_event_id(event.event_id.ToString());
    result->set_contact(EntityName(kContacts, item.target));
    work.AddEvent(item.target, std::move(event));
  }
  for (auto& [key, payload] : recorded) {
    const Contact* contact = work.FindContact(key);
    payload.set_contact(EntityName(kContacts, key));
    journal::Entry entry;
    entry.shard = ShardOf(key.tenant, key.id);
    entry.tenant = key.tenant;
    entry.subject = payload.contact();
    entry.type = v1::BehaviorRecorded::descriptor()->full_name();
    entry.subject_version = contact == nullptr ? 0 : contact->version;
    entry.occur_time = FromProto(payload.events(0).occur_time());
    entry.payload = payload.SerializeAsString();
    recorder.Record(std::move(entry));
  }
  return response;
}

}  // namespace clm::contact
