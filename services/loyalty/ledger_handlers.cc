#include "services/loyalty/ledger_handlers.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {

absl::StatusOr<v1::Hold> LedgerHandlers::GetHold(const rpc::Call& call,
                                                 const v1::GetHoldRequest& request) {
  CLM_ASSIGN_OR_RETURN(const HoldName name, ParseHoldName("name", request.name()));
  return parts_.reader->GetHold(name, call.now, call.deadline);
}

absl::StatusOr<v1::Posting> LedgerHandlers::GetPosting(const rpc::Call& call,
                                                       const v1::GetPostingRequest& request) {
  CLM_ASSIGN_OR_RETURN(const PostingKey key, ParsePostingName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredPosting posting, parts_.reader->GetPosting(key, call.deadline));
  return ToProto(posting);
}

absl::StatusOr<v1::ListPostingsResponse> LedgerHandlers::ListPostings(
    const rpc::Call& call, const v1::ListPostingsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListPostings", request.parent(), request.wallet()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<int64_t> before;
  int64_t number = 0;
  if (!last.empty() && absl::SimpleAtoi(last[0], &number)) before = number;
  CLM_ASSIGN_OR_RETURN(auto postings, parts_.reader->Postings(member, request.wallet(), before,
                                                              size + 1, call.deadline));
  v1::ListPostingsResponse response;
  const bool more = static_cast<int>(postings.size()) > size;
  if (more) postings.resize(size);
  for (const StoredPosting& posting : postings) *response.add_postings() = ToProto(posting);
  if (more) {
    response.set_next_page_token(
        parts_.tokens->Encode(list, {absl::StrCat(postings.back().key.number)}));
  }
  return response;
}

absl::StatusOr<v1::Liability> LedgerHandlers::GetLiability(const rpc::Call& call,
                                                           const v1::GetLiabilityRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey key, ParseProgramName("name", request.name()));
  absl::Time as_of = call.now;
  if (request.has_as_of()) {
    as_of = clm::FromProto(request.as_of());
    if (as_of > call.now) return error::InvalidField("as_of", "lies in the future");
  }
  CLM_ASSIGN_OR_RETURN(const Program program, parts_.reader->GetProgram(key, call.deadline));
  CLM_ASSIGN_OR_RETURN(const auto outstanding,
                       parts_.reader->Outstanding(key, as_of, call.deadline));
  v1::Liability response;
  clm::ToProto(as_of, response.mutable_as_of());
  for (const WalletTerms& terms : program.wallets) {
    v1::Liability::Part* part = response.add_parts();
    part->set_wallet(terms.id);
    part->set_currency(terms.currency);
    const auto sums = outstanding.find(terms.id);
    if (sums == outstanding.end()) continue;
    part->set_outstanding(sums->second.points);
    part->set_debt(sums->second.debt);
    CLM_ASSIGN_OR_RETURN(const int64_t minor, LiabilityMinor(terms, sums->second.points));
    part->set_value_minor(minor);
  }
  return response;
}

absl::StatusOr<v1::AuditProgramResponse> LedgerHandlers::AuditProgram(
    const rpc::Call& call, const v1::AuditProgramRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey key, ParseProgramName("name", request.name()));
  CLM_RETURN_IF_ERROR(parts_.reader->GetProgram(key, call.deadline).status());
  return parts_.reader->AuditProgram(key, call.deadline);
}

}  // namespace clm::loyalty
