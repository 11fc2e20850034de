#include "tools/clm/sender.h"

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "clm/lifecycle/v1/insights_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/base/uuid.h"
#include "tools/terminal/progress.h"

namespace clm::cli {
namespace {

constexpr size_t kWaitingPerLane = 2;
constexpr absl::Duration kPatience = absl::Minutes(1);
constexpr absl::Duration kMaxPause = absl::Seconds(2);

}  // namespace

Sender::Sender(size_t lanes) : lanes_(lanes) {
  for (Lane& lane : lanes_) lane.thread = std::thread([this, &lane] { Run(lane); });
}

Sender::~Sender() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  for (Lane& lane : lanes_) lane.thread.join();
}

absl::Status Sender::Post(size_t lane, std::function<absl::Status()> work) {
  absl::MutexLock lock(&mu_);
  Lane& l = lanes_[lane];
  const auto room = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return l.waiting.size() < kWaitingPerLane || !failure_.ok();
  };
  mu_.Await(absl::Condition(&room));
  if (failure_.ok()) l.waiting.push_back(std::move(work));
  return failure_;
}

bool Sender::Idle() const {
  for (const Lane& lane : lanes_) {
    if (lane.busy || (!lane.waiting.empty() && failure_.ok())) return false;
  }
  return true;
}

absl::Status Sender::Wait() {
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &Sender::Idle));
  return failure_;
}

void Sender::Run(Lane& lane) {
  absl::MutexLock lock(&mu_);
  const auto wanted = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stop_ || (!lane.waiting.empty() && failure_.ok());
  };
  for (;;) {
    mu_.Await(absl::Condition(&wanted));
    if (stop_) return;
    const auto work = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    lane.busy = true;
    mu_.Unlock();
    const absl::Status status = work();
    mu_.Lock();
    lane.busy = false;
    if (failure_.ok()) failure_ = status;
  }
}

absl::Status Persist(const Cli& cli, const std::function<absl::Status()>& call) {
  absl::Duration pause = absl::Milliseconds(50);
  const absl::Time until = absl::Now() + kPatience;
  bool told = false;
  for (;;) {
    absl::Status status = call();
    if (status.ok() || !error::IsTransient(status) || absl::Now() > until) return status;
    if (!told && pause >= absl::Milliseconds(800)) {
      told = true;
      cli.Note("the suite does not answer; trying again for a minute");
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kMaxPause);
  }
}

absl::Status StatusOf(const google::rpc::Status& status) {
  if (status.code() == 0) return absl::OkStatus();
  // The one mapping reads the details from the serialized form.
  return rpc::FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(status.code()), status.message(),
                                    status.SerializeAsString()));
}

absl::StatusOr<contact::v1::BatchUpsertContactsResponse> UpsertContacts(
    Cli& cli, contact::v1::BatchUpsertContactsRequest request) {
  request.set_request_id(Uuid::V7(absl::Now()).ToString());
  for (auto& upsert : *request.mutable_requests()) upsert.set_parent(request.parent());
  absl::StatusOr<contact::v1::BatchUpsertContactsResponse> response;
  CLM_RETURN_IF_ERROR(Persist(cli, [&] {
    response = cli.Call(&contact::v1::ContactService::Stub::BatchUpsertContacts, request);
    return response.status();
  }));
  if (response->results_size() != request.requests_size()) {
    return error::Internal("the answer has another length than the request");
  }
  return response;
}

absl::StatusOr<contact::v1::IngestEventsResponse> IngestEvents(
    Cli& cli, const contact::v1::IngestEventsRequest& request) {
  absl::StatusOr<contact::v1::IngestEventsResponse> response;
  CLM_RETURN_IF_ERROR(Persist(cli, [&] {
    response = cli.Call(&contact::v1::TimelineService::Stub::IngestEvents, request);
    return response.status();
  }));
  if (response->results_size() != request.events_size()) {
    return error::Internal("the answer has another length than the request");
  }
  return response;
}

absl::Status EnsureTenant(Cli& cli) {
  access::v1::CreateTenantRequest request;
  request.set_tenant_id(cli.tenant());
  const auto made = cli.Call(&access::v1::AccessService::Stub::CreateTenant, request);
  if (made.ok()) cli.Note(absl::StrCat("made the tenant ", cli.tenant()));
  // A tenant's own token may not make tenants, and shows that there is one.
  if (made.ok() || made.status().code() == absl::StatusCode::kAlreadyExists ||
      made.status().code() == absl::StatusCode::kPermissionDenied) {
    return absl::OkStatus();
  }
  return made.status();
}

int64_t CountPurchases(Cli& cli) {
  lifecycle::v1::GetCustomerValueRequest request;
  request.set_parent(cli.tenant_name());
  const auto value = cli.Call(&lifecycle::v1::InsightsService::Stub::GetCustomerValue, request);
  int64_t counted = 0;
  if (value.ok()) {
    for (const auto& v : value->values()) counted += v.purchases();
  }
  return counted;
}

absl::Status AwaitLifecycle(Cli& cli, int64_t purchases) {
  lifecycle::v1::GetCustomerValueRequest request;
  request.set_parent(cli.tenant_name());
  request.set_group_by(lifecycle::v1::GetCustomerValueRequest::GROUP_BY_TOTAL);
  const SystemClock clock;
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  terminal::Progress progress("stages", purchases, format, cli.error_screen(), clock, std::cerr);
  int64_t seen = -1;
  absl::Time moved = absl::Now();
  absl::Duration pause = absl::Milliseconds(50);
  for (;;) {
    const auto value = cli.Call(&lifecycle::v1::InsightsService::Stub::GetCustomerValue, request);
    if (value.ok()) {
      int64_t counted = 0;
      for (const auto& v : value->values()) counted += v.purchases();
      progress.Update(counted);
      if (counted >= purchases) return absl::OkStatus();
      if (counted != seen) moved = absl::Now();
      seen = counted;
    } else if (value.status().code() == absl::StatusCode::kUnimplemented ||
               error::Reason(value.status()) == "SERVICE_MISSING") {
      cli.Note("this suite cannot tell how far the lifecycle service is; not waiting");
      return absl::OkStatus();
    } else if (!error::IsTransient(value.status())) {
      return value.status();
    }
    if (absl::Now() - moved > kPatience) {
      return error::Make(absl::StatusCode::kDeadlineExceeded, "LIFECYCLE_BEHIND",
                         absl::StrCat("the lifecycle service has taken in ", seen, " of ",
                                      purchases, " purchases and does not go on"));
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, absl::Milliseconds(400));
  }
}

}  // namespace clm::cli
