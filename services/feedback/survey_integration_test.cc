// Surveys, invitations, answers and scores against a real database.
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clm/lifecycle/v1/lifecycle.pb.h"
#include "libs/base/error.h"
#include "libs/testing/at_once.h"
#include "services/feedback/feedback_fixture.h"
#include "services/feedback/survey_module_part.h"

namespace clm::feedback {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class SurveyIntegrationTest : public FeedbackTest {
 protected:
  static constexpr char kSurvey[] = "tenants/acme/surveys/pulse";

  Node::Context ContextOf(const std::string& contact) override {
    if (silent_) return absl::UnavailableError("silent");
    contact::v1::CustomerContext context;
    context.mutable_contact()->set_name(contact);
    context.mutable_contact()->set_locale("de-CH");
    (*context.mutable_contact()->mutable_attributes())["plan"].set_string_value("pro");
    auto* stage = context.add_stages();
    stage->set_model("tenants/acme/stageModels/simple");
    stage->set_stage(stage_);
    auto* membership = context.add_memberships();
    membership->mutable_member()->set_name(
        absl::StrCat("tenants/acme/programs/club/members/", Id(1).ToString()));
    membership->mutable_member()->mutable_tier_standing()->set_tier("gold");
    return context;
  }

  SurveyHandlers& surveys() { return node_->Part<SurveyModulePart>().surveys(); }
  InvitationHandlers& invitations() { return node_->Part<SurveyModulePart>().invitations(); }
  ResponseHandlers& responses() { return node_->Part<SurveyModulePart>().responses(); }
  ScoreHandlers& scores() { return node_->Part<SurveyModulePart>().scores(); }

  // NPS, why for detractors, CSAT; everybody may be asked at any time.
  static v1::Survey Sample() {
    v1::Survey survey;
    survey.set_display_name("Pulse");
    survey.set_purpose(v1::Survey::PURPOSE_RELATIONAL);
    survey.set_time_zone("Europe/Berlin");
    survey.add_attributes("plan");
    survey.mutable_recontact()->set_policy(v1::Recontact::POLICY_ALWAYS);
    const auto add = [&](const char* id, v1::Question::Kind kind, const char* text) {
      v1::Question* question = survey.add_questions();
      question->set_id(id);
      question->set_kind(kind);
      auto* en = question->add_texts();
      en->set_language("en");
      en->set_text(text);
      return question;
    };
    auto* de = add("nps", v1::Question::KIND_NPS, "Recommend?")->add_texts();
    de->set_language("de");
    de->set_text("Empfehlen?");
    add("why", v1::Question::KIND_TEXT, "Why?")->set_show_if("answers.nps < 7");
    add("csat", v1::Question::KIND_CSAT, "Satisfied?");
    return survey;
  }
  void NoPauses() {
    v1::UpdateFeedbackSettingsRequest request;
    request.mutable_feedback_settings()->set_name("tenants/acme/feedbackSettings");
    request.mutable_update_mask()->add_paths("*");
    CLM_ASSERT_OK(Do(surveys(), &SurveyHandlers::UpdateFeedbackSettings, request));
  }
  absl::StatusOr<v1::Survey> Create(const v1::Survey& survey, const std::string& id = "pulse") {
    v1::CreateSurveyRequest request;
    request.set_parent("tenants/acme");
    request.set_survey_id(id);
    *request.mutable_survey() = survey;
    return Do(surveys(), &SurveyHandlers::CreateSurvey, request);
  }
  absl::StatusOr<v1::Survey> Start(const std::string& name = kSurvey) {
    v1::StartSurveyRequest request;
    request.set_name(name);
    return Do(surveys(), &SurveyHandlers::StartSurvey, request);
  }
  void Begin(const v1::Survey& survey = Sample(), const std::string& id = "pulse") {
    NoPauses();
    CLM_ASSERT_OK(Create(survey, id));
    CLM_ASSERT_OK(Start("tenants/acme/surveys/" + id));
  }
  static v1::CreateInvitationRequest InviteRequestFor(int contact,
                                                      const std::string& survey = kSurvey) {
    v1::CreateInvitationRequest request;
    request.set_parent("tenants/acme");
    request.mutable_invitation()->set_survey(survey);
    request.mutable_invitation()->set_contact(ContactName(contact));
    request.mutable_invitation()->set_channel("email");
    request.mutable_invitation()->set_agent("ada");
    request.mutable_invitation()->set_order("T-1");
    return request;
  }
  absl::StatusOr<v1::CreateInvitationResponse> Invited(int contact,
                                                       const std::string& survey = kSurvey) {
    return Do(invitations(), &InvitationHandlers::CreateInvitation,
              InviteRequestFor(contact, survey));
  }
  std::string TokenFor(int contact) {
    const auto invited = Invited(contact);
    CLM_EXPECT_OK(invited);
    return invited.ok() ? invited->token() : "";
  }
  static v1::SubmitResponseRequest SubmitRequest(const std::string& token, int nps,
                                                 std::optional<int> csat = std::nullopt,
                                                 const std::string& why = "") {
    v1::SubmitResponseRequest request;
    request.set_token(token);
    auto* answer = request.add_answers();
    answer->set_question("nps");
    answer->set_number(nps);
    if (csat) {
      answer = request.add_answers();
      answer->set_question("csat");
      answer->set_number(*csat);
    }
    if (!why.empty()) {
      answer = request.add_answers();
      answer->set_question("why");
      answer->set_text(why);
    }
    return request;
  }
  absl::StatusOr<v1::SubmitResponseResponse> Submit(const v1::SubmitResponseRequest& request) {
    return Do(responses(), &ResponseHandlers::SubmitResponse, request);
  }
  absl::StatusOr<v1::OpenSurveyResponse> Open(const std::string& token,
                                              const std::string& language = "") {
    v1::OpenSurveyRequest request;
    request.set_token(token);
    request.set_language(language);
    return Do(responses(), &ResponseHandlers::OpenSurvey, request);
  }
  absl::Status Dismiss(const std::string& token) {
    v1::DismissSurveyRequest request;
    request.set_token(token);
    return Do(responses(), &ResponseHandlers::DismissSurvey, request).status();
  }
  v1::Response ResponseOf(const std::string& invitation) {
    v1::GetResponseRequest request;
    request.set_name(absl::StrReplaceAll(invitation, {{"/invitations/", "/responses/"}}));
    const auto found = Do(responses(), &ResponseHandlers::GetResponse, request);
    CLM_EXPECT_OK(found);
    return found.value_or(v1::Response());
  }
  v1::Nps NpsNow(const std::string& dimension = "") {
    v1::GetScoreRequest request;
    request.set_survey(kSurvey);
    request.set_dimension(dimension);
    const auto report = Do(scores(), &ScoreHandlers::GetNps, request);
    CLM_EXPECT_OK(report);
    return report.ok() ? report->total() : v1::Nps();
  }
  void ExpectCountersHold(const std::string& survey = kSurvey) {
    v1::RecountScoresRequest request;
    request.set_survey(survey);
    const auto recount = Do(scores(), &ScoreHandlers::RecountScores, request);
    CLM_ASSERT_OK(recount);
    EXPECT_THAT(recount->differences(), IsEmpty());
  }

  bool silent_ = false;
  std::string stage_ = "loyal";
};

TEST_F(SurveyIntegrationTest, AnAnswerIsKeptWithItsMomentAndCounted) {
  Begin();
  const auto invited = Invited(1);
  CLM_ASSERT_OK(invited);
  EXPECT_EQ(invited->invitation().language(), "de-CH") << "that of the contact";
  const auto open = Open(invited->token());
  CLM_ASSERT_OK(open);
  EXPECT_EQ(open->questions(0).texts(0).text(), "Empfehlen?");
  EXPECT_EQ(open->questions(1).texts(0).text(), "Why?") << "falls back";
  EXPECT_THAT(open->shown(), ElementsAre("nps", "csat"));
  CLM_ASSERT_OK(Submit(SubmitRequest(invited->token(), 3, 5, "<b>slow</b>")));
  const v1::Response response = ResponseOf(invited->invitation().name());
  EXPECT_EQ(response.state(), v1::Response::STATE_SUBMITTED);
  EXPECT_EQ(response.survey_version(), 1);
  EXPECT_EQ(response.answers(1).text(), "<b>slow</b>") << "text, as it was given";
  EXPECT_THAT(response.moment().stages(), ElementsAre("simple/loyal"));
  EXPECT_THAT(response.moment().tiers(), ElementsAre("club/gold"));
  EXPECT_THAT(response.moment().attributes(), ElementsAre("plan=pro"));
  EXPECT_FALSE(response.moment().unknown());
  EXPECT_EQ(response.agent(), "ada");
  EXPECT_EQ(response.order(), "T-1");
  for (const char* dim : {"", "channel=email", "agent=ada", "stage=simple/loyal", "tier=club/gold",
                          "attribute:plan=pro"}) {
    EXPECT_EQ(NpsNow(dim).detractors(), 1) << dim;
  }
  EXPECT_EQ(NpsNow("channel=sms").detractors(), 0);
  EXPECT_FALSE(NpsNow("channel=sms").has_score());
  ExpectCountersHold();
}

TEST_F(SurveyIntegrationTest, ASilentContactServiceCostsTheMomentOnly) {
  Begin();
  silent_ = true;
  const auto invited = Invited(1);
  CLM_ASSERT_OK(invited);
  CLM_ASSERT_OK(Submit(SubmitRequest(invited->token(), 9)));
  EXPECT_TRUE(ResponseOf(invited->invitation().name()).moment().unknown());
  EXPECT_EQ(NpsNow().promoters(), 1);
  ExpectCountersHold();
}

TEST_F(SurveyIntegrationTest, ACorrectionMovesTheCounters) {
  Begin();
  const std::string token = TokenFor(1);
  CLM_ASSERT_OK(Submit(SubmitRequest(token, 2, 1, "slow")));
  auto again = SubmitRequest(token, 10);
  EXPECT_EQ(error::Reason(Submit(again).status()), "ALREADY_ANSWERED");
  clock_.Advance(absl::Hours(72));
  stage_ = "leaving";
  again.set_correction(true);
  const auto corrected = Submit(again);
  CLM_ASSERT_OK(corrected);
  EXPECT_THAT(corrected->dropped(), ElementsAre("why")) << "a promoter is not asked why";
  EXPECT_EQ(NpsNow().promoters(), 1);
  EXPECT_EQ(NpsNow().detractors(), 0);
  EXPECT_EQ(NpsNow("stage=simple/loyal").promoters(), 1) << "that of the first time";
  EXPECT_EQ(Count("SELECT count(DISTINCT day) FROM score_counter"), 1);
  ExpectCountersHold();
}

TEST_F(SurveyIntegrationTest, WhoDismissesIsInNoDenominatorAndMayAnswerLater) {
  Begin();
  CLM_ASSERT_OK(Submit(SubmitRequest(TokenFor(1), 10)));
  const std::string second = TokenFor(2);
  CLM_ASSERT_OK(Dismiss(second));
  CLM_ASSERT_OK(Dismiss(second));
  CLM_ASSERT_OK(Dismiss(TokenFor(3)));
  v1::Nps nps = NpsNow();
  EXPECT_EQ(nps.score().shown(), "100.0");
  EXPECT_EQ(nps.score().denominator(), 1);
  EXPECT_EQ(nps.dismissed(), 2);
  ExpectCountersHold();
  clock_.Advance(absl::Hours(48));
  CLM_ASSERT_OK(Submit(SubmitRequest(second, 0)));
  EXPECT_EQ(error::Reason(Dismiss(second)), "ALREADY_ANSWERED");
  nps = NpsNow();
  EXPECT_EQ(nps.score().shown(), "0.0");
  EXPECT_EQ(nps.dismissed(), 1);
  ExpectCountersHold();
}

TEST_F(SurveyIntegrationTest, PartialAnswersAreKeptAndCountInNoScore) {
  Begin();
  const auto invited = Invited(1);
  v1::SaveResponseRequest save;
  save.set_token(invited->token());
  auto* answer = save.add_answers();
  answer->set_question("nps");
  answer->set_number(4);
  const auto saved = Do(responses(), &ResponseHandlers::SaveResponse, save);
  CLM_ASSERT_OK(saved);
  EXPECT_THAT(saved->shown(), ElementsAre("nps", "why", "csat"));
  EXPECT_EQ(ResponseOf(invited->invitation().name()).state(), v1::Response::STATE_PARTIAL);
  EXPECT_FALSE(NpsNow().has_score());
  EXPECT_EQ(Open(invited->token())->answers(0).number(), 4);
  v1::SubmitResponseRequest submit;
  submit.set_token(invited->token());
  CLM_ASSERT_OK(Submit(submit));
  EXPECT_EQ(NpsNow().detractors(), 1);
  ExpectCountersHold();
}

TEST_F(SurveyIntegrationTest, TokensThatAreNotGoodAreRefusedWithWhatIsWrong) {
  Begin();
  const auto invited = Invited(1);
  const std::string token = invited->token();
  std::string forged = token;
  forged[forged.size() - 3] = forged[forged.size() - 3] == 'A' ? 'B' : 'A';
  for (const std::string& bad : {std::string("x"), std::string("acme."), forged,
                                 "other" + token.substr(token.find('.')), token + "A"}) {
    EXPECT_EQ(error::Reason(Open(bad).status()), "INVITATION_INVALID") << bad;
    EXPECT_EQ(error::Reason(Submit(SubmitRequest(bad, 1)).status()), "INVITATION_INVALID") << bad;
  }
  // Of another tenant than the caller's own.
  rpc::Call call = CallNow();
  call.caller.tenant = "other";
  call.caller.suite = false;
  std::string reason;
  responses().SubmitResponse(call, SubmitRequest(token, 1),
                             rpc::Reply<v1::SubmitResponseResponse>::To([&](const auto& answer) {
                               reason = error::Reason(answer.status());
                             }));
  EXPECT_EQ(reason, "INVITATION_INVALID");
  clock_.Advance(absl::Hours(24 * 30) - absl::Microseconds(1));
  CLM_EXPECT_OK(Open(token));
  clock_.Advance(absl::Microseconds(1));
  EXPECT_EQ(error::Reason(Open(token).status()), "INVITATION_EXPIRED");
  EXPECT_EQ(error::Reason(Submit(SubmitRequest(token, 1)).status()), "INVITATION_EXPIRED");

  const auto second = Invited(2);
  v1::RevokeInvitationRequest revoke;
  revoke.set_name(second->invitation().name());
  CLM_ASSERT_OK(Do(invitations(), &InvitationHandlers::RevokeInvitation, revoke));
  EXPECT_EQ(error::Reason(Open(second->token()).status()), "INVITATION_REVOKED");

  v1::GetInvitationTokenRequest same;
  same.set_name(second->invitation().name());
  EXPECT_EQ(Do(invitations(), &InvitationHandlers::GetInvitationToken, same)->token(),
            second->token());
  EXPECT_EQ(
      Count("SELECT count(*) FROM journal WHERE position('" + token + "'::bytea IN event) > 0"), 0);
}

TEST_F(SurveyIntegrationTest, APausedOrCompletedSurveyTakesNothing) {
  Begin();
  const std::string token = TokenFor(1);
  CLM_ASSERT_OK(Submit(SubmitRequest(token, 1)));
  v1::PauseSurveyRequest pause;
  pause.set_name(kSurvey);
  CLM_ASSERT_OK(Do(surveys(), &SurveyHandlers::PauseSurvey, pause));
  EXPECT_EQ(error::Reason(Open(token).status()), "SURVEY_NOT_OPEN");
  EXPECT_EQ(error::Reason(Invited(2).status()), "SURVEY_NOT_OPEN");
  CLM_ASSERT_OK(Start());
  v1::CompleteSurveyRequest complete;
  complete.set_name(kSurvey);
  CLM_ASSERT_OK(Do(surveys(), &SurveyHandlers::CompleteSurvey, complete));
  auto correction = SubmitRequest(token, 9);
  correction.set_correction(true);
  EXPECT_EQ(error::Reason(Submit(correction).status()), "SURVEY_NOT_OPEN");
  EXPECT_EQ(NpsNow().detractors(), 1);
}

TEST_F(SurveyIntegrationTest, ASurveyIsOverWhenEnoughHaveAnswered) {
  v1::Survey survey = Sample();
  survey.set_response_limit(2);
  Begin(survey);
  std::vector<std::string> tokens;
  for (int i = 0; i < 8; ++i) tokens.push_back(TokenFor(i));
  std::atomic<int> taken = 0;
  clm::testing::AtOnce(8, [&](int i) {
    const auto answer = Submit(SubmitRequest(tokens[static_cast<size_t>(i)], 10));
    if (answer.ok()) {
      ++taken;
    } else {
      EXPECT_EQ(error::Reason(answer.status()), "SURVEY_NOT_OPEN");
    }
  });
  EXPECT_EQ(taken, 2);
  EXPECT_EQ(NpsNow().promoters(), 2);
  v1::GetSurveyRequest get;
  get.set_name(kSurvey);
  EXPECT_EQ(Do(surveys(), &SurveyHandlers::GetSurvey, get)->state(), v1::Survey::STATE_COMPLETED);
  ExpectCountersHold();
}

TEST_F(SurveyIntegrationTest, AnswersKeepTheVersionThatWasAsked) {
  Begin();
  const std::string first = TokenFor(1);
  CLM_ASSERT_OK(Open(first));
  v1::UpdateSurveyRequest update;
  *update.mutable_survey() = Sample();
  update.mutable_survey()->set_name(kSurvey);
  update.mutable_survey()->mutable_questions()->RemoveLast();
  update.mutable_survey()->mutable_questions(0)->mutable_texts(0)->set_text("Would you?");
  update.mutable_update_mask()->add_paths("questions");
  const auto updated = Do(surveys(), &SurveyHandlers::UpdateSurvey, update);
  CLM_ASSERT_OK(updated);
  EXPECT_EQ(updated->version(), 2);
  EXPECT_EQ(Open(first, "en")->questions(0).texts(0).text(), "Recommend?");
  CLM_ASSERT_OK(Submit(SubmitRequest(first, 8, 4)));
  const std::string second = TokenFor(2);
  EXPECT_EQ(Open(second, "en")->questions(0).texts(0).text(), "Would you?");
  EXPECT_THAT(Submit(SubmitRequest(second, 8, 4)).status().message(),
              HasSubstr("answers[1].question"));
  CLM_ASSERT_OK(Submit(SubmitRequest(second, 8)));
  v1::GetSurveyRequest get;
  get.set_name(kSurvey);
  get.set_version(1);
  EXPECT_EQ(Do(surveys(), &SurveyHandlers::GetSurvey, get)->questions_size(), 3);
  // What was asked in the first version is still told.
  v1::GetScoreRequest csat;
  csat.set_survey(kSurvey);
  csat.set_question("csat");
  EXPECT_EQ(Do(scores(), &ScoreHandlers::GetCsat, csat)->total().satisfied(), 1);
  EXPECT_EQ(NpsNow().passives(), 2);
  ExpectCountersHold();
}

TEST_F(SurveyIntegrationTest, WhoWasAskedTooOftenIsDroppedForGood) {
  v1::Survey survey = Sample();
  survey.mutable_recontact()->set_policy(v1::Recontact::POLICY_ONCE);
  CLM_ASSERT_OK(Create(survey));
  CLM_ASSERT_OK(Start());
  survey.mutable_recontact()->set_policy(v1::Recontact::POLICY_ALWAYS);
  CLM_ASSERT_OK(Create(survey, "other"));
  CLM_ASSERT_OK(Start("tenants/acme/surveys/other"));
  survey.set_purpose(v1::Survey::PURPOSE_TRANSACTIONAL);
  CLM_ASSERT_OK(Create(survey, "service"));
  CLM_ASSERT_OK(Start("tenants/acme/surveys/service"));
  const auto drop = [&](const std::string& id) {
    const auto invited = Invited(1, "tenants/acme/surveys/" + id);
    CLM_EXPECT_OK(invited);
    EXPECT_EQ(invited->token().empty(),
              invited->invitation().state() == v1::Invitation::STATE_DROPPED);
    return invited->invitation().drop_reason();
  };
  EXPECT_EQ(drop("pulse"), v1::Invitation::DROP_REASON_UNSPECIFIED);
  EXPECT_EQ(drop("pulse"), v1::Invitation::DROP_REASON_ASKED_ONCE);
  EXPECT_EQ(drop("other"), v1::Invitation::DROP_REASON_PAUSE);
  EXPECT_EQ(drop("service"), v1::Invitation::DROP_REASON_UNSPECIFIED) << "another kind";
  clock_.Advance(absl::Hours(24 * 30));
  EXPECT_EQ(drop("pulse"), v1::Invitation::DROP_REASON_ASKED_ONCE);
  EXPECT_EQ(drop("other"), v1::Invitation::DROP_REASON_UNSPECIFIED);
  // The same request gets the same answer, also when its time would have come.
  v1::CreateInvitationRequest request = InviteRequestFor(1);
  request.set_request_id(Id(77).ToString());
  const auto once = Do(invitations(), &InvitationHandlers::CreateInvitation, request);
  clock_.Advance(absl::Hours(24 * 300));
  const auto again = Do(invitations(), &InvitationHandlers::CreateInvitation, request);
  EXPECT_EQ(once->invitation().name(), again->invitation().name());
}

TEST_F(SurveyIntegrationTest, TwoAtOnceAreAskedOnce) {
  v1::Survey survey = Sample();
  survey.mutable_recontact()->set_policy(v1::Recontact::POLICY_ONCE);
  Begin(survey);
  std::atomic<int> invited = 0;
  clm::testing::AtOnce(8, [&](int) {
    const auto answer = Invited(1);
    CLM_EXPECT_OK(answer);
    if (answer->invitation().state() == v1::Invitation::STATE_INVITED) ++invited;
  });
  EXPECT_EQ(invited, 1);
}

TEST_F(SurveyIntegrationTest, ScoresComeByDaysAndIntervals) {
  Begin();
  clock_.Set(At("2026-01-31 23:30"));
  CLM_ASSERT_OK(Submit(SubmitRequest(TokenFor(1), 10)));
  clock_.Set(At("2026-02-01 00:30"));  // Still January in UTC.
  CLM_ASSERT_OK(Submit(SubmitRequest(TokenFor(2), 0)));
  clock_.Set(At("2026-02-03 12:00"));
  CLM_ASSERT_OK(Submit(SubmitRequest(TokenFor(3), 8)));
  v1::GetScoreRequest request;
  request.set_survey(kSurvey);
  request.set_interval(v1::GetScoreRequest::INTERVAL_MONTH);
  auto report = Do(scores(), &ScoreHandlers::GetNps, request);
  CLM_ASSERT_OK(report);
  ASSERT_EQ(report->series_size(), 2);
  EXPECT_EQ(report->series(0).start_date(), "2026-01-01");
  EXPECT_EQ(report->series(0).nps().score().shown(), "100.0");
  EXPECT_EQ(report->series(1).nps().score().shown(), "-50.0");
  EXPECT_EQ(report->total().score().shown(), "0.0");
  request.set_interval(v1::GetScoreRequest::INTERVAL_WEEK);
  report = Do(scores(), &ScoreHandlers::GetNps, request);
  ASSERT_EQ(report->series_size(), 2);
  EXPECT_EQ(report->series(0).start_date(), "2026-01-26");
  EXPECT_EQ(report->series(1).start_date(), "2026-02-02");
  request.set_start_date("2026-02-01");
  request.set_end_date("2026-02-01");
  EXPECT_EQ(Do(scores(), &ScoreHandlers::GetNps, request)->total().detractors(), 1);
  request.set_end_date("2026-01-01");
  EXPECT_THAT(Do(scores(), &ScoreHandlers::GetNps, request).status().message(),
              HasSubstr("end_date"));
  request.set_end_date("");
  request.set_dimension("colour=red");
  EXPECT_THAT(Do(scores(), &ScoreHandlers::GetNps, request).status().message(),
              HasSubstr("dimension"));
}

TEST_F(SurveyIntegrationTest, TheIndexIsTheMeanOverCustomersByTheirLatestAnswer) {
  v1::Survey survey = Sample();
  survey.clear_questions();
  const auto item = [&](const char* id, v1::Question::RelationshipPart part, int max) {
    v1::Question* question = survey.add_questions();
    question->set_id(id);
    question->set_kind(v1::Question::KIND_RATING);
    question->set_min(1);
    question->set_max(max);
    question->set_relationship_part(part);
    auto* text = question->add_texts();
    text->set_language("en");
    text->set_text("?");
  };
  item("satisfaction", v1::Question::RELATIONSHIP_PART_SATISFACTION, 7);
  item("trust", v1::Question::RELATIONSHIP_PART_TRUST, 7);
  item("commitment", v1::Question::RELATIONSHIP_PART_COMMITMENT, 5);
  Begin(survey);
  const auto answer = [&](int contact, std::vector<int> values) {
    v1::SubmitResponseRequest request;
    request.set_token(TokenFor(contact));
    const char* ids[] = {"satisfaction", "trust", "commitment"};
    for (size_t i = 0; i < values.size(); ++i) {
      auto* one = request.add_answers();
      one->set_question(ids[i]);
      one->set_number(values[i]);
    }
    CLM_ASSERT_OK(Submit(request));
    clock_.Advance(absl::Hours(1));
  };
  answer(1, {1, 1, 1});
  answer(1, {5, 6, 3});  // 66.667; the earlier one does not count.
  answer(2, {7});        // One item is no index.
  v1::GetScoreRequest request;
  request.set_survey(kSurvey);
  auto report = Do(scores(), &ScoreHandlers::GetRqi, request);
  CLM_ASSERT_OK(report);
  EXPECT_EQ(report->customers(), 1);
  EXPECT_EQ(report->shown(), "66.7");
  answer(3, {7, 7, 5});
  report = Do(scores(), &ScoreHandlers::GetRqi, request);
  EXPECT_EQ(report->customers(), 2);
  EXPECT_EQ(report->shown(), "83.3");
}

TEST_F(SurveyIntegrationTest, TheFunnelTellsHowFarPeopleComeAndWhereTheyStop) {
  Begin();
  std::vector<std::string> tokens;
  for (int i = 0; i < 5; ++i) tokens.push_back(TokenFor(i));
  CLM_ASSERT_OK(Submit(SubmitRequest(tokens[0], 9, 5)));
  CLM_ASSERT_OK(Open(tokens[1]));
  for (const size_t i : {2U, 3U}) {
    v1::SaveResponseRequest save;
    save.set_token(tokens[i]);
    auto* answer = save.add_answers();
    answer->set_question("nps");
    answer->set_number(1);
    CLM_ASSERT_OK(Do(responses(), &ResponseHandlers::SaveResponse, save));
  }
  CLM_ASSERT_OK(Dismiss(tokens[3]));
  v1::GetSurveyFunnelRequest request;
  request.set_survey(kSurvey);
  const auto funnel = Do(scores(), &ScoreHandlers::GetSurveyFunnel, request);
  CLM_ASSERT_OK(funnel);
  EXPECT_EQ(funnel->invited(), 5);
  EXPECT_EQ(funnel->displayed(), 4);
  EXPECT_EQ(funnel->started(), 3);
  EXPECT_EQ(funnel->finished(), 1);
  EXPECT_EQ(funnel->dismissed(), 1);
  EXPECT_EQ(funnel->questions(0).answered(), 3);
  EXPECT_EQ(funnel->questions(0).dropped_off(), 2);
  EXPECT_EQ(funnel->questions(2).answered(), 1);
}

TEST_F(SurveyIntegrationTest, WhatWasAnsweredFollowsAMerge) {
  Begin();
  const std::string token = TokenFor(2);
  CLM_ASSERT_OK(Submit(SubmitRequest(token, 3, 1, "slow")));
  Merge(1, 2);
  v1::ListResponsesRequest list;
  list.set_parent("tenants/acme");
  list.set_contact(ContactName(1));
  auto found = Do(responses(), &ResponseHandlers::ListResponses, list);
  CLM_ASSERT_OK(found);
  ASSERT_EQ(found->responses_size(), 1);
  EXPECT_EQ(found->responses(0).contact(), ContactName(1));
  list.set_contact(ContactName(2));
  EXPECT_EQ(Do(responses(), &ResponseHandlers::ListResponses, list)->responses_size(), 1)
      << "by the old name too";
  // Corrected on the shard where it was made, and the survivor's all the same.
  auto correction = SubmitRequest(token, 10);
  correction.set_correction(true);
  CLM_ASSERT_OK(Submit(correction));
  EXPECT_EQ(Count("SELECT count(*) FROM invitation WHERE contact_id = '" + Id(1).ToString() + "'"),
            1);
  // Somebody is invited by the old name: it is the survivor.
  const auto invited = Invited(2);
  CLM_ASSERT_OK(invited);
  EXPECT_EQ(invited->invitation().contact(), ContactName(1));
  CLM_ASSERT_OK(Open(invited->token()));
  ExpectCountersHold();
}

TEST_F(SurveyIntegrationTest, WhoIsErasedLeavesNumbersThatAreNobodys) {
  Begin();
  v1::CreateInvitationRequest request = InviteRequestFor(2);
  request.set_request_id(Id(5).ToString());
  const auto invited = Do(invitations(), &InvitationHandlers::CreateInvitation, request);
  CLM_ASSERT_OK(invited);
  CLM_ASSERT_OK(Submit(SubmitRequest(invited->token(), 3, 1, "my name is Ada")));
  Merge(1, 2);
  Erase(1);
  EXPECT_EQ(Count("SELECT count(*) FROM invitation WHERE contact_id IS NOT NULL"), 0);
  EXPECT_EQ(
      Count("SELECT count(*) FROM invitation WHERE position('Ada'::bytea IN texts || body) > 0"),
      0);
  EXPECT_EQ(Count("SELECT count(*) FROM invitation WHERE order_id <> ''"), 0);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE position('Ada'::bytea IN event) > 0"), 0);
  EXPECT_EQ(Count("SELECT count(*) FROM request WHERE position('" + Id(2).ToString() +
                  "'::bytea IN response) > 0"),
            0)
      << "answers name them";
  EXPECT_EQ(NpsNow().detractors(), 1);
  ExpectCountersHold();
  EXPECT_EQ(error::Reason(Open(invited->token()).status()), "INVITATION_REVOKED");
  EXPECT_EQ(error::Reason(Invited(1).status()), "CONTACT_ERASED");
}

TEST_F(SurveyIntegrationTest, AnEventInvitesOnce) {
  v1::Survey survey = Sample();
  survey.add_triggers()->set_event_type("order.delivered");
  Begin(survey);
  contact::v1::BehaviorRecorded recorded;
  recorded.set_contact(ContactName(1));
  const auto add = [&](int id, const char* type, absl::Time at) {
    auto* event = recorded.add_events();
    event->set_event_id(Id(id).ToString());
    event->set_type(type);
    event->set_channel("store");
    clm::ToProto(at, event->mutable_occur_time());
    (*event->mutable_properties())["order_id"].set_string_value(absl::StrCat("T-", id));
  };
  clock_.Advance(absl::Hours(24 * 20));
  add(100, "order.delivered", clock_.Now());
  add(101, "visit", clock_.Now());
  add(102, "order.delivered", clock_.Now() - absl::Hours(24 * 7 + 1));  // Long ago.
  CLM_ASSERT_OK(Deliver(node_->contact_feed, Contact(1), recorded));
  CLM_ASSERT_OK(Deliver(node_->contact_feed, Contact(1), recorded));
  v1::ListInvitationsRequest list;
  list.set_parent("tenants/acme");
  const auto found = Do(invitations(), &InvitationHandlers::ListInvitations, list);
  CLM_ASSERT_OK(found);
  ASSERT_EQ(found->invitations_size(), 1);
  EXPECT_EQ(found->invitations(0).order(), "T-100");
  EXPECT_EQ(found->invitations(0).channel(), "store");
  v1::GetInvitationTokenRequest token;
  token.set_name(found->invitations(0).name());
  CLM_EXPECT_OK(Open(Do(invitations(), &InvitationHandlers::GetInvitationToken, token)->token()));
}

TEST_F(SurveyIntegrationTest, AStageInvitesWhoEntersIt) {
  v1::Survey survey = Sample();
  auto* trigger = survey.add_triggers();
  trigger->set_model("simple");
  trigger->set_stage("loyal");
  trigger->set_channel("email");
  Begin(survey);
  lifecycle::v1::StageChanged changed;
  auto* transition = changed.mutable_transition();
  transition->set_contact(ContactName(1));
  transition->set_model("tenants/acme/stageModels/simple");
  transition->set_from_stage("new");
  transition->set_to_stage("loyal");
  transition->set_cause(lifecycle::v1::Transition::CAUSE_RULE);
  clm::ToProto(clock_.Now(), transition->mutable_effective_time());
  CLM_ASSERT_OK(Deliver(node_->lifecycle_feed, Contact(1), changed));
  CLM_ASSERT_OK(Deliver(node_->lifecycle_feed, Contact(1), changed));
  EXPECT_EQ(Count("SELECT count(*) FROM invitation"), 1);
  transition->set_contact(ContactName(2));
  transition->set_cause(lifecycle::v1::Transition::CAUSE_SYNTHETIC);
  CLM_ASSERT_OK(Deliver(node_->lifecycle_feed, Contact(2), changed));
  EXPECT_EQ(Count("SELECT count(*) FROM invitation"), 1);
}

TEST_F(SurveyIntegrationTest, TheRecountSeesWhatDiffers) {
  Begin();
  CLM_ASSERT_OK(Submit(SubmitRequest(TokenFor(1), 10)));
  Ask("WITH changed AS (UPDATE score_counter SET v9 = v9 + 1 WHERE dim = '' AND question_id = "
      "'nps' "
      "RETURNING 1) SELECT count(*)::text FROM changed");
  v1::RecountScoresRequest request;
  request.set_survey(kSurvey);
  const auto recount = Do(scores(), &ScoreHandlers::RecountScores, request);
  CLM_ASSERT_OK(recount);
  EXPECT_EQ(recount->responses(), 1);
  EXPECT_THAT(recount->differences(), ElementsAre(HasSubstr("nps")));
}

// Answering, correcting and dismissing at once, from two processes on one database.
TEST_F(SurveyIntegrationTest, ManyAtOnceLeaveOneAnswerPerTokenAndTrueCounters) {
  Begin();
  Node other(database_.app_dsn, &clock_);
  constexpr int kTokens = 24;
  constexpr int kClients = 16;
  std::vector<std::string> tokens;
  for (int i = 0; i < kTokens; ++i) tokens.push_back(TokenFor(i));
  std::atomic<int> first_answers = 0;
  clm::testing::AtOnce(kClients, [&](int client) {
    Node& node = client % 2 == 0 ? *node_ : other;
    auto& handlers = node.Part<SurveyModulePart>().responses();
    for (int i = 0; i < kTokens; ++i) {
      const std::string& token = tokens[static_cast<size_t>((i + client * 7) % kTokens)];
      v1::SubmitResponseRequest request = SubmitRequest(token, (i + client) % 11, 1 + client % 5);
      request.set_correction(client % 3 == 1);
      if (client % 3 == 2) {
        v1::DismissSurveyRequest dismiss;
        dismiss.set_token(token);
        const auto done = Do(handlers, &ResponseHandlers::DismissSurvey, dismiss);
        if (!done.ok()) {
          EXPECT_EQ(error::Reason(done.status()), "ALREADY_ANSWERED");
        }
        continue;
      }
      const auto done = Do(handlers, &ResponseHandlers::SubmitResponse, request);
      if (done.ok() && !request.correction()) ++first_answers;
      if (!done.ok()) {
        EXPECT_EQ(error::Reason(done.status()), "ALREADY_ANSWERED");
      }
    }
  });
  EXPECT_EQ(Count("SELECT count(*) FROM invitation WHERE submit_time IS NOT NULL"), kTokens);
  EXPECT_LE(first_answers, kTokens);
  EXPECT_EQ(NpsNow().score().denominator(), kTokens);
  ExpectCountersHold();
}

}  // namespace
}  // namespace clm::feedback
