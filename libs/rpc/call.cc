#include "libs/rpc/call.h"

#include <grpcpp/server_context.h>

#include <algorithm>

namespace clm::rpc {

bool Caller::HasScope(absl::string_view scope) const {
  if (suite) return true;
  return std::binary_search(scopes.begin(), scopes.end(), std::string(scope)) ||
         std::binary_search(scopes.begin(), scopes.end(), "admin");
}

bool Call::IsCancelled() const { return context != nullptr && context->IsCancelled(); }

}  // namespace clm::rpc
