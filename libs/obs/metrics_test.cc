#include "libs/obs/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace clm::obs {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricsTest, TheSameNameAndLabelsAreTheSameInstrument) {
  Metrics metrics;
  metrics.GetCounter("clm_x_total", "X.", {{"kind", "a"}}).Add(2);
  metrics.GetCounter("clm_x_total", "X.", {{"kind", "a"}}).Add(3);
  metrics.GetCounter("clm_x_total", "X.", {{"kind", "b"}}).Add();
  EXPECT_THAT(metrics.Render(), HasSubstr("clm_x_total{kind=\"a\"} 5"));
  EXPECT_THAT(metrics.Render(), HasSubstr("clm_x_total{kind=\"b\"} 1"));
}

TEST(MetricsTest, AHistogramCountsAValueOnABoundInsideIt) {
  Histogram histogram({1, 2});
  histogram.Observe(1.0);
  histogram.Observe(1.5);
  histogram.Observe(9.0);
  const auto snapshot = histogram.snapshot();
  EXPECT_THAT(snapshot.counts, testing::ElementsAre(1, 1, 1));
  EXPECT_EQ(snapshot.count, 3u);
  EXPECT_DOUBLE_EQ(snapshot.sum, 11.5);
}

TEST(MetricsTest, NothingIsLostBetweenThreads) {
  Metrics metrics;
  auto& counter = metrics.GetCounter("clm_y_total", "Y.");
  auto& histogram = metrics.GetHistogram("clm_y_seconds", "Y.");
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        counter.Add();
        histogram.Observe(absl::Milliseconds(3));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 8000u);
  EXPECT_EQ(histogram.snapshot().count, 8000u);
}

TEST(MetricsTest, MethodsAppearUnderTheNamesDashboardsKnow) {
  Metrics metrics;
  auto& method = metrics.ForMethod("clm.contact.v1.ContactService", "GetContact", "unary");
  method.Started();
  method.Handled(5, absl::Milliseconds(2));
  const std::string text = metrics.Render();
  const std::string labels =
      "grpc_method=\"GetContact\",grpc_service=\"clm.contact.v1.ContactService\","
      "grpc_type=\"unary\"";
  EXPECT_THAT(text, HasSubstr("grpc_server_started_total{" + labels + "} 1"));
  EXPECT_THAT(text, HasSubstr("grpc_server_handled_total{" + labels + ",grpc_code=\"OK\"} 0"));
  EXPECT_THAT(text,
              HasSubstr("grpc_server_handled_total{" + labels + ",grpc_code=\"NotFound\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("grpc_server_handling_seconds_bucket{" + labels + ",le=\"0.001\"} 0"));
  EXPECT_THAT(text, HasSubstr("grpc_server_handling_seconds_bucket{" + labels + ",le=\"+Inf\"} 1"));
}

TEST(MetricsTest, AWatchedGaugeIsReadUntilItsTokenIsGone) {
  Metrics metrics;
  auto token = metrics.WatchGauge("clm_z", "Z.", {}, [] { return 4.0; });
  EXPECT_THAT(metrics.Render(), HasSubstr("clm_z 4"));
  token.reset();
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("clm_z 4")));
}

}  // namespace
}  // namespace clm::obs
