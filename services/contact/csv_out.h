// CSV as people and spreadsheets read it: RFC 4180 with CRLF line ends, and text that a
// spreadsheet would take for a formula made harmless. Pure.
#ifndef CLM_SERVICES_CONTACT_CSV_OUT_H_
#define CLM_SERVICES_CONTACT_CSV_OUT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace clm::contact {

// Builds rows into a buffer that the caller takes from time to time. Not thread-safe.
class CsvWriter {
 public:
  explicit CsvWriter(char delimiter = ',') : delimiter_(delimiter) {}

  // Text: quoted when it must be. Text that begins with = + - @, a tab, a carriage return or a NUL
  // gets an apostrophe in front; so does text that only shows such a beginning after blanks.
  CsvWriter& Text(absl::string_view value);
  // Numbers stay numbers, also negative ones.
  CsvWriter& Number(int64_t value);
  // Exact text of a number made by us ("-12.50"); anything that is not digits, one sign and one
  // point is written as Text.
  CsvWriter& Number(absl::string_view value);
  CsvWriter& Empty();
  void EndRow();

  // What has been built since the last call.
  std::string Take();

 private:
  void Separate();

  char delimiter_;
  bool row_begun_ = false;
  std::string buffer_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CSV_OUT_H_
