#include <map>
#include <string>
#include <utility>
#include <vector>

#include "google/protobuf/util/message_differencer.h"
#include "services/contact/contact_fixture.h"
#include "services/contact/known_policies.h"

namespace clm::contact {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kRequestId[] = "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a";

class IdentityPolicyTest : public ContactTest {
 protected:
  static absl::StatusOr<v1::IdentityPolicy> Policy(const ContactServer& server,
                                                   const std::string& tenant = kAcme) {
    v1::GetIdentityPolicyRequest request;
    request.set_name(tenant + "/identityPolicy");
    return Call(*server.contacts, &Contacts::GetIdentityPolicy, request);
  }
  // With the mask of these paths, or of what is populated.
  static v1::UpdateIdentityPolicyRequest Change(v1::IdentityPolicy policy,
                                                const std::vector<std::string>& paths = {}) {
    v1::UpdateIdentityPolicyRequest request;
    *request.mutable_identity_policy() = std::move(policy);
    request.mutable_identity_policy()->set_name(std::string(kAcme) + "/identityPolicy");
    for (const auto& path : paths) request.mutable_update_mask()->add_paths(path);
    return request;
  }
  absl::StatusOr<v1::IdentityPolicy> Update(v1::IdentityPolicy policy,
                                            const std::vector<std::string>& paths = {}) {
    return Call(*main_.contacts, &Contacts::UpdateIdentityPolicy, Change(std::move(policy), paths));
  }
  static v1::IdentityPolicy Blocking(const std::string& value) {
    v1::IdentityPolicy policy;
    policy.add_blocked_values(value);
    return policy;
  }
  static v1::IdentityPolicy Gmail() {
    v1::IdentityPolicy policy;
    auto* provider = policy.add_email_providers();
    provider->set_domain("gmail.com");
    provider->set_ignore_dots(true);
    provider->set_ignore_tags(true);
    return policy;
  }
  static absl::StatusOr<v1::IngestEventsResponse> Ingest(
      const ContactServer& server, const std::map<std::string, std::string>& identifiers,
      const std::string& tenant = kAcme) {
    v1::IngestEventsRequest request;
    request.set_parent(tenant);
    request.set_create_contacts(true);
    auto* event = request.add_events();
    event->set_type("page_view");
    event->mutable_occur_time()->set_seconds(1'770'000'000);
    for (const auto& [type, value] : identifiers) (*event->mutable_identifiers())[type] = value;
    return Call(*server.timeline, &Timeline::IngestEvents, request);
  }
  // The contact that an event with these identifiers went to; empty when it was refused.
  std::string Target(const std::map<std::string, std::string>& identifiers,
                     const std::string& tenant = kAcme) {
    const auto response = Ingest(main_, identifiers, tenant);
    CLM_EXPECT_OK(response.status());
    return response.ok() ? response->results(0).contact() : "";
  }
  absl::StatusOr<v1::Contact> Lookup(const std::string& type, const std::string& value) {
    v1::LookupContactRequest request;
    request.set_parent(kAcme);
    request.set_type(type);
    request.set_value(value);
    return Call(*main_.contacts, &Contacts::LookupContact, request);
  }
  int64_t JournalRows() { return Count("SELECT count(*) FROM journal"); }
};

TEST_F(IdentityPolicyTest, UntilItIsChangedItHasTheDefaults) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto policy, Policy(main_));
  EXPECT_EQ(policy.name(), "tenants/acme/identityPolicy");
  for (const char* value : {"-1", "null", "anonymous"}) {
    EXPECT_THAT(policy.blocked_values(), Contains(value));
  }
  EXPECT_THAT(policy.blocked_patterns(), ElementsAre("^[0-]*$"));
  EXPECT_EQ(policy.limits().at("user_id").max_values(), 1);
  EXPECT_FALSE(policy.limits().at("user_id").has_window());
  EXPECT_EQ(policy.limits().at("anonymous_id").window().seconds(), 7 * 24 * 3600);
  EXPECT_EQ(policy.default_limit().max_values(), 5);
  EXPECT_THAT(policy.priorities(), ElementsAre("user_id", "email"));
  EXPECT_TRUE(policy.email_providers().empty());
  EXPECT_FALSE(policy.has_update_time());
  EXPECT_FALSE(policy.etag().empty());
}

TEST_F(IdentityPolicyTest, AnUpdateChangesWhatItsMaskNamesAndIsToldOnce) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto before, Policy(main_));
  CLM_ASSERT_OK_AND_ASSIGN(const auto after, Update(Blocking(" Kiosk "), {"blocked_values"}));
  EXPECT_THAT(after.blocked_values(), ElementsAre("kiosk"));
  EXPECT_THAT(after.blocked_patterns(), ElementsAre("^[0-]*$"));
  EXPECT_TRUE(after.has_update_time());
  EXPECT_NE(after.etag(), before.etag());
  EXPECT_EQ(JournalRows(), 1);
  CLM_ASSERT_OK_AND_ASSIGN(const auto same, Update(Blocking("kiosk"), {"blocked_values"}));
  EXPECT_EQ(same.etag(), after.etag());
  EXPECT_EQ(JournalRows(), 1);
  CLM_ASSERT_OK_AND_ASSIGN(const auto read, Policy(main_));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(read, after));
  CLM_ASSERT_OK_AND_ASSIGN(const auto none, Update({}, {"blocked_values", "default_limit"}));
  EXPECT_TRUE(none.blocked_values().empty());
  EXPECT_EQ(none.default_limit().max_values(), 5);
}

TEST_F(IdentityPolicyTest, AStaleEtagAbortsAndARepeatedRequestIsAnsweredAsTheFirstTime) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto defaults, Policy(main_));
  auto request = Change(Blocking("kiosk"));
  request.mutable_identity_policy()->set_etag(defaults.etag());
  request.set_request_id(kRequestId);
  CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                           Call(*main_.contacts, &Contacts::UpdateIdentityPolicy, request));
  bool replayed = false;
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto again, Call(*main_.contacts, &Contacts::UpdateIdentityPolicy, request, &replayed));
  EXPECT_TRUE(replayed);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(again, first));
  request.clear_request_id();
  EXPECT_THAT(Call(*main_.contacts, &Contacts::UpdateIdentityPolicy, request),
              ReasonIs("ETAG_MISMATCH"));
}

TEST_F(IdentityPolicyTest, WhatMakesNoSenseIsRefusedByName) {
  v1::IdentityPolicy policy;
  policy.add_blocked_patterns("(");
  policy.add_priorities("Shop");
  const auto refused = Update(policy);
  EXPECT_THAT(refused, StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("identity_policy.blocked_patterns[0]"));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("identity_policy.priorities[0]"));
}

TEST_F(IdentityPolicyTest, ABlockedValueIdentifiesNobodyFromTheNextCallOn) {
  const std::string crowd = Target({{"user_id", "kiosk"}});
  EXPECT_EQ(Target({{"user_id", "kiosk"}}), crowd);
  EXPECT_EQ(Target({{"user_id", "null"}}), "");
  CLM_ASSERT_OK(Update(Blocking("kiosk")));
  EXPECT_EQ(Target({{"user_id", "KIOSK"}}), "");
  EXPECT_NE(Target({{"user_id", "null"}}), "");
  auto request = NewContact("ada@example.com");
  (*request.mutable_contact()->mutable_external_ids())["shop"] = "kiosk";
  EXPECT_THAT(Call(*main_.contacts, &Contacts::CreateContact, request),
              StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(Lookup("user_id", "kiosk"), StatusIs(StatusCode::kInvalidArgument));
  // Another tenant's rules are its own.
  EXPECT_NE(Target({{"user_id", "kiosk"}}, kGlobex), "");
}

TEST_F(IdentityPolicyTest, LimitsAreTheTenants) {
  const std::map<std::string, std::string> first = {{"email", "ada@example.com"}, {"crm", "1"}};
  const std::map<std::string, std::string> second = {{"email", "ada@example.com"}, {"crm", "2"}};
  EXPECT_EQ(Target(first), Target(second));
  v1::IdentityPolicy policy;
  (*policy.mutable_limits())["crm"].set_max_values(1);
  policy.add_priorities("crm");
  CLM_ASSERT_OK(Update(policy));
  const std::map<std::string, std::string> bob = {{"email", "bob@example.com"}, {"crm", "3"}};
  const std::map<std::string, std::string> other = {{"email", "bob@example.com"}, {"crm", "4"}};
  const std::string one = Target(bob);
  const std::string another = Target(other);
  EXPECT_NE(one, "");
  EXPECT_NE(another, "");
  EXPECT_NE(one, another);
}

TEST_F(IdentityPolicyTest, AddressesOfAProviderAreOneMailboxForWritesAndLookups) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto early, Create("b.o.b@gmail.com"));
  CLM_ASSERT_OK(Update(Gmail()));
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("A.da+shop@gmail.com"));
  EXPECT_EQ(ada.email(), "ada@gmail.com");
  EXPECT_THAT(Create("ad.a@gmail.com"), StatusIs(StatusCode::kAlreadyExists));
  CLM_ASSERT_OK_AND_ASSIGN(const auto found, Lookup("email", "a.d.a@gmail.com"));
  EXPECT_EQ(found.name(), ada.name());
  EXPECT_EQ(Target({{"email", "ada+x@gmail.com"}}), ada.name());
  v1::ListContactsRequest list;
  list.set_parent(kAcme);
  list.set_filter("email = \"a.d.a@gmail.com\"");
  CLM_ASSERT_OK_AND_ASSIGN(const auto page, Call(*main_.contacts, &Contacts::ListContacts, list));
  ASSERT_EQ(page.contacts_size(), 1);
  v1::UpsertContactRequest upsert;
  upsert.set_parent(kAcme);
  upsert.mutable_contact()->set_email("a.d.a@gmail.com");
  upsert.mutable_contact()->set_family_name("Lovelace");
  CLM_ASSERT_OK_AND_ASSIGN(const auto upserted,
                           Call(*main_.contacts, &Contacts::UpsertContact, upsert));
  EXPECT_EQ(upserted.contact().name(), ada.name());
  v1::BatchUpsertContactsRequest batch;
  batch.set_parent(kAcme);
  *batch.add_requests() = upsert;
  CLM_ASSERT_OK_AND_ASSIGN(const auto results,
                           Call(*main_.contacts, &Contacts::BatchUpsertContacts, batch));
  EXPECT_EQ(results.results(0).contact(), ada.name());
  // What was stored before stays as it is.
  CLM_ASSERT_OK_AND_ASSIGN(const auto bob, Get(early.name()));
  EXPECT_EQ(bob.email(), "b.o.b@gmail.com");
}

TEST_F(IdentityPolicyTest, WhoWasErasedInAnotherSpellingIsNotBroughtBack) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("a.da+shop@gmail.com"));
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  CLM_ASSERT_OK(Update(Gmail()));
  EXPECT_THAT(Create("A.da+shop@gmail.com"), ReasonIs("ADDRESS_ERASED"));
  EXPECT_EQ(Target({{"email", "a.da+shop@gmail.com"}}), "");
  CLM_EXPECT_OK(Create("ada@gmail.com"));
}

TEST_F(IdentityPolicyTest, ASuppressionOfAnotherSpellingOfAProvidersAddressCounts) {
  CLM_ASSERT_OK(Update(Gmail()));
  v1::SuppressAddressRequest suppress;
  suppress.set_parent(kAcme);
  suppress.mutable_suppression()->set_channel("email");
  suppress.mutable_suppression()->set_address("A.d.a+news@gmail.com");
  suppress.mutable_suppression()->set_reason(v1::Suppression::REASON_COMPLAINT);
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::SuppressAddress, suppress));
  EXPECT_EQ(Count("SELECT count(*) FROM suppression WHERE address = 'ada@gmail.com'"), 1);
  v1::LiftSuppressionRequest lift;
  lift.set_parent(kAcme);
  lift.set_channel("email");
  lift.set_address("ad.a@gmail.com");
  lift.set_reason("typed wrongly");
  CLM_EXPECT_OK(Call(*main_.consent, &Consent::LiftSuppression, lift));
  EXPECT_EQ(Count("SELECT count(*) FROM suppression"), 0);
}

TEST_F(IdentityPolicyTest, AnotherProcessFollowsWithinItsBound) {
  ManualClock clock(absl::FromUnixSeconds(1'790'000'000));
  const ContactServer other(database_, "", &clock);
  const auto target = [&] {
    const auto response = Ingest(other, {{"user_id", "kiosk"}});
    CLM_EXPECT_OK(response.status());
    return response.ok() ? response->results(0).contact() : "";
  };
  EXPECT_NE(target(), "");
  CLM_ASSERT_OK(Update(Blocking("kiosk")));
  clock.Advance(KnownPolicies::kKnownFor);
  EXPECT_EQ(target(), "");
}

}  // namespace
}  // namespace clm::contact
