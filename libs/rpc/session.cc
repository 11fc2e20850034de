#include "libs/rpc/session.h"

#include <cxxabi.h>

#include <algorithm>
#include <atomic>
#include <typeinfo>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/request_info.h"
#include "libs/base/status_macros.h"
#include "libs/obs/log.h"
#include "libs/obs/trace.h"
#include "libs/rpc/bad_text.h"
#include "libs/rpc/status.h"
#include "libs/rpc/token_authority.h"

namespace clm::rpc::internal {
namespace {

using options::v1::MethodPolicy;

constexpr absl::Duration kDefaultDeadline = absl::Seconds(2);
constexpr absl::Duration kBatchDeadline = absl::Seconds(10);
constexpr absl::Duration kMaxDeadline = absl::Seconds(60);
constexpr absl::Duration kMaxStream = absl::Hours(1);
constexpr absl::Duration kTooLate = absl::Milliseconds(5);
constexpr absl::Duration kPushback = absl::Milliseconds(100);
// One in so many ordinary errors is logged; the metrics count all.
constexpr uint64_t kErrorSample = 1000;
// The property by which gRPC names the security of a transport, "insecure" included.
constexpr char kTransportSecurity[] = "transport_security_type";
// Who calls a method without showing who they are.
constexpr char kAnybody[] = "anybody";

absl::string_view View(grpc::string_ref ref) { return {ref.data(), ref.size()}; }

// The suite's processes talk over Unix sockets in a private folder, or in process. Anything else
// needs a token, also a kind of address that does not exist yet.
bool IsPrivate(const grpc::CallbackServerContext& context) {
  const std::string peer = context.peer();
  if (absl::StartsWith(peer, "unix:")) return true;
  // An in-process call has neither an address nor a transport; a network call always has both.
  return peer == "unknown" &&
         context.auth_context()->FindPropertyValues(kTransportSecurity).empty();
}

// The caller's trace, or a new one.
std::string TraceFor(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("traceparent");
  return obs::ChildTraceparent(found == metadata.end() ? "" : View(found->second));
}

bool ValidServiceName(absl::string_view name) {
  return !name.empty() && name.size() <= 40 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

absl::Status TokenMissing() {
  return error::Make(absl::StatusCode::kUnauthenticated, "TOKEN_MISSING",
                     "authorization: send the metadata \"authorization: Bearer <token>\"");
}

absl::Status Expired(const char* message) {
  return error::Make(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED", message);
}

}  // namespace

void Session::Open(Host* host, const Method* method, grpc::CallbackServerContext* context) {
  host_ = host;
  method_ = method;
  context_ = context;
  started_ = absl::Now();
  call_.method = method->full_name;
  call_.context = context;
  method->metrics->Started();
}

absl::Status Session::Admit() {
  // system_clock's greatest value stands for "none".
  const auto wanted = context_->deadline();
  const bool none = wanted == std::chrono::system_clock::time_point::max() ||
                    absl::FromChrono(wanted) > started_ + absl::Hours(24 * 365);
  call_.deadline =
      none ? started_ + (method_->call_class == MethodPolicy::CLASS_BATCH ? kBatchDeadline
                                                                          : kDefaultDeadline)
           : std::min(absl::FromChrono(wanted), started_ + kMaxDeadline);
  if (call_.deadline - started_ < kTooLate) return Expired("too little time left to begin");
  if (!host_->admission().Enter(method_->call_class)) return Shed("SERVER_BUSY");
  holds_place_ = true;
  return absl::OkStatus();
}

void Session::AdmitStream() {
  call_.deadline = std::min(absl::FromChrono(context_->deadline()), started_ + kMaxStream);
}

std::optional<absl::Status> Session::Identify() {
  call_.now = host_->clock().Now();
  absl::string_view service;
  absl::string_view authorization;
  for (const auto& [key, value] : context_->client_metadata()) {
    if (key == "authorization") authorization = View(value);
    if (key == "clm-service") service = View(value);
  }
  call_.traceparent = TraceFor(*context_);
  if (authorization.empty()) {
    if (!IsPrivate(*context_)) {
      if (!ByTokenAlone(*method_)) return TokenMissing();
      call_.caller = Caller{.actor = kAnybody, .suite = false};
      return absl::OkStatus();
    }
    if (ValidServiceName(service)) call_.caller.actor = std::string(service);
    return absl::OkStatus();
  }
  // A token is honoured wherever it comes from: who shows one gets what it grants, not more.
  call_.caller = Caller{.actor = "", .suite = false};
  if (!absl::StartsWithIgnoreCase(authorization, "bearer ")) return TokenMissing();
  authorization.remove_prefix(sizeof("bearer ") - 1);
  Authenticator* const authenticator = host_->authenticator();
  if (authenticator == nullptr) return InvalidToken();
  auto known = authenticator->Lookup(authorization);
  if (!known.has_value()) {
    token_ = std::string(authorization);
    return std::nullopt;
  }
  if (!known->ok()) return known->status();
  call_.caller = **std::move(known);
  return absl::OkStatus();
}

absl::Status Session::IdentifySlowly() {
  CLM_ASSIGN_OR_RETURN(call_.caller, host_->authenticator()->Resolve(token_, call_.deadline));
  token_.clear();
  return absl::OkStatus();
}

absl::Status Session::Check(google::protobuf::Message& request, bool malformed) {
  if (malformed) {
    // What was asked for cannot be read, but who asks is known: the rest stays hidden from others.
    CLM_RETURN_IF_ERROR(Authorize(*method_, call_.caller, call_.caller.tenant));
    const std::string text = FindBadText(request);
    return text.empty() ? Unsound() : error::InvalidField(text, "is not valid UTF-8");
  }
  absl::StatusOr<std::string> tenant = TenantOf(*method_, request);
  if (!tenant.ok()) {
    CLM_RETURN_IF_ERROR(Authorize(*method_, call_.caller, call_.caller.tenant));
    // Report the other bad fields along with this one.
    const absl::Status rest = method_->validator->Check(request, call_.caller.tenant);
    return rest.ok() ? tenant.status() : rest;
  }
  call_.tenant = *std::move(tenant);
  CLM_RETURN_IF_ERROR(Authorize(*method_, call_.caller, call_.tenant));
  return method_->validator->Check(request, call_.tenant);
}

absl::Status Session::CheckNext(google::protobuf::Message& request, bool malformed) {
  if (malformed) return Unsound();
  const absl::StatusOr<std::string> tenant = TenantOf(*method_, request);
  // Later messages may leave the tenant out; they may not name another.
  if (tenant.ok() && *tenant != call_.tenant) return error::NotFound("tenants/" + *tenant);
  return method_->validator->Check(request, call_.tenant);
}

bool Session::TenantFound() const {
  if (!call_.caller.suite || call_.tenant.empty()) return true;
  const Tenants* const tenants = host_->tenants();
  return tenants == nullptr || tenants->Knows(call_.tenant);
}

absl::Status Session::FindTenant() const {
  return TenantFound() ? absl::OkStatus() : host_->tenants()->Check(call_.tenant, call_.deadline);
}

absl::Status Session::StillWanted() const {
  if (context_->IsCancelled()) {
    return error::Make(absl::StatusCode::kCancelled, "CANCELLED", "the caller went away");
  }
  if (absl::Now() >= call_.deadline) return Expired("expired in the queue");
  return absl::OkStatus();
}

void Session::Park() {
  if (holds_place_) host_->admission().Leave();
  holds_place_ = false;
}

void Session::MarkReplay() { context_->AddTrailingMetadata("clm-idempotent-replay", "1"); }

absl::Status Session::Shed(const char* reason) {
  // Work that can wait is told not to come back by itself.
  const bool later = method_->call_class == MethodPolicy::CLASS_BATCH ||
                     method_->call_class == MethodPolicy::CLASS_BEST_EFFORT;
  context_->AddTrailingMetadata("grpc-retry-pushback-ms",
                                later ? "-1" : absl::StrCat(absl::ToInt64Milliseconds(kPushback)));
  return error::Unavailable(reason, "the server is busy; repeat the call later", kPushback);
}

grpc::Status Session::Close(const absl::Status& status) {
  Park();
  const absl::Duration took = absl::Now() - started_;
  method_->metrics->Handled(static_cast<int>(status.code()), took);
  if (status.ok()) return grpc::Status::OK;
  // Who was turned away at the door has not been looked at.
  if (call_.traceparent.empty()) call_.traceparent = TraceFor(*context_);
  static std::atomic<uint64_t> errors{0};
  const bool ours = status.code() == absl::StatusCode::kInternal ||
                    status.code() == absl::StatusCode::kUnknown ||
                    status.code() == absl::StatusCode::kDataLoss;
  if (ours || errors.fetch_add(1, std::memory_order_relaxed) % kErrorSample == 0) {
    obs::Log(ours ? obs::Level::kError : obs::Level::kInfo, "call failed",
             {{"method", method_->full_name},
              {"error", status},
              {"actor", call_.caller.actor},
              {"tenant", call_.tenant},
              {"took_ms", took},
              {"trace", call_.traceparent}});
  }
  const auto trace = obs::ParseTraceparent(call_.traceparent);
  return ToGrpc(trace ? error::WithRequestId(status, trace->trace_id) : status);
}

absl::Status Session::Unsound() const {
  return error::Make(
      absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
      absl::StrCat("request: not a valid ", method_->descriptor->input_type()->full_name(),
                   " (truncated, nested too deeply, or a text that is not UTF-8)"));
}

absl::Status FromCurrentException(const Method& method) {
  const std::type_info* type = abi::__cxa_current_exception_type();
  obs::Error("exception in a handler",
             {{"method", method.full_name}, {"type", type != nullptr ? type->name() : "unknown"}});
  return error::Internal("internal error");
}

}  // namespace clm::rpc::internal
