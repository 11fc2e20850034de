#include "services/loyalty/lifecycle_feed_handler.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/lifecycle/v1/lifecycle.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/consumed_event.h"
#include "services/loyalty/event_earning.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/loyalty_work.h"

namespace clm::loyalty {
namespace {

using lifecycle::v1::StageChanged;
using lifecycle::v1::StagesSuperseded;
using lifecycle::v1::Transition;

struct Entering {
  StageEntryKey key;
  std::string stage;
  std::string from_stage;
  absl::Time at;
};

// Whether the customer did it, and is in a stage by it.
bool IsEntering(const Transition& transition) {
  if (transition.to_stage().empty()) return false;
  switch (transition.cause()) {
    case Transition::CAUSE_SYNTHETIC:
      return false;
    case Transition::CAUSE_MODEL:
      // The stage that everybody begins in, and not one that took the place of another.
      return transition.from_stage().empty();
    default:
      return true;
  }
}

absl::StatusOr<Entering> EnteringOf(const event::v1::Event& event, const Transition& transition) {
  Entering entering;
  CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                       journal::EntityOf(event, "contact", kContacts, transition.contact()));
  const auto model = ParseResourceName("model", "tenants/*/stageModels/*", transition.model());
  if (!model.ok() || (*model)[0] != event.tenant()) return journal::MalformedEvent("model");
  if (!transition.has_effective_time()) return journal::MalformedEvent("effective_time");
  entering.key = {event.tenant(), contact.id, (*model)[1], transition.sequence()};
  entering.stage = transition.to_stage();
  entering.from_stage = transition.from_stage();
  entering.at = clm::FromProto(transition.effective_time());
  return entering;
}

// The enterings that an event is about; superseded ones, and whose they are now, unless `changed`.
absl::StatusOr<std::vector<Entering>> EnteringsOf(const event::v1::Event& event, bool changed) {
  std::vector<Transition> transitions;
  if (changed) {
    StageChanged told;
    if (!told.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
    if (!told.contact_erased()) transitions.push_back(std::move(*told.mutable_transition()));
  } else {
    StagesSuperseded told;
    if (!told.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
    transitions.assign(told.transitions().begin(), told.transitions().end());
  }
  std::vector<Entering> enterings;
  for (const Transition& transition : transitions) {
    if (!IsEntering(transition)) continue;
    CLM_ASSIGN_OR_RETURN(Entering entering, EnteringOf(event, transition));
    enterings.push_back(std::move(entering));
  }
  return enterings;
}

CustomerEvent EventFor(const Entering& entering) {
  CustomerEvent event;
  event.contact = {entering.key.tenant, entering.key.contact};
  // The same from whatever log tells it, also one that was computed anew.
  event.id = Uuid::V5(entering.key.contact, absl::StrCat(entering.key.model, "/", entering.stage,
                                                         "/", absl::ToUnixMicros(entering.at)));
  event.occur_time = entering.at;
  event.fact.event_type = kStageEnteredEvent;
  event.fact.properties = {{"model", entering.key.model},
                           {"stage", entering.stage},
                           {"from_stage", entering.from_stage}};
  return event;
}

bool LooksAtStages(const std::vector<Program>& programs) {
  return std::any_of(programs.begin(), programs.end(), [](const Program& program) {
    return (program.tiers && program.tiers->event_type == kStageEnteredEvent) ||
           std::any_of(
               program.earn_rules.begin(), program.earn_rules.end(),
               [](const ProgramRule& rule) { return rule.rule.event_type == kStageEnteredEvent; });
  });
}

absl::Status Enter(LoyaltyWork& work, journal::Recorder& recorder, const Entering& entering) {
  StageEntryWork& entries = work.stage_entries();
  // Heard before, or superseded before it was heard.
  if (entries.Find(entering.key) != nullptr) return absl::OkStatus();
  const EntityKey contact{entering.key.tenant, entering.key.contact};
  const auto before = entries.CountOf(contact, entering.key.model, entering.stage);
  const bool looked_at = before.standing + 1 > before.seen;
  entries.Save(entering.key, {contact.id, entering.stage, false, looked_at});
  return looked_at ? ApplyCustomerEvent(work, recorder, EventFor(entering)) : absl::OkStatus();
}

void Supersede(LoyaltyWork& work, const Entering& entering, const EntityKey& now) {
  StageEntryWork& entries = work.stage_entries();
  const EntityKey contact{entering.key.tenant, entering.key.contact};
  if (contact != now) entries.MoveAll(contact, now);
  const StageEntry* known = entries.Find(entering.key);
  // One of the same customer that is not known was told before any rule looked at stages, and is
  // as good as seen. Of one who was merged it may still come, from another shard.
  StageEntry entry = known != nullptr ? *known : StageEntry{.seen = contact == now};
  entry.owner = now.id;
  entry.stage = entering.stage;
  entry.superseded = true;
  entries.Save(entering.key, entry);
}

}  // namespace

void LifecycleFeedHandler::Declare(const event::v1::Event& event, journal::Work& work) {
  const bool changed = journal::HasPayload<StageChanged>(event);
  if (!changed && !journal::HasPayload<StagesSuperseded>(event)) return;
  static_cast<LoyaltyWork&>(work).NeedProgramsOf(
      event.tenant(), [&event, changed](LoyaltyWork& loyalty) {
        if (!LooksAtStages(loyalty.ProgramsOf(event.tenant()))) return;
        const auto enterings = EnteringsOf(event, changed);
        if (!enterings.ok()) return;
        for (const Entering& entering : *enterings) {
          loyalty.stage_entries().NeedEntry(entering.key);
          loyalty.stage_entries().NeedEntriesOf({entering.key.tenant, entering.key.contact});
          if (changed) NeedCustomerEvent(loyalty, EventFor(entering));
        }
      });
}

absl::Status LifecycleFeedHandler::Apply(const event::v1::Event& event, journal::Work& work,
                                         journal::Recorder& recorder) {
  const bool changed = journal::HasPayload<StageChanged>(event);
  if (!changed && !journal::HasPayload<StagesSuperseded>(event)) return absl::OkStatus();
  auto& loyalty = static_cast<LoyaltyWork&>(work);
  if (!LooksAtStages(loyalty.ProgramsOf(event.tenant()))) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const std::vector<Entering> enterings, EnteringsOf(event, changed));
  CLM_ASSIGN_OR_RETURN(const EntityKey subject,
                       journal::EntityOf(event, "subject", kContacts, event.subject()));
  for (const Entering& entering : enterings) {
    if (!changed) {
      Supersede(loyalty, entering, subject);
      continue;
    }
    // Only the shard of the subject is locked.
    if (entering.key.contact != subject.id) return journal::MalformedEvent("contact");
    CLM_RETURN_IF_ERROR(Enter(loyalty, recorder, entering));
  }
  return absl::OkStatus();
}

}  // namespace clm::loyalty
