#include "services/loyalty/tiers.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/points_time.h"

namespace clm::loyalty {
namespace {

constexpr int kNoTier = -1;

// A scheme in a zone. Ranks are indices into the tiers; kNoTier is below all of them.
class Ladder {
 public:
  Ladder(const TierScheme& scheme, const absl::TimeZone& zone) : scheme_(scheme), zone_(zone) {}

  absl::StatusOr<int> RankOf(const std::string& id) const {
    if (id.empty()) return kNoTier;
    for (size_t i = 0; i < scheme_.tiers.size(); ++i) {
      if (scheme_.tiers[i].id == id) return static_cast<int>(i);
    }
    return error::Precondition("TIER_UNKNOWN", absl::StrCat("the scheme has no tier ", id),
                               {{"tier", id}});
  }
  std::string IdOf(int rank) const { return rank == kNoTier ? "" : scheme_.tiers[rank].id; }
  int64_t ThresholdOf(int rank) const {
    return rank == kNoTier ? 0 : scheme_.tiers[rank].threshold;
  }

  // The highest rank that `value` reaches.
  int Supported(int64_t value) const {
    const auto above = std::find_if(scheme_.tiers.begin(), scheme_.tiers.end(),
                                    [&](const Tier& tier) { return tier.threshold > value; });
    return static_cast<int>(above - scheme_.tiers.begin()) - 1;
  }

  // The end of the first term after `after`; none when nothing can be lost by its end.
  std::optional<absl::Time> TermEnd(const TierState& state, int rank, absl::Time after) const {
    if (ThresholdOf(rank) == 0) return std::nullopt;
    const absl::CivilDay day = DayOf(after, zone_);
    const auto first_after = [&](int64_t first, auto end_of) {
      while (end_of(first) <= after) ++first;
      return end_of(first);
    };
    // A day that is reached belongs to the term, except an anniversary of joining.
    const auto months_after = [&](absl::Time start, int64_t rest) {
      const absl::CivilDay begun = DayOf(start, zone_);
      const int64_t past = absl::CivilMonth(day) - absl::CivilMonth(begun);
      return first_after(std::max<int64_t>(1, past / scheme_.term_months - 1), [&](int64_t k) {
        return StartOfDay(AddMonths(begun, k * scheme_.term_months) + rest, zone_);
      });
    };
    switch (scheme_.downgrade) {
      case DowngradePolicy::kNone:
      case DowngradePolicy::kRealTime:
        return std::nullopt;
      case DowngradePolicy::kAfterDays: {
        const absl::CivilDay begun = DayOf(state.since, zone_);
        return first_after(
            std::max<int64_t>(1, (day - begun) / scheme_.after_days),
            [&](int64_t k) { return StartOfDay(begun + k * scheme_.after_days + 1, zone_); });
      }
      case DowngradePolicy::kOneDown:
      case DowngradePolicy::kBalanceBased:
        break;
    }
    switch (scheme_.term) {
      case TierTerm::kFromTierStart:
        return months_after(state.since, 1);
      case TierTerm::kFromJoining:
        return months_after(state.joined, 0);
      case TierTerm::kYearlyCycle:
        break;
    }
    return first_after(day.year(), [&](int64_t year) {
      return StartOfDay(absl::CivilDay(year, scheme_.cycle_month, scheme_.cycle_day), zone_);
    });
  }

  // So many whole days after the last one before `instant`.
  absl::Time GraceEnd(absl::Time instant) const {
    return scheme_.grace_days == 0 ? instant : DayBoundary(instant, scheme_.grace_days);
  }
  absl::Time WarnAt(absl::Time drop) const { return DayBoundary(drop, -scheme_.warn_days); }

  // The start of the window that is open at `instant`.
  absl::Time WindowStart(const TierState& state, absl::Time instant) const {
    const absl::CivilDay day = DayOf(instant, zone_);
    switch (scheme_.period) {
      case QualificationPeriod::kLifetime:
        break;
      case QualificationPeriod::kRollingDays:
        return StartOfDay(day - scheme_.rolling_days, zone_);
      case QualificationPeriod::kCalendarYear:
        return StartOfDay(absl::CivilDay(day.year()), zone_);
      case QualificationPeriod::kMembershipYear:
        return StartOfDay(Anniversary(state, day), zone_);
      case QualificationPeriod::kSinceTierChange:
        return state.since + absl::Microseconds(1);
    }
    return absl::InfinitePast();
  }

  // The first instant after `now` at which the present window may lose an entry.
  std::optional<absl::Time> WindowMoves(const TierState& state, const BasisValues& values,
                                        absl::Time now) const {
    const absl::CivilDay day = DayOf(now, zone_);
    switch (scheme_.period) {
      case QualificationPeriod::kLifetime:
      case QualificationPeriod::kSinceTierChange:
        return std::nullopt;
      case QualificationPeriod::kRollingDays: {
        const absl::CivilDay leaves =
            values.oldest ? DayOf(*values.oldest, zone_) + scheme_.rolling_days : day;
        return StartOfDay(std::max(leaves, day) + 1, zone_);
      }
      case QualificationPeriod::kCalendarYear:
        return StartOfDay(absl::CivilDay(day.year() + 1), zone_);
      case QualificationPeriod::kMembershipYear:
        break;
    }
    const int64_t years = Anniversary(state, day).year() - DayOf(state.joined, zone_).year() + 1;
    return StartOfDay(AddMonths(DayOf(state.joined, zone_), years * 12), zone_);
  }

 private:
  absl::Time DayBoundary(absl::Time instant, int64_t days) const {
    return StartOfDay(DayOf(instant - absl::Microseconds(1), zone_) + 1 + days, zone_);
  }

  // The last anniversary of joining up to `day`, or the day of joining.
  absl::CivilDay Anniversary(const TierState& state, absl::CivilDay day) const {
    const absl::CivilDay joined = DayOf(state.joined, zone_);
    const int64_t years = day.year() - joined.year();
    const absl::CivilDay this_year = AddMonths(joined, years * 12);
    return std::max(joined, this_year <= day ? this_year : AddMonths(joined, (years - 1) * 12));
  }

  const TierScheme& scheme_;
  const absl::TimeZone& zone_;
};

struct Ranks {
  int earned = kNoTier;
  int manual = kNoTier;
  int member() const { return std::max(earned, manual); }
};

absl::StatusOr<Ranks> RanksOf(const Ladder& ladder, const TierState& state) {
  Ranks ranks;
  CLM_ASSIGN_OR_RETURN(ranks.earned, ladder.RankOf(state.tier));
  CLM_ASSIGN_OR_RETURN(ranks.manual, ladder.RankOf(state.manual_tier));
  return ranks;
}

absl::Status CheckValues(const BasisValues& values) {
  for (const int64_t value : {values.present, values.to_remain}) {
    if (value > kMaxTierValue || value < -kMaxTierValue) {
      return error::Make(absl::StatusCode::kOutOfRange, "TIER_VALUE_OUT_OF_RANGE",
                         "the basis of the tiers is beyond 2^53 - 1");
    }
  }
  return absl::OkStatus();
}

// When the member's tier is lost if nothing is earned any more.
std::optional<absl::Time> DropOf(const Ladder& ladder, const TierState& state, const Ranks& ranks) {
  std::optional<absl::Time> drop;
  if (state.expires) drop = ladder.GraceEnd(*state.expires);
  if (state.short_since) drop = ladder.GraceEnd(*state.short_since);
  if (ranks.manual > ranks.earned) return state.manual_until;
  if (ranks.manual < ranks.earned || ranks.manual == kNoTier) return drop;
  // Both hold the same tier: it takes the end of both.
  if (!drop || !state.manual_until) return std::nullopt;
  return std::max(*drop, *state.manual_until);
}

TierStanding Stand(const Ladder& ladder, const TierScheme& scheme, const TierState& state,
                   const Ranks& ranks, const BasisValues& values) {
  const int rank = ranks.member();
  const int64_t required = ladder.ThresholdOf(rank);
  TierStanding standing{.tier = ladder.IdOf(rank),
                        .value = values.to_remain,
                        .required_to_remain = required,
                        .missing_to_remain = std::max<int64_t>(0, required - values.to_remain),
                        .tier_expiration = DropOf(ladder, state, ranks)};
  if (rank + 1 < static_cast<int>(scheme.tiers.size())) {
    standing.next_tier = ladder.IdOf(rank + 1);
    standing.missing_to_next = std::max<int64_t>(0, ladder.ThresholdOf(rank + 1) - values.present);
  }
  return standing;
}

bool IsWarned(const Ladder& ladder, const TierScheme& scheme, const TierStanding& standing,
              absl::Time now) {
  return scheme.warn_days > 0 && standing.tier_expiration &&
         ladder.WarnAt(*standing.tier_expiration) <= now;
}

// When to look at `state` again, after all that was due at `now`.
std::optional<absl::Time> NextDue(const Ladder& ladder, const TierScheme& scheme,
                                  const TierState& state, const Ranks& ranks,
                                  const BasisValues& values, const TierStanding& standing,
                                  absl::Time now) {
  std::optional<absl::Time> due;
  const auto consider = [&](absl::Time at) {
    if (at > now && (!due || at < *due)) due = at;
  };
  const auto consider_drop = [&](absl::Time at) {
    consider(at);
    if (scheme.warn_days > 0) consider(ladder.WarnAt(at));
  };
  if (state.manual_until) consider_drop(*state.manual_until);
  if (state.expires) {
    consider(*state.expires);
    consider_drop(ladder.GraceEnd(*state.expires));
  }
  if (state.short_since) consider_drop(ladder.GraceEnd(*state.short_since));
  // Time alone may lower the basis, which costs the tier or is what to warn of.
  const bool may_drop = scheme.downgrade == DowngradePolicy::kRealTime && !state.short_since &&
                        ladder.ThresholdOf(ranks.earned) > 0;
  if (may_drop || (standing.missing_to_remain == 0 && IsWarned(ladder, scheme, standing, now))) {
    const auto moves = ladder.WindowMoves(state, values, now);
    if (moves) consider(*moves);
  }
  return due;
}

}  // namespace

absl::Status ValidateTierScheme(const TierScheme& scheme) {
  error::FieldErrors errors;
  if (scheme.tiers.empty() || scheme.tiers.size() > kMaxTiers) {
    errors.Add("tiers", absl::StrCat("must be 1 to ", kMaxTiers));
  }
  std::set<std::string> ids;
  int64_t above = -1;
  for (size_t i = 0; i < scheme.tiers.size(); ++i) {
    const Tier& tier = scheme.tiers[i];
    const std::string path = absl::StrCat("tiers[", i, "]");
    if (tier.id.empty()) errors.Add(absl::StrCat(path, ".id"), "is missing");
    if (!ids.insert(tier.id).second) errors.Add(absl::StrCat(path, ".id"), "occurs twice");
    if (tier.threshold <= above || tier.threshold > kMaxTierValue) {
      errors.Add(absl::StrCat(path, ".threshold"),
                 i == 0 ? "must be 0 to 2^53 - 1"
                        : "must be above that of the tier before, and at most 2^53 - 1");
    }
    above = std::max(above, tier.threshold);
  }

  const bool money = scheme.basis == TierBasis::kMoneySpent;
  const bool is_code =
      scheme.currency.size() == 3 && std::all_of(scheme.currency.begin(), scheme.currency.end(),
                                                 [](char c) { return 'A' <= c && c <= 'Z'; });
  if (money && !is_code) errors.Add("currency", "must be an ISO 4217 code, as EUR");
  if (!money && !scheme.currency.empty()) errors.Add("currency", "is for money spent only");

  if (scheme.basis == TierBasis::kActiveBalance &&
      scheme.period != QualificationPeriod::kLifetime) {
    errors.Add("period", "must be the lifetime for the active balance");
  }
  if (scheme.period == QualificationPeriod::kSinceTierChange &&
      scheme.downgrade == DowngradePolicy::kRealTime) {
    errors.Add("period",
               "begins anew with every upgrade, so a tier would be lost at once; choose "
               "another downgrade than in real time");
  }

  const auto check = [&](absl::string_view field, int value, int least, int most) {
    if (value < least || value > most) {
      errors.Add(field, absl::StrCat("must be ", least, " to ", most));
    }
  };
  check("rolling_days", scheme.rolling_days, 1, kMaxTierDays);
  check("term_months", scheme.term_months, 1, kMaxTierMonths);
  check("after_days", scheme.after_days, 1, kMaxTierDays);
  check("grace_days", scheme.grace_days, 0, kMaxTierDays);
  check("warn_days", scheme.warn_days, 0, kMaxTierDays);
  check("cycle_month", scheme.cycle_month, 1, 12);
  const absl::CivilDay cycle(2001, scheme.cycle_month, scheme.cycle_day);
  if (cycle.day() != scheme.cycle_day) {
    errors.Add("cycle_day", "must be a day that cycle_month has every year");
  }
  return errors.ToStatus();
}

BasisWindows WindowsAt(const TierScheme& scheme, const TierState& state, absl::Time now,
                       const absl::TimeZone& zone) {
  if (scheme.basis == TierBasis::kActiveBalance) return {};
  const Ladder ladder(scheme, zone);
  const BasisWindow present{.from = ladder.WindowStart(state, now)};
  // What is judged ended with its last instant; a window that begins then is another one.
  std::optional<absl::Time> ended = state.expires;
  if (state.short_since) ended = ladder.GraceEnd(*state.short_since);
  if (!ended || *ended > now) return {present, present};
  return {present,
          {.from = ladder.WindowStart(state, *ended - absl::Microseconds(1)),
           .until = state.short_since ? *ended : ladder.GraceEnd(*ended)}};
}

absl::StatusOr<TierChange> Evaluate(const TierScheme& scheme, const TierState& before,
                                    const BasisValues& values, absl::Time now,
                                    const absl::TimeZone& zone) {
  CLM_RETURN_IF_ERROR(CheckValues(values));
  const Ladder ladder(scheme, zone);
  CLM_ASSIGN_OR_RETURN(const Ranks ranks, RanksOf(ladder, before));

  TierChange change{.from = ladder.IdOf(ranks.member()), .at = now, .after = before};
  TierState& state = change.after;
  Ranks then = ranks;
  const auto enter = [&](int rank, absl::Time at) {
    then.earned = rank;
    state.tier = ladder.IdOf(rank);
    state.since = change.at = at;
    state.short_since.reset();
    state.expires = ladder.TermEnd(state, rank, at);
  };
  // The scheme may have had another policy before.
  const auto term_end = ladder.TermEnd(state, ranks.earned, now);
  if (!term_end || !state.expires) state.expires = term_end;
  if (scheme.downgrade != DowngradePolicy::kRealTime) state.short_since.reset();

  const int supported = ladder.Supported(values.present);
  const int remaining = ladder.Supported(values.to_remain);
  // When the present tier was judged to be kept or lost.
  std::optional<absl::Time> judged;
  if (state.expires) {
    judged = remaining >= ranks.earned ? *state.expires : ladder.GraceEnd(*state.expires);
  } else if (state.short_since) {
    judged = ladder.GraceEnd(*state.short_since);
  }
  if (judged && *judged > now) judged.reset();
  bool look_again = true;
  if (state.manual_until && *state.manual_until <= std::min(now, judged.value_or(now))) {
    change.at = *state.manual_until;
    then.manual = kNoTier;
    state.manual_tier.clear();
    state.manual_until.reset();
  } else if (judged && remaining < ranks.earned) {
    enter(scheme.downgrade == DowngradePolicy::kOneDown ? ranks.earned - 1 : remaining, *judged);
  } else if (judged) {
    if (state.expires) {
      change.kind = TierChange::Kind::kRetained;
      state.expires = ladder.TermEnd(state, ranks.earned, *state.expires);
    }
    state.short_since.reset();
  } else if (supported > ranks.earned) {
    enter(supported, now);
    // The windows begin anew, so `values` say nothing about how the member stands.
    look_again = scheme.period == QualificationPeriod::kSinceTierChange;
  } else if (scheme.downgrade == DowngradePolicy::kRealTime && supported < ranks.earned) {
    if (scheme.grace_days == 0) {
      enter(supported, now);
    } else if (!state.short_since) {
      state.short_since = now;
    }
    look_again = false;
  } else {
    state.short_since.reset();
    look_again = false;
  }

  change.to = ladder.IdOf(then.member());
  if (then.member() > ranks.member()) change.kind = TierChange::Kind::kUpgraded;
  if (then.member() < ranks.member()) change.kind = TierChange::Kind::kDropped;
  for (int rank = ranks.member() + 1; rank <= then.member(); ++rank) {
    const Tier& tier = scheme.tiers[rank];
    change.entered.push_back(tier.id);
    change.rewards.insert(change.rewards.end(), tier.entry_rewards.begin(),
                          tier.entry_rewards.end());
  }
  if (look_again) {
    change.next_due = now;
    return change;
  }
  TierStanding standing = Stand(ladder, scheme, state, then, values);
  change.next_due = NextDue(ladder, scheme, state, then, values, standing, now);
  if (standing.missing_to_remain > 0 && IsWarned(ladder, scheme, standing, now)) {
    change.warning = std::move(standing);
  }
  return change;
}

absl::StatusOr<TierStanding> StandingOf(const TierScheme& scheme, const TierState& state,
                                        const BasisValues& values, const absl::TimeZone& zone) {
  CLM_RETURN_IF_ERROR(CheckValues(values));
  const Ladder ladder(scheme, zone);
  CLM_ASSIGN_OR_RETURN(const Ranks ranks, RanksOf(ladder, state));
  return Stand(ladder, scheme, state, ranks, values);
}

}  // namespace clm::loyalty
