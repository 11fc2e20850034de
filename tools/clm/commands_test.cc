#include "tools/clm/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "libs/testing/temp_folder.h"

namespace clm::cli {
namespace {

using ::testing::ElementsAre;

// The words that a shell would give to clm, from behind its name up to a redirection or the end of
// a substitution. Of quotes, the simple ones and the double ones without escapes.
std::vector<std::string> WordsOf(absl::string_view line) {
  const size_t begin = line.find("clm ");
  std::vector<std::string> words;
  bool open = false;
  char quote = 0;
  for (const char c : line.substr(begin + 4)) {
    if (quote == 0 && (c == '>' || c == '|' || c == ')' || c == '&')) break;
    if (quote == 0 && c == ' ') {
      open = false;
      continue;
    }
    if (!open) words.emplace_back();
    open = true;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else {
      words.back() += c;
    }
  }
  return words;
}

std::vector<std::string> Examples(const CLI::App& command) {
  std::vector<std::string> examples;
  const std::string text = command.get_footer();
  absl::string_view footer = text;
  if (!absl::ConsumePrefix(&footer, "Examples:\n")) return examples;
  for (const absl::string_view line : absl::StrSplit(footer, '\n')) {
    examples.emplace_back(absl::StripLeadingAsciiWhitespace(line));
  }
  return examples;
}

TEST(WordsOfTest, ReadsALineAsAShellDoes) {
  EXPECT_THAT(WordsOf("clm contacts list --filter 'source = \"web\"' -o csv > a.csv"),
              ElementsAre("contacts", "list", "--filter", "source = \"web\"", "-o", "csv"));
  EXPECT_THAT(WordsOf("source <(clm completion bash)"), ElementsAre("completion", "bash"));
}

TEST(CommandsTest, EveryExampleOfTheHelpIsUnderstood) {
  // A file that an example reads has to be there.
  const clm::testing::TempFolder folder;
  std::ofstream(folder.File("CDNOW_master.txt")) << "\n";
  ASSERT_EQ(chdir(folder.path().c_str()), 0);
  CLI::App app("", "clm");
  Cli cli(app);
  AddCommands(app, cli);
  int seen = 0;
  const std::function<void(const CLI::App&, const std::string&)> visit =
      [&](const CLI::App& command, const std::string& path) {
        const auto children = command.get_subcommands([](const CLI::App*) { return true; });
        for (const CLI::App* child : children) {
          visit(*child, absl::StrCat(path, " ", child->get_name()));
        }
        const std::vector<std::string> examples = Examples(command);
        EXPECT_FALSE(children.empty() && examples.empty()) << path << " shows no example";
        for (const std::string& example : examples) {
          SCOPED_TRACE(example);
          ++seen;
          // It is an example of the command whose help it stands in, which others may prepare.
          std::string took;
          for (const absl::string_view line : absl::StrSplit(example, " && ")) {
            const std::vector<std::string> words = WordsOf(line);
            // A parser of its own: values of one line are not another's.
            CLI::App fresh("", "clm");
            Cli one(fresh);
            AddCommands(fresh, one);
            try {
              fresh.parse(std::vector<std::string>(words.rbegin(), words.rend()));
              const CLI::App* parsed = &fresh;
              took = "clm";
              while (!parsed->get_subcommands().empty()) {
                parsed = parsed->get_subcommands().front();
                absl::StrAppend(&took, " ", parsed->get_name());
              }
            } catch (const CLI::ParseError& e) {
              ADD_FAILURE() << path << ": " << e.what();
            }
          }
          EXPECT_EQ(took, path);
        }
      };
  visit(app, "clm");
  EXPECT_GT(seen, 60);
}

}  // namespace
}  // namespace clm::cli
