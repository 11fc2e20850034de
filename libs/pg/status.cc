#include "libs/pg/status.h"

#include <atomic>
#include <exception>
#include <memory>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/pg/libpq.h"
#include "libs/pg/pg.h"
#include "libs/pg/pqxx_compat.h"

namespace clm::pg {
namespace {

// Payloads for this process only; libs/rpc sends none but the google.rpc details.
constexpr char kSqlStateUrl[] = "clm.dev/pg/sqlstate";
constexpr char kConstraintUrl[] = "clm.dev/pg/constraint";

constexpr absl::Duration kRetryAfter = absl::Milliseconds(500);

std::atomic<const ErrorLog*> error_log{nullptr};

void Log(const ErrorDetail& detail) {
  const ErrorLog* log = error_log.load(std::memory_order_acquire);
  if (log != nullptr) (*log)(detail);
}

std::string PayloadText(const absl::Status& status, const char* url) {
  const auto payload = status.GetPayload(url);
  return payload.has_value() ? std::string(*payload) : "";
}

absl::Status Classify(absl::string_view state) {
  using absl::StatusCode;
  const absl::string_view kind = state.substr(0, 2);
  if (state == "40001" || state == "40P01") {
    return error::Make(StatusCode::kAborted, "DATABASE_CONFLICT",
                       "a concurrent change got in the way; repeat the request");
  }
  if (state == "40003") {
    return error::Unavailable("COMMIT_UNKNOWN",
                              "the database did not tell whether the change was made; repeat the "
                              "request with the same request_id",
                              kRetryAfter);
  }
  if (state == "55P03") {
    return error::Make(StatusCode::kAborted, "LOCK_TIMEOUT",
                       "a lock was not free in time; repeat the request");
  }
  if (state == "57014") {
    return error::Make(StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                       "the database did not finish before the deadline");
  }
  if (state == "23505") {
    return error::Make(StatusCode::kAlreadyExists, "ALREADY_EXISTS",
                       "an entry with this key already exists");
  }
  if (state == "23503") {
    return error::Precondition("REFERENCE_VIOLATION",
                               "the change refers to, or is referred to by, something else");
  }
  if (state == "42501") {
    return error::Make(StatusCode::kPermissionDenied, "ACCESS_POLICY",
                       "the database's access policy refused the operation");
  }
  if (kind == "22") {
    return error::Make(StatusCode::kInvalidArgument, "DATA_REJECTED",
                       "a value cannot be stored: wrong encoding, format or range");
  }
  if (kind == "08" || kind == "53" || state == "25P03" || absl::StartsWith(state, "57P")) {
    return ConnectionLost();
  }
  return error::Internal("the database refused the operation");
}

// "ERROR:  23505: duplicate key ..." up to the end of the line: the parts after it quote values.
std::string PrimaryLine(absl::string_view message) {
  return std::string(message.substr(0, message.find('\n')));
}

// The state in a verbose message, "ERROR:  42501: ...": libpqxx 6.4 drops some.
std::string StateIn(absl::string_view verbose_message) {
  const absl::string_view line = verbose_message.substr(0, verbose_message.find('\n'));
  const size_t at = line.find(":  ");
  if (at == absl::string_view::npos || line.size() < at + 9 || line[at + 8] != ':') return "";
  return std::string(line.substr(at + 3, 5));
}

}  // namespace

absl::Status ConnectionLost() {
  return error::Unavailable("DATABASE_UNAVAILABLE", "the database cannot be reached", kRetryAfter);
}

absl::Status FromSqlState(absl::string_view state, absl::string_view constraint) {
  absl::Status status = Classify(state);
  status.SetPayload(kSqlStateUrl, absl::Cord(state));
  if (!constraint.empty()) status.SetPayload(kConstraintUrl, absl::Cord(constraint));
  return status;
}

std::string ConstraintIn(absl::string_view verbose_message) {
  constexpr absl::string_view kLabel = "\nCONSTRAINT NAME:  ";
  const size_t at = verbose_message.rfind(kLabel);
  if (at == absl::string_view::npos) return "";
  verbose_message.remove_prefix(at + kLabel.size());
  return std::string(verbose_message.substr(0, verbose_message.find('\n')));
}

absl::Status StatusFromCurrentException(absl::string_view doing, bool connected) {
  ErrorDetail detail{.statement = std::string(doing)};
  absl::Status status;
  try {
    throw;
  } catch (const Refusal& e) {
    detail.sqlstate = e.state();
    detail.constraint = e.constraint();
    detail.message = PrimaryLine(e.what());
    status = e.state().empty() ? ConnectionLost() : FromSqlState(e.state(), e.constraint());
  } catch (const pqxx::sql_error& e) {
    detail.sqlstate = e.sqlstate().empty() ? StateIn(e.what()) : e.sqlstate();
    detail.constraint = ConstraintIn(e.what());
    detail.message = PrimaryLine(e.what());
    status = FromSqlState(detail.sqlstate, detail.constraint);
  } catch (const pqxx::broken_connection& e) {
    detail.message = PrimaryLine(e.what());
    status = ConnectionLost();
  } catch (const std::exception& e) {
    detail.message = PrimaryLine(e.what());
    if (const char* state = compat::RollbackState(e)) {
      detail.sqlstate = state;
      status = FromSqlState(state, "");
    } else {
      status = error::Internal("the database layer failed");
    }
  }
  if (!connected && !absl::IsUnavailable(status)) status = ConnectionLost();
  Log(detail);
  return status;
}

bool IsRetryable(const absl::Status& status) {
  return absl::IsAborted(status) && error::Reason(status) == "DATABASE_CONFLICT";
}

absl::Status Retry() { return FromSqlState("40001", ""); }

void SetErrorLog(ErrorLog log) {
  const ErrorLog* expected = nullptr;
  auto* set = new ErrorLog(std::move(log));  // For the process's life.
  if (!error_log.compare_exchange_strong(expected, set, std::memory_order_acq_rel)) delete set;
}

std::string SqlState(const absl::Status& status) { return PayloadText(status, kSqlStateUrl); }

std::string ConstraintName(const absl::Status& status) {
  return PayloadText(status, kConstraintUrl);
}

}  // namespace clm::pg
