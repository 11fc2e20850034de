// Import jobs as they are stored: the job with its progress, the chunks of its file until it has
// ended, the rows it refused. A job belongs to one process at a time: every write of the upload and
// of the run names the owner and fails, reason FENCED, when that is somebody else by now.
#ifndef CLM_SERVICES_CONTACT_IMPORT_STORE_H_
#define CLM_SERVICES_CONTACT_IMPORT_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "services/contact/import_job.h"
#include "services/contact/import_map.h"

namespace clm::contact {

// A batch of rows that is done: everything of it is stored in the transaction that applies the
// rows, so that each row counts once however often a run is broken off.
struct ImportProgress {
  EntityKey job;
  Uuid owner;
  int64_t first_row = 0;  // The last row done before, which must be where the job stands.
  ImportCounts counts;    // To be added.
  int64_t done_bytes = 0;
  absl::Duration lease;
  std::vector<ImportRowError> errors;
};
// ABORTED, reason FENCED, when the job does not stand there or is not the owner's.
absl::Status SaveImportProgress(pg::Tx& tx, const ImportProgress& progress);

// For the unit of work: the job, which stays as it is until the transaction ends; nullopt when
// there is none.
absl::StatusOr<std::optional<ImportJob>> LockImportJob(pg::Tx& tx, const EntityKey& job);
// Stores what became of a locked job, its counts excepted; the file of one that has ended goes.
absl::Status SaveImportJob(pg::Tx& tx, const ImportJob& job);

// Thread-safe.
class ImportStore {
 public:
  explicit ImportStore(pg::Pool* pool) : pool_(pool) {}

  // ---- The upload.
  // Makes the job, or takes over one with the same id whose upload was broken off. The stored job
  // when its file is complete already; nullopt: send the file.
  absl::StatusOr<std::optional<ImportJob>> Begin(const ImportJob& job, const Uuid& owner,
                                                 absl::Time deadline);
  absl::Status AddChunk(const EntityKey& job, const Uuid& owner, int seq, absl::string_view data,
                        absl::Time deadline);

  // ---- The run.
  // The oldest job that nobody runs.
  absl::StatusOr<std::optional<ImportJob>> Claim(const Uuid& owner, absl::Duration lease);
  // Renews the lease; nullopt after the last chunk.
  absl::StatusOr<std::optional<std::string>> ReadChunk(const EntityKey& job, const Uuid& owner,
                                                       int seq, absl::Duration lease);
  absl::Status SaveProgress(const ImportProgress& progress);
  // Gives the owner's jobs back at once.
  absl::Status Release(const Uuid& owner);
  // Fails the jobs whose upload nobody continues.
  absl::Status ExpireUploads(absl::Time now);

  // ---- Callers.
  absl::StatusOr<ImportJob> Get(const EntityKey& job, absl::Time deadline);
  // Newest first.
  absl::StatusOr<std::vector<ImportJob>> List(
      const std::string& tenant, const std::optional<std::pair<absl::Time, Uuid>>& after, int limit,
      absl::Time deadline);
  absl::StatusOr<std::vector<ImportRowError>> Errors(const EntityKey& job,
                                                     const std::pair<int64_t, std::string>& after,
                                                     int limit, absl::Time deadline);

 private:
  pg::Pool* const pool_;
};

std::vector<const pg::Statement*> ImportStatements();

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IMPORT_STORE_H_
