#include "libs/cache/seal.h"

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"

namespace clm::cache {
namespace {

TEST(HkdfTest, AgreesWithTheFirstCaseOfRfc5869) {
  EXPECT_EQ(absl::BytesToHexString(Hkdf(std::string(22, '\x0b'),
                                        absl::HexStringToBytes("000102030405060708090a0b0c"),
                                        absl::HexStringToBytes("f0f1f2f3f4f5f6f7f8f9"))),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

TEST(SealerTest, OpensWhatAnotherSealerWithTheSameSecretSealed) {
  const std::string plain("a\0b", 3);
  const std::string sealed = Sealer("secret").Seal("acme", "bound", plain);
  EXPECT_EQ(Sealer("secret").Open("acme", "bound", sealed), plain);
  EXPECT_EQ(Sealer("secret").Open("acme", "bound", Sealer("secret").Seal("acme", "bound", "")), "");
}

TEST(SealerTest, TheSameValueIsNeverSealedAlike) {
  const Sealer sealer("secret");
  EXPECT_NE(sealer.Seal("acme", "bound", "plain"), sealer.Seal("acme", "bound", "plain"));
}

TEST(SealerTest, AnotherSecretTenantOrBindingDoesNotOpen) {
  const std::string sealed = Sealer("secret").Seal("acme", "bound", "plain");
  EXPECT_EQ(Sealer("other").Open("acme", "bound", sealed), std::nullopt);
  EXPECT_EQ(Sealer("secret").Open("globex", "bound", sealed), std::nullopt);
  EXPECT_EQ(Sealer("secret").Open("acme", "unbound", sealed), std::nullopt);
}

TEST(SealerTest, AChangedBitAnywhereDoesNotOpenNorDoesAPart) {
  const Sealer sealer("secret");
  const std::string sealed = sealer.Seal("acme", "bound", "plain");
  for (size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] ^= 1;
    EXPECT_EQ(sealer.Open("acme", "bound", changed), std::nullopt) << i;
    EXPECT_EQ(sealer.Open("acme", "bound", sealed.substr(0, i)), std::nullopt) << i;
  }
}

}  // namespace
}  // namespace clm::cache
