#include <sys/socket.h>

#include <cstring>
#include <list>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/pg/connection.h"
#include "libs/pg/dsn.h"
#include "libs/pg/pg.h"
#include "libs/pg/rows.h"
#include "libs/pg/status.h"

namespace clm::pg {

namespace {

constexpr int kRuns = 3;
// A server that has not answered this long after the deadline hangs; its line is cut.
constexpr absl::Duration kHungAfter = absl::Seconds(2);
constexpr absl::Duration kWatchInterval = absl::Milliseconds(250);

absl::Status DeadlinePassed() {
  return error::Make(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                     "the deadline passed before the database was asked");
}

// The value of clm.tenant for a scope.
absl::StatusOr<std::string> TenantSetting(const Scope& scope) {
  if (scope.suite) return std::string("*");
  if (scope.tenants.empty()) return error::Internal("a transaction needs a tenant scope");
  size_t size = scope.tenants.size();
  for (const std::string& tenant : scope.tenants) size += tenant.size();
  std::string setting;
  setting.reserve(size);
  for (const std::string& tenant : scope.tenants) {
    if (tenant.empty() || tenant.find_first_of(std::string(",*\0", 3)) != std::string::npos) {
      return error::Internal("a tenant id in a transaction's scope is malformed");
    }
    if (!setting.empty()) setting.push_back(',');
    setting.append(tenant);
  }
  return setting;
}

// The connection's prepared statements do not fit the database any more: a cached plan that the
// schema has outgrown, or a statement that somebody deallocated.
bool IsOutdated(const absl::Status& failure) {
  const std::string state = SqlState(failure);
  return state == "0A000" || state == "26000";
}

void AppendTenant(std::string& sql, absl::string_view setting) {
  sql.append("SET LOCAL clm.tenant=");
  AppendLiteral(sql, setting);
  sql.push_back(';');
}

// In milliseconds.
struct Timeouts {
  std::optional<int64_t> statement;
  std::optional<int64_t> lock;
};

// The remaining time as statement_timeout, and three quarters of it as lock_timeout, so that a wait
// for a lock can be told from slow work.
Timeouts TimeoutsUntil(absl::Time deadline) {
  if (deadline == absl::InfiniteFuture()) return {};
  const int64_t ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(deadline - absl::Now()), 1,
                                         absl::ToInt64Milliseconds(absl::Hours(24)));
  return {ms, std::max<int64_t>(1, ms * 3 / 4)};
}

void AppendTimeouts(std::string& sql, absl::Time deadline) {
  const Timeouts timeouts = TimeoutsUntil(deadline);
  if (!timeouts.statement) return;
  absl::StrAppend(&sql, "SET LOCAL statement_timeout=", *timeouts.statement,
                  ";SET LOCAL lock_timeout=", *timeouts.lock, ";");
}

bool HasNul(const std::string& text) {
  return std::memchr(text.data(), '\0', text.size()) != nullptr;
}

bool HasNul(const std::optional<std::string>& text) { return text && HasNul(*text); }

// PostgreSQL's texts hold no NUL, and libpq would cut the value there.
template <class Texts>
absl::Status CheckText(const Texts& texts) {
  for (const auto& text : texts) {
    if (HasNul(text)) {
      return error::Make(absl::StatusCode::kInvalidArgument, "DATA_REJECTED",
                         "a text must not contain the character U+0000");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckArgs(const Args& args) {
  for (const Args::Value& value : args.raw()) {
    absl::Status status;
    if (const auto* text = std::get_if<std::string>(&value)) {
      status = CheckText(absl::MakeConstSpan(text, 1));
    } else if (const auto* array = std::get_if<Args::Array>(&value)) {
      if (const auto* texts = std::get_if<std::vector<std::string>>(array)) {
        status = CheckText(*texts);
      } else if (const auto* some = std::get_if<std::vector<std::optional<std::string>>>(array)) {
        status = CheckText(*some);
      }
    }
    CLM_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

// A transaction on a leased connection. `sql_` holds what is still to be sent ahead of the next
// statement, in the same round trip.
class PoolTx : public Tx {
 public:
  PoolTx(Connection& connection, std::string begin, absl::Time deadline)
      : connection_(connection), sql_(std::move(begin)), deadline_(deadline) {}

  absl::StatusOr<Result> Exec(const Statement& statement, const Args& args) override {
    CLM_RETURN_IF_ERROR(Ready(args));
    return Guard(statement.name, [&] {
      const PreparedStatement& prepared = connection_.Prepared(statement);
      if (sql_.empty()) return MakeRows(connection_.ExecPrepared(prepared, args));
      AppendExecute(sql_, prepared.name, args);
      return MakeRows(SendPending());
    });
  }

  absl::StatusOr<Result> ExecDynamic(const std::string& sql, const Args& args) override {
    CLM_RETURN_IF_ERROR(Ready(args));
    return Guard("dynamic", [&] {
      if (!sql_.empty()) SendPending();
      return MakeRows(connection_.ExecParams(sql, args));
    });
  }

  absl::Status Copy(const std::string& table, const std::vector<std::string>& columns,
                    const std::vector<std::vector<std::optional<std::string>>>& rows) override {
    CLM_RETURN_IF_ERROR(Ready({}));
    for (const auto& row : rows) {
      if (row.size() != columns.size()) return error::Internal("a row to copy has another width");
      CLM_RETURN_IF_ERROR(CheckText(row));
    }
    const auto copied = Guard("copy", [&] {
      if (!sql_.empty()) SendPending();
      connection_.Copy(table, columns, rows);
      return std::make_shared<const Rows>();
    });
    // libpqxx may keep a failed stream's error for the next statement.
    if (!copied.ok()) broken_ = true;
    return copied.status();
  }

  absl::Status SetScope(const Scope& scope) override {
    CLM_RETURN_IF_ERROR(failure_);
    CLM_ASSIGN_OR_RETURN(const std::string setting, TenantSetting(scope));
    AppendTenant(sql_, setting);
    return absl::OkStatus();
  }

  // Sends "COMMIT". UNAVAILABLE, reason COMMIT_UNKNOWN, when the answer did not arrive.
  absl::Status Commit() {
    CLM_RETURN_IF_ERROR(failure_);
    if (!begun_) return absl::OkStatus();
    try {
      connection_.Exec("COMMIT");
      return absl::OkStatus();
    } catch (...) {
      broken_ = !connection_.open();
      const absl::Status failed = StatusFromCurrentException("COMMIT", !broken_);
      return broken_ ? FromSqlState("40003", "") : failed;
    }
  }

  void Rollback() {
    if (!begun_ || broken_) return;
    try {
      connection_.Exec("ROLLBACK");
    } catch (...) {
      broken_ = true;
    }
  }

  // The first failure of a statement; OK when none failed.
  const absl::Status& failure() const { return failure_; }
  // The connection must not be used again.
  bool broken() const { return broken_; }

 private:
  absl::Status Ready(const Args& args) {
    CLM_RETURN_IF_ERROR(failure_);
    if (absl::Now() >= deadline_) return failure_ = DeadlinePassed();
    return CheckArgs(args);
  }

  pqxx::result SendPending() {
    begun_ = true;
    const std::string sql = std::exchange(sql_, {});
    return connection_.Exec(sql);
  }

  template <class Body>
  absl::StatusOr<Result> Guard(const char* doing, Body body) {
    try {
      return ResultMaker::Make(body());
    } catch (...) {
      failure_ = StatusFromCurrentException(doing, connection_.open());
      broken_ = !connection_.open() || IsOutdated(failure_);
      return failure_;
    }
  }

  Connection& connection_;
  std::string sql_;
  const absl::Time deadline_;
  bool begun_ = false;
  bool broken_ = false;
  absl::Status failure_;
};

class ConnectionPool : public Pool {
 public:
  explicit ConnectionPool(Options options) : options_(std::move(options)) {
    absl::StatusOr<DsnOptions> dsn = ParseDsn(options_.dsn);
    if (dsn.ok()) {
      dsn_ = FormatDsn(WithDefaults(*std::move(dsn), options_.application_name));
    } else {
      dsn_status_ = dsn.status();
    }
    watchdog_ = std::thread([this] { Watch(); });
  }

  ~ConnectionPool() override {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
      stop_.SignalAll();
    }
    watchdog_.join();
  }

  absl::Status Transact(const TxOptions& options,
                        absl::FunctionRef<absl::Status(Tx&)> body) override {
    return Run(options, "BEGIN ISOLATION LEVEL READ COMMITTED;", /*writes=*/true, body);
  }

  absl::Status Read(const TxOptions& options, absl::FunctionRef<absl::Status(Tx&)> body,
                    bool repeatable) override {
    return Run(options,
               repeatable ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                            "SET LOCAL plan_cache_mode=auto;"
                          : "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;"
                            "SET LOCAL plan_cache_mode=auto;",
               /*writes=*/false, body);
  }

  absl::StatusOr<Result> Query(const TxOptions& options, const Statement& statement,
                               const Args& args) override {
    CLM_RETURN_IF_ERROR(CheckArgs(args));
    std::optional<Result> result;
    CLM_RETURN_IF_ERROR(
        Attempts(options, [&](Connection& connection, const std::string& tenant) -> Outcome {
          const Timeouts timeouts = TimeoutsUntil(options.deadline);
          try {
            result = ResultMaker::Make(MakeRows(
                connection.Query(statement, args, tenant, timeouts.statement, timeouts.lock)));
            return {};
          } catch (...) {
            const absl::Status failure =
                StatusFromCurrentException(statement.name, connection.open());
            return {failure, failure, !connection.open() || IsOutdated(failure)};
          }
        }));
    return *std::move(result);
  }

  absl::Status Prepare(const std::vector<const Statement*>& statements) override {
    CLM_ASSIGN_OR_RETURN(Lease lease, Checkout(absl::InfiniteFuture()));
    absl::Status status;
    for (const Statement* statement : statements) {
      try {
        lease.connection->Prepared(*statement);
      } catch (...) {
        status = StatusFromCurrentException(statement->name, lease.connection->open());
        status = error::Make(status.code(), error::Reason(status),
                             absl::StrCat(statement->name, ": ", status.message()));
        break;
      }
    }
    const bool open = lease.connection->open();
    Return(std::move(lease), open);
    return status;
  }

  Stats stats() const override {
    absl::MutexLock lock(&mu_);
    return {.in_use = in_use_,
            .idle = static_cast<int>(idle_.size()),
            .waiting = static_cast<int>(waiters_.size())};
  }

 private:
  // A connection in use, known to the watchdog.
  struct Lease {
    std::unique_ptr<Connection> connection;
    bool fresh = false;  // Connected for this lease.
    std::list<std::pair<int, absl::Time>>::iterator watched;
  };
  struct Waiter {
    absl::CondVar wake;
    bool served = false;
    std::unique_ptr<Connection> connection;  // Null: the right to make one.
  };

  // What became of one run.
  struct Outcome {
    absl::Status status;
    absl::Status failure;  // The first of a statement.
    bool broken = false;   // The connection must not be used again.
  };

  absl::Status Run(const TxOptions& options, const char* begin, bool writes,
                   absl::FunctionRef<absl::Status(Tx&)> body) {
    return Attempts(options, [&](Connection& connection, const std::string& tenant) -> Outcome {
      std::string sql;
      sql.reserve(256);
      sql.append(begin);
      AppendTimeouts(sql, options.deadline);
      AppendTenant(sql, tenant);
      PoolTx tx(connection, std::move(sql), options.deadline);
      absl::Status status = body(tx);
      if (!status.ok() || !tx.failure().ok()) {
        tx.Rollback();
      } else {
        const absl::Status committed = tx.Commit();
        // What a reader has read stays read.
        if (writes) status = committed;
      }
      return {std::move(status), tx.failure(), tx.broken()};
    });
  }

  // Runs `attempt` on a leased connection, again where Transact's contract says so.
  template <class Attempt>
  absl::Status Attempts(const TxOptions& options, Attempt attempt) {
    CLM_ASSIGN_OR_RETURN(const std::string tenant, TenantSetting(options.scope));
    bool replaced = false;
    for (int run = 1;; ++run) {
      if (absl::Now() >= options.deadline) return DeadlinePassed();
      CLM_ASSIGN_OR_RETURN(Lease lease, Checkout(options.deadline));
      Outcome outcome = attempt(*lease.connection, tenant);
      const bool fresh = lease.fresh;
      Return(std::move(lease), !outcome.broken);
      // A body may have overlooked the failure of a statement; the transaction has not.
      if (outcome.status.ok()) outcome.status = outcome.failure;
      if (outcome.status.ok()) return outcome.status;
      if (outcome.broken && !fresh && !replaced &&
          (absl::IsUnavailable(outcome.failure) || IsOutdated(outcome.failure))) {
        replaced = true;
        --run;
        continue;
      }
      if ((IsRetryable(outcome.status) || IsRetryable(outcome.failure)) && run < kRuns) {
        if (!Pause(run, options.deadline)) return outcome.status;
        continue;
      }
      return outcome.status;
    }
  }

  // Lets the overtaking transaction finish. False when the deadline comes first.
  static bool Pause(int run, absl::Time deadline) {
    thread_local absl::BitGen random;
    const absl::Duration pause =
        absl::Microseconds(absl::Uniform<int64_t>(random, 500, int64_t{5000} * run));
    if (absl::Now() + pause >= deadline) return false;
    absl::SleepFor(pause);
    return true;
  }

  absl::StatusOr<Lease> Checkout(absl::Time deadline) {
    CLM_RETURN_IF_ERROR(dsn_status_);
    Lease lease;
    {
      absl::MutexLock lock(&mu_);
      if (in_use_ < options_.size && waiters_.empty()) {
        ++in_use_;
        if (!idle_.empty()) {
          lease.connection = std::move(idle_.back());
          idle_.pop_back();
        }
      } else {
        CLM_RETURN_IF_ERROR(Wait(deadline, lease.connection));
      }
      if (lease.connection != nullptr && lease.connection->expires() > absl::Now()) {
        lease.watched = watched_.emplace(watched_.end(), lease.connection->socket(), deadline);
        return lease;
      }
    }
    // Connecting and closing happen outside of the lock.
    lease.connection.reset();
    try {
      lease.connection = std::make_unique<Connection>(dsn_);
    } catch (...) {
      const absl::Status status = StatusFromCurrentException("connect", /*connected=*/false);
      Release(nullptr);
      return status;
    }
    lease.fresh = true;
    thread_local absl::BitGen random;
    lease.connection->set_expires(absl::Now() +
                                  options_.max_lifetime * absl::Uniform(random, 0.9, 1.1));
    absl::MutexLock lock(&mu_);
    lease.watched = watched_.emplace(watched_.end(), lease.connection->socket(), deadline);
    return lease;
  }

  // Waits in line for a connection or the right to make one.
  absl::Status Wait(absl::Time deadline, std::unique_ptr<Connection>& connection)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    Waiter waiter;
    const auto place = waiters_.insert(waiters_.end(), &waiter);
    const absl::Time until = std::min(deadline, absl::Now() + options_.checkout_timeout);
    while (!waiter.served) {
      if (waiter.wake.WaitWithDeadline(&mu_, until) && !waiter.served) {
        waiters_.erase(place);
        if (until == deadline) return DeadlinePassed();
        return error::Unavailable("DATABASE_BUSY", "all database connections are in use",
                                  absl::Milliseconds(200));
      }
    }
    connection = std::move(waiter.connection);
    return absl::OkStatus();
  }

  void Return(Lease lease, bool healthy) {
    std::vector<std::unique_ptr<Connection>> doomed;
    {
      absl::MutexLock lock(&mu_);
      watched_.erase(lease.watched);
      if (healthy) {
        ReleaseLocked(std::move(lease.connection));
        return;
      }
      // What broke this connection has probably broken those that idle, too.
      doomed.swap(idle_);
      ReleaseLocked(nullptr);
    }
    doomed.push_back(std::move(lease.connection));
  }

  void Release(std::unique_ptr<Connection> connection) {
    absl::MutexLock lock(&mu_);
    ReleaseLocked(std::move(connection));
  }

  // Gives a place, with its connection if it has one, to the first in line.
  void ReleaseLocked(std::unique_ptr<Connection> connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!waiters_.empty()) {
      Waiter* waiter = waiters_.front();
      waiters_.pop_front();
      waiter->connection = std::move(connection);
      waiter->served = true;
      waiter->wake.Signal();
      return;
    }
    --in_use_;
    if (connection != nullptr) idle_.push_back(std::move(connection));
  }

  // The server ends statements at their deadline; this thread ends the wait for a server that does
  // not even do that.
  void Watch() {
    absl::MutexLock lock(&mu_);
    while (!stopping_) {
      stop_.WaitWithTimeout(&mu_, kWatchInterval);
      const absl::Time overdue = absl::Now() - kHungAfter;
      for (const auto& [socket, deadline] : watched_) {
        if (deadline < overdue) shutdown(socket, SHUT_RDWR);
      }
    }
  }

  const Options options_;
  std::string dsn_;
  absl::Status dsn_status_;
  mutable absl::Mutex mu_;
  std::vector<std::unique_ptr<Connection>> idle_ ABSL_GUARDED_BY(mu_);
  std::list<Waiter*> waiters_ ABSL_GUARDED_BY(mu_);
  std::list<std::pair<int, absl::Time>> watched_ ABSL_GUARDED_BY(mu_);
  int in_use_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::CondVar stop_;
  std::thread watchdog_;
};

constexpr Statement kServer = {
    "pg.check_server",
    "SELECT current_setting('fsync'), current_setting('full_page_writes'), rolsuper, rolbypassrls, "
    "EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
    "c.relowner = r.oid AND c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_temp%') "
    "FROM pg_roles r WHERE rolname = current_user"};

}  // namespace

std::unique_ptr<Pool> NewPool(Pool::Options options) {
  return std::make_unique<ConnectionPool>(std::move(options));
}

absl::Status CheckServer(Pool& pool, bool durable) {
  CLM_ASSIGN_OR_RETURN(const Result result, pool.Query({.scope = Scope::Suite()}, kServer));
  const Row row = result[0];
  const auto refuse = [](absl::string_view message) {
    return error::Precondition("DATABASE_UNSAFE", message);
  };
  if (durable && row.Text(0) != "on") {
    return refuse("postgresql.conf: fsync is off, a crash would lose data; set fsync = on");
  }
  if (durable && row.Text(1) != "on") {
    return refuse("postgresql.conf: full_page_writes is off; set full_page_writes = on");
  }
  if (row.Bool(2)) {
    return refuse(
        "role: a superuser walks past tenant isolation; connect as the service's _app role");
  }
  if (row.Bool(3)) {
    return refuse("role: BYPASSRLS walks past tenant isolation; ALTER ROLE ... NOBYPASSRLS");
  }
  if (row.Bool(4)) {
    return refuse("role: the role owns tables; connect as the service's _app role");
  }
  return absl::OkStatus();
}

}  // namespace clm::pg
