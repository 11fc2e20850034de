#include "services/loyalty/coupon_work.h"

#include <utility>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/coupon_proto.h"
#include "services/loyalty/coupon_row.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/program_rows.h"

namespace clm::loyalty {
namespace {

// The wanted rows as `w`, with their places from 1.
#define CLM_WANTED(kind)                                                             \
  "FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id, " \
  "unnest($3::" kind "[]) AS id, generate_subscripts($1::text[], 1) AS place) AS w "

constexpr pg::Statement kLoadCoupons{
    "coupon.load", "SELECT w.place, " CLM_COUPON_COLUMNS " " CLM_WANTED("uuid") R"sql(
  CROSS JOIN LATERAL (SELECT * FROM coupon c WHERE c.tenant_id = w.tenant_id
    AND c.program_id = w.program_id AND c.id = w.id OFFSET 0) c )sql" CLM_COUPON_DETAILS("$4")};

constexpr pg::Statement kLoadBudgets{"coupon.load_budgets",
                                     "SELECT w.place, " CLM_COUPON_BUDGET_COLUMNS
                                     " " CLM_WANTED("text") R"sql(
  CROSS JOIN LATERAL (SELECT * FROM coupon_budget b WHERE b.tenant_id = w.tenant_id
    AND b.program_id = w.program_id AND b.id = w.id OFFSET 0) b )sql" CLM_COUPON_BUDGET_DETAILS(
                                         "$4")};

constexpr pg::Statement kLoadCodes{"coupon.load_codes", "SELECT w.place " CLM_WANTED("text") R"sql(
  WHERE EXISTS (SELECT FROM coupon c WHERE c.tenant_id = w.tenant_id
    AND c.program_id = w.program_id AND c.code = w.id))sql"};

constexpr pg::Statement kLoadUses{"coupon.load_uses",
                                  "SELECT w.place, " CLM_COUPON_USE_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::uuid[]) AS coupon_id, unnest($4::uuid[]) AS id,
               generate_subscripts($1::text[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM coupon_use u WHERE u.tenant_id = w.tenant_id
    AND u.coupon_id = w.coupon_id AND u.id = w.id AND u.program_id = w.program_id OFFSET 0) u
  )sql" CLM_COUPON_USE_DETAILS};

// Who was merged into them is a member as they are, also before the points have followed.
constexpr pg::Statement kLoadPersons{
    "coupon.load_persons",
    "SELECT w.place, a.merged_into, m.known, m.erased " CLM_WANTED("uuid") R"sql(
  LEFT JOIN contact_alias a ON a.tenant_id = w.tenant_id AND a.contact_id = w.id
  CROSS JOIN LATERAL (SELECT count(*) > 0 AS known, coalesce(bool_or(m.erased), false) AS erased
    FROM member m WHERE m.tenant_id = w.tenant_id AND m.program_id = w.program_id
      AND m.contact_id = ANY (w.id || ARRAY(SELECT x.contact_id FROM contact_alias x
        WHERE x.tenant_id = w.tenant_id AND x.merged_into = w.id))) m)sql"};

constexpr pg::Statement kLoadCounts{"coupon.load_counts", R"sql(
  SELECT w.place, p.id, n.used, n.reserved
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS coupon_id,
               unnest($3::uuid[]) AS contact_id, generate_subscripts($1::text[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT coalesce((SELECT a.merged_into FROM contact_alias a
    WHERE a.tenant_id = w.tenant_id AND a.contact_id = w.contact_id), w.contact_id) AS id) p
  CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE u.state = 2) AS used,
      count(*) FILTER (WHERE u.state = 1 AND u.expire_time > $4::timestamptz) AS reserved
    FROM coupon_use u WHERE u.tenant_id = w.tenant_id AND u.coupon_id = w.coupon_id
      AND u.contact_id = ANY (p.id || ARRAY(SELECT x.contact_id FROM contact_alias x
        WHERE x.tenant_id = w.tenant_id AND x.merged_into = p.id))) n)sql"};

constexpr pg::Statement kLoadExternals{"coupon.load_externals", R"sql(
  SELECT w.place, k.coupon_id, k.use_id, k.fingerprint, k.response, u.contact_id
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::text[]) AS source, unnest($4::text[]) AS external_id,
               unnest($5::bigint[]) AS kind, generate_subscripts($1::text[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM coupon_key k WHERE k.tenant_id = w.tenant_id
    AND k.program_id = w.program_id AND k.source = w.source AND k.external_id = w.external_id
    AND k.kind = w.kind OFFSET 0) k
  LEFT JOIN coupon_use u ON u.tenant_id = k.tenant_id AND u.coupon_id = k.coupon_id
    AND u.id = k.use_id)sql"};

// Whose it is is written once: an erasure, which does not hold the coupon's shard, may have taken
// it away since it was read.
constexpr pg::Statement kSaveCoupons{"coupon.save", R"sql(
  INSERT INTO coupon (tenant_id, program_id, id, code, shown_code, batch, budget_id, contact_id,
                      body, used, reserved, value_minor, create_time, update_time, version)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::text[]),
         unnest($5::text[]), unnest($6::text[]), unnest($7::text[]), unnest($8::uuid[]),
         unnest($9::bytea[]), unnest($10::bigint[]), unnest($11::bigint[]), unnest($12::bigint[]),
         unnest($13::timestamptz[]), unnest($14::timestamptz[]), unnest($15::bigint[])
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE SET
    (body, used, reserved, value_minor, update_time, version) =
    (excluded.body, excluded.used, excluded.reserved, excluded.value_minor, excluded.update_time,
     excluded.version))sql"};

constexpr pg::Statement kSaveBudgets{"coupon.save_budgets", R"sql(
  INSERT INTO coupon_budget (tenant_id, program_id, id, body, uses, value_minor, create_time,
                             update_time, version)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::bytea[]),
         unnest($5::bigint[]), unnest($6::bigint[]), unnest($7::timestamptz[]),
         unnest($8::timestamptz[]), unnest($9::bigint[])
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE SET
    (body, uses, value_minor, update_time, version) =
    (excluded.body, excluded.uses, excluded.value_minor, excluded.update_time,
     excluded.version))sql"};

// The sums that are saved do not have them any more.
constexpr pg::Statement kTimeOut{"coupon.time_out", R"sql(
  UPDATE coupon_use u SET (state, end_time, version) = (3, u.expire_time, u.version + 1)
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS coupon_id) AS w
  WHERE u.tenant_id = w.tenant_id AND u.coupon_id = w.coupon_id AND u.state = 1
    AND u.expire_time <= $3::timestamptz)sql"};

constexpr pg::Statement kTimeOutOfBudget{"coupon.time_out_of_budget", R"sql(
  UPDATE coupon_use u SET budget_counted = false
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::text[]) AS budget_id) AS w
  WHERE u.tenant_id = w.tenant_id AND u.program_id = w.program_id AND u.budget_id = w.budget_id
    AND u.budget_counted AND u.state IN (1, 3) AND u.expire_time <= $4::timestamptz)sql"};

// As with coupons, whose it is is written once.
constexpr pg::Statement kSaveUses{"coupon.save_uses", R"sql(
  INSERT INTO coupon_use (tenant_id, program_id, coupon_id, id, contact_id, state, currency,
                          order_minor, discount_minor, value_minor, budget_id, budget_counted,
                          budget_minor, source, external_id, create_time, expire_time,
                          redeem_time, end_time, version)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::uuid[]),
         unnest($5::uuid[]), unnest($6::bigint[]), unnest($7::text[]), unnest($8::bigint[]),
         unnest($9::bigint[]), unnest($10::bigint[]), unnest($11::text[]), unnest($12::boolean[]),
         unnest($13::bigint[]), unnest($14::text[]), unnest($15::text[]),
         unnest($16::timestamptz[]), unnest($17::timestamptz[]), unnest($18::timestamptz[]),
         unnest($19::timestamptz[]), unnest($20::bigint[])
  ON CONFLICT (tenant_id, coupon_id, id) DO UPDATE SET
    (state, currency, order_minor, discount_minor, value_minor, budget_counted, budget_minor,
     source, external_id, redeem_time, end_time, version) =
    (excluded.state, excluded.currency, excluded.order_minor, excluded.discount_minor,
     excluded.value_minor, excluded.budget_counted, excluded.budget_minor, excluded.source,
     excluded.external_id, excluded.redeem_time, excluded.end_time, excluded.version))sql"};

constexpr pg::Statement kInsertExternals{"coupon.insert_externals", R"sql(
  INSERT INTO coupon_key (tenant_id, program_id, source, external_id, kind, coupon_id, use_id,
                          fingerprint, response)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::bigint[]), unnest($6::uuid[]), unnest($7::uuid[]), unnest($8::bytea[]),
         unnest($9::bytea[]))sql"};

#undef CLM_WANTED

// What a use adds to the sums.
struct Share {
  int64_t used = 0;
  int64_t reserved = 0;
  int64_t value_minor = 0;
  int64_t budget_uses = 0;
  int64_t budget_minor = 0;
};

Share ShareOf(const CouponUse& use) {
  Share share;
  if (use.state == CouponUseState::kRedeemed) share.used = 1;
  if (use.state == CouponUseState::kReserved) share.reserved = 1;
  share.value_minor = (share.used + share.reserved) * use.value_minor;
  if (use.budget_counted) {
    share.budget_uses = 1;
    share.budget_minor = use.budget_minor;
  }
  return share;
}

template <class Map, class Key>
auto Find(const Map& map, const Key& key) -> decltype(&*map.begin()->second.row) {
  const auto it = map.find(key);
  return it == map.end() || !it->second.row ? nullptr : &*it->second.row;
}

// Tenants and programmes of what is wanted, and its ids.
template <class Id>
struct Wanted {
  std::vector<std::string> tenants;
  std::vector<std::string> programs;
  std::vector<Id> ids;

  void Add(const std::string& tenant, const std::string& program, const Id& id) {
    tenants.push_back(tenant);
    programs.push_back(program);
    ids.push_back(id);
  }
  pg::Args Args() && {
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
    return args;
  }
};

}  // namespace

// ---- Reading.

const Program* CouponWork::FindProgram(const ProgramKey& key) const {
  const auto it = programs_.find(key);
  return it == programs_.end() || !it->second ? nullptr : &*it->second;
}

const StoredCoupon* CouponWork::FindCoupon(const CouponKey& key) const {
  return Find(coupons_, key);
}

const StoredCouponBudget* CouponWork::FindBudget(const CouponBudgetKey& key) const {
  return Find(budgets_, key);
}

bool CouponWork::CodeTaken(const ProgramKey& program, const std::string& code) const {
  return codes_.at({program, code});
}

const CouponUse* CouponWork::FindUse(const CouponUseKey& key) const { return Find(uses_, key); }

const CouponExternalUse* CouponWork::FindExternal(const CouponExternalKey& key) const {
  return Find(externals_, key);
}

// ---- Staging.

template <class Map, class Key, class Value>
void CouponWork::Put(Map& map, const Key& key, Value value) {
  auto before = std::exchange(map[key], std::move(value));
  undo_.emplace_back(
      [&map, key, before = std::move(before)]() mutable { map[key] = std::move(before); });
}

void CouponWork::SaveCoupon(const StoredCoupon& coupon) {
  Slot<StoredCoupon> slot = coupons_[coupon.key];
  if (!slot.row) {
    slot.is_new = true;
    Put(codes_, std::pair(ProgramKey{coupon.key.tenant, coupon.key.program}, coupon.code), true);
  }
  slot.dirty = true;
  slot.row = coupon;
  Put(coupons_, coupon.key, std::move(slot));
}

void CouponWork::SaveBudget(const StoredCouponBudget& budget) {
  Slot<StoredCouponBudget> slot = budgets_[budget.key];
  slot.dirty = true;
  slot.row = budget;
  Put(budgets_, budget.key, std::move(slot));
}

void CouponWork::SaveUse(const CouponUse& use) {
  const CouponUse* before = FindUse(use.key);
  const Share was = before == nullptr ? Share() : ShareOf(*before);
  const Share is = ShareOf(use);
  const CouponKey& key = use.key.coupon;

  Slot<StoredCoupon> coupon = coupons_.at(key);
  coupon.dirty = true;
  coupon.row->used += is.used - was.used;
  coupon.row->reserved += is.reserved - was.reserved;
  coupon.row->value_minor += is.value_minor - was.value_minor;
  Put(coupons_, key, std::move(coupon));

  if (!use.budget.empty()) {
    const CouponBudgetKey budget_key{key.tenant, key.program, use.budget};
    Slot<StoredCouponBudget> budget = budgets_.at(budget_key);
    budget.dirty = true;
    budget.row->budget.uses += is.budget_uses - was.budget_uses;
    budget.row->budget.value_minor += is.budget_minor - was.budget_minor;
    Put(budgets_, budget_key, std::move(budget));
  }

  // Others of the transaction may be about the same person.
  for (auto at = counts_.lower_bound({key, Uuid()}); at != counts_.end(); ++at) {
    if (at->first.first != key) break;
    if (at->second.person != use.person) continue;
    Counts counts = at->second;
    counts.used += is.used - was.used;
    counts.reserved += is.reserved - was.reserved;
    Put(counts_, at->first, counts);
  }

  Slot<CouponUse> slot;
  slot.dirty = true;
  slot.row = use;
  Put(uses_, use.key, std::move(slot));
}

void CouponWork::SaveExternal(const CouponExternalKey& key, CouponExternalUse use) {
  Slot<CouponExternalUse> slot;
  slot.dirty = true;
  slot.row = std::move(use);
  Put(externals_, key, std::move(slot));
}

void CouponWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

// ---- What is read.

absl::Status CouponWork::Load(pg::Tx& tx) {
  as_of_ = clock_->Now();
  CLM_RETURN_IF_ERROR(LoadPrograms(tx));
  CLM_RETURN_IF_ERROR(LoadCoupons(tx));
  CLM_RETURN_IF_ERROR(LoadBudgets(tx));
  CLM_RETURN_IF_ERROR(LoadCodes(tx));
  CLM_RETURN_IF_ERROR(LoadUses(tx));
  CLM_RETURN_IF_ERROR(LoadPersons(tx));
  CLM_RETURN_IF_ERROR(LoadCounts(tx));
  return LoadExternals(tx);
}

absl::Status CouponWork::LoadPrograms(pg::Tx& tx) {
  std::vector<ProgramKey> keys;
  for (const auto& [key, _] : programs_) keys.push_back(key);
  CLM_ASSIGN_OR_RETURN(std::vector<Program> programs, loyalty::LoadPrograms(tx, keys));
  for (Program& program : programs) {
    programs_[{program.tenant, program.id}] = std::move(program);
  }
  return absl::OkStatus();
}

absl::Status CouponWork::LoadCoupons(pg::Tx& tx) {
  if (coupons_.empty()) return absl::OkStatus();
  Wanted<Uuid> wanted;
  for (const auto& [key, _] : coupons_) wanted.Add(key.tenant, key.program, key.id);
  pg::Args args = std::move(wanted).Args();
  args.Add(as_of_);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadCoupons, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredCoupon coupon, ReadCoupon(rows[i], 1));
    const CouponKey key = coupon.key;
    coupons_[key].row = std::move(coupon);
  }
  return absl::OkStatus();
}

absl::Status CouponWork::LoadBudgets(pg::Tx& tx) {
  if (budgets_.empty()) return absl::OkStatus();
  Wanted<std::string> wanted;
  for (const auto& [key, _] : budgets_) wanted.Add(key.tenant, key.program, key.id);
  pg::Args args = std::move(wanted).Args();
  args.Add(as_of_);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadBudgets, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredCouponBudget budget, ReadCouponBudget(rows[i], 1));
    const CouponBudgetKey key = budget.key;
    budgets_[key].row = std::move(budget);
  }
  return absl::OkStatus();
}

absl::Status CouponWork::LoadCodes(pg::Tx& tx) {
  if (codes_.empty()) return absl::OkStatus();
  Wanted<std::string> wanted;
  std::vector<bool*> places;
  for (auto& [key, taken] : codes_) {
    wanted.Add(key.first.tenant, key.first.program, key.second);
    places.push_back(&taken);
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadCodes, std::move(wanted).Args()));
  for (int i = 0; i < rows.size(); ++i) *places[rows[i].Int(0) - 1] = true;
  return absl::OkStatus();
}

absl::Status CouponWork::LoadUses(pg::Tx& tx) {
  if (uses_.empty()) return absl::OkStatus();
  Wanted<Uuid> wanted;
  std::vector<Uuid> ids;
  for (const auto& [key, _] : uses_) {
    wanted.Add(key.coupon.tenant, key.coupon.program, key.coupon.id);
    ids.push_back(key.id);
  }
  pg::Args args = std::move(wanted).Args();
  args.AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadUses, args));
  for (int i = 0; i < rows.size(); ++i) {
    CouponUse use = ReadCouponUse(rows[i], 1, as_of_);
    const CouponUseKey key = use.key;
    uses_[key].row = std::move(use);
  }
  return absl::OkStatus();
}

absl::Status CouponWork::LoadPersons(pg::Tx& tx) {
  if (persons_.empty()) return absl::OkStatus();
  Wanted<Uuid> wanted;
  std::vector<CouponPerson*> places;
  for (auto& [key, person] : persons_) {
    wanted.Add(key.tenant, key.program, key.contact);
    places.push_back(&person);
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadPersons, std::move(wanted).Args()));
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    *places[row.Int(0) - 1] = {row.OptUuid(1), row.Bool(2), row.Bool(3)};
  }
  return absl::OkStatus();
}

absl::Status CouponWork::LoadCounts(pg::Tx& tx) {
  if (counts_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants;
  std::vector<Uuid> coupons, persons;
  std::vector<Counts*> places;
  for (auto& [key, counts] : counts_) {
    tenants.push_back(key.first.tenant);
    coupons.push_back(key.first.id);
    persons.push_back(key.second);
    places.push_back(&counts);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(coupons)).AddArray(std::move(persons));
  args.Add(as_of_);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadCounts, args));
  for (int i = 0; i < rows.size(); ++i) {
    *places[rows[i].Int(0) - 1] = {rows[i].Uuid(1), rows[i].Int(2), rows[i].Int(3)};
  }
  return absl::OkStatus();
}

absl::Status CouponWork::LoadExternals(pg::Tx& tx) {
  if (externals_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, sources, ids;
  std::vector<int64_t> kinds;
  std::vector<std::pair<const CouponExternalKey*, Slot<CouponExternalUse>*>> places;
  for (auto& [key, slot] : externals_) {
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    sources.push_back(key.source);
    ids.push_back(key.external_id);
    kinds.push_back(static_cast<int64_t>(key.kind));
    places.emplace_back(&key, &slot);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(sources));
  args.AddArray(std::move(ids)).AddArray(std::move(kinds));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadExternals, args));
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    const auto& [key, slot] = places[row.Int(0) - 1];
    slot->row = CouponExternalUse{{{key->tenant, key->program, row.Uuid(1)}, row.Uuid(2)},
                                  row.Bytes(3),
                                  row.Bytes(4),
                                  row.OptUuid(5)};
  }
  return absl::OkStatus();
}

// ---- What is written.

absl::Status CouponWork::Flush(pg::Tx& tx) {
  Discard();
  CLM_RETURN_IF_ERROR(FlushBudgets(tx));
  CLM_RETURN_IF_ERROR(FlushCoupons(tx));
  CLM_RETURN_IF_ERROR(FlushUses(tx));
  return FlushExternals(tx);
}

absl::Status CouponWork::FlushBudgets(pg::Tx& tx) {
  Wanted<std::string> saved, counted;
  std::vector<std::string> bodies;
  std::vector<int64_t> uses, values, versions;
  std::vector<absl::Time> created, updated;
  for (const auto& [key, slot] : budgets_) {
    if (!slot.dirty) continue;
    saved.Add(key.tenant, key.program, key.id);
    bodies.push_back(BodyOf(*slot.row));
    uses.push_back(slot.row->budget.uses);
    values.push_back(slot.row->budget.value_minor);
    created.push_back(slot.row->create_time);
    updated.push_back(slot.row->update_time);
    versions.push_back(slot.row->version);
    counted.Add(key.tenant, key.program, key.id);
  }
  if (versions.empty()) return absl::OkStatus();
  pg::Args due = std::move(counted).Args();
  due.Add(as_of_);
  CLM_RETURN_IF_ERROR(tx.Exec(kTimeOutOfBudget, due).status());
  pg::Args args = std::move(saved).Args();
  args.AddBytesArray(std::move(bodies)).AddArray(std::move(uses)).AddArray(std::move(values));
  args.AddArray(std::move(created)).AddArray(std::move(updated)).AddArray(std::move(versions));
  return tx.Exec(kSaveBudgets, args).status();
}

absl::Status CouponWork::FlushCoupons(pg::Tx& tx) {
  Wanted<Uuid> saved;
  std::vector<std::string> codes, shown, batches, budgets, bodies, due_tenants;
  std::vector<std::optional<Uuid>> contacts;
  std::vector<int64_t> used, reserved, values, versions;
  std::vector<absl::Time> created, updated;
  std::vector<Uuid> due_ids;
  for (const auto& [key, slot] : coupons_) {
    if (!slot.dirty) continue;
    const StoredCoupon& coupon = *slot.row;
    saved.Add(key.tenant, key.program, key.id);
    codes.push_back(coupon.code);
    shown.push_back(coupon.shown_code);
    batches.push_back(coupon.batch);
    budgets.push_back(coupon.budget);
    contacts.push_back(coupon.contact);
    bodies.push_back(BodyOf(coupon));
    used.push_back(coupon.used);
    reserved.push_back(coupon.reserved);
    values.push_back(coupon.value_minor);
    created.push_back(coupon.create_time);
    updated.push_back(coupon.update_time);
    versions.push_back(coupon.version);
    if (slot.is_new) continue;
    due_tenants.push_back(key.tenant);
    due_ids.push_back(key.id);
  }
  if (versions.empty()) return absl::OkStatus();
  if (!due_ids.empty()) {
    pg::Args due;
    due.AddArray(std::move(due_tenants)).AddArray(std::move(due_ids)).Add(as_of_);
    CLM_RETURN_IF_ERROR(tx.Exec(kTimeOut, due).status());
  }
  pg::Args args = std::move(saved).Args();
  args.AddArray(std::move(codes)).AddArray(std::move(shown)).AddArray(std::move(batches));
  args.AddArray(std::move(budgets)).AddArray(std::move(contacts)).AddBytesArray(std::move(bodies));
  args.AddArray(std::move(used)).AddArray(std::move(reserved)).AddArray(std::move(values));
  args.AddArray(std::move(created)).AddArray(std::move(updated)).AddArray(std::move(versions));
  return tx.Exec(kSaveCoupons, args).status();
}

absl::Status CouponWork::FlushUses(pg::Tx& tx) {
  Wanted<Uuid> saved;
  std::vector<Uuid> ids;
  std::vector<std::optional<Uuid>> contacts;
  std::vector<std::string> currencies, budgets, sources, externals;
  std::vector<int64_t> states, orders, discounts, values, budget_values, versions;
  std::vector<bool> counted;
  std::vector<absl::Time> created, expire;
  std::vector<std::optional<absl::Time>> redeemed, ended;
  for (const auto& [key, slot] : uses_) {
    if (!slot.dirty) continue;
    const CouponUse& use = *slot.row;
    saved.Add(key.coupon.tenant, key.coupon.program, key.coupon.id);
    ids.push_back(key.id);
    contacts.push_back(use.contact);
    states.push_back(static_cast<int64_t>(use.state));
    currencies.push_back(use.currency);
    orders.push_back(use.order_minor);
    discounts.push_back(use.discount_minor);
    values.push_back(use.value_minor);
    budgets.push_back(use.budget);
    counted.push_back(use.budget_counted);
    budget_values.push_back(use.budget_minor);
    sources.push_back(use.source);
    externals.push_back(use.external_id);
    created.push_back(use.create_time);
    expire.push_back(use.expire_time);
    redeemed.push_back(use.redeem_time);
    ended.push_back(use.end_time);
    versions.push_back(use.version);
  }
  if (ids.empty()) return absl::OkStatus();
  pg::Args args = std::move(saved).Args();
  args.AddArray(std::move(ids)).AddArray(std::move(contacts)).AddArray(std::move(states));
  args.AddArray(std::move(currencies)).AddArray(std::move(orders)).AddArray(std::move(discounts));
  args.AddArray(std::move(values)).AddArray(std::move(budgets)).AddArray(std::move(counted));
  args.AddArray(std::move(budget_values)).AddArray(std::move(sources));
  args.AddArray(std::move(externals)).AddArray(std::move(created)).AddArray(std::move(expire));
  args.AddArray(std::move(redeemed)).AddArray(std::move(ended)).AddArray(std::move(versions));
  return tx.Exec(kSaveUses, args).status();
}

absl::Status CouponWork::FlushExternals(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, sources, ids, fingerprints, responses;
  std::vector<int64_t> kinds;
  std::vector<Uuid> coupons, uses;
  for (const auto& [key, slot] : externals_) {
    if (!slot.dirty) continue;
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    sources.push_back(key.source);
    ids.push_back(key.external_id);
    kinds.push_back(static_cast<int64_t>(key.kind));
    coupons.push_back(slot.row->use.coupon.id);
    uses.push_back(slot.row->use.id);
    fingerprints.push_back(slot.row->fingerprint);
    responses.push_back(slot.row->response);
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(sources));
  args.AddArray(std::move(ids)).AddArray(std::move(kinds)).AddArray(std::move(coupons));
  args.AddArray(std::move(uses)).AddBytesArray(std::move(fingerprints));
  args.AddBytesArray(std::move(responses));
  return tx.Exec(kInsertExternals, args).status();
}

std::vector<const pg::Statement*> CouponWorkStatements() {
  return {&kLoadCoupons,     &kLoadBudgets,   &kLoadCodes,      &kLoadUses,    &kLoadPersons,
          &kLoadCounts,      &kLoadExternals, &kSaveCoupons,    &kSaveBudgets, &kTimeOut,
          &kTimeOutOfBudget, &kSaveUses,      &kInsertExternals};
}

}  // namespace clm::loyalty
