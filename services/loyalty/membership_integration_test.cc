// What members are and have, out of the cache and past it: two processes on one PostgreSQL and one
// store. What Redis does is in the tests of libs/cache, and all services together in tests/e2e.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "clm/contact/v1/contact.pb.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "libs/cache/fake_cache.h"
#include "services/loyalty/loyalty_fixture.h"
#include "services/loyalty/membership_module_part.h"

namespace clm::loyalty {
namespace {

using clm::testing::StatusIs;
using google::protobuf::util::MessageDifferencer;

class MembershipTest : public LoyaltyTest {
 protected:
  MembershipTest() {
    node_ = NewNode(&hash_, &near_);
    other_ = NewNode(&other_hash_, &other_near_);
  }
  // It uses what is gone when the fixture goes.
  ~MembershipTest() override { node_.reset(); }

  std::unique_ptr<Node> NewNode(std::unique_ptr<cache::CustomerHash>* hash,
                                cache::NearCache* near) {
    *hash = cache::NewFakeCustomerHash(store_.get(), {.secret = "secret", .clock = &clock_});
    return std::make_unique<Node>(database_.app_dsn, &clock_, hash->get(), near);
  }

  v1::Program Terms() const {
    v1::Program program;
    program.set_time_zone("Europe/Berlin");
    program.add_wallets()->set_id("points");
    program.mutable_wallets(0)->set_expiry("1M");
    return program;
  }
  static void AddTiers(v1::Program& program) {
    v1::TierScheme* scheme = program.mutable_tier_scheme();
    scheme->set_basis(v1::TierScheme::BASIS_MONEY_SPENT);
    scheme->set_currency("EUR");
    scheme->set_downgrade(v1::TierScheme::DOWNGRADE_REAL_TIME);
    for (const auto& [id, threshold] : {std::pair("bronze", 0), std::pair("gold", 1000)}) {
      scheme->add_tiers()->set_id(id);
      scheme->mutable_tiers(scheme->tiers_size() - 1)->set_threshold(threshold);
    }
  }
  v1::Program Create(v1::Program program, const std::string& id = "club") {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id(id);
    *request.mutable_program() = std::move(program);
    auto created = Do(&Node::programs, &ProgramHandlers::CreateProgram, request);
    CLM_EXPECT_OK(created);
    return created.value_or(v1::Program());
  }
  void Update(v1::Program program) {
    program.clear_etag();
    v1::UpdateProgramRequest request;
    *request.mutable_program() = std::move(program);
    CLM_EXPECT_OK(Do(&Node::programs, &ProgramHandlers::UpdateProgram, request));
  }
  void Enrol(int member) {
    v1::EnrolMemberRequest request;
    request.set_parent(kProgram);
    request.set_contact(EntityName(kContacts, {"acme", Id(member)}));
    CLM_EXPECT_OK(Do(&Node::programs, &ProgramHandlers::EnrolMember, request));
  }
  void SetTier(int member, const std::string& tier, absl::Time until) {
    v1::SetMemberTierRequest request;
    request.set_name(MemberName(member));
    request.set_tier(tier);
    clm::ToProto(until, request.mutable_until_time());
    CLM_EXPECT_OK(Do(&Node::programs, &ProgramHandlers::SetMemberTier, request));
  }
  void Buy(int member, int64_t cents) {
    contact::v1::BehaviorRecorded recorded;
    recorded.set_contact(EntityName(kContacts, {"acme", Id(member)}));
    contact::v1::BehaviorEvent* event = recorded.add_events();
    event->set_event_id(Uuid::V7(clock_.Now()).ToString());
    event->set_type("purchase");
    clm::ToProto(clock_.Now(), event->mutable_occur_time());
    event->set_amount_minor(cents);
    event->set_currency("EUR");
    CLM_EXPECT_OK(Deliver({"acme", Id(member)}, recorded));
  }

  absl::StatusOr<v1::Member> Get(int member, Node* node,
                                 v1::Consistency consistency = v1::CONSISTENCY_UNSPECIFIED,
                                 absl::Duration max_staleness = absl::ZeroDuration()) {
    v1::GetMemberRequest request;
    request.set_name(MemberName(member));
    request.set_consistency(consistency);
    if (max_staleness != absl::ZeroDuration()) {
      request.mutable_max_staleness()->set_seconds(absl::ToInt64Seconds(max_staleness));
    }
    return Do(&Node::programs, &ProgramHandlers::GetMember, request, node);
  }
  // What is cached of them, if anything is.
  std::optional<contact::v1::CustomerContext> Cached(int member) {
    const auto parts = hash_->Read({"acme", Id(member)});
    CLM_EXPECT_OK(parts);
    const auto part = parts->find(kMembershipsPart);
    if (part == parts->end()) return std::nullopt;
    contact::v1::CustomerContext context;
    EXPECT_TRUE(context.ParseFromString(part->second.payload));
    return context;
  }
  // Both processes know the programme and the cache knows the member.
  void Warm(int member) {
    for (Node* node : {node_.get(), other_.get()}) {
      CLM_EXPECT_OK(Get(member, node));
      CLM_EXPECT_OK(Get(member, node));
    }
    EXPECT_TRUE(Cached(member));
  }
  // A change that nobody is told of, so that what is read without it comes from the cache.
  void ChangeBehindItsBack(int member) {
    CLM_EXPECT_OK(
        pg::AdminExec(database_.admin_dsn,
                      absl::StrCat("UPDATE member SET enrol_time = enrol_time - interval '1 s' "
                                   "WHERE contact_id = '",
                                   Id(member).ToString(), "'")));
  }
  // Whether the other process answers out of the cache.
  bool FromCache(int member) {
    ChangeBehindItsBack(member);
    const auto read = Get(member, other_.get());
    const auto stored = Get(member, other_.get(), v1::CONSISTENCY_STRONG);
    CLM_EXPECT_OK(read);
    CLM_EXPECT_OK(stored);
    return read.ok() && stored.ok() && !MessageDifferencer::Equals(*read, *stored);
  }
  // Does `change` in one process and reads in the other one at once.
  void ExpectToldAtOnce(const std::string& what, int member, const std::function<void()>& change) {
    Warm(member);
    const auto before = Get(member, other_.get(), v1::CONSISTENCY_STRONG);
    change();
    const auto read = Get(member, other_.get());
    const auto stored = Get(member, other_.get(), v1::CONSISTENCY_STRONG);
    CLM_ASSERT_OK(read);
    CLM_ASSERT_OK(stored);
    EXPECT_TRUE(MessageDifferencer::Equals(*read, *stored)) << what;
    EXPECT_FALSE(MessageDifferencer::Equals(*before, *stored)) << what << " is not to be seen";
  }
  // The points that a caller sees who allows so much.
  int64_t Allowing(absl::Duration max_staleness, int member, Node* node) {
    const auto read = Get(member, node, v1::CONSISTENCY_UNSPECIFIED, max_staleness);
    CLM_EXPECT_OK(read);
    return read.ok() ? read->balances(0).active() : -1;
  }
  LoyaltyReader::CustomerMemberships Memberships(int contact) {
    const auto found = node_->reader.Memberships({"acme", Id(contact)}, absl::InfiniteFuture());
    CLM_EXPECT_OK(found);
    return found.value_or(LoyaltyReader::CustomerMemberships());
  }

  const std::unique_ptr<cache::MemoryStore> store_ = cache::NewMemoryStore();
  std::unique_ptr<cache::CustomerHash> hash_, other_hash_;
  obs::Metrics metrics_;
  cache::NearCache near_{1 << 20, metrics_}, other_near_{1 << 20, metrics_};
  std::unique_ptr<Node> other_;
};

TEST_F(MembershipTest, AMemberIsReadFromTheCacheAndPastIt) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  Warm(1);
  EXPECT_TRUE(FromCache(1));
  // One programme's newest version is looked for every few seconds, and that from the database.
  clock_.Advance(KnownPrograms::kKnownFor);
  EXPECT_FALSE(FromCache(1));
  EXPECT_TRUE(FromCache(1));
}

TEST_F(MembershipTest, WhatWasAnsweredIsReadAtOnceInEveryProcess) {
  v1::Program program = Terms();
  AddTiers(program);
  Create(program);
  Enrol(1);
  ExpectToldAtOnce("points", 1, [&] { CLM_EXPECT_OK(Earn(1, 100)); });
  ExpectToldAtOnce("a redemption", 1, [&] { CLM_EXPECT_OK(Redeem(1, 10)); });
  ExpectToldAtOnce("a hold", 1, [&] { CLM_EXPECT_OK(Hold(1, 20, "1h")); });
  ExpectToldAtOnce("a tier by hand", 1, [&] { SetTier(1, "gold", At("2026-06-01 00:00")); });
  ExpectToldAtOnce("its end", 1, [&] { SetTier(1, "gold", At("2026-07-01 00:00")); });
  ExpectToldAtOnce("money that brings no points", 1, [&] { Buy(1, 300); });
  ExpectToldAtOnce("a tier", 1, [&] { Buy(1, 900); });
  // And who was none is one.
  Create(Terms(), "stars");
  CLM_ASSERT_OK(Earn(2, 1));
  Warm(2);
  EXPECT_EQ(Memberships(2).memberships.size(), 1);
  v1::EarnPointsRequest earn = EarnRequest(2, 7);
  earn.set_member(absl::StrCat("tenants/acme/programs/stars/members/", Id(2).ToString()));
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::EarnPoints, earn));
  v1::GetMemberRequest get;
  get.set_name(earn.member());
  const auto star = Do(&Node::programs, &ProgramHandlers::GetMember, get, other_.get());
  CLM_ASSERT_OK(star);
  EXPECT_EQ(star->balances(0).active(), 7);
}

constexpr absl::Duration kAMinute = absl::Minutes(1);

TEST_F(MembershipTest, WhoAllowsItIsAnsweredFromMemoryAndAtMostAsOldAsThat) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  Warm(1);
  EXPECT_EQ(Allowing(kAMinute, 1, other_.get()), 100);
  // Nobody rings here, so the other process does not hear of it.
  CLM_ASSERT_OK(Earn(1, 5));
  EXPECT_EQ(Allowing(kAMinute, 1, other_.get()), 100);
  EXPECT_EQ(Allowing(absl::ZeroDuration(), 1, other_.get()), 105);
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(Allowing(absl::Seconds(3), 1, other_.get()), 100);
  EXPECT_EQ(Allowing(absl::Seconds(1), 1, other_.get()), 105);
  // Which was remembered in its place.
  EXPECT_EQ(Allowing(kAMinute, 1, other_.get()), 105);
  // When it rings, which names the shard.
  CLM_ASSERT_OK(Earn(1, 5));
  EXPECT_EQ(Allowing(kAMinute, 1, other_.get()), 105);
  other_near_.DropShard(ShardOf("acme", Id(1)));
  EXPECT_EQ(Allowing(kAMinute, 1, other_.get()), 110);
}

TEST_F(MembershipTest, WhatIsChangedThroughAProcessIsReadThroughItAtOnceWhateverIsAllowed) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK(Earn(2, 50));
  Warm(1);
  Warm(2);
  EXPECT_EQ(Allowing(kAMinute, 1, node_.get()), 100);
  EXPECT_EQ(Allowing(kAMinute, 2, node_.get()), 50);
  CLM_ASSERT_OK(Earn(1, 5));
  EXPECT_EQ(Allowing(kAMinute, 1, node_.get()), 105);
  CLM_ASSERT_OK(Redeem(1, 5));
  EXPECT_EQ(Allowing(kAMinute, 1, node_.get()), 100);
  CLM_ASSERT_OK(Merge(1, 2));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(Allowing(kAMinute, 1, node_.get()), 150);
  EXPECT_EQ(Allowing(kAMinute, 2, node_.get()), 150);
}

TEST_F(MembershipTest, NothingIsRememberedBeyondItsTimeOrByOlderTerms) {
  v1::Program program = Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  const absl::Time end = At("2026-02-26 00:00");
  clock_.Set(end - absl::Seconds(1));
  Warm(1);
  EXPECT_EQ(Allowing(kAMinute, 1, node_.get()), 100);
  clock_.Set(end);
  EXPECT_EQ(Allowing(kAMinute, 1, node_.get()), 0);

  CLM_ASSERT_OK(Earn(1, 7));
  Warm(1);
  EXPECT_EQ(Allowing(kAMinute, 1, node_.get()), 7);
  ChangeBehindItsBack(1);
  program.set_display_name("Club");
  Update(program);
  const auto read = Get(1, node_.get(), v1::CONSISTENCY_UNSPECIFIED, kAMinute);
  const auto stored = Get(1, node_.get(), v1::CONSISTENCY_STRONG);
  CLM_ASSERT_OK(read);
  CLM_ASSERT_OK(stored);
  EXPECT_TRUE(MessageDifferencer::Equals(*read, *stored));
}

TEST_F(MembershipTest, MoreThanAMinuteOrAnythingBesideStrongCannotBeAllowed) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  using ::testing::HasSubstr;
  EXPECT_THAT(Get(1, node_.get(), v1::CONSISTENCY_UNSPECIFIED, absl::Seconds(61)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_staleness: ")));
  EXPECT_THAT(Get(1, node_.get(), v1::CONSISTENCY_UNSPECIFIED, -absl::Seconds(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_staleness: ")));
  EXPECT_THAT(Get(1, node_.get(), v1::CONSISTENCY_STRONG, absl::Seconds(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_staleness: ")));
}

TEST_F(MembershipTest, PointsThatRunOutOfTimeEndTheirEntry) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  const absl::Time end = At("2026-02-26 00:00");
  EXPECT_EQ(Memberships(1).hold_until, end);
  clock_.Set(end - absl::Milliseconds(1));
  Warm(1);
  EXPECT_EQ(clm::FromProto(Cached(1)->memberships(0).hold_until_time()), end);
  EXPECT_TRUE(FromCache(1));
  // No timer has run.
  clock_.Set(end);
  EXPECT_EQ(Cached(1), std::nullopt);
  const auto read = Get(1, other_.get());
  CLM_ASSERT_OK(read);
  EXPECT_EQ(read->balances(0).active(), 0);
  EXPECT_EQ(read->balances(0).expired(), 100);
  EXPECT_EQ(Memberships(1).hold_until, absl::InfiniteFuture());
}

TEST_F(MembershipTest, WhateverHappensByItselfEndsTheEntry) {
  v1::Program program = Terms();
  program.mutable_wallets(0)->set_pending("14D");
  program.add_wallets()->set_id("miles");
  Create(program);
  CLM_ASSERT_OK(Earn(1, 100));
  EXPECT_EQ(Memberships(1).hold_until, At("2026-02-08 18:00"));
  v1::EarnPointsRequest miles = EarnRequest(1, 50);
  miles.set_wallet("miles");
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::EarnPoints, miles));
  EXPECT_EQ(Memberships(1).hold_until, At("2026-02-08 18:00"));
  v1::HoldPointsRequest hold;
  hold.set_member(MemberName(1));
  hold.set_wallet("miles");
  hold.set_amount(10);
  hold.set_duration("2h");
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::HoldPoints, hold));
  EXPECT_EQ(Memberships(1).hold_until, At("2026-01-25 20:00"));
  // What is due has happened, whether or not a timer said so.
  clock_.Set(At("2026-02-08 18:00"));
  EXPECT_EQ(Memberships(1).hold_until, At("2026-03-09 00:00"));
}

TEST_F(MembershipTest, TiersEndTheEntryWithTheDayAndATierByHandWithItsTime) {
  v1::Program program = Terms();
  program.mutable_wallets(0)->clear_expiry();
  AddTiers(program);
  Create(program);
  Enrol(1);
  EXPECT_EQ(Memberships(1).hold_until, At("2026-01-26 00:00"));
  SetTier(1, "gold", At("2026-01-25 19:30"));
  EXPECT_EQ(Memberships(1).hold_until, At("2026-01-25 19:30"));
  Warm(1);
  clock_.Set(At("2026-01-25 19:30"));
  EXPECT_EQ(Get(1, other_.get())->tier_standing().tier(), "bronze");
}

TEST_F(MembershipTest, AChangedProgrammeIsToldAtOnceByItsProcessAndWithinSecondsByOthers) {
  v1::Program program = Terms();
  AddTiers(program);
  program = Create(program);
  Enrol(1);
  Buy(1, 900);
  Warm(1);
  const int64_t before = Cached(1)->memberships(0).program_version();
  program.mutable_tier_scheme()->mutable_tiers(1)->set_threshold(5000);
  Update(program);
  EXPECT_EQ(Get(1, node_.get())->tier_standing().missing_to_next(), 4100);
  // Which has taken the place of what was there.
  ASSERT_TRUE(Cached(1));
  EXPECT_GT(Cached(1)->memberships(0).program_version(), before);
  EXPECT_TRUE(FromCache(1));
  EXPECT_EQ(Get(1, other_.get())->tier_standing().missing_to_next(), 4100);

  // Somebody who is in the cache by the old terms, and a process that has not heard of new ones.
  Enrol(2);
  Warm(2);
  program.mutable_tier_scheme()->mutable_tiers(1)->set_threshold(6000);
  Update(program);
  EXPECT_EQ(Get(2, other_.get())->tier_standing().missing_to_next(), 5000);
  clock_.Advance(KnownPrograms::kKnownFor);
  EXPECT_EQ(Get(2, other_.get())->tier_standing().missing_to_next(), 6000);
  EXPECT_EQ(Get(2, other_.get())->tier_standing().missing_to_next(), 6000);
  EXPECT_TRUE(FromCache(2));
}

// Another process puts there what it has read by the old terms, between a look at the cache that
// found nothing and the one that would fill it.
TEST_F(MembershipTest, WhatOthersFillInByOldTermsIsNotAnswered) {
  v1::Program program = Terms();
  AddTiers(program);
  program = Create(program);
  Enrol(1);
  Buy(1, 900);
  Warm(1);
  const auto old = hash_->Read({"acme", Id(1)});
  CLM_ASSERT_OK(old);
  program.mutable_tier_scheme()->mutable_tiers(1)->set_threshold(5000);
  Update(program);
  store_->Flush();
  absl::Notification may_go;
  absl::BlockingCounter busy(2);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(node_->workers.Post([&] {
      busy.DecrementCount();
      may_go.WaitForNotification();
    }));
  }
  busy.Wait();
  v1::GetMemberRequest request;
  request.set_name(MemberName(1));
  absl::StatusOr<v1::Member> read;
  absl::Notification done;
  node_->programs.GetMember(CallNow(), request,
                            rpc::Reply<v1::Member>::To([&](absl::StatusOr<v1::Member> answer) {
                              read = std::move(answer);
                              done.Notify();
                            }));
  EXPECT_FALSE(done.HasBeenNotified());
  CLM_ASSERT_OK(other_hash_->ReadThrough(
      {"acme", Id(1)}, {kMembershipsPart},
      [&](const std::vector<std::string>&) -> absl::StatusOr<cache::Parts> { return *old; }));
  EXPECT_EQ(Cached(1)->memberships(0).program_version(), 1);
  may_go.Notify();
  done.WaitForNotification();
  CLM_ASSERT_OK(read);
  EXPECT_EQ(read->tier_standing().missing_to_next(), 4100);
}

// What is told old while the new is on its way must not be covered by it.
TEST_F(MembershipTest, WhoMovesWhileTheirProgrammeChangesIsNotReadAsBefore) {
  v1::Program program = Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  Warm(1);
  program.set_display_name("Club");
  Update(program);
  CLM_ASSERT_OK(Earn(1, 5));
  EXPECT_EQ(Get(1, other_.get())->balances(0).active(), 105);
  EXPECT_EQ(Get(1, node_.get())->balances(0).active(), 105);
}

TEST_F(MembershipTest, NothingIsKeptUnderTheNameOfSomebodyWhoWasMerged) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK(Earn(2, 50));
  Warm(1);
  Warm(2);
  CLM_ASSERT_OK(Merge(1, 2));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(Get(1, other_.get())->balances(0).active(), 150);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Get(2, other_.get())->balances(0).active(), 150);
  EXPECT_EQ(Cached(2), std::nullopt);
  EXPECT_TRUE(Memberships(2).moved);
  // Also when the tombstone is long gone.
  clock_.Advance(absl::Minutes(5));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Get(2, other_.get())->balances(0).active(), 150);
  EXPECT_EQ(Cached(2), std::nullopt);
  CLM_ASSERT_OK(Earn(1, 1));
  EXPECT_EQ(Get(2, other_.get())->balances(0).active(), 151);
}

TEST_F(MembershipTest, OfSomebodyErasedNothingIsKept) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  Warm(1);
  CLM_ASSERT_OK(Erase(1));
  EXPECT_EQ(Get(1, other_.get())->contact(), "");
  EXPECT_EQ(Get(1, other_.get())->balances(0).active(), 100);
  EXPECT_TRUE(Memberships(1).memberships.empty());
  const auto cached = Cached(1);
  EXPECT_TRUE(!cached || cached->memberships().empty());
  EXPECT_EQ(Get(1, node_.get())->contact(), "");
}

TEST_F(MembershipTest, WhoIsNoMemberIsSaidByTheDatabase) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  Warm(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Get(2, other_.get()), StatusIs(absl::StatusCode::kNotFound));
  }
  CLM_ASSERT_OK(Earn(2, 3));
  EXPECT_EQ(Get(2, other_.get())->balances(0).active(), 3);
}

TEST_F(MembershipTest, AProcessThatCouldNotTellTheCacheDoesNotReadIt) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  Warm(1);
  store_->RefuseWrites(true);
  CLM_ASSERT_OK(Earn(1, 5));
  EXPECT_EQ(Get(1, node_.get())->balances(0).active(), 105);
  store_->RefuseWrites(false);
  EXPECT_EQ(Get(1, node_.get())->balances(0).active(), 105);
  // The other one does not know, until it is told again from the journal.
  store_->Flush();
  EXPECT_EQ(Get(1, other_.get())->balances(0).active(), 105);
}

TEST_F(MembershipTest, TheJournalTellsWhatIsOld) {
  Create(Terms());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK(Earn(2, 50));
  CLM_ASSERT_OK(Merge(1, 2));
  EXPECT_EQ(RunDue(), 1);
  CLM_ASSERT_OK(Erase(1));
  auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
  std::vector<journal::Placed> events;
  CLM_ASSERT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
    CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                         tx.ExecDynamic("SELECT shard, off, event FROM journal"));
    events.clear();
    for (int i = 0; i < rows.size(); ++i) {
      journal::Placed& placed = events.emplace_back();
      placed.shard = static_cast<int>(rows[i].Int(0));
      placed.off = rows[i].Int(1);
      placed.event.ParseFromString(rows[i].Bytes(2));
    }
    return absl::OkStatus();
  }));
  std::map<Uuid, int64_t> versions;
  for (const cache::PartChange& change : MembershipCache::Outdated(events)) {
    EXPECT_EQ(change.field, kMembershipsPart);
    EXPECT_EQ(change.payload, std::nullopt);
    versions[change.customer.id] = change.version;
  }
  // Not beyond what a read of now finds.
  EXPECT_EQ(versions.size(), 2);
  EXPECT_EQ(versions[Id(1)], Memberships(1).version);
  EXPECT_EQ(versions[Id(2)], cache::kFinalVersion);
}

TEST_F(MembershipTest, TheWholeHasTheVersionOfTheJournalAndOneMembershipForEachProgramme) {
  Create(Terms());
  Create(Terms(), "stars");
  MembershipHandlers handlers(&node_->reader);
  const auto all = [&](const std::string& contact) {
    v1::GetCustomerMembershipsRequest request;
    request.set_contact(contact);
    rpc::Call call = CallNow();
    call.deadline = absl::InfiniteFuture();
    return handlers.GetCustomerMemberships(call, request);
  };
  const std::string ada = EntityName(kContacts, {"acme", Id(1)});
  EXPECT_THAT(all("tenants/acme"), StatusIs(absl::StatusCode::kInvalidArgument));
  const auto none = all(ada);
  CLM_ASSERT_OK(none);
  EXPECT_EQ(none->memberships_size(), 0);
  CLM_ASSERT_OK(Earn(1, 100));
  v1::EarnPointsRequest earn = EarnRequest(1, 7);
  earn.set_member(absl::StrCat("tenants/acme/programs/stars/members/", Id(1).ToString()));
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::EarnPoints, earn));
  const auto both = all(ada);
  CLM_ASSERT_OK(both);
  ASSERT_EQ(both->memberships_size(), 2);
  EXPECT_EQ(both->memberships(0).member().name(), MemberName(1));
  EXPECT_EQ(both->memberships(1).member().name(), earn.member());
  EXPECT_EQ(both->memberships(1).member().balances(0).active(), 7);
  EXPECT_EQ(both->memberships(0).program_version(), 1);
  EXPECT_GT(both->version(), none->version());
  EXPECT_EQ(clm::FromProto(both->as_of_time()), clock_.Now());
  // Another tenant's contact of the same id is another one.
  EXPECT_EQ(all(EntityName(kContacts, {"globex", Id(1)}))->memberships_size(), 0);
}

}  // namespace
}  // namespace clm::loyalty
