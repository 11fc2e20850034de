// ModelState as bytes, for customer_stage.state. A written-down format: a version byte, then the
// fields in their order; numbers as varints, times as microseconds since 1970, zigzag, with the two
// infinities as the extreme values.
#ifndef CLM_SERVICES_LIFECYCLE_STATE_CODEC_H_
#define CLM_SERVICES_LIFECYCLE_STATE_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/lifecycle/fold.h"

namespace clm::lifecycle {

std::string EncodeState(const ModelState& state);
// DATA_LOSS for anything that EncodeState did not write.
absl::StatusOr<ModelState> DecodeState(absl::string_view bytes);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_STATE_CODEC_H_
