#include <cassert>

#include "absl/strings/numbers.h"
#include "libs/base/time_text.h"
#include "libs/pg/pg.h"
#include "libs/pg/rows.h"

namespace clm::pg {
namespace {

const Rows::Cell& CellOf(const void* result, int row, int column) {
  const Rows& rows = *static_cast<const Rows*>(result);
  assert(row >= 0 && row < rows.rows && column >= 0 && column < rows.columns);
  return rows.cells[static_cast<size_t>(row) * rows.columns + column];
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The value of a reader whose column holds something else: an abort in debug builds.
template <class T>
T Mismatch(T value) {
  assert(false && "column holds another type");
  return value;
}

}  // namespace

std::shared_ptr<const Rows> MakeRows(pqxx::result result) {
  auto rows = std::make_shared<Rows>();
  rows->rows = static_cast<int>(result.size());
  rows->columns = static_cast<int>(result.columns());
  rows->affected = static_cast<int64_t>(result.affected_rows());
  rows->cells.reserve(static_cast<size_t>(rows->rows) * rows->columns);
  for (int i = 0; i < rows->rows; ++i) {
    const auto row = result[i];
    for (int j = 0; j < rows->columns; ++j) {
      const auto field = row[j];
      rows->cells.push_back(field.is_null()
                                ? Rows::Cell{nullptr, 0}
                                : Rows::Cell{field.c_str(), static_cast<uint32_t>(field.size())});
    }
  }
  rows->owner = std::move(result);
  return rows;
}

Result::Result(std::shared_ptr<const void> rows) : rows_(std::move(rows)) {}

int Result::size() const { return static_cast<const Rows*>(rows_.get())->rows; }

Row Result::operator[](int row) const { return Row(rows_.get(), row); }

int64_t Result::affected() const { return static_cast<const Rows*>(rows_.get())->affected; }

bool Row::IsNull(int column) const { return CellOf(result_, row_, column).text == nullptr; }

absl::string_view Row::Text(int column) const {
  const Rows::Cell& cell = CellOf(result_, row_, column);
  assert(cell.text != nullptr && "null read by a non-optional reader");
  return {cell.text, cell.size};
}

int64_t Row::Int(int column) const {
  int64_t value = 0;
  return absl::SimpleAtoi(Text(column), &value) ? value : Mismatch(value);
}

double Row::Double(int column) const {
  double value = 0;
  return absl::SimpleAtod(Text(column), &value) ? value : Mismatch(value);
}

bool Row::Bool(int column) const {
  const absl::string_view text = Text(column);
  if (text == "t") return true;
  return text == "f" ? false : Mismatch(false);
}

absl::Time Row::Time(int column) const {
  const absl::string_view text = Text(column);
  if (text == "infinity") return absl::InfiniteFuture();
  if (text == "-infinity") return absl::InfinitePast();
  const std::optional<absl::Time> time = ParseTime(text);
  return time ? *time : Mismatch(absl::UnixEpoch());
}

absl::CivilDay Row::Day(int column) const {
  const std::optional<absl::CivilDay> day = ParseDay(Text(column));
  return day ? *day : Mismatch(absl::CivilDay());
}

clm::Uuid Row::Uuid(int column) const {
  const std::optional<clm::Uuid> uuid = clm::Uuid::Parse(Text(column));
  return uuid ? *uuid : Mismatch(clm::Uuid());
}

std::string Row::Bytes(int column) const {
  const absl::string_view text = Text(column);
  if (text.size() < 2 || text[0] != '\\' || text[1] != 'x' || text.size() % 2 != 0) {
    return Mismatch(std::string());
  }
  std::string bytes(text.size() / 2 - 1, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(HexDigit(text[2 * i + 2]) << 4 | HexDigit(text[2 * i + 3]));
  }
  return bytes;
}

std::vector<std::string> Row::TextArray(int column) const {
  const absl::string_view text = Text(column);
  std::vector<std::string> values;
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return Mismatch(values);
  if (text.size() == 2) return values;
  const size_t end = text.size() - 1;
  std::string value;
  for (size_t i = 1; i <= end; ++i) {
    if (i == end || text[i] == ',') {
      values.push_back(std::move(value));
      value.clear();
    } else if (text[i] == '"') {
      for (++i; i < end && text[i] != '"'; ++i) {
        if (text[i] == '\\') ++i;
        value.push_back(text[i]);
      }
    } else {
      value.push_back(text[i]);
    }
  }
  return values;
}

std::optional<std::string> Row::OptText(int column) const {
  if (IsNull(column)) return std::nullopt;
  return std::string(Text(column));
}

std::optional<int64_t> Row::OptInt(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Int(column);
}

std::optional<double> Row::OptDouble(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Double(column);
}

std::optional<absl::Time> Row::OptTime(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Time(column);
}

std::optional<absl::CivilDay> Row::OptDay(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Day(column);
}

std::optional<clm::Uuid> Row::OptUuid(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Uuid(column);
}

}  // namespace clm::pg
