// Holds every request to what its fields promise (clm.options.v1.field), before a handler runs.
// A plan is compiled once per message type; checking takes no lock.
//
// Every bad field is reported, by its full path ("events[3].type"); values are never quoted. Beyond
// the declared rules: texts hold no NUL, numbers are finite, enum values are known ones, timestamps
// lie in the years 1 to 9999, durations and Structs are within their bounds, counts and lengths
// have defaults (FieldRule). OUTPUT_ONLY fields are cleared, not refused (AIP-203), except a
// resource's own name. In a request with an `update_mask`, REQUIRED inside the resource binds only
// what the mask names, and nothing when there is no mask.
#ifndef CLM_LIBS_RPC_VALIDATOR_H_
#define CLM_LIBS_RPC_VALIDATOR_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace clm::rpc {

// Immutable, thread-safe.
class Validator {
 public:
  // The plan for messages of `type`, which lives for ever. Takes a lock: ask once, keep the answer.
  // Aborts when a rule itself is wrong (a pattern that does not compile).
  static const Validator& For(const google::protobuf::Descriptor* type);

  // Clears what callers may not set and checks the rest. INVALID_ARGUMENT with all bad fields;
  // NOT_FOUND when a resource name within belongs to another tenant than `tenant` (unless that is
  // empty).
  absl::Status Check(google::protobuf::Message& message, absl::string_view tenant = "") const;

  Validator(const Validator&) = delete;
  Validator& operator=(const Validator&) = delete;

 private:
  struct Plan;
  struct FieldPlan;
  struct Walk;
  class Compiler;
  explicit Validator(const Plan* plan) : plan_(plan) {}
  const Plan* plan_;
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_VALIDATOR_H_
