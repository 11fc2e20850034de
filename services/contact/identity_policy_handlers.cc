#include "services/contact/identity_policy_handlers.h"

#include <memory>
#include <string>
#include <utility>

#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/contact/contact_proto.h"

namespace clm::contact {
namespace {

constexpr char kNamePattern[] = "tenants/*/identityPolicy";
// Journal shard of what belongs to a tenant, not to a person.
constexpr char kIdentityPolicy[] = "identityPolicy";

// The policy after the update, recorded if it differs from the one before.
absl::StatusOr<v1::IdentityPolicy> Update(ContactWork& work, journal::Recorder& recorder,
                                          const std::string& tenant,
                                          const std::vector<std::string>& paths,
                                          const v1::IdentityPolicy& patch) {
  StoredIdentityPolicy stored = work.FindIdentityPolicy(tenant);
  CLM_RETURN_IF_ERROR(CheckEtag("identity_policy.etag", patch.etag(), stored.version));
  v1::IdentityPolicy wire = ToProto(stored.policy);
  rpc::ApplyMask(paths, patch, wire);
  error::FieldErrors errors;
  IdentityPolicy next = FromProto("identity_policy", wire, errors);
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (next == stored.policy) return ToProto(tenant, stored);
  stored = {std::move(next), stored.version + 1, recorder.now()};
  v1::IdentityPolicy out = ToProto(tenant, stored);
  work.SaveIdentityPolicy(tenant, std::move(stored));
  recorder.Record({ShardOf(tenant, kIdentityPolicy), tenant, out.name(),
                   v1::IdentityPolicy::descriptor()->full_name(),
                   work.FindIdentityPolicy(tenant).version, std::nullopt, "",
                   out.SerializeAsString()});
  return out;
}

}  // namespace

absl::StatusOr<v1::IdentityPolicy> IdentityPolicyHandlers::GetIdentityPolicy(
    const rpc::Call& call, const v1::GetIdentityPolicyRequest& request) {
  CLM_ASSIGN_OR_RETURN(const auto ids, ParseResourceName("name", kNamePattern, request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredIdentityPolicy stored,
                       parts_.reader->GetIdentityPolicy(ids[0], call.deadline));
  return ToProto(ids[0], stored);
}

void IdentityPolicyHandlers::UpdateIdentityPolicy(const rpc::Call& call,
                                                  const v1::UpdateIdentityPolicyRequest& request,
                                                  rpc::Reply<v1::IdentityPolicy> reply) {
  const auto ids =
      ParseResourceName("identity_policy.name", kNamePattern, request.identity_policy().name());
  if (!ids.ok()) return reply(ids.status());
  const std::string& tenant = (*ids)[0];
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.identity_policy());
  if (!paths.ok()) return reply(paths.status());
  journal::MutationInfo info = journal::InfoFor(call, tenant, request);
  info.shards.set(ShardOf(tenant, kIdentityPolicy));
  parts_.lanes->Submit(std::make_unique<journal::MutationOf<ContactWork>>(
      std::move(info), [tenant](ContactWork& work) { work.NeedIdentityPolicy(tenant); },
      [tenant, paths = *std::move(paths), patch = request.identity_policy()](
          ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const v1::IdentityPolicy policy,
                             Update(work, recorder, tenant, paths, patch));
        return policy.SerializeAsString();
      },
      [policies = parts_.policies, tenant,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        // Before the answer, so that the caller's next call finds the new one; whatever the
        // outcome, as a failed commit may have taken effect.
        policies->Forget(tenant);
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

}  // namespace clm::contact
