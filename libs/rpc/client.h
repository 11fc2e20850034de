// Channels to other services and the contexts of calls over them: one retry policy, one set of
// keepalives, deadlines and trace passed on.
#ifndef CLM_LIBS_RPC_CLIENT_H_
#define CLM_LIBS_RPC_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "libs/rpc/call.h"

namespace clm::rpc {

// The settings of every channel of the suite, in-process ones too: UNAVAILABLE is retried up to
// three attempts with backoff, within a retry budget; keepalive; 4 MiB messages.
grpc::ChannelArguments ChannelArguments();

// Connects lazily. `target` is "unix:/path", "host:port" or any target gRPC knows. Calls to the
// same target share a connection with everybody in the process.
std::shared_ptr<grpc::Channel> NewChannel(const std::string& target);

// Whose calls these are.
struct ClientIdentity {
  // "clm-lifecycle": names the caller to a server on the private socket.
  std::string service;
  // For calls over TCP; empty on the private socket.
  std::string token;
};

// Prepares the context of a call made while serving `call`: its trace, and its deadline less a
// tenth (5 ms at least), which is kept for the answer.
void PrepareContext(const ClientIdentity& identity, const Call& call, grpc::ClientContext* context);
// The same for a call on the process' own behalf.
void PrepareContext(const ClientIdentity& identity, absl::Duration timeout,
                    grpc::ClientContext* context);

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_CLIENT_H_
