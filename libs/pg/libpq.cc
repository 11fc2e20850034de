#include "libs/pg/libpq.h"

#include <optional>
#include <utility>

#include "libs/pg/binary.h"

namespace clm::pg {
namespace {

std::string Field(const PGresult* result, int field) {
  const char* text = result == nullptr ? nullptr : PQresultErrorField(result, field);
  return text == nullptr ? "" : text;
}

// Args as libpq takes them. Borrows the texts of `args`, which must outlive it.
class Parameters {
 public:
  Parameters(const PreparedStatement& statement, const Args& args) {
    const size_t count = args.raw().size();
    made_.reserve(count);
    values_.reserve(count);
    lengths_.reserve(count);
    formats_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const Args::Value& value = args.raw()[i];
      if (const auto* text = std::get_if<std::string>(&value)) {
        Push(text, /*binary=*/false);
      } else if (const auto* array = std::get_if<Args::Array>(&value)) {
        std::optional<std::string> made;
        if (i < statement.types.size()) made = BinaryArray(*array, statement.types[i]);
        const bool binary = made.has_value();
        made_.push_back(binary ? *std::move(made) : *ValueText(value));
        Push(&made_.back(), binary);
      } else {
        Push(nullptr, /*binary=*/false);
      }
    }
  }
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  int count() const { return static_cast<int>(values_.size()); }
  const char* const* values() const { return values_.data(); }
  const int* lengths() const { return lengths_.data(); }
  const int* formats() const { return formats_.data(); }

 private:
  void Push(const std::string* value, bool binary) {
    values_.push_back(value == nullptr ? nullptr : value->c_str());
    lengths_.push_back(value == nullptr ? 0 : static_cast<int>(value->size()));
    formats_.push_back(binary ? 1 : 0);
  }

  std::vector<std::string> made_;
  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
};

bool Succeeded(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

bool Send(PGconn* connection, const PreparedStatement& statement, const Args& args) {
  const Parameters parameters(statement, args);
  return PQsendQueryPrepared(connection, statement.name.c_str(), parameters.count(),
                             parameters.values(), parameters.lengths(), parameters.formats(),
                             statement.binary ? 1 : 0) == 1;
}

}  // namespace

Refusal::Refusal(PGconn* connection, const PGresult* result)
    : std::runtime_error(result == nullptr ? PQerrorMessage(connection)
                                           : PQresultErrorMessage(result)),
      state_(Field(result, PG_DIAG_SQLSTATE)),
      constraint_(Field(result, PG_DIAG_CONSTRAINT_NAME)) {}

void Prepare(PGconn* connection, const std::string& name, const char* sql) {
  const PgResult result(PQprepare(connection, name.c_str(), sql, 0, nullptr));
  if (!Succeeded(result.get())) throw Refusal(connection, result.get());
}

PgResult ExecPrepared(PGconn* connection, const PreparedStatement& statement, const Args& args) {
  const Parameters parameters(statement, args);
  PgResult result(PQexecPrepared(connection, statement.name.c_str(), parameters.count(),
                                 parameters.values(), parameters.lengths(), parameters.formats(),
                                 statement.binary ? 1 : 0));
  if (!Succeeded(result.get())) throw Refusal(connection, result.get());
  return result;
}

PgResult ExecTogether(PGconn* connection, const PreparedStatement& first, const Args& first_args,
                      const PreparedStatement& second, const Args& second_args) {
  if (PQenterPipelineMode(connection) != 1 || !Send(connection, first, first_args) ||
      !Send(connection, second, second_args) || PQpipelineSync(connection) != 1) {
    throw Refusal(connection, nullptr);
  }
  // Each statement answers with a result and a null behind it; the synchronization ends the list.
  // After a failure, what follows it is answered as aborted.
  PgResult failed;
  PgResult last;
  bool synchronized = false;
  for (int nulls = 0; !synchronized && nulls <= 2;) {
    PgResult result(PQgetResult(connection));
    const ExecStatusType status = PQresultStatus(result.get());
    if (result == nullptr) {
      ++nulls;
    } else if (status == PGRES_PIPELINE_SYNC) {
      synchronized = true;
    } else if (Succeeded(result.get())) {
      last = std::move(result);
    } else if (status != PGRES_PIPELINE_ABORTED && failed == nullptr) {
      failed = std::move(result);
    }
    if (PQstatus(connection) != CONNECTION_OK) break;
  }
  const bool clean = synchronized && PQexitPipelineMode(connection) == 1;
  if (failed != nullptr || !clean || last == nullptr) throw Refusal(connection, failed.get());
  return last;
}

}  // namespace clm::pg
