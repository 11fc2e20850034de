#include "libs/pg/connection.h"

#include "absl/strings/str_cat.h"
#include "libs/pg/binary.h"
#include "libs/pg/pqxx_compat.h"

namespace clm::pg {
namespace {

constexpr char kSessionSettings[] =
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET bytea_output = 'hex'; "
    "SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; "
    "SET extra_float_digits = 1; SET idle_in_transaction_session_timeout = 5000; "
    // Everything but reports looks rows up by key. A plan made while a table was small would read
    // it from end to end when it has grown.
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; "
    // For few keys the planner would rather plan every time anew, which costs ten times what it
    // saves. Transactions that read may have parameters that change the plan: they reset this.
    "SET plan_cache_mode = force_generic_plan";

// The settings of a transaction that reads, until its end.
constexpr Statement kQuerySettings = {
    "pg.query_settings",
    "SELECT set_config('transaction_read_only', 'on', true), "
    "set_config('clm.tenant', $1::text, true), "
    "set_config('statement_timeout', coalesce($2::text, current_setting('statement_timeout')), "
    "true), set_config('lock_timeout', coalesce($3::text, current_setting('lock_timeout')), true), "
    "set_config('plan_cache_mode', $4::text, true)"};

// Identifiers are cut at 63 bytes by the server's parser, but not by its protocol.
constexpr size_t kMaxNamePart = 48;
constexpr size_t kRowsPerInsert = 1000;

void AppendQuoted(std::string& sql, absl::string_view text, char quote) {
  sql.push_back(quote);
  for (size_t at = text.find(quote); at != absl::string_view::npos; at = text.find(quote)) {
    sql.append(text.data(), at + 1);
    sql.push_back(quote);
    text.remove_prefix(at + 1);
  }
  sql.append(text.data(), text.size());
  sql.push_back(quote);
}

void AppendLiteralOrNull(std::string& sql, const std::optional<std::string>& value) {
  if (value) {
    AppendLiteral(sql, *value);
  } else {
    sql.append("NULL");
  }
}

}  // namespace

Connection::Connection(const std::string& dsn) : connection_(dsn) {
  notices_ = compat::Configure(connection_);
  session_ = std::make_unique<pqxx::nontransaction>(connection_);
  session_->exec(kSessionSettings);
}

const PreparedStatement& Connection::Prepared(const Statement& statement) {
  const auto found = prepared_.find(&statement);
  if (found != prepared_.end()) return found->second;
  std::string name =
      absl::StrCat(std::string(statement.name).substr(0, kMaxNamePart), "#", prepared_.size());
  pg::Prepare(connection_.raw(), name, statement.sql);
  return prepared_
      .emplace(&statement,
               PreparedStatement{std::move(name), ParameterTypes(statement.sql), statement.lookup})
      .first->second;
}

pqxx::result Connection::Exec(const std::string& sql) { return session_->exec(sql); }

PgResult Connection::ExecPrepared(const PreparedStatement& statement, const Args& args) {
  return pg::ExecPrepared(connection_.raw(), statement, args);
}

PgResult Connection::Query(const Statement& statement, const Args& args, const std::string& tenant,
                           std::optional<int64_t> statement_timeout,
                           std::optional<int64_t> lock_timeout) {
  const PreparedStatement& settings = Prepared(kQuerySettings);
  Args values;
  values.Add(tenant).Add(statement_timeout).Add(lock_timeout);
  values.Add(statement.lookup ? "force_generic_plan" : "auto");
  return ExecTogether(connection_.raw(), settings, values, Prepared(statement), args);
}

pqxx::result Connection::ExecParams(const std::string& sql, const Args& args) {
  return compat::ExecParams(*session_, sql, args.values());
}

void Connection::Copy(const std::string& table, const std::vector<std::string>& columns,
                      const std::vector<std::vector<std::optional<std::string>>>& rows) {
  if (HasRowSecurity(table)) {
    InsertRows(table, columns, rows);
  } else {
    compat::Copy(*session_, table, columns, rows);
  }
}

bool Connection::HasRowSecurity(const std::string& table) {
  std::string sql = "SELECT row_security_active(";
  AppendLiteral(sql, QuoteIdentifier(table));
  sql.push_back(')');
  return session_->exec(sql)[0][0].c_str() == std::string("t");
}

void Connection::InsertRows(const std::string& table, const std::vector<std::string>& columns,
                            const std::vector<std::vector<std::optional<std::string>>>& rows) {
  std::string head = absl::StrCat("INSERT INTO ", QuoteIdentifier(table), " ");
  char separator = '(';
  for (const std::string& column : columns) {
    head.push_back(separator);
    head.append(QuoteIdentifier(column));
    separator = ',';
  }
  head.append(") VALUES ");
  for (size_t start = 0; start < rows.size(); start += kRowsPerInsert) {
    std::string sql = head;
    const size_t end = std::min(rows.size(), start + kRowsPerInsert);
    for (size_t i = start; i < end; ++i) {
      separator = '(';
      for (const auto& value : rows[i]) {
        sql.push_back(separator);
        separator = ',';
        AppendLiteralOrNull(sql, value);
      }
      sql.append(i + 1 < end ? ")," : ")");
    }
    session_->exec(sql);
  }
}

void AppendLiteral(std::string& sql, absl::string_view value) { AppendQuoted(sql, value, '\''); }

std::string QuoteIdentifier(absl::string_view name) {
  std::string quoted;
  AppendQuoted(quoted, name, '"');
  return quoted;
}

void AppendExecute(std::string& sql, const std::string& name, const Args& args) {
  sql.append("EXECUTE ");
  AppendQuoted(sql, name, '"');
  char separator = '(';
  for (const auto& value : args.values()) {
    sql.push_back(separator);
    separator = ',';
    AppendLiteralOrNull(sql, value);
  }
  if (separator == ',') sql.push_back(')');
}

}  // namespace clm::pg
