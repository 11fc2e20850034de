// What can be asked of a checked expression without a record: its text, and what it refers to.
#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "libs/base/time_text.h"
#include "libs/filter/filter.h"
#include "libs/filter/program.h"
#include "libs/filter/text.h"

namespace clm::filter {
namespace {

constexpr const char* kOps[] = {" = ", " != ", " < ", " <= ", " > ", " >= "};

// What the grammar takes as an entry's name without quotes.
bool IsPlainSegment(absl::string_view key) {
  if (key.empty() || key.front() == '-' || key.back() == '-') return false;
  return std::all_of(key.begin(), key.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; });
}

std::string FieldText(const Field& field) {
  if (field.key.empty()) return field.name;
  return absl::StrCat(field.name, ".", IsPlainSegment(field.key) ? field.key : Quote({field.key}));
}

std::string ConstantText(const Value& value) {
  struct Printer {
    std::string operator()(std::monostate) const { return ""; }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(int64_t value) const { return absl::StrCat(value); }
    std::string operator()(const Decimal& value) const { return value.ToString(); }
    std::string operator()(absl::Time value) const { return clm::FormatTime(value); }
    std::string operator()(absl::CivilDay value) const { return clm::FormatDay(value); }
    std::string operator()(absl::Duration value) const { return DurationText(value); }
    std::string operator()(absl::string_view value) const { return Quote({std::string(value)}); }
    std::string operator()(StringSet) const { return ""; }
  };
  return std::visit(Printer(), value);
}

std::string CallText(const Call& call) {
  std::string text = absl::StrCat(call.name, "(");
  for (size_t i = 0; i < call.args.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", ConstantText(call.args[i]));
  }
  return text + ")";
}

std::string OffsetText(absl::Duration offset) {
  if (offset == absl::ZeroDuration()) return "";
  return offset < absl::ZeroDuration() ? absl::StrCat(" - ", DurationText(-offset))
                                       : absl::StrCat(" + ", DurationText(offset));
}

std::string OperandText(const Program& program, const Operand& operand) {
  switch (operand.source) {
    case Operand::Source::kField:
      return FieldText(program.fields[operand.index]);
    case Operand::Source::kCall:
      return CallText(program.calls[operand.index]);
    case Operand::Source::kConstant:
      return ConstantText(program.constants[operand.index].value);
    case Operand::Source::kNow:
      return absl::StrCat("now()", OffsetText(operand.offset));
    case Operand::Source::kToday:
      return absl::StrCat("today()", OffsetText(operand.offset));
  }
  return "";
}

// `grouped` puts AND and OR in parentheses, and NOT too where the grammar takes no second one.
void Print(const Program& program, uint32_t at, bool grouped, bool negated, std::string& out) {
  const Node& node = program.nodes[at];
  switch (node.kind) {
    case Node::Kind::kAnd:
    case Node::Kind::kOr:
      if (grouped) out += '(';
      for (uint32_t i = at + 1; i < node.end; i = program.nodes[i].end) {
        if (i > at + 1) out += node.kind == Node::Kind::kAnd ? " AND " : " OR ";
        Print(program, i, true, false, out);
      }
      if (grouped) out += ')';
      return;
    case Node::Kind::kNot:
      out += negated ? "(NOT " : "NOT ";
      Print(program, at + 1, true, true, out);
      if (negated) out += ')';
      return;
    case Node::Kind::kCompare:
      absl::StrAppend(&out, OperandText(program, node.left), kOps[static_cast<int>(node.op)],
                      OperandText(program, node.right));
      return;
    case Node::Kind::kPattern:
      absl::StrAppend(&out, OperandText(program, node.left), kOps[static_cast<int>(node.op)],
                      Quote(program.patterns[node.right.index]));
      return;
    case Node::Kind::kMember:
      absl::StrAppend(&out, OperandText(program, node.left), ":", OperandText(program, node.right));
      return;
    case Node::Kind::kPresent:
      absl::StrAppend(&out, OperandText(program, node.left), ":*");
      return;
  }
}

// As RequiredValues gives it.
std::string PlainText(const Value& value) {
  const auto* text = std::get_if<absl::string_view>(&value);
  return text == nullptr ? ConstantText(value) : std::string(*text);
}

// The values of `name` without which node `at` cannot be true; nullopt when it can.
std::optional<std::set<std::string>> Required(const Program& program, uint32_t at,
                                              absl::string_view name) {
  const Node& node = program.nodes[at];
  std::optional<std::set<std::string>> result;
  switch (node.kind) {
    case Node::Kind::kAnd:
      for (uint32_t i = at + 1; i < node.end; i = program.nodes[i].end) {
        auto part = Required(program, i, name);
        if (!part) continue;
        if (!result) {
          result = std::move(part);
        } else {
          std::erase_if(*result, [&](const std::string& value) { return !part->contains(value); });
        }
      }
      return result;
    case Node::Kind::kOr:
      result.emplace();
      for (uint32_t i = at + 1; i < node.end; i = program.nodes[i].end) {
        auto part = Required(program, i, name);
        if (!part) return std::nullopt;
        result->merge(*part);
      }
      return result;
    case Node::Kind::kCompare: {
      if (node.op != Op::kEq || node.left.source != Operand::Source::kField ||
          node.right.source != Operand::Source::kConstant) {
        return std::nullopt;
      }
      const Field& field = program.fields[node.left.index];
      const std::string path =
          field.key.empty() ? field.name : absl::StrCat(field.name, ".", field.key);
      if (path != name) return std::nullopt;
      return std::set<std::string>{PlainText(program.constants[node.right.index].value)};
    }
    case Node::Kind::kNot:
    case Node::Kind::kPattern:
    case Node::Kind::kMember:
    case Node::Kind::kPresent:
      return std::nullopt;
  }
  return std::nullopt;
}

bool IsClock(const Operand& operand) {
  return operand.source == Operand::Source::kNow || operand.source == Operand::Source::kToday;
}

}  // namespace

Expression::Expression() {
  static const auto* const kEverything = [] {
    auto program = std::make_shared<Program>();
    program->nodes.push_back({.kind = Node::Kind::kAnd, .end = 1});
    return new std::shared_ptr<const Program>(std::move(program));
  }();
  program_ = *kEverything;
}

bool operator==(const Expression& a, const Expression& b) {
  const Program& x = a.program();
  const Program& y = b.program();
  return x.nodes == y.nodes && x.fields == y.fields && x.calls == y.calls &&
         x.constants == y.constants && x.patterns == y.patterns;
}

std::string ToString(const Expression& expression) {
  std::string text;
  Print(expression.program(), 0, false, false, text);
  return text;
}

absl::Span<const Field> ReferencedFields(const Expression& expression) {
  return expression.program().fields;
}

absl::Span<const Call> ReferencedFunctions(const Expression& expression) {
  return expression.program().calls;
}

std::optional<std::vector<std::string>> RequiredValues(const Expression& expression,
                                                       absl::string_view name) {
  const auto values = Required(expression.program(), 0, name);
  if (!values) return std::nullopt;
  return std::vector<std::string>(values->begin(), values->end());
}

bool UsesNow(const Expression& expression) {
  const std::vector<Node>& nodes = expression.program().nodes;
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const Node& node) { return IsClock(node.left) || IsClock(node.right); });
}

}  // namespace clm::filter
