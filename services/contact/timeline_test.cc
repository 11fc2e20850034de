#include "services/contact/timeline.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"

namespace clm::contact {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

BehaviorEvent Purchase() {
  BehaviorEvent event;
  event.event_id = *Uuid::Parse("0197a000-0000-7000-8000-000000000001");
  event.type = kPurchase;
  event.occur_time = kNow;
  event.amount_minor = 1177;
  event.currency = "USD";
  event.quantity = 1;
  return event;
}

std::vector<std::string> BadFields(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(status)) fields.push_back(field);
  return fields;
}

std::vector<std::string> BadFields(const BehaviorEvent& event) {
  return BadFields(ValidateEvent(event, kNow));
}

TEST(CurrencyTest, DigitsAreThoseOfIso4217) {
  EXPECT_EQ(CurrencyDigits("EUR"), 2);
  EXPECT_EQ(CurrencyDigits("JPY"), 0);
  EXPECT_EQ(CurrencyDigits("KWD"), 3);
  EXPECT_EQ(CurrencyDigits("ZWG"), 2);
  for (const char* bad : {"", "eur", "EU", "EURO", "XXX", "UR ", "   ", "ED "}) {
    EXPECT_EQ(CurrencyDigits(bad), std::nullopt) << bad;
  }
}

TEST(EventTest, APurchaseIsValid) {
  EXPECT_THAT(BadFields(Purchase()), IsEmpty());
  BehaviorEvent gift = Purchase();
  gift.amount_minor = 0;
  EXPECT_THAT(BadFields(gift), IsEmpty());
}

TEST(EventTest, EveryBadFieldIsNamedAtOnce) {
  BehaviorEvent event = Purchase();
  event.type = "Purchase!";
  event.occur_time = kNow + absl::Minutes(10) + absl::Microseconds(1);
  event.amount_minor = -1;
  event.currency = "usd";
  event.quantity = -1;
  event.channel = std::string(61, 'x');
  event.source = "two\nlines";
  event.properties["1st"] = true;
  event.properties["text"] = std::string(5000, 'x');
  EXPECT_THAT(
      BadFields(event),
      UnorderedElementsAre("event.type", "event.occur_time", "event.amount_minor", "event.currency",
                           "event.quantity", "event.channel", "event.source",
                           "event.properties.1st", "event.properties.text"));
}

TEST(EventTest, WhatTheSuiteTellsItselfNobodyElseRecords) {
  BehaviorEvent event = Purchase();
  for (const char* type : {"loyalty.tier_changed", "lifecycle.stage_entered", "loyalty."}) {
    event.type = type;
    EXPECT_THAT(BadFields(event), UnorderedElementsAre("event.type")) << type;
  }
  event.type = "loyalty_card.shown";
  EXPECT_THAT(BadFields(event), IsEmpty());
}

TEST(EventTest, TenMinutesOfClockSkewAreTolerated) {
  BehaviorEvent event = Purchase();
  event.occur_time = kNow + absl::Minutes(10);
  EXPECT_THAT(BadFields(event), IsEmpty());
  event.occur_time = kNow - absl::Hours(24 * 365 * 30);
  EXPECT_THAT(BadFields(event), IsEmpty());
  event.occur_time = absl::InfinitePast();
  EXPECT_THAT(BadFields(event), ElementsAre("event.occur_time"));
}

TEST(EventTest, MoneyAndCurrencyGoTogether) {
  BehaviorEvent event = Purchase();
  event.type = "gift_card_opened";
  event.amount_minor = std::nullopt;
  EXPECT_THAT(BadFields(event), ElementsAre("event.currency"));
  event.currency = "";
  EXPECT_THAT(BadFields(event), IsEmpty());
  event.amount_minor = kMaxAmountMinor;
  EXPECT_THAT(BadFields(event), ElementsAre("event.currency"));
  event.currency = "EUR";
  EXPECT_THAT(BadFields(event), IsEmpty());
  event.amount_minor = kMaxAmountMinor + 1;
  EXPECT_THAT(BadFields(event), ElementsAre("event.amount_minor"));
}

TEST(EventTest, WellKnownTypesAskForTheirParts) {
  const auto bare = [](const char* type) {
    BehaviorEvent event;
    event.type = type;
    event.occur_time = kNow;
    return event;
  };
  EXPECT_THAT(BadFields(bare(kPurchase)), ElementsAre("event.amount_minor"));
  EXPECT_THAT(BadFields(bare(kRefund)), ElementsAre("event.amount_minor"));
  EXPECT_THAT(BadFields(bare(kDownload)), ElementsAre("event.properties.item"));
  EXPECT_THAT(BadFields(bare(kOfferResponse)), ElementsAre("event.properties.response"));
  EXPECT_THAT(BadFields(bare(kServiceContact)), ElementsAre("event.channel"));
  EXPECT_THAT(BadFields(bare(kSubscriptionStarted)), IsEmpty());
  EXPECT_THAT(BadFields(bare("shop.own_type")), IsEmpty());

  BehaviorEvent download = bare(kDownload);
  download.properties["item"] = int64_t{7};
  EXPECT_THAT(BadFields(download), ElementsAre("event.properties.item"));
  download.properties["item"] = std::string("e-book");
  EXPECT_THAT(BadFields(download), IsEmpty());
}

TEST(EventTest, PropertiesAreBounded) {
  BehaviorEvent event = Purchase();
  for (size_t i = 0; i < kMaxProperties; ++i) event.properties["p" + std::to_string(i)] = true;
  EXPECT_THAT(BadFields(event), IsEmpty());
  event.properties["one_more"] = true;
  EXPECT_THAT(BadFields(event), ElementsAre("event.properties"));
  event.properties.clear();
  for (int i = 0; i < 9; ++i) event.properties["p" + std::to_string(i)] = std::string(4000, 'x');
  EXPECT_THAT(BadFields(event), ElementsAre("event.properties"));
}

TEST(EventTest, TheListOfWellKnownTypesIsSortedAndValid) {
  std::string last;
  for (const EventType& known : WellKnownEventTypes()) {
    EXPECT_TRUE(ValidEventType(known.type)) << known.type;
    EXPECT_LT(last, known.type);
    last = known.type;
  }
}

TEST(AcquisitionCostTest, APersonOrASourceIsNamed) {
  AcquisitionCost cost;
  cost.start_date = absl::CivilDay(2026, 1, 1);
  cost.end_date = absl::CivilDay(2026, 1, 31);
  cost.amount_minor = 100'000;
  cost.currency = "EUR";
  EXPECT_THAT(BadFields(ValidateAcquisitionCost(cost, kNow)),
              ElementsAre("acquisition_cost.source"));
  cost.source = "google-ads";
  EXPECT_TRUE(ValidateAcquisitionCost(cost, kNow).ok());
  cost.source = "";
  cost.contact = Purchase().event_id;
  EXPECT_TRUE(ValidateAcquisitionCost(cost, kNow).ok());
  cost.end_date = absl::CivilDay(2025, 12, 31);
  cost.amount_minor = -1;
  cost.currency = "";
  EXPECT_THAT(BadFields(ValidateAcquisitionCost(cost, kNow)),
              ElementsAre("acquisition_cost.end_date", "acquisition_cost.amount_minor",
                          "acquisition_cost.currency"));
}

TEST(ParseAmountTest, TextBecomesMinorUnitsExactly) {
  EXPECT_EQ(ParseAmountMinor("29.33", 2), 2933);
  EXPECT_EQ(ParseAmountMinor("0.07", 2), 7);
  EXPECT_EQ(ParseAmountMinor("12", 2), 1200);
  EXPECT_EQ(ParseAmountMinor("12.5", 2), 1250);
  EXPECT_EQ(ParseAmountMinor("12.5000", 2), 1250);
  EXPECT_EQ(ParseAmountMinor("506.97", 2), 50697);
  EXPECT_EQ(ParseAmountMinor("1500", 0), 1500);
  EXPECT_EQ(ParseAmountMinor("1.234", 3), 1234);
  EXPECT_EQ(ParseAmountMinor("10000000000000.00", 2), kMaxAmountMinor);
  for (const char* bad : {"", ".5", "5.", "-1", "+1", "1.005", "1,00", "1e2", " 1", "1 ",
                          "10000000000000.01", "99999999999999999999999999"}) {
    EXPECT_EQ(ParseAmountMinor(bad, 2), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace clm::contact
