// Answers out of the caches. What the owners say is in the integration tests.
#include "services/contact/contact_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libs/base/clock.h"
#include "libs/base/shard.h"
#include "libs/base/time_proto.h"
#include "libs/cache/fake_cache.h"
#include "libs/testing/status_matchers.h"
#include "services/contact/contact_proto.h"

namespace clm::contact {
namespace {

// Reads at once, and tells what it read when the test says so.
class SlowHash : public cache::CustomerHash {
 public:
  explicit SlowHash(std::unique_ptr<CustomerHash> hash) : hash_(std::move(hash)) {}

  void ReadAsync(const EntityKey& customer, const std::vector<std::string>& fields,
                 absl::AnyInvocable<void(absl::StatusOr<cache::Parts>)> done) override {
    hash_->ReadAsync(customer, fields, [&](absl::StatusOr<cache::Parts> parts) {
      if (!hold_) return done(std::move(parts));
      held_.emplace_back(
          [done = std::move(done), parts = std::move(parts)]() mutable { done(std::move(parts)); });
    });
  }
  absl::StatusOr<cache::Parts> Read(const EntityKey& customer) override {
    return hash_->Read(customer);
  }
  absl::StatusOr<cache::Parts> ReadThrough(const EntityKey& customer,
                                           const std::vector<std::string>& fields,
                                           PartsLoader load) override {
    return hash_->ReadThrough(customer, fields, load);
  }
  absl::Status Apply(absl::Span<const cache::PartChange> changes) override {
    if (before_apply_) std::exchange(before_apply_, nullptr)();
    return hash_->Apply(changes);
  }
  cache::Stats stats() const override { return hash_->stats(); }

  void BeforeNextApply(std::function<void()> what) { before_apply_ = std::move(what); }
  void Hold() { hold_ = true; }
  void Release() {
    hold_ = false;
    for (auto& tell : std::exchange(held_, {})) tell();
  }

 private:
  const std::unique_ptr<CustomerHash> hash_;
  bool hold_ = false;
  std::function<void()> before_apply_;
  std::vector<absl::AnyInvocable<void()>> held_;
};

class ContactContextTest : public ::testing::Test {
 protected:
  static cache::Options CacheOptions(const Clock* clock) {
    return {.secret = "secret", .clock = clock};
  }

  v1::CustomerContext Core(const std::string& name) const {
    v1::CustomerContext core;
    core.mutable_contact()->set_name(EntityName(kContacts, ada_));
    core.mutable_contact()->set_given_name(name);
    core.add_suppressions()->set_channel("sms");
    ToProto(clock_.Now(), core.mutable_last_event_time());
    return core;
  }
  static v1::CustomerContext Stages(const std::string& stage) {
    v1::CustomerContext stages;
    stages.add_stages()->set_stage(stage);
    return stages;
  }
  void Store(const std::string& field, int64_t version, const v1::CustomerContext& part) {
    CLM_EXPECT_OK(hash_.Put(ada_, field, {version, clock_.Now(), part.SerializeAsString()}));
  }
  // What the lanes say after the contact has changed, but for what Redis is told then: the test
  // stores that.
  void Committed(int64_t version) {
    CLM_EXPECT_OK(
        context_.ContactsCommitted({ada_}, {}, {{ShardOf(ada_.tenant, ada_.id), version}}));
  }

  Freshness Allowing(absl::Duration max_staleness) const { return {clock_.Now(), max_staleness}; }
  // From Redis, where everything is.
  std::optional<std::string> Peek(Answer what, absl::Duration max_staleness = {}) {
    std::optional<std::string> answer;
    context_.Peek(what, ada_, Allowing(max_staleness),
                  [&](std::optional<std::string> found) { answer = std::move(found); });
    return answer;
  }
  std::string Remembered() {
    const auto answer = context_.Recall(Answer::kContact, ada_, Allowing(kAllowed));
    v1::Contact contact;
    EXPECT_TRUE(contact.ParseFromString(answer.value_or("")));
    return contact.given_name();
  }

  static constexpr absl::Duration kAllowed = absl::Seconds(5);
  const EntityKey ada_{"acme", *Uuid::Parse("0192f000-0000-7000-8000-000000000001")};
  ManualClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  obs::Metrics metrics_;
  const std::unique_ptr<cache::MemoryStore> store_ = cache::NewMemoryStore();
  SlowHash hash_{cache::NewFakeCustomerHash(store_.get(), CacheOptions(&clock_))};
  cache::NearCache near_{1 << 20, metrics_};
  ContactContext context_{nullptr, &hash_, &near_, nullptr};
};

// With a loyalty service.
class MembershipContextTest : public ContactContextTest {
 protected:
  MembershipContextTest() {
    with_loyalty_.AskForMemberships();
    Store(kCorePart, 7, Core("Ada"));
    Store(kStagesPart, 3, Stages("lead"));
  }

  v1::CustomerContext Memberships(int64_t points) const {
    v1::CustomerContext context;
    loyalty::v1::Membership* membership = context.add_memberships();
    membership->mutable_member()->set_contact(EntityName(kContacts, ada_));
    membership->mutable_member()->add_balances()->set_active(points);
    if (hold_until_) ToProto(*hold_until_, membership->mutable_hold_until_time());
    context.mutable_loyalty_part()->set_version(5);
    ToProto(clock_.Now(), context.mutable_loyalty_part()->mutable_as_of_time());
    return context;
  }
  v1::CustomerContext Parsed(const std::string& bytes) {
    v1::CustomerContext context;
    EXPECT_TRUE(context.ParseFromString(bytes));
    return context;
  }
  // As a call does that finds something missing in Redis.
  v1::CustomerContext Get(absl::Duration max_staleness = {}) {
    const auto answer = with_loyalty_.Get(Answer::kContext, ada_, Allowing(max_staleness),
                                          clock_.Now() + absl::Seconds(2));
    CLM_EXPECT_OK(answer);
    return Parsed(answer.value_or(""));
  }
  std::optional<v1::CustomerContext> PeekContext(absl::Duration max_staleness = {}) {
    std::optional<v1::CustomerContext> context;
    with_loyalty_.Peek(Answer::kContext, ada_, Allowing(max_staleness),
                       [&](std::optional<std::string> found) {
                         if (found) context = Parsed(*found);
                       });
    return context;
  }
  std::optional<std::string> Recall() {
    return with_loyalty_.Recall(Answer::kContext, ada_, Allowing(kAllowed));
  }

  int asked_ = 0;
  int64_t points_ = 100;
  bool answers_ = true;
  std::function<void()> while_asked_;
  std::optional<absl::Time> hold_until_;
  ContactContext with_loyalty_{
      nullptr,
      &hash_,
      &near_,
      nullptr,
      [this](const EntityKey&, absl::Time) -> absl::StatusOr<v1::CustomerContext> {
        ++asked_;
        if (while_asked_) std::exchange(while_asked_, nullptr)();
        if (!answers_) return absl::UnavailableError("is away");
        return Memberships(points_);
      },
      &clock_};
};

TEST_F(ContactContextTest, AnAnswerIsItsPartsWithTheirVersionsAndTimes) {
  Store(kCorePart, 7, Core("Ada"));
  Store(kStagesPart, 3, Stages("lead"));
  v1::CustomerContext expected = Core("Ada");
  expected.MergeFrom(Stages("lead"));
  expected.mutable_contact_part()->set_version(7);
  expected.mutable_stages_part()->set_version(3);
  ToProto(clock_.Now(), expected.mutable_contact_part()->mutable_as_of_time());
  ToProto(clock_.Now(), expected.mutable_stages_part()->mutable_as_of_time());
  expected.set_cached(true);
  v1::CustomerContext context;
  ASSERT_TRUE(context.ParseFromString(Peek(Answer::kContext).value_or("")));
  EXPECT_EQ(context.SerializeAsString(), expected.SerializeAsString());
  v1::Contact contact;
  ASSERT_TRUE(contact.ParseFromString(Peek(Answer::kContact).value_or("")));
  EXPECT_EQ(contact.SerializeAsString(), expected.contact().SerializeAsString());
}

TEST_F(ContactContextTest, WithoutAllPartsThereIsNoAnswer) {
  Store(kCorePart, 7, Core("Ada"));
  EXPECT_EQ(Peek(Answer::kContext), std::nullopt);
  EXPECT_NE(Peek(Answer::kContact), std::nullopt);
  Store(kStagesPart, 0, {});
  EXPECT_NE(Peek(Answer::kContext), std::nullopt);
}

TEST_F(ContactContextTest, OnlyWhoAllowsStalenessIsRememberedAndAnsweredFromMemory) {
  Store(kCorePart, 1, Core("Ada"));
  Peek(Answer::kContact);
  EXPECT_EQ(context_.Recall(Answer::kContact, ada_, Allowing(kAllowed)), std::nullopt);
  Peek(Answer::kContact, kAllowed);
  EXPECT_EQ(Remembered(), "Ada");
  EXPECT_EQ(context_.Recall(Answer::kContact, ada_, Allowing({})), std::nullopt);
}

TEST_F(ContactContextTest, WhatIsRememberedKeepsItsTimesAndSaysThatItIsCached) {
  Store(kCorePart, 7, Core("Ada"));
  Store(kStagesPart, 3, Stages("lead"));
  const auto first = Peek(Answer::kContext, kAllowed);
  clock_.Advance(absl::Seconds(4));
  v1::CustomerContext told, remembered;
  ASSERT_TRUE(told.ParseFromString(first.value_or("")));
  ASSERT_TRUE(remembered.ParseFromString(
      context_.Recall(Answer::kContext, ada_, Allowing(kAllowed)).value_or("")));
  EXPECT_EQ(told.SerializeAsString(), remembered.SerializeAsString());
  EXPECT_TRUE(remembered.cached());
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(context_.Recall(Answer::kContext, ada_, Allowing(kAllowed)), std::nullopt);
}

TEST_F(ContactContextTest, AChangeOfThisProcessIsReadAtOnce) {
  Store(kCorePart, 1, Core("before"));
  Peek(Answer::kContact, kAllowed);
  Committed(2);
  EXPECT_EQ(context_.Recall(Answer::kContact, ada_, Allowing(kAllowed)), std::nullopt);
  EXPECT_EQ(Peek(Answer::kContact, kAllowed), std::nullopt);
  Store(kCorePart, 2, Core("after"));
  Peek(Answer::kContact, kAllowed);
  EXPECT_EQ(Remembered(), "after");
}

TEST_F(ContactContextTest, AMergedContactIsForgotten) {
  Store(kCorePart, 1, Core("Ada"));
  Peek(Answer::kContact, kAllowed);
  CLM_EXPECT_OK(context_.ContactsCommitted({}, {ada_}, {}));
  EXPECT_EQ(context_.Recall(Answer::kContact, ada_, Allowing(kAllowed)), std::nullopt);
}

// It finds in Redis what was before the change, and would remember that.
TEST_F(ContactContextTest, AReadBetweenTheCommitAndItsTellingIsNotRemembered) {
  Store(kCorePart, 1, Core("before"));
  hash_.BeforeNextApply([this] {
    EXPECT_NE(Peek(Answer::kContact, kAllowed), std::nullopt);
    EXPECT_EQ(Remembered(), "before");
  });
  Committed(2);
  EXPECT_EQ(context_.Recall(Answer::kContact, ada_, Allowing(kAllowed)), std::nullopt);
}

// The read began before the change and is told after it.
TEST_F(ContactContextTest, AReadThatAChangeOvertookIsAnsweredAndNotRemembered) {
  Store(kCorePart, 1, Core("before"));
  hash_.Hold();
  std::optional<std::string> answer;
  context_.Peek(Answer::kContact, ada_, Allowing(kAllowed),
                [&](std::optional<std::string> found) { answer = std::move(found); });
  Committed(2);
  hash_.Release();
  EXPECT_NE(answer, std::nullopt);
  EXPECT_EQ(context_.Recall(Answer::kContact, ada_, Allowing(kAllowed)), std::nullopt);
}

TEST_F(MembershipContextTest, MembershipsAreAPartWithTheirVersionAndTime) {
  EXPECT_EQ(PeekContext(), std::nullopt);
  const v1::CustomerContext loaded = Get();
  ASSERT_EQ(loaded.memberships_size(), 1);
  EXPECT_EQ(loaded.memberships(0).member().balances(0).active(), 100);
  EXPECT_EQ(loaded.loyalty_part().version(), 5);
  EXPECT_EQ(FromProto(loaded.loyalty_part().as_of_time()), clock_.Now());
  points_ = 200;
  const auto cached = PeekContext();
  ASSERT_TRUE(cached);
  EXPECT_TRUE(cached->cached());
  EXPECT_EQ(cached->memberships(0).member().balances(0).active(), 100);
  EXPECT_EQ(asked_, 1);
}

// Before anybody said that there is one.
TEST_F(MembershipContextTest, WithoutALoyaltyServiceNothingIsAskedAndNothingSaid) {
  const v1::CustomerContext context = Parsed(Peek(Answer::kContext).value_or(""));
  EXPECT_EQ(context.stages_size(), 1);
  EXPECT_FALSE(context.has_loyalty_part());
  EXPECT_EQ(asked_, 0);
}

TEST_F(MembershipContextTest, ALoyaltyServiceThatDoesNotAnswerCostsTheMembershipsOnly) {
  answers_ = false;
  EXPECT_EQ(PeekContext(), std::nullopt);
  const v1::CustomerContext without = Get(kAllowed);
  EXPECT_EQ(without.contact().given_name(), "Ada");
  EXPECT_EQ(without.stages_size(), 1);
  EXPECT_EQ(without.memberships_size(), 0);
  EXPECT_FALSE(without.has_loyalty_part());
  // It is not asked again for a moment, and what lacks them is not remembered.
  EXPECT_EQ(Recall(), std::nullopt);
  ASSERT_TRUE(PeekContext(kAllowed));
  EXPECT_FALSE(PeekContext()->has_loyalty_part());
  EXPECT_FALSE(Get().has_loyalty_part());
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(Recall(), std::nullopt);
  // Then by one caller, and by all once that one had an answer.
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(PeekContext(), std::nullopt);
  const EntityKey bob{"acme", *Uuid::Parse("0192f000-0000-7000-8000-000000000002")};
  CLM_EXPECT_OK(hash_.Put(bob, kCorePart, {1, clock_.Now(), Core("Bob").SerializeAsString()}));
  CLM_EXPECT_OK(hash_.Put(bob, kStagesPart, {1, clock_.Now(), Stages("").SerializeAsString()}));
  while_asked_ = [&] {
    CLM_EXPECT_OK(
        with_loyalty_.Get(Answer::kContext, bob, Allowing({}), clock_.Now() + absl::Seconds(2)));
  };
  EXPECT_FALSE(Get().has_loyalty_part());
  EXPECT_EQ(asked_, 2);
  answers_ = true;
  EXPECT_FALSE(Get().has_loyalty_part());
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Get().has_loyalty_part());
  EXPECT_EQ(asked_, 3);
}

TEST_F(MembershipContextTest, WhatIsCachedIsAnsweredWhileTheLoyaltyServiceIsAway) {
  Get();
  answers_ = false;
  ASSERT_TRUE(PeekContext());
  EXPECT_EQ(PeekContext()->memberships_size(), 1);
  EXPECT_EQ(Get().memberships_size(), 1);
  EXPECT_EQ(asked_, 1);
}

TEST_F(MembershipContextTest, WhatMayBeUntrueSoonIsNotRemembered) {
  hold_until_ = clock_.Now() + kMostStaleness;
  Get(kAllowed);
  EXPECT_EQ(Recall(), std::nullopt);
  ASSERT_TRUE(PeekContext(kAllowed));
  EXPECT_EQ(Recall(), std::nullopt);
  store_->Flush();
  Store(kCorePart, 7, Core("Ada"));
  Store(kStagesPart, 3, Stages("lead"));
  hold_until_ = clock_.Now() + kMostStaleness + absl::Seconds(1);
  Get(kAllowed);
  EXPECT_NE(Recall(), std::nullopt);
  // Nor from the cache when it is over.
  clock_.Set(*hold_until_);
  EXPECT_EQ(PeekContext(), std::nullopt);
}

// A merge that the loyalty service has heard of between two reads.
TEST_F(MembershipContextTest, ASurvivorsMembershipsAreNotKeptUnderTheMergedName) {
  ContactContext context(
      nullptr, &hash_, &near_, nullptr,
      [this](const EntityKey&, absl::Time) -> absl::StatusOr<v1::CustomerContext> {
        v1::CustomerContext memberships = Memberships(100);
        memberships.mutable_memberships(0)->mutable_member()->set_contact(
            "tenants/acme/contacts/0192f000-0000-7000-8000-000000000002");
        return memberships;
      },
      &clock_);
  context.AskForMemberships();
  CLM_EXPECT_OK(
      context.Get(Answer::kContext, ada_, Allowing(kAllowed), clock_.Now() + absl::Seconds(2)));
  EXPECT_EQ(PeekContext(), std::nullopt);
  EXPECT_EQ(Recall(), std::nullopt);
}

TEST_F(MembershipContextTest, OnlyWhatIsUntrueAndNotJustOlderIsFoundStale) {
  const auto holds = [this](v1::CustomerContext cached) {
    cached.clear_loyalty_part();
    return with_loyalty_.Holds(ada_, kLoyaltyPart,
                               {.version = 5, .payload = cached.SerializeAsString()});
  };
  EXPECT_TRUE(*holds(Memberships(100)));
  EXPECT_FALSE(*holds(Memberships(99)));
  v1::CustomerContext other_terms = Memberships(99);
  other_terms.mutable_memberships(0)->set_program_version(1);
  EXPECT_FALSE(holds(other_terms).ok());
  hold_until_ = clock_.Now();
  EXPECT_FALSE(holds(Memberships(99)).ok());
  answers_ = false;
  EXPECT_FALSE(holds(Memberships(100)).ok());
}

}  // namespace
}  // namespace clm::contact
