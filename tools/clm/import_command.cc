#include "tools/clm/import_command.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "clm/contact/v1/import_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/time_text.h"
#include "libs/base/uuid.h"
#include "services/contact/cdnow_file.h"
#include "tools/clm/insights_command.h"
#include "tools/clm/sender.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"
#include "tools/terminal/progress.h"

namespace clm::cli {
namespace {

constexpr size_t kLanes = 4;
constexpr int kContactsPerRequest = 500;
constexpr int kEventsPerRequest = 1000;
constexpr size_t kChunk = 256 * 1024;
constexpr int kErrorsShown = 5;
constexpr char kIdType[] = "cdnow";
constexpr char kPreset[] = "non-contractual";
// Space of the event ids of CDNOW imports (RFC 9562, version 5).
constexpr char kCdnowSpace[] = "5d2c3c0e-6f0e-5b8e-9a51-2f6b7c1d4e90";

struct CdnowFlags {
  std::string file, model = kPreset, errors;
  int at_risk_days = 90, lapsed_days = 180;
  bool wait = true;
};

struct Customer {
  std::string id;    // In the file.
  std::string name;  // Of the contact, once known.
  std::vector<contact::CdnowPurchase> purchases;
};

struct CdnowFile {
  std::vector<Customer> customers;  // In order of their first line.
  std::vector<contact::CdnowPurchase> refused;
  int64_t purchases = 0;
};

absl::StatusOr<CdnowFile> ReadCdnow(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path)) {
    return error::InvalidField("FILE", absl::StrCat(path, ": cannot be read"));
  }
  CdnowFile file;
  absl::flat_hash_map<std::string, size_t> index;
  const auto sink = [&](const contact::CdnowPurchase& purchase) {
    if (!purchase.status.ok()) {
      file.refused.push_back(purchase);
      return;
    }
    const auto [it, fresh] = index.try_emplace(purchase.customer, file.customers.size());
    if (fresh) file.customers.push_back({.id = purchase.customer});
    file.customers[it->second].purchases.push_back(purchase);
    ++file.purchases;
  };
  contact::CdnowReader reader;
  std::string chunk(kChunk, '\0');
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0) {
    reader.Feed({chunk.data(), static_cast<size_t>(in.gcount())}, sink);
  }
  reader.Finish(sink);
  if (file.purchases == 0) {
    const std::string first = file.refused.empty()
                                  ? "it is empty"
                                  : absl::StrCat("line ", file.refused.front().line, ": ",
                                                 file.refused.front().status.message());
    return error::InvalidField("FILE",
                               absl::StrCat(path, ": has no purchase in a CDNOW form; ", first));
  }
  return file;
}

// Makes the stage model of customers without a contract, unless the tenant has it.
absl::Status InstallModel(Cli& cli, const CdnowFlags& flags) {
  lifecycle::v1::InstallPresetRequest request;
  request.set_parent(cli.tenant_name());
  request.set_preset(kPreset);
  request.set_stage_model_id(flags.model);
  request.set_enable_rules(true);
  (*request.mutable_parameters())["at_risk_days"] = flags.at_risk_days;
  (*request.mutable_parameters())["lapsed_days"] = flags.lapsed_days;
  const auto made = cli.Call(&lifecycle::v1::LifecycleService::Stub::InstallPreset, request);
  if (made.ok()) {
    cli.Note(absl::StrCat("installed the stage model ", flags.model));
    return absl::OkStatus();
  }
  if (made.status().code() == absl::StatusCode::kAlreadyExists) {
    cli.Note(absl::StrCat("the stage model ", flags.model, " is there already; it stays as it is"));
    return absl::OkStatus();
  }
  return made.status();
}

class CdnowImport {
 public:
  CdnowImport(Cli& cli, CdnowFile& file, terminal::Format format)
      : cli_(cli), file_(file), format_(format) {}

  absl::Status SendContacts() {
    terminal::Progress progress("customers", static_cast<int64_t>(file_.customers.size()), format_,
                                cli_.error_screen(), clock_, std::cerr);
    int64_t done = 0;
    Sender sender(kLanes);
    size_t lane = 0;
    for (size_t begin = 0; begin < file_.customers.size(); begin += kContactsPerRequest) {
      const size_t end = std::min(begin + kContactsPerRequest, file_.customers.size());
      CLM_RETURN_IF_ERROR(sender.Post(lane++ % kLanes, [this, begin, end, &progress, &done] {
        CLM_RETURN_IF_ERROR(SendContactsOf(begin, end));
        absl::MutexLock lock(&mu_);
        done += static_cast<int64_t>(end - begin);
        progress.Update(done, {{"new", created_}});
        return absl::OkStatus();
      }));
    }
    return sender.Wait();
  }

  absl::Status SendPurchases() {
    terminal::Progress progress("purchases", file_.purchases, format_, cli_.error_screen(), clock_,
                                std::cerr);
    const Uuid space = Uuid::V5(*Uuid::Parse(kCdnowSpace), cli_.tenant());
    // Customers of one shard together and on one lane: a request then locks few shards, and nobody
    // waits for another request's.
    std::map<int, std::vector<const Customer*>> shards;
    for (const Customer& customer : file_.customers) {
      const auto key = ParseEntityName("contact", "contacts", customer.name);
      CLM_RETURN_IF_ERROR(key.status());
      shards[ShardOf(key->tenant, key->id)].push_back(&customer);
    }
    std::vector<contact::v1::IngestEventsRequest> open(kLanes);
    Sender sender(kLanes);
    int64_t done = 0;
    const auto post = [&](size_t lane) {
      auto request = std::make_shared<contact::v1::IngestEventsRequest>();
      request->Swap(&open[lane]);
      request->set_parent(cli_.tenant_name());
      return sender.Post(lane, [this, request, &progress, &done] {
        CLM_RETURN_IF_ERROR(SendEvents(*request));
        absl::MutexLock lock(&mu_);
        done += request->events_size();
        progress.Update(done, {{"known", known_}});
        return absl::OkStatus();
      });
    };
    for (const auto& [shard, customers] : shards) {
      const size_t lane = static_cast<size_t>(shard) % kLanes;
      for (const Customer* customer : customers) {
        for (const contact::CdnowPurchase& purchase : customer->purchases) {
          FillEvent(space, *customer, purchase, open[lane].add_events());
          if (open[lane].events_size() == kEventsPerRequest) CLM_RETURN_IF_ERROR(post(lane));
        }
      }
    }
    for (size_t lane = 0; lane < kLanes; ++lane) {
      if (open[lane].events_size() > 0) CLM_RETURN_IF_ERROR(post(lane));
    }
    return sender.Wait();
  }

  int64_t created() const { return created_; }
  int64_t known() const { return known_; }

 private:
  absl::Status SendContactsOf(size_t begin, size_t end) {
    contact::v1::BatchUpsertContactsRequest request;
    request.set_parent(cli_.tenant_name());
    for (size_t i = begin; i < end; ++i) {
      const Customer& customer = file_.customers[i];
      auto* upsert = request.add_requests();
      upsert->set_key(absl::StrCat("external_ids.", kIdType));
      (*upsert->mutable_contact()->mutable_external_ids())[kIdType] = customer.id;
      upsert->mutable_contact()->set_source(kIdType);
      absl::CivilDay first = customer.purchases.front().day;
      for (const auto& purchase : customer.purchases) first = std::min(first, purchase.day);
      SetTime(absl::FromCivil(first, absl::UTCTimeZone()),
              upsert->mutable_contact()->mutable_create_time());
    }
    CLM_ASSIGN_OR_RETURN(const auto response, UpsertContacts(cli_, std::move(request)));
    int64_t created = 0;
    for (size_t i = begin; i < end; ++i) {
      const auto& result = response.results(static_cast<int>(i - begin));
      CLM_RETURN_IF_ERROR(StatusOf(result.status()));
      file_.customers[i].name = result.contact();
      if (result.created()) ++created;
    }
    absl::MutexLock lock(&mu_);
    created_ += created;
    return absl::OkStatus();
  }

  static void FillEvent(const Uuid& space, const Customer& customer,
                        const contact::CdnowPurchase& purchase, contact::v1::BehaviorEvent* event) {
    event->set_event_id(
        Uuid::V5(space, absl::StrCat("cdnow/", purchase.customer, "/", purchase.ordinal))
            .ToString());
    event->set_contact(customer.name);
    event->set_type("purchase");
    SetTime(absl::FromCivil(purchase.day, absl::UTCTimeZone()), event->mutable_occur_time());
    event->set_amount_minor(purchase.amount_cents);
    event->set_currency("USD");
    event->set_quantity(purchase.pieces);
  }

  absl::Status SendEvents(const contact::v1::IngestEventsRequest& request) {
    CLM_ASSIGN_OR_RETURN(const auto response, IngestEvents(cli_, request));
    int64_t known = 0;
    for (const auto& result : response.results()) {
      CLM_RETURN_IF_ERROR(StatusOf(result.status()));
      if (result.duplicate()) ++known;
    }
    absl::MutexLock lock(&mu_);
    known_ += known;
    return absl::OkStatus();
  }

  Cli& cli_;
  CdnowFile& file_;
  const terminal::Format format_;
  const SystemClock clock_;
  absl::Mutex mu_;
  int64_t created_ = 0, known_ = 0;
};

absl::Status WriteRefused(const CdnowFlags& flags, const CdnowFile& file, const Cli& cli) {
  for (size_t i = 0; i < file.refused.size() && i < kErrorsShown; ++i) {
    cli.Note(absl::StrCat("line ", file.refused[i].line, ": ", file.refused[i].status.message()));
  }
  if (file.refused.size() > kErrorsShown && flags.errors.empty()) {
    cli.Note(absl::StrCat("and ", file.refused.size() - kErrorsShown,
                          " more; --errors FILE writes them all"));
  }
  if (flags.errors.empty()) return absl::OkStatus();
  terminal::Table table({{"line"}, {"error"}});
  for (const auto& refused : file.refused) {
    table.Add({refused.line, std::string(refused.status.message())});
  }
  std::ofstream out(flags.errors);
  terminal::Write(table, terminal::Format::kCsv, {}, out);
  out.flush();
  if (out) return absl::OkStatus();
  return error::InvalidField("--errors", absl::StrCat(flags.errors, ": cannot be written"));
}

absl::Status ImportCdnow(Cli& cli, const CdnowFlags& flags) {
  const absl::Time begin = absl::Now();
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  if (flags.lapsed_days <= flags.at_risk_days) {
    return error::InvalidField("--lapsed-days", "must be more than --at-risk-days");
  }
  CLM_ASSIGN_OR_RETURN(CdnowFile file, ReadCdnow(flags.file));
  CLM_RETURN_IF_ERROR(WriteRefused(flags, file, cli));
  CLM_RETURN_IF_ERROR(EnsureTenant(cli));
  // Before the first event, so that the rules judge every one of them.
  CLM_RETURN_IF_ERROR(InstallModel(cli, flags));
  const int64_t before = CountPurchases(cli);
  CdnowImport import(cli, file, format);
  CLM_RETURN_IF_ERROR(import.SendContacts());
  CLM_RETURN_IF_ERROR(import.SendPurchases());
  if (flags.wait)
    CLM_RETURN_IF_ERROR(
        AwaitLifecycle(cli, std::max(file.purchases, before + file.purchases - import.known())));

  terminal::Table table({{"customers"},
                         {"purchases"},
                         {"skipped_rows", "SKIPPED ROWS"},
                         {"new_customers", "NEW CUSTOMERS"},
                         {"new_purchases", "NEW PURCHASES"},
                         {"model"},
                         {"took"}});
  table.Add({static_cast<int64_t>(file.customers.size()), file.purchases,
             static_cast<int64_t>(file.refused.size()), import.created(),
             file.purchases - import.known(), flags.model, absl::Now() - begin});
  terminal::WriteOne(table, format, cli.screen(), std::cout);
  if (!flags.wait || (format != terminal::Format::kTable && format != terminal::Format::kWide)) {
    return absl::OkStatus();
  }
  absl::CivilDay first = absl::CivilDay::max();
  absl::CivilDay last = absl::CivilDay::min();
  for (const Customer& customer : file.customers) {
    for (const auto& purchase : customer.purchases) {
      first = std::min(first, purchase.day);
      last = std::max(last, purchase.day);
    }
  }
  // The table of what the file covers: its months, complete ones only.
  std::cout << "\n";
  const absl::Status shown =
      ShowCohorts(cli, absl::FromCivil(absl::CivilMonth(first), absl::UTCTimeZone()),
                  absl::FromCivil(absl::CivilMonth(last) + 1, absl::UTCTimeZone()), "USD");
  if (shown.code() == absl::StatusCode::kUnimplemented) return absl::OkStatus();
  return shown;
}

struct JobFlags {
  std::string file, format, key, source, topic, currency, errors;
  std::vector<std::string> columns;
  bool dry_run = false, wait = true;
};

terminal::Table JobTable(const std::vector<contact::v1::ImportJob>& jobs) {
  terminal::Table table({{"name", "JOB"},
                         {"display_name", "FILE"},
                         {"state"},
                         {"read_rows", "READ"},
                         {"created"},
                         {"updated"},
                         {"unchanged"},
                         {"failed"},
                         {"error"}});
  table.set_empty_text("no imports");
  for (const auto& job : jobs) {
    table.Add({LastPart(job.name()), job.display_name(),
               EnumText("STATE_", contact::v1::ImportJob::State_Name(job.state())),
               job.read_count(), job.created_count(), job.updated_count(), job.unchanged_count(),
               terminal::Cell(job.failed_count(), job.failed_count() > 0 ? terminal::Tone::kWarn
                                                                         : terminal::Tone::kPlain),
               TextCell(job.error().message())});
  }
  return table;
}

bool Ended(const contact::v1::ImportJob& job) {
  return job.state() == contact::v1::ImportJob::STATE_SUCCEEDED ||
         job.state() == contact::v1::ImportJob::STATE_FAILED ||
         job.state() == contact::v1::ImportJob::STATE_CANCELLED;
}

absl::StatusOr<contact::v1::ImportJob> Upload(Cli& cli, const JobFlags& flags,
                                              contact::v1::ImportJob::Kind kind) {
  std::ifstream in(flags.file, std::ios::binary);
  if (!in || std::filesystem::is_directory(flags.file)) {
    return error::InvalidField("FILE", absl::StrCat(flags.file, ": cannot be read"));
  }
  contact::v1::UploadImportRequest message;
  contact::v1::ImportStart* start = message.mutable_start();
  start->set_parent(cli.tenant_name());
  start->set_request_id(Uuid::V7(absl::Now()).ToString());
  contact::v1::ImportJob* job = start->mutable_import_job();
  job->set_display_name(std::filesystem::path(flags.file).filename().string());
  job->set_kind(kind);
  job->set_key(flags.key);
  job->set_source(flags.source);
  job->set_topic(flags.topic);
  job->set_currency(flags.currency);
  job->set_validate_only(flags.dry_run);
  if (flags.format == "csv") job->set_format(contact::v1::ImportJob::FORMAT_CSV);
  if (flags.format == "ndjson") job->set_format(contact::v1::ImportJob::FORMAT_NDJSON);
  CLM_ASSIGN_OR_RETURN(const auto columns, ParsePairs("--column", flags.columns));
  for (const auto& [column, field] : columns) (*job->mutable_columns())[column] = field;

  CLM_ASSIGN_OR_RETURN(const auto channel, cli.Channel("contact"));
  const auto stub = contact::v1::ImportService::NewStub(channel);
  grpc::ClientContext context;
  cli.Prepare(absl::Minutes(10), &context);
  contact::v1::ImportJob made;
  const auto writer = stub->UploadImport(&context, &made);
  // A refusal ends the stream early; Finish then tells why.
  bool open = writer->Write(message);
  std::string chunk(kChunk, '\0');
  while (open &&
         (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0)) {
    message.set_chunk(chunk.substr(0, static_cast<size_t>(in.gcount())));
    open = writer->Write(message);
  }
  writer->WritesDone();
  CLM_RETURN_IF_ERROR(rpc::FromGrpc(writer->Finish()));
  return made;
}

absl::Status SaveErrors(Cli& cli, const contact::v1::ImportJob& job, const std::string& path) {
  contact::v1::ListImportErrorsRequest request;
  request.set_parent(job.name());
  CLM_ASSIGN_OR_RETURN(const std::vector<contact::v1::ImportError> errors,
                       cli.List(&contact::v1::ImportService::Stub::ListImportErrors, request,
                                &contact::v1::ListImportErrorsResponse::errors, 0));
  terminal::Table table({{"row"}, {"field"}, {"reason"}});
  for (const auto& e : errors) table.Add({e.row(), TextCell(e.field()), e.reason()});
  std::ofstream out(path);
  terminal::Write(table, terminal::Format::kCsv, {}, out);
  out.flush();
  if (out) return absl::OkStatus();
  return error::InvalidField("--errors", absl::StrCat(path, ": cannot be written"));
}

absl::Status ImportJobOf(Cli& cli, const JobFlags& flags, contact::v1::ImportJob::Kind kind) {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  CLM_RETURN_IF_ERROR(EnsureTenant(cli));
  CLM_ASSIGN_OR_RETURN(contact::v1::ImportJob job, Upload(cli, flags, kind));
  if (flags.wait) {
    const SystemClock clock;
    terminal::Progress progress("rows", 0, format, cli.error_screen(), clock, std::cerr);
    contact::v1::GetImportJobRequest request;
    request.set_name(job.name());
    while (!Ended(job)) {
      absl::SleepFor(absl::Milliseconds(100));
      CLM_RETURN_IF_ERROR(Persist(cli, [&] {
        auto now = cli.Call(&contact::v1::ImportService::Stub::GetImportJob, request);
        if (now.ok()) job = *std::move(now);
        return now.status();
      }));
      progress.Update(job.read_count(), {{"failed", job.failed_count()}});
    }
  }
  CLM_RETURN_IF_ERROR(cli.Print({&job}, false, [&] { return JobTable({job}); }));
  if (!flags.errors.empty()) CLM_RETURN_IF_ERROR(SaveErrors(cli, job, flags.errors));
  if (job.state() != contact::v1::ImportJob::STATE_FAILED) return absl::OkStatus();
  return StatusOf(job.error());
}

void AddJobCommand(Cli& cli, Command group, const char* name, const char* description,
                   const std::vector<std::string>& examples, contact::v1::ImportJob::Kind kind) {
  auto flags = std::make_shared<JobFlags>();
  Command command = cli.AddCommand(group, name, description, examples,
                                   [&cli, flags, kind] { return ImportJobOf(cli, *flags, kind); });
  command.AddOption("FILE", flags->file, "CSV with a header line, or NDJSON").Required();
  command.AddOption("--format", flags->format, "told by the content otherwise")
      .OneOf({"csv", "ndjson"});
  command.AddOption("--column", flags->columns, "which field a column is; may be repeated")
      .TypeName("COLUMN=FIELD");
  command.AddOption("--key", flags->key, "email, phone or external_ids.TYPE; default: email");
  command.AddOption("--source", flags->source, "recorded with new contacts");
  if (kind == contact::v1::ImportJob::KIND_CONTACTS) {
    command.AddOption("--topic", flags->topic,
                      "id of the topic that a column \"action\" (subscribe, unsubscribe) is about");
  } else {
    command.AddOption("--currency", flags->currency, "of amounts in rows that name none: EUR");
  }
  command.AddOption("--errors", flags->errors, "write the refused rows to a CSV file");
  command.AddFlag("--dry-run", flags->dry_run, "check every row, change nothing");
  command.AddFlag("--wait,!--no-wait", flags->wait, "until the job has ended");
}

}  // namespace

void AddImportCommands(Cli& cli) {
  Command group = cli.AddGroup("import", "Bring files in; the same file twice changes nothing");
  auto cdnow = std::make_shared<CdnowFlags>();
  Command command = cli.AddCommand(
      group, "cdnow", "Import the purchase log of the CD shop CDNOW and report its lifecycle",
      {"clm import cdnow CDNOW_sample.txt",
       "clm import cdnow CDNOW_master.txt --at-risk-days 120 --lapsed-days 240 --no-wait"},
      [&cli, cdnow] { return ImportCdnow(cli, *cdnow); });
  command.AddOption("FILE", cdnow->file, "sample or master file").Required();
  command.AddOption("--model", cdnow->model, "id of the stage model to make").ShowDefault();
  command
      .AddOption("--at-risk-days", cdnow->at_risk_days, "silence after which a customer is at risk")
      .Between(1, 36500)
      .ShowDefault();
  command
      .AddOption("--lapsed-days", cdnow->lapsed_days, "silence after which a customer has lapsed")
      .Between(1, 36500)
      .ShowDefault();
  command.AddOption("--errors", cdnow->errors, "write the refused lines to a CSV file");
  command.AddFlag("--wait,!--no-wait", cdnow->wait, "until the stages are known");

  AddJobCommand(
      cli, group, "contacts", "Import contacts from CSV or NDJSON",
      {"clm import contacts people.csv --key external_ids.user_id --column ID=external_ids.user_id",
       "clm import contacts people.ndjson --dry-run --errors bad-rows.csv"},
      contact::v1::ImportJob::KIND_CONTACTS);
  AddJobCommand(cli, group, "events", "Import behaviour events from CSV or NDJSON",
                {"clm import events orders.csv --key email"}, contact::v1::ImportJob::KIND_EVENTS);
  auto limit = std::make_shared<int64_t>(50);
  cli.AddCommand(group, "jobs", "List the imports, newest first", {"clm import jobs"},
                 [&cli, limit]() -> absl::Status {
                   contact::v1::ListImportJobsRequest request;
                   request.set_parent(cli.tenant_name());
                   CLM_ASSIGN_OR_RETURN(
                       const std::vector<contact::v1::ImportJob> jobs,
                       cli.List(&contact::v1::ImportService::Stub::ListImportJobs, request,
                                &contact::v1::ListImportJobsResponse::import_jobs, *limit));
                   return cli.Print(Pointers(jobs), true, [&] { return JobTable(jobs); });
                 })
      .AddOption("--limit", *limit, "most to show; 0: all")
      .ShowDefault();
  auto job = std::make_shared<std::string>();
  cli.AddCommand(group, "cancel", "Stop an import; rows already applied stay",
                 {"clm import cancel 0190f3c2-7a51-7c3e-9f10-3f6b2c1d4e90"},
                 [&cli, job]() -> absl::Status {
                   contact::v1::CancelImportJobRequest request;
                   request.set_name(cli.Name("importJobs", *job));
                   CLM_ASSIGN_OR_RETURN(
                       const contact::v1::ImportJob stopped,
                       cli.Call(&contact::v1::ImportService::Stub::CancelImportJob, request));
                   return cli.Print({&stopped}, false, [&] { return JobTable({stopped}); });
                 })
      .AddOption("JOB", *job, "as clm import jobs shows it")
      .Required();
}

}  // namespace clm::cli
