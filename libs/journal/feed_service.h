// Serves the journals of this process's services to the other services.
#ifndef CLM_LIBS_JOURNAL_FEED_SERVICE_H_
#define CLM_LIBS_JOURNAL_FEED_SERVICE_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/journal/consumer.h"
#include "libs/journal/feed.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "libs/rpc/reply.h"
#include "libs/rpc/service.h"

namespace grpc {
class Channel;
}

namespace clm::journal {

// Thread-safe. One per process, for all journals it serves.
class FeedHandlers {
 public:
  // Where the database is read; before the first call.
  void UseWorkers(rpc::Workers* workers) { workers_ = workers; }

  // `feed` must outlive the server, or be taken out by Remove before it goes.
  void Add(const std::string& source, Feed* feed);
  void Remove(const std::string& source);

  void Fetch(const rpc::Call& call, const event::v1::FetchRequest& request,
             rpc::Reply<event::v1::FetchResponse> reply);

 private:
  rpc::Workers* workers_ = nullptr;
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, Feed*> feeds_ ABSL_GUARDED_BY(mu_);
};

class FeedBinding : public rpc::Service {
 public:
  FeedBinding(rpc::Host& host, FeedHandlers& handlers);
};

// Fetches over `channel`, as `identity`.
FetchFn FetchOver(std::shared_ptr<grpc::Channel> channel, rpc::ClientIdentity identity);

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_FEED_SERVICE_H_
