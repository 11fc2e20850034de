// Files that come in through `clm import`.
#include <fstream>

#include "clm/contact/v1/consent_service.grpc.pb.h"
#include "libs/testing/test_data.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

class ImportsTest : public TenantTest {
 protected:
  std::string File(const std::string& name, const std::string& content) const {
    return suite().Write(tenant() + "-" + name, content);
  }
  // `clm import KIND FILE`, with the refused rows: "read created updated unchanged failed".
  std::string Import(const std::string& kind, const std::string& file,
                     const std::vector<std::string>& flags = {}) {
    errors_ = suite().File(tenant() + "-errors.csv");
    std::vector<std::string> args = {"import", kind, file, "--errors", errors_};
    args.insert(args.end(), flags.begin(), flags.end());
    const json job = Json(args);
    const auto count = [&job](const char* key) { return job.value(key, "0"); };
    return absl::StrCat(count("read_count"), " ", count("created_count"), " ",
                        count("updated_count"), " ", count("unchanged_count"), " ",
                        count("failed_count"));
  }
  std::string Errors() const { return stack::ReadFile(errors_); }

 private:
  std::string errors_;
};

TEST_F(ImportsTest, ContactsOfACsvFile) {
  const std::string file = File("people.csv",
                                "E-Mail;First Name;Last Name;Shoe Size\n"
                                "ada@example.com;Ada;Lovelace;37\n"
                                "not-an-address;No;Body;0\n"
                                "grace@example.com;Grace;\"Hop;per\";38\n");
  EXPECT_EQ(Import("contacts", file, {"--source", "fair", "--dry-run"}), "3 0 0 0 1");
  EXPECT_EQ(Json({"contacts", "list"}).size(), 0u);
  EXPECT_EQ(Import("contacts", file, {"--source", "fair"}), "3 2 0 0 1");
  EXPECT_THAT(Errors(), HasSubstr("2,email,"));
  EXPECT_THAT(Errors(), Not(HasSubstr("\n3,")));
  EXPECT_EQ(Json({"contacts", "get", "grace@example.com"}).value("family_name", ""), "Hop;per");
  const std::string before = Clm({"contacts", "list", "-o", "json"}).out;
  EXPECT_EQ(Import("contacts", file, {"--source", "fair"}), "3 0 0 2 1");
  EXPECT_EQ(Clm({"contacts", "list", "-o", "json"}).out, before);
  EXPECT_EQ(Json({"import", "jobs"}).size(), 3u);
}

TEST_F(ImportsTest, ContactsOfAnNdjsonFile) {
  const std::string file =
      File("people.ndjson", R"({"email": "ada@example.com", "given_name": "Ada"})"
                            "\n"
                            R"({"email": "broken)"
                            "\n"
                            R"({"email": "grace@example.com", "given_name": 7})"
                            "\n"
                            R"({"email": "joan@example.com", "locale": "de_CH"})"
                            "\n");
  EXPECT_EQ(Import("contacts", file).substr(0, 4), "4 3 ") << Errors();
  EXPECT_THAT(Errors(), HasSubstr("\n2,"));
  EXPECT_EQ(Json({"contacts", "get", "joan@example.com"}).value("locale", ""), "de-CH");
  EXPECT_EQ(Import("contacts", file), "4 0 0 3 1");
}

TEST_F(ImportsTest, EventsOfCsvAndNdjsonFilesReachTheLifecycle) {
  Json({"models", "install", "non-contractual"});
  const std::string ada = NewContact("ada@example.com");
  const std::string csv = File("orders.csv",
                               "email,event,date,total,currency\n"
                               "ada@example.com,purchase,2024-01-05,12.50,EUR\n"
                               "ada@example.com,purchase,2024-01-05,12.50,EUR\n"
                               "ada@example.com,purchase,someday,1,EUR\n"
                               "ada@example.com,purchase,2024-01-06,1.999,EUR\n");
  EXPECT_EQ(Import("events", csv), "4 2 0 0 2");
  EXPECT_THAT(Errors(), HasSubstr("3,occur_time,"));
  EXPECT_THAT(Errors(), HasSubstr("4,amount,"));
  EXPECT_EQ(Import("events", csv), "4 0 0 2 2");
  EXPECT_EQ(Json({"events", "list", ada}).size(), 2u);

  const std::string ndjson = File(
      "orders.ndjson",
      R"({"email": "ada@example.com", "type": "purchase", "occur_time": "2024-02-01T10:00:00Z",)"
      R"( "amount": "5.00", "currency": "EUR", "properties.coupon": "SPRING"})"
      "\n");
  EXPECT_EQ(Import("events", ndjson).substr(0, 4), "1 1 ");
  EXPECT_EQ(Import("events", ndjson), "1 0 0 1 0");
  // Long ago and silent since: time has moved on as it would have done.
  EXPECT_TRUE(Reaches(ada, "lapsed"));
  std::vector<std::string> stages;
  for (const auto& move : Json({"stages", "history", ada})) {
    stages.push_back(move.value("to_stage", ""));
  }
  EXPECT_THAT(stages, ::testing::ElementsAre("first_purchase", "repeat", "at_risk", "lapsed"));
}

TEST_F(ImportsTest, AmountsWithoutACurrencyTakeTheOneOfTheImport) {
  NewContact("ada@example.com");
  const std::string file =
      File("orders.csv", "email,type,time,amount\nada@example.com,purchase,2024-01-05,12.50\n");
  EXPECT_EQ(Import("events", file), "1 0 0 0 1");
  EXPECT_THAT(Errors(), HasSubstr("currency"));
  EXPECT_EQ(Import("events", file, {"--currency", "CHF"}), "1 1 0 0 0");
  EXPECT_EQ(Json({"events", "list", "ada@example.com"})[0].value("currency", ""), "CHF");
  EXPECT_THAT(Clm({"import", "events", file, "--currency", "XXQ"}),
              FailedWith(kUsage, HasSubstr("currency")));
}

TEST_F(ImportsTest, AnActionColumnIsAboutTheTopicOfTheImport) {
  contact::v1::CreateTopicRequest topic;
  topic.set_parent(parent());
  topic.set_topic_id("news");
  topic.mutable_topic()->set_channel("email");
  topic.mutable_topic()->set_opt_in(contact::v1::Topic::OPT_IN_SINGLE);
  CLM_ASSERT_OK(api().Call(&contact::v1::ConsentService::Stub::CreateTopic, topic));
  const std::string file = File("list.csv",
                                "email,action\nada@example.com,subscribe\n"
                                "grace@example.com,unsubscribe\njoan@example.com,dance\n");
  EXPECT_EQ(Import("contacts", file), "3 0 0 0 3");
  EXPECT_THAT(Errors(), HasSubstr("action"));
  EXPECT_EQ(Import("contacts", file, {"--topic", "news"}), "3 2 0 0 1");
  EXPECT_THAT(Errors(), HasSubstr("3,action,"));
  const auto state = [this](const char* who) {
    const json context = Json({"contacts", "context", who, "--strong"});
    return context.contains("subscriptions") ? context["subscriptions"][0].value("state", "") : "";
  };
  EXPECT_EQ(state("ada@example.com"), "STATE_UNCONFIRMED");
  EXPECT_EQ(state("grace@example.com"), "STATE_UNSUBSCRIBED");
  EXPECT_EQ(Import("contacts", file, {"--topic", "news"}), "3 0 0 2 1");
}

TEST_F(ImportsTest, AFileThatCannotBeReadIsAClearError) {
  EXPECT_THAT(Clm({"import", "contacts", "no-such-file.csv"}),
              FailedWith(kUsage, HasSubstr("no-such-file.csv")));
  EXPECT_THAT(Clm({"import", "contacts", suite().data()}), FailedWith(kUsage, HasSubstr("FILE")));
  EXPECT_THAT(Clm({"import", "contacts", File("a.csv", "email\nx@example.com\n"), "--key", "shoe"}),
              FailedWith(kUsage, HasSubstr("key")));
  EXPECT_THAT(Clm({"import", "cdnow", File("b.txt", "one two three\n")}),
              FailedWith(kUsage, HasSubstr("line 1")));
  EXPECT_EQ(Json({"contacts", "list"}).size(), 0u);
}

TEST_F(ImportsTest, CdnowGivesItsPublishedCounts) {
  const std::string sample = clm::testing::TestDataFile("CDNOW_sample.txt");
  if (!std::ifstream(sample)) GTEST_SKIP() << "no CDNOW_sample.txt in CLM_TEST_DATA";
  json report = Json({"import", "cdnow", sample});
  if (report.is_array()) report = json(report.at(0));
  EXPECT_EQ(report.value("customers", 0), 2357) << report;
  EXPECT_EQ(report.value("purchases", 0), 6919) << report;
  EXPECT_EQ(report.value("new_customers", 0), 2357) << report;
  EXPECT_EQ(report.value("new_purchases", 0), 6919) << report;

  json again = Json({"import", "cdnow", sample});
  if (again.is_array()) again = json(again.at(0));
  EXPECT_EQ(again.value("new_customers", -1), 0) << again;
  EXPECT_EQ(again.value("new_purchases", -1), 0) << again;

  // Three monthly cohorts of first purchases, and every customer has a stage for a reason.
  const json cohorts = Json({"insights", "cohorts", "--start", "1997-01-01", "--end", "1997-04-01",
                             "--as-of", "1998-07-01"});
  std::vector<std::string> sizes;
  for (const auto& cohort : cohorts.at("cohorts")) sizes.push_back(cohort.value("size", ""));
  EXPECT_THAT(sizes, ::testing::ElementsAre("781", "857", "719")) << cohorts.dump().substr(0, 500);
  const json board = Json({"insights", "board", "non-contractual"});
  int64_t customers = 0;
  for (const auto& stage : board.at("stages")) customers += std::stoll(stage.value("count", "0"));
  EXPECT_EQ(customers, 2357) << board;
  EXPECT_THAT(Clm({"explain", "stage", "cdnow:00004"}).out, HasSubstr("first-purchase"));
  EXPECT_THAT(Clm({"insights", "recount"}).err, HasSubstr("0 differ"));
}

}  // namespace
}  // namespace clm::e2e
