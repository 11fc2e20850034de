// The rules and tiers of programmes between the wire and their domain types.
#ifndef CLM_SERVICES_LOYALTY_PROGRAM_RULES_PROTO_H_
#define CLM_SERVICES_LOYALTY_PROGRAM_RULES_PROTO_H_

#include "clm/loyalty/v1/program_rules.pb.h"
#include "services/loyalty/program.h"

namespace clm::loyalty {

// What is not said gets its default; whether it makes sense is ValidateProgram's.
ProgramRule FromProto(const v1::EarnRule& rule);
ProgramTiers FromProto(const v1::TierScheme& scheme);

v1::EarnRule ToProto(const ProgramRule& rule);
v1::TierScheme ToProto(const ProgramTiers& tiers);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_PROGRAM_RULES_PROTO_H_
