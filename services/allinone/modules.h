// The whole suite as one list of modules, for everything that runs it in one process: clm-allinone,
// `clm up` and tests.
#ifndef CLM_SERVICES_ALLINONE_MODULES_H_
#define CLM_SERVICES_ALLINONE_MODULES_H_

#include <memory>
#include <vector>

#include "libs/app/module.h"

namespace clm::allinone {

// In the order of their start.
std::vector<std::unique_ptr<app::Module>> NewModules();

// The databases of all services.
std::vector<pg::Schema> Schemas();

}  // namespace clm::allinone

#endif  // CLM_SERVICES_ALLINONE_MODULES_H_
