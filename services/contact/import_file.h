// Reading import files as they arrive: CSV and TSV with a header line, and NDJSON. Bytes go in by
// chunks of any size, records come out with their number; a malformed record is told and never
// stops the rest. Memory is bounded by the size of one record. No I/O.
#ifndef CLM_SERVICES_CONTACT_IMPORT_FILE_H_
#define CLM_SERVICES_CONTACT_IMPORT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace clm::contact {

// The value of one field of a record.
struct ImportCell {
  enum class Kind {
    kText,     // A CSV field or a JSON string.
    kNumber,   // A JSON number; `text` is its decimal form.
    kBool,     // A JSON boolean, "true" or "false".
    kNull,     // A JSON null.
    kTextSet,  // A JSON array of strings, joined by ';'.
  };
  // The header of the column, or the path of the member: "email", "attributes.plan".
  absl::string_view column;
  absl::string_view text;
  Kind kind = Kind::kText;
};

// One record of the file. The views are valid during the call of the sink only.
struct ImportRecord {
  int64_t number = 0;  // The first record after the header is 1; blank lines do not count.
  int64_t line = 0;    // The line of the file on which it begins, from 1.
  // Why it could not be read; then there are no cells. The texts do not repeat the data.
  absl::Status status;
  // The cells have types of their own (JSON), so that an empty text is one.
  bool typed = false;
  std::vector<ImportCell> cells;
};

using RecordSink = absl::FunctionRef<void(const ImportRecord&)>;

enum class FileFormat { kUnknown = 0, kCsv = 1, kNdjson = 2 };

struct ReaderOptions {
  FileFormat format = FileFormat::kUnknown;  // kUnknown: by the first character that is no blank.
  char delimiter = '\0';                     // CSV; NUL: found out from the header line.
  size_t max_field_bytes = 64 * 1024;
  size_t max_record_bytes = 256 * 1024;
  size_t max_columns = 512;
};

// Not thread-safe.
class ImportReader {
 public:
  virtual ~ImportReader() = default;
  // Reads the next bytes of the file. An error is one of the file as a whole (it is not text, its
  // header is unusable); no record follows, and every later call returns it again.
  virtual absl::Status Feed(absl::string_view bytes, RecordSink sink) = 0;
  // The file has ended. To be called once.
  virtual absl::Status Finish(RecordSink sink) = 0;
};

// CSV: RFC 4180, fields separated by one of , ; tab |, lines ended by LF, CRLF or CR, a byte order
// mark and a "sep=;" line accepted, blanks around unquoted fields cut. A record with a quote that
// is not closed is refused and reading goes on with the line after the one it began on.
// NDJSON: one object per line; the members "attributes", "external_ids", "identifiers",
// "properties" and "topics" may be objects of their own, whose members become
// "attributes.plan" and the like.
std::unique_ptr<ImportReader> MakeImportReader(const ReaderOptions& options);

// The delimiter that a header line uses: the one of , ; tab | that occurs most often outside
// quotes.
char SniffDelimiter(absl::string_view header_line);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IMPORT_FILE_H_
