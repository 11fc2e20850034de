#include "libs/cache/fake_cache.h"

#include "libs/cache/cache_contract.h"

namespace clm::cache {
namespace {

class MemoryBackend final : public Backend {
 public:
  std::unique_ptr<Cache> NewCache(Options options) override {
    return NewFakeCache(store_.get(), std::move(options));
  }
  std::unique_ptr<CustomerHash> NewHash(Options options) override {
    return NewFakeCustomerHash(store_.get(), std::move(options));
  }
  void Flush() override { store_->Flush(); }
  std::string Raw(const Slot& slot) override {
    const auto fields = Await<Store::Fields>(
        [&](Store::Done<Store::Fields> done) { store_->GetAll(slot.key, std::move(done)); });
    for (const auto& [field, bytes] : *fields) {
      if (field == slot.field) return bytes;
    }
    return "";
  }
  void Overwrite(const Slot& slot, const std::string& bytes) override {
    store_->Overwrite(slot, bytes);
  }

 private:
  const std::unique_ptr<MemoryStore> store_ = NewMemoryStore();
};

const BackendFactory kMemory = [] { return std::make_unique<MemoryBackend>(); };

INSTANTIATE_TEST_SUITE_P(Memory, CacheContract, ::testing::Values(kMemory));
INSTANTIATE_TEST_SUITE_P(Memory, CustomerHashContract, ::testing::Values(kMemory));

// A store that can be read again before it has heard what was committed meanwhile.
class UnheardTest : public ::testing::Test {
 protected:
  absl::StatusOr<Found> GetAt(int64_t version) {
    return cache_->Get(key_, [&]() -> absl::StatusOr<Found> { return Row{version, "row"}; });
  }
  absl::StatusOr<Parts> ThroughAt(int64_t version) {
    return hash_->ReadThrough(ada_, {"core"}, [&](const std::vector<std::string>&) {
      return absl::StatusOr<Parts>(Parts{{"core", Part{version, absl::UnixEpoch(), "part"}}});
    });
  }

  const Key key_{"acme", "contact", "ada"};
  const EntityKey ada_{"acme", *Uuid::Parse("0192f000-0000-7000-8000-000000000001")};
  const std::unique_ptr<MemoryStore> store_ = NewMemoryStore();
  const std::unique_ptr<Cache> cache_ = NewFakeCache(store_.get(), {.secret = "secret"});
  const std::unique_ptr<CustomerHash> hash_ =
      NewFakeCustomerHash(store_.get(), {.secret = "secret"});
};

TEST_F(UnheardTest, ARowFromBeforeIsNotReadAndIsReplaced) {
  EXPECT_EQ((*GetAt(1))->version, 1);
  store_->RefuseWrites(true);
  EXPECT_TRUE(absl::IsUnavailable(cache_->Invalidate(key_, 2)));
  EXPECT_EQ((*GetAt(2))->version, 2);
  // From the cache now.
  EXPECT_EQ((*GetAt(3))->version, 2);
}

TEST_F(UnheardTest, APartFromBeforeIsNotReadAndIsReplaced) {
  EXPECT_EQ(ThroughAt(1)->at("core").version, 1);
  store_->RefuseWrites(true);
  EXPECT_TRUE(absl::IsUnavailable(hash_->Invalidate(ada_, "core", 2)));
  EXPECT_TRUE(hash_->Read(ada_)->empty());
  EXPECT_EQ(ThroughAt(2)->at("core").version, 2);
  EXPECT_EQ(ThroughAt(3)->at("core").version, 2);
}

TEST_F(UnheardTest, WhatIsHeardTheSecondTimeIsReadAgain) {
  store_->RefuseWrites(true);
  EXPECT_TRUE(absl::IsUnavailable(hash_->Invalidate(ada_, "core", kFinalVersion)));
  ThroughAt(1).IgnoreError();
  EXPECT_TRUE(hash_->Read(ada_)->empty());
  store_->RefuseWrites(false);
  EXPECT_TRUE(hash_->Invalidate(ada_, "core", kFinalVersion).ok());
  store_->Flush();
  ThroughAt(1).IgnoreError();
  EXPECT_EQ(hash_->Read(ada_)->at("core").version, 1);
}

}  // namespace
}  // namespace clm::cache
