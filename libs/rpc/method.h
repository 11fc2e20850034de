// What the server knows about a method before its first call: policy, tenant path, validator and
// counters, resolved once from the descriptor.
#ifndef CLM_LIBS_RPC_METHOD_H_
#define CLM_LIBS_RPC_METHOD_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/options/v1/options.pb.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/call.h"
#include "libs/rpc/validator.h"

namespace clm::rpc {

// Immutable, thread-safe.
struct Method {
  std::string full_name;  // "/clm.contact.v1.ContactService/CreateContact"
  const google::protobuf::MethodDescriptor* descriptor = nullptr;
  std::string scope;
  options::v1::MethodPolicy::Class call_class = options::v1::MethodPolicy::CLASS_DEFAULT;
  options::v1::MethodPolicy::Audience audience = options::v1::MethodPolicy::AUDIENCE_UNSPECIFIED;
  // From the request to the text that names the tenant; empty when there is none.
  std::vector<const google::protobuf::FieldDescriptor*> tenant_path;
  const Validator* validator = nullptr;
  obs::MethodMetrics* metrics = nullptr;
};

// FAILED_PRECONDITION, naming the method, when it has no policy or the policy contradicts the
// request: no scope, no tenant field, a tenant field that does not exist, a mutation without
// request_id.
absl::StatusOr<Method> ResolveMethod(const google::protobuf::MethodDescriptor* descriptor,
                                     obs::Metrics& metrics);

// The tenant that `request` is about. INVALID_ARGUMENT naming the field when it has no valid one.
absl::StatusOr<std::string> TenantOf(const Method& method,
                                     const google::protobuf::Message& request);

// Whether `caller` may call `method` about `tenant` (empty for a method without tenant):
// PERMISSION_DENIED when the method is not for such callers or a scope is missing, NOT_FOUND when
// the tenant is not the caller's own.
absl::Status Authorize(const Method& method, const Caller& caller, absl::string_view tenant);

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_METHOD_H_
