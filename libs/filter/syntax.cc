#include "libs/filter/syntax.h"

#include <memory>
#include <tao/pegtl.hpp>
#include <tao/pegtl/contrib/parse_tree.hpp>

namespace clm::filter::syntax {
namespace grammar {

namespace p = tao::pegtl;

struct blank : p::one<' ', '\t', '\n', '\r'> {};
struct gap : p::plus<blank> {};
struct blanks : p::star<blank> {};

struct name_start : p::sor<p::alpha, p::one<'_'>> {};
struct name_part : p::sor<p::alnum, p::one<'_'>> {};

struct and_word : p::seq<p::string<'A', 'N', 'D'>, p::not_at<name_part>> {};
struct or_word : p::seq<p::string<'O', 'R'>, p::not_at<name_part>> {};
struct not_word : p::seq<p::string<'N', 'O', 'T'>, p::not_at<name_part>> {};
struct keyword : p::sor<and_word, or_word, not_word> {};

// A backslash protects whatever follows; which escapes exist is decided when the text is used.
template <char Quote>
struct closing_quote : p::one<Quote> {};
template <char Quote>
struct quoted_with
    : p::if_must<p::one<Quote>,
                 p::star<p::sor<p::seq<p::one<'\\'>, p::any>, p::not_one<Quote, '\\'>>>,
                 closing_quote<Quote>> {};
struct quoted : p::sor<quoted_with<'"'>, quoted_with<'\''>> {};

struct first_segment : p::seq<p::not_at<keyword>, name_start, p::star<name_part>> {};
struct plain_segment
    : p::seq<name_part, p::star<p::sor<name_part, p::seq<p::plus<p::one<'-'>>, name_part>>>> {};
struct segment : p::sor<quoted, plain_segment> {};
struct member : p::seq<first_segment, p::star<p::if_must<p::one<'.'>, segment>>> {};

struct word_char
    : p::not_one<' ', '\t', '\n', '\r', '"', '\'', '(', ')', ',', '<', '>', '=', '!', ':', '\\'> {};
struct two_digits : p::rep<2, p::digit> {};
struct timestamp
    : p::seq<
          p::rep<4, p::digit>, p::one<'-'>, two_digits, p::one<'-'>, two_digits, p::one<'T', 't'>,
          two_digits, p::one<':'>, two_digits, p::one<':'>, two_digits,
          p::opt<p::one<'.'>, p::plus<p::digit>>,
          p::sor<p::one<'Z', 'z'>, p::seq<p::one<'+', '-'>, two_digits, p::one<':'>, two_digits>>,
          p::not_at<word_char>> {};
struct word : p::sor<timestamp, p::seq<p::not_at<keyword>, p::plus<word_char>>> {};

struct offset_sign : p::one<'+', '-'> {};
struct offset_length : p::seq<p::plus<p::digit>, p::alpha, p::not_at<word_char>> {};
struct offset : p::seq<blanks, offset_sign, blanks, offset_length> {};

struct argument;
struct close : p::one<')'> {};
struct function_name : p::seq<first_segment, p::star<p::one<'.'>, plain_segment>> {};
struct more_arguments : p::if_must<p::seq<blanks, p::one<','>>, blanks, argument> {};
struct arguments : p::opt<argument, p::star<more_arguments>> {};
struct call_open : p::seq<function_name, p::one<'('>> {};
struct call : p::seq<p::if_must<call_open, blanks, arguments, blanks, close>, p::opt<offset>> {};
struct argument : p::sor<quoted, call, word> {};

struct comparator : p::sor<p::string<'<', '='>, p::string<'>', '='>, p::string<'!', '='>,
                           p::one<'<', '>', '=', ':'>> {};
struct right_side : p::seq<argument> {};
struct comparison : p::if_must<p::seq<blanks, comparator>, blanks, right_side> {};
struct restriction : p::seq<p::sor<call, member>, p::opt<comparison>> {};

struct expression;
struct composite : p::if_must<p::one<'('>, blanks, expression, blanks, close> {};
struct simple : p::sor<composite, restriction> {};
struct negation : p::if_must<p::sor<p::seq<not_word, blanks>, p::one<'-'>>, simple> {};
struct term : p::sor<negation, simple> {};
struct disjunction : p::seq<term, p::star<p::if_must<p::seq<gap, or_word>, blanks, term>>> {};
// A keyword is no term, so the loop stops before AND and OR.
struct sequence : p::seq<disjunction, p::star<p::seq<gap, disjunction>>> {};
struct expression : p::seq<sequence, p::star<p::if_must<p::seq<gap, and_word>, blanks, sequence>>> {
};
struct end : p::eof {};
struct text : p::must<blanks, p::opt<expression, blanks>, end> {};

// Refuses nesting beyond kMaxNesting, so that no text can exhaust the stack.
struct bounded : p::maybe_nothing {
  template <class Rule, p::apply_mode A, p::rewind_mode M, template <class...> class Action,
            template <class...> class Control, class Input, class... States>
  static bool match(Input& in, States&&... states) {
    struct Level {
      explicit Level(size_t& depth) : depth(depth) { ++depth; }
      ~Level() { --depth; }
      size_t& depth;
    } level(in.private_depth);
    // Whatever stands innermost is tried as another level, too.
    if (level.depth > kMaxNesting + 1) throw p::parse_error("too many levels of parentheses", in);
    return p::match<Rule, A, M, Action, Control>(in, states...);
  }
};

template <class Rule>
struct action : p::nothing<Rule> {};
template <>
struct action<composite> : bounded {};
template <>
struct action<call> : bounded {};

template <class>
inline constexpr const char* kMessage = nullptr;
template <>
inline constexpr const char* kMessage<closing_quote<'"'>> = "expected a closing \"";
template <>
inline constexpr const char* kMessage<closing_quote<'\''>> = "expected a closing '";
template <>
inline constexpr const char* kMessage<segment> = "expected a name after the dot";
template <>
inline constexpr const char* kMessage<close> = "expected ')'";
template <>
inline constexpr const char* kMessage<argument> = "expected an argument";
template <>
inline constexpr const char* kMessage<right_side> = "expected a value";
template <>
inline constexpr const char* kMessage<expression> = "expected a condition";
template <>
inline constexpr const char* kMessage<simple> = "expected a condition to negate";
template <>
inline constexpr const char* kMessage<term> = "expected a condition after OR";
template <>
inline constexpr const char* kMessage<sequence> = "expected a condition after AND";
template <>
inline constexpr const char* kMessage<end> = "expected a condition, AND, OR or the end";

struct errors {
  template <class Rule>
  static constexpr const char* message = kMessage<Rule>;
  template <class Rule>
  static constexpr bool raise_on_failure = false;
};
template <class Rule>
using control = p::must_if<errors, p::normal, false>::control<Rule>;

template <class Rule>
using selector =
    p::parse_tree::selector<Rule,
                            p::parse_tree::store_content::on<
                                negation, restriction, member, call, word, quoted, first_segment,
                                plain_segment, comparator, offset, offset_sign, offset_length>,
                            p::parse_tree::fold_one::on<disjunction, sequence, expression>>;

}  // namespace grammar

namespace {

namespace p = tao::pegtl;
using Tree = p::parse_tree::node;

size_t Begin(const Tree& tree) { return tree.m_begin.byte; }

Segment ToSegment(const Tree& tree) {
  const std::string content = tree.string();
  if (tree.is_type<grammar::quoted>()) {
    return {content.substr(1, content.size() - 2), true, Begin(tree)};
  }
  return {content, false, Begin(tree)};
}

Term ToTerm(const Tree& tree) {
  Term term;
  term.begin = Begin(tree);
  if (tree.is_type<grammar::member>()) {
    term.kind = Term::Kind::kMember;
    for (const auto& child : tree.children) term.segments.push_back(ToSegment(*child));
  } else if (tree.is_type<grammar::call>()) {
    term.kind = Term::Kind::kCall;
    for (const auto& child : tree.children) {
      if (child->is_type<grammar::first_segment>() || child->is_type<grammar::plain_segment>()) {
        term.segments.push_back(ToSegment(*child));
      } else if (child->is_type<grammar::offset>()) {
        const Tree& sign = *child->children[0];
        term.offset = Offset{sign.string_view() == "-", child->children[1]->string(), Begin(sign)};
      } else {
        term.arguments.push_back(ToTerm(*child));
      }
    }
  } else {
    term.kind = tree.is_type<grammar::quoted>() ? Term::Kind::kQuoted : Term::Kind::kWord;
    term.segments.push_back(ToSegment(tree));
  }
  return term;
}

Node ToNode(const Tree& tree) {
  Node node;
  node.begin = Begin(tree);
  if (tree.is_type<grammar::restriction>()) {
    node.kind = Node::Kind::kRestriction;
    node.left = ToTerm(*tree.children[0]);
    if (tree.children.size() == 3) {
      node.comparator = tree.children[1]->string();
      node.comparator_begin = Begin(*tree.children[1]);
      node.right = ToTerm(*tree.children[2]);
    }
    return node;
  }
  node.kind = tree.is_type<grammar::negation>()      ? Node::Kind::kNot
              : tree.is_type<grammar::disjunction>() ? Node::Kind::kOr
                                                     : Node::Kind::kAnd;
  for (const auto& child : tree.children) node.children.push_back(ToNode(*child));
  return node;
}

}  // namespace

std::variant<Node, Fault> Read(absl::string_view text) {
  p::memory_input<p::tracking_mode::eager> in(text.data(), text.data() + text.size(), "");
  try {
    const auto root = p::parse_tree::parse<grammar::text, Tree, grammar::selector, grammar::action,
                                           grammar::control>(in);
    return root->children.empty() ? Node{} : ToNode(*root->children[0]);
  } catch (const p::parse_error& error) {
    return Fault{error.positions().front().byte, std::string(error.message())};
  }
}

}  // namespace clm::filter::syntax
