#include "services/loyalty/membership_part.h"

#include <string>

#include "clm/contact/v1/contact.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/time_proto.h"

namespace clm::loyalty {
namespace {

constexpr char kClub[] = "tenants/acme/programs/club/members/1";
constexpr char kStars[] = "tenants/acme/programs/stars/members/1";

void Add(contact::v1::CustomerContext& context, const std::string& name, int64_t version) {
  v1::Membership* membership = context.add_memberships();
  membership->mutable_member()->set_name(name);
  membership->mutable_member()->add_balances()->set_active(7 * version);
  membership->set_program_version(version);
}

TEST(MembershipPartTest, EachMembershipIsFoundByItsNameAsItWasPutIn) {
  contact::v1::CustomerContext context;
  context.mutable_contact()->set_name("tenants/acme/contacts/1");
  Add(context, kClub, 3);
  Add(context, kStars, 300);
  ToProto(absl::FromUnixSeconds(1000), context.mutable_memberships(1)->mutable_hold_until_time());
  context.set_cached(true);
  const std::string part = context.SerializeAsString();

  const auto club = MembershipIn(part, kClub);
  ASSERT_TRUE(club);
  EXPECT_EQ(club->member, context.memberships(0).member().SerializeAsString());
  EXPECT_EQ(club->program_version, 3);
  EXPECT_EQ(club->hold_until, absl::InfiniteFuture());
  const auto stars = MembershipIn(part, kStars);
  ASSERT_TRUE(stars);
  EXPECT_EQ(stars->member, context.memberships(1).member().SerializeAsString());
  EXPECT_EQ(stars->program_version, 300);
  EXPECT_EQ(stars->hold_until, absl::FromUnixSeconds(1000));
  EXPECT_EQ(MembershipIn(part, "tenants/acme/programs/other/members/1"), std::nullopt);
  EXPECT_EQ(MembershipIn("", kClub), std::nullopt);
}

TEST(MembershipPartTest, WhatIsCutOffIsNotReadAsAnythingElse) {
  contact::v1::CustomerContext context;
  Add(context, kClub, 3);
  const std::string part = context.SerializeAsString();
  for (size_t size = 0; size < part.size(); ++size) {
    EXPECT_EQ(MembershipIn(absl::string_view(part).substr(0, size), kClub), std::nullopt) << size;
  }
  // A length beyond what is there, and one beyond what can be.
  EXPECT_EQ(MembershipIn("\x5a\x7f\x0a", kClub), std::nullopt);
  EXPECT_EQ(MembershipIn("\x5a\xff\xff\xff\xff\x0f\x0a", kClub), std::nullopt);
  EXPECT_EQ(MembershipIn(std::string(64, '\xff'), kClub), std::nullopt);
}

}  // namespace
}  // namespace clm::loyalty
