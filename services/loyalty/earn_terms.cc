#include "services/loyalty/earn_terms.h"

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/program.h"

namespace clm::loyalty {

absl::StatusOr<EarnTerms> ParseEarnTerms(const std::string& prefix, const std::string& pending,
                                         const std::string& expiry) {
  EarnTerms terms;
  error::FieldErrors errors;
  if (!pending.empty()) {
    const auto rule = ParsePendingRule(prefix + "pending", pending);
    errors.AddStatus("", rule.status());
    if (rule.ok()) terms.pending = *rule;
  }
  if (!expiry.empty()) {
    const auto rule = ParseExpiryRule(prefix + "expiry", expiry, RoundUp::kNone);
    errors.AddStatus("", rule.status());
    if (rule.ok()) terms.expiry = *rule;
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return terms;
}

NewLot LotOf(const WalletSession& session, int64_t amount, const EarnTerms& terms,
             absl::Time earn_time) {
  const absl::TimeZone zone = ZoneOf(session.program());
  NewLot lot{.id = Uuid::V7(session.now()), .amount = amount, .earn_time = earn_time};
  const PendingRule& pending = terms.pending ? *terms.pending : session.terms().pending;
  ExpiryRule expiry = session.terms().expiry;
  if (terms.expiry) expiry.after = terms.expiry->after;
  absl::Time counted_from = earn_time;
  if (pending.kind != PendingRule::Kind::kImmediate) {
    const std::optional<absl::Time> active = ActiveFrom(pending, earn_time, zone);
    if (!active || *active > session.now()) {
      lot.activate_time = active.value_or(absl::InfiniteFuture());
    }
    counted_from = active.value_or(earn_time);
  }
  lot.expire_time = ExpireTime(expiry, counted_from, zone);
  return lot;
}

}  // namespace clm::loyalty
