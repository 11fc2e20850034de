// A lifecycle database of one test, its lanes and background, a clock that stands still, and
// shorthand for contact events. Events are delivered as a consumer would: several per transaction.
#ifndef CLM_SERVICES_LIFECYCLE_LIFECYCLE_FIXTURE_H_
#define CLM_SERVICES_LIFECYCLE_LIFECYCLE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "libs/base/clock.h"
#include "libs/base/shard.h"
#include "libs/journal/feed.h"
#include "libs/journal/lanes.h"
#include "libs/pg/admin.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"
#include "services/lifecycle/contact_feed_handler.h"
#include "services/lifecycle/due_timers.h"
#include "services/lifecycle/lifecycle_proto.h"
#include "services/lifecycle/pg_lifecycle_store.h"
#include "services/lifecycle/presets.h"

namespace clm::lifecycle {

// One service on a database; several may share one, as processes do.
struct Node {
  Node(const std::string& dsn, const Clock* clock, StageCacheHook* cache = nullptr)
      : pool(pg::NewPool({.dsn = dsn})),
        context{.models = &models, .known = &known, .clock = clock, .cache = cache},
        lanes({.pool = pool.get(),
               .clock = clock,
               .new_work = [this] { return std::make_unique<LifecycleWork>(&context); }}),
        reader(pool.get(), &models),
        timers({.reader = &reader, .lanes = &lanes, .clock = clock}) {}

  std::unique_ptr<pg::Pool> pool;
  ModelCache models;
  KnownCustomers known;
  LifecycleWork::Context context;
  journal::Lanes lanes;
  LifecycleReader reader;
  DueTimers timers;
  ContactFeedHandler handler;
};

class LifecycleTest : public ::testing::Test {
 protected:
  LifecycleTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(LifecycleDatabase())),
        clock_(Day(1000)),
        node_(std::make_unique<Node>(database_.app_dsn, &clock_)) {}

  static absl::Time Day(double day) {
    return absl::FromCivil(absl::CivilDay(2020, 1, 1), absl::UTCTimeZone()) +
           absl::Seconds(static_cast<int64_t>(day * 86400));
  }
  static Uuid Id(int number) { return Uuid::V5(Uuid(), absl::StrCat("id ", number)); }
  static EntityKey Contact(int number, const std::string& tenant = "acme") {
    return {tenant, Id(number)};
  }

  event::v1::Event Envelope(const EntityKey& contact, const google::protobuf::Message& payload) {
    event::v1::Event event;
    event.set_id(Id(1'000'000 + next_event_++).ToString());
    event.set_tenant(contact.tenant);
    event.set_subject(EntityName(kContacts, contact));
    event.set_type(payload.GetDescriptor()->full_name());
    ToProto(clock_.Now(), event.mutable_occur_time());
    event.set_payload(payload.SerializeAsString());
    return event;
  }
  contact::v1::ContactChanged ChangeOf(const EntityKey& contact, double created,
                                       const std::map<std::string, std::string>& attributes) {
    contact::v1::ContactChanged change;
    change.set_contact(EntityName(kContacts, contact));
    change.set_status(contact::v1::Contact::STATUS_ACTIVE);
    change.set_source("web");
    ToProto(Day(created), change.mutable_create_time());
    for (const auto& [id, value] : attributes) {
      (*change.mutable_attributes())[id].set_string_value(value);
    }
    return change;
  }
  event::v1::Event Created(const EntityKey& contact, double day,
                           const std::map<std::string, std::string>& attributes = {}) {
    auto change = ChangeOf(contact, day, attributes);
    change.set_change(contact::v1::ContactChanged::CHANGE_CREATED);
    return Envelope(contact, change);
  }
  event::v1::Event Updated(const EntityKey& contact, double created, double day,
                           const std::map<std::string, std::string>& attributes) {
    auto change = ChangeOf(contact, created, attributes);
    change.set_change(contact::v1::ContactChanged::CHANGE_UPDATED);
    for (const auto& [id, _] : attributes) {
      change.add_changed_fields(absl::StrCat("attributes.", id));
    }
    auto event = Envelope(contact, change);
    ToProto(Day(day), event.mutable_occur_time());
    return event;
  }
  struct Did {
    int id;
    double day;
    std::string type = "purchase";
    int64_t amount = 100;
  };
  event::v1::Event Behaved(const EntityKey& contact, const std::vector<Did>& events) {
    contact::v1::BehaviorRecorded recorded;
    recorded.set_contact(EntityName(kContacts, contact));
    for (const Did& did : events) {
      auto* event = recorded.add_events();
      event->set_event_id(Id(did.id).ToString());
      event->set_type(did.type);
      ToProto(Day(did.day), event->mutable_occur_time());
      event->set_amount_minor(did.amount);
      event->set_currency("EUR");
    }
    return Envelope(contact, recorded);
  }
  event::v1::Event Merged(const EntityKey& survivor, const EntityKey& merged) {
    contact::v1::ContactsMerged merge;
    merge.set_contact(EntityName(kContacts, survivor));
    merge.set_merged_contact(EntityName(kContacts, merged));
    return Envelope(survivor, merge);
  }

  // One transaction for all of them.
  absl::Status Deliver(const std::vector<event::v1::Event>& events, Node* node = nullptr) {
    if (node == nullptr) node = node_.get();
    journal::MutationInfo info;
    for (const auto& event : events) {
      const auto key = ParseEntityName("subject", kContacts, event.subject());
      info.shards.set(ShardOf(key->tenant, key->id));
    }
    return node->lanes
        .Run<LifecycleWork>(
            std::move(info),
            [&](LifecycleWork& work) {
              for (const auto& event : events) node->handler.Declare(event, work);
            },
            [&](LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
              for (const auto& event : events) {
                if (auto status = node->handler.Apply(event, work, recorder); !status.ok()) {
                  return status;
                }
                work.Keep();
              }
              return std::string();
            })
        .status();
  }

  // Publishes a model with its rules as its first revision, as InstallPreset does.
  void Install(StageModel model, std::vector<Rule> rules, const std::string& tenant = "acme") {
    journal::MutationInfo info{.tenant = tenant};
    info.shards.set();
    CLM_ASSERT_OK(node_->lanes.Run<LifecycleWork>(
        std::move(info), [&](LifecycleWork& work) { work.NeedDefinitions(tenant); },
        [&](LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          ModelDefinition definition;
          definition.model = model;
          definition.create_time = definition.update_time = recorder.now();
          definition.revisions = {
              {.number = 1, .from = recorder.now(), .model = model, .rules = rules}};
          if (auto s = work.SaveModel(tenant, definition, /*refold=*/true, /*anew=*/true); !s.ok())
            return s;
          return std::string();
        }));
  }
  void InstallShop(const std::string& tenant = "acme") {
    Install(NonContractualModel(), *NonContractualRules({}), tenant);
  }

  Customer Find(const EntityKey& key) {
    auto customer = node_->reader.FindCustomer(key, absl::InfiniteFuture());
    EXPECT_THAT(customer, clm::testing::IsOk());
    return customer.ok() ? *std::move(customer) : Customer{};
  }
  std::string StageOf(const EntityKey& key, const std::string& model = "non-contractual") {
    return Find(key).PlaceIn(model).state.stage;
  }
  // "DAY from>to", live moves in order.
  std::vector<std::string> Path(const EntityKey& key, bool superseded = false,
                                const std::string& model = "") {
    auto lines =
        node_->reader.Transitions(key, model, superseded, {}, 1000, absl::InfiniteFuture());
    EXPECT_THAT(lines, clm::testing::IsOk());
    std::vector<std::string> path;
    for (const auto& line : *lines) {
      const auto& t = line.transition;
      path.push_back(absl::StrCat((t.logged.at - Day(0)) / absl::Hours(24), " ", t.logged.from, ">",
                                  t.logged.to, t.supersede_time ? " void" : ""));
    }
    return path;
  }
  int64_t Count(const std::string& sql) {
    const auto rows = pg::AdminQuery(database_.admin_dsn, sql);
    EXPECT_THAT(rows, clm::testing::IsOk());
    return rows.ok() && !rows->empty() ? (*rows)[0].Int(0) : -1;
  }
  int64_t Journaled(const std::string& message, const EntityKey& key) {
    return Count(absl::StrCat("SELECT count(*) FROM journal WHERE type = 'clm.lifecycle.v1.",
                              message, "' AND subject = '", EntityName(kContacts, key), "'"));
  }
  // Moves the clock on and lets everything that is due happen.
  void RunUntil(double day) {
    clock_.Set(std::max(Day(day), clock_.Now() + absl::Seconds(2)));
    CLM_ASSERT_OK(node_->timers.RunOnce());
  }
  void Settle() {
    CLM_ASSERT_OK(node_->timers.RunOnce());
    clock_.Advance(kSettleTime);
    CLM_ASSERT_OK(node_->timers.RunOnce());
  }
  // The totals by day are what a recount of the log gives.
  void ExpectBalance() {
    EXPECT_EQ(Count(R"sql(
      SELECT count(*) FROM (
        SELECT tenant_id, model_id, stage, day, sum(entered) AS e, sum("left") AS l FROM stage_day
        GROUP BY 1, 2, 3, 4 HAVING sum(entered) <> 0 OR sum("left") <> 0) AS kept
      FULL JOIN (
        SELECT tenant_id, model_id, stage, day, sum(e) AS e, sum(l) AS l FROM (
          SELECT tenant_id, model_id, to_stage AS stage, (effective_time AT TIME ZONE 'UTC')::date AS day, 1 AS e, 0 AS l
          FROM transition WHERE supersede_time IS NULL AND to_stage <> ''
          UNION ALL
          SELECT tenant_id, model_id, from_stage, (effective_time AT TIME ZONE 'UTC')::date, 0, 1
          FROM transition WHERE supersede_time IS NULL AND from_stage <> '') AS moves
        GROUP BY 1, 2, 3, 4) AS counted USING (tenant_id, model_id, stage, day)
      WHERE kept.e IS DISTINCT FROM counted.e OR kept.l IS DISTINCT FROM counted.l)sql"),
              0);
  }

  const clm::testing::Database database_;
  ManualClock clock_;
  std::unique_ptr<Node> node_;
  int next_event_ = 0;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_LIFECYCLE_FIXTURE_H_
