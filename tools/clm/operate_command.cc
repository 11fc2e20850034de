#include "tools/clm/operate_command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/pg/dsn.h"
#include "libs/redis/url.h"
#include "libs/stack/postgres_server.h"
#include "tools/clm/log_view.h"

namespace clm::cli {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kLookEvery = absl::Milliseconds(100);

// ---- logs

struct LogFlags {
  std::string service;
  int64_t lines = 50;
  bool follow = false;
};

// "contact" of .../logs/clm-contact.log; "all" of clm.log, the log of a suite in one process.
std::string ServiceOfLog(const fs::path& file) {
  const std::string stem = file.stem().string();
  return stem == "clm" ? "all" : std::string(absl::StripPrefix(stem, "clm-"));
}

absl::StatusOr<std::vector<std::string>> LogFiles(const Home& home, const LogFlags& flags) {
  if (flags.service == "postgres") return std::vector<std::string>{home.File("pg/postgres.log")};
  if (flags.service == "redis") return std::vector<std::string>{home.File("redis/redis.log")};
  std::vector<std::string> files, services, one_process;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(home.SuiteFile("logs"), failed)) {
    if (entry.path().extension() != ".log") continue;
    const std::string service = ServiceOfLog(entry.path());
    services.push_back(service);
    if (service == "all") one_process.push_back(entry.path().string());
    if (flags.service.empty() || service == flags.service) files.push_back(entry.path().string());
  }
  if (services.empty()) {
    return error::NotFound(absl::StrCat(home.SuiteFile("logs"), ": no logs; clm up makes them"));
  }
  const auto state = home.ReadState();
  const bool known = flags.service.empty() || !files.empty() ||
                     (state.ok() && state->targets.contains(flags.service));
  if (!known) {
    std::sort(services.begin(), services.end());
    return error::InvalidField(
        "SERVICE",
        absl::StrCat("must be one of ", absl::StrJoin(services, ", "), ", postgres, redis"));
  }
  // In one process the services share a log.
  if (files.empty() || (state.ok() && state->mode == "one process")) files = one_process;
  std::sort(files.begin(), files.end());
  return files;
}

absl::Status ShowLogs(Cli& cli, const LogFlags& flags) {
  const Home home = cli.home();
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> files, LogFiles(home, flags));
  // The records are JSON already.
  const bool raw = terminal::IsMessageFormat(format);
  const auto show = [&](const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      std::cout << (raw ? line : LogLine(cli.screen(), line)) << "\n";
    }
    std::cout.flush();
  };
  LogView view(files);
  show(view.Last(static_cast<size_t>(flags.lines)));
  while (flags.follow) {
    // Looked at before the files, so that the last words are not missed.
    const bool running = home.Locked();
    show(view.New());
    if (!running) {
      cli.Note("no suite runs here");
      break;
    }
    if (!std::cout) break;
    absl::SleepFor(kLookEvery);
  }
  return absl::OkStatus();
}

// ---- psql and redis-cli

// Becomes the program. Returns only when that fails.
absl::Status Become(const std::string& program, const std::vector<std::string>& args,
                    const char* package) {
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  std::cout.flush();
  execvp(argv[0], argv.data());
  if (errno == ENOENT) {
    return error::Make(
        absl::StatusCode::kNotFound, "PROGRAM_NOT_FOUND",
        absl::StrCat(program, " is not installed; install it: apt install ", package));
  }
  return error::Precondition("PROGRAM_NOT_STARTED",
                             absl::StrCat(program, ": ", std::strerror(errno)));
}

struct ShellFlags {
  std::string service;
  std::vector<std::string> args;
};

absl::Status Psql(const Cli& cli, const ShellFlags& flags) {
  CLM_ASSIGN_OR_RETURN(const State state, cli.home().ReadState());
  CLM_ASSIGN_OR_RETURN(pg::DsnOptions options, pg::ParseDsn(state.pg_dsn));
  if (flags.service != "server") options["dbname"] = absl::StrCat("clm_", flags.service);
  CLM_ASSIGN_OR_RETURN(const auto environment, pg::DsnEnvironment(options));
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  std::string program = "psql";
  if (const auto found = stack::FindPostgres(); found.ok()) {
    const std::string beside = found->folder + "/psql";
    if (access(beside.c_str(), X_OK) == 0) program = beside;
  }
  return Become(program, flags.args, "postgresql-client");
}

absl::Status RedisShell(const Cli& cli, const std::vector<std::string>& words) {
  CLM_ASSIGN_OR_RETURN(const State state, cli.home().ReadState());
  if (state.redis_url.empty()) {
    return error::Precondition("NO_REDIS", "this suite runs without Redis");
  }
  CLM_ASSIGN_OR_RETURN(const redis::Endpoint at, redis::ParseUrl(state.redis_url));
  std::vector<std::string> args;
  if (!at.path.empty()) {
    args = {"-s", at.path};
  } else {
    args = {"-h", at.host, "-p", absl::StrCat(at.port)};
  }
  if (at.db != 0) args.insert(args.end(), {"-n", absl::StrCat(at.db)});
  if (!at.user.empty()) args.insert(args.end(), {"--user", at.user});
  // Not on the command line, which other users may read.
  if (!at.password.empty()) setenv("REDISCLI_AUTH", at.password.c_str(), 1);
  args.insert(args.end(), words.begin(), words.end());
  return Become("redis-cli", args, "redis-tools");
}

// ---- cheat

struct Hint {
  const char* command;
  const char* does;
};
struct Chapter {
  const char* title;
  std::vector<Hint> hints;
};

const std::vector<Chapter>& CheatSheet() {
  static const auto* const chapters = new std::vector<Chapter>{
      {"Run it",
       {{"clm up --demo", "start it with a fictional shop; Ctrl-C stops it, the data stay"},
        {"clm up --detach", "start it in the background"},
        {"clm status", "where it listens; -o env for a shell"},
        {"clm logs --follow", "what it says"},
        {"clm doctor", "what is wrong, and what helps"},
        {"clm down", "stop it"},
        {"clm reset", "delete its data"}}},
      {"People and what they do",
       {{"clm contacts create --email ada@example.com --given-name Ada", "a new contact"},
        {"clm contacts list --filter 'source = \"referral\"'", "who matches"},
        {"clm contacts context ada@example.com", "everything a frontend needs"},
        {"clm events ingest purchase ada@example.com --amount 12.50 --currency EUR",
         "an event, now or --at another time"},
        {"clm import contacts people.csv --errors bad-rows.csv", "a file; again changes nothing"},
        {"clm export contact ada@example.com", "all that is held about a person"}}},
      {"Stages",
       {{"clm models presets", "the stage models that ship with the suite"},
        {"clm models install non-contractual", "one of them, with its rules"},
        {"clm stages get ada@example.com", "where somebody is"},
        {"clm explain stage ada@example.com", "and why"},
        {"clm rules list non-contractual", "what moves customers by itself"},
        {"clm rules dry-run non-contractual --to at_risk --on purchase --silence 45d",
         "what a rule would do"}}},
      {"All customers together",
       {{"clm insights board non-contractual", "customers per stage"},
        {"clm insights funnel non-contractual", "where people are lost"},
        {"clm insights retention --bought-within 90", "who stayed"},
        {"clm insights cohorts", "cohorts by first purchase"},
        {"clm insights velocity non-contractual", "how long stages take"}}},
      {"Programs and operators",
       {{"clm tokens create --scope contacts.read --expire 30d", "a key for a program"},
        {"clm --tenant acme contacts list", "another tenant"},
        {"clm contacts list -o json", "for programs; also yaml, csv, ndjson, name"},
        {"clm psql contact", "a service's database"},
        {"source <(clm completion bash)", "the Tab key"}}},
  };
  return *chapters;
}

absl::Status Cheat(const Cli& cli) {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  const bool people = format == terminal::Format::kTable || format == terminal::Format::kWide;
  terminal::Table table({{"topic"}, {"command"}, {"does"}});
  for (const Chapter& chapter : CheatSheet()) {
    if (people) {
      std::cout << terminal::Paint(cli.screen(), terminal::Tone::kStrong, chapter.title) << "\n";
    }
    for (const Hint& hint : chapter.hints) {
      table.Add({chapter.title, hint.command, hint.does});
      if (!people) continue;
      std::cout << "  " << terminal::Paint(cli.screen(), terminal::Tone::kMuted, "# ")
                << terminal::Paint(cli.screen(), terminal::Tone::kMuted, hint.does) << "\n  "
                << hint.command << "\n";
    }
    if (people) std::cout << "\n";
  }
  return people ? absl::OkStatus() : cli.PrintTable(table);
}

}  // namespace

void AddOperateCommands(Command top, Cli& cli) {
  auto logs = std::make_shared<LogFlags>();
  Command command =
      cli.AddCommand(top, "logs", "Show the logs of the data folder's suite",
                     {"clm logs", "clm logs --follow", "clm logs contact --lines 200",
                      "clm logs postgres", "clm logs -o ndjson | grep '\"level\":\"error\"'"},
                     [&cli, logs] { return ShowLogs(cli, *logs); });
  command.AddOption(
      "SERVICE", logs->service,
      "contact, lifecycle, loyalty, feedback, postgres or redis; default: the services");
  command.AddOption("-n,--lines", logs->lines, "how many of the last lines; 0: all")
      .Counts()
      .ShowDefault();
  command.AddFlag("-f,--follow", logs->follow, "go on until the suite stops, or Ctrl-C");

  auto psql = std::make_shared<ShellFlags>();
  command = cli.AddCommand(
      top, "psql",
      "Open psql on a service's database, as the server's superuser: it sees every tenant",
      {"clm psql contact", "clm psql lifecycle -- -c 'SELECT count(*) FROM transition'"},
      [&cli, psql] { return Psql(cli, *psql); });
  command
      .AddOption("SERVICE", psql->service,
                 "access, contact, lifecycle, loyalty or feedback; server for none")
      .Required()
      .OneOf({"access", "contact", "lifecycle", "loyalty", "feedback", "server"});
  command.AddOption("ARGS", psql->args, "for psql, after --");

  auto words = std::make_shared<std::vector<std::string>>();
  cli.AddCommand(top, "redis", "Open redis-cli on the suite's Redis",
                 {"clm redis", "clm redis -- INFO memory"},
                 [&cli, words] { return RedisShell(cli, *words); })
      .AddOption("ARGS", *words, "for redis-cli, after --");

  cli.AddCommand(top, "cheat", "Show the commands that are used most", {"clm cheat"},
                 [&cli] { return Cheat(cli); });
}

}  // namespace clm::cli
