#include <charconv>
#include <cmath>

#include "absl/time/civil_time.h"
#include "libs/base/time_text.h"
#include "libs/pg/binary.h"
#include "libs/pg/pg.h"

namespace clm::pg {
namespace {

constexpr char kHex[] = "0123456789abcdef";

template <class Number>
void AppendNumber(std::string& out, Number value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value);
  out.append(text, end.ptr);
}

void AppendDouble(std::string& out, double value) {
  if (std::isnan(value)) {
    out.append("NaN");
  } else if (std::isinf(value)) {
    out.append(value > 0 ? "Infinity" : "-Infinity");
  } else {
    AppendNumber(out, value);
  }
}

char* PutDigits(char* to, int64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    to[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return to + digits;
}

// The same text as FormatTime, which is too slow for arrays of thousands; and the infinities.
void AppendTime(std::string& out, absl::Time time) {
  if (time == absl::InfiniteFuture()) {
    out.append("infinity");
    return;
  }
  if (time == absl::InfinitePast()) {
    out.append("-infinity");
    return;
  }
  const auto at = absl::UTCTimeZone().At(time);
  if (at.cs.year() < 1 || at.cs.year() > 9999) {
    out.append(clm::FormatTime(time));
    return;
  }
  char text[32];
  char* to = PutDigits(text, at.cs.year(), 4);
  *to++ = '-';
  to = PutDigits(to, at.cs.month(), 2);
  *to++ = '-';
  to = PutDigits(to, at.cs.day(), 2);
  *to++ = 'T';
  to = PutDigits(to, at.cs.hour(), 2);
  *to++ = ':';
  to = PutDigits(to, at.cs.minute(), 2);
  *to++ = ':';
  to = PutDigits(to, at.cs.second(), 2);
  *to++ = '.';
  to = PutDigits(to, absl::ToInt64Microseconds(at.subsecond), 6);
  *to++ = 'Z';
  out.append(text, to);
}

void AppendUuid(std::string& out, const Uuid& value) { out.append(value.ToString()); }

void AppendHex(std::string& out, absl::string_view bytes) {
  const size_t start = out.size();
  out.resize(start + 2 * bytes.size());
  char* to = out.data() + start;
  for (const unsigned char c : bytes) {
    *to++ = kHex[c >> 4];
    *to++ = kHex[c & 15];
  }
}

void AppendQuoted(std::string& out, absl::string_view value) {
  out.push_back('"');
  for (const char c : value) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

// An array literal. `append(out, element)` writes one element that needs no more quoting.
template <class Elements, class Append>
std::string ArrayLiteral(const Elements& elements, size_t element_size, Append append) {
  std::string out;
  out.reserve(2 + elements.size() * (element_size + 1));
  out.push_back('{');
  for (const auto& element : elements) {
    if (out.size() > 1) out.push_back(',');
    append(out, element);
  }
  out.push_back('}');
  return out;
}

// Makes an appender of optional elements from one of elements.
template <class Append>
auto OrNull(Append append) {
  return [append](std::string& out, const auto& element) {
    if (element) {
      append(out, *element);
    } else {
      out.append("NULL");
    }
  };
}

constexpr size_t kTextSize = 16;
constexpr size_t kIntSize = 8;
constexpr size_t kTimeSize = 27;
constexpr size_t kUuidSize = 36;

std::string Text(const std::vector<std::string>& a) {
  return ArrayLiteral(a, kTextSize, AppendQuoted);
}
std::string Text(const std::vector<std::optional<std::string>>& a) {
  return ArrayLiteral(a, kTextSize, OrNull(AppendQuoted));
}
std::string Text(const std::vector<int64_t>& a) {
  return ArrayLiteral(a, kIntSize, AppendNumber<int64_t>);
}
std::string Text(const std::vector<std::optional<int64_t>>& a) {
  return ArrayLiteral(a, kIntSize, OrNull(AppendNumber<int64_t>));
}
std::string Text(const std::vector<double>& a) { return ArrayLiteral(a, kIntSize, AppendDouble); }
std::string Text(const std::vector<std::optional<double>>& a) {
  return ArrayLiteral(a, kIntSize, OrNull(AppendDouble));
}
std::string Text(const std::vector<bool>& a) {
  return ArrayLiteral(a, 1, [](std::string& out, bool value) { out.push_back(value ? 't' : 'f'); });
}
std::string Text(const std::vector<absl::Time>& a) {
  return ArrayLiteral(a, kTimeSize, AppendTime);
}
std::string Text(const std::vector<std::optional<absl::Time>>& a) {
  return ArrayLiteral(a, kTimeSize, OrNull(AppendTime));
}
std::string Text(const std::vector<Uuid>& a) { return ArrayLiteral(a, kUuidSize, AppendUuid); }
std::string Text(const std::vector<std::optional<Uuid>>& a) {
  return ArrayLiteral(a, kUuidSize, OrNull(AppendUuid));
}
std::string Text(const Args::BytesArray& a) {
  return ArrayLiteral(a.values, kTextSize, [](std::string& out, const std::string& value) {
    out.append("\"\\\\x");
    AppendHex(out, value);
    out.push_back('"');
  });
}

}  // namespace

std::optional<std::string> ValueText(const Args::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* array = std::get_if<Args::Array>(&value)) {
    return std::visit([](const auto& elements) { return Text(elements); }, *array);
  }
  return std::nullopt;
}

std::vector<std::optional<std::string>> Args::values() const {
  std::vector<std::optional<std::string>> texts;
  texts.reserve(values_.size());
  for (const Value& value : values_) texts.push_back(ValueText(value));
  return texts;
}

Args& Args::Add(absl::string_view value) {
  values_.emplace_back(std::in_place_type<std::string>, value.data(), value.size());
  return *this;
}

Args& Args::Add(int64_t value) {
  AppendNumber(std::get<std::string>(values_.emplace_back(std::string())), value);
  return *this;
}

Args& Args::Add(bool value) {
  values_.emplace_back(std::in_place_type<std::string>, 1, value ? 't' : 'f');
  return *this;
}

Args& Args::Add(double value) {
  AppendDouble(std::get<std::string>(values_.emplace_back(std::string())), value);
  return *this;
}

Args& Args::Add(absl::Time value) {
  AppendTime(std::get<std::string>(values_.emplace_back(std::string())), value);
  return *this;
}

Args& Args::Add(absl::CivilDay value) {
  values_.emplace_back(FormatDay(value));
  return *this;
}

Args& Args::Add(const Uuid& value) {
  values_.emplace_back(value.ToString());
  return *this;
}

Args& Args::AddBytes(absl::string_view value) {
  std::string& out = std::get<std::string>(values_.emplace_back(std::string()));
  out.reserve(2 + 2 * value.size());
  out.append("\\x");
  AppendHex(out, value);
  return *this;
}

Args& Args::AddNull() {
  values_.emplace_back();
  return *this;
}

}  // namespace clm::pg
