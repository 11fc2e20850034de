// The rules and tiers of programmes between the wire and their domain types.
#ifndef CLM_SERVICES_LOYALTY_PROGRAM_RULES_PROTO_H_
#define CLM_SERVICES_LOYALTY_PROGRAM_RULES_PROTO_H_

#include "clm/loyalty/v1/program_rules.pb.h"
#include "clm/loyalty/v1/velocity.pb.h"
#include "services/loyalty/program.h"

namespace clm::loyalty {

// What is not said gets its default; whether it makes sense is ValidateProgram's.
ProgramRule FromProto(const v1::EarnRule& wire);
ProgramTiers FromProto(const v1::TierScheme& wire);
VelocityLimit FromProto(const v1::VelocityLimit& wire);

v1::EarnRule ToProto(const ProgramRule& in);
v1::TierScheme ToProto(const ProgramTiers& in);
v1::VelocityLimit ToProto(const VelocityLimit& in);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_PROGRAM_RULES_PROTO_H_
