// The feedback service as a part of a process.
#ifndef CLM_SERVICES_FEEDBACK_MODULE_H_
#define CLM_SERVICES_FEEDBACK_MODULE_H_

#include <memory>

#include "libs/app/module.h"
#include "libs/journal/feed_service.h"
#include "libs/pg/migrate.h"

namespace clm::feedback {

// `feeds` is where the process serves its journals.
std::unique_ptr<app::Module> NewModule(std::shared_ptr<journal::FeedHandlers> feeds);

// Its own migrations and those of its journal.
pg::Schema FullSchema();

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_MODULE_H_
