#include "tests/walks/live_suite.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/pg/admin.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "services/allinone/modules.h"

namespace clm::walks {
namespace {

namespace pb = google::protobuf;

std::string TextOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

}  // namespace

std::vector<Method> AllMethods() {
  pb::FileDescriptorSet files;
  std::ifstream in(CLM_DESCRIPTOR_SET, std::ios::binary);
  EXPECT_TRUE(files.ParseFromIstream(&in)) << CLM_DESCRIPTOR_SET;
  std::vector<Method> methods;
  for (const auto& file : files.file()) {
    if (!absl::StartsWith(file.name(), "clm/")) continue;
    for (const auto& service : file.service()) {
      const std::string name = absl::StrCat(file.package(), ".", service.name());
      const auto* found = pb::DescriptorPool::generated_pool()->FindServiceByName(name);
      EXPECT_NE(found, nullptr) << name << " is not part of this program";
      for (int i = 0; found != nullptr && i < found->method_count(); ++i) {
        methods.push_back(found->method(i));
      }
    }
  }
  EXPECT_GT(methods.size(), 50u);
  return methods;
}

Method MethodNamed(const std::string& name) {
  Method found = nullptr;
  for (const Method method : AllMethods()) {
    if (method->name() != name) continue;
    EXPECT_EQ(found, nullptr) << name << " is the name of several";
    found = method;
  }
  EXPECT_NE(found, nullptr) << name;
  return found;
}

const options::v1::MethodPolicy& PolicyOf(Method method) {
  return method->options().GetExtension(options::v1::policy);
}

bool IsForTenants(Method method) {
  return PolicyOf(method).audience() == options::v1::MethodPolicy::AUDIENCE_UNSPECIFIED;
}

std::unique_ptr<pb::Message> NewMessage(const pb::Descriptor* type) {
  return std::unique_ptr<pb::Message>(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

LiveSuite::LiveSuite() {
  app::ServerOptions options;
  options.name = "clm-test";
  options.listen = {"127.0.0.1:0"};
  options.secret = std::string(32, 's');
  options.allow_unsafe_database = true;
  options.drain_delay = absl::ZeroDuration();
  for (const pg::Schema& schema : allinone::Schemas()) {
    databases_[schema.service] = clm::testing::Postgres::Shared().CreateDatabase(schema);
    options.dsns[schema.service] = databases_[schema.service].app_dsn;
  }
  auto server = app::Server::Start(std::move(options), allinone::NewModules());
  EXPECT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  tcp_ = rpc::NewChannel(absl::StrCat("127.0.0.1:", server_->ports().front()));
  own_ = server_->Channel();
}

std::string LiveSuite::AddTenant(const std::string& id) {
  Do("CreateTenant", {absl::StrCat(R"({"tenant_id": ")", id, R"("})")}, "");
  const auto created = Do(
      "CreateToken",
      {absl::StrCat(R"({"parent": "tenants/)", id, R"(", "token": {"scopes": ["admin"]}})")}, "");
  return created->GetReflection()->GetString(*created,
                                             created->GetDescriptor()->FindFieldByName("secret"));
}

Outcome LiveSuite::Call(Method method, const std::vector<std::string>& requests,
                        const std::string& token) {
  grpc::GenericStub stub(token.empty() ? own_ : tcp_);
  grpc::ClientContext context;
  rpc::PrepareContext({.service = "clm-test", .token = token}, absl::Seconds(50), &context);
  grpc::CompletionQueue queue;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(
      &context, absl::StrCat("/", method->service()->full_name(), "/", method->name()), &queue);
  call->StartCall(nullptr);
  bool open = next();
  for (const std::string& request : requests) {
    if (!open) break;
    const grpc::Slice slice(request);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    open = next();
  }
  if (open) {
    call->WritesDone(nullptr);
    next();
  }
  Outcome outcome;
  for (;;) {
    grpc::ByteBuffer response;
    call->Read(&response, nullptr);
    if (!next()) break;
    outcome.responses.push_back(TextOf(response));
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  outcome.status = rpc::FromGrpc(status);
  return outcome;
}

std::unique_ptr<pb::Message> LiveSuite::Do(const std::string& method,
                                           const std::vector<std::string>& requests,
                                           const std::string& token) {
  const Method found = MethodNamed(method);
  std::vector<std::string> serialized;
  for (const std::string& request : requests) {
    const auto message = NewMessage(found->input_type());
    const auto parsed = pb::util::JsonStringToMessage(request, message.get());
    EXPECT_TRUE(parsed.ok()) << method << ": " << parsed.ToString();
    serialized.push_back(message->SerializeAsString());
  }
  const Outcome outcome = Call(found, serialized, token);
  auto response = NewMessage(found->output_type());
  EXPECT_TRUE(outcome.status.ok()) << method << ": " << outcome.status;
  if (!outcome.responses.empty()) {
    EXPECT_TRUE(response->ParseFromString(outcome.responses.front())) << method;
  }
  return response;
}

std::string LiveSuite::Ask(const std::string& service, const std::string& sql) const {
  const auto rows = pg::AdminQuery(databases_.at(service).admin_dsn, sql);
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() && !rows->empty() ? std::string((*rows)[0].Text(0)) : "";
}

std::string LiveSuite::Heads() const {
  std::string heads =
      absl::StrCat("access ", Ask("access", "SELECT count(*)::text FROM access_journal"));
  for (const char* service : {"contact", "lifecycle", "loyalty", "feedback"}) {
    absl::StrAppend(&heads, ", ", service, " ",
                    Ask(service,
                        "SELECT format('%s %s', (SELECT array_agg(off ORDER BY shard) FROM "
                        "journal_head), (SELECT count(*) FROM request))"));
  }
  return heads;
}

}  // namespace clm::walks
