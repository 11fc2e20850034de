#include "libs/rpc/service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/client_callback.h>

#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "clm/access/v1/access_service.grpc.pb.h"
#include "clm/contact/v1/import_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/request_info.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "libs/rpc/token.h"

namespace clm::rpc {
namespace {

namespace access = clm::access::v1;
namespace contact = clm::contact::v1;
using absl::StatusCode;

// A caller's span in a trace of its own.
constexpr char kTraceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kTraceId[] = "4bf92f3577b34da6a3ce929d0e0e4736";

// Handlers whose behaviour each test sets. GetTenant blocks, so it runs on a worker; CreateTenant
// answers through a Reply.
struct Handlers {
  std::function<absl::StatusOr<access::Tenant>(const Call&, const access::GetTenantRequest&)> get =
      [](const Call&, const access::GetTenantRequest& request) {
        access::Tenant tenant;
        tenant.set_name(request.name());
        return tenant;
      };
  std::function<void(const Call&, const access::CreateTenantRequest&, Reply<access::Tenant>)>
      create =
          [](const Call&, const access::CreateTenantRequest& request, Reply<access::Tenant> reply) {
            reply.response().set_name(absl::StrCat("tenants/", request.tenant_id()));
            reply.Done();
          };
  std::function<absl::StatusOr<access::IntrospectResponse>(const Call&)> introspect =
      [](const Call&) { return access::IntrospectResponse(); };

  absl::StatusOr<access::Tenant> GetTenant(const Call& call,
                                           const access::GetTenantRequest& request) {
    return get(call, request);
  }
  void CreateTenant(const Call& call, const access::CreateTenantRequest& request,
                    Reply<access::Tenant> reply) {
    create(call, request, std::move(reply));
  }
  absl::StatusOr<access::IntrospectResponse> Introspect(const Call& call,
                                                        const access::IntrospectRequest&) {
    return introspect(call);
  }
  template <class Req, class Resp>
  absl::StatusOr<Resp> Unused(const Call&, const Req&) {
    return error::Make(StatusCode::kUnimplemented, "UNUSED", "unused");
  }
};

class Binding : public Service {
 public:
  Binding(Host& host, Handlers& handlers)
      : Service(host, access::AccessService::service_full_name()) {
    Bind("CreateTenant", &handlers, &Handlers::CreateTenant);
    Bind("GetTenant", &handlers, &Handlers::GetTenant);
    Bind("Introspect", &handlers, &Handlers::Introspect);
    Bind("ListTenants", &handlers,
         &Handlers::Unused<access::ListTenantsRequest, access::ListTenantsResponse>);
    Bind("CreateToken", &handlers,
         &Handlers::Unused<access::CreateTokenRequest, access::CreateTokenResponse>);
    Bind("CreateOperatorToken", &handlers,
         &Handlers::Unused<access::CreateOperatorTokenRequest, access::CreateTokenResponse>);
    Bind("ListTokens", &handlers,
         &Handlers::Unused<access::ListTokensRequest, access::ListTokensResponse>);
    Bind("RevokeToken", &handlers, &Handlers::Unused<access::RevokeTokenRequest, access::Token>);
    Bind("RevokeOperatorToken", &handlers,
         &Handlers::Unused<access::RevokeOperatorTokenRequest, access::Token>);
  }
};

class FakeAuthenticator : public Authenticator {
 public:
  std::optional<absl::StatusOr<Caller>> Lookup(absl::string_view token) override {
    if (slow) return std::nullopt;
    return Answer(token);
  }
  absl::StatusOr<Caller> Resolve(absl::string_view token, absl::Time) override {
    return Answer(token);
  }
  absl::StatusOr<Caller> Answer(absl::string_view token) {
    if (token == "acme-reader") return Caller{"token:r", "acme", {"tokens.read"}, false};
    if (token == "acme-writer") return Caller{"token:w", "acme", {"tokens.write"}, false};
    if (token == "operator") return Caller{"token:o", "", {"admin"}, false};
    return InvalidToken();
  }
  bool slow = false;
};

class ServiceTest : public testing::Test {
 protected:
  void SetUp() override { Start(64); }

  void Start(int max_in_flight) {
    host_ = std::make_unique<Host>(Host::Options{.clock = &clock_,
                                                 .workers = &workers_,
                                                 .streams = &streams_,
                                                 .metrics = &metrics_,
                                                 .max_in_flight = max_in_flight});
    host_->SetAuthenticator(&authenticator_);
    binding_ = std::make_unique<Binding>(*host_, handlers_);
    ASSERT_TRUE(binding_->Verify().ok()) << binding_->Verify();
    std::string dir = testing::TempDir() + "/clm-rpc-XXXXXX";
    ASSERT_NE(mkdtemp(dir.data()), nullptr);
    socket_ = "unix:" + dir + "/s";
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.AddListeningPort(socket_, grpc::InsecureServerCredentials());
    builder.RegisterService(binding_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    own_ = access::AccessService::NewStub(NewChannel(socket_));
    foreign_ = access::AccessService::NewStub(NewChannel(absl::StrCat("127.0.0.1:", port_)));
  }

  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown();
  }

  absl::Status Get(access::AccessService::Stub& stub, const std::string& name,
                   const std::string& authorization = "", grpc::ClientContext* given = nullptr) {
    grpc::ClientContext own_context;
    grpc::ClientContext& context = given != nullptr ? *given : own_context;
    if (!authorization.empty()) context.AddMetadata("authorization", authorization);
    access::GetTenantRequest request;
    request.set_name(name);
    return FromGrpc(stub.GetTenant(&context, request, &tenant_));
  }

  absl::Status Create(const access::CreateTenantRequest& request,
                      grpc::ClientContext* given = nullptr) {
    grpc::ClientContext own_context;
    return FromGrpc(own_->CreateTenant(given != nullptr ? given : &own_context, request, &tenant_));
  }

  SystemClock clock_;
  obs::Metrics metrics_;
  Workers workers_{"workers", 2, 4};
  Workers streams_{"streams", 2, 0};
  FakeAuthenticator authenticator_;
  Handlers handlers_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<Binding> binding_;
  std::unique_ptr<grpc::Server> server_;
  std::string socket_;
  int port_ = 0;
  std::unique_ptr<access::AccessService::Stub> own_;
  std::unique_ptr<access::AccessService::Stub> foreign_;
  access::Tenant tenant_;
};

access::CreateTenantRequest NewTenant(const std::string& id = "acme") {
  access::CreateTenantRequest request;
  request.set_tenant_id(id);
  return request;
}

TEST_F(ServiceTest, AHandlerOnAWorkerAnswers) {
  ASSERT_TRUE(Get(*own_, "tenants/acme").ok());
  EXPECT_EQ(tenant_.name(), "tenants/acme");
}

TEST_F(ServiceTest, AReplyAnswersFromAnotherThreadWithTheRequestStillAlive) {
  std::thread later;
  handlers_.create = [&](const Call& call, const access::CreateTenantRequest& request,
                         Reply<access::Tenant> reply) {
    later = std::thread([&call, &request, reply = std::move(reply)]() mutable {
      access::Tenant tenant;
      tenant.set_name("tenants/" + request.tenant_id());
      tenant.set_display_name(std::string(call.method));
      reply(std::move(tenant));
    });
  };
  const absl::Status status = Create(NewTenant());
  later.join();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(tenant_.name(), "tenants/acme");
  EXPECT_EQ(tenant_.display_name(), "/clm.access.v1.AccessService/CreateTenant");
}

TEST_F(ServiceTest, SerializedBytesGoOutAsTheyAre) {
  handlers_.create = [](const Call&, const access::CreateTenantRequest&,
                        Reply<access::Tenant> reply) {
    access::Tenant tenant;
    tenant.set_display_name("recorded");
    reply.MarkReplay();
    reply.Bytes(tenant.SerializeAsString());
  };
  grpc::ClientContext context;
  ASSERT_TRUE(Create(NewTenant(), &context).ok());
  EXPECT_EQ(tenant_.display_name(), "recorded");
  EXPECT_EQ(context.GetServerTrailingMetadata().count("clm-idempotent-replay"), 1u);
}

TEST_F(ServiceTest, ADroppedReplyIsUnavailable) {
  handlers_.create = [](const Call&, const access::CreateTenantRequest&, Reply<access::Tenant>) {};
  grpc::ClientContext context;
  const absl::Status status = Create(NewTenant(), &context);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(error::Reason(status), "UNANSWERED");
}

TEST_F(ServiceTest, AnErrorKeepsItsReasonAndMetadata) {
  handlers_.get = [](const Call&, const access::GetTenantRequest&) {
    return error::Make(StatusCode::kFailedPrecondition, "TENANT_CLOSED", "closed",
                       {{"since", "2026"}});
  };
  const absl::Status status = Get(*own_, "tenants/acme");
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(error::Reason(status), "TENANT_CLOSED");
  EXPECT_EQ(error::MetadataValue(status, "since"), "2026");
}

TEST_F(ServiceTest, AnErrorNamesTheCallersTrace) {
  std::string seen;
  handlers_.get = [&](const Call& call, const access::GetTenantRequest&) {
    seen = call.traceparent.substr(3, 32);
    return error::Precondition("TENANT_CLOSED", "closed");
  };
  grpc::ClientContext traced;
  traced.AddMetadata("traceparent", kTraceparent);
  EXPECT_EQ(error::RequestId(Get(*own_, "tenants/acme", "", &traced)), kTraceId);
  EXPECT_EQ(seen, kTraceId);

  const absl::Status untraced = Get(*own_, "tenants/acme");
  EXPECT_EQ(untraced.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(error::RequestId(untraced), seen);
  EXPECT_NE(seen, kTraceId);
}

TEST_F(ServiceTest, WhoIsRefusedBeforeTheHandlerLearnsTheTraceToo) {
  grpc::ClientContext context;
  context.AddMetadata("traceparent", kTraceparent);
  const absl::Status status = Get(*foreign_, "tenants/acme", "", &context);
  EXPECT_EQ(error::Reason(status), "TOKEN_MISSING");
  EXPECT_EQ(error::RequestId(status), kTraceId);
}

TEST_F(ServiceTest, AnErrorOfAnotherServerIsPassedOnUnderThisCallsTrace) {
  handlers_.get = [&](const Call&, const access::GetTenantRequest&) {
    return error::WithRequestId(error::NotFound("tenants/acme"), "of-another-server");
  };
  grpc::ClientContext context;
  context.AddMetadata("traceparent", kTraceparent);
  const absl::Status status = Get(*own_, "tenants/acme", "", &context);
  EXPECT_EQ(error::Reason(status), "NOT_FOUND");
  EXPECT_EQ(error::RequestId(status), kTraceId);
}

TEST_F(ServiceTest, AnExceptionIsInternalAndSaysNothing) {
  handlers_.get = [](const Call&,
                     const access::GetTenantRequest&) -> absl::StatusOr<access::Tenant> {
    throw std::runtime_error("ada@example.com");
  };
  handlers_.create = [](const Call&, const access::CreateTenantRequest&,
                        Reply<access::Tenant>) -> void { throw std::runtime_error("secret"); };
  const absl::Status status = Get(*own_, "tenants/acme");
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_EQ(status.message(), "internal error");
  EXPECT_EQ(error::Reason(Create(NewTenant())), "UNANSWERED");
}

TEST_F(ServiceTest, OverTcpATokenIsNeeded) {
  EXPECT_EQ(error::Reason(Get(*foreign_, "tenants/acme")), "TOKEN_MISSING");
  EXPECT_EQ(error::Reason(Get(*foreign_, "tenants/acme", "Basic x")), "TOKEN_MISSING");
  const absl::Status wrong = Get(*foreign_, "tenants/acme", "Bearer guess");
  EXPECT_EQ(wrong.code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(error::Reason(wrong), "TOKEN_INVALID");
  EXPECT_TRUE(Get(*foreign_, "tenants/acme", "Bearer acme-reader").ok());
  authenticator_.slow = true;
  EXPECT_TRUE(Get(*foreign_, "tenants/acme", "bearer acme-reader").ok());
  EXPECT_EQ(error::Reason(Get(*foreign_, "tenants/acme", "Bearer guess")), "TOKEN_INVALID");
}

TEST_F(ServiceTest, ATokenOnThePrivateSocketGrantsNoMoreThanItself) {
  EXPECT_EQ(Get(*own_, "tenants/other", "Bearer acme-reader").code(), StatusCode::kNotFound);
}

TEST_F(ServiceTest, AForeignTenantIsNotFoundAndTheHandlerNeverRuns) {
  bool ran = false;
  handlers_.get = [&](const Call&, const access::GetTenantRequest&) {
    ran = true;
    return access::Tenant();
  };
  const absl::Status status = Get(*foreign_, "tenants/other", "Bearer acme-reader");
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(Get(*foreign_, "tenants/acme", "Bearer operator").code(), StatusCode::kNotFound);
  EXPECT_FALSE(ran);
}

TEST_F(ServiceTest, TheSuiteIsToldWhichTenantDoesNotExistAndTheHandlerNeverRuns) {
  absl::Status answer = error::NotFound("tenants/other");
  std::vector<std::string> asked;
  absl::Mutex mu;
  Tenants tenants([&](const std::string& tenant, absl::Time) {
    absl::MutexLock lock(&mu);
    asked.push_back(tenant);
    return answer;
  });
  host_->SetTenants(&tenants);
  int ran = 0;
  handlers_.get = [&](const Call&, const access::GetTenantRequest&) {
    ++ran;
    return access::Tenant();
  };
  const absl::Status missing = Get(*own_, "tenants/other");
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_EQ(error::MetadataValue(missing, "resource"), "tenants/other");
  EXPECT_EQ(ran, 0);
  // Nothing is remembered of it, so that a new tenant is there at once; of one that exists it is.
  answer = absl::OkStatus();
  EXPECT_TRUE(Get(*own_, "tenants/other").ok());
  EXPECT_TRUE(Get(*own_, "tenants/other").ok());
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(asked.size(), 2u);
  // Who cannot be asked leaves it open, and a token's tenant needs no question.
  answer = error::Unavailable("DATABASE_UNAVAILABLE", "away", absl::Seconds(1));
  EXPECT_EQ(Get(*own_, "tenants/third").code(), StatusCode::kUnavailable);
  const size_t before = asked.size();  // The client has tried several times.
  EXPECT_TRUE(Get(*foreign_, "tenants/acme", "Bearer acme-reader").ok());
  EXPECT_EQ(asked.size(), before);
  TearDown();
}

TEST_F(ServiceTest, AMissingScopeIsNamed) {
  const absl::Status status = Get(*foreign_, "tenants/acme", "Bearer acme-writer");
  EXPECT_EQ(status.code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(error::Reason(status), "SCOPE_MISSING");
  EXPECT_EQ(error::MetadataValue(status, "scope"), "tokens.read");
  // Permission comes before existence: a foreign tenant changes nothing about the answer.
  EXPECT_EQ(error::Reason(Get(*foreign_, "tenants/other", "Bearer acme-writer")), "SCOPE_MISSING");
}

TEST_F(ServiceTest, MethodsOfTheSuiteAndOfOperatorsRefuseTenantTokens) {
  access::IntrospectRequest introspect;
  introspect.set_token("t");
  access::IntrospectResponse introspected;
  access::CreateTenantRequest create = NewTenant();
  const auto call = [&](auto method, const auto& request, auto* response, const char* token) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
    return error::Reason(FromGrpc(((*foreign_).*method)(&context, request, response)));
  };
  using Stub = access::AccessService::Stub;
  EXPECT_EQ(call(&Stub::Introspect, introspect, &introspected, "acme-reader"), "AUDIENCE_MISMATCH");
  EXPECT_EQ(call(&Stub::Introspect, introspect, &introspected, "operator"), "AUDIENCE_MISMATCH");
  EXPECT_EQ(call(&Stub::CreateTenant, create, &tenant_, "acme-reader"), "AUDIENCE_MISMATCH");
  EXPECT_EQ(call(&Stub::CreateTenant, create, &tenant_, "operator"), "");
}

TEST_F(ServiceTest, TheCallSaysWhoCallsAndCarriesTheTrace) {
  Call seen;
  handlers_.get = [&](const Call& call, const access::GetTenantRequest&) {
    seen = call;
    return access::Tenant();
  };
  grpc::ClientContext context;
  PrepareContext({.service = "clm-lifecycle"},
                 Call{.deadline = absl::Now() + absl::Seconds(10), .traceparent = kTraceparent},
                 &context);
  ASSERT_TRUE(Get(*own_, "tenants/acme", "", &context).ok());
  EXPECT_TRUE(seen.caller.suite);
  EXPECT_EQ(seen.caller.actor, "clm-lifecycle");
  EXPECT_EQ(seen.tenant, "acme");
  EXPECT_EQ(seen.traceparent.substr(0, 36), "00-4bf92f3577b34da6a3ce929d0e0e4736-");
  EXPECT_NE(seen.traceparent.substr(36, 16), "00f067aa0ba902b7");
  // A tenth of the time is kept for the answer.
  EXPECT_LT(seen.deadline, absl::Now() + absl::Seconds(9.1));

  ASSERT_TRUE(Get(*foreign_, "tenants/acme", "Bearer acme-reader").ok());
  EXPECT_FALSE(seen.caller.suite);
  EXPECT_EQ(seen.caller.actor, "token:r");
}

TEST_F(ServiceTest, WithoutADeadlineACallGetsTwoSecondsAndNeverMoreThanAMinute) {
  absl::Time deadline;
  handlers_.get = [&](const Call& call, const access::GetTenantRequest&) {
    deadline = call.deadline;
    return access::Tenant();
  };
  ASSERT_TRUE(Get(*own_, "tenants/acme").ok());
  EXPECT_LE(deadline, absl::Now() + absl::Seconds(2));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Hours(1)));
  ASSERT_TRUE(Get(*own_, "tenants/acme", "", &context).ok());
  EXPECT_LE(deadline, absl::Now() + absl::Seconds(60));
}

TEST_F(ServiceTest, WhatExpiredInTheQueueIsNotRun) {
  absl::Notification release;
  std::atomic<int> ran{0};
  handlers_.get = [&](const Call&, const access::GetTenantRequest&) {
    ++ran;
    release.WaitForNotification();
    return access::Tenant();
  };
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&] { Get(*own_, "tenants/acme").IgnoreError(); });
  }
  while (ran < 2) std::this_thread::yield();
  grpc::ClientContext context;
  const absl::Duration patience = absl::Milliseconds(50);
  const absl::Time deadline = absl::Now() + patience;
  context.set_deadline(absl::ToChronoTime(deadline));
  EXPECT_EQ(Get(*own_, "tenants/acme", "", &context).code(), StatusCode::kDeadlineExceeded);
  // The server counts the time that is left from the arrival, in whole milliseconds.
  while (absl::Now() < deadline + patience + absl::Milliseconds(10)) std::this_thread::yield();
  release.Notify();
  for (auto& thread : busy) thread.join();
  workers_.Stop();
  EXPECT_EQ(ran, 2);
}

TEST_F(ServiceTest, AFullQueueShedsWithARetryHint) {
  absl::Notification release;
  handlers_.get = [&](const Call&, const access::GetTenantRequest&) {
    release.WaitForNotification();
    return access::Tenant();
  };
  // Two workers and four places in the queue.
  std::vector<std::future<absl::Status>> calls;
  for (int i = 0; i < 7; ++i) {
    calls.push_back(std::async(std::launch::async, [&] {
      grpc::ClientContext context;
      access::GetTenantRequest request;
      request.set_name("tenants/acme");
      access::Tenant tenant;
      const grpc::Status status = own_->GetTenant(&context, request, &tenant);
      if (!status.ok()) release.Notify();
      return FromGrpc(status);
    }));
  }
  int shed = 0;
  for (auto& call : calls) {
    const absl::Status status = call.get();
    if (status.ok()) continue;
    ++shed;
    EXPECT_EQ(status.code(), StatusCode::kUnavailable);
    EXPECT_EQ(error::Reason(status), "QUEUE_FULL");
    EXPECT_TRUE(status.GetPayload(error::kRetryInfoUrl).has_value());
  }
  EXPECT_EQ(shed, 1);
}

TEST_F(ServiceTest, OrdinaryCallsAreShedBeforeCriticalOnes) {
  TearDown();
  Start(10);  // Eight places for ordinary calls, two more for critical ones.
  std::vector<Reply<access::Tenant>> held;
  absl::Mutex mu;
  handlers_.create = [&](const Call&, const access::CreateTenantRequest&,
                         Reply<access::Tenant> reply) {
    absl::MutexLock lock(&mu);
    held.push_back(std::move(reply));
  };
  struct Pending {
    grpc::ClientContext context;
    access::CreateTenantRequest request = NewTenant();
    access::Tenant tenant;
    absl::Notification done;
    grpc::Status status;
  };
  std::vector<std::unique_ptr<Pending>> pending;
  for (int i = 0; i < 8; ++i) {
    auto& call = *pending.emplace_back(std::make_unique<Pending>());
    own_->async()->CreateTenant(&call.context, &call.request, &call.tenant,
                                [&call](grpc::Status status) {
                                  call.status = status;
                                  call.done.Notify();
                                });
  }
  const auto all_inside = [&]() { return held.size() == 8; };
  mu.LockWhen(absl::Condition(&all_inside));
  mu.Unlock();

  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
  context.AddMetadata("traceparent", kTraceparent);
  const absl::Status shed = Get(*own_, "tenants/acme", "", &context);
  EXPECT_EQ(shed.code(), StatusCode::kUnavailable);
  EXPECT_EQ(error::Reason(shed), "SERVER_BUSY");
  // Also who is turned away at the door is told.
  EXPECT_EQ(error::RequestId(shed), kTraceId);
  const auto& trailers = context.GetServerTrailingMetadata();
  ASSERT_EQ(trailers.count("grpc-retry-pushback-ms"), 1u);

  grpc::ClientContext critical;
  access::IntrospectRequest introspect;
  introspect.set_token("t");
  access::IntrospectResponse introspected;
  EXPECT_TRUE(own_->Introspect(&critical, introspect, &introspected).ok());

  // A long poll that waits gives its place back.
  held.front().Park();
  EXPECT_TRUE(Get(*own_, "tenants/acme").ok());
  for (auto& reply : held) reply.Done();
  for (auto& call : pending) {
    call->done.WaitForNotification();
    EXPECT_TRUE(call->status.ok());
  }
  // gRPC tells the client before it returns from Finish; the place is given back before either.
  EXPECT_EQ(host_->admission().in_flight(), 0);
}

TEST_F(ServiceTest, EveryBadFieldOfARequestIsNamed) {
  access::CreateTenantRequest request = NewTenant("Not An Id");
  request.mutable_tenant()->set_display_name(std::string(300, 'x'));
  request.set_request_id("7");
  const absl::Status status = Create(request);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(status)) fields.push_back(field);
  EXPECT_THAT(fields,
              testing::UnorderedElementsAre("tenant_id", "tenant.display_name", "request_id"));
}

TEST_F(ServiceTest, ARequestThatDoesNotParseIsAnInvalidArgument) {
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  const grpc::Slice garbage("\x0a\xff\xff\xff\xff");
  const grpc::ByteBuffer request(&garbage, 1);
  const grpc::internal::RpcMethod method("/clm.access.v1.AccessService/GetTenant",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  const auto channel = NewChannel(socket_);
  const absl::Status status =
      FromGrpc(grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
          channel.get(), method, &context, request, &response));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(error::Reason(status), "MALFORMED_REQUEST");
}

TEST_F(ServiceTest, ATextThatIsNotUtf8IsNamed) {
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  const grpc::Slice bad(
      "\x0a\x05"
      "acm\xff"
      "e");
  const grpc::ByteBuffer request(&bad, 1);
  const grpc::internal::RpcMethod method("/clm.access.v1.AccessService/GetTenant",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  const auto channel = NewChannel(socket_);
  const absl::Status status =
      FromGrpc(grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
          channel.get(), method, &context, request, &response));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  ASSERT_EQ(error::FieldViolations(status).size(), 1u);
  EXPECT_EQ(error::FieldViolations(status)[0].first, "name");
}

TEST_F(ServiceTest, CallsAreCountedByCode) {
  ASSERT_TRUE(Get(*own_, "tenants/acme").ok());
  ASSERT_FALSE(Get(*own_, "tenants/NO").ok());
  const auto& metrics = metrics_.ForMethod("clm.access.v1.AccessService", "GetTenant", "unary");
  EXPECT_EQ(metrics.started().value(), 2u);
  EXPECT_EQ(metrics.handled(0).value(), 1u);
  EXPECT_EQ(metrics.handled(3).value(), 1u);
}

TEST_F(ServiceTest, ANetworkCallIsKnownByItsAddressAndByItsTransport) {
  std::string peer;
  size_t transports = 0;
  handlers_.get = [&](const Call& call, const access::GetTenantRequest&) {
    peer = call.context->peer();
    transports = call.context->auth_context()->FindPropertyValues("transport_security_type").size();
    return access::Tenant();
  };
  ASSERT_TRUE(Get(*foreign_, "tenants/acme", "Bearer acme-reader").ok());
  EXPECT_EQ(peer.substr(0, 5), "ipv4:");
  EXPECT_EQ(transports, 1u);
}

TEST_F(ServiceTest, AnInProcessCallIsTheSuitesOwn) {
  const auto stub = access::AccessService::NewStub(server_->InProcessChannel(ChannelArguments()));
  EXPECT_TRUE(Get(*stub, "tenants/acme").ok());
}

TEST(ServiceVerifyTest, AMethodWithoutHandlerIsNamed) {
  class Incomplete : public Service {
   public:
    Incomplete(Host& host, Handlers& handlers)
        : Service(host, access::AccessService::service_full_name()) {
      Bind("GetTenant", &handlers, &Handlers::GetTenant);
    }
  };
  SystemClock clock;
  obs::Metrics metrics;
  Host host({.clock = &clock, .metrics = &metrics});
  Handlers handlers;
  const absl::Status status = Incomplete(host, handlers).Verify();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("AccessService.CreateTenant: has no handler"));
}

TEST(ServiceVerifyTest, AHandlerOfOtherTypesIsRefused) {
  class Wrong : public Service {
   public:
    Wrong(Host& host, Handlers& handlers)
        : Service(host, access::AccessService::service_full_name()) {
      Bind("ListTenants", &handlers, &Handlers::GetTenant);
    }
  };
  SystemClock clock;
  obs::Metrics metrics;
  Host host({.clock = &clock, .metrics = &metrics});
  Handlers handlers;
  EXPECT_THAT(std::string(Wrong(host, handlers).Verify().message()),
              testing::HasSubstr("ListTenants: its handler has other types"));
}

}  // namespace
}  // namespace clm::rpc
