// kill -9 of the contact service while it looks for people who are there twice.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "tests/chaos/crash_points.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {
namespace {

namespace v1 = clm::contact::v1;
using ::testing::ElementsAre;
using ::testing::Field;

constexpr int kPeople = 30;

class DuplicatesCrashTest : public ::testing::TestWithParam<const char*> {};

TEST_P(DuplicatesCrashTest, TheScanGoesOnWhereItStood) {
  World world({.contact_failpoint = absl::StrCat(GetParam(), ":kill@2")});
  // Everybody twice; the second time under an address that differs by what some providers ignore.
  const auto send = [&](const std::string& begin, const std::string& end) {
    v1::BatchUpsertContactsRequest request;
    request.set_parent("tenants/acme");
    for (int i = 0; i < kPeople; ++i) {
      auto* upsert = request.add_requests();
      upsert->set_parent(request.parent());
      upsert->set_key("email");
      upsert->mutable_contact()->set_email(absl::StrCat(begin, i, end));
    }
    const auto response =
        world.caller().Call(&v1::ContactService::Stub::BatchUpsertContacts, request);
    ASSERT_TRUE(response.ok()) << response.status();
  };
  const auto ask = [&](const std::string& sql) {
    return Ask(world.contact_database().admin_dsn, sql);
  };
  send("ada.", "@example.com");
  ASSERT_TRUE(Eventually([&] { return ask("SELECT count(*) > 0 FROM duplicate_key") == "t"; }));
  send("ada", "+shop@example.com");
  ASSERT_TRUE(world.contact().AwaitDeath()) << "the failpoint was never passed";
  EXPECT_THAT(world.contact().deaths(), ElementsAre(Field(&stack::ExitStatus::signal, SIGKILL)));
  // The lease of the dead process ends by the database's clock.
  const std::string pairs = "SELECT count(*) FROM duplicate_candidate";
  EXPECT_TRUE(Eventually([&] { return ask(pairs) == absl::StrCat(kPeople); })) << ask(pairs);
  EXPECT_EQ(ask("SELECT count(*) FROM (SELECT contact_id FROM duplicate_candidate UNION "
                "SELECT duplicate_id FROM duplicate_candidate) AS c"),
            absl::StrCat(2 * kPeople));
}

INSTANTIATE_TEST_SUITE_P(At, DuplicatesCrashTest, ::testing::ValuesIn(kDuplicatesCrashPoints),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{".", "_"}});
                         });

}  // namespace
}  // namespace clm::chaos
