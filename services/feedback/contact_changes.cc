#include "services/feedback/contact_changes.h"

#include <string>
#include <utility>

#include "clm/contact/v1/contact_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/consumed_event.h"
#include "libs/obs/log.h"

namespace clm::feedback {
namespace {

using contact::v1::ContactChanged;
using contact::v1::ContactsMerged;

constexpr char kActor[] = "feedback";
constexpr char kMovedReason[] = "CONTACT_MOVED";
// Contacts per scan.
constexpr int kBatch = 100;

constexpr pg::Statement kLoadContacts{"contact_change.load", R"sql(
  SELECT w.place, c.merged_into, c.erased, c.pending
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM contact_change c WHERE c.tenant_id = w.tenant_id
    AND c.contact_id = w.contact_id OFFSET 0) c)sql"};

constexpr pg::Statement kSaveContacts{"contact_change.save", R"sql(
  INSERT INTO contact_change (tenant_id, contact_id, merged_into, erased, pending)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::uuid[]), unnest($4::boolean[]),
         unnest($5::boolean[])
  ON CONFLICT (tenant_id, contact_id) DO UPDATE SET
    (merged_into, erased, pending) = (excluded.merged_into, excluded.erased, excluded.pending))sql"};

constexpr pg::Statement kRedirectContacts{"contact_change.redirect", R"sql(
  UPDATE contact_change SET merged_into = $3::uuid
  WHERE tenant_id = $1::text AND merged_into = $2::uuid)sql"};

// Merges first: what an erased contact has includes what comes to it.
constexpr pg::Statement kPendingContacts{"contact_change.pending", R"sql(
  SELECT p.tenant_id, p.contact_id, p.merged_into, p.erased,
         ARRAY(SELECT a.contact_id::text FROM contact_change a
               WHERE a.tenant_id = p.tenant_id
                 AND a.merged_into = coalesce(p.merged_into, p.contact_id))
  FROM contact_change p WHERE p.pending
  ORDER BY p.merged_into IS NULL, p.tenant_id, p.contact_id LIMIT $1::int)sql"};

}  // namespace

const ContactStanding& ContactsWork::StandingOf(const EntityKey& contact) const {
  return rows_.at(contact).standing;
}

void ContactsWork::Save(const EntityKey& contact, const ContactStanding& standing) {
  Slot& slot = rows_[contact];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  slot.standing = standing;
  slot.dirty = true;
}

void ContactsWork::Redirect(const EntityKey& merged, const EntityKey& survivor) {
  redirected_.emplace_back(merged, survivor);
  undo_.emplace_back([this] { redirected_.pop_back(); });
}

void ContactsWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

absl::Status ContactsWork::Load(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> ids;
  std::vector<Slot*> places;
  for (auto& [key, slot] : rows_) {
    if (std::exchange(slot.loaded, true)) continue;
    tenants.push_back(key.tenant);
    ids.push_back(key.id);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadContacts, args));
  for (int i = 0; i < rows.size(); ++i) {
    places[rows[i].Int(0) - 1]->standing = {rows[i].OptUuid(1), rows[i].Bool(2), rows[i].Bool(3)};
  }
  return absl::OkStatus();
}

absl::Status ContactsWork::Flush(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> ids;
  std::vector<std::optional<Uuid>> into;
  std::vector<bool> erased, pending;
  for (const auto& [key, slot] : rows_) {
    if (!slot.dirty) continue;
    tenants.push_back(key.tenant);
    ids.push_back(key.id);
    into.push_back(slot.standing.merged_into);
    erased.push_back(slot.standing.erased);
    pending.push_back(slot.standing.pending);
  }
  if (!ids.empty()) {
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(ids)).AddArray(std::move(into));
    args.AddArray(std::move(erased)).AddArray(std::move(pending));
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveContacts, args).status());
  }
  // After what was saved: that is redirected too.
  for (const auto& [merged, survivor] : redirected_) {
    pg::Args args;
    args.Add(merged.tenant).Add(merged.id).Add(survivor.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kRedirectContacts, args).status());
  }
  return absl::OkStatus();
}

absl::Status CheckContact(const ContactsWork& work, const EntityKey& contact) {
  const ContactStanding& standing = work.StandingOf(contact);
  if (standing.merged_into) {
    return error::Make(absl::StatusCode::kAborted, kMovedReason,
                       "contact: was merged into another one",
                       {{"contact_id", standing.merged_into->ToString()}});
  }
  if (standing.erased) {
    return error::Precondition("CONTACT_ERASED", "contact: the person was erased");
  }
  return absl::OkStatus();
}

std::optional<Uuid> MovedTo(const absl::Status& status) {
  if (error::Reason(status) != kMovedReason) return std::nullopt;
  return Uuid::Parse(error::MetadataValue(status, "contact_id"));
}

ContactChanges::ContactChanges(const FeedbackParts& shared)
    : shared_(shared),
      loop_({.clock = shared.clock,
             .round = [this] { return RunOnce().status(); },
             .next = []() -> absl::StatusOr<absl::Time> { return absl::InfiniteFuture(); },
             .on_trouble =
                 [](const absl::Status& status) {
                   obs::Warn("what contacts have does not follow them", {{"error", status}});
                 }}) {}

void ContactChanges::Declare(const event::v1::Event& event, journal::Work& work) {
  auto& contacts = static_cast<FeedbackWork&>(work).Part<ContactsWork>();
  if (journal::HasPayload<ContactsMerged>(event)) {
    ContactsMerged merge;
    if (!merge.ParseFromString(event.payload())) return;
    for (const std::string* name : {&merge.contact(), &merge.merged_contact()}) {
      const auto contact = journal::EntityOf(event, "contact", kContacts, *name);
      if (contact.ok()) contacts.NeedContact(*contact);
    }
  } else if (journal::HasPayload<ContactChanged>(event)) {
    const auto contact = journal::EntityOf(event, "subject", kContacts, event.subject());
    if (contact.ok()) contacts.NeedContact(*contact);
  }
}

absl::Status ContactChanges::Apply(const event::v1::Event& event, journal::Work& work,
                                   journal::Recorder&) {
  auto& contacts = static_cast<FeedbackWork&>(work).Part<ContactsWork>();
  if (journal::HasPayload<ContactsMerged>(event)) {
    ContactsMerged merge;
    if (!merge.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
    CLM_ASSIGN_OR_RETURN(const EntityKey survivor,
                         journal::EntityOf(event, "contact", kContacts, merge.contact()));
    CLM_ASSIGN_OR_RETURN(
        const EntityKey merged,
        journal::EntityOf(event, "merged_contact", kContacts, merge.merged_contact()));
    if (survivor == merged) return journal::MalformedEvent("merged_contact");
    ContactStanding standing = contacts.StandingOf(merged);
    standing.merged_into = survivor.id;
    standing.pending = true;
    contacts.Redirect(merged, survivor);
    contacts.Save(merged, standing);
    loop_.Expect(absl::InfinitePast());
  } else if (journal::HasPayload<ContactChanged>(event)) {
    ContactChanged change;
    if (!change.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
    if (change.change() != ContactChanged::CHANGE_ERASED) return absl::OkStatus();
    CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                         journal::EntityOf(event, "subject", kContacts, event.subject()));
    ContactStanding standing = contacts.StandingOf(contact);
    standing.erased = true;
    standing.pending = true;
    contacts.Save(contact, standing);
    loop_.Expect(absl::InfinitePast());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ContactChanges::Pending>> ContactChanges::FindPending() {
  pg::Args args;
  args.Add(kBatch);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       shared_.pool->Query({pg::Scope::Suite()}, kPendingContacts, args));
  std::vector<Pending> found;
  for (int i = 0; i < rows.size(); ++i) {
    Pending pending{.contact = {std::string(rows[i].Text(0)), rows[i].Uuid(1)},
                    .standing = {rows[i].OptUuid(2), rows[i].Bool(3), true}};
    pending.shards_of.push_back(pending.contact.id);
    if (pending.standing.merged_into) pending.shards_of.push_back(*pending.standing.merged_into);
    for (const std::string& alias : rows[i].TextArray(4)) {
      if (const auto id = Uuid::Parse(alias)) pending.shards_of.push_back(*id);
    }
    found.push_back(std::move(pending));
  }
  return found;
}

absl::Status ContactChanges::Follow(const Pending& pending) {
  const EntityKey& contact = pending.contact;
  journal::MutationInfo info;
  info.tenant = contact.tenant;
  info.actor = kActor;
  for (const Uuid& id : pending.shards_of) info.shards.set(ShardOf(contact.tenant, id));
  const EntityKey now{contact.tenant, pending.standing.merged_into.value_or(contact.id)};
  return shared_.lanes
      ->Run<FeedbackWork>(
          std::move(info),
          [&](FeedbackWork& work) {
            auto& contacts = work.Part<ContactsWork>();
            contacts.NeedContact(contact);
            contacts.NeedContact(now);
          },
          [&](FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
            auto& contacts = work.Part<ContactsWork>();
            ContactStanding standing = contacts.StandingOf(contact);
            // Somebody else has done it, or the person became yet another one: then others are to
            // be locked.
            if (standing != pending.standing) return std::string();
            // So did the survivor; the two merges were told on different shards, in any order.
            if (const auto further = contacts.StandingOf(now).merged_into;
                further && now != contact) {
              standing.merged_into = further;
              contacts.Save(contact, standing);
              return std::string();
            }
            const bool erased = contacts.StandingOf(now).erased;
            for (const auto& part : work.parts()) {
              if (standing.merged_into) part->MergeContact(contact, now, recorder);
              if (erased) part->EraseContact(now, recorder);
            }
            standing.pending = false;
            contacts.Save(contact, standing);
            return std::string();
          })
      .status();
}

absl::StatusOr<int> ContactChanges::RunOnce() {
  int done = 0;
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const std::vector<Pending> pending, FindPending());
    // One after the other: a survivor may be merged itself next.
    for (const Pending& one : pending) {
      CLM_RETURN_IF_ERROR(Follow(one));
      ++done;
    }
    if (static_cast<int>(pending.size()) < kBatch || loop_.stopping()) return done;
  }
}

std::vector<const pg::Statement*> ContactChanges::Statements() const {
  return {&kLoadContacts, &kSaveContacts, &kRedirectContacts, &kPendingContacts};
}

}  // namespace clm::feedback
