#include "services/loyalty/loyalty_work.h"

#include <algorithm>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/loyalty/v1/loyalty.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/posting_row.h"

namespace clm::loyalty {
namespace {

// How far ahead of its reading of the clock a transaction loads what is due: its decisions take a
// later look at the clock.
constexpr absl::Duration kAhead = absl::Minutes(1);
// How many lots of a wallet are looked at first, and by how much more each time they do not
// suffice.
constexpr int64_t kFirstLots = 8;
constexpr int64_t kMoreLots = 8;

constexpr pg::Statement kLoadPrograms{"loyalty.load_programs", R"sql(
  SELECT p.tenant_id, p.id, p.body, p.create_time, p.update_time, p.version
  FROM unnest($1::text[], $2::text[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM program p WHERE p.tenant_id = w.tenant_id AND p.id = w.id
    OFFSET 0) p)sql"};

constexpr pg::Statement kLoadMembers{"loyalty.load_members", R"sql(
  SELECT w.place, m.enrol_time, m.merged_into, m.erased
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

constexpr pg::Statement kSaveAlias{"loyalty.save_alias", R"sql(
  INSERT INTO contact_alias (tenant_id, contact_id, merged_into, moved)
  VALUES ($1::text, $2::uuid, $3::uuid, $4::boolean)
  ON CONFLICT (tenant_id, contact_id) DO UPDATE SET
    (merged_into, moved) = (excluded.merged_into, excluded.moved))sql"};

// Whoever was merged into the one is merged into the other.
constexpr pg::Statement kFlattenAliases{"loyalty.flatten_aliases", R"sql(
  UPDATE contact_alias SET merged_into = $3::uuid
  WHERE merged_into = $2::uuid AND tenant_id = $1::text)sql"};

constexpr pg::Statement kFlattenMembers{"loyalty.flatten_members", R"sql(
  UPDATE member SET merged_into = $3::uuid
  WHERE merged_into = $2::uuid AND tenant_id = $1::text)sql"};

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

constexpr pg::Statement kLoadDueLots{"loyalty.load_due_lots",
                                     "SELECT w.place, " CLM_LOT_COLUMNS " " CLM_WALLETS R"sql(
  LATERAL (SELECT * )sql" CLM_LOTS_OF_WALLET
                                     R"sql( AND l.remaining > 0 AND l.pending IN (false, true)
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

constexpr pg::Statement kSaveProgram{"loyalty.save_program", R"sql(
  INSERT INTO program (tenant_id, id, body, create_time, update_time, version)
  VALUES ($1::text, $2::text, $3::bytea, $4::timestamptz, $5::timestamptz, $6::bigint)
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (body, update_time, version) = (excluded.body, excluded.update_time, excluded.version))sql"};

constexpr pg::Statement kSaveMembers{"loyalty.save_members", R"sql(
  INSERT INTO member (tenant_id, program_id, contact_id, enrol_time, merged_into, erased)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::timestamptz[]),
         unnest($5::uuid[]), unnest($6::boolean[])
  ON CONFLICT (tenant_id, program_id, contact_id) DO UPDATE SET
    (enrol_time, merged_into, erased) =
    (excluded.enrol_time, excluded.merged_into, excluded.erased))sql"};

constexpr pg::Statement kSaveWallets{"loyalty.save_wallets", R"sql(
  INSERT INTO wallet (tenant_id, contact_id, program_id, wallet_id, active, pending, held, debt,
                      earned, redeemed, expired, returned, adjusted, transferred, postings)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::bigint[]), unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::bigint[]),
         unnest($9::bigint[]), unnest($10::bigint[]), unnest($11::bigint[]),
         unnest($12::bigint[]), unnest($13::bigint[]), unnest($14::bigint[]),
         unnest($15::bigint[])
  ON CONFLICT (tenant_id, contact_id, program_id, wallet_id) DO UPDATE SET
    (active, pending, held, debt, earned, redeemed, expired, returned, adjusted, transferred,
     postings) =
    (excluded.active, excluded.pending, excluded.held, excluded.debt, excluded.earned,
     excluded.redeemed, excluded.expired, excluded.returned, excluded.adjusted,
     excluded.transferred, excluded.postings))sql"};

constexpr pg::Statement kInsertLots{"loyalty.insert_lots", R"sql(
  INSERT INTO lot (tenant_id, contact_id, program_id, wallet_id, id, posting_id, earned, remaining,
                   held, expired, returned, pending, earn_time, activate_time, expire_time,
                   due_time)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::uuid[]), unnest($6::uuid[]), unnest($7::bigint[]), unnest($8::bigint[]),
         unnest($9::bigint[]), unnest($10::bigint[]), unnest($11::bigint[]),
         unnest($12::boolean[]), unnest($13::timestamptz[]), unnest($14::timestamptz[]),
         unnest($15::timestamptz[]), unnest($16::timestamptz[]))sql"};

constexpr pg::Statement kUpdateLots{"loyalty.update_lots", R"sql(
  UPDATE lot l SET (remaining, held, expired, returned, pending, activate_time, due_time) =
    (n.remaining, n.held, n.expired, n.returned, n.pending, n.activate_time, n.due_time)
  FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[],
              $7::bigint[], $8::boolean[], $9::timestamptz[], $10::timestamptz[])
    AS n (tenant_id, contact_id, id, remaining, held, expired, returned, pending, activate_time,
          due_time)
  CROSS JOIN LATERAL (SELECT f.ctid FROM lot f WHERE f.tenant_id = n.tenant_id
                      AND f.contact_id = n.contact_id AND f.id = n.id OFFSET 0) AS at
  WHERE l.ctid = at.ctid)sql"};

constexpr pg::Statement kInsertHolds{"loyalty.insert_holds", R"sql(
  INSERT INTO hold (tenant_id, contact_id, program_id, wallet_id, id, amount, captured, state,
                    lot_ids, lot_amounts, expire_time, create_time, end_posting)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::uuid[]), unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::smallint[]),
         unnest($9::text[])::uuid[], unnest($10::text[])::bigint[], unnest($11::timestamptz[]),
         unnest($12::timestamptz[]), unnest($13::bigint[]))sql"};

constexpr pg::Statement kUpdateHolds{"loyalty.update_holds", R"sql(
  UPDATE hold h SET (captured, state, end_posting) = (n.captured, n.state, n.end_posting)
  FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::smallint[], $6::bigint[])
    AS n (tenant_id, contact_id, id, captured, state, end_posting)
  CROSS JOIN LATERAL (SELECT f.ctid FROM hold f WHERE f.tenant_id = n.tenant_id
                      AND f.contact_id = n.contact_id AND f.id = n.id OFFSET 0) AS at
  WHERE h.ctid = at.ctid)sql"};

constexpr pg::Statement kMoveLots{"loyalty.move_lots", R"sql(
  UPDATE lot SET contact_id = $5::uuid
  WHERE tenant_id = $1::text AND contact_id = $2::uuid AND program_id = $3::text
    AND wallet_id = $4::text)sql"};

constexpr pg::Statement kMoveHolds{"loyalty.move_holds", R"sql(
  UPDATE hold SET contact_id = $5::uuid
  WHERE tenant_id = $1::text AND contact_id = $2::uuid AND program_id = $3::text
    AND wallet_id = $4::text)sql"};

constexpr pg::Statement kInsertPostings{"loyalty.insert_postings", R"sql(
  INSERT INTO posting (tenant_id, contact_id, program_id, wallet_id, number, id, kind, amount,
                       balance, accounts, lots, amounts, refers_contact, refers_number, peer,
                       post_time)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::bigint[]), unnest($6::uuid[]), unnest($7::smallint[]), unnest($8::bigint[]),
         unnest($9::bigint[]), unnest($10::text[])::smallint[], unnest($11::text[])::uuid[],
         unnest($12::text[])::bigint[], unnest($13::uuid[]), unnest($14::bigint[]),
         unnest($15::uuid[]), unnest($16::timestamptz[]))sql"};

constexpr pg::Statement kInsertNotes{"loyalty.insert_notes", R"sql(
  INSERT INTO posting_note (tenant_id, contact_id, program_id, wallet_id, number, reason, actor)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::bigint[]), unnest($6::text[]), unnest($7::text[]))sql"};

constexpr pg::Statement kForgetNotes{"loyalty.forget_notes", R"sql(
  DELETE FROM posting_note
  WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid[]) AND program_id = $3::text)sql"};

constexpr pg::Statement kForgetAnswers{"loyalty.forget_answers", R"sql(
  UPDATE external_key SET response = ''
  WHERE contact_id = ANY ($2::uuid[]) AND program_id = $3::text AND tenant_id = $1::text)sql"};

constexpr pg::Statement kForgetRequests{"loyalty.forget_requests", R"sql(
  DELETE FROM request WHERE aggregate_id = ANY ($2::uuid[]) AND tenant_id = $1::text)sql"};

// Whoever became the contact: what was said about them was said about the same person.
constexpr pg::Statement kAliasesOf{"loyalty.aliases_of", R"sql(
  SELECT a.contact_id FROM contact_alias a
  WHERE a.merged_into = $2::uuid AND a.tenant_id = $1::text)sql"};

constexpr pg::Statement kInsertExternals{"loyalty.insert_externals", R"sql(
  INSERT INTO external_key (tenant_id, program_id, source, external_id, kind, contact_id,
                            wallet_id, number, fingerprint, response)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::smallint[]), unnest($6::uuid[]), unnest($7::text[]), unnest($8::bigint[]),
         unnest($9::bytea[]), unnest($10::bytea[]))sql"};

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

MemberKey MemberOf(const WalletKey& key) { return {key.tenant, key.program, key.member}; }

int64_t BalanceOf(const Totals& totals) {
  return totals.active + totals.pending + totals.held - totals.debt;
}

// What the member has more after it.
int64_t ChangeOf(const Posting& posting) {
  int64_t change = 0;
  for (const Entry& entry : posting.entries) {
    if (!IsHouse(entry.account)) change += entry.amount;
  }
  return change;
}

}  // namespace

// ---- Declarations.

void LoyaltyWork::NeedProgram(const ProgramKey& key) { programs_.try_emplace(key); }

void LoyaltyWork::NeedMember(const MemberKey& key) { members_.try_emplace(key); }

void LoyaltyWork::NeedWallet(const WalletKey& key, int64_t spend) {
  if (key.wallet.empty()) {
    NeedProgram({key.tenant, key.program});
    int64_t& sum = first_wallets_[MemberOf(key)];
    sum = std::min(kMaxPoints, sum + std::min(kMaxPoints, spend));
    return;
  }
  WalletSlot& slot = wallets_[key];
  slot.wallet.key = key;
  // Beyond this sum nothing more can be spent.
  slot.spend = std::min(kMaxPoints, slot.spend + std::min(kMaxPoints, spend));
}

void LoyaltyWork::NeedWholeWallet(const WalletKey& key) {
  NeedWallet(key);
  wallets_.at(key).whole = true;
}

void LoyaltyWork::NeedContact(const EntityKey& contact) { contacts_.insert(contact); }

void LoyaltyWork::NeedMerge(const EntityKey& merged, const EntityKey& survivor) {
  NeedContact(merged);
  NeedContact(survivor);
  merges_.emplace_back(merged, survivor);
}

void LoyaltyWork::NeedHold(const MemberKey& member, const Uuid& hold) {
  holds_.try_emplace(HoldKey{member, hold});
}

void LoyaltyWork::NeedPosting(const PostingKey& key, const WalletKey& owner, bool take_back) {
  PostingSlot& slot = needed_postings_[key];
  slot.owner = owner;
  slot.take_back |= take_back;
  NeedWallet(owner);
}

void LoyaltyWork::NeedExternal(const ExternalKey& key) { externals_.try_emplace(key); }

// ---- Reading.

const Program* LoyaltyWork::FindProgram(const ProgramKey& key) const {
  const auto it = programs_.find(key);
  return it == programs_.end() || !it->second.program ? nullptr : &*it->second.program;
}

const Member* LoyaltyWork::FindMember(const MemberKey& key) const {
  const auto it = members_.find(key);
  return it == members_.end() || !it->second.member ? nullptr : &*it->second.member;
}

std::vector<MemberKey> LoyaltyWork::MembersOf(const EntityKey& contact) const {
  std::vector<MemberKey> keys;
  for (const auto& [key, slot] : members_) {
    if (slot.member && key.tenant == contact.tenant && key.contact == contact.id) {
      keys.push_back(key);
    }
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::optional<Uuid> LoyaltyWork::AliasOf(const EntityKey& contact) const {
  const auto it = aliases_.find(contact);
  return it == aliases_.end() ? std::nullopt : it->second;
}

const Wallet& LoyaltyWork::WalletOf(const WalletKey& key) const { return wallets_.at(key).wallet; }

std::vector<WalletKey> LoyaltyWork::WalletsOf(const MemberKey& key) const {
  std::vector<WalletKey> keys;
  for (const auto& [wallet, slot] : wallets_) {
    if (MemberOf(wallet) == key) keys.push_back(wallet);
  }
  return keys;
}

const LoyaltyWork::HoldPlace* LoyaltyWork::FindHold(const MemberKey& member,
                                                    const Uuid& hold) const {
  const auto it = holds_.find(HoldKey{member, hold});
  return it == holds_.end() || !it->second ? nullptr : &*it->second;
}

const StoredPosting* LoyaltyWork::FindPosting(const PostingKey& key) const {
  const auto it = needed_postings_.find(key);
  return it == needed_postings_.end() || !it->second.posting ? nullptr : &*it->second.posting;
}

std::vector<StoredPosting> LoyaltyWork::References(const PostingKey& key) const {
  std::vector<StoredPosting> references = needed_postings_.at(key).references;
  for (const StoredPosting& staged : postings_) {
    if (staged.refers_to == key) references.push_back(staged);
  }
  return references;
}

const ExternalUse* LoyaltyWork::FindExternal(const ExternalKey& key) const {
  const auto it = externals_.find(key);
  return it == externals_.end() || !it->second.use ? nullptr : &*it->second.use;
}

// ---- Staging.

template <class Map, class Key, class Value>
void LoyaltyWork::Put(Map& map, const Key& key, Value value) {
  auto before = std::exchange(map[key], std::move(value));
  undo_.emplace_back(
      [&map, key, before = std::move(before)]() mutable { map[key] = std::move(before); });
}

void LoyaltyWork::SaveProgram(const Program& program) {
  Put(programs_, ProgramKey{program.tenant, program.id}, ProgramSlot{program, true});
}

void LoyaltyWork::SaveMember(const MemberKey& key, const Member& member) {
  Put(members_, key, MemberSlot{member, true});
}

Wallet& LoyaltyWork::Change(const WalletKey& key) {
  WalletSlot& slot = wallets_.at(key);
  if (changing_.insert(key).second) {
    undo_.emplace_back([&slot, before = slot]() mutable { slot = std::move(before); });
  }
  slot.dirty = true;
  return slot.wallet;
}

const StoredPosting& LoyaltyWork::Post(const WalletKey& key, StoredPosting posting) {
  Change(key);
  WalletSlot& slot = wallets_.at(key);
  posting.key = {MemberOf(key), key.wallet, ++slot.postings};
  posting.balance = slot.balance += ChangeOf(posting.posting);
  postings_.push_back(std::move(posting));
  undo_.emplace_back([this] { postings_.pop_back(); });
  return postings_.back();
}

void LoyaltyWork::SaveHold(const MemberKey& member, const Uuid& hold, HoldPlace place) {
  Put(holds_, HoldKey{member, hold}, std::optional<HoldPlace>(std::move(place)));
}

void LoyaltyWork::SaveAlias(const EntityKey& contact, const Uuid& merged_into) {
  Put(aliases_, contact, std::optional<Uuid>(merged_into));
  new_aliases_.emplace_back(contact, merged_into, false);
  undo_.emplace_back([this] { new_aliases_.pop_back(); });
}

void LoyaltyWork::AliasMoved(const EntityKey& contact, const Uuid& merged_into) {
  new_aliases_.emplace_back(contact, merged_into, true);
  undo_.emplace_back([this] { new_aliases_.pop_back(); });
}

void LoyaltyWork::MoveAll(const WalletKey& from, const WalletKey& into) {
  moved_.emplace_back(from, into);
  undo_.emplace_back([this] { moved_.pop_back(); });
}

void LoyaltyWork::SaveExternal(const ExternalKey& key, ExternalUse use) {
  Put(externals_, key, ExternalSlot{std::move(use), true});
}

void LoyaltyWork::ForgetNotes(const MemberKey& key) {
  forgotten_.push_back(key);
  undo_.emplace_back([this] { forgotten_.pop_back(); });
}

void LoyaltyWork::Keep() {
  undo_.clear();
  changing_.clear();
}

void LoyaltyWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  Keep();
}

// ---- Loading.

absl::Status LoyaltyWork::Load(pg::Tx& tx) {
  // A decision takes a later look at the clock than this.
  const absl::Time until = std::max(due_by_, clock_->Now() + kAhead);
  CLM_RETURN_IF_ERROR(LoadContacts(tx));
  CLM_RETURN_IF_ERROR(LoadPrograms(tx));
  for (const auto& [member, spend] : first_wallets_) {
    const Program* program = FindProgram({member.tenant, member.program});
    if (program == nullptr) continue;
    NeedWallet({member.tenant, member.program, program->wallets[0].id, member.contact}, spend);
  }
  CLM_RETURN_IF_ERROR(LoadMembers(tx));
  CLM_RETURN_IF_ERROR(LoadAliases(tx));
  CLM_RETURN_IF_ERROR(LoadExternals(tx));
  CLM_RETURN_IF_ERROR(LoadPostings(tx));
  CLM_RETURN_IF_ERROR(LoadHolds(tx));
  if (wallets_.empty()) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(LoadTotals(tx));
  CLM_RETURN_IF_ERROR(LoadWhole(tx));
  CLM_RETURN_IF_ERROR(LoadDue(tx, until));
  CLM_RETURN_IF_ERROR(LoadSpendable(tx, until));
  return LoadNamedLots(tx);
}

absl::Status LoyaltyWork::LoadPrograms(pg::Tx& tx) {
  if (programs_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, ids;
  for (const auto& [key, slot] : programs_) {
    tenants.push_back(key.tenant);
    ids.push_back(key.program);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadPrograms, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(Program program, ReadProgram(rows[i]));
    programs_[{program.tenant, program.id}].program = std::move(program);
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
    places[rows[i].Int(0) - 1]->member =
        Member{rows[i].Time(1), rows[i].OptUuid(2), rows[i].Bool(3)};
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

std::vector<LoyaltyWork::WalletSlot*> LoyaltyWork::Select(
    absl::FunctionRef<bool(const WalletSlot&)> wanted, pg::Args& args) {
  std::vector<WalletSlot*> slots;
  std::vector<std::string> tenants, programs, wallets;
  std::vector<Uuid> contacts;
  for (auto& [key, slot] : wallets_) {
    if (!wanted(slot)) continue;
    tenants.push_back(key.tenant);
    contacts.push_back(key.member);
    programs.push_back(key.program);
    wallets.push_back(key.wallet);
    slots.push_back(&slot);
  }
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts));
  args.AddArray(std::move(programs)).AddArray(std::move(wallets));
  return slots;
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

void LoyaltyWork::AddHold(WalletSlot& slot, Hold hold) {
  stored_.insert(hold.id);
  slot.wallet.holds.emplace(hold.id, std::move(hold));
}

void LoyaltyWork::AddLot(WalletSlot& slot, const Lot& lot) {
  stored_.insert(lot.id);
  slot.wallet.lots.emplace(lot.id, lot);
}

// ---- Writing.

absl::Status LoyaltyWork::Flush(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(FlushPrograms(tx));
  CLM_RETURN_IF_ERROR(FlushAliases(tx));
  CLM_RETURN_IF_ERROR(FlushMembers(tx));
  for (const auto& [from, into] : moved_) {
    pg::Args args;
    args.Add(from.tenant).Add(from.member).Add(from.program).Add(from.wallet).Add(into.member);
    for (const pg::Statement* statement : {&kMoveLots, &kMoveHolds}) {
      CLM_RETURN_IF_ERROR(tx.Exec(*statement, args).status());
    }
  }
  CLM_RETURN_IF_ERROR(FlushWallets(tx));
  CLM_RETURN_IF_ERROR(FlushLots(tx));
  CLM_RETURN_IF_ERROR(FlushHolds(tx));
  CLM_RETURN_IF_ERROR(FlushPostings(tx));
  CLM_RETURN_IF_ERROR(FlushExternals(tx));
  for (const MemberKey& member : forgotten_) {
    CLM_ASSIGN_OR_RETURN(pg::Args args, PersonArgs(tx, member));
    args.Add(member.program);
    for (const pg::Statement* statement : {&kForgetNotes, &kForgetAnswers}) {
      CLM_RETURN_IF_ERROR(tx.Exec(*statement, args).status());
    }
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::FlushPrograms(pg::Tx& tx) {
  for (const auto& [key, slot] : programs_) {
    if (!slot.dirty) continue;
    const Program& program = *slot.program;
    pg::Args args;
    args.Add(program.tenant).Add(program.id).AddBytes(BodyOf(program)).Add(program.create_time);
    args.Add(program.update_time).Add(program.version);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveProgram, args).status());
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::FlushMembers(pg::Tx& tx) {
  std::vector<std::string> tenants, programs;
  std::vector<Uuid> contacts;
  std::vector<absl::Time> enrolled;
  std::vector<std::optional<Uuid>> merged;
  std::vector<bool> erased;
  std::map<MemberKey, const Member*> dirty;
  for (const auto& [key, slot] : members_) {
    if (slot.dirty) dirty.emplace(key, &*slot.member);
  }
  if (dirty.empty()) return absl::OkStatus();
  for (const auto& [key, member] : dirty) {
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    contacts.push_back(key.contact);
    enrolled.push_back(member->enrol_time);
    merged.push_back(member->merged_into);
    erased.push_back(member->erased);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(contacts));
  args.AddArray(std::move(enrolled)).AddArray(std::move(merged)).AddArray(std::move(erased));
  return tx.Exec(kSaveMembers, args).status();
}

absl::Status LoyaltyWork::FlushAliases(pg::Tx& tx) {
  for (const auto& [contact, merged_into, moved] : new_aliases_) {
    pg::Args pair;
    pair.Add(contact.tenant).Add(contact.id).Add(merged_into);
    CLM_RETURN_IF_ERROR(tx.Exec(moved ? kFlattenMembers : kFlattenAliases, pair).status());
    pg::Args args = pair;
    args.Add(moved);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveAlias, args).status());
  }
  return absl::OkStatus();
}

absl::Status LoyaltyWork::FlushWallets(pg::Tx& tx) {
  pg::Args args;
  const auto slots = Select([](const WalletSlot& slot) { return slot.dirty; }, args);
  if (slots.empty()) return absl::OkStatus();
  for (const TotalField& field : kTotalFields) {
    std::vector<int64_t> values;
    for (const WalletSlot* slot : slots) values.push_back(slot->wallet.totals.*field.value);
    args.AddArray(std::move(values));
  }
  std::vector<int64_t> postings;
  for (const WalletSlot* slot : slots) postings.push_back(slot->postings);
  args.AddArray(std::move(postings));
  return tx.Exec(kSaveWallets, args).status();
}

absl::Status LoyaltyWork::FlushLots(pg::Tx& tx) {
  struct Columns {
    std::vector<std::string> tenants, programs, wallets;
    std::vector<Uuid> contacts, ids, postings;
    std::vector<int64_t> earned, remaining, held, expired, returned;
    std::vector<bool> pending;
    std::vector<absl::Time> earn, activate, expire, due;
  };
  Columns added, changed;
  for (const auto& [key, slot] : wallets_) {
    if (!slot.dirty) continue;
    for (const auto& [id, lot] : slot.wallet.lots) {
      if (lot.mark == Mark::kStored) continue;
      const absl::Time due = DueTime(lot);
      next_due_ = std::min(next_due_, due);
      Columns& c = stored_.contains(id) ? changed : added;
      c.tenants.push_back(key.tenant);
      c.contacts.push_back(key.member);
      c.programs.push_back(key.program);
      c.wallets.push_back(key.wallet);
      c.ids.push_back(id);
      c.postings.push_back(lot.posting);
      c.earned.push_back(lot.earned);
      c.remaining.push_back(lot.remaining);
      c.held.push_back(lot.held);
      c.expired.push_back(lot.expired);
      c.returned.push_back(lot.returned);
      c.pending.push_back(lot.pending);
      c.earn.push_back(lot.earn_time);
      c.activate.push_back(lot.activate_time);
      c.expire.push_back(lot.expire_time);
      c.due.push_back(due);
    }
  }
  if (!changed.ids.empty()) {
    pg::Args args;
    args.AddArray(changed.tenants).AddArray(changed.contacts).AddArray(changed.ids);
    args.AddArray(changed.remaining).AddArray(changed.held).AddArray(changed.expired);
    args.AddArray(changed.returned).AddArray(changed.pending).AddArray(changed.activate);
    args.AddArray(changed.due);
    CLM_RETURN_IF_ERROR(tx.Exec(kUpdateLots, args).status());
  }
  if (added.ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(added.tenants).AddArray(added.contacts).AddArray(added.programs);
  args.AddArray(added.wallets).AddArray(added.ids).AddArray(added.postings);
  args.AddArray(added.earned).AddArray(added.remaining).AddArray(added.held);
  args.AddArray(added.expired).AddArray(added.returned).AddArray(added.pending);
  args.AddArray(added.earn).AddArray(added.activate).AddArray(added.expire).AddArray(added.due);
  return tx.Exec(kInsertLots, args).status();
}

absl::Status LoyaltyWork::FlushHolds(pg::Tx& tx) {
  struct Columns {
    std::vector<std::string> tenants, programs, wallets, lots, lot_amounts;
    std::vector<Uuid> contacts, ids;
    std::vector<int64_t> amounts, captured, states;
    std::vector<absl::Time> expire, create;
    std::vector<std::optional<int64_t>> ends;
  };
  Columns added, changed;
  for (const auto& [key, slot] : wallets_) {
    if (!slot.dirty) continue;
    for (const auto& [id, hold] : slot.wallet.holds) {
      if (hold.mark == Mark::kStored) continue;
      const auto known = holds_.find(HoldKey{MemberOf(key), id});
      if (known == holds_.end() || !known->second) {
        return error::Internal("a hold was changed and not saved");
      }
      const HoldPlace& place = *known->second;
      if (hold.state == HoldState::kOpen) next_due_ = std::min(next_due_, hold.expire_time);
      int64_t amount = 0;
      for (const Allocation& allocation : hold.allocations) amount += allocation.amount;
      Columns& c = stored_.contains(id) ? changed : added;
      c.tenants.push_back(key.tenant);
      c.contacts.push_back(key.member);
      c.programs.push_back(key.program);
      c.wallets.push_back(key.wallet);
      c.ids.push_back(id);
      c.amounts.push_back(amount);
      c.captured.push_back(place.captured);
      c.states.push_back(static_cast<int64_t>(hold.state));
      c.lots.push_back(
          absl::StrCat("{",
                       absl::StrJoin(hold.allocations, ",",
                                     [](std::string* out, const Allocation& allocation) {
                                       absl::StrAppend(out, allocation.lot.ToString());
                                     }),
                       "}"));
      c.lot_amounts.push_back(
          absl::StrCat("{",
                       absl::StrJoin(hold.allocations, ",",
                                     [](std::string* out, const Allocation& allocation) {
                                       absl::StrAppend(out, allocation.amount);
                                     }),
                       "}"));
      c.expire.push_back(hold.expire_time);
      c.create.push_back(place.create_time);
      c.ends.push_back(place.end_posting);
    }
  }
  if (!changed.ids.empty()) {
    pg::Args args;
    args.AddArray(changed.tenants).AddArray(changed.contacts).AddArray(changed.ids);
    args.AddArray(changed.captured).AddArray(changed.states).AddArray(changed.ends);
    CLM_RETURN_IF_ERROR(tx.Exec(kUpdateHolds, args).status());
  }
  if (added.ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(added.tenants).AddArray(added.contacts).AddArray(added.programs);
  args.AddArray(added.wallets).AddArray(added.ids).AddArray(added.amounts);
  args.AddArray(added.captured).AddArray(added.states).AddArray(added.lots);
  args.AddArray(added.lot_amounts).AddArray(added.expire).AddArray(added.create);
  args.AddArray(added.ends);
  return tx.Exec(kInsertHolds, args).status();
}

absl::Status LoyaltyWork::FlushPostings(pg::Tx& tx) {
  if (postings_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, wallets, accounts, lots, amounts;
  std::vector<Uuid> contacts, ids;
  std::vector<int64_t> numbers, kinds, asked, balances;
  std::vector<std::optional<Uuid>> refers_contacts, peers;
  std::vector<std::optional<int64_t>> refers_numbers;
  std::vector<absl::Time> times;
  for (const StoredPosting& stored : postings_) {
    tenants.push_back(stored.key.member.tenant);
    contacts.push_back(stored.key.member.contact);
    programs.push_back(stored.key.member.program);
    wallets.push_back(stored.key.wallet);
    numbers.push_back(stored.key.number);
    ids.push_back(stored.posting.id);
    kinds.push_back(static_cast<int64_t>(stored.posting.kind));
    asked.push_back(stored.amount);
    balances.push_back(stored.balance);
    EntryArrays arrays = ArraysOf(stored.posting.entries);
    accounts.push_back(std::move(arrays.accounts));
    lots.push_back(std::move(arrays.lots));
    amounts.push_back(std::move(arrays.amounts));
    const auto& refers = stored.refers_to;
    refers_contacts.push_back(refers ? std::optional(refers->member.contact) : std::nullopt);
    refers_numbers.push_back(refers ? std::optional(refers->number) : std::nullopt);
    peers.push_back(stored.peer);
    times.push_back(stored.posting.time);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(programs));
  args.AddArray(std::move(wallets)).AddArray(std::move(numbers)).AddArray(std::move(ids));
  args.AddArray(std::move(kinds)).AddArray(std::move(asked)).AddArray(std::move(balances));
  args.AddArray(std::move(accounts)).AddArray(std::move(lots)).AddArray(std::move(amounts));
  args.AddArray(std::move(refers_contacts)).AddArray(std::move(refers_numbers));
  args.AddArray(std::move(peers)).AddArray(std::move(times));
  CLM_RETURN_IF_ERROR(tx.Exec(kInsertPostings, args).status());
  return FlushNotes(tx);
}

absl::Status LoyaltyWork::FlushNotes(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, wallets, reasons, actors;
  std::vector<Uuid> contacts;
  std::vector<int64_t> numbers;
  for (const StoredPosting& stored : postings_) {
    if (stored.reason.empty()) continue;
    tenants.push_back(stored.key.member.tenant);
    contacts.push_back(stored.key.member.contact);
    programs.push_back(stored.key.member.program);
    wallets.push_back(stored.key.wallet);
    numbers.push_back(stored.key.number);
    reasons.push_back(stored.reason);
    actors.push_back(stored.actor);
  }
  if (numbers.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(programs));
  args.AddArray(std::move(wallets)).AddArray(std::move(numbers)).AddArray(std::move(reasons));
  args.AddArray(std::move(actors));
  return tx.Exec(kInsertNotes, args).status();
}

absl::Status LoyaltyWork::FlushExternals(pg::Tx& tx) {
  // In key order: the unique key crosses shards, and two transactions must not wait for each other.
  std::map<ExternalKey, const ExternalUse*> used;
  for (const auto& [key, slot] : externals_) {
    if (slot.dirty) used.emplace(key, &*slot.use);
  }
  if (used.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs, sources, ids, wallets, fingerprints, responses;
  std::vector<Uuid> contacts;
  std::vector<int64_t> kinds, numbers;
  for (const auto& [key, use] : used) {
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    sources.push_back(key.source);
    ids.push_back(key.external_id);
    kinds.push_back(static_cast<int64_t>(key.kind));
    contacts.push_back(use->member.contact);
    wallets.push_back(use->wallet);
    numbers.push_back(use->number);
    fingerprints.push_back(use->fingerprint);
    responses.push_back(use->response);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(sources));
  args.AddArray(std::move(ids)).AddArray(std::move(kinds)).AddArray(std::move(contacts));
  args.AddArray(std::move(wallets)).AddArray(std::move(numbers));
  args.AddBytesArray(std::move(fingerprints)).AddBytesArray(std::move(responses));
  return tx.Exec(kInsertExternals, args).status();
}

absl::Status LoyaltyWork::Sweep(pg::Tx& tx) {
  for (const MemberKey& member : forgotten_) {
    CLM_ASSIGN_OR_RETURN(const pg::Args args, PersonArgs(tx, member));
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetRequests, args).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<pg::Args> LoyaltyWork::PersonArgs(pg::Tx& tx, const MemberKey& member) {
  pg::Args contact;
  contact.Add(member.tenant).Add(member.contact);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kAliasesOf, contact));
  std::vector<Uuid> contacts = {member.contact};
  for (int i = 0; i < rows.size(); ++i) contacts.push_back(rows[i].Uuid(0));
  pg::Args args;
  args.Add(member.tenant).AddArray(std::move(contacts));
  return args;
}

absl::Status LoyaltyWork::Committed(const journal::Offsets&) {
  if (on_due_ && next_due_ < absl::InfiniteFuture()) on_due_(next_due_);
  return absl::OkStatus();
}

std::vector<const pg::Statement*> LoyaltyWorkStatements() {
  return {&kLoadPrograms,    &kLoadMembers,    &kMemberWallets,  &kLoadTotals,  &kLoadDueLots,
          &kLoadSpendable,   &kLoadWholeLots,  &kLoadLots,       &kLoadHolds,   &kLoadOpenHolds,
          &kLoadPostings,    &kLoadReferences, &kLoadExternals,  &kSaveProgram, &kSaveMembers,
          &kSaveWallets,     &kInsertLots,     &kUpdateLots,     &kInsertHolds, &kUpdateHolds,
          &kMoveLots,        &kMoveHolds,      &kInsertPostings, &kInsertNotes, &kForgetNotes,
          &kInsertExternals, &kLoadAliases,    &kContactMembers, &kSaveAlias,   &kFlattenAliases,
          &kFlattenMembers,  &kForgetAnswers,  &kForgetRequests, &kAliasesOf};
}

}  // namespace clm::loyalty
