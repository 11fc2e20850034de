// A feedback database of one test, with the parts of the service on it and a clock that stands
// still.
#ifndef CLM_SERVICES_FEEDBACK_FEEDBACK_FIXTURE_H_
#define CLM_SERVICES_FEEDBACK_FEEDBACK_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/lanes.h"
#include "libs/pg/admin.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/feeds.h"
#include "services/feedback/module.h"
#include "services/feedback/module_part.h"

namespace clm::feedback {

// One service on a database; several may share one, as processes do.
struct Node {
  using Context = absl::StatusOr<contact::v1::CustomerContext>;

  Node(const std::string& dsn, const Clock* clock,
       std::function<Context(const std::string&, absl::Time)> context_of = nullptr)
      : pool(pg::NewPool({.dsn = dsn})),
        lanes({.pool = pool.get(), .clock = clock, .new_work = [this] {
                 auto work = std::make_unique<FeedbackWork>();
                 for (const auto& part : parts) part->AddTo(*work);
                 return work;
               }}) {
    shared.pool = pool.get();
    shared.lanes = &lanes;
    shared.clock = clock;
    shared.tokens = &tokens;
    shared.secret = "secret";
    shared.context_of = std::move(context_of);
    parts = NewParts(shared);
    for (const auto& part : parts) {
      contact_feed.Add(part->contact_feed());
      lifecycle_feed.Add(part->lifecycle_feed());
    }
  }
  // The part of this type.
  template <class P>
  P& Part() {
    for (const auto& part : parts) {
      if (auto* found = dynamic_cast<P*>(part.get())) return *found;
    }
    std::abort();
  }

  std::unique_ptr<pg::Pool> pool;
  PageTokens tokens{"secret"};
  FeedbackParts shared;
  std::vector<std::unique_ptr<ModulePart>> parts;
  SharedFeed contact_feed;
  SharedFeed lifecycle_feed;
  journal::Lanes lanes;
};

class FeedbackTest : public ::testing::Test {
 protected:
  FeedbackTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(FullSchema())),
        clock_(At("2026-01-25 18:00")),
        node_(std::make_unique<Node>(
            database_.app_dsn, &clock_,
            [this](const std::string& contact, absl::Time) { return ContextOf(contact); })) {}

  // In Berlin.
  static absl::Time At(const std::string& text) {
    absl::TimeZone zone;
    absl::Time time;
    EXPECT_TRUE(absl::LoadTimeZone("Europe/Berlin", &zone));
    EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M", text, zone, &time, nullptr)) << text;
    return time;
  }
  static Uuid Id(int number) { return Uuid::V5(Uuid(), absl::StrCat("id ", number)); }
  static EntityKey Contact(int number) { return {"acme", Id(number)}; }
  static std::string ContactName(int number) { return EntityName(kContacts, Contact(number)); }

  // What the contact service says of a contact; tests set what they need, also that it is silent.
  virtual Node::Context ContextOf(const std::string& contact) {
    contact::v1::CustomerContext context;
    context.mutable_contact()->set_name(contact);
    return context;
  }

  template <class H, class Req, class Resp>
  absl::StatusOr<Resp> Do(H& handlers,
                          void (H::*rpc)(const rpc::Call&, const Req&, rpc::Reply<Resp>),
                          const Req& request) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    (handlers.*rpc)(CallNow(), request, rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
                      result = std::move(r);
                      done.Notify();
                    }));
    done.WaitForNotification();
    return result;
  }
  template <class H, class Req, class Resp>
  absl::StatusOr<Resp> Do(H& handlers, absl::StatusOr<Resp> (H::*rpc)(const rpc::Call&, const Req&),
                          const Req& request) {
    return (handlers.*rpc)(CallNow(), request);
  }
  rpc::Call CallNow() const {
    rpc::Call call;
    call.now = clock_.Now();
    call.deadline = absl::Now() + absl::Seconds(30);
    call.method = "/clm.feedback.v1.SurveyService/Test";
    call.caller.actor = "token:ada";
    return call;
  }

  // What a consumer would deliver, in one transaction.
  absl::Status Deliver(SharedFeed& feed, const EntityKey& subject,
                       const google::protobuf::Message& payload) {
    event::v1::Event event;
    event.set_id(Uuid::V7(clock_.Now()).ToString());
    event.set_tenant(subject.tenant);
    event.set_subject(EntityName(kContacts, subject));
    event.set_type(payload.GetDescriptor()->full_name());
    event.set_payload(payload.SerializeAsString());
    journal::MutationInfo info;
    info.shards.set(ShardOf(subject.tenant, subject.id));
    return node_->lanes
        .Run<FeedbackWork>(
            std::move(info), [&](FeedbackWork& work) { feed.Declare(event, work); },
            [&](FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
              CLM_RETURN_IF_ERROR(feed.Apply(event, work, recorder));
              return std::string();
            })
        .status();
  }
  // Told, and not followed yet: see Follow.
  absl::Status TellMerge(int survivor, int merged) {
    contact::v1::ContactsMerged event;
    event.set_contact(ContactName(survivor));
    event.set_merged_contact(ContactName(merged));
    return Deliver(node_->contact_feed, Contact(survivor), event);
  }
  absl::Status TellErasure(int contact) {
    contact::v1::ContactChanged event;
    event.set_contact(ContactName(contact));
    event.set_change(contact::v1::ContactChanged::CHANGE_ERASED);
    return Deliver(node_->contact_feed, Contact(contact), event);
  }
  // Everything that is pending of contacts. How many they were.
  int Follow() {
    const auto done = node_->Part<ContactChanges>().RunOnce();
    CLM_EXPECT_OK(done);
    return done.value_or(-1);
  }
  void Merge(int survivor, int merged) {
    CLM_EXPECT_OK(TellMerge(survivor, merged));
    Follow();
  }
  void Erase(int contact) {
    CLM_EXPECT_OK(TellErasure(contact));
    Follow();
  }

  // The answer of the database to a question, past row security.
  std::string Ask(const std::string& sql) {
    const auto rows = pg::AdminQuery(database_.admin_dsn, sql);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() && !rows->empty() ? std::string((*rows)[0].Text(0)) : "";
  }
  int64_t Count(const std::string& sql) {
    int64_t count = -1;
    EXPECT_TRUE(absl::SimpleAtoi(Ask(sql), &count)) << sql;
    return count;
  }

  const clm::testing::Database database_;
  ManualClock clock_;
  std::unique_ptr<Node> node_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_FEEDBACK_FIXTURE_H_
