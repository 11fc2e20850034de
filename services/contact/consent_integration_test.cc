#include "absl/strings/match.h"
#include "services/contact/contact_fixture.h"

namespace clm::contact {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ConsentTest : public ContactTest {
 protected:
  ConsentTest() {
    CLM_EXPECT_OK(NewTopic("newsletter", v1::Topic::OPT_IN_DOUBLE));
    auto ada = Create("ada@example.com");
    EXPECT_TRUE(ada.ok()) << ada.status();
    if (ada.ok()) ada_ = ada->name();
  }

  absl::StatusOr<v1::Topic> NewTopic(const std::string& id, v1::Topic::OptIn opt_in,
                                     const std::string& purpose = "") {
    v1::CreateTopicRequest request;
    request.set_parent(kAcme);
    request.set_topic_id(id);
    request.mutable_topic()->set_channel("email");
    request.mutable_topic()->set_opt_in(opt_in);
    request.mutable_topic()->set_purpose(purpose);
    return Call(*main_.consent, &Consent::CreateTopic, request);
  }
  v1::SubscribeRequest ToTopic(const std::string& topic) const {
    v1::SubscribeRequest request;
    request.set_contact(ada_);
    request.set_topic(absl::StrCat(kAcme, "/topics/", topic));
    return request;
  }
  // "" when the contact may be written to, else the reason why not.
  std::string Reach(const std::string& topic = "newsletter") {
    v1::CheckReachRequest request;
    request.set_contact(ada_);
    request.set_topic(absl::StrCat(kAcme, "/topics/", topic));
    const auto response = Call(*main_.consent, &Consent::CheckReach, request);
    if (!response.ok()) return response.status().ToString();
    EXPECT_EQ(response->allowed(), response->reason().empty());
    return response->reason();
  }
  absl::StatusOr<v1::Suppression> Suppress(const std::string& address,
                                           v1::Suppression::Reason reason) {
    v1::SuppressAddressRequest request;
    request.set_parent(kAcme);
    request.mutable_suppression()->set_channel("email");
    request.mutable_suppression()->set_address(address);
    request.mutable_suppression()->set_reason(reason);
    return Call(*main_.consent, &Consent::SuppressAddress, request);
  }
  absl::Status Lift(const std::string& address) {
    v1::LiftSuppressionRequest request;
    request.set_parent(kAcme);
    request.set_channel("email");
    request.set_address(address);
    request.set_reason("typed wrongly");
    return Call(*main_.consent, &Consent::LiftSuppression, request).status();
  }
  int64_t JournalRows() { return Count("SELECT count(*) FROM journal"); }

  std::string ada_;
};

TEST_F(ConsentTest, OnlyAConfirmedSubscriberOfADoubleOptInTopicIsReached) {
  EXPECT_EQ(Reach(), "NOT_SUBSCRIBED");
  CLM_ASSERT_OK_AND_ASSIGN(const auto subscribed,
                           Call(*main_.consent, &Consent::Subscribe, ToTopic("newsletter")));
  EXPECT_EQ(subscribed.state(), v1::Subscription::STATE_UNCONFIRMED);
  EXPECT_EQ(Reach(), "UNCONFIRMED");
  auto confirm = ToTopic("newsletter");
  confirm.set_confirmed(true);
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::Subscribe, confirm));
  EXPECT_EQ(Reach(), "");
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::Unsubscribe, ToTopic("newsletter")));
  EXPECT_EQ(Reach(), "UNSUBSCRIBED");
}

TEST_F(ConsentTest, AChangeLeavesOneJournalRowAndARepetitionNone) {
  const int64_t before = JournalRows();
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::Subscribe, ToTopic("newsletter")));
  EXPECT_EQ(JournalRows(), before + 1);
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::Subscribe, ToTopic("newsletter")));
  EXPECT_EQ(JournalRows(), before + 1);
}

TEST_F(ConsentTest, AnUnknownTopicOrContactIsNotFound) {
  EXPECT_THAT(Call(*main_.consent, &Consent::Subscribe, ToTopic("nothing")),
              StatusIs(StatusCode::kNotFound));
  auto request = ToTopic("newsletter");
  request.set_contact(absl::StrCat(kAcme, "/contacts/0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a"));
  EXPECT_THAT(Call(*main_.consent, &Consent::Subscribe, request), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(NewTopic("newsletter", v1::Topic::OPT_IN_SINGLE), ReasonIs("TOPIC_EXISTS"));
}

TEST_F(ConsentTest, PagesOfTopicsAndSubscriptionsCoverAllOnce) {
  for (const char* id : {"tips", "offers", "a-b", "a1"}) {
    CLM_ASSERT_OK(NewTopic(id, v1::Topic::OPT_IN_SINGLE));
    CLM_ASSERT_OK(Call(*main_.consent, &Consent::Subscribe, ToTopic(id)));
  }
  v1::ListTopicsRequest topics;
  topics.set_parent(kAcme);
  topics.set_page_size(2);
  std::vector<std::string> pages;
  do {
    CLM_ASSERT_OK_AND_ASSIGN(const auto page, Call(*main_.consent, &Consent::ListTopics, topics));
    std::string& names = pages.emplace_back();
    for (const auto& topic : page.topics()) {
      absl::StrAppend(&names, topic.name().substr(topic.name().rfind('/') + 1), " ");
    }
    topics.set_page_token(page.next_page_token());
  } while (!topics.page_token().empty());
  EXPECT_THAT(pages, ElementsAre("a-b a1 ", "newsletter offers ", "tips "));

  v1::ListSubscriptionsRequest subscriptions;
  subscriptions.set_parent(ada_);
  subscriptions.set_page_size(3);
  CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                           Call(*main_.consent, &Consent::ListSubscriptions, subscriptions));
  ASSERT_EQ(first.subscriptions_size(), 3);
  EXPECT_EQ(first.subscriptions(0).topic(), absl::StrCat(kAcme, "/topics/a-b"));
  subscriptions.set_page_token(first.next_page_token());
  CLM_ASSERT_OK_AND_ASSIGN(const auto second,
                           Call(*main_.consent, &Consent::ListSubscriptions, subscriptions));
  ASSERT_EQ(second.subscriptions_size(), 1);
  EXPECT_EQ(second.subscriptions(0).topic(), absl::StrCat(kAcme, "/topics/tips"));
  EXPECT_EQ(second.next_page_token(), "");
  topics.set_page_token(first.next_page_token());
  EXPECT_THAT(Call(*main_.consent, &Consent::ListTopics, topics),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("page_token")));
}

TEST_F(ConsentTest, ARevokedConsentEndsReach) {
  CLM_ASSERT_OK(NewTopic("tips", v1::Topic::OPT_IN_NONE));
  EXPECT_EQ(Reach("tips"), "");
  v1::RecordConsentRequest request;
  request.set_contact(ada_);
  request.mutable_consent_act()->set_purpose("marketing");
  request.mutable_consent_act()->set_state(v1::ConsentAct::STATE_REVOKED);
  CLM_ASSERT_OK_AND_ASSIGN(const auto act, Call(*main_.consent, &Consent::RecordConsent, request));
  EXPECT_EQ(act.actor(), "clm-test");
  EXPECT_EQ(Reach("tips"), "CONSENT_REVOKED");
  request.mutable_consent_act()->set_state(v1::ConsentAct::STATE_GRANTED);
  EXPECT_THAT(Call(*main_.consent, &Consent::RecordConsent, request),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("consent_act.legal_basis")));
}

TEST_F(ConsentTest, ATopicWithAPurposeNeedsAConsentThatHasNotExpired) {
  EXPECT_THAT(NewTopic("offers", v1::Topic::OPT_IN_NONE, "Not an id"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("purpose")));
  CLM_ASSERT_OK_AND_ASSIGN(const auto topic,
                           NewTopic("offers", v1::Topic::OPT_IN_NONE, "third-party"));
  EXPECT_EQ(topic.purpose(), "third-party");
  v1::ListTopicsRequest list;
  list.set_parent(kAcme);
  CLM_ASSERT_OK_AND_ASSIGN(const auto topics, Call(*main_.consent, &Consent::ListTopics, list));
  EXPECT_EQ(topics.topics(1).purpose(), "third-party") << topics.DebugString();

  EXPECT_EQ(Reach("offers"), "CONSENT_MISSING");
  v1::RecordConsentRequest request;
  request.set_contact(ada_);
  auto& act = *request.mutable_consent_act();
  act.set_purpose("third-party");
  act.set_state(v1::ConsentAct::STATE_GRANTED);
  act.set_legal_basis("consent");
  act.mutable_act_time()->set_seconds(1'700'000'000);
  act.mutable_expire_time()->set_seconds(1'700'086'400);
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::RecordConsent, request));
  EXPECT_EQ(Reach("offers"), "CONSENT_EXPIRED");
  act.clear_act_time();
  act.clear_expire_time();
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::RecordConsent, request));
  EXPECT_EQ(Reach("offers"), "");
  // A consent for something else is none for this.
  CLM_ASSERT_OK(NewTopic("profiles", v1::Topic::OPT_IN_NONE, "profiling"));
  EXPECT_EQ(Reach("profiles"), "CONSENT_MISSING");
}

TEST_F(ConsentTest, ActsAreListedNewestFirstPageByPage) {
  v1::RecordConsentRequest request;
  request.set_contact(ada_);
  auto& act = *request.mutable_consent_act();
  act.set_state(v1::ConsentAct::STATE_DENIED);
  for (int day = 1; day <= 3; ++day) {
    act.set_purpose(absl::StrCat("purpose", day));
    act.mutable_act_time()->set_seconds(1'700'000'000 + 86'400 * day);
    CLM_ASSERT_OK(Call(*main_.consent, &Consent::RecordConsent, request));
    // The same act again is one act.
    CLM_ASSERT_OK(Call(*main_.consent, &Consent::RecordConsent, request));
  }
  v1::ListConsentActsRequest list;
  list.set_parent(ada_);
  list.set_page_size(2);
  std::string purposes;
  for (int page = 0; page < 2; ++page) {
    CLM_ASSERT_OK_AND_ASSIGN(const auto acts,
                             Call(*main_.consent, &Consent::ListConsentActs, list));
    for (const auto& one : acts.consent_acts()) absl::StrAppend(&purposes, one.purpose(), " ");
    list.set_page_token(acts.next_page_token());
  }
  EXPECT_EQ(purposes, "purpose3 purpose2 purpose1 ");
  EXPECT_EQ(list.page_token(), "");
}

TEST_F(ConsentTest, ASuppressedAddressIsNotReachedUntilTheSuppressionIsLifted) {
  CLM_ASSERT_OK(NewTopic("tips", v1::Topic::OPT_IN_NONE));
  const int64_t before = JournalRows();
  CLM_ASSERT_OK(Suppress(" ADA@example.com", v1::Suppression::REASON_HARD_BOUNCE));
  EXPECT_EQ(JournalRows(), before + 1);
  EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM journal WHERE subject = '", ada_, "'")), 2);
  EXPECT_EQ(Reach("tips"), "SUPPRESSED_HARD_BOUNCE");
  // The first reason stays.
  CLM_ASSERT_OK(Suppress("ada@example.com", v1::Suppression::REASON_MANUAL));
  EXPECT_EQ(Reach("tips"), "SUPPRESSED_HARD_BOUNCE");
  EXPECT_EQ(JournalRows(), before + 1);
  CLM_ASSERT_OK(Lift("ada@example.com"));
  EXPECT_EQ(Reach("tips"), "");
  EXPECT_THAT(Lift("ada@example.com"), StatusIs(StatusCode::kNotFound));
}

TEST_F(ConsentTest, ALegalSuppressionCannotBeLiftedNorWeakened) {
  CLM_ASSERT_OK(Suppress("bob@example.com", v1::Suppression::REASON_MANUAL));
  CLM_ASSERT_OK(Suppress("bob@example.com", v1::Suppression::REASON_LEGAL));
  CLM_ASSERT_OK(Suppress("bob@example.com", v1::Suppression::REASON_MANUAL));
  EXPECT_THAT(Lift("bob@example.com"), ReasonIs("SUPPRESSION_PERMANENT"));
  EXPECT_THAT(Suppress("eve@example.com", v1::Suppression::REASON_ERASED),
              StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(ConsentTest, TheSuppressionOfAnErasedPersonStaysWithoutTheAddress) {
  v1::EraseContactRequest erase;
  erase.set_name(ada_);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_THAT(Lift("ada@example.com"), ReasonIs("SUPPRESSION_PERMANENT"));
  v1::ListSuppressionsRequest list;
  list.set_parent(kAcme);
  CLM_ASSERT_OK_AND_ASSIGN(const auto all, Call(*main_.consent, &Consent::ListSuppressions, list));
  ASSERT_EQ(all.suppressions_size(), 1);
  EXPECT_EQ(all.suppressions(0).reason(), v1::Suppression::REASON_ERASED);
  EXPECT_EQ(all.suppressions(0).address(), "");
  EXPECT_EQ(Reach(), "ERASED");
  EXPECT_THAT(Call(*main_.consent, &Consent::Subscribe, ToTopic("newsletter")),
              ReasonIs("CONTACT_ERASED"));
}

TEST_F(ConsentTest, SuppressionsArePagedInTheOrderRecorded) {
  for (const char* address : {"c@example.com", "a@example.com", "b@example.com"}) {
    CLM_ASSERT_OK(Suppress(address, v1::Suppression::REASON_MANUAL));
  }
  v1::ListSuppressionsRequest list;
  list.set_parent(kAcme);
  list.set_page_size(2);
  std::string seen;
  for (int page = 0; page < 2; ++page) {
    CLM_ASSERT_OK_AND_ASSIGN(const auto some,
                             Call(*main_.consent, &Consent::ListSuppressions, list));
    for (const auto& one : some.suppressions()) absl::StrAppend(&seen, one.address(), " ");
    list.set_page_token(some.next_page_token());
    if (page == 0) {
      // The token is of this tenant's list only.
      v1::ListSuppressionsRequest other = list;
      other.set_parent(kGlobex);
      EXPECT_THAT(Call(*main_.consent, &Consent::ListSuppressions, other),
                  StatusIs(StatusCode::kInvalidArgument, HasSubstr("page_token")));
    }
  }
  EXPECT_EQ(seen, "c@example.com a@example.com b@example.com ");
}

}  // namespace
}  // namespace clm::contact
