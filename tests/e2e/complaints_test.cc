// Complaints and reviews on the command line, and the points for the trouble, which are the loyalty
// service's.
#include <string>

#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

using Programs = loyalty::v1::ProgramService::Stub;

class ComplaintsTest : public TenantTest {
 protected:
  std::string Open() const {
    const Answer opened = Clm({"feedback", "cases", "open", "ada@example.com",
                               "the mug came broken", "--expects", "a new one", "-o", "json"});
    EXPECT_THAT(opened, Succeeded());
    return opened.Json().value("name", "");
  }
  void Do(std::vector<std::string> verb, const std::string& name,
          const std::vector<std::string>& more = {}) const {
    std::vector<std::string> line = {"feedback", "cases"};
    line.insert(line.end(), verb.begin(), verb.end());
    line.push_back(name);
    line.insert(line.end(), more.begin(), more.end());
    EXPECT_THAT(Clm(line), Succeeded());
  }
  json Show(const std::string& name) const {
    return Clm({"feedback", "cases", "show", name, "-o", "json"}).Json();
  }
  int64_t PointsOf(const std::string& contact) const {
    loyalty::v1::GetMemberRequest request;
    request.set_name(absl::StrCat(parent(), "/programs/club/members/",
                                  contact.substr(contact.find_last_of('/') + 1)));
    request.set_consistency(loyalty::v1::CONSISTENCY_STRONG);
    const auto member = api().Call(&Programs::GetMember, request);
    return member.ok() ? member->balances(0).active() : -1;
  }
};

TEST_F(ComplaintsTest, AComplaintIsLedToItsEndAndItsPointsAreGranted) {
  const std::string ada = NewContact("ada@example.com");
  EXPECT_THAT(Clm({"loyalty", "create-program", "club"}), Succeeded());
  const std::string name = Open();
  Do({"acknowledge"}, name, {"--owner", "bea"});
  Do({"investigate"}, name);
  Do({"note"}, name, {"we look into it", "--to-customer"});
  Do({"resolve"}, name,
     {"sent another one", "--root-cause", "thin paper", "--remedy", "replacement", "--points",
      "200"});
  EXPECT_TRUE(Eventually(
      [&] { return Show(name)["resolutions"][0]["compensation"]["state"] == "STATE_GRANTED"; }));
  EXPECT_EQ(PointsOf(ada), 200);
  EXPECT_EQ(Show(name)["resolutions"][0]["agent"], "bea");
  EXPECT_THAT(Clm({"feedback", "cases", "investigate", name}),
              FailedWith(kConflict, HasSubstr("reopen")));
  Do({"close"}, name);
  const Answer listed = Clm({"feedback", "cases", "list", "--filter", "state = CLOSED"});
  EXPECT_THAT(listed.out, HasSubstr("closed"));
}

TEST_F(ComplaintsTest, PointsOfAProgrammeThatThereIsNoneOfAreRefusedWithTheReason) {
  NewContact("ada@example.com");
  const std::string name = Open();
  Do({"acknowledge"}, name);
  Do({"investigate"}, name);
  Do({"resolve"}, name,
     {"sorry", "--root-cause", "thin paper", "--remedy", "apology", "--points", "200", "--program",
      "none"});
  EXPECT_TRUE(Eventually([&] {
    return Show(name)["resolutions"][0]["compensation"]["failure_reason"] == "NOT_FOUND";
  }));
}

TEST_F(ComplaintsTest, AReviewIsSharedOnceItIsAllowedAndApproved) {
  NewContact("ada@example.com");
  const Answer recorded =
      Clm({"feedback", "reviews", "record", "own_site", "--kind", "testimonial", "--text",
           "a fine mug", "--contact", "ada@example.com", "-o", "json"});
  EXPECT_THAT(recorded, Succeeded());
  const std::string name = recorded.Json().value("name", "");
  EXPECT_THAT(Clm({"feedback", "reviews", "approve", name}),
              FailedWith(kConflict, HasSubstr("permission")));
  EXPECT_THAT(Clm({"feedback", "reviews", "grant", name, "mail of 12 May"}), Succeeded());
  EXPECT_THAT(Clm({"feedback", "reviews", "approve", name}), Succeeded());
  EXPECT_THAT(Clm({"feedback", "reviews", "list", "--publishable"}).out, HasSubstr("own_site"));
}

}  // namespace
}  // namespace clm::e2e
