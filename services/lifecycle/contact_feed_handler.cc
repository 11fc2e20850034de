#include "services/lifecycle/contact_feed_handler.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/journal/consumed_event.h"
#include "services/lifecycle/folding.h"
#include "services/lifecycle/lifecycle_proto.h"

namespace clm::lifecycle {
namespace {

using contact::v1::AcquisitionCostRecorded;
using contact::v1::BehaviorRecorded;
using contact::v1::ContactChanged;
using contact::v1::ContactsMerged;

absl::StatusOr<EntityKey> ContactOf(const event::v1::Event& event, const std::string& name) {
  return journal::EntityOf(event, "contact", kContacts, name);
}

// The values of a customer's fields as conditions name them.
DynamicValues FieldsOf(const ContactChanged& change) {
  DynamicValues fields;
  if (!change.source().empty()) fields["source"] = change.source();
  if (!change.locale().empty()) fields["locale"] = change.locale();
  fields["status"] = StatusName(change.status());
  for (const auto& [id, value] : change.attributes()) {
    if (auto dynamic = FromProto(value)) fields[absl::StrCat("attributes.", id)] = *dynamic;
  }
  return fields;
}

// Whether a change of the field is a fact: it may move customers, and is not personal.
bool IsTracked(const std::string& field) {
  return field == "source" || field == "locale" || field == "status" ||
         absl::StartsWith(field, "attributes.");
}

std::vector<FactPtr> ChangesOf(const event::v1::Event& event, const ContactChanged& change) {
  std::vector<FactPtr> facts;
  if (change.change() == ContactChanged::CHANGE_CREATED ||
      change.change() == ContactChanged::CHANGE_ERASED) {
    return facts;
  }
  const DynamicValues fields = FieldsOf(change);
  const auto event_id = Uuid::Parse(event.id());
  for (const std::string& field : change.changed_fields()) {
    if (!IsTracked(field)) continue;
    StoredFact fact;
    fact.id = Uuid::V5(event_id.value_or(Uuid()), field);
    fact.fact.at = FromProto(event.occur_time());
    fact.fact.kind = Fact::Kind::kAttribute;
    fact.fact.type = field;
    const auto value = fields.find(field);
    if (value != fields.end()) fact.properties["value"] = value->second;
    facts.push_back(ShareFact(std::move(fact)));
  }
  return facts;
}

absl::StatusOr<std::vector<FactPtr>> FactsOf(const BehaviorRecorded& recorded) {
  std::vector<FactPtr> facts;
  for (const auto& event : recorded.events()) {
    FactPtr fact = FromProto(event);
    if (fact->id.IsNil()) return journal::MalformedEvent("event_id");
    if (fact->fact.type.empty() || !event.has_occur_time()) return journal::MalformedEvent("event");
    facts.push_back(std::move(fact));
  }
  return facts;
}

void SetFields(Customer& customer, const ContactChanged& change) {
  customer.source = change.source();
  customer.locale = change.locale();
  customer.status = change.status();
  customer.attributes.clear();
  for (const auto& [id, value] : change.attributes()) {
    if (auto dynamic = FromProto(value)) customer.attributes[id] = *std::move(dynamic);
  }
}

// Makes the row of a customer that nobody has heard of.
void Begin(LifecycleWork& work, const EntityKey& key, absl::Time create_time) {
  work.Change(key).create_time = create_time;
}

absl::Status ApplyChange(const event::v1::Event& event, LifecycleWork& work,
                         journal::Recorder& recorder) {
  ContactChanged change;
  if (!change.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ContactOf(event, change.contact()));
  const Customer before = work.CustomerOf(key);
  if (before.merged_into) {
    // The survivor speaks for it; only what must be forgotten concerns an alias.
    if (change.change() == ContactChanged::CHANGE_ERASED) work.Erase(key);
    return absl::OkStatus();
  }
  const absl::Time create_time =
      change.has_create_time() ? FromProto(change.create_time()) : FromProto(event.occur_time());
  Customer& customer = work.Change(key);
  const bool created = !before.known;
  // A beginning that moved is a fact that moved.
  const bool restarted = before.known && customer.create_time != create_time;
  customer.create_time = create_time;
  SetFields(customer, change);
  if (customer.initial.empty()) customer.initial = FieldsOf(change);
  if (change.change() == ContactChanged::CHANGE_ERASED) work.Erase(key);

  std::vector<FactPtr> facts = ChangesOf(event, change);
  FoldRequest request{.customer = key, .facts = std::move(facts), .created = created};
  if (restarted && !work.Models(key.tenant).models.empty()) request.anew = true;
  CLM_ASSIGN_OR_RETURN(const FoldDecision decision, DecideFold(work, request, recorder.now()));
  CommitFold(work, recorder, decision, event.id());
  return absl::OkStatus();
}

absl::Status ApplyBehavior(const event::v1::Event& event, LifecycleWork& work,
                           journal::Recorder& recorder) {
  BehaviorRecorded recorded;
  const std::vector<FactPtr>* remembered = work.Remembered(&event);
  std::vector<FactPtr> facts;
  EntityKey key;
  if (remembered != nullptr) {
    facts = *remembered;
    CLM_ASSIGN_OR_RETURN(key, ContactOf(event, event.subject()));
  } else {
    if (!recorded.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
    CLM_ASSIGN_OR_RETURN(key, ContactOf(event, recorded.contact()));
    CLM_ASSIGN_OR_RETURN(facts, FactsOf(recorded));
  }
  const Customer& customer = work.CustomerOf(key);
  if (customer.merged_into) {
    for (const FactPtr& fact : facts) work.Redirect(key, fact);
    return absl::OkStatus();
  }
  FoldRequest request{.customer = key, .facts = std::move(facts)};
  if (!customer.known) {
    // Its creation is parked or was lost with an older journal; it begins with what it did.
    absl::Time first = FromProto(event.occur_time());
    for (const FactPtr& fact : request.facts) first = std::min(first, fact->fact.at);
    Begin(work, key, first);
    request.created = true;
  }
  CLM_ASSIGN_OR_RETURN(const FoldDecision decision, DecideFold(work, request, recorder.now()));
  CommitFold(work, recorder, decision, event.id());
  return absl::OkStatus();
}

absl::Status ApplyMerge(const event::v1::Event& event, LifecycleWork& work,
                        journal::Recorder& recorder) {
  ContactsMerged merge;
  if (!merge.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
  CLM_ASSIGN_OR_RETURN(const EntityKey survivor, ContactOf(event, merge.contact()));
  CLM_ASSIGN_OR_RETURN(const EntityKey merged, ContactOf(event, merge.merged_contact()));
  if (survivor == merged) return journal::MalformedEvent("merged_contact");
  CLM_RETURN_IF_ERROR(work.LoadAll(survivor));
  CLM_RETURN_IF_ERROR(work.LoadAll(merged));
  if (work.CustomerOf(merged).merged_into) return absl::OkStatus();
  const absl::Time now = recorder.now();
  for (const EntityKey* key : {&survivor, &merged}) {
    // Heard of here first: its own shard's events are yet to come.
    if (!work.CustomerOf(*key).known) Begin(work, *key, FromProto(event.occur_time()));
  }
  // Time goes on from where it was with either of them.
  absl::Time until = absl::InfinitePast();
  for (const auto& [_, place] : work.CustomerOf(merged).places) {
    until = std::max(until, place.state.applied.at);
  }
  const auto voided = work.MoveHistory(merged, survivor, now);
  FoldDecision decision{.customer = survivor};
  // Who was merged itself has no stages; the last survivor is folded under its own shard.
  if (!work.CustomerOf(survivor).merged_into) {
    CLM_ASSIGN_OR_RETURN(
        decision, DecideFold(work, {.customer = survivor, .until = until, .anew = true}, now));
  }
  std::map<std::string, std::vector<RecordedTransition>> by_model;
  for (const auto& [model, line] : voided) by_model[model].push_back(line);
  for (const auto& [model, lines] : by_model) {
    RecordSuperseded(work, recorder, survivor, merged, model, lines, event.id());
  }
  CommitFold(work, recorder, decision, event.id());
  return absl::OkStatus();
}

absl::Status ApplyCost(const event::v1::Event& event, LifecycleWork& work) {
  AcquisitionCostRecorded recorded;
  if (!recorded.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
  const contact::v1::AcquisitionCost& cost = recorded.cost();
  const auto key = ParseEntityName("name", "acquisitionCosts", cost.name());
  const auto start = ParseDay(cost.start_date());
  const auto end = ParseDay(cost.end_date());
  if (!key.ok() || key->tenant != event.tenant() || !start || !end)
    return journal::MalformedEvent("cost");
  Cost row;
  row.id = key->id;
  if (!cost.contact().empty()) {
    CLM_ASSIGN_OR_RETURN(const EntityKey contact, ContactOf(event, cost.contact()));
    row.contact = contact.id;
  }
  row.source = cost.source();
  row.start = *start;
  row.end = *end;
  row.amount_minor = cost.amount_minor();
  row.currency = cost.currency();
  row.create_time =
      cost.has_create_time() ? FromProto(cost.create_time()) : FromProto(event.occur_time());
  work.AddCost(event.tenant(), std::move(row));
  return absl::OkStatus();
}

}  // namespace

void ContactFeedHandler::Declare(const event::v1::Event& event, journal::Work& base) {
  auto& work = static_cast<LifecycleWork&>(base);
  if (journal::HasPayload<ContactChanged>(event)) {
    ContactChanged change;
    if (!change.ParseFromString(event.payload())) return;
    const auto key = ContactOf(event, change.contact());
    if (key.ok()) work.NeedFold(*key, ChangesOf(event, change));
  } else if (journal::HasPayload<BehaviorRecorded>(event)) {
    BehaviorRecorded recorded;
    if (!recorded.ParseFromString(event.payload())) return;
    const auto key = ContactOf(event, recorded.contact());
    if (!key.ok()) return;
    auto facts = FactsOf(recorded);
    if (!facts.ok()) return;
    work.NeedRecord(*key, *facts);
    if (recorded.contact() == event.subject()) work.Remember(&event, *std::move(facts));
  } else if (journal::HasPayload<ContactsMerged>(event)) {
    ContactsMerged merge;
    if (!merge.ParseFromString(event.payload())) return;
    const auto survivor = ContactOf(event, merge.contact());
    const auto merged = ContactOf(event, merge.merged_contact());
    if (!survivor.ok() || !merged.ok()) return;
    work.NeedMerge(*survivor, *merged);
  }
}

absl::Status ContactFeedHandler::Apply(const event::v1::Event& event, journal::Work& base,
                                       journal::Recorder& recorder) {
  auto& work = static_cast<LifecycleWork&>(base);
  if (journal::HasPayload<ContactChanged>(event)) return ApplyChange(event, work, recorder);
  if (journal::HasPayload<BehaviorRecorded>(event)) return ApplyBehavior(event, work, recorder);
  if (journal::HasPayload<ContactsMerged>(event)) return ApplyMerge(event, work, recorder);
  if (journal::HasPayload<AcquisitionCostRecorded>(event)) return ApplyCost(event, work);
  return absl::OkStatus();
}

}  // namespace clm::lifecycle
