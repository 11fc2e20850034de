#include "services/loyalty/program.h"

#include <algorithm>
#include <limits>
#include <set>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"

namespace clm::loyalty {

absl::Status ValidateProgram(const Program& program) {
  error::FieldErrors errors;
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(program.time_zone, &zone)) {
    errors.Add("program.time_zone", "is not a time zone of the IANA database");
  }
  if (program.wallets.empty()) errors.Add("program.wallets", "is required");
  std::set<absl::string_view> ids;
  for (size_t i = 0; i < program.wallets.size(); ++i) {
    const WalletTerms& wallet = program.wallets[i];
    const std::string path = absl::StrCat("program.wallets[", i, "]");
    if (!ids.insert(wallet.id).second) {
      errors.Add(path + ".id", absl::StrCat("'", wallet.id, "' is there twice"));
    }
    if (wallet.value_minor > 0 && wallet.currency.empty()) {
      errors.Add(path + ".currency", "is required with value_minor");
    }
  }
  return errors.ToStatus();
}

absl::Status CheckUpdate(const Program& before, const Program& after) {
  for (const WalletTerms& wallet : before.wallets) {
    if (!FindWallet(after, wallet.id).ok()) {
      return error::InvalidField(
          "program.wallets",
          absl::StrCat("'", wallet.id, "' must stay: members may have points in it"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<const WalletTerms*> FindWallet(const Program& program, absl::string_view id) {
  for (const WalletTerms& wallet : program.wallets) {
    if (id.empty() || wallet.id == id) return &wallet;
  }
  return error::InvalidField(
      "wallet",
      absl::StrCat("the programme has none with this id; it has ",
                   absl::StrJoin(program.wallets, ", ", [](std::string* out, const WalletTerms& w) {
                     absl::StrAppend(out, "'", w.id, "'");
                   })));
}

absl::TimeZone ZoneOf(const Program& program) {
  absl::TimeZone zone = absl::UTCTimeZone();
  absl::LoadTimeZone(program.time_zone, &zone);
  return zone;
}

absl::StatusOr<int64_t> LiabilityMinor(const WalletTerms& terms, int64_t outstanding) {
  if (terms.value_minor == 0) return 0;
  constexpr int64_t kWhole = 10'000;  // Basis points.
  const absl::int128 numerator =
      absl::int128(outstanding) * terms.value_minor * (kWhole - terms.breakage_basis_points);
  const absl::int128 denominator = absl::int128(std::max<int64_t>(1, terms.value_points)) * kWhole;
  const absl::int128 minor = (numerator + denominator - 1) / denominator;
  if (minor > std::numeric_limits<int64_t>::max()) {
    return error::Make(absl::StatusCode::kOutOfRange, "AMOUNT_OUT_OF_RANGE",
                       "the liability does not fit into 64 bits; state a smaller value_minor");
  }
  return static_cast<int64_t>(minor);
}

}  // namespace clm::loyalty
