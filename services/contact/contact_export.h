// Everything held about a person, in parts of a bounded size: an export has no upper limit, while
// messages and memory have.
#ifndef CLM_SERVICES_CONTACT_CONTACT_EXPORT_H_
#define CLM_SERVICES_CONTACT_CONTACT_EXPORT_H_

#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact_service.pb.h"
#include "libs/base/resource_name.h"
#include "services/contact/contact_reader.h"

namespace clm::contact {

// What a message may have at most for a client that leaves gRPC's limit as it is.
inline constexpr size_t kMaxExportMessage = 4 * 1024 * 1024;

// Gives `take` the parts in order; merged they are the whole, and the last one has the export_time,
// which is `now`. A part stays well below kMaxExportMessage. Besides the part under way, memory
// holds one page of rows, the record and what a decision about a message needs (consent). Ends with
// the first failure of `take`. NOT_FOUND when there is no such contact; one that was merged is
// exported as its survivor.
absl::Status ExportInParts(ContactReader& reader, const EntityKey& asked, absl::Time now,
                           absl::Time deadline,
                           absl::FunctionRef<absl::Status(v1::ExportContactResponse part)> take);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_EXPORT_H_
