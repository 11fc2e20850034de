#include "services/loyalty/rule_work.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kLoadFacts{"loyalty.load_facts", R"sql(
  SELECT w.place, f.contact_id, f.occur_time, f.amount_minor, f.counted, f.refunded_minor, f.rules,
         f.wallets, f.numbers::text[], f.lots::text[], f.points::text[], f.event_type, f.currency
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::uuid[]) AS id, generate_subscripts($3::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM fact f WHERE f.tenant_id = w.tenant_id
    AND f.program_id = w.program_id AND f.id = w.id OFFSET 0) f)sql"};

constexpr pg::Statement kLoadCounts{"loyalty.load_counts", R"sql(
  SELECT w.place, c.points
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS program_id, unnest($4::text[]) AS rule_id,
               unnest($5::smallint[]) AS period, unnest($6::timestamptz[]) AS start,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM earn_count c WHERE c.tenant_id = w.tenant_id
    AND c.contact_id = w.contact_id AND c.program_id = w.program_id AND c.rule_id = w.rule_id
    AND c.period = w.period AND c.start = w.start OFFSET 0) c)sql"};

constexpr pg::Statement kLoadBasis{"loyalty.load_basis", R"sql(
  SELECT w.place, b.at, b.value
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS program_id, generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM tier_basis b WHERE b.tenant_id = w.tenant_id
    AND b.contact_id = w.contact_id AND b.program_id = w.program_id OFFSET 0) b)sql"};

constexpr pg::Statement kSaveFacts{"loyalty.save_facts", R"sql(
  INSERT INTO fact (tenant_id, program_id, id, contact_id, occur_time, amount_minor, counted,
                    refunded_minor, rules, wallets, numbers, lots, points, event_type, currency)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::uuid[]),
         unnest($5::timestamptz[]), unnest($6::bigint[]), unnest($7::bigint[]),
         unnest($8::bigint[]), unnest($9::text[])::text[], unnest($10::text[])::text[],
         unnest($11::text[])::bigint[], unnest($12::text[])::uuid[], unnest($13::text[])::bigint[],
         unnest($14::text[]), unnest($15::text[])
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE
    SET counted = excluded.counted, refunded_minor = excluded.refunded_minor
)sql"};

constexpr pg::Statement kAddCounts{"loyalty.add_counts", R"sql(
  INSERT INTO earn_count AS c (tenant_id, contact_id, program_id, rule_id, period, start, points)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::smallint[]), unnest($6::timestamptz[]), unnest($7::bigint[])
  ON CONFLICT (tenant_id, contact_id, program_id, rule_id, period, start) DO UPDATE SET
    points = c.points + excluded.points)sql"};

constexpr pg::Statement kAddBasis{"loyalty.add_basis", R"sql(
  INSERT INTO tier_basis AS b (tenant_id, contact_id, program_id, at, value)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::timestamptz[]),
         unnest($5::bigint[])
  ON CONFLICT (tenant_id, contact_id, program_id, at) DO UPDATE SET
    value = b.value + excluded.value)sql"};

constexpr pg::Statement kMoveCounts{"loyalty.move_counts", R"sql(
  WITH gone AS (
    DELETE FROM earn_count c
    WHERE c.tenant_id = $1::text AND c.contact_id = $2::uuid AND c.program_id = $3::text
    RETURNING c.rule_id, c.period, c.start, c.points)
  INSERT INTO earn_count AS c (tenant_id, contact_id, program_id, rule_id, period, start, points)
  SELECT $1::text, $4::uuid, $3::text, g.rule_id, g.period, g.start, g.points FROM gone g
  ON CONFLICT (tenant_id, contact_id, program_id, rule_id, period, start) DO UPDATE SET
    points = c.points + excluded.points)sql"};

constexpr pg::Statement kMoveBasis{"loyalty.move_basis", R"sql(
  WITH gone AS (
    DELETE FROM tier_basis b
    WHERE b.tenant_id = $1::text AND b.contact_id = $2::uuid AND b.program_id = $3::text
    RETURNING b.at, b.value)
  INSERT INTO tier_basis AS b (tenant_id, contact_id, program_id, at, value)
  SELECT $1::text, $4::uuid, $3::text, g.at, g.value FROM gone g
  ON CONFLICT (tenant_id, contact_id, program_id, at) DO UPDATE SET
    value = b.value + excluded.value)sql"};

// As PostgreSQL reads it; nothing in it needs quotes: ids of rules and wallets, numbers.
template <class Value>
std::string ArrayOf(const std::vector<RuleEarning>& earnings, Value RuleEarning::*field) {
  return absl::StrCat("{",
                      absl::StrJoin(earnings, ",",
                                    [field](std::string* out, const RuleEarning& earning) {
                                      if constexpr (std::is_same_v<Value, Uuid>) {
                                        absl::StrAppend(out, (earning.*field).ToString());
                                      } else {
                                        absl::StrAppend(out, earning.*field);
                                      }
                                    }),
                      "}");
}

// The arrays of tenants, contacts and programmes.
pg::Args ArgsOf(const std::vector<const MemberKey*>& keys) {
  std::vector<std::string> tenants, programs;
  std::vector<Uuid> contacts;
  for (const MemberKey* key : keys) {
    tenants.push_back(key->tenant);
    contacts.push_back(key->contact);
    programs.push_back(key->program);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(programs));
  return args;
}

// And of rules, periods and their starts.
pg::Args ArgsOf(const std::vector<const CountKey*>& keys) {
  std::vector<const MemberKey*> members;
  std::vector<std::string> rules;
  std::vector<int64_t> periods;
  std::vector<absl::Time> starts;
  for (const CountKey* key : keys) {
    members.push_back(&key->member);
    rules.push_back(key->rule);
    periods.push_back(static_cast<int64_t>(key->period));
    starts.push_back(key->start);
  }
  pg::Args args = ArgsOf(members);
  args.AddArray(std::move(rules)).AddArray(std::move(periods)).AddArray(std::move(starts));
  return args;
}

absl::StatusOr<Fact> ReadFact(const pg::Row& row, int c) {
  Fact fact{.contact = row.Uuid(c),
            .occur_time = row.Time(c + 1),
            .amount_minor = row.Int(c + 2),
            .counted = row.Int(c + 3),
            .refunded_minor = row.Int(c + 4),
            .event_type = std::string(row.Text(c + 10)),
            .currency = std::string(row.Text(c + 11))};
  const std::vector<std::string> rules = row.TextArray(c + 5), wallets = row.TextArray(c + 6),
                                 numbers = row.TextArray(c + 7), lots = row.TextArray(c + 8),
                                 points = row.TextArray(c + 9);
  for (size_t i = 0; i < rules.size(); ++i) {
    RuleEarning earning{.rule = rules[i]};
    bool known = i < wallets.size() && i < numbers.size() && i < lots.size() && i < points.size();
    if (known) {
      earning.wallet = wallets[i];
      const std::optional<Uuid> lot = Uuid::Parse(lots[i]);
      known = lot && absl::SimpleAtoi(numbers[i], &earning.number) &&
              absl::SimpleAtoi(points[i], &earning.points);
      earning.lot = lot.value_or(Uuid());
    }
    if (!known) return error::Internal("a fact is stored in an unknown form");
    fact.earnings.push_back(std::move(earning));
  }
  return fact;
}

}  // namespace

const Fact* RuleWork::FindFact(const FactKey& key) const {
  const auto it = facts_.find(key);
  return it == facts_.end() || !it->second.fact ? nullptr : &*it->second.fact;
}

int64_t RuleWork::CountOf(const CountKey& key) const {
  const auto it = counts_.find(key);
  return it == counts_.end() ? 0 : it->second.points;
}

bool RuleWork::HasReceived(const MemberKey& into) const {
  return std::any_of(moved_.begin(), moved_.end(),
                     [&](const auto& moved) { return moved.second == into; });
}

const TierBasisSums& RuleWork::BasisOf(const MemberKey& key) const {
  static const auto* const kNone = new TierBasisSums;
  const auto it = basis_.find(key);
  return it == basis_.end() ? *kNone : it->second.sums;
}

// ---- Staging.

template <class Map, class Key>
void RuleWork::Remember(Map& map, const Key& key) {
  undo_.emplace_back([&map, key, before = map[key]] { map[key] = before; });
}

void RuleWork::SaveFact(const FactKey& key, Fact fact) {
  Remember(facts_, key);
  FactSlot& slot = facts_[key];
  slot.fact = std::move(fact);
  slot.dirty = true;
}

void RuleWork::AddToCount(const CountKey& key, int64_t points) {
  Remember(counts_, key);
  CountSlot& slot = counts_[key];
  slot.points += points;
  slot.added += points;
}

void RuleWork::AddToBasis(const MemberKey& key, absl::Time at, int64_t value) {
  Remember(basis_, key);
  BasisSlot& slot = basis_[key];
  slot.sums[at] += value;
  slot.added[at] += value;
}

void RuleWork::MoveAll(const MemberKey& from, const MemberKey& into) {
  Remember(basis_, from);
  Remember(basis_, into);
  for (const auto& [at, value] : std::exchange(basis_[from].sums, {})) {
    basis_[into].sums[at] += value;
  }
  moved_.emplace_back(from, into);
  undo_.emplace_back([this] { moved_.pop_back(); });
}

void RuleWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

// ---- Loading.

absl::Status RuleWork::LoadFacts(pg::Tx& tx) {
  std::vector<std::string> tenants, programs;
  std::vector<Uuid> ids;
  std::vector<FactSlot*> places;
  for (auto& [key, slot] : facts_) {
    if (std::exchange(slot.loaded, true)) continue;
    tenants.push_back(key.program.tenant);
    programs.push_back(key.program.program);
    ids.push_back(key.event);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadFacts, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(places[rows[i].Int(0) - 1]->fact, ReadFact(rows[i], 1));
  }
  return absl::OkStatus();
}

absl::Status RuleWork::LoadCounts(pg::Tx& tx) {
  std::vector<const CountKey*> keys;
  std::vector<CountSlot*> places;
  for (auto& [key, slot] : counts_) {
    if (std::exchange(slot.loaded, true)) continue;
    keys.push_back(&key);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadCounts, ArgsOf(keys)));
  for (int i = 0; i < rows.size(); ++i) places[rows[i].Int(0) - 1]->points = rows[i].Int(1);
  return absl::OkStatus();
}

absl::Status RuleWork::LoadBasis(pg::Tx& tx) {
  std::vector<const MemberKey*> keys;
  std::vector<BasisSlot*> places;
  for (auto& [key, slot] : basis_) {
    if (std::exchange(slot.loaded, true)) continue;
    keys.push_back(&key);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadBasis, ArgsOf(keys)));
  for (int i = 0; i < rows.size(); ++i) {
    places[rows[i].Int(0) - 1]->sums[rows[i].Time(1)] = rows[i].Int(2);
  }
  return absl::OkStatus();
}

// ---- Writing.

absl::Status RuleWork::Flush(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(FlushFacts(tx));
  CLM_RETURN_IF_ERROR(FlushCounts(tx));
  CLM_RETURN_IF_ERROR(FlushBasis(tx));
  // After what was added: that moves too.
  for (const auto& [from, into] : moved_) {
    pg::Args args;
    args.Add(from.tenant).Add(from.contact).Add(from.program).Add(into.contact);
    for (const pg::Statement* statement : {&kMoveCounts, &kMoveBasis}) {
      CLM_RETURN_IF_ERROR(tx.Exec(*statement, args).status());
    }
  }
  return absl::OkStatus();
}

absl::Status RuleWork::FlushFacts(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, rules, wallets, numbers, lots, points, types,
      currencies;
  std::vector<Uuid> ids, contacts;
  std::vector<absl::Time> times;
  std::vector<int64_t> amounts, counted, refunded;
  for (const auto& [key, slot] : facts_) {
    if (!slot.dirty) continue;
    const Fact& fact = *slot.fact;
    tenants.push_back(key.program.tenant);
    programs.push_back(key.program.program);
    ids.push_back(key.event);
    contacts.push_back(fact.contact);
    times.push_back(fact.occur_time);
    amounts.push_back(fact.amount_minor);
    counted.push_back(fact.counted);
    refunded.push_back(fact.refunded_minor);
    rules.push_back(ArrayOf(fact.earnings, &RuleEarning::rule));
    wallets.push_back(ArrayOf(fact.earnings, &RuleEarning::wallet));
    numbers.push_back(ArrayOf(fact.earnings, &RuleEarning::number));
    lots.push_back(ArrayOf(fact.earnings, &RuleEarning::lot));
    points.push_back(ArrayOf(fact.earnings, &RuleEarning::points));
    types.push_back(fact.event_type);
    currencies.push_back(fact.currency);
  }
  if (ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
  args.AddArray(std::move(contacts)).AddArray(std::move(times)).AddArray(std::move(amounts));
  args.AddArray(std::move(counted)).AddArray(std::move(refunded)).AddArray(std::move(rules));
  args.AddArray(std::move(wallets)).AddArray(std::move(numbers)).AddArray(std::move(lots));
  args.AddArray(std::move(points)).AddArray(std::move(types)).AddArray(std::move(currencies));
  return tx.Exec(kSaveFacts, args).status();
}

absl::Status RuleWork::FlushCounts(pg::Tx& tx) {
  std::vector<const CountKey*> keys;
  std::vector<int64_t> added;
  for (const auto& [key, slot] : counts_) {
    if (slot.added == 0) continue;
    keys.push_back(&key);
    added.push_back(slot.added);
  }
  if (added.empty()) return absl::OkStatus();
  pg::Args args = ArgsOf(keys);
  args.AddArray(std::move(added));
  return tx.Exec(kAddCounts, args).status();
}

absl::Status RuleWork::FlushBasis(pg::Tx& tx) {
  std::vector<const MemberKey*> keys;
  std::vector<absl::Time> times;
  std::vector<int64_t> added;
  for (const auto& [key, slot] : basis_) {
    for (const auto& [at, value] : slot.added) {
      if (value == 0) continue;
      keys.push_back(&key);
      times.push_back(at);
      added.push_back(value);
    }
  }
  if (added.empty()) return absl::OkStatus();
  pg::Args args = ArgsOf(keys);
  args.AddArray(std::move(times)).AddArray(std::move(added));
  return tx.Exec(kAddBasis, args).status();
}

std::vector<const pg::Statement*> RuleWorkStatements() {
  return {&kLoadFacts, &kLoadCounts, &kLoadBasis,  &kSaveFacts,
          &kAddCounts, &kAddBasis,   &kMoveCounts, &kMoveBasis};
}

}  // namespace clm::loyalty
