// The one place that knows which libpqxx this is: everything that differs between 6.4 and late 7.x
// versions, which give pqxx::params and take over a connection of libpq. `tools/check pqxx` proves
// another version than the installed one. For libs/pg only; nothing outside of it includes
// <pqxx/...>.
#ifndef CLM_LIBS_PG_PQXX_COMPAT_H_
#define CLM_LIBS_PG_PQXX_COMPAT_H_

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#if PQXX_VERSION_MAJOR < 7
#include <pqxx/tablewriter>
#endif

namespace clm::pg::compat {

using Values = std::vector<std::optional<std::string>>;

#if PQXX_VERSION_MAJOR < 7

// What a connection connects by; remembers libpq's handle, which libpqxx keeps to itself.
class ConnectPolicy : public pqxx::connect_direct {
 public:
  using pqxx::connect_direct::connect_direct;
  handle do_startconnect(handle before) override {
    return raw = pqxx::connect_direct::do_startconnect(before);
  }
  handle raw = nullptr;
};

// The policy stands before the connection that refers to it.
struct ConnectPolicyHolder {
  ConnectPolicy policy;
};

// A connection of libpqxx that libpq may use, too, while it is idle.
class Connection : private ConnectPolicyHolder, public pqxx::connection_base {
 public:
  explicit Connection(const std::string& dsn)
      : ConnectPolicyHolder{ConnectPolicy(dsn)}, pqxx::connection_base(policy) {
    init();
  }
  ~Connection() noexcept { close(); }
  PGconn* raw() const { return policy.raw; }
};

inline pqxx::result ExecParams(pqxx::transaction_base& tx, const std::string& sql,
                               const Values& values) {
  return tx.exec_params(sql, pqxx::prepare::make_dynamic_params(values));
}

// Error texts with every field, no notices on stderr, and no silent reconnect: settings and
// prepared statements would vanish, and a transaction would go on outside of itself. What it
// returns lives as long as the connection, and ends before it.
inline std::shared_ptr<void> Configure(Connection& connection) {
  connection.set_verbosity(pqxx::connection_base::verbose);
  connection.set_variable("client_min_messages", "warning");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection.inhibit_reactivation(true);
#pragma GCC diagnostic pop
  return std::make_shared<pqxx::quiet_errorhandler>(connection);
}

// One row in COPY's text format; 6.x writes only tuples itself.
inline std::string CopyLine(const Values& row) {
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    const auto& value = row[i];
    if (i > 0) line += '\t';
    if (!value) {
      line += "\\N";
      continue;
    }
    for (const char c : *value) {
      switch (c) {
        case '\\':
          line += "\\\\";
          break;
        case '\t':
          line += "\\t";
          break;
        case '\n':
          line += "\\n";
          break;
        case '\r':
          line += "\\r";
          break;
        default:
          line += c;
      }
    }
  }
  return line;
}

inline void Copy(pqxx::transaction_base& tx, const std::string& table,
                 const std::vector<std::string>& columns, const std::vector<Values>& rows) {
  std::vector<std::string> quoted;
  for (const std::string& column : columns) quoted.push_back(tx.quote_name(column));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  pqxx::tablewriter writer(tx, tx.quote_name(table), quoted.begin(), quoted.end());
#pragma GCC diagnostic pop
  for (const Values& row : rows) writer.write_raw_line(CopyLine(row));
  writer.complete();
}

// Errors of class 40 carry no SQLSTATE in 6.x, only a class. Null for other exceptions.
inline const char* RollbackState(const std::exception& e) {
  if (dynamic_cast<const pqxx::serialization_failure*>(&e) != nullptr) return "40001";
  if (dynamic_cast<const pqxx::deadlock_detected*>(&e) != nullptr) return "40P01";
  if (dynamic_cast<const pqxx::statement_completion_unknown*>(&e) != nullptr) return "40003";
  if (dynamic_cast<const pqxx::transaction_rollback*>(&e) != nullptr) return "40000";
  return nullptr;
}

#else

// The handle is made before the connection that takes it over.
struct Handle {
  PGconn* raw = nullptr;
};

class Connection : private Handle, public pqxx::connection {
 public:
  explicit Connection(const std::string& dsn)
      : Handle{Connect(dsn)}, pqxx::connection(seize_raw_connection(Handle::raw)) {}
  PGconn* raw() const { return Handle::raw; }

 private:
  static PGconn* Connect(const std::string& dsn) {
    PGconn* const connection = PQconnectdb(dsn.c_str());
    if (PQstatus(connection) == CONNECTION_OK) return connection;
    const std::string message = PQerrorMessage(connection);
    PQfinish(connection);
    throw pqxx::broken_connection(message);
  }
};

inline pqxx::params ToParams(const Values& values) {
  pqxx::params params;
  params.reserve(values.size());
  for (const auto& value : values) {
    if (value) {
      params.append(*value);
    } else {
      params.append();
    }
  }
  return params;
}

inline pqxx::result ExecParams(pqxx::transaction_base& tx, const std::string& sql,
                               const Values& values) {
#if PQXX_VERSION_MAJOR > 7 || PQXX_VERSION_MINOR >= 10
  return tx.exec(sql, ToParams(values));
#else
  return tx.exec_params(sql, ToParams(values));
#endif
}

inline std::shared_ptr<void> Configure(Connection& connection) {
  connection.set_verbosity(pqxx::error_verbosity::verbose);
  pqxx::nontransaction(connection).exec("SET client_min_messages = warning");
#if PQXX_VERSION_MAJOR > 7 || PQXX_VERSION_MINOR >= 10
  connection.set_notice_handler([](pqxx::zview) noexcept {});
  return nullptr;
#else
  return std::make_shared<pqxx::quiet_errorhandler>(connection);
#endif
}

inline void Copy(pqxx::transaction_base& tx, const std::string& table,
                 const std::vector<std::string>& columns, const std::vector<Values>& rows) {
  std::string list;
  for (const std::string& column : columns) {
    if (!list.empty()) list += ',';
    list += tx.quote_name(column);
  }
  auto stream = pqxx::stream_to::raw_table(tx, tx.quote_name(table), list);
  for (const Values& row : rows) stream.write_row(row);
  stream.complete();
}

inline const char* RollbackState(const std::exception&) { return nullptr; }

#endif

}  // namespace clm::pg::compat

#endif  // CLM_LIBS_PG_PQXX_COMPAT_H_
