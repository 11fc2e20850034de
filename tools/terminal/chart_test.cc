#include "tools/terminal/chart.h"

#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace clm::terminal {
namespace {

void ExpectFits(const std::string& chart, int width) {
  for (const absl::string_view line : absl::StrSplit(chart, '\n'))
    EXPECT_LE(TextWidth(line), width) << chart;
}

TEST(BarChartTest, BarsAreInProportion) {
  EXPECT_EQ(BarChart({.width = 40},
                     {{"awareness", 1'000}, {"trial", 500, "half"}, {"lost", 0}, {"rare", 0.1}}),
            "awareness  1,000  ██████████████████████\n"
            "trial       half  ███████████\n"
            "lost           0\n"
            "rare           0  ▏\n");
}

TEST(BarChartTest, WithoutUtf8ItUsesAscii) {
  EXPECT_EQ(BarChart({.utf8 = false, .width = 30}, {{"a", 4}, {"b", 1}}),
            "a  4  ########################\n"
            "b  1  ######\n");
}

TEST(BarChartTest, NothingAndNonsenseDrawNothing) {
  EXPECT_EQ(BarChart({}, {}), "");
  EXPECT_EQ(BarChart({}, {{"a", 0}}), "a  0\n");
  EXPECT_EQ(BarChart({}, {{"a", std::nan("")}, {"b", INFINITY}}), "a  -\nb  -\n");
}

TEST(FunnelTest, ShowsWhoWentOnAndWhoDidNot) {
  EXPECT_EQ(Funnel({.width = 70}, {{"Visited", 5'000},
                                   {"Signed up", 3'102, absl::Hours(36)},
                                   {"Bought", 1'415, absl::Hours(24 * 15)},
                                   {"Bought", 1'500}}),
            "Visited    5,000  ████████████████████████████████████████  100.0%\n"
            "                  ↓ 62.0% went on, 1,898 did not, median 1 d 12 h\n"
            "Signed up  3,102  ████████████████████████▉                  62.0%\n"
            "                  ↓ 45.6% went on, 1,687 did not, median 15 d\n"
            "Bought     1,415  ███████████▍                               28.3%\n"
            "                  ↓ 106.0% went on\n"
            "Bought     1,500  ████████████                               30.0%\n");
}

TEST(FunnelTest, AnEmptyFirstStepDividesByNothing) {
  EXPECT_EQ(Funnel({.utf8 = false, .width = 40}, {{"a", 0}, {"b", 0}}),
            "a  0                                   -\n"
            "      v -\n"
            "b  0                                   -\n");
  EXPECT_EQ(Funnel({}, {}), "");
}

TEST(HeatTableTest, UnfinishedCellsAreBlankAndZeroIsNot) {
  const std::vector<CohortRow> rows = {{"1997-01", 781, {1.0, 0.1588, 0.0}},
                                       {"1997-02", 857, {1.0, 0.1564, std::nullopt}},
                                       {"1997-03", 719, {1.0, std::nullopt, std::nullopt}}};
  EXPECT_EQ(HeatTable({}, "COHORT", "M", rows),
            "COHORT   SIZE     M0     M1     M2\n"
            "1997-01   781 100.0%  15.9%   0.0%\n"
            "1997-02   857 100.0%  15.6%\n"
            "1997-03   719 100.0%\n");
}

TEST(HeatTableTest, ABlankInTheMiddleKeepsTheColumns) {
  EXPECT_EQ(HeatTable({}, "C", "W", {{"a", 1, {1.0, std::nullopt, 0.5}}}),
            "C  SIZE     W0     W1     W2\n"
            "a     1 100.0%         50.0%\n");
}

TEST(HeatTableTest, AgesThatDoNotFitAreCounted) {
  const std::vector<CohortRow> rows = {{"2026-01", 10, {1.0, 0.5, 0.4, 0.3}}};
  EXPECT_EQ(HeatTable({.tty = true, .width = 30}, "COHORT", "M", rows),
            "COHORT   SIZE     M0     M1\n"
            "2026-01    10 100.0%  50.0%\n"
            "(2 more ages: -o csv)\n");
}

TEST(HeatTableTest, ShadesGrowWithTheShare) {
  const std::string text =
      HeatTable({.tty = true, .color = true, .width = 80}, "C", "M", {{"a", 1, {1.0, 0.01}}});
  EXPECT_NE(text.find("\033[48;5;20;38;5;231m100.0%\033[0m"), std::string::npos) << text;
  EXPECT_NE(text.find("\033[48;5;195;38;5;16m  1.0%\033[0m"), std::string::npos) << text;
}

TEST(SparklineTest, SpansFromTheLeastToTheGreatest) {
  EXPECT_EQ(Sparkline({}, {0, 1, 2, 3, 4, 5, 6, 7}), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(Sparkline({}, {-5, std::nullopt, 5}), "▁ █");
  EXPECT_EQ(Sparkline({}, {3, 3}), "▁▁");
  EXPECT_EQ(Sparkline({.utf8 = false}, {0, 7}), "_#");
  EXPECT_EQ(Sparkline({}, {}), "");
}

TEST(LineChartTest, RisesFromZeroToTheGreatest) {
  EXPECT_EQ(
      LineChart({.utf8 = false, .width = 20}, {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "Jan", "Oct"}, 4),
      "9 |        **\n"
      "  |     ***\n"
      "  |  ***\n"
      "0 |**\n"
      "   Jan    Oct\n");
  EXPECT_EQ(LineChart({.width = 20}, {{0, 4, 0, 4, 0, 4, 0, 4, 0, 4}, "", ""}, 1),
            "4 │⡰⠱⡰⠱⡠⠊⢆⠎⢆⠎\n");
}

TEST(LineChartTest, AGapIsNotBridged) {
  const std::string text = LineChart({.utf8 = false, .width = 30},
                                     {{1, 1, std::nullopt, 1, 1, 1, 1, 1, 1, 1}, "", ""}, 2);
  EXPECT_EQ(text, "1 |** *******\n0 |\n");
}

TEST(LineChartTest, OddInputIsHarmless) {
  EXPECT_EQ(LineChart({}, {}), "no values\n");
  EXPECT_EQ(LineChart({}, {{std::nan("")}, "", ""}), "no values\n");
  EXPECT_NE(LineChart({}, {{0.0}, "", ""}).find("0 "), std::string::npos);
  EXPECT_NE(LineChart({}, {{-3.0, -1.0}, "", ""}).find("-3"), std::string::npos);
}

TEST(ChartTest, NothingIsWiderThanTheScreenAndLabelsAreHarmless) {
  const std::string label = "a very long label of a stage that does not end\033[2J";
  for (const int width : {50, 60, 80, 120, 300}) {
    const Screen screen{.tty = true, .width = width};
    ExpectFits(BarChart(screen, {{label, 1e9}}), width);
    ExpectFits(Funnel(screen, {{label, 1'000'000}, {label, 5}}), width);
    ExpectFits(
        HeatTable(screen, label, "M", {{label, 5, std::vector<std::optional<double>>(99, 1.0)}}),
        width);
    ExpectFits(LineChart(screen, {std::vector<std::optional<double>>(999, 1.0), "a", "b"}), width);
    EXPECT_EQ(BarChart(screen, {{label, 1}}).find('\033'), std::string::npos);
  }
}

}  // namespace
}  // namespace clm::terminal
