// Applies import files in the background: claims a job, reads its stored file from the beginning,
// skips the rows that are done, and applies the others by batches. A run that is broken off at any
// point is taken up by this or another process as soon as its lease has ended.
#ifndef CLM_SERVICES_CONTACT_IMPORT_RUNNER_H_
#define CLM_SERVICES_CONTACT_IMPORT_RUNNER_H_

#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "services/contact/contact_handlers.h"
#include "services/contact/import_store.h"

namespace clm::contact {

// Thread-safe.
class ImportRunner {
 public:
  struct Options {
    ContactParts parts;
    ImportStore* store = nullptr;
    const Clock* clock = nullptr;
    // Jobs at the same time.
    int threads = 1;
    // Rows in one transaction.
    int batch = 500;
    // How long a job stays with a process that says nothing. Renewed with every batch.
    absl::Duration lease = absl::Seconds(15);
    // How often to look for jobs of processes that died.
    absl::Duration poll = absl::Seconds(2);
  };

  explicit ImportRunner(Options options) : options_(options) {}
  ~ImportRunner() { Stop(); }

  void Start();
  // There is a new job.
  void Wake();
  // Gives unfinished jobs back and returns when nothing runs any more. Idempotent.
  void Stop();

 private:
  void Loop();
  bool stopping() const;

  const Options options_;
  mutable absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  int wakes_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::thread> threads_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IMPORT_RUNNER_H_
