// What rules remember of members, as part of the unit of work: what events have earned, what caps
// have counted, and what counts for tiers.
#ifndef CLM_SERVICES_LOYALTY_RULE_WORK_H_
#define CLM_SERVICES_LOYALTY_RULE_WORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "services/loyalty/earn_rules.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

struct FactKey {
  ProgramKey program;
  Uuid event;
  friend auto operator<=>(const FactKey&, const FactKey&) = default;
  friend bool operator==(const FactKey&, const FactKey&) = default;
};

// Points that a rule gave for an event.
struct RuleEarning {
  std::string rule;
  std::string wallet;
  int64_t number = 0;  // Of the posting.
  Uuid lot;
  int64_t points = 0;
};

// An event that earned points, counts for a tier, or is a purchase of a member.
struct Fact {
  Uuid contact;  // As it was then.
  absl::Time occur_time;
  int64_t amount_minor = 0;
  int64_t counted = 0;  // For the tier, net of what was refunded.
  int64_t refunded_minor = 0;
  std::vector<RuleEarning> earnings;
  std::string event_type;
  std::string currency;
};

// Points that a member has earned by a rule in a period of one of its caps.
struct CountKey {
  MemberKey member;
  std::string rule;
  EarnCap::Period period = EarnCap::Period::kLifetime;
  absl::Time start;
  friend bool operator<(const CountKey& a, const CountKey& b) {
    return std::tie(a.member, a.rule, a.period, a.start) <
           std::tie(b.member, b.rule, b.period, b.start);
  }
};

// Sums of what counts for a tier, each of what came at its time or later, before the next one.
using TierBasisSums = std::map<absl::Time, int64_t>;

// Thread-compatible. Everything is to be needed, and so loaded, before it is read or changed.
class RuleWork {
 public:
  void NeedFact(const FactKey& key) { facts_.try_emplace(key); }
  void NeedCount(const CountKey& key) { counts_.try_emplace(key); }
  void NeedBasis(const MemberKey& key) { basis_.try_emplace(key); }

  // What has been needed since it was called last.
  absl::Status LoadFacts(pg::Tx& tx);
  absl::Status LoadCounts(pg::Tx& tx);
  absl::Status LoadBasis(pg::Tx& tx);

  const Fact* FindFact(const FactKey& key) const;
  int64_t CountOf(const CountKey& key) const;
  bool HasCount(const CountKey& key) const { return counts_.contains(key); }
  // Whether counts of somebody else have become the member's in this transaction: they are in none
  // that was loaded.
  bool HasReceived(const MemberKey& into) const;
  // Empty for who was not needed.
  const TierBasisSums& BasisOf(const MemberKey& key) const;

  void SaveFact(const FactKey& key, Fact fact);
  void AddToCount(const CountKey& key, int64_t points);
  void AddToBasis(const MemberKey& key, absl::Time at, int64_t value);
  // All that was counted of `from` is that of `into` now.
  void MoveAll(const MemberKey& from, const MemberKey& into);

  void Keep() { undo_.clear(); }
  void Discard();
  absl::Status Flush(pg::Tx& tx);

 private:
  struct FactSlot {
    std::optional<Fact> fact;
    bool loaded = false;
    bool dirty = false;
  };
  struct CountSlot {
    int64_t points = 0;
    int64_t added = 0;
    bool loaded = false;
  };
  struct BasisSlot {
    TierBasisSums sums;
    TierBasisSums added;
    bool loaded = false;
  };
  template <class Map, class Key>
  void Remember(Map& map, const Key& key);
  absl::Status FlushFacts(pg::Tx& tx);
  absl::Status FlushCounts(pg::Tx& tx);
  absl::Status FlushBasis(pg::Tx& tx);

  // Ordered: keys of facts cross shards, and two transactions must not wait for each other.
  std::map<FactKey, FactSlot> facts_;
  std::map<CountKey, CountSlot> counts_;
  std::map<MemberKey, BasisSlot> basis_;
  std::vector<std::pair<MemberKey, MemberKey>> moved_;
  std::vector<std::function<void()>> undo_;
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> RuleWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_RULE_WORK_H_
