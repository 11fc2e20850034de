// Pages of lists of invitations and answers, newest first.
#ifndef CLM_SERVICES_FEEDBACK_INVITATION_PAGES_H_
#define CLM_SERVICES_FEEDBACK_INVITATION_PAGES_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/page_token.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "services/feedback/survey_rows.h"

namespace clm::feedback {

using InvitationPlace = std::optional<std::pair<absl::Time, Uuid>>;

// Where the page of a token begins; none for the first one.
inline absl::StatusOr<InvitationPlace> BeforeOf(const PageTokens& tokens,
                                                const std::vector<std::string>& list,
                                                const std::string& token) {
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> place, tokens.Decode(list, token));
  if (place.size() != 2) return InvitationPlace();
  const auto id = Uuid::Parse(place[1]);
  if (!id) return InvitationPlace();
  return InvitationPlace({ParseTime(place[0]).value_or(absl::InfiniteFuture()), *id});
}

// Cuts one that is too many off; the token of the next page, empty at the end.
inline std::string CutPage(const PageTokens& tokens, const std::vector<std::string>& list, int size,
                           std::vector<StoredInvitation>& found) {
  if (found.size() <= static_cast<size_t>(size)) return "";
  found.pop_back();
  return tokens.Encode(list,
                       {clm::FormatTime(found.back().create_time), found.back().key.id.ToString()});
}

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_INVITATION_PAGES_H_
