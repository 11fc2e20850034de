#include "libs/journal/lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <map>
#include <set>
#include <thread>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/journal/feed.h"
#include "libs/journal/payload.h"
#include "libs/journal/schema.h"
#include "libs/journal/test_work.h"
#include "libs/pg/status.h"
#include "libs/testing/at_once.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::journal {
namespace {

using ::clm::testing::AtOnce;
using ::clm::testing::IsOk;
using ::clm::testing::ReasonIs;
using ::clm::testing::StatusIs;
using ::testing::HasSubstr;

class LanesTest : public ::testing::Test {
 protected:
  LanesTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(CounterSchema())),
        pool_(pg::NewPool({.dsn = database_.app_dsn})) {}

  std::unique_ptr<Lanes> NewLanes(int executors = 2) {
    Lanes::Options options = CounterLanes(pool_.get(), &clock_);
    options.executors = executors;
    options.on_batch = [this](int items, absl::Duration) {
      int seen = largest_batch_;
      while (items > seen && !largest_batch_.compare_exchange_weak(seen, items)) {
      }
    };
    return std::make_unique<Lanes>(std::move(options));
  }

  // Every record of the journal, by shard.
  std::map<int, std::vector<event::v1::Event>> Journal() {
    Heads heads;
    Feed feed({.pool = pool_.get(), .heads = &heads, .max_bytes = 1 << 30});
    Offsets all;
    for (int s = 0; s < kShards; ++s) all.emplace_back(s, 0);
    const auto response = feed.Read(all, 100'000);
    EXPECT_TRUE(response.ok()) << response.status();
    std::map<int, std::vector<event::v1::Event>> journal;
    for (const auto& shard : response->shards()) {
      for (int i = 0; i < shard.records_size(); ++i) {
        EXPECT_EQ(shard.records(i).offset(), i + 1) << "offsets are dense";
        EXPECT_TRUE(
            journal[shard.shard()].emplace_back().ParseFromString(shard.records(i).event()));
      }
    }
    return journal;
  }

  int JournalSize() {
    int size = 0;
    for (const auto& [_, events] : Journal()) size += static_cast<int>(events.size());
    return size;
  }

  clm::testing::Database database_;
  std::unique_ptr<pg::Pool> pool_;
  SystemClock clock_;
  std::atomic<int> largest_batch_ = 0;
};

TEST_F(LanesTest, EveryStatementPreparesAgainstTheSchema) {
  EXPECT_THAT(pool_->Prepare(Statements()), IsOk());
}

TEST_F(LanesTest, NoUpdateIsLostAndOffsetsAreDenseUnderContention) {
  constexpr int kThreads = 16;
  constexpr int kEach = 40;
  {
    auto lanes = NewLanes();
    AtOnce(kThreads, [&](int i) {
      for (int k = 0; k < kEach; ++k) {
        Addition add;
        add.name = absl::StrCat("n", (i + k) % 5);
        EXPECT_THAT(Add(*lanes, add), IsOk());
      }
    });
  }
  int64_t sum = 0;
  for (const auto& [shard, events] : Journal()) {
    std::map<std::string, int64_t> last;
    for (const auto& event : events) {
      EXPECT_EQ(event.subject_version(), last[event.subject()] + 1) << "order per aggregate";
      ++last[event.subject()];
      ++sum;
    }
  }
  EXPECT_EQ(sum, kThreads * kEach);
}

// The same with two processes' worth of lanes on one database: the row lock does it, not the mutex.
TEST_F(LanesTest, TwoProcessesDoNotLoseUpdatesOfEachOther) {
  auto one = NewLanes();
  auto two = NewLanes();
  AtOnce(8, [&](int i) {
    for (int k = 0; k < 25; ++k) EXPECT_THAT(Add(i % 2 == 0 ? *one : *two, {}), IsOk());
  });
  Addition look;
  look.by = 0;
  EXPECT_EQ(Add(*one, look)->response, "200");
  EXPECT_EQ(JournalSize(), 201);
}

TEST_F(LanesTest, WhoComesSecondToAShardWaitsForTheFirstToCommit) {
  auto one = NewLanes();
  auto two = NewLanes();
  std::latch first_decides(1);
  std::latch let_first_commit(1);
  std::atomic<int> second_ran = 0;
  std::thread first([&] {
    const auto answer = one->Run<CounterWork>(
        InfoOf({}), [](CounterWork& work) { work.Need("acme", "n"); },
        [&](CounterWork& work, Recorder& recorder) {
          first_decides.count_down();
          let_first_commit.wait();
          return ApplyAddition({}, work, recorder);
        });
    EXPECT_THAT(answer, IsOk());
  });
  first_decides.wait();
  std::thread second([&] {
    const auto answer = two->Run<CounterWork>(
        InfoOf({}), [](CounterWork& work) { work.Need("acme", "n"); },
        [&](CounterWork& work, Recorder& recorder) {
          ++second_ran;
          return ApplyAddition({}, work, recorder);
        });
    EXPECT_THAT(answer, IsOk());
  });
  static constexpr pg::Statement kWaiting{"test.waiting",
                                          "SELECT count(*) FROM pg_locks WHERE NOT granted"};
  while (second_ran == 0 && (*pool_->Query({pg::Scope::Suite()}, kWaiting))[0].Int(0) == 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(second_ran, 0);
  let_first_commit.count_down();
  first.join();
  second.join();
  EXPECT_EQ(second_ran, 1);
}

TEST_F(LanesTest, WhatARefusedMutationHadStagedIsGone) {
  auto lanes = NewLanes(1);
  std::latch go(1);
  std::latch done(2);
  lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
      InfoOf({}), [](CounterWork&) {},
      [&](CounterWork&, Recorder&) -> absl::StatusOr<std::string> {
        go.wait();
        return std::string();
      },
      [](const absl::StatusOr<Answer>&) {}));
  lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
      InfoOf({}), [](CounterWork& work) { work.Need("acme", "n"); },
      [](CounterWork& work, Recorder& recorder) -> absl::StatusOr<std::string> {
        EXPECT_THAT(ApplyAddition({.by = 40}, work, recorder), IsOk());
        return absl::FailedPreconditionError("thought better of it");
      },
      [&](const absl::StatusOr<Answer>&) { done.count_down(); }));
  lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
      InfoOf({}), [](CounterWork& work) { work.Need("acme", "n"); },
      [](CounterWork& work, Recorder& recorder) {
        return ApplyAddition({.by = 2}, work, recorder);
      },
      [&](absl::StatusOr<Answer> answer) {
        EXPECT_EQ(answer->response, "2");
        done.count_down();
      }));
  go.count_down();
  done.wait();
  EXPECT_EQ(JournalSize(), 1);
}

TEST_F(LanesTest, WhatWaitsRunsInOneTransaction) {
  auto lanes = NewLanes(1);
  std::latch first_is_running(1);
  std::latch others_wait(1);
  MutationInfo info = InfoOf({});
  lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
      info, [](CounterWork&) {},
      [&](CounterWork&, Recorder&) -> absl::StatusOr<std::string> {
        first_is_running.count_down();
        others_wait.wait();
        return std::string();
      },
      [](const absl::StatusOr<Answer>&) {}));
  first_is_running.wait();
  std::latch all_done(100);
  for (int i = 0; i < 100; ++i) {
    Addition add;
    add.name = absl::StrCat("n", i);
    lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
        InfoOf(add), [add](CounterWork& work) { work.Need(add.tenant, add.name); },
        [add](CounterWork& work, Recorder& recorder) { return ApplyAddition(add, work, recorder); },
        [&](const absl::StatusOr<Answer>& answer) {
          EXPECT_THAT(answer, IsOk());
          all_done.count_down();
        }));
  }
  others_wait.count_down();
  all_done.wait();
  EXPECT_EQ(largest_batch_, 100);
}

TEST_F(LanesTest, ARefusalAffectsNobodyElseInTheBatch) {
  auto lanes = NewLanes(1);
  std::latch go(1);
  std::latch done(3);
  std::vector<absl::Status> outcomes(3);
  lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
      InfoOf({}), [](CounterWork&) {},
      [&](CounterWork&, Recorder&) -> absl::StatusOr<std::string> {
        go.wait();
        return std::string();
      },
      [](const absl::StatusOr<Answer>&) {}));
  const std::vector<int64_t> by = {5, -9, 2};
  for (int i = 0; i < 3; ++i) {
    Addition add;
    add.by = by[i];
    lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
        InfoOf(add), [add](CounterWork& work) { work.Need(add.tenant, add.name); },
        [add](CounterWork& work, Recorder& recorder) { return ApplyAddition(add, work, recorder); },
        [&, i](const absl::StatusOr<Answer>& answer) {
          outcomes[i] = answer.status();
          done.count_down();
        }));
  }
  go.count_down();
  done.wait();
  EXPECT_THAT(outcomes[0], IsOk());
  EXPECT_THAT(outcomes[1], StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(outcomes[2], IsOk());
  Addition look;
  look.by = 0;
  EXPECT_EQ(Add(*lanes, look)->response, "7");
}

TEST_F(LanesTest, AnEventTooLargeForTheJournalIsRefused) {
  auto lanes = NewLanes();
  const auto record = [&](size_t bytes) {
    const Addition add;
    return lanes
        ->Run<CounterWork>(
            InfoOf(add), [&](CounterWork& work) { work.Need(add.tenant, add.name); },
            [&](CounterWork& work, Recorder& recorder) -> absl::StatusOr<std::string> {
              auto answer = ApplyAddition(add, work, recorder);
              recorder.Record({ShardOf(add.tenant, add.name), add.tenant, "counters/n",
                               "test.Large", 1, std::nullopt, "", std::string(bytes, 'x')});
              return answer;
            })
        .status();
  };
  const absl::Status refused = record(kMaxPayload + 1);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("counters/n")));
  EXPECT_THAT(refused, ReasonIs("EVENT_TOO_LARGE"));
  EXPECT_EQ(JournalSize(), 0);
  EXPECT_THAT(record(kMaxPayload), IsOk());
  EXPECT_EQ(JournalSize(), 2);
  const auto value = Add(*lanes, {});
  ASSERT_THAT(value, IsOk());
  EXPECT_EQ(value->response, "2") << "what was refused must not count";
}

TEST_F(LanesTest, AStatementThatFailsIsTheFaultOfOneAlone) {
  auto lanes = NewLanes(1);
  std::latch go(1);
  std::latch done(20);
  std::atomic<int> failed = 0;
  lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
      InfoOf({}), [](CounterWork&) {},
      [&](CounterWork&, Recorder&) -> absl::StatusOr<std::string> {
        go.wait();
        return std::string();
      },
      [](const absl::StatusOr<Answer>&) {}));
  for (int i = 0; i < 20; ++i) {
    Addition add;
    add.name = absl::StrCat("n", i);
    // The CHECK of the table refuses the seventh, in the database.
    add.by = i == 7 ? 1'000'000 : 1;
    lanes->Submit(std::make_unique<MutationOf<CounterWork>>(
        InfoOf(add), [add](CounterWork& work) { work.Need(add.tenant, add.name); },
        [add](CounterWork& work, Recorder& recorder) { return ApplyAddition(add, work, recorder); },
        [&, i](const absl::StatusOr<Answer>& answer) {
          if (!answer.ok()) {
            ++failed;
            EXPECT_EQ(i, 7);
          }
          done.count_down();
        }));
  }
  go.count_down();
  done.wait();
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(JournalSize(), 19);
}

TEST_F(LanesTest, ARepeatedRequestIsAnsweredNotRepeated) {
  auto lanes = NewLanes();
  Addition add;
  add.request_id = "0190163d-8694-739b-aea5-966c26f8ad91";
  const auto first = Add(*lanes, add);
  const auto second = Add(*lanes, add);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  EXPECT_FALSE(first->replayed);
  EXPECT_TRUE(second->replayed);
  EXPECT_EQ(first->response, second->response);
  EXPECT_EQ(JournalSize(), 1);

  Addition other = add;
  other.fingerprint = std::string(32, 'g');
  EXPECT_THAT(Add(*lanes, other), ReasonIs("REQUEST_ID_REUSED"));

  // Another tenant's request of the same id is another request.
  Addition globex = add;
  globex.tenant = "globex";
  EXPECT_FALSE(Add(*lanes, globex)->replayed);
}

TEST_F(LanesTest, SimultaneousTwinsOverTwoProcessesTakeEffectOnce) {
  auto one = NewLanes();
  auto two = NewLanes();
  for (int round = 0; round < 5; ++round) {
    Addition add;
    add.request_id = Uuid::V7(absl::Now()).ToString();
    std::vector<std::string> answers(32);
    AtOnce(32, [&](int i) {
      // Half of them lead to other shards: then only the key of the request table stands between.
      Addition mine = add;
      mine.name = absl::StrCat("n", i % 4);
      const auto answer = Add(i % 2 == 0 ? *one : *two, mine);
      answers[i] = answer.ok() ? answer->response : answer.status().ToString();
    });
    EXPECT_THAT(answers, ::testing::Each(answers[0]));
    EXPECT_EQ(JournalSize(), round + 1);
  }
}

TEST_F(LanesTest, AMutationOverSeveralShardsLocksThemAll) {
  auto lanes = NewLanes();
  AtOnce(8, [&](int i) {
    for (int k = 0; k < 10; ++k) {
      // Moves one from a to b and back; whoever reads both must never see the sum change.
      MutationInfo info = InfoOf({});
      info.shards = InfoOf({.name = "a"}).shards | InfoOf({.name = "b"}).shards;
      const int by = (i + k) % 2 == 0 ? 1 : -1;
      const auto answer = lanes->Run<CounterWork>(
          info,
          [](CounterWork& work) {
            work.Need("acme", "a");
            work.Need("acme", "b");
          },
          [by](CounterWork& work, Recorder&) -> absl::StatusOr<std::string> {
            EXPECT_EQ(work.Get("acme", "a") + work.Get("acme", "b"), 0);
            work.Set("acme", "a", work.Get("acme", "a") + by);
            work.Set("acme", "b", work.Get("acme", "b") - by);
            return std::string();
          });
      EXPECT_THAT(answer, IsOk());
    }
  });
}

TEST_F(LanesTest, MutationsOverDifferentShardsRunAtTheSameTime) {
  auto lanes = NewLanes();
  absl::Notification first_runs, second_runs;
  std::latch done(2);
  const auto wide = [&](int from, absl::Notification& own, absl::Notification& other) {
    MutationInfo info = InfoOf({});
    info.shards.reset();
    info.shards.set(from).set(from + 1);
    return std::make_unique<MutationOf<CounterWork>>(
        info, [](CounterWork&) {},
        [&own, &other](CounterWork&, Recorder&) -> absl::StatusOr<std::string> {
          if (!own.HasBeenNotified()) own.Notify();
          EXPECT_TRUE(other.WaitForNotificationWithTimeout(absl::Seconds(30)));
          return std::string();
        },
        [&](const absl::StatusOr<Answer>& answer) {
          EXPECT_THAT(answer, IsOk());
          done.count_down();
        });
  };
  std::vector<std::unique_ptr<Mutation>> both;
  both.push_back(wide(0, first_runs, second_runs));
  both.push_back(wide(2, second_runs, first_runs));
  lanes->Submit(std::move(both));
  done.wait();
}

TEST_F(LanesTest, WhoseDeadlineHasPassedIsNotBegun) {
  auto lanes = NewLanes();
  MutationInfo info = InfoOf({});
  info.deadline = absl::Now() - absl::Seconds(1);
  const auto answer = lanes->Run<CounterWork>(
      info, [](CounterWork&) { ADD_FAILURE(); },
      [](CounterWork&, Recorder&) -> absl::StatusOr<std::string> {
        ADD_FAILURE();
        return std::string();
      });
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(LanesTest, ADrainedLaneRefusesAndLosesNothing) {
  auto lanes = NewLanes();
  std::atomic<int> ok = 0, refused = 0;
  std::latch started(4);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      started.count_down();
      for (int k = 0; k < 50; ++k) {
        const auto answer = Add(*lanes, {});
        if (answer.ok()) {
          ++ok;
        } else {
          EXPECT_THAT(answer, ReasonIs("SHUTTING_DOWN"));
          ++refused;
        }
      }
    });
  }
  started.wait();
  lanes->Drain();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ok + refused, 200);
  EXPECT_EQ(JournalSize(), ok);
}

// A pool that, when told to, loses the answer to a COMMIT that took place, or the connection before
// one that then did not.
class LossyPool : public pg::Pool {
 public:
  explicit LossyPool(pg::Pool* pool) : pool_(*pool) {}

  std::atomic<bool> lose_the_answer = false;
  std::atomic<bool> lose_the_commit = false;

  absl::Status Transact(const pg::TxOptions& options,
                        absl::FunctionRef<absl::Status(pg::Tx&)> body) override {
    if (lose_the_commit.exchange(false)) {
      const absl::Status undone = pool_.Transact(options, [&](pg::Tx& tx) -> absl::Status {
        CLM_RETURN_IF_ERROR(body(tx));
        return absl::CancelledError("undo it");
      });
      EXPECT_THAT(undone, StatusIs(absl::StatusCode::kCancelled));
      return pg::FromSqlState("40003", "");
    }
    const bool lose = lose_the_answer.exchange(false);
    const absl::Status status = pool_.Transact(options, body);
    EXPECT_TRUE(!lose || status.ok()) << status;
    return lose ? pg::FromSqlState("40003", "") : status;
  }
  absl::Status Read(const pg::TxOptions& options, absl::FunctionRef<absl::Status(pg::Tx&)> body,
                    bool repeatable) override {
    return pool_.Read(options, body, repeatable);
  }
  absl::StatusOr<pg::Result> Query(const pg::TxOptions& options, const pg::Statement& statement,
                                   const pg::Args& args) override {
    return pool_.Query(options, statement, args);
  }
  absl::Status Prepare(const std::vector<const pg::Statement*>& statements) override {
    return pool_.Prepare(statements);
  }
  Stats stats() const override { return pool_.stats(); }

 private:
  pg::Pool& pool_;
};

// Counts what is told after commits, and hears it or not.
class TellingWork : public CounterWork {
 public:
  struct Ear {
    absl::Mutex mu;
    std::vector<Offsets> told ABSL_GUARDED_BY(mu);
    bool deaf ABSL_GUARDED_BY(mu) = false;
  };
  explicit TellingWork(Ear* ear) : ear_(*ear) {}
  absl::Status Committed(const Offsets& heads) override {
    absl::MutexLock lock(&ear_.mu);
    if (ear_.deaf) return absl::UnavailableError("deaf");
    ear_.told.push_back(heads);
    return absl::OkStatus();
  }

 private:
  Ear& ear_;
};

class TellingTest : public LanesTest {
 protected:
  TellingTest() : lossy_(pool_.get()) {
    Lanes::Options options = CounterLanes(&lossy_, &clock_);
    options.new_work = [this] { return std::make_unique<TellingWork>(&ear_); };
    options.told = &told_;
    lanes_ = std::make_unique<Lanes>(std::move(options));
  }
  std::vector<Offsets> Told() {
    absl::MutexLock lock(&ear_.mu);
    return ear_.told;
  }

  LossyPool lossy_;
  TellingWork::Ear ear_;
  ToldOffsets told_;
  const int shard_ = ShardOf("acme", "n");
  std::unique_ptr<Lanes> lanes_;
};

TEST_F(TellingTest, ACommitWhoseAnswerGotLostIsToldAndAnswered) {
  lossy_.lose_the_answer = true;
  const auto answer = Add(*lanes_, {});
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->response, "1");
  EXPECT_EQ(JournalSize(), 1);
  EXPECT_THAT(Told(), ::testing::ElementsAre(Offsets{{shard_, 1}}));
  EXPECT_EQ(told_.Beyond(shard_, 0), 1);
}

TEST_F(TellingTest, WhatDidNotCommitIsNotTold) {
  lossy_.lose_the_commit = true;
  EXPECT_THAT(Add(*lanes_, {}), ReasonIs("DATABASE_UNAVAILABLE"));
  EXPECT_EQ(JournalSize(), 0);
  EXPECT_THAT(Told(), ::testing::IsEmpty());
  EXPECT_EQ(told_.Beyond(shard_, 0), 0);
}

TEST_F(TellingTest, WhatNobodyHeardIsNotKnownAsTold) {
  ASSERT_THAT(Add(*lanes_, {}), IsOk());
  {
    absl::MutexLock lock(&ear_.mu);
    ear_.deaf = true;
  }
  ASSERT_THAT(Add(*lanes_, {}), IsOk());
  {
    absl::MutexLock lock(&ear_.mu);
    ear_.deaf = false;
  }
  ASSERT_THAT(Add(*lanes_, {}), IsOk());
  EXPECT_EQ(told_.Beyond(shard_, 0), 0) << "only the newest run is remembered";
  EXPECT_EQ(told_.Beyond(shard_, 1), 1);
  EXPECT_EQ(told_.Beyond(shard_, 2), 3);
}

// Says nothing after its commit until it may.
class SlowWork : public CounterWork {
 public:
  explicit SlowWork(std::function<void()> committed) : committed_(std::move(committed)) {}
  absl::Status Committed(const Offsets&) override {
    committed_();
    return absl::OkStatus();
  }

 private:
  const std::function<void()> committed_;
};

TEST_F(LanesTest, ShardsThatAreFreeAtCommitDoNotWaitForWhatComesAfterIt) {
  std::atomic<int> committed = 0;
  std::latch second_committed(1);
  RecentRecords recent;
  ToldOffsets told;
  Lanes::Options options = CounterLanes(pool_.get(), &clock_);
  options.free_at_commit = true;
  options.recent = &recent;
  options.told = &told;
  options.new_work = [&] {
    return std::make_unique<SlowWork>([&] {
      // The first waits for the second of the same shard.
      if (++committed == 1) {
        second_committed.wait();
      } else {
        second_committed.count_down();
      }
    });
  };
  Lanes lanes(std::move(options));
  std::thread first([&] { EXPECT_EQ(Add(lanes, {})->response, "1"); });
  while (committed == 0) std::this_thread::yield();
  EXPECT_EQ(Add(lanes, {})->response, "2");
  first.join();
  event::v1::ShardRecords records;
  const int shard = ShardOf("acme", "n");
  ByteBudget budget(1 << 20);
  ASSERT_TRUE(recent.Read(shard, 0, 10, nullptr, &budget, &records));
  EXPECT_EQ(records.records_size(), 2);
  EXPECT_EQ(told.Beyond(shard, 0), 2);
  lanes.Drain();
}

// Halves of a batch that is split do not give away what the other half still needs.
TEST_F(LanesTest, ShardsOfASplitBatchStayBusyUntilItsEnd) {
  Lanes::Options options = CounterLanes(pool_.get(), &clock_);
  options.free_at_commit = true;
  Lanes lanes(std::move(options));
  absl::BlockingCounter done(3);
  absl::Notification late_done;
  std::map<std::string, std::string> answers;
  absl::Mutex mu;
  const auto mutation = [&](const std::string& who, int64_t by,
                            absl::AnyInvocable<void()> afterwards) {
    const Addition add{.by = by};
    return std::make_unique<MutationOf<CounterWork>>(
        InfoOf(add), [add](CounterWork& work) { work.Need(add.tenant, add.name); },
        [add](CounterWork& work, Recorder& recorder) { return ApplyAddition(add, work, recorder); },
        [&, who, afterwards = std::move(afterwards)](absl::StatusOr<Answer> answer) mutable {
          {
            absl::MutexLock lock(&mu);
            answers[who] = answer.ok() ? answer->response : error::Reason(answer.status());
          }
          afterwards();
        });
  };
  // The first half has committed; somebody else wants the shard before the second half begins. It
  // gets it only if it was given away.
  const auto come_in_between = [&] {
    lanes.Submit(mutation("late", 1, [&] { late_done.Notify(); }));
    late_done.WaitForNotificationWithTimeout(absl::Milliseconds(200));
    done.DecrementCount();
  };
  std::vector<std::unique_ptr<Mutation>> batch;
  batch.push_back(mutation("first", 1, come_in_between));
  // Breaks the CHECK of the table.
  batch.push_back(mutation("bad", 1'000'000, [&] { done.DecrementCount(); }));
  batch.push_back(mutation("last", 1, [&] { done.DecrementCount(); }));
  lanes.Submit(std::move(batch));
  done.Wait();
  late_done.WaitForNotification();
  absl::MutexLock lock(&mu);
  EXPECT_EQ(answers["first"], "1");
  EXPECT_EQ(answers["last"], "2");
  EXPECT_EQ(answers["late"], "3");
}

TEST_F(LanesTest, ATenantsTransactionSeesOnlyItsRows) {
  auto lanes = NewLanes();
  ASSERT_THAT(Add(*lanes, {.tenant = "acme"}), IsOk());
  ASSERT_THAT(Add(*lanes, {.tenant = "globex"}), IsOk());
  static constexpr pg::Statement kAll{"test.all", "SELECT count(*) FROM journal"};
  EXPECT_EQ((*pool_->Query({pg::Scope::Tenant("acme")}, kAll))[0].Int(0), 1);
  EXPECT_EQ((*pool_->Query({pg::Scope::Suite()}, kAll))[0].Int(0), 2);
}

}  // namespace
}  // namespace clm::journal
