#include "services/allinone/modules.h"

#include <utility>

#include "libs/journal/feed_module.h"
#include "services/access/module.h"
#include "services/contact/module.h"
#include "services/feedback/module.h"
#include "services/lifecycle/module.h"
#include "services/loyalty/module.h"

namespace clm::allinone {

std::vector<std::unique_ptr<app::Module>> NewModules() {
  auto feeds = std::make_shared<journal::FeedHandlers>();
  std::vector<std::unique_ptr<app::Module>> modules;
  modules.push_back(journal::NewFeedModule(feeds));
  modules.push_back(access::NewModule());
  modules.push_back(contact::NewModule(feeds));
  modules.push_back(lifecycle::NewModule(feeds));
  modules.push_back(loyalty::NewModule(feeds));
  modules.push_back(feedback::NewModule(feeds));
  return modules;
}

std::vector<pg::Schema> Schemas() {
  std::vector<pg::Schema> schemas;
  for (const auto& module : NewModules()) {
    for (pg::Schema& schema : module->Schemas()) schemas.push_back(std::move(schema));
  }
  return schemas;
}

}  // namespace clm::allinone
