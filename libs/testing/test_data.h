// Published data files that tests compare with. They are not part of the tree.
#ifndef CLM_LIBS_TESTING_TEST_DATA_H_
#define CLM_LIBS_TESTING_TEST_DATA_H_

#include <string>

namespace clm::testing {

// The path of a file in the folder that CLM_TEST_DATA names, or in shared/data beside the checkout.
// The file need not be there; a test that wants it is skipped then.
std::string TestDataFile(const std::string& name);

}  // namespace clm::testing

#endif  // CLM_LIBS_TESTING_TEST_DATA_H_
