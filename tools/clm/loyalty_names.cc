#include "tools/clm/loyalty_names.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"

namespace clm::cli {

void AddProgramOption(Command command, std::string& program) {
  command.AddOption("--program", program, "needed when there are several programmes");
}

void AddRequestIdOption(Command command, std::string& request_id) {
  command.AddOption("--request-id", request_id, "UUID; the same again is answered, not repeated");
}

absl::StatusOr<std::string> ProgramName(Cli& cli, const std::string& program) {
  if (!program.empty()) return cli.Name("programs", program);
  loyalty::v1::ListProgramsRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(const auto programs,
                       cli.List(&loyalty::v1::ProgramService::Stub::ListPrograms, request,
                                &loyalty::v1::ListProgramsResponse::programs, /*limit=*/0));
  if (programs.size() == 1) return programs.front().name();
  if (programs.empty()) {
    return error::Make(absl::StatusCode::kNotFound, "NO_PROGRAM",
                       absl::StrCat(cli.tenant_name(),
                                    " has no loyalty programme yet; make one: "
                                    "clm loyalty create-program ID"));
  }
  return error::InvalidField(
      "--program",
      absl::StrCat("say which of: ",
                   absl::StrJoin(programs, ", ", [](std::string* out, const auto& one) {
                     absl::StrAppend(out, LastPart(one.name()));
                   })));
}

absl::StatusOr<std::string> MemberName(Cli& cli, const std::string& program,
                                       const std::string& contact) {
  if (absl::StartsWith(contact, "tenants/") && absl::StrContains(contact, "/members/")) {
    return contact;
  }
  CLM_ASSIGN_OR_RETURN(const std::string parent, ProgramName(cli, program));
  CLM_ASSIGN_OR_RETURN(const std::string name, cli.ContactName(contact));
  return absl::StrCat(parent, "/members/", LastPart(name));
}

absl::StatusOr<std::string> NameBelowMember(Cli& cli, absl::string_view collection,
                                            const std::string& text, const std::string& program,
                                            const std::string& contact) {
  if (IsNameBelowMember(collection, text)) return text;
  if (contact.empty()) {
    return error::InvalidField("--member",
                               absl::StrCat("say whose '", text, "' is, or use its full name"));
  }
  CLM_ASSIGN_OR_RETURN(const std::string member, MemberName(cli, program, contact));
  return absl::StrCat(member, "/", collection, "/", text);
}

std::string ShownName(const Cli& cli, const std::string& name) {
  return cli.output() == "name" ? name : LastPart(name);
}

}  // namespace clm::cli
