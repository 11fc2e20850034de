// The SQL back end of the expression language: a condition for WHERE that selects exactly the rows
// on which Evaluate is true. Values reach SQL only as parameters. The text is made of the
// programmer's column expressions and fixed words; nothing a caller wrote is ever part of it.
#ifndef CLM_LIBS_FILTER_SQL_H_
#define CLM_LIBS_FILTER_SQL_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/filter/filter.h"
#include "libs/pg/pg.h"

namespace clm::filter {

// Where the fields of a schema are kept. Built once, then only read. `sql` is a column, or any
// expression over columns, written in the program; NULL is a missing value. The column types are
// text, boolean, bigint or integer, numeric, timestamptz, date and text[]; strings need a
// deterministic collation.
class Columns {
 public:
  // Adds the parameters of the SQL that it returns to `args`, as Bind does.
  using FunctionSql = std::function<std::string(const Call& call, absl::Time now, pg::Args& args)>;

  Columns& Add(absl::string_view field, absl::string_view sql);
  // An enum kept as numbers.
  Columns& AddEnum(absl::string_view field, absl::string_view sql,
                   std::map<std::string, int> numbers);
  // A map kept as jsonb. An entry whose text (->>) is not of its type counts as missing, by the
  // rules of ParseValue; sets are arrays of strings.
  Columns& AddMap(absl::string_view map, absl::string_view sql);
  Columns& AddFunction(absl::string_view function, FunctionSql sql);

 private:
  friend class SqlWriter;
  struct Column {
    std::string sql;
    bool is_jsonb = false;
    std::map<std::string, int> numbers;
  };
  std::map<std::string, Column> columns_;
  std::map<std::string, FunctionSql> functions_;
};

// Adds `value` to `args`; its placeholder with a cast, "$3::bigint". For FunctionSql.
std::string Bind(const Value& value, pg::Args& args);

// The condition, in parentheses where it needs them. It may be NULL where Evaluate is false, so it
// stands in WHERE, or is followed by IS TRUE. Parameters are appended to `args`, so placeholders
// continue after those already there; parameters added later come after these. INTERNAL when a
// field or function of the expression is not in `columns`.
absl::StatusOr<std::string> ToSql(const Expression& expression, const Columns& columns,
                                  absl::Time now, pg::Args& args);

}  // namespace clm::filter

#endif  // CLM_LIBS_FILTER_SQL_H_
