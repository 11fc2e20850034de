#include "services/loyalty/loyalty_work.h"

#include <algorithm>
#include <utility>

#include "services/loyalty/program_rows.h"

namespace clm::loyalty {
namespace {

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
  referrals_.NeedContact(merged);
  referrals_.NeedContact(survivor);
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

void LoyaltyWork::NeedProgramsOf(const std::string& tenant,
                                 std::function<void(LoyaltyWork&)> then) {
  tenants_.emplace_back(tenant, std::move(then));
}

void LoyaltyWork::NeedEvent(const EntityKey& contact, const std::string& type, const Uuid& event,
                            absl::Time occur_time, std::optional<Uuid> refund_of) {
  events_.push_back({contact, type, event, occur_time, refund_of});
}

// ---- Reading.

const Program* LoyaltyWork::FindProgram(const ProgramKey& key) const {
  const auto it = programs_.find(key);
  return it == programs_.end() || !it->second.program ? nullptr : &*it->second.program;
}

const std::vector<Program>& LoyaltyWork::ProgramsOf(const std::string& tenant) const {
  static const auto* const kNone = new std::vector<Program>;
  const auto it = tenant_programs_.find(tenant);
  return it == tenant_programs_.end() ? *kNone : it->second;
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

void LoyaltyWork::NeedWarnings(const WalletKey& key, const std::vector<Uuid>& lots) {
  for (const Uuid& lot : lots) due_warnings_[key].emplace(lot, absl::InfiniteFuture());
}

std::vector<Uuid> LoyaltyWork::DueWarnings(const WalletKey& key, absl::Time now) const {
  std::vector<Uuid> due;
  const auto of = due_warnings_.find(key);
  if (of == due_warnings_.end()) return due;
  for (const auto& [lot, time] : of->second) {
    if (time <= now) due.push_back(lot);
  }
  return due;
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

void LoyaltyWork::StartTierSweep(const ProgramKey& key, int64_t version) {
  tier_sweeps_.push_back({key, version, TierSweepStep::Kind::kStart, std::nullopt});
  undo_.emplace_back([this] { tier_sweeps_.pop_back(); });
}

void LoyaltyWork::AdvanceTierSweep(const ProgramKey& key, int64_t version,
                                   std::optional<Uuid> after) {
  tier_sweeps_.push_back({key, version, TierSweepStep::Kind::kAdvance, after});
  undo_.emplace_back([this] { tier_sweeps_.pop_back(); });
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

void LoyaltyWork::SaveWarning(const WalletKey& key, const Uuid& lot, absl::Time next) {
  warnings_.emplace_back(key, lot, next);
  undo_.emplace_back([this] { warnings_.pop_back(); });
}

void LoyaltyWork::SaveExternal(const ExternalKey& key, ExternalUse use) {
  Put(externals_, key, ExternalSlot{std::move(use), true});
}

void LoyaltyWork::ForgetNotes(const MemberKey& key) {
  forgotten_.push_back(key);
  undo_.emplace_back([this] { forgotten_.pop_back(); });
}

void LoyaltyWork::ForgetCoupons(const EntityKey& contact) {
  without_coupons_.push_back(contact);
  undo_.emplace_back([this] { without_coupons_.pop_back(); });
}

void LoyaltyWork::Keep() {
  rules_.Keep();
  referrals_.Keep();
  orders_.Keep();
  velocity_.Keep();
  stage_entries_.Keep();
  adjustments_.Keep();
  bonuses_.Keep();
  undo_.clear();
  changing_.clear();
}

void LoyaltyWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  rules_.Discard();
  referrals_.Discard();
  orders_.Discard();
  velocity_.Discard();
  stage_entries_.Discard();
  adjustments_.Discard();
  bonuses_.Discard();
  Keep();
}

// ---- Both ways to the database.

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

absl::Status LoyaltyWork::Committed(const journal::Offsets& heads) {
  if (on_due_ && next_due_ < absl::InfiniteFuture()) on_due_(next_due_);
  return observer_ == nullptr ? absl::OkStatus() : observer_->MembersCommitted(CommittedAt(heads));
}

// All that it has looked at: what has changed nothing costs its entry in the cache, and that only
// where somebody else has moved the shard in the same transaction.
CommittedMembers LoyaltyWork::CommittedAt(const journal::Offsets& heads) const {
  CommittedMembers committed{.heads = heads};
  absl::flat_hash_set<EntityKey> contacts;
  for (const auto& [key, slot] : members_) contacts.insert({key.tenant, key.contact});
  for (const auto& [key, slot] : wallets_) contacts.insert({key.tenant, key.member});
  committed.contacts.assign(contacts.begin(), contacts.end());
  for (const auto& [contact, merged_into, moved] : new_aliases_) {
    if (moved) committed.merged.push_back(contact);
  }
  for (const auto& [key, slot] : programs_) {
    if (slot.dirty) committed.programs.push_back({key, slot.program->version});
  }
  return committed;
}

std::vector<const pg::Statement*> LoyaltyWorkStatements() {
  std::vector<const pg::Statement*> statements = LoyaltyLoadStatements();
  const std::vector<const pg::Statement*> flushing = LoyaltyFlushStatements();
  statements.insert(statements.end(), flushing.begin(), flushing.end());
  const std::vector<const pg::Statement*> of_rules = RuleWorkStatements();
  statements.insert(statements.end(), of_rules.begin(), of_rules.end());
  const std::vector<const pg::Statement*> of_referrals = ReferralWorkStatements();
  statements.insert(statements.end(), of_referrals.begin(), of_referrals.end());
  const std::vector<const pg::Statement*> of_orders = OrderWorkStatements();
  statements.insert(statements.end(), of_orders.begin(), of_orders.end());
  const std::vector<const pg::Statement*> of_adjustments = AdjustmentWorkStatements();
  statements.insert(statements.end(), of_adjustments.begin(), of_adjustments.end());
  const std::vector<const pg::Statement*> of_bonuses = BonusWorkStatements();
  statements.insert(statements.end(), of_bonuses.begin(), of_bonuses.end());
  const std::vector<const pg::Statement*> of_sweeps = TierSweepStatements();
  statements.insert(statements.end(), of_sweeps.begin(), of_sweeps.end());
  const std::vector<const pg::Statement*> of_velocity = VelocityWorkStatements();
  statements.insert(statements.end(), of_velocity.begin(), of_velocity.end());
  const std::vector<const pg::Statement*> of_stages = StageEntryWorkStatements();
  statements.insert(statements.end(), of_stages.begin(), of_stages.end());
  const std::vector<const pg::Statement*> of_programs = ProgramRowsStatements();
  statements.insert(statements.end(), of_programs.begin(), of_programs.end());
  return statements;
}

}  // namespace clm::loyalty
