// Corrections of balances by hand: how much one person may correct in a day, and what two persons
// decide together.
//
// Values and pure functions; thread-safe.
#ifndef CLM_SERVICES_LOYALTY_ADJUSTMENTS_H_
#define CLM_SERVICES_LOYALTY_ADJUSTMENTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"

namespace clm::loyalty {

// How long a proposal waits for a second person.
inline constexpr absl::Duration kAdjustmentWaits = absl::Hours(7 * 24);

struct AdjustmentKey {
  std::string tenant;
  std::string program;
  Uuid id;
  friend auto operator<=>(const AdjustmentKey&, const AdjustmentKey&) = default;
  friend bool operator==(const AdjustmentKey&, const AdjustmentKey&) = default;
};

// The numbers are those of the API. Lapsed is told by the time alone and never stored.
enum class AdjustmentState { kProposed = 1, kApproved = 2, kRejected = 3, kLapsed = 4 };
absl::string_view Name(AdjustmentState state);

struct Adjustment {
  AdjustmentKey key;
  std::optional<Uuid> contact;  // Whose balance; none: erased.
  bool erased = false;
  // What the contact was merged into, where the proposal has not followed yet.
  std::optional<Uuid> merged_into;
  std::string wallet;
  int64_t amount = 0;  // Below 0: to take.
  std::string expiry;  // As the request says it.
  std::string reason;
  AdjustmentState state = AdjustmentState::kProposed;  // As it is stored.
  std::string proposed_by;                             // Actors.
  absl::Time propose_time;
  absl::Time lapse_time;
  std::string decided_by;
  std::optional<absl::Time> decide_time;
  std::string reject_reason;
  std::optional<Uuid> posted_for;  // Whose posting the approval made.
  std::optional<int64_t> posting;  // Its number in the wallet.
  int64_t version = 0;
};

// What has become of it by `now`.
AdjustmentState StateOf(const Adjustment& adjustment, absl::Time now);

// A decision. FAILED_PRECONDITION, reason ADJUSTMENT_STATE, metadata `state`, for what is not
// proposed by `now`. To approve one's own: PERMISSION_DENIED, reason SAME_PERSON. The posting is
// left to the caller.
absl::StatusOr<Adjustment> Approve(const Adjustment& before, const std::string& actor,
                                   absl::Time now);
absl::StatusOr<Adjustment> Reject(const Adjustment& before, const std::string& actor,
                                  const std::string& reason, absl::Time now);

// What a day's corrections by one person come to with one more. `corrected`: so far, given and
// taken added up. Beyond the limit, unless it is 0: FAILED_PRECONDITION, reason
// SECOND_PERSON_NEEDED, metadata `limit` and `left`. At most kMaxPoints, from where on no limit
// can tell.
absl::StatusOr<int64_t> CorrectedWith(int64_t limit, int64_t corrected, int64_t amount);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ADJUSTMENTS_H_
