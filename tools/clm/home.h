// The data folder of a suite on this machine: what is where, what runs, and its secrets.
//
//   pg/ redis/       the private servers
//   suite/           0700: lock, secret, secrets.json, state.json, logs/, run/
#ifndef CLM_TOOLS_CLM_HOME_H_
#define CLM_TOOLS_CLM_HOME_H_

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"

namespace clm::cli {

// A running suite, as it describes itself in state.json.
struct State {
  pid_t pid = 0;
  absl::Time start_time;
  std::string mode;               // "one process" or "distributed".
  std::string address;            // Of the gRPC API over TCP.
  std::string lifecycle_address;  // The same when it is another; empty otherwise.
  std::string loyalty_address;    // The same.
  std::string feedback_address;   // The same.
  std::string metrics;            // URL.
  std::string lifecycle_metrics;  // The same when it is another; empty otherwise.
  std::string loyalty_metrics;    // The same.
  std::string feedback_metrics;   // The same.
  std::string socket;
  std::map<std::string, std::string> targets;  // gRPC target by service, private.
  std::string pg_dsn, redis_url;
  std::string tenant;
};

// Not thread-safe.
class Home {
 public:
  // `folder` is absolute.
  explicit Home(std::string folder) : folder_(std::move(folder)) {}

  // $XDG_DATA_HOME/clm/PROFILE, else ~/.local/share/clm/PROFILE; for root /var/lib/clm/PROFILE,
  // because the user that PostgreSQL runs as cannot pass /root.
  static std::string DefaultFolder(const std::string& profile);

  const std::string& folder() const { return folder_; }
  std::string File(const std::string& name) const { return folder_ + "/" + name; }
  std::string SuiteFile(const std::string& name) const { return folder_ + "/suite/" + name; }

  // Makes the folder: others may pass it when this process is root (to pg/), nobody otherwise.
  absl::Status Make() const;

  // UNAVAILABLE, naming the command that helps, when no suite runs here.
  absl::StatusOr<State> ReadState() const;
  // Whether a process holds the folder; its lock ends with it, however that ends.
  bool Locked() const;
  absl::Status WriteState(const State& state) const;
  void RemoveState() const;

  // The suite's key; made when there is none.
  absl::StatusOr<std::string> Secret() const;

  // The token for a tenant; empty when there is none.
  std::string Token(const std::string& tenant) const;
  absl::Status KeepToken(const std::string& tenant, const std::string& token) const;

  // What must stay the same when a command is repeated: the end of a demo history, and the like.
  std::string Note(const std::string& key) const;
  absl::Status KeepNote(const std::string& key, const std::string& value) const;

 private:
  std::string folder_;
};

// Replaces the file at once, so that a reader never sees half of it; mode 0600.
absl::Status WritePrivateFile(const std::string& path, const std::string& content);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_HOME_H_
