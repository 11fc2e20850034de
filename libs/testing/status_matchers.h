// gMock matchers for absl::Status and absl::StatusOr.
#ifndef CLM_LIBS_TESTING_STATUS_MATCHERS_H_
#define CLM_LIBS_TESTING_STATUS_MATCHERS_H_

#include <ostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"

namespace clm::testing {

inline const absl::Status& GetStatus(const absl::Status& status) { return status; }
template <class T>
const absl::Status& GetStatus(const absl::StatusOr<T>& result) {
  return result.status();
}

// EXPECT_THAT(status_or_result, IsOk())
MATCHER(IsOk, "is OK") {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).ok();
}

// EXPECT_THAT(result, StatusIs(absl::StatusCode::kNotFound))
MATCHER_P(StatusIs, code,
          std::string(negation ? "is not " : "is ") + absl::StatusCodeToString(code)) {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).code() == code;
}

// EXPECT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("email: ")))
MATCHER_P2(StatusIs, code, message,
           std::string(negation ? "is not " : "is ") + absl::StatusCodeToString(code) +
               " with a message that " +
               ::testing::DescribeMatcher<std::string>(message, negation)) {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).code() == code &&
         ::testing::ExplainMatchResult(message, std::string(GetStatus(arg).message()),
                                       result_listener);
}

// EXPECT_THAT(result, ReasonIs("REQUEST_ID_REUSED")): the reason of the ErrorInfo.
MATCHER_P(ReasonIs, reason, std::string(negation ? "has not" : "has") + " the reason " + reason) {
  *result_listener << GetStatus(arg).ToString();
  return error::Reason(GetStatus(arg)) == reason;
}

// EXPECT_THAT(result, IsOkAndHolds(Eq(3)))
MATCHER_P(IsOkAndHolds, value, "is OK and holds what was expected") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value, *arg, result_listener);
}

}  // namespace clm::testing

#define CLM_ASSERT_OK(expr) ASSERT_THAT(expr, ::clm::testing::IsOk())
#define CLM_EXPECT_OK(expr) EXPECT_THAT(expr, ::clm::testing::IsOk())

// CLM_ASSERT_OK_AND_ASSIGN(const auto contact, store.Get(key));
#define CLM_ASSERT_OK_AND_ASSIGN(lhs, expr) \
  CLM_ASSERT_OK_AND_ASSIGN_(CLM_TESTING_CONCAT_(clm_result_, __LINE__), lhs, expr)
#define CLM_ASSERT_OK_AND_ASSIGN_(tmp, lhs, expr) \
  auto tmp = (expr);                              \
  ASSERT_TRUE(tmp.ok()) << tmp.status();          \
  lhs = *std::move(tmp)
#define CLM_TESTING_CONCAT_INNER_(a, b) a##b
#define CLM_TESTING_CONCAT_(a, b) CLM_TESTING_CONCAT_INNER_(a, b)

#endif  // CLM_LIBS_TESTING_STATUS_MATCHERS_H_
