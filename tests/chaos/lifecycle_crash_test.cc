// kill -9 at every durable step of a consumer, and of everybody else while events flow: in the end
// each event is a fact once, and every customer stands where an undisturbed run has put it.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "tests/chaos/contact_load.h"
#include "tests/chaos/crash_points.h"
#include "tests/chaos/harness.h"
#include "tests/chaos/purchase_points.h"

namespace clm::chaos {
namespace {

using lifecycle::v1::StageModel;
using LifecycleStub = lifecycle::v1::LifecycleService::Stub;
using ::testing::ElementsAre;
using ::testing::Field;

// Where customers stand and how they came there, without what differs between two runs.
std::string Stages(const clm::testing::Database& database, const std::string& tenant) {
  return Ask(database.admin_dsn,
             absl::StrCat("SELECT format('%s %s: %s %s', contact_id, model_id, stage, episode) "
                          "FROM customer_stage WHERE tenant_id = '",
                          tenant, "' ORDER BY 1")) +
         "\n" +
         Ask(database.admin_dsn,
             absl::StrCat("SELECT format('%s %s: %s -> %s by %s', contact_id, model_id, from_stage,"
                          " to_stage, rule_id) FROM transition WHERE tenant_id = '",
                          tenant,
                          "' AND supersede_time IS NULL "
                          "ORDER BY contact_id, model_id, effective_time, sequence"));
}

// One world for all tests, which cost a tenant each; the first tenant's run is undisturbed.
class LifecycleCrashTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    if (world_ == nullptr) world_ = new World({.redis = true, .lifecycle = true, .loyalty = 1});
    if (calm_.empty()) {
      Prepare("calm");
      ContactLoad load(&world_->caller(), LoadOf("calm"));
      load.Finish();
      world_->ExpectFactsAreEvents();
      calm_ = SettledStages("calm");
    }
  }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
    calm_.clear();
  }

  // Buyers of now, of a quarter and of a year ago.
  static ContactLoad::Options LoadOf(const std::string& tenant) {
    return {.tenants = {tenant}, .contacts = 12, .ago = [](int contact, int step) {
              return absl::Hours(24 * 120 * (contact % 3)) + absl::Milliseconds(step);
            }};
  }

  static void Prepare(const std::string& tenant) {
    world_->AddTenant(tenant);
    PurchasePoints(world_, {tenant});
    const std::string parent = absl::StrCat("tenants/", tenant);
    lifecycle::v1::InstallPresetRequest preset;
    preset.set_parent(parent);
    preset.set_preset("non-contractual");
    preset.set_enable_rules(true);
    preset.set_request_id(IdOf("install " + tenant));
    CLM_ASSERT_OK(Call(&LifecycleStub::InstallPreset, preset).status());

    // A model that only time moves on.
    lifecycle::v1::CreateStageModelRequest create;
    create.set_parent(parent);
    create.set_stage_model_id("pulse");
    create.set_request_id(IdOf("pulse " + tenant));
    create.mutable_stage_model()->set_policy(StageModel::POLICY_FREE);
    create.mutable_stage_model()->set_display_name("Pulse");
    for (const char* id : {"warm", "cool"}) {
      auto* stage = create.mutable_stage_model()->add_stages();
      stage->set_id(id);
      stage->set_label(id);
    }
    CLM_ASSERT_OK(Call(&LifecycleStub::CreateStageModel, create).status());
    lifecycle::v1::TransitionRule warm;
    warm.set_display_name("Warms");
    // Once: how often it would be entered depends on how fast a run is.
    warm.add_from_stages("-");
    warm.set_to_stage("warm");
    warm.mutable_trigger()->mutable_event()->set_event_type("purchase");
    AddRule(tenant, "warms", warm);
    lifecycle::v1::TransitionRule cool;
    cool.set_display_name("Cools");
    cool.add_from_stages("warm");
    cool.set_to_stage("cool");
    cool.mutable_trigger()->mutable_time_in_stage()->mutable_duration()->set_seconds(2);
    AddRule(tenant, "cools", cool);
  }

  static void AddRule(const std::string& tenant, const std::string& id,
                      const lifecycle::v1::TransitionRule& rule) {
    lifecycle::v1::CreateRuleRequest create;
    create.set_parent(absl::StrCat("tenants/", tenant, "/stageModels/pulse"));
    create.set_rule_id(id);
    *create.mutable_rule() = rule;
    create.set_request_id(IdOf(absl::StrCat("rule ", id, tenant)));
    CLM_ASSERT_OK(Call(&LifecycleStub::CreateRule, create).status());
    lifecycle::v1::RuleVerbRequest enable;
    enable.set_name(absl::StrCat(create.parent(), "/rules/", id));
    enable.set_include_history(true);
    enable.set_request_id(IdOf(absl::StrCat("enable ", id, tenant)));
    CLM_ASSERT_OK(Call(&LifecycleStub::EnableRule, enable).status());
  }

  template <class Req, class Resp>
  static absl::StatusOr<Resp> Call(grpc::Status (LifecycleStub::*method)(grpc::ClientContext*,
                                                                         const Req&, Resp*),
                                   const Req& request) {
    return world_->lifecycle_caller().Call(method, request);
  }

  // Once time has moved everybody whom it will move within this test: also those whose timers wait
  // a second (kSettleTime) for more of a history that has arrived late.
  static std::string SettledStages(const std::string& tenant) {
    const clm::testing::Database& database = world_->lifecycle_database();
    EXPECT_TRUE(Eventually([&] {
      return Ask(database.admin_dsn,
                 absl::StrCat("SELECT count(*) FROM customer_stage WHERE (stage = 'warm' OR "
                              "due_time <= now() + interval '1 minute') AND tenant_id = '",
                              tenant, "'")) == "0";
    })) << Stages(database, tenant);
    return Stages(database, tenant);
  }

  static void ExpectAsUndisturbed(ContactLoad& load, const std::string& tenant) {
    load.ExpectExactlyOnce(world_->contact_database());
    World::ExpectDenseJournal(world_->contact_database());
    world_->ExpectFactsAreEvents();
    // The same request again: the programme is there.
    PurchasePoints(world_, {tenant}).ExpectEachPurchaseEarnedOnce();
    EXPECT_EQ(SettledStages(tenant), calm_);
    EXPECT_NE(calm_.find("pulse: cool"), std::string::npos);
    EXPECT_NE(calm_.find("non-contractual: lapsed"), std::string::npos);
  }

  static World* world_;
  static std::string calm_;
};

World* LifecycleCrashTest::world_ = nullptr;
std::string LifecycleCrashTest::calm_;

TEST_P(LifecycleCrashTest, LosesNothingAndRepeatsNothing) {
  for (int round = 0; round < Rounds(1); ++round) {
    const std::string failpoint = absl::StrCat(GetParam(), ":kill@", 1 + round);
    SCOPED_TRACE(failpoint);
    const std::string tenant =
        absl::StrReplaceAll(absl::StrCat("kill-", GetParam(), round), {{".", "-"}});
    Prepare(tenant);
    world_->lifecycle().Rearm(failpoint);
    ContactLoad load(&world_->caller(), LoadOf(tenant));
    load.Finish();
    ASSERT_TRUE(world_->lifecycle().AwaitDeath()) << "the failpoint was never passed";
    EXPECT_THAT(world_->lifecycle().deaths(),
                ElementsAre(Field(&stack::ExitStatus::signal, SIGKILL)));
    ExpectAsUndisturbed(load, tenant);
  }
}

INSTANTIATE_TEST_SUITE_P(At, LifecycleCrashTest, ::testing::ValuesIn(kLifecycleCrashPoints),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{".", "_"}});
                         });

class LifecycleOutageTest : public LifecycleCrashTest {};

TEST_F(LifecycleOutageTest, AnybodyKilledWhileEventsFlowChangesNothing) {
  for (int round = 0; round < Rounds(1); ++round) {
    const std::string tenant = absl::StrCat("storm-", round);
    Prepare(tenant);
    ContactLoad load(&world_->caller(), LoadOf(tenant));
    load.AwaitAnswers(load.expected_answers() / 4);
    world_->contact().Kill();
    load.AwaitAnswers(load.expected_answers() / 2);
    world_->lifecycle().Kill();
    world_->loyalty().Kill();
    load.AwaitAnswers(load.expected_answers() * 3 / 4);
    DurablePostgres().server().Kill();
    CLM_ASSERT_OK(DurablePostgres().server().Restart());
    load.Finish();
    ExpectAsUndisturbed(load, tenant);
  }
}

// An event that ends every process that applies it.
TEST(DeadlyEventTest, IsParkedAfterAFewDeathsAndTheOthersGoOn) {
  World world({.lifecycle = true});
  const std::string bad = "tenants/acme/contacts/0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a";
  world.lifecycle().Rearm(absl::StrCat("consumer.applying:kill=", bad));
  const auto create = [&](const std::string& id) {
    contact::v1::CreateContactRequest request;
    request.set_parent("tenants/acme");
    request.set_contact_id(id);
    request.mutable_contact()->set_email(absl::StrCat(IdOf("mail " + id), "@example.com"));
    request.set_request_id(IdOf("create " + id));
    return world.caller().Call(&contact::v1::ContactService::Stub::CreateContact, request).status();
  };
  CLM_ASSERT_OK(create("0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a"));
  for (int i = 0; i < 200; ++i) CLM_ASSERT_OK(create(IdOf(absl::StrCat("other ", i))));
  EXPECT_TRUE(Eventually([&] {
    return Ask(world.lifecycle_database().admin_dsn, "SELECT count(*) FROM customer") == "200";
  }));
  EXPECT_TRUE(Eventually([&] {
    return Ask(world.lifecycle_database().admin_dsn,
               "SELECT format('%s %s', subject, error_reason) FROM dead_letter") ==
           absl::StrCat(bad, " HANDLER_CRASHED");
  }));
  // The first death was of nobody knows what; then it was counted three times.
  EXPECT_EQ(world.lifecycle().deaths().size(), 4u);
  EXPECT_EQ(Ask(world.lifecycle_database().admin_dsn, "SELECT count(*) FROM customer"), "200");

  // A process that does not die of it applies it, and dies before it can say so: the first commit
  // is that of the look for an earlier answer. The same request again gets the answer.
  world.lifecycle().Rearm("lane.committed:kill@2");
  lifecycle::v1::ReplayDeadLetterRequest replay;
  replay.set_parent("tenants/acme");
  replay.set_subject(bad);
  replay.set_request_id(IdOf("replay"));
  const auto applied = world.lifecycle_caller().Call(&LifecycleStub::ReplayDeadLetter, replay);
  CLM_ASSERT_OK(applied);
  EXPECT_EQ(applied->applied_count(), 1);
  EXPECT_EQ(world.lifecycle().deaths().size(), 1u);
  EXPECT_EQ(Ask(world.lifecycle_database().admin_dsn, "SELECT count(*) FROM customer"), "201");
}

}  // namespace
}  // namespace clm::chaos
