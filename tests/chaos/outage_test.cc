// PostgreSQL and replicas that die under load, and a Redis that is gone, hung or forgetful.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "tests/chaos/contact_load.h"
#include "tests/chaos/feed_follower.h"
#include "tests/chaos/harness.h"
#include "tests/chaos/purchase_points.h"

namespace clm::chaos {
namespace {

using contact::v1::Contact;
using ContactStub = contact::v1::ContactService::Stub;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(PostgresOutageTest, KilledUnderLoadLosesNothingAndServersLive) {
  World world({.contacts = 2, .loyalty = 1});
  PurchasePoints points(&world);
  FeedFollower follower(&world.caller());
  const int kills = Rounds(2);
  ContactLoad load(&world.caller(), {.contacts = 10 * kills});
  for (int i = 1; i <= kills; ++i) {
    load.AwaitAnswers(load.expected_answers() * i / (kills + 1));
    DurablePostgres().server().Kill();
    CLM_ASSERT_OK(DurablePostgres().server().Restart());
  }
  load.Finish();
  EXPECT_THAT(world.caller().failures(),
              Each(AnyOf(absl::StatusCode::kUnavailable, absl::StatusCode::kDeadlineExceeded)));
  EXPECT_THAT(world.contact(0).deaths(), IsEmpty());
  EXPECT_THAT(world.contact(1).deaths(), IsEmpty());
  load.ExpectExactlyOnce(world.contact_database());
  World::ExpectDenseJournal(world.contact_database());
  follower.ExpectWholeJournal(world.contact_database());
  points.ExpectEachPurchaseEarnedOnce();
}

TEST(ReplicaOutageTest, KilledInTurnUnderLoadLoseNothing) {
  World world({.redis = true, .contacts = 2, .loyalty = 1});
  PurchasePoints points(&world);
  FeedFollower follower(&world.caller());
  const int kills = Rounds(4);
  ContactLoad load(&world.caller(), {.contacts = 6 * kills});
  for (int i = 1; i <= kills; ++i) {
    load.AwaitAnswers(load.expected_answers() * i / (kills + 1));
    world.contact(i % 2).Kill();
  }
  load.Finish();
  EXPECT_TRUE(Eventually([&] {
    return world.contact(0).deaths().size() + world.contact(1).deaths().size() ==
           static_cast<size_t>(kills);
  }));
  load.ExpectExactlyOnce(world.contact_database());
  World::ExpectDenseJournal(world.contact_database());
  follower.ExpectWholeJournal(world.contact_database());
  points.ExpectEachPurchaseEarnedOnce();
}

// Reads that may come from the cache, against reads that may not.
class RedisOutageTest : public ::testing::Test {
 protected:
  static constexpr int kContacts = 8;

  void Begin(World::Options options) {
    options.lifecycle = true;
    world_ = std::make_unique<World>(std::move(options));
    for (int i = 0; i < kContacts; ++i) {
      contact::v1::CreateContactRequest request;
      request.set_parent("tenants/acme");
      request.set_contact_id(IdOf(absl::StrCat("contact ", i)));
      request.mutable_contact()->set_given_name("v0");
      CLM_ASSERT_OK_AND_ASSIGN(contacts_.emplace_back(),
                               world_->caller().Call(&ContactStub::CreateContact, request));
    }
  }

  // Changes every contact, and expects to read each change at once.
  void ExpectChangesAreRead() {
    for (Contact& contact : contacts_) {
      contact::v1::UpdateContactRequest update;
      *update.mutable_contact() = contact;
      update.mutable_contact()->set_given_name(absl::StrCat("v", ++step_));
      update.mutable_update_mask()->add_paths("given_name");
      CLM_ASSERT_OK_AND_ASSIGN(contact, world_->caller().Call(&ContactStub::UpdateContact, update));
      ExpectReads(contact);
    }
    for (const Contact& contact : contacts_) ExpectReads(contact);
  }

  void ExpectReads(const Contact& contact) {
    CLM_ASSERT_OK_AND_ASSIGN(const Contact strong, Get(contact, true));
    EXPECT_EQ(strong.SerializeAsString(), contact.SerializeAsString());
    CLM_ASSERT_OK_AND_ASSIGN(const Contact any, Get(contact, false));
    EXPECT_EQ(any.SerializeAsString(), contact.SerializeAsString());
    CLM_ASSERT_OK_AND_ASSIGN(const auto context, GetContext(contact));
    EXPECT_EQ(context.contact().SerializeAsString(), contact.SerializeAsString());
  }

  // So that a test of the cache is one.
  void ExpectCached() {
    for (const Contact& contact : contacts_) {
      EXPECT_TRUE(Eventually([&] {
        const auto context = GetContext(contact);
        return context.ok() && context->cached();
      })) << contact.name();
    }
  }

  // What was changed while the cache could not be told is read in the end, from the cache.
  void ExpectReadsInTheEnd() {
    for (const Contact& contact : contacts_) {
      EXPECT_TRUE(Eventually([&] {
        const auto any = Get(contact, false);
        const auto context = GetContext(contact);
        return any.ok() && any->etag() == contact.etag() && context.ok() && context->cached() &&
               context->contact().etag() == contact.etag();
      })) << contact.name();
    }
  }

  absl::StatusOr<Contact> Get(const Contact& contact, bool strong) {
    contact::v1::GetContactRequest request;
    request.set_name(contact.name());
    if (strong) request.set_consistency(contact::v1::CONSISTENCY_STRONG);
    return world_->caller().Call(&ContactStub::GetContact, request);
  }
  absl::StatusOr<contact::v1::CustomerContext> GetContext(const Contact& contact) {
    contact::v1::GetCustomerContextRequest request;
    request.set_name(contact.name());
    return world_->caller().Call(&ContactStub::GetCustomerContext, request);
  }

  // Nothing failed on the way, not even what another attempt has mended.
  void TearDown() override {
    if (world_ == nullptr) return;
    EXPECT_THAT(world_->caller().failures(), IsEmpty());
    EXPECT_THAT(world_->contact().deaths(), IsEmpty());
    EXPECT_THAT(world_->lifecycle().deaths(), IsEmpty());
  }

  std::unique_ptr<World> world_;
  std::vector<Contact> contacts_;
  int step_ = 0;
};

TEST_F(RedisOutageTest, AbsentFromTheStartChangesNoAnswer) {
  const clm::testing::TempFolder folder;
  Begin({.redis_url = absl::StrCat("unix://", folder.File("nobody.sock"))});
  ExpectChangesAreRead();
}

TEST_F(RedisOutageTest, KilledAndBackChangesNoAnswer) {
  Begin({.redis = true});
  ExpectChangesAreRead();
  ExpectCached();
  world_->redis()->Kill();
  ExpectChangesAreRead();
  CLM_ASSERT_OK(world_->redis()->Restart());
  ExpectChangesAreRead();
  ExpectReadsInTheEnd();
  ExpectChangesAreRead();
}

TEST_F(RedisOutageTest, HungAndBackChangesNoAnswer) {
  Begin({.redis = true});
  ExpectChangesAreRead();
  ExpectCached();
  CLM_ASSERT_OK(world_->redis()->Pause());
  ExpectChangesAreRead();
  CLM_ASSERT_OK(world_->redis()->Resume());
  // What it still remembers is from before, and some changes find the breaker still open.
  ExpectChangesAreRead();
  ExpectReadsInTheEnd();
  ExpectChangesAreRead();
}

TEST_F(RedisOutageTest, FlushedChangesNoAnswer) {
  Begin({.redis = true});
  for (int round = 0; round < Rounds(2); ++round) {
    ExpectChangesAreRead();
    ExpectCached();
    CLM_ASSERT_OK(world_->redis()->Flush());
    ExpectChangesAreRead();
  }
}

}  // namespace
}  // namespace clm::chaos
