// The lifecycle service's rows in PostgreSQL: the unit of work of its lanes, and the reads of its
// RPCs. All SQL of the service is in the .cc of this file.
#ifndef CLM_SERVICES_LIFECYCLE_PG_LIFECYCLE_STORE_H_
#define CLM_SERVICES_LIFECYCLE_PG_LIFECYCLE_STORE_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/clock.h"
#include "libs/base/resource_name.h"
#include "libs/journal/mutation.h"
#include "libs/pg/migrate.h"
#include "libs/pg/pg.h"
#include "services/lifecycle/customer.h"
#include "services/lifecycle/known_customers.h"
#include "services/lifecycle/models.h"

namespace clm::lifecycle {

// The stages of a customer after a commit that changed them.
struct ChangedStages {
  EntityKey contact;
  int64_t version = 0;  // Of the whole; grows with each change.
  absl::Time as_of;
  std::string stages;  // A serialized clm.lifecycle.v1.GetCustomerStagesResponse.
};

// Told after the commit, on the lane's thread; brief.
class StageCacheHook {
 public:
  virtual ~StageCacheHook() = default;
  // Not OK when the cache could not be told.
  virtual absl::Status StagesChanged(const std::vector<ChangedStages>& changed) = 0;
};

// A cost record of the contact service.
struct Cost {
  Uuid id;
  std::optional<Uuid> contact;
  std::string source;
  absl::CivilDay start;
  absl::CivilDay end;
  int64_t amount_minor = 0;
  std::string currency;
  absl::Time create_time;
};

// The unit of work. Everything is declared first, and loaded by one statement per kind for the
// whole batch; what turns out to be missing all the same is loaded when it is asked for. A merge
// changes customers of other shards than its own, so it is alone while it runs: it waits for every
// transaction that has loaded customers, and those that come later wait for it.
class LifecycleWork : public journal::Work {
 public:
  struct Context {
    ModelCache* models = nullptr;
    KnownCustomers* known = nullptr;
    const Clock* clock = nullptr;
    StageCacheHook* cache = nullptr;  // May be null.
    // Told the earliest due time of each commit; InfinitePast when there is other work for the
    // background.
    std::function<void(absl::Time due)> on_due;
    // Until then, in microseconds since 1970, facts are looked for before they are inserted unread.
    mutable std::atomic<int64_t> look_until_micros = 0;
  };
  explicit LifecycleWork(const Context* context) : context_(context) {}

  // What to load; before Load.
  void NeedModels(const std::string& tenant) { tenants_.insert(tenant); }
  // Models and rules as they are kept, to change them. The caller holds all shards.
  void NeedDefinitions(const std::string& tenant);
  void NeedCustomer(const EntityKey& key);
  // The customer, and of its history what folding these facts will look at.
  void NeedFold(const EntityKey& key, const std::vector<FactPtr>& facts);
  // The same for behaviour events. When no model's rules name any that is declared of the customer,
  // only its being there is looked up: CustomerOf then has nothing but `known`.
  void NeedRecord(const EntityKey& key, const std::vector<FactPtr>& facts);
  // The customer with all facts and the log.
  void NeedAll(const EntityKey& key);
  // Both of a merge, and nobody else at work while it runs.
  void NeedMerge(const EntityKey& survivor, const EntityKey& merged);
  // Facts decoded while declaring, for Apply of the same event.
  void Remember(const event::v1::Event* event, std::vector<FactPtr> facts) {
    decoded_[event] = std::move(facts);
  }
  const std::vector<FactPtr>* Remembered(const event::v1::Event* event) const;

  absl::Status Load(pg::Tx& tx) override;
  void Keep() override;
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;
  absl::Status Committed(const journal::Offsets& heads) override;

  // Reading. Customers that nobody has heard of have known == false.
  const TenantModels& Models(const std::string& tenant) const;
  const Customer& CustomerOf(const EntityKey& key);
  // Facts loaded or staged so far, in order.
  const std::vector<FactPtr>& FactsOf(const EntityKey& key);
  bool HasFact(const EntityKey& key, const FactPtr& fact);
  // Live log of the customer in a model; after LoadAll.
  const std::vector<RecordedTransition>& LogOf(const EntityKey& key, const std::string& model);
  // Makes sure that all facts and the log are there, or what `model` looks back at.
  absl::Status LoadAll(const EntityKey& key);
  absl::Status LoadHistory(const EntityKey& key);

  // Staging. A customer must have been declared.
  Customer& Change(const EntityKey& key);  // Marks the row for writing.
  // The same when nothing but the version changes.
  Customer& Progress(const EntityKey& key);
  void AddFact(const EntityKey& key, const FactPtr& fact);
  void SavePlace(const EntityKey& key, const PlaceChange& change);
  // All facts of `from` become those of `to` (of whom it was merged into, if it was), and the
  // places of `from` go. Its log is voided; the lines are returned by model. Both need all loaded.
  std::vector<std::pair<std::string, RecordedTransition>> MoveHistory(const EntityKey& from,
                                                                      const EntityKey& to,
                                                                      absl::Time now);
  // Personal values go: attributes, properties of facts, reasons of moves, recorded answers.
  void Erase(const EntityKey& key);
  // Gives a fact to the customer that `alias` was merged into, who is folded again later under its
  // own shard.
  void Redirect(const EntityKey& alias, const FactPtr& fact);
  void AddCost(const std::string& tenant, Cost cost);
  void RefoldDone(const EntityKey& key, const Uuid& token);

  const std::map<std::string, ModelDefinition>& Definitions(const std::string& tenant) const;
  // Customers now in each stage of a model, as committed; and whether the tenant has any customer.
  absl::StatusOr<std::map<std::string, int64_t>> CountByStage(const std::string& tenant,
                                                              const std::string& model);
  absl::StatusOr<bool> HasCustomers(const std::string& tenant);
  // Serialized clm.lifecycle.v1.Kpi of the tenant, by id, as committed.
  absl::StatusOr<std::vector<std::string>> Kpis(const std::string& tenant);
  // Stages a changed model: compiles it, so that later mutations of this transaction fold by it,
  // and has the tenant's customers folded again in the background (`anew`: from their first fact
  // on).
  absl::Status SaveModel(const std::string& tenant, ModelDefinition definition, bool refold,
                         bool anew);
  void SaveRule(const std::string& tenant, RuleRecord record);
  void DeleteRule(const std::string& tenant, const RuleRecord& record);

 private:
  enum class Depth { kNone, kSome, kAll };
  struct Entry {
    Customer customer;
    bool dirty = false;
    bool progressed = false;  // The version only, unless dirty too.
    bool inserted = false;    // Not known before this transaction.
    bool unread = false;      // Only known to be there.
    bool erased = false;      // What is loaded later is still to be made bare.
    std::optional<Uuid> was_merged_into;
    bool visible = false;  // For the cache.
    std::set<std::string> dirty_places;
    Depth depth = Depth::kNone;
    std::vector<FactPtr> facts;  // In order: loaded and staged.
    bool has_log = false;
    std::map<std::string, std::vector<RecordedTransition>> log;
    std::vector<PlaceChange> unlogged;    // Staged before the log was loaded.
    absl::flat_hash_set<Uuid> known_ids;  // Of declared facts that are stored already.
  };
  struct Line {
    EntityKey key;
    std::string model;
    RecordedTransition transition;
  };
  struct Overdue {
    EntityKey key;
    std::string model;
    OverdueNotice notice;
  };
  struct Job {
    std::string tenant, model;
    bool anew;
  };
  struct Moved {
    EntityKey from, to;
    bool further;  // `to` is an alias itself: to the last one that it leads to.
  };
  struct SavedRule {
    std::string tenant;
    RuleRecord record;
    bool deleted = false;
  };
  // What Flush writes beside customers and places. Append only, so that Discard can cut it.
  struct Pending {
    std::vector<std::pair<EntityKey, FactPtr>> facts;
    std::vector<std::pair<EntityKey, FactPtr>> unread;  // Facts that may be stored already.
    std::vector<Line> appended;
    std::vector<Line> voided;
    std::vector<Overdue> overdue;
    std::vector<Moved> moved;
    std::vector<EntityKey> erased;
    std::vector<std::pair<EntityKey, FactPtr>> redirected;
    std::vector<std::pair<std::string, Cost>> costs;
    std::vector<std::pair<EntityKey, Uuid>> refolded;
    std::vector<std::pair<std::string, std::string>> models;  // Tenant and id: written from defs.
    std::vector<Job> jobs;
    std::vector<SavedRule> rules;
  };
  struct Tenant {
    std::shared_ptr<const TenantModels> models;
    std::map<std::string, ModelDefinition> definitions;
    bool changed = false;
  };

  Entry& Get(const EntityKey& key);
  Entry& Touch(const EntityKey& key);
  Tenant& TouchTenant(const std::string& tenant);
  absl::Status LoadModels(pg::Tx& tx);
  // Takes those away from `keys` whose being there is enough.
  absl::Status LoadUnread(pg::Tx& tx, std::vector<EntityKey>& keys);
  void AddUnread(const EntityKey& key);
  absl::Status LoadCustomers(pg::Tx& tx, const std::vector<EntityKey>& keys);
  absl::Status LoadKnownIds(pg::Tx& tx);
  absl::Status LoadFacts(pg::Tx& tx, const std::vector<EntityKey>& keys, Depth depth);
  absl::Status LoadLog(pg::Tx& tx, const std::vector<EntityKey>& keys);
  Depth DepthFor(const Entry& entry, const std::vector<FactPtr>& facts) const;
  absl::Status FlushModels(pg::Tx& tx);
  absl::Status FlushCustomers(pg::Tx& tx);
  absl::Status FlushFacts(pg::Tx& tx);
  absl::Status InsertUnread(pg::Tx& tx) const;
  absl::Status FlushPlaces(pg::Tx& tx);
  absl::Status FlushLog(pg::Tx& tx);
  absl::Status FlushRest(pg::Tx& tx);

  const Context* const context_;
  pg::Tx* tx_ = nullptr;  // Between Load and the end of Flush.

  std::set<std::string> tenants_;
  std::set<std::string> define_;
  std::set<EntityKey> declared_;
  absl::flat_hash_set<EntityKey> whole_;  // Of these, those that are not only to be there.
  std::set<EntityKey> all_;
  bool merges_ = false;
  absl::flat_hash_map<EntityKey, std::vector<FactPtr>> folds_;
  absl::flat_hash_map<const event::v1::Event*, std::vector<FactPtr>> decoded_;

  std::map<std::string, Tenant> tenant_;
  absl::flat_hash_map<EntityKey, std::unique_ptr<Entry>> entries_;
  Pending pending_;

  // Undo, since the last Keep.
  std::vector<std::pair<EntityKey, std::unique_ptr<Entry>>> undo_;
  absl::flat_hash_set<EntityKey> touched_;
  std::vector<std::pair<std::string, Tenant>> undo_tenants_;
  struct Marks {
    size_t facts = 0, unread = 0, appended = 0, voided = 0, overdue = 0, moved = 0, erased = 0,
           redirected = 0, costs = 0, refolded = 0, models = 0, jobs = 0, rules = 0;
  } marks_;
};

// A page of the log of one customer.
struct TransitionLine {
  std::string model;
  RecordedTransition transition;
};
struct TransitionPosition {
  absl::Time at = absl::InfinitePast();
  std::string model;
  int64_t sequence = 0;
};

// What the timers and background tasks find to do.
struct DueCustomer {
  EntityKey key;
  absl::Time due;
};
struct RefoldMark {
  EntityKey key;
  Uuid token;
};
struct ModelJob {
  std::string tenant;
  std::string model;
  Uuid job;
  bool anew = false;
  Uuid done_up_to;
};

// Reads outside of mutations. Thread-safe.
class LifecycleReader {
 public:
  LifecycleReader(pg::Pool* pool, ModelCache* models) : pool_(pool), models_(models) {}

  absl::StatusOr<std::shared_ptr<const TenantModels>> Models(const std::string& tenant,
                                                             absl::Time deadline);
  absl::StatusOr<std::map<std::string, ModelDefinition>> Definitions(const std::string& tenant,
                                                                     absl::Time deadline);
  // Follows merges. NOT_FOUND when nobody has heard of it.
  absl::StatusOr<Customer> FindCustomer(const EntityKey& key, absl::Time deadline);
  absl::StatusOr<std::vector<TransitionLine>> Transitions(const EntityKey& key,
                                                          const std::string& model,
                                                          bool show_superseded,
                                                          const TransitionPosition& after,
                                                          int limit, absl::Time deadline);
  absl::StatusOr<std::vector<FactPtr>> Facts(const EntityKey& key, const std::vector<Uuid>& ids,
                                             absl::Time deadline);
  // Events of these types and changes of these fields after `since`, in order.
  absl::StatusOr<std::vector<FactPtr>> FactsSince(const EntityKey& key, absl::Time since,
                                                  const std::set<std::string>& event_types,
                                                  const std::set<std::string>& fields,
                                                  absl::Time deadline);
  struct InStage {
    EntityKey contact;
    Place place;
  };
  absl::StatusOr<std::vector<InStage>> CustomersInStage(const std::string& tenant,
                                                        const std::string& model,
                                                        const std::string& stage,
                                                        absl::Time after_time, const Uuid& after,
                                                        int limit, absl::Time deadline);
  absl::StatusOr<std::map<std::string, int64_t>> CountByStage(const std::string& tenant,
                                                              const std::string& model,
                                                              absl::Time deadline);
  // Customers after `after` in order of id, with all their facts.
  absl::StatusOr<std::vector<std::pair<Customer, std::vector<FactPtr>>>> Histories(
      const std::string& tenant, const Uuid& after, int limit, absl::Time deadline);

  // For the background, on behalf of the suite.
  absl::StatusOr<std::vector<DueCustomer>> Due(absl::Time now, int limit);
  // The earliest due time of all; InfiniteFuture when there is none.
  absl::StatusOr<absl::Time> NextDue();
  absl::StatusOr<std::vector<RefoldMark>> RefoldMarks(int limit);
  // An open job that nobody works on, claimed until `lease`.
  absl::StatusOr<std::optional<ModelJob>> ClaimJob(absl::Time now, absl::Time lease);
  absl::StatusOr<std::vector<EntityKey>> CustomersAfter(const std::string& tenant,
                                                        const Uuid& after, int limit);
  // False when the job was replaced by a later change of the model.
  absl::StatusOr<bool> AdvanceJob(const ModelJob& job, int64_t more, bool finished, absl::Time now,
                                  absl::Time lease);
  struct Progress {
    int64_t done = 0;
    bool open = false;
  };
  absl::StatusOr<Progress> JobProgress(const std::string& tenant, const std::string& model,
                                       absl::Time deadline);

 private:
  pg::Pool* const pool_;
  ModelCache* const models_;
};

// The service's whole database: the journal's tables and its own.
pg::Schema LifecycleDatabase();

// Every statement of the service, for the test that prepares them against the schema.
std::vector<const pg::Statement*> LifecycleStatements();

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PG_LIFECYCLE_STORE_H_
