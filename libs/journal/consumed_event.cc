#include "libs/journal/consumed_event.h"

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::journal {

absl::Status MalformedEvent(absl::string_view what) {
  return error::Make(absl::StatusCode::kDataLoss, "EVENT_MALFORMED",
                     absl::StrCat("the event cannot be understood: ", what));
}

absl::StatusOr<EntityKey> EntityOf(const event::v1::Event& event, absl::string_view field,
                                   absl::string_view collection, const std::string& name) {
  auto key = ParseEntityName(field, collection, name);
  if (!key.ok() || key->tenant != event.tenant()) return MalformedEvent(field);
  return key;
}

}  // namespace clm::journal
