// Cases within the unit of work, with their notes, the calendars they go by and the policies they
// are opened under. A case is changed under its own shard and that of its contact, so that whoever
// counts the open cases of a contact counts right.
#ifndef CLM_SERVICES_FEEDBACK_CASE_WORK_H_
#define CLM_SERVICES_FEEDBACK_CASE_WORK_H_

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
#include "libs/base/resource_name.h"
#include "libs/pg/pg.h"
#include "services/feedback/case_proto.h"
#include "services/feedback/cases.h"
#include "services/feedback/feedback_work.h"

namespace clm::feedback {

struct StoredNote {
  EntityKey key;       // Of the case.
  int64_t number = 0;  // From 1.
  Uuid id;
  std::string text;
  bool to_customer = false;
  std::string author;
  absl::Time create_time;
};

class CaseWork : public WorkPart {
 public:
  // ---- Before Load.
  // With its tenant's calendar and policy, and the number of its contact's open cases.
  void NeedCase(const EntityKey& key);
  void NeedTenant(const std::string& tenant);
  // How many open cases they have.
  void NeedOpenCases(const EntityKey& contact);

  // ---- After Load: what is stored, with what this transaction has staged.
  const Case* Find(const EntityKey& key) const;
  const StoredCalendar& CalendarOf(const std::string& tenant) const;
  const StoredCasePolicy& PolicyOf(const std::string& tenant) const;
  int OpenCasesOf(const EntityKey& contact) const;

  // ---- Staging.
  void Save(const Case& c);
  void AddNote(StoredNote note);
  // Under all shards: what is due of open cases is another from now on.
  void SaveCalendar(const std::string& tenant, StoredCalendar stored, absl::Time now);
  void SavePolicy(const std::string& tenant, StoredCasePolicy stored);

  // ---- WorkPart.
  absl::Status Load(pg::Tx& tx) override;
  void Keep() override { undo_.clear(); }
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;
  absl::Status Sweep(pg::Tx& tx) override;
  void MergeContact(const EntityKey& merged, const EntityKey& survivor,
                    journal::Recorder& recorder) override;
  void EraseContact(const EntityKey& contact, journal::Recorder& recorder) override;
  void NeedForAnswer(const EntityKey& contact) override;
  absl::Status OnAnswer(const AnswerFact& answer, FeedbackWork& work,
                        journal::Recorder& recorder) override;

 private:
  struct Slot {
    std::optional<Case> row;
    bool loaded = false;
    bool stored = false;  // It has a row.
    bool dirty = false;
  };
  struct TenantSlot {
    StoredCalendar calendar;
    StoredCasePolicy policy;
    bool loaded = false;
    bool calendar_dirty = false;
    bool policy_dirty = false;
    absl::Time recount_from;  // With a dirty calendar.
  };
  struct Erasure {
    EntityKey contact;
    absl::Time now;
  };
  template <class T>
  void Remember(T& slot) {
    undo_.emplace_back([&slot, before = slot] { slot = before; });
  }
  absl::Status LoadTenants(pg::Tx& tx);
  absl::Status LoadOpenCases(pg::Tx& tx);
  absl::Status FlushCases(pg::Tx& tx, const pg::Statement& statement,
                          const std::vector<const Case*>& cases);
  absl::Status FlushNotes(pg::Tx& tx);
  absl::Status FlushTenants(pg::Tx& tx);
  absl::Status Erase(pg::Tx& tx, const Erasure& erasure);

  std::map<EntityKey, Slot> cases_;
  std::map<std::string, TenantSlot> tenants_;
  std::map<EntityKey, std::optional<int>> open_;
  std::vector<EntityKey> answering_;  // Contacts.
  std::set<EntityKey> of_answers_;    // Cases that answers of theirs have opened.
  std::vector<StoredNote> notes_;
  std::vector<std::pair<EntityKey, EntityKey>> moved_;
  std::vector<Erasure> erased_;
  std::vector<std::function<void()>> undo_;
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> CaseWorkStatements();

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_WORK_H_
