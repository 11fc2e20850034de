#include "services/lifecycle/due_timers.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/lifecycle/folding.h"

namespace clm::lifecycle {
namespace {

// A customer that cannot be folded (its time rules lead in a circle) is not tried all the time.
constexpr absl::Duration kRetryBroken = absl::Hours(1);
constexpr int kJobPage = 500;

struct Task {
  EntityKey customer;
  bool anew = false;
  std::string model;          // Empty: all.
  std::optional<Uuid> token;  // Of a refold mark.
};

// Folds some customers of one shard up to now. Each has its own outcome.
void FoldTasks(const std::vector<Task>& tasks, LifecycleWork& work, journal::Recorder& recorder) {
  const absl::Time now = recorder.now();
  for (const Task& task : tasks) {
    const EntityKey& key = task.customer;
    if (!work.CustomerOf(key).known || work.CustomerOf(key).merged_into) continue;
    const auto decision = DecideFold(
        work, {.customer = key, .until = now, .anew = task.anew, .model = task.model}, now);
    if (decision.ok()) {
      CommitFold(work, recorder, *decision, "timer");
    } else {
      for (const auto& [model, place] : work.CustomerOf(key).places) {
        if (place.due > now) continue;
        PlaceChange later{.model_id = model, .after = place, .stored = true};
        later.after.due = now + kRetryBroken;
        work.SavePlace(key, later);
      }
    }
    if (task.token) work.RefoldDone(key, *task.token);
    work.Keep();
  }
}

// Runs the tasks, grouped by shard, and waits. The first failure of a transaction is returned.
absl::Status RunTasks(journal::Lanes& lanes, const std::vector<Task>& tasks) {
  std::map<int, std::vector<Task>> by_shard;
  for (const Task& task : tasks) {
    by_shard[ShardOf(task.customer.tenant, task.customer.id)].push_back(task);
  }
  absl::BlockingCounter left(static_cast<int>(by_shard.size()));
  absl::Mutex mu;
  absl::Status status;
  for (auto& [shard, own] : by_shard) {
    journal::MutationInfo info;
    info.shards.set(shard);
    info.actor = "lifecycle";
    info.weight = static_cast<int>(own.size());
    auto shared = std::make_shared<const std::vector<Task>>(std::move(own));
    lanes.Submit(std::make_unique<journal::MutationOf<LifecycleWork>>(
        std::move(info),
        [shared](LifecycleWork& work) {
          for (const Task& task : *shared) {
            if (task.anew || task.token) {
              work.NeedAll(task.customer);
            } else {
              work.NeedFold(task.customer, {});
            }
          }
        },
        [shared](LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          FoldTasks(*shared, work, recorder);
          return std::string();
        },
        [&](absl::StatusOr<journal::Answer> answer) {
          if (!answer.ok()) {
            absl::MutexLock lock(&mu);
            status.Update(answer.status());
          }
          left.DecrementCount();
        }));
  }
  left.Wait();
  return status;
}

}  // namespace

DueTimers::DueTimers(Options options)
    : options_(std::move(options)),
      loop_({.clock = options_.clock,
             .poll = options_.poll,
             .round = [this] { return RunOnce().status(); },
             .next = [this] { return options_.reader->NextDue(); },
             .on_trouble = options_.on_trouble}) {}

absl::StatusOr<int> DueTimers::FireDue(absl::Time now) {
  CLM_ASSIGN_OR_RETURN(const std::vector<DueCustomer> due,
                       options_.reader->Due(now, options_.batch));
  if (due.empty()) return 0;
  Failpoint("timer.fired");
  std::vector<Task> tasks;
  for (const DueCustomer& customer : due) {
    // Once per customer, in all its models.
    const bool seen = std::any_of(tasks.begin(), tasks.end(),
                                  [&](const Task& task) { return task.customer == customer.key; });
    if (!seen) tasks.push_back({.customer = customer.key});
  }
  CLM_RETURN_IF_ERROR(RunTasks(*options_.lanes, tasks));
  return static_cast<int>(tasks.size());
}

absl::StatusOr<int> DueTimers::RefoldMarked() {
  CLM_ASSIGN_OR_RETURN(const std::vector<RefoldMark> marks,
                       options_.reader->RefoldMarks(options_.batch));
  if (marks.empty()) return 0;
  std::vector<Task> tasks;
  for (const RefoldMark& mark : marks) {
    tasks.push_back({.customer = mark.key, .anew = true, .token = mark.token});
  }
  CLM_RETURN_IF_ERROR(RunTasks(*options_.lanes, tasks));
  return static_cast<int>(tasks.size());
}

absl::StatusOr<int> DueTimers::WorkOnJob(absl::Time now) {
  CLM_ASSIGN_OR_RETURN(std::optional<ModelJob> job,
                       options_.reader->ClaimJob(now, now + options_.lease));
  if (!job) return 0;
  int folded = 0;
  for (bool mine = true; mine;) {
    if (loop_.stopping()) break;
    CLM_ASSIGN_OR_RETURN(const std::vector<EntityKey> page,
                         options_.reader->CustomersAfter(job->tenant, job->done_up_to, kJobPage));
    std::vector<Task> tasks;
    for (const EntityKey& key : page) {
      tasks.push_back({.customer = key, .anew = job->anew, .model = job->model});
    }
    CLM_RETURN_IF_ERROR(RunTasks(*options_.lanes, tasks));
    folded += static_cast<int>(page.size());
    if (!page.empty()) job->done_up_to = page.back().id;
    const bool finished = static_cast<int>(page.size()) < kJobPage;
    const absl::Time then = options_.clock->Now();
    CLM_ASSIGN_OR_RETURN(mine, options_.reader->AdvanceJob(*job, static_cast<int64_t>(page.size()),
                                                           finished, then, then + options_.lease));
    if (finished) break;
  }
  return folded;
}

absl::StatusOr<int> DueTimers::RunOnce() {
  int folded = 0;
  for (;;) {
    const absl::Time now = options_.clock->Now();
    CLM_ASSIGN_OR_RETURN(const int marked, RefoldMarked());
    CLM_ASSIGN_OR_RETURN(const int jobs, WorkOnJob(now));
    CLM_ASSIGN_OR_RETURN(const int due, FireDue(now));
    folded += marked + jobs + due;
    if (marked + jobs + due == 0) return folded;
    if (loop_.stopping()) return folded;
  }
}

}  // namespace clm::lifecycle
