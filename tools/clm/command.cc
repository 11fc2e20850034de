#include "tools/clm/command.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "libs/base/error.h"

namespace clm::cli {

Option Option::Required() const { return Option(option_->required()); }

Option Option::ShowDefault() const { return Option(option_->capture_default_str()); }

Option Option::TypeName(const std::string& name) const { return Option(option_->type_name(name)); }

Option Option::Environment(const std::string& name) const { return Option(option_->envname(name)); }

Option Option::Delimiter(char between) const { return Option(option_->delimiter(between)); }

Option Option::Hide() const { return Option(option_->group("")); }

Option Option::Excludes(Option other) const { return Option(option_->excludes(other.option_)); }

Option Option::Between(int64_t least, int64_t most) const {
  return Option(option_->check(CLI::Range(least, most)));
}

Option Option::BetweenReals(double least, double most) const {
  return Option(option_->check(CLI::Range(least, most)));
}

Option Option::Counts() const { return Between(0, 1'000'000'000); }

Option Option::OneOf(const std::vector<std::string>& values) const {
  return Option(option_->check(CLI::IsMember(values)));
}

Option Option::ExistingFile() const { return Option(option_->check(CLI::ExistingFile)); }

Command Command::Top(CLI::App& app) {
  app.fallthrough();
  app.require_subcommand(1);
  return Command(&app);
}

Command Command::AddGroup(const std::string& name, const std::string& description) const {
  CLI::App* group = app_->add_subcommand(name, description);
  group->require_subcommand(1);
  return Command(group);
}

Command Command::AddCommand(const std::string& name, const std::string& description,
                            const std::string& footer, std::function<void()> chosen) const {
  CLI::App* command = app_->add_subcommand(name, description);
  command->footer(footer);
  command->callback(std::move(chosen));
  return Command(command);
}

template <class T>
Option Command::AddOption(const std::string& names, T& value, const std::string& help) const {
  return Option(app_->add_option(names, value, help));
}
template Option Command::AddOption(const std::string&, std::string&, const std::string&) const;
template Option Command::AddOption(const std::string&, int&, const std::string&) const;
template Option Command::AddOption(const std::string&, int64_t&, const std::string&) const;
template Option Command::AddOption(const std::string&, double&, const std::string&) const;
template Option Command::AddOption(const std::string&, std::vector<std::string>&,
                                   const std::string&) const;
template Option Command::AddOption(const std::string&, std::vector<int64_t>&,
                                   const std::string&) const;

Option Command::AddFlag(const std::string& names, bool& value, const std::string& help) const {
  return Option(app_->add_flag(names, value, help));
}

bool Command::Given(const std::string& name) const { return app_->count(name) > 0; }

CommandLine::CommandLine(const std::string& program, const std::string& description,
                         const std::string& footer)
    : app_(std::make_unique<CLI::App>(description, program)) {
  app_->footer(footer);
}

CommandLine::~CommandLine() = default;

absl::StatusOr<bool> CommandLine::Parse(const std::vector<std::string>& words) {
  try {
    // The parser wants the last word first.
    app_->parse(std::vector<std::string>(words.rbegin(), words.rend()));
    return true;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0) {
      return error::Make(absl::StatusCode::kInvalidArgument, "USAGE", e.what());
    }
    app_->exit(e);
    return false;
  }
}

}  // namespace clm::cli
