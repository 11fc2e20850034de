// Surveys that something invites to: an event of the timeline, or a stage that is entered. The
// invitation's id comes from the event, so one event invites once, however often it is told;
// whether the person is asked at all is for the same rules as everywhere (inviting.h).
#ifndef CLM_SERVICES_FEEDBACK_SURVEY_TRIGGERS_H_
#define CLM_SERVICES_FEEDBACK_SURVEY_TRIGGERS_H_

#include "absl/status/status.h"
#include "libs/journal/consumer.h"

namespace clm::feedback {

// Applies BehaviorRecorded of the contact service. Stateless.
class EventTriggers : public journal::EventHandler {
 public:
  void Declare(const event::v1::Event& event, journal::Work& work) override;
  absl::Status Apply(const event::v1::Event& event, journal::Work& work,
                     journal::Recorder& recorder) override;
};

// Applies StageChanged of the lifecycle service. A stage counts as entered when the customer did
// it: not by a new version of the model, not filled in, and once for each instant, also when late
// facts told it anew. Stateless.
class StageTriggers : public journal::EventHandler {
 public:
  void Declare(const event::v1::Event& event, journal::Work& work) override;
  absl::Status Apply(const event::v1::Event& event, journal::Work& work,
                     journal::Recorder& recorder) override;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SURVEY_TRIGGERS_H_
