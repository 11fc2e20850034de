// Who holds a token. The binding asks Lookup on gRPC's own thread, and Resolve on a worker when
// Lookup does not know.
#ifndef CLM_LIBS_RPC_AUTHENTICATOR_H_
#define CLM_LIBS_RPC_AUTHENTICATOR_H_

#include <array>
#include <functional>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/rpc/call.h"

namespace clm::rpc {

// Thread-safe.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // What is known without waiting; nullopt when somebody must be asked. Never blocks.
  virtual std::optional<absl::StatusOr<Caller>> Lookup(absl::string_view token) = 0;
  // May block until `deadline`. UNAUTHENTICATED for a token that is not good.
  virtual absl::StatusOr<Caller> Resolve(absl::string_view token, absl::Time deadline) = 0;
};

// UNAUTHENTICATED, reason TOKEN_INVALID: the one answer for a malformed, unknown, expired or
// revoked token, so that a guess learns nothing.
absl::Status InvalidToken();

// Remembers answers, good and bad, for a short while: the time within which a revocation reaches
// every process. A malformed token is refused without asking anybody.
class CachingAuthenticator : public Authenticator {
 public:
  using Introspect =
      std::function<absl::StatusOr<Caller>(absl::string_view token, absl::Time deadline)>;

  // `clock` must outlive this.
  CachingAuthenticator(Introspect introspect, const Clock& clock,
                       absl::Duration ttl = absl::Seconds(5));

  std::optional<absl::StatusOr<Caller>> Lookup(absl::string_view token) override;
  absl::StatusOr<Caller> Resolve(absl::string_view token, absl::Time deadline) override;

 private:
  struct Entry {
    absl::StatusOr<Caller> answer;
    absl::Time expires;
  };
  struct Shard {
    absl::Mutex mu;
    absl::flat_hash_map<std::string, Entry> entries ABSL_GUARDED_BY(mu);
  };
  static constexpr int kShards = 16;
  // A flood of unknown tokens must not grow the process: beyond this a shard starts afresh.
  static constexpr size_t kMaxEntries = 1024;

  Shard& ShardOf(absl::string_view token);

  const Introspect introspect_;
  const Clock& clock_;
  const absl::Duration ttl_;
  std::array<Shard, kShards> shards_;
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_AUTHENTICATOR_H_
