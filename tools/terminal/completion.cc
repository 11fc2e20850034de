#include "tools/terminal/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "libs/base/error.h"
#include "tools/terminal/outcome.h"

namespace clm::terminal {
namespace {

struct OptionWords {
  std::vector<std::string> names;  // With their dashes; none for a positional.
  std::string description;
  bool takes_value = false;
  bool takes_file = false;
  std::vector<std::string> choices;
  bool live = false;
};

// One command of the tree: "clm contacts list".
struct Command {
  std::string path;
  std::string description;
  std::vector<std::pair<std::string, std::string>> children;  // Name, description.
  std::vector<OptionWords> options;      // Its own and those of the commands above.
  std::vector<std::string> positionals;  // Their names, in order.
  std::vector<std::string> positional_choices;
  bool live = false;  // A positional is.
};

// The first line, which is what fits a completion list.
std::string FirstLine(absl::string_view text) {
  return std::string(absl::StripAsciiWhitespace(text.substr(0, text.find('\n'))));
}

// "TEXT:{json,yaml}" -> json, yaml. IsMember writes its set into the type's name.
std::vector<std::string> ChoicesOf(const std::string& type) {
  const size_t open = type.find('{');
  const size_t close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  std::vector<std::string> choices;
  for (absl::string_view choice : absl::StrSplit(type.substr(open + 1, close - open - 1), ',')) {
    // Transformers write "name->value".
    choice = absl::StripAsciiWhitespace(choice.substr(0, choice.find("->")));
    if (!choice.empty()) choices.emplace_back(choice);
  }
  return choices;
}

std::vector<const CLI::App*> VisibleChildren(const CLI::App& app) {
  std::vector<const CLI::App*> children;
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!child->get_name().empty() && !child->get_group().empty()) children.push_back(child);
  }
  return children;
}

void Walk(const CLI::App& app, const std::string& path, std::vector<OptionWords> inherited,
          std::vector<Command>& out) {
  Command command{.path = path, .description = FirstLine(app.get_description())};
  std::vector<OptionWords> own;
  for (const CLI::Option* option : app.get_options([](const CLI::Option*) { return true; })) {
    if (option->get_group().empty()) continue;
    OptionWords words;
    for (const std::string& name : option->get_lnames()) words.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) words.names.push_back("-" + name);
    words.description = FirstLine(option->get_description());
    words.takes_value = option->get_items_expected_max() > 0;
    const std::string type = option->get_type_name();
    words.choices = ChoicesOf(type);
    words.takes_file = absl::StrContains(type, "FILE") || absl::StrContains(type, "PATH") ||
                       absl::StrContains(type, "DIR");
    if (words.names.empty()) {
      command.positionals.push_back(option->get_name());
      command.positional_choices.insert(command.positional_choices.end(), words.choices.begin(),
                                        words.choices.end());
    } else {
      own.push_back(std::move(words));
    }
  }
  // The help option exists at every level; one of a name is enough.
  for (OptionWords& words : inherited) {
    const bool hidden = std::any_of(
        own.begin(), own.end(), [&](const OptionWords& mine) { return mine.names == words.names; });
    if (!hidden) own.push_back(std::move(words));
  }
  command.options = own;
  const auto children = VisibleChildren(app);
  for (const CLI::App* child : children) {
    command.children.emplace_back(child->get_name(), FirstLine(child->get_description()));
  }
  out.push_back(std::move(command));
  for (const CLI::App* child : children) {
    Walk(*child, absl::StrCat(path, " ", child->get_name()), own, out);
  }
}

// In single quotes, for bash and zsh.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// For fish, where a backslash escapes inside single quotes.
std::string FishQuoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

void MarkLive(const std::set<std::string>& live, std::vector<Command>& commands) {
  const auto is_live = [&live](const std::string& name) { return live.count(name) > 0; };
  for (Command& command : commands) {
    command.live = std::any_of(command.positionals.begin(), command.positionals.end(), is_live);
    for (OptionWords& option : command.options) {
      option.live = std::any_of(option.names.begin(), option.names.end(), is_live);
    }
  }
}

// How the scripts ask for live values, one per line.
std::string BashLive(absl::string_view program) {
  return absl::StrCat("$(", program, " __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)");
}
std::string ZshLive(absl::string_view program) {
  return absl::StrCat("compadd -- ${(f)\"$(", program,
                      " __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"}");
}
std::string FishLive(absl::string_view program) {
  return absl::StrCat("(", program,
                      " __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)");
}

std::vector<std::string> PathsBelowTop(const std::vector<Command>& commands) {
  std::vector<std::string> paths;
  for (size_t i = 1; i < commands.size(); ++i) paths.push_back(commands[i].path);
  return paths;
}

// The arms of a case over "path|option" that offer an option's values.
std::string ValueArms(const std::vector<Command>& commands, absl::string_view files,
                      absl::string_view live, absl::string_view (*choice_call)()) {
  std::string out;
  for (const Command& command : commands) {
    for (const OptionWords& option : command.options) {
      if (!option.takes_value) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) {
        patterns.push_back(Quoted(absl::StrCat(command.path, "|", name)));
      }
      absl::StrAppend(&out, "    ", absl::StrJoin(patterns, " | "), ")\n      ");
      if (!option.choices.empty()) {
        absl::StrAppend(
            &out, absl::StrReplaceAll(choice_call(), {{"@", absl::StrJoin(option.choices, " ")}}));
      } else if (option.live) {
        absl::StrAppend(&out, live);
      } else if (option.takes_file) {
        absl::StrAppend(&out, files);
      } else {
        // Anything goes: offer nothing rather than something wrong.
        absl::StrAppend(&out, ":");
      }
      absl::StrAppend(&out, "\n      return\n      ;;\n");
    }
  }
  return out;
}

std::string PathArm(const std::vector<Command>& commands) {
  std::vector<std::string> patterns;
  for (const std::string& path : PathsBelowTop(commands)) patterns.push_back(Quoted(path));
  return absl::StrJoin(patterns, " | ");
}

std::string Bash(const std::vector<Command>& commands, absl::string_view program) {
  std::string out =
      absl::StrCat("# bash completion for ", program, "; source it, or save it as\n# ",
                   "~/.local/share/bash-completion/completions/", program, "\n_", program,
                   "_complete() {\n"
                   "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                   "  local at=",
                   program,
                   " i words=\n"
                   "  # Bash makes --option=value three words.\n"
                   "  if [[ $cur == '=' ]]; then\n    cur=\n"
                   "  elif [[ $prev == '=' ]]; then\n    prev=${COMP_WORDS[COMP_CWORD - 2]}\n  fi\n"
                   "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                   "    case \"$at ${COMP_WORDS[i]}\" in\n");
  if (commands.size() > 1) {
    absl::StrAppend(&out, "    ", PathArm(commands), ") at+=\" ${COMP_WORDS[i]}\" ;;\n");
  }
  absl::StrAppend(&out, "    esac\n  done\n  COMPREPLY=()\n  case \"$at|$prev\" in\n",
                  ValueArms(commands, "compopt -o default",
                            absl::StrCat("mapfile -t COMPREPLY < <(compgen -W \"",
                                         BashLive(program), "\" -- \"$cur\")"),
                            []() -> absl::string_view {
                              return "mapfile -t COMPREPLY < <(compgen -W '@' -- \"$cur\")";
                            }),
                  "  esac\n  case \"$at\" in\n");
  for (const Command& command : commands) {
    std::vector<std::string> words;
    for (const auto& [name, description] : command.children) words.push_back(name);
    for (const std::string& choice : command.positional_choices) words.push_back(choice);
    std::vector<std::string> dashed;
    for (const OptionWords& option : command.options) {
      dashed.insert(dashed.end(), option.names.begin(), option.names.end());
    }
    absl::StrAppend(
        &out, "    ", Quoted(command.path), ")\n      words=", Quoted(absl::StrJoin(words, " ")),
        "\n      [[ $cur == -* ]] && words=", Quoted(absl::StrJoin(dashed, " ")), "\n",
        command.live
            ? absl::StrCat("      [[ $cur == -* ]] || words+=\" ", BashLive(program), "\"\n")
            : "",
        "      ;;\n");
  }
  absl::StrAppend(&out,
                  "  esac\n  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                  "  ((${#COMPREPLY[@]})) || compopt -o default\n}\n"
                  "complete -F _",
                  program, "_complete ", program, "\n");
  return out;
}

// "name:description" as _describe wants it.
std::string Described(absl::string_view name, absl::string_view description) {
  return Quoted(absl::StrCat(absl::StrReplaceAll(name, {{":", "\\:"}}), ":", description));
}

std::string Zsh(const std::vector<Command>& commands, absl::string_view program) {
  std::string out = absl::StrCat("#compdef ", program, "\n# zsh completion for ", program,
                                 "; source it, or save it as _", program,
                                 " in a folder of $fpath\n_", program, "() {\n  local at=", program,
                                 " i\n  local -a commands options\n"
                                 "  for ((i = 2; i < CURRENT; i++)); do\n"
                                 "    case \"$at ${words[i]}\" in\n");
  if (commands.size() > 1) {
    absl::StrAppend(&out, "    ", PathArm(commands), ") at+=\" ${words[i]}\" ;;\n");
  }
  absl::StrAppend(&out, "    esac\n  done\n  case \"$at|${words[CURRENT-1]}\" in\n",
                  ValueArms(commands, "_files", ZshLive(program),
                            []() -> absl::string_view { return "compadd -- @"; }),
                  "  esac\n  case \"$at\" in\n");
  for (const Command& command : commands) {
    absl::StrAppend(&out, "    ", Quoted(command.path), ")\n");
    std::vector<std::string> items;
    for (const auto& [name, description] : command.children)
      items.push_back(Described(name, description));
    for (const std::string& choice : command.positional_choices)
      items.push_back(Described(choice, ""));
    absl::StrAppend(&out, "      commands=(", absl::StrJoin(items, " "), ")\n");
    items.clear();
    for (const OptionWords& option : command.options) {
      for (const std::string& name : option.names)
        items.push_back(Described(name, option.description));
    }
    absl::StrAppend(&out, "      options=(", absl::StrJoin(items, " "), ")\n");
    if (command.live) {
      absl::StrAppend(&out, "      [[ $PREFIX == -* ]] || { ", ZshLive(program), "; return }\n");
    }
    absl::StrAppend(&out, "      ;;\n");
  }
  absl::StrAppend(
      &out,
      "  esac\n  if [[ $PREFIX == -* ]]; then\n    _describe -o option options\n"
      "  elif ((${#commands})); then\n    _describe command commands\n  else\n    _files\n  fi\n}\n"
      "if [[ $funcstack[1] == _",
      program, " ]]; then\n  _", program, " \"$@\"\nelse\n  compdef _", program, " ", program,
      "\nfi\n");
  return out;
}

std::string Fish(const std::vector<Command>& commands, absl::string_view program) {
  std::vector<std::string> paths;
  for (const std::string& path : PathsBelowTop(commands)) paths.push_back(FishQuoted(path));
  std::string out = absl::StrCat(
      "# fish completion for ", program, "; save it as ~/.config/fish/completions/", program,
      ".fish\nfunction __", program, "_at\n  set -l at ", program,
      "\n  set -l tokens (commandline -opc)\n  set -e tokens[1]\n  for token in $tokens\n"
      "    if contains -- \"$at $token\" ",
      absl::StrJoin(paths, " "),
      "\n      set at \"$at $token\"\n    end\n  end\n  test \"$at\" = \"$argv[1]\"\nend\n",
      "complete -c ", program, " -e\n");
  for (const Command& command : commands) {
    const std::string head =
        absl::StrCat("complete -c ", program, " -n ",
                     FishQuoted(absl::StrCat("__", program, "_at \"", command.path, "\"")));
    for (const auto& [name, description] : command.children) {
      absl::StrAppend(&out, head, " -f -a ", name, " -d ", FishQuoted(description), "\n");
    }
    if (!command.positional_choices.empty()) {
      absl::StrAppend(&out, head, " -f -a ",
                      FishQuoted(absl::StrJoin(command.positional_choices, " ")), "\n");
    }
    if (command.live) absl::StrAppend(&out, head, " -f -a ", FishQuoted(FishLive(program)), "\n");
    for (const OptionWords& option : command.options) {
      absl::StrAppend(&out, head);
      for (const std::string& name : option.names) {
        if (absl::StartsWith(name, "--")) {
          absl::StrAppend(&out, " -l ", name.substr(2));
        } else {
          absl::StrAppend(&out, " -s ", name.substr(1));
        }
      }
      if (!option.choices.empty()) {
        absl::StrAppend(&out, " -x -a ", FishQuoted(absl::StrJoin(option.choices, " ")));
      } else if (option.live) {
        absl::StrAppend(&out, " -x -a ", FishQuoted(FishLive(program)));
      } else if (option.takes_file) {
        absl::StrAppend(&out, " -r -F");
      } else if (option.takes_value) {
        absl::StrAppend(&out, " -x");
      }
      absl::StrAppend(&out, " -d ", FishQuoted(option.description), "\n");
    }
  }
  return out;
}

const OptionWords* FindOption(const Command& command, absl::string_view name) {
  for (const OptionWords& option : command.options) {
    if (std::find(option.names.begin(), option.names.end(), name) != option.names.end())
      return &option;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const CLI::App& app, absl::string_view program,
                                             absl::string_view shell,
                                             const std::set<std::string>& live) {
  std::vector<Command> commands;
  Walk(app, std::string(program), {}, commands);
  MarkLive(live, commands);
  if (shell == "bash") return Bash(commands, program);
  if (shell == "zsh") return Zsh(commands, program);
  if (shell == "fish") return Fish(commands, program);
  return error::InvalidField("shell", "must be bash, zsh or fish");
}

TypedWord WordBeingTyped(const CLI::App& app, std::vector<std::string> args) {
  std::vector<Command> commands;
  Walk(app, "", {}, commands);
  TypedWord typed;
  if (args.empty()) return typed;
  if (args.back() == "=") args.emplace_back();
  args.erase(std::remove(args.begin(), args.end(), "="), args.end());
  auto at = commands.begin();
  size_t place = 0;
  // The positional at `place`; the last may be repeated.
  const auto positional = [&]() -> std::string {
    if (at->positionals.empty()) return "";
    return at->positionals[std::min(place, at->positionals.size() - 1)];
  };
  for (size_t i = 0; i + 1 < args.size(); ++i) {
    const std::string& arg = args[i];
    if (absl::StartsWith(arg, "-") && arg != "-") {
      const std::string name = arg.substr(0, arg.find('='));
      const OptionWords* option = FindOption(*at, name);
      if (option == nullptr || !option->takes_value) continue;
      if (name.size() < arg.size()) {
        typed.given[option->names.front()] = arg.substr(name.size() + 1);
      } else if (i + 2 == args.size()) {
        typed.name = option->names.front();
        return typed;
      } else {
        typed.given[option->names.front()] = args[++i];
      }
    } else if (at->children.empty()) {
      typed.given[positional()] = arg;
      ++place;
    } else {
      const auto next = std::find_if(commands.begin(), commands.end(), [&](const Command& command) {
        return command.path == absl::StrCat(at->path, " ", arg);
      });
      if (next != commands.end()) at = next;
    }
  }
  if (at->children.empty() && !absl::StartsWith(args.back(), "-")) typed.name = positional();
  return typed;
}

std::string UnknownWordText(const CLI::App& app, const std::vector<std::string>& args) {
  std::vector<Command> commands;
  Walk(app, "", {}, commands);
  const auto find = [&](absl::string_view path) {
    return std::find_if(commands.begin(), commands.end(),
                        [&](const Command& command) { return command.path == path; });
  };
  auto at = commands.begin();
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") return "";
    if (absl::StartsWith(arg, "-") && arg != "-") {
      const std::string name = arg.substr(0, arg.find('='));
      const OptionWords* option = FindOption(*at, name);
      // "-ojson" and grouped flags: the first letter decides.
      if (option == nullptr && !absl::StartsWith(name, "--"))
        option = FindOption(*at, name.substr(0, 2));
      if (option == nullptr) {
        std::vector<std::string> names;
        for (const OptionWords& known : at->options) {
          names.insert(names.end(), known.names.begin(), known.names.end());
        }
        const auto near = Nearest(name, names);
        return absl::StrCat("unknown option '", Printable(name), "'",
                            near ? absl::StrCat("; did you mean '", *near, "'?") : "");
      }
      const bool joined =
          name.size() < arg.size() || (!absl::StartsWith(arg, "--") && arg.size() > 2);
      if (option->takes_value && !joined) ++i;
      continue;
    }
    // A word below a command without subcommands is an argument.
    if (at->children.empty()) continue;
    const auto next = find(absl::StrCat(at->path, " ", arg));
    if (next != commands.end()) {
      at = next;
      continue;
    }
    std::vector<std::string> names;
    for (const auto& [name, description] : at->children) names.push_back(name);
    const auto near = Nearest(arg, names);
    return absl::StrCat("unknown command '", Printable(arg), "'",
                        near ? absl::StrCat("; did you mean '", *near, "'?") : "");
  }
  return "";
}

}  // namespace clm::terminal
