#include "libs/redis/redis.h"

#include <openssl/sha.h>

#include <atomic>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "libs/base/error.h"
#include "libs/redis/transport.h"
#include "libs/redis/url.h"

namespace clm::redis {
namespace {

absl::Status WouldWaitForItself() {
  return error::Internal("redis: a blocking call inside a callback");
}

Args EvalArgs(const char* verb, const std::string& script, const std::vector<std::string>& keys,
              const std::vector<std::string>& args) {
  Args command{verb, script, absl::StrCat(keys.size())};
  command.insert(command.end(), keys.begin(), keys.end());
  command.insert(command.end(), args.begin(), args.end());
  return command;
}

bool IsNoScript(const absl::StatusOr<Reply>& reply) {
  return !reply.ok() && error::MetadataValue(reply.status(), "code") == "NOSCRIPT";
}

class NoSubscription final : public Subscription {};

// Answers on a thread of its own, as the contract says that `done` is not called inside Send.
class AbsentClient final : public Client {
 public:
  void Send(absl::Span<Request> requests) override {
    failures_ += requests.size();
    auto waiting = std::make_shared<std::vector<Request>>();
    for (Request& request : requests) waiting->push_back(std::move(request));
    absl::MutexLock lock(&mu_);
    queue_.push_back(std::move(waiting));
    if (!thread_.joinable()) thread_ = std::thread(&AbsentClient::Run, this);
  }

  ~AbsentClient() override {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  std::unique_ptr<Subscription> Subscribe(std::vector<std::string>, Listener) override {
    return std::make_unique<NoSubscription>();
  }

  Stats stats() const override { return {.failures = failures_, .breaker_open = true}; }

 protected:
  bool OnIoThread() const override {
    absl::MutexLock lock(&mu_);
    return thread_.get_id() == std::this_thread::get_id();
  }

 private:
  using Batch = std::shared_ptr<std::vector<Request>>;

  void Run() {
    while (true) {
      std::vector<Batch> batches;
      {
        absl::MutexLock lock(&mu_);
        const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
          return stopping_ || !queue_.empty();
        };
        mu_.Await(absl::Condition(&ready));
        batches.swap(queue_);
        if (batches.empty()) return;
      }
      for (const Batch& batch : batches) {
        for (Request& request : *batch) request.done(Unreachable("not configured"));
      }
    }
  }

  mutable absl::Mutex mu_;
  std::vector<Batch> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mu_);
  std::atomic<int64_t> failures_{0};
};

}  // namespace

Script::Script(absl::string_view source) : source_(source) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(source.data()), source.size(), digest);
  sha_ = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

void Client::CommandAsync(Args args, Callback done) {
  Request request{std::move(args), std::move(done)};
  Send(absl::MakeSpan(&request, 1));
}

void Client::PipelineAsync(std::vector<Args> commands, PipelineCallback done) {
  struct State {
    Replies replies;
    size_t waiting;
    PipelineCallback done;
  };
  auto state = std::make_shared<State>(State{
      Replies(commands.size(), absl::StatusOr<Reply>(Reply())), commands.size(), std::move(done)});
  // An empty pipeline has no command to answer for it.
  if (commands.empty()) {
    CommandAsync({"PING"}, [state](const absl::StatusOr<Reply>&) { state->done({}); });
    return;
  }
  std::vector<Request> requests;
  requests.reserve(commands.size());
  for (size_t i = 0; i < commands.size(); ++i) {
    requests.push_back({std::move(commands[i]), [state, i](absl::StatusOr<Reply> reply) {
                          state->replies[i] = std::move(reply);
                          if (--state->waiting == 0) state->done(std::move(state->replies));
                        }});
  }
  Send(absl::MakeSpan(requests));
}

void Client::EvalAsync(const Script& script, std::vector<std::string> keys,
                       std::vector<std::string> args, Callback done) {
  Args by_sha = EvalArgs("EVALSHA", script.sha(), keys, args);
  CommandAsync(std::move(by_sha), [this, &script, keys = std::move(keys), args = std::move(args),
                                   done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
    // The server ran nothing when it did not know the script.
    if (!IsNoScript(reply)) {
      done(std::move(reply));
      return;
    }
    CommandAsync(EvalArgs("EVAL", script.source(), keys, args), std::move(done));
  });
}

void Client::PublishAsync(std::string channel, std::string payload) {
  CommandAsync({"PUBLISH", std::move(channel), std::move(payload)},
               [](const absl::StatusOr<Reply>&) {});
}

absl::StatusOr<Reply> Client::Command(Args args) {
  if (OnIoThread()) return WouldWaitForItself();
  absl::Notification answered;
  absl::StatusOr<Reply> result;
  CommandAsync(std::move(args), [&](absl::StatusOr<Reply> reply) {
    result = std::move(reply);
    answered.Notify();
  });
  answered.WaitForNotification();
  return result;
}

Client::Replies Client::Pipeline(std::vector<Args> commands) {
  if (OnIoThread()) return Replies(commands.size(), WouldWaitForItself());
  if (commands.empty()) return {};
  absl::Notification answered;
  Replies result;
  PipelineAsync(std::move(commands), [&](Replies replies) {
    result = std::move(replies);
    answered.Notify();
  });
  answered.WaitForNotification();
  return result;
}

absl::StatusOr<Reply> Client::Eval(const Script& script, std::vector<std::string> keys,
                                   std::vector<std::string> args) {
  if (OnIoThread()) return WouldWaitForItself();
  absl::Notification answered;
  absl::StatusOr<Reply> result;
  EvalAsync(script, std::move(keys), std::move(args), [&](absl::StatusOr<Reply> reply) {
    result = std::move(reply);
    answered.Notify();
  });
  answered.WaitForNotification();
  return result;
}

absl::Status Client::Publish(std::string channel, std::string payload) {
  return Command({"PUBLISH", std::move(channel), std::move(payload)}).status();
}

std::unique_ptr<Client> NewAbsentClient() { return std::make_unique<AbsentClient>(); }

absl::Status CheckUrl(absl::string_view url) { return ParseUrl(url).status(); }

}  // namespace clm::redis
