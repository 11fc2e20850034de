// Asks the access service, in another process, who holds a token and which tenants exist.
#ifndef CLM_LIBS_APP_REMOTE_ACCESS_H_
#define CLM_LIBS_APP_REMOTE_ACCESS_H_

#include <grpcpp/channel.h>

#include <memory>

#include "libs/base/clock.h"
#include "libs/rpc/authenticator.h"
#include "libs/rpc/client.h"
#include "libs/rpc/tenants.h"

namespace clm::app {

// Answers are remembered for five seconds. `clock` must outlive the result.
std::unique_ptr<rpc::Authenticator> NewRemoteAuthenticator(std::shared_ptr<grpc::Channel> channel,
                                                           rpc::ClientIdentity identity,
                                                           const Clock& clock);

std::unique_ptr<rpc::Tenants> NewRemoteTenants(std::shared_ptr<grpc::Channel> channel,
                                               rpc::ClientIdentity identity);

}  // namespace clm::app

#endif  // CLM_LIBS_APP_REMOTE_ACCESS_H_
