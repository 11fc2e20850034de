#include <atomic>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/error.h"
#include "libs/cache/store.h"

namespace clm::cache {
namespace {

using Place = std::pair<std::string, std::string>;  // Key and field.

absl::string_view Version(absl::string_view bytes) { return bytes.substr(0, 8); }
bool IsTombstone(absl::string_view bytes) {
  return bytes[8] == static_cast<char>(EntryKind::kTombstone);
}
bool IsLive(absl::string_view bytes, absl::Time now) {
  return bytes.size() >= 25 && bytes.substr(9, 8) > BigEndian(absl::ToUnixMicros(now));
}

class PrivateStore final : public MemoryStore {
 public:
  void Get(const std::string& key, Done<Bytes> done) override { done(Read({key, ""})); }

  void GetAll(const std::string& key, Done<Fields> done) override {
    Fields fields;
    {
      absl::MutexLock lock(&mu_);
      for (auto it = entries_.lower_bound({key, ""}); it != entries_.end(); ++it) {
        if (it->first.first != key) break;
        fields.emplace_back(it->first.second, it->second);
      }
    }
    done(std::move(fields));
  }

  void GetSome(const std::string& key, const std::vector<std::string>& fields,
               Done<Fields> done) override {
    Fields found;
    for (const std::string& field : fields) {
      if (Bytes bytes = Read({key, field})) found.emplace_back(field, *std::move(bytes));
    }
    done(std::move(found));
  }

  void Lease(const Slot& slot, const std::string& token, const std::string& seen, absl::Time now,
             Done<Leased> done) override {
    const Place place(slot.key, slot.field);
    Leased leased;
    {
      absl::MutexLock lock(&mu_);
      const auto it = entries_.find(place);
      const bool useful = it != entries_.end() && IsLive(it->second, now) &&
                          !IsTombstone(it->second) && it->second != seen;
      if (it != entries_.end()) leased.bytes = it->second;
      auto& held = tokens_[place];
      if (!useful && (held.token.empty() || held.ends <= now)) {
        held = {token, now + kLeaseTime};
        leased.granted = true;
      }
    }
    done(std::move(leased));
  }

  void Fill(const Slot& slot, const std::string& token, const std::string& bytes,
            const std::string& replace, absl::Duration, absl::Time now, Done<bool> done) override {
    const Place place(slot.key, slot.field);
    bool filled = false;
    {
      absl::MutexLock lock(&mu_);
      const auto held = tokens_.find(place);
      if (held != tokens_.end() && held->second.token == token && held->second.ends > now) {
        tokens_.erase(held);
        const auto it = entries_.find(place);
        filled = it == entries_.end() || !IsLive(it->second, now) || it->second == replace ||
                 Version(it->second) <= Version(bytes);
        if (filled) entries_[place] = bytes;
      }
    }
    done(filled);
  }

  void Write(std::vector<Change> changes, absl::Time now, Done<int64_t> done) override {
    if (refuse_) return done(absl::UnavailableError("told to refuse writes"));
    // A cluster runs no script over the keys of two tenants.
    for (const Change& change : changes) {
      if (change.slot.tenant != changes[0].slot.tenant) {
        return done(error::Internal("a script of two tenants"));
      }
    }
    int64_t written = 0;
    {
      absl::MutexLock lock(&mu_);
      for (Change& change : changes) {
        const Place place(change.slot.key, change.slot.field);
        tokens_.erase(place);
        const auto it = entries_.find(place);
        const bool due =
            it == entries_.end() || !IsLive(it->second, now) ||
            Version(it->second) < Version(change.bytes) ||
            (Version(it->second) == Version(change.bytes) && !IsTombstone(change.bytes));
        const bool of_use = !change.only_over || (it != entries_.end() && IsLive(it->second, now) &&
                                                  !IsTombstone(it->second));
        if (!due || !of_use) continue;
        entries_[place] = std::move(change.bytes);
        ++written;
      }
    }
    done(written);
  }

  void Flush() override {
    absl::MutexLock lock(&mu_);
    entries_.clear();
    tokens_.clear();
  }

  void Overwrite(const Slot& slot, std::string bytes) override {
    absl::MutexLock lock(&mu_);
    entries_[{slot.key, slot.field}] = std::move(bytes);
  }

  void RefuseWrites(bool refuse) override { refuse_ = refuse; }

 private:
  struct Held {
    std::string token;
    absl::Time ends;
  };

  Bytes Read(const Place& place) {
    absl::MutexLock lock(&mu_);
    const auto it = entries_.find(place);
    return it == entries_.end() ? Bytes() : Bytes(it->second);
  }

  std::atomic<bool> refuse_{false};
  absl::Mutex mu_;
  std::map<Place, std::string> entries_ ABSL_GUARDED_BY(mu_);
  std::map<Place, Held> tokens_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

std::unique_ptr<MemoryStore> NewMemoryStore() { return std::make_unique<PrivateStore>(); }

}  // namespace clm::cache
