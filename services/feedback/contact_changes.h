// Following the contact service: who was merged into whom, and who was erased. The feed notes it
// under the shard of its event (contact_change); what the contact has here then follows in a
// mutation that holds the shards of everybody who was ever that person, because rows stay on the
// shard that they were made on.
#ifndef CLM_SERVICES_FEEDBACK_CONTACT_CHANGES_H_
#define CLM_SERVICES_FEEDBACK_CONTACT_CHANGES_H_

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/base/clock.h"
#include "libs/base/resource_name.h"
#include "libs/journal/consumer.h"
#include "libs/journal/due_loop.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "services/feedback/feedback_work.h"
#include "services/feedback/module_part.h"

namespace clm::feedback {

// The collection of contacts in names.
inline constexpr char kContacts[] = "contacts";

// What is known of a contact beyond that there may be one.
struct ContactStanding {
  std::optional<Uuid> merged_into;
  bool erased = false;
  bool pending = false;  // What the contact has here does not follow it yet.
  friend bool operator==(const ContactStanding&, const ContactStanding&) = default;
};

// Contacts within the unit of work. Whoever makes something for a contact locks the contact's
// shard and asks here first: see CheckContact.
class ContactsWork : public WorkPart {
 public:
  // Before the transaction loads.
  void NeedContact(const EntityKey& contact) { rows_.try_emplace(contact); }
  // Of one that was needed.
  const ContactStanding& StandingOf(const EntityKey& contact) const;
  void Save(const EntityKey& contact, const ContactStanding& standing);
  // Stages that who became `merged` became `survivor`.
  void Redirect(const EntityKey& merged, const EntityKey& survivor);

  absl::Status Load(pg::Tx& tx) override;
  void Keep() override { undo_.clear(); }
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;

 private:
  struct Slot {
    ContactStanding standing;
    bool loaded = false;
    bool dirty = false;
  };
  std::map<EntityKey, Slot> rows_;
  std::vector<std::pair<EntityKey, EntityKey>> redirected_;
  std::vector<std::function<void()>> undo_;
};

// Whether something may be made for a contact that was needed and whose shard is locked: OK;
// ABORTED, reason CONTACT_MOVED, which MovedTo reads, when they are somebody else by now;
// FAILED_PRECONDITION, reason CONTACT_ERASED.
absl::Status CheckContact(const ContactsWork& work, const EntityKey& contact);
// Who a contact is by now, when that is why the status is not OK.
std::optional<Uuid> MovedTo(const absl::Status& status);

// Notes merges and erasures, and lets what contacts have follow. Thread-safe.
class ContactChanges : public ModulePart, public journal::EventHandler {
 public:
  explicit ContactChanges(const FeedbackParts& shared);

  void AddTo(FeedbackWork& work) override { work.Add(std::make_unique<ContactsWork>()); }
  journal::EventHandler* contact_feed() override { return this; }
  absl::Status Serve(app::Runtime&) override {
    loop_.Start();
    return absl::OkStatus();
  }
  void Drain() override { loop_.Stop(); }
  std::vector<const pg::Statement*> Statements() const override;

  void Declare(const event::v1::Event& event, journal::Work& work) override;
  absl::Status Apply(const event::v1::Event& event, journal::Work& work,
                     journal::Recorder& recorder) override;

  // One round without the thread, for tests: everything that is pending. Returns how many contacts
  // that were.
  absl::StatusOr<int> RunOnce();

 private:
  struct Pending {
    EntityKey contact;
    ContactStanding standing;
    std::vector<Uuid> shards_of;  // Everybody who is the same person by now.
  };
  absl::StatusOr<std::vector<Pending>> FindPending();
  absl::Status Follow(const Pending& pending);

  const FeedbackParts shared_;
  journal::DueLoop loop_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CONTACT_CHANGES_H_
