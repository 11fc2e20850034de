// The in-memory back end.
#include <cstring>

#include "libs/base/time_text.h"
#include "libs/filter/filter.h"
#include "libs/filter/program.h"

namespace clm::filter {
namespace {

template <class T>
bool Holds(Op op, const T& a, const T& b) {
  switch (op) {
    case Op::kEq:
      return a == b;
    case Op::kNe:
      return !(a == b);
    case Op::kLt:
      return a < b;
    case Op::kLe:
      return !(b < a);
    case Op::kGt:
      return b < a;
    case Op::kGe:
      return !(a < b);
  }
  return false;
}

std::optional<Decimal> AsDecimal(const Value& value) {
  if (const auto* decimal = std::get_if<Decimal>(&value)) return *decimal;
  if (const auto* whole = std::get_if<int64_t>(&value)) return Decimal(*whole);
  return std::nullopt;
}

template <class T>
bool CompareAs(Op op, const Value& a, const Value& b) {
  const T* x = std::get_if<T>(&a);
  const T* y = std::get_if<T>(&b);
  return x != nullptr && y != nullptr && Holds(op, *x, *y);
}

// False when a value is missing or the types differ.
bool Compare(Op op, const Value& a, const Value& b) {
  if (const auto* text = std::get_if<absl::string_view>(&b)) {
    const auto* value = std::get_if<absl::string_view>(&a);
    return value != nullptr && Holds(op, *value, *text);
  }
  if (std::holds_alternative<int64_t>(b) && std::holds_alternative<int64_t>(a)) {
    return CompareAs<int64_t>(op, a, b);
  }
  if (std::holds_alternative<int64_t>(b) || std::holds_alternative<Decimal>(b)) {
    const auto x = AsDecimal(a);
    const auto y = AsDecimal(b);
    return x && y && Holds(op, *x, *y);
  }
  if (std::holds_alternative<bool>(b)) return CompareAs<bool>(op, a, b);
  if (std::holds_alternative<absl::Time>(b)) return CompareAs<absl::Time>(op, a, b);
  return CompareAs<absl::CivilDay>(op, a, b);
}

bool Matches(const Pattern& pattern, absl::string_view text) {
  const std::string& first = pattern.front();
  const std::string& last = pattern.back();
  if (text.size() < first.size() + last.size()) return false;
  if (std::memcmp(text.data(), first.data(), first.size()) != 0) return false;
  text.remove_prefix(first.size());
  if (std::memcmp(text.data() + text.size() - last.size(), last.data(), last.size()) != 0) {
    return false;
  }
  text.remove_suffix(last.size());
  // The leftmost place of each piece leaves the most room for the next.
  for (size_t i = 1; i + 1 < pattern.size(); ++i) {
    const void* found = memmem(text.data(), text.size(), pattern[i].data(), pattern[i].size());
    if (found == nullptr) return false;
    text.remove_prefix(static_cast<const char*>(found) - text.data() + pattern[i].size());
  }
  return true;
}

bool IsPresent(const Value& value) {
  if (const auto* set = std::get_if<StringSet>(&value)) return !set->empty();
  return !std::holds_alternative<std::monostate>(value);
}

class Evaluator {
 public:
  Evaluator(const Program& program, const Record& record, absl::Time now)
      : program_(program), record_(record), now_(now) {}

  bool Run(uint32_t at) const {
    const Node& node = program_.nodes[at];
    switch (node.kind) {
      case Node::Kind::kAnd:
        for (uint32_t i = at + 1; i < node.end; i = program_.nodes[i].end) {
          if (!Run(i)) return false;
        }
        return true;
      case Node::Kind::kOr:
        for (uint32_t i = at + 1; i < node.end; i = program_.nodes[i].end) {
          if (Run(i)) return true;
        }
        return false;
      case Node::Kind::kNot:
        return !Run(at + 1);
      case Node::Kind::kCompare:
        if (node.right.source == Operand::Source::kConstant) {
          return Compare(node.op, Get(node.left), program_.constants[node.right.index].value);
        }
        return Compare(node.op, Get(node.left), Get(node.right));
      case Node::Kind::kPattern: {
        const Value value = Get(node.left);
        const auto* text = std::get_if<absl::string_view>(&value);
        return text != nullptr &&
               Matches(program_.patterns[node.right.index], *text) == (node.op == Op::kEq);
      }
      case Node::Kind::kMember: {
        const Value value = Get(node.left);
        const auto* set = std::get_if<StringSet>(&value);
        if (set == nullptr) return false;
        const auto wanted = std::get<absl::string_view>(program_.constants[node.right.index].value);
        for (const std::string& element : *set) {
          if (element == wanted) return true;
        }
        return false;
      }
      case Node::Kind::kPresent:
        return IsPresent(Get(node.left));
    }
    return false;
  }

 private:
  Value Get(const Operand& operand) const {
    switch (operand.source) {
      case Operand::Source::kField:
        return record_.Get(program_.fields[operand.index]);
      case Operand::Source::kCall:
        return record_.Invoke(program_.calls[operand.index], now_);
      case Operand::Source::kConstant:
        return program_.constants[operand.index].value;
      case Operand::Source::kNow:
        return NowPlus(now_, operand.offset);
      case Operand::Source::kToday:
        return TodayPlus(now_, operand.offset);
    }
    return {};
  }

  const Program& program_;
  const Record& record_;
  const absl::Time now_;
};

bool IsDigits(absl::string_view text, size_t least, size_t most) {
  if (text.size() < least || text.size() > most) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

// Narrower than ParseTime: the one form that the SQL back end's regular expression lets through.
Value ParseTimestamp(absl::string_view text) {
  constexpr size_t kSeconds = sizeof("2026-11-21T08:30:00") - 1;
  if (text.size() <= kSeconds || text[10] != 'T') return {};
  absl::string_view rest = text.substr(kSeconds);
  if (rest[0] == '.') {
    const size_t end = rest.find_first_of("Z+-");
    if (end == absl::string_view::npos || !IsDigits(rest.substr(1, end - 1), 1, 6)) return {};
    rest.remove_prefix(end);
  }
  if (rest != "Z") {
    if (rest.size() != sizeof("+01:00") - 1 || rest[3] != ':') return {};
    if (rest[1] > '1' || (rest[1] == '1' && rest[2] > '4')) return {};
  }
  const auto time = ParseTime(text);
  return time ? Value(*time) : Value();
}

}  // namespace

absl::Time NowPlus(absl::Time now, absl::Duration offset) {
  return absl::FromUnixMicros(absl::ToUnixMicros(now)) + offset;
}

absl::CivilDay TodayPlus(absl::Time now, absl::Duration offset) {
  return absl::ToCivilDay(now, absl::UTCTimeZone()) + offset / absl::Hours(24);
}

Value ParseValue(Type type, absl::string_view text) {
  switch (type) {
    case Type::kString:
    case Type::kEnum:
    case Type::kAny:
      return text;
    case Type::kBool:
      if (text == "true") return true;
      if (text == "false") return false;
      return {};
    case Type::kInt64: {
      if (!IsDigits(text.substr(text.substr(0, 1) == "-" ? 1 : 0), 1, 19)) return {};
      const auto whole = Decimal::Parse(text)->ToInt64();
      return whole ? Value(*whole) : Value();
    }
    case Type::kDecimal: {
      const auto number = Decimal::Parse(text);
      return number ? Value(*number) : Value();
    }
    case Type::kTimestamp:
      return ParseTimestamp(text);
    case Type::kDate: {
      const auto day = ParseDay(text);
      return day ? Value(*day) : Value();
    }
    case Type::kStringSet:
    case Type::kDuration:
      return {};
  }
  return {};
}

bool Evaluate(const Expression& expression, const Record& record, absl::Time now) {
  return Evaluator(expression.program(), record, now).Run(0);
}

}  // namespace clm::filter
