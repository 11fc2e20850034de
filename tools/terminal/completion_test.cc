#include "tools/terminal/completion.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <memory>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace clm::terminal {
namespace {

// A tree with all that matters: levels, global and own options, choices, files, hidden things,
// quotes.
std::unique_ptr<CLI::App> Tree() {
  static std::string text;
  static bool flag = false;
  auto app = std::make_unique<CLI::App>("Customer lifecycle");
  app->add_option("-o,--output", text, "How to print")->check(CLI::IsMember({"table", "json"}));
  app->add_option("--token", text, "The token");
  auto* contacts = app->add_subcommand("contacts", "People\nand more");
  auto* list = contacts->add_subcommand("list", "List the tenant's people");
  list->add_option("--filter", text, "AIP-160");
  list->add_flag("--show-erased", flag, "Erased ones too");
  contacts->add_subcommand("get", "Get one");
  app->add_option("--model", text, "The model");
  auto* get = app->add_subcommand("models", "Models")->add_subcommand("get", "Get one");
  get->add_option("NAME", text, "Its name");
  get->add_option("PART", text, "Its part");
  auto* import = app->add_subcommand("import", "Import a file");
  import->add_option("--errors", text, "Write refused rows to")->check(CLI::ExistingFile);
  auto* completion = app->add_subcommand("completion", "Print a script");
  completion->add_option("shell", text, "Shell")->check(CLI::IsMember({"bash", "zsh", "fish"}));
  app->add_subcommand("__complete", "Internal")->group("");
  app->add_option("--internal", text, "Internal")->group("");
  return app;
}

std::string Script(absl::string_view shell, const std::set<std::string>& live = {}) {
  auto script = CompletionScript(*Tree(), "clm", shell, live);
  EXPECT_TRUE(script.ok()) << script.status();
  return script.ok() ? *script : "";
}

// What bash offers for the words, the last of which is being typed.
std::string BashOffers(const std::vector<std::string>& words,
                       const std::set<std::string>& live = {}, const std::string& program = "") {
  const std::string file = testing::TempDir() + "/clm_completion_test.bash";
  std::FILE* out = std::fopen(file.c_str(), "w");
  const std::string script = absl::StrCat(
      Script("bash", live), "\n", program, "\ncompopt() { echo \"compopt $*\"; }\nCOMP_WORDS=('",
      absl::StrJoin(words, "' '"), "')\nCOMP_CWORD=", words.size() - 1,
      "\n_clm_complete\necho \"${COMPREPLY[@]}\"\n");
  std::fputs(script.c_str(), out);
  std::fclose(out);
  std::FILE* bash = popen(absl::StrCat("bash '", file, "' 2>&1").c_str(), "r");
  std::string answer;
  std::array<char, 4096> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), bash) != nullptr) answer += buffer.data();
  pclose(bash);
  std::remove(file.c_str());
  return std::string(absl::StripAsciiWhitespace(answer));
}

TEST(BashCompletionTest, OffersSubcommandsByLevel) {
  EXPECT_EQ(BashOffers({"clm", ""}), "contacts models import completion");
  EXPECT_EQ(BashOffers({"clm", "co"}), "contacts completion");
  EXPECT_EQ(BashOffers({"clm", "contacts", ""}), "list get");
  EXPECT_EQ(BashOffers({"clm", "completion", "z"}), "zsh");
}

TEST(BashCompletionTest, OffersOwnAndInheritedOptions) {
  EXPECT_EQ(BashOffers({"clm", "contacts", "list", "--"}),
            "--help --filter --show-erased --output --token --model");
  EXPECT_EQ(BashOffers({"clm", "contacts", "list", "--show-erased", "--f"}), "--filter");
}

TEST(BashCompletionTest, OffersTheValuesOfAnOption) {
  EXPECT_EQ(BashOffers({"clm", "contacts", "list", "-o", ""}), "table json");
  EXPECT_EQ(BashOffers({"clm", "--output", "j"}), "json");
  EXPECT_EQ(BashOffers({"clm", "--output", "=", "j"}), "json");
  EXPECT_EQ(BashOffers({"clm", "--output", "="}), "table json");
  EXPECT_EQ(BashOffers({"clm", "--token", ""}), "");
}

TEST(BashCompletionTest, FallsBackToFiles) {
  EXPECT_EQ(BashOffers({"clm", "import", "--errors", ""}), "compopt -o default");
  EXPECT_EQ(BashOffers({"clm", "import", ""}), "compopt -o default");
}

TEST(BashCompletionTest, AWordThatOnlyLooksLikeACommandDoesNotChangeTheLevel) {
  EXPECT_EQ(BashOffers({"clm", "list", ""}), "contacts models import completion");
}

TEST(BashCompletionTest, AsksTheProgramForLiveValues) {
  const auto offers = [](const std::vector<std::string>& words) {
    // Instead of the program: it says what it was asked.
    return BashOffers(words, {"NAME", "--model"},
                      "clm() { [[ $1 == __complete ]] || return; shift; echo \"asked-$*\" | "
                      "tr ' ' '-'; echo shop; }");
  };
  EXPECT_EQ(offers({"clm", "models", "get", "s"}), "shop");
  EXPECT_EQ(offers({"clm", "models", "get", "asked"}), "asked-models-get-asked");
  EXPECT_EQ(offers({"clm", "--model", "asked"}), "asked---model-asked");
  EXPECT_EQ(offers({"clm", "models", "get", "--h"}), "--help");
  EXPECT_EQ(offers({"clm", "contacts", ""}), "list get");
}

TEST(CompletionTest, TheOtherShellsAskTheProgramToo) {
  const auto script = [](const char* shell) {
    return *CompletionScript(*Tree(), "clm", shell, {"NAME", "--model"});
  };
  EXPECT_NE(script("zsh").find("'clm|--model')\n      compadd -- ${(f)\"$(clm __complete "),
            std::string::npos);
  EXPECT_NE(script("fish").find("-l model -x -a '(clm __complete "), std::string::npos);
  EXPECT_NE(script("fish").find("__clm_at \"clm models get\"' -f -a '(clm __complete "),
            std::string::npos);
}

TEST(WordBeingTypedTest, IsAnOptionsValueOrAPositional) {
  const auto typed = [](std::vector<std::string> args) {
    return WordBeingTyped(*Tree(), std::move(args)).name;
  };
  EXPECT_EQ(typed({"models", "get", ""}), "NAME");
  EXPECT_EQ(typed({"models", "get", "shop", ""}), "PART");
  EXPECT_EQ(typed({"models", "get", "shop", "a", "b"}), "PART");
  EXPECT_EQ(typed({"models", "get", "--model", ""}), "--model");
  EXPECT_EQ(typed({"models", "get", "--model", "="}), "--model");
  EXPECT_EQ(typed({"models", "get", "--model", "=", "x"}), "--model");
  EXPECT_EQ(typed({"models", "get", "--mo"}), "");
  EXPECT_EQ(typed({"models", ""}), "");
  EXPECT_EQ(typed({}), "");
  const TypedWord word = WordBeingTyped(
      *Tree(), {"--token=t", "models", "-o", "json", "get", "--model", "m", "shop", ""});
  EXPECT_EQ(word.name, "PART");
  EXPECT_EQ(word.given,
            (std::map<std::string, std::string>{
                {"--token", "t"}, {"--output", "json"}, {"--model", "m"}, {"NAME", "shop"}}));
}

TEST(CompletionTest, HiddenThingsStayHiddenInEveryShell) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(Script(shell).find("__complete"), std::string::npos) << shell;
    EXPECT_EQ(Script(shell).find("internal"), std::string::npos) << shell;
  }
}

TEST(CompletionTest, ZshDescribesAndQuotes) {
  const std::string script = Script("zsh");
  EXPECT_EQ(script.substr(0, 12), "#compdef clm");
  EXPECT_NE(script.find("commands=('list:List the tenant'\\''s people' 'get:Get one')"),
            std::string::npos)
      << script;
  EXPECT_NE(script.find("'clm|--output' | 'clm|-o')\n      compadd -- table json"),
            std::string::npos);
  EXPECT_NE(script.find("'clm import|--errors')\n      _files"), std::string::npos);
  EXPECT_NE(script.find("'contacts:People'"), std::string::npos);  // The first line only.
}

TEST(CompletionTest, FishHasALinePerWord) {
  const std::string script = Script("fish");
  EXPECT_NE(script.find("complete -c clm -n '__clm_at \"clm contacts\"' -f -a list -d "
                        "'List the tenant\\'s people'\n"),
            std::string::npos)
      << script;
  EXPECT_NE(
      script.find("complete -c clm -n '__clm_at \"clm\"' -l output -s o -x -a 'table json' -d "
                  "'How to print'\n"),
      std::string::npos);
  EXPECT_NE(script.find("complete -c clm -n '__clm_at \"clm import\"' -l errors -r -F -d "),
            std::string::npos);
}

TEST(CompletionTest, AnotherShellIsRefused) {
  EXPECT_EQ(CompletionScript(*Tree(), "clm", "tcsh").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(UnknownWordTest, NamesTheWordAndWhatWasMeant) {
  const auto text = [](const std::vector<std::string>& args) {
    return UnknownWordText(*Tree(), args);
  };
  EXPECT_EQ(text({"contcats", "list"}), "unknown command 'contcats'; did you mean 'contacts'?");
  EXPECT_EQ(text({"contacts", "lst"}), "unknown command 'lst'; did you mean 'list'?");
  EXPECT_EQ(text({"contacts", "list", "--fliter", "x"}),
            "unknown option '--fliter'; did you mean '--filter'?");
  EXPECT_EQ(text({"contacts", "list", "--fliter=x"}),
            "unknown option '--fliter'; did you mean '--filter'?");
  EXPECT_EQ(text({"-o", "json", "contacts", "quux"}), "unknown command 'quux'");
  EXPECT_EQ(text({"-ojson", "--token=contcats", "contacts", "list"}), "");
  EXPECT_EQ(text({"import", "any-file.csv"}), "");
  EXPECT_EQ(text({"import", "--", "--fliter"}), "");
}

}  // namespace
}  // namespace clm::terminal
