// What all services of one server share.
#ifndef CLM_LIBS_RPC_HOST_H_
#define CLM_LIBS_RPC_HOST_H_

#include <atomic>

#include "libs/base/clock.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/admission.h"
#include "libs/rpc/authenticator.h"
#include "libs/rpc/tenants.h"
#include "libs/rpc/workers.h"

namespace clm::rpc {

// Thread-safe. Everything it points to must outlive the server.
class Host {
 public:
  struct Options {
    const Clock* clock = nullptr;
    Workers* workers = nullptr;  // For handlers that block.
    Workers* streams = nullptr;  // For streams, which hold a thread while they last.
    obs::Metrics* metrics = nullptr;
    int max_in_flight = 512;
  };

  explicit Host(const Options& options) : options_(options), admission_(options.max_in_flight) {}

  const Clock& clock() const { return *options_.clock; }
  Workers& workers() { return *options_.workers; }
  Workers& streams() { return *options_.streams; }
  obs::Metrics& metrics() { return *options_.metrics; }
  Admission& admission() { return admission_; }

  // Without one, every token is refused. May be set while serving.
  void SetAuthenticator(Authenticator* authenticator) { authenticator_ = authenticator; }
  Authenticator* authenticator() const { return authenticator_; }

  // Without them, the suite's own calls may name any tenant. May be set while serving.
  void SetTenants(Tenants* tenants) { tenants_ = tenants; }
  Tenants* tenants() const { return tenants_; }

  // From now on streams are asked to end.
  void Drain() { draining_ = true; }
  bool draining() const { return draining_; }

 private:
  const Options options_;
  Admission admission_;
  std::atomic<Authenticator*> authenticator_{nullptr};
  std::atomic<Tenants*> tenants_{nullptr};
  std::atomic<bool> draining_{false};
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_HOST_H_
