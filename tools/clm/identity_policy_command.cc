#include "tools/clm/identity_policy_command.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using contact::v1::IdentityPolicy;
using Stub = contact::v1::ContactService::Stub;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

struct Flags {
  std::vector<std::string> block, unblock, block_patterns, unblock_patterns, limits, no_limits,
      priorities, providers, no_providers;
  std::string default_limit, from, request_id;
};

std::string PolicyName(const Cli& cli) {
  return absl::StrCat(cli.tenant_name(), "/identityPolicy");
}

std::string LimitText(const IdentityPolicy::Limit& limit) {
  if (!limit.has_window()) return absl::StrCat(limit.max_values());
  return absl::StrCat(limit.max_values(), " in ",
                      absl::FormatDuration(absl::Seconds(limit.window().seconds())));
}

// "5" or "5/7d".
absl::StatusOr<IdentityPolicy::Limit> ParseLimit(absl::string_view flag, absl::string_view text) {
  IdentityPolicy::Limit limit;
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('/', 1));
  int32_t values = 0;
  if (!absl::SimpleAtoi(parts.first, &values)) {
    return error::InvalidField(flag, "must be a number, or a number and a time: 5/7d");
  }
  limit.set_max_values(values);
  if (!parts.second.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Duration window, ParseSpan(flag, parts.second));
    limit.mutable_window()->set_seconds(absl::ToInt64Seconds(window));
  }
  return limit;
}

void Change(const std::vector<std::string>& added, const std::vector<std::string>& removed,
            Texts* texts) {
  const auto drop = [texts](const std::string& text) {
    texts->erase(std::remove(texts->begin(), texts->end(), text), texts->end());
  };
  for (const std::string& text : removed) drop(text);
  for (const std::string& text : added) {
    drop(text);
    *texts->Add() = text;
  }
}

void RemoveProvider(absl::string_view domain, IdentityPolicy* policy) {
  auto* providers = policy->mutable_email_providers();
  providers->erase(std::remove_if(providers->begin(), providers->end(),
                                  [&](const auto& one) { return one.domain() == domain; }),
                   providers->end());
}

absl::Status Apply(const Flags& flags, IdentityPolicy* policy) {
  Change(flags.block, flags.unblock, policy->mutable_blocked_values());
  Change(flags.block_patterns, flags.unblock_patterns, policy->mutable_blocked_patterns());
  CLM_ASSIGN_OR_RETURN(const auto limits, ParsePairs("--limit", flags.limits));
  for (const auto& [type, text] : limits) {
    CLM_ASSIGN_OR_RETURN((*policy->mutable_limits())[type], ParseLimit("--limit", text));
  }
  for (const std::string& type : flags.no_limits) policy->mutable_limits()->erase(type);
  if (!flags.default_limit.empty()) {
    CLM_ASSIGN_OR_RETURN(*policy->mutable_default_limit(),
                         ParseLimit("--default-limit", flags.default_limit));
  }
  if (!flags.priorities.empty()) {
    *policy->mutable_priorities() = {flags.priorities.begin(), flags.priorities.end()};
  }
  for (const std::string& domain : flags.no_providers) RemoveProvider(domain, policy);
  for (const std::string& text : flags.providers) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    RemoveProvider(parts.first, policy);
    auto* provider = policy->add_email_providers();
    provider->set_domain(parts.first);
    provider->set_ignore_dots(true);
    provider->set_ignore_tags(true);
    provider->set_canonical_domain(parts.second);
  }
  return absl::OkStatus();
}

absl::Status Print(const Cli& cli, const IdentityPolicy& policy) {
  return cli.PrintReport(policy, [&] {
    terminal::Table table({{"field"}, {"value"}});
    table.Add({"blocked_values", TextCell(absl::StrJoin(policy.blocked_values(), ", "))});
    table.Add({"blocked_patterns", TextCell(absl::StrJoin(policy.blocked_patterns(), ", "))});
    const std::map<std::string, IdentityPolicy::Limit> sorted(policy.limits().begin(),
                                                              policy.limits().end());
    for (const auto& [type, limit] : sorted) {
      table.Add({absl::StrCat("limits.", type), LimitText(limit)});
    }
    table.Add({"default_limit", LimitText(policy.default_limit())});
    table.Add({"priorities", TextCell(absl::StrJoin(policy.priorities(), ", "))});
    std::vector<std::string> providers;
    for (const auto& p : policy.email_providers()) {
      std::string text =
          absl::StrCat(p.domain(), p.canonical_domain().empty() ? "" : "=", p.canonical_domain());
      if (p.ignore_dots() != p.ignore_tags()) {
        absl::StrAppend(&text, p.ignore_dots() ? " (dots)" : " (tags)");
      }
      providers.push_back(std::move(text));
    }
    table.Add({"email_providers", TextCell(absl::StrJoin(providers, ", "))});
    table.Add({"update_time", TimeCell(policy.has_update_time(), policy.update_time())});
    return table;
  });
}

absl::StatusOr<IdentityPolicy> Get(Cli& cli) {
  contact::v1::GetIdentityPolicyRequest request;
  request.set_name(PolicyName(cli));
  return cli.Call(&Stub::GetIdentityPolicy, request);
}

absl::Status Set(Cli& cli, const Flags& flags) {
  contact::v1::UpdateIdentityPolicyRequest request;
  IdentityPolicy* policy = request.mutable_identity_policy();
  if (flags.from.empty()) {
    // With its etag: what somebody else changes meanwhile is not undone.
    CLM_ASSIGN_OR_RETURN(*policy, Get(cli));
  } else {
    CLM_RETURN_IF_ERROR(ReadMessage(flags.from, policy));
  }
  policy->set_name(PolicyName(cli));
  policy->clear_update_time();
  CLM_RETURN_IF_ERROR(Apply(flags, policy));
  request.mutable_update_mask()->add_paths("*");
  request.set_request_id(flags.request_id);
  CLM_ASSIGN_OR_RETURN(const IdentityPolicy updated,
                       cli.Call(&Stub::UpdateIdentityPolicy, request));
  return Print(cli, updated);
}

}  // namespace

void AddIdentityPolicyCommands(Cli& cli, Command contacts) {
  Command group =
      contacts.AddGroup("identity-policy", "The rules by which identifiers tell who a person is");
  cli.AddCommand(group, "show", "Show the rules; the defaults until they are changed",
                 {"clm contacts identity-policy show",
                  "clm contacts identity-policy show -o json > policy.json"},
                 [&cli]() -> absl::Status {
                   CLM_ASSIGN_OR_RETURN(const IdentityPolicy policy, Get(cli));
                   return Print(cli, policy);
                 });

  auto flags = std::make_shared<Flags>();
  Command command = cli.AddCommand(
      group, "set", "Change the rules that are given; all others stay",
      {"clm contacts identity-policy set --block kiosk --block-pattern '^test-'",
       "clm contacts identity-policy set --limit anonymous_id=20/30d --limit crm=1",
       "clm contacts identity-policy set --priority crm --priority user_id --priority email",
       "clm contacts identity-policy set --provider gmail.com --provider googlemail.com=gmail.com"},
      [&cli, flags] { return Set(cli, *flags); });
  command.AddOption("--block", flags->block, "value that identifies nobody; may be repeated");
  command.AddOption("--unblock", flags->unblock, "such a value no more; may be repeated");
  command.AddOption("--block-pattern", flags->block_patterns,
                    "RE2 pattern of such values; may be repeated");
  command.AddOption("--unblock-pattern", flags->unblock_patterns,
                    "such a pattern no more; may be repeated");
  command
      .AddOption("--limit", flags->limits,
                 "most values of a type for one person: crm=1, or "
                 "within a time: crm=5/7d; may be repeated")
      .TypeName("TYPE=N[/SPAN]");
  command.AddOption("--no-limit", flags->no_limits,
                    "type that has the default limit again; may be repeated");
  command.AddOption("--default-limit", flags->default_limit, "of types without one of their own")
      .TypeName("N[/SPAN]");
  command.AddOption("--priority", flags->priorities,
                    "all types that are trusted more than others, the most trusted first");
  command
      .AddOption("--provider", flags->providers,
                 "domain where addresses that differ by dots or a +tag are one, also =DOMAIN "
                 "under which they are kept; stored addresses stay as they are; may be "
                 "repeated")
      .TypeName("DOMAIN[=DOMAIN]");
  command.AddOption("--no-provider", flags->no_providers,
                    "domain where they no longer are; may be repeated");
  command.AddOption("--from", flags->from, "begin with a JSON file instead; - for stdin")
      .TypeName("FILE");
  command.AddOption("--request-id", flags->request_id,
                    "UUID; the same again is answered, not repeated");
}

}  // namespace clm::cli
