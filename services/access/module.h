// The access service as a module. Lives in the contact service's process.
#ifndef CLM_SERVICES_ACCESS_MODULE_H_
#define CLM_SERVICES_ACCESS_MODULE_H_

#include <memory>

#include "libs/app/module.h"

namespace clm::access {

std::unique_ptr<app::Module> NewModule();

}  // namespace clm::access

#endif  // CLM_SERVICES_ACCESS_MODULE_H_
