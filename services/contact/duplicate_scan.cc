#include "services/contact/duplicate_scan.h"

#include <xxhash.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/failpoint.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/contact/contact_proto.h"
#include "services/contact/duplicates.h"

namespace clm::contact {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);
// Contacts compared at a time, which bounds how many others are in memory.
constexpr size_t kChunk = 100;
constexpr absl::Duration kLongestRest = absl::Seconds(5);
// While nothing changes, how exact the time of the scan is kept.
constexpr absl::Duration kIdleMark = absl::Minutes(1);

constexpr pg::Statement kPlace{"duplicates.place", R"sql(
  SELECT offs, rules, scan_time FROM duplicate_scan)sql"};

constexpr pg::Statement kSavePlace{"duplicates.save_place", R"sql(
  UPDATE duplicate_scan
  SET (offs, rules, scan_time) = ROW ($1::bigint[], $2::int, $3::timestamptz))sql"};

// As in contact_work.cc, keys are looked up in subqueries that stay subqueries.
constexpr pg::Statement kDropKeys{"duplicates.drop_keys", R"sql(
  DELETE FROM duplicate_key k
  USING unnest($2::uuid[]) AS w (id)
  CROSS JOIN LATERAL (SELECT f.ctid, f.contact_id, f.key FROM duplicate_key f
                      WHERE f.contact_id = w.id AND f.tenant_id = $1::text OFFSET 0) AS at
  WHERE k.ctid = at.ctid
    AND (at.contact_id, at.key) NOT IN (SELECT n.contact_id, n.key
                                        FROM unnest($3::uuid[], $4::bigint[]) AS n (contact_id, key)))sql"};

constexpr pg::Statement kSaveKeys{"duplicates.save_keys", R"sql(
  INSERT INTO duplicate_key (tenant_id, contact_id, key)
  SELECT $1::text, w.contact_id, w.key FROM unnest($2::uuid[], $3::bigint[]) AS w (contact_id, key)
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kBlocks{"duplicates.blocks", R"sql(
  SELECT w.key, m.contact_id
  FROM unnest($2::bigint[]) AS w (key)
  CROSS JOIN LATERAL (
    SELECT contact_id FROM duplicate_key
    WHERE tenant_id = $1::text AND key = w.key LIMIT $3::int) AS m)sql"};

constexpr pg::Statement kDropPairs{"duplicates.drop_pairs", R"sql(
  DELETE FROM duplicate_candidate d
  USING unnest($2::uuid[]) AS w (id)
  CROSS JOIN LATERAL (
    (SELECT f.ctid, f.contact_id, f.duplicate_id FROM duplicate_candidate f
     WHERE f.tenant_id = $1::text AND f.contact_id = w.id OFFSET 0)
    UNION ALL
    (SELECT f.ctid, f.contact_id, f.duplicate_id FROM duplicate_candidate f
     WHERE f.duplicate_id = w.id AND f.tenant_id = $1::text OFFSET 0)) AS at
  WHERE d.ctid = at.ctid
    AND (at.contact_id, at.duplicate_id) NOT IN (
      SELECT n.contact_id, n.duplicate_id
      FROM unnest($3::uuid[], $4::uuid[]) AS n (contact_id, duplicate_id)))sql"};

constexpr pg::Statement kSavePairs{"duplicates.save_pairs", R"sql(
  INSERT INTO duplicate_candidate AS d (tenant_id, contact_id, duplicate_id, score, reasons,
                                        find_time)
  SELECT $1::text, w.contact_id, w.duplicate_id, w.score, string_to_array(w.reasons, '|'),
         $6::timestamptz
  FROM unnest($2::uuid[], $3::uuid[], $4::smallint[], $5::text[])
    AS w (contact_id, duplicate_id, score, reasons)
  ON CONFLICT (tenant_id, contact_id, duplicate_id) DO UPDATE SET
    (score, reasons, find_time) = (excluded.score, excluded.reasons, excluded.find_time)
  WHERE (d.score, d.reasons) IS DISTINCT FROM (excluded.score, excluded.reasons))sql"};

// Part of the stored format of duplicate_key.
int64_t HashOf(const std::string& key) {
  return static_cast<int64_t>(XXH64(key.data(), key.size(), 0));
}

// The contacts that a change may have made alike or unlike to others.
std::vector<EntityKey> Changed(const event::v1::Event& event) {
  std::vector<std::string> names = {event.subject()};
  v1::ContactsMerged merged;
  if (event.type() == v1::ContactsMerged::descriptor()->full_name() &&
      merged.ParseFromString(event.payload())) {
    names.push_back(merged.merged_contact());
  }
  std::vector<EntityKey> keys;
  for (const std::string& name : names) {
    auto key = ParseEntityName("subject", kContacts, name);
    if (key.ok()) keys.push_back(*std::move(key));
  }
  return keys;
}

using Subjects = absl::flat_hash_map<Uuid, DuplicateSubject>;

// Adds those of `ids` that are there and nobody's aliases, unless they are in `subjects` already.
absl::Status LoadSubjects(ContactReader& reader, const std::string& tenant, std::vector<Uuid> ids,
                          Subjects& subjects) {
  ids.erase(
      std::remove_if(ids.begin(), ids.end(), [&](const Uuid& id) { return subjects.contains(id); }),
      ids.end());
  if (ids.empty()) return absl::OkStatus();
  const absl::Time deadline = absl::Now() + kTimeout;
  CLM_ASSIGN_OR_RETURN(const auto stored, reader.Get(tenant, ids, deadline));
  CLM_ASSIGN_OR_RETURN(const auto profiles, reader.Profiles(tenant, ids, deadline));
  absl::flat_hash_map<Uuid, std::vector<Identifier>> held;
  for (const auto& profile : profiles) {
    for (const auto& known : profile.identifiers) held[profile.id].push_back(known.identifier);
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!stored[i] || stored[i]->contact.key.id != ids[i]) continue;
    if (stored[i]->contact.status == ContactStatus::kErased) continue;
    subjects[ids[i]] = SubjectOf(stored[i]->contact, std::move(held[ids[i]]));
  }
  return absl::OkStatus();
}

}  // namespace

DuplicateScan::DuplicateScan(Options options)
    : options_(std::move(options)),
      work_({.pool = options_.pool,
             .lease = options_.lease,
             .lease_ttl = options_.lease_ttl,
             .renewal = options_.lease_ttl / 4,
             .turn = [this] { return Turn(); },
             .poll = options_.poll,
             .on_trouble = options_.on_trouble}) {}

int64_t DuplicateScan::lag() const {
  absl::MutexLock lock(&mu_);
  return lag_;
}

absl::StatusOr<int64_t> DuplicateScan::RunOnce() {
  int64_t compared = 0;
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const Step step, RunStep());
    compared += step.compared;
    if (!step.more) return compared;
  }
}

absl::Status DuplicateScan::Transact(const pg::Scope& scope,
                                     absl::FunctionRef<absl::Status(pg::Tx&)> body) {
  return options_.pool->Transact({scope, absl::Now() + kTimeout}, [&](pg::Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(work_.Hold(tx));
    return body(tx);
  });
}

absl::StatusOr<bool> DuplicateScan::Own() {
  CLM_ASSIGN_OR_RETURN(const auto fence, work_.Fence());
  if (!fence) {
    absl::MutexLock lock(&mu_);
    lag_ = 0;
    return false;
  }
  if (*fence == fence_ && !offs_.empty()) return true;
  CLM_ASSIGN_OR_RETURN(const pg::Result place,
                       options_.pool->Query({pg::Scope::Suite(), absl::Now() + kTimeout}, kPlace));
  offs_.assign(kShards, 0);
  if (place[0].Int(1) == kDuplicateRules) {
    const std::vector<std::string> offs = place[0].TextArray(0);
    for (int i = 0; i < kShards; ++i) {
      if (!absl::SimpleAtoi(offs[i], &offs_[i])) offs_[i] = 0;
    }
  }
  scan_time_ = place[0].Time(2);
  fence_ = *fence;
  return true;
}

absl::StatusOr<DuplicateScan::Step> DuplicateScan::RunStep() {
  auto step = TryStep();
  if (!step.ok()) {
    // Who has the lease, and where the scan stands, is asked again.
    work_.Doubt();
    offs_.clear();
  }
  return step;
}

absl::StatusOr<DuplicateScan::Step> DuplicateScan::TryStep() {
  CLM_ASSIGN_OR_RETURN(const bool owner, Own());
  if (!owner) return Step{};
  const absl::Time begin = options_.clock->Now();
  journal::Offsets positions;
  for (int shard = 0; shard < kShards; ++shard) positions.emplace_back(shard, offs_[shard]);
  static const auto& kTypes = *new std::vector<std::string>{
      v1::ContactChanged::descriptor()->full_name(), v1::ContactsMerged::descriptor()->full_name()};
  CLM_ASSIGN_OR_RETURN(const auto records,
                       options_.feed->Read(positions, options_.max_records, kTypes));
  Step step;
  step.more = records.more();
  int64_t lag = 0;
  std::map<std::string, std::set<Uuid>> changed;
  std::vector<int64_t> offs = offs_;
  for (const auto& shard : records.shards()) {
    step.more = step.more || shard.records_size() == options_.max_records;
    for (const auto& record : shard.records()) {
      event::v1::Event event;
      offs[shard.shard()] = record.offset();
      if (record.event().empty() || !event.ParseFromString(record.event())) continue;
      for (const EntityKey& key : Changed(event)) changed[key.tenant].insert(key.id);
    }
    lag += shard.head_offset() - offs[shard.shard()];
  }
  for (const auto& [tenant, ids] : changed) {
    for (auto it = ids.begin(); it != ids.end();) {
      Ids chunk;
      for (; it != ids.end() && chunk.size() < kChunk; ++it) chunk.push_back(*it);
      CLM_RETURN_IF_ERROR(Compare(tenant, chunk));
      step.compared += static_cast<int64_t>(chunk.size());
    }
  }
  // Everything that was recorded before `begin` has been read when nothing is left over.
  const absl::Time scan_time = step.more ? scan_time_ : begin;
  if (!records.shards().empty() || scan_time - scan_time_ >= kIdleMark) {
    offs_ = std::move(offs);
    CLM_RETURN_IF_ERROR(SavePlace(scan_time));
  }
  if (options_.on_compared) options_.on_compared(step.compared);
  absl::MutexLock lock(&mu_);
  lag_ = lag;
  return step;
}

absl::Status DuplicateScan::SavePlace(absl::Time scan_time) {
  pg::Args args;
  args.AddArray(offs_).Add(kDuplicateRules).Add(scan_time);
  CLM_RETURN_IF_ERROR(
      Transact(pg::Scope::Suite(), [&](pg::Tx& tx) { return tx.Exec(kSavePlace, args).status(); }));
  scan_time_ = scan_time;
  return absl::OkStatus();
}

absl::Status DuplicateScan::Compare(const std::string& tenant, const Ids& ids) {
  const pg::Scope scope = pg::Scope::Tenant(tenant);
  Subjects subjects;
  CLM_RETURN_IF_ERROR(LoadSubjects(*options_.reader, tenant, ids, subjects));

  // The keys are committed before others are looked for by them: of two contacts that are changed
  // at the same time, the one that is compared later finds the other.
  Ids keyed;
  std::vector<int64_t> keys;
  for (const Uuid& id : ids) {
    const auto subject = subjects.find(id);
    if (subject == subjects.end()) continue;
    for (const std::string& key : BlockKeys(subject->second)) {
      keyed.push_back(id);
      keys.push_back(HashOf(key));
    }
  }
  pg::Args drop_keys, save_keys;
  drop_keys.Add(tenant).AddArray(ids).AddArray(keyed).AddArray(keys);
  save_keys.Add(tenant).AddArray(keyed).AddArray(keys);
  CLM_RETURN_IF_ERROR(Transact(scope, [&](pg::Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(tx.Exec(kDropKeys, drop_keys).status());
    return tx.Exec(kSaveKeys, save_keys).status();
  }));
  Failpoint("duplicates.keyed");

  const std::set<int64_t> distinct(keys.begin(), keys.end());
  pg::Args ask;
  ask.Add(tenant)
      .AddArray(std::vector<int64_t>(distinct.begin(), distinct.end()))
      .Add(options_.max_block + 1);
  CLM_ASSIGN_OR_RETURN(const pg::Result members,
                       options_.pool->Query({scope, absl::Now() + kTimeout}, kBlocks, ask));
  absl::flat_hash_map<int64_t, Ids> blocks;
  for (int i = 0; i < members.size(); ++i) {
    blocks[members[i].Int(0)].push_back(members[i].Uuid(1));
  }
  std::set<Uuid> wanted;
  for (auto& [_, block] : blocks) {
    if (block.size() > static_cast<size_t>(options_.max_block)) block.clear();
    wanted.insert(block.begin(), block.end());
  }
  CLM_RETURN_IF_ERROR(
      LoadSubjects(*options_.reader, tenant, {wanted.begin(), wanted.end()}, subjects));

  std::map<Uuid, std::set<Uuid>> others;
  for (size_t i = 0; i < keyed.size(); ++i) {
    const Ids& block = blocks[keys[i]];
    others[keyed[i]].insert(block.begin(), block.end());
  }
  std::map<std::pair<Uuid, Uuid>, DuplicatePair> pairs;
  for (const auto& [id, block] : others) {
    std::vector<const DuplicateSubject*> found;
    for (const Uuid& other : block) {
      // Merged or erased by now.
      if (const auto it = subjects.find(other); it != subjects.end()) found.push_back(&it->second);
    }
    for (auto& pair : FindDuplicates(subjects.at(id), found)) {
      pairs.try_emplace({pair.older, pair.younger}, std::move(pair));
    }
  }

  Ids older, younger;
  std::vector<int64_t> scores;
  std::vector<std::string> reasons;
  for (const auto& [_, pair] : pairs) {
    older.push_back(pair.older);
    younger.push_back(pair.younger);
    scores.push_back(pair.score);
    reasons.push_back(absl::StrJoin(pair.reasons, "|"));
  }
  pg::Args drop_pairs, save_pairs;
  drop_pairs.Add(tenant).AddArray(ids).AddArray(older).AddArray(younger);
  save_pairs.Add(tenant).AddArray(older).AddArray(younger).AddArray(scores).AddArray(reasons);
  save_pairs.Add(options_.clock->Now());
  return Transact(scope, [&](pg::Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(tx.Exec(kDropPairs, drop_pairs).status());
    return tx.Exec(kSavePairs, save_pairs).status();
  });
}

absl::StatusOr<absl::Duration> DuplicateScan::Turn() {
  const absl::Time begin = absl::Now();
  CLM_ASSIGN_OR_RETURN(const Step step, RunStep());
  if (!step.more) return options_.poll;
  return std::min((absl::Now() - begin) * (1 / options_.busy_share - 1), kLongestRest);
}

std::vector<const pg::Statement*> DuplicateScanStatements() {
  return {&kPlace, &kSavePlace, &kDropKeys, &kSaveKeys, &kBlocks, &kDropPairs, &kSavePairs};
}

}  // namespace clm::contact
