#include "libs/journal/heads.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace clm::journal {

std::string FormatOffsets(const Offsets& offsets) {
  std::string text;
  for (const auto& [shard, off] : offsets) {
    absl::StrAppend(&text, text.empty() ? "" : ",", shard, "=", off);
  }
  return text;
}

Offsets ParseOffsets(absl::string_view text) {
  Offsets offsets;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    int shard;
    int64_t off;
    if (absl::SimpleAtoi(pair.first, &shard) && absl::SimpleAtoi(pair.second, &off) && shard >= 0 &&
        shard < kShards) {
      offsets.emplace_back(shard, off);
    }
  }
  return offsets;
}

bool Heads::Beyond(const Offsets& positions) const {
  return std::any_of(positions.begin(), positions.end(), [this](const auto& p) {
    mu_.AssertHeld();
    return heads_[p.first] > p.second;
  });
}

void Heads::Raise(const Offsets& offsets) {
  std::vector<Waiter> woken;
  {
    absl::MutexLock lock(&mu_);
    bool raised = false;
    for (const auto& [shard, off] : offsets) {
      if (off > heads_[shard]) {
        heads_[shard] = off;
        raised = true;
      }
    }
    if (!raised) return;
    for (auto it = waiters_.begin(); it != waiters_.end();) {
      if (Beyond(it->positions)) {
        woken.push_back(std::move(*it));
        it = waiters_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (auto& waiter : woken) waiter.wake();
}

int64_t Heads::Get(int shard) const {
  absl::MutexLock lock(&mu_);
  return heads_[shard];
}

int64_t Heads::Wait(Offsets positions, absl::AnyInvocable<void()> wake) {
  {
    absl::MutexLock lock(&mu_);
    if (!Beyond(positions)) {
      const int64_t id = next_id_++;
      waiters_.push_back({id, std::move(positions), std::move(wake)});
      return id;
    }
  }
  wake();
  return 0;
}

bool Heads::Cancel(int64_t id) {
  absl::MutexLock lock(&mu_);
  const auto it =
      std::find_if(waiters_.begin(), waiters_.end(), [id](const Waiter& w) { return w.id == id; });
  if (it == waiters_.end()) return false;
  waiters_.erase(it);
  return true;
}

bool Heads::HasWaiters() const {
  absl::MutexLock lock(&mu_);
  return !waiters_.empty();
}

}  // namespace clm::journal
