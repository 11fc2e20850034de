#include "services/loyalty/coupon_products.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/base/error.h"

namespace clm::loyalty {
namespace {

using Skus = std::vector<std::string>;

bool Contains(const Skus& skus, const std::string& sku) {
  return std::find(skus.begin(), skus.end(), sku) != skus.end();
}

// Pieces of one price.
struct Pieces {
  int64_t unit_price_minor = 0;
  int64_t quantity = 0;
};

int64_t NumberOf(const std::vector<Pieces>& all) {
  int64_t number = 0;
  for (const Pieces& pieces : all) number += pieces.quantity;
  return number;
}

// At most its price is taken off a piece, so the sum is within that of the lines.
int64_t TakenOffCheapest(const Coupon& coupon, std::vector<Pieces> all, int64_t free) {
  std::sort(all.begin(), all.end(), [](const Pieces& a, const Pieces& b) {
    return a.unit_price_minor < b.unit_price_minor;
  });
  const int64_t share = coupon.basis_points == 0 ? kWholeBasisPoints : coupon.basis_points;
  int64_t sum = 0;
  for (const Pieces& pieces : all) {
    const int64_t taken = std::min(free, pieces.quantity);
    sum += taken * ShareOf(pieces.unit_price_minor, share, coupon.rounding);
    free -= taken;
  }
  return sum;
}

absl::Status Lacks(int64_t missing) {
  return error::Precondition(
      "COUPON_PRODUCTS",
      absl::StrCat("order.lines: ", missing, missing == 1 ? " piece" : " pieces",
                   " of what the coupon is for are missing"),
      {{"missing", absl::StrCat(missing)}});
}

// How many of `number` pieces are free that are bought and free alike.
int64_t FreeOfSame(const Coupon& coupon, int64_t number) {
  const int64_t set = coupon.buy_quantity + coupon.free_quantity;
  const int64_t sets = number / set;
  if (coupon.most_applications != 0 && sets >= coupon.most_applications) {
    return coupon.most_applications * coupon.free_quantity;
  }
  return sets * coupon.free_quantity + std::max<int64_t>(0, number % set - coupon.buy_quantity);
}

void CheckSkus(absl::string_view field, const Skus& skus, error::FieldErrors& errors) {
  if (skus.size() > kMaxCouponSkus) {
    errors.Add(field, absl::StrCat("must be at most ", kMaxCouponSkus));
  }
  std::set<std::string> seen;
  for (const std::string& sku : skus) {
    if (sku.empty()) errors.Add(field, "must not contain an empty one");
    if (!seen.insert(sku).second) errors.Add(field, "contains one of them twice");
  }
}

}  // namespace

bool IsAboutProducts(Coupon::Kind kind) {
  return kind == Coupon::Kind::kFreeProduct || kind == Coupon::Kind::kBuyXGetY;
}

absl::Status ValidateProducts(const Coupon& coupon) {
  error::FieldErrors errors;
  const bool buy = coupon.kind == Coupon::Kind::kBuyXGetY;
  const bool free = IsAboutProducts(coupon.kind);
  if (coupon.kind == Coupon::Kind::kFreeProduct && coupon.skus.empty()) {
    errors.Add("skus", "must name what is free");
  }
  if (!free && !coupon.skus.empty()) errors.Add("skus", "must be empty: it is about no products");
  if (!buy && !coupon.free_skus.empty()) {
    errors.Add("free_skus", "must be empty: only a coupon of BUY_X_GET_Y has them");
  }
  CheckSkus("skus", coupon.skus, errors);
  CheckSkus("free_skus", coupon.free_skus, errors);
  for (const std::string& sku : coupon.free_skus) {
    if (!Contains(coupon.skus, sku)) continue;
    errors.Add("free_skus", "must not name what is in skus; leave it empty for the same products");
    break;
  }
  const auto check = [&](absl::string_view field, int64_t value, bool of_kind, int64_t least) {
    const int64_t low = of_kind ? least : 0;
    const int64_t high = of_kind ? kMaxCouponPieces : 0;
    if (value < low || value > high) {
      errors.Add(field, of_kind ? absl::StrCat("must be ", low, " to ", high)
                                : "must be 0 for a coupon of this kind");
    }
  };
  check("buy_quantity", coupon.buy_quantity, buy, 1);
  check("free_quantity", coupon.free_quantity, free, 1);
  check("most_applications", coupon.most_applications, buy, 0);
  return errors.ToStatus();
}

absl::Status ValidateLines(const std::vector<CouponLine>& lines) {
  error::FieldErrors errors;
  absl::int128 sum = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto check = [&](absl::string_view field, int64_t value, int64_t least, int64_t most) {
      if (value >= least && value <= most) return;
      errors.Add(absl::StrCat("lines[", i, "].", field),
                 absl::StrCat("must be ", least, " to ", most));
    };
    check("quantity", lines[i].quantity, 1, kMaxCouponPieces);
    check("unit_price_minor", lines[i].unit_price_minor, 0, kMaxCouponMinor);
    sum += absl::int128(lines[i].quantity) * lines[i].unit_price_minor;
  }
  if (errors.empty() && sum > kMaxCouponMinor) {
    errors.Add("lines", absl::StrCat("must come to at most ", kMaxCouponMinor));
  }
  return errors.ToStatus();
}

absl::StatusOr<int64_t> ProductDiscount(const Coupon& coupon,
                                        const std::vector<CouponLine>& lines) {
  if (lines.empty()) {
    return error::Precondition("COUPON_LINES_NEEDED",
                               "order.lines: the coupon is about products; say what is in the "
                               "order");
  }
  std::vector<Pieces> named, gifts;
  for (const CouponLine& line : lines) {
    const Pieces pieces{line.unit_price_minor, line.quantity};
    if (Contains(coupon.free_skus, line.sku)) {
      gifts.push_back(pieces);
    } else if (coupon.skus.empty() || Contains(coupon.skus, line.sku)) {
      named.push_back(pieces);
    }
  }
  const int64_t number = NumberOf(named);
  if (coupon.kind == Coupon::Kind::kFreeProduct) {
    if (number == 0) return Lacks(1);
    return TakenOffCheapest(coupon, std::move(named), coupon.free_quantity);
  }
  if (coupon.free_skus.empty()) {
    const int64_t free = FreeOfSame(coupon, number);
    if (free == 0) return Lacks(coupon.buy_quantity + 1 - number);
    return TakenOffCheapest(coupon, std::move(named), free);
  }
  int64_t times = number / coupon.buy_quantity;
  if (coupon.most_applications != 0) times = std::min(times, coupon.most_applications);
  if (times == 0) return Lacks(coupon.buy_quantity - number);
  if (gifts.empty()) return Lacks(1);
  return TakenOffCheapest(coupon, std::move(gifts), times * coupon.free_quantity);
}

}  // namespace clm::loyalty
