#include "libs/base/error.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace clm::error {
namespace {

constexpr char kEtagMismatch[] = "ETAG_MISMATCH";

template <class Message>
void Attach(absl::Status& status, const char* url, const Message& detail) {
  status.SetPayload(url, absl::Cord(detail.SerializeAsString()));
}

template <class Message>
bool Read(const absl::Status& status, const char* url, Message* detail) {
  const auto payload = status.GetPayload(url);
  return payload.has_value() && detail->ParseFromString(std::string(*payload));
}

absl::Status BadRequest(const std::vector<std::pair<std::string, std::string>>& violations) {
  std::string message;
  google::rpc::BadRequest detail;
  for (const auto& [field, what] : violations) {
    if (static_cast<size_t>(detail.field_violations_size()) == FieldErrors::kMostShown) {
      absl::StrAppend(&message, "; and ", violations.size() - FieldErrors::kMostShown, " more");
      break;
    }
    absl::StrAppend(&message, message.empty() ? "" : "; ", field, field.empty() ? "" : ": ", what);
    auto* violation = detail.add_field_violations();
    violation->set_field(field);
    violation->set_description(what);
  }
  absl::Status status = Make(absl::StatusCode::kInvalidArgument, "INVALID_ARGUMENT", message);
  Attach(status, kBadRequestUrl, detail);
  return status;
}

// What a caller does about ABORTED is the same again, at once; but not in step with the others.
constexpr absl::Duration kAbortedRetryAfter = absl::Milliseconds(20);

void AttachRetry(absl::Status& status, absl::Duration after) {
  google::rpc::RetryInfo detail;
  const int64_t nanos = absl::ToInt64Nanoseconds(after);
  detail.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
  detail.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  Attach(status, kRetryInfoUrl, detail);
}

}  // namespace

absl::Status Make(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                  const Metadata& metadata) {
  absl::Status status(code, message);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(kDomain);
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  Attach(status, kErrorInfoUrl, info);
  if (code == absl::StatusCode::kAborted && reason != kEtagMismatch) {
    AttachRetry(status, kAbortedRetryAfter);
  }
  return status;
}

absl::Status NotFound(absl::string_view resource_name) {
  return Make(absl::StatusCode::kNotFound, "NOT_FOUND", absl::StrCat("not found: ", resource_name),
              {{"resource", std::string(resource_name)}});
}

absl::Status InvalidField(absl::string_view field, absl::string_view what) {
  return BadRequest({{std::string(field), std::string(what)}});
}

absl::Status Precondition(absl::string_view reason, absl::string_view message,
                          const Metadata& metadata) {
  absl::Status status = Make(absl::StatusCode::kFailedPrecondition, reason, message, metadata);
  google::rpc::PreconditionFailure detail;
  auto* violation = detail.add_violations();
  violation->set_type(std::string(reason));
  violation->set_description(std::string(message));
  Attach(status, kPreconditionUrl, detail);
  return status;
}

absl::Status EtagMismatch(absl::string_view field, absl::string_view current) {
  return Make(absl::StatusCode::kAborted, kEtagMismatch,
              absl::StrCat(field, ": stale; read the resource again and repeat the change"),
              {{"field", std::string(field)}, {"current_etag", std::string(current)}});
}

absl::Status Unavailable(absl::string_view reason, absl::string_view message,
                         absl::Duration retry_after) {
  absl::Status status = Make(absl::StatusCode::kUnavailable, reason, message);
  AttachRetry(status, retry_after);
  return status;
}

absl::Status Internal(absl::string_view message) {
  return Make(absl::StatusCode::kInternal, "INTERNAL", message);
}

std::string Reason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return Read(status, kErrorInfoUrl, &info) ? info.reason() : "";
}

std::string MetadataValue(const absl::Status& status, absl::string_view key) {
  google::rpc::ErrorInfo info;
  if (!Read(status, kErrorInfoUrl, &info)) return "";
  const auto it = info.metadata().find(std::string(key));
  return it == info.metadata().end() ? "" : it->second;
}

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kCancelled:
      return true;
    case absl::StatusCode::kAborted:
      return Reason(status) != kEtagMismatch;
    default:
      return false;
  }
}

void FieldErrors::Add(absl::string_view field, absl::string_view what) {
  violations_.emplace_back(std::string(field), std::string(what));
}

void FieldErrors::AddStatus(absl::string_view prefix, const absl::Status& status) {
  if (status.ok()) return;
  const auto inner = FieldViolations(status);
  if (inner.empty()) return Add(prefix, status.message());
  for (const auto& [field, what] : inner) {
    Add(prefix.empty()  ? field
        : field.empty() ? std::string(prefix)
                        : absl::StrCat(prefix, ".", field),
        what);
  }
}

bool FieldErrors::Names(absl::string_view field) const {
  return std::any_of(violations_.begin(), violations_.end(),
                     [&](const auto& violation) { return violation.first == field; });
}

absl::Status FieldErrors::ToStatus() const {
  return violations_.empty() ? absl::OkStatus() : BadRequest(violations_);
}

std::vector<std::pair<std::string, std::string>> FieldViolations(const absl::Status& status) {
  std::vector<std::pair<std::string, std::string>> result;
  google::rpc::BadRequest detail;
  if (!Read(status, kBadRequestUrl, &detail)) return result;
  for (const auto& v : detail.field_violations()) result.emplace_back(v.field(), v.description());
  return result;
}

}  // namespace clm::error
