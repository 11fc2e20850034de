#include "services/feedback/cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"

namespace clm::feedback {
namespace {

const absl::Time kStart = absl::FromCivil(absl::CivilHour(2026, 1, 5, 9), absl::UTCTimeZone());

absl::Time Day(int day) { return kStart + absl::Hours(24) * day; }

Case Fresh(CaseType type = CaseType::kComplaint) {
  Case fresh;
  fresh.key = {"acme", Uuid::V5(Uuid(), "case")};
  fresh.contact = Uuid::V5(Uuid(), "ada");
  fresh.type = type;
  fresh.problem = "the mug came broken";
  fresh.receive_time = kStart;
  if (type == CaseType::kDispute) fresh.order = "tenants/acme/programs/club/orders/1";
  return fresh;
}

Case Opened(CaseType type = CaseType::kComplaint, std::vector<CaseStep> steps = {}) {
  CaseProcedure procedure = DefaultProcedure(type);
  procedure.steps = std::move(steps);
  const auto opened = OpenCase(Fresh(type), procedure, kStart);
  CLM_EXPECT_OK(opened);
  return *opened;
}

Case Acknowledged(CaseType type = CaseType::kComplaint, std::vector<CaseStep> steps = {}) {
  Case before = Opened(type, std::move(steps));
  before.expectation = "a new one";
  const auto after = AcknowledgeCase(before, "ada", "token:front", Day(1));
  CLM_EXPECT_OK(after);
  return *after;
}

Case Investigated(CaseType type = CaseType::kComplaint, std::vector<CaseStep> steps = {}) {
  const auto after = InvestigateCase(Acknowledged(type, std::move(steps)), Day(2));
  CLM_EXPECT_OK(after);
  return *after;
}

Resolution Solved() {
  Resolution resolution;
  resolution.solution = "sent another one";
  resolution.root_cause = "thin paper";
  resolution.remedy = Remedy::kReplacement;
  return resolution;
}

Case Resolved(std::optional<Compensation> compensation = std::nullopt) {
  Resolution resolution = Solved();
  resolution.compensation = std::move(compensation);
  const auto after = ResolveCase(Investigated(), resolution, Day(3));
  CLM_EXPECT_OK(after);
  return *after;
}

const CaseClock& Clock(const Case& c, ClockKind kind) {
  for (const CaseClock& clock : c.clocks) {
    if (clock.terms.kind == kind) return clock;
  }
  ADD_FAILURE() << "no such clock";
  return c.clocks.front();
}

TEST(CasesTest, ANewCaseHasTheProcedureOfItsType) {
  CaseProcedure procedure = DefaultProcedure(CaseType::kPaymentComplaint);
  procedure.owner = "desk";
  procedure.steps = {{.id = "receipt", .title = "Ask for the receipt", .required = true}};
  const auto opened = OpenCase(Fresh(CaseType::kPaymentComplaint), procedure, Day(1));
  CLM_ASSERT_OK(opened);
  EXPECT_EQ(opened->state, CaseState::kReceived);
  EXPECT_EQ(opened->owner, "desk");
  EXPECT_EQ(opened->steps, procedure.steps);
  EXPECT_EQ(opened->create_time, Day(1));
  // It counts from when it was received, not from when somebody typed it in.
  EXPECT_EQ(Clock(*opened, ClockKind::kFinalAnswer).start, kStart);
}

TEST(CasesTest, WhatANewCaseLacksIsNamed) {
  Case fresh = Fresh(CaseType::kDispute);
  fresh.problem.clear();
  fresh.order.clear();
  fresh.amount_minor = 5;
  fresh.receive_time = Day(2);
  error::FieldErrors errors;
  errors.AddStatus("", OpenCase(fresh, DefaultProcedure(fresh.type), Day(1)).status());
  EXPECT_TRUE(errors.Names("case.problem"));
  EXPECT_TRUE(errors.Names("case.order"));
  EXPECT_TRUE(errors.Names("case.currency"));
  EXPECT_TRUE(errors.Names("case.receive_time"));
}

TEST(CasesTest, AcknowledgingEndsItsClockAndNamesAnOwner) {
  const auto after = AcknowledgeCase(Opened(), "", "token:front", Day(1));
  CLM_ASSERT_OK(after);
  EXPECT_EQ(after->owner, "token:front");
  EXPECT_EQ(after->acknowledge_time, Day(1));
  EXPECT_EQ(Clock(*after, ClockKind::kAcknowledgement).stop, Day(1));
  EXPECT_EQ(Clock(*after, ClockKind::kFinalAnswer).stop, absl::InfiniteFuture());
  Case owned = Opened();
  owned.owner = "desk";
  EXPECT_EQ(AcknowledgeCase(owned, "", "token:front", Day(1))->owner, "desk");
}

TEST(CasesTest, WhatTheCustomerExpectsHasToBeKnownBeforeSomebodyWorksAtIt) {
  Case before = Acknowledged();
  before.expectation.clear();
  before.owner.clear();
  const auto refused = InvestigateCase(before, Day(2));
  EXPECT_EQ(error::Reason(refused.status()), "CASE_INCOMPLETE");
  EXPECT_EQ(error::MetadataValue(refused.status(), "missing"), "owner, expectation");
  Case inquiry = Acknowledged(CaseType::kInquiry);
  inquiry.expectation.clear();
  CLM_EXPECT_OK(InvestigateCase(inquiry, Day(2)));
}

TEST(CasesTest, WhatWasRequiredToComeThisFarStays) {
  CasePatch patch;
  patch.expectation = "";
  EXPECT_FALSE(UpdateCase(Investigated(), patch, Day(3)).ok());
  CLM_EXPECT_OK(UpdateCase(Acknowledged(), patch, Day(3)));
}

TEST(CasesTest, AnEscalatedCaseThatWasNotAcknowledgedIsNotResolved) {
  Case before = Opened();
  before.expectation = "a new one";
  before.owner = "ada";
  const auto escalated = EscalateCase(before, "", "a lawyer wrote", Day(1));
  CLM_ASSERT_OK(escalated);
  EXPECT_EQ(error::Reason(ResolveCase(*escalated, Solved(), Day(2)).status()),
            "CASE_NOT_ACKNOWLEDGED");
  EXPECT_EQ(error::Reason(InvestigateCase(*escalated, Day(2)).status()), "CASE_NOT_ACKNOWLEDGED");
  const auto acknowledged = AcknowledgeCase(*escalated, "", "", Day(2));
  CLM_ASSERT_OK(acknowledged);
  EXPECT_EQ(acknowledged->state, CaseState::kEscalated);
  CLM_EXPECT_OK(ResolveCase(*acknowledged, Solved(), Day(2)));
}

TEST(CasesTest, WaitingForTheCustomerIsAPauseThatEndsHoweverItEnds) {
  const auto waits = AwaitCustomer(Investigated(), Day(3));
  CLM_ASSERT_OK(waits);
  EXPECT_EQ(waits->pauses, std::vector<CasePause>({{Day(3), absl::InfiniteFuture()}}));
  for (const auto& after :
       {ResumeCase(*waits, Day(5)), ResolveCase(*waits, Solved(), Day(5)),
        EscalateCase(*waits, "", "why", Day(5)), WithdrawCase(*waits, "why", Day(5))}) {
    CLM_ASSERT_OK(after);
    EXPECT_EQ(after->pauses, std::vector<CasePause>({{Day(3), Day(5)}}));
  }
  const auto again = AwaitCustomer(*ResumeCase(*waits, Day(5)), Day(6));
  CLM_ASSERT_OK(again);
  EXPECT_EQ(again->pauses.size(), 2);
}

TEST(CasesTest, AComplaintIsResolvedWithSolutionCauseAndRemedy) {
  error::FieldErrors errors;
  errors.AddStatus("", ResolveCase(Investigated(), Resolution(), Day(3)).status());
  EXPECT_TRUE(errors.Names("solution"));
  EXPECT_TRUE(errors.Names("root_cause"));
  EXPECT_TRUE(errors.Names("remedy"));
  Resolution answer;
  answer.solution = "it is on page 3";
  CLM_EXPECT_OK(ResolveCase(Acknowledged(CaseType::kInquiry), answer, Day(3)));
  answer.outcome = DisputeOutcome::kSplit;
  EXPECT_FALSE(ResolveCase(Acknowledged(CaseType::kInquiry), answer, Day(3)).ok());
  EXPECT_FALSE(ResolveCase(Investigated(CaseType::kDispute), Solved(), Day(3)).ok());
  Resolution decided = Solved();
  decided.outcome = DisputeOutcome::kForCustomer;
  CLM_EXPECT_OK(ResolveCase(Investigated(CaseType::kDispute), decided, Day(3)));
}

TEST(CasesTest, RequiredStepsAreDoneBeforeItIsResolved) {
  Case before = Investigated(
      CaseType::kComplaint,
      {{.id = "receipt", .required = true}, {.id = "photo"}, {.id = "stock", .required = true}});
  const auto refused = ResolveCase(before, Solved(), Day(3));
  EXPECT_EQ(error::Reason(refused.status()), "CASE_STEPS_OPEN");
  EXPECT_EQ(error::MetadataValue(refused.status(), "steps"), "receipt, stock");
  EXPECT_FALSE(CheckStep(before, "other", "ada", Day(3)).ok());
  for (const char* step : {"receipt", "stock"}) {
    const auto checked = CheckStep(before, step, "ada", Day(3));
    CLM_ASSERT_OK(checked);
    before = *checked;
  }
  EXPECT_EQ(before.steps[0].done_by, "ada");
  const auto again = CheckStep(before, "receipt", "bob", Day(4));
  CLM_ASSERT_OK(again);
  EXPECT_EQ(*again, before);
  CLM_EXPECT_OK(ResolveCase(before, Solved(), Day(3)));
}

TEST(CasesTest, AResolutionKeepsWhoOwnedTheCaseThen) {
  Case resolved = Resolved();
  ASSERT_EQ(resolved.resolutions.size(), 1);
  EXPECT_EQ(resolved.resolutions[0].agent, "ada");
  EXPECT_EQ(resolved.resolutions[0].number, 1);
  const auto reopened = ReopenCase(resolved, "broke again", Day(10));
  CLM_ASSERT_OK(reopened);
  const auto escalated = EscalateCase(*reopened, "bob", "again", Day(11));
  CLM_ASSERT_OK(escalated);
  const auto again = ResolveCase(*escalated, Solved(), Day(12));
  CLM_ASSERT_OK(again);
  ASSERT_EQ(again->resolutions.size(), 2);
  EXPECT_EQ(again->resolutions[0].agent, "ada");
  EXPECT_EQ(again->resolutions[1].agent, "bob");
  EXPECT_EQ(again->resolutions[1].number, 2);
}

TEST(CasesTest, AReopenedCaseIsAnsweredAnewInTime) {
  const auto reopened = ReopenCase(Resolved(), "broke again", Day(10));
  CLM_ASSERT_OK(reopened);
  EXPECT_EQ(reopened->clocks.size(), 1);
  EXPECT_EQ(Clock(*reopened, ClockKind::kFinalAnswer).start, Day(10));
  EXPECT_FALSE(reopened->end_time.has_value());
  CLM_EXPECT_OK(ReopenCase(*CloseCase(Resolved(), Day(4)), "why", Day(5)));
  EXPECT_FALSE(ReopenCase(*WithdrawCase(Investigated(), "why", Day(4)), "why", Day(5)).ok());
}

TEST(CasesTest, AnAnswerThatCameTooLateSaysSo) {
  CaughtUp late = CatchUp(Investigated(), DefaultCalendar(), Day(60));
  ASSERT_EQ(late.marks.size(), 3);
  EXPECT_EQ(late.marks.back().before, 0);
  const auto resolved = ResolveCase(late.after, Solved(), Day(60));
  CLM_ASSERT_OK(resolved);
  EXPECT_EQ(resolved->resolutions[0].breach_time, Day(56));
  EXPECT_FALSE(Resolved().resolutions[0].breach_time.has_value());
}

TEST(CasesTest, WhateverIsDoneStopsTheClocksItIsAbout) {
  const Case inquiry = Opened(CaseType::kInquiry);
  EXPECT_EQ(Clock(*NoteOnCase(inquiry, false, Day(1)), ClockKind::kFirstResponse).stop,
            absl::InfiniteFuture());
  const auto told = NoteOnCase(inquiry, true, Day(1));
  CLM_ASSERT_OK(told);
  EXPECT_EQ(Clock(*told, ClockKind::kFirstResponse).stop, Day(1));
  EXPECT_EQ(told->response_time, Day(1));
  EXPECT_EQ(NoteOnCase(*told, true, Day(2))->response_time, Day(1));
  EXPECT_EQ(Clock(*HoldCase(inquiry, Day(1)), ClockKind::kFirstResponse).stop, Day(1));
  EXPECT_EQ(Clock(*WithdrawCase(inquiry, "", Day(1)), ClockKind::kFirstResponse).stop, Day(1));
  EXPECT_EQ(Clock(Resolved(), ClockKind::kFinalAnswer).stop, Day(3));
  EXPECT_EQ(NextMarkTime(DefaultCalendar(), Resolved().clocks, {}), absl::InfiniteFuture());
}

TEST(CasesTest, AHoldingAnswerIsGivenOnce) {
  const auto held = HoldCase(Investigated(CaseType::kPaymentComplaint), Day(3));
  CLM_ASSERT_OK(held);
  EXPECT_TRUE(Clock(*held, ClockKind::kFinalAnswer).extended);
  EXPECT_EQ(error::Reason(HoldCase(*held, Day(4)).status()), "CASE_HELD");
  EXPECT_EQ(error::Reason(HoldCase(Resolved(), Day(4)).status()), "CASE_STATE");
}

TEST(CasesTest, WhatHasEndedDoesNotChange) {
  for (const Case& ended : {Resolved(), *WithdrawCase(Investigated(), "", Day(3))}) {
    EXPECT_EQ(error::Reason(UpdateCase(ended, {.title = "x"}, Day(4)).status()), "CASE_STATE");
    EXPECT_EQ(error::Reason(AddEvidence(ended, {.kind = "photo"}, Day(4)).status()), "CASE_STATE");
    CLM_EXPECT_OK(NoteOnCase(ended, true, Day(4)));
  }
}

TEST(CasesTest, PointsAreGrantedOnceByAnIdOfTheResolution) {
  const Case resolved = Resolved(Compensation{.program = "club",
                                              .points = 100,
                                              .state = CompensationState::kGranted,
                                              .posting = "made up"});
  const Resolution* pending = PendingCompensation(resolved, Day(3));
  ASSERT_NE(pending, nullptr);
  EXPECT_EQ(pending->compensation->posting, "");
  EXPECT_EQ(DueTimeOf(resolved, DefaultCalendar()), Day(3));
  EXPECT_EQ(CompensationRequestId(resolved.key, 1), CompensationRequestId(resolved.key, 1));
  EXPECT_NE(CompensationRequestId(resolved.key, 1), CompensationRequestId(resolved.key, 2));
  const Case granted = CompensationGranted(resolved, 1, "posting");
  EXPECT_EQ(PendingCompensation(granted, Day(300)), nullptr);
  EXPECT_EQ(DueTimeOf(granted, DefaultCalendar()), absl::InfiniteFuture());
  EXPECT_EQ(CompensationFailed(granted, 1, "NOT_FOUND"), granted);
  EXPECT_EQ(CompensationGranted(granted, 1, "another"), granted);
  EXPECT_EQ(CompensationDelayed(granted, 1, Day(4)), granted);
  EXPECT_EQ(PendingCompensation(CompensationFailed(resolved, 1, "NOT_FOUND"), Day(300)), nullptr);
}

TEST(CasesTest, PointsThatWaitAreTriedEverMoreRarelyButAtLeastHourly) {
  Case waits = Resolved(Compensation{.program = "club", .points = 100});
  absl::Duration last;
  for (int i = 0; i < 40; ++i) {
    waits = CompensationDelayed(waits, 1, Day(4));
    const absl::Duration delay = waits.resolutions[0].compensation->next_attempt - Day(4);
    EXPECT_GE(delay, last);
    EXPECT_GT(delay, absl::ZeroDuration());
    EXPECT_LE(delay, absl::Hours(1));
    last = delay;
  }
  EXPECT_EQ(last, absl::Hours(1));
}

TEST(CasesTest, NothingThatWasSaidIsLeftOfAnErasedPerson) {
  Case before = Resolved(Compensation{.program = "club", .points = 100});
  before.title = before.channel = "x";
  before.evidence = {{.kind = "photo", .description = "x"}};
  before.escalation_reason = before.reopen_reason = before.withdraw_reason = before.source = "x";
  const Case erased = Erased(before, Day(5));
  EXPECT_TRUE(erased.erased);
  EXPECT_FALSE(erased.contact.has_value());
  for (const std::string& text :
       {erased.title, erased.problem, erased.expectation, erased.order, erased.source,
        erased.escalation_reason, erased.reopen_reason, erased.withdraw_reason,
        erased.resolutions[0].solution, erased.resolutions[0].root_cause}) {
    EXPECT_EQ(text, "");
  }
  EXPECT_TRUE(erased.evidence.empty());
  EXPECT_EQ(erased.state, CaseState::kResolved);
  EXPECT_EQ(PendingCompensation(erased, absl::InfiniteFuture()), nullptr);
  EXPECT_EQ(DueTimeOf(erased, DefaultCalendar()), absl::InfiniteFuture());
  EXPECT_EQ(error::Reason(ReopenCase(erased, "", Day(6)).status()), "CASE_ERASED");
  EXPECT_EQ(Erased(Investigated(), Day(5)).state, CaseState::kWithdrawn);
  EXPECT_EQ(DueTimeOf(Erased(Investigated(), Day(5)), DefaultCalendar()), absl::InfiniteFuture());
}

TEST(CasesTest, AProcedureHasAClockOfEachKindAtMost) {
  for (int type = 1; type <= 4; ++type) {
    CLM_EXPECT_OK(ValidateProcedure(DefaultProcedure(static_cast<CaseType>(type))));
  }
  CaseProcedure procedure = DefaultProcedure(CaseType::kComplaint);
  procedure.clocks.push_back(procedure.clocks[0]);
  procedure.clocks.back().limit = 0;
  procedure.steps = {{.id = "a"}, {.id = "a"}};
  error::FieldErrors errors;
  errors.AddStatus("", ValidateProcedure(procedure));
  EXPECT_TRUE(errors.Names("clocks[2].kind"));
  EXPECT_TRUE(errors.Names("clocks[2].limit"));
  EXPECT_TRUE(errors.Names("steps[1].id"));
}

}  // namespace
}  // namespace clm::feedback
