#include "services/feedback/surveys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "libs/base/error.h"

namespace clm::feedback {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

SurveyQuestion Q(const std::string& id, QuestionKind kind, const std::string& show_if = "") {
  SurveyQuestion question;
  question.id = id;
  question.kind = kind;
  question.texts = {{"en", "What about " + id + "?"}};
  question.show_if = show_if;
  if (kind == QuestionKind::kSingleChoice || kind == QuestionKind::kMultipleChoice) {
    question.choices = {{"price", {{"en", "Price"}}}, {"speed", {{"en", "Speed"}}}};
  }
  return question;
}

Survey Sample() {
  Survey survey;
  survey.tenant = "acme";
  survey.id = "pulse";
  survey.questions = {Q("nps", QuestionKind::kNps),
                      Q("why", QuestionKind::kText, "answers.nps < 7"),
                      Q("reason", QuestionKind::kMultipleChoice),
                      Q("price", QuestionKind::kCsat, "answers.reason:price")};
  FillDefaults(survey);
  return survey;
}
Survey Started() { return *MoveSurvey(Sample(), SurveyVerb::kStart, kNow); }

std::vector<std::string> FieldsOf(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(status)) fields.push_back(field);
  return fields;
}

AnswerValue Number(int number) {
  AnswerValue value;
  value.number = number;
  return value;
}
AnswerValue Text(const std::string& text) {
  AnswerValue value;
  value.text = text;
  return value;
}
AnswerValue Chosen(std::vector<std::string> ids) {
  AnswerValue value;
  value.choices = std::move(ids);
  return value;
}

TEST(SurveyTest, DefaultsAreThoseOfTheKind) {
  Survey survey;
  survey.questions = {Q("a", QuestionKind::kNps), Q("b", QuestionKind::kCsat),
                      Q("c", QuestionKind::kCes), Q("d", QuestionKind::kRating)};
  survey.questions[1].min = 0;
  FillDefaults(survey);
  EXPECT_EQ(survey.questions[0].max, 10);
  EXPECT_EQ(survey.questions[1].min, 1);
  EXPECT_EQ(survey.questions[1].satisfied_from, 4);
  EXPECT_EQ(survey.questions[2].max, 7);
  EXPECT_EQ(survey.questions[3].max, 5);
  SurveyQuestion three = Q("e", QuestionKind::kCsat);
  three.min = 1;
  three.max = 3;
  survey.questions = {three};
  FillDefaults(survey);
  EXPECT_EQ(survey.questions[0].satisfied_from, 3);
}

TEST(SurveyTest, WhatIsWrongIsToldAllAtOnceWithItsPlace) {
  Survey survey = Sample();
  survey.questions[0].max = 9;
  survey.questions[1].texts = {{"de", "Warum?"}};
  survey.questions[1].show_if = "answers.nps < 7 AND answers.later = 1";
  survey.questions[2].choices.clear();
  survey.questions[3].id = "nps";
  survey.time_zone = "Mars/Olympus";
  survey.triggers = {{.event_type = "purchase", .model = "m", .stage = "s"}};
  EXPECT_THAT(
      FieldsOf(ValidateSurvey(survey)),
      UnorderedElementsAre("questions[0].max", "questions[1].texts", "questions[1].show_if",
                           "questions[2].choices", "questions[3].id", "time_zone", "triggers[0]"));
}

TEST(SurveyTest, AConditionIsCheckedWithThePositionOfTheFault) {
  Survey survey = Sample();
  survey.questions[1].show_if = "answers.nps < seven";
  const absl::Status status = ValidateSurvey(survey);
  EXPECT_THAT(std::string(status.message()), HasSubstr("questions[1].show_if"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("15"));
}

TEST(SurveyTest, AConditionSeesOnlyWhatComesBefore) {
  Survey survey = Sample();
  survey.questions[0].show_if = "answers.reason:price";
  EXPECT_THAT(FieldsOf(ValidateSurvey(survey)), ElementsAre("questions[0].show_if"));
  survey.questions[0].show_if = "channel = \"email\" AND language = de";
  EXPECT_TRUE(ValidateSurvey(survey).ok());
}

TEST(SurveyTest, StatesMoveByVerbs) {
  const Survey draft = Sample();
  EXPECT_EQ(error::Reason(MoveSurvey(draft, SurveyVerb::kPause, kNow).status()), "SURVEY_STATE");
  EXPECT_EQ(error::Reason(MoveSurvey(draft, SurveyVerb::kComplete, kNow).status()), "SURVEY_STATE");
  const Survey running = Started();
  EXPECT_EQ(running.version, 1);
  EXPECT_EQ(running.start_time, kNow);
  EXPECT_EQ(*MoveSurvey(running, SurveyVerb::kStart, kNow), running) << "nothing to do";
  const Survey paused = *MoveSurvey(running, SurveyVerb::kPause, kNow);
  EXPECT_EQ(error::Reason(CheckOpen(paused)), "SURVEY_NOT_OPEN");
  EXPECT_EQ(MoveSurvey(paused, SurveyVerb::kStart, kNow)->version, 1);
  const Survey over = *MoveSurvey(paused, SurveyVerb::kComplete, kNow);
  for (const SurveyVerb verb : {SurveyVerb::kStart, SurveyVerb::kPause}) {
    EXPECT_FALSE(MoveSurvey(over, verb, kNow).ok());
  }
  EXPECT_EQ(error::Reason(EditSurvey(over, over, kNow).status()), "SURVEY_COMPLETED");
  Survey empty = draft;
  empty.questions.clear();
  EXPECT_EQ(error::Reason(MoveSurvey(empty, SurveyVerb::kStart, kNow).status()), "SURVEY_EMPTY");
}

TEST(SurveyTest, AnEditOfARunningSurveyIsANewVersion) {
  const Survey running = Started();
  Survey wanted = running;
  wanted.questions[0].texts = {{"en", "Would you recommend us?"}};
  EXPECT_EQ(EditSurvey(running, wanted, kNow)->version, 2);
  wanted = running;
  wanted.display_name = "Pulse";
  const Survey renamed = *EditSurvey(running, wanted, kNow);
  EXPECT_EQ(renamed.version, 1) << "nobody is asked anything else";
  EXPECT_EQ(renamed.row_version, running.row_version + 1);
  wanted = Sample();
  wanted.questions.pop_back();
  EXPECT_EQ(EditSurvey(Sample(), wanted, kNow)->version, 0) << "a draft has no versions";
}

TEST(SurveyTest, WhatIsCountedOfAQuestionStaysForEver) {
  const Survey running = Started();
  Survey wanted = running;
  wanted.questions[3].satisfied_from = 5;
  EXPECT_THAT(FieldsOf(EditSurvey(running, wanted, kNow).status()), ElementsAre("questions[3].id"));
  wanted = running;
  wanted.questions.pop_back();
  const Survey without = *EditSurvey(running, wanted, kNow);
  // It comes back, as another measure: refused; as the same: taken.
  wanted = without;
  wanted.questions.push_back(Q("price", QuestionKind::kRating));
  FillDefaults(wanted);
  EXPECT_THAT(FieldsOf(EditSurvey(without, wanted, kNow).status()), ElementsAre("questions[3].id"));
  wanted = running;
  EXPECT_EQ(EditSurvey(without, wanted, kNow)->version, 3);
  wanted = running;
  wanted.time_zone = "Europe/Berlin";
  wanted.relational = true;
  EXPECT_THAT(FieldsOf(EditSurvey(running, wanted, kNow).status()),
              UnorderedElementsAre("purpose", "time_zone"));
}

TEST(SurveyTest, TextsComeInTheNearestLanguage) {
  const LocalTexts texts = {{"en", "Hello"}, {"de", "Hallo"}, {"de-CH", "Grüezi"}};
  EXPECT_EQ(TextIn(texts, "de-CH", "en"), "Grüezi");
  EXPECT_EQ(TextIn(texts, "de-AT", "en"), "Hallo");
  EXPECT_EQ(TextIn(texts, "fr", "en"), "Hello");
}

TEST(AnswersTest, EachIsOneToItsQuestion) {
  const Survey survey = Sample();
  AnswerValue agreed;
  agreed.agreed = true;
  const std::vector<std::pair<std::string, AnswerValue>> bad = {
      {"nps", Number(11)},           {"why", Number(1)}, {"reason", Chosen({"price", "taste"})},
      {"nothing", Text("anything")}, {"nps", Number(1)}, {"price", agreed}};
  EXPECT_THAT(
      FieldsOf(CheckAnswers(survey, bad)),
      UnorderedElementsAre("answers[0].number", "answers[1].text", "answers[2].choices",
                           "answers[3].question", "answers[4].question", "answers[5].number"));
  EXPECT_THAT(FieldsOf(CheckAnswers(survey, {{"why", Text(std::string(1 << 20, 'a'))}})),
              ElementsAre("answers[0].text"));
  EXPECT_THAT(FieldsOf(CheckAnswers(survey, {{"nps", Number(-1)}})),
              ElementsAre("answers[0].number"));
  EXPECT_TRUE(CheckAnswers(survey, {{"nps", Number(0)},
                                    {"why", Text("<script>alert(1)</script>")},
                                    {"reason", Chosen({"price"})},
                                    {"price", AnswerValue()}})
                  .ok());
}

TEST(AnswersTest, ConditionsDecideWhatIsAsked) {
  const auto survey = *CompiledSurvey::New(Sample());
  const AskContext context;
  EXPECT_THAT(survey->Shown({}, context, kNow), ElementsAre("nps", "reason"));
  EXPECT_THAT(survey->Shown({{"nps", Number(3)}, {"reason", Chosen({"price"})}}, context, kNow),
              ElementsAre("nps", "why", "reason", "price"));
}

TEST(AnswersTest, WhatIsNotAskedIsNotKeptAndHidesWhatFollowsFromIt) {
  Survey sample = Sample();
  sample.questions.push_back(Q("more", QuestionKind::kText, "answers.why:*"));
  const auto survey = *CompiledSurvey::New(sample);
  const AnswerMap answers = {{"nps", Number(9)}, {"why", Text("so")}, {"more", Text("and more")}};
  const auto settled = Settle(*survey, answers, {}, kNow);
  ASSERT_TRUE(settled.ok()) << settled.status();
  EXPECT_THAT(settled->kept, UnorderedElementsAre(Pair("nps", Number(9))));
  EXPECT_THAT(settled->dropped, UnorderedElementsAre("why", "more"));
  EXPECT_THAT(settled->skipped, ElementsAre("reason"));
}

TEST(AnswersTest, ARequiredQuestionIsRequiredWhereItIsAsked) {
  Survey sample = Sample();
  sample.questions[1].required = true;
  const auto survey = *CompiledSurvey::New(sample);
  EXPECT_THAT(FieldsOf(Settle(*survey, {{"nps", Number(2)}}, {}, kNow).status()),
              ElementsAre("answers"));
  EXPECT_TRUE(Settle(*survey, {{"nps", Number(9)}}, {}, kNow).ok());
}

TEST(AnswersTest, WhatCountsIsWhatHasAScale) {
  const Survey survey = Sample();
  EXPECT_THAT(BarsOfAnswer(survey, {{"nps", Number(9)}, {"price", Number(1)}, {"why", Text("x")}},
                           {"reason"}),
              UnorderedElementsAre(Pair("", 0), Pair("nps", 9), Pair("price", 0)));
  EXPECT_THAT(BarsOfAnswer(survey, {}, {"nps", "reason"}),
              UnorderedElementsAre(Pair("", 0), Pair("nps", kSkippedBar)));
  EXPECT_THAT(BarsOfDismissal(survey),
              UnorderedElementsAre(Pair("", kDismissedBar), Pair("nps", kDismissedBar),
                                   Pair("price", kDismissedBar)));
}

TEST(FatigueTest, TheSurveysOwnRuleComesFirst) {
  Survey survey = Started();
  AskedBefore before{.times = 1,
                     .last = kNow - absl::Hours(24 * 400),
                     .last_of_kind = kNow - absl::Hours(24 * 400)};
  EXPECT_EQ(MayAsk(survey, 30, {}, kNow), DropReason::kNone);
  EXPECT_EQ(MayAsk(survey, 30, before, kNow), DropReason::kAskedOnce);
  survey.recontact = RecontactPolicy::kTimes;
  survey.recontact_times = 2;
  EXPECT_EQ(MayAsk(survey, 30, before, kNow), DropReason::kNone);
  before.times = 2;
  EXPECT_EQ(MayAsk(survey, 30, before, kNow), DropReason::kAskedEnough);
  survey.recontact = RecontactPolicy::kUntilAnswered;
  EXPECT_EQ(MayAsk(survey, 30, before, kNow), DropReason::kNone);
  before.answered = true;
  EXPECT_EQ(MayAsk(survey, 30, before, kNow), DropReason::kAnswered);
  survey.recontact = RecontactPolicy::kAlways;
  EXPECT_EQ(MayAsk(survey, 30, before, kNow), DropReason::kNone);
}

TEST(FatigueTest, DaysAreExact) {
  Survey survey = Started();
  survey.recontact = RecontactPolicy::kAlways;
  survey.recontact_days = 90;
  AskedBefore before{.times = 1, .last = kNow - absl::Hours(24 * 90) + absl::Microseconds(1)};
  EXPECT_EQ(MayAsk(survey, 0, before, kNow), DropReason::kSurveyDays);
  before.last = kNow - absl::Hours(24 * 90);
  EXPECT_EQ(MayAsk(survey, 0, before, kNow), DropReason::kNone);
  before.last_of_kind = kNow - absl::Hours(24 * 30) + absl::Microseconds(1);
  EXPECT_EQ(MayAsk(survey, 30, before, kNow), DropReason::kPause);
  before.last_of_kind = kNow - absl::Hours(24 * 30);
  EXPECT_EQ(MayAsk(survey, 30, before, kNow), DropReason::kNone);
  EXPECT_EQ(MayAsk(survey, 0, {.last_of_kind = kNow}, kNow), DropReason::kNone);
}

}  // namespace
}  // namespace clm::feedback
