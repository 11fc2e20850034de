// Surveys, invitations and answers as rows and as messages.
#ifndef CLM_SERVICES_FEEDBACK_SURVEY_ROWS_H_
#define CLM_SERVICES_FEEDBACK_SURVEY_ROWS_H_

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact.pb.h"
#include "clm/feedback/v1/invitation.pb.h"
#include "clm/feedback/v1/response.pb.h"
#include "clm/feedback/v1/survey.pb.h"
#include "libs/base/resource_name.h"
#include "libs/pg/pg.h"
#include "services/feedback/surveys.h"

namespace clm::feedback {

inline constexpr char kInvitations[] = "invitations";
inline constexpr char kResponses[] = "responses";

struct SurveyKey {
  std::string tenant;
  std::string id;
  friend auto operator<=>(const SurveyKey&, const SurveyKey&) = default;
  friend bool operator==(const SurveyKey&, const SurveyKey&) = default;
};
std::string NameOf(const SurveyKey& key);
absl::StatusOr<SurveyKey> ParseSurveyName(absl::string_view field, const std::string& name);
int ShardOfSurvey(const SurveyKey& key);

// ---- Surveys.

Survey SurveyFromProto(const v1::Survey& survey);
v1::Survey ToProto(const Survey& survey);
// One question with its texts in one language, for the page.
v1::Question QuestionIn(const SurveyQuestion& question, const std::string& language,
                        const std::string& fallback);

// In the order that ReadSurvey expects.
#define CLM_SURVEY_COLUMNS                                                                  \
  "s.tenant_id, s.id, s.state, s.version, s.body, s.retired, s.start_time, s.create_time, " \
  "s.update_time, s.row_version"
absl::StatusOr<Survey> ReadSurvey(const pg::Row& row, int first);
std::string BodyOf(const Survey& survey);
std::string RetiredOf(const Survey& survey);

// Surveys that this process has compiled, of their rows' versions; what is immutable needs no
// dropping. Thread-safe.
class KnownSurveys {
 public:
  using Compiled = std::shared_ptr<const CompiledSurvey>;
  // The survey as it is; or, `version` > 0, with the questions of one of its versions.
  absl::StatusOr<Compiled> Compile(Survey survey, bool of_version);

 private:
  static constexpr size_t kMost = 2000;
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, Compiled> compiled_ ABSL_GUARDED_BY(mu_);
};

// ---- Invitations and answers.

enum class InvitationState {
  kInvited = 1,
  kDisplayed = 2,
  kStarted = 3,
  kSubmitted = 4,
  kDismissed = 5,
  kDropped = 6,
  kRevoked = 7,
};

// What a customer was when the answer was given.
struct AnswerMoment {
  std::vector<std::string> stages, tiers, attributes;
  bool unknown = true;
};
// Of what the contact service said; unknown when it did not answer.
AnswerMoment MomentOf(const absl::StatusOr<contact::v1::CustomerContext>& context,
                      const Survey& survey);

struct StoredInvitation {
  EntityKey key;
  int shard = 0;
  std::string survey;
  std::optional<Uuid> contact;
  InvitationState state = InvitationState::kInvited;
  bool relational = false;
  int survey_version = 0;
  DropReason drop_reason = DropReason::kNone;
  AskContext about;
  std::string subject;
  absl::Time create_time, expire_time, update_time;
  std::optional<absl::Time> display_time, start_time, submit_time, dismiss_time;
  std::optional<absl::CivilDay> day;
  std::vector<std::string> dims;
  AnswerMap answers;
  std::vector<std::string> skipped;
  AnswerMoment moment;
  int corrections = 0;
  std::optional<Fraction> rqi;
  int64_t version = 0;
};
// Between dimensions where they are stored; in none of them.
inline constexpr char kDimSeparator = '\x1f';
// The dimensions by which it counts; the moment is that of an answer.
std::vector<std::string> DimsOf(const StoredInvitation& invitation);

v1::Invitation ToProto(const StoredInvitation& invitation);
v1::Response ResponseToProto(const StoredInvitation& invitation, const Survey& survey);

std::pair<std::string, AnswerValue> AnswerFromProto(const v1::Answer& answer);
v1::Answer ToProto(const std::string& question, const AnswerValue& value);

#define CLM_INVITATION_COLUMNS                                                               \
  "i.tenant_id, i.id, i.shard, i.survey_id, i.contact_id, i.state, i.relational, "           \
  "i.survey_version, i.drop_reason, i.channel, i.campaign, i.order_id, i.agent, i.subject, " \
  "i.language, i.create_time, i.expire_time, i.display_time, i.start_time, i.submit_time, "  \
  "i.dismiss_time, i.update_time, i.day, i.dims, i.body, i.texts, i.rqi_numerator, "         \
  "i.rqi_denominator, i.version"
absl::StatusOr<StoredInvitation> ReadInvitation(const pg::Row& row, int first);
std::string BodyOf(const StoredInvitation& invitation);
std::string TextsOf(const StoredInvitation& invitation);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SURVEY_ROWS_H_
