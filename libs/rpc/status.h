// The one mapping between absl::Status and what gRPC carries: google.rpc.Status in the trailers
// (AIP-193). Pure functions.
#ifndef CLM_LIBS_RPC_STATUS_H_
#define CLM_LIBS_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/rpc/status.pb.h"
#include "libs/base/error.h"

namespace clm::rpc {

// For servers. Every error leaves with an ErrorInfo: one that has none gets its code's name as
// reason, and the text of an INTERNAL or UNKNOWN one is replaced, because it was not written for
// callers. Message and details together stay below 4 KiB.
grpc::Status ToGrpc(const absl::Status& status);

// For clients: the inverse, so that error::Reason and the like work on a remote error.
absl::Status FromGrpc(const grpc::Status& status);

// A status as an element of an answer, with the details that ToGrpc gives it.
google::rpc::Status ToRpcStatus(const absl::Status& status);

// The message of type T that `bytes` holds; INTERNAL when they hold none. Passes an error on.
template <class T>
absl::StatusOr<T> ParseAs(const absl::StatusOr<std::string>& bytes) {
  if (!bytes.ok()) return bytes.status();
  T message;
  if (!message.ParseFromString(*bytes)) {
    return error::Internal("stored answer does not parse");
  }
  return message;
}

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_STATUS_H_
