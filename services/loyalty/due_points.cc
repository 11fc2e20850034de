#include "services/loyalty/due_points.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/expiry_warning.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/merge_members.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

constexpr char kActor[] = "loyalty";

// Mutations of the suite itself, and the first failure among them.
class Mutations {
 public:
  explicit Mutations(size_t count) : left_(static_cast<int>(count)) {}

  void Submit(journal::Lanes& lanes, journal::ShardSet shards, int weight,
              journal::MutationOf<LoyaltyWork>::DeclareFn declare,
              std::function<absl::Status(LoyaltyWork&, journal::Recorder&)> apply) {
    journal::MutationInfo info;
    info.shards = shards;
    info.actor = kActor;
    info.weight = weight;
    lanes.Submit(std::make_unique<journal::MutationOf<LoyaltyWork>>(
        std::move(info), std::move(declare),
        [apply = std::move(apply)](LoyaltyWork& work,
                                   journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          CLM_RETURN_IF_ERROR(apply(work, recorder));
          return std::string();
        },
        [this](const absl::StatusOr<journal::Answer>& answer) {
          {
            absl::MutexLock lock(&mu_);
            status_.Update(answer.status());
          }
          left_.DecrementCount();
        }));
  }

  absl::Status Wait() {
    left_.Wait();
    absl::MutexLock lock(&mu_);
    return status_;
  }

 private:
  absl::BlockingCounter left_;
  absl::Mutex mu_;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

// What became of wallets, by the mutation that looked at them.
class Outcome {
 public:
  void Begin(const void* mutation) {
    absl::MutexLock lock(&mu_);
    by_mutation_[mutation] = {};
  }
  void Add(const void* mutation, const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    auto& [settled, failure] = by_mutation_[mutation];
    settled += status.ok() ? 1 : 0;
    failure.Update(status);
  }
  int settled() const {
    absl::MutexLock lock(&mu_);
    int sum = 0;
    for (const auto& [mutation, of] : by_mutation_) sum += of.first;
    return sum;
  }
  // The first one; OK when there is none.
  absl::Status failure() const {
    absl::MutexLock lock(&mu_);
    absl::Status first;
    for (const auto& [mutation, of] : by_mutation_) first.Update(of.second);
    return first;
  }

 private:
  mutable absl::Mutex mu_;
  std::map<const void*, std::pair<int, absl::Status>> by_mutation_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

DuePoints::DuePoints(Options options)
    : options_(std::move(options)),
      loop_({.clock = options_.clock,
             .poll = options_.poll,
             .round = [this] { return RunOnce().status(); },
             .next = [this] { return options_.reader->NextDue(); },
             .on_trouble = options_.on_trouble}) {}

namespace {

int ShardOfKey(const WalletKey& key) { return ShardOf(key.tenant, key.member); }
int ShardOfKey(const DueWarning& due) { return ShardOfKey(due.wallet); }
int ShardOfKey(const MemberKey& key) { return ShardOf(key.tenant, key.contact); }

// Runs `settle` on each of what is due, a mutation for each shard. One that cannot be settled does
// not hold up the others; `on_trouble` is told. Returns how many were settled.
template <class Key>
absl::StatusOr<int> SettleEach(const DuePoints::Options& options, const std::vector<Key>& due,
                               void (*need)(LoyaltyWork&, const Key&),
                               absl::Status (*settle)(LoyaltyWork&, journal::Recorder&,
                                                      const Key&)) {
  if (due.empty()) return 0;
  Failpoint("points.due");
  std::map<int, std::vector<Key>> by_shard;
  for (const Key& key : due) by_shard[ShardOfKey(key)].push_back(key);
  Mutations mutations(by_shard.size());
  const auto outcome = std::make_shared<Outcome>();
  // Outcomes go by their addresses: none may be another's before all are in.
  std::vector<std::shared_ptr<const std::vector<Key>>> kept;
  for (auto& [shard, own] : by_shard) {
    auto keys = std::make_shared<const std::vector<Key>>(std::move(own));
    kept.push_back(keys);
    mutations.Submit(
        *options.lanes, journal::ShardSet().set(shard), static_cast<int>(keys->size()),
        [keys, need](LoyaltyWork& work) {
          for (const Key& key : *keys) need(work, key);
        },
        [keys, settle, outcome](LoyaltyWork& work, journal::Recorder& recorder) {
          // It may run again: what an earlier run has counted did not happen.
          outcome->Begin(keys.get());
          for (const Key& key : *keys) {
            const absl::Status status = settle(work, recorder, key);
            if (status.ok()) {
              work.Keep();
            } else {
              work.Discard();
            }
            outcome->Add(keys.get(), status);
          }
          return absl::OkStatus();
        });
  }
  CLM_RETURN_IF_ERROR(mutations.Wait());
  if (const absl::Status held_up = outcome->failure(); !held_up.ok() && options.on_trouble) {
    options.on_trouble(held_up);
  }
  return outcome->settled();
}

void NeedMemberOf(LoyaltyWork& work, const MemberKey& key) {
  work.NeedProgram({key.tenant, key.program});
  work.NeedMember(key);
}

void NeedWalletOf(LoyaltyWork& work, const WalletKey& key) {
  NeedMemberOf(work, MemberOf(key));
  work.NeedWallet(key);
}

void NeedWarningsOf(LoyaltyWork& work, const DueWarning& due) {
  NeedWalletOf(work, due.wallet);
  work.NeedWarnings(due.wallet, due.lots);
}

absl::Status Warn(LoyaltyWork& work, journal::Recorder& recorder, const DueWarning& due) {
  return WarnOfExpiry(work, recorder, due.wallet);
}

absl::Status UpdateTierNow(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& key) {
  return UpdateTier(work, recorder, key, recorder.now());
}

}  // namespace

absl::StatusOr<int> DuePoints::SettleDue() {
  CLM_ASSIGN_OR_RETURN(const std::vector<WalletKey> due,
                       options_.reader->Due(options_.clock->Now(), options_.batch));
  return SettleEach<WalletKey>(options_, due, NeedWalletOf, SettleWallet);
}

absl::StatusOr<int> DuePoints::WarnDue() {
  CLM_ASSIGN_OR_RETURN(const std::vector<DueWarning> due,
                       options_.reader->DueWarnings(options_.clock->Now(), options_.batch));
  return SettleEach<DueWarning>(options_, due, NeedWarningsOf, Warn);
}

absl::StatusOr<int> DuePoints::UpdateTiers() {
  CLM_ASSIGN_OR_RETURN(const std::vector<MemberKey> due,
                       options_.reader->DueTiers(options_.clock->Now(), options_.batch));
  return SettleEach<MemberKey>(options_, due, NeedMemberOf, UpdateTierNow);
}

absl::StatusOr<int> DuePoints::SweepTiers() {
  CLM_ASSIGN_OR_RETURN(const std::optional<TierSweep> sweep,
                       options_.reader->NextTierSweep(options_.batch));
  if (!sweep) return 0;
  CLM_RETURN_IF_ERROR(
      SettleEach<MemberKey>(options_, sweep->members, NeedMemberOf, UpdateTierNow).status());
  std::optional<Uuid> after;
  if (!sweep->last) after = sweep->members.back().contact;
  Mutations mutation(1);
  mutation.Submit(
      *options_.lanes,
      journal::ShardSet().set(ShardOf(sweep->program.tenant, NameOf(sweep->program))), 1,
      [](LoyaltyWork&) {},
      [&sweep, after](LoyaltyWork& work, journal::Recorder&) {
        work.AdvanceTierSweep(sweep->program, sweep->version, after);
        return absl::OkStatus();
      });
  CLM_RETURN_IF_ERROR(mutation.Wait());
  return static_cast<int>(sweep->members.size()) + 1;
}

absl::StatusOr<int> DuePoints::MoveMerged() {
  CLM_ASSIGN_OR_RETURN(const auto pairs, options_.reader->ToMove(options_.batch));
  int moved = 0;
  // One after the other: a survivor may be merged itself next.
  for (const auto& [merged, into] : pairs) {
    const EntityKey survivor{merged.tenant, into};
    journal::ShardSet shards;
    shards.set(ShardOf(merged.tenant, merged.id));
    shards.set(ShardOf(survivor.tenant, survivor.id));
    Mutations mutation(1);
    mutation.Submit(
        *options_.lanes, shards, 1,
        [merged = merged, survivor](LoyaltyWork& work) { work.NeedMerge(merged, survivor); },
        [merged = merged, survivor](LoyaltyWork& work, journal::Recorder& recorder) {
          return MergeMembers(work, recorder, merged, survivor);
        });
    const absl::Status status = mutation.Wait();
    if (error::IsTransient(status)) return status;
    // Two who cannot be merged must not hold up the others.
    if (status.ok()) {
      ++moved;
    } else if (options_.on_trouble) {
      options_.on_trouble(status);
    }
  }
  return moved;
}

absl::StatusOr<int> DuePoints::RunOnce() {
  int done = 0;
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const int moved, MoveMerged());
    CLM_ASSIGN_OR_RETURN(const int settled, SettleDue());
    CLM_ASSIGN_OR_RETURN(const int updated, UpdateTiers());
    CLM_ASSIGN_OR_RETURN(const int swept, SweepTiers());
    CLM_ASSIGN_OR_RETURN(const int warned, WarnDue());
    const int all = moved + settled + updated + swept + warned;
    done += all;
    if (all == 0) return done;
    if (loop_.stopping()) return done;
  }
}

}  // namespace clm::loyalty
