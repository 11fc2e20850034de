// The contact service as a module.
#ifndef CLM_SERVICES_CONTACT_MODULE_H_
#define CLM_SERVICES_CONTACT_MODULE_H_

#include <memory>

#include "libs/app/module.h"
#include "libs/journal/feed_service.h"
#include "libs/pg/migrate.h"

namespace clm::contact {

// Serves its journal through `feeds`.
std::unique_ptr<app::Module> NewModule(std::shared_ptr<journal::FeedHandlers> feeds);

// Journal and contact tables.
pg::Schema FullSchema();

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_MODULE_H_
