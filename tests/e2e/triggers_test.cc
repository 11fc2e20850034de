// Tiers move customers, and stages give points: both services together.
#include "absl/strings/str_cat.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

using ::testing::ElementsAre;

class TriggersTest : public TenantTest {
 protected:
  int64_t PointsOf(const std::string& who) const {
    const Answer member = Clm({"loyalty", "member", who, "-o", "json"});
    if (member.code != 0) return 0;
    const json balances = member.Json().value("balances", json::array());
    if (balances.empty() || !balances[0].contains("active")) return 0;
    const json& active = balances[0]["active"];
    return active.is_string() ? std::stoll(active.get<std::string>()) : active.get<int64_t>();
  }
  bool Has(const std::string& who, int64_t points) const {
    int64_t now = 0;
    const bool has = Eventually([&] { return (now = PointsOf(who)) == points; });
    EXPECT_TRUE(has) << who << " has " << now << " points, not " << points;
    return has;
  }
  std::vector<std::string> Moves(const std::string& who) const {
    std::vector<std::string> stages;
    for (const auto& move : Json({"stages", "history", who})) {
      stages.push_back(move.value("to_stage", "-"));
    }
    return stages;
  }
};

TEST_F(TriggersTest, PointsMakeATierTheTierAStageAndTheStagePointsOnce) {
  Json({"models", "install", "non-contractual"});
  Json({"rules", "create", "non-contractual", "gold", "--to", "repeat", "--from-stage",
        "first_purchase", "--on", "loyalty.tier_changed", "--condition",
        "properties.to_tier = \"gold\" AND properties.direction = \"up\""});
  Json({"rules", "enable", "non-contractual", "gold"});
  Json({"loyalty", "create-program", "club"});
  json rules = json::array({{{"id", "euros"},
                             {"eventType", "purchase"},
                             {"earning", "EARNING_PER_MONEY"},
                             {"points", 1},
                             {"per", 100},
                             {"currency", "EUR"}}});
  for (const auto& [stage, points] :
       {std::pair("first_purchase", 10), std::pair("repeat", 50), std::pair("at_risk", 7)}) {
    rules.push_back({{"id", std::string("stage-") + stage},
                     {"eventType", "lifecycle.stage_entered"},
                     {"condition", absl::StrCat("properties.model = \"non-contractual\" AND "
                                                "properties.stage = \"",
                                                stage, "\"")},
                     {"points", points}});
  }
  const json tiers = {{"tiers", {{{"id", "silver"}}, {{"id", "gold"}, {"threshold", 1000}}}}};
  Json({"loyalty", "update-program", "club", "--from", "-"},
       json({{"earnRules", rules}, {"tierScheme", tiers}}).dump());

  const std::string ada = NewContact("ada@example.com");
  Ingest("purchase", "ada@example.com", "now", "1000.00");
  ASSERT_TRUE(Reaches(ada, "repeat"));
  EXPECT_THAT(Clm({"explain", "stage", ada}).out, HasSubstr("by the rule gold"));
  EXPECT_THAT(Clm({"explain", "stage", ada}).out, HasSubstr("loyalty.tier_changed"));
  ASSERT_TRUE(Has(ada, 1000 + 10 + 50));

  // A purchase of before: both stages were entered earlier, and paid for once.
  Ingest("purchase", "ada@example.com", "2d", "1.00");
  EXPECT_TRUE(Eventually([&] {
    return Json({"stages", "history", ada}).at(1).value("rule", "") == "repeat-purchase";
  }));
  EXPECT_THAT(Moves(ada), ElementsAre("first_purchase", "repeat"));
  // What comes later of the same customer tells that all of it has been heard.
  Json({"stages", "move", ada, "at_risk", "--model", "non-contractual", "--reason", "a test"});
  EXPECT_TRUE(Has(ada, 1000 + 1 + 10 + 50 + 7));

  // Nobody records such events by hand.
  for (const char* type : {"loyalty.tier_changed", "lifecycle.stage_entered"}) {
    EXPECT_THAT(Clm({"events", "ingest", type, "ada@example.com"}),
                FailedWith(kUsage, HasSubstr("is told by the suite itself")));
  }
}

}  // namespace
}  // namespace clm::e2e
