// What the lifecycle service does with the contact service's events: customers and facts are kept,
// and every fact is folded into the stages of its customer in the same transaction.
#ifndef CLM_SERVICES_LIFECYCLE_CONTACT_FEED_HANDLER_H_
#define CLM_SERVICES_LIFECYCLE_CONTACT_FEED_HANDLER_H_

#include "absl/status/status.h"
#include "libs/journal/consumer.h"
#include "services/lifecycle/pg_lifecycle_store.h"

namespace clm::lifecycle {

// Stateless. The unit of work must be a LifecycleWork.
//
//   ContactChanged   The customer's row. Changes of source, locale, status and attributes are
//   facts;
//                    so is the beginning of the relationship.
//   BehaviorRecorded Facts; an event id seen before counts once.
//   ContactsMerged   The merged contact's facts, moves by hand included, become the survivor's, who
//   is
//                    folded again; the merged contact's moves are superseded. It belongs to another
//                    shard, whose lock this event does not hold: its row is locked instead, and
//                    every change of a customer's row makes sure that the row was not merged since
//                    it was read. Facts that reach the merged contact later go to the survivor.
//   AcquisitionCostRecorded
class ContactFeedHandler : public journal::EventHandler {
 public:
  void Declare(const event::v1::Event& event, journal::Work& base) override;
  absl::Status Apply(const event::v1::Event& event, journal::Work& base,
                     journal::Recorder& recorder) override;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_CONTACT_FEED_HANDLER_H_
