// The whole of `clm bench` in small: every figure is measured and no call fails. How fast anything
// was does not matter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "libs/stack/child_process.h"
#include "libs/testing/temp_folder.h"
#include "tools/bench/figures.h"

namespace clm::bench {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;

class BenchSmokeTest : public ::testing::Test {
 protected:
  // Customers who buy one to three times, in the form of the sample.
  std::string PurchaseLog() const {
    const std::string path = folder_.File("cdnow.txt");
    std::ofstream out(path);
    for (int customer = 1; customer <= 60; ++customer) {
      for (int month = 1; month <= 1 + customer % 3; ++month) {
        char line[64];
        snprintf(line, sizeof(line), " %05d %04d 1997%02d%02d  1   11.77\n", customer, customer,
                 month, 1 + customer % 28);
        out << line;
      }
    }
    return path;
  }

  nlohmann::json Bench(std::vector<std::string> arguments) const {
    stack::Command command;
    command.argv = {std::string(CLM_BIN_DIR) + "/clm",
                    "bench",
                    "-o",
                    "json",
                    "--pairs",
                    "2",
                    "--seconds",
                    "1",
                    "--keep-disturbed"};
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    const auto output = stack::Output(std::move(command), absl::Minutes(10));
    EXPECT_TRUE(output.ok()) << output.status();
    return output.ok() ? nlohmann::json::parse(*output) : nlohmann::json::array();
  }

  static void ExpectMeasured(const nlohmann::json& rows) {
    for (const auto& row : rows) {
      EXPECT_EQ(row["failed"], 0) << row;
      EXPECT_TRUE(row["value"].is_number() && row["value"] > 0) << row;
      EXPECT_THAT(row["reached"].get<std::string>(), AnyOf("no", "at least", "aim")) << row;
      EXPECT_FALSE(row["at_least"].is_null()) << row;
      EXPECT_FALSE(row["aim"].is_null()) << row;
    }
  }

  static std::vector<std::string> Figures(const nlohmann::json& rows) {
    std::vector<std::string> figures;
    for (const auto& row : rows) figures.push_back(row["figure"]);
    return figures;
  }

  ::clm::testing::TempFolder folder_;
};

TEST_F(BenchSmokeTest, EveryFigureIsMeasuredAndNothingFails) {
  const nlohmann::json rows = Bench(
      {"--contacts", "600", "--accounts", "500", "--entries", "3000", "--cdnow", PurchaseLog()});
  EXPECT_THAT(Figures(rows), ::testing::UnorderedElementsAreArray(FigureNames()));
  ExpectMeasured(rows);
  for (const auto& row : rows) {
    if (row["unit"] != "ratio") continue;
    for (const char* key : {"rate", "ceiling_rate", "cpu_us", "ceiling_cpu_us", "p50_ms"}) {
      EXPECT_TRUE(row[key].is_number() && row[key] > 0) << key << " of " << row;
    }
    EXPECT_EQ(row["rounds"], 2) << row;
  }
}

TEST_F(BenchSmokeTest, FiguresThatWereAskedForAndNoOthersByTheOtherClientToo) {
  const nlohmann::json rows =
      Bench({"--contacts", "300", "--only", "skeleton,move", "--client", "grpc"});
  EXPECT_THAT(Figures(rows), ElementsAre("skeleton", "move"));
  ExpectMeasured(rows);
}

TEST_F(BenchSmokeTest, GrowthIsShownForEverySize) {
  const nlohmann::json rows = Bench({"--scale", "--sizes", "300,3000"});
  EXPECT_THAT(Figures(rows), ElementsAre("get-fresh 300", "get-fresh 3000", "create 300",
                                         "create 3000", "rules 300", "rules 3000"));
  ExpectMeasured(rows);
}

TEST_F(BenchSmokeTest, AnUnknownFigureIsAnErrorThatNamesIt) {
  stack::Command command;
  command.argv = {std::string(CLM_BIN_DIR) + "/clm", "bench", "--only", "speed"};
  const auto output = stack::Output(std::move(command), absl::Minutes(1));
  EXPECT_THAT(std::string(output.status().message()), ::testing::HasSubstr("speed"));
}

}  // namespace
}  // namespace clm::bench
