// The CDNOW files, for tests. See libs/testing/test_data.h; a file that is absent has no rows.
#ifndef CLM_LIBS_PREDICT_CDNOW_H_
#define CLM_LIBS_PREDICT_CDNOW_H_

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "libs/predict/history.h"
#include "libs/predict/spend_model.h"
#include "libs/testing/test_data.h"

namespace clm::predict::cdnow {

// The published summary, in weeks rounded to two places, and mean spends in dollars: the input of
// the published fits.
struct Published {
  std::vector<Observation> sample;
  std::vector<double> mean_spend;  // 0 without a repeat.
};
inline Published ReadPublished() {
  Published published;
  std::ifstream file(testing::TestDataFile("cdnow_customers_summary_with_transactions.csv"));
  std::string line;
  std::getline(file, line);
  for (char comma = ','; std::getline(file, line);) {
    std::istringstream fields(line);
    double id = 0, x = 0, recency = 0, age = 0, spend = 0;
    fields >> id >> comma >> x >> comma >> recency >> comma >> age >> comma >> spend;
    published.sample.push_back(
        {{static_cast<int64_t>(x), TimeSpan::Weeks(recency), TimeSpan::Weeks(age)}, 1});
    published.mean_spend.push_back(spend);
  }
  return published;
}

inline std::vector<Spend> Returning(const Published& published) {
  std::vector<Spend> spends;
  for (size_t i = 0; i < published.sample.size(); ++i) {
    const int64_t x = published.sample[i].history.frequency;
    if (x > 0) spends.push_back({x, published.mean_spend[i], 1});
  }
  return spends;
}

// The log of a file whose lines end in day, pieces, dollars; by the customer's
// last id, which is that within the file.
inline std::map<std::string, std::vector<Purchase>> ReadLog(const std::string& name) {
  std::map<std::string, std::vector<Purchase>> log;
  std::ifstream file(testing::TestDataFile(name));
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::vector<std::string> fields;
    for (std::string word; words >> word;) fields.push_back(word);
    if (fields.size() < 4 || fields[fields.size() - 3].size() != 8) continue;
    const int day = std::stoi(fields[fields.size() - 3]);
    log[fields[fields.size() - 4]].push_back(
        {absl::CivilDay(day / 10000, day / 100 % 100, day % 100),
         std::llround(std::stod(fields.back()) * 100)});
  }
  return log;
}

// The end of the calibration, week 39.
inline constexpr absl::CivilDay kCalibrationEnd(1997, 9, 30);

}  // namespace clm::predict::cdnow

#endif  // CLM_LIBS_PREDICT_CDNOW_H_
