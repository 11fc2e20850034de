#include "services/lifecycle/insights_handlers.h"

#include <functional>
#include <map>
#include <set>

#include "services/lifecycle/insights_fixture.h"
#include "services/lifecycle/lifecycle_handlers.h"

namespace clm::lifecycle {
namespace {

using ::clm::testing::ReasonIs;
using ::clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using InsightsStoreTest = InsightsTest;

TEST_F(InsightsStoreTest, EveryStatementPreparesAgainstTheSchema) {
  CLM_EXPECT_OK(node_->pool->Prepare(InsightsStatements()));
  CLM_EXPECT_OK(node_->pool->Prepare(KpiStatements()));
}

TEST_F(InsightsTest, EveryMethodOfTheServiceHasAPolicyAndAHandler) {
  obs::Metrics metrics;
  rpc::Host host({.clock = &clock_, .metrics = &metrics});
  CLM_EXPECT_OK(insights_.Binding(host)->Verify());
}

class StageBoardTest : public InsightsTest {
 protected:
  v1::GetStageBoardResponse Board(double day, const std::string& start = "",
                                  const std::string& model = "non-contractual") {
    v1::GetStageBoardRequest request;
    request.set_model(ModelNameOf(model));
    *request.mutable_as_of_time() = At(day);
    request.set_start_date(start);
    auto board = Do(&InsightsHandlers::GetStageBoard, request);
    EXPECT_THAT(board, clm::testing::IsOk());
    return board.ok() ? *std::move(board) : v1::GetStageBoardResponse{};
  }
  // "stage count/overdue" of stages with anybody.
  static std::vector<std::string> Counts(const v1::GetStageBoardResponse& board) {
    std::vector<std::string> counts;
    for (const auto& stage : board.stages()) {
      if (stage.count() == 0) continue;
      counts.push_back(absl::StrCat(stage.stage(), " ", stage.count(), "/", stage.overdue_count()));
    }
    return counts;
  }
  static std::vector<std::string> Flows(const v1::GetStageBoardResponse& board) {
    std::vector<std::string> flows;
    for (const auto& flow : board.flows()) {
      flows.push_back(
          absl::StrCat(flow.date(), " ", flow.stage(), " +", flow.entered(), " -", flow.left()));
    }
    return flows;
  }
};

TEST_F(StageBoardTest, CountsAsOfAnyInstantFromTheLog) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 1), Behaved(Contact(1), {{1, 10}, {2, 20}}),
                         Created(Contact(2), 1), Behaved(Contact(2), {{3, 15}})}));
  Settle();
  EXPECT_THAT(Counts(Board(10)), IsEmpty());  // Just before it happened.
  EXPECT_THAT(Counts(Board(10.5)), ElementsAre("first_purchase 1/0"));
  EXPECT_THAT(Counts(Board(16)), ElementsAre("first_purchase 2/0"));
  EXPECT_THAT(Counts(Board(21)), ElementsAre("first_purchase 1/0", "repeat 1/0"));
  EXPECT_EQ(Board(21).stages_size(), 5);
  EXPECT_EQ(Board(21).stages(1).label(), "Repeat");
}

TEST_F(StageBoardTest, ALateFactChangesThePastItBelongsTo) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 1), Behaved(Contact(1), {{1, 20}})}));
  EXPECT_THAT(Counts(Board(15)), IsEmpty());
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{2, 10}})}));
  EXPECT_THAT(Counts(Board(15)), ElementsAre("first_purchase 1/0"));
  EXPECT_THAT(Counts(Board(25)), ElementsAre("repeat 1/0"));
}

TEST_F(StageBoardTest, FlowsOfTheLastDayEndAtTheInstant) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 1), Behaved(Contact(1), {{1, 1}, {2, 2.75}}),
                         Created(Contact(2), 1), Behaved(Contact(2), {{3, 2.25}})}));
  EXPECT_THAT(Flows(Board(2.5, "2020-01-01")),
              ElementsAre("2020-01-02 first_purchase +1 -0", "2020-01-03 first_purchase +1 -0"));
  EXPECT_THAT(Flows(Board(3, "2020-01-03")),
              ElementsAre("2020-01-03 first_purchase +1 -1", "2020-01-03 repeat +1 -0"));
  EXPECT_THAT(Flows(Board(3, "2020-01-04")), IsEmpty());
}

TEST_F(StageBoardTest, OverdueCountsThoseWhoseTargetHasPassedByThen) {
  StageModel model = OpenModel("care", {"open", "closed"});
  model.stages[0].target_days = 7;
  Install(model, RulesOf(model));
  CLM_ASSERT_OK(
      Deliver({Created(Contact(1), 1), Behaved(Contact(1), {{1, 10, "open"}}),
               Created(Contact(2), 1), Behaved(Contact(2), {{2, 10, "open"}, {3, 12, "closed"}})}));
  Settle();
  EXPECT_THAT(Counts(Board(17, "", "care")), ElementsAre("open 1/0", "closed 1/0"));
  EXPECT_THAT(Counts(Board(17.5, "", "care")), ElementsAre("open 1/1", "closed 1/0"));
}

// Two teams see the same customers through models of their own; by canonical stage their boards are
// of the same things and add up to the same customers.
TEST_F(StageBoardTest, ByCanonicalStageTheBoardsOfTwoModelsAddUp) {
  using C = CanonicalStage;
  StageModel marketing = OpenModel("marketing", {"reader", "lead", "buyer", "patron", "odd"});
  const C meanings[] = {C::kAwareness, C::kInterest, C::kConversion, C::kRetention,
                        C::kUnspecified};
  for (size_t i = 0; i < marketing.stages.size(); ++i) marketing.stages[i].canonical = meanings[i];
  marketing.stages[2].target_days = marketing.stages[4].target_days = 7;
  StageModel success = OpenModel("success", {"buyer", "kept", "renewed"});
  success.stages[0].canonical = C::kConversion;
  success.stages[1].canonical = success.stages[2].canonical = C::kRetention;
  success.stages[1].target_days = 7;
  success.stages[2].target_days = 30;
  Install(marketing, RulesOf(marketing));
  Install(success, RulesOf(success));
  CLM_ASSERT_OK(Deliver({
      Created(Contact(1), 1),
      Behaved(Contact(1),
              {{1, 10, "buyer"}, {2, 11, "patron"}, {3, 11.5, "kept"}, {4, 12, "renewed"}}),
      Created(Contact(2), 1),
      Behaved(Contact(2), {{5, 10, "buyer"}}),
      Created(Contact(3), 1),
      Behaved(Contact(3), {{6, 10, "buyer"}, {7, 12, "kept"}, {8, 13, "patron"}}),
      Created(Contact(4), 1),
      Behaved(Contact(4), {{9, 10, "odd"}}),
  }));
  Settle();
  const auto board = [&](const std::string& model) {
    v1::GetStageBoardRequest request;
    request.set_model(ModelNameOf(model));
    request.set_by_canonical_stage(true);
    request.set_start_date("2020-01-01");
    *request.mutable_as_of_time() = At(20);
    auto answer = Do(&InsightsHandlers::GetStageBoard, request);
    EXPECT_THAT(answer, clm::testing::IsOk());
    return *std::move(answer);
  };
  const auto counts = [](const v1::GetStageBoardResponse& board) {
    std::vector<std::string> rows;
    for (const auto& row : board.stages()) {
      rows.push_back(absl::StrCat(row.label(), " ", row.count(), "/", row.overdue_count()));
    }
    return rows;
  };
  const auto seen = board("marketing"), kept = board("success");
  EXPECT_THAT(counts(seen), ElementsAre("awareness 0/0", "interest 0/0", "conversion 1/1",
                                        "retention 2/0", "not mapped 1/1"));
  // Of two stages of one meaning, one's customer is overdue.
  EXPECT_THAT(counts(kept), ElementsAre("conversion 1/0", "retention 2/1"));
  // in(t2) = in(t1) + entered - left, by meaning too: also when a move stays within one.
  for (const auto& one : {seen, kept}) {
    std::map<int, int64_t> balance;
    for (const auto& flow : one.flows()) {
      balance[flow.canonical_stage()] += flow.entered() - flow.left();
    }
    for (const auto& row : one.stages()) {
      EXPECT_EQ(balance[row.canonical_stage()], row.count()) << row.label();
    }
  }
}

TEST_F(StageBoardTest, RefusesWhatItCannotAnswer) {
  v1::GetStageBoardRequest request;
  request.set_model(ModelNameOf("none"));
  EXPECT_THAT(Do(&InsightsHandlers::GetStageBoard, request), StatusIs(absl::StatusCode::kNotFound));
  request.set_start_date("yesterday");
  EXPECT_THAT(Do(&InsightsHandlers::GetStageBoard, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("start_date")));
  request.set_start_date("1970-01-01");
  EXPECT_THAT(Do(&InsightsHandlers::GetStageBoard, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("3660")));
}

class FunnelTest : public InsightsTest {
 protected:
  FunnelTest() {
    model_ = OpenModel("funnel", {"lead", "trial", "buyer"});
    model_.stages[1].target_days = 30;
    model_.stages.push_back(
        {.id = "gone", .label = "Gone", .position = 9, .kind = StageKind::kNegative});
    Install(model_, RulesOf(model_));
  }
  void Person(int number, const std::vector<std::pair<double, std::string>>& entries) {
    std::vector<Did> events;
    events.reserve(entries.size());
    for (const auto& [day, stage] : entries) events.push_back({next_id_++, day, stage});
    CLM_ASSERT_OK(Deliver({Created(Contact(number), 1), Behaved(Contact(number), events)}));
  }
  v1::GetFunnelResponse Funnel(std::optional<double> start = {}, std::optional<double> end = {}) {
    v1::GetFunnelRequest request;
    request.set_model(ModelNameOf("funnel"));
    if (start) *request.mutable_start_time() = At(*start);
    if (end) *request.mutable_end_time() = At(*end);
    auto funnel = Do(&InsightsHandlers::GetFunnel, request);
    EXPECT_THAT(funnel, clm::testing::IsOk());
    return funnel.ok() ? *std::move(funnel) : v1::GetFunnelResponse{};
  }
  // "entrants-dropped" by step.
  template <class Steps>
  static std::vector<std::string> Shape(const Steps& steps) {
    std::vector<std::string> shape;
    for (const auto& step : steps) {
      shape.push_back(absl::StrCat(step.entrants(), "-", step.drop_off()));
    }
    return shape;
  }

  StageModel model_;
  int next_id_ = 1;
};

TEST_F(FunnelTest, AJumpCountsForReachedAtLeastAndEndsTheStrictReading) {
  Person(1, {{10, "lead"}, {12, "trial"}, {16, "buyer"}});
  Person(2, {{10, "lead"}, {20, "buyer"}});
  Person(3, {{10, "lead"}, {20, "buyer"}, {30, "trial"}});
  Person(4, {{10, "trial"}});
  Settle();
  const auto funnel = Funnel();
  EXPECT_THAT(Shape(funnel.strict_order()), ElementsAre("3-2", "1-0", "1-0"));
  // The fourth never was a lead but is as far as a trial, overdue by now.
  EXPECT_THAT(Shape(funnel.reached_at_least()), ElementsAre("4-0", "4-1", "3-0"));
  EXPECT_NEAR(funnel.reached_at_least(2).from_previous(), 0.75, 1e-12);
  EXPECT_NEAR(funnel.strict_order(2).from_top(), 1 / 3.0, 1e-12);
  EXPECT_FALSE(funnel.strict_order(0).has_from_previous());
  EXPECT_EQ(funnel.strict_order(1).label(), "The trial");
}

TEST_F(FunnelTest, GoingBackDoesNotEndTheStrictReading) {
  Person(1, {{10, "lead"}, {12, "trial"}, {13, "lead"}, {14, "trial"}, {16, "buyer"}});
  Settle();
  const auto funnel = Funnel();
  EXPECT_THAT(Shape(funnel.strict_order()), ElementsAre("1-0", "1-0", "1-0"));
  EXPECT_EQ(funnel.strict_order(2).median_seconds(), 4 * 86400);  // Since the first trial.
}

TEST_F(FunnelTest, DropOffIsWhoLeftOrIsOverdue) {
  clock_.Set(Day(100));
  Person(1, {{90, "lead"}});                 // Still there, no target.
  Person(2, {{90, "lead"}, {91, "gone"}});   // Left.
  Person(3, {{60, "lead"}, {61, "trial"}});  // Past its target.
  Person(4, {{90, "lead"}, {91, "trial"}});  // Within it.
  Settle();
  EXPECT_THAT(Shape(Funnel().strict_order()), ElementsAre("4-1", "2-1", "0-0"));
}

TEST_F(FunnelTest, ByCanonicalStageAStepIsEnteredWithAnyStageOfItsMeaning) {
  using C = CanonicalStage;
  StageModel model = OpenModel("both", {"kept", "buyer", "renewed", "fan"});
  model.stages[0].canonical = model.stages[2].canonical = C::kRetention;
  model.stages[1].canonical = C::kConversion;
  model.stages[3].canonical = C::kLoyalty;
  Install(model, RulesOf(model));
  CLM_ASSERT_OK(Deliver({
      Created(Contact(51), 1),
      Behaved(Contact(51), {{501, 10, "buyer"}, {502, 12, "kept"}, {503, 14, "renewed"}}),
      Created(Contact(52), 1),
      Behaved(Contact(52), {{504, 10, "buyer"}, {505, 16, "renewed"}}),
      Created(Contact(53), 1),
      Behaved(Contact(53), {{506, 10, "buyer"}}),
  }));
  v1::GetFunnelRequest request;
  request.set_model(ModelNameOf("both"));
  request.set_by_canonical_stage(true);
  const auto funnel = Do(&InsightsHandlers::GetFunnel, request);
  CLM_ASSERT_OK(funnel);
  ASSERT_EQ(funnel->strict_order_size(), 3);
  EXPECT_EQ(funnel->strict_order(0).canonical_stage(), v1::CANONICAL_STAGE_CONVERSION);
  EXPECT_EQ(funnel->strict_order(0).stage(), "");
  EXPECT_EQ(funnel->strict_order(0).entrants(), 3);
  EXPECT_EQ(funnel->strict_order(0).drop_off(), 0);
  EXPECT_EQ(funnel->strict_order(1).canonical_stage(), v1::CANONICAL_STAGE_RETENTION);
  EXPECT_EQ(funnel->strict_order(1).entrants(), 2);
  EXPECT_EQ(funnel->strict_order(1).median_seconds(), 2 * 86400);
  // Who went on to another stage of the same meaning has not left the step.
  EXPECT_EQ(funnel->strict_order(1).drop_off(), 0);
  request.add_steps("kept");
  EXPECT_THAT(Do(&InsightsHandlers::GetFunnel, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("steps")));
}

TEST_F(FunnelTest, TimesAreExactOrderStatistics) {
  for (int i = 1; i <= 10; ++i) {
    Person(i, {{10, "lead"}, {10 + i, "trial"}});
  }
  Settle();
  const auto funnel = Funnel();
  EXPECT_FALSE(funnel.strict_order(0).has_median_seconds());
  EXPECT_EQ(funnel.strict_order(1).median_seconds(), 5 * 86400);
  EXPECT_EQ(funnel.strict_order(1).p90_seconds(), 9 * 86400);
  EXPECT_FALSE(funnel.strict_order(2).has_median_seconds());
}

TEST_F(FunnelTest, TheTimeAskedForIsWhenTheFirstStepWasEntered) {
  Person(1, {{10, "lead"}, {40, "trial"}});
  Person(2, {{20, "lead"}, {21, "trial"}});
  Settle();
  EXPECT_THAT(Shape(Funnel(10, 20).strict_order()), ElementsAre("1-0", "1-1", "0-0"));
  EXPECT_THAT(Shape(Funnel(20, 30).reached_at_least()), ElementsAre("1-0", "1-1", "0-0"));
  EXPECT_THAT(Shape(Funnel(30, 50).reached_at_least()), ElementsAre("0-0", "0-0", "0-0"));
}

class RetentionRpcTest : public InsightsTest {
 protected:
  v1::GetRetentionRequest Bought(int days, double start, double end,
                                 v1::Period period = v1::PERIOD_UNSPECIFIED) {
    v1::GetRetentionRequest request;
    request.set_parent("tenants/acme");
    request.mutable_definition()->mutable_bought_within()->set_days(days);
    *request.mutable_start_time() = At(start);
    *request.mutable_end_time() = At(end);
    request.set_period(period);
    return request;
  }
  // "S E N kept lost returned".
  static std::string Figures(const v1::GetRetentionResponse::PeriodRetention& p) {
    return absl::StrCat(p.at_start(), " ", p.at_end(), " ", p.new_customers(), " ", p.kept(), " ",
                        p.lost(), " ", p.returned());
  }
};

TEST_F(RetentionRpcTest, WhoComesBackAfterASilentPeriodIsNotKept) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({
      Created(Contact(1), 1),
      Behaved(Contact(1), {{1, 100}, {2, 180}}),  // Kept.
      Created(Contact(2), 1),
      Behaved(Contact(2), {{3, 100}}),  // Lost.
      Created(Contact(3), 1),
      Behaved(Contact(3), {{4, 10}, {5, 170}}),  // Returned.
      Created(Contact(4), 1),
      Behaved(Contact(4), {{6, 150}}),  // New.
      Created(Contact(5), 1),
      Behaved(Contact(5), {{7, 150, "visit"}, {8, 99, "visit"}}),
  }));
  const auto answer = Do(&InsightsHandlers::GetRetention, Bought(60, 120, 200));
  CLM_ASSERT_OK(answer);
  ASSERT_EQ(answer->periods_size(), 1);
  EXPECT_EQ(Figures(answer->periods(0)), "2 3 1 1 1 1");
  EXPECT_NEAR(answer->periods(0).retention_rate(), 0.5, 1e-12);
  EXPECT_NEAR(answer->periods(0).churn_rate(), 0.5, 1e-12);
  EXPECT_NEAR(answer->periods(0).naive_retention_rate(), 1, 1e-12);
  EXPECT_THAT(answer->definition_text(), HasSubstr("\"purchase\" in the 60 days"));
}

TEST_F(RetentionRpcTest, TheWindowHasSharpEnds) {
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 1), Behaved(Contact(1), {{1, 100}})}));
  // [t - 10 days, t): at t = 110 the event is in it, just after it is not; nor is it at t = 100.
  const auto in = Do(&InsightsHandlers::GetRetention, Bought(10, 100, 110));
  CLM_ASSERT_OK(in);
  EXPECT_EQ(Figures(in->periods(0)), "0 1 1 0 0 0");
  EXPECT_FALSE(in->periods(0).has_retention_rate());
  const auto out = Do(&InsightsHandlers::GetRetention, Bought(10, 100, 110.001));
  CLM_ASSERT_OK(out);
  EXPECT_EQ(Figures(out->periods(0)), "0 0 0 0 0 0");
}

TEST_F(RetentionRpcTest, ByStageItSaysWhichStagesCount) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 1), Behaved(Contact(1), {{1, 100}, {2, 180}}),
                         Created(Contact(2), 1), Behaved(Contact(2), {{3, 100}})}));
  Settle();
  v1::GetRetentionRequest request;
  request.set_parent("tenants/acme");
  request.mutable_definition()->mutable_in_stage()->set_model(ModelNameOf("non-contractual"));
  *request.mutable_start_time() = At(120);
  *request.mutable_end_time() = At(240);
  auto answer = Do(&InsightsHandlers::GetRetention, request);
  CLM_ASSERT_OK(answer);
  EXPECT_EQ(Figures(answer->periods(0)), "2 1 0 1 1 0");
  EXPECT_THAT(answer->definition_text(), HasSubstr("First purchase, Repeat, Won back"));
  request.mutable_definition()->mutable_in_stage()->add_stages("repeat");
  answer = Do(&InsightsHandlers::GetRetention, request);
  CLM_ASSERT_OK(answer);
  EXPECT_EQ(Figures(answer->periods(0)), "0 1 1 0 0 0");
  request.mutable_definition()->mutable_in_stage()->add_stages("nowhere");
  EXPECT_THAT(Do(&InsightsHandlers::GetRetention, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("stages[1]")));
}

TEST_F(RetentionRpcTest, PeriodsAreCutAtTheCalendarAndEndNow) {
  const auto answer = Do(&InsightsHandlers::GetRetention, Bought(30, 940, 2000, v1::PERIOD_MONTH));
  CLM_ASSERT_OK(answer);  // The clock stands at day 1000, the 27th of September 2022.
  ASSERT_EQ(answer->periods_size(), 3);
  EXPECT_EQ(FromProto(answer->periods(1).start_time()), Midnight(absl::CivilDay(2022, 8, 1)));
  EXPECT_EQ(FromProto(answer->periods(2).end_time()), clock_.Now());
  EXPECT_THAT(Do(&InsightsHandlers::GetRetention, Bought(30, 1, 900, v1::PERIOD_DAY)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("400")));
}

class CohortsTest : public InsightsTest {
 protected:
  absl::StatusOr<v1::GetCohortsResponse> Cohorts(
      double as_of, const std::function<void(v1::GetCohortsRequest&)>& with = nullptr) {
    v1::GetCohortsRequest request;
    request.set_parent("tenants/acme");
    *request.mutable_as_of_time() = At(as_of);
    if (with) with(request);
    return Do(&InsightsHandlers::GetCohorts, request);
  }
  // "2020-01-01 2: 2/300 1/50 -": size, then active/revenue by age.
  static std::vector<std::string> Table(const absl::StatusOr<v1::GetCohortsResponse>& answer) {
    std::vector<std::string> rows;
    EXPECT_THAT(answer, clm::testing::IsOk());
    if (!answer.ok()) return rows;
    for (const auto& cohort : answer->cohorts()) {
      std::string row = absl::StrCat(cohort.start_date(), " ", cohort.size(), ":");
      for (const auto& cell : cohort.cells()) {
        if (cell.complete()) {
          absl::StrAppend(&row, " ", cell.active(), "/", cell.revenue_minor());
        } else {
          EXPECT_FALSE(cell.has_active() || cell.has_share() || cell.has_revenue_minor() ||
                       cell.has_revenue_per_head_minor());
          absl::StrAppend(&row, " -");
        }
      }
      rows.push_back(row);
    }
    return rows;
  }
};

TEST_F(CohortsTest, CellsThatAreNotCompleteAreBlankNotZero) {
  CLM_ASSERT_OK(Deliver({
      Created(Contact(1), 1),
      Behaved(Contact(1), {{1, 3}, {2, 4}, {3, 40, "purchase", 50}, {4, 65, "purchase", 7}}),
      Created(Contact(2), 1),
      Behaved(Contact(2), {{5, 10}}),
      Created(Contact(3), 1),
      Behaved(Contact(3), {{6, 35, "purchase", 30}, {7, 36, "visit"}}),
  }));
  // Day 70 is the 11th of March.
  EXPECT_THAT(Table(Cohorts(70)),
              ElementsAre("2020-01-01 2: 2/300 1/50 -", "2020-02-01 1: 1/30 -"));
  // March has ended at day 91.
  EXPECT_THAT(Table(Cohorts(91)),
              ElementsAre("2020-01-01 2: 2/300 1/50 1/7", "2020-02-01 1: 1/30 0/0"));
  const auto answer = Cohorts(91);
  EXPECT_NEAR(answer->cohorts(0).cells(1).share(), 0.5, 1e-12);
  EXPECT_EQ(answer->cohorts(0).cells(2).revenue_per_head_minor(), 4);  // 3.5
  EXPECT_EQ(answer->currency(), "EUR");
}

TEST_F(CohortsTest, RefundsAreTakenOffTheRevenueAndMakeNobodyActive) {
  CLM_ASSERT_OK(Deliver(
      {Created(Contact(1), 1), Behaved(Contact(1), {{1, 3}, {2, 40, "refund", 60}, {3, 70}})}));
  EXPECT_THAT(Table(Cohorts(61)), ElementsAre("2020-01-01 1: 1/100"));
  EXPECT_THAT(Table(Cohorts(91)), ElementsAre("2020-01-01 1: 1/100 0/-60 1/100"));
}

TEST_F(CohortsTest, WeeksQuartersAndTheTimeAskedForCutTheRows) {
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 1), Behaved(Contact(1), {{1, 0.5}, {2, 100}}),
                         Created(Contact(2), 1), Behaved(Contact(2), {{3, 5}})}));
  // The 1st of January 2020 is a Wednesday, the 6th a Monday.
  EXPECT_THAT(Table(Cohorts(20,
                            [](auto& r) {
                              r.set_period(v1::PERIOD_WEEK);
                              *r.mutable_start_time() = At(7);
                            })),
              ElementsAre("2020-01-06 1: 1/100"));
  EXPECT_THAT(Table(Cohorts(20,
                            [](auto& r) {
                              r.set_period(v1::PERIOD_WEEK);
                              *r.mutable_end_time() = At(5);
                            })),
              ElementsAre("2019-12-30 1: 1/100 0/0"));
  EXPECT_THAT(Table(Cohorts(200, [](auto& r) { r.set_period(v1::PERIOD_QUARTER); })),
              ElementsAre("2020-01-01 2: 2/200 1/100"));
}

TEST_F(CohortsTest, SignUpCountsThoseWhoNeverBought) {
  CLM_ASSERT_OK(
      Deliver({Created(Contact(1), 3), Behaved(Contact(1), {{1, 40}}), Created(Contact(2), 5),
               Created(Contact(3), 50), Behaved(Contact(3), {{2, 10}, {3, 61}})}));
  const auto by_sign_up = [](auto& r) {
    r.set_cohort_by(v1::GetCohortsRequest::COHORT_BY_SIGN_UP);
  };
  // The third bought before the contact was created: the relationship began then.
  EXPECT_THAT(Table(Cohorts(61, by_sign_up)), ElementsAre("2020-01-01 3: 1/100 1/100"));
}

TEST_F(CohortsTest, ATooFineTableIsRefused) {
  std::vector<event::v1::Event> events;
  for (int i = 0; i < 500; ++i) {
    events.push_back(Created(Contact(i), 1));
    events.push_back(Behaved(Contact(i), {{i + 1, i * 1.0}, {i + 1000, 900}}));
  }
  CLM_ASSERT_OK(Deliver(events));
  EXPECT_THAT(Cohorts(999, [](auto& r) { r.set_period(v1::PERIOD_DAY); }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("period")));
}

class CustomerValueTest : public InsightsTest {
 protected:
  absl::StatusOr<v1::GetCustomerValueResponse> Values(
      v1::GetCustomerValueRequest::GroupBy group,
      const std::function<void(v1::GetCustomerValueRequest&)>& with = nullptr) {
    v1::GetCustomerValueRequest request;
    request.set_parent("tenants/acme");
    request.set_group_by(group);
    if (with) with(request);
    return Do(&InsightsHandlers::GetCustomerValue, request);
  }
  // "key customers/purchases revenue-refund-cost=value".
  static std::vector<std::string> Rows(const absl::StatusOr<v1::GetCustomerValueResponse>& answer) {
    std::vector<std::string> rows;
    EXPECT_THAT(answer, clm::testing::IsOk());
    if (!answer.ok()) return rows;
    for (const auto& v : answer->values()) {
      rows.push_back(absl::StrCat(v.key(), " ", v.customers(), "/", v.purchases(), " ",
                                  v.revenue_minor(), "-", v.refund_minor(), "-",
                                  v.acquisition_cost_minor(), "=", v.value_minor()));
    }
    return rows;
  }
  struct Sale {
    int id;
    double day;
    const char* type;
    int64_t amount;
    int64_t cost;  // Of the goods; negative: not told.
    const char* currency = "EUR";
  };
  event::v1::Event Sold(int contact, const std::vector<Sale>& sales) {
    contact::v1::BehaviorRecorded recorded;
    recorded.set_contact(EntityName(kContacts, Contact(contact)));
    for (const Sale& sale : sales) {
      auto* event = recorded.add_events();
      event->set_event_id(Id(sale.id).ToString());
      event->set_type(sale.type);
      ToProto(Day(sale.day), event->mutable_occur_time());
      event->set_amount_minor(sale.amount);
      event->set_currency(sale.currency);
      if (sale.cost >= 0) (*event->mutable_properties())["cost_minor"].set_int64_value(sale.cost);
    }
    return Envelope(Contact(contact), recorded);
  }
  // "goods margin" of the total and of each customer.
  std::vector<std::string> Margins() {
    std::vector<std::string> rows;
    for (const auto group : {Request::GROUP_BY_TOTAL, Request::GROUP_BY_CUSTOMER}) {
      const auto answer = Values(group);
      EXPECT_THAT(answer, clm::testing::IsOk());
      if (!answer.ok()) continue;
      for (const auto& v : answer->values()) {
        rows.push_back(
            absl::StrCat(v.goods_cost_minor(), " ",
                         v.has_margin_minor() ? absl::StrCat(v.margin_minor()) : "unknown"));
      }
    }
    return rows;
  }
  using Request = v1::GetCustomerValueRequest;
};

TEST_F(CustomerValueTest, RevenueRefundsAndCostsAreKeptApart) {
  const absl::CivilDay jan(2020, 1, 1), end(2020, 1, 31);
  CLM_ASSERT_OK(Deliver({
      Created(Contact(1), 3),
      Behaved(Contact(1), {{1, 4, "purchase", 1000}, {2, 40}}),
      Created(Contact(2), 5),
      Behaved(Contact(2), {{3, 41, "purchase", 500}, {4, 42, "refund", 20}}),
      Created(Contact(3), 6),
      CostOf(100, "web", "", jan, end, 181),
      CostOf(101, "", EntityName(kContacts, Contact(2)), jan, end, 70),
      CostOf(102, "fair", "", jan, end, 40),
  }));
  EXPECT_THAT(Rows(Values(Request::GROUP_BY_TOTAL)), ElementsAre("total 2/3 1600-20-291=1289"));
  // 181 over three contacts of the web: 61, 60 and 60, the odd one to the smallest id.
  EXPECT_THAT(Rows(Values(Request::GROUP_BY_SOURCE)),
              ElementsAre("fair 0/0 0-0-40=-40", "web 2/3 1600-20-251=1329"));
  const auto cohorts = Values(Request::GROUP_BY_COHORT);
  CLM_ASSERT_OK(cohorts);
  ASSERT_EQ(cohorts->values_size(), 3);
  EXPECT_EQ(cohorts->values(0).key(), "2020-01-01");
  EXPECT_EQ(cohorts->values(1).key(), "2020-02-01");
  EXPECT_EQ(cohorts->values(2).key(), "none");
  int64_t cost = 0;
  for (const auto& value : cohorts->values()) cost += value.acquisition_cost_minor();
  EXPECT_EQ(cost, 291);

  const auto one = Values(Request::GROUP_BY_CUSTOMER,
                          [](auto& r) { r.set_contact(EntityName(kContacts, Contact(2))); });
  CLM_ASSERT_OK(one);
  ASSERT_EQ(one->values_size(), 1);
  EXPECT_EQ(one->values(0).refund_minor(), 20);
  EXPECT_THAT(one->values(0).acquisition_cost_minor(), ::testing::AnyOf(130, 131));
}

TEST_F(CustomerValueTest, TheMarginIsKnownWhereEveryPurchaseSaysWhatItsGoodsCost) {
  CLM_ASSERT_OK(Deliver({
      Created(Contact(1), 3),
      // Of two that came back, one was of no use any more.
      Sold(1, {{1, 4, "purchase", 1000, 600},
               {2, 5, "purchase", 500, 300},
               {3, 6, "refund", 500, 300},
               {4, 7, "refund", 100, -1},
               {5, 7, "purchase", 900, -1, "USD"}}),
      Created(Contact(2), 3),
      Sold(2, {{6, 4, "purchase", 200, 80}}),
  }));
  EXPECT_THAT(Margins(), ElementsAre("680 420", "600 300", "80 120"));
  // An erase takes what is personal; what the goods cost is not.
  contact::v1::ContactChanged erased = ChangeOf(Contact(1), 3, {});
  erased.set_change(contact::v1::ContactChanged::CHANGE_ERASED);
  CLM_ASSERT_OK(Deliver({Envelope(Contact(1), erased)}));
  EXPECT_THAT(Margins(), ElementsAre("680 420", "600 300", "80 120"));
  // One that says nothing, and the margin of the whole is not known any more.
  CLM_ASSERT_OK(Deliver({Sold(2, {{7, 8, "purchase", 50, -1}})}));
  EXPECT_THAT(Margins(), ElementsAre("680 unknown", "600 300", "80 unknown"));
}

TEST_F(CustomerValueTest, ACostOfGoodsThatNoAmountCanBeSaysNothing) {
  std::vector<Sale> sales;
  sales.reserve(20);
  for (int i = 0; i < 20; ++i) sales.push_back({i, 4, "purchase", 10, 999'999'999'999'999'999});
  CLM_ASSERT_OK(Deliver({
      Created(Contact(1), 3),
      Sold(1, sales),
      Created(Contact(2), 3),
      Sold(2, {{20, 4, "purchase", 5, 999'999'999'999'999}}),
      Created(Contact(3), 3),
      Sold(3, {{21, 4, "purchase", 1, 1'000'000'000'000'000}}),
  }));
  EXPECT_THAT(Margins(), ElementsAre("999999999999999 unknown", "0 unknown",
                                     "999999999999999 -999999999999994", "0 unknown"));
}

TEST_F(CustomerValueTest, TheCostOfAMergedContactIsItsSurvivors) {
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 3), Behaved(Contact(1), {{1, 4}}),
                         Created(Contact(2), 3), Behaved(Contact(2), {{2, 5}}),
                         CostOf(100, "", EntityName(kContacts, Contact(2)),
                                absl::CivilDay(2020, 1, 1), absl::CivilDay(2020, 1, 1), 30)}));
  CLM_ASSERT_OK(Deliver({Merged(Contact(1), Contact(2))}));
  EXPECT_THAT(Rows(Values(Request::GROUP_BY_CUSTOMER)),
              ElementsAre(absl::StrCat(EntityName(kContacts, Contact(1)), " 1/2 200-0-30=170")));
}

TEST_F(CustomerValueTest, PagesGoThroughAllCustomersOnceFromTheHighestValueDown) {
  std::vector<event::v1::Event> events;
  for (int i = 0; i < 25; ++i) {
    events.push_back(Created(Contact(i), 1));
    events.push_back(Behaved(Contact(i), {{i + 1, 5, "purchase", (i * 7) % 10 * 10}}));
  }
  CLM_ASSERT_OK(Deliver(events));
  std::set<std::string> seen;
  int64_t last = INT64_MAX;
  std::string token;
  int pages = 0;
  do {
    const auto page = Values(Request::GROUP_BY_CUSTOMER, [&](auto& r) {
      r.set_page_size(4);
      r.set_page_token(token);
    });
    CLM_ASSERT_OK(page);
    for (const auto& value : page->values()) {
      EXPECT_LE(value.value_minor(), last);
      last = value.value_minor();
      EXPECT_TRUE(seen.insert(value.key()).second) << value.key();
    }
    token = page->next_page_token();
    ++pages;
  } while (!token.empty() && pages < 20);
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_EQ(pages, 7);
  EXPECT_THAT(Values(Request::GROUP_BY_TOTAL, [](auto& r) { r.set_page_token("forged"); }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_token")));
}

TEST_F(CustomerValueTest, NobodyIsWorthNothing) {
  EXPECT_THAT(Rows(Values(Request::GROUP_BY_TOTAL)), ElementsAre("total 0/0 0-0-0=0"));
  EXPECT_THAT(Rows(Values(Request::GROUP_BY_CUSTOMER)), IsEmpty());
}

TEST_F(InsightsTest, VelocityTellsHowLongVisitsLastedAndWhoIsStillThere) {
  StageModel model = OpenModel("care", {"open", "closed"});
  model.stages[0].target_days = 7;
  Install(model, RulesOf(model));
  for (int i = 1; i <= 10; ++i) {
    CLM_ASSERT_OK(Deliver({Created(Contact(i), 1),
                           Behaved(Contact(i), {{i, 10, "open"}, {100 + i, 10.0 + i, "closed"}})}));
  }
  CLM_ASSERT_OK(Deliver({Created(Contact(11), 40), Behaved(Contact(11), {{200, 45, "open"}})}));
  v1::GetVelocityRequest request;
  request.set_model(ModelNameOf("care"));
  auto answer = Do(&InsightsHandlers::GetVelocity, request);
  CLM_ASSERT_OK(answer);
  ASSERT_EQ(answer->rows_size(), 2);
  EXPECT_EQ(answer->rows(0).stage(), "open");
  EXPECT_EQ(answer->rows(0).completed_visits(), 10);
  EXPECT_EQ(answer->rows(0).open_visits(), 1);
  EXPECT_EQ(answer->rows(0).median_seconds(), 5 * 86400);
  EXPECT_EQ(answer->rows(0).p90_seconds(), 9 * 86400);
  EXPECT_EQ(answer->rows(0).target_days(), 7);
  EXPECT_EQ(answer->rows(1).open_visits(), 10);
  EXPECT_FALSE(answer->rows(1).has_median_seconds());

  request.set_group_by(v1::GetVelocityRequest::GROUP_BY_COHORT);
  answer = Do(&InsightsHandlers::GetVelocity, request);
  CLM_ASSERT_OK(answer);
  ASSERT_EQ(answer->rows_size(), 3);
  EXPECT_EQ(answer->rows(0).group(), "2020-01-01");
  EXPECT_EQ(answer->rows(1).group(), "2020-02-01");
  request.set_group_by(v1::GetVelocityRequest::GROUP_BY_SOURCE);
  answer = Do(&InsightsHandlers::GetVelocity, request);
  CLM_ASSERT_OK(answer);
  EXPECT_EQ(answer->rows(0).group(), "web");
}

class KpiTest : public InsightsTest {
 protected:
  absl::StatusOr<v1::Kpi> Create(const std::string& id, v1::Kpi::Metric metric, int64_t target,
                                 const std::string& stage = "", const std::string& owner = "ada",
                                 v1::Period period = v1::PERIOD_MONTH, bool lower = false) {
    v1::CreateKpiRequest request;
    request.set_parent("tenants/acme");
    request.set_kpi_id(id);
    request.mutable_kpi()->set_metric(metric);
    request.mutable_kpi()->set_target(target);
    request.mutable_kpi()->set_owner(owner);
    request.mutable_kpi()->set_period(period);
    request.mutable_kpi()->set_lower_is_better(lower);
    if (!stage.empty()) {
      request.mutable_kpi()->set_model(ModelNameOf("non-contractual"));
      request.mutable_kpi()->set_stage(stage);
    }
    request.set_request_id(request_id_);
    return Do(&InsightsHandlers::CreateKpi, request);
  }
  // "id actual reached" in order.
  std::vector<std::string> Scores(double as_of, const std::string& owner = "") {
    v1::GetScorecardRequest request;
    request.set_parent("tenants/acme");
    request.set_owner(owner);
    *request.mutable_as_of_time() = At(as_of);
    const auto card = Do(&InsightsHandlers::GetScorecard, request);
    EXPECT_THAT(card, clm::testing::IsOk());
    std::vector<std::string> scores;
    for (const auto& score : card->scores()) {
      scores.push_back(
          absl::StrCat(score.kpi().name().substr(std::string("tenants/acme/kpis/").size()), " ",
                       score.has_actual() ? absl::StrCat(score.actual()) : "-",
                       score.reached() ? " yes" : " no"));
    }
    return scores;
  }
  std::vector<std::string> Listed() {
    v1::ListKpisRequest request;
    request.set_parent("tenants/acme");
    const auto list = Do(&InsightsHandlers::ListKpis, request);
    EXPECT_THAT(list, clm::testing::IsOk());
    std::vector<std::string> names;
    for (const auto& kpi : list->kpis()) {
      names.push_back(absl::StrCat(kpi.name(), " ", kpi.target()));
    }
    return names;
  }

  std::string request_id_;
};

TEST_F(KpiTest, TheCatalogueIsKeptAndJournalled) {
  const auto kpi = Create("revenue", v1::Kpi::METRIC_REVENUE, 100);
  CLM_ASSERT_OK(kpi);
  EXPECT_EQ(kpi->name(), "tenants/acme/kpis/revenue");
  EXPECT_EQ(FromProto(kpi->create_time()), clock_.Now());
  EXPECT_THAT(Create("revenue", v1::Kpi::METRIC_REVENUE, 100), ReasonIs("KPI_EXISTS"));
  v1::UpdateKpiRequest update;
  *update.mutable_kpi() = *kpi;
  update.mutable_kpi()->set_target(200);
  clock_.Advance(absl::Hours(1));
  const auto updated = Do(&InsightsHandlers::UpdateKpi, update);
  CLM_ASSERT_OK(updated);
  EXPECT_EQ(FromProto(updated->create_time()), FromProto(kpi->create_time()));
  EXPECT_THAT(Listed(), ElementsAre("tenants/acme/kpis/revenue 200"));
  v1::DeleteKpiRequest remove;
  remove.set_name(kpi->name());
  const auto removed = Do(&InsightsHandlers::DeleteKpi, remove);
  CLM_ASSERT_OK(removed);
  EXPECT_EQ(removed->target(), 200);
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_THAT(Do(&InsightsHandlers::DeleteKpi, remove), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Do(&InsightsHandlers::UpdateKpi, update), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type = 'clm.lifecycle.v1.KpiChanged' AND "
                  "subject = 'tenants/acme/kpis/revenue'"),
            3);
}

TEST_F(KpiTest, PagesCoverTheCatalogueOnce) {
  for (const char* id : {"a1", "c", "a-b"}) {
    CLM_ASSERT_OK(Create(id, v1::Kpi::METRIC_REVENUE, 1));
  }
  v1::ListKpisRequest request;
  request.set_parent("tenants/acme");
  request.set_page_size(2);
  const auto first = Do(&InsightsHandlers::ListKpis, request);
  CLM_ASSERT_OK(first);
  ASSERT_EQ(first->kpis_size(), 2);
  EXPECT_EQ(first->kpis(0).name(), "tenants/acme/kpis/a-b");
  EXPECT_EQ(first->kpis(1).name(), "tenants/acme/kpis/a1");
  request.set_page_token(first->next_page_token());
  const auto second = Do(&InsightsHandlers::ListKpis, request);
  CLM_ASSERT_OK(second);
  ASSERT_EQ(second->kpis_size(), 1);
  EXPECT_EQ(second->kpis(0).name(), "tenants/acme/kpis/c");
  EXPECT_EQ(second->next_page_token(), "");
}

TEST_F(KpiTest, ARepeatedRequestIsAnsweredNotRepeated) {
  request_id_ = Id(77).ToString();
  const auto first = Create("revenue", v1::Kpi::METRIC_REVENUE, 100);
  clock_.Advance(absl::Hours(1));
  const auto second = Create("revenue", v1::Kpi::METRIC_REVENUE, 100);
  CLM_ASSERT_OK(second);
  EXPECT_EQ(first->SerializeAsString(), second->SerializeAsString());
  EXPECT_THAT(Create("revenue", v1::Kpi::METRIC_REVENUE, 101), ReasonIs("REQUEST_ID_REUSED"));
}

TEST_F(KpiTest, MetricsOfAStageNeedOneThatExists) {
  InstallShop();
  EXPECT_THAT(Create("a", v1::Kpi::METRIC_STAGE_COUNT, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kpi.model")));
  EXPECT_THAT(Create("a", v1::Kpi::METRIC_STAGE_COUNT, 1, "nowhere"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kpi.stage")));
  EXPECT_THAT(Create("a", v1::Kpi::METRIC_CONVERSION_RATE, 1, "first_purchase"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kpi.stage")));
  EXPECT_THAT(Create("a", v1::Kpi::METRIC_REVENUE, 1, "repeat"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kpi.stage")));
  EXPECT_THAT(Create("a", v1::Kpi::METRIC_UNSPECIFIED, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kpi.metric")));
  EXPECT_THAT(Listed(), IsEmpty());
}

TEST_F(KpiTest, AnUpdateChangesWhatTheMaskNamesOfWhatWasRead) {
  InstallShop();
  const auto made = Create("repeat", v1::Kpi::METRIC_STAGE_COUNT, 10, "repeat", "ada");
  CLM_ASSERT_OK(made);
  v1::UpdateKpiRequest update;
  update.mutable_kpi()->set_name(made->name());
  update.mutable_kpi()->set_etag(made->etag());
  update.mutable_kpi()->set_target(20);
  update.mutable_kpi()->set_owner("bob");
  update.mutable_update_mask()->add_paths("target");
  const auto updated = Do(&InsightsHandlers::UpdateKpi, update);
  CLM_ASSERT_OK(updated);
  EXPECT_EQ(updated->target(), 20);
  EXPECT_EQ(updated->owner(), "ada");
  EXPECT_EQ(updated->stage(), "repeat");
  EXPECT_NE(updated->etag(), made->etag());
  // Somebody else was faster.
  EXPECT_THAT(Do(&InsightsHandlers::UpdateKpi, update), StatusIs(absl::StatusCode::kAborted));
  v1::DeleteKpiRequest remove;
  remove.set_name(made->name());
  remove.set_etag(made->etag());
  EXPECT_THAT(Do(&InsightsHandlers::DeleteKpi, remove), StatusIs(absl::StatusCode::kAborted));
  // The whole is checked, with what the mask leaves alone.
  update.mutable_kpi()->set_etag(updated->etag());
  update.mutable_kpi()->set_stage("nowhere");
  update.mutable_update_mask()->add_paths("stage");
  EXPECT_THAT(Do(&InsightsHandlers::UpdateKpi, update),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kpi.stage")));
  // What changes nothing writes nothing.
  update.mutable_update_mask()->Clear();
  update.mutable_update_mask()->add_paths("target");
  const auto same = Do(&InsightsHandlers::UpdateKpi, update);
  CLM_ASSERT_OK(same);
  EXPECT_EQ(same->etag(), updated->etag());
  v1::ListKpisRequest list;
  list.set_parent("tenants/acme");
  const auto kpis = Do(&InsightsHandlers::ListKpis, list);
  CLM_ASSERT_OK(kpis);
  EXPECT_EQ(kpis->kpis(0).etag(), updated->etag());
  remove.set_etag(updated->etag());
  CLM_ASSERT_OK(Do(&InsightsHandlers::DeleteKpi, remove));
}

TEST_F(KpiTest, MoneyIsMeasuredInTheCurrencyOfTheKpi) {
  contact::v1::BehaviorRecorded recorded;
  recorded.set_contact(EntityName(kContacts, Contact(1)));
  for (int i = 0; i < 3; ++i) {
    auto* event = recorded.add_events();
    event->set_event_id(Id(i).ToString());
    event->set_type("purchase");
    ToProto(Day(40 + i), event->mutable_occur_time());
    event->set_amount_minor(100);
    event->set_currency(i == 0 ? "JPY" : "EUR");
  }
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 3), Envelope(Contact(1), recorded)}));
  CLM_ASSERT_OK(Create("main", v1::Kpi::METRIC_REVENUE, 1));
  v1::CreateKpiRequest yen;
  yen.set_parent("tenants/acme");
  yen.set_kpi_id("yen");
  yen.mutable_kpi()->set_metric(v1::Kpi::METRIC_REVENUE);
  yen.mutable_kpi()->set_owner("ada");
  yen.mutable_kpi()->set_currency("JPY");
  CLM_ASSERT_OK(Do(&InsightsHandlers::CreateKpi, yen));
  EXPECT_THAT(Scores(59), ElementsAre("main 200 yes", "yen 100 yes"));
  v1::GetScorecardRequest request;
  request.set_parent("tenants/acme");
  const auto card = Do(&InsightsHandlers::GetScorecard, request);
  CLM_ASSERT_OK(card);
  EXPECT_EQ(card->scores(0).currency(), "EUR");
  EXPECT_EQ(card->scores(1).currency(), "JPY");
  yen.set_kpi_id("count");
  yen.mutable_kpi()->set_metric(v1::Kpi::METRIC_NEW_CONTACTS);
  EXPECT_THAT(Do(&InsightsHandlers::CreateKpi, yen),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kpi.currency")));
}

TEST_F(KpiTest, TheLeadRateIsOfTheContactsOfThePeriod) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({
      Created(Contact(1), 31), Behaved(Contact(1), {{1, 40}}), Created(Contact(2), 33),
      Behaved(Contact(2), {{2, 61}}),  // After the end.
      Created(Contact(3), 34), Created(Contact(4), 36), Behaved(Contact(4), {{3, 37}, {4, 38}}),
      Created(Contact(5), 3), Behaved(Contact(5), {{5, 40}}),  // Of another month.
  }));
  CLM_ASSERT_OK(Create("leads", v1::Kpi::METRIC_LEAD_RATE, 500'000, "first_purchase"));
  EXPECT_THAT(Scores(59.9), ElementsAre("leads 500000 yes"));
}

TEST_F(KpiTest, TheReadyCatalogueFitsTheStagesByTheirMeaning) {
  InstallShop();
  StageModel model = OpenModel(
      "sales", {"reach", "acquisition", "conversion", "retention", "loyalty", "advocacy", "gone"});
  using C = CanonicalStage;
  const C meanings[] = {C::kAwareness, C::kAcquisition, C::kConversion, C::kRetention,
                        C::kLoyalty,   C::kAdvocacy,    C::kRetention};
  for (size_t i = 0; i < model.stages.size(); ++i) model.stages[i].canonical = meanings[i];
  model.stages.back().kind = StageKind::kNegative;
  Install(model, {});
  v1::ListReadyKpisRequest request;
  request.set_model(ModelNameOf("sales"));
  const auto ready = Do(&InsightsHandlers::ListReadyKpis, request);
  CLM_ASSERT_OK(ready);
  std::vector<std::string> ids;
  for (const auto& one : ready->kpis()) {
    ids.push_back(absl::StrCat(one.stage(), " ", one.kpi_id()));
    // Each is one that CreateKpi takes, given an owner.
    v1::CreateKpiRequest create;
    create.set_parent("tenants/acme");
    create.set_kpi_id(one.kpi_id());
    *create.mutable_kpi() = one.kpi();
    create.mutable_kpi()->set_owner("ada");
    CLM_EXPECT_OK(Do(&InsightsHandlers::CreateKpi, create)) << one.kpi_id();
  }
  EXPECT_THAT(ids, ElementsAre("reach new-contacts", "acquisition lead-rate-acquisition",
                               "conversion conversion-rate-conversion",
                               "conversion acquisition-cost", "retention retention-rate-retention",
                               "retention repeat-rate", "loyalty customer-value"));
}

TEST_F(KpiTest, AStageThatAKpiMeasuresCannotGo) {
  InstallShop();
  CLM_ASSERT_OK(Create("won-back", v1::Kpi::METRIC_STAGE_COUNT, 5, "won_back"));
  LifecycleHandlers models({.pool = node_->pool.get(),
                            .lanes = &node_->lanes,
                            .reader = &node_->reader,
                            .contact_feed = &node_->handler,
                            .tokens = &tokens_});
  v1::PublishStageModelRequest publish;
  *publish.mutable_stage_model() = ToProto(NonContractualModel());
  publish.mutable_stage_model()->set_name(ModelNameOf("non-contractual"));
  auto* stages = publish.mutable_stage_model()->mutable_stages();
  for (int i = 0; i < stages->size(); ++i) {
    if (stages->Get(i).id() == "won_back") stages->DeleteSubrange(i, 1);
  }
  publish.mutable_stage_model()->clear_edges();
  publish.mutable_stage_model()->set_policy(v1::StageModel::POLICY_FREE);
  const auto published = [&] {
    absl::StatusOr<v1::PublishStageModelResponse> result;
    absl::Notification done;
    rpc::Call call;
    call.now = clock_.Now();
    call.method = "/clm.lifecycle.v1.LifecycleService/Test";
    models.PublishStageModel(call, publish,
                             rpc::Reply<v1::PublishStageModelResponse>::To([&](auto answer) {
                               result = std::move(answer);
                               done.Notify();
                             }));
    done.WaitForNotification();
    return result;
  };
  const auto refused = published();
  EXPECT_THAT(refused, ReasonIs("STAGE_IN_USE"));
  EXPECT_THAT(error::MetadataValue(refused.status(), "referrers"),
              HasSubstr("kpi tenants/acme/kpis/won-back (won_back)"));
  v1::DeleteKpiRequest remove;
  remove.set_name("tenants/acme/kpis/won-back");
  CLM_ASSERT_OK(Do(&InsightsHandlers::DeleteKpi, remove));
  CLM_ASSERT_OK(published());
}

TEST_F(KpiTest, TheScorecardMeasuresEveryMetric) {
  InstallShop();
  const absl::CivilDay feb(2020, 2, 1);
  CLM_ASSERT_OK(Deliver({
      // Two buyers of January, one of whom comes back in February; one new buyer in February.
      Created(Contact(1), 3),
      Behaved(Contact(1), {{1, 4}, {2, 41}}),
      Created(Contact(2), 3),
      Behaved(Contact(2), {{3, 4}}),
      Created(Contact(3), 35),
      Behaved(Contact(3),
              {{4, 36, "purchase", 1000}, {5, 40, "purchase", 10}, {6, 45, "refund", 5}}),
      // 29 a day over ten days, five of them in February up to its end.
      CostOf(100, "web", "", feb - 5, feb + 4, 290),
  }));
  Settle();
  CLM_ASSERT_OK(Create("a-contacts", v1::Kpi::METRIC_NEW_CONTACTS, 1));
  CLM_ASSERT_OK(Create("b-entries", v1::Kpi::METRIC_STAGE_ENTRIES, 3, "repeat"));
  CLM_ASSERT_OK(Create("c-count", v1::Kpi::METRIC_STAGE_COUNT, 2, "repeat"));
  CLM_ASSERT_OK(Create("d-conversion", v1::Kpi::METRIC_CONVERSION_RATE, 900'000, "repeat"));
  CLM_ASSERT_OK(Create("e-retention", v1::Kpi::METRIC_RETENTION_RATE, 500'000, "first_purchase"));
  CLM_ASSERT_OK(Create("f-repeat", v1::Kpi::METRIC_REPEAT_RATE, 1));
  CLM_ASSERT_OK(
      Create("g-cost", v1::Kpi::METRIC_ACQUISITION_COST, 145, "", "ada", v1::PERIOD_MONTH, true));
  CLM_ASSERT_OK(Create("h-revenue", v1::Kpi::METRIC_REVENUE, 1106));
  CLM_ASSERT_OK(Create("i-value", v1::Kpi::METRIC_CUSTOMER_VALUE, 1));
  CLM_ASSERT_OK(Create("j-median", v1::Kpi::METRIC_MEDIAN_DAYS, 1, "first_purchase"));
  CLM_ASSERT_OK(Create("k-once", v1::Kpi::METRIC_ONE_AND_DONE, 1, "", "bob"));
  // In February: [31, 60). Value: 1310 less 5 and 290, over three customers: 338.3.
  EXPECT_THAT(
      Scores(59.9),
      ElementsAre("a-contacts 1 yes", "b-entries 2 no", "c-count 2 yes", "d-conversion 1000000 yes",
                  "e-retention 500000 yes", "f-repeat 1000000 yes", "g-cost 145 yes",
                  "h-revenue 1105 no", "i-value 338 yes", "j-median 4 yes", "k-once 333333 yes"));
  EXPECT_THAT(Scores(59.9, "bob"), ElementsAre("k-once 333333 yes"));
  // Nothing to measure is neither zero nor reached.
  EXPECT_THAT(Scores(-20),
              ElementsAre("a-contacts 0 no", "b-entries 0 no", "c-count 0 no", "d-conversion - no",
                          "e-retention - no", "f-repeat - no", "g-cost - no", "h-revenue 0 no",
                          "i-value - no", "j-median - no", "k-once - no"));
}

TEST_F(InsightsTest, ARecountFindsEveryTotalThatIsWrong) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 1), Behaved(Contact(1), {{1, 10}, {2, 20}})}));
  v1::RecountTotalsRequest request;
  request.set_parent("tenants/acme");
  auto answer = Do(&InsightsHandlers::RecountTotals, request);
  CLM_ASSERT_OK(answer);
  EXPECT_THAT(answer->differences(), IsEmpty());
  // Both sides of each day, and who is in the one stage that anybody is in.
  EXPECT_EQ(answer->compared_count(), Count("SELECT 2 * count(*) FROM stage_day") + 1);

  CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn,
                              "UPDATE stage_day SET entered = entered + 5 WHERE stage = 'repeat'"));
  CLM_ASSERT_OK(
      pg::AdminExec(database_.admin_dsn,
                    "INSERT INTO stage_day VALUES ('acme', 'gone', 'x', '2020-03-01', 0, 0, 2)"));
  CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn, "UPDATE customer_stage SET stage = 'lapsed'"));
  answer = Do(&InsightsHandlers::RecountTotals, request);
  CLM_ASSERT_OK(answer);
  std::vector<std::string> found;
  for (const auto& d : answer->differences()) {
    found.push_back(absl::StrCat(d.total(), " ", d.running(), " ", d.recounted()));
  }
  EXPECT_THAT(found, ElementsAre("customer_stage/non-contractual/lapsed 1 0",
                                 "customer_stage/non-contractual/repeat 0 1",
                                 "stage_day/gone/x/2020-03-01/left 2 0",
                                 "stage_day/non-contractual/repeat/2020-01-21/entered 6 1"));
}

TEST_F(InsightsTest, AnotherTenantsCustomersAreInNobodyElsesFigures) {
  InstallShop("acme");
  InstallShop("other");
  CLM_ASSERT_OK(
      Deliver({Created(Contact(1, "other"), 1), Behaved(Contact(1, "other"), {{1, 10}})}));
  v1::GetStageBoardRequest board;
  board.set_model(ModelNameOf("non-contractual"));
  const auto stages = Do(&InsightsHandlers::GetStageBoard, board);
  CLM_ASSERT_OK(stages);
  for (const auto& stage : stages->stages()) EXPECT_EQ(stage.count(), 0) << stage.stage();
  v1::GetCohortsRequest cohorts;
  cohorts.set_parent("tenants/acme");
  const auto table = Do(&InsightsHandlers::GetCohorts, cohorts);
  CLM_ASSERT_OK(table);
  EXPECT_THAT(table->cohorts(), IsEmpty());
}

}  // namespace
}  // namespace clm::lifecycle
