#include "services/feedback/case_work.h"

#include <algorithm>
#include <string>

#include "clm/feedback/v1/case_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/pg/key_args.h"
#include "services/feedback/contact_changes.h"

namespace clm::feedback {
namespace {

constexpr pg::Statement kLoadCases{"case.load", "SELECT w.place, " CLM_CASE_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM feedback_case c WHERE c.tenant_id = w.tenant_id
    AND c.id = w.id OFFSET 0) c)sql"};

constexpr pg::Statement kLoadCaseTenants{"case.load_tenants", R"sql(
  SELECT w.place, b.body, b.version, b.update_time, p.body, p.version, p.update_time
  FROM (SELECT unnest($1::text[]) AS tenant_id,
               generate_subscripts($1::text[], 1) AS place) AS w
  LEFT JOIN business_calendar b ON b.tenant_id = w.tenant_id
  LEFT JOIN case_policy p ON p.tenant_id = w.tenant_id)sql"};

constexpr pg::Statement kCountOpenCases{"case.count_open", R"sql(
  SELECT w.place, n.cases
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT count(*) AS cases FROM feedback_case c
    WHERE c.contact_id = w.contact_id AND c.tenant_id = w.tenant_id AND c.end_time IS NULL) n)sql"};

#define CLM_INSERT_CASES                                                                        \
  "INSERT INTO feedback_case (tenant_id, id, shard, contact_id, contact_erased, type, state, "  \
  "severity, owner, channel, breached, receive_time, create_time, update_time, end_time, "      \
  "due_time, body, version) "                                                                   \
  "SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::smallint[]), unnest($4::uuid[]), " \
  "unnest($5::boolean[]), unnest($6::smallint[]), unnest($7::smallint[]), "                     \
  "unnest($8::smallint[]), unnest($9::text[]), unnest($10::text[]), unnest($11::boolean[]), "   \
  "unnest($12::timestamptz[]), unnest($13::timestamptz[]), unnest($14::timestamptz[]), "        \
  "unnest($15::timestamptz[]), unnest($16::timestamptz[]), unnest($17::bytea[]), "              \
  "unnest($18::bigint[])"

// Callers choose ids, on whatever shard: who comes second fails here, is run again, and finds it.
constexpr pg::Statement kAddCases{"case.add", CLM_INSERT_CASES};

constexpr pg::Statement kSaveCases{"case.save", CLM_INSERT_CASES R"sql(
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (contact_id, contact_erased, state, severity, owner, breached, update_time, end_time, due_time,
     body, version) =
    (excluded.contact_id, excluded.contact_erased, excluded.state, excluded.severity,
     excluded.owner, excluded.breached, excluded.update_time, excluded.end_time, excluded.due_time,
     excluded.body, excluded.version))sql"};

// Those that answers have opened, by the contacts who may answer again.
constexpr pg::Statement kCasesOfAnswers{"case.of_answers", R"sql(
  SELECT c.tenant_id, c.id
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id) AS w
  CROSS JOIN LATERAL (SELECT * FROM feedback_case c WHERE c.contact_id = coalesce((
      SELECT x.merged_into FROM contact_change x WHERE x.tenant_id = w.tenant_id
        AND x.contact_id = w.contact_id AND NOT x.pending), w.contact_id)
    AND c.tenant_id = w.tenant_id AND c.channel = 'survey' OFFSET 0) c)sql"};

constexpr pg::Statement kSaveNotes{"case.save_notes", R"sql(
  INSERT INTO case_note (tenant_id, case_id, number, id, text, to_customer, author, create_time)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::bigint[]), unnest($4::uuid[]),
         unnest($5::text[]), unnest($6::boolean[]), unnest($7::text[]),
         unnest($8::timestamptz[]))sql"};

constexpr pg::Statement kSaveCalendar{"case.save_calendar", R"sql(
  INSERT INTO business_calendar (tenant_id, body, version, update_time)
  VALUES ($1::text, $2::bytea, $3::bigint, $4::timestamptz)
  ON CONFLICT (tenant_id) DO UPDATE SET (body, version, update_time) =
    (excluded.body, excluded.version, excluded.update_time))sql"};

constexpr pg::Statement kRecountCases{"case.recount", R"sql(
  UPDATE feedback_case SET due_time = least(due_time, $2::timestamptz)
  WHERE tenant_id = $1::text AND end_time IS NULL)sql"};

constexpr pg::Statement kSaveCasePolicy{"case.save_policy", R"sql(
  INSERT INTO case_policy (tenant_id, body, version, update_time)
  VALUES ($1::text, $2::bytea, $3::bigint, $4::timestamptz)
  ON CONFLICT (tenant_id) DO UPDATE SET (body, version, update_time) =
    (excluded.body, excluded.version, excluded.update_time))sql"};

constexpr pg::Statement kMoveCases{"case.move", R"sql(
  UPDATE feedback_case SET contact_id = $3::uuid
  WHERE contact_id = $2::uuid AND tenant_id = $1::text)sql"};

constexpr pg::Statement kCasesOfContact{"case.of_contact", "SELECT " CLM_CASE_COLUMNS R"sql(
  FROM feedback_case c WHERE c.contact_id = $2::uuid AND c.tenant_id = $1::text)sql"};

constexpr pg::Statement kForgetNotes{"case.forget_notes", R"sql(
  DELETE FROM case_note WHERE tenant_id = $1::text AND case_id = ANY ($2::uuid[]))sql"};

// Also what was answered while the person went by another name.
constexpr pg::Statement kForgetCaseAnswers{"case.forget_answers", R"sql(
  DELETE FROM request WHERE tenant_id = $1::text AND aggregate_id = ANY ($2::uuid || ARRAY(
    SELECT a.contact_id FROM contact_change a
    WHERE a.merged_into = $2::uuid AND a.tenant_id = $1::text)))sql"};

bool IsBreached(const Case& c) {
  return std::any_of(c.clocks.begin(), c.clocks.end(),
                     [](const CaseClock& clock) { return clock.breach_time.has_value(); });
}

bool CountsAsOpen(const std::optional<Case>& c, const EntityKey& contact) {
  return c && c->contact == contact.id && c->key.tenant == contact.tenant && IsOpen(c->state);
}

}  // namespace

void CaseWork::NeedCase(const EntityKey& key) {
  cases_.try_emplace(key);
  NeedTenant(key.tenant);
}

void CaseWork::NeedTenant(const std::string& tenant) { tenants_.try_emplace(tenant); }

void CaseWork::NeedOpenCases(const EntityKey& contact) { open_.try_emplace(contact); }

const Case* CaseWork::Find(const EntityKey& key) const {
  const auto it = cases_.find(key);
  return it == cases_.end() || !it->second.row ? nullptr : &*it->second.row;
}

const StoredCalendar& CaseWork::CalendarOf(const std::string& tenant) const {
  return tenants_.at(tenant).calendar;
}

const StoredCasePolicy& CaseWork::PolicyOf(const std::string& tenant) const {
  return tenants_.at(tenant).policy;
}

int CaseWork::OpenCasesOf(const EntityKey& contact) const {
  const auto it = open_.find(contact);
  return it == open_.end() ? 0 : it->second.value_or(0);
}

void CaseWork::Save(const Case& c) {
  Slot& slot = cases_[c.key];
  if (c.contact) {
    const EntityKey contact{c.key.tenant, *c.contact};
    auto& open = open_[contact];
    Remember(open);
    open = open.value_or(0) + (IsOpen(c.state) ? 1 : 0) - (CountsAsOpen(slot.row, contact) ? 1 : 0);
  }
  Remember(slot);
  slot.row = c;
  slot.loaded = true;
  slot.dirty = true;
}

void CaseWork::AddNote(StoredNote note) {
  notes_.push_back(std::move(note));
  undo_.emplace_back([this] { notes_.pop_back(); });
}

void CaseWork::SaveCalendar(const std::string& tenant, StoredCalendar stored, absl::Time now) {
  TenantSlot& slot = tenants_[tenant];
  Remember(slot);
  slot.calendar = std::move(stored);
  slot.calendar_dirty = true;
  slot.recount_from = now;
}

void CaseWork::SavePolicy(const std::string& tenant, StoredCasePolicy stored) {
  TenantSlot& slot = tenants_[tenant];
  Remember(slot);
  slot.policy = std::move(stored);
  slot.policy_dirty = true;
}

void CaseWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

void CaseWork::MergeContact(const EntityKey& merged, const EntityKey& survivor,
                            journal::Recorder& recorder) {
  moved_.emplace_back(merged, survivor);
  undo_.emplace_back([this] { moved_.pop_back(); });
  v1::CasesMoved event;
  event.set_contact(EntityName(kContacts, survivor));
  event.set_merged_contact(EntityName(kContacts, merged));
  recorder.Record({.shard = ShardOf(survivor.tenant, survivor.id),
                   .tenant = survivor.tenant,
                   .subject = event.contact(),
                   .type = v1::CasesMoved::descriptor()->full_name(),
                   .payload = event.SerializeAsString()});
}

void CaseWork::EraseContact(const EntityKey& contact, journal::Recorder& recorder) {
  erased_.push_back({contact, recorder.now()});
  undo_.emplace_back([this] { erased_.pop_back(); });
  v1::CasesErased event;
  event.set_contact(EntityName(kContacts, contact));
  recorder.Record({.shard = ShardOf(contact.tenant, contact.id),
                   .tenant = contact.tenant,
                   .subject = event.contact(),
                   .type = v1::CasesErased::descriptor()->full_name(),
                   .payload = event.SerializeAsString()});
}

absl::Status CaseWork::Load(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> ids;
  std::vector<Slot*> places;
  for (auto& [key, slot] : cases_) {
    if (std::exchange(slot.loaded, true)) continue;
    tenants.push_back(key.tenant);
    ids.push_back(key.id);
    places.push_back(&slot);
  }
  if (!places.empty()) {
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(ids));
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadCases, args));
    for (int i = 0; i < rows.size(); ++i) {
      Slot& slot = *places[rows[i].Int(0) - 1];
      CLM_ASSIGN_OR_RETURN(slot.row, ReadCase(rows[i], 1));
      slot.stored = true;
    }
  }
  for (const Slot* slot : places) {
    if (slot->row && slot->row->contact) {
      NeedOpenCases({slot->row->key.tenant, *slot->row->contact});
    }
  }
  CLM_RETURN_IF_ERROR(LoadTenants(tx));
  CLM_RETURN_IF_ERROR(LoadOpenCases(tx));
  if (answering_.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCasesOfAnswers, pg::KeyArgs(answering_)));
  for (int i = 0; i < rows.size(); ++i) {
    of_answers_.insert({std::string(rows[i].Text(0)), rows[i].Uuid(1)});
  }
  answering_.clear();
  return absl::OkStatus();
}

absl::Status CaseWork::LoadTenants(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<TenantSlot*> places;
  for (auto& [tenant, slot] : tenants_) {
    if (std::exchange(slot.loaded, true)) continue;
    tenants.push_back(tenant);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadCaseTenants, args));
  for (int i = 0; i < rows.size(); ++i) {
    TenantSlot& slot = *places[rows[i].Int(0) - 1];
    CLM_ASSIGN_OR_RETURN(slot.calendar, ReadCalendar(rows[i], 1));
    CLM_ASSIGN_OR_RETURN(slot.policy, ReadCasePolicy(rows[i], 4));
  }
  return absl::OkStatus();
}

absl::Status CaseWork::LoadOpenCases(pg::Tx& tx) {
  std::vector<std::string> tenants;
  std::vector<Uuid> ids;
  std::vector<std::optional<int>*> places;
  for (auto& [contact, count] : open_) {
    if (count) continue;
    tenants.push_back(contact.tenant);
    ids.push_back(contact.id);
    places.push_back(&count);
  }
  if (places.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCountOpenCases, args));
  for (int i = 0; i < rows.size(); ++i) {
    *places[rows[i].Int(0) - 1] = static_cast<int>(rows[i].Int(1));
  }
  return absl::OkStatus();
}

absl::Status CaseWork::Flush(pg::Tx& tx) {
  std::vector<const Case*> added, saved;
  for (const auto& [key, slot] : cases_) {
    if (slot.dirty) (slot.stored ? saved : added).push_back(&*slot.row);
  }
  CLM_RETURN_IF_ERROR(FlushCases(tx, kAddCases, added));
  CLM_RETURN_IF_ERROR(FlushCases(tx, kSaveCases, saved));
  CLM_RETURN_IF_ERROR(FlushNotes(tx));
  CLM_RETURN_IF_ERROR(FlushTenants(tx));
  // After what was saved: that moves too, and is forgotten.
  for (const auto& [from, into] : moved_) {
    pg::Args args;
    args.Add(from.tenant).Add(from.id).Add(into.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kMoveCases, args).status());
  }
  for (const Erasure& erasure : erased_) CLM_RETURN_IF_ERROR(Erase(tx, erasure));
  return absl::OkStatus();
}

absl::Status CaseWork::FlushCases(pg::Tx& tx, const pg::Statement& statement,
                                  const std::vector<const Case*>& cases) {
  if (cases.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, owners, channels, bodies;
  std::vector<Uuid> ids;
  std::vector<std::optional<Uuid>> contacts;
  std::vector<int64_t> shards, types, states, severities, versions;
  std::vector<bool> erased, breached;
  std::vector<absl::Time> received, created, updated, due;
  std::vector<std::optional<absl::Time>> ended;
  for (const Case* c : cases) {
    tenants.push_back(c->key.tenant);
    ids.push_back(c->key.id);
    shards.push_back(c->shard);
    contacts.push_back(c->contact);
    erased.push_back(c->erased);
    types.push_back(static_cast<int64_t>(c->type));
    states.push_back(static_cast<int64_t>(c->state));
    severities.push_back(static_cast<int64_t>(c->severity));
    owners.push_back(c->owner);
    channels.push_back(c->channel);
    breached.push_back(IsBreached(*c));
    received.push_back(c->receive_time);
    created.push_back(c->create_time);
    updated.push_back(c->update_time);
    ended.push_back(c->end_time);
    // Of an erased one nothing is, by whatever calendar.
    due.push_back(c->erased ? absl::InfiniteFuture()
                            : DueTimeOf(*c, CalendarOf(c->key.tenant).calendar));
    bodies.push_back(BodyOfCase(*c));
    versions.push_back(c->version);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids)).AddArray(std::move(shards));
  args.AddArray(std::move(contacts)).AddArray(std::move(erased)).AddArray(std::move(types));
  args.AddArray(std::move(states)).AddArray(std::move(severities)).AddArray(std::move(owners));
  args.AddArray(std::move(channels)).AddArray(std::move(breached)).AddArray(std::move(received));
  args.AddArray(std::move(created)).AddArray(std::move(updated)).AddArray(std::move(ended));
  args.AddArray(std::move(due)).AddBytesArray(std::move(bodies)).AddArray(std::move(versions));
  return tx.Exec(statement, args).status();
}

absl::Status CaseWork::FlushNotes(pg::Tx& tx) {
  if (notes_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, texts, authors;
  std::vector<Uuid> cases, ids;
  std::vector<int64_t> numbers;
  std::vector<bool> to_customer;
  std::vector<absl::Time> created;
  for (const StoredNote& note : notes_) {
    tenants.push_back(note.key.tenant);
    cases.push_back(note.key.id);
    numbers.push_back(note.number);
    ids.push_back(note.id);
    texts.push_back(note.text);
    to_customer.push_back(note.to_customer);
    authors.push_back(note.author);
    created.push_back(note.create_time);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(cases)).AddArray(std::move(numbers));
  args.AddArray(std::move(ids)).AddArray(std::move(texts)).AddArray(std::move(to_customer));
  args.AddArray(std::move(authors)).AddArray(std::move(created));
  return tx.Exec(kSaveNotes, args).status();
}

absl::Status CaseWork::FlushTenants(pg::Tx& tx) {
  for (const auto& [tenant, slot] : tenants_) {
    if (slot.calendar_dirty) {
      pg::Args args;
      args.Add(tenant).AddBytes(ToProto(tenant, slot.calendar).SerializeAsString());
      args.Add(slot.calendar.version).Add(slot.calendar.update_time);
      CLM_RETURN_IF_ERROR(tx.Exec(kSaveCalendar, args).status());
      pg::Args recount;
      recount.Add(tenant).Add(slot.recount_from);
      CLM_RETURN_IF_ERROR(tx.Exec(kRecountCases, recount).status());
    }
    if (slot.policy_dirty) {
      pg::Args args;
      args.Add(tenant).AddBytes(ToProto(tenant, slot.policy).SerializeAsString());
      args.Add(slot.policy.version).Add(slot.policy.update_time);
      CLM_RETURN_IF_ERROR(tx.Exec(kSaveCasePolicy, args).status());
    }
  }
  return absl::OkStatus();
}

absl::Status CaseWork::Erase(pg::Tx& tx, const Erasure& erasure) {
  pg::Args of;
  of.Add(erasure.contact.tenant).Add(erasure.contact.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCasesOfContact, of));
  std::vector<Case> erased;
  std::vector<Uuid> ids;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(const Case before, ReadCase(rows[i], 0));
    erased.push_back(Erased(before, erasure.now));
    ++erased.back().version;
    ids.push_back(before.key.id);
  }
  std::vector<const Case*> cases;
  for (const Case& c : erased) cases.push_back(&c);
  CLM_RETURN_IF_ERROR(FlushCases(tx, kSaveCases, cases));
  if (!ids.empty()) {
    pg::Args notes;
    notes.Add(erasure.contact.tenant).AddArray(std::move(ids));
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetNotes, notes).status());
  }
  return absl::OkStatus();
}

absl::Status CaseWork::Sweep(pg::Tx& tx) {
  for (const Erasure& erasure : erased_) {
    pg::Args of;
    of.Add(erasure.contact.tenant).Add(erasure.contact.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetCaseAnswers, of).status());
  }
  return absl::OkStatus();
}

std::vector<const pg::Statement*> CaseWorkStatements() {
  return {&kLoadCases,    &kLoadCaseTenants,  &kCountOpenCases, &kAddCases,
          &kSaveCases,    &kCasesOfAnswers,   &kSaveNotes,      &kSaveCalendar,
          &kRecountCases, &kSaveCasePolicy,   &kMoveCases,      &kCasesOfContact,
          &kForgetNotes,  &kForgetCaseAnswers};
}

}  // namespace clm::feedback
