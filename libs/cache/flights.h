// One load at a time for one key in one process, shared by all who asked before it began.
#ifndef CLM_LIBS_CACHE_FLIGHTS_H_
#define CLM_LIBS_CACHE_FLIGHTS_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace clm::cache {

// Who comes while a load is running does not get its result: the load may have read the row before
// a change that the caller knows of. Such callers share the next one. Thread-safe.
template <class T>
class Flights {
 public:
  // The result of a `fly` that began after this call did: the caller's own, or that of another
  // caller. The failure of another caller is not shared: its reason may be that caller's alone.
  absl::StatusOr<T> Share(const std::string& key, absl::FunctionRef<absl::StatusOr<T>()> fly) {
    std::shared_ptr<Flight> mine;
    {
      absl::MutexLock lock(&mu_);
      Route& route = routes_[key];
      if (route.next) {
        const std::shared_ptr<Flight> joined = route.next;
        mu_.Await(absl::Condition(&joined->landed));
        if (joined->result.ok()) return joined->result;
      } else {
        mine = route.next = std::make_shared<Flight>();
        while (const std::shared_ptr<Flight> running = routes_[key].running) {
          mu_.Await(absl::Condition(&running->landed));
        }
        Route& now = routes_[key];
        now.running = std::move(now.next);
        now.next = nullptr;
      }
    }
    if (!mine) return fly();
    absl::StatusOr<T> result = fly();
    absl::MutexLock lock(&mu_);
    mine->result = result;
    mine->landed = true;
    Route& route = routes_[key];
    route.running = nullptr;
    if (!route.next) routes_.erase(key);
    return result;
  }

 private:
  struct Flight {
    bool landed = false;
    absl::StatusOr<T> result = absl::UnknownError("in flight");
  };
  struct Route {
    std::shared_ptr<Flight> running;
    std::shared_ptr<Flight> next;
  };

  absl::Mutex mu_;
  absl::flat_hash_map<std::string, Route> routes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_FLIGHTS_H_
