// Rewards of stages over the feed of the lifecycle service, on PostgreSQL.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "clm/lifecycle/v1/lifecycle.pb.h"
#include "libs/testing/at_once.h"
#include "services/loyalty/loyalty_fixture.h"

namespace clm::loyalty {
namespace {

using lifecycle::v1::StageChanged;
using lifecycle::v1::StagesSuperseded;
using lifecycle::v1::Transition;

class StageRewardTest : public LoyaltyTest {
 protected:
  // 100 points for becoming a customer, and 10 for being won back.
  static v1::Program Rewards() {
    v1::Program program;
    program.set_time_zone("Europe/Berlin");
    program.add_wallets()->set_id("points");
    for (const auto& [stage, points] : {std::pair("customer", 100), std::pair("won_back", 10)}) {
      v1::EarnRule* rule = program.add_earn_rules();
      rule->set_id(stage);
      rule->set_event_type("lifecycle.stage_entered");
      rule->set_condition(
          absl::StrCat("properties.model = \"shop\" AND properties.stage = \"", stage, "\""));
      rule->set_points(points);
    }
    return program;
  }
  absl::StatusOr<v1::Program> Create(v1::Program program) {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id("club");
    *request.mutable_program() = std::move(program);
    return Do(&Node::programs, &ProgramHandlers::CreateProgram, request);
  }

  Transition Move(int contact, int64_t sequence, const std::string& to,
                  const std::string& from = "lead", const std::string& at = "2026-01-20 12:00",
                  Transition::Cause cause = Transition::CAUSE_RULE) const {
    Transition move;
    move.set_contact(EntityName(kContacts, {"acme", Id(contact)}));
    move.set_model("tenants/acme/stageModels/shop");
    move.set_from_stage(from);
    move.set_to_stage(to);
    move.set_sequence(sequence);
    move.set_cause(cause);
    clm::ToProto(At(at), move.mutable_effective_time());
    return move;
  }
  // What the consumer would deliver, of the subject's shard.
  absl::Status Follow(int subject, const google::protobuf::Message& payload, Node* node = nullptr) {
    if (node == nullptr) node = node_.get();
    event::v1::Event event;
    event.set_id(Uuid::V7(clock_.Now()).ToString());
    event.set_tenant("acme");
    event.set_subject(EntityName(kContacts, {"acme", Id(subject)}));
    event.set_type(payload.GetDescriptor()->full_name());
    event.set_payload(payload.SerializeAsString());
    journal::MutationInfo info;
    info.shards.set(ShardOf("acme", Id(subject)));
    return node->lanes
        .Run<LoyaltyWork>(
            std::move(info), [&](LoyaltyWork& work) { node->lifecycle_feed.Declare(event, work); },
            [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
              CLM_RETURN_IF_ERROR(node->lifecycle_feed.Apply(event, work, recorder));
              return std::string();
            })
        .status();
  }
  absl::Status Enter(int contact, const Transition& move, Node* node = nullptr) {
    StageChanged changed;
    *changed.mutable_transition() = move;
    return Follow(contact, changed, node);
  }
  absl::Status Supersede(int subject, const std::vector<Transition>& moves, Node* node = nullptr) {
    StagesSuperseded superseded;
    for (const Transition& move : moves) *superseded.add_transitions() = move;
    return Follow(subject, superseded, node);
  }
  int64_t PointsOf(int contact) {
    return Count(absl::StrCat("SELECT coalesce(sum(active), 0) FROM wallet WHERE contact_id = '",
                              Id(contact).ToString(), "'"));
  }
};

TEST_F(StageRewardTest, EnteringAStageEarnsOnceHoweverOftenItIsTold) {
  CLM_ASSERT_OK(Create(Rewards()));
  for (int i = 0; i < 3; ++i) CLM_ASSERT_OK(Enter(1, Move(1, 2, "customer")));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  const auto statement = StatementOf(1);
  ASSERT_EQ(statement.size(), 1u);
  EXPECT_THAT(statement[0].reason(), ::testing::HasSubstr("rule customer, event "));
  // As of when the stage was entered.
  EXPECT_EQ(Count("SELECT count(*) FROM lot WHERE earn_time = '2026-01-20 11:00+00'"), 1);
  ExpectSound();
}

// A lifecycle service that has computed its history anew counts its moves from another number on.
TEST_F(StageRewardTest, AMoveThatAnotherLogTellsOnceMoreEarnsNothingMore) {
  CLM_ASSERT_OK(Create(Rewards()));
  CLM_ASSERT_OK(Enter(1, Move(1, 2, "customer")));
  CLM_ASSERT_OK(Enter(1, Move(1, 7, "customer")));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  // Another moment is another entering.
  CLM_ASSERT_OK(Enter(1, Move(1, 8, "customer", "lead", "2026-01-21 12:00")));
  EXPECT_EQ(BalanceOf(1).active(), 200);
}

TEST_F(StageRewardTest, EveryEnteringEarnsByItself) {
  CLM_ASSERT_OK(Create(Rewards()));
  CLM_ASSERT_OK(Enter(1, Move(1, 1, "won_back", "lapsed", "2026-01-20 12:00")));
  CLM_ASSERT_OK(Enter(1, Move(1, 2, "lapsed", "won_back", "2026-01-21 12:00")));
  CLM_ASSERT_OK(Enter(1, Move(1, 3, "won_back", "lapsed", "2026-01-22 12:00")));
  EXPECT_EQ(BalanceOf(1).active(), 20);
  ExpectSound();
}

TEST_F(StageRewardTest, WhatNobodyDidEarnsNothing) {
  CLM_ASSERT_OK(Create(Rewards()));
  const std::string at = "2026-01-20 12:00";
  CLM_ASSERT_OK(Enter(1, Move(1, 1, "customer", "lead", at, Transition::CAUSE_SYNTHETIC)));
  // A new version of the model put it in the place of "buyer".
  CLM_ASSERT_OK(Enter(1, Move(1, 2, "customer", "buyer", at, Transition::CAUSE_MODEL)));
  CLM_ASSERT_OK(Enter(1, Move(1, 3, "", "customer", at, Transition::CAUSE_MANUAL)));
  StageChanged erased;
  *erased.mutable_transition() = Move(1, 4, "customer");
  erased.set_contact_erased(true);
  CLM_ASSERT_OK(Follow(1, erased));
  EXPECT_EQ(Count("SELECT count(*) FROM member"), 0);
  // By hand, by time and where everybody begins are enterings.
  CLM_ASSERT_OK(Enter(2, Move(2, 1, "customer", "lead", at, Transition::CAUSE_MANUAL)));
  CLM_ASSERT_OK(Enter(3, Move(3, 1, "customer", "lead", at, Transition::CAUSE_TIMER)));
  CLM_ASSERT_OK(Enter(4, Move(4, 1, "customer", "", at, Transition::CAUSE_MODEL)));
  for (const int contact : {2, 3, 4}) EXPECT_EQ(PointsOf(contact), 100) << contact;
  ExpectSound();
}

TEST_F(StageRewardTest, AMoveThatALateFactPutsElsewhereEarnsNothingMore) {
  CLM_ASSERT_OK(Create(Rewards()));
  const Transition first = Move(1, 1, "customer", "", "2026-01-20 12:00");
  CLM_ASSERT_OK(Enter(1, first));
  // It turns out to have been earlier, twice.
  const Transition second = Move(1, 2, "customer", "", "2026-01-15 12:00");
  CLM_ASSERT_OK(Supersede(1, {first}));
  CLM_ASSERT_OK(Enter(1, second));
  CLM_ASSERT_OK(Supersede(1, {second}));
  CLM_ASSERT_OK(Enter(1, Move(1, 3, "customer", "", "2026-01-10 12:00")));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  // The whole journal once more changes nothing, whatever is told of it.
  CLM_ASSERT_OK(Enter(1, first));
  CLM_ASSERT_OK(Supersede(1, {first}));
  CLM_ASSERT_OK(Enter(1, second));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  // Entering it again, by the facts, is another one.
  CLM_ASSERT_OK(Enter(1, Move(1, 4, "customer", "lapsed", "2026-01-24 12:00")));
  EXPECT_EQ(BalanceOf(1).active(), 200);
  ExpectSound();
}

TEST_F(StageRewardTest, PointsOfAMoveThatTurnedOutUntrueStayAndPayForTheNext) {
  CLM_ASSERT_OK(Create(Rewards()));
  const Transition untrue = Move(1, 1, "customer");
  CLM_ASSERT_OK(Enter(1, untrue));
  CLM_ASSERT_OK(Supersede(1, {untrue}));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  CLM_ASSERT_OK(Enter(1, Move(1, 2, "customer", "lead", "2026-01-24 12:00")));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  CLM_ASSERT_OK(Enter(1, Move(1, 3, "customer", "lapsed", "2026-01-25 12:00")));
  EXPECT_EQ(BalanceOf(1).active(), 200);
  ExpectSound();
}

TEST_F(StageRewardTest, InOneTransactionItIsAllTheSame) {
  CLM_ASSERT_OK(Create(Rewards()));
  const Transition first = Move(1, 1, "customer", "", "2026-01-20 12:00");
  const Transition second = Move(1, 2, "customer", "", "2026-01-15 12:00");
  StageChanged changed, corrected;
  *changed.mutable_transition() = first;
  *corrected.mutable_transition() = second;
  StagesSuperseded superseded;
  *superseded.add_transitions() = first;
  std::vector<event::v1::Event> events;
  for (const google::protobuf::Message* payload :
       std::initializer_list<const google::protobuf::Message*>{&changed, &superseded, &corrected,
                                                               &corrected}) {
    event::v1::Event& event = events.emplace_back();
    event.set_tenant("acme");
    event.set_subject(first.contact());
    event.set_type(payload->GetDescriptor()->full_name());
    event.set_payload(payload->SerializeAsString());
  }
  journal::MutationInfo info;
  info.shards.set(ShardOf("acme", Id(1)));
  CLM_ASSERT_OK(node_->lanes.Run<LoyaltyWork>(
      std::move(info),
      [&](LoyaltyWork& work) {
        for (const auto& event : events) node_->lifecycle_feed.Declare(event, work);
      },
      [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        for (const auto& event : events) {
          CLM_RETURN_IF_ERROR(node_->lifecycle_feed.Apply(event, work, recorder));
          // What is discarded leaves nothing of itself.
          work.Keep();
          static_cast<void>(node_->lifecycle_feed.Apply(events[2], work, recorder));
          work.Discard();
        }
        return std::string();
      }));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  EXPECT_EQ(Count("SELECT count(*) FROM stage_entry"), 2);
  ExpectSound();
}

// 2 was merged into 1: the log of 2 is superseded as news of 1, who enters what both had.
TEST_F(StageRewardTest, WhoTurnOutToBeOnePersonAreNotPaidOnceMore) {
  CLM_ASSERT_OK(Create(Rewards()));
  const Transition theirs = Move(2, 1, "customer", "", "2026-01-15 12:00");
  CLM_ASSERT_OK(Enter(2, theirs));
  CLM_ASSERT_OK(Merge(1, 2));
  CLM_ASSERT_OK(Supersede(1, {theirs}));
  CLM_ASSERT_OK(Enter(1, Move(1, 1, "customer", "", "2026-01-15 12:00")));
  RunDue();
  EXPECT_EQ(BalanceOf(1).active(), 100);
  // And again: 1 was merged into 3.
  CLM_ASSERT_OK(Merge(3, 1));
  CLM_ASSERT_OK(Supersede(3, {Move(1, 1, "customer", "", "2026-01-15 12:00")}));
  CLM_ASSERT_OK(Enter(3, Move(3, 1, "customer", "", "2026-01-15 12:00")));
  RunDue();
  EXPECT_EQ(BalanceOf(3).active(), 100);
  CLM_ASSERT_OK(Enter(3, Move(3, 2, "customer", "lapsed", "2026-01-25 12:00")));
  EXPECT_EQ(BalanceOf(3).active(), 200);
  ExpectSound();
}

TEST_F(StageRewardTest, AMergeThatIsHeardBeforeTheMoveOfTheMergedIsTheSame) {
  CLM_ASSERT_OK(Create(Rewards()));
  const Transition theirs = Move(2, 1, "customer", "", "2026-01-15 12:00");
  CLM_ASSERT_OK(Supersede(1, {theirs}));
  CLM_ASSERT_OK(Enter(1, Move(1, 1, "customer", "", "2026-01-15 12:00")));
  EXPECT_EQ(PointsOf(1), 100);
  CLM_ASSERT_OK(Enter(2, theirs));
  EXPECT_EQ(PointsOf(2), 0);
  ExpectSound();
}

// The shards of both are heard of by two processes at the same time.
TEST_F(StageRewardTest, AMergeAtTheSameTimeAsTheMoveOfTheMergedPaysOnce) {
  CLM_ASSERT_OK(Create(Rewards()));
  Node other(database_.app_dsn, &clock_);
  for (int i = 0; i < 20; ++i) {
    const int survivor = 100 + 2 * i, merged = 101 + 2 * i;
    const Transition theirs = Move(merged, 1, "customer", "", "2026-01-15 12:00");
    clm::testing::AtOnce(2, [&](int k) {
      if (k == 0) {
        CLM_EXPECT_OK(Enter(merged, theirs, &other));
        return;
      }
      CLM_EXPECT_OK(Supersede(survivor, {theirs}));
      CLM_EXPECT_OK(Enter(survivor, Move(survivor, 1, "customer", "", "2026-01-15 12:00")));
    });
    EXPECT_EQ(PointsOf(survivor) + PointsOf(merged), 100) << i;
  }
  ExpectSound();
}

TEST_F(StageRewardTest, WhatWasEnteredBeforeARuleLookedAtStagesIsNotPaidWhenItIsCorrected) {
  v1::Program program = Rewards();
  program.clear_earn_rules();
  CLM_ASSERT_OK(Create(program));
  const Transition before = Move(1, 1, "customer");
  CLM_ASSERT_OK(Enter(1, before));
  EXPECT_EQ(Count("SELECT count(*) FROM stage_entry"), 0);
  v1::UpdateProgramRequest update;
  *update.mutable_program() = Rewards();
  update.mutable_program()->set_name(kProgram);
  CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::UpdateProgram, update));
  CLM_ASSERT_OK(Supersede(1, {before}));
  CLM_ASSERT_OK(Enter(1, Move(1, 2, "customer", "lead", "2026-01-19 12:00")));
  EXPECT_EQ(PointsOf(1), 0);
}

TEST_F(StageRewardTest, ErasedMembersEarnNothing) {
  CLM_ASSERT_OK(Create(Rewards()));
  CLM_ASSERT_OK(Earn(1, 5));
  CLM_ASSERT_OK(Erase(1));
  CLM_ASSERT_OK(Enter(1, Move(1, 1, "customer")));
  EXPECT_EQ(BalanceOf(1).active(), 5);
}

TEST_F(StageRewardTest, WhatIsOfAnotherTenantOrContactIsRefused) {
  CLM_ASSERT_OK(Create(Rewards()));
  EXPECT_THAT(Enter(2, Move(1, 1, "customer")), clm::testing::ReasonIs("EVENT_MALFORMED"));
  Transition foreign = Move(1, 1, "customer");
  foreign.set_contact(EntityName(kContacts, {"evil", Id(1)}));
  EXPECT_THAT(Enter(1, foreign), clm::testing::ReasonIs("EVENT_MALFORMED"));
  foreign = Move(1, 1, "customer");
  foreign.set_model("tenants/evil/stageModels/shop");
  EXPECT_THAT(Enter(1, foreign), clm::testing::ReasonIs("EVENT_MALFORMED"));
  EXPECT_EQ(Count("SELECT count(*) FROM stage_entry"), 0);
}

}  // namespace
}  // namespace clm::loyalty
