// kill -9 of the loyalty service while points fall due, and at each step of what moves them.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/uuid.h"
#include "tests/chaos/crash_points.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {
namespace {

using Ledger = loyalty::v1::LedgerService::Stub;
using Programs = loyalty::v1::ProgramService::Stub;
using ::testing::ElementsAre;
using ::testing::Field;

constexpr char kProgram[] = "tenants/acme/programs/club";
constexpr int kMembers = 30;
constexpr int64_t kPoints = 7;

std::string IdOf(const std::string& what) { return Uuid::V5(Uuid(), what).ToString(); }

class LoyaltyCrashTest : public ::testing::TestWithParam<const char*> {};

TEST_P(LoyaltyCrashTest, WhatIsDueHappensOnce) {
  World world({.loyalty = 1, .loyalty_failpoint = absl::StrCat(GetParam(), ":kill@1")});
  loyalty::v1::CreateProgramRequest create;
  create.set_parent("tenants/acme");
  create.set_program_id("club");
  auto* wallet = create.mutable_program()->add_wallets();
  wallet->set_id("points");
  wallet->set_pending("1s");
  create.set_request_id(IdOf("club"));
  CLM_ASSERT_OK(world.loyalty_caller().Call(&Programs::CreateProgram, create).status());
  for (int i = 0; i < kMembers; ++i) {
    loyalty::v1::EarnPointsRequest earn;
    earn.set_member(absl::StrCat(kProgram, "/members/", IdOf(absl::StrCat("member ", i))));
    earn.set_amount(kPoints);
    earn.set_request_id(IdOf(absl::StrCat("earn ", i)));
    CLM_ASSERT_OK(world.loyalty_caller().Call(&Ledger::EarnPoints, earn).status());
  }
  ASSERT_TRUE(world.loyalty().AwaitDeath()) << "the failpoint was never passed";
  EXPECT_THAT(world.loyalty().deaths(), ElementsAre(Field(&stack::ExitStatus::signal, SIGKILL)));

  const auto ask = [&](const std::string& sql) {
    return Ask(world.loyalty_database().admin_dsn, sql);
  };
  const std::string active = "SELECT coalesce(sum(active), 0) FROM wallet WHERE pending = 0";
  const std::string all = absl::StrCat(kMembers * kPoints);
  EXPECT_TRUE(Eventually([&] { return ask(active) == all; })) << ask(active);
  // An earn and its activation each, and nothing twice.
  EXPECT_EQ(ask("SELECT count(*) FROM posting"), absl::StrCat(2 * kMembers));
  loyalty::v1::AuditProgramRequest request;
  request.set_name(kProgram);
  const auto audit = world.loyalty_caller().Call(&Ledger::AuditProgram, request);
  CLM_ASSERT_OK(audit);
  EXPECT_EQ(audit->wallets(), kMembers);
  EXPECT_EQ(audit->findings_size(), 0) << audit->DebugString();
}

INSTANTIATE_TEST_SUITE_P(At, LoyaltyCrashTest, ::testing::ValuesIn(kLoyaltyCrashPoints),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{".", "_"}});
                         });

}  // namespace
}  // namespace clm::chaos
