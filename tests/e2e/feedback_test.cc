// Surveys from the draft to the score, as people meet them: by the command line, and by a token
// alone.
#include <string>

#include "absl/strings/str_cat.h"
#include "clm/feedback/v1/response_service.grpc.pb.h"
#include "clm/feedback/v1/survey_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

using Responses = feedback::v1::ResponseService::Stub;
using Surveys = feedback::v1::SurveyService::Stub;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPulse[] = R"({
  "displayName": "Pulse", "purpose": "PURPOSE_RELATIONAL",
  "recontact": {"policy": "POLICY_ALWAYS"},
  "triggers": [{"eventType": "order.delivered"}],
  "questions": [
    {"id": "nps", "kind": "KIND_NPS", "texts": [{"language": "en", "text": "Would you recommend us?"},
                                                {"language": "de", "text": "Empfehlen Sie uns?"}]},
    {"id": "why", "kind": "KIND_TEXT", "showIf": "answers.nps < 7",
     "texts": [{"language": "en", "text": "What went wrong?"}]},
    {"id": "csat", "kind": "KIND_CSAT", "texts": [{"language": "en", "text": "Satisfied?"}]}]})";

class FeedbackTest : public TenantTest {
 protected:
  void SetUp() override {
    for (const char* name : {"ada", "bob", "cyd"}) {
      Json({"contacts", "create", "--email", absl::StrCat(name, "@example.com")});
    }
    Json({"feedback", "surveys", "pauses", "--relational", "0"});
    EXPECT_THAT(Clm({"feedback", "surveys", "create", "pulse", "--from", "-"}, kPulse),
                Succeeded());
    Json({"feedback", "surveys", "start", "pulse"});
  }
  std::string Invite(const std::string& who) {
    return Json({"feedback", "invite", "pulse", who, "--channel", "email"}).value("token", "");
  }
};

TEST_F(FeedbackTest, ASurveyIsAnsweredInTheTerminalAndScored) {
  // A detractor is asked why, and what is typed wrongly is asked again.
  const Answer low =
      Clm({"feedback", "answer", Invite("ada@example.com")}, "11\n3\n<b>slow</b>\n2\n");
  EXPECT_THAT(low, Succeeded());
  EXPECT_THAT(low.err, HasSubstr("What went wrong?"));
  EXPECT_THAT(low.err, HasSubstr("a number from 0 to 10"));
  const std::string token = Invite("bob@example.com");
  const Answer high = Clm({"feedback", "answer", token, "--language", "de"}, "9\n5\n");
  EXPECT_THAT(high, Succeeded());
  EXPECT_THAT(high.err, HasSubstr("Empfehlen Sie uns?"));
  EXPECT_THAT(high.err, Not(HasSubstr("What went wrong?")));
  EXPECT_THAT(Clm({"feedback", "answer", token}, "9\n5\n"), Not(Succeeded()));
  EXPECT_THAT(Clm({"feedback", "answer", token, "--correct"}, "10\n\n5\n"), Succeeded());
  EXPECT_THAT(Clm({"feedback", "answer", Invite("cyd@example.com"), "--dismiss"}), Succeeded());

  const json nps = Json({"feedback", "nps", "pulse"});
  EXPECT_EQ(nps["total"]["score"]["shown"], "0.0");
  EXPECT_EQ(nps["total"]["dismissed"], "1");
  const Answer chart = Clm({"feedback", "nps", "pulse", "--by", "day", "--where", "channel=email"});
  EXPECT_THAT(chart, Succeeded());
  EXPECT_THAT(chart.out, HasSubstr("DETRACTORS"));
  EXPECT_EQ(Json({"feedback", "csat", "pulse"})["total"]["score"]["shown"], "50.0");
  EXPECT_EQ(Json({"feedback", "funnel", "pulse"})["finished"], "2");
  const json responses = Json({"feedback", "responses", "--survey", "pulse"});
  EXPECT_EQ(responses.size(), 2u);
  EXPECT_THAT(responses.dump(), HasSubstr("<b>slow</b>"));
  EXPECT_THAT(Clm({"feedback", "recount", "pulse"}), Succeeded());
}

TEST_F(FeedbackTest, ATokenIsTheWholeAuthorityOfItsMethodsAndOfNoOther) {
  const std::string token = Invite("ada@example.com");
  const Client anybody(suite(), "");
  feedback::v1::OpenSurveyRequest open;
  open.set_token(token);
  const auto survey = anybody.Call(&Responses::OpenSurvey, open);
  CLM_ASSERT_OK(survey);
  EXPECT_EQ(survey->questions_size(), 3);
  open.set_token("demo.AAAA");
  EXPECT_EQ(error::Reason(anybody.Call(&Responses::OpenSurvey, open).status()),
            "INVITATION_INVALID");
  feedback::v1::GetSurveyRequest get;
  get.set_name(parent() + "/surveys/pulse");
  EXPECT_EQ(error::Reason(anybody.Call(&Surveys::GetSurvey, get).status()), "TOKEN_MISSING");
  // Of another tenant than the caller's own.
  const Client other(suite(), NewToken(NewTenant()));
  open.set_token(token);
  EXPECT_EQ(error::Reason(other.Call(&Responses::OpenSurvey, open).status()), "INVITATION_INVALID");
  feedback::v1::SubmitResponseRequest large;
  large.set_token(token);
  auto* answer = large.add_answers();
  answer->set_question("why");
  answer->set_text(std::string(1 << 20, 'a'));
  const absl::Status refused = anybody.Call(&Responses::SubmitResponse, large).status();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("answers[0].text"));
}

TEST_F(FeedbackTest, WhatIsDeliveredInvitesByItself) {
  Ingest("order.delivered", "ada@example.com");
  EXPECT_TRUE(Eventually([&] {
    return Json({"feedback", "invitations", "--contact", "ada@example.com"}).size() == 1u;
  }));
}

}  // namespace
}  // namespace clm::e2e
