#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "libs/base/error.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/coupon_module_part.h"
#include "services/loyalty/loyalty_fixture.h"
#include "services/loyalty/referral_module_part.h"

namespace clm::loyalty {
namespace {

using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::IsEmpty;
using State = v1::Referral;

class ReferralTest : public LoyaltyTest {
 protected:
  ReferralTest()
      : part_(std::make_unique<ReferralModulePart>(node_->pool.get(), &node_->lanes, &clock_,
                                                   &node_->tokens, "secret")) {}

  // Two weeks to return a purchase; 500 points for the advocate, 200 for the friend.
  void MakeProgram(std::function<void(v1::ReferralTerms&)> change = nullptr) {
    CLM_ASSERT_OK(CreateProgram());
    v1::UpdateProgramRequest request;
    request.mutable_program()->set_name(kProgram);
    v1::ReferralTerms* terms = request.mutable_program()->mutable_referral_terms();
    terms->set_advocate_points(500);
    terms->set_friend_points(200);
    terms->set_minimum_minor(1000);
    terms->set_currency("EUR");
    if (change) change(*terms);
    request.mutable_update_mask()->add_paths("referral_terms");
    CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::UpdateProgram, request));
    Join(1);
  }
  void Join(int member) {
    v1::EnrolMemberRequest request;
    request.set_parent(kProgram);
    request.set_contact(EntityName(kContacts, {"acme", Id(member)}));
    CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::EnrolMember, request));
  }

  template <class Req, class Resp>
  absl::StatusOr<Resp> Call(void (ReferralHandlers::*rpc)(const rpc::Call&, const Req&,
                                                          rpc::Reply<Resp>),
                            const Req& request) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    (part_->handlers().*rpc)(CallNow(), request,
                             rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> answer) {
                               result = std::move(answer);
                               done.Notify();
                             }));
    done.WaitForNotification();
    return result;
  }

  static void Identify(const std::string& card,
                       google::protobuf::RepeatedPtrField<v1::ReferralIdentifier>* out) {
    if (card.empty()) return;
    v1::ReferralIdentifier* identifier = out->Add();
    identifier->set_kind(v1::ReferralIdentifier::KIND_CARD);
    identifier->set_value(card);
  }
  absl::StatusOr<v1::ReferralCode> MakeCode(
      int advocate, const std::string& card = "",
      std::function<void(v1::CreateReferralCodeRequest&)> change = nullptr) {
    v1::CreateReferralCodeRequest request;
    request.set_parent(kProgram);
    request.mutable_referral_code()->set_advocate(MemberName(advocate));
    Identify(card, request.mutable_identifiers());
    if (change) change(request);
    return Call(&ReferralHandlers::CreateReferralCode, request);
  }
  static v1::ClaimReferralRequest ClaimRequest(int who, const std::string& code,
                                               const std::string& card = "") {
    v1::ClaimReferralRequest request;
    request.set_parent(kProgram);
    request.set_friend_(MemberName(who));
    request.set_code(code);
    Identify(card, request.mutable_identifiers());
    return request;
  }
  absl::StatusOr<v1::Referral> Claim(int who, const std::string& code,
                                     const std::string& card = "") {
    return Call(&ReferralHandlers::ClaimReferral, ClaimRequest(who, code, card));
  }
  // Of a member's own code.
  std::string ClaimedBy(int who, int advocate = 1) {
    const auto code = MakeCode(advocate, "", [](auto& request) { request.set_replace(true); });
    CLM_EXPECT_OK(code);
    const auto referral = Claim(who, code->code());
    CLM_EXPECT_OK(referral);
    return referral.ok() ? referral->name() : "";
  }
  v1::Referral Get(const std::string& name) {
    v1::GetReferralRequest request;
    request.set_name(name);
    const auto found = part_->handlers().GetReferral(CallNow(), request);
    CLM_EXPECT_OK(found);
    return found.value_or(v1::Referral());
  }
  absl::StatusOr<v1::Referral> CancelIt(const std::string& name) {
    v1::CancelReferralRequest request;
    request.set_name(name);
    return Call(&ReferralHandlers::CancelReferral, request);
  }
  absl::Status Event(int contact, int id, const std::string& type, absl::Time at, int64_t amount,
                     int refund_of = 0) {
    contact::v1::BehaviorRecorded recorded;
    recorded.set_contact(EntityName(kContacts, {"acme", Id(contact)}));
    contact::v1::BehaviorEvent* event = recorded.add_events();
    event->set_event_id(Id(id).ToString());
    event->set_type(type);
    clm::ToProto(at, event->mutable_occur_time());
    event->set_amount_minor(amount);
    event->set_currency("EUR");
    if (refund_of != 0) {
      (*event->mutable_properties())["refund_of"].set_string_value(Id(refund_of).ToString());
    }
    return Deliver({"acme", Id(contact)}, recorded);
  }
  absl::Status Buy(int contact, int id, int64_t amount = 2000) {
    return Event(contact, id, "purchase", clock_.Now(), amount);
  }
  absl::Status Refund(int contact, int id, int of, int64_t amount = 2000) {
    return Event(contact, id, "refund", clock_.Now(), amount, of);
  }
  int Settle() {
    const auto done = part_->due().RunOnce();
    CLM_EXPECT_OK(done);
    return done.value_or(-1);
  }
  int64_t Points(int member) {
    return Count(
        absl::StrCat("SELECT coalesce(sum(active), 0)::bigint FROM wallet WHERE contact_id = '",
                     Id(member).ToString(), "'"));
  }

  std::unique_ptr<ReferralModulePart> part_;
};

TEST_F(ReferralTest, BothGetTheirPointsOnlyAfterTheReturnWindow) {
  MakeProgram();
  const std::string name = ClaimedBy(2);
  EXPECT_EQ(Get(name).state(), State::STATE_CLAIMED);
  CLM_ASSERT_OK(Buy(2, 100, 999));
  EXPECT_EQ(Get(name).state(), State::STATE_CLAIMED);
  CLM_ASSERT_OK(Buy(2, 101));
  EXPECT_EQ(Get(name).state(), State::STATE_QUALIFIED);
  clock_.Advance(absl::Hours(24 * 14));
  EXPECT_EQ(Settle(), 0);
  EXPECT_EQ(Points(1), 0);
  clock_.Advance(absl::Hours(24));
  EXPECT_EQ(Settle(), 1);
  EXPECT_EQ(Get(name).state(), State::STATE_REWARDED);
  EXPECT_EQ(Points(1), 500);
  EXPECT_EQ(Points(2), 200);
  EXPECT_EQ(Settle(), 0);
  ExpectSound();
}

TEST_F(ReferralTest, WhoHasTypedTooManyWrongCodesIsToldNothingMoreForAWhile) {
  MakeProgram();
  const auto code = MakeCode(1);
  CLM_ASSERT_OK(code);
  // One that nobody has, though it is not mistyped.
  std::string unknown;
  for (const char last : std::string("0123456789ABCDEFGHJKMNPQRSTVWXYZ")) {
    const std::string with = absl::StrCat("W1NTER", std::string(1, last));
    if (HasRightCheck(with)) unknown = with;
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Claim(2, unknown), ReasonIs("CODE_UNKNOWN"));
    EXPECT_THAT(Claim(2, code->code() + "!"), ReasonIs("CODE_MALFORMED"));
  }
  const auto refused = Claim(2, code->code());
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(refused, ReasonIs("COUPON_GUESSES"));
  EXPECT_EQ(error::MetadataValue(refused.status(), "limit"), "member");
  EXPECT_EQ(Count("SELECT count(*) FROM referral"), 0);
  // Somebody else is not concerned; and right codes count nothing.
  CLM_EXPECT_OK(Claim(3, code->code()));
  EXPECT_EQ(Count("SELECT sum(guesses) FROM coupon_guess WHERE guesser LIKE 'caller/%'"), 10);
  clock_.Advance(absl::Hours(1));
  CLM_EXPECT_OK(Claim(2, code->code()));
}

TEST_F(ReferralTest, WrongCodesOfCouponsCountForThoseOfReferrals) {
  MakeProgram();
  const auto code = MakeCode(1);
  CLM_ASSERT_OK(code);
  Join(2);
  CouponModulePart coupons(node_->pool.get(), &clock_, &node_->tokens);
  v1::CheckCouponRequest check;
  check.set_parent(kProgram);
  check.set_member(MemberName(2));
  check.set_code("summer!");
  for (int i = 0; i < 9; ++i) {
    EXPECT_THAT(coupons.handlers().CheckCoupon(CallNow(), check), ReasonIs("CODE_MALFORMED"));
  }
  EXPECT_THAT(Claim(2, code->code() + "!"), ReasonIs("CODE_MALFORMED"));
  EXPECT_THAT(Claim(2, code->code()), ReasonIs("COUPON_GUESSES"));
}

TEST_F(ReferralTest, ARefundInsideTheWindowGivesNothing) {
  MakeProgram();
  const std::string name = ClaimedBy(2);
  CLM_ASSERT_OK(Buy(2, 101));
  CLM_ASSERT_OK(Refund(2, 102, 101, 1000));
  EXPECT_EQ(Get(name).state(), State::STATE_QUALIFIED);
  CLM_ASSERT_OK(Refund(2, 103, 101, 1));
  EXPECT_EQ(Get(name).state(), State::STATE_REVERSED);
  clock_.Advance(absl::Hours(24 * 30));
  EXPECT_EQ(Settle(), 0);
  EXPECT_EQ(Points(1) + Points(2), 0);
}

TEST_F(ReferralTest, ARefundAfterTheRewardTakesBothBack) {
  MakeProgram();
  const std::string name = ClaimedBy(2);
  CLM_ASSERT_OK(Buy(2, 101));
  clock_.Advance(absl::Hours(24 * 15));
  EXPECT_EQ(Settle(), 1);
  CLM_ASSERT_OK(Redeem(1, 100));
  CLM_ASSERT_OK(Refund(2, 102, 101));
  EXPECT_EQ(Get(name).state(), State::STATE_REVERSING);
  EXPECT_EQ(Settle(), 1);
  const v1::Referral reversed = Get(name);
  EXPECT_EQ(reversed.state(), State::STATE_REVERSED);
  EXPECT_EQ(reversed.advocate_points_returned(), 400);  // Within the balance.
  EXPECT_EQ(reversed.friend_points_returned(), 200);
  EXPECT_EQ(Points(1) + Points(2), 0);
  ExpectSound();
}

TEST_F(ReferralTest, WhoHasBoughtBeforeIsNoNewFriend) {
  MakeProgram();
  CLM_ASSERT_OK(Buy(2, 100));
  const auto code = MakeCode(1);
  CLM_ASSERT_OK(code);
  EXPECT_EQ(error::Reason(Claim(2, code->code()).status()), "FRIEND_NOT_NEW");
  // One that is heard of later cancels.
  const auto referral = Claim(3, code->code());
  CLM_ASSERT_OK(referral);
  EXPECT_EQ(referral->advocate(), "");
  EXPECT_EQ(error::Reason(Claim(3, code->code()).status()), "REFERRED_BEFORE");
  CLM_ASSERT_OK(Buy(3, 102));
  CLM_ASSERT_OK(Event(3, 103, "purchase", clock_.Now() - absl::Hours(1), 2000));
  EXPECT_EQ(Get(referral->name()).end_reason(), State::END_REASON_NOT_NEW);
}

TEST_F(ReferralTest, NobodyRefersThemselves) {
  MakeProgram();
  const auto code = MakeCode(1, "4711");
  CLM_ASSERT_OK(code);
  const auto reason = [&](int who, const std::string& card) {
    return error::Reason(Claim(who, code->code(), card).status());
  };
  EXPECT_EQ(reason(1, ""), "SELF_REFERRAL");
  EXPECT_EQ(reason(2, " 4711 "), "SELF_REFERRAL");
  // By what is known of them from elsewhere.
  Join(3);
  CLM_ASSERT_OK(MakeCode(3, "4711"));
  EXPECT_EQ(reason(3, ""), "SELF_REFERRAL");
  // Merged, before and after what they have has followed.
  CLM_ASSERT_OK(Merge(1, 4));
  EXPECT_EQ(reason(4, ""), "SELF_REFERRAL");
  Join(6);
  CLM_ASSERT_OK(Merge(1, 6));
  const auto meanwhile = Claim(6, code->code());
  CLM_ASSERT_OK(meanwhile);
  RunDue();
  EXPECT_EQ(Get(meanwhile->name()).end_reason(), State::END_REASON_SAME_PERSON);
  EXPECT_EQ(reason(4, ""), "SELF_REFERRAL");
  EXPECT_EQ(reason(6, ""), "SELF_REFERRAL");
  EXPECT_EQ(reason(5, "4712"), "");
  EXPECT_EQ(Count("SELECT count(*) FROM referral_identifier WHERE hash::text LIKE '%34373131%'"),
            0);
}

TEST_F(ReferralTest, TheLimitOfAnAdvocateIsExactInARace) {
  MakeProgram([](v1::ReferralTerms& terms) {
    terms.mutable_advocate_limit()->set_period(v1::EarnCap::PERIOD_MONTH);
    terms.mutable_advocate_limit()->set_count(3);
  });
  const auto code = MakeCode(1);
  CLM_ASSERT_OK(code);
  constexpr int kFriends = 8;
  absl::Barrier* barrier = new absl::Barrier(kFriends);
  std::vector<absl::Status> outcomes(kFriends);
  std::vector<std::thread> friends;
  for (int i = 0; i < kFriends; ++i) {
    friends.emplace_back([&, i] {
      if (barrier->Block()) delete barrier;
      outcomes[i] = Claim(10 + i, code->code()).status();
    });
  }
  for (std::thread& one : friends) one.join();
  int claimed = 0;
  for (const absl::Status& outcome : outcomes) {
    claimed += outcome.ok() ? 1 : 0;
    if (outcome.ok()) continue;
    EXPECT_EQ(error::Reason(outcome), "ADVOCATE_LIMIT_REACHED") << outcome;
    EXPECT_EQ(error::MetadataValue(outcome, "limit"), "3");
  }
  EXPECT_EQ(claimed, 3);
  EXPECT_EQ(Count("SELECT count(*) FROM referral"), 3);
  EXPECT_EQ(Count("SELECT uses FROM referral_code"), 3);
  clock_.Advance(absl::Hours(24 * 31));
  CLM_EXPECT_OK(Claim(20, code->code()));
}

TEST_F(ReferralTest, AnIdentifierClaimsAsOftenAsItMay) {
  MakeProgram([](v1::ReferralTerms& terms) {
    terms.mutable_identifier_limit()->set_period(v1::EarnCap::PERIOD_DAY);
    terms.mutable_identifier_limit()->set_count(1);
  });
  const auto code = MakeCode(1);
  CLM_ASSERT_OK(code);
  CLM_EXPECT_OK(Claim(2, code->code(), "a card"));
  EXPECT_EQ(error::Reason(Claim(3, code->code(), "A card").status()), "CLAIM_LIMIT_REACHED");
  CLM_EXPECT_OK(Claim(3, code->code(), "another"));
  clock_.Advance(absl::Hours(24));
  CLM_EXPECT_OK(Claim(4, code->code(), "a card"));
}

TEST_F(ReferralTest, NeitherSideIsRewardedAlone) {
  MakeProgram();
  const std::string name = ClaimedBy(2);
  CLM_ASSERT_OK(Buy(2, 101));
  clock_.Advance(absl::Hours(24 * 15));
  const auto admin = [&](const std::string& sql) {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    CLM_ASSERT_OK(pool->Transact({pg::Scope::Suite()},
                                 [&](pg::Tx& tx) { return tx.ExecDynamic(sql).status(); }));
  };
  // The advocate's points cannot be written.
  admin(absl::StrCat("ALTER TABLE posting ADD CONSTRAINT broken CHECK (contact_id <> '",
                     Id(1).ToString(), "') NOT VALID"));
  static_cast<void>(part_->due().RunOnce());
  EXPECT_EQ(Points(1) + Points(2), 0);
  EXPECT_EQ(Get(name).state(), State::STATE_QUALIFIED);
  admin("ALTER TABLE posting DROP CONSTRAINT broken");
  // Another process goes on with it.
  part_.reset();
  node_ = std::make_unique<Node>(database_.app_dsn, &clock_);
  part_ = std::make_unique<ReferralModulePart>(node_->pool.get(), &node_->lanes, &clock_,
                                               &node_->tokens, "secret");
  EXPECT_EQ(Settle(), 1);
  EXPECT_EQ(Points(1), 500);
  EXPECT_EQ(Points(2), 200);
  ExpectSound();
}

TEST_F(ReferralTest, AMergeMovesBothSidesAndCancelsWhatIsOnePersonsOwn) {
  MakeProgram();
  const std::string kept = ClaimedBy(2), own = ClaimedBy(3);
  CLM_ASSERT_OK(Buy(2, 101));
  CLM_ASSERT_OK(Merge(20, 2));
  CLM_ASSERT_OK(Merge(10, 1));
  RunDue();
  EXPECT_EQ(Get(kept).friend_(), MemberName(20));
  EXPECT_EQ(Get(kept).advocate(), MemberName(10));
  CLM_ASSERT_OK(Merge(10, 3));
  // Until it is moved, nothing is given.
  RunDue();
  EXPECT_EQ(Get(own).end_reason(), State::END_REASON_SAME_PERSON);
  clock_.Advance(absl::Hours(24 * 40));
  EXPECT_EQ(Settle(), 1);
  EXPECT_EQ(Points(10), 500);
  EXPECT_EQ(Points(20), 200);
  // What is refunded under the new name is taken back there.
  CLM_ASSERT_OK(Refund(20, 102, 101));
  EXPECT_EQ(Settle(), 1);
  EXPECT_EQ(Points(10) + Points(20), 0);
  ExpectSound();
}

TEST_F(ReferralTest, AnErasureTakesPeopleOffAndKeepsSums) {
  MakeProgram();
  const std::string rewarded = ClaimedBy(2), open = ClaimedBy(3), waiting = ClaimedBy(4);
  CLM_ASSERT_OK(Buy(2, 101));
  CLM_ASSERT_OK(Buy(3, 102));
  clock_.Advance(absl::Hours(24 * 15));
  EXPECT_EQ(Settle(), 2);
  CLM_ASSERT_OK(Erase(2));
  EXPECT_EQ(Get(rewarded).friend_(), "");
  EXPECT_EQ(Get(rewarded).friend_points(), 200);
  CLM_ASSERT_OK(Erase(4));
  EXPECT_EQ(Get(waiting).end_reason(), State::END_REASON_ERASED);
  CLM_ASSERT_OK(Erase(1));
  EXPECT_EQ(Get(open).advocate(), "");
  EXPECT_EQ(Count("SELECT count(*) FROM referral_code WHERE contact_id IS NOT NULL"), 0);
  CLM_ASSERT_OK(Refund(3, 103, 102));
  EXPECT_EQ(Settle(), 1);
  EXPECT_EQ(Points(3), 0);
}

TEST_F(ReferralTest, ACancelledReferralGivesBackWhatWasGiven) {
  MakeProgram();
  const std::string open = ClaimedBy(2), rewarded = ClaimedBy(3);
  CLM_ASSERT_OK(CancelIt(open));
  EXPECT_EQ(Get(open).state(), State::STATE_CANCELLED);
  EXPECT_EQ(error::Reason(CancelIt(open).status()), "REFERRAL_ENDED");
  CLM_ASSERT_OK(Buy(3, 101));
  clock_.Advance(absl::Hours(24 * 15));
  EXPECT_EQ(Settle(), 1);
  CLM_ASSERT_OK(CancelIt(rewarded));
  EXPECT_EQ(Get(rewarded).end_reason(), State::END_REASON_BY_HAND);
  EXPECT_EQ(Points(1) + Points(3), 0);
  ExpectSound();
}

TEST_F(ReferralTest, AClaimWithoutAPurchaseExpires) {
  MakeProgram();
  const std::string name = ClaimedBy(2);
  clock_.Advance(absl::Hours(24 * 31));
  EXPECT_EQ(Settle(), 1);
  EXPECT_EQ(Get(name).state(), State::STATE_EXPIRED);
}

TEST_F(ReferralTest, ARepeatedClaimGetsTheFirstAnswer) {
  MakeProgram();
  const auto code = MakeCode(1);
  CLM_ASSERT_OK(code);
  auto request = ClaimRequest(2, code->code());
  request.set_request_id(Id(900).ToString());
  const auto first = Call(&ReferralHandlers::ClaimReferral, request);
  const auto again = Call(&ReferralHandlers::ClaimReferral, request);
  CLM_ASSERT_OK(first);
  CLM_ASSERT_OK(again);
  EXPECT_EQ(first->name(), again->name());
  EXPECT_EQ(Count("SELECT count(*) FROM referral"), 1);
}

TEST_F(ReferralTest, ACodeIsOneOfItsOwnAndCanBeReplaced) {
  MakeProgram();
  const auto first = MakeCode(1);
  CLM_ASSERT_OK(first);
  EXPECT_EQ(error::Reason(MakeCode(1).status()), "HAS_REFERRAL_CODE");
  const auto second = MakeCode(1, "", [](auto& request) { request.set_replace(true); });
  CLM_ASSERT_OK(second);
  EXPECT_EQ(error::Reason(Claim(2, first->code()).status()), "CODE_REVOKED");
  CLM_EXPECT_OK(Claim(2, second->code()));
  v1::ListReferralCodesRequest list;
  list.set_parent(kProgram);
  list.set_advocate(MemberName(1));
  list.set_page_size(1);
  const auto page = part_->handlers().ListReferralCodes(CallNow(), list);
  CLM_ASSERT_OK(page);
  ASSERT_EQ(page->referral_codes_size(), 1);
  EXPECT_EQ(page->referral_codes(0).name(), first->name());
  list.set_page_token(page->next_page_token());
  const auto rest = part_->handlers().ListReferralCodes(CallNow(), list);
  CLM_ASSERT_OK(rest);
  EXPECT_EQ(rest->referral_codes(0).name(), second->name());
  EXPECT_THAT(rest->next_page_token(), IsEmpty());
  v1::ListReferralsRequest referrals;
  referrals.set_parent(kProgram);
  referrals.set_friend_(MemberName(2));
  const auto found = part_->handlers().ListReferrals(CallNow(), referrals);
  CLM_ASSERT_OK(found);
  ASSERT_EQ(found->referrals_size(), 1);
  EXPECT_EQ(found->referrals(0).advocate(), MemberName(1));
}

TEST_F(ReferralTest, BadInputIsRefusedByName) {
  MakeProgram();
  const auto code = MakeCode(1);
  CLM_ASSERT_OK(code);
  EXPECT_EQ(error::Reason(Claim(2, "ABCDEFGHJK").status()), "CODE_MALFORMED");
  auto other = ClaimRequest(2, code->code());
  other.set_friend_(absl::StrCat("tenants/acme/programs/other/members/", Id(2).ToString()));
  EXPECT_FALSE(Call(&ReferralHandlers::ClaimReferral, other).ok());
  auto blank = ClaimRequest(2, code->code(), " ");
  EXPECT_THAT(std::string(Call(&ReferralHandlers::ClaimReferral, blank).status().message()),
              ::testing::HasSubstr("identifiers[0]"));
  EXPECT_TRUE(absl::IsNotFound(MakeCode(7).status()));
  const auto past = MakeCode(1, "", [&](auto& request) {
    clm::ToProto(clock_.Now(), request.mutable_referral_code()->mutable_expire_time());
  });
  EXPECT_TRUE(absl::IsInvalidArgument(past.status()));
  v1::UpdateProgramRequest away;
  away.mutable_program()->set_name(kProgram);
  away.mutable_update_mask()->add_paths("referral_terms");
  EXPECT_TRUE(
      absl::IsInvalidArgument(Do(&Node::programs, &ProgramHandlers::UpdateProgram, away).status()));
}

TEST_F(ReferralTest, EveryStatementFitsTheSchema) {
  CLM_EXPECT_OK(node_->pool->Prepare(ReferralWorkStatements()));
  CLM_EXPECT_OK(node_->pool->Prepare(ReferralReaderStatements()));
}

}  // namespace
}  // namespace clm::loyalty
