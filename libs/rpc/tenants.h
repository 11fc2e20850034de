// Which tenants exist. Asked about calls of the suite's own, which name any tenant they like; a
// token's tenant exists, because the token does.
#ifndef CLM_LIBS_RPC_TENANTS_H_
#define CLM_LIBS_RPC_TENANTS_H_

#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace clm::rpc {

// Remembers for ever that a tenant exists, since none is ever deleted; never that one does not, so
// that a new one is seen at once. Thread-safe.
class Tenants {
 public:
  // Asks the owner of tenants: OK, NOT_FOUND, or why it could not be asked.
  using Find = std::function<absl::Status(const std::string& tenant, absl::Time deadline)>;

  explicit Tenants(Find find) : find_(std::move(find)) {}

  // Whether it is known to exist. Never blocks.
  bool Knows(absl::string_view tenant) const;
  // May block until `deadline`. NOT_FOUND, naming it, for a tenant that does not exist.
  absl::Status Check(const std::string& tenant, absl::Time deadline);

 private:
  const Find find_;
  mutable absl::Mutex mu_;
  absl::flat_hash_set<std::string> known_ ABSL_GUARDED_BY(mu_);
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_TENANTS_H_
