// A change that was committed and of which the cache never heard: the process died in between, or
// Redis stood still. Whoever reads by default reads the new state, from the cache, long before the
// old entry would have ended by itself.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/time_proto.h"
#include "tests/chaos/contact_load.h"
#include "tests/chaos/crash_points.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {
namespace {

using contact::v1::Contact;
using contact::v1::CustomerContext;
using ContactStub = contact::v1::ContactService::Stub;
using TimelineStub = contact::v1::TimelineService::Stub;
using LifecycleStub = lifecycle::v1::LifecycleService::Stub;

class CacheTest : public ::testing::Test {
 protected:
  void Begin(int loyalty = 0) {
    world_ = std::make_unique<World>(
        World::Options{.redis = true, .lifecycle = true, .loyalty = loyalty});
    lifecycle::v1::InstallPresetRequest install;
    install.set_parent("tenants/acme");
    install.set_preset("subscription");
    install.set_enable_rules(true);
    CLM_ASSERT_OK(world_->lifecycle_caller().Call(&LifecycleStub::InstallPreset, install));
  }

  Contact Create(const std::string& key) {
    contact::v1::CreateContactRequest request;
    request.set_parent("tenants/acme");
    request.set_contact_id(IdOf(key));
    request.mutable_contact()->set_given_name("before");
    const auto contact = world_->caller().Call(&ContactStub::CreateContact, request);
    EXPECT_TRUE(contact.ok()) << contact.status();
    return *contact;
  }

  // With a request id, as a caller that repeats would.
  absl::StatusOr<Contact> Rename(const Contact& contact, const std::string& name) {
    contact::v1::UpdateContactRequest request;
    *request.mutable_contact() = contact;
    request.mutable_contact()->set_given_name(name);
    request.mutable_update_mask()->add_paths("given_name");
    request.set_request_id(Uuid::V7(absl::Now()).ToString());
    return world_->caller().Call(&ContactStub::UpdateContact, request);
  }

  void Did(const Contact& contact, const std::string& type) {
    contact::v1::IngestEventsRequest request;
    request.set_parent("tenants/acme");
    auto* event = request.add_events();
    event->set_event_id(IdOf(type));
    event->set_contact(contact.name());
    event->set_type(type);
    event->set_amount_minor(100);
    event->set_currency("EUR");
    ToProto(absl::Now(), event->mutable_occur_time());
    CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                             world_->caller().Call(&TimelineStub::IngestEvents, request));
    EXPECT_EQ(response.results(0).status().code(), 0) << response.results(0).status().message();
  }

  absl::StatusOr<CustomerContext> Context(const std::string& name) {
    contact::v1::GetCustomerContextRequest request;
    request.set_name(name);
    return world_->caller().Call(&ContactStub::GetCustomerContext, request);
  }

  // From the cache, which holds what `expected` says. An answer past the cache proves nothing.
  void ExpectCached(const std::string& name,
                    const std::function<bool(const CustomerContext&)>& expected) {
    absl::StatusOr<CustomerContext> last;
    EXPECT_TRUE(Eventually([&] {
      last = Context(name);
      return last.ok() && last->cached() && expected(*last);
    })) << last.status();
  }
  void ExpectCachedName(const Contact& contact, const std::string& given_name) {
    ExpectCached(contact.name(), [&](const CustomerContext& context) {
      return context.contact().given_name() == given_name;
    });
  }

  std::unique_ptr<World> world_;
};

class ContactCacheCrashTest : public CacheTest,
                              public ::testing::WithParamInterface<const char*> {};

TEST_P(ContactCacheCrashTest, WhatTheCacheDidNotHearIsRepaired) {
  Begin();
  const Contact contact = Create("ada");
  ExpectCachedName(contact, "before");
  world_->contact().Rearm(absl::StrCat(GetParam(), ":kill@1"));
  ExpectCachedName(contact, "before");
  CLM_ASSERT_OK(Rename(contact, "after"));
  ASSERT_TRUE(world_->contact().AwaitDeath()) << "the failpoint was never passed";
  ExpectCachedName(contact, "after");
}

INSTANTIATE_TEST_SUITE_P(At, ContactCacheCrashTest, ::testing::ValuesIn(kCacheCrashPoints),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{".", "_"}});
                         });

class LifecycleCacheCrashTest : public CacheTest {};

TEST_F(LifecycleCacheCrashTest, WhatTheCacheDidNotHearIsRepaired) {
  Begin();
  const Contact contact = Create("ada");
  const auto in_stage = [](const std::string& stage) {
    return [stage](const CustomerContext& context) {
      return context.stages_size() == 1 && context.stages(0).stage() == stage;
    };
  };
  Did(contact, "visit");
  ExpectCached(contact.name(), in_stage("visitor"));
  world_->lifecycle().Rearm("lane.committed:kill@1");
  Did(contact, "purchase");
  ASSERT_TRUE(world_->lifecycle().AwaitDeath()) << "the failpoint was never passed";
  ExpectCached(contact.name(), in_stage("buyer"));
}

class LoyaltyCacheCrashTest : public CacheTest {};

TEST_F(LoyaltyCacheCrashTest, WhatTheCacheDidNotHearIsRepaired) {
  Begin(/*loyalty=*/1);
  const Contact contact = Create("ada");
  loyalty::v1::CreateProgramRequest program;
  program.set_parent("tenants/acme");
  program.set_program_id("club");
  program.mutable_program()->add_wallets()->set_id("points");
  CLM_ASSERT_OK(
      world_->loyalty_caller().Call(&loyalty::v1::ProgramService::Stub::CreateProgram, program));
  const auto has = [](int64_t points) {
    return [points](const CustomerContext& context) {
      return context.memberships_size() == 1 &&
             context.memberships(0).member().balances(0).active() == points;
    };
  };
  loyalty::v1::EarnPointsRequest earn;
  earn.set_member(absl::StrCat("tenants/acme/programs/club/members/", IdOf("ada")));
  earn.set_amount(100);
  earn.set_request_id(Uuid::V7(absl::Now()).ToString());
  const auto earns = [&] {
    return world_->loyalty_caller().Call(&loyalty::v1::LedgerService::Stub::EarnPoints, earn);
  };
  CLM_ASSERT_OK(earns());
  ExpectCached(contact.name(), has(100));
  world_->loyalty().Rearm("lane.committed:kill@1");
  earn.set_request_id(Uuid::V7(absl::Now()).ToString());
  CLM_ASSERT_OK(earns());
  ASSERT_TRUE(world_->loyalty().AwaitDeath()) << "the failpoint was never passed";
  ExpectCached(contact.name(), has(200));
}

class CacheOutageTest : public CacheTest {};

TEST_F(CacheOutageTest, WhatChangedWhileRedisHungIsReadWhenItIsBack) {
  Begin();
  std::vector<Contact> contacts;
  for (int i = 0; i < 6; ++i) contacts.push_back(Create(absl::StrCat("contact ", i)));
  for (const Contact& contact : contacts) ExpectCachedName(contact, "before");
  CLM_ASSERT_OK(world_->redis()->Pause());
  // What was written to the sockets of a Redis that hangs, it reads when it is back. So first the
  // breaker must open: then nothing is even sent.
  for (int i = 0; i < 12; ++i) CLM_ASSERT_OK(Rename(Create(absl::StrCat("noise ", i)), "noise"));
  for (const Contact& contact : contacts) CLM_ASSERT_OK(Rename(contact, "after"));
  CLM_ASSERT_OK(world_->redis()->Resume());
  for (const Contact& contact : contacts) ExpectCachedName(contact, "after");
}

TEST_F(CacheTest, AMergeIsReadByTheMergedName) {
  Begin();
  const Contact survivor = Create("survivor");
  const Contact duplicate = Create("duplicate");
  ExpectCachedName(duplicate, "before");
  contact::v1::MergeContactsRequest merge;
  merge.set_primary(survivor.name());
  merge.set_duplicate(duplicate.name());
  CLM_ASSERT_OK(world_->caller().Call(&ContactStub::MergeContacts, merge));
  const auto context = Context(duplicate.name());
  CLM_ASSERT_OK(context);
  EXPECT_EQ(context->contact().name(), survivor.name());
}

}  // namespace
}  // namespace clm::chaos
