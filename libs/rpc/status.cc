#include "libs/rpc/status.h"

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace clm::rpc {
namespace {

constexpr size_t kMaxMessage = 1024;
constexpr size_t kMaxTotal = 4096;
constexpr size_t kMinText = 32;

// Cuts at a character boundary, so that the text stays valid UTF-8.
std::string Shortened(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  size_t end = limit - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

bool WrittenForCallers(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kInternal && status.code() != absl::StatusCode::kUnknown) {
    return true;
  }
  return !error::Reason(status).empty();
}

// Violations are dropped from the end until the whole fits.
void DropViolations(google::rpc::Status& wire) {
  for (auto& any : *wire.mutable_details()) {
    google::rpc::BadRequest bad;
    if (!any.UnpackTo(&bad)) continue;
    while (wire.ByteSizeLong() > kMaxTotal && bad.field_violations_size() > 1) {
      bad.mutable_field_violations()->RemoveLast();
      any.PackFrom(bad);
    }
  }
}

// Cuts the texts of each detail that has some of its own; those of a RetryInfo and a RequestInfo
// are as short as they can be.
void ShortenTexts(google::rpc::Status& wire, size_t limit) {
  for (auto& any : *wire.mutable_details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    google::rpc::PreconditionFailure failure;
    if (any.UnpackTo(&info)) {
      for (auto& [key, value] : *info.mutable_metadata()) value = Shortened(value, limit);
      any.PackFrom(info);
    } else if (any.UnpackTo(&bad)) {
      for (auto& violation : *bad.mutable_field_violations()) {
        violation.set_field(Shortened(violation.field(), limit));
        violation.set_description(Shortened(violation.description(), limit));
      }
      any.PackFrom(bad);
    } else if (any.UnpackTo(&failure)) {
      for (auto& violation : *failure.mutable_violations()) {
        violation.set_description(Shortened(violation.description(), limit));
      }
      any.PackFrom(failure);
    }
  }
}

// What says most goes last.
void Fit(google::rpc::Status& wire) {
  if (wire.ByteSizeLong() > kMaxTotal) DropViolations(wire);
  for (size_t limit = kMaxMessage; wire.ByteSizeLong() > kMaxTotal && limit >= kMinText;
       limit /= 2) {
    ShortenTexts(wire, limit);
  }
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status wire;
  wire.set_code(static_cast<int>(status.code()));
  wire.set_message(WrittenForCallers(status) ? Shortened(status.message(), kMaxMessage)
                                             : "internal error");
  if (error::Reason(status).empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(absl::StatusCodeToString(status.code()));
    info.set_domain(error::kDomain);
    wire.add_details()->PackFrom(info);
  }
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    // Only the public detail types leave the process; other payloads are for layers within.
    if (url.find("/google.rpc.") == absl::string_view::npos) return;
    auto* any = wire.add_details();
    any->set_type_url(std::string(url));
    any->set_value(std::string(payload));
  });
  Fit(wire);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), wire.message(),
                      wire.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status wire;
  if (wire.ParseFromString(status.error_details())) {
    for (const auto& any : wire.details()) {
      result.SetPayload(any.type_url(), absl::Cord(any.value()));
    }
  }
  return result;
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status out;
  if (status.ok()) return out;
  const grpc::Status wire = ToGrpc(status);
  if (!out.ParseFromString(wire.error_details())) {
    out.set_code(static_cast<int>(wire.error_code()));
    out.set_message(wire.error_message());
  }
  return out;
}

}  // namespace clm::rpc
