// Surveys, invitations, answers and scores within the module of the feedback service.
#ifndef CLM_SERVICES_FEEDBACK_SURVEY_MODULE_PART_H_
#define CLM_SERVICES_FEEDBACK_SURVEY_MODULE_PART_H_

#include <memory>
#include <vector>

#include "services/feedback/invitation_handlers.h"
#include "services/feedback/invitation_token.h"
#include "services/feedback/module_part.h"
#include "services/feedback/response_handlers.h"
#include "services/feedback/score_handlers.h"
#include "services/feedback/survey_handlers.h"
#include "services/feedback/survey_reader.h"
#include "services/feedback/survey_triggers.h"
#include "services/feedback/survey_work.h"

namespace clm::feedback {

// Thread-safe once it was made.
class SurveyModulePart : public ModulePart {
 public:
  explicit SurveyModulePart(const FeedbackParts& shared);

  void AddTo(FeedbackWork& work) override { work.Add(std::make_unique<SurveyWork>(&known_)); }
  journal::EventHandler* contact_feed() override { return &event_triggers_; }
  journal::EventHandler* lifecycle_feed() override { return &stage_triggers_; }
  absl::Status Register(app::Runtime& runtime) override;
  std::vector<const pg::Statement*> Statements() const override;

  SurveyHandlers& surveys() { return surveys_; }
  InvitationHandlers& invitations() { return invitations_; }
  ResponseHandlers& responses() { return responses_; }
  ScoreHandlers& scores() { return scores_; }

 private:
  const FeedbackParts shared_;
  const InvitationTokens tokens_;
  KnownSurveys known_;
  SurveyReader reader_;
  EventTriggers event_triggers_;
  StageTriggers stage_triggers_;
  SurveyHandlers surveys_;
  InvitationHandlers invitations_;
  ResponseHandlers responses_;
  ScoreHandlers scores_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SURVEY_MODULE_PART_H_
