// What the module of the feedback service is put together from. A concern of the service is a
// ModulePart: it adds its part to every unit of work, registers its gRPC services, and hears of
// other services' events. The list of all of them is module_parts.cc.
#ifndef CLM_SERVICES_FEEDBACK_MODULE_PART_H_
#define CLM_SERVICES_FEEDBACK_MODULE_PART_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clm/contact/v1/contact_service.pb.h"
#include "libs/app/module.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/consumer.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "libs/rpc/workers.h"
#include "services/feedback/feedback_work.h"

namespace clm::feedback {

// What all parts share; outlives them.
struct FeedbackParts {
  pg::Pool* pool = nullptr;
  journal::Lanes* lanes = nullptr;  // Of FeedbackWork.
  const Clock* clock = nullptr;
  const PageTokens* tokens = nullptr;
  // The suite's key.
  std::string secret;
  // Threads that may block. Null: whoever calls a handler may, as in tests.
  rpc::Workers* workers = nullptr;
  // The customer context of a contact, from the contact service; may block until `deadline`. Null
  // where there is no contact service to ask, as in tests.
  std::function<absl::StatusOr<contact::v1::CustomerContext>(const std::string& contact,
                                                             absl::Time deadline)>
      context_of;
};

// Calls come in the order of the functions below, from one thread, but for AddTo and the handlers.
class ModulePart {
 public:
  virtual ~ModulePart() = default;

  // Adds the part's WorkPart, if it has one. Called for every transaction, from any thread.
  virtual void AddTo(FeedbackWork& work) { static_cast<void>(work); }
  // What it does with the contact and lifecycle services' events; null: nothing. Live as long as
  // the part.
  virtual journal::EventHandler* contact_feed() { return nullptr; }
  virtual journal::EventHandler* lifecycle_feed() { return nullptr; }
  // Registers its gRPC services.
  virtual absl::Status Register(app::Runtime& runtime) {
    static_cast<void>(runtime);
    return absl::OkStatus();
  }
  // Background work begins, and ends. Drain may come without Serve, and twice.
  virtual absl::Status Serve(app::Runtime& runtime) {
    static_cast<void>(runtime);
    return absl::OkStatus();
  }
  virtual void Drain() {}
  // Every statement of it, for the test that prepares them.
  virtual std::vector<const pg::Statement*> Statements() const { return {}; }
};

// All parts of the service, in the order in which their work is loaded and written.
std::vector<std::unique_ptr<ModulePart>> NewParts(const FeedbackParts& shared);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_MODULE_PART_H_
