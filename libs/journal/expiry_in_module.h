// The expiry of stored answers as a part of a service's module.
#ifndef CLM_LIBS_JOURNAL_EXPIRY_IN_MODULE_H_
#define CLM_LIBS_JOURNAL_EXPIRY_IN_MODULE_H_

#include <memory>
#include <string>

#include "libs/app/module.h"
#include "libs/journal/answer_expiry.h"

namespace clm::journal {

// An AnswerExpiry with the process's clock and retention, its metrics and its log. Make it in
// Start, Start() it in Serve, Stop() it in Drain, and destroy it before the pool.
class ExpiryInModule {
 public:
  ExpiryInModule(app::Runtime& runtime, const std::string& service, pg::Pool* pool);

  void Start() { expiry_.Start(); }
  void Stop() { expiry_.Stop(); }

 private:
  AnswerExpiry expiry_;
  std::shared_ptr<void> overdue_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_EXPIRY_IN_MODULE_H_
