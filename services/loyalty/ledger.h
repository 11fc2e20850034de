// Everything that can happen to points, as functions of a wallet and an instant.
//
// Each operation changes the wallet and answers with the posting to be kept, or fails and has
// changed nothing. Lots and holds that it changed or made are marked (wallet.h), so that a store
// writes those. Whether a request came before is the caller's concern; so are the ids of postings,
// lots and holds, which must be new.
//
// What must be at hand. The totals, always. Of lots and holds those that an operation names, the
// lots of the allocations it names, and for "in spend order" the first lots by SpendsBefore among
// those that are active with points remaining, until they cover the amount; more do no harm. If
// something lacks, the answer is INTERNAL. Earn and AdjustUp need no lot.
//
// Settled. All that is due by `now` must have happened: Settle comes before any other operation.
// For what is at hand this is verified, INTERNAL.
//
// Debt. Who owes has no active points. Points that become or return active pay the debt first, in
// spend order; points that have expired pay nothing.
//
// Expiry. A lot is usable strictly before its expire_time. Points that are held when it comes do
// not expire; they do at once if the hold does not end in a redemption.
//
// Clocks. `now` may be earlier than that of an operation before, as processes disagree: nothing
// becomes undone, and what comes back to a lot that had expired by then expires when time goes on.
//
// Amounts are 1 to kMaxPoints, INVALID_ARGUMENT otherwise. More points than a wallet counts:
// OUT_OF_RANGE, see CheckTotals; Settle, redemptions and holds cannot meet it. Less points than an
// operation wants: FAILED_PRECONDITION, reason POINTS_SHORT, metadata `requested`, `available` and
// `shortfall`.
//
// Pure functions.
#ifndef CLM_SERVICES_LOYALTY_LEDGER_H_
#define CLM_SERVICES_LOYALTY_LEDGER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

// Lets happen what is due by `now`, in the order of the instants at which it became due, each by a
// posting of that instant: pending lots become active, open holds end, lots expire, pending ones
// too. At one instant lots expire first, then holds end, then lots become active; among themselves
// lots by spend order, holds by id.
//
// Needs the lots and holds whose DueTime is not after `now`, and the lots of those holds. The ids
// of the postings are derived from those of the lots and holds: whoever settles makes the same.
absl::StatusOr<std::vector<Posting>> Settle(Wallet& wallet, absl::Time now);
// The id of the posting by which Settle ends a hold.
Uuid TimeOutPosting(const Uuid& hold);

struct NewLot {
  Uuid id;
  int64_t amount = 0;
  absl::Time earn_time;                             // Not after now.
  absl::Time activate_time = absl::InfinitePast();  // After now: pending until then.
  absl::Time expire_time = absl::InfiniteFuture();  // After now.
};
absl::StatusOr<Posting> Earn(Wallet& wallet, const NewLot& lot, const Uuid& posting,
                             absl::Time now);

// Makes a pending lot active before its time. FAILED_PRECONDITION, reason LOT_NOT_PENDING, if it is
// not pending or nothing remains of it.
absl::StatusOr<Posting> Activate(Wallet& wallet, const Uuid& lot, const Uuid& posting,
                                 absl::Time now);

struct Redemption {
  Posting posting;
  std::vector<Allocation> allocations;  // In spend order; CancelRedemption wants them.
};
// In spend order.
absl::StatusOr<Redemption> Redeem(Wallet& wallet, int64_t amount, const Uuid& posting,
                                  absl::Time now);

// Gives the points of a redemption or a captured hold back to their lots, with the expiry they had.
// Of a part, those come back that were allocated last, which expire last. Points of lots that have
// expired since come back and expire at once.
struct Cancellation {
  std::vector<Allocation> allocations;  // As the redemption told them.
  int64_t cancelled = 0;                // Of them, by cancellations before this one.
  std::optional<int64_t> amount;        // Absent: all the rest.
};
// FAILED_PRECONDITION, reason REDEMPTION_EXCEEDED, metadata `requested` and `available`, if less
// than `amount` is left to be cancelled, or nothing.
absl::StatusOr<Posting> CancelRedemption(Wallet& wallet, const Cancellation& cancellation,
                                         const Uuid& posting, absl::Time now);

struct NewHold {
  Uuid id;
  int64_t amount = 0;
  absl::Time expire_time = absl::InfiniteFuture();  // After now.
};
// In spend order.
absl::StatusOr<Posting> PlaceHold(Wallet& wallet, const NewHold& hold, const Uuid& posting,
                                  absl::Time now);
// Redeems `amount` of what is held, what is spent first first, and releases the rest.
// INVALID_ARGUMENT if less is held; a hold that is not open: FAILED_PRECONDITION, reason
// HOLD_ENDED, metadata `state`.
absl::StatusOr<Redemption> CaptureHold(Wallet& wallet, const Uuid& hold, int64_t amount,
                                       const Uuid& posting, absl::Time now);
absl::StatusOr<Posting> ReleaseHold(Wallet& wallet, const Uuid& hold, const Uuid& posting,
                                    absl::Time now);

// What may be taken back for an order that was returned.
enum class ReturnPolicy {
  kOnlyPending = 1,    // What is pending of the lot.
  kWithinBalance = 2,  // Also what is active, of the lot first, then in spend order.
  kUnlimited = 3,      // Also more than there is, as a debt.
};
struct Return {
  Posting posting;
  int64_t from_pending = 0;
  int64_t from_lot = 0;     // Active.
  int64_t from_others = 0;  // Active, of other lots.
  int64_t as_debt = 0;
  int64_t not_taken = 0;
};
// Takes back points of the lot that an order earned. Points of the lot that expired are not asked
// for again. FAILED_PRECONDITION, reason RETURN_EXCEEDED, metadata `requested` and `available`, if
// `amount` is more than was earned and not yet taken back. Needs for the policies that take active
// points the first lots in spend order as well.
absl::StatusOr<Return> ReturnEarned(Wallet& wallet, const Uuid& lot, int64_t amount,
                                    ReturnPolicy policy, const Uuid& posting, absl::Time now);

// By hand, against the house's ADJUSTED account. Down: active points, in spend order.
absl::StatusOr<Posting> AdjustUp(Wallet& wallet, const NewLot& lot, const Uuid& posting,
                                 absl::Time now);
absl::StatusOr<Posting> AdjustDown(Wallet& wallet, int64_t amount, const Uuid& posting,
                                   absl::Time now);

// Gives active points to another member, in spend order. Each lot they come from makes a lot of the
// receiver with the same times and an id that is derived from both `posting` and the lot.
absl::StatusOr<Posting> TransferPoints(Wallet& from, Wallet& to, int64_t amount,
                                       const Uuid& posting, absl::Time now);

// Moves everything: lots and holds as they are, with their ids, debt, and all that ever came and
// went. `from` is empty afterwards. Then active points pay the debt of both, in spend order; but
// for that the posting sums to zero in every account.
//
// Of `from` all lots with points remaining or held and all open holds must be at hand, and if one
// of the two owes, of `into` the first lots in spend order. Lots and holds that are not at hand,
// all used up, have to follow in the store.
absl::StatusOr<Posting> MergeWallets(Wallet& from, Wallet& into, const Uuid& posting,
                                     absl::Time now);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LEDGER_H_
