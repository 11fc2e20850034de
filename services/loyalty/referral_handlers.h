// The RPCs of ReferralService.
#ifndef CLM_SERVICES_LOYALTY_REFERRAL_HANDLERS_H_
#define CLM_SERVICES_LOYALTY_REFERRAL_HANDLERS_H_

#include <string>

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/referral_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/coupon_guesses.h"
#include "services/loyalty/referral_reader.h"

namespace clm::loyalty {

// Thread-safe.
class ReferralHandlers {
 public:
  struct Parts {
    journal::Lanes* lanes = nullptr;  // Of LoyaltyWork.
    ReferralReader* reader = nullptr;
    CouponGuesses* guesses = nullptr;
    const PageTokens* tokens = nullptr;
    std::string secret;  // Keys the hashes of what tells people apart.
  };
  explicit ReferralHandlers(Parts parts) : parts_(std::move(parts)) {}

  void CreateReferralCode(const rpc::Call& call, const v1::CreateReferralCodeRequest& request,
                          rpc::Reply<v1::ReferralCode> reply);
  absl::StatusOr<v1::ReferralCode> GetReferralCode(const rpc::Call& call,
                                                   const v1::GetReferralCodeRequest& request);
  absl::StatusOr<v1::ListReferralCodesResponse> ListReferralCodes(
      const rpc::Call& call, const v1::ListReferralCodesRequest& request);
  void ClaimReferral(const rpc::Call& call, const v1::ClaimReferralRequest& request,
                     rpc::Reply<v1::Referral> reply);
  absl::StatusOr<v1::Referral> GetReferral(const rpc::Call& call,
                                           const v1::GetReferralRequest& request);
  absl::StatusOr<v1::ListReferralsResponse> ListReferrals(const rpc::Call& call,
                                                          const v1::ListReferralsRequest& request);
  void CancelReferral(const rpc::Call& call, const v1::CancelReferralRequest& request,
                      rpc::Reply<v1::Referral> reply);

 private:
  const Parts parts_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REFERRAL_HANDLERS_H_
