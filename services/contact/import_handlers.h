// What the RPCs of ImportService do, in which order.
#ifndef CLM_SERVICES_CONTACT_IMPORT_HANDLERS_H_
#define CLM_SERVICES_CONTACT_IMPORT_HANDLERS_H_

#include <functional>

#include "absl/status/statusor.h"
#include "clm/contact/v1/import_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "libs/rpc/stream.h"
#include "services/contact/contact_work.h"
#include "services/contact/import_job.h"
#include "services/contact/import_map.h"
#include "services/contact/import_store.h"

namespace clm::contact {

// How the rows of a job are read.
ImportOptions OptionsOf(const ImportJob& job);

// Stages what became of a job, and tells it.
void SaveImportJob(ContactWork& work, journal::Recorder& recorder, const ImportJob& job);

// Thread-safe.
class ImportHandlers {
 public:
  // `wake` tells the runner that there is a job.
  ImportHandlers(ImportStore* store, journal::Lanes* lanes, const PageTokens* tokens,
                 std::function<void()> wake)
      : store_(store), lanes_(lanes), tokens_(tokens), wake_(std::move(wake)) {}

  absl::StatusOr<v1::ImportJob> UploadImport(const rpc::Call& call,
                                             rpc::Reader<v1::UploadImportRequest>& reader);
  absl::StatusOr<v1::ImportJob> GetImportJob(const rpc::Call& call,
                                             const v1::GetImportJobRequest& request);
  absl::StatusOr<v1::ListImportJobsResponse> ListImportJobs(
      const rpc::Call& call, const v1::ListImportJobsRequest& request);
  void CancelImportJob(const rpc::Call& call, const v1::CancelImportJobRequest& request,
                       rpc::Reply<v1::ImportJob> reply);
  absl::StatusOr<v1::ListImportErrorsResponse> ListImportErrors(
      const rpc::Call& call, const v1::ListImportErrorsRequest& request);

 private:
  ImportStore* const store_;
  journal::Lanes* const lanes_;
  const PageTokens* const tokens_;
  const std::function<void()> wake_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IMPORT_HANDLERS_H_
