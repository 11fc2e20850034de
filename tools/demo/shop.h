// The fictional business of `clm up --demo`: Kettle & Crane, a shop that sells coffee once and by
// subscription. A documented buying process with known parameters makes its people and what they
// did, so that what the suite reports can be compared with the truth. README.md describes the
// process.
//
// Same options, same records, on every platform. Thread-safe: functions without state.
#ifndef CLM_TOOLS_DEMO_SHOP_H_
#define CLM_TOOLS_DEMO_SHOP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"

namespace clm::demo {

inline constexpr char kShopName[] = "Kettle & Crane Coffee";
inline constexpr char kCurrency[] = "EUR";
// Topics of the shop, all by e-mail, double opt-in.
inline constexpr char kNewsletter[] = "newsletter";
inline constexpr char kOffers[] = "offers";

struct Options {
  uint64_t seed = 20'260'101;
  int contacts = 5'000;
  int months = 18;
  // No record is later. The history begins `months` calendar months before, at midnight UTC. Repeat
  // a run with the same `end`, or ids and times change.
  absl::Time end;
};

// The process' parameters. Times in weeks where not said otherwise, money in the major unit.
struct Truth {
  // One-off buyers, BG/NBD: purchase rate ~ Gamma(r, alpha) per week; after each repeat purchase
  // the customer is gone for good with probability ~ Beta(a, b).
  double r = 1.4, alpha = 6.0, a = 1.1, b = 5.2;
  // Their spend, Gamma-Gamma: purchase ~ Gamma(p, rate nu), nu ~ Gamma(q, v).
  double p = 5.0, q = 4.5, v = 22.0;
  // Subscribers, shifted-beta-geometric: at the end of each period of 30 days the customer leaves
  // with probability ~ Beta(leave_alpha, leave_beta).
  double leave_alpha = 0.9, leave_beta = 6.5;
  int period_days = 30;
  // From a sign-up to a trial, from a trial to a first purchase, from a sign-up without a trial to
  // a first purchase; share of the buyers who subscribe.
  double trial = 0.62, first_after_trial = 0.66, first_without_trial = 0.18, subscribe = 0.38;
  // Marketing consent asked at sign-up; confirmation of the double opt-in.
  double consent = 0.64, confirm = 0.86;
  // A lapsed one-off buyer answers the win-back offer (those who may get it); a subscriber who left
  // comes back.
  double win_back_buyer = 0.22, win_back_subscriber = 0.14;
};
inline constexpr Truth kTruth;

// Where people come from: share of the contacts in percent, sign-up rate, acquisition cost per
// contact in minor units.
struct Source {
  const char* id;
  int share;
  double sign_up;
  int64_t cost_minor;
};
const std::vector<Source>& Sources();

struct Contact {
  Uuid id;
  std::string external_id;  // Of type "user_id".
  std::string email;        // At example.com, example.org or example.net.
  std::string phone;        // From a range reserved for fiction; often empty.
  std::string given_name, family_name;
  std::string locale, timezone;
  std::string source;       // An id of Sources().
  std::string roast;        // "light", "medium", "dark".
  std::string brew_method;  // "filter", "espresso", "press", "moka".
};

struct Event {
  Uuid id;
  Uuid contact;
  std::string type;
  std::optional<int64_t> amount_minor;  // In kCurrency.
  std::optional<int64_t> quantity;
  std::string channel;
  std::vector<std::pair<std::string, std::string>> properties;
};

struct Consent {
  enum class State { kGranted, kDenied, kRevoked };
  Uuid id;  // Fit for a request_id; so are the ids below.
  Uuid contact;
  std::string purpose;  // "marketing".
  State state = State::kGranted;
  std::string source, text_version;
};

struct TopicAct {
  enum class Kind { kSubscribed, kConfirmed, kUnsubscribed };
  Uuid id;
  Uuid contact;
  std::string topic;
  Kind kind = Kind::kSubscribed;
  std::string source;
};

// A message to the address came back for good.
struct HardBounce {
  Uuid id;
  Uuid contact;
  std::string email;
};

// What a source cost in a month, or in the part of it that the history covers. Days inclusive.
struct Cost {
  Uuid id;
  std::string source;
  absl::CivilDay first, last;
  int64_t amount_minor = 0;
};

struct Record {
  absl::Time time;  // A Contact's: when it came into being. A Cost's: the end of its period.
  std::variant<Contact, Event, Consent, TopicAct, HardBounce, Cost> body;
};

using Sink = absl::FunctionRef<absl::Status(const Record&)>;

// Sends the whole history in order of time, a contact before what refers to it. Stops at the first
// status that is not OK and returns it. INVALID_ARGUMENT for contacts outside 1..1000000, months
// outside 1..120.
absl::Status Generate(const Options& options, Sink sink);

// A stream without end that goes on where a history ends, for `--with-load`: a Poisson process in
// which people arrive, visit, buy, download, answer offers and complain. It keeps figures moving;
// it does not follow kTruth. Not thread-safe.
class Load {
 public:
  // `history` made the contacts that exist. Records begin after `from` and come at `per_second` > 0
  // on average. Another `from` gives other ids.
  Load(const Options& history, absl::Time from, double per_second);
  ~Load();

  // The next record; times never decrease.
  Record Next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace clm::demo

#endif  // CLM_TOOLS_DEMO_SHOP_H_
