#include "services/contact/import_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "csv.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/contact/text.h"
#include "simdjson.h"

namespace clm::contact {
namespace {

constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr absl::string_view kDelimiters = ",;\t|";
// After an unclosed quote the lines it swallowed are read again. A file that consists of such
// mistakes must not cost the square of its size, so this is done a limited number of times; later
// ones take everything they swallowed with them.
constexpr int kMaxRecoveries = 200;

absl::Status FileError(absl::string_view what) { return error::InvalidField("file", what); }
absl::Status RecordError(absl::string_view what) { return error::InvalidField("", what); }

// What is certainly no text in UTF-8, told before anything is read as such.
absl::Status CheckMagic(absl::string_view first_bytes) {
  using absl::StartsWith;
  if (StartsWith(first_bytes, "\xFF\xFE") || StartsWith(first_bytes, "\xFE\xFF")) {
    return FileError("is UTF-16; save it as UTF-8");
  }
  if (StartsWith(first_bytes, "PK\x03\x04")) {
    return FileError("is a spreadsheet or a zip archive; save it as CSV");
  }
  if (StartsWith(first_bytes, "\x1F\x8B") || StartsWith(first_bytes, "\x28\xB5\x2F\xFD")) {
    return FileError("is compressed; unpack it first");
  }
  return absl::OkStatus();
}

// Cuts a stream of bytes into lines, their ends included, without ever holding more than
// `max_bytes` of one. A line that is longer arrives as its beginning, marked as cut.
class LineCutter {
 public:
  // `cr_ends`: a carriage return ends a line too.
  LineCutter(size_t max_bytes, bool cr_ends) : max_bytes_(max_bytes), cr_ends_(cr_ends) {}

  struct Line {
    absl::string_view text;
    bool cut = false;
  };

  // Calls `handle` for every line that `bytes` completes, until it returns false.
  template <class Handle>
  void Feed(absl::string_view bytes, Handle handle) {
    while (!bytes.empty()) {
      const size_t end = bytes.find_first_of(cr_ends_ ? "\r\n" : "\n");
      const bool complete = end != absl::string_view::npos;
      const absl::string_view part = bytes.substr(0, complete ? end + 1 : bytes.size());
      bytes.remove_prefix(part.size());
      if (pending_.empty() && !cut_ && complete && part.size() <= max_bytes_) {
        if (!handle(Line{part, false})) return;
        continue;
      }
      const size_t room = max_bytes_ - pending_.size();
      pending_.append(part.data(), std::min(room, part.size()));
      cut_ = cut_ || part.size() > room;
      if (complete && !Flush(handle)) return;
    }
  }
  // The rest, which no line end follows.
  template <class Handle>
  void Finish(Handle handle) {
    if (!pending_.empty() || cut_) Flush(handle);
  }

 private:
  template <class Handle>
  bool Flush(Handle handle) {
    const std::string line = std::exchange(pending_, std::string());
    return handle(Line{line, std::exchange(cut_, false)});
  }

  const size_t max_bytes_;
  const bool cr_ends_;
  std::string pending_;
  bool cut_ = false;
};

// libcsv, fed line by line so that a record can be given up without losing those after it.
class CsvReader : public ImportReader {
 public:
  explicit CsvReader(const ReaderOptions& options)
      : options_(options),
        delimiter_(options.delimiter),
        lines_(options.max_record_bytes, /*cr_ends=*/true) {
    csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI);
  }
  ~CsvReader() override { csv_free(&parser_); }
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;

  absl::Status Feed(absl::string_view bytes, RecordSink sink) override {
    CLM_RETURN_IF_ERROR(failed_);
    lines_.Feed(bytes, [&](LineCutter::Line line) { return TakeLine(line, sink); });
    return failed_;
  }

  absl::Status Finish(RecordSink sink) override {
    CLM_RETURN_IF_ERROR(failed_);
    lines_.Finish([&](LineCutter::Line line) { return TakeLine(line, sink); });
    // Every turn consumes the first line of an unclosed record at least.
    while (failed_.ok()) {
      const bool open = csv_fini(&parser_, &OnField, &OnRecord, this) != 0;
      if (!open) {
        if (record_done_) EndRecord(sink);
        break;
      }
      if (raw_.empty()) break;
      GiveUp(RecordError("a quote is not closed"), sink);
    }
    if (failed_.ok() && header_.empty()) failed_ = FileError("is empty");
    return failed_;
  }

 private:
  // One line of the record that is being read, kept to read it again.
  struct RawLine {
    std::string text;
    int64_t number;
  };

  static void OnField(void* text, size_t size, void* self) {
    auto* reader = static_cast<CsvReader*>(self);
    const size_t at = reader->field_count_++;
    if (at >= reader->fields_.size()) reader->fields_.emplace_back();
    reader->fields_[at].assign(static_cast<const char*>(text), size);
  }
  static void OnRecord(int, void* self) { static_cast<CsvReader*>(self)->record_done_ = true; }

  bool TakeLine(LineCutter::Line line, RecordSink sink) {
    ++line_number_;
    // The line feed of a CRLF belongs to the line that the carriage return ended.
    const bool tail = after_cr_ && line.text == "\n";
    if (tail) --line_number_;
    after_cr_ = absl::EndsWith(line.text, "\r");
    if (tail && raw_.empty()) return true;
    if (!started_ && !Start(line.text)) return failed_.ok();
    Parse({std::string(line.text), line_number_}, line.cut, sink);
    return failed_.ok();
  }

  // Looks at the first line. False: it holds no record.
  bool Start(absl::string_view& line) {
    failed_ = CheckMagic(line);
    if (!failed_.ok()) return false;
    if (line_number_ == 1) absl::ConsumePrefix(&line, kByteOrderMark);
    absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty()) return false;
    if (text.size() == 5 && absl::StartsWithIgnoreCase(text, "sep=") && delimiter_ == '\0') {
      delimiter_ = text[4];
      return false;
    }
    if (delimiter_ == '\0') delimiter_ = SniffDelimiter(line);
    csv_set_delim(&parser_, static_cast<unsigned char>(delimiter_));
    started_ = true;
    return true;
  }

  void Parse(RawLine line, bool cut, RecordSink sink) {
    std::deque<RawLine> waiting;
    waiting.push_back(std::move(line));
    while (!waiting.empty() && failed_.ok()) {
      RawLine next = std::move(waiting.front());
      waiting.pop_front();
      const bool next_cut = cut && waiting.empty();
      raw_bytes_ += next.text.size();
      raw_.push_back(std::move(next));
      const std::string& text = raw_.back().text;
      absl::Status wrong;
      if (next_cut || raw_bytes_ > options_.max_record_bytes) {
        wrong = RecordError(absl::StrCat("larger than ", options_.max_record_bytes,
                                         " bytes, or a quote is not closed"));
      } else if (csv_parse(&parser_, text.data(), text.size(), &OnField, &OnRecord, this) !=
                 text.size()) {
        wrong = RecordError(
            "a quote stands inside a field; a field with quotes must be quoted "
            "and its quotes doubled");
      }
      if (!wrong.ok()) {
        std::deque<RawLine> again = TakeSwallowedLines();
        Refuse(wrong, sink);
        waiting.insert(waiting.begin(), std::make_move_iterator(again.begin()),
                       std::make_move_iterator(again.end()));
      } else if (record_done_) {
        EndRecord(sink);
      } else if (field_count_ == 0 && absl::StripAsciiWhitespace(text).empty() &&
                 raw_.size() == 1) {
        Reset();  // A blank line between records.
      }
    }
  }

  // The lines after the first one of a record that is given up.
  std::deque<RawLine> TakeSwallowedLines() {
    std::deque<RawLine> swallowed;
    if (recoveries_ < kMaxRecoveries && raw_.size() > 1) {
      ++recoveries_;
      swallowed.assign(std::make_move_iterator(raw_.begin() + 1),
                       std::make_move_iterator(raw_.end()));
      raw_.resize(1);
    }
    return swallowed;
  }

  // Gives up the record being read, at the end of the file.
  void GiveUp(absl::Status why, RecordSink sink) {
    std::deque<RawLine> swallowed = TakeSwallowedLines();
    Refuse(std::move(why), sink);
    for (RawLine& line : swallowed) {
      if (failed_.ok()) Parse(std::move(line), false, sink);
    }
  }

  void Refuse(absl::Status why, RecordSink sink) {
    if (header_.empty()) {
      failed_ = FileError(absl::StrCat("header line: ", error::FieldViolations(why)[0].second));
      return;
    }
    ImportRecord record;
    record.number = ++record_number_;
    record.line = raw_.front().number;
    record.status = std::move(why);
    Restart();
    sink(record);
  }

  // Forgets the record being read and what libcsv knows of it.
  void Restart() {
    csv_free(&parser_);
    csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI);
    csv_set_delim(&parser_, static_cast<unsigned char>(delimiter_));
    Reset();
  }

  void Reset() {
    raw_.clear();
    raw_bytes_ = 0;
    field_count_ = 0;
    record_done_ = false;
  }

  void EndRecord(RecordSink sink) {
    if (header_.empty()) {
      failed_ = TakeHeader();
      Reset();
      return;
    }
    ImportRecord record;
    record.number = ++record_number_;
    record.line = raw_.front().number;
    record.status = CheckFields();
    if (record.status.ok()) {
      const size_t count = std::min(field_count_, header_.size());
      record.cells.reserve(count);
      for (size_t i = 0; i < count; ++i) record.cells.push_back({header_[i], fields_[i]});
    }
    sink(record);
    Reset();
  }

  absl::Status TakeHeader() {
    if (field_count_ > options_.max_columns) {
      return FileError(absl::StrCat("header line: more than ", options_.max_columns, " columns"));
    }
    std::set<std::string> seen;
    for (size_t i = 0; i < field_count_; ++i) {
      const std::string name(TrimText(fields_[i]));
      if (!CheckText(name, 256).ok()) {
        return FileError(absl::StrCat("header line: column ", i + 1, " is not UTF-8 text"));
      }
      if (!name.empty() && !seen.insert(name).second) {
        return FileError(absl::StrCat("header line: the column ", name, " occurs twice"));
      }
      header_.push_back(name);
    }
    if (seen.empty()) return FileError("header line: has no names");
    return absl::OkStatus();
  }

  absl::Status CheckFields() const {
    for (size_t i = 0; i < field_count_; ++i) {
      if (i >= header_.size() && !fields_[i].empty()) {
        return RecordError(
            absl::StrCat("has ", field_count_, " fields, the header only ", header_.size()));
      }
      if (fields_[i].size() > options_.max_field_bytes) {
        return RecordError(
            absl::StrCat("field ", i + 1, " is longer than ", options_.max_field_bytes, " bytes"));
      }
      if (!IsUtf8(fields_[i])) return RecordError(absl::StrCat("field ", i + 1, " is not UTF-8"));
      if (absl::StrContains(fields_[i], '\0')) {
        return RecordError(absl::StrCat("field ", i + 1, " contains a NUL"));
      }
    }
    return absl::OkStatus();
  }

  const ReaderOptions options_;
  char delimiter_;
  LineCutter lines_;
  csv_parser parser_;
  absl::Status failed_;
  bool started_ = false;
  bool after_cr_ = false;
  int64_t line_number_ = 0;
  int64_t record_number_ = 0;
  int recoveries_ = 0;
  std::vector<std::string> header_;

  // The record being read: its lines, and its fields so far (the strings are reused).
  std::vector<RawLine> raw_;
  size_t raw_bytes_ = 0;
  std::vector<std::string> fields_;
  size_t field_count_ = 0;
  bool record_done_ = false;
};

class NdjsonReader : public ImportReader {
 public:
  explicit NdjsonReader(const ReaderOptions& options)
      : options_(options), lines_(options.max_record_bytes, /*cr_ends=*/false) {}

  absl::Status Feed(absl::string_view bytes, RecordSink sink) override {
    CLM_RETURN_IF_ERROR(failed_);
    lines_.Feed(bytes, [&](LineCutter::Line line) { return TakeLine(line, sink); });
    return failed_;
  }
  absl::Status Finish(RecordSink sink) override {
    CLM_RETURN_IF_ERROR(failed_);
    lines_.Finish([&](LineCutter::Line line) { return TakeLine(line, sink); });
    return failed_;
  }

 private:
  bool TakeLine(LineCutter::Line line, RecordSink sink) {
    if (++line_number_ == 1) {
      failed_ = CheckMagic(line.text);
      if (!failed_.ok()) return false;
      absl::ConsumePrefix(&line.text, kByteOrderMark);
    }
    const absl::string_view text = absl::StripAsciiWhitespace(line.text);
    if (text.empty()) return true;
    ImportRecord record;
    record.number = ++record_number_;
    record.line = line_number_;
    cells_.clear();
    record.status =
        line.cut ? RecordError(absl::StrCat("larger than ", options_.max_record_bytes, " bytes"))
                 : Read(text);
    record.typed = true;
    if (record.status.ok()) {
      record.cells.reserve(cells_.size());
      for (const OwnedCell& cell : cells_) {
        record.cells.push_back({cell.column, cell.text, cell.kind});
      }
    }
    sink(record);
    return true;
  }

  struct OwnedCell {
    std::string column;
    std::string text;
    ImportCell::Kind kind;
  };

  absl::Status Read(absl::string_view text) {
    simdjson::dom::element root;
    if (parser_.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS) {
      return RecordError("is not well-formed JSON");
    }
    simdjson::dom::object object;
    if (root.get(object) != simdjson::SUCCESS) return RecordError("is not a JSON object");
    return ReadObject("", object);
  }

  absl::Status ReadObject(absl::string_view prefix, simdjson::dom::object object) {
    for (const simdjson::dom::key_value_pair member : object) {
      const absl::string_view key(member.key.data(), member.key.size());
      if (key.empty() || !CheckText(key, 256).ok()) {
        return RecordError("the name of a member is empty, too long or has control characters");
      }
      if (cells_.size() >= options_.max_columns) {
        return RecordError(absl::StrCat("more than ", options_.max_columns, " members"));
      }
      const std::string column = absl::StrCat(prefix, key);
      simdjson::dom::object inner;
      if (prefix.empty() && IsContainer(key) && member.value.get(inner) == simdjson::SUCCESS) {
        CLM_RETURN_IF_ERROR(ReadObject(absl::StrCat(key, "."), inner));
        continue;
      }
      CLM_RETURN_IF_ERROR(ReadValue(column, member.value));
    }
    return absl::OkStatus();
  }

  absl::Status ReadValue(const std::string& column, simdjson::dom::element value) {
    using simdjson::dom::element_type;
    using Kind = ImportCell::Kind;
    const auto add = [&](std::string text, Kind kind) {
      if (text.size() > options_.max_field_bytes) {
        return RecordError(
            absl::StrCat("a value is longer than ", options_.max_field_bytes, " bytes"));
      }
      if (absl::StrContains(text, '\0')) return RecordError("a value contains a NUL");
      cells_.push_back({column, std::move(text), kind});
      return absl::OkStatus();
    };
    switch (value.type()) {
      case element_type::STRING:
        return add(std::string(std::string_view(value)), Kind::kText);
      case element_type::INT64:
        return add(absl::StrCat(int64_t(value)), Kind::kNumber);
      case element_type::UINT64:
        return add(absl::StrCat(uint64_t(value)), Kind::kNumber);
      case element_type::DOUBLE: {
        // The shortest text that reads back equal is what was written, up to 15 digits.
        std::array<char, 400> buffer;
        const double number = value;
        const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                       std::chars_format::fixed);
        if (end.ec != std::errc()) return RecordError("a number is out of range");
        return add(std::string(buffer.data(), end.ptr), Kind::kNumber);
      }
      case element_type::BOOL:
        return add(bool(value) ? "true" : "false", Kind::kBool);
      case element_type::NULL_VALUE:
        return add("", Kind::kNull);
      case element_type::ARRAY: {
        std::vector<std::string> members;
        for (simdjson::dom::element member : simdjson::dom::array(value)) {
          std::string_view text;
          if (member.get(text) != simdjson::SUCCESS || text.find(';') != text.npos) {
            return RecordError("an array must consist of strings without a semicolon");
          }
          members.emplace_back(text);
        }
        return add(absl::StrJoin(members, ";"), Kind::kTextSet);
      }
      case element_type::OBJECT:
        break;
    }
    return RecordError(
        "objects may be nested in attributes, external_ids, identifiers, "
        "properties and topics only");
  }

  static bool IsContainer(absl::string_view key) {
    return key == "attributes" || key == "external_ids" || key == "identifiers" ||
           key == "properties" || key == "topics";
  }

  const ReaderOptions options_;
  LineCutter lines_;
  absl::Status failed_;
  int64_t line_number_ = 0;
  int64_t record_number_ = 0;
  simdjson::dom::parser parser_;
  std::vector<OwnedCell> cells_;
};

// Decides by the first character that is no blank, then hands over.
class SniffingReader : public ImportReader {
 public:
  explicit SniffingReader(const ReaderOptions& options) : options_(options) {}

  absl::Status Feed(absl::string_view bytes, RecordSink sink) override {
    if (reader_ == nullptr) {
      absl::StrAppend(&begin_, bytes);
      absl::string_view rest = begin_;
      absl::ConsumePrefix(&rest, kByteOrderMark);
      rest = absl::StripLeadingAsciiWhitespace(rest);
      // Three bytes tell a byte order mark from other text.
      if (rest.empty() || begin_.size() < kByteOrderMark.size()) {
        return begin_.size() > options_.max_record_bytes ? FileError("begins with blanks only")
                                                         : absl::OkStatus();
      }
      Choose(rest[0]);
      const std::string begin = std::exchange(begin_, std::string());
      return reader_->Feed(begin, sink);
    }
    return reader_->Feed(bytes, sink);
  }

  absl::Status Finish(RecordSink sink) override {
    if (reader_ == nullptr) {
      const absl::string_view rest = absl::StripLeadingAsciiWhitespace(begin_);
      Choose(rest.empty() ? ',' : rest[0]);
      CLM_RETURN_IF_ERROR(reader_->Feed(begin_, sink));
    }
    return reader_->Finish(sink);
  }

 private:
  void Choose(char first) {
    options_.format = first == '{' ? FileFormat::kNdjson : FileFormat::kCsv;
    reader_ = MakeImportReader(options_);
  }

  ReaderOptions options_;
  std::string begin_;
  std::unique_ptr<ImportReader> reader_;
};

}  // namespace

char SniffDelimiter(absl::string_view header_line) {
  std::array<int, 256> count{};
  bool quoted = false;
  for (const char c : header_line) {
    if (c == '"') quoted = !quoted;
    if (!quoted) ++count[static_cast<unsigned char>(c)];
  }
  return *std::max_element(kDelimiters.begin(), kDelimiters.end(), [&](char a, char b) {
    return count[static_cast<unsigned char>(a)] < count[static_cast<unsigned char>(b)];
  });
}

std::unique_ptr<ImportReader> MakeImportReader(const ReaderOptions& options) {
  switch (options.format) {
    case FileFormat::kCsv:
      return std::make_unique<CsvReader>(options);
    case FileFormat::kNdjson:
      return std::make_unique<NdjsonReader>(options);
    case FileFormat::kUnknown:
      break;
  }
  return std::make_unique<SniffingReader>(options);
}

}  // namespace clm::contact
