#include "libs/journal/transcript.h"

#include "absl/strings/str_cat.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/payload.h"
#include "libs/journal/statements.h"

namespace clm::journal {
namespace {

absl::Status RequestIdReused() {
  return error::Make(absl::StatusCode::kInvalidArgument, "REQUEST_ID_REUSED",
                     "request_id: already used for a different request; make a new one");
}

}  // namespace

absl::Status LoadSeen(pg::Tx& tx, const std::vector<const MutationInfo*>& infos,
                      SeenRequests& seen) {
  std::vector<std::string> tenants, ids;
  for (const MutationInfo* info : infos) {
    if (info->request_id.empty()) continue;
    tenants.push_back(info->tenant);
    ids.push_back(info->request_id);
  }
  if (ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(tenants).AddArray(ids);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kSeenRequests, args));
  for (int i = 0; i < rows.size(); ++i) {
    seen[{std::string(rows[i].Text(0)), std::string(rows[i].Text(1))}] = {rows[i].Bytes(2),
                                                                          rows[i].Bytes(3)};
  }
  return absl::OkStatus();
}

absl::StatusOr<Answer> Repeat(const StoredAnswer& stored, const MutationInfo& info) {
  if (stored.fingerprint != info.fingerprint) return RequestIdReused();
  return Answer{stored.response, true};
}

absl::Status CheckSizes(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    if (entry.payload.size() <= kMaxPayload) continue;
    return error::Make(
        absl::StatusCode::kInvalidArgument, "EVENT_TOO_LARGE",
        absl::StrCat("the change of ", entry.subject, " makes an event of ", entry.payload.size(),
                     " bytes; at most ", kMaxPayload, " are possible"));
  }
  return absl::OkStatus();
}

absl::Status Transcript::LoadConsumers(pg::Tx& tx, const std::vector<std::string>& sources,
                                       const std::vector<int64_t>& shards) {
  pg::Args args;
  args.AddArray(sources).AddArray(shards);
  CLM_ASSIGN_OR_RETURN(const pg::Result positions, tx.Exec(kPositions, args));
  for (int i = 0; i < positions.size(); ++i) {
    positions_[{std::string(positions[i].Text(0)), static_cast<int>(positions[i].Int(1))}] = {
        positions[i].Int(2), positions[i].Int(3)};
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result blocked, tx.Exec(kBlocked, args));
  for (int i = 0; i < blocked.size(); ++i) {
    blocked_.insert({std::string(blocked[i].Text(0)), std::string(blocked[i].Text(1)),
                     std::string(blocked[i].Text(2))});
  }
  return absl::OkStatus();
}

std::optional<ConsumingRecorder::Position> Transcript::Consumed(const std::string& source,
                                                                int shard) const {
  const auto it = positions_.find({source, shard});
  if (it == positions_.end()) return std::nullopt;
  return it->second;
}

bool Transcript::Blocked(const std::string& source, const std::string& tenant,
                         const std::string& subject) const {
  return blocked_.contains({source, tenant, subject});
}

void Transcript::Advance(const std::string& source, int shard, int64_t off) {
  Position& position = positions_[{source, shard}];
  undo_positions_.push_back({{source, shard}, position});
  position.off = off;
}

void Transcript::Park(Parked parked) {
  if (blocked_.insert({parked.source, parked.tenant, parked.subject}).second) {
    undo_blocked_.push_back({parked.source, parked.tenant, parked.subject});
  }
  pending_parked_.push_back(std::move(parked));
}

void Transcript::Unpark(const std::string& source, int shard, int64_t off,
                        const std::string& tenant) {
  pending_unparked_.push_back({source, shard, off, tenant});
}

absl::Status Transcript::Keep(const MutationInfo& info) {
  event::v1::Event event;
  event.set_actor(info.actor);
  event.set_traceparent(info.traceparent);
  ToProto(now_, event.mutable_record_time());
  for (Entry& entry : pending_entries_) {
    const auto head = heads_.find(entry.shard);
    if (head == heads_.end()) return error::Internal("an entry of a shard that was not locked");
    grown_.try_emplace(entry.shard, head->second);
    const int64_t off = ++head->second;
    const Uuid id = Uuid::V7(now_);
    event.set_id(id.ToString());
    event.set_tenant(entry.tenant);
    event.set_subject(entry.subject);
    event.set_type(entry.type);
    event.set_subject_version(entry.subject_version);
    ToProto(entry.occur_time.value_or(now_), event.mutable_occur_time());
    event.set_cause(entry.cause.empty() ? info.cause : entry.cause);
    event.set_payload(std::move(entry.payload));
    if (!first_) first_ = {entry.shard, off, id};
    shards_.push_back(entry.shard);
    offsets_.push_back(off);
    tenants_.push_back(std::move(entry.tenant));
    ids_.push_back(id);
    subjects_.push_back(std::move(entry.subject));
    types_.push_back(std::move(entry.type));
    events_.push_back(event.SerializeAsString());
  }
  pending_entries_.clear();
  for (const auto& undo : undo_positions_) advanced_.insert(undo.first);
  undo_positions_.clear();
  undo_blocked_.clear();
  for (auto& parked : pending_parked_) parked_.push_back(std::move(parked));
  pending_parked_.clear();
  for (auto& unparked : pending_unparked_) unparked_.push_back(std::move(unparked));
  pending_unparked_.clear();
  return absl::OkStatus();
}

void Transcript::Discard() {
  pending_entries_.clear();
  for (auto it = undo_positions_.rbegin(); it != undo_positions_.rend(); ++it) {
    positions_[it->first] = it->second;
  }
  undo_positions_.clear();
  for (const auto& key : undo_blocked_) blocked_.erase(key);
  undo_blocked_.clear();
  pending_parked_.clear();
  pending_unparked_.clear();
}

void Transcript::Remember(const MutationInfo& info, const std::string& response) {
  request_tenants_.push_back(info.tenant);
  request_ids_.push_back(info.request_id);
  fingerprints_.push_back(info.fingerprint);
  responses_.push_back(response);
  aggregates_.push_back(info.aggregate);
}

absl::Status Transcript::Write(pg::Tx& tx) const {
  if (!shards_.empty() || !request_ids_.empty()) {
    std::vector<int64_t> head_shards, head_offsets;
    for (const auto& [shard, _] : grown_) {
      head_shards.push_back(shard);
      head_offsets.push_back(heads_.at(shard));
    }
    pg::Args args;
    args.AddArray(shards_).AddArray(offsets_).AddArray(tenants_).AddArray(ids_);
    args.AddArray(subjects_).AddArray(types_).AddBytesArray(events_);
    args.AddArray(request_tenants_).AddArray(request_ids_).AddBytesArray(fingerprints_);
    args.AddBytesArray(responses_).AddArray(head_shards).AddArray(head_offsets);
    args.Add(now_).AddArray(aggregates_);
    CLM_RETURN_IF_ERROR(tx.Exec(kAppend, args).status());
  }
  return WriteConsumers(tx);
}

absl::Status Transcript::WriteConsumers(pg::Tx& tx) const {
  for (const Parked& p : parked_) {
    pg::Args args;
    args.Add(p.tenant).Add(p.source).Add(p.shard).Add(p.off).Add(p.event_id).Add(p.subject);
    args.AddBytes(p.event).Add(p.error_reason).Add(p.error_message).Add(1).Add(p.waiting).Add(now_);
    CLM_RETURN_IF_ERROR(tx.Exec(kPark, args).status());
  }
  for (const auto& [source, shard, off, tenant] : unparked_) {
    pg::Args args;
    args.Add(tenant).Add(source).Add(shard).Add(off);
    CLM_ASSIGN_OR_RETURN(const pg::Result gone, tx.Exec(kUnpark, args));
    if (gone.affected() != 1) {
      return error::Make(absl::StatusCode::kAborted, kParkedNoMore,
                         "somebody else has dealt with the parked event");
    }
  }
  if (advanced_.empty()) return absl::OkStatus();
  std::vector<std::string> sources;
  std::vector<int64_t> shards, offs, fences;
  for (const auto& key : advanced_) {
    const Position& position = positions_.at(key);
    sources.push_back(key.first);
    shards.push_back(key.second);
    offs.push_back(position.off);
    fences.push_back(position.fence);
  }
  pg::Args args;
  args.AddArray(sources).AddArray(shards).AddArray(offs).AddArray(fences);
  CLM_ASSIGN_OR_RETURN(const pg::Result done, tx.Exec(kAdvance, args));
  if (done.affected() != static_cast<int64_t>(sources.size())) {
    return error::Make(absl::StatusCode::kAborted, "FENCED",
                       "another process has taken the shard over");
  }
  return absl::OkStatus();
}

std::vector<Growth> Transcript::Grown() const {
  std::vector<Growth> grown;
  for (const auto& [shard, before] : grown_) grown.push_back({shard, before, heads_.at(shard)});
  return grown;
}

std::vector<FreshRecord> Transcript::TakeRecords() {
  std::vector<FreshRecord> records;
  records.reserve(events_.size());
  for (size_t i = 0; i < events_.size(); ++i) {
    records.push_back(
        {static_cast<int>(shards_[i]), offsets_[i], std::move(types_[i]), std::move(events_[i])});
  }
  return records;
}

}  // namespace clm::journal
