#include "tools/bench/closed_loop.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "libs/base/status_macros.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "tools/bench/h2_client.h"

namespace clm::bench {
namespace {

constexpr int kConnections = 4;

class GrpcClient final : public LoadGenerator {
 public:
  GrpcClient(const std::string& socket, std::string method, absl::Duration timeout)
      : method_(std::move(method)), timeout_(timeout) {
    for (int i = 0; i < kConnections; ++i) {
      grpc::ChannelArguments arguments = rpc::ChannelArguments();
      // Channels of different arguments do not share a connection.
      arguments.SetInt("clm.bench.connection", i);
      stubs_.push_back(std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
          absl::StrCat("unix:", socket), grpc::InsecureChannelCredentials(), arguments)));
    }
  }

  absl::StatusOr<Slice> Run(const Work& work, int in_flight, absl::Duration length) override {
    work_ = &work;
    slots_ = std::vector<Slot>(in_flight);
    const absl::Time begin = absl::Now();
    end_ = begin + length;
    {
      absl::MutexLock lock(&mu_);
      running_ = in_flight;
    }
    for (int slot = 0; slot < in_flight; ++slot) Next(slot);
    {
      absl::MutexLock lock(&mu_);
      const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return running_ == 0; };
      mu_.Await(absl::Condition(&idle));
    }
    Slice slice;
    slice.seconds = absl::ToDoubleSeconds(std::min(length, absl::Now() - begin));
    for (Slot& slot : slots_) {
      slice.latencies_us.insert(slice.latencies_us.end(), slot.latencies_us.begin(),
                                slot.latencies_us.end());
      slice.completed += slot.completed;
      slice.failures += slot.failures;
      if (slice.failure.empty()) slice.failure = slot.failure;
    }
    slice.operations = static_cast<int64_t>(slice.latencies_us.size());
    std::sort(slice.latencies_us.begin(), slice.latencies_us.end());
    return slice;
  }

 private:
  // Touched by one call at a time.
  struct Slot {
    std::unique_ptr<grpc::ClientContext> context;
    grpc::ByteBuffer request, response;
    std::string bytes;
    int64_t answers = 0, completed = 0, failures = 0;
    std::string failure;
    std::vector<int64_t> latencies_us;
  };

  void Next(int at) {
    Slot& slot = slots_[at];
    const absl::Time started = absl::Now();
    if (started >= end_ || !work_->next(at, &slot.bytes)) {
      absl::MutexLock lock(&mu_);
      --running_;
      return;
    }
    const grpc::Slice bytes(slot.bytes);
    slot.request = grpc::ByteBuffer(&bytes, 1);
    slot.response.Clear();
    slot.context = std::make_unique<grpc::ClientContext>();
    slot.context->set_deadline(absl::ToChronoTime(started + timeout_));
    stubs_[at % stubs_.size()]->UnaryCall(slot.context.get(), method_, grpc::StubOptions(),
                                          &slot.request, &slot.response,
                                          [this, at, started](const grpc::Status& status) {
                                            Ended(slots_[at], at, started, status);
                                            Next(at);
                                          });
  }

  void Ended(Slot& slot, int at, absl::Time started, const grpc::Status& status) {
    const absl::Time now = absl::Now();
    std::string failure;
    if (!status.ok()) {
      failure = rpc::FromGrpc(status).ToString();
    } else if (work_->check && slot.answers++ % work_->check_every == 0) {
      std::vector<grpc::Slice> parts;
      slot.response.Dump(&parts).ok();
      std::string answer;
      for (const grpc::Slice& part : parts) {
        answer.append(reinterpret_cast<const char*>(part.begin()), part.size());
      }
      if (!work_->check(at, answer)) failure = "a wrong answer";
    }
    if (!failure.empty()) {
      ++slot.failures;
      if (slot.failure.empty()) slot.failure = std::move(failure);
      return;
    }
    ++slot.completed;
    if (now < end_) slot.latencies_us.push_back(absl::ToInt64Microseconds(now - started));
  }

  const std::string method_;
  const absl::Duration timeout_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  const Work* work_ = nullptr;
  absl::Time end_;
  std::vector<Slot> slots_;
  absl::Mutex mu_;
  int running_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace

int64_t Slice::Percentile(double p) const {
  if (latencies_us.empty()) return 0;
  const size_t at = static_cast<size_t>(p / 100 * static_cast<double>(latencies_us.size()));
  return latencies_us[std::min(at, latencies_us.size() - 1)];
}

absl::StatusOr<std::unique_ptr<LoadGenerator>> NewLoadGenerator(Client client,
                                                                const std::string& socket,
                                                                const std::string& method,
                                                                absl::Duration timeout) {
  if (client == Client::kGrpc) return std::make_unique<GrpcClient>(socket, method, timeout);
  CLM_ASSIGN_OR_RETURN(
      auto h2,
      H2Client::Connect(
          {.socket = socket, .method = method, .connections = kConnections, .timeout = timeout}));
  return std::unique_ptr<LoadGenerator>(std::move(h2));
}

}  // namespace clm::bench
