// What the loyalty service reads for its callers and its background, past the unit of work.
#ifndef CLM_SERVICES_LOYALTY_LOYALTY_READER_H_
#define CLM_SERVICES_LOYALTY_LOYALTY_READER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/ledger_service.pb.h"
#include "clm/loyalty/v1/loyalty.pb.h"
#include "clm/loyalty/v1/membership.pb.h"
#include "libs/base/clock.h"
#include "libs/pg/gather.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/loyalty_work.h"

namespace clm::loyalty {

// Lots that may expire soon enough for a warning.
struct DueWarning {
  WalletKey wallet;
  std::vector<Uuid> lots;
};

// Thread-safe. Everything blocks but GetMember.
class LoyaltyReader {
 public:
  // Both outlive it.
  LoyaltyReader(pg::Pool* pool, const Clock* clock);

  // NOT_FOUND when there is none.
  absl::StatusOr<Program> GetProgram(const ProgramKey& key, absl::Time deadline);
  // By id, those after `after`.
  absl::StatusOr<std::vector<Program>> Programs(const std::string& tenant, const std::string& after,
                                                int limit, absl::Time deadline);

  struct Found {
    std::string member;  // A v1::Member, serialized.
    int64_t program_version = 0;
  };
  // What they have now, whether or not the timers have got there. NOT_FOUND; of somebody who was
  // merged, the survivor. Callers of one tenant share a read. `done` runs on a thread of the
  // reader, or at once when the call is refused.
  void GetMember(const MemberKey& key, absl::Time deadline,
                 absl::AnyInvocable<void(absl::StatusOr<Found>)> done);
  // What a contact is and has in all programmes; nothing of somebody who was erased.
  struct CustomerMemberships {
    std::vector<v1::Membership> memberships;  // By programme.
    // Of the shard of the contact in the journal: grows with whatever changes them, but for changes
    // of programmes.
    int64_t version = 0;
    absl::Time as_of;                                // Whole microseconds.
    absl::Time hold_until = absl::InfiniteFuture();  // The earliest of theirs.
    // Some are of whom the contact was merged into: what changes those does not raise `version`.
    bool moved = false;
  };
  absl::StatusOr<CustomerMemberships> Memberships(const EntityKey& contact, absl::Time deadline);
  // Those who were not merged, by contact id, after `after`.
  absl::StatusOr<std::vector<v1::Member>> Members(const ProgramKey& key,
                                                  const std::optional<Uuid>& after, int limit,
                                                  absl::Time now, absl::Time deadline);

  // NOT_FOUND when there is none.
  absl::StatusOr<v1::Hold> GetHold(const HoldName& name, absl::Time now, absl::Time deadline);
  absl::StatusOr<StoredPosting> GetPosting(const PostingKey& key, absl::Time deadline);
  // Of a member's wallet, by id or the programme's first, newest first, with numbers below
  // `before`. NOT_FOUND without the member.
  absl::StatusOr<std::vector<StoredPosting>> Postings(const MemberKey& key,
                                                      const std::string& wallet,
                                                      std::optional<int64_t> before, int limit,
                                                      absl::Time deadline);

  struct Sums {
    int64_t points = 0;  // Active, pending and held.
    int64_t debt = 0;
  };
  // What all postings up to `as_of` come to, by wallet id.
  absl::StatusOr<std::map<std::string, Sums>> Outstanding(const ProgramKey& key, absl::Time as_of,
                                                          absl::Time deadline);
  // Of one snapshot.
  absl::StatusOr<v1::AuditProgramResponse> AuditProgram(const ProgramKey& key, absl::Time deadline);

  // Wallets in which something is due by `now`, those first that have waited longest.
  absl::StatusOr<std::vector<WalletKey>> Due(absl::Time now, int limit);
  // The wallets of up to `limit` lots of which a warning is due.
  absl::StatusOr<std::vector<DueWarning>> DueWarnings(absl::Time now, int limit);
  // Members whose tier is to be looked at by `now`, likewise.
  absl::StatusOr<std::vector<MemberKey>> DueTiers(absl::Time now, int limit);
  // Up to `limit` members of a programme whose tiers were changed; nullopt: there is none.
  absl::StatusOr<std::optional<TierSweep>> NextTierSweep(int limit);
  // Contacts, and whom they were merged into, whose points have not followed yet.
  absl::StatusOr<std::vector<std::pair<EntityKey, Uuid>>> ToMove(int limit);
  // When the next thing is due; InfiniteFuture: never.
  absl::StatusOr<absl::Time> NextDue();

 private:
  // Loads what `work` needs, in one snapshot.
  absl::Status Load(const std::string& tenant, LoyaltyWork& work, absl::Time deadline);
  // Null: there is none.
  using View = std::shared_ptr<const Found>;
  // In their order, of one snapshot, by as many statements as for one. `hold_until`, if not null:
  // until when each of them stays as it is.
  absl::StatusOr<std::vector<v1::Member>> ViewsOf(
      pg::Tx& tx, const Program& program, const std::vector<std::pair<MemberKey, Member>>& members,
      absl::Time now, std::vector<absl::Time>* hold_until = nullptr);
  // As of `now`, in their order, also under names they had before a merge; null: there is none.
  // Without hold_until_time unless `bounded`.
  absl::StatusOr<std::vector<std::shared_ptr<const v1::Membership>>> MembershipsOf(
      pg::Tx& tx, const std::vector<MemberKey>& keys, absl::Time now, bool bounded);
  absl::StatusOr<std::vector<View>> GetMembers(const std::string& tenant,
                                               const std::vector<MemberKey>& keys,
                                               absl::Time deadline);

  pg::Pool& pool_;
  const Clock& clock_;
  pg::Gather<MemberKey, View> gather_;
};

std::vector<const pg::Statement*> LoyaltyReaderStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LOYALTY_READER_H_
