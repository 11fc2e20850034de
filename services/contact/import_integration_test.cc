#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/status_macros.h"
#include "libs/testing/eventually.h"
#include "services/contact/contact_fixture.h"
#include "services/contact/import_store.h"

namespace clm::contact {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::HasSubstr;

using Tweak = std::function<void(v1::ImportStart&)>;

absl::StatusOr<v1::ImportJob> Upload(ContactServer& server, v1::ImportJob::Kind kind,
                                     const std::string& file, const Tweak& tweak = {}) {
  grpc::ClientContext context;
  rpc::PrepareContext({.service = "clm-test", .token = ""}, absl::Seconds(60), &context);
  v1::ImportJob job;
  auto writer = server.imports->UploadImport(&context, &job);
  v1::UploadImportRequest message;
  message.mutable_start()->set_parent(kAcme);
  message.mutable_start()->mutable_import_job()->set_kind(kind);
  if (tweak) tweak(*message.mutable_start());
  writer->Write(message);
  // Odd pieces: rows and chunks do not meet.
  for (size_t at = 0; at < file.size(); at += 100'003) {
    message.set_chunk(file.substr(at, 100'003));
    if (!writer->Write(message)) break;
  }
  writer->WritesDone();
  const absl::Status status = rpc::FromGrpc(writer->Finish());
  if (!status.ok()) return status;
  return job;
}

absl::StatusOr<v1::ImportJob> AwaitEnd(ContactServer& server, const std::string& name) {
  v1::GetImportJobRequest request;
  request.set_name(name);
  absl::StatusOr<v1::ImportJob> job;
  EXPECT_TRUE(clm::testing::Eventually([&] {
    job = Call(*server.imports, &v1::ImportService::Stub::GetImportJob, request);
    return !job.ok() || job->state() > v1::ImportJob::STATE_RUNNING;
  }));
  return job;
}

// "read created updated unchanged failed"
std::string Counts(const v1::ImportJob& job) {
  return absl::StrCat(job.read_count(), " ", job.created_count(), " ", job.updated_count(), " ",
                      job.unchanged_count(), " ", job.failed_count());
}

constexpr char kRequestId[] = "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a";
// Without what tells of the import itself.
constexpr char kPeoplesJournal[] =
    "SELECT count(*) FROM journal WHERE type <> 'clm.contact.v1.ImportJobChanged'";

constexpr char kPeople[] =
    "email,first name,last name\n"
    "ada@example.com,Ada,Lovelace\n"
    "not an address,Bob,Nobody\n"
    "grace@example.com,Grace,Hopper\n";

class ImportTest : public ContactTest {
 protected:
  // Uploads and waits for the end.
  absl::StatusOr<v1::ImportJob> Import(v1::ImportJob::Kind kind, const std::string& file,
                                       const Tweak& tweak = {}) {
    const auto job = Upload(main_, kind, file, tweak);
    if (!job.ok()) return job.status();
    return AwaitEnd(main_, job->name());
  }
  absl::StatusOr<v1::ImportJob> People(const std::string& file, const Tweak& tweak = {}) {
    return Import(v1::ImportJob::KIND_CONTACTS, file, tweak);
  }
  // The states that the journal tells of a job, and who brought them about.
  std::string Records(const std::string& job) {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    std::vector<std::string> records;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) {
      const auto rows = tx.ExecDynamic(
          absl::StrCat("SELECT event FROM journal WHERE type = 'clm.contact.v1.ImportJobChanged' "
                       "AND subject = '",
                       job, "' ORDER BY off"));
      for (int i = 0; rows.ok() && i < rows->size(); ++i) {
        event::v1::Event event;
        v1::ImportJobChanged payload;
        EXPECT_TRUE(event.ParseFromString((*rows)[i].Bytes(0)) &&
                    payload.ParseFromString(event.payload()));
        EXPECT_EQ(payload.import_job(), job);
        records.push_back(
            absl::StrCat(v1::ImportJob::State_Name(payload.state()), " by ", event.actor()));
      }
      return rows.status();
    }));
    return absl::StrJoin(records, ", ");
  }
  std::string Errors(const std::string& job) {
    v1::ListImportErrorsRequest request;
    request.set_parent(job);
    request.set_page_size(1);
    std::string all;
    do {
      const auto page = Call(*main_.imports, &Imports::ListImportErrors, request);
      if (!page.ok()) return page.status().ToString();
      for (const auto& e : page->errors()) absl::StrAppend(&all, e.row(), ":", e.field(), " ");
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return all;
  }
};

TEST_F(ImportTest, EveryStatementFitsTheSchema) {
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  CLM_EXPECT_OK(pool->Prepare(ImportStatements()));
}

TEST_F(ImportTest, ABadRowDoesNotStopTheRest) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, People(kPeople));
  EXPECT_EQ(job.state(), v1::ImportJob::STATE_SUCCEEDED) << job.DebugString();
  EXPECT_EQ(Counts(job), "3 2 0 0 1");
  EXPECT_EQ(Errors(job.name()), "2:email ");
  EXPECT_EQ(job.done_bytes(), static_cast<int64_t>(sizeof(kPeople) - 1));
  EXPECT_EQ(Count("SELECT count(*) FROM contact WHERE family_name = 'Hopper'"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM import_chunk"), 0);
}

TEST_F(ImportTest, TheSameFileAgainChangesNothing) {
  CLM_ASSERT_OK(People(kPeople));
  const int64_t journal = Count(kPeoplesJournal);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, People(kPeople));
  EXPECT_EQ(Counts(again), "3 0 0 2 1");
  EXPECT_EQ(Count(kPeoplesJournal), journal);
  CLM_ASSERT_OK_AND_ASSIGN(const auto changed,
                           People("email,last name\nada@example.com,King\nada@example.com,King\n"));
  EXPECT_EQ(Counts(changed), "2 0 1 1 0");
}

TEST_F(ImportTest, AFileLargerThanABatchIsAppliedWhole) {
  std::string file = "email,given_name\n";
  for (int i = 0; i < 1700; ++i) {
    // Every row twice, at a distance: the second finds the first.
    absl::StrAppend(&file, "p", i % 850, "@example.com,", std::string(700, 'x').substr(0, 190),
                    "\n");
  }
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, People(file));
  EXPECT_EQ(Counts(job), "1700 850 0 850 0");
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 850);
  EXPECT_EQ(Count(kPeoplesJournal), 850);
}

TEST_F(ImportTest, TopicsBecomeSubscriptionsThatNobodyAskedFor) {
  v1::CreateTopicRequest topic;
  topic.set_parent(kAcme);
  topic.set_topic_id("news");
  topic.mutable_topic()->set_channel("email");
  topic.mutable_topic()->set_opt_in(v1::Topic::OPT_IN_SINGLE);
  CLM_ASSERT_OK(Call(*main_.consent, &Consent::CreateTopic, topic));
  const std::string file =
      "email,topics.news,topics.gone\n"
      "ada@example.com,subscribe,\n"
      "bob@example.com,unsubscribe,\n"
      "eve@example.com,subscribe,subscribe\n";
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, People(file));
  EXPECT_EQ(Counts(job), "3 2 0 0 1");
  EXPECT_EQ(Errors(job.name()), "3:topics.gone ");
  EXPECT_EQ(Count("SELECT count(*) FROM subscription WHERE state = 1 AND NOT explicit_act"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM subscription WHERE state = 3 AND explicit_act"), 1);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, People(file));
  EXPECT_EQ(Counts(again), "3 0 0 2 1");
}

TEST_F(ImportTest, EqualEventRowsAreTwoEventsAndTheFileAgainIsNone) {
  const std::string file =
      "email,type,occur_time,amount,currency\n"
      "ada@example.com,purchase,2026-03-01T10:00:00Z,12.50,EUR\n"
      "ada@example.com,purchase,2026-03-01T10:00:00Z,12.50,EUR\n"
      "ada@example.com,purchase,yesterday,12.50,EUR\n";
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, Import(v1::ImportJob::KIND_EVENTS, file));
  EXPECT_EQ(Counts(job), "3 2 0 0 1") << job.DebugString();
  EXPECT_EQ(Errors(job.name()), "3:occur_time ");
  EXPECT_EQ(Count("SELECT count(*) FROM event WHERE amount_minor = 1250"), 2);
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 1);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Import(v1::ImportJob::KIND_EVENTS, file));
  EXPECT_EQ(Counts(again), "3 0 0 2 1");
  EXPECT_EQ(Count("SELECT count(*) FROM event"), 2);
}

TEST_F(ImportTest, ValidationTellsErrorsAndChangesNothing) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, People(kPeople, [](auto& start) {
                             start.mutable_import_job()->set_validate_only(true);
                           }));
  EXPECT_EQ(Counts(job), "3 0 0 0 1");
  EXPECT_EQ(Errors(job.name()), "2:email ");
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 0);
}

TEST_F(ImportTest, EventRowsOfOnePersonUnderSeveralNamesAreOneContact) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto job,
                           Import(v1::ImportJob::KIND_EVENTS,
                                  "email,anonymous_id,type,occur_time\n"
                                  ",browser-77,page_view,2026-01-01T00:00:00Z\n"
                                  "ada@example.com,,page_view,2026-01-02T00:00:00Z\n"
                                  "ada@example.com,browser-77,page_view,2026-01-03T00:00:00Z\n"));
  EXPECT_EQ(job.state(), v1::ImportJob::STATE_SUCCEEDED) << job.DebugString();
  EXPECT_EQ(Counts(job), "3 3 0 0 0") << Errors(job.name());
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 1);
}

TEST_F(ImportTest, AnErasedAddressDoesNotReturn) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada, Create("ada@example.com"));
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, People(kPeople));
  EXPECT_EQ(Counts(job), "3 1 0 0 2");
  EXPECT_EQ(Count("SELECT count(*) FROM contact_identifier WHERE value = 'ada@example.com'"), 0);
}

TEST_F(ImportTest, ARepeatedUploadIsTheSameJob) {
  const auto with_id = [](auto& start) { start.set_request_id(kRequestId); };
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, People(kPeople, with_id));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, People(kPeople, with_id));
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_THAT(People("email\nx@example.com\n", with_id), ReasonIs("REQUEST_ID_REUSED"));
  EXPECT_EQ(Count("SELECT count(*) FROM import_job"), 1);
}

TEST_F(ImportTest, ARequestIdOfAnotherMethodIsRefused) {
  auto create = NewContact("ada@example.com");
  create.set_request_id(kRequestId);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::CreateContact, create));
  const auto with_id = [](auto& start) { start.set_request_id(kRequestId); };
  EXPECT_THAT(People(kPeople, with_id), ReasonIs("REQUEST_ID_REUSED"));
  EXPECT_EQ(Count("SELECT count(*) FROM contact"), 1);
}

TEST_F(ImportTest, TheCompleteFileAndTheEndAreOneRecordEach) {
  const auto with_id = [](auto& start) {
    start.set_request_id(kRequestId);
    start.mutable_import_job()->set_display_name("people-of-hastings.csv");
  };
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, People(kPeople, with_id));
  CLM_ASSERT_OK(People(kPeople, with_id));
  EXPECT_EQ(Records(job.name()), "STATE_RUNNING by clm-test, STATE_SUCCEEDED by clm-test");
  EXPECT_EQ(TablesWith("people-of-hastings"), "import_job request");
  CLM_ASSERT_OK_AND_ASSIGN(const auto failed, People(std::string("\x00\x01\x02\x7f garbage", 12)));
  EXPECT_EQ(Records(failed.name()), "STATE_RUNNING by clm-test, STATE_FAILED by clm-test");
}

TEST_F(ImportTest, AFileThatIsNoTableFails) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, People(std::string("\x00\x01\x02\x7f garbage", 12)));
  EXPECT_EQ(job.state(), v1::ImportJob::STATE_FAILED);
  EXPECT_NE(job.error().message(), "");
  EXPECT_EQ(Count("SELECT count(*) FROM import_chunk"), 0);
}

TEST_F(ImportTest, AWrongDescriptionIsRefusedByField) {
  EXPECT_THAT(
      People(kPeople, [](auto& start) { start.mutable_import_job()->set_key("shoe size"); }),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("start.import_job.key")));
  EXPECT_EQ(Count("SELECT count(*) FROM import_job"), 0);
}

TEST_F(ImportTest, JobsAreListedNewestFirstAndOfTheirTenantOnly) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto older, People(kPeople));
  CLM_ASSERT_OK_AND_ASSIGN(const auto newer, People(kPeople));
  v1::ListImportJobsRequest list;
  list.set_parent(kAcme);
  list.set_page_size(1);
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Call(*main_.imports, &Imports::ListImportJobs, list));
  list.set_page_token(first.next_page_token());
  CLM_ASSERT_OK_AND_ASSIGN(const auto second, Call(*main_.imports, &Imports::ListImportJobs, list));
  EXPECT_EQ(first.import_jobs(0).name(), newer.name());
  EXPECT_EQ(second.import_jobs(0).name(), older.name());
  EXPECT_EQ(second.next_page_token(), "");
  list.clear_page_token();
  list.set_parent(kGlobex);
  CLM_ASSERT_OK_AND_ASSIGN(const auto other, Call(*main_.imports, &Imports::ListImportJobs, list));
  EXPECT_EQ(other.import_jobs_size(), 0);
}

// A job that a process left in the middle.
class BrokenOffTest : public ImportTest {
 protected:
  BrokenOffTest() : pool_(pg::NewPool({.dsn = database_.app_dsn, .size = 2})), store_(pool_.get()) {
    // Jobs are to stay broken off until a test starts another process.
    main_.server.reset();
    job_.key = {"acme", Uuid::V7(absl::Now())};
    job_.kind = ImportKind::kContacts;
    job_.key_field = "email";
    job_.create_time = absl::Now();
    job_.actor = "test";
  }
  absl::Status Send(const std::string& file) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    const auto begun = store_.Begin(job_, dead_, deadline);
    if (!begun.ok()) return begun.status();
    absl::Status added = store_.AddChunk(job_.key, dead_, 0, file, deadline);
    if (!added.ok()) return added;
    return SealAs(dead_, static_cast<int64_t>(file.size()));
  }
  absl::Status SealAs(const Uuid& owner, int64_t size_bytes) {
    return pool_->Transact({pg::Scope::Tenant(job_.key.tenant)}, [&](pg::Tx& tx) -> absl::Status {
      CLM_ASSIGN_OR_RETURN(const auto before, LockImportJob(tx, job_.key));
      CLM_ASSIGN_OR_RETURN(const ImportJob after,
                           Seal(before.value_or(job_), owner, "hash", size_bytes));
      return SaveImportJob(tx, after);
    });
  }
  std::string name() const { return EntityName(kImportJobs, job_.key); }

  const std::unique_ptr<pg::Pool> pool_;
  ImportStore store_;
  ImportJob job_;
  const Uuid dead_ = Uuid::V7(absl::Now());
};

TEST_F(BrokenOffTest, AnotherProcessGoesOnBehindTheLastRowThatIsDone) {
  CLM_ASSERT_OK(Send("email\na@example.com\nb@example.com\nc@example.com\n"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto claimed, store_.Claim(dead_, absl::Milliseconds(300)));
  ASSERT_TRUE(claimed.has_value());
  ImportProgress progress;
  progress.job = job_.key;
  progress.owner = dead_;
  progress.counts = {2, 2, 0, 0, 0};
  progress.lease = absl::Milliseconds(300);
  CLM_ASSERT_OK(store_.SaveProgress(progress));
  // The same batch again does not count again.
  EXPECT_TRUE(IsFenced(store_.SaveProgress(progress)));

  ContactServer server(database_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, AwaitEnd(server, name()));
  EXPECT_EQ(Counts(job), "3 3 0 0 0");
  v1::ListContactsRequest list;
  list.set_parent(kAcme);
  CLM_ASSERT_OK_AND_ASSIGN(const auto contacts,
                           Call(*server.contacts, &v1::ContactService::Stub::ListContacts, list));
  ASSERT_EQ(contacts.contacts_size(), 1);
  EXPECT_EQ(contacts.contacts(0).email(), "c@example.com");
  // Whoever was taken for dead has lost the job.
  progress.first_row = 3;
  EXPECT_TRUE(IsFenced(store_.SaveProgress(progress)));
}

TEST_F(BrokenOffTest, ACancelledJobTakesNoMoreRows) {
  CLM_ASSERT_OK(Send("email\na@example.com\n"));
  CLM_ASSERT_OK(store_.Claim(dead_, absl::Minutes(5)));
  ContactServer server(database_);
  v1::CancelImportJobRequest cancel;
  cancel.set_name(name());
  for (int twice = 0; twice < 2; ++twice) {
    CLM_ASSERT_OK_AND_ASSIGN(
        const auto job, Call(*server.imports, &v1::ImportService::Stub::CancelImportJob, cancel));
    EXPECT_EQ(job.state(), v1::ImportJob::STATE_CANCELLED);
  }
  ImportProgress progress;
  progress.job = job_.key;
  progress.owner = dead_;
  progress.counts.read = 1;
  EXPECT_TRUE(IsFenced(store_.SaveProgress(progress)));
  EXPECT_EQ(Records(name()), "STATE_CANCELLED by clm-test");
  EXPECT_EQ(Count("SELECT count(*) FROM import_chunk"), 0);
}

TEST_F(BrokenOffTest, ARepeatedCancellationIsAnsweredAsTheFirstTime) {
  CLM_ASSERT_OK(Send("email\na@example.com\n"));
  CLM_ASSERT_OK(store_.Claim(dead_, absl::Minutes(5)));
  ContactServer server(database_);
  v1::CancelImportJobRequest cancel;
  cancel.set_name(name());
  cancel.set_request_id(kRequestId);
  bool replayed = true;
  CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                           Call(*server.imports, &Imports::CancelImportJob, cancel, &replayed));
  EXPECT_FALSE(replayed);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again,
                           Call(*server.imports, &Imports::CancelImportJob, cancel, &replayed));
  EXPECT_TRUE(replayed);
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Records(name()), "STATE_CANCELLED by clm-test");
  cancel.set_name(EntityName(kImportJobs, {"acme", dead_}));
  EXPECT_THAT(Call(*server.imports, &Imports::CancelImportJob, cancel),
              ReasonIs("REQUEST_ID_REUSED"));
  cancel.clear_request_id();
  EXPECT_THAT(Call(*server.imports, &Imports::CancelImportJob, cancel),
              StatusIs(StatusCode::kNotFound));
}

TEST_F(BrokenOffTest, AJobThatHasEndedCannotBeCancelled) {
  CLM_ASSERT_OK(Send("email\na@example.com\n"));
  ContactServer server(database_);
  CLM_ASSERT_OK(AwaitEnd(server, name()));
  v1::CancelImportJobRequest cancel;
  cancel.set_name(name());
  EXPECT_THAT(Call(*server.imports, &Imports::CancelImportJob, cancel), ReasonIs("IMPORT_ENDED"));
  EXPECT_EQ(Records(name()), "STATE_SUCCEEDED by test");
}

TEST_F(BrokenOffTest, AnUploadThatWasBrokenOffBeginsAnew) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  CLM_ASSERT_OK_AND_ASSIGN(const auto begun, store_.Begin(job_, dead_, deadline));
  EXPECT_FALSE(begun.has_value());
  CLM_ASSERT_OK(store_.AddChunk(job_.key, dead_, 0, "email\nhalf@exam", deadline));
  const Uuid alive = Uuid::V7(absl::Now());
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, store_.Begin(job_, alive, deadline));
  EXPECT_FALSE(again.has_value());
  EXPECT_TRUE(IsFenced(store_.AddChunk(job_.key, dead_, 1, "ple.com\n", deadline)));
  CLM_ASSERT_OK(store_.AddChunk(job_.key, alive, 0, "email\nwhole@example.com\n", deadline));
  CLM_ASSERT_OK(SealAs(alive, 24));
  ContactServer server(database_);
  CLM_ASSERT_OK_AND_ASSIGN(const auto job, AwaitEnd(server, name()));
  EXPECT_EQ(Counts(job), "1 1 0 0 0");
}

}  // namespace
}  // namespace clm::contact
