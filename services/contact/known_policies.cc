#include "services/contact/known_policies.h"

#include "libs/base/status_macros.h"

namespace clm::contact {
namespace {

// How long others go on with what is too old while one looks.
constexpr absl::Duration kGrace = absl::Seconds(1);

}  // namespace

IdentityPolicyPtr SharedDefaultPolicy() {
  static const auto& kDefault =
      *new IdentityPolicyPtr(std::make_shared<const IdentityPolicy>(DefaultIdentityPolicy()));
  return kDefault;
}

IdentityPolicyPtr KnownPolicies::Recall(const std::string& tenant, absl::Time now) {
  absl::MutexLock lock(&mu_);
  const auto it = known_.find(tenant);
  if (it == known_.end()) return nullptr;
  Known& known = it->second;
  if (now - known.check_time < kKnownFor) return known.policy;
  known.check_time = now - kKnownFor + kGrace;
  return nullptr;
}

absl::StatusOr<IdentityPolicyPtr> KnownPolicies::Get(const std::string& tenant, absl::Time now,
                                                     absl::Time deadline) {
  if (IdentityPolicyPtr known = Recall(tenant, now)) return known;
  return Refresh(tenant, now, deadline);
}

absl::StatusOr<IdentityPolicyPtr> KnownPolicies::Refresh(const std::string& tenant, absl::Time now,
                                                         absl::Time deadline) {
  int64_t forgotten = 0;
  {
    absl::MutexLock lock(&mu_);
    forgotten = forgotten_;
  }
  CLM_ASSIGN_OR_RETURN(StoredIdentityPolicy stored, load_(tenant, deadline));
  IdentityPolicyPtr policy = stored.policy == DefaultIdentityPolicy()
                                 ? SharedDefaultPolicy()
                                 : std::make_shared<const IdentityPolicy>(std::move(stored.policy));
  absl::MutexLock lock(&mu_);
  if (forgotten_ == forgotten) known_[tenant] = {policy, now};
  return policy;
}

void KnownPolicies::Forget(const std::string& tenant) {
  absl::MutexLock lock(&mu_);
  ++forgotten_;
  known_.erase(tenant);
}

}  // namespace clm::contact
