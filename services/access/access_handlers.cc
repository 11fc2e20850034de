#include "services/access/access_handlers.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/base/time_text.h"
#include "libs/rpc/authenticator.h"
#include "libs/rpc/fingerprint.h"
#include "libs/rpc/status.h"
#include "libs/rpc/token.h"

namespace clm::access {
namespace {

using ::clm::ToProto;

v1::Tenant ToProto(const TenantRecord& record) {
  v1::Tenant tenant;
  tenant.set_name(absl::StrCat("tenants/", record.tenant));
  tenant.set_display_name(record.display_name);
  ToProto(record.create_time, tenant.mutable_create_time());
  return tenant;
}

v1::Token ToProto(const TokenRecord& record, absl::Time now) {
  v1::Token token;
  token.set_name(record.tenant.empty()
                     ? absl::StrCat("operatorTokens/", record.key_id)
                     : absl::StrCat("tenants/", record.tenant, "/tokens/", record.key_id));
  token.set_display_name(record.display_name);
  for (const std::string& scope : record.scopes) token.add_scopes(scope);
  token.set_creator(record.creator);
  ToProto(record.create_time, token.mutable_create_time());
  ToProto(record.expire_time, token.mutable_expire_time());
  token.set_state(v1::Token::STATE_ACTIVE);
  if (now >= record.expire_time) token.set_state(v1::Token::STATE_EXPIRED);
  if (record.revoke_time.has_value()) {
    token.set_state(v1::Token::STATE_REVOKED);
    ToProto(*record.revoke_time, token.mutable_revoke_time());
  }
  return token;
}

TokenWish WishFor(const std::string& tenant, const v1::Token& token) {
  TokenWish wish{.tenant = tenant,
                 .display_name = token.display_name(),
                 .scopes = {token.scopes().begin(), token.scopes().end()}};
  if (token.has_expire_time()) wish.expire_time = FromProto(token.expire_time());
  return wish;
}

Mutation MutationOf(const rpc::Call& call, const std::string& tenant, const std::string& request_id,
                    const google::protobuf::Message& request) {
  return {.tenant = tenant,
          .method = std::string(call.method),
          .request_id = request_id,
          .fingerprint = rpc::Fingerprint(request, call.method),
          .actor = call.caller.actor,
          .now = call.now,
          .deadline = call.deadline};
}

}  // namespace

absl::StatusOr<v1::Tenant> AccessHandlers::CreateTenant(const rpc::Call& call,
                                                        const v1::CreateTenantRequest& request) {
  const TenantRecord record{request.tenant_id(), request.tenant().display_name(), call.now};
  return rpc::ParseAs<v1::Tenant>(store_.Mutate(MutationOf(call, "", request.request_id(), request),
                                                [&](AccessTx& tx) -> absl::StatusOr<std::string> {
                                                  CLM_RETURN_IF_ERROR(tx.AddTenant(record));
                                                  return ToProto(record).SerializeAsString();
                                                }));
}

absl::StatusOr<v1::Tenant> AccessHandlers::GetTenant(const rpc::Call& call,
                                                     const v1::GetTenantRequest&) {
  CLM_ASSIGN_OR_RETURN(const TenantRecord record, store_.GetTenant(call.tenant, call.deadline));
  return ToProto(record);
}

absl::StatusOr<v1::ListTenantsResponse> AccessHandlers::ListTenants(
    const rpc::Call& call, const v1::ListTenantsRequest& request) {
  const std::vector<std::string> list = {std::string(call.method)};
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> key,
                       page_tokens_.Decode(list, request.page_token()));
  CLM_ASSIGN_OR_RETURN(const std::vector<TenantRecord> records,
                       store_.ListTenants(key.empty() ? "" : key.front(), size + 1, call.deadline));
  v1::ListTenantsResponse response;
  for (const TenantRecord& record : records) {
    if (response.tenants_size() == size) {
      response.set_next_page_token(
          page_tokens_.Encode(list, {records[static_cast<size_t>(size) - 1].tenant}));
      break;
    }
    *response.add_tenants() = ToProto(record);
  }
  return response;
}

absl::StatusOr<v1::CreateTokenResponse> AccessHandlers::CreateToken(
    const rpc::Call& call, const v1::CreateTokenRequest& request) {
  return NewToken(call, WishFor(call.tenant, request.token()), request.request_id(), request);
}

absl::StatusOr<v1::CreateTokenResponse> AccessHandlers::CreateOperatorToken(
    const rpc::Call& call, const v1::CreateOperatorTokenRequest& request) {
  TokenWish wish = WishFor("", request.token());
  wish.scopes = {"admin"};
  return NewToken(call, wish, request.request_id(), request);
}

absl::StatusOr<v1::CreateTokenResponse> AccessHandlers::NewToken(
    const rpc::Call& call, const TokenWish& wish, const std::string& request_id,
    const google::protobuf::Message& request) {
  CLM_ASSIGN_OR_RETURN(TokenRecord record, GrantToken(wish, call.caller, call.now));
  // The secret is not recorded. A repeat derives the same one again, from the same request id.
  const rpc::Token token =
      request_id.empty()
          ? rpc::MakeToken(true)
          : rpc::DeriveToken(true, suite_key_,
                             absl::StrCat(call.method, "\n", wish.tenant, "\n", request_id));
  record.key_id = token.key_id;
  record.secret_hash = HashSecret(suite_key_, token.secret);
  v1::CreateTokenResponse response;
  CLM_ASSIGN_OR_RETURN(
      *response.mutable_token(),
      rpc::ParseAs<v1::Token>(store_.Mutate(MutationOf(call, wish.tenant, request_id, request),
                                            [&](AccessTx& tx) -> absl::StatusOr<std::string> {
                                              CLM_RETURN_IF_ERROR(tx.AddToken(record));
                                              return ToProto(record, call.now).SerializeAsString();
                                            })));
  response.set_secret(rpc::FormatToken(token));
  return response;
}

absl::StatusOr<v1::ListTokensResponse> AccessHandlers::ListTokens(
    const rpc::Call& call, const v1::ListTokensRequest& request) {
  const std::vector<std::string> list = {std::string(call.method), call.tenant};
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> key,
                       page_tokens_.Decode(list, request.page_token()));
  std::optional<AccessStore::TokenPosition> after;
  if (key.size() == 2) {
    const std::optional<absl::Time> time = ParseTime(key[0]);
    if (!time.has_value()) return error::InvalidField("page_token", "is not from this list");
    after = AccessStore::TokenPosition{*time, key[1]};
  }
  CLM_ASSIGN_OR_RETURN(const std::vector<TokenRecord> records,
                       store_.ListTokens(call.tenant, after, size + 1, call.deadline));
  v1::ListTokensResponse response;
  for (const TokenRecord& record : records) {
    if (response.tokens_size() == size) {
      const TokenRecord& last = records[static_cast<size_t>(size) - 1];
      response.set_next_page_token(
          page_tokens_.Encode(list, {clm::FormatTime(last.create_time), last.key_id}));
      break;
    }
    *response.add_tokens() = ToProto(record, call.now);
  }
  return response;
}

absl::StatusOr<v1::Token> AccessHandlers::RevokeToken(const rpc::Call& call,
                                                      const v1::RevokeTokenRequest& request) {
  CLM_ASSIGN_OR_RETURN(const auto ids,
                       ParseResourceName("name", "tenants/*/tokens/*", request.name()));
  return Revoke(call, ids[0], ids[1], request.request_id(), request);
}

absl::StatusOr<v1::Token> AccessHandlers::RevokeOperatorToken(
    const rpc::Call& call, const v1::RevokeOperatorTokenRequest& request) {
  CLM_ASSIGN_OR_RETURN(const auto ids,
                       ParseResourceName("name", "operatorTokens/*", request.name()));
  return Revoke(call, "", ids[0], request.request_id(), request);
}

absl::StatusOr<v1::Token> AccessHandlers::Revoke(const rpc::Call& call, const std::string& tenant,
                                                 const std::string& key_id,
                                                 const std::string& request_id,
                                                 const google::protobuf::Message& request) {
  return rpc::ParseAs<v1::Token>(
      store_.Mutate(MutationOf(call, tenant, request_id, request),
                    [&](AccessTx& tx) -> absl::StatusOr<std::string> {
                      CLM_ASSIGN_OR_RETURN(TokenRecord record, tx.LockToken(tenant, key_id));
                      if (!record.revoke_time.has_value()) {
                        record.revoke_time = call.now;
                        CLM_RETURN_IF_ERROR(tx.SetRevoked(tenant, key_id, call.now));
                      }
                      return ToProto(record, call.now).SerializeAsString();
                    }));
}

absl::StatusOr<v1::IntrospectResponse> AccessHandlers::Introspect(
    const rpc::Call& call, const v1::IntrospectRequest& request) {
  CLM_ASSIGN_OR_RETURN(const rpc::Caller caller, WhoHolds(request.token(), call.deadline));
  v1::IntrospectResponse response;
  response.set_key_id(rpc::ParseToken(request.token())->key_id);
  response.set_tenant(caller.tenant);
  for (const std::string& scope : caller.scopes) response.add_scopes(scope);
  return response;
}

absl::StatusOr<rpc::Caller> AccessHandlers::WhoHolds(absl::string_view text, absl::Time deadline) {
  const std::optional<rpc::Token> token = rpc::ParseToken(text);
  if (!token.has_value()) return rpc::InvalidToken();
  CLM_ASSIGN_OR_RETURN(const std::optional<TokenRecord> record,
                       store_.FindToken(token->key_id, deadline));
  if (!record.has_value() ||
      !Accepts(*record, HashSecret(suite_key_, token->secret), clock_.Now())) {
    return rpc::InvalidToken();
  }
  return rpc::Caller{.actor = absl::StrCat("token:", token->key_id),
                     .tenant = record->tenant,
                     .scopes = record->scopes,
                     .suite = false};
}

}  // namespace clm::access
