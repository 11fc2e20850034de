// Redis for the whole suite: commands, pipelines, scripts and channels. hiredis ends in this
// library. Redis is a cache and a bell, never the truth: every failure is a quick UNAVAILABLE
// status, and a client starts and lives without a server.
#ifndef CLM_LIBS_REDIS_REDIS_H_
#define CLM_LIBS_REDIS_REDIS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace clm::redis {

// A command and its arguments, binary safe: {"SET", key, value}.
using Args = std::vector<std::string>;

// What Redis answered. Immutable once made.
class Reply {
 public:
  struct Nil {
    friend bool operator==(const Nil&, const Nil&) = default;
  };
  // An error inside an array; an error that is the whole answer is a status instead.
  struct Error {
    std::string text;
    friend bool operator==(const Error&, const Error&) = default;
  };
  using Array = std::vector<Reply>;

  Reply() = default;
  explicit Reply(int64_t value) : value_(value) {}
  explicit Reply(std::string value) : value_(std::move(value)) {}
  explicit Reply(Error value) : value_(std::move(value)) {}
  explicit Reply(Array value) : value_(std::move(value)) {}

  bool IsNil() const { return std::holds_alternative<Nil>(value_); }
  // Null when the reply is of another kind. Status lines ("OK") are strings.
  const int64_t* AsInteger() const { return std::get_if<int64_t>(&value_); }
  const std::string* AsString() const { return std::get_if<std::string>(&value_); }
  std::string* AsString() { return std::get_if<std::string>(&value_); }
  const Error* AsError() const { return std::get_if<Error>(&value_); }
  const Array* AsArray() const { return std::get_if<Array>(&value_); }
  Array* AsArray() { return std::get_if<Array>(&value_); }

  friend bool operator==(const Reply&, const Reply&) = default;

 private:
  std::variant<Nil, int64_t, std::string, Error, Array> value_;
};

// A Lua script that is sent by its digest, and in full only to a server that does not know it.
// Immutable, thread-safe; make one per script and keep it.
class Script {
 public:
  explicit Script(absl::string_view source);
  const std::string& source() const { return source_; }
  const std::string& sha() const { return sha_; }  // 40 hexadecimal digits.

 private:
  std::string source_;
  std::string sha_;
};

// Listens until it is destroyed; the destructor waits for a callback that is running.
class Subscription {
 public:
  virtual ~Subscription() = default;
};

struct Message {
  std::string channel;
  std::string payload;
};

// Called on the subscription's own thread.
struct Listener {
  std::function<void(const Message&)> on_message;
  // The subscription is live (again): what was published before this may have been missed.
  // Optional.
  std::function<void()> on_live;
};

// Thread-safe. Every command is sent at most once: nothing is retried here, because nobody here
// knows what may be repeated. Statuses: UNAVAILABLE (reason REDIS_UNAVAILABLE) when there is no
// answer, within connect_timeout + command_timeout and at once while the breaker is open;
// the outcome of the command is then unknown. UNAVAILABLE (REDIS_NOT_READY) when the server says
// it is loading, out of memory or read-only. INTERNAL (REDIS_ERROR) for any other error reply,
// with its first word as the metadata value "code". INVALID_ARGUMENT for a command that would
// change the state of the shared connection or block it (SELECT, MULTI, SUBSCRIBE, BLPOP and the
// like; what must be atomic is a script).
class Client {
 public:
  using Callback = absl::AnyInvocable<void(absl::StatusOr<Reply>)>;
  using Replies = std::vector<absl::StatusOr<Reply>>;
  using PipelineCallback = absl::AnyInvocable<void(Replies)>;

  struct Request {
    Args args;
    Callback done;
  };

  struct Stats {
    int64_t commands = 0;       // Answered by Redis.
    int64_t failures = 0;       // Not answered: refused, timed out, connection lost.
    int64_t connections = 0;    // Established.
    int64_t breaker_opens = 0;  // How often the breaker opened.
    bool breaker_open = false;  // Right now.
  };

  virtual ~Client() = default;

  // Never blocks. `done` of each request is called exactly once, never from inside this call but
  // on the client's I/O thread, so it must be short and must not use the blocking forms below.
  // The requests reach the server in order, with no other command between them.
  virtual void Send(absl::Span<Request> requests) = 0;
  virtual std::unique_ptr<Subscription> Subscribe(std::vector<std::string> channels,
                                                  Listener listener) = 0;
  virtual Stats stats() const = 0;

  // Send in the shapes that are wanted.
  void CommandAsync(Args args, Callback done);
  void PipelineAsync(std::vector<Args> commands, PipelineCallback done);
  // `script` must outlive the call's end.
  void EvalAsync(const Script& script, std::vector<std::string> keys, std::vector<std::string> args,
                 Callback done);
  // Best effort: a doorbell that is lost costs its listener a poll interval.
  void PublishAsync(std::string channel, std::string payload);

  // The same, waiting for the answer.
  absl::StatusOr<Reply> Command(Args args);
  Replies Pipeline(std::vector<Args> commands);
  absl::StatusOr<Reply> Eval(const Script& script, std::vector<std::string> keys,
                             std::vector<std::string> args);
  absl::Status Publish(std::string channel, std::string payload);

 protected:
  // True on the thread that runs callbacks, where waiting for an answer would be for ever.
  virtual bool OnIoThread() const = 0;
};

struct Options {
  // unix:///path/redis.sock[?db=1], redis://[user[:password]@]host[:port][/db].
  std::string url;
  absl::Duration connect_timeout = absl::Milliseconds(20);
  // From the moment the command is written.
  absl::Duration command_timeout = absl::Milliseconds(10);
  // The breaker opens after this many connections failed within the window (the commands that are
  // lost with one connection are one failure), and then one PING per `probe_interval` finds out
  // whether the server is back.
  int breaker_errors = 5;
  absl::Duration breaker_window = absl::Seconds(1);
  absl::Duration probe_interval = absl::Milliseconds(500);
  // Commands that wait for an answer; more are refused.
  int max_pending = 20000;
};

// One connection, shared by all callers through one I/O thread that writes whatever is waiting in
// one go (redis_bench compares). Connects at the first command. INVALID_ARGUMENT for a bad `url`.
absl::StatusOr<std::unique_ptr<Client>> NewClient(Options options);

// For a suite that is configured without Redis: everything is UNAVAILABLE.
std::unique_ptr<Client> NewAbsentClient();

// INVALID_ARGUMENT on `redis_url` naming the fault.
absl::Status CheckUrl(absl::string_view url);

}  // namespace clm::redis

#endif  // CLM_LIBS_REDIS_REDIS_H_
