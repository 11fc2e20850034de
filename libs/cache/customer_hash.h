// The hot state of one customer, `h:{tenant}:<contact>`: one Redis hash in which each service owns
// one field, read in one round trip. The same coherence as libs/cache/cache.h, per field: versions,
// tombstones and leases, so that no slow fill can bring an old value back.
#ifndef CLM_LIBS_CACHE_CUSTOMER_HASH_H_
#define CLM_LIBS_CACHE_CUSTOMER_HASH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/base/resource_name.h"
#include "libs/cache/cache.h"
#include "libs/redis/redis.h"

namespace clm::cache {

// What one service knows about a customer.
struct Part {
  // Of the owner's row; grows with each change. 0 when the owner holds nothing, which is cached
  // like anything else: what it holds first has a higher version, and is told.
  int64_t version = 0;
  absl::Time as_of;  // The state of the owner that it reflects; whole microseconds.
  std::string payload;
  // From then on it may be untrue though nobody changes anything: it is kept no longer than that,
  // and not at all when that has passed. Of what is filled in; what is read back does not tell it.
  absl::Time hold_until = absl::InfiniteFuture();
  friend bool operator==(const Part&, const Part&) = default;
};

// By field: "core", "stages", "loyalty", "feedback" and so on.
using Parts = absl::flat_hash_map<std::string, Part>;

struct PartChange {
  EntityKey customer;
  std::string field;
  int64_t version = 0;
  absl::Time as_of;
  // Empty: the field becomes a tombstone of this version.
  std::optional<std::string> payload;
  // Goes over a live payload only. Of a tombstone in a field to which nobody ever applies a payload
  // otherwise: where there is no entry none is left either, as a fill needs a token, and that is
  // taken away. Of a payload: nothing that was told to be old meanwhile comes back by it.
  bool only_filled = false;
  absl::Time hold_until = absl::InfiniteFuture();  // Of a payload: as a Part's.
};

// Thread-safe.
class CustomerHash {
 public:
  // Asks the owners for `missing` fields. May leave out what an owner did not answer.
  using PartsLoader =
      absl::FunctionRef<absl::StatusOr<Parts>(const std::vector<std::string>& missing)>;

  virtual ~CustomerHash() = default;

  // The fields that are there. UNAVAILABLE when Redis did not answer.
  virtual absl::StatusOr<Parts> Read(const EntityKey& customer) = 0;
  // Those of `fields`, without blocking. `done` is called once, possibly on the I/O thread of
  // Redis, where it must be short and must not call the blocking methods.
  virtual void ReadAsync(const EntityKey& customer, const std::vector<std::string>& fields,
                         absl::AnyInvocable<void(absl::StatusOr<Parts>)> done) = 0;

  // Read, and what is missing of `fields` from `load`, which is then filled in under leases. Any
  // failure of Redis is a miss; the errors are the loader's.
  virtual absl::StatusOr<Parts> ReadThrough(const EntityKey& customer,
                                            const std::vector<std::string>& fields,
                                            PartsLoader load) = 0;

  // Tells what owners have committed, in one round trip. Each change counts only if it is not older
  // than what is there. UNAVAILABLE when Redis did not answer.
  virtual absl::Status Apply(absl::Span<const PartChange> changes) = 0;

  virtual Stats stats() const = 0;

  absl::Status Put(const EntityKey& customer, const std::string& field, const Part& part) {
    const PartChange change{customer, field, part.version, part.as_of, part.payload, false};
    return Apply(absl::MakeConstSpan(&change, 1));
  }
  absl::Status Invalidate(const EntityKey& customer, const std::string& field, int64_t version) {
    const PartChange change{customer, field, version, absl::UnixEpoch(), std::nullopt, false};
    return Apply(absl::MakeConstSpan(&change, 1));
  }
};

// `client` must outlive the hash.
std::unique_ptr<CustomerHash> NewCustomerHash(redis::Client* client, Options options);

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_CUSTOMER_HASH_H_
