// One unary call on its way through the server. Used by service.h only.
#ifndef CLM_LIBS_RPC_UNARY_CALL_H_
#define CLM_LIBS_RPC_UNARY_CALL_H_

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
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
  // What requests and responses are made from.
  const google::protobuf::Message* request = nullptr;
  const google::protobuf::Message* response = nullptr;
};

// Answered once, from any thread.
class UnaryCall final : public Answer {
 public:
  // Handler and context live until the call is answered; the bytes are consumed.
  grpc::ServerUnaryReactor* Start(const UnaryHandler* handler, grpc::CallbackServerContext* context,
                                  grpc::ByteBuffer* request);

  void Finish(absl::Status status) override;
  void FinishBytes(std::string serialized) override;
  void MarkReplay() override { session_.MarkReplay(); }
  void Park() override { session_.Park(); }

  const Call& call() const { return session_.call(); }
  const Method& method() const { return session_.method(); }
  // The response as it goes out.
  grpc::Status Serialize(grpc::ByteBuffer* buffer, bool* own_buffer) const;

 private:
  void Continue(const absl::Status& identified, bool on_worker);
  // On a worker: the last look, then the handler.
  void Invoke();

  const UnaryHandler* handler_ = nullptr;
  std::unique_ptr<google::protobuf::Message> request_;
  std::unique_ptr<google::protobuf::Message> response_;
  bool malformed_ = false;
  grpc::ServerUnaryReactor* reactor_ = nullptr;
  Session session_;
  // The response, when it was given as bytes.
  std::optional<grpc::ByteBuffer> bytes_;
};

}  // namespace clm::rpc::internal

#endif  // CLM_LIBS_RPC_UNARY_CALL_H_
