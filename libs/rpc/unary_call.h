// One unary call on its way through the server. Used by service.h only.
#ifndef CLM_LIBS_RPC_UNARY_CALL_H_
#define CLM_LIBS_RPC_UNARY_CALL_H_

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "libs/rpc/reply.h"
#include "libs/rpc/session.h"

namespace clm::rpc::internal {

class UnaryCall;

// A bound handler, as the call sees it.
class UnaryHandler {
 public:
  virtual ~UnaryHandler() = default;
  // True when the handler may block and so runs on a worker.
  virtual bool blocking() const = 0;
  // Runs the handler; `request` and `response` are of the types it was bound with.
  virtual void Invoke(UnaryCall& call, const google::protobuf::Message& request,
                      google::protobuf::Message& response) const = 0;

  Host* host = nullptr;
  const Method* method = nullptr;
};

// Answered once, from any thread.
class UnaryCall final : public Answer {
 public:
  // Everything passed in lives until the call is answered.
  grpc::ServerUnaryReactor* Start(const UnaryHandler* handler, grpc::CallbackServerContext* context,
                                  google::protobuf::Message* request, bool malformed,
                                  google::protobuf::Message* response);

  void Finish(absl::Status status) override;
  void FinishBytes(std::string serialized) override;
  void MarkReplay() override { session_.MarkReplay(); }
  void Park() override { session_.Park(); }

  const Call& call() const { return session_.call(); }
  const Method& method() const { return session_.method(); }
  // The response, when it was given as bytes; nullptr otherwise.
  const grpc::ByteBuffer* bytes() const { return bytes_ ? &*bytes_ : nullptr; }

 private:
  void Continue(const absl::Status& identified, bool on_worker);
  // On a worker: the last look, then the handler.
  void Invoke();

  const UnaryHandler* handler_ = nullptr;
  google::protobuf::Message* request_ = nullptr;
  google::protobuf::Message* response_ = nullptr;
  bool malformed_ = false;
  grpc::ServerUnaryReactor* reactor_ = nullptr;
  Session session_;
  std::optional<grpc::ByteBuffer> bytes_;
};

}  // namespace clm::rpc::internal

#endif  // CLM_LIBS_RPC_UNARY_CALL_H_
