// Methods that anybody may call who holds a signed token (clm.options.v1.token_authority).
#ifndef CLM_LIBS_RPC_TOKEN_AUTHORITY_H_
#define CLM_LIBS_RPC_TOKEN_AUTHORITY_H_

#include "libs/rpc/method.h"

namespace clm::rpc {

// Whether the token in its request is the whole authority of the method: a policy without audience
// and scope stops the server at start unless the method has that option.
inline bool ByTokenAlone(const Method& method) {
  return method.audience == options::v1::MethodPolicy::AUDIENCE_UNSPECIFIED && method.scope.empty();
}

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_TOKEN_AUTHORITY_H_
