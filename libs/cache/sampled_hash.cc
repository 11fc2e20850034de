#include "libs/cache/sampled_hash.h"

#include <atomic>
#include <iterator>
#include <utility>

#include "libs/cache/sampler.h"

namespace clm::cache {
namespace {

class SampledHash final : public CustomerHash {
 public:
  SampledHash(std::unique_ptr<CustomerHash> hash, SampleOptions options)
      : options_(std::move(options)),
        hash_(std::move(hash)),
        sampler_(std::make_unique<Sampler>(options_.delay)) {}

  // Checks use the hash, and the hash waits for reads, which add checks.
  ~SampledHash() override {
    std::unique_ptr<Sampler> ending;
    {
      absl::MutexLock lock(&mu_);
      ending = std::move(sampler_);
    }
    ending.reset();
    hash_.reset();
  }

  absl::StatusOr<Parts> Read(const EntityKey& customer) override {
    return Seen(customer, hash_->Read(customer));
  }

  void ReadAsync(const EntityKey& customer, const std::vector<std::string>& fields,
                 absl::AnyInvocable<void(absl::StatusOr<Parts>)> done) override {
    hash_->ReadAsync(customer, fields,
                     [this, customer, done = std::move(done)](absl::StatusOr<Parts> parts) mutable {
                       done(Seen(customer, std::move(parts)));
                     });
  }

  absl::StatusOr<Parts> ReadThrough(const EntityKey& customer,
                                    const std::vector<std::string>& fields,
                                    PartsLoader load) override {
    return Seen(customer, hash_->ReadThrough(customer, fields, load));
  }

  absl::Status Apply(absl::Span<const PartChange> changes) override {
    return hash_->Apply(changes);
  }

  Stats stats() const override {
    Stats stats = hash_->stats();
    stats.sampled = sampled_;
    stats.stale = stale_;
    return stats;
  }

 private:
  absl::StatusOr<Parts> Seen(const EntityKey& customer, absl::StatusOr<Parts> parts) {
    if (!parts.ok() || parts->empty()) return parts;
    const int64_t turn = ++turn_;
    if (turn % options_.every != 0) return parts;
    ++sampled_;
    const auto& [field, part] =
        *std::next(parts->begin(), turn / options_.every % static_cast<int64_t>(parts->size()));
    auto disagreed = std::make_shared<bool>(false);
    // The truth first, the cache a delay later: in between, what has just changed is told.
    Add([this, customer, field = field, part = part, disagreed] {
      if (!*disagreed) {
        const absl::StatusOr<bool> holds = options_.holds(customer, field, part);
        *disagreed = holds.ok() && !*holds;
        return *disagreed;
      }
      const absl::StatusOr<Parts> now = hash_->Read(customer);
      const auto it = now.ok() ? now->find(field) : Parts::const_iterator();
      if (now.ok() && it != now->end() && it->second == part) {
        ++stale_;
        if (options_.on_stale) options_.on_stale(customer, field);
      }
      return false;
    });
    return parts;
  }

  void Add(Sampler::Check check) {
    absl::MutexLock lock(&mu_);
    if (sampler_ != nullptr) sampler_->Add(std::move(check));
  }

  const SampleOptions options_;
  std::atomic<int64_t> turn_{0};
  std::atomic<int64_t> sampled_{0};
  std::atomic<int64_t> stale_{0};
  std::unique_ptr<CustomerHash> hash_;
  absl::Mutex mu_;
  std::unique_ptr<Sampler> sampler_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

std::unique_ptr<CustomerHash> Sampled(std::unique_ptr<CustomerHash> hash, SampleOptions options) {
  return std::make_unique<SampledHash>(std::move(hash), std::move(options));
}

}  // namespace clm::cache
