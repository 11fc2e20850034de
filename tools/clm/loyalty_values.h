// What the lines of `clm loyalty` say about programmes and points, as protobuf. Pure functions.
#ifndef CLM_TOOLS_CLM_LOYALTY_VALUES_H_
#define CLM_TOOLS_CLM_LOYALTY_VALUES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/coupon.pb.h"
#include "clm/loyalty/v1/loyalty.pb.h"

namespace clm::cli {

// What points are worth: "1EUR/100" is 1 EUR for 100 points, "0.01EUR" is for one. INVALID_ARGUMENT
// naming `flag`.
struct PointsValue {
  int64_t minor = 0;
  std::string currency;
  int64_t points = 1;
};
absl::StatusOr<PointsValue> ParsePointsValue(absl::string_view flag, absl::string_view text);
// What ParsePointsValue reads; empty when the wallet states no value.
std::string PointsValueText(const loyalty::v1::Wallet& wallet);

// "12.5" per cent as hundredths of a per cent; exact.
absl::StatusOr<int32_t> ParseBasisPoints(absl::string_view flag, absl::string_view text);

// What a line of an order is: "3x10.00" or, less a discount, "3x10.00-5.00". INVALID_ARGUMENT
// naming `flag`.
struct PricedUnits {
  int64_t units = 0;
  int64_t unit_price_minor = 0;
  int64_t discount_minor = 0;
};
absl::StatusOr<PricedUnits> ParsePricedUnits(absl::string_view flag, absl::string_view text,
                                             const std::string& currency);

// What a coupon takes off: "10 %", "5.00 EUR", "1 of mug free", "buy 2, 1 at 50 % off".
std::string CouponOffText(const loyalty::v1::Coupon& coupon);

// As ParseMoment (values.h), but a span is counted from now on.
absl::StatusOr<absl::Time> ParseMomentAhead(absl::string_view flag, absl::string_view text,
                                            absl::Time now);

// What a line says about wallets; what is empty stays as it is.
struct WalletFlags {
  std::vector<std::string> wallets;  // Ids. None: the programme's only one.
  std::string unit, pending, expiry, expiry_rounding, expiry_warning, return_policy, value,
      breakage, adjustment_limit;

  bool AnyTerm() const;
};
// Makes the wallets that are not there and changes the others. INVALID_ARGUMENT when none is named
// and there are several.
absl::Status ChangeWallets(const WalletFlags& flags, loyalty::v1::Program* program);

// The words of --expiry-rounding, --return-policy and --join.
std::vector<std::string> RoundingWords();
std::vector<std::string> ReturnPolicyWords();
std::vector<std::string> JoinPolicyWords();
// Of a value as it is kept, where nothing said is what it means.
std::string RoundingWord(loyalty::v1::Wallet::ExpiryRounding rounding);
std::string ReturnPolicyWord(loyalty::v1::Wallet::ReturnPolicy policy);
std::string JoinPolicyWord(loyalty::v1::Program::JoinPolicy policy);
// INVALID_ARGUMENT for anything but one of the words.
absl::StatusOr<loyalty::v1::Program::JoinPolicy> ParseJoinPolicy(absl::string_view flag,
                                                                 absl::string_view word);

// Whether `text` names something below a member in full:
// "tenants/T/programs/P/members/C/postings/points-17" for "postings".
bool IsNameBelowMember(absl::string_view collection, absl::string_view text);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_VALUES_H_
