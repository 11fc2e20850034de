// The token that opens a survey: which invitation, signed. It is stored nowhere; the same
// invitation always has the same one, made from the suite's key, so that whoever reads the database
// learns no token.
#ifndef CLM_SERVICES_FEEDBACK_INVITATION_TOKEN_H_
#define CLM_SERVICES_FEEDBACK_INVITATION_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/base/resource_name.h"

namespace clm::feedback {

// Immutable, thread-safe.
class InvitationTokens {
 public:
  // `secret` is the suite's key.
  explicit InvitationTokens(absl::string_view secret);

  struct Content {
    EntityKey invitation;
    int shard = 0;  // Under whose lock it is changed.
    friend bool operator==(const Content&, const Content&) = default;
  };
  // "tenant.body", the body in the alphabet of URLs.
  std::string Encode(const Content& content) const;
  // NOT_FOUND, reason INVITATION_INVALID, for anything that was not made here for that tenant: the
  // same answer whatever is wrong with it.
  absl::StatusOr<Content> Decode(absl::string_view token) const;

 private:
  std::string Sign(absl::string_view tenant, absl::string_view body) const;
  std::string key_;
};

// What is wrong with a token, for people.
absl::Status InvalidInvitation();

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_INVITATION_TOKEN_H_
