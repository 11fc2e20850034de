#include "tools/clm/prediction_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/testing/status_matchers.h"

namespace clm::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

lifecycle::v1::PredictionModel Compared() {
  lifecycle::v1::PredictionModel model;
  model.set_name("models/a<b>");  // No "nan" in it.
  model.set_end_date("2026-01-29");
  auto& holdout = *model.mutable_holdout();
  holdout.set_calibration_end_date("2026-01-15");
  for (int week = 1; week <= 4; ++week) {
    auto* point = holdout.add_points();
    point->set_day(7 * week);
    point->set_actual(100 * week);
    point->set_expected(90.0 * week);
  }
  for (int i = 0; i < 3; ++i) {
    auto* each = holdout.add_classes();
    each->set_frequency(i);
    each->set_actual(i);
    each->set_expected(0.5 * i);
  }
  return model;
}

TEST(PredictionPlotTest, HasBothPanelsInScale) {
  const auto picture = PredictionPlot(Compared());
  CLM_ASSERT_OK(picture);
  EXPECT_THAT(*picture, HasSubstr("a&lt;b&gt;"));
  EXPECT_THAT(*picture, Not(HasSubstr("a<b>")));
  // Weeks 0 to 4 from 64 to 504, purchases 0 to 400 from 316 up to 48.
  EXPECT_THAT(*picture, HasSubstr("M64.0 316.0L174.0 249.0L284.0 182.0L394.0 115.0L504.0 48.0"));
  EXPECT_THAT(*picture, HasSubstr("L504.0 74.8"));  // 360 expected.
  // The time held out begins after two of the four weeks.
  EXPECT_THAT(*picture, HasSubstr("M284.0 316.0V48.0"));
  // The last class: 2 actual is the full height, 1 expected half of it.
  EXPECT_THAT(*picture, HasSubstr("height=\"268.0\""));
  EXPECT_THAT(*picture, HasSubstr("height=\"134.0\""));
  EXPECT_THAT(*picture, HasSubstr(">2+</text>"));
  EXPECT_THAT(*picture, Not(HasSubstr("nan")));
  EXPECT_EQ(*PredictionPlot(Compared()), *picture);
}

TEST(PredictionPlotTest, AnEmptyComparisonIsAnEmptyPicture) {
  lifecycle::v1::PredictionModel model;
  model.mutable_holdout();
  const auto picture = PredictionPlot(model);
  CLM_ASSERT_OK(picture);
  EXPECT_THAT(*picture, HasSubstr("</svg>"));
  EXPECT_THAT(*picture, Not(HasSubstr("nan")));
  EXPECT_THAT(*picture, Not(HasSubstr("inf")));
}

TEST(PredictionPlotTest, WithoutAComparisonTheReasonIsTold) {
  lifecycle::v1::PredictionModel model;
  model.set_holdout_problem("too little time");
  const auto picture = PredictionPlot(model);
  EXPECT_THAT(picture, clm::testing::ReasonIs("NO_COMPARISON"));
  EXPECT_THAT(std::string(picture.status().message()), HasSubstr("too little time"));
}

}  // namespace
}  // namespace clm::cli
