#include "libs/journal/feed_module.h"

#include <utility>

namespace clm::journal {
namespace {

class FeedModule : public app::Module {
 public:
  explicit FeedModule(std::shared_ptr<FeedHandlers> feeds) : feeds_(std::move(feeds)) {}
  std::string name() const override { return "feed"; }
  absl::Status Start(app::Runtime& runtime) override {
    feeds_->UseWorkers(&runtime.workers());
    return runtime.Register(std::make_unique<FeedBinding>(runtime.host(), *feeds_));
  }

 private:
  const std::shared_ptr<FeedHandlers> feeds_;
};

}  // namespace

std::unique_ptr<app::Module> NewFeedModule(std::shared_ptr<FeedHandlers> feeds) {
  return std::make_unique<FeedModule>(std::move(feeds));
}

}  // namespace clm::journal
