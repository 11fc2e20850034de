// What a call costs by itself: servers that only answer, to compare the suite with.
#ifndef CLM_TOOLS_BENCH_ECHO_SERVER_H_
#define CLM_TOOLS_BENCH_ECHO_SERVER_H_

#include <string>

namespace clm::bench {

// The method that both servers have: it answers with the name that it was asked for.
inline constexpr char kEmptyMethod[] = "/clm.access.v1.AccessService/GetTenant";

// "raw": gRPC's callback server. It also answers GetContact and GetCustomerContext, with the
// messages in the files `folder`/contact and `folder`/context. "raw-loyalty": the same for
// GetMember and `folder`/member. "skeleton": the empty method through all that every call of the
// suite passes. Serves on the Unix socket `folder`/`kind`.sock until the process is ended; returns
// 1 when it cannot.
int ServeEcho(const std::string& kind, const std::string& folder);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_ECHO_SERVER_H_
