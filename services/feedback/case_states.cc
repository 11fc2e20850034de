#include "services/feedback/case_states.h"

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::feedback {
namespace {

struct Move {
  CaseState from;
  CaseVerb verb;
  CaseState to;
  bool inquiries_only = false;
};
constexpr Move kMoves[] = {
    {CaseState::kReceived, CaseVerb::kAcknowledge, CaseState::kAcknowledged},
    {CaseState::kReceived, CaseVerb::kEscalate, CaseState::kEscalated},
    {CaseState::kReceived, CaseVerb::kWithdraw, CaseState::kWithdrawn},
    {CaseState::kAcknowledged, CaseVerb::kInvestigate, CaseState::kInvestigating},
    {CaseState::kAcknowledged, CaseVerb::kResolve, CaseState::kResolved, true},
    {CaseState::kAcknowledged, CaseVerb::kEscalate, CaseState::kEscalated},
    {CaseState::kAcknowledged, CaseVerb::kWithdraw, CaseState::kWithdrawn},
    {CaseState::kInvestigating, CaseVerb::kAwaitCustomer, CaseState::kAwaitingCustomer},
    {CaseState::kInvestigating, CaseVerb::kResolve, CaseState::kResolved},
    {CaseState::kInvestigating, CaseVerb::kEscalate, CaseState::kEscalated},
    {CaseState::kInvestigating, CaseVerb::kWithdraw, CaseState::kWithdrawn},
    {CaseState::kAwaitingCustomer, CaseVerb::kResume, CaseState::kInvestigating},
    {CaseState::kAwaitingCustomer, CaseVerb::kResolve, CaseState::kResolved},
    {CaseState::kAwaitingCustomer, CaseVerb::kEscalate, CaseState::kEscalated},
    {CaseState::kAwaitingCustomer, CaseVerb::kWithdraw, CaseState::kWithdrawn},
    {CaseState::kEscalated, CaseVerb::kAcknowledge, CaseState::kEscalated},
    {CaseState::kEscalated, CaseVerb::kInvestigate, CaseState::kInvestigating},
    {CaseState::kEscalated, CaseVerb::kResolve, CaseState::kResolved},
    {CaseState::kEscalated, CaseVerb::kEscalate, CaseState::kEscalated},
    {CaseState::kEscalated, CaseVerb::kWithdraw, CaseState::kWithdrawn},
    {CaseState::kResolved, CaseVerb::kClose, CaseState::kClosed},
    {CaseState::kResolved, CaseVerb::kReopen, CaseState::kReopened},
    {CaseState::kClosed, CaseVerb::kReopen, CaseState::kReopened},
    {CaseState::kReopened, CaseVerb::kInvestigate, CaseState::kInvestigating},
    {CaseState::kReopened, CaseVerb::kEscalate, CaseState::kEscalated},
    {CaseState::kReopened, CaseVerb::kWithdraw, CaseState::kWithdrawn},
};

bool Holds(const Move& move, CaseType type, CaseState from) {
  return move.from == from && (!move.inquiries_only || type == CaseType::kInquiry);
}

}  // namespace

absl::string_view Name(CaseType type) {
  switch (type) {
    case CaseType::kComplaint:
      return "COMPLAINT";
    case CaseType::kPaymentComplaint:
      return "PAYMENT_COMPLAINT";
    case CaseType::kDispute:
      return "DISPUTE";
    case CaseType::kInquiry:
      return "INQUIRY";
  }
  return "";
}

absl::string_view Name(CaseState state) {
  switch (state) {
    case CaseState::kReceived:
      return "RECEIVED";
    case CaseState::kAcknowledged:
      return "ACKNOWLEDGED";
    case CaseState::kInvestigating:
      return "INVESTIGATING";
    case CaseState::kAwaitingCustomer:
      return "AWAITING_CUSTOMER";
    case CaseState::kResolved:
      return "RESOLVED";
    case CaseState::kClosed:
      return "CLOSED";
    case CaseState::kReopened:
      return "REOPENED";
    case CaseState::kEscalated:
      return "ESCALATED";
    case CaseState::kWithdrawn:
      return "WITHDRAWN";
  }
  return "";
}

absl::string_view Name(CaseVerb verb) {
  switch (verb) {
    case CaseVerb::kAcknowledge:
      return "acknowledge";
    case CaseVerb::kInvestigate:
      return "investigate";
    case CaseVerb::kAwaitCustomer:
      return "awaitCustomer";
    case CaseVerb::kResume:
      return "resume";
    case CaseVerb::kResolve:
      return "resolve";
    case CaseVerb::kClose:
      return "close";
    case CaseVerb::kReopen:
      return "reopen";
    case CaseVerb::kEscalate:
      return "escalate";
    case CaseVerb::kWithdraw:
      return "withdraw";
  }
  return "";
}

bool IsOpen(CaseState state) {
  return state != CaseState::kResolved && state != CaseState::kClosed &&
         state != CaseState::kWithdrawn;
}

absl::StatusOr<CaseState> MoveCase(CaseType type, CaseState from, CaseVerb verb) {
  for (const Move& move : kMoves) {
    if (move.verb == verb && Holds(move, type, from)) return move.to;
  }
  const std::string allowed = VerbsFrom(type, from);
  return error::Precondition(
      "CASE_STATE",
      absl::StrCat("state: a case that is ", Name(from), " does not take ", Name(verb),
                   "; it takes ", allowed.empty() ? "nothing any more" : allowed),
      {{"state", std::string(Name(from))},
       {"verb", std::string(Name(verb))},
       {"allowed", allowed}});
}

std::string VerbsFrom(CaseType type, CaseState from) {
  std::string verbs;
  for (const Move& move : kMoves) {
    if (Holds(move, type, from))
      absl::StrAppend(&verbs, verbs.empty() ? "" : ", ", Name(move.verb));
  }
  return verbs;
}

}  // namespace clm::feedback
