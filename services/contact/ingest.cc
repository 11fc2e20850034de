#include "services/contact/ingest.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "libs/journal/payload.h"
#include "libs/rpc/status.h"
#include "services/contact/contact_proto.h"
#include "services/contact/upsert.h"

namespace clm::contact {
namespace {

// What is recorded of one contact: one payload, or several when one would be too large.
struct RecordedBehavior {
  explicit RecordedBehavior(const EntityKey& key)
      : contact(key), name(EntityName(kContacts, key)) {}

  const v1::BehaviorEvent& Add(const BehaviorEvent& event) {
    // An event is far smaller than a payload may be (kMaxPropertiesBytes).
    constexpr size_t kMaxEvents = journal::kMaxPayload - 1024;
    if (payloads.empty()) payloads.emplace_back().set_contact(name);
    v1::BehaviorEvent* added = payloads.back().add_events();
    ToProto(name, event, added);
    const size_t size = added->ByteSizeLong() + 8;
    if (bytes > 0 && bytes + size > kMaxEvents) {
      v1::BehaviorEvent too_much = std::move(*added);
      payloads.back().mutable_events()->RemoveLast();
      payloads.emplace_back().set_contact(name);
      added = payloads.back().add_events();
      *added = std::move(too_much);
      bytes = 0;
    }
    bytes += size;
    return *added;
  }

  EntityKey contact;
  std::string name;
  std::vector<v1::BehaviorRecorded> payloads;
  size_t bytes = 0;  // Of the last one's events.
};

void AddResult(v1::IngestEventsResponse& response, const absl::Status& status) {
  *response.add_results()->mutable_status() = rpc::ToRpcStatus(status);
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

// What nobody has of the item's identifiers, as far as the limits let the contact have it. Moved
// when by the rules of identity they lead to somebody else, because the contact has become another
// since it was looked up. ADDRESS_ERASED when they lead to nobody but somebody who was erased: an
// earlier item of the batch named the contact together with them, which an erase outlives. What the
// limits leave out is added to `violations`.
absl::StatusOr<std::vector<Identifier>> Learnt(const IngestBatch& batch, const IngestItem& item,
                                               const ContactWork& work, absl::Time now,
                                               std::vector<IdentityViolation>& violations) {
  std::vector<Identifier> learnt;
  bool known = false;
  bool erased = false;
  for (const auto& identifier : item.hold) {
    const auto owner = work.Owner(batch.tenant, identifier);
    if (owner && *owner != item.target.id) return Moved(*owner);
    known |= owner.has_value();
    if (owner) continue;
    if (work.IsTombstone(batch.tenant, identifier)) {
      erased = true;
    } else {
      learnt.push_back(identifier);
    }
  }
  if (erased && !known) {
    return error::Precondition("ADDRESS_ERASED",
                               "identifiers: their owner was erased and must not be brought back");
  }
  if (learnt.empty()) return learnt;
  // Limits count what the person has now: others may have added to it since.
  IdentityProfile profile;
  profile.id = item.target.id;
  for (const auto& held : work.Identifiers(item.target)) {
    profile.identifiers.push_back({held.identifier, held.first_seen});
  }
  if (!known && (item.create || item.joined)) {
    // It is a later item of the batch that shows whose they are.
    if (ExceedsLimits(profile.identifiers, learnt, *batch.policy, now)) {
      return Moved(item.target.id);
    }
    return learnt;
  }
  IdentityDecision decision = ResolveIdentity(item.hold, {profile}, *batch.policy, now);
  if (decision.kind != IdentityDecision::Kind::kAdd) return Moved(item.target.id);
  std::move(decision.violations.begin(), decision.violations.end(), std::back_inserter(violations));
  learnt.erase(std::remove_if(learnt.begin(), learnt.end(),
                              [&](const Identifier& i) {
                                return std::find(decision.identifiers.begin(),
                                                 decision.identifiers.end(),
                                                 i) == decision.identifiers.end();
                              }),
               learnt.end());
  return learnt;
}

// Those of `learnt` that the record has room for, as a patch: it shows one address, one number and
// one id of a type. They are taken out of `learnt`.
ContactPatch RoomFor(const Contact& contact, std::vector<Identifier>& learnt) {
  Contact shown = contact;
  std::vector<Identifier> fitting;
  std::vector<Identifier> others;
  for (Identifier& identifier : learnt) {
    bool fits = false;
    if (identifier.type == kEmailType) {
      fits = shown.email.empty();
      if (fits) shown.email = identifier.value;
    } else if (identifier.type == kPhoneType) {
      fits = shown.phone.empty();
      if (fits) shown.phone = identifier.value;
    } else {
      fits = shown.external_ids.size() < kMaxExternalIds &&
             shown.external_ids.try_emplace(identifier.type, identifier.value).second;
    }
    (fits ? fitting : others).push_back(std::move(identifier));
  }
  learnt = std::move(others);
  return PatchOf(fitting);
}

// Makes the contact of an item, or attaches to it the identifiers that nobody has.
absl::Status PrepareTarget(const IngestBatch& batch, const IngestItem& item, ContactWork& work,
                           journal::Recorder& recorder,
                           std::vector<IdentityViolation>& violations) {
  const std::optional<Standing> standing = work.FindStanding(item.target);
  if (!standing && !item.create) return error::NotFound(EntityName(kContacts, item.target));
  if (!standing) {
    for (const auto& identifier : item.hold) {
      if (const auto owner = work.Owner(batch.tenant, identifier)) return Moved(*owner);
    }
    const ContactRules rules = RulesOf(work, batch.tenant, *batch.policy);
    ContactPatch patch = PatchOf(item.hold);
    patch.create_time = std::min(item.begin, recorder.now());
    CLM_ASSIGN_OR_RETURN(const Change change, Create(item.target, patch, rules, recorder.now()));
    return Commit(work, recorder, change, batch.actor, "event");
  }
  if (standing->merged_into) return Moved(*standing->merged_into);
  if (standing->status == ContactStatus::kErased) {
    for (const auto& identifier : item.hold) {
      const auto owner = work.Owner(batch.tenant, identifier);
      if (owner && *owner != item.target.id) return Moved(*owner);
    }
    return error::Precondition("CONTACT_ERASED", "the contact was erased; it takes no more events");
  }
  if (item.hold.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(auto learnt, Learnt(batch, item, work, recorder.now(), violations));
  const Contact* const contact = work.FindContact(item.target);
  // Nothing was to be learnt when the batch was resolved, so the record was not loaded.
  if (!learnt.empty() && contact == nullptr) return Moved(item.target.id);
  const ContactPatch patch = learnt.empty() ? ContactPatch() : RoomFor(*contact, learnt);
  if (patch != ContactPatch()) {
    const ContactRules rules = RulesOf(work, batch.tenant, *batch.policy);
    CLM_ASSIGN_OR_RETURN(const Change change, Update(*contact, patch, rules, recorder.now()));
    CLM_RETURN_IF_ERROR(Commit(work, recorder, change, batch.actor, "event"));
  }
  for (const auto& identifier : learnt) work.Hold(item.target, identifier, recorder.now());
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

// Who has which identifiers: what is stored, with what the items of a batch do to it, one after the
// other.
class People {
 public:
  static absl::StatusOr<People> Load(const ContactParts& parts, const IngestBatch& batch) {
    People people;
    people.policy_ = batch.policy;
    std::vector<Identifier> all;
    for (const IngestItem& item : batch.items) {
      if (!item.status.ok()) continue;
      for (const auto& identifier : item.identifiers) {
        auto normal = people.Normal(identifier);
        if (normal.ok()) all.push_back(*std::move(normal));
      }
    }
    CLM_ASSIGN_OR_RETURN(const auto owners,
                         parts.reader->Owners(batch.tenant, all, batch.deadline));
    std::vector<Uuid> ids;
    for (size_t i = 0; i < all.size(); ++i) {
      if (!owners[i]) continue;
      people.owners_[all[i]] = *owners[i];
      ids.push_back(*owners[i]);
    }
    CLM_ASSIGN_OR_RETURN(auto profiles, parts.reader->Profiles(batch.tenant, ids, batch.deadline));
    for (auto& profile : profiles) {
      const Uuid id = profile.id;
      people.profiles_[id] = {std::move(profile), true};
    }
    return people;
  }

  IdentityDecision Decide(const std::vector<Identifier>& identifiers, absl::Time now) const {
    std::map<Uuid, const IdentityProfile*> matching;
    for (const auto& identifier : identifiers) {
      const auto normal = Normal(identifier);
      if (!normal.ok()) continue;
      const auto owner = owners_.find(*normal);
      if (owner == owners_.end()) continue;
      const auto profile = profiles_.find(owner->second);
      if (profile != profiles_.end()) matching[owner->second] = &profile->second.profile;
    }
    std::vector<IdentityProfile> profiles;
    profiles.reserve(matching.size());
    for (const auto& [id, profile] : matching) profiles.push_back(*profile);
    return ResolveIdentity(identifiers, profiles, *policy_, now);
  }

  // Somebody whom nobody knows yet.
  void Add(const Uuid& id, absl::Time begin) { profiles_[id] = {{id, begin, {}}, false}; }

  // True when that is news.
  bool Attach(const Uuid& id, const std::vector<Identifier>& identifiers, absl::Time now) {
    bool news = false;
    for (const auto& identifier : identifiers) {
      if (!owners_.try_emplace(identifier, id).second) continue;
      profiles_[id].profile.identifiers.push_back({identifier, now});
      news = true;
    }
    return news;
  }

  // Of the profiles of an event, oldest first, those that have a row.
  std::vector<Uuid> Stored(const std::vector<Uuid>& profiles) const {
    std::vector<Uuid> stored;
    for (const Uuid& id : profiles) {
      if (profiles_.at(id).stored) stored.push_back(id);
    }
    return stored;
  }

  // From now on `other` is `survivor`.
  void Join(const Uuid& survivor, const Uuid& other) {
    Person gone = std::move(profiles_.at(other));
    profiles_.erase(other);
    Person& person = profiles_.at(survivor);
    for (auto& known : gone.profile.identifiers) {
      owners_[known.identifier] = survivor;
      person.profile.identifiers.push_back(std::move(known));
    }
    if (!person.stored) {
      person.profile.create_time = std::min(person.profile.create_time, gone.profile.create_time);
    }
    joined_[other] = survivor;
  }

  // Who it is after all joins.
  Uuid Find(Uuid id) const {
    for (auto it = joined_.find(id); it != joined_.end(); it = joined_.find(id)) id = it->second;
    return id;
  }

  // When somebody who has no row yet began; nullopt for everybody else.
  std::optional<absl::Time> BeginOfNew(const Uuid& id) const {
    const auto it = profiles_.find(id);
    if (it == profiles_.end() || it->second.stored) return std::nullopt;
    return it->second.profile.create_time;
  }

 private:
  struct Person {
    IdentityProfile profile;
    bool stored = false;
  };

  absl::StatusOr<Identifier> Normal(const Identifier& identifier) const {
    return NormalizeIdentifier(identifier.type, identifier.value, {.policy = policy_.get()});
  }

  IdentityPolicyPtr policy_;
  absl::flat_hash_map<Identifier, Uuid> owners_;
  absl::flat_hash_map<Uuid, Person> profiles_;
  absl::flat_hash_map<Uuid, Uuid> joined_;
};

// The profiles of an event are one person. Of those with a row the oldest survives; people whom
// only this batch knows become part of it, or of the oldest among them.
absl::Status Join(const ContactParts& parts, const IngestBatch& batch,
                  const IdentityDecision& decision, People& people, IngestItem& item) {
  const std::vector<Uuid> stored = people.Stored(decision.profiles);
  const Uuid survivor = stored.empty() ? decision.profiles[0] : stored[0];
  item.target = {batch.tenant, survivor};
  absl::Status merged = MergeProfiles(parts, batch, stored);
  if (error::IsTransient(merged)) return merged;
  const std::string reason = error::Reason(merged);
  // Somebody else merged or erased one of them meanwhile. Who has what the item says shows under
  // the lock, where it is decided anew.
  if (reason == "CONTACT_MERGED" || reason == "CONTACT_ERASED") return absl::OkStatus();
  if (!merged.ok()) {
    // Two that disagree for good (two user ids) stay two; the event goes to the oldest.
    item.hold.clear();
    return absl::OkStatus();
  }
  for (const Uuid& id : decision.profiles) {
    if (id != survivor) people.Join(survivor, id);
  }
  return absl::OkStatus();
}

absl::Status ResolveItem(const ContactParts& parts, const IngestBatch& batch, People& people,
                         IngestItem& item) {
  IdentityDecision decision = people.Decide(item.identifiers, batch.now);
  item.hold = decision.identifiers;
  item.violations = std::move(decision.violations);
  switch (decision.kind) {
    case IdentityDecision::Kind::kUnidentified:
      item.status = error::InvalidField("identifiers", "identify nobody");
      return absl::OkStatus();
    case IdentityDecision::Kind::kMerge:
      CLM_RETURN_IF_ERROR(Join(parts, batch, decision, people, item));
      break;
    case IdentityDecision::Kind::kAdd:
      item.target = {batch.tenant, decision.profiles[0]};
      break;
    case IdentityDecision::Kind::kNewProfile:
      if (!batch.create_contacts) {
        item.status = error::Make(absl::StatusCode::kNotFound, "CONTACT_UNKNOWN",
                                  "identifiers: nobody has them; set create_contacts to make a "
                                  "contact");
        return absl::OkStatus();
      }
      item.target = {batch.tenant, Uuid::V7(batch.now)};
      people.Add(item.target.id, std::min(item.event.occur_time, batch.now));
      break;
  }
  item.learns = people.Attach(item.target.id, item.hold, batch.now);
  return absl::OkStatus();
}

}  // namespace

absl::Status ResolveIngest(const ContactParts& parts, IngestBatch& batch) {
  CLM_ASSIGN_OR_RETURN(batch.policy, parts.policies->Get(batch.tenant, batch.now, batch.deadline));
  std::vector<Uuid> named;
  for (const IngestItem& item : batch.items) {
    if (item.status.ok() && item.identifiers.empty()) named.push_back(item.target.id);
  }
  CLM_ASSIGN_OR_RETURN(const auto found, parts.reader->Get(batch.tenant, named, batch.deadline));
  absl::flat_hash_map<Uuid, Uuid> survivors;
  for (size_t i = 0; i < named.size(); ++i) {
    if (found[i]) survivors[named[i]] = found[i]->contact.key.id;
  }
  CLM_ASSIGN_OR_RETURN(People people, People::Load(parts, batch));
  for (IngestItem& item : batch.items) {
    if (!item.status.ok()) continue;
    if (!item.identifiers.empty()) {
      CLM_RETURN_IF_ERROR(ResolveItem(parts, batch, people, item));
    } else if (const auto it = survivors.find(item.target.id); it != survivors.end()) {
      item.target.id = it->second;
    }
  }
  // A later item may have shown who an earlier one was.
  for (IngestItem& item : batch.items) {
    const Uuid found = people.Find(item.target.id);
    item.joined = found != item.target.id;
    item.target.id = found;
    const auto begin = people.BeginOfNew(item.target.id);
    item.create = begin.has_value();
    if (begin) item.begin = *begin;
    for (IdentityViolation& violation : item.violations) {
      std::vector<Uuid> profiles;
      for (const Uuid& id : violation.profiles) {
        const Uuid now = people.Find(id);
        if (std::find(profiles.begin(), profiles.end(), now) == profiles.end()) {
          profiles.push_back(now);
        }
      }
      violation.profiles = std::move(profiles);
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
    if (item.create || item.learns) {
      work.NeedContact(item.target);
    } else {
      work.NeedStanding(item.target);
    }
    work.NeedEvent(batch.tenant, item.event.event_id);
    if (item.learns) work.NeedHeld(item.target);
    for (const auto& identifier : item.hold) work.NeedIdentifier(batch.tenant, identifier);
    for (const auto& said : item.identifiers) {
      if (const auto spelling = OtherSpelling(said.type, said.value, *batch.policy)) {
        const auto normal =
            NormalizeIdentifier(said.type, said.value, {.policy = batch.policy.get()});
        if (normal.ok()) work.NeedSpelling(batch.tenant, *normal, *spelling);
      }
    }
  }
}

absl::StatusOr<v1::IngestEventsResponse> ApplyIngest(const IngestBatch& batch, ContactWork& work,
                                                     journal::Recorder& recorder) {
  v1::IngestEventsResponse response;
  response.mutable_results()->Reserve(static_cast<int>(batch.items.size()));
  // In the order in which the contacts first appear.
  std::vector<RecordedBehavior> recorded;
  absl::flat_hash_map<EntityKey, size_t> place;
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
    std::vector<IdentityViolation> violations = item.violations;
    const absl::Status prepared = PrepareTarget(batch, item, work, recorder, violations);
    if (MovedTo(prepared) && !batch.last_try) return prepared;
    if (!prepared.ok()) {
      AddResult(response, prepared);
      continue;
    }
    BehaviorEvent event = item.event;
    event.receive_time = recorder.now();
    const auto [at, first] = place.try_emplace(item.target, recorded.size());
    if (first) recorded.emplace_back(item.target);
    RecordedBehavior& behavior = recorded[at->second];
    const v1::BehaviorEvent& added = behavior.Add(event);
    auto* result = response.add_results();
    result->set_event_id(added.event_id());
    result->set_contact(behavior.name);
    for (const auto& violation : violations) {
      work.AddViolation(item.target, {violation, event.event_id, event.receive_time, 1});
    }
    work.AddEvent(item.target, std::move(event));
  }
  for (const RecordedBehavior& behavior : recorded) {
    const EntityKey& key = behavior.contact;
    const std::optional<Standing> standing = work.FindStanding(key);
    for (const v1::BehaviorRecorded& payload : behavior.payloads) {
      journal::Entry entry;
      entry.shard = ShardOf(key.tenant, key.id);
      entry.tenant = key.tenant;
      entry.subject = behavior.name;
      entry.type = v1::BehaviorRecorded::descriptor()->full_name();
      entry.subject_version = standing ? standing->version : 0;
      entry.occur_time = FromProto(payload.events(0).occur_time());
      entry.payload = payload.SerializeAsString();
      recorder.Record(std::move(entry));
    }
  }
  return response;
}

}  // namespace clm::contact
