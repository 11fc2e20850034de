#include "libs/journal/feed_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/rpc/status.h"

namespace clm::journal {
namespace {

constexpr int kDefaultRecords = 512;

// Everything a waiting fetch needs; the request is valid until the call is answered.
struct Pending {
  Pending(rpc::Reply<event::v1::FetchResponse> r, Feed* f, Offsets p, int records)
      : reply(std::move(r)), feed(f), positions(std::move(p)), max_records(records) {}
  rpc::Reply<event::v1::FetchResponse> reply;
  Feed* feed;
  Offsets positions;
  int max_records;
};

void ReadAndAnswer(const std::shared_ptr<Pending>& pending) {
  pending->reply(pending->feed->Read(pending->positions, pending->max_records));
}

}  // namespace

void FeedHandlers::Add(const std::string& source, Feed* feed) {
  absl::MutexLock lock(&mu_);
  feeds_[source] = feed;
}

void FeedHandlers::Remove(const std::string& source) {
  absl::MutexLock lock(&mu_);
  feeds_.erase(source);
}

void FeedHandlers::Fetch(const rpc::Call& call, const event::v1::FetchRequest& request,
                         rpc::Reply<event::v1::FetchResponse> reply) {
  Feed* feed = nullptr;
  {
    absl::MutexLock lock(&mu_);
    const auto it = feeds_.find(request.source());
    if (it != feeds_.end()) feed = it->second;
  }
  if (feed == nullptr) {
    return reply(
        error::InvalidField("source", absl::StrCat("'", request.source(), "' is not served here")));
  }
  Offsets positions;
  for (const auto& p : request.positions()) positions.emplace_back(p.shard(), p.after_offset());
  const int records = request.max_records() == 0 ? kDefaultRecords : request.max_records();
  const absl::Time until = std::min(absl::Now() + absl::Milliseconds(request.wait_millis()),
                                    call.deadline - absl::Milliseconds(50));
  if (request.wait_millis() > 0) reply.Park();
  auto pending = std::make_shared<Pending>(std::move(reply), feed, std::move(positions), records);
  const Offsets wanted = pending->positions;
  feed->Wait(wanted, until, [this, pending](bool something) {
    if (!something) return pending->reply(event::v1::FetchResponse());
    if (!workers_->Post([pending] { ReadAndAnswer(pending); })) {
      pending->reply(error::Unavailable("OVERLOADED", "the server is busy; fetch again",
                                        absl::Milliseconds(50)));
    }
  });
}

FeedBinding::FeedBinding(rpc::Host& host, FeedHandlers& handlers)
    : Service(host, event::v1::EventFeedService::service_full_name()) {
  Bind("Fetch", &handlers, &FeedHandlers::Fetch);
}

RemoteFeed::RemoteFeed(std::shared_ptr<grpc::Channel> channel, rpc::ClientIdentity identity)
    : stub_(event::v1::EventFeedService::NewStub(channel)), identity_(std::move(identity)) {}

RemoteFeed::~RemoteFeed() = default;

absl::StatusOr<event::v1::FetchResponse> RemoteFeed::Fetch(const event::v1::FetchRequest& request,
                                                           absl::Time deadline) {
  grpc::ClientContext context;
  rpc::PrepareContext(identity_, deadline - absl::Now(), &context);
  {
    absl::MutexLock lock(&mu_);
    if (cancelled_) {
      return error::Make(absl::StatusCode::kCancelled, "CANCELLED", "no fetch is wanted any more");
    }
    under_way_ = &context;
  }
  event::v1::FetchResponse response;
  const grpc::Status status = stub_->Fetch(&context, request, &response);
  absl::MutexLock lock(&mu_);
  under_way_ = nullptr;
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

void RemoteFeed::Cancel() {
  absl::MutexLock lock(&mu_);
  cancelled_ = true;
  if (under_way_ != nullptr) under_way_->TryCancel();
}

}  // namespace clm::journal
