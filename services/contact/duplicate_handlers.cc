#include "services/contact/duplicate_handlers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/status_macros.h"
#include "services/contact/contact_proto.h"
#include "services/contact/duplicates.h"

namespace clm::contact {
namespace {

constexpr int kPage = 1000;
// A key shared by more contacts than this identifies nobody, and comparing them all is quadratic.
constexpr size_t kMaxBlock = 200;

constexpr pg::Statement kSaveCandidates{"contact.save_candidates", R"sql(
  INSERT INTO duplicate_candidate (tenant_id, contact_id, duplicate_id, score, reasons, find_time)
  SELECT $1::text, w.contact_id, w.duplicate_id, w.score, string_to_array(w.reasons, '|'),
         $6::timestamptz
  FROM unnest($2::uuid[], $3::uuid[], $4::smallint[], $5::text[])
    AS w (contact_id, duplicate_id, score, reasons)
  ON CONFLICT (tenant_id, contact_id, duplicate_id) DO UPDATE SET
    (score, reasons, find_time) = (excluded.score, excluded.reasons, excluded.find_time))sql"};

constexpr pg::Statement kDropCandidates{"contact.drop_candidates", R"sql(
  DELETE FROM duplicate_candidate
  WHERE tenant_id = $1::text AND find_time < $2::timestamptz)sql"};

constexpr pg::Statement kCountCandidates{"contact.count_candidates", R"sql(
  SELECT count(*) FROM duplicate_candidate WHERE tenant_id = $1::text)sql"};

constexpr pg::Statement kListCandidates{"contact.list_candidates", R"sql(
  SELECT contact_id, duplicate_id, score, reasons, find_time FROM duplicate_candidate
  WHERE tenant_id = $1::text AND score >= $2::int
    AND ($3::int IS NULL OR score < $3::int
         OR (score = $3::int AND (contact_id, duplicate_id) > ($4::uuid, $5::uuid)))
  ORDER BY score DESC, contact_id, duplicate_id LIMIT $6::int)sql"};

// The subjects among `ids` that are still there.
absl::StatusOr<std::vector<DuplicateSubject>> Subjects(ContactReader& reader,
                                                       const std::string& tenant,
                                                       const std::vector<Contact>& contacts,
                                                       absl::Time deadline) {
  std::vector<Uuid> ids;
  for (const Contact& contact : contacts) ids.push_back(contact.key.id);
  CLM_ASSIGN_OR_RETURN(const auto profiles, reader.Profiles(tenant, ids, deadline));
  absl::flat_hash_map<Uuid, std::vector<Identifier>> held;
  for (const auto& profile : profiles) {
    for (const auto& known : profile.identifiers) held[profile.id].push_back(known.identifier);
  }
  std::vector<DuplicateSubject> subjects;
  for (const Contact& contact : contacts) {
    subjects.push_back(SubjectOf(contact, held[contact.key.id]));
  }
  return subjects;
}

using Keyed = std::pair<size_t, Uuid>;  // Hash of a block key, contact.

// Saves what the blocks hold.
absl::Status CompareBlocks(pg::Pool& pool, ContactReader& reader, const std::string& tenant,
                           const std::vector<std::vector<Uuid>>& blocks, absl::Time now,
                           absl::Time deadline) {
  std::vector<Uuid> ids;
  for (const auto& block : blocks) ids.insert(ids.end(), block.begin(), block.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  CLM_ASSIGN_OR_RETURN(const auto stored, reader.Get(tenant, ids, deadline));
  std::vector<Contact> contacts;
  for (size_t i = 0; i < ids.size(); ++i) {
    // Merged or erased since the first pass.
    if (!stored[i] || stored[i]->contact.key.id != ids[i]) continue;
    if (stored[i]->contact.status == ContactStatus::kErased) continue;
    contacts.push_back(stored[i]->contact);
  }
  CLM_ASSIGN_OR_RETURN(const auto subjects, Subjects(reader, tenant, contacts, deadline));
  absl::flat_hash_map<Uuid, const DuplicateSubject*> by_id;
  for (const auto& subject : subjects) by_id[subject.id] = &subject;
  std::map<std::pair<Uuid, Uuid>, DuplicatePair> pairs;
  for (const auto& block : blocks) {
    std::vector<DuplicateSubject> members;
    for (const Uuid& id : block) {
      if (const auto it = by_id.find(id); it != by_id.end()) members.push_back(*it->second);
    }
    for (auto& pair : FindDuplicates(members)) {
      pairs.try_emplace({pair.older, pair.younger}, std::move(pair));
    }
  }
  if (pairs.empty()) return absl::OkStatus();
  std::vector<Uuid> older, younger;
  std::vector<int64_t> scores;
  std::vector<std::string> reasons;
  for (const auto& [key, pair] : pairs) {
    older.push_back(pair.older);
    younger.push_back(pair.younger);
    scores.push_back(pair.score);
    reasons.push_back(absl::StrJoin(pair.reasons, "|"));
  }
  pg::Args args;
  args.Add(tenant).AddArray(older).AddArray(younger).AddArray(scores).AddArray(reasons).Add(now);
  return pool.Transact({pg::Scope::Tenant(tenant), deadline},
                       [&](pg::Tx& tx) { return tx.Exec(kSaveCandidates, args).status(); });
}

}  // namespace

absl::StatusOr<DuplicateScan> ScanForDuplicates(pg::Pool& pool, ContactReader& reader,
                                                const std::string& tenant, absl::Time now,
                                                absl::Time deadline) {
  DuplicateScan scan;
  // First the keys alone, so that memory does not grow with what contacts hold.
  std::vector<Keyed> keyed;
  ContactReader::ListQuery query;
  query.tenant = tenant;
  query.limit = kPage;
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const auto page, reader.List(query, deadline));
    std::vector<Contact> contacts;
    for (const auto& stored : page) contacts.push_back(stored.contact);
    CLM_ASSIGN_OR_RETURN(const auto subjects, Subjects(reader, tenant, contacts, deadline));
    for (const auto& subject : subjects) {
      for (const auto& key : BlockKeys(subject)) {
        keyed.emplace_back(absl::HashOf(key), subject.id);
      }
    }
    scan.scanned += static_cast<int64_t>(page.size());
    if (static_cast<int>(page.size()) < query.limit) break;
    query.after = page.back().contact.key.id;
  }
  std::sort(keyed.begin(), keyed.end());

  std::vector<std::vector<Uuid>> blocks;
  size_t members = 0;
  for (size_t begin = 0; begin < keyed.size();) {
    size_t end = begin + 1;
    while (end < keyed.size() && keyed[end].first == keyed[begin].first) ++end;
    if (end - begin > 1 && end - begin <= kMaxBlock) {
      std::vector<Uuid> block;
      for (size_t i = begin; i < end; ++i) block.push_back(keyed[i].second);
      members += block.size();
      blocks.push_back(std::move(block));
    }
    begin = end;
    if (members >= kPage || (begin == keyed.size() && !blocks.empty())) {
      CLM_RETURN_IF_ERROR(CompareBlocks(pool, reader, tenant, blocks, now, deadline));
      blocks.clear();
      members = 0;
    }
  }

  pg::Args drop;
  drop.Add(tenant).Add(now);
  CLM_RETURN_IF_ERROR(pool.Transact({pg::Scope::Tenant(tenant), deadline}, [&](pg::Tx& tx) {
    return tx.Exec(kDropCandidates, drop).status();
  }));
  pg::Args count;
  count.Add(tenant);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool.Query({pg::Scope::Tenant(tenant), deadline}, kCountCandidates, count));
  scan.found = rows[0].Int(0);
  return scan;
}

absl::StatusOr<v1::ScanDuplicatesResponse> DuplicateHandlers::ScanDuplicates(
    const rpc::Call& call, const v1::ScanDuplicatesRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const DuplicateScan scan,
                       ScanForDuplicates(*pool_, *parts_.reader, tenant, call.now, call.deadline));
  v1::ScanDuplicatesResponse response;
  response.set_scanned_count(scan.scanned);
  response.set_candidate_count(scan.found);
  return response;
}

absl::StatusOr<v1::ListDuplicateCandidatesResponse> DuplicateHandlers::ListDuplicateCandidates(
    const rpc::Call& call, const v1::ListDuplicateCandidatesRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListDuplicateCandidates", tenant,
                                         absl::StrCat(request.min_score())};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<int64_t> score;
  std::optional<Uuid> contact, duplicate;
  if (last.size() == 3) {
    int64_t value = 0;
    if (absl::SimpleAtoi(last[0], &value)) score = value;
    contact = Uuid::FromBytes(last[1]);
    duplicate = Uuid::FromBytes(last[2]);
  }
  pg::Args args;
  args.Add(tenant).Add(request.min_score()).Add(score).Add(contact).Add(duplicate).Add(size + 1);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_->Query({pg::Scope::Tenant(tenant), call.deadline}, kListCandidates, args));
  v1::ListDuplicateCandidatesResponse response;
  for (int i = 0; i < std::min(size, rows.size()); ++i) {
    auto* out = response.add_candidates();
    out->set_contact(EntityName(kContacts, {tenant, rows[i].Uuid(0)}));
    out->set_duplicate(EntityName(kContacts, {tenant, rows[i].Uuid(1)}));
    out->set_score(static_cast<int32_t>(rows[i].Int(2)));
    for (const auto& reason : rows[i].TextArray(3)) out->add_reasons(reason);
    ToProto(rows[i].Time(4), out->mutable_find_time());
  }
  if (rows.size() > size) {
    const auto row = rows[size - 1];
    response.set_next_page_token(parts_.tokens->Encode(
        list, {absl::StrCat(row.Int(2)), row.Uuid(0).ToBytes(), row.Uuid(1).ToBytes()}));
  }
  return response;
}

std::vector<const pg::Statement*> DuplicateStatements() {
  return {&kSaveCandidates, &kDropCandidates, &kCountCandidates, &kListCandidates};
}

}  // namespace clm::contact
