#include "libs/redis/subscription.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/random/random.h"
#include "absl/time/time.h"
#include "libs/base/status_macros.h"
#include "libs/redis/transport.h"

namespace clm::redis {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(1);
constexpr absl::Duration kPingEvery = absl::Seconds(1);
constexpr absl::Duration kSilence = absl::Seconds(3);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(50);
constexpr absl::Duration kLastBackoff = absl::Seconds(1);

absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

class IoSubscription final : public Subscription {
 public:
  IoSubscription(Endpoint endpoint, std::vector<std::string> channels, Listener listener)
      : resolver_(std::move(endpoint)),
        channels_(std::move(channels)),
        listener_(std::move(listener)),
        stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        thread_([this] { Run(); }) {}

  ~IoSubscription() override {
    stopping_ = true;
    eventfd_write(stop_, 1);
    thread_.join();
    close(stop_);
  }

 private:
  void Run() {
    absl::Duration backoff = kFirstBackoff;
    while (!stopping_) {
      live_channels_ = 0;
      // Always ends in an error, or because of stopping_.
      Listen().IgnoreError();
      transport_.Close();
      if (live_channels_ > 0) backoff = kFirstBackoff;
      Wait(-1, 0, backoff * absl::Uniform(random_, 0.75, 1.25));
      backoff = std::min(backoff * 2, kLastBackoff);
    }
  }

  absl::Status Listen() {
    CLM_RETURN_IF_ERROR(transport_.StartConnect(resolver_.Next()));
    Wait(transport_.fd(), POLLOUT, kConnectTimeout);
    CLM_RETURN_IF_ERROR(transport_.FinishConnect());
    handshake_left_ = 0;
    for (const Args& args : Handshake(resolver_.endpoint())) {
      transport_.Append(Encode(args));
      ++handshake_left_;
    }
    Args subscribe{"SUBSCRIBE"};
    subscribe.insert(subscribe.end(), channels_.begin(), channels_.end());
    transport_.Append(Encode(subscribe));

    absl::Time last_heard = SteadyNow();
    absl::Time last_ping = last_heard;
    while (!stopping_) {
      CLM_RETURN_IF_ERROR(transport_.Write());
      const short wanted = transport_.HasOutput() ? POLLIN | POLLOUT : POLLIN;
      if (Wait(transport_.fd(), wanted, kPingEvery)) {
        absl::Status refused;
        CLM_RETURN_IF_ERROR(transport_.Read([&](absl::StatusOr<Reply> reply) {
          last_heard = SteadyNow();
          if (reply.ok()) {
            OnReply(*reply);
          } else {
            refused = reply.status();
          }
        }));
        CLM_RETURN_IF_ERROR(refused);
      }
      const absl::Time now = SteadyNow();
      if (now - last_heard > kSilence) return Unreachable("no sign of life");
      if (now - last_ping >= kPingEvery) {
        transport_.Append(Encode({"PING"}));
        last_ping = now;
      }
    }
    return absl::OkStatus();
  }

  // The handshake's OK lines, then [kind, channel, payload or count], and [pong, ""].
  void OnReply(Reply& reply) {
    if (handshake_left_ > 0) {
      --handshake_left_;
      return;
    }
    Reply::Array* parts = reply.AsArray();
    if (parts == nullptr || parts->size() != 3) return;
    const std::string* kind = (*parts)[0].AsString();
    std::string* channel = (*parts)[1].AsString();
    if (kind == nullptr || channel == nullptr) return;
    if (*kind == "subscribe") {
      if (++live_channels_ == static_cast<int>(channels_.size()) && listener_.on_live) {
        listener_.on_live();
      }
    } else if (std::string* payload = (*parts)[2].AsString(); *kind == "message" && payload) {
      listener_.on_message({std::move(*channel), std::move(*payload)});
    }
  }

  // True when there is something to do on `fd`; false after `timeout` or when stopping.
  bool Wait(int fd, short events, absl::Duration timeout) {
    pollfd polled[2] = {{stop_, POLLIN, 0}, {fd, events, 0}};
    const int millis = static_cast<int>(absl::ToInt64Milliseconds(timeout));
    return poll(polled, fd < 0 ? 1 : 2, millis) > 0 && polled[0].revents == 0;
  }

  Resolver resolver_;
  const std::vector<std::string> channels_;
  const Listener listener_;
  const int stop_;
  std::atomic<bool> stopping_{false};
  Transport transport_;
  absl::BitGen random_;
  int handshake_left_ = 0;
  int live_channels_ = 0;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Subscription> NewSubscription(Endpoint endpoint, std::vector<std::string> channels,
                                              Listener listener) {
  return std::make_unique<IoSubscription>(std::move(endpoint), std::move(channels),
                                          std::move(listener));
}

}  // namespace clm::redis
