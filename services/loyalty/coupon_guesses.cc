#include "services/loyalty/coupon_guesses.h"

#include <google/rpc/error_details.pb.h>

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/coupon_reader.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/program_rows.h"
#include "services/loyalty/referral_reader.h"

namespace clm::loyalty {
namespace {

constexpr absl::string_view kMemberPrefix = "member/";
constexpr absl::string_view kCallerPrefix = "caller/";

// Who the contact is by now, whose look-ups wait for each other from here to the end of the
// transaction. What they read has to be read by later statements.
constexpr pg::Statement kLockGuesser{"coupon_guess.lock", R"sql(
  SELECT p.id, pg_advisory_xact_lock(hashtextextended(
    'coupon_guess/' || $1::text || '/' || $2::text || '/' || p.id::text, 0))::text
  FROM (SELECT coalesce((SELECT a.merged_into FROM contact_alias a
    WHERE a.tenant_id = $1::text AND a.contact_id = $3::uuid), $3::uuid) AS id) p)sql"};

constexpr pg::Statement kGuesses{"coupon_guess.get", R"sql(
  SELECT g.guesser, g.guesses, g.until_time FROM coupon_guess g
  WHERE g.tenant_id = $1::text AND g.program_id = $2::text AND g.guesser = ANY ($3::text[])
    AND g.until_time > $4::timestamptz)sql"};

// None of whoever has guessed $5 times already.
constexpr pg::Statement kCountGuess{"coupon_guess.count", R"sql(
  INSERT INTO coupon_guess AS g (tenant_id, program_id, guesser, guesses, until_time)
  VALUES ($1::text, $2::text, $3::text, 1, $6::timestamptz)
  ON CONFLICT (tenant_id, program_id, guesser) DO UPDATE SET
    guesses = CASE WHEN g.until_time <= $4::timestamptz THEN 1 ELSE g.guesses + 1 END,
    until_time = CASE WHEN g.until_time <= $4::timestamptz THEN excluded.until_time
                 ELSE g.until_time END
  WHERE g.until_time <= $4::timestamptz OR g.guesses < $5::bigint
  RETURNING g.guesses)sql"};

// More than are added at a time, so that what is forgotten never piles up.
constexpr pg::Statement kForgetOld{"coupon_guess.forget_old", R"sql(
  DELETE FROM coupon_guess g USING (
    SELECT o.program_id, o.guesser FROM coupon_guess o
    WHERE o.tenant_id = $1::text AND o.until_time <= $2::timestamptz
    ORDER BY o.until_time LIMIT 8 FOR UPDATE SKIP LOCKED) o
  WHERE g.tenant_id = $1::text AND g.program_id = o.program_id AND g.guesser = o.guesser)sql"};

constexpr pg::Statement kForgetGuesser{"coupon_guess.forget", R"sql(
  DELETE FROM coupon_guess WHERE tenant_id = $1::text AND guesser IN (
    SELECT 'member/' || n.id::text FROM (
      SELECT $2::uuid AS id
      UNION ALL
      SELECT x.contact_id FROM contact_alias x
      WHERE x.tenant_id = $1::text AND x.merged_into = $2::uuid) n))sql"};

struct Guesser {
  std::string key;
  absl::string_view limit;  // Its name for callers.
};

int64_t MostOf(const Guesser& guesser, const GuessLimits& limits) {
  return guesser.limit == "member" ? limits.per_member : limits.per_caller;
}

absl::Status TooMany(const Guesser& guesser, absl::Duration wait) {
  const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1)));
  absl::Status status = error::Make(
      absl::StatusCode::kResourceExhausted, "COUPON_GUESSES",
      absl::StrCat("code: too many codes were tried that there are none of; no code is looked up "
                   "for this ",
                   guesser.limit, " for ", seconds, " seconds"),
      {{"limit", std::string(guesser.limit)}, {"retry_seconds", absl::StrCat(seconds)}});
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(seconds);
  status.SetPayload(error::kRetryInfoUrl, absl::Cord(retry.SerializeAsString()));
  return status;
}

// One look-up, within its transaction.
class Attempt {
 public:
  Attempt(pg::Tx& tx, const ProgramKey& program, absl::Time now)
      : tx_(tx), program_(program), now_(now) {}

  // A member's first: the row of a caller may be wanted by many.
  absl::Status Identify(const std::optional<Uuid>& member, const std::string& actor) {
    if (member) {
      pg::Args args;
      args.Add(program_.tenant).Add(program_.program).Add(*member);
      CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kLockGuesser, args));
      guessers_.push_back({absl::StrCat(kMemberPrefix, rows[0].Uuid(0).ToString()), "member"});
    }
    guessers_.push_back({absl::StrCat(kCallerPrefix, actor), "caller"});
    return absl::OkStatus();
  }

  // RESOURCE_EXHAUSTED for whoever has guessed as often as they may.
  absl::Status CheckLimits() {
    std::vector<std::string> keys;
    for (const Guesser& guesser : guessers_) keys.push_back(guesser.key);
    pg::Args args;
    args.Add(program_.tenant).Add(program_.program).AddArray(std::move(keys)).Add(now_);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kGuesses, args));
    if (rows.empty()) return absl::OkStatus();
    CLM_ASSIGN_OR_RETURN(const GuessLimits* limits, Limits());
    if (limits->unlimited) return absl::OkStatus();
    for (int i = 0; i < rows.size(); ++i) {
      for (const Guesser& guesser : guessers_) {
        if (rows[i].Text(0) != guesser.key || rows[i].Int(1) < MostOf(guesser, *limits)) continue;
        return TooMany(guesser, rows[i].Time(2) - now_);
      }
    }
    return absl::OkStatus();
  }

  // RESOURCE_EXHAUSTED for whoever has come to their limit meanwhile: then nothing is counted.
  absl::Status Count() {
    CLM_ASSIGN_OR_RETURN(const GuessLimits* limits, Limits());
    if (limits->unlimited) return absl::OkStatus();
    const absl::Time until =
        *ActiveFrom({PendingRule::Kind::kAfter, limits->window}, now_, ZoneOf(*known_));
    for (const Guesser& guesser : guessers_) {
      pg::Args args;
      args.Add(program_.tenant).Add(program_.program).Add(guesser.key).Add(now_);
      args.Add(MostOf(guesser, *limits)).Add(until);
      CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx_.Exec(kCountGuess, args));
      if (!rows.empty()) continue;
      CLM_RETURN_IF_ERROR(CheckLimits());
      // Forgotten at this instant.
      return pg::Retry();
    }
    pg::Args args;
    args.Add(program_.tenant).Add(now_);
    return tx_.Exec(kForgetOld, args).status();
  }

 private:
  absl::StatusOr<const GuessLimits*> Limits() {
    if (!known_) {
      CLM_ASSIGN_OR_RETURN(std::vector<Program> programs, LoadPrograms(tx_, {program_}));
      if (programs.empty()) return error::NotFound(NameOf(program_));
      known_ = std::move(programs.front());
    }
    static const GuessLimits& kUsual = *new GuessLimits();
    return known_->coupon_guesses ? &*known_->coupon_guesses : &kUsual;
  }

  pg::Tx& tx_;
  const ProgramKey& program_;
  const absl::Time now_;
  std::vector<Guesser> guessers_;
  std::optional<Program> known_;
};

}  // namespace

template <class Found>
absl::StatusOr<Found> CouponGuesses::Find(
    const rpc::Call& call, const ProgramKey& program, const std::optional<Uuid>& member,
    absl::string_view field, const std::string& typed,
    absl::FunctionRef<absl::StatusOr<std::optional<Found>>(pg::Tx&, const std::string&)> find) {
  const auto folded = FoldCode(field, typed);
  std::optional<Found> found;
  absl::Status wrong;
  CLM_RETURN_IF_ERROR(pool_.Transact(
      {pg::Scope::Tenant(program.tenant), call.deadline}, [&](pg::Tx& tx) -> absl::Status {
        found.reset();
        Attempt attempt(tx, program, call.now);
        CLM_RETURN_IF_ERROR(attempt.Identify(member, call.caller.actor));
        CLM_RETURN_IF_ERROR(attempt.CheckLimits());
        if (folded.ok()) {
          CLM_ASSIGN_OR_RETURN(found, find(tx, *folded));
        }
        if (found) return absl::OkStatus();
        wrong = folded.ok() ? UnknownCode(field, *folded) : folded.status();
        return attempt.Count();
      }));
  if (!found) return wrong;
  return *std::move(found);
}

absl::StatusOr<StoredCoupon> CouponGuesses::FindCoupon(const rpc::Call& call,
                                                       const ProgramKey& program,
                                                       const std::optional<Uuid>& member,
                                                       absl::string_view field,
                                                       const std::string& typed) {
  return Find<StoredCoupon>(call, program, member, field, typed,
                            [&](pg::Tx& tx, const std::string& code) {
                              return FindCouponIn(tx, program, code, call.now);
                            });
}

absl::StatusOr<StoredReferralCode> CouponGuesses::FindReferralCode(
    const rpc::Call& call, const ProgramKey& program, const std::optional<Uuid>& member,
    absl::string_view field, const std::string& typed) {
  return Find<StoredReferralCode>(
      call, program, member, field, typed,
      [&](pg::Tx& tx, const std::string& code) { return FindReferralCodeIn(tx, program, code); });
}

absl::Status ForgetGuesses(pg::Tx& tx, const EntityKey& contact) {
  pg::Args args;
  args.Add(contact.tenant).Add(contact.id);
  return tx.Exec(kForgetGuesser, args).status();
}

std::vector<const pg::Statement*> CouponGuessesStatements() {
  return {&kLockGuesser, &kGuesses, &kCountGuess, &kForgetOld, &kForgetGuesser};
}

}  // namespace clm::loyalty
