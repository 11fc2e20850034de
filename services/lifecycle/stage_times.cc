#include "services/lifecycle/stage_times.h"

#include <algorithm>
#include <utility>

namespace clm::lifecycle {
namespace {

bool Earlier(const LoggedTransition& a, const LoggedTransition& b) {
  return a.at != b.at ? a.at < b.at : a.sequence < b.sequence;
}

}  // namespace

void SortLog(std::vector<LoggedTransition>& log) { std::sort(log.begin(), log.end(), Earlier); }

std::optional<size_t> FirstBreak(std::vector<LoggedTransition> log) {
  SortLog(log);
  std::string stage;
  for (size_t i = 0; i < log.size(); ++i) {
    if (log[i].from != stage) return i;
    stage = log[i].to;
  }
  return std::nullopt;
}

std::vector<StageTimes> ComputeStageTimes(std::vector<LoggedTransition> log, absl::Time now) {
  SortLog(log);
  std::vector<StageTimes> all;
  const auto of = [&](const std::string& stage) -> StageTimes& {
    for (StageTimes& times : all) {
      if (times.stage == stage) return times;
    }
    return all.emplace_back(StageTimes{.stage = stage, .first_entered = absl::InfiniteFuture()});
  };
  for (size_t i = 0; i < log.size() && log[i].at < now; ++i) {
    if (log[i].to.empty()) continue;
    StageTimes& times = of(log[i].to);
    times.first_entered = std::min(times.first_entered, log[i].at);
    times.last_entered = log[i].at;
    ++times.visits;
    const bool left = i + 1 < log.size() && log[i + 1].at < now;
    if (left) times.last_exited = log[i + 1].at;
    times.cumulative += (left ? log[i + 1].at : now) - log[i].at;
  }
  return all;
}

std::string StageAsOf(absl::Span<const LoggedTransition> log, absl::Time at) {
  const LoggedTransition* latest = nullptr;
  for (const LoggedTransition& transition : log) {
    if (transition.at >= at) continue;
    if (latest == nullptr || Earlier(*latest, transition)) latest = &transition;
  }
  return latest == nullptr ? std::string() : latest->to;
}

std::map<std::string, int64_t> BoardAsOf(absl::Span<const std::vector<LoggedTransition>> logs,
                                         absl::Time at) {
  std::map<std::string, int64_t> board;
  for (const std::vector<LoggedTransition>& log : logs) {
    std::string stage = StageAsOf(log, at);
    if (!stage.empty()) ++board[std::move(stage)];
  }
  return board;
}

std::vector<DailyFlow> ComputeDailyFlows(absl::Span<const LoggedTransition> transitions,
                                         absl::CivilDay first, absl::CivilDay last,
                                         absl::TimeZone zone) {
  struct Flow {
    int64_t entered = 0;
    int64_t left = 0;
  };
  const absl::Time begin = absl::FromCivil(first, zone);
  const absl::Time end = absl::FromCivil(last + 1, zone);
  std::map<std::string, int64_t> opening;
  std::map<absl::CivilDay, std::map<std::string, Flow>> flows;
  for (const LoggedTransition& transition : transitions) {
    if (transition.at >= end) continue;
    if (transition.at < begin) {
      if (!transition.to.empty()) ++opening[transition.to];
      if (!transition.from.empty()) --opening[transition.from];
      continue;
    }
    auto& day = flows[absl::CivilDay(absl::ToCivilDay(transition.at, zone))];
    if (!transition.to.empty()) {
      ++day[transition.to].entered;
      opening.try_emplace(transition.to, 0);
    }
    if (!transition.from.empty()) {
      ++day[transition.from].left;
      opening.try_emplace(transition.from, 0);
    }
  }
  std::vector<DailyFlow> rows;
  for (absl::CivilDay day = first; day <= last; ++day) {
    auto& today = flows[day];
    for (auto& [stage, count] : opening) {
      const Flow& flow = today[stage];
      DailyFlow row{.day = day,
                    .stage = stage,
                    .opening = count,
                    .entered = flow.entered,
                    .left = flow.left,
                    .closing = count + flow.entered - flow.left};
      count = row.closing;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace clm::lifecycle
