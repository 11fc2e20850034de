// A load generator for unary gRPC over a Unix socket that costs a few microseconds per call, where
// gRPC's own client costs more than the server it is to measure. One thread, epoll, and of HTTP/2
// (RFC 9113) and HPACK (RFC 7541) what such calls need:
//
// - It tells the server that it keeps no header table, so that what the server sends is literal or
//   from the static table. Its own requests all have the same headers: sent once per connection,
//   and by their table indexes from then on, as every client does it.
// - Its windows are as large as they can be, so that no answer waits for it; the server's windows
//   are respected.
// - Anything but grpc-status 0 is a failure of the call; so are RST_STREAM and a missing status. A
//   GOAWAY or anything that it does not understand fails what is in flight on that connection.
#ifndef CLM_TOOLS_BENCH_H2_CLIENT_H_
#define CLM_TOOLS_BENCH_H2_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/bench/closed_loop.h"

namespace clm::bench {

// Not thread-safe. Connections stay open from one Run to the next; a broken one is made anew.
class H2Client final : public LoadGenerator {
 public:
  struct Options {
    std::string socket;
    std::string method;  // "/package.Service/Method"
    int connections = 4;
    // Told to the server as the call's deadline. A call that is not answered a second after it is
    // given up as a failure.
    absl::Duration timeout = absl::Seconds(20);
  };

  // UNAVAILABLE when nobody listens.
  static absl::StatusOr<std::unique_ptr<H2Client>> Connect(Options options);
  ~H2Client() override;

  absl::StatusOr<Slice> Run(const Work& work, int in_flight, absl::Duration length) override;

 private:
  class Impl;
  explicit H2Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_H2_CLIENT_H_
