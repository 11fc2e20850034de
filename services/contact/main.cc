#include "libs/app/run.h"
#include "libs/journal/feed_module.h"
#include "services/access/module.h"
#include "services/contact/module.h"

int main(int argc, char** argv) {
  auto feeds = std::make_shared<clm::journal::FeedHandlers>();
  std::vector<std::unique_ptr<clm::app::Module>> modules;
  modules.push_back(clm::journal::NewFeedModule(feeds));
  modules.push_back(clm::access::NewModule());
  modules.push_back(clm::contact::NewModule(feeds));
  return clm::app::Run("clm-contact", argc, argv, std::move(modules));
}
