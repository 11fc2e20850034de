#include "services/feedback/surveys.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::feedback {
namespace {

constexpr int kMostAnswerText = 10000;

enum ConditionField { kAnswers, kChannel, kCampaign, kOrder, kAgent, kLanguage };

const filter::Schema& ConditionSchema() {
  static const auto& kSchema = *[] {
    auto* schema = new filter::Schema;
    schema->AddMap(kAnswers, "answers")
        .Add(kChannel, "channel", filter::Type::kString)
        .Add(kCampaign, "campaign", filter::Type::kString)
        .Add(kOrder, "order", filter::Type::kString)
        .Add(kAgent, "agent", filter::Type::kString)
        .Add(kLanguage, "language", filter::Type::kString);
    return schema;
  }();
  return kSchema;
}

// The answers to the questions before one.
class EarlierAnswers : public filter::DynamicFields {
 public:
  EarlierAnswers(const std::vector<SurveyQuestion>& questions, size_t before)
      : questions_(questions), before_(before) {}

  std::optional<Entry> Find(absl::string_view, absl::string_view key) const override {
    for (size_t i = 0; i < before_; ++i) {
      const SurveyQuestion& question = questions_[i];
      if (question.id != key) continue;
      if (HasScale(question.kind)) return Entry{filter::Type::kInt64, {}};
      switch (question.kind) {
        case QuestionKind::kSingleChoice: {
          Entry entry{filter::Type::kEnum, {}};
          for (const SurveyChoice& choice : question.choices)
            entry.enum_values.push_back(choice.id);
          return entry;
        }
        case QuestionKind::kMultipleChoice:
          return Entry{filter::Type::kStringSet, {}};
        case QuestionKind::kConsent:
          return Entry{filter::Type::kBool, {}};
        default:
          return Entry{filter::Type::kString, {}};
      }
    }
    return std::nullopt;
  }
  std::vector<std::string> Keys(absl::string_view) const override {
    std::vector<std::string> keys;
    for (size_t i = 0; i < before_; ++i) keys.push_back(questions_[i].id);
    return keys;
  }

 private:
  const std::vector<SurveyQuestion>& questions_;
  const size_t before_;
};

absl::StatusOr<filter::Expression> ParseCondition(const Survey& survey, size_t question,
                                                  const std::string& field) {
  const EarlierAnswers earlier(survey.questions, question);
  filter::ParseOptions options;
  options.field = field;
  options.dynamic = &earlier;
  return filter::Parse(survey.questions[question].show_if, ConditionSchema(), options);
}

// What conditions are evaluated on.
class ConditionRecord : public filter::Record {
 public:
  ConditionRecord(const AnswerMap& answers, const AskContext& context)
      : answers_(answers), context_(context) {}

  filter::Value Get(const filter::Field& field) const override {
    switch (field.id) {
      case kChannel:
        return Text(context_.channel);
      case kCampaign:
        return Text(context_.campaign);
      case kOrder:
        return Text(context_.order);
      case kAgent:
        return Text(context_.agent);
      case kLanguage:
        return Text(context_.language);
      default:
        break;
    }
    const auto it = answers_.find(field.key);
    if (it == answers_.end()) return {};
    const AnswerValue& answer = it->second;
    if (answer.number) return int64_t{*answer.number};
    if (answer.agreed) return *answer.agreed;
    if (answer.text) return absl::string_view(*answer.text);
    if (!answer.choices) return {};
    if (field.type == filter::Type::kStringSet) return filter::StringSet(*answer.choices);
    return answer.choices->empty() ? filter::Value()
                                   : filter::Value(absl::string_view(answer.choices->front()));
  }

 private:
  // What is not said is missing.
  static filter::Value Text(const std::string& text) {
    return text.empty() ? filter::Value() : filter::Value(absl::string_view(text));
  }
  const AnswerMap& answers_;
  const AskContext& context_;
};

void CheckTexts(const LocalTexts& texts, const Survey& survey, bool needed, const std::string& path,
                error::FieldErrors& errors) {
  std::set<std::string> languages;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!languages.insert(texts[i].first).second) {
      errors.Add(absl::StrCat(path, "[", i, "].language"), "is there twice");
    }
  }
  if ((needed || !texts.empty()) && !languages.contains(survey.default_language)) {
    errors.Add(path,
               absl::StrCat("has no text in the default language, ", survey.default_language));
  }
}

void CheckScale(const SurveyQuestion& question, const std::string& path,
                error::FieldErrors& errors) {
  if (!HasScale(question.kind)) {
    if (question.min != 0 || question.max != 0) {
      errors.Add(path + ".min", "is for questions with a scale");
    }
    if (question.relationship_part != 0) {
      errors.Add(path + ".relationship_part", "is for questions with a scale");
    }
    return;
  }
  if (question.min < 0 || question.max > 10 || question.min >= question.max) {
    errors.Add(path + ".max", "the scale must go from min up to a greater max, within 0 to 10");
  }
  if (question.kind == QuestionKind::kNps && (question.min != 0 || question.max != 10)) {
    errors.Add(path + ".max", "the scale of NPS is 0 to 10");
  }
  if (question.kind == QuestionKind::kCes &&
      (question.min != 1 || (question.max != 7 && question.max != 5))) {
    errors.Add(path + ".max", "the scale of CES is 1 to 7 or 1 to 5");
  }
  if (question.kind == QuestionKind::kCsat &&
      (question.satisfied_from <= question.min || question.satisfied_from > question.max)) {
    errors.Add(path + ".satisfied_from", "must be a value of the scale above its least");
  }
}

// What is counted of a question goes by these.
bool SameMeasure(const SurveyQuestion& a, const SurveyQuestion& b) {
  return a.kind == b.kind && a.min == b.min && a.max == b.max &&
         a.satisfied_from == b.satisfied_from && a.relationship_part == b.relationship_part &&
         a.weight == b.weight;
}

constexpr const char* kStateWords[] = {"", "a draft", "in progress", "paused", "completed"};

absl::Status CompletedError() {
  return error::Precondition("SURVEY_COMPLETED", "survey: is over and does not change any more");
}

}  // namespace

bool HasScale(QuestionKind kind) {
  return kind == QuestionKind::kNps || kind == QuestionKind::kCsat || kind == QuestionKind::kCes ||
         kind == QuestionKind::kRating;
}

std::string TextIn(const LocalTexts& texts, const std::string& language,
                   const std::string& fallback) {
  const std::string* nearest = nullptr;
  const std::string base = language.substr(0, language.find('-'));
  for (const auto& [tag, text] : texts) {
    if (tag == language) return text;
    if (nearest == nullptr && tag.substr(0, tag.find('-')) == base) nearest = &text;
  }
  if (nearest != nullptr) return *nearest;
  for (const auto& [tag, text] : texts) {
    if (tag == fallback) return text;
  }
  return "";
}

void FillDefaults(Survey& survey) {
  if (survey.default_language.empty()) survey.default_language = "en";
  if (survey.time_zone.empty()) survey.time_zone = "UTC";
  if (survey.invitation_days == 0) survey.invitation_days = 30;
  for (SurveyQuestion& question : survey.questions) {
    if (!HasScale(question.kind)) continue;
    if (question.min == 0 && question.max == 0) {
      question.min = question.kind == QuestionKind::kNps ? 0 : 1;
      question.max = question.kind == QuestionKind::kNps   ? 10
                     : question.kind == QuestionKind::kCes ? 7
                                                           : 5;
    }
    if (question.kind == QuestionKind::kCsat && question.satisfied_from == 0) {
      question.satisfied_from = question.max - (question.max - question.min) / 4;
    }
    if (question.relationship_part != 0 && question.weight == 0) question.weight = 1;
  }
}

absl::Status ValidateSurvey(const Survey& survey) {
  error::FieldErrors errors;
  std::set<std::string> ids;
  for (size_t i = 0; i < survey.questions.size(); ++i) {
    const SurveyQuestion& question = survey.questions[i];
    const std::string path = absl::StrCat("questions[", i, "]");
    if (static_cast<int>(question.kind) == 0) errors.Add(path + ".kind", "must be set");
    if (!ids.insert(question.id).second) errors.Add(path + ".id", "is that of another question");
    CheckTexts(question.texts, survey, true, path + ".texts", errors);
    CheckTexts(question.low_labels, survey, false, path + ".low_labels", errors);
    CheckTexts(question.high_labels, survey, false, path + ".high_labels", errors);
    CheckScale(question, path, errors);
    if (question.kind != QuestionKind::kCsat && question.satisfied_from != 0) {
      errors.Add(path + ".satisfied_from", "is for CSAT");
    }
    if (question.relationship_part == 0 && question.weight != 0) {
      errors.Add(path + ".weight", "is for parts of the relationship quality index");
    }
    const bool choosing = question.kind == QuestionKind::kSingleChoice ||
                          question.kind == QuestionKind::kMultipleChoice;
    if (choosing == question.choices.empty()) {
      errors.Add(path + ".choices", choosing ? "must be set" : "is for questions of choice");
    }
    std::set<std::string> choices;
    for (size_t c = 0; c < question.choices.size(); ++c) {
      const std::string at = absl::StrCat(path, ".choices[", c, "]");
      if (!choices.insert(question.choices[c].id).second) {
        errors.Add(at + ".id", "is that of another choice");
      }
      CheckTexts(question.choices[c].labels, survey, true, at + ".labels", errors);
    }
    if (const auto parsed = ParseCondition(survey, i, path + ".show_if"); !parsed.ok()) {
      errors.AddStatus("", parsed.status());
    }
  }
  if ((survey.recontact == RecontactPolicy::kTimes) != (survey.recontact_times > 0)) {
    errors.Add("recontact.times", "must be set for TIMES, and for that only");
  }
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(survey.time_zone, &zone)) {
    errors.Add("time_zone", "is not a zone of the IANA database");
  }
  for (size_t i = 0; i < survey.triggers.size(); ++i) {
    const SurveyTrigger& trigger = survey.triggers[i];
    const bool of_stage = !trigger.model.empty() && !trigger.stage.empty();
    const bool any_stage = !trigger.model.empty() || !trigger.stage.empty();
    if (trigger.event_type.empty() ? !of_stage : any_stage) {
      errors.Add(absl::StrCat("triggers[", i, "]"),
                 "must have either an event_type, or a model and a stage of it");
    }
  }
  return errors.ToStatus();
}

absl::StatusOr<Survey> EditSurvey(const Survey& before, const Survey& wanted, absl::Time now) {
  if (before.state == SurveyState::kCompleted) return CompletedError();
  Survey after = wanted;
  after.state = before.state;
  after.version = before.version;
  after.retired = before.retired;
  after.start_time = before.start_time;
  after.create_time = before.create_time;
  after.update_time = before.update_time;
  after.row_version = before.row_version;
  error::FieldErrors errors;
  if (before.version > 0) {
    if (after.relational != before.relational) errors.Add("purpose", "stays as it was started");
    if (after.time_zone != before.time_zone) {
      errors.Add("time_zone", "stays: answers were counted by its days");
    }
    if (after.questions.empty()) errors.Add("questions", "must have at least one");
    for (size_t i = 0; i < after.questions.size(); ++i) {
      const SurveyQuestion* known = FindQuestionEver(before, after.questions[i].id);
      if (known != nullptr && !SameMeasure(*known, after.questions[i])) {
        errors.Add(absl::StrCat("questions[", i, "].id"),
                   "was asked with another kind, scale, threshold or weight; give the new question "
                   "an id of its own");
      }
    }
    for (const SurveyQuestion& question : before.questions) {
      if (FindQuestion(after, question.id) == nullptr) {
        SurveyQuestion retired;
        retired.id = question.id;
        retired.kind = question.kind;
        retired.min = question.min;
        retired.max = question.max;
        retired.satisfied_from = question.satisfied_from;
        retired.relationship_part = question.relationship_part;
        retired.weight = question.weight;
        if (FindQuestionEver(after, question.id) == nullptr) after.retired.push_back(retired);
      }
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (after == before) return before;
  if (before.version > 0 &&
      (after.questions != before.questions || after.default_language != before.default_language)) {
    ++after.version;
  }
  after.update_time = now;
  ++after.row_version;
  return after;
}

absl::StatusOr<Survey> MoveSurvey(const Survey& before, SurveyVerb verb, absl::Time now) {
  Survey after = before;
  switch (verb) {
    case SurveyVerb::kStart:
      if (before.state == SurveyState::kCompleted) return CompletedError();
      if (before.questions.empty()) {
        return error::Precondition("SURVEY_EMPTY", "survey: has no question to be asked");
      }
      after.state = SurveyState::kInProgress;
      break;
    case SurveyVerb::kPause:
      if (before.state != SurveyState::kInProgress && before.state != SurveyState::kPaused) {
        return error::Precondition(
            "SURVEY_STATE", absl::StrCat("survey: is ", kStateWords[static_cast<int>(before.state)],
                                         " and cannot be paused"));
      }
      after.state = SurveyState::kPaused;
      break;
    case SurveyVerb::kComplete:
      if (before.state == SurveyState::kDraft) {
        return error::Precondition("SURVEY_STATE", "survey: is a draft and cannot be completed");
      }
      after.state = SurveyState::kCompleted;
      break;
  }
  if (after.state == before.state) return before;
  if (after.version == 0) {
    after.version = 1;
    after.start_time = now;
  }
  after.update_time = now;
  ++after.row_version;
  return after;
}

absl::Status CheckOpen(const Survey& survey) {
  if (survey.state == SurveyState::kInProgress) return absl::OkStatus();
  return error::Precondition(
      "SURVEY_NOT_OPEN",
      absl::StrCat("the survey is ", kStateWords[static_cast<int>(survey.state)],
                   survey.state == SurveyState::kPaused ? "; please try again later"
                                                        : "; it takes no answers"));
}

const SurveyQuestion* FindQuestion(const Survey& survey, const std::string& id) {
  for (const SurveyQuestion& question : survey.questions) {
    if (question.id == id) return &question;
  }
  return nullptr;
}

const SurveyQuestion* FindQuestionEver(const Survey& survey, const std::string& id) {
  if (const SurveyQuestion* found = FindQuestion(survey, id)) return found;
  for (const SurveyQuestion& question : survey.retired) {
    if (question.id == id) return &question;
  }
  return nullptr;
}

absl::StatusOr<std::shared_ptr<const CompiledSurvey>> CompiledSurvey::New(Survey survey) {
  auto compiled = std::make_shared<CompiledSurvey>();
  for (size_t i = 0; i < survey.questions.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(filter::Expression condition,
                         ParseCondition(survey, i, absl::StrCat("questions[", i, "].show_if")));
    compiled->conditions_.push_back(std::move(condition));
  }
  compiled->survey_ = std::move(survey);
  return std::shared_ptr<const CompiledSurvey>(std::move(compiled));
}

std::vector<std::string> CompiledSurvey::Shown(const AnswerMap& answers, const AskContext& context,
                                               absl::Time now) const {
  std::vector<std::string> shown;
  AnswerMap visible;
  const ConditionRecord record(visible, context);
  for (size_t i = 0; i < survey_.questions.size(); ++i) {
    if (!filter::Evaluate(conditions_[i], record, now)) continue;
    const std::string& id = survey_.questions[i].id;
    shown.push_back(id);
    if (const auto it = answers.find(id); it != answers.end()) visible.insert(*it);
  }
  return shown;
}

absl::Status CheckAnswers(const Survey& survey,
                          const std::vector<std::pair<std::string, AnswerValue>>& given) {
  error::FieldErrors errors;
  std::set<std::string> seen;
  for (size_t i = 0; i < given.size() && !errors.Full(); ++i) {
    const auto& [id, value] = given[i];
    const std::string path = absl::StrCat("answers[", i, "]");
    const SurveyQuestion* question = FindQuestion(survey, id);
    if (question == nullptr) {
      errors.Add(path + ".question", "is not a question of the survey");
      continue;
    }
    if (!seen.insert(id).second) errors.Add(path + ".question", "is answered twice");
    if (value.empty()) continue;
    if (HasScale(question->kind)) {
      if (!value.number || *value.number < question->min || *value.number > question->max) {
        errors.Add(path + ".number",
                   absl::StrCat("must be a number from ", question->min, " to ", question->max));
      }
      continue;
    }
    switch (question->kind) {
      case QuestionKind::kText:
        if (!value.text || value.text->size() > kMostAnswerText) {
          errors.Add(path + ".text",
                     absl::StrCat("must be a text of at most ", kMostAnswerText, " bytes"));
        }
        break;
      case QuestionKind::kConsent:
        if (!value.agreed) errors.Add(path + ".agreed", "must be set: yes or no");
        break;
      default: {
        const bool single = question->kind == QuestionKind::kSingleChoice;
        if (!value.choices || (single && value.choices->size() != 1)) {
          errors.Add(path + ".choices", single ? "must be one choice" : "must be choices");
          break;
        }
        std::set<std::string> chosen;
        for (const std::string& choice : *value.choices) {
          const bool known = std::any_of(question->choices.begin(), question->choices.end(),
                                         [&](const SurveyChoice& c) { return c.id == choice; });
          if (!known) errors.Add(path + ".choices", "names what is not among the choices");
          if (!chosen.insert(choice).second) errors.Add(path + ".choices", "names a choice twice");
        }
      }
    }
  }
  return errors.ToStatus();
}

absl::StatusOr<SettledAnswers> Settle(const CompiledSurvey& survey, const AnswerMap& answers,
                                      const AskContext& context, absl::Time now) {
  const std::vector<std::string> shown = survey.Shown(answers, context, now);
  const std::set<std::string> asked(shown.begin(), shown.end());
  SettledAnswers settled;
  for (const auto& [id, value] : answers) {
    if (value.empty()) continue;
    if (asked.contains(id)) {
      settled.kept.emplace(id, value);
    } else {
      settled.dropped.push_back(id);
    }
  }
  error::FieldErrors errors;
  for (const std::string& id : shown) {
    if (settled.kept.contains(id)) continue;
    if (FindQuestion(survey.survey(), id)->required) {
      errors.Add("answers", absl::StrCat("the question ", id, " must be answered"));
    }
    settled.skipped.push_back(id);
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return settled;
}

Bars BarsOfAnswer(const Survey& survey, const AnswerMap& kept,
                  const std::vector<std::string>& skipped) {
  Bars bars;
  bars[""] = 0;
  for (const auto& [id, value] : kept) {
    const SurveyQuestion* question = FindQuestion(survey, id);
    if (question != nullptr && HasScale(question->kind) && value.number) {
      bars[id] = *value.number - question->min;
    }
  }
  for (const std::string& id : skipped) {
    const SurveyQuestion* question = FindQuestion(survey, id);
    if (question != nullptr && HasScale(question->kind)) bars[id] = kSkippedBar;
  }
  return bars;
}

Bars BarsOfDismissal(const Survey& survey) {
  Bars bars;
  bars[""] = kDismissedBar;
  for (const SurveyQuestion& question : survey.questions) {
    if (HasScale(question.kind)) bars[question.id] = kDismissedBar;
  }
  return bars;
}

std::optional<Fraction> RqiOfAnswers(const Survey& survey, const AnswerMap& kept) {
  std::vector<RqiItem> items;
  for (const SurveyQuestion& question : survey.questions) {
    if (question.relationship_part == 0) continue;
    RqiItem item{.min = question.min, .max = question.max, .weight = question.weight};
    if (const auto it = kept.find(question.id); it != kept.end()) item.value = it->second.number;
    items.push_back(item);
  }
  return RqiOf(items);
}

DropReason MayAsk(const Survey& survey, int pause_days, const AskedBefore& before, absl::Time now) {
  if (before.times > 0) {
    if (survey.recontact == RecontactPolicy::kOnce) return DropReason::kAskedOnce;
    if (survey.recontact == RecontactPolicy::kTimes && before.times >= survey.recontact_times) {
      return DropReason::kAskedEnough;
    }
    if (survey.recontact == RecontactPolicy::kUntilAnswered && before.answered) {
      return DropReason::kAnswered;
    }
  }
  const auto within = [&](absl::Time last, int days) {
    return days > 0 && last + days * absl::Hours(24) > now;
  };
  if (within(before.last, survey.recontact_days)) return DropReason::kSurveyDays;
  if (within(before.last_of_kind, pause_days)) return DropReason::kPause;
  return DropReason::kNone;
}

}  // namespace clm::feedback
