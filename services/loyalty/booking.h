// One posting in the making: moves points between accounts and keeps totals and lots in step, which
// is the only way in which the rules of this service change them. Not part of the public interface
// of the rules; ledger.h is.
//
// Works on copies of wallets, which the caller puts in place once Finish has said that all is well:
// until then nothing has happened. Not thread-safe.
#ifndef CLM_SERVICES_LOYALTY_BOOKING_H_
#define CLM_SERVICES_LOYALTY_BOOKING_H_

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/base/uuid.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

// An account as far as it concerns one member and one lot. Both outlive the booking.
struct Place {
  Wallet* wallet;
  Lot* lot;  // Null: a debt that changes hands.
  Account account;
};

class Booking {
 public:
  Booking(PostingKind kind, const Uuid& id, absl::Time time) : kind_(kind), id_(id), time_(time) {}

  // `amount` may be 0: then nothing happens. A move that cannot be makes Finish fail.
  void Move(const Place& from, const Place& to, int64_t amount);
  // Within one lot.
  void Move(Wallet& wallet, Lot& lot, Account from, Account to, int64_t amount) {
    Move({&wallet, &lot, from}, {&wallet, &lot, to}, amount);
  }
  // Moves to where the points of the lot belong now: EXPIRED if the lot is, else the wallet's debt
  // as far as there is one, and ACTIVE.
  void MoveToActive(const Place& from, Wallet& wallet, Lot& lot, int64_t amount);
  // A pending lot, all that remains of it.
  void Activate(Wallet& wallet, Lot& lot);
  // An open hold: what it took first goes to REDEEMED, as far as `captured`, and is answered; the
  // rest goes where the points of its lots belong.
  absl::StatusOr<std::vector<Allocation>> EndHold(Wallet& wallet, Hold& hold, HoldState state,
                                                  int64_t captured);

  // The posting; or the first thing that was wrong with a move or is wrong with the totals.
  absl::StatusOr<Posting> Finish() const;

 private:
  void Book(const Place& place, int64_t amount);
  void Add(int64_t& value, int64_t amount);

  PostingKind kind_;
  Uuid id_;
  absl::Time time_;
  std::map<std::tuple<Uuid, Account, std::optional<Uuid>>, int64_t> entries_;
  absl::flat_hash_set<const Wallet*> wallets_;
  absl::Status status_;
};

// Calls `take` for the lots that are spent first, with how much of each, until `amount` is reached.
// `take` makes the lot's remaining smaller. FAILED_PRECONDITION, reason POINTS_SHORT, if the
// wallet has less; INTERNAL if it has enough, but not in the lots at hand.
absl::Status TakeInSpendOrder(Wallet& wallet, int64_t amount,
                              absl::FunctionRef<void(Lot&, int64_t)> take);

// INTERNAL if something of what is at hand is due: Settle comes first.
absl::Status CheckSettled(const Wallet& wallet, absl::Time now);
// INVALID_ARGUMENT unless `amount` is 1 to kMaxPoints.
absl::Status CheckAmount(int64_t amount);
// INTERNAL for what cannot be a sum of points.
absl::StatusOr<int64_t> Sum(absl::Span<const Allocation> allocations);

// INTERNAL if it is not at hand.
absl::StatusOr<Lot*> FindLot(Wallet& wallet, const Uuid& id);
// A lot that nothing has been moved to yet. INTERNAL if the id is taken.
absl::StatusOr<Lot*> AddLot(Wallet& wallet, const Lot& lot);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BOOKING_H_
