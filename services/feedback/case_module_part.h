// Everything CaseService needs within the feedback module.
#ifndef CLM_SERVICES_FEEDBACK_CASE_MODULE_PART_H_
#define CLM_SERVICES_FEEDBACK_CASE_MODULE_PART_H_

#include <memory>
#include <utility>
#include <vector>

#include "services/feedback/case_handlers.h"
#include "services/feedback/case_reader.h"
#include "services/feedback/due_cases.h"
#include "services/feedback/module_part.h"

namespace clm::feedback {

class CaseModulePart : public ModulePart {
 public:
  explicit CaseModulePart(const FeedbackParts& shared);

  void AddTo(FeedbackWork& work) override { work.Add(std::make_unique<CaseWork>()); }
  absl::Status Register(app::Runtime& runtime) override;
  absl::Status Serve(app::Runtime& runtime) override;
  void Drain() override { due_.Stop(); }
  std::vector<const pg::Statement*> Statements() const override;

  CaseHandlers& handlers() { return handlers_; }
  DueCases& due() { return due_; }
  // Who grants points, for tests; by default the loyalty service, once it serves.
  void set_grant(DueCases::Grant grant) { grant_ = std::move(grant); }

 private:
  const FeedbackParts shared_;
  CaseReader reader_;
  CaseHandlers handlers_;
  DueCases::Grant grant_;
  DueCases due_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_MODULE_PART_H_
