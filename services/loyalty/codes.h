// Codes of coupons and referrals: easy to type, hard to guess, and wrong when mistyped.
//
// A code is a prefix, characters made of random bytes, and a check character, all of Crockford's
// base 32 (digits and capitals without I, L, O and U). It is shown in groups,
// "SUMMER-7KQ2-M9XB-C4", and kept folded, "SVMMER7KQ2M9XBC4". Folding forgives what people do to
// codes: small letters, dashes, spaces, I and L for 1, O for 0, U for V.
//
// The check character covers the prefix too. It finds every single wrong character and every swap
// of neighbours: it makes sum(a^i * c_i) zero in the field of 32 elements, a being a generator.
// (Luhn mod 32 would miss the swap of 0 and Z.)
//
// Pure and thread-safe.
#ifndef CLM_SERVICES_LOYALTY_CODES_H_
#define CLM_SERVICES_LOYALTY_CODES_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace clm::loyalty {

inline constexpr int kMaxCodePrefix = 20;
// 30 bits, which stands up to guessing only with a limit on attempts, and 160 bits.
inline constexpr int kMinCodeRandom = 6;
inline constexpr int kMaxCodeRandom = 32;
// Of a folded code, made or chosen.
inline constexpr int kMaxCodeLength = 64;

struct CodeFormat {
  std::string prefix;          // Letters and digits, or none.
  int random_characters = 10;  // Of five bits each.

  friend bool operator==(const CodeFormat&, const CodeFormat&) = default;
};

// INVALID_ARGUMENT with every bad field; paths are relative to the format.
absl::Status ValidateCodeFormat(const CodeFormat& format);

// A code as it is shown. `random` comes from a cryptographic source, a byte for every random
// character; INVALID_ARGUMENT when it is shorter, or the format is not valid.
absl::StatusOr<std::string> MakeCode(const CodeFormat& format, absl::Span<const uint8_t> random);

// The folded form of what was typed: the key of a code. Codes that somebody chose have one too, but
// no check character. INVALID_ARGUMENT, reason CODE_MALFORMED, when nothing is left, too much, or
// something that no code has.
absl::StatusOr<std::string> FoldCode(absl::string_view field, absl::string_view typed);

// For a folded code that is not known: CODE_MALFORMED (INVALID_ARGUMENT) when its check character
// is wrong, so that it was mistyped, else CODE_UNKNOWN (NOT_FOUND). Never repeats the code.
absl::Status UnknownCode(absl::string_view field, absl::string_view folded);

// Whether the last character is the check character of those before it.
bool HasRightCheck(absl::string_view folded);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_CODES_H_
