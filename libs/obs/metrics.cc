#include "libs/obs/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace clm::obs {
namespace {

// Which stripe the calling thread writes to.
int StripeOfThread(int stripes) {
  static std::atomic<int> next{0};
  thread_local const int mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine % stripes;
}

constexpr const char* kCodeNames[MethodMetrics::kCodes] = {
    "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated",
};

prometheus::ClientMetric WithLabels(const Labels& labels) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

prometheus::ClientMetric ToMetric(const Labels& labels, const Counter& counter) {
  prometheus::ClientMetric metric = WithLabels(labels);
  metric.counter.value = static_cast<double>(counter.value());
  return metric;
}

prometheus::ClientMetric ToMetric(const Labels& labels, const Histogram& histogram) {
  prometheus::ClientMetric metric = WithLabels(labels);
  const Histogram::Snapshot snapshot = histogram.snapshot();
  metric.histogram.sample_count = snapshot.count;
  metric.histogram.sample_sum = snapshot.sum;
  uint64_t cumulative = 0;
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    cumulative += snapshot.counts[i];
    metric.histogram.bucket.push_back({cumulative, i < histogram.bounds().size()
                                                       ? histogram.bounds()[i]
                                                       : std::numeric_limits<double>::infinity()});
  }
  return metric;
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)) {
  for (auto& stripe : stripes_) {
    stripe.counts = std::make_unique<std::atomic<uint64_t>[]>(bounds_.size() + 1);
  }
}

void Histogram::Observe(double value) {
  auto& stripe = stripes_[StripeOfThread(kStripes)];
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  stripe.counts[bucket].fetch_add(1, std::memory_order_relaxed);
  stripe.sum.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot result;
  result.counts.resize(bounds_.size() + 1);
  for (const auto& stripe : stripes_) {
    for (size_t i = 0; i <= bounds_.size(); ++i) {
      result.counts[i] += stripe.counts[i].load(std::memory_order_relaxed);
    }
    result.sum += stripe.sum.load(std::memory_order_relaxed);
  }
  for (const uint64_t count : result.counts) result.count += count;
  return result;
}

std::vector<double> LatencyBuckets() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
          0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
}

class Metrics::Registry : public prometheus::Collectable {
 public:
  struct Watched {
    std::function<double()> read;
  };
  struct Family {
    std::string help;
    std::map<Labels, std::unique_ptr<Counter>> counters;
    std::map<Labels, std::unique_ptr<Gauge>> gauges;
    std::map<Labels, std::unique_ptr<Histogram>> histograms;
    std::map<Labels, std::weak_ptr<Watched>> watched;
  };

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> result;
    absl::MutexLock lock(&mu_);
    for (const auto& [name, family] : families_) {
      prometheus::MetricFamily out{.name = name, .help = family.help};
      if (!family.counters.empty()) {
        out.type = prometheus::MetricType::Counter;
        for (const auto& [labels, counter] : family.counters) {
          out.metric.push_back(ToMetric(labels, *counter));
        }
      } else if (!family.histograms.empty()) {
        out.type = prometheus::MetricType::Histogram;
        for (const auto& [labels, histogram] : family.histograms) {
          out.metric.push_back(ToMetric(labels, *histogram));
        }
      } else {
        out.type = prometheus::MetricType::Gauge;
        for (const auto& [labels, gauge] : family.gauges) {
          out.metric.push_back(WithLabels(labels));
          out.metric.back().gauge.value = gauge->value();
        }
        for (const auto& [labels, weak] : family.watched) {
          const auto watched = weak.lock();
          if (watched == nullptr) continue;
          out.metric.push_back(WithLabels(labels));
          out.metric.back().gauge.value = watched->read();
        }
      }
      if (!out.metric.empty()) result.push_back(std::move(out));
    }
    CollectMethods(result);
    return result;
  }

  template <class T, class... Args>
  T& Get(std::map<Labels, std::unique_ptr<T>> Family::*kind, const std::string& name,
         const std::string& help, const Labels& labels, const Args&... args) {
    absl::MutexLock lock(&mu_);
    Family& family = families_[name];
    family.help = help;
    auto& instrument = (family.*kind)[labels];
    if (instrument == nullptr) instrument = std::make_unique<T>(args...);
    return *instrument;
  }

  std::shared_ptr<void> Watch(const std::string& name, const std::string& help,
                              const Labels& labels, std::function<double()> read) {
    auto watched = std::make_shared<Watched>(Watched{std::move(read)});
    absl::MutexLock lock(&mu_);
    Family& family = families_[name];
    family.help = help;
    family.watched[labels] = watched;
    return watched;
  }

  MethodMetrics& ForMethod(const std::string& service, const std::string& method,
                           const std::string& type) {
    absl::MutexLock lock(&mu_);
    auto& metrics =
        methods_[{{"grpc_method", method}, {"grpc_service", service}, {"grpc_type", type}}];
    if (metrics == nullptr) metrics = std::make_unique<MethodMetrics>();
    return *metrics;
  }

 private:
  void CollectMethods(std::vector<prometheus::MetricFamily>& result) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (methods_.empty()) return;
    prometheus::MetricFamily started{.name = "grpc_server_started_total",
                                     .help = "Calls that began.",
                                     .type = prometheus::MetricType::Counter};
    prometheus::MetricFamily handled{.name = "grpc_server_handled_total",
                                     .help = "Calls that ended, by status code.",
                                     .type = prometheus::MetricType::Counter};
    prometheus::MetricFamily seconds{.name = "grpc_server_handling_seconds",
                                     .help = "Time from the start of a call to its end.",
                                     .type = prometheus::MetricType::Histogram};
    for (const auto& [labels, method] : methods_) {
      started.metric.push_back(ToMetric(labels, method->started()));
      seconds.metric.push_back(ToMetric(labels, method->seconds()));
      for (int code = 0; code < MethodMetrics::kCodes; ++code) {
        // Codes that never occurred are left out, except OK, so that ratios are defined.
        if (code != 0 && method->handled(code).value() == 0) continue;
        Labels with_code = labels;
        with_code.emplace_back("grpc_code", kCodeNames[code]);
        handled.metric.push_back(ToMetric(with_code, method->handled(code)));
      }
    }
    result.push_back(std::move(started));
    result.push_back(std::move(handled));
    result.push_back(std::move(seconds));
  }

  mutable absl::Mutex mu_;
  std::map<std::string, Family> families_ ABSL_GUARDED_BY(mu_);
  std::map<Labels, std::unique_ptr<MethodMetrics>> methods_ ABSL_GUARDED_BY(mu_);
};

Metrics::Metrics() : registry_(std::make_shared<Registry>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::GetCounter(const std::string& name, const std::string& help,
                             const Labels& labels) {
  return registry_->Get(&Registry::Family::counters, name, help, labels);
}

Gauge& Metrics::GetGauge(const std::string& name, const std::string& help, const Labels& labels) {
  return registry_->Get(&Registry::Family::gauges, name, help, labels);
}

Histogram& Metrics::GetHistogram(const std::string& name, const std::string& help,
                                 const Labels& labels, const std::vector<double>& bounds) {
  return registry_->Get(&Registry::Family::histograms, name, help, labels, bounds);
}

std::shared_ptr<void> Metrics::WatchGauge(const std::string& name, const std::string& help,
                                          const Labels& labels, std::function<double()> read) {
  return registry_->Watch(name, help, labels, std::move(read));
}

MethodMetrics& Metrics::ForMethod(const std::string& service, const std::string& method,
                                  const std::string& type) {
  return registry_->ForMethod(service, method, type);
}

std::string Metrics::Render() const {
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

std::shared_ptr<prometheus::Collectable> Metrics::collectable() const { return registry_; }

}  // namespace clm::obs
