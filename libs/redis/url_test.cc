#include "libs/redis/url.h"

#include "gtest/gtest.h"
#include "libs/base/error.h"

namespace clm::redis {
namespace {

TEST(UrlTest, AUnixSocketWithAndWithoutADatabase) {
  EXPECT_EQ(*ParseUrl("unix:///run/redis.sock"), (Endpoint{.path = "/run/redis.sock"}));
  EXPECT_EQ(*ParseUrl("unix:///run/r.sock?db=3"), (Endpoint{.path = "/run/r.sock", .db = 3}));
}

TEST(UrlTest, AHostWithEverything) {
  EXPECT_EQ(*ParseUrl("redis://cache"), (Endpoint{.host = "cache"}));
  EXPECT_EQ(*ParseUrl("redis://cache:6380/2"), (Endpoint{.host = "cache", .port = 6380, .db = 2}));
  EXPECT_EQ(*ParseUrl("redis://clm:p%40ss:w@cache/"),
            (Endpoint{.host = "cache", .user = "clm", .password = "p@ss:w"}));
  EXPECT_EQ(*ParseUrl("redis://[::1]:7000"), (Endpoint{.host = "::1", .port = 7000}));
}

TEST(UrlTest, EveryFaultIsRefusedWithoutQuotingThePassword) {
  for (const char* url : {"", "cache:6379", "http://cache", "rediss://cache", "unix://relative",
                          "unix://", "unix:///s?x=1", "unix:///s?db=-1", "redis://",
                          "redis://:6379", "redis://cache:", "redis://cache:0",
                          "redis://cache:65536", "redis://cache/x", "redis://u:secret%zz@cache",
                          "redis://u:secret%4@cache", "redis://[::1", "redis://[::1]7"}) {
    const auto endpoint = ParseUrl(url);
    ASSERT_FALSE(endpoint.ok()) << url;
    EXPECT_EQ(endpoint.status().code(), absl::StatusCode::kInvalidArgument) << url;
    EXPECT_EQ(error::FieldViolations(endpoint.status())[0].first, "redis_url") << url;
    EXPECT_EQ(endpoint.status().message().find("secret"), absl::string_view::npos) << url;
  }
}

TEST(UrlTest, APathThatNoSocketAddressHoldsIsRefused) {
  EXPECT_TRUE(ParseUrl("unix:///" + std::string(106, 'x')).ok());
  EXPECT_FALSE(ParseUrl("unix:///" + std::string(107, 'x')).ok());
}

}  // namespace
}  // namespace clm::redis
