#include "libs/app/server.h"

#include <arpa/inet.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <netinet/in.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "libs/app/remote_access.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/obs/log.h"
#include "libs/pg/settings.h"
#include "libs/rpc/heartbeat.h"

namespace clm::app {
namespace {

constexpr absl::Duration kMinAnswerRetention = absl::Hours(24);
constexpr size_t kMinSecret = 32;
constexpr absl::Duration kReadinessInterval = absl::Milliseconds(250);
// Longer than the longest deadline, so that slow reports are not taken for death.
constexpr absl::Duration kLifeless = absl::Seconds(90);
constexpr char kLiveness[] = "liveness";
constexpr char kReadiness[] = "readiness";
constexpr char kStartup[] = "startup";

absl::Status BadOption(absl::string_view text) {
  return error::Precondition("CONFIGURATION", text);
}

// Whether somebody answers on the socket; gRPC would take a live one's place without a word.
bool InUse(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX};
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return connected;
}

// Connects to an IPv4 address that a server listens on, and hangs up. No matter when that fails.
void Knock(const std::string& host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return;
  // On every address means on this one too.
  if (address.sin_addr.s_addr == INADDR_ANY) address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  [[maybe_unused]] const int begun =
      connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  close(fd);
}

void SetChannelArguments(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 300'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 900'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 256);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 8 * 1024);
  builder.SetMaxReceiveMessageSize(4 * 1024 * 1024);
}

// Requests on their way wait where they are, rather than end the process, when all connections
// together hold this much.
void SetMemoryQuota(grpc::ServerBuilder& builder, int64_t bytes) {
  grpc::ResourceQuota quota("clm");
  quota.Resize(static_cast<size_t>(bytes));
  builder.SetResourceQuota(quota);
}

}  // namespace

class Server::Impl final : public Runtime {
 public:
  Impl(ServerOptions options, std::vector<std::unique_ptr<Module>> modules)
      : options_(std::move(options)),
        modules_(std::move(modules)),
        clock_(options_.clock != nullptr ? *options_.clock : system_clock_),
        workers_("clm-worker", options_.workers, options_.worker_queue),
        streams_("clm-stream", options_.streams, 0),
        host_({.clock = &clock_,
               .workers = &workers_,
               .streams = &streams_,
               .metrics = &metrics_,
               .max_in_flight = options_.max_in_flight}),
        identity_{.service = options_.name, .token = ""} {}

  ~Impl() override { Stop(); }

  absl::Status Start() {
    CLM_RETURN_IF_ERROR(Check());
    Watch();
    if (options_.migrate) CLM_RETURN_IF_ERROR(Migrate());
    for (const auto& module : modules_) {
      ++started_;
      CLM_RETURN_IF_ERROR(Named(*module, module->Start(*this)));
    }
    UseRemoteAccess();
    CLM_RETURN_IF_ERROR(Listen());
    for (const auto& module : modules_) CLM_RETURN_IF_ERROR(Named(*module, module->Serve(*this)));
    SetHealth(true);
    monitor_ = std::thread([this] { Monitor(); });
    obs::Info("serving", {{"name", options_.name}, {"modules", static_cast<int>(modules_.size())}});
    return absl::OkStatus();
  }

  void Stop() {
    if (std::exchange(stopped_, true)) return;
    if (server_ != nullptr) {
      obs::Info("draining", {{"name", options_.name}});
      stop_monitor_.Notify();
      if (monitor_.joinable()) monitor_.join();
      server_->GetHealthCheckService()->Shutdown();
      for (size_t i = 0; i < started_; ++i) modules_[i]->Drain();
      // Balancers and clients need a moment to look elsewhere; nobody is refused meanwhile.
      if (serving_) absl::SleepFor(options_.drain_delay);
      host_.Drain();
      server_->Shutdown(absl::ToChronoTime(absl::Now() + options_.shutdown_timeout));
      server_->Wait();
    }
    workers_.Stop();
    streams_.Stop();
    for (size_t i = started_; i-- > 0;) modules_[i]->Stop();
    CloseMetrics();
    obs::Info("stopped", {{"name", options_.name}});
  }

  // Runtime:
  const Clock& clock() const override { return clock_; }
  rpc::Host& host() override { return host_; }
  rpc::Workers& workers() override { return workers_; }
  obs::Metrics& metrics() override { return metrics_; }
  const std::string& secret() const override { return options_.secret; }
  absl::Duration answer_retention() const override { return options_.answer_retention; }
  int64_t near_cache_bytes() const override { return int64_t{options_.near_cache_mb} << 20; }
  absl::Duration totals_check_interval() const override { return options_.totals_check_interval; }
  const std::string& redis_url() const override { return options_.redis_url; }
  const rpc::ClientIdentity& identity() const override { return identity_; }

  absl::StatusOr<std::string> Dsn(const std::string& service) const override {
    if (const auto it = options_.dsns.find(service); it != options_.dsns.end()) return it->second;
    if (!options_.pg_admin_dsn.empty()) return pg::AppDsn(options_.pg_admin_dsn, service);
    return BadOption(
        absl::StrCat("no database for ", service, ": set --", service, "-dsn or --pg-admin-dsn"));
  }

  absl::StatusOr<std::unique_ptr<pg::Pool>> OpenDatabase(const pg::Schema& schema,
                                                         int connections) override {
    CLM_ASSIGN_OR_RETURN(const std::string dsn, Dsn(schema.service));
    CLM_RETURN_IF_ERROR(pg::CheckVersion(dsn, schema));
    auto pool = pg::NewPool({.dsn = dsn,
                             .size = connections > 0 ? connections : options_.pg_pool_size,
                             .application_name = absl::StrCat("clm-", schema.service)});
    if (options_.allow_unsafe_database) return pool;
    CLM_RETURN_IF_ERROR(pg::CheckServer(*pool));
    CLM_ASSIGN_OR_RETURN(const std::vector<std::string> weak, pg::WeakSettings(*pool));
    for (const std::string& setting : weak) {
      obs::Warn("the database is not durable", {{"database", schema.service}, {"why", setting}});
    }
    return pool;
  }

  absl::Status Register(std::unique_ptr<rpc::Service> service) override {
    CLM_RETURN_IF_ERROR(service->Verify());
    services_.push_back(std::move(service));
    return absl::OkStatus();
  }

  void SetAuthenticator(std::unique_ptr<rpc::Authenticator> authenticator) override {
    authenticator_ = std::move(authenticator);
    host_.SetAuthenticator(authenticator_.get());
  }

  void SetTenants(std::unique_ptr<rpc::Tenants> tenants) override {
    tenants_ = std::move(tenants);
    host_.SetTenants(tenants_.get());
  }

  absl::StatusOr<std::shared_ptr<grpc::Channel>> Channel(const std::string& service) override {
    if (const auto it = options_.peers.find(service); it != options_.peers.end()) {
      absl::MutexLock lock(&peers_mu_);
      auto& channel = peers_[service];
      if (channel == nullptr) channel = rpc::NewChannel(it->second);
      return channel;
    }
    for (const auto& module : modules_) {
      if (module->name() == service) return InProcess();
    }
    return BadOption(absl::StrCat("no address for ", service, ": set --", service, "-peer"));
  }

  std::shared_ptr<grpc::Channel> InProcess() {
    return server_->InProcessChannel(rpc::ChannelArguments());
  }
  const std::vector<int>& ports() const { return ports_; }
  int metrics_port() const {
    return exposer_ == nullptr ? 0 : exposer_->GetListeningPorts().front();
  }

 private:
  static absl::Status Named(const Module& module, const absl::Status& status) {
    if (status.ok()) return status;
    return error::Make(status.code(), error::Reason(status),
                       absl::StrCat(module.name(), ": ", status.message()));
  }

  absl::Status Check() const {
    if (options_.secret.size() < kMinSecret) {
      return BadOption(absl::StrCat("the suite's secret must have at least ", kMinSecret,
                                    " bytes: set --secret-file"));
    }
    if (options_.migrate && options_.pg_admin_dsn.empty()) {
      return BadOption("--migrate needs --pg-admin-dsn");
    }
    if (options_.answer_retention < kMinAnswerRetention) {
      return BadOption(
          "--answer-retention must be 24h or more: callers repeat what they got no "
          "answer to");
    }
    if (options_.near_cache_mb < 0) {
      return BadOption("--near-cache-mb must be 0 or more");
    }
    if (options_.totals_check_interval < absl::ZeroDuration()) {
      return BadOption("--totals-check-interval must not be negative; 0 means never");
    }
    if (options_.socket.size() >= sizeof(sockaddr_un::sun_path)) {
      return BadOption("the path of --socket is too long for a Unix socket");
    }
    if (!options_.socket.empty() && InUse(options_.socket)) {
      return BadOption("another process serves on --socket");
    }
    return absl::OkStatus();
  }

  // Gauges of what the process shares.
  void Watch() {
    const auto watch = [this](const char* name, const char* help, std::function<double()> read) {
      watched_.push_back(metrics_.WatchGauge(name, help, {}, std::move(read)));
    };
    watch("clm_rpc_in_flight", "Calls in progress.",
          [this] { return static_cast<double>(host_.admission().in_flight()); });
    watch("clm_workers_busy", "Workers that run a task.",
          [this] { return static_cast<double>(workers_.stats().busy); });
    watch("clm_workers_queued", "Tasks that wait for a worker.",
          [this] { return static_cast<double>(workers_.stats().queued); });
    watch("clm_streams_busy", "Streams in progress.",
          [this] { return static_cast<double>(streams_.stats().busy); });
  }

  absl::Status Migrate() const {
    for (const auto& module : modules_) {
      for (const pg::Schema& schema : module->Schemas()) {
        const auto report = pg::Migrate(options_.pg_admin_dsn, schema);
        if (!report.ok()) return Named(*module, report.status());
        obs::Info(
            "migrated",
            {{"database", schema.service}, {"before", report->before}, {"after", report->after}});
      }
    }
    return absl::OkStatus();
  }

  // In a process without the access service, that is asked about tokens and tenants.
  void UseRemoteAccess() {
    const auto it = options_.peers.find("access");
    if (it == options_.peers.end()) return;
    const auto channel = rpc::NewChannel(it->second);
    if (authenticator_ == nullptr) {
      SetAuthenticator(NewRemoteAuthenticator(channel, identity_, clock_));
    }
    if (tenants_ == nullptr) SetTenants(NewRemoteTenants(channel, identity_));
  }

  absl::Status Listen() {
    grpc::EnableDefaultHealthCheckService(true);
    if (options_.reflection) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    SetChannelArguments(builder);
    SetMemoryQuota(builder, options_.rpc_memory);
    ports_.resize(options_.listen.size());
    for (size_t i = 0; i < options_.listen.size(); ++i) {
      builder.AddListeningPort(options_.listen[i], grpc::InsecureServerCredentials(), &ports_[i]);
    }
    int socket_bound = 1;
    if (!options_.socket.empty()) {
      builder.AddListeningPort(absl::StrCat("unix:", options_.socket),
                               grpc::InsecureServerCredentials(), &socket_bound);
    }
    for (const auto& service : services_) builder.RegisterService(service.get());
    server_ = builder.BuildAndStart();
    for (size_t i = 0; i < ports_.size(); ++i) {
      if (ports_[i] == 0) return BadOption(absl::StrCat("cannot listen on ", options_.listen[i]));
    }
    if (socket_bound == 0) return BadOption(absl::StrCat("cannot listen on ", options_.socket));
    if (server_ == nullptr) return BadOption("the gRPC server did not start");
    if (!options_.socket.empty()) chmod(options_.socket.c_str(), S_IRUSR | S_IWUSR);
    SetHealth(false);
    return ExposeMetrics();
  }

  absl::Status ExposeMetrics() {
    if (options_.metrics_listen.empty()) return absl::OkStatus();
    try {
      exposer_ = std::make_unique<prometheus::Exposer>(options_.metrics_listen, 1);
      exposer_->RegisterCollectable(metrics_.collectable());
    } catch (const std::exception&) {
      return BadOption(absl::StrCat("cannot serve metrics on ", options_.metrics_listen));
    }
    return absl::OkStatus();
  }

  // The HTTP server sees that it shall end when somebody calls, or after two seconds.
  void CloseMetrics() {
    if (exposer_ == nullptr) return;
    const std::string host = options_.metrics_listen.substr(0, options_.metrics_listen.rfind(':'));
    absl::Notification closed;
    std::thread caller([&closed, &host, port = metrics_port()] {
      while (!closed.WaitForNotificationWithTimeout(absl::Milliseconds(10))) Knock(host, port);
    });
    exposer_.reset();
    closed.Notify();
    caller.join();
  }

  void SetHealth(bool serving) {
    auto* const health = server_->GetHealthCheckService();
    health->SetServingStatus(kLiveness, true);
    health->SetServingStatus(kStartup, serving);
    health->SetServingStatus(kReadiness, serving);
    health->SetServingStatus("", serving);
    for (const auto& service : services_) health->SetServingStatus(service->full_name(), serving);
    serving_ = serving;
  }

  // Asks the modules whether callers may be sent here, and looks whether work gets done at all.
  void Monitor() {
    rpc::Heartbeat heartbeat(&workers_, &clock_, kLifeless);
    while (!stop_monitor_.WaitForNotificationWithTimeout(kReadinessInterval)) {
      bool ready = true;
      for (const auto& module : modules_) ready = ready && module->Ready().ok();
      auto* const health = server_->GetHealthCheckService();
      health->SetServingStatus(kReadiness, ready);
      health->SetServingStatus("", ready);
      const bool alive = heartbeat.Beat();
      if (std::exchange(alive_, alive) == alive) continue;
      if (!alive) obs::Error("the workers have taken no task for a while", {});
      health->SetServingStatus(kLiveness, alive);
    }
  }

  const ServerOptions options_;
  std::vector<std::unique_ptr<Module>> modules_;
  SystemClock system_clock_;
  const Clock& clock_;
  obs::Metrics metrics_;
  rpc::Workers workers_;
  rpc::Workers streams_;
  rpc::Host host_;
  const rpc::ClientIdentity identity_;
  std::vector<std::shared_ptr<void>> watched_;
  std::unique_ptr<rpc::Authenticator> authenticator_;
  std::unique_ptr<rpc::Tenants> tenants_;
  std::vector<std::unique_ptr<rpc::Service>> services_;
  absl::Mutex peers_mu_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> peers_ ABSL_GUARDED_BY(peers_mu_);
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::vector<int> ports_;
  std::thread monitor_;
  absl::Notification stop_monitor_;
  size_t started_ = 0;
  bool alive_ = true;  // Of the monitor.
  bool serving_ = false;
  bool stopped_ = false;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    ServerOptions options, std::vector<std::unique_ptr<Module>> modules) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(modules));
  CLM_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::Stop() { impl_->Stop(); }
std::shared_ptr<grpc::Channel> Server::Channel() { return impl_->InProcess(); }
const std::vector<int>& Server::ports() const { return impl_->ports(); }
int Server::metrics_port() const { return impl_->metrics_port(); }
obs::Metrics& Server::metrics() { return impl_->metrics(); }

}  // namespace clm::app
