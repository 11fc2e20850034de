// Every figure can be recomputed from the raw rows. For random customers, whose events come out of
// order and who are merged now and then, plain loops over the rows give what the RPCs answer.
#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "libs/base/time_text.h"
#include "services/lifecycle/insights_fixture.h"
#include "services/lifecycle/insights_handlers.h"

namespace clm::lifecycle {
namespace {

struct Move {
  std::string from;
  std::string to;
  absl::Time at;
  int64_t sequence = 0;
  bool synthetic = false;
  std::optional<absl::Time> overdue;
};
struct Event {
  absl::Time at;
  std::string type;
  int64_t amount = 0;
};

// The k-th smallest with the least k that k / n >= p.
int64_t Quantile(std::vector<int64_t> values, double p) {
  std::sort(values.begin(), values.end());
  const auto k = static_cast<size_t>(std::ceil(p * static_cast<double>(values.size()) - 1e-9));
  return values[std::max<size_t>(k, 1) - 1];
}

class RecomputeTest : public InsightsTest {
 protected:
  const std::vector<std::string> kSteps = {"lead", "trial", "buyer", "fan"};

  void Fill(int seed) {
    std::mt19937 random(seed);
    const auto pick = [&](int n) { return static_cast<int>(random() % n); };
    StageModel model = OpenModel("funnel", kSteps);
    model.stages[1].target_days = 20;
    model.stages[2].target_days = 60;
    model.stages.push_back(
        {.id = "gone", .label = "Gone", .position = 9, .kind = StageKind::kNegative});
    Install(model, RulesOf(model));
    InstallShop();
    constexpr int kPeople = 40;
    int id = 1;
    for (int i = 0; i < kPeople; ++i) {
      CLM_ASSERT_OK(Deliver({Created(Contact(i), 100 + pick(200))}));
    }
    const std::vector<std::string> types = {"lead",     "trial",    "buyer",  "fan",
                                            "purchase", "purchase", "refund", "gone"};
    for (int batch = 0; batch < 12; ++batch) {
      std::vector<event::v1::Event> events;
      for (int i = 0; i < 20; ++i) {
        std::vector<Did> did;
        for (int j = pick(3); j >= 0; --j) {
          // Half days make ties, and moves at midnight.
          did.push_back({id++, 60 + pick(1200) / 2.0, types[pick(8)], pick(1000)});
        }
        events.push_back(Behaved(Contact(pick(kPeople)), did));
      }
      CLM_ASSERT_OK(Deliver(events));
    }
    CLM_ASSERT_OK(Deliver({Merged(Contact(0), Contact(1))}));
    CLM_ASSERT_OK(Deliver({Merged(Contact(2), Contact(0))}));
    Settle();
    ReadRaw();
  }

  pg::Result Raw(const std::string& sql) {
    auto rows = pg::AdminQuery(database_.admin_dsn, sql);
    EXPECT_THAT(rows, clm::testing::IsOk());
    return *std::move(rows);
  }
  void ReadRaw() {
    const pg::Result moves = Raw(
        "SELECT contact_id, model_id, from_stage, to_stage, effective_time, sequence, synthetic, "
        "overdue_time FROM transition WHERE supersede_time IS NULL");
    for (int i = 0; i < moves.size(); ++i) {
      const pg::Row r = moves[i];
      logs_[std::string(r.Text(1))][r.Uuid(0)].push_back({std::string(r.Text(2)),
                                                          std::string(r.Text(3)), r.Time(4),
                                                          r.Int(5), r.Bool(6), r.OptTime(7)});
    }
    for (auto& [model, by_contact] : logs_) {
      for (auto& [contact, log] : by_contact) {
        std::sort(log.begin(), log.end(), [](const Move& a, const Move& b) {
          return std::pair(a.at, a.sequence) < std::pair(b.at, b.sequence);
        });
      }
    }
    const pg::Result facts =
        Raw("SELECT contact_id, occur_time, type, amount_minor FROM fact WHERE kind = 0");
    for (int i = 0; i < facts.size(); ++i) {
      const pg::Row r = facts[i];
      events_[r.Uuid(0)].push_back({r.Time(1), std::string(r.Text(2)), r.OptInt(3).value_or(0)});
    }
  }

  std::map<std::string, std::map<Uuid, std::vector<Move>>> logs_;
  std::map<Uuid, std::vector<Event>> events_;
};

TEST_F(RecomputeTest, TheBoardAndItsFlows) {
  Fill(1);
  for (const std::string& model : {std::string("funnel"), std::string("non-contractual")}) {
    ASSERT_GT(logs_[model].size(), 30u);
    for (const double day : {60.0, 200.0, 200.5, 333.25, 500.0, 700.0, 999.0}) {
      SCOPED_TRACE(absl::StrCat(model, " ", day));
      v1::GetStageBoardRequest request;
      request.set_model(ModelNameOf(model));
      *request.mutable_as_of_time() = At(day);
      request.set_start_date(FormatDay(DayOf(Day(150))));
      const auto board = Do(&InsightsHandlers::GetStageBoard, request);
      CLM_ASSERT_OK(board);
      std::map<std::string, std::pair<int64_t, int64_t>> counts;
      std::map<std::string, int64_t> balance;
      std::map<std::string, std::pair<int64_t, int64_t>> flows;
      for (const auto& [_, log] : logs_[model]) {
        const Move* last = nullptr;
        for (const Move& move : log) {
          if (move.at < Day(day)) last = &move;
          if (move.at < Day(150)) {
            if (!move.to.empty()) ++balance[move.to];
            if (!move.from.empty()) --balance[move.from];
          } else if (move.at < Day(day)) {
            const std::string date = FormatDay(DayOf(move.at));
            if (!move.to.empty()) ++flows[absl::StrCat(date, " ", move.to)].first;
            if (!move.from.empty()) ++flows[absl::StrCat(date, " ", move.from)].second;
          }
        }
        if (last == nullptr || last->to.empty()) continue;
        ++counts[last->to].first;
        if (last->overdue && *last->overdue < Day(day)) ++counts[last->to].second;
      }
      for (const auto& stage : board->stages()) {
        EXPECT_EQ(stage.count(), counts[stage.stage()].first) << stage.stage();
        EXPECT_EQ(stage.overdue_count(), counts[stage.stage()].second) << stage.stage();
      }
      std::map<std::string, std::pair<int64_t, int64_t>> answered;
      for (const auto& flow : board->flows()) {
        answered[absl::StrCat(flow.date(), " ", flow.stage())] = {flow.entered(), flow.left()};
        balance[flow.stage()] += flow.entered() - flow.left();
      }
      EXPECT_EQ(answered, flows);
      if (day < 150) continue;
      // in(t2) = in(t1) + entered - left.
      for (const auto& stage : board->stages()) {
        EXPECT_EQ(stage.count(), balance[stage.stage()]) << stage.stage();
      }
    }
  }
}

TEST_F(RecomputeTest, TheFunnelInBothReadings) {
  Fill(2);
  for (const auto& [from, until] : {std::pair(0.0, 2000.0), std::pair(150.0, 400.5)}) {
    v1::GetFunnelRequest request;
    request.set_model(ModelNameOf("funnel"));
    *request.mutable_start_time() = At(from);
    *request.mutable_end_time() = At(until);
    const auto funnel = Do(&InsightsHandlers::GetFunnel, request);
    CLM_ASSERT_OK(funnel);
    for (const bool strict : {true, false}) {
      std::vector<int64_t> entrants(4), drop(4);
      std::vector<std::vector<int64_t>> times(4);
      for (const auto& [_, log] : logs_["funnel"]) {
        std::vector<std::optional<absl::Time>> reached(4);
        int best = -1;
        bool any = false, begun = false, broken = false;
        for (const Move& move : log) {
          const auto it = std::find(kSteps.begin(), kSteps.end(), move.to);
          if (it == kSteps.end() || broken) continue;
          const int k = static_cast<int>(it - kSteps.begin());
          if (!begun) {
            begun = move.at >= Day(from) && move.at < Day(until) && (k == 0 || (!strict && !any));
            any = true;
            if (!begun) continue;
          }
          if (strict && k > best + 1) {
            broken = true;
            continue;
          }
          for (; best < k; ++best) reached[best + 1] = move.at;
        }
        const Move& last = log.back();
        for (int k = 0; k <= best; ++k) {
          ++entrants[k];
          if (k > 0) times[k].push_back(absl::ToInt64Seconds(*reached[k] - *reached[k - 1]));
          if (k == best && k < 3 && (last.to != kSteps[k] || last.overdue)) ++drop[k];
        }
      }
      ASSERT_GT(entrants[strict ? 1 : 3], 0);
      const auto& steps = strict ? funnel->strict_order() : funnel->reached_at_least();
      ASSERT_EQ(steps.size(), 4);
      for (int k = 0; k < 4; ++k) {
        SCOPED_TRACE(absl::StrCat(strict ? "strict " : "reached ", k));
        EXPECT_EQ(steps[k].entrants(), entrants[k]);
        EXPECT_EQ(steps[k].drop_off(), drop[k]);
        EXPECT_EQ(steps[k].has_median_seconds(), !times[k].empty());
        if (times[k].empty()) continue;
        EXPECT_EQ(steps[k].median_seconds(), Quantile(times[k], 0.5));
        EXPECT_EQ(steps[k].p90_seconds(), Quantile(times[k], 0.9));
      }
    }
  }
}

TEST_F(RecomputeTest, TheCohorts) {
  Fill(3);
  const absl::Time as_of = Day(640.5);
  for (const v1::Period period :
       {v1::PERIOD_WEEK, v1::PERIOD_MONTH, v1::PERIOD_QUARTER, v1::PERIOD_DAY}) {
    // The first day of a period by counting days back, not by arithmetic.
    const auto start = [&](absl::Time at) {
      absl::CivilDay day = absl::ToCivilDay(at, absl::UTCTimeZone());
      while ((period == v1::PERIOD_WEEK && absl::GetWeekday(day) != absl::Weekday::monday) ||
             (period == v1::PERIOD_MONTH && day.day() != 1) ||
             (period == v1::PERIOD_QUARTER && !(day.day() == 1 && day.month() % 3 == 1))) {
        --day;
      }
      return day;
    };
    std::map<absl::CivilDay, std::set<Uuid>> cohorts;
    std::map<std::pair<absl::CivilDay, absl::CivilDay>, std::set<Uuid>> active;
    std::map<std::pair<absl::CivilDay, absl::CivilDay>, int64_t> revenue;
    for (const auto& [contact, events] : events_) {
      absl::Time first = absl::InfiniteFuture();
      for (const Event& e : events) {
        if (e.type == "purchase") first = std::min(first, e.at);
      }
      if (first >= as_of) continue;
      const absl::CivilDay cohort = start(first);
      cohorts[cohort].insert(contact);
      for (const Event& e : events) {
        if (e.at >= as_of || start(e.at) < cohort) continue;
        const std::pair cell(cohort, start(e.at));
        if (e.type == "purchase") {
          active[cell].insert(contact);
          revenue[cell] += e.amount;
        } else if (e.type == "refund") {
          revenue[cell] -= e.amount;
        }
      }
    }
    v1::GetCohortsRequest request;
    request.set_parent("tenants/acme");
    request.set_period(period);
    ToProto(as_of, request.mutable_as_of_time());
    const auto table = Do(&InsightsHandlers::GetCohorts, request);
    CLM_ASSERT_OK(table);
    ASSERT_EQ(static_cast<size_t>(table->cohorts_size()), cohorts.size());
    size_t i = 0, cells = 0;
    for (const auto& [cohort, people] : cohorts) {
      const auto& row = table->cohorts(static_cast<int>(i++));
      EXPECT_EQ(row.start_date(), FormatDay(cohort));
      EXPECT_EQ(row.size(), static_cast<int64_t>(people.size()));
      absl::CivilDay at = cohort;
      for (const auto& cell : row.cells()) {
        absl::CivilDay next = at + 1;
        while (start(Midnight(next)) == at) ++next;
        EXPECT_EQ(cell.complete(), Midnight(next) <= as_of);
        if (cell.complete()) {
          ++cells;
          EXPECT_EQ(cell.active(), static_cast<int64_t>(active[{cohort, at}].size()));
          EXPECT_EQ(cell.revenue_minor(), (revenue[{cohort, at}]));
        }
        at = next;
      }
      EXPECT_GT(at, start(as_of - absl::Hours(24 * 20))) << "the row ends too early";
    }
    EXPECT_GT(cells, 6u);
  }
}

TEST_F(RecomputeTest, RetentionInBothDefinitions) {
  Fill(4);
  std::vector<absl::Time> boundaries = {Day(130)};
  for (absl::CivilDay day(2020, 6, 1); Midnight(day) < Day(700); ++day) {
    if (day.day() == 1) boundaries.push_back(Midnight(day));
  }
  boundaries.push_back(Day(700));
  for (const bool by_stage : {true, false}) {
    v1::GetRetentionRequest request;
    request.set_parent("tenants/acme");
    if (by_stage) {
      auto* in_stage = request.mutable_definition()->mutable_in_stage();
      in_stage->set_model(ModelNameOf("funnel"));
      in_stage->add_stages("trial");
      in_stage->add_stages("buyer");
    } else {
      request.mutable_definition()->mutable_bought_within()->set_days(45);
    }
    *request.mutable_start_time() = At(130);
    *request.mutable_end_time() = At(700);
    request.set_period(v1::PERIOD_MONTH);
    const auto answer = Do(&InsightsHandlers::GetRetention, request);
    CLM_ASSERT_OK(answer);
    ASSERT_EQ(static_cast<size_t>(answer->periods_size()) + 1, boundaries.size());
    std::map<Uuid, absl::Time> first;
    std::vector<std::set<Uuid>> there(boundaries.size());
    const auto became = [&](const Uuid& contact, absl::Time at) {
      const auto [it, fresh] = first.emplace(contact, at);
      if (!fresh) it->second = std::min(it->second, at);
    };
    if (by_stage) {
      for (const auto& [contact, log] : logs_["funnel"]) {
        for (const Move& move : log) {
          if (move.to == "trial" || move.to == "buyer") became(contact, move.at);
        }
        for (size_t i = 0; i < boundaries.size(); ++i) {
          std::string stage;
          for (const Move& move : log) {
            if (move.at < boundaries[i]) stage = move.to;
          }
          if (stage == "trial" || stage == "buyer") there[i].insert(contact);
        }
      }
    } else {
      for (const auto& [contact, events] : events_) {
        for (const Event& e : events) {
          if (e.type != "purchase") continue;
          became(contact, e.at);
          for (size_t i = 0; i < boundaries.size(); ++i) {
            if (e.at < boundaries[i] && e.at >= boundaries[i] - absl::Hours(45 * 24)) {
              there[i].insert(contact);
            }
          }
        }
      }
    }
    int64_t came_back = 0;
    for (int i = 0; i < answer->periods_size(); ++i) {
      const auto& period = answer->periods(i);
      SCOPED_TRACE(absl::StrCat(by_stage, " ", i));
      int64_t kept = 0, fresh = 0, returned = 0;
      for (const Uuid& contact : there[i + 1]) {
        if (there[i].count(contact) != 0) {
          ++kept;
        } else if (first.at(contact) >= boundaries[i]) {
          ++fresh;
        } else {
          ++returned;
        }
      }
      came_back += returned;
      EXPECT_EQ(period.at_start(), static_cast<int64_t>(there[i].size()));
      EXPECT_EQ(period.at_end(), static_cast<int64_t>(there[i + 1].size()));
      EXPECT_EQ(period.kept(), kept);
      EXPECT_EQ(period.lost(), static_cast<int64_t>(there[i].size()) - kept);
      EXPECT_EQ(period.new_customers(), fresh);
      EXPECT_EQ(period.returned(), returned);
    }
    EXPECT_GT(came_back, 0);
  }
}

TEST_F(RecomputeTest, VelocityAndValue) {
  Fill(5);
  v1::GetVelocityRequest request;
  request.set_model(ModelNameOf("funnel"));
  const auto velocity = Do(&InsightsHandlers::GetVelocity, request);
  CLM_ASSERT_OK(velocity);
  std::map<std::string, std::vector<int64_t>> ended;
  std::map<std::string, int64_t> open;
  for (const auto& [_, log] : logs_["funnel"]) {
    for (size_t i = 0; i < log.size(); ++i) {
      if (log[i].to.empty() || log[i].synthetic) continue;
      if (i + 1 == log.size()) {
        ++open[log[i].to];
      } else {
        ended[log[i].to].push_back(absl::ToInt64Seconds(log[i + 1].at - log[i].at));
      }
    }
  }
  ASSERT_EQ(velocity->rows_size(), 5);
  for (const auto& row : velocity->rows()) {
    EXPECT_EQ(row.completed_visits(), static_cast<int64_t>(ended[row.stage()].size()));
    EXPECT_EQ(row.open_visits(), open[row.stage()]);
    EXPECT_EQ(row.median_seconds(), Quantile(ended[row.stage()], 0.5));
    EXPECT_EQ(row.p90_seconds(), Quantile(ended[row.stage()], 0.9));
  }

  v1::GetCustomerValueRequest values;
  values.set_parent("tenants/acme");
  values.set_group_by(v1::GetCustomerValueRequest::GROUP_BY_CUSTOMER);
  values.set_page_size(1000);
  const auto answer = Do(&InsightsHandlers::GetCustomerValue, values);
  CLM_ASSERT_OK(answer);
  std::map<std::string, std::string> expected, answered;
  for (const auto& [contact, events] : events_) {
    int64_t purchases = 0, revenue = 0, refund = 0, others = 0;
    for (const Event& e : events) {
      if (e.type == "purchase") {
        ++purchases;
        revenue += e.amount;
      } else if (e.type == "refund") {
        ++others;
        refund += e.amount;
      }
    }
    if (purchases + others == 0) continue;
    expected[EntityName(kContacts, {"acme", contact})] =
        absl::StrCat(purchases, " ", revenue, " ", refund, " ", revenue - refund);
  }
  for (const auto& v : answer->values()) {
    answered[v.key()] = absl::StrCat(v.purchases(), " ", v.revenue_minor(), " ", v.refund_minor(),
                                     " ", v.value_minor());
  }
  EXPECT_EQ(answered, expected);
}

// part / whole, rounded half to even; nothing when whole is 0.
std::optional<int64_t> Rounded(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  int64_t low = part / whole;
  if (part < 0 && low * whole != part) --low;
  const int64_t twice = 2 * (part - low * whole);
  return twice > whole || (twice == whole && low % 2 != 0) ? low + 1 : low;
}

TEST_F(RecomputeTest, TheScorecard) {
  Fill(7);
  const absl::CivilDay first(2020, 7, 1);
  const absl::Time start = absl::FromCivil(first, absl::UTCTimeZone()), until = Day(270.5);
  struct Spent {
    absl::CivilDay from, to;
    int64_t amount;
  };
  const std::vector<Spent> spent = {{first - 12, first + 107, 123'457},
                                    {first + 3, first + 3, 991},
                                    {first + 95, first + 99, 555},
                                    {first - 90, first - 60, 777}};
  for (size_t i = 0; i < spent.size(); ++i) {
    CLM_ASSERT_OK(Deliver({CostOf(static_cast<int>(90'000 + i), "web", "", spent[i].from,
                                  spent[i].to, spent[i].amount)}));
  }
  std::map<Uuid, absl::Time> created;
  const pg::Result people =
      Raw("SELECT contact_id, create_time FROM customer WHERE merged_into IS NULL");
  for (int i = 0; i < people.size(); ++i) created[people[i].Uuid(0)] = people[i].Time(1);
  const auto& logs = logs_["funnel"];
  const auto within = [&](absl::Time at) { return at >= start && at < until; };
  // Where somebody is just before an instant.
  const auto stage_at = [](const std::vector<Move>& log, absl::Time at) {
    std::string stage;
    for (const Move& move : log) {
      if (move.at < at) stage = move.to;
    }
    return stage;
  };

  std::map<std::string, std::optional<int64_t>> expected;
  int64_t fresh_contacts = 0, leads = 0;
  for (const auto& [id, time] : created) {
    if (!within(time)) continue;
    ++fresh_contacts;
    const auto log = logs.find(id);
    leads += log != logs.end() &&
             std::any_of(log->second.begin(), log->second.end(),
                         [&](const Move& move) { return move.to == "lead" && move.at < until; });
  }
  expected["new-contacts"] = fresh_contacts;
  expected["lead-rate"] = Rounded(leads * 1'000'000, fresh_contacts);
  int64_t entries = 0, count = 0, from = 0, converted = 0, at_start = 0, kept = 0;
  std::vector<int64_t> visits;
  for (const auto& [_, log] : logs) {
    bool entered = false, came = false, went = false;
    for (size_t i = 0; i < log.size(); ++i) {
      const Move& move = log[i];
      if (move.to == "trial" && !move.synthetic && i + 1 < log.size() && within(log[i + 1].at)) {
        visits.push_back(absl::ToInt64Seconds(log[i + 1].at - move.at));
      }
      if (!within(move.at)) continue;
      entered |= move.to == "buyer";
      went |= came && move.to == "buyer";
      came |= move.to == "trial";
    }
    entries += entered;
    from += came;
    converted += went;
    count += stage_at(log, until) == "trial";
    if (stage_at(log, start) == "buyer") {
      ++at_start;
      kept += stage_at(log, until) == "buyer";
    }
  }
  expected["stage-entries"] = entries;
  expected["stage-count"] = count;
  expected["conversion-rate"] = Rounded(converted * 1'000'000, from);
  expected["retention-rate"] = Rounded(kept * 1'000'000, at_start);
  ASSERT_FALSE(visits.empty());
  ASSERT_GT(fresh_contacts, leads);
  expected["median-days"] = Rounded(Quantile(visits, 0.5), 86'400);

  int64_t buyers = 0, again = 0, fresh = 0, ever = 0, once = 0, revenue = 0, value = 0;
  for (auto& [_, events] : events_) {
    std::vector<absl::Time> purchases;
    for (const Event& e : events) {
      const int64_t money = e.type == "purchase" ? e.amount : e.type == "refund" ? -e.amount : 0;
      if (within(e.at)) revenue += money;
      if (e.at < until) value += money;
      if (e.type == "purchase" && e.at < until) purchases.push_back(e.at);
    }
    if (purchases.empty()) continue;
    std::sort(purchases.begin(), purchases.end());
    ++ever;
    once += purchases.size() == 1;
    buyers += within(purchases.back());
    again += within(purchases.back()) && purchases.size() > 1;
    fresh += within(purchases.front());
  }
  expected["repeat-rate"] = Rounded(again * 1'000'000, buyers);
  expected["one-and-done"] = Rounded(once * 1'000'000, ever);
  expected["revenue"] = revenue;
  int64_t cost = 0;
  const absl::CivilDay end = absl::ToCivilDay(until, absl::UTCTimeZone()) + 1;
  for (const Spent& s : spent) {
    const int64_t days = s.to + 1 - s.from;
    const auto up_to = [&](absl::CivilDay day) {
      return s.amount * std::clamp<int64_t>(day - s.from, 0, days) / days;
    };
    cost += up_to(end) - up_to(first);
    if (s.from < end) value -= s.amount;
  }
  expected["acquisition-cost"] = Rounded(cost, fresh);
  expected["customer-value"] = Rounded(value, ever);

  const std::map<std::string, std::pair<v1::Kpi::Metric, std::string>> metrics = {
      {"new-contacts", {v1::Kpi::METRIC_NEW_CONTACTS, ""}},
      {"lead-rate", {v1::Kpi::METRIC_LEAD_RATE, "lead"}},
      {"stage-entries", {v1::Kpi::METRIC_STAGE_ENTRIES, "buyer"}},
      {"stage-count", {v1::Kpi::METRIC_STAGE_COUNT, "trial"}},
      {"conversion-rate", {v1::Kpi::METRIC_CONVERSION_RATE, "buyer"}},
      {"retention-rate", {v1::Kpi::METRIC_RETENTION_RATE, "buyer"}},
      {"median-days", {v1::Kpi::METRIC_MEDIAN_DAYS, "trial"}},
      {"repeat-rate", {v1::Kpi::METRIC_REPEAT_RATE, ""}},
      {"one-and-done", {v1::Kpi::METRIC_ONE_AND_DONE, ""}},
      {"revenue", {v1::Kpi::METRIC_REVENUE, ""}},
      {"acquisition-cost", {v1::Kpi::METRIC_ACQUISITION_COST, ""}},
      {"customer-value", {v1::Kpi::METRIC_CUSTOMER_VALUE, ""}},
  };
  // Each metric that there is.
  EXPECT_EQ(metrics.size(), static_cast<size_t>(v1::Kpi::Metric_descriptor()->value_count()) - 1);
  for (const auto& [id, metric] : metrics) {
    v1::CreateKpiRequest create;
    create.set_parent("tenants/acme");
    create.set_kpi_id(id);
    create.mutable_kpi()->set_metric(metric.first);
    create.mutable_kpi()->set_owner("ada");
    create.mutable_kpi()->set_period(v1::PERIOD_QUARTER);
    if (!metric.second.empty()) {
      create.mutable_kpi()->set_model(ModelNameOf("funnel"));
      create.mutable_kpi()->set_stage(metric.second);
    }
    CLM_ASSERT_OK(Do(&InsightsHandlers::CreateKpi, create)) << id;
  }
  v1::GetScorecardRequest request;
  request.set_parent("tenants/acme");
  *request.mutable_as_of_time() = At(270.5);
  const auto card = Do(&InsightsHandlers::GetScorecard, request);
  CLM_ASSERT_OK(card);
  ASSERT_EQ(card->scores_size(), static_cast<int>(metrics.size()));
  for (const auto& score : card->scores()) {
    const std::string id = score.kpi().name().substr(std::string("tenants/acme/kpis/").size());
    EXPECT_EQ(FromProto(score.start_time()), start);
    EXPECT_EQ(score.has_actual() ? std::optional(score.actual()) : std::nullopt, expected.at(id))
        << id;
  }
}

TEST_F(RecomputeTest, RunningTotalsEqualTheRecount) {
  Fill(6);
  v1::RecountTotalsRequest request;
  request.set_parent("tenants/acme");
  const auto answer = Do(&InsightsHandlers::RecountTotals, request);
  CLM_ASSERT_OK(answer);
  EXPECT_GT(answer->compared_count(), 500);
  EXPECT_EQ(answer->differences_size(), 0) << answer->DebugString();
}

}  // namespace
}  // namespace clm::lifecycle
