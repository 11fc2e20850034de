// The expression language of the suite (AIP-160): list filters, transition-rule conditions,
// segments, earn rules and journey branches are all written in it. A text is parsed and checked
// once against a Schema; the Expression that results is evaluated in memory here, or turned into
// SQL by libs/filter/sql.h. Both answer the same for the same data; a differential test holds them
// to it.
//
//   a = 1 b = 2 AND c = 3 OR d = 4     means   a = 1 AND b = 2 AND (c = 3 OR d = 4)
//
// Grammar: terms side by side are joined by AND; OR binds tighter than AND; NOT and a leading '-'
// negate one term; parentheses group. A term is `field operator literal`, `field:*` (presence), or
// a bool field or function alone. Operators: = != < <= > >= and ':' (has). The operators AND, OR,
// NOT are in capitals. An empty text matches every record.
//
// Fields are dotted paths; an entry of a map is `attributes.plan` or, for any other key,
// `attributes."plan of 2026"`. Literals:
//   strings      "ada" or 'ada', with \" \' \\ \* \n \r \t \uXXXX; a plain word needs no quotes
//   numbers      42, -3, 19.90 (exact; at most 19 digits, then 9 after the point)
//   bools        true, false
//   timestamps   2026-11-21T08:30:00Z (RFC 3339, microseconds), quoted or not
//   dates        2026-11-21, quoted or not
//   durations    30d, 12h, 90m, 20s, only as arguments of functions and after now() and today()
//   now(), today()  and  now() - 30d, today() + 7d: the time given to the evaluation, and its UTC
//                day
// With = and != a '*' in a string stands for any run of characters: email = "*@example.com".
//
// Missing values: a comparison with a missing value is false whatever the operator, != included,
// and NOT of it is true. `field:*` is true where there is a value; a set without elements has none.
//
// ':' is membership for a string set (tags:"vip"), presence of an entry for a map
// (attributes:plan), and the same as '=' for every other type.
//
// Strings compare exactly and order by their UTF-8 bytes. A field with a normaliser has it applied
// to every literal it meets, and is taken to hold normalised values.
#ifndef CLM_LIBS_FILTER_FILTER_H_
#define CLM_LIBS_FILTER_FILTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/filter/decimal.h"

namespace clm::filter {

enum class Type {
  kString,
  kBool,
  kInt64,
  kDecimal,
  kTimestamp,
  kDate,
  kEnum,  // One of a closed list of strings; no order.
  kStringSet,
  kDuration,  // Parameters of functions only.
  kAny,       // Entries of maps only: every expression takes the type of the literal it is
              // compared with, a number that of kDecimal.
};

// "a string", "a whole number", ...: for messages to people.
absl::string_view TypeText(Type type);

// What a record holds under a field. Monostate is a missing value. Strings and sets are views: they
// outlive the Evaluate call that asked for them.
using StringSet = absl::Span<const std::string>;
using Value = std::variant<std::monostate, bool, int64_t, Decimal, absl::Time, absl::CivilDay,
                           absl::Duration, absl::string_view, StringSet>;

// Reads the text form of a value, as a jsonb map's ->> gives it: what a Record does with dynamic
// fields kept as text. Missing for text that is not of the type, exactly where the SQL back end
// sees NULL. Timestamps are RFC 3339 with at most six fractional digits; sets have no text form.
// A string's Value is a view of `text`.
Value ParseValue(Type type, absl::string_view text);

// The form of strings in a field, "ada@example.com" for " Ada@Example.com"; idempotent.
using Normalizer = std::function<std::string(absl::string_view)>;

struct FunctionSpec {
  int id = 0;
  std::string name;              // "count"; dotted names are allowed.
  std::vector<Type> parameters;  // Neither kStringSet, kEnum nor kAny.
  int optional_parameters = 0;   // How many of the last may be left out.
  Type result = Type::kInt64;    // Neither kStringSet, kDuration, kEnum nor kAny.
  // Refuses arguments that have the right types and no meaning: returns what is wrong with them, or
  // an empty string. May be empty.
  std::function<std::string(absl::Span<const Value>)> check;
};

// The fields and functions that an expression may name. Built once, then only read.
class Schema {
 public:
  // `id` is the caller's and comes back in Field::id. Names are dotted lower-case identifiers.
  Schema& Add(int id, absl::string_view name, Type type);
  Schema& AddEnum(int id, absl::string_view name, std::vector<std::string> values);
  Schema& AddString(int id, absl::string_view name, Normalizer normalizer);
  // A map whose entries are typed by ParseOptions::dynamic, and those that it does not know by
  // `fallback`; without a fallback they are refused.
  Schema& AddMap(int id, absl::string_view name, std::optional<Type> fallback = std::nullopt);
  // now and today exist without being added.
  Schema& AddFunction(FunctionSpec spec);

 private:
  friend class Checker;
  struct Entry {
    int id;
    std::string name;
    Type type;
    bool is_map = false;
    std::optional<Type> fallback;
    std::vector<std::string> enum_values;
    Normalizer normalizer;
  };
  std::vector<Entry> fields_;
  std::vector<FunctionSpec> functions_;
};

// The types of a map's entries, which are a tenant's data. Asked only while parsing.
class DynamicFields {
 public:
  struct Entry {
    Type type;
    std::vector<std::string> enum_values;
  };
  virtual ~DynamicFields() = default;
  virtual std::optional<Entry> Find(absl::string_view map, absl::string_view key) const = 0;
  // For "did you mean".
  virtual std::vector<std::string> Keys(absl::string_view map) const = 0;
};

struct Limits {
  size_t text_bytes = 4096;
  int depth = 32;   // Of nested AND, OR, NOT; at most 64.
  int nodes = 200;  // Terms, operators and function arguments.
};

struct ParseOptions {
  std::string field = "filter";  // The request field that errors name.
  Limits limits;
  const DynamicFields* dynamic = nullptr;
};

// A field as an expression uses it.
struct Field {
  int id = 0;
  std::string name;           // "email"; for an entry the map's name, "attributes".
  std::string key;            // For an entry: "plan". Else empty.
  Type type = Type::kString;  // Never kAny, except where the expression asks for presence alone.

  friend bool operator==(const Field&, const Field&) = default;
};

// A function as an expression calls it. Strings in `args` live as long as the Expression.
struct Call {
  int id = 0;
  std::string name;
  std::vector<Value> args;
  Type result = Type::kInt64;

  friend bool operator==(const Call&, const Call&) = default;
};

// What an expression is evaluated on. A Value of another type than asked for counts as missing;
// int64_t and Decimal stand for each other.
class Record {
 public:
  virtual ~Record() = default;
  virtual Value Get(const Field& field) const = 0;
  virtual Value Invoke(const Call&, absl::Time /*now*/) const { return {}; }
};

struct Program;

// A checked expression. Immutable, cheap to copy, safe to share between threads; needs neither its
// text nor its Schema any more. Default constructed it matches everything, like the empty text.
class Expression {
 public:
  Expression();

  // Equal when the same tests are made in the same order.
  friend bool operator==(const Expression& a, const Expression& b);

  const Program& program() const { return *program_; }

 private:
  friend class Checker;
  explicit Expression(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;
};

// Parses and checks. INVALID_ARGUMENT names options.field, the 1-based character position of the
// fault and what was expected there; it repeats names from the text but never literals, which may
// be personal data. Cost is linear in the text.
absl::StatusOr<Expression> Parse(absl::string_view text, const Schema& schema,
                                 const ParseOptions& options = {});

// Whether `record` satisfies the expression at `now`, which is cut to microseconds. Terms are
// evaluated from left to right, and no more of them than needed. Does not allocate.
bool Evaluate(const Expression& expression, const Record& record, absl::Time now);

// The canonical text: parsing it with the same schema gives an equal expression. It may be longer
// than the text that was parsed, so what people wrote is what is stored.
std::string ToString(const Expression& expression);

// Each field and each call of the expression once, in the order of first appearance. Valid while
// the expression or a copy of it lives.
absl::Span<const Field> ReferencedFields(const Expression& expression);
absl::Span<const Call> ReferencedFunctions(const Expression& expression);

// The values of which the field `name` (an entry as "map.key") must equal one for the expression to
// be true; nullopt when the expression can be true for any value or without one. What rules are
// indexed by: a rule that requires event.type in {"purchase"} need not be looked at for another
// event. An empty list means that the expression is never true. Strings stand as they are, other
// values in one form each: "true", "42", "19.9" (Decimal::ToString), FormatTime, FormatDay.
std::optional<std::vector<std::string>> RequiredValues(const Expression& expression,
                                                       absl::string_view name);

// Whether the answer may change with time alone, because the text names now() or today(). Functions
// of the schema are not considered: their owner knows them.
bool UsesNow(const Expression& expression);

}  // namespace clm::filter

#endif  // CLM_LIBS_FILTER_FILTER_H_
