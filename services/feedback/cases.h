// Cases: what a customer complains of, disputes or asks, who looks after it until when, and what
// came of it. Rules only: each tells the case afterwards, or why it does not come to that.
//
// Three things are wanted to be understood of a case: the problem (when it is opened), what the
// customer expects (before it is investigated; not of an inquiry), and the solution (when it is
// resolved). A resolution keeps who owned the case then, so that whoever rates it rates them.
//
// Whatever happens to a case, its clocks are looked at first (CatchUp): what was due before then
// was due, however late somebody looks.
//
// Pure and thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_CASES_H_
#define CLM_SERVICES_FEEDBACK_CASES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "services/feedback/business_calendar.h"
#include "services/feedback/case_clocks.h"
#include "services/feedback/case_states.h"

namespace clm::feedback {

inline constexpr size_t kMostEvidence = 100;
inline constexpr size_t kMostSteps = 50;
inline constexpr size_t kMostPauses = 200;
inline constexpr size_t kMostResolutions = 100;
inline constexpr int kMostEscalations = 9;

// The numbers are those of the API.
enum class Severity { kLow = 1, kMedium = 2, kHigh = 3, kCritical = 4 };
enum class Remedy {
  kNone = 1,
  kExplanation = 2,
  kApology = 3,
  kCorrection = 4,
  kReplacement = 5,
  kRefund = 6,
  kCredit = 7,
  kOther = 8,
};
enum class DisputeOutcome { kForCustomer = 1, kForCompany = 2, kSplit = 3 };
enum class CompensationState { kPending = 1, kGranted = 2, kFailed = 3 };

// A step of the procedure that cases of its type follow.
struct CaseStep {
  std::string id;
  std::string title;
  bool required = false;  // Before it is resolved.
  std::optional<absl::Time> done_time;
  std::string done_by;
  friend bool operator==(const CaseStep&, const CaseStep&) = default;
};

struct Evidence {
  std::string kind;  // "receipt", "delivery_note".
  std::string description;
  std::string url;
  absl::Time add_time;
  std::string added_by;
  friend bool operator==(const Evidence&, const Evidence&) = default;
};

// Points for the customer's trouble.
struct Compensation {
  std::string program;  // Id of the loyalty programme.
  std::string wallet;   // Empty: its first.
  int64_t points = 0;
  // For whom, as they were called then: the loyalty service finds whom they were merged into.
  std::optional<Uuid> contact;
  CompensationState state = CompensationState::kPending;
  std::string posting;  // Resource name, once granted.
  std::string failure;  // Reason of the refusal.
  int attempts = 0;
  absl::Time next_attempt = absl::InfiniteFuture();
  friend bool operator==(const Compensation&, const Compensation&) = default;
};

// What a case came to, each time.
struct Resolution {
  int number = 0;     // From 1.
  std::string agent;  // Who owned the case then: who is rated.
  absl::Time time;
  std::string solution;
  std::string root_cause;
  std::optional<Remedy> remedy;
  std::optional<DisputeOutcome> outcome;
  std::optional<Compensation> compensation;
  std::optional<absl::Time> breach_time;  // Of the final answer: it came too late.
  friend bool operator==(const Resolution&, const Resolution&) = default;
};

// In which stage of which model the customer was when the case was opened.
struct StageThen {
  std::string model;
  std::string stage;
  friend bool operator==(const StageThen&, const StageThen&) = default;
};

struct Case {
  EntityKey key;
  // Of the journal, for ever: that of the contact for whom it was opened.
  int shard = 0;
  std::optional<Uuid> contact;  // None any more when the person was erased.
  bool erased = false;
  CaseType type = CaseType::kComplaint;
  CaseState state = CaseState::kReceived;
  Severity severity = Severity::kMedium;
  std::string channel;
  std::string title;
  std::string problem;
  std::string expectation;
  std::string owner;
  std::string order;         // Resource name of what it is about.
  int64_t amount_minor = 0;  // What is disputed.
  std::string currency;
  std::string source;  // Resource name of the answer that opened it.
  std::vector<Evidence> evidence;
  std::vector<CaseStep> steps;
  std::vector<StageThen> stages;
  std::vector<CaseClock> clocks;
  std::vector<CasePause> pauses;
  std::vector<Resolution> resolutions;
  int escalations = 0;
  std::string escalation_reason;
  std::string reopen_reason;
  std::string withdraw_reason;
  int64_t notes = 0;
  absl::Time receive_time;
  absl::Time create_time;
  absl::Time update_time;
  std::optional<absl::Time> acknowledge_time;
  std::optional<absl::Time> response_time;  // The customer first heard something of substance.
  std::optional<absl::Time> holding_time;   // Of the holding answer, since it was last opened.
  std::optional<absl::Time> end_time;       // Resolved, or withdrawn.
  int64_t version = 0;
  friend bool operator==(const Case&, const Case&) = default;
};

// How cases of a type are dealt with.
struct CaseProcedure {
  CaseType type = CaseType::kComplaint;
  std::string owner;  // Of new ones for which nobody else is named.
  std::vector<ClockTerms> clocks;
  std::vector<CaseStep> steps;
  friend bool operator==(const CaseProcedure&, const CaseProcedure&) = default;
};

// Of types for which the tenant has said nothing: five business days to acknowledge; eight weeks
// for the final answer, of payment complaints 15 business days, or 35 with a holding answer;
// inquiries are responded to within eight hours of work and answered within ten business days, not
// counting what the customer takes.
CaseProcedure DefaultProcedure(CaseType type);

// INVALID_ARGUMENT with every bad field; paths are relative to the procedure.
absl::Status ValidateProcedure(const CaseProcedure& procedure);

// A new case as a caller describes it, `fresh`, under its procedure. INVALID_ARGUMENT with every
// bad field, with paths below "case".
absl::StatusOr<Case> OpenCase(Case fresh, const CaseProcedure& procedure, absl::Time now);

// What callers change; absent: stays.
struct CasePatch {
  std::optional<std::string> title;
  std::optional<std::string> problem;
  std::optional<std::string> expectation;
  std::optional<std::string> owner;
  std::optional<std::string> order;
  std::optional<std::string> currency;
  std::optional<int64_t> amount_minor;
  std::optional<Severity> severity;
};

// All the rest is FAILED_PRECONDITION, reason CASE_ERASED, of a case whose person was erased, and
// CASE_STATE where the state does not allow it (case_states.h).

absl::StatusOr<Case> UpdateCase(const Case& before, const CasePatch& patch, absl::Time now);
// `owner`: who looks after it from now on; empty: who does already, or else `actor`.
absl::StatusOr<Case> AcknowledgeCase(const Case& before, const std::string& owner,
                                     const std::string& actor, absl::Time now);
// Reason CASE_INCOMPLETE, metadata `missing`, while something is not known that has to be by then.
absl::StatusOr<Case> InvestigateCase(const Case& before, absl::Time now);
absl::StatusOr<Case> AwaitCustomer(const Case& before, absl::Time now);
absl::StatusOr<Case> ResumeCase(const Case& before, absl::Time now);
// A holding answer, once between openings. Reason CASE_HELD when there was one.
absl::StatusOr<Case> HoldCase(const Case& before, absl::Time now);
// Of `resolution` the caller fills what is his. INVALID_ARGUMENT when a field is missing that the
// type asks for; CASE_INCOMPLETE; CASE_STEPS_OPEN, metadata `steps`, while a required step is not
// done.
absl::StatusOr<Case> ResolveCase(const Case& before, Resolution resolution, absl::Time now);
absl::StatusOr<Case> CloseCase(const Case& before, absl::Time now);
// Only the clocks of the first response and of the final answer run anew, from now on.
absl::StatusOr<Case> ReopenCase(const Case& before, const std::string& reason, absl::Time now);
absl::StatusOr<Case> EscalateCase(const Case& before, const std::string& owner,
                                  const std::string& reason, absl::Time now);
absl::StatusOr<Case> WithdrawCase(const Case& before, const std::string& reason, absl::Time now);
// Also of what is resolved. A note that the customer got is a response.
absl::StatusOr<Case> NoteOnCase(const Case& before, bool to_customer, absl::Time now);
absl::StatusOr<Case> AddEvidence(const Case& before, Evidence evidence, absl::Time now);
// INVALID_ARGUMENT when there is no such step; checking one that is done changes nothing.
absl::StatusOr<Case> CheckStep(const Case& before, const std::string& step,
                               const std::string& actor, absl::Time now);

// What was due of its clocks by `now` and was not raised yet.
struct CaughtUp {
  Case after;
  std::vector<ClockMark> marks;
};
CaughtUp CatchUp(const Case& before, const BusinessCalendar& calendar, absl::Time now);

// When something is due of it: a mark, or points that wait to be granted.
absl::Time DueTimeOf(const Case& c, const BusinessCalendar& calendar);

// ---- Compensation.
// The resolution whose points are to be granted by now; null: none.
const Resolution* PendingCompensation(const Case& c, absl::Time now);
// Of the same id for ever, so that they are granted once.
Uuid CompensationRequestId(const EntityKey& key, int resolution);
// Each does nothing when it is not pending any more.
Case CompensationGranted(const Case& before, int resolution, const std::string& posting);
Case CompensationFailed(const Case& before, int resolution, const std::string& reason);
// It was tried in vain, and will be again: first after seconds, at last every hour.
Case CompensationDelayed(const Case& before, int resolution, absl::Time now);

// What is left of a case whose person was erased: what it counts for, and nothing that was said.
// What was open is withdrawn.
Case Erased(const Case& before, absl::Time now);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASES_H_
