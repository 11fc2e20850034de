#include "services/feedback/case_module_part.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/module_part.h"
#include "services/feedback/review_module_part.h"
#include "services/feedback/survey_module_part.h"

namespace clm::feedback {

std::vector<std::unique_ptr<ModulePart>> NewParts(const FeedbackParts& shared) {
  std::vector<std::unique_ptr<ModulePart>> parts;
  parts.push_back(std::make_unique<SurveyModulePart>(shared));
  parts.push_back(std::make_unique<CaseModulePart>(shared));
  parts.push_back(std::make_unique<ReviewModulePart>(shared));
  // Last: what others load tells which contacts they need.
  parts.push_back(std::make_unique<ContactChanges>(shared));
  return parts;
}

}  // namespace clm::feedback
