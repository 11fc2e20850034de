// What makes two requests the same for idempotency.
#ifndef CLM_LIBS_RPC_FINGERPRINT_H_
#define CLM_LIBS_RPC_FINGERPRINT_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/strings/string_view.h"

namespace clm::rpc {

// 32 bytes, equal for equal requests of the same method and only for those. A written-down format,
// because recorded fingerprints outlive the program: SHA-256 over a version byte (1), the method, a
// zero byte, and the request in deterministic serialization without request_id and unknown fields.
std::string Fingerprint(const google::protobuf::Message& request, absl::string_view method);

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_FINGERPRINT_H_
