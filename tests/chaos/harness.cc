#include "tests/chaos/harness.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/pg/admin.h"
#include "services/access/module.h"
#include "services/contact/module.h"
#include "services/feedback/module.h"
#include "services/lifecycle/module.h"
#include "services/loyalty/module.h"

namespace clm::chaos {
namespace {

constexpr int kLongForm = 20;
constexpr absl::Duration kPoll = absl::Milliseconds(10);

pg::Schema OnlySchema(std::unique_ptr<app::Module> module) { return module->Schemas().at(0); }

pg::Schema LifecycleSchema() {
  return OnlySchema(lifecycle::NewModule(std::make_shared<journal::FeedHandlers>()));
}

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "chaos: %s\n", std::string(status.message()).c_str());
  std::abort();
}

}  // namespace

int Rounds(int count) {
  const char* form = std::getenv("CLM_CHAOS_LONG");
  return form != nullptr && std::string(form) == "1" ? kLongForm * count : count;
}

std::string Ask(const std::string& admin_dsn, const std::string& sql) {
  const auto rows = pg::AdminQuery(admin_dsn, sql);
  if (!rows.ok()) return absl::StrCat("failed: ", rows.status().message());
  std::string text;
  for (int i = 0; i < rows->size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : "\n", (*rows)[i].IsNull(0) ? "" : (*rows)[i].Text(0));
  }
  return text;
}

ServerProcess::ServerProcess(Options options) : options_(std::move(options)) {
  {
    absl::MutexLock lock(&mu_);
    Spawn(options_.failpoint);
  }
  supervisor_ = std::thread([this] { Supervise(); });
  AwaitStart();
}

void ServerProcess::AwaitStart() {
  const auto channel = rpc::NewChannel(target());
  const bool up = Eventually([&] {
    return channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kPoll)) || !deaths().empty();
  });
  if (!up) Require(absl::DeadlineExceededError(absl::StrCat("not started:\n", Log())));
}

ServerProcess::~ServerProcess() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    process_->Kill();
  }
  supervisor_.join();
}

std::string ServerProcess::target() const {
  return absl::StrCat("unix:", options_.folder, "/", options_.name, ".sock");
}

void ServerProcess::Spawn(const std::string& failpoint) {
  failpoint_ = failpoint;
  stack::Command command;
  command.argv = {options_.binary, absl::StrCat("--socket=", target().substr(5)),
                  "--drain-delay=0s", "--log-level=warn"};
  command.argv.insert(command.argv.end(), options_.flags.begin(), options_.flags.end());
  command.env["CLM_FAILPOINT"] = failpoint;
  command.log_file = absl::StrCat(options_.folder, "/", options_.name, ".log");
  auto started = stack::ChildProcess::Start(std::move(command));
  Require(started.status());
  process_ = *std::move(started);
}

void ServerProcess::Supervise() {
  for (;;) {
    {
      absl::MutexLock lock(&mu_);
      if (stop_) return;
      if (const auto ended = process_->Wait(absl::ZeroDuration())) {
        deaths_.push_back(*ended);
        Spawn(absl::StrContains(failpoint_, ":kill=") ? failpoint_ : "");
      }
    }
    absl::SleepFor(kPoll);
  }
}

void ServerProcess::Kill() {
  absl::MutexLock lock(&mu_);
  process_->Signal(SIGKILL).IgnoreError();
}

void ServerProcess::Rearm(const std::string& failpoint) {
  {
    absl::MutexLock lock(&mu_);
    const stack::ExitStatus ended = process_->Stop(SIGTERM, absl::Seconds(30));
    EXPECT_TRUE(ended.ok()) << ended.ToString();
    deaths_.clear();
    Spawn(failpoint);
  }
  AwaitStart();
}

std::vector<stack::ExitStatus> ServerProcess::deaths() const {
  absl::MutexLock lock(&mu_);
  return deaths_;
}

bool ServerProcess::AwaitDeath() {
  return Eventually([this] { return !deaths().empty(); });
}

std::string ServerProcess::Log() const {
  return stack::Tail(absl::StrCat(options_.folder, "/", options_.name, ".log"), 20);
}

Caller::Caller(const std::vector<std::string>& targets) {
  for (const std::string& target : targets) channels_.push_back(rpc::NewChannel(target));
}

void Caller::Failed(const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  ++failures_[status.code()];
}

std::set<absl::StatusCode> Caller::failures() const {
  absl::MutexLock lock(&mu_);
  std::set<absl::StatusCode> codes;
  for (const auto& [code, count] : failures_) codes.insert(code);
  return codes;
}

int64_t Caller::failure_count() const {
  absl::MutexLock lock(&mu_);
  int64_t sum = 0;
  for (const auto& [code, count] : failures_) sum += count;
  return sum;
}

clm::testing::Postgres& DurablePostgres() {
  static clm::testing::Postgres* server = [] {
    static auto* made = new clm::testing::Postgres(true);
    std::atexit([] {
      // An orderly end would write everything to the disk once more.
      made->server().Kill();
      delete made;
    });
    return made;
  }();
  return *server;
}

World::World(const Options& options)
    : contact_database_(DurablePostgres().CreateDatabase(contact::FullSchema())),
      access_database_(DurablePostgres().CreateDatabase(OnlySchema(access::NewModule()))) {
  std::string redis_url = options.redis_url;
  if (options.redis) {
    redis_ = std::make_unique<clm::testing::RedisServer>();
    redis_url = redis_->url();
  }
  for (const char* tenant : {"acme", "globex", "initech"}) AddTenant(tenant);
  std::ofstream(folder_.File("secret")) << std::string(32, 's');
  std::vector<std::string> flags = {absl::StrCat("--secret-file=", folder_.File("secret"))};
  if (!redis_url.empty()) flags.push_back(absl::StrCat("--redis-url=", redis_url));

  const auto socket = [this](const std::string& name) {
    return absl::StrCat("unix:", folder_.File(name), ".sock");
  };
  std::vector<std::string> contact_flags = flags;
  contact_flags.push_back(absl::StrCat("--contact-dsn=", contact_database_.app_dsn));
  contact_flags.push_back(absl::StrCat("--access-dsn=", access_database_.app_dsn));
  if (options.lifecycle) {
    contact_flags.push_back(absl::StrCat("--lifecycle-peer=", socket("lifecycle")));
  }
  if (options.loyalty > 0) {
    contact_flags.push_back(absl::StrCat("--loyalty-peer=", socket("loyalty0")));
  }
  std::vector<std::string> targets;
  for (int i = 0; i < options.contacts; ++i) {
    contacts_.push_back(std::make_unique<ServerProcess>(
        ServerProcess::Options{.binary = CLM_BIN_DIR "/clm-contact",
                               .name = absl::StrCat("contact", i),
                               .folder = folder_.path(),
                               .flags = contact_flags,
                               .failpoint = i == 0 ? options.contact_failpoint : ""}));
    targets.push_back(contacts_.back()->target());
  }
  caller_ = std::make_unique<Caller>(targets);
  if (options.loyalty > 0) {
    loyalty_database_ = DurablePostgres().CreateDatabase(loyalty::FullSchema());
    std::vector<std::string> loyalty_flags = flags;
    loyalty_flags.push_back(absl::StrCat("--loyalty-dsn=", loyalty_database_.app_dsn));
    loyalty_flags.push_back(absl::StrCat("--contact-peer=", socket("contact0")));
    loyalty_flags.push_back(absl::StrCat("--access-peer=", socket("contact0")));
    if (options.lifecycle) {
      loyalty_flags.push_back(absl::StrCat("--lifecycle-peer=", socket("lifecycle")));
    }
    std::vector<std::string> loyalties;
    for (int i = 0; i < options.loyalty; ++i) {
      loyalties_.push_back(std::make_unique<ServerProcess>(
          ServerProcess::Options{.binary = CLM_BIN_DIR "/clm-loyalty",
                                 .name = absl::StrCat("loyalty", i),
                                 .folder = folder_.path(),
                                 .flags = loyalty_flags,
                                 .failpoint = i == 0 ? options.loyalty_failpoint : ""}));
      loyalties.push_back(loyalties_.back()->target());
    }
    loyalty_caller_ = std::make_unique<Caller>(loyalties);
  }
  if (options.feedback > 0) {
    feedback_database_ = DurablePostgres().CreateDatabase(feedback::FullSchema());
    std::vector<std::string> feedback_flags = flags;
    feedback_flags.push_back(absl::StrCat("--feedback-dsn=", feedback_database_.app_dsn));
    feedback_flags.push_back(absl::StrCat("--contact-peer=", socket("contact0")));
    feedback_flags.push_back(absl::StrCat("--access-peer=", socket("contact0")));
    if (options.lifecycle) {
      feedback_flags.push_back(absl::StrCat("--lifecycle-peer=", socket("lifecycle")));
    }
    std::vector<std::string> feedbacks;
    for (int i = 0; i < options.feedback; ++i) {
      feedbacks_.push_back(std::make_unique<ServerProcess>(
          ServerProcess::Options{.binary = CLM_BIN_DIR "/clm-feedback",
                                 .name = absl::StrCat("feedback", i),
                                 .folder = folder_.path(),
                                 .flags = feedback_flags,
                                 .failpoint = i == 0 ? options.feedback_failpoint : ""}));
      feedbacks.push_back(feedbacks_.back()->target());
    }
    feedback_caller_ = std::make_unique<Caller>(feedbacks);
  }
  if (!options.lifecycle) return;
  lifecycle_database_ = DurablePostgres().CreateDatabase(LifecycleSchema());
  std::vector<std::string> lifecycle_flags = flags;
  lifecycle_flags.push_back(absl::StrCat("--lifecycle-dsn=", lifecycle_database_.app_dsn));
  lifecycle_flags.push_back(absl::StrCat("--contact-peer=", socket("contact0")));
  if (options.loyalty > 0) {
    lifecycle_flags.push_back(absl::StrCat("--loyalty-peer=", socket("loyalty0")));
  }
  lifecycle_ = std::make_unique<ServerProcess>(
      ServerProcess::Options{.binary = CLM_BIN_DIR "/clm-lifecycle",
                             .name = "lifecycle",
                             .folder = folder_.path(),
                             .flags = lifecycle_flags,
                             .failpoint = options.lifecycle_failpoint});
  lifecycle_caller_ = std::make_unique<Caller>(std::vector<std::string>{lifecycle_->target()});
}

void World::AddTenant(const std::string& tenant) {
  Require(pg::AdminExec(access_database_.admin_dsn,
                        absl::StrCat("INSERT INTO tenant (tenant_id, display_name, create_time) "
                                     "VALUES ('",
                                     tenant, "', '', now()) ON CONFLICT DO NOTHING")));
}

World::~World() {
  if (!::testing::Test::HasFailure()) return;
  for (const auto& contact : contacts_) std::fprintf(stderr, "%s\n", contact->Log().c_str());
  for (const auto& one : loyalties_) std::fprintf(stderr, "%s\n", one->Log().c_str());
  for (const auto& one : feedbacks_) std::fprintf(stderr, "%s\n", one->Log().c_str());
  if (lifecycle_ != nullptr) std::fprintf(stderr, "%s\n", lifecycle_->Log().c_str());
}

void World::ExpectDenseJournal(const clm::testing::Database& database) {
  EXPECT_EQ(Ask(database.admin_dsn, R"sql(
      SELECT format('shard %s: head %s, %s rows from %s to %s', h.shard, h.off, j.n, j.low, j.high)
      FROM journal_head h
      LEFT JOIN (SELECT shard, count(*) AS n, min(off) AS low, max(off) AS high
                 FROM journal GROUP BY shard) AS j USING (shard)
      WHERE (h.off, h.off) <> (coalesce(j.n, 0), coalesce(j.high, 0)) OR j.low <> 1)sql"),
            "");
}

void World::ExpectFactsAreEvents() {
  const auto offsets = [](const clm::testing::Database& database, const std::string& from) {
    return Ask(database.admin_dsn, absl::StrCat("SELECT format('%s=%s', shard, off) FROM ", from,
                                                " AND off > 0 ORDER BY shard"));
  };
  ASSERT_TRUE(Eventually([&] {
    return offsets(lifecycle_database_, "consumer_shard WHERE source = 'contact'") ==
           offsets(contact_database_, "journal_head WHERE true");
  })) << Ask(lifecycle_database_.admin_dsn, "SELECT consumer_shard::text FROM consumer_shard");
  EXPECT_EQ(Ask(lifecycle_database_.admin_dsn,
                "SELECT format('%s: %s', event_id, error_message) FROM dead_letter"),
            "");
  EXPECT_EQ(Ask(lifecycle_database_.admin_dsn,
                "SELECT format('%s %s %s', tenant_id, contact_id, event_id) FROM fact "
                "WHERE kind = 0 AND type <> 'loyalty.tier_changed' ORDER BY 1"),
            Ask(contact_database_.admin_dsn,
                "SELECT format('%s %s %s', tenant_id, contact_id, event_id) FROM event "
                "ORDER BY 1"));
  ExpectDenseJournal(lifecycle_database_);
}

}  // namespace clm::chaos
