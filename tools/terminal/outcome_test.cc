#include "tools/terminal/outcome.h"

#include <gtest/gtest.h>

#include "libs/base/error.h"
#include "libs/base/request_info.h"

namespace clm::terminal {
namespace {

TEST(ExitTest, EveryCodeOfTheInterfaceIsWhatItWas) {
  const auto code = [](absl::StatusCode status) {
    return static_cast<int>(ExitFor(error::Make(status, "R", "m")));
  };
  EXPECT_EQ(static_cast<int>(ExitFor(absl::OkStatus())), 0);
  EXPECT_EQ(code(absl::StatusCode::kInternal), 1);
  EXPECT_EQ(code(absl::StatusCode::kCancelled), 1);
  EXPECT_EQ(code(absl::StatusCode::kUnknown), 1);
  EXPECT_EQ(code(absl::StatusCode::kInvalidArgument), 2);
  EXPECT_EQ(code(absl::StatusCode::kOutOfRange), 2);
  EXPECT_EQ(code(absl::StatusCode::kNotFound), 3);
  EXPECT_EQ(code(absl::StatusCode::kAlreadyExists), 4);
  EXPECT_EQ(code(absl::StatusCode::kAborted), 4);
  EXPECT_EQ(code(absl::StatusCode::kFailedPrecondition), 4);
  EXPECT_EQ(code(absl::StatusCode::kUnavailable), 5);
  EXPECT_EQ(code(absl::StatusCode::kDeadlineExceeded), 5);
  EXPECT_EQ(code(absl::StatusCode::kResourceExhausted), 5);
  EXPECT_EQ(code(absl::StatusCode::kPermissionDenied), 6);
  EXPECT_EQ(code(absl::StatusCode::kUnauthenticated), 6);
}

TEST(ErrorTextTest, EveryBadFieldHasItsLine) {
  error::FieldErrors errors;
  errors.Add("contact.email", "is not an e-mail address");
  errors.Add("contact.locale", "is not a language tag");
  EXPECT_EQ(ErrorText({}, errors.ToStatus()),
            "error: 2 fields are not valid (INVALID_ARGUMENT)\n"
            "  contact.email: is not an e-mail address\n"
            "  contact.locale: is not a language tag\n");
  EXPECT_EQ(ErrorText({}, error::InvalidField("page_size", "must not be negative")),
            "error: a field is not valid (INVALID_ARGUMENT)\n"
            "  page_size: must not be negative\n");
}

TEST(ErrorTextTest, SaysWhatToDoNext) {
  EXPECT_EQ(
      ErrorText({}, error::Unavailable("DOWN", "contact: cannot be reached", absl::Seconds(2))),
      "error: contact: cannot be reached (DOWN)\n"
      "hint: is the suite running? see: clm status; else try again in 2.0 s\n");
  EXPECT_EQ(
      ErrorText({}, error::EtagMismatch("contact.etag", "\"v2\"")),
      "error: contact.etag: stale; read the resource again and repeat the change (ETAG_MISMATCH)\n"
      "hint: somebody changed it meanwhile; get it again, then repeat\n");
  EXPECT_EQ(ErrorText({}, error::Make(absl::StatusCode::kPermissionDenied, "SCOPE_MISSING",
                                      "refused", {{"scope", "contacts.write"}})),
            "error: refused (SCOPE_MISSING)\n"
            "hint: the token needs the scope contacts.write\n");
  EXPECT_EQ(ErrorText({}, error::Precondition("SECOND_PERSON_NEEDED", "amount: too much")),
            "error: amount: too much (SECOND_PERSON_NEEDED)\n"
            "hint: clm loyalty adjustments propose takes the same words; somebody else approves it "
            "then\n");
  EXPECT_EQ(ErrorText({}, error::Make(absl::StatusCode::kPermissionDenied, "SAME_PERSON", "no")),
            "error: no (SAME_PERSON)\n"
            "hint: somebody else approves it, with a token of their own\n");
  EXPECT_EQ(ErrorText({}, error::Precondition("MODEL_IN_USE", "model: in use")),
            "error: model: in use (MODEL_IN_USE)\n");
  EXPECT_EQ(ErrorText({}, absl::OkStatus()), "");
}

TEST(ErrorTextTest, AFailureOfTheSuiteIsNamedByItsTrace) {
  const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  EXPECT_EQ(ErrorText({}, error::WithRequestId(error::Internal("internal error"), trace)),
            "error: internal error (INTERNAL)\n"
            "hint: clm logs tells more, of the trace 4bf92f3577b34da6a3ce929d0e0e4736\n");
  // What the caller can mend needs no look into the logs.
  const absl::Status taken =
      error::WithRequestId(error::Precondition("MODEL_IN_USE", "model: in use"), trace);
  EXPECT_EQ(ErrorText({}, taken), "error: model: in use (MODEL_IN_USE)\n");
  EXPECT_NE(ErrorJson(taken).find("\"trace\":\"" + trace + "\""), std::string::npos);
}

TEST(ErrorTextTest, AStatusWithoutDetailsStillHasAReason) {
  // check: what a proxy between client and suite may send.
  EXPECT_EQ(ErrorText({}, absl::Status(absl::StatusCode::kInternal, "")), "error: (INTERNAL)\n");
}

TEST(ErrorTextTest, AMessageCannotPlayWithTheTerminal) {
  const std::string text = ErrorText({.color = true}, error::InvalidField("a\033[2J", "b\nc"));
  EXPECT_EQ(text.find("\033[2J"), std::string::npos);
  EXPECT_NE(text.find("b c"), std::string::npos);
}

TEST(ErrorJsonTest, IsOneLineWithEverything) {
  EXPECT_EQ(
      ErrorJson(error::InvalidField("page_size", "must not be \"-1\"")),
      "{\"error\":{\"code\":\"INVALID_ARGUMENT\",\"exit_code\":2,\"reason\":\"INVALID_ARGUMENT\","
      "\"message\":\"page_size: must not be \\\"-1\\\"\",\"fields\":[{\"field\":\"page_size\","
      "\"description\":\"must not be \\\"-1\\\"\"}]}}\n");
  EXPECT_EQ(ErrorJson(absl::OkStatus()), "");
}

TEST(NearestTest, FindsWhatWasProbablyMeant) {
  const std::vector<std::string> words = {"contacts", "events", "models", "stages", "completion"};
  EXPECT_EQ(Nearest("contcats", words), "contacts");
  EXPECT_EQ(Nearest("event", words), "events");
  EXPECT_EQ(Nearest("MODELS", words), "models");
  EXPECT_EQ(Nearest("comp", words), "completion");  // The only one that begins so.
  EXPECT_EQ(Nearest("xyz", words), std::nullopt);
  EXPECT_EQ(Nearest("", words), std::nullopt);
  EXPECT_EQ(Nearest("sta", {"status", "stages"}), std::nullopt);  // Two begin so.
  EXPECT_EQ(Nearest("ab", {"ac", "ad"}), "ac");
}

}  // namespace
}  // namespace clm::terminal
