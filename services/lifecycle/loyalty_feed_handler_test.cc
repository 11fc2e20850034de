// Changes of tiers as facts of customers, on PostgreSQL.
#include "services/lifecycle/loyalty_feed_handler.h"

#include <optional>
#include <string>
#include <vector>

#include "clm/contact/v1/contact.pb.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/journal/consumer.h"
#include "libs/testing/eventually.h"
#include "services/lifecycle/lifecycle_fixture.h"
#include "services/lifecycle/lifecycle_handlers.h"

namespace clm::lifecycle {
namespace {

using loyalty::v1::TierChanged;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LoyaltyFeedHandlerTest : public LifecycleTest {
 protected:
  // Who climbs to gold is a repeat buyer, who drops is at risk; purchases lead to first_purchase.
  void InstallTierRules() {
    std::vector<Rule> rules = *NonContractualRules({});
    std::erase_if(rules, [](const Rule& rule) { return rule.id != "first-purchase"; });
    const auto add = [&](const std::string& id, const std::string& to,
                         const std::string& condition) {
      rules.push_back({.id = id,
                       .priority = 50,
                       .model_id = "non-contractual",
                       .to_stage = to,
                       .trigger = {.kind = Trigger::Kind::kEvent, .types = {kTierChangedFact}},
                       .condition = condition});
    };
    add("gold", "repeat",
        "properties.to_tier = \"gold\" AND properties.program = \"club\" AND "
        "properties.direction = \"up\"");
    add("dropped", "at_risk", "properties.direction = \"down\"");
    Install(NonContractualModel(), rules);
  }

  static std::string MemberOf(const EntityKey& contact) {
    return absl::StrCat("tenants/", contact.tenant, "/programs/club/members/",
                        contact.id.ToString());
  }
  event::v1::Event Tier(int id, const EntityKey& contact, double day, const std::string& from,
                        const std::string& to, TierChanged::Direction direction) {
    TierChanged changed;
    changed.set_member(MemberOf(contact));
    changed.set_from_tier(from);
    changed.set_to_tier(to);
    changed.set_direction(direction);
    ToProto(Day(day), changed.mutable_since_time());
    event::v1::Event event = Envelope(contact, changed);
    event.set_id(Id(id).ToString());
    event.set_subject(changed.member());
    return event;
  }
  event::v1::Event Up(int id, const EntityKey& contact, double day, const std::string& to = "gold",
                      const std::string& from = "silver") {
    return Tier(id, contact, day, from, to, TierChanged::DIRECTION_UP);
  }
  event::v1::Event Down(int id, const EntityKey& contact, double day) {
    return Tier(id, contact, day, "gold", "silver", TierChanged::DIRECTION_DOWN);
  }

  absl::Status Follow(const event::v1::Event& event) {
    const auto name = ParseResourceName("s", "tenants/*/programs/*/members/*", event.subject());
    journal::MutationInfo info;
    info.shards.set(ShardOf((*name)[0], *Uuid::Parse((*name)[2])));
    return node_->lanes
        .Run<LifecycleWork>(
            std::move(info), [&](LifecycleWork& work) { handler_.Declare(event, work); },
            [&](LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
              if (auto status = handler_.Apply(event, work, recorder); !status.ok()) return status;
              return std::string();
            })
        .status();
  }
  int64_t TierFacts() {
    return Count("SELECT count(*) FROM fact WHERE type = 'loyalty.tier_changed'");
  }

  LoyaltyFeedHandler handler_;
};

TEST_F(LoyaltyFeedHandlerTest, AChangeOfTierMovesItsCustomerByARuleAndOnce) {
  InstallTierRules();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950}})}));
  for (int i = 0; i < 3; ++i) {
    CLM_ASSERT_OK(Follow(Up(10, Contact(1), 960)));
    CLM_ASSERT_OK(Follow(Up(11, Contact(1), 955, "silver", "bronze")));
    CLM_ASSERT_OK(Follow(Down(12, Contact(1), 970)));
  }
  EXPECT_THAT(
      Path(Contact(1), true),
      ElementsAre("950 >first_purchase", "960 first_purchase>repeat", "970 repeat>at_risk"));
  EXPECT_EQ(TierFacts(), 3);
  EXPECT_EQ(Journaled("StageChanged", Contact(1)), 3);
  ExpectBalance();
}

// Whatever the two feeds bring first.
TEST_F(LoyaltyFeedHandlerTest, TheOrderInWhichTheFeedsComeMakesNoDifference) {
  InstallTierRules();
  const auto expected =
      ElementsAre("950 >first_purchase", "960 first_purchase>repeat", "970 repeat>at_risk");
  const auto feed = [&](int contact, std::vector<int> order) {
    for (const int step : order) {
      const EntityKey key = Contact(contact);
      const int id = 100 * contact;
      CLM_ASSERT_OK(step == 0   ? Deliver({Created(key, 900)})
                    : step == 1 ? Deliver({Behaved(key, {{id, 950}})})
                    : step == 2 ? Follow(Up(id + 1, key, 960))
                                : Follow(Down(id + 2, key, 970)));
    }
    EXPECT_THAT(Path(Contact(contact)), expected);
    EXPECT_EQ(Find(Contact(contact)).create_time, Day(900));
    EXPECT_EQ(Find(Contact(contact)).source, "web");
  };
  feed(1, {0, 1, 2, 3});
  feed(2, {3, 2, 1, 0});
  feed(3, {2, 0, 3, 1});
  feed(4, {0, 3, 1, 2});
  // Nobody moves once more when everything is judged again.
  Settle();
  EXPECT_THAT(Path(Contact(2)), expected);
  ExpectBalance();
}

TEST_F(LoyaltyFeedHandlerTest, WhatWasKeptIsFoldedWhenARuleComesToNameIt) {
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950}})}));
  CLM_ASSERT_OK(Follow(Up(10, Contact(1), 960)));
  InstallTierRules();
  Settle();
  EXPECT_THAT(Path(Contact(1)), ElementsAre("950 >first_purchase", "960 first_purchase>repeat"));
}

TEST_F(LoyaltyFeedHandlerTest, TiersOfWhoWasMergedAreTheSurvivors) {
  InstallTierRules();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950}})}));
  CLM_ASSERT_OK(Deliver({Created(Contact(2), 900)}));
  CLM_ASSERT_OK(Follow(Up(10, Contact(2), 960)));
  CLM_ASSERT_OK(Deliver({Merged(Contact(1), Contact(2))}));
  EXPECT_THAT(Path(Contact(1)), ElementsAre("950 >first_purchase", "960 first_purchase>repeat"));
  // And what is told of the old name only now, or once more.
  CLM_ASSERT_OK(Follow(Down(11, Contact(2), 970)));
  CLM_ASSERT_OK(Follow(Up(10, Contact(2), 960)));
  Settle();
  EXPECT_THAT(Path(Contact(1)), ElementsAre("950 >first_purchase", "960 first_purchase>repeat",
                                            "970 repeat>at_risk"));
  EXPECT_THAT(Path(Contact(2)), IsEmpty());
  EXPECT_EQ(TierFacts(), 2);
  ExpectBalance();
}

TEST_F(LoyaltyFeedHandlerTest, TiersOfWhoWasErasedAreNobodys) {
  InstallTierRules();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950}})}));
  CLM_ASSERT_OK(Deliver({Created(Contact(2), 900)}));
  CLM_ASSERT_OK(Deliver({Merged(Contact(1), Contact(2))}));
  contact::v1::ContactChanged erased = ChangeOf(Contact(1), 900, {});
  erased.set_change(contact::v1::ContactChanged::CHANGE_ERASED);
  erased.set_status(contact::v1::Contact::STATUS_ERASED);
  CLM_ASSERT_OK(Deliver({Envelope(Contact(1), erased)}));
  CLM_ASSERT_OK(Follow(Up(10, Contact(1), 960)));
  CLM_ASSERT_OK(Follow(Up(11, Contact(2), 961)));
  Settle();
  EXPECT_EQ(TierFacts(), 0);
  EXPECT_THAT(Path(Contact(1)), ElementsAre("950 >first_purchase"));
}

// An event of before directions were told says by its tiers what it can.
TEST_F(LoyaltyFeedHandlerTest, DirectionsThatWereNotToldAreReadFromTheTiers) {
  const auto direction = [&](int id) {
    const auto facts = node_->reader.Facts(Contact(1), {Id(id)}, absl::InfiniteFuture());
    CLM_EXPECT_OK(facts);
    if (!facts.ok() || facts->size() != 1) return std::string("?");
    const auto& properties = (*facts)[0]->properties;
    const auto it = properties.find("direction");
    return it == properties.end() ? std::string() : std::get<std::string>(it->second);
  };
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  const auto none = TierChanged::DIRECTION_UNSPECIFIED;
  CLM_ASSERT_OK(Follow(Tier(1, Contact(1), 950, "", "silver", none)));
  CLM_ASSERT_OK(Follow(Tier(2, Contact(1), 951, "silver", "", none)));
  CLM_ASSERT_OK(Follow(Tier(3, Contact(1), 952, "silver", "gold", none)));
  CLM_ASSERT_OK(Follow(Tier(4, Contact(1), 953, "gold", "silver", TierChanged::DIRECTION_DOWN)));
  EXPECT_EQ(direction(1), "up");
  EXPECT_EQ(direction(2), "down");
  EXPECT_EQ(direction(3), "");
  EXPECT_EQ(direction(4), "down");
}

TEST_F(LoyaltyFeedHandlerTest, OtherEventsOfLoyaltyChangeNothing) {
  InstallTierRules();
  loyalty::v1::MemberEnrolled enrolled;
  enrolled.set_member(MemberOf(Contact(1)));
  event::v1::Event event = Envelope(Contact(1), enrolled);
  event.set_subject(enrolled.member());
  CLM_ASSERT_OK(Follow(event));
  EXPECT_EQ(Count("SELECT count(*) FROM customer"), 0);
}

TEST_F(LoyaltyFeedHandlerTest, WhatIsOfAnotherTenantOrUnreadableIsRefused) {
  InstallTierRules();
  event::v1::Event event = Up(10, Contact(1), 960);
  event.set_tenant("evil");
  EXPECT_THAT(Follow(event), clm::testing::ReasonIs("EVENT_MALFORMED"));
  event.set_tenant("acme");
  event.set_payload("\xff\xff");
  EXPECT_THAT(Follow(event), clm::testing::ReasonIs("EVENT_MALFORMED"));
  EXPECT_EQ(Count("SELECT count(*) FROM customer"), 0);
}

// Both feeds have their own offsets and dead letters, also of the same shard.
TEST_F(LoyaltyFeedHandlerTest, AParkedChangeOfTierIsReplayedByItsSource) {
  InstallTierRules();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 950}})}));
  const event::v1::Event up = Up(10, Contact(1), 960);
  auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
  CLM_ASSERT_OK(pool->Transact({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
    constexpr pg::Statement kPark{"test.park", R"sql(
      INSERT INTO dead_letter (tenant_id, source, shard, off, event_id, subject, event,
                               error_reason, error_message, attempts, waiting, park_time)
      VALUES ('acme', 'loyalty', $1::smallint, 7, $2::uuid, $3::text, $4::bytea, 'SOMETHING', '', 5,
              false, now()))sql"};
    pg::Args args;
    args.Add(ShardOf("acme", Contact(1).id)).Add(Id(10)).Add(up.subject());
    args.AddBytes(up.SerializeAsString());
    return tx.Exec(kPark, args).status();
  }));
  PageTokens tokens("secret");
  LifecycleHandlers handlers({.pool = node_->pool.get(),
                              .lanes = &node_->lanes,
                              .reader = &node_->reader,
                              .contact_feed = &node_->handler,
                              .loyalty_feed = &handler_,
                              .tokens = &tokens});
  v1::ReplayDeadLetterRequest replay;
  replay.set_parent("tenants/acme");
  replay.set_subject(up.subject());
  EXPECT_THAT(handlers.ReplayDeadLetter({}, replay), clm::testing::ReasonIs("NOTHING_PARKED"));
  replay.set_source("campaign");
  EXPECT_THAT(handlers.ReplayDeadLetter({}, replay),
              clm::testing::StatusIs(absl::StatusCode::kInvalidArgument));
  replay.set_source("loyalty");
  const auto applied = handlers.ReplayDeadLetter({}, replay);
  CLM_ASSERT_OK(applied);
  EXPECT_EQ(applied->applied_count(), 1);
  EXPECT_EQ(StageOf(Contact(1)), "repeat");
}

}  // namespace
}  // namespace clm::lifecycle
