#include "tools/demo/shop.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "tools/demo/random.h"

namespace clm::demo {
namespace {

constexpr int64_t kMinute = 60;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kWeek = 7 * kDay;

// Independent streams of random numbers, so that a change to one part of the process leaves the
// others as they were.
enum Stream : uint64_t { kArrival = 1, kProfile, kPath, kBuying, kMarketing, kService, kBrowsing };
uint64_t StreamOf(uint64_t index, Stream stream) { return index * 16 + stream; }

// Percent of an average month, January first; coffee sells before the holidays.
constexpr std::array<int, 12> kMonthWeight = {108, 96, 92, 90, 88, 80, 74, 72, 100, 114, 136, 150};
// Sunday first.
constexpr std::array<int, 7> kDayWeight = {112, 104, 98, 96, 96, 92, 102};
// Percent of a day's activity by hour.
constexpr std::array<int, 24> kHourWeight = {1, 0, 0, 0, 0, 1, 3, 6, 7, 6, 5, 5,
                                             6, 5, 4, 4, 5, 6, 7, 8, 8, 7, 4, 2};

const char* const kGiven[] = {"Alwen", "Bardo",  "Celis", "Doran", "Elvi",  "Faro",  "Gesa",
                              "Halka", "Ilmo",   "Jorin", "Kaisa", "Lorun", "Mirel", "Nando",
                              "Ottil", "Perrin", "Quila", "Runa",  "Sevin", "Talia"};
const char* const kFamily[] = {"Ashgrove",     "Bellwick",    "Copperdale",  "Dornfeld",
                               "Elmsbrook",    "Fernhollow",  "Greyling",    "Hartmoor",
                               "Inkwell",      "Juniperus",   "Kestrelby",   "Larkmead",
                               "Millbrae",     "Nettlecombe", "Oakhurst",    "Pennywhistle",
                               "Quillfeather", "Rookwood",    "Silverbirch", "Thornquist"};
const char* const kDomains[] = {"example.com", "example.org", "example.net"};
const char* const kProducts[] = {"harbour-blend", "night-shift", "orchard-decaf", "high-meadow"};
const char* const kGuides[] = {"brewing-guide", "grinder-guide", "water-guide"};

struct Place {
  const char* locale;
  const char* timezone;
  int weight;
};
const std::vector<Place> kPlaces = {
    {"de-DE", "Europe/Berlin", 52},   {"de-AT", "Europe/Vienna", 12},
    {"de-CH", "Europe/Zurich", 8},    {"fr-FR", "Europe/Paris", 12},
    {"nl-NL", "Europe/Amsterdam", 9}, {"en-IE", "Europe/Dublin", 7}};

struct Plan {
  const char* id;
  int64_t price_minor;
  int weight;
};
const std::vector<Plan> kPlans = {
    {"discover", 1490, 45}, {"regular", 2490, 42}, {"office", 5990, 13}};

template <class T>
const T& PickBy(Random& random, const std::vector<T>& items) {
  std::vector<int> weights;
  weights.reserve(items.size());
  for (const T& item : items) weights.push_back(item.weight);
  return items[random.Pick(weights)];
}

template <size_t n>
const char* PickAny(Random& random, const char* const (&items)[n]) {
  return items[random.Below(n)];
}

// A UUID of version 7 whose random bits come from `key`: time-ordered like a real one, equal for
// equal arguments.
Uuid IdAt(int64_t seconds, uint64_t seed, uint64_t key) {
  const auto millis = static_cast<uint64_t>(seconds) * 1000;
  const uint64_t high = Mix(Mix(seed) + key);
  const uint64_t low = Mix(high ^ millis);
  std::array<uint8_t, 16> bytes{};
  for (int i = 0; i < 6; ++i) bytes[i] = static_cast<uint8_t>(millis >> (40 - 8 * i));
  bytes[6] = static_cast<uint8_t>(0x70 | ((high >> 8) & 0x0f));
  bytes[7] = static_cast<uint8_t>(high);
  for (int i = 0; i < 8; ++i) bytes[8 + i] = static_cast<uint8_t>(low >> (56 - 8 * i));
  bytes[8] = static_cast<uint8_t>(0x80 | (bytes[8] & 0x3f));
  return Uuid(bytes);
}

// Moves a time within its day so that days have kHourWeight's shape. Monotone, so order stays.
int64_t ToWakingHours(int64_t seconds) {
  const int64_t day = seconds - seconds % kDay;
  int64_t total = 0;
  for (const int weight : kHourWeight) total += weight;
  const int64_t target = (seconds % kDay) * total;  // In units of weight times seconds of a day.
  int64_t before = 0;
  for (int hour = 0; hour < 24; ++hour) {
    const int64_t here = kHourWeight[hour] * kDay;
    if (target < before + here) return day + hour * kHour + (target - before) * kHour / here;
    before += here;
  }
  return seconds;
}

int64_t ToMinor(double major) {
  const int64_t minor = std::llround(major * 100);
  return minor < 1 ? 1 : minor;
}

// The calendar of a history.
struct Calendar {
  absl::CivilDay first_day;
  int64_t start = 0;
  int64_t end = 0;
  std::vector<int> day_weights;

  explicit Calendar(const Options& options) {
    const absl::TimeZone utc = absl::UTCTimeZone();
    const absl::CivilDay last_day = absl::ToCivilDay(options.end, utc);
    // Counted from the first of the month: 31 March minus one month is otherwise 3 March.
    const absl::CivilMonth month = absl::CivilMonth(last_day) - options.months;
    const absl::CivilDay month_end = absl::CivilDay(month + 1) - 1;
    first_day =
        absl::CivilDay(month.year(), month.month(), std::min(last_day.day(), month_end.day()));
    start = absl::ToUnixSeconds(absl::FromCivil(first_day, utc));
    end = absl::ToUnixSeconds(options.end);
    const auto days = static_cast<int>(last_day - first_day);
    for (int i = 0; i < days; ++i) {
      const absl::CivilDay day = first_day + i;
      const int season = kMonthWeight[day.month() - 1];
      // absl::Weekday begins with Monday.
      const int weekday = kDayWeight[(static_cast<int>(absl::GetWeekday(day)) + 1) % 7];
      const int growth = 1'000 + 600 * i / days;  // The shop grows by 60 % over the history.
      day_weights.push_back(season * weekday * growth / 1'000);
    }
  }
};

struct Arrival {
  int64_t at = 0;  // Before ToWakingHours.
  Uuid id;
};

// When contact `index` comes into being, and its id.
Arrival ArrivalOf(const Options& options, const Calendar& calendar, int index) {
  Random random(options.seed, StreamOf(index, kArrival));
  const auto day = static_cast<int64_t>(random.Pick(calendar.day_weights));
  Arrival arrival;
  arrival.at = calendar.start + day * kDay + static_cast<int64_t>(random.Below(kDay));
  arrival.id = IdAt(ToWakingHours(arrival.at), options.seed, index);
  return arrival;
}

Contact Profile(uint64_t seed, int index, const Uuid& id) {
  Random random(seed, StreamOf(index, kProfile));
  Contact contact;
  contact.id = id;
  contact.external_id = absl::StrFormat("kc-%06d", index + 1);
  contact.given_name = PickAny(random, kGiven);
  contact.family_name = PickAny(random, kFamily);
  contact.email = absl::StrCat(absl::AsciiStrToLower(contact.given_name), ".",
                               absl::AsciiStrToLower(contact.family_name), ".", index + 1, "@",
                               PickAny(random, kDomains));
  // 030 23125 000 to 999 is kept free for film and fiction.
  if (index % 5 == 0 && index < 5'000) {
    contact.phone = absl::StrFormat("+493023125%03d", index / 5);
  }
  const Place& place = PickBy(random, kPlaces);
  contact.locale = place.locale;
  contact.timezone = place.timezone;
  std::vector<int> shares;
  for (const Source& source : Sources()) shares.push_back(source.share);
  contact.source = Sources()[random.Pick(shares)].id;
  contact.roast = std::array{"light", "medium", "dark"}[random.Pick({30, 45, 25})];
  contact.brew_method =
      std::array{"filter", "espresso", "press", "moka"}[random.Pick({38, 34, 18, 10})];
  return contact;
}

const Source& SourceOf(const Contact& contact) {
  return *std::find_if(Sources().begin(), Sources().end(),
                       [&](const Source& source) { return contact.source == source.id; });
}

// Lives one contact's life and writes it down. Times inside are seconds before ToWakingHours; Add
// maps them and drops what is not yet.
class Life {
 public:
  Life(const Options& options, const Calendar& calendar, int index, std::vector<Record>& out)
      : seed_(options.seed),
        calendar_(calendar),
        index_(index),
        arrival_(ArrivalOf(options, calendar, index)),
        contact_(Profile(options.seed, index, arrival_.id)),
        out_(out),
        first_record_(static_cast<int64_t>(out.size())) {}

  void Live() {
    if (ToWakingHours(arrival_.at) > calendar_.end) return;
    Add(arrival_.at, contact_);
    Random path(seed_, StreamOf(index_, kPath));
    last_activity_ = arrival_.at;
    AddEvent(arrival_.at, "visit", {{"page", "home"}, {"source", contact_.source}});
    const bool signs_up = path.Chance(SourceOf(contact_).sign_up);
    if (signs_up) {
      sign_up_ = After(arrival_.at, path, 1.5);
      AddEvent(sign_up_, "sign_up", {{"source", contact_.source}});
      last_activity_ = sign_up_;
      DecideOnMarketing();
      TakePath(path);
    }
    Browse();
    // What was planned before the account was closed does not happen.
    const absl::Time closed = absl::FromUnixSeconds(ToWakingHours(closed_));
    out_.erase(std::remove_if(out_.begin() + first_record_, out_.end(),
                              [&](const Record& record) { return record.time > closed; }),
               out_.end());
  }

 private:
  // `days` on average after `at`, at least a minute.
  static int64_t After(int64_t at, Random& random, double days) {
    return at + kMinute + static_cast<int64_t>(random.Exponential() * days * kDay);
  }

  bool Past(int64_t at) const { return at <= calendar_.end && at < closed_; }

  void Add(int64_t at, std::variant<Contact, Event, Consent, TopicAct, HardBounce, Cost> body) {
    const int64_t seconds = ToWakingHours(at);
    if (seconds > calendar_.end) return;
    const Uuid id =
        IdAt(seconds, seed_, (uint64_t{1} << 40) + (uint64_t(index_) << 16) + serial_++);
    std::visit(
        [&](auto& record) {
          using Body = std::decay_t<decltype(record)>;
          if constexpr (!std::is_same_v<Body, Contact>) record.id = id;
          if constexpr (!std::is_same_v<Body, Contact> && !std::is_same_v<Body, Cost>) {
            record.contact = contact_.id;
          }
        },
        body);
    out_.push_back({absl::FromUnixSeconds(seconds), std::move(body)});
  }

  void AddEvent(int64_t at, const char* type,
                std::vector<std::pair<std::string, std::string>> properties,
                std::optional<int64_t> amount_minor = std::nullopt,
                std::optional<int64_t> quantity = std::nullopt, const char* channel = "web") {
    Event event;
    event.type = type;
    event.amount_minor = amount_minor;
    event.quantity = quantity;
    event.channel = channel;
    event.properties = std::move(properties);
    Add(at, std::move(event));
  }

  void AddConsent(int64_t at, Consent::State state, const char* source) {
    Consent act;
    act.purpose = "marketing";
    act.state = state;
    act.source = source;
    act.text_version = "2024-02";
    Add(at, std::move(act));
  }

  void AddTopic(int64_t at, const char* topic, TopicAct::Kind kind, const char* source) {
    TopicAct act;
    act.topic = topic;
    act.kind = kind;
    act.source = source;
    Add(at, std::move(act));
  }

  // Consent is asked for in the sign-up form; whoever grants it gets the newsletter, most the
  // offers.
  void DecideOnMarketing() {
    Random random(seed_, StreamOf(index_, kMarketing));
    const bool granted = random.Chance(kTruth.consent);
    AddConsent(sign_up_, granted ? Consent::State::kGranted : Consent::State::kDenied, "web-form");
    if (!granted) return;
    const bool wants_offers = random.Chance(0.7);
    AddTopic(sign_up_, kNewsletter, TopicAct::Kind::kSubscribed, "web-form");
    if (wants_offers) AddTopic(sign_up_, kOffers, TopicAct::Kind::kSubscribed, "web-form");
    if (random.Chance(0.012)) {
      HardBounce bounce;
      bounce.email = contact_.email;
      Add(sign_up_ + 20 * kMinute, std::move(bounce));
      return;
    }
    if (!random.Chance(kTruth.confirm)) return;
    reachable_from_ = After(sign_up_, random, 0.3);
    AddTopic(reachable_from_, kNewsletter, TopicAct::Kind::kConfirmed, "e-mail");
    if (wants_offers) AddTopic(reachable_from_, kOffers, TopicAct::Kind::kConfirmed, "e-mail");
    reachable_until_ = After(reachable_from_, random, 90 * 7);
    if (!Past(reachable_until_)) return;
    AddTopic(reachable_until_, kNewsletter, TopicAct::Kind::kUnsubscribed, "e-mail");
    if (wants_offers) AddTopic(reachable_until_, kOffers, TopicAct::Kind::kUnsubscribed, "e-mail");
    if (random.Chance(0.3)) AddConsent(reachable_until_, Consent::State::kRevoked, "e-mail");
  }

  bool Reachable(int64_t at) const { return at >= reachable_from_ && at < reachable_until_; }

  void TakePath(Random& path) {
    int64_t ready = sign_up_;
    double buys = kTruth.first_without_trial;
    if (path.Chance(kTruth.trial)) {
      ready = After(sign_up_, path, 4);
      AddEvent(ready, "trial_start", {{"product", "sampler"}});
      last_activity_ = ready;
      buys = kTruth.first_after_trial;
      ready += 3 * kDay;
    }
    if (!path.Chance(buys)) return;
    const int64_t first = After(ready, path, 9);
    const bool subscribes = path.Chance(kTruth.subscribe);
    if (!Past(first)) return;
    Random buying(seed_, StreamOf(index_, kBuying));
    first_purchase_ = first;
    if (subscribes) {
      Subscribe(buying, first, /*returned=*/false);
    } else {
      BuyOneOff(buying, first, /*returned=*/false);
    }
    MeetService();
  }

  // BG/NBD and Gamma-Gamma, as the papers define them.
  void BuyOneOff(Random& random, int64_t at, bool returned) {
    const double rate = random.Gamma(kTruth.r, kTruth.alpha);
    const double leave = random.Beta(kTruth.a, kTruth.b);
    const double nu = random.Gamma(kTruth.q, kTruth.v);
    bool repeat = false;
    while (Past(at)) {
      const int64_t amount = ToMinor(random.Gamma(kTruth.p, nu));
      std::vector<std::pair<std::string, std::string>> properties = {
          {"product", PickAny(random, kProducts)}};
      if (returned && !repeat) properties.emplace_back("won_back", "true");
      AddEvent(at, "purchase", std::move(properties), amount, 1 + amount / 1'800);
      last_activity_ = at;
      if (random.Chance(0.025)) {
        const int64_t share = 1 + static_cast<int64_t>(random.Below(4));
        AddEvent(After(at + 2 * kDay, random, 4), "refund", {{"reason", "damaged"}},
                 amount * share / 4);
      }
      if (repeat && random.Chance(leave)) {
        Lapse(random, returned);
        return;
      }
      repeat = true;
      const double gap = random.Exponential() / rate * kWeek;
      if (gap > 1e10) return;
      at += 1 + static_cast<int64_t>(gap);
    }
  }

  // A buyer who is gone: closes the account, or is asked back once.
  void Lapse(Random& random, bool returned) {
    if (random.Chance(0.05)) {
      CloseAccount(After(last_activity_ + 10 * kDay, random, 30), "no-longer-needed");
      return;
    }
    const int64_t asked = After(last_activity_ + 120 * kDay, random, 20);
    if (returned || !Reachable(asked) || !Past(asked)) return;
    const bool accepts = random.Chance(kTruth.win_back_buyer);
    AddEvent(asked, "offer_response",
             {{"offer", "win-back"}, {"response", accepts ? "accepted" : "declined"}}, {}, {},
             "email");
    if (accepts) BuyOneOff(random, After(asked, random, 1), /*returned=*/true);
  }

  // Shifted-beta-geometric: the same probability of leaving at the end of every period.
  void Subscribe(Random& random, int64_t at, bool returned) {
    const double leave = random.Beta(kTruth.leave_alpha, kTruth.leave_beta);
    const Plan& plan = PickBy(random, kPlans);
    std::vector<std::pair<std::string, std::string>> properties = {{"plan", plan.id}};
    if (returned) properties.emplace_back("won_back", "true");
    AddEvent(at, "subscription_start", properties);
    AddEvent(at + kMinute, "purchase", {{"plan", plan.id}, {"product", "subscription"}},
             plan.price_minor, 1);
    last_activity_ = at;
    for (int period = 1;; ++period) {
      const int64_t due = at + int64_t{period} * kTruth.period_days * kDay;
      if (!Past(due)) return;
      if (random.Chance(leave)) {
        if (random.Chance(0.25))
          Complain(due - kDay - static_cast<int64_t>(random.Below(8 * kDay)));
        AddEvent(due, "subscription_cancel",
                 {{"plan", plan.id}, {"periods", absl::StrCat(period)}});
        last_activity_ = due;
        AfterCancel(random, due, returned);
        return;
      }
      int64_t paid = due;
      if (random.Chance(0.03)) {
        AddEvent(due, "payment_failed", {{"plan", plan.id}}, plan.price_minor);
        paid += 2 * kDay;
      }
      AddEvent(paid, "renewal", {{"plan", plan.id}, {"period", absl::StrCat(period)}},
               plan.price_minor, 1);
      last_activity_ = paid;
    }
  }

  void AfterCancel(Random& random, int64_t cancelled, bool returned) {
    if (random.Chance(0.08)) {
      CloseAccount(After(cancelled + kDay, random, 10), "cancelled");
      return;
    }
    if (returned || !random.Chance(kTruth.win_back_subscriber)) return;
    const int64_t back = After(cancelled + 30 * kDay, random, 45);
    if (Past(back)) Subscribe(random, back, /*returned=*/true);
  }

  // Nothing of this person happens later.
  void CloseAccount(int64_t at, const char* reason) {
    if (!Past(at)) return;
    AddEvent(at, "account_closed", {{"reason", reason}});
    closed_ = at;
  }

  void Complain(int64_t at) {
    Random random(seed_ ^ static_cast<uint64_t>(at), StreamOf(index_, kService));
    AddEvent(at, "complaint",
             {{"topic", std::array{"delivery", "quality", "billing"}[random.Pick({50, 30, 20})]},
              {"severity", random.Chance(0.3) ? "high" : "normal"}},
             {}, {}, "email");
  }

  // Questions and complaints of buyers, from the first purchase until eight weeks after the last
  // sign of life. They have no influence on the buying, so that its parameters stay true.
  void MeetService() {
    Random random(seed_, StreamOf(index_, kService));
    const int64_t until = last_activity_ + 8 * kWeek;
    for (int64_t at = After(first_purchase_, random, 35 * 7); at < until && Past(at);
         at = After(at, random, 35 * 7)) {
      if (random.Chance(0.3)) {
        Complain(at);
      } else {
        const size_t topic = random.Pick({45, 35, 20});
        AddEvent(at, "service_contact",
                 {{"topic", std::array{"delivery", "product", "account"}[topic]}}, {}, {},
                 random.Chance(0.6) ? "chat" : "phone");
      }
    }
  }

  // Visits and downloads until four weeks after the last sign of life, answers to offers while the
  // person can be reached.
  void Browse() {
    Random random(seed_, StreamOf(index_, kBrowsing));
    const int64_t until = last_activity_ + 4 * kWeek;
    for (int64_t at = After(arrival_.at, random, 18); at < until && Past(at);
         at = After(at, random, 18)) {
      if (random.Chance(0.18)) {
        AddEvent(at, "download", {{"item", PickAny(random, kGuides)}});
      } else {
        AddEvent(at, "visit", {{"page", random.Chance(0.6) ? "shop" : "journal"}});
      }
    }
    for (int64_t at = After(reachable_from_, random, 20 * 7);
         reachable_from_ != kNever && at < reachable_until_ && at < until + 12 * kWeek && Past(at);
         at = After(at, random, 20 * 7)) {
      AddEvent(
          at, "offer_response",
          {{"offer", "month-special"}, {"response", random.Chance(0.35) ? "accepted" : "declined"}},
          {}, {}, "email");
    }
  }

  static constexpr int64_t kNever = int64_t{1} << 40;

  const uint64_t seed_;
  const Calendar& calendar_;
  const int index_;
  const Arrival arrival_;
  const Contact contact_;
  std::vector<Record>& out_;
  const int64_t first_record_;
  uint64_t serial_ = 0;
  int64_t sign_up_ = kNever;
  int64_t first_purchase_ = kNever;
  int64_t last_activity_ = 0;
  int64_t reachable_from_ = kNever;
  int64_t reachable_until_ = 0;
  int64_t closed_ = kNever;
};

// What a source cost in a month: its arrivals at their price, give or take a tenth.
void AddCosts(const Options& options, const Calendar& calendar, std::vector<Record>& out) {
  const absl::TimeZone utc = absl::UTCTimeZone();
  std::vector<std::vector<int64_t>> arrivals(Sources().size());
  const absl::CivilMonth first(calendar.first_day);
  const absl::CivilDay last_day = absl::ToCivilDay(options.end, utc);
  for (auto& row : arrivals) row.resize(absl::CivilMonth(last_day) - first + 1);
  for (const Record& record : out) {
    if (const auto* contact = std::get_if<Contact>(&record.body)) {
      const size_t source = &SourceOf(*contact) - Sources().data();
      ++arrivals[source][absl::CivilMonth(absl::ToCivilDay(record.time, utc)) - first];
    }
  }
  Random random(options.seed, StreamOf(0, kArrival) | (uint64_t{1} << 60));
  for (size_t month = 0; month < arrivals[0].size(); ++month) {
    for (size_t i = 0; i < Sources().size(); ++i) {
      Cost cost;
      cost.source = Sources()[i].id;
      cost.first = std::max(absl::CivilDay(first + static_cast<int>(month)), calendar.first_day);
      cost.last = std::min(absl::CivilDay(first + static_cast<int>(month) + 1) - 1, last_day);
      const auto percent = static_cast<int64_t>(90 + random.Below(21));
      cost.amount_minor = arrivals[i][month] * Sources()[i].cost_minor * percent / 100;
      const absl::Time at = std::min(absl::FromCivil(cost.last + 1, utc), options.end);
      cost.id = IdAt(absl::ToUnixSeconds(at), options.seed, (uint64_t{2} << 40) + month * 64 + i);
      out.push_back({at, std::move(cost)});
    }
  }
}

std::vector<Record> History(const Options& options) {
  const Calendar calendar(options);
  std::vector<Record> records;
  for (int i = 0; i < options.contacts; ++i) Life(options, calendar, i, records).Live();
  AddCosts(options, calendar, records);
  // Stable: what one person does within a second stays in the order it was done.
  std::stable_sort(records.begin(), records.end(),
                   [](const Record& a, const Record& b) { return a.time < b.time; });
  return records;
}

}  // namespace

const std::vector<Source>& Sources() {
  static const auto* const kSources =
      new std::vector<Source>{{"organic-search", 28, 0.66, 40}, {"search-ads", 22, 0.60, 420},
                              {"social-ads", 20, 0.46, 310},    {"referral", 14, 0.82, 500},
                              {"partner-mail", 10, 0.58, 180},  {"market-stall", 6, 0.76, 650}};
  return *kSources;
}

absl::Status Generate(const Options& options, Sink sink) {
  error::FieldErrors errors;
  if (options.contacts < 1 || options.contacts > 1'000'000) {
    errors.Add("contacts", "must be from 1 to 1000000");
  }
  if (options.months < 1 || options.months > 120) errors.Add("months", "must be from 1 to 120");
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  for (const Record& record : History(options)) CLM_RETURN_IF_ERROR(sink(record));
  return absl::OkStatus();
}

struct Load::State {
  uint64_t seed;
  double per_second;
  Random random;
  int64_t from_micros;
  double elapsed = 0;  // Seconds since `from_micros`.
  uint64_t serial = 0;
  int next_index;
  std::vector<Uuid> contacts, accounts, buyers;
};

Load::Load(const Options& history, absl::Time from, double per_second) {
  const int64_t micros = absl::ToUnixMicros(from);
  const uint64_t seed = Mix(history.seed ^ Mix(static_cast<uint64_t>(micros)));
  state_ = std::make_unique<State>(State{seed, per_second, Random(seed, 0), micros});
  // Arrivals of a load are numbered from a place that depends on its start, so that two loads one
  // after the other do not invent the same address.
  state_->next_index = 1'000'000 + static_cast<int>(seed % 1'000'000'000);
  for (const Record& record : History(history)) {
    if (const auto* contact = std::get_if<Contact>(&record.body))
      state_->contacts.push_back(contact->id);
    if (const auto* event = std::get_if<Event>(&record.body)) {
      if (event->type == "sign_up") state_->accounts.push_back(event->contact);
      if (event->type == "purchase") state_->buyers.push_back(event->contact);
    }
  }
}

Load::~Load() = default;

Record Load::Next() {
  State& s = *state_;
  s.elapsed += s.random.Exponential() / s.per_second;
  const int64_t micros = s.from_micros + static_cast<int64_t>(s.elapsed * 1e6) + 1;
  const absl::Time at = absl::FromUnixMicros(micros);
  const Uuid id = IdAt(micros / 1'000'000, s.seed, s.serial++);

  enum Kind { kArrive, kSignUp, kVisit, kDownload, kBuy, kAnswer, kContactService, kComplain };
  auto kind = static_cast<Kind>(s.random.Pick({4, 3, 52, 7, 22, 6, 4, 2}));
  if (s.contacts.empty()) kind = kArrive;
  if (kind == kArrive) {
    Contact contact = Profile(s.seed, s.next_index++, id);
    s.contacts.push_back(id);
    return {at, std::move(contact)};
  }

  const auto any = [&](const std::vector<Uuid>& of) {
    return of.empty() ? s.contacts[s.random.Below(s.contacts.size())]
                      : of[s.random.Below(of.size())];
  };
  Event event;
  event.id = id;
  event.channel = "web";
  switch (kind) {
    case kSignUp:
      // The newest contact: it has just arrived, or signs up a second time, which changes nothing.
      event.type = "sign_up";
      event.contact = s.contacts.back();
      s.accounts.push_back(event.contact);
      break;
    case kVisit:
      event.type = "visit";
      event.contact = any(s.contacts);
      event.properties = {{"page", "shop"}};
      break;
    case kDownload:
      event.type = "download";
      event.contact = any(s.contacts);
      event.properties = {{"item", PickAny(s.random, kGuides)}};
      break;
    case kBuy:
      // Mostly people who bought before; those who bought more often are drawn more often.
      event.type = "purchase";
      event.contact = any(s.random.Chance(0.85) ? s.buyers : s.accounts);
      event.amount_minor = ToMinor(s.random.Gamma(kTruth.p, s.random.Gamma(kTruth.q, kTruth.v)));
      event.quantity = 1 + *event.amount_minor / 1'800;
      event.properties = {{"product", PickAny(s.random, kProducts)}};
      s.buyers.push_back(event.contact);
      break;
    case kAnswer:
      event.type = "offer_response";
      event.contact = any(s.accounts);
      event.channel = "email";
      event.properties = {{"offer", "month-special"},
                          {"response", s.random.Chance(0.35) ? "accepted" : "declined"}};
      break;
    case kContactService:
      event.type = "service_contact";
      event.contact = any(s.buyers);
      event.channel = "chat";
      event.properties = {{"topic", "delivery"}};
      break;
    case kComplain:
    case kArrive:
      event.type = "complaint";
      event.contact = any(s.buyers);
      event.channel = "email";
      event.properties = {{"topic", "delivery"},
                          {"severity", s.random.Chance(0.3) ? "high" : "normal"}};
      break;
  }
  return {at, std::move(event)};
}

}  // namespace clm::demo
