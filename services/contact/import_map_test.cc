#include "services/contact/import_map.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"
#include "libs/base/time_text.h"

namespace clm::contact {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);
const Uuid kSpace = *Uuid::Parse("0197a000-0000-7000-8000-000000000001");

const AttributeRegistry& Registry() {
  static const auto* const kRegistry = new AttributeRegistry{
      {"plan", {"plan", AttributeType::kEnum, "", {"free", "pro"}}},
      {"visits", {"visits", AttributeType::kInt64}},
      {"spent", {"spent", AttributeType::kDecimal}},
      {"note", {"note", AttributeType::kString}},
      {"vip", {"vip", AttributeType::kBool}},
      {"tags", {"tags", AttributeType::kStringSet}},
  };
  return *kRegistry;
}

// Maps every record of `file`.
template <class Row>
std::vector<absl::StatusOr<Row>> Map(ImportMapper& mapper, absl::string_view file,
                                     absl::StatusOr<Row> (ImportMapper::*map)(const ImportRecord&,
                                                                              absl::Time)) {
  std::vector<absl::StatusOr<Row>> rows;
  const auto sink = [&](const ImportRecord& record) {
    rows.push_back((mapper.*map)(record, kNow));
  };
  const auto reader = MakeImportReader({});
  EXPECT_TRUE(reader->Feed(file, sink).ok());
  EXPECT_TRUE(reader->Finish(sink).ok());
  return rows;
}

std::vector<absl::StatusOr<ContactRow>> Contacts(absl::string_view file,
                                                 const ImportOptions& options = {}) {
  EXPECT_TRUE(ValidateImportOptions(options).ok()) << ValidateImportOptions(options);
  ImportMapper mapper(options, {{}, &Registry()}, kSpace);
  return Map(mapper, file, &ImportMapper::MapContact);
}

std::vector<absl::StatusOr<EventRow>> Events(absl::string_view file, ImportOptions options = {}) {
  options.kind = ImportKind::kEvents;
  ImportMapper mapper(options, {{}, &Registry()}, kSpace);
  return Map(mapper, file, &ImportMapper::MapEvent);
}

std::vector<std::string> BadFields(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(status)) fields.push_back(field);
  return fields;
}

TEST(DefaultFieldTest, HeadersOfOtherToolsAreKnown) {
  const auto field = [](const char* header) { return DefaultField(ImportKind::kContacts, header); };
  for (const char* header : {"email", "Email Address", "EMAIL", "E-Mail", " e_mail "}) {
    EXPECT_EQ(field(header), "email") << header;
  }
  for (const char* header : {"First Name", "FIRSTNAME", "FNAME", "given_name", "first_name"}) {
    EXPECT_EQ(field(header), "given_name") << header;
  }
  EXPECT_EQ(field("Last Name"), "family_name");
  EXPECT_EQ(field("Phone Number"), "phone");
  EXPECT_EQ(field("SMS"), "phone");
  EXPECT_EQ(field("userId"), "external_ids.user_id");
  EXPECT_EQ(field("Create Date"), "create_time");
  EXPECT_EQ(field("attributes.plan"), "attributes.plan");
  EXPECT_EQ(field("external_ids.shopify"), "external_ids.shopify");
  EXPECT_EQ(field("external_ids.email"), "");
  EXPECT_EQ(field("MEMBER_RATING"), "");
  EXPECT_EQ(field("status"), "");
  EXPECT_EQ(DefaultField(ImportKind::kEvents, "Order Total"), "amount");
  EXPECT_EQ(DefaultField(ImportKind::kEvents, "identifiers.user_id"), "external_ids.user_id");
  EXPECT_EQ(DefaultField(ImportKind::kEvents, "First Name"), "");
}

TEST(ContactMapTest, ARowBecomesAPatch) {
  const auto rows = Contacts(
      "Email Address,First Name,Last Name,Language,Created At,attributes.visits,Rating\n"
      " ADA@Example.com ,Ada,Lovelace,en_GB,2020-02-29,7,5\n");
  ASSERT_THAT(rows, SizeIs(1));
  ASSERT_TRUE(rows[0].ok()) << rows[0].status();
  EXPECT_EQ(rows[0]->number, 1);
  EXPECT_EQ(rows[0]->key, (Identifier{"email", "ada@example.com"}));
  const auto change = Create({"acme", kSpace}, rows[0]->patch, {{}, &Registry()}, kNow);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_EQ(change->after.email, "ada@example.com");
  EXPECT_EQ(change->after.given_name, "Ada");
  EXPECT_EQ(change->after.family_name, "Lovelace");
  EXPECT_EQ(change->after.locale, "en-GB");
  EXPECT_EQ(change->after.create_time, *clm::ParseTime("2020-02-29T00:00:00Z"));
  EXPECT_THAT(change->after.attributes, ElementsAre(Pair("visits", AttributeValue(int64_t{7}))));
}

TEST(ContactMapTest, NamedColumnsWin) {
  ImportOptions options;
  options.columns = {{"Kontakt", "email"}, {"Email", ""}, {"Stufe", "attributes.plan"}};
  ImportMapper mapper(options, {{}, &Registry()}, kSpace);
  const auto rows = Map(mapper, "Kontakt,Email,E-Mail,Stufe,Alter\na@x.com,b@x.com,c@x.com,pro,7\n",
                        &ImportMapper::MapContact);
  ASSERT_TRUE(rows[0].ok()) << rows[0].status();
  EXPECT_EQ(rows[0]->patch.email, "a@x.com");
  EXPECT_EQ(rows[0]->patch.attributes.at("plan"), AttributeValue(std::string("pro")));
  EXPECT_THAT(mapper.IgnoredColumns(), ElementsAre("Alter", "E-Mail", "Email"));
  EXPECT_THAT(mapper.MissingColumns(), IsEmpty());
}

TEST(ContactMapTest, AColumnThatTheFileLacksIsTold) {
  ImportOptions options;
  options.columns = {{"Kontakt", "email"}};
  ImportMapper mapper(options, {}, kSpace);
  Map(mapper, "Kontact\na@x.com\n", &ImportMapper::MapContact);
  EXPECT_THAT(mapper.MissingColumns(), ElementsAre("Kontakt"));
}

TEST(ContactMapTest, EveryBadFieldOfARowIsNamedAndTheOthersGoOn) {
  const auto rows = Contacts(
      "email,phone,timezone,attributes.plan,attributes.visits,attributes.shoe,created\n"
      "nobody,12,Mars,gold,many,42,yesterday\n"
      "ada@example.com,,,,,,\n");
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_THAT(BadFields(rows[0].status()),
              UnorderedElementsAre("email", "phone", "timezone", "attributes.plan",
                                   "attributes.visits", "attributes.shoe", "create_time"));
  EXPECT_TRUE(rows[1].ok()) << rows[1].status();
}

TEST(ContactMapTest, ARowWithoutItsKeyIsRefused) {
  EXPECT_THAT(BadFields(Contacts("email,name\n,Ada\n")[0].status()), ElementsAre("email"));
  ImportOptions options;
  options.key = "external_ids.crm";
  const auto rows = Contacts("external_ids.crm,name\n7,Ada\n,Bob\nnull,Eve\n", options);
  ASSERT_TRUE(rows[0].ok()) << rows[0].status();
  EXPECT_EQ(rows[0]->key, (Identifier{"crm", "7"}));
  EXPECT_THAT(BadFields(rows[1].status()), ElementsAre("external_ids.crm"));
  EXPECT_THAT(BadFields(rows[2].status()), ElementsAre("external_ids.crm"));
}

TEST(ContactMapTest, ABlankFieldLeavesAloneUnlessItIsToClear) {
  const char* const file = "email,given_name,attributes.plan\na@x.com,,\n";
  auto rows = Contacts(file);
  EXPECT_EQ(rows[0]->patch.given_name, std::nullopt);
  EXPECT_THAT(rows[0]->patch.attributes, IsEmpty());
  ImportOptions options;
  options.blank_clears = true;
  rows = Contacts(file, options);
  EXPECT_EQ(rows[0]->patch.given_name, "");
  EXPECT_THAT(rows[0]->patch.attributes, ElementsAre(Pair("plan", std::nullopt)));
}

TEST(ContactMapTest, JsonNullAndEmptyTextClear) {
  const auto rows = Contacts(
      R"({"email":"a@x.com","given_name":null,"family_name":"","attributes":{"plan":null}})");
  ASSERT_TRUE(rows[0].ok()) << rows[0].status();
  EXPECT_EQ(rows[0]->patch.given_name, "");
  EXPECT_EQ(rows[0]->patch.family_name, "");
  EXPECT_THAT(rows[0]->patch.attributes, ElementsAre(Pair("plan", std::nullopt)));
}

TEST(ContactMapTest, JsonTypesMustFit) {
  const auto rows = Contacts(
      R"({"email":"a@x.com","attributes":{"visits":7,"spent":12.5,"vip":true,"tags":["b","a"]}})"
      "\n"
      R"({"email":"a@x.com","attributes":{"visits":"7","vip":"true","tags":"a","note":7}})"
      "\n"
      R"({"email":"a@x.com","attributes":{"spent":"12.50","visits":7.5}})");
  ASSERT_TRUE(rows[0].ok()) << rows[0].status();
  EXPECT_EQ(rows[0]->patch.attributes.at("visits"), AttributeValue(int64_t{7}));
  EXPECT_EQ(rows[0]->patch.attributes.at("spent"), AttributeValue(*Decimal::Parse("12.5")));
  EXPECT_EQ(rows[0]->patch.attributes.at("tags"), AttributeValue(StringSet{"a", "b"}));
  EXPECT_THAT(BadFields(rows[1].status()),
              UnorderedElementsAre("attributes.visits", "attributes.vip", "attributes.tags",
                                   "attributes.note"));
  EXPECT_THAT(BadFields(rows[2].status()), ElementsAre("attributes.visits"));
}

TEST(ContactMapTest, AnActionIsSubscribeUnsubscribeOrBlank) {
  ImportOptions options;
  options.topic = "news";
  const auto rows = Contacts(
      "email,action\na@x.com,subscribe\na@x.com,UNSUBSCRIBE\na@x.com,\na@x.com,join\n", options);
  EXPECT_THAT(rows[0]->topics, ElementsAre(TopicAction{"news", true}));
  EXPECT_THAT(rows[1]->topics, ElementsAre(TopicAction{"news", false}));
  EXPECT_THAT(rows[2]->topics, ElementsAre(TopicAction{"news", true}));
  EXPECT_THAT(BadFields(rows[3].status()), ElementsAre("action"));
  EXPECT_THAT(BadFields(Contacts("email,action\na@x.com,subscribe\n")[0].status()),
              ElementsAre("action"));
}

TEST(ContactMapTest, ATopicColumnLeavesAloneWhenBlank) {
  const auto rows = Contacts(
      "email,topics.news,topics.shop\na@x.com,subscribe,\na@x.com,,unsubscribe\na@x.com,yes,\n");
  EXPECT_THAT(rows[0]->topics, ElementsAre(TopicAction{"news", true}));
  EXPECT_THAT(rows[1]->topics, ElementsAre(TopicAction{"shop", false}));
  EXPECT_THAT(BadFields(rows[2].status()), ElementsAre("topics.news"));
}

TEST(ContactMapTest, FullNamesAreSplit) {
  const auto rows =
      Contacts("email,name\na@x.com,Ada King Lovelace\na@x.com,\"Lovelace, Ada\"\na@x.com,Ada\n");
  EXPECT_EQ(rows[0]->patch.given_name, "Ada King");
  EXPECT_EQ(rows[0]->patch.family_name, "Lovelace");
  EXPECT_EQ(rows[1]->patch.given_name, "Ada");
  EXPECT_EQ(rows[1]->patch.family_name, "Lovelace");
  EXPECT_EQ(rows[2]->patch.given_name, "Ada");
  EXPECT_EQ(rows[2]->patch.family_name, "");
}

TEST(ContactMapTest, ColumnsThatDisagreeAreRefused) {
  const auto rows =
      Contacts("email,Email Address\na@x.com,\n,b@x.com\na@x.com,a@x.com\na@x.com,b@x.com\n");
  EXPECT_EQ(rows[0]->patch.email, "a@x.com");
  EXPECT_EQ(rows[1]->patch.email, "b@x.com");
  EXPECT_TRUE(rows[2].ok());
  EXPECT_THAT(BadFields(rows[3].status()), ElementsAre("email"));
}

TEST(ContactMapTest, TheSourceOfTheImportFillsIn) {
  ImportOptions options;
  options.source = "list-2026";
  const auto rows = Contacts("email,source\na@x.com,\nb@x.com,fair\n", options);
  EXPECT_EQ(rows[0]->patch.source, "list-2026");
  EXPECT_EQ(rows[1]->patch.source, "fair");
}

TEST(ContactMapTest, AnUnreadableRecordKeepsItsReason) {
  const auto rows = Contacts("email,name\na@x.com,A\"da\nb@x.com,Bob\n");
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_FALSE(rows[0].ok());
  EXPECT_TRUE(rows[1].ok());
}

TEST(EventMapTest, ARowBecomesAValidEvent) {
  const auto rows = Events(
      "user_id,event,timestamp,total,currency,qty,properties.sku,Shoe Size\n"
      "u1,purchase,2026-01-31 10:00:00,29.33,usd,2,CD-7,42\n",
      {.source = "shop"});
  ASSERT_TRUE(rows[0].ok()) << rows[0].status();
  const BehaviorEvent& event = rows[0]->event;
  EXPECT_EQ(event.type, "purchase");
  EXPECT_EQ(event.occur_time, *clm::ParseTime("2026-01-31T10:00:00Z"));
  EXPECT_EQ(event.amount_minor, 2933);
  EXPECT_EQ(event.currency, "USD");
  EXPECT_EQ(event.quantity, 2);
  EXPECT_EQ(event.source, "shop");
  EXPECT_THAT(event.properties, ElementsAre(Pair("sku", AttributeValue(std::string("CD-7")))));
  EXPECT_THAT(rows[0]->identifiers, ElementsAre(Identifier{"user_id", "u1"}));
}

TEST(EventMapTest, AmountsFollowTheDigitsOfTheCurrency) {
  const auto rows = Events(
      "user_id,type,time,amount,currency\n"
      "u1,purchase,2026-01-31,1500,JPY\nu1,purchase,2026-01-31,1.5,JPY\n"
      "u1,purchase,2026-01-31,1.234,KWD\nu1,purchase,2026-01-31,1.50,\n"
      "u1,purchase,2026-01-31,1.50,QQQ\n");
  EXPECT_EQ(rows[0]->event.amount_minor, 1500);
  EXPECT_THAT(BadFields(rows[1].status()), ElementsAre("amount"));
  EXPECT_EQ(rows[2]->event.amount_minor, 1234);
  EXPECT_THAT(BadFields(rows[3].status()), ElementsAre("currency"));
  EXPECT_THAT(BadFields(rows[4].status()), ElementsAre("currency"));
  const auto filled =
      Events("user_id,type,time,amount\nu1,purchase,2026-01-31,1.50\n", {.currency = "EUR"});
  ASSERT_TRUE(filled[0].ok()) << filled[0].status();
  EXPECT_EQ(filled[0]->event.currency, "EUR");
}

TEST(EventMapTest, EveryBadFieldIsNamedOnce) {
  const auto rows = Events(
      "email,type,time,amount,currency,quantity,properties.a b\n"
      "nobody,Bad Type,yesterday,x,EUR,-1,z\n"
      ",purchase,2026-01-31,1.00,EUR,,\n"
      "a@x.com,purchase,2026-01-31,,,,\n");
  EXPECT_THAT(BadFields(rows[0].status()),
              UnorderedElementsAre("email", "type", "occur_time", "amount", "quantity"));
  EXPECT_THAT(BadFields(rows[1].status()), ElementsAre(""));
  EXPECT_THAT(BadFields(rows[2].status()), ElementsAre("amount_minor"));
}

TEST(EventMapTest, TheSameFileGivesTheSameIdsAndEqualRowsStayApart) {
  const char* const file =
      "user_id,type,time\nu1,login,2026-01-31\nu1,login,2026-01-31\nu2,login,2026-01-31\n"
      "u1,login,2026-01-31\n";
  const auto first = Events(file);
  const auto second = Events(file);
  std::set<Uuid> ids;
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i]->event.event_id, second[i]->event.event_id);
    ids.insert(first[i]->event.event_id);
  }
  EXPECT_THAT(ids, SizeIs(4));
}

TEST(EventMapTest, IdsOfOtherSystemsAreKept) {
  const auto rows = Events(
      "event_id,user_id,type,time\n0197a000-0000-7000-8000-000000000009,u1,login,2026-01-31\n"
      "order-7,u1,login,2026-01-31\norder-7,u1,login,2026-02-01\norder-8,u1,login,2026-01-31\n");
  EXPECT_EQ(rows[0]->event.event_id.ToString(), "0197a000-0000-7000-8000-000000000009");
  EXPECT_EQ(rows[1]->event.event_id, rows[2]->event.event_id);
  EXPECT_NE(rows[1]->event.event_id, rows[3]->event.event_id);
}

TEST(ImportOptionsTest, EveryBadOptionIsNamed) {
  ImportOptions options;
  options.kind = static_cast<ImportKind>(0);
  options.columns = {{"A", "shoe"}, {"B", "email"}, {"C", "email"}, {"D", ""}};
  options.key = "name";
  options.topic = "News!";
  options.source = "two\nlines";
  options.currency = "eur";
  EXPECT_THAT(
      BadFields(ValidateImportOptions(options)),
      UnorderedElementsAre("kind", "columns.A", "columns.C", "key", "topic", "source", "currency"));
}

TEST(RowErrorsTest, TheErrorFileHasOneLinePerField) {
  error::FieldErrors bad;
  bad.Add("email", "is empty");
  bad.Add("=cmd", "a, b");
  const auto errors = RowErrors(7, bad.ToStatus());
  EXPECT_THAT(errors, ElementsAre(ImportRowError{7, "email", "is empty"},
                                  ImportRowError{7, "=cmd", "a, b"}));
  EXPECT_EQ(absl::StrCat(RowErrorsCsvHeader(), RowErrorsCsv(errors)),
            "row,field,reason\r\n7,email,is empty\r\n7,'=cmd,\"a, b\"\r\n");
  EXPECT_THAT(RowErrors(8, absl::InternalError("x")), ElementsAre(ImportRowError{8, "", "x"}));
  // What the stored contacts refuse names its field in another way.
  const auto taken = RowErrors(9, AlreadyExists({"acme", Uuid()}, "user_id"));
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].field, "external_ids.user_id");
  EXPECT_THAT(taken[0].reason, ::testing::StartsWith("taken by tenants/acme/"));
}

}  // namespace
}  // namespace clm::contact
