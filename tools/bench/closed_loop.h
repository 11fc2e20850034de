// Closed-loop load: a fixed number of unary calls in flight, each answered one replaced by the
// next.
#ifndef CLM_TOOLS_BENCH_CLOSED_LOOP_H_
#define CLM_TOOLS_BENCH_CLOSED_LOOP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace clm::bench {

// What the calls say. `slot` is in [0, in_flight): a slot has one call at a time, so what a call
// needs may be kept per slot. The functions are called for several slots at the same time when the
// generator has several threads.
struct Work {
  // Replaces `request` by the next serialized request. False: the slot has nothing more to send.
  std::function<bool(int slot, std::string* request)> next;
  // Looks at a serialized answer. False: it is wrong, the call counts as failed. May be empty.
  std::function<bool(int slot, absl::string_view answer)> check;
  // Of a slot's answers, one in so many is looked at: looking at all of them would measure the
  // generator. 1 where each request depends on the answer before.
  int check_every = 100;
};

struct Slice {
  int64_t operations = 0;  // That ended well within the slice.
  int64_t completed = 0;   // That ended well, also after it: what took effect.
  int64_t failures = 0;
  std::string failure;                // The first of them.
  double seconds = 0;                 // How long it took, at most its length.
  std::vector<int64_t> latencies_us;  // Of the operations, sorted.
  double rate() const { return seconds > 0 ? static_cast<double>(operations) / seconds : 0; }
  int64_t Percentile(double p) const;
};

// Not thread-safe.
class LoadGenerator {
 public:
  virtual ~LoadGenerator() = default;
  // Runs for `length` or until no slot has anything more to send, then lets what is in flight end.
  // A call that fails is counted and followed by the next; an error means that nothing could be
  // sent at all.
  virtual absl::StatusOr<Slice> Run(const Work& work, int in_flight, absl::Duration length) = 0;
};

enum class Client {
  kH2,    // h2_client.h: costs a few microseconds per call.
  kGrpc,  // gRPC's own: what callers in C++ pay. To cross-check the other.
};

// To one method, "/package.Service/Method", of the server on a Unix socket. Several connections:
// one alone is a bottleneck. Calls that take longer than `timeout` fail.
absl::StatusOr<std::unique_ptr<LoadGenerator>> NewLoadGenerator(
    Client client, const std::string& socket, const std::string& method,
    absl::Duration timeout = absl::Seconds(20));

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_CLOSED_LOOP_H_
