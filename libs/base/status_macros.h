// Early return for absl::Status and absl::StatusOr, with the semantics of the macros that newer
// abseil releases ship, so that they can replace these.
#ifndef CLM_LIBS_BASE_STATUS_MACROS_H_
#define CLM_LIBS_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define CLM_RETURN_IF_ERROR(expr)                               \
  do {                                                          \
    if (absl::Status clm_status_ = (expr); !clm_status_.ok()) { \
      return clm_status_;                                       \
    }                                                           \
  } while (false)

#define CLM_STATUS_CONCAT_INNER_(a, b) a##b
#define CLM_STATUS_CONCAT_(a, b) CLM_STATUS_CONCAT_INNER_(a, b)

#define CLM_ASSIGN_OR_RETURN(lhs, expr) \
  CLM_ASSIGN_OR_RETURN_(CLM_STATUS_CONCAT_(clm_status_or_, __LINE__), lhs, expr)
#define CLM_ASSIGN_OR_RETURN_(tmp, lhs, expr)    \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  lhs = *std::move(tmp)

#endif  // CLM_LIBS_BASE_STATUS_MACROS_H_
