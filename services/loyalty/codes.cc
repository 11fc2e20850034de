#include "services/loyalty/codes.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::loyalty {
namespace {

constexpr absl::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t kGroup = 4;

// The character that stands for `c` in folded codes; 0 when none does.
char Folded(char c) {
  const char upper = absl::ascii_toupper(static_cast<unsigned char>(c));
  switch (upper) {
    case 'I':
    case 'L':
      return '1';
    case 'O':
      return '0';
    case 'U':
      return 'V';
    default:
      return upper != 0 && kAlphabet.find(upper) != absl::string_view::npos ? upper : 0;
  }
}

// x * a in GF(2^5), where a^5 = a^2 + 1.
uint32_t TimesGenerator(uint32_t x) {
  x <<= 1;
  return (x & 32) != 0 ? x ^ 0b100101 : x;
}

// The sum of a^i * c_i, i counting from the last character, which is 0.
uint32_t Sum(absl::string_view folded) {
  uint32_t sum = 0;
  for (const char c : folded) {
    sum = TimesGenerator(sum) ^ static_cast<uint32_t>(kAlphabet.find(c));
  }
  return sum;
}

absl::Status Malformed(absl::string_view field, absl::string_view what) {
  return error::Make(absl::StatusCode::kInvalidArgument, "CODE_MALFORMED",
                     absl::StrCat(field, ": ", what));
}

}  // namespace

absl::Status ValidateCodeFormat(const CodeFormat& format) {
  error::FieldErrors errors;
  if (format.prefix.size() > kMaxCodePrefix ||
      !std::all_of(format.prefix.begin(), format.prefix.end(),
                   [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); })) {
    errors.Add("prefix", absl::StrCat("must be at most ", kMaxCodePrefix, " letters and digits"));
  }
  if (format.random_characters < kMinCodeRandom || format.random_characters > kMaxCodeRandom) {
    errors.Add("random_characters",
               absl::StrCat("must be ", kMinCodeRandom, " to ", kMaxCodeRandom));
  }
  return errors.ToStatus();
}

absl::StatusOr<std::string> MakeCode(const CodeFormat& format, absl::Span<const uint8_t> random) {
  CLM_RETURN_IF_ERROR(ValidateCodeFormat(format));
  const auto length = static_cast<size_t>(format.random_characters);
  if (random.size() < length) {
    return error::InvalidField("random", absl::StrCat("must have ", length, " bytes"));
  }
  std::string folded;
  for (const char c : format.prefix) folded += Folded(c);
  // 32 divides 256, so every character is as likely as another.
  std::string body;
  for (size_t i = 0; i < length; ++i) body += kAlphabet[random[i] % 32];
  body += kAlphabet[TimesGenerator(Sum(absl::StrCat(folded, body)))];

  std::string shown = absl::AsciiStrToUpper(format.prefix);
  for (size_t i = 0; i < body.size(); i += kGroup) {
    absl::StrAppend(&shown, shown.empty() ? "" : "-", body.substr(i, kGroup));
  }
  return shown;
}

absl::StatusOr<std::string> FoldCode(absl::string_view field, absl::string_view typed) {
  // Beyond any code with its dashes; what follows is linear in it.
  if (typed.size() > size_t{4} * kMaxCodeLength) return Malformed(field, "is longer than any code");
  // Dashes and spaces as word processors and messengers make them.
  const std::string plain =
      absl::StrReplaceAll(typed, {{"-", ""},
                                  {" ", ""},
                                  {"\t", ""},
                                  {"\xc2\xa0", ""},        // No-break space.
                                  {"\xe2\x80\x90", ""},    // Hyphen.
                                  {"\xe2\x80\x91", ""},    // No-break hyphen.
                                  {"\xe2\x80\x93", ""},    // En dash.
                                  {"\xe2\x80\x94", ""},    // Em dash.
                                  {"\xe2\x80\xaf", ""}});  // Narrow no-break space.
  if (plain.empty()) return Malformed(field, "is missing");
  if (plain.size() > kMaxCodeLength) return Malformed(field, "is longer than any code");
  std::string folded;
  for (const char c : plain) {
    folded += Folded(c);
    if (folded.back() == 0) return Malformed(field, "has a character that no code has");
  }
  return folded;
}

absl::Status UnknownCode(absl::string_view field, absl::string_view folded) {
  if (!HasRightCheck(folded)) return Malformed(field, "was mistyped: please compare it");
  return error::Make(absl::StatusCode::kNotFound, "CODE_UNKNOWN",
                     absl::StrCat(field, ": is not known"));
}

bool HasRightCheck(absl::string_view folded) { return folded.size() > 1 && Sum(folded) == 0; }

}  // namespace clm::loyalty
