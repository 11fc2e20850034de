// The unit of work of coupons: the coupons, budgets and uses that the mutations of one transaction
// read and change. Its lanes are their own, over the same journal as those of points. What a coupon
// and a budget count is what their uses add up to: it follows from SaveUse, and is set nowhere
// else.
//
// A coupon is changed under its shard, a budget under its own, and whose a coupon or a use is may
// be written under that of the person's contact alone: then no erasure is under way. Codes are
// given out under the shard of the programme.
#ifndef CLM_SERVICES_LOYALTY_COUPON_WORK_H_
#define CLM_SERVICES_LOYALTY_COUPON_WORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/uuid.h"
#include "libs/journal/mutation.h"
#include "libs/pg/pg.h"
#include "services/loyalty/coupons.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/program.h"

namespace clm::loyalty {

struct CouponKey {
  std::string tenant;
  std::string program;
  Uuid id;
  friend auto operator<=>(const CouponKey&, const CouponKey&) = default;
  friend bool operator==(const CouponKey&, const CouponKey&) = default;
};

struct CouponBudgetKey {
  std::string tenant;
  std::string program;
  std::string id;
  friend auto operator<=>(const CouponBudgetKey&, const CouponBudgetKey&) = default;
  friend bool operator==(const CouponBudgetKey&, const CouponBudgetKey&) = default;
};

struct CouponUseKey {
  CouponKey coupon;
  Uuid id;
  friend auto operator<=>(const CouponUseKey&, const CouponUseKey&) = default;
  friend bool operator==(const CouponUseKey&, const CouponUseKey&) = default;
};

struct StoredCoupon {
  CouponKey key;
  std::string code;  // Folded.
  std::string shown_code;
  std::string display_name;
  std::string batch;
  std::string budget;  // Its id; empty: none.
  // The only one who may use it, as the coupon was made.
  std::optional<Uuid> contact;
  bool member_erased = false;
  // Its member is the id of the contact that `contact` has become.
  Coupon terms;
  int64_t used = 0;
  int64_t reserved = 0;
  int64_t value_minor = 0;
  absl::Time create_time;
  absl::Time update_time;
  int64_t version = 0;  // Of the terms.
};

struct StoredCouponBudget {
  CouponBudgetKey key;
  std::string display_name;
  CouponBudget budget;
  absl::Time create_time;
  absl::Time update_time;
  int64_t version = 0;  // Of the ceilings.
};

// The numbers are those of the API.
enum class CouponUseState { kReserved = 1, kRedeemed, kTimedOut, kReleased, kCancelled };

struct CouponUse {
  CouponUseKey key;
  std::optional<Uuid> contact;  // As it was made.
  std::optional<Uuid> person;   // What the contact has become.
  CouponUseState state = CouponUseState::kReserved;
  std::string currency;
  int64_t order_minor = 0;
  int64_t discount_minor = 0;
  int64_t value_minor = 0;      // Of the discount, for the coupon.
  std::string budget;           // Id.
  bool budget_counted = false;  // It is among the uses of the budget.
  int64_t budget_minor = 0;     // Of the discount, for the budget.
  std::string source;
  std::string external_id;
  absl::Time create_time;
  absl::Time expire_time = absl::InfiniteFuture();  // Of the reservation.
  std::optional<absl::Time> redeem_time;
  std::optional<absl::Time> end_time;
  int64_t version = 0;
};

enum class CouponKeyKind { kReserve = 1, kRedeem = 2 };

// The caller's own id of a use.
struct CouponExternalKey {
  std::string tenant;
  std::string program;
  std::string source;
  std::string external_id;
  CouponKeyKind kind = CouponKeyKind::kRedeem;
  friend auto operator<=>(const CouponExternalKey&, const CouponExternalKey&) = default;
  friend bool operator==(const CouponExternalKey&, const CouponExternalKey&) = default;
};

struct CouponExternalUse {
  CouponUseKey use;
  std::string fingerprint;
  std::string response;         // Serialized, without the member.
  std::optional<Uuid> contact;  // Of the use.
};

// Somebody in a programme.
struct CouponPerson {
  std::optional<Uuid> merged_into;
  bool member = false;  // Under this name, or one that was merged into it.
  bool erased = false;
};

// Thread-compatible.
class CouponWork : public journal::Work {
 public:
  // `clock` is the lanes'.
  explicit CouponWork(const Clock* clock) : clock_(clock) {}

  // ---- Before Load.
  void NeedProgram(const ProgramKey& key) { programs_.try_emplace(key); }
  void NeedCoupon(const CouponKey& key) { coupons_.try_emplace(key); }
  void NeedBudget(const CouponBudgetKey& key) { budgets_.try_emplace(key); }
  // Whether a folded code is taken.
  void NeedCode(const ProgramKey& program, const std::string& code) { codes_[{program, code}]; }
  void NeedUse(const CouponUseKey& key) { uses_.try_emplace(key); }
  void NeedPerson(const MemberKey& key) { persons_.try_emplace(key); }
  // How often the person of a contact has used a coupon, by whatever name.
  void NeedCounts(const CouponKey& coupon, const Uuid& contact) { counts_[{coupon, contact}]; }
  void NeedExternal(const CouponExternalKey& key) { externals_.try_emplace(key); }

  // ---- After Load: what is stored, with what this transaction has staged. Null: there is none.
  const Program* FindProgram(const ProgramKey& key) const;
  const StoredCoupon* FindCoupon(const CouponKey& key) const;
  const StoredCouponBudget* FindBudget(const CouponBudgetKey& key) const;
  bool CodeTaken(const ProgramKey& program, const std::string& code) const;
  const CouponUse* FindUse(const CouponUseKey& key) const;
  const CouponPerson& Person(const MemberKey& key) const { return persons_.at(key); }
  const CouponExternalUse* FindExternal(const CouponExternalKey& key) const;
  struct Counts {
    Uuid person;  // What the contact has become.
    int64_t used = 0;
    int64_t reserved = 0;
  };
  const Counts& CountsOf(const CouponKey& coupon, const Uuid& contact) const {
    return counts_.at({coupon, contact});
  }
  // Reservations whose time is over by then do not count, whatever is stored.
  absl::Time as_of() const { return as_of_; }

  // ---- Staging.
  // Not its counts. A new one takes its code.
  void SaveCoupon(const StoredCoupon& coupon);
  void SaveBudget(const StoredCouponBudget& budget);
  // Of a needed coupon and, if it names one, a needed budget. What they count follows.
  void SaveUse(const CouponUse& use);
  void SaveExternal(const CouponExternalKey& key, CouponExternalUse use);

  // ---- journal::Work.
  absl::Status Load(pg::Tx& tx) override;
  void Keep() override { undo_.clear(); }
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;

 private:
  template <class T>
  struct Slot {
    std::optional<T> row;
    bool is_new = false;
    bool dirty = false;
  };
  template <class Map, class Key, class Value>
  void Put(Map& map, const Key& key, Value value);
  absl::Status LoadPrograms(pg::Tx& tx);
  absl::Status LoadCoupons(pg::Tx& tx);
  absl::Status LoadBudgets(pg::Tx& tx);
  absl::Status LoadCodes(pg::Tx& tx);
  absl::Status LoadUses(pg::Tx& tx);
  absl::Status LoadPersons(pg::Tx& tx);
  absl::Status LoadCounts(pg::Tx& tx);
  absl::Status LoadExternals(pg::Tx& tx);
  absl::Status FlushCoupons(pg::Tx& tx);
  absl::Status FlushBudgets(pg::Tx& tx);
  absl::Status FlushUses(pg::Tx& tx);
  absl::Status FlushExternals(pg::Tx& tx);

  const Clock* const clock_;
  absl::Time as_of_ = absl::InfinitePast();
  std::vector<std::function<void()>> undo_;
  std::map<ProgramKey, std::optional<Program>> programs_;
  std::map<CouponKey, Slot<StoredCoupon>> coupons_;
  std::map<CouponBudgetKey, Slot<StoredCouponBudget>> budgets_;
  std::map<std::pair<ProgramKey, std::string>, bool> codes_;
  std::map<CouponUseKey, Slot<CouponUse>> uses_;
  std::map<MemberKey, CouponPerson> persons_;
  std::map<std::pair<CouponKey, Uuid>, Counts> counts_;
  std::map<CouponExternalKey, Slot<CouponExternalUse>> externals_;
};

// Every statement, for the test that prepares them.
std::vector<const pg::Statement*> CouponWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_WORK_H_
