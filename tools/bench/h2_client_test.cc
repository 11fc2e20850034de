#include "tools/bench/h2_client.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "libs/testing/temp_folder.h"

namespace clm::bench {
namespace {

using access::v1::GetTenantRequest;
using access::v1::Tenant;
using ::testing::HasSubstr;

constexpr char kMethod[] = "/clm.access.v1.AccessService/GetTenant";

// gRPC's own server: GetTenant answers with the name, followed by `suffix`; a name of "fail" is
// refused, "silence" is answered when the deadline is over.
class Echo final : public access::v1::AccessService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetTenant(grpc::CallbackServerContext* context,
                                      const GetTenantRequest* request, Tenant* response) override {
    ++calls;
    auto* reactor = context->DefaultReactor();
    if (request->name() == "fail") {
      reactor->Finish({grpc::StatusCode::NOT_FOUND, "nothing of that name"});
      return reactor;
    }
    response->set_name(absl::StrCat(request->name(), suffix));
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  std::atomic<int64_t> calls = 0;
  std::string suffix;
};

class H2ClientTest : public ::testing::TestWithParam<Client> {
 protected:
  H2ClientTest() {
    // gRPC must not end with the last server of a test: that takes it ten seconds now and then.
    [[maybe_unused]] static auto* const kept = new std::shared_ptr<grpc::Channel>(
        grpc::CreateChannel("unix:/nowhere", grpc::InsecureChannelCredentials()));
    Serve();
  }
  ~H2ClientTest() override {
    client_.reset();
    server_->Shutdown();
  }

  void Serve() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket_, grpc::InsecureServerCredentials());
    builder.RegisterService(&echo_);
    builder.SetMaxReceiveMessageSize(-1);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }

  LoadGenerator& Generator() {
    if (client_ == nullptr) {
      auto client = NewLoadGenerator(GetParam(), socket_, kMethod);
      EXPECT_TRUE(client.ok()) << client.status();
      client_ = *std::move(client);
    }
    return *client_;
  }

  // `calls` calls whose answers are all looked at.
  Slice Send(int64_t calls, int in_flight, const std::string& name) {
    std::atomic<int64_t> left = calls;
    std::vector<std::string> sent(in_flight);
    Work work;
    work.next = [&](int slot, std::string* request) {
      const int64_t number = --left;
      if (number < 0) return false;
      GetTenantRequest message;
      // Of many lengths, so that frames end anywhere in what is read.
      sent[slot] = name == "fail" ? name : absl::StrCat(name, "/", slot, "/", number);
      message.set_name(sent[slot]);
      return message.SerializeToString(request);
    };
    work.check = [&](int slot, absl::string_view answer) {
      Tenant message;
      return message.ParseFromArray(answer.data(), static_cast<int>(answer.size())) &&
             message.name() == sent[slot] + echo_.suffix;
    };
    work.check_every = 1;
    auto slice = Generator().Run(work, in_flight, absl::InfiniteDuration());
    EXPECT_TRUE(slice.ok()) << slice.status();
    return slice.ok() ? *slice : Slice();
  }

  ::clm::testing::TempFolder folder_;
  const std::string socket_ = folder_.File("echo");
  Echo echo_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<LoadGenerator> client_;
};

TEST_P(H2ClientTest, EveryCallOfManyStreamsGetsItsOwnAnswer) {
  const Slice slice = Send(20'000, 256, "tenants/acme");
  EXPECT_EQ(slice.completed, 20'000);
  EXPECT_EQ(slice.operations, 20'000);
  EXPECT_EQ(slice.failures, 0) << slice.failure;
  EXPECT_EQ(echo_.calls, 20'000);
  EXPECT_GT(slice.Percentile(50), 0);
  EXPECT_LE(slice.Percentile(50), slice.Percentile(99));
}

TEST_P(H2ClientTest, ConnectionsServeSeveralRuns) {
  EXPECT_EQ(Send(100, 8, "a").completed, 100);
  EXPECT_EQ(Send(100, 64, "b").completed, 100);
  EXPECT_EQ(Send(1, 1, "c").completed, 1);
  EXPECT_EQ(echo_.calls, 201);
}

TEST_P(H2ClientTest, AnErrorStatusIsAFailureThatSaysWhy) {
  const Slice slice = Send(10, 4, "fail");
  EXPECT_EQ(slice.completed, 0);
  EXPECT_EQ(slice.failures, 10);
  EXPECT_THAT(slice.failure, HasSubstr("nothing of that name"));
}

TEST_P(H2ClientTest, AWrongAnswerIsAFailure) {
  Work work;
  std::atomic<int> left = 10;
  work.next = [&](int, std::string* request) {
    request->clear();
    return --left >= 0;
  };
  work.check = [](int, absl::string_view) { return false; };
  work.check_every = 5;
  const auto slice = Generator().Run(work, 1, absl::InfiniteDuration());
  ASSERT_TRUE(slice.ok()) << slice.status();
  EXPECT_EQ(slice->failures, 2);
  EXPECT_EQ(slice->completed, 8);
}

// Larger than a frame, than the server's window before its settings are known, and than what is
// read at once.
TEST_P(H2ClientTest, LargeRequestsAndAnswersPassTheWindows) {
  echo_.suffix = std::string(1 << 20, 'x');
  const Slice slice = Send(64, 16, std::string(300'000, 'n'));
  EXPECT_EQ(slice.completed, 64) << slice.failure;
}

TEST_P(H2ClientTest, ASliceEndsWithItsTime) {
  Work work;
  work.next = [](int, std::string* request) {
    request->clear();
    return true;
  };
  const auto slice = Generator().Run(work, 16, absl::Milliseconds(200));
  ASSERT_TRUE(slice.ok()) << slice.status();
  EXPECT_GT(slice->operations, 0);
  EXPECT_EQ(slice->completed, echo_.calls);
  EXPECT_NEAR(slice->seconds, 0.2, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Clients, H2ClientTest, ::testing::Values(Client::kH2, Client::kGrpc),
                         [](const auto& info) {
                           return std::string(info.param == Client::kH2 ? "H2" : "Grpc");
                         });

class H2OutageTest : public H2ClientTest {};

TEST_P(H2OutageTest, AServerThatGoesAwayFailsWhatIsInFlightAndIsFoundAgain) {
  std::atomic<int64_t> calls = 0;
  Work work;
  work.next = [&](int, std::string* request) {
    request->clear();
    // The server ends while every slot has a call.
    if (++calls == 1000) server_->Shutdown(std::chrono::system_clock::now());
    return calls < 100'000;
  };
  const auto slice = Generator().Run(work, 32, absl::InfiniteDuration());
  ASSERT_TRUE(slice.ok()) << slice.status();
  EXPECT_GT(slice->failures, 0);
  EXPECT_FALSE(slice->failure.empty());
  EXPECT_FALSE(Generator().Run(work, 1, absl::Milliseconds(1)).ok());
  Serve();
  EXPECT_EQ(Send(10, 4, "back").completed, 10);
}

TEST_P(H2OutageTest, WhatWasClosedBetweenTwoRunsIsMadeAnew) {
  EXPECT_EQ(Send(10, 4, "before").completed, 10);
  server_->Shutdown();
  Serve();
  const Slice slice = Send(10, 4, "after");
  EXPECT_EQ(slice.completed, 10);
  EXPECT_EQ(slice.failures, 0) << slice.failure;
}

INSTANTIATE_TEST_SUITE_P(Clients, H2OutageTest, ::testing::Values(Client::kH2),
                         [](const auto&) { return "H2"; });

TEST(H2ConnectTest, NobodyListening) {
  EXPECT_EQ(NewLoadGenerator(Client::kH2, "/nowhere/at/all", kMethod).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace clm::bench
