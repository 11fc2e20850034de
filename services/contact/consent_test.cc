#include "services/contact/consent.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"

namespace clm::contact {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);
const absl::Time kDay1 = kNow - absl::Hours(24 * 10);
const absl::Time kDay2 = kDay1 + absl::Hours(24);
const absl::Time kDay3 = kDay2 + absl::Hours(24);

SubscriptionAct At(absl::Time at, bool explicit_act = true) {
  return {at, explicit_act, "ada", "form"};
}

Subscription In(SubscriptionState state, absl::Time at, bool explicit_act = true) {
  return {"news", state, at, explicit_act, "ada", "form"};
}

TEST(SubscriptionTest, SubscribingConfirmingAndLeaving) {
  auto s = Subscribe(std::nullopt, "news", At(kDay1));
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(*s, In(SubscriptionState::kUnconfirmed, kDay1));
  auto confirmed = Confirm(s, At(kDay2));
  ASSERT_TRUE(confirmed.ok() && confirmed->has_value());
  EXPECT_EQ(**confirmed, In(SubscriptionState::kConfirmed, kDay2));
  const auto left = Unsubscribe(*confirmed, "news", At(kDay3));
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(*left, In(SubscriptionState::kUnsubscribed, kDay3));
}

TEST(SubscriptionTest, ComingBackNeedsANewConfirmation) {
  const auto back = Subscribe(In(SubscriptionState::kUnsubscribed, kDay1), "news", At(kDay2));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->state, SubscriptionState::kUnconfirmed);
}

TEST(SubscriptionTest, RepeatingAnActChangesNothing) {
  EXPECT_EQ(Subscribe(In(SubscriptionState::kConfirmed, kDay1), "news", At(kDay2)), std::nullopt);
  EXPECT_EQ(Subscribe(In(SubscriptionState::kUnconfirmed, kDay1), "news", At(kDay2)), std::nullopt);
  EXPECT_EQ(Unsubscribe(In(SubscriptionState::kUnsubscribed, kDay1), "news", At(kDay2)),
            std::nullopt);
  const auto again = Confirm(In(SubscriptionState::kConfirmed, kDay1), At(kDay2));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, std::nullopt);
}

TEST(SubscriptionTest, AnOldConfirmationLinkBringsNobodyBack) {
  EXPECT_EQ(error::Reason(Confirm(In(SubscriptionState::kUnsubscribed, kDay1), At(kDay2)).status()),
            "NOT_SUBSCRIBED");
  EXPECT_EQ(error::Reason(Confirm(std::nullopt, At(kDay2)).status()), "NOT_SUBSCRIBED");
}

TEST(SubscriptionTest, ALateArrivalDoesNotOverrideALaterAct) {
  EXPECT_EQ(Subscribe(In(SubscriptionState::kUnsubscribed, kDay2), "news", At(kDay1)),
            std::nullopt);
  EXPECT_EQ(Unsubscribe(In(SubscriptionState::kConfirmed, kDay2), "news", At(kDay1)), std::nullopt);
}

TEST(SubscriptionTest, AtTheSameInstantLeavingWins) {
  EXPECT_EQ(Subscribe(In(SubscriptionState::kUnsubscribed, kDay1), "news", At(kDay1)),
            std::nullopt);
  EXPECT_TRUE(Unsubscribe(In(SubscriptionState::kConfirmed, kDay1), "news", At(kDay1)));
}

TEST(SubscriptionTest, AnImportNeverOverridesWhatThePersonDid) {
  EXPECT_EQ(Subscribe(In(SubscriptionState::kUnsubscribed, kDay1), "news", At(kDay3, false)),
            std::nullopt);
  const auto act = Unsubscribe(In(SubscriptionState::kConfirmed, kDay3, false), "news", At(kDay1));
  ASSERT_TRUE(act.has_value());
  EXPECT_EQ(act->state, SubscriptionState::kUnsubscribed);
  const auto own = Subscribe(In(SubscriptionState::kConfirmed, kDay1, false), "news", At(kDay2));
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(*own, In(SubscriptionState::kConfirmed, kDay2));
}

TEST(StrongerSubscriptionTest, TheLatestExplicitActWins) {
  const Subscription joined = In(SubscriptionState::kConfirmed, kDay1);
  const Subscription left = In(SubscriptionState::kUnsubscribed, kDay2);
  const Subscription rejoined = In(SubscriptionState::kConfirmed, kDay3);
  EXPECT_EQ(StrongerSubscription(joined, left), left);
  EXPECT_EQ(StrongerSubscription(left, joined), left);
  EXPECT_EQ(StrongerSubscription(left, rejoined), rejoined);
  EXPECT_EQ(StrongerSubscription(rejoined, left), rejoined);
  const Subscription imported = In(SubscriptionState::kConfirmed, kDay3, false);
  EXPECT_EQ(StrongerSubscription(left, imported), left);
  EXPECT_EQ(StrongerSubscription(imported, left), left);
}

TEST(StrongerSubscriptionTest, OnATieTheMoreRestrictiveOneWins) {
  const Subscription confirmed = In(SubscriptionState::kConfirmed, kDay1);
  const Subscription unconfirmed = In(SubscriptionState::kUnconfirmed, kDay1);
  const Subscription left = In(SubscriptionState::kUnsubscribed, kDay1);
  EXPECT_EQ(StrongerSubscription(confirmed, left), left);
  EXPECT_EQ(StrongerSubscription(left, confirmed), left);
  EXPECT_EQ(StrongerSubscription(confirmed, unconfirmed), unconfirmed);
  EXPECT_EQ(StrongerSubscription(unconfirmed, left), left);
}

ConsentAct Says(ConsentState state, absl::Time at, absl::string_view channel = "",
                absl::string_view purpose = "marketing") {
  ConsentAct act;
  act.purpose = std::string(purpose);
  act.channel = std::string(channel);
  act.state = state;
  act.act_time = at;
  act.record_time = at;
  act.legal_basis = "consent";
  return act;
}

constexpr ConsentState kYes = ConsentState::kGranted;
constexpr ConsentState kNo = ConsentState::kRevoked;

ConsentState Now(const std::vector<ConsentAct>& acts, absl::string_view channel = "email") {
  const ConsentAct* act = CurrentConsent(acts, "marketing", channel);
  return act == nullptr ? static_cast<ConsentState>(0) : act->state;
}

TEST(ConsentTest, TheLatestActHolds) {
  EXPECT_EQ(Now({Says(kYes, kDay1), Says(kNo, kDay2)}), kNo);
  EXPECT_EQ(Now({Says(kNo, kDay2), Says(kYes, kDay1)}), kNo);
  EXPECT_EQ(Now({Says(kYes, kDay3), Says(kYes, kDay1), Says(kNo, kDay2)}), kYes);
}

TEST(ConsentTest, OnATieTheMoreRestrictiveActHolds) {
  EXPECT_EQ(Now({Says(kYes, kDay1), Says(kNo, kDay1)}), kNo);
  EXPECT_EQ(Now({Says(kNo, kDay1), Says(kYes, kDay1)}), kNo);
  EXPECT_EQ(Now({Says(ConsentState::kDenied, kDay1), Says(kYes, kDay1)}), ConsentState::kDenied);
  EXPECT_EQ(Now({Says(kYes, kDay1), Says(kNo, kDay1, "email")}), kNo);
  EXPECT_EQ(Now({Says(kNo, kDay1), Says(kYes, kDay1, "email")}), kNo);
}

TEST(ConsentTest, ChannelsNarrowAnAct) {
  const std::vector<ConsentAct> acts = {Says(kYes, kDay1), Says(kNo, kDay2, "sms")};
  EXPECT_EQ(Now(acts, "email"), kYes);
  EXPECT_EQ(Now(acts, "sms"), kNo);
  // All channels taken back after one was allowed.
  EXPECT_EQ(Now({Says(kYes, kDay1, "email"), Says(kNo, kDay2)}), kNo);
  // One allowed again after all were taken back.
  EXPECT_EQ(Now({Says(kNo, kDay1), Says(kYes, kDay2, "email")}), kYes);
  // A general yes does not lift an earlier no to this channel.
  EXPECT_EQ(Now({Says(kNo, kDay1, "email"), Says(kYes, kDay2)}), kNo);
}

TEST(ConsentTest, PurposesAreApart) {
  const std::vector<ConsentAct> acts = {Says(kYes, kDay1, "", "profiling")};
  EXPECT_EQ(CurrentConsent(acts, "marketing", "email"), nullptr);
}

TEST(ConsentTest, FoldingKeepsTheLatestOfEachPair) {
  const auto folded = FoldConsent({Says(kYes, kDay1), Says(kNo, kDay2, "sms"), Says(kNo, kDay3),
                                   Says(kYes, kDay1, "sms"), Says(kYes, kDay1, "", "profiling")});
  EXPECT_THAT(folded, ElementsAre(Says(kNo, kDay3), Says(kNo, kDay2, "sms"),
                                  Says(kYes, kDay1, "", "profiling")));
}

TEST(ConsentTest, EveryBadFieldOfAnActIsNamed) {
  ConsentAct act = Says(kYes, kNow + absl::Minutes(11), "fax", "Marketing!");
  act.legal_basis = "";
  act.expire_time = kNow;
  act.source = "two\nlines";
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(ValidateConsentAct(act, kNow))) {
    fields.push_back(field);
  }
  EXPECT_THAT(fields,
              UnorderedElementsAre("consent.purpose", "consent.channel", "consent.act_time",
                                   "consent.expire_time", "consent.legal_basis", "consent.source"));
  EXPECT_TRUE(ValidateConsentAct(Says(kYes, kNow + absl::Minutes(10)), kNow).ok());
  ConsentAct refusal = Says(kNo, kDay1);
  refusal.legal_basis = "";
  EXPECT_TRUE(ValidateConsentAct(refusal, kNow).ok());
  refusal.expire_time = kNow;
  EXPECT_FALSE(ValidateConsentAct(refusal, kNow).ok());
}

TEST(SuppressionTest, AddressesAreNormalised) {
  const auto email = NormalizeSuppression({"email", " Ada@Example.com"}, {});
  ASSERT_TRUE(email.ok()) << email.status();
  EXPECT_EQ(email->address, "ada@example.com");
  const auto sms = NormalizeSuppression({"sms", "+49 30 123456"}, {});
  ASSERT_TRUE(sms.ok()) << sms.status();
  EXPECT_EQ(sms->address, "+4930123456");
  EXPECT_FALSE(NormalizeSuppression({"push", " "}, {}).ok());
  const auto bad = NormalizeSuppression({"fax", "a\nb", static_cast<SuppressionReason>(0)}, {});
  EXPECT_EQ(error::FieldViolations(bad.status()).size(), 3u);
}

ReceiveQuestion Question(OptIn opt_in, std::optional<SubscriptionState> state) {
  ReceiveQuestion question;
  question.topic = {"news", "", "email", opt_in};
  if (state) question.subscription = In(*state, kDay1);
  return question;
}

std::string Answer(const ReceiveQuestion& question) {
  const auto refused = MayReceive(question, kNow);
  if (!refused) return "yes";
  std::string text(RefusalName(refused->why));
  if (refused->suppression) text += " " + std::string(ReasonName(*refused->suppression));
  return text;
}

TEST(MayReceiveTest, OptInDecidesWhoBelongs) {
  using S = SubscriptionState;
  EXPECT_EQ(Answer(Question(OptIn::kSingle, std::nullopt)), "NOT_SUBSCRIBED");
  EXPECT_EQ(Answer(Question(OptIn::kSingle, S::kUnconfirmed)), "yes");
  EXPECT_EQ(Answer(Question(OptIn::kSingle, S::kConfirmed)), "yes");
  EXPECT_EQ(Answer(Question(OptIn::kSingle, S::kUnsubscribed)), "UNSUBSCRIBED");
  EXPECT_EQ(Answer(Question(OptIn::kDouble, std::nullopt)), "NOT_SUBSCRIBED");
  EXPECT_EQ(Answer(Question(OptIn::kDouble, S::kUnconfirmed)), "UNCONFIRMED");
  EXPECT_EQ(Answer(Question(OptIn::kDouble, S::kConfirmed)), "yes");
  EXPECT_EQ(Answer(Question(OptIn::kDouble, S::kUnsubscribed)), "UNSUBSCRIBED");
  EXPECT_EQ(Answer(Question(OptIn::kNone, std::nullopt)), "yes");
  EXPECT_EQ(Answer(Question(OptIn::kNone, S::kUnconfirmed)), "yes");
  EXPECT_EQ(Answer(Question(OptIn::kNone, S::kUnsubscribed)), "UNSUBSCRIBED");
}

TEST(MayReceiveTest, BeingBlockedBeatsEverything) {
  ReceiveQuestion question = Question(OptIn::kSingle, SubscriptionState::kConfirmed);
  question.topic.purpose = "marketing";
  question.consents = {Says(kYes, kDay1)};
  question.suppressions = {{"email", "a@b.example", SuppressionReason::kComplaint, kDay1}};
  question.status = ContactStatus::kBlocked;
  EXPECT_EQ(Answer(question), "BLOCKED");
  question.status = ContactStatus::kDeactivated;
  EXPECT_EQ(Answer(question), "DEACTIVATED");
  question.status = ContactStatus::kErased;
  EXPECT_EQ(Answer(question), "ERASED");
}

TEST(MayReceiveTest, ASuppressionOfTheChannelBeatsConsent) {
  ReceiveQuestion question = Question(OptIn::kSingle, SubscriptionState::kConfirmed);
  question.topic.purpose = "marketing";
  question.consents = {Says(kYes, kDay1)};
  EXPECT_EQ(Answer(question), "yes");
  question.suppressions = {{"sms", "+4930123456", SuppressionReason::kComplaint, kDay1}};
  EXPECT_EQ(Answer(question), "yes");
  question.suppressions.push_back({"email", "a@b.example", SuppressionReason::kManual, kDay3});
  question.suppressions.push_back({"email", "a@b.example", SuppressionReason::kHardBounce, kDay2});
  EXPECT_EQ(Answer(question), "SUPPRESSED HARD_BOUNCE");
}

TEST(MayReceiveTest, APurposeNeedsAValidGrant) {
  ReceiveQuestion question = Question(OptIn::kSingle, SubscriptionState::kConfirmed);
  question.topic.purpose = "marketing";
  EXPECT_EQ(Answer(question), "CONSENT_MISSING");
  question.consents = {Says(kYes, kDay1)};
  question.consents[0].expire_time = kNow + absl::Seconds(1);
  EXPECT_EQ(Answer(question), "yes");
  question.consents[0].expire_time = kNow;
  EXPECT_EQ(Answer(question), "CONSENT_EXPIRED");
  question.consents = {Says(ConsentState::kDenied, kDay1)};
  EXPECT_EQ(Answer(question), "CONSENT_DENIED");
  question.consents = {Says(kYes, kDay1), Says(kNo, kDay2)};
  EXPECT_EQ(Answer(question), "CONSENT_REVOKED");
}

TEST(MayReceiveTest, ARefusalOfMarketingHoldsForTopicsWithoutAPurpose) {
  ReceiveQuestion question = Question(OptIn::kNone, std::nullopt);
  question.consents = {Says(kNo, kDay1, "email")};
  EXPECT_EQ(Answer(question), "CONSENT_REVOKED");
  question.consents = {Says(kNo, kDay1, "sms")};
  EXPECT_EQ(Answer(question), "yes");
}

TEST(TopicTest, EveryBadFieldIsNamed) {
  EXPECT_TRUE(ValidateTopic({"news", "News", "email", OptIn::kDouble}).ok());
  const auto status = ValidateTopic({"News!", "a\nb", "fax", static_cast<OptIn>(0), "P!"});
  EXPECT_EQ(error::FieldViolations(status).size(), 5u);
}

}  // namespace
}  // namespace clm::contact
