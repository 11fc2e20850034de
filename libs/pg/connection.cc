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
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

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

const Connection::PreparedStatement& Connection::Prepared(const Statement& statement) {
  const auto found = prepared_.find(&statement);
  if (found != prepared_.end()) return found->second;
  std::string name =
      absl::StrCat(std::string(statement.name).substr(0, kMaxNamePart), "#", prepared_.size());
  compat::Prepare(connection_, name, statement.sql);
  return prepared_
      .emplace(&statement, PreparedStatement{std::move(name), ParameterTypes(statement.sql)})
      .first->second;
}

pqxx::result Connection::Exec(const std::string& sql) { return session_->exec(sql); }

pqxx::result Connection::ExecPrepared(const PreparedStatement& statement, const Args& args) {
  std::vector<compat::Parameter> parameters;
  parameters.reserve(args.size());
  for (int i = 0; i < args.size(); ++i) {
    const Args::Value& value = args.raw()[i];
    const auto* array = std::get_if<Args::Array>(&value);
    std::optional<std::string> binary;
    if (array != nullptr && i < static_cast<int>(statement.types.size())) {
      binary = BinaryArray(*array, statement.types[i]);
    }
    const bool is_binary = binary.has_value();
    parameters.push_back({is_binary ? std::move(binary) : ValueText(value), is_binary});
  }
  return compat::ExecPrepared(*session_, statement.name, parameters);
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
