// What the RPCs of CaseService do, in which order. Decisions are in the pure rules (cases.h,
// case_states.h, case_clocks.h), SQL is in case_work and case_reader.
#ifndef CLM_SERVICES_FEEDBACK_CASE_HANDLERS_H_
#define CLM_SERVICES_FEEDBACK_CASE_HANDLERS_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clm/feedback/v1/case_event.pb.h"
#include "clm/feedback/v1/case_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/feedback/case_reader.h"
#include "services/feedback/module_part.h"

namespace clm::feedback {

// Thread-safe.
class CaseHandlers {
 public:
  // `reader` outlives the handlers.
  CaseHandlers(FeedbackParts shared, CaseReader* reader)
      : shared_(std::move(shared)), reader_(*reader) {}

  void CreateCase(const rpc::Call& call, const v1::CreateCaseRequest& request,
                  rpc::Reply<v1::Case> reply);
  absl::StatusOr<v1::Case> GetCase(const rpc::Call& call, const v1::GetCaseRequest& request);
  absl::StatusOr<v1::ListCasesResponse> ListCases(const rpc::Call& call,
                                                  const v1::ListCasesRequest& request);
  void UpdateCase(const rpc::Call& call, const v1::UpdateCaseRequest& request,
                  rpc::Reply<v1::Case> reply);
  void AcknowledgeCase(const rpc::Call& call, const v1::AcknowledgeCaseRequest& request,
                       rpc::Reply<v1::Case> reply);
  void InvestigateCase(const rpc::Call& call, const v1::InvestigateCaseRequest& request,
                       rpc::Reply<v1::Case> reply);
  void AwaitCase(const rpc::Call& call, const v1::AwaitCaseRequest& request,
                 rpc::Reply<v1::Case> reply);
  void ResumeCase(const rpc::Call& call, const v1::ResumeCaseRequest& request,
                  rpc::Reply<v1::Case> reply);
  void HoldCase(const rpc::Call& call, const v1::HoldCaseRequest& request,
                rpc::Reply<v1::Case> reply);
  void ResolveCase(const rpc::Call& call, const v1::ResolveCaseRequest& request,
                   rpc::Reply<v1::Case> reply);
  void CloseCase(const rpc::Call& call, const v1::CloseCaseRequest& request,
                 rpc::Reply<v1::Case> reply);
  void ReopenCase(const rpc::Call& call, const v1::ReopenCaseRequest& request,
                  rpc::Reply<v1::Case> reply);
  void EscalateCase(const rpc::Call& call, const v1::EscalateCaseRequest& request,
                    rpc::Reply<v1::Case> reply);
  void WithdrawCase(const rpc::Call& call, const v1::WithdrawCaseRequest& request,
                    rpc::Reply<v1::Case> reply);
  void AddCaseNote(const rpc::Call& call, const v1::AddCaseNoteRequest& request,
                   rpc::Reply<v1::CaseNote> reply);
  absl::StatusOr<v1::ListCaseNotesResponse> ListCaseNotes(const rpc::Call& call,
                                                          const v1::ListCaseNotesRequest& request);
  void AddCaseEvidence(const rpc::Call& call, const v1::AddCaseEvidenceRequest& request,
                       rpc::Reply<v1::Case> reply);
  void CompleteCaseStep(const rpc::Call& call, const v1::CompleteCaseStepRequest& request,
                        rpc::Reply<v1::Case> reply);
  absl::StatusOr<v1::BusinessCalendar> GetBusinessCalendar(
      const rpc::Call& call, const v1::GetBusinessCalendarRequest& request);
  void UpdateBusinessCalendar(const rpc::Call& call,
                              const v1::UpdateBusinessCalendarRequest& request,
                              rpc::Reply<v1::BusinessCalendar> reply);
  absl::StatusOr<v1::CasePolicy> GetCasePolicy(const rpc::Call& call,
                                               const v1::GetCasePolicyRequest& request);
  void UpdateCasePolicy(const rpc::Call& call, const v1::UpdateCasePolicyRequest& request,
                        rpc::Reply<v1::CasePolicy> reply);

 private:
  // What a verb makes of a case.
  using Rule = std::function<absl::StatusOr<Case>(const Case& before, absl::Time now)>;
  // For requests with `name` and `etag`.
  template <class Req>
  void Run(const rpc::Call& call, const Req& request, v1::CaseChanged::Change change, Rule rule,
           rpc::Reply<v1::Case> reply);
  std::vector<StageThen> StagesOf(const std::string& contact, absl::Time deadline) const;

  const FeedbackParts shared_;
  CaseReader& reader_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_HANDLERS_H_
