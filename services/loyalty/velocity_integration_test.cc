// Velocity limits on earning and spending, on PostgreSQL.
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "libs/rpc/status.h"
#include "services/loyalty/loyalty_fixture.h"

namespace clm::loyalty {
namespace {

using ::clm::testing::StatusIs;

class LoyaltyVelocityTest : public LoyaltyTest {
 protected:
  absl::StatusOr<v1::Program> Create(std::vector<v1::VelocityLimit> limits) {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id("club");
    request.mutable_program()->set_time_zone("Europe/Berlin");
    request.mutable_program()->add_wallets()->set_id("points");
    for (v1::VelocityLimit& limit : limits) {
      *request.mutable_program()->add_velocity_limits() = std::move(limit);
    }
    return Do(&Node::programs, &ProgramHandlers::CreateProgram, request);
  }
  static v1::VelocityLimit Limit(v1::VelocityLimit::Operation operation,
                                 v1::VelocityLimit::Subject subject, int64_t requests,
                                 int64_t points) {
    v1::VelocityLimit limit;
    limit.set_id(absl::StrCat("limit-", operation, "-", subject));
    limit.set_operation(operation);
    limit.set_subject(subject);
    limit.set_period(v1::EarnCap::PERIOD_DAY);
    limit.set_max_requests(requests);
    limit.set_max_points(points);
    return limit;
  }
  template <class Req>
  static Req WithCard(Req request, const std::string& card) {
    auto* identifier = request.add_identifiers();
    identifier->set_kind(v1::ReferralIdentifier::KIND_CARD);
    identifier->set_value(card);
    return request;
  }
  absl::StatusOr<v1::PostingResponse> EarnWith(int member, int64_t amount, const std::string& card,
                                               Node* node = nullptr) {
    return Do(&Node::ledger, &LedgerHandlers::EarnPoints,
              WithCard(EarnRequest(member, amount), card), node);
  }
};

TEST_F(LoyaltyVelocityTest, AMemberSpendsSoOftenADay) {
  CLM_ASSERT_OK(Create(
      {Limit(v1::VelocityLimit::OPERATION_SPEND, v1::VelocityLimit::SUBJECT_UNSPECIFIED, 3, 0)}));
  for (int member : {1, 2}) CLM_ASSERT_OK(Earn(member, 1000));
  CLM_ASSERT_OK(Redeem(1, 10));
  CLM_ASSERT_OK(Hold(1, 10));
  // What is refused for another reason, rehearsed or repeated does not count.
  EXPECT_THAT(Redeem(1, 5000), StatusIs(absl::StatusCode::kFailedPrecondition));
  auto rehearsal = RedeemRequest(1, 10);
  rehearsal.set_dry_run(true);
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::RedeemPoints, rehearsal));
  auto last = RedeemRequest(1, 10);
  last.set_external_id("order-1");
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::RedeemPoints, last));
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::RedeemPoints, last));
  const auto refused = Redeem(1, 10);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(error::Reason(refused.status()), "VELOCITY_LIMIT");
  EXPECT_EQ(error::MetadataValue(refused.status(), "again_time"), "2026-01-25T23:00:00.000000Z");
  EXPECT_THAT(Hold(1, 10), StatusIs(absl::StatusCode::kFailedPrecondition));
  CLM_ASSERT_OK(Redeem(2, 10));
  CLM_ASSERT_OK(Earn(1, 10));
  clock_.Set(At("2026-01-26 00:00"));
  CLM_ASSERT_OK(Redeem(1, 10));
  ExpectSound();
}

TEST_F(LoyaltyVelocityTest, OneCardEarnsSoMuchForAllItsMembersTogether) {
  CLM_ASSERT_OK(
      Create({Limit(v1::VelocityLimit::OPERATION_EARN, v1::VelocityLimit::SUBJECT_CARD, 0, 100)}));
  CLM_ASSERT_OK(EarnWith(1, 60, " Card-1 "));
  const auto refused = EarnWith(2, 50, "card-1");
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(error::MetadataValue(refused.status(), "points_left"), "40");
  CLM_ASSERT_OK(EarnWith(2, 40, "card-1"));
  CLM_ASSERT_OK(EarnWith(2, 100, "card-2"));
  CLM_ASSERT_OK(Earn(2, 500));
  // Nobody can read the card from what is kept.
  EXPECT_EQ(Count("SELECT count(*) FROM velocity_count WHERE kind = 5"), 2);
  EXPECT_EQ(Count("SELECT count(*) FROM velocity_count v WHERE v::text ILIKE '%card-1%'"), 0);
  // Without a kind it is not known what it is.
  auto nothing = EarnRequest(1, 1);
  nothing.add_identifiers()->set_value("x");
  EXPECT_THAT(Do(&Node::ledger, &LedgerHandlers::EarnPoints, nothing),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("identifiers[0]")));
  ExpectSound();
}

TEST_F(LoyaltyVelocityTest, InABatchEachCountsForItself) {
  CLM_ASSERT_OK(
      Create({Limit(v1::VelocityLimit::OPERATION_EARN, v1::VelocityLimit::SUBJECT_CARD, 2, 0)}));
  v1::BatchEarnPointsRequest batch;
  batch.set_parent(kProgram);
  *batch.add_requests() = WithCard(EarnRequest(1, 10), "card");
  // One that fails leaves room: nobody has so many points.
  *batch.add_requests() = WithCard(EarnRequest(1, kMaxPoints), "card");
  for (int member : {3, 4}) {
    *batch.add_requests() = WithCard(EarnRequest(member, 10), "card");
  }
  CLM_ASSERT_OK_AND_ASSIGN(const auto done,
                           Do(&Node::ledger, &LedgerHandlers::BatchEarnPoints, batch));
  EXPECT_FALSE(done.results(0).posting().empty());
  EXPECT_TRUE(done.results(1).posting().empty());
  EXPECT_FALSE(done.results(2).posting().empty());
  EXPECT_EQ(done.results(3).status().code(),
            static_cast<int>(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), 2);
}

TEST_F(LoyaltyVelocityTest, ManyAtOnceThroughTwoProcessesAreCountedExactly) {
  CLM_ASSERT_OK(
      Create({Limit(v1::VelocityLimit::OPERATION_EARN, v1::VelocityLimit::SUBJECT_CARD, 5, 0)}));
  Node other(database_.app_dsn, &clock_);
  constexpr int kThreads = 16;
  auto* start = new absl::Barrier(kThreads);
  std::vector<std::thread> threads;
  std::vector<absl::Status> outcomes(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      if (start->Block()) delete start;
      outcomes[i] = EarnWith(i, 10, "card", i % 2 == 0 ? nullptr : &other).status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  int earned = 0;
  for (const absl::Status& outcome : outcomes) {
    if (outcome.ok()) {
      ++earned;
    } else {
      EXPECT_TRUE(absl::IsFailedPrecondition(outcome)) << outcome;
    }
  }
  EXPECT_EQ(earned, 5);
  EXPECT_EQ(Count("SELECT sum(requests)::bigint FROM velocity_count"), 5);
}

TEST_F(LoyaltyVelocityTest, LimitsThatMakeNoSenseAreNamed) {
  v1::VelocityLimit nothing =
      Limit(v1::VelocityLimit::OPERATION_SPEND, v1::VelocityLimit::SUBJECT_MEMBER, 0, 0);
  v1::VelocityLimit unknown = nothing;
  unknown.clear_operation();
  const auto refused = Create({nothing, unknown});
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(refused.status())) {
    fields.push_back(field);
  }
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("program.velocity_limits[1].operation",
                                                      "program.velocity_limits[0].max_requests",
                                                      "program.velocity_limits[1].max_requests",
                                                      "program.velocity_limits[1].id"));
}

}  // namespace
}  // namespace clm::loyalty
