#include "libs/base/resource_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm {
namespace {

bool ValidSegment(absl::string_view s) {
  return !s.empty() && s.size() <= 63 && std::all_of(s.begin(), s.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '~' || c == '-';
  });
}

absl::Status BadName(absl::string_view field, absl::string_view pattern) {
  return error::InvalidField(field, absl::StrCat("is not a name of the form ",
                                                 absl::StrReplaceAll(pattern, {{"*", "{id}"}})));
}

}  // namespace

bool ValidTenantId(absl::string_view id) {
  return !id.empty() && id.size() <= 40 && absl::ascii_islower(id[0]) && id.back() != '-' &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

bool ValidResourceId(absl::string_view id) {
  return !id.empty() && id.size() <= 63 && absl::ascii_islower(id[0]) && id.back() != '-' &&
         id.back() != '_' && std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '_';
         });
}

absl::StatusOr<std::vector<std::string>> ParseResourceName(absl::string_view field,
                                                           absl::string_view pattern,
                                                           absl::string_view name) {
  if (name.empty()) return error::InvalidField(field, "is required");
  const std::vector<absl::string_view> want = absl::StrSplit(pattern, '/');
  const std::vector<absl::string_view> got = absl::StrSplit(name, '/');
  if (want.size() != got.size()) return BadName(field, pattern);
  std::vector<std::string> ids;
  for (size_t i = 0; i < want.size(); ++i) {
    if (want[i] != "*") {
      if (want[i] != got[i]) return BadName(field, pattern);
      continue;
    }
    const bool tenant = i == 1 && want[0] == "tenants";
    if (tenant ? !ValidTenantId(got[i]) : !ValidSegment(got[i])) return BadName(field, pattern);
    ids.emplace_back(got[i]);
  }
  return ids;
}

absl::StatusOr<std::string> ParseTenantName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(std::vector<std::string> ids, ParseResourceName(field, "tenants/*", name));
  return std::move(ids[0]);
}

absl::StatusOr<EntityKey> ParseEntityName(absl::string_view field, absl::string_view collection,
                                          absl::string_view name) {
  // Every call comes by here, so a good name is read in place. What is wrong with another one is
  // found out below.
  absl::string_view rest = name;
  if (absl::ConsumePrefix(&rest, "tenants/")) {
    const absl::string_view tenant = rest.substr(0, rest.find('/'));
    rest.remove_prefix(tenant.size());
    if (ValidTenantId(tenant) && absl::ConsumePrefix(&rest, "/") &&
        absl::ConsumePrefix(&rest, collection) && absl::ConsumePrefix(&rest, "/")) {
      if (const auto id = Uuid::Parse(rest)) return EntityKey{std::string(tenant), *id};
    }
  }
  const std::string pattern = absl::StrCat("tenants/*/", collection, "/*");
  CLM_ASSIGN_OR_RETURN(std::vector<std::string> ids, ParseResourceName(field, pattern, name));
  const auto id = Uuid::Parse(ids[1]);
  if (!id)
    return error::InvalidField(field, absl::StrCat("ends in '", ids[1], "', which is not a UUID"));
  return EntityKey{std::move(ids[0]), *id};
}

std::string EntityName(absl::string_view collection, const EntityKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/", collection, "/", key.id.ToString());
}

std::string Etag(int64_t version) { return absl::StrCat("\"v", version, "\""); }

absl::StatusOr<int64_t> ParseEtag(absl::string_view field, absl::string_view etag) {
  if (etag.empty()) return 0;
  int64_t version = 0;
  if (etag.size() < 4 || !absl::StartsWith(etag, "\"v") || etag.back() != '"' ||
      !absl::SimpleAtoi(etag.substr(2, etag.size() - 3), &version) || version <= 0) {
    return error::InvalidField(field, "is not an etag of this service; send back the one you read");
  }
  return version;
}

absl::Status CheckEtag(absl::string_view field, absl::string_view etag, int64_t version) {
  CLM_ASSIGN_OR_RETURN(const int64_t sent, ParseEtag(field, etag));
  if (sent != 0 && sent != version) return error::EtagMismatch(field, Etag(version));
  return absl::OkStatus();
}

}  // namespace clm
