// The values that the Tab key offers, as the suite knows them at that moment: models, stages,
// rules, tenants.
#ifndef CLM_TOOLS_CLM_LIVE_VALUES_H_
#define CLM_TOOLS_CLM_LIVE_VALUES_H_

#include <set>
#include <string>
#include <vector>

namespace CLI {
class App;
}  // namespace CLI

namespace clm::cli {

// The options and positionals that have such values.
std::set<std::string> LiveNames();

// The command line, without the program's name, that lists what the last of `words` can be, on the
// suite and for the tenant that the words before it name; empty when nothing does.
std::vector<std::string> ListingOf(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LIVE_VALUES_H_
