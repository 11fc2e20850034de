#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "services/contact/contact_handlers.h"
#include "services/contact/contact_mutation.h"
#include "services/contact/contact_proto.h"

namespace clm::contact {
namespace {

// One event of a request on its way.
struct Item {
  absl::Status status;  // Refused already.
  BehaviorEvent event;
  std::vector<Identifier> identifiers;  // Said by the caller; empty when the contact is named.
  EntityKey target;                     // Known once resolved.
  bool create = false;                  // The target is to be made.
  std::vector<Identifier> hold;         // What the target is to have afterwards.
};

struct Batch {
  std::string tenant;
  std::string actor;
  std::string traceparent;
  absl::Time now;
  absl::Time deadline;
  bool create_contacts = false;
  std::vector<Item> items;
};

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

void Declare(const Batch& batch, ContactWork& work) {
  for (const Item& item : batch.items) {
    if (!item.status.ok()) continue;
    work.NeedContact(item.target);
    work.NeedEvent(batch.tenant, item.event.event_id);
    for (const auto& identifier : item.hold) work.NeedIdentifier(batch.tenant, identifier);
  }
}

// Makes the contact of an item, or attaches to it the identifiers that nobody has.
absl::Status PrepareTarget(const Batch& batch, const Item& item, ContactWork& work,
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

absl::StatusOr<std::string> Apply(const Batch& batch, ContactWork& work,
                                  journal::Recorder& recorder) {
  v1::IngestEventsResponse response;
  std::map<EntityKey, v1::BehaviorRecorded> recorded;
  for (const Item& item : batch.items) {
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
  return response.SerializeAsString();
}

// Joins profiles that an event showed to be one person: two at a time, the oldest surviving.
// Blocks.
absl::Status MergeProfiles(const ContactParts& parts, const Batch& batch,
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

// Finds out whose each event is. Blocks.
absl::Status Resolve(const ContactParts& parts, Batch& batch) {
  std::vector<Identifier> all;
  std::vector<Uuid> named;
  for (const Item& item : batch.items) {
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
  for (Item& item : batch.items) {
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

class Ingest : public std::enable_shared_from_this<Ingest> {
 public:
  Ingest(const ContactParts& parts, std::shared_ptr<Batch> batch,
         rpc::Reply<v1::IngestEventsResponse> reply)
      : parts_(parts), batch_(std::move(batch)), reply_(std::move(reply)) {}

  void Start() {
    const bool resolved = std::none_of(batch_->items.begin(), batch_->items.end(),
                                       [](const Item& i) { return !i.identifiers.empty(); });
    // Contacts that are named are taken at their word; merged ones answer CONTACT_MOVED.
    if (resolved) return Submit();
    ResolveThenSubmit();
  }

 private:
  void ResolveThenSubmit() {
    if (--tries_ == 0) return reply_(Moved(batch_->items[0].target.id));
    const bool posted = parts_.workers->Post([self = shared_from_this()] {
      const absl::Status status = Resolve(self->parts_, *self->batch_);
      if (!status.ok()) return self->reply_(status);
      self->Submit();
    });
    if (!posted) reply_(Busy());
  }

  void Submit() {
    journal::MutationInfo info;
    info.tenant = batch_->tenant;
    info.actor = batch_->actor;
    info.traceparent = batch_->traceparent;
    info.deadline = batch_->deadline;
    info.weight = std::max<int>(1, static_cast<int>(batch_->items.size()));
    for (const Item& item : batch_->items) {
      if (item.status.ok()) info.shards.set(ShardOf(batch_->tenant, item.target.id));
    }
    if (info.shards.none()) {
      v1::IngestEventsResponse response;
      for (const Item& item : batch_->items) AddResult(response, item.status);
      return reply_(std::move(response));
    }
    auto self = shared_from_this();
    parts_.lanes->Submit(std::make_unique<journal::MutationOf<ContactWork>>(
        std::move(info), [self](ContactWork& work) { Declare(*self->batch_, work); },
        [self](ContactWork& work, journal::Recorder& recorder) {
          return Apply(*self->batch_, work, recorder);
        },
        [self](absl::StatusOr<journal::Answer> answer) {
          if (MovedTo(answer.status())) return self->ResolveThenSubmit();
          if (!answer.ok()) return self->reply_(answer.status());
          self->reply_.Bytes(std::move(answer->response));
        }));
  }

  const ContactParts parts_;
  const std::shared_ptr<Batch> batch_;
  rpc::Reply<v1::IngestEventsResponse> reply_;
  int tries_ = kMovedTries;
};

}  // namespace

void TimelineHandlers::IngestEvents(const rpc::Call& call, const v1::IngestEventsRequest& request,
                                    rpc::Reply<v1::IngestEventsResponse> reply) {
  auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  auto batch = std::make_shared<Batch>();
  batch->tenant = *tenant;
  batch->actor = call.caller.actor;
  batch->traceparent = call.traceparent;
  batch->now = call.now;
  batch->deadline = call.deadline;
  batch->create_contacts = request.create_contacts();
  batch->items.reserve(request.events_size());
  for (int i = 0; i < request.events_size(); ++i) {
    const auto& wire = request.events(i);
    Item item;
    auto event = FromProto("event", wire);
    if (!event.ok()) {
      item.status = event.status();
    } else {
      item.event = *std::move(event);
      item.event.source = "api";
      if (item.event.event_id.IsNil()) item.event.event_id = Uuid::V7(call.now);
      item.status = ValidateEvent(item.event, call.now);
    }
    if (item.status.ok() && !wire.contact().empty()) {
      auto key = ParseEntityName("event.contact", kContacts, wire.contact());
      if (!key.ok()) {
        item.status = key.status();
      } else if (key->tenant != *tenant) {
        item.status = error::InvalidField("event.contact", "is of another tenant than the parent");
      } else {
        item.target = *std::move(key);
      }
    } else if (item.status.ok()) {
      if (wire.identifiers().empty()) {
        item.status = error::InvalidField("event.contact", "is required without identifiers");
      }
      for (const auto& [type, value] : wire.identifiers())
        item.identifiers.push_back({type, value});
    }
    batch->items.push_back(std::move(item));
  }
  std::make_shared<Ingest>(parts_, std::move(batch), std::move(reply))->Start();
}

absl::StatusOr<v1::ListEventsResponse> TimelineHandlers::ListEvents(
    const rpc::Call& call, const v1::ListEventsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("parent", kContacts, request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListEvents", request.parent(), request.filter()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  ContactReader::EventsQuery query{key, request.filter(), std::nullopt, size + 1};
  if (last.size() == 2) {
    int64_t micros = 0;
    const auto id = Uuid::FromBytes(last[1]);
    if (absl::SimpleAtoi(last[0], &micros) && id) query.after = {absl::FromUnixMicros(micros), *id};
  }
  CLM_ASSIGN_OR_RETURN(auto events, parts_.reader->Events(query, call.deadline));
  v1::ListEventsResponse response;
  const bool more = static_cast<int>(events.size()) > size;
  if (more) events.resize(size);
  for (const auto& event : events) *response.add_events() = ToProto(key, event);
  if (more) {
    response.set_next_page_token(
        parts_.tokens->Encode(list, {absl::StrCat(absl::ToUnixMicros(events.back().occur_time)),
                                     events.back().event_id.ToBytes()}));
  }
  return response;
}

void TimelineHandlers::CreateAcquisitionCost(const rpc::Call& call,
                                             const v1::CreateAcquisitionCostRequest& request,
                                             rpc::Reply<v1::AcquisitionCost> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  auto cost = FromProto("acquisition_cost", *tenant, request.acquisition_cost());
  if (!cost.ok()) return reply(cost.status());
  cost->id = Uuid::V7(call.now);
  if (const absl::Status valid = ValidateAcquisitionCost(*cost, call.now); !valid.ok()) {
    return reply(valid);
  }
  journal::MutationInfo info = journal::InfoFor(call, *tenant, request);
  info.shards.set(ShardOf(*tenant, "acquisitionCosts"));
  journal::Mutate<ContactWork>(
      *parts_.lanes, std::move(info),
      [tenant = *tenant, contact = cost->contact](ContactWork& work) {
        if (contact) work.NeedContact({tenant, *contact});
      },
      [tenant = *tenant, cost = *cost](ContactWork& work,
                                       journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        if (cost.contact && work.FindContact({tenant, *cost.contact}) == nullptr) {
          return error::NotFound(EntityName(kContacts, {tenant, *cost.contact}));
        }
        AcquisitionCost stored = cost;
        stored.create_time = recorder.now();
        work.AddCost(tenant, stored);
        v1::AcquisitionCostRecorded payload;
        *payload.mutable_cost() = ToProto(tenant, stored);
        recorder.Record({ShardOf(tenant, "acquisitionCosts"), tenant, payload.cost().name(),
                         v1::AcquisitionCostRecorded::descriptor()->full_name(), 1, std::nullopt,
                         "", payload.SerializeAsString()});
        return payload.cost().SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::ListAcquisitionCostsResponse> TimelineHandlers::ListAcquisitionCosts(
    const rpc::Call& call, const v1::ListAcquisitionCostsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListAcquisitionCosts", tenant};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  Uuid after;
  if (!last.empty()) after = Uuid::FromBytes(last[0]).value_or(Uuid());
  CLM_ASSIGN_OR_RETURN(auto costs,
                       parts_.reader->Costs(tenant, std::nullopt, after, size + 1, call.deadline));
  v1::ListAcquisitionCostsResponse response;
  const bool more = static_cast<int>(costs.size()) > size;
  if (more) costs.resize(size);
  for (const auto& cost : costs) *response.add_acquisition_costs() = ToProto(tenant, cost);
  if (more) response.set_next_page_token(parts_.tokens->Encode(list, {costs.back().id.ToBytes()}));
  return response;
}

}  // namespace clm::contact
