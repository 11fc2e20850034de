// Everything InsightsService needs within the lifecycle module, put together: the module makes one
// after its pool and reader, registers Binding(), and destroys it before them.
#ifndef CLM_SERVICES_LIFECYCLE_INSIGHTS_MODULE_PART_H_
#define CLM_SERVICES_LIFECYCLE_INSIGHTS_MODULE_PART_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "services/lifecycle/insights_handlers.h"
#include "services/lifecycle/insights_service.h"
#include "services/lifecycle/insights_store.h"
#include "services/lifecycle/kpi_work.h"
#include "services/lifecycle/pg_lifecycle_store.h"

namespace clm::lifecycle {

class InsightsModulePart {
 public:
  // `on_commit` is told the new heads of the journal, as by Lanes::Options. All pointers outlive
  // it.
  InsightsModulePart(pg::Pool* pool, const Clock* clock, LifecycleReader* reader,
                     const PageTokens* tokens,
                     std::function<void(const journal::Offsets&)> on_commit = nullptr)
      : store_(pool),
        kpi_lanes_({.pool = pool,
                    .clock = clock,
                    .new_work = [] { return std::make_unique<KpiWork>(); },
                    .executors = 1,
                    .on_commit = std::move(on_commit)}),
        handlers_(
            {.store = &store_, .reader = reader, .kpi_lanes = &kpi_lanes_, .tokens = tokens}) {}

  std::unique_ptr<InsightsBinding> Binding(rpc::Host& host) {
    return std::make_unique<InsightsBinding>(host, handlers_);
  }
  InsightsHandlers& handlers() { return handlers_; }
  InsightsStore& store() { return store_; }
  void Drain() { kpi_lanes_.Drain(); }

 private:
  InsightsStore store_;
  journal::Lanes kpi_lanes_;
  InsightsHandlers handlers_;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_INSIGHTS_MODULE_PART_H_
