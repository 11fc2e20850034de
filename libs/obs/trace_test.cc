#include "libs/obs/trace.h"

#include <gtest/gtest.h>

namespace clm::obs {
namespace {

constexpr char kParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceTest, AValidHeaderIsReadAndWrittenBack) {
  const auto context = ParseTraceparent(kParent);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(context->parent_id, "00f067aa0ba902b7");
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(FormatTraceparent(*context), kParent);
}

TEST(TraceTest, MalformedHeadersAreRefused) {
  for (const char* text : {
           "",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
           "00-4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7-01------",
       }) {
    EXPECT_FALSE(ParseTraceparent(text).has_value()) << text;
  }
}

TEST(TraceTest, ALaterVersionIsReadByItsKnownPart) {
  EXPECT_TRUE(ParseTraceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"));
}

TEST(TraceTest, AChildKeepsTheTraceAndChangesTheParent) {
  const auto parent = ParseTraceparent(kParent);
  const auto child = ParseTraceparent(ChildTraceparent(kParent));
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(child->trace_id, parent->trace_id);
  EXPECT_NE(child->parent_id, parent->parent_id);
  EXPECT_TRUE(child->sampled);
}

TEST(TraceTest, WithoutAValidParentATraceBegins) {
  const auto first = ParseTraceparent(ChildTraceparent("nonsense"));
  const auto second = ParseTraceparent(NewTraceparent(true));
  ASSERT_TRUE(first.has_value());
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(first->trace_id, second->trace_id);
  EXPECT_FALSE(first->sampled);
  EXPECT_TRUE(second->sampled);
}

}  // namespace
}  // namespace clm::obs
