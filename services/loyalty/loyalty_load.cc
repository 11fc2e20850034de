// What the unit of work reads.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/adjusting.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/order_earning.h"
#include "services/loyalty/posting_row.h"
#include "services/loyalty/program_rows.h"
#include "services/loyalty/rule_earning.h"

namespace clm::loyalty {
namespace {

// How far ahead of its reading of the clock a transaction loads what is due: its decisions take a
// later look at the clock.
constexpr absl::Duration kAhead = absl::Minutes(1);
// How many lots of a wallet are looked at first, and by how much more each time they do not
// suffice.
constexpr int64_t kFirstLots = 8;
constexpr int64_t kMoreLots = 8;

constexpr pg::Statement kLoadMembers{"loyalty.load_members", R"sql(
  SELECT w.place, )sql" CLM_MEMBER_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::uuid[]) AS contact_id, generate_subscripts($3::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM member m WHERE m.tenant_id = w.tenant_id
    AND m.program_id = w.program_id AND m.contact_id = w.contact_id OFFSET 0) m)sql"};

constexpr pg::Statement kLoadAliases{"loyalty.load_aliases", R"sql(
  SELECT w.place, a.merged_into
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM contact_alias a WHERE a.tenant_id = w.tenant_id
    AND a.contact_id = w.contact_id OFFSET 0) a)sql"};

constexpr pg::Statement kContactMembers{"loyalty.contact_members", R"sql(
  SELECT m.program_id, m.enrol_time, m.merged_into, m.erased FROM member m
  WHERE m.contact_id = $2::uuid AND m.tenant_id = $1::text ORDER BY m.program_id)sql"};

constexpr pg::Statement kMemberWallets{"loyalty.member_wallets", R"sql(
  SELECT t.wallet_id FROM wallet t
  WHERE t.tenant_id = $1::text AND t.contact_id = $2::uuid AND t.program_id = $3::text
  ORDER BY t.wallet_id)sql"};

// Of the wallets $1 to $4, by place.
#define CLM_WALLETS                                                                  \
  "FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id, " \
  "unnest($3::text[]) AS program_id, unnest($4::text[]) AS wallet_id, "              \
  "generate_subscripts($2::uuid[], 1) AS place) AS w CROSS JOIN "
#define CLM_LOT_COLUMNS                                                                  \
  "l.id, l.earned, l.remaining, l.held, l.expired, l.returned, l.pending, l.earn_time, " \
  "l.activate_time, l.expire_time, l.posting_id"
#define CLM_LOTS_OF_WALLET                                                        \
  "FROM lot l WHERE l.contact_id = w.contact_id AND l.program_id = w.program_id " \
  "AND l.wallet_id = w.wallet_id AND l.tenant_id = w.tenant_id "

constexpr pg::Statement kLoadTotals{"loyalty.load_totals", R"sql(
  SELECT w.place, t.active, t.pending, t.held, t.debt, t.earned, t.redeemed, t.expired, t.returned,
         t.adjusted, t.transferred, t.postings )sql" CLM_WALLETS R"sql(
  LATERAL (SELECT * FROM wallet t WHERE t.tenant_id = w.tenant_id AND t.contact_id = w.contact_id
    AND t.program_id = w.program_id AND t.wallet_id = w.wallet_id OFFSET 0) t)sql"};

// `pending` comes before the time in the index: both values are asked for by themselves, as an IN
// would be a filter over all lots of the wallet.
constexpr pg::Statement kLoadDueLots{"loyalty.load_due_lots",
                                     "SELECT w.place, " CLM_LOT_COLUMNS " " CLM_WALLETS R"sql(
  (VALUES (false), (true)) AS s (pending) CROSS JOIN
  LATERAL (SELECT * )sql" CLM_LOTS_OF_WALLET
                                     R"sql( AND l.remaining > 0 AND l.pending = s.pending
    AND l.due_time <= $5::timestamptz OFFSET 0) l)sql"};

// In spend order, those behind ($5, $6, $7), as many of each as $8.
constexpr pg::Statement kLoadSpendable{"loyalty.load_spendable",
                                       "SELECT w.place, " CLM_LOT_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS program_id, unnest($4::text[]) AS wallet_id,
               unnest($5::timestamptz[]) AS due_time, unnest($6::timestamptz[]) AS earn_time,
               unnest($7::uuid[]) AS id, generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * )sql" CLM_LOTS_OF_WALLET R"sql( AND l.remaining > 0
    AND l.pending = false AND (l.due_time, l.earn_time, l.id) > (w.due_time, w.earn_time, w.id)
    ORDER BY l.due_time, l.earn_time, l.id LIMIT $8::bigint) l
  ORDER BY w.place, l.due_time, l.earn_time, l.id)sql"};

constexpr pg::Statement kLoadWholeLots{"loyalty.load_whole_lots",
                                       "SELECT w.place, " CLM_LOT_COLUMNS " " CLM_WALLETS R"sql(
  LATERAL (SELECT * )sql" CLM_LOTS_OF_WALLET R"sql( AND l.remaining > 0 OFFSET 0) l)sql"};

constexpr pg::Statement kLoadLots{"loyalty.load_lots", "SELECT w.place, " CLM_LOT_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::uuid[]) AS id, generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM lot l WHERE l.tenant_id = w.tenant_id
    AND l.contact_id = w.contact_id AND l.id = w.id OFFSET 0) l)sql"};

constexpr pg::Statement kLoadWarnings{"loyalty.load_warnings",
                                      "SELECT w.place, l.warn_time, " CLM_LOT_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::uuid[]) AS id, generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM lot l WHERE l.tenant_id = w.tenant_id
    AND l.contact_id = w.contact_id AND l.id = w.id OFFSET 0) l
  WHERE l.warn_time < 'infinity')sql"};

#define CLM_HOLD_COLUMNS                                                      \
  "h.program_id, h.wallet_id, h.id, h.captured, h.state, h.lot_ids::text[], " \
  "h.lot_amounts::text[], h.expire_time, h.create_time, h.end_posting"

constexpr pg::Statement kLoadHolds{"loyalty.load_holds", "SELECT w.place, " CLM_HOLD_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::uuid[]) AS id, generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM hold h WHERE h.tenant_id = w.tenant_id
    AND h.contact_id = w.contact_id AND h.id = w.id OFFSET 0) h)sql"};

constexpr pg::Statement kLoadOpenHolds{"loyalty.load_open_holds",
                                       "SELECT w.place, " CLM_HOLD_COLUMNS " " CLM_WALLETS R"sql(
  LATERAL (SELECT * FROM hold h WHERE h.contact_id = w.contact_id AND h.program_id = w.program_id
    AND h.wallet_id = w.wallet_id AND h.tenant_id = w.tenant_id AND h.state = 1
    AND h.expire_time <= $5::timestamptz OFFSET 0) h)sql"};

constexpr pg::Statement kLoadPostings{"loyalty.load_postings",
                                      "SELECT w.place, " CLM_POSTING_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS program_id, unnest($4::text[]) AS wallet_id,
               unnest($5::bigint[]) AS number, generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM posting p WHERE p.tenant_id = w.tenant_id
    AND p.contact_id = w.contact_id AND p.program_id = w.program_id AND p.wallet_id = w.wallet_id
    AND p.number = w.number OFFSET 0) p )sql" CLM_POSTING_DETAILS};

// By whatever wallet refers to it.
constexpr pg::Statement kLoadReferences{"loyalty.load_references",
                                        "SELECT w.place, " CLM_POSTING_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS program_id, unnest($4::text[]) AS wallet_id,
               unnest($5::bigint[]) AS number, generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM posting p WHERE p.refers_contact = w.contact_id
    AND p.program_id = w.program_id AND p.wallet_id = w.wallet_id AND p.refers_number = w.number
    AND p.tenant_id = w.tenant_id OFFSET 0) p )sql" CLM_POSTING_DETAILS
                                        R"sql( ORDER BY w.place, p.post_time, p.number)sql"};

constexpr pg::Statement kLoadExternals{"loyalty.load_externals", R"sql(
  SELECT w.place, e.contact_id, e.wallet_id, e.number, e.fingerprint, e.response
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::text[]) AS source, unnest($4::text[]) AS external_id,
               unnest($5::smallint[]) AS kind, generate_subscripts($4::text[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM external_key e WHERE e.tenant_id = w.tenant_id
    AND e.program_id = w.program_id AND e.source = w.source AND e.external_id = w.external_id
    AND e.kind = w.kind OFFSET 0) e)sql"};

}  // namespace

Member ReadMember(const pg::Row& row, int c) {
  Member member{
      .enrol_time = row.Time(c), .merged_into = row.OptUuid(c + 1), .erased = row.Bool(c + 2)};
  member.tier.joined = member.enrol_time;
  member.tier.tier = std::string(row.Text(c + 3));
  member.tier.since = row.Time(c + 4);
  member.tier.expires = row.OptTime(c + 5);
  member.tier.short_since = row.OptTime(c + 6);
  member.tier.manual_tier = std::string(row.Text(c + 7));
  member.tier.manual_until = row.OptTime(c + 8);
  member.tier_due = row.Time(c + 9);
  member.tier_warned = row.Time(c + 10);
  return member;
}

namespace {

struct HoldRow {
  std::string program;
  std::string wallet;
  Hold hold;
  int64_t captured = 0;
  absl::Time create_time;
  std::optional<int64_t> end_posting;
};

// The columns of CLM_HOLD_COLUMNS, the first of them at `c`.
absl::StatusOr<HoldRow> ReadHold(const pg::Row& row, int c) {
  HoldRow read;
  read.program = std::string(row.Text(c));
  read.wallet = std::string(row.Text(c + 1));
  read.hold.id = row.Uuid(c + 2);
  read.captured = row.Int(c + 3);
  read.hold.state = static_cast<HoldState>(row.Int(c + 4));
  const std::vector<std::string> lots = row.TextArray(c + 5);
  const std::vector<std::string> amounts = row.TextArray(c + 6);
  read.hold.expire_time = row.Time(c + 7);
  read.create_time = row.Time(c + 8);
  read.end_posting = row.OptInt(c + 9);
  for (size_t i = 0; i < lots.size(); ++i) {
    const std::optional<Uuid> lot = Uuid::Parse(lots[i]);
    int64_t amount = 0;
    if (!lot || i >= amounts.size() || !absl::SimpleAtoi(amounts[i], &amount)) {
      return error::Internal("a hold is stored in an unknown form");
    }
    read.hold.allocations.push_back({*lot, amount});
  }
  return read;
}

int64_t BalanceOf(const Totals& totals) {
  return totals.active + totals.pending + totals.held - totals.debt;
}

}  // namespace

absl::Status LoyaltyWork::Load(pg::Tx& tx) {
  // A decision takes a later look at the clock than this.
  const absl::Time until = std::max(due_by_, clock_->Now() + kAhead);
  CLM_RETURN_IF_ERROR(LoadContacts(tx));
  CLM_RETURN_IF_ERROR(
      referrals_.LoadContacts(tx, [this](const ProgramKey& key) { NeedProgram(key); }));
  CLM_RETURN_IF_ERROR(LoadPrograms(tx));
  CLM_RETURN_IF_ERROR(LoadTenants(tx));
  CLM_RETURN_IF_ERROR(stage_entries_.Load(tx));
  CLM_RETURN_IF_ERROR(LoadEvents(tx));
  CLM_RETURN_IF_ERROR(orders_.Load(tx));
  NeedForOrders(*this, clock_->Now());
  CLM_RETURN_IF_ERROR(adjustments_.Load(tx));
  NeedForAdjustments(*this);
  // Before names are loaded: a merge that is heard later than this waits for what is locked here.
  CLM_RETURN_IF_ERROR(bonuses_.Load(tx));
  for (const auto& [member, spend] : first_wallets_) {
    const Program* program = FindProgram({member.tenant, member.program});
    if (program == nullptr) continue;
    NeedWallet({member.tenant, member.program, program->wallets[0].id, member.contact}, spend);
  }
  // Wherever points move, a tier may change.
  for (const auto& [key, slot] : members_) {
    const Program* program = FindProgram({key.tenant, key.program});
    if (program == nullptr || !program->tiers) continue;
    rules_.NeedBasis(key);
    NeedWallet({key.tenant, key.program, TierWallet(*program).id, key.contact});
  }
  CLM_RETURN_IF_ERROR(LoadMembers(tx));
  CLM_RETURN_IF_ERROR(referrals_.Load(tx, clock_->Now(),
                                      [this](const ProgramKey& key) { return FindProgram(key); }));
  CLM_RETURN_IF_ERROR(
      velocity_.Load(tx, [this](const ProgramKey& key) { return FindProgram(key); }));
  CLM_RETURN_IF_ERROR(rules_.LoadCounts(tx));
  CLM_RETURN_IF_ERROR(rules_.LoadBasis(tx));
  CLM_RETURN_IF_ERROR(LoadAliases(tx));
  CLM_RETURN_IF_ERROR(LoadExternals(tx));
  CLM_RETURN_IF_ERROR(LoadPostings(tx));
  CLM_RETURN_IF_ERROR(LoadHolds(tx));
  if (wallets_.empty()) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(LoadTotals(tx));
  CLM_RETURN_IF_ERROR(LoadWhole(tx));
  CLM_RETURN_IF_ERROR(LoadDue(tx, until));
  CLM_RETURN_IF_ERROR(LoadSpendable(tx, until));
  CLM_RETURN_IF_ERROR(LoadNamedLots(tx));
  return LoadWarnings(tx);
}

absl::Status LoyaltyWork::LoadPrograms(pg::Tx& tx) {
  std::vector<ProgramKey> keys;
  for (const auto& [key, slot] : programs_) keys.push_back(key);
  CLM_ASSIGN_OR_RETURN(std::vector<Program> programs, loyalty::LoadPrograms(tx, keys));
  for (Program& program : programs) {
    programs_[{program.tenant, program.id}].program = std::move(program);
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadTenants(pg::Tx& tx) {
  std::set<std::string> tenants;
  for (const auto& [tenant, then] : tenants_) tenants.insert(tenant);
  CLM_ASSIGN_OR_RETURN(const std::vector<Program> programs,
                       LoadProgramsOf(tx, {tenants.begin(), tenants.end()}));
  for (const Program& program : programs) {
    tenant_programs_[program.tenant].push_back(program);
    programs_[{program.tenant, program.id}].program = program;
  }
  for (const auto& [tenant, then] : tenants_) {
    if (!ProgramsOf(tenant).empty()) then(*this);
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadEvents(pg::Tx& tx) {
  // What an event of a programme may touch.
  const auto need = [this](const NeededEvent& event, const Program& program) {
    const MemberKey member{program.tenant, program.id, event.contact.id};
    bool wanted = program.tiers && program.tiers->event_type == event.type;
    if (program.referrals && (event.refund_of || event.type == program.referrals->event_type)) {
      wanted = true;
      referrals_.NeedFriend(member);
    }
    wanted |= NeedRules(*this, program, member, event.type, event.occur_time);
    if (event.refund_of) {
      wanted = true;
      rules_.NeedFact({{program.tenant, program.id}, *event.refund_of});
    }
    if (!wanted) return;
    NeedMember(member);
    rules_.NeedFact({{program.tenant, program.id}, event.event});
  };
  for (const NeededEvent& event : events_) {
    for (const Program& program : ProgramsOf(event.contact.tenant)) need(event, program);
  }
  CLM_RETURN_IF_ERROR(rules_.LoadFacts(tx));
  // What a refund takes back.
  const auto need_back = [this](const NeededEvent& event, const Program& program) {
    const MemberKey member{program.tenant, program.id, event.contact.id};
    const Fact* fact = rules_.FindFact({{program.tenant, program.id}, *event.refund_of});
    if (fact == nullptr) {
      // It may have been earned in this very transaction.
      NeedWhatRulesMayEarn(*this, program, member);
      return;
    }
    for (const RuleEarning& earning : fact->earnings) {
      NeedTakeBack(*this, program, member, fact->contact, earning, fact->occur_time);
    }
    if (fact->contact != event.contact.id) {
      NeedMember({program.tenant, program.id, fact->contact});
    }
  };
  for (const NeededEvent& event : events_) {
    if (!event.refund_of) continue;
    for (const Program& program : ProgramsOf(event.contact.tenant)) need_back(event, program);
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadMembers(pg::Tx& tx) {
  if (members_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs;
  std::vector<Uuid> contacts;
  std::vector<MemberSlot*> places;
  for (auto& [key, slot] : members_) {
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    contacts.push_back(key.contact);
    places.push_back(&slot);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(contacts));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadMembers, args));
  for (int i = 0; i < rows.size(); ++i) {
    places[rows[i].Int(0) - 1]->member = ReadMember(rows[i], 1);
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadExternals(pg::Tx& tx) {
  if (externals_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, sources, ids;
  std::vector<int64_t> kinds;
  std::vector<std::pair<const ExternalKey*, ExternalSlot*>> places;
  for (auto& [key, slot] : externals_) {
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    sources.push_back(key.source);
    ids.push_back(key.external_id);
    kinds.push_back(static_cast<int64_t>(key.kind));
    places.emplace_back(&key, &slot);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs));
  args.AddArray(std::move(sources)).AddArray(std::move(ids)).AddArray(std::move(kinds));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadExternals, args));
  for (int i = 0; i < rows.size(); ++i) {
    const auto& [key, slot] = places[rows[i].Int(0) - 1];
    slot->use = ExternalUse{{key->tenant, key->program, rows[i].Uuid(1)},
                            std::string(rows[i].Text(2)),
                            rows[i].Int(3),
                            rows[i].Bytes(4),
                            rows[i].Bytes(5)};
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadContacts(pg::Tx& tx) {
  for (const EntityKey& contact : contacts_) {
    pg::Args args;
    args.Add(contact.tenant).Add(contact.id);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kContactMembers, args));
    for (int i = 0; i < rows.size(); ++i) {
      const MemberKey member{contact.tenant, std::string(rows[i].Text(0)), contact.id};
      NeedMember(member);
      NeedProgram({member.tenant, member.program});
      pg::Args of;
      of.Add(member.tenant).Add(member.contact).Add(member.program);
      CLM_ASSIGN_OR_RETURN(const pg::Result wallets, tx.Exec(kMemberWallets, of));
      for (int w = 0; w < wallets.size(); ++w) {
        NeedWholeWallet(
            {member.tenant, member.program, std::string(wallets[w].Text(0)), member.contact});
      }
    }
  }
  for (const auto& [merged, survivor] : merges_) {
    std::vector<WalletKey> counterparts;
    for (const auto& [key, slot] : wallets_) {
      if (key.tenant != merged.tenant || key.member != merged.id) continue;
      counterparts.push_back({key.tenant, key.program, key.wallet, survivor.id});
    }
    for (const WalletKey& key : counterparts) {
      NeedWholeWallet(key);
      NeedMember(MemberOf(key));
    }
  }
  return absl::OkStatus();
}

// Of those who are no members: perhaps they are somebody else by now.
absl::Status LoyaltyWork::LoadAliases(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> contacts;
  for (const auto& [key, slot] : members_) {
    if (slot.member) continue;
    tenants.push_back(key.tenant);
    contacts.push_back(key.contact);
  }
  if (contacts.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(tenants).AddArray(contacts);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadAliases, args));
  for (int i = 0; i < rows.size(); ++i) {
    const size_t place = rows[i].Int(0) - 1;
    aliases_[{tenants[place], contacts[place]}] = rows[i].Uuid(1);
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadPostings(pg::Tx& tx) {
  if (needed_postings_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, wallets;
  std::vector<Uuid> contacts;
  std::vector<int64_t> numbers;
  std::vector<PostingSlot*> places;
  for (auto& [key, slot] : needed_postings_) {
    tenants.push_back(key.member.tenant);
    contacts.push_back(key.member.contact);
    programs.push_back(key.member.program);
    wallets.push_back(key.wallet);
    numbers.push_back(key.number);
    places.push_back(&slot);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts));
  args.AddArray(std::move(programs)).AddArray(std::move(wallets)).AddArray(std::move(numbers));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadPostings, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(places[rows[i].Int(0) - 1]->posting, ReadPosting(rows[i], 1));
  }
  for (const PostingSlot* slot : places) {
    if (slot->take_back && slot->posting) NeedWallet(slot->owner, slot->posting->amount);
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result references, tx.Exec(kLoadReferences, args));
  for (int i = 0; i < references.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredPosting reference, ReadPosting(references[i], 1));
    places[references[i].Int(0) - 1]->references.push_back(std::move(reference));
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadHolds(pg::Tx& tx) {
  if (holds_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants;
  std::vector<Uuid> contacts, ids;
  std::vector<std::pair<const HoldKey*, std::optional<HoldPlace>*>> places;
  for (auto& [key, place] : holds_) {
    tenants.push_back(key.first.tenant);
    contacts.push_back(key.first.contact);
    ids.push_back(key.second);
    places.emplace_back(&key, &place);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadHolds, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(HoldRow read, ReadHold(rows[i], 1));
    const auto& [key, place] = places[rows[i].Int(0) - 1];
    if (read.program != key->first.program) continue;
    const WalletKey wallet{key->first.tenant, read.program, read.wallet, key->first.contact};
    NeedWallet(wallet);
    *place = HoldPlace{wallet, read.create_time, read.captured, read.end_posting};
    AddHold(wallets_.at(wallet), std::move(read.hold));
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadTotals(pg::Tx& tx) {
  pg::Args args;
  const auto slots = Select([](const WalletSlot&) { return true; }, args);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadTotals, args));
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    WalletSlot& slot = *slots[row.Int(0) - 1];
    int column = 1;
    for (const TotalField& field : kTotalFields)
      slot.wallet.totals.*field.value = row.Int(column++);
    slot.postings = row.Int(column);
    slot.balance = BalanceOf(slot.wallet.totals);
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadWhole(pg::Tx& tx) {
  pg::Args args;
  const auto slots = Select([](const WalletSlot& slot) { return slot.whole; }, args);
  if (slots.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result lots, tx.Exec(kLoadWholeLots, args));
  for (int i = 0; i < lots.size(); ++i) AddLot(*slots[lots[i].Int(0) - 1], ReadLot(lots[i], 1));
  args.Add(absl::InfiniteFuture());
  return LoadOpenHolds(tx, slots, args);
}

absl::Status LoyaltyWork::LoadDue(pg::Tx& tx, absl::Time until) {
  pg::Args args;
  const auto slots = Select([](const WalletSlot& slot) { return !slot.whole; }, args);
  if (slots.empty()) return absl::OkStatus();
  args.Add(until);
  CLM_ASSIGN_OR_RETURN(const pg::Result lots, tx.Exec(kLoadDueLots, args));
  for (int i = 0; i < lots.size(); ++i) AddLot(*slots[lots[i].Int(0) - 1], ReadLot(lots[i], 1));
  return LoadOpenHolds(tx, slots, args);
}

absl::Status LoyaltyWork::LoadOpenHolds(pg::Tx& tx, const std::vector<WalletSlot*>& slots,
                                        const pg::Args& args) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadOpenHolds, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(HoldRow read, ReadHold(rows[i], 1));
    WalletSlot& slot = *slots[rows[i].Int(0) - 1];
    const WalletKey& key = slot.wallet.key;
    holds_[{MemberOf(key), read.hold.id}] =
        HoldPlace{key, read.create_time, read.captured, read.end_posting};
    AddHold(slot, std::move(read.hold));
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadSpendable(pg::Tx& tx, absl::Time from) {
  // Of each wallet: how much is missing still, and the last lot that was read.
  struct Search {
    WalletSlot* slot;
    int64_t missing;
    absl::Time due_time;
    absl::Time earn_time = absl::InfiniteFuture();
    Uuid id;
  };
  std::vector<Search> searches;
  for (auto& [key, slot] : wallets_) {
    if (slot.whole) continue;
    // Who spends more than there is is refused without a look at the lots.
    const int64_t missing = std::min(slot.spend, slot.wallet.totals.active);
    if (missing > 0) searches.push_back({&slot, missing, from});
  }
  for (int64_t limit = kFirstLots; !searches.empty(); limit *= kMoreLots) {
    std::vector<std::string> tenants, programs, wallets;
    std::vector<Uuid> contacts, ids;
    std::vector<absl::Time> dues, earns;
    for (const Search& search : searches) {
      const WalletKey& key = search.slot->wallet.key;
      tenants.push_back(key.tenant);
      contacts.push_back(key.member);
      programs.push_back(key.program);
      wallets.push_back(key.wallet);
      dues.push_back(search.due_time);
      earns.push_back(search.earn_time);
      ids.push_back(search.id);
    }
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(contacts));
    args.AddArray(std::move(programs)).AddArray(std::move(wallets));
    args.AddArray(std::move(dues)).AddArray(std::move(earns)).AddArray(std::move(ids)).Add(limit);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadSpendable, args));
    std::vector<int64_t> found(searches.size());
    for (int i = 0; i < rows.size(); ++i) {
      const size_t place = rows[i].Int(0) - 1;
      Search& search = searches[place];
      const Lot lot = ReadLot(rows[i], 1);
      ++found[place];
      search.missing -= lot.remaining;
      search.due_time = lot.expire_time;
      search.earn_time = lot.earn_time;
      search.id = lot.id;
      AddLot(*search.slot, lot);
    }
    std::vector<Search> unfinished;
    for (size_t i = 0; i < searches.size(); ++i) {
      if (searches[i].missing > 0 && found[i] == limit) unfinished.push_back(searches[i]);
    }
    searches = std::move(unfinished);
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadNamedLots(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> contacts, ids;
  std::vector<WalletSlot*> places;
  const auto need = [&](WalletSlot& slot, const Uuid& lot) {
    if (slot.wallet.lots.contains(lot)) return;
    tenants.push_back(slot.wallet.key.tenant);
    contacts.push_back(slot.wallet.key.member);
    ids.push_back(lot);
    places.push_back(&slot);
  };
  for (auto& [key, slot] : wallets_) {
    for (const auto& [id, hold] : slot.wallet.holds) {
      for (const Allocation& allocation : hold.allocations) need(slot, allocation.lot);
    }
  }
  for (const auto& [key, slot] : needed_postings_) {
    if (!slot.posting) continue;
    for (const Entry& entry : slot.posting->posting.entries) {
      if (entry.lot) need(wallets_.at(slot.owner), *entry.lot);
    }
  }
  if (ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadLots, args));
  for (int i = 0; i < rows.size(); ++i) AddLot(*places[rows[i].Int(0) - 1], ReadLot(rows[i], 1));
  return absl::OkStatus();
}

absl::Status LoyaltyWork::LoadWarnings(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> contacts, ids;
  std::vector<std::pair<WalletSlot*, absl::Time*>> places;
  for (auto& [key, lots] : due_warnings_) {
    WalletSlot& slot = wallets_.at(key);
    for (auto& [lot, time] : lots) {
      tenants.push_back(key.tenant);
      contacts.push_back(key.member);
      ids.push_back(lot);
      places.emplace_back(&slot, &time);
    }
  }
  if (ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadWarnings, args));
  for (int i = 0; i < rows.size(); ++i) {
    const auto& [slot, time] = places[rows[i].Int(0) - 1];
    *time = rows[i].Time(1);
    AddLot(*slot, ReadLot(rows[i], 2));
  }
  return absl::OkStatus();
}

void LoyaltyWork::AddHold(WalletSlot& slot, Hold hold) {
  stored_.insert(hold.id);
  slot.wallet.holds.emplace(hold.id, std::move(hold));
}

void LoyaltyWork::AddLot(WalletSlot& slot, const Lot& lot) {
  stored_.insert(lot.id);
  slot.wallet.lots.emplace(lot.id, lot);
}

std::vector<const pg::Statement*> LoyaltyLoadStatements() {
  return {&kLoadMembers,   &kMemberWallets,  &kLoadTotals,    &kLoadDueLots, &kLoadSpendable,
          &kLoadWholeLots, &kLoadLots,       &kLoadWarnings,  &kLoadHolds,   &kLoadOpenHolds,
          &kLoadPostings,  &kLoadReferences, &kLoadExternals, &kLoadAliases, &kContactMembers};
}

}  // namespace clm::loyalty
