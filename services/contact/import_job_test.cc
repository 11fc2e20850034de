#include "services/contact/import_job.h"

#include <gtest/gtest.h>

#include "libs/testing/status_matchers.h"

namespace clm::contact {
namespace {

using clm::testing::ReasonIs;

class ImportJobTest : public ::testing::Test {
 protected:
  ImportJob Job(ImportState state) const {
    ImportJob job;
    job.state = state;
    job.owner = owner_;
    job.size_bytes = 20;
    job.done_bytes = 10;
    return job;
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);
  const Uuid owner_ = Uuid::V7(now_);
};

TEST_F(ImportJobTest, OnlyItsUploadSealsAJobAndOnlyOnce) {
  CLM_ASSERT_OK_AND_ASSIGN(const ImportJob sealed,
                           Seal(Job(ImportState::kUploading), owner_, "hash", 7));
  EXPECT_EQ(sealed.state, ImportState::kRunning);
  EXPECT_EQ(sealed.owner, std::nullopt);
  EXPECT_EQ(sealed.content_hash, "hash");
  EXPECT_EQ(sealed.size_bytes, 7);
  EXPECT_TRUE(IsFenced(Seal(sealed, owner_, "hash", 7).status()));
  EXPECT_TRUE(IsFenced(Seal(Job(ImportState::kUploading), Uuid::V7(now_), "hash", 7).status()));
}

TEST_F(ImportJobTest, OnlyItsOwnerEndsARun) {
  CLM_ASSERT_OK_AND_ASSIGN(
      const ImportJob ended,
      End(Job(ImportState::kRunning), owner_, ImportState::kSucceeded, absl::OkStatus(), now_));
  EXPECT_EQ(ended.state, ImportState::kSucceeded);
  EXPECT_EQ(ended.done_bytes, 20);
  EXPECT_EQ(ended.end_time, now_);
  CLM_ASSERT_OK_AND_ASSIGN(const ImportJob failed,
                           End(Job(ImportState::kRunning), owner_, ImportState::kFailed,
                               absl::InvalidArgumentError("no table"), now_));
  EXPECT_EQ(failed.error_message, "no table");
  EXPECT_EQ(failed.done_bytes, 10);
  const auto end = [&](const ImportJob& job, const Uuid& owner) {
    return End(job, owner, ImportState::kSucceeded, absl::OkStatus(), now_).status();
  };
  EXPECT_TRUE(IsFenced(end(Job(ImportState::kRunning), Uuid::V7(now_))));
  EXPECT_TRUE(IsFenced(end(Job(ImportState::kCancelled), owner_)));
}

TEST_F(ImportJobTest, WhatHasEndedByItselfCannotBeCancelled) {
  for (const ImportState state : {ImportState::kUploading, ImportState::kRunning}) {
    CLM_ASSERT_OK_AND_ASSIGN(const auto cancelled, Cancel(Job(state), now_));
    ASSERT_TRUE(cancelled.has_value());
    EXPECT_EQ(cancelled->state, ImportState::kCancelled);
    EXPECT_EQ(cancelled->owner, std::nullopt);
  }
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Cancel(Job(ImportState::kCancelled), now_));
  EXPECT_EQ(again, std::nullopt);
  for (const ImportState state : {ImportState::kSucceeded, ImportState::kFailed}) {
    EXPECT_THAT(Cancel(Job(state), now_), ReasonIs("IMPORT_ENDED"));
  }
}

}  // namespace
}  // namespace clm::contact
