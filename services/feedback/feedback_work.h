// The unit of work of one transaction of the feedback service, made of parts: each part loads,
// stages and writes the rows of one concern, and all of them do so in the one transaction.
#ifndef CLM_SERVICES_FEEDBACK_FEEDBACK_WORK_H_
#define CLM_SERVICES_FEEDBACK_FEEDBACK_WORK_H_

#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "libs/base/resource_name.h"
#include "libs/journal/mutation.h"
#include "libs/pg/pg.h"

namespace clm::feedback {

class FeedbackWork;
struct AnswerFact;

// One concern within the unit of work. Used by one thread, like the whole.
class WorkPart {
 public:
  virtual ~WorkPart() = default;

  // As of journal::Work; parts are loaded and written in the order in which they were added.
  virtual absl::Status Load(pg::Tx& tx) = 0;
  virtual void Keep() = 0;
  virtual void Discard() = 0;
  virtual absl::Status Flush(pg::Tx& tx) = 0;
  virtual absl::Status Sweep(pg::Tx& tx) {
    static_cast<void>(tx);
    return absl::OkStatus();
  }

  // Stages that all that `merged` has is `survivor`'s. The shards of both, and of all who became
  // either of them before, are locked. After this the part finds nothing of `merged` any more.
  virtual void MergeContact(const EntityKey& merged, const EntityKey& survivor,
                            journal::Recorder& recorder) {
    static_cast<void>(merged), static_cast<void>(survivor), static_cast<void>(recorder);
  }
  // Stages that nothing says any more that it was about this person. The shards of the contact, and
  // of all who became it, are locked. May be called again for the same contact.
  virtual void EraseContact(const EntityKey& contact, journal::Recorder& recorder) {
    static_cast<void>(contact), static_cast<void>(recorder);
  }

  // Before the transaction loads: an answer of this contact may be given in it.
  virtual void NeedForAnswer(const EntityKey& contact) { static_cast<void>(contact); }
  // An answer was given or corrected, and is staged. Refusing here refuses the answer.
  virtual absl::Status OnAnswer(const AnswerFact& answer, FeedbackWork& work,
                                journal::Recorder& recorder) {
    static_cast<void>(answer), static_cast<void>(work), static_cast<void>(recorder);
    return absl::OkStatus();
  }
};

// Thread-compatible.
class FeedbackWork : public journal::Work {
 public:
  void Add(std::unique_ptr<WorkPart> part) { parts_.push_back(std::move(part)); }
  // The part of this type; every work has one of each.
  template <class P>
  P& Part() {
    for (const auto& part : parts_) {
      if (auto* found = dynamic_cast<P*>(part.get())) return *found;
    }
    std::abort();
  }
  const std::vector<std::unique_ptr<WorkPart>>& parts() const { return parts_; }

  absl::Status Load(pg::Tx& tx) override;
  void Keep() override;
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;
  absl::Status Sweep(pg::Tx& tx) override;

 private:
  std::vector<std::unique_ptr<WorkPart>> parts_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_FEEDBACK_WORK_H_
