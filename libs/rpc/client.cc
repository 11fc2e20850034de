#include "libs/rpc/client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/obs/trace.h"

namespace clm::rpc {
namespace {

// gRFC A6. One layer retries, the direct caller; servers push back by grpc-retry-pushback-ms.
constexpr char kServiceConfig[] = R"json({
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{}],
    "retryPolicy": {
      "maxAttempts": 3,
      "initialBackoff": "0.05s",
      "maxBackoff": "1s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }],
  "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
})json";

// The largest answer that is received. More than the 4 MiB that a server takes as a request: a
// journal may hold a record as large as the request behind it, and its envelope.
constexpr int kMaxAnswerBytes = 8 << 20;

void AddIdentity(const ClientIdentity& identity, grpc::ClientContext* context) {
  if (!identity.service.empty()) context->AddMetadata("clm-service", identity.service);
  if (!identity.token.empty()) {
    context->AddMetadata("authorization", absl::StrCat("Bearer ", identity.token));
  }
}

}  // namespace

grpc::ChannelArguments ChannelArguments() {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  return arguments;
}

std::shared_ptr<grpc::Channel> NewChannel(const std::string& target) {
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), ChannelArguments());
}

void PrepareContext(const ClientIdentity& identity, const Call& call,
                    grpc::ClientContext* context) {
  AddIdentity(identity, context);
  if (!call.traceparent.empty()) context->AddMetadata("traceparent", call.traceparent);
  if (call.deadline == absl::InfiniteFuture()) return;
  const absl::Duration left = call.deadline - absl::Now();
  context->set_deadline(
      absl::ToChronoTime(call.deadline - std::max(left / 10, absl::Milliseconds(5))));
}

void PrepareContext(const ClientIdentity& identity, absl::Duration timeout,
                    grpc::ClientContext* context) {
  AddIdentity(identity, context);
  context->AddMetadata("traceparent", obs::NewTraceparent());
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

}  // namespace clm::rpc
