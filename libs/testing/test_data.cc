#include "libs/testing/test_data.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace clm::testing {

std::string TestDataFile(const std::string& name) {
  const char* folder = std::getenv("CLM_TEST_DATA");
  return absl::StrCat(folder != nullptr ? folder : CLM_DATA_FOLDER, "/", name);
}

}  // namespace clm::testing
