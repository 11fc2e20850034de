#include "tools/clm/prediction_plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "libs/base/error.h"
#include "libs/base/time_text.h"

namespace clm::cli {
namespace {

using lifecycle::v1::PredictionModel;

constexpr double kWidth = 520, kHeight = 360;
constexpr double kLeft = 64, kRight = 16, kTop = 48, kBottom = 44;
// Told apart without colours, too: bars by their place, lines by their dashes.
constexpr char kActual[] = "#1f4e79", kExpected[] = "#c55a11";

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

// A panel with its axes, from (0, 0) to (x_end, y_end).
class Panel {
 public:
  Panel(double offset, double x_end, double y_most)
      : offset_(offset), x_end_(std::max(x_end, 1.0)) {
    // Five steps of 1, 2 or 5 times a power of ten.
    const double step = std::max(y_most, 1e-9) / 5;
    const double power = std::pow(10, std::floor(std::log10(step)));
    step_ = power * (step <= power ? 1 : step <= 2 * power ? 2 : step <= 5 * power ? 5 : 10);
    y_end_ = step_ * std::ceil(std::max(y_most, 1e-9) / step_);
  }

  double X(double x) const { return offset_ + kLeft + x / x_end_ * (kWidth - kLeft - kRight); }
  double Y(double y) const { return kHeight - kBottom - y / y_end_ * (kHeight - kTop - kBottom); }

  std::string Axes(const std::string& title, const std::string& x_title) const {
    std::string out = Text(offset_ + kLeft, 24, title, "start", 14);
    absl::StrAppend(&out, Text(offset_ + (kLeft + kWidth - kRight) / 2, kHeight - 8, x_title));
    for (double y = 0; y <= y_end_ * 1.0001; y += step_) {
      absl::StrAppendFormat(&out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#ddd\"/>\n", X(0), Y(y),
                            X(x_end_));
      absl::StrAppend(&out, Text(X(0) - 6, Y(y) + 4, absl::StrFormat("%.6g", y), "end"));
    }
    return out;
  }
  static std::string Text(double x, double y, const std::string& text,
                          const char* anchor = "middle", int size = 11) {
    return absl::StrFormat(
        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\">%s</text>\n", x, y, anchor,
        size, Escaped(text));
  }
  std::string Bar(double from, double to, double y, const char* colour) const {
    return absl::StrFormat(
        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", X(from), Y(y),
        X(to) - X(from), Y(0) - Y(y), colour);
  }

 private:
  double offset_, x_end_, y_end_ = 1, step_ = 1;
};

std::string Tracking(const PredictionModel& model) {
  const auto& points = model.holdout().points();
  double most = 0, last = 0;
  for (const auto& point : points) {
    most = std::max({most, static_cast<double>(point.actual()), point.expected()});
    last = point.day() / 7.0;
  }
  const Panel panel(0, last, most);
  std::string out =
      panel.Axes("Repeat purchases of all customers", "weeks since the first purchase");
  std::string actual = absl::StrFormat("M%.1f %.1f", panel.X(0), panel.Y(0)), expected = actual;
  for (const auto& point : points) {
    const double x = panel.X(point.day() / 7.0);
    absl::StrAppendFormat(&actual, "L%.1f %.1f", x, panel.Y(static_cast<double>(point.actual())));
    absl::StrAppendFormat(&expected, "L%.1f %.1f", x, panel.Y(point.expected()));
  }
  absl::StrAppendFormat(&out, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n",
                        actual, kActual);
  absl::StrAppendFormat(&out,
                        "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\" "
                        "stroke-dasharray=\"6 4\"/>\n",
                        expected, kExpected);
  const auto end = ParseDay(model.end_date());
  const auto calibration = ParseDay(model.holdout().calibration_end_date());
  if (end && calibration && !points.empty()) {
    const double week = last - static_cast<double>(*end - *calibration) / 7.0;
    absl::StrAppendFormat(
        &out, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#555\" stroke-dasharray=\"2 3\"/>\n",
        panel.X(week), panel.Y(0), kTop);
    absl::StrAppend(&out, Panel::Text(panel.X(week) + 4, kTop + 10, "held out", "start"));
  }
  return out;
}

std::string Classes(const PredictionModel& model) {
  const auto& classes = model.holdout().classes();
  double most = 0;
  for (const auto& each : classes) most = std::max({most, each.actual(), each.expected()});
  const Panel panel(kWidth, classes.size(), most);
  std::string out =
      panel.Axes("Purchases per customer in the time held out", "repeat purchases before");
  for (int i = 0; i < classes.size(); ++i) {
    const auto& each = classes[i];
    absl::StrAppend(&out, panel.Bar(i + 0.12, i + 0.5, each.actual(), kActual),
                    panel.Bar(i + 0.5, i + 0.88, each.expected(), kExpected));
    const bool last = i + 1 == classes.size();
    absl::StrAppend(&out, Panel::Text(panel.X(i + 0.5), kHeight - kBottom + 14,
                                      absl::StrCat(each.frequency(), last ? "+" : "")));
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> PredictionPlot(const PredictionModel& model) {
  if (!model.has_holdout()) {
    return error::Precondition(
        "NO_COMPARISON",
        absl::StrCat("the model has no comparison to show: ", model.holdout_problem()));
  }
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f "
      "%.0f\" font-family=\"sans-serif\" role=\"img\">\n",
      2 * kWidth, kHeight, 2 * kWidth, kHeight);
  absl::StrAppendFormat(&out, "<title>%s</title>\n", Escaped(model.name()));
  absl::StrAppend(&out, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", Tracking(model),
                  Classes(model));
  absl::StrAppendFormat(&out,
                        "<path d=\"M%.1f 36h24\" stroke=\"%s\" stroke-width=\"3\"/>\n"
                        "<path d=\"M%.1f 36h24\" stroke=\"%s\" stroke-width=\"3\" "
                        "stroke-dasharray=\"6 4\"/>\n",
                        kLeft, kActual, kLeft + 100, kExpected);
  absl::StrAppend(&out, Panel::Text(kLeft + 30, 40, "actual", "start"),
                  Panel::Text(kLeft + 130, 40, "expected", "start"), "</svg>\n");
  return out;
}

}  // namespace clm::cli
