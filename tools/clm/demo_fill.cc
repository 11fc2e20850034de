#include "tools/clm/demo_fill.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "clm/contact/v1/consent_service.grpc.pb.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "clm/lifecycle/v1/insights_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/time_text.h"
#include "tools/clm/demo_loyalty.h"
#include "tools/clm/sender.h"
#include "tools/clm/values.h"
#include "tools/terminal/progress.h"

namespace clm::cli {
namespace {

// Many, because acts of consent are calls of their own.
constexpr size_t kLanes = 32;
constexpr int kContactsPerRequest = 500;
constexpr int kEventsPerRequest = 500;
constexpr char kIdType[] = "user_id";
constexpr char kEndNote[] = "demo_end/";

// What is there already is as good as made.
absl::Status Made(const absl::Status& status) {
  return status.code() == absl::StatusCode::kAlreadyExists ? absl::OkStatus() : status;
}

absl::StatusOr<demo::Options> ShopOptions(const Cli& cli, const DemoOptions& options) {
  const Home home = cli.home();
  const std::string note = absl::StrCat(kEndNote, cli.tenant());
  std::string end = options.end;
  if (end.empty() && cli.local()) end = home.Note(note);
  if (end.empty()) end = FormatDay(absl::ToCivilDay(absl::Now(), absl::UTCTimeZone()));
  const auto day = ParseDay(end);
  if (!day) return error::InvalidField("--end", absl::StrCat("'", end, "' is not a day"));
  const absl::Time time = absl::FromCivil(*day, absl::UTCTimeZone());
  if (time > absl::Now()) return error::InvalidField("--end", "must not lie ahead");
  if (cli.local()) CLM_RETURN_IF_ERROR(home.KeepNote(note, end));
  return demo::Options{.contacts = options.contacts, .months = options.months, .end = time};
}

contact::v1::Contact ContactOf(const demo::Contact& person, absl::Time since) {
  contact::v1::Contact contact;
  (*contact.mutable_external_ids())[kIdType] = person.external_id;
  contact.set_email(person.email);
  contact.set_phone(person.phone);
  contact.set_given_name(person.given_name);
  contact.set_family_name(person.family_name);
  contact.set_locale(person.locale);
  contact.set_timezone(person.timezone);
  contact.set_source(person.source);
  (*contact.mutable_attributes())["roast"].set_string_value(person.roast);
  (*contact.mutable_attributes())["brew_method"].set_string_value(person.brew_method);
  SetTime(since, contact.mutable_create_time());
  return contact;
}

void FillEvent(const demo::Event& event, absl::Time time, contact::v1::BehaviorEvent* out) {
  out->set_event_id(event.id.ToString());
  out->set_type(event.type);
  SetTime(time, out->mutable_occur_time());
  if (event.amount_minor) {
    out->set_amount_minor(*event.amount_minor);
    out->set_currency(demo::kCurrency);
  }
  if (event.quantity) out->set_quantity(*event.quantity);
  out->set_channel(event.channel);
  for (const auto& [key, value] : event.properties) {
    (*out->mutable_properties())[key].set_string_value(value);
  }
}

// Who becomes a roaster of the bean club is loyal, however seldom they buy.
absl::Status MakeTierRule(Cli& cli) {
  using Stub = lifecycle::v1::LifecycleService::Stub;
  lifecycle::v1::CreateRuleRequest request;
  request.set_parent(cli.Name("stageModels", kDemoModel));
  request.set_rule_id("roaster");
  lifecycle::v1::TransitionRule* rule = request.mutable_rule();
  rule->set_display_name("Roaster of the bean club");
  rule->set_priority(20);
  for (const char* stage : {"repeat_buyer", "subscriber", "returned"}) {
    rule->add_from_stages(stage);
  }
  rule->set_to_stage("loyal");
  rule->mutable_trigger()->mutable_event()->set_event_type("loyalty.tier_changed");
  rule->set_condition(R"(properties.to_tier = "roaster" AND properties.direction = "up")");
  const absl::Status made = cli.Call(&Stub::CreateRule, request).status();
  if (!made.ok()) return Made(made);
  lifecycle::v1::RuleVerbRequest enable;
  enable.set_name(absl::StrCat(request.parent(), "/rules/roaster"));
  // The shop's history is told only now.
  enable.set_include_history(true);
  return cli.Call(&Stub::EnableRule, enable).status();
}

// The pieces that must be there before the first person.
absl::Status MakeFrame(Cli& cli) {
  lifecycle::v1::InstallPresetRequest install;
  install.set_parent(cli.tenant_name());
  install.set_preset(kDemoModel);
  install.set_enable_rules(true);
  CLM_RETURN_IF_ERROR(
      Made(cli.Call(&lifecycle::v1::LifecycleService::Stub::InstallPreset, install).status()));
  CLM_RETURN_IF_ERROR(MakeTierRule(cli));
  const std::vector<std::pair<const char*, std::vector<const char*>>> attributes = {
      {"roast", {"light", "medium", "dark"}},
      {"brew_method", {"filter", "espresso", "press", "moka"}}};
  for (const auto& [id, values] : attributes) {
    contact::v1::CreateAttributeDefinitionRequest request;
    request.set_parent(cli.tenant_name());
    request.set_attribute_id(id);
    request.mutable_attribute_definition()->set_type(contact::v1::AttributeDefinition::TYPE_ENUM);
    for (const char* value : values) request.mutable_attribute_definition()->add_enum_values(value);
    CLM_RETURN_IF_ERROR(Made(
        cli.Call(&contact::v1::ContactService::Stub::CreateAttributeDefinition, request).status()));
  }
  for (const char* topic : {demo::kNewsletter, demo::kOffers}) {
    contact::v1::CreateTopicRequest request;
    request.set_parent(cli.tenant_name());
    request.set_topic_id(topic);
    request.mutable_topic()->set_display_name(topic);
    request.mutable_topic()->set_channel("email");
    request.mutable_topic()->set_opt_in(contact::v1::Topic::OPT_IN_DOUBLE);
    CLM_RETURN_IF_ERROR(
        Made(cli.Call(&contact::v1::ConsentService::Stub::CreateTopic, request).status()));
  }
  return absl::OkStatus();
}

// Goals of the shop, one per person who answers for it.
absl::Status MakeKpis(Cli& cli) {
  using lifecycle::v1::Kpi;
  struct Goal {
    const char* id;
    const char* name;
    Kpi::Metric metric;
    const char* stage;  // Empty: of the whole shop.
    int64_t target;
    bool lower_is_better;
    const char* owner;
  };
  const std::vector<Goal> goals = {
      {"subscribers", "Subscribers", Kpi::METRIC_STAGE_COUNT, "subscriber", 400, false, "Mira"},
      {"at-risk", "Customers at risk", Kpi::METRIC_STAGE_COUNT, "at_risk", 150, true, "Jonas"},
      {"revenue", "Revenue of the month", Kpi::METRIC_REVENUE, "", 2'000'000, false, "Mira"},
      {"repeat-rate", "Buyers who bought before", Kpi::METRIC_REPEAT_RATE, "", 600'000, false,
       "Jonas"},
      {"one-and-done", "Bought once only", Kpi::METRIC_ONE_AND_DONE, "", 350'000, true, "Jonas"}};
  for (const Goal& goal : goals) {
    lifecycle::v1::CreateKpiRequest request;
    request.set_parent(cli.tenant_name());
    request.set_kpi_id(goal.id);
    Kpi* kpi = request.mutable_kpi();
    kpi->set_display_name(goal.name);
    kpi->set_metric(goal.metric);
    kpi->set_target(goal.target);
    kpi->set_lower_is_better(goal.lower_is_better);
    kpi->set_owner(goal.owner);
    kpi->set_period(lifecycle::v1::PERIOD_MONTH);
    if (*goal.stage != '\0') {
      kpi->set_model(cli.Name("stageModels", kDemoModel));
      kpi->set_stage(goal.stage);
    }
    CLM_RETURN_IF_ERROR(
        Made(cli.Call(&lifecycle::v1::InsightsService::Stub::CreateKpi, request).status()));
  }
  return absl::OkStatus();
}

class Filler {
 public:
  Filler(Cli& cli, const demo::Options& shop, terminal::Format format)
      : cli_(cli), shop_(shop), format_(format) {}

  absl::StatusOr<DemoReport> Run() {
    CLM_RETURN_IF_ERROR(EnsureTenant(cli_));
    CLM_RETURN_IF_ERROR(MakeFrame(cli_));
    CLM_RETURN_IF_ERROR(MakeDemoProgram(cli_));
    CLM_RETURN_IF_ERROR(SendContacts());
    const int64_t before = CountPurchases(cli_);
    CLM_RETURN_IF_ERROR(SendHistory());
    if (report_.refused > 0) {
      cli_.Note(absl::StrCat(report_.refused, " refused, the first: ", refusal_.message()));
    }
    CLM_RETURN_IF_ERROR(AwaitLifecycle(cli_, std::max(purchases_, before + new_purchases_)));
    CLM_RETURN_IF_ERROR(UseDemoProgram(cli_, Contacts()));
    const absl::Status kpis = MakeKpis(cli_);
    if (!kpis.ok() && kpis.code() != absl::StatusCode::kUnimplemented) return kpis;
    return report_;
  }

 private:
  // Their names, in the order of their ids in the shop.
  std::vector<std::string> Contacts() const {
    absl::btree_map<Uuid, std::string> sorted(names_.begin(), names_.end());
    std::vector<std::string> contacts;
    for (const auto& [id, name] : sorted) contacts.push_back(name);
    return contacts;
  }

  // A refund names what it is for: the last purchase before it that was as large.
  void NameRefunded(const demo::Event& event, contact::v1::BehaviorEvent* out) {
    if (!event.amount_minor) return;
    if (event.type == "purchase") {
      bought_[event.contact].emplace_back(event.id, *event.amount_minor);
    }
    if (event.type != "refund") return;
    auto& bought = bought_[event.contact];
    const auto found = std::find_if(bought.rbegin(), bought.rend(), [&](const auto& purchase) {
      return purchase.second >= *event.amount_minor;
    });
    if (found == bought.rend()) return;
    (*out->mutable_properties())["refund_of"].set_string_value(found->first.ToString());
    bought.erase(std::next(found).base());
  }

  absl::Status SendContacts() {
    terminal::Progress progress("contacts", shop_.contacts, format_, cli_.error_screen(), clock_,
                                std::cerr);
    Sender sender(kLanes);
    struct Batch {
      std::vector<Uuid> ids;
      contact::v1::BatchUpsertContactsRequest request;
    };
    auto batch = std::make_shared<Batch>();
    size_t lane = 0;
    const auto post = [&] {
      batch->request.set_parent(cli_.tenant_name());
      auto full = std::exchange(batch, std::make_shared<Batch>());
      return sender.Post(lane++ % kLanes, [this, full, &progress]() -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const auto response, UpsertContacts(cli_, full->request));
        absl::MutexLock lock(&mu_);
        for (int i = 0; i < response.results_size(); ++i) {
          CLM_RETURN_IF_ERROR(StatusOf(response.results(i).status()));
          names_[full->ids[static_cast<size_t>(i)]] = response.results(i).contact();
        }
        report_.contacts += response.results_size();
        progress.Update(report_.contacts);
        return absl::OkStatus();
      });
    };
    CLM_RETURN_IF_ERROR(demo::Generate(shop_, [&](const demo::Record& record) -> absl::Status {
      const auto* person = std::get_if<demo::Contact>(&record.body);
      if (person == nullptr) return absl::OkStatus();
      auto* upsert = batch->request.add_requests();
      upsert->set_key(absl::StrCat("external_ids.", kIdType));
      *upsert->mutable_contact() = ContactOf(*person, record.time);
      batch->ids.push_back(person->id);
      return batch->request.requests_size() < kContactsPerRequest ? absl::OkStatus() : post();
    }));
    if (batch->request.requests_size() > 0) CLM_RETURN_IF_ERROR(post());
    return sender.Wait();
  }

  // Everything else, one lane per group of customers, so that each one's acts keep their order.
  absl::Status SendHistory() {
    int64_t total = 0;
    CLM_RETURN_IF_ERROR(demo::Generate(shop_, [&](const demo::Record& record) {
      if (!std::holds_alternative<demo::Contact>(record.body)) ++total;
      return absl::OkStatus();
    }));
    terminal::Progress progress("history", total, format_, cli_.error_screen(), clock_, std::cerr);
    progress_ = &progress;
    std::vector<contact::v1::IngestEventsRequest> open(kLanes);
    Sender sender(kLanes);
    const auto flush = [&](size_t lane) {
      if (open[lane].events_size() == 0) return absl::OkStatus();
      auto request = std::make_shared<contact::v1::IngestEventsRequest>();
      request->Swap(&open[lane]);
      request->set_parent(cli_.tenant_name());
      return sender.Post(lane, [this, request] { return SendEvents(*request); });
    };
    CLM_RETURN_IF_ERROR(demo::Generate(shop_, [&](const demo::Record& record) -> absl::Status {
      if (const auto* event = std::get_if<demo::Event>(&record.body)) {
        const size_t lane = LaneOf(event->contact);
        contact::v1::BehaviorEvent* out = open[lane].add_events();
        FillEvent(*event, record.time, out);
        NameRefunded(*event, out);
        out->set_contact(names_[event->contact]);
        if (event->type == "purchase") ++purchases_;
        return open[lane].events_size() < kEventsPerRequest ? absl::OkStatus() : flush(lane);
      }
      return PostAct(record, sender);
    }));
    for (size_t lane = 0; lane < kLanes; ++lane) CLM_RETURN_IF_ERROR(flush(lane));
    const absl::Status sent = sender.Wait();
    progress_ = nullptr;
    return sent;
  }

  size_t LaneOf(const Uuid& contact) const {
    return static_cast<size_t>(ShardOf(cli_.tenant(), contact)) % kLanes;
  }

  absl::Status SendEvents(const contact::v1::IngestEventsRequest& request) {
    CLM_ASSIGN_OR_RETURN(const auto response, IngestEvents(cli_, request));
    absl::MutexLock lock(&mu_);
    for (int i = 0; i < response.results_size(); ++i) {
      const auto& result = response.results(i);
      if (result.status().code() != 0) {
        Refused(StatusOf(result.status()));
      } else if (result.duplicate()) {
        ++report_.known;
      } else if (request.events(i).type() == "purchase") {
        ++new_purchases_;
      }
    }
    report_.events += request.events_size();
    return Advance(request.events_size());
  }

  void Refused(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ++report_.refused;
    if (refusal_.ok()) refusal_ = status;
  }

  absl::Status Advance(int64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    done_ += count;
    progress_->Update(done_, {{"known", report_.known}});
    return absl::OkStatus();
  }

  template <class Stub, class Request, class Response>
  absl::Status Post(Sender& sender, size_t lane,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    Request request, int64_t DemoReport::*count) {
    return sender.Post(lane, [this, method, request = std::move(request), count] {
      const absl::Status status =
          Persist(cli_, [&] { return cli_.Call(method, request).status(); });
      if (!status.ok() && error::IsTransient(status)) return status;
      absl::MutexLock lock(&mu_);
      // One person's act that is refused is counted; it must not stop the others.
      if (Made(status).ok()) {
        ++(report_.*count);
      } else {
        Refused(status);
      }
      return Advance(1);
    });
  }

  absl::Status PostAct(const demo::Record& record, Sender& sender) {
    using contact::v1::ConsentService;
    if (const auto* consent = std::get_if<demo::Consent>(&record.body)) {
      contact::v1::RecordConsentRequest request;
      request.set_contact(names_[consent->contact]);
      request.set_request_id(consent->id.ToString());
      contact::v1::ConsentAct* act = request.mutable_consent_act();
      act->set_purpose(consent->purpose);
      act->set_state(consent->state == demo::Consent::State::kGranted
                         ? contact::v1::ConsentAct::STATE_GRANTED
                     : consent->state == demo::Consent::State::kDenied
                         ? contact::v1::ConsentAct::STATE_DENIED
                         : contact::v1::ConsentAct::STATE_REVOKED);
      act->set_legal_basis("consent");
      act->set_source(consent->source);
      act->set_text_version(consent->text_version);
      SetTime(record.time, act->mutable_act_time());
      return Post(sender, LaneOf(consent->contact), &ConsentService::Stub::RecordConsent,
                  std::move(request), &DemoReport::consents);
    }
    if (const auto* topic = std::get_if<demo::TopicAct>(&record.body)) {
      contact::v1::SubscribeRequest request;
      request.set_contact(names_[topic->contact]);
      request.set_topic(cli_.Name("topics", topic->topic));
      request.set_confirmed(topic->kind == demo::TopicAct::Kind::kConfirmed);
      request.set_source(topic->source);
      request.set_request_id(topic->id.ToString());
      SetTime(record.time, request.mutable_act_time());
      return Post(sender, LaneOf(topic->contact),
                  topic->kind == demo::TopicAct::Kind::kUnsubscribed
                      ? &ConsentService::Stub::Unsubscribe
                      : &ConsentService::Stub::Subscribe,
                  std::move(request), &DemoReport::consents);
    }
    if (const auto* bounce = std::get_if<demo::HardBounce>(&record.body)) {
      contact::v1::SuppressAddressRequest request;
      request.set_parent(cli_.tenant_name());
      request.mutable_suppression()->set_channel("email");
      request.mutable_suppression()->set_address(bounce->email);
      request.mutable_suppression()->set_reason(contact::v1::Suppression::REASON_HARD_BOUNCE);
      request.set_request_id(bounce->id.ToString());
      return Post(sender, LaneOf(bounce->contact), &ConsentService::Stub::SuppressAddress,
                  std::move(request), &DemoReport::consents);
    }
    if (const auto* cost = std::get_if<demo::Cost>(&record.body)) {
      contact::v1::CreateAcquisitionCostRequest request;
      request.set_parent(cli_.tenant_name());
      contact::v1::AcquisitionCost* out = request.mutable_acquisition_cost();
      out->set_name(cli_.Name("acquisitionCosts", cost->id.ToString()));
      out->set_source(cost->source);
      out->set_start_date(FormatDay(cost->first));
      out->set_end_date(FormatDay(cost->last));
      out->set_amount_minor(cost->amount_minor);
      out->set_currency(demo::kCurrency);
      request.set_request_id(cost->id.ToString());
      return Post(sender, 0, &contact::v1::TimelineService::Stub::CreateAcquisitionCost,
                  std::move(request), &DemoReport::costs);
    }
    return absl::OkStatus();
  }

  Cli& cli_;
  const demo::Options shop_;
  const terminal::Format format_;
  const SystemClock clock_;
  terminal::Progress* progress_ = nullptr;
  absl::Mutex mu_;
  absl::flat_hash_map<Uuid, std::string> names_;
  absl::flat_hash_map<Uuid, std::vector<std::pair<Uuid, int64_t>>> bought_;  // Id, minor units.
  DemoReport report_;
  absl::Status refusal_;
  int64_t done_ = 0, purchases_ = 0, new_purchases_ = 0;
};

}  // namespace

absl::StatusOr<DemoReport> FillDemo(Cli& cli, const DemoOptions& options) {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  CLM_ASSIGN_OR_RETURN(const demo::Options shop, ShopOptions(cli, options));
  return Filler(cli, shop, format).Run();
}

absl::Status RunLoad(Cli& cli, const DemoOptions& options, double per_second,
                     const std::atomic<bool>& stop, std::atomic<int64_t>& sent) {
  CLM_ASSIGN_OR_RETURN(const demo::Options shop, ShopOptions(cli, options));
  // Events name people by their id in the shop, as a shop's own system would.
  absl::flat_hash_map<Uuid, std::string> ids;
  CLM_RETURN_IF_ERROR(demo::Generate(shop, [&](const demo::Record& record) {
    if (const auto* person = std::get_if<demo::Contact>(&record.body)) {
      ids[person->id] = person->external_id;
    }
    return absl::OkStatus();
  }));
  demo::Load load(shop, absl::Now(), per_second);
  while (!stop) {
    const demo::Record record = load.Next();
    while (!stop && absl::Now() < record.time) {
      absl::SleepFor(std::min(record.time - absl::Now(), absl::Milliseconds(100)));
    }
    if (stop) break;
    if (const auto* person = std::get_if<demo::Contact>(&record.body)) {
      ids[person->id] = person->external_id;
      contact::v1::BatchUpsertContactsRequest request;
      request.set_parent(cli.tenant_name());
      auto* upsert = request.add_requests();
      upsert->set_key(absl::StrCat("external_ids.", kIdType));
      *upsert->mutable_contact() = ContactOf(*person, record.time);
      CLM_RETURN_IF_ERROR(UpsertContacts(cli, std::move(request)).status());
      ++sent;
    } else if (const auto* event = std::get_if<demo::Event>(&record.body)) {
      contact::v1::IngestEventsRequest request;
      request.set_parent(cli.tenant_name());
      FillEvent(*event, record.time, request.add_events());
      (*request.mutable_events(0)->mutable_identifiers())[kIdType] = ids[event->contact];
      CLM_RETURN_IF_ERROR(IngestEvents(cli, request).status());
      ++sent;
    }
  }
  return absl::OkStatus();
}

}  // namespace clm::cli
