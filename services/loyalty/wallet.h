// A member's points and the double entries behind them. Points lie in lots, one per earn, each with
// an expiry of its own. They move between accounts by postings whose entries sum to zero; a posting
// never changes, a correction is another posting. Totals and lots are what the entries add up to,
// kept so that nobody has to add them up (audit.h does, to see that they are).
//
// Signs. An entry adds its amount to its account. The house's accounts go the other way: ISSUED
// falls when points are earned, DEBT falls when the member owes more. A programme as a whole is
// therefore zero, at any time.
//
// Values; not thread-safe.
#ifndef CLM_SERVICES_LOYALTY_WALLET_H_
#define CLM_SERVICES_LOYALTY_WALLET_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"

namespace clm::loyalty {

// The largest amount and the largest total: what a double, and so JSON, can count exactly.
inline constexpr int64_t kMaxPoints = (int64_t{1} << 53) - 1;

// Adds; false, and `sum` is of no use, if the result does not fit.
[[nodiscard]] inline bool AddPoints(int64_t& sum, int64_t amount) {
  return !__builtin_add_overflow(sum, amount, &sum);
}

// The numbers of these enums are those of the database.
enum class Account {
  // Of a member.
  kActive = 1,
  kPending = 2,
  kHeld = 3,
  kDebt = 4,
  // Of the house.
  kIssued = 5,
  kRedeemed = 6,
  kExpired = 7,
  kAdjusted = 8,
  // Between two members. Only a store books it, which keeps the parts of the two apart.
  kTransferred = 9,
};
absl::string_view Name(Account account);  // "ACTIVE".
bool IsHouse(Account account);

enum class PostingKind {
  kEarn = 1,
  kActivate = 2,
  kRedeem = 3,
  kHold = 4,
  kCapture = 5,
  kRelease = 6,
  kExpire = 7,
  kReturn = 8,
  kCancelRedemption = 9,
  kTransfer = 10,
  kAdjust = 11,
  kMerge = 12,
};
absl::string_view Name(PostingKind kind);  // "CANCEL_REDEMPTION".

struct Entry {
  Uuid member;  // Whose points move; set for the accounts of the house too.
  Account account = Account::kActive;
  std::optional<Uuid> lot;  // Absent: a debt that changes hands.
  int64_t amount = 0;       // Not 0.
  friend bool operator==(const Entry&, const Entry&) = default;
};

struct Posting {
  Uuid id;
  PostingKind kind = PostingKind::kEarn;
  absl::Time time;             // When it took effect.
  std::vector<Entry> entries;  // By (member, account, lot), each once. None: nothing moved.
  friend bool operator==(const Posting&, const Posting&) = default;
};

// What a store has to write after an operation.
enum class Mark { kStored, kChanged, kNew };

struct Lot {
  Uuid id;
  Uuid posting;  // That made it.
  bool pending = false;
  int64_t earned = 0;
  int64_t remaining = 0;  // PENDING or ACTIVE.
  int64_t held = 0;
  int64_t expired = 0;
  int64_t returned = 0;  // Taken back for it with its order, from whatever lots.
  absl::Time earn_time;
  absl::Time activate_time;                         // InfiniteFuture: when it is told to.
  absl::Time expire_time = absl::InfiniteFuture();  // Usable strictly before it.
  Mark mark = Mark::kStored;
  friend bool operator==(const Lot&, const Lot&) = default;
};

enum class HoldState { kOpen = 1, kCaptured = 2, kReleased = 3, kTimedOut = 4 };
absl::string_view Name(HoldState state);  // "TIMED_OUT".

struct Allocation {
  Uuid lot;
  int64_t amount = 0;
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

// Points set aside for a redemption that has yet to be decided.
struct Hold {
  Uuid id;
  HoldState state = HoldState::kOpen;
  std::vector<Allocation> allocations;              // In spend order.
  absl::Time expire_time = absl::InfiniteFuture();  // Ends by itself then.
  Mark mark = Mark::kStored;
  friend bool operator==(const Hold&, const Hold&) = default;
};

struct Totals {
  // What is there. debt > 0 implies active == 0.
  int64_t active = 0;
  int64_t pending = 0;
  int64_t held = 0;
  int64_t debt = 0;
  // What ever came and went. `redeemed` is net of cancellations; `adjusted` and `transferred` are
  // what came in less what went out, the only ones that can be negative.
  int64_t earned = 0;
  int64_t redeemed = 0;
  int64_t expired = 0;
  int64_t returned = 0;
  int64_t adjusted = 0;
  int64_t transferred = 0;
  friend bool operator==(const Totals&, const Totals&) = default;
};

// All of them, by name.
struct TotalField {
  const char* name;
  int64_t Totals::*value;
  bool lifetime;  // What ever came or went; else what is there.
  bool may_fall_below_zero = false;
};
inline constexpr TotalField kTotalFields[] = {
    {"active", &Totals::active, false},
    {"pending", &Totals::pending, false},
    {"held", &Totals::held, false},
    {"debt", &Totals::debt, false},
    {"earned", &Totals::earned, true},
    {"redeemed", &Totals::redeemed, true},
    {"expired", &Totals::expired, true},
    {"returned", &Totals::returned, true},
    {"adjusted", &Totals::adjusted, true, true},
    {"transferred", &Totals::transferred, true, true},
};

// INTERNAL if the totals cannot be true: a negative one, active points beside a debt, or more or
// less there than came and went. OUT_OF_RANGE, reason POINTS_OUT_OF_RANGE, if one of them, or what
// is there, was redeemed and has expired together, is more than kMaxPoints. Only what brings points
// in makes that sum larger, so what is there can always expire, be held and be spent.
absl::Status CheckTotals(const Totals& totals);
absl::Status PointsOutOfRange();

struct WalletKey {
  std::string tenant;
  std::string program;
  std::string wallet;  // Of the programme: "points".
  Uuid member;         // The contact.
  friend auto operator<=>(const WalletKey&, const WalletKey&) = default;
  friend bool operator==(const WalletKey&, const WalletKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const WalletKey& key) {
    return H::combine(std::move(h), key.tenant, key.program, key.wallet, key.member);
  }
};

// The totals, and of millions of lots and holds only those that an operation needs.
struct Wallet {
  WalletKey key;
  Totals totals;
  std::map<Uuid, Lot> lots;
  std::map<Uuid, Hold> holds;
  friend bool operator==(const Wallet&, const Wallet&) = default;
};

// Whether `a` is spent before `b`: what expires first goes first, then what was earned first, then
// by id.
bool SpendsBefore(const Lot& a, const Lot& b);

// The instant at which something happens by itself: a lot becomes active or expires, an open hold
// ends. InfiniteFuture: never.
absl::Time DueTime(const Lot& lot);
absl::Time DueTime(const Hold& hold);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_WALLET_H_
