#include <gmock/gmock.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "clm/access/v1/access_service.pb.h"
#include "clm/contact/v1/import_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/request_info.h"
#include "libs/rpc/client.h"
#include "libs/rpc/service.h"
#include "libs/rpc/status.h"

namespace clm::rpc {
namespace {

namespace access = clm::access::v1;
namespace contact = clm::contact::v1;
using absl::StatusCode;

struct Handlers {
  std::function<absl::StatusOr<contact::ImportJob>(const Call&,
                                                   Reader<contact::UploadImportRequest>&)>
      upload;
  std::function<absl::Status(const Call&, const access::GetTenantRequest&, Writer<access::Tenant>&)>
      watch;

  absl::StatusOr<contact::ImportJob> UploadImport(const Call& call,
                                                  Reader<contact::UploadImportRequest>& reader) {
    return upload(call, reader);
  }
};

class ImportBinding : public Service {
 public:
  ImportBinding(Host& host, Handlers& handlers)
      : Service(host, contact::ImportService::service_full_name()) {
    Bind("UploadImport", &handlers, &Handlers::UploadImport);
  }
};

constexpr char kWatch[] = "/clm.test.Watcher/Watch";

// No method of the suite streams to its caller yet, so this one is registered by hand, with the
// policy of GetTenant.
class Watcher : public grpc::Service {
 public:
  Watcher(Host& host, Handlers& handlers) : handler_(std::ref(handlers.watch)) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
        "clm.access.v1.AccessService");
    method_ = *ResolveMethod(service->FindMethodByName("GetTenant"), host.metrics());
    AddMethod(new grpc::internal::RpcServiceMethod(
        kWatch, grpc::internal::RpcMethod::SERVER_STREAMING, nullptr));
    MarkMethodCallback(
        0,
        new grpc::internal::CallbackServerStreamingHandler<internal::In<access::GetTenantRequest>,
                                                           access::Tenant>(
            [this, &host](grpc::CallbackServerContext* context,
                          const internal::In<access::GetTenantRequest>* in)
                -> grpc::ServerWriteReactor<access::Tenant>* {
              return new internal::ServerStreamCall<access::GetTenantRequest, access::Tenant>(
                  &host, &method_, context, const_cast<internal::In<access::GetTenantRequest>*>(in),
                  &handler_);
            }));
  }

 private:
  Method method_;
  internal::ServerStreamCall<access::GetTenantRequest, access::Tenant>::Handler handler_;
};

class StreamTest : public testing::Test {
 protected:
  StreamTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&imports_);
    builder.RegisterService(&watcher_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(ChannelArguments());
    stub_ = contact::ImportService::NewStub(channel_);
  }
  ~StreamTest() override { server_->Shutdown(); }

  std::unique_ptr<grpc::ClientReader<access::Tenant>> Watch(grpc::ClientContext* context,
                                                            const std::string& name) {
    access::GetTenantRequest request;
    request.set_name(name);
    return std::unique_ptr<grpc::ClientReader<access::Tenant>>(
        grpc::internal::ClientReaderFactory<access::Tenant>::Create(
            channel_.get(),
            grpc::internal::RpcMethod(kWatch, grpc::internal::RpcMethod::SERVER_STREAMING), context,
            request));
  }

  // Sends the messages and returns the server's answer.
  absl::Status Upload(const std::vector<contact::UploadImportRequest>& messages) {
    grpc::ClientContext context;
    auto writer = stub_->UploadImport(&context, &job_);
    for (const auto& message : messages) {
      if (!writer->Write(message)) break;
    }
    writer->WritesDone();
    return FromGrpc(writer->Finish());
  }

  SystemClock clock_;
  obs::Metrics metrics_;
  Workers workers_{"workers", 1, 1};
  Workers streams_{"streams", 2, 0};
  Host host_{{.clock = &clock_, .workers = &workers_, .streams = &streams_, .metrics = &metrics_}};
  Handlers handlers_;
  ImportBinding imports_{host_, handlers_};
  Watcher watcher_{host_, handlers_};
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<contact::ImportService::Stub> stub_;
  contact::ImportJob job_;
};

contact::UploadImportRequest Start(const std::string& parent) {
  contact::UploadImportRequest message;
  message.mutable_start()->set_parent(parent);
  return message;
}

contact::UploadImportRequest Chunk(const std::string& bytes) {
  contact::UploadImportRequest message;
  message.set_chunk(bytes);
  return message;
}

TEST_F(StreamTest, AnUploadArrivesInOrderAndIsAnswered) {
  std::string received;
  std::string tenant;
  handlers_.upload =
      [&](const Call& call,
          Reader<contact::UploadImportRequest>& reader) -> absl::StatusOr<contact::ImportJob> {
    tenant = call.tenant;
    contact::UploadImportRequest message;
    while (reader.Read(&message)) received += message.chunk();
    if (!reader.status().ok()) return reader.status();
    contact::ImportJob job;
    job.set_display_name("done");
    return job;
  };
  std::vector<contact::UploadImportRequest> messages = {Start("tenants/acme")};
  std::string sent;
  for (int i = 0; i < 200; ++i) {
    const std::string chunk = absl::StrCat(i, std::string(1000, 'x'));
    messages.push_back(Chunk(chunk));
    sent += chunk;
  }
  const absl::Status status = Upload(messages);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(job_.display_name(), "done");
  EXPECT_EQ(received, sent);
  EXPECT_EQ(tenant, "acme");
}

TEST_F(StreamTest, TheFirstMessageIsCheckedBeforeTheHandlerRuns) {
  bool ran = false;
  handlers_.upload = [&](const Call&, Reader<contact::UploadImportRequest>&) {
    ran = true;
    return contact::ImportJob();
  };
  EXPECT_EQ(Upload({Chunk("no start")}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(error::Reason(Upload({})), "EMPTY_STREAM");
  EXPECT_FALSE(ran);
}

TEST_F(StreamTest, AStreamAboutATenantThatDoesNotExistIsNotFound) {
  Tenants tenants([](const std::string& tenant, absl::Time) {
    return error::NotFound(absl::StrCat("tenants/", tenant));
  });
  host_.SetTenants(&tenants);
  int ran = 0;
  handlers_.upload = [&](const Call&, Reader<contact::UploadImportRequest>&) {
    ++ran;
    return contact::ImportJob();
  };
  handlers_.watch = [&](const Call&, const access::GetTenantRequest&, Writer<access::Tenant>&) {
    ++ran;
    return absl::OkStatus();
  };
  EXPECT_EQ(Upload({Start("tenants/other")}).code(), StatusCode::kNotFound);
  grpc::ClientContext context;
  EXPECT_EQ(FromGrpc(Watch(&context, "tenants/other")->Finish()).code(), StatusCode::kNotFound);
  EXPECT_EQ(ran, 0);
  host_.SetTenants(nullptr);
}

TEST_F(StreamTest, ABadLaterMessageFailsTheCallThoughTheHandlerOverlooksIt) {
  handlers_.upload = [&](const Call&, Reader<contact::UploadImportRequest>& reader) {
    contact::UploadImportRequest message;
    while (reader.Read(&message)) {
    }
    return contact::ImportJob();
  };
  const absl::Status large = Upload({Start("tenants/acme"), Chunk(std::string(1048577, 'x'))});
  EXPECT_EQ(large.code(), StatusCode::kInvalidArgument);
  ASSERT_EQ(error::FieldViolations(large).size(), 1u);
  EXPECT_EQ(error::FieldViolations(large)[0].first, "chunk");
  EXPECT_EQ(Upload({Start("tenants/acme"), Start("tenants/other")}).code(), StatusCode::kNotFound);
}

TEST_F(StreamTest, AWatchDeliversEverythingAndItsStatus) {
  handlers_.watch = [](const Call& call, const access::GetTenantRequest&,
                       Writer<access::Tenant>& writer) -> absl::Status {
    for (int i = 0; i < 100; ++i) {
      access::Tenant tenant;
      tenant.set_name(absl::StrCat(call.tenant, i));
      if (!writer.Write(tenant)) return error::Internal("not open");
    }
    return error::Precondition("THE_END", "over");
  };
  grpc::ClientContext context;
  auto reader = Watch(&context, "tenants/acme");
  access::Tenant tenant;
  int count = 0;
  while (reader->Read(&tenant)) EXPECT_EQ(tenant.name(), absl::StrCat("acme", count++));
  EXPECT_EQ(count, 100);
  EXPECT_EQ(error::Reason(FromGrpc(reader->Finish())), "THE_END");
}

TEST_F(StreamTest, AWriterStopsWhenTheCallerGoesAway) {
  absl::Notification ended;
  handlers_.watch = [&](const Call&, const access::GetTenantRequest&,
                        Writer<access::Tenant>& writer) {
    access::Tenant tenant;
    tenant.set_display_name(std::string(100, 'x'));
    while (writer.Write(tenant)) {
    }
    ended.Notify();
    return absl::OkStatus();
  };
  grpc::ClientContext context;
  auto reader = Watch(&context, "tenants/acme");
  access::Tenant tenant;
  ASSERT_TRUE(reader->Read(&tenant));
  context.TryCancel();
  ended.WaitForNotification();
  while (reader->Read(&tenant)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(StreamTest, AStreamEndsWhenTheServerDrains) {
  handlers_.watch = [&](const Call&, const access::GetTenantRequest&,
                        Writer<access::Tenant>& writer) {
    while (writer.Write({})) {
    }
    return absl::OkStatus();
  };
  grpc::ClientContext context;
  auto reader = Watch(&context, "tenants/acme");
  access::Tenant tenant;
  ASSERT_TRUE(reader->Read(&tenant));
  host_.Drain();
  while (reader->Read(&tenant)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(StreamTest, MoreStreamsThanThreadsAreShed) {
  absl::BlockingCounter inside(2);
  absl::Notification release;
  handlers_.watch = [&](const Call&, const access::GetTenantRequest&, Writer<access::Tenant>&) {
    inside.DecrementCount();
    release.WaitForNotification();
    return absl::OkStatus();
  };
  grpc::ClientContext contexts[3];
  auto first = Watch(&contexts[0], "tenants/acme");
  auto second = Watch(&contexts[1], "tenants/acme");
  inside.Wait();
  auto refused = Watch(&contexts[2], "tenants/acme");
  access::Tenant tenant;
  EXPECT_FALSE(refused->Read(&tenant));
  const absl::Status full = FromGrpc(refused->Finish());
  EXPECT_EQ(error::Reason(full), "STREAMS_FULL");
  EXPECT_EQ(error::RequestId(full).size(), 32u);
  release.Notify();
  for (auto* held : {first.get(), second.get()}) {
    EXPECT_FALSE(held->Read(&tenant));
    EXPECT_TRUE(held->Finish().ok());
  }
}

}  // namespace
}  // namespace clm::rpc
