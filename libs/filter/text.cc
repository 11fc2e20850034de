#include "libs/filter/text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace clm::filter {
namespace {

constexpr int64_t kMaxSeconds = int64_t{36'525} * 86'400;

struct Unit {
  char letter;
  int64_t seconds;
};
constexpr Unit kUnits[] = {{'d', 86'400}, {'h', 3'600}, {'m', 60}, {'s', 1}};

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

void AppendUtf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// Four hexadecimal digits of a character that is neither NUL nor half a surrogate pair.
std::optional<uint32_t> ParseCodePoint(absl::string_view digits) {
  if (digits.size() < 4) return std::nullopt;
  uint32_t code = 0;
  for (const char c : digits.substr(0, 4)) {
    if (!absl::ascii_isxdigit(c)) return std::nullopt;
    code = code * 16 + (absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10);
  }
  if (code == 0 || (code >= 0xD800 && code <= 0xDFFF)) return std::nullopt;
  return code;
}

// Edits to turn one into the other: insert, delete, replace, swap neighbours.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) current[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(current);
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({replaced, last[j] + 1, current[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before_last[j - 2] + 1);
      }
    }
  }
  return current[b.size()];
}

}  // namespace

size_t FindBadByte(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead == 0      ? 0
                          : lead < 0x80  ? 1
                          : lead < 0xC2  ? 0
                          : lead < 0xE0  ? 2
                          : lead < 0xF0  ? 3
                          : lead <= 0xF4 ? 4
                                         : 0;
    if (length == 0 || i + length > text.size()) return i;
    for (size_t k = 1; k < length; ++k) {
      if (!IsContinuation(text[i + k])) return i;
    }
    if (length > 2) {
      const auto second = static_cast<unsigned char>(text[i + 1]);
      // Overlong forms, surrogates, and what lies beyond U+10FFFF.
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
          (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
        return i;
      }
    }
    i += length;
  }
  return absl::string_view::npos;
}

size_t CharacterAt(absl::string_view text, size_t offset) {
  const absl::string_view before = text.substr(0, offset);
  return 1 + std::count_if(before.begin(), before.end(), [](char c) { return !IsContinuation(c); });
}

Unescaped Unescape(absl::string_view raw) {
  Unescaped result{.pieces = {""}};
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '*') {
      result.pieces.emplace_back();
      continue;
    }
    if (raw[i] != '\\') {
      result.pieces.back() += raw[i];
      continue;
    }
    const size_t escape = i++;
    switch (i < raw.size() ? raw[i] : '\0') {
      case '"':
      case '\'':
      case '\\':
      case '*':
        result.pieces.back() += raw[i];
        continue;
      case 'n':
        result.pieces.back() += '\n';
        continue;
      case 'r':
        result.pieces.back() += '\r';
        continue;
      case 't':
        result.pieces.back() += '\t';
        continue;
      case 'u':
        if (const auto code = ParseCodePoint(raw.substr(i + 1))) {
          AppendUtf8(result.pieces.back(), *code);
          i += 4;
          continue;
        }
    }
    result.fault = escape;
    return result;
  }
  return result;
}

std::string Quote(const std::vector<std::string>& pieces) {
  std::string text = "\"";
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0) text += '*';
    for (const char c : pieces[i]) {
      switch (c) {
        case '"':
        case '\\':
        case '*':
          text += '\\';
          text += c;
          break;
        case '\n':
          text += "\\n";
          break;
        case '\r':
          text += "\\r";
          break;
        case '\t':
          text += "\\t";
          break;
        default:
          text += c;
      }
    }
  }
  return text + '"';
}

std::optional<absl::Duration> ParseDuration(absl::string_view text) {
  if (text.size() < 2 || text.size() > 12) return std::nullopt;
  const absl::string_view digits = text.substr(0, text.size() - 1);
  int64_t count;
  if (!std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &count)) {
    return std::nullopt;
  }
  for (const Unit& unit : kUnits) {
    if (unit.letter != text.back()) continue;
    if (count > kMaxSeconds / unit.seconds) return std::nullopt;
    return absl::Seconds(count * unit.seconds);
  }
  return std::nullopt;
}

std::string DurationText(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  for (const Unit& unit : kUnits) {
    if (seconds % unit.seconds == 0) {
      return absl::StrCat(seconds / unit.seconds, absl::string_view(&unit.letter, 1));
    }
  }
  return "0d";
}

std::optional<std::string> Nearest(absl::string_view word,
                                   const std::vector<std::string>& candidates) {
  if (word.size() > 64) return std::nullopt;
  const size_t near_enough = std::max<size_t>(1, word.size() / 3);
  std::optional<std::string> best;
  size_t best_distance = near_enough + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > 2 * word.size() + 1) continue;
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace clm::filter
