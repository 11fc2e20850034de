// What the contact service can tell of a message by itself, for refusals that name every bad field
// of a request (rpc::Validator::AddRules).
#ifndef CLM_SERVICES_CONTACT_REQUEST_RULES_H_
#define CLM_SERVICES_CONTACT_REQUEST_RULES_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact.pb.h"
#include "services/contact/contact_proto.h"

namespace clm::contact {

// Pure. INVALID_ARGUMENT with paths within the message.
absl::Status RulesOfContact(const v1::Contact& contact, absl::Time now);
absl::Status RulesOfEvent(const v1::BehaviorEvent& event, absl::Time now);

// For every message above. Once per process is enough, more does not matter.
void AddRequestRules();

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_REQUEST_RULES_H_
