// UUIDs as 16 bytes: time-ordered ones made here (RFC 9562 version 7), name-based ones derived from
// others (version 5), and any version accepted from callers.
#ifndef CLM_LIBS_BASE_UUID_H_
#define CLM_LIBS_BASE_UUID_H_

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace clm {

class Uuid {
 public:
  // The nil UUID.
  constexpr Uuid() = default;
  explicit constexpr Uuid(const std::array<uint8_t, 16>& bytes) : bytes_(bytes) {}

  // A version 7 UUID of `now`: millisecond time, then a counter that keeps the UUIDs of one process
  // increasing within a millisecond, then 62 random bits. Thread-safe.
  static Uuid V7(absl::Time now);
  // The version 5 UUID of `name` within `space`: the same inputs always give the same result.
  static Uuid V5(const Uuid& space, absl::string_view name);
  // The canonical 36-character text, either case; nullopt for anything else.
  static std::optional<Uuid> Parse(absl::string_view text);
  // 16 raw bytes; nullopt for another length.
  static std::optional<Uuid> FromBytes(absl::string_view bytes);

  std::string ToString() const;  // 36 characters, lower case.
  std::string ToBytes() const;   // 16 bytes.
  bool IsNil() const { return *this == Uuid(); }

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  friend bool operator==(const Uuid&, const Uuid&) = default;
  template <class H>
  friend H AbslHashValue(H h, const Uuid& uuid) {
    return H::combine(std::move(h), uuid.bytes_);
  }

 private:
  std::array<uint8_t, 16> bytes_{};
};

}  // namespace clm

#endif  // CLM_LIBS_BASE_UUID_H_
