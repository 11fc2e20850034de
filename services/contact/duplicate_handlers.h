// What the background scan (duplicate_scan.h) has found.
#ifndef CLM_SERVICES_CONTACT_DUPLICATE_HANDLERS_H_
#define CLM_SERVICES_CONTACT_DUPLICATE_HANDLERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact_service.pb.h"
#include "libs/pg/pg.h"
#include "libs/rpc/call.h"
#include "services/contact/contact_handlers.h"

namespace clm::contact {

// Thread-safe.
class DuplicateHandlers {
 public:
  DuplicateHandlers(const ContactParts& parts, pg::Pool* pool) : parts_(parts), pool_(pool) {}

  absl::StatusOr<v1::ListDuplicateCandidatesResponse> ListDuplicateCandidates(
      const rpc::Call& call, const v1::ListDuplicateCandidatesRequest& request);

 private:
  const ContactParts parts_;
  pg::Pool* const pool_;
};

std::vector<const pg::Statement*> DuplicateStatements();

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_DUPLICATE_HANDLERS_H_
