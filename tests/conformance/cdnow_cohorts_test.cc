// The purchase log of the CD shop CDNOW (Fader, Hardie and Lee 2005): what is published about it,
// and what is worked out from it, comes out of the insights API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/pg/admin.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"
#include "libs/testing/test_data.h"
#include "services/lifecycle/insights_module_part.h"
#include "services/lifecycle/lifecycle_proto.h"
#include "services/lifecycle/pg_lifecycle_store.h"

namespace clm::lifecycle {
namespace {

using ::testing::ElementsAre;

struct Purchase {
  std::string customer;
  absl::CivilDay day;
  int64_t pieces = 0;
  int64_t cents = 0;
};

// Lines of `columns` fields of which the last three are day, pieces and dollars; others, as a
// header, are left out.
std::vector<Purchase> ReadLog(std::istream& file, size_t columns) {
  std::vector<Purchase> log;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::vector<std::string> fields;
    for (std::string word; words >> word;) fields.push_back(word);
    int day = 0;
    double dollars = 0;
    Purchase purchase;
    if (fields.size() != columns || !absl::SimpleAtoi(fields[columns - 3], &day) ||
        !absl::SimpleAtoi(fields[columns - 2], &purchase.pieces) ||
        !absl::SimpleAtod(fields[columns - 1], &dollars)) {
      continue;
    }
    purchase.customer = fields[0];
    purchase.day = absl::CivilDay(day / 10000, day / 100 % 100, day % 100);
    purchase.cents = std::llround(dollars * 100);
    log.push_back(purchase);
  }
  return log;
}

class CdnowTest : public ::testing::Test {
 protected:
  CdnowTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(LifecycleDatabase())),
        clock_(Midnight(absl::CivilDay(1998, 8, 1))),
        pool_(pg::NewPool({.dsn = database_.app_dsn})),
        reader_(pool_.get(), &models_),
        tokens_("a secret of the test"),
        insights_(pool_.get(), &clock_, &reader_, &tokens_) {}

  // Everybody signs up on the day of the first purchase, which happens at noon.
  void Load(const std::vector<Purchase>& log) {
    constexpr size_t kRows = 5000;
    std::map<std::string, absl::CivilDay> first;
    for (const Purchase& p : log) first.emplace(p.customer, p.day);
    const auto contact = [](const std::string& customer) { return Uuid::V5(Uuid(), customer); };
    std::vector<Uuid> contacts, events;
    std::vector<absl::Time> times;
    std::vector<int64_t> amounts, pieces;
    const auto flush = [&] {
      pg::Args args;
      args.AddArray(contacts).AddArray(times).AddArray(events).AddArray(amounts).AddArray(pieces);
      CLM_ASSERT_OK(pool_->Transact({pg::Scope::Tenant("cdnow")}, [&](pg::Tx& tx) {
        return tx
            .ExecDynamic(
                "INSERT INTO fact (tenant_id, contact_id, occur_time, event_id, kind, type, "
                "amount_minor, currency, quantity) SELECT 'cdnow', c, t, e, 0, 'purchase', a, "
                "'USD', q FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::bigint[], "
                "$5::bigint[]) AS w (c, t, e, a, q)",
                args)
            .status();
      }));
      contacts.clear();
      times.clear();
      events.clear();
      amounts.clear();
      pieces.clear();
    };
    for (size_t i = 0; i < log.size(); ++i) {
      contacts.push_back(contact(log[i].customer));
      times.push_back(Midnight(log[i].day) + absl::Hours(12));
      events.push_back(Uuid::V5(Uuid(), absl::StrCat("line ", i)));
      amounts.push_back(log[i].cents);
      pieces.push_back(log[i].pieces);
      if (contacts.size() == kRows || i + 1 == log.size()) flush();
    }
    for (const auto& [customer, day] : first) {
      contacts.push_back(contact(customer));
      times.push_back(Midnight(day));
    }
    pg::Args args;
    args.AddArray(contacts).AddArray(times);
    CLM_ASSERT_OK(pool_->Transact({pg::Scope::Tenant("cdnow")}, [&](pg::Tx& tx) {
      return tx
          .ExecDynamic(
              "INSERT INTO customer (tenant_id, contact_id, source, locale, status, attributes, "
              "initial, create_time, version) SELECT 'cdnow', c, 'shop', '', 1, '{}', '{}', t, 1 "
              "FROM unnest($1::uuid[], $2::timestamptz[]) AS w (c, t)",
              args)
          .status();
    }));
  }

  int64_t Ask(const std::string& sql) {
    const auto rows = pg::AdminQuery(database_.admin_dsn, sql);
    EXPECT_THAT(rows, clm::testing::IsOk());
    return rows.ok() ? (*rows)[0].Int(0) : -1;
  }
  template <class Req, class Resp>
  Resp Do(absl::StatusOr<Resp> (InsightsHandlers::*rpc)(const rpc::Call&, const Req&),
          const Req& request) {
    rpc::Call call;
    call.now = clock_.Now();
    auto answer = (insights_.handlers().*rpc)(call, request);
    EXPECT_THAT(answer, clm::testing::IsOk());
    return answer.ok() ? *std::move(answer) : Resp{};
  }
  v1::GetCohortsResponse Cohorts(v1::Period period, v1::GetCohortsRequest::CohortBy by) {
    v1::GetCohortsRequest request;
    request.set_parent("tenants/cdnow");
    request.set_period(period);
    request.set_cohort_by(by);
    return Do(&InsightsHandlers::GetCohorts, request);
  }
  static std::vector<int64_t> Actives(const v1::GetCohortsResponse::Cohort& cohort, int from,
                                      int to) {
    std::vector<int64_t> actives;
    for (int age = from; age <= to && age < cohort.cells_size(); ++age) {
      actives.push_back(cohort.cells(age).active());
    }
    return actives;
  }

  const clm::testing::Database database_;
  ManualClock clock_;
  std::unique_ptr<pg::Pool> pool_;
  ModelCache models_;
  LifecycleReader reader_;
  PageTokens tokens_;
  InsightsModulePart insights_;
};

class CdnowSampleTest : public CdnowTest {
 protected:
  void SetUp() override {
    std::ifstream file(clm::testing::TestDataFile("CDNOW_sample.txt"));
    if (!file) GTEST_SKIP() << "no CDNOW_sample.txt in CLM_TEST_DATA";
    log_ = ReadLog(file, 5);
    Load(log_);
  }
  std::vector<Purchase> log_;
};

TEST_F(CdnowSampleTest, TheRawLogHasItsPublishedCounts) {
  EXPECT_EQ(Ask("SELECT count(*) FROM fact"), 6919);
  EXPECT_EQ(Ask("SELECT count(DISTINCT contact_id) FROM fact"), 2357);
  EXPECT_EQ(Ask("SELECT sum(quantity)::bigint FROM fact"), 16'479);
  EXPECT_EQ(Ask("SELECT sum(amount_minor)::bigint FROM fact"), 24'409'194);
  EXPECT_EQ(Ask("SELECT count(*) FROM fact WHERE amount_minor = 0"), 8);
  EXPECT_EQ(Ask("SELECT count(*) - count(DISTINCT (contact_id, occur_time)) FROM fact"), 223);
}

TEST_F(CdnowSampleTest, MonthlyCohortsHaveThePublishedSizesAndCells) {
  const auto table = Cohorts(v1::PERIOD_MONTH, v1::GetCohortsRequest::COHORT_BY_FIRST_PURCHASE);
  ASSERT_EQ(table.cohorts_size(), 3);
  EXPECT_EQ(table.currency(), "USD");
  EXPECT_EQ(table.cohorts(0).start_date(), "1997-01-01");
  EXPECT_EQ(table.cohorts(0).size(), 781);
  EXPECT_EQ(table.cohorts(1).size(), 857);
  EXPECT_EQ(table.cohorts(2).size(), 719);
  EXPECT_THAT(Actives(table.cohorts(0), 0, 4), ElementsAre(781, 124, 95, 70, 65));
  EXPECT_THAT(Actives(table.cohorts(1), 0, 4), ElementsAre(857, 134, 110, 75, 77));
  EXPECT_THAT(Actives(table.cohorts(2), 0, 4), ElementsAre(719, 87, 84, 78, 63));
  int64_t revenue = 0;
  for (const auto& cohort : table.cohorts()) {
    for (const auto& cell : cohort.cells()) {
      EXPECT_TRUE(cell.complete());
      revenue += cell.revenue_minor();
    }
  }
  EXPECT_EQ(revenue, 24'409'194);
  // The log ends in June 1998: no columns of zeros behind it.
  EXPECT_EQ(table.cohorts(0).cells_size(), 18);
  EXPECT_EQ(table.cohorts(2).cells_size(), 16);
}

TEST_F(CdnowSampleTest, WhoeverSignsUpWithTheFirstPurchaseIsInTheSameCohort) {
  const auto by_purchase =
      Cohorts(v1::PERIOD_QUARTER, v1::GetCohortsRequest::COHORT_BY_FIRST_PURCHASE);
  const auto by_sign_up = Cohorts(v1::PERIOD_QUARTER, v1::GetCohortsRequest::COHORT_BY_SIGN_UP);
  ASSERT_EQ(by_purchase.cohorts_size(), 1);
  EXPECT_EQ(by_purchase.cohorts(0).size(), 2357);
  EXPECT_EQ(by_purchase.SerializeAsString(), by_sign_up.SerializeAsString());
}

TEST_F(CdnowSampleTest, TheNaiveRateOverQuartersCountsThoseWhoCameBack) {
  const absl::Time start = Midnight(absl::CivilDay(1997, 4, 1));
  const absl::Time end = Midnight(absl::CivilDay(1998, 7, 1));
  v1::GetRetentionRequest request;
  request.set_parent("tenants/cdnow");
  request.mutable_definition()->mutable_bought_within()->set_days(90);
  ToProto(start, request.mutable_start_time());
  ToProto(end, request.mutable_end_time());
  request.set_period(v1::PERIOD_QUARTER);
  const auto answer = Do(&InsightsHandlers::GetRetention, request);
  ASSERT_EQ(answer.periods_size(), 5);
  // The same from the file.
  const auto customers = [&](absl::Time at) {
    std::set<std::string> there;
    for (const Purchase& p : log_) {
      const absl::Time bought = Midnight(p.day) + absl::Hours(12);
      if (bought < at && bought >= at - absl::Hours(90 * 24)) there.insert(p.customer);
    }
    return there;
  };
  absl::CivilDay day(1997, 4, 1);
  for (const auto& period : answer.periods()) {
    const auto before = customers(Midnight(day));
    day = absl::CivilDay(absl::CivilMonth(day) + 3);
    const auto after = customers(Midnight(day));
    int64_t kept = 0;
    for (const auto& customer : after) kept += static_cast<int64_t>(before.count(customer));
    EXPECT_EQ(period.at_start(), static_cast<int64_t>(before.size()));
    EXPECT_EQ(period.at_end(), static_cast<int64_t>(after.size()));
    EXPECT_EQ(period.kept(), kept);
    EXPECT_EQ(period.new_customers(), 0);  // Everybody first bought in the first quarter.
    EXPECT_EQ(period.returned(), static_cast<int64_t>(after.size()) - kept);
    EXPECT_NEAR(period.retention_rate() + period.churn_rate(), 1, 1e-12);
  }
  EXPECT_GT(answer.periods(2).returned(), 0);
  EXPECT_GT(answer.periods(2).naive_retention_rate(), answer.periods(2).retention_rate());
}

TEST_F(CdnowSampleTest, TheValueOfAllCustomersIsTheSumOfTheLog) {
  v1::GetCustomerValueRequest request;
  request.set_parent("tenants/cdnow");
  const auto total = Do(&InsightsHandlers::GetCustomerValue, request);
  ASSERT_EQ(total.values_size(), 1);
  EXPECT_EQ(total.values(0).customers(), 2357);
  EXPECT_EQ(total.values(0).purchases(), 6919);
  EXPECT_EQ(total.values(0).value_minor(), 24'409'194);
  request.set_group_by(v1::GetCustomerValueRequest::GROUP_BY_COHORT);
  const auto cohorts = Do(&InsightsHandlers::GetCustomerValue, request);
  ASSERT_EQ(cohorts.values_size(), 3);
  EXPECT_EQ(cohorts.values(0).customers(), 781);
  EXPECT_EQ(cohorts.values(1).customers(), 857);
  EXPECT_EQ(cohorts.values(2).customers(), 719);
}

// All of the log: the statements are set-based and take 70 thousand events at once.
TEST_F(CdnowTest, TheMasterLogIsOneTable) {
  std::ifstream file(clm::testing::TestDataFile("CDNOW_master.txt"));
  if (!file) GTEST_SKIP() << "no CDNOW_master.txt in CLM_TEST_DATA";
  const std::vector<Purchase> log = ReadLog(file, 4);
  Load(log);
  std::map<std::string, absl::CivilDay> first;
  for (const Purchase& p : log) {
    const auto [it, fresh] = first.emplace(p.customer, p.day);
    if (!fresh) it->second = std::min(it->second, p.day);
  }
  EXPECT_EQ(first.size(), 23'570u);
  std::map<int, int64_t> sizes;
  for (const auto& [_, day] : first) ++sizes[day.month()];
  const auto table = Cohorts(v1::PERIOD_MONTH, v1::GetCohortsRequest::COHORT_BY_FIRST_PURCHASE);
  ASSERT_EQ(table.cohorts_size(), 3);
  std::map<std::pair<int, int>, std::set<std::string>> active;
  for (const Purchase& p : log) {
    const absl::CivilMonth cohort(first.at(p.customer));
    active[{cohort.month(), static_cast<int>(absl::CivilMonth(p.day) - cohort)}].insert(p.customer);
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(table.cohorts(i).size(), sizes[i + 1]);
    for (const auto& cell : table.cohorts(i).cells()) {
      EXPECT_EQ(cell.active(), static_cast<int64_t>((active[{i + 1, cell.age()}].size())));
    }
  }

  // A stage per purchase, as rules would have moved everybody: the funnel is the depth of repeat.
  CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn, R"sql(
    INSERT INTO transition (tenant_id, contact_id, model_id, sequence, from_stage, to_stage,
                            effective_time, record_time, cause, direction, rule_id, fact_type,
                            actor, reason, skipped, synthetic, model_version, episode)
    SELECT tenant_id, contact_id, 'depth', n, CASE n WHEN 1 THEN '' ELSE 'n' || n - 1 END, 'n' || n,
           occur_time, occur_time, 0, 1, 'r', 'purchase', '', '', '{}', false, 1, 1
    FROM (SELECT *, row_number() OVER (PARTITION BY contact_id ORDER BY occur_time, event_id) AS n
          FROM fact) AS f)sql"));
  std::map<std::string, int64_t> purchases;
  for (const Purchase& p : log) ++purchases[p.customer];
  InsightsStore store(pool_.get());
  std::vector<FunnelRow> funnel;
  CLM_ASSERT_OK(store.Read("cdnow", absl::InfiniteFuture(), [&](InsightsQueries& queries) {
    auto rows = queries.Funnel("depth", {{"n1"}, {"n2"}, {"n3"}, {"n4"}}, absl::InfinitePast(),
                               absl::InfiniteFuture(), clock_.Now());
    if (rows.ok()) funnel = *std::move(rows);
    return rows.status();
  }));
  ASSERT_EQ(funnel.size(), 8u);
  for (const FunnelRow& row : funnel) {
    int64_t reached = 0;
    for (const auto& [_, n] : purchases) reached += n > row.step ? 1 : 0;
    EXPECT_EQ(row.entrants, reached) << row.strict << " " << row.step;
  }
}

}  // namespace
}  // namespace clm::lifecycle
