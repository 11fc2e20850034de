#include "services/feedback/review_handlers.h"

#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/page_token.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/review_proto.h"
#include "services/feedback/review_work.h"

namespace clm::feedback {
namespace {

using v1::ReviewChanged;

constexpr int kReviewTries = 4;

// A review to be made; its contact may turn out to be another by now.
struct NewReview {
  journal::MutationInfo info;
  Review fresh;
  bool requested = false;
};

absl::StatusOr<Review> Made(const NewReview& made, absl::Time now) {
  if (made.requested) return RequestedReview(made.fresh, now);
  return ReceivedReview(made.fresh, now);
}

void RunNewReview(journal::Lanes& lanes, NewReview made, rpc::Reply<v1::Review> reply,
                  int tries = kReviewTries) {
  const EntityKey key = made.fresh.key;
  std::optional<EntityKey> contact;
  if (made.fresh.contact) contact = {key.tenant, *made.fresh.contact};
  made.fresh.shard = ShardOf(key.tenant, contact ? contact->id : key.id);
  auto kept = std::make_shared<NewReview>(std::move(made));
  journal::MutationInfo info = kept->info;
  info.shards.set(kept->fresh.shard);
  if (contact) info.aggregate = contact->id;
  lanes.Submit(std::make_unique<journal::MutationOf<FeedbackWork>>(
      std::move(info),
      [key, contact](FeedbackWork& work) {
        if (contact) work.Part<ContactsWork>().NeedContact(*contact);
        work.Part<ReviewWork>().NeedReview(key);
      },
      [kept, key, contact](FeedbackWork& work,
                           journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        if (contact) CLM_RETURN_IF_ERROR(CheckContact(work.Part<ContactsWork>(), *contact));
        auto& reviews = work.Part<ReviewWork>();
        if (reviews.Find(key) != nullptr) {
          return error::Make(absl::StatusCode::kAlreadyExists, "REVIEW_EXISTS",
                             "review_id: there is a review of this id",
                             {{"review", NameOfReview(key)}});
        }
        CLM_ASSIGN_OR_RETURN(Review review, Made(*kept, recorder.now()));
        reviews.Put(
            recorder,
            kept->requested ? ReviewChanged::CHANGE_REQUESTED : ReviewChanged::CHANGE_RECEIVED,
            std::move(review));
        return ToProto(*reviews.Find(key)).SerializeAsString();
      },
      [&lanes, kept, tries,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (const auto to = MovedTo(answer.status()); to && tries > 1) {
          kept->fresh.contact = *to;
          return RunNewReview(lanes, std::move(*kept), std::move(reply), tries - 1);
        }
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

}  // namespace

template <class Req>
void ReviewHandlers::Run(const rpc::Call& call, const Req& request, Verb verb,
                         rpc::Reply<v1::Review> reply) {
  const auto key = ParseEntityName(verb.name_field, kReviews, verb.name);
  if (!key.ok()) return reply(key.status());
  // Its shard, which stays.
  const auto known = reader_.Get(*key, call.deadline);
  if (!known.ok()) return reply(known.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(known->shard);
  info.aggregate = known->contact;
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [key = *key](FeedbackWork& work) { work.Part<ReviewWork>().NeedReview(key); },
      [key = *key, verb = std::move(verb)](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        auto& reviews = work.Part<ReviewWork>();
        const Review* stored = reviews.Find(key);
        if (stored == nullptr) return error::NotFound(NameOfReview(key));
        CLM_RETURN_IF_ERROR(CheckEtag(verb.etag_field, verb.etag, stored->version));
        CLM_ASSIGN_OR_RETURN(Review after, verb.rule(*stored, recorder.now()));
        if (after != *stored) reviews.Put(recorder, verb.change, std::move(after));
        return ToProto(*reviews.Find(key)).SerializeAsString();
      },
      std::move(reply));
}

void ReviewHandlers::RequestReview(const rpc::Call& call, const v1::RequestReviewRequest& request,
                                   rpc::Reply<v1::Review> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  const auto contact = ParseEntityName("contact", kContacts, request.contact());
  if (!contact.ok()) return reply(contact.status());
  if (contact->tenant != *tenant) {
    return reply(error::InvalidField("contact", "is another tenant's"));
  }
  Review fresh;
  fresh.key = {*tenant, Uuid::V7(call.now)};
  fresh.contact = contact->id;
  fresh.kind = request.kind() == 0 ? ReviewKind::kReview : static_cast<ReviewKind>(request.kind());
  fresh.platform = request.platform();
  RunNewReview(*shared_.lanes, {journal::InfoFor(call, *tenant, request), std::move(fresh), true},
               std::move(reply));
}

void ReviewHandlers::CreateReview(const rpc::Call& call, const v1::CreateReviewRequest& request,
                                  rpc::Reply<v1::Review> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  const Uuid id = Uuid::Parse(request.review_id()).value_or(Uuid::V7(call.now));
  auto fresh = NewReviewFrom(request.review(), {*tenant, id});
  if (!fresh.ok()) return reply(fresh.status());
  RunNewReview(*shared_.lanes, {journal::InfoFor(call, *tenant, request), *std::move(fresh)},
               std::move(reply));
}

absl::StatusOr<v1::Review> ReviewHandlers::GetReview(const rpc::Call& call,
                                                     const v1::GetReviewRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("name", kReviews, request.name()));
  CLM_ASSIGN_OR_RETURN(const Review review, reader_.Get(key, call.deadline));
  return ToProto(review);
}

absl::StatusOr<v1::ListReviewsResponse> ReviewHandlers::ListReviews(
    const rpc::Call& call, const v1::ListReviewsRequest& request) {
  ReviewReader::Query query;
  CLM_ASSIGN_OR_RETURN(query.tenant, ParseTenantName("parent", request.parent()));
  if (!request.contact().empty()) {
    CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                         ParseEntityName("contact", kContacts, request.contact()));
    if (contact.tenant != query.tenant) {
      return error::InvalidField("contact", "is another tenant's");
    }
    query.contact = contact.id;
  }
  query.filter = request.filter();
  query.now = call.now;
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListReviews", request.parent(), request.contact(),
                                         request.filter()};
  CLM_ASSIGN_OR_RETURN(const auto last, shared_.tokens->Decode(list, request.page_token()));
  int64_t micros = 0;
  if (last.size() == 2 && absl::SimpleAtoi(last[0], &micros)) {
    query.before = {absl::FromUnixMicros(micros), Uuid::Parse(last[1]).value_or(Uuid())};
  }
  query.limit = size + 1;
  CLM_ASSIGN_OR_RETURN(auto reviews, reader_.List(query, call.deadline));
  v1::ListReviewsResponse response;
  const bool more = static_cast<int>(reviews.size()) > size;
  if (more) reviews.resize(size);
  for (const Review& review : reviews) *response.add_reviews() = ToProto(review);
  if (more) {
    response.set_next_page_token(
        shared_.tokens->Encode(list, {absl::StrCat(absl::ToUnixMicros(reviews.back().create_time)),
                                      reviews.back().key.id.ToString()}));
  }
  return response;
}

void ReviewHandlers::UpdateReview(const rpc::Call& call, const v1::UpdateReviewRequest& request,
                                  rpc::Reply<v1::Review> reply) {
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.review());
  if (!paths.ok()) return reply(paths.status());
  Verb verb{
      ReviewChanged::CHANGE_UPDATED,
      "review.name",
      request.review().name(),
      "review.etag",
      request.review().etag(),
      [paths = *std::move(paths), patch = request.review()](const Review& before, absl::Time now) {
        return ChangeContent(before, ContentAfter(before, paths, patch), now);
      }};
  Run(call, request, std::move(verb), std::move(reply));
}

void ReviewHandlers::GrantReviewPermission(const rpc::Call& call,
                                           const v1::GrantReviewPermissionRequest& request,
                                           rpc::Reply<v1::Review> reply) {
  Run(call, request,
      {ReviewChanged::CHANGE_PERMISSION_GRANTED, "name", request.name(), "etag", request.etag(),
       [evidence = request.evidence()](const Review& before, absl::Time now) {
         return GrantPermission(before, evidence, now);
       }},
      std::move(reply));
}

void ReviewHandlers::WithdrawReviewPermission(const rpc::Call& call,
                                              const v1::WithdrawReviewPermissionRequest& request,
                                              rpc::Reply<v1::Review> reply) {
  Run(call, request,
      {ReviewChanged::CHANGE_PERMISSION_WITHDRAWN, "name", request.name(), "etag", request.etag(),
       &WithdrawPermission},
      std::move(reply));
}

void ReviewHandlers::ApproveReview(const rpc::Call& call, const v1::ApproveReviewRequest& request,
                                   rpc::Reply<v1::Review> reply) {
  Run(call, request,
      {ReviewChanged::CHANGE_APPROVED, "name", request.name(), "etag", request.etag(),
       [actor = call.caller.actor](const Review& before, absl::Time now) {
         return feedback::ApproveReview(before, actor, now);
       }},
      std::move(reply));
}

void ReviewHandlers::RejectReview(const rpc::Call& call, const v1::RejectReviewRequest& request,
                                  rpc::Reply<v1::Review> reply) {
  Run(call, request,
      {ReviewChanged::CHANGE_REJECTED, "name", request.name(), "etag", request.etag(),
       [actor = call.caller.actor, reason = request.reason()](const Review& before,
                                                              absl::Time now) {
         return feedback::RejectReview(before, actor, reason, now);
       }},
      std::move(reply));
}

}  // namespace clm::feedback
