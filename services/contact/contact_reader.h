// Reads of the contact service that decide nothing: straight from the database, without locks.
#ifndef CLM_SERVICES_CONTACT_CONTACT_READER_H_
#define CLM_SERVICES_CONTACT_CONTACT_READER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/filter/filter.h"
#include "libs/pg/gather.h"
#include "libs/pg/pg.h"
#include "services/contact/attributes.h"
#include "services/contact/consent.h"
#include "services/contact/contact.h"
#include "services/contact/timeline.h"

namespace clm::contact {

struct StoredContact {
  Contact contact;
  std::vector<Uuid> aliases;
};

// Everything around a contact that a decision about a message needs.
struct ContactSurroundings {
  std::vector<ConsentAct> consents;
  std::vector<Subscription> subscriptions;
  std::vector<Suppression> suppressions;
  std::optional<absl::Time> last_event_time;
  std::vector<LastContact> last_contacts;  // By channel; none of an erased person.
  // Head of the contact's journal shard in the same snapshot: the version of all of this and of the
  // record.
  int64_t version = 0;
};

// Thread-safe.
class ContactReader {
 public:
  ContactReader(pg::Pool* pool, std::string secret);

  // In the order asked for; null where there is none.
  using Found = std::vector<std::shared_ptr<const StoredContact>>;

  // The contacts of one tenant, found also by ids they had before a merge.
  absl::StatusOr<Found> Get(const std::string& tenant, const std::vector<Uuid>& ids,
                            absl::Time deadline);
  // Get of one without blocking, in one statement with whatever else is wanted at that moment; what
  // is committed when it is called is seen. `done` runs on a thread of the reader's and must not
  // block.
  void GetAsync(
      const EntityKey& contact, absl::Time deadline,
      absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const StoredContact>>)> done);

  // The records under these very ids, merged ones included; those that are there.
  absl::StatusOr<std::vector<Contact>> Records(const std::string& tenant,
                                               const std::vector<Uuid>& ids, absl::Time deadline);

  // Which contact has each identifier; nullopt where nobody has.
  absl::StatusOr<std::vector<std::optional<Uuid>>> Owners(
      const std::string& tenant, const std::vector<Identifier>& identifiers, absl::Time deadline);

  // All identifiers of the contacts, for identity resolution.
  absl::StatusOr<std::vector<IdentityProfile>> Profiles(const std::string& tenant,
                                                        const std::vector<Uuid>& ids,
                                                        absl::Time deadline);

  struct ListQuery {
    std::string tenant;
    std::string filter;  // AIP-160, see ListContactsRequest.
    // Of the addresses in the filter; null: the defaults. Must outlive the call.
    const IdentityPolicy* policy = nullptr;
    bool descending = false;
    bool show_erased = false;
    std::optional<Uuid> after;
    int limit = 50;
    absl::Time now;  // Of now() and today() in the filter.
  };
  // The statement of List, with its parameters.
  static absl::StatusOr<std::string> ListSql(const ListQuery& query,
                                             const AttributeRegistry& registry, pg::Args& args);
  // In the order recorded. INVALID_ARGUMENT on `filter` with the position of the fault.
  absl::StatusOr<std::vector<StoredContact>> List(const ListQuery& query, absl::Time deadline);
  absl::StatusOr<int64_t> Count(const ListQuery& query, absl::Time deadline);

  struct EventsQuery {
    EntityKey contact;
    std::string filter;
    std::optional<std::pair<absl::Time, Uuid>> after;  // (occur_time, event_id) of the last row.
    int limit = 50;
    absl::Time now;  // Of now() and today() in the filter.
  };
  // Newest first.
  absl::StatusOr<std::vector<BehaviorEvent>> Events(const EventsQuery& query, absl::Time deadline);

  absl::StatusOr<std::vector<AcquisitionCost>> Costs(const std::string& tenant,
                                                     std::optional<Uuid> contact, const Uuid& after,
                                                     int limit, absl::Time deadline);

  // Tells a violation from others and nothing about the person.
  struct ViolationPlace {
    Uuid contact;
    int kind = 0;
    std::string digest;
  };
  struct ViolationRow {
    ViolationPlace place;
    StoredViolation stored;
  };
  // Of these contacts, or without any of everybody, ordered by contact; those after `after`.
  absl::StatusOr<std::vector<ViolationRow>> Violations(const std::string& tenant,
                                                       const std::vector<Uuid>& contacts,
                                                       const std::optional<ViolationPlace>& after,
                                                       int limit, absl::Time deadline);

  struct HistoryPage {
    std::vector<AttributeHistoryEntry> entries;
    int64_t next_version = 0;  // 0: the end.
  };
  // Changes with versions below `before_version`, newest first; at most `limit` changes, each of
  // which may hold several entries.
  absl::StatusOr<HistoryPage> History(const EntityKey& contact, const std::string& attribute,
                                      int64_t before_version, int limit, absl::Time deadline);

  // The record and what is around it, of one snapshot. NOT_FOUND when there is none. For an id that
  // was merged, the survivor's.
  struct Whole {
    StoredContact stored;
    ContactSurroundings around;
  };
  absl::StatusOr<Whole> GetWhole(const EntityKey& asked, absl::Time deadline);

  // Ordered by id; those after the id `after`.
  absl::StatusOr<std::vector<Topic>> Topics(const std::string& tenant, const std::string& after,
                                            int limit, absl::Time deadline);
  // NOT_FOUND when there is none.
  absl::StatusOr<Topic> GetTopic(const std::string& tenant, const std::string& topic,
                                 absl::Time deadline);

  struct ConsentPage {
    std::vector<ConsentAct> acts;
    std::vector<std::pair<absl::Time, Uuid>> places;  // (act_time, act_id), one for each.
  };
  // Newest first, those after `after`.
  absl::StatusOr<ConsentPage> ConsentActs(const EntityKey& contact,
                                          std::optional<std::pair<absl::Time, Uuid>> after,
                                          int limit, absl::Time deadline);

  struct SuppressionPlace {
    absl::Time create_time;
    std::string channel;
    std::string hash;
  };
  struct SuppressionPage {
    std::vector<Suppression> suppressions;
    std::vector<SuppressionPlace> places;  // One for each.
  };
  // In the order recorded, those after `after`.
  absl::StatusOr<SuppressionPage> ListSuppressions(const std::string& tenant,
                                                   const std::optional<SuppressionPlace>& after,
                                                   int limit, absl::Time deadline);

  // The defaults when none is stored.
  absl::StatusOr<StoredIdentityPolicy> GetIdentityPolicy(const std::string& tenant,
                                                         absl::Time deadline);

  // The definitions of a tenant, as of now.
  absl::StatusOr<std::shared_ptr<const AttributeRegistry>> Registry(const std::string& tenant,
                                                                    absl::Time deadline);

 private:
  using Execute =
      absl::FunctionRef<absl::StatusOr<pg::Result>(const pg::Statement&, const pg::Args&)>;
  absl::StatusOr<Found> Find(const std::string& tenant, const std::vector<Uuid>& ids,
                             absl::Time deadline, Execute execute);
  // From the columns of a contact. `registry` is null at first, and fetched where it does not know
  // the contact's attributes.
  absl::StatusOr<StoredContact> ReadRow(const pg::Row& row, const std::string& tenant,
                                        absl::Time deadline,
                                        std::shared_ptr<const AttributeRegistry>& registry);
  std::shared_ptr<const AttributeRegistry> Cached(const std::string& tenant);
  pg::Pool* const pool_;
  const std::string secret_;
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, std::shared_ptr<const AttributeRegistry>> registries_
      ABSL_GUARDED_BY(mu_);
  // Last: its threads read through all of the above.
  pg::Gather<Uuid, std::shared_ptr<const StoredContact>> gather_;
};

std::vector<const pg::Statement*> ContactReaderStatements();

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_READER_H_
