// Tier and points in the customer context, which is the contact service's: they are the loyalty
// service's, and kept in Redis.
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/membership_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

using contact::v1::CustomerContext;
using Contacts = contact::v1::ContactService::Stub;
using Ledger = loyalty::v1::LedgerService::Stub;
using Memberships = loyalty::v1::MembershipService::Stub;
using Programs = loyalty::v1::ProgramService::Stub;

constexpr char kTiers[] = R"({
  "tierScheme": {"basis": "BASIS_POINTS_EARNED", "tiers": [
    {"id": "bronze"}, {"id": "gold", "threshold": 1000}]}
})";

class MembershipsTest : public TenantTest {
 protected:
  void SetUp() override {
    Clm({"loyalty", "create-program", "club"});
    EXPECT_THAT(Clm({"loyalty", "update-program", "club", "--from", "-"}, kTiers), Succeeded());
  }
  std::string MemberOf(const std::string& contact) const {
    return absl::StrCat(parent(), "/programs/club/members/",
                        contact.substr(contact.find_last_of('/') + 1));
  }
  void Earn(const std::string& contact, int64_t amount) const {
    loyalty::v1::EarnPointsRequest earn;
    earn.set_member(MemberOf(contact));
    earn.set_amount(amount);
    CLM_EXPECT_OK(api().Call(&Ledger::EarnPoints, earn));
  }
  CustomerContext ContextOf(const std::string& contact) const {
    contact::v1::GetCustomerContextRequest get;
    get.set_name(contact);
    const auto context = api().Call(&Contacts::GetCustomerContext, get);
    CLM_EXPECT_OK(context);
    return context.value_or(CustomerContext());
  }
  // "gold 1250"; of no membership "".
  std::string Standing(const std::string& contact) const {
    const CustomerContext context = ContextOf(contact);
    EXPECT_TRUE(context.has_loyalty_part());
    if (context.memberships().empty()) return "";
    const auto& member = context.memberships(0).member();
    return absl::StrCat(member.tier_standing().tier(), " ", member.balances(0).active());
  }
  // Until it is in the cache.
  void ExpectCached(const std::string& contact) const {
    EXPECT_TRUE(Eventually([&] { return ContextOf(contact).cached(); }));
  }
};

TEST_F(MembershipsTest, WhatWasEarnedIsInTheNextContext) {
  const std::string ada = NewContact("ada@example.com");
  EXPECT_EQ(Standing(ada), "");
  ExpectCached(ada);
  Earn(ada, 600);
  EXPECT_EQ(Standing(ada), "bronze 600");
  ExpectCached(ada);
  // A tier with the points that lead to it.
  Earn(ada, 650);
  EXPECT_EQ(Standing(ada), "gold 1250");
  EXPECT_THAT(Clm({"loyalty", "redeem", "ada@example.com", "50"}), Succeeded());
  EXPECT_EQ(Standing(ada), "gold 1200");

  loyalty::v1::GetCustomerMembershipsRequest request;
  request.set_contact(ada);
  CLM_ASSERT_OK_AND_ASSIGN(const auto all,
                           api().Call(&Memberships::GetCustomerMemberships, request));
  const CustomerContext context = ContextOf(ada);
  ASSERT_EQ(all.memberships_size(), 1);
  EXPECT_EQ(all.memberships(0).SerializeAsString(), context.memberships(0).SerializeAsString());
  EXPECT_GE(all.version(), context.loyalty_part().version());

  const Answer shown = Clm({"contacts", "context", "ada@example.com"});
  EXPECT_THAT(shown, Succeeded());
  EXPECT_THAT(shown.out, HasSubstr("club=gold:1200"));
  EXPECT_THAT(Clm({"contacts", "context", "ada@example.com", "--strong"}).out,
              HasSubstr("club=gold:1200"));
}

TEST_F(MembershipsTest, WhatTimeDoesIsInTheContextTooAndSoIsAChangedProgramme) {
  const std::string ada = NewContact("ada@example.com");
  Earn(ada, 500);
  loyalty::v1::HoldPointsRequest hold;
  hold.set_member(MemberOf(ada));
  hold.set_amount(200);
  hold.set_duration("1s");
  CLM_ASSERT_OK(api().Call(&Ledger::HoldPoints, hold));
  EXPECT_TRUE(Eventually([&] { return Standing(ada) == "bronze 500"; }));

  // The member as the loyalty service tells it: the process that changed the programme at once.
  EXPECT_THAT(Clm({"loyalty", "update-program", "club", "--from", "-"}, R"({
    "tierScheme": {"basis": "BASIS_POINTS_EARNED", "tiers": [
      {"id": "bronze"}, {"id": "gold", "threshold": 501}]}})"),
              Succeeded());
  loyalty::v1::GetMemberRequest get;
  get.set_name(MemberOf(ada));
  CLM_ASSERT_OK_AND_ASSIGN(const auto member, api().Call(&Programs::GetMember, get));
  EXPECT_EQ(member.tier_standing().missing_to_next(), 1);
}

TEST_F(MembershipsTest, AMergeAndAnErasureAreFollowed) {
  const std::string ada = NewContact("ada@example.com");
  const std::string countess = NewContact("countess@example.org");
  Earn(ada, 600);
  Earn(countess, 500);
  ExpectCached(ada);
  ExpectCached(countess);
  EXPECT_THAT(Clm({"contacts", "merge", "ada@example.com", "countess@example.org"}), Succeeded());
  EXPECT_TRUE(Eventually([&] { return Standing(ada) == "gold 1100"; }));
  EXPECT_EQ(Standing(countess), "gold 1100");
  Earn(ada, 1);
  EXPECT_EQ(Standing(countess), "gold 1101");

  EXPECT_THAT(Clm({"contacts", "erase", "ada@example.com"}), Succeeded());
  EXPECT_TRUE(Eventually([&] { return Standing(ada).empty(); }));
}

TEST_F(MembershipsTest, ARedisThatWasFlushedIsFilledAgain) {
  const std::string ada = NewContact("ada@example.com");
  Earn(ada, 600);
  ExpectCached(ada);
  EXPECT_THAT(suite().Clm({"redis", "--", "FLUSHALL"}), Succeeded());
  EXPECT_EQ(Standing(ada), "bronze 600");
  ExpectCached(ada);
  EXPECT_EQ(Standing(ada), "bronze 600");
}

// The one process of this name whose command line names the place.
pid_t ProcessOf(const Place& place, const std::string& program) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const std::string line = stack::ReadFile(entry.path().string() + "/cmdline");
    if (absl::EndsWith(line.substr(0, line.find('\0')), program) &&
        absl::StrContains(line, place.data())) {
      return pid;
    }
  }
  return 0;
}

TEST(MembershipsOutageTest, WithoutRedisOrTheLoyaltyServiceAContextIsAnsweredAllTheSame) {
  Place place;
  place.Up();
  const auto context = [&] {
    const Answer answer = place.Clm({"contacts", "context", "ada@example.com", "-o", "json"});
    EXPECT_THAT(answer, Succeeded());
    return answer.code == 0 ? answer.Json() : json();
  };
  const auto has_points = [&] {
    const json told = context();
    return told.contains("loyalty_part") && told.contains("memberships") &&
           told["memberships"][0]["member"]["balances"][0].value("active", "") == "600";
  };
  ASSERT_THAT(place.Clm({"contacts", "create", "--email", "ada@example.com"}), Succeeded());
  ASSERT_THAT(place.Clm({"loyalty", "create-program", "club"}), Succeeded());
  ASSERT_THAT(place.Clm({"loyalty", "earn", "ada@example.com", "600"}), Succeeded());
  EXPECT_TRUE(has_points());

  const Answer redis = place.Clm({"redis", "--", "INFO", "server"});
  pid_t redis_pid = 0;
  for (const absl::string_view line : absl::StrSplit(redis.out, absl::ByAnyChar("\r\n"))) {
    int pid = 0;
    if (absl::StartsWith(line, "process_id:") && absl::SimpleAtoi(line.substr(11), &pid)) {
      redis_pid = pid;
    }
  }
  ASSERT_GT(redis_pid, 0);
  ASSERT_EQ(kill(redis_pid, SIGKILL), 0);
  EXPECT_TRUE(has_points());
  EXPECT_TRUE(
      Eventually([&] { return absl::StrContains(place.Printed(), "Redis started again"); }));

  if (Distributed()) {
    const pid_t loyalty = ProcessOf(place, "/clm-loyalty");
    ASSERT_GT(loyalty, 0);
    ASSERT_EQ(kill(loyalty, SIGSTOP), 0);
    EXPECT_TRUE(Eventually([&] {
      EXPECT_THAT(place.Clm({"redis", "--", "FLUSHALL"}), Succeeded());
      const json told = context();
      return told.contains("contact") && !told.contains("loyalty_part") &&
             !told.contains("memberships");
    }));
    EXPECT_THAT(place.Clm({"contacts", "context", "ada@example.com"}).out, HasSubstr("not told"));
    kill(loyalty, SIGKILL);
    EXPECT_TRUE(Eventually(
        [&] { return absl::StrContains(place.Printed(), "clm-loyalty started again"); }));
    EXPECT_TRUE(Eventually(has_points));
  }
  place.Down();
}

}  // namespace
}  // namespace clm::e2e
