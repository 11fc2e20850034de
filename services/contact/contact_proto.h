// Wire <-> domain, for everything the contact service's RPCs speak of. No decisions.
#ifndef CLM_SERVICES_CONTACT_CONTACT_PROTO_H_
#define CLM_SERVICES_CONTACT_CONTACT_PROTO_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact.pb.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "google/protobuf/field_mask.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/time_proto.h"
#include "services/contact/attributes.h"
#include "services/contact/consent.h"
#include "services/contact/contact.h"
#include "services/contact/identity_policy.h"
#include "services/contact/timeline.h"

namespace clm::contact {

inline constexpr char kContacts[] = "contacts";
inline constexpr char kAcquisitionCosts[] = "acquisitionCosts";

using ::clm::FromProto;
using ::clm::ToProto;

v1::Contact ToProto(const Contact& contact, const std::vector<Uuid>& aliases = {});
// The same into an empty message.
void ToProto(const Contact& contact, const std::vector<Uuid>& aliases, v1::Contact* out);
// Every populated field of `contact`, as a patch; its etag becomes if_version. Field errors begin
// with `field` ("contact").
absl::StatusOr<ContactPatch> PatchFrom(absl::string_view field, const v1::Contact& contact);
// The same of what can be read of it; the rest is in `errors`.
ContactPatch PatchFrom(absl::string_view field, const v1::Contact& contact,
                       error::FieldErrors& errors);
// The same under a mask, see ApplyMask.
absl::StatusOr<ContactPatch> PatchFrom(absl::string_view field, const v1::Contact& contact,
                                       const google::protobuf::FieldMask& mask);

void ToProto(const AttributeValue& value, v1::AttributeValue* out);
// nullopt for a value that is not set. INVALID_ARGUMENT on `field` for a malformed decimal or date.
absl::StatusOr<std::optional<AttributeValue>> FromProto(absl::string_view field,
                                                        const v1::AttributeValue& value);

v1::AttributeDefinition ToProto(const std::string& tenant, const AttributeDefinition& definition);
v1::AttributeHistoryEntry ToProto(const AttributeHistoryEntry& entry);
AttributeDefinition FromProto(const std::string& id, const v1::AttributeDefinition& definition);

// Without identifiers.
v1::BehaviorEvent ToProto(const EntityKey& contact, const BehaviorEvent& event);
// `contact` is its resource name.
void ToProto(absl::string_view contact, const BehaviorEvent& event, v1::BehaviorEvent* out);
// Contact and identifiers are left to the caller. A missing event_id leaves a nil one.
// What cannot be read is in `errors`, by paths that begin with `field`.
BehaviorEvent FromProto(absl::string_view field, const v1::BehaviorEvent& event,
                        error::FieldErrors& errors);

v1::AcquisitionCost ToProto(const std::string& tenant, const AcquisitionCost& cost);
// A missing name leaves a nil id.
absl::StatusOr<AcquisitionCost> FromProto(absl::string_view field, const std::string& tenant,
                                          const v1::AcquisitionCost& cost);

// Without name, time and etag.
v1::IdentityPolicy ToProto(const IdentityPolicy& policy);
v1::IdentityPolicy ToProto(const std::string& tenant, const StoredIdentityPolicy& stored);
// In normal form. What is wrong is in `errors`, by paths that begin with `field`.
IdentityPolicy FromProto(absl::string_view field, const v1::IdentityPolicy& policy,
                         error::FieldErrors& errors);

v1::IdentityViolation ToProto(const EntityKey& contact, const StoredViolation& violation);

std::string TopicName(const std::string& tenant, absl::string_view topic);
v1::Topic ToProto(const std::string& tenant, const Topic& topic);
v1::Subscription ToProto(const std::string& tenant, const Subscription& subscription);
v1::ConsentAct ToProto(const ConsentAct& act);
ConsentAct FromProto(const v1::ConsentAct& act, absl::Time now);
v1::Suppression ToProto(const Suppression& suppression);

// Whether the change gives an attribute a value.
bool SetsAttributes(const Change& change);

// The journal's payload for a change: nothing personal in it. When it would be too large for the
// journal and the change sets no attribute, the attributes are left out: whoever had too many
// before there was a limit can still be blocked and erased.
v1::ContactChanged ChangedPayload(const Change& change, const AttributeRegistry& registry);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_PROTO_H_
