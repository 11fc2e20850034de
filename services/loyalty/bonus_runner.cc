#include "services/loyalty/bonus_runner.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/program.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

constexpr char kSuiteActor[] = "loyalty";
// Runs that are carried out at a time, a page of each.
constexpr int kMostRuns = 100;
// Somebody may be merged while they are about to be given something.
constexpr int kGrantTries = 4;
constexpr absl::Duration kStepPatience = absl::Seconds(30);

journal::MutationInfo InfoOfShard(int shard, size_t weight) {
  journal::MutationInfo info;
  info.actor = kSuiteActor;
  info.shards.set(shard);
  info.weight = static_cast<int>(weight);
  return info;
}

std::vector<std::string> TierIds(const Program& program) {
  std::vector<std::string> ids;
  if (!program.tiers) return ids;
  for (const Tier& tier : program.tiers->scheme.tiers) ids.push_back(tier.id);
  return ids;
}

bool IsQualified(const BonusReader::Picked& picked) {
  return picked.member.state == BonusMemberState::kQualified;
}

// Whether `member` comes no later than the place, best first.
bool IsUpTo(const BonusMember& member, const BonusPlace& place) {
  return std::pair(member.figures.spend_minor, member.contact) >=
         std::pair(place.spend_minor, *place.contact);
}

}  // namespace

BonusRunner::BonusRunner(Options options)
    : options_(std::move(options)),
      loop_({.clock = options_.clock,
             .poll = options_.poll,
             .round = [this] { return RunOnce(); },
             // What could not be carried out is tried again at each poll.
             .next = [this]() -> absl::StatusOr<absl::Time> {
               CLM_ASSIGN_OR_RETURN(const auto open, options_.reader->Open(1));
               return open.empty() ? absl::InfiniteFuture() : options_.clock->Now() + options_.poll;
             },
             .on_trouble = options_.on_trouble}) {}

absl::Status BonusRunner::RunOnce() {
  absl::Status trouble;
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const std::vector<BonusRun> open, options_.reader->Open(kMostRuns));
    bool advanced = false;
    for (const BonusRun& run : open) {
      if (loop_.stopping()) return trouble;
      const absl::Status status = Step(run);
      trouble.Update(status);
      advanced |= status.ok();
    }
    if (!advanced) return trouble;
  }
}

absl::Status BonusRunner::Step(const BonusRun& run) {
  switch (run.state) {
    case BonusRunState::kCollecting:
      return Collect(run);
    case BonusRunState::kRanking:
      return Rank(run);
    case BonusRunState::kGranting:
      return Grant(run);
    case BonusRunState::kSucceeded:
    case BonusRunState::kCancelled:
      break;
  }
  return absl::OkStatus();
}

absl::Status BonusRunner::Collect(const BonusRun& run) {
  const ProgramKey key{run.key.tenant, run.key.program};
  const absl::Time deadline = absl::Now() + kStepPatience;
  CLM_ASSIGN_OR_RETURN(const Program program, options_.members->GetProgram(key, deadline));
  CLM_ASSIGN_OR_RETURN(const CompiledBonusCriteria criteria,
                       CompileBonusCriteria(run.criteria, TierIds(program)));
  const absl::TimeZone zone = ZoneOf(program);
  // How members stand cannot be told of the past.
  const absl::Time as_of = std::max(run.as_of, options_.clock->Now());
  CLM_ASSIGN_OR_RETURN(
      const std::vector<v1::Member> page,
      options_.members->Members(key, run.place.contact, options_.batch, as_of, deadline));
  std::vector<Uuid> contacts;
  for (const v1::Member& view : page) {
    CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("name", view.name()));
    contacts.push_back(member.contact);
  }
  CLM_ASSIGN_OR_RETURN(
      const auto purchases,
      options_.reader->Purchases(run, WindowStart(run.criteria, run.as_of, zone), contacts));
  std::vector<BonusMember> eligible;
  int64_t looked_at = 0;
  for (size_t i = 0; i < page.size(); ++i) {
    const absl::Time enrolled = clm::FromProto(page[i].enrol_time());
    // Who was erased has no contact any more; who came later was not there.
    if (page[i].contact().empty() || enrolled > run.as_of) continue;
    ++looked_at;
    BonusMember member{.contact = contacts[i]};
    if (const auto it = purchases.find(contacts[i]); it != purchases.end()) {
      member.figures = it->second;
    }
    member.figures.tier = page[i].tier_standing().tier();
    member.figures.enrol_time = enrolled;
    if (IsEligible(criteria, member.figures, run.as_of, zone)) {
      eligible.push_back(std::move(member));
    }
  }
  const bool last = static_cast<int>(page.size()) < options_.batch;
  return Advance(run, [&](LoyaltyWork& work, journal::Recorder& recorder, const BonusRun& stored) {
    BonusRun after = stored;
    after.members += looked_at;
    after.eligible += static_cast<int64_t>(eligible.size());
    if (!contacts.empty()) after.place.contact = contacts.back();
    work.bonuses().AddMembers(run.key, eligible);
    work.bonuses().SaveRun(last ? NextStateOf(after, recorder.now()) : after);
  });
}

absl::Status BonusRunner::Rank(const BonusRun& run) {
  CLM_ASSIGN_OR_RETURN(const auto page, options_.reader->Next(run, options_.batch));
  if (page.empty()) return EndState(run);
  std::vector<BonusMember> members;
  for (const BonusReader::Picked& picked : page) members.push_back(picked.member);
  BonusPlace place = run.place;
  RankNext(members, place);
  const int64_t last_in = LastRankIn(run.criteria, run.eligible);
  int64_t in = 0;
  for (BonusMember& member : members) {
    if (member.rank > last_in) {
      member.rank = 0;
    } else {
      ++in;
    }
  }
  return Advance(run, [&](LoyaltyWork& work, journal::Recorder&, const BonusRun& stored) {
    BonusRun after = stored;
    after.qualified += in;
    after.place = place;
    work.bonuses().SaveRanks(run.key, members);
    work.bonuses().SaveRun(after);
  });
}

absl::Status BonusRunner::Grant(const BonusRun& run) {
  CLM_ASSIGN_OR_RETURN(auto page, options_.reader->Next(run, options_.batch));
  if (page.empty()) return EndState(run);
  BonusPlace place;
  place.contact = page.back().member.contact;
  place.spend_minor = page.back().member.figures.spend_minor;
  for (int tries = kGrantTries;; --tries) {
    std::vector<BonusGrant> grants;
    for (const BonusReader::Picked& picked : page) {
      if (!IsQualified(picked)) continue;
      if (IsUpTo(picked.member, place)) grants.push_back({picked.member.contact, picked.payee});
    }
    if (grants.empty()) break;
    const absl::Status status = GrantAll(run, grants);
    if (tries == 1 || (!status.ok() && !MovedTo(status))) return status;
    CLM_ASSIGN_OR_RETURN(page, options_.reader->Next(run, options_.batch));
    CLM_ASSIGN_OR_RETURN(const BonusRun now,
                         options_.reader->Get(run.key, absl::Now() + kStepPatience));
    if (now.state != BonusRunState::kGranting) return absl::OkStatus();
  }
  if (options_.after_grants) CLM_RETURN_IF_ERROR(options_.after_grants());
  BonusRun given = run;
  given.place = place;
  for (const BonusReader::Picked& picked : page) {
    if (!IsUpTo(picked.member, place)) continue;
    if (picked.member.state == BonusMemberState::kGranted) ++given.granted;
    if (picked.member.state == BonusMemberState::kMerged) ++given.merged;
    if (picked.member.state == BonusMemberState::kRefused) ++given.refused;
  }
  return Advance(run, [&](LoyaltyWork& work, journal::Recorder&, const BonusRun&) {
    work.bonuses().SaveRun(given);
  });
}

absl::Status BonusRunner::GrantAll(const BonusRun& run, const std::vector<BonusGrant>& grants) {
  Failpoint("points.due");
  std::map<int, std::vector<BonusGrant>> by_shard;
  for (const BonusGrant& grant : grants) {
    by_shard[ShardOf(run.key.tenant, grant.payee)].push_back(grant);
  }
  absl::Mutex mu;
  absl::Status trouble;
  absl::BlockingCounter left(static_cast<int>(by_shard.size()));
  for (const auto& [shard, own] : by_shard) {
    options_.lanes->Submit(std::make_unique<journal::MutationOf<LoyaltyWork>>(
        InfoOfShard(shard, own.size()),
        [&run, &own = own](LoyaltyWork& work) {
          for (const BonusGrant& grant : own) NeedBonusGrant(work, run, grant);
        },
        [&, &own = own](LoyaltyWork& work,
                        journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          for (const BonusGrant& grant : own) {
            const absl::Status status = GrantBonus(work, recorder, run, grant);
            if (status.ok()) {
              work.Keep();
              continue;
            }
            work.Discard();
            if (error::IsTransient(status) || absl::IsAborted(status)) {
              absl::MutexLock lock(&mu);
              trouble.Update(status);
              continue;
            }
            RefuseBonus(work, run, grant, status);
            work.Keep();
          }
          return std::string();
        },
        [&](const absl::StatusOr<journal::Answer>& answer) {
          {
            absl::MutexLock lock(&mu);
            trouble.Update(answer.status());
          }
          left.DecrementCount();
        }));
  }
  left.Wait();
  absl::MutexLock lock(&mu);
  return trouble;
}

absl::Status BonusRunner::Advance(
    const BonusRun& run,
    std::function<void(LoyaltyWork&, journal::Recorder&, const BonusRun& stored)> apply) {
  return options_.lanes
      ->Run<LoyaltyWork>(
          InfoOfShard(ShardOfRun(run.key), 1),
          [&run](LoyaltyWork& work) { work.bonuses().NeedRun(run.key); },
          [&run, &apply](LoyaltyWork& work,
                         journal::Recorder& recorder) -> absl::StatusOr<std::string> {
            const BonusRun* stored = work.bonuses().FindRun(run.key);
            if (stored != nullptr && stored->state == run.state && stored->place == run.place) {
              apply(work, recorder, *stored);
            }
            return std::string();
          })
      .status();
}

absl::Status BonusRunner::EndState(const BonusRun& run) {
  return Advance(run, [](LoyaltyWork& work, journal::Recorder& recorder, const BonusRun& stored) {
    BonusRun after = NextStateOf(stored, recorder.now());
    if (IsOver(after.state)) {
      KeepBonusRun(work, recorder, std::move(after));
    } else {
      work.bonuses().SaveRun(after);
    }
  });
}

}  // namespace clm::loyalty
