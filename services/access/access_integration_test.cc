#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "libs/app/server.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/pg/pg.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "libs/rpc/token.h"
#include "libs/testing/servers.h"
#include "services/access/access_store.h"
#include "services/access/module.h"
#include "services/access/schema.h"

namespace clm::access {
namespace {

using absl::StatusCode;

class AccessTest : public ::testing::Test {
 protected:
  AccessTest() : database_(clm::testing::Postgres::Shared().CreateDatabase(AccessSchema())) {
    std::vector<std::unique_ptr<app::Module>> modules;
    modules.push_back(NewModule());
    auto server = app::Server::Start({.name = "clm-test",
                                      .listen = {"127.0.0.1:0"},
                                      .secret = std::string(32, 's'),
                                      .dsns = {{"access", database_.app_dsn}},
                                      .allow_unsafe_database = true,
                                      .drain_delay = absl::ZeroDuration(),
                                      .clock = &clock_},
                                     std::move(modules));
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    suite_ = v1::AccessService::NewStub(server_->Channel());
    remote_ = v1::AccessService::NewStub(
        rpc::NewChannel(absl::StrCat("127.0.0.1:", server_->ports().front())));
    EXPECT_TRUE(NewTenant("acme").ok());
  }

  template <class Req, class Resp>
  absl::Status Call(v1::AccessService::Stub& stub,
                    grpc::Status (v1::AccessService::Stub::*method)(grpc::ClientContext*,
                                                                    const Req&, Resp*),
                    const Req& request, Resp* response, const std::string& token = "") {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    response->Clear();
    return rpc::FromGrpc((stub.*method)(&context, request, response));
  }

  absl::Status NewTenant(const std::string& id, const std::string& request_id = "") {
    v1::CreateTenantRequest request;
    request.set_tenant_id(id);
    request.mutable_tenant()->set_display_name("The " + id);
    request.set_request_id(request_id);
    return Call(*suite_, &v1::AccessService::Stub::CreateTenant, request, &tenant_);
  }

  v1::CreateTokenRequest TokenFor(const std::string& tenant, std::vector<std::string> scopes) {
    v1::CreateTokenRequest request;
    request.set_parent("tenants/" + tenant);
    for (auto& scope : scopes) request.mutable_token()->add_scopes(scope);
    return request;
  }

  absl::Status NewToken(const v1::CreateTokenRequest& request) {
    return Call(*suite_, &v1::AccessService::Stub::CreateToken, request, &created_);
  }

  absl::Status Get(const std::string& tenant, const std::string& token) {
    v1::GetTenantRequest request;
    request.set_name("tenants/" + tenant);
    return Call(*remote_, &v1::AccessService::Stub::GetTenant, request, &tenant_, token);
  }

  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  clm::testing::Database database_;
  std::unique_ptr<app::Server> server_;
  std::unique_ptr<v1::AccessService::Stub> suite_;
  std::unique_ptr<v1::AccessService::Stub> remote_;
  v1::Tenant tenant_;
  v1::CreateTokenResponse created_;
};

TEST_F(AccessTest, EveryStatementPreparesAgainstTheSchema) {
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  for (const pg::Statement* statement : AccessStatements()) {
    const absl::Status status =
        pool->Transact({.scope = pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
          return tx.ExecDynamic(absl::StrCat("PREPARE probe AS ", statement->sql)).status();
        });
    EXPECT_TRUE(status.ok()) << statement->name << ": " << status;
    EXPECT_TRUE(
        pool->Transact({.scope = pg::Scope::Suite()},
                       [&](pg::Tx& tx) { return tx.ExecDynamic("DEALLOCATE ALL").status(); })
            .ok());
  }
}

TEST_F(AccessTest, ATokenOpensItsTenantOverTcpAndNoOther) {
  ASSERT_TRUE(NewTenant("other").ok());
  ASSERT_TRUE(NewToken(TokenFor("acme", {"tokens.read"})).ok());
  const std::string secret = created_.secret();
  EXPECT_TRUE(rpc::ParseToken(secret).has_value());
  EXPECT_TRUE(Get("acme", secret).ok());
  EXPECT_EQ(tenant_.display_name(), "The acme");
  EXPECT_EQ(Get("other", secret).code(), StatusCode::kNotFound);
  EXPECT_EQ(Get("nobody", secret).code(), StatusCode::kNotFound);
  EXPECT_EQ(Get("acme", rpc::FormatToken(rpc::MakeToken(true))).code(),
            StatusCode::kUnauthenticated);
}

TEST_F(AccessTest, TheSecretIsNowhereInTheDatabase) {
  v1::CreateTokenRequest request = TokenFor("acme", {"tokens.read"});
  request.set_request_id("0193a5a0-0000-7000-8000-000000000001");
  ASSERT_TRUE(NewToken(request).ok());
  const std::string secret = rpc::ParseToken(created_.secret())->secret;
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  int64_t rows = 0;
  int64_t leaks = 0;
  ASSERT_TRUE(pool->Read({.scope = pg::Scope::Suite()},
                         [&](pg::Tx& tx) -> absl::Status {
                           auto result = tx.ExecDynamic(
                               "SELECT count(*), count(*) FILTER (WHERE position($1::text in "
                               "encode(b, 'escape')) > 0 OR position(encode(convert_to($1::text, "
                               "'UTF8'), 'hex') in encode(b, 'hex')) > 0) FROM (SELECT "
                               "convert_to(t::text, 'UTF8') AS b FROM token t UNION ALL SELECT "
                               "coalesce(response, '') FROM access_journal) x",
                               pg::Args().Add(secret));
                           if (!result.ok()) return result.status();
                           rows = (*result)[0].Int(0);
                           leaks = (*result)[0].Int(1);
                           return absl::OkStatus();
                         })
                  .ok());
  EXPECT_GE(rows, 2);
  EXPECT_EQ(leaks, 0);
}

TEST_F(AccessTest, ARepeatedRequestGivesTheSameTokenAndMakesNone) {
  v1::CreateTokenRequest request = TokenFor("acme", {"tokens.read"});
  request.set_request_id("0193a5a0-0000-7000-8000-000000000002");
  ASSERT_TRUE(NewToken(request).ok());
  const v1::CreateTokenResponse first = created_;
  clock_.Advance(absl::Seconds(3));
  ASSERT_TRUE(NewToken(request).ok());
  EXPECT_EQ(created_.SerializeAsString(), first.SerializeAsString());
  v1::ListTokensRequest list;
  list.set_parent("tenants/acme");
  v1::ListTokensResponse tokens;
  ASSERT_TRUE(Call(*suite_, &v1::AccessService::Stub::ListTokens, list, &tokens).ok());
  EXPECT_EQ(tokens.tokens_size(), 1);

  request.mutable_token()->set_display_name("another");
  const absl::Status reused = NewToken(request);
  EXPECT_EQ(reused.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(error::Reason(reused), "REQUEST_ID_REUSED");
}

TEST_F(AccessTest, SimultaneousTwinsGetOneAnswer) {
  const std::string request_id = "0193a5a0-0000-7000-8000-000000000003";
  std::vector<std::thread> threads;
  std::vector<absl::Status> statuses(8);
  std::vector<v1::Tenant> answers(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      v1::CreateTenantRequest request;
      request.set_tenant_id("twins");
      request.set_request_id(request_id);
      statuses[i] = Call(*suite_, &v1::AccessService::Stub::CreateTenant, request, &answers[i]);
    });
  }
  for (auto& thread : threads) thread.join();
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(statuses[i].ok()) << statuses[i];
    EXPECT_EQ(answers[i].SerializeAsString(), answers[0].SerializeAsString());
  }
  EXPECT_EQ(NewTenant("twins").code(), StatusCode::kAlreadyExists);
}

TEST_F(AccessTest, ARevokedTokenIsRefusedWhenTheCacheHasForgottenIt) {
  ASSERT_TRUE(NewToken(TokenFor("acme", {"tokens.read"})).ok());
  const std::string secret = created_.secret();
  ASSERT_TRUE(Get("acme", secret).ok());
  v1::RevokeTokenRequest revoke;
  revoke.set_name(created_.token().name());
  v1::Token token;
  ASSERT_TRUE(Call(*suite_, &v1::AccessService::Stub::RevokeToken, revoke, &token).ok());
  EXPECT_EQ(token.state(), v1::Token::STATE_REVOKED);
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(error::Reason(Get("acme", secret)), "TOKEN_INVALID");
}

TEST_F(AccessTest, ATokenEndsAtItsExpiry) {
  v1::CreateTokenRequest request = TokenFor("acme", {"tokens.read"});
  request.mutable_token()->mutable_expire_time()->set_seconds(1'700'000'000 + 60);
  ASSERT_TRUE(NewToken(request).ok());
  const std::string secret = created_.secret();
  clock_.Advance(absl::Seconds(59));
  EXPECT_TRUE(Get("acme", secret).ok());
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(error::Reason(Get("acme", secret)), "TOKEN_INVALID");
}

TEST_F(AccessTest, NobodyGrantsWhatTheyDoNotHave) {
  ASSERT_TRUE(NewToken(TokenFor("acme", {"tokens.write", "contacts.read"})).ok());
  const std::string secret = created_.secret();
  EXPECT_TRUE(Call(*remote_, &v1::AccessService::Stub::CreateToken,
                   TokenFor("acme", {"contacts.read"}), &created_, secret)
                  .ok());
  const absl::Status refused =
      Call(*remote_, &v1::AccessService::Stub::CreateToken,
           TokenFor("acme", {"contacts.read", "contacts.write"}), &created_, secret);
  EXPECT_EQ(refused.code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(error::MetadataValue(refused, "scope"), "contacts.write");
}

TEST_F(AccessTest, AnOperatorsTokenMakesTenantsAndCannotReadThem) {
  v1::CreateOperatorTokenRequest request;
  request.mutable_token()->set_display_name("ops");
  ASSERT_TRUE(
      Call(*suite_, &v1::AccessService::Stub::CreateOperatorToken, request, &created_).ok());
  EXPECT_EQ(created_.token().name().rfind("operatorTokens/", 0), 0u);
  const std::string secret = created_.secret();
  v1::CreateTenantRequest tenant;
  tenant.set_tenant_id("fresh");
  EXPECT_TRUE(
      Call(*remote_, &v1::AccessService::Stub::CreateTenant, tenant, &tenant_, secret).ok());
  EXPECT_EQ(Get("fresh", secret).code(), StatusCode::kNotFound);
  v1::RevokeOperatorTokenRequest revoke;
  revoke.set_name(created_.token().name());
  v1::Token token;
  EXPECT_TRUE(Call(*suite_, &v1::AccessService::Stub::RevokeOperatorToken, revoke, &token).ok());
}

TEST_F(AccessTest, PagesOfTokensNeitherSkipNorRepeat) {
  std::set<std::string> made;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(NewToken(TokenFor("acme", {"tokens.read"})).ok());
    made.insert(created_.token().name());
    if (i % 2 == 0) clock_.Advance(absl::Seconds(1));  // Some share their creation time.
  }
  std::vector<std::string> seen;
  v1::ListTokensRequest request;
  request.set_parent("tenants/acme");
  request.set_page_size(2);
  v1::ListTokensResponse page;
  do {
    ASSERT_TRUE(Call(*suite_, &v1::AccessService::Stub::ListTokens, request, &page).ok());
    for (const auto& token : page.tokens()) seen.push_back(token.name());
    request.set_page_token(page.next_page_token());
  } while (!page.next_page_token().empty());
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()), made);

  request.set_page_token("forged");
  EXPECT_EQ(Call(*suite_, &v1::AccessService::Stub::ListTokens, request, &page).code(),
            StatusCode::kInvalidArgument);
}

TEST_F(AccessTest, AnotherTenantsRowsAreInvisibleToSql) {
  ASSERT_TRUE(NewToken(TokenFor("acme", {"tokens.read"})).ok());
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  int64_t visible = -1;
  ASSERT_TRUE(pool->Read({.scope = pg::Scope::Tenant("other")},
                         [&](pg::Tx& tx) -> absl::Status {
                           auto rows = tx.ExecDynamic(
                               "SELECT (SELECT count(*) FROM token) + (SELECT count(*) FROM "
                               "tenant) + (SELECT count(*) FROM access_journal)");
                           if (!rows.ok()) return rows.status();
                           visible = (*rows)[0].Int(0);
                           return absl::OkStatus();
                         })
                  .ok());
  EXPECT_EQ(visible, 0);
}

// A process without the access service asks the one that has it.
TEST_F(AccessTest, AnotherProcessLearnsFromIntrospectionWhoHoldsAToken) {
  ASSERT_TRUE(NewToken(TokenFor("acme", {"tokens.read"})).ok());
  v1::IntrospectRequest request;
  request.set_token(created_.secret());
  v1::IntrospectResponse response;
  ASSERT_TRUE(Call(*suite_, &v1::AccessService::Stub::Introspect, request, &response).ok());
  EXPECT_EQ(response.tenant(), "acme");
  EXPECT_THAT(response.scopes(), ::testing::ElementsAre("tokens.read"));
  // The suite's own only.
  EXPECT_EQ(
      Call(*remote_, &v1::AccessService::Stub::Introspect, request, &response, created_.secret())
          .code(),
      StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace clm::access
