// How many calls may be in progress, by class: when the server is nearly full, ordinary calls are
// turned away before critical ones (reliability: reserve the last fifth for what must get through).
#ifndef CLM_LIBS_RPC_ADMISSION_H_
#define CLM_LIBS_RPC_ADMISSION_H_

#include <atomic>

#include "clm/options/v1/options.pb.h"

namespace clm::rpc {

// Thread-safe, lock-free.
class Admission {
 public:
  using Class = options::v1::MethodPolicy::Class;

  explicit Admission(int limit) : limit_(limit) {}

  // True when the call may run; Leave() is then owed.
  bool Enter(Class call_class) {
    const int before = in_flight_.fetch_add(1, std::memory_order_relaxed);
    if (before < LimitOf(call_class)) return true;
    in_flight_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void Leave() { in_flight_.fetch_sub(1, std::memory_order_relaxed); }

  int in_flight() const { return in_flight_.load(std::memory_order_relaxed); }

  // The share of the limit up to which calls of this class are let in; at least one call.
  int LimitOf(Class call_class) const {
    using options::v1::MethodPolicy;
    int percent = 80;
    if (call_class == MethodPolicy::CLASS_CRITICAL) percent = 100;
    if (call_class == MethodPolicy::CLASS_BATCH) percent = 40;
    if (call_class == MethodPolicy::CLASS_BEST_EFFORT) percent = 20;
    const int share = limit_ * percent / 100;
    return share < 1 ? 1 : share;
  }

 private:
  const int limit_;
  std::atomic<int> in_flight_{0};
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_ADMISSION_H_
