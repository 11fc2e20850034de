#include "services/loyalty/loyalty_reader.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/audit.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/posting_row.h"
#include "services/loyalty/program_rows.h"
#include "services/loyalty/tier_audit.h"

namespace clm::loyalty {
namespace {

constexpr int kMaxFindings = 1000;
// Wallets that are audited between two reads.
constexpr int kAuditPage = 500;

constexpr pg::Statement kGetProgram{"loyalty.get_program", R"sql(
  SELECT tenant_id, id, body, create_time, update_time, version FROM program
  WHERE tenant_id = $1::text AND id = $2::text)sql"};

constexpr pg::Statement kPrograms{"loyalty.programs", R"sql(
  SELECT tenant_id, id, body, create_time, update_time, version FROM program
  WHERE tenant_id = $1::text AND id > $2::text ORDER BY id LIMIT $3::int)sql"};

constexpr pg::Statement kMembers{"loyalty.members", R"sql(
  SELECT m.contact_id, )sql" CLM_MEMBER_COLUMNS R"sql( FROM member m
  WHERE m.tenant_id = $1::text AND m.program_id = $2::text
    AND ($3::uuid IS NULL OR m.contact_id > $3::uuid) AND m.merged_into IS NULL
  ORDER BY m.contact_id LIMIT $4::int)sql"};

// Of each wallet the active points that expire first after $5.
constexpr pg::Statement kNextExpiry{"loyalty.next_expiry", R"sql(
  SELECT w.place, n.due_time, n.remaining
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS program_id, unnest($4::text[]) AS wallet_id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (
    SELECT l.due_time, sum(l.remaining)::bigint AS remaining FROM lot l
    WHERE l.contact_id = w.contact_id AND l.program_id = w.program_id
      AND l.wallet_id = w.wallet_id AND l.tenant_id = w.tenant_id AND l.remaining > 0
      AND l.pending = false AND l.due_time = (
        SELECT f.due_time FROM lot f WHERE f.contact_id = w.contact_id
          AND f.program_id = w.program_id AND f.wallet_id = w.wallet_id
          AND f.tenant_id = w.tenant_id AND f.remaining > 0 AND f.pending = false
          AND f.due_time > $5::timestamptz AND f.due_time < 'infinity'
        ORDER BY f.due_time LIMIT 1)
    GROUP BY l.due_time) n)sql"};

// When something happens by itself in each wallet after $5.
constexpr pg::Statement kHoldsUntil{"loyalty.holds_until", R"sql(
  SELECT w.place, least(
    (SELECT l.due_time FROM lot l
     WHERE l.contact_id = w.contact_id AND l.program_id = w.program_id
       AND l.wallet_id = w.wallet_id AND l.tenant_id = w.tenant_id AND l.remaining > 0
       AND l.pending = false AND l.due_time > $5::timestamptz AND l.due_time < 'infinity'
     ORDER BY l.due_time LIMIT 1),
    (SELECT l.due_time FROM lot l
     WHERE l.contact_id = w.contact_id AND l.program_id = w.program_id
       AND l.wallet_id = w.wallet_id AND l.tenant_id = w.tenant_id AND l.remaining > 0
       AND l.pending = true AND l.due_time > $5::timestamptz AND l.due_time < 'infinity'
     ORDER BY l.due_time LIMIT 1),
    (SELECT min(h.expire_time) FROM hold h
     WHERE h.contact_id = w.contact_id AND h.program_id = w.program_id
       AND h.wallet_id = w.wallet_id AND h.tenant_id = w.tenant_id AND h.state = 1
       AND h.expire_time > $5::timestamptz))
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS program_id, unnest($4::text[]) AS wallet_id,
               generate_subscripts($2::uuid[], 1) AS place) AS w)sql"};

constexpr pg::Statement kContactPrograms{"loyalty.contact_programs", R"sql(
  SELECT m.program_id FROM member m
  WHERE m.contact_id = $2::uuid AND m.tenant_id = $1::text ORDER BY m.program_id)sql"};

constexpr pg::Statement kHeadOfShard{"loyalty.head_of_shard", R"sql(
  SELECT h.off FROM journal_head h WHERE h.shard = $1::smallint)sql"};

constexpr pg::Statement kGetPosting{"loyalty.get_posting",
                                    "SELECT " CLM_POSTING_COLUMNS
                                    " FROM posting p " CLM_POSTING_DETAILS R"sql(
  WHERE p.tenant_id = $1::text AND p.contact_id = $2::uuid AND p.program_id = $3::text
    AND p.wallet_id = $4::text AND p.number = $5::bigint)sql"};

constexpr pg::Statement kPostings{
    "loyalty.postings", "SELECT " CLM_POSTING_COLUMNS " FROM posting p " CLM_POSTING_DETAILS R"sql(
  WHERE p.tenant_id = $1::text AND p.contact_id = $2::uuid AND p.program_id = $3::text
    AND p.wallet_id = $4::text AND p.number < $5::bigint
  ORDER BY p.number DESC LIMIT $6::int)sql"};

// The accounts of members: 1 to 4, the last of them what they owe.
constexpr pg::Statement kOutstanding{"loyalty.outstanding", R"sql(
  SELECT p.wallet_id, coalesce(sum(e.amount) FILTER (WHERE e.account < 4), 0)::bigint,
         coalesce(-sum(e.amount) FILTER (WHERE e.account = 4), 0)::bigint
  FROM posting p CROSS JOIN LATERAL unnest(p.accounts, p.amounts) AS e (account, amount)
  WHERE p.tenant_id = $1::text AND p.program_id = $2::text AND p.post_time <= $3::timestamptz
    AND e.account <= 4
  GROUP BY p.wallet_id)sql"};

constexpr pg::Statement kAuditWallets{"loyalty.audit_wallets", R"sql(
  SELECT t.contact_id, t.wallet_id, m.merged_into
  FROM wallet t JOIN member m ON m.tenant_id = t.tenant_id AND m.program_id = t.program_id
    AND m.contact_id = t.contact_id
  WHERE t.tenant_id = $1::text AND t.program_id = $2::text
    AND ($3::uuid IS NULL OR (t.contact_id, t.wallet_id) > ($3::uuid, $4::text))
  ORDER BY t.contact_id, t.wallet_id LIMIT $5::int)sql"};

constexpr pg::Statement kAuditMembers{"loyalty.audit_members", R"sql(
  SELECT m.contact_id FROM member m
  WHERE m.tenant_id = $1::text AND m.program_id = $2::text AND m.merged_into IS NULL
    AND NOT m.erased AND ($3::uuid IS NULL OR m.contact_id > $3::uuid)
  ORDER BY m.contact_id LIMIT $4::int)sql"};

constexpr pg::Statement kMergedInto{"loyalty.merged_into", R"sql(
  SELECT m.contact_id FROM member m
  WHERE m.tenant_id = $1::text AND m.program_id = $2::text AND m.merged_into = $3::uuid)sql"};

constexpr pg::Statement kAuditLots{"loyalty.audit_lots", R"sql(
  SELECT l.id, l.earned, l.remaining, l.held, l.expired, l.returned, l.pending, l.earn_time,
         l.activate_time, l.expire_time, l.posting_id
  FROM lot l WHERE l.tenant_id = $1::text AND l.contact_id = $2::uuid
    AND l.program_id = $3::text AND l.wallet_id = $4::text)sql"};

constexpr pg::Statement kAuditPostings{"loyalty.audit_postings",
                                       "SELECT " CLM_POSTING_COLUMNS
                                       " FROM posting p " CLM_POSTING_DETAILS R"sql(
  WHERE p.tenant_id = $1::text AND p.contact_id = ANY ($2::uuid[]) AND p.program_id = $3::text
    AND p.wallet_id = $4::text)sql"};

constexpr pg::Statement kDue{"loyalty.due", R"sql(
  SELECT d.tenant_id, d.program_id, d.wallet_id, d.contact_id
  FROM ((SELECT l.tenant_id, l.program_id, l.wallet_id, l.contact_id, l.due_time FROM lot l
         WHERE l.remaining > 0 AND l.due_time < 'infinity' AND l.due_time <= $1::timestamptz
         ORDER BY l.due_time LIMIT $2::int)
        UNION ALL
        (SELECT h.tenant_id, h.program_id, h.wallet_id, h.contact_id, h.expire_time FROM hold h
         WHERE h.state = 1 AND h.expire_time <= $1::timestamptz
         ORDER BY h.expire_time LIMIT $2::int)) d
  ORDER BY d.due_time)sql"};

constexpr pg::Statement kDueWarnings{"loyalty.due_warnings", R"sql(
  SELECT l.tenant_id, l.program_id, l.wallet_id, l.contact_id, l.id FROM lot l
  WHERE l.remaining > 0 AND l.warn_time < 'infinity' AND l.warn_time <= $1::timestamptz
  ORDER BY l.warn_time LIMIT $2::int)sql"};

constexpr pg::Statement kDueTiers{"loyalty.due_tiers", R"sql(
  SELECT m.tenant_id, m.program_id, m.contact_id FROM member m
  WHERE m.tier_due < 'infinity' AND m.tier_due <= $1::timestamptz
  ORDER BY m.tier_due LIMIT $2::int)sql"};

constexpr pg::Statement kToMove{"loyalty.to_move", R"sql(
  SELECT a.tenant_id, a.contact_id, a.merged_into FROM contact_alias a WHERE NOT a.moved
  ORDER BY a.tenant_id, a.contact_id LIMIT $1::int)sql"};

constexpr pg::Statement kNextDue{"loyalty.next_due", R"sql(
  SELECT least((SELECT l.due_time FROM lot l WHERE l.remaining > 0 AND l.due_time < 'infinity'
                ORDER BY l.due_time LIMIT 1),
               (SELECT h.expire_time FROM hold h WHERE h.state = 1
                ORDER BY h.expire_time LIMIT 1),
               (SELECT l.warn_time FROM lot l WHERE l.remaining > 0 AND l.warn_time < 'infinity'
                ORDER BY l.warn_time LIMIT 1),
               (SELECT m.tier_due FROM member m WHERE m.tier_due < 'infinity'
                ORDER BY m.tier_due LIMIT 1)))sql"};

// What is looked up by keys alone needs no plan of its own.
constexpr pg::Statement kByKey{"loyalty.by_key",
                               "SELECT set_config('plan_cache_mode', 'force_generic_plan', true)"};

pg::TxOptions ForTenant(const std::string& tenant, absl::Time deadline) {
  return {pg::Scope::Tenant(tenant), deadline};
}

}  // namespace

LoyaltyReader::LoyaltyReader(pg::Pool* pool, const Clock* clock)
    : pool_(*pool),
      clock_(*clock),
      gather_(
          {.read = [this](const std::string& tenant, const std::vector<MemberKey>& keys,
                          absl::Time deadline) { return GetMembers(tenant, keys, deadline); }}) {}

absl::Status LoyaltyReader::Load(const std::string& tenant, LoyaltyWork& work,
                                 absl::Time deadline) {
  return pool_.Read(
      ForTenant(tenant, deadline), [&](pg::Tx& tx) { return work.Load(tx); },
      /*repeatable=*/true);
}

absl::StatusOr<Program> LoyaltyReader::GetProgram(const ProgramKey& key, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.tenant, deadline), kGetProgram, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadProgram(rows[0]);
}

absl::StatusOr<std::vector<Program>> LoyaltyReader::Programs(const std::string& tenant,
                                                             const std::string& after, int limit,
                                                             absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(tenant, deadline), kPrograms, args));
  std::vector<Program> programs;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(Program program, ReadProgram(rows[i]));
    programs.push_back(std::move(program));
  }
  return programs;
}

namespace {

// The points of a wallet that expire first.
struct NextExpiry {
  absl::Time time = absl::InfiniteFuture();
  int64_t amount = 0;

  void Add(absl::Time at, int64_t points) {
    if (at > time || points <= 0) return;
    if (at < time) *this = {at, 0};
    amount += points;
  }
};

int64_t ActiveIn(const Lot& lot, absl::Time now) {
  return !lot.pending && lot.expire_time > now ? lot.remaining : 0;
}

// When the settled wallet changes by itself, as far as what was due is concerned.
absl::Time NextDueIn(const Wallet& settled, absl::Time now) {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [id, lot] : settled.lots) {
    if (lot.remaining > 0 && DueTime(lot) > now) next = std::min(next, DueTime(lot));
  }
  return next;
}

// When the member's standing changes by itself: windows and terms end with days.
absl::Time NextDueOfTier(const Program& program, const Member& member, absl::Time now) {
  const absl::TimeZone zone = ZoneOf(program);
  absl::Time next = StartOfDay(DayOf(now, zone) + 1, zone);
  if (member.tier_due > now) next = std::min(next, member.tier_due);
  const auto& manual_until = member.tier.manual_until;
  if (manual_until && *manual_until > now) next = std::min(next, *manual_until);
  return next;
}

// With what has become active since it was stored, which is in the settled wallet alone.
void AddSettled(const Wallet& stored, const Wallet& settled, absl::Time now, NextExpiry& next) {
  for (const auto& [id, lot] : settled.lots) {
    if (lot.expire_time == absl::InfiniteFuture()) continue;
    next.Add(lot.expire_time, ActiveIn(lot, now) - ActiveIn(stored.lots.at(id), now));
  }
}

}  // namespace

absl::StatusOr<std::vector<v1::Member>> LoyaltyReader::ViewsOf(
    pg::Tx& tx, const Program& program, const std::vector<std::pair<MemberKey, Member>>& members,
    absl::Time now, std::vector<absl::Time>* hold_until) {
  std::vector<v1::Member> views;
  if (members.empty()) return views;
  LoyaltyWork work(&clock_, nullptr);
  work.NeedDueBy(now);
  std::vector<WalletKey> keys;
  std::vector<std::string> tenants, programs, wallets;
  std::vector<Uuid> contacts;
  if (program.tiers) work.NeedProgram({program.tenant, program.id});
  for (const auto& [member, _] : members) {
    if (program.tiers) work.NeedMember(member);
    for (const WalletTerms& terms : program.wallets) {
      keys.push_back({member.tenant, member.program, terms.id, member.contact});
      work.NeedWallet(keys.back());
      tenants.push_back(member.tenant);
      contacts.push_back(member.contact);
      programs.push_back(member.program);
      wallets.push_back(terms.id);
    }
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts));
  args.AddArray(std::move(programs)).AddArray(std::move(wallets)).Add(now);
  std::vector<NextExpiry> next(keys.size());
  CLM_RETURN_IF_ERROR(work.Load(tx));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kNextExpiry, args));
  for (int i = 0; i < rows.size(); ++i) {
    next[rows[i].Int(0) - 1] = {rows[i].Time(1), rows[i].Int(2)};
  }
  std::vector<absl::Time> due(keys.size(), absl::InfiniteFuture());
  if (hold_until != nullptr) {
    CLM_ASSIGN_OR_RETURN(const pg::Result until, tx.Exec(kHoldsUntil, args));
    for (int i = 0; i < until.size(); ++i) {
      due[until[i].Int(0) - 1] = until[i].OptTime(1).value_or(absl::InfiniteFuture());
    }
  }
  size_t at = 0;
  const Program* tiered = work.FindProgram({program.tenant, program.id});
  for (const auto& [key, member] : members) {
    v1::Member& view = views.emplace_back();
    view.set_name(NameOf(key));
    if (!member.erased) view.set_contact(EntityName(kContacts, {key.tenant, key.contact}));
    clm::ToProto(member.enrol_time, view.mutable_enrol_time());
    absl::Time until = absl::InfiniteFuture();
    if (program.tiers) until = NextDueOfTier(program, member, now);
    for (const WalletTerms& terms : program.wallets) {
      const Wallet& stored = work.WalletOf(keys[at]);
      Wallet settled = stored;
      CLM_RETURN_IF_ERROR(Settle(settled, now).status());
      AddSettled(stored, settled, now, next[at]);
      until = std::min({until, due[at], NextDueIn(settled, now)});
      v1::Balance* balance = view.add_balances();
      *balance = ToProto(terms.id, settled.totals);
      if (next[at].amount > 0) {
        clm::ToProto(next[at].time, balance->mutable_next_expire_time());
        balance->set_next_expire_amount(next[at].amount);
      }
      if (tiered != nullptr && tiered->tiers && TierWallet(*tiered).id == terms.id &&
          work.FindMember(key) != nullptr) {
        CLM_ASSIGN_OR_RETURN(*view.mutable_tier_standing(),
                             StandingOf(work, *tiered, key, settled.totals.active, now));
      }
      ++at;
    }
    if (hold_until != nullptr) hold_until->push_back(until);
  }
  return views;
}

void LoyaltyReader::GetMember(const MemberKey& key, absl::Time deadline,
                              absl::AnyInvocable<void(absl::StatusOr<Found>)> done) {
  gather_.Get(key.tenant, key, deadline,
              [key, done = std::move(done)](absl::StatusOr<View> view) mutable {
                if (!view.ok()) return done(view.status());
                if (*view == nullptr) return done(error::NotFound(NameOf(key)));
                done(**view);
              });
}

absl::StatusOr<std::vector<LoyaltyReader::View>> LoyaltyReader::GetMembers(
    const std::string& tenant, const std::vector<MemberKey>& keys, absl::Time deadline) {
  std::vector<View> views;
  CLM_RETURN_IF_ERROR(pool_.Read(
      ForTenant(tenant, deadline),
      [&](pg::Tx& tx) -> absl::Status {
        CLM_RETURN_IF_ERROR(tx.Exec(kByKey).status());
        CLM_ASSIGN_OR_RETURN(const auto found,
                             MembershipsOf(tx, keys, clock_.Now(), /*bounded=*/false));
        views.clear();
        for (const auto& one : found) {
          views.push_back(one == nullptr
                              ? nullptr
                              : std::make_shared<const Found>(Found{
                                    one->member().SerializeAsString(), one->program_version()}));
        }
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return views;
}

absl::StatusOr<std::vector<std::shared_ptr<const v1::Membership>>> LoyaltyReader::MembershipsOf(
    pg::Tx& tx, const std::vector<MemberKey>& keys, absl::Time now, bool bounded) {
  std::vector<std::shared_ptr<const v1::Membership>> found(keys.size());
  std::vector<MemberKey> wanted = keys;
  LoyaltyWork work(&clock_, nullptr);
  for (const MemberKey& key : wanted) {
    work.NeedProgram({key.tenant, key.program});
    work.NeedMember(key);
  }
  CLM_RETURN_IF_ERROR(work.Load(tx));
  LoyaltyWork survivors(&clock_, nullptr);
  bool merged = false;
  for (MemberKey& key : wanted) {
    const Member* member = work.FindMember(key);
    if (member == nullptr || !member->merged_into) continue;
    key.contact = *member->merged_into;
    survivors.NeedMember(key);
    merged = true;
  }
  if (merged) CLM_RETURN_IF_ERROR(survivors.Load(tx));
  std::map<ProgramKey, std::map<MemberKey, Member>> members;
  for (const MemberKey& key : wanted) {
    const Member* member = work.FindMember(key);
    if (member == nullptr) member = survivors.FindMember(key);
    if (member != nullptr) members[{key.tenant, key.program}].emplace(key, *member);
  }
  std::map<MemberKey, std::shared_ptr<const v1::Membership>> by_key;
  for (const auto& [key, some] : members) {
    const Program* program = work.FindProgram(key);
    if (program == nullptr) continue;
    const std::vector<std::pair<MemberKey, Member>> list(some.begin(), some.end());
    std::vector<absl::Time> until;
    CLM_ASSIGN_OR_RETURN(auto told, ViewsOf(tx, *program, list, now, bounded ? &until : nullptr));
    for (size_t i = 0; i < list.size(); ++i) {
      v1::Membership membership;
      *membership.mutable_member() = std::move(told[i]);
      membership.set_program_version(program->version);
      if (bounded && until[i] < absl::InfiniteFuture()) {
        clm::ToProto(until[i], membership.mutable_hold_until_time());
      }
      by_key[list[i].first] = std::make_shared<const v1::Membership>(std::move(membership));
    }
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto view = by_key.find(wanted[i]);
    if (view != by_key.end()) found[i] = view->second;
  }
  return found;
}

absl::StatusOr<LoyaltyReader::CustomerMemberships> LoyaltyReader::Memberships(
    const EntityKey& contact, absl::Time deadline) {
  CustomerMemberships all;
  // Before the snapshot, and what time does is done by this one too.
  const absl::Time now = absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now()));
  CLM_RETURN_IF_ERROR(pool_.Read(
      ForTenant(contact.tenant, deadline),
      [&](pg::Tx& tx) -> absl::Status {
        all = {.as_of = now};
        pg::Args head;
        head.Add(ShardOf(contact.tenant, contact.id));
        CLM_ASSIGN_OR_RETURN(const pg::Result heads, tx.Exec(kHeadOfShard, head));
        all.version = heads.empty() ? 0 : heads[0].Int(0);
        pg::Args args;
        args.Add(contact.tenant).Add(contact.id);
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kContactPrograms, args));
        std::vector<MemberKey> keys;
        for (int i = 0; i < rows.size(); ++i) {
          keys.push_back({contact.tenant, std::string(rows[i].Text(0)), contact.id});
        }
        CLM_ASSIGN_OR_RETURN(const auto found, MembershipsOf(tx, keys, now, /*bounded=*/true));
        for (size_t i = 0; i < found.size(); ++i) {
          // Of somebody who was erased, no contact.
          if (found[i] == nullptr || found[i]->member().contact().empty()) continue;
          if (found[i]->member().name() != NameOf(keys[i])) all.moved = true;
          if (found[i]->has_hold_until_time()) {
            all.hold_until = std::min(all.hold_until, clm::FromProto(found[i]->hold_until_time()));
          }
          all.memberships.push_back(*found[i]);
        }
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return all;
}

absl::StatusOr<std::vector<v1::Member>> LoyaltyReader::Members(const ProgramKey& key,
                                                               const std::optional<Uuid>& after,
                                                               int limit, absl::Time now,
                                                               absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const Program program, GetProgram(key, deadline));
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.tenant, deadline), kMembers, args));
  std::vector<std::pair<MemberKey, Member>> members;
  for (int i = 0; i < rows.size(); ++i) {
    members.push_back({{key.tenant, key.program, rows[i].Uuid(0)}, ReadMember(rows[i], 1)});
  }
  std::vector<v1::Member> views;
  CLM_RETURN_IF_ERROR(pool_.Read(
      ForTenant(key.tenant, deadline),
      [&](pg::Tx& tx) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(views, ViewsOf(tx, program, members, now));
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return views;
}

absl::StatusOr<v1::Hold> LoyaltyReader::GetHold(const HoldName& name, absl::Time now,
                                                absl::Time deadline) {
  LoyaltyWork work(&clock_, nullptr);
  work.NeedMember(name.member);
  work.NeedHold(name.member, name.hold);
  CLM_RETURN_IF_ERROR(Load(name.member.tenant, work, deadline));
  if (const Member* member = work.FindMember(name.member);
      member != nullptr && member->merged_into) {
    HoldName moved = name;
    moved.member.contact = *member->merged_into;
    return GetHold(moved, now, deadline);
  }
  const LoyaltyWork::HoldPlace* place = work.FindHold(name.member, name.hold);
  if (place == nullptr) return error::NotFound(NameOf(name));
  Hold hold = work.WalletOf(place->wallet).holds.at(name.hold);
  // Its time is over, though no timer has said so yet.
  if (DueTime(hold) <= now) hold.state = HoldState::kTimedOut;
  return ToProto(name.member, hold, *place);
}

absl::StatusOr<StoredPosting> LoyaltyReader::GetPosting(const PostingKey& key,
                                                        absl::Time deadline) {
  pg::Args args;
  args.Add(key.member.tenant).Add(key.member.contact).Add(key.member.program).Add(key.wallet);
  args.Add(key.number);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.member.tenant, deadline), kGetPosting, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadPosting(rows[0], 0);
}

absl::StatusOr<std::vector<StoredPosting>> LoyaltyReader::Postings(const MemberKey& key,
                                                                   const std::string& wallet,
                                                                   std::optional<int64_t> before,
                                                                   int limit, absl::Time deadline) {
  LoyaltyWork work(&clock_, nullptr);
  const ProgramKey program{key.tenant, key.program};
  work.NeedProgram(program);
  work.NeedMember(key);
  CLM_RETURN_IF_ERROR(Load(key.tenant, work, deadline));
  if (work.FindProgram(program) == nullptr || work.FindMember(key) == nullptr) {
    return error::NotFound(NameOf(key));
  }
  CLM_ASSIGN_OR_RETURN(const WalletTerms* terms, FindWallet(*work.FindProgram(program), wallet));
  pg::Args args;
  args.Add(key.tenant).Add(key.contact).Add(key.program).Add(terms->id);
  args.Add(before.value_or(std::numeric_limits<int64_t>::max())).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.tenant, deadline), kPostings, args));
  std::vector<StoredPosting> postings;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredPosting posting, ReadPosting(rows[i], 0));
    postings.push_back(std::move(posting));
  }
  return postings;
}

absl::StatusOr<std::map<std::string, LoyaltyReader::Sums>> LoyaltyReader::Outstanding(
    const ProgramKey& key, absl::Time as_of, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(as_of);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.tenant, deadline), kOutstanding, args));
  std::map<std::string, Sums> sums;
  for (int i = 0; i < rows.size(); ++i) {
    sums[std::string(rows[i].Text(0))] = {rows[i].Int(1), rows[i].Int(2)};
  }
  return sums;
}

namespace {

// Audits the wallets of a programme within one snapshot.
class ProgramAudit {
 public:
  ProgramAudit(pg::Tx& tx, const ProgramKey& key, const Clock* clock)
      : tx_(tx), key_(key), clock_(clock) {}

  absl::StatusOr<v1::AuditProgramResponse> Run() {
    std::optional<WalletKey> last;
    for (;;) {
      pg::Args args;
      args.Add(key_.tenant).Add(key_.program);
      args.Add(last ? std::optional(last->member) : std::nullopt);
      args.Add(last ? last->wallet : "").Add(kAuditPage);
      CLM_ASSIGN_OR_RETURN(const pg::Result page, tx_.Exec(kAuditWallets, args));
      for (int i = 0; i < page.size(); ++i) {
        last = {key_.tenant, key_.program, std::string(page[i].Text(1)), page[i].Uuid(0)};
        // Of who was merged the points are the survivor's, and audited there.
        if (!page[i].OptUuid(2)) CLM_RETURN_IF_ERROR(AuditWallet(*last));
      }
      if (page.size() < kAuditPage) break;
    }
    CLM_RETURN_IF_ERROR(AuditTiers());
    return response_;
  }

 private:
  absl::Status AuditTiers() {
    CLM_ASSIGN_OR_RETURN(const std::vector<Program> programs, LoadPrograms(tx_, {key_}));
    if (programs.empty() || !programs[0].tiers) return absl::OkStatus();
    CLM_ASSIGN_OR_RETURN(const bool sweeping, IsSweeping(tx_, key_));
    std::optional<Uuid> last;
    for (;;) {
      pg::Args args;
      args.Add(key_.tenant).Add(key_.program).Add(last).Add(kAuditPage);
      CLM_ASSIGN_OR_RETURN(const pg::Result page, tx_.Exec(kAuditMembers, args));
      for (int i = 0; i < page.size(); ++i) {
        last = page[i].Uuid(0);
        const MemberKey member{key_.tenant, key_.program, *last};
        CLM_ASSIGN_OR_RETURN(const std::vector<Uuid> merged, MergedInto(*last));
        CLM_ASSIGN_OR_RETURN(const std::vector<std::string> findings,
                             AuditTier(tx_, *clock_, programs[0], member, merged, sweeping));
        response_.set_tiers(response_.tiers() + 1);
        for (const std::string& finding : findings) Tell(member, "", finding);
      }
      if (page.size() < kAuditPage) return absl::OkStatus();
    }
  }

  absl::StatusOr<std::vector<Uuid>> MergedInto(const Uuid& contact) {
    pg::Args args;
    args.Add(key_.tenant).Add(key_.program).Add(contact);
    CLM_ASSIGN_OR_RETURN(const pg::Result aliases, tx_.Exec(kMergedInto, args));
    std::vector<Uuid> merged;
    for (int i = 0; i < aliases.size(); ++i) merged.push_back(aliases[i].Uuid(0));
    return merged;
  }

  absl::Status AuditWallet(const WalletKey& key) {
    LoyaltyWork work(clock_, nullptr);
    work.NeedWholeWallet(key);
    CLM_RETURN_IF_ERROR(work.Load(tx_));
    Wallet wallet = work.WalletOf(key);
    // Also lots that are used up.
    pg::Args args;
    args.Add(key.tenant).Add(key.member).Add(key.program).Add(key.wallet);
    CLM_ASSIGN_OR_RETURN(const pg::Result lots, tx_.Exec(kAuditLots, args));
    for (int i = 0; i < lots.size(); ++i) {
      const Lot lot = ReadLot(lots[i], 0);
      wallet.lots.emplace(lot.id, lot);
    }
    CLM_ASSIGN_OR_RETURN(const std::vector<Uuid> merged, MergedInto(key.member));
    CLM_ASSIGN_OR_RETURN(const std::vector<Posting> postings, PostingsOf(key, merged));
    response_.set_wallets(response_.wallets() + 1);
    response_.set_postings(response_.postings() + static_cast<int64_t>(postings.size()));
    for (const std::string& finding : Audit(wallet, merged, postings)) {
      Tell(MemberOf(key), key.wallet, finding);
    }
    return absl::OkStatus();
  }

  // Also of the wallets that were merged into it. Their numbers must be dense.
  absl::StatusOr<std::vector<Posting>> PostingsOf(const WalletKey& key, std::vector<Uuid> members) {
    members.push_back(key.member);
    pg::Args args;
    args.Add(key.tenant).AddArray(members).Add(key.program).Add(key.wallet);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kAuditPostings, args));
    std::vector<Posting> postings;
    std::map<Uuid, std::pair<int64_t, int64_t>> numbers;  // How many, and the highest.
    for (int i = 0; i < rows.size(); ++i) {
      CLM_ASSIGN_OR_RETURN(StoredPosting stored, ReadPosting(rows[i], 0));
      auto& [count, highest] = numbers[stored.key.member.contact];
      ++count;
      highest = std::max(highest, stored.key.number);
      postings.push_back(std::move(stored.posting));
    }
    for (const auto& [contact, of] : numbers) {
      if (of.first == of.second) continue;
      Tell(MemberOf(key), key.wallet,
           absl::StrCat("there are ", of.first, " postings, and the last is number ", of.second));
    }
    return postings;
  }

  void Tell(const MemberKey& member, const std::string& wallet, const std::string& what) {
    if (response_.findings_size() >= kMaxFindings) return;
    v1::AuditProgramResponse::Finding* finding = response_.add_findings();
    finding->set_member(NameOf(member));
    finding->set_wallet(wallet);
    finding->set_finding(what);
  }

  pg::Tx& tx_;
  const ProgramKey key_;
  const Clock* const clock_;
  v1::AuditProgramResponse response_;
};

}  // namespace

absl::StatusOr<v1::AuditProgramResponse> LoyaltyReader::AuditProgram(const ProgramKey& key,
                                                                     absl::Time deadline) {
  absl::StatusOr<v1::AuditProgramResponse> response;
  CLM_RETURN_IF_ERROR(pool_.Read(
      ForTenant(key.tenant, deadline),
      [&](pg::Tx& tx) {
        response = ProgramAudit(tx, key, &clock_).Run();
        return response.status();
      },
      /*repeatable=*/true));
  return response;
}

absl::StatusOr<std::optional<TierSweep>> LoyaltyReader::NextTierSweep(int limit) {
  std::optional<TierSweep> sweep;
  CLM_RETURN_IF_ERROR(pool_.Read({pg::Scope::Suite(), absl::Now() + absl::Seconds(30)},
                                 [&](pg::Tx& tx) -> absl::Status {
                                   CLM_ASSIGN_OR_RETURN(sweep, loyalty::NextTierSweep(tx, limit));
                                   return absl::OkStatus();
                                 }));
  return sweep;
}

absl::StatusOr<std::vector<WalletKey>> LoyaltyReader::Due(absl::Time now, int limit) {
  pg::Args args;
  args.Add(now).Add(limit);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + absl::Seconds(30)}, kDue, args));
  std::vector<WalletKey> due;
  std::set<WalletKey> seen;
  for (int i = 0; i < rows.size(); ++i) {
    WalletKey key{std::string(rows[i].Text(0)), std::string(rows[i].Text(1)),
                  std::string(rows[i].Text(2)), rows[i].Uuid(3)};
    if (seen.insert(key).second) due.push_back(std::move(key));
  }
  return due;
}

absl::StatusOr<std::vector<DueWarning>> LoyaltyReader::DueWarnings(absl::Time now, int limit) {
  pg::Args args;
  args.Add(now).Add(limit);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + absl::Seconds(30)}, kDueWarnings, args));
  std::map<WalletKey, std::vector<Uuid>> by_wallet;
  for (int i = 0; i < rows.size(); ++i) {
    by_wallet[{std::string(rows[i].Text(0)), std::string(rows[i].Text(1)),
               std::string(rows[i].Text(2)), rows[i].Uuid(3)}]
        .push_back(rows[i].Uuid(4));
  }
  std::vector<DueWarning> due;
  for (auto& [wallet, lots] : by_wallet) due.push_back({wallet, std::move(lots)});
  return due;
}

absl::StatusOr<std::vector<MemberKey>> LoyaltyReader::DueTiers(absl::Time now, int limit) {
  pg::Args args;
  args.Add(now).Add(limit);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + absl::Seconds(30)}, kDueTiers, args));
  std::vector<MemberKey> due;
  for (int i = 0; i < rows.size(); ++i) {
    due.push_back({std::string(rows[i].Text(0)), std::string(rows[i].Text(1)), rows[i].Uuid(2)});
  }
  return due;
}

absl::StatusOr<std::vector<std::pair<EntityKey, Uuid>>> LoyaltyReader::ToMove(int limit) {
  pg::Args args;
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + absl::Seconds(30)}, kToMove, args));
  std::vector<std::pair<EntityKey, Uuid>> pairs;
  for (int i = 0; i < rows.size(); ++i) {
    pairs.emplace_back(EntityKey{std::string(rows[i].Text(0)), rows[i].Uuid(1)}, rows[i].Uuid(2));
  }
  return pairs;
}

absl::StatusOr<absl::Time> LoyaltyReader::NextDue() {
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + absl::Seconds(30)}, kNextDue));
  return rows.empty() ? absl::InfiniteFuture()
                      : rows[0].OptTime(0).value_or(absl::InfiniteFuture());
}

std::vector<const pg::Statement*> LoyaltyReaderStatements() {
  return {&kGetProgram, &kPrograms,      &kMembers,      &kNextExpiry,   &kGetPosting,
          &kPostings,   &kOutstanding,   &kAuditWallets, &kAuditMembers, &kMergedInto,
          &kAuditLots,  &kAuditPostings, &kDue,          &kDueWarnings,  &kDueTiers,
          &kToMove,     &kNextDue,       &kByKey,        &kHoldsUntil,   &kContactPrograms,
          &kHeadOfShard};
}

}  // namespace clm::loyalty
