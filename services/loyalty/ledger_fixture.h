// Wallets with what happened to them, for the tests of the ledger.
#ifndef CLM_SERVICES_LOYALTY_LEDGER_FIXTURE_H_
#define CLM_SERVICES_LOYALTY_LEDGER_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

// Ids that sort like their numbers.
inline Uuid Id(uint32_t n) {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < 4; ++i) bytes[15 - i] = static_cast<uint8_t>(n >> (8 * i));
  return Uuid(bytes);
}

inline absl::Time Day(int n) { return absl::UnixEpoch() + absl::Hours(24) * n; }
inline constexpr absl::Duration kMoment = absl::Nanoseconds(1);

inline Wallet NewWallet(const Uuid& member) { return {.key = {"acme", "club", "points", member}}; }

inline std::string Show(const Totals& totals) {
  std::string text;
  for (const TotalField& field : kTotalFields) {
    if (totals.*field.value != 0) {
      absl::StrAppend(&text, field.name, "=", totals.*field.value, " ");
    }
  }
  return text;
}
inline void PrintTo(const Totals& totals, std::ostream* os) { *os << "{" << Show(totals) << "}"; }
inline void PrintTo(const Entry& entry, std::ostream* os) {
  *os << Name(entry.account) << " " << entry.amount << " lot "
      << (entry.lot ? entry.lot->ToString() : "none") << " of " << entry.member.ToString();
}

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LEDGER_FIXTURE_H_
