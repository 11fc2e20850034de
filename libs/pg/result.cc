#include <bit>
#include <cassert>
#include <limits>

#include "absl/strings/numbers.h"
#include "libs/base/time_text.h"
#include "libs/pg/pg.h"
#include "libs/pg/rows.h"
#include "libs/pg/types.h"

namespace clm::pg {
namespace {

// A cell and how it is to be read.
struct Cell {
  absl::string_view data;
  bool binary;
  uint32_t type;  // When binary.

  // In binary and of this type.
  bool Is(TypeId id) const { return binary && type == id; }
};

const Rows::Cell& PlaceOf(const void* result, int row, int column) {
  const Rows& rows = *static_cast<const Rows*>(result);
  assert(row >= 0 && row < rows.rows && column >= 0 && column < rows.columns);
  return rows.cells[static_cast<size_t>(row) * rows.columns + column];
}

Cell CellOf(const void* result, int row, int column) {
  const Rows& rows = *static_cast<const Rows*>(result);
  const Rows::Cell& cell = PlaceOf(result, row, column);
  assert(cell.data != nullptr && "null read by a non-optional reader");
  if (cell.data == nullptr || rows.types.empty()) return {{cell.data, cell.size}, false, 0};
  return {{cell.data, cell.size}, true, rows.types[column]};
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

// The elements of an array in binary: dimensions, a flag, the elements' type, and for the one
// dimension its size and first index; then each with its length before it.
std::vector<std::string> BinaryTexts(absl::string_view data) {
  constexpr size_t kHeader = 12, kDimension = 8, kLength = 4;
  std::vector<std::string> values;
  if (ReadBig<int32_t>(data.data()) == 0) return values;
  const auto size = ReadBig<int32_t>(data.data() + kHeader);
  data.remove_prefix(kHeader + kDimension);
  values.reserve(size);
  for (int32_t i = 0; i < size; ++i) {
    const auto length = ReadBig<int32_t>(data.data());
    data.remove_prefix(kLength);
    values.emplace_back(length < 0 ? absl::string_view("NULL") : data.substr(0, length));
    if (length > 0) data.remove_prefix(length);
  }
  return values;
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

std::shared_ptr<const Rows> MakeRows(PgResult owner) {
  auto rows = std::make_shared<Rows>();
  PGresult* const result = owner.get();
  rows->rows = PQntuples(result);
  rows->columns = PQnfields(result);
  // Empty where the statement does not count.
  if (!absl::SimpleAtoi(PQcmdTuples(result), &rows->affected)) rows->affected = 0;
  if (PQbinaryTuples(result) == 1) {
    rows->types.reserve(rows->columns);
    for (int j = 0; j < rows->columns; ++j) rows->types.push_back(PQftype(result, j));
  }
  rows->cells.reserve(static_cast<size_t>(rows->rows) * rows->columns);
  for (int i = 0; i < rows->rows; ++i) {
    for (int j = 0; j < rows->columns; ++j) {
      rows->cells.push_back(PQgetisnull(result, i, j) == 1
                                ? Rows::Cell{nullptr, 0}
                                : Rows::Cell{PQgetvalue(result, i, j),
                                             static_cast<uint32_t>(PQgetlength(result, i, j))});
    }
  }
  rows->owner = std::move(owner);
  return rows;
}

Result::Result(std::shared_ptr<const void> rows) : rows_(std::move(rows)) {}

int Result::size() const { return static_cast<const Rows*>(rows_.get())->rows; }

Row Result::operator[](int row) const { return Row(rows_.get(), row); }

int64_t Result::affected() const { return static_cast<const Rows*>(rows_.get())->affected; }

bool Row::IsNull(int column) const { return PlaceOf(result_, row_, column).data == nullptr; }

absl::string_view Row::Text(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  if (!cell.binary || cell.type == kText || cell.type == kVarchar) return cell.data;
  // Behind a version number.
  if (cell.type == kJsonb) return cell.data.substr(1);
  return Mismatch(absl::string_view());
}

int64_t Row::Int(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  if (cell.Is(kInt8)) return ReadBig<int64_t>(cell.data.data());
  if (cell.Is(kInt4)) return ReadBig<int32_t>(cell.data.data());
  if (cell.Is(kInt2)) return ReadBig<int16_t>(cell.data.data());
  int64_t value = 0;
  return !cell.binary && absl::SimpleAtoi(cell.data, &value) ? value : Mismatch(value);
}

double Row::Double(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  if (cell.Is(kFloat8)) return std::bit_cast<double>(ReadBig<int64_t>(cell.data.data()));
  double value = 0;
  return !cell.binary && absl::SimpleAtod(cell.data, &value) ? value : Mismatch(value);
}

bool Row::Bool(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  if (cell.Is(kBool)) return cell.data[0] != 0;
  if (!cell.binary && cell.data == "t") return true;
  return !cell.binary && cell.data == "f" ? false : Mismatch(false);
}

absl::Time Row::Time(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  if (cell.Is(kTimestamptz)) {
    const auto micros = ReadBig<int64_t>(cell.data.data());
    if (micros == std::numeric_limits<int64_t>::max()) return absl::InfiniteFuture();
    if (micros == std::numeric_limits<int64_t>::min()) return absl::InfinitePast();
    return absl::FromUnixMicros(micros + kEpochMicros);
  }
  if (cell.binary) return Mismatch(absl::UnixEpoch());
  if (cell.data == "infinity") return absl::InfiniteFuture();
  if (cell.data == "-infinity") return absl::InfinitePast();
  const std::optional<absl::Time> time = ParseTime(cell.data);
  return time ? *time : Mismatch(absl::UnixEpoch());
}

absl::CivilDay Row::Day(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  if (cell.Is(kDate)) return absl::CivilDay(2000, 1, 1) + ReadBig<int32_t>(cell.data.data());
  if (cell.binary) return Mismatch(absl::CivilDay());
  const std::optional<absl::CivilDay> day = ParseDay(cell.data);
  return day ? *day : Mismatch(absl::CivilDay());
}

clm::Uuid Row::Uuid(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  std::optional<clm::Uuid> uuid;
  if (cell.Is(kUuid)) uuid = clm::Uuid::FromBytes(cell.data);
  if (!cell.binary) uuid = clm::Uuid::Parse(cell.data);
  return uuid ? *uuid : Mismatch(clm::Uuid());
}

std::string Row::Bytes(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  if (cell.Is(kBytea)) return std::string(cell.data);
  const absl::string_view text = cell.data;
  if (cell.binary || text.size() < 2 || text[0] != '\\' || text[1] != 'x' || text.size() % 2 != 0) {
    return Mismatch(std::string());
  }
  std::string bytes(text.size() / 2 - 1, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(HexDigit(text[2 * i + 2]) << 4 | HexDigit(text[2 * i + 3]));
  }
  return bytes;
}

std::vector<std::string> Row::TextArray(int column) const {
  const Cell cell = CellOf(result_, row_, column);
  std::vector<std::string> values;
  if (cell.Is(kTextArray)) return BinaryTexts(cell.data);
  const absl::string_view text = cell.data;
  if (cell.binary) return Mismatch(values);
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
