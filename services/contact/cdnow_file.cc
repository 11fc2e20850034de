#include "services/contact/cdnow_file.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/base/error.h"
#include "services/contact/timeline.h"

namespace clm::contact {
namespace {

constexpr size_t kMaxLineBytes = 256;
constexpr size_t kMaxIdBytes = 20;
constexpr int kDollarDigits = 2;

absl::Status Bad(absl::string_view field, absl::string_view what) {
  return error::InvalidField(field, what);
}

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

// "19970101"
std::optional<absl::CivilDay> ReadDay(absl::string_view text) {
  int y, m, d;
  if (text.size() != 8 || !IsNumber(text) || !absl::SimpleAtoi(text.substr(0, 4), &y) ||
      !absl::SimpleAtoi(text.substr(4, 2), &m) || !absl::SimpleAtoi(text.substr(6, 2), &d)) {
    return std::nullopt;
  }
  const absl::CivilDay day(y, m, d);
  if (day.year() != y || day.month() != m || day.day() != d || y < 1900) return std::nullopt;
  return day;
}

}  // namespace

void CdnowReader::Feed(absl::string_view bytes, CdnowSink sink) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const absl::string_view part = bytes.substr(0, end);
    const size_t room = kMaxLineBytes - pending_.size();
    pending_.append(part.data(), std::min(part.size(), room));
    cut_ = cut_ || part.size() > room;
    if (end == absl::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    TakeLine(std::exchange(pending_, std::string()), sink);
  }
}

void CdnowReader::Finish(CdnowSink sink) {
  if (!pending_.empty()) TakeLine(std::exchange(pending_, std::string()), sink);
}

void CdnowReader::TakeLine(absl::string_view line, CdnowSink sink) {
  ++line_number_;
  CdnowPurchase purchase;
  purchase.line = line_number_;
  if (std::exchange(cut_, false)) {
    purchase.status = Bad("", absl::StrCat("longer than ", kMaxLineBytes, " bytes"));
    sink(purchase);
    return;
  }
  line = absl::StripAsciiWhitespace(line);
  // Some copies end with the end-of-file mark of old systems.
  if (line.empty() || line == "\x1A") return;
  if (line_number_ == 1 && absl::StartsWith(line, "customer_id")) {
    form_ = Form::kMaster;
    return;
  }
  purchase.status = Read(line, purchase);
  if (purchase.status.ok()) purchase.ordinal = ++purchases_[purchase.customer];
  sink(purchase);
}

absl::Status CdnowReader::Read(absl::string_view line, CdnowPurchase& purchase) {
  std::vector<absl::string_view> fields =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (form_ == Form::kUnknown) {
    if (fields.size() != 4 && fields.size() != 5) {
      return Bad("", "has neither the four nor the five fields of a purchase");
    }
    form_ = fields.size() == 5 ? Form::kSample : Form::kMaster;
  }
  const size_t expected = form_ == Form::kSample ? 5 : 4;
  if (fields.size() != expected) {
    return Bad("", absl::StrCat("has ", fields.size(), " fields instead of ", expected));
  }
  error::FieldErrors errors;
  for (size_t i = 0; i + 3 < expected; ++i) {
    if (!IsNumber(fields[i]) || fields[i].size() > kMaxIdBytes) {
      errors.Add(i == 0 ? "customer_id" : "sample_id", "must be a number");
    }
  }
  fields.erase(fields.begin() + 1, fields.end() - 3);
  const auto day = ReadDay(fields[1]);
  if (!day) errors.Add("date", "must be a day, 19970131");
  int64_t pieces = 0;
  if (!IsNumber(fields[2]) || !absl::SimpleAtoi(fields[2], &pieces) || pieces > kMaxQuantity) {
    errors.Add("number_of_cds", "must be a whole number");
  }
  const auto cents = ParseAmountMinor(fields[3], kDollarDigits);
  if (!cents) errors.Add("dollar_value", "must be an amount like 12.50");
  if (!errors.empty()) return errors.ToStatus();
  purchase.customer = std::string(fields[0]);
  purchase.day = *day;
  purchase.pieces = pieces;
  purchase.amount_cents = *cents;
  return absl::OkStatus();
}

}  // namespace clm::contact
