#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/booking.h"
#include "services/loyalty/ledger.h"

namespace clm::loyalty {
namespace {

// What may happen at an instant. The order of the values is the order within it.
enum class Step { kExpire, kEndHold, kActivate };

struct Due {
  absl::Time at;
  Step step;
  Lot* lot;    // Null for kEndHold.
  Hold* hold;  // Null otherwise.
};

bool HappensBefore(const Due& a, const Due& b) {
  if (a.at != b.at || a.step != b.step) return std::tie(a.at, a.step) < std::tie(b.at, b.step);
  return a.step == Step::kEndHold ? a.hold->id < b.hold->id : SpendsBefore(*a.lot, *b.lot);
}

// All that can be due: what happens before may leave nothing of a lot, or bring something back.
std::vector<Due> AllDue(Wallet& wallet, absl::Time now) {
  std::vector<Due> due;
  for (auto& [id, lot] : wallet.lots) {
    if (lot.pending && lot.activate_time <= now) {
      due.push_back({lot.activate_time, Step::kActivate, &lot, nullptr});
    }
    if (lot.expire_time <= now) due.push_back({lot.expire_time, Step::kExpire, &lot, nullptr});
  }
  for (auto& [id, hold] : wallet.holds) {
    if (DueTime(hold) <= now) due.push_back({hold.expire_time, Step::kEndHold, nullptr, &hold});
  }
  std::sort(due.begin(), due.end(), HappensBefore);
  return due;
}

absl::StatusOr<Posting> Happen(Wallet& wallet, const Due& due) {
  switch (due.step) {
    case Step::kExpire: {
      // Once, unless a clock that was behind brought something back.
      const std::string what = absl::StrCat("expire ", due.lot->expired);
      Booking booking(PostingKind::kExpire, Uuid::V5(due.lot->id, what), due.at);
      booking.Move(wallet, *due.lot, due.lot->pending ? Account::kPending : Account::kActive,
                   Account::kExpired, due.lot->remaining);
      return booking.Finish();
    }
    case Step::kEndHold: {
      Booking booking(PostingKind::kRelease, TimeOutPosting(due.hold->id), due.at);
      CLM_RETURN_IF_ERROR(booking.EndHold(wallet, *due.hold, HoldState::kTimedOut, 0).status());
      return booking.Finish();
    }
    case Step::kActivate: {
      Booking booking(PostingKind::kActivate, Uuid::V5(due.lot->id, "activate"), due.at);
      booking.Activate(wallet, *due.lot);
      return booking.Finish();
    }
  }
  return Posting{};
}

}  // namespace

Uuid TimeOutPosting(const Uuid& hold) { return Uuid::V5(hold, "time_out"); }

absl::StatusOr<std::vector<Posting>> Settle(Wallet& wallet, absl::Time now) {
  std::vector<Posting> postings;
  // Mostly so, and a busy wallet has many lots to copy.
  if (AllDue(wallet, now).empty()) return postings;
  Wallet draft = wallet;
  for (const Due& due : AllDue(draft, now)) {
    if (due.lot != nullptr && due.lot->remaining == 0) continue;
    CLM_ASSIGN_OR_RETURN(Posting posting, Happen(draft, due));
    postings.push_back(std::move(posting));
  }
  wallet = std::move(draft);
  return postings;
}

}  // namespace clm::loyalty
