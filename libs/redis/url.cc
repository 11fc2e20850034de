#include "libs/redis/url.h"

#include <sys/un.h>

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::redis {
namespace {

absl::Status Bad(absl::string_view what) { return error::InvalidField("redis_url", what); }

std::optional<std::string> PercentDecode(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const absl::string_view digits = text.substr(i + 1, 2);
    if (digits.size() != 2 || !absl::ascii_isxdigit(digits[0]) ||
        !absl::ascii_isxdigit(digits[1])) {
      return std::nullopt;
    }
    out += absl::HexStringToBytes(digits);
    i += 2;
  }
  return out;
}

absl::StatusOr<int> ParseDb(absl::string_view text) {
  int db;
  if (!absl::SimpleAtoi(text, &db) || db < 0) return Bad("the database must be a number from 0");
  return db;
}

absl::StatusOr<Endpoint> ParseUnix(absl::string_view rest) {
  Endpoint endpoint;
  const size_t query = rest.find('?');
  endpoint.path = std::string(rest.substr(0, query));
  if (endpoint.path.empty() || endpoint.path[0] != '/') return Bad("the path must be absolute");
  if (endpoint.path.size() >= sizeof(sockaddr_un{}.sun_path)) return Bad("the path is too long");
  if (query != absl::string_view::npos) {
    absl::string_view db = rest.substr(query + 1);
    if (!absl::ConsumePrefix(&db, "db=")) return Bad("only ?db=NUMBER may follow the path");
    CLM_ASSIGN_OR_RETURN(endpoint.db, ParseDb(db));
  }
  return endpoint;
}

absl::Status ParseUser(absl::string_view text, Endpoint* endpoint) {
  const size_t colon = text.find(':');
  const auto user = PercentDecode(text.substr(0, colon));
  const auto password =
      PercentDecode(colon == absl::string_view::npos ? "" : text.substr(colon + 1));
  if (!user || !password) return Bad("bad percent-encoding before the '@'");
  endpoint->user = *user;
  endpoint->password = *password;
  return absl::OkStatus();
}

absl::StatusOr<Endpoint> ParseTcp(absl::string_view rest) {
  Endpoint endpoint;
  if (const size_t slash = rest.find('/'); slash != absl::string_view::npos) {
    const absl::string_view db = rest.substr(slash + 1);
    if (!db.empty()) {
      CLM_ASSIGN_OR_RETURN(endpoint.db, ParseDb(db));
    }
    rest = rest.substr(0, slash);
  }
  if (const size_t at = rest.rfind('@'); at != absl::string_view::npos) {
    CLM_RETURN_IF_ERROR(ParseUser(rest.substr(0, at), &endpoint));
    rest = rest.substr(at + 1);
  }
  absl::string_view port;
  if (absl::ConsumePrefix(&rest, "[")) {
    const size_t close = rest.find(']');
    if (close == absl::string_view::npos) return Bad("a '[' without its ']'");
    port = rest.substr(close + 1);
    rest = rest.substr(0, close);
    if (!port.empty() && !absl::ConsumePrefix(&port, ":")) return Bad("bad text after the ']'");
  } else if (const size_t colon = rest.find(':'); colon != absl::string_view::npos) {
    port = rest.substr(colon + 1);
    if (port.empty()) return Bad("no port after the ':'");
    rest = rest.substr(0, colon);
  }
  if (rest.empty()) return Bad("no host");
  endpoint.host = std::string(rest);
  if (!port.empty() &&
      (!absl::SimpleAtoi(port, &endpoint.port) || endpoint.port < 1 || endpoint.port > 65535)) {
    return Bad("the port must be a number from 1 to 65535");
  }
  return endpoint;
}

}  // namespace

absl::StatusOr<Endpoint> ParseUrl(absl::string_view url) {
  if (url.find('\0') != absl::string_view::npos) return Bad("holds a NUL character");
  if (absl::ConsumePrefix(&url, "unix://")) return ParseUnix(url);
  if (absl::ConsumePrefix(&url, "redis://")) return ParseTcp(url);
  if (absl::ConsumePrefix(&url, "rediss://")) {
    return Bad("TLS is not supported; use a Unix socket, a private network or a TLS tunnel");
  }
  return Bad("must begin with unix:// or redis://");
}

}  // namespace clm::redis
