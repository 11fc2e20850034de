#include "libs/app/run.h"
#include "libs/journal/feed_module.h"
#include "services/feedback/module.h"

int main(int argc, char** argv) {
  auto feeds = std::make_shared<clm::journal::FeedHandlers>();
  std::vector<std::unique_ptr<clm::app::Module>> modules;
  modules.push_back(clm::journal::NewFeedModule(feeds));
  modules.push_back(clm::feedback::NewModule(feeds));
  return clm::app::Run("clm-feedback", argc, argv, std::move(modules));
}
