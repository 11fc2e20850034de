#include "libs/base/time_proto.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace clm {
namespace {

google::protobuf::Timestamp Written(absl::Time time) {
  google::protobuf::Timestamp proto;
  ToProto(time, &proto);
  return proto;
}

TEST(TimeProtoTest, NanosCountForwardsFromTheSecondAlsoBefore1970) {
  const std::vector<std::pair<int64_t, std::pair<int64_t, int32_t>>> cases = {
      {0, {0, 0}},
      {1, {0, 1'000}},
      {1'500'000, {1, 500'000'000}},
      {-1, {-1, 999'999'000}},
      {-1'000'000, {-1, 0}},
      {-1'500'000, {-2, 500'000'000}},
  };
  for (const auto& [micros, expected] : cases) {
    const google::protobuf::Timestamp proto = Written(absl::FromUnixMicros(micros));
    EXPECT_EQ(proto.seconds(), expected.first) << micros;
    EXPECT_EQ(proto.nanos(), expected.second) << micros;
    EXPECT_EQ(FromProto(proto), absl::FromUnixMicros(micros));
  }
}

TEST(TimeProtoTest, CutsToTheMicrosecondBefore) {
  EXPECT_EQ(Written(absl::FromUnixNanos(1'999)).nanos(), 1'000);
  EXPECT_EQ(Written(absl::FromUnixNanos(-1)).nanos(), 999'999'000);
  google::protobuf::Timestamp fine;
  fine.set_nanos(1'999);
  EXPECT_EQ(FromProto(fine), absl::FromUnixMicros(1));
}

TEST(TimeProtoTest, WhatHasNoEndIsLeftOut) {
  google::protobuf::Timestamp proto = Written(absl::FromUnixSeconds(7));
  ToProto(absl::InfiniteFuture(), &proto);
  ToProto(absl::InfinitePast(), &proto);
  EXPECT_EQ(proto.seconds(), 7);
}

}  // namespace
}  // namespace clm
