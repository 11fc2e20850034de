// Surveys as rules see them: what is valid, how they move on, what an edit may change, and what of
// the questions is asked, given answers. Pure functions; thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_SURVEYS_H_
#define CLM_SERVICES_FEEDBACK_SURVEYS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/filter/filter.h"
#include "services/feedback/scores.h"

namespace clm::feedback {

// The numbers are those of the contract, and are stored.
enum class QuestionKind {
  kNps = 1,
  kCsat = 2,
  kCes = 3,
  kRating = 4,
  kSingleChoice = 5,
  kMultipleChoice = 6,
  kText = 7,
  kConsent = 8,
};
// Whether its answers are numbers of a scale.
bool HasScale(QuestionKind kind);

// By language.
using LocalTexts = std::vector<std::pair<std::string, std::string>>;
// That of the language, of the same language elsewhere (de-CH: de), of `fallback`; empty without.
std::string TextIn(const LocalTexts& texts, const std::string& language,
                   const std::string& fallback);

struct SurveyChoice {
  std::string id;
  LocalTexts labels;
  friend bool operator==(const SurveyChoice&, const SurveyChoice&) = default;
};

struct SurveyQuestion {
  std::string id;
  QuestionKind kind = QuestionKind::kText;
  LocalTexts texts, low_labels, high_labels;
  int min = 0, max = 0;
  int satisfied_from = 0;  // CSAT only.
  std::vector<SurveyChoice> choices;
  bool required = false;
  std::string show_if;
  int relationship_part = 0;  // 0: none; 1 satisfaction, 2 trust, 3 commitment.
  int weight = 0;             // Of the part.
  friend bool operator==(const SurveyQuestion&, const SurveyQuestion&) = default;
};

enum class SurveyState { kDraft = 1, kInProgress = 2, kPaused = 3, kCompleted = 4 };
enum class SurveyVerb { kStart, kPause, kComplete };
enum class RecontactPolicy { kOnce = 1, kTimes = 2, kUntilAnswered = 3, kAlways = 4 };

struct SurveyTrigger {
  std::string event_type;  // Or else:
  std::string model, stage;
  std::string channel;
  friend bool operator==(const SurveyTrigger&, const SurveyTrigger&) = default;
};

struct Survey {
  std::string tenant, id;
  std::string display_name;
  bool relational = false;
  std::string default_language = "en";
  std::string time_zone = "UTC";
  std::vector<SurveyQuestion> questions;
  RecontactPolicy recontact = RecontactPolicy::kOnce;
  int recontact_times = 0;
  int recontact_days = 0;
  int invitation_days = 30;
  int64_t response_limit = 0;
  bool fixed_answers = false;
  std::vector<std::string> attributes;
  std::vector<SurveyTrigger> triggers;
  SurveyState state = SurveyState::kDraft;
  int version = 0;  // Of the questions.
  // Questions that some version had, and that what was counted of them goes by.
  std::vector<SurveyQuestion> retired;
  absl::Time start_time = absl::InfiniteFuture();  // First start.
  absl::Time create_time, update_time;
  int64_t row_version = 0;
  friend bool operator==(const Survey&, const Survey&) = default;
};

// Fills in what is left out: scales, thresholds, weights, languages.
void FillDefaults(Survey& survey);
// INVALID_ARGUMENT with all that is wrong, by paths within the survey; conditions with the position
// of the fault. Of a survey with its defaults.
absl::Status ValidateSurvey(const Survey& survey);

// What an edit makes of `before`; `wanted` has its defaults and is valid. A survey that was started
// keeps purpose, zone and the scales of its questions, and gets a new version when its questions
// change. FAILED_PRECONDITION, reason SURVEY_COMPLETED; INVALID_ARGUMENT.
absl::StatusOr<Survey> EditSurvey(const Survey& before, const Survey& wanted, absl::Time now);

// FAILED_PRECONDITION, reason SURVEY_STATE, when the verb is none of that state's. A verb that
// changes nothing gives back the same survey.
absl::StatusOr<Survey> MoveSurvey(const Survey& before, SurveyVerb verb, absl::Time now);

// OK for a survey in progress; FAILED_PRECONDITION, reason SURVEY_NOT_OPEN.
absl::Status CheckOpen(const Survey& survey);

// The question of this id; null without.
const SurveyQuestion* FindQuestion(const Survey& survey, const std::string& id);
// The same among those that some version had.
const SurveyQuestion* FindQuestionEver(const Survey& survey, const std::string& id);

// ---- Answers.

// By the kind of its question; nothing: taken back.
struct AnswerValue {
  std::optional<int> number;
  std::optional<std::string> text;
  std::optional<std::vector<std::string>> choices;
  std::optional<bool> agreed;
  bool empty() const { return !number && !text && !choices && !agreed; }
  friend bool operator==(const AnswerValue&, const AnswerValue&) = default;
};
// By the question's id.
using AnswerMap = std::map<std::string, AnswerValue>;

// What conditions may name besides answers.
struct AskContext {
  std::string channel, campaign, order, agent, language;
};

// A survey with its conditions ready to be evaluated. Immutable.
class CompiledSurvey {
 public:
  // INVALID_ARGUMENT as of ValidateSurvey.
  static absl::StatusOr<std::shared_ptr<const CompiledSurvey>> New(Survey survey);

  const Survey& survey() const { return survey_; }

  // Ids of the questions that are asked. A question sees the answers to questions before it that
  // are asked themselves.
  std::vector<std::string> Shown(const AnswerMap& answers, const AskContext& context,
                                 absl::Time now) const;

 private:
  Survey survey_;
  std::vector<filter::Expression> conditions_;
};

// INVALID_ARGUMENT, by paths "answers[i]...", unless each answer is one to its question.
absl::Status CheckAnswers(const Survey& survey,
                          const std::vector<std::pair<std::string, AnswerValue>>& given);

struct SettledAnswers {
  AnswerMap kept;
  std::vector<std::string> skipped;  // Asked and not answered.
  std::vector<std::string> dropped;  // Answered and not asked.
};
// What is kept when somebody finishes. INVALID_ARGUMENT when a required question is not answered.
absl::StatusOr<SettledAnswers> Settle(const CompiledSurvey& survey, const AnswerMap& answers,
                                      const AskContext& context, absl::Time now);

// ---- What is counted.

// What one answer or dismissal adds to the histogram of a question: the number of the bar, or one
// of these.
inline constexpr int kDismissedBar = -2;
inline constexpr int kSkippedBar = -1;
// The question "" is the survey as a whole: bar 0 an answer, kDismissedBar a dismissal.
using Bars = std::map<std::string, int>;
// Of a finished answer. Questions that were not asked add nothing.
Bars BarsOfAnswer(const Survey& survey, const AnswerMap& kept,
                  const std::vector<std::string>& skipped);
Bars BarsOfDismissal(const Survey& survey);

// The customer's relationship quality index by these answers.
std::optional<Fraction> RqiOfAnswers(const Survey& survey, const AnswerMap& kept);

// ---- Whom to ask.

// What is known of one person before an invitation.
struct AskedBefore {
  int64_t times = 0;                               // By this survey, dropped ones not counted.
  bool answered = false;                           // This survey.
  absl::Time last = absl::InfinitePast();          // Sent or shown, by this survey.
  absl::Time last_of_kind = absl::InfinitePast();  // By any survey of the kind.
};
enum class DropReason {
  kNone = 0,
  kAskedOnce = 1,
  kAskedEnough = 2,
  kAnswered = 3,
  kSurveyDays = 4,
  kPause = 5
};
// Both layers: the survey's own rule first, then the tenant's pause between surveys of the kind.
// Exact: `days` times 24 hours since the last time.
DropReason MayAsk(const Survey& survey, int pause_days, const AskedBefore& before, absl::Time now);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SURVEYS_H_
