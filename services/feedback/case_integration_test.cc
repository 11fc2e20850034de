#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "clm/feedback/v1/case_event.pb.h"
#include "libs/base/error.h"
#include "libs/testing/at_once.h"
#include "services/feedback/answer_fact.h"
#include "services/feedback/case_module_part.h"
#include "services/feedback/feedback_fixture.h"

namespace clm::feedback {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using v1::Case;

class CaseTest : public FeedbackTest {
 protected:
  CaseModulePart& Part(Node* node = nullptr) {
    return (node == nullptr ? node_.get() : node)->Part<CaseModulePart>();
  }
  template <class Req, class Resp>
  absl::StatusOr<Resp> Call(void (CaseHandlers::*rpc)(const rpc::Call&, const Req&,
                                                      rpc::Reply<Resp>),
                            const Req& request, Node* node = nullptr) {
    return Do(Part(node).handlers(), rpc, request);
  }
  template <class Req, class Resp>
  absl::StatusOr<Resp> Call(absl::StatusOr<Resp> (CaseHandlers::*rpc)(const rpc::Call&, const Req&),
                            const Req& request) {
    return Do(Part().handlers(), rpc, request);
  }

  static v1::CreateCaseRequest CreateRequest(int contact, Case::Type type = Case::TYPE_COMPLAINT) {
    v1::CreateCaseRequest request;
    request.set_parent("tenants/acme");
    Case& c = *request.mutable_case_();
    c.set_contact(ContactName(contact));
    c.set_type(type);
    c.set_problem("the MUG came broken");
    c.set_expectation("a NEW one");
    c.set_owner("ada");
    if (type == Case::TYPE_DISPUTE) c.set_order("tenants/acme/programs/club/orders/1");
    return request;
  }
  Case Create(int contact, Case::Type type = Case::TYPE_COMPLAINT) {
    const auto created = Call(&CaseHandlers::CreateCase, CreateRequest(contact, type));
    CLM_EXPECT_OK(created);
    return created.value_or(Case());
  }
  template <class Req>
  static Req Named(const std::string& name) {
    Req request;
    request.set_name(name);
    return request;
  }
  absl::StatusOr<Case> Acknowledge(const std::string& name) {
    return Call(&CaseHandlers::AcknowledgeCase, Named<v1::AcknowledgeCaseRequest>(name));
  }
  absl::StatusOr<Case> Investigate(const std::string& name) {
    return Call(&CaseHandlers::InvestigateCase, Named<v1::InvestigateCaseRequest>(name));
  }
  static v1::ResolveCaseRequest ResolveRequest(const std::string& name, int64_t points = 0) {
    auto request = Named<v1::ResolveCaseRequest>(name);
    request.set_solution("SENT another one");
    request.set_root_cause("thin PAPER");
    request.set_remedy(v1::CaseResolution::REMEDY_REPLACEMENT);
    if (points > 0) {
      request.mutable_compensation()->set_program("tenants/acme/programs/club");
      request.mutable_compensation()->set_points(points);
    }
    return request;
  }
  absl::StatusOr<Case> Resolve(const std::string& name, int64_t points = 0) {
    return Call(&CaseHandlers::ResolveCase, ResolveRequest(name, points));
  }
  // Somebody's case that is worked at.
  Case Worked(int contact, Case::Type type = Case::TYPE_COMPLAINT) {
    const Case created = Create(contact, type);
    CLM_EXPECT_OK(Acknowledge(created.name()));
    const auto worked = Investigate(created.name());
    CLM_EXPECT_OK(worked);
    return worked.value_or(Case());
  }
  Case Get(const std::string& name) {
    const auto found = Call(&CaseHandlers::GetCase, Named<v1::GetCaseRequest>(name));
    CLM_EXPECT_OK(found);
    return found.value_or(Case());
  }
  std::vector<std::string> ListNames(const std::string& filter, int contact = 0,
                                     int32_t page_size = 0) {
    std::vector<std::string> names;
    v1::ListCasesRequest request;
    request.set_parent("tenants/acme");
    if (contact != 0) request.set_contact(ContactName(contact));
    request.set_filter(filter);
    request.set_page_size(page_size);
    do {
      const auto page = Call(&CaseHandlers::ListCases, request);
      CLM_EXPECT_OK(page);
      if (!page.ok()) break;
      for (const Case& c : page->cases()) names.push_back(c.name());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return names;
  }
  absl::StatusOr<v1::CaseNote> Note(const std::string& name, const std::string& text,
                                    bool to_customer = false) {
    v1::AddCaseNoteRequest request;
    request.set_parent(name);
    request.mutable_note()->set_text(text);
    request.mutable_note()->set_to_customer(to_customer);
    return Call(&CaseHandlers::AddCaseNote, request);
  }
  Node::Context ContextOf(const std::string& contact) override {
    if (stage_.empty()) return error::Unavailable("UNAVAILABLE", "away", absl::Seconds(1));
    contact::v1::CustomerContext context;
    context.mutable_contact()->set_name(contact);
    contact::v1::ContextStage& stage = *context.add_stages();
    stage.set_model("tenants/acme/stageModels/main");
    stage.set_stage(stage_);
    return context;
  }
  int RunDue(Node* node = nullptr) {
    const auto done = Part(node).due().RunOnce();
    CLM_EXPECT_OK(done);
    return done.value_or(-1);
  }
  void Advance(int days) { clock_.Advance(absl::Hours(24) * days); }

  // The events of the type, in the order in which they were recorded.
  template <class Payload>
  std::vector<Payload> Events() {
    std::vector<Payload> events;
    const auto rows = pg::AdminQuery(
        database_.admin_dsn,
        absl::StrCat("SELECT encode(event, 'hex') FROM journal WHERE type = '",
                     Payload::descriptor()->full_name(), "' ORDER BY record_time, shard, off"));
    EXPECT_TRUE(rows.ok()) << rows.status();
    for (int i = 0; rows.ok() && i < rows->size(); ++i) {
      event::v1::Event event;
      Payload payload;
      EXPECT_TRUE(event.ParseFromString(absl::HexStringToBytes(std::string((*rows)[i].Text(0)))));
      EXPECT_TRUE(payload.ParseFromString(event.payload()));
      events.push_back(payload);
    }
    return events;
  }
  std::vector<std::string> Changes() {
    std::vector<std::string> changes;
    for (const auto& event : Events<v1::CaseChanged>()) {
      changes.push_back(v1::CaseChanged::Change_Name(event.change()).substr(7));
    }
    return changes;
  }
  // "FINAL_ANSWER 3" for a warning three before, "FINAL_ANSWER 0" for a breach.
  std::vector<std::string> Raised() {
    std::vector<std::string> raised;
    for (const auto& event : Events<v1::CaseClockRaised>()) {
      raised.push_back(
          absl::StrCat(v1::ClockTerms::Kind_Name(event.clock()).substr(5), " ", event.before()));
    }
    return raised;
  }

  std::string stage_;
};

TEST_F(CaseTest, ACaseIsLedFromItsReceiptToItsEndAndEachStepIsTold) {
  const Case created = Create(1);
  EXPECT_EQ(created.state(), Case::STATE_RECEIVED);
  EXPECT_EQ(created.clocks_size(), 2);
  EXPECT_TRUE(created.clocks(1).has_limit_time());
  const std::string name = created.name();
  CLM_ASSERT_OK(Acknowledge(name));
  CLM_ASSERT_OK(Investigate(name));
  CLM_ASSERT_OK(Call(&CaseHandlers::AwaitCase, Named<v1::AwaitCaseRequest>(name)));
  Advance(1);
  CLM_ASSERT_OK(Call(&CaseHandlers::ResumeCase, Named<v1::ResumeCaseRequest>(name)));
  CLM_ASSERT_OK(Resolve(name));
  CLM_ASSERT_OK(Call(&CaseHandlers::CloseCase, Named<v1::CloseCaseRequest>(name)));
  EXPECT_THAT(Changes(), ElementsAre("OPENED", "ACKNOWLEDGED", "INVESTIGATED", "AWAITING_CUSTOMER",
                                     "RESUMED", "RESOLVED", "CLOSED"));
  const Case closed = Get(name);
  EXPECT_EQ(closed.state(), Case::STATE_CLOSED);
  EXPECT_EQ(closed.resolutions(0).agent(), "ada");
  EXPECT_EQ(closed.pauses(0).end_time().seconds() - closed.pauses(0).start_time().seconds(), 86400);
  // Nothing of what was said is in the journal.
  for (const char* word : {"MUG", "NEW", "SENT", "PAPER"}) {
    EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM journal WHERE position('", word,
                                 "'::bytea IN event) > 0")),
              0)
        << word;
  }
  const auto refused = Resolve(name);
  EXPECT_EQ(error::Reason(refused.status()), "CASE_STATE");
  EXPECT_EQ(error::MetadataValue(refused.status(), "allowed"), "reopen");
}

TEST_F(CaseTest, WhatIsReadIsWhatWasAnswered) {
  v1::CreateCaseRequest request = CreateRequest(1, Case::TYPE_DISPUTE);
  Case& wire = *request.mutable_case_();
  wire.set_title("mug");
  wire.set_channel("phone");
  wire.set_severity(Case::SEVERITY_HIGH);
  wire.set_amount_minor(1250);
  wire.set_currency("EUR");
  clm::ToProto(clock_.Now() - absl::Hours(30), wire.mutable_receive_time());
  const auto created = Call(&CaseHandlers::CreateCase, request);
  CLM_ASSERT_OK(created);
  v1::AddCaseEvidenceRequest evidence = Named<v1::AddCaseEvidenceRequest>(created->name());
  evidence.mutable_evidence()->set_kind("photo");
  evidence.mutable_evidence()->set_url("https://example.com/1");
  CLM_ASSERT_OK(Call(&CaseHandlers::AddCaseEvidence, evidence));
  CLM_ASSERT_OK(Acknowledge(created->name()));
  CLM_ASSERT_OK(Investigate(created->name()));
  v1::ResolveCaseRequest resolve = ResolveRequest(created->name(), 50);
  resolve.set_outcome(v1::CaseResolution::OUTCOME_SPLIT);
  const auto resolved = Call(&CaseHandlers::ResolveCase, resolve);
  CLM_ASSERT_OK(resolved);
  EXPECT_EQ(resolved->evidence(0).added_by(), "token:ada");
  EXPECT_EQ(resolved->resolutions(0).compensation().member(),
            absl::StrCat("tenants/acme/programs/club/members/", Id(1).ToString()));
  EXPECT_EQ(Get(created->name()).SerializeAsString(), resolved->SerializeAsString());
}

TEST_F(CaseTest, StagesAreThoseAtTheTimeAndNoneWhereNobodyAnswers) {
  EXPECT_EQ(Create(1).stages_size(), 0);
  stage_ = "loyal";
  const Case c = Create(1);
  ASSERT_EQ(c.stages_size(), 1);
  EXPECT_EQ(c.stages(0).model(), "main");
  stage_ = "gone";
  EXPECT_EQ(Get(c.name()).stages(0).stage(), "loyal");
}

TEST_F(CaseTest, WarningsAndBreachesAreRaisedWhenTheyAreDueAndOnce) {
  const Case c = Worked(1);
  EXPECT_EQ(RunDue(), 0);
  Advance(41);
  EXPECT_EQ(RunDue(), 0);
  Advance(1);
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(RunDue(), 0);
  EXPECT_THAT(Raised(), ElementsAre("FINAL_ANSWER 14"));
  Advance(100);
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(RunDue(), 0);
  Advance(1000);
  EXPECT_EQ(RunDue(), 0);
  EXPECT_THAT(Raised(), ElementsAre("FINAL_ANSWER 14", "FINAL_ANSWER 3", "FINAL_ANSWER 0"));
  // By the clock, not by when somebody looked.
  const auto events = Events<v1::CaseClockRaised>();
  EXPECT_EQ(events[2].mark_time().seconds() - events[1].mark_time().seconds(), 3 * 86400);
  EXPECT_THAT(ListNames("breached"), ElementsAre(c.name()));
}

TEST_F(CaseTest, ProcessesThatLookAtOnceRaiseABreachOnce) {
  constexpr int kCases = 20;
  std::vector<std::unique_ptr<Node>> nodes;
  for (int i = 0; i < 3; ++i) nodes.push_back(std::make_unique<Node>(database_.app_dsn, &clock_));
  for (int i = 0; i < kCases; ++i) Create(i);
  Advance(200);
  clm::testing::AtOnce(
      3, [&](int i) { CLM_EXPECT_OK(nodes[i]->Part<CaseModulePart>().due().RunOnce()); });
  std::map<std::string, int> times;
  for (const auto& event : Events<v1::CaseClockRaised>()) {
    ++times[absl::StrCat(event.case_(), " ", event.clock(), " ", event.before())];
  }
  EXPECT_EQ(times.size(), kCases * 5);
  for (const auto& [mark, count] : times) EXPECT_EQ(count, 1) << mark;
}

TEST_F(CaseTest, WhoAnswersTooLateIsTooLateAlsoIfNobodyHasLooked) {
  const Case c = Worked(1);
  Advance(60);
  const auto resolved = Resolve(c.name());
  CLM_ASSERT_OK(resolved);
  EXPECT_TRUE(resolved->resolutions(0).has_breach_time());
  EXPECT_THAT(Raised(), ElementsAre("FINAL_ANSWER 14", "FINAL_ANSWER 3", "FINAL_ANSWER 0"));
  EXPECT_THAT(Changes(), ElementsAre("OPENED", "ACKNOWLEDGED", "INVESTIGATED", "RESOLVED"));
  EXPECT_EQ(RunDue(), 0);
}

TEST_F(CaseTest, ARefusedVerbStillLeavesWhatWasDueToTheBackground) {
  const Case c = Create(1);
  Advance(200);
  // The whole mutation is refused, what it has raised too.
  EXPECT_FALSE(Resolve(c.name()).ok());
  EXPECT_THAT(Raised(), IsEmpty());
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(Raised().size(), 5);
}

TEST_F(CaseTest, OpenCasesGoByANewCalendarAtOnce) {
  const Case c = Worked(1, Case::TYPE_PAYMENT_COMPLAINT);  // On a Sunday.
  EXPECT_EQ(Get(c.name()).clocks(1).limit_time().seconds(),
            absl::ToUnixSeconds(At("2026-02-14 01:00")));  // Midnight of UTC.
  v1::UpdateBusinessCalendarRequest request;
  v1::BusinessCalendar& calendar = *request.mutable_business_calendar();
  calendar.set_name("tenants/acme/businessCalendar");
  calendar.set_time_zone("Europe/Berlin");
  calendar.add_holidays("2026-02-05");
  const auto updated = Call(&CaseHandlers::UpdateBusinessCalendar, request);
  CLM_ASSERT_OK(updated);
  EXPECT_EQ(updated->hours_size(), 5);
  EXPECT_EQ(Get(c.name()).clocks(1).limit_time().seconds(),
            absl::ToUnixSeconds(At("2026-02-17 00:00")));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(RunDue(), 0);
  clock_.Set(At("2026-02-16 23:59"));
  RunDue();
  EXPECT_THAT(Raised(), ElementsAre("FINAL_ANSWER 5", "FINAL_ANSWER 1"));
  clock_.Set(At("2026-02-17 00:00"));
  RunDue();
  EXPECT_THAT(Raised(), ElementsAre("FINAL_ANSWER 5", "FINAL_ANSWER 1", "FINAL_ANSWER 0"));
  // The same again changes nothing and is not told.
  CLM_EXPECT_OK(Call(&CaseHandlers::UpdateBusinessCalendar, request));
  EXPECT_EQ(Events<v1::BusinessCalendarChanged>().size(), 1);
  calendar.set_etag("\"v1\"");
  EXPECT_EQ(error::Reason(Call(&CaseHandlers::UpdateBusinessCalendar, request).status()),
            "ETAG_MISMATCH");
}

TEST_F(CaseTest, ACaseKeepsTheProcedureUnderWhichItWasOpened) {
  const Case before = Create(1);
  v1::UpdateCasePolicyRequest request;
  request.mutable_case_policy()->set_name("tenants/acme/casePolicy");
  v1::CaseProcedure& procedure = *request.mutable_case_policy()->add_procedures();
  procedure.set_type(Case::TYPE_COMPLAINT);
  procedure.set_owner("desk");
  v1::ClockTerms& terms = *procedure.add_clocks();
  terms.set_kind(v1::ClockTerms::KIND_FINAL_ANSWER);
  terms.set_unit(v1::ClockTerms::UNIT_CALENDAR_DAYS);
  terms.set_limit(10);
  v1::CaseStep& step = *procedure.add_steps();
  step.set_id("photo");
  step.set_required(true);
  const auto policy = Call(&CaseHandlers::UpdateCasePolicy, request);
  CLM_ASSERT_OK(policy);
  EXPECT_EQ(
      Call(&CaseHandlers::GetCasePolicy, Named<v1::GetCasePolicyRequest>("tenants/acme/casePolicy"))
          ->SerializeAsString(),
      policy->SerializeAsString());
  EXPECT_EQ(Get(before.name()).clocks_size(), 2);
  const Case after = Worked(1);
  EXPECT_EQ(after.clocks_size(), 1);
  EXPECT_EQ(error::Reason(Resolve(after.name()).status()), "CASE_STEPS_OPEN");
  auto check = Named<v1::CompleteCaseStepRequest>(after.name());
  check.set_step("photo");
  CLM_ASSERT_OK(Call(&CaseHandlers::CompleteCaseStep, check));
  CLM_EXPECT_OK(Call(&CaseHandlers::CompleteCaseStep, check));
  CLM_EXPECT_OK(Resolve(after.name()));
  EXPECT_THAT(Changes(), ElementsAre("OPENED", "OPENED", "ACKNOWLEDGED", "INVESTIGATED",
                                     "STEP_DONE", "RESOLVED"));
}

TEST_F(CaseTest, ARepeatedRequestIsAnsweredNotRepeated) {
  v1::CreateCaseRequest request = CreateRequest(1);
  request.set_request_id(Id(900).ToString());
  const auto first = Call(&CaseHandlers::CreateCase, request);
  const auto second = Call(&CaseHandlers::CreateCase, request);
  CLM_ASSERT_OK(first);
  CLM_ASSERT_OK(second);
  EXPECT_EQ(first->SerializeAsString(), second->SerializeAsString());
  EXPECT_EQ(Count("SELECT count(*) FROM feedback_case"), 1);
}

TEST_F(CaseTest, AnIdIsTakenOnceWhoeverAsksAtTheSameTime) {
  std::vector<absl::StatusOr<Case>> answers(8, absl::UnknownError(""));
  clm::testing::AtOnce(8, [&](int i) {
    v1::CreateCaseRequest request = CreateRequest(i + 1);
    request.set_case_id(Id(77).ToString());
    answers[i] = Call(&CaseHandlers::CreateCase, request);
  });
  int made = 0;
  for (const auto& answer : answers) {
    if (answer.ok()) {
      ++made;
    } else {
      EXPECT_EQ(error::Reason(answer.status()), "CASE_EXISTS") << answer.status();
    }
  }
  EXPECT_EQ(made, 1);
}

TEST_F(CaseTest, ListsAreFilteredAndPaged) {
  std::vector<std::string> names;
  for (int i = 0; i < 7; ++i) {
    names.insert(names.begin(),
                 Create(i % 2 + 1, i % 2 == 0 ? Case::TYPE_COMPLAINT : Case::TYPE_INQUIRY).name());
    clock_.Advance(absl::Seconds(1));
  }
  CLM_ASSERT_OK(Acknowledge(names[0]));
  EXPECT_EQ(ListNames("", 0, 2), names);
  EXPECT_THAT(ListNames("type = \"INQUIRY\""), ElementsAre(names[1], names[3], names[5]));
  EXPECT_THAT(ListNames("state = \"ACKNOWLEDGED\" owner = \"ada\""), ElementsAre(names[0]));
  EXPECT_EQ(ListNames("open", 1).size(), 4);
  EXPECT_EQ(ListNames("open", 2).size(), 3);
  EXPECT_THAT(ListNames("breached"), IsEmpty());
}

TEST_F(CaseTest, NotesAreKeptInOrderAndTheFirstToTheCustomerIsTheResponse) {
  const Case c = Create(1, Case::TYPE_INQUIRY);
  CLM_ASSERT_OK(Note(c.name(), "looked it up"));
  EXPECT_FALSE(Get(c.name()).has_response_time());
  CLM_ASSERT_OK(Note(c.name(), "told them", true));
  EXPECT_TRUE(Get(c.name()).has_response_time());
  v1::ListCaseNotesRequest request;
  request.set_parent(c.name());
  request.set_page_size(1);
  auto page = Call(&CaseHandlers::ListCaseNotes, request);
  CLM_ASSERT_OK(page);
  EXPECT_EQ(page->notes(0).text(), "looked it up");
  EXPECT_EQ(page->notes(0).author(), "token:ada");
  request.set_page_token(page->next_page_token());
  page = Call(&CaseHandlers::ListCaseNotes, request);
  CLM_ASSERT_OK(page);
  EXPECT_EQ(page->notes(0).text(), "told them");
  EXPECT_EQ(page->next_page_token(), "");
}

TEST_F(CaseTest, CasesFollowTheirContacts) {
  const Case c = Worked(2);
  Create(1);
  Merge(1, 2);
  EXPECT_EQ(Get(c.name()).contact(), ContactName(1));
  EXPECT_EQ(ListNames("", 1).size(), 2);
  // Also by the name that they had.
  EXPECT_EQ(ListNames("", 2).size(), 2);
  CLM_ASSERT_OK(Resolve(c.name()));
  EXPECT_EQ(Events<v1::CaseChanged>().back().open_cases(), 1);
  EXPECT_EQ(Create(2).contact(), ContactName(1));
}

TEST_F(CaseTest, ACaseThatIsChangedWhileItsContactIsMergedIsChangedOnce) {
  const Case c = Worked(2);
  std::vector<absl::Status> done(2);
  clm::testing::AtOnce(2, [&](int i) {
    if (i == 0) {
      done[i] = TellMerge(1, 2);
      Follow();
    } else {
      done[i] = Resolve(c.name()).status();
    }
  });
  for (const absl::Status& status : done) CLM_EXPECT_OK(status);
  EXPECT_EQ(Get(c.name()).contact(), ContactName(1));
  EXPECT_EQ(Get(c.name()).resolutions_size(), 1);
}

TEST_F(CaseTest, NothingOfWhatWasSaidIsLeftOfWhoWasErased) {
  v1::CreateCaseRequest request = CreateRequest(2);
  request.set_request_id(Id(901).ToString());
  const auto open = Call(&CaseHandlers::CreateCase, request);
  CLM_ASSERT_OK(open);
  const Case resolved = Worked(1);
  CLM_ASSERT_OK(Note(resolved.name(), "the MUG of Ada"));
  v1::ResolveCaseRequest resolve = ResolveRequest(resolved.name(), 100);
  resolve.set_request_id(Id(902).ToString());
  CLM_ASSERT_OK(Call(&CaseHandlers::ResolveCase, resolve));
  Merge(1, 2);
  Erase(1);
  EXPECT_EQ(Get(open->name()).state(), Case::STATE_WITHDRAWN);
  const Case after = Get(resolved.name());
  EXPECT_EQ(after.state(), Case::STATE_RESOLVED);
  EXPECT_TRUE(after.contact_erased());
  EXPECT_EQ(after.contact(), "");
  EXPECT_EQ(after.resolutions(0).compensation().state(), v1::CaseCompensation::STATE_FAILED);
  for (const char* word : {"MUG", "NEW", "SENT", "PAPER"}) {
    EXPECT_EQ(Count(absl::StrCat("SELECT (SELECT count(*) FROM feedback_case WHERE position('",
                                 word, "'::bytea IN body) > 0) + (SELECT count(*) FROM request ",
                                 "WHERE position('", word, "'::bytea IN response) > 0) + ",
                                 "(SELECT count(*) FROM case_note)")),
              0)
        << word;
  }
  EXPECT_EQ(
      Count(absl::StrCat("SELECT count(*) FROM feedback_case WHERE position('", Id(1).ToString(),
                         "'::bytea IN body) > 0 OR contact_id IS NOT NULL")),
      0);
  EXPECT_EQ(error::Reason(Note(resolved.name(), "more").status()), "CASE_ERASED");
  Advance(300);
  EXPECT_EQ(RunDue(), 0);
  EXPECT_EQ(error::Reason(Call(&CaseHandlers::CreateCase, CreateRequest(1)).status()),
            "CONTACT_ERASED");
}

// ---- Points for the trouble.

class CompensationTest : public CaseTest {
 protected:
  // Grants as the loyalty service does: once for a request id, and always the same of it.
  absl::StatusOr<std::string> Grant(const PointsGrant& grant) {
    absl::MutexLock lock(&mu_);
    ++asked_;
    if (!status_.ok()) return status_;
    const auto [it, added] = granted_.try_emplace(grant.request_id, grant);
    EXPECT_EQ(it->second.member, grant.member);
    EXPECT_EQ(it->second.points, grant.points);
    EXPECT_EQ(it->second.external_id, grant.external_id);
    if (!lost_.ok()) return lost_;
    return absl::StrCat(grant.member, "/postings/points.1");
  }
  void Use(Node& node) {
    node.Part<CaseModulePart>().set_grant([this](const PointsGrant& g) { return Grant(g); });
  }
  v1::CaseCompensation After(const Case& c, int resolution = 0) {
    return Get(c.name()).resolutions(resolution).compensation();
  }

  absl::Mutex mu_;
  int asked_ = 0;
  absl::Status status_;  // Of a service that has not granted anything.
  absl::Status lost_;    // Of one that has.
  std::map<std::string, PointsGrant> granted_;
};

TEST_F(CompensationTest, PointsAreGrantedAfterTheResolution) {
  Use(*node_);
  const Case c = Worked(1);
  const auto resolved = Resolve(c.name(), 250);
  CLM_ASSERT_OK(resolved);
  EXPECT_EQ(resolved->resolutions(0).compensation().state(), v1::CaseCompensation::STATE_PENDING);
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(After(c).state(), v1::CaseCompensation::STATE_GRANTED);
  EXPECT_THAT(After(c).posting(), ::testing::EndsWith("/postings/points.1"));
  EXPECT_EQ(RunDue(), 0);
  EXPECT_EQ(granted_.size(), 1);
  EXPECT_EQ(granted_.begin()->second.points, 250);
  EXPECT_EQ(Events<v1::CaseChanged>().back().compensation().state(),
            v1::CaseCompensation::STATE_GRANTED);
}

TEST_F(CompensationTest, WhileNobodyAnswersTheyWaitAndAreAskedForAgain) {
  Use(*node_);
  status_ = error::Unavailable("UNAVAILABLE", "away", absl::Seconds(1));
  const Case c = Worked(1);
  CLM_ASSERT_OK(Resolve(c.name(), 250));
  for (int i = 0; i < 5; ++i) {
    RunDue();
    EXPECT_EQ(RunDue(), 0) << "not before its time";
    clock_.Advance(absl::Hours(1));
  }
  EXPECT_EQ(asked_, 5);
  EXPECT_EQ(After(c).state(), v1::CaseCompensation::STATE_PENDING);
  EXPECT_EQ(After(c).attempts(), 5);
  status_ = absl::OkStatus();
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(After(c).state(), v1::CaseCompensation::STATE_GRANTED);
}

TEST_F(CompensationTest, ALostAnswerGrantsNothingTwiceAlsoIfTheContactIsMergedMeanwhile) {
  Use(*node_);
  lost_ = error::Unavailable("UNAVAILABLE", "the line broke", absl::Seconds(1));
  const Case c = Worked(2);
  CLM_ASSERT_OK(Resolve(c.name(), 250));
  RunDue();
  EXPECT_EQ(granted_.size(), 1);
  EXPECT_EQ(After(c).state(), v1::CaseCompensation::STATE_PENDING);
  Merge(1, 2);
  lost_ = absl::OkStatus();
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(granted_.size(), 1);
  EXPECT_EQ(After(c).state(), v1::CaseCompensation::STATE_GRANTED);
}

TEST_F(CompensationTest, ProcessesThatGrantAtOnceGrantTheSame) {
  std::vector<std::unique_ptr<Node>> nodes;
  for (int i = 0; i < 3; ++i) {
    nodes.push_back(std::make_unique<Node>(database_.app_dsn, &clock_));
    Use(*nodes.back());
  }
  std::vector<Case> cases;
  for (int i = 0; i < 10; ++i) {
    cases.push_back(Worked(i));
    CLM_ASSERT_OK(Resolve(cases.back().name(), 100 + i));
  }
  clm::testing::AtOnce(
      3, [&](int i) { CLM_EXPECT_OK(nodes[i]->Part<CaseModulePart>().due().RunOnce()); });
  EXPECT_EQ(granted_.size(), 10);
  for (const Case& c : cases) EXPECT_EQ(After(c).state(), v1::CaseCompensation::STATE_GRANTED);
}

TEST_F(CompensationTest, ARefusalIsKeptWithItsReason) {
  Use(*node_);
  status_ = error::NotFound("tenants/acme/programs/club");
  const Case c = Worked(1);
  CLM_ASSERT_OK(Resolve(c.name(), 250));
  RunDue();
  EXPECT_EQ(After(c).state(), v1::CaseCompensation::STATE_FAILED);
  EXPECT_EQ(After(c).failure_reason(), "NOT_FOUND");
  Advance(1);
  EXPECT_EQ(RunDue(), 0);
}

TEST_F(CompensationTest, EachResolutionHasPointsOfItsOwn) {
  Use(*node_);
  const Case c = Worked(1);
  CLM_ASSERT_OK(Resolve(c.name(), 10));
  CLM_ASSERT_OK(Call(&CaseHandlers::ReopenCase, Named<v1::ReopenCaseRequest>(c.name())));
  CLM_ASSERT_OK(Investigate(c.name()));
  CLM_ASSERT_OK(Resolve(c.name(), 20));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(granted_.size(), 2);
  EXPECT_EQ(After(c, 0).state(), v1::CaseCompensation::STATE_GRANTED);
  EXPECT_EQ(After(c, 1).state(), v1::CaseCompensation::STATE_GRANTED);
}

// ---- Answers to surveys that open cases.

class TriggerTest : public CaseTest {
 protected:
  void SetTriggers(bool on_detractor, bool on_unsatisfied) {
    v1::UpdateCasePolicyRequest request;
    request.mutable_case_policy()->set_name("tenants/acme/casePolicy");
    v1::CaseTriggers& triggers = *request.mutable_case_policy()->mutable_triggers();
    triggers.set_on_detractor(on_detractor);
    triggers.set_on_unsatisfied(on_unsatisfied);
    triggers.set_owner("care");
    triggers.set_severity(Case::SEVERITY_HIGH);
    CLM_ASSERT_OK(Call(&CaseHandlers::UpdateCasePolicy, request));
  }
  AnswerFact Fact(int contact, ScoredAnswer::Kind kind, int value) {
    AnswerFact fact;
    fact.tenant = "acme";
    fact.survey = "pulse";
    fact.invitation = Id(500 + contact);
    fact.shard = ShardOf("acme", Id(contact));
    fact.contact = Id(contact);
    fact.submit_time = clock_.Now();
    ScoredAnswer score;
    score.question = "q1";
    score.kind = kind;
    score.value = value;
    if (kind == ScoredAnswer::Kind::kCsat) {
      score.min = 1;
      score.max = 5;
      score.satisfied_from = 4;
    }
    fact.scores = {score};
    return fact;
  }
  // As the part of the service that takes answers does.
  absl::Status Answer(const AnswerFact& fact) {
    journal::MutationInfo info;
    info.tenant = fact.tenant;
    info.shards.set(fact.shard);
    return node_->lanes
        .Run<FeedbackWork>(
            std::move(info),
            [&](FeedbackWork& work) {
              for (const auto& part : work.parts()) {
                part->NeedForAnswer({fact.tenant, *fact.contact});
              }
            },
            [&](FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
              for (const auto& part : work.parts()) {
                CLM_RETURN_IF_ERROR(part->OnAnswer(fact, work, recorder));
              }
              return std::string();
            })
        .status();
  }
  absl::Status Nps(int contact, int value) {
    return Answer(Fact(contact, ScoredAnswer::Kind::kNps, value));
  }
  absl::Status Csat(int contact, int value) {
    return Answer(Fact(contact, ScoredAnswer::Kind::kCsat, value));
  }
};

TEST_F(TriggerTest, ABadAnswerOpensACaseWithOwnerAndClocks) {
  SetTriggers(true, true);
  for (const int value : {7, 8, 9, 10}) CLM_EXPECT_OK(Nps(value, value));
  for (const int value : {4, 5}) CLM_EXPECT_OK(Csat(value, value));
  EXPECT_THAT(ListNames(""), IsEmpty());
  CLM_ASSERT_OK(Nps(20, 6));
  CLM_ASSERT_OK(Csat(21, 3));
  EXPECT_EQ(ListNames("").size(), 2);
  const Case c = Get(ListNames("", 20).at(0));
  EXPECT_EQ(c.owner(), "care");
  EXPECT_EQ(c.severity(), Case::SEVERITY_HIGH);
  EXPECT_EQ(c.type(), Case::TYPE_COMPLAINT);
  EXPECT_EQ(c.source(), absl::StrCat("tenants/acme/responses/", Id(520).ToString()));
  EXPECT_EQ(c.clocks_size(), 2);
  EXPECT_THAT(c.problem(), ::testing::HasSubstr("6 of 10"));
}

TEST_F(TriggerTest, AnAnswerOpensOneCaseHoweverOftenItIsCorrected) {
  SetTriggers(true, true);
  CLM_ASSERT_OK(Nps(1, 9));
  CLM_ASSERT_OK(Nps(1, 3));
  CLM_ASSERT_OK(Nps(1, 2));
  ASSERT_EQ(ListNames("").size(), 1);
  const std::string name = ListNames("")[0];
  CLM_ASSERT_OK(Call(&CaseHandlers::WithdrawCase, Named<v1::WithdrawCaseRequest>(name)));
  CLM_ASSERT_OK(Nps(1, 0));
  EXPECT_EQ(ListNames("").size(), 1);
  EXPECT_EQ(Get(name).state(), Case::STATE_WITHDRAWN);
}

TEST_F(TriggerTest, WithoutTriggersNothingOpens) {
  CLM_ASSERT_OK(Nps(1, 0));
  SetTriggers(false, true);
  CLM_ASSERT_OK(Nps(1, 0));
  EXPECT_THAT(ListNames(""), IsEmpty());
}

}  // namespace
}  // namespace clm::feedback
