#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/status.h"
#include "services/contact/contact_handlers.h"
#include "services/contact/contact_mutation.h"
#include "services/contact/contact_proto.h"
#include "services/contact/ingest.h"

namespace clm::contact {
namespace {

class Ingest : public std::enable_shared_from_this<Ingest> {
 public:
  Ingest(const ContactParts& parts, std::shared_ptr<IngestBatch> batch,
         rpc::Reply<v1::IngestEventsResponse> reply)
      : parts_(parts), batch_(std::move(batch)), reply_(std::move(reply)) {}

  void Start() {
    const bool resolved = std::none_of(batch_->items.begin(), batch_->items.end(),
                                       [](const IngestItem& i) { return !i.identifiers.empty(); });
    // Contacts that are named are taken at their word; merged ones answer CONTACT_MOVED.
    if (resolved) return Submit();
    ResolveThenSubmit();
  }

 private:
  void ResolveThenSubmit() {
    batch_->last_try = --tries_ == 0;
    const bool posted = parts_.workers->Post([self = shared_from_this()] {
      const absl::Status status = ResolveIngest(self->parts_, *self->batch_);
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
    info.shards = ShardsOf(*batch_);
    if (info.shards.none()) {
      v1::IngestEventsResponse response;
      for (const IngestItem& item : batch_->items) {
        *response.add_results()->mutable_status() = rpc::ToRpcStatus(item.status);
      }
      return reply_(std::move(response));
    }
    auto self = shared_from_this();
    parts_.lanes->Submit(std::make_unique<journal::MutationOf<ContactWork>>(
        std::move(info), [self](ContactWork& work) { DeclareIngest(*self->batch_, work); },
        [self](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          CLM_ASSIGN_OR_RETURN(const auto response, ApplyIngest(*self->batch_, work, recorder));
          return response.SerializeAsString();
        },
        [self](absl::StatusOr<journal::Answer> answer) {
          if (MovedTo(answer.status())) return self->ResolveThenSubmit();
          if (!answer.ok()) return self->reply_(answer.status());
          self->reply_.Bytes(std::move(answer->response));
        }));
  }

  const ContactParts parts_;
  const std::shared_ptr<IngestBatch> batch_;
  rpc::Reply<v1::IngestEventsResponse> reply_;
  int tries_ = kMovedTries;  // Of resolving.
};

// Records the cost, unless it is there already. `contact`: whose it is; nullptr: nobody's.
absl::StatusOr<v1::AcquisitionCost> RecordCost(ContactWork& work, journal::Recorder& recorder,
                                               const std::string& tenant, AcquisitionCost cost,
                                               const Contact* contact) {
  cost.create_time = recorder.now();
  if (const AcquisitionCost* known = work.FindCost(tenant, cost.id)) {
    cost.create_time = known->create_time;
    if (cost == *known) return ToProto(tenant, *known);
    return error::Make(absl::StatusCode::kAlreadyExists, "COST_EXISTS",
                       "acquisition_cost.name: another cost has it",
                       {{"field", "acquisition_cost.name"}});
  }
  if (contact != nullptr && contact->status == ContactStatus::kErased) {
    return error::Precondition("CONTACT_ERASED",
                               "acquisition_cost.contact: was erased; it takes no more costs");
  }
  v1::AcquisitionCostRecorded payload;
  *payload.mutable_cost() = ToProto(tenant, cost);
  work.AddCost(tenant, std::move(cost));
  recorder.Record({ShardOf(tenant, kAcquisitionCosts), tenant, payload.cost().name(),
                   v1::AcquisitionCostRecorded::descriptor()->full_name(), 1, std::nullopt, "",
                   payload.SerializeAsString()});
  return payload.cost();
}

}  // namespace

void TimelineHandlers::IngestEvents(const rpc::Call& call, const v1::IngestEventsRequest& request,
                                    rpc::Reply<v1::IngestEventsResponse> reply) {
  auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  auto batch = std::make_shared<IngestBatch>();
  batch->tenant = *tenant;
  batch->actor = call.caller.actor;
  batch->traceparent = call.traceparent;
  batch->now = call.now;
  batch->deadline = call.deadline;
  batch->create_contacts = request.create_contacts();
  batch->items.reserve(request.events_size());
  for (int i = 0; i < request.events_size(); ++i) {
    const auto& wire = request.events(i);
    IngestItem item;
    error::FieldErrors errors;
    item.event = FromProto("event", wire, errors);
    item.event.source = "api";
    if (item.event.event_id.IsNil()) item.event.event_id = Uuid::V7(call.now);
    errors.AddStatus("", ValidateEvent(item.event, call.now));
    item.status = errors.ToStatus();
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
  ContactReader::EventsQuery query{key, request.filter(), std::nullopt, size + 1, call.now};
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
  const bool named = !cost->id.IsNil();
  if (!named) cost->id = Uuid::V7(call.now);
  if (const absl::Status valid = ValidateAcquisitionCost(*cost, call.now); !valid.ok()) {
    return reply(valid);
  }
  const int shard = ShardOf(*tenant, kAcquisitionCosts);
  const auto declare = [named, tenant = *tenant, id = cost->id](ContactWork& work) {
    if (named) work.NeedCost(tenant, id);
  };
  if (cost->contact) {
    // Under the contact's shard too: a merge takes its costs along.
    ContactMutation<v1::AcquisitionCost> mutation;
    mutation.info = journal::InfoFor(call, *tenant, request);
    mutation.key = {*tenant, *cost->contact};
    mutation.also.set(shard);
    mutation.declare = [declare](ContactWork& work, const EntityKey& k) {
      declare(work);
      work.NeedContact(k);
    };
    mutation.apply = [tenant = *tenant, cost = *cost](
                         ContactWork& work, journal::Recorder& recorder,
                         const EntityKey& k) -> absl::StatusOr<v1::AcquisitionCost> {
      CLM_ASSIGN_OR_RETURN(const Contact* contact, Require(work, k));
      AcquisitionCost theirs = cost;
      theirs.contact = k.id;
      return RecordCost(work, recorder, tenant, std::move(theirs), contact);
    };
    return RunOnContact(*parts_.lanes, std::move(mutation), std::move(reply));
  }
  journal::MutationInfo info = journal::InfoFor(call, *tenant, request);
  info.shards.set(shard);
  journal::Mutate<ContactWork>(
      *parts_.lanes, std::move(info), declare,
      [tenant = *tenant, cost = *cost](ContactWork& work,
                                       journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const v1::AcquisitionCost recorded,
                             RecordCost(work, recorder, tenant, cost, nullptr));
        return recorded.SerializeAsString();
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

absl::StatusOr<v1::ListIdentityViolationsResponse> TimelineHandlers::ListIdentityViolations(
    const rpc::Call& call, const v1::ListIdentityViolationsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListIdentityViolations", tenant, "by digest"};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<ContactReader::ViolationPlace> after;
  if (last.size() == 3) {
    after.emplace();
    after->contact = Uuid::FromBytes(last[0]).value_or(Uuid());
    if (!absl::SimpleAtoi(last[1], &after->kind)) after->kind = 0;
    after->digest = last[2];
  }
  CLM_ASSIGN_OR_RETURN(auto rows,
                       parts_.reader->Violations(tenant, {}, after, size + 1, call.deadline));
  v1::ListIdentityViolationsResponse response;
  const bool more = static_cast<int>(rows.size()) > size;
  if (more) rows.resize(size);
  for (const auto& row : rows) {
    *response.add_violations() = ToProto({tenant, row.place.contact}, row.stored);
  }
  if (more) {
    const ContactReader::ViolationPlace& place = rows.back().place;
    response.set_next_page_token(parts_.tokens->Encode(
        list, {place.contact.ToBytes(), absl::StrCat(place.kind), place.digest}));
  }
  return response;
}

}  // namespace clm::contact
