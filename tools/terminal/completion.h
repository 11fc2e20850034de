// Shell completion and spelling help from the tree of a CLI11 App: subcommands, options, and the
// values of options that are limited to a set (CLI::IsMember). What is in the empty group is
// hidden. Not thread-safe while the App is being changed.
#ifndef CLM_TOOLS_TERMINAL_COMPLETION_H_
#define CLM_TOOLS_TERMINAL_COMPLETION_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace CLI {
class App;
}  // namespace CLI

namespace clm::terminal {

// The script for `shell` ("bash", "zsh", "fish"; INVALID_ARGUMENT for another), to be sourced or
// put where the shell looks. `program` is the command's name. What the options and positionals in
// `live` ("--model", "MODEL") can be is known to the program only, at that moment: the script runs
// `program __complete WORDS`, the last of which is being typed, and offers the lines it prints.
absl::StatusOr<std::string> CompletionScript(const CLI::App& app, absl::string_view program,
                                             absl::string_view shell,
                                             const std::set<std::string>& live = {});

// What the last word of a command line stands for.
struct TypedWord {
  // The option whose value it is ("--model"), or the positional ("MODEL"); empty for anything else.
  std::string name;
  // The values before it, by option and positional.
  std::map<std::string, std::string> given;
};
// `args` without the program's name; "=" is a word of its own, as bash has it.
TypedWord WordBeingTyped(const CLI::App& app, std::vector<std::string> args);

// For a command line that did not parse: the first unknown subcommand or option and what was
// probably meant, "unknown command 'contcats'; did you mean 'contacts'?"; empty when every word is
// known. `args` without the program's name.
std::string UnknownWordText(const CLI::App& app, const std::vector<std::string>& args);

}  // namespace clm::terminal

#endif  // CLM_TOOLS_TERMINAL_COMPLETION_H_
