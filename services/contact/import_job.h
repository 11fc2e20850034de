// An import job and what may become of it. Pure; everything here is a value type.
#ifndef CLM_SERVICES_CONTACT_IMPORT_JOB_H_
#define CLM_SERVICES_CONTACT_IMPORT_JOB_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "services/contact/import_file.h"
#include "services/contact/import_map.h"

namespace clm::contact {

inline constexpr char kImportJobs[] = "importJobs";

// The numbers are those of the wire.
enum class ImportState {
  kUploading = 1,
  kRunning = 2,
  kSucceeded = 3,
  kFailed = 4,
  kCancelled = 5,
};

struct ImportCounts {
  int64_t read = 0;
  int64_t created = 0;
  int64_t updated = 0;
  int64_t unchanged = 0;
  int64_t failed = 0;
  friend bool operator==(const ImportCounts&, const ImportCounts&) = default;
};

struct ImportJob {
  EntityKey key;
  std::string display_name;
  FileFormat format = FileFormat::kUnknown;
  ImportKind kind = ImportKind::kContacts;
  std::map<std::string, std::string> columns;
  std::string key_field;
  std::string source;
  std::string topic;
  std::string currency;
  bool validate_only = false;
  ImportState state = ImportState::kUploading;
  std::string content_hash;  // SHA-256 of the file; empty until all of it is stored.
  ImportCounts counts;
  int64_t size_bytes = 0;
  int64_t done_bytes = 0;
  int error_code = 0;
  std::string error_message;
  std::string actor;
  std::optional<Uuid> owner;  // The upload or the process that has it.
  absl::Time create_time;
  std::optional<absl::Time> end_time;
};

// ABORTED, reason FENCED: the job is not what or not whose the caller takes it for.
absl::Status FencedImport();
// Whether a status is that.
bool IsFenced(const absl::Status& status);

// The file is complete; the job may run. FENCED when the upload is not `owner`'s any more.
absl::StatusOr<ImportJob> Seal(const ImportJob& before, const Uuid& owner,
                               absl::string_view content_hash, int64_t size_bytes);

// The run came to its end: kSucceeded, or kFailed with the reason. FENCED when it is not `owner`'s
// any more.
absl::StatusOr<ImportJob> End(const ImportJob& before, const Uuid& owner, ImportState state,
                              const absl::Status& reason, absl::Time now);

// nullopt: it is cancelled already. FAILED_PRECONDITION, reason IMPORT_ENDED, for a job that came
// to its end by itself.
absl::StatusOr<std::optional<ImportJob>> Cancel(const ImportJob& before, absl::Time now);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IMPORT_JOB_H_
