// The identity policies that this process knows, so that taking in contacts and events costs no
// statement for them. A change made through this process is known to it at once, one made through
// another within kKnownFor and a moment.
#ifndef CLM_SERVICES_CONTACT_KNOWN_POLICIES_H_
#define CLM_SERVICES_CONTACT_KNOWN_POLICIES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/contact/identity_policy.h"

namespace clm::contact {

using IdentityPolicyPtr = std::shared_ptr<const IdentityPolicy>;

// The defaults.
IdentityPolicyPtr SharedDefaultPolicy();

// Thread-safe.
class KnownPolicies {
 public:
  using Load = std::function<absl::StatusOr<StoredIdentityPolicy>(const std::string& tenant,
                                                                  absl::Time deadline)>;

  // How long a policy is taken for true without looking.
  static constexpr absl::Duration kKnownFor = absl::Seconds(5);

  explicit KnownPolicies(Load load) : load_(std::move(load)) {}

  // Null when it has to be loaded: nothing is known, or what is known is too old. Of those who come
  // at once to one that is too old only the first is told so. Never blocks.
  IdentityPolicyPtr Recall(const std::string& tenant, absl::Time now);
  // Loads what Recall does not know. Blocks.
  absl::StatusOr<IdentityPolicyPtr> Get(const std::string& tenant, absl::Time now,
                                        absl::Time deadline);
  // What Recall has answered null for. Blocks.
  absl::StatusOr<IdentityPolicyPtr> Refresh(const std::string& tenant, absl::Time now,
                                            absl::Time deadline);
  // It was changed, or may have been. What is being loaded meanwhile is not kept.
  void Forget(const std::string& tenant);

 private:
  struct Known {
    IdentityPolicyPtr policy;
    absl::Time check_time;
  };

  const Load load_;
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, Known> known_ ABSL_GUARDED_BY(mu_);
  int64_t forgotten_ ABSL_GUARDED_BY(mu_) = 0;  // How often.
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_KNOWN_POLICIES_H_
