// One handler of a journal for all parts of the service that hear of it.
#ifndef CLM_SERVICES_FEEDBACK_FEEDS_H_
#define CLM_SERVICES_FEEDBACK_FEEDS_H_

#include <vector>

#include "absl/status/status.h"
#include "libs/base/status_macros.h"
#include "libs/journal/consumer.h"

namespace clm::feedback {

// Hands every event to all of them, in order: either all of it takes effect, or none. Add before
// the first event; then as thread-safe as they are.
class SharedFeed : public journal::EventHandler {
 public:
  // Null: nothing to add.
  void Add(journal::EventHandler* handler) {
    if (handler != nullptr) handlers_.push_back(handler);
  }
  void Declare(const event::v1::Event& event, journal::Work& work) override {
    for (journal::EventHandler* handler : handlers_) handler->Declare(event, work);
  }
  absl::Status Apply(const event::v1::Event& event, journal::Work& work,
                     journal::Recorder& recorder) override {
    for (journal::EventHandler* handler : handlers_) {
      CLM_RETURN_IF_ERROR(handler->Apply(event, work, recorder));
    }
    return absl::OkStatus();
  }

 private:
  std::vector<journal::EventHandler*> handlers_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_FEEDS_H_
