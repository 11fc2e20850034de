#include "libs/app/server.h"

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "libs/app/redact.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/rpc/client.h"
#include "libs/rpc/service.h"
#include "libs/rpc/status.h"
#include "libs/rpc/token.h"
#include "libs/testing/eventually.h"
#include "libs/testing/temp_folder.h"

namespace clm::app {
namespace {

namespace access = clm::access::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Handlers {
  std::function<absl::StatusOr<access::Tenant>(const rpc::Call&)> get = [](const rpc::Call& call) {
    access::Tenant tenant;
    tenant.set_display_name(call.caller.actor);
    return tenant;
  };
  absl::StatusOr<access::IntrospectResponse> introspected;

  absl::StatusOr<access::Tenant> GetTenant(const rpc::Call& call, const access::GetTenantRequest&) {
    return get(call);
  }
  absl::StatusOr<access::IntrospectResponse> Introspect(const rpc::Call&,
                                                        const access::IntrospectRequest&) {
    return introspected;
  }
  template <class Req, class Resp>
  absl::StatusOr<Resp> Unused(const rpc::Call&, const Req&) {
    return error::Make(absl::StatusCode::kUnimplemented, "UNUSED", "unused");
  }
};

class Binding : public rpc::Service {
 public:
  Binding(rpc::Host& host, Handlers& handlers, bool complete)
      : Service(host, access::AccessService::service_full_name()) {
    Bind("GetTenant", &handlers, &Handlers::GetTenant);
    if (!complete) return;
    Bind("Introspect", &handlers, &Handlers::Introspect);
    Bind("CreateTenant", &handlers, &Handlers::Unused<access::CreateTenantRequest, access::Tenant>);
    Bind("ListTenants", &handlers,
         &Handlers::Unused<access::ListTenantsRequest, access::ListTenantsResponse>);
    Bind("CreateToken", &handlers,
         &Handlers::Unused<access::CreateTokenRequest, access::CreateTokenResponse>);
    Bind("CreateOperatorToken", &handlers,
         &Handlers::Unused<access::CreateOperatorTokenRequest, access::CreateTokenResponse>);
    Bind("ListTokens", &handlers,
         &Handlers::Unused<access::ListTokensRequest, access::ListTokensResponse>);
    Bind("RevokeToken", &handlers, &Handlers::Unused<access::RevokeTokenRequest, access::Token>);
    Bind("RevokeOperatorToken", &handlers,
         &Handlers::Unused<access::RevokeOperatorTokenRequest, access::Token>);
  }
};

// Writes down what happens to it.
struct Diary {
  std::vector<std::string> entries;
  Handlers handlers;
  absl::Status serve;
  absl::Status ready;
  bool complete = true;
  absl::Status channel;  // Outcome of a call to itself during Serve.
};

class TestModule : public Module {
 public:
  TestModule(std::string name, Diary* diary) : name_(std::move(name)), diary_(diary) {}
  std::string name() const override { return name_; }
  absl::Status Start(Runtime& runtime) override {
    diary_->entries.push_back(name_ + " start");
    if (name_ != "access") return absl::OkStatus();
    return runtime.Register(
        std::make_unique<Binding>(runtime.host(), diary_->handlers, diary_->complete));
  }
  absl::Status Serve(Runtime& runtime) override {
    diary_->entries.push_back(name_ + " serve");
    if (name_ != "access") return diary_->serve;
    CLM_ASSIGN_OR_RETURN(const auto channel, runtime.Channel("access"));
    grpc::ClientContext context;
    rpc::PrepareContext(runtime.identity(), absl::Seconds(5), &context);
    access::GetTenantRequest request;
    request.set_name("tenants/acme");
    access::Tenant tenant;
    diary_->channel = rpc::FromGrpc(
        access::AccessService::NewStub(channel)->GetTenant(&context, request, &tenant));
    return absl::OkStatus();
  }
  absl::Status Ready() override { return diary_->ready; }
  void Drain() override { diary_->entries.push_back(name_ + " drain"); }
  void Stop() override { diary_->entries.push_back(name_ + " stop"); }

 private:
  const std::string name_;
  Diary* const diary_;
};

class ServerTest : public ::testing::Test {
 protected:
  ServerOptions Options() {
    return {.name = "clm-test",
            .listen = {"127.0.0.1:0"},
            .socket = folder_.File("clm.sock"),
            .secret = std::string(32, 's'),
            .drain_delay = absl::ZeroDuration(),
            .shutdown_timeout = absl::Seconds(20)};
  }
  absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options,
                                                const std::vector<std::string>& names = {
                                                    "access"}) {
    std::vector<std::unique_ptr<Module>> modules;
    for (const auto& name : names) modules.push_back(std::make_unique<TestModule>(name, &diary_));
    return Server::Start(std::move(options), std::move(modules));
  }
  static absl::Status Get(const std::shared_ptr<grpc::Channel>& channel, access::Tenant* tenant,
                          const std::string& token = "") {
    grpc::ClientContext context;
    rpc::PrepareContext({.service = "", .token = token}, absl::Seconds(10), &context);
    access::GetTenantRequest request;
    request.set_name("tenants/acme");
    return rpc::FromGrpc(
        access::AccessService::NewStub(channel)->GetTenant(&context, request, tenant));
  }
  std::string SocketTarget() const { return "unix:" + folder_.File("clm.sock"); }

  const clm::testing::TempFolder folder_;
  Diary diary_;
  access::Tenant tenant_;
};

TEST_F(ServerTest, ModulesLiveInOrderAndDieInReverse) {
  auto server = Start(Options(), {"access", "other"});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(diary_.channel.ok()) << diary_.channel;
  (*server)->Stop();
  (*server)->Stop();
  EXPECT_THAT(diary_.entries,
              ElementsAre("access start", "other start", "access serve", "other serve",
                          "access drain", "other drain", "other stop", "access stop"));
}

TEST_F(ServerTest, AModuleThatFailsStopsWhatWasStarted) {
  diary_.serve = error::Precondition("NO_LUCK", "no luck");
  const auto server = Start(Options(), {"access", "other"});
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("other: no luck"));
  EXPECT_THAT(diary_.entries, ::testing::Contains("access stop"));
}

TEST_F(ServerTest, AServiceWithAnUnboundMethodDoesNotStart) {
  diary_.complete = false;
  EXPECT_EQ(error::Reason(Start(Options()).status()), "SERVICE_BINDING");
}

TEST_F(ServerTest, TheSocketIsTheSuitesAndPrivate) {
  auto server = Start(Options());
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_TRUE(Get(rpc::NewChannel(SocketTarget()), &tenant_).ok());
  EXPECT_EQ(tenant_.display_name(), "suite");
  EXPECT_EQ(std::filesystem::status(folder_.File("clm.sock")).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const auto tcp = rpc::NewChannel(absl::StrCat("127.0.0.1:", (*server)->ports().front()));
  EXPECT_EQ(Get(tcp, &tenant_).code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(ServerTest, ASocketOrPortInUseIsRefused) {
  auto server = Start(Options());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(error::Reason(Start(Options()).status()), "CONFIGURATION");
  ServerOptions options = Options();
  options.socket.clear();
  options.listen = {absl::StrCat("127.0.0.1:", (*server)->ports().front())};
  EXPECT_THAT(std::string(Start(options).status().message()), HasSubstr("cannot listen on"));
  // The first one is unharmed.
  EXPECT_TRUE(Get(rpc::NewChannel(SocketTarget()), &tenant_).ok());
}

TEST_F(ServerTest, AShortSecretIsRefused) {
  ServerOptions options = Options();
  options.secret = "short";
  EXPECT_THAT(std::string(Start(options).status().message()), HasSubstr("--secret-file"));
}

TEST_F(ServerTest, ARetentionThatForgetsAnswersTooSoonIsRefused) {
  ServerOptions options = Options();
  options.answer_retention = absl::Hours(24) - absl::Seconds(1);
  EXPECT_THAT(std::string(Start(options).status().message()), HasSubstr("--answer-retention"));
}

TEST_F(ServerTest, ANegativeIntervalOfComparisonsIsRefused) {
  ServerOptions options = Options();
  options.totals_check_interval = -absl::Seconds(1);
  EXPECT_THAT(std::string(Start(options).status().message()), HasSubstr("--totals-check-interval"));
}

TEST_F(ServerTest, ACallInProgressIsFinishedAtStop) {
  absl::Notification inside;
  absl::Notification release;
  diary_.handlers.get = [&](const rpc::Call& call) {
    if (call.caller.actor == "suite") {
      inside.Notify();
      release.WaitForNotification();
    }
    return access::Tenant();
  };
  auto server = Start(Options());
  ASSERT_TRUE(server.ok()) << server.status();
  absl::Status status;
  std::thread caller([&] { status = Get(rpc::NewChannel(SocketTarget()), &tenant_); });
  inside.WaitForNotification();
  std::thread stopper([&] { (*server)->Stop(); });
  release.Notify();
  caller.join();
  stopper.join();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(ServerTest, AProcessWithoutTheAccessServiceAsksItsPeerAboutTokens) {
  access::IntrospectResponse response;
  response.set_key_id("k");
  response.set_tenant("acme");
  response.add_scopes("tokens.read");
  diary_.handlers.introspected = response;
  auto owner = Start(Options());
  ASSERT_TRUE(owner.ok()) << owner.status();

  // The second process serves the same test service and knows tokens from the first only.
  Diary diary;
  ServerOptions options = Options();
  options.socket.clear();
  options.peers = {{"access", SocketTarget()}};
  std::vector<std::unique_ptr<Module>> modules;
  modules.push_back(std::make_unique<TestModule>("access", &diary));
  auto other = Server::Start(options, std::move(modules));
  ASSERT_TRUE(other.ok()) << other.status();
  const auto tcp = rpc::NewChannel(absl::StrCat("127.0.0.1:", (*other)->ports().front()));
  const std::string token = rpc::FormatToken(rpc::MakeToken(true));
  const absl::Status status = Get(tcp, &tenant_, token);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(tenant_.display_name(), "token:k");
  EXPECT_EQ(Get(tcp, &tenant_, "guess").code(), absl::StatusCode::kUnauthenticated);
}

// Whether a health checker is told that `name` serves. The health messages are one string and one
// enum; the wrapper types are the same on the wire.
bool Serves(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
  grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value> stub(
      channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
  google::protobuf::StringValue request;
  request.set_value(name);
  google::protobuf::Int32Value response;
  absl::Notification answered;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&](const grpc::Status& status) {
                   EXPECT_TRUE(status.ok()) << status.error_message();
                   answered.Notify();
                 });
  answered.WaitForNotification();
  return response.value() == 1;
}

TEST_F(ServerTest, ItIsNotAliveWhileItsWorkersTakeNothing) {
  absl::Notification inside;
  absl::Notification release;
  diary_.handlers.get = [&](const rpc::Call& call) {
    if (call.caller.actor == "suite" && !inside.HasBeenNotified()) {
      inside.Notify();
      release.WaitForNotification();
    }
    return access::Tenant();
  };
  ManualClock clock(absl::Now());
  ServerOptions options = Options();
  options.clock = &clock;
  options.workers = 1;
  auto server = Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = rpc::NewChannel(SocketTarget());
  EXPECT_TRUE(Serves(channel, "liveness"));
  std::thread caller([&] { static_cast<void>(Get(channel, &tenant_)); });
  inside.WaitForNotification();
  EXPECT_TRUE(clm::testing::Eventually([&] {
    clock.Advance(absl::Minutes(1));
    return !Serves(channel, "liveness");
  }));
  release.Notify();
  caller.join();
  EXPECT_TRUE(clm::testing::Eventually([&] { return Serves(channel, "liveness"); }));
}

TEST_F(ServerTest, SeveralServersShareAProcess) {
  auto first = Start(Options());
  ASSERT_TRUE(first.ok()) << first.status();
  Diary diary;
  ServerOptions options = Options();
  options.socket = folder_.File("second.sock");
  std::vector<std::unique_ptr<Module>> modules;
  modules.push_back(std::make_unique<TestModule>("access", &diary));
  auto second = Server::Start(options, std::move(modules));
  ASSERT_TRUE(second.ok()) << second.status();
  (*first)->Stop();
  EXPECT_TRUE(Get((*second)->Channel(), &tenant_).ok());
}

TEST_F(ServerTest, MetricsAreServedWhenAsked) {
  ServerOptions options = Options();
  options.metrics_listen = "127.0.0.1:0";
  auto server = Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->metrics_port(), 0);
  EXPECT_THAT((*server)->metrics().Render(), HasSubstr("grpc_server_started_total"));
  EXPECT_THAT((*server)->metrics().Render(), HasSubstr("clm_workers_busy"));
}

TEST_F(ServerTest, AMissingPeerNamesItsFlag) {
  class Probe : public Module {
   public:
    explicit Probe(absl::Status* out) : out_(out) {}
    std::string name() const override { return "probe"; }
    absl::Status Start(Runtime& runtime) override {
      out_[0] = runtime.Dsn("contact").status();
      return absl::OkStatus();
    }
    absl::Status Serve(Runtime& runtime) override {
      out_[1] = runtime.Channel("contact").status();
      return absl::OkStatus();
    }

   private:
    absl::Status* const out_;
  };
  absl::Status out[2];
  std::vector<std::unique_ptr<Module>> modules;
  modules.push_back(std::make_unique<Probe>(out));
  ASSERT_TRUE(Server::Start(Options(), std::move(modules)).ok());
  EXPECT_THAT(std::string(out[0].message()), HasSubstr("--contact-dsn"));
  EXPECT_THAT(std::string(out[1].message()), HasSubstr("--contact-peer"));
}

TEST(RedactTest, PasswordsAreHiddenAndTheRestIsKept) {
  EXPECT_EQ(Redacted("host=db user=u password=s3cret dbname=x"),
            "host=db user=u password=*** dbname=x");
  EXPECT_EQ(Redacted("host=db password='two words' dbname=x"), "host=db password=*** dbname=x");
  EXPECT_EQ(Redacted("postgres://u:s3cret@db/x?sslpassword=y&a=b"),
            "postgres://u:***@db/x?sslpassword=***&a=b");
  EXPECT_EQ(Redacted("redis://:s3cret@cache:6379/0"), "redis://:***@cache:6379/0");
  EXPECT_EQ(Redacted("127.0.0.1:9090"), "127.0.0.1:9090");
}

}  // namespace
}  // namespace clm::app
