#include "libs/stack/postgres_server.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::stack {
namespace {

namespace fs = std::filesystem;

constexpr int kOldestVersion = 13;
constexpr int kNewestVersion = 18;
constexpr char kSocketName[] = ".s.PGSQL.5432";
constexpr char kVersionedFolders[] = "/usr/lib/postgresql";
constexpr absl::Duration kPoll = absl::Milliseconds(5);
constexpr absl::Duration kStopPatience = absl::Seconds(30);

bool HasServer(const std::string& folder) {
  return access(absl::StrCat(folder, "/initdb").c_str(), X_OK) == 0 &&
         access(absl::StrCat(folder, "/postgres").c_str(), X_OK) == 0;
}

// "postgres (PostgreSQL) 15.8 (Debian ...)": 15; 0 for other texts.
int VersionOf(const std::string& folder) {
  const auto text =
      Output({.argv = {absl::StrCat(folder, "/postgres"), "--version"}}, absl::Seconds(10));
  if (!text.ok()) return 0;
  const std::vector<std::string> words = absl::StrSplit(*text, ' ');
  return words.size() < 3 ? 0 : std::atoi(words[2].c_str());
}

std::vector<std::string> CandidateFolders() {
  std::map<int, std::string, std::greater<>> versioned;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(kVersionedFolders, ignored)) {
    int version = 0;
    if (absl::SimpleAtoi(entry.path().filename().string(), &version)) {
      versioned[version] = entry.path() / "bin";
    }
  }
  std::vector<std::string> folders;
  for (const auto& [version, folder] : versioned) folders.push_back(folder);
  const auto told = Output({.argv = {"pg_config", "--bindir"}}, absl::Seconds(10));
  if (told.ok()) folders.emplace_back(absl::StripSuffix(*told, "\n"));
  const char* path = getenv("PATH");
  for (const absl::string_view folder : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    folders.emplace_back(folder);
  }
  return folders;
}

std::string Quote(const std::string& value) {
  return absl::StrCat("'", absl::StrReplaceAll(value, {{"'", "''"}, {"\\", "\\\\"}}), "'");
}

// An eighth of the memory, within reason.
int64_t SharedBuffersMegabytes() {
  const int64_t megabytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE) >> 20;
  return std::clamp<int64_t>(megabytes / 8, 64, 1024);
}

// Returns when everything written to the file system of `folder` is on the disk.
absl::Status SyncFileSystem(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && syncfs(fd) == 0;
  const int failure = errno;
  if (fd >= 0) close(fd);
  if (synced) return absl::OkStatus();
  return error::Precondition("FOLDER_UNUSABLE",
                             absl::StrCat(folder, ": cannot be synced: ", std::strerror(failure)));
}

// Whether `pid` is a PostgreSQL server on `data_folder`.
bool IsServerOf(pid_t pid, const std::string& data_folder) {
  const std::string command = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
  return absl::StrContains(command, "postgres") && absl::StrContains(command, data_folder);
}

}  // namespace

absl::StatusOr<PostgresBinaries> FindPostgres(int version) {
  int other = 0;
  for (const std::string& folder : CandidateFolders()) {
    if (!HasServer(folder)) continue;
    const int found = VersionOf(folder);
    if (found < kOldestVersion || found > kNewestVersion || (version != 0 && found != version)) {
      other = found;
      continue;
    }
    return PostgresBinaries{folder, found};
  }
  const std::string package = version == 0 ? "postgresql" : absl::StrCat("postgresql-", version);
  return error::Make(
      absl::StatusCode::kNotFound, "POSTGRES_NOT_FOUND",
      absl::StrCat("PostgreSQL ",
                   version == 0 ? absl::StrCat(kOldestVersion, " to ", kNewestVersion)
                                : absl::StrCat(version),
                   " is not installed", other == 0 ? "" : absl::StrCat(" (found ", other, ")"),
                   "; install it: apt install ", package));
}

absl::StatusOr<std::unique_ptr<PostgresServer>> PostgresServer::Start(Options options) {
  CLM_ASSIGN_OR_RETURN(auto folder, ServerFolder::Open(options.folder, UnprivilegedUser()));
  std::unique_ptr<PostgresServer> server(new PostgresServer(std::move(options), std::move(folder)));
  int version = 0;
  // Data can be read by the major version that wrote it only.
  if (const std::string written = ReadFile(server->DataFile("PG_VERSION")); !written.empty()) {
    version = std::atoi(written.c_str());
  }
  CLM_ASSIGN_OR_RETURN(server->binaries_, FindPostgres(version));
  CLM_ASSIGN_OR_RETURN(server->socket_folder_, server->folder_->SocketFolder(kSocketName));
  if (version == 0) CLM_RETURN_IF_ERROR(server->InitData());
  CLM_RETURN_IF_ERROR(server->EndOrphan());
  CLM_RETURN_IF_ERROR(server->Launch());
  return server;
}

PostgresServer::~PostgresServer() {
  if (process_ != nullptr) Stop().IgnoreError();
}

std::string PostgresServer::Dsn(const std::string& database) const {
  return absl::StrCat("host=", Quote(socket_folder_), " user=postgres dbname=", Quote(database));
}

// Into a folder that gets its name at the end, so that a crash leaves nothing that looks finished.
absl::Status PostgresServer::InitData() {
  const std::string fresh = folder_->File("data.new");
  std::error_code failed;
  fs::remove_all(fresh, failed);
  std::vector<std::string> argv = {
      binaries_.folder + "/initdb", "-D", fresh,      "-U", "postgres", "-A", "trust", "-E", "UTF8",
      "--locale=C.UTF-8",           "-k", "--no-sync"};
  CLM_RETURN_IF_ERROR(
      Output({.argv = std::move(argv), .folder = folder_->path(), .user = folder_->user()},
             options_.start_timeout)
          .status());
  // The socket's folder is the lock; there is no TCP.
  CLM_RETURN_IF_ERROR(WriteFile(fresh + "/pg_hba.conf",
                                "local all all trust\nlocal replication all trust\n",
                                folder_->user()));
  CLM_RETURN_IF_ERROR(
      WriteFile(fresh + "/postgresql.conf",
                absl::StrCat(ReadFile(fresh + "/postgresql.conf"), "\ninclude = 'clm.conf'\n"),
                folder_->user()));
  // All files at once take a quarter of the time that initdb needs for one after the other.
  if (options_.durable) CLM_RETURN_IF_ERROR(SyncFileSystem(fresh));
  fs::rename(fresh, folder_->File("data"), failed);
  if (failed) return error::Precondition("FOLDER_UNUSABLE", failed.message());
  return absl::OkStatus();
}

absl::Status PostgresServer::WriteSettings() {
  const bool durable = options_.durable;
  std::map<std::string, std::string> settings = {
      {"listen_addresses", ""},
      {"unix_socket_directories", socket_folder_},
      {"unix_socket_permissions", "0700"},
      {"max_connections", absl::StrCat(options_.max_connections)},
      {"shared_buffers", absl::StrCat(durable ? SharedBuffersMegabytes() : 64, "MB")},
      {"fsync", durable ? "on" : "off"},
      {"full_page_writes", durable ? "on" : "off"},
      {"synchronous_commit", "on"},
      {"wal_compression", binaries_.version >= 15 ? "lz4" : "on"},
      {"max_wal_size", durable ? "2GB" : "512MB"},
      {"checkpoint_timeout", "15min"},
      {"checkpoint_completion_target", "0.9"},
      {"random_page_cost", "1.1"},
      {"jit", "off"},
      {"logging_collector", "off"},
      {"log_destination", "stderr"},
      {"log_line_prefix", "%m [%p] %a "},
      // Statements and details hold people's data.
      {"log_min_error_statement", "panic"},
      {"log_error_verbosity", "terse"},
      {"log_checkpoints", "off"},
  };
  if (!durable) {
    settings["wal_level"] = "minimal";
    settings["max_wal_senders"] = "0";
    settings["autovacuum_naptime"] = "1h";
  }
  for (const auto& [name, value] : options_.settings) settings[name] = value;
  std::string text =
      "# Written at every start; put changes into postgresql.conf below its include.\n";
  for (const auto& [name, value] : settings) {
    absl::StrAppend(&text, name, " = ", Quote(value), "\n");
  }
  return WriteFile(DataFile("clm.conf"), text, folder_->user());
}

// Nobody else holds the folder's lock, so a server that runs on it was left behind.
absl::Status PostgresServer::EndOrphan() {
  const std::string pid_file = DataFile("postmaster.pid");
  const pid_t pid = std::atoi(ReadFile(pid_file).c_str());
  if (pid <= 0) return absl::OkStatus();
  const std::string data = folder_->File("data");
  const absl::Time patience = absl::Now() + kStopPatience;
  if (IsServerOf(pid, data)) kill(pid, SIGINT);
  while (IsServerOf(pid, data)) {
    if (absl::Now() > patience) kill(pid, SIGKILL);
    absl::SleepFor(kPoll);
  }
  std::error_code ignored;
  fs::remove(pid_file, ignored);
  return absl::OkStatus();
}

absl::Status PostgresServer::Launch() {
  CLM_RETURN_IF_ERROR(WriteSettings());
  const absl::Time until = absl::Now() + options_.start_timeout;
  const Command command = {.argv = {binaries_.folder + "/postgres", "-D", folder_->File("data")},
                           .folder = folder_->path(),
                           .log_file = log_file(),
                           .user = folder_->user(),
                           .signal_on_parent_death = SIGINT};
  while (true) {
    CLM_ASSIGN_OR_RETURN(process_, ChildProcess::Start(command));
    const absl::Status ready = AwaitReady(until);
    // After a kill -9 the old server's children hold its shared memory for a moment.
    if (ready.ok() || process_->running() || absl::Now() >= until ||
        !absl::StrContains(Tail(log_file(), 3), "shared memory")) {
      return ready;
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
}

// The server tells its state in the eighth line of postmaster.pid.
absl::Status PostgresServer::AwaitReady(absl::Time until) {
  while (true) {
    const std::vector<std::string> lines =
        absl::StrSplit(ReadFile(DataFile("postmaster.pid")), '\n');
    if (lines.size() >= 8 && std::atoi(lines[0].c_str()) == process_->pid() &&
        absl::StartsWith(lines[7], "ready")) {
      return absl::OkStatus();
    }
    const auto ended = process_->Wait(kPoll);
    if (ended || absl::Now() >= until) {
      return error::Precondition(
          "POSTGRES_NOT_STARTED",
          absl::StrCat("PostgreSQL did not start (",
                       ended ? ended->ToString() : std::string("not ready in time"), "), see ",
                       log_file(), ":\n", Tail(log_file(), 5)));
    }
  }
}

absl::Status PostgresServer::Stop() {
  const ExitStatus ended = process_->Stop(SIGINT, kStopPatience);
  if (ended.ok()) return absl::OkStatus();
  return error::Precondition(
      "POSTGRES_CRASHED",
      absl::StrCat("PostgreSQL ended with ", ended.ToString(), ", see ", log_file()));
}

absl::Status PostgresServer::Restart() {
  if (process_->running()) CLM_RETURN_IF_ERROR(Stop());
  CLM_RETURN_IF_ERROR(EndOrphan());
  return Launch();
}

}  // namespace clm::stack
