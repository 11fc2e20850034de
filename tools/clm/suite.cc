#include "tools/clm/suite.h"

#include <arpa/inet.h>
#include <grpcpp/generic/generic_stub.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "google/protobuf/wrappers.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/obs/log.h"
#include "libs/pg/migrate.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "services/allinone/modules.h"

namespace clm::cli {
namespace {

constexpr int kPortsTried = 100;
constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr absl::Duration kShutdownTimeout = absl::Seconds(10);
constexpr absl::Duration kMaxPause = absl::Seconds(5);
// A process that has lived so long has started well; the next death is a new story.
constexpr absl::Duration kSettled = absl::Seconds(20);

std::string ProgramFolder() {
  std::error_code failed;
  return std::filesystem::read_symlink("/proc/self/exe", failed).parent_path().string();
}

// The port of 127.0.0.1 that could be had for `port`; 0 for none. A port of 0 stands for any.
int Bound(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  const int reuse = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  const bool free = bind(fd, raw, size) == 0 && getsockname(fd, raw, &size) == 0;
  close(fd);
  return free ? ntohs(address.sin_port) : 0;
}

int AnyPort() { return Bound(0); }

// A log of the process, appended to; thread-safe by the one lock.
void LogTo(const std::string& file) {
  auto out = std::make_shared<std::ofstream>(file, std::ios::app);
  auto mu = std::make_shared<absl::Mutex>();
  obs::ConfigureLog(
      {.json = true, .service = "clm-allinone", .sink = [out, mu](std::string_view line) {
         absl::MutexLock lock(mu.get());
         *out << line << std::endl;
       }});
}

}  // namespace

int FreePort(int port) {
  if (port == 0) return 0;
  for (int candidate = port; candidate < port + kPortsTried && candidate < 65536; ++candidate) {
    if (Bound(candidate) != 0) return candidate;
  }
  return 0;
}

absl::Status CheckHealth(const std::string& target, absl::Duration timeout) {
  // The health messages are one string and one enum; the wrapper types are the same on the wire.
  using google::protobuf::StringValue;
  using google::protobuf::UInt32Value;
  constexpr uint32_t kServing = 1;
  grpc::TemplatedGenericStub<StringValue, UInt32Value> stub(rpc::NewChannel(target));
  grpc::ClientContext context;
  rpc::PrepareContext({.service = "clm-cli"}, timeout, &context);
  StringValue request;
  UInt32Value response;
  absl::Notification done;
  grpc::Status status;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&](grpc::Status s) {
                   status = std::move(s);
                   done.Notify();
                 });
  done.WaitForNotification();
  CLM_RETURN_IF_ERROR(rpc::FromGrpc(status));
  if (response.value() == kServing) return absl::OkStatus();
  return error::Unavailable("NOT_SERVING", "it answers, but does not serve", absl::Seconds(1));
}

Suite::Suite(SuiteOptions options, StepSink sink)
    : options_(std::move(options)), sink_(std::move(sink)), home_(options_.folder) {}

Suite::~Suite() { Stop(); }

absl::StatusOr<std::unique_ptr<Suite>> Suite::Start(SuiteOptions options, StepSink sink) {
  auto suite = std::unique_ptr<Suite>(new Suite(std::move(options), std::move(sink)));
  CLM_RETURN_IF_ERROR(suite->StartAll());
  return suite;
}

absl::Status Suite::StartAll() {
  const auto timed = [this](const std::function<absl::Status()>& work,
                            const std::function<std::string()>& text) {
    const absl::Time begin = absl::Now();
    absl::Status status = work();
    sink_({text(), absl::Now() - begin, status.ok()});
    return status;
  };
  CLM_RETURN_IF_ERROR(OpenFolder());
  state_.start_time = absl::Now();
  state_.pid = getpid();
  state_.tenant = options_.tenant;
  state_.mode = options_.distributed ? "distributed" : "one process";
  CLM_RETURN_IF_ERROR(timed([this] { return StartPostgres(); },
                            [this] {
                              if (postgres_ == nullptr) return std::string("PostgreSQL");
                              return absl::StrCat("PostgreSQL ", postgres_->binaries().version,
                                                  first_start_ ? ", database cluster made" : "");
                            }));
  CLM_RETURN_IF_ERROR(timed([this] { return StartRedis(); },
                            [this] {
                              return options_.redis ? std::string("Redis")
                                                    : std::string("Redis: none wanted");
                            }));
  CLM_RETURN_IF_ERROR(timed([this] { return Migrate(); }, [] { return std::string("databases"); }));
  CLM_RETURN_IF_ERROR(
      timed([this] { return options_.distributed ? StartProcesses() : StartHere(); },
            [this] {
              return options_.distributed ? std::string("services, one process each")
                                          : std::string("services, in this process");
            }));
  CLM_RETURN_IF_ERROR(timed([this] { return MakeTenant(); },
                            [this] { return absl::StrCat("tenant ", options_.tenant); }));
  return home_.WriteState(state_);
}

absl::Status Suite::OpenFolder() {
  CLM_RETURN_IF_ERROR(home_.Make());
  first_start_ = !std::filesystem::exists(home_.File("pg")) && options_.pg_dsn.empty();
  auto folder = stack::ServerFolder::Open(home_.File("suite"), std::nullopt);
  if (!folder.ok()) {
    const auto running = home_.ReadState();
    if (!running.ok() || error::Reason(folder.status()) != "FOLDER_IN_USE") return folder.status();
    return error::Precondition(
        "ALREADY_RUNNING", absl::StrCat("a suite already runs in ", home_.folder(), " (process ",
                                        running->pid, "); clm status shows it, clm down stops it"));
  }
  folder_ = *std::move(folder);
  home_.RemoveState();
  CLM_ASSIGN_OR_RETURN(secret_, home_.Secret());
  CLM_ASSIGN_OR_RETURN(sockets_, folder_->SocketFolder("lifecycle.sock"));
  std::error_code failed;
  std::filesystem::create_directories(home_.SuiteFile("logs"), failed);
  if (failed) {
    return error::Precondition("FOLDER_UNUSABLE",
                               absl::StrCat(home_.SuiteFile("logs"), ": ", failed.message()));
  }
  LogTo(home_.SuiteFile("logs/clm.log"));
  return absl::OkStatus();
}

absl::Status Suite::StartPostgres() {
  state_.pg_dsn = options_.pg_dsn;
  if (!state_.pg_dsn.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(postgres_, stack::PostgresServer::Start({.folder = home_.File("pg")}));
  state_.pg_dsn = postgres_->Dsn();
  Watch(
      "PostgreSQL", [this] { return postgres_->running(); },
      [this] { return postgres_->Restart(); });
  return absl::OkStatus();
}

absl::Status Suite::StartRedis() {
  if (!options_.redis) return absl::OkStatus();
  state_.redis_url = options_.redis_url;
  if (!state_.redis_url.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(redis_, stack::RedisServer::Start({.folder = home_.File("redis")}));
  state_.redis_url = redis_->url();
  Watch(
      "Redis", [this] { return redis_->running(); }, [this] { return redis_->Restart(); });
  return absl::OkStatus();
}

absl::Status Suite::Migrate() {
  // Side by side: each waits for the disk most of the time.
  const std::vector<pg::Schema> schemas = allinone::Schemas();
  std::vector<absl::Status> done(schemas.size());
  std::vector<std::thread> threads;
  threads.reserve(schemas.size());
  for (size_t i = 0; i < schemas.size(); ++i) {
    threads.emplace_back([&, i] { done[i] = pg::Migrate(state_.pg_dsn, schemas[i]).status(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : done) CLM_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Suite::Socket(const std::string& name) const {
  return absl::StrCat(sockets_, "/", name, ".sock");
}

absl::Status Suite::StartHere() {
  app::ServerOptions options;
  options.name = "clm-allinone";
  options.listen = {absl::StrCat("127.0.0.1:", FreePort(options_.port))};
  CLM_ASSIGN_OR_RETURN(options.socket, Socket("clm"));
  options.secret = secret_;
  options.pg_admin_dsn = state_.pg_dsn;
  options.redis_url = state_.redis_url;
  options.metrics_listen = absl::StrCat("127.0.0.1:", FreePort(options_.metrics_port));
  // Nobody balances over a suite of one process.
  options.drain_delay = absl::ZeroDuration();
  options.shutdown_timeout = kShutdownTimeout;
  CLM_ASSIGN_OR_RETURN(server_, app::Server::Start(options, allinone::NewModules()));
  state_.socket = options.socket;
  state_.address = absl::StrCat("127.0.0.1:", server_->ports().front());
  state_.metrics = absl::StrCat("http://127.0.0.1:", server_->metrics_port(), "/metrics");
  const std::string target = absl::StrCat("unix:", options.socket);
  for (const char* service : {"access", "contact", "lifecycle", "loyalty", "feedback"}) {
    state_.targets[service] = target;
  }
  return AwaitServing("the suite", target);
}

absl::Status Suite::StartProcesses() {
  struct Plan {
    std::string name;
    int port;
    int metrics_port;
  };
  // Ports of their own that stay the same over restarts, so 0 will not do.
  const auto port_of = [](int wanted, int after) {
    return wanted == 0 ? AnyPort() : FreePort(after == 0 ? wanted : after + 1);
  };
  const int port = port_of(options_.port, 0);
  const int metrics_port = port_of(options_.metrics_port, 0);
  std::vector<Plan> plans = {{"contact", port, metrics_port}};
  for (const char* service : {"lifecycle", "loyalty", "feedback"}) {
    plans.push_back({service, port_of(options_.port, plans.back().port),
                     port_of(options_.metrics_port, plans.back().metrics_port)});
  }
  for (const Plan& plan : plans) {
    CLM_ASSIGN_OR_RETURN(const std::string socket, Socket(plan.name));
    state_.targets[plan.name] = absl::StrCat("unix:", socket);
  }
  state_.targets["access"] = state_.targets["contact"];
  state_.address = absl::StrCat("127.0.0.1:", plans[0].port);
  state_.lifecycle_address = absl::StrCat("127.0.0.1:", plans[1].port);
  state_.loyalty_address = absl::StrCat("127.0.0.1:", plans[2].port);
  state_.feedback_address = absl::StrCat("127.0.0.1:", plans[3].port);
  const auto metrics_of = [](const Plan& plan) {
    return absl::StrCat("http://127.0.0.1:", plan.metrics_port, "/metrics");
  };
  state_.metrics = metrics_of(plans[0]);
  state_.lifecycle_metrics = metrics_of(plans[1]);
  state_.loyalty_metrics = metrics_of(plans[2]);
  state_.feedback_metrics = metrics_of(plans[3]);
  CLM_ASSIGN_OR_RETURN(state_.socket, Socket("contact"));

  services_.reserve(plans.size());
  for (const Plan& plan : plans) {
    CLM_ASSIGN_OR_RETURN(const std::string socket, Socket(plan.name));
    stack::Command command;
    command.argv = {absl::StrCat(ProgramFolder(), "/clm-", plan.name),
                    absl::StrCat("--listen=127.0.0.1:", plan.port),
                    absl::StrCat("--socket=", socket),
                    absl::StrCat("--secret-file=", home_.SuiteFile("secret")),
                    absl::StrCat("--metrics-listen=127.0.0.1:", plan.metrics_port),
                    "--drain-delay=0s",
                    absl::StrCat("--shutdown-timeout=", absl::FormatDuration(kShutdownTimeout))};
    for (const auto& [service, target] : state_.targets) {
      const bool here = target == state_.targets[plan.name];
      if (!here) command.argv.push_back(absl::StrCat("--", service, "-peer=", target));
    }
    // Not on the command line, which other users may read.
    command.env["CLM_PG_ADMIN_DSN"] = state_.pg_dsn;
    command.env["CLM_REDIS_URL"] = state_.redis_url;
    command.log_file = home_.SuiteFile(absl::StrCat("logs/clm-", plan.name, ".log"));
    CLM_ASSIGN_OR_RETURN(auto process, stack::ChildProcess::Start(std::move(command)));
    services_.push_back({plan.name, std::move(process)});
    stack::ChildProcess* const child = services_.back().process.get();
    Watch(
        absl::StrCat("clm-", plan.name), [child] { return child->running(); },
        [child] { return child->Restart(); });
  }
  for (const Plan& plan : plans) {
    CLM_RETURN_IF_ERROR(AwaitServing(absl::StrCat("clm-", plan.name), state_.targets[plan.name]));
  }
  return absl::OkStatus();
}

absl::Status Suite::AwaitServing(const std::string& service, const std::string& target) {
  const absl::Time until = absl::Now() + kStartTimeout;
  for (;;) {
    const absl::Status health = CheckHealth(target, absl::Seconds(2));
    if (health.ok()) return absl::OkStatus();
    for (const Service& s : services_) {
      if (s.process->running()) continue;
      return error::Precondition(
          "START_FAILED",
          absl::StrCat("clm-", s.name, " ended: ",
                       stack::Tail(home_.SuiteFile(absl::StrCat("logs/clm-", s.name, ".log")), 1)));
    }
    if (absl::Now() > until) {
      return error::Precondition(
          "START_FAILED", absl::StrCat(service, " does not serve; see ", home_.SuiteFile("logs")));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
}

absl::Status Suite::MakeTenant() {
  const auto stub = access::v1::AccessService::NewStub(rpc::NewChannel(state_.targets["access"]));
  const rpc::ClientIdentity identity{.service = "clm-up"};
  {
    access::v1::CreateTenantRequest request;
    request.set_tenant_id(options_.tenant);
    request.mutable_tenant()->set_display_name(options_.tenant);
    grpc::ClientContext context;
    rpc::PrepareContext(identity, absl::Seconds(20), &context);
    access::v1::Tenant tenant;
    const absl::Status made = rpc::FromGrpc(stub->CreateTenant(&context, request, &tenant));
    if (!made.ok() && made.code() != absl::StatusCode::kAlreadyExists) return made;
  }
  if (const std::string token = home_.Token(options_.tenant); !token.empty()) {
    access::v1::IntrospectRequest request;
    request.set_token(token);
    grpc::ClientContext context;
    rpc::PrepareContext(identity, absl::Seconds(20), &context);
    access::v1::IntrospectResponse response;
    const absl::Status known = rpc::FromGrpc(stub->Introspect(&context, request, &response));
    if (known.ok()) return absl::OkStatus();
    // Expired, revoked, or of another database.
    if (known.code() != absl::StatusCode::kUnauthenticated) return known;
  }
  access::v1::CreateTokenRequest request;
  request.set_parent(absl::StrCat("tenants/", options_.tenant));
  request.mutable_token()->set_display_name("made by clm up");
  request.mutable_token()->add_scopes("admin");
  grpc::ClientContext context;
  rpc::PrepareContext(identity, absl::Seconds(20), &context);
  access::v1::CreateTokenResponse response;
  CLM_RETURN_IF_ERROR(rpc::FromGrpc(stub->CreateToken(&context, request, &response)));
  new_token_ = response.secret();
  return home_.KeepToken(options_.tenant, new_token_);
}

void Suite::Watch(std::string name, std::function<bool()> running,
                  std::function<absl::Status()> restart) {
  tended_.push_back({.name = std::move(name),
                     .running = std::move(running),
                     .restart = std::move(restart),
                     .since = absl::Now()});
}

void Suite::Tend() {
  for (Tended& part : tended_) {
    const absl::Time now = absl::Now();
    if (part.running()) continue;
    if (part.next == absl::InfinitePast()) {
      if (now - part.since > kSettled) part.pause = absl::Milliseconds(100);
      part.next = now + part.pause;
      part.pause = std::min(part.pause * 2, kMaxPause);
      obs::Warn("a part has died", {{"part", part.name}});
      sink_({absl::StrCat(part.name, " has died; starting it again"), absl::ZeroDuration(), false});
    }
    if (now < part.next) continue;
    part.next = absl::InfinitePast();
    const absl::Status started = part.restart();
    part.since = absl::Now();
    sink_({absl::StrCat(part.name, started.ok() ? " started again" : " does not start"),
           part.since - now, started.ok()});
  }
}

void Suite::Stop() {
  if (std::exchange(stopped_, true)) return;
  tended_.clear();
  if (folder_ != nullptr) home_.RemoveState();
  const auto timed = [this](const char* text, const std::function<void()>& work) {
    const absl::Time begin = absl::Now();
    work();
    sink_({text, absl::Now() - begin, true});
  };
  if (server_ != nullptr) {
    timed("services drained", [this] {
      server_->Stop();
      server_.reset();
    });
  }
  if (!services_.empty()) {
    timed("services drained", [this] {
      // Consumers first: they call the others.
      while (!services_.empty()) {
        services_.back().process->Stop(SIGTERM, kShutdownTimeout + absl::Seconds(5));
        services_.pop_back();
      }
    });
  }
  if (redis_ != nullptr) timed("Redis stopped", [this] { redis_.reset(); });
  if (postgres_ != nullptr) timed("PostgreSQL stopped", [this] { postgres_.reset(); });
  folder_.reset();
}

}  // namespace clm::cli
