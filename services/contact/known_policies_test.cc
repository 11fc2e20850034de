#include "services/contact/known_policies.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"

namespace clm::contact {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'790'000'000);

class KnownPoliciesTest : public ::testing::Test {
 protected:
  StoredIdentityPolicy stored_;
  int loads_ = 0;
  std::function<void()> while_loading_ = [] {};
  KnownPolicies policies_{[this](const std::string&, absl::Time) {
    ++loads_;
    const StoredIdentityPolicy read = stored_;
    while_loading_();
    return absl::StatusOr<StoredIdentityPolicy>(read);
  }};

  // As the call of that moment sees it.
  size_t Priorities(absl::Time now) {
    const auto policy = policies_.Get("acme", now, now + absl::Minutes(1));
    CLM_EXPECT_OK(policy.status());
    return policy.ok() ? (*policy)->priorities.size() : 0;
  }
};

TEST_F(KnownPoliciesTest, WhatIsKnownIsNotLoadedAgainForAWhile) {
  EXPECT_EQ(policies_.Recall("acme", kStart), nullptr);
  EXPECT_EQ(Priorities(kStart), 2u);
  stored_.policy.priorities = {"crm"};
  const absl::Time last = kStart + KnownPolicies::kKnownFor - absl::Milliseconds(1);
  EXPECT_EQ(Priorities(last), 2u);
  EXPECT_NE(policies_.Recall("acme", last), nullptr);
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(Priorities(kStart + KnownPolicies::kKnownFor), 1u);
  EXPECT_EQ(loads_, 2);
}

TEST_F(KnownPoliciesTest, WhileOneLooksAgainOthersGoOn) {
  EXPECT_EQ(Priorities(kStart), 2u);
  const absl::Time late = kStart + KnownPolicies::kKnownFor;
  EXPECT_EQ(policies_.Recall("acme", late), nullptr);
  EXPECT_NE(policies_.Recall("acme", late), nullptr);
}

TEST_F(KnownPoliciesTest, WhatWasForgottenIsLoadedAtOnce) {
  EXPECT_EQ(Priorities(kStart), 2u);
  stored_.policy.priorities = {"crm"};
  policies_.Forget("acme");
  EXPECT_EQ(Priorities(kStart), 1u);
}

TEST_F(KnownPoliciesTest, WhatWasReadBeforeAChangeIsNotKept) {
  while_loading_ = [this] {
    stored_.policy.priorities = {"crm"};
    policies_.Forget("acme");
  };
  EXPECT_EQ(Priorities(kStart), 2u);
  while_loading_ = [] {};
  EXPECT_EQ(Priorities(kStart), 1u);
}

TEST_F(KnownPoliciesTest, TenantsThatStoredNoneShareTheDefaults) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto acme, policies_.Get("acme", kStart, kStart));
  CLM_ASSERT_OK_AND_ASSIGN(const auto globex, policies_.Get("globex", kStart, kStart));
  EXPECT_EQ(acme, globex);
  EXPECT_EQ(*acme, DefaultIdentityPolicy());
}

}  // namespace
}  // namespace clm::contact
