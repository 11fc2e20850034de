// Serves the journals of this process's services to the other services.
#ifndef CLM_LIBS_JOURNAL_FEED_SERVICE_H_
#define CLM_LIBS_JOURNAL_FEED_SERVICE_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clm/event/v1/event_feed_service.grpc.pb.h"
#include "libs/journal/consumer.h"
#include "libs/journal/feed.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "libs/rpc/reply.h"
#include "libs/rpc/service.h"

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

// The feeds behind `channel`, fetched as `identity`. Thread-safe; one fetch at a time.
class RemoteFeed {
 public:
  RemoteFeed(std::shared_ptr<grpc::Channel> channel, rpc::ClientIdentity identity);
  ~RemoteFeed();

  absl::StatusOr<event::v1::FetchResponse> Fetch(const event::v1::FetchRequest& request,
                                                 absl::Time deadline);
  // Ends the fetch under way, and all later ones, with CANCELLED.
  void Cancel();

 private:
  const std::unique_ptr<event::v1::EventFeedService::Stub> stub_;
  const rpc::ClientIdentity identity_;
  absl::Mutex mu_;
  grpc::ClientContext* under_way_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_FEED_SERVICE_H_
