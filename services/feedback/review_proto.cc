#include "services/feedback/review_proto.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/rpc/field_mask.h"
#include "services/feedback/contact_changes.h"

namespace clm::feedback {
namespace {

constexpr int kBestRating = 5;

ReviewContent ContentFrom(const v1::Review& wire) {
  return {wire.rating(), wire.rating_max() == 0 ? kBestRating : wire.rating_max(),
          wire.title(),  wire.text(),
          wire.url(),    wire.author()};
}

std::optional<absl::Time> TimeFrom(bool has, const google::protobuf::Timestamp& time) {
  return has ? std::optional(clm::FromProto(time)) : std::nullopt;
}

}  // namespace

std::string NameOfReview(const EntityKey& key) { return EntityName(kReviews, key); }

absl::StatusOr<Review> NewReviewFrom(const v1::Review& wire, const EntityKey& key) {
  error::FieldErrors errors;
  Review review;
  review.key = key;
  if (!wire.name().empty() && wire.name() != NameOfReview(key)) {
    errors.Add("review.name", absl::StrCat("must be empty, or ", NameOfReview(key)));
  }
  if (wire.kind() == 0) errors.Add("review.kind", "is required");
  if (wire.platform().empty()) errors.Add("review.platform", "is required");
  if (!wire.contact().empty()) {
    const auto contact = ParseEntityName("review.contact", kContacts, wire.contact());
    errors.AddStatus("", contact.status());
    if (contact.ok() && contact->tenant != key.tenant) {
      errors.Add("review.contact", "is another tenant's");
    }
    if (contact.ok()) review.contact = contact->id;
  }
  review.kind = static_cast<ReviewKind>(wire.kind());
  review.platform = wire.platform();
  review.content = ContentFrom(wire);
  errors.AddStatus("", ValidateContent(review.content));
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return review;
}

ReviewContent ContentAfter(const Review& before, const std::vector<std::string>& paths,
                           const v1::Review& patch) {
  v1::Review wire = ToProto(before);
  rpc::ApplyMask(paths, patch, wire);
  return ContentFrom(wire);
}

v1::Review ToProto(const Review& review) {
  v1::Review wire;
  wire.set_name(NameOfReview(review.key));
  if (review.contact) {
    wire.set_contact(EntityName(kContacts, {review.key.tenant, *review.contact}));
  }
  wire.set_kind(static_cast<v1::Review::Kind>(review.kind));
  wire.set_platform(review.platform);
  wire.set_rating(review.content.rating);
  wire.set_rating_max(review.content.rating_max);
  wire.set_title(review.content.title);
  wire.set_text(review.content.text);
  wire.set_url(review.content.url);
  wire.set_author(review.content.author);
  wire.set_state(static_cast<v1::Review::State>(review.state));
  wire.set_permission(static_cast<v1::Review::Permission>(review.permission));
  wire.set_permission_evidence(review.permission_evidence);
  wire.set_publishable(IsPublishable(review));
  wire.set_decided_by(review.decided_by);
  wire.set_reject_reason(review.reject_reason);
  if (review.permission_time) {
    clm::ToProto(*review.permission_time, wire.mutable_permission_time());
  }
  if (review.decide_time) clm::ToProto(*review.decide_time, wire.mutable_decide_time());
  if (review.request_time) clm::ToProto(*review.request_time, wire.mutable_request_time());
  if (review.receive_time) clm::ToProto(*review.receive_time, wire.mutable_receive_time());
  clm::ToProto(review.create_time, wire.mutable_create_time());
  clm::ToProto(review.update_time, wire.mutable_update_time());
  wire.set_contact_erased(review.erased);
  wire.set_etag(Etag(review.version));
  return wire;
}

std::string BodyOfReview(const Review& review) {
  v1::Review body = ToProto(review);
  // Columns of their own.
  body.clear_name();
  body.clear_contact();
  body.clear_etag();
  return body.SerializeAsString();
}

absl::StatusOr<Review> ReadReview(const pg::Row& row, int column) {
  v1::Review body;
  if (!body.ParseFromString(row.Bytes(column + 5))) {
    return error::Internal("a review cannot be read");
  }
  Review review;
  review.key = {std::string(row.Text(column)), row.Uuid(column + 1)};
  review.shard = static_cast<int>(row.Int(column + 2));
  review.contact = row.OptUuid(column + 3);
  review.erased = row.Bool(column + 4);
  review.version = row.Int(column + 6);
  review.kind = static_cast<ReviewKind>(body.kind());
  review.platform = body.platform();
  review.content = ContentFrom(body);
  review.state = static_cast<ReviewState>(body.state());
  review.permission = static_cast<ReviewPermission>(body.permission());
  review.permission_evidence = body.permission_evidence();
  review.permission_time = TimeFrom(body.has_permission_time(), body.permission_time());
  review.decided_by = body.decided_by();
  review.decide_time = TimeFrom(body.has_decide_time(), body.decide_time());
  review.reject_reason = body.reject_reason();
  review.request_time = TimeFrom(body.has_request_time(), body.request_time());
  review.receive_time = TimeFrom(body.has_receive_time(), body.receive_time());
  review.create_time = clm::FromProto(body.create_time());
  review.update_time = clm::FromProto(body.update_time());
  return review;
}

}  // namespace clm::feedback
