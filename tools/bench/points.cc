#include "tools/bench/points.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "clm/loyalty/v1/ledger_service.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/status_macros.h"
#include "libs/base/uuid.h"
#include "libs/pg/admin.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "tools/bench/random.h"
#include "tools/bench/traffic.h"

namespace clm::bench {
namespace {

namespace v1 = loyalty::v1;

constexpr char kProgramName[] = "tenants/bench/programs/bench";
constexpr int64_t kHotAccount = 1;
constexpr int64_t kShortAccount = 2;
constexpr int64_t kAmount = 100;
// Members that the cache still has when the last of them was read once.
constexpr int64_t kMostCached = 20'000;
// As many are asked for so often that they are asked for again within kNearStalenessSeconds.
constexpr int64_t kMostNear = 2'000;
constexpr int kNearStalenessSeconds = 5;
constexpr int64_t kRowsAtOnce = 50'000;
// Of the long account: postings that gave points which are there still.
constexpr int64_t kOpenEntries = 1'000;
constexpr char kLongContact[] = "01900000-0000-7fff-8000-000000000001";

std::string MemberName(const std::string& contact) {
  return absl::StrCat(kProgramName, "/members/", contact);
}

std::string NameOf(int64_t account) {
  return MemberName(absl::StrFormat("01900000-0000-7000-8000-%012x", account));
}

// What is inserted by number `n`.
std::string WithNames(const std::string& sql) {
  return absl::StrReplaceAll(
      sql, {{"$KEY_COLUMNS", "tenant_id, contact_id, program_id, wallet_id"},
            {"$CONTACT", "('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"},
            {"$LOT", "('01900000-0000-7001-8000-' || lpad(to_hex(n), 12, '0'))::uuid"},
            {"$POSTING", "('01900000-0000-7002-8000-' || lpad(to_hex(n), 12, '0'))::uuid"},
            // Some time within the last three hundred days, by number.
            {"$EARNED", "(now() - (n * 7919 % 25920000) * interval '1 second')"},
            {"$AMOUNT", absl::StrCat(kAmount)}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Points>> Points::Prepare(Stand& stand, int64_t accounts, Say say) {
  auto points = std::unique_ptr<Points>(new Points(stand, accounts, std::move(say)));
  CLM_RETURN_IF_ERROR(points->MakeProgram());
  CLM_RETURN_IF_ERROR(points->MakeTables());
  CLM_RETURN_IF_ERROR(points->MakeAccounts());
  CLM_RETURN_IF_ERROR(points->Vacuum());
  return points;
}

absl::Status Points::MakeProgram() {
  v1::CreateProgramRequest request;
  request.set_parent(absl::StrCat("tenants/", kTenant));
  request.set_program_id("bench");
  v1::Wallet* wallet = request.mutable_program()->add_wallets();
  wallet->set_id("points");
  wallet->set_expiry("12M");
  grpc::ClientContext context;
  rpc::PrepareContext({.service = "clm-bench"}, absl::Seconds(30), &context);
  v1::Program response;
  return rpc::FromGrpc(
      v1::ProgramService::NewStub(stand_.contact())->CreateProgram(&context, request, &response));
}

absl::Status Points::MakeTables() {
  return pg::AdminExec(stand_.postgres().Dsn(kLoyaltyDatabase), R"sql(
DO $k3$
DECLARE
  name text;
  options text;
BEGIN
  CREATE SCHEMA k3;
  FOREACH name IN ARRAY ARRAY['wallet', 'lot', 'posting', 'journal', 'request'] LOOP
    EXECUTE format('CREATE TABLE k3.%I (LIKE public.%I INCLUDING ALL)', name, name);
    SELECT array_to_string(reloptions, ', ') INTO options FROM pg_class
      WHERE oid = format('public.%I', name)::regclass;
    IF options IS NOT NULL THEN
      EXECUTE format('ALTER TABLE k3.%I SET (%s)', name, options);
    END IF;
  END LOOP;
END $k3$)sql");
}

absl::Status Points::MakeAccounts() {
  std::string sql = R"sql(
INSERT INTO public.member (tenant_id, contact_id, program_id, enrol_time)
SELECT 'bench', $CONTACT, 'bench', $EARNED FROM generate_series($FROM::bigint, $TO) AS n;
)sql";
  for (const char* schema : {"public", "k3"}) {
    absl::StrAppend(&sql, absl::StrReplaceAll(R"sql(
INSERT INTO $SCHEMA.wallet ($KEY_COLUMNS, active, pending, held, debt, earned, redeemed, expired,
                            returned, adjusted, transferred, postings)
SELECT 'bench', $CONTACT, 'bench', 'points', $AMOUNT, 0, 0, 0, $AMOUNT, 0, 0, 0, 0, 0, 1
FROM generate_series($FROM::bigint, $TO) AS n;
INSERT INTO $SCHEMA.lot ($KEY_COLUMNS, id, posting_id, earned, remaining, held, expired, returned,
                         pending, earn_time, activate_time, expire_time, due_time)
SELECT 'bench', $CONTACT, 'bench', 'points', $LOT, $POSTING, $AMOUNT, $AMOUNT, 0, 0, 0, false,
       $EARNED, $EARNED, $EARNED + interval '1 year', $EARNED + interval '1 year'
FROM generate_series($FROM::bigint, $TO) AS n;
INSERT INTO $SCHEMA.posting ($KEY_COLUMNS, number, id, kind, amount, balance, accounts, lots,
                             amounts, post_time)
SELECT 'bench', $CONTACT, 'bench', 'points', 1, $POSTING, 1, $AMOUNT, $AMOUNT, '{1,5}',
       ARRAY[$LOT, $LOT], '{$AMOUNT,-$AMOUNT}', $EARNED
FROM generate_series($FROM::bigint, $TO) AS n;
)sql",
                                              {{"$SCHEMA", schema}}));
  }
  return Fill("accounts", sql, accounts_);
}

absl::Status Points::MakeLong(int64_t entries) {
  const int64_t open = std::min(entries, kOpenEntries);
  // An even number: what is earned is spent by the next one.
  const int64_t spent = (entries - open) / 2 * 2;
  const std::string sql =
      absl::StrReplaceAll(R"sql(
INSERT INTO lot ($KEY_COLUMNS, id, posting_id, earned, remaining, held, expired, returned,
                 pending, earn_time, activate_time, expire_time, due_time)
SELECT 'bench', '$LONG', 'bench', 'points', $LOT, $POSTING, $AMOUNT,
       CASE WHEN n > $SPENT THEN $AMOUNT ELSE 0 END, 0, 0, 0, false,
       $EARNED, $EARNED, $EARNED + interval '1 year', $EARNED + interval '1 year'
FROM generate_series($FROM::bigint, $TO) AS n WHERE n > $SPENT OR n % 2 = 1;
INSERT INTO posting ($KEY_COLUMNS, number, id, kind, amount, balance, accounts, lots, amounts,
                     post_time)
SELECT 'bench', '$LONG', 'bench', 'points', n, $POSTING, 1, $AMOUNT,
       CASE WHEN n > $SPENT THEN n - $SPENT ELSE 1 END * $AMOUNT, '{1,5}', ARRAY[$LOT, $LOT],
       '{$AMOUNT,-$AMOUNT}', now()
FROM generate_series($FROM::bigint, $TO) AS n WHERE n > $SPENT OR n % 2 = 1;
INSERT INTO posting ($KEY_COLUMNS, number, id, kind, amount, balance, accounts, lots, amounts,
                     post_time)
SELECT 'bench', '$LONG', 'bench', 'points', n + 1, $POSTING, 3, $AMOUNT, 0, '{1,6}',
       ARRAY[$LOT, $LOT], '{-$AMOUNT,$AMOUNT}', now()
FROM generate_series($FROM::bigint, $TO) AS n WHERE n <= $SPENT AND n % 2 = 1;
)sql",
                          {{"$LONG", kLongContact}, {"$SPENT", absl::StrCat(spent)}});
  CLM_RETURN_IF_ERROR(Fill("entries of one account", sql, spent + open));
  CLM_RETURN_IF_ERROR(pg::AdminExec(stand_.postgres().Dsn(kLoyaltyDatabase),
                                    WithNames(absl::StrReplaceAll(
                                        R"sql(
INSERT INTO member (tenant_id, contact_id, program_id, enrol_time)
VALUES ('bench', '$LONG', 'bench', now());
INSERT INTO wallet ($KEY_COLUMNS, active, pending, held, debt, earned, redeemed, expired,
                    returned, adjusted, transferred, postings)
SELECT 'bench', '$LONG', 'bench', 'points', $OPEN * $AMOUNT, 0, 0, 0,
       ($OPEN + $SPENT / 2) * $AMOUNT, $SPENT / 2 * $AMOUNT, 0, 0, 0, 0, $OPEN + $SPENT;
)sql",
                                        {{"$LONG", kLongContact},
                                         {"$OPEN", absl::StrCat(open)},
                                         {"$SPENT", absl::StrCat(spent)}}))));
  return Vacuum();
}

absl::Status Points::Fill(const std::string& what, const std::string& sql, int64_t count) {
  const std::string named = WithNames(sql);
  for (int64_t from = 1; from <= count; from += kRowsAtOnce) {
    const int64_t to = std::min(count, from + kRowsAtOnce - 1);
    CLM_RETURN_IF_ERROR(pg::AdminExec(
        stand_.postgres().Dsn(kLoyaltyDatabase),
        absl::StrReplaceAll(named, {{"$FROM", absl::StrCat(from)}, {"$TO", absl::StrCat(to)}})));
    if (to == count || to % (10 * kRowsAtOnce) == 0) {
      say_(absl::StrCat(what, ": ", to, " of ", count, " are made"));
    }
  }
  return absl::OkStatus();
}

absl::Status Points::Vacuum() {
  return pg::AdminExec(stand_.postgres().Dsn(kLoyaltyDatabase), "VACUUM ANALYZE");
}

Work Points::Earn(std::function<int64_t()> account) {
  Work work;
  work.next = [account = std::move(account)](int, std::string* bytes) {
    thread_local v1::EarnPointsRequest request;
    request.set_member(NameOf(account()));
    request.set_amount(kAmount);
    request.set_request_id(Uuid::V7(absl::Now()).ToString());
    return request.SerializeToString(bytes);
  };
  work.check = [](int, absl::string_view bytes) {
    v1::PostingResponse response;
    return response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
           response.posting().change() == kAmount;
  };
  return work;
}

Work Points::EarnUniform() {
  return Earn([this] { return absl::Uniform<int64_t>(Random(), 1, accounts_ + 1); });
}

Work Points::EarnHot() {
  return Earn([] { return kHotAccount; });
}

Work Points::EarnBatch() {
  Work work;
  work.next = [this](int, std::string* bytes) {
    v1::BatchEarnPointsRequest request;
    request.set_parent(kProgramName);
    request.set_request_id(Uuid::V7(absl::Now()).ToString());
    for (int i = 0; i < kEarnsPerRequest; ++i) {
      v1::EarnPointsRequest* earn = request.add_requests();
      earn->set_member(NameOf(absl::Uniform<int64_t>(Random(), 1, accounts_ + 1)));
      earn->set_amount(kAmount);
    }
    return request.SerializeToString(bytes);
  };
  work.check = [](int, absl::string_view bytes) {
    v1::BatchEarnPointsResponse response;
    return response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
           response.results_size() == kEarnsPerRequest &&
           std::all_of(response.results().begin(), response.results().end(),
                       [](const auto& result) { return result.status().code() == 0; });
  };
  return work;
}

Work Points::Get(std::function<std::string()> name, v1::Consistency consistency,
                 int max_staleness_seconds) {
  Work work;
  work.next = [name = std::move(name), consistency, max_staleness_seconds](int,
                                                                           std::string* bytes) {
    thread_local v1::GetMemberRequest request;
    request.Clear();
    request.set_name(name());
    request.set_consistency(consistency);
    if (max_staleness_seconds > 0) {
      request.mutable_max_staleness()->set_seconds(max_staleness_seconds);
    }
    return !request.name().empty() && request.SerializeToString(bytes);
  };
  work.check = [](int, absl::string_view bytes) {
    v1::Member member;
    return member.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
           member.balances_size() == 1 && member.balances(0).active() > 0;
  };
  return work;
}

std::string Points::UniformAccounts() const { return absl::StrCat("random(1, ", accounts_, ")"); }

std::string Points::HotAccount() { return absl::StrCat(kHotAccount); }

std::string Points::AnyMember() const {
  return NameOf(absl::Uniform<int64_t>(Random(), 1, accounts_ + 1));
}

Work Points::GetMember() {
  return Get([this] {
    return NameOf(absl::Uniform<int64_t>(Random(), 1, std::min(accounts_, kMostCached) + 1));
  });
}

Work Points::GetNear() {
  return Get(
      [this] {
        return NameOf(absl::Uniform<int64_t>(Random(), 1, std::min(accounts_, kMostNear) + 1));
      },
      v1::CONSISTENCY_UNSPECIFIED, kNearStalenessSeconds);
}

Work Points::GetEveryMember() {
  auto next = std::make_shared<std::atomic<int64_t>>(1);
  return Get([this, next] {
    const int64_t account = (*next)++;
    return account <= std::min(accounts_, kMostCached) ? NameOf(account) : "";
  });
}

// Whether a read grows with the account is for the database to show.
Work Points::GetShort() {
  return Get([] { return NameOf(kShortAccount); }, v1::CONSISTENCY_STRONG);
}

Work Points::GetLong() {
  return Get([] { return MemberName(kLongContact); }, v1::CONSISTENCY_STRONG);
}

}  // namespace clm::bench
