#include "services/feedback/due_cases.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "services/feedback/case_changes.h"
#include "services/feedback/case_work.h"

namespace clm::feedback {
namespace {

constexpr char kCasesActor[] = "feedback";

PointsGrant GrantOf(const Case& c, const Resolution& resolution) {
  const Compensation& compensation = *resolution.compensation;
  PointsGrant grant;
  grant.member = ToProto(c.key.tenant, compensation).member();
  grant.wallet = compensation.wallet;
  grant.points = compensation.points;
  grant.reason = absl::StrCat("case ", c.key.id.ToString());
  grant.request_id = CompensationRequestId(c.key, resolution.number).ToString();
  grant.external_id = absl::StrCat(c.key.id.ToString(), "/", resolution.number);
  return grant;
}

// What came of asking for points.
struct Granted {
  int resolution = 0;
  absl::StatusOr<std::string> posting;
};

Case AfterGrant(const Case& before, const Granted& granted, absl::Time now) {
  if (granted.posting.ok()) {
    return CompensationGranted(before, granted.resolution, *granted.posting);
  }
  const absl::Status& status = granted.posting.status();
  if (error::IsTransient(status)) return CompensationDelayed(before, granted.resolution, now);
  const std::string reason = error::Reason(status);
  return CompensationFailed(before, granted.resolution,
                            reason.empty() ? absl::StatusCodeToString(status.code()) : reason);
}

}  // namespace

DueCases::DueCases(const FeedbackParts& shared, Options options)
    : shared_(shared),
      options_(std::move(options)),
      loop_({.clock = shared.clock,
             .poll = options_.poll,
             .round = [this] { return RunOnce().status(); },
             // One whose contact is being merged is due all the time: it is looked at at each poll.
             .next = [this]() -> absl::StatusOr<absl::Time> {
               CLM_ASSIGN_OR_RETURN(const absl::Time next, options_.reader->NextDue());
               const absl::Time now = shared_.clock->Now();
               return next <= now ? now + options_.poll : next;
             },
             .on_trouble = options_.on_trouble}) {}

absl::Status DueCases::Settle(const Case& known, bool& silent) {
  std::optional<Granted> granted;
  const Resolution* pending = PendingCompensation(known, shared_.clock->Now());
  if (pending != nullptr) {
    granted = Granted{pending->number, error::Unavailable("UNANSWERED", "no answer", {})};
    // Where one has waited in vain the others of this round need not.
    if (!silent) granted->posting = options_.grant(GrantOf(known, *pending));
    silent = silent || (!granted->posting.ok() && error::IsTransient(granted->posting.status()));
  }
  journal::MutationInfo info;
  info.tenant = known.key.tenant;
  info.actor = kCasesActor;
  info.shards.set(known.shard);
  if (known.contact) info.shards.set(ShardOf(known.key.tenant, *known.contact));
  return shared_.lanes
      ->Run<FeedbackWork>(
          std::move(info), [&](FeedbackWork& work) { work.Part<CaseWork>().NeedCase(known.key); },
          [&](FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
            auto& cases = work.Part<CaseWork>();
            const Case* stored = cases.Find(known.key);
            // Merged or erased meanwhile: it is looked at again as it is then.
            if (stored == nullptr || stored->contact != known.contact) return std::string();
            const Case raised = RaiseDue(cases, recorder, *stored);
            const Case after = granted ? AfterGrant(raised, *granted, recorder.now()) : raised;
            if (after != raised) {
              KeepCase(cases, recorder, v1::CaseChanged::CHANGE_COMPENSATION, after);
            } else {
              // When it is due next may be all that changes.
              cases.Save(after);
            }
            return std::string();
          })
      .status();
}

absl::StatusOr<int> DueCases::RunOnce() {
  int done = 0;
  bool silent = false;
  for (;;) {
    const absl::Time now = shared_.clock->Now();
    CLM_ASSIGN_OR_RETURN(const std::vector<Case> due, options_.reader->Due(now, options_.batch));
    int settled = 0;
    for (const Case& known : due) {
      if (loop_.stopping()) return done;
      const absl::Status status = Settle(known, silent);
      if (error::IsTransient(status)) return status;
      if (status.ok()) {
        ++settled;
      } else if (options_.on_trouble) {
        options_.on_trouble(status);
      }
    }
    done += settled;
    if (settled == 0 || static_cast<int>(due.size()) < options_.batch) return done;
  }
}

}  // namespace clm::feedback
