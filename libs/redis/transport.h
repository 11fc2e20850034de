// One connection to Redis on a non-blocking socket: connect, write what fits, read what is there.
// The protocol is hiredis'. Not thread-safe.
#ifndef CLM_LIBS_REDIS_TRANSPORT_H_
#define CLM_LIBS_REDIS_TRANSPORT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/redis/redis.h"
#include "libs/redis/url.h"

struct redisReader;

namespace clm::redis {

// The addresses of an endpoint. Names are looked up on a thread of their own, because the system's
// resolver may block for seconds: until the first answer there is no address. Thread-safe.
class Resolver {
 public:
  explicit Resolver(Endpoint endpoint);
  // The next address to try, a sockaddr; empty when there is none yet. Looks a name up again, so
  // that a server that moved is found by the next attempt.
  std::string Next();
  const Endpoint& endpoint() const { return endpoint_; }

 private:
  struct Lookup;
  void Refresh();
  const Endpoint endpoint_;
  bool by_name_ = false;
  std::shared_ptr<Lookup> lookup_;
};

class Transport {
 public:
  Transport() = default;
  ~Transport() { Close(); }
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Begins to connect to a sockaddr. The socket becomes writable when that has ended; then
  // FinishConnect tells how.
  absl::Status StartConnect(const std::string& address);
  absl::Status FinishConnect();
  void Close();
  // -1 when closed.
  int fd() const { return fd_; }

  void Append(const std::string& wire) { out_ += wire; }
  bool HasOutput() const { return !out_.empty(); }
  // Writes as much as the socket takes.
  absl::Status Write();
  // Reads once and hands over every complete reply, in order. An error reply is an error status.
  absl::Status Read(absl::FunctionRef<void(absl::StatusOr<Reply>)> on_reply);

 private:
  int fd_ = -1;
  redisReader* reader_ = nullptr;
  std::string out_;
  std::unique_ptr<char[]> buffer_;
};

// The command as bytes on the wire.
std::string Encode(const Args& args);

// UNAVAILABLE, reason REDIS_UNAVAILABLE.
absl::Status Unreachable(absl::string_view what);

// AUTH and SELECT as `endpoint` demands; usually empty.
std::vector<Args> Handshake(const Endpoint& endpoint);

// The complete replies in `bytes`, as Transport::Read sees them. UNAVAILABLE when they are not
// RESP.
absl::StatusOr<std::vector<absl::StatusOr<Reply>>> Decode(absl::string_view bytes);

}  // namespace clm::redis

#endif  // CLM_LIBS_REDIS_TRANSPORT_H_
