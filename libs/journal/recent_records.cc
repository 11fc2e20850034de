#include "libs/journal/recent_records.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace clm::journal {

size_t RecentRecords::BytesOf(const Kept& kept) {
  return sizeof(Kept) + kept.type.size() + kept.event.size();
}

void RecentRecords::DropFirst(Run& run) {
  run.bytes -= BytesOf(run.records.front());
  run.records.pop_front();
  ++run.before;
}

int64_t RecentRecords::EndOf(const Run& run) {
  return run.before + static_cast<int64_t>(run.records.size());
}

bool RecentRecords::HasNext(const Run& run, int64_t after) {
  return after >= run.before && after < EndOf(run);
}

void RecentRecords::Begin(Run& run, int64_t before) {
  run.records.clear();
  run.bytes = 0;
  run.before = before;
}

void RecentRecords::Add(const std::vector<Growth>& grown, std::vector<FreshRecord> records,
                        const ShardSet& rewritten) {
  for (int shard = 0; shard < kShards && rewritten.any(); ++shard) {
    if (!rewritten[shard]) continue;
    Run& run = runs_[shard];
    absl::MutexLock lock(&run.mu);
    Begin(run, EndOf(run));
  }
  for (const Growth& growth : grown) {
    Run& run = runs_[growth.shard];
    absl::MutexLock lock(&run.mu);
    if (rewritten[growth.shard]) {
      Begin(run, growth.last);
    } else if (growth.before != EndOf(run)) {
      // Somebody else's records lie in between, or a run has just begun.
      Begin(run, growth.before);
    }
  }
  const absl::Time now = absl::Now();
  for (FreshRecord& record : records) {
    Run& run = runs_[record.shard];
    absl::MutexLock lock(&run.mu);
    if (record.off != EndOf(run) + 1) continue;
    run.records.push_back({std::move(record.type), std::move(record.event), now});
    run.bytes += BytesOf(run.records.back());
    while (run.bytes > limit_) DropFirst(run);
  }
}

bool RecentRecords::Holds(int shard, int64_t after) const {
  if (shard < 0 || shard >= kShards) return false;
  const Run& run = runs_[shard];
  absl::MutexLock lock(&run.mu);
  return HasNext(run, after);
}

bool RecentRecords::Read(int shard, int64_t after, int max_records,
                         const std::vector<std::string>* types, ByteBudget* budget,
                         event::v1::ShardRecords* out) const {
  if (shard < 0 || shard >= kShards) return false;
  const Run& run = runs_[shard];
  absl::MutexLock lock(&run.mu);
  if (!HasNext(run, after)) return false;
  const int64_t end = EndOf(run);
  out->set_shard(shard);
  const int64_t last = std::min(end, after + std::max(1, max_records));
  out->mutable_records()->Reserve(static_cast<int>(last - after));
  for (int64_t off = after + 1; off <= last; ++off) {
    const Kept& kept = run.records[off - run.before - 1];
    const bool wanted =
        types == nullptr || std::find(types->begin(), types->end(), kept.type) != types->end();
    if (!budget->Take(wanted ? kept.event.size() : 0)) break;
    event::v1::Record* record = out->add_records();
    record->set_offset(off);
    if (wanted) record->set_event(kept.event);
  }
  return true;
}

void RecentRecords::Forget(absl::Time time) {
  for (Run& run : runs_) {
    absl::MutexLock lock(&run.mu);
    while (!run.records.empty() && run.records.front().added < time) DropFirst(run);
  }
}

}  // namespace clm::journal
