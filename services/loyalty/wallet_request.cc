#include "services/loyalty/wallet_request.h"

#include <algorithm>

namespace clm::loyalty {

void DeclareMember(LoyaltyWork& work, const MemberKey& member) {
  work.NeedProgram({member.tenant, member.program});
  work.NeedMember(member);
}

WalletKey WalletOf(const MemberKey& member, const std::string& wallet) {
  return {member.tenant, member.program, wallet, member.contact};
}

absl::StatusOr<const std::string*> FindAnswer(const LoyaltyWork& work, const External& external) {
  if (!external.key) return nullptr;
  const ExternalUse* use = work.FindExternal(*external.key);
  if (use == nullptr) return nullptr;
  if (use->fingerprint != external.fingerprint) {
    const std::string posting = NameOf(PostingKey{use->member, use->wallet, use->number});
    return error::Make(absl::StatusCode::kAlreadyExists, "EXTERNAL_ID_REUSED",
                       absl::StrCat("external_id: was used for another request, which made ",
                                    posting, "; compare the two, or use an id of its own"),
                       {{"posting", posting}});
  }
  if (use->response.empty()) {
    return error::Precondition("MEMBER_ERASED", "external_id: its member was erased");
  }
  return &use->response;
}

Made<v1::PostingResponse> AnswerOf(const StoredPosting& posting, const WalletSession& session) {
  Made<v1::PostingResponse> made;
  *made.response.mutable_posting() = ToProto(posting);
  *made.response.mutable_balance() = session.balance();
  made.posting = posting.key;
  return made;
}

absl::StatusOr<StoredPosting> RequirePosting(const LoyaltyWork& work, const PostingKey& key,
                                             const std::vector<PostingKind>& kinds,
                                             absl::string_view only) {
  const StoredPosting* posting = work.FindPosting(key);
  if (posting == nullptr) return error::NotFound(NameOf(key));
  const PostingKind kind = posting->posting.kind;
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
    return error::Precondition("POSTING_KIND",
                               absl::StrCat("posting: is of kind ", Name(kind), "; only ", only),
                               {{"kind", std::string(Name(kind))}});
  }
  return *posting;
}

}  // namespace clm::loyalty
