#include "tools/terminal/table.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "tools/terminal/number_text.h"
#include "tools/terminal/outcome.h"

namespace clm::terminal {
namespace {

using Json = nlohmann::ordered_json;

// Columns of text are not cut below this.
constexpr int kLeastWidth = 8;
constexpr char kGap[] = "  ";

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json ToJson(const Value& value) {
  return std::visit(
      Overloaded{
          [](std::monostate) -> Json { return nullptr; },
          [](const std::string& text) -> Json { return text; },
          [](bool yes) -> Json { return yes; },
          [](int64_t n) -> Json { return n; },
          [](double x) -> Json { return x; },
          [](const Money& money) -> Json {
            return {{"amount_minor", money.minor}, {"currency", money.currency}};
          },
          [](Share share) -> Json { return share.value; },
          [](absl::Time time) -> Json { return clm::FormatTime(time); },
          // Seconds, as protobuf's JSON writes them.
          [](absl::Duration d) -> Json { return absl::StrCat(absl::ToDoubleSeconds(d), "s"); },
      },
      value);
}

std::string ToCsv(const Value& value) {
  std::string text = std::visit(
      Overloaded{
          [](std::monostate) -> std::string { return ""; },
          [](const std::string& text) -> std::string { return text; },
          [](const Money& money) -> std::string {
            return absl::StrCat(MoneyDecimal(money.minor, money.currency), " ", money.currency);
          },
          [](absl::Time time) -> std::string { return clm::FormatTime(time); },
          [](absl::Duration d) -> std::string { return absl::StrCat(absl::ToDoubleSeconds(d)); },
          [](const auto& other) -> std::string { return Dump(ToJson(other), -1); },
      },
      value);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

bool IsNumber(const Value& value) {
  return std::holds_alternative<int64_t>(value) || std::holds_alternative<double>(value) ||
         std::holds_alternative<Money>(value) || std::holds_alternative<Share>(value) ||
         std::holds_alternative<absl::Duration>(value);
}

std::string Title(const Column& column) {
  if (!column.title.empty()) return column.title;
  std::string title = absl::AsciiStrToUpper(column.key);
  std::replace(title.begin(), title.end(), '_', ' ');
  return title;
}

Json RowJson(const Table& table, const std::vector<Cell>& row) {
  Json object = Json::object();
  for (size_t i = 0; i < row.size(); ++i) object[table.columns()[i].key] = ToJson(row[i].value);
  return object;
}

// A column laid out for people.
struct Laid {
  size_t index = 0;
  Align align = Align::kLeft;
  int width = 0;
};

// Takes columns from the widest columns of text until all fit. What holds numbers is never cut.
void Fit(std::vector<Laid>& columns, int width) {
  if (width <= 0) return;
  int total = -static_cast<int>(sizeof(kGap) - 1);
  for (const Laid& column : columns) total += column.width + static_cast<int>(sizeof(kGap) - 1);
  while (total > width) {
    Laid* widest = nullptr;
    for (Laid& column : columns) {
      if (column.align == Align::kLeft && column.width > kLeastWidth &&
          (widest == nullptr || column.width > widest->width)) {
        widest = &column;
      }
    }
    if (widest == nullptr) return;
    --widest->width;
    --total;
  }
}

void WriteTable(const Table& table, bool wide, const Screen& screen, std::ostream& out) {
  if (table.rows().empty()) {
    out << table.empty_text() << "\n";
    return;
  }
  std::vector<Laid> columns;
  for (size_t i = 0; i < table.columns().size(); ++i) {
    if (table.columns()[i].wide && !wide) continue;
    Laid laid{.index = i, .width = TextWidth(Title(table.columns()[i]))};
    bool numbers = false;
    bool text = false;
    for (const auto& row : table.rows()) {
      const Value& value = row[i].value;
      laid.width = std::max(laid.width, TextWidth(Printable(ValueText(value))));
      numbers = numbers || IsNumber(value);
      text = text || !(IsNumber(value) || std::holds_alternative<std::monostate>(value));
    }
    laid.align = numbers && !text ? Align::kRight : Align::kLeft;
    columns.push_back(laid);
  }
  if (!wide) Fit(columns, screen.width);

  const auto line = [&](const auto& text_of, const auto& tone_of) {
    for (size_t i = 0; i < columns.size(); ++i) {
      const std::string text = Truncate(text_of(columns[i].index), columns[i].width, screen.utf8);
      // Nothing after the last word of a line: it would wrap on a narrow terminal.
      const bool last = i + 1 == columns.size() && columns[i].align == Align::kLeft;
      const std::string padded = Pad(text, columns[i].width, columns[i].align);
      // Spaces stay outside of the colour, so that underlining or inverting would not show them.
      const size_t at = padded.find(text);
      out << (i == 0 ? "" : kGap) << padded.substr(0, at)
          << Paint(screen, tone_of(columns[i].index), text)
          << (last ? "" : padded.substr(at + text.size()));
    }
    out << "\n";
  };
  line([&](size_t i) { return Title(table.columns()[i]); }, [](size_t) { return Tone::kStrong; });
  for (const auto& row : table.rows()) {
    line([&](size_t i) { return Printable(ValueText(row[i].value)); },
         [&](size_t i) { return row[i].tone; });
  }
}

void WriteNames(const Table& table, std::ostream& out) {
  size_t column = 0;
  for (size_t i = table.columns().size(); i-- > 0;) {
    if (table.columns()[i].key == "name") column = i;
  }
  for (const auto& row : table.rows()) out << Printable(ValueText(row[column].value)) << "\n";
}

void WriteCsv(const Table& table, std::ostream& out) {
  std::vector<std::string> fields;
  for (const Column& column : table.columns()) fields.push_back(ToCsv(column.key));
  out << absl::StrJoin(fields, ",") << "\n";
  for (const auto& row : table.rows()) {
    fields.clear();
    for (const Cell& cell : row) fields.push_back(ToCsv(cell.value));
    out << absl::StrJoin(fields, ",") << "\n";
  }
}

// True when YAML reads the bare word as the same string.
bool IsPlainYaml(const std::string& text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ') return false;
  static constexpr absl::string_view kNeverFirst = "-?:,[]{}#&*!|>'\"%@`~=<.";
  if (kNeverFirst.find(text.front()) != absl::string_view::npos) return false;
  if (text.find(": ") != std::string::npos || text.find(" #") != std::string::npos ||
      text.back() == ':') {
    return false;
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  const std::string lower = absl::AsciiStrToLower(text);
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) {
    if (lower == word) return false;
  }
  // Numbers, dates and times in any notation begin with a digit or a sign.
  return !absl::ascii_isdigit(text.front()) && text.front() != '+';
}

std::string YamlScalar(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return IsPlainYaml(text) ? text : Dump(value, -1);
  }
  if (value.is_array()) return "[]";
  if (value.is_object()) return "{}";
  return Dump(value, -1);
}

bool IsBlock(const Json& value) { return value.is_structured() && !value.empty(); }

// Appends `value` as a block whose lines begin with `indent` spaces; the first line is already
// indented.
void AppendYaml(const Json& value, int indent, std::string& out) {
  if (!IsBlock(value)) {
    absl::StrAppend(&out, YamlScalar(value), "\n");
    return;
  }
  bool first = true;
  const auto begin_line = [&] {
    if (!first) out.append(indent, ' ');
    first = false;
  };
  if (value.is_array()) {
    for (const Json& item : value) {
      begin_line();
      out += "- ";
      AppendYaml(item, indent + 2, out);
    }
    return;
  }
  for (const auto& [key, item] : value.items()) {
    begin_line();
    absl::StrAppend(&out, YamlScalar(Json(key)), ":");
    if (!IsBlock(item)) {
      absl::StrAppend(&out, " ", YamlScalar(item), "\n");
    } else {
      out += "\n";
      out.append(indent + 2, ' ');
      AppendYaml(item, indent + 2, out);
    }
  }
}

std::string Yaml(const Json& value) {
  std::string out;
  AppendYaml(value, 0, out);
  return out;
}

// Made once: building a resolver walks the descriptor pool's types and is most of the cost of a
// message.
google::protobuf::util::TypeResolver* Resolver() {
  static auto* const kResolver = google::protobuf::util::NewTypeResolverForDescriptorPool(
      "type.googleapis.com", google::protobuf::DescriptorPool::generated_pool());
  return kResolver;
}

absl::StatusOr<Json> MessageJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::BinaryToJsonString(
      Resolver(), absl::StrCat("type.googleapis.com/", message.GetDescriptor()->full_name()),
      message.SerializeAsString(), &text, options);
  if (!status.ok()) return error::Internal("an answer cannot be written as JSON");
  return Json::parse(text);
}

}  // namespace

const std::vector<std::string>& FormatNames() {
  static const auto* const kNames =
      new std::vector<std::string>{"table", "wide", "json", "yaml", "csv", "ndjson", "name"};
  return *kNames;
}

absl::StatusOr<Format> ParseFormat(absl::string_view name) {
  const auto& names = FormatNames();
  const auto it = std::find(names.begin(), names.end(), name);
  if (it != names.end()) return static_cast<Format>(it - names.begin());
  const auto near = Nearest(name, names);
  return error::InvalidField("--output",
                             absl::StrCat("must be one of ", absl::StrJoin(names, ", "),
                                          near ? absl::StrCat("; did you mean ", *near, "?") : ""));
}

void Table::Add(std::vector<Cell> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string ValueText(const Value& value) {
  return std::visit(
      Overloaded{
          [](std::monostate) -> std::string { return "-"; },
          [](const std::string& text) -> std::string { return text.empty() ? "-" : text; },
          [](bool yes) -> std::string { return yes ? "yes" : "no"; },
          [](int64_t n) -> std::string { return CountText(n); },
          [](double x) -> std::string { return NumberText(x); },
          [](const Money& money) -> std::string { return MoneyText(money.minor, money.currency); },
          [](Share share) -> std::string { return PercentText(share.value); },
          [](absl::Time time) -> std::string { return TimeText(time); },
          [](absl::Duration d) -> std::string { return DurationText(d); },
      },
      value);
}

void Write(const Table& table, Format format, const Screen& screen, std::ostream& out) {
  switch (format) {
    case Format::kTable:
      return WriteTable(table, /*wide=*/false, screen, out);
    case Format::kWide:
      return WriteTable(table, /*wide=*/true, screen, out);
    case Format::kCsv:
      return WriteCsv(table, out);
    case Format::kName:
      return WriteNames(table, out);
    case Format::kNdjson:
      for (const auto& row : table.rows()) out << Dump(RowJson(table, row), -1) << "\n";
      return;
    case Format::kJson:
    case Format::kYaml:
      break;
  }
  Json all = Json::array();
  for (const auto& row : table.rows()) all.push_back(RowJson(table, row));
  out << (format == Format::kJson ? Dump(all, 2) + "\n" : Yaml(all));
}

void WriteOne(const Table& table, Format format, const Screen& screen, std::ostream& out) {
  if (table.rows().empty()) return Write(table, format, screen, out);
  const auto& row = table.rows()[0];
  switch (format) {
    case Format::kTable:
    case Format::kWide: {
      int width = 0;
      for (const Column& column : table.columns())
        width = std::max(width, TextWidth(Title(column)));
      for (size_t i = 0; i < row.size(); ++i) {
        if (table.columns()[i].wide && format != Format::kWide) continue;
        const std::string title = Title(table.columns()[i]);
        out << Paint(screen, Tone::kStrong, title) << std::string(width - TextWidth(title), ' ')
            << kGap << Paint(screen, row[i].tone, Printable(ValueText(row[i].value))) << "\n";
      }
      return;
    }
    case Format::kJson:
      out << Dump(RowJson(table, row), 2) << "\n";
      return;
    case Format::kYaml:
      out << Yaml(RowJson(table, row));
      return;
    default:
      return Write(table, format, screen, out);
  }
}

bool IsMessageFormat(Format format) {
  return format == Format::kJson || format == Format::kYaml || format == Format::kNdjson;
}

absl::Status WriteMessages(const std::vector<const google::protobuf::Message*>& messages, bool many,
                           Format format, std::ostream& out) {
  if (!IsMessageFormat(format)) {
    return error::InvalidField("--output", "must be json, yaml or ndjson here");
  }
  Json all = Json::array();
  for (const auto* message : messages) {
    CLM_ASSIGN_OR_RETURN(Json json, MessageJson(*message));
    if (format == Format::kNdjson) {
      out << Dump(json, -1) << "\n";
    } else {
      all.push_back(std::move(json));
    }
  }
  if (format == Format::kNdjson) return absl::OkStatus();
  const Json& whole = !many && all.size() == 1 ? all[0] : all;
  out << (format == Format::kJson ? Dump(whole, 2) + "\n" : Yaml(whole));
  return absl::OkStatus();
}

absl::StatusOr<std::string> JsonToYaml(absl::string_view json) {
  const Json value = Json::parse(std::string(json), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return error::InvalidField("json", "is not valid JSON");
  return Yaml(value);
}

}  // namespace clm::terminal
