#include "services/loyalty/points_time.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::loyalty {
namespace {

using Unit = DurationSpec::Unit;
using Rounding = DurationSpec::Rounding;

constexpr int64_t kMaxDays = int64_t{kMaxYears} * 36525 / 100;

struct UnitFacts {
  Unit unit;
  char letter;
  int64_t most;
};
constexpr std::array<UnitFacts, 7> kUnits = {{
    {Unit::kSecond, 's', kMaxDays * 24 * 60 * 60},
    {Unit::kMinute, 'm', kMaxDays * 24 * 60},
    {Unit::kHour, 'h', kMaxDays * 24},
    {Unit::kDay, 'D', kMaxDays},
    {Unit::kWeek, 'W', kMaxDays / 7},
    {Unit::kMonth, 'M', int64_t{kMaxYears} * 12},
    {Unit::kYear, 'Y', kMaxYears},
}};

bool IsCalendar(Unit unit) { return unit >= Unit::kDay; }

absl::Time InstantOf(absl::CivilSecond local, const absl::TimeZone& zone) {
  const absl::TimeZone::TimeInfo info = zone.At(local);
  return info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
}

// The latest local time that the clocks have shown by `instant`: what they show, except while an
// hour is repeated. Its last second, not the end, so that it is still the same day where midnight
// is what the clocks are put back from.
absl::CivilSecond LocalTime(absl::Time instant, const absl::TimeZone& zone) {
  const absl::CivilSecond local = zone.At(instant).cs;
  const absl::TimeZone::TimeInfo info = zone.At(local);
  if (info.kind != absl::TimeZone::TimeInfo::REPEATED || instant < info.trans) return local;
  return zone.At(info.trans - absl::Seconds(1)).cs;
}

// The day that is `spec` after `day`; `clipped` when the month lacks it and its last day stands in.
struct Reached {
  absl::CivilDay day;
  bool clipped = false;
};
Reached Reach(const DurationSpec& spec, absl::CivilDay day) {
  switch (spec.unit) {
    case Unit::kDay:
      return {day + spec.count};
    case Unit::kWeek:
      return {day + spec.count * 7};
    default: {
      const absl::CivilDay reached =
          AddMonths(day, spec.unit == Unit::kYear ? spec.count * 12 : spec.count);
      return {reached, reached.day() != day.day()};
    }
  }
}

// The first day after the day, week, month or year of `day`.
absl::CivilDay DayAfterUnit(Unit unit, absl::CivilDay day) {
  switch (unit) {
    case Unit::kWeek:
      return absl::NextWeekday(day, absl::Weekday::monday);
    case Unit::kMonth:
      return absl::CivilDay(absl::CivilMonth(day) + 1);
    case Unit::kYear:
      return absl::CivilDay(absl::CivilYear(day) + 1);
    default:
      return day + 1;
  }
}

absl::Duration Elapsed(const DurationSpec& spec) {
  switch (spec.unit) {
    case Unit::kSecond:
      return absl::Seconds(spec.count);
    case Unit::kMinute:
      return absl::Minutes(spec.count);
    default:
      return absl::Hours(spec.count);
  }
}

// `to_end_of_day` is what the last day without a suffix means.
absl::Time Apply(const DurationSpec& spec, absl::Time instant, const absl::TimeZone& zone,
                 bool to_end_of_day) {
  if (!IsCalendar(spec.unit)) return instant + Elapsed(spec);
  const absl::CivilSecond local = LocalTime(instant, zone);
  const Reached reached = Reach(spec, absl::CivilDay(local));
  if (spec.rounding == Rounding::kDown) return StartOfDay(reached.day, zone);
  if (spec.rounding == Rounding::kUp) {
    return StartOfDay(DayAfterUnit(spec.unit, reached.day), zone);
  }
  if (to_end_of_day || reached.clipped) return StartOfDay(reached.day + 1, zone);
  return InstantOf(
      absl::CivilSecond(reached.day) + (local - absl::CivilSecond(absl::CivilDay(local))), zone);
}

// The first end of such a period at or after `instant`.
absl::Time EndOfPeriod(RoundUp period, absl::Time instant, const absl::TimeZone& zone) {
  int months = 0;
  switch (period) {
    case RoundUp::kNone:
      return instant;
    case RoundUp::kMonth:
      months = 1;
      break;
    case RoundUp::kQuarter:
      months = 3;
      break;
    case RoundUp::kHalfYear:
      months = 6;
      break;
    case RoundUp::kYear:
      months = 12;
      break;
  }
  const absl::CivilMonth last(LocalTime(instant - absl::Nanoseconds(1), zone));
  const int into = (last.month() - 1) % months;
  return StartOfDay(absl::CivilDay(last + (months - into)), zone);
}

}  // namespace

absl::StatusOr<DurationSpec> ParseDurationSpec(absl::string_view field, absl::string_view text) {
  const auto refuse = [&](absl::string_view what) { return error::InvalidField(field, what); };
  constexpr char kForm[] = "must be a number from 1 on and one of s m h D W M Y, as 30s or 12M_U";
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(text[digits])) ++digits;
  if (digits == 0 || digits == text.size() || text[0] == '0') return refuse(kForm);
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                 [&](const UnitFacts& u) { return u.letter == text[digits]; });
  if (unit == kUnits.end()) return refuse(kForm);

  DurationSpec spec{.unit = unit->unit};
  // More digits than fit are too many years of any unit.
  if (!absl::SimpleAtoi(text.substr(0, digits), &spec.count) || spec.count > unit->most) {
    return refuse(absl::StrCat("is longer than ", kMaxYears, " years"));
  }
  const absl::string_view suffix = text.substr(digits + 1);
  if (suffix == "_D") {
    if (spec.unit != Unit::kDay) return refuse("_D follows days (D) only");
    spec.rounding = Rounding::kDown;
  } else if (suffix == "_U") {
    if (!IsCalendar(spec.unit)) return refuse("_U follows D, W, M and Y only");
    spec.rounding = Rounding::kUp;
  } else if (!suffix.empty()) {
    return refuse(kForm);
  }
  return spec;
}

std::string ToString(const DurationSpec& spec) {
  constexpr absl::string_view kSuffixes[] = {"", "_D", "_U"};
  const char letter = kUnits[static_cast<size_t>(spec.unit)].letter;
  return absl::StrCat(spec.count, absl::string_view(&letter, 1),
                      kSuffixes[static_cast<size_t>(spec.rounding)]);
}

absl::StatusOr<PendingRule> ParsePendingRule(absl::string_view field, absl::string_view text) {
  if (text == "immediate") return PendingRule{.kind = PendingRule::Kind::kImmediate};
  if (text == "on_action") return PendingRule{.kind = PendingRule::Kind::kOnAction};
  CLM_ASSIGN_OR_RETURN(const DurationSpec after, ParseDurationSpec(field, text));
  return PendingRule{.kind = PendingRule::Kind::kAfter, .after = after};
}

std::string ToString(const PendingRule& rule) {
  switch (rule.kind) {
    case PendingRule::Kind::kImmediate:
      return "immediate";
    case PendingRule::Kind::kOnAction:
      return "on_action";
    case PendingRule::Kind::kAfter:
      break;
  }
  return ToString(rule.after);
}

std::optional<absl::Time> ActiveFrom(const PendingRule& rule, absl::Time earned,
                                     const absl::TimeZone& zone) {
  switch (rule.kind) {
    case PendingRule::Kind::kImmediate:
      return earned;
    case PendingRule::Kind::kOnAction:
      return std::nullopt;
    case PendingRule::Kind::kAfter:
      break;
  }
  return Apply(rule.after, earned, zone, /*to_end_of_day=*/false);
}

absl::StatusOr<ExpiryRule> ParseExpiryRule(absl::string_view field, absl::string_view text,
                                           RoundUp round_up) {
  if (text == "never") {
    if (round_up == RoundUp::kNone) return ExpiryRule{};
    return error::InvalidField(field, "what never expires cannot be rounded up");
  }
  CLM_ASSIGN_OR_RETURN(const DurationSpec after, ParseDurationSpec(field, text));
  return ExpiryRule{.after = after, .round_up = round_up};
}

std::string ToString(const ExpiryRule& rule) {
  return rule.after ? ToString(*rule.after) : "never";
}

absl::Time ExpireTime(const ExpiryRule& rule, absl::Time from, const absl::TimeZone& zone) {
  if (!rule.after) return absl::InfiniteFuture();
  return EndOfPeriod(rule.round_up, Apply(*rule.after, from, zone, /*to_end_of_day=*/true), zone);
}

absl::Time StartOfDay(absl::CivilDay day, const absl::TimeZone& zone) {
  return InstantOf(absl::CivilSecond(day), zone);
}

absl::CivilDay DayOf(absl::Time instant, const absl::TimeZone& zone) {
  return absl::CivilDay(LocalTime(instant, zone));
}

absl::CivilDay AddMonths(absl::CivilDay day, int64_t months) {
  const absl::CivilMonth month = absl::CivilMonth(day) + months;
  const absl::CivilDay last = absl::CivilDay(month + 1) - 1;
  return std::min(absl::CivilDay(month) + (day.day() - 1), last);
}

}  // namespace clm::loyalty
