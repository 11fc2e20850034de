#include "services/loyalty/reward_proto.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/coupon_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

// Only what TermsFromProto reads.
v1::Reward RewardTermsToProto(const StoredReward& reward) {
  v1::Reward out;
  const Reward& terms = reward.terms;
  out.set_display_name(reward.display_name);
  out.set_description(reward.description);
  out.set_cost(terms.cost);
  out.set_wallet(terms.wallet);
  out.set_stock(terms.stock);
  out.set_member_limit(terms.member_limit);
  if (terms.start > absl::InfinitePast()) clm::ToProto(terms.start, out.mutable_start_time());
  if (terms.end < absl::InfiniteFuture()) clm::ToProto(terms.end, out.mutable_end_time());
  out.set_minimum_tier(terms.minimum_tier);
  if (reward.coupon) *out.mutable_coupon() = *reward.coupon;
  out.set_archived(terms.archived);
  return out;
}

}  // namespace

absl::StatusOr<RewardKey> ParseRewardName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/rewards/*", name));
  return RewardKey{std::move(segments[0]), std::move(segments[1]), std::move(segments[2])};
}

absl::StatusOr<RedemptionKey> ParseRedemptionName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(
      auto segments,
      ParseResourceName(field, "tenants/*/programs/*/rewards/*/redemptions/*", name));
  const auto id = Uuid::Parse(segments[3]);
  if (!id) return error::InvalidField(field, "redemptions/ must be followed by a UUID");
  return RedemptionKey{{std::move(segments[0]), std::move(segments[1]), std::move(segments[2])},
                       *id};
}

std::string NameOf(const RewardKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/rewards/", key.id);
}

std::string NameOf(const RedemptionKey& key) {
  return absl::StrCat(NameOf(key.reward), "/redemptions/", key.id.ToString());
}

void TermsFromProto(const v1::Reward& reward, StoredReward& out) {
  out.display_name = reward.display_name();
  out.description = reward.description();
  Reward terms;
  terms.cost = reward.cost();
  terms.wallet = reward.wallet();
  terms.stock = reward.stock();
  terms.member_limit = reward.member_limit();
  if (reward.has_start_time()) terms.start = clm::FromProto(reward.start_time());
  if (reward.has_end_time()) terms.end = clm::FromProto(reward.end_time());
  terms.minimum_tier = reward.minimum_tier();
  terms.archived = reward.archived();
  out.terms = std::move(terms);
  out.coupon.reset();
  if (reward.has_coupon()) out.coupon = reward.coupon();
}

v1::Reward ToProto(const StoredReward& reward) {
  v1::Reward out = RewardTermsToProto(reward);
  out.set_name(NameOf(reward.key));
  out.set_redeemed(reward.redeemed);
  clm::ToProto(reward.create_time, out.mutable_create_time());
  clm::ToProto(reward.update_time, out.mutable_update_time());
  out.set_etag(Etag(reward.version));
  return out;
}

std::string BodyOf(const StoredReward& reward) {
  return RewardTermsToProto(reward).SerializeAsString();
}

absl::Status ReadBody(const std::string& body, StoredReward& reward) {
  v1::Reward terms;
  if (!terms.ParseFromString(body)) {
    return error::Internal("a reward is stored in an unknown form");
  }
  TermsFromProto(terms, reward);
  return absl::OkStatus();
}

v1::RewardRedemption ToProto(const StoredRedemption& redemption) {
  const RewardKey& reward = redemption.key.reward;
  v1::RewardRedemption out;
  out.set_name(NameOf(redemption.key));
  if (redemption.person) {
    out.set_member(NameOf(MemberKey{reward.tenant, reward.program, *redemption.person}));
  }
  out.set_state(static_cast<v1::RewardRedemption::State>(redemption.state));
  out.set_cost(redemption.cost);
  if (redemption.contact && redemption.posting != 0) {
    out.set_posting(NameOf(PostingKey{{reward.tenant, reward.program, *redemption.contact},
                                      redemption.wallet,
                                      redemption.posting}));
  }
  if (redemption.coupon) {
    out.set_coupon(NameOf(CouponKey{reward.tenant, reward.program, *redemption.coupon}));
  }
  out.set_source(redemption.source);
  out.set_external_id(redemption.external_id);
  clm::ToProto(redemption.create_time, out.mutable_create_time());
  if (redemption.cancel_time) clm::ToProto(*redemption.cancel_time, out.mutable_cancel_time());
  return out;
}

}  // namespace clm::loyalty
