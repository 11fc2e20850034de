#include "libs/base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"

namespace clm::error {
namespace {

TEST(ErrorTest, CarriesReasonAndMetadata) {
  const absl::Status status = Make(absl::StatusCode::kAlreadyExists, "EMAIL_TAKEN", "email: taken",
                                   {{"contact", "tenants/a/contacts/b"}});
  EXPECT_EQ(Reason(status), "EMAIL_TAKEN");
  EXPECT_EQ(MetadataValue(status, "contact"), "tenants/a/contacts/b");
  EXPECT_EQ(MetadataValue(status, "absent"), "");
}

TEST(FieldErrorsTest, NamesEveryBadField) {
  FieldErrors errors;
  EXPECT_TRUE(errors.ToStatus().ok());
  errors.Add("contact.email", "has no @");
  errors.AddStatus("contact", InvalidField("phone", "is not E.164"));
  const absl::Status status = errors.ToStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(FieldViolations(status),
              testing::ElementsAre(testing::Pair("contact.email", "has no @"),
                                   testing::Pair("contact.phone", "is not E.164")));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("contact.phone: is not E.164"));
}

TEST(FieldErrorsTest, CapsTheListAndSaysSo) {
  FieldErrors errors;
  for (int i = 0; i < 25; ++i) errors.Add("f" + std::to_string(i), "bad");
  EXPECT_EQ(FieldViolations(errors.ToStatus()).size(), 20u);
  EXPECT_THAT(std::string(errors.ToStatus().message()), testing::HasSubstr("and 5 more"));
}

TEST(ErrorTest, WhatMayBeRepeatedSaysWhen) {
  const absl::Status moved = Make(absl::StatusCode::kAborted, "CONTACT_MOVED", "try again");
  const auto payload = moved.GetPayload(kRetryInfoUrl);
  ASSERT_TRUE(payload.has_value());
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(retry.ParseFromString(std::string(*payload)));
  EXPECT_GT(retry.retry_delay().nanos(), 0);
  EXPECT_EQ(Reason(moved), "CONTACT_MOVED");
  EXPECT_TRUE(Unavailable("X", "x", absl::Seconds(1)).GetPayload(kRetryInfoUrl).has_value());
  // The same again would be as stale, or as wrong.
  EXPECT_FALSE(EtagMismatch("contact.etag", "\"v2\"").GetPayload(kRetryInfoUrl).has_value());
  EXPECT_FALSE(InvalidField("contact.email", "bad").GetPayload(kRetryInfoUrl).has_value());
}

TEST(IsTransientTest, AStaleEtagIsNotTransient) {
  EXPECT_TRUE(IsTransient(Unavailable("DATABASE_DOWN", "try again", absl::Seconds(1))));
  EXPECT_TRUE(IsTransient(absl::AbortedError("deadlock")));
  EXPECT_FALSE(IsTransient(EtagMismatch("contact.etag", "\"v2\"")));
  EXPECT_FALSE(IsTransient(NotFound("tenants/a/contacts/b")));
}

}  // namespace
}  // namespace clm::error
