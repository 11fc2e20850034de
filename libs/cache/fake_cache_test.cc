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

}  // namespace
}  // namespace clm::cache
