#include "tools/clm/events_command.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "clm/feedback/v1/dead_letter_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "clm/loyalty/v1/dead_letter_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/uuid.h"
#include "tools/clm/sender.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using contact::v1::BehaviorEvent;
using Stub = contact::v1::TimelineService::Stub;

struct IngestFlags {
  std::string contact, type, at = "now", amount, currency, channel, id;
  int64_t quantity = -1;
  std::vector<std::string> properties, identifiers;
  bool create_contact = false;
};

absl::StatusOr<BehaviorEvent> EventFrom(Cli& cli, const IngestFlags& flags) {
  BehaviorEvent event;
  event.set_event_id(flags.id.empty() ? Uuid::V7(absl::Now()).ToString() : flags.id);
  event.set_type(flags.type);
  if (flags.identifiers.empty() == flags.contact.empty()) {
    return error::InvalidField("CONTACT", "give the contact, or --identifier, and not both");
  }
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*event.mutable_contact(), cli.ContactName(flags.contact));
  }
  CLM_ASSIGN_OR_RETURN(const auto identifiers, ParsePairs("--identifier", flags.identifiers));
  for (const auto& [type, value] : identifiers) (*event.mutable_identifiers())[type] = value;
  CLM_ASSIGN_OR_RETURN(const absl::Time at, ParseMoment("--at", flags.at, absl::Now()));
  SetTime(at, event.mutable_occur_time());
  if (!flags.amount.empty()) {
    if (flags.currency.empty()) return error::InvalidField("--currency", "needed with an amount");
    CLM_ASSIGN_OR_RETURN(const int64_t minor, ParseMoney("--amount", flags.amount, flags.currency));
    event.set_amount_minor(minor);
  }
  event.set_currency(flags.currency);
  if (flags.quantity >= 0) event.set_quantity(flags.quantity);
  event.set_channel(flags.channel);
  CLM_ASSIGN_OR_RETURN(const auto properties, ParsePairs("--property", flags.properties));
  for (const auto& [key, value] : properties) {
    (*event.mutable_properties())[key].set_string_value(value);
  }
  return event;
}

absl::Status Ingest(Cli& cli, const IngestFlags& flags) {
  contact::v1::IngestEventsRequest request;
  request.set_parent(cli.tenant_name());
  request.set_create_contacts(flags.create_contact);
  CLM_ASSIGN_OR_RETURN(*request.add_events(), EventFrom(cli, flags));
  CLM_ASSIGN_OR_RETURN(const contact::v1::IngestEventsResponse response,
                       cli.Call(&Stub::IngestEvents, request));
  if (response.results().empty()) return error::Internal("the answer has no result");
  const auto& result = response.results(0);
  CLM_RETURN_IF_ERROR(StatusOf(result.status()));
  return cli.Print({&result}, false, [&] {
    terminal::Table table({{"name", "EVENT"}, {"contact"}, {"duplicate"}});
    table.Add({result.event_id(), LastPart(result.contact()), result.duplicate()});
    return table;
  });
}

absl::Status ListEvents(Cli& cli, const std::string& who, const std::string& filter,
                        int64_t limit) {
  contact::v1::ListEventsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), cli.ContactName(who));
  request.set_filter(filter);
  CLM_ASSIGN_OR_RETURN(
      const std::vector<BehaviorEvent> events,
      cli.List(&Stub::ListEvents, request, &contact::v1::ListEventsResponse::events, limit));
  return cli.Print(Pointers(events), true, [&] {
    terminal::Table table({{"occur_time", "TIME"},
                           {"type"},
                           {"amount"},
                           {"quantity", "QTY"},
                           {"channel"},
                           {"properties"},
                           {"name", "EVENT", true},
                           {"receive_time", "", true}});
    table.set_empty_text("no events");
    for (const BehaviorEvent& e : events) {
      std::vector<std::string> properties;
      for (const auto& [key, value] : e.properties()) {
        properties.push_back(absl::StrCat(key, "=", AttributeText(value)));
      }
      std::sort(properties.begin(), properties.end());
      table.Add({TimeCell(e.has_occur_time(), e.occur_time()), e.type(),
                 e.has_amount_minor()
                     ? terminal::Cell(terminal::Money{e.amount_minor(), e.currency()})
                     : terminal::Cell(),
                 e.has_quantity() ? terminal::Cell(e.quantity()) : terminal::Cell(),
                 TextCell(e.channel()), TextCell(absl::StrJoin(properties, " ")), e.event_id(),
                 TimeCell(e.has_receive_time(), e.receive_time())});
    }
    return table;
  });
}

// ---- dead letters

constexpr char kLoyalty[] = "loyalty";
constexpr char kFeedback[] = "feedback";

struct LetterFlags {
  std::string service = "lifecycle";
  std::string subject, reason, request_id, source;
  int64_t limit = 50;
};

template <class Letter>
terminal::Table LetterTable(const std::vector<Letter>& letters) {
  terminal::Table table({{"subject", "SUBJECT"},
                         {"park_time", "PARKED"},
                         {"error_reason", "REASON"},
                         {"error_message", "WHAT WAS WRONG"},
                         {"waiting"},
                         {"attempts", "", true},
                         {"source", "", true},
                         {"shard", "", true},
                         {"offset", "", true},
                         {"name", "EVENT", true}});
  table.set_empty_text("no event is parked");
  for (const Letter& letter : letters) {
    table.Add({letter.subject(), TimeCell(letter.has_park_time(), letter.park_time()),
               letter.error_reason(), letter.error_message(), letter.waiting(),
               static_cast<int64_t>(letter.attempts()), letter.source(),
               static_cast<int64_t>(letter.shard()), letter.offset(), letter.event_id()});
  }
  return table;
}

// Whatever has a name may have parked events; of a contact, more than its name is understood.
absl::StatusOr<std::string> SubjectOf(Cli& cli, const std::string& text) {
  if (absl::StartsWith(text, "tenants/")) return text;
  return cli.ContactName(text);
}

// The messages of a service that parks events.
struct LifecycleLetters {
  using Stub = lifecycle::v1::LifecycleService::Stub;
  using Letter = lifecycle::v1::DeadLetter;
  using ListRequest = lifecycle::v1::ListDeadLettersRequest;
  using ListResponse = lifecycle::v1::ListDeadLettersResponse;
  using ReplayRequest = lifecycle::v1::ReplayDeadLetterRequest;
};
struct LoyaltyLetters {
  using Stub = loyalty::v1::DeadLetterService::Stub;
  using Letter = loyalty::v1::DeadLetter;
  using ListRequest = loyalty::v1::ListDeadLettersRequest;
  using ListResponse = loyalty::v1::ListDeadLettersResponse;
  using ReplayRequest = loyalty::v1::ReplayDeadLetterRequest;
};
struct FeedbackLetters {
  using Stub = feedback::v1::DeadLetterService::Stub;
  using Letter = feedback::v1::DeadLetter;
  using ListRequest = feedback::v1::ListDeadLettersRequest;
  using ListResponse = feedback::v1::ListDeadLettersResponse;
  using ReplayRequest = feedback::v1::ReplayDeadLetterRequest;
};

// Of all subjects, or of one.
template <class Of>
absl::Status ListLetters(Cli& cli, const LetterFlags& flags) {
  typename Of::ListRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(
      std::vector<typename Of::Letter> letters,
      cli.List(&Of::Stub::ListDeadLetters, request, &Of::ListResponse::dead_letters,
               flags.subject.empty() ? flags.limit : 0));
  if (!flags.subject.empty()) {
    CLM_ASSIGN_OR_RETURN(const std::string subject, SubjectOf(cli, flags.subject));
    std::erase_if(letters, [&](const auto& letter) { return letter.subject() != subject; });
    if (letters.empty()) return error::NotFound(absl::StrCat(subject, " has no parked events"));
  }
  return cli.Print(Pointers(letters), true, [&] { return LetterTable(letters); });
}

template <class Of>
absl::Status ReplayLetters(Cli& cli, const LetterFlags& flags, bool skip) {
  typename Of::ReplayRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(*request.mutable_subject(), SubjectOf(cli, flags.subject));
  request.set_skip(skip);
  request.set_reason(flags.reason);
  request.set_source(flags.source);
  request.set_request_id(flags.request_id.empty() ? Uuid::V7(absl::Now()).ToString()
                                                  : flags.request_id);
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Of::Stub::ReplayDeadLetter, request));
  return cli.Print({&response}, false, [&] {
    terminal::Table table(
        {{"name", "SUBJECT"}, {"applied_count", "APPLIED"}, {"skipped_count", "GIVEN UP"}});
    table.Add({request.subject(), static_cast<int64_t>(response.applied_count()),
               static_cast<int64_t>(response.skipped_count())});
    return table;
  });
}

absl::Status List(Cli& cli, const LetterFlags& flags) {
  if (flags.service == kFeedback) return ListLetters<FeedbackLetters>(cli, flags);
  return flags.service == kLoyalty ? ListLetters<LoyaltyLetters>(cli, flags)
                                   : ListLetters<LifecycleLetters>(cli, flags);
}

absl::Status Replay(Cli& cli, const LetterFlags& flags, bool skip) {
  if (flags.service == kFeedback) return ReplayLetters<FeedbackLetters>(cli, flags, skip);
  return flags.service == kLoyalty ? ReplayLetters<LoyaltyLetters>(cli, flags, skip)
                                   : ReplayLetters<LifecycleLetters>(cli, flags, skip);
}

void AddDeadLetterCommands(Cli& cli, Command events) {
  Command group = events.AddGroup("dead-letters",
                                  "Events that could not be applied, and what waits behind them");
  auto flags = std::make_shared<LetterFlags>();
  Command command =
      cli.AddCommand(group, "list", "List parked events, oldest first",
                     {"clm events dead-letters list",
                      "clm events dead-letters list --service loyalty --limit 0 -o json"},
                     [&cli, flags] { return List(cli, *flags); });
  const auto add_service = [flags](Command to) {
    to.AddOption("--service", flags->service, "which service could not take them in")
        .OneOf({"lifecycle", kLoyalty, kFeedback})
        .ShowDefault();
  };
  add_service(command);
  command.AddOption("--limit", flags->limit, "most to show; 0: all").Counts().ShowDefault();

  const auto add_subject = [flags, add_service](Command to) {
    add_service(to);
    to.AddOption("SUBJECT", flags->subject,
                 "a name as list shows it, or a contact: id, e-mail address, +phone, TYPE:VALUE")
        .Required();
  };
  command = cli.AddCommand(group, "show", "Show the parked events of one subject",
                           {"clm events dead-letters show ada@example.com"},
                           [&cli, flags] { return List(cli, *flags); });
  add_subject(command);

  const auto add_request_id = [flags](Command to) {
    to.AddOption("--source", flags->source, "in whose journal it was; default: contact")
        .OneOf({"contact", "lifecycle", kLoyalty});
    to.AddOption("--request-id", flags->request_id, "UUID; the same again is the same request");
  };
  command = cli.AddCommand(group, "replay",
                           "Apply the parked events of a subject again, in order, up to the first "
                           "that fails",
                           {"clm events dead-letters replay ada@example.com",
                            "clm events dead-letters replay ada@example.com --service loyalty "
                            "--source lifecycle"},
                           [&cli, flags] { return Replay(cli, *flags, false); });
  add_subject(command);
  add_request_id(command);

  command = cli.AddCommand(
      group, "skip", "Give the first parked event of a subject up",
      {"clm events dead-letters skip ada@example.com --reason 'the sender has repaired it'"},
      [&cli, flags] { return Replay(cli, *flags, true); });
  add_subject(command);
  command.AddOption("--reason", flags->reason, "why; stays in the journal").Required();
  add_request_id(command);
}

}  // namespace

void AddEventsCommands(Cli& cli) {
  Command group = cli.AddGroup("events", "What people did");
  auto flags = std::make_shared<IngestFlags>();
  Command command = cli.AddCommand(
      group, "ingest", "Record an event",
      {"clm events ingest purchase ada@example.com --amount 12.50 --currency EUR",
       "clm events ingest sign_up --identifier email=bob@example.com --create-contact",
       "clm events ingest download ada@example.com --at 2026-05-01 --property file=guide.pdf"},
      [&cli, flags] { return Ingest(cli, *flags); });
  command.AddOption("TYPE", flags->type, "purchase, refund, download, ..., or one of your own")
      .Required();
  command.AddOption("CONTACT", flags->contact, "id, name, e-mail address, +phone, or TYPE:VALUE");
  command.AddOption("--identifier", flags->identifiers, "who it was, instead of CONTACT")
      .TypeName("TYPE=VALUE");
  command.AddFlag("--create-contact", flags->create_contact, "make a contact nobody knows yet");
  command.AddOption("--at", flags->at, "day, time, or a span ago (90d)").ShowDefault();
  command.AddOption("--amount", flags->amount, "12.50");
  command.AddOption("--currency", flags->currency, "EUR");
  command.AddOption("--quantity", flags->quantity, "pieces").Counts();
  command.AddOption("--channel", flags->channel, "web, store, phone, ...");
  command.AddOption("--property", flags->properties, "anything else; may be repeated")
      .TypeName("KEY=VALUE");
  command.AddOption("--id", flags->id, "UUID; the same again is the same event");

  struct ListFlags {
    std::string who, filter;
    int64_t limit = 50;
  };
  auto list = std::make_shared<ListFlags>();
  command = cli.AddCommand(
      group, "list", "Show a person's timeline, newest first",
      {"clm events list ada@example.com",
       "clm events list ada@example.com --filter 'type = \"purchase\"' -o csv"},
      [&cli, list] { return ListEvents(cli, list->who, list->filter, list->limit); });
  command.AddOption("CONTACT", list->who, "id, name, e-mail address, +phone, or TYPE:VALUE")
      .Required();
  command.AddOption("--filter", list->filter, "AIP-160 over type, occur_time, amount_minor, ...");
  command.AddOption("--limit", list->limit, "most to show; 0: all").Counts().ShowDefault();

  AddDeadLetterCommands(cli, group);
}

}  // namespace clm::cli
