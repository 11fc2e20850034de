#include "services/lifecycle/contact_feed_handler.h"

#include <algorithm>
#include <random>
#include <thread>

#include "absl/strings/str_join.h"
#include "libs/base/status_macros.h"
#include "libs/journal/schema.h"
#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "services/lifecycle/folding.h"
#include "services/lifecycle/lifecycle_fixture.h"

namespace clm::lifecycle {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using LifecycleStoreTest = LifecycleTest;
using ContactFeedHandlerTest = LifecycleTest;

TEST_F(LifecycleStoreTest, EveryStatementPreparesAgainstTheSchema) {
  CLM_EXPECT_OK(node_->pool->Prepare(LifecycleStatements()));
  CLM_EXPECT_OK(node_->pool->Prepare(journal::Statements()));
}

TEST_F(LifecycleStoreTest, EveryTenantTableForcesRowSecurity) {
  EXPECT_EQ(Count(R"sql(
    SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind = 'r' AND a.attname = 'tenant_id' AND c.relnamespace = 'public'::regnamespace
      AND NOT (c.relrowsecurity AND c.relforcerowsecurity
               AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)))sql"),
            0);
}

TEST_F(LifecycleStoreTest, ATenantSeesNothingOfAnother) {
  InstallShop("acme");
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 10), Behaved(Contact(1), {{1, 11}})}));
  ASSERT_EQ(StageOf(Contact(1)), "first_purchase");
  EXPECT_THAT(node_->reader.FindCustomer(Contact(1, "evil"), absl::InfiniteFuture()),
              clm::testing::StatusIs(absl::StatusCode::kNotFound));
  // By SQL as the service's own role, too: every row of every table is behind the policy.
  for (const char* table : {"customer", "fact", "customer_stage", "transition", "stage_day",
                            "stage_model", "model_revision", "model_epoch", "model_job"}) {
    const std::string sql = absl::StrCat("SELECT count(*) FROM ", table);
    for (const auto& [tenant, some] : {std::pair("acme", true), std::pair("evil", false)}) {
      int64_t rows = -1;
      CLM_ASSERT_OK(node_->pool->Read({pg::Scope::Tenant(tenant)}, [&](pg::Tx& tx) {
        auto result = tx.ExecDynamic(sql);
        if (result.ok()) rows = (*result)[0].Int(0);
        return result.status();
      }));
      EXPECT_EQ(rows > 0, some) << table << " " << tenant;
    }
  }
}

TEST_F(ContactFeedHandlerTest, APurchaseMovesTheCustomerAndTellsOnce) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 990), Behaved(Contact(1), {{1, 999}})}));
  EXPECT_EQ(StageOf(Contact(1)), "first_purchase");
  EXPECT_THAT(Path(Contact(1)), ElementsAre("999 >first_purchase"));
  EXPECT_EQ(Journaled("StageChanged", Contact(1)), 1);
  EXPECT_EQ(Journaled("StagesSuperseded", Contact(1)), 0);
  ExpectBalance();
}

TEST_F(ContactFeedHandlerTest, ATwinOfAnEventCountsOnceInOneBatchAndInAnother) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 990), Behaved(Contact(1), {{1, 995}, {1, 995}}),
                         Behaved(Contact(1), {{1, 995}})}));
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{1, 995}})}));
  EXPECT_EQ(StageOf(Contact(1)), "first_purchase");
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 1);
  EXPECT_EQ(Journaled("StageChanged", Contact(1)), 1);
}

TEST_F(ContactFeedHandlerTest, ALateFactCorrectsTheLogAndKeepsWhatWasBelieved) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 990}})}));
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{2, 980}})}));
  EXPECT_THAT(Path(Contact(1)), ElementsAre("980 >first_purchase", "990 first_purchase>repeat"));
  EXPECT_THAT(Path(Contact(1), true), ElementsAre("980 >first_purchase", "990 >first_purchase void",
                                                  "990 first_purchase>repeat"));
  EXPECT_EQ(Journaled("StageChanged", Contact(1)), 3);
  EXPECT_EQ(Journaled("StagesSuperseded", Contact(1)), 1);
  ExpectBalance();
}

TEST_F(ContactFeedHandlerTest, MovesThatOneEventCannotTellAreToldInSeveral) {
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  std::vector<RecordedTransition> lines(3000);
  for (auto& line : lines) line.reason = std::string(500, 'x');
  const EntityKey key = Contact(1);
  journal::MutationInfo info{.tenant = key.tenant};
  info.shards.set(ShardOf(key.tenant, key.id));
  CLM_ASSERT_OK(node_->lanes.Run<LifecycleWork>(
      std::move(info), [&](LifecycleWork& work) { work.NeedCustomer(key); },
      [&](LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        RecordSuperseded(work, recorder, key, key, "shop", lines, "");
        return std::string();
      }));
  EXPECT_EQ(Journaled("StagesSuperseded", key), 2);
}

// The same history, cut and shuffled differently, always ends in the same log and the same places.
TEST_F(ContactFeedHandlerTest, TheOrderOfArrivalMakesNoDifference) {
  StageModel model = NonContractualModel();
  std::vector<Rule> rules = *NonContractualRules({});
  rules.push_back({.id = "big",
                   .priority = 50,
                   .model_id = model.id,
                   .from_stages = {"first_purchase"},
                   .to_stage = "repeat",
                   .trigger = {.kind = Trigger::Kind::kEventSum,
                               .types = {"purchase"},
                               .window = absl::Hours(24 * 60),
                               .at_least = 300,
                               .currency = "EUR"},
                   .condition = "attributes.plan = gold AND count(\"visit\", 30d) < 3"});
  std::mt19937 random(7);
  std::vector<Did> history;
  history.reserve(24);
  for (int i = 0; i < 24; ++i) {
    history.push_back({100 + i, static_cast<double>(random() % 600) + 200,
                       random() % 3 == 0 ? "visit" : "purchase",
                       static_cast<int64_t>(random() % 200) + 50});
  }
  Install(model, rules);
  std::vector<std::string> expected;
  ModelState state;
  for (int round = 0; round < 12; ++round) {
    const EntityKey contact = Contact(round);
    std::vector<Did> shuffled = history;
    // Ids are unique per customer only.
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    if (round == 0) {
      std::sort(shuffled.begin(), shuffled.end(),
                [](const Did& a, const Did& b) { return a.day < b.day; });
    }
    CLM_ASSERT_OK(Deliver({Created(contact, 150, {{"plan", "silver"}})}));
    std::vector<event::v1::Event> batch;
    bool updated = false;
    for (size_t i = 0; i < shuffled.size();) {
      std::vector<Did> together;
      for (size_t n = 1 + random() % 4; n > 0 && i < shuffled.size(); --n) {
        together.push_back(shuffled[i++]);
      }
      batch.push_back(Behaved(contact, together));
      if (!updated && random() % 3 == 0) {
        updated = true;
        auto change = Updated(contact, 150, 400, {{"plan", "gold"}});
        change.set_id(Id(5).ToString());
        batch.push_back(change);
      }
      if (random() % 2 == 0) {
        CLM_ASSERT_OK(Deliver(batch));
        batch.clear();
        if (random() % 3 == 0) Settle();
      }
    }
    if (!updated) {
      auto change = Updated(contact, 150, 400, {{"plan", "gold"}});
      change.set_id(Id(5).ToString());
      batch.push_back(change);
    }
    if (!batch.empty()) {
      CLM_ASSERT_OK(Deliver(batch));
    }
    Settle();
    ModelState now = Find(contact).PlaceIn(model.id).state;
    now.sequence = 0;
    now.applied = {};
    if (round == 0) {
      expected = Path(contact);
      state = now;
      ASSERT_GT(expected.size(), 3u);
    } else {
      EXPECT_EQ(Path(contact), expected) << "round " << round;
      EXPECT_EQ(now, state) << "round " << round;
    }
  }
  ExpectBalance();
}

TEST_F(ContactFeedHandlerTest, InstallingAfterTheImportEqualsInstallingBefore) {
  const auto import = [&](int contact) {
    CLM_ASSERT_OK(Deliver({Created(Contact(contact), 100),
                           Behaved(Contact(contact), {{1, 120}, {2, 130}, {3, 500}})}));
  };
  import(1);
  InstallShop();
  import(2);
  Settle();
  EXPECT_THAT(Path(Contact(1)),
              ElementsAre("120 >first_purchase", "130 first_purchase>repeat", "220 repeat>at_risk",
                          "310 at_risk>lapsed", "500 lapsed>won_back", "590 won_back>at_risk",
                          "680 at_risk>lapsed"));
  EXPECT_EQ(Path(Contact(1)), Path(Contact(2)));
  EXPECT_EQ(Path(Contact(1), true), Path(Contact(2), true));
  ExpectBalance();
}

TEST_F(ContactFeedHandlerTest, AnEventThatNoRuleNamesIsKeptAndTouchesNothingElse) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950}})}));
  const auto rest = [&] {
    const auto rows = pg::AdminQuery(database_.admin_dsn, R"sql(
      SELECT string_agg(r, ' ') FROM (
        SELECT concat('customer ', ctid, xmin) AS r FROM customer
        UNION ALL SELECT concat('place ', ctid, xmin) FROM customer_stage
        UNION ALL SELECT concat('move ', ctid, xmin) FROM transition
        UNION ALL SELECT concat('journal ', ctid, xmin) FROM journal
        UNION ALL SELECT concat('head ', shard, ' ', off) FROM journal_head) AS rows)sql");
    return rows.ok() ? std::string((*rows)[0].Text(0)) : "";
  };
  const std::string before = rest();
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{2, 960, "visit"}, {3, 940, "visit"}})}));
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 3);
  EXPECT_EQ(rest(), before);
  // Beside one that a rule names it is read like that one.
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{4, 970, "visit"}}),
                         Behaved(Contact(1), {{5, 980}, {6, 981, "visit"}})}));
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 6);
  EXPECT_THAT(Path(Contact(1)), ElementsAre("950 >first_purchase", "980 first_purchase>repeat"));
}

TEST_F(ContactFeedHandlerTest, ATwinOfAnEventThatNoRuleNamesIsKeptOnce) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Created(Contact(2), 900)}));
  const Did visit = {1, 950, "visit"};
  CLM_ASSERT_OK(
      Deliver({Behaved(Contact(1), {visit, visit}), Behaved(Contact(1), {visit, {2, 950, "visit"}}),
               Behaved(Contact(2), {visit})}));
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{3, 940, "visit"}, visit})}));
  // Also when a rule has come to name it.
  std::vector<Rule> rules = *NonContractualRules({});
  rules[0].trigger.types = {"visit"};
  Install(NonContractualModel(), rules);
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {visit}), Behaved(Contact(2), {visit})}));
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 4);
}

// Among events of others in its transaction, and again when nobody has met one for long.
TEST_F(ContactFeedHandlerTest, ATwinThatNoRuleNamesCostsNoOtherEvent) {
  InstallShop();
  for (int round = 0; round < 2; ++round) {
    std::vector<event::v1::Event> created, first, more;
    for (int i = 1; i <= 8; ++i) {
      const Did visit = {10 * i + round, 950, "visit"};
      created.push_back(Created(Contact(i), 900));
      first.push_back(Behaved(Contact(i), {visit}));
      if (i % 3 == 0) more.push_back(first.back());
      more.push_back(Behaved(Contact(i), {{100 * i + round, 960, "visit"}}));
    }
    if (round == 0) {
      CLM_ASSERT_OK(Deliver(created));
    }
    CLM_ASSERT_OK(Deliver(first));
    CLM_ASSERT_OK(Deliver(more));
    EXPECT_EQ(Count("SELECT count(*) FROM fact"), 16 * (round + 1));
    node_->context.look_until_micros = 0;
  }
}

TEST_F(ContactFeedHandlerTest, WhatNoRuleNamedIsFoldedWhenOneComesToNameIt) {
  std::vector<Rule> rules = *NonContractualRules({});
  Install(NonContractualModel(), rules);
  // Nobody has heard of the second one.
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950, "visit"}}),
                         Behaved(Contact(2), {{2, 940, "visit"}})}));
  EXPECT_THAT(Path(Contact(1)), IsEmpty());
  rules[0].trigger.types = {"visit"};
  // In one transaction with an event that was declared by the rules as they were.
  const auto later = Behaved(Contact(1), {{3, 945, "visit"}});
  journal::MutationInfo info{.tenant = "acme"};
  info.shards.set();
  CLM_ASSERT_OK(node_->lanes.Run<LifecycleWork>(
      std::move(info),
      [&](LifecycleWork& work) {
        node_->handler.Declare(later, work);
        work.NeedDefinitions("acme");
      },
      [&](LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        ModelDefinition definition = work.Definitions("acme").begin()->second;
        definition.revisions[0].rules = rules;
        auto status = work.SaveModel("acme", definition, /*refold=*/true, /*anew=*/true);
        status.Update(node_->handler.Apply(later, work, recorder));
        if (!status.ok()) return status;
        return std::string();
      }));
  EXPECT_THAT(Path(Contact(1)), ElementsAre("945 >first_purchase"));
  Settle();
  EXPECT_THAT(Path(Contact(1)), ElementsAre("945 >first_purchase"));
  EXPECT_THAT(Path(Contact(2)), ElementsAre("940 >first_purchase"));
  ExpectBalance();
}

TEST_F(ContactFeedHandlerTest, AMergeGivesTheSurvivorTheWholeHistory) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950}})}));
  CLM_ASSERT_OK(Deliver({Created(Contact(2), 900), Behaved(Contact(2), {{2, 940}})}));
  CLM_ASSERT_OK(Deliver({Merged(Contact(1), Contact(2))}));
  EXPECT_THAT(Path(Contact(1)), ElementsAre("940 >first_purchase", "950 first_purchase>repeat"));
  EXPECT_THAT(Path(Contact(2)), IsEmpty());
  EXPECT_THAT(Path(Contact(2), true), ElementsAre("940 >first_purchase void"));
  // The old name leads to the survivor.
  EXPECT_EQ(Find(Contact(2)).key, Contact(1));
  // The correction of either log is news about the survivor.
  EXPECT_EQ(Journaled("StagesSuperseded", Contact(1)), 2);
  ExpectBalance();
}

TEST_F(ContactFeedHandlerTest, WhatReachesAMergedContactLaterGoesToTheSurvivor) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950}})}));
  // The shard of the merged contact lags: not even its creation has been heard of.
  CLM_ASSERT_OK(Deliver({Merged(Contact(1), Contact(2))}));
  CLM_ASSERT_OK(Deliver({Created(Contact(2), 930), Behaved(Contact(2), {{2, 940}})}));
  Settle();
  EXPECT_THAT(Path(Contact(1)), ElementsAre("940 >first_purchase", "950 first_purchase>repeat"));
  EXPECT_THAT(Path(Contact(2), true), IsEmpty());
  EXPECT_EQ(Count("SELECT count(*) FROM refold"), 0);
}

TEST_F(ContactFeedHandlerTest, AMergeOfAnotherProcessIsHeardByWhoRemembersTheCustomer) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Created(Contact(2), 900)}));
  // Named by no rule: the customer is looked up once and remembered.
  CLM_ASSERT_OK(Deliver({Behaved(Contact(2), {{1, 950, "visit"}})}));
  CLM_ASSERT_OK(Deliver({Behaved(Contact(2), {{2, 951, "visit"}})}));
  Node other(database_.app_dsn, &clock_);
  CLM_ASSERT_OK(Deliver({Merged(Contact(1), Contact(2))}, &other));
  CLM_ASSERT_OK(Deliver({Behaved(Contact(2), {{3, 952, "visit"}})}));
  Settle();
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 3);
  EXPECT_EQ(Count("SELECT count(DISTINCT contact_id) FROM fact"), 1);
}

// Whoever waits at the gate for a merge has begun before the merge was committed.
TEST_F(ContactFeedHandlerTest, AMergeIsHeardByWhoWaitedForItAtTheGate) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Created(Contact(2), 900)}));
  CLM_ASSERT_OK(Deliver({Behaved(Contact(2), {{1, 950, "visit"}})}));
  std::thread waiting;
  CLM_ASSERT_OK(
      Node(database_.app_dsn, &clock_)
          .pool->Transact({pg::Scope::Tenant("acme")}, [&](pg::Tx& tx) -> absl::Status {
            CLM_RETURN_IF_ERROR(tx.ExecDynamic("SELECT pg_advisory_xact_lock(6712090)").status());
            waiting = std::thread([&] {
              CLM_EXPECT_OK(Deliver({Behaved(Contact(2), {{2, 951, "visit"}})}));
            });
            EXPECT_TRUE(clm::testing::Eventually([&] {
              return Count(
                         "SELECT count(*) FROM pg_locks WHERE NOT granted "
                         "AND locktype = 'advisory'") == 1;
            }));
            CLM_RETURN_IF_ERROR(
                tx.ExecDynamic(absl::StrCat("UPDATE customer SET merged_into = '",
                                            Contact(1).id.ToString(), "' WHERE contact_id = '",
                                            Contact(2).id.ToString(), "'"))
                    .status());
            return tx.ExecDynamic("UPDATE model_epoch SET merge_count = merge_count + 1").status();
          }));
  waiting.join();
  Settle();
  EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM fact WHERE contact_id = '",
                               Contact(1).id.ToString(), "'")),
            1);
}

TEST(KnownCustomersTest, NothingOutlivesAMergeOrTheCapacity) {
  KnownCustomers known(2);
  const EntityKey a{"acme", Uuid::V5(Uuid(), "a")}, b{"acme", Uuid::V5(Uuid(), "b")};
  const EntityKey stranger{"evil", a.id};
  const absl::flat_hash_map<std::string, int64_t> before{{"acme", 1}, {"evil", 0}};
  const absl::flat_hash_map<std::string, int64_t> after{{"acme", 2}, {"evil", 0}};
  known.Add({a}, before);
  EXPECT_THAT(known.Find({a, b, stranger}, before), ElementsAre(true, false, false));
  EXPECT_THAT(known.Find({a}, after), ElementsAre(false));
  known.Add({b}, after);
  known.Add({a}, before);
  EXPECT_THAT(known.Find({a, b}, after), ElementsAre(false, true));
  known.Add({a, stranger}, after);
  EXPECT_THAT(known.Find({a, b, stranger}, after), ElementsAre(false, false, true));
}

TEST_F(ContactFeedHandlerTest, MergesThatArriveInTheWrongOrderLeadToTheLastSurvivor) {
  // With a stage that everybody begins in, so that an alias would show.
  StageModel model = NonContractualModel();
  model.initial_stage = "first_purchase";
  Install(model, *NonContractualRules({}));
  for (int i = 1; i <= 3; ++i) {
    CLM_ASSERT_OK(Deliver({Created(Contact(i), 900), Behaved(Contact(i), {{i, 930.0 + 10 * i}})}));
  }
  // 3 was merged into 2, and 2 into 1; the shards say it the other way round.
  CLM_ASSERT_OK(Deliver({Merged(Contact(1), Contact(2))}));
  CLM_ASSERT_OK(Deliver({Merged(Contact(2), Contact(3))}));
  Settle();
  EXPECT_THAT(Path(Contact(1)), ElementsAre("900 >first_purchase", "940 first_purchase>repeat"));
  EXPECT_EQ(Count("SELECT count(DISTINCT contact_id) FROM fact"), 1);
  EXPECT_EQ(Count("SELECT count(DISTINCT contact_id) FROM customer_stage"), 1);
  EXPECT_EQ(Find(Contact(3)).key, Contact(1));
  ExpectBalance();
}

// A merge holds the survivor's shard only; work on the merged customer may be under way elsewhere.
TEST_F(ContactFeedHandlerTest, AMergeThatOvertakesAFoldLosesNothing) {
  InstallShop();
  Node other(database_.app_dsn, &clock_);
  Node third(database_.app_dsn, &clock_);
  for (int i = 0; i < 30; ++i) {
    CLM_ASSERT_OK(Deliver({Created(Contact(2 * i), 900)}));
    CLM_ASSERT_OK(Deliver({Created(Contact(2 * i + 1), 900)}));
  }
  for (int i = 0; i < 30; ++i) {
    const auto merge = Merged(Contact(2 * i), Contact(2 * i + 1));
    const auto behaved = Behaved(Contact(2 * i + 1), {{1, 950}, {2, 960}, {3, 970, "visit"}});
    const auto visited = Behaved(Contact(2 * i + 1), {{4, 955, "visit"}});
    clm::testing::AtOnce(3, [&](int k) {
      CLM_EXPECT_OK(k == 0   ? Deliver({merge})
                    : k == 1 ? Deliver({behaved}, &other)
                             : Deliver({visited}, &third));
    });
  }
  Settle();
  for (int i = 0; i < 30; ++i) {
    ASSERT_THAT(Path(Contact(2 * i)),
                ElementsAre("950 >first_purchase", "960 first_purchase>repeat"));
    ASSERT_THAT(Path(Contact(2 * i + 1)), IsEmpty());
  }
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 30 * 4);
  EXPECT_EQ(Count("SELECT count(*) FROM fact f JOIN customer c USING (tenant_id, contact_id) "
                  "WHERE c.merged_into IS NOT NULL"),
            0);
  ExpectBalance();
}

TEST_F(ContactFeedHandlerTest, AnEraseDropsValuesAndKeepsTheLog) {
  InstallShop();
  CLM_ASSERT_OK(
      Deliver({Created(Contact(1), 900, {{"plan", "gold"}}), Behaved(Contact(1), {{1, 950}})}));
  contact::v1::ContactChanged erased = ChangeOf(Contact(1), 900, {});
  erased.set_change(contact::v1::ContactChanged::CHANGE_ERASED);
  CLM_ASSERT_OK(Deliver({Envelope(Contact(1), erased)}));
  EXPECT_THAT(Find(Contact(1)).attributes, IsEmpty());
  EXPECT_EQ(Find(Contact(1)).initial.count("attributes.plan"), 0u);
  EXPECT_THAT(Path(Contact(1)), ElementsAre("950 >first_purchase"));
  EXPECT_EQ(Count("SELECT count(*) FROM fact WHERE amount_minor = 100"), 1);
}

TEST_F(ContactFeedHandlerTest, WhatAnEraseLeavesIsTheSameInItsTransactionAndInTheNext) {
  Install(NonContractualModel(), *NonContractualRules({}));
  const EntityKey key = Contact(1);
  contact::v1::BehaviorRecorded recorded;
  recorded.set_contact(EntityName(kContacts, key));
  int day = 910;
  for (const char* type : {"purchase", "refund", "visit"}) {
    for (const char* cost : {"60", "-60", "1000000000000000", "some"}) {
      auto* event = recorded.add_events();
      event->set_event_id(Id(day).ToString());
      event->set_type(type);
      ToProto(Day(day++), event->mutable_occur_time());
      event->set_amount_minor(100);
      event->set_currency("EUR");
      event->set_quantity(2);
      event->set_channel("shop");
      (*event->mutable_properties())["cost_minor"].set_string_value(cost);
      (*event->mutable_properties())["note"].set_string_value("for my aunt");
    }
  }
  auto change = ChangeOf(key, 900, {{"plan", "silver"}});
  change.set_change(contact::v1::ContactChanged::CHANGE_UPDATED);
  change.add_changed_fields("attributes.plan");
  change.add_changed_fields("source");
  CLM_ASSERT_OK(Deliver(
      {Created(key, 900, {{"plan", "gold"}}), Envelope(key, recorded), Envelope(key, change)}));
  StoredFact move;
  move.id = Id(5000);
  move.fact.at = Day(990);
  move.fact.kind = Fact::Kind::kMove;
  move.fact.type = "non-contractual";
  move.fact.move = {.to = "at_risk", .reason = "my aunt said so"};
  move.actor = "somebody";

  // The customer's past as its transaction sees it after `body`, whose effects stay when `commit`.
  const auto past = [&](bool whole, bool commit, const auto& body) {
    std::vector<std::string> lines;
    journal::MutationInfo info{.tenant = key.tenant};
    info.shards.set(ShardOf(key.tenant, key.id));
    const auto done = node_->lanes.Run<LifecycleWork>(
        std::move(info),
        [&](LifecycleWork& work) { whole ? work.NeedAll(key) : work.NeedCustomer(key); },
        [&](LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          body(work, recorder);
          CLM_EXPECT_OK(work.LoadAll(key));
          lines.clear();
          for (const FactPtr& fact : work.FactsOf(key)) {
            const auto cost = fact->properties.find("cost_minor");
            lines.push_back(absl::StrJoin(
                std::make_tuple(
                    fact->fact.type, fact->channel, fact->amount_minor.value_or(0), fact->currency,
                    fact->quantity.value_or(0), fact->actor, fact->fact.move.to,
                    fact->fact.move.reason, fact->properties.size(),
                    cost == fact->properties.end() ? "" : std::get<std::string>(cost->second)),
                "|"));
          }
          for (const auto& line : work.LogOf(key, "non-contractual")) {
            lines.push_back(absl::StrCat("to ", line.logged.to, " ", line.reason));
          }
          if (!commit) return absl::CancelledError();
          return std::string();
        });
    EXPECT_EQ(done.ok(), commit) << done.status();
    return lines;
  };
  const auto erase = [&](LifecycleWork& work, journal::Recorder&) { work.Erase(key); };
  past(true, true, [&](LifecycleWork& work, journal::Recorder& recorder) {
    const auto decision =
        DecideFold(work, {.customer = key, .facts = {ShareFact(move)}}, recorder.now());
    CLM_ASSERT_OK(decision);
    CommitFold(work, recorder, *decision, "");
  });
  const auto loaded_before = past(true, false, erase);
  const auto loaded_after = past(false, false, erase);
  past(false, true, erase);
  const auto stored = past(true, true, [](LifecycleWork&, journal::Recorder&) {});
  EXPECT_EQ(loaded_before, stored);
  EXPECT_EQ(loaded_after, stored);
  EXPECT_THAT(
      stored,
      ::testing::UnorderedElementsAre(
          "purchase||100|EUR|2||||1|60", "purchase||100|EUR|2||||0|", "purchase||100|EUR|2||||0|",
          "purchase||100|EUR|2||||0|", "refund||100|EUR|2||||1|60", "refund||100|EUR|2||||0|",
          "refund||100|EUR|2||||0|", "refund||100|EUR|2||||0|", "visit||100|EUR|2||||0|",
          "visit||100|EUR|2||||0|", "visit||100|EUR|2||||0|", "visit||100|EUR|2||||0|",
          "non-contractual||0||0|somebody|at_risk||0|", "source||0||0||||1|",
          "attributes.plan||0||0||||0|", "to first_purchase ", "to repeat ", "to at_risk "));
}

TEST_F(ContactFeedHandlerTest, AnUnreadableEventIsRefusedAndChangesNothing) {
  InstallShop();
  event::v1::Event bad = Behaved(Contact(1), {{1, 950}});
  bad.set_payload("\xff\xff");
  EXPECT_THAT(Deliver({bad}), clm::testing::ReasonIs("EVENT_MALFORMED"));
  EXPECT_EQ(Count("SELECT count(*) FROM customer"), 0);
}

}  // namespace
}  // namespace clm::lifecycle
