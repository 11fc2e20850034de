// The RPCs of AccessService. Run on workers; thread-safe.
#ifndef CLM_SERVICES_ACCESS_ACCESS_HANDLERS_H_
#define CLM_SERVICES_ACCESS_ACCESS_HANDLERS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/access/v1/access_service.pb.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/rpc/call.h"
#include "services/access/access_store.h"

namespace clm::access {

class AccessHandlers {
 public:
  // `suite_key` is the suite's secret. Store and clock must outlive this.
  AccessHandlers(AccessStore& store, const Clock& clock, const std::string& suite_key)
      : store_(store), clock_(clock), suite_key_(suite_key), page_tokens_(suite_key) {}

  absl::StatusOr<v1::Tenant> CreateTenant(const rpc::Call& call,
                                          const v1::CreateTenantRequest& request);
  absl::StatusOr<v1::Tenant> GetTenant(const rpc::Call& call, const v1::GetTenantRequest& request);
  absl::StatusOr<v1::ListTenantsResponse> ListTenants(const rpc::Call& call,
                                                      const v1::ListTenantsRequest& request);
  absl::StatusOr<v1::CreateTokenResponse> CreateToken(const rpc::Call& call,
                                                      const v1::CreateTokenRequest& request);
  absl::StatusOr<v1::CreateTokenResponse> CreateOperatorToken(
      const rpc::Call& call, const v1::CreateOperatorTokenRequest& request);
  absl::StatusOr<v1::ListTokensResponse> ListTokens(const rpc::Call& call,
                                                    const v1::ListTokensRequest& request);
  absl::StatusOr<v1::Token> RevokeToken(const rpc::Call& call,
                                        const v1::RevokeTokenRequest& request);
  absl::StatusOr<v1::Token> RevokeOperatorToken(const rpc::Call& call,
                                                const v1::RevokeOperatorTokenRequest& request);
  absl::StatusOr<v1::IntrospectResponse> Introspect(const rpc::Call& call,
                                                    const v1::IntrospectRequest& request);

  // What Introspect tells, for the authenticator of this process. UNAUTHENTICATED for a token that
  // is not good.
  absl::StatusOr<rpc::Caller> WhoHolds(absl::string_view token, absl::Time deadline);

 private:
  absl::StatusOr<v1::CreateTokenResponse> NewToken(const rpc::Call& call, const TokenWish& wish,
                                                   const std::string& request_id,
                                                   const google::protobuf::Message& request);
  absl::StatusOr<v1::Token> Revoke(const rpc::Call& call, const std::string& tenant,
                                   const std::string& key_id, const std::string& request_id,
                                   const google::protobuf::Message& request);

  AccessStore& store_;
  const Clock& clock_;
  const std::string suite_key_;
  const PageTokens page_tokens_;
};

}  // namespace clm::access

#endif  // CLM_SERVICES_ACCESS_ACCESS_HANDLERS_H_
