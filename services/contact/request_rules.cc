#include "services/contact/request_rules.h"

#include <string>

#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/rpc/validator.h"
#include "services/contact/contact.h"
#include "services/contact/timeline.h"

namespace clm::contact {
namespace {

constexpr char kContactField[] = "contact";
constexpr char kEventField[] = "event";

// The rules speak of "contact.email"; within the message that is "email".
absl::Status Within(const std::string& field, const error::FieldErrors& errors) {
  error::FieldErrors within;
  for (const auto& [path, what] : error::FieldViolations(errors.ToStatus())) {
    within.Add(path == field ? "" : absl::StripPrefix(path, field + "."), what);
  }
  return within.ToStatus();
}

}  // namespace

absl::Status RulesOfContact(const v1::Contact& contact, absl::Time now) {
  error::FieldErrors errors;
  const ContactPatch patch = PatchFrom(kContactField, contact, errors);
  // Whose message it is, and so the tenant's identity policy, is not known here.
  errors.AddStatus("", ValidatePatch(patch, {}, now));
  return Within(kContactField, errors);
}

absl::Status RulesOfEvent(const v1::BehaviorEvent& event, absl::Time now) {
  error::FieldErrors errors;
  const BehaviorEvent read = FromProto(kEventField, event, errors);
  errors.AddStatus("", ValidateEvent(read, now));
  return Within(kEventField, errors);
}

void AddRequestRules() {
  rpc::Validator::AddRules(&RulesOfContact);
  rpc::Validator::AddRules(&RulesOfEvent);
}

}  // namespace clm::contact
