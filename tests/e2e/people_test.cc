// People: made, merged, exported and erased, by the API and by the command line.
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using Contacts = contact::v1::ContactService::Stub;
using Timeline = contact::v1::TimelineService::Stub;

class PeopleTest : public TenantTest {
 protected:
  absl::StatusOr<contact::v1::Contact> Create(const std::string& email) const {
    contact::v1::CreateContactRequest request;
    request.set_parent(parent());
    request.mutable_contact()->set_email(email);
    return api().Call(&Contacts::CreateContact, request);
  }
  absl::StatusOr<contact::v1::Contact> Get(const std::string& name) const {
    contact::v1::GetContactRequest request;
    request.set_name(name);
    return api().Call(&Contacts::GetContact, request);
  }
};

TEST_F(PeopleTest, WhatTheApiMakesTheCommandLineShowsAndTheOtherWayRound) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto by_api, Create("ada@example.com"));
  EXPECT_EQ(Json({"contacts", "get", "ada@example.com"}).value("name", ""), by_api.name());

  const json by_hand = Json({"contacts", "create", "--email", "grace@example.com", "--given-name",
                             "Grace", "--phone", "+4930123456", "--external-id", "user_id=7"});
  CLM_ASSERT_OK_AND_ASSIGN(const auto grace, Get(by_hand.value("name", "")));
  EXPECT_EQ(grace.given_name(), "Grace");
  for (const char* way : {"grace@example.com", "+4930123456", "user_id:7"}) {
    EXPECT_EQ(Json({"contacts", "get", way}).value("name", ""), grace.name()) << way;
  }
  Json({"contacts", "update", "user_id:7", "--given-name", "Rear Admiral", "--clear", "phone"});
  CLM_ASSERT_OK_AND_ASSIGN(const auto changed, Get(grace.name()));
  EXPECT_EQ(changed.given_name(), "Rear Admiral");
  EXPECT_EQ(changed.phone(), "");

  EXPECT_EQ(Json({"contacts", "list"}).size(), 2u);
  const Answer csv =
      Clm({"contacts", "list", "--filter", "email = \"grace@*\"", "--limit", "0", "-o", "csv"});
  EXPECT_THAT(csv.out, HasSubstr("grace@example.com"));
  EXPECT_THAT(csv.out, Not(HasSubstr("ada@example.com")));
}

TEST_F(PeopleTest, TopicsConsentAndSuppressionsNeedNoProgram) {
  NewContact("ada@example.com");
  EXPECT_THAT(Clm({"topics", "create", "news", "--display-name", "The news"}), Succeeded());
  EXPECT_THAT(Clm({"topics", "create", "news"}), FailedWith(kConflict, HasSubstr("news")));
  EXPECT_THAT(Clm({"topics", "create", "odd", "--opt-in", "perhaps"}),
              FailedWith(kUsage, HasSubstr("--opt-in")));
  EXPECT_EQ(Json({"topics", "list"})[0].value("opt_in", ""), "OPT_IN_DOUBLE");

  const auto reach = [&] { return Json({"consent", "check", "ada@example.com", "news"}); };
  EXPECT_FALSE(reach().value("allowed", false));
  Json({"topics", "subscribe", "ada@example.com", "news", "--confirmed", "--source", "web-form"});
  EXPECT_TRUE(reach().value("allowed", false));
  EXPECT_THAT(Clm({"topics", "of", "ada@example.com"}).out, HasSubstr("confirmed"));
  Json({"suppressions", "add", "ada@example.com", "--reason", "complaint"});
  EXPECT_THAT(reach().value("reason", ""), HasSubstr("COMPLAINT"));
  EXPECT_THAT(Clm({"suppressions", "list"}).out, HasSubstr("ada@example.com"));
  EXPECT_THAT(Clm({"suppressions", "lift", "ada@example.com"}),
              FailedWith(kUsage, HasSubstr("--reason")));
  EXPECT_THAT(Clm({"suppressions", "lift", "ada@example.com", "--reason", "asked"}), Succeeded());
  EXPECT_TRUE(reach().value("allowed", false));
  Json({"topics", "unsubscribe", "ada@example.com", "news"});
  EXPECT_FALSE(reach().value("allowed", false));

  Json({"consent", "record", "ada@example.com", "marketing", "granted", "--legal-basis", "consent",
        "--source", "web-form", "--at", "2024-01-05"});
  Json({"consent", "record", "ada@example.com", "marketing", "revoked"});
  const json acts = Json({"consent", "history", "ada@example.com"});
  ASSERT_EQ(acts.size(), 2u);
  EXPECT_EQ(acts[0].value("state", ""), "STATE_REVOKED");
  EXPECT_THAT(Clm({"consent", "record", "ada@example.com", "marketing", "maybe"}),
              FailedWith(kUsage, HasSubstr("STATE")));

  // A topic made here is one that an import can name.
  const std::string file =
      suite().Write(tenant() + "-subscribers.csv", "email,action\ngrace@example.com,subscribe\n");
  EXPECT_THAT(Clm({"import", "contacts", file, "--topic", "news"}), Succeeded());
  EXPECT_THAT(Clm({"topics", "of", "grace@example.com"}).out, HasSubstr("news"));
}

TEST_F(PeopleTest, WhoIsThereTwiceAndWhatFindingPeopleCostCanBeListed) {
  NewContact("ada@example.com");
  NewContact("ada+news@example.com");
  EXPECT_TRUE(Eventually([this] { return Json({"contacts", "duplicates"}).size() == 1; }));
  EXPECT_THAT(Clm({"contacts", "duplicates"}).out, HasSubstr("similar email"));
  EXPECT_TRUE(Json({"contacts", "duplicates", "--min-score", "100"}).empty());

  Json({"costs", "add", "1200.50", "--currency", "EUR", "--source", "fair", "--start", "2024-03-01",
        "--end", "2024-03-31"});
  Json({"costs", "add", "15", "--currency", "JPY", "--contact", "ada@example.com", "--start",
        "2024-03-04"});
  const json costs = Json({"costs", "list"});
  ASSERT_EQ(costs.size(), 2u);
  EXPECT_EQ(costs[0].value("amount_minor", ""), "120050");
  EXPECT_EQ(costs[1].value("amount_minor", ""), "15");
  EXPECT_EQ(costs[1].value("end_date", ""), "2024-03-04");
  EXPECT_THAT(Clm({"costs", "list"}).out, HasSubstr("1,200.50 EUR"));
  EXPECT_THAT(Clm({"costs", "add", "1", "--currency", "EUR", "--start", "2024-03-04"}),
              FailedWith(kUsage, HasSubstr("source")));
}

TEST_F(PeopleTest, EventsOfTheApiAreOnTheTimeline) {
  const std::string ada = NewContact("ada@example.com");
  contact::v1::IngestEventsRequest request;
  request.set_parent(parent());
  auto* event = request.add_events();
  event->set_event_id("0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a");
  event->set_contact(ada);
  event->set_type("purchase");
  event->mutable_occur_time()->set_seconds(1'700'000'000);
  event->set_amount_minor(1250);
  event->set_currency("EUR");
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, api().Call(&Timeline::IngestEvents, request));
  EXPECT_FALSE(first.results(0).duplicate());
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, api().Call(&Timeline::IngestEvents, request));
  EXPECT_TRUE(again.results(0).duplicate());
  Ingest("purchase", "ada@example.com", "2024-02-03", "0.99");

  const Answer timeline = Clm({"events", "list", "ada@example.com", "-o", "csv"});
  EXPECT_THAT(timeline.out, HasSubstr("12.50"));
  EXPECT_THAT(timeline.out, HasSubstr("0.99"));
  EXPECT_EQ(Json({"events", "list", ada}).size(), 2u);
}

TEST_F(PeopleTest, AMergeIsFollowedByTheLifecycle) {
  Json({"models", "install", "non-contractual"});
  const std::string ada = NewContact("ada@example.com");
  const std::string countess = NewContact("countess@example.org");
  Ingest("purchase", "ada@example.com");
  Ingest("purchase", "countess@example.org");
  Reaches(ada, "first_purchase");
  Reaches(countess, "first_purchase");

  const Answer merged = Clm({"contacts", "merge", "ada@example.com", "countess@example.org"});
  EXPECT_THAT(merged, Succeeded());
  // Two purchases of one person are a repeat, told by either of the two ids.
  EXPECT_TRUE(Reaches(ada, "repeat"));
  EXPECT_EQ(Json({"contacts", "get", countess}).value("name", ""), ada);
  EXPECT_EQ(Json({"contacts", "get", "countess@example.org"}).value("name", ""), ada);
  EXPECT_EQ(Json({"events", "list", ada}).size(), 2u);
  EXPECT_EQ(StageOf(countess), "repeat");
  const json board = Json({"insights", "board", "non-contractual"});
  int64_t customers = 0;
  for (const auto& stage : board.at("stages")) {
    customers += std::stoll(stage.value("count", "0"));
  }
  EXPECT_EQ(customers, 1) << board;
}

TEST_F(PeopleTest, TheErasedStayErased) {
  Json({"models", "install", "non-contractual"});
  const std::string ada = NewContact("ada@example.com");
  Ingest("purchase", "ada@example.com");
  ASSERT_TRUE(Reaches(ada, "first_purchase"));

  const Answer held = Clm({"export", "contact", "ada@example.com"});
  ASSERT_THAT(held, Succeeded());
  EXPECT_THAT(held.out, HasSubstr("ada@example.com"));
  EXPECT_THAT(held.out, HasSubstr("purchase"));

  ASSERT_THAT(Clm({"contacts", "erase", "ada@example.com"}), Succeeded());
  CLM_ASSERT_OK_AND_ASSIGN(const auto gone, Get(ada));
  EXPECT_EQ(gone.status(), contact::v1::Contact::STATUS_ERASED);
  EXPECT_EQ(gone.email(), "");
  EXPECT_THAT(Clm({"contacts", "get", "ada@example.com"}), FailedWith(kNotFound, HasSubstr("")));
  EXPECT_EQ(Json({"contacts", "list"}).size(), 0u);

  EXPECT_THAT(Create("Ada@Example.com"), ReasonIs("ADDRESS_ERASED"));
  const std::string file =
      suite().Write(tenant() + ".csv", "email\nada@example.com\nb@example.com\n");
  const std::string errors = suite().File(tenant() + "-errors.csv");
  const json job = Json({"import", "contacts", file, "--errors", errors});
  EXPECT_EQ(job.value("created_count", "0"), "1") << job;
  EXPECT_EQ(job.value("failed_count", "0"), "1") << job;
  EXPECT_THAT(stack::ReadFile(errors), HasSubstr("1,email,"));
  // The log of moves stays; it names nobody.
  EXPECT_GE(Json({"stages", "history", ada}).size(), 1u);
}

TEST_F(PeopleTest, ABadRequestNamesEveryBadField) {
  contact::v1::CreateContactRequest request;
  request.set_parent(parent());
  request.mutable_contact()->set_email("not an address");
  request.mutable_contact()->set_locale("no_such_locale!");
  request.mutable_contact()->set_timezone("Moon/Tranquility");
  request.set_request_id("seven");
  const auto refused = api().Call(&Contacts::CreateContact, request);
  EXPECT_THAT(refused, StatusIs(StatusCode::kInvalidArgument));
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(refused.status())) {
    fields.push_back(field);
    EXPECT_THAT(what, Not(HasSubstr("Tranquility")));
  }
  EXPECT_THAT(fields,
              ::testing::IsSupersetOf({"contact.locale", "contact.timezone", "request_id"}));

  // What only the rules can tell is told all at once as well.
  request.clear_request_id();
  request.mutable_contact()->clear_locale();
  request.mutable_contact()->clear_timezone();
  request.mutable_contact()->set_phone("12");
  const auto rules = api().Call(&Contacts::CreateContact, request);
  fields.clear();
  for (const auto& [field, what] : error::FieldViolations(rules.status())) fields.push_back(field);
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("contact.email", "contact.phone"));
  EXPECT_EQ(Json({"contacts", "list"}).size(), 0u);
}

TEST_F(PeopleTest, TheCommandLineSaysWhatIsWrongAndHowToPutItRight) {
  NewContact("ada@example.com");
  EXPECT_THAT(Clm({"contacts", "create", "--email", "nobody"}),
              FailedWith(kUsage, HasSubstr("contact.email")));
  EXPECT_THAT(Clm({"contacts", "create", "--email", "ada@example.com"}),
              FailedWith(kConflict, HasSubstr("CONTACT_EXISTS")));
  EXPECT_THAT(Clm({"contacts", "get", "who@example.com"}),
              FailedWith(kNotFound, HasSubstr("hint")));
  EXPECT_THAT(Clm({"contacts", "get", "who"}), FailedWith(kUsage, HasSubstr("TYPE:VALUE")));
  EXPECT_THAT(Clm({"contacts", "list", "--filter", "emial = \"x\""}),
              FailedWith(kUsage, HasSubstr("emial")));
  EXPECT_THAT(Clm({"contacts", "list", "--filter", "email = "}),
              FailedWith(kUsage, HasSubstr("filter")));
  EXPECT_THAT(
      Clm({"contacts", "update", "ada@example.com", "--given-name", "A", "--etag", "\"v9\""}),
      FailedWith(kConflict, HasSubstr("get it again")));
  EXPECT_THAT(Clm({"contacts", "lst"}), FailedWith(kUsage, HasSubstr("did you mean 'list'?")));
  EXPECT_THAT(Clm({"contacts", "list", "--limti", "3"}),
              FailedWith(kUsage, HasSubstr("did you mean '--limit'?")));
  EXPECT_THAT(Clm({"contacts", "list", "-o", "pdf"}), FailedWith(kUsage, HasSubstr("--output")));
  EXPECT_THAT(Clm({"events", "ingest", "purchase", "ada@example.com", "--amount", "1.234",
                   "--currency", "EUR"}),
              FailedWith(kUsage, HasSubstr("--amount")));
  EXPECT_THAT(Clm({"events", "ingest", "purchase", "ada@example.com", "--at", "soon"}),
              FailedWith(kUsage, HasSubstr("--at")));
  EXPECT_EQ(Json({"events", "list", "ada@example.com"}).size(), 0u);

  // For programs the same as JSON.
  const Answer refused = Clm({"contacts", "create", "--email", "nobody", "-o", "json"});
  EXPECT_EQ(refused.code, kUsage);
  const json told = json::parse(refused.err, nullptr, false);
  ASSERT_TRUE(told.is_object()) << refused;
  EXPECT_EQ(told.at("error").at("fields").at(0).at("field"), "contact.email");
}

}  // namespace
}  // namespace clm::e2e
