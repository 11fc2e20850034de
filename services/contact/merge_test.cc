#include "services/contact/merge.h"

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
const absl::Time kDay1 = kNow - absl::Hours(24 * 10);
const absl::Time kDay2 = kDay1 + absl::Hours(24);
const absl::Time kDay3 = kDay2 + absl::Hours(24);

Uuid Id(int n) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = static_cast<uint8_t>(n);
  return Uuid(bytes);
}

// A contact made on day `n`, version 3.
MergeSide Side(int n) {
  MergeSide side;
  side.contact.key = {"acme", Id(n)};
  side.contact.create_time = kDay1 + absl::Hours(24 * n);
  side.contact.update_time = side.contact.create_time;
  side.contact.version = 3;
  return side;
}

MergePlan Merged(const MergeSide& a, const MergeSide& b, const MergeOptions& options = {}) {
  auto plan = Merge(a, b, options, "ada", kNow);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : MergePlan{};
}

std::vector<std::string> Fields(const std::vector<MergeConflict>& conflicts) {
  std::vector<std::string> fields;
  for (const MergeConflict& conflict : conflicts) fields.push_back(conflict.field);
  return fields;
}

TEST(MergeTest, TheEarlierContactSurvivesInEitherOrder) {
  for (const MergePlan& plan : {Merged(Side(1), Side(2)), Merged(Side(2), Side(1))}) {
    EXPECT_EQ(plan.primary.after.key.id, Id(1));
    EXPECT_EQ(plan.primary.after.version, 4);
    EXPECT_EQ(plan.secondary.after.key.id, Id(2));
    EXPECT_EQ(plan.secondary.after.merged_into, Id(1));
    EXPECT_EQ(plan.secondary.after.version, 4);
    EXPECT_EQ(plan.primary.after.update_time, kNow);
  }
}

TEST(MergeTest, OfTwoEquallyOldOnesTheSmallerIdSurvives) {
  MergeSide a = Side(1);
  MergeSide b = Side(2);
  a.contact.create_time = b.contact.create_time;
  EXPECT_EQ(Merged(b, a).primary.after.key.id, Id(1));
}

TEST(MergeTest, TheCallerMayChooseTheSurvivor) {
  const MergePlan plan = Merged(Side(1), Side(2), {.primary = Id(2)});
  EXPECT_EQ(plan.primary.after.key.id, Id(2));
  EXPECT_EQ(plan.secondary.after.merged_into, Id(2));
  // The relationship is as old as its older record.
  EXPECT_EQ(plan.primary.after.create_time, Side(1).contact.create_time);
  EXPECT_THAT(plan.primary.changed_fields, ElementsAre("create_time"));
}

TEST(MergeTest, EmptyFieldsAreFilledAndFullOnesKept) {
  MergeSide a = Side(1);
  a.contact.email = "ada@example.com";
  a.contact.given_name = "Ada";
  a.contact.external_ids = {{"shopify", "1"}};
  a.contact.attributes = {{"plan", std::string("pro")}, {"same", true}};
  MergeSide b = Side(2);
  b.contact.email = "countess@example.com";
  b.contact.family_name = "Lovelace";
  b.contact.given_name = "Ada";
  b.contact.external_ids = {{"shopify", "2"}, {"user_id", "u2"}};
  b.contact.attributes = {{"plan", std::string("free")}, {"same", true}, {"visits", int64_t{7}}};
  b.identifiers = {{{"email", "countess@example.com"}, kDay2}, {{"user_id", "u2"}, kDay2}};

  const MergePlan plan = Merged(a, b);
  const Contact& after = plan.primary.after;
  EXPECT_EQ(after.email, "ada@example.com");
  EXPECT_EQ(after.family_name, "Lovelace");
  EXPECT_THAT(after.external_ids, ElementsAre(Pair("shopify", "1"), Pair("user_id", "u2")));
  EXPECT_THAT(after.attributes,
              UnorderedElementsAre(Pair("plan", AttributeValue(std::string("pro"))),
                                   Pair("same", AttributeValue(true)),
                                   Pair("visits", AttributeValue(int64_t{7}))));
  EXPECT_THAT(plan.primary.changed_fields,
              ElementsAre("attributes.visits", "external_ids.user_id", "family_name"));
  EXPECT_THAT(Fields(plan.conflicts),
              ElementsAre("attributes.plan", "email", "external_ids.shopify"));
  EXPECT_THAT(plan.attribute_origin, UnorderedElementsAre(Pair("plan", Id(1)), Pair("same", Id(1)),
                                                          Pair("visits", Id(2))));
  EXPECT_THAT(plan.attribute_history,
              ElementsAre(AttributeHistoryEntry{"visits", AttributeValue(int64_t{7}), kNow, "ada",
                                                "merge"}));
}

TEST(MergeTest, EveryIdentifierOfTheOtherMoves) {
  MergeSide a = Side(1);
  MergeSide b = Side(2);
  b.contact.email = "new@example.com";
  b.contact.phone = "+4930123456";
  b.contact.external_ids = {{"shopify", "2"}};
  b.identifiers = {{{"email", "new@example.com"}, kDay2},
                   {{"email", "old@example.com"}, kDay1},
                   {{"phone", "+4930123456"}, kDay2},
                   {{"shopify", "2"}, kDay2}};
  const MergePlan plan = Merged(a, b);
  EXPECT_EQ(plan.moved_identifiers, b.identifiers);
  EXPECT_EQ(plan.primary.identifiers_added.size(), 4u);
  EXPECT_EQ(plan.secondary.identifiers_removed, plan.primary.identifiers_added);
  EXPECT_EQ(plan.secondary.after.email, "");
  EXPECT_EQ(plan.secondary.after.phone, "");
  EXPECT_THAT(plan.secondary.after.external_ids, IsEmpty());
}

TEST(MergeTest, AliasesOfAliasesPointAtTheSurvivor) {
  MergeSide b = Side(2);
  b.aliases = {Id(9), Id(7)};
  EXPECT_THAT(Merged(Side(1), b).moved_aliases, ElementsAre(Id(2), Id(7), Id(9)));
}

Subscription News(SubscriptionState state, absl::Time at) {
  return {"news", state, at, true, "ada", "form"};
}

TEST(MergeTest, SubscribedAndLaterUnsubscribedIsUnsubscribed) {
  MergeSide a = Side(1);
  MergeSide b = Side(2);
  a.subscriptions = {News(SubscriptionState::kConfirmed, kDay1)};
  b.subscriptions = {News(SubscriptionState::kUnsubscribed, kDay2)};
  EXPECT_THAT(Merged(a, b).changed_subscriptions,
              ElementsAre(News(SubscriptionState::kUnsubscribed, kDay2)));
  // The same the other way round: the survivor had left, so nothing changes for it.
  std::swap(a.subscriptions, b.subscriptions);
  EXPECT_THAT(Merged(a, b).changed_subscriptions, IsEmpty());
}

TEST(MergeTest, SubscribedAgainAfterLeavingIsSubscribed) {
  MergeSide a = Side(1);
  MergeSide b = Side(2);
  a.subscriptions = {News(SubscriptionState::kUnsubscribed, kDay2)};
  b.subscriptions = {News(SubscriptionState::kConfirmed, kDay3)};
  EXPECT_THAT(Merged(a, b).changed_subscriptions,
              ElementsAre(News(SubscriptionState::kConfirmed, kDay3)));
}

TEST(MergeTest, AtTheSameInstantTheMoreRestrictiveStateHolds) {
  MergeSide a = Side(1);
  MergeSide b = Side(2);
  a.subscriptions = {News(SubscriptionState::kConfirmed, kDay1)};
  b.subscriptions = {News(SubscriptionState::kUnsubscribed, kDay1)};
  EXPECT_THAT(Merged(a, b).changed_subscriptions,
              ElementsAre(News(SubscriptionState::kUnsubscribed, kDay1)));
}

TEST(MergeTest, ASubscriptionOnlyTheOtherHasIsTakenOver) {
  MergeSide b = Side(2);
  b.subscriptions = {News(SubscriptionState::kUnsubscribed, kDay1)};
  EXPECT_EQ(Merged(Side(1), b).changed_subscriptions, b.subscriptions);
}

TEST(MergeTest, ConsentHistoriesAreJoined) {
  const auto act = [](ConsentState state, absl::Time at) {
    ConsentAct a;
    a.purpose = "marketing";
    a.state = state;
    a.act_time = a.record_time = at;
    return a;
  };
  const ConsentAct granted = act(ConsentState::kGranted, kDay1);
  const ConsentAct revoked = act(ConsentState::kRevoked, kDay2);
  const ConsentAct tie = act(ConsentState::kDenied, kDay1);
  MergeSide a = Side(1);
  MergeSide b = Side(2);
  a.consents = {granted};
  b.consents = {revoked, granted, tie};
  const MergePlan plan = Merged(a, b);
  EXPECT_THAT(plan.moved_consents, ElementsAre(tie, revoked));
  std::vector<ConsentAct> all = a.consents;
  all.insert(all.end(), plan.moved_consents.begin(), plan.moved_consents.end());
  EXPECT_EQ(CurrentConsent(all, "marketing", "email")->state, ConsentState::kRevoked);
}

TEST(MergeTest, SuppressionsOfBothHold) {
  const Suppression bounce{"email", "ada@example.com", SuppressionReason::kHardBounce, kDay1};
  const Suppression complaint{"email", "ada@example.com", SuppressionReason::kComplaint, kDay2};
  Suppression same_bounce = bounce;
  same_bounce.create_time = kDay3;
  MergeSide a = Side(1);
  MergeSide b = Side(2);
  a.suppressions = {bounce};
  b.suppressions = {same_bounce, complaint};
  EXPECT_THAT(Merged(a, b).moved_suppressions, ElementsAre(complaint));
}

TEST(MergeTest, TheMoreRestrictiveStatusHolds) {
  using S = ContactStatus;
  const std::tuple<S, S, S> cases[] = {
      {S::kActive, S::kActive, S::kActive},          {S::kActive, S::kBlocked, S::kBlocked},
      {S::kBlocked, S::kActive, S::kBlocked},        {S::kActive, S::kDeactivated, S::kDeactivated},
      {S::kBlocked, S::kDeactivated, S::kBlocked},   {S::kDeactivated, S::kBlocked, S::kBlocked},
      {S::kDeactivated, S::kActive, S::kDeactivated}};
  for (const auto& [first, second, expected] : cases) {
    MergeSide a = Side(1);
    MergeSide b = Side(2);
    a.contact.status = first;
    b.contact.status = second;
    EXPECT_EQ(Merged(a, b).primary.after.status, expected);
  }
}

TEST(MergeTest, WhoIsGoneCannotBeMerged) {
  MergeSide erased = Side(2);
  erased.contact.status = ContactStatus::kErased;
  EXPECT_EQ(error::Reason(Merge(Side(1), erased, {}, "", kNow).status()), "CONTACT_ERASED");
  EXPECT_EQ(error::Reason(Merge(erased, Side(1), {}, "", kNow).status()), "CONTACT_ERASED");
  MergeSide alias = Side(2);
  alias.contact.merged_into = Id(5);
  EXPECT_EQ(error::Reason(Merge(Side(1), alias, {}, "", kNow).status()), "CONTACT_MERGED");
}

TEST(MergeTest, DifferentUserIdsStopAMergeUnlessTheCallerInsists) {
  MergeSide a = Side(1);
  MergeSide b = Side(2);
  a.contact.external_ids["user_id"] = "u1";
  b.contact.external_ids["user_id"] = "u2";
  EXPECT_EQ(error::Reason(Merge(a, b, {}, "", kNow).status()), "UNIQUE_IDENTIFIER_CONFLICT");
  EXPECT_EQ(Merged(a, b, {.allow_user_id_conflict = true}).primary.after.external_ids["user_id"],
            "u1");
  b.contact.external_ids["user_id"] = "u1";
  EXPECT_TRUE(Merge(a, b, {}, "", kNow).ok());
}

TEST(MergeTest, BadQuestionsAreRefused) {
  EXPECT_EQ(Merge(Side(1), Side(1), {}, "", kNow).status().code(),
            absl::StatusCode::kInvalidArgument);
  MergeSide foreign = Side(2);
  foreign.contact.key.tenant = "other";
  EXPECT_EQ(Merge(Side(1), foreign, {}, "", kNow).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Merge(Side(1), Side(2), {.primary = Id(3)}, "", kNow).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace clm::contact
