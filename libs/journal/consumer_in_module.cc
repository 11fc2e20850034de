#include "libs/journal/consumer_in_module.h"

#include <utility>

#include "libs/base/status_macros.h"
#include "libs/obs/log.h"

namespace clm::journal {

absl::StatusOr<std::unique_ptr<ConsumerInModule>> ConsumerInModule::New(app::Runtime& runtime,
                                                                        const std::string& service,
                                                                        Consumer::Options options) {
  CLM_ASSIGN_OR_RETURN(auto channel, runtime.Channel(options.source));
  auto made = std::unique_ptr<ConsumerInModule>(
      new ConsumerInModule(std::make_unique<RemoteFeed>(std::move(channel), runtime.identity())));
  const obs::Labels labels = {{"service", service}, {"source", options.source}};
  options.fetch = [feed = made->feed_.get()](const event::v1::FetchRequest& request,
                                             absl::Time deadline) {
    return feed->Fetch(request, deadline);
  };
  options.cancel_fetch = [feed = made->feed_.get()] { feed->Cancel(); };
  obs::Counter& parked = runtime.metrics().GetCounter(
      "clm_events_parked_total", "Events put aside because they could not be applied.", labels);
  options.on_parked = [&parked](const event::v1::Event& event, const absl::Status& status) {
    parked.Add();
    obs::Error("event parked", {{"event", event.id()}, {"type", event.type()}, {"error", status}});
  };
  options.on_trouble = [source = options.source](const absl::Status& status) {
    obs::Warn("a feed is held up", {{"source", source}, {"error", status}});
  };
  made->consumer_ = std::make_unique<Consumer>(std::move(options));
  made->lag_ = runtime.metrics().WatchGauge(
      "clm_feed_lag_events", "Events known to exist and not applied; shards of this process.",
      labels,
      [consumer = made->consumer_.get()] { return static_cast<double>(consumer->stats().lag); });
  return made;
}

}  // namespace clm::journal
