#include <string>

#include "clm/event/v1/event_feed_service.pb.h"
#include "clm/lifecycle/v1/lifecycle.pb.h"
#include "libs/base/resource_name.h"
#include "services/loyalty/dead_letter_service.h"
#include "services/loyalty/loyalty_fixture.h"

namespace clm::loyalty {
namespace {

class DeadLetterTest : public LoyaltyTest {
 protected:
  // A purchase by member 1 for so many euros, of which each is a point, was parked.
  void Park(int64_t off, int64_t euros, const std::string& reason) {
    contact::v1::BehaviorRecorded recorded;
    recorded.set_contact(EntityName(kContacts, {"acme", Id(1)}));
    contact::v1::BehaviorEvent* event = recorded.add_events();
    event->set_event_id(Id(static_cast<int>(100 + off)).ToString());
    event->set_type("purchase");
    event->set_amount_minor(euros * 100);
    event->set_currency("EUR");
    clm::ToProto(clock_.Now(), event->mutable_occur_time());
    ParkEvent("contact", off, recorded, reason);
  }
  void ParkEvent(const std::string& source, int64_t off, const google::protobuf::Message& payload,
                 const std::string& reason) {
    event::v1::Event parked;
    parked.set_id(Id(static_cast<int>(200 + off)).ToString());
    parked.set_tenant("acme");
    parked.set_subject(EntityName(kContacts, {"acme", Id(1)}));
    parked.set_type(payload.GetDescriptor()->full_name());
    parked.set_payload(payload.SerializeAsString());
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    CLM_ASSERT_OK(pool->Transact({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
      constexpr pg::Statement kPark{"test.park", R"sql(
        INSERT INTO dead_letter VALUES ('acme', $7::text, $1::smallint, $2::bigint, $3::uuid,
          $4::text, $5::bytea, $6::text, 'said why', 5, false, now()))sql"};
      pg::Args args;
      args.Add(ShardOf("acme", Id(1))).Add(off).Add(Id(static_cast<int>(200 + off)));
      args.Add(parked.subject()).AddBytes(parked.SerializeAsString()).Add(reason).Add(source);
      return tx.Exec(kPark, args).status();
    }));
  }
  void CreateEuroProgram() {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id("club");
    request.mutable_program()->add_wallets()->set_id("points");
    v1::EarnRule* euros = request.mutable_program()->add_earn_rules();
    euros->set_id("euros");
    euros->set_event_type("purchase");
    euros->set_earning(v1::EarnRule::EARNING_PER_MONEY);
    euros->set_points(1);
    euros->set_per(100);
    euros->set_currency("EUR");
    CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::CreateProgram, request));
  }
  absl::StatusOr<v1::ReplayDeadLetterResponse> Replay(const std::string& give_up_because = "") {
    v1::ReplayDeadLetterRequest request;
    request.set_parent("tenants/acme");
    request.set_subject(EntityName(kContacts, {"acme", Id(1)}));
    request.set_skip(!give_up_because.empty());
    request.set_reason(give_up_because);
    return Handlers().ReplayDeadLetter(CallNow(), request);
  }
  DeadLetterHandlers Handlers() {
    return DeadLetterHandlers(
        {.pool = node_->pool.get(),
         .lanes = &node_->lanes,
         .sources = {{"contact", &node_->contact_feed}, {"lifecycle", &node_->lifecycle_feed}},
         .tokens = &node_->tokens});
  }
};

TEST_F(DeadLetterTest, WhatWasParkedEarnsOnceWhenItIsReplayed) {
  CreateEuroProgram();
  Park(7, 12, "SOMETHING_WRONG");
  Park(8, 5, "WAITING");
  v1::ListDeadLettersRequest list;
  list.set_parent("tenants/acme");
  list.set_page_size(1);
  const auto letters = Handlers().ListDeadLetters(CallNow(), list);
  CLM_ASSERT_OK(letters);
  ASSERT_EQ(letters->dead_letters_size(), 1);
  EXPECT_EQ(letters->dead_letters(0).error_reason(), "SOMETHING_WRONG");
  list.set_page_token(letters->next_page_token());
  EXPECT_EQ(Handlers().ListDeadLetters(CallNow(), list)->dead_letters(0).offset(), 8);

  const auto replayed = Replay();
  CLM_ASSERT_OK(replayed);
  EXPECT_EQ(replayed->applied_count(), 2);
  EXPECT_THAT(Replay(), clm::testing::ReasonIs("NOTHING_PARKED"));
  v1::GetMemberRequest member;
  member.set_name(MemberName(1));
  EXPECT_EQ(Do(&Node::programs, &ProgramHandlers::GetMember, member)->balances(0).active(), 17);
}

TEST_F(DeadLetterTest, WhatIsGivenUpEarnsNothingAndTheRestGoesOn) {
  CreateEuroProgram();
  Park(7, 12, "SOMETHING_WRONG");
  Park(8, 5, "WAITING");
  const auto skipped = Replay("it was a test");
  CLM_ASSERT_OK(skipped);
  EXPECT_EQ(skipped->skipped_count(), 1);
  EXPECT_EQ(Replay()->applied_count(), 1);
  v1::GetMemberRequest member;
  member.set_name(MemberName(1));
  EXPECT_EQ(Do(&Node::programs, &ProgramHandlers::GetMember, member)->balances(0).active(), 5);
}

TEST_F(DeadLetterTest, AStageThatWasParkedIsReplayedByItsSource) {
  v1::CreateProgramRequest create;
  create.set_parent("tenants/acme");
  create.set_program_id("club");
  create.mutable_program()->add_wallets()->set_id("points");
  v1::EarnRule* rule = create.mutable_program()->add_earn_rules();
  rule->set_id("stages");
  rule->set_event_type("lifecycle.stage_entered");
  rule->set_points(30);
  CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::CreateProgram, create));
  lifecycle::v1::StageChanged changed;
  changed.mutable_transition()->set_contact(EntityName(kContacts, {"acme", Id(1)}));
  changed.mutable_transition()->set_model("tenants/acme/stageModels/shop");
  changed.mutable_transition()->set_to_stage("customer");
  changed.mutable_transition()->set_sequence(1);
  clm::ToProto(clock_.Now(), changed.mutable_transition()->mutable_effective_time());
  ParkEvent("lifecycle", 9, changed, "SOMETHING_WRONG");
  v1::ReplayDeadLetterRequest request;
  request.set_parent("tenants/acme");
  request.set_subject(EntityName(kContacts, {"acme", Id(1)}));
  // Of the same subject, and in another journal.
  EXPECT_THAT(Handlers().ReplayDeadLetter(CallNow(), request),
              clm::testing::ReasonIs("NOTHING_PARKED"));
  request.set_source("lifecycle");
  const auto replayed = Handlers().ReplayDeadLetter(CallNow(), request);
  CLM_ASSERT_OK(replayed);
  EXPECT_EQ(replayed->applied_count(), 1);
  EXPECT_EQ(BalanceOf(1).active(), 30);
}

TEST_F(DeadLetterTest, AnotherTenantSeesNothing) {
  Park(7, 12, "SOMETHING_WRONG");
  v1::ListDeadLettersRequest list;
  list.set_parent("tenants/evil");
  EXPECT_EQ(Handlers().ListDeadLetters(CallNow(), list)->dead_letters_size(), 0);
}

}  // namespace
}  // namespace clm::loyalty
