#include "tools/bench/workloads.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "clm/event/v1/event_feed_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/uuid.h"
#include "libs/pg/admin.h"
#include "libs/rpc/status.h"
#include "tools/bench/ceilings.h"
#include "tools/bench/closed_loop.h"

namespace clm::bench {
namespace {

namespace cv1 = contact::v1;
namespace lv1 = lifecycle::v1;

constexpr char kParent[] = "tenants/bench";
constexpr int kPgClients = 64;

template <class Service>
std::vector<std::unique_ptr<typename Service::Stub>> Stubs(
    const std::vector<std::shared_ptr<grpc::Channel>>& channels) {
  std::vector<std::unique_ptr<typename Service::Stub>> stubs;
  for (const auto& channel : channels) stubs.push_back(Service::NewStub(channel));
  return stubs;
}

// One call on its way: lives until its answer.
template <class Req, class Resp>
struct Flight {
  grpc::ClientContext context;
  Req request;
  Resp response;
  std::function<void(bool)> done;
};

template <class Req, class Resp, class Start>
void Fly(Req request, std::function<void(bool)> done, Start start) {
  auto* flight = new Flight<Req, Resp>;
  flight->request = std::move(request);
  flight->done = std::move(done);
  flight->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  start(&flight->context, &flight->request, &flight->response, [flight](grpc::Status status) {
    const std::unique_ptr<Flight<Req, Resp>> owned(flight);
    flight->done(status.ok());
  });
}

cv1::Contact NewContact(const Uuid& id) {
  cv1::Contact contact;
  contact.set_email(absl::StrCat(id.ToString(), "@example.com"));
  contact.set_given_name("Somebody");
  contact.set_family_name("Withaname");
  contact.set_locale("de-CH");
  contact.set_timezone("Europe/Zurich");
  contact.set_source("bench");
  return contact;
}

class Bench {
 public:
  Bench(Stand& stand, const Options& options, const std::function<void(const Outcome&)>& tell)
      : stand_(stand),
        options_(options),
        tell_(tell),
        contacts_(Stubs<cv1::ContactService>(stand.suite())),
        echo_(Stubs<cv1::ContactService>(stand.echo())),
        timeline_(Stubs<cv1::TimelineService>(stand.suite())),
        lifecycle_(Stubs<lv1::LifecycleService>(stand.suite())) {}

  absl::Status Prepare() {
    access::v1::CreateTenantRequest tenant;
    tenant.set_tenant_id("bench");
    tenant.mutable_tenant()->set_display_name("Bench");
    access::v1::Tenant made;
    grpc::ClientContext context;
    CLM_RETURN_IF_ERROR(rpc::FromGrpc(access::v1::AccessService::NewStub(stand_.suite()[0])
                                          ->CreateTenant(&context, tenant, &made)));
    for (const char* database : {"clm_contact", "clm_lifecycle"}) {
      CLM_RETURN_IF_ERROR(
          pg::AdminExec(stand_.postgres().Dsn(database), "CREATE SEQUENCE bench_offset CACHE 100"));
    }
    std::atomic<int> left = options_.contacts;
    std::atomic<int> failed = 0;
    names_.resize(options_.contacts);
    absl::BlockingCounter slots(128);
    std::function<void(int)> next = [&](int slot) {
      const int at = --left;
      if (at < 0) {
        slots.DecrementCount();
        return;
      }
      const Uuid id = Uuid::V7(absl::Now());
      names_[at] = absl::StrCat(kParent, "/contacts/", id.ToString());
      cv1::CreateContactRequest request;
      request.set_parent(kParent);
      request.set_contact_id(id.ToString());
      *request.mutable_contact() = NewContact(id);
      Fly<cv1::CreateContactRequest, cv1::Contact>(
          std::move(request),
          [&, slot](bool ok) {
            if (!ok) ++failed;
            next(slot);
          },
          [&, slot](auto* c, auto* req, auto* resp, auto cb) {
            contacts_[slot % contacts_.size()]->async()->CreateContact(c, req, resp, cb);
          });
    };
    for (int slot = 0; slot < 128; ++slot) next(slot);
    slots.Wait();
    if (failed > 0)
      return error::Internal(absl::StrCat(failed.load(), " contacts could not be made"));

    lv1::InstallPresetRequest preset;
    preset.set_parent(kParent);
    preset.set_preset("non-contractual");
    preset.set_enable_rules(true);
    lv1::StageModel model;
    grpc::ClientContext preset_context;
    CLM_RETURN_IF_ERROR(
        rpc::FromGrpc(lifecycle_[0]->InstallPreset(&preset_context, preset, &model)));
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
    grpc::ClientContext model_context;
    return rpc::FromGrpc(lifecycle_[0]->CreateStageModel(&model_context, free, &model));
  }

  absl::Status Run() {
    const auto wanted = [this](const std::string& name) {
      return options_.only.empty() ||
             std::find(options_.only.begin(), options_.only.end(), name) != options_.only.end();
    };
    if (wanted("get-fresh")) {
      CLM_RETURN_IF_ERROR(
          Compare("get-fresh", "pgbench -S", 0.55, 1.0, 64, Get(contacts_, true),
                  [this] { return PgbenchSelectRate(stand_, 8, options_.seconds); }));
    }
    if (wanted("get-cached")) {
      CLM_RETURN_IF_ERROR(Compare("get-cached", "raw gRPC echo", 0.60, 0.92, 64,
                                  Get(contacts_, false), EchoRate()));
    }
    if (wanted("context-cached")) {
      CLM_RETURN_IF_ERROR(
          Compare("context-cached", "raw gRPC echo", 0.60, 0.92, 64, Context(), EchoRate()));
    }
    if (wanted("create")) {
      CLM_RETURN_IF_ERROR(
          Compare("create", "pgbench, a transaction each", 1.5, 3.0, 256, Create(), [this] {
            return PgbenchRate(stand_, "clm_contact", CreateContactScript(), kPgClients,
                               options_.seconds);
          }));
    }
    if (wanted("move")) {
      CLM_RETURN_IF_ERROR(
          Compare("move", "pgbench, a transaction each", 1.5, 3.0, 256, Move(), [this] {
            return PgbenchRate(stand_, "clm_lifecycle", MoveCustomerScript(), kPgClients,
                               options_.seconds);
          }));
    }
    if (wanted("events")) {
      CLM_RETURN_IF_ERROR(Compare(
          "events", "COPY into the same table", 0.25, 0.60, 16, Events(100),
          [this] { return CopyEventsRate(stand_, 100'000); }, 100));
    }
    if (wanted("event-to-stage")) CLM_RETURN_IF_ERROR(EventToStage());
    return absl::OkStatus();
  }

 private:
  using ContactStubs = std::vector<std::unique_ptr<cv1::ContactService::Stub>>;

  std::string AnyName() const {
    thread_local absl::BitGen random;
    return names_[absl::Zipf<int>(random, static_cast<int>(names_.size()) - 1, 1.01)];
  }

  Issue Get(const ContactStubs& stubs, bool strong) const {
    return [this, &stubs, strong](int slot, std::function<void(bool)> done) {
      cv1::GetContactRequest request;
      request.set_name(AnyName());
      if (strong) request.set_consistency(cv1::CONSISTENCY_STRONG);
      Fly<cv1::GetContactRequest, cv1::Contact>(
          std::move(request), std::move(done), [&](auto* c, auto* req, auto* resp, auto cb) {
            stubs[slot % stubs.size()]->async()->GetContact(c, req, resp, cb);
          });
    };
  }

  Issue Context() const {
    return [this](int slot, std::function<void(bool)> done) {
      cv1::GetCustomerContextRequest request;
      request.set_name(AnyName());
      Fly<cv1::GetCustomerContextRequest, cv1::CustomerContext>(
          std::move(request), std::move(done), [&](auto* c, auto* req, auto* resp, auto cb) {
            contacts_[slot % contacts_.size()]->async()->GetCustomerContext(c, req, resp, cb);
          });
    };
  }

  Issue Create() const {
    return [this](int slot, std::function<void(bool)> done) {
      const Uuid id = Uuid::V7(absl::Now());
      cv1::CreateContactRequest request;
      request.set_parent(kParent);
      request.set_request_id(id.ToString());
      *request.mutable_contact() = NewContact(id);
      Fly<cv1::CreateContactRequest, cv1::Contact>(
          std::move(request), std::move(done), [&](auto* c, auto* req, auto* resp, auto cb) {
            contacts_[slot % contacts_.size()]->async()->CreateContact(c, req, resp, cb);
          });
    };
  }

  // Each slot moves a customer of its own to and fro, with the etag that the last move told.
  Issue Move() {
    return [this](int slot, std::function<void(bool)> done) {
      Mover& mover = movers_[slot];
      lv1::MoveCustomerRequest request;
      request.set_contact(names_[slot % names_.size()]);
      request.set_model("tenants/bench/stageModels/bench");
      request.set_to_stage(mover.at_a ? "b" : "a");
      request.set_etag(mover.etag);
      request.set_request_id(Uuid::V7(absl::Now()).ToString());
      auto* flight = new Flight<lv1::MoveCustomerRequest, lv1::CustomerStage>;
      flight->request = std::move(request);
      flight->done = std::move(done);
      flight->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      lifecycle_[slot % lifecycle_.size()]->async()->MoveCustomer(
          &flight->context, &flight->request, &flight->response,
          [flight, &mover](grpc::Status status) {
            const std::unique_ptr<Flight<lv1::MoveCustomerRequest, lv1::CustomerStage>> owned(
                flight);
            if (status.ok()) {
              mover.etag = flight->response.etag();
              mover.at_a = flight->response.stage() == "a";
            }
            flight->done(status.ok());
          });
    };
  }

  Issue Events(int each) const {
    return [this, each](int slot, std::function<void(bool)> done) {
      thread_local absl::BitGen random;
      cv1::IngestEventsRequest request;
      request.set_parent(kParent);
      const int64_t now = absl::ToUnixSeconds(absl::Now());
      for (int i = 0; i < each; ++i) {
        auto* event = request.add_events();
        event->set_contact(names_[absl::Uniform<size_t>(random, 0, names_.size())]);
        event->set_event_id(Uuid::V7(absl::Now()).ToString());
        event->set_type("visit");
        event->mutable_occur_time()->set_seconds(now - i);
        event->set_channel("web");
      }
      Fly<cv1::IngestEventsRequest, cv1::IngestEventsResponse>(
          std::move(request), std::move(done), [&](auto* c, auto* req, auto* resp, auto cb) {
            timeline_[slot % timeline_.size()]->async()->IngestEvents(c, req, resp, cb);
          });
    };
  }

  std::function<absl::StatusOr<double>()> EchoRate() const {
    return [this]() -> absl::StatusOr<double> {
      return ClosedLoop(64, absl::Seconds(options_.seconds), Get(echo_, false)).rate();
    };
  }

  absl::Status Compare(const std::string& name, const std::string& ceiling, double at_least,
                       double aim, int in_flight, const Issue& issue,
                       const std::function<absl::StatusOr<double>()>& ceiling_rate,
                       int items_per_operation = 1) {
    Outcome outcome;
    outcome.name = name;
    outcome.ceiling = ceiling;
    outcome.at_least = at_least;
    outcome.aim = aim;
    std::vector<double> rates, ceilings, ratios;
    std::vector<int64_t> p50, p99;
    std::vector<CpuTimes> cpu;
    ClosedLoop(in_flight, absl::Seconds(1), issue);  // Warm.
    for (int pair = 0; pair < options_.pairs; ++pair) {
      const CpuTimes before = stand_.Cpu();
      const Slice slice = ClosedLoop(in_flight, absl::Seconds(options_.seconds), issue);
      const CpuTimes used = stand_.Cpu() - before;
      const double each =
          1e6 / static_cast<double>(std::max<int64_t>(1, slice.operations * items_per_operation));
      cpu.push_back(
          {used.client * each, used.suite * each, used.postgres * each, used.redis * each});
      CLM_ASSIGN_OR_RETURN(const double top, ceiling_rate());
      outcome.failures += slice.failures;
      rates.push_back(slice.rate() * items_per_operation);
      ceilings.push_back(top);
      ratios.push_back(rates.back() / top);
      p50.push_back(slice.Percentile(50));
      p99.push_back(slice.Percentile(99));
    }
    const auto at = [](auto values, double q) {
      std::sort(values.begin(), values.end());
      return values[std::min(values.size() - 1, static_cast<size_t>(q * values.size()))];
    };
    outcome.rate = at(rates, 0.5);
    outcome.ceiling_rate = at(ceilings, 0.5);
    outcome.ratio = at(ratios, 0.5);
    outcome.ratio_low = at(ratios, 0.25);
    outcome.ratio_high = at(ratios, 0.75);
    outcome.p50_us = at(p50, 0.5);
    outcome.p99_us = at(p99, 0.5);
    std::sort(cpu.begin(), cpu.end(),
              [](const CpuTimes& a, const CpuTimes& b) { return a.total() < b.total(); });
    outcome.cpu = cpu[cpu.size() / 2];
    tell_(outcome);
    return absl::OkStatus();
  }

  // 500 purchases a second of customers without a stage; the time from the answer (the event is
  // committed) until the lifecycle service's own journal holds the StageChanged.
  absl::Status EventToStage() {
    constexpr int kRate = 500;
    const int count = std::min<int>(kRate * options_.seconds * 2, static_cast<int>(names_.size()));
    auto feed = event::v1::EventFeedService::NewStub(stand_.suite()[1]);
    event::v1::FetchRequest fetch;
    fetch.set_source("lifecycle");
    fetch.set_max_records(4096);
    std::vector<int64_t> seen(kShards, 0);
    const auto poll =
        [&](int wait_millis,
            const std::function<void(const event::v1::Event&)>& each) -> absl::Status {
      fetch.clear_positions();
      for (int s = 0; s < kShards; ++s) {
        auto* p = fetch.add_positions();
        p->set_shard(s);
        p->set_after_offset(seen[s]);
      }
      fetch.set_wait_millis(wait_millis);
      event::v1::FetchResponse response;
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
      CLM_RETURN_IF_ERROR(rpc::FromGrpc(feed->Fetch(&context, fetch, &response)));
      for (const auto& shard : response.shards()) {
        for (const auto& record : shard.records()) {
          seen[shard.shard()] = record.offset();
          event::v1::Event event;
          if (event.ParseFromString(record.event())) each(event);
        }
      }
      return absl::OkStatus();
    };
    // Whatever was there before.
    for (bool more = true; more;) {
      more = false;
      CLM_RETURN_IF_ERROR(poll(0, [&](const event::v1::Event&) { more = true; }));
    }
    absl::Mutex mu;
    absl::flat_hash_map<std::string, absl::Time> committed;
    std::vector<int64_t> lags;
    std::atomic<int64_t> failures = 0;
    std::thread sender([&] {
      const absl::Time begin = absl::Now();
      absl::BlockingCounter all(count);
      for (int i = 0; i < count; ++i) {
        absl::SleepFor(begin + absl::Seconds(1) * i / kRate - absl::Now());
        cv1::IngestEventsRequest request;
        request.set_parent(kParent);
        auto* event = request.add_events();
        event->set_contact(names_[i]);
        event->set_event_id(Uuid::V7(absl::Now()).ToString());
        event->set_type("purchase");
        event->set_amount_minor(1999);
        event->set_currency("EUR");
        event->mutable_occur_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
        const std::string name = names_[i];
        Fly<cv1::IngestEventsRequest, cv1::IngestEventsResponse>(
            std::move(request),
            [&, name](bool ok) {
              if (!ok) ++failures;
              {
                absl::MutexLock lock(&mu);
                committed.emplace(name, absl::Now());
              }
              all.DecrementCount();
            },
            [&](auto* c, auto* req, auto* resp, auto cb) {
              timeline_[i % timeline_.size()]->async()->IngestEvents(c, req, resp, cb);
            });
      }
      all.Wait();
    });
    absl::flat_hash_map<std::string, absl::Time> changed;
    absl::Status status;
    while (status.ok() && static_cast<int>(changed.size()) < count) {
      const size_t before = changed.size();
      status = poll(2000, [&](const event::v1::Event& event) {
        changed.emplace(event.subject(), absl::Now());
      });
      if (changed.size() == before) break;
    }
    sender.join();
    CLM_RETURN_IF_ERROR(status);
    for (const auto& [name, at] : changed) {
      const auto it = committed.find(name);
      // The change may be seen before the answer is.
      if (it != committed.end()) {
        lags.push_back(std::max<int64_t>(0, absl::ToInt64Microseconds(at - it->second)));
      }
    }
    std::sort(lags.begin(), lags.end());
    Outcome outcome;
    outcome.name = "event-to-stage";
    outcome.ceiling = "at 500/s";
    outcome.rate = kRate;
    outcome.failures = failures + count - static_cast<int64_t>(changed.size());
    if (!lags.empty()) {
      outcome.p50_us = lags[lags.size() / 2];
      outcome.p99_us = lags[lags.size() * 99 / 100];
    }
    tell_(outcome);
    return absl::OkStatus();
  }

  Stand& stand_;
  const Options& options_;
  const std::function<void(const Outcome&)>& tell_;
  ContactStubs contacts_, echo_;
  std::vector<std::unique_ptr<cv1::TimelineService::Stub>> timeline_;
  std::vector<std::unique_ptr<lv1::LifecycleService::Stub>> lifecycle_;
  std::vector<std::string> names_;
  struct Mover {
    std::string etag;
    bool at_a = false;
  };
  std::vector<Mover> movers_ = std::vector<Mover>(256);
};

}  // namespace

absl::Status RunWorkloads(Stand& stand, const Options& options,
                          const std::function<void(const Outcome&)>& tell) {
  Bench bench(stand, options, tell);
  CLM_RETURN_IF_ERROR(bench.Prepare());
  return bench.Run();
}

std::vector<std::string> WorkloadNames() {
  return {"get-fresh", "get-cached", "context-cached", "create",
          "move",      "events",     "event-to-stage"};
}

}  // namespace clm::bench
