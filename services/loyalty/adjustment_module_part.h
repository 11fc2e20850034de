// Everything AdjustmentService needs within the loyalty module, put together: the module makes one
// after its pool and lanes, registers Binding(), and destroys it before them.
#ifndef CLM_SERVICES_LOYALTY_ADJUSTMENT_MODULE_PART_H_
#define CLM_SERVICES_LOYALTY_ADJUSTMENT_MODULE_PART_H_

#include <memory>

#include "clm/loyalty/v1/adjustment_service.grpc.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "libs/rpc/service.h"
#include "services/loyalty/adjustment_handlers.h"
#include "services/loyalty/adjustment_reader.h"

namespace clm::loyalty {

class AdjustmentBinding : public rpc::Service {
 public:
  AdjustmentBinding(rpc::Host& host, AdjustmentHandlers& handlers)
      : Service(host, v1::AdjustmentService::service_full_name()) {
    Bind("ProposeAdjustment", &handlers, &AdjustmentHandlers::ProposeAdjustment);
    Bind("GetAdjustment", &handlers, &AdjustmentHandlers::GetAdjustment);
    Bind("ListAdjustments", &handlers, &AdjustmentHandlers::ListAdjustments);
    Bind("ApproveAdjustment", &handlers, &AdjustmentHandlers::ApproveAdjustment);
    Bind("RejectAdjustment", &handlers, &AdjustmentHandlers::RejectAdjustment);
  }
};

class AdjustmentModulePart {
 public:
  // `lanes` are those of points. All pointers outlive it.
  AdjustmentModulePart(pg::Pool* pool, journal::Lanes* lanes, const PageTokens* tokens)
      : reader_(pool), handlers_({.lanes = lanes, .reader = &reader_, .tokens = tokens}) {}

  std::unique_ptr<AdjustmentBinding> Binding(rpc::Host& host) {
    return std::make_unique<AdjustmentBinding>(host, handlers_);
  }
  AdjustmentHandlers& handlers() { return handlers_; }

 private:
  AdjustmentReader reader_;
  AdjustmentHandlers handlers_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ADJUSTMENT_MODULE_PART_H_
