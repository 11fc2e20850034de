// The types that cross in binary, and the numbers in which they are written.
#ifndef CLM_LIBS_PG_TYPES_H_
#define CLM_LIBS_PG_TYPES_H_

#include <cstdint>
#include <string>
#include <type_traits>

namespace clm::pg {

// Object identifiers of the built-in types (pg_type.dat); they never change.
enum TypeId : uint32_t {
  kBool = 16,
  kBytea = 17,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kText = 25,
  kFloat8 = 701,
  kVarchar = 1043,
  kTextArray = 1009,
  kDate = 1082,
  kTimestamptz = 1184,
  kUuid = 2950,
  kJsonb = 3802,
};

// Times are microseconds since 2000; this is the beginning of 2000 since 1970.
inline constexpr int64_t kEpochMicros = 946'684'800'000'000;

template <class Number>
void AppendBig(std::string& out, Number value) {
  const auto bits = static_cast<std::make_unsigned_t<Number>>(value);
  for (int shift = 8 * (sizeof(Number) - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(bits >> shift));
  }
}

// From the first bytes of `data`.
template <class Number>
Number ReadBig(const char* data) {
  std::make_unsigned_t<Number> bits = 0;
  for (size_t i = 0; i < sizeof(Number); ++i) {
    bits = static_cast<decltype(bits)>(bits << 8 | static_cast<unsigned char>(data[i]));
  }
  return static_cast<Number>(bits);
}

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_TYPES_H_
