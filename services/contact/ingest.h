// Taking in behaviour events: whose they are, and writing them to the timeline. What IngestEvents
// and imports of events have in common.
#ifndef CLM_SERVICES_CONTACT_INGEST_H_
#define CLM_SERVICES_CONTACT_INGEST_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clm/contact/v1/timeline_service.pb.h"
#include "libs/journal/mutation.h"
#include "services/contact/contact_handlers.h"
#include "services/contact/contact_work.h"
#include "services/contact/identifiers.h"
#include "services/contact/known_policies.h"
#include "services/contact/timeline.h"

namespace clm::contact {

// One event of a request on its way.
struct IngestItem {
  absl::Status status;  // Refused already.
  BehaviorEvent event;
  std::vector<Identifier> identifiers;  // Said by the caller; empty when the contact is named.
  EntityKey target;                     // Known once resolved.
  bool create = false;                  // The target is to be made.
  absl::Time begin;                     // When its relationship began, then.
  std::vector<Identifier> hold;         // What the target is to have afterwards.
  bool learns = false;                  // Some of it is new.
  bool joined = false;                  // Only a later item shows that it is the target's.
  std::vector<IdentityViolation> violations;
};

struct IngestBatch {
  std::string tenant;
  std::string actor;
  std::string traceparent;
  absl::Time now;
  absl::Time deadline;
  bool create_contacts = false;
  bool last_try = false;  // Whoever is somebody else by now is the outcome of that item alone.
  IdentityPolicyPtr policy = SharedDefaultPolicy();  // The tenant's, once resolved.
  std::vector<IngestItem> items;
};

// Finds out whose each event is, as if they came one after the other, and joins profiles that an
// event shows to be one person. Strangers of one batch whom a later event of it joins become one
// contact at once. Blocks.
absl::Status ResolveIngest(const ContactParts& parts, IngestBatch& batch);

// The shards of the targets; none when every item is refused already.
journal::ShardSet ShardsOf(const IngestBatch& batch);
void DeclareIngest(const IngestBatch& batch, ContactWork& work);
// Stages and records the events, with a result for each item in their order. Moved when a target is
// somebody else by now: to be resolved again, unless it is the last try.
absl::StatusOr<v1::IngestEventsResponse> ApplyIngest(const IngestBatch& batch, ContactWork& work,
                                                     journal::Recorder& recorder);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_INGEST_H_
