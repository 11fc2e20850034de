#include "services/loyalty/due_referrals.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/referral_changes.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

constexpr char kSuite[] = "loyalty";

journal::MutationInfo InfoOf(const StoredReferral& referral) {
  journal::MutationInfo info;
  info.actor = kSuite;
  for (const auto& contact : {referral.friend_contact, referral.advocate}) {
    if (contact) info.shards.set(ShardOf(referral.key.tenant, *contact));
  }
  return info;
}

}  // namespace

DueReferrals::DueReferrals(Options options)
    : options_(std::move(options)),
      loop_({.clock = options_.clock,
             .poll = options_.poll,
             .round = [this] { return RunOnce().status(); },
             // One that waits for a merge is due all the time: it is looked at at each poll.
             .next = [this]() -> absl::StatusOr<absl::Time> {
               CLM_ASSIGN_OR_RETURN(const absl::Time next, options_.reader->NextDue());
               const absl::Time now = options_.clock->Now();
               return next <= now ? now + options_.poll : next;
             },
             .on_trouble = options_.on_trouble}) {}

absl::StatusOr<int> DueReferrals::RunOnce() {
  int done = 0;
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const std::vector<StoredReferral> due,
                         options_.reader->Due(options_.clock->Now(), options_.batch));
    absl::Mutex mu;
    int settled = 0;
    absl::Status transient;
    absl::BlockingCounter left(static_cast<int>(due.size()));
    for (const StoredReferral& known : due) {
      options_.lanes->Submit(std::make_unique<journal::MutationOf<LoyaltyWork>>(
          InfoOf(known), [&known](LoyaltyWork& work) { NeedReferralSides(work, known); },
          [&known](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
            CLM_RETURN_IF_ERROR(SettleReferral(work, recorder, known));
            return std::string();
          },
          [&](const absl::StatusOr<journal::Answer>& answer) {
            {
              absl::MutexLock lock(&mu);
              if (answer.ok()) {
                ++settled;
              } else if (MovedTo(answer.status())) {
                // The merge comes first.
              } else if (error::IsTransient(answer.status())) {
                transient.Update(answer.status());
              } else if (options_.on_trouble) {
                options_.on_trouble(answer.status());
              }
            }
            left.DecrementCount();
          }));
    }
    left.Wait();
    done += settled;
    CLM_RETURN_IF_ERROR(transient);
    if (settled == 0 || static_cast<int>(due.size()) < options_.batch || loop_.stopping()) {
      return done;
    }
  }
}

}  // namespace clm::loyalty
