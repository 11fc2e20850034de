// What members are and have, as it is kept in the customer hash: one part for each contact, a
// clm.contact.v1.CustomerContext with `memberships` only. The customer context of the contact
// service and GetMember are both answered from it.
//
// Its version is the head of the contact's shard in the journal. So whatever a reader can see of a
// member and is not a matter of time or of the programme must record an event about the member;
// time is the part's hold_until, and the programme's version is compared on every read.
//
// In front of it stands the memory of the process, for callers who allow it: the part itself,
// judged in the same way.
#ifndef CLM_SERVICES_LOYALTY_MEMBERSHIP_CACHE_H_
#define CLM_SERVICES_LOYALTY_MEMBERSHIP_CACHE_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/base/clock.h"
#include "libs/cache/customer_hash.h"
#include "libs/cache/freshness.h"
#include "libs/cache/near_cache.h"
#include "libs/journal/follower.h"
#include "libs/rpc/workers.h"
#include "services/loyalty/known_programs.h"
#include "services/loyalty/loyalty_reader.h"
#include "services/loyalty/membership_observer.h"

namespace clm::loyalty {

// The field of the customer hash.
inline constexpr char kMembershipsPart[] = "loyalty";

// Thread-safe.
class MembershipCache : public MembershipObserver {
 public:
  static constexpr int kMostFills = 8;
  // A v1::Member, serialized.
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;

  // `hash` may be null: then every answer comes from the database. So may `near`: then none comes
  // from the memory of the process. `workers` wait for Redis and the database, kMostFills at a
  // time; beyond that who is not in the cache is read without being put there. All of them outlive
  // the cache.
  MembershipCache(LoyaltyReader* reader, cache::CustomerHash* hash, cache::NearCache* near,
                  rpc::Workers* workers, const Clock* clock)
      : reader_(*reader), hash_(hash), near_(near), workers_(*workers), clock_(*clock) {}

  // As LoyaltyReader::GetMember, through the cache. `done` may run on the I/O thread of Redis.
  void GetMember(const MemberKey& key, const cache::Freshness& freshness, absl::Time deadline,
                 Done done);
  // Past it.
  void GetStored(const MemberKey& key, absl::Time deadline, Done done);

  absl::Status MembersCommitted(const CommittedMembers& committed) override;
  // What of the cache these events of the loyalty service make old.
  static std::vector<cache::PartChange> Outdated(absl::Span<const journal::Placed> events);

 private:
  // From the memory of the process.
  std::optional<std::string> Recall(const MemberKey& key, int64_t program_version,
                                    const cache::Freshness& freshness);
  absl::Status TellHash(const CommittedMembers& committed);
  absl::StatusOr<cache::Part> Load(const EntityKey& contact, absl::Time deadline);
  // On a worker: reads through the cache.
  void Fill(const MemberKey& key, absl::Time deadline, Done done);
  // On a worker: puts what there is now in the place of what was told by older terms.
  void Renew(const MemberKey& key, absl::Time deadline, Done done);
  // Or, when enough are at it, the answer of the database, where many share a read.
  void OnWorker(const MemberKey& key, absl::Time deadline, Done done,
                void (MembershipCache::*run)(const MemberKey&, absl::Time, Done));

  LoyaltyReader& reader_;
  cache::CustomerHash* const hash_;
  cache::NearCache* const near_;
  rpc::Workers& workers_;
  const Clock& clock_;
  KnownPrograms programs_;
  std::atomic<int> fills_{0};
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_MEMBERSHIP_CACHE_H_
