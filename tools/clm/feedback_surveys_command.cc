#include "tools/clm/feedback_surveys_command.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/feedback/v1/invitation_service.grpc.pb.h"
#include "clm/feedback/v1/response_service.grpc.pb.h"
#include "clm/feedback/v1/survey_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using feedback::v1::Answer;
using feedback::v1::Invitation;
using feedback::v1::Response;
using feedback::v1::Survey;
using InvitationStub = feedback::v1::InvitationService::Stub;
using ResponseStub = feedback::v1::ResponseService::Stub;
using SurveyStub = feedback::v1::SurveyService::Stub;

struct SurveyFlags {
  std::string survey, from, request_id, contact, channel, campaign, order, agent, subject, language,
      invitation;
  std::vector<std::string> contacts;
  int64_t version = 0, limit = 100;
  int transactional = -1, relational = -1;
};

std::string SurveyName(const Cli& cli, const std::string& text) {
  return cli.Name("surveys", text);
}

terminal::Table SurveyTable(const Cli& cli, const std::vector<Survey>& surveys) {
  terminal::Table table({{"name", "SURVEY"},
                         {"display_name", "TITLE"},
                         {"state"},
                         {"purpose"},
                         {"version"},
                         {"questions"},
                         {"update_time", "CHANGED"},
                         {"create_time", "MADE", true},
                         {"time_zone", "ZONE", true},
                         {"etag", "", true}});
  table.set_empty_text("no survey");
  for (const Survey& survey : surveys) {
    table.Add({ShownName(cli, survey.name()), TextCell(survey.display_name()),
               EnumText("STATE_", Survey::State_Name(survey.state())),
               EnumText("PURPOSE_", Survey::Purpose_Name(survey.purpose())),
               int64_t{survey.version()}, int64_t{survey.questions_size()},
               TimeCell(survey.has_update_time(), survey.update_time()),
               TimeCell(survey.has_create_time(), survey.create_time()), survey.time_zone(),
               survey.etag()});
  }
  return table;
}

absl::Status ShowSurvey(const Cli& cli, const absl::StatusOr<Survey>& survey) {
  CLM_RETURN_IF_ERROR(survey.status());
  return cli.Print({&*survey}, false, [&] { return SurveyTable(cli, {*survey}); });
}

terminal::Table InvitationTable(const Cli& cli, const std::vector<Invitation>& invitations) {
  terminal::Table table({{"name", "INVITATION"},
                         {"survey"},
                         {"contact"},
                         {"state"},
                         {"drop_reason", "WHY NOT"},
                         {"channel"},
                         {"create_time", "INVITED"},
                         {"submit_time", "ANSWERED"},
                         {"expire_time", "GOOD UNTIL", true},
                         {"display_time", "OPENED", true},
                         {"campaign", "", true},
                         {"order", "", true},
                         {"agent", "", true}});
  table.set_empty_text("nobody is invited");
  for (const Invitation& one : invitations) {
    const bool dropped = one.state() == Invitation::STATE_DROPPED;
    table.Add({ShownName(cli, one.name()), LastPart(one.survey()),
               TextCell(LastPart(one.contact())),
               EnumText("STATE_", Invitation::State_Name(one.state())),
               dropped ? terminal::Cell(EnumText("DROP_REASON_",
                                                 Invitation::DropReason_Name(one.drop_reason())))
                       : terminal::Cell(),
               TextCell(one.channel()), TimeCell(one.has_create_time(), one.create_time()),
               TimeCell(one.has_submit_time(), one.submit_time()),
               TimeCell(one.has_expire_time(), one.expire_time()),
               TimeCell(one.has_display_time(), one.display_time()), TextCell(one.campaign()),
               TextCell(one.order()), TextCell(one.agent())});
  }
  return table;
}

std::string AnswerText(const Answer& answer) {
  switch (answer.value_case()) {
    case Answer::kNumber:
      return absl::StrCat(answer.number());
    case Answer::kText:
      return answer.text();
    case Answer::kChoices:
      return absl::StrJoin(answer.choices().ids(), "+");
    case Answer::kAgreed:
      return answer.agreed() ? "yes" : "no";
    case Answer::VALUE_NOT_SET:
      break;
  }
  return "";
}

terminal::Table ResponseTable(const Cli& cli, const std::vector<Response>& responses) {
  terminal::Table table({{"name", "RESPONSE"},
                         {"survey"},
                         {"contact"},
                         {"submit_time", "ANSWERED"},
                         {"answers"},
                         {"channel", "", true},
                         {"agent", "", true},
                         {"stages", "", true},
                         {"tiers", "", true},
                         {"version", "", true},
                         {"corrections", "", true}});
  table.set_empty_text("nobody has answered");
  for (const Response& one : responses) {
    std::vector<std::string> answers;
    for (const Answer& answer : one.answers()) {
      answers.push_back(absl::StrCat(answer.question(), "=", AnswerText(answer)));
    }
    table.Add(
        {ShownName(cli, one.name()), LastPart(one.survey()), TextCell(LastPart(one.contact())),
         TimeCell(one.has_submit_time(), one.submit_time()), absl::StrJoin(answers, ", "),
         TextCell(one.channel()), TextCell(one.agent()), absl::StrJoin(one.moment().stages(), ", "),
         absl::StrJoin(one.moment().tiers(), ", "), int64_t{one.survey_version()},
         int64_t{one.corrections()}});
  }
  return table;
}

// ---- The commands.

absl::Status CreateSurvey(Cli& cli, const SurveyFlags& flags) {
  feedback::v1::CreateSurveyRequest request;
  request.set_parent(cli.tenant_name());
  request.set_survey_id(flags.survey);
  CLM_RETURN_IF_ERROR(ReadMessage(flags.from, request.mutable_survey()));
  request.set_request_id(flags.request_id);
  return ShowSurvey(cli, cli.Call(&SurveyStub::CreateSurvey, request));
}

absl::Status UpdateSurvey(Cli& cli, const SurveyFlags& flags) {
  feedback::v1::UpdateSurveyRequest request;
  CLM_RETURN_IF_ERROR(ReadMessage(flags.from, request.mutable_survey()));
  request.mutable_survey()->set_name(SurveyName(cli, flags.survey));
  request.set_request_id(flags.request_id);
  return ShowSurvey(cli, cli.Call(&SurveyStub::UpdateSurvey, request));
}

absl::Status ListSurveys(Cli& cli, const SurveyFlags& flags) {
  feedback::v1::ListSurveysRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(const std::vector<Survey> surveys,
                       cli.List(&SurveyStub::ListSurveys, request,
                                &feedback::v1::ListSurveysResponse::surveys, flags.limit));
  return cli.Print(Pointers(surveys), true, [&] { return SurveyTable(cli, surveys); });
}

absl::Status GetSurvey(Cli& cli, const SurveyFlags& flags) {
  feedback::v1::GetSurveyRequest request;
  request.set_name(SurveyName(cli, flags.survey));
  request.set_version(static_cast<int32_t>(flags.version));
  CLM_ASSIGN_OR_RETURN(const Survey survey, cli.Call(&SurveyStub::GetSurvey, request));
  return cli.PrintReport(survey, [&] {
    terminal::Table table({{"question"}, {"kind"}, {"text"}, {"asked_if", "ASKED IF"}});
    table.set_empty_text("no question");
    for (const auto& question : survey.questions()) {
      std::string text;
      for (const auto& one : question.texts()) {
        if (one.language() == survey.default_language()) text = one.text();
      }
      table.Add({question.id(),
                 EnumText("KIND_", feedback::v1::Question::Kind_Name(question.kind())), text,
                 TextCell(question.show_if())});
    }
    return table;
  });
}

template <class Request, class Method>
absl::Status MoveSurvey(Cli& cli, const SurveyFlags& flags, Method method) {
  Request request;
  request.set_name(SurveyName(cli, flags.survey));
  request.set_request_id(flags.request_id);
  return ShowSurvey(cli, cli.Call(method, request));
}

absl::Status Settings(Cli& cli, const SurveyFlags& flags) {
  const std::string name = cli.tenant_name() + "/feedbackSettings";
  feedback::v1::FeedbackSettings settings;
  if (flags.transactional < 0 && flags.relational < 0) {
    feedback::v1::GetFeedbackSettingsRequest request;
    request.set_name(name);
    CLM_ASSIGN_OR_RETURN(settings, cli.Call(&SurveyStub::GetFeedbackSettings, request));
  } else {
    feedback::v1::UpdateFeedbackSettingsRequest request;
    request.mutable_feedback_settings()->set_name(name);
    if (flags.transactional >= 0) {
      request.mutable_feedback_settings()->set_transactional_pause_days(flags.transactional);
      request.mutable_update_mask()->add_paths("transactional_pause_days");
    }
    if (flags.relational >= 0) {
      request.mutable_feedback_settings()->set_relational_pause_days(flags.relational);
      request.mutable_update_mask()->add_paths("relational_pause_days");
    }
    request.set_request_id(flags.request_id);
    CLM_ASSIGN_OR_RETURN(settings, cli.Call(&SurveyStub::UpdateFeedbackSettings, request));
  }
  return cli.Print({&settings}, false, [&] {
    terminal::Table table({{"transactional_pause_days", "PAUSE, TRANSACTIONAL"},
                           {"relational_pause_days", "PAUSE, RELATIONAL"}});
    table.Add(
        {int64_t{settings.transactional_pause_days()}, int64_t{settings.relational_pause_days()}});
    return table;
  });
}

absl::Status InviteContacts(Cli& cli, const SurveyFlags& flags) {
  std::vector<feedback::v1::CreateInvitationResponse> answers;
  if (!flags.request_id.empty() && flags.contacts.size() > 1) {
    return error::InvalidField("--request-id", "is for one contact");
  }
  for (const std::string& contact : flags.contacts) {
    feedback::v1::CreateInvitationRequest request;
    request.set_parent(cli.tenant_name());
    Invitation* invitation = request.mutable_invitation();
    invitation->set_survey(SurveyName(cli, flags.survey));
    CLM_ASSIGN_OR_RETURN(*invitation->mutable_contact(), cli.ContactName(contact));
    invitation->set_channel(flags.channel);
    invitation->set_campaign(flags.campaign);
    invitation->set_order(flags.order);
    invitation->set_agent(flags.agent);
    invitation->set_subject(flags.subject);
    invitation->set_language(flags.language);
    request.set_request_id(flags.request_id);
    CLM_ASSIGN_OR_RETURN(auto answer, cli.Call(&InvitationStub::CreateInvitation, request));
    answers.push_back(std::move(answer));
  }
  return cli.Print(Pointers(answers), flags.contacts.size() > 1, [&] {
    terminal::Table table(
        {{"name", "INVITATION"}, {"contact"}, {"state"}, {"drop_reason", "WHY NOT"}, {"token"}});
    for (const auto& answer : answers) {
      const Invitation& one = answer.invitation();
      const bool dropped = one.state() == Invitation::STATE_DROPPED;
      table.Add({ShownName(cli, one.name()), TextCell(LastPart(one.contact())),
                 EnumText("STATE_", Invitation::State_Name(one.state())),
                 dropped ? terminal::Cell(EnumText("DROP_REASON_",
                                                   Invitation::DropReason_Name(one.drop_reason())))
                         : terminal::Cell(),
                 TextCell(answer.token())});
    }
    return table;
  });
}

absl::Status ListInvitations(Cli& cli, const SurveyFlags& flags) {
  feedback::v1::ListInvitationsRequest request;
  request.set_parent(cli.tenant_name());
  if (!flags.survey.empty()) request.set_survey(SurveyName(cli, flags.survey));
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  }
  CLM_ASSIGN_OR_RETURN(const std::vector<Invitation> invitations,
                       cli.List(&InvitationStub::ListInvitations, request,
                                &feedback::v1::ListInvitationsResponse::invitations, flags.limit));
  return cli.Print(Pointers(invitations), true, [&] { return InvitationTable(cli, invitations); });
}

absl::Status RevokeInvitation(Cli& cli, const SurveyFlags& flags) {
  feedback::v1::RevokeInvitationRequest request;
  request.set_name(cli.Name("invitations", flags.invitation));
  request.set_request_id(flags.request_id);
  CLM_ASSIGN_OR_RETURN(const Invitation one, cli.Call(&InvitationStub::RevokeInvitation, request));
  return cli.Print({&one}, false, [&] { return InvitationTable(cli, {one}); });
}

absl::Status ListResponses(Cli& cli, const SurveyFlags& flags) {
  feedback::v1::ListResponsesRequest request;
  request.set_parent(cli.tenant_name());
  if (!flags.survey.empty()) request.set_survey(SurveyName(cli, flags.survey));
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  }
  CLM_ASSIGN_OR_RETURN(const std::vector<Response> responses,
                       cli.List(&ResponseStub::ListResponses, request,
                                &feedback::v1::ListResponsesResponse::responses, flags.limit));
  return cli.Print(Pointers(responses), true, [&] { return ResponseTable(cli, responses); });
}

}  // namespace

void AddFeedbackSurveysCommands(Cli& cli, Command group) {
  const auto flags = std::make_shared<SurveyFlags>();
  const auto add_survey = [flags](Command to) {
    to.AddOption("SURVEY", flags->survey, "id or name").Required();
  };
  const auto add_request_id = [flags](Command to) {
    to.AddOption("--request-id", flags->request_id, "UUID; the same again is the same request");
  };
  const auto add_limit = [flags](Command to) {
    to.AddOption("--limit", flags->limit, "most to show; 0: all").Counts().ShowDefault();
  };

  const Command surveys = group.AddGroup("surveys", "What is asked, and whether it is");
  Command command =
      cli.AddCommand(surveys, "list", "List the surveys",
                     {"clm feedback surveys list", "clm feedback surveys list -o json"},
                     [&cli, flags] { return ListSurveys(cli, *flags); });
  add_limit(command);
  command = cli.AddCommand(
      surveys, "get", "Show what a survey asks, now or in one of its versions",
      {"clm feedback surveys get pulse", "clm feedback surveys get pulse --version 1 -o json"},
      [&cli, flags] { return GetSurvey(cli, *flags); });
  add_survey(command);
  command.AddOption("--version", flags->version, "of its questions; 0: the present one").Counts();
  command = cli.AddCommand(surveys, "create", "Make a draft",
                           {"clm feedback surveys create pulse --from pulse.json"},
                           [&cli, flags] { return CreateSurvey(cli, *flags); });
  add_survey(command);
  command.AddOption("--from", flags->from, "a file with a Survey as JSON, - for stdin").Required();
  add_request_id(command);
  command = cli.AddCommand(
      surveys, "update", "Change what the file says; a survey that was started gets a new version",
      {"clm feedback surveys update pulse --from pulse.json"},
      [&cli, flags] { return UpdateSurvey(cli, *flags); });
  add_survey(command);
  command.AddOption("--from", flags->from, "a file with a Survey as JSON, - for stdin").Required();
  add_request_id(command);
  command = cli.AddCommand(surveys, "start", "Begin, or go on after a pause",
                           {"clm feedback surveys start pulse"}, [&cli, flags] {
                             return MoveSurvey<feedback::v1::StartSurveyRequest>(
                                 cli, *flags, &SurveyStub::StartSurvey);
                           });
  add_survey(command);
  add_request_id(command);
  command = cli.AddCommand(surveys, "pause", "Ask nobody for a while",
                           {"clm feedback surveys pause pulse"}, [&cli, flags] {
                             return MoveSurvey<feedback::v1::PauseSurveyRequest>(
                                 cli, *flags, &SurveyStub::PauseSurvey);
                           });
  add_survey(command);
  add_request_id(command);
  command = cli.AddCommand(surveys, "complete", "End it for good",
                           {"clm feedback surveys complete pulse"}, [&cli, flags] {
                             return MoveSurvey<feedback::v1::CompleteSurveyRequest>(
                                 cli, *flags, &SurveyStub::CompleteSurvey);
                           });
  add_survey(command);
  add_request_id(command);
  command = cli.AddCommand(surveys, "pauses",
                           "Show, or set, for how many days nobody is asked again by any survey",
                           {"clm feedback surveys pauses",
                            "clm feedback surveys pauses --relational 90 --transactional 0"},
                           [&cli, flags] { return Settings(cli, *flags); });
  command.AddOption("--relational", flags->relational, "days; 0: none").Between(0, 3650);
  command.AddOption("--transactional", flags->transactional, "days; 0: none").Between(0, 3650);
  add_request_id(command);

  command =
      cli.AddCommand(group, "invite", "Invite people, and print the tokens that open the survey",
                     {"clm feedback invite pulse ada@example.com",
                      "clm feedback invite service ada@example.com --order A-17 --agent grace"},
                     [&cli, flags] { return InviteContacts(cli, *flags); });
  add_survey(command);
  command.AddOption("CONTACTS", flags->contacts, "id, name, e-mail address, +phone, or TYPE:VALUE")
      .Required();
  command.AddOption("--channel", flags->channel, "how the invitation reaches them");
  command.AddOption("--campaign", flags->campaign, "what it is part of");
  command.AddOption("--order", flags->order, "the order that it is about");
  command.AddOption("--agent", flags->agent, "who served them");
  command.AddOption("--subject", flags->subject, "what else it is about");
  command.AddOption("--language", flags->language, "de-CH; default: that of the contact");
  add_request_id(command);

  command = cli.AddCommand(group, "invitations", "List who was invited, and who was not, and why",
                           {"clm feedback invitations --survey pulse",
                            "clm feedback invitations --contact ada@example.com -o wide"},
                           [&cli, flags] { return ListInvitations(cli, *flags); });
  command.AddOption("--survey", flags->survey, "id or name; default: all");
  command.AddOption("--contact", flags->contact, "id, name, e-mail address, +phone, or TYPE:VALUE");
  add_limit(command);

  command =
      cli.AddCommand(group, "revoke", "Take an invitation back: its token is not good any more",
                     {"clm feedback revoke 0190b5c2-7a10-7000-8000-000000000001"},
                     [&cli, flags] { return RevokeInvitation(cli, *flags); });
  command.AddOption("INVITATION", flags->invitation, "id or name").Required();
  add_request_id(command);

  command = cli.AddCommand(group, "responses", "List answers, newest first",
                           {"clm feedback responses --survey pulse",
                            "clm feedback responses --contact ada@example.com -o json"},
                           [&cli, flags] { return ListResponses(cli, *flags); });
  command.AddOption("--survey", flags->survey, "id or name; default: all");
  command.AddOption("--contact", flags->contact, "id, name, e-mail address, +phone, or TYPE:VALUE");
  add_limit(command);
}

}  // namespace clm::cli
