// The small parts: status on the wire, workers, admission, tokens, the authenticator's memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "google/rpc/status.pb.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/base/request_info.h"
#include "libs/rpc/admission.h"
#include "libs/rpc/authenticator.h"
#include "libs/rpc/call.h"
#include "libs/rpc/heartbeat.h"
#include "libs/rpc/reply.h"
#include "libs/rpc/status.h"
#include "libs/rpc/token.h"
#include "libs/rpc/workers.h"

namespace clm::rpc {
namespace {

using absl::StatusCode;

TEST(StatusTest, DetailsSurviveTheWire) {
  const absl::Status sent = error::Unavailable("DATABASE_BUSY", "busy", absl::Milliseconds(250));
  const absl::Status received = FromGrpc(ToGrpc(sent));
  EXPECT_EQ(received, sent);
  const absl::Status fields = error::InvalidField("contact.email", "is taken");
  EXPECT_EQ(error::FieldViolations(FromGrpc(ToGrpc(fields))), error::FieldViolations(fields));
}

TEST(StatusTest, EveryErrorLeavesWithAReason) {
  EXPECT_EQ(error::Reason(FromGrpc(ToGrpc(absl::NotFoundError("gone")))), "NOT_FOUND");
}

TEST(StatusTest, AnInternalTextNotWrittenForCallersStaysInside) {
  EXPECT_EQ(ToGrpc(absl::InternalError("SELECT secret")).error_message(), "internal error");
  EXPECT_EQ(ToGrpc(absl::UnknownError("host db-1")).error_message(), "internal error");
  EXPECT_EQ(ToGrpc(error::Internal("fit for callers")).error_message(), "fit for callers");
}

TEST(StatusTest, PayloadsOfLayersWithinStayInside) {
  absl::Status status = error::Internal("x");
  status.SetPayload("clm.dev/sqlstate", absl::Cord("23505"));
  google::rpc::Status wire;
  ASSERT_TRUE(wire.ParseFromString(ToGrpc(status).error_details()));
  EXPECT_EQ(wire.details_size(), 1);
}

TEST(StatusTest, AFloodOfViolationsIsCutToFit) {
  error::FieldErrors errors;
  for (int i = 0; i < 20; ++i) errors.Add(std::string(200, 'f'), std::string(200, 'w'));
  const grpc::Status status = ToGrpc(errors.ToStatus());
  EXPECT_LE(status.error_details().size(), 4096u);
  EXPECT_GE(error::FieldViolations(FromGrpc(status)).size(), 1u);
}

TEST(StatusTest, LongTextsOfDetailsAreCutToFit) {
  const std::string text(5000, 't');
  const absl::Status sent = error::WithRequestId(
      error::Precondition("STAGE_IN_USE", text, {{"referrers", text}, {"stages", text}}), "4bf9");
  const grpc::Status status = ToGrpc(sent);
  EXPECT_LE(status.error_details().size(), 4096u);
  const absl::Status received = FromGrpc(status);
  EXPECT_EQ(error::Reason(received), "STAGE_IN_USE");
  EXPECT_EQ(error::MetadataValue(received, "stages").substr(0, 100), text.substr(0, 100));
  EXPECT_EQ(error::RequestId(received), "4bf9");

  const grpc::Status field = ToGrpc(error::InvalidField(text, text));
  EXPECT_LE(field.error_details().size(), 4096u);
  EXPECT_EQ(error::FieldViolations(FromGrpc(field)).size(), 1u);
}

TEST(WorkersTest, WhatExceedsTheQueueIsRefused) {
  Workers workers("test", 1, 1);
  absl::Notification started;
  absl::Notification release;
  ASSERT_TRUE(workers.Post([&] {
    started.Notify();
    release.WaitForNotification();
  }));
  started.WaitForNotification();
  std::atomic<int> ran{0};
  EXPECT_TRUE(workers.Post([&] { ++ran; }));
  EXPECT_FALSE(workers.Post([&] { ++ran; }));
  release.Notify();
  workers.Stop();
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(workers.Post([&] { ++ran; }));
}

TEST(HeartbeatTest, WorkersThatTakeNothingAreLifelessUntilTheyDo) {
  ManualClock clock(absl::FromUnixSeconds(1'000'000));
  Workers workers("test", 1, 1);
  Heartbeat heartbeat(&workers, &clock, absl::Seconds(30));
  const auto beat_until = [&](bool alive) {
    while (heartbeat.Beat() != alive) std::this_thread::yield();
  };
  EXPECT_TRUE(heartbeat.Beat());
  // However long nobody has looked.
  clock.Advance(absl::Hours(1));
  beat_until(true);

  absl::Notification started;
  absl::Notification release;
  while (!workers.Post([&] {
    started.Notify();
    release.WaitForNotification();
  })) {
  }
  started.WaitForNotification();
  EXPECT_TRUE(heartbeat.Beat());
  clock.Advance(absl::Seconds(29));
  EXPECT_TRUE(heartbeat.Beat());
  clock.Advance(absl::Seconds(1));
  EXPECT_FALSE(heartbeat.Beat());
  // Also while nothing more can be queued.
  static_cast<void>(workers.Post([] {}));
  EXPECT_FALSE(workers.Post([] {}));
  EXPECT_FALSE(heartbeat.Beat());
  release.Notify();
  beat_until(true);
}

TEST(AdmissionTest, EachClassHasItsShare) {
  using options::v1::MethodPolicy;
  Admission admission(10);
  const auto enter = [&](Admission::Class call_class) {
    int entered = 0;
    while (admission.Enter(call_class)) ++entered;
    return entered;
  };
  EXPECT_EQ(enter(MethodPolicy::CLASS_BEST_EFFORT), 2);
  EXPECT_EQ(enter(MethodPolicy::CLASS_BATCH), 2);
  EXPECT_EQ(enter(MethodPolicy::CLASS_DEFAULT), 4);
  EXPECT_EQ(enter(MethodPolicy::CLASS_CRITICAL), 2);
  EXPECT_EQ(admission.in_flight(), 10);
  admission.Leave();
  EXPECT_FALSE(admission.Enter(MethodPolicy::CLASS_DEFAULT));
  EXPECT_TRUE(admission.Enter(MethodPolicy::CLASS_CRITICAL));
}

TEST(TokenTest, AMadeTokenIsReadBackAndADamagedOneIsNot) {
  const Token token = MakeToken(true);
  const std::string text = FormatToken(token);
  const auto read = ParseToken(text);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->key_id, token.key_id);
  EXPECT_EQ(read->secret, token.secret);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = damaged[i] == 'x' ? 'y' : 'x';
    EXPECT_FALSE(ParseToken(damaged).has_value()) << i;
  }
  EXPECT_FALSE(ParseToken(text + "0").has_value());
  EXPECT_FALSE(ParseToken("").has_value());
  EXPECT_NE(MakeToken(true).secret, token.secret);
}

TEST(TokenTest, ADerivedTokenDependsOnKeyAndContextOnly) {
  const std::string text = FormatToken(DeriveToken(true, "key", "context"));
  EXPECT_TRUE(ParseToken(text).has_value());
  EXPECT_EQ(FormatToken(DeriveToken(true, "key", "context")), text);
  EXPECT_NE(FormatToken(DeriveToken(true, "key", "other")), text);
  EXPECT_NE(FormatToken(DeriveToken(true, "yek", "context")), text);
}

class CachingAuthenticatorTest : public testing::Test {
 protected:
  absl::StatusOr<Caller> Ask(absl::string_view) {
    ++asked_;
    return answer_;
  }
  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  int asked_ = 0;
  absl::StatusOr<Caller> answer_ = Caller{"token:x", "acme", {"a.read"}, false};
  CachingAuthenticator authenticator_{
      [this](absl::string_view token, absl::Time) { return Ask(token); }, clock_};
  const std::string token_ = FormatToken(MakeToken(true));
};

TEST_F(CachingAuthenticatorTest, AnAnswerIsRememberedForFiveSecondsFromTheQuestion) {
  EXPECT_FALSE(authenticator_.Lookup(token_).has_value());
  ASSERT_TRUE(authenticator_.Resolve(token_, absl::InfiniteFuture()).ok());
  clock_.Advance(absl::Seconds(5) - absl::Microseconds(1));
  ASSERT_TRUE(authenticator_.Lookup(token_).has_value());
  EXPECT_EQ((*authenticator_.Lookup(token_))->tenant, "acme");
  clock_.Advance(absl::Microseconds(1));
  EXPECT_FALSE(authenticator_.Lookup(token_).has_value());
  EXPECT_EQ(asked_, 1);
}

TEST_F(CachingAuthenticatorTest, ARefusalIsRememberedAndAnOutageIsNot) {
  answer_ = absl::UnavailableError("down");
  EXPECT_FALSE(authenticator_.Resolve(token_, absl::InfiniteFuture()).ok());
  EXPECT_FALSE(authenticator_.Lookup(token_).has_value());
  answer_ = InvalidToken();
  EXPECT_FALSE(authenticator_.Resolve(token_, absl::InfiniteFuture()).ok());
  ASSERT_TRUE(authenticator_.Lookup(token_).has_value());
  EXPECT_EQ(authenticator_.Lookup(token_)->status().code(), StatusCode::kUnauthenticated);
}

TEST_F(CachingAuthenticatorTest, AMalformedTokenIsRefusedWithoutAsking) {
  const auto answer = authenticator_.Lookup("guess");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(error::Reason(answer->status()), "TOKEN_INVALID");
  EXPECT_FALSE(authenticator_.Resolve("guess", absl::InfiniteFuture()).ok());
  EXPECT_EQ(asked_, 0);
}

TEST(CallerTest, AdminIncludesEveryScopeAndOthersOnlyThemselves) {
  const Caller reader{.scopes = {"a.read", "b.read"}, .suite = false};
  EXPECT_TRUE(reader.HasScope("b.read"));
  EXPECT_FALSE(reader.HasScope("b.write"));
  EXPECT_TRUE((Caller{.scopes = {"admin"}, .suite = false}).HasScope("b.write"));
  EXPECT_TRUE(Caller().HasScope("b.write"));
}

TEST(ReplyTest, AReplyForTestsGivesTheAnswer) {
  absl::StatusOr<google::rpc::Status> got = absl::UnknownError("none");
  const auto done = [&](absl::StatusOr<google::rpc::Status> answer) { got = std::move(answer); };
  auto first = Reply<google::rpc::Status>::To(done);
  first.response().set_message("in place");
  first.Done();
  EXPECT_EQ(got->message(), "in place");
  { auto dropped = Reply<google::rpc::Status>::To(done); }
  EXPECT_EQ(error::Reason(got.status()), "UNANSWERED");
  auto bytes = Reply<google::rpc::Status>::To(done);
  google::rpc::Status recorded;
  recorded.set_message("recorded");
  bytes.Bytes(recorded.SerializeAsString());
  EXPECT_EQ(got->message(), "recorded");
}

}  // namespace
}  // namespace clm::rpc
