// A consumer of another service's journal as a part of a service's module.
#ifndef CLM_LIBS_JOURNAL_CONSUMER_IN_MODULE_H_
#define CLM_LIBS_JOURNAL_CONSUMER_IN_MODULE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "libs/app/module.h"
#include "libs/journal/consumer.h"
#include "libs/journal/feed_service.h"

namespace clm::journal {

// A Consumer that reads the source's feed over its channel, with the process's metrics and log.
// Make it and Start() it in Serve, Stop() it in Drain, and destroy it before the lanes.
class ConsumerInModule {
 public:
  // `options` says source, pool, lanes and handler, and how much is fetched; the rest is set here.
  // FAILED_PRECONDITION when the source runs nowhere, see app::Runtime::Channel.
  static absl::StatusOr<std::unique_ptr<ConsumerInModule>> New(app::Runtime& runtime,
                                                               const std::string& service,
                                                               Consumer::Options options);

  void Start() { consumer_->Start(); }
  void Stop() { consumer_->Stop(); }

 private:
  explicit ConsumerInModule(std::unique_ptr<RemoteFeed> feed) : feed_(std::move(feed)) {}

  std::unique_ptr<RemoteFeed> feed_;
  std::unique_ptr<Consumer> consumer_;
  std::shared_ptr<void> lag_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_CONSUMER_IN_MODULE_H_
