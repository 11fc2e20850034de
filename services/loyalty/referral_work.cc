#include "services/loyalty/referral_work.h"

#include <algorithm>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/referral_proto.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kLoadReferral{"referral.load", "SELECT " CLM_REFERRAL_COLUMNS R"sql(
  FROM referral r WHERE r.tenant_id = $1::text AND r.program_id = $2::text AND r.id = $3::uuid
)sql"};

constexpr pg::Statement kLoadOfFriends{"referral.load_of_friends",
                                       "SELECT " CLM_REFERRAL_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::uuid[]) AS contact_id) AS w
  CROSS JOIN LATERAL (SELECT * FROM referral r WHERE r.tenant_id = w.tenant_id
    AND r.program_id = w.program_id AND r.friend_id = w.contact_id OFFSET 0) r)sql"};

constexpr pg::Statement kLoadPurchases{"referral.load_purchases", R"sql(
  SELECT w.place, p.event_id, p.occur_time, p.amount_minor
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::uuid[]) AS contact_id, generate_subscripts($3::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM referral_purchase p WHERE p.tenant_id = w.tenant_id
    AND p.program_id = w.program_id AND p.contact_id = w.contact_id OFFSET 0) p)sql"};

constexpr pg::Statement kProgramsOf{"referral.programs_of", R"sql(
  SELECT r.program_id FROM referral r WHERE r.tenant_id = $1::text AND r.friend_id = $2::uuid
  UNION SELECT p.program_id FROM referral_purchase p
  WHERE p.tenant_id = $1::text AND p.contact_id = $2::uuid)sql"};

constexpr pg::Statement kLoadCode{"referral.load_code", "SELECT " CLM_REFERRAL_CODE_COLUMNS R"sql(
  FROM referral_code c WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND c.id = $3::uuid)sql"};

constexpr pg::Statement kLoadCodesOf{"referral.load_codes_of",
                                     "SELECT " CLM_REFERRAL_CODE_COLUMNS R"sql(
  FROM referral_code c WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND c.contact_id = $3::uuid AND c.revoke_time IS NULL)sql"};

constexpr pg::Statement kTaken{"referral.taken", R"sql(
  SELECT FROM referral_code c WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND c.code = $3::text)sql"};

constexpr pg::Statement kIdentifiers{"referral.identifiers", R"sql(
  SELECT i.hash FROM referral_identifier i WHERE i.tenant_id = $1::text AND i.program_id = $2::text
    AND i.contact_id = $3::uuid)sql"};

// Not beyond the limit: a famous advocate has many.
constexpr pg::Statement kCount{"referral.count", R"sql(
  SELECT count(*) FROM (SELECT FROM referral r WHERE r.tenant_id = $1::text
    AND r.program_id = $2::text AND r.advocate_id = $3::uuid AND r.claim_time >= $4::timestamptz
    AND r.state NOT IN (6, 7) LIMIT $5::int) AS c)sql"};

constexpr pg::Statement kClaims{"referral.claims", R"sql(
  SELECT count(*) FROM (SELECT FROM referral_claim c WHERE c.tenant_id = $1::text
    AND c.program_id = $2::text AND c.hash = $3::bytea AND c.claim_time >= $4::timestamptz
    LIMIT $5::int) AS c)sql"};

constexpr pg::Statement kSaveReferral{"referral.save", R"sql(
  INSERT INTO referral (tenant_id, program_id, id, code_id, friend_id, advocate_id, state,
    end_reason, terms, claim_time, due_time, purchase_id, purchase_time, purchase_minor,
    refunded_minor, reward_time, end_time, friend_member, friend_number, friend_lot, friend_points,
    friend_returned, advocate_member, advocate_number, advocate_lot, advocate_points,
    advocate_returned, version)
  VALUES ($1::text, $2::text, $3::uuid, $4::uuid, $5::uuid, $6::uuid, $7::smallint, $8::smallint,
    $9::bytea, $10::timestamptz, $11::timestamptz, $12::uuid, $13::timestamptz, $14::bigint,
    $15::bigint, $16::timestamptz, $17::timestamptz, $18::uuid, $19::bigint, $20::uuid,
    $21::bigint, $22::bigint, $23::uuid, $24::bigint, $25::uuid, $26::bigint, $27::bigint,
    $28::bigint)
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE SET
    friend_id = excluded.friend_id, state = excluded.state, end_reason = excluded.end_reason,
    due_time = excluded.due_time, purchase_id = excluded.purchase_id,
    purchase_time = excluded.purchase_time, purchase_minor = excluded.purchase_minor,
    refunded_minor = excluded.refunded_minor, reward_time = excluded.reward_time,
    end_time = excluded.end_time, friend_member = excluded.friend_member,
    friend_number = excluded.friend_number, friend_lot = excluded.friend_lot,
    friend_points = excluded.friend_points, friend_returned = excluded.friend_returned,
    advocate_member = excluded.advocate_member, advocate_number = excluded.advocate_number,
    advocate_lot = excluded.advocate_lot, advocate_points = excluded.advocate_points,
    advocate_returned = excluded.advocate_returned, version = excluded.version)sql"};

constexpr pg::Statement kSaveCode{"referral.save_code", R"sql(
  INSERT INTO referral_code (tenant_id, program_id, id, contact_id, code, shown_code, usage_limit,
    uses, start_time, expire_time, friend_id, friend_only, revoke_time, create_time, version)
  VALUES ($1::text, $2::text, $3::uuid, $4::uuid, $5::text, $6::text, $7::bigint, $8::bigint,
    $9::timestamptz, $10::timestamptz, $11::uuid, $12::boolean, $13::timestamptz,
    $14::timestamptz, $15::bigint)
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE SET
    uses = excluded.uses, revoke_time = excluded.revoke_time, version = excluded.version)sql"};

constexpr pg::Statement kSavePurchase{"referral.save_purchase", R"sql(
  INSERT INTO referral_purchase AS p (tenant_id, contact_id, program_id, event_id, occur_time,
                                      amount_minor)
  VALUES ($1::text, $2::uuid, $3::text, $4::uuid, $5::timestamptz, $6::bigint)
  ON CONFLICT (tenant_id, contact_id, program_id) DO UPDATE SET
    (event_id, occur_time, amount_minor) =
      (excluded.event_id, excluded.occur_time, excluded.amount_minor)
  WHERE (excluded.occur_time, excluded.event_id) < (p.occur_time, p.event_id))sql"};

constexpr pg::Statement kAddIdentifier{"referral.add_identifier", R"sql(
  INSERT INTO referral_identifier (tenant_id, contact_id, program_id, hash)
  VALUES ($1::text, $2::uuid, $3::text, $4::bytea) ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kAddClaim{"referral.add_claim", R"sql(
  INSERT INTO referral_claim (tenant_id, program_id, hash, claim_time, id)
  VALUES ($1::text, $2::text, $3::bytea, $4::timestamptz, $5::uuid))sql"};

constexpr pg::Statement kMoveAdvocate{"referral.move_advocate", R"sql(
  UPDATE referral SET advocate_id = $3::uuid
  WHERE tenant_id = $1::text AND advocate_id = $2::uuid)sql"};

constexpr pg::Statement kMoveCodes{"referral.move_codes", R"sql(
  UPDATE referral_code SET contact_id = $3::uuid
  WHERE tenant_id = $1::text AND contact_id = $2::uuid)sql"};

constexpr pg::Statement kMoveCodeFriend{"referral.move_code_friend", R"sql(
  UPDATE referral_code SET friend_id = $3::uuid
  WHERE tenant_id = $1::text AND friend_id = $2::uuid)sql"};

constexpr pg::Statement kMoveIdentifiers{"referral.move_identifiers", R"sql(
  WITH gone AS (DELETE FROM referral_identifier i
    WHERE i.tenant_id = $1::text AND i.contact_id = $2::uuid RETURNING i.program_id, i.hash)
  INSERT INTO referral_identifier (tenant_id, contact_id, program_id, hash)
  SELECT $1::text, $3::uuid, g.program_id, g.hash FROM gone g ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kMovePurchases{"referral.move_purchases", R"sql(
  WITH gone AS (DELETE FROM referral_purchase p
    WHERE p.tenant_id = $1::text AND p.contact_id = $2::uuid
    RETURNING p.program_id, p.event_id, p.occur_time, p.amount_minor)
  INSERT INTO referral_purchase AS p (tenant_id, contact_id, program_id, event_id, occur_time,
                                      amount_minor)
  SELECT $1::text, $3::uuid, g.program_id, g.event_id, g.occur_time, g.amount_minor FROM gone g
  ON CONFLICT (tenant_id, contact_id, program_id) DO UPDATE SET
    (event_id, occur_time, amount_minor) =
      (excluded.event_id, excluded.occur_time, excluded.amount_minor)
  WHERE (excluded.occur_time, excluded.event_id) < (p.occur_time, p.event_id))sql"};

// All names of somebody.
#define CLM_REFERRAL_NAMES                                           \
  "ANY ($2::uuid || ARRAY(SELECT x.contact_id FROM contact_alias x " \
  "WHERE x.tenant_id = $1::text AND x.merged_into = $2::uuid))"

constexpr pg::Statement kForgetFriend{"referral.forget_friend", R"sql(
  UPDATE referral SET friend_id = NULL, friend_member = NULL, due_time = 'infinity',
    end_reason = CASE WHEN state IN (1, 2) THEN 6 ELSE end_reason END,
    state = CASE WHEN state IN (1, 2) THEN 6 ELSE state END
  WHERE tenant_id = $1::text AND friend_id = )sql" CLM_REFERRAL_NAMES};

constexpr pg::Statement kForgetAdvocate{"referral.forget_advocate", R"sql(
  UPDATE referral SET advocate_id = NULL, advocate_member = NULL
  WHERE tenant_id = $1::text AND advocate_id = )sql" CLM_REFERRAL_NAMES};

constexpr pg::Statement kForgetCodes{"referral.forget_codes", R"sql(
  UPDATE referral_code SET contact_id = NULL
  WHERE tenant_id = $1::text AND contact_id = )sql" CLM_REFERRAL_NAMES};

constexpr pg::Statement kForgetCodeFriend{"referral.forget_code_friend", R"sql(
  UPDATE referral_code SET friend_id = NULL
  WHERE tenant_id = $1::text AND friend_id = )sql" CLM_REFERRAL_NAMES};

constexpr pg::Statement kForgetIdentifiers{"referral.forget_identifiers", R"sql(
  DELETE FROM referral_identifier
  WHERE tenant_id = $1::text AND contact_id = )sql" CLM_REFERRAL_NAMES};

constexpr pg::Statement kForgetPurchases{"referral.forget_purchases", R"sql(
  DELETE FROM referral_purchase
  WHERE tenant_id = $1::text AND contact_id = )sql" CLM_REFERRAL_NAMES};

constexpr const pg::Statement* kMoving[] = {&kMoveAdvocate, &kMoveCodes, &kMoveCodeFriend,
                                            &kMoveIdentifiers, &kMovePurchases};
constexpr const pg::Statement* kForgetting[] = {&kForgetFriend,      &kForgetAdvocate,
                                                &kForgetCodes,       &kForgetCodeFriend,
                                                &kForgetIdentifiers, &kForgetPurchases};

pg::Args ArgsOf(const std::string& tenant, const std::string& program, const Uuid& id) {
  pg::Args args;
  args.Add(tenant).Add(program).Add(id);
  return args;
}

ReferralReward ReadReward(const pg::Row& row, int c) {
  return {row.OptUuid(c), row.Int(c + 1), row.OptUuid(c + 2), row.Int(c + 3), row.Int(c + 4)};
}

void AddReward(pg::Args& args, const ReferralReward& reward) {
  args.Add(reward.member).Add(reward.number).Add(reward.lot).Add(reward.points);
  args.Add(reward.returned);
}

}  // namespace

absl::StatusOr<StoredReferral> ReadReferral(const pg::Row& row) {
  StoredReferral out;
  out.key = {std::string(row.Text(0)), std::string(row.Text(1)), row.Uuid(2)};
  out.code = row.Uuid(3);
  out.friend_contact = row.OptUuid(4);
  out.advocate = row.OptUuid(5);
  ReferralCourse& course = out.course;
  course.state = static_cast<ReferralState>(row.Int(6));
  course.end_reason = static_cast<ReferralEnd>(row.Int(7));
  v1::ReferralTerms terms;
  error::FieldErrors errors;
  if (!terms.ParseFromString(row.Bytes(8))) {
    return error::Internal("a referral is stored in an unknown form");
  }
  course.terms = FromProto("terms", terms, errors);
  if (!errors.empty()) return error::Internal("a referral is stored in an unknown form");
  course.claim_time = row.Time(9);
  course.due_time = row.Time(10);
  if (const auto event = row.OptUuid(11)) {
    course.purchase = ReferralPurchase{*event, row.Time(12), row.Int(13)};
  }
  course.refunded_minor = row.Int(14);
  course.reward_time = row.OptTime(15);
  course.end_time = row.OptTime(16);
  out.friend_reward = ReadReward(row, 17);
  out.advocate_reward = ReadReward(row, 22);
  out.version = row.Int(27);
  return out;
}

StoredReferralCode ReadReferralCode(const pg::Row& row) {
  StoredReferralCode out;
  out.key = {std::string(row.Text(0)), std::string(row.Text(1)), row.Uuid(2)};
  out.advocate = row.OptUuid(3);
  out.code = std::string(row.Text(4));
  out.shown_code = std::string(row.Text(5));
  out.terms.usage_limit = row.Int(6);
  out.terms.uses = row.Int(7);
  out.terms.start = row.Time(8);
  out.terms.expire = row.Time(9);
  out.terms.only_friend = row.OptUuid(10);
  out.terms.friend_only = row.Bool(11);
  out.revoke_time = row.OptTime(12);
  out.terms.revoked = out.revoke_time.has_value();
  out.create_time = row.Time(13);
  out.version = row.Int(14);
  return out;
}

// ---- Reading.

const StoredReferral* ReferralWork::FindReferral(const ReferralKey& key) const {
  const auto it = referrals_.find(key);
  return it == referrals_.end() || !it->second.row ? nullptr : &*it->second.row;
}

std::vector<StoredReferral> ReferralWork::ReferralsOf(const MemberKey& friend_key) const {
  std::vector<StoredReferral> out;
  for (const auto& [key, slot] : referrals_) {
    if (slot.row && key.tenant == friend_key.tenant && key.program == friend_key.program &&
        slot.row->friend_contact == friend_key.contact) {
      out.push_back(*slot.row);
    }
  }
  std::sort(out.begin(), out.end(), [](const StoredReferral& a, const StoredReferral& b) {
    return std::tie(a.course.claim_time, a.key) < std::tie(b.course.claim_time, b.key);
  });
  return out;
}

std::vector<ProgramKey> ReferralWork::ProgramsOf(const EntityKey& contact) const {
  std::vector<ProgramKey> out;
  for (const auto& [key, slot] : friends_) {
    if (key.tenant == contact.tenant && key.contact == contact.id) {
      out.push_back({key.tenant, key.program});
    }
  }
  return out;
}

const ReferralPurchase* ReferralWork::FirstPurchaseOf(const MemberKey& key) const {
  const auto it = friends_.find(key);
  return it == friends_.end() || !it->second.purchase ? nullptr : &*it->second.purchase;
}

const StoredReferralCode* ReferralWork::FindCode(const ReferralCodeKey& key) const {
  const auto it = codes_.find(key);
  return it == codes_.end() || !it->second.row ? nullptr : &*it->second.row;
}

std::vector<StoredReferralCode> ReferralWork::CodesOf(const MemberKey& advocate) const {
  std::vector<StoredReferralCode> out;
  for (const auto& [key, slot] : codes_) {
    if (slot.row && key.tenant == advocate.tenant && key.program == advocate.program &&
        slot.row->advocate == advocate.contact && !slot.row->terms.revoked) {
      out.push_back(*slot.row);
    }
  }
  return out;
}

bool ReferralWork::Taken(const ProgramKey& program, const std::string& code) const {
  return taken_.at({program, code});
}

const std::set<std::string>& ReferralWork::IdentifiersOf(const MemberKey& key) const {
  return identifiers_.at(key);
}

std::optional<int64_t> ReferralWork::CountOf(const MemberKey& advocate,
                                             const std::optional<ReferralLimit>& limit) const {
  const CountSlot& slot = counts_.at(advocate);
  if (slot.limit != limit) return std::nullopt;
  return slot.stored + slot.added;
}

std::optional<int64_t> ReferralWork::ClaimsOf(const ProgramKey& program, const std::string& hash,
                                              const std::optional<ReferralLimit>& limit) const {
  const CountSlot& slot = claims_.at({program, hash});
  if (slot.limit != limit) return std::nullopt;
  return slot.stored + slot.added;
}

// ---- Staging.

template <class Map, class Key, class Value>
void ReferralWork::Put(Map& map, const Key& key, Value value) {
  auto before = std::exchange(map[key], std::move(value));
  undo_.emplace_back(
      [&map, key, before = std::move(before)]() mutable { map[key] = std::move(before); });
}

void ReferralWork::SaveReferral(const StoredReferral& referral) {
  Slot<StoredReferral> slot = referrals_[referral.key];
  if (!slot.row && referral.advocate) {
    const MemberKey advocate{referral.key.tenant, referral.key.program, *referral.advocate};
    if (const auto it = counts_.find(advocate); it != counts_.end()) {
      CountSlot count = it->second;
      ++count.added;
      Put(counts_, advocate, count);
    }
  }
  slot.dirty = true;
  slot.row = referral;
  Put(referrals_, referral.key, std::move(slot));
}

void ReferralWork::SaveCode(const StoredReferralCode& code) {
  Slot<StoredReferralCode> slot = codes_[code.key];
  if (!slot.row)
    Put(taken_, std::pair(ProgramKey{code.key.tenant, code.key.program}, code.code), true);
  slot.dirty = true;
  slot.row = code;
  Put(codes_, code.key, std::move(slot));
}

void ReferralWork::SavePurchase(const MemberKey& key, const ReferralPurchase& purchase) {
  Put(friends_, key, FriendSlot{purchase, true});
}

void ReferralWork::AddIdentifiers(const MemberKey& key, const std::vector<std::string>& hashes) {
  std::set<std::string> all = identifiers_[key];
  for (const std::string& hash : hashes) {
    if (!all.insert(hash).second) continue;
    new_identifiers_.emplace_back(key, hash);
    undo_.emplace_back([this] { new_identifiers_.pop_back(); });
  }
  Put(identifiers_, key, std::move(all));
}

void ReferralWork::AddClaim(const ProgramKey& program, const std::string& hash, absl::Time now) {
  new_claims_.emplace_back(program, hash, now);
  undo_.emplace_back([this] { new_claims_.pop_back(); });
  CountSlot count = claims_.at({program, hash});
  ++count.added;
  Put(claims_, std::pair(program, hash), count);
}

void ReferralWork::MoveAll(const EntityKey& from, const Uuid& into) {
  moved_.emplace_back(from, into);
  undo_.emplace_back([this] { moved_.pop_back(); });
}

void ReferralWork::Forget(const EntityKey& contact) {
  forgotten_.push_back(contact);
  undo_.emplace_back([this] { forgotten_.pop_back(); });
}

void ReferralWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

// ---- Loading.

absl::Status ReferralWork::Load(pg::Tx& tx, absl::Time now,
                                absl::FunctionRef<const Program*(const ProgramKey&)> program) {
  CLM_RETURN_IF_ERROR(LoadFriends(tx));
  CLM_RETURN_IF_ERROR(LoadReferrals(tx));
  CLM_RETURN_IF_ERROR(LoadCodes(tx));
  return LoadLimits(tx, now, program);
}

absl::Status ReferralWork::LoadContacts(pg::Tx& tx,
                                        absl::FunctionRef<void(const ProgramKey&)> found) {
  for (const EntityKey& contact : contacts_) {
    pg::Args args;
    args.Add(contact.tenant).Add(contact.id);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kProgramsOf, args));
    for (int i = 0; i < rows.size(); ++i) {
      const ProgramKey program{contact.tenant, std::string(rows[i].Text(0))};
      NeedFriend({program.tenant, program.program, contact.id});
      found(program);
    }
  }
  return absl::OkStatus();
}

absl::Status ReferralWork::LoadFriends(pg::Tx& tx) {
  if (friends_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, programs;
  std::vector<Uuid> contacts;
  std::vector<FriendSlot*> places;
  for (auto& [key, slot] : friends_) {
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    contacts.push_back(key.contact);
    places.push_back(&slot);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(contacts));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadOfFriends, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredReferral referral, ReadReferral(rows[i]));
    const ReferralKey key = referral.key;
    referrals_[key].row = std::move(referral);
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result purchases, tx.Exec(kLoadPurchases, args));
  for (int i = 0; i < purchases.size(); ++i) {
    const pg::Row row = purchases[i];
    places[row.Int(0) - 1]->purchase = ReferralPurchase{row.Uuid(1), row.Time(2), row.Int(3)};
  }
  return absl::OkStatus();
}

absl::Status ReferralWork::LoadReferrals(pg::Tx& tx) {
  for (auto& [key, slot] : referrals_) {
    if (slot.row) continue;
    CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                         tx.Exec(kLoadReferral, ArgsOf(key.tenant, key.program, key.id)));
    if (rows.empty()) continue;
    CLM_ASSIGN_OR_RETURN(slot.row, ReadReferral(rows[0]));
  }
  return absl::OkStatus();
}

absl::Status ReferralWork::LoadCodes(pg::Tx& tx) {
  for (auto& [advocate, unused] : advocates_) {
    CLM_ASSIGN_OR_RETURN(
        const pg::Result rows,
        tx.Exec(kLoadCodesOf, ArgsOf(advocate.tenant, advocate.program, advocate.contact)));
    for (int i = 0; i < rows.size(); ++i) {
      StoredReferralCode code = ReadReferralCode(rows[i]);
      const ReferralCodeKey key = code.key;
      codes_[key].row = std::move(code);
    }
  }
  for (auto& [key, slot] : codes_) {
    if (slot.row) continue;
    CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                         tx.Exec(kLoadCode, ArgsOf(key.tenant, key.program, key.id)));
    if (!rows.empty()) slot.row = ReadReferralCode(rows[0]);
  }
  for (auto& [key, taken] : taken_) {
    pg::Args args;
    args.Add(key.first.tenant).Add(key.first.program).Add(key.second);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kTaken, args));
    taken = !rows.empty();
  }
  return absl::OkStatus();
}

absl::Status ReferralWork::LoadLimits(
    pg::Tx& tx, absl::Time now, absl::FunctionRef<const Program*(const ProgramKey&)> program) {
  for (auto& [key, hashes] : identifiers_) {
    CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                         tx.Exec(kIdentifiers, ArgsOf(key.tenant, key.program, key.contact)));
    for (int i = 0; i < rows.size(); ++i) hashes.insert(rows[i].Bytes(0));
  }
  for (auto& [key, slot] : counts_) {
    const Program* of = program({key.tenant, key.program});
    if (of == nullptr || !of->referrals || !of->referrals->advocate_limit) continue;
    slot.limit = of->referrals->advocate_limit;
    pg::Args args = ArgsOf(key.tenant, key.program, key.contact);
    args.Add(CapPeriodStart(slot.limit->period, now, ZoneOf(*of))).Add(slot.limit->count);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCount, args));
    slot.stored = rows[0].Int(0);
  }
  for (auto& [key, slot] : claims_) {
    const Program* of = program(key.first);
    if (of == nullptr || !of->referrals || !of->referrals->identifier_limit) continue;
    slot.limit = of->referrals->identifier_limit;
    pg::Args args;
    args.Add(key.first.tenant).Add(key.first.program).AddBytes(key.second);
    args.Add(CapPeriodStart(slot.limit->period, now, ZoneOf(*of))).Add(slot.limit->count);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kClaims, args));
    slot.stored = rows[0].Int(0);
  }
  return absl::OkStatus();
}

// ---- Writing.

absl::Status ReferralWork::Flush(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(FlushCodes(tx));
  CLM_RETURN_IF_ERROR(FlushReferrals(tx));
  return FlushPeople(tx);
}

absl::Status ReferralWork::FlushReferrals(pg::Tx& tx) {
  for (const auto& [key, slot] : referrals_) {
    if (!slot.dirty) continue;
    const StoredReferral& row = *slot.row;
    const ReferralCourse& course = row.course;
    pg::Args args = ArgsOf(key.tenant, key.program, key.id);
    args.Add(row.code).Add(row.friend_contact).Add(row.advocate);
    args.Add(static_cast<int>(course.state)).Add(static_cast<int>(course.end_reason));
    args.AddBytes(ToProto(course.terms).SerializeAsString());
    args.Add(course.claim_time).Add(course.due_time);
    std::optional<Uuid> event;
    std::optional<absl::Time> occur_time;
    if (course.purchase) {
      event = course.purchase->event;
      occur_time = course.purchase->occur_time;
    }
    args.Add(event).Add(occur_time);
    args.Add(course.purchase ? course.purchase->amount_minor : int64_t{0});
    args.Add(course.refunded_minor).Add(course.reward_time).Add(course.end_time);
    AddReward(args, row.friend_reward);
    AddReward(args, row.advocate_reward);
    args.Add(row.version);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveReferral, args).status());
  }
  return absl::OkStatus();
}

absl::Status ReferralWork::FlushCodes(pg::Tx& tx) {
  for (const auto& [key, slot] : codes_) {
    if (!slot.dirty) continue;
    const StoredReferralCode& row = *slot.row;
    pg::Args args = ArgsOf(key.tenant, key.program, key.id);
    args.Add(row.advocate).Add(row.code).Add(row.shown_code).Add(row.terms.usage_limit);
    args.Add(row.terms.uses).Add(row.terms.start).Add(row.terms.expire);
    args.Add(row.terms.only_friend).Add(row.terms.friend_only).Add(row.revoke_time);
    args.Add(row.create_time).Add(row.version);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveCode, args).status());
  }
  return absl::OkStatus();
}

absl::Status ReferralWork::FlushPeople(pg::Tx& tx) {
  for (const auto& [key, slot] : friends_) {
    if (!slot.dirty) continue;
    pg::Args args;
    args.Add(key.tenant).Add(key.contact).Add(key.program).Add(slot.purchase->event);
    args.Add(slot.purchase->occur_time).Add(slot.purchase->amount_minor);
    CLM_RETURN_IF_ERROR(tx.Exec(kSavePurchase, args).status());
  }
  for (const auto& [key, hash] : new_identifiers_) {
    pg::Args args;
    args.Add(key.tenant).Add(key.contact).Add(key.program).AddBytes(hash);
    CLM_RETURN_IF_ERROR(tx.Exec(kAddIdentifier, args).status());
  }
  for (const auto& [program, hash, now] : new_claims_) {
    pg::Args args;
    args.Add(program.tenant).Add(program.program).AddBytes(hash).Add(now).Add(Uuid::V7(now));
    CLM_RETURN_IF_ERROR(tx.Exec(kAddClaim, args).status());
  }
  for (const auto& [from, into] : moved_) {
    pg::Args args;
    args.Add(from.tenant).Add(from.id).Add(into);
    for (const pg::Statement* statement : kMoving) {
      CLM_RETURN_IF_ERROR(tx.Exec(*statement, args).status());
    }
  }
  for (const EntityKey& contact : forgotten_) {
    pg::Args args;
    args.Add(contact.tenant).Add(contact.id);
    for (const pg::Statement* statement : kForgetting) {
      CLM_RETURN_IF_ERROR(tx.Exec(*statement, args).status());
    }
  }
  return absl::OkStatus();
}

std::vector<const pg::Statement*> ReferralWorkStatements() {
  std::vector<const pg::Statement*> all = {
      &kLoadReferral, &kLoadOfFriends, &kLoadPurchases, &kProgramsOf,    &kLoadCode,
      &kLoadCodesOf,  &kTaken,         &kIdentifiers,   &kCount,         &kClaims,
      &kSaveReferral, &kSaveCode,      &kSavePurchase,  &kAddIdentifier, &kAddClaim};
  all.insert(all.end(), std::begin(kMoving), std::end(kMoving));
  all.insert(all.end(), std::begin(kForgetting), std::end(kForgetting));
  return all;
}

}  // namespace clm::loyalty
