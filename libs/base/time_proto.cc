#include "libs/base/time_proto.h"

#include <cstdint>

namespace clm {

void ToProto(absl::Time time, google::protobuf::Timestamp* out) {
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) return;
  const int64_t micros = absl::ToUnixMicros(time);
  const int64_t seconds = absl::ToUnixSeconds(time);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>((micros - seconds * 1'000'000) * 1000));
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Microseconds(time.nanos() / 1000);
}

}  // namespace clm
