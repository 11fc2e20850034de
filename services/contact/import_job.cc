#include "services/contact/import_job.h"

#include "libs/base/error.h"

namespace clm::contact {

absl::Status FencedImport() {
  return error::Make(absl::StatusCode::kAborted, "FENCED",
                     "the import was cancelled or is in other hands by now");
}

bool IsFenced(const absl::Status& status) { return error::Reason(status) == "FENCED"; }

absl::StatusOr<ImportJob> Seal(const ImportJob& before, const Uuid& owner,
                               absl::string_view content_hash, int64_t size_bytes) {
  if (before.state != ImportState::kUploading || before.owner != owner) return FencedImport();
  ImportJob after = before;
  after.state = ImportState::kRunning;
  after.owner.reset();
  after.content_hash = std::string(content_hash);
  after.size_bytes = size_bytes;
  return after;
}

absl::StatusOr<ImportJob> End(const ImportJob& before, const Uuid& owner, ImportState state,
                              const absl::Status& reason, absl::Time now) {
  if (before.state != ImportState::kRunning || before.owner != owner) return FencedImport();
  ImportJob after = before;
  after.state = state;
  after.owner.reset();
  after.error_code = static_cast<int>(reason.code());
  after.error_message = std::string(reason.message());
  after.end_time = now;
  if (state == ImportState::kSucceeded) after.done_bytes = after.size_bytes;
  return after;
}

absl::StatusOr<std::optional<ImportJob>> Cancel(const ImportJob& before, absl::Time now) {
  if (before.state == ImportState::kCancelled) return std::nullopt;
  if (before.state != ImportState::kUploading && before.state != ImportState::kRunning) {
    return error::Precondition("IMPORT_ENDED", "name: the import has ended already");
  }
  ImportJob after = before;
  after.state = ImportState::kCancelled;
  after.owner.reset();
  after.end_time = now;
  return after;
}

}  // namespace clm::contact
