// Instants in protobuf messages, in whole microseconds, which is what the databases keep.
#ifndef CLM_LIBS_BASE_TIME_PROTO_H_
#define CLM_LIBS_BASE_TIME_PROTO_H_

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace clm {

// Cuts to the microsecond at or before `time`. Infinite times leave `out` alone.
void ToProto(absl::Time time, google::protobuf::Timestamp* out);
absl::Time FromProto(const google::protobuf::Timestamp& time);

}  // namespace clm

#endif  // CLM_LIBS_BASE_TIME_PROTO_H_
