#include "libs/pg/dsn.h"

#include <libpq-fe.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::pg {
namespace {

bool IsLocal(const DsnOptions& options) {
  const auto host = options.find("host");
  const auto address = options.find("hostaddr");
  const std::string& name = host != options.end()      ? host->second
                            : address != options.end() ? address->second
                                                       : std::string();
  return name.empty() || name[0] == '/' || name[0] == '@' || name == "localhost" ||
         absl::StartsWith(name, "127.") || name == "::1";
}

using Parsed = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

Parsed Parse(const std::string& dsn) {
  char* what = nullptr;
  Parsed parsed(PQconninfoParse(dsn.c_str(), &what), &PQconninfoFree);
  PQfreemem(what);  // It may quote the DSN, which may hold a password.
  return parsed;
}

absl::Status NotADsn() { return error::InvalidField("dsn", "not a PostgreSQL connection string"); }

}  // namespace

absl::StatusOr<DsnOptions> ParseDsn(const std::string& dsn) {
  const Parsed parsed = Parse(dsn);
  if (parsed == nullptr) return NotADsn();
  DsnOptions options;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) options[option->keyword] = option->val;
  }
  return options;
}

std::string FormatDsn(const DsnOptions& options) {
  std::string dsn;
  for (const auto& [key, value] : options) {
    if (!dsn.empty()) dsn.push_back(' ');
    absl::StrAppend(&dsn, key, "='");
    for (const char c : value) {
      if (c == '\'' || c == '\\') dsn.push_back('\\');
      dsn.push_back(c);
    }
    dsn.push_back('\'');
  }
  return dsn;
}

absl::StatusOr<std::map<std::string, std::string>> DsnEnvironment(const DsnOptions& options) {
  const Parsed parsed = Parse(FormatDsn(options));
  if (parsed == nullptr) return NotADsn();
  std::map<std::string, std::string> environment;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr && option->envvar != nullptr) {
      environment[option->envvar] = option->val;
    }
  }
  return environment;
}

DsnOptions WithDefaults(DsnOptions options, const std::string& application_name) {
  options.emplace("application_name", application_name);
  options.emplace("connect_timeout", "2");
  options.emplace("client_encoding", "UTF8");
  options.emplace("target_session_attrs", "read-write");
  if (!IsLocal(options)) {
    options.emplace("sslmode", "verify-full");
    options.emplace("tcp_user_timeout", "5000");
    options.emplace("keepalives_idle", "10");
    options.emplace("keepalives_interval", "5");
    options.emplace("keepalives_count", "3");
  }
  return options;
}

}  // namespace clm::pg
