// The figures of `clm insights` over a small shop whose history is written down here, for people
// and for programs.
#include "clm/lifecycle/v1/insights_service.grpc.pb.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

using ::testing::ElementsAre;

// Purchases of four people in three months of 2024, who were all silent afterwards.
constexpr char kOrders[] =
    "email,type,time,amount,currency\n"
    "a@example.com,purchase,2024-01-05,10.00,EUR\n"
    "b@example.com,purchase,2024-01-06,20.00,EUR\n"
    "c@example.com,purchase,2024-01-20,30.00,EUR\n"
    "a@example.com,purchase,2024-02-04,10.00,EUR\n"
    "b@example.com,purchase,2024-02-10,20.00,EUR\n"
    "d@example.com,purchase,2024-02-11,40.00,EUR\n"
    "a@example.com,purchase,2024-03-05,10.00,EUR\n";

class InsightsTest : public TenantTest {
 protected:
  InsightsTest() {
    Json({"models", "install", "non-contractual"});
    std::string people = "email,create_time\n";
    for (const char* who : {"a", "b", "c", "d"}) {
      absl::StrAppend(&people, who, "@example.com,2024-01-01\n");
    }
    Json({"import", "contacts", suite().Write(tenant() + "-people.csv", people)});
    Json({"import", "events", suite().Write(tenant() + "-orders.csv", kOrders)});
    EXPECT_TRUE(Eventually([this] {
      const json value = Json({"insights", "value"});
      return value.contains("values") && !value["values"].empty() &&
             value["values"][0].value("purchases", "") == "7";
    }));
    for (const char* who : {"a", "b", "c", "d"}) {
      Reaches(absl::StrCat(who, "@example.com"), "lapsed");
    }
  }
  // The values of one field over a list, "" where it is left out.
  static std::vector<std::string> Column(const json& list, const char* field) {
    std::vector<std::string> values;
    for (const auto& one : list) {
      const auto it = one.find(field);
      values.push_back(it == one.end()   ? ""
                       : it->is_string() ? it->get<std::string>()
                                         : it->dump());
    }
    return values;
  }
};

TEST_F(InsightsTest, FiguresAreTheSameForPeopleAndPrograms) {
  // Everybody bought once, two came again.
  const json funnel = Json({"insights", "funnel", "non-contractual"});
  EXPECT_THAT(Column(funnel.at("reached_at_least"), "stage"),
              ElementsAre("first_purchase", "repeat", "won_back"));
  EXPECT_EQ(Column(funnel.at("reached_at_least"), "entrants").at(0), "4") << funnel;
  EXPECT_EQ(Column(funnel.at("reached_at_least"), "entrants").at(1), "2") << funnel;
  const Answer drawn = Clm({"insights", "funnel", "non-contractual"});
  EXPECT_THAT(drawn.out, HasSubstr("Funnel of non-contractual"));
  EXPECT_THAT(drawn.out, HasSubstr("50.0% went on, 2 did not, median 30 d"));
  EXPECT_THAT(drawn.out, Not(HasSubstr(" us")));
  EXPECT_THAT(Clm({"insights", "funnel", "non-contractual", "-o", "csv"}).out,
              HasSubstr("first_purchase,First purchase,4"));

  const json board = Json({"insights", "board", "non-contractual"});
  EXPECT_THAT(Column(board.at("stages"), "stage"),
              ElementsAre("first_purchase", "repeat", "at_risk", "lapsed", "won_back"));
  EXPECT_THAT(Column(board.at("stages"), "count"), ElementsAre("", "", "", "4", ""));
  EXPECT_THAT(Clm({"insights", "board", "non-contractual"}).out,
              HasSubstr("4 customers by stage of non-contractual"));
  // As it was: in March one was a regular, and the others had not been silent for long.
  const json then = Json({"insights", "board", "non-contractual", "--as-of", "2024-03-10"});
  EXPECT_THAT(Column(then.at("stages"), "count"), ElementsAre("2", "2", "", "", "")) << then;

  // By what stages mean, next to a model of another kind that nobody is in.
  Json({"models", "install", "hubspot-eight"});
  const json meanings =
      Json({"insights", "board", "non-contractual", "--canonical", "--as-of", "2024-03-10"});
  int64_t in_all = 0;
  for (const auto& row : meanings.at("stages")) in_all += std::stoll(row.value("count", "0"));
  EXPECT_EQ(in_all, 4) << meanings;
  EXPECT_EQ(Column(meanings.at("stages"), "canonical_stage").back(), "CANONICAL_STAGE_DEACTIVATED")
      << meanings;
  const Answer beside =
      Clm({"insights", "board", "non-contractual", "hubspot-eight", "--canonical", "-o", "csv"});
  EXPECT_THAT(beside.out, HasSubstr("in all,4,0"));
  EXPECT_THAT(Clm({"insights", "board", "non-contractual", "hubspot-eight"}),
              FailedWith(kUsage, HasSubstr("--canonical")));
  EXPECT_THAT(Clm({"insights", "funnel", "non-contractual", "--canonical"}).out,
              HasSubstr("conversion"));

  const json cohorts = Json({"insights", "cohorts", "--start", "2024-01-01", "--end", "2024-03-01",
                             "--as-of", "2024-04-01", "--revenue"});
  ASSERT_EQ(cohorts.at("cohorts").size(), 2u) << cohorts;
  EXPECT_THAT(Column(cohorts["cohorts"], "size"), ElementsAre("3", "1"));
  EXPECT_THAT(Column(cohorts["cohorts"][0].at("cells"), "active"), ElementsAre("3", "2", "1"));
  EXPECT_THAT(Column(cohorts["cohorts"][0].at("cells"), "revenue_minor"),
              ElementsAre("6000", "3000", "1000"));
  const Answer heat = Clm({"insights", "cohorts", "--start", "2024-01-01", "--end", "2024-03-01",
                           "--as-of", "2024-04-01"});
  EXPECT_THAT(heat.out, HasSubstr("2024-01-01     3 100.0%  66.7%  33.3%"));

  const json retention = Json({"insights", "retention", "--bought-within", "31", "--start",
                               "2024-02-01", "--end", "2024-04-01", "--period", "month"});
  ASSERT_EQ(retention.at("periods").size(), 2u) << retention;
  EXPECT_THAT(Column(retention["periods"], "at_start"), ElementsAre("3", "3")) << retention;
  EXPECT_THAT(Column(retention["periods"], "kept"), ElementsAre("2", "1")) << retention;
  EXPECT_THAT(Clm({"insights", "retention", "--bought-within", "31", "--start", "2024-02-01",
                   "--end", "2024-04-01"})
                  .out,
              HasSubstr("66.7%"));

  const json velocity = Json({"insights", "velocity", "non-contractual"});
  for (const auto& row : velocity.at("rows")) {
    if (row.value("stage", "") != "at_risk") continue;
    EXPECT_EQ(row.value("completed_visits", ""), "4");
    // From 90 to 180 days of silence.
    EXPECT_EQ(row.value("median_seconds", ""), absl::StrCat(90 * 86400));
  }
  EXPECT_THAT(Clm({"insights", "velocity", "non-contractual"}).out, HasSubstr("90 d"));

  const json value = Json({"insights", "value", "--by", "customer"});
  EXPECT_EQ(value.at("values").size(), 4u);
  EXPECT_THAT(Clm({"insights", "value"}).out, HasSubstr("140.00 EUR"));
  EXPECT_THAT(Clm({"insights", "recount"}).err, HasSubstr("0 differ"));
}

TEST_F(InsightsTest, KpisHaveOwnersTargetsAndAScore) {
  Json({"insights", "add-kpi", "lapsed-few", "--metric", "stage-count", "--model",
        "non-contractual", "--stage", "lapsed", "--target", "1", "--owner", "Mira",
        "--lower-is-better"});
  EXPECT_EQ(Json({"insights", "kpis"}).size(), 1u);
  const Answer card = Clm({"insights", "scorecard", "--owner", "Mira"});
  EXPECT_THAT(card, Succeeded());
  EXPECT_THAT(card.out, HasSubstr("lapsed-few"));
  Json({"insights", "update-kpi", "lapsed-few", "--target", "9", "--owner", "Jonas"});
  const json changed = Json({"insights", "kpis"})[0];
  EXPECT_EQ(changed.value("target", ""), "9") << changed;
  EXPECT_EQ(changed.value("owner", ""), "Jonas");
  EXPECT_EQ(changed.value("stage", ""), "lapsed");
  EXPECT_THAT(Clm({"insights", "update-kpi", "lapsed-few"}),
              FailedWith(kUsage, HasSubstr("--target")));
  EXPECT_THAT(Clm({"insights", "update-kpi", "lapsed-few", "--target", "8", "--etag", "MQ"}),
              Not(Succeeded()));
  // Money is in the digits of its currency.
  Json({"insights", "add-kpi", "yen", "--metric", "revenue", "--target", "123450", "--owner",
        "Mira", "--currency", "JPY"});
  EXPECT_THAT(Clm({"insights", "kpis"}).out, HasSubstr("at least 123,450 JPY"));
  EXPECT_THAT(Clm({"insights", "ready-kpis", "non-contractual"}).out,
              HasSubstr("retention-rate-repeat"));
  EXPECT_THAT(Clm({"insights", "delete-kpi", "yen"}), Succeeded());
  EXPECT_THAT(Clm({"insights", "delete-kpi", "yen"}), FailedWith(kNotFound, HasSubstr("yen")));
  // A stage that is measured does not go without a word.
  json model = Json({"models", "get", "non-contractual"});
  json stages = json::array();
  for (const auto& stage : model.at("stages")) {
    if (stage.value("id", "") != "lapsed") stages.push_back(stage);
  }
  model["stages"] = stages;
  model.erase("edges");
  model["policy"] = "POLICY_FREE";
  EXPECT_THAT(
      Clm({"models", "publish", "--from", suite().Write(tenant() + "-model.json", model.dump()),
           "--map", "lapsed=at_risk"}),
      FailedWith(kConflict, HasSubstr("lapsed-few")));

  EXPECT_THAT(
      Clm({"insights", "add-kpi", "odd", "--metric", "smiles", "--target", "1", "--owner", "Mira"}),
      FailedWith(kUsage, HasSubstr("metric")));
}

TEST_F(InsightsTest, BadQuestionsAreRefusedWithTheReason) {
  EXPECT_THAT(Clm({"insights", "funnel", "no-such"}), FailedWith(kNotFound, HasSubstr("no-such")));
  EXPECT_THAT(Clm({"insights", "funnel", "non-contractual", "--step", "nowhere"}),
              FailedWith(kUsage, HasSubstr("steps")));
  EXPECT_THAT(Clm({"insights", "retention"}), FailedWith(kUsage, HasSubstr("--bought-within")));
  EXPECT_THAT(Clm({"insights", "retention", "--bought-within", "30", "--start", "2024-02-01",
                   "--end", "2024-01-01"}),
              FailedWith(kUsage, HasSubstr("end_time")));
  EXPECT_THAT(Clm({"insights", "cohorts", "--period", "fortnight"}),
              FailedWith(kUsage, HasSubstr("--period")));
}

}  // namespace
}  // namespace clm::e2e
