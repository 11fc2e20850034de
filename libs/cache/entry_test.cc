#include "libs/cache/entry.h"

#include <limits>

#include "gtest/gtest.h"
#include "libs/cache/cache.h"

namespace clm::cache {
namespace {

const Slot kSlot{"acme", "c:{acme}:contact:1:s1", ""};
const Entry kEntry{.version = 7,
                   .kind = EntryKind::kPayload,
                   .expiry = absl::FromUnixMicros(1790000000000001),
                   .note = 42,
                   .payload = "payload"};

TEST(EntryTest, ComesBackAsItWas) {
  const Sealer sealer("secret");
  for (const EntryKind kind : {EntryKind::kPayload, EntryKind::kNegative}) {
    Entry entry = kEntry;
    entry.kind = kind;
    EXPECT_EQ(DecodeEntry(sealer, kSlot, EncodeEntry(sealer, kSlot, entry)), entry);
  }
}

TEST(EntryTest, IsBoundToItsHeaderItsKeyAndItsField) {
  const Sealer sealer("secret");
  const std::string bytes = EncodeEntry(sealer, kSlot, kEntry);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] ^= 2;
    EXPECT_EQ(DecodeEntry(sealer, kSlot, changed), std::nullopt) << i;
    EXPECT_EQ(DecodeEntry(sealer, kSlot, bytes.substr(0, i)), std::nullopt) << i;
  }
  EXPECT_EQ(DecodeEntry(sealer, {"acme", "c:{acme}:contact:2:s1", ""}, bytes), std::nullopt);
  EXPECT_EQ(DecodeEntry(sealer, {"acme", kSlot.key, "core"}, bytes), std::nullopt);
}

TEST(EntryTest, NumbersSortAsTheirBytes) {
  const int64_t numbers[] = {0,
                             1,
                             127,
                             128,
                             255,
                             256,
                             int64_t{1} << 53,
                             (int64_t{1} << 53) + 1,
                             std::numeric_limits<int64_t>::max()};
  for (size_t i = 0; i + 1 < std::size(numbers); ++i) {
    EXPECT_LT(BigEndian(numbers[i]), BigEndian(numbers[i + 1]));
  }
}

TEST(ShouldRenewTest, TheCloserTheExpiryAndTheSlowerTheLoadTheLikelier) {
  const absl::Time expiry = absl::FromUnixSeconds(1000);
  const absl::Duration load = absl::Seconds(1);
  // -ln(0.5) is about 0.69 load times.
  EXPECT_FALSE(ShouldRenew(expiry - absl::Milliseconds(700), expiry, load, 0.5));
  EXPECT_TRUE(ShouldRenew(expiry - absl::Milliseconds(690), expiry, load, 0.5));
  EXPECT_FALSE(ShouldRenew(expiry - absl::Milliseconds(690), expiry, load / 2, 0.5));
  EXPECT_TRUE(ShouldRenew(expiry - absl::Milliseconds(690), expiry, load, 0.1));
}

}  // namespace
}  // namespace clm::cache
