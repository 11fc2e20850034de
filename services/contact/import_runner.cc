#include "services/contact/import_runner.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "libs/obs/log.h"
#include "services/contact/consent_handlers.h"
#include "services/contact/contact_mutation.h"
#include "services/contact/import_file.h"
#include "services/contact/import_handlers.h"
#include "services/contact/import_map.h"
#include "services/contact/ingest.h"
#include "services/contact/upsert.h"

namespace clm::contact {
namespace {

constexpr absl::Duration kBatchTimeout = absl::Seconds(30);
constexpr int kTransientTries = 8;

// One row on its way.
struct Row {
  int64_t number = 0;
  absl::Status status;  // Refused already.
  ContactRow contact;
  EventRow event;
  EntityKey target;  // Of a contact row, once it is known.
};
using Rows = std::vector<Row>;

// The run of one job. Used by one thread.
class ImportRun {
 public:
  ImportRun(const ImportRunner::Options& options, const ImportJob& job, const Uuid& owner,
            std::function<bool()> stopping)
      : options_(options),
        parts_(options.parts),
        job_(job),
        owner_(owner),
        stopping_(std::move(stopping)),
        done_row_(job.counts.read) {}

  // OK when the job has ended, one way or the other; else it is to be taken up again.
  absl::Status Run() {
    CLM_ASSIGN_OR_RETURN(const auto registry, parts_.reader->Registry(job_.key.tenant, Deadline()));
    CLM_ASSIGN_OR_RETURN(policy_,
                         parts_.policies->Get(job_.key.tenant, options_.clock->Now(), Deadline()));
    ContactRules rules;
    rules.normalize.policy = policy_.get();
    rules.registry = registry.get();
    mapper_ = std::make_unique<ImportMapper>(OptionsOf(job_), rules,
                                             Uuid::V5(Uuid(), "events/" + job_.key.tenant));
    ReaderOptions reader_options;
    reader_options.format = job_.format;
    const auto reader = MakeImportReader(reader_options);
    const auto sink = [this](const ImportRecord& record) { Take(record); };
    absl::Status file;
    for (int seq = 0; file.ok(); ++seq) {
      if (stopping_()) return Stopped();
      CLM_ASSIGN_OR_RETURN(const auto chunk,
                           options_.store->ReadChunk(job_.key, owner_, seq, options_.lease));
      if (!chunk) break;
      file = reader->Feed(*chunk, sink);
      fed_bytes_ += static_cast<int64_t>(chunk->size());
      CLM_RETURN_IF_ERROR(ApplyPending(/*all=*/false));
    }
    if (file.ok()) file = reader->Finish(sink);
    CLM_RETURN_IF_ERROR(ApplyPending(/*all=*/true));
    return Finish(file);
  }

 private:
  static absl::Time Deadline() { return absl::Now() + kBatchTimeout; }
  static absl::Status Stopped() {
    return error::Unavailable("SHUTTING_DOWN", "this process is stopping", absl::ZeroDuration());
  }

  void Take(const ImportRecord& record) {
    const bool done = record.number <= done_row_;
    // Rows of events count even when they are done: equal ones are told apart by their order.
    if (done && job_.kind == ImportKind::kContacts) return;
    Row row;
    row.number = record.number;
    if (job_.kind == ImportKind::kContacts) {
      auto mapped = mapper_->MapContact(record, options_.clock->Now());
      row.status = mapped.status();
      if (mapped.ok()) row.contact = *std::move(mapped);
    } else {
      auto mapped = mapper_->MapEvent(record, options_.clock->Now());
      row.status = mapped.status();
      if (mapped.ok()) row.event = *std::move(mapped);
    }
    if (!done) pending_.push_back(std::move(row));
  }

  // `file`: whether it could be read to its end.
  absl::Status Finish(const absl::Status& file) {
    journal::MutationInfo info = Info();
    info.shards.set(ShardOf(job_.key.tenant, job_.key.id));
    return parts_.lanes
        ->Run<ContactWork>(
            std::move(info), [&](ContactWork& work) { work.NeedImportJob(job_.key); },
            [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
              const ImportJob* before = work.FindImportJob(job_.key);
              if (before == nullptr) return FencedImport();
              CLM_ASSIGN_OR_RETURN(
                  const ImportJob after,
                  End(*before, owner_, file.ok() ? ImportState::kSucceeded : ImportState::kFailed,
                      file, recorder.now()));
              SaveImportJob(work, recorder, after);
              return std::string();
            })
        .status();
  }

  // Full batches, and with `all` the rest.
  absl::Status ApplyPending(bool all) {
    const size_t size = static_cast<size_t>(options_.batch);
    size_t begin = 0;
    while (pending_.size() - begin >= size || (all && begin < pending_.size())) {
      if (stopping_()) return Stopped();
      const size_t end = std::min(begin + size, pending_.size());
      Rows batch(std::make_move_iterator(pending_.begin() + static_cast<ptrdiff_t>(begin)),
                 std::make_move_iterator(pending_.begin() + static_cast<ptrdiff_t>(end)));
      CLM_RETURN_IF_ERROR(Apply(batch));
      Failpoint("import.batch");
      begin = end;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(begin));
    return absl::OkStatus();
  }

  // Applies rows and records that they are done. What fails for reasons of its own, or again and
  // again finds that its contact has become another, is split until it is a row that fails alone;
  // that row is refused.
  absl::Status Apply(Rows& rows) {
    absl::Status status;
    const auto tries_of = [](const absl::Status& s) {
      return MovedTo(s) ? kMovedTries : kTransientTries;
    };
    for (int tries = 0; tries < tries_of(status); ++tries) {
      if (tries > 0) absl::SleepFor(absl::Milliseconds(20 << tries));
      status = job_.validate_only                 ? SaveRefused(rows)
               : job_.kind == ImportKind::kEvents ? ApplyEvents(rows)
                                                  : ApplyContacts(rows);
      if (status.ok()) {
        done_row_ = rows.back().number;
        return absl::OkStatus();
      }
      if (IsFenced(status) || stopping_()) return status;
      if (!error::IsTransient(status)) break;
    }
    if (error::IsTransient(status) && !MovedTo(status)) return status;
    if (rows.size() == 1) {
      rows[0].status = status;
      CLM_RETURN_IF_ERROR(SaveRefused(rows));
      done_row_ = rows[0].number;
      return absl::OkStatus();
    }
    const auto middle = rows.begin() + static_cast<ptrdiff_t>(rows.size() / 2);
    Rows first(rows.begin(), middle);
    Rows second(middle, rows.end());
    CLM_RETURN_IF_ERROR(Apply(first));
    return Apply(second);
  }

  ImportProgress ProgressOf(const Rows& rows) const {
    ImportProgress progress;
    progress.job = job_.key;
    progress.owner = owner_;
    progress.first_row = done_row_;
    progress.counts.read = rows.back().number - done_row_;
    progress.done_bytes = fed_bytes_;
    progress.lease = options_.lease;
    return progress;
  }

  static void Refuse(ImportProgress& progress, int64_t row, const absl::Status& status) {
    ++progress.counts.failed;
    for (auto& e : RowErrors(row, status)) progress.errors.push_back(std::move(e));
  }

  // For rows none of which is applied.
  absl::Status SaveRefused(const Rows& rows) {
    ImportProgress progress = ProgressOf(rows);
    for (const Row& row : rows) {
      if (!row.status.ok()) Refuse(progress, row.number, row.status);
    }
    return options_.store->SaveProgress(progress);
  }

  journal::MutationInfo Info() const {
    journal::MutationInfo info;
    info.tenant = job_.key.tenant;
    info.actor = job_.actor;
    info.cause = EntityName(kImportJobs, job_.key);
    info.deadline = Deadline();
    return info;
  }

  absl::Status ApplyContacts(Rows& rows) {
    const std::string& tenant = job_.key.tenant;
    std::vector<Identifier> keys;
    std::vector<Row*> valid;
    for (Row& row : rows) {
      if (!row.status.ok()) continue;
      keys.push_back(row.contact.key);
      valid.push_back(&row);
    }
    if (valid.empty()) return SaveRefused(rows);
    CLM_ASSIGN_OR_RETURN(const auto owners, parts_.reader->Owners(tenant, keys, Deadline()));
    journal::MutationInfo info = Info();
    info.weight = static_cast<int>(rows.size());
    // Two rows of one new person meet in one contact.
    absl::flat_hash_map<Identifier, Uuid> fresh;
    const absl::Time now = options_.clock->Now();
    for (size_t i = 0; i < valid.size(); ++i) {
      const Uuid id =
          owners[i] ? *owners[i] : fresh.try_emplace(keys[i], Uuid::V7(now)).first->second;
      valid[i]->target = {tenant, id};
      info.shards.set(ShardOf(tenant, id));
    }
    const auto answer = parts_.lanes->Run<ContactWork>(
        std::move(info),
        [&](ContactWork& work) {
          for (const Row* row : valid) {
            DeclareWrite(work, row->target, row->contact.patch, *policy_);
            work.NeedIdentifier(tenant, row->contact.key);
            for (const auto& action : row->contact.topics) work.NeedTopic(tenant, action.topic);
            if (!row->contact.topics.empty()) work.NeedSurroundings(row->target);
          }
        },
        [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          ImportProgress progress = ProgressOf(rows);
          for (const Row& row : rows) {
            const absl::Status status =
                row.status.ok() ? ApplyContact(work, recorder, row, progress.counts) : row.status;
            if (MovedTo(status)) return status;
            if (!status.ok()) Refuse(progress, row.number, status);
          }
          work.AddImportProgress(std::move(progress));
          return std::string();
        });
    return answer.status();
  }

  absl::Status ApplyContact(ContactWork& work, journal::Recorder& recorder, const Row& row,
                            ImportCounts& counts) const {
    for (const auto& action : row.contact.topics) {
      if (work.FindTopic(job_.key.tenant, action.topic) == nullptr) {
        return error::InvalidField(absl::StrCat("topics.", action.topic), "there is no such topic");
      }
    }
    CLM_ASSIGN_OR_RETURN(const UpsertOutcome outcome,
                         Upsert(work, recorder, row.target, row.contact.key, row.contact.patch,
                                *policy_, job_.actor, "import"));
    std::vector<std::string> changed;
    for (const auto& action : row.contact.topics) {
      const auto before = work.FindSubscription(row.target, action.topic);
      // Nobody asked for a membership that a list brings along; whoever left had a reason.
      const SubscriptionAct act{recorder.now(), !action.subscribe, job_.actor, "import"};
      const auto after = action.subscribe ? Subscribe(before, action.topic, act)
                                          : Unsubscribe(before, action.topic, act);
      if (!after) continue;
      work.SaveSubscription(row.target, *after);
      changed.push_back(absl::StrCat("topics.", action.topic));
    }
    const bool topics_changed = !changed.empty();
    if (topics_changed) RecordConsentChange(work, recorder, row.target, std::move(changed));
    if (outcome.created) {
      ++counts.created;
    } else if (!outcome.unchanged || topics_changed) {
      ++counts.updated;
    } else {
      ++counts.unchanged;
    }
    return absl::OkStatus();
  }

  absl::Status ApplyEvents(Rows& rows) {
    IngestBatch batch;
    batch.tenant = job_.key.tenant;
    batch.actor = job_.actor;
    batch.now = options_.clock->Now();
    batch.deadline = Deadline();
    batch.create_contacts = true;
    for (const Row& row : rows) {
      IngestItem item;
      item.status = row.status;
      if (row.status.ok()) {
        item.event = row.event.event;
        item.identifiers = row.event.identifiers;
      }
      batch.items.push_back(std::move(item));
    }
    CLM_RETURN_IF_ERROR(ResolveIngest(parts_, batch));
    journal::MutationInfo info = Info();
    info.weight = static_cast<int>(rows.size());
    info.shards = ShardsOf(batch);
    if (info.shards.none()) {
      Rows refused = rows;
      for (size_t i = 0; i < refused.size(); ++i) refused[i].status = batch.items[i].status;
      return SaveRefused(refused);
    }
    const auto answer = parts_.lanes->Run<ContactWork>(
        std::move(info), [&](ContactWork& work) { DeclareIngest(batch, work); },
        [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          CLM_ASSIGN_OR_RETURN(const auto response, ApplyIngest(batch, work, recorder));
          ImportProgress progress = ProgressOf(rows);
          for (size_t i = 0; i < rows.size(); ++i) {
            const auto& result = response.results(static_cast<int>(i));
            if (!batch.items[i].status.ok()) {
              Refuse(progress, rows[i].number, batch.items[i].status);
            } else if (result.status().code() != 0) {
              ++progress.counts.failed;
              progress.errors.push_back({rows[i].number, "", result.status().message()});
            } else if (result.duplicate()) {
              ++progress.counts.unchanged;
            } else {
              ++progress.counts.created;
            }
          }
          work.AddImportProgress(std::move(progress));
          return std::string();
        });
    return answer.status();
  }

  const ImportRunner::Options& options_;
  const ContactParts& parts_;
  const ImportJob job_;
  const Uuid owner_;
  const std::function<bool()> stopping_;
  IdentityPolicyPtr policy_;  // That of the tenant when the run began.
  std::unique_ptr<ImportMapper> mapper_;
  Rows pending_;
  int64_t done_row_;
  int64_t fed_bytes_ = 0;
};

}  // namespace

void ImportRunner::Start() {
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Loop(); });
}

void ImportRunner::Wake() {
  absl::MutexLock lock(&mu_);
  ++wakes_;
}

void ImportRunner::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

bool ImportRunner::stopping() const {
  absl::MutexLock lock(&mu_);
  return stopping_;
}

void ImportRunner::Loop() {
  const Uuid owner = Uuid::V7(options_.clock->Now());
  while (!stopping()) {
    int seen = 0;
    {
      absl::MutexLock lock(&mu_);
      seen = wakes_;
    }
    const auto job = options_.store->Claim(owner, options_.lease);
    if (job.ok() && *job) {
      const absl::Status status =
          ImportRun(options_, **job, owner, [this] { return stopping(); }).Run();
      if (status.ok()) continue;
      obs::Info("import interrupted",
                {{"job", EntityName(kImportJobs, (*job)->key)}, {"error", status}});
      // Back to whoever is next; without the database the lease ends by itself.
      options_.store->Release(owner).IgnoreError();
    } else if (job.ok()) {
      options_.store->ExpireUploads(options_.clock->Now()).IgnoreError();
    }
    absl::MutexLock lock(&mu_);
    const auto due = [this, seen]()
                         ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || wakes_ != seen; };
    mu_.AwaitWithTimeout(absl::Condition(&due), options_.poll);
  }
  options_.store->Release(owner).IgnoreError();
}

}  // namespace clm::contact
