// The right to answer one call, once, from any thread.
#ifndef CLM_LIBS_RPC_REPLY_H_
#define CLM_LIBS_RPC_REPLY_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/base/error.h"

namespace clm::rpc {

// Where an answer goes. Ends its own life with Finish or FinishBytes.
class Answer {
 public:
  virtual ~Answer() = default;
  virtual void Finish(absl::Status status) = 0;
  virtual void FinishBytes(std::string serialized) = 0;
  virtual void MarkReplay() {}
  virtual void Park() {}
};

// Move-only. The request, the Call and response() stay valid until the call is answered; afterwards
// nothing of them may be touched. A reply that is destroyed unused answers UNAVAILABLE, because
// whether there was an effect is then unknown. Not thread-safe itself: it belongs to whoever holds
// it.
template <class Resp>
class Reply {
 public:
  Reply(Answer* answer, Resp* response) : answer_(answer), response_(response) {}
  Reply(Reply&& other) noexcept
      : answer_(std::exchange(other.answer_, nullptr)), response_(other.response_) {}
  Reply& operator=(Reply&& other) noexcept {
    if (this != &other) {
      Drop();
      answer_ = std::exchange(other.answer_, nullptr);
      response_ = other.response_;
    }
    return *this;
  }
  ~Reply() { Drop(); }

  // A reply that calls `done` instead of a client: for tests of handlers.
  static Reply To(std::function<void(absl::StatusOr<Resp>)> done) {
    auto* answer = new Callback(std::move(done));
    return Reply(answer, &answer->response);
  }

  // Answers with a response or an error.
  void operator()(absl::StatusOr<Resp> result) {
    absl::Status status = result.status();
    if (status.ok()) *response_ = *std::move(result);
    std::exchange(answer_, nullptr)->Finish(std::move(status));
  }

  // The response in place, to be filled before Done().
  Resp& response() { return *response_; }
  void Done() { std::exchange(answer_, nullptr)->Finish(absl::OkStatus()); }

  // Answers with a response that is serialized already (a cached one, a recorded one): the bytes go
  // out as they are.
  void Bytes(std::string serialized) {
    std::exchange(answer_, nullptr)->FinishBytes(std::move(serialized));
  }
  // The same for what Mutate and the like return.
  void Bytes(absl::StatusOr<std::string> serialized) {
    if (serialized.ok()) return Bytes(*std::move(serialized));
    std::exchange(answer_, nullptr)->Finish(serialized.status());
  }

  // Tells the caller that this is the recorded answer of an earlier call: trailing metadata
  // clm-idempotent-replay: 1. Before answering.
  void MarkReplay() { answer_->MarkReplay(); }

  // For a long poll that is going to wait: the call stops counting as load.
  void Park() { answer_->Park(); }

 private:
  struct Callback : Answer {
    explicit Callback(std::function<void(absl::StatusOr<Resp>)> fn) : done(std::move(fn)) {}
    void Finish(absl::Status status) override {
      const std::unique_ptr<Callback> self(this);
      if (status.ok()) {
        done(std::move(response));
      } else {
        done(std::move(status));
      }
    }
    void FinishBytes(std::string serialized) override {
      Finish(response.ParseFromString(serialized) ? absl::OkStatus()
                                                  : error::Internal("answer does not parse"));
    }
    std::function<void(absl::StatusOr<Resp>)> done;
    Resp response;
  };

  void Drop() {
    if (answer_ != nullptr) {
      std::exchange(answer_, nullptr)
          ->Finish(error::Unavailable("UNANSWERED", "the server dropped the call; repeat it",
                                      absl::Milliseconds(100)));
    }
  }

  Answer* answer_;
  Resp* response_;
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_REPLY_H_
