// What the chaos tests are made of: servers of the suite as processes that die and are started
// again, and callers that do what the guarantees tell callers to do.
#ifndef CLM_TESTS_CHAOS_HARNESS_H_
#define CLM_TESTS_CHAOS_HARNESS_H_

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "libs/stack/child_process.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::chaos {

// `count` in the short form, twenty times as many with CLM_CHAOS_LONG=1.
int Rounds(int count);

using clm::testing::Eventually;
using clm::testing::kPatience;

// The first column of the answer to a question put to a database by its superuser, all rows joined
// by newlines.
std::string Ask(const std::string& admin_dsn, const std::string& sql);

// One server binary on a private socket. However it dies it is started again, as a cluster would.
// Thread-safe.
class ServerProcess {
 public:
  struct Options {
    std::string binary;  // Path.
    std::string name;    // Of the socket and the log in `folder`; unique there.
    std::string folder;
    std::vector<std::string> flags;
    // "lane.locked:kill@3": where its first life ends; "consumer.applying:kill=TEXT": where each
    // does. Empty for none.
    std::string failpoint;
  };

  // Returns when it accepts calls, or has died once.
  explicit ServerProcess(Options options);
  // Ends it by SIGKILL.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // For NewChannel.
  std::string target() const;
  // kill -9 now.
  void Kill();
  // Stops it in order, and starts it again with this failpoint. No death.
  void Rearm(const std::string& failpoint);
  // How its lives ended since the start or Rearm.
  std::vector<stack::ExitStatus> deaths() const;
  bool AwaitDeath();
  // The end of its log.
  std::string Log() const;

 private:
  void Spawn(const std::string& failpoint) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AwaitStart();
  void Supervise();

  const Options options_;
  mutable absl::Mutex mu_;
  std::unique_ptr<stack::ChildProcess> process_ ABSL_GUARDED_BY(mu_);
  std::string failpoint_ ABSL_GUARDED_BY(mu_);  // Of the life it is in.
  std::vector<stack::ExitStatus> deaths_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread supervisor_;
};

// Calls one of several replicas; upon a transient failure, the next, with the same request, until
// there is an answer. Thread-safe.
class Caller {
 public:
  explicit Caller(const std::vector<std::string>& targets);

  // `replayed` tells whether the answer was an earlier one. `timeout` is that of an attempt. After
  // kPatience the last failure.
  template <class Stub, class Req, class Resp>
  absl::StatusOr<Resp> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Req&, Resp*),
                            const Req& request, bool* replayed = nullptr, int replica = 0,
                            absl::Duration timeout = absl::Seconds(5));

  // The codes of all failures that were answered by another attempt.
  std::set<absl::StatusCode> failures() const;
  int64_t failure_count() const;

 private:
  void Failed(const absl::Status& status);

  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  mutable absl::Mutex mu_;
  std::map<absl::StatusCode, int64_t> failures_ ABSL_GUARDED_BY(mu_);
};

template <class Stub, class Req, class Resp>
absl::StatusOr<Resp> Caller::Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Req&,
                                                               Resp*),
                                  const Req& request, bool* replayed, int replica,
                                  absl::Duration timeout) {
  const absl::Time until = absl::Now() + kPatience;
  for (size_t at = replica;; ++at) {
    Stub stub(channels_[at % channels_.size()]);
    grpc::ClientContext context;
    rpc::PrepareContext({.service = "clm-chaos", .token = ""}, timeout, &context);
    Resp response;
    const absl::Status status = rpc::FromGrpc((stub.*method)(&context, request, &response));
    if (status.ok()) {
      if (replayed != nullptr) {
        *replayed = context.GetServerTrailingMetadata().contains("clm-idempotent-replay");
      }
      return response;
    }
    if (!error::IsTransient(status) || absl::Now() >= until) return status;
    Failed(status);
    absl::SleepFor(absl::Milliseconds(20));
  }
}

// A durable PostgreSQL of the test binary, which tests may kill and must leave running.
clm::testing::Postgres& DurablePostgres();

// The databases, servers and callers of one test.
class World {
 public:
  struct Options {
    bool redis = false;
    int contacts = 1;  // Processes of clm-contact.
    bool lifecycle = false;
    int loyalty = 0;   // Processes of clm-loyalty.
    int feedback = 0;  // Processes of clm-feedback.
    // Of the first process of each.
    std::string contact_failpoint;
    std::string lifecycle_failpoint;
    std::string loyalty_failpoint;
    std::string feedback_failpoint;
    // Instead of the world's own Redis.
    std::string redis_url;
  };

  explicit World(const Options& options);
  ~World();

  // Makes a tenant, not by way of a process that may be told to die there. The tenants of a
  // ContactLoad are made with the world.
  void AddTenant(const std::string& tenant);

  // A caller of all processes of clm-contact.
  Caller& caller() { return *caller_; }
  ServerProcess& contact(int i = 0) { return *contacts_[i]; }
  ServerProcess& lifecycle() { return *lifecycle_; }
  Caller& lifecycle_caller() { return *lifecycle_caller_; }
  ServerProcess& loyalty(int i = 0) { return *loyalties_[i]; }
  // A caller of all processes of clm-loyalty.
  Caller& loyalty_caller() { return *loyalty_caller_; }
  ServerProcess& feedback(int i = 0) { return *feedbacks_[i]; }
  // A caller of all processes of clm-feedback.
  Caller& feedback_caller() { return *feedback_caller_; }
  clm::testing::RedisServer& redis() { return *redis_; }
  const clm::testing::Database& contact_database() const { return contact_database_; }
  const clm::testing::Database& lifecycle_database() const { return lifecycle_database_; }
  const clm::testing::Database& loyalty_database() const { return loyalty_database_; }
  const clm::testing::Database& feedback_database() const { return feedback_database_; }

  // Offsets of a journal are dense from 1 on and end at the head, in every shard.
  static void ExpectDenseJournal(const clm::testing::Database& database);
  // Waits until lifecycle has applied all of contact's journal, and compares the two: every event
  // a fact, once.
  void ExpectFactsAreEvents();

 private:
  const clm::testing::TempFolder folder_;
  std::unique_ptr<clm::testing::RedisServer> redis_;
  clm::testing::Database contact_database_;
  clm::testing::Database access_database_;
  clm::testing::Database lifecycle_database_;
  std::vector<std::unique_ptr<ServerProcess>> contacts_;
  std::unique_ptr<ServerProcess> lifecycle_;
  std::unique_ptr<Caller> caller_;
  std::unique_ptr<Caller> lifecycle_caller_;
  clm::testing::Database loyalty_database_;
  std::vector<std::unique_ptr<ServerProcess>> loyalties_;
  std::unique_ptr<Caller> loyalty_caller_;
  clm::testing::Database feedback_database_;
  std::vector<std::unique_ptr<ServerProcess>> feedbacks_;
  std::unique_ptr<Caller> feedback_caller_;
};

}  // namespace clm::chaos

#endif  // CLM_TESTS_CHAOS_HARNESS_H_
