// kill -9 of the contact service at every durable step of a mutation and of the feed.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/chaos/contact_load.h"
#include "tests/chaos/crash_points.h"
#include "tests/chaos/feed_follower.h"
#include "tests/chaos/harness.h"
#include "tests/chaos/purchase_points.h"

namespace clm::chaos {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

class ContactCrashTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ContactCrashTest, LosesNothingAndRepeatsNothing) {
  for (int round = 0; round < Rounds(1); ++round) {
    const std::string failpoint = absl::StrCat(GetParam(), ":kill@", 6 + 7 * round);
    SCOPED_TRACE(failpoint);
    World world({.redis = true, .loyalty = 1, .contact_failpoint = failpoint});
    PurchasePoints points(&world);
    FeedFollower follower(&world.caller());
    ContactLoad load(&world.caller(), {});
    load.Finish();
    ASSERT_TRUE(world.contact().AwaitDeath()) << "the failpoint was never passed";
    EXPECT_THAT(world.contact().deaths(), ElementsAre(Field(&stack::ExitStatus::signal, SIGKILL)));
    load.ExpectExactlyOnce(world.contact_database());
    World::ExpectDenseJournal(world.contact_database());
    follower.ExpectWholeJournal(world.contact_database());
    points.ExpectEachPurchaseEarnedOnce();
  }
}

INSTANTIATE_TEST_SUITE_P(At, ContactCrashTest, ::testing::ValuesIn(kContactCrashPoints),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{".", "_"}});
                         });

}  // namespace
}  // namespace clm::chaos
