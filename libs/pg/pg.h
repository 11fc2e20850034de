// PostgreSQL for the whole suite: parameters, results, transactions and a bounded pool. libpqxx and
// its exceptions end in this library; everything else sees absl::Status.
#ifndef CLM_LIBS_PG_PG_H_
#define CLM_LIBS_PG_PG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"

namespace clm::pg {

// A named SQL statement, prepared once per connection at its first use. Instances are constexpr and
// live for ever: their address is their identity within a connection.
struct Statement {
  const char* name;  // "contact.save", unique within a service.
  const char* sql;
  // Finds rows by their keys. It is planned once, for whatever parameters, and its columns come in
  // binary where that can be had, which spares both sides work. They must be of types that Row
  // reads, and be read as what they are: a uuid or a number has no Text then.
  bool lookup = false;
};

// The parameters of one execution, in order. Every parameter has an explicit cast in its SQL
// ($1::uuid, $2::timestamptz, $3::text[]): scalars are bound as text (bytea as hex), arrays in the
// binary form of the type that the cast names where there is one.
class Args {
 public:
  Args& Add(absl::string_view value);
  Args& Add(const std::string& value) { return Add(absl::string_view(value)); }
  Args& Add(const char* value) { return Add(absl::string_view(value)); }
  Args& Add(int value) { return Add(static_cast<int64_t>(value)); }
  Args& Add(int64_t value);
  Args& Add(bool value);
  Args& Add(double value);
  Args& Add(absl::Time value);
  Args& Add(absl::CivilDay value);
  Args& Add(const Uuid& value);
  Args& AddBytes(absl::string_view value);
  Args& AddNull();
  template <class T>
  Args& Add(const std::optional<T>& value) {
    return value ? Add(*value) : AddNull();
  }

  // Null elements where an optional is empty.
  template <class T>
  Args& AddArray(std::vector<T> values) {
    values_.emplace_back(std::in_place_type<Array>, std::move(values));
    return *this;
  }
  Args& AddBytesArray(std::vector<std::string> values) {
    values_.emplace_back(std::in_place_type<Array>, BytesArray{std::move(values)});
    return *this;
  }

  int size() const { return static_cast<int>(values_.size()); }
  // As the texts that PostgreSQL reads; nullopt is NULL.
  std::vector<std::optional<std::string>> values() const;

  struct BytesArray {
    std::vector<std::string> values;
  };
  using Array =
      std::variant<std::vector<std::string>, std::vector<std::optional<std::string>>,
                   std::vector<int64_t>, std::vector<std::optional<int64_t>>, std::vector<double>,
                   std::vector<std::optional<double>>, std::vector<bool>, std::vector<absl::Time>,
                   std::vector<std::optional<absl::Time>>, std::vector<Uuid>,
                   std::vector<std::optional<Uuid>>, BytesArray>;
  // A null, the text of a scalar, or an array.
  using Value = std::variant<std::monostate, std::string, Array>;
  const std::vector<Value>& raw() const { return values_; }

 private:
  std::vector<Value> values_;
};

// One row of a result; valid while its Result lives. Reading a column as a type it does not hold,
// or a null by a non-optional reader, is a programming error and aborts in debug builds.
class Row {
 public:
  bool IsNull(int column) const;
  absl::string_view Text(int column) const;
  int64_t Int(int column) const;
  double Double(int column) const;
  bool Bool(int column) const;
  absl::Time Time(int column) const;  // timestamptz, its infinities included
  absl::CivilDay Day(int column) const;
  clm::Uuid Uuid(int column) const;
  std::string Bytes(int column) const;  // bytea
  // One dimension; a null element reads as "NULL".
  std::vector<std::string> TextArray(int column) const;
  std::optional<std::string> OptText(int column) const;
  std::optional<int64_t> OptInt(int column) const;
  std::optional<double> OptDouble(int column) const;
  std::optional<absl::Time> OptTime(int column) const;
  std::optional<absl::CivilDay> OptDay(int column) const;
  std::optional<clm::Uuid> OptUuid(int column) const;

 private:
  friend class Result;
  Row(const void* result, int row) : result_(result), row_(row) {}
  const void* result_;
  int row_;
};

// Immutable; may be shared between threads.
class Result {
 public:
  int size() const;
  bool empty() const { return size() == 0; }
  Row operator[](int row) const;
  // Rows touched by INSERT, UPDATE or DELETE.
  int64_t affected() const;

 private:
  friend class ResultMaker;
  explicit Result(std::shared_ptr<const void> rows);
  std::shared_ptr<const void> rows_;
};

// Whose rows a transaction may see (row level security, clm.tenant). A scope of nobody, or of a
// tenant id with a comma or an asterisk in it, is refused as INTERNAL.
struct Scope {
  // One or several tenants. A lane's transaction serves several.
  static Scope Tenants(std::vector<std::string> tenants) { return {std::move(tenants), false}; }
  static Scope Tenant(std::string tenant) { return {{std::move(tenant)}, false}; }
  // Every tenant: feeds, due-time scans, consumers, operators. Never on behalf of a tenant's
  // caller.
  static Scope Suite() { return {{}, true}; }

  std::vector<std::string> tenants;
  bool suite = false;
};

struct TxOptions {
  Scope scope;
  // Statements are cancelled then; becomes statement_timeout and lock_timeout.
  absl::Time deadline = absl::InfiniteFuture();
};

// One transaction. Used by one thread at a time, never after its body returned. Once a statement
// has failed, the others are not sent and answer with the same failure, and so does the transaction
// if its body returns OK all the same.
class Tx {
 public:
  virtual ~Tx() = default;
  virtual absl::StatusOr<Result> Exec(const Statement& statement, const Args& args) = 0;
  absl::StatusOr<Result> Exec(const Statement& statement) { return Exec(statement, Args()); }
  // For SQL composed at run time from fixed parts (list filters); values still only by `args`.
  virtual absl::StatusOr<Result> ExecDynamic(const std::string& sql, const Args& args) = 0;
  absl::StatusOr<Result> ExecDynamic(const std::string& sql) { return ExecDynamic(sql, Args()); }
  // COPY table (columns) FROM STDIN; values are text as Args would bind them, nullopt is NULL. By
  // INSERT where the table has row level security, which COPY does not support.
  virtual absl::Status Copy(const std::string& table, const std::vector<std::string>& columns,
                            const std::vector<std::vector<std::optional<std::string>>>& rows) = 0;
  // Widens the scope of this transaction; takes effect for the following statements.
  virtual absl::Status SetScope(const Scope& scope) = 0;
};

// A bounded set of connections. Thread-safe.
class Pool {
 public:
  struct Options {
    std::string dsn;
    int size = 8;
    std::string application_name = "clm";
    // How long a caller waits for a connection before UNAVAILABLE, reason DATABASE_BUSY.
    absl::Duration checkout_timeout = absl::Seconds(1);
    absl::Duration max_lifetime = absl::Minutes(30);
  };

  virtual ~Pool() = default;

  // Runs `body` in one READ COMMITTED transaction and commits if it returns OK. Serialization
  // failures, deadlocks (40001, 40P01) and Retry() run the body again, three times at most, so a
  // body keeps no state between runs. UNAVAILABLE (reason DATABASE_UNAVAILABLE) when there is no
  // connection or it broke; when it broke during COMMIT the reason is COMMIT_UNKNOWN. A pooled
  // connection that proves dead before COMMIT costs one more run on a new one, not an error, so a
  // restarted server goes unnoticed. Nothing is sent before the body's first statement, which
  // shares its round trip with BEGIN.
  virtual absl::Status Transact(const TxOptions& options,
                                absl::FunctionRef<absl::Status(Tx&)> body) = 0;
  // The same for reading: a READ ONLY transaction; `repeatable` gives all statements one snapshot.
  virtual absl::Status Read(const TxOptions& options, absl::FunctionRef<absl::Status(Tx&)> body,
                            bool repeatable) = 0;
  absl::Status Read(const TxOptions& options, absl::FunctionRef<absl::Status(Tx&)> body) {
    return Read(options, body, false);
  }

  // One reading statement in a transaction of its own: one round trip instead of two.
  virtual absl::StatusOr<Result> Query(const TxOptions& options, const Statement& statement,
                                       const Args& args) = 0;
  absl::StatusOr<Result> Query(const TxOptions& options, const Statement& statement) {
    return Query(options, statement, Args());
  }

  // Prepares the statements on one connection and returns the first failure: proof that they fit
  // the schema.
  virtual absl::Status Prepare(const std::vector<const Statement*>& statements) = 0;

  struct Stats {
    int in_use = 0;
    int idle = 0;
    int waiting = 0;
  };
  virtual Stats stats() const = 0;
};

// Connects lazily: succeeds while PostgreSQL is down. To servers that are neither on a Unix socket
// nor on this machine with sslmode=verify-full, unless the DSN names another mode.
std::unique_ptr<Pool> NewPool(Pool::Options options);

// What a service demands of its database before it becomes ready: fsync and full_page_writes on
// (unless not `durable`, for tests), a role that is neither superuser nor BYPASSRLS nor owner of a
// table. FAILED_PRECONDITION naming the setting and the fix otherwise.
absl::Status CheckServer(Pool& pool, bool durable = true);

// Returned by a body that must run again, because a concurrent transaction has overtaken it.
absl::Status Retry();

// The SQLSTATE of a status that came from PostgreSQL ("23505"); empty when it did not.
std::string SqlState(const absl::Status& status);
// The constraint a 23xxx status names; empty when there is none.
std::string ConstraintName(const absl::Status& status);

// What a failure was, for the operator's log; statuses never tell.
struct ErrorDetail {
  std::string statement;   // Its name, "BEGIN", "COMMIT", "connect" ...
  std::string sqlstate;    // Empty when the server did not answer.
  std::string constraint;  // Of a 23xxx.
  // The first line of the message. It may quote a value: not above debug level.
  std::string message;
};
using ErrorLog = std::function<void(const ErrorDetail&)>;

// Sets the hook that is told every failure, from the thread that met it. Once per process, later
// calls change nothing; none by default.
void SetErrorLog(ErrorLog log);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_PG_H_
