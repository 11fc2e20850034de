// How a command of clm says what it takes: a narrow face of CLI11. The library is one long header
// of inline code, which would be compiled again in each file that reads it; command.cc does so for
// all commands. Option and Command are handles, copied freely, that live as long as their
// CommandLine. Not thread-safe.
#ifndef CLM_TOOLS_CLM_COMMAND_H_
#define CLM_TOOLS_CLM_COMMAND_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace clm::cli {

// An option, a flag or a positional of a command. What is wrong on the line is said by the parser.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option Required() const;
  // --help shows the value that its variable has now.
  Option ShowDefault() const;
  // What --help calls its value.
  Option TypeName(const std::string& name) const;
  // Taken from this variable when the line does not have it.
  Option Environment(const std::string& name) const;
  // One word of the line may be many values.
  Option Delimiter(char between) const;
  // Neither in --help nor completed.
  Option Hide() const;
  // Wrong together with the other one.
  Option Excludes(Option other) const;

  // The values it can have; ends of ranges are among them.
  Option Between(int64_t least, int64_t most) const;
  Option BetweenReals(double least, double most) const;
  Option Counts() const;  // From 0 to a billion.
  Option OneOf(const std::vector<std::string>& values) const;
  Option ExistingFile() const;

 private:
  CLI::Option* option_;
};

// A command, or a group of them.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}
  // The whole line: it asks for a command, behind which its own options are understood as well.
  static Command Top(CLI::App& app);

  // A group of commands, which asks for one of them.
  Command AddGroup(const std::string& name, const std::string& description) const;
  // A command below this one. `footer` ends its help; `chosen` is called when the line has it and
  // was parsed.
  Command AddCommand(const std::string& name, const std::string& description,
                     const std::string& footer, std::function<void()> chosen) const;

  // `names`: "-o,--output", or "NAME" of a positional. `value` gets what the line says and has to
  // live until then. T: std::string, int, int64_t, double, or a vector of the first or third.
  template <class T>
  Option AddOption(const std::string& names, T& value, const std::string& help = "") const;
  Option AddFlag(const std::string& names, bool& value, const std::string& help) const;

  // Of a line that was parsed: whether it has the option.
  bool Given(const std::string& name) const;

 private:
  CLI::App* app_;
};

// What a program is called with.
class CommandLine {
 public:
  // `footer` ends the help of the whole.
  CommandLine(const std::string& program, const std::string& description,
              const std::string& footer);
  ~CommandLine();

  // To add commands to, and for tools/terminal/completion.h.
  CLI::App& app() { return *app_; }

  // Sets what the words (without the program's name) say and calls what they choose. False when
  // they ask for help instead, which is then printed. INVALID_ARGUMENT when they are wrong.
  absl::StatusOr<bool> Parse(const std::vector<std::string>& words);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_COMMAND_H_
