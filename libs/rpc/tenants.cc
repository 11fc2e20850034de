#include "libs/rpc/tenants.h"

#include "libs/base/status_macros.h"

namespace clm::rpc {

bool Tenants::Knows(absl::string_view tenant) const {
  absl::ReaderMutexLock lock(&mu_);
  return known_.contains(tenant);
}

absl::Status Tenants::Check(const std::string& tenant, absl::Time deadline) {
  if (Knows(tenant)) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(find_(tenant, deadline));
  absl::MutexLock lock(&mu_);
  known_.insert(tenant);
  return absl::OkStatus();
}

}  // namespace clm::rpc
