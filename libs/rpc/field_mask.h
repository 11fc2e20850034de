// Update masks (AIP-134, AIP-161): which fields of a resource a request changes.
#ifndef CLM_LIBS_RPC_FIELD_MASK_H_
#define CLM_LIBS_RPC_FIELD_MASK_H_

#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace clm::rpc {

// The paths that an update with `mask` applies to `resource` (the request's), checked against its
// type. Absent or empty mask: every populated field that callers may set. "*": every field that
// callers may set, so that absent ones are cleared. INVALID_ARGUMENT on `field` ("update_mask")
// for a path that does not exist, goes through a repeated field or into a map with an empty key, or
// that names an output-only or immutable field. "name" and "etag" address the update and are never
// among the paths; a mask that names them is accepted.
//
// "attributes.color" names one entry of a map with text keys.
absl::StatusOr<std::vector<std::string>> UpdatePaths(absl::string_view field,
                                                     const google::protobuf::FieldMask& mask,
                                                     const google::protobuf::Message& resource);

// True when `path` or one of its parents is among `paths`.
bool MaskContains(const std::vector<std::string>& paths, absl::string_view path);

// Copies the fields named by `paths` (from UpdatePaths) from `source` to `target`, both of the same
// type: absent in the source clears in the target. A message field is replaced as a whole when its
// own path is named.
void ApplyMask(const std::vector<std::string>& paths, const google::protobuf::Message& source,
               google::protobuf::Message& target);

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_FIELD_MASK_H_
