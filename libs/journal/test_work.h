// A unit of work small enough to see through: named counters in a table of their own. For tests.
#ifndef CLM_LIBS_JOURNAL_TEST_WORK_H_
#define CLM_LIBS_JOURNAL_TEST_WORK_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "libs/journal/mutation.h"
#include "libs/journal/schema.h"
#include "libs/pg/key_args.h"
#include "libs/pg/migrate.h"

namespace clm::journal {

inline constexpr pg::Statement kLoadCounters{"test.load", R"sql(
  SELECT tenant_id, name, value FROM counter
  WHERE (tenant_id, name) IN (SELECT * FROM unnest($1::text[], $2::text[])))sql"};
inline constexpr pg::Statement kSaveCounters{"test.save", R"sql(
  INSERT INTO counter (tenant_id, name, value)
  SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
  ON CONFLICT (tenant_id, name) DO UPDATE SET value = excluded.value)sql"};

inline pg::Schema CounterSchema() {
  pg::Schema schema;
  schema.service = "counter";
  schema.migrations.push_back(JournalMigration());
  schema.migrations.push_back({2, "0002_counter", R"sql(
    CREATE TABLE counter (
      tenant_id text NOT NULL, name text NOT NULL, value bigint NOT NULL CHECK (value < 1000000),
      PRIMARY KEY (tenant_id, name));
    ALTER TABLE counter ENABLE ROW LEVEL SECURITY;
    ALTER TABLE counter FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON counter USING (
      tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
      OR (SELECT current_setting('clm.tenant')) = '*');)sql"});
  schema.migrations.push_back(ConsumerMigration(3));
  return schema;
}

class CounterWork : public Work {
 public:
  using Key = std::pair<std::string, std::string>;

  void Need(const std::string& tenant, const std::string& name) { values_[{tenant, name}]; }
  int64_t Get(const std::string& tenant, const std::string& name) {
    return values_[{tenant, name}];
  }
  void Set(const std::string& tenant, const std::string& name, int64_t value) {
    undo_.emplace_back(Key{tenant, name}, values_[{tenant, name}]);
    values_[{tenant, name}] = value;
    dirty_.insert({tenant, name});
  }

  absl::Status Load(pg::Tx& tx) override {
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadCounters, pg::KeyArgs(values_)));
    for (int i = 0; i < rows.size(); ++i) {
      values_[{std::string(rows[i].Text(0)), std::string(rows[i].Text(1))}] = rows[i].Int(2);
    }
    return absl::OkStatus();
  }
  void Keep() override { undo_.clear(); }
  void Discard() override {
    for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) values_[it->first] = it->second;
    undo_.clear();
  }
  absl::Status Flush(pg::Tx& tx) override {
    if (dirty_.empty()) return absl::OkStatus();
    std::vector<std::string> tenants, names;
    std::vector<int64_t> values;
    for (const auto& key : dirty_) {
      tenants.push_back(key.first);
      names.push_back(key.second);
      values.push_back(values_[key]);
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(names).AddArray(values);
    return tx.Exec(kSaveCounters, args).status();
  }

 private:
  std::map<Key, int64_t> values_;
  std::set<Key> dirty_;
  std::vector<std::pair<Key, int64_t>> undo_;
};

// What a test wants added to a counter of shard ShardOf(tenant, name).
struct Addition {
  std::string tenant = "acme";
  std::string name = "n";
  int64_t by = 1;
  std::string request_id;
  std::string fingerprint = std::string(32, 'f');
};

inline MutationInfo InfoOf(const Addition& add) {
  MutationInfo info;
  info.tenant = add.tenant;
  info.shards.set(ShardOf(add.tenant, add.name));
  info.request_id = add.request_id;
  info.fingerprint = add.request_id.empty() ? "" : add.fingerprint;
  info.actor = "test";
  return info;
}

// Refuses negative results; answers the new value.
inline absl::StatusOr<std::string> ApplyAddition(const Addition& add, CounterWork& work,
                                                 Recorder& recorder) {
  const int64_t value = work.Get(add.tenant, add.name) + add.by;
  if (value < 0) return absl::FailedPreconditionError("counter: would be negative");
  work.Set(add.tenant, add.name, value);
  recorder.Record({ShardOf(add.tenant, add.name), add.tenant, absl::StrCat("counters/", add.name),
                   "test.Added", value, std::nullopt, "", absl::StrCat(add.by)});
  return absl::StrCat(value);
}

inline absl::StatusOr<Answer> Add(Lanes& lanes, const Addition& add) {
  return lanes.Run<CounterWork>(
      InfoOf(add), [&](CounterWork& work) { work.Need(add.tenant, add.name); },
      [&](CounterWork& work, Recorder& recorder) { return ApplyAddition(add, work, recorder); });
}

inline Lanes::Options CounterLanes(pg::Pool* pool, const Clock* clock) {
  Lanes::Options options;
  options.pool = pool;
  options.clock = clock;
  options.new_work = [] { return std::make_unique<CounterWork>(); };
  return options;
}

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_TEST_WORK_H_
