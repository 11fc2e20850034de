#include "libs/rpc/service.h"

#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_service_method.h>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::rpc {
namespace {

grpc::internal::RpcMethod::RpcType TypeOf(const google::protobuf::MethodDescriptor* method) {
  using grpc::internal::RpcMethod;
  if (method->client_streaming()) {
    return method->server_streaming() ? RpcMethod::BIDI_STREAMING : RpcMethod::CLIENT_STREAMING;
  }
  return method->server_streaming() ? RpcMethod::SERVER_STREAMING : RpcMethod::NORMAL_RPC;
}

absl::Status Fault(absl::string_view text) { return error::Precondition("SERVICE_BINDING", text); }

}  // namespace

Service::Service(Host& host, const std::string& full_name) : host_(host), full_name_(full_name) {
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(full_name);
  if (descriptor == nullptr) {
    fault_ = Fault(absl::StrCat(full_name, ": no such service"));
    return;
  }
  for (int i = 0; i < descriptor->method_count(); ++i) {
    absl::StatusOr<Method> method = ResolveMethod(descriptor->method(i), host.metrics());
    if (!method.ok()) {
      fault_.Update(method.status());
      continue;
    }
    auto slot = std::make_unique<Slot>();
    slot->method = *std::move(method);
    slot->index = static_cast<int>(slots_.size());
    AddMethod(new grpc::internal::RpcServiceMethod(slot->method.full_name.c_str(),
                                                   TypeOf(descriptor->method(i)), nullptr));
    slots_.push_back(std::move(slot));
  }
}

Service::~Service() = default;

absl::Status Service::Verify() const {
  if (!fault_.ok()) return fault_;
  for (const auto& slot : slots_) {
    if (!slot->bound) {
      return Fault(absl::StrCat(slot->method.descriptor->full_name(), ": has no handler"));
    }
  }
  return absl::OkStatus();
}

Service::Slot* Service::Find(const std::string& method, const google::protobuf::Descriptor* request,
                             const google::protobuf::Descriptor* response, bool client_streams,
                             bool server_streams) {
  for (const auto& slot : slots_) {
    const auto* descriptor = slot->method.descriptor;
    if (descriptor->name() != method) continue;
    if (slot->bound) {
      fault_.Update(Fault(absl::StrCat(descriptor->full_name(), ": is bound twice")));
      return nullptr;
    }
    if (descriptor->input_type() != request || descriptor->output_type() != response ||
        descriptor->client_streaming() != client_streams ||
        descriptor->server_streaming() != server_streams) {
      fault_.Update(Fault(absl::StrCat(descriptor->full_name(), ": its handler has other types")));
      return nullptr;
    }
    return slot.get();
  }
  fault_.Update(Fault(absl::StrCat(full_name_, ".", method, ": no such method, or no policy")));
  return nullptr;
}

void Service::BindUnary(const std::string& method, const google::protobuf::Message& request,
                        const google::protobuf::Message& response,
                        std::unique_ptr<internal::UnaryHandler> handler) {
  Slot* const slot = Find(method, request.GetDescriptor(), response.GetDescriptor(), false, false);
  if (slot == nullptr) return;
  handler->host = &host_;
  handler->method = &slot->method;
  handler->request = &request;
  handler->response = &response;
  slot->unary = std::move(handler);
  const internal::UnaryHandler* const bound = slot->unary.get();
  Install(slot, new grpc::internal::CallbackUnaryHandler<internal::RawRequest, internal::UnaryCall>(
                    [bound](grpc::CallbackServerContext* context, const internal::RawRequest* in,
                            internal::UnaryCall* call) {
                      // gRPC's request is const only to remind handlers; it is this call's own.
                      auto* const request = const_cast<internal::RawRequest*>(in);
                      return call->Start(bound, context, &request->bytes);
                    }));
}

void Service::Install(Slot* slot, grpc::internal::MethodHandler* handler) {
  slot->bound = true;
  MarkMethodCallback(slot->index, handler);
}

}  // namespace clm::rpc
