#include "libs/testing/at_once.h"
#include "services/contact/contact_fixture.h"
#include "services/contact/contact_reader.h"
#include "services/contact/contact_work.h"
#include "services/contact/duplicate_handlers.h"

namespace clm::contact {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ContactTest, EveryStatementFitsTheSchema) {
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  std::vector<const pg::Statement*> all;
  for (const auto& some :
       {ContactWorkStatements(), ContactReaderStatements(), DuplicateStatements()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  CLM_EXPECT_OK(pool->Prepare(all));
}

TEST_F(ContactTest, WhatWasCreatedIsRead) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact created, Create("  Ada@Example.com "));
  EXPECT_EQ(created.email(), "ada@example.com");
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact read, Get(created.name()));
  EXPECT_EQ(read.SerializeAsString(), created.SerializeAsString());
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), 1);
}

v1::IngestEventsRequest Purchase(const std::string& contact, const std::string& event_id) {
  v1::IngestEventsRequest request;
  request.set_parent(kAcme);
  auto* event = request.add_events();
  event->set_event_id(event_id);
  event->set_contact(contact);
  event->set_type("purchase");
  ToProto(absl::Now() - absl::Hours(1), event->mutable_occur_time());
  event->set_amount_minor(1250);
  event->set_currency("EUR");
  return request;
}

TEST_F(ContactTest, TheSameEventTwiceIsOneEvent) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Contact contact, Create("ada@example.com"));
  const auto request = Purchase(contact.name(), "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a");
  CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                           Call(*main_.timeline, &Timeline::IngestEvents, request));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again,
                           Call(*main_.timeline, &Timeline::IngestEvents, request));
  ASSERT_EQ(first.results_size(), 1);
  EXPECT_EQ(first.results(0).status().code(), 0) << first.DebugString();
  EXPECT_FALSE(first.results(0).duplicate());
  EXPECT_TRUE(again.results(0).duplicate());
  EXPECT_EQ(again.results(0).contact(), contact.name());
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 1);
}

}  // namespace
}  // namespace clm::contact
