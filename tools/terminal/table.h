// The one row model behind `-o`: a command fills a Table once, and Write prints it for people or
// for programs. Answers that are protobuf messages go out as their canonical JSON with
// WriteMessages. Not thread-safe.
#ifndef CLM_TOOLS_TERMINAL_TABLE_H_
#define CLM_TOOLS_TERMINAL_TABLE_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "tools/terminal/screen.h"

namespace clm::terminal {

enum class Format {
  kTable,   // For people: aligned, cut to the terminal's width, nothing cut when piped.
  kWide,    // The same with the columns that are marked wide, never cut.
  kJson,    // An array of objects, or one object; indented.
  kYaml,    // The same as YAML.
  kCsv,     // RFC 4180 with a header line, lines ended by a line feed.
  kNdjson,  // One object per line.
  kName,    // One name per line, for xargs.
};

// By its name, "table". INVALID_ARGUMENT with the allowed names, and the nearest one, for another.
absl::StatusOr<Format> ParseFormat(absl::string_view name);
// All names, in the order of the enum; for help texts and completion.
const std::vector<std::string>& FormatNames();

struct Money {
  int64_t minor = 0;
  std::string currency;
};
// A part of a whole, 0.25 for a quarter: per cent for people, a number for programs.
struct Share {
  double value = 0;
};

// monostate: nothing there. Programs get null (an empty CSV field), people a "-".
using Value = std::variant<std::monostate, std::string, bool, int64_t, double, Money, Share,
                           absl::Time, absl::Duration>;

struct Cell {
  Value value;
  Tone tone = Tone::kPlain;

  Cell() = default;
  // NOLINTBEGIN(google-explicit-constructor): rows are written as lists of values.
  Cell(Value value, Tone tone = Tone::kPlain) : value(std::move(value)), tone(tone) {}
  Cell(std::string text) : value(std::move(text)) {}
  Cell(const char* text) : value(std::string(text)) {}
  Cell(absl::string_view text) : value(std::string(text)) {}
  Cell(bool yes) : value(yes) {}
  Cell(int n) : value(int64_t{n}) {}
  Cell(int64_t n) : value(n) {}
  Cell(double x) : value(x) {}
  Cell(Money money) : value(std::move(money)) {}
  Cell(Share share) : value(share) {}
  Cell(absl::Time time) : value(time) {}
  Cell(absl::Duration d) : value(d) {}
  // NOLINTEND(google-explicit-constructor)
};

struct Column {
  std::string key;    // For programs, snake_case: "create_time".
  std::string title;  // For people; the key in capitals when empty.
  bool wide = false;  // Only with -o wide; programs get it always.
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns; fewer are filled up with nothing.
  void Add(std::vector<Cell> cells);
  // What people read instead of an empty table: "no contacts match".
  void set_empty_text(std::string text) { empty_text_ = std::move(text); }

  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<std::vector<Cell>>& rows() const { return rows_; }
  const std::string& empty_text() const { return empty_text_; }

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
  std::string empty_text_ = "nothing found";
};

// A value as people read it.
std::string ValueText(const Value& value);

// kName prints the column with the key "name", the first one when there is none.
void Write(const Table& table, Format format, const Screen& screen, std::ostream& out);

// The rows as one object (a description of one thing): "key  value" lines for people; for programs
// the object itself instead of an array. The table has one row.
void WriteOne(const Table& table, Format format, const Screen& screen, std::ostream& out);

// kJson, kYaml and kNdjson of messages: canonical protobuf JSON with snake_case names as in the
// .proto files, empty fields left out. `many`: an array also of one. Other formats are
// INVALID_ARGUMENT: they need a Table.
absl::Status WriteMessages(const std::vector<const google::protobuf::Message*>& messages, bool many,
                           Format format, std::ostream& out);

// True for the formats that WriteMessages prints.
bool IsMessageFormat(Format format);

// JSON text as YAML 1.2 block style; strings that YAML would read otherwise are quoted.
// INVALID_ARGUMENT when it is not JSON.
absl::StatusOr<std::string> JsonToYaml(absl::string_view json);

}  // namespace clm::terminal

#endif  // CLM_TOOLS_TERMINAL_TABLE_H_
