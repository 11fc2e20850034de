#include "services/loyalty/expiry_warning.h"

#include <map>

#include "absl/time/civil_time.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

constexpr int kSecondsOfDay = 24 * 60 * 60;

absl::Time DaysBefore(absl::Time expire, int days, const absl::TimeZone& zone) {
  const absl::CivilSecond local = absl::ToCivilSecond(expire, zone);
  return absl::FromCivil(local - int64_t{days} * kSecondsOfDay, zone);
}

}  // namespace

absl::Time FirstExpiryWarning(absl::Span<const int> days, absl::Time expire, absl::Time now,
                              const absl::TimeZone& zone) {
  if (expire == absl::InfiniteFuture() || expire <= now) return absl::InfiniteFuture();
  for (const int before : days) {
    if (DaysBefore(expire, before, zone) <= now) return now;
  }
  return NextExpiryWarning(days, expire, now, zone);
}

absl::Time NextExpiryWarning(absl::Span<const int> days, absl::Time expire, absl::Time now,
                             const absl::TimeZone& zone) {
  if (expire == absl::InfiniteFuture()) return absl::InfiniteFuture();
  for (const int before : days) {
    const absl::Time at = DaysBefore(expire, before, zone);
    if (at > now) return at;
  }
  return absl::InfiniteFuture();
}

absl::Status WarnOfExpiry(LoyaltyWork& work, journal::Recorder& recorder, const WalletKey& key) {
  const MemberKey member = MemberOf(key);
  CLM_ASSIGN_OR_RETURN(
      WalletSession session,
      WalletSession::Open(work, recorder, member, key.wallet, WalletSession::Admit::kErased));
  std::map<absl::Time, int64_t> parts;
  for (const Uuid& id : work.DueWarnings(key, recorder.now())) {
    const Lot& lot = session.wallet().lots.at(id);
    if (lot.remaining > 0 && lot.expire_time > recorder.now() &&
        !session.terms().warning_days.empty()) {
      parts[lot.expire_time] += lot.remaining;
    }
    work.SaveWarning(key, id,
                     NextExpiryWarning(session.terms().warning_days, lot.expire_time,
                                       recorder.now(), ZoneOf(session.program())));
  }
  CLM_RETURN_IF_ERROR(session.Record());
  if (parts.empty() || work.FindMember(member)->erased) return absl::OkStatus();
  v1::PointsExpiring expiring;
  expiring.set_member(NameOf(member));
  expiring.set_wallet(key.wallet);
  for (const auto& [expire, amount] : parts) {
    v1::PointsExpiring::Part& part = *expiring.add_parts();
    part.set_amount(amount);
    clm::ToProto(expire, part.mutable_expire_time());
  }
  RecordFor(recorder, member, work.PostingsIn(key), expiring);
  return absl::OkStatus();
}

}  // namespace clm::loyalty
