// Tenants are walls, and tokens open what they were made for.
#include "clm/access/v1/access_service.grpc.pb.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/lifecycle/v1/insights_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using Contacts = contact::v1::ContactService::Stub;
using Lifecycle = lifecycle::v1::LifecycleService::Stub;
using Insights = lifecycle::v1::InsightsService::Stub;

class AccessTest : public TenantTest {};

TEST_F(AccessTest, ASecondTenantSeesNothingOfTheFirst) {
  Json({"models", "install", "non-contractual"});
  const std::string ada = NewContact("ada@example.com");
  for (int i = 0; i < 3; ++i) NewContact(absl::StrCat("p", i, "@example.com"));
  Ingest("purchase", "ada@example.com");
  ASSERT_TRUE(Reaches(ada, "first_purchase"));
  contact::v1::ListContactsRequest page;
  page.set_parent(parent());
  page.set_page_size(1);
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, api().Call(&Contacts::ListContacts, page));
  ASSERT_NE(first.next_page_token(), "");

  const std::string other = NewTenant();
  const Client stranger(suite(), NewToken(other));
  contact::v1::GetContactRequest get;
  get.set_name(ada);
  EXPECT_THAT(stranger.Call(&Contacts::GetContact, get), StatusIs(StatusCode::kNotFound));
  contact::v1::GetCustomerContextRequest context;
  context.set_name(ada);
  EXPECT_THAT(stranger.Call(&Contacts::GetCustomerContext, context),
              StatusIs(StatusCode::kNotFound));
  contact::v1::EraseContactRequest erase;
  erase.set_name(ada);
  EXPECT_THAT(stranger.Call(&Contacts::EraseContact, erase), StatusIs(StatusCode::kNotFound));
  lifecycle::v1::GetCustomerStagesRequest stages;
  stages.set_contact(ada);
  EXPECT_THAT(stranger.Call(&Lifecycle::GetCustomerStages, stages),
              StatusIs(StatusCode::kNotFound));
  lifecycle::v1::GetFunnelRequest funnel;
  funnel.set_model(parent() + "/stageModels/non-contractual");
  EXPECT_THAT(stranger.Call(&Insights::GetFunnel, funnel), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(stranger.Call(&Contacts::ListContacts, page), StatusIs(StatusCode::kNotFound));

  // In the stranger's own name: nothing there, and a page token that is not his.
  page.set_parent("tenants/" + other);
  CLM_ASSERT_OK_AND_ASSIGN(const auto own, stranger.Call(&Contacts::ListContacts, page));
  EXPECT_EQ(own.contacts_size(), 0);
  page.set_page_token(first.next_page_token());
  EXPECT_THAT(stranger.Call(&Contacts::ListContacts, page),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("page_token")));
  const std::string id = ada.substr(ada.rfind('/') + 1);
  get.set_name("tenants/" + other + "/contacts/" + id);
  EXPECT_THAT(stranger.Call(&Contacts::GetContact, get), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(suite().Clm({"--tenant", other, "contacts", "get", "ada@example.com"}),
              FailedWith(kNotFound, HasSubstr("")));
  EXPECT_EQ(suite().Clm({"--tenant", other, "models", "list", "-o", "name"}).out, "");

  // And the first has lost nothing.
  EXPECT_EQ(Json({"contacts", "get", ada}).value("email", ""), "ada@example.com");
}

TEST_F(AccessTest, ATenantThatDoesNotExistIsNotFound) {
  // By the private socket, where no token tells the tenant.
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"contacts", "create", "--email", "ada@example.com"},
                                             {"contacts", "list"},
                                             {"models", "install", "non-contractual"},
                                             {"models", "presets"},
                                             {"insights", "cohorts"},
                                             {"tokens", "list"}}) {
    std::vector<std::string> args = {"--tenant", "nobody"};
    args.insert(args.end(), words.begin(), words.end());
    EXPECT_THAT(suite().Clm(args), FailedWith(kNotFound, HasSubstr("tenants/nobody"))) << words[0];
  }
  // As soon as it is made, it is there, in every process.
  const std::string late = tenant() + "-late";
  EXPECT_THAT(suite().Clm({"--tenant", late, "models", "presets"}),
              FailedWith(kNotFound, HasSubstr(late)));
  ASSERT_THAT(suite().Clm({"tenants", "create", late}), Succeeded());
  EXPECT_THAT(suite().Clm({"--tenant", late, "models", "presets"}), Succeeded());
  EXPECT_THAT(suite().Clm({"--tenant", late, "contacts", "list"}), Succeeded());
}

TEST_F(AccessTest, ATokenGrantsItsScopesUntilItIsRevoked) {
  contact::v1::ListContactsRequest list;
  list.set_parent(parent());
  EXPECT_THAT(Client(suite(), "").Call(&Contacts::ListContacts, list), ReasonIs("TOKEN_MISSING"));
  EXPECT_THAT(Client(suite(), "clm_live_guess").Call(&Contacts::ListContacts, list),
              ReasonIs("TOKEN_INVALID"));

  const json made = Json({"tokens", "create", "--scope", "contacts.read", "--expire", "30d"});
  const Client reader(suite(), made.value("secret", ""));
  CLM_EXPECT_OK(reader.Call(&Contacts::ListContacts, list));
  contact::v1::CreateContactRequest create;
  create.set_parent(parent());
  create.mutable_contact()->set_email("ada@example.com");
  EXPECT_THAT(reader.Call(&Contacts::CreateContact, create), ReasonIs("SCOPE_MISSING"));
  lifecycle::v1::ListPresetsRequest presets;
  presets.set_parent(parent());
  EXPECT_THAT(reader.Call(&Lifecycle::ListPresets, presets), ReasonIs("SCOPE_MISSING"));

  const std::string address =
      absl::StrCat("access=", suite().Address("access"), ",contact=", suite().Address("contact"),
                   ",lifecycle=", suite().Address("lifecycle"));
  const auto remote = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {CLM_BIN_DIR "/clm", "--address", address, "--token",
                               made.value("secret", ""), "--tenant", tenant()});
    return RunProgram(args, {{"HOME", suite().data()}, {"CLM_DATA", ""}});
  };
  EXPECT_THAT(remote({"contacts", "list"}), Succeeded());
  EXPECT_THAT(remote({"contacts", "create", "--email", "ada@example.com"}),
              FailedWith(kPermission, HasSubstr("contacts.write")));
  EXPECT_THAT(remote({"models", "list"}), FailedWith(kPermission, HasSubstr("the token")));

  const std::string key = made.at("token").value("name", "");
  Json({"tokens", "revoke", key.substr(key.rfind('/') + 1)});
  // Every process forgets it within seconds.
  EXPECT_TRUE(Eventually([&] {
    return error::Reason(reader.Call(&Contacts::ListContacts, list).status()) == "TOKEN_INVALID" &&
           error::Reason(reader.Call(&Lifecycle::ListPresets, presets).status()) == "TOKEN_INVALID";
  }));
  EXPECT_THAT(remote({"contacts", "list"}),
              FailedWith(kPermission, HasSubstr("clm tokens create")));
}

}  // namespace
}  // namespace clm::e2e
