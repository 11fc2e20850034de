#include <algorithm>
#include <set>

#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "libs/pg/admin.h"
#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "services/contact/contact_fixture.h"
#include "services/contact/contact_reader.h"
#include "services/contact/contact_work.h"
#include "services/contact/duplicate_handlers.h"
#include "services/contact/duplicate_scan.h"
#include "services/contact/ingest.h"
#include "services/contact/upsert.h"

namespace clm::contact {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr char kRequestId[] = "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a";
constexpr int kTwins = 32;

TEST_F(ContactTest, EveryStatementFitsTheSchema) {
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  std::vector<const pg::Statement*> all;
  for (const auto& some : {ContactWorkStatements(), ContactReaderStatements(),
                           DuplicateStatements(), DuplicateScanStatements()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  CLM_EXPECT_OK(pool->Prepare(all));
}

TEST_F(ContactTest, AnEraseFindsTheViolationsThatNameAnIdentifierByTheirIndex) {
  const auto statements = ContactWorkStatements();
  const auto purge =
      std::find_if(statements.begin(), statements.end(), [](const pg::Statement* statement) {
        return absl::string_view(statement->name) == "contact.purge_violations";
      });
  ASSERT_NE(purge, statements.end());
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  std::string plan;
  CLM_ASSERT_OK(pool->Transact({pg::Scope::Tenant("acme")}, [&](pg::Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(tx.ExecDynamic("SET LOCAL plan_cache_mode = force_generic_plan").status());
    CLM_RETURN_IF_ERROR(tx.ExecDynamic(absl::StrCat("PREPARE probe AS ", (*purge)->sql)).status());
    CLM_ASSIGN_OR_RETURN(
        const pg::Result rows,
        tx.ExecDynamic("EXPLAIN EXECUTE probe ('acme', 'email', 'ada@example.com')"));
    for (int i = 0; i < rows.size(); ++i) absl::StrAppend(&plan, rows[i].Text(0), "\n");
    return absl::OkStatus();
  }));
  EXPECT_THAT(plan, HasSubstr("identity_violation_value"));
}

TEST_F(ContactTest, WhatWasCreatedIsRead) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact created, Create("  Ada@Example.com "));
  EXPECT_EQ(created.email(), "ada@example.com");
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact read, Get(created.name()));
  EXPECT_EQ(read.SerializeAsString(), created.SerializeAsString());
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), 1);
}

TEST_F(ContactTest, AnAddressThatIsTakenNamesItsOwner) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact owner, Create("ada@example.com"));
  const auto taken = Create("ADA@example.com");
  EXPECT_THAT(taken, StatusIs(StatusCode::kAlreadyExists));
  EXPECT_THAT(error::MetadataValue(taken.status(), "contact"), owner.name()) << taken.status();
  // Of another tenant it is free.
  CLM_EXPECT_OK(Create("ada@example.com", kGlobex));
}

TEST_F(ContactTest, AContactOfAnotherTenantIsNotThere) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact ada, Create("ada@example.com"));
  std::string stolen = ada.name();
  stolen.replace(0, std::string(kAcme).size(), kGlobex);
  EXPECT_THAT(Get(stolen), StatusIs(StatusCode::kNotFound));
  v1::ListContactsRequest list;
  list.set_parent(kGlobex);
  CLM_ASSERT_OK_AND_ASSIGN(const auto none, Call(*main_.contacts, &Contacts::ListContacts, list));
  EXPECT_EQ(none.contacts_size(), 0);
}

TEST_F(ContactTest, RowSecurityHidesOtherTenantsFromPlainSql) {
  CLM_ASSERT_OK(Create("ada@example.com"));
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  const auto visible = [&](const pg::Scope& scope) {
    int64_t rows = -1;
    CLM_EXPECT_OK(pool->Read({scope}, [&](pg::Tx& tx) {
      auto found = tx.ExecDynamic("SELECT count(*) FROM contact");
      if (found.ok()) rows = (*found)[0].Int(0);
      return found.status();
    }));
    return rows;
  };
  EXPECT_EQ(visible(pg::Scope::Tenant("acme")), 1);
  EXPECT_EQ(visible(pg::Scope::Tenant("globex")), 0);
  // Every table with rows of tenants is guarded, also against its owner.
  EXPECT_EQ(Count("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                  "WHERE n.nspname = 'public' AND c.relkind = 'r' AND EXISTS (SELECT 1 FROM "
                  "pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id') "
                  "AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"),
            0);
}

TEST_F(ContactTest, ARepeatedRequestIsAnsweredAsTheFirstTime) {
  auto request = NewContact("ada@example.com");
  request.set_request_id(kRequestId);
  bool replayed = true;
  CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                           Call(*main_.contacts, &Contacts::CreateContact, request, &replayed));
  EXPECT_FALSE(replayed);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again,
                           Call(*main_.contacts, &Contacts::CreateContact, request, &replayed));
  EXPECT_TRUE(replayed);
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  request.mutable_contact()->set_given_name("Augusta");
  EXPECT_THAT(Call(*main_.contacts, &Contacts::CreateContact, request),
              ReasonIs("REQUEST_ID_REUSED"));
}

TEST_F(ContactTest, TwinsAtTwoServersHaveOneEffectAndEqualAnswers) {
  ContactServer other(database_);
  // Without an address the only thing that tells twins is the request's id.
  for (const std::string email : {"ada@example.com", ""}) {
    auto request = NewContact(email);
    request.set_request_id(Uuid::V7(absl::Now()).ToString());
    const int64_t before = Count("SELECT count(*) FROM contact");
    std::vector<absl::StatusOr<v1::Contact>> answers(kTwins);
    clm::testing::AtOnce(kTwins, [&](int i) {
      auto& server = i % 2 == 0 ? main_ : other;
      answers[i] = Call(*server.contacts, &Contacts::CreateContact, request);
    });
    std::set<std::string> different;
    for (const auto& answer : answers) {
      CLM_ASSERT_OK(answer);
      different.insert(answer->SerializeAsString());
    }
    EXPECT_EQ(different.size(), 1u);
    EXPECT_EQ(Count("SELECT count(*) FROM contact"), before + 1);
    EXPECT_EQ(Count("SELECT count(*) FROM journal"), before + 1);
  }
}

v1::UpsertContactRequest UpsertOf(const std::string& email, const std::string& given_name) {
  v1::UpsertContactRequest request;
  request.set_parent(kAcme);
  request.mutable_contact()->set_email(email);
  request.mutable_contact()->set_given_name(given_name);
  return request;
}

TEST_F(ContactTest, UpsertsOfOnePersonAtTwoServersMeetInOneContact) {
  ContactServer other(database_);
  std::vector<absl::StatusOr<v1::UpsertContactResponse>> answers(kTwins);
  clm::testing::AtOnce(kTwins, [&](int i) {
    auto& server = i % 2 == 0 ? main_ : other;
    answers[i] = Call(*server.contacts, &Contacts::UpsertContact, UpsertOf("a@example.com", "A"));
  });
  int created = 0;
  std::set<std::string> names;
  for (const auto& answer : answers) {
    CLM_ASSERT_OK(answer);
    created += answer->created() ? 1 : 0;
    EXPECT_EQ(answer->unchanged(), !answer->created());
    names.insert(answer->contact().name());
  }
  EXPECT_EQ(created, 1);
  EXPECT_EQ(names.size(), 1u);
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), 1);
}

TEST_F(ContactTest, AStaleEtagAborts) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact ada, Create("ada@example.com"));
  v1::UpdateContactRequest update;
  *update.mutable_contact() = ada;
  update.mutable_contact()->set_family_name("Lovelace");
  update.mutable_update_mask()->add_paths("family_name");
  CLM_ASSERT_OK_AND_ASSIGN(const auto updated,
                           Call(*main_.contacts, &Contacts::UpdateContact, update));
  EXPECT_EQ(updated.family_name(), "Lovelace");
  EXPECT_NE(updated.etag(), ada.etag());
  update.mutable_contact()->set_family_name("King");
  EXPECT_THAT(Call(*main_.contacts, &Contacts::UpdateContact, update),
              StatusIs(StatusCode::kAborted));
  v1::ContactVerbRequest verb;
  verb.set_name(ada.name());
  verb.set_etag(ada.etag());
  EXPECT_THAT(Call(*main_.contacts, &Contacts::BlockContact, verb), StatusIs(StatusCode::kAborted));
  CLM_ASSERT_OK_AND_ASSIGN(const auto stored, Get(ada.name()));
  EXPECT_EQ(stored.family_name(), "Lovelace");
}

TEST_F(ContactTest, AnAddressThatWasGivenUpIsFree) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact ada, Create("ada@example.com"));
  v1::UpdateContactRequest update;
  update.mutable_contact()->set_name(ada.name());
  update.mutable_update_mask()->add_paths("email");
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  CLM_EXPECT_OK(Create("ada@example.com"));
}

TEST_F(ContactTest, AnAddressMayLeaveAndReturnWithinOneBatch) {
  auto first = UpsertOf("ada@example.com", "Ada");
  (*first.mutable_contact()->mutable_external_ids())["shop"] = "1";
  first.set_key("external_ids.shop");
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpsertContact, first));
  v1::BatchUpsertContactsRequest batch;
  batch.set_parent(kAcme);
  for (const char* email : {"", "ada@example.com"}) {
    auto* one = batch.add_requests();
    *one = first;
    one->mutable_contact()->set_email(email);
    one->mutable_update_mask()->add_paths("email");
    one->mutable_update_mask()->add_paths("external_ids.shop");
  }
  CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                           Call(*main_.contacts, &Contacts::BatchUpsertContacts, batch));
  for (const auto& result : response.results()) {
    EXPECT_EQ(result.status().code(), 0) << result.DebugString();
  }
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier WHERE value = 'ada@example.com'"), 1);
}

TEST_F(ContactTest, WhatABatchDidToAKeyItsLaterItemsKnow) {
  auto by_shop = UpsertOf("", "Ada");
  (*by_shop.mutable_contact()->mutable_external_ids())["shop"] = "1";
  by_shop.set_key("external_ids.shop");
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada,
                           Call(*main_.contacts, &Contacts::UpsertContact, by_shop));
  v1::BatchUpsertContactsRequest batch;
  batch.set_parent(kAcme);
  // The first gives Ada her address, by which the second means her; the third takes it away, so
  // that the fourth is about somebody new.
  auto* one = batch.add_requests();
  *one = by_shop;
  one->mutable_contact()->set_email("ada@example.com");
  *batch.add_requests() = UpsertOf("ada@example.com", "Augusta");
  one = batch.add_requests();
  *one = by_shop;
  one->mutable_update_mask()->add_paths("email");
  one->mutable_update_mask()->add_paths("external_ids.shop");
  *batch.add_requests() = UpsertOf("ada@example.com", "Grace");
  CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                           Call(*main_.contacts, &Contacts::BatchUpsertContacts, batch));
  for (const auto& result : response.results()) {
    EXPECT_EQ(result.status().code(), 0) << result.DebugString();
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(response.results(i).contact(), ada.contact().name());
  EXPECT_TRUE(response.results(3).created());
  EXPECT_EQ(Count("SELECT count(*) FROM contact WHERE given_name = 'Augusta' AND email = ''"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM contact WHERE given_name = 'Grace'"), 1);
}

TEST_F(ContactTest, ABatchHasAnOutcomePerItem) {
  CLM_ASSERT_OK(Create("ada@example.com"));
  v1::BatchUpsertContactsRequest batch;
  batch.set_parent(kAcme);
  *batch.add_requests() = UpsertOf("ada@example.com", "Augusta");
  *batch.add_requests() = UpsertOf("no address", "Bob");
  *batch.add_requests() = UpsertOf("eve@example.com", "Eve");
  *batch.add_requests() = UpsertOf("eve@example.com", "Eve");
  batch.set_atomic(true);
  EXPECT_THAT(Call(*main_.contacts, &Contacts::BatchUpsertContacts, batch),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("requests[1]")));
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 1);
  batch.set_atomic(false);
  CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                           Call(*main_.contacts, &Contacts::BatchUpsertContacts, batch));
  ASSERT_EQ(response.results_size(), 4);
  EXPECT_FALSE(response.results(0).created() || response.results(0).unchanged());
  EXPECT_EQ(response.results(1).status().code(), static_cast<int>(StatusCode::kInvalidArgument));
  EXPECT_TRUE(response.results(2).created());
  EXPECT_TRUE(response.results(3).unchanged());
  EXPECT_EQ(response.results(3).contact(), response.results(2).contact());
}

TEST_F(ContactTest, EveryBadFieldOfAContactIsNamedWhoeverFindsIt) {
  const auto fields = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
    std::vector<std::string> names;
    for (const auto& [field, what] : error::FieldViolations(status)) names.push_back(field);
    return names;
  };
  // Of each kind: a rule of a field, of the wire format, of the contact.
  v1::CreateContactRequest create = NewContact("nobody");
  create.set_request_id("7");
  create.mutable_contact()->set_phone("12");
  create.mutable_contact()->set_etag("stale?");
  create.mutable_contact()->set_timezone("Mars/Base");
  (*create.mutable_contact()->mutable_attributes())["day"].set_date_value("soon");
  const std::vector<std::string> bad = {"request_id",       "contact.email",
                                        "contact.phone",    "contact.etag",
                                        "contact.timezone", "contact.attributes.day.date_value"};
  EXPECT_THAT(fields(Call(*main_.contacts, &Contacts::CreateContact, create).status()),
              ::testing::UnorderedElementsAreArray(bad));
  create.clear_request_id();
  EXPECT_THAT(fields(Call(*main_.contacts, &Contacts::CreateContact, create).status()),
              ::testing::UnorderedElementsAreArray(bad.begin() + 1, bad.end()));
  // Where only the rule of the contact refuses, everything is told as well.
  create.mutable_contact()->clear_etag();
  create.mutable_contact()->clear_attributes();
  EXPECT_THAT(
      fields(Call(*main_.contacts, &Contacts::CreateContact, create).status()),
      ::testing::UnorderedElementsAre("contact.email", "contact.phone", "contact.timezone"));
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 0);

  v1::IngestEventsRequest ingest;
  ingest.set_parent(kAcme);
  ingest.add_events()->set_type("purchase");
  ingest.mutable_events(0)->set_contact("nobody");
  EXPECT_THAT(fields(Call(*main_.timeline, &Timeline::IngestEvents, ingest).status()),
              ::testing::IsSupersetOf({"events[0].contact", "events[0].amount_minor"}));
}

TEST_F(ContactTest, StatusMovesByVerbs) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact ada, Create("ada@example.com"));
  v1::ContactVerbRequest verb;
  verb.set_name(ada.name());
  CLM_ASSERT_OK_AND_ASSIGN(auto moved, Call(*main_.contacts, &Contacts::BlockContact, verb));
  EXPECT_EQ(moved.status(), v1::Contact::STATUS_BLOCKED);
  EXPECT_THAT(Call(*main_.contacts, &Contacts::DeactivateContact, verb),
              StatusIs(StatusCode::kFailedPrecondition));
  CLM_ASSERT_OK_AND_ASSIGN(moved, Call(*main_.contacts, &Contacts::UnblockContact, verb));
  EXPECT_EQ(moved.status(), v1::Contact::STATUS_ACTIVE);
  CLM_ASSERT_OK_AND_ASSIGN(moved, Call(*main_.contacts, &Contacts::DeactivateContact, verb));
  EXPECT_EQ(moved.status(), v1::Contact::STATUS_DEACTIVATED);
  EXPECT_THAT(Call(*main_.contacts, &Contacts::UnblockContact, verb),
              ReasonIs("CONTACT_DEACTIVATED"));
  CLM_ASSERT_OK_AND_ASSIGN(moved, Call(*main_.contacts, &Contacts::ReactivateContact, verb));
  EXPECT_EQ(moved.status(), v1::Contact::STATUS_ACTIVE);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::BlockContact, verb));
  EXPECT_THAT(Call(*main_.contacts, &Contacts::ReactivateContact, verb),
              ReasonIs("CONTACT_BLOCKED"));
}

TEST_F(ContactTest, AStaleEtagOfAnAttributeAborts) {
  v1::CreateAttributeDefinitionRequest define;
  define.set_parent(kAcme);
  define.set_attribute_id("plan");
  define.mutable_attribute_definition()->set_type(v1::AttributeDefinition::TYPE_STRING);
  CLM_ASSERT_OK_AND_ASSIGN(const auto read,
                           Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define));
  v1::UpdateAttributeDefinitionRequest update;
  *update.mutable_attribute_definition() = read;
  update.mutable_attribute_definition()->set_display_name("Plan");
  CLM_ASSERT_OK_AND_ASSIGN(const auto renamed,
                           Call(*main_.contacts, &Contacts::UpdateAttributeDefinition, update));
  EXPECT_NE(renamed.etag(), read.etag());
  update.mutable_attribute_definition()->set_display_name("Tariff");
  const auto stale = Call(*main_.contacts, &Contacts::UpdateAttributeDefinition, update);
  EXPECT_THAT(stale, StatusIs(StatusCode::kAborted, HasSubstr("attribute_definition.etag")));
  EXPECT_THAT(stale, ReasonIs("ETAG_MISMATCH"));
  v1::ListAttributeDefinitionsRequest list;
  list.set_parent(kAcme);
  CLM_ASSERT_OK_AND_ASSIGN(const auto listed,
                           Call(*main_.contacts, &Contacts::ListAttributeDefinitions, list));
  ASSERT_EQ(listed.attribute_definitions_size(), 1);
  EXPECT_EQ(listed.attribute_definitions(0).DebugString(), renamed.DebugString());
  update.mutable_attribute_definition()->set_etag(renamed.etag());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateAttributeDefinition, update));
  update.mutable_attribute_definition()->clear_etag();
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateAttributeDefinition, update));
  update.mutable_attribute_definition()->set_etag("seven");
  EXPECT_THAT(Call(*main_.contacts, &Contacts::UpdateAttributeDefinition, update),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("attribute_definition.etag")));
}

TEST_F(ContactTest, AttributesHaveTypesAHistoryAndFilters) {
  v1::CreateAttributeDefinitionRequest define;
  define.set_parent(kAcme);
  define.set_attribute_id("plan");
  define.mutable_attribute_definition()->set_type(v1::AttributeDefinition::TYPE_STRING);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define));
  EXPECT_THAT(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define),
              ReasonIs("ATTRIBUTE_EXISTS"));

  auto request = NewContact("ada@example.com");
  auto& attributes = *request.mutable_contact()->mutable_attributes();
  attributes["plan"].set_int64_value(7);
  EXPECT_THAT(Call(*main_.contacts, &Contacts::CreateContact, request),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("attributes.plan")));
  attributes["plan"].set_string_value("pro");
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada,
                           Call(*main_.contacts, &Contacts::CreateContact, request));
  CLM_ASSERT_OK(Create("bob@example.com"));

  // A server that has not met the definition yet reads it all the same.
  ContactServer other(database_);
  v1::GetContactRequest get;
  get.set_name(ada.name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto read, Call(*other.contacts, &Contacts::GetContact, get));
  EXPECT_EQ(read.attributes().at("plan").string_value(), "pro");

  v1::ListContactsRequest list;
  list.set_parent(kAcme);
  list.set_filter("attributes.plan = \"pro\" AND email = \"ADA@example.com\"");
  list.set_include_total_size(true);
  CLM_ASSERT_OK_AND_ASSIGN(const auto found, Call(*main_.contacts, &Contacts::ListContacts, list));
  ASSERT_EQ(found.contacts_size(), 1);
  EXPECT_EQ(found.contacts(0).name(), ada.name());
  EXPECT_EQ(found.total_size(), 1);
  list.set_filter("attributes.shoe = 1");
  EXPECT_THAT(Call(*main_.contacts, &Contacts::ListContacts, list),
              StatusIs(StatusCode::kInvalidArgument));

  v1::UpdateContactRequest update;
  update.mutable_contact()->set_name(ada.name());
  update.mutable_update_mask()->add_paths("attributes.plan");
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  v1::ListAttributeHistoryRequest history;
  history.set_parent(ada.name());
  history.set_attribute("plan");
  CLM_ASSERT_OK_AND_ASSIGN(const auto entries,
                           Call(*main_.contacts, &Contacts::ListAttributeHistory, history));
  ASSERT_EQ(entries.entries_size(), 2);
  EXPECT_FALSE(entries.entries(0).has_value());
  EXPECT_EQ(entries.entries(1).value().string_value(), "pro");
}

TEST_F(ContactTest, FormerValuesOfFieldsAreKeptWithTheReason) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  v1::UpdateContactRequest update;
  update.mutable_contact()->set_name(ada.name());
  update.mutable_contact()->set_email("countess@example.org");
  (*update.mutable_contact()->mutable_external_ids())["shop"] = "7";
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  update.mutable_contact()->clear_email();
  update.mutable_update_mask()->add_paths("email");
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  v1::ContactVerbRequest verb;
  verb.set_name(ada.name());
  verb.set_reason("Ada asked for it");
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::BlockContact, verb));

  // "former > value, reason", newest first.
  const auto history = [&](const std::string& field) {
    v1::ListAttributeHistoryRequest request;
    request.set_parent(ada.name());
    request.set_attribute(field);
    const auto entries = Call(*main_.contacts, &Contacts::ListAttributeHistory, request);
    CLM_EXPECT_OK(entries);
    std::string all;
    if (!entries.ok()) return all;
    for (const auto& e : entries->entries()) {
      EXPECT_EQ(e.attribute(), field);
      absl::StrAppend(&all, e.former_value().string_value(), ">", e.value().string_value(), ",",
                      e.reason(), ";");
    }
    return all;
  };
  EXPECT_EQ(history("email"), "countess@example.org>,;ada@example.com>countess@example.org,;");
  EXPECT_EQ(history("external_ids.shop"), ">7,;");
  EXPECT_EQ(history("status"), "ACTIVE>BLOCKED,Ada asked for it;");
  EXPECT_EQ(history("family_name"), "");
  EXPECT_EQ(TablesWith("asked for it"), "attribute_change");

  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(TablesWith("countess@"), "");
  EXPECT_EQ(TablesWith("asked for it"), "");
}

TEST_F(ContactTest, AnAttributeThatIsCalledLikeAFieldHasAHistoryOfItsOwn) {
  for (const char* id : {"status", "plan"}) {
    v1::CreateAttributeDefinitionRequest define;
    define.set_parent(kAcme);
    define.set_attribute_id(id);
    define.mutable_attribute_definition()->set_type(v1::AttributeDefinition::TYPE_STRING);
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define));
  }
  auto request = NewContact("ada@example.com");
  (*request.mutable_contact()->mutable_attributes())["status"].set_string_value("gold");
  (*request.mutable_contact()->mutable_attributes())["plan"].set_string_value("pro");
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada,
                           Call(*main_.contacts, &Contacts::CreateContact, request));
  v1::ContactVerbRequest verb;
  verb.set_name(ada.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::BlockContact, verb));
  const auto history = [&](const std::string& attribute) {
    v1::ListAttributeHistoryRequest list;
    list.set_parent(ada.name());
    list.set_attribute(attribute);
    const auto entries = Call(*main_.contacts, &Contacts::ListAttributeHistory, list);
    CLM_EXPECT_OK(entries);
    std::vector<std::string> all;
    if (!entries.ok()) return all;
    for (const auto& entry : entries->entries()) {
      all.push_back(absl::StrCat(entry.attribute(), "=", entry.value().string_value()));
    }
    return all;
  };
  EXPECT_THAT(history("status"), ElementsAre("status=BLOCKED"));
  EXPECT_THAT(history("attributes.status"), ElementsAre("attributes.status=gold"));
  EXPECT_THAT(history("plan"), ElementsAre("plan=pro"));
  EXPECT_THAT(history("attributes.plan"), ElementsAre("plan=pro"));
  EXPECT_THAT(history(""),
              UnorderedElementsAre("status=BLOCKED", "attributes.status=gold", "plan=pro"));
}

TEST_F(ContactTest, AttributesThatNoEventCanTellAreRefusedByName) {
  auto request = NewContact("ada@example.com");
  auto& attributes = *request.mutable_contact()->mutable_attributes();
  for (int i = 0; i < 45; ++i) {
    v1::CreateAttributeDefinitionRequest define;
    define.set_parent(kAcme);
    define.set_attribute_id(absl::StrCat("set", i));
    define.mutable_attribute_definition()->set_type(v1::AttributeDefinition::TYPE_STRING_SET);
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define));
    auto& values = *attributes[define.attribute_id()].mutable_string_set_value();
    for (int n = 0; n < 100; ++n) {
      values.add_values(absl::StrCat(std::string(240, 'x'), i, ".", n));
    }
  }
  // 42 of them an event could tell, but not another change of their contact besides.
  for (const int too_many : {45, 42}) {
    for (int i = too_many; i < 45; ++i) attributes.erase(absl::StrCat("set", i));
    EXPECT_THAT(Call(*main_.contacts, &Contacts::CreateContact, request),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("contact.attributes: ")));
  }
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 0);
  for (int i = 40; i < 42; ++i) attributes.erase(absl::StrCat("set", i));
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada,
                           Call(*main_.contacts, &Contacts::CreateContact, request));

  // Who has had too many from before there was a limit takes every change that adds none.
  CLM_ASSERT_OK(pg::AdminExec(
      database_.admin_dsn,
      "UPDATE contact SET attributes = attributes || (SELECT jsonb_object_agg('set' || n, "
      "attributes->'set0') FROM generate_series(40, 44) AS n)"));
  v1::ContactVerbRequest verb;
  verb.set_name(ada.name());
  CLM_EXPECT_OK(Call(*main_.contacts, &Contacts::BlockContact, verb));
  v1::RecordConsentRequest consent;
  consent.set_contact(ada.name());
  consent.mutable_consent_act()->set_purpose("marketing");
  consent.mutable_consent_act()->set_state(v1::ConsentAct::STATE_DENIED);
  CLM_EXPECT_OK(Call(*main_.consent, &Consent::RecordConsent, consent));
  v1::UpdateContactRequest update;
  update.mutable_contact()->set_name(ada.name());
  update.mutable_contact()->set_family_name("Lovelace");
  CLM_EXPECT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  (*update.mutable_contact()->mutable_attributes())["set1"].mutable_string_set_value()->add_values(
      "x");
  EXPECT_THAT(Call(*main_.contacts, &Contacts::UpdateContact, update),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("contact.attributes: ")));
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_EXPECT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
}

TEST_F(ContactTest, PagesCoverEverybodyOnceAndTokensBelongToTheirList) {
  for (int i = 0; i < 5; ++i) CLM_ASSERT_OK(Create(absl::StrCat("p", i, "@example.com")));
  v1::ListContactsRequest list;
  list.set_parent(kAcme);
  list.set_page_size(2);
  std::vector<std::string> emails;
  do {
    CLM_ASSERT_OK_AND_ASSIGN(const auto page, Call(*main_.contacts, &Contacts::ListContacts, list));
    for (const auto& contact : page.contacts()) emails.push_back(contact.email());
    list.set_page_token(page.next_page_token());
    if (emails.size() == 2) {
      for (const std::string& wrong : {std::string(kGlobex), std::string(kAcme)}) {
        v1::ListContactsRequest other = list;
        other.set_parent(wrong);
        if (wrong == kAcme) other.set_filter("email = \"x@example.com\"");
        EXPECT_THAT(Call(*main_.contacts, &Contacts::ListContacts, other),
                    StatusIs(StatusCode::kInvalidArgument, HasSubstr("page_token")));
      }
    }
  } while (!list.page_token().empty());
  EXPECT_THAT(emails, ElementsAre("p0@example.com", "p1@example.com", "p2@example.com",
                                  "p3@example.com", "p4@example.com"));
  list.set_order_by("name desc");
  CLM_ASSERT_OK_AND_ASSIGN(const auto last, Call(*main_.contacts, &Contacts::ListContacts, list));
  ASSERT_EQ(last.contacts_size(), 2);
  EXPECT_EQ(last.contacts(0).email(), "p4@example.com");
  EXPECT_EQ(last.contacts(1).email(), "p3@example.com");
  list.set_order_by("create_time desc");
  EXPECT_THAT(Call(*main_.contacts, &Contacts::ListContacts, list),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("order_by")));
}

TEST_F(ContactTest, PagesOfAttributesCoverAllOnce) {
  for (const char* id : {"tier", "plan", "size"}) {
    v1::CreateAttributeDefinitionRequest define;
    define.set_parent(kAcme);
    define.set_attribute_id(id);
    define.mutable_attribute_definition()->set_type(v1::AttributeDefinition::TYPE_STRING);
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define));
  }
  v1::ListAttributeDefinitionsRequest list;
  list.set_parent(kAcme);
  list.set_page_size(2);
  CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                           Call(*main_.contacts, &Contacts::ListAttributeDefinitions, list));
  ASSERT_EQ(first.attribute_definitions_size(), 2);
  EXPECT_EQ(first.attribute_definitions(1).name(), absl::StrCat(kAcme, "/attributes/size"));
  list.set_page_token(first.next_page_token());
  CLM_ASSERT_OK_AND_ASSIGN(const auto second,
                           Call(*main_.contacts, &Contacts::ListAttributeDefinitions, list));
  ASSERT_EQ(second.attribute_definitions_size(), 1);
  EXPECT_EQ(second.attribute_definitions(0).name(), absl::StrCat(kAcme, "/attributes/tier"));
  EXPECT_EQ(second.next_page_token(), "");
}

class MergeTest : public ContactTest {
 protected:
  MergeTest() {
    const auto one = Create("ada@example.com");
    const auto two = Create("ada@work.example.com");
    EXPECT_TRUE(one.ok() && two.ok()) << one.status() << two.status();
    if (one.ok()) older_ = one->name();
    if (two.ok()) younger_ = two->name();
  }
  absl::StatusOr<v1::MergeContactsResponse> Merge() {
    v1::MergeContactsRequest request;
    request.set_primary(older_);
    request.set_duplicate(younger_);
    return Call(*main_.contacts, &Contacts::MergeContacts, request);
  }
  absl::StatusOr<v1::Contact> Lookup(const std::string& email) {
    v1::LookupContactRequest request;
    request.set_parent(kAcme);
    request.set_type("email");
    request.set_value(email);
    return Call(*main_.contacts, &Contacts::LookupContact, request);
  }
  absl::StatusOr<v1::IngestEventsResponse> PageView(const std::string& contact) {
    v1::IngestEventsRequest request;
    request.set_parent(kAcme);
    auto* event = request.add_events();
    event->set_contact(contact);
    event->set_type("page_view");
    ToProto(absl::Now() - absl::Hours(1), event->mutable_occur_time());
    return Call(*main_.timeline, &Timeline::IngestEvents, request);
  }
  int64_t Events(const std::string& contact) {
    v1::ListEventsRequest request;
    request.set_parent(contact);
    const auto events = Call(*main_.timeline, &Timeline::ListEvents, request);
    EXPECT_TRUE(events.ok()) << events.status();
    return events.ok() ? events->events_size() : -1;
  }

  std::string older_;
  std::string younger_;
};

TEST_F(MergeTest, AnAliasResolvesForReadsAndWrites) {
  CLM_ASSERT_OK(PageView(younger_));
  CLM_ASSERT_OK_AND_ASSIGN(const auto merged, Merge());
  EXPECT_EQ(merged.contact().name(), older_);
  EXPECT_THAT(merged.contact().aliases(), ElementsAre(younger_));
  CLM_ASSERT_OK_AND_ASSIGN(const auto by_alias, Get(younger_));
  EXPECT_EQ(by_alias.SerializeAsString(), merged.contact().SerializeAsString());
  for (const char* email : {"ada@example.com", "ada@work.example.com"}) {
    CLM_ASSERT_OK_AND_ASSIGN(const auto found, Lookup(email));
    EXPECT_EQ(found.name(), older_);
  }
  CLM_ASSERT_OK_AND_ASSIGN(const auto late, PageView(younger_));
  EXPECT_EQ(late.results(0).contact(), older_) << late.DebugString();
  EXPECT_EQ(Events(older_), 2);
  EXPECT_EQ(Events(younger_), 2);

  v1::UpdateContactRequest update;
  update.mutable_contact()->set_name(younger_);
  update.mutable_contact()->set_family_name("Lovelace");
  CLM_ASSERT_OK_AND_ASSIGN(const auto updated,
                           Call(*main_.contacts, &Contacts::UpdateContact, update));
  EXPECT_EQ(updated.name(), older_);
  EXPECT_EQ(updated.family_name(), "Lovelace");
  // The address of the alias is taken, by the survivor.
  const auto taken = Create("ada@work.example.com");
  EXPECT_EQ(error::MetadataValue(taken.status(), "contact"), older_) << taken.status();
  // Aliases are not listed.
  v1::ListContactsRequest list;
  list.set_parent(kAcme);
  CLM_ASSERT_OK_AND_ASSIGN(const auto all, Call(*main_.contacts, &Contacts::ListContacts, list));
  EXPECT_EQ(all.contacts_size(), 1);
}

TEST_F(MergeTest, MergingAgainChangesNothing) {
  CLM_ASSERT_OK(Merge());
  const int64_t journal = Count("SELECT count(*) FROM journal");
  const auto again = Merge();
  if (again.ok()) {
    EXPECT_EQ(again->contact().name(), older_);
  } else {
    EXPECT_THAT(again, StatusIs(StatusCode::kFailedPrecondition));
  }
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), journal);
  EXPECT_EQ(Count("SELECT count(*) FROM merge"), 1);
}

TEST_F(MergeTest, TheErasedSurvivorLeavesNothingOfItsAliases) {
  v1::CreateAttributeDefinitionRequest define;
  define.set_parent(kAcme);
  define.set_attribute_id("nick");
  define.mutable_attribute_definition()->set_type(v1::AttributeDefinition::TYPE_STRING);
  define.mutable_attribute_definition()->set_personal(true);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define));
  for (const std::string& name : {older_, younger_}) {
    v1::UpdateContactRequest update;
    update.mutable_contact()->set_name(name);
    update.mutable_contact()->set_family_name("Lovelace");
    update.mutable_contact()->set_phone(name == older_ ? "+4930123456" : "+4930123457");
    (*update.mutable_contact()->mutable_attributes())["nick"].set_string_value("ada@nick");
    update.set_request_id(Uuid::V7(absl::Now()).ToString());
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  }
  for (const char* channel : {"phone", "sms"}) {
    v1::SuppressAddressRequest suppress;
    suppress.set_parent(kAcme);
    suppress.mutable_suppression()->set_channel(channel);
    suppress.mutable_suppression()->set_address("+4930123457");
    suppress.mutable_suppression()->set_reason(v1::Suppression::REASON_COMPLAINT);
    CLM_ASSERT_OK(Call(*main_.consent, &Consent::SuppressAddress, suppress));
  }
  EXPECT_EQ(TablesWith("ada@"), "attribute_change contact contact_identifier request");
  CLM_ASSERT_OK(Merge());
  v1::EraseContactRequest erase;
  erase.set_name(younger_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto erased,
                           Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(erased.name(), older_);
  EXPECT_EQ(erased.status(), v1::Contact::STATUS_ERASED);
  for (const char* email : {"ada@example.com", "ada@work.example.com"}) {
    EXPECT_THAT(Create(email), ReasonIs("ADDRESS_ERASED"));
    EXPECT_THAT(Lookup(email), StatusIs(StatusCode::kNotFound));
  }
  for (const char* text : {"ada@", "Lovelace", "4930123456", "4930123457"}) {
    EXPECT_EQ(TablesWith(text), "") << text;
  }
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier"), 0);
}

// Mutations that arrive together share a transaction: what those before a merge or an erase stage,
// answer and record must be taken along, or be gone.
class TogetherTest : public ContactTest {
 protected:
  using Apply = journal::MutationOf<ContactWork>::ApplyFn;

  TogetherTest() : pool_(pg::NewPool({.dsn = database_.app_dsn, .size = 1})) {
    journal::Lanes::Options options;
    options.pool = pool_.get();
    options.clock = &clock_;
    options.executors = 1;
    options.new_work = [] {
      return std::make_unique<ContactWork>(std::string(32, 's'), nullptr, nullptr);
    };
    lanes_ = std::make_unique<journal::Lanes>(std::move(options));
  }
  EntityKey Key(const absl::StatusOr<v1::Contact>& contact) {
    return *ParseEntityName("name", kContacts, contact->name());
  }
  static IngestBatch Telling(const EntityKey& key, const std::string& email) {
    IngestBatch batch;
    batch.tenant = key.tenant;
    batch.items.emplace_back();
    IngestItem& item = batch.items[0];
    item.target = key;
    item.hold = {{kEmailType, email}, {"shop", "ada@shop"}};
    item.learns = true;
    item.event.event_id = Uuid::V7(absl::Now());
    item.event.type = "page_view";
    item.event.occur_time = absl::Now() - absl::Hours(1);
    item.event.properties["who"] = std::string("ada@properties");
    item.event.channel = "ada@channel";
    return batch;
  }
  static absl::Status EraseAll(ContactWork& work, journal::Recorder& recorder,
                               const EntityKey& key) {
    CLM_ASSIGN_OR_RETURN(Change change,
                         Erase(*work.FindContact(key), ContactRules(), recorder.now()));
    change.identifiers_removed.clear();
    for (const auto& held : work.Identifiers(key)) {
      change.identifiers_removed.push_back(held.identifier);
    }
    CLM_RETURN_IF_ERROR(Commit(work, recorder, change, "test", "api"));
    work.Purge(key, change.identifiers_removed, true, "");
    return absl::OkStatus();
  }
  static absl::Status SetEmail(ContactWork& work, journal::Recorder& recorder, const EntityKey& key,
                               const std::string& email) {
    ContactPatch patch;
    patch.email = email;
    CLM_ASSIGN_OR_RETURN(const Change change,
                         Update(*work.FindContact(key), patch, ContactRules(), recorder.now()));
    return Commit(work, recorder, change, "test", "api");
  }
  // First `batch`, then `apply`, which has the surroundings of `keys`.
  void Run(const IngestBatch& batch, const std::vector<EntityKey>& keys, Apply apply) {
    std::vector<absl::Status> outcomes(2, absl::UnknownError("not told"));
    const auto info_of = [&](int i) {
      journal::MutationInfo info;
      info.tenant = keys[0].tenant;
      for (const auto& key : keys) info.shards.set(ShardOf(key.tenant, key.id));
      info.aggregate = keys[0].id;
      info.request_id = Uuid::V7(absl::Now() + absl::Seconds(i)).ToString();
      return info;
    };
    const auto done = [&](int i) {
      return [&outcomes, i](const absl::StatusOr<journal::Answer>& answer) {
        outcomes[i] = answer.status();
      };
    };
    std::vector<std::unique_ptr<journal::Mutation>> together;
    together.push_back(std::make_unique<journal::MutationOf<ContactWork>>(
        info_of(0), [&](ContactWork& work) { DeclareIngest(batch, work); },
        [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          CLM_ASSIGN_OR_RETURN(const auto response, ApplyIngest(batch, work, recorder));
          EXPECT_EQ(response.results(0).status().code(), 0) << response.DebugString();
          return std::string("ada@answer");
        },
        done(0)));
    together.push_back(std::make_unique<journal::MutationOf<ContactWork>>(
        info_of(1),
        [&](ContactWork& work) {
          for (const auto& key : keys) work.NeedSurroundings(key);
        },
        std::move(apply), done(1)));
    lanes_->Submit(std::move(together));
    lanes_->Drain();
    for (const auto& outcome : outcomes) CLM_EXPECT_OK(outcome);
  }

  SystemClock clock_;
  const std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<journal::Lanes> lanes_;
};

TEST_F(TogetherTest, AnEraseTakesWhatItsOwnTransactionHasWritten) {
  const EntityKey ada = Key(Create("ada@example.com"));
  Run(Telling(ada, "ada@example.com"), {ada},
      [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(EraseAll(work, recorder, ada));
        return std::string();
      });
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM tombstone"), 2);
  EXPECT_EQ(TablesWith("ada@"), "");
}

TEST_F(TogetherTest, AnEraseTakesTheAddressThatItsOwnTransactionTookOver) {
  const EntityKey ada = Key(Create("ada@example.com"));
  const EntityKey bob = Key(Create("bob@example.com"));
  Run(Telling(bob, "bob@example.com"), {ada, bob},
      [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(SetEmail(work, recorder, bob, ""));
        CLM_RETURN_IF_ERROR(SetEmail(work, recorder, ada, "bob@example.com"));
        CLM_RETURN_IF_ERROR(EraseAll(work, recorder, ada));
        return std::string();
      });
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier WHERE type = 'email'"), 0);
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier"), 1);
  EXPECT_THAT(Create("bob@example.com"), ReasonIs("ADDRESS_ERASED"));
}

TEST_F(TogetherTest, AMergeTakesAlongWhatItsOwnTransactionHasWritten) {
  const EntityKey ada = Key(Create("ada@example.com"));
  const EntityKey other = Key(Create("ada@work.example.com"));
  Run(Telling(other, "ada@work.example.com"), {ada, other},
      [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(MergeInto(work, recorder, ada, other, false, "test").status());
        return std::string();
      });
  const std::string of_ada = absl::StrCat(" WHERE contact_id = '", ada.id.ToString(), "'");
  EXPECT_EQ(Count("SELECT count(*) FROM event" + of_ada), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier" + of_ada), 3);
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier"), 3);
}

TEST_F(ContactTest, AnErasedPersonIsGoneFromRowsAnswersAndJournal) {
  auto request = NewContact("ada@example.com");
  request.set_request_id(kRequestId);
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada,
                           Call(*main_.contacts, &Contacts::CreateContact, request));
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  CLM_ASSERT_OK_AND_ASSIGN(const auto gone, Get(ada.name()));
  EXPECT_EQ(gone.email() + gone.given_name(), "");
  EXPECT_THAT(Create("ada@example.com"), ReasonIs("ADDRESS_ERASED"));
  EXPECT_THAT(Call(*main_.contacts, &Contacts::UpsertContact, UpsertOf("ada@example.com", "Ada")),
              ReasonIs("ADDRESS_ERASED"));
  for (const char* table : {"journal", "request", "contact", "tombstone", "suppression"}) {
    EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM ", table, " t WHERE t::text LIKE '%",
                                 "ada@example.com%' OR t::text LIKE '%6164614065786d%'")),
              0)
        << table;
  }
  // The stored answer held the address in its bytes.
  EXPECT_EQ(Count("SELECT count(*) FROM request WHERE position('ada@'::bytea IN response) > 0"), 0);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE position('ada@'::bytea IN event) > 0"), 0);
}

TEST_F(ContactTest, ARepeatedEraseIsAnsweredAsTheFirstTime) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  erase.set_request_id(kRequestId);
  bool replayed = true;
  CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                           Call(*main_.contacts, &Contacts::EraseContact, erase, &replayed));
  EXPECT_FALSE(replayed);
  const int64_t journal = Count("SELECT count(*) FROM journal");
  CLM_ASSERT_OK_AND_ASSIGN(const auto again,
                           Call(*main_.contacts, &Contacts::EraseContact, erase, &replayed));
  EXPECT_TRUE(replayed);
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), journal);
  CLM_ASSERT_OK_AND_ASSIGN(const auto stored, Get(ada.name()));
  EXPECT_EQ(stored.etag(), first.etag());
}

TEST_F(MergeTest, TheExportHoldsEverything) {
  CLM_ASSERT_OK(PageView(older_));
  v1::RecordConsentRequest consent;
  consent.set_contact(older_);
  consent.mutable_consent_act()->set_purpose("marketing");
  consent.mutable_consent_act()->set_state(v1::ConsentAct::STATE_DENIED);
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::RecordConsent, consent));
  v1::SuppressAddressRequest suppress;
  suppress.set_parent(kAcme);
  suppress.mutable_suppression()->set_channel("email");
  suppress.mutable_suppression()->set_address("ada@example.com");
  suppress.mutable_suppression()->set_reason(v1::Suppression::REASON_COMPLAINT);
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::SuppressAddress, suppress));
  v1::CreateAcquisitionCostRequest cost;
  cost.set_parent(kAcme);
  cost.mutable_acquisition_cost()->set_contact(older_);
  cost.mutable_acquisition_cost()->set_start_date("2026-01-01");
  cost.mutable_acquisition_cost()->set_end_date("2026-01-31");
  cost.mutable_acquisition_cost()->set_amount_minor(500);
  cost.mutable_acquisition_cost()->set_currency("EUR");
  CLM_ASSERT_OK(Call(*main_.timeline, &Timeline::CreateAcquisitionCost, cost));
  v1::ExportContactRequest request;
  request.set_name(older_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto all,
                           Call(*main_.contacts, &Contacts::ExportContact, request));
  EXPECT_EQ(all.contact().email(), "ada@example.com");
  EXPECT_EQ(all.events_size(), 1);
  EXPECT_EQ(all.consents_size(), 1);
  EXPECT_EQ(all.suppressions_size(), 1);
  EXPECT_EQ(all.acquisition_costs_size(), 1);
}

TEST_F(MergeTest, TheExportHoldsWhatAMergeAdded) {
  v1::CreateAttributeDefinitionRequest define;
  define.set_parent(kAcme);
  define.set_attribute_id("plan");
  define.mutable_attribute_definition()->set_type(v1::AttributeDefinition::TYPE_STRING);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define));
  v1::UpdateContactRequest update;
  update.mutable_contact()->set_name(younger_);
  update.mutable_contact()->set_family_name("King");
  (*update.mutable_contact()->mutable_attributes())["plan"].set_string_value("pro");
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  update.mutable_contact()->set_name(older_);
  update.mutable_contact()->set_family_name("Lovelace");
  (*update.mutable_contact()->mutable_attributes())["plan"].set_string_value("basic");
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  CLM_ASSERT_OK(Merge());
  v1::ExportContactRequest request;
  request.set_name(older_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto all,
                           Call(*main_.contacts, &Contacts::ExportContact, request));
  std::vector<std::string> addresses;
  for (const auto& identifier : all.identifiers()) {
    addresses.push_back(absl::StrCat(identifier.type(), ":", identifier.value()));
    EXPECT_TRUE(identifier.has_first_seen_time());
  }
  EXPECT_THAT(addresses,
              UnorderedElementsAre("email:ada@example.com", "email:ada@work.example.com"));
  // The record shows one address; what the other one's record and history said is held as well.
  EXPECT_EQ(all.contact().email(), "ada@example.com");
  EXPECT_EQ(all.contact().family_name(), "Lovelace");
  ASSERT_EQ(all.merged_contacts_size(), 1);
  EXPECT_EQ(all.merged_contacts(0).name(), younger_);
  EXPECT_EQ(all.merged_contacts(0).family_name(), "King");
  std::vector<std::string> plans;
  for (const auto& entry : all.history()) {
    if (entry.attribute() == "plan") plans.push_back(entry.value().string_value());
  }
  EXPECT_THAT(plans, UnorderedElementsAre("basic", "pro"));
}

class ExportTest : public ContactTest {
 protected:
  // `count` events of about 28 KB, three of them at one instant.
  void AddEvents(const std::string& contact, int count) {
    constexpr int kAtOnce = 50;
    for (int done = 0; done < count; done += kAtOnce) {
      v1::IngestEventsRequest request;
      request.set_parent(kAcme);
      for (int i = done; i < std::min(done + kAtOnce, count); ++i) {
        auto* event = request.add_events();
        event->set_contact(contact);
        event->set_event_id(Uuid::V7(absl::Now()).ToString());
        event->set_type("page_view");
        event->mutable_occur_time()->set_seconds(1'760'000'000 + i / 3);
        for (const char* key : {"a", "b", "c", "d", "e", "f", "g"}) {
          (*event->mutable_properties())[key].set_string_value(std::string(4'000, 'x'));
        }
      }
      CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                               Call(*main_.timeline, &Timeline::IngestEvents, request));
      for (const auto& result : response.results()) ASSERT_EQ(result.status().code(), 0);
    }
  }
  absl::StatusOr<std::vector<v1::ExportContactResponse>> Parts(const std::string& contact) const {
    grpc::ClientContext context;
    rpc::PrepareContext({.service = "clm-test", .token = ""}, absl::Seconds(60), &context);
    v1::ExportContactRequest request;
    request.set_name(contact);
    const auto reader = main_.contacts->StreamContactExport(&context, request);
    std::vector<v1::ExportContactResponse> parts;
    for (v1::ExportContactResponse part; reader->Read(&part);) parts.push_back(part);
    const absl::Status status = rpc::FromGrpc(reader->Finish());
    if (!status.ok()) return status;
    return parts;
  }
};

TEST_F(ExportTest, WhatIsTooLargeForAMessageIsSentInParts) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  constexpr int kEvents = 202;  // More than two pages of the store.
  AddEvents(ada.name(), kEvents);
  v1::ExportContactRequest request;
  request.set_name(ada.name());
  const auto refused = Call(*main_.contacts, &Contacts::ExportContact, request);
  EXPECT_THAT(refused, StatusIs(StatusCode::kFailedPrecondition, HasSubstr("StreamContactExport")));
  EXPECT_THAT(refused, ReasonIs("EXPORT_TOO_LARGE"));

  CLM_ASSERT_OK_AND_ASSIGN(const auto parts, Parts(ada.name()));
  v1::ExportContactResponse whole;
  std::set<std::string> events;
  for (const auto& part : parts) {
    EXPECT_LT(part.ByteSizeLong(), 1u << 20);
    EXPECT_EQ(part.has_export_time(), &part == &parts.back());
    for (const auto& event : part.events()) events.insert(event.event_id());
    whole.MergeFrom(part);
  }
  EXPECT_GT(whole.ByteSizeLong(), 4u << 20);
  EXPECT_EQ(whole.contact().email(), "ada@example.com");
  EXPECT_EQ(whole.events_size(), kEvents);
  EXPECT_EQ(events.size(), static_cast<size_t>(kEvents));
  EXPECT_EQ(whole.identifiers_size(), 1);
}

TEST_F(ExportTest, ThePartsMergedAreTheMessage) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  AddEvents(ada.name(), 20);
  v1::ExportContactRequest request;
  request.set_name(ada.name());
  CLM_ASSERT_OK_AND_ASSIGN(auto message, Call(*main_.contacts, &Contacts::ExportContact, request));
  CLM_ASSERT_OK_AND_ASSIGN(const auto parts, Parts(ada.name()));
  EXPECT_GT(parts.size(), 1u);
  v1::ExportContactResponse whole;
  for (const auto& part : parts) whole.MergeFrom(part);
  whole.clear_export_time();
  message.clear_export_time();
  EXPECT_EQ(whole.DebugString(), message.DebugString());
  EXPECT_EQ(whole.events_size(), 20);
}

TEST_F(ExportTest, NobodyElsesAndNoneThatIsNotThere) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  const std::string id = ada.name().substr(ada.name().rfind('/') + 1);
  EXPECT_THAT(Parts(absl::StrCat(kGlobex, "/contacts/", id)), StatusIs(StatusCode::kNotFound));
}

// Redis is a cache: with it, without it and after its death the answers are the same.
TEST_F(ContactTest, TheAnswersAreTheSameWhenRedisDies) {
  clm::testing::RedisServer redis;
  ContactServer cached(database_, redis.url());
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Call(*cached.contacts, &Contacts::CreateContact,
                                                NewContact("ada@example.com")));
  v1::GetContactRequest get;
  get.set_name(ada.name());
  const auto same_everywhere = [&](const v1::Contact& expected) {
    for (int twice = 0; twice < 2; ++twice) {
      CLM_ASSERT_OK_AND_ASSIGN(const auto read, Call(*cached.contacts, &Contacts::GetContact, get));
      EXPECT_EQ(read.SerializeAsString(), expected.SerializeAsString());
    }
  };
  same_everywhere(ada);
  v1::UpdateContactRequest update;
  update.mutable_contact()->set_name(ada.name());
  update.mutable_contact()->set_family_name("Lovelace");
  CLM_ASSERT_OK_AND_ASSIGN(auto updated, Call(*cached.contacts, &Contacts::UpdateContact, update));
  same_everywhere(updated);
  redis->Kill();
  same_everywhere(updated);
  update.mutable_contact()->set_family_name("King");
  CLM_ASSERT_OK_AND_ASSIGN(updated, Call(*cached.contacts, &Contacts::UpdateContact, update));
  same_everywhere(updated);
}

// Two processes of the service on one database; `main_` is a third.
class ContactNearCacheTest : public ContactTest {
 protected:
  static constexpr int kAllowed = 5;

  static absl::StatusOr<v1::Contact> Get(const ContactServer& server, const std::string& name,
                                         int max_staleness = 0) {
    v1::GetContactRequest request;
    request.set_name(name);
    if (max_staleness > 0) request.mutable_max_staleness()->set_seconds(max_staleness);
    return Call(*server.contacts, &Contacts::GetContact, request);
  }
  static std::string NameSeen(const ContactServer& server, const std::string& name,
                              int max_staleness = 0) {
    const auto contact = Get(server, name, max_staleness);
    EXPECT_TRUE(contact.ok()) << contact.status();
    return contact.ok() ? contact->given_name() : "";
  }
  static void Rename(const ContactServer& server, const std::string& name,
                     const std::string& given_name) {
    v1::UpdateContactRequest update;
    update.mutable_contact()->set_name(name);
    update.mutable_contact()->set_given_name(given_name);
    CLM_ASSERT_OK(Call(*server.contacts, &Contacts::UpdateContact, update));
  }

  void ChangeUnheard(const std::string& sql) {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    CLM_EXPECT_OK(pool->Transact({pg::Scope::Suite()},
                                 [&](pg::Tx& tx) { return tx.ExecDynamic(sql).status(); }));
  }

  ManualClock clock_{absl::Now()};
};

TEST_F(ContactNearCacheTest, AnAnswerIsAtMostAsOldAsItsCallerAllows) {
  const ContactServer near(database_, "", &clock_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  EXPECT_EQ(NameSeen(near, ada.name(), kAllowed), "Ada");
  // Past the journal, so that nothing but the clock ends what is remembered.
  ChangeUnheard("UPDATE contact SET given_name = 'Augusta'");
  EXPECT_EQ(NameSeen(near, ada.name(), kAllowed), "Ada");
  EXPECT_EQ(NameSeen(near, ada.name()), "Augusta");
  EXPECT_EQ(NameSeen(near, ada.name(), kAllowed), "Ada");
  clock_.Advance(absl::Seconds(kAllowed) + absl::Microseconds(1));
  EXPECT_EQ(NameSeen(near, ada.name(), kAllowed), "Augusta");
}

TEST_F(ContactNearCacheTest, WhatIsChangedThroughTheSameProcessIsReadAtOnce) {
  const ContactServer near(database_, "", &clock_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  EXPECT_EQ(NameSeen(near, ada.name(), kAllowed), "Ada");
  Rename(near, ada.name(), "Augusta");
  EXPECT_EQ(NameSeen(near, ada.name(), kAllowed), "Augusta");
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_ASSERT_OK(Call(*near.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(NameSeen(near, ada.name(), kAllowed), "");
}

TEST_F(ContactNearCacheTest, WhoWasMergedIsNotRemembered) {
  const ContactServer near(database_, "", &clock_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto twin, Create("twin@example.com"));
  EXPECT_EQ(Get(near, twin.name(), kAllowed)->name(), twin.name());
  v1::MergeContactsRequest merge;
  merge.set_primary(ada.name());
  merge.set_duplicate(twin.name());
  CLM_ASSERT_OK(Call(*near.contacts, &Contacts::MergeContacts, merge));
  EXPECT_EQ(Get(near, twin.name(), kAllowed)->name(), ada.name());
  // By the old name neither: a change of the survivor would not end it.
  Rename(near, ada.name(), "Augusta");
  EXPECT_EQ(NameSeen(near, twin.name(), kAllowed), "Augusta");
}

TEST_F(ContactNearCacheTest, WhatAnotherProcessChangesIsReadSoonAfterItsRing) {
  clm::testing::RedisServer redis;
  // Time stands still: nothing grows too old by itself.
  const ContactServer near(database_, redis.url(), &clock_);
  const ContactServer other(database_, redis.url(), &clock_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  EXPECT_EQ(NameSeen(near, ada.name(), kAllowed), "Ada");
  Rename(other, ada.name(), "Augusta");
  EXPECT_TRUE(
      clm::testing::Eventually([&] { return NameSeen(near, ada.name(), kAllowed) == "Augusta"; }));
}

TEST_F(ContactNearCacheTest, WithoutMemoryForItNothingIsRemembered) {
  const ContactServer far(database_, "", &clock_, /*near_cache_mb=*/0);
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  EXPECT_EQ(NameSeen(far, ada.name(), kAllowed), "Ada");
  ChangeUnheard("UPDATE contact SET given_name = 'Augusta'");
  EXPECT_EQ(NameSeen(far, ada.name(), kAllowed), "Augusta");
}

TEST_F(ContactNearCacheTest, ABoundThatMeansNothingIsRefused) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  v1::GetContactRequest get;
  v1::GetCustomerContextRequest context;
  get.set_name(ada.name());
  context.set_name(ada.name());
  const auto expect_refused = [&] {
    *context.mutable_max_staleness() = get.max_staleness();
    context.set_consistency(get.consistency());
    EXPECT_THAT(Call(*main_.contacts, &Contacts::GetContact, get),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_staleness: ")));
    EXPECT_THAT(Call(*main_.contacts, &Contacts::GetCustomerContext, context),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_staleness: ")));
  };
  get.mutable_max_staleness()->set_nanos(-1);
  expect_refused();
  get.mutable_max_staleness()->set_seconds(60);
  get.mutable_max_staleness()->set_nanos(1);
  expect_refused();
  get.mutable_max_staleness()->set_nanos(0);
  CLM_EXPECT_OK(Call(*main_.contacts, &Contacts::GetContact, get));
  get.set_consistency(v1::CONSISTENCY_STRONG);
  expect_refused();
}

// The cache is told nothing of a contact that has come into being: nothing can be held of it.
TEST_F(ContactTest, AContactThatWasAskedForTooEarlyIsThereOnceItIsMade) {
  clm::testing::RedisServer redis;
  ContactServer cached(database_, redis.url());
  const std::string id = Uuid::V7(absl::Now()).ToString();
  v1::GetContactRequest get;
  get.set_name(absl::StrCat(kAcme, "/contacts/", id));
  EXPECT_THAT(Call(*cached.contacts, &Contacts::GetContact, get), StatusIs(StatusCode::kNotFound));
  v1::CreateContactRequest create = NewContact("ada@example.com");
  create.set_contact_id(id);
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada,
                           Call(*cached.contacts, &Contacts::CreateContact, create));
  for (int twice = 0; twice < 2; ++twice) {
    CLM_ASSERT_OK_AND_ASSIGN(const auto read, Call(*cached.contacts, &Contacts::GetContact, get));
    EXPECT_EQ(read.SerializeAsString(), ada.SerializeAsString());
  }
}

}  // namespace
}  // namespace clm::contact
