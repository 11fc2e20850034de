#include "services/contact/cdnow_file.h"

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/time_text.h"
#include "libs/testing/test_data.h"

namespace clm::contact {
namespace {

using ::testing::ElementsAre;

// "2 00004 1997-01-01 2 2933 #1" per purchase, "3 refused: ..." for a bad line.
std::vector<std::string> Read(CdnowReader& reader, absl::string_view file,
                              size_t chunk = absl::string_view::npos) {
  std::vector<std::string> lines;
  const auto sink = [&](const CdnowPurchase& p) {
    lines.push_back(p.status.ok()
                        ? absl::StrCat(p.line, " ", p.customer, " ", clm::FormatDay(p.day), " ",
                                       p.pieces, " ", p.amount_cents, " #", p.ordinal)
                        : absl::StrCat(p.line, " refused: ", p.status.message()));
  };
  for (size_t at = 0; at < file.size(); at += std::min(chunk, file.size())) {
    reader.Feed(file.substr(at, chunk), sink);
  }
  reader.Finish(sink);
  return lines;
}

constexpr char kMaster[] =
    " customer_id  date number_of_cds  dollar_value\r\n"
    " 00001 19970101  1   11.77\r\n"
    " 00002 19970112  5   77.00\r\n"
    " 00002 19970112  5   77.00\r\n";
constexpr char kSample[] =
    " 00004 0001 19970101  2   29.33\r\n"
    " 00004 0001 19970118  2   29.73\r\n"
    " 00021 0002 19970101  3   0.00";

TEST(CdnowTest, BothFormsAreRead) {
  for (const size_t chunk : {size_t{1}, size_t{7}, absl::string_view::npos}) {
    CdnowReader master;
    EXPECT_THAT(Read(master, kMaster, chunk),
                ElementsAre("2 00001 1997-01-01 1 1177 #1", "3 00002 1997-01-12 5 7700 #1",
                            "4 00002 1997-01-12 5 7700 #2"));
    EXPECT_EQ(master.form(), CdnowReader::Form::kMaster);
    EXPECT_EQ(master.customers(), 2u);
    CdnowReader sample;
    EXPECT_THAT(Read(sample, kSample, chunk),
                ElementsAre("1 00004 1997-01-01 2 2933 #1", "2 00004 1997-01-18 2 2973 #2",
                            "3 00021 1997-01-01 3 0 #1"));
    EXPECT_EQ(sample.form(), CdnowReader::Form::kSample);
  }
}

TEST(CdnowTest, BadLinesAreToldAndNeverStopTheRest) {
  CdnowReader reader;
  const std::string file = absl::StrCat(
      "00001 19970101 1 11.77\n00001 19970230 1 1.00\n00001 19970101 x 1.00\n"
      "00001 19970101 1 1.005\n00001 19970101 1 -1.00\n00001 19970101 1\nADA 19970101 1 1.00\n",
      std::string(300, '1'), "\n\n00002 19970101 1 1\n\x1A");
  EXPECT_THAT(
      Read(reader, file),
      ElementsAre("1 00001 1997-01-01 1 1177 #1", "2 refused: date: must be a day, 19970131",
                  "3 refused: number_of_cds: must be a whole number",
                  "4 refused: dollar_value: must be an amount like 12.50",
                  "5 refused: dollar_value: must be an amount like 12.50",
                  "6 refused: has 3 fields instead of 4",
                  "7 refused: customer_id: must be a number", "8 refused: longer than 256 bytes",
                  "10 00002 1997-01-01 1 100 #1"));
}

TEST(CdnowTest, EveryBadFieldOfALineIsNamed) {
  CdnowReader reader;
  EXPECT_THAT(Read(reader, "x y 1 z w\n"),
              ElementsAre("1 refused: customer_id: must be a number; sample_id: must be a number; "
                          "date: must be a day, 19970131; number_of_cds: must be a whole number; "
                          "dollar_value: must be an amount like 12.50"));
}

// The published files; nullopt where they are not at hand.
std::optional<std::string> DataFile(const std::string& name) {
  std::ifstream in(clm::testing::TestDataFile(name), std::ios::binary);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Totals {
  int64_t purchases = 0;
  int64_t refused = 0;
  int64_t pieces = 0;
  int64_t cents = 0;
  size_t customers = 0;
};

Totals Sum(absl::string_view file) {
  Totals totals;
  CdnowReader reader;
  const auto sink = [&](const CdnowPurchase& p) {
    if (!p.status.ok()) {
      ++totals.refused;
      return;
    }
    ++totals.purchases;
    totals.pieces += p.pieces;
    totals.cents += p.amount_cents;
  };
  reader.Feed(file, sink);
  reader.Finish(sink);
  totals.customers = reader.customers();
  return totals;
}

TEST(CdnowDataTest, TheSampleHasItsPublishedSize) {
  const auto file = DataFile("CDNOW_sample.txt");
  if (!file) GTEST_SKIP() << "no CDNOW_sample.txt; set CLM_TEST_DATA";
  const Totals totals = Sum(*file);
  EXPECT_EQ(totals.customers, 2357u);
  EXPECT_EQ(totals.purchases, 6919);
  EXPECT_EQ(totals.refused, 0);
}

TEST(CdnowDataTest, TheMasterFileHasItsPublishedSize) {
  const auto file = DataFile("CDNOW_master.txt");
  if (!file) GTEST_SKIP() << "no CDNOW_master.txt; set CLM_TEST_DATA";
  const Totals totals = Sum(*file);
  EXPECT_EQ(totals.customers, 23570u);
  EXPECT_EQ(totals.purchases, 69659);
  EXPECT_EQ(totals.refused, 0);
}

}  // namespace
}  // namespace clm::contact
