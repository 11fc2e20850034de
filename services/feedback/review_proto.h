// Between the wire, the rows and the rules: reviews. Thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_REVIEW_PROTO_H_
#define CLM_SERVICES_FEEDBACK_REVIEW_PROTO_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clm/feedback/v1/review.pb.h"
#include "libs/pg/pg.h"
#include "services/feedback/reviews.h"

// The columns of ReadReview, of a row `r`.
#define CLM_REVIEW_COLUMNS \
  "r.tenant_id, r.id, r.shard, r.contact_id, r.contact_erased, r.body, r.version"

namespace clm::feedback {

inline constexpr char kReviews[] = "reviews";

std::string NameOfReview(const EntityKey& key);

// What callers set of a new one. INVALID_ARGUMENT with every bad field, with paths below "review".
absl::StatusOr<Review> NewReviewFrom(const v1::Review& wire, const EntityKey& key);
// What it says after an update with `paths` (rpc::UpdatePaths).
ReviewContent ContentAfter(const Review& before, const std::vector<std::string>& paths,
                           const v1::Review& patch);
v1::Review ToProto(const Review& review);

std::string BodyOfReview(const Review& review);
// The first column is at `column`. INTERNAL for a row that no version of this program wrote.
absl::StatusOr<Review> ReadReview(const pg::Row& row, int column);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_REVIEW_PROTO_H_
