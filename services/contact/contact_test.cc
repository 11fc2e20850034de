#include "services/contact/contact.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"

namespace clm::contact {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);
const absl::Time kLater = kNow + absl::Hours(1);

EntityKey Key() { return {"acme", *Uuid::Parse("0197a000-0000-7000-8000-000000000001")}; }

const AttributeRegistry& Registry() {
  static const auto* const kRegistry = new AttributeRegistry{
      {"plan", {"plan", AttributeType::kEnum, "", {"free", "pro"}}},
      {"visits", {"visits", AttributeType::kInt64}},
      {"hobby", {.id = "hobby", .type = AttributeType::kString, .personal = true}},
  };
  return *kRegistry;
}

ContactRules Rules() { return {{}, &Registry()}; }

Contact Ada() {
  ContactPatch patch;
  patch.email = "ada@example.com";
  patch.given_name = "Ada";
  patch.external_ids["shopify"] = "17";
  patch.attributes["plan"] = AttributeValue(std::string("pro"));
  patch.attributes["hobby"] = AttributeValue(std::string("engines"));
  return Create(Key(), patch, Rules(), kNow)->after;
}

std::vector<std::string> BadFields(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(status)) fields.push_back(field);
  return fields;
}

TEST(CreateTest, AContactIsNormalisedAndStartsAtVersionOne) {
  ContactPatch patch;
  patch.email = "  Ada@Example.COM ";
  patch.phone = "+49 (30) 123 456";
  patch.given_name = " Ada ";
  patch.locale = "DE-ch";
  patch.timezone = "America/Chicago";
  const auto change = Create(Key(), patch, Rules(), kNow);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_EQ(change->event, ContactEvent::kCreated);
  EXPECT_EQ(change->after.email, "ada@example.com");
  EXPECT_EQ(change->after.phone, "+4930123456");
  EXPECT_EQ(change->after.given_name, "Ada");
  EXPECT_EQ(change->after.locale, "de-CH");
  EXPECT_EQ(change->after.version, 1);
  EXPECT_EQ(change->after.create_time, kNow);
  EXPECT_EQ(change->after.update_time, kNow);
  EXPECT_THAT(change->changed_fields,
              ElementsAre("email", "given_name", "locale", "phone", "timezone"));
  EXPECT_THAT(change->identifiers_added,
              UnorderedElementsAre(Identifier{"email", "ada@example.com"},
                                   Identifier{"phone", "+4930123456"}));
}

TEST(CreateTest, NobodyCannotBeCreated) {
  ContactPatch patch;
  patch.locale = "de";
  patch.email = "  ";
  EXPECT_THAT(BadFields(Create(Key(), patch, Rules(), kNow).status()), ElementsAre("contact"));
}

TEST(CreateTest, AnIdOfAnotherSystemIsEnough) {
  ContactPatch patch;
  patch.external_ids["cdnow"] = "00004";
  const auto change = Create(Key(), patch, Rules(), kNow);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_THAT(change->after.external_ids, ElementsAre(Pair("cdnow", "00004")));
}

TEST(CreateTest, TheThirtyThirdIdIsRefused) {
  ContactPatch patch;
  for (int i = 0; i < 32; ++i) patch.external_ids[absl::StrCat("shop", i)] = "7";
  const auto full = Create(Key(), patch, Rules(), kNow);
  ASSERT_TRUE(full.ok()) << full.status();
  ContactPatch one_more;
  one_more.external_ids["crm"] = "7";
  EXPECT_THAT(BadFields(Update(full->after, one_more, Rules(), kLater).status()),
              ElementsAre("contact.external_ids"));
  patch.external_ids["crm"] = "7";
  EXPECT_THAT(BadFields(Create(Key(), patch, Rules(), kNow).status()),
              ElementsAre("contact.external_ids"));
  // In the place of another there is room for it.
  one_more.external_ids["shop0"] = "";
  EXPECT_TRUE(Update(full->after, one_more, Rules(), kLater).ok());
}

TEST(CreateTest, EveryBadFieldIsNamedAtOnce) {
  ContactPatch patch;
  patch.email = "nobody";
  patch.phone = "12";
  patch.locale = "english please";
  patch.timezone = "../../etc/passwd";
  patch.given_name = std::string(201, 'x');
  patch.external_ids["Shop"] = "1";
  patch.external_ids["user_id"] = "anonymous";
  patch.attributes["plan"] = AttributeValue(std::string("gold"));
  patch.attributes["visits"] = AttributeValue(std::string("7"));
  patch.attributes["shoe"] = AttributeValue(int64_t{7});
  patch.create_time = kLater;
  EXPECT_THAT(BadFields(Create(Key(), patch, Rules(), kNow).status()),
              UnorderedElementsAre("contact.create_time", "contact.email", "contact.phone",
                                   "contact.locale", "contact.timezone", "contact.given_name",
                                   "contact.external_ids.Shop", "contact.external_ids.user_id",
                                   "contact.attributes.plan", "contact.attributes.visits",
                                   "contact.attributes.shoe"));
}

TEST(CreateTest, AnErrorDoesNotRepeatThePersonalValue) {
  ContactPatch patch;
  patch.email = "secret person@example.com";
  patch.phone = "+49 30 secret";
  const auto status = Create(Key(), patch, Rules(), kNow).status();
  EXPECT_THAT(std::string(status.message()), testing::Not(testing::HasSubstr("secret")));
}

TEST(CreateTest, TheBeginningMayBeBackDated) {
  ContactPatch patch;
  patch.given_name = "Ada";
  patch.create_time = kNow - absl::Hours(24 * 365);
  const auto change = Create(Key(), patch, Rules(), kNow);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_EQ(change->after.create_time, *patch.create_time);
  EXPECT_EQ(change->after.update_time, kNow);
}

TEST(UpdateTest, AChangeRaisesTheVersionAndNamesItsFields) {
  ContactPatch patch;
  patch.email = "countess@example.com";
  patch.attributes["visits"] = AttributeValue(int64_t{3});
  const auto change = Update(Ada(), patch, Rules(), kLater);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_EQ(change->event, ContactEvent::kUpdated);
  EXPECT_EQ(change->after.version, 2);
  EXPECT_EQ(change->after.update_time, kLater);
  EXPECT_EQ(change->after.create_time, kNow);
  EXPECT_THAT(change->changed_fields, ElementsAre("attributes.visits", "email"));
  EXPECT_THAT(change->identifiers_added, ElementsAre(Identifier{"email", "countess@example.com"}));
  EXPECT_THAT(change->identifiers_removed, ElementsAre(Identifier{"email", "ada@example.com"}));
}

TEST(UpdateTest, ANoOpChangesNothingAndTellsNobody) {
  ContactPatch patch;
  patch.email = "ADA@example.com";
  patch.attributes["plan"] = AttributeValue(std::string("pro"));
  patch.attributes["visits"] = std::nullopt;
  const auto change = Update(Ada(), patch, Rules(), kLater);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_EQ(change->after, Ada());
  EXPECT_EQ(change->event, ContactEvent::kNone);
  EXPECT_THAT(change->changed_fields, IsEmpty());
}

TEST(UpdateTest, AStaleEtagAborts) {
  ContactPatch patch;
  patch.if_version = 7;
  patch.given_name = "Augusta";
  const auto status = Update(Ada(), patch, Rules(), kLater).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(error::MetadataValue(status, "current_etag"), Etag(1));
  patch.if_version = 1;
  EXPECT_TRUE(Update(Ada(), patch, Rules(), kLater).ok());
}

TEST(UpdateTest, EmptyValuesClear) {
  ContactPatch patch;
  patch.email = "";
  patch.external_ids["shopify"] = "";
  patch.attributes["plan"] = std::nullopt;
  patch.attributes["hobby"] = AttributeValue(std::string());
  const auto change = Update(Ada(), patch, Rules(), kLater);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_EQ(change->after.email, "");
  EXPECT_THAT(change->after.external_ids, IsEmpty());
  EXPECT_THAT(change->after.attributes, IsEmpty());
  EXPECT_THAT(
      change->identifiers_removed,
      UnorderedElementsAre(Identifier{"email", "ada@example.com"}, Identifier{"shopify", "17"}));
}

TEST(UpdateTest, TheLastThingThatIdentifiesCannotBeCleared) {
  ContactPatch patch;
  patch.email = "";
  patch.given_name = "";
  patch.external_ids["shopify"] = "";
  EXPECT_THAT(BadFields(Update(Ada(), patch, Rules(), kLater).status()), ElementsAre("contact"));
}

TEST(UpdateTest, TheBeginningIsFixed) {
  ContactPatch patch;
  patch.create_time = kNow - absl::Hours(1);
  EXPECT_THAT(BadFields(Update(Ada(), patch, Rules(), kLater).status()),
              ElementsAre("contact.create_time"));
  patch.create_time = kNow;
  EXPECT_TRUE(Update(Ada(), patch, Rules(), kLater).ok());
}

TEST(UpdateTest, ReplacingAMapClearsWhatIsNotNamed) {
  ContactPatch patch;
  patch.replace_external_ids = true;
  patch.external_ids["user_id"] = "u1";
  const auto change = Update(Ada(), patch, Rules(), kLater);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_THAT(change->after.external_ids, ElementsAre(Pair("user_id", "u1")));
  EXPECT_EQ(change->after.attributes, Ada().attributes);
}

TEST(UpdateTest, AnAliasNamesTheSurvivor) {
  Contact alias = Ada();
  alias.merged_into = *Uuid::Parse("0197a000-0000-7000-8000-000000000002");
  const auto status = Update(alias, {}, Rules(), kLater).status();
  EXPECT_EQ(error::Reason(status), "CONTACT_MERGED");
  EXPECT_EQ(error::MetadataValue(status, "merged_into"),
            "tenants/acme/contacts/0197a000-0000-7000-8000-000000000002");
}

TEST(ApplyMaskTest, APathWithoutAValueClears) {
  ContactPatch given;
  given.given_name = "Augusta";
  given.external_ids["user_id"] = "u1";
  const auto patch = ApplyMask(given, {"given_name", "email", "external_ids.user_id",
                                       "external_ids.shopify", "attributes.plan"});
  ASSERT_TRUE(patch.ok()) << patch.status();
  EXPECT_EQ(patch->given_name, "Augusta");
  EXPECT_EQ(patch->email, "");
  EXPECT_EQ(patch->phone, std::nullopt);
  EXPECT_THAT(patch->external_ids, ElementsAre(Pair("shopify", ""), Pair("user_id", "u1")));
  ASSERT_TRUE(patch->attributes.contains("plan"));
  EXPECT_FALSE(patch->attributes.at("plan").has_value());
}

TEST(ApplyMaskTest, WhatTheMaskDoesNotNameIsLeftAlone) {
  ContactPatch given;
  given.given_name = "Augusta";
  given.family_name = "King";
  const auto patch = ApplyMask(given, {"given_name"});
  ASSERT_TRUE(patch.ok()) << patch.status();
  EXPECT_EQ(patch->family_name, std::nullopt);
}

TEST(ApplyMaskTest, AStarReplacesEverything) {
  ContactPatch given;
  given.given_name = "Augusta";
  const auto patch = ApplyMask(given, {"*"});
  ASSERT_TRUE(patch.ok()) << patch.status();
  const auto change = Update(Ada(), *patch, Rules(), kLater);
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_EQ(change->after.given_name, "Augusta");
  EXPECT_EQ(change->after.email, "");
  EXPECT_THAT(change->after.external_ids, IsEmpty());
  EXPECT_THAT(change->after.attributes, IsEmpty());
}

TEST(ApplyMaskTest, AnEmptyMaskTakesWhatIsThere) {
  ContactPatch given;
  given.given_name = "Augusta";
  const auto patch = ApplyMask(given, {});
  ASSERT_TRUE(patch.ok()) << patch.status();
  EXPECT_EQ(patch->given_name, "Augusta");
  EXPECT_EQ(patch->email, std::nullopt);
}

TEST(ApplyMaskTest, UnknownAndReadOnlyPathsAreRefused) {
  const auto status = ApplyMask({}, {"status", "shoe_size", "email"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(error::FieldViolations(status),
              ElementsAre(Pair("update_mask", "status is read-only"),
                          Pair("update_mask", "shoe_size is not a field of a contact")));
}

TEST(StatusTest, EveryVerbStartsFromOneStatus) {
  struct Case {
    ContactStatus from;
    absl::StatusOr<Change> (*verb)(const Contact&, absl::Time);
    absl::StatusOr<ContactEvent> outcome;
    ContactStatus to;
  };
  using S = ContactStatus;
  using E = ContactEvent;
  const auto refused = [](const char* reason) { return error::Precondition(reason, ""); };
  const Case cases[] = {
      {S::kActive, Block, E::kBlocked, S::kBlocked},
      {S::kBlocked, Block, E::kNone, S::kBlocked},
      {S::kDeactivated, Block, refused("CONTACT_DEACTIVATED"), S::kDeactivated},
      {S::kErased, Block, refused("CONTACT_ERASED"), S::kErased},
      {S::kActive, Unblock, E::kNone, S::kActive},
      {S::kBlocked, Unblock, E::kUnblocked, S::kActive},
      {S::kDeactivated, Unblock, refused("CONTACT_DEACTIVATED"), S::kDeactivated},
      {S::kErased, Unblock, refused("CONTACT_ERASED"), S::kErased},
      {S::kActive, Deactivate, E::kDeactivated, S::kDeactivated},
      {S::kBlocked, Deactivate, refused("CONTACT_BLOCKED"), S::kBlocked},
      {S::kDeactivated, Deactivate, E::kNone, S::kDeactivated},
      {S::kErased, Deactivate, refused("CONTACT_ERASED"), S::kErased},
      {S::kActive, Reactivate, E::kNone, S::kActive},
      {S::kBlocked, Reactivate, refused("CONTACT_BLOCKED"), S::kBlocked},
      {S::kDeactivated, Reactivate, E::kUnblocked, S::kActive},
      {S::kErased, Reactivate, refused("CONTACT_ERASED"), S::kErased},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(&c - cases);
    Contact before = Ada();
    before.status = c.from;
    const auto change = c.verb(before, kLater);
    ASSERT_EQ(change.ok(), c.outcome.ok()) << change.status();
    if (!change.ok()) {
      EXPECT_EQ(error::Reason(change.status()), error::Reason(c.outcome.status()));
      continue;
    }
    EXPECT_EQ(change->event, *c.outcome);
    EXPECT_EQ(change->after.status, c.to);
    EXPECT_EQ(change->after.version, *c.outcome == E::kNone ? 1 : 2);
  }
}

TEST(EraseTest, OnlyWhatIsNotPersonalStays) {
  Contact before = Ada();
  before.source = "google-ads";
  before.attributes["visits"] = int64_t{3};
  before.attributes["forgotten"] = std::string("of unknown privacy");
  const auto change = Erase(before, Rules(), kLater);
  ASSERT_TRUE(change.ok()) << change.status();
  const Contact& after = change->after;
  EXPECT_EQ(change->event, ContactEvent::kErased);
  EXPECT_EQ(after.status, ContactStatus::kErased);
  EXPECT_EQ(after.email + after.phone + after.given_name + after.family_name + after.locale, "");
  EXPECT_THAT(after.external_ids, IsEmpty());
  EXPECT_THAT(after.attributes,
              UnorderedElementsAre(Pair("plan", AttributeValue(std::string("pro"))),
                                   Pair("visits", AttributeValue(int64_t{3}))));
  EXPECT_EQ(after.source, "google-ads");
  EXPECT_EQ(after.create_time, kNow);
  EXPECT_EQ(after.version, 2);
  EXPECT_THAT(
      change->identifiers_removed,
      UnorderedElementsAre(Identifier{"email", "ada@example.com"}, Identifier{"shopify", "17"}));
}

TEST(EraseTest, TheSecondTimeChangesNothing) {
  const Contact erased = Erase(Ada(), Rules(), kLater)->after;
  const auto again = Erase(erased, Rules(), kLater + absl::Hours(1));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->event, ContactEvent::kNone);
  EXPECT_EQ(again->after, erased);
}

TEST(AlreadyExistsTest, TheHolderIsNamed) {
  const auto status = AlreadyExists(Key(), "email");
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(error::Reason(status), "CONTACT_EXISTS");
  EXPECT_EQ(error::MetadataValue(status, "contact"),
            "tenants/acme/contacts/0197a000-0000-7000-8000-000000000001");
  EXPECT_EQ(error::MetadataValue(AlreadyExists(Key(), "shopify"), "field"),
            "contact.external_ids.shopify");
}

TEST(FieldsTest, EveryFieldWhoseFormerValuesAreKeptHasAReservedName) {
  Contact ada = Ada();
  ada.phone = "+4930123456";
  ada.family_name = "Lovelace";
  ada.locale = "en";
  ada.timezone = "Europe/London";
  ada.source = "referral";
  const AttributeMap fields = FieldsOf(ada);
  EXPECT_EQ(fields.size(), 9u);
  for (const auto& [name, value] : fields) EXPECT_TRUE(IsFieldName(name)) << name;
  EXPECT_FALSE(IsFieldName("plan"));
}

}  // namespace
}  // namespace clm::contact
