// Where a Redis server is, from its URL.
#ifndef CLM_LIBS_REDIS_URL_H_
#define CLM_LIBS_REDIS_URL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace clm::redis {

struct Endpoint {
  std::string path;  // Of a Unix socket; empty for TCP.
  std::string host;
  int port = 6379;
  int db = 0;
  std::string user;
  std::string password;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// unix:///path/redis.sock[?db=1] or redis://[user[:password]@]host[:port][/db]; user and password
// percent-encoded, an IPv6 host in brackets. INVALID_ARGUMENT on `redis_url`, without the URL's
// text in the message: it may hold a password.
absl::StatusOr<Endpoint> ParseUrl(absl::string_view url);

}  // namespace clm::redis

#endif  // CLM_LIBS_REDIS_URL_H_
