// What happens to cases within the unit of work, whoever makes it happen: callers, time, answers to
// surveys.
#ifndef CLM_SERVICES_FEEDBACK_CASE_CHANGES_H_
#define CLM_SERVICES_FEEDBACK_CASE_CHANGES_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clm/feedback/v1/case_event.pb.h"
#include "libs/journal/mutation.h"
#include "services/feedback/case_work.h"

namespace clm::feedback {

// Saves a case with its next version, and tells of it. Under its shards.
void KeepCase(CaseWork& work, journal::Recorder& recorder, v1::CaseChanged::Change change, Case c);

// Raises what is due of the clocks of a case by now, and tells of it: the first thing whoever
// changes one does. The case after it; kept only if something was raised.
Case RaiseDue(CaseWork& work, journal::Recorder& recorder, const Case& before);

// Opens a case under the policy of its tenant, unless there is one of its id: then ALREADY_EXISTS.
absl::Status OpenNewCase(CaseWork& work, journal::Recorder& recorder, Case fresh);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_CHANGES_H_
