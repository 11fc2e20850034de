#include "services/feedback/survey_triggers.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "clm/lifecycle/v1/lifecycle.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/consumed_event.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/inviting.h"
#include "services/feedback/survey_work.h"

namespace clm::feedback {
namespace {

using contact::v1::BehaviorEvent;
using contact::v1::BehaviorRecorded;
using lifecycle::v1::StageChanged;
using lifecycle::v1::Transition;

// Older news invites nobody: it would ask about what is long forgotten.
constexpr absl::Duration kFresh = absl::Hours(7 * 24);

// Something that happened, as triggers see it.
struct Happening {
  Uuid id;
  EntityKey contact;
  std::string event_type;  // Or else:
  std::string model, stage;
  absl::Time at;
  AskContext about;
};

std::string Property(const BehaviorEvent& event, const char* key) {
  const auto it = event.properties().find(key);
  return it == event.properties().end() ? "" : it->second.string_value();
}

absl::StatusOr<std::vector<Happening>> HappeningsOf(const event::v1::Event& event) {
  std::vector<Happening> happenings;
  if (journal::HasPayload<BehaviorRecorded>(event)) {
    BehaviorRecorded recorded;
    if (!recorded.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
    CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                         journal::EntityOf(event, "contact", kContacts, recorded.contact()));
    for (const BehaviorEvent& behavior : recorded.events()) {
      const auto id = Uuid::Parse(behavior.event_id());
      if (!id || !behavior.has_occur_time()) return journal::MalformedEvent("event");
      happenings.push_back({.id = *id,
                            .contact = contact,
                            .event_type = behavior.type(),
                            .at = clm::FromProto(behavior.occur_time()),
                            .about = {.channel = behavior.channel(),
                                      .campaign = Property(behavior, "campaign"),
                                      .order = Property(behavior, "order_id"),
                                      .agent = Property(behavior, "agent")}});
    }
  } else if (journal::HasPayload<StageChanged>(event)) {
    StageChanged changed;
    if (!changed.ParseFromString(event.payload())) return journal::MalformedEvent("payload");
    const Transition& transition = changed.transition();
    if (changed.contact_erased() || transition.to_stage().empty() ||
        transition.cause() == Transition::CAUSE_SYNTHETIC ||
        (transition.cause() == Transition::CAUSE_MODEL && !transition.from_stage().empty())) {
      return happenings;
    }
    CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                         journal::EntityOf(event, "contact", kContacts, transition.contact()));
    const auto model = ParseResourceName("model", "tenants/*/stageModels/*", transition.model());
    if (!model.ok() || (*model)[0] != event.tenant()) return journal::MalformedEvent("model");
    if (!transition.has_effective_time()) return journal::MalformedEvent("effective_time");
    const absl::Time at = clm::FromProto(transition.effective_time());
    happenings.push_back(
        {.id = Uuid::V5(contact.id, absl::StrCat((*model)[1], "/", transition.to_stage(), "/",
                                                 absl::ToUnixMicros(at))),
         .contact = contact,
         .model = (*model)[1],
         .stage = transition.to_stage(),
         .at = at});
  }
  return happenings;
}

const SurveyTrigger* TriggerFor(const Survey& survey, const Happening& happening) {
  for (const SurveyTrigger& trigger : survey.triggers) {
    const bool fits = trigger.event_type.empty()
                          ? trigger.model == happening.model && trigger.stage == happening.stage
                          : trigger.event_type == happening.event_type;
    if (fits) return &trigger;
  }
  return nullptr;
}

InviteRequest RequestFor(const Survey& survey, const SurveyTrigger& trigger,
                         const Happening& happening) {
  InviteRequest request;
  request.key = {survey.tenant,
                 Uuid::V5(happening.id, absl::StrCat("survey ", survey.tenant, "/", survey.id))};
  request.survey = {survey.tenant, survey.id};
  request.contact = happening.contact.id;
  request.about = happening.about;
  if (!trigger.channel.empty()) request.about.channel = trigger.channel;
  return request;
}

void DeclareTriggers(const event::v1::Event& event, journal::Work& work) {
  auto& feedback = static_cast<FeedbackWork&>(work);
  feedback.Part<SurveyWork>().NeedTriggers(
      event.tenant(), [&event, &feedback](SurveyWork& surveys) {
        const auto triggered = surveys.TriggeredOf(event.tenant());
        if (triggered.empty()) return;
        const auto happenings = HappeningsOf(event);
        if (!happenings.ok()) return;
        for (const Happening& happening : *happenings) {
          for (const SurveyWork::Compiled& survey : triggered) {
            if (const SurveyTrigger* trigger = TriggerFor(survey->survey(), happening)) {
              NeedInvite(feedback, RequestFor(survey->survey(), *trigger, happening));
            }
          }
        }
      });
}

absl::Status ApplyTriggers(const event::v1::Event& event, journal::Work& work,
                           journal::Recorder& recorder) {
  auto& feedback = static_cast<FeedbackWork&>(work);
  const auto triggered = feedback.Part<SurveyWork>().TriggeredOf(event.tenant());
  // Where nothing invites, events mean nothing, and need not be read.
  if (triggered.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const std::vector<Happening> happenings, HappeningsOf(event));
  for (const Happening& happening : happenings) {
    if (happening.at < recorder.now() - kFresh) continue;
    for (const SurveyWork::Compiled& compiled : triggered) {
      const Survey& survey = compiled->survey();
      const SurveyTrigger* trigger = TriggerFor(survey, happening);
      if (trigger == nullptr || happening.at < survey.start_time) continue;
      const auto invited = Invite(feedback, recorder, RequestFor(survey, *trigger, happening));
      // Whoever became somebody else before this was heard of is not asked: only the old name's
      // shard is locked. Nor is who was erased, nor does a survey ask that has just ended.
      if (invited.ok() || MovedTo(invited.status()) ||
          absl::IsFailedPrecondition(invited.status())) {
        continue;
      }
      return invited.status();
    }
  }
  return absl::OkStatus();
}

}  // namespace

void EventTriggers::Declare(const event::v1::Event& event, journal::Work& work) {
  if (journal::HasPayload<BehaviorRecorded>(event)) DeclareTriggers(event, work);
}

absl::Status EventTriggers::Apply(const event::v1::Event& event, journal::Work& work,
                                  journal::Recorder& recorder) {
  if (!journal::HasPayload<BehaviorRecorded>(event)) return absl::OkStatus();
  return ApplyTriggers(event, work, recorder);
}

void StageTriggers::Declare(const event::v1::Event& event, journal::Work& work) {
  if (journal::HasPayload<StageChanged>(event)) DeclareTriggers(event, work);
}

absl::Status StageTriggers::Apply(const event::v1::Event& event, journal::Work& work,
                                  journal::Recorder& recorder) {
  if (!journal::HasPayload<StageChanged>(event)) return absl::OkStatus();
  return ApplyTriggers(event, work, recorder);
}

}  // namespace clm::feedback
