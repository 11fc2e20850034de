#include "services/lifecycle/customer.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::lifecycle {
namespace {

// Whether `fact` lies within the history up to `moment`.
bool Within(const Fact& fact, const Moment& moment) {
  if (fact.at != moment.at) return fact.at < moment.at;
  return moment.last_id == nullptr || fact.id <= *moment.last_id;
}

// Whether nothing would be lost by not storing it.
bool IsBlank(const Place& place) {
  const ModelState& s = place.state;
  return place.version == 0 && s.stage.empty() && s.visits == 0 && s.last_events.empty() &&
         s.marks.empty() && place.due == absl::InfiniteFuture();
}

RecordedTransition Record(const LoggedTransition& logged, absl::Span<const FactPtr> facts,
                          absl::Time now) {
  RecordedTransition recorded{.logged = logged, .record_time = now};
  if (logged.fact_id.empty()) return recorded;
  for (const FactPtr& fact : facts) {
    if (fact->fact.id != logged.fact_id) continue;
    recorded.fact_type = fact->fact.type;
    recorded.actor = fact->actor;
    recorded.reason = fact->fact.move.reason;
    recorded.request_id = fact->request_id;
    break;
  }
  return recorded;
}

std::vector<Fact> Plain(absl::Span<const FactPtr> facts) {
  std::vector<Fact> plain;
  plain.reserve(facts.size());
  for (const FactPtr& fact : facts) plain.push_back(fact->fact);
  return plain;
}

void Finish(PlaceChange& change, const Place& before, absl::Time next_due, absl::Time now) {
  // What is due already waits a little: history may still be arriving.
  change.after.due = next_due > now ? next_due : now + kSettleTime;
  change.visible = !change.appended.empty() || !change.voided.empty() || !change.overdue.empty();
  change.after.version = before.version;
  change.stored = change.visible || !(change.after == before);
  if (change.stored && IsBlank(change.after)) change.stored = false;
  // The first version also marks that there is something stored.
  if (change.visible || (change.stored && before.version == 0)) ++change.after.version;
}

// As CLM_GOODS_COST_PATTERN says it.
bool IsGoodsCost(absl::string_view text) {
  return !text.empty() && text.size() <= 15 &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

}  // namespace

FactPtr ShareFact(StoredFact fact) {
  auto shared = std::make_shared<StoredFact>(std::move(fact));
  shared->fact.id = shared->id.ToString();
  shared->fact.details = shared.get();
  return shared;
}

std::optional<int64_t> Addend(const StoredFact& event, absl::string_view property,
                              absl::string_view currency) {
  if (property.empty()) {
    if (!currency.empty() && event.currency != currency) return std::nullopt;
    return event.amount_minor;
  }
  const auto value = event.properties.find(std::string(property));
  int64_t number = 0;
  if (value == event.properties.end() || !std::holds_alternative<std::string>(value->second) ||
      !absl::SimpleAtoi(std::get<std::string>(value->second), &number)) {
    return std::nullopt;
  }
  return number;
}

StoredFact Bare(StoredFact fact) {
  fact.channel.clear();
  fact.fact.move.reason.clear();
  switch (fact.fact.kind) {
    case Fact::Kind::kEvent: {
      const bool keeps = fact.fact.type == kPurchaseEvent || fact.fact.type == kRefundEvent;
      std::erase_if(fact.properties, [keeps](const auto& property) {
        const auto* text = std::get_if<std::string>(&property.second);
        return !keeps || property.first != kGoodsCost || text == nullptr || !IsGoodsCost(*text);
      });
      break;
    }
    case Fact::Kind::kAttribute:
      if (absl::StartsWith(fact.fact.type, "attributes.")) fact.properties.clear();
      break;
    case Fact::Kind::kMove:
      break;
  }
  return fact;
}

bool Precedes(const FactPtr& a, const FactPtr& b) {
  return std::tie(a->fact.at, a->id) < std::tie(b->fact.at, b->id);
}

const Place& Customer::PlaceIn(const std::string& model) const {
  static const Place* const kNowhere = new Place;
  const auto it = places.find(model);
  return it == places.end() ? *kNowhere : it->second;
}

FactPtr Customer::CreatedFact() const {
  StoredFact created;
  created.id = key.id;
  created.fact.at = create_time;
  created.fact.type = kCreatedFact;
  return ShareFact(std::move(created));
}

CustomerHistory::CustomerHistory(const Customer* customer, const std::vector<FactPtr>* facts)
    : customer_(customer) {
  for (const FactPtr& fact : *facts) {
    if (fact->fact.kind == Fact::Kind::kEvent) events_[fact->fact.type].push_back(fact.get());
    if (fact->fact.kind == Fact::Kind::kAttribute) changes_[fact->fact.type].push_back(fact.get());
  }
}

const DynamicValue* CustomerHistory::FieldAt(absl::string_view field, const Moment& moment) const {
  const auto changes = changes_.find(field);
  if (changes != changes_.end()) {
    const StoredFact* latest = nullptr;
    for (const StoredFact* change : changes->second) {
      if (!Within(change->fact, moment)) break;
      latest = change;
    }
    if (latest != nullptr) {
      const auto value = latest->properties.find("value");
      return value == latest->properties.end() ? nullptr : &value->second;
    }
  }
  const auto first = customer_->initial.find(std::string(field));
  return first == customer_->initial.end() ? nullptr : &first->second;
}

absl::Span<const StoredFact* const> CustomerHistory::Events(absl::string_view type,
                                                            absl::Time after,
                                                            const Moment& through) const {
  const auto events = events_.find(type);
  if (events == events_.end()) return {};
  const auto begin =
      std::upper_bound(events->second.begin(), events->second.end(), after,
                       [](absl::Time at, const StoredFact* fact) { return at < fact->fact.at; });
  const auto end = std::partition_point(begin, events->second.end(), [&](const StoredFact* fact) {
    return Within(fact->fact, through);
  });
  return absl::MakeConstSpan(events->second)
      .subspan(begin - events->second.begin(), static_cast<size_t>(end - begin));
}

absl::StatusOr<int64_t> CustomerHistory::Count(absl::string_view type, absl::Time after,
                                               const Moment& through) const {
  return static_cast<int64_t>(Events(type, after, through).size());
}

absl::StatusOr<int64_t> CustomerHistory::Sum(absl::string_view type, absl::string_view property,
                                             absl::string_view currency, absl::Time after,
                                             const Moment& through) const {
  __int128 sum = 0;
  for (const StoredFact* event : Events(type, after, through)) {
    sum += Addend(*event, property, currency).value_or(0);
  }
  if (sum > std::numeric_limits<int64_t>::max() || sum < std::numeric_limits<int64_t>::min()) {
    return error::Make(absl::StatusCode::kOutOfRange, "SUM_OVERFLOW",
                       "the sum over the events does not fit 64 bits");
  }
  return static_cast<int64_t>(sum);
}

absl::StatusOr<std::optional<absl::Time>> CustomerHistory::Last(absl::string_view type,
                                                                absl::Time before) const {
  const auto events = events_.find(type);
  if (events == events_.end()) return std::nullopt;
  const auto end =
      std::partition_point(events->second.begin(), events->second.end(),
                           [&](const StoredFact* fact) { return fact->fact.at < before; });
  if (end == events->second.begin()) return std::nullopt;
  return (*std::prev(end))->fact.at;
}

absl::StatusOr<PlaceChange> Advance(const Plan& plan, const Place& before,
                                    absl::Span<const FactPtr> fresh, const History& history,
                                    absl::Time until, absl::Time now) {
  const std::vector<Fact> facts = Plain(fresh);
  CLM_ASSIGN_OR_RETURN(FoldResult result, Fold(plan, before.state, facts, until, history));
  PlaceChange change;
  change.model_id = plan.model_id();
  change.after.state = std::move(result.state);
  for (const LoggedTransition& logged : result.transitions) {
    change.appended.push_back(Record(logged, fresh, now));
  }
  change.overdue = std::move(result.overdue);
  change.refused = std::move(result.refused);
  Finish(change, before, result.next_due, now);
  return change;
}

absl::StatusOr<PlaceChange> Refold(const Plan& plan, const Place& before,
                                   absl::Span<const FactPtr> facts,
                                   absl::Span<const RecordedTransition> log, const History& history,
                                   absl::Time until, absl::Time now) {
  const std::vector<Fact> plain = Plain(facts);
  // What time has done once is not taken back only because the past is looked at again.
  CLM_ASSIGN_OR_RETURN(FoldResult result, Fold(plan, ModelState{}, plain,
                                               std::max(until, before.state.applied.at), history));
  std::vector<LoggedTransition> stored;
  stored.reserve(log.size());
  for (const RecordedTransition& line : log) stored.push_back(line.logged);
  const Reconciliation reconciled = Reconcile(stored, result.transitions, before.state.sequence);

  PlaceChange change;
  change.model_id = plan.model_id();
  change.after.state = std::move(result.state);
  change.after.state.sequence = reconciled.last_sequence;
  const std::set<int64_t> voided(reconciled.voided.begin(), reconciled.voided.end());
  for (const RecordedTransition& line : log) {
    if (!voided.contains(line.logged.sequence)) continue;
    change.voided.push_back(line);
    change.voided.back().supersede_time = now;
  }
  for (const LoggedTransition& logged : reconciled.appended) {
    change.appended.push_back(Record(logged, facts, now));
  }
  // A notice belongs to a visit; visits that stand have had theirs.
  std::set<std::pair<absl::Time, std::string>> given;
  for (const RecordedTransition& line : log) {
    if (line.overdue_time && !voided.contains(line.logged.sequence)) {
      given.emplace(line.logged.at, line.logged.to);
    }
  }
  for (OverdueNotice& notice : result.overdue) {
    if (!given.contains({notice.entered_at, notice.stage})) {
      change.overdue.push_back(std::move(notice));
    }
  }
  change.refused = std::move(result.refused);
  Finish(change, before, result.next_due, now);
  return change;
}

std::vector<RecordedTransition> LogAfter(std::vector<RecordedTransition> log,
                                         const PlaceChange& change) {
  std::set<int64_t> voided;
  for (const RecordedTransition& line : change.voided) voided.insert(line.logged.sequence);
  log.erase(std::remove_if(log.begin(), log.end(),
                           [&](const RecordedTransition& line) {
                             return voided.contains(line.logged.sequence);
                           }),
            log.end());
  log.insert(log.end(), change.appended.begin(), change.appended.end());
  std::sort(log.begin(), log.end(), [](const RecordedTransition& a, const RecordedTransition& b) {
    return std::tie(a.logged.at, a.logged.sequence) < std::tie(b.logged.at, b.logged.sequence);
  });
  for (const OverdueNotice& notice : change.overdue) {
    for (RecordedTransition& line : log) {
      if (line.logged.at == notice.entered_at && line.logged.to == notice.stage) {
        line.overdue_time = notice.at;
      }
    }
  }
  return log;
}

}  // namespace clm::lifecycle
