#include "tools/clm/up_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/app/redact.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/time_text.h"
#include "libs/pg/migrate.h"
#include "libs/stack/postgres_server.h"
#include "services/allinone/modules.h"
#include "tools/clm/demo_fill.h"
#include "tools/clm/insights_command.h"
#include "tools/clm/suite.h"
#include "tools/terminal/number_text.h"
#include "tools/terminal/outcome.h"

namespace clm::cli {
namespace {

using terminal::Paint;
using terminal::Screen;
using terminal::Tone;

constexpr absl::Duration kTendEvery = absl::Milliseconds(200);
constexpr absl::Duration kDownPatience = absl::Minutes(1);

struct UpOptions {
  SuiteOptions suite;
  bool ephemeral = false, detach = false, no_redis = false;
  bool demo = false, with_load = false;
  DemoOptions demo_options;
  double load_per_second = 5;
};

const char* Mark(const Screen& screen, bool ok) {
  if (screen.utf8) return ok ? "✓" : "✗";
  return ok ? "ok" : "!!";
}

void PrintStep(const Screen& screen, const Step& step) {
  std::cout << Paint(screen, step.ok ? Tone::kGood : Tone::kBad, Mark(screen, step.ok)) << " "
            << step.text;
  if (step.took > absl::ZeroDuration()) {
    std::cout << Paint(screen, Tone::kMuted,
                       absl::StrCat("  ", absl::ToInt64Milliseconds(step.took), " ms"));
  }
  std::cout << std::endl;
}

// "clm" when a shell finds this program by its name, else its path, from here if it is below.
std::string Program() {
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
  const char* path = std::getenv("PATH");
  for (const absl::string_view folder : absl::StrSplit(path != nullptr ? path : "", ':')) {
    if (std::filesystem::equivalent(absl::StrCat(folder, "/clm"), self, failed)) return "clm";
  }
  const std::string near = std::filesystem::proximate(self, failed).string();
  return absl::StartsWith(near, "..") ? self.string() : near;
}

// How to call this program so that it finds the same suite.
std::string Self(const Home& home, const std::string& tenant) {
  std::string self = Program();
  if (home.folder() != Home::DefaultFolder("default")) {
    absl::StrAppend(&self, " --data ", home.folder());
  }
  if (tenant != "demo") absl::StrAppend(&self, " --tenant ", tenant);
  return self;
}

void PrintBlock(const Screen& screen, const Suite& suite, bool demo) {
  const State& state = suite.state();
  const auto line = [&](const char* key, const std::string& value) {
    std::cout << "  " << Paint(screen, Tone::kMuted, terminal::Pad(key, 12)) << value << "\n";
  };
  std::cout << "\n" << Paint(screen, Tone::kStrong, "The suite is running.") << "\n\n";
  if (state.lifecycle_address.empty()) {
    line("gRPC", state.address);
  } else {
    line("gRPC", absl::StrCat(state.address, " (contact, access), ", state.lifecycle_address,
                              " (lifecycle, insights), ", state.loyalty_address, " (loyalty), ",
                              state.feedback_address, " (feedback)"));
  }
  line("socket", state.socket);
  std::vector<std::string> metrics = {state.metrics};
  if (!state.lifecycle_metrics.empty()) {
    metrics.insert(metrics.end(),
                   {state.lifecycle_metrics, state.loyalty_metrics, state.feedback_metrics});
  }
  line("metrics", absl::StrJoin(metrics, ", "));
  line("tenant", state.tenant);
  if (!suite.new_token().empty()) {
    line("token", suite.new_token());
    line("", "shown this once; kept in " + suite.home().SuiteFile("secrets.json"));
  } else {
    line("token", "in " + suite.home().SuiteFile("secrets.json"));
  }
  line("data", suite.home().folder());
  line("logs", suite.home().SuiteFile("logs"));
  const std::string self = Self(suite.home(), state.tenant);
  std::cout << "\nNext, in another terminal:\n\n";
  if (demo) {
    std::cout << "  " << self << " insights funnel " << kDemoModel << "\n"
              << "  " << self << " insights cohorts\n"
              << "  " << self << " contacts list --limit 10\n";
  } else {
    std::cout << "  " << self << " contacts create --email ada@example.com --given-name Ada\n"
              << "  " << self << " contacts list\n"
              << "  " << self << " demo\n";
  }
  std::cout << "\nNot for production: one machine, no TLS, no backups. Ctrl-C stops it; the data "
               "stay."
            << std::endl;
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  return signals;
}

// True when a stop was asked for within `wait`.
bool StopAsked(absl::Duration wait) {
  const sigset_t signals = StopSignals();
  const timespec timeout = absl::ToTimespec(wait);
  return sigtimedwait(&signals, nullptr, &timeout) > 0;
}

absl::Status Serve(Cli& cli, UpOptions options) {
  const Screen& screen = cli.screen();
  const StepSink sink = [&screen](const Step& step) { PrintStep(screen, step); };
  CLM_ASSIGN_OR_RETURN(const auto suite, Suite::Start(options.suite, sink));
  std::atomic<bool> stop = false;
  std::atomic<int64_t> sent = 0;
  std::thread load;
  absl::Status filled;
  if (options.demo) {
    // On a thread of its own: the servers are tended, and Ctrl-C is heard, while it works.
    std::atomic<bool> done = false;
    std::thread fill([&] {
      const auto report = FillDemo(cli, options.demo_options);
      filled = report.status();
      done = true;
    });
    while (!done) {
      if (StopAsked(kTendEvery)) {
        std::cout << "\nstopped before the demo was complete; the next start goes on" << std::endl;
        suite->Stop();
        std::cout.flush();
        _exit(0);
      }
      suite->Tend();
    }
    fill.join();
    CLM_RETURN_IF_ERROR(filled);
    // What the demo is about; the block below must stay the last thing on the screen.
    ShowDemoOverview(cli).IgnoreError();
  }
  PrintBlock(screen, *suite, options.demo);
  if (options.with_load) {
    load = std::thread([&] {
      const absl::Status ended =
          RunLoad(cli, options.demo_options, options.load_per_second, stop, sent);
      if (!ended.ok()) std::cerr << terminal::ErrorText(cli.error_screen(), ended);
    });
  }
  while (!StopAsked(kTendEvery)) suite->Tend();

  std::cout << "\nstopping; again to stop at once" << std::endl;
  // A second signal is for people who will not wait: the servers end with this process.
  std::thread([] {
    const sigset_t signals = StopSignals();
    int received = 0;
    sigwait(&signals, &received);
    _exit(130);
  }).detach();
  stop = true;
  if (load.joinable()) load.join();
  suite->Stop();
  return absl::OkStatus();
}

// Goes on in a child that has no terminal, and waits until it serves or has failed.
absl::Status Detach(Cli& cli, const UpOptions& options,
                    const std::function<absl::Status()>& serve) {
  const Home home(options.suite.folder);
  CLM_RETURN_IF_ERROR(home.Make());
  if (const auto running = home.ReadState(); running.ok()) {
    return error::Precondition(
        "ALREADY_RUNNING",
        absl::StrCat("a suite already runs in ", home.folder(), " (process ", running->pid, ")"));
  }
  const std::string log = home.File("up.log");
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (out < 0)
    return error::Precondition("FILE_UNUSABLE", absl::StrCat(log, ": cannot be written"));
  std::cout.flush();
  const pid_t child = fork();
  if (child < 0) return error::Precondition("START_FAILED", "cannot start a process");
  if (child == 0) {
    setsid();
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    const absl::Status status = serve();
    if (!status.ok()) std::cerr << terminal::ErrorText(cli.error_screen(), status);
    std::cout.flush();
    _exit(static_cast<int>(terminal::ExitFor(status)));
  }
  close(out);
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      std::cout << stack::ReadFile(log);
      return error::Precondition("START_FAILED",
                                 absl::StrCat("it did not start; ", log, " says the same"));
    }
    const std::string text = stack::ReadFile(log);
    // The last line of the block.
    if (absl::StrContains(text, "Not for production")) {
      std::cout << text;
      return absl::OkStatus();
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
}

absl::Status Up(Cli& cli, UpOptions options) {
  if (!ValidTenantId(cli.tenant())) {
    return error::InvalidField("--tenant", "must be 1 to 40 of a-z, 0-9 and -, a letter first");
  }
  options.suite.folder = cli.home().folder();
  options.suite.tenant = cli.tenant();
  options.suite.redis = !options.no_redis;
  if (options.ephemeral) {
    std::string folder = (std::filesystem::temp_directory_path() / "clm-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr || chmod(folder.c_str(), 0711) != 0) {
      return error::Precondition("FOLDER_UNUSABLE", absl::StrCat(folder, ": cannot be made"));
    }
    options.suite.folder = folder;
  }
  cli.UseHome(options.suite.folder);
  // Before any thread: they inherit the mask.
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const auto serve = [&] {
    absl::Status status = Serve(cli, options);
    if (options.ephemeral) {
      std::error_code ignored;
      std::filesystem::remove_all(options.suite.folder, ignored);
    }
    return status;
  };
  return options.detach ? Detach(cli, options, serve) : serve();
}

absl::Status Down(Cli& cli) {
  const Home home = cli.home();
  CLM_ASSIGN_OR_RETURN(const State state, home.ReadState());
  if (kill(state.pid, SIGTERM) != 0) {
    return error::Precondition("NOT_PERMITTED", absl::StrCat("cannot stop process ", state.pid,
                                                             "; it belongs to somebody else"));
  }
  const absl::Time until = absl::Now() + kDownPatience;
  while (home.Locked()) {
    if (absl::Now() > until) {
      return error::Unavailable("STILL_RUNNING",
                                absl::StrCat("process ", state.pid, " is still stopping"),
                                absl::Seconds(5));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  cli.Note(absl::StrCat("stopped; the data are in ", home.folder()));
  return absl::OkStatus();
}

absl::Status ShowStatus(Cli& cli) {
  const Home home = cli.home();
  CLM_ASSIGN_OR_RETURN(const State state, home.ReadState());
  std::vector<std::string> services;
  bool serving = true;
  for (const char* service : {"contact", "lifecycle", "loyalty", "feedback"}) {
    const auto target = state.targets.find(service);
    if (target == state.targets.end()) continue;
    const absl::Status health = CheckHealth(target->second, absl::Seconds(2));
    serving = serving && health.ok();
    services.push_back(absl::StrCat(service, health.ok() ? " serving" : " not serving"));
  }
  const auto or_else = [](const std::string& own, const std::string& common) {
    return own.empty() ? common : own;
  };
  const std::string address =
      state.lifecycle_address.empty()
          ? state.address
          : absl::StrCat("access=", state.address, ",contact=", state.address,
                         ",lifecycle=", state.lifecycle_address, ",loyalty=", state.loyalty_address,
                         ",feedback=", state.feedback_address);
  if (cli.output() == "env") {
    const auto line = [](const char* key, const std::string& value) {
      std::cout << "export " << key << "='" << value << "'\n";
    };
    line("CLM_ADDRESS", address);
    line("CLM_TOKEN", home.Token(state.tenant));
    line("CLM_TENANT", state.tenant);
    line("CLM_SOCKET", state.socket);
    line("CLM_METRICS", state.metrics);
    line("CLM_DATA", home.folder());
    line("CLM_PG_DSN", state.pg_dsn);
    line("CLM_REDIS_URL", state.redis_url);
  } else {
    CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
    terminal::Table table({{"address"},
                           {"lifecycle_address"},
                           {"loyalty_address"},
                           {"feedback_address"},
                           {"socket"},
                           {"metrics"},
                           {"lifecycle_metrics"},
                           {"loyalty_metrics"},
                           {"feedback_metrics"},
                           {"tenant"},
                           {"mode"},
                           {"services"},
                           {"pid"},
                           {"start_time"},
                           {"data"},
                           {"pg_dsn"},
                           {"redis_url"}});
    table.Add({state.address, or_else(state.lifecycle_address, state.address),
               or_else(state.loyalty_address, state.address),
               or_else(state.feedback_address, state.address), state.socket, state.metrics,
               or_else(state.lifecycle_metrics, state.metrics),
               or_else(state.loyalty_metrics, state.metrics),
               or_else(state.feedback_metrics, state.metrics), state.tenant, state.mode,
               absl::StrJoin(services, ", "), absl::StrCat(state.pid), state.start_time,
               home.folder(), app::Redacted(state.pg_dsn), app::Redacted(state.redis_url)});
    terminal::WriteOne(table, format, cli.screen(), std::cout);
  }
  if (serving) return absl::OkStatus();
  return error::Unavailable("NOT_SERVING", "not every service serves", absl::Seconds(1));
}

absl::Status Reset(Cli& cli, bool yes) {
  const Home home = cli.home();
  if (const auto state = home.ReadState(); state.ok()) {
    return error::Precondition("ALREADY_RUNNING", absl::StrCat("a suite runs in ", home.folder(),
                                                               "; stop it first with: clm down"));
  }
  if (!std::filesystem::exists(home.folder())) {
    cli.Note(absl::StrCat(home.folder(), ": nothing there"));
    return absl::OkStatus();
  }
  // A folder that was not made by `clm up` holds something else.
  if (!std::filesystem::exists(home.SuiteFile("secret"))) {
    return error::Precondition("NOT_OURS",
                               absl::StrCat(home.folder(), ": not a data folder of the suite"));
  }
  if (!yes) {
    if (isatty(STDIN_FILENO) == 0) {
      return error::InvalidField("--yes", "needed where nobody can be asked");
    }
    std::cout << "Delete every contact, event and stage in " << home.folder() << "? [y/N] "
              << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "y" && answer != "Y" && answer != "yes") {
      cli.Note("nothing was deleted");
      return absl::OkStatus();
    }
  }
  std::error_code failed;
  for (const char* part : {"pg", "redis", "suite", "up.log"}) {
    std::filesystem::remove_all(home.File(part), failed);
    if (failed) {
      return error::Precondition("FOLDER_UNUSABLE",
                                 absl::StrCat(home.File(part), ": ", failed.message()));
    }
  }
  cli.Note(absl::StrCat("deleted; clm up makes a new one in ", home.folder()));
  return absl::OkStatus();
}

// One look at the machine: what is well, what is not, and what helps.
absl::Status Doctor(Cli& cli) {
  const Home home = cli.home();
  terminal::Table table({{"check"}, {"ok"}, {"finding"}, {"help"}});
  int failed = 0;
  const auto add = [&](const char* check, bool ok, const std::string& finding,
                       const std::string& help = "") {
    if (!ok) ++failed;
    table.Add({check, terminal::Cell(ok, ok ? Tone::kGood : Tone::kBad), finding,
               ok ? std::string() : help});
  };
  const auto postgres = stack::FindPostgres();
  add("PostgreSQL", postgres.ok(),
      postgres.ok() ? absl::StrCat(postgres->version, " in ", postgres->folder)
                    : std::string(postgres.status().message()),
      "apt install postgresql");
  const auto redis = stack::Output({.argv = {"redis-server", "--version"}}, absl::Seconds(5));
  add("Redis", redis.ok(), redis.ok() ? redis->substr(0, redis->find(" sha")) : "not found",
      "apt install redis-server");
  const absl::Status folder = home.Make();
  add("data folder", folder.ok(), folder.ok() ? home.folder() : std::string(folder.message()),
      "choose another with --data");
  std::error_code unknown;
  const auto space = std::filesystem::space(home.folder(), unknown);
  if (!unknown) {
    constexpr uintmax_t kEnough = uintmax_t{1} << 30;
    add("disk", space.available >= kEnough,
        absl::StrCat(terminal::BytesText(static_cast<int64_t>(space.available)), " free"),
        "make room: the suite wants 1 GB at least");
  }
  const auto state = home.ReadState();
  if (state.ok()) {
    add("suite", true, absl::StrCat("runs as process ", state->pid));
    for (const auto& [service, target] : state->targets) {
      const absl::Status health = CheckHealth(target, absl::Seconds(2));
      add(service.c_str(), health.ok(), health.ok() ? "serves" : std::string(health.message()),
          absl::StrCat("look into ", home.SuiteFile("logs")));
    }
    for (const pg::Schema& schema : allinone::Schemas()) {
      const absl::Status version =
          pg::CheckVersion(pg::AppDsn(state->pg_dsn, schema.service), schema);
      add(absl::StrCat("database ", schema.service).c_str(), version.ok(),
          version.ok() ? "has this program's schema" : std::string(version.message()),
          "clm migrate");
    }
  } else {
    add("suite", true, "does not run");
    const int port = FreePort(9090);
    add("port 9090", true,
        port == 9090 ? std::string("free") : absl::StrCat("busy; clm up would take ", port));
  }
  CLM_RETURN_IF_ERROR(cli.PrintTable(table));
  if (failed == 0) return absl::OkStatus();
  return error::Precondition("UNHEALTHY", absl::StrCat(failed, " of the checks failed"));
}

absl::Status Migrate(Cli& cli, std::string dsn) {
  std::unique_ptr<stack::PostgresServer> own;
  if (dsn.empty()) {
    const Home home = cli.home();
    if (const auto state = home.ReadState(); state.ok()) {
      dsn = state->pg_dsn;
    } else {
      CLM_RETURN_IF_ERROR(home.Make());
      CLM_ASSIGN_OR_RETURN(own, stack::PostgresServer::Start({.folder = home.File("pg")}));
      dsn = own->Dsn();
    }
  }
  terminal::Table table({{"database"}, {"before"}, {"after"}, {"applied"}});
  for (const pg::Schema& schema : allinone::Schemas()) {
    CLM_ASSIGN_OR_RETURN(const pg::MigrationReport report, pg::Migrate(dsn, schema));
    table.Add({absl::StrCat("clm_", schema.service), report.before, report.after,
               absl::StrJoin(report.applied, " ")});
  }
  return cli.PrintTable(table);
}

}  // namespace

void AddUpCommands(Command top, Cli& cli) {
  auto up = std::make_shared<UpOptions>();
  Command command = cli.AddCommand(
      top, "up", "Start the suite on this machine, with PostgreSQL and Redis of its own",
      {"clm up", "clm up --demo --with-load", "clm up --distributed --data ./clm-data",
       "clm up --pg-dsn 'host=/var/run/postgresql user=clm' --redis-url redis://localhost:6379"},
      [&cli, up] { return Up(cli, *up); });
  command.AddFlag("--demo", up->demo, "fill it with a fictional shop and show its lifecycle");
  command.AddFlag("--with-load", up->with_load, "keep the shop moving");
  command.AddOption("--load-rate", up->load_per_second, "events per second of --with-load")
      .BetweenReals(0.01, 10000.0)
      .ShowDefault();
  command.AddOption("--demo-contacts", up->demo_options.contacts, "people of the shop")
      .Between(1, 1000000)
      .ShowDefault();
  command.AddOption("--demo-months", up->demo_options.months, "months of history")
      .Between(1, 120)
      .ShowDefault();
  command.AddFlag("--distributed", up->suite.distributed, "one process per service");
  command.AddFlag("--ephemeral", up->ephemeral, "in a folder that is deleted at the end");
  command.AddFlag("-d,--detach", up->detach, "go on in the background; clm down stops it");
  command.AddOption("--port", up->suite.port, "of the gRPC API; the next free one if busy; 0: any")
      .Between(0, 65535)
      .ShowDefault();
  command
      .AddOption("--metrics-port", up->suite.metrics_port,
                 "of /metrics; the next free one if busy; 0: any")
      .Between(0, 65535)
      .ShowDefault();
  command.AddOption("--pg-dsn", up->suite.pg_dsn,
                    "a PostgreSQL that runs, as a role that may create databases");
  command.AddOption("--redis-url", up->suite.redis_url, "a Redis that runs");
  command.AddFlag("--no-redis", up->no_redis, "without a cache: slower, the same answers");

  cli.AddCommand(top, "down", "Stop the suite of the data folder; the data stay",
                 {"clm down", "clm down --profile test"}, [&cli] { return Down(cli); });
  cli.AddCommand(top, "status", "Show where the suite of the data folder listens",
                 {"clm status", "clm status -o json", "eval \"$(clm status -o env)\""},
                 [&cli] { return ShowStatus(cli); });
  auto yes = std::make_shared<bool>(false);
  cli.AddCommand(top, "reset", "Delete the data folder's data", {"clm reset", "clm reset --yes"},
                 [&cli, yes] { return Reset(cli, *yes); })
      .AddFlag("-y,--yes", *yes, "do not ask");
  cli.AddCommand(top, "doctor", "Look for what keeps the suite from running",
                 {"clm doctor", "clm doctor -o json"}, [&cli] { return Doctor(cli); });
  auto dsn = std::make_shared<std::string>();
  cli.AddCommand(top, "migrate", "Bring the databases up to date",
                 {"clm migrate", "clm migrate --pg-dsn 'host=db user=postgres'"},
                 [&cli, dsn] { return Migrate(cli, *dsn); })
      .AddOption("--pg-dsn", *dsn, "another server than the data folder's");
}

}  // namespace clm::cli
