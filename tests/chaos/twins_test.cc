// The same request many times at the same moment, over two processes on one database.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "libs/testing/at_once.h"
#include "tests/chaos/contact_load.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {
namespace {

using clm::testing::AtOnce;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using contact::v1::Contact;
using ContactStub = contact::v1::ContactService::Stub;
using TimelineStub = contact::v1::TimelineService::Stub;

constexpr int kTwins = 32;

contact::v1::CreateContactRequest CreateRequest(const std::string& name) {
  contact::v1::CreateContactRequest request;
  request.set_parent("tenants/acme");
  request.set_request_id(IdOf(absl::StrCat("request ", name)));
  request.mutable_contact()->set_email(absl::StrCat(name, "@example.com"));
  request.mutable_contact()->set_given_name("Ada");
  return request;
}

class TwinsTest : public ::testing::Test {
 protected:
  // All copies at once, half of them at each process.
  template <class Stub, class Req, class Resp>
  std::vector<absl::StatusOr<Resp>> CallAtOnce(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                            const Req&, Resp*),
                                               const std::vector<Req>& requests) {
    std::vector<absl::StatusOr<Resp>> answers(requests.size(), absl::UnknownError("not called"));
    AtOnce(static_cast<int>(requests.size()),
           [&](int i) { answers[i] = world_.caller().Call(method, requests[i], nullptr, i); });
    return answers;
  }

  std::string Count(const std::string& table) {
    return Ask(world_.contact_database().admin_dsn, "SELECT count(*) FROM " + table);
  }

  World world_{{.contacts = 2}};
};

TEST_F(TwinsTest, CreateOneContactAndGetEqualAnswers) {
  const int rounds = Rounds(10);
  for (int round = 0; round < rounds; ++round) {
    const auto request = CreateRequest(absl::StrCat("twin", round));
    const auto answers = CallAtOnce(&ContactStub::CreateContact, std::vector(kTwins, request));
    for (const auto& answer : answers) {
      CLM_ASSERT_OK(answer);
      EXPECT_EQ(answer->SerializeAsString(), answers[0]->SerializeAsString());
    }
  }
  EXPECT_EQ(Count("contact"), absl::StrCat(rounds));
  EXPECT_EQ(Count("journal"), absl::StrCat(rounds));
  EXPECT_EQ(Count("request"), absl::StrCat(rounds));
  World::ExpectDenseJournal(world_.contact_database());
}

TEST_F(TwinsTest, UpdateOnceAndGetEqualAnswers) {
  CLM_ASSERT_OK_AND_ASSIGN(Contact contact,
                           world_.caller().Call(&ContactStub::CreateContact, CreateRequest("ada")));
  const int rounds = Rounds(10);
  for (int round = 0; round < rounds; ++round) {
    contact::v1::UpdateContactRequest request;
    request.mutable_contact()->set_name(contact.name());
    request.mutable_contact()->set_etag(contact.etag());
    request.mutable_contact()->set_given_name(absl::StrCat("v", round));
    request.mutable_update_mask()->add_paths("given_name");
    request.set_request_id(IdOf(absl::StrCat("update ", round)));
    const auto answers = CallAtOnce(&ContactStub::UpdateContact, std::vector(kTwins, request));
    for (const auto& answer : answers) {
      CLM_ASSERT_OK(answer);
      EXPECT_EQ(answer->SerializeAsString(), answers[0]->SerializeAsString());
    }
    contact = *answers[0];
  }
  EXPECT_EQ(Ask(world_.contact_database().admin_dsn, "SELECT version FROM contact"),
            absl::StrCat(1 + rounds));
  EXPECT_EQ(Count("journal"), absl::StrCat(1 + rounds));
}

TEST_F(TwinsTest, WithTwoBodiesOneBodyWinsAndTheOtherIsRefused) {
  const int rounds = Rounds(10);
  for (int round = 0; round < rounds; ++round) {
    std::vector<contact::v1::CreateContactRequest> requests(
        kTwins, CreateRequest(absl::StrCat("body", round)));
    // Each process gets both.
    for (int i = 0; i < kTwins; ++i) {
      if (i % 4 < 2) requests[i].mutable_contact()->set_given_name("Grace");
    }
    const auto answers = CallAtOnce(&ContactStub::CreateContact, requests);
    std::string winner;
    int won = 0;
    for (int i = 0; i < kTwins; ++i) {
      if (!answers[i].ok()) {
        EXPECT_THAT(answers[i].status(), StatusIs(absl::StatusCode::kInvalidArgument));
        EXPECT_THAT(answers[i].status(), ReasonIs("REQUEST_ID_REUSED"));
        continue;
      }
      ++won;
      if (winner.empty()) winner = answers[i]->SerializeAsString();
      EXPECT_EQ(answers[i]->SerializeAsString(), winner);
      EXPECT_EQ(answers[i]->given_name(), requests[i].contact().given_name());
    }
    EXPECT_EQ(won, kTwins / 2);
  }
  EXPECT_EQ(Count("contact"), absl::StrCat(rounds));
  EXPECT_EQ(Count("journal"), absl::StrCat(rounds));
}

TEST_F(TwinsTest, AChangedBodyIsRefusedLater) {
  auto request = CreateRequest("ada");
  CLM_ASSERT_OK(world_.caller().Call(&ContactStub::CreateContact, request));
  request.mutable_contact()->set_family_name("Lovelace");
  for (int replica = 0; replica < 2; ++replica) {
    const auto answer =
        world_.caller().Call(&ContactStub::CreateContact, request, nullptr, replica);
    EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(answer, ReasonIs("REQUEST_ID_REUSED"));
  }
}

TEST_F(TwinsTest, RecordAnEventOnce) {
  CLM_ASSERT_OK_AND_ASSIGN(const Contact contact,
                           world_.caller().Call(&ContactStub::CreateContact, CreateRequest("ada")));
  const int rounds = Rounds(10);
  for (int round = 0; round < rounds; ++round) {
    contact::v1::IngestEventsRequest request;
    request.set_parent("tenants/acme");
    auto* event = request.add_events();
    event->set_event_id(IdOf(absl::StrCat("event ", round)));
    event->set_contact(contact.name());
    event->set_type("page_view");
    event->mutable_occur_time()->set_seconds(1'700'000'000 + round);
    const auto answers = CallAtOnce(&TimelineStub::IngestEvents, std::vector(kTwins, request));
    int recorded = 0;
    for (const auto& answer : answers) {
      CLM_ASSERT_OK(answer);
      ASSERT_EQ(answer->results_size(), 1);
      EXPECT_EQ(answer->results(0).status().code(), 0) << answer->ShortDebugString();
      EXPECT_EQ(answer->results(0).contact(), contact.name());
      recorded += answer->results(0).duplicate() ? 0 : 1;
    }
    EXPECT_EQ(recorded, 1);
  }
  EXPECT_EQ(Count("event"), absl::StrCat(rounds));
  EXPECT_EQ(Count("journal"), absl::StrCat(1 + rounds));
}

}  // namespace
}  // namespace clm::chaos
