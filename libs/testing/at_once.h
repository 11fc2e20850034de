// Threads that begin together: a race is provoked by a latch, not hoped for.
#ifndef CLM_LIBS_TESTING_AT_ONCE_H_
#define CLM_LIBS_TESTING_AT_ONCE_H_

#include <latch>
#include <thread>
#include <vector>

namespace clm::testing {

// Runs fn(0) ... fn(n - 1), each in its own thread; none begins before all threads exist. Returns
// when all have returned.
template <class Fn>
void AtOnce(int n, Fn fn) {
  std::latch start(n);
  std::vector<std::thread> threads;
  threads.reserve(n);
  for (int i = 0; i < n; ++i) {
    threads.emplace_back([&start, &fn, i] {
      start.arrive_and_wait();
      fn(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace clm::testing

#endif  // CLM_LIBS_TESTING_AT_ONCE_H_
