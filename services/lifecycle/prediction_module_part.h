// Everything PredictionService needs within the lifecycle module, put together: the module makes
// one after its pool, registers Binding(), and destroys it before that.
#ifndef CLM_SERVICES_LIFECYCLE_PREDICTION_MODULE_PART_H_
#define CLM_SERVICES_LIFECYCLE_PREDICTION_MODULE_PART_H_

#include <functional>
#include <memory>
#include <utility>

#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "services/lifecycle/prediction_handlers.h"
#include "services/lifecycle/prediction_service.h"
#include "services/lifecycle/prediction_store.h"
#include "services/lifecycle/prediction_work.h"

namespace clm::lifecycle {

class PredictionModulePart {
 public:
  // `on_commit` is told the new heads of the journal, as by Lanes::Options. All pointers outlive
  // it.
  PredictionModulePart(pg::Pool* pool, const Clock* clock, const PageTokens* tokens,
                       std::function<void(const journal::Offsets&)> on_commit = nullptr)
      : store_(pool),
        lanes_({.pool = pool,
                .clock = clock,
                .new_work = [] { return std::make_unique<PredictionWork>(); },
                .executors = 1,
                .on_commit = std::move(on_commit)}),
        handlers_({.store = &store_, .lanes = &lanes_, .tokens = tokens}) {}

  std::unique_ptr<PredictionBinding> Binding(rpc::Host& host) {
    return std::make_unique<PredictionBinding>(host, handlers_);
  }
  PredictionHandlers& handlers() { return handlers_; }
  void Drain() { lanes_.Drain(); }

 private:
  PredictionStore store_;
  journal::Lanes lanes_;
  PredictionHandlers handlers_;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PREDICTION_MODULE_PART_H_
