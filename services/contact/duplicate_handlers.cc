#include "services/contact/duplicate_handlers.h"

#include <algorithm>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/status_macros.h"
#include "services/contact/contact_proto.h"

namespace clm::contact {
namespace {

constexpr pg::Statement kScanTime{"duplicates.scan_time", R"sql(
  SELECT scan_time FROM duplicate_scan)sql"};

constexpr pg::Statement kListCandidates{"duplicates.list", R"sql(
  SELECT contact_id, duplicate_id, score, reasons, find_time FROM duplicate_candidate
  WHERE tenant_id = $1::text AND score >= $2::int
    AND ($3::int IS NULL OR score < $3::int
         OR (score = $3::int AND (contact_id, duplicate_id) > ($4::uuid, $5::uuid)))
  ORDER BY score DESC, contact_id, duplicate_id LIMIT $6::int)sql"};

}  // namespace

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
  // First how far the scan is: what it had found by then is there when the candidates are read.
  CLM_ASSIGN_OR_RETURN(const pg::Result place,
                       pool_->Query({pg::Scope::Tenant(tenant), call.deadline}, kScanTime));
  pg::Args args;
  args.Add(tenant).Add(request.min_score()).Add(score).Add(contact).Add(duplicate).Add(size + 1);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_->Query({pg::Scope::Tenant(tenant), call.deadline}, kListCandidates, args));
  v1::ListDuplicateCandidatesResponse response;
  if (const absl::Time time = place[0].Time(0); time != absl::InfinitePast()) {
    ToProto(time, response.mutable_scan_time());
  }
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

std::vector<const pg::Statement*> DuplicateStatements() { return {&kScanTime, &kListCandidates}; }

}  // namespace clm::contact
