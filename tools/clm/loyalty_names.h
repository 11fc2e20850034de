// Which programme, member, posting or hold a line of `clm loyalty` means.
#ifndef CLM_TOOLS_CLM_LOYALTY_NAMES_H_
#define CLM_TOOLS_CLM_LOYALTY_NAMES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

// What stands for a contact on the line, in the words of --help.
inline constexpr char kContactHelp[] = "id, name, e-mail address, +phone, or TYPE:VALUE";

// Adds --program, whose text the functions below want.
void AddProgramOption(Command command, std::string& program);
void AddRequestIdOption(Command command, std::string& request_id);

// Full names stay as they are.

// By its id or, without one, the tenant's only programme.
absl::StatusOr<std::string> ProgramName(Cli& cli, const std::string& program);
// The member that a contact is in the programme.
absl::StatusOr<std::string> MemberName(Cli& cli, const std::string& program,
                                       const std::string& contact);
// A posting ("postings", "points-17") or a hold ("holds") of a member. INVALID_ARGUMENT when a
// short one comes without `contact`.
absl::StatusOr<std::string> NameBelowMember(Cli& cli, absl::string_view collection,
                                            const std::string& text, const std::string& program,
                                            const std::string& contact);

// For the column "name": the last part for people and tables; the whole for -o name, which
// other commands of the line read.
std::string ShownName(const Cli& cli, const std::string& name);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_NAMES_H_
