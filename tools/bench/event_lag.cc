#include "tools/bench/event_lag.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "clm/event/v1/event_feed_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/uuid.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "tools/bench/traffic.h"

namespace clm::bench {
namespace {

// Of one shard in one answer: 64 shards of them must fit into a message.
constexpr int kRecordsPerFetch = 32;
// Nothing changes any more.
constexpr int kWaitMillis = 5'000;

// Follows the lifecycle service's feed from its beginning.
class Follower {
 public:
  explicit Follower(Stand& stand)
      : stub_(event::v1::EventFeedService::NewStub(stand.lifecycle())), seen_(kShards, 0) {}

  // One answer of the feed; how many records it had.
  absl::StatusOr<int64_t> Fetch(int wait_millis,
                                const std::function<void(const event::v1::Event&)>& each) {
    event::v1::FetchRequest request;
    request.set_source("lifecycle");
    request.set_max_records(kRecordsPerFetch);
    request.set_wait_millis(wait_millis);
    for (int shard = 0; shard < kShards; ++shard) {
      auto* position = request.add_positions();
      position->set_shard(shard);
      position->set_after_offset(seen_[shard]);
    }
    grpc::ClientContext context;
    rpc::PrepareContext({.service = "clm-bench"}, absl::Seconds(30), &context);
    event::v1::FetchResponse response;
    CLM_RETURN_IF_ERROR(rpc::FromGrpc(stub_->Fetch(&context, request, &response)));
    int64_t records = 0;
    for (const auto& shard : response.shards()) {
      for (const auto& record : shard.records()) {
        seen_[shard.shard()] = record.offset();
        ++records;
        event::v1::Event event;
        if (!event.ParseFromString(record.event())) return error::Internal("an unreadable event");
        each(event);
      }
    }
    return records;
  }

 private:
  std::unique_ptr<event::v1::EventFeedService::Stub> stub_;
  std::vector<int64_t> seen_;
};

// One call on its way.
struct Flight {
  grpc::ClientContext context;
  contact::v1::IngestEventsRequest request;
  contact::v1::IngestEventsResponse response;
};

contact::v1::IngestEventsRequest FirstPurchase(const std::string& contact) {
  contact::v1::IngestEventsRequest request;
  request.set_parent(absl::StrCat("tenants/", kTenant));
  auto* event = request.add_events();
  event->set_contact(contact);
  event->set_event_id(Uuid::V7(absl::Now()).ToString());
  event->set_type("purchase");
  event->set_amount_minor(1999);
  event->set_currency("EUR");
  event->mutable_occur_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
  return request;
}

class Sending {
 public:
  // When each contact's event was answered; failures are not in it.
  absl::flat_hash_map<std::string, absl::Time> Run(Stand& stand,
                                                   const std::vector<std::string>& contacts,
                                                   double rate) {
    const auto stub = contact::v1::TimelineService::NewStub(stand.contact());
    absl::BitGen random;
    absl::BlockingCounter all(static_cast<int>(contacts.size()));
    absl::Time next = absl::Now();
    for (const std::string& contact : contacts) {
      next += absl::Seconds(absl::Exponential<double>(random, rate));
      absl::SleepFor(next - absl::Now());
      auto* const flight = new Flight;
      flight->request = FirstPurchase(contact);
      rpc::PrepareContext({.service = "clm-bench"}, absl::Seconds(20), &flight->context);
      stub->async()->IngestEvents(&flight->context, &flight->request, &flight->response,
                                  [this, flight, &contact, &all](const grpc::Status& status) {
                                    const absl::Time now = absl::Now();
                                    const std::unique_ptr<Flight> owned(flight);
                                    Answered(contact, now, rpc::FromGrpc(status), flight->response);
                                    all.DecrementCount();
                                  });
    }
    all.Wait();
    absl::MutexLock lock(&mu_);
    return std::move(answered_);
  }
  std::string failure() const {
    absl::MutexLock lock(&mu_);
    return failure_;
  }

 private:
  void Answered(const std::string& contact, absl::Time now, const absl::Status& status,
                const contact::v1::IngestEventsResponse& response) {
    absl::MutexLock lock(&mu_);
    if (!status.ok()) {
      failure_ = std::string(status.message());
    } else if (response.results_size() != 1 || response.results(0).status().code() != 0) {
      failure_ = "an event was refused";
    } else {
      answered_.emplace(contact, now);
    }
  }

  mutable absl::Mutex mu_;
  absl::flat_hash_map<std::string, absl::Time> answered_ ABSL_GUARDED_BY(mu_);
  std::string failure_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<EventLag> MeasureEventLag(Stand& stand, const std::vector<std::string>& contacts,
                                         double rate) {
  Follower follower(stand);
  // Whatever was there before.
  for (int64_t records = 1; records > 0;) {
    CLM_ASSIGN_OR_RETURN(records, follower.Fetch(0, [](const event::v1::Event&) {}));
  }
  Sending sending;
  absl::flat_hash_map<std::string, absl::Time> answered;
  std::thread sender([&] { answered = sending.Run(stand, contacts, rate); });
  absl::flat_hash_map<std::string, absl::Time> changed;
  absl::Status status;
  while (changed.size() < contacts.size()) {
    const auto records = follower.Fetch(kWaitMillis, [&](const event::v1::Event& event) {
      if (event.type() == "clm.lifecycle.v1.StageChanged") {
        changed.emplace(event.subject(), absl::Now());
      }
    });
    status = records.status();
    if (!status.ok() || *records == 0) break;
  }
  sender.join();
  CLM_RETURN_IF_ERROR(status);
  EventLag lag;
  for (const std::string& contact : contacts) {
    const auto sent = answered.find(contact);
    const auto seen = changed.find(contact);
    if (sent == answered.end() || seen == changed.end()) {
      ++lag.failures;
      continue;
    }
    // The change may be seen before the answer is.
    const absl::Duration took = std::max(absl::ZeroDuration(), seen->second - sent->second);
    lag.lags_ms.push_back(absl::ToDoubleMilliseconds(took));
  }
  lag.failure = sending.failure();
  if (lag.failure.empty() && lag.failures > 0) lag.failure = "stages that did not change";
  std::sort(lag.lags_ms.begin(), lag.lags_ms.end());
  return lag;
}

}  // namespace clm::bench
