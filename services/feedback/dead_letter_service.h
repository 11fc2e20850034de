// DeadLetterService of the feedback module: what its consumers have parked.
#ifndef CLM_SERVICES_FEEDBACK_DEAD_LETTER_SERVICE_H_
#define CLM_SERVICES_FEEDBACK_DEAD_LETTER_SERVICE_H_

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clm/feedback/v1/dead_letter_service.grpc.pb.h"
#include "clm/feedback/v1/feedback_event.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/dead_letter_calls.h"
#include "libs/rpc/service.h"

namespace clm::feedback {

// Thread-safe.
class DeadLetterHandlers {
 public:
  struct Options {
    pg::Pool* pool = nullptr;
    journal::Lanes* lanes = nullptr;
    // The first one is meant where none is named.
    std::vector<journal::ConsumedSource> sources;
    const PageTokens* tokens = nullptr;
  };
  explicit DeadLetterHandlers(Options options) : options_(std::move(options)) {}

  absl::StatusOr<v1::ListDeadLettersResponse> ListDeadLetters(
      const rpc::Call& call, const v1::ListDeadLettersRequest& request) {
    return journal::ListDeadLetters<v1::ListDeadLettersResponse>(*options_.pool, *options_.tokens,
                                                                 call, request);
  }
  absl::StatusOr<v1::ReplayDeadLetterResponse> ReplayDeadLetter(
      const rpc::Call& call, const v1::ReplayDeadLetterRequest& request) {
    return journal::ReplayDeadLetter<v1::EventGivenUp, v1::ReplayDeadLetterResponse>(
        *options_.pool, *options_.lanes, options_.sources, call, request);
  }

 private:
  const Options options_;
};

class DeadLetterBinding : public rpc::Service {
 public:
  DeadLetterBinding(rpc::Host& host, DeadLetterHandlers& handlers)
      : Service(host, v1::DeadLetterService::service_full_name()) {
    Bind("ListDeadLetters", &handlers, &DeadLetterHandlers::ListDeadLetters);
    Bind("ReplayDeadLetter", &handlers, &DeadLetterHandlers::ReplayDeadLetter);
  }
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_DEAD_LETTER_SERVICE_H_
