// What the mutations of one transaction leave behind beside their rows: journal rows with their
// offsets, stored answers, positions of consumers, parked events. Private to libs/journal.
#ifndef CLM_LIBS_JOURNAL_TRANSCRIPT_H_
#define CLM_LIBS_JOURNAL_TRANSCRIPT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "libs/journal/mutation.h"
#include "libs/journal/recent_records.h"
#include "libs/journal/told_offsets.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// Reason of an ABORTED transaction: a parked event that it removes is not there any more.
inline constexpr char kParkedNoMore[] = "PARKED_NO_MORE";

// Whose request it is.
struct RequestKey {
  std::string tenant;
  std::string id;
  friend bool operator==(const RequestKey&, const RequestKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const RequestKey& key) {
    return H::combine(std::move(h), key.tenant, key.id);
  }
};

// What a request that took effect was answered.
struct StoredAnswer {
  std::string fingerprint;
  std::string response;
};

using SeenRequests = absl::flat_hash_map<RequestKey, StoredAnswer>;

// Adds to `seen` what is known of these requests, as of now.
absl::Status LoadSeen(pg::Tx& tx, const std::vector<const MutationInfo*>& infos,
                      SeenRequests& seen);

// The answer to a repeated request; REQUEST_ID_REUSED when it is another request.
absl::StatusOr<Answer> Repeat(const StoredAnswer& stored, const MutationInfo& info);

// EVENT_TOO_LARGE when a payload is larger than kMaxPayload.
absl::Status CheckSizes(const std::vector<Entry>& entries);

// Collects what the mutations of one transaction record, and assigns offsets. One transaction, one
// thread.
class Transcript : public ConsumingRecorder {
 public:
  // `heads` are the offsets of the shards that are locked.
  Transcript(absl::Time now, absl::flat_hash_map<int, int64_t> heads)
      : now_(now), heads_(std::move(heads)) {}

  // Reads where the consumers of the batch stand.
  absl::Status LoadConsumers(pg::Tx& tx, const std::vector<std::string>& sources,
                             const std::vector<int64_t>& shards);

  absl::Time now() const override { return now_; }
  void Record(Entry entry) override { pending_entries_.push_back(std::move(entry)); }
  std::optional<Position> Consumed(const std::string& source, int shard) const override;
  bool Blocked(const std::string& source, const std::string& tenant,
               const std::string& subject) const override;
  void Advance(const std::string& source, int shard, int64_t off) override;
  void Park(Parked parked) override;
  void Unpark(const std::string& source, int shard, int64_t off,
              const std::string& tenant) override;

  // Whether what the mutation recorded may be kept.
  absl::Status Fits() const { return CheckSizes(pending_entries_); }
  // The mutation is accepted: its entries get their offsets.
  absl::Status Keep(const MutationInfo& info);
  // The mutation is refused: nothing it recorded happened.
  void Discard();
  // The answer of a mutation with a request id.
  void Remember(const MutationInfo& info, const std::string& response);

  // Writes all that was kept. ABORTED, reason FENCED, when a consumer has lost its shard.
  absl::Status Write(pg::Tx& tx) const;

  // The shards that have new entries.
  std::vector<Growth> Grown() const;
  // The new entries. After Write, once.
  std::vector<FreshRecord> TakeRecords();

  struct Place {
    int shard;
    int64_t off;
    Uuid event_id;
  };
  // Where the first entry went.
  const std::optional<Place>& first() const { return first_; }

 private:
  using ShardOf = std::pair<std::string, int>;
  using Subject = std::tuple<std::string, std::string, std::string>;
  using Unparked = std::tuple<std::string, int, int64_t, std::string>;

  absl::Status WriteConsumers(pg::Tx& tx) const;

  const absl::Time now_;
  absl::flat_hash_map<int, int64_t> heads_;
  absl::flat_hash_map<int, int64_t> grown_;  // By shard: the head before.
  std::vector<Entry> pending_entries_;
  absl::flat_hash_map<ShardOf, Position> positions_;
  absl::flat_hash_set<ShardOf> advanced_;
  std::vector<std::pair<ShardOf, Position>> undo_positions_;
  absl::flat_hash_set<Subject> blocked_;
  std::vector<Subject> undo_blocked_;
  std::vector<Parked> pending_parked_, parked_;
  std::vector<Unparked> pending_unparked_, unparked_;
  std::optional<Place> first_;
  std::vector<int64_t> shards_, offsets_;
  std::vector<std::string> tenants_, subjects_, types_, events_;
  std::vector<Uuid> ids_;
  std::vector<std::string> request_tenants_, request_ids_, fingerprints_, responses_;
  std::vector<std::optional<Uuid>> aggregates_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_TRANSCRIPT_H_
