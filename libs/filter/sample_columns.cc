#include "libs/filter/sample_columns.h"

#include "absl/strings/str_cat.h"

namespace clm::filter::sample {

const char kSampleTables[] = R"(
    CREATE TABLE filter_row (
      id integer PRIMARY KEY, name text COLLATE "und-x-icu", email text, active boolean, visits bigint,
      balance numeric, score numeric, created_at timestamptz, birthday date, status smallint,
      tags text[], attributes jsonb NOT NULL, properties jsonb NOT NULL);
    CREATE TABLE filter_event (row_id integer NOT NULL, type text NOT NULL, at timestamptz NOT NULL))";

const Columns& SampleColumns() {
  static const auto* const kColumns = [] {
    const auto of_type = [](const Call& call, pg::Args& args) {
      return absl::StrCat("FROM filter_event e WHERE e.row_id = filter_row.id AND e.type = ",
                          Bind(call.args[0], args));
    };
    auto* columns = new Columns();
    columns->Add("name", "name")
        .Add("email", "email")
        .Add("active", "active")
        .Add("visits", "visits")
        .Add("balance", "balance")
        .Add("created_at", "created_at")
        .Add("birthday", "birthday")
        .AddEnum("status", "status", {{"ACTIVE", 1}, {"BLOCKED", 2}, {"ERASED", 3}})
        .Add("tags", "tags")
        .Add("stats.score", "score")
        .AddMap("attributes", "attributes")
        .AddMap("properties", "properties")
        .AddFunction("count",
                     [=](const Call& call, absl::Time now, pg::Args& args) {
                       std::string sql = absl::StrCat("SELECT count(*) ", of_type(call, args));
                       if (call.args.size() == 2) {
                         absl::StrAppend(&sql, " AND e.at > ", Bind(now, args));
                         absl::StrAppend(&sql, " - ", Bind(call.args[1], args));
                       }
                       return sql;
                     })
        .AddFunction("sum",
                     [=](const Call& call, absl::Time, pg::Args& args) {
                       return absl::StrCat("SELECT 1.5 * count(*) ", of_type(call, args));
                     })
        .AddFunction("days_since",
                     [=](const Call& call, absl::Time now, pg::Args& args) {
                       const std::string at = Bind(now, args);
                       return absl::StrCat("SELECT trunc(extract(epoch FROM ", at,
                                           " - max(e.at)) / 86400)::bigint ", of_type(call, args));
                     })
        .AddFunction("is_member", [](const Call& call, absl::Time, pg::Args& args) {
          return absl::StrCat("coalesce(tags @> ARRAY[", Bind(call.args[0], args), "], FALSE)");
        });
    return columns;
  }();
  return *kColumns;
}

}  // namespace clm::filter::sample
