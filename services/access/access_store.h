// Tenants and tokens in PostgreSQL.
#ifndef CLM_SERVICES_ACCESS_ACCESS_STORE_H_
#define CLM_SERVICES_ACCESS_ACCESS_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/access/token_record.h"

namespace clm::access {

struct TenantRecord {
  std::string tenant;
  std::string display_name;
  absl::Time create_time;
};

// What one mutation may do. Valid during its body.
class AccessTx {
 public:
  explicit AccessTx(pg::Tx& tx) : tx_(tx) {}
  // ALREADY_EXISTS when the id is taken.
  absl::Status AddTenant(const TenantRecord& tenant);
  // NOT_FOUND when the token's tenant does not exist.
  absl::Status AddToken(const TokenRecord& token);
  // Locks the token. NOT_FOUND when there is none.
  absl::StatusOr<TokenRecord> LockToken(const std::string& tenant, const std::string& key_id);
  absl::Status SetRevoked(const std::string& tenant, const std::string& key_id, absl::Time time);

 private:
  pg::Tx& tx_;
};

// Identifies a mutation, so that a repeat of it is answered, not done again.
struct Mutation {
  std::string tenant;  // Empty: an operator's.
  std::string method;
  std::string request_id;  // Empty: the caller opted out.
  std::string fingerprint;
  std::string actor;
  absl::Time now;
  absl::Time deadline = absl::InfiniteFuture();
};

// Thread-safe.
class AccessStore {
 public:
  // Returns the serialized response, which is recorded and so must hold no secret.
  using Body = absl::FunctionRef<absl::StatusOr<std::string>(AccessTx&)>;

  // `pool` must outlive this.
  explicit AccessStore(pg::Pool& pool) : pool_(pool) {}

  // Runs `body` and records its response in one transaction, or returns the response recorded when
  // the same mutation first succeeded. INVALID_ARGUMENT, reason REQUEST_ID_REUSED, for the same
  // request id with another request. `body` may run more than once.
  absl::StatusOr<std::string> Mutate(const Mutation& mutation, Body body);

  // NOT_FOUND when there is none.
  absl::StatusOr<TenantRecord> GetTenant(const std::string& tenant, absl::Time deadline);
  // By id, after `after`.
  absl::StatusOr<std::vector<TenantRecord>> ListTenants(const std::string& after, int limit,
                                                        absl::Time deadline);
  struct TokenPosition {
    absl::Time create_time;
    std::string key_id;
  };
  // Newest first, after `after`.
  absl::StatusOr<std::vector<TokenRecord>> ListTokens(const std::string& tenant,
                                                      const std::optional<TokenPosition>& after,
                                                      int limit, absl::Time deadline);
  // On behalf of the suite: of any tenant. nullopt when there is none.
  absl::StatusOr<std::optional<TokenRecord>> FindToken(const std::string& key_id,
                                                       absl::Time deadline);

 private:
  pg::Pool& pool_;
};

// Every statement, so that a test can prepare them all.
std::vector<const pg::Statement*> AccessStatements();

}  // namespace clm::access

#endif  // CLM_SERVICES_ACCESS_ACCESS_STORE_H_
