// How fast a customer base flows from the contact feed into stages: 23,570 customers with 69,659
// purchases, as large as the CDNOW base, from a feed in memory into a real PostgreSQL. Prints
// seconds and facts per second; run by hand.
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "libs/base/shard.h"
#include "libs/journal/consumer.h"
#include "libs/pg/admin.h"
#include "libs/testing/servers.h"
#include "services/lifecycle/contact_feed_handler.h"
#include "services/lifecycle/due_timers.h"
#include "services/lifecycle/lifecycle_proto.h"
#include "services/lifecycle/pg_lifecycle_store.h"
#include "services/lifecycle/presets.h"

namespace clm::lifecycle {
namespace {

constexpr int kCustomers = 23'570;
constexpr int kPurchases = 69'659;
constexpr char kTenant[] = "bench";

using Shards = std::array<std::vector<std::string>, kShards>;

void Append(Shards& shards, const EntityKey& key, const google::protobuf::Message& payload,
            absl::Time at) {
  event::v1::Event event;
  event.set_id(Uuid::V7(at).ToString());
  event.set_tenant(key.tenant);
  event.set_subject(EntityName(kContacts, key));
  event.set_type(payload.GetDescriptor()->full_name());
  ToProto(at, event.mutable_occur_time());
  event.set_payload(payload.SerializeAsString());
  shards[ShardOf(key.tenant, key.id)].push_back(event.SerializeAsString());
}

// `grouped`: the purchases of a customer in one event; else each alone, in order of time.
Shards MakeFeed(bool grouped) {
  std::mt19937 random(1);
  const absl::Time begin = absl::FromCivil(absl::CivilDay(1997, 1, 1), absl::UTCTimeZone());
  Shards shards;
  std::vector<EntityKey> keys;
  std::vector<std::vector<absl::Time>> purchases(kCustomers);
  for (int i = 0; i < kCustomers; ++i) {
    keys.push_back({kTenant, Uuid::V7(begin)});
    contact::v1::ContactChanged created;
    created.set_contact(EntityName(kContacts, keys[i]));
    created.set_change(contact::v1::ContactChanged::CHANGE_CREATED);
    ToProto(begin, created.mutable_create_time());
    created.set_source("bench");
    Append(shards, keys[i], created, begin);
  }
  std::vector<std::pair<absl::Time, int>> all;
  for (int i = 0; i < kPurchases; ++i) {
    const int customer = i < kCustomers ? i : static_cast<int>(random() % kCustomers);
    all.emplace_back(begin + absl::Hours(24) * static_cast<int>(random() % 545), customer);
  }
  std::sort(all.begin(), all.end());
  const auto add = [](contact::v1::BehaviorRecorded& recorded, absl::Time at) {
    auto* event = recorded.add_events();
    event->set_event_id(Uuid::V7(at).ToString());
    event->set_type("purchase");
    ToProto(at, event->mutable_occur_time());
    event->set_amount_minor(1177);
    event->set_currency("USD");
    event->set_quantity(1);
  };
  std::vector<contact::v1::BehaviorRecorded> by_customer(kCustomers);
  for (const auto& [at, customer] : all) {
    if (grouped) {
      add(by_customer[customer], at);
      continue;
    }
    contact::v1::BehaviorRecorded recorded;
    recorded.set_contact(EntityName(kContacts, keys[customer]));
    add(recorded, at);
    Append(shards, keys[customer], recorded, at);
  }
  for (int i = 0; grouped && i < kCustomers; ++i) {
    by_customer[i].set_contact(EntityName(kContacts, keys[i]));
    Append(shards, keys[i], by_customer[i], begin);
  }
  return shards;
}

void Run(bool grouped) {
  const Shards shards = MakeFeed(grouped);
  int64_t total = 0;
  for (const auto& shard : shards) total += static_cast<int64_t>(shard.size());

  const auto database = testing::Postgres::Shared().CreateDatabase(LifecycleDatabase());
  const SystemClock clock;
  const auto pool = pg::NewPool({.dsn = database.app_dsn});
  ModelCache models;
  KnownCustomers known;
  LifecycleReader reader(pool.get(), &models);
  LifecycleWork::Context context{.models = &models, .known = &known, .clock = &clock};
  journal::Lanes lanes({.pool = pool.get(), .clock = &clock, .new_work = [&] {
                          return std::make_unique<LifecycleWork>(&context);
                        }});
  DueTimers timers({.reader = &reader, .lanes = &lanes, .clock = &clock});
  context.on_due = [&](absl::Time due) { timers.Expect(due); };
  ContactFeedHandler handler;

  journal::MutationInfo info{.tenant = kTenant};
  info.shards.set();
  lanes
      .Run<LifecycleWork>(
          std::move(info), [](LifecycleWork& work) { work.NeedDefinitions(kTenant); },
          [](LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
            ModelDefinition definition{.model = NonContractualModel()};
            definition.create_time = definition.update_time = recorder.now();
            const std::vector<Rule> rules = *NonContractualRules({});
            for (const Rule& rule : rules) {
              definition.rules[rule.id] = {.rule = rule, .create_time = recorder.now()};
            }
            Revise(definition, {}, recorder.now(), false);
            if (auto s = work.SaveModel(kTenant, definition, false, false); !s.ok()) return s;
            return std::string();
          })
      .status()
      .IgnoreError();

  const absl::Time begin = absl::Now();
  journal::Consumer::Options options;
  options.source = "contact";
  options.pool = pool.get();
  options.lanes = &lanes;
  options.handler = &handler;
  options.max_records = 128;
  options.max_ahead = 256;
  options.fetch = [&](const event::v1::FetchRequest& request, absl::Time) {
    event::v1::FetchResponse response;
    for (const auto& p : request.positions()) {
      const auto& records = shards[p.shard()];
      const auto head = static_cast<int64_t>(records.size());
      if (p.after_offset() >= head) continue;
      auto* shard = response.add_shards();
      shard->set_shard(p.shard());
      shard->set_head_offset(head);
      for (int64_t off = p.after_offset() + 1; off <= head && shard->records_size() < 128; ++off) {
        auto* record = shard->add_records();
        record->set_offset(off);
        record->set_event(records[off - 1]);
      }
    }
    if (response.shards().empty()) absl::SleepFor(absl::Milliseconds(5));
    return absl::StatusOr<event::v1::FetchResponse>(std::move(response));
  };
  journal::Consumer consumer(std::move(options));
  consumer.Start();
  timers.Start();
  while (consumer.stats().applied < total) absl::SleepFor(absl::Milliseconds(5));
  const absl::Duration facts = absl::Now() - begin;
  for (auto next = reader.NextDue(); !next.ok() || *next < absl::Now() + absl::Hours(1);
       next = reader.NextDue()) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  const absl::Duration settled = absl::Now() - begin;
  timers.Stop();
  consumer.Stop();
  const auto count = [&](const char* sql) {
    const auto rows = pg::AdminQuery(database.admin_dsn, sql);
    return rows.ok() ? (*rows)[0].Int(0) : -1;
  };
  std::printf(
      "%-8s %d facts applied in %.2f s (%.0f/s), all timers settled after %.2f s; "
      "%lld moves, %lld superseded\n",
      grouped ? "grouped" : "single", kPurchases, absl::ToDoubleSeconds(facts),
      kPurchases / absl::ToDoubleSeconds(facts), absl::ToDoubleSeconds(settled),
      static_cast<long long>(count("SELECT count(*) FROM transition")),
      static_cast<long long>(
          count("SELECT count(*) FROM transition WHERE supersede_time IS NOT NULL")));
}

}  // namespace
}  // namespace clm::lifecycle

// "grouped" or "single" runs only one of the two.
int main(int argc, char** argv) {
  const std::string only = argc > 1 ? argv[1] : "";
  if (only != "single") clm::lifecycle::Run(/*grouped=*/true);
  if (only != "grouped") clm::lifecycle::Run(/*grouped=*/false);
}
