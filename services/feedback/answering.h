// What the holder of a token does, within a unit of work: opens the survey, saves, finishes,
// corrects, dismisses. Each keeps row, counters and journal together.
#ifndef CLM_SERVICES_FEEDBACK_ANSWERING_H_
#define CLM_SERVICES_FEEDBACK_ANSWERING_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/resource_name.h"
#include "services/feedback/feedback_work.h"
#include "services/feedback/survey_rows.h"
#include "services/feedback/survey_work.h"

namespace clm::feedback {

using GivenAnswers = std::vector<std::pair<std::string, AnswerValue>>;

// What is open to the holder of a token.
struct OpenInvitation {
  StoredInvitation invitation;
  SurveyWork::Compiled survey;  // As it is displayed: in its version.
};
// Refuses with a reason that a person understands: INVITATION_INVALID, INVITATION_REVOKED,
// INVITATION_EXPIRED, SURVEY_NOT_OPEN.
absl::StatusOr<OpenInvitation> FindOpen(FeedbackWork& work, const EntityKey& key, absl::Time now);

// The first time is when it was displayed.
absl::StatusOr<OpenInvitation> OpenByToken(FeedbackWork& work, journal::Recorder& recorder,
                                           const EntityKey& key);

// Keeps answers of somebody who has not finished; those not named stay. ALREADY_ANSWERED.
absl::StatusOr<OpenInvitation> SaveByToken(FeedbackWork& work, journal::Recorder& recorder,
                                           const EntityKey& key, const GivenAnswers& given);

struct Submitted {
  StoredInvitation invitation;
  std::vector<std::string> dropped;
};
// Finishes or, with `correction`, changes a finished answer. `moment` is what the customer is; a
// correction keeps that of the first time, and the day.
absl::StatusOr<Submitted> SubmitByToken(FeedbackWork& work, journal::Recorder& recorder,
                                        const EntityKey& key, const GivenAnswers& given,
                                        bool correction, const AnswerMoment& moment);

// ALREADY_ANSWERED when it was finished.
absl::Status DismissByToken(FeedbackWork& work, journal::Recorder& recorder, const EntityKey& key);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_ANSWERING_H_
