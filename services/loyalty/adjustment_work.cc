#include "services/loyalty/adjustment_work.h"

#include "libs/base/status_macros.h"
#include "services/loyalty/adjustment_proto.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kLoadAdjustments{"adjustment.load",
                                         "SELECT w.place, " CLM_ADJUSTMENT_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::uuid[]) AS id, generate_subscripts($3::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM adjustment d WHERE d.tenant_id = w.tenant_id
    AND d.program_id = w.program_id AND d.id = w.id OFFSET 0) d )sql" CLM_ADJUSTMENT_DETAILS};

// What somebody erased left behind is not written again by whoever has read it before.
constexpr pg::Statement kSaveAdjustment{"adjustment.save", R"sql(
  INSERT INTO adjustment AS d (tenant_id, program_id, id, contact_id, wallet_id, amount, expiry,
                               reason, state, proposed_by, propose_time, lapse_time, decided_by,
                               decide_time, reject_reason, posted_for, posting, version)
  VALUES ($1::text, $2::text, $3::uuid, $4::uuid, $5::text, $6::bigint, $7::text, $8::text,
          $9::smallint, $10::text, $11::timestamptz, $12::timestamptz, $13::text,
          $14::timestamptz, $15::text, $16::uuid, $17::bigint, $18::bigint)
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE SET
    (contact_id, state, decided_by, decide_time, reject_reason, posted_for, posting, version) =
    (excluded.contact_id, excluded.state, excluded.decided_by, excluded.decide_time,
     excluded.reject_reason, excluded.posted_for, excluded.posting, excluded.version)
  WHERE NOT d.member_erased)sql"};

constexpr pg::Statement kMoveAdjustments{"adjustment.move", R"sql(
  UPDATE adjustment SET contact_id = $3::uuid
  WHERE contact_id = $2::uuid AND tenant_id = $1::text)sql"};

// All names of somebody.
#define CLM_ADJUSTMENT_NAMES                                         \
  "ANY ($2::uuid || ARRAY(SELECT x.contact_id FROM contact_alias x " \
  "WHERE x.tenant_id = $1::text AND x.merged_into = $2::uuid))"

constexpr pg::Statement kForgetAdjustments{"adjustment.forget", R"sql(
  UPDATE adjustment SET (contact_id, posted_for, member_erased, reason, reject_reason,
                         proposed_by, decided_by) = (NULL, NULL, true, '', '', '', '')
  WHERE tenant_id = $1::text AND contact_id = )sql" CLM_ADJUSTMENT_NAMES};

// Also of who never became a member.
constexpr pg::Statement kForgetAdjustmentAnswers{"adjustment.forget_answers", R"sql(
  DELETE FROM request WHERE tenant_id = $1::text AND aggregate_id = )sql" CLM_ADJUSTMENT_NAMES};

#undef CLM_ADJUSTMENT_NAMES

pg::Args OfContact(const EntityKey& contact) {
  pg::Args args;
  args.Add(contact.tenant).Add(contact.id);
  return args;
}

}  // namespace

const Adjustment* AdjustmentWork::Find(const AdjustmentKey& key) const {
  const auto it = adjustments_.find(key);
  return it == adjustments_.end() || !it->second.adjustment ? nullptr : &*it->second.adjustment;
}

void AdjustmentWork::Save(const Adjustment& adjustment) {
  Slot& slot = adjustments_[adjustment.key];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  slot.adjustment = adjustment;
  slot.dirty = true;
}

void AdjustmentWork::Move(const EntityKey& from, const EntityKey& into) {
  moved_.emplace_back(from, into);
  undo_.emplace_back([this] { moved_.pop_back(); });
}

void AdjustmentWork::Forget(const EntityKey& contact) {
  forgotten_.push_back(contact);
  undo_.emplace_back([this] { forgotten_.pop_back(); });
}

void AdjustmentWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

absl::Status AdjustmentWork::Load(pg::Tx& tx) {
  std::vector<std::string> tenants, programs;
  std::vector<Uuid> ids;
  std::vector<Slot*> places;
  for (auto& [key, slot] : adjustments_) {
    if (std::exchange(slot.loaded, true)) continue;
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    ids.push_back(key.id);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadAdjustments, args));
  for (int i = 0; i < rows.size(); ++i) {
    places[rows[i].Int(0) - 1]->adjustment = ReadAdjustment(rows[i], 1);
  }
  return absl::OkStatus();
}

absl::Status AdjustmentWork::Flush(pg::Tx& tx) {
  for (const auto& [key, slot] : adjustments_) {
    if (!slot.dirty) continue;
    const Adjustment& d = *slot.adjustment;
    pg::Args args;
    args.Add(key.tenant).Add(key.program).Add(key.id).Add(d.contact).Add(d.wallet).Add(d.amount);
    args.Add(d.expiry).Add(d.reason).Add(static_cast<int64_t>(d.state)).Add(d.proposed_by);
    args.Add(d.propose_time).Add(d.lapse_time).Add(d.decided_by).Add(d.decide_time);
    args.Add(d.reject_reason).Add(d.posted_for).Add(d.posting).Add(d.version);
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveAdjustment, args).status());
  }
  // After what was saved: that moves too, and is forgotten.
  for (const auto& [from, into] : moved_) {
    pg::Args args = OfContact(from);
    args.Add(into.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kMoveAdjustments, args).status());
  }
  for (const EntityKey& contact : forgotten_) {
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetAdjustments, OfContact(contact)).status());
  }
  return absl::OkStatus();
}

absl::Status AdjustmentWork::Sweep(pg::Tx& tx) {
  for (const EntityKey& contact : forgotten_) {
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetAdjustmentAnswers, OfContact(contact)).status());
  }
  return absl::OkStatus();
}

std::vector<const pg::Statement*> AdjustmentWorkStatements() {
  return {&kLoadAdjustments, &kSaveAdjustment, &kMoveAdjustments, &kForgetAdjustments,
          &kForgetAdjustmentAnswers};
}

}  // namespace clm::loyalty
