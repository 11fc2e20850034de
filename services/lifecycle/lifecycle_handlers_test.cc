#include "services/lifecycle/lifecycle_handlers.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/synchronization/notification.h"
#include "libs/testing/at_once.h"
#include "services/lifecycle/lifecycle_fixture.h"

namespace clm::lifecycle {
namespace {

using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LifecycleHandlersTest : public LifecycleTest {
 protected:
  LifecycleHandlersTest()
      : tokens_("secret"),
        handlers_({.pool = node_->pool.get(),
                   .lanes = &node_->lanes,
                   .reader = &node_->reader,
                   .contact_feed = &node_->handler,
                   .tokens = &tokens_}) {
    call_.caller.actor = "token:ada";
    call_.caller.suite = false;
    call_.caller.scopes = {"lifecycle.write"};
  }

  template <class Req, class Resp>
  absl::StatusOr<Resp> Do(void (LifecycleHandlers::*rpc)(const rpc::Call&, const Req&,
                                                         rpc::Reply<Resp>),
                          const Req& request) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    rpc::Call call = call_;
    call.now = clock_.Now();
    call.method = "/clm.lifecycle.v1.LifecycleService/Test";
    (handlers_.*rpc)(call, request, rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
                       result = std::move(r);
                       done.Notify();
                     }));
    done.WaitForNotification();
    return result;
  }
  template <class Req, class Resp>
  absl::StatusOr<Resp> Do(absl::StatusOr<Resp> (LifecycleHandlers::*rpc)(const rpc::Call&,
                                                                         const Req&),
                          const Req& request) {
    rpc::Call call = call_;
    call.now = clock_.Now();
    return (handlers_.*rpc)(call, request);
  }

  absl::StatusOr<v1::StageModel> InstallPreset(const std::string& preset, bool enable,
                                               const std::string& id = "") {
    v1::InstallPresetRequest request;
    request.set_parent("tenants/acme");
    request.set_preset(preset);
    request.set_stage_model_id(id);
    request.set_enable_rules(enable);
    return Do(&LifecycleHandlers::InstallPreset, request);
  }
  v1::MoveCustomerRequest Move(const EntityKey& contact, const std::string& to,
                               const std::string& etag = "",
                               const std::string& model = "hubspot-eight") {
    v1::MoveCustomerRequest request;
    request.set_contact(EntityName(kContacts, contact));
    request.set_model(ModelName("acme", model));
    request.set_to_stage(to);
    request.set_etag(etag);
    return request;
  }
  absl::StatusOr<v1::CustomerStage> MoveTo(const EntityKey& contact, const std::string& to,
                                           const std::string& etag = "",
                                           const std::string& model = "hubspot-eight") {
    return Do(&LifecycleHandlers::MoveCustomer, Move(contact, to, etag, model));
  }
  v1::CreateRuleRequest NewRule(const std::string& id, const std::string& type,
                                const std::string& to, const std::string& condition = "") {
    v1::CreateRuleRequest request;
    request.set_parent("tenants/acme/stageModels/hubspot-eight");
    request.set_rule_id(id);
    request.mutable_rule()->set_to_stage(to);
    request.mutable_rule()->mutable_trigger()->mutable_event()->set_event_type(type);
    request.mutable_rule()->set_condition(condition);
    return request;
  }
  v1::RuleVerbRequest RuleVerb(const std::string& id) {
    v1::RuleVerbRequest request;
    request.set_name("tenants/acme/stageModels/hubspot-eight/rules/" + id);
    return request;
  }

  // What is listed, page by page of two.
  template <class Req, class Resp, class Item>
  std::vector<std::string> Pages(absl::StatusOr<Resp> (LifecycleHandlers::*rpc)(const rpc::Call&,
                                                                                const Req&),
                                 const std::string& parent,
                                 const google::protobuf::RepeatedPtrField<Item>& (Resp::*items)()
                                     const) {
    Req request;
    request.set_parent(parent);
    request.set_page_size(2);
    std::vector<std::string> names;
    do {
      const auto page = Do(rpc, request);
      EXPECT_THAT(page, clm::testing::IsOk());
      if (!page.ok()) break;
      const auto& found = ((*page).*items)();
      EXPECT_LE(found.size(), 2);
      EXPECT_EQ(found.size() == 2 || page->next_page_token().empty(), true);
      for (const auto& item : found) {
        names.push_back(item.name().substr(item.name().rfind('/') + 1));
      }
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return names;
  }

  PageTokens tokens_;
  LifecycleHandlers handlers_;
  rpc::Call call_;
};

TEST_F(LifecycleHandlersTest, PagesCoverListsOnceAndInTheirOrder) {
  std::vector<std::string> presets;
  for (const Preset& preset : Presets()) presets.push_back(preset.model.id);
  EXPECT_EQ(
      Pages(&LifecycleHandlers::ListPresets, "tenants/acme", &v1::ListPresetsResponse::presets),
      presets);
  for (const char* id : {"m-c", "m-a", "m-b"}) {
    CLM_ASSERT_OK(InstallPreset("hubspot-eight", false, id));
  }
  EXPECT_THAT(Pages(&LifecycleHandlers::ListStageModels, "tenants/acme",
                    &v1::ListStageModelsResponse::stage_models),
              ElementsAre("m-a", "m-b", "m-c"));
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  const auto before = Pages(&LifecycleHandlers::ListRules, "tenants/acme/stageModels/hubspot-eight",
                            &v1::ListRulesResponse::rules);
  for (const auto& [id, priority] : std::map<std::string, int32_t>{{"z-least", INT32_MIN},
                                                                   {"y-less", -1'000'000},
                                                                   {"a-most", INT32_MAX},
                                                                   {"b-most", INT32_MAX}}) {
    auto rule = NewRule(id, "download", "lead");
    rule.mutable_rule()->set_priority(priority);
    CLM_ASSERT_OK(Do(&LifecycleHandlers::CreateRule, rule));
  }
  std::vector<std::string> rules = {"a-most", "b-most"};
  rules.insert(rules.end(), before.begin(), before.end());
  rules.insert(rules.end(), {"y-less", "z-least"});
  EXPECT_EQ(Pages(&LifecycleHandlers::ListRules, "tenants/acme/stageModels/hubspot-eight",
                  &v1::ListRulesResponse::rules),
            rules);
}

TEST_F(LifecycleHandlersTest, EveryPresetInstallsAndIsListed) {
  v1::ListPresetsRequest list;
  list.set_parent("tenants/acme");
  const auto presets = Do(&LifecycleHandlers::ListPresets, list);
  CLM_ASSERT_OK(presets);
  EXPECT_THAT(presets->presets(), SizeIs(Presets().size()));
  for (const v1::StageModel& preset : presets->presets()) {
    const auto installed = InstallPreset(preset.preset(), true);
    CLM_ASSERT_OK(installed) << preset.preset();
    EXPECT_EQ(installed->stages_size(), preset.stages_size());
  }
  v1::ListStageModelsRequest models;
  models.set_parent("tenants/acme");
  const auto stored = Do(&LifecycleHandlers::ListStageModels, models);
  CLM_ASSERT_OK(stored);
  ASSERT_THAT(stored->stage_models(), SizeIs(Presets().size()));
  for (const v1::StageModel& model : stored->stage_models()) {
    const Preset* preset = FindPreset(model.preset());
    ASSERT_NE(preset, nullptr);
    v1::StageModel expected = ToProto(preset->model);
    EXPECT_EQ(model.stages_size(), expected.stages_size());
    EXPECT_EQ(model.policy(), expected.policy());
    EXPECT_EQ(model.initial_stage(), expected.initial_stage());
    for (int i = 0; i < model.stages_size(); ++i) {
      EXPECT_EQ(model.stages(i).SerializeAsString(), expected.stages(i).SerializeAsString());
    }
  }
  EXPECT_THAT(InstallPreset("s002-14-decline", false), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(InstallPreset("nothing", false), ReasonIs("PRESET_NOT_FOUND"));
}

TEST_F(LifecycleHandlersTest, ThresholdsOfAPresetAreChecked) {
  v1::InstallPresetRequest request;
  request.set_parent("tenants/acme");
  request.set_preset("non-contractual");
  request.set_enable_rules(true);
  (*request.mutable_parameters())["at_risk_days"] = 50;
  (*request.mutable_parameters())["lapsed_days"] = 40;
  EXPECT_THAT(Do(&LifecycleHandlers::InstallPreset, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("lapsed_days")));
  (*request.mutable_parameters())["lapsed_days"] = 70;
  CLM_ASSERT_OK(Do(&LifecycleHandlers::InstallPreset, request));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 910}})}));
  Settle();
  EXPECT_THAT(Path(Contact(1)), ElementsAre("910 >first_purchase", "960 first_purchase>at_risk",
                                            "980 at_risk>lapsed"));
}

TEST_F(LifecycleHandlersTest, AMoveByHandNeedsTheEtagOnceThereIsAStage) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  EXPECT_THAT(MoveTo(Contact(1), "lead"), StatusIs(absl::StatusCode::kNotFound));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  const auto lead = MoveTo(Contact(1), "lead");
  CLM_ASSERT_OK(lead);
  EXPECT_EQ(lead->stage(), "lead");
  EXPECT_EQ(lead->label(), "Lead");
  EXPECT_THAT(MoveTo(Contact(1), "customer"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("etag")));
  const auto customer = MoveTo(Contact(1), "customer", lead->etag());
  CLM_ASSERT_OK(customer);
  EXPECT_THAT(MoveTo(Contact(1), "evangelist", lead->etag()), StatusIs(absl::StatusCode::kAborted));
  // A write that changes nothing writes nothing.
  const int64_t journal = Count("SELECT count(*) FROM journal");
  const auto again = MoveTo(Contact(1), "customer", customer->etag());
  CLM_ASSERT_OK(again);
  EXPECT_EQ(again->etag(), customer->etag());
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), journal);
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 2);
  ExpectBalance();
}

TEST_F(LifecycleHandlersTest, AMoveBackwardsNeedsTheFlagAReasonAndTheScope) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  const auto customer = MoveTo(Contact(1), "customer");
  CLM_ASSERT_OK(customer);
  v1::MoveCustomerRequest back = Move(Contact(1), "lead", customer->etag());
  const auto refused = Do(&LifecycleHandlers::MoveCustomer, back);
  EXPECT_THAT(refused, ReasonIs("REGRESS_NOT_ALLOWED"));
  EXPECT_EQ(error::MetadataValue(refused.status(), "from"), "customer");
  EXPECT_EQ(error::MetadataValue(refused.status(), "to"), "lead");
  EXPECT_EQ(error::MetadataValue(refused.status(), "policy"), "FORWARD_ONLY");
  back.set_allow_regress(true);
  EXPECT_THAT(Do(&LifecycleHandlers::MoveCustomer, back),
              StatusIs(absl::StatusCode::kInvalidArgument));
  back.set_reason("entered by mistake");
  EXPECT_THAT(Do(&LifecycleHandlers::MoveCustomer, back),
              StatusIs(absl::StatusCode::kPermissionDenied));
  call_.caller.scopes = {"lifecycle.regress", "lifecycle.write"};
  CLM_EXPECT_OK(Do(&LifecycleHandlers::MoveCustomer, back));
  // A refused move leaves no fact behind.
  EXPECT_EQ(Count("SELECT count(*) FROM fact"), 2);
}

TEST_F(LifecycleHandlersTest, ARepeatedRequestIsAnsweredNotRepeated) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  v1::MoveCustomerRequest request = Move(Contact(1), "lead");
  request.set_request_id("AAAAAAAA-0000-4000-8000-000000000001");
  std::vector<absl::StatusOr<v1::CustomerStage>> answers(8);
  clm::testing::AtOnce(8, [&](int i) {
    v1::MoveCustomerRequest twin = request;
    // The same id in either case.
    if (i % 2 == 1) twin.set_request_id("aaaaaaaa-0000-4000-8000-000000000001");
    answers[i] = Do(&LifecycleHandlers::MoveCustomer, twin);
  });
  for (const auto& answer : answers) {
    CLM_ASSERT_OK(answer);
    EXPECT_EQ(answer->SerializeAsString(), answers[0]->SerializeAsString());
  }
  EXPECT_EQ(Journaled("StageChanged", Contact(1)), 1);
  request.set_to_stage("customer");
  EXPECT_THAT(Do(&LifecycleHandlers::MoveCustomer, request), ReasonIs("REQUEST_ID_REUSED"));
}

TEST_F(LifecycleHandlersTest, TheLogHoldsTheRequestThatAskedForAMove) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  const std::string first = Id(501).ToString(), second = Id(502).ToString();
  v1::MoveCustomerRequest move = Move(Contact(1), "lead");
  move.set_request_id(absl::AsciiStrToUpper(first));
  const auto lead = Do(&LifecycleHandlers::MoveCustomer, move);
  CLM_ASSERT_OK(lead);
  const auto requests = [&] {
    v1::ListTransitionsRequest list;
    list.set_parent(EntityName(kContacts, Contact(1)));
    const auto log = Do(&LifecycleHandlers::ListTransitions, list);
    EXPECT_THAT(log, clm::testing::IsOk());
    std::vector<std::string> ids;
    for (const v1::Transition& t : log->transitions()) ids.push_back(t.request_id());
    return ids;
  };
  EXPECT_THAT(requests(), ElementsAre(first));
  EXPECT_EQ(Count("SELECT count(*) FROM transition WHERE request_id = '" + first + "'"), 1);

  // A move in the past folds the customer again: each line keeps its own request.
  move = Move(Contact(1), "subscriber", lead->etag());
  move.set_request_id(second);
  ToProto(Day(950), move.mutable_effective_time());
  const auto subscriber = Do(&LifecycleHandlers::MoveCustomer, move);
  CLM_ASSERT_OK(subscriber);
  EXPECT_THAT(Path(Contact(1)), ElementsAre("950 >subscriber", "1000 subscriber>lead"));
  EXPECT_THAT(requests(), ElementsAre(second, first));

  // Who gives none has none.
  v1::ClearStageRequest clear;
  clear.set_contact(move.contact());
  clear.set_model(move.model());
  clear.set_etag(subscriber->etag());
  clock_.Advance(absl::Hours(1));
  CLM_ASSERT_OK(Do(&LifecycleHandlers::ClearStage, clear));
  EXPECT_THAT(requests(), ElementsAre(second, first, ""));
}

TEST_F(LifecycleHandlersTest, AMoveInThePastIsJudgedWhereItBelongs) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  const auto customer = MoveTo(Contact(1), "customer");
  CLM_ASSERT_OK(customer);
  v1::MoveCustomerRequest earlier = Move(Contact(1), "lead", customer->etag());
  ToProto(Day(950), earlier.mutable_effective_time());
  const auto moved = Do(&LifecycleHandlers::MoveCustomer, earlier);
  CLM_ASSERT_OK(moved);
  EXPECT_EQ(moved->stage(), "customer");
  EXPECT_THAT(Path(Contact(1)), ElementsAre("950 >lead", "1000 lead>customer"));
  earlier.set_etag(moved->etag());
  ToProto(Day(1001), earlier.mutable_effective_time());
  EXPECT_THAT(Do(&LifecycleHandlers::MoveCustomer, earlier),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("effective_time")));
}

TEST_F(LifecycleHandlersTest, OnlyReactivateLeadsOutOfATerminalStage) {
  const std::string model = "s002-15-conclusion";
  CLM_ASSERT_OK(InstallPreset(model, false));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  auto stage = MoveTo(Contact(1), "loyalty", "", model);
  CLM_ASSERT_OK(stage);
  stage = MoveTo(Contact(1), "retirement", stage->etag(), model);
  CLM_ASSERT_OK(stage);
  EXPECT_THAT(MoveTo(Contact(1), "loyalty", stage->etag(), model), ReasonIs("STAGE_TERMINAL"));
  clock_.Advance(absl::Hours(1));
  stage = Do(&LifecycleHandlers::ReactivateCustomer,
             Move(Contact(1), "acquisition", stage->etag(), model));
  CLM_ASSERT_OK(stage);
  EXPECT_EQ(stage->episode(), 2);
  v1::ClearStageRequest clear;
  clear.set_contact(EntityName(kContacts, Contact(1)));
  clear.set_model(ModelName("acme", model));
  clear.set_etag(stage->etag());
  clock_.Advance(absl::Hours(1));
  const auto cleared = Do(&LifecycleHandlers::ClearStage, clear);
  CLM_ASSERT_OK(cleared);
  EXPECT_EQ(cleared->stage(), "");
  EXPECT_THAT(Path(Contact(1)), SizeIs(4));
  ExpectBalance();
}

TEST_F(LifecycleHandlersTest, ARuleActsFromWhenItIsSwitchedOn) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 990, "download"}})}));
  CLM_ASSERT_OK(Do(&LifecycleHandlers::CreateRule, NewRule("r", "download", "lead")));
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{2, 999, "download"}})}));
  EXPECT_EQ(StageOf(Contact(1), "hubspot-eight"), "");
  const auto enabled = Do(&LifecycleHandlers::EnableRule, RuleVerb("r"));
  CLM_ASSERT_OK(enabled);
  EXPECT_TRUE(enabled->enabled());
  clock_.Set(Day(1010));
  Settle();
  EXPECT_EQ(StageOf(Contact(1), "hubspot-eight"), "");
  // Another process folds by the same rules.
  Node other(database_.app_dsn, &clock_);
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{3, 1005, "download"}})}, &other));
  EXPECT_EQ(StageOf(Contact(1), "hubspot-eight"), "lead");
  CLM_ASSERT_OK(Do(&LifecycleHandlers::DisableRule, RuleVerb("r")));
  clock_.Set(Day(1020));
  CLM_ASSERT_OK(Deliver({Created(Contact(2), 900), Behaved(Contact(2), {{4, 1015, "download"}})}));
  Settle();
  EXPECT_EQ(StageOf(Contact(2), "hubspot-eight"), "");
  EXPECT_EQ(StageOf(Contact(1), "hubspot-eight"), "lead");
}

TEST_F(LifecycleHandlersTest, ARuleWithHistoryDoesWhatItsDryRunShowed) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  for (int i = 0; i < 10; ++i) {
    CLM_ASSERT_OK(Deliver({Created(Contact(i), 900),
                           Behaved(Contact(i), {{100 + i, 950, i < 6 ? "download" : "visit"}})}));
  }
  CLM_ASSERT_OK(Do(&LifecycleHandlers::CreateRule, NewRule("r", "download", "lead")));
  v1::DryRunRuleRequest dry;
  dry.set_parent("tenants/acme/stageModels/hubspot-eight");
  dry.mutable_rule()->set_name("tenants/acme/stageModels/hubspot-eight/rules/r");
  const auto counts = Do(&LifecycleHandlers::DryRunRule, dry);
  CLM_ASSERT_OK(counts);
  EXPECT_EQ(counts->customer_count(), 10);
  EXPECT_EQ(counts->move_count(), 6);
  EXPECT_EQ(counts->moved_customer_count(), 6);
  EXPECT_EQ(counts->changed_now_count(), 6);
  EXPECT_EQ(counts->stage_counts_with_rule().at("lead"), 6);
  EXPECT_THAT(counts->stage_counts_now(), IsEmpty());
  EXPECT_EQ(Count("SELECT count(*) FROM transition"), 0);
  v1::RuleVerbRequest enable = RuleVerb("r");
  enable.set_include_history(true);
  CLM_ASSERT_OK(Do(&LifecycleHandlers::EnableRule, enable));
  Settle();
  EXPECT_EQ(Count("SELECT count(*) FROM customer_stage WHERE stage = 'lead'"), 6);
  EXPECT_THAT(Path(Contact(0)), ElementsAre("950 >lead"));
}

TEST_F(LifecycleHandlersTest, ARuleIsCheckedWholeBeforeItIsStored) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  const auto bad =
      Do(&LifecycleHandlers::CreateRule, NewRule("r", "download", "nowhere", "plan = gold"));
  ASSERT_THAT(bad, StatusIs(absl::StatusCode::kInvalidArgument));
  std::set<std::string> fields;
  for (const auto& [field, _] : error::FieldViolations(bad.status())) fields.insert(field);
  EXPECT_THAT(fields, ElementsAre("rule.condition", "rule.to_stage"));
  v1::CreateRuleRequest untriggered = NewRule("r", "download", "lead");
  untriggered.mutable_rule()->clear_trigger();
  EXPECT_THAT(Do(&LifecycleHandlers::CreateRule, untriggered),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rule.trigger")));
}

TEST_F(LifecycleHandlersTest, ARuleThatIsOnCannotBeChangedOrDeleted) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  const auto made = Do(&LifecycleHandlers::CreateRule, NewRule("r", "download", "lead"));
  CLM_ASSERT_OK(made);
  CLM_ASSERT_OK(Do(&LifecycleHandlers::EnableRule, RuleVerb("r")));
  v1::UpdateRuleRequest update;
  *update.mutable_rule() = *made;
  update.mutable_rule()->clear_etag();
  update.mutable_rule()->set_priority(7);
  update.mutable_update_mask()->add_paths("priority");
  EXPECT_THAT(Do(&LifecycleHandlers::UpdateRule, update), ReasonIs("RULE_ENABLED"));
  EXPECT_THAT(Do(&LifecycleHandlers::DeleteRule, RuleVerb("r")), ReasonIs("RULE_ENABLED"));
  CLM_ASSERT_OK(Do(&LifecycleHandlers::DisableRule, RuleVerb("r")));
  const auto updated = Do(&LifecycleHandlers::UpdateRule, update);
  CLM_ASSERT_OK(updated);
  EXPECT_EQ(updated->priority(), 7);
  EXPECT_EQ(updated->to_stage(), "lead");
  update.mutable_rule()->set_etag(made->etag());
  EXPECT_THAT(Do(&LifecycleHandlers::UpdateRule, update), StatusIs(absl::StatusCode::kAborted));
  CLM_ASSERT_OK(Do(&LifecycleHandlers::DeleteRule, RuleVerb("r")));
  EXPECT_THAT(Do(&LifecycleHandlers::DeleteRule, RuleVerb("r")),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(LifecycleHandlersTest, PublishingMovesTheCustomersOfStagesThatGo) {
  const auto model = InstallPreset("hubspot-eight", false);
  CLM_ASSERT_OK(model);
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  CLM_ASSERT_OK(MoveTo(Contact(1), "opportunity"));
  v1::PublishStageModelRequest publish;
  *publish.mutable_stage_model() = *model;
  for (int i = 0; i < publish.stage_model().stages_size(); ++i) {
    if (publish.stage_model().stages(i).id() == "opportunity") {
      publish.mutable_stage_model()->mutable_stages()->DeleteSubrange(i, 1);
    }
  }
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(Do(&LifecycleHandlers::PublishStageModel, publish), ReasonIs("STAGE_IN_USE"));
  (*publish.mutable_mapping())["opportunity"] = "customer";
  publish.set_validate_only(true);
  auto published = Do(&LifecycleHandlers::PublishStageModel, publish);
  CLM_ASSERT_OK(published);
  EXPECT_EQ(published->moved_counts().at("opportunity"), 1);
  EXPECT_EQ(Count("SELECT version FROM stage_model"), 1);
  publish.set_validate_only(false);
  published = Do(&LifecycleHandlers::PublishStageModel, publish);
  CLM_ASSERT_OK(published);
  EXPECT_EQ(published->stage_model().version(), 2);
  CLM_ASSERT_OK(node_->timers.RunOnce());
  EXPECT_EQ(StageOf(Contact(1), "hubspot-eight"), "customer");
  EXPECT_THAT(Do(&LifecycleHandlers::PublishStageModel, publish),
              StatusIs(absl::StatusCode::kAborted));
  v1::GetStageModelRequest get;
  get.set_name("tenants/acme/stageModels/hubspot-eight");
  get.set_version(1);
  const auto old = Do(&LifecycleHandlers::GetStageModel, get);
  CLM_ASSERT_OK(old);
  EXPECT_EQ(old->stages_size(), model->stages_size());
  ExpectBalance();
}

TEST_F(LifecycleHandlersTest, ExplainNamesTheRuleAndTheFact) {
  CLM_ASSERT_OK(InstallPreset("non-contractual", true));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 990}})}));
  v1::ExplainStageRequest request;
  request.set_contact(EntityName(kContacts, Contact(1)));
  request.set_model("tenants/acme/stageModels/non-contractual");
  const auto explained = Do(&LifecycleHandlers::ExplainStage, request);
  CLM_ASSERT_OK(explained);
  ASSERT_THAT(explained->steps(), SizeIs(1));
  const auto& step = explained->steps(0);
  EXPECT_EQ(step.transition().rule(), "first-purchase");
  EXPECT_EQ(step.rule().to_stage(), "first_purchase");
  EXPECT_EQ(step.fact().event_id(), Id(1).ToString());
  EXPECT_THAT(step.text(), HasSubstr("from no stage to \"First purchase\" by the rule "
                                     "first-purchase (on an event \"purchase\"), satisfied by "
                                     "\"purchase\" of"));
  EXPECT_THAT(step.text(), HasSubstr("over 100 minor units of EUR"));
}

// "rule: type day+added ..." of every step, and how many there are if some are left out.
std::vector<std::string> EvidenceOf(const v1::ExplainStageResponse& explained, absl::Time zero) {
  std::vector<std::string> lines;
  for (const auto& step : explained.steps()) {
    std::string line = absl::StrCat(step.transition().rule(), ":");
    for (const v1::Fact& fact : step.evidence()) {
      absl::StrAppend(&line, " ", fact.type(), " ",
                      absl::ToInt64Hours(FromProto(fact.occur_time()) - zero) / 24);
      if (fact.has_added()) absl::StrAppend(&line, "+", fact.added());
    }
    if (step.evidence_count() != step.evidence_size()) {
      absl::StrAppend(&line, " of ", step.evidence_count());
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

TEST_F(LifecycleHandlersTest, ExplainShowsTheVeryEventsThatSatisfiedARule) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  v1::CreateRuleRequest busy = NewRule("busy", "login", "lead");
  auto* count = busy.mutable_rule()->mutable_trigger()->mutable_event_count();
  count->set_event_type("login");
  count->set_at_least(3);
  count->mutable_window()->set_seconds(30 * 86400);
  v1::CreateRuleRequest spender = NewRule("spender", "purchase", "opportunity");
  auto* sum = spender.mutable_rule()->mutable_trigger()->mutable_event_sum();
  sum->set_event_type("purchase");
  sum->set_at_least_minor(250);
  sum->set_currency("EUR");
  sum->mutable_window()->set_seconds(20 * 86400);
  const v1::CreateRuleRequest asked =
      NewRule("asked", "call", "customer", "count(\"login\", 5d) >= 2 AND amount_minor = 100");
  for (const auto& rule : {busy, spender, asked}) {
    CLM_ASSERT_OK(Do(&LifecycleHandlers::CreateRule, rule));
    CLM_ASSERT_OK(Do(&LifecycleHandlers::EnableRule, RuleVerb(rule.rule_id())));
  }
  std::vector<Did> did = {{1, 905, "login"},    {2, 940, "login"},    {3, 950, "login"},
                          {4, 960, "login"},    {5, 954, "purchase"}, {6, 961, "purchase"},
                          {7, 975, "purchase"}, {8, 980, "purchase"}, {9, 985, "login"},
                          {10, 988, "login"},   {11, 989, "call"},    {12, 990, "login"}};
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), did)}));
  v1::ExplainStageRequest request;
  request.set_contact(EntityName(kContacts, Contact(1)));
  request.set_model(ModelName("acme", "hubspot-eight"));
  auto explained = Do(&LifecycleHandlers::ExplainStage, request);
  CLM_ASSERT_OK(explained);
  // What lies before the window, or behind the event that tipped the scales, is no reason.
  EXPECT_THAT(EvidenceOf(*explained, Day(0)),
              ElementsAre("busy: login 940 login 950 login 960",
                          "spender: purchase 961+100 purchase 975+100 purchase 980+100",
                          "asked: login 985 login 988 call 989"));
  EXPECT_THAT(explained->steps(0).text(), HasSubstr("satisfied by 3 events, the last \"login\""));
}

TEST_F(LifecycleHandlersTest, ExplainNamesTheLatestOfManyEvents) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  v1::CreateRuleRequest rule = NewRule("busy", "login", "lead");
  auto* count = rule.mutable_rule()->mutable_trigger()->mutable_event_count();
  count->set_event_type("login");
  count->set_at_least(30);
  CLM_ASSERT_OK(Do(&LifecycleHandlers::CreateRule, rule));
  CLM_ASSERT_OK(Do(&LifecycleHandlers::EnableRule, RuleVerb("busy")));
  std::vector<Did> did;
  did.reserve(31);
  for (int i = 0; i < 31; ++i) did.push_back({100 + i, 901.0 + i, "login"});
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), did)}));
  v1::ExplainStageRequest request;
  request.set_contact(EntityName(kContacts, Contact(1)));
  request.set_model(ModelName("acme", "hubspot-eight"));
  const auto explained = Do(&LifecycleHandlers::ExplainStage, request);
  CLM_ASSERT_OK(explained);
  ASSERT_THAT(explained->steps(), SizeIs(1));
  EXPECT_EQ(explained->steps(0).evidence_count(), 30);
  ASSERT_THAT(explained->steps(0).evidence(), SizeIs(20));
  EXPECT_EQ(explained->steps(0).evidence(0).event_id(), Id(110).ToString());
  EXPECT_EQ(explained->steps(0).evidence(19).event_id(), Id(129).ToString());
}

TEST_F(LifecycleHandlersTest, ExplainShowsWhatASilenceIsCountedFrom) {
  CLM_ASSERT_OK(InstallPreset("non-contractual", true));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 800), Behaved(Contact(1), {{1, 850}, {2, 885}})}));
  Settle();
  v1::ExplainStageRequest request;
  request.set_contact(EntityName(kContacts, Contact(1)));
  request.set_model(ModelName("acme", "non-contractual"));
  const auto explained = Do(&LifecycleHandlers::ExplainStage, request);
  CLM_ASSERT_OK(explained);
  ASSERT_THAT(explained->steps(), SizeIs(3));
  ASSERT_THAT(explained->steps(2).evidence(), SizeIs(1));
  EXPECT_EQ(explained->steps(2).evidence(0).event_id(), Id(2).ToString());
  EXPECT_FALSE(explained->steps(2).has_fact());
  EXPECT_THAT(explained->steps(2).text(), HasSubstr("counted from \"purchase\" of"));
}

TEST_F(LifecycleHandlersTest, ExplainShowsTheLatestOfTheTypesThatASilenceIsOf) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  const v1::CreateRuleRequest came = NewRule("came", "login", "lead");
  v1::CreateRuleRequest silent = NewRule("silent", "", "customer");
  silent.mutable_rule()->add_from_stages("lead");
  auto* silence = silent.mutable_rule()->mutable_trigger()->mutable_time_since_event();
  silence->add_event_types("purchase");
  silence->add_event_types("login");
  silence->mutable_duration()->set_seconds(30 * 86400);
  for (const auto& rule : {came, silent}) {
    CLM_ASSERT_OK(Do(&LifecycleHandlers::CreateRule, rule));
    CLM_ASSERT_OK(Do(&LifecycleHandlers::EnableRule, RuleVerb(rule.rule_id())));
  }
  CLM_ASSERT_OK(Deliver(
      {Created(Contact(1), 900),
       Behaved(Contact(1), {{1, 905, "login"}, {2, 910, "purchase"}, {3, 915, "visit"}}),
       Created(Contact(2), 900), Behaved(Contact(2), {{4, 905, "purchase"}, {5, 910, "login"}})}));
  Settle();
  for (const auto& [contact, last] : {std::pair(1, "purchase"), std::pair(2, "login")}) {
    v1::ExplainStageRequest request;
    request.set_contact(EntityName(kContacts, Contact(contact)));
    request.set_model(ModelName("acme", "hubspot-eight"));
    const auto explained = Do(&LifecycleHandlers::ExplainStage, request);
    CLM_ASSERT_OK(explained);
    EXPECT_THAT(EvidenceOf(*explained, Day(0)),
                ElementsAre(absl::StrCat("came: login ", contact == 1 ? 905 : 910),
                            absl::StrCat("silent: ", last, " 910")));
    ASSERT_THAT(explained->steps(), SizeIs(2));
    EXPECT_THAT(explained->steps(1).text(),
                HasSubstr(absl::StrCat("counted from \"", last, "\" of")));
  }
}

TEST_F(LifecycleHandlersTest, ExplainShowsWhatAConditionOverFieldsAndEventsLookedAt) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  const v1::CreateRuleRequest rule = NewRule(
      "asleep", "call", "customer", "attributes.plan = \"gold\" AND days_since(\"login\") >= 30");
  CLM_ASSERT_OK(Do(&LifecycleHandlers::CreateRule, rule));
  CLM_ASSERT_OK(Do(&LifecycleHandlers::EnableRule, RuleVerb("asleep")));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 800, {{"plan", "silver"}}),
                         Updated(Contact(1), 800, 820, {{"plan", "gold"}}),
                         // The call of day 855 comes too early, the login of day 905 too late.
                         Behaved(Contact(1), {{1, 830, "login"},
                                              {2, 850, "login"},
                                              {3, 855, "call"},
                                              {4, 900, "call"},
                                              {5, 905, "login"}})}));
  v1::ExplainStageRequest request;
  request.set_contact(EntityName(kContacts, Contact(1)));
  request.set_model(ModelName("acme", "hubspot-eight"));
  const auto explained = Do(&LifecycleHandlers::ExplainStage, request);
  CLM_ASSERT_OK(explained);
  EXPECT_THAT(EvidenceOf(*explained, Day(0)), ElementsAre("asleep: login 850 call 900"));
}

TEST_F(LifecycleHandlersTest, StageTimesAddUp) {
  CLM_ASSERT_OK(InstallPreset("non-contractual", true));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 800), Behaved(Contact(1), {{1, 890}, {2, 985}})}));
  v1::GetStageTimesRequest request;
  request.set_contact(EntityName(kContacts, Contact(1)));
  request.set_model("tenants/acme/stageModels/non-contractual");
  const auto times = Do(&LifecycleHandlers::GetStageTimes, request);
  CLM_ASSERT_OK(times);
  ASSERT_THAT(times->stages(), SizeIs(3));
  EXPECT_EQ(times->stages(0).stage(), "first_purchase");
  EXPECT_EQ(times->stages(0).cumulative_seconds(), 90 * 86400);
  EXPECT_EQ(times->stages(1).stage(), "at_risk");
  EXPECT_EQ(times->stages(1).cumulative_seconds(), 5 * 86400);
  EXPECT_EQ(times->stages(2).stage(), "won_back");
  EXPECT_EQ(times->stages(2).cumulative_seconds(), 15 * 86400);
  EXPECT_FALSE(times->stages(2).has_last_exit_time());
}

TEST_F(LifecycleHandlersTest, PagesAreWholeAndTokensAreBound) {
  CLM_ASSERT_OK(InstallPreset("non-contractual", true));
  for (int i = 0; i < 7; ++i) {
    CLM_ASSERT_OK(Deliver({Created(Contact(i), 900), Behaved(Contact(i), {{1, 990.0 + i % 2}})}));
  }
  v1::ListCustomersInStageRequest request;
  request.set_parent("tenants/acme/stageModels/non-contractual");
  request.set_stage("first_purchase");
  request.set_page_size(3);
  std::set<std::string> seen;
  absl::Time last = absl::InfinitePast();
  std::string token;
  for (int pages = 0; pages < 3; ++pages) {
    const auto page = Do(&LifecycleHandlers::ListCustomersInStage, request);
    CLM_ASSERT_OK(page);
    for (const auto& customer : page->customers()) {
      EXPECT_TRUE(seen.insert(customer.contact()).second);
      EXPECT_GE(FromProto(customer.enter_time()), last);
      last = FromProto(customer.enter_time());
    }
    if (pages == 0) token = page->next_page_token();
    request.set_page_token(page->next_page_token());
  }
  EXPECT_THAT(seen, SizeIs(7));
  EXPECT_EQ(request.page_token(), "");
  request.set_stage("repeat");
  request.set_page_token(token);
  EXPECT_THAT(Do(&LifecycleHandlers::ListCustomersInStage, request),
              StatusIs(absl::StatusCode::kInvalidArgument));

  v1::ListTransitionsRequest moves;
  moves.set_parent(EntityName(kContacts, Contact(1)));
  moves.set_page_size(1);
  const auto listed = Do(&LifecycleHandlers::ListTransitions, moves);
  CLM_ASSERT_OK(listed);
  ASSERT_THAT(listed->transitions(), SizeIs(1));
  EXPECT_EQ(listed->transitions(0).cause(), v1::Transition::CAUSE_RULE);
  EXPECT_EQ(listed->transitions(0).event_type(), "purchase");
  EXPECT_EQ(listed->next_page_token(), "");
}

TEST_F(LifecycleHandlersTest, ModelsAreComparedThroughTheCrosswalk) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false, "sales"));
  v1::CompareModelsRequest request;
  request.set_parent("tenants/acme");
  request.add_models("sales");
  request.add_models("s003-five");
  const auto compared = Do(&LifecycleHandlers::CompareModels, request);
  CLM_ASSERT_OK(compared);
  bool advocacy = false;
  for (const auto& row : compared->rows()) {
    if (row.canonical_stage() != v1::CANONICAL_STAGE_ADVOCACY) continue;
    advocacy = true;
    ASSERT_THAT(row.cells(), SizeIs(2));
    EXPECT_EQ(row.cells(0).model(), "sales");
    EXPECT_EQ(row.cells(0).labels(0), "Evangelist");
    EXPECT_EQ(row.cells(1).stages(0), "advocacy");
  }
  EXPECT_TRUE(advocacy);
  request.add_models("nothing");
  EXPECT_THAT(Do(&LifecycleHandlers::CompareModels, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("models[2]")));
}

TEST_F(LifecycleHandlersTest, AContactNobodyHasHeardOfHasNoStages) {
  v1::GetCustomerStagesRequest request;
  request.set_contact(EntityName(kContacts, Contact(1)));
  auto stages = Do(&LifecycleHandlers::GetCustomerStages, request);
  CLM_ASSERT_OK(stages);
  EXPECT_EQ(stages->version(), 0);
  CLM_ASSERT_OK(InstallPreset("non-contractual", true));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 990}})}));
  stages = Do(&LifecycleHandlers::GetCustomerStages, request);
  CLM_ASSERT_OK(stages);
  ASSERT_THAT(stages->stages(), SizeIs(1));
  EXPECT_EQ(stages->stages(0).stage(), "first_purchase");
  EXPECT_GT(stages->version(), 0);
}

TEST_F(LifecycleHandlersTest, AMoveFollowsAMergedContactToItsSurvivor) {
  CLM_ASSERT_OK(InstallPreset("hubspot-eight", false));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900)}));
  CLM_ASSERT_OK(Deliver({Created(Contact(2), 900)}));
  CLM_ASSERT_OK(Deliver({Merged(Contact(1), Contact(2))}));
  const auto moved = MoveTo(Contact(2), "lead");
  CLM_ASSERT_OK(moved);
  EXPECT_EQ(moved->contact(), EntityName(kContacts, Contact(1)));
}

}  // namespace
}  // namespace clm::lifecycle
