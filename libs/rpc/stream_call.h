// Streams on their way through the server: the blocking ends of stream.h over gRPC's reactors. Used
// by service.h only.
#ifndef CLM_LIBS_RPC_STREAM_CALL_H_
#define CLM_LIBS_RPC_STREAM_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "libs/rpc/message.h"
#include "libs/rpc/session.h"
#include "libs/rpc/stream.h"

namespace clm::rpc::internal {

// How often a waiting end looks whether the server drains.
inline constexpr absl::Duration kStreamPoll = absl::Milliseconds(100);

// Identification of a call that already runs where blocking is allowed.
inline absl::Status IdentifyBlocking(Session& session) {
  const auto identified = session.Identify();
  return identified.has_value() ? *identified : session.IdentifySlowly();
}

// Deletes itself when the call is done.
template <class Req, class Resp>
class ServerStreamCall final : public grpc::ServerWriteReactor<Resp>, public Writer<Resp> {
 public:
  using Handler = std::function<absl::Status(const Call&, const Req&, Writer<Resp>&)>;

  ServerStreamCall(Host* host, const Method* method, grpc::CallbackServerContext* context,
                   In<Req>* in, const Handler* handler)
      : context_(context), in_(in), handler_(handler) {
    session_.Open(host, method, context);
    session_.AdmitStream();
    if (!host->streams().Post([this] { Run(); })) {
      this->Finish(session_.Close(session_.Shed("STREAMS_FULL")));
    }
  }

  bool Write(Resp message) override {
    absl::MutexLock lock(&mu_);
    if (!Settle() || !open()) return false;
    message_ = std::move(message);
    writing_ = true;
    this->StartWrite(&message_);
    return true;
  }

  bool open() const override {
    return !failed_ && !session_.host().draining() && !context_->IsCancelled() &&
           absl::Now() < session_.call().deadline;
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    if (!ok) failed_ = true;
  }
  void OnDone() override { delete this; }

 private:
  void Run() {
    absl::Status status = IdentifyBlocking(session_);
    if (status.ok()) status = session_.Check(in_->message, in_->malformed);
    if (status.ok()) status = session_.FindTenant();
    if (status.ok()) status = session_.StillWanted();
    if (status.ok()) {
      try {
        status = (*handler_)(session_.call(), in_->message, *this);
      } catch (...) {
        status = FromCurrentException(session_.method());
      }
    }
    {
      absl::MutexLock lock(&mu_);
      // gRPC ends a write that the caller does not take only when the call is cancelled.
      if (!Settle()) context_->TryCancel();
      mu_.Await(absl::Condition(this, &ServerStreamCall::IsSettled));
    }
    this->Finish(session_.Close(status));
  }

  bool IsSettled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !writing_; }

  // Waits until no write is under way; false when the stream ended instead.
  bool Settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    while (writing_) {
      mu_.AwaitWithTimeout(absl::Condition(this, &ServerStreamCall::IsSettled), kStreamPoll);
      if (writing_ && (context_->IsCancelled() || absl::Now() >= session_.call().deadline)) {
        return false;
      }
    }
    return true;
  }

  grpc::CallbackServerContext* const context_;
  In<Req>* const in_;
  const Handler* const handler_;
  mutable Session session_;
  absl::Mutex mu_;
  Resp message_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  std::atomic<bool> failed_{false};
};

// Deletes itself when the call is done.
template <class Req, class Resp>
class ClientStreamCall final : public grpc::ServerReadReactor<In<Req>>, public Reader<Req> {
 public:
  using Handler = std::function<absl::StatusOr<Resp>(const Call&, Reader<Req>&)>;

  ClientStreamCall(Host* host, const Method* method, grpc::CallbackServerContext* context,
                   Resp* response, const Handler* handler)
      : context_(context), response_(response), handler_(handler) {
    session_.Open(host, method, context);
    session_.AdmitStream();
    if (!host->streams().Post([this] { Run(); })) {
      this->Finish(session_.Close(session_.Shed("STREAMS_FULL")));
    }
  }

  bool Read(Req* message) override {
    if (!status_.ok()) return false;
    if (!std::exchange(first_is_here_, false)) {
      if (!ReadNext()) return false;
      status_ = session_.CheckNext(in_.message, in_.malformed);
      if (!status_.ok()) return false;
    }
    *message = std::move(in_.message);
    return true;
  }

  absl::Status status() const override { return status_; }

  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    if (!ok) ended_ = true;
  }
  void OnDone() override { delete this; }

 private:
  void Run() {
    absl::Status status = IdentifyBlocking(session_);
    if (status.ok() && !ReadNext()) {
      status = !status_.ok() ? status_
                             : error::Make(absl::StatusCode::kInvalidArgument, "EMPTY_STREAM",
                                           "request: the stream has no message");
    }
    if (status.ok()) status = session_.Check(in_.message, in_.malformed);
    if (status.ok()) status = session_.FindTenant();
    if (status.ok()) {
      first_is_here_ = true;
      try {
        absl::StatusOr<Resp> result = (*handler_)(session_.call(), *this);
        status = result.status();
        if (status.ok()) *response_ = *std::move(result);
      } catch (...) {
        status = FromCurrentException(session_.method());
      }
      // A handler that overlooked a failed read must not answer OK.
      if (status.ok()) status = status_;
    }
    this->Finish(session_.Close(status));
  }

  // The next message into in_; false at the end, or with status_ set.
  bool ReadNext() {
    absl::MutexLock lock(&mu_);
    if (ended_) return false;
    in_.message.Clear();
    reading_ = true;
    this->StartRead(&in_);
    const auto arrived = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !reading_; };
    while (!mu_.AwaitWithTimeout(absl::Condition(&arrived), kStreamPoll)) {
      if (session_.host().draining()) {
        status_ = error::Unavailable("DRAINING", "the server is stopping; repeat the call",
                                     absl::Milliseconds(100));
      } else if (absl::Now() >= session_.call().deadline) {
        status_ = session_.StillWanted();
      }
      if (!status_.ok()) {
        // gRPC ends the read when the call is cancelled; the message must not be touched before.
        ended_ = true;
        context_->TryCancel();
        mu_.Await(absl::Condition(&arrived));
        return false;
      }
    }
    if (ended_ && context_->IsCancelled()) status_ = session_.StillWanted();
    return !ended_;
  }

  grpc::CallbackServerContext* const context_;
  Resp* const response_;
  const Handler* const handler_;
  Session session_;
  absl::Status status_;
  bool first_is_here_ = false;
  In<Req> in_;
  absl::Mutex mu_;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace clm::rpc::internal

#endif  // CLM_LIBS_RPC_STREAM_CALL_H_
