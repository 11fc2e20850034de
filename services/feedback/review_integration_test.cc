#include <string>
#include <vector>

#include "libs/base/error.h"
#include "libs/testing/at_once.h"
#include "services/feedback/feedback_fixture.h"
#include "services/feedback/review_module_part.h"

namespace clm::feedback {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ReviewTest : public FeedbackTest {
 protected:
  template <class Rpc, class Req>
  auto Call(Rpc rpc, const Req& request) {
    return Do(node_->Part<ReviewModulePart>().handlers(), rpc, request);
  }
  static v1::CreateReviewRequest CreateRequest(int contact) {
    v1::CreateReviewRequest request;
    request.set_parent("tenants/acme");
    v1::Review& review = *request.mutable_review();
    if (contact != 0) review.set_contact(ContactName(contact));
    review.set_kind(v1::Review::KIND_TESTIMONIAL);
    review.set_platform("own_site");
    review.set_rating(5);
    review.set_text("a FINE mug");
    review.set_author("ADA of Berlin");
    return request;
  }
  v1::Review Create(int contact) {
    const auto created = Call(&ReviewHandlers::CreateReview, CreateRequest(contact));
    CLM_EXPECT_OK(created);
    return created.value_or(v1::Review());
  }
  absl::StatusOr<v1::Review> Grant(const std::string& name) {
    v1::GrantReviewPermissionRequest request;
    request.set_name(name);
    request.set_evidence("MAIL of 12 May");
    return Call(&ReviewHandlers::GrantReviewPermission, request);
  }
  absl::StatusOr<v1::Review> Approve(const std::string& name) {
    v1::ApproveReviewRequest request;
    request.set_name(name);
    return Call(&ReviewHandlers::ApproveReview, request);
  }
  absl::StatusOr<v1::Review> Get(const std::string& name) {
    v1::GetReviewRequest request;
    request.set_name(name);
    return Call(&ReviewHandlers::GetReview, request);
  }
  std::vector<std::string> List(const std::string& filter, int contact = 0) {
    std::vector<std::string> names;
    v1::ListReviewsRequest request;
    request.set_parent("tenants/acme");
    request.set_filter(filter);
    request.set_page_size(2);
    if (contact != 0) request.set_contact(ContactName(contact));
    do {
      const auto page = Call(&ReviewHandlers::ListReviews, request);
      CLM_EXPECT_OK(page);
      if (!page.ok()) break;
      for (const v1::Review& review : page->reviews()) names.push_back(review.name());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return names;
  }
};

TEST_F(ReviewTest, OneThatIsApprovedAndAllowedIsFoundAsPublishable) {
  const v1::Review created = Create(1);
  EXPECT_EQ(created.state(), v1::Review::STATE_RECEIVED);
  EXPECT_EQ(created.rating_max(), 5);
  EXPECT_EQ(error::Reason(Approve(created.name()).status()), "REVIEW_NO_PERMISSION");
  CLM_ASSERT_OK(Grant(created.name()));
  EXPECT_THAT(List("publishable"), IsEmpty());
  const auto approved = Approve(created.name());
  CLM_ASSERT_OK(approved);
  EXPECT_EQ(approved->decided_by(), "token:ada");
  EXPECT_THAT(List("publishable kind = TESTIMONIAL rating >= 4"), ElementsAre(created.name()));
  EXPECT_EQ(Get(created.name())->SerializeAsString(), approved->SerializeAsString());
  v1::WithdrawReviewPermissionRequest withdraw;
  withdraw.set_name(created.name());
  withdraw.set_etag(created.etag());
  EXPECT_EQ(error::Reason(Call(&ReviewHandlers::WithdrawReviewPermission, withdraw).status()),
            "ETAG_MISMATCH");
  withdraw.clear_etag();
  CLM_ASSERT_OK(Call(&ReviewHandlers::WithdrawReviewPermission, withdraw));
  EXPECT_THAT(List("publishable"), IsEmpty());
  // Nothing of what was said is in the journal.
  for (const char* word : {"FINE", "ADA", "MAIL"}) {
    EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM journal WHERE position('", word,
                                 "'::bytea IN event) > 0")),
              0);
  }
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), 4);
}

TEST_F(ReviewTest, OneThatWasAskedForIsFilledIn) {
  v1::RequestReviewRequest request;
  request.set_parent("tenants/acme");
  request.set_contact(ContactName(1));
  request.set_platform("trustpilot");
  const auto requested = Call(&ReviewHandlers::RequestReview, request);
  CLM_ASSERT_OK(requested);
  EXPECT_EQ(requested->state(), v1::Review::STATE_REQUESTED);
  v1::UpdateReviewRequest update;
  update.mutable_review()->set_name(requested->name());
  update.mutable_review()->set_rating(4);
  const auto came = Call(&ReviewHandlers::UpdateReview, update);
  CLM_ASSERT_OK(came);
  EXPECT_EQ(came->state(), v1::Review::STATE_RECEIVED);
  EXPECT_TRUE(came->has_receive_time());
  v1::RejectReviewRequest reject;
  reject.set_name(requested->name());
  reject.set_reason("of another shop");
  EXPECT_EQ(Call(&ReviewHandlers::RejectReview, reject)->state(), v1::Review::STATE_REJECTED);
}

TEST_F(ReviewTest, ReviewsFollowTheirContacts) {
  const v1::Review of_two = Create(2);
  clock_.Advance(absl::Seconds(1));
  const v1::Review of_one = Create(1);
  clock_.Advance(absl::Seconds(1));
  const v1::Review of_nobody = Create(0);
  Merge(1, 2);
  EXPECT_THAT(List("", 1), ElementsAre(of_one.name(), of_two.name()));
  EXPECT_THAT(List("", 2), ElementsAre(of_one.name(), of_two.name()));
  EXPECT_THAT(List(""), ElementsAre(of_nobody.name(), of_one.name(), of_two.name()));
  EXPECT_EQ(Create(2).contact(), ContactName(1));
}

TEST_F(ReviewTest, NothingOfWhatWasSaidIsLeftOfWhoWasErased) {
  v1::CreateReviewRequest request = CreateRequest(2);
  request.set_request_id(Id(900).ToString());
  const auto created = Call(&ReviewHandlers::CreateReview, request);
  CLM_ASSERT_OK(created);
  CLM_ASSERT_OK(Grant(created->name()));
  CLM_ASSERT_OK(Approve(created->name()));
  Merge(1, 2);
  Erase(1);
  for (const char* word : {"FINE", "ADA", "MAIL"}) {
    EXPECT_EQ(Count(absl::StrCat("SELECT (SELECT count(*) FROM review WHERE position('", word,
                                 "'::bytea IN body) > 0) + (SELECT count(*) FROM request WHERE ",
                                 "position('", word, "'::bytea IN response) > 0)")),
              0)
        << word;
  }
  const auto left = Get(created->name());
  CLM_ASSERT_OK(left);
  EXPECT_EQ(left->rating(), 5);
  EXPECT_EQ(left->contact(), "");
  EXPECT_FALSE(left->publishable());
  EXPECT_THAT(List("publishable"), IsEmpty());
  EXPECT_EQ(error::Reason(Grant(created->name()).status()), "REVIEW_ERASED");
}

TEST_F(ReviewTest, AnIdIsTakenOnceWhoeverAsksAtTheSameTime) {
  std::vector<absl::StatusOr<v1::Review>> answers(8, absl::UnknownError(""));
  clm::testing::AtOnce(8, [&](int i) {
    v1::CreateReviewRequest request = CreateRequest(i + 1);
    request.set_review_id(Id(77).ToString());
    answers[i] = Call(&ReviewHandlers::CreateReview, request);
  });
  int made = 0;
  for (const auto& answer : answers) {
    if (answer.ok()) {
      ++made;
    } else {
      EXPECT_EQ(error::Reason(answer.status()), "REVIEW_EXISTS") << answer.status();
    }
  }
  EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace clm::feedback
