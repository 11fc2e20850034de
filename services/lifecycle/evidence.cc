#include "services/lifecycle/evidence.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "libs/base/status_macros.h"

namespace clm::lifecycle {

// Notes every event that an answer depends on.
class EvidenceFinder::Witness : public CustomerHistory {
 public:
  using CustomerHistory::CustomerHistory;

  absl::StatusOr<int64_t> Count(absl::string_view type, absl::Time after,
                                const Moment& through) const override {
    for (const StoredFact* event : Events(type, after, through)) Note(event);
    return CustomerHistory::Count(type, after, through);
  }
  absl::StatusOr<int64_t> Sum(absl::string_view type, absl::string_view property,
                              absl::string_view currency, absl::Time after,
                              const Moment& through) const override {
    for (const StoredFact* event : Events(type, after, through)) {
      if (Addend(*event, property, currency)) Note(event);
    }
    return CustomerHistory::Sum(type, property, currency, after, through);
  }
  absl::StatusOr<std::optional<absl::Time>> Last(absl::string_view type,
                                                 absl::Time before) const override {
    if (const StoredFact* event = Latest(type, before)) Note(event);
    return CustomerHistory::Last(type, before);
  }

  // The latest event of `type` before `before`; null: none.
  const StoredFact* Latest(absl::string_view type, absl::Time before) const {
    const auto events = Events(type, absl::InfinitePast(), {before - absl::Nanoseconds(1)});
    return events.empty() ? nullptr : events.back();
  }
  void Note(const StoredFact* event) const { noted_[{event->fact.at, event->id}] = event; }

  // What was noted since the last time.
  Evidence Take(const Trigger& trigger) {
    Evidence evidence;
    evidence.count = static_cast<int64_t>(noted_.size());
    auto it = noted_.begin();
    std::advance(it, std::max<int64_t>(0, evidence.count - kMaxEvidence));
    for (; it != noted_.end(); ++it) {
      const StoredFact* fact = it->second;
      std::optional<int64_t> added;
      if (trigger.kind == Trigger::Kind::kEventSum && fact->fact.type == trigger.types[0]) {
        added = Addend(*fact, trigger.property, trigger.currency);
      }
      evidence.items.push_back({fact, added});
    }
    noted_.clear();
    return evidence;
  }

 private:
  // Asking is const, and is what is noted.
  mutable std::map<std::pair<absl::Time, Uuid>, const StoredFact*> noted_;
};

EvidenceFinder::EvidenceFinder(const Customer* customer, const std::vector<FactPtr>* facts)
    : witness_(std::make_unique<Witness>(customer, facts)) {}

EvidenceFinder::~EvidenceFinder() = default;

absl::StatusOr<Needs> EvidenceNeeds(const Rule& rule) {
  Needs needs;
  const Trigger& trigger = rule.trigger;
  switch (trigger.kind) {
    case Trigger::Kind::kEventCount:
    case Trigger::Kind::kEventSum:
      needs.event_types.insert(trigger.types[0]);
      needs.reach = trigger.window;
      break;
    case Trigger::Kind::kTimeSinceEvent:
      // The stage may have been entered long after the event.
      needs.event_types.insert(trigger.types.begin(), trigger.types.end());
      needs.reach = absl::InfiniteDuration();
      break;
    default:
      break;
  }
  if (!rule.condition.empty()) {
    CLM_RETURN_IF_ERROR(CompileCondition("condition", rule.condition, needs).status());
    // The value of a field is that of its latest change, however long ago.
    if (!needs.fields.empty()) needs.reach = absl::InfiniteDuration();
  }
  return needs;
}

absl::StatusOr<Evidence> EvidenceFinder::Find(const Rule& rule, const Situation& situation) {
  Witness& witness = *witness_;
  Situation judged = situation;
  judged.history = &witness;
  const Trigger& trigger = rule.trigger;
  if (judged.fact != nullptr) {
    witness.Note(static_cast<const StoredFact*>(judged.fact->details));
  }
  switch (trigger.kind) {
    case Trigger::Kind::kEventCount:
      CLM_RETURN_IF_ERROR(
          witness.Count(trigger.types[0], judged.at - trigger.window, judged.moment).status());
      break;
    case Trigger::Kind::kEventSum:
      CLM_RETURN_IF_ERROR(witness
                              .Sum(trigger.types[0], trigger.property, trigger.currency,
                                   judged.at - trigger.window, judged.moment)
                              .status());
      break;
    case Trigger::Kind::kTimeSinceEvent: {
      // Silence counts from the latest event of any of its types.
      const StoredFact* last = nullptr;
      for (const std::string& type : trigger.types) {
        const StoredFact* event = witness.Latest(type, judged.at + absl::Microseconds(1));
        if (event == nullptr) continue;
        if (last == nullptr ||
            std::pair(last->fact.at, last->id) < std::pair(event->fact.at, event->id)) {
          last = event;
        }
      }
      if (last != nullptr) witness.Note(last);
      break;
    }
    default:
      break;
  }
  if (!rule.condition.empty()) {
    Needs needs;
    CLM_ASSIGN_OR_RETURN(const Predicate condition,
                         CompileCondition("condition", rule.condition, needs));
    CLM_RETURN_IF_ERROR(condition(judged).status());
  }
  return witness.Take(trigger);
}

}  // namespace clm::lifecycle
