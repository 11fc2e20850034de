#include "tools/clm/consent_command.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "clm/contact/v1/consent_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/time_text.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using contact::v1::AcquisitionCost;
using contact::v1::ConsentAct;
using contact::v1::Subscription;
using contact::v1::Suppression;
using contact::v1::Topic;
using Stub = contact::v1::ConsentService::Stub;
using Timeline = contact::v1::TimelineService::Stub;

constexpr char kContact[] = "id, name, e-mail address, +phone, or TYPE:VALUE";
const std::vector<std::string> kChannels = {"email", "sms", "push", "post", "phone"};

// "granted" of STATE_GRANTED and the like.
template <class Enum>
absl::StatusOr<Enum> ParseWord(const char* flag, const std::string& prefix, const std::string& word,
                               bool (*parse)(google::protobuf::ConstStringParam, Enum*),
                               const char* words) {
  std::string name = absl::AsciiStrToUpper(word);
  for (char& c : name) c = c == '-' ? '_' : c;
  Enum value;
  if (parse(absl::StrCat(prefix, name), &value)) return value;
  return error::InvalidField(flag, absl::StrCat("must be ", words));
}

struct Flags {
  std::string contact, topic, display_name, channel, opt_in, purpose, state, address, reason;
  std::string source, basis, text_version, at, expires, start, end, amount, currency, request_id;
  bool confirmed = false;
  int64_t limit = 50;
};

// ---- topics

terminal::Table TopicTable(const std::vector<Topic>& topics) {
  terminal::Table table({{"name", "TOPIC"},
                         {"display_name", "NAME"},
                         {"channel"},
                         {"opt_in", "OPT-IN"},
                         {"create_time", "SINCE", true}});
  table.set_empty_text("no topics; clm topics create makes one");
  for (const Topic& t : topics) {
    table.Add({LastPart(t.name()), TextCell(t.display_name()), t.channel(),
               EnumText("OPT_IN_", Topic::OptIn_Name(t.opt_in())),
               TimeCell(t.has_create_time(), t.create_time())});
  }
  return table;
}

absl::Status CreateTopic(Cli& cli, const Flags& flags) {
  contact::v1::CreateTopicRequest request;
  request.set_parent(cli.tenant_name());
  request.set_topic_id(flags.topic);
  request.set_request_id(flags.request_id);
  request.mutable_topic()->set_display_name(flags.display_name);
  request.mutable_topic()->set_channel(flags.channel);
  CLM_ASSIGN_OR_RETURN(const Topic::OptIn opt_in,
                       ParseWord<Topic::OptIn>("--opt-in", "OPT_IN_", flags.opt_in,
                                               &Topic::OptIn_Parse, "single, double or none"));
  request.mutable_topic()->set_opt_in(opt_in);
  CLM_ASSIGN_OR_RETURN(const Topic made, cli.Call(&Stub::CreateTopic, request));
  return cli.Print({&made}, false, [&] { return TopicTable({made}); });
}

absl::Status ListTopics(Cli& cli, const Flags&) {
  contact::v1::ListTopicsRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(
      const std::vector<Topic> topics,
      cli.List(&Stub::ListTopics, request, &contact::v1::ListTopicsResponse::topics, /*limit=*/0));
  return cli.Print(Pointers(topics), true, [&] { return TopicTable(topics); });
}

terminal::Table SubscriptionTable(const std::vector<Subscription>& subscriptions) {
  terminal::Table table(
      {{"name", "TOPIC"}, {"state"}, {"change_time", "SINCE"}, {"source"}, {"actor", "", true}});
  table.set_empty_text("neither subscribed nor unsubscribed anywhere");
  for (const Subscription& s : subscriptions) {
    table.Add({LastPart(s.topic()), EnumText("STATE_", Subscription::State_Name(s.state())),
               TimeCell(s.has_change_time(), s.change_time()), TextCell(s.source()),
               TextCell(s.actor())});
  }
  return table;
}

absl::StatusOr<contact::v1::SubscribeRequest> SubscriptionOf(Cli& cli, const Flags& flags) {
  contact::v1::SubscribeRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  request.set_topic(cli.Name("topics", flags.topic));
  request.set_confirmed(flags.confirmed);
  request.set_source(flags.source);
  request.set_request_id(flags.request_id);
  if (!flags.at.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time at, ParseMoment("--at", flags.at, absl::Now()));
    SetTime(at, request.mutable_act_time());
  }
  return request;
}

absl::Status ShowSubscription(Cli& cli, const absl::StatusOr<Subscription>& subscription) {
  CLM_RETURN_IF_ERROR(subscription.status());
  return cli.Print({&*subscription}, false, [&] { return SubscriptionTable({*subscription}); });
}

absl::Status Subscribe(Cli& cli, const Flags& flags) {
  CLM_ASSIGN_OR_RETURN(const auto request, SubscriptionOf(cli, flags));
  return ShowSubscription(cli, cli.Call(&Stub::Subscribe, request));
}

absl::Status Unsubscribe(Cli& cli, const Flags& flags) {
  CLM_ASSIGN_OR_RETURN(const auto request, SubscriptionOf(cli, flags));
  return ShowSubscription(cli, cli.Call(&Stub::Unsubscribe, request));
}

absl::Status ListSubscriptions(Cli& cli, const Flags& flags) {
  contact::v1::ListSubscriptionsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), cli.ContactName(flags.contact));
  CLM_ASSIGN_OR_RETURN(
      const std::vector<Subscription> subscriptions,
      cli.List(&Stub::ListSubscriptions, request,
               &contact::v1::ListSubscriptionsResponse::subscriptions, /*limit=*/0));
  return cli.Print(Pointers(subscriptions), true, [&] { return SubscriptionTable(subscriptions); });
}

absl::Status CheckReach(Cli& cli, const Flags& flags) {
  contact::v1::CheckReachRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  request.set_topic(cli.Name("topics", flags.topic));
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Stub::CheckReach, request));
  return cli.Print({&response}, false, [&] {
    terminal::Table table({{"allowed"}, {"reason"}});
    table.Add({terminal::Cell(response.allowed(),
                              response.allowed() ? terminal::Tone::kGood : terminal::Tone::kWarn),
               TextCell(response.reason())});
    return table;
  });
}

// ---- consent

terminal::Table ConsentTable(const std::vector<ConsentAct>& acts) {
  terminal::Table table({{"act_time", "TIME"},
                         {"name", "PURPOSE"},
                         {"channel"},
                         {"state"},
                         {"expire_time", "UNTIL"},
                         {"legal_basis", "BASIS"},
                         {"source"},
                         {"text_version", "", true},
                         {"actor", "", true},
                         {"record_time", "", true}});
  table.set_empty_text("never asked");
  for (const ConsentAct& a : acts) {
    table.Add({TimeCell(a.has_act_time(), a.act_time()), a.purpose(), TextCell(a.channel()),
               EnumText("STATE_", ConsentAct::State_Name(a.state())),
               TimeCell(a.has_expire_time(), a.expire_time()), TextCell(a.legal_basis()),
               TextCell(a.source()), TextCell(a.text_version()), TextCell(a.actor()),
               TimeCell(a.has_record_time(), a.record_time())});
  }
  return table;
}

absl::Status RecordConsent(Cli& cli, const Flags& flags) {
  contact::v1::RecordConsentRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  request.set_request_id(flags.request_id);
  ConsentAct* act = request.mutable_consent_act();
  act->set_purpose(flags.purpose);
  act->set_channel(flags.channel);
  act->set_legal_basis(flags.basis);
  act->set_source(flags.source);
  act->set_text_version(flags.text_version);
  CLM_ASSIGN_OR_RETURN(
      const ConsentAct::State state,
      ParseWord<ConsentAct::State>("STATE", "STATE_", flags.state, &ConsentAct::State_Parse,
                                   "granted, denied or revoked"));
  act->set_state(state);
  if (!flags.at.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time at, ParseMoment("--at", flags.at, absl::Now()));
    SetTime(at, act->mutable_act_time());
  }
  if (!flags.expires.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time until,
                         ParseMoment("--expires", flags.expires, absl::Now()));
    SetTime(until, act->mutable_expire_time());
  }
  CLM_ASSIGN_OR_RETURN(const ConsentAct recorded, cli.Call(&Stub::RecordConsent, request));
  return cli.Print({&recorded}, false, [&] { return ConsentTable({recorded}); });
}

absl::Status ListConsent(Cli& cli, const Flags& flags) {
  contact::v1::ListConsentActsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), cli.ContactName(flags.contact));
  CLM_ASSIGN_OR_RETURN(const std::vector<ConsentAct> acts,
                       cli.List(&Stub::ListConsentActs, request,
                                &contact::v1::ListConsentActsResponse::consent_acts, flags.limit));
  return cli.Print(Pointers(acts), true, [&] { return ConsentTable(acts); });
}

// ---- suppressions

terminal::Table SuppressionTable(const std::vector<Suppression>& suppressions) {
  terminal::Table table({{"channel"},
                         {"name", "ADDRESS"},
                         {"reason"},
                         {"create_time", "SINCE"},
                         {"actor", "", true}});
  table.set_empty_text("no address is suppressed");
  for (const Suppression& s : suppressions) {
    table.Add({s.channel(), TextCell(s.address()),
               EnumText("REASON_", Suppression::Reason_Name(s.reason())),
               TimeCell(s.has_create_time(), s.create_time()), TextCell(s.actor())});
  }
  return table;
}

absl::Status Suppress(Cli& cli, const Flags& flags) {
  contact::v1::SuppressAddressRequest request;
  request.set_parent(cli.tenant_name());
  request.set_request_id(flags.request_id);
  request.mutable_suppression()->set_channel(flags.channel);
  request.mutable_suppression()->set_address(flags.address);
  CLM_ASSIGN_OR_RETURN(const Suppression::Reason reason,
                       ParseWord<Suppression::Reason>(
                           "--reason", "REASON_", flags.reason, &Suppression::Reason_Parse,
                           "hard-bounce, complaint, manual, deactivated or legal"));
  request.mutable_suppression()->set_reason(reason);
  CLM_ASSIGN_OR_RETURN(const Suppression made, cli.Call(&Stub::SuppressAddress, request));
  return cli.Print({&made}, false, [&] { return SuppressionTable({made}); });
}

absl::Status Lift(Cli& cli, const Flags& flags) {
  contact::v1::LiftSuppressionRequest request;
  request.set_parent(cli.tenant_name());
  request.set_channel(flags.channel);
  request.set_address(flags.address);
  request.set_reason(flags.reason);
  request.set_request_id(flags.request_id);
  CLM_RETURN_IF_ERROR(cli.Call(&Stub::LiftSuppression, request).status());
  cli.Note("the address may be written to again, as far as consent and subscriptions allow");
  return absl::OkStatus();
}

absl::Status ListSuppressions(Cli& cli, const Flags& flags) {
  contact::v1::ListSuppressionsRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(const std::vector<Suppression> suppressions,
                       cli.List(&Stub::ListSuppressions, request,
                                &contact::v1::ListSuppressionsResponse::suppressions, flags.limit));
  return cli.Print(Pointers(suppressions), true, [&] { return SuppressionTable(suppressions); });
}

// ---- costs

terminal::Table CostTable(const std::vector<AcquisitionCost>& costs) {
  terminal::Table table({{"name", "COST", true},
                         {"contact"},
                         {"source"},
                         {"start_date", "FROM"},
                         {"end_date", "TO"},
                         {"amount"},
                         {"create_time", "RECORDED", true}});
  table.set_empty_text("no costs; clm costs add records one");
  for (const AcquisitionCost& c : costs) {
    table.Add({LastPart(c.name()), TextCell(LastPart(c.contact())), TextCell(c.source()),
               c.start_date(), c.end_date(), terminal::Money{c.amount_minor(), c.currency()},
               TimeCell(c.has_create_time(), c.create_time())});
  }
  return table;
}

absl::StatusOr<std::string> DayText(const char* flag, const std::string& text) {
  CLM_ASSIGN_OR_RETURN(const absl::Time time, ParseMoment(flag, text, absl::Now()));
  return FormatDay(absl::ToCivilDay(time, absl::UTCTimeZone()));
}

absl::Status AddCost(Cli& cli, const Flags& flags) {
  contact::v1::CreateAcquisitionCostRequest request;
  request.set_parent(cli.tenant_name());
  request.set_request_id(flags.request_id);
  AcquisitionCost* cost = request.mutable_acquisition_cost();
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*cost->mutable_contact(), cli.ContactName(flags.contact));
  }
  cost->set_source(flags.source);
  cost->set_currency(flags.currency);
  CLM_ASSIGN_OR_RETURN(const int64_t amount, ParseMoney("AMOUNT", flags.amount, flags.currency));
  cost->set_amount_minor(amount);
  CLM_ASSIGN_OR_RETURN(*cost->mutable_start_date(), DayText("--start", flags.start));
  CLM_ASSIGN_OR_RETURN(*cost->mutable_end_date(),
                       DayText("--end", flags.end.empty() ? flags.start : flags.end));
  CLM_ASSIGN_OR_RETURN(const AcquisitionCost made,
                       cli.Call(&Timeline::CreateAcquisitionCost, request));
  return cli.Print({&made}, false, [&] { return CostTable({made}); });
}

absl::Status ListCosts(Cli& cli, const Flags& flags) {
  contact::v1::ListAcquisitionCostsRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(
      const std::vector<AcquisitionCost> costs,
      cli.List(&Timeline::ListAcquisitionCosts, request,
               &contact::v1::ListAcquisitionCostsResponse::acquisition_costs, flags.limit));
  return cli.Print(Pointers(costs), true, [&] { return CostTable(costs); });
}

}  // namespace

void AddConsentCommands(Cli& cli) {
  const auto add = [&cli](Command group, const char* name, const char* description,
                          const std::vector<std::string>& examples,
                          absl::Status (*run)(Cli&, const Flags&), std::shared_ptr<Flags> flags) {
    return cli.AddCommand(group, name, description, examples,
                          [&cli, flags, run] { return run(cli, *flags); });
  };
  const auto request_id = [](Command command, Flags& flags) {
    command.AddOption("--request-id", flags.request_id,
                      "UUID; the same again is answered, not repeated");
  };
  const auto limit = [](Command command, Flags& flags) {
    command.AddOption("--limit", flags.limit, "most to show; 0: all").Counts().ShowDefault();
  };

  Command topics = cli.AddGroup("topics", "What people can subscribe to");
  add(topics, "list", "List the topics", {"clm topics list"}, &ListTopics,
      std::make_shared<Flags>());
  auto flags = std::make_shared<Flags>();
  flags->channel = "email";
  flags->opt_in = "double";
  Command command = add(topics, "create", "Make a topic",
                        {"clm topics create newsletter --display-name 'Newsletter'",
                         "clm topics create order-news --channel sms --opt-in none"},
                        &CreateTopic, flags);
  command.AddOption("TOPIC", flags->topic, "its id").Required();
  command.AddOption("--display-name", flags->display_name, "for people");
  command.AddOption("--channel", flags->channel, "email, sms, push, post or phone")
      .OneOf(kChannels)
      .ShowDefault();
  command
      .AddOption("--opt-in", flags->opt_in,
                 "single: unconfirmed subscribers receive too; double: only confirmed ones; none: "
                 "everybody who has not left")
      .ShowDefault();
  request_id(command, *flags);
  for (const bool on : {true, false}) {
    flags = std::make_shared<Flags>();
    command = on ? add(topics, "subscribe", "Subscribe a person to a topic",
                       {"clm topics subscribe ada@example.com newsletter --confirmed --source web"},
                       &Subscribe, flags)
                 : add(topics, "unsubscribe", "Take a person off a topic",
                       {"clm topics unsubscribe ada@example.com newsletter --at 2026-01-31"},
                       &Unsubscribe, flags);
    command.AddOption("CONTACT", flags->contact, kContact).Required();
    command.AddOption("TOPIC", flags->topic, "id of the topic").Required();
    if (on) command.AddFlag("--confirmed", flags->confirmed, "the person has confirmed");
    command.AddOption("--source", flags->source, "where it was said: web-form, phone");
    command.AddOption("--at", flags->at, "when the person did it; default: now");
    request_id(command, *flags);
  }
  flags = std::make_shared<Flags>();
  command = add(topics, "of", "Show what a person is subscribed to",
                {"clm topics of ada@example.com"}, &ListSubscriptions, flags);
  command.AddOption("CONTACT", flags->contact, kContact).Required();

  Command consent = cli.AddGroup("consent", "What people agreed to, and whether they may be told");
  flags = std::make_shared<Flags>();
  command = add(consent, "record", "Record an act of consent, or of its withdrawal",
                {"clm consent record ada@example.com marketing granted --legal-basis consent "
                 "--source web-form "
                 "--text-version v3",
                 "clm consent record ada@example.com marketing revoked --channel email"},
                &RecordConsent, flags);
  command.AddOption("CONTACT", flags->contact, kContact).Required();
  command.AddOption("PURPOSE", flags->purpose, "marketing, profiling, third-party, ...").Required();
  command.AddOption("STATE", flags->state, "granted, denied or revoked").Required();
  command.AddOption("--channel", flags->channel, "only on this channel; default: all")
      .OneOf(kChannels);
  command.AddOption("--legal-basis", flags->basis,
                    "consent, contract, legitimate-interest, ...; required for an agreement");
  command.AddOption("--source", flags->source, "where it was said: web-form, phone");
  command.AddOption("--text-version", flags->text_version, "of the text that was shown");
  command.AddOption("--at", flags->at, "when it was said; default: now");
  command.AddOption("--expires", flags->expires, "when it ends by itself, 2027-01-01");
  request_id(command, *flags);
  flags = std::make_shared<Flags>();
  command = add(consent, "history", "Show a person's acts of consent, newest first",
                {"clm consent history ada@example.com"}, &ListConsent, flags);
  command.AddOption("CONTACT", flags->contact, kContact).Required();
  limit(command, *flags);
  flags = std::make_shared<Flags>();
  command = add(consent, "check", "Tell whether a person may be written to about a topic",
                {"clm consent check ada@example.com newsletter"}, &CheckReach, flags);
  command.AddOption("CONTACT", flags->contact, kContact).Required();
  command.AddOption("TOPIC", flags->topic, "id of the topic").Required();

  Command suppressions = cli.AddGroup("suppressions", "Addresses that must not be written to");
  flags = std::make_shared<Flags>();
  command = add(suppressions, "list", "List the suppressed addresses",
                {"clm suppressions list --limit 0 -o csv"}, &ListSuppressions, flags);
  limit(command, *flags);
  flags = std::make_shared<Flags>();
  flags->channel = "email";
  flags->reason = "manual";
  command = add(suppressions, "add", "Suppress an address",
                {"clm suppressions add ada@example.com --reason complaint",
                 "clm suppressions add +4930123456 --channel sms"},
                &Suppress, flags);
  command.AddOption("ADDRESS", flags->address, "the address").Required();
  command.AddOption("--channel", flags->channel, "email, sms, push, post or phone")
      .OneOf(kChannels)
      .ShowDefault();
  command
      .AddOption("--reason", flags->reason, "hard-bounce, complaint, manual, deactivated or legal")
      .ShowDefault();
  request_id(command, *flags);
  flags = std::make_shared<Flags>();
  flags->channel = "email";
  command = add(suppressions, "lift", "Take a suppression back; a legal one stays",
                {"clm suppressions lift ada@example.com --reason 'asked to be written to again'"},
                &Lift, flags);
  command.AddOption("ADDRESS", flags->address, "the address").Required();
  command.AddOption("--channel", flags->channel, "email, sms, push, post or phone")
      .OneOf(kChannels)
      .ShowDefault();
  command.AddOption("--reason", flags->reason, "why; kept with the change").Required();
  request_id(command, *flags);

  Command costs = cli.AddGroup("costs", "What finding people cost");
  flags = std::make_shared<Flags>();
  command = add(costs, "list", "List the costs in the order recorded", {"clm costs list -o csv"},
                &ListCosts, flags);
  limit(command, *flags);
  flags = std::make_shared<Flags>();
  command = add(costs, "add", "Record a cost of a source and period, or of one person",
                {"clm costs add 1200.00 --currency EUR --source fair --start 2026-03-01 --end "
                 "2026-03-31",
                 "clm costs add 15 --currency EUR --contact ada@example.com --start 2026-03-04"},
                &AddCost, flags);
  command.AddOption("AMOUNT", flags->amount, "12.50").Required();
  command.AddOption("--currency", flags->currency, "its code, EUR").Required();
  command.AddOption("--source", flags->source, "of the people that it brought");
  command.AddOption("--contact", flags->contact, "the person that it brought");
  command.AddOption("--start", flags->start, "first day").Required();
  command.AddOption("--end", flags->end, "last day; default: the first");
  request_id(command, *flags);
}

}  // namespace clm::cli
