// The policy by which identifiers tell who a person is (identity_policy.h), as a resource of its
// tenant.
#ifndef CLM_SERVICES_CONTACT_IDENTITY_POLICY_HANDLERS_H_
#define CLM_SERVICES_CONTACT_IDENTITY_POLICY_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/contact/v1/contact_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/contact/contact_handlers.h"

namespace clm::contact {

// Thread-safe.
class IdentityPolicyHandlers {
 public:
  explicit IdentityPolicyHandlers(const ContactParts& parts) : parts_(parts) {}

  absl::StatusOr<v1::IdentityPolicy> GetIdentityPolicy(const rpc::Call& call,
                                                       const v1::GetIdentityPolicyRequest& request);
  void UpdateIdentityPolicy(const rpc::Call& call, const v1::UpdateIdentityPolicyRequest& request,
                            rpc::Reply<v1::IdentityPolicy> reply);

 private:
  const ContactParts parts_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IDENTITY_POLICY_HANDLERS_H_
