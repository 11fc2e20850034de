#include "libs/filter/sql.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/filter/program.h"

namespace clm::filter {
namespace {

constexpr const char* kOps[] = {" = ", " <> ", " < ", " <= ", " > ", " >= "};

// What the casts below accept, no more: they raise on anything else, and PostgreSQL 15 has no cast
// that answers NULL instead.
#define CLM_DAY_PATTERN                                \
  "(?!0000)("                                          \
  "[0-9]{4}-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])" \
  "|[0-9]{4}-(0[469]|11)-(0[1-9]|[12][0-9]|30)"        \
  "|[0-9]{4}-02-(0[1-9]|1[0-9]|2[0-8])"                \
  "|([0-9]{2}(0[48]|[2468][048]|[13579][26])"          \
  "|(0[48]|[2468][048]|[13579][26])00)-02-29)"
constexpr char kIntegerPattern[] = "'^-?[0-9]{1,19}$'";
constexpr char kDecimalPattern[] = "'^-?[0-9]{1,19}([.][0-9]{1,9})?$'";
constexpr char kDayPattern[] = "'^" CLM_DAY_PATTERN "$'";
constexpr char kTimePattern[] = "'^" CLM_DAY_PATTERN
                                "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?"
                                "(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$'";
#undef CLM_DAY_PATTERN

std::string Placeholder(const pg::Args& args, const char* type) {
  return absl::StrCat("$", args.size(), "::", type);
}

// The LIKE pattern of the pieces, wildcards between them.
std::string LikePattern(const Pattern& pieces) {
  std::string pattern;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0) pattern += '%';
    for (const char c : pieces[i]) {
      if (c == '%' || c == '_' || c == '\\') pattern += '\\';
      pattern += c;
    }
  }
  return pattern;
}

}  // namespace

Columns& Columns::Add(absl::string_view field, absl::string_view sql) {
  columns_[std::string(field)] = {.sql = std::string(sql)};
  return *this;
}

Columns& Columns::AddEnum(absl::string_view field, absl::string_view sql,
                          std::map<std::string, int> numbers) {
  columns_[std::string(field)] = {.sql = std::string(sql), .numbers = std::move(numbers)};
  return *this;
}

Columns& Columns::AddMap(absl::string_view map, absl::string_view sql) {
  columns_[std::string(map)] = {.sql = std::string(sql), .is_jsonb = true};
  return *this;
}

Columns& Columns::AddFunction(absl::string_view function, FunctionSql sql) {
  functions_[std::string(function)] = std::move(sql);
  return *this;
}

std::string Bind(const Value& value, pg::Args& args) {
  struct Binder {
    pg::Args& args;
    std::string operator()(std::monostate) const {
      args.AddNull();
      return Placeholder(args, "text");
    }
    std::string operator()(bool value) const {
      args.Add(value);
      return Placeholder(args, "boolean");
    }
    std::string operator()(int64_t value) const {
      args.Add(value);
      return Placeholder(args, "bigint");
    }
    std::string operator()(const Decimal& value) const {
      args.Add(value.ToString());
      return Placeholder(args, "numeric");
    }
    std::string operator()(absl::Time value) const {
      args.Add(value);
      return Placeholder(args, "timestamptz");
    }
    std::string operator()(absl::CivilDay value) const {
      args.Add(value);
      return Placeholder(args, "date");
    }
    std::string operator()(absl::Duration value) const {
      args.Add(absl::StrCat(absl::ToInt64Seconds(value), " seconds"));
      return Placeholder(args, "interval");
    }
    std::string operator()(absl::string_view value) const {
      args.Add(value);
      return Placeholder(args, "text");
    }
    std::string operator()(StringSet value) const {
      args.AddArray(std::vector<std::string>(value.begin(), value.end()));
      return Placeholder(args, "text[]");
    }
  };
  return std::visit(Binder{args}, value);
}

// Writes conditions that are TRUE where Evaluate is true, and FALSE or NULL elsewhere. AND and OR
// keep that; NOT does by asking IS NOT TRUE. So an index on a column serves a comparison that is
// not negated.
class SqlWriter {
 public:
  SqlWriter(const Program& program, const Columns& columns, absl::Time now, pg::Args& args)
      : program_(program), columns_(columns), now_(now), args_(args) {}

  absl::StatusOr<std::string> Write(uint32_t at) {
    const Node& node = program_.nodes[at];
    switch (node.kind) {
      case Node::Kind::kAnd:
      case Node::Kind::kOr: {
        std::vector<std::string> parts;
        for (uint32_t i = at + 1; i < node.end; i = program_.nodes[i].end) {
          CLM_ASSIGN_OR_RETURN(parts.emplace_back(), Write(i));
        }
        if (parts.empty()) return std::string("TRUE");
        return absl::StrCat(
            "(", absl::StrJoin(parts, node.kind == Node::Kind::kAnd ? " AND " : " OR "), ")");
      }
      case Node::Kind::kNot: {
        CLM_ASSIGN_OR_RETURN(const std::string part, Write(at + 1));
        return absl::StrCat("(", part, " IS NOT TRUE)");
      }
      case Node::Kind::kCompare:
        return WriteCompare(node);
      case Node::Kind::kPattern: {
        CLM_ASSIGN_OR_RETURN(const std::string left, Write(node.left));
        const std::string pattern = LikePattern(program_.patterns[node.right.index]);
        return absl::StrCat("(", left, node.op == Op::kEq ? " LIKE " : " NOT LIKE ",
                            Bind(absl::string_view(pattern), args_), ")");
      }
      case Node::Kind::kMember:
        return WriteMember(node);
      case Node::Kind::kPresent:
        return WritePresent(node);
    }
    return error::Internal("filter: unknown node");
  }

 private:
  absl::StatusOr<std::string> WriteCompare(const Node& node) {
    CLM_ASSIGN_OR_RETURN(std::string left, Write(node.left));
    if (node.right.source != Operand::Source::kConstant) {
      CLM_ASSIGN_OR_RETURN(const std::string right, Write(node.right));
      return absl::StrCat("(", left, kOps[static_cast<int>(node.op)], right, ")");
    }
    const Constant& constant = program_.constants[node.right.index];
    if (const auto* truth = std::get_if<bool>(&constant.value)) {
      return *truth == (node.op == Op::kEq) ? left : absl::StrCat("(NOT ", left, ")");
    }
    if (constant.type == Type::kEnum && node.left.source == Operand::Source::kField) {
      CLM_ASSIGN_OR_RETURN(const Columns::Column* column, Find(program_.fields[node.left.index]));
      if (!column->numbers.empty()) return WriteNumberedEnum(node, *column, left);
    }
    const bool by_bytes =
        constant.type == Type::kString && node.op != Op::kEq && node.op != Op::kNe;
    return absl::StrCat("(", left, by_bytes ? " COLLATE \"C\"" : "",
                        kOps[static_cast<int>(node.op)], Bind(constant.value, args_), ")");
  }

  absl::StatusOr<std::string> WriteNumberedEnum(const Node& node, const Columns::Column& column,
                                                const std::string& left) {
    const auto word = std::get<absl::string_view>(program_.constants[node.right.index].value);
    const auto number = column.numbers.find(std::string(word));
    if (number == column.numbers.end()) return error::Internal("filter: enum value without number");
    return absl::StrCat("(", left, kOps[static_cast<int>(node.op)],
                        Bind(int64_t{number->second}, args_), ")");
  }

  absl::StatusOr<std::string> WriteMember(const Node& node) {
    const Field& field = program_.fields[node.left.index];
    CLM_ASSIGN_OR_RETURN(const Columns::Column* column, Find(field));
    const Value& element = program_.constants[node.right.index].value;
    if (!column->is_jsonb) {
      return absl::StrCat("(", column->sql, " @> ARRAY[", Bind(element, args_), "])");
    }
    // Containment holds for an array with the element and for nothing else, and has indexes.
    const std::string key = Bind(absl::string_view(field.key), args_);
    return absl::StrCat("(", column->sql, " @> jsonb_build_object(", key, ", jsonb_build_array(",
                        Bind(element, args_), ")))");
  }

  absl::StatusOr<std::string> WritePresent(const Node& node) {
    if (node.left.source == Operand::Source::kField) {
      const Field& field = program_.fields[node.left.index];
      if (field.type == Type::kStringSet) {
        CLM_ASSIGN_OR_RETURN(const Columns::Column* column, Find(field));
        if (!column->is_jsonb) return absl::StrCat("(cardinality(", column->sql, ") > 0)");
        const std::string entry =
            absl::StrCat("(", column->sql, "->", Bind(absl::string_view(field.key), args_), ")");
        return absl::StrCat("CASE WHEN jsonb_typeof", entry, " = 'array' THEN jsonb_array_length",
                            entry, " > 0 END");
      }
    }
    CLM_ASSIGN_OR_RETURN(const std::string left, Write(node.left));
    return absl::StrCat("(", left, " IS NOT NULL)");
  }

  absl::StatusOr<std::string> Write(const Operand& operand) {
    switch (operand.source) {
      case Operand::Source::kField:
        return WriteField(program_.fields[operand.index]);
      case Operand::Source::kCall: {
        const Call& call = program_.calls[operand.index];
        const auto function = columns_.functions_.find(call.name);
        if (function == columns_.functions_.end()) {
          return error::Internal(absl::StrCat("filter: function without SQL: ", call.name));
        }
        return absl::StrCat("(", function->second(call, now_, args_), ")");
      }
      case Operand::Source::kConstant:
        return Bind(program_.constants[operand.index].value, args_);
      case Operand::Source::kNow:
        return Bind(NowPlus(now_, operand.offset), args_);
      case Operand::Source::kToday:
        return Bind(TodayPlus(now_, operand.offset), args_);
    }
    return error::Internal("filter: unknown operand");
  }

  absl::StatusOr<std::string> WriteField(const Field& field) {
    CLM_ASSIGN_OR_RETURN(const Columns::Column* column, Find(field));
    if (!column->is_jsonb) return absl::StrCat("(", column->sql, ")");
    const std::string text =
        absl::StrCat("(", column->sql, "->>", Bind(absl::string_view(field.key), args_), ")");
    switch (field.type) {
      case Type::kBool:
        return absl::StrCat("(CASE ", text, " WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END)");
      case Type::kInt64:
        return absl::StrCat("(CASE WHEN ", text, " ~ ", kIntegerPattern, " THEN CASE WHEN ", text,
                            "::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN ",
                            text, "::bigint END END)");
      case Type::kDecimal:
        return Guarded(text, kDecimalPattern, "numeric");
      case Type::kTimestamp:
        return Guarded(text, kTimePattern, "timestamptz");
      case Type::kDate:
        return Guarded(text, kDayPattern, "date");
      case Type::kString:
      case Type::kEnum:
      case Type::kAny:
        return text;
      case Type::kStringSet:
      case Type::kDuration:
        break;
    }
    return error::Internal("filter: a set is not a scalar");
  }

  static std::string Guarded(const std::string& text, const char* pattern, const char* type) {
    return absl::StrCat("(CASE WHEN ", text, " ~ ", pattern, " THEN ", text, "::", type, " END)");
  }

  absl::StatusOr<const Columns::Column*> Find(const Field& field) const {
    const auto column = columns_.columns_.find(field.name);
    if (column == columns_.columns_.end() || column->second.is_jsonb == field.key.empty()) {
      return error::Internal(absl::StrCat("filter: field without column: ", field.name));
    }
    return &column->second;
  }

  const Program& program_;
  const Columns& columns_;
  const absl::Time now_;
  pg::Args& args_;
};

absl::StatusOr<std::string> ToSql(const Expression& expression, const Columns& columns,
                                  absl::Time now, pg::Args& args) {
  return SqlWriter(expression.program(), columns, now, args).Write(0);
}

}  // namespace clm::filter
