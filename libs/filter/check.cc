// From syntax to program: names are looked up, types are matched, literals become constants.
#include <algorithm>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/filter/filter.h"
#include "libs/filter/program.h"
#include "libs/filter/syntax.h"
#include "libs/filter/text.h"

namespace clm::filter {
namespace {

// Names of this length and below are repeated in errors.
constexpr size_t kLongestEcho = 64;
constexpr size_t kLongestList = 20;

constexpr absl::string_view kNow = "now";
constexpr absl::string_view kToday = "today";

// What a literal looks like, before anybody says what it should be.
enum class Look {
  kCall,
  kQuoted,
  kNumber,
  kBool,
  kTimestamp,
  kDate,
  kDuration,
  kStar,
  kNull,
  kWord
};

Look LookOf(const syntax::Term& term) {
  if (term.kind == syntax::Term::Kind::kCall) return Look::kCall;
  if (term.kind == syntax::Term::Kind::kQuoted) return Look::kQuoted;
  const std::string& word = term.segments[0].text;
  if (word == "*") return Look::kStar;
  if (word == "true" || word == "false") return Look::kBool;
  if (word == "null" || word == "NULL") return Look::kNull;
  const size_t first_digit = word[0] == '-' ? 1 : 0;
  if (first_digit == word.size() || !absl::ascii_isdigit(word[first_digit])) return Look::kWord;
  if (word.find_first_not_of("0123456789.", first_digit) == std::string::npos) return Look::kNumber;
  if (ParseTime(word)) return Look::kTimestamp;
  if (ParseDay(word)) return Look::kDate;
  if (ParseDuration(word)) return Look::kDuration;
  return Look::kWord;
}

absl::string_view LookText(Look look) {
  switch (look) {
    case Look::kCall:
      return "a function";
    case Look::kQuoted:
      return "a string";
    case Look::kNumber:
      return "a number";
    case Look::kBool:
      return "true or false";
    case Look::kTimestamp:
      return "a timestamp";
    case Look::kDate:
      return "a date";
    case Look::kDuration:
      return "a duration";
    case Look::kStar:
      return "'*'";
    case Look::kNull:
      return "null";
    case Look::kWord:
      return "a word";
  }
  return "a word";
}

// ':' is '=' wherever it means neither membership nor presence.
Op OpOf(absl::string_view comparator) {
  if (comparator == "!=") return Op::kNe;
  if (comparator == "<") return Op::kLt;
  if (comparator == "<=") return Op::kLe;
  if (comparator == ">") return Op::kGt;
  if (comparator == ">=") return Op::kGe;
  return Op::kEq;
}

bool IsOrdering(Op op) { return op != Op::kEq && op != Op::kNe; }

// Times that PostgreSQL and RFC 3339 both can write.
bool IsWritable(absl::Time time) {
  const int64_t year = absl::ToCivilYear(time, absl::UTCTimeZone()).year();
  return year >= 1 && year <= 9999;
}

std::string PathOf(const std::vector<syntax::Segment>& segments) {
  return absl::StrJoin(segments, ".", [](std::string* out, const syntax::Segment& segment) {
    absl::StrAppend(out, segment.text);
  });
}

std::string Echo(absl::string_view name) {
  if (name.size() <= kLongestEcho) return absl::StrCat("'", name, "'");
  return absl::StrCat("'", name.substr(0, kLongestEcho), "...'");
}

std::string DidYouMean(absl::string_view name, const std::vector<std::string>& candidates) {
  if (const auto nearest = Nearest(name, candidates)) {
    return absl::StrCat("; did you mean '", *nearest, "'?");
  }
  return "";
}

}  // namespace

class Checker {
 public:
  Checker(absl::string_view text, const Schema& schema, const ParseOptions& options)
      : text_(text), schema_(schema), options_(options), program_(std::make_shared<Program>()) {}

  absl::StatusOr<Expression> Check() {
    if (text_.size() > options_.limits.text_bytes) {
      return error::InvalidField(options_.field,
                                 absl::StrCat("at most ", options_.limits.text_bytes,
                                              " bytes are allowed; has ", text_.size()));
    }
    if (const size_t bad = FindBadByte(text_); bad != absl::string_view::npos) {
      return Fault(bad, "not UTF-8 text");
    }
    const auto read = syntax::Read(text_);
    if (const auto* fault = std::get_if<syntax::Fault>(&read)) {
      return Fault(fault->position, fault->what);
    }
    CLM_RETURN_IF_ERROR(Emit(std::get<syntax::Node>(read), 1));
    return Expression(program_);
  }

 private:
  // The left side of a term, looked up.
  struct Subject {
    Operand operand;
    Type type = Type::kString;
    const Schema::Entry* map = nullptr;  // Set when the term names a whole map.
    const Normalizer* normalizer = nullptr;
    std::vector<std::string> enum_values;
    Field field;  // When operand is a field; entered into the program when its type is settled.
  };

  absl::Status Fault(size_t position, absl::string_view what) const {
    return error::InvalidField(
        options_.field, absl::StrCat("character ", CharacterAt(text_, position), ": ", what));
  }

  absl::Status Count(size_t position) {
    if (++nodes_ <= options_.limits.nodes) return absl::OkStatus();
    return Fault(position, absl::StrCat("at most ", options_.limits.nodes,
                                        " terms, operators and arguments are allowed"));
  }

  absl::Status Emit(const syntax::Node& node, int depth) {
    if (depth > options_.limits.depth) {
      return Fault(node.begin, absl::StrCat("nested deeper than ", options_.limits.depth));
    }
    CLM_RETURN_IF_ERROR(Count(node.begin));
    const size_t self = program_->nodes.size();
    program_->nodes.emplace_back();
    switch (node.kind) {
      case syntax::Node::Kind::kAnd:
        program_->nodes[self].kind = Node::Kind::kAnd;
        CLM_RETURN_IF_ERROR(EmitChildren(node, node.kind, depth));
        break;
      case syntax::Node::Kind::kOr:
        program_->nodes[self].kind = Node::Kind::kOr;
        CLM_RETURN_IF_ERROR(EmitChildren(node, node.kind, depth));
        break;
      case syntax::Node::Kind::kNot:
        program_->nodes[self].kind = Node::Kind::kNot;
        CLM_RETURN_IF_ERROR(Emit(node.children[0], depth + 1));
        break;
      case syntax::Node::Kind::kRestriction:
        CLM_RETURN_IF_ERROR(EmitRestriction(node, program_->nodes[self]));
        break;
    }
    program_->nodes[self].end = static_cast<uint32_t>(program_->nodes.size());
    return absl::OkStatus();
  }

  // An AND directly within an AND, or an OR within an OR, is one with it.
  absl::Status EmitChildren(const syntax::Node& node, syntax::Node::Kind kind, int depth) {
    for (const syntax::Node& child : node.children) {
      if (child.kind == kind) {
        CLM_RETURN_IF_ERROR(EmitChildren(child, kind, depth));
      } else {
        CLM_RETURN_IF_ERROR(Emit(child, depth + 1));
      }
    }
    return absl::OkStatus();
  }

  // The operand of a subject whose type is settled.
  Operand Settle(const Subject& subject, Type type) {
    Operand operand = subject.operand;
    if (operand.source == Operand::Source::kField) {
      Field field = subject.field;
      field.type = type;
      operand.index = IndexOf(program_->fields, std::move(field));
    }
    return operand;
  }

  template <class T>
  static uint32_t IndexOf(std::vector<T>& list, T item) {
    const auto it = std::find(list.begin(), list.end(), item);
    const auto index = static_cast<uint32_t>(it - list.begin());
    if (it == list.end()) list.push_back(std::move(item));
    return index;
  }

  Operand AddConstant(Constant constant) {
    program_->constants.push_back(std::move(constant));
    return {.source = Operand::Source::kConstant,
            .index = static_cast<uint32_t>(program_->constants.size() - 1)};
  }

  absl::string_view AddString(std::string text) {
    return program_->strings.emplace_back(std::move(text));
  }

  absl::Status EmitRestriction(const syntax::Node& node, Node& out) {
    Subject subject;
    CLM_RETURN_IF_ERROR(LookUp(node.left, subject));
    if (!node.right) return EmitAlone(node, subject, out);
    const syntax::Term& right = *node.right;
    const bool has = node.comparator == ":";
    if (subject.map != nullptr) {
      if (!has) return MapNeedsEntry(node, *subject.map);
      return EmitEntryPresence(*subject.map, right, out);
    }
    if (has && LookOf(right) == Look::kStar) {
      if (subject.operand.source == Operand::Source::kNow ||
          subject.operand.source == Operand::Source::kToday) {
        return Fault(node.left.begin, "now() and today() always have a value");
      }
      out.kind = Node::Kind::kPresent;
      out.left = Settle(subject, subject.type);
      return absl::OkStatus();
    }
    if (subject.type == Type::kStringSet) {
      if (!has) return Fault(node.comparator_begin, "expected ':' to ask for an element of a set");
      CLM_ASSIGN_OR_RETURN(Constant element, ConstantOf(right, Type::kString, {}));
      out.kind = Node::Kind::kMember;
      out.left = Settle(subject, Type::kStringSet);
      out.right = AddConstant(std::move(element));
      return absl::OkStatus();
    }
    out.op = OpOf(node.comparator);
    if (subject.type == Type::kAny) subject.type = TypeOf(right);
    if (IsOrdering(out.op) && (subject.type == Type::kBool || subject.type == Type::kEnum)) {
      return Fault(node.comparator_begin,
                   absl::StrCat("expected '=' or '!=' with ", TypeText(subject.type)));
    }
    if (subject.type == Type::kString) return EmitString(subject, right, out);
    out.kind = Node::Kind::kCompare;
    if (LookOf(right) == Look::kCall) {
      CLM_RETURN_IF_ERROR(LookUpClock(right, subject.type, out.right));
    } else {
      CLM_ASSIGN_OR_RETURN(Constant constant, ConstantOf(right, subject.type, subject.enum_values));
      out.right = AddConstant(std::move(constant));
    }
    out.left = Settle(subject, subject.type);
    return absl::OkStatus();
  }

  // A field or function without operator: true.
  absl::Status EmitAlone(const syntax::Node& node, const Subject& subject, Node& out) {
    if (subject.map != nullptr) return MapNeedsEntry(node, *subject.map);
    if (subject.type != Type::kBool && subject.type != Type::kAny) {
      return Fault(node.left.begin, absl::StrCat("expected an operator and a value after ",
                                                 Echo(PathOf(node.left.segments)), ", which is ",
                                                 TypeText(subject.type)));
    }
    out.kind = Node::Kind::kCompare;
    out.left = Settle(subject, Type::kBool);
    out.right = AddConstant({Type::kBool, true});
    return absl::OkStatus();
  }

  absl::Status MapNeedsEntry(const syntax::Node& node, const Schema::Entry& map) const {
    return Fault(node.left.begin,
                 absl::StrCat("expected the name of an entry, as in ", map.name, ".name"));
  }

  // attributes:plan
  absl::Status EmitEntryPresence(const Schema::Entry& map, const syntax::Term& right, Node& out) {
    const Look look = LookOf(right);
    if (look == Look::kCall || look == Look::kStar) {
      return Fault(right.begin, absl::StrCat("expected the name of an entry of '", map.name, "'"));
    }
    Subject subject;
    CLM_RETURN_IF_ERROR(LookUpEntry(map, right.segments[0], subject));
    out.kind = Node::Kind::kPresent;
    out.left = Settle(subject, subject.type);
    return absl::OkStatus();
  }

  absl::Status EmitString(const Subject& subject, const syntax::Term& right, Node& out) {
    CLM_ASSIGN_OR_RETURN(std::vector<std::string> pieces, PiecesOf(right));
    if (subject.normalizer != nullptr) {
      for (std::string& piece : pieces) piece = (*subject.normalizer)(piece);
    }
    out.left = Settle(subject, Type::kString);
    if (pieces.size() == 1) {
      out.kind = Node::Kind::kCompare;
      out.right = AddConstant({Type::kString, AddString(std::move(pieces[0]))});
      return absl::OkStatus();
    }
    if (IsOrdering(out.op)) {
      return Fault(right.begin,
                   "expected a string without '*', which works with = and != only; \\* in quotes "
                   "is an asterisk");
    }
    // Neighbouring wildcards are one.
    pieces.erase(std::remove(pieces.begin() + 1, pieces.end() - 1, std::string()),
                 pieces.end() - 1);
    out.kind = Node::Kind::kPattern;
    out.right = {.source = Operand::Source::kConstant,
                 .index = static_cast<uint32_t>(program_->patterns.size())};
    program_->patterns.push_back(std::move(pieces));
    return absl::OkStatus();
  }

  absl::Status LookUp(const syntax::Term& term, Subject& subject) {
    if (term.kind == syntax::Term::Kind::kCall) return LookUpCall(term, subject);
    const std::vector<syntax::Segment>& path = term.segments;
    const bool plain = std::none_of(path.begin(), path.end(),
                                    [](const syntax::Segment& segment) { return segment.quoted; });
    const std::string name = PathOf(path);
    const Schema::Entry* map = nullptr;
    size_t map_segments = 0;
    for (const Schema::Entry& entry : schema_.fields_) {
      if (!entry.is_map) {
        if (!plain || entry.name != name) continue;
        subject.type = entry.type;
        subject.enum_values = entry.enum_values;
        if (entry.normalizer) subject.normalizer = &entry.normalizer;
        subject.field = {.id = entry.id, .name = entry.name};
        return absl::OkStatus();
      }
      for (size_t n = 1; n <= path.size() && !path[n - 1].quoted; ++n) {
        if (PathOf({path.begin(), path.begin() + n}) != entry.name) continue;
        map = &entry;
        map_segments = n;
      }
    }
    if (map == nullptr) return UnknownField(term, name);
    if (map_segments == path.size()) {
      subject.map = map;
      return absl::OkStatus();
    }
    if (map_segments + 1 < path.size()) {
      return Fault(path[map_segments + 1].begin,
                   absl::StrCat("expected one name after '", map->name,
                                ".'; a name that holds a dot is written in quotes"));
    }
    return LookUpEntry(*map, path[map_segments], subject);
  }

  absl::Status LookUpEntry(const Schema::Entry& map, const syntax::Segment& segment,
                           Subject& subject) {
    const Unescaped unescaped = Unescape(segment.text);
    if (unescaped.fault) return BadEscape(segment.begin + 1 + *unescaped.fault);
    // In a name an asterisk is an asterisk.
    const std::string key = absl::StrJoin(unescaped.pieces, "*");
    if (key.empty()) return Fault(segment.begin, "expected a name that is not empty");
    std::optional<DynamicFields::Entry> entry;
    if (options_.dynamic != nullptr) entry = options_.dynamic->Find(map.name, key);
    if (!entry && map.fallback) entry = DynamicFields::Entry{.type = *map.fallback};
    if (!entry) {
      const std::vector<std::string> keys = options_.dynamic == nullptr
                                                ? std::vector<std::string>()
                                                : options_.dynamic->Keys(map.name);
      return Fault(segment.begin, absl::StrCat("unknown entry ", Echo(key), " of '", map.name, "'",
                                               DidYouMean(key, keys)));
    }
    subject.type = entry->type;
    subject.enum_values = std::move(entry->enum_values);
    subject.field = {.id = map.id, .name = map.name, .key = key};
    return absl::OkStatus();
  }

  absl::Status UnknownField(const syntax::Term& term, const std::string& name) const {
    for (const absl::string_view keyword : {"AND", "OR", "NOT"}) {
      if (absl::EqualsIgnoreCase(name, keyword)) {
        return Fault(term.begin, absl::StrCat("unknown field ", Echo(name), "; did you mean '",
                                              keyword, "'? Operators are in capitals"));
      }
    }
    std::vector<std::string> candidates;
    for (const Schema::Entry& entry : schema_.fields_) {
      if (!entry.is_map) candidates.push_back(entry.name);
      // A misspelt map with its entry: the entry is kept in the suggestion.
      if (entry.is_map && term.segments.size() == 2 && !term.segments[1].quoted) {
        candidates.push_back(absl::StrCat(entry.name, ".", term.segments[1].text));
      }
    }
    for (const FunctionSpec& function : schema_.functions_) {
      if (function.name == name) {
        return Fault(term.begin, absl::StrCat("expected '(' after the function ", Echo(name)));
      }
    }
    if (name == kNow || name == kToday) {
      return Fault(term.begin, absl::StrCat("expected '(' after the function ", Echo(name)));
    }
    return Fault(term.begin,
                 absl::StrCat("unknown field ", Echo(name), DidYouMean(name, candidates)));
  }

  absl::Status LookUpCall(const syntax::Term& term, Subject& subject) {
    const std::string name = PathOf(term.segments);
    if (name == kNow || name == kToday) {
      subject.type = name == kNow ? Type::kTimestamp : Type::kDate;
      return LookUpClock(term, subject.type, subject.operand);
    }
    if (term.offset) {
      return Fault(term.offset->begin,
                   "expected an operator; only now() and today() take a duration");
    }
    const auto spec =
        std::find_if(schema_.functions_.begin(), schema_.functions_.end(),
                     [&](const FunctionSpec& function) { return function.name == name; });
    if (spec == schema_.functions_.end()) {
      std::vector<std::string> candidates = {std::string(kNow), std::string(kToday)};
      for (const FunctionSpec& function : schema_.functions_) candidates.push_back(function.name);
      return Fault(term.begin,
                   absl::StrCat("unknown function ", Echo(name), DidYouMean(name, candidates)));
    }
    const size_t most = spec->parameters.size();
    const size_t least = most - spec->optional_parameters;
    if (term.arguments.size() < least || term.arguments.size() > most) {
      return Fault(term.begin, absl::StrCat(name, "() takes ", least, least == most ? "" : " to ",
                                            least == most ? "" : absl::StrCat(most),
                                            most == 1 ? " argument" : " arguments", "; has ",
                                            term.arguments.size()));
    }
    Call call{.id = spec->id, .name = spec->name, .result = spec->result};
    for (size_t i = 0; i < term.arguments.size(); ++i) {
      const syntax::Term& argument = term.arguments[i];
      CLM_RETURN_IF_ERROR(Count(argument.begin));
      CLM_ASSIGN_OR_RETURN(const Constant constant, ConstantOf(argument, spec->parameters[i], {}));
      if (constant.type != spec->parameters[i]) return Unexpected(argument, spec->parameters[i]);
      call.args.push_back(constant.value);
    }
    if (spec->check) {
      const std::string what = spec->check(call.args);
      if (!what.empty()) return Fault(term.begin, absl::StrCat(name, "(): ", what));
    }
    subject.type = spec->result;
    subject.operand.source = Operand::Source::kCall;
    subject.operand.index = IndexOf(program_->calls, std::move(call));
    return absl::OkStatus();
  }

  // now() - 30d and its kin, where a value of `type` is wanted.
  absl::Status LookUpClock(const syntax::Term& term, Type type, Operand& operand) {
    const std::string name = PathOf(term.segments);
    if (name != kNow && name != kToday) {
      return Fault(term.begin, absl::StrCat("expected ", TypeText(type),
                                            "; functions stand to the left of an operator"));
    }
    const bool is_now = name == kNow;
    if (type != (is_now ? Type::kTimestamp : Type::kDate)) {
      return Fault(term.begin, absl::StrCat("expected ", TypeText(type), "; found ",
                                            is_now ? "a timestamp" : "a date"));
    }
    if (!term.arguments.empty()) {
      return Fault(term.arguments[0].begin,
                   absl::StrCat("expected ')': ", name, "() takes no arguments"));
    }
    operand.source = is_now ? Operand::Source::kNow : Operand::Source::kToday;
    if (!term.offset) return absl::OkStatus();
    const auto duration = ParseDuration(term.offset->duration);
    if (!duration) {
      return Fault(term.offset->begin,
                   absl::StrCat("expected ", TypeText(Type::kDuration), " of at most 100 years"));
    }
    if (!is_now && *duration % absl::Hours(24) != absl::ZeroDuration()) {
      return Fault(term.offset->begin, "expected whole days with today(), as in today() - 30d");
    }
    operand.offset = term.offset->minus ? -*duration : *duration;
    return absl::OkStatus();
  }

  absl::Status BadEscape(size_t position) const {
    return Fault(position, R"(expected one of the escapes \" \' \\ \* \n \r \t \u0041)");
  }

  absl::Status Unexpected(const syntax::Term& term, Type type) const {
    const Look look = LookOf(term);
    if (look == Look::kNull) {
      return Fault(term.begin,
                   absl::StrCat("expected ", TypeText(type),
                                "; whether a value is missing is asked by NOT field:*"));
    }
    const bool quotes = type == Type::kString && look != Look::kCall;
    return Fault(term.begin, absl::StrCat("expected ", TypeText(type), quotes ? " in quotes" : "",
                                          "; found ", LookText(look)));
  }

  // A string literal, cut at its wildcards.
  absl::StatusOr<std::vector<std::string>> PiecesOf(const syntax::Term& term) const {
    const Look look = LookOf(term);
    if (look != Look::kQuoted && look != Look::kWord && look != Look::kStar) {
      return Unexpected(term, Type::kString);
    }
    Unescaped unescaped = Unescape(term.segments[0].text);
    if (unescaped.fault) return BadEscape(term.begin + 1 + *unescaped.fault);
    return std::move(unescaped.pieces);
  }

  // A literal of `type`; where a whole number is wanted, a number with a fraction comes back as
  // kDecimal.
  absl::StatusOr<Constant> ConstantOf(const syntax::Term& term, Type type,
                                      const std::vector<std::string>& enum_values) {
    const Look look = LookOf(term);
    if (type == Type::kString || type == Type::kEnum) {
      CLM_ASSIGN_OR_RETURN(std::vector<std::string> pieces, PiecesOf(term));
      if (pieces.size() > 1) {
        return Fault(term.begin, "expected a string without '*'; \\* in quotes is an asterisk");
      }
      if (type == Type::kEnum) CLM_RETURN_IF_ERROR(CheckEnum(term, pieces[0], enum_values));
      return Constant{type, AddString(std::move(pieces[0]))};
    }
    if (look == Look::kCall) return Unexpected(term, type);
    const std::string& text = term.segments[0].text;
    const bool quoted = look == Look::kQuoted;
    switch (type) {
      case Type::kBool:
        if (look == Look::kBool) return Constant{type, text == "true"};
        break;
      case Type::kInt64:
      case Type::kDecimal: {
        if (look != Look::kNumber) break;
        const auto number = Decimal::Parse(text);
        if (!number) {
          return Fault(term.begin, absl::StrCat("expected ", TypeText(type),
                                                " of at most 19 digits before and 9 after the "
                                                "point"));
        }
        if (type == Type::kDecimal) return Constant{type, *number};
        if (const auto whole = number->ToInt64()) return Constant{type, *whole};
        return Constant{Type::kDecimal, *number};
      }
      case Type::kTimestamp:
        if (look == Look::kTimestamp || quoted) {
          const auto time = ParseTime(text);
          if (time && IsWritable(*time)) return Constant{type, *time};
        }
        break;
      case Type::kDate:
        if (look == Look::kDate || quoted) {
          if (const auto day = ParseDay(text)) return Constant{type, *day};
        }
        break;
      case Type::kDuration:
        if (const auto duration = quoted ? std::nullopt : ParseDuration(text)) {
          return Constant{type, *duration};
        }
        break;
      case Type::kString:
      case Type::kEnum:
      case Type::kStringSet:
      case Type::kAny:
        break;
    }
    return Unexpected(term, type);
  }

  absl::Status CheckEnum(const syntax::Term& term, const std::string& word,
                         const std::vector<std::string>& enum_values) const {
    if (std::find(enum_values.begin(), enum_values.end(), word) != enum_values.end()) {
      return absl::OkStatus();
    }
    const size_t shown = std::min(enum_values.size(), kLongestList);
    return Fault(
        term.begin,
        absl::StrCat("expected one of ",
                     absl::StrJoin(enum_values.begin(), enum_values.begin() + shown, ", "),
                     shown < enum_values.size() ? ", ..." : "", DidYouMean(word, enum_values)));
  }

  // The type that a literal gives to a field of any type.
  static Type TypeOf(const syntax::Term& term) {
    switch (LookOf(term)) {
      case Look::kNumber:
        return Type::kDecimal;
      case Look::kBool:
        return Type::kBool;
      case Look::kTimestamp:
        return Type::kTimestamp;
      case Look::kDate:
        return Type::kDate;
      case Look::kCall:
        return PathOf(term.segments) == kToday ? Type::kDate : Type::kTimestamp;
      case Look::kQuoted:
      case Look::kDuration:
      case Look::kStar:
      case Look::kNull:
      case Look::kWord:
        return Type::kString;
    }
    return Type::kString;
  }

  const absl::string_view text_;
  const Schema& schema_;
  const ParseOptions& options_;
  const std::shared_ptr<Program> program_;
  int nodes_ = 0;
};

absl::StatusOr<Expression> Parse(absl::string_view text, const Schema& schema,
                                 const ParseOptions& options) {
  return Checker(text, schema, options).Check();
}

}  // namespace clm::filter
