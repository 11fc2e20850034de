// What the RPCs of BonusService do, in which order. Decisions are in bonuses.h, SQL is in
// bonus_work and bonus_reader.
#ifndef CLM_SERVICES_LOYALTY_BONUS_HANDLERS_H_
#define CLM_SERVICES_LOYALTY_BONUS_HANDLERS_H_

#include <functional>

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/bonus_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/bonus_reader.h"
#include "services/loyalty/loyalty_reader.h"

namespace clm::loyalty {

// Thread-safe.
class BonusHandlers {
 public:
  // All of it outlives the handlers.
  struct Parts {
    journal::Lanes* lanes = nullptr;  // Of LoyaltyWork.
    BonusReader* reader = nullptr;
    LoyaltyReader* programs = nullptr;
    const PageTokens* tokens = nullptr;
    std::function<void()> wake;  // Told when there is a run to carry out. May be null.
  };
  explicit BonusHandlers(Parts parts) : parts_(std::move(parts)) {}

  void CreateBonusRun(const rpc::Call& call, const v1::CreateBonusRunRequest& request,
                      rpc::Reply<v1::BonusRun> reply);
  absl::StatusOr<v1::BonusRun> GetBonusRun(const rpc::Call& call,
                                           const v1::GetBonusRunRequest& request);
  absl::StatusOr<v1::ListBonusRunsResponse> ListBonusRuns(const rpc::Call& call,
                                                          const v1::ListBonusRunsRequest& request);
  void CancelBonusRun(const rpc::Call& call, const v1::CancelBonusRunRequest& request,
                      rpc::Reply<v1::BonusRun> reply);
  absl::StatusOr<v1::ListBonusRunMembersResponse> ListBonusRunMembers(
      const rpc::Call& call, const v1::ListBonusRunMembersRequest& request);

 private:
  const Parts parts_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BONUS_HANDLERS_H_
