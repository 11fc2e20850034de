#include "libs/journal/dead_letters.h"

#include <utility>

#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/journal/statements.h"
#include "libs/journal/transcript.h"

namespace clm::journal {
namespace {

// What is applied again is finished though its caller may have gone.
constexpr absl::Duration kReplayPatience = absl::Seconds(30);

constexpr char kNothingParked[] = "NOTHING_PARKED";

absl::Status NothingParked() {
  return error::Make(absl::StatusCode::kNotFound, kNothingParked,
                     "subject: no event of it is parked");
}

// The stored answer to a request; `otherwise` when there is none: stored if it is an answer.
absl::StatusOr<Answer> AnswerOnly(Lanes& lanes, MutationInfo info,
                                  const absl::StatusOr<std::string>& otherwise) {
  info.shards.set(0);
  return lanes.Run<Work>(
      std::move(info), [](Work&) {}, [&](Work&, ConsumingRecorder&) { return otherwise; });
}

absl::StatusOr<pg::Result> ParkedOf(pg::Pool& pool, const std::string& source,
                                    const std::string& tenant, const std::string& subject) {
  pg::Args args;
  args.Add(tenant).Add(source).Add(subject);
  return pool.Query({pg::Scope::Tenant(tenant), absl::Now() + absl::Seconds(10)}, kParked, args);
}

}  // namespace

absl::Status UnreadableEvent() {
  return error::Make(absl::StatusCode::kDataLoss, "EVENT_UNREADABLE",
                     "the record is not an event this program can read");
}

absl::StatusOr<std::vector<DeadLetter>> ListParked(pg::Pool& pool, const std::string& tenant,
                                                   const DeadLetterPlace& after, int limit,
                                                   absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(after.park_time).Add(after.source).Add(after.shard).Add(after.off);
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool.Query({pg::Scope::Tenant(tenant), deadline}, kDeadLetters, args));
  std::vector<DeadLetter> letters;
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    DeadLetter letter;
    letter.source = std::string(row.Text(0));
    letter.shard = static_cast<int>(row.Int(1));
    letter.off = row.Int(2);
    letter.event_id = row.Uuid(3);
    letter.subject = std::string(row.Text(4));
    letter.error_reason = std::string(row.Text(5));
    letter.error_message = std::string(row.Text(6));
    letter.attempts = static_cast<int>(row.Int(7));
    letter.waiting = row.Bool(8);
    letter.park_time = row.Time(9);
    letters.push_back(std::move(letter));
  }
  return letters;
}

absl::StatusOr<Answer> ReplayParked(pg::Pool& pool, Lanes& lanes, EventHandler& handler,
                                    const std::string& source, const std::string& subject,
                                    const MutationInfo& info,
                                    const std::function<std::string(int went)>& answer) {
  CLM_ASSIGN_OR_RETURN(const pg::Result parked, ParkedOf(pool, source, info.tenant, subject));
  // What is parked may have come after the request took effect.
  if (parked.empty() || !info.request_id.empty()) {
    auto answered = AnswerOnly(lanes, info, NothingParked());
    const bool fresh = error::Reason(answered.status()) == kNothingParked;
    if (parked.empty() || !fresh) return answered;
  }
  int went = 0;
  for (int i = 0; i < parked.size(); ++i) {
    const int shard = static_cast<int>(parked[i].Int(0));
    const int64_t off = parked[i].Int(1);
    event::v1::Event event;
    if (!event.ParseFromString(parked[i].Bytes(2))) {
      if (went == 0) return UnreadableEvent();
      break;
    }
    const bool last = i + 1 == parked.size();
    MutationInfo one;
    one.tenant = info.tenant;
    one.shards.set(shard);
    one.actor = source;
    one.deadline = absl::Now() + kReplayPatience;
    if (last) {
      one.request_id = info.request_id;
      one.fingerprint = info.fingerprint;
    }
    auto applied = lanes.Run<Work>(
        std::move(one), [&](Work& work) { handler.Declare(event, work); },
        [&](Work& work, ConsumingRecorder& recorder) -> absl::StatusOr<std::string> {
          CLM_RETURN_IF_ERROR(handler.Apply(event, work, recorder));
          recorder.Unpark(source, shard, off, info.tenant);
          return last ? answer(went + 1) : std::string();
        });
    // Its effect is not there twice: that of this transaction is gone with it.
    if (error::Reason(applied.status()) == kParkedNoMore) continue;
    if (!applied.ok() && went == 0) return applied;
    if (!applied.ok()) break;
    if (last) return applied;
    ++went;
  }
  if (went == 0) return AnswerOnly(lanes, info, NothingParked());
  MutationInfo rest = info;
  rest.deadline = absl::Now() + kReplayPatience;
  return AnswerOnly(lanes, std::move(rest), answer(went));
}

absl::StatusOr<Answer> GiveUpParked(
    pg::Pool& pool, Lanes& lanes, const std::string& source, const std::string& subject,
    MutationInfo info, const std::function<std::string(const GivenUp&, Recorder&)>& record) {
  const std::string tenant = info.tenant;
  CLM_ASSIGN_OR_RETURN(const pg::Result parked, ParkedOf(pool, source, tenant, subject));
  GivenUp first;
  int64_t off = 0;
  if (!parked.empty()) {
    first.shard = static_cast<int>(parked[0].Int(0));
    off = parked[0].Int(1);
    static_cast<void>(first.event.ParseFromString(parked[0].Bytes(2)));
    first.error_reason = std::string(parked[0].Text(3));
  }
  // Also when nothing is parked: this may be a repetition of the request that gave the last one up.
  info.shards.set(first.shard);
  return lanes.Run<Work>(
      std::move(info), [](Work&) {},
      [&](Work&, ConsumingRecorder& recorder) -> absl::StatusOr<std::string> {
        if (parked.empty()) return NothingParked();
        recorder.Unpark(source, first.shard, off, tenant);
        return record(first, recorder);
      });
}

}  // namespace clm::journal
