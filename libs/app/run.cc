#include "libs/app/run.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "libs/app/redact.h"
#include "libs/app/server.h"
#include "libs/obs/log.h"

ABSL_FLAG(std::vector<std::string>, listen, {},
          "TCP addresses to serve on, separated by commas; callers need a token");
ABSL_FLAG(std::string, socket, "",
          "Unix socket for the suite's own processes, in a private folder");
ABSL_FLAG(std::string, secret_file, "", "file with the suite's secret, at least 32 bytes");
ABSL_FLAG(std::string, pg_admin_dsn, "",
          "PostgreSQL server that holds every service's database; prefer the environment or a "
          "password file to a password here");
ABSL_FLAG(std::string, access_dsn, "", "database of the access service");
ABSL_FLAG(std::string, contact_dsn, "", "database of the contact service");
ABSL_FLAG(std::string, lifecycle_dsn, "", "database of the lifecycle service");
ABSL_FLAG(std::string, loyalty_dsn, "", "database of the loyalty service");
ABSL_FLAG(std::string, feedback_dsn, "", "database of the feedback service");
ABSL_FLAG(std::string, access_peer, "", "where the access service runs, if not here");
ABSL_FLAG(std::string, contact_peer, "", "where the contact service runs, if not here");
ABSL_FLAG(std::string, lifecycle_peer, "", "where the lifecycle service runs, if not here");
ABSL_FLAG(std::string, loyalty_peer, "", "where the loyalty service runs, if not here");
ABSL_FLAG(std::string, feedback_peer, "", "where the feedback service runs, if not here");
ABSL_FLAG(std::string, redis_url, "", "Redis, redis://host:port/db or unix:/path; empty: none");
ABSL_FLAG(bool, migrate, false, "bring the databases up to date before serving");
ABSL_FLAG(int32_t, pg_pool_size, 8, "database connections per service");
ABSL_FLAG(int32_t, workers, 8, "threads for handlers that block");
ABSL_FLAG(int32_t, streams, 16, "streams at the same time");
ABSL_FLAG(int32_t, max_in_flight, 512, "calls in progress at the same time");
ABSL_FLAG(int64_t, rpc_memory, int64_t{1} << 30, "bytes that all connections together may hold");
ABSL_FLAG(bool, reflection, true, "serve gRPC reflection");
ABSL_FLAG(absl::Duration, answer_retention, absl::Hours(7 * 24),
          "how long answers are kept for repeated requests, 24h or more");
ABSL_FLAG(int32_t, near_cache_mb, 16,
          "memory for answers to callers who allow a max_staleness; 0: off");
ABSL_FLAG(absl::Duration, totals_check_interval, absl::Hours(24),
          "how often running totals are compared with a recount; 0: never");
ABSL_FLAG(std::string, metrics_listen, "", "address of /metrics, host:port; empty: off");
ABSL_FLAG(absl::Duration, drain_delay, absl::Seconds(5),
          "how long calls are still accepted after health says NOT_SERVING");
ABSL_FLAG(absl::Duration, shutdown_timeout, absl::Seconds(15),
          "how long calls in progress may take at shutdown");
ABSL_FLAG(std::string, log_format, "json", "json or text");
ABSL_FLAG(std::string, log_level, "info", "debug, info, warn or error");

namespace clm::app {
namespace {

// Sixteen of the largest requests.
constexpr int64_t kMinRpcMemory = 64 << 20;

constexpr const char* kFlags[] = {
    "listen",           "socket",           "secret_file",    "pg_admin_dsn",
    "access_dsn",       "contact_dsn",      "lifecycle_dsn",  "loyalty_dsn",
    "access_peer",      "contact_peer",     "lifecycle_peer", "loyalty_peer",
    "redis_url",        "migrate",          "pg_pool_size",   "workers",
    "streams",          "max_in_flight",    "reflection",     "metrics_listen",
    "drain_delay",      "shutdown_timeout", "log_format",     "log_level",
    "answer_retention", "near_cache_mb",    "rpc_memory",     "totals_check_interval",
    "feedback_dsn",     "feedback_peer",
};

int Complain(const char* name, const std::string& text) {
  std::fprintf(stderr, "%s: %s\n", name, text.c_str());
  return 2;
}

// "--pg-admin-dsn=x" is written as people write flags; abseil wants underscores.
std::vector<std::string> WithUnderscores(int argc, char** argv) {
  std::vector<std::string> result;
  for (int i = 0; i < argc; ++i) {
    std::string argument = argv[i];
    if (i > 0 && absl::StartsWith(argument, "--")) {
      const size_t end = std::min(argument.find('='), argument.size());
      for (size_t at = 2; at < end; ++at) {
        if (argument[at] == '-') argument[at] = '_';
      }
    }
    result.push_back(std::move(argument));
  }
  return result;
}

// CLM_PG_ADMIN_DSN sets --pg-admin-dsn, unless the command line does. Empty, or what is wrong.
std::string ReadEnvironment() {
  for (const char* flag : kFlags) {
    const std::string variable = absl::StrCat("CLM_", absl::AsciiStrToUpper(flag));
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr) continue;
    std::string error;
    if (!absl::FindCommandLineFlag(flag)->ParseFrom(value, &error)) {
      return absl::StrCat(variable, ": ", error);
    }
  }
  return "";
}

std::string ReadSecret(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return std::string(absl::StripAsciiWhitespace(text.str()));
}

bool ParseLevel(const std::string& text, obs::Level* level) {
  if (text == "debug") return *level = obs::Level::kDebug, true;
  if (text == "info") return *level = obs::Level::kInfo, true;
  if (text == "warn") return *level = obs::Level::kWarn, true;
  if (text == "error") return *level = obs::Level::kError, true;
  return false;
}

void AddIfSet(std::map<std::string, std::string>& map, const char* key, const std::string& value) {
  if (!value.empty()) map[key] = value;
}

ServerOptions OptionsFromFlags(const char* name) {
  ServerOptions options;
  options.name = name;
  options.listen = absl::GetFlag(FLAGS_listen);
  options.socket = absl::GetFlag(FLAGS_socket);
  if (const std::string path = absl::GetFlag(FLAGS_secret_file); !path.empty()) {
    options.secret = ReadSecret(path);
  }
  options.pg_admin_dsn = absl::GetFlag(FLAGS_pg_admin_dsn);
  AddIfSet(options.dsns, "access", absl::GetFlag(FLAGS_access_dsn));
  AddIfSet(options.dsns, "contact", absl::GetFlag(FLAGS_contact_dsn));
  AddIfSet(options.dsns, "lifecycle", absl::GetFlag(FLAGS_lifecycle_dsn));
  AddIfSet(options.dsns, "loyalty", absl::GetFlag(FLAGS_loyalty_dsn));
  AddIfSet(options.dsns, "feedback", absl::GetFlag(FLAGS_feedback_dsn));
  AddIfSet(options.peers, "access", absl::GetFlag(FLAGS_access_peer));
  AddIfSet(options.peers, "contact", absl::GetFlag(FLAGS_contact_peer));
  AddIfSet(options.peers, "lifecycle", absl::GetFlag(FLAGS_lifecycle_peer));
  AddIfSet(options.peers, "loyalty", absl::GetFlag(FLAGS_loyalty_peer));
  AddIfSet(options.peers, "feedback", absl::GetFlag(FLAGS_feedback_peer));
  options.redis_url = absl::GetFlag(FLAGS_redis_url);
  options.migrate = absl::GetFlag(FLAGS_migrate);
  options.pg_pool_size = absl::GetFlag(FLAGS_pg_pool_size);
  options.workers = absl::GetFlag(FLAGS_workers);
  options.streams = absl::GetFlag(FLAGS_streams);
  options.max_in_flight = absl::GetFlag(FLAGS_max_in_flight);
  options.rpc_memory = absl::GetFlag(FLAGS_rpc_memory);
  options.reflection = absl::GetFlag(FLAGS_reflection);
  options.answer_retention = absl::GetFlag(FLAGS_answer_retention);
  options.near_cache_mb = absl::GetFlag(FLAGS_near_cache_mb);
  options.totals_check_interval = absl::GetFlag(FLAGS_totals_check_interval);
  options.metrics_listen = absl::GetFlag(FLAGS_metrics_listen);
  options.drain_delay = absl::GetFlag(FLAGS_drain_delay);
  options.shutdown_timeout = absl::GetFlag(FLAGS_shutdown_timeout);
  return options;
}

// What the process runs with, fit for a log.
void LogConfiguration() {
  for (const char* flag : kFlags) {
    const auto* reflected = absl::FindCommandLineFlag(flag);
    const std::string value = reflected->CurrentValue();
    if (value.empty()) continue;
    obs::Info("configuration",
              {{"flag", absl::StrReplaceAll(flag, {{"_", "-"}})}, {"value", Redacted(value)}});
  }
}

}  // namespace

int Run(const char* name, int argc, char** argv, std::vector<std::unique_ptr<Module>> modules) {
  // The distribution's abseil searches every lock, gRPC's too, for cycles under one global spin
  // lock: more than a tenth of a call.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // --help lists the flags of this file: those of a server, not abseil's own.
  absl::FlagsUsageConfig usage;
  usage.contains_help_flags = [](absl::string_view file) {
    return absl::EndsWith(file, "libs/app/run.cc");
  };
  usage.contains_helpshort_flags = usage.contains_help_flags;
  absl::SetFlagsUsageConfig(usage);
  absl::SetProgramUsageMessage(absl::StrCat(
      "a server of the CLM suite. Every flag can also be given as CLM_<FLAG>.\n\n  ", name,
      " --listen 127.0.0.1:9090 --secret-file secret --pg-admin-dsn 'host=/run/postgresql' "
      "--migrate"));
  if (const std::string problem = ReadEnvironment(); !problem.empty()) {
    return Complain(name, problem);
  }
  std::vector<std::string> arguments = WithUnderscores(argc, argv);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  const auto rest = absl::ParseCommandLine(static_cast<int>(pointers.size()), pointers.data());
  if (rest.size() > 1) return Complain(name, absl::StrCat("unexpected argument: ", rest[1]));

  obs::Level level;
  if (!ParseLevel(absl::GetFlag(FLAGS_log_level), &level)) {
    return Complain(name, "--log-level must be debug, info, warn or error");
  }
  const std::string format = absl::GetFlag(FLAGS_log_format);
  if (format != "json" && format != "text") {
    return Complain(name, "--log-format must be json or text");
  }
  for (const auto& [flag, value] : {std::pair{"pg-pool-size", absl::GetFlag(FLAGS_pg_pool_size)},
                                    {"workers", absl::GetFlag(FLAGS_workers)},
                                    {"streams", absl::GetFlag(FLAGS_streams)},
                                    {"max-in-flight", absl::GetFlag(FLAGS_max_in_flight)}}) {
    if (value < 1) return Complain(name, absl::StrCat("--", flag, " must be at least 1"));
  }
  if (absl::GetFlag(FLAGS_rpc_memory) < kMinRpcMemory) {
    return Complain(name, "--rpc-memory must be at least 67108864: 64 MiB");
  }
  obs::ConfigureLog({.json = format == "json", .level = level, .service = name});

  // Threads inherit the mask, so the signals reach nobody but sigwait below.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  LogConfiguration();
  auto server = Server::Start(OptionsFromFlags(name), std::move(modules));
  if (!server.ok()) {
    std::fprintf(stderr, "%s: %s\n", name, std::string(server.status().message()).c_str());
    return 1;
  }
  int received = 0;
  sigwait(&signals, &received);
  obs::Info("signal", {{"number", received}});
  (*server)->Stop();
  return 0;
}

}  // namespace clm::app
