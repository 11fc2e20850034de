// What the RPCs of OrderService do, in which order. Decisions are in the pure rules (orders.h,
// order_states.h, earn_rules.h), SQL is in order_work and order_reader.
#ifndef CLM_SERVICES_LOYALTY_ORDER_HANDLERS_H_
#define CLM_SERVICES_LOYALTY_ORDER_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/order_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/order_reader.h"

namespace clm::loyalty {

// Thread-safe.
class OrderHandlers {
 public:
  // All of it outlives the handlers.
  struct Parts {
    journal::Lanes* lanes = nullptr;  // Of LoyaltyWork.
    OrderReader* reader = nullptr;
    const PageTokens* tokens = nullptr;
  };
  explicit OrderHandlers(const Parts& parts) : parts_(parts) {}

  void CreateOrder(const rpc::Call& call, const v1::CreateOrderRequest& request,
                   rpc::Reply<v1::Order> reply);
  absl::StatusOr<v1::Order> GetOrder(const rpc::Call& call, const v1::GetOrderRequest& request);
  absl::StatusOr<v1::ListOrdersResponse> ListOrders(const rpc::Call& call,
                                                    const v1::ListOrdersRequest& request);
  void UpdateOrder(const rpc::Call& call, const v1::UpdateOrderRequest& request,
                   rpc::Reply<v1::Order> reply);
  void CloseOrder(const rpc::Call& call, const v1::CloseOrderRequest& request,
                  rpc::Reply<v1::CloseOrderResponse> reply);
  void CancelOrder(const rpc::Call& call, const v1::CancelOrderRequest& request,
                   rpc::Reply<v1::Order> reply);
  void ReturnOrderLines(const rpc::Call& call, const v1::ReturnOrderLinesRequest& request,
                        rpc::Reply<v1::Order> reply);
  void ReopenOrder(const rpc::Call& call, const v1::ReopenOrderRequest& request,
                   rpc::Reply<v1::Order> reply);

 private:
  const Parts parts_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ORDER_HANDLERS_H_
