// kill -9 of the feedback service while many answer, correct and dismiss at once.
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/feedback/v1/invitation_service.grpc.pb.h"
#include "clm/feedback/v1/response_service.grpc.pb.h"
#include "clm/feedback/v1/score_service.grpc.pb.h"
#include "clm/feedback/v1/survey_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/uuid.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {
namespace {

using Contacts = contact::v1::ContactService::Stub;
using Invitations = feedback::v1::InvitationService::Stub;
using Responses = feedback::v1::ResponseService::Stub;
using Scores = feedback::v1::ScoreService::Stub;
using Surveys = feedback::v1::SurveyService::Stub;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kSurvey[] = "tenants/acme/surveys/pulse";
constexpr int kClients = 64;
constexpr int kTokens = 96;

std::string IdOf(const std::string& what) { return Uuid::V5(Uuid(), what).ToString(); }

class FeedbackCrashTest : public ::testing::Test {
 protected:
  void Begin() {
    feedback::v1::CreateSurveyRequest survey;
    survey.set_parent("tenants/acme");
    survey.set_survey_id("pulse");
    survey.set_request_id(IdOf("pulse"));
    for (const char* id : {"nps", "csat"}) {
      auto* question = survey.mutable_survey()->add_questions();
      question->set_id(id);
      question->set_kind(id[0] == 'n' ? feedback::v1::Question::KIND_NPS
                                      : feedback::v1::Question::KIND_CSAT);
      auto* text = question->add_texts();
      text->set_language("en");
      text->set_text("?");
    }
    CLM_ASSERT_OK(world_.feedback_caller().Call(&Surveys::CreateSurvey, survey).status());
    feedback::v1::StartSurveyRequest start;
    start.set_name(kSurvey);
    start.set_request_id(IdOf("start"));
    CLM_ASSERT_OK(world_.feedback_caller().Call(&Surveys::StartSurvey, start).status());
    for (int i = 0; i < kTokens; ++i) {
      contact::v1::CreateContactRequest contact;
      contact.set_parent("tenants/acme");
      contact.mutable_contact()->set_email(absl::StrCat("p", i, "@example.com"));
      contact.set_request_id(IdOf(absl::StrCat("contact ", i)));
      const auto created = world_.caller().Call(&Contacts::CreateContact, contact);
      CLM_ASSERT_OK(created);
      feedback::v1::CreateInvitationRequest invite;
      invite.set_parent("tenants/acme");
      invite.mutable_invitation()->set_survey(kSurvey);
      invite.mutable_invitation()->set_contact(created->name());
      invite.mutable_invitation()->set_channel(i % 2 == 0 ? "email" : "chat");
      invite.set_request_id(IdOf(absl::StrCat("invite ", i)));
      const auto invited = world_.feedback_caller().Call(&Invitations::CreateInvitation, invite);
      CLM_ASSERT_OK(invited);
      tokens_.push_back(invited->token());
    }
  }

  // One of 64, who does so many things.
  void Act(int client, int times) {
    std::mt19937 random(static_cast<uint32_t>(client));
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); };
    for (int i = 0; i < times; ++i, ++done_) {
      const auto token = static_cast<size_t>(below(kTokens));
      const std::string id = IdOf(absl::StrCat("act ", client, " ", i));
      if (below(4) == 0) {
        feedback::v1::DismissSurveyRequest dismiss;
        dismiss.set_token(tokens_[token]);
        dismiss.set_request_id(id);
        Expect(world_.feedback_caller()
                   .Call(&Responses::DismissSurvey, dismiss, nullptr, client)
                   .status());
        continue;
      }
      feedback::v1::SubmitResponseRequest submit;
      submit.set_token(tokens_[token]);
      submit.set_correction(below(2) == 0);
      submit.set_request_id(id);
      auto* nps = submit.add_answers();
      nps->set_question("nps");
      nps->set_number(below(11));
      auto* csat = submit.add_answers();
      csat->set_question("csat");
      if (below(3) != 0) csat->set_number(1 + below(5));
      const auto answer =
          world_.feedback_caller().Call(&Responses::SubmitResponse, submit, nullptr, client);
      Expect(answer.status());
      if (!answer.ok()) continue;
      ++accepted_;
      if (!submit.correction()) ++plain_[token];
    }
  }
  static void Expect(const absl::Status& status) {
    if (!status.ok()) {
      EXPECT_EQ(error::Reason(status), "ALREADY_ANSWERED") << status;
    }
  }

  World world_{{.redis = true, .feedback = 2}};
  std::vector<std::string> tokens_;
  std::atomic<int> done_ = 0;
  std::atomic<int> accepted_ = 0;
  std::array<std::atomic<int>, kTokens> plain_{};
};

TEST_F(FeedbackCrashTest, ATokenHasOneAnswerAndTheCountersAreWhatTheAnswersAddUpTo) {
  Begin();
  ASSERT_THAT(tokens_, SizeIs(kTokens));
  const int times = Rounds(24);
  std::vector<std::thread> clients;
  clients.reserve(kClients);
  for (int client = 0; client < kClients; ++client) {
    clients.emplace_back([this, client, times] { Act(client, times); });
  }
  const int kills = 6;
  for (int i = 0; i < kills; ++i) {
    // Spread over the work, whatever its speed.
    EXPECT_TRUE(Eventually([&] { return done_ >= kClients * times * (i + 1) / (kills + 2); }));
    world_.feedback(i % 2).Kill();
  }
  for (std::thread& client : clients) client.join();
  EXPECT_THAT(world_.feedback(0).deaths(), SizeIs(Gt(0u)));
  EXPECT_THAT(world_.feedback(1).deaths(), SizeIs(Gt(0u)));

  const auto ask = [&](const std::string& sql) {
    return Ask(world_.feedback_database().admin_dsn, sql);
  };
  EXPECT_EQ(ask("SELECT count(*) FROM invitation"), absl::StrCat(kTokens));
  for (const auto& plain : plain_) EXPECT_LE(plain, 1) << "finished twice without a correction";
  // Each answer that was accepted took effect once, and is told once.
  EXPECT_EQ(ask("SELECT count(*) FROM journal WHERE type = 'clm.feedback.v1.ResponseSubmitted'"),
            absl::StrCat(accepted_.load()));
  feedback::v1::ListResponsesRequest list;
  list.set_parent("tenants/acme");
  list.set_page_size(1000);
  const auto responses = world_.feedback_caller().Call(&Responses::ListResponses, list);
  CLM_ASSERT_OK(responses);
  int told = 0;
  for (const auto& response : responses->responses()) told += 1 + response.corrections();
  EXPECT_EQ(told, accepted_.load());
  feedback::v1::RecountScoresRequest request;
  request.set_survey(kSurvey);
  const auto recount = world_.feedback_caller().Call(&Scores::RecountScores, request);
  CLM_ASSERT_OK(recount);
  EXPECT_THAT(recount->differences(), IsEmpty());
  EXPECT_GT(recount->counters(), 0);
  feedback::v1::GetScoreRequest nps;
  nps.set_survey(kSurvey);
  const auto report = world_.feedback_caller().Call(&Scores::GetNps, nps);
  CLM_ASSERT_OK(report);
  EXPECT_EQ(report->total().score().denominator(), responses->responses_size());
  World::ExpectDenseJournal(world_.feedback_database());
}

}  // namespace
}  // namespace clm::chaos
