#include <string>

#include "services/feedback/feedback_fixture.h"

namespace clm::feedback {
namespace {

TEST_F(FeedbackTest, EveryStatementPreparesAgainstTheSchema) {
  std::vector<const pg::Statement*> statements;
  for (const auto& part : node_->parts) {
    for (const pg::Statement* statement : part->Statements()) statements.push_back(statement);
  }
  EXPECT_FALSE(statements.empty());
  CLM_EXPECT_OK(node_->pool->Prepare(statements));
}

class ContactChangesTest : public FeedbackTest {
 protected:
  std::string IntoOf(int contact) {
    return Ask(absl::StrCat("SELECT coalesce(merged_into::text, '') || CASE WHEN pending THEN ",
                            "' pending' ELSE '' END FROM contact_change WHERE contact_id = '",
                            Id(contact).ToString(), "'"));
  }
};

TEST_F(ContactChangesTest, AMergeIsNotedAndThenFollowed) {
  CLM_ASSERT_OK(TellMerge(1, 2));
  EXPECT_EQ(IntoOf(2), Id(1).ToString() + " pending");
  EXPECT_EQ(Follow(), 1);
  EXPECT_EQ(IntoOf(2), Id(1).ToString());
  EXPECT_EQ(Follow(), 0);
}

TEST_F(ContactChangesTest, WhoBecameSomebodyWhoBecameAThirdIsTheThird) {
  Merge(1, 2);
  CLM_ASSERT_OK(TellMerge(3, 1));
  EXPECT_EQ(IntoOf(2), Id(3).ToString());
  EXPECT_EQ(Follow(), 1);
  EXPECT_EQ(IntoOf(1), Id(3).ToString());
}

TEST_F(ContactChangesTest, MergesThatAreToldInTheWrongOrderEndAtTheSameContact) {
  CLM_ASSERT_OK(TellMerge(3, 1));
  CLM_ASSERT_OK(TellMerge(1, 2));
  while (Follow() > 0) {
  }
  EXPECT_EQ(IntoOf(1), Id(3).ToString());
  EXPECT_EQ(IntoOf(2), Id(3).ToString());
}

TEST_F(ContactChangesTest, NothingIsMadeForWhoBecameSomebodyElseOrWasErased) {
  const auto check = [&](int contact) {
    journal::MutationInfo info;
    info.tenant = "acme";
    info.shards.set(ShardOf("acme", Id(contact)));
    return node_->lanes
        .Run<FeedbackWork>(
            std::move(info),
            [&](FeedbackWork& work) { work.Part<ContactsWork>().NeedContact(Contact(contact)); },
            [&](FeedbackWork& work, journal::Recorder&) -> absl::StatusOr<std::string> {
              CLM_RETURN_IF_ERROR(CheckContact(work.Part<ContactsWork>(), Contact(contact)));
              return std::string();
            })
        .status();
  };
  CLM_EXPECT_OK(check(1));
  Merge(1, 2);
  EXPECT_EQ(MovedTo(check(2)), Id(1));
  EXPECT_EQ(MovedTo(check(1)), std::nullopt);
  Erase(1);
  EXPECT_EQ(error::Reason(check(1)), "CONTACT_ERASED");
  EXPECT_EQ(MovedTo(check(2)), Id(1));
}

}  // namespace
}  // namespace clm::feedback
