// What a handler knows about the call it serves. Plain data: a test fills in what it needs.
#ifndef CLM_LIBS_RPC_CALL_H_
#define CLM_LIBS_RPC_CALL_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace grpc {
class CallbackServerContext;
}

namespace clm::rpc {

// Who calls.
struct Caller {
  // For the audit trail: "suite", the name of a service of the suite, or "token:<key id>".
  std::string actor = "suite";
  // The tenant whose token it is; empty for the suite and for operators' tokens.
  std::string tenant;
  // Sorted. What a token may do; the suite needs none.
  std::vector<std::string> scopes;
  // One of the suite's own processes, by the private socket or in process.
  bool suite = true;

  // True for the suite, for the scope itself, and for "admin", which includes every scope.
  bool HasScope(absl::string_view scope) const;
};

struct Call {
  // The time of the call for every rule; the server's clock.
  absl::Time now;
  // When the caller stops waiting, on the machine's clock (absl::Now()), whatever `now` says.
  absl::Time deadline = absl::InfiniteFuture();
  Caller caller;
  // The tenant that the request is about, parsed from the policy's tenant_field; empty when the
  // method has none.
  std::string tenant;
  // "/clm.contact.v1.ContactService/CreateContact"; lives for ever.
  absl::string_view method;
  // This call's own span, to be the parent of what it causes.
  std::string traceparent;

  // True when the caller is known to have gone away. Until the call is answered only.
  bool IsCancelled() const;

  // Set by the server.
  const grpc::CallbackServerContext* context = nullptr;
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_CALL_H_
