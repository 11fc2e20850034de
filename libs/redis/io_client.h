// The client that talks to a server: one connection, one I/O thread, everything that is waiting
// written in one go.
#ifndef CLM_LIBS_REDIS_IO_CLIENT_H_
#define CLM_LIBS_REDIS_IO_CLIENT_H_

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/redis/breaker.h"
#include "libs/redis/redis.h"
#include "libs/redis/transport.h"
#include "libs/redis/url.h"

namespace clm::redis {

// Members without a lock belong to the I/O thread.
class IoClient final : public Client {
 public:
  IoClient(Options options, Endpoint endpoint);
  // Calls every callback that is still waiting.
  ~IoClient() override;

  void Send(absl::Span<Request> requests) override;
  std::unique_ptr<Subscription> Subscribe(std::vector<std::string> channels,
                                          Listener listener) override;
  Stats stats() const override;

 protected:
  bool OnIoThread() const override { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  enum class State { kClosed, kConnecting, kHandshake, kReady };

  // A command on its way. A refusal that is known at once travels the same way, without `wire`.
  struct Pending {
    std::string wire;
    absl::Status refusal;
    Callback done;
    absl::Time deadline;
  };
  using Done = std::pair<Callback, absl::StatusOr<Reply>>;

  void Run();
  // Takes what was sent since the last call; false when the client ends.
  bool TakeInbox();
  void Accept(std::vector<Pending> batch);
  // Connects when that is needed, writes what can be written.
  void Advance();
  void StartConnect();
  void OnConnected();
  void BecomeReady();
  // Puts a command of the client itself on the connection.
  void SendOwn(const Args& args, Callback done);
  void WriteOut();
  void OnSocketEvent();
  void OnTime();
  // The connection is dead: what was written is lost, what waits may use the next one, unless
  // `waiting_too`.
  void Fail(const absl::Status& why, bool waiting_too);
  void WatchSocket(bool for_output);
  void FinishLater(Pending& pending, absl::StatusOr<Reply> reply);
  void RunFinished();
  int PollMillis() const;

  const Options options_;
  Resolver resolver_;
  const int epoll_;
  const int bell_;

  mutable absl::Mutex mu_;
  std::vector<Pending> inbox_ ABSL_GUARDED_BY(mu_);
  // The I/O thread looks into the inbox before it sleeps: no bell is needed.
  bool awake_ ABSL_GUARDED_BY(mu_) = true;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  State state_ = State::kClosed;
  Transport transport_;
  Breaker breaker_;
  absl::Time connect_deadline_;
  int handshake_left_ = 0;
  bool watching_output_ = false;
  std::deque<Pending> waiting_;   // Not written yet; deadlines ascend.
  std::deque<Pending> inflight_;  // Written; deadlines ascend.
  std::vector<Done> finished_;    // Answers on their way to the callers.

  std::atomic<int> pending_{0};
  std::atomic<bool> open_{false};
  std::atomic<int64_t> commands_{0};
  std::atomic<int64_t> failures_{0};
  std::atomic<int64_t> connections_{0};
  std::atomic<int64_t> breaker_opens_{0};

  std::thread thread_;  // Last: starts when everything above is made.
};

}  // namespace clm::redis

#endif  // CLM_LIBS_REDIS_IO_CLIENT_H_
