#include "libs/rpc/unary_call.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/serialization_traits.h>

#include <utility>

namespace clm::rpc::internal {
namespace {

using Traits = grpc::SerializationTraits<google::protobuf::Message>;

}  // namespace

grpc::ServerUnaryReactor* UnaryCall::Start(const UnaryHandler* handler,
                                           grpc::CallbackServerContext* context,
                                           grpc::ByteBuffer* request) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  handler_ = handler;
  request_.reset(handler->request->New());
  response_.reset(handler->response->New());
  malformed_ = !Traits::Deserialize(request, request_.get()).ok();
  reactor_ = reactor;
  session_.Open(handler->host, handler->method, context);
  if (absl::Status status = session_.Admit(); !status.ok()) {
    Finish(std::move(status));
    return reactor;
  }
  if (const auto identified = session_.Identify(); identified.has_value()) {
    Continue(*identified, false);
  } else if (!handler->host->workers().Post(
                 [this] { Continue(session_.IdentifySlowly(), true); })) {
    Finish(session_.Shed("QUEUE_FULL"));
  }
  return reactor;
}

void UnaryCall::Continue(const absl::Status& identified, bool on_worker) {
  absl::Status status = identified.ok() ? session_.Check(*request_, malformed_) : identified;
  if (!status.ok()) return Finish(std::move(status));
  if (on_worker) return Invoke();
  if (!handler_->blocking() && session_.TenantFound()) {
    return handler_->Invoke(*this, *request_, *response_);
  }
  const bool posted = handler_->host->workers().Post([this] {
    if (absl::Status wanted = session_.StillWanted(); !wanted.ok()) return Finish(wanted);
    Invoke();
  });
  if (!posted) Finish(session_.Shed("QUEUE_FULL"));
}

void UnaryCall::Invoke() {
  if (absl::Status found = session_.FindTenant(); !found.ok()) return Finish(std::move(found));
  handler_->Invoke(*this, *request_, *response_);
}

void UnaryCall::Finish(absl::Status status) {
  if (absl::IsInvalidArgument(status) && !malformed_) {
    status =
        session_.method().validator->Complete(*request_, std::move(status), session_.call().now);
  }
  // This object may be gone as soon as the reactor has been told.
  grpc::ServerUnaryReactor* const reactor = reactor_;
  reactor->Finish(session_.Close(status));
}

void UnaryCall::FinishBytes(std::string serialized) {
  const grpc::Slice slice(serialized);
  bytes_.emplace(&slice, 1);
  Finish(absl::OkStatus());
}

grpc::Status UnaryCall::Serialize(grpc::ByteBuffer* buffer, bool* own_buffer) const {
  if (!bytes_) return Traits::Serialize(*response_, buffer, own_buffer);
  *buffer = *bytes_;
  *own_buffer = true;
  return grpc::Status::OK;
}

}  // namespace clm::rpc::internal
