#include "services/loyalty/bonuses.h"

#include <algorithm>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/points_time.h"

namespace clm::loyalty {
namespace {

constexpr int64_t kAllBasisPoints = 10'000;

enum BonusField { kTier, kSpend, kPurchases, kDaysSince, kMemberDays };

const filter::Schema& BonusSchema() {
  static const filter::Schema& schema = *[] {
    auto* made = new filter::Schema;
    (*made)
        .Add(kTier, "tier", filter::Type::kString)
        .Add(kSpend, "spend_minor", filter::Type::kInt64)
        .Add(kPurchases, "purchases", filter::Type::kInt64)
        .Add(kDaysSince, "days_since_purchase", filter::Type::kInt64)
        .Add(kMemberDays, "member_days", filter::Type::kInt64);
    return made;
  }();
  return schema;
}

class FiguresRecord : public filter::Record {
 public:
  FiguresRecord(const BonusFigures& figures, std::optional<int64_t> days_since, int64_t member_days)
      : figures_(figures), days_since_(days_since), member_days_(member_days) {}

  filter::Value Get(const filter::Field& field) const override {
    switch (field.id) {
      case kTier:
        if (figures_.tier.empty()) return {};
        return absl::string_view(figures_.tier);
      case kSpend:
        return figures_.spend_minor;
      case kPurchases:
        return figures_.purchases;
      case kDaysSince:
        if (!days_since_) return {};
        return *days_since_;
      case kMemberDays:
        return member_days_;
      default:
        return {};
    }
  }

 private:
  const BonusFigures& figures_;
  const std::optional<int64_t> days_since_;
  const int64_t member_days_;
};

bool AsksForRank(const BonusCriteria& criteria) {
  return criteria.top_basis_points > 0 || criteria.top_count > 0;
}

bool AsksForSpend(const CompiledBonusCriteria& compiled) {
  if (AsksForRank(compiled.criteria) || compiled.criteria.minimum_spend_minor > 0) return true;
  const auto fields = filter::ReferencedFields(compiled.condition);
  return std::any_of(fields.begin(), fields.end(),
                     [](const filter::Field& field) { return field.id == kSpend; });
}

// In per cent, rounded up to the hundredth.
std::string ShareText(int64_t rank, int64_t of) {
  const auto share = static_cast<int64_t>((absl::int128(rank) * kAllBasisPoints + of - 1) /
                                          std::max<int64_t>(of, 1));
  return absl::StrFormat("%d.%02d%%", share / 100, share % 100);
}

std::string Days(int64_t days) { return absl::StrCat(days, days == 1 ? " day" : " days"); }

}  // namespace

absl::string_view Name(BonusRunState state) {
  switch (state) {
    case BonusRunState::kCollecting:
      return "COLLECTING";
    case BonusRunState::kRanking:
      return "RANKING";
    case BonusRunState::kGranting:
      return "GRANTING";
    case BonusRunState::kSucceeded:
      return "SUCCEEDED";
    case BonusRunState::kCancelled:
      return "CANCELLED";
  }
  return "";
}

bool IsOver(BonusRunState state) {
  return state == BonusRunState::kSucceeded || state == BonusRunState::kCancelled;
}

absl::StatusOr<CompiledBonusCriteria> CompileBonusCriteria(const BonusCriteria& criteria,
                                                           const std::vector<std::string>& tiers) {
  error::FieldErrors errors;
  CompiledBonusCriteria compiled{.criteria = criteria};
  for (size_t i = 0; i < criteria.tiers.size(); ++i) {
    if (std::find(tiers.begin(), tiers.end(), criteria.tiers[i]) == tiers.end()) {
      errors.Add(absl::StrCat("tiers[", i, "]"), "is no tier of the programme");
    }
  }
  const auto condition = filter::Parse(criteria.condition, BonusSchema(), {.field = "condition"});
  errors.AddStatus("", condition.status());
  if (condition.ok()) compiled.condition = *condition;
  if (criteria.top_basis_points > 0 && criteria.top_count > 0) {
    errors.Add("top_count",
               "cannot be given together with top_basis_points; leave one of them out");
  }
  if (AsksForSpend(compiled) && criteria.currency.empty()) {
    errors.Add("currency", "must be given where it matters what members spent");
  }
  if (criteria.not_bought_for_days > 0 && criteria.bought_within_days > 0 &&
      criteria.not_bought_for_days > criteria.bought_within_days) {
    errors.Add("not_bought_for_days",
               "must not be more than bought_within_days: nobody would meet both");
  }
  if (criteria.tiers.empty() && criteria.minimum_spend_minor == 0 &&
      criteria.minimum_purchases == 0 && criteria.bought_within_days == 0 &&
      criteria.not_bought_for_days == 0 && criteria.condition.empty() && !AsksForRank(criteria)) {
    errors.Add("condition",
               "or another criterion must be given; for all members say member_days >= 0");
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return compiled;
}

absl::Time WindowStart(const BonusCriteria& criteria, absl::Time as_of,
                       const absl::TimeZone& zone) {
  if (criteria.window_days == 0) return absl::InfinitePast();
  return StartOfDay(DayOf(as_of, zone) - criteria.window_days, zone);
}

int64_t DaysBetween(absl::Time then, absl::Time as_of, const absl::TimeZone& zone) {
  return std::max<int64_t>(0, DayOf(as_of, zone) - DayOf(then, zone));
}

bool IsEligible(const CompiledBonusCriteria& compiled, const BonusFigures& figures,
                absl::Time as_of, const absl::TimeZone& zone) {
  const BonusCriteria& criteria = compiled.criteria;
  const std::vector<std::string>& tiers = criteria.tiers;
  if (!tiers.empty() && std::find(tiers.begin(), tiers.end(), figures.tier) == tiers.end()) {
    return false;
  }
  if (figures.spend_minor < criteria.minimum_spend_minor) return false;
  if (figures.purchases < criteria.minimum_purchases) return false;
  if (AsksForRank(criteria) && figures.spend_minor == 0) return false;
  std::optional<int64_t> days_since;
  if (figures.last_purchase) days_since = DaysBetween(*figures.last_purchase, as_of, zone);
  if (criteria.bought_within_days > 0 &&
      (!days_since || *days_since > criteria.bought_within_days)) {
    return false;
  }
  if (criteria.not_bought_for_days > 0 &&
      (!days_since || *days_since < criteria.not_bought_for_days)) {
    return false;
  }
  const FiguresRecord record(figures, days_since, DaysBetween(figures.enrol_time, as_of, zone));
  return filter::Evaluate(compiled.condition, record, as_of);
}

int64_t LastRankIn(const BonusCriteria& criteria, int64_t eligible) {
  if (criteria.top_count > 0) return criteria.top_count;
  if (criteria.top_basis_points == 0) return eligible;
  const absl::int128 share = absl::int128(eligible) * criteria.top_basis_points;
  return static_cast<int64_t>((share + kAllBasisPoints - 1) / kAllBasisPoints);
}

void RankNext(std::vector<BonusMember>& members, BonusPlace& place) {
  for (BonusMember& member : members) {
    const bool ties = place.count > 0 && member.figures.spend_minor == place.spend_minor;
    ++place.count;
    if (!ties) place.rank = place.count;
    place.spend_minor = member.figures.spend_minor;
    place.contact = member.contact;
    member.rank = place.rank;
  }
}

std::string ExplainBonus(const BonusRun& run, const BonusMember& member,
                         const absl::TimeZone& zone) {
  const BonusFigures& figures = member.figures;
  std::vector<std::string> said;
  if (!figures.tier.empty()) said.push_back(absl::StrCat("tier ", figures.tier));
  const std::string window =
      run.criteria.window_days > 0 ? absl::StrCat("in ", Days(run.criteria.window_days)) : "ever";
  if (!run.criteria.currency.empty()) {
    said.push_back(absl::StrCat("spent ", figures.spend_minor, " minor units of ",
                                run.criteria.currency, " ", window));
    said.push_back(absl::StrCat("rank ", member.rank, " of ", run.eligible, " (",
                                ShareText(member.rank, run.eligible), ")"));
  }
  said.push_back(absl::StrCat(figures.purchases,
                              figures.purchases == 1 ? " purchase " : " purchases ", window));
  if (figures.last_purchase) {
    said.push_back(absl::StrCat(
        "the last one ", Days(DaysBetween(*figures.last_purchase, run.as_of, zone)), " before"));
  }
  return absl::StrJoin(said, ", ");
}

std::string BonusPostingReason(const BonusRun& run) {
  return absl::StrCat(run.reason, " (bonusRuns/", run.key.id.ToString(), ")");
}

absl::StatusOr<BonusRun> CancelRun(const BonusRun& before, absl::Time now) {
  if (IsOver(before.state)) {
    return error::Precondition("BONUS_RUN_STATE",
                               absl::StrCat("name: is ", Name(before.state),
                                            "; only a run that is under way can be stopped"),
                               {{"state", std::string(Name(before.state))}});
  }
  BonusRun after = before;
  after.state = BonusRunState::kCancelled;
  after.end_time = now;
  return after;
}

BonusRun NextStateOf(const BonusRun& before, absl::Time now) {
  BonusRun after = before;
  after.place = BonusPlace();
  switch (before.state) {
    case BonusRunState::kCollecting:
      after.state = BonusRunState::kRanking;
      break;
    case BonusRunState::kRanking:
      after.state = before.dry_run ? BonusRunState::kSucceeded : BonusRunState::kGranting;
      break;
    case BonusRunState::kGranting:
    case BonusRunState::kSucceeded:
    case BonusRunState::kCancelled:
      after.state = BonusRunState::kSucceeded;
      break;
  }
  if (IsOver(after.state)) after.end_time = now;
  return after;
}

}  // namespace clm::loyalty
