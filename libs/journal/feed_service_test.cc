// The feed as consumers of other processes have it: over a channel of the suite, with its limits.
#include "libs/journal/feed_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/app/server.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/journal/feed_module.h"
#include "libs/journal/test_work.h"
#include "libs/journal/two_databases.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"
#include "libs/testing/temp_folder.h"

namespace clm::journal {
namespace {

using ::clm::testing::Eventually;
using ::clm::testing::IsOk;

// Counts the events of each subject.
class CountHandler : public EventHandler {
 public:
  void Declare(const event::v1::Event& event, Work& work) override {
    static_cast<CounterWork&>(work).Need(event.tenant(), event.subject());
  }
  absl::Status Apply(const event::v1::Event& event, Work& work, Recorder&) override {
    auto& counters = static_cast<CounterWork&>(work);
    counters.Set(event.tenant(), event.subject(),
                 counters.Get(event.tenant(), event.subject()) + 1);
    return absl::OkStatus();
  }
};

class FeedServiceTest : public TwoDatabasesTest {
 protected:
  FeedServiceTest() {
    auto feeds = std::make_shared<FeedHandlers>();
    feeds->Add("source", &feed_);
    std::vector<std::unique_ptr<app::Module>> modules;
    modules.push_back(NewFeedModule(std::move(feeds)));
    auto server = app::Server::Start({.name = "clm-source",
                                      .socket = folder_.File("clm.sock"),
                                      .secret = std::string(32, 's'),
                                      .drain_delay = absl::ZeroDuration()},
                                     std::move(modules));
    if (!server.ok()) {
      ADD_FAILURE() << server.status();
      std::abort();
    }
    server_ = *std::move(server);
  }

  // One event with a payload of `bytes`.
  absl::Status Record(const std::string& name, size_t bytes) {
    Addition add{.name = name};
    return source_lanes_
        .Run<CounterWork>(
            InfoOf(add), [](CounterWork&) {},
            [&](CounterWork&, Recorder& recorder) -> absl::StatusOr<std::string> {
              recorder.Record({ShardOf(add.tenant, name), add.tenant,
                               absl::StrCat("counters/", name), "test.Large", 1, std::nullopt, "",
                               std::string(bytes, 'x')});
              return std::string();
            })
        .status();
  }

  // The count of all events applied by a consumer of `channel`, once it is `count`.
  void ExpectApplied(std::shared_ptr<grpc::Channel> channel, int64_t count) {
    RemoteFeed remote(std::move(channel), {.service = "clm-test", .token = ""});
    CountHandler handler;
    absl::Mutex mu;
    std::set<std::string> troubles;
    Consumer::Options options;
    options.source = "source";
    options.pool = own_pool_.get();
    options.lanes = &own_lanes_;
    options.handler = &handler;
    options.fetch = [&](const event::v1::FetchRequest& request, absl::Time deadline) {
      return remote.Fetch(request, deadline);
    };
    options.cancel_fetch = [&] { remote.Cancel(); };
    options.on_trouble = [&](const absl::Status& status) {
      absl::MutexLock lock(&mu);
      troubles.insert(status.ToString());
    };
    Consumer consumer(std::move(options));
    consumer.Start();
    const auto settled = [&] {
      absl::MutexLock lock(&mu);
      return consumer.stats().applied >= count || !troubles.empty();
    };
    EXPECT_TRUE(Eventually(settled));
    consumer.Stop();
    EXPECT_EQ(consumer.stats().applied, count);
    absl::MutexLock lock(&mu);
    EXPECT_THAT(troubles, ::testing::IsEmpty());
  }

  const clm::testing::TempFolder folder_;
  std::unique_ptr<app::Server> server_;
};

TEST_F(FeedServiceTest, ABacklogOfLargeRecordsIsConsumedInProcess) {
  for (int i = 0; i < 24; ++i) ASSERT_THAT(Record(absl::StrCat("n", i % 5), 600'000), IsOk());
  ExpectApplied(server_->Channel(), 24);
}

TEST_F(FeedServiceTest, ABacklogOfLargeRecordsIsConsumedOverTheSocket) {
  for (int i = 0; i < 24; ++i) ASSERT_THAT(Record(absl::StrCat("n", i % 5), 600'000), IsOk());
  ExpectApplied(rpc::NewChannel(absl::StrCat("unix:", folder_.File("clm.sock"))), 24);
}

TEST_F(FeedServiceTest, ARecordFromBeforeThereWasALimitIsConsumed) {
  ASSERT_THAT(Record("n", 10), IsOk());
  // As a request of 4 MiB had left it, in its envelope.
  event::v1::Event event;
  event.set_id("0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a");
  event.set_tenant("acme");
  event.set_subject("counters/n");
  event.set_type("test.Large");
  event.set_payload(std::string((4 << 20) + 100'000, 'x'));
  const int shard = ShardOf("acme", "n");
  static constexpr pg::Statement kAppendOne{
      "test.append_one",
      "WITH h AS (UPDATE journal_head SET off = 2 WHERE shard = $1::smallint RETURNING shard) "
      "INSERT INTO journal (shard, off, tenant_id, event_id, subject, type, event, record_time) "
      "SELECT shard, 2, 'acme', '0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a', 'counters/n', "
      "'test.Large', $2::bytea, now() FROM h"};
  pg::Args args;
  args.Add(shard).AddBytes(event.SerializeAsString());
  ASSERT_THAT(
      source_pool_->Transact({pg::Scope::Suite()},
                             [&](pg::Tx& tx) { return tx.Exec(kAppendOne, args).status(); }),
      IsOk());
  ASSERT_THAT(Record("n", 10), IsOk());
  ExpectApplied(server_->Channel(), 3);
}

}  // namespace
}  // namespace clm::journal
