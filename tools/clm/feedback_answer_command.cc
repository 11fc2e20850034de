#include "tools/clm/feedback_answer_command.h"

#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clm/feedback/v1/response_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/uuid.h"
#include "tools/clm/values.h"
#include "tools/terminal/screen.h"

namespace clm::cli {
namespace {

using feedback::v1::Answer;
using feedback::v1::Question;
using Stub = feedback::v1::ResponseService::Stub;

struct AnswerFlags {
  std::string token, language;
  bool correct = false, dismiss = false;
};

std::string TextOf(const google::protobuf::RepeatedPtrField<feedback::v1::LocalText>& texts) {
  return texts.empty() ? "" : texts[0].text();
}

// What the line of a person means as an answer; says what is wrong otherwise.
absl::Status ReadAnswer(const Question& question, const std::string& line, Answer* answer) {
  answer->set_question(question.id());
  if (line.empty()) return absl::OkStatus();
  switch (question.kind()) {
    case Question::KIND_TEXT:
      answer->set_text(line);
      return absl::OkStatus();
    case Question::KIND_CONSENT: {
      const std::string word = absl::AsciiStrToLower(line);
      if (word != "y" && word != "yes" && word != "n" && word != "no") {
        return error::InvalidField("answer", "yes or no");
      }
      answer->set_agreed(word[0] == 'y');
      return absl::OkStatus();
    }
    case Question::KIND_SINGLE_CHOICE:
    case Question::KIND_MULTIPLE_CHOICE:
      for (const absl::string_view word : absl::StrSplit(line, ',', absl::SkipWhitespace())) {
        const std::string text(absl::StripAsciiWhitespace(word));
        int number = 0;
        if (absl::SimpleAtoi(text, &number) && number >= 1 && number <= question.choices_size()) {
          answer->mutable_choices()->add_ids(question.choices(number - 1).id());
        } else {
          answer->mutable_choices()->add_ids(text);
        }
      }
      return absl::OkStatus();
    default: {
      int number = 0;
      if (!absl::SimpleAtoi(line, &number) || number < question.min() || number > question.max()) {
        return error::InvalidField(
            "answer", absl::StrCat("a number from ", question.min(), " to ", question.max()));
      }
      answer->set_number(number);
      return absl::OkStatus();
    }
  }
}

// The question as text, whatever it contains.
void PrintQuestion(const Question& question) {
  std::cerr << "\n" << terminal::Printable(TextOf(question.texts())) << "\n";
  switch (question.kind()) {
    case Question::KIND_TEXT:
      break;
    case Question::KIND_CONSENT:
      std::cerr << "  yes or no\n";
      break;
    case Question::KIND_SINGLE_CHOICE:
    case Question::KIND_MULTIPLE_CHOICE:
      for (int i = 0; i < question.choices_size(); ++i) {
        std::cerr << "  " << i + 1 << "  "
                  << terminal::Printable(TextOf(question.choices(i).labels())) << "\n";
      }
      if (question.kind() == Question::KIND_MULTIPLE_CHOICE) {
        std::cerr << "  several with commas between\n";
      }
      break;
    default:
      std::cerr << "  " << question.min() << " "
                << terminal::Printable(TextOf(question.low_labels())) << " ... " << question.max()
                << " " << terminal::Printable(TextOf(question.high_labels())) << "\n";
  }
  std::cerr << (question.required() ? "> " : "(empty: no answer) > ") << std::flush;
}

absl::Status AnswerSurvey(Cli& cli, const AnswerFlags& flags) {
  if (flags.dismiss) {
    feedback::v1::DismissSurveyRequest dismiss;
    dismiss.set_token(flags.token);
    CLM_RETURN_IF_ERROR(cli.Call(&Stub::DismissSurvey, dismiss).status());
    cli.Note("dismissed");
    return absl::OkStatus();
  }
  feedback::v1::OpenSurveyRequest open;
  open.set_token(flags.token);
  open.set_language(flags.language);
  CLM_ASSIGN_OR_RETURN(const auto survey, cli.Call(&Stub::OpenSurvey, open));
  if (survey.submitted() && !flags.correct) {
    return error::InvalidField("--correct", "is needed: the survey has been answered");
  }
  std::set<std::string> shown(survey.shown().begin(), survey.shown().end());
  feedback::v1::SubmitResponseRequest submit;
  submit.set_token(flags.token);
  submit.set_correction(survey.submitted());
  submit.set_request_id(Uuid::V7(absl::Now()).ToString());
  for (const Question& question : survey.questions()) {
    // Of a correction what is asked shows only at the end: everything is offered that may be.
    if (!survey.submitted() && !shown.contains(question.id())) continue;
    for (;;) {
      PrintQuestion(question);
      std::string line;
      if (!std::getline(std::cin, line)) {
        return error::InvalidField("stdin",
                                   "ended before the last question; what was answered is kept");
      }
      Answer answer;
      const absl::Status read =
          ReadAnswer(question, std::string(absl::StripAsciiWhitespace(line)), &answer);
      if (!read.ok()) {
        std::cerr << read.message() << "\n";
        continue;
      }
      *submit.add_answers() = answer;
      if (survey.submitted()) break;
      // Kept at once, and the service says what comes next.
      feedback::v1::SaveResponseRequest save;
      save.set_token(flags.token);
      *save.add_answers() = answer;
      const auto saved = cli.Call(&Stub::SaveResponse, save);
      if (!saved.ok() && absl::IsInvalidArgument(saved.status())) {
        std::cerr << saved.status().message() << "\n";
        submit.mutable_answers()->RemoveLast();
        continue;
      }
      CLM_RETURN_IF_ERROR(saved.status());
      shown = {saved->shown().begin(), saved->shown().end()};
      break;
    }
  }
  CLM_ASSIGN_OR_RETURN(const auto done, cli.Call(&Stub::SubmitResponse, submit));
  return cli.Print({&done}, false, [&] {
    terminal::Table table({{"submit_time", "ANSWERED"}, {"dropped", "NOT ASKED"}});
    std::vector<std::string> dropped(done.dropped().begin(), done.dropped().end());
    std::string text;
    for (const std::string& id : dropped) absl::StrAppend(&text, text.empty() ? "" : ", ", id);
    table.Add({TimeCell(done.has_submit_time(), done.submit_time()), TextCell(text)});
    return table;
  });
}

}  // namespace

void AddFeedbackAnswerCommand(Cli& cli, Command group) {
  const auto flags = std::make_shared<AnswerFlags>();
  const Command command = cli.AddCommand(
      group, "answer",
      "Answer a survey here: asks its questions and reads the answers line by line",
      {"clm feedback answer demo.AQ7w", "clm feedback answer demo.AQ7w --language de --correct",
       "clm feedback answer demo.AQ7w --dismiss"},
      [&cli, flags] { return AnswerSurvey(cli, *flags); });
  command.AddOption("TOKEN", flags->token, "what clm feedback invite printed").Required();
  command.AddOption("--language", flags->language, "de-CH; default: that of the invitation");
  command.AddFlag("--correct", flags->correct, "it was answered before, and this changes it");
  command.AddFlag("--dismiss", flags->dismiss, "say that it is not going to be answered");
}

}  // namespace clm::cli
