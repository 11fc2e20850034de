// Bonus runs as part of the unit of work: how far they are, who was picked, and who has got the
// bonus.
//
// A run is changed under the shard of its name alone. Who gives some of it holds a shared lock on
// the run besides the shard of who gets it, and a lock on every row of that person in the run: a
// merge that is heard at the same time may make two rows one person's.
#ifndef CLM_SERVICES_LOYALTY_BONUS_WORK_H_
#define CLM_SERVICES_LOYALTY_BONUS_WORK_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "libs/base/resource_name.h"
#include "libs/pg/pg.h"
#include "services/loyalty/bonuses.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

// Thread-compatible.
class BonusWork {
 public:
  // ---- Before the transaction loads.
  void NeedRun(const BonusRunKey& key) { runs_.try_emplace(key); }
  // The run is to be stopped: nobody is giving any of it any more, and what was given is counted.
  void NeedStopped(const BonusRunKey& key);
  // Somebody who was picked, who is `payee` by now.
  void NeedGrant(const BonusRunKey& key, const Uuid& picked, const Uuid& payee);
  absl::Status Load(pg::Tx& tx);

  // ---- After it. Null: there is none.
  const BonusRun* FindRun(const BonusRunKey& key) const;
  const BonusMember* FindMember(const BonusRunKey& key, const Uuid& picked) const;
  // Whether that person, by any of their names, has got the bonus of the run.
  bool HasGot(const BonusRunKey& key, const Uuid& payee) const;
  // Counts what this very transaction has given, which NeedStopped has not.
  void CountStaged(BonusRun& run) const;

  // ---- Staging.
  void SaveRun(const BonusRun& run);
  // Who is eligible; nobody who was erased meanwhile.
  void AddMembers(const BonusRunKey& key, std::vector<BonusMember> members);
  // Those of rank 0 go, the others are in.
  void SaveRanks(const BonusRunKey& key, std::vector<BonusMember> members);
  void SaveMember(const BonusRunKey& key, const BonusMember& member);
  // Takes away that the person was picked, by older names too.
  void Forget(const EntityKey& contact);

  void Keep() { undo_.clear(); }
  void Discard();
  absl::Status Flush(pg::Tx& tx);

 private:
  struct RunSlot {
    std::optional<BonusRun> run;
    bool stopped = false;
    bool loaded = false;
    bool dirty = false;
  };
  struct MemberSlot {
    std::optional<BonusMember> member;
    bool dirty = false;
  };
  using Pick = std::pair<BonusRunKey, Uuid>;
  using Page = std::pair<BonusRunKey, std::vector<BonusMember>>;

  absl::Status LoadRuns(pg::Tx& tx);
  absl::Status LoadNames(pg::Tx& tx);
  absl::Status LoadMembers(pg::Tx& tx);
  absl::Status FlushRuns(pg::Tx& tx);
  absl::Status FlushPages(pg::Tx& tx);
  absl::Status FlushMembers(pg::Tx& tx);

  std::map<BonusRunKey, RunSlot> runs_;
  std::map<Pick, MemberSlot> members_;
  std::map<EntityKey, std::set<Uuid>> names_;  // Of payees, their own included.
  std::vector<Pick> payees_;
  std::vector<Page> added_, ranked_;
  std::vector<EntityKey> forgotten_;
  std::vector<std::function<void()>> undo_;
};

std::vector<const pg::Statement*> BonusWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BONUS_WORK_H_
