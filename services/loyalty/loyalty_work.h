// The unit of work of the loyalty service: the members, wallets, lots and holds that the mutations
// of one transaction read and change, and the postings that they add. All SQL that changes points
// is behind it, in loyalty_load.cc and loyalty_flush.cc.
#ifndef CLM_SERVICES_LOYALTY_LOYALTY_WORK_H_
#define CLM_SERVICES_LOYALTY_LOYALTY_WORK_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "libs/journal/mutation.h"
#include "libs/pg/pg.h"
#include "services/loyalty/adjustment_work.h"
#include "services/loyalty/bonus_work.h"
#include "services/loyalty/loyalty_keys.h"
#include "services/loyalty/membership_observer.h"
#include "services/loyalty/order_work.h"
#include "services/loyalty/program.h"
#include "services/loyalty/referral_work.h"
#include "services/loyalty/rule_work.h"
#include "services/loyalty/stage_entry_work.h"
#include "services/loyalty/tier_sweep.h"
#include "services/loyalty/velocity_work.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

inline MemberKey MemberOf(const WalletKey& key) { return {key.tenant, key.program, key.member}; }

struct Member {
  absl::Time enrol_time;
  std::optional<Uuid> merged_into;
  bool erased = false;
  TierState tier;  // `joined` is the enrol_time.
  absl::Time tier_due = absl::InfiniteFuture();
  // The loss of a tier that the member was warned of last.
  absl::Time tier_warned = absl::InfinitePast();
  friend bool operator==(const Member&, const Member&) = default;
};

// The columns of ReadMember, of a row `m`.
#define CLM_MEMBER_COLUMNS                                                                      \
  "m.enrol_time, m.merged_into, m.erased, m.tier, m.tier_since, m.tier_expires, m.tier_short, " \
  "m.manual_tier, m.manual_until, m.tier_due, m.tier_warned"
Member ReadMember(const pg::Row& row, int column);

struct PostingKey {
  MemberKey member;
  std::string wallet;
  int64_t number = 0;  // Dense in its wallet, from 1.
  friend bool operator==(const PostingKey&, const PostingKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const PostingKey& key) {
    return H::combine(std::move(h), key.member, key.wallet, key.number);
  }
};

// One row of the ledger: a movement in one wallet.
struct StoredPosting {
  PostingKey key;
  // Its entries are those of this member, and sum to zero; what comes from another member or goes
  // there passes through TRANSFERRED.
  Posting posting;
  int64_t amount = 0;                   // What the request asked about.
  int64_t balance = 0;                  // Active, pending and held less debt, after it.
  std::optional<PostingKey> refers_to;  // Of this wallet, or of one that was merged into it.
  std::optional<Uuid> peer;             // The other member's contact.
  // Kept apart: an erase takes them away.
  std::string reason;
  std::string actor;
  std::string order;  // Its id.
  // The caller's own id.
  std::string source;
  std::string external_id;
};

// The caller's own id of something that moved points.
struct ExternalKey {
  std::string tenant;
  std::string program;
  std::string source;
  std::string external_id;
  PostingKind kind = PostingKind::kEarn;  // What it did: an order may both earn and spend.
  friend auto operator<=>(const ExternalKey&, const ExternalKey&) = default;
  friend bool operator==(const ExternalKey&, const ExternalKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const ExternalKey& key) {
    return H::combine(std::move(h), key.tenant, key.program, key.source, key.external_id, key.kind);
  }
};

struct ExternalUse {
  MemberKey member;
  std::string wallet;
  int64_t number = 0;
  std::string fingerprint;
  std::string response;  // Serialized.
};

// Thread-compatible.
class LoyaltyWork : public journal::Work {
 public:
  // `clock` is the lanes'. `on_due`, which may be null, is told when points or holds will need
  // attention that this transaction has written. So may be `observer`, who is told what it has
  // changed of members and programmes.
  LoyaltyWork(const Clock* clock, std::function<void(absl::Time)> on_due,
              MembershipObserver* observer = nullptr)
      : clock_(clock), on_due_(std::move(on_due)), observer_(observer) {}

  // ---- Before Load.
  void NeedProgram(const ProgramKey& key);
  void NeedMember(const MemberKey& key);
  // Its totals, what is due in it by now, and the lots that are spent first until they cover
  // `spend`, together with what else the transaction spends. Without an id the programme's first
  // wallet, with the programme.
  void NeedWallet(const WalletKey& key, int64_t spend = 0);
  // What is due by then in all wallets of the transaction, if that is later than now.
  void NeedDueBy(absl::Time time) { due_by_ = std::max(due_by_, time); }
  // Every lot and every open hold.
  void NeedWholeWallet(const WalletKey& key);
  // A contact in all programmes of which they are a member, with whole wallets.
  void NeedContact(const EntityKey& contact);
  // Both, and of the second one the wallets that the first one has.
  void NeedMerge(const EntityKey& merged, const EntityKey& survivor);
  // With its wallet and its lots.
  void NeedHold(const MemberKey& member, const Uuid& hold);
  // With those that refer to it. The lots it names are loaded into `owner`, which is its own wallet
  // or that of whom its member was merged into; and if they are to be taken back, what is spent
  // first to cover them.
  void NeedPosting(const PostingKey& key, const WalletKey& owner, bool take_back = false);
  void NeedExternal(const ExternalKey& key);
  // Of lots of a needed wallet, those of which a warning is due.
  void NeedWarnings(const WalletKey& key, const std::vector<Uuid>& lots);
  // All programmes of a tenant. `then` declares what else is needed, by NeedEvent, if there are
  // any.
  void NeedProgramsOf(const std::string& tenant, std::function<void(LoyaltyWork&)> then);
  // What happened to a contact, for all programmes of the tenant: their members, and the wallets
  // and lots of whatever it may earn or take back. `refund_of`: the event whose points it takes
  // back.
  void NeedEvent(const EntityKey& contact, const std::string& type, const Uuid& event,
                 absl::Time occur_time, std::optional<Uuid> refund_of);

  // ---- After Load: what is stored, with what this transaction has staged. Null: there is none.
  const Program* FindProgram(const ProgramKey& key) const;
  // Of a NeedProgramsOf, as they were when the transaction began: what they say now may need what
  // is not loaded.
  const std::vector<Program>& ProgramsOf(const std::string& tenant) const;
  const Member* FindMember(const MemberKey& key) const;
  // Of a needed contact.
  std::vector<MemberKey> MembersOf(const EntityKey& contact) const;
  // Whom the contact was merged into, as far as that was heard.
  std::optional<Uuid> AliasOf(const EntityKey& contact) const;
  // Empty when nothing was ever posted in it.
  const Wallet& WalletOf(const WalletKey& key) const;
  // Whether it is loaded. Not so when the programme has got it, or another first one, in this very
  // transaction.
  bool HasWallet(const WalletKey& key) const { return wallets_.contains(key); }
  // How many postings it has: the number of the last one.
  int64_t PostingsIn(const WalletKey& key) const { return wallets_.at(key).postings; }
  // Of a needed contact.
  std::vector<WalletKey> WalletsOf(const MemberKey& key) const;
  // In which wallet a NeedHold is, and since when.
  struct HoldPlace {
    WalletKey wallet;
    absl::Time create_time;
    int64_t captured = 0;
    std::optional<int64_t> end_posting;
  };
  const HoldPlace* FindHold(const MemberKey& member, const Uuid& hold) const;
  const StoredPosting* FindPosting(const PostingKey& key) const;
  // Of a NeedPosting: the postings of its wallet that refer to it, in their order.
  std::vector<StoredPosting> References(const PostingKey& key) const;
  const ExternalUse* FindExternal(const ExternalKey& key) const;
  // Of a NeedWarnings: the lots of which the member is to be warned by `now`.
  std::vector<Uuid> DueWarnings(const WalletKey& key, absl::Time now) const;

  // ---- Staging.
  void SaveProgram(const Program& program);
  // All members are to be looked at: the tiers are others from this version of the programme on.
  void StartTierSweep(const ProgramKey& key, int64_t version);
  // Those up to `after` have been; without one, all. Nothing when a later version has begun.
  void AdvanceTierSweep(const ProgramKey& key, int64_t version, std::optional<Uuid> after);
  void SaveMember(const MemberKey& key, const Member& member);
  // To be changed by the rules, and then posted.
  Wallet& Change(const WalletKey& key);
  // What a rule has done to a changed wallet. Gives the posting its number and balance.
  const StoredPosting& Post(const WalletKey& key, StoredPosting posting);
  // Of a hold that this mutation has made or ended.
  void SaveHold(const MemberKey& member, const Uuid& hold, HoldPlace place);
  // The contact is another from now on; what they had is to be moved.
  void SaveAlias(const EntityKey& contact, const Uuid& merged_into);
  // It was moved.
  void AliasMoved(const EntityKey& contact, const Uuid& merged_into);
  // All lots and holds of `from`, also those that are not loaded, are those of `into` now.
  void MoveAll(const WalletKey& from, const WalletKey& into);
  void SaveExternal(const ExternalKey& key, ExternalUse use);
  // When the lot is warned of next.
  void SaveWarning(const WalletKey& key, const Uuid& lot, absl::Time next);
  // Takes away what people said about the member's postings, and the answers that repeat it.
  void ForgetNotes(const MemberKey& key);
  // Orders, and what they earned.
  OrderWork& orders() { return orders_; }
  const OrderWork& orders() const { return orders_; }
  // Corrections by hand.
  AdjustmentWork& adjustments() { return adjustments_; }
  const AdjustmentWork& adjustments() const { return adjustments_; }
  // Points for the best as a group.
  BonusWork& bonuses() { return bonuses_; }
  const BonusWork& bonuses() const { return bonuses_; }
  // Takes away whose coupons were the contact's, who used any, and who redeemed rewards.
  void ForgetCoupons(const EntityKey& contact);

  // What rules remember; to be needed before Load, or by NeedEvent and by members of programmes
  // with tiers.
  RuleWork& rules() { return rules_; }
  const RuleWork& rules() const { return rules_; }

  // What velocity limits have counted.
  VelocityWork& velocity() { return velocity_; }
  const VelocityWork& velocity() const { return velocity_; }

  // To be needed before Load, or by NeedEvent.
  ReferralWork& referrals() { return referrals_; }
  const ReferralWork& referrals() const { return referrals_; }

  // To be needed before Load, or by NeedProgramsOf.
  StageEntryWork& stage_entries() { return stage_entries_; }
  const StageEntryWork& stage_entries() const { return stage_entries_; }

  // ---- journal::Work.
  absl::Status Load(pg::Tx& tx) override;
  void Keep() override;
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;
  absl::Status Sweep(pg::Tx& tx) override;
  absl::Status Committed(const journal::Offsets& heads) override;

 private:
  struct ProgramSlot {
    std::optional<Program> program;
    bool dirty = false;
  };
  struct MemberSlot {
    std::optional<Member> member;
    bool dirty = false;
  };
  struct WalletSlot {
    Wallet wallet;
    int64_t postings = 0;
    int64_t balance = 0;
    int64_t spend = 0;
    bool whole = false;
    bool dirty = false;
  };
  using HoldKey = std::pair<MemberKey, Uuid>;
  struct PostingSlot {
    WalletKey owner;
    bool take_back = false;
    std::optional<StoredPosting> posting;
    std::vector<StoredPosting> references;
  };
  struct ExternalSlot {
    std::optional<ExternalUse> use;
    bool dirty = false;
  };
  template <class Map, class Key, class Value>
  void Put(Map& map, const Key& key, Value value);
  // Every WalletSlot for which `wanted` is true, and their keys as the first four parameters.
  std::vector<WalletSlot*> Select(absl::FunctionRef<bool(const WalletSlot&)> wanted,
                                  pg::Args& args);
  absl::Status LoadPrograms(pg::Tx& tx);
  absl::Status LoadTenants(pg::Tx& tx);
  // What NeedEvent has asked for, once programmes are known.
  absl::Status LoadEvents(pg::Tx& tx);
  absl::Status LoadMembers(pg::Tx& tx);
  absl::Status LoadContacts(pg::Tx& tx);
  absl::Status LoadAliases(pg::Tx& tx);
  absl::Status LoadPostings(pg::Tx& tx);
  absl::Status LoadExternals(pg::Tx& tx);
  absl::Status LoadHolds(pg::Tx& tx);
  absl::Status LoadTotals(pg::Tx& tx);
  absl::Status LoadDue(pg::Tx& tx, absl::Time until);
  absl::Status LoadOpenHolds(pg::Tx& tx, const std::vector<WalletSlot*>& slots,
                             const pg::Args& args);
  void AddLot(WalletSlot& slot, const Lot& lot);
  void AddHold(WalletSlot& slot, Hold hold);
  absl::Status LoadSpendable(pg::Tx& tx, absl::Time from);
  absl::Status LoadWhole(pg::Tx& tx);
  absl::Status LoadWarnings(pg::Tx& tx);
  // Those of holds and postings.
  absl::Status LoadNamedLots(pg::Tx& tx);
  absl::Status FlushPrograms(pg::Tx& tx);
  absl::Status FlushMembers(pg::Tx& tx);
  absl::Status FlushAliases(pg::Tx& tx);
  absl::Status FlushWallets(pg::Tx& tx);
  absl::Status FlushLots(pg::Tx& tx);
  absl::Status FlushWarnings(pg::Tx& tx);
  absl::Status FlushHolds(pg::Tx& tx);
  absl::Status FlushPostings(pg::Tx& tx);
  absl::Status FlushNotes(pg::Tx& tx);
  absl::Status FlushExternals(pg::Tx& tx);
  CommittedMembers CommittedAt(const journal::Offsets& heads) const;
  // The tenant, and the member's contact with all that were merged into it.
  static absl::StatusOr<pg::Args> PersonArgs(pg::Tx& tx, const MemberKey& member);

  struct NeededEvent {
    EntityKey contact;
    std::string type;
    Uuid event;
    absl::Time occur_time;
    std::optional<Uuid> refund_of;
  };

  const Clock* const clock_;
  const std::function<void(absl::Time)> on_due_;
  MembershipObserver* const observer_;
  RuleWork rules_;
  ReferralWork referrals_;
  OrderWork orders_;
  VelocityWork velocity_;
  StageEntryWork stage_entries_;
  AdjustmentWork adjustments_;
  BonusWork bonuses_;
  std::vector<std::pair<std::string, std::function<void(LoyaltyWork&)>>> tenants_;
  absl::flat_hash_map<std::string, std::vector<Program>> tenant_programs_;
  std::vector<NeededEvent> events_;
  std::vector<std::function<void()>> undo_;
  absl::flat_hash_set<WalletKey> changing_;  // By the present mutation.

  absl::flat_hash_map<ProgramKey, ProgramSlot> programs_;
  absl::flat_hash_map<MemberKey, MemberSlot> members_;
  absl::flat_hash_set<EntityKey> contacts_;
  std::vector<std::pair<EntityKey, EntityKey>> merges_;  // Merged, survivor.
  absl::flat_hash_map<EntityKey, std::optional<Uuid>> aliases_;
  std::vector<std::tuple<EntityKey, Uuid, bool>> new_aliases_;  // Whether it was moved.
  // Points to be spent of first wallets that are not known by id yet.
  absl::flat_hash_map<MemberKey, int64_t> first_wallets_;
  absl::Time due_by_ = absl::InfinitePast();
  std::map<WalletKey, WalletSlot> wallets_;  // In the order in which they are written.
  absl::flat_hash_map<HoldKey, std::optional<HoldPlace>> holds_;
  absl::flat_hash_map<PostingKey, PostingSlot> needed_postings_;
  absl::flat_hash_map<ExternalKey, ExternalSlot> externals_;
  std::map<WalletKey, std::map<Uuid, absl::Time>> due_warnings_;  // InfiniteFuture: not loaded.
  std::vector<std::tuple<WalletKey, Uuid, absl::Time>> warnings_;
  std::vector<StoredPosting> postings_;
  std::vector<TierSweepStep> tier_sweeps_;
  std::vector<MemberKey> forgotten_;
  std::vector<EntityKey> without_coupons_;
  std::vector<std::pair<WalletKey, WalletKey>> moved_;
  absl::flat_hash_set<Uuid> stored_;  // Lots and holds that have rows.
  absl::Time next_due_ = absl::InfiniteFuture();
};

// Every statement of the unit of work, for the test that prepares them: those that read and those
// that write.
std::vector<const pg::Statement*> LoyaltyWorkStatements();
std::vector<const pg::Statement*> LoyaltyLoadStatements();
std::vector<const pg::Statement*> LoyaltyFlushStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LOYALTY_WORK_H_
