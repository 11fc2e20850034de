#include "services/feedback/review_reader.h"

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/filter/filter.h"
#include "libs/filter/sql.h"
#include "services/feedback/review_proto.h"

namespace clm::feedback {
namespace {

constexpr pg::Statement kGetReview{"review.get", "SELECT " CLM_REVIEW_COLUMNS R"sql(
  FROM review r WHERE r.tenant_id = $1::text AND r.id = $2::uuid)sql"};

enum ReviewField {
  kReviewKind,
  kReviewState,
  kReviewPermission,
  kReviewPublishable,
  kReviewPlatform,
  kReviewRating,
  kReviewCreated,
  kReviewUpdated,
};

const filter::Schema& ReviewSchema() {
  static const auto& kSchema = *[] {
    auto* schema = new filter::Schema;
    schema->AddEnum(kReviewKind, "kind", {"REVIEW", "TESTIMONIAL", "CASE_STUDY"})
        .AddEnum(kReviewState, "state", {"REQUESTED", "RECEIVED", "APPROVED", "REJECTED"})
        .AddEnum(kReviewPermission, "permission", {"GRANTED", "WITHDRAWN"})
        .Add(kReviewPublishable, "publishable", filter::Type::kBool)
        .Add(kReviewPlatform, "platform", filter::Type::kString)
        .Add(kReviewRating, "rating", filter::Type::kInt64)
        .Add(kReviewCreated, "create_time", filter::Type::kTimestamp)
        .Add(kReviewUpdated, "update_time", filter::Type::kTimestamp);
    return schema;
  }();
  return kSchema;
}

const filter::Columns& ReviewFilterColumns() {
  static const auto& kColumns = *[] {
    auto* columns = new filter::Columns;
    columns->AddEnum("kind", "r.kind", {{"REVIEW", 1}, {"TESTIMONIAL", 2}, {"CASE_STUDY", 3}});
    columns->AddEnum("state", "r.state",
                     {{"REQUESTED", 1}, {"RECEIVED", 2}, {"APPROVED", 3}, {"REJECTED", 4}});
    columns->AddEnum("permission", "nullif(r.permission, 0)", {{"GRANTED", 1}, {"WITHDRAWN", 2}});
    columns->Add("publishable", "r.publishable").Add("platform", "r.platform");
    // What was not said is missing.
    columns->Add("rating", "nullif(r.rating, 0)");
    columns->Add("create_time", "r.create_time").Add("update_time", "r.update_time");
    return columns;
  }();
  return kColumns;
}

}  // namespace

absl::StatusOr<Review> ReviewReader::Get(const EntityKey& key, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query({pg::Scope::Tenant(key.tenant), deadline}, kGetReview, args));
  if (rows.empty()) return error::NotFound(NameOfReview(key));
  return ReadReview(rows[0], 0);
}

absl::StatusOr<std::vector<Review>> ReviewReader::List(const Query& query, absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const filter::Expression expression,
                       filter::Parse(query.filter, ReviewSchema(), {}));
  pg::Args args;
  args.Add(query.tenant);
  std::string where = "r.tenant_id = $1::text";
  if (query.contact) {
    const int at = args.size() + 1;
    absl::StrAppend(&where, " AND r.contact_id = coalesce((SELECT x.merged_into FROM ",
                    "contact_change x WHERE x.tenant_id = $1::text AND x.contact_id = $", at,
                    "::uuid AND NOT x.pending), $", at, "::uuid)");
    args.Add(*query.contact);
  }
  if (!query.filter.empty()) {
    CLM_ASSIGN_OR_RETURN(const std::string condition,
                         filter::ToSql(expression, ReviewFilterColumns(), query.now, args));
    absl::StrAppend(&where, " AND ", condition);
  }
  if (query.before) {
    const int at = args.size();
    absl::StrAppend(&where, " AND (r.create_time, r.id) < ($", at + 1, "::timestamptz, $", at + 2,
                    "::uuid)");
    args.Add(query.before->first).Add(query.before->second);
  }
  const std::string sql =
      absl::StrCat("SELECT " CLM_REVIEW_COLUMNS " FROM review r WHERE ", where,
                   " ORDER BY r.create_time DESC, r.id DESC LIMIT ", query.limit);
  std::vector<Review> reviews;
  CLM_RETURN_IF_ERROR(
      pool_.Read({pg::Scope::Tenant(query.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        reviews.clear();
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.ExecDynamic(sql, args));
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(Review review, ReadReview(rows[i], 0));
          reviews.push_back(std::move(review));
        }
        return absl::OkStatus();
      }));
  return reviews;
}

std::vector<const pg::Statement*> ReviewReaderStatements() { return {&kGetReview}; }

}  // namespace clm::feedback
