// A lifecycle service with an empty database that follows the journals of the contact and loyalty
// services from their beginning: whatever the one that lived through them answers, it answers too.
#include <csignal>
#include <functional>

#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "libs/stack/child_process.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

class RebuildTest : public TenantTest {
 protected:
  // Starts it; it lives as long as the test.
  void StartAnother() {
    const json state = json::parse(stack::ReadFile(suite().data() + "/suite/state.json"));
    const json& targets = state.at("targets");
    socket_ = folder_.File("another.sock");
    auto started = stack::ChildProcess::Start(
        {.argv = {CLM_BIN_DIR "/clm-lifecycle", "--socket=" + socket_,
                  "--pg-admin-dsn=" + postgres_.admin_dsn(), "--migrate",
                  "--secret-file=" + suite().data() + "/suite/secret",
                  "--contact-peer=" + targets.value("contact", ""),
                  "--loyalty-peer=" + targets.value("loyalty", ""),
                  "--access-peer=" + targets.value("access", ""), "--drain-delay=0s"},
         .log_file = folder_.File("another.log"),
         .signal_on_parent_death = SIGKILL});
    CLM_ASSERT_OK(started);
    another_ = *std::move(started);
    EXPECT_TRUE(Eventually([&] {
      return Another({"models", "list"}).code == 0 || !another_->running();
    }));
    ASSERT_TRUE(another_->running()) << stack::ReadFile(folder_.File("another.log"));
  }
  void TearDown() override {
    if (another_ != nullptr) another_->Stop(SIGTERM, absl::Seconds(60));
  }

  // The same command, answered by the other one.
  Answer Another(std::vector<std::string> args) const {
    args.insert(args.begin(), {"--address", "lifecycle=unix:" + socket_});
    return Clm(std::move(args));
  }
  // Without what tells when a service learned of something.
  static json Known(const Answer& answer) {
    EXPECT_THAT(answer, Succeeded());
    json known = answer.Json();
    const std::function<void(json&)> strip = [&](json& value) {
      if (value.is_object()) {
        for (const char* key : {"record_time", "create_time", "sequence", "etag"}) value.erase(key);
      }
      if (value.is_structured()) {
        for (auto& part : value) strip(part);
      }
    };
    strip(known);
    return known;
  }
  void ExpectSame(std::vector<std::string> args) const {
    args.insert(args.end(), {"-o", "json"});
    const json lived = Known(Clm(args));
    EXPECT_FALSE(lived.empty());
    EXPECT_EQ(Known(Another(args)), lived) << ::testing::PrintToString(args);
  }

  const clm::testing::TempFolder folder_;
  clm::testing::Postgres postgres_{/*durable=*/true};
  std::string socket_;
  std::unique_ptr<stack::ChildProcess> another_;
};

TEST_F(RebuildTest, EveryFigureCanBeComputedAgainFromTheContactJournal) {
  Json({"models", "install", "non-contractual"});
  std::string people = "email,source,create_time\n";
  std::string orders = "email,type,time,amount,currency\n";
  for (int i = 0; i < 24; ++i) {
    const std::string who = absl::StrCat("p", i, "@example.com");
    absl::StrAppend(&people, who, ",", i % 3 == 0 ? "fair" : "web", ",2024-01-0", 1 + i % 9, "\n");
    for (int month = 1 + i % 4; month <= 12; month += 1 + i % 5) {
      absl::StrAppend(&orders, who, ",purchase,2024-", month < 10 ? "0" : "", month, "-1", i % 10,
                      ",", 10 + i, ".50,EUR\n");
    }
    if (i % 6 == 0) absl::StrAppend(&orders, who, ",refund,2024-06-20,3.00,EUR\n");
  }
  Json({"import", "contacts", suite().Write(tenant() + "-people.csv", people)});
  Json({"import", "events", suite().Write(tenant() + "-orders.csv", orders)});
  // A late event, a merge, an erasure and costs.
  Ingest("purchase", "p1@example.com", "2024-01-03");
  Json({"contacts", "merge", "p2@example.com", "p3@example.com"});
  Json({"contacts", "erase", "p4@example.com"});
  contact::v1::CreateAcquisitionCostRequest cost;
  cost.set_parent(parent());
  cost.mutable_acquisition_cost()->set_source("fair");
  cost.mutable_acquisition_cost()->set_start_date("2024-01-01");
  cost.mutable_acquisition_cost()->set_end_date("2024-02-15");
  cost.mutable_acquisition_cost()->set_amount_minor(12'345);
  cost.mutable_acquisition_cost()->set_currency("EUR");
  CLM_ASSERT_OK(api().Call(&contact::v1::TimelineService::Stub::CreateAcquisitionCost, cost));

  // A tier, which only the loyalty service's journal tells.
  const std::vector<std::vector<std::string>> rule = {
      {"rules", "create", "non-contractual", "gold", "--to", "won_back", "--from-stage", "lapsed",
       "--on", "loyalty.tier_changed", "--condition", "properties.to_tier = \"gold\""},
      {"rules", "enable", "non-contractual", "gold", "--include-history"}};
  for (const auto& step : rule) EXPECT_THAT(Clm(step), Succeeded());
  Json({"loyalty", "create-program", "club"});
  Json(
      {"loyalty", "update-program", "club", "--from", "-"},
      R"json({"tierScheme": {"tiers": [{"id": "silver"}, {"id": "gold", "threshold": 1000}]}})json");
  ASSERT_TRUE(Reaches("p5@example.com", "lapsed"));
  Json({"loyalty", "earn", "p5@example.com", "1"});
  Json({"loyalty", "set-tier", "p5@example.com", "gold"});
  ASSERT_TRUE(Reaches("p5@example.com", "won_back"));

  StartAnother();
  EXPECT_THAT(Another({"models", "install", "non-contractual"}), Succeeded());
  for (const auto& step : rule) EXPECT_THAT(Another(step), Succeeded());
  const std::vector<std::vector<std::string>> kpis = {
      {"revenue", "--metric", "revenue"},
      {"cost", "--metric", "acquisition-cost"},
      {"value", "--metric", "customer-value"},
      {"repeat", "--metric", "repeat-rate"},
      {"kept", "--metric", "retention-rate", "--model", "non-contractual", "--stage", "repeat"},
      {"led", "--metric", "lead-rate", "--model", "non-contractual", "--stage", "first_purchase"}};
  for (const auto& kpi : kpis) {
    std::vector<std::string> args = {"insights", "add-kpi"};
    args.insert(args.end(), kpi.begin(), kpi.end());
    args.insert(args.end(), {"--target", "1", "--owner", "Mira"});
    EXPECT_THAT(Clm(args), Succeeded());
    EXPECT_THAT(Another(args), Succeeded());
  }

  // Both have come to the end of the journal, and let time pass over the history, when they agree
  // on the last that happened and on where everybody is.
  const auto now = [](const Answer& answer) { return answer.code == 0 ? answer.out : ""; };
  EXPECT_TRUE(Eventually([&] {
    for (const std::vector<std::string>& question :
         {std::vector<std::string>{"insights", "value", "--by", "customer", "-o", "json"},
          std::vector<std::string>{"insights", "board", "non-contractual", "-o", "csv"}}) {
      const std::string lived = now(Clm(question));
      if (lived.empty() || lived != now(Another(question))) return false;
    }
    return Clm({"insights", "value"}).out.find("123.45") != std::string::npos;
  })) << Clm({"insights", "value", "--by", "customer"}).out
      << Another({"insights", "value", "--by", "customer"}).out;

  for (const char* day : {"2024-02-01", "2024-07-01", "2025-06-01"}) {
    ExpectSame({"insights", "board", "non-contractual", "--as-of", day, "--start", "2024-01-01"});
    ExpectSame({"insights", "scorecard", "--as-of", day});
    ExpectSame({"insights", "value", "--by", "cohort", "--as-of", day});
  }
  ExpectSame({"insights", "board", "non-contractual", "--canonical", "--as-of", "2024-07-01"});
  ExpectSame({"insights", "funnel", "non-contractual"});
  ExpectSame({"insights", "retention", "--bought-within", "60", "--start", "2024-02-01", "--end",
              "2025-02-01"});
  ExpectSame({"insights", "retention", "--model", "non-contractual", "--start", "2024-02-01",
              "--end", "2025-02-01"});
  ExpectSame({"insights", "cohorts", "--as-of", "2025-01-01"});
  ExpectSame({"insights", "cohorts", "--by", "sign-up", "--as-of", "2025-01-01"});
  ExpectSame({"insights", "value"});
  ExpectSame({"insights", "value", "--by", "source"});
  ExpectSame({"insights", "value", "--by", "customer", "--limit", "100"});
  ExpectSame({"insights", "velocity", "non-contractual"});
  ExpectSame({"insights", "velocity", "non-contractual", "--by", "source"});
  EXPECT_THAT(Another({"insights", "recount"}).err, HasSubstr("0 differ"));
  for (int i : {0, 1, 2, 5, 23}) {
    const std::string who =
        Json({"contacts", "get", absl::StrCat("p", i, "@example.com")}).value("name", "");
    ExpectSame({"stages", "history", who});
    ExpectSame({"explain", "stage", who, "--model", "non-contractual"});
  }
}

}  // namespace
}  // namespace clm::e2e
