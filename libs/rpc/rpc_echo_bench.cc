// What the skeleton costs: an empty method through everything a call passes, against the same
// method on gRPC's plain callback API, in alternating slices of one run on one machine.
//
//   rpc_echo_bench [slices] [seconds per slice] [calls in flight]
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/rpc/client.h"
#include "libs/rpc/service.h"

namespace clm::rpc {
namespace {

namespace access = clm::access::v1;

class RawService : public access::AccessService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetTenant(grpc::CallbackServerContext* context,
                                      const access::GetTenantRequest* request,
                                      access::Tenant* response) override {
    response->set_name(request->name());
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

struct Handlers {
  void GetTenant(const Call&, const access::GetTenantRequest& request,
                 Reply<access::Tenant> reply) {
    reply.response().set_name(request.name());
    reply.Done();
  }
};

class EchoService : public Service {
 public:
  EchoService(Host& host, Handlers& handlers)
      : Service(host, access::AccessService::service_full_name()) {
    Bind("GetTenant", &handlers, &Handlers::GetTenant);
  }
};

struct Target {
  const char* name;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<access::AccessService::Stub> stub;
  std::vector<double> rates;
};

// One of the calls kept in flight: starts the next one when it ends, until time is up.
struct Loop {
  Target* target;
  absl::Time until;
  absl::BlockingCounter* ended;
  std::atomic<uint64_t>* count;
  access::GetTenantRequest request;
  access::Tenant response;
  std::unique_ptr<grpc::ClientContext> context;

  void Next() {
    if (absl::Now() >= until) {
      ended->DecrementCount();
      return;
    }
    context = std::make_unique<grpc::ClientContext>();
    target->stub->async()->GetTenant(context.get(), &request, &response,
                                     [this](const grpc::Status& status) {
                                       if (!status.ok()) std::abort();
                                       count->fetch_add(1, std::memory_order_relaxed);
                                       Next();
                                     });
  }
};

double Slice(Target& target, absl::Duration length, int in_flight) {
  absl::BlockingCounter ended(in_flight);
  std::atomic<uint64_t> count{0};
  std::vector<Loop> loops(in_flight);
  const absl::Time start = absl::Now();
  for (Loop& loop : loops) {
    loop.target = &target;
    loop.until = start + length;
    loop.ended = &ended;
    loop.count = &count;
    loop.request.set_name("tenants/acme");
    loop.Next();
  }
  ended.Wait();
  return static_cast<double>(count) / absl::ToDoubleSeconds(absl::Now() - start);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int Main(int argc, char** argv) {
  const int slices = argc > 1 ? std::atoi(argv[1]) : 9;
  const absl::Duration length = absl::Seconds(argc > 2 ? std::atof(argv[2]) : 1.0);
  const int in_flight = argc > 3 ? std::atoi(argv[3]) : 64;

  SystemClock clock;
  obs::Metrics metrics;
  Workers workers("workers", 2, 64);
  Host host({.clock = &clock, .workers = &workers, .streams = &workers, .metrics = &metrics});
  Handlers handlers;
  EchoService echo(host, handlers);
  RawService raw;
  std::string folder = (std::filesystem::temp_directory_path() / "clm-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;

  std::vector<Target> targets(2);
  targets[0].name = "raw";
  targets[1].name = "skeleton";
  for (Target& target : targets) {
    const std::string address = absl::StrCat("unix:", folder, "/", target.name);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    grpc::Service* const service =
        &target == &targets[0] ? static_cast<grpc::Service*>(&raw) : &echo;
    builder.RegisterService(service);
    target.server = builder.BuildAndStart();
    target.stub = access::AccessService::NewStub(NewChannel(address));
    Slice(target, absl::Milliseconds(300), in_flight);
  }
  // The order turns round with each pair, so that a drift of the machine hits both alike.
  std::vector<double> ratios;
  for (int i = 0; i < slices; ++i) {
    double rate[2];
    for (int j = 0; j < 2; ++j) {
      const int which = (i + j) % 2;
      rate[which] = Slice(targets[which], length, in_flight);
      targets[which].rates.push_back(rate[which]);
    }
    ratios.push_back(rate[1] / rate[0]);
  }
  for (const Target& target : targets) {
    std::printf("%-9s %8.0f calls/s\n", target.name, Median(target.rates));
  }
  std::printf("ratio     %8.3f (median of %d pairs, %d in flight)\n", Median(ratios), slices,
              in_flight);
  for (Target& target : targets) target.server->Shutdown();
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace clm::rpc

int main(int argc, char** argv) { return clm::rpc::Main(argc, argv); }
