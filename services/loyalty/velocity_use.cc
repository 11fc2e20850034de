#include "services/loyalty/velocity_use.h"

#include "libs/base/uuid.h"

namespace clm::loyalty {
namespace {

static_assert(static_cast<int>(VelocitySubject::kEmail) == v1::ReferralIdentifier::KIND_EMAIL + 1);
static_assert(static_cast<int>(VelocitySubject::kPhone) == v1::ReferralIdentifier::KIND_PHONE + 1);
static_assert(static_cast<int>(VelocitySubject::kDevice) ==
              v1::ReferralIdentifier::KIND_DEVICE + 1);
static_assert(static_cast<int>(VelocitySubject::kCard) == v1::ReferralIdentifier::KIND_CARD + 1);

std::vector<VelocityKey> KeysOf(const MemberKey& member, const VelocityUse& use) {
  const ProgramKey program{member.tenant, member.program};
  std::vector<VelocityKey> keys = {{program, VelocitySubject::kMember, member.contact}};
  for (const HashedIdentifier& identifier : use.identifiers) {
    // Both number the kinds alike, the member's before them.
    const auto subject = static_cast<VelocitySubject>(static_cast<int>(identifier.kind) + 1);
    keys.push_back({program, subject, *Uuid::FromBytes(identifier.hash)});
  }
  return keys;
}

}  // namespace

void AddShards(const MemberKey& member, const VelocityUse& use, journal::ShardSet& shards) {
  for (const HashedIdentifier& identifier : use.identifiers) {
    shards.set(ShardOfIdentifier({member.tenant, member.program}, identifier.hash));
  }
}

void NeedVelocity(LoyaltyWork& work, const MemberKey& member, const VelocityUse& use) {
  for (const VelocityKey& key : KeysOf(member, use)) work.velocity().Need(key);
}

absl::Status CheckVelocity(const LoyaltyWork& work, const Program& program, const MemberKey& member,
                           const VelocityUse& use, absl::Time now) {
  if (program.velocity_limits.empty()) return absl::OkStatus();
  for (const VelocityKey& key : KeysOf(member, use)) {
    CLM_RETURN_IF_ERROR(work.velocity().Check(program, key, use.operation, use.points, now));
  }
  return absl::OkStatus();
}

absl::Status CountVelocity(LoyaltyWork& work, const Program& program, const MemberKey& member,
                           const VelocityUse& use, absl::Time now) {
  if (program.velocity_limits.empty()) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(CheckVelocity(work, program, member, use, now));
  for (const VelocityKey& key : KeysOf(member, use)) {
    CLM_RETURN_IF_ERROR(work.velocity().Count(program, key, use.operation, use.points, now));
  }
  return absl::OkStatus();
}

}  // namespace clm::loyalty
