#include "libs/rpc/method.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clm/options/v1/token_authority.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/rpc/token_authority.h"

namespace clm::rpc {
namespace {

namespace pb = google::protobuf;
using options::v1::MethodPolicy;

const char* TypeOf(const pb::MethodDescriptor* method) {
  if (method->client_streaming() && method->server_streaming()) return "bidi_stream";
  if (method->client_streaming()) return "client_stream";
  return method->server_streaming() ? "server_stream" : "unary";
}

absl::Status Bad(const pb::MethodDescriptor* method, absl::string_view what) {
  return error::Precondition("METHOD_POLICY", absl::StrCat(method->full_name(), ": ", what));
}

std::string TenantFieldText(const Method& method) {
  std::string text;
  for (const auto* field : method.tenant_path) {
    absl::StrAppend(&text, text.empty() ? "" : ".", field->name());
  }
  return text;
}

}  // namespace

absl::StatusOr<Method> ResolveMethod(const pb::MethodDescriptor* descriptor,
                                     obs::Metrics& metrics) {
  if (!descriptor->options().HasExtension(options::v1::policy)) {
    return Bad(descriptor, "has no (clm.options.v1.policy)");
  }
  const MethodPolicy& policy = descriptor->options().GetExtension(options::v1::policy);
  Method method;
  method.descriptor = descriptor;
  method.full_name = absl::StrCat("/", descriptor->service()->full_name(), "/", descriptor->name());
  method.scope = policy.scope();
  if (policy.class_() != MethodPolicy::CLASS_UNSPECIFIED) method.call_class = policy.class_();
  method.audience = policy.audience();

  const pb::Descriptor* type = descriptor->input_type();
  if (descriptor->options().HasExtension(options::v1::token_authority)) {
    const auto& authority = descriptor->options().GetExtension(options::v1::token_authority);
    const pb::FieldDescriptor* token = type->FindFieldByName(authority.field());
    if (token == nullptr || token->type() != pb::FieldDescriptor::TYPE_STRING ||
        token->is_repeated()) {
      return Bad(descriptor, absl::StrCat("token_authority's field ", authority.field(),
                                          " is not a string of ", type->full_name()));
    }
    if (policy.audience() != MethodPolicy::AUDIENCE_UNSPECIFIED || !policy.scope().empty() ||
        !policy.tenant_field().empty()) {
      return Bad(descriptor,
                 "has a token_authority, and a scope, audience or tenant_field besides");
    }
  } else if (policy.audience() == MethodPolicy::AUDIENCE_UNSPECIFIED) {
    if (policy.scope().empty()) return Bad(descriptor, "policy has no scope");
    if (policy.tenant_field().empty()) return Bad(descriptor, "policy has no tenant_field");
  }
  if (!policy.tenant_field().empty()) {
    for (const auto part : absl::StrSplit(policy.tenant_field(), '.')) {
      const pb::FieldDescriptor* field =
          type == nullptr ? nullptr : type->FindFieldByName(std::string(part));
      if (field == nullptr || field->is_repeated()) {
        return Bad(descriptor,
                   absl::StrCat("policy's tenant_field ", policy.tenant_field(),
                                " is not a field of ", descriptor->input_type()->full_name()));
      }
      method.tenant_path.push_back(field);
      type = field->message_type();
    }
    if (method.tenant_path.back()->cpp_type() != pb::FieldDescriptor::CPPTYPE_STRING) {
      return Bad(descriptor,
                 absl::StrCat("policy's tenant_field ", policy.tenant_field(), " is not a string"));
    }
  }
  if (policy.mutation() && !descriptor->client_streaming()) {
    const auto* request_id = descriptor->input_type()->FindFieldByName("request_id");
    if (request_id == nullptr || request_id->cpp_type() != pb::FieldDescriptor::CPPTYPE_STRING) {
      return Bad(descriptor, "is a mutation, but its request has no request_id");
    }
  }
  method.validator = &Validator::For(descriptor->input_type());
  method.metrics = &metrics.ForMethod(descriptor->service()->full_name(), descriptor->name(),
                                      TypeOf(descriptor));
  return method;
}

absl::StatusOr<std::string> TenantOf(const Method& method, const pb::Message& request) {
  if (method.tenant_path.empty()) return "";
  const pb::Message* message = &request;
  for (size_t i = 0; i + 1 < method.tenant_path.size(); ++i) {
    message = &message->GetReflection()->GetMessage(*message, method.tenant_path[i]);
  }
  std::string scratch;
  const std::string& text =
      message->GetReflection()->GetStringReference(*message, method.tenant_path.back(), &scratch);
  absl::string_view tenant = text;
  if (absl::StartsWith(tenant, "tenants/")) {
    tenant.remove_prefix(sizeof("tenants/") - 1);
    tenant = tenant.substr(0, tenant.find('/'));
  }
  if (text.empty()) return error::InvalidField(TenantFieldText(method), "is required");
  if (!ValidTenantId(tenant)) {
    return error::InvalidField(TenantFieldText(method), "does not begin with tenants/{tenant}");
  }
  return std::string(tenant);
}

absl::Status Authorize(const Method& method, const Caller& caller, absl::string_view tenant) {
  if (caller.suite || ByTokenAlone(method)) return absl::OkStatus();
  if (method.audience == MethodPolicy::AUDIENCE_SUITE ||
      (method.audience == MethodPolicy::AUDIENCE_OPERATOR &&
       (!caller.tenant.empty() || !caller.HasScope("admin")))) {
    return error::Make(absl::StatusCode::kPermissionDenied, "AUDIENCE_MISMATCH",
                       "the method is not open to this token");
  }
  if (!method.scope.empty() && !caller.HasScope(method.scope)) {
    return error::Make(absl::StatusCode::kPermissionDenied, "SCOPE_MISSING",
                       absl::StrCat("the token lacks the scope ", method.scope),
                       {{"scope", method.scope}});
  }
  if (method.audience == MethodPolicy::AUDIENCE_UNSPECIFIED &&
      (caller.tenant.empty() || tenant != caller.tenant)) {
    return error::NotFound(absl::StrCat("tenants/", tenant));
  }
  return absl::OkStatus();
}

}  // namespace clm::rpc
