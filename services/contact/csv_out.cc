#include "services/contact/csv_out.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace clm::contact {
namespace {

bool LooksLikeFormula(absl::string_view value) {
  if (value.empty()) return false;
  if (value[0] == '\t' || value[0] == '\r' || value[0] == '\0') return true;
  const size_t first = value.find_first_not_of(" \n");
  if (first == absl::string_view::npos) return false;
  switch (value[first]) {
    case '=':
    case '+':
    case '-':
    case '@':
      return true;
    default:
      return false;
  }
}

bool IsPlainNumber(absl::string_view value) {
  if (!value.empty() && value[0] == '-') value.remove_prefix(1);
  if (value.empty() || !absl::ascii_isdigit(value.front()) || !absl::ascii_isdigit(value.back())) {
    return false;
  }
  int points = 0;
  for (char c : value) {
    if (c == '.' && ++points == 1) continue;
    if (!absl::ascii_isdigit(c)) return false;
  }
  return true;
}

}  // namespace

void CsvWriter::Separate() {
  if (row_begun_) buffer_ += delimiter_;
  row_begun_ = true;
}

CsvWriter& CsvWriter::Text(absl::string_view value) {
  Separate();
  const bool guard = LooksLikeFormula(value);
  const char special[] = {'"', '\r', '\n', '\t', delimiter_, '\0'};
  const bool quote =
      value.find_first_of(absl::string_view(special, sizeof(special))) != absl::string_view::npos ||
      (!value.empty() && (value.front() == ' ' || value.back() == ' '));
  if (!quote) {
    absl::StrAppend(&buffer_, guard ? "'" : "", value);
    return *this;
  }
  buffer_ += guard ? "\"'" : "\"";
  for (char c : value) {
    if (c == '"') buffer_ += '"';
    buffer_ += c;
  }
  buffer_ += '"';
  return *this;
}

CsvWriter& CsvWriter::Number(int64_t value) {
  Separate();
  absl::StrAppend(&buffer_, value);
  return *this;
}

CsvWriter& CsvWriter::Number(absl::string_view value) {
  if (!IsPlainNumber(value)) return Text(value);
  Separate();
  absl::StrAppend(&buffer_, value);
  return *this;
}

CsvWriter& CsvWriter::Empty() {
  Separate();
  return *this;
}

void CsvWriter::EndRow() {
  buffer_ += "\r\n";
  row_begun_ = false;
}

std::string CsvWriter::Take() { return std::exchange(buffer_, std::string()); }

}  // namespace clm::contact
