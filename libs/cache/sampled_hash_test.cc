#include "libs/cache/sampled_hash.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "libs/cache/fake_cache.h"

namespace clm::cache {
namespace {

const EntityKey kAda{"acme", Uuid::V5(Uuid(), "ada")};
const EntityKey kBob{"acme", Uuid::V5(Uuid(), "bob")};

Part At(int64_t version) { return {version, absl::UnixEpoch(), absl::StrCat("v", version)}; }

class SampledHashTest : public ::testing::Test {
 protected:
  // What holds is that everybody's part is at version 2.
  std::unique_ptr<CustomerHash> NewHash(int every) {
    SampleOptions options;
    options.every = every;
    options.delay = absl::Milliseconds(1);
    options.holds = [this](const EntityKey& customer, const std::string&, const Part& part) {
      if (customer == kAda && on_ada) on_ada();
      return absl::StatusOr<bool>(part.version == 2);
    };
    options.on_stale = [this](const EntityKey& customer, const std::string& field) {
      if (customer == kAda) ++ada_is_stale;
      EXPECT_EQ(field, "core");
      if (customer == kBob && !bob_is_stale.HasBeenNotified()) bob_is_stale.Notify();
    };
    return Sampled(NewFakeCustomerHash(store_.get(), {.secret = "secret"}), std::move(options));
  }

  std::unique_ptr<MemoryStore> store_ = NewMemoryStore();
  std::function<void()> on_ada;
  std::atomic<int> ada_is_stale = 0;
  absl::Notification bob_is_stale;
};

TEST_F(SampledHashTest, AnEntryThatStaysWrongIsReported) {
  auto hash = NewHash(1);
  EXPECT_TRUE(hash->Put(kBob, "core", At(1)).ok());
  EXPECT_TRUE(hash->Read(kBob).ok());
  bob_is_stale.WaitForNotification();
  EXPECT_EQ(hash->stats().stale, 1);
  EXPECT_EQ(hash->stats().sampled, 1);
}

TEST_F(SampledHashTest, WhatIsTrueOrWasRepairedInBetweenIsNot) {
  auto hash = NewHash(1);
  EXPECT_TRUE(hash->Put(kAda, "core", At(2)).ok());
  EXPECT_TRUE(hash->Read(kAda).ok());
  EXPECT_TRUE(hash->Put(kAda, "core", At(3)).ok());
  on_ada = [&] { EXPECT_TRUE(hash->Invalidate(kAda, "core", 4).ok()); };
  EXPECT_TRUE(hash->Read(kAda).ok());
  // Samples are looked at in turn: when this one is found out, the others have been.
  EXPECT_TRUE(hash->Put(kBob, "core", At(1)).ok());
  EXPECT_TRUE(hash->Read(kBob).ok());
  bob_is_stale.WaitForNotification();
  EXPECT_EQ(ada_is_stale, 0);
  EXPECT_EQ(hash->stats().stale, 1);
  EXPECT_EQ(hash->stats().sampled, 3);
}

TEST_F(SampledHashTest, OneInSoManyIsLookedAt) {
  auto hash = NewHash(10);
  EXPECT_TRUE(hash->Put(kAda, "core", At(2)).ok());
  for (int i = 0; i < 25; ++i) EXPECT_TRUE(hash->Read(kAda).ok());
  EXPECT_EQ(hash->stats().sampled, 2);
}

}  // namespace
}  // namespace clm::cache
