#include "tools/terminal/outcome.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "libs/base/error.h"
#include "libs/base/request_info.h"
#include "tools/terminal/number_text.h"

namespace clm::terminal {
namespace {

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const auto payload = status.GetPayload(error::kRetryInfoUrl);
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::nullopt;
  return absl::Seconds(info.retry_delay().seconds()) +
         absl::Nanoseconds(info.retry_delay().nanos());
}

// What to do next, in words; empty when the message says it all.
std::string Hint(const absl::Status& status) {
  const std::string reason = error::Reason(status);
  if (reason == "ETAG_MISMATCH") return "somebody changed it meanwhile; get it again, then repeat";
  if (reason == "SECOND_PERSON_NEEDED") {
    return "clm loyalty adjustments propose takes the same words; somebody else approves it then";
  }
  if (reason == "SAME_PERSON") return "somebody else approves it, with a token of their own";
  // Says itself what to do.
  if (reason == "INVITATION_INVALID") return "";
  if (reason == "REQUEST_ID_REUSED") return "take a new request id for a new request";
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return "look at the names with the list command; a name of another tenant is not found "
             "either";
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded: {
      const auto delay = RetryDelay(status);
      return absl::StrCat("is the suite running? see: clm status",
                          delay ? absl::StrCat("; else try again in ", DurationText(*delay)) : "");
    }
    case absl::StatusCode::kResourceExhausted: {
      const auto delay = RetryDelay(status);
      return delay ? absl::StrCat("try again in ", DurationText(*delay)) : "try again later";
    }
    case absl::StatusCode::kUnauthenticated:
      return "pass a token with --token or CLM_TOKEN; clm tokens create makes one";
    case absl::StatusCode::kPermissionDenied: {
      const std::string scope = error::MetadataValue(status, "scope");
      return scope.empty() ? "" : absl::StrCat("the token needs the scope ", scope);
    }
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss: {
      const std::string trace = error::RequestId(status);
      return trace.empty() ? "" : absl::StrCat("clm logs tells more, of the trace ", trace);
    }
    default:
      return "";
  }
}

// Distance of optimal string alignment: edits and swaps of neighbours.
int Distance(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

Exit ExitFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return Exit::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return Exit::kUsage;
    case absl::StatusCode::kNotFound:
      return Exit::kNotFound;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kFailedPrecondition:
      return Exit::kConflict;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return Exit::kUnavailable;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return Exit::kPermission;
    default:
      return Exit::kFailure;
  }
}

std::string ErrorText(const Screen& screen, const absl::Status& status) {
  if (status.ok()) return "";
  const auto fields = error::FieldViolations(status);
  std::string reason = error::Reason(status);
  if (reason.empty()) reason = absl::StatusCodeToString(status.code());
  const std::string head = Paint(screen, Tone::kBad, "error:");
  std::string text;
  if (fields.empty()) {
    absl::StrAppend(&text, head, " ",
                    status.message().empty() ? "" : absl::StrCat(Printable(status.message()), " "),
                    "(", Printable(reason), ")\n");
  } else {
    absl::StrAppend(&text, head, " ",
                    fields.size() == 1 ? "a field is" : absl::StrCat(fields.size(), " fields are"),
                    " not valid (", Printable(reason), ")\n");
    for (const auto& [field, what] : fields) {
      absl::StrAppend(&text, "  ", Paint(screen, Tone::kStrong, Printable(field)),
                      field.empty() ? "" : ": ", Printable(what), "\n");
    }
  }
  const std::string hint = Hint(status);
  if (!hint.empty()) {
    absl::StrAppend(&text, Paint(screen, Tone::kMuted, "hint:"), " ", Printable(hint), "\n");
  }
  return text;
}

std::string ErrorJson(const absl::Status& status) {
  if (status.ok()) return "";
  nlohmann::ordered_json body;
  body["code"] = absl::StatusCodeToString(status.code());
  body["exit_code"] = static_cast<int>(ExitFor(status));
  const std::string reason = error::Reason(status);
  if (!reason.empty()) body["reason"] = reason;
  body["message"] = std::string(status.message());
  for (const auto& [field, what] : error::FieldViolations(status)) {
    body["fields"].push_back({{"field", field}, {"description", what}});
  }
  const std::string trace = error::RequestId(status);
  if (!trace.empty()) body["trace"] = trace;
  const std::string hint = Hint(status);
  if (!hint.empty()) body["hint"] = hint;
  const nlohmann::ordered_json line = {{"error", body}};
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::optional<std::string> Nearest(absl::string_view word,
                                   const std::vector<std::string>& candidates) {
  if (word.empty()) return std::nullopt;
  const std::string wanted = absl::AsciiStrToLower(word);
  const std::string* best = nullptr;
  int best_distance = std::max(1, static_cast<int>(wanted.size()) / 3) + 1;
  const std::string* prefixed = nullptr;
  int prefixed_count = 0;
  for (const std::string& candidate : candidates) {
    const std::string lower = absl::AsciiStrToLower(candidate);
    const int distance = Distance(wanted, lower);
    if (distance < best_distance) {
      best_distance = distance;
      best = &candidate;
    }
    if (absl::StartsWith(lower, wanted)) {
      prefixed = &candidate;
      ++prefixed_count;
    }
  }
  if (best == nullptr && prefixed_count == 1) best = prefixed;
  return best == nullptr ? std::nullopt : std::optional(*best);
}

}  // namespace clm::terminal
