// The RPCs of ScoreService. Each score is one function of scores.h over counters.
#ifndef CLM_SERVICES_FEEDBACK_SCORE_HANDLERS_H_
#define CLM_SERVICES_FEEDBACK_SCORE_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/feedback/v1/score_service.pb.h"
#include "libs/rpc/call.h"
#include "services/feedback/survey_reader.h"

namespace clm::feedback {

// Thread-safe.
class ScoreHandlers {
 public:
  explicit ScoreHandlers(SurveyReader* reader) : reader_(*reader) {}

  absl::StatusOr<v1::NpsReport> GetNps(const rpc::Call& call, const v1::GetScoreRequest& request);
  absl::StatusOr<v1::CsatReport> GetCsat(const rpc::Call& call, const v1::GetScoreRequest& request);
  absl::StatusOr<v1::CesReport> GetCes(const rpc::Call& call, const v1::GetScoreRequest& request);
  absl::StatusOr<v1::RqiReport> GetRqi(const rpc::Call& call, const v1::GetScoreRequest& request);
  absl::StatusOr<v1::SurveyFunnel> GetSurveyFunnel(const rpc::Call& call,
                                                   const v1::GetSurveyFunnelRequest& request);
  absl::StatusOr<v1::RecountScoresResponse> RecountScores(const rpc::Call& call,
                                                          const v1::RecountScoresRequest& request);

 private:
  SurveyReader& reader_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SCORE_HANDLERS_H_
