#include <functional>
#include <map>
#include <set>

#include "clm/contact/v1/contact_event.pb.h"
#include "clm/event/v1/event_feed_service.grpc.pb.h"
#include "libs/base/status_macros.h"
#include "libs/journal/feed.h"
#include "libs/journal/payload.h"
#include "libs/pg/admin.h"
#include "libs/testing/at_once.h"
#include "services/contact/contact_context.h"
#include "services/contact/contact_fixture.h"
#include "services/contact/contact_reader.h"

namespace clm::contact {
namespace {

using absl::StatusCode;
using clm::testing::IsOk;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kEventId[] = "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a";

class TimelineTest : public ContactTest {
 protected:
  static v1::BehaviorEvent Purchase(const std::string& event_id = "") {
    v1::BehaviorEvent event;
    event.set_event_id(event_id);
    event.set_type("purchase");
    event.mutable_occur_time()->set_seconds(1'770'000'000);
    event.set_amount_minor(1250);
    event.set_currency("EUR");
    return event;
  }
  static v1::BehaviorEvent By(v1::BehaviorEvent event,
                              const std::map<std::string, std::string>& identifiers) {
    for (const auto& [type, value] : identifiers) (*event.mutable_identifiers())[type] = value;
    return event;
  }
  static v1::IngestEventsRequest Batch(std::vector<v1::BehaviorEvent> events) {
    v1::IngestEventsRequest request;
    request.set_parent(kAcme);
    request.set_create_contacts(true);
    for (auto& event : events) *request.add_events() = std::move(event);
    return request;
  }
  absl::StatusOr<v1::IngestEventsResponse> Ingest(std::vector<v1::BehaviorEvent> events) {
    return Call(*main_.timeline, &Timeline::IngestEvents, Batch(std::move(events)));
  }
  // All pages of them. `see` is given the token of each page that follows, and the empty one.
  std::vector<v1::IdentityViolation> Violations(
      int page_size, const std::function<void(const std::string&)>& see = nullptr) {
    v1::ListIdentityViolationsRequest list;
    list.set_parent(kAcme);
    list.set_page_size(page_size);
    std::vector<v1::IdentityViolation> all;
    do {
      const auto page = Call(*main_.timeline, &Timeline::ListIdentityViolations, list);
      EXPECT_THAT(page, IsOk());
      if (!page.ok()) return all;
      all.insert(all.end(), page->violations().begin(), page->violations().end());
      list.set_page_token(page->next_page_token());
      if (see) see(list.page_token());
    } while (!list.page_token().empty());
    return all;
  }
  // What the journal tells of a contact's behaviour.
  std::vector<v1::BehaviorEvent> Told(const v1::Contact& contact) {
    std::vector<v1::BehaviorEvent> events;
    journal::Heads heads;
    const auto pool = pg::NewPool({.dsn = database_.app_dsn});
    journal::Feed feed({.pool = pool.get(), .heads = &heads, .max_bytes = 8 << 20});
    const EntityKey key = *ParseEntityName("contact", kContacts, contact.name());
    const auto read = feed.Read({{ShardOf(key.tenant, key.id), 0}}, 100);
    CLM_EXPECT_OK(read);
    if (!read.ok()) return events;
    for (const auto& record : read->shards(0).records()) {
      event::v1::Event event;
      v1::BehaviorRecorded recorded;
      EXPECT_TRUE(event.ParseFromString(record.event()));
      if (event.type() != v1::BehaviorRecorded::descriptor()->full_name()) continue;
      EXPECT_EQ(event.subject(), contact.name());
      EXPECT_TRUE(recorded.ParseFromString(event.payload()));
      EXPECT_EQ(recorded.contact(), contact.name());
      events.insert(events.end(), recorded.events().begin(), recorded.events().end());
    }
    return events;
  }

  // A contact with one external id.
  v1::Contact Known(const std::string& type, const std::string& id) {
    v1::CreateContactRequest request = NewContact("");
    (*request.mutable_contact()->mutable_external_ids())[type] = id;
    const auto contact = Call(*main_.contacts, &Contacts::CreateContact, request);
    CLM_EXPECT_OK(contact);
    return contact.ok() ? *contact : v1::Contact();
  }
  static std::string IdOf(const v1::Contact& contact) {
    return contact.name().substr(contact.name().rfind('/') + 1);
  }
  // `sql` is committed with the first merge, as if somebody else had done it between looking up and
  // locking.
  void AtTheFirstMerge(const std::string& sql) {
    CLM_ASSERT_OK(pg::AdminExec(
        database_.admin_dsn,
        absl::StrCat("CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN "
                     "IF (SELECT count(*) FROM merge) = 1 THEN ",
                     sql,
                     "; END IF; RETURN NULL; END $f$; CREATE TRIGGER meddle AFTER INSERT ON merge "
                     "FOR EACH ROW EXECUTE FUNCTION meddle()")));
  }
  // What gives a contact five ids of a shop, which is as many as anybody may have.
  static std::string FiveShops(const v1::Contact& contact) {
    return absl::StrCat("INSERT INTO contact_identifier SELECT 'acme', 'shop', 'shop ' || n, '",
                        IdOf(contact), "', now() FROM generate_series(1, 5) AS n");
  }
  int64_t Identifiers(const std::string& contact_id, const std::string& type) {
    return Count(absl::StrCat("SELECT count(*) FROM contact_identifier WHERE contact_id = '",
                              contact_id, "' AND type LIKE '", type, "'"));
  }
};

TEST_F(TimelineTest, TheSameEventTwiceIsOneEvent) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact contact, Create("ada@example.com"));
  auto event = Purchase(kEventId);
  event.set_contact(contact.name());
  // Once more within the request, and once more after it.
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Ingest({event, event}));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Ingest({event}));
  ASSERT_EQ(first.results_size(), 2);
  EXPECT_EQ(first.results(0).status().code(), 0) << first.DebugString();
  EXPECT_FALSE(first.results(0).duplicate());
  EXPECT_TRUE(first.results(1).duplicate());
  EXPECT_TRUE(again.results(0).duplicate());
  EXPECT_EQ(again.results(0).contact(), contact.name());
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type LIKE '%BehaviorRecorded'"), 1);
}

TEST_F(TimelineTest, TwinsOfAStrangersEventAtTwoServersMakeOneContactAndOneEvent) {
  ContactServer other(database_);
  const auto request = Batch({By(Purchase(kEventId), {{"email", "ada@example.com"}})});
  constexpr int kTwins = 32;
  std::vector<absl::StatusOr<v1::IngestEventsResponse>> answers(kTwins);
  clm::testing::AtOnce(kTwins, [&](int i) {
    auto& server = i % 2 == 0 ? main_ : other;
    answers[i] = Call(*server.timeline, &Timeline::IngestEvents, request);
  });
  int fresh = 0;
  std::set<std::string> contacts;
  for (const auto& answer : answers) {
    CLM_ASSERT_OK(answer);
    ASSERT_EQ(answer->results(0).status().code(), 0) << answer->DebugString();
    fresh += answer->results(0).duplicate() ? 0 : 1;
    contacts.insert(answer->results(0).contact());
  }
  EXPECT_EQ(fresh, 1);
  EXPECT_EQ(contacts.size(), 1u);
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 1);
}

TEST_F(TimelineTest, WhatIsTooMuchForOneRecordOfTheJournalIsSeveral) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact contact, Create("ada@example.com"));
  std::vector<v1::BehaviorEvent> events;
  for (int i = 0; i < 900; ++i) {
    auto event = Purchase();
    event.set_contact(contact.name());
    (*event.mutable_properties())["note"].set_string_value(std::string(4000, 'x'));
    events.push_back(std::move(event));
  }
  CLM_ASSERT_OK_AND_ASSIGN(const auto response, Ingest(std::move(events)));
  for (const auto& result : response.results()) ASSERT_EQ(result.status().code(), 0);
  constexpr char kRecords[] = " FROM journal WHERE type LIKE '%BehaviorRecorded'";
  EXPECT_EQ(Count(absl::StrCat("SELECT count(*)", kRecords)), 4);
  EXPECT_LE(Count(absl::StrCat("SELECT max(octet_length(event))", kRecords)),
            journal::kMaxPayload + 1024);
  std::set<std::string> ids;
  for (const auto& event : Told(contact)) ids.insert(event.event_id());
  EXPECT_EQ(ids.size(), 900u);
}

TEST_F(TimelineTest, AnEventThatShowsTwoProfilesToBeOnePersonMergesThem) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto apart,
                           Ingest({By(Purchase(), {{"email", "ada@example.com"}}),
                                   By(Purchase(), {{"anonymous_id", "browser-77"}})}));
  EXPECT_NE(apart.results(0).contact(), apart.results(1).contact());
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto joined,
      Ingest({By(Purchase(), {{"email", "ada@example.com"}, {"anonymous_id", "browser-77"}})}));
  ASSERT_EQ(joined.results(0).status().code(), 0) << joined.DebugString();
  CLM_ASSERT_OK_AND_ASSIGN(const auto left, Get(apart.results(0).contact()));
  CLM_ASSERT_OK_AND_ASSIGN(const auto right, Get(apart.results(1).contact()));
  EXPECT_EQ(left.name(), right.name());
  EXPECT_EQ(left.email(), "ada@example.com");
  v1::ListEventsRequest list;
  list.set_parent(left.name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto events, Call(*main_.timeline, &Timeline::ListEvents, list));
  EXPECT_EQ(events.events_size(), 3);
}

TEST_F(TimelineTest, EventsOfABatchAreResolvedOneAfterTheOther) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact ada, Create("ada@example.com"));
  // The first ties the browser to Ada; the second knows her by it.
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"email", "ada@example.com"}, {"anonymous_id", "browser-77"}}),
              By(Purchase(), {{"anonymous_id", "browser-77"}})}));
  for (const auto& result : response.results()) {
    EXPECT_EQ(result.contact(), ada.name()) << result.DebugString();
  }
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 2);
}

TEST_F(TimelineTest, StrangersOfABatchWhomALaterEventJoinsAreOneContact) {
  auto early = Purchase();
  early.mutable_occur_time()->set_seconds(1'760'000'000);
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"anonymous_id", "browser-77"}}),
              By(early, {{"email", "ada@example.com"}}),
              By(Purchase(), {{"email", "ada@example.com"}, {"anonymous_id", "browser-77"}})}));
  std::set<std::string> names;
  for (const auto& result : response.results()) {
    EXPECT_EQ(result.status().code(), 0) << result.DebugString();
    names.insert(result.contact());
  }
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier"), 2);
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 3);
  CLM_ASSERT_OK_AND_ASSIGN(const auto contact, Get(*names.begin()));
  EXPECT_EQ(contact.create_time().seconds(), 1'760'000'000);
}

TEST_F(TimelineTest, WhoeverJoinedABatchIsKnownToItsLaterEventsByAllTheyHave) {
  auto early = By(Purchase(), {{"email", "ada@example.com"}});
  early.mutable_occur_time()->set_seconds(1'760'000'000);
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"anonymous_id", "browser-77"}, {"shop", "7"}}), early,
              By(Purchase(), {{"email", "ada@example.com"}, {"anonymous_id", "browser-77"}}),
              By(Purchase(), {{"shop", "7"}})}));
  for (const auto& result : response.results()) {
    EXPECT_EQ(result.contact(), response.results(0).contact()) << result.DebugString();
  }
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 4);
}

TEST_F(TimelineTest, WhoeverIsSomebodyElseAfterAllTriesHoldsUpNobodyElse) {
  const v1::Contact lost = Known("shop", "7");
  // Merged into a contact that is not there: never to be resolved.
  CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn,
                              absl::StrCat("UPDATE contact SET merged_into = '", kEventId, "'")));
  auto event = Purchase();
  event.set_contact(lost.name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                           Ingest({event, By(Purchase(), {{"email", "ada@example.com"}})}));
  EXPECT_EQ(response.results(0).status().code(), static_cast<int>(StatusCode::kAborted));
  EXPECT_THAT(response.results(0).status().DebugString(), HasSubstr("CONTACT_MOVED"));
  EXPECT_EQ(response.results(1).status().code(), 0) << response.DebugString();
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 1);
}

TEST_F(TimelineTest, AnEventThatJoinsAStrangerOfItsBatchWithSomebodyKnownLeavesTheKnown) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact ada, Create("ada@example.com"));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact work, Create("ada@work.example.com"));
  // A stranger, then two known ones with something new, and last all of them at once.
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"anonymous_id", "browser-77"}}),
              By(Purchase(), {{"email", "ada@work.example.com"}, {"shop", "7"}}),
              By(Purchase(), {{"email", "ada@example.com"}, {"crm", "7"}}),
              By(Purchase(), {{"anonymous_id", "browser-77"}, {"shop", "7"}, {"crm", "7"}})}));
  for (const auto& result : response.results()) {
    EXPECT_EQ(result.contact(), ada.name()) << result.DebugString();
  }
  CLM_ASSERT_OK_AND_ASSIGN(const auto merged, Get(work.name()));
  EXPECT_EQ(merged.name(), ada.name());
  EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM contact_identifier WHERE contact_id = '",
                               ada.name().substr(ada.name().rfind('/') + 1), "'")),
            5);
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 2);
}

TEST_F(TimelineTest, WhatAnotherProcessDoesToSomebodyKnownIsHeardByTheNextEvent) {
  const v1::Contact ada = Known("crm", "1");
  const v1::Contact shopper = Known("shop", "2");
  const v1::Contact leaver = Known("shop", "3");
  const auto visit = [&](const v1::Contact& contact) {
    auto event = Purchase();
    event.set_contact(contact.name());
    auto response = Ingest({event});
    CLM_EXPECT_OK(response);
    return response.ok() ? response->results(0) : v1::IngestEventsResponse::Result();
  };
  // Looked up, and from then on known.
  for (int i = 0; i < 2; ++i) {
    for (const auto& contact : {ada, shopper, leaver}) {
      EXPECT_EQ(visit(contact).contact(), contact.name());
    }
  }
  ContactServer other(database_);
  // First: after a merge nobody of the tenant is known.
  v1::EraseContactRequest erase;
  erase.set_name(leaver.name());
  CLM_ASSERT_OK(Call(*other.contacts, &Contacts::EraseContact, erase));
  EXPECT_THAT(visit(leaver).status().DebugString(), HasSubstr("CONTACT_ERASED"));
  v1::MergeContactsRequest merge;
  merge.set_primary(ada.name());
  merge.set_duplicate(shopper.name());
  CLM_ASSERT_OK(Call(*other.contacts, &Contacts::MergeContacts, merge));
  EXPECT_EQ(visit(shopper).contact(), ada.name());
  EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM event WHERE contact_id = '", IdOf(ada), "'")),
            5);
}

TEST_F(TimelineTest, WhatAnEventTellsIsKeptThoughSomebodyElseMergesItsPeopleMeanwhile) {
  const v1::Contact ada = Known("crm", "1");
  const v1::Contact browser = Known("browser", "2");
  const v1::Contact shopper = Known("shop", "3");
  AtTheFirstMerge(absl::StrCat("UPDATE contact SET merged_into = '", IdOf(ada),
                               "', external_ids = '{}' WHERE id = '", IdOf(shopper),
                               "'; INSERT INTO contact_alias VALUES ('acme', '", IdOf(ada), "', '",
                               IdOf(shopper), "'); UPDATE contact_identifier SET contact_id = '",
                               IdOf(ada), "' WHERE contact_id = '", IdOf(shopper), "'"));
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"crm", "1"}, {"browser", "2"}, {"shop", "3"}, {"app", "4"}})}));
  EXPECT_EQ(response.results(0).contact(), ada.name()) << response.DebugString();
  EXPECT_EQ(Identifiers(IdOf(ada), "%"), 4);
}

TEST_F(TimelineTest, AnEventGoesToWhomeverItNamesThoughAnotherIsErasedMeanwhile) {
  const v1::Contact ada = Known("crm", "1");
  const v1::Contact browser = Known("browser", "2");
  const v1::Contact shopper = Known("shop", "3");
  AtTheFirstMerge(absl::StrCat("UPDATE contact SET status = 4, external_ids = '{}' WHERE id = '",
                               IdOf(ada), "'; DELETE FROM contact_identifier WHERE contact_id = '",
                               IdOf(ada), "'"));
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"crm", "1"}, {"browser", "2"}, {"shop", "3"}, {"app", "4"}})}));
  EXPECT_EQ(response.results(0).status().code(), 0) << response.DebugString();
  EXPECT_EQ(response.results(0).contact(), shopper.name());
  EXPECT_EQ(Identifiers(IdOf(shopper), "app"), 1);
}

TEST_F(TimelineTest, WhatAnEventTellsOfItsContactShowsInTheRecordWhereThereIsRoom) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Ingest({By(Purchase(), {{"shop", "7"}})}));
  CLM_ASSERT_OK(Ingest({By(Purchase(), {{"shop", "7"}, {"email", "ada@example.com"}})}));
  CLM_ASSERT_OK(Ingest({By(Purchase(), {{"shop", "7"}, {"email", "ada@work.example.com"}}),
                        By(Purchase(), {{"shop", "7"}, {"crm", "9"}})}));
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Get(first.results(0).contact()));
  EXPECT_EQ(ada.email(), "ada@example.com");
  EXPECT_EQ(ada.external_ids().at("shop"), "7");
  EXPECT_EQ(ada.external_ids().at("crm"), "9");
  // The second address has no room in the record, and is hers all the same.
  v1::LookupContactRequest lookup;
  lookup.set_parent(kAcme);
  lookup.set_type("email");
  lookup.set_value("ada@work.example.com");
  CLM_ASSERT_OK_AND_ASSIGN(const auto found,
                           Call(*main_.contacts, &Contacts::LookupContact, lookup));
  EXPECT_EQ(found.name(), ada.name());
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier"), 4);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type LIKE '%ContactChanged'"), 3);
}

TEST_F(TimelineTest, ARecordThatIsFullOfIdsShowsNoMoreOfThem) {
  v1::CreateContactRequest request = NewContact("ada@example.com");
  auto& ids = *request.mutable_contact()->mutable_external_ids();
  for (size_t i = 0; i < kMaxExternalIds; ++i) ids[absl::StrCat("shop", i)] = "7";
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada,
                           Call(*main_.contacts, &Contacts::CreateContact, request));
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"email", "ada@example.com"}, {"one-more", "7"}})}));
  EXPECT_EQ(response.results(0).contact(), ada.name()) << response.DebugString();
  CLM_ASSERT_OK_AND_ASSIGN(const auto stored, Get(ada.name()));
  EXPECT_EQ(stored.external_ids_size(), static_cast<int>(kMaxExternalIds));
  // It is hers all the same.
  EXPECT_EQ(Identifiers(IdOf(ada), "one-more"), 1);
}

TEST_F(TimelineTest, APersonHasOneUserIdAlsoWithinABatch) {
  CLM_ASSERT_OK(Create("ada@example.com"));
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"email", "ada@example.com"}, {"user_id", "ada"}}),
              By(Purchase(), {{"email", "ada@example.com"}, {"user_id", "bob"}})}));
  EXPECT_EQ(response.results(0).status().code(), 0) << response.DebugString();
  EXPECT_EQ(response.results(1).status().code(), 0) << response.DebugString();
  EXPECT_NE(response.results(0).contact(), response.results(1).contact());
  EXPECT_EQ(Count("SELECT max(n) FROM (SELECT count(*) AS n FROM contact_identifier "
                  "WHERE type = 'user_id' GROUP BY contact_id) AS t"),
            1);
}

// The stranger of the first event was to become Ada, who has got enough shops meanwhile.
TEST_F(TimelineTest, ALimitHoldsForWhatAStrangerOfTheBatchWouldBringAlong) {
  const v1::Contact ada = Known("app", "1");
  Known("browser", "2");
  AtTheFirstMerge(FiveShops(ada));
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"shop", "one too many"}}),
              By(Purchase(), {{"app", "1"}, {"browser", "2"}, {"shop", "one too many"}})}));
  EXPECT_EQ(response.results(0).status().code(), 0) << response.DebugString();
  EXPECT_NE(response.results(0).contact(), ada.name());
  EXPECT_EQ(response.results(1).contact(), ada.name()) << response.DebugString();
  EXPECT_EQ(Identifiers(IdOf(ada), "shop"), 5);
}

TEST_F(TimelineTest, WhyAnIdentifierWasNotUsedIsListedUntilItsOwnerIsErased) {
  CLM_ASSERT_OK(Ingest({By(Purchase(), {{"email", "ada@example.com"}, {"user_id", "ada"}})}));
  // Bob at Ada's address, twice, and a program that knows nobody.
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto bob, Ingest({By(Purchase(), {{"email", "ada@example.com"}, {"user_id", "bob"}}),
                              By(Purchase(), {{"email", "ada@example.com"}, {"user_id", "bob"}}),
                              By(Purchase(), {{"phone", "000"}, {"user_id", "bob"}})}));
  const std::vector<v1::IdentityViolation> all = Violations(1);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].kind(), v1::IdentityViolation::KIND_BLOCKED_VALUE);
  EXPECT_EQ(all[0].value(), "000");
  EXPECT_EQ(all[1].kind(), v1::IdentityViolation::KIND_LIMIT);
  EXPECT_EQ(all[1].contact(), bob.results(0).contact());
  EXPECT_EQ(all[1].event_id(), bob.results(1).event_id());
  EXPECT_EQ(all[1].value(), "ada@example.com");
  EXPECT_EQ(all[1].limit_type(), "user_id");
  EXPECT_EQ(all[1].event_count(), 2);
  ASSERT_GE(all[1].profiles_size(), 1);
  v1::ExportContactRequest request;
  request.set_name(bob.results(0).contact());
  CLM_ASSERT_OK_AND_ASSIGN(const auto held,
                           Call(*main_.contacts, &Contacts::ExportContact, request));
  EXPECT_EQ(held.violations_size(), 2);

  // Ada's address goes with her, though it stands with Bob.
  v1::EraseContactRequest erase;
  erase.set_name(all[1].profiles(0));
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(TablesWith("ada@"), "");
  EXPECT_EQ(Count("SELECT count(*) FROM identity_violation"), 1);
  erase.set_name(bob.results(0).contact());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(Count("SELECT count(*) FROM identity_violation"), 0);
}

TEST_F(TimelineTest, AViolationNamesWhomALaterEventOfItsBatchShowsTheOthersToBe) {
  auto early = Purchase();
  early.mutable_occur_time()->set_seconds(1'760'000'000);
  // Bob at Ada's address, before the last event shows that she is whoever came first.
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"user_id", "ada"}, {"email", "ada@example.com"}}),
              By(Purchase(), {{"user_id", "bob"}, {"email", "ada@example.com"}}),
              By(early, {{"shop", "7"}}), By(Purchase(), {{"user_id", "ada"}, {"shop", "7"}})}));
  EXPECT_EQ(response.results(0).contact(), response.results(2).contact());
  v1::ListIdentityViolationsRequest list;
  list.set_parent(kAcme);
  CLM_ASSERT_OK_AND_ASSIGN(const auto all,
                           Call(*main_.timeline, &Timeline::ListIdentityViolations, list));
  ASSERT_EQ(all.violations_size(), 1);
  EXPECT_EQ(all.violations(0).contact(), response.results(1).contact());
  ASSERT_EQ(all.violations(0).profiles_size(), 1);
  EXPECT_EQ(all.violations(0).profiles(0), response.results(0).contact());
}

TEST_F(TimelineTest, WhatWasNotUsedBecauseOfAChangeMeanwhileIsListedToo) {
  const v1::Contact ada = Known("app", "1");
  Known("browser", "2");
  AtTheFirstMerge(FiveShops(ada));
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto response,
      Ingest({By(Purchase(), {{"app", "1"}, {"browser", "2"}, {"shop", "one too many"}})}));
  EXPECT_EQ(response.results(0).contact(), ada.name()) << response.DebugString();
  EXPECT_EQ(Identifiers(IdOf(ada), "shop"), 5);
  v1::ListIdentityViolationsRequest list;
  list.set_parent(kAcme);
  CLM_ASSERT_OK_AND_ASSIGN(const auto all,
                           Call(*main_.timeline, &Timeline::ListIdentityViolations, list));
  ASSERT_EQ(all.violations_size(), 1);
  EXPECT_EQ(all.violations(0).kind(), v1::IdentityViolation::KIND_LIMIT);
  EXPECT_EQ(all.violations(0).contact(), ada.name());
  EXPECT_EQ(all.violations(0).value(), "one too many");
  EXPECT_EQ(all.violations(0).limit_type(), "shop");
}

TEST_F(TimelineTest, ThePageTokenOfIdentityViolationsTellsNoIdentifier) {
  std::vector<std::string> said;
  std::vector<v1::BehaviorEvent> events;
  for (int i = 0; i < 9; ++i) {
    said.push_back(absl::StrCat("ada", i, "-is-no-address"));
    events.push_back(By(Purchase(), {{"user_id", "ada"}, {"email", said.back()}}));
  }
  CLM_ASSERT_OK(Ingest(events));
  std::vector<std::string> read;
  for (const auto& violation : Violations(2, [](const std::string& page_token) {
         std::string token;
         ASSERT_TRUE(absl::WebSafeBase64Unescape(page_token, &token));
         EXPECT_THAT(token, Not(HasSubstr("address")));
       })) {
    read.push_back(violation.value());
  }
  EXPECT_THAT(read, ::testing::UnorderedElementsAreArray(said));
}

TEST_F(TimelineTest, APersonHasOneUserIdAlsoWhenTwoServersLearnItAtOnce) {
  ContactServer other(database_);
  CLM_ASSERT_OK(Create("ada@example.com"));
  constexpr int kAtOnce = 16;
  std::vector<absl::StatusOr<v1::IngestEventsResponse>> answers(kAtOnce);
  clm::testing::AtOnce(kAtOnce, [&](int i) {
    auto& server = i % 2 == 0 ? main_ : other;
    answers[i] = Call(*server.timeline, &Timeline::IngestEvents,
                      Batch({By(Purchase(), {{"email", "ada@example.com"},
                                             {"user_id", absl::StrCat("user-", i)}})}));
  });
  for (const auto& answer : answers) {
    CLM_ASSERT_OK(answer);
    EXPECT_EQ(answer->results(0).status().code(), 0) << answer->DebugString();
  }
  EXPECT_EQ(Count("SELECT max(n) FROM (SELECT count(*) AS n FROM contact_identifier "
                  "WHERE type = 'user_id' GROUP BY contact_id) AS t"),
            1);
  EXPECT_EQ(Count("SELECT count(*) FROM event"), kAtOnce);
}

TEST_F(TimelineTest, AnErasedIdentifierOfABatchLeadsToNobody) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto gone, Ingest({By(Purchase(), {{"shop", "7"}})}));
  v1::EraseContactRequest erase;
  erase.set_name(gone.results(0).contact());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact ada, Create("ada@example.com"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                           Ingest({By(Purchase(), {{"email", "ada@example.com"}, {"shop", "7"}}),
                                   By(Purchase(), {{"shop", "7"}})}));
  EXPECT_EQ(response.results(0).contact(), ada.name()) << response.DebugString();
  EXPECT_THAT(response.results(1).status().message(), HasSubstr("erased"));
}

// As a caller would find who sent them one after the other.
TEST_F(TimelineTest, AnErasedIdentifierOfABatchGivesNobodyAnother) {
  const v1::Contact gone = Known("shop", "7");
  v1::EraseContactRequest erase;
  erase.set_name(gone.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  CLM_ASSERT_OK(Create("ada@example.com"));
  // Ada is known, Bob is not.
  for (const char* email : {"ada@example.com", "bob@example.com"}) {
    CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                             Ingest({By(Purchase(), {{"email", email}}),
                                     By(Purchase(), {{"email", email}, {"shop", "7"}}),
                                     By(Purchase(), {{"shop", "7"}, {"crm", "9"}})}));
    EXPECT_EQ(response.results(0).status().code(), 0) << response.DebugString();
    EXPECT_EQ(response.results(1).contact(), response.results(0).contact());
    EXPECT_THAT(response.results(2).status().DebugString(), HasSubstr("ADDRESS_ERASED"));
  }
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier WHERE type <> 'email'"), 0);
}

TEST_F(TimelineTest, EachEventHasItsOwnOutcome) {
  auto strange = Purchase();
  strange.set_contact(absl::StrCat(kAcme, "/contacts/", kEventId));
  auto cheap = By(Purchase(), {{"email", "ada@example.com"}});
  cheap.clear_currency();
  auto request = Batch({strange, cheap, By(Purchase(), {{"email", "ada@example.com"}}),
                        By(Purchase(), {{"user_id", "null"}})});
  CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                           Call(*main_.timeline, &Timeline::IngestEvents, request));
  ASSERT_EQ(response.results_size(), 4);
  EXPECT_EQ(response.results(0).status().code(), static_cast<int>(StatusCode::kNotFound));
  EXPECT_THAT(response.results(1).status().message(), HasSubstr("currency"));
  EXPECT_EQ(response.results(2).status().code(), 0);
  EXPECT_THAT(response.results(3).status().message(), HasSubstr("identif"));
  request.set_create_contacts(false);
  request.clear_events();
  *request.add_events() = By(Purchase(), {{"email", "nobody@example.com"}});
  CLM_ASSERT_OK_AND_ASSIGN(const auto unknown,
                           Call(*main_.timeline, &Timeline::IngestEvents, request));
  EXPECT_EQ(unknown.results(0).status().code(), static_cast<int>(StatusCode::kNotFound));
}

TEST_F(TimelineTest, EventsAreListedByWhenTheyHappenedNotByWhenTheyArrived) {
  std::vector<v1::BehaviorEvent> events;
  for (const int64_t day : {3, 1, 2}) {
    auto event = By(Purchase(), {{"email", "ada@example.com"}});
    event.mutable_occur_time()->set_seconds(1'770'000'000 + 86'400 * day);
    event.set_amount_minor(day);
    (*event.mutable_properties())["sku"].set_string_value(absl::StrCat("A", day));
    events.push_back(event);
  }
  CLM_ASSERT_OK_AND_ASSIGN(const auto ingested, Ingest(events));
  v1::ListEventsRequest list;
  list.set_parent(ingested.results(0).contact());
  list.set_page_size(2);
  std::string amounts;
  do {
    CLM_ASSERT_OK_AND_ASSIGN(const auto page, Call(*main_.timeline, &Timeline::ListEvents, list));
    for (const auto& event : page.events()) {
      absl::StrAppend(&amounts, event.amount_minor(), event.properties().at("sku").string_value(),
                      " ");
    }
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_EQ(amounts, "3A3 2A2 1A1 ");
  list.set_filter("amount_minor > 1 AND type = \"purchase\"");
  list.set_page_size(0);
  CLM_ASSERT_OK_AND_ASSIGN(const auto dear, Call(*main_.timeline, &Timeline::ListEvents, list));
  EXPECT_EQ(dear.events_size(), 2);
}

TEST_F(TimelineTest, TheContextHasTheLastContactOnEachChannelHoweverLateItIsTold) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto bob, Create("bob@example.com"));
  const auto tell = [&](const v1::Contact& who, const std::string& type, const std::string& channel,
                        int64_t second) {
    v1::BehaviorEvent event;
    event.set_contact(who.name());
    event.set_type(type);
    event.set_channel(channel);
    event.mutable_occur_time()->set_seconds(second);
    if (type == "offer_response") {
      (*event.mutable_properties())["response"].set_string_value("accepted");
    }
    const auto told = Ingest({event});
    CLM_ASSERT_OK(told);
    ASSERT_EQ(told->results(0).status().code(), 0) << told->results(0).status().message();
  };
  const auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  ContactReader reader(pool.get(), std::string(32, 's'));
  ContactContext contexts(&reader, nullptr, nullptr, [](const EntityKey&, absl::Time) {
    return absl::StatusOr<v1::CustomerContext>(v1::CustomerContext());
  });
  // "channel type second".
  const auto last = [&](const v1::Contact& who) {
    std::vector<std::string> lasts;
    v1::CustomerContext context;
    const auto loaded = contexts.Load(*ParseEntityName("contact", kContacts, who.name()),
                                      absl::Now() + absl::Seconds(30));
    CLM_EXPECT_OK(loaded.status());
    EXPECT_TRUE(loaded.ok() && context.ParseFromString(*loaded));
    for (const auto& one : context.last_contacts()) {
      lasts.push_back(
          absl::StrCat(one.channel(), " ", one.type(), " ", one.occur_time().seconds()));
    }
    return lasts;
  };
  EXPECT_THAT(last(ada), ElementsAre());
  tell(ada, "service_contact", "phone", 1'770'000'300);
  tell(ada, "service_contact", "phone", 1'770'000'100);
  tell(ada, "offer_response", "email", 1'770'000'200);
  tell(ada, "page_view", "web", 1'770'000'900);
  EXPECT_THAT(last(ada),
              ElementsAre("email offer_response 1770000200", "phone service_contact 1770000300"));
  tell(bob, "service_contact", "phone", 1'770'000'400);
  tell(bob, "service_contact", "store", 1'770'000'050);
  v1::MergeContactsRequest merge;
  merge.set_primary(ada.name());
  merge.set_duplicate(bob.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::MergeContacts, merge));
  EXPECT_THAT(last(ada),
              ElementsAre("email offer_response 1770000200", "phone service_contact 1770000400",
                          "store service_contact 1770000050"));
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_THAT(last(ada), ElementsAre());
}

TEST_F(TimelineTest, LastContactsAreFoundByTheirIndex) {
  const auto statements = ContactReaderStatements();
  const auto around =
      std::find_if(statements.begin(), statements.end(), [](const pg::Statement* statement) {
        return absl::string_view(statement->name) == "contact.around";
      });
  ASSERT_NE(around, statements.end());
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  std::string plan;
  CLM_ASSERT_OK(pool->Transact({pg::Scope::Tenant("acme")}, [&](pg::Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(tx.ExecDynamic("SET LOCAL plan_cache_mode = force_generic_plan").status());
    CLM_RETURN_IF_ERROR(tx.ExecDynamic("SET LOCAL enable_seqscan = off").status());
    CLM_RETURN_IF_ERROR(tx.ExecDynamic(absl::StrCat("PREPARE probe AS ", (*around)->sql)).status());
    CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                         tx.ExecDynamic(absl::StrCat("EXPLAIN EXECUTE probe ('acme', '", kEventId,
                                                     "', '{}', '{}')")));
    for (int i = 0; i < rows.size(); ++i) absl::StrAppend(&plan, rows[i].Text(0), "\n");
    return absl::OkStatus();
  }));
  // The first channel and each next one.
  const size_t first = plan.find("using event_last_contact");
  ASSERT_NE(first, std::string::npos) << plan;
  EXPECT_NE(plan.find("using event_last_contact", first + 1), std::string::npos) << plan;
  EXPECT_THAT(plan, Not(HasSubstr("event_pkey")));
}

TEST_F(TimelineTest, TheContactOfAStrangersEventBeganWithIt) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ingested,
                           Ingest({By(Purchase(), {{"email", "ada@example.com"}})}));
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Get(ingested.results(0).contact()));
  EXPECT_EQ(ada.create_time().seconds(), 1'770'000'000);
}

TEST_F(TimelineTest, AnErasedPersonTakesNoMoreEvents) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  erase.set_anonymize_events(true);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  auto event = Purchase();
  event.set_contact(ada.name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto refused,
                           Ingest({event, By(Purchase(), {{"email", "ada@example.com"}})}));
  EXPECT_NE(refused.results(0).status().code(), 0);
  EXPECT_NE(refused.results(1).status().code(), 0);
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 0);
}

TEST_F(TimelineTest, AnEraseThatAnonymizesEventsLeavesNothingOfThemButSums) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto bob, Create("bob@example.com"));
  const auto told = [](const std::string& contact, const std::string& secret) {
    auto event = Purchase();
    event.set_contact(contact);
    event.set_channel(secret + " channel");
    (*event.mutable_properties())["note"].set_string_value(secret);
    return event;
  };
  CLM_ASSERT_OK(Ingest({told(ada.name(), "sesame"), told(bob.name(), "thyme")}));
  // What was told of a contact that is an alias now stands under that one's name in the journal.
  CLM_ASSERT_OK_AND_ASSIGN(const auto other, Create("ada@work.example.com"));
  CLM_ASSERT_OK(Ingest({told(other.name(), "sesame")}));
  v1::MergeContactsRequest merge;
  merge.set_primary(ada.name());
  merge.set_duplicate(other.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::MergeContacts, merge));
  CLM_ASSERT_OK(Ingest({told(other.name(), "sesame")}));
  EXPECT_EQ(TablesWith("sesame"), "event journal");
  const int64_t rows = Count("SELECT count(*) FROM journal");
  // The newest records are served from memory.
  const auto feed = event::v1::EventFeedService::NewStub(main_.server->Channel());
  const auto fed = [&] {
    event::v1::FetchRequest fetch;
    fetch.set_source("contact");
    for (int shard = 0; shard < kShards; ++shard) fetch.add_positions()->set_shard(shard);
    const auto answer = Call(*feed, &event::v1::EventFeedService::Stub::Fetch, fetch);
    EXPECT_THAT(answer, IsOk());
    return answer.ok() ? answer->SerializeAsString() : "";
  };
  EXPECT_THAT(fed(), HasSubstr("sesame"));

  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  erase.set_anonymize_events(true);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(TablesWith("sesame"), "");
  EXPECT_EQ(TablesWith("thyme"), "event journal");
  EXPECT_THAT(fed(), AllOf(HasSubstr("thyme"), Not(HasSubstr("sesame"))));
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), rows + 1);
  EXPECT_EQ(Count("SELECT sum(amount_minor) FROM event"), 4 * 1250);
  // Who reads the journal from the beginning still learns of every event.
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type LIKE '%BehaviorRecorded' AND "
                  "position('purchase'::bytea IN event) > 0"),
            4);
}

// So that margins stand, and stand again when they are computed anew from the journal.
TEST_F(TimelineTest, AnEraseThatAnonymizesEventsKeepsWhatGoodsCost) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  std::vector<v1::BehaviorEvent> events;
  const auto add = [&](const std::string& type) -> v1::AttributeValue& {
    v1::BehaviorEvent event = Purchase();
    event.set_contact(ada.name());
    event.set_type(type);
    (*event.mutable_properties())["note"].set_string_value("sesame");
    events.push_back(event);
    return (*events.back().mutable_properties())["cost_minor"];
  };
  add("purchase").set_int64_value(800);
  add("refund").set_string_value("300");
  add("purchase").set_int64_value(999'999'999'999'999);
  const size_t kept = events.size();
  add("purchase").set_int64_value(1'000'000'000'000'000);
  add("purchase").set_int64_value(-800);
  add("purchase").set_string_value("sesame 800");
  add("purchase").set_string_value("");
  add("purchase").mutable_string_set_value()->add_values("800");
  add("usage").set_int64_value(800);
  CLM_ASSERT_OK_AND_ASSIGN(const auto ingested, Ingest(events));
  for (const auto& result : ingested.results()) {
    ASSERT_EQ(result.status().code(), 0) << result.DebugString();
  }
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  erase.set_anonymize_events(true);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(TablesWith("sesame"), "");

  std::map<std::string, v1::BehaviorEvent> told;
  for (const auto& event : Told(ada)) told[event.event_id()] = event;
  v1::ListEventsRequest list;
  list.set_parent(ada.name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto stored, Call(*main_.timeline, &Timeline::ListEvents, list));
  ASSERT_EQ(stored.events_size(), static_cast<int>(events.size()));
  for (const auto& event : stored.events()) {
    EXPECT_EQ(told[event.event_id()].SerializeAsString(), event.SerializeAsString());
  }
  for (size_t i = 0; i < events.size(); ++i) {
    const auto& properties = told[ingested.results(static_cast<int>(i)).event_id()].properties();
    ASSERT_EQ(properties.size(), i < kept ? 1u : 0u) << events[i].DebugString();
    if (i >= kept) continue;
    EXPECT_EQ(properties.at("cost_minor").SerializeAsString(),
              events[i].properties().at("cost_minor").SerializeAsString());
  }
}

TEST_F(TimelineTest, AnEraseReachesEveryRecordOfALongHistory) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  for (int i = 0; i < 50; ++i) {
    auto event = Purchase();
    event.set_contact(ada.name());
    event.set_channel("sesame");
    CLM_ASSERT_OK(Ingest({event}));
  }
  const std::string records = "SELECT count(*) FROM journal WHERE type LIKE '%BehaviorRecorded'";
  EXPECT_EQ(Count(records), 50);
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  erase.set_anonymize_events(true);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(Count(records), 50);
  EXPECT_EQ(TablesWith("sesame"), "");
}

TEST_F(TimelineTest, ACostWhoseIdTheCallerChoseIsRecordedOnce) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto other, Create("ada@work.example.com"));
  v1::CreateAcquisitionCostRequest request;
  request.set_parent(kAcme);
  auto& cost = *request.mutable_acquisition_cost();
  cost.set_start_date("2026-01-01");
  cost.set_end_date("2026-01-31");
  cost.set_currency("EUR");
  cost.set_amount_minor(500);
  int64_t rows = 0;
  for (const bool of_a_contact : {false, true}) {
    cost.set_name(absl::StrCat(kAcme, "/acquisitionCosts/", Uuid::V7(absl::Now()).ToString()));
    cost.set_source(of_a_contact ? "" : "ads");
    if (of_a_contact) cost.set_contact(other.name());
    CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                             Call(*main_.timeline, &Timeline::CreateAcquisitionCost, request));
    EXPECT_EQ(first.name(), cost.name());
    CLM_ASSERT_OK_AND_ASSIGN(const auto again,
                             Call(*main_.timeline, &Timeline::CreateAcquisitionCost, request));
    EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
    EXPECT_EQ(Count("SELECT count(*) FROM acquisition_cost"), ++rows);
    cost.set_amount_minor(cost.amount_minor() + 1);
    EXPECT_THAT(Call(*main_.timeline, &Timeline::CreateAcquisitionCost, request),
                ReasonIs("COST_EXISTS"));
    cost.set_amount_minor(cost.amount_minor() - 1);
  }

  // Of a merged contact it is the survivor's, whichever of the two is named.
  v1::MergeContactsRequest merge;
  merge.set_primary(ada.name());
  merge.set_duplicate(other.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::MergeContacts, merge));
  CLM_ASSERT_OK_AND_ASSIGN(const auto moved,
                           Call(*main_.timeline, &Timeline::CreateAcquisitionCost, request));
  EXPECT_EQ(moved.contact(), ada.name());
  cost.clear_name();
  CLM_ASSERT_OK_AND_ASSIGN(const auto late,
                           Call(*main_.timeline, &Timeline::CreateAcquisitionCost, request));
  EXPECT_EQ(late.contact(), ada.name());
  EXPECT_EQ(Count("SELECT count(DISTINCT contact_id) FROM acquisition_cost"), 1);

  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_THAT(Call(*main_.timeline, &Timeline::CreateAcquisitionCost, request),
              ReasonIs("CONTACT_ERASED"));
  cost.set_name(absl::StrCat(kGlobex, "/acquisitionCosts/", kEventId));
  EXPECT_THAT(Call(*main_.timeline, &Timeline::CreateAcquisitionCost, request),
              StatusIs(StatusCode::kNotFound));
}

TEST_F(TimelineTest, CostsArePagedInTheOrderRecorded) {
  v1::CreateAcquisitionCostRequest request;
  request.set_parent(kAcme);
  auto& cost = *request.mutable_acquisition_cost();
  cost.set_source("ads");
  cost.set_start_date("2026-01-01");
  cost.set_end_date("2026-01-31");
  cost.set_currency("EUR");
  for (int amount = 1; amount <= 3; ++amount) {
    cost.set_amount_minor(amount);
    CLM_ASSERT_OK(Call(*main_.timeline, &Timeline::CreateAcquisitionCost, request));
  }
  v1::ListAcquisitionCostsRequest list;
  list.set_parent(kAcme);
  list.set_page_size(2);
  std::string amounts;
  do {
    CLM_ASSERT_OK_AND_ASSIGN(const auto page,
                             Call(*main_.timeline, &Timeline::ListAcquisitionCosts, list));
    for (const auto& one : page.acquisition_costs()) {
      absl::StrAppend(&amounts, one.amount_minor(), " ");
    }
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_EQ(amounts, "1 2 3 ");
}

}  // namespace
}  // namespace clm::contact
