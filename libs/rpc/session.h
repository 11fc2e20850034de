// The steps that every call takes before and after its handler, whatever its kind: count, shed,
// deadline, identify, authorise, validate, and at the end status, metrics, log. Used by the
// bindings only.
#ifndef CLM_LIBS_RPC_SESSION_H_
#define CLM_LIBS_RPC_SESSION_H_

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/rpc/call.h"
#include "libs/rpc/host.h"
#include "libs/rpc/method.h"

namespace clm::rpc::internal {

// Belongs to one call; not thread-safe.
class Session {
 public:
  // Counts the call as started.
  void Open(Host* host, const Method* method, grpc::CallbackServerContext* context);

  // Takes a place among the calls in progress, unless the server is full for this class; sets the
  // deadline, and refuses a call that has too little time left.
  absl::Status Admit();
  // A stream takes a thread of its own pool instead of a place.
  void AdmitStream();

  // Who calls. nullopt when the authenticator must be asked where blocking is allowed, by
  // IdentifySlowly().
  std::optional<absl::Status> Identify();
  absl::Status IdentifySlowly();

  // May the caller do this; is the request sound. Clears what callers may not set.
  absl::Status Check(google::protobuf::Message& request, bool malformed);
  // The same for the later messages of a stream of requests: same tenant, sound.
  absl::Status CheckNext(google::protobuf::Message& request, bool malformed);

  // After Check: whether it is certain that the request's tenant exists. When not, access must be
  // asked where blocking is allowed, by FindTenant(): NOT_FOUND naming the tenant.
  bool TenantFound() const;
  absl::Status FindTenant() const;

  // DEADLINE_EXCEEDED or CANCELLED when nobody waits any more.
  absl::Status StillWanted() const;

  // Gives the place back early.
  void Park();
  void MarkReplay();
  // UNAVAILABLE for a full queue, with the metadata that tells a client when to retry.
  absl::Status Shed(const char* reason);

  // Counts and logs the end, and translates. An error names the call by its trace id, as the log
  // does. The context must not be used afterwards.
  grpc::Status Close(const absl::Status& status);

  const Call& call() const { return call_; }
  Host& host() { return *host_; }
  const Method& method() const { return *method_; }

 private:
  absl::Status Unsound() const;

  Host* host_ = nullptr;
  const Method* method_ = nullptr;
  grpc::CallbackServerContext* context_ = nullptr;
  absl::Time started_;
  bool holds_place_ = false;
  std::string token_;
  Call call_;
};

// For handlers that throw: INTERNAL for the caller, the type of the exception for the log.
absl::Status FromCurrentException(const Method& method);

}  // namespace clm::rpc::internal

#endif  // CLM_LIBS_RPC_SESSION_H_
