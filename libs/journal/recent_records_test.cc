#include "libs/journal/recent_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace clm::journal {
namespace {

using ::testing::ElementsAre;

constexpr int kShard = 3;

// Commits the offsets from before + 1 to last of kShard; odd ones are of type "odd".
void Commit(RecentRecords& recent, int64_t before, int64_t last) {
  std::vector<FreshRecord> records;
  for (int64_t off = before + 1; off <= last; ++off) {
    records.push_back({kShard, off, off % 2 == 1 ? "odd" : "even", absl::StrCat("event ", off)});
  }
  recent.Add({{kShard, before, last}}, std::move(records));
}

// "offset:event", or "database" when that has to be asked.
std::vector<std::string> Read(const RecentRecords& recent, int64_t after, int max_records = 100,
                              const std::vector<std::string>* types = nullptr) {
  ByteBudget budget(1 << 20);
  event::v1::ShardRecords out;
  if (!recent.Read(kShard, after, max_records, types, &budget, &out)) {
    EXPECT_TRUE(out.records().empty());
    return {"database"};
  }
  EXPECT_EQ(out.shard(), kShard);
  std::vector<std::string> records;
  for (const auto& record : out.records()) {
    records.push_back(absl::StrCat(record.offset(), ":", record.event()));
  }
  return records;
}

TEST(RecentRecordsTest, GivesWhatComesAfterAPosition) {
  RecentRecords recent;
  EXPECT_THAT(Read(recent, 0), ElementsAre("database"));
  Commit(recent, 0, 2);
  Commit(recent, 2, 3);
  EXPECT_THAT(Read(recent, 0), ElementsAre("1:event 1", "2:event 2", "3:event 3"));
  EXPECT_THAT(Read(recent, 1, 1), ElementsAre("2:event 2"));
  const std::vector<std::string> odd = {"odd"};
  EXPECT_THAT(Read(recent, 1, 100, &odd), ElementsAre("2:", "3:event 3"));
}

TEST(RecentRecordsTest, WhetherThereIsMoreThanItHasOnlyTheDatabaseKnows) {
  RecentRecords recent;
  Commit(recent, 0, 2);
  EXPECT_THAT(Read(recent, 2), ElementsAre("database"));
  EXPECT_THAT(Read(recent, 7), ElementsAre("database"));
  ByteBudget budget(1 << 20);
  event::v1::ShardRecords out;
  EXPECT_FALSE(recent.Read(kShard + 1, 0, 100, nullptr, &budget, &out));
  EXPECT_FALSE(recent.Read(kShards, 0, 100, nullptr, &budget, &out));
}

TEST(RecentRecordsTest, WhatSomebodyElseCommittedInBetweenIsNotPassedOver) {
  RecentRecords recent;
  Commit(recent, 0, 2);
  Commit(recent, 4, 6);
  EXPECT_THAT(Read(recent, 0), ElementsAre("database"));
  EXPECT_THAT(Read(recent, 2), ElementsAre("database"));
  EXPECT_THAT(Read(recent, 4), ElementsAre("5:event 5", "6:event 6"));
}

TEST(RecentRecordsTest, ADatabaseThatWasSetBackBeginsAnotherRun) {
  RecentRecords recent;
  Commit(recent, 0, 6);
  Commit(recent, 3, 4);
  EXPECT_THAT(Read(recent, 3), ElementsAre("4:event 4"));
  EXPECT_THAT(Read(recent, 4), ElementsAre("database"));
}

TEST(RecentRecordsTest, OfAShardThatWasRewrittenNothingIsKept) {
  RecentRecords recent;
  ShardSet rewritten;
  rewritten.set(kShard);
  Commit(recent, 0, 2);
  recent.Add({}, {}, rewritten);
  EXPECT_THAT(Read(recent, 0), ElementsAre("database"));
  Commit(recent, 2, 3);
  EXPECT_THAT(Read(recent, 2), ElementsAre("3:event 3"));
  // Neither what the rewriting commit itself has added.
  recent.Add({{kShard, 3, 4}}, {{kShard, 4, "even", "event 4"}}, rewritten);
  EXPECT_THAT(Read(recent, 2), ElementsAre("database"));
  EXPECT_THAT(Read(recent, 3), ElementsAre("database"));
  Commit(recent, 4, 5);
  EXPECT_THAT(Read(recent, 4), ElementsAre("5:event 5"));
}

TEST(RecentRecordsTest, WhatIsTooMuchOrTooOldIsForgottenFromTheFront) {
  RecentRecords recent(2000);
  for (int64_t off = 1; off <= 100; ++off) Commit(recent, off - 1, off);
  EXPECT_THAT(Read(recent, 0), ElementsAre("database"));
  EXPECT_THAT(Read(recent, 98), ElementsAre("99:event 99", "100:event 100"));

  recent.Forget(absl::Now() - absl::Hours(1));
  EXPECT_THAT(Read(recent, 99), ElementsAre("100:event 100"));
  recent.Forget(absl::Now() + absl::Hours(1));
  EXPECT_THAT(Read(recent, 99), ElementsAre("database"));
  Commit(recent, 100, 101);
  EXPECT_THAT(Read(recent, 100), ElementsAre("101:event 101"));
}

}  // namespace
}  // namespace clm::journal
