#include "services/loyalty/ledger.h"

#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"
#include "services/loyalty/audit.h"
#include "services/loyalty/ledger_fixture.h"

namespace clm::loyalty {
namespace {

using ::clm::testing::IsOk;
using ::clm::testing::ReasonIs;
using ::clm::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const Uuid kAda = Id(0xA);
const Uuid kBob = Id(0xB);
const Uuid kLot = Id(0x100);
const Uuid kOther = Id(0x101);
const Uuid kThird = Id(0x102);
const Uuid kHold = Id(0x200);

// Whatever a test does, what it kept of it adds up at the end.
class LedgerTest : public ::testing::Test {
 protected:
  void TearDown() override {
    if (!audited_at_end_) return;
    EXPECT_THAT(Audit(ada_, {}, postings_), IsEmpty());
    EXPECT_THAT(Audit(bob_, merged_, postings_), IsEmpty());
  }

  Uuid Next() { return Id(0x1000 + ++made_); }

  Posting Keep(absl::StatusOr<Posting> posting) {
    EXPECT_THAT(posting, IsOk());
    if (!posting.ok()) return {};
    postings_.push_back(*posting);
    return *std::move(posting);
  }

  Posting EarnLot(Wallet& wallet, const Uuid& lot, int64_t amount, absl::Time expire_time,
                  absl::Time now = Day(0)) {
    return Keep(Earn(wallet,
                     {.id = lot, .amount = amount, .earn_time = now, .expire_time = expire_time},
                     Next(), now));
  }
  Posting EarnPending(Wallet& wallet, const Uuid& lot, int64_t amount, absl::Time activate_time,
                      absl::Time expire_time = absl::InfiniteFuture()) {
    return Keep(Earn(wallet,
                     {.id = lot,
                      .amount = amount,
                      .earn_time = Day(0),
                      .activate_time = activate_time,
                      .expire_time = expire_time},
                     Next(), Day(0)));
  }
  // Answers with what happened, as (kind, time).
  std::vector<std::pair<PostingKind, absl::Time>> SettleAt(Wallet& wallet, absl::Time now) {
    const auto settled = Settle(wallet, now);
    EXPECT_THAT(settled, IsOk());
    std::vector<std::pair<PostingKind, absl::Time>> steps;
    if (!settled.ok()) return steps;
    for (const Posting& posting : *settled) {
      postings_.push_back(posting);
      steps.emplace_back(posting.kind, posting.time);
    }
    return steps;
  }
  std::vector<Allocation> RedeemAt(Wallet& wallet, int64_t amount, absl::Time now) {
    auto redemption = Redeem(wallet, amount, Next(), now);
    if (redemption.ok()) Keep(redemption->posting);
    EXPECT_THAT(redemption, IsOk());
    return redemption.ok() ? redemption->allocations : std::vector<Allocation>{};
  }
  void HoldPoints(Wallet& wallet, int64_t amount, absl::Time expire_time, absl::Time now) {
    Keep(PlaceHold(wallet, {.id = kHold, .amount = amount, .expire_time = expire_time}, Next(),
                   now));
  }
  Return ReturnAt(Wallet& wallet, const Uuid& lot, int64_t amount, ReturnPolicy policy,
                  absl::Time now) {
    auto result = ReturnEarned(wallet, lot, amount, policy, Next(), now);
    EXPECT_THAT(result, IsOk());
    if (!result.ok()) return {};
    Keep(result->posting);
    return *std::move(result);
  }
  // A debt of `amount` and nothing else, by a purchase whose points were spent before it was
  // returned. Uses kThird.
  void Owe(Wallet& wallet, int64_t amount) {
    EarnLot(wallet, kThird, amount, absl::InfiniteFuture());
    RedeemAt(wallet, amount, Day(0));
    ReturnAt(wallet, kThird, amount, ReturnPolicy::kUnlimited, Day(0));
    ASSERT_EQ(wallet.totals.debt, amount);
  }

  Wallet ada_ = NewWallet(kAda);
  Wallet bob_ = NewWallet(kBob);
  std::vector<Uuid> merged_;  // Into bob_.
  std::vector<Posting> postings_;
  bool audited_at_end_ = true;
  uint32_t made_ = 0;
};

// --- Earning.

TEST_F(LedgerTest, EarnedPointsComeFromTheHouse) {
  const Posting posting = EarnLot(ada_, kLot, 100, Day(30));
  EXPECT_EQ(posting.kind, PostingKind::kEarn);
  EXPECT_EQ(posting.time, Day(0));
  EXPECT_THAT(posting.entries, ElementsAre(Entry{kAda, Account::kActive, kLot, 100},
                                           Entry{kAda, Account::kIssued, kLot, -100}));
  EXPECT_EQ(ada_.totals, (Totals{.active = 100, .earned = 100}));
  EXPECT_EQ(ada_.lots.at(kLot), (Lot{.id = kLot,
                                     .posting = posting.id,
                                     .earned = 100,
                                     .remaining = 100,
                                     .earn_time = Day(0),
                                     .activate_time = absl::InfinitePast(),
                                     .expire_time = Day(30),
                                     .mark = Mark::kNew}));
}

TEST_F(LedgerTest, PointsThatAreActiveLaterArePending) {
  EXPECT_THAT(EarnPending(ada_, kLot, 100, Day(14)).entries,
              ElementsAre(Entry{kAda, Account::kPending, kLot, 100},
                          Entry{kAda, Account::kIssued, kLot, -100}));
  EXPECT_EQ(ada_.totals, (Totals{.pending = 100, .earned = 100}));
  EXPECT_THAT(Redeem(ada_, 1, Next(), Day(1)), ReasonIs("POINTS_SHORT"));
}

TEST_F(LedgerTest, EarnedPointsPayDebtFirst) {
  Owe(ada_, 30);
  EXPECT_THAT(
      EarnLot(ada_, kLot, 100, Day(30)).entries,
      ElementsAre(Entry{kAda, Account::kActive, kLot, 70}, Entry{kAda, Account::kDebt, kLot, 30},
                  Entry{kAda, Account::kIssued, kLot, -100}));
  EXPECT_EQ(ada_.totals.debt, 0);
  EXPECT_EQ(ada_.totals.active, 70);
  EXPECT_EQ(ada_.lots.at(kLot).remaining, 70);
  EXPECT_EQ(ada_.lots.at(kLot).earned, 100);
}

TEST_F(LedgerTest, ADebtMayTakeAllThatIsEarned) {
  Owe(ada_, 100);
  EarnLot(ada_, kLot, 100 - 1, Day(30));
  EXPECT_EQ(ada_.totals.debt, 1);
  EXPECT_EQ(ada_.totals.active, 0);
}

TEST_F(LedgerTest, PendingPointsPayDebtWhenTheyBecomeActive) {
  Owe(ada_, 30);
  EarnPending(ada_, kLot, 100, Day(14));
  EXPECT_EQ(ada_.totals.debt, 30);
  EXPECT_THAT(SettleAt(ada_, Day(14)),
              ElementsAre(std::make_pair(PostingKind::kActivate, Day(14))));
  EXPECT_EQ(ada_.totals.debt, 0);
  EXPECT_EQ(ada_.totals.active, 70);
}

TEST_F(LedgerTest, EarningNeedsNoLots) {
  EarnLot(ada_, kLot, 100, Day(30));
  Wallet at_hand{.key = ada_.key, .totals = ada_.totals};
  Keep(Earn(at_hand, {.id = kOther, .amount = 5, .earn_time = Day(0)}, Next(), Day(1)));
  EXPECT_EQ(at_hand.totals.active, 105);
  EXPECT_THAT(at_hand.lots, SizeIs(1));
  ada_.totals = at_hand.totals;
  ada_.lots.merge(at_hand.lots);
}

TEST_F(LedgerTest, AmountsAndTimesOfALotAreChecked) {
  const auto earn = [&](const NewLot& lot) { return Earn(ada_, lot, Next(), Day(5)).status(); };
  for (const int64_t amount : {int64_t{0}, int64_t{-1}, kMaxPoints + 1}) {
    EXPECT_THAT(earn({.id = kLot, .amount = amount, .earn_time = Day(5)}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("amount: ")));
  }
  EXPECT_THAT(earn({.id = kLot, .amount = 1, .earn_time = Day(5) + kMoment}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("earn_time: ")));
  EXPECT_THAT(earn({.id = kLot, .amount = 1, .earn_time = Day(5), .expire_time = Day(5)}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expire_time: ")));
  EXPECT_EQ(ada_, NewWallet(kAda));
}

TEST_F(LedgerTest, MorePointsThanAWalletCountsAreRefused) {
  EarnLot(ada_, kLot, kMaxPoints - 1, Day(10));
  SettleAt(ada_, Day(10));  // What has expired still counts.
  const Wallet before = ada_;
  const NewLot two{.id = kOther, .amount = 2, .earn_time = Day(10)};
  for (const auto& refused :
       {Earn(ada_, two, Next(), Day(10)), AdjustUp(ada_, two, Next(), Day(10))}) {
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kOutOfRange));
    EXPECT_THAT(refused, ReasonIs("POINTS_OUT_OF_RANGE"));
    EXPECT_EQ(error::MetadataValue(refused.status(), "limit"), "9007199254740991");
    EXPECT_EQ(ada_, before);
  }
  EarnLot(ada_, kOther, 1, Day(20), Day(10));
  EXPECT_EQ(ada_.totals.earned, kMaxPoints);
  RedeemAt(ada_, 1, Day(10));
}

TEST_F(LedgerTest, AnIdThatIsTakenIsRefused) {
  EarnLot(ada_, kLot, 100, Day(30));
  EXPECT_THAT(Earn(ada_, {.id = kLot, .amount = 1, .earn_time = Day(0)}, Next(), Day(1)),
              StatusIs(absl::StatusCode::kInternal));
}

TEST_F(LedgerTest, APendingLotCanBeToldToBecomeActive) {
  EarnPending(ada_, kLot, 100, absl::InfiniteFuture(), Day(30));
  const Posting posting = Keep(Activate(ada_, kLot, Next(), Day(3)));
  EXPECT_THAT(posting.entries, ElementsAre(Entry{kAda, Account::kActive, kLot, 100},
                                           Entry{kAda, Account::kPending, kLot, -100}));
  EXPECT_FALSE(ada_.lots.at(kLot).pending);
  EXPECT_THAT(Activate(ada_, kLot, Next(), Day(3)), ReasonIs("LOT_NOT_PENDING"));
}

// --- What happens by itself.

TEST_F(LedgerTest, ALotIsUsableStrictlyBeforeItsExpiry) {
  EarnLot(ada_, kLot, 100, Day(30));
  EXPECT_THAT(SettleAt(ada_, Day(30) - kMoment), IsEmpty());
  RedeemAt(ada_, 1, Day(30) - kMoment);
  EXPECT_THAT(SettleAt(ada_, Day(30)), ElementsAre(std::make_pair(PostingKind::kExpire, Day(30))));
  EXPECT_THAT(postings_.back().entries, ElementsAre(Entry{kAda, Account::kActive, kLot, -99},
                                                    Entry{kAda, Account::kExpired, kLot, 99}));
  EXPECT_EQ(ada_.totals, (Totals{.earned = 100, .redeemed = 1, .expired = 99}));
}

TEST_F(LedgerTest, NothingIsSpentBeforeWhatIsDueHasHappened) {
  EarnLot(ada_, kLot, 100, Day(30));
  EXPECT_THAT(Redeem(ada_, 1, Next(), Day(30)), StatusIs(absl::StatusCode::kInternal));
  HoldPoints(ada_, 100, Day(10), Day(1));
  EXPECT_THAT(CaptureHold(ada_, kHold, 1, Next(), Day(10)), StatusIs(absl::StatusCode::kInternal));
}

TEST_F(LedgerTest, APendingLotExpiresIfItsExpiryComesFirst) {
  EarnPending(ada_, kLot, 100, Day(20), Day(10));
  EarnPending(ada_, kOther, 10, Day(10), Day(10));
  EXPECT_THAT(SettleAt(ada_, Day(30)), ElementsAre(std::make_pair(PostingKind::kExpire, Day(10)),
                                                   std::make_pair(PostingKind::kExpire, Day(10))));
  EXPECT_THAT(postings_.back().entries, Contains(Entry{kAda, Account::kPending, kOther, -10}));
  EXPECT_EQ(ada_.totals, (Totals{.earned = 110, .expired = 110}));
}

TEST_F(LedgerTest, WhatIsDueHappensInItsOrderAndAtItsTime) {
  EarnPending(ada_, kLot, 100, Day(3), Day(9));
  EarnLot(ada_, kOther, 10, Day(6));
  HoldPoints(ada_, 4, Day(5), Day(1));
  EXPECT_THAT(SettleAt(ada_, Day(9)), ElementsAre(std::make_pair(PostingKind::kActivate, Day(3)),
                                                  std::make_pair(PostingKind::kRelease, Day(5)),
                                                  std::make_pair(PostingKind::kExpire, Day(6)),
                                                  std::make_pair(PostingKind::kExpire, Day(9))));
  EXPECT_EQ(ada_.totals.expired, 110);
  EXPECT_THAT(SettleAt(ada_, Day(9)), IsEmpty());
}

TEST_F(LedgerTest, WhoeverSettlesMakesTheSamePostings) {
  EarnLot(ada_, kLot, 100, Day(6));
  EarnPending(ada_, kOther, 10, Day(3));
  HoldPoints(ada_, 4, Day(5), Day(1));
  Wallet twin = ada_;
  SettleAt(ada_, Day(6));
  const auto settled = Settle(twin, Day(7));
  ASSERT_THAT(settled, IsOk());
  EXPECT_EQ(std::vector<Posting>(postings_.end() - 3, postings_.end()), *settled);
  EXPECT_EQ(ada_, twin);
}

TEST_F(LedgerTest, AClockThatIsBehindUndoesNothing) {
  EarnLot(ada_, kLot, 10, Day(30));
  const auto allocations = RedeemAt(ada_, 4, Day(1));
  SettleAt(ada_, Day(30));
  const Uuid expired = postings_.back().id;
  Keep(CancelRedemption(ada_, {allocations}, Next(), Day(30) - kMoment));
  EXPECT_EQ(ada_.totals, (Totals{.active = 4, .earned = 10, .expired = 6}));
  EXPECT_THAT(SettleAt(ada_, Day(30)), ElementsAre(std::make_pair(PostingKind::kExpire, Day(30))));
  EXPECT_NE(postings_.back().id, expired);
  EXPECT_EQ(ada_.totals, (Totals{.earned = 10, .expired = 10}));
}

TEST_F(LedgerTest, LotsThatBecomeActiveTogetherPayDebtInSpendOrder) {
  Owe(ada_, 15);
  EarnPending(ada_, kLot, 10, Day(3), Day(40));
  EarnPending(ada_, kOther, 10, Day(3), Day(30));
  SettleAt(ada_, Day(3));
  EXPECT_EQ(ada_.lots.at(kOther).remaining, 0);
  EXPECT_EQ(ada_.lots.at(kLot).remaining, 5);
}

TEST_F(LedgerTest, AtOneInstantHoldsEndBeforeLotsBecomeActive) {
  EarnLot(ada_, kLot, 10, Day(90));
  HoldPoints(ada_, 10, Day(5), Day(1));
  ReturnAt(ada_, kLot, 4, ReturnPolicy::kUnlimited, Day(1));
  EarnPending(ada_, kOther, 10, Day(5), Day(20));
  SettleAt(ada_, Day(5));
  EXPECT_EQ(ada_.lots.at(kLot).remaining, 6);
  EXPECT_EQ(ada_.lots.at(kOther).remaining, 10);
}

TEST_F(LedgerTest, NothingHappensToALotOfWhichNothingRemains) {
  EarnPending(ada_, kLot, 100, Day(3), Day(9));
  ReturnAt(ada_, kLot, 100, ReturnPolicy::kOnlyPending, Day(1));
  const Wallet before = ada_;
  EXPECT_EQ(DueTime(ada_.lots.at(kLot)), absl::InfiniteFuture());
  EXPECT_THAT(SettleAt(ada_, Day(20)), IsEmpty());
  EXPECT_EQ(ada_, before);
}

// --- Redeeming.

TEST_F(LedgerTest, WhatExpiresFirstIsSpentFirst) {
  EarnLot(ada_, Id(1), 10, absl::InfiniteFuture(), Day(0));
  EarnLot(ada_, Id(2), 10, Day(30), Day(2));
  EarnLot(ada_, Id(4), 10, Day(30), Day(1));
  EarnLot(ada_, Id(3), 10, Day(30), Day(1));
  EarnLot(ada_, Id(5), 10, Day(20), Day(3));
  EXPECT_THAT(RedeemAt(ada_, 45, Day(3)),
              ElementsAre(Allocation{Id(5), 10}, Allocation{Id(3), 10}, Allocation{Id(4), 10},
                          Allocation{Id(2), 10}, Allocation{Id(1), 5}));
  EXPECT_EQ(ada_.totals, (Totals{.active = 5, .earned = 50, .redeemed = 45}));
}

TEST_F(LedgerTest, PendingLotsAreNotSpent) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnPending(ada_, kOther, 10, Day(5), Day(20));
  EXPECT_THAT(RedeemAt(ada_, 10, Day(1)), ElementsAre(Allocation{kLot, 10}));
}

TEST_F(LedgerTest, RedeemedPointsGoToTheHouse) {
  EarnLot(ada_, kLot, 10, Day(30));
  RedeemAt(ada_, 4, Day(1));
  EXPECT_EQ(postings_.back().kind, PostingKind::kRedeem);
  EXPECT_THAT(postings_.back().entries, ElementsAre(Entry{kAda, Account::kActive, kLot, -4},
                                                    Entry{kAda, Account::kRedeemed, kLot, 4}));
}

TEST_F(LedgerTest, TheShortfallIsTold) {
  EarnLot(ada_, kLot, 10, Day(30));
  const Wallet before = ada_;
  const auto refused = Redeem(ada_, 14, Next(), Day(1));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(refused, ReasonIs("POINTS_SHORT"));
  EXPECT_EQ(error::MetadataValue(refused.status(), "requested"), "14");
  EXPECT_EQ(error::MetadataValue(refused.status(), "available"), "10");
  EXPECT_EQ(error::MetadataValue(refused.status(), "shortfall"), "4");
  EXPECT_EQ(ada_, before);
  RedeemAt(ada_, 10, Day(1));
}

TEST_F(LedgerTest, OnlyTheFirstLotsNeedToBeAtHand) {
  EarnLot(ada_, kLot, 10, Day(20));
  EarnLot(ada_, kOther, 10, Day(30));
  Wallet at_hand{.key = ada_.key, .totals = ada_.totals, .lots = {{kLot, ada_.lots.at(kLot)}}};
  const Wallet before = at_hand;
  EXPECT_THAT(Redeem(at_hand, 11, Next(), Day(1)), StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(at_hand, before);
  RedeemAt(at_hand, 10, Day(1));
  ada_.totals = at_hand.totals;
  ada_.lots.at(kLot) = at_hand.lots.at(kLot);
}

TEST_F(LedgerTest, WhatChangedIsMarked) {
  EarnLot(ada_, kLot, 10, Day(20));
  EarnLot(ada_, kOther, 10, Day(30));
  EXPECT_EQ(ada_.lots.at(kLot).mark, Mark::kNew);
  for (auto& [id, lot] : ada_.lots) lot.mark = Mark::kStored;
  HoldPoints(ada_, 4, Day(5), Day(1));
  EXPECT_EQ(ada_.lots.at(kLot).mark, Mark::kChanged);
  EXPECT_EQ(ada_.lots.at(kOther).mark, Mark::kStored);
  EXPECT_EQ(ada_.holds.at(kHold).mark, Mark::kNew);
  ada_.holds.at(kHold).mark = Mark::kStored;
  Keep(ReleaseHold(ada_, kHold, Next(), Day(2)));
  EXPECT_EQ(ada_.holds.at(kHold).mark, Mark::kChanged);
}

// --- Holds.

TEST_F(LedgerTest, WhatIsHeldCannotBeSpentTwice) {
  EarnLot(ada_, kLot, 10, Day(30));
  HoldPoints(ada_, 7, Day(5), Day(1));
  EXPECT_EQ(ada_.totals, (Totals{.active = 3, .held = 7, .earned = 10}));
  EXPECT_THAT(Redeem(ada_, 4, Next(), Day(1)), ReasonIs("POINTS_SHORT"));
  EXPECT_THAT(PlaceHold(ada_, {.id = Id(9), .amount = 4}, Next(), Day(1)),
              ReasonIs("POINTS_SHORT"));
  EXPECT_THAT(AdjustDown(ada_, 4, Next(), Day(1)), ReasonIs("POINTS_SHORT"));
  EXPECT_THAT(TransferPoints(ada_, bob_, 4, Next(), Day(1)), ReasonIs("POINTS_SHORT"));
}

TEST_F(LedgerTest, ACaptureRedeemsWhatIsSpentFirstAndReleasesTheRest) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnLot(ada_, kOther, 10, Day(20));
  HoldPoints(ada_, 15, Day(5), Day(1));
  auto captured = CaptureHold(ada_, kHold, 12, Next(), Day(2));
  ASSERT_THAT(captured, IsOk());
  Keep(captured->posting);
  EXPECT_THAT(captured->allocations, ElementsAre(Allocation{kOther, 10}, Allocation{kLot, 2}));
  EXPECT_EQ(ada_.totals, (Totals{.active = 8, .earned = 20, .redeemed = 12}));
  EXPECT_EQ(ada_.lots.at(kLot).remaining, 8);
  EXPECT_EQ(ada_.holds.at(kHold).state, HoldState::kCaptured);
}

TEST_F(LedgerTest, NoMoreIsCapturedThanIsHeld) {
  EarnLot(ada_, kLot, 10, Day(30));
  HoldPoints(ada_, 7, Day(5), Day(1));
  for (const int64_t amount : {0, 8}) {
    EXPECT_THAT(CaptureHold(ada_, kHold, amount, Next(), Day(2)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 to the 7")));
  }
}

TEST_F(LedgerTest, AHoldEndsOnce) {
  EarnLot(ada_, kLot, 10, Day(30));
  const auto ended_as = [&](absl::Time now, const std::string& state) {
    const Wallet before = ada_;
    for (const absl::Status& status : {CaptureHold(ada_, kHold, 1, Next(), now).status(),
                                       ReleaseHold(ada_, kHold, Next(), now).status()}) {
      EXPECT_THAT(status, AllOf(StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(state)),
                                ReasonIs("HOLD_ENDED")));
      EXPECT_EQ(error::MetadataValue(status, "state"), state);
    }
    EXPECT_EQ(ada_, before);
    ada_.holds.clear();
  };
  HoldPoints(ada_, 7, Day(5), Day(1));
  Keep(ReleaseHold(ada_, kHold, Next(), Day(5) - kMoment));
  EXPECT_EQ(ada_.totals.active, 10);
  ended_as(Day(2), "RELEASED");

  HoldPoints(ada_, 7, Day(5), Day(1));
  const auto captured = CaptureHold(ada_, kHold, 1, Next(), Day(2));
  ASSERT_THAT(captured, IsOk());
  Keep(captured->posting);
  ended_as(Day(2), "CAPTURED");

  HoldPoints(ada_, 7, Day(5), Day(2));
  EXPECT_THAT(SettleAt(ada_, Day(5) - kMoment), IsEmpty());
  EXPECT_THAT(SettleAt(ada_, Day(5)), SizeIs(1));
  EXPECT_EQ(ada_.totals.active, 9);
  ended_as(Day(5), "TIMED_OUT");

  EXPECT_THAT(ReleaseHold(ada_, kHold, Next(), Day(5)), StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(PlaceHold(ada_, {.id = kHold, .amount = 1, .expire_time = Day(5)}, Next(), Day(5)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expire_time: ")));
}

TEST_F(LedgerTest, HeldPointsDoNotExpireWhileTheyAreHeld) {
  EarnLot(ada_, kLot, 10, Day(30));
  HoldPoints(ada_, 7, Day(40), Day(1));
  SettleAt(ada_, Day(30));
  EXPECT_EQ(ada_.totals, (Totals{.held = 7, .earned = 10, .expired = 3}));
  auto captured = CaptureHold(ada_, kHold, 5, Next(), Day(31));
  ASSERT_THAT(captured, IsOk());
  Keep(captured->posting);
  EXPECT_EQ(ada_.totals, (Totals{.earned = 10, .redeemed = 5, .expired = 5}));
}

TEST_F(LedgerTest, HeldPointsOfAnExpiredLotExpireWhenTheHoldEnds) {
  EarnLot(ada_, kLot, 10, Day(30));
  HoldPoints(ada_, 10, Day(40), Day(1));
  Wallet released = ada_;
  EXPECT_THAT(SettleAt(ada_, Day(50)), ElementsAre(std::make_pair(PostingKind::kRelease, Day(40))));
  EXPECT_EQ(ada_.totals, (Totals{.earned = 10, .expired = 10}));

  ASSERT_THAT(ReleaseHold(released, kHold, Next(), Day(30)), IsOk());
  EXPECT_EQ(released.totals, ada_.totals);
}

TEST_F(LedgerTest, AHoldThatEndsAtTheVeryExpiryOfItsLotSavesNothing) {
  EarnLot(ada_, kLot, 10, Day(30));
  HoldPoints(ada_, 6, Day(30), Day(1));
  SettleAt(ada_, Day(30));
  EXPECT_EQ(ada_.totals, (Totals{.earned = 10, .expired = 10}));
}

TEST_F(LedgerTest, ReleasedPointsPayDebtFirst) {
  EarnLot(ada_, kLot, 10, Day(30));
  HoldPoints(ada_, 10, Day(40), Day(1));
  ReturnAt(ada_, kLot, 4, ReturnPolicy::kUnlimited, Day(2));
  EXPECT_EQ(ada_.totals, (Totals{.held = 10, .debt = 4, .earned = 10, .returned = 4}));
  Keep(ReleaseHold(ada_, kHold, Next(), Day(3)));
  EXPECT_EQ(ada_.totals, (Totals{.active = 6, .earned = 10, .returned = 4}));
}

// --- Cancelled redemptions.

TEST_F(LedgerTest, CancelledPointsComeBackWithTheirExpiry) {
  EarnLot(ada_, kLot, 10, Day(30));
  const auto allocations = RedeemAt(ada_, 8, Day(1));
  const Lot before = ada_.lots.at(kLot);
  const Posting posting = Keep(CancelRedemption(ada_, {allocations}, Next(), Day(29)));
  EXPECT_THAT(posting.entries, ElementsAre(Entry{kAda, Account::kActive, kLot, 8},
                                           Entry{kAda, Account::kRedeemed, kLot, -8}));
  EXPECT_EQ(ada_.lots.at(kLot).expire_time, before.expire_time);
  EXPECT_EQ(ada_.totals, (Totals{.active = 10, .earned = 10}));
}

// numbers.md 10: redemption cancelled after its points' expiry: returned and expired at once.
TEST_F(LedgerTest, CancelledPointsPastTheirExpiryExpireAtOnce) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnLot(ada_, kOther, 10, Day(60));
  const auto allocations = RedeemAt(ada_, 15, Day(1));
  const Posting posting = Keep(CancelRedemption(ada_, {allocations}, Next(), Day(30)));
  EXPECT_THAT(posting.entries, ElementsAre(Entry{kAda, Account::kActive, kOther, 5},
                                           Entry{kAda, Account::kRedeemed, kLot, -10},
                                           Entry{kAda, Account::kRedeemed, kOther, -5},
                                           Entry{kAda, Account::kExpired, kLot, 10}));
  EXPECT_EQ(ada_.totals, (Totals{.active = 10, .earned = 20, .expired = 10}));
}

TEST_F(LedgerTest, OfAPartThatIsCancelledTheLastAllocatedComesBackFirst) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnLot(ada_, kOther, 10, Day(60));
  const auto allocations = RedeemAt(ada_, 16, Day(1));
  Keep(CancelRedemption(ada_, {allocations, 0, 5}, Next(), Day(2)));
  EXPECT_EQ(ada_.lots.at(kLot).remaining, 0);
  EXPECT_EQ(ada_.lots.at(kOther).remaining, 9);
  Keep(CancelRedemption(ada_, {allocations, 5, 4}, Next(), Day(2)));
  EXPECT_EQ(ada_.lots.at(kLot).remaining, 3);
  EXPECT_EQ(ada_.lots.at(kOther).remaining, 10);
  Keep(CancelRedemption(ada_, {allocations, 9}, Next(), Day(2)));
  EXPECT_EQ(ada_.totals, (Totals{.active = 20, .earned = 20}));
}

TEST_F(LedgerTest, NoMoreIsCancelledThanWasRedeemed) {
  EarnLot(ada_, kLot, 10, Day(30));
  const auto allocations = RedeemAt(ada_, 8, Day(1));
  Keep(CancelRedemption(ada_, {allocations, 0, 5}, Next(), Day(2)));
  const Wallet before = ada_;
  const auto refused = CancelRedemption(ada_, {allocations, 5, 4}, Next(), Day(2));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(refused, ReasonIs("REDEMPTION_EXCEEDED"));
  EXPECT_EQ(error::MetadataValue(refused.status(), "available"), "3");
  EXPECT_THAT(CancelRedemption(ada_, {allocations, 8}, Next(), Day(2)),
              ReasonIs("REDEMPTION_EXCEEDED"));
  EXPECT_THAT(CancelRedemption(ada_, {allocations, 5, 0}, Next(), Day(2)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CancelRedemption(ada_, {allocations, 9}, Next(), Day(2)),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(ada_, before);
  // A caller who forgets what was cancelled meets the lot, which cannot hold more than it earned.
  EXPECT_THAT(CancelRedemption(ada_, {allocations}, Next(), Day(2)),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(ada_, before);
}

TEST_F(LedgerTest, CancelledPointsPayDebtFirstInSpendOrder) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnLot(ada_, kOther, 10, Day(60));
  const auto allocations = RedeemAt(ada_, 20, Day(1));
  ReturnAt(ada_, kOther, 7, ReturnPolicy::kUnlimited, Day(2));
  Keep(CancelRedemption(ada_, {allocations}, Next(), Day(3)));
  EXPECT_EQ(ada_.totals, (Totals{.active = 13, .earned = 20, .returned = 7}));
  EXPECT_EQ(ada_.lots.at(kLot).remaining, 3);
  EXPECT_EQ(ada_.lots.at(kOther).remaining, 10);
}

TEST_F(LedgerTest, ACaptureCanBeCancelledLikeARedemption) {
  EarnLot(ada_, kLot, 10, Day(30));
  HoldPoints(ada_, 10, Day(5), Day(1));
  auto captured = CaptureHold(ada_, kHold, 6, Next(), Day(2));
  ASSERT_THAT(captured, IsOk());
  Keep(captured->posting);
  Keep(CancelRedemption(ada_, {captured->allocations}, Next(), Day(3)));
  EXPECT_EQ(ada_.totals, (Totals{.active = 10, .earned = 10}));
}

// --- Returned orders.

// numbers.md 10: return after the points were spent: nothing / down to 0 / negative.
TEST_F(LedgerTest, APolicySaysWhatIsTakenBackOfPointsThatWereSpent) {
  EarnLot(ada_, kLot, 100, Day(30));
  EarnLot(ada_, kOther, 20, Day(40));
  RedeemAt(ada_, 100, Day(1));

  const Return nothing = ReturnAt(ada_, kLot, 100, ReturnPolicy::kOnlyPending, Day(2));
  EXPECT_EQ(nothing.not_taken, 100);
  EXPECT_THAT(nothing.posting.entries, IsEmpty());
  EXPECT_EQ(ada_.totals.active, 20);

  const Return balance = ReturnAt(ada_, kLot, 50, ReturnPolicy::kWithinBalance, Day(2));
  EXPECT_EQ(balance.from_lot, 0);
  EXPECT_EQ(balance.from_others, 20);
  EXPECT_EQ(balance.not_taken, 30);
  EXPECT_EQ(ada_.totals.active, 0);
  EXPECT_EQ(ada_.totals.debt, 0);
  EXPECT_EQ(ada_.lots.at(kLot).returned, 20);

  const Return unlimited = ReturnAt(ada_, kLot, 50, ReturnPolicy::kUnlimited, Day(2));
  EXPECT_EQ(unlimited.as_debt, 50);
  EXPECT_EQ(unlimited.not_taken, 0);
  EXPECT_THAT(unlimited.posting.entries, ElementsAre(Entry{kAda, Account::kDebt, kLot, -50},
                                                     Entry{kAda, Account::kIssued, kLot, 50}));
  EXPECT_EQ(ada_.totals, (Totals{.debt = 50, .earned = 120, .redeemed = 100, .returned = 70}));
}

TEST_F(LedgerTest, PendingPointsAreTakenBackUnderEveryPolicy) {
  EarnPending(ada_, kLot, 100, Day(14));
  for (const ReturnPolicy policy :
       {ReturnPolicy::kOnlyPending, ReturnPolicy::kWithinBalance, ReturnPolicy::kUnlimited}) {
    EXPECT_EQ(ReturnAt(ada_, kLot, 30, policy, Day(1)).from_pending, 30);
  }
  EXPECT_EQ(ada_.totals, (Totals{.pending = 10, .earned = 100, .returned = 90}));
}

TEST_F(LedgerTest, TheLotOfTheOrderGivesFirstThenTheOthersThenDebt) {
  EarnLot(ada_, kLot, 100, Day(90));
  EarnLot(ada_, kOther, 10, Day(30));
  EarnLot(ada_, Id(7), 10, Day(20));
  RedeemAt(ada_, 50, Day(1));  // 10 + 10 + 30.
  EarnLot(ada_, Id(8), 10, Day(95), Day(1));
  const Return result = ReturnAt(ada_, kLot, 90, ReturnPolicy::kUnlimited, Day(2));
  EXPECT_EQ(result.from_lot, 70);
  EXPECT_EQ(result.from_others, 10);
  EXPECT_EQ(result.as_debt, 10);
  EXPECT_THAT(result.posting.entries, ElementsAre(Entry{kAda, Account::kActive, Id(8), -10},
                                                  Entry{kAda, Account::kActive, kLot, -70},
                                                  Entry{kAda, Account::kDebt, kLot, -10},
                                                  Entry{kAda, Account::kIssued, kLot, 90}));
}

TEST_F(LedgerTest, OthersGiveInSpendOrder) {
  EarnLot(ada_, kLot, 10, Day(10));
  RedeemAt(ada_, 10, Day(1));
  EarnLot(ada_, Id(7), 10, Day(90));
  EarnLot(ada_, Id(8), 10, Day(20));
  ReturnAt(ada_, kLot, 10, ReturnPolicy::kWithinBalance, Day(2));
  EXPECT_EQ(ada_.lots.at(Id(8)).remaining, 0);
  EXPECT_EQ(ada_.lots.at(Id(7)).remaining, 10);
}

TEST_F(LedgerTest, NoMoreIsTakenBackThanWasEarned) {
  EarnLot(ada_, kLot, 100, Day(30));
  EarnLot(ada_, kOther, 100, Day(30));
  ReturnAt(ada_, kLot, 60, ReturnPolicy::kUnlimited, Day(1));
  const Wallet before = ada_;
  const auto refused = ReturnEarned(ada_, kLot, 41, ReturnPolicy::kUnlimited, Next(), Day(1));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(refused, ReasonIs("RETURN_EXCEEDED"));
  EXPECT_EQ(error::MetadataValue(refused.status(), "available"), "40");
  EXPECT_EQ(ada_, before);
  ReturnAt(ada_, kLot, 40, ReturnPolicy::kUnlimited, Day(1));
}

TEST_F(LedgerTest, PointsThatExpiredAreNotAskedForAgain) {
  EarnLot(ada_, kLot, 100, Day(30));
  RedeemAt(ada_, 60, Day(1));
  SettleAt(ada_, Day(30));
  const Return half = ReturnAt(ada_, kLot, 50, ReturnPolicy::kUnlimited, Day(31));
  EXPECT_EQ(half.as_debt, 50);
  const Return rest = ReturnAt(ada_, kLot, 50, ReturnPolicy::kUnlimited, Day(31));
  EXPECT_EQ(rest.as_debt, 10);
  EXPECT_EQ(rest.not_taken, 40);
  EXPECT_EQ(ada_.totals.debt, 60);
}

// Known from the Odoo point of sale: buy, earn, return the goods, keep the points.
TEST_F(LedgerTest, BuyingAndReturningAgainAndAgainLeavesNothing) {
  for (uint32_t i = 0; i < 10; ++i) {
    const absl::Time now = Day(static_cast<int>(i));
    EarnLot(ada_, Id(i + 1), 100, Day(400), now);
    if (i == 3) RedeemAt(ada_, 60, now);
    ReturnAt(ada_, Id(i + 1), 100, ReturnPolicy::kUnlimited, now);
    EXPECT_EQ(ada_.totals.active, 0);
    EXPECT_EQ(ada_.totals.debt, i < 3 ? 0 : 60);
  }
}

// --- By hand.

TEST_F(LedgerTest, AnAdjustmentIsNeitherEarnedNorRedeemed) {
  const Posting up =
      Keep(AdjustUp(ada_, {.id = kLot, .amount = 10, .earn_time = Day(0), .expire_time = Day(9)},
                    Next(), Day(0)));
  EXPECT_EQ(up.kind, PostingKind::kAdjust);
  EXPECT_THAT(up.entries, ElementsAre(Entry{kAda, Account::kActive, kLot, 10},
                                      Entry{kAda, Account::kAdjusted, kLot, -10}));
  EXPECT_THAT(AdjustDown(ada_, 11, Next(), Day(1)), ReasonIs("POINTS_SHORT"));
  Keep(AdjustDown(ada_, 4, Next(), Day(1)));
  EXPECT_EQ(ada_.totals, (Totals{.active = 6, .adjusted = 6}));
}

TEST_F(LedgerTest, AnAdjustmentPaysDebtFirst) {
  Owe(ada_, 15);
  Keep(AdjustUp(ada_, {.id = kLot, .amount = 10, .earn_time = Day(0)}, Next(), Day(0)));
  EXPECT_EQ(ada_.totals.debt, 5);
  EXPECT_EQ(ada_.totals.active, 0);
}

// --- Two members.

TEST_F(LedgerTest, TransferredPointsKeepTheirTimes) {
  EarnLot(ada_, kLot, 10, Day(30), Day(1));
  EarnLot(ada_, kOther, 10, Day(20), Day(2));
  const Posting posting = Keep(TransferPoints(ada_, bob_, 14, Id(0x77), Day(3)));
  EXPECT_THAT(posting.entries, SizeIs(4));
  EXPECT_EQ(ada_.totals, (Totals{.active = 6, .earned = 20, .transferred = -14}));
  EXPECT_EQ(bob_.totals, (Totals{.active = 14, .transferred = 14}));
  std::set<std::tuple<int64_t, absl::Time, absl::Time>> lots;
  for (const auto& [id, lot] : bob_.lots) {
    EXPECT_EQ(lot.mark, Mark::kNew);
    EXPECT_EQ(lot.posting, posting.id);
    EXPECT_EQ(lot.earned, lot.remaining);
    lots.emplace(lot.remaining, lot.earn_time, lot.expire_time);
  }
  EXPECT_THAT(
      lots, ElementsAre(std::make_tuple(4, Day(1), Day(30)), std::make_tuple(10, Day(2), Day(20))));
}

TEST_F(LedgerTest, TransferredPointsPayTheDebtOfTheReceiverFirst) {
  EarnLot(ada_, kLot, 10, Day(30));
  Owe(bob_, 4);
  Keep(TransferPoints(ada_, bob_, 10, Next(), Day(3)));
  EXPECT_EQ(bob_.totals.debt, 0);
  EXPECT_EQ(bob_.totals.active, 6);
}

TEST_F(LedgerTest, ATransferThatCannotBeChangesNeither) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnLot(bob_, kOther, kMaxPoints - 9, Day(30));
  const Wallet ada = ada_;
  const Wallet bob = bob_;
  EXPECT_THAT(TransferPoints(ada_, bob_, 10, Next(), Day(3)), ReasonIs("POINTS_OUT_OF_RANGE"));
  EXPECT_THAT(TransferPoints(ada_, ada_, 1, Next(), Day(3)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("same member")));
  Wallet miles = bob_;
  miles.key.wallet = "miles";
  EXPECT_THAT(TransferPoints(ada_, miles, 1, Next(), Day(3)),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(ada_, ada);
  EXPECT_EQ(bob_, bob);
}

TEST_F(LedgerTest, AMergeMovesEverything) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnPending(ada_, kOther, 5, Day(14), Day(40));
  HoldPoints(ada_, 4, Day(5), Day(1));
  RedeemAt(ada_, 2, Day(1));
  EarnLot(bob_, Id(1), 100, Day(90));
  const Wallet ada = ada_;

  const Posting posting = Keep(MergeWallets(ada_, bob_, Next(), Day(2)));
  std::map<Account, int64_t> sums;
  for (const Entry& entry : posting.entries) sums[entry.account] += entry.amount;
  EXPECT_EQ(sums, (std::map<Account, int64_t>{
                      {Account::kActive, 0}, {Account::kPending, 0}, {Account::kHeld, 0}}));
  EXPECT_EQ(ada_, NewWallet(kAda));
  EXPECT_EQ(bob_.totals,
            (Totals{.active = 104, .pending = 5, .held = 4, .earned = 115, .redeemed = 2}));
  EXPECT_EQ(bob_.lots.at(kLot), ada.lots.at(kLot));
  EXPECT_EQ(bob_.lots.at(kOther), ada.lots.at(kOther));
  EXPECT_EQ(bob_.holds.at(kHold), ada.holds.at(kHold));
  merged_ = {kAda};
  ada_ = bob_;  // Part of it from now on.
  audited_at_end_ = false;
  EXPECT_THAT(Audit(bob_, merged_, postings_), IsEmpty());
}

TEST_F(LedgerTest, AMergePaysTheDebtOfEitherInSpendOrder) {
  audited_at_end_ = false;
  for (const bool debtor_survives : {false, true}) {
    postings_.clear();
    Wallet rich = NewWallet(kAda);
    Wallet debtor = NewWallet(kBob);
    EarnLot(rich, kLot, 10, Day(30));
    EarnLot(rich, kOther, 10, Day(20));
    Owe(debtor, 13);
    Wallet& into = debtor_survives ? debtor : rich;
    Wallet& from = debtor_survives ? rich : debtor;
    Keep(MergeWallets(from, into, Next(), Day(2)));
    EXPECT_EQ(into.totals.debt, 0);
    EXPECT_EQ(into.totals.active, 7);
    EXPECT_EQ(into.lots.at(kOther).remaining, 0);
    EXPECT_EQ(into.lots.at(kLot).remaining, 7);
    const std::vector<Uuid> merged = {from.key.member};
    EXPECT_THAT(Audit(into, merged, postings_), IsEmpty());
  }
}

TEST_F(LedgerTest, DebtsAddUpInAMerge) {
  Owe(ada_, 3);
  ada_.lots.clear();
  Owe(bob_, 4);
  audited_at_end_ = false;
  const auto posting = MergeWallets(ada_, bob_, Next(), Day(2));
  ASSERT_THAT(posting, IsOk());
  EXPECT_THAT(posting->entries, ElementsAre(Entry{kAda, Account::kDebt, std::nullopt, 3},
                                            Entry{kBob, Account::kDebt, std::nullopt, -3}));
  EXPECT_EQ(bob_.totals.debt, 7);
}

TEST_F(LedgerTest, AMergeWantsAllThatIsLeft) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnPending(ada_, kOther, 10, Day(30));
  HoldPoints(ada_, 2, Day(5), Day(1));
  const Wallet bob = bob_;
  Wallet without_lot = ada_;
  without_lot.lots.erase(kOther);
  EXPECT_THAT(MergeWallets(without_lot, bob_, Next(), Day(2)),
              StatusIs(absl::StatusCode::kInternal));
  Wallet without_hold = ada_;
  without_hold.holds.clear();
  EXPECT_THAT(MergeWallets(without_hold, bob_, Next(), Day(2)),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(bob_, bob);
}

// --- Totals and audit.

TEST(CheckTotalsTest, SaysWhatCannotBe) {
  EXPECT_THAT(CheckTotals({}), IsOk());
  EXPECT_THAT(CheckTotals({.active = -1, .earned = -1}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("active would be -1")));
  EXPECT_THAT(CheckTotals({.active = 2, .debt = 1, .earned = 1}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("beside a debt of 1")));
  EXPECT_THAT(CheckTotals({.active = 2, .earned = 1}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("1 points came")));
  EXPECT_THAT(CheckTotals({.debt = 3, .redeemed = 2, .transferred = -1}), IsOk());
  EXPECT_THAT(
      CheckTotals({.active = kMaxPoints, .earned = kMaxPoints, .expired = 1, .adjusted = 1}),
      ReasonIs("POINTS_OUT_OF_RANGE"));
}

TEST_F(LedgerTest, AnAuditFindsWhatDoesNotAddUp) {
  EarnLot(ada_, kLot, 10, Day(30));
  EarnPending(ada_, kOther, 5, Day(14), Day(40));
  HoldPoints(ada_, 4, Day(5), Day(1));
  RedeemAt(ada_, 2, Day(1));
  const auto findings = [&](auto spoil) {
    Wallet wallet = ada_;
    std::vector<Posting> postings = postings_;
    spoil(wallet, postings);
    return Audit(wallet, {}, postings);
  };
  using P = std::vector<Posting>;
  EXPECT_THAT(findings([](Wallet& w, P&) { ++w.totals.active; }),
              ElementsAre("wallet: active is 5 and should be 4",
                          HasSubstr("15 points came, 2 went and 14 are there")));
  EXPECT_THAT(findings([](Wallet& w, P&) { --w.lots.at(kLot).remaining; }),
              ElementsAre(HasSubstr("what remains, active is 3 and should be 4")));
  EXPECT_THAT(findings([](Wallet& w, P&) { w.lots.at(kOther).pending = false; }), SizeIs(2));
  EXPECT_THAT(findings([](Wallet& w, P&) { w.lots.at(kOther).earned = 6; }), SizeIs(1));
  EXPECT_THAT(findings([](Wallet& w, P&) { w.lots.at(kOther).returned = 6; }), SizeIs(1));
  EXPECT_THAT(findings([](Wallet& w, P&) { w.lots.at(kOther).expired = 6; }), SizeIs(1));
  EXPECT_THAT(findings([](Wallet& w, P&) { w.lots.erase(kOther); }),
              ElementsAre(HasSubstr("has entries and is missing")));
  EXPECT_THAT(findings([](Wallet& w, P&) { w.holds.clear(); }),
              ElementsAre(HasSubstr("what open holds hold of it is 0 and should be 4")));
  EXPECT_THAT(findings([](Wallet& w, P&) {
                w.holds.at(kHold).allocations.push_back({Id(1), 3});
              }),
              ElementsAre(HasSubstr("missing: what open holds hold of it is 3")));
  EXPECT_THAT(findings([](Wallet&, P& postings) { ++postings.back().entries[0].amount; }),
              Contains(HasSubstr("the sum of its entries is 1 and should be 0")));
  EXPECT_THAT(findings([](Wallet&, P& postings) { postings.pop_back(); }),
              Contains("wallet: redeemed is 2 and should be 0"));
}

TEST(NamesTest, AreThoseOfTheWire) {
  EXPECT_EQ(Name(Account::kAdjusted), "ADJUSTED");
  EXPECT_EQ(Name(PostingKind::kCancelRedemption), "CANCEL_REDEMPTION");
  EXPECT_EQ(Name(HoldState::kTimedOut), "TIMED_OUT");
  EXPECT_TRUE(IsHouse(Account::kIssued));
  EXPECT_FALSE(IsHouse(Account::kDebt));
}

}  // namespace
}  // namespace clm::loyalty
