// Both back ends answer alike: thousands of random expressions, each asked of PostgreSQL and of
// Evaluate about the same random rows. CLM_TEST_SEED repeats a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/filter/sample_columns.h"
#include "libs/filter/sample_schema.h"
#include "libs/filter/sql.h"
#include "libs/pg/pg.h"
#include "libs/testing/servers.h"

namespace clm::filter {
namespace {

constexpr int kRows = 250;
constexpr int kExpressions = 3000;

uint64_t Seed() {
  uint64_t seed;
  const char* given = std::getenv("CLM_TEST_SEED");
  if (given != nullptr && absl::SimpleAtoi(given, &seed)) return seed;
  return std::random_device()();
}

// Draws from a seeded generator.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  int operator()(int n) const { return static_cast<int>(engine_() % static_cast<uint64_t>(n)); }

 private:
  mutable std::mt19937_64 engine_;
};

// A JSON number or bool where ->> gives the same text back, sometimes; else a JSON string.
std::string JsonOf(const std::string& text, sample::Pick pick) {
  const auto number = Decimal::Parse(text);
  const bool keeps_text = text == "true" || text == "false" ||
                          (number && (text[0] != '0' || text == "0") && text.substr(0, 2) != "-0");
  if (keeps_text && pick(2) == 0) return text;
  return nlohmann::json(text).dump();
}

std::string JsonObject(const std::map<std::string, std::string>& entries,
                       const std::map<std::string, std::vector<std::string>>& sets,
                       sample::Pick pick) {
  std::vector<std::string> members;
  const auto add = [&](const std::string& key, const std::string& value) {
    members.push_back(absl::StrCat(nlohmann::json(key).dump(), ":", value));
  };
  for (const auto& [key, text] : entries) add(key, JsonOf(text, pick));
  for (const auto& [key, set] : sets) add(key, nlohmann::json(set).dump());
  // What is no array is no set, and null is nothing.
  if (!sets.contains("topics") && pick(2) == 0) {
    constexpr const char* kNoSets[] = {"null", "\"vip\"", "{\"vip\":1}", "5"};
    add("topics", kNoSets[pick(4)]);
  }
  if (!entries.contains("plan") && pick(2) == 0) add("plan", "null");
  return absl::StrCat("{", absl::StrJoin(members, ","), "}");
}

absl::Status Insert(pg::Tx& tx, int id, const sample::Row& row, sample::Pick pick) {
  std::optional<int64_t> status;
  if (row.status) status = *row.status == "ACTIVE" ? 1 : *row.status == "BLOCKED" ? 2 : 3;
  const auto text = [](const std::optional<Decimal>& value) {
    return value ? std::make_optional(value->ToString()) : std::nullopt;
  };
  pg::Args args;
  args.Add(id).Add(row.name).Add(row.email).Add(row.active).Add(row.visits).Add(text(row.balance));
  args.Add(text(row.score)).Add(row.created_at).Add(row.birthday).Add(status);
  if (row.tags) {
    args.AddArray(*row.tags);
  } else {
    args.AddNull();
  }
  args.Add(JsonObject(row.attributes, row.attribute_sets, pick));
  args.Add(JsonObject(row.properties, {}, pick));
  CLM_RETURN_IF_ERROR(
      tx.ExecDynamic("INSERT INTO filter_row VALUES ($1::integer, $2::text, $3::text, $4::boolean, "
                     "$5::bigint, $6::numeric, $7::numeric, $8::timestamptz, $9::date, "
                     "$10::smallint, $11::text[], $12::jsonb, $13::jsonb)",
                     args)
          .status());
  for (const auto& [type, times] : row.events) {
    for (const absl::Time at : times) {
      CLM_RETURN_IF_ERROR(
          tx.ExecDynamic("INSERT INTO filter_event VALUES ($1::integer, $2::text, $3::timestamptz)",
                         pg::Args().Add(id).Add(type).Add(at))
              .status());
    }
  }
  return absl::OkStatus();
}

std::string Difference(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<int64_t> rest;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(rest));
  return absl::StrJoin(rest, ",");
}

class FilterDifferentialTest : public ::testing::Test {
 protected:
  FilterDifferentialTest() {
    const testing::Database database =
        testing::Postgres::Shared().CreateDatabase({.service = "filter"});
    pool_ = pg::NewPool({.dsn = database.admin_dsn, .size = 1});
    std::vector<std::string> statements = absl::StrSplit(sample::kSampleTables, ';');
    const absl::Status status = Transact([&](pg::Tx& tx) {
      for (const std::string& statement : statements) {
        CLM_RETURN_IF_ERROR(tx.ExecDynamic(statement).status());
      }
      rows_.clear();
      for (int id = 0; id < kRows; ++id) {
        rows_.push_back(sample::RandomRow(dice_));
        CLM_RETURN_IF_ERROR(Insert(tx, id, rows_.back(), dice_));
      }
      return absl::OkStatus();
    });
    if (!status.ok()) ADD_FAILURE() << status;
  }

  absl::Status Transact(absl::FunctionRef<absl::Status(pg::Tx&)> body) {
    return pool_->Transact({.scope = pg::Scope::Suite()}, body);
  }

  // The ids that each back end finds.
  absl::StatusOr<std::vector<int64_t>> Select(pg::Tx& tx, const Expression& expression,
                                              std::string& sql) {
    pg::Args args;
    CLM_ASSIGN_OR_RETURN(const std::string condition,
                         ToSql(expression, sample::SampleColumns(), sample::Now(), args));
    sql = absl::StrCat("SELECT id FROM filter_row WHERE ", condition, " ORDER BY id");
    CLM_ASSIGN_OR_RETURN(const pg::Result result, tx.ExecDynamic(sql, args));
    std::vector<int64_t> ids;
    for (int i = 0; i < result.size(); ++i) ids.push_back(result[i].Int(0));
    return ids;
  }

  std::vector<int64_t> Find(const Expression& expression) const {
    std::vector<int64_t> ids;
    for (int id = 0; id < kRows; ++id) {
      if (Evaluate(expression, rows_[id], sample::Now())) ids.push_back(id);
    }
    return ids;
  }

  // Empty when both agree on `text`; `matches` grows by what they found.
  std::string Disagreement(pg::Tx& tx, const std::string& text, int64_t* matches = nullptr) {
    const auto expression = sample::Read(text);
    if (!expression.ok()) return std::string(expression.status().message());
    std::string sql;
    const auto selected = Select(tx, *expression, sql);
    if (!selected.ok()) return absl::StrCat(selected.status().ToString(), "\n", sql);
    const std::vector<int64_t> found = Find(*expression);
    if (matches != nullptr) *matches += static_cast<int64_t>(found.size());
    if (*selected == found) return "";
    return absl::StrCat("only SQL: ", Difference(*selected, found),
                        "\nonly in memory: ", Difference(found, *selected), "\n", sql);
  }

  const uint64_t seed_ = Seed();
  Dice dice_{seed_};
  std::vector<sample::Row> rows_;
  std::unique_ptr<pg::Pool> pool_;
};

TEST_F(FilterDifferentialTest, BothBackEndsFindTheSameRows) {
  int compared = 0;
  int64_t matches = 0;
  const absl::Status status = Transact([&](pg::Tx& tx) {
    for (int i = 0; i < kExpressions; ++i) {
      const std::string text = sample::RandomText(dice_, 1 + i % 4, true);
      // A few have more terms than are allowed.
      if (!sample::Read(text).ok()) continue;
      const std::string disagreement = Disagreement(tx, text, &matches);
      if (!disagreement.empty()) {
        ADD_FAILURE() << "CLM_TEST_SEED=" << seed_ << "\n" << text << "\n" << disagreement;
        return absl::OkStatus();
      }
      ++compared;
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  // The texts were worth comparing: nearly all valid, and neither all true nor all false.
  EXPECT_GT(compared, kExpressions * 9 / 10);
  EXPECT_GT(matches, int64_t{kRows} * compared / 10);
  EXPECT_LT(matches, int64_t{kRows} * compared * 9 / 10);
}

TEST_F(FilterDifferentialTest, HostileTextsSelectWhatTheySay) {
  const absl::Status status = Transact([&](pg::Tx& tx) {
    for (const char* text : {
             R"(name = "'; DROP TABLE filter_row; --")",
             R"(name = "' OR '1'='1")",
             R"(name = "\\' OR 1=1 --")",
             R"(name = "*'*")",
             R"(name = "*\\*")",
             R"(name = "*%*")",
             R"(name = "_")",
             R"(name > "\\")",
             R"(name = "$1")",
             R"(tags:"}',NULL")",
             R"(tags:"NULL")",
             R"(tags:"quo\"te" OR tags:"back\\slash" OR tags:"")",
             R"(attributes.topics:"a,b")",
             R"(attributes."odd key'" = "O'Brien")",
             R"(properties."p' = 'x" = "y")",
             R"(properties."')) OR TRUE --":*)",
             R"(NOT properties."\"":*)",
             R"(days_since("it's") > 1 OR count("') > 0 --") > 0)",
         }) {
      const std::string disagreement = Disagreement(tx, text);
      EXPECT_EQ(disagreement, "") << "CLM_TEST_SEED=" << seed_ << "\n" << text;
      if (!disagreement.empty()) return absl::OkStatus();
    }
    const auto count = tx.ExecDynamic("SELECT count(*) FROM filter_row");
    CLM_RETURN_IF_ERROR(count.status());
    EXPECT_EQ((*count)[0].Int(0), kRows);
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
}

// The regular expressions that guard the casts know every calendar.
TEST_F(FilterDifferentialTest, EveryDayThatExistsIsADayAndNoOther) {
  const absl::Status status = Transact([&](pg::Tx& tx) {
    CLM_RETURN_IF_ERROR(tx.ExecDynamic("DELETE FROM filter_row").status());
    CLM_RETURN_IF_ERROR(
        tx.ExecDynamic(
              "INSERT INTO filter_row (id, name, attributes, properties) "
              "SELECT row_number() OVER (), text, '{}', jsonb_build_object('p', text, 'q', text || "
              "'T00:00:00Z') FROM (SELECT lpad(y::text, 4, '0') || md AS text FROM "
              "generate_series(0, 9999) AS y, unnest(ARRAY['-01-31', '-02-28', '-02-29', '-02-30', "
              "'-04-30', '-04-31', '-06-31', '-09-31', '-11-31', '-12-31', '-12-32', '-00-10', "
              "'-13-10', '-10-00']) AS md) AS days")
            .status());
    for (const char* text :
         {"properties.p < 2026-11-21 OR properties.p >= 2026-11-21",
          "properties.q < 2026-11-21T08:30:00Z OR properties.q >= 2026-11-21T08:30:00Z"}) {
      pg::Args args;
      CLM_ASSIGN_OR_RETURN(
          const std::string condition,
          ToSql(*sample::Read(text), sample::SampleColumns(), sample::Now(), args));
      CLM_ASSIGN_OR_RETURN(
          const pg::Result result,
          tx.ExecDynamic(absl::StrCat("SELECT name, (", condition, ") IS TRUE FROM filter_row"),
                         args));
      EXPECT_EQ(result.size(), 140'000);
      for (int i = 0; i < result.size(); ++i) {
        const absl::string_view day = result[i].Text(0);
        EXPECT_EQ(result[i].Bool(1), ParseDay(day).has_value()) << day << ": " << text;
      }
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(FilterDifferentialTest, AnIndexServesAComparisonThatIsNotNegated) {
  const absl::Status status = Transact([&](pg::Tx& tx) {
    for (const char* statement :
         {"CREATE INDEX by_visits ON filter_row (visits)",
          "CREATE INDEX by_tags ON filter_row USING gin (tags)",
          "CREATE INDEX by_attributes ON filter_row USING gin (attributes jsonb_path_ops)",
          "CREATE INDEX by_plan ON filter_row ((attributes->>'plan'))",
          "SET LOCAL enable_seqscan = off"}) {
      CLM_RETURN_IF_ERROR(tx.ExecDynamic(statement).status());
    }
    constexpr std::pair<const char*, const char*> kCases[] = {
        {"visits = 7 OR visits = 8", "by_visits"}, {"visits > 7 -active", "by_visits"},
        {"tags:vip NOT visits = 8", "by_tags"},    {"attributes.topics:vip", "by_attributes"},
        {"attributes.plan = gold", "by_plan"},
    };
    for (const auto& [text, index] : kCases) {
      pg::Args args;
      CLM_ASSIGN_OR_RETURN(
          const std::string condition,
          ToSql(*sample::Read(text), sample::SampleColumns(), sample::Now(), args));
      CLM_ASSIGN_OR_RETURN(
          const pg::Result result,
          tx.ExecDynamic(absl::StrCat("EXPLAIN SELECT id FROM filter_row WHERE ", condition),
                         args));
      std::string plan;
      for (int i = 0; i < result.size(); ++i) absl::StrAppend(&plan, result[i].Text(0), "\n");
      EXPECT_THAT(plan, ::testing::HasSubstr(index)) << text;
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace clm::filter
