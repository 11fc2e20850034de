#include "tools/bench/traffic.h"

#include <algorithm>
#include <functional>
#include <random>
#include <utility>

#include "absl/random/random.h"
#include "absl/random/zipf_distribution.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "clm/contact/v1/contact_service.pb.h"
#include "clm/contact/v1/timeline_service.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/uuid.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "tools/bench/random.h"

namespace clm::bench {
namespace {

namespace cv1 = contact::v1;
namespace lv1 = lifecycle::v1;

constexpr char kParent[] = "tenants/bench";
constexpr char kFreeModel[] = "tenants/bench/stageModels/bench";
constexpr int kContactsPerRequest = 500;
constexpr int kBulkInFlight = 8;
// Zipf's exponent; the distribution wants more than 1.
constexpr double kZipf = 1.01;
// What callers of the near cache allow.
constexpr int kStalenessSeconds = 5;

template <class Message>
bool Parse(absl::string_view bytes, Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

void FillContact(cv1::Contact* contact) {
  contact->set_email(absl::StrCat(Uuid::V7(absl::Now()).ToString(), "@example.com"));
  contact->set_given_name("Somebody");
  contact->set_family_name("Withaname");
  contact->set_locale("de-CH");
  contact->set_timezone("Europe/Zurich");
  contact->set_source("bench");
}

template <class Stub, class Request, class Response>
absl::Status Call(Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request) {
  grpc::ClientContext context;
  rpc::PrepareContext({.service = "clm-bench"}, absl::Seconds(30), &context);
  Response response;
  return rpc::FromGrpc((stub.*method)(&context, request, &response));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Traffic>> Traffic::Prepare(Stand& stand, Client client,
                                                          int64_t contacts) {
  auto traffic = std::unique_ptr<Traffic>(new Traffic(stand, client));
  CLM_RETURN_IF_ERROR(traffic->MakeTenant());
  CLM_RETURN_IF_ERROR(traffic->MakeContacts(contacts));
  CLM_RETURN_IF_ERROR(stand.Rest());
  CLM_RETURN_IF_ERROR(stand.Vacuum());
  return traffic;
}

absl::Status Traffic::MakeTenant() {
  access::v1::CreateTenantRequest tenant;
  tenant.set_tenant_id(kTenant);
  tenant.mutable_tenant()->set_display_name("Bench");
  access::v1::AccessService::Stub access(stand_.contact());
  CLM_RETURN_IF_ERROR(Call(access, &access::v1::AccessService::Stub::CreateTenant, tenant));
  lv1::LifecycleService::Stub lifecycle(stand_.lifecycle());
  lv1::InstallPresetRequest preset;
  preset.set_parent(kParent);
  preset.set_preset("non-contractual");
  preset.set_enable_rules(true);
  CLM_RETURN_IF_ERROR(Call(lifecycle, &lv1::LifecycleService::Stub::InstallPreset, preset));
  lv1::CreateStageModelRequest free;
  free.set_parent(kParent);
  free.set_stage_model_id("bench");
  free.mutable_stage_model()->set_display_name("Bench");
  free.mutable_stage_model()->set_policy(lv1::StageModel::POLICY_FREE);
  for (const char* id : {"a", "b"}) {
    auto* stage = free.mutable_stage_model()->add_stages();
    stage->set_id(id);
    stage->set_label(id);
  }
  return Call(lifecycle, &lv1::LifecycleService::Stub::CreateStageModel, free);
}

absl::Status Traffic::MakeContacts(int64_t contacts) {
  CLM_ASSIGN_OR_RETURN(
      const auto generator,
      NewLoadGenerator(client_, stand_.contact_socket(),
                       "/clm.contact.v1.ContactService/BatchUpsertContacts", absl::Minutes(1)));
  absl::Mutex mu;
  int64_t left = contacts;
  Work work;
  work.next = [&](int, std::string* bytes) {
    int64_t some = 0;
    {
      absl::MutexLock lock(&mu);
      some = std::min<int64_t>(left, kContactsPerRequest);
      left -= some;
    }
    cv1::BatchUpsertContactsRequest request;
    request.set_parent(kParent);
    for (int64_t i = 0; i < some; ++i) {
      auto* upsert = request.add_requests();
      upsert->set_parent(kParent);
      upsert->set_key("email");
      FillContact(upsert->mutable_contact());
    }
    return some > 0 && request.SerializeToString(bytes);
  };
  work.check_every = 1;
  work.check = [&](int, absl::string_view bytes) {
    cv1::BatchUpsertContactsResponse response;
    if (!Parse(bytes, &response)) return false;
    absl::MutexLock lock(&mu);
    for (const auto& result : response.results()) {
      if (result.status().code() != 0) return false;
      names_.push_back(result.contact());
    }
    return true;
  };
  CLM_ASSIGN_OR_RETURN(const Slice slice,
                       generator->Run(work, kBulkInFlight, absl::InfiniteDuration()));
  if (slice.failures > 0 || static_cast<int64_t>(names_.size()) != contacts) {
    return error::Internal(absl::StrCat("not all contacts could be made: ", slice.failure));
  }
  // The popular ones must not be neighbours in the database.
  std::shuffle(names_.begin(), names_.end(), std::mt19937_64(1));
  return absl::OkStatus();
}

size_t Traffic::AnyName() const { return absl::Zipf<size_t>(Random(), names_.size() - 1, kZipf); }

Work Traffic::Reads(std::function<bool(int slot, size_t* name)> pick, bool context, From from) {
  const auto fill = [from](const std::string& name, auto* request, std::string* bytes) {
    request->Clear();
    request->set_name(name);
    if (from == From::kDatabase) request->set_consistency(cv1::CONSISTENCY_STRONG);
    if (from == From::kNear) request->mutable_max_staleness()->set_seconds(kStalenessSeconds);
    return request->SerializeToString(bytes);
  };
  Work work;
  work.next = [this, fill, pick = std::move(pick), context](int slot, std::string* bytes) {
    size_t name = 0;
    if (!pick(slot, &name)) return false;
    asked_[slot] = name;
    if (context) {
      thread_local cv1::GetCustomerContextRequest request;
      return fill(names_[name], &request, bytes);
    }
    thread_local cv1::GetContactRequest request;
    return fill(names_[name], &request, bytes);
  };
  work.check = [this, context](int slot, absl::string_view bytes) {
    if (context) {
      cv1::CustomerContext customer;
      return Parse(bytes, &customer) && customer.contact().name() == names_[asked_[slot]];
    }
    cv1::Contact contact;
    return Parse(bytes, &contact) && contact.name() == names_[asked_[slot]];
  };
  return work;
}

std::function<bool(int slot, size_t* name)> Traffic::Any() {
  return [this](int, size_t* name) {
    *name = AnyName();
    return true;
  };
}

std::function<bool(int slot, size_t* name)> Traffic::Every() {
  auto next = std::make_shared<std::atomic<size_t>>(0);
  return [this, next](int, size_t* name) {
    *name = (*next)++;
    return *name < names_.size();
  };
}

Work Traffic::GetContact(From from) { return Reads(Any(), false, from); }
Work Traffic::GetCustomerContext(From from) { return Reads(Any(), true, from); }
Work Traffic::GetEveryContact(From from) { return Reads(Every(), false, from); }
Work Traffic::GetEveryCustomerContext(From from) { return Reads(Every(), true, from); }

Work Traffic::CreateContact() {
  Work work;
  work.next = [](int, std::string* bytes) {
    thread_local cv1::CreateContactRequest request;
    request.set_parent(kParent);
    request.set_request_id(Uuid::V7(absl::Now()).ToString());
    FillContact(request.mutable_contact());
    return request.SerializeToString(bytes);
  };
  work.check = [](int, absl::string_view bytes) {
    cv1::Contact contact;
    return Parse(bytes, &contact) && !contact.name().empty() && contact.source() == "bench";
  };
  return work;
}

Work Traffic::MoveCustomer() {
  Work work;
  work.next = [this](int slot, std::string* bytes) {
    const Mover& mover = movers_[slot];
    lv1::MoveCustomerRequest request;
    request.set_contact(names_[slot]);
    request.set_model(kFreeModel);
    request.set_to_stage(mover.at_a ? "b" : "a");
    request.set_etag(mover.etag);
    request.set_request_id(Uuid::V7(absl::Now()).ToString());
    return request.SerializeToString(bytes);
  };
  work.check_every = 1;
  work.check = [this](int slot, absl::string_view bytes) {
    lv1::CustomerStage stage;
    Mover& mover = movers_[slot];
    const std::string wanted = mover.at_a ? "b" : "a";
    if (!Parse(bytes, &stage)) return false;
    mover.etag = stage.etag();
    mover.at_a = stage.stage() == "a";
    return stage.stage() == wanted;
  };
  return work;
}

namespace {

bool AllTaken(absl::string_view bytes) {
  cv1::IngestEventsResponse response;
  if (!Parse(bytes, &response) || response.results_size() != kEventsPerRequest) return false;
  return std::all_of(response.results().begin(), response.results().end(), [](const auto& result) {
    return result.status().code() == 0 && !result.duplicate();
  });
}

}  // namespace

Work Traffic::Visits() {
  Work work;
  work.next = [this](int, std::string* bytes) {
    cv1::IngestEventsRequest request;
    request.set_parent(kParent);
    const absl::Time now = absl::Now();
    for (int i = 0; i < kEventsPerRequest; ++i) {
      auto* event = request.add_events();
      event->set_contact(names_[absl::Uniform<size_t>(Random(), 0, names_.size())]);
      event->set_event_id(Uuid::V7(now).ToString());
      event->set_type("visit");
      event->mutable_occur_time()->set_seconds(absl::ToUnixSeconds(now) - i);
      event->set_channel("web");
    }
    return request.SerializeToString(bytes);
  };
  work.check = [](int, absl::string_view bytes) { return AllTaken(bytes); };
  return work;
}

Work Traffic::Purchases(int requests, int customers) {
  auto left = std::make_shared<std::atomic<int>>(requests);
  Work work;
  work.next = [this, left, customers](int, std::string* bytes) {
    if (--*left < 0) return false;
    cv1::IngestEventsRequest request;
    request.set_parent(kParent);
    const absl::Time now = absl::Now();
    for (int i = 0; i < kEventsPerRequest; ++i) {
      auto* event = request.add_events();
      event->set_contact(names_[absl::Uniform<int>(Random(), 0, customers)]);
      event->set_event_id(Uuid::V7(now).ToString());
      event->set_type("purchase");
      event->mutable_occur_time()->set_seconds(absl::ToUnixSeconds(now));
      event->set_amount_minor(1999);
      event->set_currency("EUR");
    }
    return request.SerializeToString(bytes);
  };
  work.check = [](int, absl::string_view bytes) { return AllTaken(bytes); };
  return work;
}

absl::StatusOr<Sample> Traffic::Run(LoadGenerator& generator, const Work& work, int in_flight,
                                    absl::Duration length, int items) {
  const CpuTimes before = stand_.Cpu();
  CLM_ASSIGN_OR_RETURN(const Slice slice, generator.Run(work, in_flight, length));
  const CpuTimes used = stand_.Cpu() - before;
  acknowledged_ += slice.completed * items;
  Sample sample;
  sample.rate = slice.rate() * items;
  sample.cpu_us = used * (1e6 / static_cast<double>(std::max<int64_t>(1, slice.completed * items)));
  sample.p50_us = static_cast<double>(slice.Percentile(50));
  sample.p99_us = static_cast<double>(slice.Percentile(99));
  sample.failures = slice.failures;
  sample.failure = slice.failure;
  return sample;
}

}  // namespace clm::bench
