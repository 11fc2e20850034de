// Everything OrderService needs within the loyalty module, put together: the module makes one after
// its pool and lanes, registers Binding(), and destroys it before them.
#ifndef CLM_SERVICES_LOYALTY_ORDER_MODULE_PART_H_
#define CLM_SERVICES_LOYALTY_ORDER_MODULE_PART_H_

#include <memory>

#include "clm/loyalty/v1/order_service.grpc.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "libs/rpc/service.h"
#include "services/loyalty/order_handlers.h"
#include "services/loyalty/order_reader.h"

namespace clm::loyalty {

class OrderBinding : public rpc::Service {
 public:
  OrderBinding(rpc::Host& host, OrderHandlers& handlers)
      : Service(host, v1::OrderService::service_full_name()) {
    Bind("CreateOrder", &handlers, &OrderHandlers::CreateOrder);
    Bind("GetOrder", &handlers, &OrderHandlers::GetOrder);
    Bind("ListOrders", &handlers, &OrderHandlers::ListOrders);
    Bind("UpdateOrder", &handlers, &OrderHandlers::UpdateOrder);
    Bind("CloseOrder", &handlers, &OrderHandlers::CloseOrder);
    Bind("CancelOrder", &handlers, &OrderHandlers::CancelOrder);
    Bind("ReturnOrderLines", &handlers, &OrderHandlers::ReturnOrderLines);
    Bind("ReopenOrder", &handlers, &OrderHandlers::ReopenOrder);
  }
};

class OrderModulePart {
 public:
  // `lanes` are those of points. All pointers outlive it.
  OrderModulePart(pg::Pool* pool, journal::Lanes* lanes, const PageTokens* tokens)
      : reader_(pool), handlers_({.lanes = lanes, .reader = &reader_, .tokens = tokens}) {}

  std::unique_ptr<OrderBinding> Binding(rpc::Host& host) {
    return std::make_unique<OrderBinding>(host, handlers_);
  }
  OrderHandlers& handlers() { return handlers_; }

 private:
  OrderReader reader_;
  OrderHandlers handlers_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ORDER_MODULE_PART_H_
