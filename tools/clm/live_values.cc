#include "tools/clm/live_values.h"

#include <map>

#include "tools/terminal/completion.h"

namespace clm::cli {
namespace {

// What lists the values; "@" stands for the model that was given before.
const std::map<std::string, std::vector<std::string>>& Listings() {
  static const auto* const listings = [] {
    const std::vector<std::string> models = {"models", "list"};
    const std::vector<std::string> stages = {"models", "get", "@"};
    const std::vector<std::string> programs = {"loyalty", "programs"};
    return new std::map<std::string, std::vector<std::string>>{{"MODEL", models},
                                                               {"--model", models},
                                                               {"STAGE", stages},
                                                               {"--stage", stages},
                                                               {"--step", stages},
                                                               {"--to", stages},
                                                               {"--from-stage", stages},
                                                               {"RULE", {"rules", "list", "@"}},
                                                               {"PRESET", {"models", "presets"}},
                                                               {"PROGRAM", programs},
                                                               {"--program", programs},
                                                               {"--tenant", {"tenants", "list"}},
                                                               {"JOB", {"import", "jobs"}},
                                                               {"KEY", {"tokens", "list"}}};
  }();
  return *listings;
}

}  // namespace

std::set<std::string> LiveNames() {
  std::set<std::string> names;
  for (const auto& [name, listing] : Listings()) names.insert(name);
  return names;
}

std::vector<std::string> ListingOf(const CLI::App& app, const std::vector<std::string>& words) {
  const terminal::TypedWord typed = terminal::WordBeingTyped(app, words);
  const auto listing = Listings().find(typed.name);
  if (listing == Listings().end()) return {};
  std::vector<std::string> args;
  for (const char* option : {"--data", "--profile", "--address", "--token", "--tenant"}) {
    const auto given = typed.given.find(option);
    if (given != typed.given.end()) args.insert(args.end(), {option, given->second});
  }
  for (const std::string& word : listing->second) {
    if (word != "@") {
      args.push_back(word);
      continue;
    }
    auto model = typed.given.find("MODEL");
    if (model == typed.given.end()) model = typed.given.find("--model");
    if (model == typed.given.end()) return {};
    args.push_back(model->second);
  }
  args.insert(args.end(), {"-o", "name"});
  return args;
}

}  // namespace clm::cli
