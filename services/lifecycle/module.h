// The lifecycle service as a module.
#ifndef CLM_SERVICES_LIFECYCLE_MODULE_H_
#define CLM_SERVICES_LIFECYCLE_MODULE_H_

#include <memory>

#include "libs/app/module.h"
#include "libs/journal/feed_service.h"

namespace clm::lifecycle {

// Serves its journal through `feeds`, and consumes that of the contact service, and of the loyalty
// service where there is one.
std::unique_ptr<app::Module> NewModule(std::shared_ptr<journal::FeedHandlers> feeds);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_MODULE_H_
