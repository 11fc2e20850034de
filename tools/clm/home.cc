#include "tools/clm/home.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/stack/system_user.h"

namespace clm::cli {
namespace {

constexpr size_t kSecretBytes = 32;

absl::Status FileError(const std::string& path) {
  return error::Precondition("FILE_UNUSABLE", absl::StrCat(path, ": ", std::strerror(errno)));
}

// An empty object when the file is missing or is not one of ours.
nlohmann::json ReadJson(const std::string& path) {
  auto json = nlohmann::json::parse(stack::ReadFile(path), nullptr, false);
  return json.is_object() ? json : nlohmann::json::object();
}

std::string Text(const nlohmann::json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

absl::Status KeepIn(const std::string& path, const std::string& key, const std::string& value) {
  nlohmann::json json = ReadJson(path);
  json[key] = value;
  return WritePrivateFile(path, json.dump(2) + "\n");
}

}  // namespace

absl::Status WritePrivateFile(const std::string& path, const std::string& content) {
  const std::string fresh = absl::StrCat(path, ".new");
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return FileError(fresh);
  const bool written =
      write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()) &&
      fsync(fd) == 0;
  close(fd);
  if (!written || rename(fresh.c_str(), path.c_str()) != 0) return FileError(path);
  return absl::OkStatus();
}

std::string Home::DefaultFolder(const std::string& profile) {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/') {
    return absl::StrCat(data, "/clm/", profile);
  }
  if (geteuid() == 0) return absl::StrCat("/var/lib/clm/", profile);
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr ? home : "/tmp", "/.local/share/clm/", profile);
}

absl::Status Home::Make() const {
  std::error_code failed;
  const bool existed = std::filesystem::exists(folder_, failed);
  std::filesystem::create_directories(folder_, failed);
  if (failed) {
    return error::Precondition("FOLDER_UNUSABLE", absl::StrCat(folder_, ": ", failed.message()));
  }
  if (!existed && chmod(folder_.c_str(), geteuid() == 0 ? 0711 : 0700) != 0) {
    return FileError(folder_);
  }
  return absl::OkStatus();
}

absl::StatusOr<State> Home::ReadState() const {
  const auto json = ReadJson(SuiteFile("state.json"));
  State state;
  if (const auto it = json.find("pid"); it != json.end() && it->is_number_integer()) {
    state.pid = it->get<pid_t>();
  }
  if (state.pid <= 0 || !Locked()) {
    return error::Unavailable("NOT_RUNNING",
                              absl::StrCat("no suite runs in ", folder_, "; start it with: clm up"),
                              absl::Seconds(1));
  }
  state.start_time = ParseTime(Text(json, "start_time")).value_or(absl::InfinitePast());
  state.mode = Text(json, "mode");
  state.address = Text(json, "address");
  state.lifecycle_address = Text(json, "lifecycle_address");
  state.loyalty_address = Text(json, "loyalty_address");
  state.feedback_address = Text(json, "feedback_address");
  state.metrics = Text(json, "metrics");
  state.lifecycle_metrics = Text(json, "lifecycle_metrics");
  state.loyalty_metrics = Text(json, "loyalty_metrics");
  state.feedback_metrics = Text(json, "feedback_metrics");
  state.socket = Text(json, "socket");
  state.pg_dsn = Text(json, "pg_dsn");
  state.redis_url = Text(json, "redis_url");
  state.tenant = Text(json, "tenant");
  if (const auto it = json.find("targets"); it != json.end() && it->is_object()) {
    for (const auto& [service, target] : it->items()) {
      if (target.is_string()) state.targets[service] = target.get<std::string>();
    }
  }
  return state;
}

bool Home::Locked() const {
  const int fd = open(SuiteFile("lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == EACCES;
  const bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0;
  close(fd);
  return locked;
}

absl::Status Home::WriteState(const State& state) const {
  const nlohmann::json json = {{"pid", state.pid},
                               {"start_time", clm::FormatTime(state.start_time)},
                               {"mode", state.mode},
                               {"address", state.address},
                               {"lifecycle_address", state.lifecycle_address},
                               {"loyalty_address", state.loyalty_address},
                               {"feedback_address", state.feedback_address},
                               {"metrics", state.metrics},
                               {"lifecycle_metrics", state.lifecycle_metrics},
                               {"loyalty_metrics", state.loyalty_metrics},
                               {"feedback_metrics", state.feedback_metrics},
                               {"socket", state.socket},
                               {"targets", state.targets},
                               {"pg_dsn", state.pg_dsn},
                               {"redis_url", state.redis_url},
                               {"tenant", state.tenant}};
  return WritePrivateFile(SuiteFile("state.json"), json.dump(2) + "\n");
}

void Home::RemoveState() const { unlink(SuiteFile("state.json").c_str()); }

absl::StatusOr<std::string> Home::Secret() const {
  const std::string path = SuiteFile("secret");
  std::string secret(absl::StripAsciiWhitespace(stack::ReadFile(path)));
  if (!secret.empty()) return secret;
  std::random_device random;
  std::string bytes;
  while (bytes.size() < kSecretBytes) bytes.push_back(static_cast<char>(random()));
  secret = absl::BytesToHexString(bytes);
  CLM_RETURN_IF_ERROR(WritePrivateFile(path, secret + "\n"));
  return secret;
}

std::string Home::Token(const std::string& tenant) const {
  return Text(ReadJson(SuiteFile("secrets.json")), tenant.c_str());
}

absl::Status Home::KeepToken(const std::string& tenant, const std::string& token) const {
  return KeepIn(SuiteFile("secrets.json"), tenant, token);
}

std::string Home::Note(const std::string& key) const {
  return Text(ReadJson(SuiteFile("notes.json")), key.c_str());
}

absl::Status Home::KeepNote(const std::string& key, const std::string& value) const {
  return KeepIn(SuiteFile("notes.json"), key, value);
}

}  // namespace clm::cli
