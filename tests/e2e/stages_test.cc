// Stages: models, rules, moves by hand, and why a customer is where it is.
#include "absl/strings/str_split.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

using absl::StatusCode;
using clm::testing::StatusIs;
using ::testing::ElementsAre;
using Lifecycle = lifecycle::v1::LifecycleService::Stub;

class StagesTest : public TenantTest {
 protected:
  std::vector<std::string> Lines(const Answer& answer) const {
    EXPECT_THAT(answer, Succeeded());
    std::vector<std::string> lines = absl::StrSplit(answer.out, '\n', absl::SkipEmpty());
    return lines;
  }
  std::vector<std::string> Moves(const std::string& who) const {
    std::vector<std::string> stages;
    for (const auto& move : Json({"stages", "history", who})) {
      stages.push_back(move.value("to_stage", "-"));
    }
    return stages;
  }
};

TEST_F(StagesTest, EveryPresetInstalls) {
  const std::vector<std::string> presets = Lines(Clm({"models", "presets", "-o", "name"}));
  EXPECT_GT(presets.size(), 20u);
  for (const std::string& preset : presets) {
    EXPECT_THAT(Clm({"models", "install", preset}), Succeeded());
  }
  const std::vector<std::string> models = Lines(Clm({"models", "list", "-o", "name"}));
  EXPECT_THAT(models, ::testing::UnorderedElementsAreArray(presets));
  EXPECT_THAT(Clm({"models", "install", "hubspot-eight"}), FailedWith(kConflict, HasSubstr("")));
  EXPECT_THAT(Clm({"models", "install", "no-such"}), FailedWith(kNotFound, HasSubstr("no-such")));
  const Answer compared = Clm({"models", "compare", "hubspot-eight", "non-contractual"});
  EXPECT_THAT(compared.out, HasSubstr("Marketing Qualified Lead"));
  EXPECT_THAT(compared.out, HasSubstr("Won back"));
}

TEST_F(StagesTest, AnEventMovesItsCustomerAndTheReasonCanBeRead) {
  Json({"models", "install", "non-contractual"});
  const std::string ada = NewContact("ada@example.com");
  EXPECT_EQ(StageOf(ada), "");
  Ingest("purchase", "ada@example.com", "now", "12.50");
  ASSERT_TRUE(Reaches(ada, "first_purchase"));

  const Answer why = Clm({"explain", "stage", "ada@example.com"});
  EXPECT_THAT(why, Succeeded());
  EXPECT_THAT(why.out, HasSubstr("is in first_purchase of non-contractual"));
  EXPECT_THAT(why.out, HasSubstr("by the rule first-purchase"));
  EXPECT_THAT(why.out, HasSubstr("1250 minor units of EUR"));
  const json steps = Json({"explain", "stage", "ada@example.com"}).at("steps");
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].at("transition").value("rule", ""), "first-purchase");

  // Of a silence, the event that it is counted from.
  NewContact("bob@example.com");
  Ingest("purchase", "bob@example.com", "100d");
  ASSERT_TRUE(Reaches("bob@example.com", "at_risk"));
  EXPECT_THAT(Clm({"explain", "stage", "bob@example.com"}).out,
              HasSubstr("counted from \"purchase\" of"));

  // The same by the API, and in what a frontend reads.
  lifecycle::v1::GetCustomerStagesRequest request;
  request.set_contact(ada);
  CLM_ASSERT_OK_AND_ASSIGN(const auto stages, api().Call(&Lifecycle::GetCustomerStages, request));
  ASSERT_EQ(stages.stages_size(), 1);
  EXPECT_EQ(stages.stages(0).stage(), "first_purchase");
  EXPECT_TRUE(Eventually([&] {
    const json context = Json({"contacts", "context", ada});
    return context.contains("stages") &&
           context["stages"][0].value("stage", "") == "first_purchase";
  }));
  EXPECT_EQ(
      Lines(Clm({"stages", "list", "non-contractual", "first_purchase", "-o", "name"})).size(), 1u);
}

TEST_F(StagesTest, ParkedEventsAreShownReplayedAndGivenUp) {
  const std::string ada = NewContact("ada@example.com");
  const auto letters = [&](const std::string& command) {
    return Clm({"events", "dead-letters", command, "ada@example.com"});
  };
  EXPECT_THAT(Clm({"events", "dead-letters", "list"}).out, HasSubstr("no event is parked"));
  EXPECT_THAT(letters("replay"), FailedWith(kNotFound, HasSubstr("no event of it is parked")));
  // One that cannot be read, and one of a type that changes nothing.
  for (const char* row : {"1, '\\xff', 'EVENT_UNREADABLE', 'unreadable', false",
                          "2, '', 'WAITING', 'an earlier event is parked', true"}) {
    const std::string insert = absl::StrCat(
        "INSERT INTO dead_letter (tenant_id, source, shard, event_id, subject, attempts, "
        "park_time, "
        "off, event, error_reason, error_message, waiting) VALUES ('",
        tenant(), "', 'contact', 0, gen_random_uuid(), '", ada, "', 1, now(), ", row, ")");
    ASSERT_THAT(suite().Clm({"psql", "lifecycle", "--", "-Atc", insert}), Succeeded());
  }
  const json listed = Json({"events", "dead-letters", "list"});
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].value("error_reason", ""), "EVENT_UNREADABLE");
  EXPECT_THAT(letters("show").out, HasSubstr("unreadable"));
  EXPECT_EQ(letters("replay").code, 1);
  EXPECT_THAT(letters("skip"), FailedWith(kUsage, HasSubstr("--reason")));
  const std::vector<std::string> skip = {
      "events",   "dead-letters",        "skip",         ada,
      "--reason", "the sender was told", "--request-id", "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a"};
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Json(skip).value("skipped_count", 0), 1);
  EXPECT_EQ(Json({"events", "dead-letters", "list"}).size(), 1u);
  EXPECT_EQ(Json({"events", "dead-letters", "replay", ada}).value("applied_count", 0), 1);
  EXPECT_EQ(Json({"events", "dead-letters", "list"}).size(), 0u);
}

TEST_F(StagesTest, ARuleDoesWhatItsDryRunShowed) {
  Json({"models", "install", "non-contractual"});
  for (const char* who : {"a", "b", "c"}) {
    const std::string email = absl::StrCat(who, "@example.com");
    NewContact(email);
    Ingest("purchase", email, *who == 'c' ? "1d" : "3d");
    ASSERT_TRUE(Reaches(email, "first_purchase"));
  }
  const std::vector<std::string> rule = {"--to", "at_risk",  "--from-stage", "first_purchase",
                                         "--on", "purchase", "--silence",    "48h"};
  std::vector<std::string> words = {"rules", "create", "non-contractual", "impatient"};
  words.insert(words.end(), rule.begin(), rule.end());
  EXPECT_FALSE(Json(words).value("enabled", false));

  const json dry = Json({"rules", "dry-run", "non-contractual", "impatient"});
  EXPECT_EQ(dry.value("customer_count", "0"), "3") << dry;
  EXPECT_EQ(dry.value("changed_now_count", "0"), "2") << dry;
  EXPECT_EQ(dry.at("stage_counts_with_rule").value("at_risk", "0"), "2") << dry;
  EXPECT_EQ(StageOf("a@example.com"), "first_purchase");
  const Answer table = Clm({"rules", "dry-run", "non-contractual", "impatient"});
  EXPECT_THAT(table.err, HasSubstr("2 would be in another stage now"));

  Json({"rules", "enable", "non-contractual", "impatient", "--include-history"});
  EXPECT_TRUE(Reaches("a@example.com", "at_risk"));
  EXPECT_TRUE(Reaches("b@example.com", "at_risk"));
  EXPECT_EQ(StageOf("c@example.com"), "first_purchase");
  EXPECT_THAT(Clm({"explain", "stage", "a@example.com"}).out, HasSubstr("impatient"));
  EXPECT_THAT(Clm({"rules", "delete", "non-contractual", "impatient"}),
              FailedWith(kConflict, HasSubstr("")));
  Json({"rules", "disable", "non-contractual", "impatient"});
  Json({"rules", "delete", "non-contractual", "impatient"});
  EXPECT_EQ(StageOf("a@example.com"), "at_risk");

  // A rule that counts shows what it counted.
  Json({"rules", "create", "non-contractual", "busy", "--to", "won_back", "--on", "login",
        "--count", "2", "--from-stage", "at_risk"});
  Json({"rules", "enable", "non-contractual", "busy"});
  Ingest("login", "a@example.com");
  Ingest("login", "a@example.com");
  ASSERT_TRUE(Reaches("a@example.com", "won_back"));
  const json steps = Json({"explain", "stage", "a@example.com"}).at("steps");
  EXPECT_EQ(steps.back().value("evidence_count", ""), "2") << steps;
  EXPECT_THAT(Clm({"explain", "stage", "a@example.com"}).out, HasSubstr("satisfied by 2 events"));

  EXPECT_THAT(Clm({"rules", "create", "non-contractual", "odd", "--to", "nowhere", "--on", "x"}),
              FailedWith(kUsage, HasSubstr("to_stage")));
  EXPECT_THAT(Clm({"rules", "create", "non-contractual", "odd", "--to", "repeat", "--on", "x",
                   "--condition", "contact.emial = 1"}),
              FailedWith(kUsage, HasSubstr("condition")));
}

TEST_F(StagesTest, MovesByHandKeepTheRulesOfTheModel) {
  Json({"models", "install", "hubspot-eight"});
  Json({"models", "install", "s002-15-conclusion"});
  const std::string ada = NewContact("ada@example.com");
  const auto move = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"stages", "move", "ada@example.com"});
    return Clm(more);
  };
  EXPECT_THAT(move({"lead", "--model", "hubspot-eight", "--reason", "met at the fair"}),
              Succeeded());
  EXPECT_THAT(move({"customer", "--model", "hubspot-eight"}), Succeeded());
  EXPECT_THAT(move({"lead", "--model", "hubspot-eight"}), FailedWith(kConflict, HasSubstr("")));
  EXPECT_THAT(move({"lead", "--model", "hubspot-eight", "--allow-regress"}),
              FailedWith(kUsage, HasSubstr("reason")));
  EXPECT_THAT(move({"lead", "--model", "hubspot-eight", "--allow-regress", "--reason", "refund"}),
              Succeeded());
  EXPECT_THAT(move({"chieftain", "--model", "hubspot-eight"}),
              FailedWith(kUsage, HasSubstr("to_stage")));
  EXPECT_THAT(move({"lead", "--model", "no-such"}), FailedWith(kNotFound, HasSubstr("no-such")));
  EXPECT_THAT(Moves(ada), ElementsAre("lead", "customer", "lead"));
  EXPECT_THAT(Clm({"stages", "history", ada, "-o", "csv"}).out, HasSubstr("request_id"));
  EXPECT_THAT(Clm({"explain", "stage", ada, "--model", "hubspot-eight"}).out,
              HasSubstr("met at the fair"));

  EXPECT_THAT(Clm({"stages", "clear", ada, "--model", "hubspot-eight", "--reason", "test account"}),
              Succeeded());
  EXPECT_EQ(StageOf(ada), "");
  EXPECT_EQ(Moves(ada).size(), 4u);

  // Out of a terminal stage leads the one way, into a new episode.
  EXPECT_THAT(move({"retirement", "--model", "s002-15-conclusion"}), Succeeded());
  const json model = Json({"models", "get", "s002-15-conclusion"});
  const std::string first = model.at("stages").at(0).value("id", "");
  EXPECT_THAT(move({first, "--model", "s002-15-conclusion", "--allow-regress", "--reason", "x"}),
              FailedWith(kConflict, HasSubstr("")));
  const json back = Json({"stages", "reactivate", ada, first, "--model", "s002-15-conclusion",
                          "--reason", "came back"});
  EXPECT_EQ(back.value("stage", ""), first);
  EXPECT_EQ(back.value("episode", 0), 2);

  lifecycle::v1::MoveCustomerRequest request;
  request.set_contact(ada);
  request.set_model("models/shoe");
  request.set_request_id("seven");
  const auto refused = api().Call(&Lifecycle::MoveCustomer, request);
  EXPECT_THAT(refused, StatusIs(StatusCode::kInvalidArgument));
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(refused.status())) {
    fields.push_back(field);
  }
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("model", "to_stage", "request_id"));
}

TEST_F(StagesTest, AModelOfOnesOwnIsPublishedInVersions) {
  Json({"models", "install", "hubspot-eight", "--as", "sales"});
  const std::string ada = NewContact("ada@example.com");
  ASSERT_THAT(Clm({"stages", "move", ada, "lead", "--model", "sales"}), Succeeded());
  json model = Json({"models", "get", "sales"});
  json stages = json::array();
  for (const auto& stage : model.at("stages")) {
    if (stage.value("id", "") != "lead") stages.push_back(stage);
  }
  model["stages"] = stages;
  const std::string file = suite().Write(tenant() + "-model.json", model.dump());
  // Customers of a stage that goes are put somewhere, or nothing happens.
  EXPECT_THAT(Clm({"models", "publish", "--from", file}), Not(Succeeded()));
  EXPECT_THAT(
      Clm({"models", "publish", "--from", file, "--map", "lead=subscriber", "--dry-run"}).err,
      HasSubstr("would move 1 customers out of lead"));
  EXPECT_EQ(StageOf(ada), "lead");
  EXPECT_THAT(Clm({"models", "publish", "--from", file, "--map", "lead=subscriber"}), Succeeded());
  EXPECT_TRUE(Reaches(ada, "subscriber"));
  EXPECT_EQ(Json({"models", "get", "sales"}).value("version", 0), 2);
  EXPECT_EQ(Json({"models", "get", "sales", "--version", "1"}).value("version", 0), 1);
}

}  // namespace
}  // namespace clm::e2e
