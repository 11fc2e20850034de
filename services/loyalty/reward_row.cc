#include "services/loyalty/reward_row.h"

#include <string>

#include "libs/base/status_macros.h"
#include "services/loyalty/reward_proto.h"

namespace clm::loyalty {

absl::StatusOr<StoredReward> ReadStoredReward(const pg::Row& row, int column) {
  StoredReward reward;
  int at = column;
  reward.key.tenant = std::string(row.Text(at++));
  reward.key.program = std::string(row.Text(at++));
  reward.key.id = std::string(row.Text(at++));
  CLM_RETURN_IF_ERROR(ReadBody(row.Bytes(at++), reward));
  reward.redeemed = row.Int(at++);
  reward.create_time = row.Time(at++);
  reward.update_time = row.Time(at++);
  reward.version = row.Int(at);
  return reward;
}

StoredRedemption ReadRedemption(const pg::Row& row, int column) {
  StoredRedemption redemption;
  int at = column;
  redemption.key.reward.tenant = std::string(row.Text(at++));
  redemption.key.reward.program = std::string(row.Text(at++));
  redemption.key.reward.id = std::string(row.Text(at++));
  redemption.key.id = row.Uuid(at++);
  redemption.contact = row.OptUuid(at++);
  redemption.person = row.OptUuid(at++);
  redemption.state = static_cast<RedemptionState>(row.Int(at++));
  redemption.cost = row.Int(at++);
  redemption.wallet = std::string(row.Text(at++));
  redemption.posting = row.Int(at++);
  redemption.coupon = row.OptUuid(at++);
  redemption.source = std::string(row.Text(at++));
  redemption.external_id = std::string(row.Text(at++));
  redemption.create_time = row.Time(at++);
  redemption.cancel_time = row.OptTime(at++);
  redemption.version = row.Int(at);
  return redemption;
}

}  // namespace clm::loyalty
