// What the RPCs of ProgramService do, in which order. Decisions are in program.h.
#ifndef CLM_SERVICES_LOYALTY_PROGRAM_HANDLERS_H_
#define CLM_SERVICES_LOYALTY_PROGRAM_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/program_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/loyalty_parts.h"

namespace clm::loyalty {

// Thread-safe.
class ProgramHandlers {
 public:
  explicit ProgramHandlers(const LoyaltyParts& parts) : parts_(parts) {}

  void CreateProgram(const rpc::Call& call, const v1::CreateProgramRequest& request,
                     rpc::Reply<v1::Program> reply);
  absl::StatusOr<v1::Program> GetProgram(const rpc::Call& call,
                                         const v1::GetProgramRequest& request);
  absl::StatusOr<v1::ListProgramsResponse> ListPrograms(const rpc::Call& call,
                                                        const v1::ListProgramsRequest& request);
  void UpdateProgram(const rpc::Call& call, const v1::UpdateProgramRequest& request,
                     rpc::Reply<v1::Program> reply);
  void EnrolMember(const rpc::Call& call, const v1::EnrolMemberRequest& request,
                   rpc::Reply<v1::Member> reply);
  void SetMemberTier(const rpc::Call& call, const v1::SetMemberTierRequest& request,
                     rpc::Reply<v1::TierStanding> reply);
  void GetMember(const rpc::Call& call, const v1::GetMemberRequest& request,
                 rpc::Reply<v1::Member> reply);
  absl::StatusOr<v1::ListMembersResponse> ListMembers(const rpc::Call& call,
                                                      const v1::ListMembersRequest& request);

 private:
  const LoyaltyParts parts_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_PROGRAM_HANDLERS_H_
