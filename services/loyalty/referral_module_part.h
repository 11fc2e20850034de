// Everything ReferralService needs within the loyalty module, put together: the module makes one
// after its pool and lanes, registers Binding(), and destroys it before them.
#ifndef CLM_SERVICES_LOYALTY_REFERRAL_MODULE_PART_H_
#define CLM_SERVICES_LOYALTY_REFERRAL_MODULE_PART_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "clm/loyalty/v1/referral_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "libs/rpc/service.h"
#include "services/loyalty/due_referrals.h"
#include "services/loyalty/referral_handlers.h"
#include "services/loyalty/referral_reader.h"

namespace clm::loyalty {

class ReferralBinding : public rpc::Service {
 public:
  ReferralBinding(rpc::Host& host, ReferralHandlers& handlers)
      : Service(host, v1::ReferralService::service_full_name()) {
    Bind("CreateReferralCode", &handlers, &ReferralHandlers::CreateReferralCode);
    Bind("GetReferralCode", &handlers, &ReferralHandlers::GetReferralCode);
    Bind("ListReferralCodes", &handlers, &ReferralHandlers::ListReferralCodes);
    Bind("ClaimReferral", &handlers, &ReferralHandlers::ClaimReferral);
    Bind("GetReferral", &handlers, &ReferralHandlers::GetReferral);
    Bind("ListReferrals", &handlers, &ReferralHandlers::ListReferrals);
    Bind("CancelReferral", &handlers, &ReferralHandlers::CancelReferral);
  }
};

class ReferralModulePart {
 public:
  // `lanes` are those of LoyaltyWork. All pointers outlive it.
  ReferralModulePart(pg::Pool* pool, journal::Lanes* lanes, const Clock* clock,
                     const PageTokens* tokens, std::string secret,
                     std::function<void(const absl::Status&)> on_trouble = nullptr)
      : reader_(pool),
        guesses_(pool),
        due_({.reader = &reader_,
              .lanes = lanes,
              .clock = clock,
              .on_trouble = std::move(on_trouble)}),
        handlers_({.lanes = lanes,
                   .reader = &reader_,
                   .guesses = &guesses_,
                   .tokens = tokens,
                   .secret = std::move(secret)}) {}

  std::unique_ptr<ReferralBinding> Binding(rpc::Host& host) {
    return std::make_unique<ReferralBinding>(host, handlers_);
  }
  ReferralHandlers& handlers() { return handlers_; }
  DueReferrals& due() { return due_; }

 private:
  ReferralReader reader_;
  CouponGuesses guesses_;
  DueReferrals due_;
  ReferralHandlers handlers_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REFERRAL_MODULE_PART_H_
