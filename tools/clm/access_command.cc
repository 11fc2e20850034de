#include "tools/clm/access_command.h"

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using access::v1::Tenant;
using access::v1::Token;
using Stub = access::v1::AccessService::Stub;

terminal::Table TenantTable(const std::vector<Tenant>& tenants) {
  terminal::Table table({{"name", "TENANT"}, {"display_name", "NAME"}, {"create_time", "SINCE"}});
  table.set_empty_text("no tenants");
  for (const Tenant& t : tenants) {
    table.Add({LastPart(t.name()), TextCell(t.display_name()),
               TimeCell(t.has_create_time(), t.create_time())});
  }
  return table;
}

terminal::Table TokenTable(const std::vector<Token>& tokens) {
  terminal::Table table({{"name", "KEY"},
                         {"display_name", "FOR"},
                         {"scopes"},
                         {"state"},
                         {"create_time", "SINCE"},
                         {"expire_time", "UNTIL"},
                         {"creator", "", true}});
  table.set_empty_text("no tokens");
  for (const Token& t : tokens) {
    const bool active = t.state() == Token::STATE_ACTIVE;
    table.Add({LastPart(t.name()), TextCell(t.display_name()), absl::StrJoin(t.scopes(), " "),
               terminal::Cell(EnumText("STATE_", Token::State_Name(t.state())),
                              active ? terminal::Tone::kGood : terminal::Tone::kMuted),
               TimeCell(t.has_create_time(), t.create_time()),
               TimeCell(t.has_expire_time(), t.expire_time()), TextCell(t.creator())});
  }
  return table;
}

struct TokenFlags {
  std::string display_name, expire;
  std::vector<std::string> scopes;
  bool is_operator = false;
};

absl::Status CreateToken(Cli& cli, const TokenFlags& flags) {
  Token token;
  token.set_display_name(flags.display_name);
  for (const std::string& scope : flags.scopes) token.add_scopes(scope);
  if (!flags.expire.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Duration span, ParseSpan("--expire", flags.expire));
    SetTime(absl::Now() + span, token.mutable_expire_time());
  }
  absl::StatusOr<access::v1::CreateTokenResponse> made;
  if (flags.is_operator) {
    access::v1::CreateOperatorTokenRequest request;
    *request.mutable_token() = token;
    made = cli.Call(&Stub::CreateOperatorToken, request);
  } else {
    access::v1::CreateTokenRequest request;
    request.set_parent(cli.tenant_name());
    *request.mutable_token() = token;
    made = cli.Call(&Stub::CreateToken, request);
  }
  CLM_RETURN_IF_ERROR(made.status());
  cli.Note("the secret is shown this once");
  return cli.Print({&*made}, false, [&] {
    terminal::Table table({{"name", "KEY"}, {"secret"}, {"scopes"}, {"expire_time", "UNTIL"}});
    table.Add({LastPart(made->token().name()), made->secret(),
               absl::StrJoin(made->token().scopes(), " "),
               TimeCell(made->token().has_expire_time(), made->token().expire_time())});
    return table;
  });
}

absl::Status RevokeToken(Cli& cli, const std::string& key) {
  absl::StatusOr<Token> token;
  if (absl::StartsWith(key, "operatorTokens/")) {
    access::v1::RevokeOperatorTokenRequest request;
    request.set_name(key);
    token = cli.Call(&Stub::RevokeOperatorToken, request);
  } else {
    access::v1::RevokeTokenRequest request;
    request.set_name(cli.Name("tokens", key));
    token = cli.Call(&Stub::RevokeToken, request);
  }
  CLM_RETURN_IF_ERROR(token.status());
  return cli.Print({&*token}, false, [&] { return TokenTable({*token}); });
}

}  // namespace

void AddAccessCommands(Cli& cli) {
  Command tenants = cli.AddGroup("tenants", "Who uses the suite, each with data of its own");
  cli.AddCommand(tenants, "list", "List the tenants",
                 {"clm tenants list", "clm tenants list -o name"}, [&cli]() -> absl::Status {
                   CLM_ASSIGN_OR_RETURN(
                       const std::vector<Tenant> all,
                       cli.List(&Stub::ListTenants, access::v1::ListTenantsRequest(),
                                &access::v1::ListTenantsResponse::tenants, 0));
                   return cli.Print(Pointers(all), true, [&] { return TenantTable(all); });
                 });
  struct NewTenant {
    std::string id, display_name;
  };
  auto fresh = std::make_shared<NewTenant>();
  Command command = cli.AddCommand(
      tenants, "create", "Create a tenant", {"clm tenants create acme --display-name 'Acme Corp.'"},
      [&cli, fresh]() -> absl::Status {
        access::v1::CreateTenantRequest request;
        request.set_tenant_id(fresh->id);
        request.mutable_tenant()->set_display_name(fresh->display_name);
        CLM_ASSIGN_OR_RETURN(const Tenant made, cli.Call(&Stub::CreateTenant, request));
        return cli.Print({&made}, false, [&] { return TenantTable({made}); });
      });
  command.AddOption("TENANT", fresh->id, "its id, for ever").Required();
  command.AddOption("--display-name", fresh->display_name, "for people");

  auto wanted = std::make_shared<std::string>();
  cli.AddCommand(tenants, "get", "Show a tenant", {"clm tenants get demo"},
                 [&cli, wanted]() -> absl::Status {
                   access::v1::GetTenantRequest request;
                   request.set_name(absl::StrCat("tenants/", *wanted));
                   CLM_ASSIGN_OR_RETURN(const Tenant tenant, cli.Call(&Stub::GetTenant, request));
                   return cli.Print({&tenant}, false, [&] { return TenantTable({tenant}); });
                 })
      .AddOption("TENANT", *wanted, "its id")
      .Required();

  Command tokens = cli.AddGroup("tokens", "The keys by which programs act for a tenant");
  auto limit = std::make_shared<int64_t>(50);
  cli.AddCommand(tokens, "list", "List the tokens of the tenant, newest first", {"clm tokens list"},
                 [&cli, limit]() -> absl::Status {
                   access::v1::ListTokensRequest request;
                   request.set_parent(cli.tenant_name());
                   CLM_ASSIGN_OR_RETURN(const std::vector<Token> all,
                                        cli.List(&Stub::ListTokens, request,
                                                 &access::v1::ListTokensResponse::tokens, *limit));
                   return cli.Print(Pointers(all), true, [&] { return TokenTable(all); });
                 })
      .AddOption("--limit", *limit, "most to show; 0: all")
      .ShowDefault();
  auto flags = std::make_shared<TokenFlags>();
  command = cli.AddCommand(
      tokens, "create", "Create a token and print its secret",
      {"clm tokens create --display-name shop --scope contacts.write --scope events.write",
       "clm tokens create --display-name reports --scope insights.read --expire 30d"},
      [&cli, flags] { return CreateToken(cli, *flags); });
  command.AddOption("--display-name", flags->display_name, "what it is for");
  command.AddOption("--scope", flags->scopes,
                    "what it may do: contacts.read, events.write, ..., or admin");
  command.AddOption("--expire", flags->expire, "after this span, 30d; default: a year");
  command.AddFlag("--operator", flags->is_operator, "for operators, of no tenant");
  auto key = std::make_shared<std::string>();
  cli.AddCommand(tokens, "revoke", "Refuse a token from now on", {"clm tokens revoke 4fT9aQ2LxP0b"},
                 [&cli, key] { return RevokeToken(cli, *key); })
      .AddOption("KEY", *key, "as clm tokens list shows it")
      .Required();
}

}  // namespace clm::cli
