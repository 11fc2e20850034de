#include "libs/journal/consumer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/journal/dead_letters.h"
#include "libs/journal/feed.h"
#include "libs/journal/test_work.h"
#include "libs/journal/two_databases.h"
#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::journal {
namespace {

using ::clm::testing::IsOk;

// Adds up in the consumer's database what was added in the source's.
class SumHandler : public EventHandler {
 public:
  void Declare(const event::v1::Event& event, Work& work) override {
    static_cast<CounterWork&>(work).Need(event.tenant(), "sum:" + event.subject());
  }
  absl::Status Apply(const event::v1::Event& event, Work& work, Recorder& recorder) override {
    const int call = ++calls;
    if (before) before(call);
    if (records) {
      const std::string name(absl::StripPrefix(event.subject(), "counters/"));
      recorder.Record({ShardOf(event.tenant(), name), event.tenant(), "sums/" + name, "test.Summed",
                       0, std::nullopt, "", event.payload()});
    }
    if (call == unavailable_at) return error::Unavailable("BUSY", "not now", absl::Seconds(1));
    if (event.subject() == hopeless) {
      if (at_hopeless) at_hopeless();
      return error::Unavailable("BUSY", "never", absl::Seconds(1));
    }
    {
      absl::MutexLock lock(&mu);
      if (poison.contains(event.subject())) {
        return error::Precondition("POISON", "this one cannot be applied");
      }
    }
    int64_t by = 0;
    if (!absl::SimpleAtoi(event.payload(), &by)) return absl::DataLossError("payload");
    auto& counters = static_cast<CounterWork&>(work);
    const std::string name = "sum:" + event.subject();
    counters.Set(event.tenant(), name,
                 call == overflows_at ? 1'000'000 : counters.Get(event.tenant(), name) + by);
    return absl::OkStatus();
  }
  std::atomic<int> calls = 0;
  std::function<void(int call)> before;
  bool records = false;  // Each event applied, before anything that may fail.
  int unavailable_at = 0;
  int overflows_at = 0;  // What this call stages, the database refuses.
  std::string hopeless;  // Subject whose events are never applied.
  std::function<void()> at_hopeless;
  absl::Mutex mu;
  std::set<std::string> poison ABSL_GUARDED_BY(mu);
};

class ConsumerTest : public TwoDatabasesTest {
 protected:
  Consumer::Options Options(SumHandler* handler) {
    Consumer::Options options;
    options.source = "source";
    options.pool = own_pool_.get();
    options.lanes = &own_lanes_;
    options.handler = handler;
    options.fetch = [this](const event::v1::FetchRequest& request, absl::Time) {
      ++fetches_;
      Offsets positions;
      for (const auto& p : request.positions()) positions.emplace_back(p.shard(), p.after_offset());
      absl::Notification ready;
      feed_.Wait(positions, absl::Now() + absl::Milliseconds(request.wait_millis()),
                 [&](bool) { ready.Notify(); });
      ready.WaitForNotification();
      return feed_.Read(positions, request.max_records());
    };
    options.lease_ttl = absl::Seconds(2);
    return options;
  }

  int64_t Sum(const std::string& name) {
    Addition look;
    look.name = "sum:counters/" + name;
    look.by = 0;
    return std::stoll(Add(own_lanes_, look)->response);
  }

  // Replays what is parked of a counter; the answer is how many went.
  absl::StatusOr<Answer> Replay(SumHandler& handler, const std::string& name, Lanes& lanes,
                                const std::string& request_id = "") {
    return ReplayParked(*own_pool_, lanes, handler, "source", "counters/" + name,
                        InfoOf({.request_id = request_id}),
                        [](int went) { return absl::StrCat(went); });
  }

  // Waits until the consumer has applied `count` events since its start.
  static void WaitFor(const Consumer& consumer, int64_t count) {
    while (consumer.stats().applied < count) std::this_thread::yield();
  }

  std::atomic<int> fetches_ = 0;
};

TEST_F(ConsumerTest, EveryEventTakesEffectOnce) {
  SumHandler handler;
  Consumer consumer(Options(&handler));
  consumer.Start();
  for (int i = 0; i < 300; ++i) {
    Addition add;
    add.name = absl::StrCat("n", i % 7);
    ASSERT_THAT(Add(source_lanes_, add), IsOk());
  }
  WaitFor(consumer, 300);
  consumer.Stop();
  int64_t sum = 0;
  for (int i = 0; i < 7; ++i) sum += Sum(absl::StrCat("n", i));
  EXPECT_EQ(sum, 300);
}

TEST_F(ConsumerTest, ARestartGoesOnWhereItStood) {
  SumHandler handler;
  for (int i = 0; i < 50; ++i) ASSERT_THAT(Add(source_lanes_, {}), IsOk());
  {
    Consumer consumer(Options(&handler));
    consumer.Start();
    WaitFor(consumer, 50);
  }
  for (int i = 0; i < 50; ++i) ASSERT_THAT(Add(source_lanes_, {}), IsOk());
  {
    Consumer consumer(Options(&handler));
    consumer.Start();
    WaitFor(consumer, 50);
  }
  EXPECT_EQ(Sum("n"), 100);
}

TEST_F(ConsumerTest, TwoReplicasShareTheWorkAndApplyNothingTwice) {
  SumHandler handler;
  Consumer one(Options(&handler));
  Consumer two(Options(&handler));
  one.Start();
  two.Start();
  for (int i = 0; i < 400; ++i) {
    Addition add;
    add.name = absl::StrCat("n", i % 40);
    ASSERT_THAT(Add(source_lanes_, add), IsOk());
  }
  while (one.stats().applied + two.stats().applied < 400) std::this_thread::yield();
  one.Stop();
  two.Stop();
  int64_t sum = 0;
  for (int i = 0; i < 40; ++i) sum += Sum(absl::StrCat("n", i));
  EXPECT_EQ(sum, 400);
}

TEST_F(ConsumerTest, ADeliveryAfterTheLeaseIsLostHasNoEffect) {
  for (int i = 0; i < 10; ++i) ASSERT_THAT(Add(source_lanes_, {}), IsOk());
  SumHandler handler;
  Consumer consumer(Options(&handler));
  consumer.Start();
  WaitFor(consumer, 10);
  // Somebody else takes all shards over behind its back.
  static constexpr pg::Statement kSteal{"test.steal",
                                        "UPDATE consumer_shard SET fence = fence + 1"};
  ASSERT_THAT(own_pool_->Transact({pg::Scope::Suite()},
                                  [&](pg::Tx& tx) { return tx.Exec(kSteal).status(); }),
              IsOk());
  for (int i = 0; i < 10; ++i) ASSERT_THAT(Add(source_lanes_, {}), IsOk());
  // It learns of the new fence at its next refresh and goes on from the committed offset.
  WaitFor(consumer, 20);
  consumer.Stop();
  EXPECT_EQ(Sum("n"), 20);
}

TEST_F(ConsumerTest, AnEffectIsUndoneWhenTheLeaseIsLostBeforeItCommits) {
  ASSERT_THAT(Add(source_lanes_, {}), IsOk());
  SumHandler handler;
  static constexpr pg::Statement kSteal{"test.steal",
                                        "UPDATE consumer_shard SET fence = fence + 1"};
  // In the middle of the transaction that applies the event, the shard goes to somebody else.
  handler.before = [&](int call) {
    if (call > 1) return;
    EXPECT_THAT(own_pool_->Transact({pg::Scope::Suite()},
                                    [&](pg::Tx& tx) { return tx.Exec(kSteal).status(); }),
                IsOk());
  };
  Consumer consumer(Options(&handler));
  consumer.Start();
  WaitFor(consumer, 1);
  consumer.Stop();
  EXPECT_GE(handler.calls, 2) << "the first attempt must have failed";
  EXPECT_EQ(Sum("n"), 1);
}

TEST_F(ConsumerTest, APoisonedSubjectIsParkedAndTheOthersGoOn) {
  SumHandler handler;
  handler.poison = {"counters/bad"};
  Consumer consumer(Options(&handler));
  consumer.Start();
  for (int i = 0; i < 20; ++i) {
    Addition add;
    add.name = i % 2 == 0 ? "bad" : "good";
    ASSERT_THAT(Add(source_lanes_, add), IsOk());
  }
  WaitFor(consumer, 20);
  EXPECT_EQ(Sum("good"), 10);
  EXPECT_EQ(Sum("bad"), 0);

  // Mended, the parked ones are applied in order.
  {
    absl::MutexLock lock(&handler.mu);
    handler.poison.clear();
  }
  const auto replayed = Replay(handler, "bad", own_lanes_);
  ASSERT_THAT(replayed, IsOk());
  EXPECT_EQ(replayed->response, "10");
  EXPECT_EQ(Sum("bad"), 10);

  // And the subject is open again.
  ASSERT_THAT(Add(source_lanes_, {.name = "bad"}), IsOk());
  WaitFor(consumer, 21);
  EXPECT_EQ(Sum("bad"), 11);
  consumer.Stop();
}

TEST_F(ConsumerTest, WhatSeveralReplayAtOnceTakesEffectOnce) {
  SumHandler handler;
  handler.poison = {"counters/bad"};
  Consumer consumer(Options(&handler));
  consumer.Start();
  for (int i = 0; i < 10; ++i) ASSERT_THAT(Add(source_lanes_, {.name = "bad"}), IsOk());
  WaitFor(consumer, 10);
  consumer.Stop();
  {
    absl::MutexLock lock(&handler.mu);
    handler.poison.clear();
  }
  std::atomic<int> replayed = 0;
  clm::testing::AtOnce(4, [&](int) {
    const auto went = Replay(handler, "bad", own_lanes_);
    if (error::Reason(went.status()) == "NOTHING_PARKED") return;
    ASSERT_THAT(went, IsOk());
    replayed += std::stoi(went->response);
  });
  EXPECT_EQ(replayed, 10);
  EXPECT_EQ(Sum("bad"), 10);
}

TEST_F(ConsumerTest, TheAnswerToAReplayIsThereWithItsLastEffect) {
  SumHandler handler;
  handler.poison = {"counters/bad"};
  Consumer consumer(Options(&handler));
  consumer.Start();
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Add(source_lanes_, {.name = "bad"}), IsOk());
  WaitFor(consumer, 3);
  {
    absl::MutexLock lock(&handler.mu);
    handler.poison.clear();
  }
  // From within the last of them on, the process takes no further mutation.
  Lanes ending(CounterLanes(own_pool_.get(), &clock_));
  std::thread drain;
  std::atomic<bool> refuses = false;
  handler.calls = 0;
  handler.before = [&](int call) {
    if (call != 3) return;
    drain = std::thread([&] { ending.Drain(); });
    while (!refuses) {
      ending.Submit(std::make_unique<MutationOf<CounterWork>>(
          InfoOf({}), [](CounterWork&) {},
          [](CounterWork&, Recorder&) -> absl::StatusOr<std::string> { return ""; },
          [&](const absl::StatusOr<Answer>& answer) {
            if (error::Reason(answer.status()) == "SHUTTING_DOWN") refuses = true;
          }));
      std::this_thread::yield();
    }
  };
  const std::string id = "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a";
  const auto first = Replay(handler, "bad", ending, id);
  drain.join();
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->response, "3");
  EXPECT_FALSE(first->replayed);

  // Another process is asked again, also when more has been parked meanwhile.
  for (int i = 0; i < 2; ++i) {
    const auto again = Replay(handler, "bad", own_lanes_, id);
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(again->response, "3");
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(Sum("bad"), 3);
    if (i > 0) break;
    {
      absl::MutexLock lock(&handler.mu);
      handler.poison = {"counters/bad"};
    }
    ASSERT_THAT(Add(source_lanes_, {.name = "bad"}), IsOk());
    WaitFor(consumer, 4);
    absl::MutexLock lock(&handler.mu);
    handler.poison.clear();
  }
  EXPECT_THAT(Replay(handler, "good", own_lanes_), clm::testing::ReasonIs("NOTHING_PARKED"));
  consumer.Stop();
}

TEST_F(ConsumerTest, WhatAHandlerRecordedBeforeItFailedIsUndone) {
  SumHandler handler;
  handler.records = true;
  handler.poison = {"counters/bad"};
  handler.unavailable_at = 3;
  // Before the consumer starts, so that they come in one batch.
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Add(source_lanes_, {.name = "n"}), IsOk());
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Add(source_lanes_, {.name = "bad"}), IsOk());
  Consumer consumer(Options(&handler));
  consumer.Start();
  WaitFor(consumer, 7);
  consumer.Stop();
  EXPECT_GT(handler.calls, 6) << "one was to be tried again";
  EXPECT_EQ(Sum("n"), 5);
  static constexpr pg::Statement kRecorded{
      "test.recorded", "SELECT subject FROM journal WHERE type = 'test.Summed' ORDER BY off"};
  const auto rows = own_pool_->Query({pg::Scope::Suite()}, kRecorded);
  ASSERT_THAT(rows, IsOk());
  std::vector<std::string> recorded;
  for (int i = 0; i < rows->size(); ++i) recorded.emplace_back((*rows)[i].Text(0));
  EXPECT_EQ(recorded, std::vector<std::string>(5, "sums/n"));
}

TEST_F(ConsumerTest, ARecordThatIsNoEventIsParked) {
  ASSERT_THAT(Add(source_lanes_, {.name = "n"}), IsOk());
  static constexpr pg::Statement kSpoil{"test.spoil", "UPDATE journal SET event = '\\xffff'"};
  ASSERT_THAT(source_pool_->Transact({pg::Scope::Suite()},
                                     [&](pg::Tx& tx) { return tx.Exec(kSpoil).status(); }),
              IsOk());
  ASSERT_THAT(Add(source_lanes_, {.name = "n"}), IsOk());
  SumHandler handler;
  Consumer consumer(Options(&handler));
  consumer.Start();
  WaitFor(consumer, 2);
  consumer.Stop();
  EXPECT_EQ(Sum("n"), 1);
  static constexpr pg::Statement kReasons{"test.reasons",
                                          "SELECT off, error_reason FROM dead_letter"};
  const auto parked = own_pool_->Query({pg::Scope::Suite()}, kReasons);
  ASSERT_THAT(parked, IsOk());
  ASSERT_EQ(parked->size(), 1);
  EXPECT_EQ((*parked)[0].Int(0), 1);
  EXPECT_EQ((*parked)[0].Text(1), "EVENT_UNREADABLE");
}

TEST_F(ConsumerTest, TransientFailuresBringNoEventCloserToBeingParked) {
  SumHandler handler;
  handler.hopeless = "counters/n";
  // One less than would park it, then one that would count.
  handler.at_hopeless = [&] {
    if (handler.calls == 4) handler.hopeless.clear();
  };
  handler.overflows_at = 5;
  ASSERT_THAT(Add(source_lanes_, {.name = "n"}), IsOk());
  Consumer consumer(Options(&handler));
  consumer.Start();
  WaitFor(consumer, 1);
  consumer.Stop();
  EXPECT_EQ(handler.calls, 6);
  EXPECT_EQ(Sum("n"), 1);
}

// What a process has of its database until it dies.
class MortalPool final : public pg::Pool {
 public:
  explicit MortalPool(pg::Pool* pool) : pool_(*pool) {}

  void Die() { dead_ = true; }

  absl::Status Transact(const pg::TxOptions& options,
                        absl::FunctionRef<absl::Status(pg::Tx&)> body) override {
    return dead_ ? Gone() : pool_.Transact(options, body);
  }
  absl::Status Read(const pg::TxOptions& options, absl::FunctionRef<absl::Status(pg::Tx&)> body,
                    bool repeatable) override {
    return dead_ ? Gone() : pool_.Read(options, body, repeatable);
  }
  absl::StatusOr<pg::Result> Query(const pg::TxOptions& options, const pg::Statement& statement,
                                   const pg::Args& args) override {
    if (dead_) return Gone();
    return pool_.Query(options, statement, args);
  }
  absl::Status Prepare(const std::vector<const pg::Statement*>& statements) override {
    return pool_.Prepare(statements);
  }
  Stats stats() const override { return pool_.stats(); }

 private:
  static absl::Status Gone() {
    return error::Unavailable("DATABASE_UNAVAILABLE", "dead", absl::Seconds(1));
  }

  pg::Pool& pool_;
  std::atomic<bool> dead_ = false;
};

class DeadlyEventTest : public ConsumerTest {
 protected:
  // A life of a consumer: it gets no further than `applied`, and is over by a death. `of_it`: that
  // of the first hopeless event that it applies, after which nothing reaches the database.
  void LiveUntil(SumHandler& handler, int64_t applied, const std::function<bool()>& over,
                 bool of_it = true) {
    MortalPool pool(own_pool_.get());
    handler.at_hopeless = of_it ? [&pool] { pool.Die(); } : std::function<void()>();
    Consumer::Options options = Options(&handler);
    options.pool = &pool;
    Consumer consumer(std::move(options));
    consumer.Start();
    EXPECT_TRUE(clm::testing::Eventually([&] { return Offset() >= applied && over(); }));
    consumer.Stop();
    // What it owned is not given back.
    static constexpr pg::Statement kDie{
        "test.die",
        "UPDATE consumer_shard SET owner = '0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a', "
        "lease_until = '-infinity'"};
    static constexpr pg::Statement kForget{"test.forget", "DELETE FROM consumer_member"};
    ASSERT_THAT(own_pool_->Transact({pg::Scope::Suite()},
                                    [&](pg::Tx& tx) {
                                      CLM_RETURN_IF_ERROR(tx.Exec(kForget).status());
                                      return tx.Exec(kDie).status();
                                    }),
                IsOk());
  }
  int64_t Ask(const pg::Statement& statement) {
    const auto rows = own_pool_->Query({pg::Scope::Suite()}, statement);
    EXPECT_THAT(rows, IsOk());
    return rows->empty() ? -1 : (*rows)[0].Int(0);
  }
  int64_t Offset() {
    static constexpr pg::Statement kOffset{
        "test.offset", "SELECT coalesce(sum(off), 0)::bigint FROM consumer_shard"};
    return Ask(kOffset);
  }
  int64_t Begun() {
    static constexpr pg::Statement kBegun{"test.begun", "SELECT begun FROM consumer_trial"};
    return Ask(kBegun);
  }
  int64_t Parked() {
    static constexpr pg::Statement kCount{"test.parked", "SELECT count(*) FROM dead_letter"};
    return Ask(kCount);
  }
};

TEST_F(DeadlyEventTest, IsCountedBeforeItIsAppliedAndParkedAtLast) {
  SumHandler handler;
  // As good as deadly: it never ends well, and never for a reason to park it.
  handler.hopeless = "counters/bad";
  ASSERT_THAT(Add(source_lanes_, {.name = "bad"}), IsOk());
  const auto tried = [&] {
    return [&handler, calls = handler.calls.load()] { return handler.calls >= calls + 3; };
  };
  LiveUntil(handler, 0, tried());
  EXPECT_EQ(Begun(), -1) << "nobody had died: nothing is written";
  for (int life = 1; life <= 3; ++life) {
    LiveUntil(handler, 0, tried());
    EXPECT_EQ(Begun(), life) << "once, however often it is tried";
  }
  EXPECT_EQ(Parked(), 0);
  const int calls = handler.calls;
  LiveUntil(handler, 1, [&] { return Parked() == 1; });
  EXPECT_EQ(handler.calls, calls) << "it was not applied again";

  // Its subject is held up, another one is not.
  ASSERT_THAT(Add(source_lanes_, {.name = "good"}), IsOk());
  LiveUntil(handler, 2, [] { return true; });
  EXPECT_EQ(Sum("good"), 1);
  EXPECT_EQ(Parked(), 1);
}

TEST_F(DeadlyEventTest, AFailureThatTheProcessSurvivesIsNoDeath) {
  SumHandler handler;
  handler.hopeless = "counters/bad";
  ASSERT_THAT(Add(source_lanes_, {.name = "bad"}), IsOk());
  // Processes that could not apply it, and died of something else.
  for (int life = 0; life < 6; ++life) {
    LiveUntil(
        handler, 0, [&handler, calls = handler.calls.load()] { return handler.calls >= calls + 2; },
        /*of_it=*/false);
    EXPECT_LE(Begun(), 0);
  }
  handler.hopeless.clear();
  LiveUntil(handler, 1, [] { return true; });
  EXPECT_EQ(Parked(), 0);
  EXPECT_EQ(Sum("bad"), 1);
}

TEST_F(DeadlyEventTest, TheHealthyAreNotBlamed) {
  SumHandler handler;
  handler.hopeless = "counters/bad";
  // Three that are applied with it, and some on other shards.
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Add(source_lanes_, {.name = "n"}), IsOk());
  ASSERT_THAT(Add(source_lanes_, {.name = "bad"}), IsOk());
  for (int i = 0; i < 30; ++i) {
    ASSERT_THAT(Add(source_lanes_, {.name = absl::StrCat("m", i)}), IsOk());
  }
  for (int life = 0; life < 8 && Parked() == 0; ++life) {
    LiveUntil(handler, 0, [&, calls = handler.calls.load()] {
      return handler.calls >= calls + 3 || Parked() > 0;
    });
  }
  LiveUntil(handler, 34, [] { return true; });
  EXPECT_EQ(Parked(), 1);
  EXPECT_EQ(Sum("n"), 3);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Sum(absl::StrCat("m", i)), 1);
}

TEST_F(ConsumerTest, AnEventTheDatabaseRefusesIsFoundAndParked) {
  SumHandler handler;
  Consumer consumer(Options(&handler));
  // The consumer's sum of two big ones breaks the CHECK of its table, in the database.
  ASSERT_THAT(Add(source_lanes_, {.name = "big", .by = 999'999}), IsOk());
  ASSERT_THAT(Add(source_lanes_, {.name = "big", .by = -999'999}), IsOk());
  for (int i = 0; i < 6; ++i) ASSERT_THAT(Add(source_lanes_, {.name = "n"}), IsOk());
  Addition start;
  start.name = "sum:counters/big";
  start.by = 5;
  ASSERT_THAT(Add(own_lanes_, start), IsOk());
  consumer.Start();
  WaitFor(consumer, 8);
  consumer.Stop();
  EXPECT_EQ(Sum("n"), 6);
  EXPECT_EQ(Sum("big"), 5);
}

}  // namespace
}  // namespace clm::journal
