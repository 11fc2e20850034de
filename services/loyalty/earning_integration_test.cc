// Earn rules, refunds and tiers over the feed of the contact service, on PostgreSQL.
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "services/loyalty/loyalty_fixture.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

using clm::testing::StatusIs;
using contact::v1::BehaviorEvent;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EarningTest : public LoyaltyTest {
 protected:
  // A point for each euro; reviews bring 50, twice a month.
  static v1::Program Rules() {
    v1::Program program;
    program.set_time_zone("Europe/Berlin");
    program.add_wallets()->set_id("points");
    v1::EarnRule* euros = program.add_earn_rules();
    euros->set_id("euros");
    euros->set_event_type("purchase");
    euros->set_earning(v1::EarnRule::EARNING_PER_MONEY);
    euros->set_points(1);
    euros->set_per(100);
    euros->set_currency("EUR");
    v1::EarnRule* reviews = program.add_earn_rules();
    reviews->set_id("reviews");
    reviews->set_event_type("review");
    reviews->set_points(50);
    v1::EarnCap* cap = reviews->add_caps();
    cap->set_period(v1::EarnCap::PERIOD_MONTH);
    cap->set_points(100);
    return program;
  }

  // By the points earned, for ever.
  static void AddTiers(v1::Program& program) {
    v1::TierScheme* scheme = program.mutable_tier_scheme();
    for (const auto& [id, threshold, points] :
         {std::tuple("bronze", 0, 0), std::tuple("silver", 1000, 100),
          std::tuple("gold", 5000, 500)}) {
      v1::Tier* tier = scheme->add_tiers();
      tier->set_id(id);
      tier->set_threshold(threshold);
      tier->set_entry_points(points);
      if (points > 0) tier->add_perks(absl::StrCat("of ", id));
    }
  }

  absl::StatusOr<v1::Program> Create(v1::Program program) {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id("club");
    *request.mutable_program() = std::move(program);
    return Do(&Node::programs, &ProgramHandlers::CreateProgram, request);
  }
  absl::StatusOr<v1::Program> Update(const v1::Program& program) {
    v1::UpdateProgramRequest request;
    *request.mutable_program() = program;
    return Do(&Node::programs, &ProgramHandlers::UpdateProgram, request);
  }

  BehaviorEvent EventOf(int id, const std::string& type) const {
    BehaviorEvent event;
    event.set_event_id(Id(id).ToString());
    event.set_type(type);
    clm::ToProto(clock_.Now(), event.mutable_occur_time());
    return event;
  }
  BehaviorEvent Purchase(int id, int64_t cents) const {
    BehaviorEvent event = EventOf(id, "purchase");
    event.set_amount_minor(cents);
    event.set_currency("EUR");
    return event;
  }
  BehaviorEvent Refund(int id, int of, std::optional<int64_t> cents = std::nullopt) const {
    BehaviorEvent event = EventOf(id, "refund");
    if (cents) {
      event.set_amount_minor(*cents);
      event.set_currency("EUR");
    }
    (*event.mutable_properties())["refund_of"].set_string_value(Id(of).ToString());
    return event;
  }
  absl::Status Tell(int contact, const std::vector<BehaviorEvent>& events) {
    contact::v1::BehaviorRecorded recorded;
    recorded.set_contact(EntityName(kContacts, {"acme", Id(contact)}));
    for (const BehaviorEvent& event : events) *recorded.add_events() = event;
    return Deliver({"acme", Id(contact)}, recorded);
  }
  v1::TierStanding StandingOf(int member) {
    v1::GetMemberRequest request;
    request.set_name(MemberName(member));
    const auto found = Do(&Node::programs, &ProgramHandlers::GetMember, request);
    CLM_EXPECT_OK(found);
    return found.ok() ? found->tier_standing() : v1::TierStanding();
  }
  absl::StatusOr<v1::TierStanding> SetTier(int member, const std::string& tier,
                                           std::optional<absl::Time> until = std::nullopt) {
    v1::SetMemberTierRequest request;
    request.set_name(MemberName(member));
    request.set_tier(tier);
    if (until) clm::ToProto(*until, request.mutable_until_time());
    return Do(&Node::programs, &ProgramHandlers::SetMemberTier, request);
  }
  // How far the journal goes on the member's shard.
  int64_t HeadOf(int member) {
    return Count(absl::StrCat("SELECT coalesce((SELECT off FROM journal_head WHERE shard = ",
                              ShardOf("acme", Id(member)), "), 0)::bigint"));
  }
  // What was recorded as counting for the member's tier.
  std::vector<int64_t> Progress(int member) {
    std::vector<int64_t> changes;
    for (const event::v1::Event& event :
         EventsOfType(v1::TierProgressed::descriptor()->full_name())) {
      v1::TierProgressed progressed;
      progressed.ParseFromString(event.payload());
      if (progressed.member() == MemberName(member)) changes.push_back(progressed.change());
    }
    return changes;
  }
  std::vector<event::v1::Event> EventsOfType(const std::string& type) {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    std::vector<event::v1::Event> events;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
      CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                           tx.ExecDynamic(absl::StrCat("SELECT event FROM journal WHERE type = '",
                                                       type, "' ORDER BY shard, off")));
      events.clear();
      for (int i = 0; i < rows.size(); ++i) {
        events.emplace_back().ParseFromString(rows[i].Bytes(0));
      }
      return absl::OkStatus();
    }));
    return events;
  }
  // Types and tiers of what was recorded of tiers, in their order.
  std::vector<std::string> TierEvents() {
    ranks_.clear();
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    std::vector<std::string> told;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
      CLM_ASSIGN_OR_RETURN(
          const pg::Result rows,
          tx.ExecDynamic("SELECT type, event FROM journal WHERE type LIKE '%.Tier%' "
                         "ORDER BY shard, off"));
      for (int i = 0; i < rows.size(); ++i) {
        event::v1::Event event;
        event.ParseFromString(rows[i].Bytes(1));
        v1::TierChanged changed;
        v1::TierDropWarned warned;
        if (rows[i].Text(0) == v1::TierChanged::descriptor()->full_name()) {
          changed.ParseFromString(event.payload());
          EXPECT_EQ(changed.direction() == v1::TierChanged::DIRECTION_UP,
                    changed.from_rank() < changed.to_rank());
          EXPECT_NE(changed.direction(), v1::TierChanged::DIRECTION_UNSPECIFIED);
          told.push_back(absl::StrCat(changed.from_tier(), ">", changed.to_tier()));
          ranks_.push_back(absl::StrCat(changed.from_rank(), changed.by_hand() ? " by hand " : ">",
                                        changed.to_rank()));
        } else if (rows[i].Text(0) == v1::TierDropWarned::descriptor()->full_name()) {
          warned.ParseFromString(event.payload());
          told.push_back(absl::StrCat("warned ", warned.standing().tier()));
        }
      }
      return absl::OkStatus();
    }));
    return told;
  }

  std::vector<std::string> ranks_;  // Of the changes that TierEvents has told.
};

TEST_F(EarningTest, PurchaseEarnsOnceForEver) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 2999)}));
  EXPECT_EQ(BalanceOf(1).active(), 29);
  // The consumer never does that; a log that is read anew does.
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 2999)}));
  EXPECT_EQ(BalanceOf(1).active(), 29);
  const auto statement = StatementOf(1);
  ASSERT_EQ(statement.size(), 1);
  EXPECT_THAT(statement[0].reason(), HasSubstr("rule euros, event "));
  ExpectSound();
}

TEST_F(EarningTest, TwiceInOneTransactionIsOnce) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 1000), Purchase(10, 1000), Purchase(11, 500)}));
  EXPECT_EQ(BalanceOf(1).active(), 15);
  ExpectSound();
}

TEST_F(EarningTest, OtherEventsAndCurrenciesEarnNothingAndMakeNobodyAMember) {
  CLM_ASSERT_OK(Create(Rules()));
  BehaviorEvent dollars = Purchase(10, 5000);
  dollars.set_currency("USD");
  CLM_ASSERT_OK(Tell(1, {dollars, EventOf(11, "download"), Purchase(12, 99)}));
  EXPECT_EQ(Count("SELECT count(*) FROM member"), 0);
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 0);
}

TEST_F(EarningTest, ProgrammesThatAreJoinedByHandIgnoreOthers) {
  v1::Program program = Rules();
  program.set_join_policy(v1::Program::JOIN_POLICY_ENROLMENT);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 5000)}));
  EXPECT_EQ(Count("SELECT count(*) FROM member"), 0);
}

TEST_F(EarningTest, CapsHoldPerMonthOfTheProgramme) {
  CLM_ASSERT_OK(Create(Rules()));
  clock_.Set(At("2026-01-31 23:59"));
  CLM_ASSERT_OK(Tell(1, {EventOf(10, "review"), EventOf(11, "review"), EventOf(12, "review")}));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  CLM_ASSERT_OK(Tell(1, {EventOf(13, "review")}));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  clock_.Set(At("2026-02-01 00:00"));
  CLM_ASSERT_OK(Tell(1, {EventOf(14, "review")}));
  EXPECT_EQ(BalanceOf(1).active(), 150);
  // One that is told late counts where it happened.
  BehaviorEvent late = EventOf(15, "review");
  clm::ToProto(At("2026-01-31 10:00"), late.mutable_occur_time());
  CLM_ASSERT_OK(Tell(1, {late}));
  EXPECT_EQ(BalanceOf(1).active(), 150);
  // A review that is taken back makes room.
  CLM_ASSERT_OK(Tell(1, {Refund(16, 11)}));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  CLM_ASSERT_OK(Tell(1, {late}));
  EXPECT_EQ(BalanceOf(1).active(), 150);
  CLM_ASSERT_OK(Tell(1, {EventOf(17, "review"), EventOf(18, "review")}));
  EXPECT_EQ(BalanceOf(1).active(), 200);
  ExpectSound();
}

TEST_F(EarningTest, RefundsTakeBackTheirPart) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 10000)}));
  CLM_ASSERT_OK(Tell(1, {Refund(11, 10, 3333)}));
  EXPECT_EQ(BalanceOf(1).active(), 67);
  CLM_ASSERT_OK(Tell(1, {Refund(12, 10, 3333), Refund(13, 10, 3334)}));
  EXPECT_EQ(BalanceOf(1).active(), 0);
  EXPECT_EQ(BalanceOf(1).returned(), 100);
  // There is nothing left to take back, and of somebody else's nothing.
  CLM_ASSERT_OK(Tell(1, {Refund(14, 10), Refund(15, 99)}));
  CLM_ASSERT_OK(Tell(2, {Purchase(20, 5000)}));
  CLM_ASSERT_OK(Tell(1, {Refund(16, 20)}));
  EXPECT_EQ(BalanceOf(2).active(), 50);
  ExpectSound();
}

TEST_F(EarningTest, RefundInTheSameTransactionTakesBackWhateverIsThere) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Earn(1, 500));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 10000), Refund(11, 10)}));
  EXPECT_EQ(BalanceOf(1).active(), 500);
  ExpectSound();
}

TEST_F(EarningTest, LateEventsExpireByWhenTheyHappened) {
  v1::Program program = Rules();
  program.mutable_wallets(0)->set_expiry("1M");
  CLM_ASSERT_OK(Create(program));
  clock_.Set(At("2026-03-20 12:00"));
  BehaviorEvent late = Purchase(10, 1000), gone = Purchase(11, 7000);
  clm::ToProto(At("2026-02-25 12:00"), late.mutable_occur_time());
  clm::ToProto(At("2026-01-25 12:00"), gone.mutable_occur_time());
  CLM_ASSERT_OK(Tell(1, {late, gone}));
  EXPECT_EQ(BalanceOf(1).active(), 10);
  clock_.Set(At("2026-03-26 00:00"));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(BalanceOf(1).active(), 0);
  EXPECT_EQ(BalanceOf(1).expired(), 10);
  ExpectSound();
}

TEST_F(EarningTest, ClimbingGivesTheRewardsOfEveryTierPassed) {
  v1::Program program = Rules();
  AddTiers(program);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 5000'00)}));
  EXPECT_EQ(BalanceOf(1).active(), 5600);
  const v1::TierStanding gold = StandingOf(1);
  EXPECT_EQ(gold.tier(), "gold");
  EXPECT_EQ(gold.value(), 5000);
  EXPECT_THAT(gold.perks(), ElementsAre("of gold"));
  EXPECT_THAT(TierEvents(), ElementsAre(">gold"));
  // Spending lowers nothing that was earned.
  CLM_ASSERT_OK(Redeem(1, 5600));
  EXPECT_EQ(StandingOf(1).tier(), "gold");
  ExpectSound();
}

TEST_F(EarningTest, RequestsCountForTiersToo) {
  v1::Program program = Rules();
  AddTiers(program);
  CLM_ASSERT_OK(Create(program));
  const auto earned = Earn(1, 999);
  CLM_ASSERT_OK(earned);
  EXPECT_EQ(StandingOf(1).tier(), "bronze");
  EXPECT_EQ(StandingOf(1).missing_to_next(), 1);
  CLM_ASSERT_OK(Earn(1, 1));
  EXPECT_EQ(StandingOf(1).tier(), "silver");
  CLM_ASSERT_OK(Return(earned->posting().name()));
  EXPECT_EQ(StandingOf(1).value(), 1);
  ExpectSound();
}

TEST_F(EarningTest, TiersMultiplyWhatIsEarnedAfterwards) {
  v1::Program program = Rules();
  AddTiers(program);
  (*program.mutable_earn_rules(0)->mutable_tier_basis_points())["silver"] = 20000;
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 1000'00)}));
  EXPECT_EQ(BalanceOf(1).active(), 1100);
  CLM_ASSERT_OK(Tell(1, {Purchase(11, 10'00)}));
  EXPECT_EQ(BalanceOf(1).active(), 1120);
}

TEST_F(EarningTest, RollingYearDropsByItselfAfterAWarning) {
  v1::Program program = Rules();
  AddTiers(program);
  v1::TierScheme* scheme = program.mutable_tier_scheme();
  scheme->set_basis(v1::TierScheme::BASIS_MONEY_SPENT);
  scheme->set_currency("EUR");
  scheme->set_period(v1::TierScheme::PERIOD_ROLLING_DAYS);
  scheme->set_rolling_days(30);
  scheme->set_downgrade(v1::TierScheme::DOWNGRADE_REAL_TIME);
  scheme->set_grace_days(10);
  scheme->set_warn_days(5);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 30'00)}));
  EXPECT_EQ(StandingOf(1).tier(), "silver");
  for (int day = 1; day <= 45; ++day) {
    clock_.Advance(absl::Hours(24));
    RunDue();
    // Too little, and no reason to warn again.
    if (day == 37 || day == 38) {
      CLM_ASSERT_OK(Tell(1, {Purchase(100 + day, 1)}));
    }
  }
  EXPECT_EQ(StandingOf(1).tier(), "bronze");
  EXPECT_THAT(TierEvents(), ElementsAre(">silver", "warned silver", "silver>bronze"));
  EXPECT_EQ(Count("SELECT count(*) FROM member WHERE tier = 'bronze'"), 1);
  // Climbing again is entering again.
  const int64_t before = BalanceOf(1).active();
  CLM_ASSERT_OK(Tell(1, {Purchase(11, 30'00)}));
  EXPECT_EQ(BalanceOf(1).active(), before + 30 + 100);
  ExpectSound();
}

TEST_F(EarningTest, RefundsLowerWhatWasSpent) {
  v1::Program program = Rules();
  AddTiers(program);
  program.mutable_tier_scheme()->set_basis(v1::TierScheme::BASIS_MONEY_SPENT);
  program.mutable_tier_scheme()->set_currency("EUR");
  program.mutable_tier_scheme()->set_downgrade(v1::TierScheme::DOWNGRADE_REAL_TIME);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 1000)}));
  EXPECT_EQ(StandingOf(1).tier(), "silver");
  CLM_ASSERT_OK(Tell(1, {Refund(11, 10, 1)}));
  EXPECT_EQ(StandingOf(1).tier(), "bronze");
  EXPECT_EQ(StandingOf(1).value(), 999);
  ExpectSound();
}

TEST_F(EarningTest, AnEventThatIsRefundedTwiceStopsCountingOnce) {
  v1::Program program = Rules();
  AddTiers(program);
  program.mutable_tier_scheme()->set_basis(v1::TierScheme::BASIS_EVENT_COUNT);
  program.mutable_tier_scheme()->set_event_type("review");
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {EventOf(10, "review"), EventOf(11, "review"), EventOf(12, "review")}));
  CLM_ASSERT_OK(Tell(1, {Refund(13, 10), Refund(14, 10)}));
  EXPECT_EQ(StandingOf(1).value(), 2);
  ExpectSound();
}

TEST_F(EarningTest, MembersFollowWhenTiersChange) {
  v1::Program program = Rules();
  CLM_ASSERT_OK(Create(program));
  for (int member = 1; member <= 5; ++member) CLM_ASSERT_OK(Earn(member, 1000));
  clock_.Advance(absl::Minutes(5));
  AddTiers(program);
  program.set_name(kProgram);
  CLM_ASSERT_OK(Update(program));
  // Before the programme had tiers nothing counted for them.
  RunDue();
  EXPECT_EQ(Count("SELECT count(*) FROM member WHERE tier = 'bronze'"), 5);
  clock_.Advance(absl::Minutes(5));
  for (int member = 1; member <= 5; ++member) CLM_ASSERT_OK(Earn(member, 900));
  EXPECT_EQ(Count("SELECT count(*) FROM member WHERE tier = 'bronze'"), 5);
  ExpectSound();
  program.mutable_tier_scheme()->mutable_tiers(1)->set_threshold(900);
  CLM_ASSERT_OK(Update(program));
  // Who has not been looked at yet is no fault.
  ExpectSound();
  // By pages, each of which may be the last before a crash.
  DuePoints paged({.reader = &node_->reader, .lanes = &node_->lanes, .clock = &clock_, .batch = 2});
  CLM_ASSERT_OK(paged.RunOnce());
  EXPECT_EQ(Count("SELECT count(*) FROM member WHERE tier = 'silver'"), 5);
  EXPECT_EQ(Count("SELECT count(*) FROM tier_sweep"), 0);
  EXPECT_EQ(BalanceOf(3).active(), 2000);
  EXPECT_EQ(RunDue(), 0);
  ExpectSound();
  // What counts stays.
  program.mutable_tier_scheme()->set_basis(v1::TierScheme::BASIS_EVENT_COUNT);
  EXPECT_THAT(Update(program), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(EarningTest, ASweepOfTiersGoesForwardAndOnlyForTheTermsItWasBegunFor) {
  CLM_ASSERT_OK(Create(Rules()));
  const ProgramKey club{"acme", "club"};
  const auto step = [&](std::function<void(LoyaltyWork&)> stage) {
    journal::MutationInfo info;
    info.shards.set(ShardOf("acme", absl::string_view(kProgram)));
    CLM_EXPECT_OK(node_->lanes.Run<LoyaltyWork>(
        std::move(info), [](LoyaltyWork&) {},
        [&](LoyaltyWork& work, journal::Recorder&) -> absl::StatusOr<std::string> {
          stage(work);
          return std::string();
        }));
  };
  const Uuid low = std::min(Id(1), Id(2)), high = std::max(Id(1), Id(2));
  const auto advance = [&](int64_t version, std::optional<Uuid> after) {
    step([&](LoyaltyWork& work) { work.AdvanceTierSweep(club, version, after); });
  };
  const auto at = [&](const std::string& after) {
    return Count(absl::StrCat("SELECT count(*) FROM tier_sweep WHERE after = '", after, "'"));
  };
  step([&](LoyaltyWork& work) { work.StartTierSweep(club, 2); });
  advance(2, high);
  EXPECT_EQ(at(high.ToString()), 1);
  // A process that is behind sends nobody back.
  advance(2, low);
  EXPECT_EQ(at(high.ToString()), 1);
  // The terms change once more: from the beginning, whatever those of before are told.
  step([&](LoyaltyWork& work) { work.StartTierSweep(club, 3); });
  EXPECT_EQ(at(Uuid().ToString()), 1);
  advance(2, low);
  EXPECT_EQ(at(Uuid().ToString()), 1);
  advance(2, std::nullopt);
  EXPECT_EQ(at(Uuid().ToString()), 1);
  advance(3, std::nullopt);
  EXPECT_EQ(Count("SELECT count(*) FROM tier_sweep"), 0);
}

TEST_F(EarningTest, ASweepOfTiersLeavesOutWhoIsNoMoreThere) {
  v1::Program program = Rules();
  CLM_ASSERT_OK(Create(program));
  for (int member = 1; member <= 4; ++member) CLM_ASSERT_OK(Earn(member, 10));
  CLM_ASSERT_OK(Erase(1));
  CLM_ASSERT_OK(Merge(3, 2));
  RunDue();
  AddTiers(program);
  program.set_name(kProgram);
  CLM_ASSERT_OK(Update(program));
  const auto sweep = node_->reader.NextTierSweep(10);
  CLM_ASSERT_OK(sweep);
  ASSERT_TRUE(sweep->has_value());
  std::vector<Uuid> looked_at;
  for (const MemberKey& member : (*sweep)->members) looked_at.push_back(member.contact);
  EXPECT_THAT(looked_at, ::testing::UnorderedElementsAre(Id(3), Id(4)));
  EXPECT_TRUE((*sweep)->last);
}

TEST_F(EarningTest, AnAuditFindsWhatIsWrongWithATier) {
  v1::Program program = Rules();
  AddTiers(program);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 1500'00)}));
  ExpectSound();
  const auto finding = [&](const std::string& sql, const std::string& undo) {
    CLM_EXPECT_OK(pg::AdminExec(database_.admin_dsn, sql));
    v1::AuditProgramRequest request;
    request.set_name(kProgram);
    const auto audit = Do(&Node::ledger, &LedgerHandlers::AuditProgram, request);
    CLM_EXPECT_OK(audit);
    std::string all;
    if (audit.ok()) {
      for (const auto& one : audit->findings()) absl::StrAppend(&all, one.finding(), "; ");
    }
    CLM_EXPECT_OK(pg::AdminExec(database_.admin_dsn, undo));
    return all;
  };
  EXPECT_EQ(finding("UPDATE tier_basis SET value = 1400", "UPDATE tier_basis SET value = 1500"),
            "tier: what counts of 2026-01-25 is 1400 and should be 1500; ");
  EXPECT_EQ(finding("UPDATE member SET tier = 'bronze'", "UPDATE member SET tier = 'silver'"),
            "tier: is 'bronze' and should be 'silver'; ");
  ExpectSound();
}

// Whoever keeps what a member has knows by the head that it is old.
TEST_F(EarningTest, WhatCountsForATierIsRecordedAlsoWhereNoPointsMove) {
  v1::Program program = Rules();
  AddTiers(program);
  program.mutable_tier_scheme()->set_basis(v1::TierScheme::BASIS_MONEY_SPENT);
  program.mutable_tier_scheme()->set_currency("EUR");
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 10'00)}));
  EXPECT_EQ(StandingOf(1).value(), 1000);
  int64_t head = HeadOf(1);
  // Less than a point.
  CLM_ASSERT_OK(Tell(1, {Purchase(11, 90)}));
  EXPECT_EQ(StandingOf(1).value(), 1090);
  EXPECT_GT(HeadOf(1), std::exchange(head, HeadOf(1)));
  CLM_ASSERT_OK(Tell(1, {Refund(12, 11)}));
  EXPECT_EQ(StandingOf(1).value(), 1000);
  EXPECT_GT(HeadOf(1), std::exchange(head, HeadOf(1)));
  EXPECT_EQ(BalanceOf(1).active(), 110);
  EXPECT_THAT(Progress(1), ElementsAre(1000, 90, -90));
  // What counts for nothing is no progress.
  CLM_ASSERT_OK(Tell(1, {Refund(13, 11), EventOf(14, "review")}));
  EXPECT_THAT(Progress(1), ElementsAre(1000, 90, -90));
}

TEST_F(EarningTest, ATierByHandIsRecordedAlsoWhereTheMemberIsInItAlready) {
  v1::Program program = Rules();
  AddTiers(program);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Earn(1, 10));
  CLM_ASSERT_OK(SetTier(1, "gold", At("2026-03-01 12:00")));
  int64_t head = HeadOf(1);
  CLM_ASSERT_OK(SetTier(1, "gold", At("2026-04-01 12:00")));
  EXPECT_GT(HeadOf(1), std::exchange(head, HeadOf(1)));
  // The same once more is no change.
  CLM_ASSERT_OK(SetTier(1, "gold", At("2026-04-01 12:00")));
  EXPECT_EQ(HeadOf(1), head);
  CLM_ASSERT_OK(SetTier(1, ""));
  const auto set = EventsOfType(v1::TierSetByHand::descriptor()->full_name());
  ASSERT_EQ(set.size(), 3);
  v1::TierSetByHand second, last;
  second.ParseFromString(set[1].payload());
  last.ParseFromString(set[2].payload());
  EXPECT_EQ(second.member(), MemberName(1));
  EXPECT_EQ(second.tier(), "gold");
  EXPECT_EQ(clm::FromProto(second.until_time()), At("2026-04-01 12:00"));
  EXPECT_EQ(last.tier(), "");
  EXPECT_FALSE(last.has_until_time());
  EXPECT_THAT(TierEvents(), ElementsAre(">bronze", "bronze>gold", "gold>bronze"));
}

TEST_F(EarningTest, TierByHandStaysUntilItsTime) {
  v1::Program program = Rules();
  AddTiers(program);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Earn(1, 10));
  EXPECT_THAT(SetTier(1, "platinum"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(SetTier(2, "gold"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(SetTier(1, "gold", At("2026-01-01 00:00")),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const auto gold = SetTier(1, "gold", At("2026-03-01 12:00"));
  CLM_ASSERT_OK(gold);
  EXPECT_EQ(gold->tier(), "gold");
  EXPECT_TRUE(gold->manual());
  EXPECT_EQ(BalanceOf(1).active(), 10);
  clock_.Set(At("2026-03-01 12:00"));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(StandingOf(1).tier(), "bronze");
  EXPECT_THAT(TierEvents(), ElementsAre(">bronze", "bronze>gold", "gold>bronze"));
  // Its end is nobody's hand.
  EXPECT_THAT(ranks_, ElementsAre("0>1", "1 by hand 3", "3>1"));
}

TEST_F(EarningTest, MergedMembersCountTogether) {
  v1::Program program = Rules();
  AddTiers(program);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 600'00), EventOf(11, "review"), EventOf(12, "review")}));
  CLM_ASSERT_OK(Tell(2, {Purchase(20, 600'00), EventOf(21, "review")}));
  CLM_ASSERT_OK(Merge(1, 2));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(StandingOf(1).tier(), "silver");
  EXPECT_EQ(StandingOf(1).value(), 1350);
  EXPECT_EQ(BalanceOf(1).active(), 1450);
  // The caps count together too.
  CLM_ASSERT_OK(Tell(1, {EventOf(13, "review")}));
  EXPECT_EQ(BalanceOf(1).active(), 1450);
  // What the other one bought may be given back.
  CLM_ASSERT_OK(Tell(1, {Refund(22, 20)}));
  EXPECT_EQ(BalanceOf(1).active(), 850);
  EXPECT_EQ(StandingOf(1).value(), 750);
  // And what is told of it only now, follows.
  CLM_ASSERT_OK(Tell(2, {Purchase(23, 100'00)}));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(BalanceOf(1).active(), 950);
  EXPECT_EQ(StandingOf(1).value(), 850);
  ExpectSound();
}

TEST_F(EarningTest, OfTwoTiersByHandTheHigherSurvivesAMergeAndIsTold) {
  v1::Program program = Rules();
  AddTiers(program);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Earn(1, 10));
  CLM_ASSERT_OK(Earn(2, 10));
  CLM_ASSERT_OK(SetTier(1, "silver"));
  CLM_ASSERT_OK(SetTier(2, "gold"));
  CLM_ASSERT_OK(Merge(1, 2));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(StandingOf(1).tier(), "gold");
  EXPECT_THAT(TierEvents(), ::testing::Contains("silver>gold"));
  // One that is lower changes nothing.
  CLM_ASSERT_OK(Earn(3, 10));
  CLM_ASSERT_OK(SetTier(3, "silver"));
  CLM_ASSERT_OK(Merge(1, 3));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(StandingOf(1).tier(), "gold");
}

TEST_F(EarningTest, ErasedPeopleEarnNothing) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 1000)}));
  CLM_ASSERT_OK(Erase(1));
  CLM_ASSERT_OK(Tell(1, {Purchase(11, 1000)}));
  EXPECT_EQ(BalanceOf(1).active(), 10);
  EXPECT_THAT(StatementOf(1)[0].reason(), "");
}

TEST_F(EarningTest, ProgrammesSayWhatIsWrongWithTheirRules) {
  v1::Program program = Rules();
  AddTiers(program);
  program.mutable_earn_rules(0)->set_condition("amount_minor >");
  program.mutable_earn_rules(1)->set_wallet("miles");
  program.mutable_earn_rules(1)->set_condition("attributes.plan = \"pro\"");
  program.mutable_tier_scheme()->mutable_tiers(2)->set_threshold(1);
  const absl::Status refused = Create(program).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
  for (const char* field :
       {"program.earn_rules[0].condition", "program.earn_rules[1].wallet",
        "program.earn_rules[1].condition", "program.tier_scheme.tiers[2].threshold"}) {
    EXPECT_THAT(refused.message(), HasSubstr(field));
  }
}

// Lanes put what many ask for into one transaction: a programme may change between what is loaded
// and who asks.
TEST_F(EarningTest, ProgrammesThatChangeInTheSameTransactionAskForNothingThatIsNotThere) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Earn(1, 10));
  const EntityKey contact{"acme", Id(1)};
  contact::v1::BehaviorRecorded recorded;
  recorded.set_contact(EntityName(kContacts, contact));
  *recorded.add_events() = Purchase(10, 1000);
  event::v1::Event event;
  event.set_tenant("acme");
  event.set_subject(recorded.contact());
  event.set_type(contact::v1::BehaviorRecorded::descriptor()->full_name());
  event.set_payload(recorded.SerializeAsString());
  const MemberKey member{"acme", "club", Id(1)};
  absl::Status opened, applied;
  journal::MutationInfo info;
  info.shards.set(ShardOf(contact.tenant, contact.id));
  CLM_ASSERT_OK(node_->lanes.Run<LoyaltyWork>(
      std::move(info),
      [&](LoyaltyWork& work) {
        node_->contact_feed.Declare(event, work);
        work.NeedMember(member);
        work.NeedWallet({"acme", "club", "", Id(1)});
      },
      [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        Program changed = *work.FindProgram({"acme", "club"});
        changed.wallets.insert(changed.wallets.begin(), WalletTerms{.id = "miles"});
        changed.tiers = ProgramTiers{.scheme = {.tiers = {{.id = "bronze"}}}, .entry_points = {5}};
        for (ProgramRule& rule : changed.earn_rules) rule.wallet = "miles";
        work.SaveProgram(changed);
        opened = WalletSession::Open(work, recorder, member, "", WalletSession::Admit::kMembers)
                     .status();
        applied = node_->contact_feed.Apply(event, work, recorder);
        return std::string();
      }));
  EXPECT_THAT(opened, StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(applied, StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Count("SELECT active FROM wallet WHERE wallet_id = 'points'"), 10);
}

TEST_F(EarningTest, TiersAndTheirZoneStay) {
  v1::Program program = Rules();
  AddTiers(program);
  const auto created = Create(program);
  CLM_ASSERT_OK(created);
  v1::Program next = *created;
  next.set_time_zone("UTC");
  EXPECT_THAT(Update(next), StatusIs(absl::StatusCode::kInvalidArgument));
  next = *created;
  next.mutable_tier_scheme()->mutable_tiers()->RemoveLast();
  EXPECT_THAT(Update(next), StatusIs(absl::StatusCode::kInvalidArgument));
  next = *created;
  next.mutable_earn_rules(0)->set_points(2);
  CLM_ASSERT_OK(Update(next));
  CLM_ASSERT_OK(Tell(1, {Purchase(10, 1000)}));
  EXPECT_EQ(BalanceOf(1).active(), 20);
}

}  // namespace
}  // namespace clm::loyalty
