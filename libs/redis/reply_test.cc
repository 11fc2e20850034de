#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"
#include "libs/redis/redis.h"
#include "libs/redis/transport.h"

namespace clm::redis {
namespace {

Reply Text(const char* text) { return Reply(std::string(text)); }

TEST(ReplyTest, EveryTypeOfTheProtocolIsConverted) {
  const auto replies = Decode("+OK\r\n:-7\r\n$5\r\na\r\nbc\r\n$-1\r\n*-1\r\n$0\r\n\r\n");
  ASSERT_TRUE(replies.ok()) << replies.status();
  ASSERT_EQ(replies->size(), 6);
  EXPECT_EQ(*(*replies)[0], Text("OK"));
  EXPECT_EQ(*(*replies)[1], Reply(int64_t{-7}));
  EXPECT_EQ(*(*replies)[2], Text("a\r\nbc"));
  EXPECT_TRUE((*replies)[3]->IsNil());
  EXPECT_TRUE((*replies)[4]->IsNil());
  EXPECT_EQ(*(*replies)[5], Text(""));
}

TEST(ReplyTest, ArraysNestAndKeepTheirErrors) {
  const auto replies = Decode("*3\r\n*2\r\n:1\r\n$1\r\nx\r\n-ERR inside\r\n*0\r\n");
  ASSERT_TRUE(replies.ok()) << replies.status();
  const Reply inner(Reply::Array{Reply(int64_t{1}), Text("x")});
  EXPECT_EQ(*replies->at(0),
            Reply(Reply::Array{inner, Reply(Reply::Error{"ERR inside"}), Reply(Reply::Array{})}));
}

TEST(ReplyTest, AnErrorReplyIsAStatusWithItsFirstWordOnly) {
  const auto replies = Decode("-WRONGTYPE of key ada@example.com\r\n-LOADING the data\r\n");
  ASSERT_TRUE(replies.ok()) << replies.status();
  const absl::Status refused = replies->at(0).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(error::Reason(refused), "REDIS_ERROR");
  EXPECT_EQ(error::MetadataValue(refused, "code"), "WRONGTYPE");
  EXPECT_EQ(refused.message().find("ada"), absl::string_view::npos);
  const absl::Status loading = replies->at(1).status();
  EXPECT_EQ(loading.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(error::Reason(loading), "REDIS_NOT_READY");
}

TEST(ReplyTest, AnIncompleteReplyWaitsAndGarbageIsAnError) {
  EXPECT_EQ(Decode("$5\r\nab")->size(), 0);
  EXPECT_EQ(Decode("HTTP/1.1 400\r\n\r\n").status().code(), absl::StatusCode::kUnavailable);
}

TEST(ReplyTest, ACommandIsBinarySafe) {
  EXPECT_EQ(Encode({"SET", std::string("k\0%s ", 5), ""}),
            std::string("*3\r\n$3\r\nSET\r\n$5\r\nk\0%s \r\n$0\r\n\r\n", 30));
}

TEST(ReplyTest, AScriptIsKnownByItsSha1) {
  EXPECT_EQ(Script("return 1").sha(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
}

}  // namespace
}  // namespace clm::redis
