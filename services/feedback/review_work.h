// Reviews within the unit of work. A review is changed under its own shard: that of the contact for
// whom it was recorded, or its own where nobody is known.
#ifndef CLM_SERVICES_FEEDBACK_REVIEW_WORK_H_
#define CLM_SERVICES_FEEDBACK_REVIEW_WORK_H_

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clm/feedback/v1/review_event.pb.h"
#include "libs/base/resource_name.h"
#include "libs/pg/pg.h"
#include "services/feedback/feedback_work.h"
#include "services/feedback/reviews.h"

namespace clm::feedback {

class ReviewWork : public WorkPart {
 public:
  // Before the transaction loads.
  void NeedReview(const EntityKey& key) { reviews_.try_emplace(key); }
  // What is stored, with what this transaction has staged.
  const Review* Find(const EntityKey& key) const;
  // Saves it with its next version, and tells of it.
  void Put(journal::Recorder& recorder, v1::ReviewChanged::Change change, Review review);

  absl::Status Load(pg::Tx& tx) override;
  void Keep() override { undo_.clear(); }
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;
  absl::Status Sweep(pg::Tx& tx) override;
  void MergeContact(const EntityKey& merged, const EntityKey& survivor,
                    journal::Recorder& recorder) override;
  void EraseContact(const EntityKey& contact, journal::Recorder& recorder) override;

 private:
  struct Slot {
    std::optional<Review> row;
    bool loaded = false;
    bool stored = false;  // It has a row.
    bool dirty = false;
  };
  struct Erasure {
    EntityKey contact;
    absl::Time now;
  };
  absl::Status FlushReviews(pg::Tx& tx, const pg::Statement& statement,
                            const std::vector<const Review*>& reviews);
  absl::Status Erase(pg::Tx& tx, const Erasure& erasure);

  std::map<EntityKey, Slot> reviews_;
  std::vector<std::pair<EntityKey, EntityKey>> moved_;
  std::vector<Erasure> erased_;
  std::vector<std::function<void()>> undo_;
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> ReviewWorkStatements();

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_REVIEW_WORK_H_
