#include "services/access/access_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::access {
namespace {

constexpr pg::Statement kAddTenant{"access.add_tenant", R"sql(
  INSERT INTO tenant (tenant_id, display_name, create_time)
  VALUES ($1::text, $2::text, $3::timestamptz)
  ON CONFLICT (tenant_id) DO NOTHING)sql"};

constexpr pg::Statement kGetTenant{"access.get_tenant", R"sql(
  SELECT tenant_id, display_name, create_time FROM tenant WHERE tenant_id = $1::text)sql"};

constexpr pg::Statement kListTenants{"access.list_tenants", R"sql(
  SELECT tenant_id, display_name, create_time FROM tenant
  WHERE tenant_id > $1::text ORDER BY tenant_id LIMIT $2::int)sql"};

// A tenant's token needs its tenant; an operator's has none.
constexpr pg::Statement kAddToken{"access.add_token", R"sql(
  INSERT INTO token (tenant_id, key_id, secret_hash, display_name, scopes, creator, create_time,
                     expire_time)
  SELECT $1::text, $2::text, $3::bytea, $4::text, $5::text[], $6::text, $7::timestamptz,
         $8::timestamptz
  WHERE $1::text = '' OR EXISTS (SELECT 1 FROM tenant WHERE tenant_id = $1::text))sql"};

constexpr pg::Statement kLockToken{"access.lock_token", R"sql(
  SELECT tenant_id, key_id, secret_hash, display_name, scopes, creator, create_time, expire_time,
         revoke_time
  FROM token WHERE tenant_id = $1::text AND key_id = $2::text FOR UPDATE)sql"};

constexpr pg::Statement kRevoke{"access.revoke", R"sql(
  UPDATE token SET revoke_time = $3::timestamptz
  WHERE tenant_id = $1::text AND key_id = $2::text)sql"};

constexpr pg::Statement kListTokens{"access.list_tokens", R"sql(
  SELECT tenant_id, key_id, secret_hash, display_name, scopes, creator, create_time, expire_time,
         revoke_time
  FROM token
  WHERE tenant_id = $1::text AND (create_time, key_id) < ($2::timestamptz, $3::text)
  ORDER BY create_time DESC, key_id DESC LIMIT $4::int)sql"};

constexpr pg::Statement kFindToken{"access.find_token", R"sql(
  SELECT tenant_id, key_id, secret_hash, display_name, scopes, creator, create_time, expire_time,
         revoke_time
  FROM token WHERE key_id = $1::text)sql"};

// A twin that is running holds the row: this waits until it is decided.
constexpr pg::Statement kClaim{"access.claim", R"sql(
  INSERT INTO access_journal (tenant_id, method, request_id, fingerprint, actor, record_time)
  VALUES ($1::text, $2::text, $3::uuid, $4::bytea, $5::text, $6::timestamptz)
  ON CONFLICT (tenant_id, method, request_id) DO NOTHING
  RETURNING seq)sql"};

constexpr pg::Statement kRecorded{"access.recorded", R"sql(
  SELECT fingerprint, response FROM access_journal
  WHERE tenant_id = $1::text AND method = $2::text AND request_id = $3::uuid)sql"};

constexpr pg::Statement kRecord{"access.record", R"sql(
  UPDATE access_journal SET response = $3::bytea
  WHERE tenant_id = $1::text AND seq = $2::bigint)sql"};

TenantRecord ToTenant(const pg::Row& row) {
  return {std::string(row.Text(0)), std::string(row.Text(1)), row.Time(2)};
}

TokenRecord ToToken(const pg::Row& row) {
  return {.tenant = std::string(row.Text(0)),
          .key_id = std::string(row.Text(1)),
          .secret_hash = row.Bytes(2),
          .display_name = std::string(row.Text(3)),
          .scopes = row.TextArray(4),
          .creator = std::string(row.Text(5)),
          .create_time = row.Time(6),
          .expire_time = row.Time(7),
          .revoke_time = row.OptTime(8)};
}

pg::Scope ScopeOf(const std::string& tenant) {
  return tenant.empty() ? pg::Scope::Suite() : pg::Scope::Tenant(tenant);
}

std::string TokenName(const std::string& tenant, const std::string& key_id) {
  return tenant.empty() ? absl::StrCat("operatorTokens/", key_id)
                        : absl::StrCat("tenants/", tenant, "/tokens/", key_id);
}

absl::StatusOr<std::string> Recorded(pg::Tx& tx, const Mutation& mutation) {
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      tx.Exec(kRecorded,
              pg::Args().Add(mutation.tenant).Add(mutation.method).Add(mutation.request_id)));
  if (rows.empty()) return error::Internal("a recorded request has vanished");
  if (rows[0].Bytes(0) != mutation.fingerprint) {
    return error::Make(absl::StatusCode::kInvalidArgument, "REQUEST_ID_REUSED",
                       "request_id: was used for a different request");
  }
  return rows[0].Bytes(1);
}

}  // namespace

absl::Status AccessTx::AddTenant(const TenantRecord& tenant) {
  CLM_ASSIGN_OR_RETURN(
      const pg::Result added,
      tx_.Exec(kAddTenant,
               pg::Args().Add(tenant.tenant).Add(tenant.display_name).Add(tenant.create_time)));
  if (added.affected() == 1) return absl::OkStatus();
  return error::Make(absl::StatusCode::kAlreadyExists, "TENANT_EXISTS",
                     "tenant_id: is taken by another tenant");
}

absl::Status AccessTx::AddToken(const TokenRecord& token) {
  CLM_ASSIGN_OR_RETURN(const pg::Result added, tx_.Exec(kAddToken, pg::Args()
                                                                       .Add(token.tenant)
                                                                       .Add(token.key_id)
                                                                       .AddBytes(token.secret_hash)
                                                                       .Add(token.display_name)
                                                                       .AddArray(token.scopes)
                                                                       .Add(token.creator)
                                                                       .Add(token.create_time)
                                                                       .Add(token.expire_time)));
  if (added.affected() == 1) return absl::OkStatus();
  return error::NotFound(absl::StrCat("tenants/", token.tenant));
}

absl::StatusOr<TokenRecord> AccessTx::LockToken(const std::string& tenant,
                                                const std::string& key_id) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       tx_.Exec(kLockToken, pg::Args().Add(tenant).Add(key_id)));
  if (rows.empty()) return error::NotFound(TokenName(tenant, key_id));
  return ToToken(rows[0]);
}

absl::Status AccessTx::SetRevoked(const std::string& tenant, const std::string& key_id,
                                  absl::Time time) {
  return tx_.Exec(kRevoke, pg::Args().Add(tenant).Add(key_id).Add(time)).status();
}

absl::StatusOr<std::string> AccessStore::Mutate(const Mutation& mutation, Body body) {
  std::optional<std::string> request_id;
  if (!mutation.request_id.empty()) request_id = mutation.request_id;
  std::string response;
  const absl::Status status = pool_.Transact(
      {.scope = ScopeOf(mutation.tenant), .deadline = mutation.deadline}, [&](pg::Tx& tx) {
        return [&]() -> absl::Status {
          CLM_ASSIGN_OR_RETURN(const pg::Result claimed,
                               tx.Exec(kClaim, pg::Args()
                                                   .Add(mutation.tenant)
                                                   .Add(mutation.method)
                                                   .Add(request_id)
                                                   .AddBytes(mutation.fingerprint)
                                                   .Add(mutation.actor)
                                                   .Add(mutation.now)));
          if (claimed.empty()) {
            CLM_ASSIGN_OR_RETURN(response, Recorded(tx, mutation));
            return absl::OkStatus();
          }
          AccessTx access(tx);
          CLM_ASSIGN_OR_RETURN(response, body(access));
          return tx
              .Exec(kRecord,
                    pg::Args().Add(mutation.tenant).Add(claimed[0].Int(0)).AddBytes(response))
              .status();
        }();
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<TenantRecord> AccessStore::GetTenant(const std::string& tenant,
                                                    absl::Time deadline) {
  std::optional<TenantRecord> found;
  CLM_RETURN_IF_ERROR(pool_.Read(
      {.scope = pg::Scope::Tenant(tenant), .deadline = deadline}, [&](pg::Tx& tx) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kGetTenant, pg::Args().Add(tenant)));
        if (!rows.empty()) found = ToTenant(rows[0]);
        return absl::OkStatus();
      }));
  if (!found.has_value()) return error::NotFound(absl::StrCat("tenants/", tenant));
  return *std::move(found);
}

absl::StatusOr<std::vector<TenantRecord>> AccessStore::ListTenants(const std::string& after,
                                                                   int limit, absl::Time deadline) {
  std::vector<TenantRecord> tenants;
  CLM_RETURN_IF_ERROR(pool_.Read(
      {.scope = pg::Scope::Suite(), .deadline = deadline}, [&](pg::Tx& tx) -> absl::Status {
        tenants.clear();
        CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                             tx.Exec(kListTenants, pg::Args().Add(after).Add(limit)));
        for (int i = 0; i < rows.size(); ++i) tenants.push_back(ToTenant(rows[i]));
        return absl::OkStatus();
      }));
  return tenants;
}

absl::StatusOr<std::vector<TokenRecord>> AccessStore::ListTokens(
    const std::string& tenant, const std::optional<TokenPosition>& after, int limit,
    absl::Time deadline) {
  std::vector<TokenRecord> tokens;
  CLM_RETURN_IF_ERROR(pool_.Read(
      {.scope = pg::Scope::Tenant(tenant), .deadline = deadline}, [&](pg::Tx& tx) -> absl::Status {
        tokens.clear();
        pg::Args args;
        args.Add(tenant);
        if (after.has_value()) {
          args.Add(after->create_time).Add(after->key_id);
        } else {
          args.Add("infinity").Add("");
        }
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kListTokens, args.Add(limit)));
        for (int i = 0; i < rows.size(); ++i) tokens.push_back(ToToken(rows[i]));
        return absl::OkStatus();
      }));
  return tokens;
}

absl::StatusOr<std::optional<TokenRecord>> AccessStore::FindToken(const std::string& key_id,
                                                                  absl::Time deadline) {
  std::optional<TokenRecord> found;
  CLM_RETURN_IF_ERROR(pool_.Read(
      {.scope = pg::Scope::Suite(), .deadline = deadline}, [&](pg::Tx& tx) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kFindToken, pg::Args().Add(key_id)));
        if (!rows.empty()) found = ToToken(rows[0]);
        return absl::OkStatus();
      }));
  return found;
}

std::vector<const pg::Statement*> AccessStatements() {
  return {&kAddTenant,  &kGetTenant, &kListTenants, &kAddToken, &kLockToken, &kRevoke,
          &kListTokens, &kFindToken, &kClaim,       &kRecorded, &kRecord};
}

}  // namespace clm::access
