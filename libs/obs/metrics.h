// Metrics of one process or one embedded server, exposed in Prometheus' text form. Instruments are
// made once and kept: updating one takes no lock and no look-up (a few nanoseconds). Labels come
// from closed sets of ours, never from callers. Everything is thread-safe.
#ifndef CLM_LIBS_OBS_METRICS_H_
#define CLM_LIBS_OBS_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace prometheus {
class Collectable;
}

namespace clm::obs {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Only grows.
class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// A distribution over fixed buckets.
class Histogram {
 public:
  // `bounds` are upper bounds, ascending; a last bucket without bound is implied.
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  void Observe(absl::Duration value) { Observe(absl::ToDoubleSeconds(value)); }

  struct Snapshot {
    std::vector<uint64_t> counts;  // Per bucket, not cumulative; one more than bounds().
    uint64_t count = 0;
    double sum = 0;
  };
  Snapshot snapshot() const;
  const std::vector<double>& bounds() const { return bounds_; }

 private:
  // Threads are spread over stripes, so that they do not share cache lines.
  struct alignas(64) Stripe {
    std::unique_ptr<std::atomic<uint64_t>[]> counts;
    std::atomic<double> sum{0};
  };
  static constexpr int kStripes = 4;
  std::vector<double> bounds_;
  std::array<Stripe, kStripes> stripes_;
};

// Seconds, 100 us to 10 s: remote calls and transactions.
std::vector<double> LatencyBuckets();

// The counters of one gRPC method under the names that dashboards know: grpc_server_started_total,
// grpc_server_handled_total, grpc_server_handling_seconds.
class MethodMetrics {
 public:
  static constexpr int kCodes = 17;

  MethodMetrics() : seconds_(LatencyBuckets()) {}
  void Started() { started_.Add(); }
  // `code` is a gRPC status code.
  void Handled(int code, absl::Duration took) {
    handled_[code >= 0 && code < kCodes ? code : 2].Add();
    seconds_.Observe(took);
  }

  const Counter& started() const { return started_; }
  const Counter& handled(int code) const { return handled_[code]; }
  const Histogram& seconds() const { return seconds_; }

 private:
  Counter started_;
  std::array<Counter, kCodes> handled_;
  Histogram seconds_;
};

// A registry. What it returns lives as long as it does; asking again for the same name and labels
// returns the same instrument. A name has one kind and one help text.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Counter& GetCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& GetGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& GetHistogram(const std::string& name, const std::string& help,
                          const Labels& labels = {},
                          const std::vector<double>& bounds = LatencyBuckets());
  // `read` is called at every scrape, until the returned token is destroyed.
  [[nodiscard]] std::shared_ptr<void> WatchGauge(const std::string& name, const std::string& help,
                                                 const Labels& labels,
                                                 std::function<double()> read);
  // `type` is "unary", "client_stream", "server_stream" or "bidi_stream".
  MethodMetrics& ForMethod(const std::string& service, const std::string& method,
                           const std::string& type);

  // Prometheus' text exposition format.
  std::string Render() const;
  // For an HTTP exposer; valid while it is held.
  std::shared_ptr<prometheus::Collectable> collectable() const;

 private:
  class Registry;
  std::shared_ptr<Registry> registry_;
};

}  // namespace clm::obs

#endif  // CLM_LIBS_OBS_METRICS_H_
