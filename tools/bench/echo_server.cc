#include "tools/bench/echo_server.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <fstream>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/rpc/service.h"

namespace clm::bench {
namespace {

grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context) {
  auto* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

class RawAccess final : public access::v1::AccessService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetTenant(grpc::CallbackServerContext* context,
                                      const access::v1::GetTenantRequest* request,
                                      access::v1::Tenant* response) override {
    response->set_name(request->name());
    return Finish(context);
  }
};

class RawContact final : public contact::v1::ContactService::CallbackService {
 public:
  // False when a file cannot be read.
  bool Load(const std::string& folder) {
    std::ifstream contact(folder + "/contact", std::ios::binary);
    std::ifstream customer(folder + "/context", std::ios::binary);
    return contact_.ParseFromIstream(&contact) && context_.ParseFromIstream(&customer);
  }
  grpc::ServerUnaryReactor* GetContact(grpc::CallbackServerContext* context,
                                       const contact::v1::GetContactRequest*,
                                       contact::v1::Contact* response) override {
    *response = contact_;
    return Finish(context);
  }
  grpc::ServerUnaryReactor* GetCustomerContext(grpc::CallbackServerContext* context,
                                               const contact::v1::GetCustomerContextRequest*,
                                               contact::v1::CustomerContext* response) override {
    *response = context_;
    return Finish(context);
  }

 private:
  contact::v1::Contact contact_;
  contact::v1::CustomerContext context_;
};

class RawProgram final : public loyalty::v1::ProgramService::CallbackService {
 public:
  // False when a file cannot be read.
  bool Load(const std::string& folder) {
    std::ifstream member(folder + "/member", std::ios::binary);
    return member_.ParseFromIstream(&member);
  }
  grpc::ServerUnaryReactor* GetMember(grpc::CallbackServerContext* context,
                                      const loyalty::v1::GetMemberRequest*,
                                      loyalty::v1::Member* response) override {
    *response = member_;
    return Finish(context);
  }

 private:
  loyalty::v1::Member member_;
};

struct SkeletonHandlers {
  void GetTenant(const rpc::Call&, const access::v1::GetTenantRequest& request,
                 rpc::Reply<access::v1::Tenant> reply) {
    reply.response().set_name(request.name());
    reply.Done();
  }
};

class Skeleton final : public rpc::Service {
 public:
  Skeleton(rpc::Host& host, SkeletonHandlers& handlers)
      : Service(host, access::v1::AccessService::service_full_name()) {
    Bind("GetTenant", &handlers, &SkeletonHandlers::GetTenant);
  }
};

int Serve(const std::string& socket, const std::vector<grpc::Service*>& services) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  for (grpc::Service* service : services) builder.RegisterService(service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  server->Wait();
  return 0;
}

}  // namespace

int ServeEcho(const std::string& kind, const std::string& folder) {
  // As in the suite's servers: the ceiling must not be lower than it can be.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const std::string socket = folder + "/" + kind + ".sock";
  if (kind == "raw") {
    RawAccess access;
    RawContact contact;
    if (!contact.Load(folder)) return 1;
    return Serve(socket, {&access, &contact});
  }
  if (kind == "raw-loyalty") {
    RawProgram program;
    return program.Load(folder) ? Serve(socket, {&program}) : 1;
  }
  if (kind != "skeleton") return 1;
  SystemClock clock;
  obs::Metrics metrics;
  rpc::Workers workers("workers", 2, 64);
  rpc::Host host({.clock = &clock, .workers = &workers, .streams = &workers, .metrics = &metrics});
  SkeletonHandlers handlers;
  Skeleton skeleton(host, handlers);
  return Serve(socket, {&skeleton});
}

}  // namespace clm::bench
