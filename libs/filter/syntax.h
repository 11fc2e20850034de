// The grammar of the expression language: text to a tree of terms, no types yet. Internal to
// libs/filter.
#ifndef CLM_LIBS_FILTER_SYNTAX_H_
#define CLM_LIBS_FILTER_SYNTAX_H_

#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"

namespace clm::filter::syntax {

// Deeper nesting of parentheses is refused while parsing, which bounds the stack.
inline constexpr size_t kMaxNesting = 64;

// Positions are byte offsets into the text.
struct Segment {
  std::string text;  // Between the quotes, escapes untouched, when quoted.
  bool quoted = false;
  size_t begin = 0;
};

struct Offset {
  bool minus = false;
  std::string duration;
  size_t begin = 0;
};

struct Term {
  enum class Kind {
    kMember,  // segments: a dotted path.
    kCall,    // segments: the function's name; arguments; perhaps an offset.
    kWord,    // segments[0]: a literal without quotes.
    kQuoted,  // segments[0]
  };
  Kind kind = Kind::kMember;
  size_t begin = 0;
  std::vector<Segment> segments;
  std::vector<Term> arguments;
  std::optional<Offset> offset;
};

struct Node {
  enum class Kind { kAnd, kOr, kNot, kRestriction };
  Kind kind = Kind::kAnd;
  size_t begin = 0;
  std::vector<Node> children;
  // Of a restriction.
  Term left;
  std::string comparator;  // Empty for a term that stands alone.
  size_t comparator_begin = 0;
  std::optional<Term> right;
};

struct Fault {
  size_t position = 0;
  std::string what;
};

// The tree of `text`, where an AND without children stands for the empty text; or the first fault.
std::variant<Node, Fault> Read(absl::string_view text);

}  // namespace clm::filter::syntax

#endif  // CLM_LIBS_FILTER_SYNTAX_H_
