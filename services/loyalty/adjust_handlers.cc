// The RPC of LedgerService by which one person corrects a balance.
#include <utility>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "services/loyalty/adjusting.h"
#include "services/loyalty/ledger_handlers.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/wallet_request.h"

namespace clm::loyalty {

void LedgerHandlers::AdjustPoints(const rpc::Call& call, const v1::AdjustPointsRequest& request,
                                  rpc::Reply<v1::PostingResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  if (request.amount() == 0) return reply(error::InvalidField("amount", "must not be 0"));
  const auto terms = ParseAdjustTerms(request.expiry());
  if (!terms.ok()) return reply(terms.status());
  MemberMutation<v1::PostingResponse> adjust;
  adjust.info = journal::InfoFor(call, member->tenant, request);
  adjust.member = *member;
  adjust.declare = [request, at = call.now](LoyaltyWork& work, const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedWallet(WalletOf(m, request.wallet()), SpendOf(request.amount()));
    work.adjustments().NeedDay({m, request.wallet(), at});
  };
  adjust.apply = [call, request, terms = *terms](
                     LoyaltyWork& work, journal::Recorder& recorder,
                     const MemberKey& m) -> absl::StatusOr<v1::PostingResponse> {
    const int64_t amount = request.amount();
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work, recorder, m, request.wallet(), AdmitFor(amount)));
    CLM_RETURN_IF_ERROR(CountAdjustment(work, session, amount, call.now));
    CLM_ASSIGN_OR_RETURN(const StoredPosting posting,
                         Adjust(session, amount, terms, NoteOf(call, request, amount)));
    v1::PostingResponse response = AnswerOf(posting, session).response;
    CLM_RETURN_IF_ERROR(session.Record());
    return response;
  };
  RunOnMember(*parts_.lanes, std::move(adjust), std::move(reply));
}

}  // namespace clm::loyalty
