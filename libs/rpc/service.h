// A gRPC service bound to plain handlers. One line per method:
//
//   class ContactBinding : public rpc::Service {
//    public:
//     ContactBinding(rpc::Host& host, ContactHandlers& handlers)
//         : Service(host, v1::ContactService::service_full_name()) {
//       Bind("GetContact", &handlers, &ContactHandlers::GetContact);
//       Bind("CreateContact", &handlers, &ContactHandlers::CreateContact);
//     }
//   };
//
// The handler's signature chooses how it runs:
//   absl::StatusOr<Resp> (const Call&, const Req&)          on a worker; may block
//   void (const Call&, const Req&, Reply<Resp>)             inline on gRPC's thread; must not
//   block;
//                                                           answers now or later, from any thread
//   absl::Status (const Call&, const Req&, Writer<Resp>&)   server streaming, on a stream thread
//   absl::StatusOr<Resp> (const Call&, Reader<Req>&)        client streaming, on a stream thread
//
// Before a handler runs, every call has passed, in this order: load shedding, deadline,
// authentication, the policy's audience and scope, the tenant, the field rules (validator.h). A
// handler sees requests only that satisfy them. Errors leave as google.rpc.Status; an exception
// becomes INTERNAL. Calls are counted, traced and, when they fail, logged by sample.
//
// A service does not start while a method has no policy or no handler.
#ifndef CLM_LIBS_RPC_SERVICE_H_
#define CLM_LIBS_RPC_SERVICE_H_

#include <google/protobuf/descriptor.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/rpc/call.h"
#include "libs/rpc/host.h"
#include "libs/rpc/message.h"
#include "libs/rpc/method.h"
#include "libs/rpc/reply.h"
#include "libs/rpc/stream.h"
#include "libs/rpc/stream_call.h"
#include "libs/rpc/unary_call.h"

namespace clm::rpc {

namespace internal {

template <class H, class Req, class Resp>
class WorkerHandler final : public UnaryHandler {
 public:
  using Function = absl::StatusOr<Resp> (H::*)(const Call&, const Req&);
  WorkerHandler(H* handlers, Function function) : handlers_(handlers), function_(function) {}

  bool blocking() const override { return true; }
  void Invoke(UnaryCall& call, const google::protobuf::Message& request,
              google::protobuf::Message& response) const override {
    absl::Status status;
    try {
      auto result = (handlers_->*function_)(call.call(), static_cast<const Req&>(request));
      status = result.status();
      if (status.ok()) static_cast<Resp&>(response) = *std::move(result);
    } catch (...) {
      status = FromCurrentException(call.method());
    }
    call.Finish(std::move(status));
  }

 private:
  H* const handlers_;
  const Function function_;
};

template <class H, class Req, class Resp>
class InlineHandler final : public UnaryHandler {
 public:
  using Function = void (H::*)(const Call&, const Req&, Reply<Resp>);
  InlineHandler(H* handlers, Function function) : handlers_(handlers), function_(function) {}

  bool blocking() const override { return false; }
  void Invoke(UnaryCall& call, const google::protobuf::Message& request,
              google::protobuf::Message& response) const override {
    const Method& method = call.method();
    try {
      (handlers_->*function_)(call.call(), static_cast<const Req&>(request),
                              Reply<Resp>(&call, static_cast<Resp*>(&response)));
    } catch (...) {
      // The reply answered when it was destroyed.
      FromCurrentException(method).IgnoreError();
    }
  }

 private:
  H* const handlers_;
  const Function function_;
};

}  // namespace internal

// Constructed and checked before the server starts; thread-safe while it runs. Handlers and host
// must outlive the server.
class Service : public grpc::Service {
 public:
  // `full_name` is the generated service_full_name().
  Service(Host& host, const std::string& full_name);
  ~Service() override;

  // OK when every method of the service has a policy and a handler of its type.
  absl::Status Verify() const;

  // "clm.contact.v1.ContactService"
  const std::string& full_name() const { return full_name_; }

 protected:
  template <class H, class Req, class Resp>
  void Bind(const std::string& method, H* handlers,
            absl::StatusOr<Resp> (H::*function)(const Call&, const Req&)) {
    BindUnary(method, Req::default_instance(), Resp::default_instance(),
              std::make_unique<internal::WorkerHandler<H, Req, Resp>>(handlers, function));
  }

  template <class H, class Req, class Resp>
  void Bind(const std::string& method, H* handlers,
            void (H::*function)(const Call&, const Req&, Reply<Resp>)) {
    BindUnary(method, Req::default_instance(), Resp::default_instance(),
              std::make_unique<internal::InlineHandler<H, Req, Resp>>(handlers, function));
  }

  template <class H, class Req, class Resp>
  void Bind(const std::string& method, H* handlers,
            absl::Status (H::*function)(const Call&, const Req&, Writer<Resp>&)) {
    using StreamCall = internal::ServerStreamCall<Req, Resp>;
    Slot* const slot = Find(method, Req::descriptor(), Resp::descriptor(), false, true);
    if (slot == nullptr) return;
    const auto handler = std::make_shared<const typename StreamCall::Handler>(
        [handlers, function](const Call& call, const Req& request, Writer<Resp>& writer) {
          return (handlers->*function)(call, request, writer);
        });
    Install(slot, new grpc::internal::CallbackServerStreamingHandler<internal::In<Req>, Resp>(
                      [this, slot, handler](
                          grpc::CallbackServerContext* context,
                          const internal::In<Req>* in) -> grpc::ServerWriteReactor<Resp>* {
                        return new StreamCall(&host_, &slot->method, context,
                                              const_cast<internal::In<Req>*>(in), handler.get());
                      }));
  }

  template <class H, class Req, class Resp>
  void Bind(const std::string& method, H* handlers,
            absl::StatusOr<Resp> (H::*function)(const Call&, Reader<Req>&)) {
    using StreamCall = internal::ClientStreamCall<Req, Resp>;
    Slot* const slot = Find(method, Req::descriptor(), Resp::descriptor(), true, false);
    if (slot == nullptr) return;
    const auto handler = std::make_shared<const typename StreamCall::Handler>(
        [handlers, function](const Call& call, Reader<Req>& reader) {
          return (handlers->*function)(call, reader);
        });
    Install(
        slot,
        new grpc::internal::CallbackClientStreamingHandler<internal::In<Req>, Resp>(
            [this, slot, handler](grpc::CallbackServerContext* context,
                                  Resp* response) -> grpc::ServerReadReactor<internal::In<Req>>* {
              return new StreamCall(&host_, &slot->method, context, response, handler.get());
            }));
  }

 private:
  // A method of the service: resolved at construction, given its handler by Bind.
  struct Slot {
    Method method;
    int index = 0;
    bool bound = false;
    std::unique_ptr<internal::UnaryHandler> unary;
  };

  void BindUnary(const std::string& method, const google::protobuf::Message& request,
                 const google::protobuf::Message& response,
                 std::unique_ptr<internal::UnaryHandler> handler);

  // The method, if it exists with these types and is not bound yet; notes the fault otherwise.
  Slot* Find(const std::string& method, const google::protobuf::Descriptor* request,
             const google::protobuf::Descriptor* response, bool client_streams,
             bool server_streams);
  void Install(Slot* slot, grpc::internal::MethodHandler* handler);

  Host& host_;
  const std::string full_name_;
  std::vector<std::unique_ptr<Slot>> slots_;
  absl::Status fault_;
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_SERVICE_H_
