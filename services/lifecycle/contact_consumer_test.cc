// The contact feed through the real consumer: what happens when events come twice, cannot be
// applied, or belong to a process that is gone.
#include <array>

#include "absl/synchronization/mutex.h"
#include "libs/journal/consumer.h"
#include "libs/testing/eventually.h"
#include "services/lifecycle/lifecycle_fixture.h"
#include "services/lifecycle/lifecycle_handlers.h"

namespace clm::lifecycle {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A journal in memory, as the contact service would serve it.
class MemoryJournal {
 public:
  void Append(const event::v1::Event& event) {
    const auto key = ParseEntityName("subject", kContacts, event.subject());
    absl::MutexLock lock(&mu_);
    shards_[ShardOf(key->tenant, key->id)].push_back(event.SerializeAsString());
    ++size_;
  }
  journal::FetchFn Fetch() {
    return [this](const event::v1::FetchRequest& request, absl::Time) {
      event::v1::FetchResponse response;
      absl::MutexLock lock(&mu_);
      const auto something = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        for (const auto& p : request.positions()) {
          if (p.after_offset() < static_cast<int64_t>(shards_[p.shard()].size())) return true;
        }
        return false;
      };
      mu_.AwaitWithTimeout(absl::Condition(&something), absl::Milliseconds(request.wait_millis()));
      for (const auto& p : request.positions()) {
        const auto& records = shards_[p.shard()];
        if (p.after_offset() >= static_cast<int64_t>(records.size())) continue;
        auto* shard = response.add_shards();
        shard->set_shard(p.shard());
        shard->set_head_offset(static_cast<int64_t>(records.size()));
        for (int64_t off = p.after_offset() + 1;
             off <= static_cast<int64_t>(records.size()) && shard->records_size() < 512; ++off) {
          auto* record = shard->add_records();
          record->set_offset(off);
          record->set_event(records[off - 1]);
        }
      }
      return absl::StatusOr<event::v1::FetchResponse>(std::move(response));
    };
  }
  int64_t size() const { return size_; }

 private:
  absl::Mutex mu_;
  std::array<std::vector<std::string>, kShards> shards_ ABSL_GUARDED_BY(mu_);
  int64_t size_ = 0;
};

class ContactConsumerTest : public LifecycleTest {
 protected:
  std::unique_ptr<journal::Consumer> Consume(Node& node) {
    auto consumer = std::make_unique<journal::Consumer>(
        journal::Consumer::Options{.source = kContactSource,
                                   .pool = node.pool.get(),
                                   .lanes = &node.lanes,
                                   .handler = &node.handler,
                                   .fetch = feed_.Fetch(),
                                   .wait = absl::Milliseconds(50)});
    consumer->Start();
    return consumer;
  }
  // Until everything in the feed has been applied or parked.
  void AwaitAll() {
    EXPECT_TRUE(clm::testing::Eventually(
        [&] { return Count("SELECT coalesce(sum(off), 0) FROM consumer_shard") >= feed_.size(); }));
  }

  MemoryJournal feed_;
};

TEST_F(ContactConsumerTest, AConsumerThatStartsAgainAppliesNothingTwice) {
  InstallShop();
  for (int i = 0; i < 100; ++i) {
    feed_.Append(Created(Contact(i), 900));
    feed_.Append(Behaved(Contact(i), {{1, 950}, {2, 960}}));
  }
  auto consumer = Consume(*node_);
  AwaitAll();
  consumer->Stop();
  for (int i = 0; i < 100; ++i) feed_.Append(Behaved(Contact(i), {{2, 960}, {3, 970}}));
  Node other(database_.app_dsn, &clock_);
  consumer = Consume(other);
  AwaitAll();
  consumer->Stop();
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 300);
  EXPECT_EQ(Count("SELECT count(*) FROM transition"), 200);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type = 'clm.lifecycle.v1.StageChanged'"),
            200);
  ExpectBalance();
}

TEST_F(ContactConsumerTest, TwoProcessesShareTheFeedAndAgree) {
  InstallShop();
  Node other(database_.app_dsn, &clock_);
  auto a = Consume(*node_);
  auto b = Consume(other);
  for (int i = 0; i < 300; ++i) feed_.Append(Created(Contact(i), 900));
  for (int round = 0; round < 3; ++round) {
    // Each round is earlier than the one before: the past is folded again and again.
    for (int i = 0; i < 300; ++i) {
      feed_.Append(Behaved(Contact(i), {{1000 * round + 1, 990.0 - round}}));
    }
  }
  AwaitAll();
  a->Stop();
  b->Stop();
  for (int i = 0; i < 300; ++i) {
    ASSERT_THAT(Path(Contact(i)), ElementsAre("988 >first_purchase", "989 first_purchase>repeat"));
  }
  ExpectBalance();
}

TEST_F(ContactConsumerTest, AnEventThatCannotBeAppliedHoldsUpItsCustomerAlone) {
  InstallShop();
  feed_.Append(Created(Contact(1), 900));
  event::v1::Event bad = Behaved(Contact(1), {{1, 950}});
  bad.set_payload("\xff\xff");
  feed_.Append(bad);
  feed_.Append(Behaved(Contact(1), {{2, 960}}));
  for (int i = 2; i < 200; ++i) {
    feed_.Append(Created(Contact(i), 900));
    feed_.Append(Behaved(Contact(i), {{1, 950}}));
  }
  auto consumer = Consume(*node_);
  AwaitAll();
  consumer->Stop();
  for (int i = 2; i < 200; ++i) ASSERT_EQ(StageOf(Contact(i)), "first_purchase");
  EXPECT_THAT(Path(Contact(1)), IsEmpty());

  PageTokens tokens("secret");
  LifecycleHandlers handlers({.pool = node_->pool.get(),
                              .lanes = &node_->lanes,
                              .reader = &node_->reader,
                              .contact_feed = &node_->handler,
                              .tokens = &tokens});
  v1::ListDeadLettersRequest list;
  list.set_parent("tenants/acme");
  const auto letters = handlers.ListDeadLetters({}, list);
  CLM_ASSERT_OK(letters);
  ASSERT_EQ(letters->dead_letters_size(), 2);
  EXPECT_EQ(letters->dead_letters(0).error_reason(), "EVENT_MALFORMED");
  EXPECT_FALSE(letters->dead_letters(0).waiting());
  EXPECT_TRUE(letters->dead_letters(1).waiting());
  list.set_parent("tenants/evil");
  EXPECT_EQ(handlers.ListDeadLetters({}, list)->dead_letters_size(), 0);

  v1::ReplayDeadLetterRequest replay;
  replay.set_parent("tenants/acme");
  replay.set_subject(EntityName(kContacts, Contact(1)));
  EXPECT_THAT(handlers.ReplayDeadLetter({}, replay), clm::testing::ReasonIs("EVENT_MALFORMED"));
  replay.set_skip(true);
  EXPECT_THAT(handlers.ReplayDeadLetter({}, replay),
              clm::testing::StatusIs(absl::StatusCode::kInvalidArgument));
  replay.set_reason("the sender has repaired it");
  replay.set_request_id(Id(1).ToString());
  // Sent again it is the same skip, not one of the next event; and so with the last one.
  for (int i = 0; i < 2; ++i) {
    const auto skipped = handlers.ReplayDeadLetter({}, replay);
    CLM_ASSERT_OK(skipped);
    EXPECT_EQ(skipped->skipped_count(), 1);
  }
  EXPECT_EQ(Journaled("EventGivenUp", Contact(1)), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type LIKE '%EventGivenUp' AND "
                  "position('the sender has repaired it'::bytea IN event) > 0 AND "
                  "position('EVENT_MALFORMED'::bytea IN event) > 0"),
            1);
  replay.set_skip(false);
  EXPECT_THAT(handlers.ReplayDeadLetter({}, replay), clm::testing::ReasonIs("REQUEST_ID_REUSED"));
  replay.set_request_id(Id(2).ToString());
  for (int i = 0; i < 2; ++i) {
    const auto applied = handlers.ReplayDeadLetter({}, replay);
    CLM_ASSERT_OK(applied);
    EXPECT_EQ(applied->applied_count(), 1);
  }
  EXPECT_EQ(StageOf(Contact(1)), "first_purchase");
  replay.clear_request_id();
  EXPECT_THAT(handlers.ReplayDeadLetter({}, replay), clm::testing::ReasonIs("NOTHING_PARKED"));
}

}  // namespace
}  // namespace clm::lifecycle
