// kill -9 of the loyalty service while stages give points, and the whole journal of stages once
// more.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/time_proto.h"
#include "libs/base/uuid.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

constexpr int kCustomers = 30;

std::string IdOf(const std::string& what) { return Uuid::V5(Uuid(), what).ToString(); }

class StageRewardCrashTest : public ::testing::TestWithParam<const char*> {};

TEST_P(StageRewardCrashTest, EveryEnteringIsPaidOnce) {
  World world(
      {.lifecycle = true, .loyalty = 1, .loyalty_failpoint = absl::StrCat(GetParam(), ":kill@2")});
  lifecycle::v1::InstallPresetRequest preset;
  preset.set_parent("tenants/acme");
  preset.set_preset("non-contractual");
  preset.set_enable_rules(true);
  preset.set_request_id(IdOf("install"));
  using Lifecycle = lifecycle::v1::LifecycleService::Stub;
  CLM_ASSERT_OK(world.lifecycle_caller().Call(&Lifecycle::InstallPreset, preset).status());
  loyalty::v1::CreateProgramRequest create;
  create.set_parent("tenants/acme");
  create.set_program_id("club");
  create.mutable_program()->add_wallets()->set_id("points");
  auto* rule = create.mutable_program()->add_earn_rules();
  rule->set_id("welcome");
  rule->set_event_type("lifecycle.stage_entered");
  rule->set_condition("properties.stage = \"first_purchase\"");
  rule->set_points(10);
  create.set_request_id(IdOf("club"));
  using Programs = loyalty::v1::ProgramService::Stub;
  CLM_ASSERT_OK(world.loyalty_caller().Call(&Programs::CreateProgram, create).status());
  for (int i = 0; i < kCustomers; ++i) {
    const std::string id = IdOf(absl::StrCat("customer ", i));
    contact::v1::CreateContactRequest contact;
    contact.set_parent("tenants/acme");
    contact.set_contact_id(id);
    contact.mutable_contact()->set_email(id + "@example.com");
    contact.set_request_id(IdOf("create " + id));
    using Contacts = contact::v1::ContactService::Stub;
    CLM_ASSERT_OK(world.caller().Call(&Contacts::CreateContact, contact).status());
    // The second purchase is told first: the stage was entered earlier than it had seemed.
    for (const int ago : {1, 2}) {
      contact::v1::IngestEventsRequest ingest;
      ingest.set_parent("tenants/acme");
      auto* event = ingest.add_events();
      event->set_event_id(IdOf(absl::StrCat("purchase ", ago, " ", id)));
      event->set_contact("tenants/acme/contacts/" + id);
      event->set_type("purchase");
      event->set_amount_minor(100);
      event->set_currency("EUR");
      clm::ToProto(absl::Now() - absl::Hours(ago), event->mutable_occur_time());
      using Timeline = contact::v1::TimelineService::Stub;
      CLM_ASSERT_OK(world.caller().Call(&Timeline::IngestEvents, ingest).status());
    }
  }
  ASSERT_TRUE(world.loyalty().AwaitDeath()) << "the failpoint was never passed";
  EXPECT_THAT(world.loyalty().deaths(), ElementsAre(Field(&stack::ExitStatus::signal, SIGKILL)));

  const auto ask = [&](const std::string& sql) {
    return Ask(world.loyalty_database().admin_dsn, sql);
  };
  const auto offsets = [](const clm::testing::Database& database, const std::string& from) {
    return Ask(database.admin_dsn, absl::StrCat("SELECT format('%s=%s', shard, off) FROM ", from,
                                                " AND off > 0 ORDER BY shard"));
  };
  const auto await_all = [&] {
    world.ExpectFactsAreEvents();
    EXPECT_TRUE(Eventually([&] {
      return offsets(world.loyalty_database(), "consumer_shard WHERE source = 'lifecycle'") ==
             offsets(world.lifecycle_database(), "journal_head WHERE true");
    }));
  };
  const auto expect_paid_once = [&] {
    EXPECT_EQ(ask("SELECT count(*) FROM dead_letter"), "0");
    EXPECT_EQ(ask("SELECT count(*) FROM posting"), absl::StrCat(kCustomers));
    EXPECT_EQ(ask("SELECT count(*) FROM wallet WHERE active = 10"), absl::StrCat(kCustomers));
  };
  await_all();
  expect_paid_once();
  // From the beginning, by a process that knows nothing of what it did.
  ask("WITH rewound AS (UPDATE consumer_shard SET off = 0 WHERE source = 'lifecycle' RETURNING 1) "
      "SELECT count(*) FROM rewound");
  world.loyalty().Kill();
  await_all();
  expect_paid_once();
  loyalty::v1::AuditProgramRequest request;
  request.set_name("tenants/acme/programs/club");
  using Ledger = loyalty::v1::LedgerService::Stub;
  const auto audit = world.loyalty_caller().Call(&Ledger::AuditProgram, request);
  CLM_ASSERT_OK(audit);
  EXPECT_EQ(audit->findings_size(), 0) << audit->DebugString();
}

INSTANTIATE_TEST_SUITE_P(At, StageRewardCrashTest,
                         ::testing::Values("consumer.applying", "lane.flushed", "lane.committed",
                                           "consumer.committed"),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{".", "_"}});
                         });

}  // namespace
}  // namespace clm::chaos
