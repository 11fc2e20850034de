// Everything BonusService needs within the loyalty module, put together: the module makes one after
// its pool, reader and lanes, registers Binding(), starts runner() and stops it, and destroys it
// before them.
#ifndef CLM_SERVICES_LOYALTY_BONUS_MODULE_PART_H_
#define CLM_SERVICES_LOYALTY_BONUS_MODULE_PART_H_

#include <functional>
#include <memory>
#include <utility>

#include "clm/loyalty/v1/bonus_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "libs/rpc/service.h"
#include "services/loyalty/bonus_handlers.h"
#include "services/loyalty/bonus_reader.h"
#include "services/loyalty/bonus_runner.h"

namespace clm::loyalty {

class BonusBinding : public rpc::Service {
 public:
  BonusBinding(rpc::Host& host, BonusHandlers& handlers)
      : Service(host, v1::BonusService::service_full_name()) {
    Bind("CreateBonusRun", &handlers, &BonusHandlers::CreateBonusRun);
    Bind("GetBonusRun", &handlers, &BonusHandlers::GetBonusRun);
    Bind("ListBonusRuns", &handlers, &BonusHandlers::ListBonusRuns);
    Bind("CancelBonusRun", &handlers, &BonusHandlers::CancelBonusRun);
    Bind("ListBonusRunMembers", &handlers, &BonusHandlers::ListBonusRunMembers);
  }
};

class BonusModulePart {
 public:
  // `lanes` are those of points. All pointers outlive it.
  BonusModulePart(pg::Pool* pool, LoyaltyReader* members, journal::Lanes* lanes, const Clock* clock,
                  const PageTokens* tokens,
                  std::function<void(const absl::Status&)> on_trouble = nullptr)
      : reader_(pool),
        runner_({.reader = &reader_,
                 .members = members,
                 .lanes = lanes,
                 .clock = clock,
                 .on_trouble = std::move(on_trouble)}),
        handlers_({.lanes = lanes,
                   .reader = &reader_,
                   .programs = members,
                   .tokens = tokens,
                   .wake = [this] { runner_.Wake(); }}) {}

  std::unique_ptr<BonusBinding> Binding(rpc::Host& host) {
    return std::make_unique<BonusBinding>(host, handlers_);
  }
  BonusHandlers& handlers() { return handlers_; }
  BonusRunner& runner() { return runner_; }
  BonusReader& reader() { return reader_; }

 private:
  BonusReader reader_;
  BonusRunner runner_;
  BonusHandlers handlers_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BONUS_MODULE_PART_H_
