#include "services/feedback/review_work.h"

#include <string>

#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/pg/key_args.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/review_proto.h"

namespace clm::feedback {
namespace {

constexpr pg::Statement kLoadReviews{"review.load", "SELECT w.place, " CLM_REVIEW_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM review r WHERE r.tenant_id = w.tenant_id
    AND r.id = w.id OFFSET 0) r)sql"};

#define CLM_INSERT_REVIEWS                                                                      \
  "INSERT INTO review (tenant_id, id, shard, contact_id, contact_erased, kind, state, "         \
  "permission, publishable, platform, rating, create_time, update_time, body, version) "        \
  "SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::smallint[]), unnest($4::uuid[]), " \
  "unnest($5::boolean[]), unnest($6::smallint[]), unnest($7::smallint[]), "                     \
  "unnest($8::smallint[]), unnest($9::boolean[]), unnest($10::text[]), "                        \
  "unnest($11::smallint[]), unnest($12::timestamptz[]), unnest($13::timestamptz[]), "           \
  "unnest($14::bytea[]), unnest($15::bigint[])"

// Callers choose ids, on whatever shard: who comes second fails here, is run again, and finds it.
constexpr pg::Statement kAddReviews{"review.add", CLM_INSERT_REVIEWS};

constexpr pg::Statement kSaveReviews{"review.save", CLM_INSERT_REVIEWS R"sql(
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (contact_id, contact_erased, state, permission, publishable, rating, update_time, body,
     version) =
    (excluded.contact_id, excluded.contact_erased, excluded.state, excluded.permission,
     excluded.publishable, excluded.rating, excluded.update_time, excluded.body,
     excluded.version))sql"};

#undef CLM_INSERT_REVIEWS

constexpr pg::Statement kMoveReviews{"review.move", R"sql(
  UPDATE review SET contact_id = $3::uuid
  WHERE contact_id = $2::uuid AND tenant_id = $1::text)sql"};

constexpr pg::Statement kReviewsOfContact{"review.of_contact", "SELECT " CLM_REVIEW_COLUMNS R"sql(
  FROM review r WHERE r.contact_id = $2::uuid AND r.tenant_id = $1::text)sql"};

// Also what was answered while the person went by another name.
constexpr pg::Statement kForgetReviewAnswers{"review.forget_answers", R"sql(
  DELETE FROM request WHERE tenant_id = $1::text AND aggregate_id = ANY ($2::uuid || ARRAY(
    SELECT a.contact_id FROM contact_change a
    WHERE a.merged_into = $2::uuid AND a.tenant_id = $1::text)))sql"};

template <class Event>
void RecordOf(journal::Recorder& recorder, const EntityKey& contact, const Event& event) {
  recorder.Record({.shard = ShardOf(contact.tenant, contact.id),
                   .tenant = contact.tenant,
                   .subject = EntityName(kContacts, contact),
                   .type = Event::descriptor()->full_name(),
                   .payload = event.SerializeAsString()});
}

}  // namespace

const Review* ReviewWork::Find(const EntityKey& key) const {
  const auto it = reviews_.find(key);
  return it == reviews_.end() || !it->second.row ? nullptr : &*it->second.row;
}

void ReviewWork::Put(journal::Recorder& recorder, v1::ReviewChanged::Change change, Review review) {
  ++review.version;
  v1::ReviewChanged changed;
  changed.set_review(NameOfReview(review.key));
  if (review.contact) {
    changed.set_contact(EntityName(kContacts, {review.key.tenant, *review.contact}));
  }
  changed.set_change(change);
  changed.set_kind(static_cast<v1::Review::Kind>(review.kind));
  changed.set_platform(review.platform);
  changed.set_state(static_cast<v1::Review::State>(review.state));
  changed.set_rating(review.content.rating);
  changed.set_rating_max(review.content.rating_max);
  changed.set_publishable(IsPublishable(review));
  recorder.Record({.shard = review.shard,
                   .tenant = review.key.tenant,
                   .subject = changed.review(),
                   .type = v1::ReviewChanged::descriptor()->full_name(),
                   .subject_version = review.version,
                   .payload = changed.SerializeAsString()});
  Slot& slot = reviews_[review.key];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  slot.row = std::move(review);
  slot.dirty = true;
}

void ReviewWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

void ReviewWork::MergeContact(const EntityKey& merged, const EntityKey& survivor,
                              journal::Recorder& recorder) {
  moved_.emplace_back(merged, survivor);
  undo_.emplace_back([this] { moved_.pop_back(); });
  v1::ReviewsMoved event;
  event.set_contact(EntityName(kContacts, survivor));
  event.set_merged_contact(EntityName(kContacts, merged));
  RecordOf(recorder, survivor, event);
}

void ReviewWork::EraseContact(const EntityKey& contact, journal::Recorder& recorder) {
  erased_.push_back({contact, recorder.now()});
  undo_.emplace_back([this] { erased_.pop_back(); });
  v1::ReviewsErased event;
  event.set_contact(EntityName(kContacts, contact));
  RecordOf(recorder, contact, event);
}

absl::Status ReviewWork::Load(pg::Tx& tx) {
  std::vector<EntityKey> keys;
  std::vector<Slot*> places;
  for (auto& [key, slot] : reviews_) {
    if (std::exchange(slot.loaded, true)) continue;
    keys.push_back(key);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadReviews, pg::KeyArgs(keys)));
  for (int i = 0; i < rows.size(); ++i) {
    Slot& slot = *places[rows[i].Int(0) - 1];
    CLM_ASSIGN_OR_RETURN(slot.row, ReadReview(rows[i], 1));
    slot.stored = true;
  }
  return absl::OkStatus();
}

absl::Status ReviewWork::Flush(pg::Tx& tx) {
  std::vector<const Review*> added, saved;
  for (const auto& [key, slot] : reviews_) {
    if (slot.dirty) (slot.stored ? saved : added).push_back(&*slot.row);
  }
  CLM_RETURN_IF_ERROR(FlushReviews(tx, kAddReviews, added));
  CLM_RETURN_IF_ERROR(FlushReviews(tx, kSaveReviews, saved));
  // After what was saved: that moves too, and is forgotten.
  for (const auto& [from, into] : moved_) {
    pg::Args args;
    args.Add(from.tenant).Add(from.id).Add(into.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kMoveReviews, args).status());
  }
  for (const Erasure& erasure : erased_) CLM_RETURN_IF_ERROR(Erase(tx, erasure));
  return absl::OkStatus();
}

absl::Status ReviewWork::FlushReviews(pg::Tx& tx, const pg::Statement& statement,
                                      const std::vector<const Review*>& reviews) {
  if (reviews.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, platforms, bodies;
  std::vector<Uuid> ids;
  std::vector<std::optional<Uuid>> contacts;
  std::vector<int64_t> shards, kinds, states, permissions, ratings, versions;
  std::vector<bool> erased, publishable;
  std::vector<absl::Time> created, updated;
  for (const Review* review : reviews) {
    tenants.push_back(review->key.tenant);
    ids.push_back(review->key.id);
    shards.push_back(review->shard);
    contacts.push_back(review->contact);
    erased.push_back(review->erased);
    kinds.push_back(static_cast<int64_t>(review->kind));
    states.push_back(static_cast<int64_t>(review->state));
    permissions.push_back(static_cast<int64_t>(review->permission));
    publishable.push_back(IsPublishable(*review));
    platforms.push_back(review->platform);
    ratings.push_back(review->content.rating);
    created.push_back(review->create_time);
    updated.push_back(review->update_time);
    bodies.push_back(BodyOfReview(*review));
    versions.push_back(review->version);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids)).AddArray(std::move(shards));
  args.AddArray(std::move(contacts)).AddArray(std::move(erased)).AddArray(std::move(kinds));
  args.AddArray(std::move(states)).AddArray(std::move(permissions));
  args.AddArray(std::move(publishable)).AddArray(std::move(platforms));
  args.AddArray(std::move(ratings)).AddArray(std::move(created)).AddArray(std::move(updated));
  args.AddBytesArray(std::move(bodies)).AddArray(std::move(versions));
  return tx.Exec(statement, args).status();
}

absl::Status ReviewWork::Erase(pg::Tx& tx, const Erasure& erasure) {
  pg::Args of;
  of.Add(erasure.contact.tenant).Add(erasure.contact.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kReviewsOfContact, of));
  std::vector<Review> erased;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(const Review before, ReadReview(rows[i], 0));
    erased.push_back(ErasedReview(before, erasure.now));
    ++erased.back().version;
  }
  std::vector<const Review*> reviews;
  for (const Review& review : erased) reviews.push_back(&review);
  return FlushReviews(tx, kSaveReviews, reviews);
}

absl::Status ReviewWork::Sweep(pg::Tx& tx) {
  for (const Erasure& erasure : erased_) {
    pg::Args of;
    of.Add(erasure.contact.tenant).Add(erasure.contact.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetReviewAnswers, of).status());
  }
  return absl::OkStatus();
}

std::vector<const pg::Statement*> ReviewWorkStatements() {
  return {&kLoadReviews, &kAddReviews,       &kSaveReviews,
          &kMoveReviews, &kReviewsOfContact, &kForgetReviewAnswers};
}

}  // namespace clm::feedback
