// The feed service as a module: one per process, for the journals of all its services.
#ifndef CLM_LIBS_JOURNAL_FEED_MODULE_H_
#define CLM_LIBS_JOURNAL_FEED_MODULE_H_

#include <memory>

#include "libs/app/module.h"
#include "libs/journal/feed_service.h"

namespace clm::journal {

// Stands before the modules that add their feeds to `feeds`.
std::unique_ptr<app::Module> NewFeedModule(std::shared_ptr<FeedHandlers> feeds);

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_FEED_MODULE_H_
