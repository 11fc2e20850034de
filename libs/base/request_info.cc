#include "libs/base/request_info.h"

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"

namespace clm::error {
namespace {

constexpr char kRequestInfoUrl[] = "type.googleapis.com/google.rpc.RequestInfo";

}  // namespace

absl::Status WithRequestId(absl::Status status, absl::string_view request_id) {
  google::rpc::RequestInfo info;
  info.set_request_id(std::string(request_id));
  status.SetPayload(kRequestInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

std::string RequestId(const absl::Status& status) {
  const auto payload = status.GetPayload(kRequestInfoUrl);
  google::rpc::RequestInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return "";
  return info.request_id();
}

}  // namespace clm::error
