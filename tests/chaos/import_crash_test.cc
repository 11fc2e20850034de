// kill -9 of the contact service while it stores a file, and while it applies one.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clm/contact/v1/import_service.grpc.pb.h"
#include "tests/chaos/crash_points.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {
namespace {

namespace v1 = clm::contact::v1;
using ::testing::ElementsAre;
using ::testing::Field;

constexpr int kPeople = 650;
constexpr size_t kPiece = 300'000;

// Everybody twice, in more batches and chunks than one.
std::string File() {
  std::string file = "email,given_name,a column that means nothing\n";
  for (int i = 0; i < 2 * kPeople; ++i) {
    absl::StrAppend(&file, "p", i % kPeople, "@example.com,Ada,", std::string(900, 'x'), "\n");
  }
  return file;
}

absl::StatusOr<v1::ImportJob> Upload(const std::string& target, const std::string& file) {
  v1::ImportService::Stub stub(rpc::NewChannel(target));
  grpc::ClientContext context;
  rpc::PrepareContext({.service = "clm-chaos", .token = ""}, absl::Seconds(60), &context);
  v1::ImportJob job;
  const auto writer = stub.UploadImport(&context, &job);
  v1::UploadImportRequest message;
  message.mutable_start()->set_parent("tenants/acme");
  message.mutable_start()->mutable_import_job()->set_kind(v1::ImportJob::KIND_CONTACTS);
  message.mutable_start()->set_request_id("0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a");
  bool open = writer->Write(message);
  for (size_t at = 0; open && at < file.size(); at += kPiece) {
    message.set_chunk(file.substr(at, kPiece));
    open = writer->Write(message);
  }
  writer->WritesDone();
  const absl::Status status = rpc::FromGrpc(writer->Finish());
  if (!status.ok()) return status;
  return job;
}

class ImportCrashTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ImportCrashTest, EveryRowCountsOnce) {
  World world({.contact_failpoint = absl::StrCat(GetParam(), ":kill@2")});
  const std::string file = File();
  absl::StatusOr<v1::ImportJob> job;
  ASSERT_TRUE(Eventually([&] {
    job = Upload(world.contact().target(), file);
    return job.ok();
  })) << job.status();
  v1::GetImportJobRequest request;
  request.set_name(job->name());
  ASSERT_TRUE(Eventually([&] {
    job = world.caller().Call(&v1::ImportService::Stub::GetImportJob, request);
    return !job.ok() || job->state() > v1::ImportJob::STATE_RUNNING;
  }));
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(world.contact().AwaitDeath()) << "the failpoint was never passed";
  EXPECT_THAT(world.contact().deaths(), ElementsAre(Field(&stack::ExitStatus::signal, SIGKILL)));
  EXPECT_EQ(job->state(), v1::ImportJob::STATE_SUCCEEDED) << job->DebugString();
  EXPECT_EQ(job->read_count(), 2 * kPeople);
  EXPECT_EQ(job->created_count(), kPeople);
  EXPECT_EQ(job->unchanged_count(), kPeople);
  const auto ask = [&](const std::string& sql) {
    return Ask(world.contact_database().admin_dsn, sql);
  };
  EXPECT_EQ(ask("SELECT count(*) FROM contact"), absl::StrCat(kPeople));
  EXPECT_EQ(ask("SELECT count(*) FROM journal WHERE type = 'clm.contact.v1.ContactChanged'"),
            absl::StrCat(kPeople));
  // The complete file, and the end.
  EXPECT_EQ(ask("SELECT count(*) FROM journal WHERE type = 'clm.contact.v1.ImportJobChanged'"),
            "2");
  EXPECT_EQ(ask("SELECT count(*) FROM import_chunk"), "0");
  EXPECT_EQ(ask("SELECT count(*) FROM import_job"), "1");
  World::ExpectDenseJournal(world.contact_database());
}

INSTANTIATE_TEST_SUITE_P(At, ImportCrashTest, ::testing::ValuesIn(kImportCrashPoints),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{".", "_"}});
                         });

}  // namespace
}  // namespace clm::chaos
