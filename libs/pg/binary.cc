#include "libs/pg/binary.h"

#include <bit>
#include <cctype>
#include <cstdint>
#include <limits>

#include "libs/pg/types.h"

namespace clm::pg {
namespace {

std::optional<TypeId> ElementOf(absl::string_view type) {
  struct Named {
    absl::string_view name;
    TypeId oid;
  };
  static constexpr Named kTypes[] = {
      {"text[]", kText},    {"uuid[]", kUuid},
      {"bigint[]", kInt8},  {"timestamptz[]", kTimestamptz},
      {"jsonb[]", kJsonb},  {"smallint[]", kInt2},
      {"bytea[]", kBytea},  {"int[]", kInt4},
      {"boolean[]", kBool}, {"float8[]", kFloat8},
  };
  for (const Named& known : kTypes) {
    if (known.name == type) return known.oid;
  }
  return std::nullopt;
}

// Each puts the length and the bytes of an element of the type; false when it is not one.

bool Put(std::string& out, TypeId oid, absl::string_view value) {
  switch (oid) {
    case kText:
    case kJsonb: {
      // jsonb: its text behind a version number.
      const bool json = oid == kJsonb;
      AppendBig(out, static_cast<int32_t>(value.size() + (json ? 1 : 0)));
      if (json) out.push_back(1);
      out.append(value.data(), value.size());
      return true;
    }
    case kUuid: {
      const auto uuid = clm::Uuid::Parse(value);
      if (!uuid) return false;
      AppendBig(out, int32_t{16});
      out.append(uuid->ToBytes());
      return true;
    }
    default:
      return false;
  }
}

template <class Number>
bool PutNumber(std::string& out, int64_t value) {
  if (value < std::numeric_limits<Number>::min() || value > std::numeric_limits<Number>::max()) {
    return false;
  }
  AppendBig(out, static_cast<int32_t>(sizeof(Number)));
  AppendBig(out, static_cast<Number>(value));
  return true;
}

bool Put(std::string& out, TypeId oid, int64_t value) {
  if (oid == kInt8) return PutNumber<int64_t>(out, value);
  if (oid == kInt4) return PutNumber<int32_t>(out, value);
  return oid == kInt2 && PutNumber<int16_t>(out, value);
}

bool Put(std::string& out, TypeId oid, double value) {
  if (oid != kFloat8) return false;
  AppendBig(out, int32_t{8});
  AppendBig(out, std::bit_cast<int64_t>(value));
  return true;
}

bool Put(std::string& out, TypeId oid, bool value) {
  if (oid != kBool) return false;
  AppendBig(out, int32_t{1});
  out.push_back(value ? 1 : 0);
  return true;
}

bool Put(std::string& out, TypeId oid, absl::Time value) {
  if (oid != kTimestamptz) return false;
  // The extremes are the infinities.
  int64_t micros;
  if (value == absl::InfiniteFuture()) {
    micros = std::numeric_limits<int64_t>::max();
  } else if (value == absl::InfinitePast()) {
    micros = std::numeric_limits<int64_t>::min();
  } else {
    micros = absl::ToUnixMicros(value);
    // What the type cannot hold is refused by the server, as text.
    if (micros < std::numeric_limits<int64_t>::min() + kEpochMicros + 1) return false;
    micros -= kEpochMicros;
  }
  AppendBig(out, int32_t{8});
  AppendBig(out, micros);
  return true;
}

bool Put(std::string& out, TypeId oid, const clm::Uuid& value) {
  if (oid != kUuid) return false;
  AppendBig(out, int32_t{16});
  out.append(value.ToBytes());
  return true;
}

template <class T>
bool Put(std::string& out, TypeId oid, const std::optional<T>& value) {
  if (value) return Put(out, oid, *value);
  AppendBig(out, int32_t{-1});
  return true;
}

template <class T>
constexpr bool kOptional = false;
template <class T>
constexpr bool kOptional<std::optional<T>> = true;

// What stands before the elements: dimensions, whether there are nulls, the elements' type.
void AppendHeader(std::string& out, TypeId oid, size_t size, bool nulls) {
  AppendBig(out, int32_t{size > 0 ? 1 : 0});
  AppendBig(out, int32_t{nulls ? 1 : 0});
  AppendBig(out, static_cast<uint32_t>(oid));
  if (size == 0) return;
  AppendBig(out, static_cast<int32_t>(size));
  AppendBig(out, int32_t{1});  // The first index.
}

template <class T>
std::optional<std::string> Encode(const std::vector<T>& elements, TypeId oid) {
  std::string out;
  out.reserve(20 + elements.size() * 24);
  AppendHeader(out, oid, elements.size(), kOptional<T>);
  for (const auto& element : elements) {
    if (!Put(out, oid, element)) return std::nullopt;
  }
  return out;
}

std::optional<std::string> Encode(const Args::BytesArray& array, TypeId oid) {
  if (oid != kBytea) return std::nullopt;
  std::string out;
  size_t bytes = 20;
  for (const std::string& value : array.values) bytes += 4 + value.size();
  out.reserve(bytes);
  AppendHeader(out, oid, array.values.size(), false);
  for (const std::string& value : array.values) {
    AppendBig(out, static_cast<int32_t>(value.size()));
    out.append(value);
  }
  return out;
}

}  // namespace

std::vector<std::string> ParameterTypes(absl::string_view sql) {
  std::vector<std::string> types;
  for (size_t at = sql.find('$'); at != absl::string_view::npos; at = sql.find('$', at + 1)) {
    size_t end = at + 1;
    size_t number = 0;
    while (end < sql.size() && isdigit(static_cast<unsigned char>(sql[end]))) {
      number = number * 10 + (sql[end++] - '0');
    }
    if (number == 0 || sql.substr(end, 2) != "::") continue;
    const size_t begin = end + 2;
    end = begin;
    while (end < sql.size() && (isalnum(static_cast<unsigned char>(sql[end])) || sql[end] == '_')) {
      ++end;
    }
    if (sql.substr(end, 2) == "[]") end += 2;
    if (types.size() < number) types.resize(number);
    types[number - 1] = std::string(sql.substr(begin, end - begin));
  }
  return types;
}

std::optional<std::string> BinaryArray(const Args::Array& array, absl::string_view type) {
  const auto oid = ElementOf(type);
  if (!oid) return std::nullopt;
  return std::visit([&](const auto& elements) { return Encode(elements, *oid); }, array);
}

}  // namespace clm::pg
