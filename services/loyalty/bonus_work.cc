#include "services/loyalty/bonus_work.h"

#include <string>

#include "libs/base/status_macros.h"
#include "services/loyalty/bonus_proto.h"

namespace clm::loyalty {
namespace {

#define CLM_BONUS_KEYS                                                          \
  "(SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id, " \
  "unnest($3::uuid[]) AS id) AS w "
#define CLM_BONUS_RUNS                                                             \
  "SELECT " CLM_BONUS_RUN_COLUMNS " FROM " CLM_BONUS_KEYS                          \
  "JOIN bonus_run b ON b.tenant_id = w.tenant_id AND b.program_id = w.program_id " \
  "AND b.id = w.id ORDER BY b.tenant_id, b.program_id, b.id "

constexpr pg::Statement kLoadRuns{"bonus.load_runs", CLM_BONUS_RUNS "FOR SHARE OF b"};
constexpr pg::Statement kStopRuns{"bonus.stop_runs", CLM_BONUS_RUNS "FOR UPDATE OF b"};

#undef CLM_BONUS_RUNS
#undef CLM_BONUS_KEYS

constexpr pg::Statement kCountGranted{"bonus.count", R"sql(
  SELECT count(*) FILTER (WHERE b.state = 2), count(*) FILTER (WHERE b.state = 3),
         count(*) FILTER (WHERE b.state = 4)
  FROM bonus_member b
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text AND b.run_id = $3::uuid)sql"};

constexpr pg::Statement kPayeeNames{"bonus.names", R"sql(
  SELECT w.place, x.contact_id
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM contact_alias x WHERE x.merged_into = w.contact_id
    AND x.tenant_id = w.tenant_id OFFSET 0) x)sql"};

// In the order of the key: two who lock the same rows do not wait for each other.
constexpr pg::Statement kLoadPicked{
    "bonus.load_members",
    "SELECT b.tenant_id, b.program_id, b.run_id, " CLM_BONUS_MEMBER_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::uuid[]) AS run_id, unnest($4::uuid[]) AS contact_id) AS w
  JOIN bonus_member b ON b.tenant_id = w.tenant_id AND b.program_id = w.program_id
    AND b.run_id = w.run_id AND b.contact_id = w.contact_id
  ORDER BY b.tenant_id, b.program_id, b.run_id, b.contact_id FOR UPDATE OF b)sql"};

constexpr pg::Statement kSaveRun{"bonus.save_run", R"sql(
  INSERT INTO bonus_run AS b (tenant_id, program_id, id, body, state, as_of, created_by, members,
                              eligible, qualified, granted, merged, refused, place_contact,
                              place_spend, place_count, place_rank, create_time, end_time, version)
  VALUES ($1::text, $2::text, $3::uuid, $4::bytea, $5::smallint, $6::timestamptz, $7::text,
          $8::bigint, $9::bigint, $10::bigint, $11::bigint, $12::bigint, $13::bigint, $14::uuid,
          $15::bigint, $16::bigint, $17::bigint, $18::timestamptz, $19::timestamptz, $20::bigint)
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE SET
    (state, members, eligible, qualified, granted, merged, refused, place_contact, place_spend,
     place_count, place_rank, end_time, version) =
    (excluded.state, excluded.members, excluded.eligible, excluded.qualified, excluded.granted,
     excluded.merged, excluded.refused, excluded.place_contact, excluded.place_spend,
     excluded.place_count, excluded.place_rank, excluded.end_time, excluded.version))sql"};

// An erasure at the same time waits, and then finds them; or it was earlier, and they are left out.
constexpr pg::Statement kAddPicked{"bonus.add_members", R"sql(
  WITH there AS (
    SELECT w.* FROM (
      SELECT unnest($4::uuid[]) AS contact_id, unnest($5::text[]) AS tier,
             unnest($6::bigint[]) AS spend_minor, unnest($7::bigint[]) AS purchases,
             unnest($8::timestamptz[]) AS last_purchase) AS w
    JOIN member m ON m.tenant_id = $1::text AND m.program_id = $2::text
      AND m.contact_id = w.contact_id AND NOT m.erased
    ORDER BY m.contact_id FOR SHARE OF m)
  INSERT INTO bonus_member (tenant_id, program_id, run_id, contact_id, state, tier, spend_minor,
                            purchases, last_purchase, rank, refusal)
  SELECT $1::text, $2::text, $3::uuid, t.contact_id, 0, t.tier, t.spend_minor, t.purchases,
         t.last_purchase, 0, '' FROM there t
  ON CONFLICT (tenant_id, program_id, run_id, contact_id) DO NOTHING)sql"};

constexpr pg::Statement kRankPicked{"bonus.rank_members", R"sql(
  UPDATE bonus_member b SET (state, rank) = (1, w.rank)
  FROM (SELECT unnest($4::uuid[]) AS contact_id, unnest($5::bigint[]) AS rank) AS w
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text AND b.run_id = $3::uuid
    AND b.contact_id = w.contact_id AND b.state = 0)sql"};

constexpr pg::Statement kDropPicked{"bonus.drop_members", R"sql(
  DELETE FROM bonus_member b
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text AND b.run_id = $3::uuid
    AND b.contact_id = ANY ($4::uuid[]) AND b.state = 0)sql"};

constexpr pg::Statement kSavePicked{"bonus.save_members", R"sql(
  UPDATE bonus_member b SET (state, posted_for, posting, refusal) =
    (w.state, w.posted_for, w.posting, w.refusal)
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::uuid[]) AS run_id, unnest($4::uuid[]) AS contact_id,
               unnest($5::smallint[]) AS state, unnest($6::uuid[]) AS posted_for,
               unnest($7::bigint[]) AS posting, unnest($8::text[]) AS refusal) AS w
  WHERE b.tenant_id = w.tenant_id AND b.program_id = w.program_id AND b.run_id = w.run_id
    AND b.contact_id = w.contact_id)sql"};

constexpr pg::Statement kForgetPicked{"bonus.forget", R"sql(
  DELETE FROM bonus_member b WHERE b.tenant_id = $1::text
    AND b.contact_id = ANY ($2::uuid || ARRAY(SELECT x.contact_id FROM contact_alias x
      WHERE x.tenant_id = $1::text AND x.merged_into = $2::uuid)))sql"};

pg::Args RunArgs(const BonusRunKey& key) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id);
  return args;
}

}  // namespace

void BonusWork::NeedStopped(const BonusRunKey& key) { runs_[key].stopped = true; }

void BonusWork::NeedGrant(const BonusRunKey& key, const Uuid& picked, const Uuid& payee) {
  NeedRun(key);
  members_.try_emplace({key, picked});
  payees_.emplace_back(key, payee);
  names_[{key.tenant, payee}].insert(payee);
}

const BonusRun* BonusWork::FindRun(const BonusRunKey& key) const {
  const auto it = runs_.find(key);
  return it == runs_.end() || !it->second.run ? nullptr : &*it->second.run;
}

const BonusMember* BonusWork::FindMember(const BonusRunKey& key, const Uuid& picked) const {
  const auto it = members_.find({key, picked});
  return it == members_.end() || !it->second.member ? nullptr : &*it->second.member;
}

bool BonusWork::HasGot(const BonusRunKey& key, const Uuid& payee) const {
  const auto names = names_.find({key.tenant, payee});
  if (names == names_.end()) return false;
  for (const Uuid& name : names->second) {
    const BonusMember* member = FindMember(key, name);
    if (member != nullptr && member->state == BonusMemberState::kGranted) return true;
  }
  return false;
}

void BonusWork::CountStaged(BonusRun& run) const {
  for (const auto& [pick, slot] : members_) {
    if (!slot.dirty || pick.first != run.key) continue;
    if (slot.member->state == BonusMemberState::kGranted) ++run.granted;
    if (slot.member->state == BonusMemberState::kMerged) ++run.merged;
    if (slot.member->state == BonusMemberState::kRefused) ++run.refused;
  }
}

void BonusWork::SaveRun(const BonusRun& run) {
  RunSlot& slot = runs_[run.key];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  slot.run = run;
  slot.dirty = true;
}

void BonusWork::AddMembers(const BonusRunKey& key, std::vector<BonusMember> members) {
  added_.emplace_back(key, std::move(members));
  undo_.emplace_back([this] { added_.pop_back(); });
}

void BonusWork::SaveRanks(const BonusRunKey& key, std::vector<BonusMember> members) {
  ranked_.emplace_back(key, std::move(members));
  undo_.emplace_back([this] { ranked_.pop_back(); });
}

void BonusWork::SaveMember(const BonusRunKey& key, const BonusMember& member) {
  MemberSlot& slot = members_[{key, member.contact}];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  slot.member = member;
  slot.dirty = true;
}

void BonusWork::Forget(const EntityKey& contact) {
  forgotten_.push_back(contact);
  undo_.emplace_back([this] { forgotten_.pop_back(); });
}

void BonusWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

absl::Status BonusWork::Load(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(LoadRuns(tx));
  if (payees_.empty()) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(LoadNames(tx));
  return LoadMembers(tx);
}

absl::Status BonusWork::LoadRuns(pg::Tx& tx) {
  for (const bool stopped : {false, true}) {
    std::vector<std::string> tenants, programs;
    std::vector<Uuid> ids;
    for (auto& [key, slot] : runs_) {
      if (slot.stopped != stopped || std::exchange(slot.loaded, true)) continue;
      tenants.push_back(key.tenant);
      programs.push_back(key.program);
      ids.push_back(key.id);
    }
    if (ids.empty()) continue;
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(stopped ? kStopRuns : kLoadRuns, args));
    for (int i = 0; i < rows.size(); ++i) {
      CLM_ASSIGN_OR_RETURN(BonusRun run, ReadBonusRun(rows[i], 0));
      if (stopped && run.state == BonusRunState::kGranting) {
        CLM_ASSIGN_OR_RETURN(const pg::Result counts, tx.Exec(kCountGranted, RunArgs(run.key)));
        run.granted = counts[0].Int(0);
        run.merged = counts[0].Int(1);
        run.refused = counts[0].Int(2);
      }
      runs_[run.key].run = std::move(run);
    }
  }
  return absl::OkStatus();
}

absl::Status BonusWork::LoadNames(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> contacts;
  std::vector<std::set<Uuid>*> places;
  for (auto& [payee, names] : names_) {
    tenants.push_back(payee.tenant);
    contacts.push_back(payee.id);
    places.push_back(&names);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kPayeeNames, args));
  for (int i = 0; i < rows.size(); ++i) places[rows[i].Int(0) - 1]->insert(rows[i].Uuid(1));
  for (const auto& [key, payee] : payees_) {
    for (const Uuid& name : names_[{key.tenant, payee}]) members_.try_emplace({key, name});
  }
  return absl::OkStatus();
}

absl::Status BonusWork::LoadMembers(pg::Tx& tx) {
  std::vector<std::string> tenants, programs;
  std::vector<Uuid> runs, contacts;
  for (const auto& [pick, slot] : members_) {
    tenants.push_back(pick.first.tenant);
    programs.push_back(pick.first.program);
    runs.push_back(pick.first.id);
    contacts.push_back(pick.second);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(runs));
  args.AddArray(std::move(contacts));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadPicked, args));
  for (int i = 0; i < rows.size(); ++i) {
    const BonusRunKey key{std::string(rows[i].Text(0)), std::string(rows[i].Text(1)),
                          rows[i].Uuid(2)};
    BonusMember member = ReadBonusMember(rows[i], 3);
    MemberSlot& slot = members_[{key, member.contact}];
    slot.member = std::move(member);
  }
  return absl::OkStatus();
}

absl::Status BonusWork::Flush(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(FlushRuns(tx));
  CLM_RETURN_IF_ERROR(FlushPages(tx));
  CLM_RETURN_IF_ERROR(FlushMembers(tx));
  for (const EntityKey& contact : forgotten_) {
    pg::Args args;
    args.Add(contact.tenant).Add(contact.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetPicked, args).status());
  }
  return absl::OkStatus();
}

absl::Status BonusWork::FlushRuns(pg::Tx& tx) {
  for (const auto& [key, slot] : runs_) {
    if (!slot.dirty) continue;
    const BonusRun& run = *slot.run;
    pg::Args args = RunArgs(key);
    args.AddBytes(BodyOf(run)).Add(static_cast<int64_t>(run.state)).Add(run.as_of);
    args.Add(run.created_by).Add(run.members).Add(run.eligible).Add(run.qualified);
    args.Add(run.granted).Add(run.merged).Add(run.refused).Add(run.place.contact);
    args.Add(run.place.spend_minor).Add(run.place.count).Add(run.place.rank);
    args.Add(run.create_time).Add(run.end_time).Add(run.version);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveRun, args).status());
  }
  return absl::OkStatus();
}

absl::Status BonusWork::FlushPages(pg::Tx& tx) {
  for (const auto& [key, members] : added_) {
    std::vector<Uuid> contacts;
    std::vector<std::string> tiers;
    std::vector<int64_t> spend, purchases;
    std::vector<std::optional<absl::Time>> last;
    for (const BonusMember& member : members) {
      contacts.push_back(member.contact);
      tiers.push_back(member.figures.tier);
      spend.push_back(member.figures.spend_minor);
      purchases.push_back(member.figures.purchases);
      last.push_back(member.figures.last_purchase);
    }
    pg::Args args = RunArgs(key);
    args.AddArray(std::move(contacts)).AddArray(std::move(tiers)).AddArray(std::move(spend));
    args.AddArray(std::move(purchases)).AddArray(std::move(last));
    CLM_RETURN_IF_ERROR(tx.Exec(kAddPicked, args).status());
  }
  for (const auto& [key, members] : ranked_) {
    std::vector<Uuid> in, out;
    std::vector<int64_t> ranks;
    for (const BonusMember& member : members) {
      if (member.rank == 0) {
        out.push_back(member.contact);
        continue;
      }
      in.push_back(member.contact);
      ranks.push_back(member.rank);
    }
    pg::Args ranked = RunArgs(key);
    ranked.AddArray(std::move(in)).AddArray(std::move(ranks));
    CLM_RETURN_IF_ERROR(tx.Exec(kRankPicked, ranked).status());
    pg::Args dropped = RunArgs(key);
    dropped.AddArray(std::move(out));
    CLM_RETURN_IF_ERROR(tx.Exec(kDropPicked, dropped).status());
  }
  return absl::OkStatus();
}

absl::Status BonusWork::FlushMembers(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, refusals;
  std::vector<Uuid> runs, contacts;
  std::vector<int64_t> states;
  std::vector<std::optional<Uuid>> posted_for;
  std::vector<std::optional<int64_t>> postings;
  for (const auto& [pick, slot] : members_) {
    if (!slot.dirty) continue;
    tenants.push_back(pick.first.tenant);
    programs.push_back(pick.first.program);
    runs.push_back(pick.first.id);
    contacts.push_back(pick.second);
    states.push_back(static_cast<int64_t>(slot.member->state));
    posted_for.push_back(slot.member->posted_for);
    postings.push_back(slot.member->posting);
    refusals.push_back(slot.member->refusal);
  }
  if (contacts.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(runs));
  args.AddArray(std::move(contacts)).AddArray(std::move(states)).AddArray(std::move(posted_for));
  args.AddArray(std::move(postings)).AddArray(std::move(refusals));
  return tx.Exec(kSavePicked, args).status();
}

std::vector<const pg::Statement*> BonusWorkStatements() {
  return {&kLoadRuns,  &kStopRuns,   &kCountGranted, &kPayeeNames, &kLoadPicked,  &kSaveRun,
          &kAddPicked, &kRankPicked, &kDropPicked,   &kSavePicked, &kForgetPicked};
}

}  // namespace clm::loyalty
