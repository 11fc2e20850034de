// What the calls about dead letters do, for every service that consumes: their messages are of the
// service's own package and have the same fields.
#ifndef CLM_LIBS_JOURNAL_DEAD_LETTER_CALLS_H_
#define CLM_LIBS_JOURNAL_DEAD_LETTER_CALLS_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/page_token.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/base/time_text.h"
#include "libs/journal/dead_letters.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/call.h"

namespace clm::journal {

// A page of what is parked of a tenant, oldest first.
template <class Response, class Request>
absl::StatusOr<Response> ListDeadLetters(pg::Pool& pool, const PageTokens& tokens,
                                         const rpc::Call& call, const Request& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListDeadLetters", request.parent()};
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> token,
                       tokens.Decode(list, request.page_token()));
  DeadLetterPlace after;
  if (token.size() == 4) {
    after.park_time = ParseTime(token[0]).value_or(absl::InfinitePast());
    after.source = token[1];
    if (!absl::SimpleAtoi(token[2], &after.shard)) after.shard = 0;
    if (!absl::SimpleAtoi(token[3], &after.off)) after.off = 0;
  }
  CLM_ASSIGN_OR_RETURN(const std::vector<DeadLetter> letters,
                       ListParked(pool, tenant, after, size + 1, call.deadline));
  Response response;
  for (size_t i = 0; i < letters.size() && i < static_cast<size_t>(size); ++i) {
    const DeadLetter& letter = letters[i];
    auto* out = response.add_dead_letters();
    out->set_source(letter.source);
    out->set_shard(letter.shard);
    out->set_offset(letter.off);
    out->set_event_id(letter.event_id.ToString());
    out->set_subject(letter.subject);
    out->set_error_reason(letter.error_reason);
    out->set_error_message(letter.error_message);
    ToProto(letter.park_time, out->mutable_park_time());
    out->set_attempts(letter.attempts);
    out->set_waiting(letter.waiting);
  }
  if (letters.size() > static_cast<size_t>(size)) {
    const DeadLetter& last = letters[static_cast<size_t>(size) - 1];
    response.set_next_page_token(
        tokens.Encode(list, {clm::FormatTime(last.park_time), last.source, absl::StrCat(last.shard),
                             absl::StrCat(last.off)}));
  }
  return response;
}

// A journal that a service consumes, and its handler.
struct ConsumedSource {
  std::string source;
  EventHandler* handler = nullptr;
};

// Applies what is parked of a subject again, or gives its first event up and says so in the journal
// by a `GivenUpEvent`. `pool` and `lanes` are those of the consumers of `sources`; a request that
// names none of those means the first one.
template <class GivenUpEvent, class Response, class Request>
absl::StatusOr<Response> ReplayDeadLetter(pg::Pool& pool, Lanes& lanes,
                                          const std::vector<ConsumedSource>& sources,
                                          const rpc::Call& call, const Request& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  const auto named = std::find_if(sources.begin(), sources.end(), [&](const auto& consumed) {
    return request.source().empty() || consumed.source == request.source();
  });
  if (named == sources.end()) {
    return error::InvalidField("source", "is no journal that this service follows");
  }
  const std::string& source = named->source;
  EventHandler& handler = *named->handler;
  if (request.skip() && request.reason().empty()) {
    return error::InvalidField("reason", "is required to give an event up");
  }
  const MutationInfo info = InfoFor(call, tenant, request);
  const auto give_up = [&](const GivenUp& given_up, Recorder& recorder) {
    GivenUpEvent payload;
    payload.set_source(source);
    payload.set_event_id(given_up.event.id());
    payload.set_event_type(given_up.event.type());
    payload.set_error_reason(given_up.error_reason);
    payload.set_reason(request.reason());
    recorder.Record({.shard = given_up.shard,
                     .tenant = tenant,
                     .subject = request.subject(),
                     .type = GivenUpEvent::descriptor()->full_name(),
                     .subject_version = 0,
                     .payload = payload.SerializeAsString()});
    Response response;
    response.set_skipped_count(1);
    return response.SerializeAsString();
  };
  const auto applied = [](int went) {
    Response response;
    response.set_applied_count(went);
    return response.SerializeAsString();
  };
  CLM_ASSIGN_OR_RETURN(
      const Answer answer,
      request.skip()
          ? GiveUpParked(pool, lanes, source, request.subject(), info, give_up)
          : ReplayParked(pool, lanes, handler, source, request.subject(), info, applied));
  Response response;
  if (!response.ParseFromString(answer.response)) {
    return error::Internal("the stored answer cannot be read");
  }
  return response;
}

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_DEAD_LETTER_CALLS_H_
