// Holds every request to what its fields promise (clm.options.v1.field), before a handler runs.
// A plan is compiled once per message type; checking takes no lock.
//
// Every bad field is reported, by its full path ("events[3].type"); values are never quoted. Beyond
// the declared rules: texts hold no NUL, numbers are finite, enum values are known ones, timestamps
// lie in the years 1 to 9999, durations and Structs are within their bounds, a `page_size` is not
// negative, counts and lengths have defaults (FieldRule). OUTPUT_ONLY fields are cleared, not
// refused (AIP-203), except a resource's own name. In a request with an `update_mask`, REQUIRED
// inside the resource binds only what the mask names, and nothing when there is no mask.
#ifndef CLM_LIBS_RPC_VALIDATOR_H_
#define CLM_LIBS_RPC_VALIDATOR_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace clm::rpc {

// Immutable, thread-safe.
class Validator {
 public:
  // The plan for messages of `type`, which lives for ever. Takes a lock: ask once, keep the answer.
  // Aborts when a rule itself is wrong (a pattern that does not compile).
  static const Validator& For(const google::protobuf::Descriptor* type);

  // What the owner of a message type can tell of one without asking anybody, beyond the rules of
  // its fields: pure; INVALID_ARGUMENT with field paths within the message.
  using Rules = std::function<absl::Status(const google::protobuf::Message&, absl::Time now)>;
  // Makes refusals complete: when a request is refused for a field, `rules` are asked as well about
  // every message of the type in it, so that its caller hears of everything at once. Of a request
  // whose fields are sound they are not asked: its handler applies them. The first rules of a type
  // stay. Thread-safe.
  static void AddRules(const google::protobuf::Descriptor* type, Rules rules);
  template <class T>
  static void AddRules(absl::Status (*rules)(const T&, absl::Time now)) {
    AddRules(T::descriptor(), [rules](const google::protobuf::Message& message, absl::Time now) {
      return rules(static_cast<const T&>(message), now);
    });
  }

  // Clears what callers may not set and checks the rest. INVALID_ARGUMENT with all bad fields;
  // NOT_FOUND when a resource name within belongs to another tenant than `tenant` (unless that is
  // empty).
  absl::Status Check(google::protobuf::Message& message, absl::string_view tenant = "") const;
  // A refusal of `message` for bad fields, by whoever looked at it, with what AddRules' rules say
  // of other fields. Other statuses are returned as they are.
  absl::Status Complete(const google::protobuf::Message& message, absl::Status refusal,
                        absl::Time now) const;

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
