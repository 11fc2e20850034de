// Which shards of a source this process consumes: leases in the consumer's own database, each with
// a fencing number that grows at every change of owner. Work that only one process at a time may do
// is a source of one shard.
#ifndef CLM_LIBS_JOURNAL_LEASE_H_
#define CLM_LIBS_JOURNAL_LEASE_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/shard.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"

namespace clm::journal {

struct OwnedShard {
  int64_t fence = 0;
  int64_t off = 0;  // Last offset applied.
  // The last owner did not give it up: it died, or stood still for too long. Told once, when the
  // shard is claimed.
  bool orphaned = false;
};

// Used by one thread. The database's clock decides; a process that stands still loses its shards
// after `ttl`, and its late effects fail by the fencing number.
class Leases {
 public:
  Leases(pg::Pool* pool, std::string source, Uuid owner, absl::Duration ttl, int shards = kShards);

  // Renews what is owned, claims free shards up to the fair share of the live members, and gives up
  // what exceeds it. Returns what is owned now. On failure nothing is owned for sure.
  absl::StatusOr<std::map<int, OwnedShard>> Refresh();

  // Keeps a shard owned under `fence` this process's until the transaction ends. ABORTED, reason
  // FENCED, when another one has taken it over.
  absl::Status Hold(pg::Tx& tx, int shard, int64_t fence) const;

  // Gives everything up at once, so that others need not wait for the leases to end.
  absl::Status Leave();

 private:
  pg::Pool* const pool_;
  const std::string source_;
  const Uuid owner_;
  const absl::Duration ttl_;
  const int shards_;
  bool ensured_ = false;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_LEASE_H_
