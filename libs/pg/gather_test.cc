#include "libs/pg/gather.h"

#include <atomic>
#include <optional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "libs/testing/status_matchers.h"

namespace clm::pg {
namespace {

using Ints = Gather<int, int>;

// Answers of a gather, as they arrive.
class Answers {
 public:
  Ints::Done Next() {
    return [this](absl::StatusOr<int> answer) {
      absl::MutexLock lock(&mu_);
      answers_.push_back(std::move(answer));
    };
  }
  std::vector<absl::StatusOr<int>> Await(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return answers_.size() >= count; };
    mu_.Await(absl::Condition(&there));
    return answers_;
  }

 private:
  absl::Mutex mu_;
  std::vector<absl::StatusOr<int>> answers_ ABSL_GUARDED_BY(mu_);
};

// A read that notes what it was asked for, and whose first run waits until it is let go.
class Source {
 public:
  Ints::Options Options(int readers = 1) {
    Ints::Options options;
    options.readers = readers;
    options.read = [this](const std::string& group, const std::vector<int>& keys, absl::Time) {
      bool first;
      {
        absl::MutexLock lock(&mu_);
        first = reads_.empty();
        reads_.push_back({group, keys});
      }
      if (first) {
        started_.Notify();
        go_.WaitForNotification();
      }
      std::vector<int> values;
      for (const int key : keys) values.push_back(key * 10);
      return failure_.ok() ? absl::StatusOr<std::vector<int>>(values) : failure_;
    };
    return options;
  }
  void AwaitFirst() { started_.WaitForNotification(); }
  void Go() { go_.Notify(); }
  void Fail(absl::Status status) { failure_ = std::move(status); }
  struct Read {
    std::string group;
    std::vector<int> keys;
  };
  std::vector<Read> reads() {
    absl::MutexLock lock(&mu_);
    return reads_;
  }

 private:
  absl::Notification started_, go_;
  absl::Status failure_;
  absl::Mutex mu_;
  std::vector<Read> reads_ ABSL_GUARDED_BY(mu_);
};

const absl::Time kNever = absl::InfiniteFuture();

TEST(GatherTest, WhatArrivesDuringAReadIsReadTogetherAndOnceEach) {
  Source source;
  Answers answers;
  {
    Ints gather(source.Options());
    gather.Get("a", 1, kNever, answers.Next());
    source.AwaitFirst();
    for (const int key : {2, 3, 2, 4, 3}) gather.Get("a", key, kNever, answers.Next());
    source.Go();
    const auto all = answers.Await(6);
    std::vector<int> values;
    for (const auto& answer : all) values.push_back(answer.value());
    EXPECT_EQ(values, (std::vector<int>{10, 20, 30, 20, 40, 30}));
  }
  const auto reads = source.reads();
  ASSERT_EQ(reads.size(), 2u);
  EXPECT_EQ(reads[1].keys, (std::vector<int>{2, 3, 4}));
}

TEST(GatherTest, AReadSeesTheKeysOfOneGroupOnly) {
  Source source;
  Answers answers;
  Ints gather(source.Options());
  gather.Get("a", 1, kNever, answers.Next());
  source.AwaitFirst();
  gather.Get("b", 2, kNever, answers.Next());
  gather.Get("c", 3, kNever, answers.Next());
  gather.Get("b", 4, kNever, answers.Next());
  source.Go();
  answers.Await(4);
  const auto reads = source.reads();
  ASSERT_EQ(reads.size(), 3u);
  EXPECT_EQ(reads[1].group, "b");
  EXPECT_EQ(reads[1].keys, (std::vector<int>{2, 4}));
  EXPECT_EQ(reads[2].group, "c");
}

TEST(GatherTest, AFurtherReadBeginsWhenAsManyWaitAsAreUnanswered) {
  constexpr int kReads = 4;
  absl::Notification started[kReads], go[kReads];
  std::atomic<int> reads{0};
  std::vector<int> keys[kReads];
  Answers answers;
  Ints::Options options;
  options.readers = 2;
  options.read = [&](const std::string&, const std::vector<int>& asked, absl::Time) {
    const int read = reads.fetch_add(1);
    keys[read] = asked;
    started[read].Notify();
    go[read].WaitForNotification();
    return absl::StatusOr<std::vector<int>>(asked);
  };
  Ints gather(std::move(options));
  const auto get = [&](int key) { gather.Get("a", key, kNever, answers.Next()); };
  get(1);
  started[0].WaitForNotification();
  get(2);
  started[1].WaitForNotification();
  for (const int key : {3, 4, 5}) get(key);
  go[1].Notify();
  started[2].WaitForNotification();
  EXPECT_EQ(keys[2], (std::vector<int>{3, 4, 5}));
  go[0].Notify();
  answers.Await(2);
  // A reader is free, but three are unanswered.
  for (const int key : {6, 7, 8}) get(key);
  started[3].WaitForNotification();
  EXPECT_EQ(keys[3], (std::vector<int>{6, 7, 8}));
  // The last who wait need nobody beside them.
  go[2].Notify();
  go[3].Notify();
  answers.Await(8);
}

TEST(GatherTest, AGreatGroupLetsOthersGoBetween) {
  Source source;
  Answers answers;
  Ints::Options options = source.Options();
  options.max_keys = 2;
  Ints gather(std::move(options));
  gather.Get("a", 0, kNever, answers.Next());
  source.AwaitFirst();
  for (const int key : {1, 2, 3}) gather.Get("a", key, kNever, answers.Next());
  gather.Get("b", 9, kNever, answers.Next());
  source.Go();
  answers.Await(5);
  const auto reads = source.reads();
  ASSERT_EQ(reads.size(), 4u);
  EXPECT_EQ(reads[1].keys, (std::vector<int>{1, 2}));
  EXPECT_EQ(reads[2].group, "b");
  EXPECT_EQ(reads[3].keys, (std::vector<int>{3}));
}

TEST(GatherTest, AFailureIsEverybodysWhoSharedTheRead) {
  Source source;
  source.Fail(absl::UnavailableError("away"));
  Answers answers;
  Ints gather(source.Options());
  gather.Get("a", 1, kNever, answers.Next());
  source.AwaitFirst();
  gather.Get("a", 2, kNever, answers.Next());
  source.Go();
  for (const auto& answer : answers.Await(2)) {
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable);
  }
}

TEST(GatherTest, WhoseDeadlineHasPassedIsNotReadFor) {
  Source source;
  Answers answers;
  Ints gather(source.Options());
  gather.Get("a", 1, kNever, answers.Next());
  source.AwaitFirst();
  gather.Get("a", 2, absl::InfinitePast(), answers.Next());
  gather.Get("a", 3, kNever, answers.Next());
  source.Go();
  const auto all = answers.Await(3);
  EXPECT_EQ(all[1].status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(all[2].value(), 30);
  EXPECT_EQ(source.reads()[1].keys, (std::vector<int>{3}));
}

TEST(GatherTest, TooManyWhoWaitAreRefused) {
  Source source;
  Answers answers;
  Ints::Options options = source.Options();
  options.max_waiting = 1;
  Ints gather(std::move(options));
  gather.Get("a", 1, kNever, answers.Next());
  source.AwaitFirst();
  gather.Get("a", 2, kNever, answers.Next());
  gather.Get("a", 3, kNever, answers.Next());
  EXPECT_EQ(answers.Await(1)[0].status().code(), absl::StatusCode::kResourceExhausted);
  source.Go();
  answers.Await(3);
}

TEST(GatherTest, TheEndAnswersThoseWhoWait) {
  Source source;
  Answers answers;
  std::optional<Ints> gather(source.Options());
  gather->Get("a", 1, kNever, answers.Next());
  source.AwaitFirst();
  gather->Get("a", 2, kNever, answers.Next());
  std::thread end([&] { gather.reset(); });
  source.Go();
  end.join();
  EXPECT_EQ(answers.Await(2).size(), 2u);
}

}  // namespace
}  // namespace clm::pg
