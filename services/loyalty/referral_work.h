// Referrals, their codes and what tells people apart, as part of the unit of work.
#ifndef CLM_SERVICES_LOYALTY_REFERRAL_WORK_H_
#define CLM_SERVICES_LOYALTY_REFERRAL_WORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "services/loyalty/program.h"
#include "services/loyalty/referral_keys.h"

namespace clm::loyalty {

// The columns of ReadReferral and ReadReferralCode.
#define CLM_REFERRAL_COLUMNS                                                               \
  "r.tenant_id, r.program_id, r.id, r.code_id, r.friend_id, r.advocate_id, r.state, "      \
  "r.end_reason, r.terms, r.claim_time, r.due_time, r.purchase_id, r.purchase_time, "      \
  "r.purchase_minor, r.refunded_minor, r.reward_time, r.end_time, r.friend_member, "       \
  "r.friend_number, r.friend_lot, r.friend_points, r.friend_returned, r.advocate_member, " \
  "r.advocate_number, r.advocate_lot, r.advocate_points, r.advocate_returned, r.version"
#define CLM_REFERRAL_CODE_COLUMNS                                                        \
  "c.tenant_id, c.program_id, c.id, c.contact_id, c.code, c.shown_code, c.usage_limit, " \
  "c.uses, c.start_time, c.expire_time, c.friend_id, c.friend_only, c.revoke_time, "     \
  "c.create_time, c.version"

// INTERNAL for a row that no version of this program wrote.
absl::StatusOr<StoredReferral> ReadReferral(const pg::Row& row);
StoredReferralCode ReadReferralCode(const pg::Row& row);

// Thread-compatible. Everything is to be needed, and so loaded, before it is read or changed.
class ReferralWork {
 public:
  // ---- Before Load.
  void NeedReferral(const ReferralKey& key) { referrals_.try_emplace(key); }
  // The referrals of a friend in a programme, and their first purchase.
  void NeedFriend(const MemberKey& key) { friends_.try_emplace(key); }
  // The same in all programmes.
  void NeedContact(const EntityKey& contact) { contacts_.insert(contact); }
  void NeedCode(const ReferralCodeKey& key) { codes_.try_emplace(key); }
  void NeedCodesOf(const MemberKey& advocate) { advocates_.try_emplace(advocate); }
  // Whether a folded code is taken.
  void NeedTaken(const ProgramKey& program, const std::string& code) { taken_[{program, code}]; }
  // The hashes that are kept of somebody.
  void NeedIdentifiers(const MemberKey& key) { identifiers_.try_emplace(key); }
  // How many referrals count for the advocate's limit.
  void NeedCount(const MemberKey& advocate) { counts_.try_emplace(advocate); }
  // How many claims count for the limit of that hash.
  void NeedClaims(const ProgramKey& program, const std::string& hash) { claims_[{program, hash}]; }

  // ---- After Load. Null: there is none.
  const StoredReferral* FindReferral(const ReferralKey& key) const;
  // Of a NeedFriend or NeedContact, in the order in which they were claimed.
  std::vector<StoredReferral> ReferralsOf(const MemberKey& friend_key) const;
  std::vector<ProgramKey> ProgramsOf(const EntityKey& contact) const;
  const ReferralPurchase* FirstPurchaseOf(const MemberKey& key) const;
  const StoredReferralCode* FindCode(const ReferralCodeKey& key) const;
  // Those that are not revoked.
  std::vector<StoredReferralCode> CodesOf(const MemberKey& advocate) const;
  bool Taken(const ProgramKey& program, const std::string& code) const;
  const std::set<std::string>& IdentifiersOf(const MemberKey& key) const;
  // By the limit that the programme had when the transaction began; nullopt: it was another one.
  std::optional<int64_t> CountOf(const MemberKey& advocate,
                                 const std::optional<ReferralLimit>& limit) const;
  std::optional<int64_t> ClaimsOf(const ProgramKey& program, const std::string& hash,
                                  const std::optional<ReferralLimit>& limit) const;

  // ---- Staging.
  // Of a needed one or a new one. What is stored as its advocate changes by MoveAdvocate alone,
  // whose shard may be another.
  void SaveReferral(const StoredReferral& referral);
  void SaveCode(const StoredReferralCode& code);
  void SavePurchase(const MemberKey& key, const ReferralPurchase& purchase);
  void AddIdentifiers(const MemberKey& key, const std::vector<std::string>& hashes);
  void AddClaim(const ProgramKey& program, const std::string& hash, absl::Time now);
  // What `from` has as an advocate, and what tells them apart, is of `into` now; so are the first
  // purchases.
  void MoveAll(const EntityKey& from, const Uuid& into);
  // Takes the contact off everything, with all that were merged into it.
  void Forget(const EntityKey& contact);

  void Keep() { undo_.clear(); }
  void Discard();
  // Finds the programmes of needed contacts, before Load.
  absl::Status LoadContacts(pg::Tx& tx, absl::FunctionRef<void(const ProgramKey&)> found);
  // `now`: what the periods of limits are those of.
  absl::Status Load(pg::Tx& tx, absl::Time now,
                    absl::FunctionRef<const Program*(const ProgramKey&)> program);
  absl::Status Flush(pg::Tx& tx);

 private:
  template <class T>
  struct Slot {
    std::optional<T> row;
    bool is_new = false;
    bool dirty = false;
  };
  struct FriendSlot {
    std::optional<ReferralPurchase> purchase;
    bool dirty = false;
  };
  struct CountSlot {
    std::optional<ReferralLimit> limit;
    absl::Time start;
    int64_t stored = 0;
    int64_t added = 0;
  };
  template <class Map, class Key, class Value>
  void Put(Map& map, const Key& key, Value value);
  absl::Status LoadFriends(pg::Tx& tx);
  absl::Status LoadReferrals(pg::Tx& tx);
  absl::Status LoadCodes(pg::Tx& tx);
  absl::Status LoadLimits(pg::Tx& tx, absl::Time now,
                          absl::FunctionRef<const Program*(const ProgramKey&)> program);
  absl::Status FlushReferrals(pg::Tx& tx);
  absl::Status FlushCodes(pg::Tx& tx);
  absl::Status FlushPeople(pg::Tx& tx);

  std::vector<std::function<void()>> undo_;
  std::map<ReferralKey, Slot<StoredReferral>> referrals_;
  std::map<MemberKey, FriendSlot> friends_;
  std::set<EntityKey> contacts_;
  std::map<ReferralCodeKey, Slot<StoredReferralCode>> codes_;
  std::map<MemberKey, bool> advocates_;
  std::map<std::pair<ProgramKey, std::string>, bool> taken_;
  std::map<MemberKey, std::set<std::string>> identifiers_;
  std::vector<std::pair<MemberKey, std::string>> new_identifiers_;
  std::map<MemberKey, CountSlot> counts_;
  std::map<std::pair<ProgramKey, std::string>, CountSlot> claims_;
  std::vector<std::tuple<ProgramKey, std::string, absl::Time>> new_claims_;
  std::vector<std::pair<EntityKey, Uuid>> moved_;
  std::vector<EntityKey> forgotten_;
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> ReferralWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REFERRAL_WORK_H_
