// Text chores of the expression language: positions, escapes, durations, suggestions. Internal to
// libs/filter.
#ifndef CLM_LIBS_FILTER_TEXT_H_
#define CLM_LIBS_FILTER_TEXT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace clm::filter {

// The first byte that is not part of well-formed UTF-8, or is NUL; npos when there is none.
size_t FindBadByte(absl::string_view text);

// The 1-based number of the character at byte `offset` of well-formed UTF-8.
size_t CharacterAt(absl::string_view text, size_t offset);

// What stands between quotes, escapes resolved, cut at every unescaped '*'; one piece when there is
// none. `fault` is the offset of an escape that does not exist.
struct Unescaped {
  std::vector<std::string> pieces;
  std::optional<size_t> fault;
};
Unescaped Unescape(absl::string_view raw);

// The pieces between double quotes, '*' between them: the inverse of Unescape.
std::string Quote(const std::vector<std::string>& pieces);

// "30d", "12h", "90m", "20s"; at most 100 years. nullopt for anything else.
std::optional<absl::Duration> ParseDuration(absl::string_view text);
// In the largest unit that is exact. `duration` is whole seconds and not negative.
std::string DurationText(absl::Duration duration);

// The candidate nearest to `word`, if it is near enough to have been meant.
std::optional<std::string> Nearest(absl::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace clm::filter

#endif  // CLM_LIBS_FILTER_TEXT_H_
