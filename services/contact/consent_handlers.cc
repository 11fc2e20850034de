#include "services/contact/consent_handlers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "services/contact/contact_mutation.h"
#include "services/contact/contact_proto.h"
#include "services/contact/upsert.h"

namespace clm::contact {
namespace {

constexpr absl::Duration kClockTolerance = absl::Minutes(10);

// Journal shards of what belongs to a tenant, not to a person.
constexpr char kTopicsList[] = "topics";
constexpr char kSuppressionsList[] = "suppressions";

absl::StatusOr<const Contact*> RequirePerson(const ContactWork& work, const EntityKey& key) {
  CLM_ASSIGN_OR_RETURN(const Contact* contact, Require(work, key));
  if (contact->status == ContactStatus::kErased) {
    return error::Precondition("CONTACT_ERASED", "contact: was erased; nothing more is kept of it");
  }
  return contact;
}

// The same violations under the names that the request has for them.
absl::Status Renamed(const absl::Status& status, absl::string_view from, absl::string_view to) {
  const auto violations = error::FieldViolations(status);
  if (violations.empty()) return status;
  error::FieldErrors errors;
  for (const auto& [field, what] : violations) {
    absl::string_view rest = field;
    if (absl::ConsumePrefix(&rest, from)) {
      errors.Add(absl::StrCat(to, rest), what);
    } else {
      errors.Add(field, what);
    }
  }
  return errors.ToStatus();
}

bool SameAct(const ConsentAct& a, const ConsentAct& b) {
  return a.purpose == b.purpose && a.channel == b.channel && a.state == b.state &&
         a.act_time == b.act_time && a.expire_time == b.expire_time &&
         a.legal_basis == b.legal_basis && a.source == b.source && a.text_version == b.text_version;
}

bool Liftable(SuppressionReason reason) {
  return reason != SuppressionReason::kErased && reason != SuppressionReason::kLegal;
}

// The kind of identifier that addresses of a channel are; empty when people are not found by it.
std::string OwnerType(const std::string& channel) {
  if (channel == "email") return kEmailType;
  if (channel == "sms" || channel == "phone") return kPhoneType;
  return "";
}

// A change of the suppression of one address: under the shard of whoever has the address, so that
// the journal tells it in the order of that person's other changes.
template <class Resp>
struct AddressMutation {
  journal::MutationInfo info;
  std::string tenant;
  std::string channel;
  std::string address;  // Normal form.
  std::string cause;    // Of the journal row; empty: the request's.
  // True when something changed.
  std::function<absl::StatusOr<bool>(ContactWork&, absl::Time now, Resp& response)> apply;
  std::optional<EntityKey> owner;
};

template <class Resp>
void RunOnAddress(const ContactParts& parts, std::shared_ptr<AddressMutation<Resp>> mutation,
                  std::shared_ptr<rpc::Reply<Resp>> reply, int tries = kMovedTries) {
  auto run = [parts, mutation, reply, tries] {
    const std::string& tenant = mutation->tenant;
    const std::string type = OwnerType(mutation->channel);
    const Identifier identifier{type, mutation->address};
    mutation->owner.reset();
    if (!type.empty()) {
      const auto owners = parts.reader->Owners(tenant, {identifier}, mutation->info.deadline);
      if (!owners.ok()) return (*reply)(owners.status());
      if ((*owners)[0]) mutation->owner = EntityKey{tenant, *(*owners)[0]};
    }
    journal::MutationInfo info = mutation->info;
    info.shards.set(mutation->owner ? ShardOf(tenant, mutation->owner->id)
                                    : ShardOf(tenant, kSuppressionsList));
    // An erase of the owner finds the stored answer, which holds the address.
    if (mutation->owner) info.aggregate = mutation->owner->id;
    parts.lanes->Submit(std::make_unique<journal::MutationOf<ContactWork>>(
        std::move(info),
        [mutation, identifier](ContactWork& work) {
          work.NeedSuppression(mutation->tenant, mutation->channel, mutation->address);
          if (!identifier.type.empty()) work.NeedIdentifier(mutation->tenant, identifier);
          if (mutation->owner) work.NeedContact(*mutation->owner);
        },
        [mutation, identifier](ContactWork& work,
                               journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          const std::string& tenant = mutation->tenant;
          const auto owner =
              identifier.type.empty() ? std::nullopt : work.Owner(tenant, identifier);
          if (owner != (mutation->owner ? std::optional<Uuid>(mutation->owner->id)
                                        : std::optional<Uuid>())) {
            return Moved(owner.value_or(Uuid()));
          }
          Resp response;
          CLM_ASSIGN_OR_RETURN(const bool changed, mutation->apply(work, recorder.now(), response));
          if (!changed) return response.SerializeAsString();
          if (mutation->owner && work.FindContact(*mutation->owner) != nullptr) {
            work.Touch(*mutation->owner);
            RecordConsentChange(work, recorder, *mutation->owner,
                                {absl::StrCat("suppressions.", mutation->channel)},
                                mutation->cause);
            return response.SerializeAsString();
          }
          // Nobody has it: a fact about the list, without the address.
          const Suppression* now =
              work.FindSuppression(tenant, mutation->channel, mutation->address);
          v1::Suppression payload = now == nullptr ? v1::Suppression() : ToProto(*now);
          payload.set_channel(mutation->channel);
          payload.clear_address();
          recorder.Record({ShardOf(tenant, kSuppressionsList), tenant,
                           absl::StrCat("tenants/", tenant, "/suppressions"),
                           v1::Suppression::descriptor()->full_name(), 0, std::nullopt,
                           mutation->cause, payload.SerializeAsString()});
          return response.SerializeAsString();
        },
        [parts, mutation, reply, tries](absl::StatusOr<journal::Answer> answer) {
          if (MovedTo(answer.status()) && tries > 1) {
            return RunOnAddress(parts, mutation, reply, tries - 1);
          }
          if (!answer.ok()) return (*reply)(answer.status());
          if (answer->replayed) reply->MarkReplay();
          reply->Bytes(std::move(answer->response));
        }));
  };
  if (!parts.workers->Post(std::move(run))) (*reply)(Busy());
}

}  // namespace

void RecordConsentChange(const ContactWork& work, journal::Recorder& recorder,
                         const EntityKey& contact, std::vector<std::string> fields,
                         const std::string& cause) {
  const Contact* stored = work.FindContact(contact);
  if (stored == nullptr) return;
  Change change;
  change.after = *stored;
  std::sort(fields.begin(), fields.end());
  change.changed_fields = std::move(fields);
  v1::ContactChanged payload = ChangedPayload(change, work.Registry(contact.tenant));
  payload.set_change(v1::ContactChanged::CHANGE_CONSENT);
  recorder.Record({ShardOf(contact.tenant, contact.id), contact.tenant,
                   EntityName(kContacts, contact), v1::ContactChanged::descriptor()->full_name(),
                   stored->version, std::nullopt, cause, payload.SerializeAsString()});
}

void ConsentHandlers::CreateTopic(const rpc::Call& call, const v1::CreateTopicRequest& request,
                                  rpc::Reply<v1::Topic> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  Topic wanted;
  wanted.id = request.topic_id();
  wanted.display_name = request.topic().display_name();
  wanted.channel = request.topic().channel();
  wanted.opt_in = static_cast<OptIn>(request.topic().opt_in());
  wanted.purpose = request.topic().purpose();
  if (const absl::Status valid = ValidateTopic(wanted); !valid.ok()) return reply(valid);
  journal::MutationInfo info = journal::InfoFor(call, *tenant, request);
  info.shards.set(ShardOf(*tenant, kTopicsList));
  journal::Mutate<ContactWork>(
      *parts_.lanes, std::move(info),
      [tenant = *tenant, id = wanted.id](ContactWork& work) { work.NeedTopic(tenant, id); },
      [tenant = *tenant, wanted](ContactWork& work,
                                 journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        if (work.FindTopic(tenant, wanted.id) != nullptr) {
          return error::Make(absl::StatusCode::kAlreadyExists, "TOPIC_EXISTS",
                             absl::StrCat("topic_id: '", wanted.id, "' is there already"));
        }
        Topic topic = wanted;
        topic.create_time = recorder.now();
        work.SaveTopic(tenant, topic);
        const v1::Topic out = ToProto(tenant, topic);
        recorder.Record({ShardOf(tenant, kTopicsList), tenant, out.name(),
                         v1::Topic::descriptor()->full_name(), 1, std::nullopt, "",
                         out.SerializeAsString()});
        return out.SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::ListTopicsResponse> ConsentHandlers::ListTopics(
    const rpc::Call& call, const v1::ListTopicsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListTopics", tenant};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  CLM_ASSIGN_OR_RETURN(auto topics, parts_.reader->Topics(tenant, last.empty() ? "" : last[0],
                                                          size + 1, call.deadline));
  v1::ListTopicsResponse response;
  const bool more = static_cast<int>(topics.size()) > size;
  if (more) topics.resize(size);
  for (const auto& topic : topics) *response.add_topics() = ToProto(tenant, topic);
  if (more) response.set_next_page_token(parts_.tokens->Encode(list, {topics.back().id}));
  return response;
}

void ConsentHandlers::Move(const rpc::Call& call, const v1::SubscribeRequest& request,
                           bool subscribe, rpc::Reply<v1::Subscription> reply) {
  const auto key = ParseEntityName("contact", kContacts, request.contact());
  if (!key.ok()) return reply(key.status());
  const auto topic = ParseResourceName("topic", "tenants/*/topics/*", request.topic());
  if (!topic.ok()) return reply(topic.status());
  if ((*topic)[0] != key->tenant) {
    return reply(error::InvalidField("topic", "is of another tenant than the contact"));
  }
  if (!subscribe && request.confirmed()) {
    return reply(error::InvalidField("confirmed", "is for Subscribe only"));
  }
  std::optional<absl::Time> at;
  if (request.has_act_time()) at = FromProto(request.act_time());
  if (at && *at > call.now + kClockTolerance) {
    return reply(error::InvalidField("act_time", "lies more than 10 minutes in the future"));
  }
  ContactMutation<v1::Subscription> mutation;
  mutation.info = journal::InfoFor(call, key->tenant, request);
  mutation.key = *key;
  mutation.declare = [topic = (*topic)[1]](ContactWork& work, const EntityKey& k) {
    work.NeedSurroundings(k);
    work.NeedTopic(k.tenant, topic);
  };
  mutation.apply = [topic = (*topic)[1], at, subscribe, confirmed = request.confirmed(),
                    source = request.source(), actor = call.caller.actor](
                       ContactWork& work, journal::Recorder& recorder,
                       const EntityKey& k) -> absl::StatusOr<v1::Subscription> {
    CLM_RETURN_IF_ERROR(RequirePerson(work, k).status());
    if (work.FindTopic(k.tenant, topic) == nullptr) {
      return error::NotFound(TopicName(k.tenant, topic));
    }
    const SubscriptionAct act{at.value_or(recorder.now()), true, actor, source};
    const std::optional<Subscription> before = work.FindSubscription(k, topic);
    std::optional<Subscription> after = subscribe ? ::clm::contact::Subscribe(before, topic, act)
                                                  : ::clm::contact::Unsubscribe(before, topic, act);
    if (confirmed) {
      CLM_ASSIGN_OR_RETURN(const auto confirmation, Confirm(after ? after : before, act));
      if (confirmation) after = confirmation;
    }
    if (!after) return ToProto(k.tenant, before.value_or(Subscription{topic}));
    work.SaveSubscription(k, *after);
    RecordConsentChange(work, recorder, k, {absl::StrCat("topics.", topic)});
    return ToProto(k.tenant, *after);
  };
  RunOnContact(*parts_.lanes, std::move(mutation), std::move(reply));
}

void ConsentHandlers::Subscribe(const rpc::Call& call, const v1::SubscribeRequest& request,
                                rpc::Reply<v1::Subscription> reply) {
  Move(call, request, true, std::move(reply));
}

void ConsentHandlers::Unsubscribe(const rpc::Call& call, const v1::SubscribeRequest& request,
                                  rpc::Reply<v1::Subscription> reply) {
  Move(call, request, false, std::move(reply));
}

void ConsentHandlers::RecordConsent(const rpc::Call& call, const v1::RecordConsentRequest& request,
                                    rpc::Reply<v1::ConsentAct> reply) {
  const auto key = ParseEntityName("contact", kContacts, request.contact());
  if (!key.ok()) return reply(key.status());
  ConsentAct wanted = FromProto(request.consent_act(), call.now);
  wanted.actor = call.caller.actor;
  if (const absl::Status valid = ValidateConsentAct(wanted, call.now); !valid.ok()) {
    return reply(Renamed(valid, "consent.", "consent_act."));
  }
  ContactMutation<v1::ConsentAct> mutation;
  mutation.info = journal::InfoFor(call, key->tenant, request);
  mutation.key = *key;
  mutation.declare = [](ContactWork& work, const EntityKey& k) { work.NeedSurroundings(k); };
  mutation.apply = [wanted](ContactWork& work, journal::Recorder& recorder,
                            const EntityKey& k) -> absl::StatusOr<v1::ConsentAct> {
    CLM_RETURN_IF_ERROR(RequirePerson(work, k).status());
    for (const ConsentAct& known : work.Consents(k)) {
      if (SameAct(known, wanted)) return ToProto(known);
    }
    ConsentAct act = wanted;
    act.record_time = recorder.now();
    work.AddConsent(k, act);
    RecordConsentChange(work, recorder, k, {absl::StrCat("consents.", act.purpose)});
    return ToProto(act);
  };
  RunOnContact(*parts_.lanes, std::move(mutation), std::move(reply));
}

absl::StatusOr<v1::ListConsentActsResponse> ConsentHandlers::ListConsentActs(
    const rpc::Call& call, const v1::ListConsentActsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey asked,
                       ParseEntityName("parent", kContacts, request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListConsentActs", request.parent()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<std::pair<absl::Time, Uuid>> after;
  if (last.size() == 2) {
    int64_t micros = 0;
    const auto id = Uuid::FromBytes(last[1]);
    if (absl::SimpleAtoi(last[0], &micros) && id) after = {absl::FromUnixMicros(micros), *id};
  }
  CLM_ASSIGN_OR_RETURN(const auto found,
                       parts_.reader->Get(asked.tenant, {asked.id}, call.deadline));
  if (!found[0]) return error::NotFound(request.parent());
  CLM_ASSIGN_OR_RETURN(const auto page, parts_.reader->ConsentActs(found[0]->contact.key, after,
                                                                   size + 1, call.deadline));
  v1::ListConsentActsResponse response;
  const size_t shown = std::min<size_t>(size, page.acts.size());
  for (size_t i = 0; i < shown; ++i) *response.add_consent_acts() = ToProto(page.acts[i]);
  if (page.acts.size() > shown) {
    const auto& [time, id] = page.places[shown - 1];
    response.set_next_page_token(
        parts_.tokens->Encode(list, {absl::StrCat(absl::ToUnixMicros(time)), id.ToBytes()}));
  }
  return response;
}

absl::StatusOr<v1::ListSubscriptionsResponse> ConsentHandlers::ListSubscriptions(
    const rpc::Call& call, const v1::ListSubscriptionsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("parent", kContacts, request.parent()));
  CLM_ASSIGN_OR_RETURN(auto whole, parts_.reader->GetWhole(key, call.deadline));
  std::vector<Subscription>& all = whole.around.subscriptions;
  // By bytes, as places are compared; the database may sort by the rules of a language.
  std::sort(all.begin(), all.end(),
            [](const Subscription& a, const Subscription& b) { return a.topic < b.topic; });
  v1::ListSubscriptionsResponse response;
  CLM_ASSIGN_OR_RETURN(
      *response.mutable_next_page_token(),
      AddPage(
          PageOf{*parts_.tokens,
                 {"ListSubscriptions", request.parent()},
                 request.page_size(),
                 request.page_token()},
          all, [](const Subscription& s) { return std::vector{s.topic}; },
          [&](const Subscription& s) { *response.add_subscriptions() = ToProto(key.tenant, s); }));
  return response;
}

void ConsentHandlers::SuppressAddress(const rpc::Call& call,
                                      const v1::SuppressAddressRequest& request,
                                      rpc::Reply<v1::Suppression> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  Suppression wanted;
  wanted.channel = request.suppression().channel();
  wanted.address = request.suppression().address();
  wanted.reason = static_cast<SuppressionReason>(request.suppression().reason());
  wanted.actor = call.caller.actor;
  if (wanted.reason == SuppressionReason::kErased) {
    return reply(error::InvalidField("suppression.reason", "ERASED comes from EraseContact only"));
  }
  auto mutation = std::make_shared<AddressMutation<v1::Suppression>>();
  mutation->info = journal::InfoFor(call, *tenant, request);
  mutation->tenant = *tenant;
  auto suppress = [this, wanted, mutation,
                   reply = std::move(reply)](absl::StatusOr<IdentityPolicyPtr> policy) mutable {
    if (!policy.ok()) return reply(policy.status());
    const auto normal = NormalizeSuppression(wanted, {.policy = policy->get()});
    if (!normal.ok()) return reply(normal.status());
    mutation->channel = normal->channel;
    mutation->address = normal->address;
    mutation->apply = [tenant = mutation->tenant, wanted = *normal](
                          ContactWork& work, absl::Time now,
                          v1::Suppression& response) -> absl::StatusOr<bool> {
      const Suppression* known = work.FindSuppression(tenant, wanted.channel, wanted.address);
      // The first reason stays, but one that can be lifted gives way to one that cannot.
      if (known != nullptr && (!Liftable(known->reason) || Liftable(wanted.reason))) {
        response = ToProto(*known);
        return false;
      }
      Suppression next = wanted;
      next.create_time = known == nullptr ? now : known->create_time;
      work.SaveSuppression(tenant, next);
      response = ToProto(next);
      return true;
    };
    RunOnAddress(parts_, std::move(mutation),
                 std::make_shared<rpc::Reply<v1::Suppression>>(std::move(reply)));
  };
  WithPolicy(parts_, *tenant, call.now, call.deadline, std::move(suppress));
}

void ConsentHandlers::LiftSuppression(const rpc::Call& call,
                                      const v1::LiftSuppressionRequest& request,
                                      rpc::Reply<v1::LiftSuppressionResponse> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  const Suppression wanted{request.channel(), request.address(), SuppressionReason::kManual,
                           call.now, ""};
  auto mutation = std::make_shared<AddressMutation<v1::LiftSuppressionResponse>>();
  mutation->info = journal::InfoFor(call, *tenant, request);
  mutation->tenant = *tenant;
  mutation->cause = absl::StrCat("lifted: ", request.reason());
  auto lift = [this, wanted, mutation,
               reply = std::move(reply)](absl::StatusOr<IdentityPolicyPtr> policy) mutable {
    if (!policy.ok()) return reply(policy.status());
    const auto normal = NormalizeSuppression(wanted, {.policy = policy->get()});
    if (!normal.ok()) return reply(Renamed(normal.status(), "suppression.", ""));
    mutation->channel = normal->channel;
    mutation->address = normal->address;
    mutation->apply =
        [tenant = mutation->tenant, channel = normal->channel, address = normal->address](
            ContactWork& work, absl::Time, v1::LiftSuppressionResponse&) -> absl::StatusOr<bool> {
      const Suppression* known = work.FindSuppression(tenant, channel, address);
      if (known == nullptr) {
        return error::NotFound(absl::StrCat("tenants/", tenant, "/suppressions of this address"));
      }
      if (!Liftable(known->reason)) {
        return error::Precondition(
            "SUPPRESSION_PERMANENT",
            absl::StrCat("address: is suppressed as ", ReasonName(known->reason),
                         ", which cannot be lifted"),
            {{"reason", std::string(ReasonName(known->reason))}});
      }
      work.RemoveSuppression(tenant, channel, address);
      return true;
    };
    RunOnAddress(parts_, std::move(mutation),
                 std::make_shared<rpc::Reply<v1::LiftSuppressionResponse>>(std::move(reply)));
  };
  WithPolicy(parts_, *tenant, call.now, call.deadline, std::move(lift));
}

absl::StatusOr<v1::ListSuppressionsResponse> ConsentHandlers::ListSuppressions(
    const rpc::Call& call, const v1::ListSuppressionsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListSuppressions", tenant};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<ContactReader::SuppressionPlace> after;
  if (last.size() == 3) {
    int64_t micros = 0;
    if (absl::SimpleAtoi(last[0], &micros)) {
      after = ContactReader::SuppressionPlace{absl::FromUnixMicros(micros), last[1], last[2]};
    }
  }
  CLM_ASSIGN_OR_RETURN(const auto page,
                       parts_.reader->ListSuppressions(tenant, after, size + 1, call.deadline));
  v1::ListSuppressionsResponse response;
  const size_t shown = std::min<size_t>(size, page.suppressions.size());
  for (size_t i = 0; i < shown; ++i) *response.add_suppressions() = ToProto(page.suppressions[i]);
  if (page.suppressions.size() > shown) {
    const auto& place = page.places[shown - 1];
    response.set_next_page_token(parts_.tokens->Encode(
        list, {absl::StrCat(absl::ToUnixMicros(place.create_time)), place.channel, place.hash}));
  }
  return response;
}

absl::StatusOr<v1::CheckReachResponse> ConsentHandlers::CheckReach(
    const rpc::Call& call, const v1::CheckReachRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key,
                       ParseEntityName("contact", kContacts, request.contact()));
  CLM_ASSIGN_OR_RETURN(const auto topic,
                       ParseResourceName("topic", "tenants/*/topics/*", request.topic()));
  if (topic[0] != key.tenant) {
    return error::InvalidField("topic", "is of another tenant than the contact");
  }
  ReceiveQuestion question;
  CLM_ASSIGN_OR_RETURN(question.topic,
                       parts_.reader->GetTopic(key.tenant, topic[1], call.deadline));
  CLM_ASSIGN_OR_RETURN(ContactReader::Whole whole, parts_.reader->GetWhole(key, call.deadline));
  question.status = whole.stored.contact.status;
  question.suppressions = std::move(whole.around.suppressions);
  question.consents = std::move(whole.around.consents);
  for (auto& subscription : whole.around.subscriptions) {
    if (subscription.topic == topic[1]) question.subscription = std::move(subscription);
  }
  const std::optional<Refused> refused = MayReceive(question, call.now);
  v1::CheckReachResponse response;
  response.set_allowed(!refused);
  if (refused) {
    response.set_reason(std::string(RefusalName(refused->why)));
    if (refused->suppression) {
      absl::StrAppend(response.mutable_reason(), "_", ReasonName(*refused->suppression));
    }
  }
  return response;
}

}  // namespace clm::contact
