#include "libs/app/remote_access.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "libs/rpc/status.h"

namespace clm::app {

std::unique_ptr<rpc::Authenticator> NewRemoteAuthenticator(std::shared_ptr<grpc::Channel> channel,
                                                           rpc::ClientIdentity identity,
                                                           const Clock& clock) {
  std::shared_ptr<access::v1::AccessService::Stub> stub =
      access::v1::AccessService::NewStub(std::move(channel));
  auto introspect = [stub, identity = std::move(identity)](
                        absl::string_view token,
                        absl::Time deadline) -> absl::StatusOr<rpc::Caller> {
    grpc::ClientContext context;
    rpc::PrepareContext(identity, rpc::Call{.deadline = deadline}, &context);
    access::v1::IntrospectRequest request;
    request.set_token(std::string(token));
    access::v1::IntrospectResponse response;
    const absl::Status status = rpc::FromGrpc(stub->Introspect(&context, request, &response));
    if (!status.ok()) return status;
    return rpc::Caller{.actor = absl::StrCat("token:", response.key_id()),
                       .tenant = response.tenant(),
                       .scopes = {response.scopes().begin(), response.scopes().end()},
                       .suite = false};
  };
  return std::make_unique<rpc::CachingAuthenticator>(std::move(introspect), clock);
}

std::unique_ptr<rpc::Tenants> NewRemoteTenants(std::shared_ptr<grpc::Channel> channel,
                                               rpc::ClientIdentity identity) {
  std::shared_ptr<access::v1::AccessService::Stub> stub =
      access::v1::AccessService::NewStub(std::move(channel));
  return std::make_unique<rpc::Tenants>(
      [stub, identity = std::move(identity)](const std::string& tenant, absl::Time deadline) {
        grpc::ClientContext context;
        rpc::PrepareContext(identity, rpc::Call{.deadline = deadline}, &context);
        access::v1::GetTenantRequest request;
        request.set_name(absl::StrCat("tenants/", tenant));
        access::v1::Tenant found;
        return rpc::FromGrpc(stub->GetTenant(&context, request, &found));
      });
}

}  // namespace clm::app
