#include "services/loyalty/contact_feed_handler.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/consumed_event.h"
#include "services/loyalty/event_earning.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/referral_changes.h"

namespace clm::loyalty {
namespace {

using contact::v1::BehaviorRecorded;
using contact::v1::ContactChanged;
using contact::v1::ContactsMerged;

absl::StatusOr<EntityKey> ContactOf(const event::v1::Event& event, const std::string& name) {
  return journal::EntityOf(event, "contact", kContacts, name);
}

absl::Status ApplyErasure(const event::v1::Event& event, LoyaltyWork& work,
                          journal::Recorder& recorder) {
  CLM_ASSIGN_OR_RETURN(const EntityKey contact, ContactOf(event, event.subject()));
  work.ForgetCoupons(contact);
  ForgetReferrals(work, recorder, contact);
  work.orders().Forget(contact);
  work.adjustments().Forget(contact);
  work.bonuses().Forget(contact);
  for (const MemberKey& key : work.MembersOf(contact)) {
    Member member = *work.FindMember(key);
    if (member.erased) continue;
    member.erased = true;
    work.SaveMember(key, member);
    work.ForgetNotes(key);
    v1::MemberErased erased;
    erased.set_member(NameOf(key));
    recorder.Record({.shard = ShardOf(key.tenant, key.contact),
                     .tenant = key.tenant,
                     .subject = erased.member(),
                     .type = v1::MemberErased::descriptor()->full_name(),
                     .payload = erased.SerializeAsString()});
  }
  return absl::OkStatus();
}

absl::Status ApplyMerge(const event::v1::Event& event, LoyaltyWork& work) {
  ContactsMerged merge;
  if (!merge.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
  CLM_ASSIGN_OR_RETURN(const EntityKey survivor, ContactOf(event, merge.contact()));
  CLM_ASSIGN_OR_RETURN(const EntityKey merged, ContactOf(event, merge.merged_contact()));
  if (survivor == merged) return journal::MalformedEvent("merged_contact");
  work.SaveAlias(merged, survivor.id);
  return absl::OkStatus();
}

// The events of a BehaviorRecorded.
absl::StatusOr<std::vector<CustomerEvent>> EventsOf(const event::v1::Event& event) {
  BehaviorRecorded recorded;
  if (!recorded.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
  CLM_ASSIGN_OR_RETURN(const EntityKey contact, ContactOf(event, recorded.contact()));
  std::vector<CustomerEvent> events;
  for (const auto& behavior : recorded.events()) {
    auto known = CustomerEventOf(contact, behavior);
    if (!known) return journal::MalformedEvent("event");
    events.push_back(*std::move(known));
  }
  return events;
}

bool IsErasure(const event::v1::Event& event) {
  ContactChanged change;
  return journal::HasPayload<ContactChanged>(event) && change.ParseFromString(event.payload()) &&
         change.change() == ContactChanged::CHANGE_ERASED;
}

}  // namespace

void ContactFeedHandler::Declare(const event::v1::Event& event, journal::Work& work) {
  if (journal::HasPayload<BehaviorRecorded>(event)) {
    // Where there is no programme they mean nothing, and need not be read.
    static_cast<LoyaltyWork&>(work).NeedProgramsOf(event.tenant(), [&event](LoyaltyWork& loyalty) {
      const auto events = EventsOf(event);
      if (!events.ok()) return;
      for (const CustomerEvent& one : *events) NeedCustomerEvent(loyalty, one);
    });
    return;
  }
  if (!IsErasure(event)) return;
  const auto contact = ContactOf(event, event.subject());
  if (!contact.ok()) return;
  static_cast<LoyaltyWork&>(work).NeedContact(*contact);
  static_cast<LoyaltyWork&>(work).referrals().NeedContact(*contact);
}

absl::Status ContactFeedHandler::Apply(const event::v1::Event& event, journal::Work& work,
                                       journal::Recorder& recorder) {
  auto& loyalty = static_cast<LoyaltyWork&>(work);
  if (journal::HasPayload<BehaviorRecorded>(event)) {
    if (loyalty.ProgramsOf(event.tenant()).empty()) return absl::OkStatus();
    CLM_ASSIGN_OR_RETURN(const std::vector<CustomerEvent> events, EventsOf(event));
    for (const CustomerEvent& one : events) {
      CLM_RETURN_IF_ERROR(ApplyCustomerEvent(loyalty, recorder, one));
    }
    return absl::OkStatus();
  }
  if (journal::HasPayload<ContactsMerged>(event)) return ApplyMerge(event, loyalty);
  if (IsErasure(event)) return ApplyErasure(event, loyalty, recorder);
  return absl::OkStatus();
}

}  // namespace clm::loyalty
