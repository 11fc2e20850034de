// The checked form of an expression, shared by the back ends. Internal to libs/filter.
#ifndef CLM_LIBS_FILTER_PROGRAM_H_
#define CLM_LIBS_FILTER_PROGRAM_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "libs/filter/filter.h"

namespace clm::filter {

enum class Op : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe };

// One side of a comparison.
struct Operand {
  enum class Source : uint8_t { kField, kCall, kConstant, kNow, kToday };
  Source source = Source::kField;
  uint32_t index = 0;                            // Into fields, calls or constants.
  absl::Duration offset = absl::ZeroDuration();  // Of kNow and kToday; whole days for kToday.

  friend bool operator==(const Operand&, const Operand&) = default;
};

// Nodes are kept in prefix order: the children of node i begin at i + 1, each at the `end` of the
// one before, up to nodes[i].end.
struct Node {
  enum class Kind : uint8_t {
    kAnd,      // Without children: true.
    kOr,       //
    kNot,      // One child.
    kCompare,  // left op right.
    kPattern,  // left matches patterns[right.index]; op is kEq or kNe.
    kMember,   // The set `left` holds the constant `right`.
    kPresent,  // `left` has a value.
  };
  Kind kind = Kind::kAnd;
  Op op = Op::kEq;
  uint32_t end = 0;
  Operand left;
  Operand right;

  friend bool operator==(const Node&, const Node&) = default;
};

struct Constant {
  Type type = Type::kString;
  Value value;

  friend bool operator==(const Constant&, const Constant&) = default;
};

// The stretches of text between the wildcards, in order; the first begins and the last ends the
// string, and either may be empty. At least two.
using Pattern = std::vector<std::string>;

// Strings of constants and calls are views into `strings`, so a Program neither moves nor copies.
struct Program {
  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::vector<Node> nodes;
  std::vector<Field> fields;
  std::vector<Call> calls;
  std::vector<Constant> constants;
  std::vector<Pattern> patterns;
  std::deque<std::string> strings;
};

// The values of now() and today() with an offset, to the microsecond and the UTC day.
absl::Time NowPlus(absl::Time now, absl::Duration offset);
absl::CivilDay TodayPlus(absl::Time now, absl::Duration offset);

}  // namespace clm::filter

#endif  // CLM_LIBS_FILTER_PROGRAM_H_
