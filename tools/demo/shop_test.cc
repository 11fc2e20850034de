#include "tools/demo/shop.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "libs/base/error.h"
#include "tools/demo/random.h"

namespace clm::demo {
namespace {

Options TheShop() {
  return {.end = absl::FromCivil(absl::CivilSecond(2026, 11, 20, 12), absl::UTCTimeZone())};
}

std::vector<Record> Records(const Options& options) {
  std::vector<Record> records;
  const absl::Status status = Generate(options, [&](const Record& record) {
    records.push_back(record);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return records;
}

// Generated once: every test reads the same shop.
const std::vector<Record>& History() {
  static const auto* const kRecords = new std::vector<Record>(Records(TheShop()));
  return *kRecords;
}

// One line per record with everything in it.
std::string Text(const Record& record) {
  std::string line = absl::StrCat(absl::ToUnixMicros(record.time), "|", record.body.index(), "|");
  const auto number = [](std::optional<int64_t> n) {
    return n ? absl::StrCat(*n) : std::string("-");
  };
  if (const auto* c = std::get_if<Contact>(&record.body)) {
    absl::StrAppend(&line, c->id.ToString(), c->external_id, c->email, c->phone, c->given_name,
                    c->family_name, c->locale, c->timezone, c->source, c->roast, c->brew_method);
  } else if (const auto* e = std::get_if<Event>(&record.body)) {
    absl::StrAppend(&line, e->id.ToString(), e->contact.ToString(), e->type,
                    number(e->amount_minor), number(e->quantity), e->channel);
    for (const auto& [key, value] : e->properties) absl::StrAppend(&line, key, "=", value);
  } else if (const auto* s = std::get_if<Consent>(&record.body)) {
    absl::StrAppend(&line, s->id.ToString(), s->contact.ToString(), s->purpose,
                    static_cast<int>(s->state), s->source, s->text_version);
  } else if (const auto* t = std::get_if<TopicAct>(&record.body)) {
    absl::StrAppend(&line, t->id.ToString(), t->contact.ToString(), t->topic,
                    static_cast<int>(t->kind), t->source);
  } else if (const auto* h = std::get_if<HardBounce>(&record.body)) {
    absl::StrAppend(&line, h->id.ToString(), h->contact.ToString(), h->email);
  } else if (const auto* k = std::get_if<Cost>(&record.body)) {
    absl::StrAppend(&line, k->id.ToString(), k->source, absl::FormatCivilTime(k->first),
                    absl::FormatCivilTime(k->last), k->amount_minor);
  }
  return line;
}

uint64_t Digest(const std::vector<Record>& records) {
  uint64_t hash = 0;
  for (const Record& record : records) {
    for (const char c : Text(record)) hash = Mix(hash ^ static_cast<uint8_t>(c));
  }
  return hash;
}

Uuid IdOf(const Record& record) {
  return std::visit([](const auto& body) { return body.id; }, record.body);
}

std::optional<Uuid> ContactOf(const Record& record) {
  return std::visit(
      [](const auto& body) -> std::optional<Uuid> {
        if constexpr (requires { body.contact; }) {
          return body.contact;
        } else {
          return std::nullopt;
        }
      },
      record.body);
}

// What an analyst sees of one person.
struct Seen {
  Contact contact;
  std::vector<std::pair<absl::Time, Event>> events;

  std::vector<std::pair<absl::Time, Event>> Of(absl::string_view type) const {
    std::vector<std::pair<absl::Time, Event>> result;
    for (const auto& entry : events) {
      if (entry.second.type == type) result.push_back(entry);
    }
    return result;
  }
  bool Did(absl::string_view type) const { return !Of(type).empty(); }
};

const std::map<Uuid, Seen>& People() {
  static const auto* const kPeople = [] {
    auto* people = new std::map<Uuid, Seen>;
    for (const Record& record : History()) {
      if (const auto* c = std::get_if<Contact>(&record.body)) (*people)[c->id].contact = *c;
      if (const auto* e = std::get_if<Event>(&record.body)) {
        (*people)[e->contact].events.emplace_back(record.time, *e);
      }
    }
    return people;
  }();
  return *kPeople;
}

std::string Property(const Event& event, absl::string_view key) {
  for (const auto& [name, value] : event.properties) {
    if (name == key) return value;
  }
  return "";
}

TEST(ShopTest, TheSameOptionsGiveTheSameRecordsForEver) {
  EXPECT_EQ(Digest(History()), Digest(Records(TheShop())));
  // Changes only when the process is changed on purpose; then README.md changes too.
  EXPECT_EQ(Digest(History()), 4'254'642'676'074'474'534u) << History().size() << " records";
}

TEST(ShopTest, AnotherSeedGivesAnotherShop) {
  Options options = TheShop();
  options.contacts = 50;
  const uint64_t one = Digest(Records(options));
  options.seed = 2;
  EXPECT_NE(Digest(Records(options)), one);
}

TEST(ShopTest, ALargerShopBeginsWithTheSamePeople) {
  Options options = TheShop();
  options.contacts = 50;
  std::set<Uuid> small;
  for (const Record& record : Records(options)) {
    if (std::holds_alternative<Contact>(record.body)) small.insert(IdOf(record));
  }
  EXPECT_EQ(small.size(), 50u);
  for (const Uuid& id : small) EXPECT_TRUE(People().contains(id));
}

TEST(ShopTest, RecordsComeInOrderOfTimeWithinTheHistory) {
  const absl::Time start = absl::FromCivil(absl::CivilDay(2025, 5, 20), absl::UTCTimeZone());
  absl::Time before = start;
  for (const Record& record : History()) {
    ASSERT_GE(record.time, before);
    before = record.time;
  }
  EXPECT_LE(before, TheShop().end);
  EXPECT_GT(before, TheShop().end - absl::Hours(2));
}

TEST(ShopTest, IdsAreUniqueVersion7AndReferencesPointBack) {
  std::set<Uuid> ids;
  std::set<Uuid> contacts;
  for (const Record& record : History()) {
    const Uuid id = IdOf(record);
    ASSERT_TRUE(ids.insert(id).second) << id.ToString();
    ASSERT_EQ(id.ToString()[14], '7');
    if (std::holds_alternative<Contact>(record.body)) contacts.insert(id);
    if (const auto contact = ContactOf(record)) {
      ASSERT_TRUE(contacts.contains(*contact));
    }
  }
  EXPECT_EQ(contacts.size(), 5'000u);
}

TEST(ShopTest, AddressesAreUniqueAndFictional) {
  std::set<std::string> emails;
  std::set<std::string> phones;
  for (const auto& [id, person] : People()) {
    const std::string& email = person.contact.email;
    EXPECT_TRUE(emails.insert(email).second) << email;
    const std::string domain = email.substr(email.find('@') + 1);
    EXPECT_TRUE(domain == "example.com" || domain == "example.org" || domain == "example.net");
    if (person.contact.phone.empty()) continue;
    EXPECT_TRUE(phones.insert(person.contact.phone).second);
    EXPECT_EQ(person.contact.phone.substr(0, 9), "+49302312");
  }
  EXPECT_EQ(phones.size(), 1'000u);
}

TEST(ShopTest, NothingPrecedesTheSignUpButVisitsAndDownloads) {
  for (const auto& [id, person] : People()) {
    bool signed_up = false;
    bool paid = false;
    bool subscribed = false;
    bool closed = false;
    for (const auto& [time, event] : person.events) {
      EXPECT_FALSE(closed) << event.type;
      if (event.type == "sign_up") {
        EXPECT_FALSE(signed_up);
        signed_up = true;
      } else if (event.type != "visit" && event.type != "download") {
        EXPECT_TRUE(signed_up) << event.type;
      }
      if (event.type == "refund" || event.type == "complaint" || event.type == "service_contact") {
        EXPECT_TRUE(paid) << event.type;
      }
      if (event.type == "subscription_start") {
        EXPECT_FALSE(subscribed);
        subscribed = true;
      }
      if (event.type == "renewal" || event.type == "subscription_cancel") {
        EXPECT_TRUE(subscribed);
        if (event.type == "subscription_cancel") subscribed = false;
      }
      if (event.type == "purchase") paid = true;
      if (event.type == "account_closed") closed = true;
      EXPECT_EQ(event.amount_minor.has_value(),
                event.type == "purchase" || event.type == "renewal" || event.type == "refund" ||
                    event.type == "payment_failed");
      if (event.amount_minor) {
        EXPECT_GT(*event.amount_minor, 0);
      }
    }
  }
}

TEST(ShopTest, ConsentComesBeforeSubscriptionsAndEndsThem) {
  std::map<Uuid, Consent::State> state;
  std::set<std::pair<Uuid, std::string>> on;
  int denied = 0;
  int confirmed = 0;
  int unsubscribed = 0;
  std::set<Uuid> closed;
  for (const Record& record : History()) {
    const auto contact = ContactOf(record);
    EXPECT_FALSE(contact && closed.contains(*contact));
    if (const auto* event = std::get_if<Event>(&record.body);
        event && event->type == "account_closed") {
      closed.insert(event->contact);
    }
    if (const auto* consent = std::get_if<Consent>(&record.body)) {
      if (consent->state == Consent::State::kDenied) ++denied;
      if (consent->state == Consent::State::kRevoked) {
        EXPECT_EQ(state[consent->contact], Consent::State::kGranted);
      }
      state[consent->contact] = consent->state;
    }
    if (const auto* act = std::get_if<TopicAct>(&record.body)) {
      ASSERT_TRUE(state.contains(act->contact));
      EXPECT_NE(state[act->contact], Consent::State::kDenied);
      if (act->kind == TopicAct::Kind::kSubscribed) {
        on.emplace(act->contact, act->topic);
      } else {
        EXPECT_TRUE(on.contains({act->contact, act->topic}));
        ++(act->kind == TopicAct::Kind::kConfirmed ? confirmed : unsubscribed);
      }
    }
  }
  EXPECT_NEAR(static_cast<double>(denied) / static_cast<double>(state.size()), 1 - kTruth.consent,
              0.03);
  EXPECT_GT(confirmed, 1'500);
  EXPECT_GT(unsubscribed, 300);
}

// Share of `of` that is in `part`, against its probability, four standard errors wide. People of
// the last months have not had the time and are left out by the caller.
void ExpectShare(int part, int of, double p, const char* what) {
  ASSERT_GT(of, 100) << what;
  EXPECT_NEAR(static_cast<double>(part) / of, p, 4 * std::sqrt(p * (1 - p) / of)) << what;
}

TEST(ShopTest, TheFunnelDropsOffAsDocumented) {
  const absl::Time settled = TheShop().end - absl::Hours(24 * 120);
  std::map<std::string, std::pair<int, int>> sign_ups;
  int accounts = 0;
  int trials = 0;
  int bought_after_trial = 0;
  int bought_without = 0;
  int buyers = 0;
  int subscribers = 0;
  for (const auto& [id, person] : People()) {
    if (person.events[0].first > settled) continue;
    EXPECT_EQ(person.events[0].second.type, "visit");
    auto& [here, all] = sign_ups[person.contact.source];
    ++all;
    if (!person.Did("sign_up")) continue;
    ++here;
    ++accounts;
    const bool bought = person.Did("purchase");
    if (person.Did("trial_start")) {
      ++trials;
      bought_after_trial += bought ? 1 : 0;
    } else {
      bought_without += bought ? 1 : 0;
    }
    buyers += bought ? 1 : 0;
    subscribers += person.Did("subscription_start") ? 1 : 0;
  }
  ASSERT_EQ(sign_ups.size(), Sources().size());
  for (const Source& source : Sources()) {
    ExpectShare(sign_ups[source.id].first, sign_ups[source.id].second, source.sign_up, source.id);
  }
  ExpectShare(trials, accounts, kTruth.trial, "trial");
  ExpectShare(bought_after_trial, trials, kTruth.first_after_trial, "bought after a trial");
  ExpectShare(bought_without, accounts - trials, kTruth.first_without_trial, "bought without");
  ExpectShare(subscribers, buyers, kTruth.subscribe, "subscribers");
}

TEST(ShopTest, SourcesAndSeasonFollowTheirWeights) {
  std::map<std::string, int> by_source;
  std::map<int, int> by_month;
  for (const auto& [id, person] : People()) {
    ++by_source[person.contact.source];
    ++by_month[absl::ToCivilMonth(person.events[0].first, absl::UTCTimeZone()).month()];
  }
  for (const Source& source : Sources()) {
    ExpectShare(by_source[source.id], 5'000, source.share / 100.0, source.id);
  }
  // December, once in the history, beats August, twice in it, by season alone: 150 to 72 a month.
  EXPECT_GT(by_month[12] * 2, by_month[8] * 1.5);
}

// A one-off buyer until the first win-back: number of repeats, time of the last, and age, in weeks.
struct Buyer {
  int x = 0;
  double t_x = 0;
  double age = 0;
  std::vector<double> spend;
};

std::vector<Buyer> OneOffBuyers() {
  std::vector<Buyer> buyers;
  for (const auto& [id, person] : People()) {
    if (person.Did("subscription_start")) continue;
    Buyer buyer;
    absl::Time first;
    for (const auto& [time, event] : person.Of("purchase")) {
      if (!Property(event, "won_back").empty()) break;
      if (buyer.spend.empty()) {
        first = time;
      } else {
        ++buyer.x;
        buyer.t_x = absl::ToDoubleHours(time - first) / 168;
      }
      buyer.spend.push_back(static_cast<double>(*event.amount_minor) / 100);
    }
    if (buyer.spend.empty()) continue;
    buyer.age = absl::ToDoubleHours(TheShop().end - first) / 168;
    buyers.push_back(buyer);
  }
  return buyers;
}

// spec of BG/NBD: Fader, Hardie and Lee (2005).
double BgNbdLogLikelihood(const std::vector<Buyer>& buyers, double r, double alpha, double a,
                          double b) {
  double sum = 0;
  for (const Buyer& c : buyers) {
    const double a3 = -(r + c.x) * std::log(alpha + c.age);
    double tail = a3;
    if (c.x > 0) {
      const double a4 = std::log(a) - std::log(b + c.x - 1) - (r + c.x) * std::log(alpha + c.t_x);
      tail = std::max(a3, a4) +
             std::log(std::exp(a3 - std::max(a3, a4)) + std::exp(a4 - std::max(a3, a4)));
    }
    sum += std::lgamma(r + c.x) - std::lgamma(r) + r * std::log(alpha) + std::lgamma(a + b) +
           std::lgamma(b + c.x) - std::lgamma(b) - std::lgamma(a + b + c.x) + tail;
  }
  return sum;
}

double GammaGammaLogLikelihood(const std::vector<Buyer>& buyers, double p, double q, double v) {
  double sum = 0;
  for (const Buyer& c : buyers) {
    const auto n = static_cast<double>(c.spend.size());
    double total = 0;
    for (const double z : c.spend) total += z;
    const double mean = total / n;
    sum += std::lgamma(p * n + q) - std::lgamma(p * n) - std::lgamma(q) + q * std::log(v) +
           (p * n - 1) * std::log(mean) + p * n * std::log(n) -
           (p * n + q) * std::log(n * mean + v);
  }
  return sum;
}

// Twice the gain of a likelihood by moving one parameter from the truth to its optimum is
// chi-squared with one degree of freedom: above 16 once in 16,000. Moving it by half must cost.
template <class Likelihood>
void ExpectTruth(Likelihood likelihood, const char* what) {
  const double at_truth = likelihood(1.0);
  double best = at_truth;
  for (double factor = 0.5; factor <= 2; factor *= 1.02) best = std::max(best, likelihood(factor));
  EXPECT_LT(2 * (best - at_truth), 16) << what;
  EXPECT_GT(at_truth - likelihood(1.5), 2) << what;
  EXPECT_GT(at_truth - likelihood(1 / 1.5), 2) << what;
}

TEST(ShopTest, OneOffBuyersFollowBgNbd) {
  const std::vector<Buyer> buyers = OneOffBuyers();
  ASSERT_GT(buyers.size(), 700u);
  const Truth& t = kTruth;
  ExpectTruth([&](double f) { return BgNbdLogLikelihood(buyers, t.r * f, t.alpha, t.a, t.b); },
              "r");
  ExpectTruth([&](double f) { return BgNbdLogLikelihood(buyers, t.r, t.alpha * f, t.a, t.b); },
              "alpha");
  ExpectTruth([&](double f) { return BgNbdLogLikelihood(buyers, t.r, t.alpha, t.a * f, t.b); },
              "a");
  ExpectTruth([&](double f) { return BgNbdLogLikelihood(buyers, t.r, t.alpha, t.a, t.b * f); },
              "b");
  // P(X(T) = 0) = (alpha / (alpha + T))^r.
  double expected = 0;
  double variance = 0;
  int none = 0;
  for (const Buyer& buyer : buyers) {
    const double p = std::pow(t.alpha / (t.alpha + buyer.age), t.r);
    expected += p;
    variance += p * (1 - p);
    none += buyer.x == 0 ? 1 : 0;
  }
  EXPECT_NEAR(none, expected, 4 * std::sqrt(variance));
}

TEST(ShopTest, TheirSpendFollowsGammaGamma) {
  const std::vector<Buyer> buyers = OneOffBuyers();
  const Truth& t = kTruth;
  ExpectTruth([&](double f) { return GammaGammaLogLikelihood(buyers, t.p * f, t.q, t.v); }, "p");
  ExpectTruth([&](double f) { return GammaGammaLogLikelihood(buyers, t.p, t.q * f, t.v); }, "q");
  ExpectTruth([&](double f) { return GammaGammaLogLikelihood(buyers, t.p, t.q, t.v * f); }, "v");
}

TEST(ShopTest, SubscribersFollowTheShiftedBetaGeometric) {
  // First subscriptions only: periods renewed, and whether the person left after them.
  std::vector<std::pair<int, bool>> spans;
  for (const auto& [id, person] : People()) {
    if (!person.Did("subscription_start")) continue;
    const absl::Time start = person.Of("subscription_start")[0].first;
    const auto cancels = person.Of("subscription_cancel");
    if (!cancels.empty()) {
      spans.emplace_back(std::stoi(Property(cancels[0].second, "periods")), true);
    } else {
      spans.emplace_back(
          absl::ToInt64Hours(TheShop().end - start) / (int64_t{24} * kTruth.period_days), false);
    }
  }
  ASSERT_GT(spans.size(), 450u);
  const auto beta = [](double a, double b) {
    return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b);
  };
  const auto likelihood = [&](double a, double b) {
    double sum = 0;
    for (const auto& [periods, left] : spans) {
      sum += (left ? beta(a + 1, b + periods - 1) : beta(a, b + periods)) - beta(a, b);
    }
    return sum;
  };
  const Truth& t = kTruth;
  ExpectTruth([&](double f) { return likelihood(t.leave_alpha * f, t.leave_beta); }, "leave_alpha");
  ExpectTruth([&](double f) { return likelihood(t.leave_alpha, t.leave_beta * f); }, "leave_beta");
}

TEST(ShopTest, SomebodyLapsesReturnsComplainsAndLeaves) {
  std::map<std::string, int> count;
  int won_back = 0;
  for (const auto& [id, person] : People()) {
    for (const auto& [time, event] : person.events) {
      ++count[event.type];
      won_back += Property(event, "won_back").empty() ? 0 : 1;
    }
  }
  EXPECT_GT(won_back, 40);
  for (const char* type : {"complaint", "service_contact", "refund", "payment_failed",
                           "subscription_cancel", "account_closed", "offer_response", "download"}) {
    EXPECT_GT(count[type], 30) << type;
  }
}

TEST(ShopTest, EverySourceCostsSomethingInEveryMonthAndPeriodsDoNotOverlap) {
  std::map<std::string, absl::CivilDay> next;
  std::map<std::string, int64_t> spent;
  for (const Record& record : History()) {
    const auto* cost = std::get_if<Cost>(&record.body);
    if (cost == nullptr) continue;
    const auto it = next.find(cost->source);
    EXPECT_EQ(cost->first, it == next.end() ? absl::CivilDay(2025, 5, 20) : it->second);
    next[cost->source] = cost->last + 1;
    spent[cost->source] += cost->amount_minor;
  }
  for (const Source& source : Sources()) {
    EXPECT_EQ(next[source.id], absl::CivilDay(2026, 11, 21)) << source.id;
    const double expected = 50.0 * source.share * static_cast<double>(source.cost_minor);
    EXPECT_NEAR(static_cast<double>(spent[source.id]) / expected, 1, 0.25) << source.id;
  }
}

TEST(ShopTest, TheFirstRefusalStopsTheStream) {
  int seen = 0;
  const absl::Status status = Generate(TheShop(), [&](const Record&) {
    return ++seen == 10 ? error::Unavailable("DOWN", "down", absl::Seconds(1)) : absl::OkStatus();
  });
  EXPECT_EQ(error::Reason(status), "DOWN");
  EXPECT_EQ(seen, 10);
}

TEST(ShopTest, OptionsOutOfRangeAreAllNamed) {
  Options options = TheShop();
  options.contacts = 0;
  options.months = 121;
  const absl::Status status = Generate(options, [](const Record&) { return absl::OkStatus(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error::FieldViolations(status).size(), 2u);
}

TEST(ShopTest, AHistoryThatEndsOnTheLastOfAMonthBeginsInTheMonthMeant) {
  Options options;
  options.end = absl::FromCivil(absl::CivilSecond(2026, 3, 31, 12), absl::UTCTimeZone());
  options.months = 1;
  options.contacts = 300;
  for (const Record& record : Records(options)) {
    EXPECT_GE(record.time, absl::FromCivil(absl::CivilDay(2026, 2, 28), absl::UTCTimeZone()));
  }
}

TEST(LoadTest, GoesOnInOrderAtItsRateWithValidReferences) {
  Options options = TheShop();
  options.contacts = 300;
  std::set<Uuid> contacts;
  std::set<Uuid> ids;
  for (const Record& record : Records(options)) {
    ids.insert(IdOf(record));
    if (std::holds_alternative<Contact>(record.body)) contacts.insert(IdOf(record));
  }
  const absl::Time from = options.end + absl::Hours(1);
  Load load(options, from, 20);
  absl::Time before = from;
  std::map<std::string, int> count;
  std::set<Uuid> arrived;
  int by_arrived = 0;
  constexpr int kRecords = 20'000;
  for (int i = 0; i < kRecords; ++i) {
    const Record record = load.Next();
    ASSERT_GT(record.time, from);
    ASSERT_GE(record.time, before);
    before = record.time;
    ASSERT_TRUE(ids.insert(IdOf(record)).second);
    if (std::holds_alternative<Contact>(record.body)) {
      contacts.insert(IdOf(record));
      arrived.insert(IdOf(record));
    }
    if (const auto contact = ContactOf(record)) {
      ASSERT_TRUE(contacts.contains(*contact));
      by_arrived += arrived.contains(*contact) ? 1 : 0;
    }
    if (const auto* event = std::get_if<Event>(&record.body)) ++count[event->type];
  }
  EXPECT_NEAR(absl::ToDoubleSeconds(before - from), kRecords / 20.0, 4 * std::sqrt(kRecords) / 20);
  EXPECT_GT(contacts.size(), 300u + kRecords / 50);
  EXPECT_GT(count["purchase"], kRecords / 6);
  EXPECT_GT(count["complaint"], 100);
  EXPECT_GT(by_arrived, kRecords / 4);
}

TEST(LoadTest, IsTheSameFromTheSameStartAndAnotherFromAnother) {
  Options options = TheShop();
  options.contacts = 20;
  Load one(options, options.end, 1);
  Load two(options, options.end, 1);
  Load other(options, options.end + absl::Seconds(1), 1);
  for (int i = 0; i < 50; ++i) {
    const Record record = one.Next();
    EXPECT_EQ(Text(record), Text(two.Next()));
    EXPECT_NE(IdOf(record), IdOf(other.Next()));
  }
}

TEST(LoadTest, AnEmptyShopBeginsWithAnArrival) {
  Options options = TheShop();
  options.contacts = 0;
  Load load(options, options.end, 1);
  EXPECT_TRUE(std::holds_alternative<Contact>(load.Next().body));
}

}  // namespace
}  // namespace clm::demo
