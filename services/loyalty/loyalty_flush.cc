// What the unit of work writes.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/coupon_people.h"
#include "services/loyalty/expiry_warning.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/posting_row.h"
#include "services/loyalty/reward_work.h"

namespace clm::loyalty {
namespace {

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

constexpr pg::Statement kSaveProgram{"loyalty.save_program", R"sql(
  INSERT INTO program (tenant_id, id, body, create_time, update_time, version)
  VALUES ($1::text, $2::text, $3::bytea, $4::timestamptz, $5::timestamptz, $6::bigint)
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (body, update_time, version) = (excluded.body, excluded.update_time, excluded.version))sql"};

constexpr pg::Statement kSaveMembers{"loyalty.save_members", R"sql(
  INSERT INTO member (tenant_id, program_id, contact_id, enrol_time, merged_into, erased, tier,
                      tier_since, tier_expires, tier_short, manual_tier, manual_until, tier_due,
                      tier_warned)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::uuid[]), unnest($4::timestamptz[]),
         unnest($5::uuid[]), unnest($6::boolean[]), unnest($7::text[]), unnest($8::timestamptz[]),
         unnest($9::timestamptz[]), unnest($10::timestamptz[]), unnest($11::text[]),
         unnest($12::timestamptz[]), unnest($13::timestamptz[]), unnest($14::timestamptz[])
  ON CONFLICT (tenant_id, program_id, contact_id) DO UPDATE SET
    (enrol_time, merged_into, erased, tier, tier_since, tier_expires, tier_short, manual_tier,
     manual_until, tier_due, tier_warned) =
    (excluded.enrol_time, excluded.merged_into, excluded.erased, excluded.tier,
     excluded.tier_since, excluded.tier_expires, excluded.tier_short, excluded.manual_tier,
     excluded.manual_until, excluded.tier_due, excluded.tier_warned))sql"};

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
                   due_time, warn_time)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::uuid[]), unnest($6::uuid[]), unnest($7::bigint[]), unnest($8::bigint[]),
         unnest($9::bigint[]), unnest($10::bigint[]), unnest($11::bigint[]),
         unnest($12::boolean[]), unnest($13::timestamptz[]), unnest($14::timestamptz[]),
         unnest($15::timestamptz[]), unnest($16::timestamptz[]), unnest($17::timestamptz[]))sql"};

constexpr pg::Statement kUpdateLots{"loyalty.update_lots", R"sql(
  UPDATE lot l SET (remaining, held, expired, returned, pending, activate_time, due_time,
                    warn_time) =
    (n.remaining, n.held, n.expired, n.returned, n.pending, n.activate_time, n.due_time,
     coalesce(l.warn_time, n.warn_time))
  FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[],
              $7::bigint[], $8::boolean[], $9::timestamptz[], $10::timestamptz[],
              $11::timestamptz[])
    AS n (tenant_id, contact_id, id, remaining, held, expired, returned, pending, activate_time,
          due_time, warn_time)
  CROSS JOIN LATERAL (SELECT f.ctid FROM lot f WHERE f.tenant_id = n.tenant_id
                      AND f.contact_id = n.contact_id AND f.id = n.id OFFSET 0) AS at
  WHERE l.ctid = at.ctid)sql"};

constexpr pg::Statement kSaveWarnings{"loyalty.save_warnings", R"sql(
  UPDATE lot l SET warn_time = n.warn_time
  FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[])
    AS n (tenant_id, contact_id, id, warn_time)
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
  INSERT INTO posting_note (tenant_id, contact_id, program_id, wallet_id, number, reason, actor,
                            order_id)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::bigint[]), unnest($6::text[]), unnest($7::text[]), unnest($8::text[]))sql"};

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

// Of a lot that is active: from then on it is known when it is warned of first.
std::optional<absl::Time> FirstWarning(const Program* program, const std::string& wallet,
                                       const Lot& lot, absl::Time now) {
  if (program == nullptr || lot.pending) return std::nullopt;
  const auto terms = FindWallet(*program, wallet);
  if (!terms.ok() || (*terms)->warning_days.empty()) return std::nullopt;
  return FirstExpiryWarning((*terms)->warning_days, lot.expire_time, now, ZoneOf(*program));
}

}  // namespace

absl::Status LoyaltyWork::Flush(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(FlushPrograms(tx));
  if (!tier_sweeps_.empty()) next_due_ = clock_->Now();
  CLM_RETURN_IF_ERROR(SaveTierSweeps(tx, tier_sweeps_));
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
  CLM_RETURN_IF_ERROR(FlushWarnings(tx));
  CLM_RETURN_IF_ERROR(FlushHolds(tx));
  CLM_RETURN_IF_ERROR(FlushPostings(tx));
  CLM_RETURN_IF_ERROR(FlushExternals(tx));
  CLM_RETURN_IF_ERROR(rules_.Flush(tx));
  CLM_RETURN_IF_ERROR(referrals_.Flush(tx));
  CLM_RETURN_IF_ERROR(orders_.Flush(tx));
  CLM_RETURN_IF_ERROR(velocity_.Flush(tx));
  CLM_RETURN_IF_ERROR(stage_entries_.Flush(tx));
  CLM_RETURN_IF_ERROR(adjustments_.Flush(tx));
  CLM_RETURN_IF_ERROR(bonuses_.Flush(tx));
  for (const MemberKey& member : forgotten_) {
    CLM_ASSIGN_OR_RETURN(pg::Args args, PersonArgs(tx, member));
    args.Add(member.program);
    for (const pg::Statement* statement : {&kForgetNotes, &kForgetAnswers}) {
      CLM_RETURN_IF_ERROR(tx.Exec(*statement, args).status());
    }
  }
  for (const EntityKey& contact : without_coupons_) {
    CLM_RETURN_IF_ERROR(ForgetInCoupons(tx, contact));
    CLM_RETURN_IF_ERROR(ForgetInRewards(tx, contact));
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
  std::vector<std::string> tenants, programs, tiers, manual;
  std::vector<Uuid> contacts;
  std::vector<absl::Time> enrolled, since, due, warned;
  std::vector<std::optional<absl::Time>> expires, short_since, manual_until;
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
    tiers.push_back(member->tier.tier);
    since.push_back(member->tier.since);
    expires.push_back(member->tier.expires);
    short_since.push_back(member->tier.short_since);
    manual.push_back(member->tier.manual_tier);
    manual_until.push_back(member->tier.manual_until);
    due.push_back(member->tier_due);
    warned.push_back(member->tier_warned);
    next_due_ = std::min(next_due_, member->tier_due);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(contacts));
  args.AddArray(std::move(enrolled)).AddArray(std::move(merged)).AddArray(std::move(erased));
  args.AddArray(std::move(tiers)).AddArray(std::move(since)).AddArray(std::move(expires));
  args.AddArray(std::move(short_since)).AddArray(std::move(manual));
  args.AddArray(std::move(manual_until)).AddArray(std::move(due)).AddArray(std::move(warned));
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
    std::vector<std::optional<absl::Time>> warn;
  };
  Columns added, changed;
  const absl::Time now = clock_->Now();
  for (const auto& [key, slot] : wallets_) {
    if (!slot.dirty) continue;
    const Program* program = FindProgram({key.tenant, key.program});
    for (const auto& [id, lot] : slot.wallet.lots) {
      if (lot.mark == Mark::kStored) continue;
      const absl::Time due = DueTime(lot);
      next_due_ = std::min(next_due_, due);
      const auto warn = FirstWarning(program, key.wallet, lot, now);
      next_due_ = std::min(next_due_, warn.value_or(absl::InfiniteFuture()));
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
      c.warn.push_back(warn);
    }
  }
  if (!changed.ids.empty()) {
    pg::Args args;
    args.AddArray(changed.tenants).AddArray(changed.contacts).AddArray(changed.ids);
    args.AddArray(changed.remaining).AddArray(changed.held).AddArray(changed.expired);
    args.AddArray(changed.returned).AddArray(changed.pending).AddArray(changed.activate);
    args.AddArray(changed.due).AddArray(changed.warn);
    CLM_RETURN_IF_ERROR(tx.Exec(kUpdateLots, args).status());
  }
  if (added.ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(added.tenants).AddArray(added.contacts).AddArray(added.programs);
  args.AddArray(added.wallets).AddArray(added.ids).AddArray(added.postings);
  args.AddArray(added.earned).AddArray(added.remaining).AddArray(added.held);
  args.AddArray(added.expired).AddArray(added.returned).AddArray(added.pending);
  args.AddArray(added.earn).AddArray(added.activate).AddArray(added.expire).AddArray(added.due);
  args.AddArray(added.warn);
  return tx.Exec(kInsertLots, args).status();
}

absl::Status LoyaltyWork::FlushWarnings(pg::Tx& tx) {
  if (warnings_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants;
  std::vector<Uuid> contacts, lots;
  std::vector<absl::Time> next;
  for (const auto& [wallet, lot, time] : warnings_) {
    tenants.push_back(wallet.tenant);
    contacts.push_back(wallet.member);
    lots.push_back(lot);
    next.push_back(time);
    next_due_ = std::min(next_due_, time);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(lots));
  args.AddArray(std::move(next));
  return tx.Exec(kSaveWarnings, args).status();
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
  std::vector<std::string> tenants, programs, wallets, reasons, actors, orders;
  std::vector<Uuid> contacts;
  std::vector<int64_t> numbers;
  for (const StoredPosting& stored : postings_) {
    if (stored.reason.empty() && stored.order.empty()) continue;
    tenants.push_back(stored.key.member.tenant);
    contacts.push_back(stored.key.member.contact);
    programs.push_back(stored.key.member.program);
    wallets.push_back(stored.key.wallet);
    numbers.push_back(stored.key.number);
    reasons.push_back(stored.reason);
    actors.push_back(stored.actor);
    orders.push_back(stored.order);
  }
  if (numbers.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(programs));
  args.AddArray(std::move(wallets)).AddArray(std::move(numbers)).AddArray(std::move(reasons));
  args.AddArray(std::move(actors)).AddArray(std::move(orders));
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
  return adjustments_.Sweep(tx);
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

std::vector<const pg::Statement*> LoyaltyFlushStatements() {
  return {&kSaveProgram,    &kSaveMembers,    &kSaveWallets,   &kInsertLots,      &kUpdateLots,
          &kSaveWarnings,   &kInsertHolds,    &kUpdateHolds,   &kMoveLots,        &kMoveHolds,
          &kInsertPostings, &kInsertNotes,    &kForgetNotes,   &kInsertExternals, &kSaveAlias,
          &kFlattenAliases, &kFlattenMembers, &kForgetAnswers, &kForgetRequests,  &kAliasesOf};
}

}  // namespace clm::loyalty
