#include "libs/redis/io_client.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/redis/subscription.h"

namespace clm::redis {
namespace {

// Of the steady clock; comparable among themselves only.
absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// Commands that change what the shared connection is, or that keep it waiting.
bool IsForbidden(const std::string& verb) {
  static const auto& forbidden = *new absl::flat_hash_set<std::string>{
      "AUTH",       "BLMOVE",    "BLMPOP",       "BLPOP",       "BRPOP",   "BRPOPLPUSH", "BZMPOP",
      "BZPOPMAX",   "BZPOPMIN",  "DISCARD",      "EXEC",        "HELLO",   "MONITOR",    "MULTI",
      "PSUBSCRIBE", "PSYNC",     "PUNSUBSCRIBE", "QUIT",        "RESET",   "SELECT",     "SHUTDOWN",
      "SSUBSCRIBE", "SUBSCRIBE", "SYNC",         "UNSUBSCRIBE", "UNWATCH", "WAIT",       "WATCH"};
  return forbidden.contains(absl::AsciiStrToUpper(verb));
}

absl::Status CheckArgs(const Args& args) {
  if (args.empty()) return error::InvalidField("args", "a command needs a name");
  if (IsForbidden(args[0])) {
    return error::InvalidField("args", "a command that a shared connection cannot run");
  }
  return absl::OkStatus();
}

}  // namespace

IoClient::IoClient(Options options, Endpoint endpoint)
    : options_(std::move(options)),
      resolver_(std::move(endpoint)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      breaker_(options_.breaker_errors, options_.breaker_window, options_.probe_interval) {
  // Edge-triggered: every write to the bell is an event, and nobody needs to read it.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = bell_}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, bell_, &event);
  thread_ = std::thread(&IoClient::Run, this);
}

IoClient::~IoClient() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  eventfd_write(bell_, 1);
  thread_.join();
  transport_.Close();
  close(bell_);
  close(epoll_);
}

void IoClient::Send(absl::Span<Request> requests) {
  std::vector<Pending> batch;
  batch.reserve(requests.size());
  const bool full = pending_ + static_cast<int>(requests.size()) > options_.max_pending;
  for (Request& request : requests) {
    Pending& pending = batch.emplace_back();
    pending.done = std::move(request.done);
    pending.refusal = CheckArgs(request.args);
    if (!pending.refusal.ok()) continue;
    if (open_) {
      pending.refusal = Unreachable("not answering");
    } else if (full) {
      pending.refusal = Unreachable("too many commands are waiting");
    } else {
      pending.wire = Encode(request.args);
    }
  }
  pending_ += static_cast<int>(batch.size());
  const absl::Time deadline = SteadyNow() + options_.connect_timeout + options_.command_timeout;
  bool ring;
  {
    absl::MutexLock lock(&mu_);
    for (Pending& pending : batch) {
      pending.deadline = deadline;
      inbox_.push_back(std::move(pending));
    }
    ring = !std::exchange(awake_, true);
  }
  if (ring) eventfd_write(bell_, 1);
}

std::unique_ptr<Subscription> IoClient::Subscribe(std::vector<std::string> channels,
                                                  Listener listener) {
  return NewSubscription(resolver_.endpoint(), std::move(channels), std::move(listener));
}

Client::Stats IoClient::stats() const {
  return {.commands = commands_,
          .failures = failures_,
          .connections = connections_,
          .breaker_opens = breaker_opens_,
          .breaker_open = open_};
}

void IoClient::Run() {
  while (TakeInbox()) {
    Advance();
    RunFinished();
    int timeout = 0;
    {
      absl::MutexLock lock(&mu_);
      if (inbox_.empty() && !stopping_) {
        awake_ = false;
        timeout = PollMillis();
      }
    }
    epoll_event events[2];
    const int count = epoll_wait(epoll_, events, 2, timeout);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd != bell_ && events[i].data.fd == transport_.fd()) OnSocketEvent();
    }
    OnTime();
    RunFinished();
  }
  // A last callback may still send; that is answered too.
  do {
    Fail(Unreachable("the client ends"), /*waiting_too=*/true);
    RunFinished();
    TakeInbox();
  } while (!waiting_.empty() || !finished_.empty());
}

bool IoClient::TakeInbox() {
  std::vector<Pending> batch;
  bool stopping;
  {
    absl::MutexLock lock(&mu_);
    awake_ = true;
    batch.swap(inbox_);
    stopping = stopping_;
  }
  Accept(std::move(batch));
  return !stopping;
}

void IoClient::Accept(std::vector<Pending> batch) {
  for (Pending& pending : batch) {
    if (!pending.refusal.ok()) {
      FinishLater(pending, pending.refusal);
    } else if (breaker_.open()) {
      FinishLater(pending, Unreachable("not answering"));
    } else {
      waiting_.push_back(std::move(pending));
    }
  }
}

void IoClient::Advance() {
  if (state_ == State::kClosed && !waiting_.empty()) StartConnect();
  if (state_ != State::kReady || breaker_.open() || waiting_.empty()) return;
  const absl::Time deadline = SteadyNow() + options_.command_timeout;
  for (Pending& pending : waiting_) {
    transport_.Append(pending.wire);
    pending.wire.clear();
    pending.deadline = deadline;
    inflight_.push_back(std::move(pending));
  }
  waiting_.clear();
  WriteOut();
}

void IoClient::StartConnect() {
  if (const absl::Status status = transport_.StartConnect(resolver_.Next()); !status.ok()) {
    Fail(status, /*waiting_too=*/true);
    return;
  }
  state_ = State::kConnecting;
  connect_deadline_ = SteadyNow() + options_.connect_timeout;
  watching_output_ = true;
  epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.fd = transport_.fd()}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, transport_.fd(), &event);
}

void IoClient::OnConnected() {
  if (const absl::Status status = transport_.FinishConnect(); !status.ok()) {
    Fail(status, /*waiting_too=*/true);
    return;
  }
  ++connections_;
  state_ = State::kHandshake;
  const std::vector<Args> handshake = Handshake(resolver_.endpoint());
  handshake_left_ = static_cast<int>(handshake.size());
  for (const Args& args : handshake) {
    SendOwn(args, [this](const absl::StatusOr<Reply>& reply) {
      // A connection that died has already told.
      if (state_ != State::kHandshake) return;
      if (!reply.ok()) {
        Fail(Unreachable("user, password or database refused"), /*waiting_too=*/true);
      } else if (--handshake_left_ == 0) {
        BecomeReady();
      }
    });
  }
  if (handshake.empty()) BecomeReady();
  WriteOut();
}

void IoClient::BecomeReady() {
  state_ = State::kReady;
  if (!breaker_.open()) return;
  SendOwn({"PING"}, [this](const absl::StatusOr<Reply>& reply) {
    if (state_ != State::kReady) return;
    if (reply.ok()) {
      breaker_.Close();
      open_ = false;
    } else {
      Fail(reply.status(), /*waiting_too=*/true);
    }
  });
  WriteOut();
}

void IoClient::SendOwn(const Args& args, Callback done) {
  transport_.Append(Encode(args));
  ++pending_;
  inflight_.push_back(
      {.done = std::move(done), .deadline = SteadyNow() + options_.command_timeout});
}

void IoClient::WriteOut() {
  if (state_ == State::kClosed) return;
  if (const absl::Status status = transport_.Write(); !status.ok()) {
    Fail(status, /*waiting_too=*/false);
    return;
  }
  WatchSocket(transport_.HasOutput());
}

void IoClient::WatchSocket(bool for_output) {
  if (for_output == watching_output_) return;
  watching_output_ = for_output;
  const uint32_t wanted = for_output ? EPOLLIN | EPOLLOUT : EPOLLIN;
  epoll_event event{.events = wanted, .data = {.fd = transport_.fd()}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, transport_.fd(), &event);
}

void IoClient::OnSocketEvent() {
  if (state_ == State::kConnecting) {
    OnConnected();
    return;
  }
  const absl::Status status = transport_.Read([this](absl::StatusOr<Reply> reply) {
    // More replies than commands: nothing can be trusted any more, and the timeout ends it.
    if (inflight_.empty()) return;
    FinishLater(inflight_.front(), std::move(reply));
    inflight_.pop_front();
  });
  if (!status.ok()) {
    Fail(status, /*waiting_too=*/false);
    return;
  }
  if (watching_output_) WriteOut();
}

void IoClient::OnTime() {
  const absl::Time now = SteadyNow();
  if (state_ == State::kConnecting && now >= connect_deadline_) {
    Fail(Unreachable("no connection in time"), /*waiting_too=*/true);
  }
  if (!inflight_.empty() && now >= inflight_.front().deadline) {
    Fail(Unreachable("no answer in time"), /*waiting_too=*/false);
  }
  while (!waiting_.empty() && now >= waiting_.front().deadline) {
    FinishLater(waiting_.front(), Unreachable("no connection in time"));
    waiting_.pop_front();
  }
  if (breaker_.open() && state_ == State::kClosed && now >= breaker_.next_probe()) StartConnect();
}

void IoClient::Fail(const absl::Status& why, bool waiting_too) {
  // Closing the socket takes it out of the epoll set.
  transport_.Close();
  state_ = State::kClosed;
  for (Pending& pending : inflight_) FinishLater(pending, why);
  inflight_.clear();
  if (breaker_.OnError(SteadyNow())) {
    open_ = true;
    ++breaker_opens_;
  }
  if (!waiting_too && !breaker_.open()) return;
  for (Pending& pending : waiting_) FinishLater(pending, why);
  waiting_.clear();
}

void IoClient::FinishLater(Pending& pending, absl::StatusOr<Reply> reply) {
  const bool answered = reply.ok() || error::Reason(reply.status()) == "REDIS_ERROR" ||
                        error::Reason(reply.status()) == "REDIS_NOT_READY";
  ++(answered ? commands_ : failures_);
  finished_.emplace_back(std::move(pending.done), std::move(reply));
}

void IoClient::RunFinished() {
  // A callback may send, and a callback of our own may fail the connection, which finishes more.
  while (!finished_.empty()) {
    std::vector<Done> now;
    now.swap(finished_);
    pending_ -= static_cast<int>(now.size());
    for (Done& done : now) done.first(std::move(done.second));
  }
}

int IoClient::PollMillis() const {
  absl::Time next = absl::InfiniteFuture();
  if (state_ == State::kConnecting) next = connect_deadline_;
  if (!inflight_.empty()) next = std::min(next, inflight_.front().deadline);
  if (!waiting_.empty()) next = std::min(next, waiting_.front().deadline);
  if (breaker_.open() && state_ == State::kClosed) next = std::min(next, breaker_.next_probe());
  if (next == absl::InfiniteFuture()) return -1;
  // Rounded up: waking too early would spin.
  return static_cast<int>(absl::ToInt64Milliseconds(
      std::max(absl::ZeroDuration(), next - SteadyNow()) + absl::Microseconds(999)));
}

absl::StatusOr<std::unique_ptr<Client>> NewClient(Options options) {
  CLM_ASSIGN_OR_RETURN(Endpoint endpoint, ParseUrl(options.url));
  return std::make_unique<IoClient>(std::move(options), std::move(endpoint));
}

}  // namespace clm::redis
