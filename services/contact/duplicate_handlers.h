// The search for records that may be the same person: a scan that stores candidate pairs, and the
// list of what it found. Candidates are derived data: they leave no journal row, and the next scan
// replaces them.
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

struct DuplicateScan {
  int64_t scanned = 0;  // Contacts compared.
  int64_t found = 0;    // Pairs.
};

// Compares the contacts of a tenant block by block and replaces its stored candidates. Memory is 24
// bytes per contact and block key. Blocks.
absl::StatusOr<DuplicateScan> ScanForDuplicates(pg::Pool& pool, ContactReader& reader,
                                                const std::string& tenant, absl::Time now,
                                                absl::Time deadline);

// Thread-safe.
class DuplicateHandlers {
 public:
  DuplicateHandlers(const ContactParts& parts, pg::Pool* pool) : parts_(parts), pool_(pool) {}

  absl::StatusOr<v1::ScanDuplicatesResponse> ScanDuplicates(
      const rpc::Call& call, const v1::ScanDuplicatesRequest& request);
  absl::StatusOr<v1::ListDuplicateCandidatesResponse> ListDuplicateCandidates(
      const rpc::Call& call, const v1::ListDuplicateCandidatesRequest& request);

 private:
  const ContactParts parts_;
  pg::Pool* const pool_;
};

std::vector<const pg::Statement*> DuplicateStatements();

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_DUPLICATE_HANDLERS_H_
