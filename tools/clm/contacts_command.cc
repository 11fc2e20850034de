#include "tools/clm/contacts_command.h"

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/freshness_flags.h"
#include "tools/clm/identity_policy_command.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using contact::v1::AttributeDefinition;
using contact::v1::Contact;
using contact::v1::ContactService;
using Stub = ContactService::Stub;

// The flags that describe a contact; only those that were given are sent.
struct ContactFlags {
  std::string email, phone, given_name, family_name, locale, timezone, source, create_time, from;
  std::vector<std::string> external_ids, attributes, clear;
  std::string id, etag, request_id, key = "email";
};

void AddContactFlags(Command command, ContactFlags& flags) {
  command.AddOption("--email", flags.email, "e-mail address");
  command.AddOption("--phone", flags.phone, "phone number, +4930123456");
  command.AddOption("--given-name", flags.given_name, "first name");
  command.AddOption("--family-name", flags.family_name, "last name");
  command.AddOption("--locale", flags.locale, "language tag, de-CH");
  command.AddOption("--timezone", flags.timezone, "IANA time zone, Europe/Berlin");
  command.AddOption("--source", flags.source, "where the person came from");
  command.AddOption("--external-id", flags.external_ids, "id in another system; may be repeated")
      .TypeName("TYPE=VALUE");
  command.AddOption("--set", flags.attributes, "value of a defined attribute; may be repeated")
      .TypeName("ATTRIBUTE=VALUE");
  command.AddOption("--from", flags.from, "take the contact from a JSON file; - for stdin")
      .TypeName("FILE");
  command.AddOption("--request-id", flags.request_id,
                    "UUID; the same again is answered, not repeated");
}

absl::StatusOr<Contact> ContactFrom(Cli& cli, const ContactFlags& flags) {
  Contact contact;
  if (!flags.from.empty()) CLM_RETURN_IF_ERROR(ReadMessage(flags.from, &contact));
  if (!flags.email.empty()) contact.set_email(flags.email);
  if (!flags.phone.empty()) contact.set_phone(flags.phone);
  if (!flags.given_name.empty()) contact.set_given_name(flags.given_name);
  if (!flags.family_name.empty()) contact.set_family_name(flags.family_name);
  if (!flags.locale.empty()) contact.set_locale(flags.locale);
  if (!flags.timezone.empty()) contact.set_timezone(flags.timezone);
  if (!flags.source.empty()) contact.set_source(flags.source);
  if (!flags.etag.empty()) contact.set_etag(flags.etag);
  if (!flags.create_time.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time time,
                         ParseMoment("--create-time", flags.create_time, absl::Now()));
    SetTime(time, contact.mutable_create_time());
  }
  CLM_ASSIGN_OR_RETURN(const auto external_ids, ParsePairs("--external-id", flags.external_ids));
  for (const auto& [type, value] : external_ids) (*contact.mutable_external_ids())[type] = value;
  CLM_ASSIGN_OR_RETURN(const auto attributes, ParsePairs("--set", flags.attributes));
  if (attributes.empty()) return contact;
  contact::v1::ListAttributeDefinitionsRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(
      const std::vector<AttributeDefinition> definitions,
      cli.List(&Stub::ListAttributeDefinitions, request,
               &contact::v1::ListAttributeDefinitionsResponse::attribute_definitions,
               /*limit=*/0));
  for (const auto& [id, text] : attributes) {
    const AttributeDefinition* definition = nullptr;
    for (const auto& d : definitions) {
      if (LastPart(d.name()) == id) definition = &d;
    }
    if (definition == nullptr) {
      return error::InvalidField(
          "--set", absl::StrCat("no attribute ", id, "; clm contacts define-attribute makes one"));
    }
    CLM_ASSIGN_OR_RETURN((*contact.mutable_attributes())[id],
                         ParseAttribute("--set", definition->type(), text));
  }
  return contact;
}

// The mask of what was given, when something is to be cleared as well; none otherwise.
void SetMask(const ContactFlags& flags, const Contact& contact,
             google::protobuf::FieldMask* (*mutable_mask)(void*), void* request) {
  if (flags.clear.empty()) return;
  google::protobuf::FieldMask* mask = mutable_mask(request);
  const auto add = [mask](bool given, const char* path) {
    if (given) mask->add_paths(path);
  };
  add(!contact.email().empty(), "email");
  add(!contact.phone().empty(), "phone");
  add(!contact.given_name().empty(), "given_name");
  add(!contact.family_name().empty(), "family_name");
  add(!contact.locale().empty(), "locale");
  add(!contact.timezone().empty(), "timezone");
  add(!contact.source().empty(), "source");
  for (const auto& [type, value] : contact.external_ids()) {
    mask->add_paths(absl::StrCat("external_ids.", type));
  }
  for (const auto& [id, value] : contact.attributes()) {
    mask->add_paths(absl::StrCat("attributes.", id));
  }
  for (const std::string& path : flags.clear) mask->add_paths(path);
}

template <class Request>
google::protobuf::FieldMask* MaskOf(void* request) {
  return static_cast<Request*>(request)->mutable_update_mask();
}

terminal::Table ContactTable(const std::vector<Contact>& contacts) {
  terminal::Table table({{"name", "ID"},
                         {"email"},
                         {"given_name", "GIVEN NAME"},
                         {"family_name", "FAMILY NAME"},
                         {"status"},
                         {"source"},
                         {"create_time", "SINCE"},
                         {"phone", "", true},
                         {"locale", "", true},
                         {"timezone", "", true},
                         {"external_ids", "", true},
                         {"attributes", "", true},
                         {"etag", "", true}});
  table.set_empty_text("no contacts match");
  for (const Contact& c : contacts) {
    std::vector<std::string> ids, attributes;
    for (const auto& [type, value] : c.external_ids())
      ids.push_back(absl::StrCat(type, "=", value));
    for (const auto& [id, value] : c.attributes()) {
      attributes.push_back(absl::StrCat(id, "=", AttributeText(value)));
    }
    std::sort(ids.begin(), ids.end());
    std::sort(attributes.begin(), attributes.end());
    const bool active = c.status() == Contact::STATUS_ACTIVE;
    table.Add({LastPart(c.name()), TextCell(c.email()), TextCell(c.given_name()),
               TextCell(c.family_name()),
               terminal::Cell(EnumText("STATUS_", Contact::Status_Name(c.status())),
                              active ? terminal::Tone::kPlain : terminal::Tone::kWarn),
               TextCell(c.source()), TimeCell(c.has_create_time(), c.create_time()),
               TextCell(c.phone()), TextCell(c.locale()), TextCell(c.timezone()),
               TextCell(absl::StrJoin(ids, " ")), TextCell(absl::StrJoin(attributes, " ")),
               TextCell(c.etag())});
  }
  return table;
}

absl::Status Show(const Cli& cli, const absl::StatusOr<Contact>& contact) {
  CLM_RETURN_IF_ERROR(contact.status());
  return cli.Print({&*contact}, false, [&] { return ContactTable({*contact}); });
}

struct ListFlags {
  std::string filter, order_by;
  int64_t limit = 50;
  bool erased = false;
};

absl::Status ListContacts(Cli& cli, const ListFlags& flags) {
  contact::v1::ListContactsRequest request;
  request.set_parent(cli.tenant_name());
  request.set_filter(flags.filter);
  request.set_order_by(flags.order_by);
  request.set_show_erased(flags.erased);
  CLM_ASSIGN_OR_RETURN(const std::vector<Contact> contacts,
                       cli.List(&Stub::ListContacts, request,
                                &contact::v1::ListContactsResponse::contacts, flags.limit));
  return cli.Print(Pointers(contacts), true, [&] { return ContactTable(contacts); });
}

absl::Status Update(Cli& cli, const std::string& who, const ContactFlags& flags) {
  contact::v1::UpdateContactRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), ContactFrom(cli, flags));
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact()->mutable_name(), cli.ContactName(who));
  request.set_request_id(flags.request_id);
  SetMask(flags, request.contact(), &MaskOf<contact::v1::UpdateContactRequest>, &request);
  return Show(cli, cli.Call(&Stub::UpdateContact, request));
}

absl::Status Upsert(Cli& cli, const ContactFlags& flags) {
  contact::v1::UpsertContactRequest request;
  request.set_parent(cli.tenant_name());
  request.set_key(flags.key);
  request.set_request_id(flags.request_id);
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), ContactFrom(cli, flags));
  SetMask(flags, request.contact(), &MaskOf<contact::v1::UpsertContactRequest>, &request);
  CLM_ASSIGN_OR_RETURN(const contact::v1::UpsertContactResponse response,
                       cli.Call(&Stub::UpsertContact, request));
  cli.Note(response.created() ? "created" : response.unchanged() ? "nothing to change" : "updated");
  return Show(cli, response.contact());
}

absl::Status Verb(Cli& cli, const std::string& who, const std::string& reason,
                  grpc::Status (Stub::*method)(grpc::ClientContext*,
                                               const contact::v1::ContactVerbRequest&, Contact*)) {
  contact::v1::ContactVerbRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), cli.ContactName(who));
  request.set_reason(reason);
  return Show(cli, cli.Call(method, request));
}

absl::Status Merge(Cli& cli, const std::string& primary, const std::string& duplicate,
                   bool choose) {
  contact::v1::MergeContactsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_primary(), cli.ContactName(primary));
  CLM_ASSIGN_OR_RETURN(*request.mutable_duplicate(), cli.ContactName(duplicate));
  request.set_choose_primary(choose);
  CLM_ASSIGN_OR_RETURN(const contact::v1::MergeContactsResponse response,
                       cli.Call(&Stub::MergeContacts, request));
  cli.Note(absl::StrCat("merged; filled from the duplicate: ",
                        response.filled_fields().empty()
                            ? "nothing"
                            : absl::StrJoin(response.filled_fields(), ", ")));
  return Show(cli, response.contact());
}

absl::Status Get(Cli& cli, const std::string& who, const FreshnessFlags& flags) {
  contact::v1::GetContactRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), cli.ContactName(who));
  CLM_RETURN_IF_ERROR(SetStaleness(flags, &request));
  return Show(cli, cli.Call(&Stub::GetContact, request));
}

// "club=gold:1250" for each programme: the tier, if it has tiers, and the points of each wallet
// that may be spent.
terminal::Cell MembershipsCell(const contact::v1::CustomerContext& context) {
  if (!context.has_loyalty_part()) return {std::string("not told"), terminal::Tone::kMuted};
  std::vector<std::string> memberships;
  for (const loyalty::v1::Membership& membership : context.memberships()) {
    const loyalty::v1::Member& member = membership.member();
    const std::vector<std::string> name = absl::StrSplit(member.name(), '/');
    std::vector<std::string> points;
    for (const loyalty::v1::Balance& balance : member.balances()) {
      points.push_back(member.balances_size() == 1
                           ? absl::StrCat(balance.active())
                           : absl::StrCat(balance.wallet(), "=", balance.active()));
    }
    const std::string& tier = member.tier_standing().tier();
    memberships.push_back(absl::StrCat(name.size() > 3 ? name[3] : member.name(), "=", tier,
                                       tier.empty() ? "" : ":", absl::StrJoin(points, ",")));
  }
  return TextCell(absl::StrJoin(memberships, " "));
}

absl::Status ShowContext(Cli& cli, const std::string& who, const FreshnessFlags& flags) {
  contact::v1::GetCustomerContextRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), cli.ContactName(who));
  CLM_RETURN_IF_ERROR(SetStaleness(flags, &request));
  if (flags.strong) request.set_consistency(contact::v1::CONSISTENCY_STRONG);
  CLM_ASSIGN_OR_RETURN(const contact::v1::CustomerContext context,
                       cli.Call(&Stub::GetCustomerContext, request));
  return cli.Print({&context}, false, [&] {
    terminal::Table table({{"name", "ID"},
                           {"email"},
                           {"status"},
                           {"stages"},
                           {"memberships"},
                           {"consents"},
                           {"subscriptions"},
                           {"suppressed"},
                           {"last_event_time"},
                           {"last_contacts"},
                           {"cached"}});
    std::vector<std::string> stages, consents, subscriptions, suppressed, contacted;
    for (const auto& s : context.stages()) {
      stages.push_back(absl::StrCat(LastPart(s.model()), "=", s.stage().empty() ? "-" : s.stage()));
    }
    for (const auto& c : context.consents()) {
      consents.push_back(absl::StrCat(
          c.purpose(), "=", EnumText("STATE_", contact::v1::ConsentAct::State_Name(c.state()))));
    }
    for (const auto& s : context.subscriptions()) {
      subscriptions.push_back(
          absl::StrCat(LastPart(s.topic()), "=",
                       EnumText("STATE_", contact::v1::Subscription::State_Name(s.state()))));
    }
    for (const auto& s : context.suppressions()) suppressed.push_back(s.channel());
    for (const auto& l : context.last_contacts()) {
      contacted.push_back(
          absl::StrCat(l.channel(), "=",
                       absl::FormatTime("%Y-%m-%d", ToTime(l.occur_time()), absl::UTCTimeZone())));
    }
    const Contact& c = context.contact();
    table.Add({LastPart(c.name()), TextCell(c.email()),
               EnumText("STATUS_", Contact::Status_Name(c.status())),
               TextCell(absl::StrJoin(stages, " ")), MembershipsCell(context),
               TextCell(absl::StrJoin(consents, " ")), TextCell(absl::StrJoin(subscriptions, " ")),
               TextCell(absl::StrJoin(suppressed, " ")),
               TimeCell(context.has_last_event_time(), context.last_event_time()),
               TextCell(absl::StrJoin(contacted, " ")), context.cached()});
    return table;
  });
}

absl::Status History(Cli& cli, const std::string& who, const std::string& attribute,
                     int64_t limit) {
  contact::v1::ListAttributeHistoryRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), cli.ContactName(who));
  request.set_attribute(attribute);
  CLM_ASSIGN_OR_RETURN(const std::vector<contact::v1::AttributeHistoryEntry> entries,
                       cli.List(&Stub::ListAttributeHistory, request,
                                &contact::v1::ListAttributeHistoryResponse::entries, limit));
  return cli.Print(Pointers(entries), true, [&] {
    terminal::Table table({{"set_time", "SINCE"},
                           {"attribute"},
                           {"value"},
                           {"former_value", "BEFORE"},
                           {"actor"},
                           {"source"},
                           {"reason"}});
    table.set_empty_text("no history");
    for (const auto& e : entries) {
      table.Add({TimeCell(e.has_set_time(), e.set_time()), e.attribute(),
                 TextCell(AttributeText(e.value())), TextCell(AttributeText(e.former_value())),
                 e.actor(), e.source(), TextCell(e.reason())});
    }
    return table;
  });
}

absl::Status Duplicates(Cli& cli, int32_t min_score, int64_t limit) {
  contact::v1::ListDuplicateCandidatesRequest request;
  request.set_parent(cli.tenant_name());
  request.set_min_score(min_score);
  CLM_ASSIGN_OR_RETURN(const std::vector<contact::v1::DuplicateCandidate> candidates,
                       cli.List(&Stub::ListDuplicateCandidates, request,
                                &contact::v1::ListDuplicateCandidatesResponse::candidates, limit));
  return cli.Print(Pointers(candidates), true, [&] {
    terminal::Table table({{"score"},
                           {"name", "CONTACT"},
                           {"duplicate"},
                           {"reasons", "BECAUSE OF"},
                           {"find_time", "FOUND", true}});
    table.set_empty_text("nobody is there twice, as far as the scan has come");
    for (const auto& c : candidates) {
      table.Add({static_cast<int64_t>(c.score()), LastPart(c.contact()), LastPart(c.duplicate()),
                 absl::StrJoin(c.reasons(), ", "), TimeCell(c.has_find_time(), c.find_time())});
    }
    return table;
  });
}

// For years of events over a slow line.
constexpr absl::Duration kExportTimeout = absl::Hours(1);

// Everything that is held about a person. Always a message: a table would leave things out.
absl::Status Export(Cli& cli, const std::string& who) {
  contact::v1::ExportContactRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), cli.ContactName(who));
  CLM_ASSIGN_OR_RETURN(const contact::v1::ExportContactResponse response,
                       cli.CallForParts(&Stub::StreamContactExport, request, kExportTimeout));
  CLM_ASSIGN_OR_RETURN(terminal::Format format, cli.Format());
  if (!terminal::IsMessageFormat(format)) format = terminal::Format::kJson;
  return terminal::WriteMessages({&response}, false, format, std::cout);
}

absl::Status Erase(Cli& cli, const std::string& who, bool anonymize) {
  contact::v1::EraseContactRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), cli.ContactName(who));
  request.set_anonymize_events(anonymize);
  return Show(cli, cli.Call(&Stub::EraseContact, request));
}

absl::Status DefineAttribute(Cli& cli, const std::string& id, const std::string& type,
                             const std::vector<std::string>& values, bool personal, bool indexed) {
  contact::v1::CreateAttributeDefinitionRequest request;
  request.set_parent(cli.tenant_name());
  request.set_attribute_id(id);
  AttributeDefinition* definition = request.mutable_attribute_definition();
  AttributeDefinition::Type parsed;
  if (!AttributeDefinition::Type_Parse(absl::StrCat("TYPE_", absl::AsciiStrToUpper(type)),
                                       &parsed)) {
    return error::InvalidField("--type",
                               "must be string, bool, int64, decimal, date, timestamp, enum or "
                               "string_set");
  }
  definition->set_type(parsed);
  definition->set_personal(personal);
  definition->set_indexed(indexed);
  for (const std::string& value : values) definition->add_enum_values(value);
  CLM_ASSIGN_OR_RETURN(const AttributeDefinition made,
                       cli.Call(&Stub::CreateAttributeDefinition, request));
  return cli.Print({&made}, false, [&] {
    terminal::Table table({{"name"}, {"type"}, {"indexed"}});
    table.Add({LastPart(made.name()), type, made.indexed() ? "yes" : "no"});
    return table;
  });
}

absl::Status ListAttributes(Cli& cli) {
  contact::v1::ListAttributeDefinitionsRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(
      const std::vector<AttributeDefinition> definitions,
      cli.List(&Stub::ListAttributeDefinitions, request,
               &contact::v1::ListAttributeDefinitionsResponse::attribute_definitions,
               /*limit=*/0));
  return cli.Print(Pointers(definitions), true, [&] {
    terminal::Table table({{"name"}, {"type"}, {"values"}, {"personal"}, {"indexed"}});
    for (const AttributeDefinition& d : definitions) {
      table.Add({LastPart(d.name()), EnumText("TYPE_", AttributeDefinition::Type_Name(d.type())),
                 TextCell(absl::StrJoin(d.enum_values(), " ")), d.personal() ? "yes" : "no",
                 d.indexed() ? "yes" : "no"});
    }
    return table;
  });
}

}  // namespace

void AddContactsCommands(Cli& cli) {
  Command group = cli.AddGroup("contacts", "The people");

  auto list = std::make_shared<ListFlags>();
  Command command = cli.AddCommand(
      group, "list", "List contacts in the order in which they came",
      {"clm contacts list", "clm contacts list --filter 'source = \"referral\"' --limit 0 -o csv",
       "clm contacts list --order-by 'name desc' --limit 10 -o name"},
      [&cli, list] { return ListContacts(cli, *list); });
  command.AddOption(
      "--filter", list->filter,
      "AIP-160: email = \"*@example.com\" AND create_time > \"2026-01-01T00:00:00Z\"");
  command.AddOption("--order-by", list->order_by, "name (in the order of record), or name desc");
  command.AddOption("--limit", list->limit, "most to show; 0: all").Counts().ShowDefault();
  command.AddFlag("--show-erased", list->erased, "erased contacts too");

  const auto about_one = [&](const char* name, const char* description,
                             const std::vector<std::string>& examples,
                             std::function<absl::Status(const std::string&)> run) {
    auto who = std::make_shared<std::string>();
    Command one = cli.AddCommand(group, name, description, examples,
                                 [who, run = std::move(run)] { return run(*who); });
    one.AddOption("CONTACT", *who, "id, name, e-mail address, +phone, or TYPE:VALUE").Required();
    return one;
  };

  auto get = std::make_shared<FreshnessFlags>();
  AddStalenessFlag(
      about_one("get", "Show a contact",
                {"clm contacts get ada@example.com", "clm contacts get user_id:1042 -o yaml"},
                [&cli, get](const std::string& who) { return Get(cli, who, *get); }),
      *get);

  auto create = std::make_shared<ContactFlags>();
  command = cli.AddCommand(
      group, "create", "Create a contact",
      {"clm contacts create --email ada@example.com --given-name Ada --source referral",
       "clm contacts create --external-id user_id=1042 --create-time 2025-03-01"},
      [&cli, create]() -> absl::Status {
        contact::v1::CreateContactRequest request;
        request.set_parent(cli.tenant_name());
        request.set_contact_id(create->id);
        request.set_request_id(create->request_id);
        CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), ContactFrom(cli, *create));
        return Show(cli, cli.Call(&Stub::CreateContact, request));
      });
  AddContactFlags(command, *create);
  command.AddOption("--id", create->id, "id chosen by you, a UUID");
  command.AddOption("--create-time", create->create_time, "when the relationship began");

  auto update = std::make_shared<ContactFlags>();
  command = about_one("update", "Change the fields that are given",
                      {"clm contacts update ada@example.com --given-name Augusta",
                       "clm contacts update ada@example.com --clear phone"},
                      [&cli, update](const std::string& who) { return Update(cli, who, *update); });
  AddContactFlags(command, *update);
  command.AddOption("--clear", update->clear, "field to empty; may be repeated");
  command.AddOption("--etag", update->etag, "change only what was read");

  auto upsert = std::make_shared<ContactFlags>();
  command = cli.AddCommand(
      group, "upsert", "Create a contact, or change the one that has the key",
      {"clm contacts upsert --email ada@example.com --family-name Lovelace",
       "clm contacts upsert --key external_ids.user_id --external-id user_id=1042 --locale de"},
      [&cli, upsert] { return Upsert(cli, *upsert); });
  AddContactFlags(command, *upsert);
  command.AddOption("--key", upsert->key, "email, phone or external_ids.TYPE").ShowDefault();
  command.AddOption("--clear", upsert->clear, "field to empty; may be repeated");

  auto reason = std::make_shared<std::string>();
  about_one("block", "Send nothing any more", {"clm contacts block ada@example.com --reason asked"},
            [&cli, reason](const std::string& who) {
              return Verb(cli, who, *reason, &Stub::BlockContact);
            })
      .AddOption("--reason", *reason, "kept with the change");
  about_one("unblock", "Take a block back", {"clm contacts unblock ada@example.com"},
            [&cli, reason](const std::string& who) {
              return Verb(cli, who, *reason, &Stub::UnblockContact);
            })
      .AddOption("--reason", *reason, "kept with the change");
  about_one("deactivate", "End the relationship",
            {"clm contacts deactivate ada@example.com --reason 'closed the account'"},
            [&cli, reason](const std::string& who) {
              return Verb(cli, who, *reason, &Stub::DeactivateContact);
            })
      .AddOption("--reason", *reason, "kept with the change");
  about_one("reactivate", "Begin the relationship again after it was ended",
            {"clm contacts reactivate ada@example.com --reason 'came back'"},
            [&cli, reason](const std::string& who) {
              return Verb(cli, who, *reason, &Stub::ReactivateContact);
            })
      .AddOption("--reason", *reason, "kept with the change");
  auto anonymize = std::make_shared<bool>(false);
  about_one("erase", "Delete the personal data for good; sums stay",
            {"clm contacts erase ada@example.com --anonymize-events"},
            [&cli, anonymize](const std::string& who) { return Erase(cli, who, *anonymize); })
      .AddFlag("--anonymize-events", *anonymize, "also the properties of the events");
  about_one("export", "Print everything that is held about a person, as JSON",
            {"clm contacts export ada@example.com > ada.json"},
            [&cli](const std::string& who) { return Export(cli, who); });
  auto context = std::make_shared<FreshnessFlags>();
  command = about_one(
      "context",
      "Show what a frontend needs to know at once: profile, stages, tier and points, consent",
      {"clm contacts context ada@example.com"},
      [&cli, context](const std::string& who) { return ShowContext(cli, who, *context); });
  command.AddFlag("--strong", context->strong, "from the database, not from the cache");
  AddStalenessFlag(command, *context);
  auto attribute = std::make_shared<std::string>();
  auto history_limit = std::make_shared<int64_t>(50);
  command = about_one("history", "Show what fields and attributes were before",
                      {"clm contacts history ada@example.com --attribute email"},
                      [&cli, attribute, history_limit](const std::string& who) {
                        return History(cli, who, *attribute, *history_limit);
                      });
  command.AddOption("--attribute", *attribute, "of one field or attribute only");
  command.AddOption("--limit", *history_limit, "most to show; 0: all").ShowDefault();

  auto merge = std::make_shared<std::pair<std::string, std::string>>();
  auto choose = std::make_shared<bool>(false);
  command = cli.AddCommand(
      group, "merge", "Make one contact of two; the old id stays an alias",
      {"clm contacts merge ada@example.com countess@example.org"},
      [&cli, merge, choose] { return Merge(cli, merge->first, merge->second, *choose); });
  command.AddOption("PRIMARY", merge->first, "survives").Required();
  command.AddOption("DUPLICATE", merge->second, "becomes an alias").Required();
  command.AddFlag("--choose", *choose, "let the earlier one survive, whatever the order");

  auto score = std::make_shared<int32_t>(0);
  auto pairs = std::make_shared<int64_t>(50);
  command = cli.AddCommand(group, "duplicates", "List who may be there twice, the likeliest first",
                           {"clm contacts duplicates --min-score 80"},
                           [&cli, score, pairs] { return Duplicates(cli, *score, *pairs); });
  command.AddOption("--min-score", *score, "least likeness, 0 to 100")
      .Between(0, 100)
      .ShowDefault();
  command.AddOption("--limit", *pairs, "most to show; 0: all").Counts().ShowDefault();

  auto lookup = std::make_shared<std::pair<std::string, std::string>>();
  command = cli.AddCommand(
      group, "lookup", "Find the contact that has an identifier",
      {"clm contacts lookup email ada@example.com", "clm contacts lookup user_id 1042"},
      [&cli, lookup] {
        contact::v1::LookupContactRequest request;
        request.set_parent(cli.tenant_name());
        request.set_type(lookup->first);
        request.set_value(lookup->second);
        return Show(cli, cli.Call(&Stub::LookupContact, request));
      });
  command.AddOption("TYPE", lookup->first, "email, phone or the type of an external id").Required();
  command.AddOption("VALUE", lookup->second, "the identifier").Required();

  struct Definition {
    std::string id, type = "string";
    std::vector<std::string> values;
    bool personal = false, indexed = false;
  };
  auto definition = std::make_shared<Definition>();
  command = cli.AddCommand(
      group, "define-attribute", "Define an attribute of contacts",
      {"clm contacts define-attribute plan --type enum --value basic --value pro --indexed"},
      [&cli, definition] {
        return DefineAttribute(cli, definition->id, definition->type, definition->values,
                               definition->personal, definition->indexed);
      });
  command.AddOption("ATTRIBUTE", definition->id, "its id").Required();
  command
      .AddOption("--type", definition->type,
                 "string, bool, int64, decimal, date, timestamp, enum, string_set")
      .ShowDefault();
  command.AddOption("--value", definition->values, "allowed value of an enum; may be repeated");
  command.AddFlag("--personal", definition->personal, "describes a person; purged by erase");
  command.AddFlag("--indexed", definition->indexed,
                  "filters that demand a value find it by an index; for good");
  cli.AddCommand(group, "attributes", "List the attributes of contacts that are defined",
                 {"clm contacts attributes"}, [&cli] { return ListAttributes(cli); });

  AddIdentityPolicyCommands(cli, group);

  Command exports = cli.AddGroup("export", "Take data out");
  auto who = std::make_shared<std::string>();
  cli.AddCommand(exports, "contact", "Print everything that is held about a person, as JSON",
                 {"clm export contact ada@example.com > ada.json"},
                 [&cli, who] { return Export(cli, *who); })
      .AddOption("CONTACT", *who, "id, name, e-mail address, +phone, or TYPE:VALUE")
      .Required();
}

}  // namespace clm::cli
