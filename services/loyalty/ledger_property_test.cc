// Random lives of three members, told to the ledger and to NaivePoints. Time passes in ticks and
// expiries, holds and activations lie on them, so that they meet all the time. The ledger sees what
// a store would give it: the totals and the lots that ledger.h asks for, settled only when a member
// is looked at.
//
// A failure is shrunk to the shortest life that still fails, and printed with its seed; RC_PARAMS
// repeats it.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <ostream>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "services/loyalty/audit.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/ledger_fixture.h"
#include "services/loyalty/naive_points.h"

namespace clm::loyalty {
namespace {

constexpr int kMembers = 3;

absl::Time At(int tick) {
  return tick == NaivePoints::kNever ? absl::InfiniteFuture()
                                     : absl::UnixEpoch() + absl::Hours(1) * tick;
}

enum class Op {
  kEarn,
  kEarnPending,
  kRedeem,
  kHold,
  kCapture,
  kRelease,
  kCancel,
  kReturn,
  kAdjustUp,
  kAdjustDown,
  kTransfer,
  kActivate,
  kMerge,
  kLook,  // Does nothing but settle and compare.
};
constexpr const char* kOpNames[] = {"earn",     "earn pending", "redeem", "hold",    "capture",
                                    "release",  "cancel",       "return", "adjust+", "adjust-",
                                    "transfer", "activate",     "merge",  "look"};

// Small numbers; an amount above kSome is all there is, and `pick` is taken modulo whatever there
// is to choose from.
constexpr int kSome = 8;
struct Step {
  Op op = Op::kLook;
  int who = 0;
  int amount = 1;
  int pick = 0;
  int wait = 0;
  bool load_all = false;
};

std::ostream& operator<<(std::ostream& os, const Step& step) {
  return os << "+" << step.wait << " " << kOpNames[static_cast<int>(step.op)] << " member "
            << step.who << " amount " << step.amount << " pick " << step.pick
            << (step.load_all ? " all lots" : "") << "\n";
}

// Of the whole range, in short lives too.
rc::Gen<int> Below(int end) { return rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, end)); }

rc::Gen<std::vector<Step>> LivesOf(const rc::Gen<Op>& op, const rc::Gen<int>& amount) {
  return rc::gen::container<std::vector<Step>>(rc::gen::build<Step>(
      rc::gen::set(&Step::op, op),
      // One of them leads a fuller life than the others.
      rc::gen::set(&Step::who, rc::gen::element(0, 0, 0, 1, 2)),
      rc::gen::set(&Step::amount, amount), rc::gen::set(&Step::pick, Below(60)),
      rc::gen::set(&Step::wait, rc::gen::element(0, 0, 0, 0, 1, 1, 2, 3)),
      rc::gen::set(&Step::load_all, rc::gen::arbitrary<bool>())));
}

rc::Gen<std::vector<Step>> Lives() {
  // Points must come before they go.
  const auto any = rc::gen::weightedOneOf<Op>(
      {{1, rc::gen::element(Op::kEarn, Op::kEarnPending)},
       {3, rc::gen::map(Below(std::size(kOpNames)), [](int op) { return static_cast<Op>(op); })}});
  const auto amount = rc::gen::map(Below(12), [](int n) { return n + 1; });
  // Who spends or holds all and returns what was spent has debts, and points that come back to
  // them.
  const auto owing = rc::gen::element(Op::kEarn, Op::kEarnPending, Op::kRedeem, Op::kHold,
                                      Op::kReturn, Op::kReturn, Op::kCancel, Op::kRelease);
  return rc::gen::oneOf(LivesOf(any, amount),
                        LivesOf(owing, rc::gen::element(4, kSome + 1, kSome + 4)));
}

// A table of wallets, lots and holds, as a store keeps them.
class Store {
 public:
  explicit Store(const Uuid& member) : wallet_(NewWallet(member)) {}

  const Wallet& all() const { return wallet_; }

  Wallet Load(const std::set<Uuid>& lots, const std::set<Uuid>& holds) const {
    Wallet part{.key = wallet_.key, .totals = wallet_.totals};
    for (const Uuid& id : holds) {
      const Hold& hold = part.holds.emplace(id, wallet_.holds.at(id)).first->second;
      for (const Allocation& allocation : hold.allocations) AddLot(part, allocation.lot);
    }
    for (const Uuid& id : lots) AddLot(part, id);
    return part;
  }
  Wallet LoadDue(absl::Time now) const {
    std::set<Uuid> lots;
    std::set<Uuid> holds;
    for (const auto& [id, lot] : wallet_.lots) {
      if (DueTime(lot) <= now) lots.insert(id);
    }
    for (const auto& [id, hold] : wallet_.holds) {
      if (DueTime(hold) <= now) holds.insert(id);
    }
    return Load(lots, holds);
  }
  // The first lots in spend order that cover `amount`.
  std::set<Uuid> ToSpend(int64_t amount) const {
    std::vector<const Lot*> active;
    for (const auto& [id, lot] : wallet_.lots) {
      if (!lot.pending && lot.remaining > 0) active.push_back(&lot);
    }
    std::sort(active.begin(), active.end(),
              [](const Lot* a, const Lot* b) { return SpendsBefore(*a, *b); });
    std::set<Uuid> lots;
    for (auto it = active.begin(); amount > 0 && it != active.end(); ++it) {
      lots.insert((*it)->id);
      amount -= (*it)->remaining;
    }
    return lots;
  }

  // Writes what is marked. What is not must be as it was.
  void Save(const Wallet& part) {
    wallet_.totals = part.totals;
    Write(part.lots, wallet_.lots);
    Write(part.holds, wallet_.holds);
  }
  // After a merge into another, whose lots and holds not at hand follow those that were.
  void MoveRestTo(Store& into) {
    into.wallet_.lots.merge(wallet_.lots);
    into.wallet_.holds.merge(wallet_.holds);
  }

 private:
  void AddLot(Wallet& part, const Uuid& id) const { part.lots.emplace(id, wallet_.lots.at(id)); }

  template <class Row>
  static void Write(const std::map<Uuid, Row>& from, std::map<Uuid, Row>& to) {
    for (const auto& [id, row] : from) {
      const auto kept = to.find(id);
      if (row.mark == Mark::kStored) {
        RC_ASSERT(kept != to.end());
        RC_ASSERT(kept->second == row);
        continue;
      }
      RC_ASSERT((row.mark == Mark::kNew) == (kept == to.end()));
      Row written = row;
      written.mark = Mark::kStored;
      to[id] = written;
    }
  }

  Wallet wallet_;
};

class Life {
 public:
  Life() {
    for (int i = 0; i < kMembers; ++i) Join();
  }

  void Do(const Step& step) {
    naive_.PassTo(naive_.now + step.wait);
    now_ = At(naive_.now);
    step_ = step;
    who_ = step.who;
    other_ = (step.who + 1 + step.pick % (kMembers - 1)) % kMembers;
    Settle(who_);
    switch (step.op) {
      case Op::kEarn:
      case Op::kEarnPending:
      case Op::kAdjustUp:
        DoEarn();
        break;
      case Op::kRedeem:
        DoRedeem();
        break;
      case Op::kHold:
        DoHold();
        break;
      case Op::kCapture:
      case Op::kRelease:
        DoEndHold();
        break;
      case Op::kCancel:
        DoCancel();
        break;
      case Op::kReturn:
        DoReturn();
        break;
      case Op::kAdjustDown:
        DoAdjustDown();
        break;
      case Op::kTransfer:
        DoTransfer();
        break;
      case Op::kActivate:
        DoActivate();
        break;
      case Op::kMerge:
        DoMerge();
        break;
      case Op::kLook:
        break;
    }
    Compare(who_);
  }

  void End() {
    for (int i = 0; i < kMembers; ++i) {
      Settle(i);
      Compare(i);
    }
  }

 private:
  struct Redeemed {
    int owner = 0;
    Uuid id;
    std::vector<Allocation> allocations;
    int64_t cancelled = 0;
  };
  struct Member {
    Store store;
    std::vector<Uuid> merged;
    int number = 0;  // In naive_.
  };

  Uuid Next() { return Id(++made_); }
  void Join() {
    // Ids of members are apart from all others.
    const int number = joined_++;
    members_.push_back({Store(Id(0x10000000U + number)), {}, number});
  }
  Member& Who() { return members_[who_]; }
  int Naive() { return Who().number; }

  // Of `all` points, as many as the step says.
  int Amount(int64_t all) const {
    return step_.amount > kSome ? std::max(static_cast<int>(all), 1) : step_.amount;
  }

  // Of the wallet, what the step needs, or everything.
  Wallet Load(const std::set<Uuid>& lots, const std::set<Uuid>& holds = {}) {
    const Store& store = Who().store;
    return step_.load_all ? store.all() : store.Load(lots, holds);
  }

  void Keep(const Posting& posting) {
    int64_t sum = 0;
    for (const Entry& entry : posting.entries) {
      RC_ASSERT(entry.amount != 0);
      sum += entry.amount;
    }
    RC_ASSERT(sum == 0);
    RC_ASSERT(ids_.insert(posting.id).second);
    postings_.push_back(posting);
  }

  // Saves what an operation did that was to be possible; else sees that it was refused, with
  // `reason`, and changed nothing. Returns whether it was done.
  template <class Result>
  bool Check(const Result& result, bool possible, const char* reason, const Wallet& before,
             const Wallet& after) {
    if (possible) {
      if (!result.ok()) RC_FAIL(std::string(result.status().message()));
      members_[who_].store.Save(after);
      return true;
    }
    RC_ASSERT(!result.ok());
    RC_ASSERT(error::Reason(result.status()) == reason);
    RC_ASSERT(before == after);
    return false;
  }

  void Settle(int who) {
    Wallet wallet = members_[who].store.LoadDue(now_);
    const auto postings = loyalty::Settle(wallet, now_);
    if (!postings.ok()) RC_FAIL(std::string(postings.status().message()));
    absl::Time last = absl::InfinitePast();
    for (const Posting& posting : *postings) {
      RC_ASSERT(last <= posting.time);
      last = posting.time;
      Keep(posting);
    }
    members_[who].store.Save(wallet);
  }

  void DoEarn() {
    const bool by_hand = step_.op == Op::kAdjustUp;
    NaivePoints::Label label{.id = Next(),
                             .earned_at = naive_.now,
                             .active_at = naive_.now,
                             .expires_at = naive_.now + 1 + step_.pick % 12,
                             .earned = step_.amount};
    if (step_.pick % 12 == 11) label.expires_at = NaivePoints::kNever;
    if (step_.op == Op::kEarnPending) {
      label.active_at = step_.pick >= 54 ? NaivePoints::kNever : naive_.now + 1 + step_.pick / 12;
    }
    const NewLot lot{.id = label.id,
                     .amount = step_.amount,
                     .earn_time = now_,
                     .activate_time = At(label.active_at),
                     .expire_time = At(label.expires_at)};
    Wallet wallet = Load({});
    const auto posting =
        by_hand ? AdjustUp(wallet, lot, Next(), now_) : Earn(wallet, lot, Next(), now_);
    if (!posting.ok()) RC_FAIL(std::string(posting.status().message()));
    Keep(*posting);
    Who().store.Save(wallet);
    naive_.Earn(Naive(), label, by_hand);
    if (!by_hand) earned_.push_back(label.id);
  }

  void DoRedeem() {
    const Uuid id = Next();
    const int amount = Amount(Who().store.all().totals.active);
    const Wallet before = Load(Who().store.ToSpend(amount));
    Wallet after = before;
    const auto result = Redeem(after, amount, id, now_);
    const bool possible = naive_.Redeem(Naive(), amount, id);
    if (!Check(result, possible, "POINTS_SHORT", before, after)) {
      RC_ASSERT(error::MetadataValue(result.status(), "shortfall") ==
                absl::StrCat(amount - before.totals.active));
      return;
    }
    Keep(result->posting);
    redeemed_.push_back({Naive(), id, result->allocations});
  }

  void DoHold() {
    const int amount = Amount(Who().store.all().totals.active);
    const NewHold hold{
        .id = Next(), .amount = amount, .expire_time = At(naive_.now + 1 + step_.pick % 8)};
    const Wallet before = Load(Who().store.ToSpend(amount));
    Wallet after = before;
    const auto posting = PlaceHold(after, hold, Next(), now_);
    const bool possible = naive_.Hold(Naive(), amount, hold.id, naive_.now + 1 + step_.pick % 8);
    if (Check(posting, possible, "POINTS_SHORT", before, after)) Keep(*posting);
  }

  void DoEndHold() {
    const auto& holds = Who().store.all().holds;
    if (holds.empty()) return;
    const Uuid id = std::next(holds.begin(), step_.pick % holds.size())->first;
    const bool open = naive_.open_holds.contains(id);
    const Uuid posting_id = Next();
    const Wallet before = Load({}, {id});
    Wallet after = before;
    if (step_.op == Op::kRelease) {
      const auto posting = ReleaseHold(after, id, posting_id, now_);
      if (!Check(posting, open, "HOLD_ENDED", before, after)) return;
      Keep(*posting);
      naive_.EndHold(id, 0, Uuid());
      return;
    }
    const int amount = Amount(naive_.Held(id));
    const bool enough = amount <= naive_.Held(id);
    const auto result = CaptureHold(after, id, amount, posting_id, now_);
    if (!Check(result, open && enough, open ? "INVALID_ARGUMENT" : "HOLD_ENDED", before, after)) {
      return;
    }
    Keep(result->posting);
    naive_.EndHold(id, amount, posting_id);
    redeemed_.push_back({Naive(), posting_id, result->allocations});
  }

  void DoCancel() {
    std::vector<Redeemed*> own;
    for (Redeemed& redeemed : redeemed_) {
      if (redeemed.owner == Naive()) own.push_back(&redeemed);
    }
    if (own.empty()) return;
    Redeemed& redeemed = *own[step_.pick % own.size()];
    const int left = naive_.LeftToCancel(redeemed.id);
    Cancellation cancellation{.allocations = redeemed.allocations, .cancelled = redeemed.cancelled};
    if (step_.pick % 3 != 0) cancellation.amount = step_.amount;
    const int amount = static_cast<int>(cancellation.amount.value_or(left));
    std::set<Uuid> lots;
    for (const Allocation& allocation : redeemed.allocations) lots.insert(allocation.lot);
    const Wallet before = Load(lots);
    Wallet after = before;
    const auto posting = CancelRedemption(after, cancellation, Next(), now_);
    if (!Check(posting, left > 0 && amount <= left, "REDEMPTION_EXCEEDED", before, after)) return;
    Keep(*posting);
    redeemed.cancelled += amount;
    naive_.Cancel(redeemed.id, amount);
  }

  // A lot that the member earned, or one that came with a merge; rather one whose points are
  // spent, as these make debts. Nil: none.
  Uuid PickLot() {
    std::vector<Uuid> own;
    std::vector<Uuid> used_up;
    for (const Uuid& id : earned_) {
      const auto lot = Who().store.all().lots.find(id);
      if (lot == Who().store.all().lots.end()) continue;
      own.push_back(id);
      if (lot->second.remaining + lot->second.returned + lot->second.expired == 0)
        used_up.push_back(id);
    }
    if (step_.amount > kSome && !used_up.empty()) own = used_up;
    return own.empty() ? Uuid() : own[step_.pick % own.size()];
  }

  void DoReturn() {
    const Uuid lot = PickLot();
    if (lot.IsNil()) return;
    const int policy = std::min(step_.pick % 8, 2);
    const NaivePoints::Label& label = naive_.labels[lot];
    const int amount = Amount(label.earned - label.returned);
    const bool possible = amount <= label.earned - label.returned;
    std::set<Uuid> lots = Who().store.ToSpend(amount);
    lots.insert(lot);
    const Wallet before = Load(lots);
    Wallet after = before;
    const auto result =
        ReturnEarned(after, lot, amount, static_cast<ReturnPolicy>(policy + 1), Next(), now_);
    if (!Check(result, possible, "RETURN_EXCEEDED", before, after)) return;
    Keep(result->posting);
    const int not_taken =
        naive_.Return(Naive(), lot, amount, static_cast<NaivePoints::Policy>(policy));
    RC_ASSERT(result->not_taken == not_taken);
    RC_ASSERT(result->from_pending + result->from_lot + result->from_others + result->as_debt +
                  result->not_taken ==
              amount);
  }

  void DoAdjustDown() {
    const Wallet before = Load(Who().store.ToSpend(step_.amount));
    Wallet after = before;
    const auto posting = AdjustDown(after, step_.amount, Next(), now_);
    const bool possible = naive_.AdjustDown(Naive(), step_.amount);
    if (Check(posting, possible, "POINTS_SHORT", before, after)) Keep(*posting);
  }

  void DoTransfer() {
    Settle(other_);
    Member& other = members_[other_];
    const Uuid id = Next();
    const Wallet before = Load(Who().store.ToSpend(step_.amount));
    Wallet after = before;
    Wallet receiver = other.store.Load({}, {});
    const Wallet receiver_before = receiver;
    const auto posting = TransferPoints(after, receiver, step_.amount, id, now_);
    const bool possible = naive_.Transfer(Naive(), other.number, step_.amount, id);
    if (Check(posting, possible, "POINTS_SHORT", before, after)) {
      Keep(*posting);
      other.store.Save(receiver);
    } else {
      RC_ASSERT(receiver == receiver_before);
    }
    Compare(other_);
  }

  void DoActivate() {
    const Uuid lot = PickLot();
    if (lot.IsNil()) return;
    const Wallet before = Load({lot});
    Wallet after = before;
    const auto posting = Activate(after, lot, Next(), now_);
    const bool possible = naive_.CountOfLot(lot, NaivePoints::State::kPending) > 0;
    if (!Check(posting, possible, "LOT_NOT_PENDING", before, after)) return;
    Keep(*posting);
    naive_.Activate(lot);
  }

  // The other goes into this one, and somebody new takes its place.
  void DoMerge() {
    if (step_.pick % 4 != 0) return;
    Settle(other_);
    Member& other = members_[other_];
    std::set<Uuid> lots;
    std::set<Uuid> holds;
    for (const auto& [id, lot] : other.store.all().lots) {
      if (lot.remaining > 0 || lot.held > 0) lots.insert(id);
    }
    for (const auto& [id, hold] : other.store.all().holds) {
      if (hold.state == HoldState::kOpen) holds.insert(id);
    }
    Wallet from = step_.load_all ? other.store.all() : other.store.Load(lots, holds);
    const Totals& own = Who().store.all().totals;
    Wallet into = Load(Who().store.ToSpend(own.debt + other.store.all().totals.debt));
    const auto posting = MergeWallets(from, into, Next(), now_);
    if (!posting.ok()) RC_FAIL(std::string(posting.status().message()));
    Keep(*posting);
    RC_ASSERT(from == NewWallet(from.key.member));
    for (const Uuid& id : lots) RC_ASSERT(into.lots.contains(id));
    for (const Uuid& id : holds) RC_ASSERT(into.holds.contains(id));
    other.store.MoveRestTo(Who().store);
    Who().store.Save(into);
    Who().merged.push_back(from.key.member);
    Who().merged.insert(Who().merged.end(), other.merged.begin(), other.merged.end());
    naive_.Merge(other.number, Naive());
    for (Redeemed& redeemed : redeemed_) {
      if (redeemed.owner == other.number) redeemed.owner = Naive();
    }
    Join();
    std::swap(members_[other_], members_.back());
    members_.pop_back();
  }

  void Compare(int who) {
    using State = NaivePoints::State;
    const Member& member = members_[who];
    const Wallet& wallet = member.store.all();
    const NaivePoints::Member& naive = naive_.members[member.number];
    const Totals expected{.active = naive_.Count(member.number, State::kActive),
                          .pending = naive_.Count(member.number, State::kPending),
                          .held = naive_.Count(member.number, State::kHeld),
                          .debt = naive.debt,
                          .earned = naive.earned,
                          .redeemed = naive.redeemed,
                          .expired = naive.expired,
                          .returned = naive.returned,
                          .adjusted = naive.adjusted,
                          .transferred = naive.transferred};
    if (wallet.totals != expected) {
      RC_FAIL(
          absl::StrCat("the ledger has ", Show(wallet.totals), "and should have ", Show(expected)));
    }
    for (const auto& [id, lot] : wallet.lots) {
      RC_ASSERT(lot.remaining ==
                naive_.CountOfLot(id, State::kActive) + naive_.CountOfLot(id, State::kPending));
      RC_ASSERT(lot.held == naive_.CountOfLot(id, State::kHeld));
      RC_ASSERT(lot.expired == naive_.CountOfLot(id, State::kExpired));
      RC_ASSERT(lot.returned == naive_.labels[id].returned);
      if (lot.remaining > 0) {
        RC_ASSERT(lot.pending == (naive_.CountOfLot(id, State::kPending) > 0));
      }
    }
    const auto findings = Audit(wallet, member.merged, postings_);
    if (!findings.empty()) RC_FAIL(absl::StrJoin(findings, "\n"));
  }

  NaivePoints naive_;
  absl::Time now_ = At(0);
  Step step_;
  int who_ = 0;
  int other_ = 1;
  std::vector<Member> members_;
  std::vector<Posting> postings_;
  std::set<Uuid> ids_;  // Of postings.
  std::vector<Redeemed> redeemed_;
  std::vector<Uuid> earned_;  // Lots.
  uint32_t made_ = 0;
  int joined_ = 0;
};

TEST(LedgerProperty, TheLedgerCountsLikeSomebodyWhoMovesEverySinglePoint) {
  EXPECT_TRUE(rc::check([] {
    const std::vector<Step> steps = *Lives();
    Life life;
    for (const Step& step : steps) life.Do(step);
    life.End();
  }));
}

}  // namespace
}  // namespace clm::loyalty
