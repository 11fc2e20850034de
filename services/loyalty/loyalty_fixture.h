// A loyalty database of one test, with its lanes and background and a clock that stands still, and
// shorthand for what members do.
#ifndef CLM_SERVICES_LOYALTY_LOYALTY_FIXTURE_H_
#define CLM_SERVICES_LOYALTY_LOYALTY_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "clm/loyalty/v1/ledger_service.pb.h"
#include "clm/loyalty/v1/program_service.pb.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/lanes.h"
#include "libs/pg/admin.h"
#include "libs/rpc/workers.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"
#include "services/loyalty/contact_feed_handler.h"
#include "services/loyalty/due_points.h"
#include "services/loyalty/ledger_handlers.h"
#include "services/loyalty/lifecycle_feed_handler.h"
#include "services/loyalty/membership_cache.h"
#include "services/loyalty/module.h"
#include "services/loyalty/program_handlers.h"

namespace clm::loyalty {

// One service on a database; several may share one, as processes do.
struct Node {
  // Without a hash members are read from the database alone.
  Node(const std::string& dsn, const Clock* clock, cache::CustomerHash* hash = nullptr,
       cache::NearCache* near = nullptr)
      : pool(pg::NewPool({.dsn = dsn})),
        reader(pool.get(), clock),
        memberships(&reader, hash, near, &workers, clock),
        lanes({.pool = pool.get(),
               .clock = clock,
               .new_work =
                   [this, clock] {
                     return std::make_unique<LoyaltyWork>(clock, nullptr, &memberships);
                   }}),
        due({.reader = &reader, .lanes = &lanes, .clock = clock}),
        programs(Parts()),
        ledger(Parts()) {}

  LoyaltyParts Parts() {
    return {.lanes = &lanes,
            .reader = &reader,
            .memberships = &memberships,
            .tokens = &tokens,
            .secret = "secret"};
  }

  std::unique_ptr<pg::Pool> pool;
  PageTokens tokens{"secret"};
  LoyaltyReader reader;
  rpc::Workers workers{"clm-workers", 2, 100};
  MembershipCache memberships;
  journal::Lanes lanes;
  DuePoints due;
  ContactFeedHandler contact_feed;
  LifecycleFeedHandler lifecycle_feed;
  ProgramHandlers programs;
  LedgerHandlers ledger;
};

class LoyaltyTest : public ::testing::Test {
 protected:
  static constexpr char kProgram[] = "tenants/acme/programs/club";

  LoyaltyTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(FullSchema())),
        clock_(At("2026-01-25 18:00")),
        node_(std::make_unique<Node>(database_.app_dsn, &clock_)) {}

  // In Berlin, where the programme is.
  static absl::Time At(const std::string& text) {
    absl::TimeZone zone;
    absl::Time time;
    EXPECT_TRUE(absl::LoadTimeZone("Europe/Berlin", &zone));
    EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M", text, zone, &time, nullptr)) << text;
    return time;
  }
  static Uuid Id(int number) { return Uuid::V5(Uuid(), absl::StrCat("id ", number)); }
  static std::string MemberName(int number) {
    return absl::StrCat(kProgram, "/members/", Id(number).ToString());
  }

  template <class H, class Req, class Resp>
  absl::StatusOr<Resp> Do(H Node::*handlers,
                          void (H::*rpc)(const rpc::Call&, const Req&, rpc::Reply<Resp>),
                          const Req& request, Node* node = nullptr) {
    if (node == nullptr) node = node_.get();
    absl::StatusOr<Resp> result;
    absl::Notification done;
    ((node->*handlers).*rpc)(CallNow(), request, rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
                               result = std::move(r);
                               done.Notify();
                             }));
    done.WaitForNotification();
    return result;
  }
  template <class H, class Req, class Resp>
  absl::StatusOr<Resp> Do(H Node::*handlers,
                          absl::StatusOr<Resp> (H::*rpc)(const rpc::Call&, const Req&),
                          const Req& request, Node* node = nullptr) {
    return (((node == nullptr ? node_.get() : node)->*handlers).*rpc)(CallNow(), request);
  }
  rpc::Call CallNow() const {
    rpc::Call call;
    call.now = clock_.Now();
    call.method = "/clm.loyalty.v1.LedgerService/Test";
    call.caller.actor = "token:ada";
    return call;
  }

  // A programme with one wallet, "points".
  absl::StatusOr<v1::Program> CreateProgram(
      const std::string& pending = "", const std::string& expiry = "",
      v1::Wallet::ReturnPolicy returns = v1::Wallet::RETURN_POLICY_WITHIN_BALANCE) {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id("club");
    request.mutable_program()->set_time_zone("Europe/Berlin");
    v1::Wallet* wallet = request.mutable_program()->add_wallets();
    wallet->set_id("points");
    wallet->set_pending(pending);
    wallet->set_expiry(expiry);
    wallet->set_return_policy(returns);
    return Do(&Node::programs, &ProgramHandlers::CreateProgram, request);
  }

  static v1::EarnPointsRequest EarnRequest(int member, int64_t amount) {
    v1::EarnPointsRequest request;
    request.set_member(MemberName(member));
    request.set_amount(amount);
    return request;
  }
  absl::StatusOr<v1::PostingResponse> Earn(int member, int64_t amount) {
    return Do(&Node::ledger, &LedgerHandlers::EarnPoints, EarnRequest(member, amount));
  }
  static v1::RedeemPointsRequest RedeemRequest(int member, int64_t amount) {
    v1::RedeemPointsRequest request;
    request.set_member(MemberName(member));
    request.set_amount(amount);
    return request;
  }
  absl::StatusOr<v1::PostingResponse> Redeem(int member, int64_t amount) {
    return Do(&Node::ledger, &LedgerHandlers::RedeemPoints, RedeemRequest(member, amount));
  }
  absl::StatusOr<v1::HoldResponse> Hold(int member, int64_t amount,
                                        const std::string& duration = "") {
    v1::HoldPointsRequest request;
    request.set_member(MemberName(member));
    request.set_amount(amount);
    request.set_duration(duration);
    return Do(&Node::ledger, &LedgerHandlers::HoldPoints, request);
  }
  absl::StatusOr<v1::PostingResponse> Cancel(const std::string& posting, int64_t amount = 0) {
    v1::CancelRedemptionRequest request;
    request.set_posting(posting);
    request.set_amount(amount);
    return Do(&Node::ledger, &LedgerHandlers::CancelRedemption, request);
  }
  absl::StatusOr<v1::ReturnPointsResponse> Return(const std::string& posting, int64_t amount = 0) {
    v1::ReturnPointsRequest request;
    request.set_posting(posting);
    request.set_amount(amount);
    return Do(&Node::ledger, &LedgerHandlers::ReturnPoints, request);
  }
  v1::Balance BalanceOf(int member) {
    v1::GetMemberRequest request;
    request.set_name(MemberName(member));
    const auto found = Do(&Node::programs, &ProgramHandlers::GetMember, request);
    CLM_EXPECT_OK(found);
    return found.ok() ? found->balances(0) : v1::Balance();
  }
  std::vector<v1::Posting> StatementOf(int member) {
    v1::ListPostingsRequest request;
    request.set_parent(MemberName(member));
    const auto page = Do(&Node::ledger, &LedgerHandlers::ListPostings, request);
    CLM_EXPECT_OK(page);
    if (!page.ok()) return {};
    return {page->postings().begin(), page->postings().end()};
  }
  // Everything that is due by now.
  int RunDue() {
    const auto done = node_->due.RunOnce();
    CLM_EXPECT_OK(done);
    return done.value_or(-1);
  }
  // The ledger is sound, and every programme as a whole is zero.
  void ExpectSound() {
    v1::AuditProgramRequest request;
    request.set_name(kProgram);
    const auto audit = Do(&Node::ledger, &LedgerHandlers::AuditProgram, request);
    CLM_ASSERT_OK(audit);
    for (const auto& finding : audit->findings()) ADD_FAILURE() << finding.finding();
    EXPECT_GT(audit->postings(), 0);
    EXPECT_EQ(Count("SELECT count(*) FROM posting WHERE NOT sums_to_zero(amounts)"), 0);
    EXPECT_EQ(Count("SELECT coalesce(sum(e.amount), 0)::bigint FROM posting p CROSS JOIN LATERAL "
                    "unnest(p.accounts, p.amounts) AS e (account, amount) WHERE e.account = 9"),
              0);
  }

  // What a consumer would deliver, in one transaction.
  absl::Status Deliver(const EntityKey& subject, const google::protobuf::Message& payload) {
    event::v1::Event event;
    event.set_id(Uuid::V7(clock_.Now()).ToString());
    event.set_tenant(subject.tenant);
    event.set_subject(EntityName(kContacts, subject));
    event.set_type(payload.GetDescriptor()->full_name());
    event.set_payload(payload.SerializeAsString());
    journal::MutationInfo info;
    info.shards.set(ShardOf(subject.tenant, subject.id));
    return node_->lanes
        .Run<LoyaltyWork>(
            std::move(info), [&](LoyaltyWork& work) { node_->contact_feed.Declare(event, work); },
            [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
              CLM_RETURN_IF_ERROR(node_->contact_feed.Apply(event, work, recorder));
              return std::string();
            })
        .status();
  }
  absl::Status Merge(int survivor, int merged) {
    contact::v1::ContactsMerged event;
    event.set_contact(EntityName(kContacts, {"acme", Id(survivor)}));
    event.set_merged_contact(EntityName(kContacts, {"acme", Id(merged)}));
    return Deliver({"acme", Id(survivor)}, event);
  }
  absl::Status Erase(int contact) {
    contact::v1::ContactChanged event;
    event.set_contact(EntityName(kContacts, {"acme", Id(contact)}));
    event.set_change(contact::v1::ContactChanged::CHANGE_ERASED);
    return Deliver({"acme", Id(contact)}, event);
  }

  // The answer of the database to a question, past row security.
  int64_t Count(const std::string& sql) {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    int64_t count = -1;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) {
      auto rows = tx.ExecDynamic(sql);
      if (rows.ok()) count = (*rows)[0].Int(0);
      return rows.status();
    }));
    return count;
  }

  const clm::testing::Database database_;
  ManualClock clock_;
  std::unique_ptr<Node> node_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LOYALTY_FIXTURE_H_
