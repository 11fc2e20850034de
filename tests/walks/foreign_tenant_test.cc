// Whatever field of whatever RPC names something of another tenant: NOT_FOUND, in the same words
// whether it exists or not. And whatever a tenant asks about its own, nothing of another is in it.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "clm/lifecycle/v1/prediction_service.pb.h"
#include "libs/base/error.h"
#include "libs/base/request_info.h"
#include "libs/base/uuid.h"
#include "libs/testing/eventually.h"
#include "tests/walks/live_suite.h"
#include "tests/walks/samples.h"

namespace clm::walks {
namespace {

namespace pb = google::protobuf;
using clm::testing::Eventually;
using ::testing::IsEmpty;

// One who asks, and one who is asked about; and a tenant that nobody has made. Of one length, as
// some errors count.
constexpr char kOwn[] = "tenant-asks";
constexpr char kOther[] = "tenant-owns";
constexpr char kNobody[] = "tenant-void";
constexpr char kUnreal[] = "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a";

const std::string& PatternOf(const pb::FieldDescriptor* field) {
  return field->options().GetExtension(options::v1::field).resource();
}

// The patterns of all names that requests take, those of operators left out.
std::set<std::string> AllPatterns() {
  std::set<std::string> patterns;
  for (const Method method : AllMethods()) {
    for (const Way& way : WaysInto(method->input_type())) {
      if (absl::StartsWith(PatternOf(way.back()), "tenants/*")) {
        patterns.insert(PatternOf(way.back()));
      }
    }
  }
  return patterns;
}

bool Matches(const std::string& name, const std::string& pattern) {
  const std::vector<std::string> have = absl::StrSplit(name, '/');
  const std::vector<std::string> want = absl::StrSplit(pattern, '/');
  return std::equal(have.begin(), have.end(), want.begin(), want.end(),
                    [](const std::string& h, const std::string& w) { return w == "*" || h == w; });
}

// Shows every text within a message.
void EachText(const pb::Message& message, const std::function<void(const std::string&)>& show) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
        EachText(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                      : reflection.GetMessage(message, field),
                 show);
      } else if (field->type() == pb::FieldDescriptor::TYPE_STRING) {
        show(field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                  : reflection.GetString(message, field));
      }
    }
  }
}

// What an answer says but for the names and the trace that the caller itself has sent.
std::string Said(const Outcome& outcome, const std::string& sent) {
  const absl::Status& status = outcome.status;
  std::string said = absl::StrCat(absl::StatusCodeToString(status.code()), " ",
                                  error::Reason(status), ": ", status.message());
  std::map<std::string, std::string> payloads;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    payloads[std::string(url)] = std::string(payload);
  });
  for (const auto& [url, payload] : payloads) absl::StrAppend(&said, " ", url, "=", payload);
  return absl::StrReplaceAll(said, {{sent, "SENT"},
                                    {error::RequestId(status), "TRACE"},
                                    {absl::StrCat("tenants/", kOther), "TENANT"},
                                    {absl::StrCat("tenants/", kNobody), "TENANT"}});
}

// A name beside a real one, of the same length, that nobody has.
std::string Unreal(const std::string& name, const std::string& tenant) {
  std::vector<std::string> parts = absl::StrSplit(name, '/');
  parts[1] = tenant;
  for (size_t i = 3; i < parts.size(); i += 2) {
    if (Uuid::Parse(parts[i])) {
      parts[i] = kUnreal;
      continue;
    }
    // "points-1" keeps its form.
    for (char& c : parts[i]) c = absl::ascii_isalpha(c) ? 'z' : c;
  }
  return absl::StrJoin(parts, "/");
}

bool Reads(Method method) {
  return IsForTenants(method) && !PolicyOf(method).mutation() && !method->client_streaming();
}

// What one tenant has.
struct Estate {
  std::string tenant, token;
  std::map<std::string, std::vector<std::string>> names;  // By pattern.

  // A test failure when it has none.
  std::string NameOf(const std::string& pattern) const {
    const auto known = names.find(pattern);
    if (known != names.end()) return known->second.front();
    if (!absl::StartsWith(pattern, "tenants/*")) return absl::StrReplaceAll(pattern, {{"*", "1"}});
    const std::string name = absl::StrReplaceAll(pattern, {{"tenants/*", "tenants/" + tenant}});
    EXPECT_EQ(name.find('*'), std::string::npos) << "Furnish() makes no " << pattern;
    return absl::StrReplaceAll(name, {{"*", kUnreal}});
  }
};

class ForeignTenantTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    suite_ = new LiveSuite;
    own_ = new Estate(Furnish(kOwn));
    other_ = new Estate(Furnish(kOther));
  }
  static void TearDownTestSuite() {
    delete own_;
    delete other_;
    delete suite_;
  }
  void TearDown() override { EXPECT_THAT(complaints_, IsEmpty()); }

  static Estate Furnish(const std::string& tenant);

  // Sound requests with the names of an estate.
  static Samples Of(const Estate& estate) {
    return Samples([&estate](const std::string& pattern) { return estate.NameOf(pattern); },
                   Choices());
  }
  // Sound requests with names that nobody has.
  static Samples UnrealOf(const std::string& tenant) {
    return Samples(
        [tenant](const std::string& pattern) { return Unreal(other_->NameOf(pattern), tenant); },
        Choices());
  }
  // Values with which requests ask for something that is there.
  static std::map<std::string, std::string> Choices() {
    return {{"clm.lifecycle.v1.ListCustomersInStageRequest.stage", "one"},
            {"clm.lifecycle.v1.GetCustomerValueRequest.group_by", "GROUP_BY_CUSTOMER"},
            {"clm.lifecycle.v1.GetCustomerValueRequest.currency", "EUR"}};
  }

  Outcome AsOwn(Method method, const pb::Message& request) {
    return suite_->Call(method, {request.SerializeAsString()}, own_->token);
  }

  void Complain(Method method, const std::string& what, const std::string& said) {
    complaints_.push_back(absl::StrCat(method->full_name(), ", ", what, ": ", said));
  }

  // Nothing of the other tenant is in what this one was answered.
  void ExpectNothingOfTheOther(Method method, const std::string& asked, const Outcome& outcome) {
    std::string all = outcome.status.ToString();
    for (const std::string& response : outcome.responses) all += response;
    std::vector<std::string> secrets = {kOther};
    for (const auto& [pattern, names] : other_->names) {
      for (const std::string& name : names) {
        const std::string id = name.substr(name.rfind('/') + 1);
        if (Uuid::Parse(id)) secrets.push_back(id);
      }
    }
    for (const std::string& secret : secrets) {
      // What it has sent itself it may be shown.
      if (absl::StrContains(asked, secret) && !outcome.status.ok()) continue;
      if (absl::StrContains(all, secret)) Complain(method, asked, absl::CHexEscape(all));
    }
  }

  std::vector<std::string> complaints_;

  static LiveSuite* suite_;
  static Estate* own_;
  static Estate* other_;
};

LiveSuite* ForeignTenantTest::suite_ = nullptr;
Estate* ForeignTenantTest::own_ = nullptr;
Estate* ForeignTenantTest::other_ = nullptr;

std::string NameIn(const pb::Message& message) {
  return message.GetReflection()->GetString(message,
                                            message.GetDescriptor()->FindFieldByName("name"));
}

// Two of everything that is listed. Whatever could be told apart contains the tenant's id.
Estate ForeignTenantTest::Furnish(const std::string& tenant) {
  Estate estate;
  estate.tenant = tenant;
  estate.token = suite_->AddTenant(tenant);
  const std::string parent = "tenants/" + tenant;
  estate.names["tenants/*"] = {parent};
  // What is made tells its name.
  const std::set<std::string> patterns = AllPatterns();
  const auto keep = [&](const std::string& text) {
    for (const std::string& pattern : patterns) {
      if (Matches(text, pattern)) estate.names[pattern].push_back(text);
    }
  };
  const auto make_of = [&](const char* method, const std::vector<std::string>& json) {
    auto made = suite_->Do(method, json, estate.token);
    EachText(*made, keep);
    return made;
  };
  const auto make = [&](const char* method, const std::string& json) {
    return make_of(method, {absl::StrReplaceAll(json, {{"PARENT", parent}, {"T-", tenant + "-"}})});
  };
  make("CreateToken", R"({"parent": "PARENT", "token": {"scopes": ["admin"]}})");
  std::vector<std::string> contacts, models;
  for (const char* n : {"1", "2", "3"}) {
    contacts.push_back(NameIn(*make(
        "CreateContact",
        absl::StrReplaceAll(
            R"({"parent": "PARENT", "contact": {"email": "T-N@example.com", "given_name": "T-N"}})",
            {{"N@", absl::StrCat(n, "@")}}))));
  }
  for (const char* n : {"a", "b"}) {
    const auto two = [&](const char* method, const std::string& json) {
      return make(method, absl::StrReplaceAll(json, {{"%N", n}, {"%CONTACT", contacts[0]}}));
    };
    two("UpdateContact",
        R"({"contact": {"name": "%CONTACT", "given_name": "T-%N"}, "update_mask": "givenName"})");
    two("CreateAttributeDefinition",
        R"({"parent": "PARENT", "attribute_id": "attribute_%N",
            "attribute_definition": {"type": "TYPE_STRING"}})");
    const std::string topic = NameIn(*two("CreateTopic", R"({"parent": "PARENT",
        "topic_id": "topic_%N", "topic": {"channel": "email", "opt_in": "OPT_IN_SINGLE"}})"));
    make("Subscribe",
         absl::StrCat(R"({"contact": ")", contacts[0], R"(", "topic": ")", topic, R"("})"));
    two("RecordConsent", R"({"contact": "%CONTACT",
        "consent_act": {"purpose": "purpose_%N", "channel": "email", "state": "STATE_GRANTED",
                        "legal_basis": "consent"}})");
    two("SuppressAddress", R"({"parent": "PARENT",
        "suppression": {"channel": "email", "address": "T-%N@example.net", "reason": "REASON_MANUAL"}})");
    two("CreateAcquisitionCost", R"({"parent": "PARENT", "acquisition_cost": {"source": "T-%N",
        "start_date": "2026-01-01", "end_date": "2026-01-31", "amount_minor": "100", "currency": "EUR"}})");
    two("CreateKpi", R"({"parent": "PARENT", "kpi_id": "kpi_%N",
        "kpi": {"metric": "METRIC_NEW_CONTACTS", "owner": "T-%N"}})");
    models.push_back(NameIn(*two("CreateStageModel", R"({"parent": "PARENT",
        "stage_model_id": "model_%N",
        "stage_model": {"display_name": "T-%N", "policy": "POLICY_FREE",
                        "stages": [{"id": "one", "label": "T-"}, {"id": "two", "label": "T-"}]}})")));
    const std::string complaint = NameIn(*two("CreateCase", R"({"parent": "PARENT",
        "case": {"contact": "%CONTACT", "type": "TYPE_COMPLAINT", "problem": "T-%N"}})"));
    for (const char* note : {"1", "2"}) {
      make("AddCaseNote", absl::StrCat(R"({"parent": ")", complaint, R"(", "note": {"text": "T-)",
                                       note, R"("}})"));
    }
    two("CreateReview", R"({"parent": "PARENT", "review": {"contact": "%CONTACT",
        "kind": "KIND_REVIEW", "platform": "platform_%N", "text": "T-"}})");
    const std::string csv = absl::StrCat("email\n", tenant, "-x\n", tenant, "-y\n", n, "\n");
    make_of("UploadImport",
            {absl::StrCat(R"({"start": {"parent": ")", parent, R"(", "import_job": {"format":
                    "FORMAT_CSV", "kind": "KIND_CONTACTS", "columns": {"email": "email"},
                    "key": "email"}}})"),
             absl::StrCat(R"({"chunk": ")", absl::Base64Escape(csv), R"("})")});
  }
  for (const char* n : {"a", "b"}) {
    make("CreateRule", absl::StrReplaceAll(R"({"parent": "%MODEL", "rule_id": "rule_%N",
        "rule": {"display_name": "A rule", "to_stage": "two", "trigger": {"event": {"event_type": "purchase"}}}})",
                                           {{"%MODEL", models[0]}, {"%N", n}}));
  }
  for (const char* n : {"a", "b"}) {
    const std::string program = NameIn(*make("CreateProgram", absl::StrReplaceAll(R"({
        "parent": "PARENT", "program_id": "program_%N",
        "program": {"display_name": "T-%N", "wallets": [{"id": "points", "unit": "T-"}],
                    "referral_terms": {"friend_points": 1}}})",
                                                                                  {{"%N", n}})));
    for (int member : {0, 1}) {
      const std::string name = absl::StrCat(
          program, "/members/", contacts[member].substr(contacts[member].rfind('/') + 1));
      const auto of = [&](const char* method, const std::string& json) {
        make(method, absl::StrReplaceAll(json, {{"%MEMBER", name}}));
      };
      of("EarnPoints", R"({"member": "%MEMBER", "amount": "100", "reason": "T-"})");
      of("RedeemPoints", R"({"member": "%MEMBER", "amount": "1", "reason": "T-"})");
      of("ProposeAdjustment", R"({"member": "%MEMBER", "amount": "5", "reason": "T-"})");
      of("HoldPoints", R"({"member": "%MEMBER", "amount": "1", "duration": "1Y"})");
    }
    // One brings the other, who brings a third one.
    for (int member : {0, 1}) {
      const auto of = [&](const char* method, const std::string& json, const std::string& code) {
        const auto name = [&](int contact) {
          const std::string& of_contact = contacts[contact];
          return absl::StrCat(program, "/members/", of_contact.substr(of_contact.rfind('/') + 1));
        };
        return make(method, absl::StrReplaceAll(json, {{"%PROGRAM", program},
                                                       {"%ADVOCATE", name(member)},
                                                       {"%FRIEND", name(member + 1)},
                                                       {"%CODE", code}}));
      };
      const auto made = of("CreateReferralCode", R"({"parent": "%PROGRAM",
          "referral_code": {"advocate": "%ADVOCATE"}})",
                           "");
      // Without dashes, which do not count: "T-" means the tenant here.
      const std::string code = absl::StrReplaceAll(
          made->GetReflection()->GetString(*made, made->GetDescriptor()->FindFieldByName("code")),
          {{"-", ""}});
      of("ClaimReferral", R"({"parent": "%PROGRAM", "friend": "%FRIEND", "code": "%CODE"})", code);
    }
    for (const char* number : {"1", "2"}) {
      const auto of = [&](const char* method, const std::string& json) {
        make(method, absl::StrReplaceAll(json, {{"%PROGRAM", program}, {"%M", number}}));
      };
      of("CreateCouponBudget", R"({"parent": "%PROGRAM", "coupon_budget_id": "budget_%M",
          "coupon_budget": {"display_name": "T-"}})");
      of("CreateCoupon", R"({"parent": "%PROGRAM", "coupon": {"code": "SUMMER%M",
          "display_name": "T-", "kind": "KIND_PERCENT", "basis_points": 1000}})");
      of("RedeemCoupon", R"({"parent": "%PROGRAM", "code": "SUMMER1", "external_id": "T-%M",
          "order": {"currency": "EUR", "amount_minor": "100"}})");
      const std::string orderer =
          absl::StrCat(program, "/members/", contacts[0].substr(contacts[0].rfind('/') + 1));
      make("CreateOrder",
           absl::StrReplaceAll(R"({"parent": "%PROGRAM", "order_id": "T-%M",
          "order": {"member": "%MEMBER", "currency": "EUR",
                    "lines": [{"id": "T-", "sku": "T-", "quantity": "1"}]}})",
                               {{"%PROGRAM", program}, {"%M", number}, {"%MEMBER", orderer}}));
      of("CreateBonusRun", R"({"parent": "%PROGRAM", "bonus_run": {"points": "1", "reason": "T-",
          "dry_run": true, "criteria": {"condition": "member_days >= 0"}}})");
      of("CreateReward", R"({"parent": "%PROGRAM", "reward_id": "reward_%M",
          "reward": {"display_name": "T-", "cost": "1"}})");
      make("RedeemReward",
           absl::StrReplaceAll(R"({"reward": "%PROGRAM/rewards/reward_%M", "member": "%MEMBER",
          "external_id": "T-%M"})",
                               {{"%PROGRAM", program}, {"%M", number}, {"%MEMBER", orderer}}));
    }
  }
  std::string events;
  for (const char* value : {"null", "anonymous"}) {
    for (const char* n : {"1", "2"}) {
      absl::StrAppend(&events, events.empty() ? "" : ",",
                      absl::StrReplaceAll(R"({"type": "purchase",
            "occur_time": "2026-01-01T00:00:00Z", "amount_minor": "100", "currency": "EUR",
            "identifiers": {"email": "T-%N@example.com", "user_id": "VALUE"}})",
                                          {{"%N", n}, {"VALUE", value}}));
    }
  }
  make("IngestEvents", absl::StrCat(R"({"parent": "PARENT", "events": [)", events, "]}"));

  // Each of two is asked by two surveys, and answers.
  make("UpdateFeedbackSettings", R"({"feedback_settings": {"name": "PARENT/feedbackSettings"},
      "update_mask": "transactionalPauseDays,relationalPauseDays"})");
  for (const char* n : {"a", "b"}) {
    const std::string survey = NameIn(*make("CreateSurvey", absl::StrReplaceAll(R"({
        "parent": "PARENT", "survey_id": "survey_%N",
        "survey": {"display_name": "T-%N", "recontact": {"policy": "POLICY_ALWAYS"}, "questions": [
            {"id": "nps", "kind": "KIND_NPS", "texts": [{"language": "en", "text": "T-?"}]},
            {"id": "csat", "kind": "KIND_CSAT", "texts": [{"language": "en", "text": "T-?"}]},
            {"id": "ces", "kind": "KIND_CES", "texts": [{"language": "en", "text": "T-?"}]}]}})",
                                                                                {{"%N", n}})));
    make("StartSurvey", absl::StrCat(R"({"name": ")", survey, R"("})"));
    for (int contact : {0, 1}) {
      const auto invited = make(
          "CreateInvitation",
          absl::StrReplaceAll(R"({"parent": "PARENT", "invitation": {
          "survey": "%SURVEY", "contact": "%CONTACT", "channel": "T-email", "agent": "T-%N"}})",
                              {{"%SURVEY", survey}, {"%CONTACT", contacts[contact]}, {"%N", n}}));
      const std::string token = invited->GetReflection()->GetString(
          *invited, invited->GetDescriptor()->FindFieldByName("token"));
      suite_->Do("SubmitResponse",
                 {absl::StrCat(R"({"token": ")", token,
                               R"(", "answers": [{"question": "nps", "number": 9}]})")},
                 estate.token);
    }
  }
  make("ListResponses", R"({"parent": "PARENT"})");

  // What is parked or takes a scan is put where it would come to stand.
  for (const char* service : {"lifecycle", "loyalty", "feedback"}) {
    suite_->Ask(service,
                absl::StrReplaceAll(R"(WITH parked AS (INSERT INTO dead_letter SELECT 'TENANT',
      'contact', 0, n + 1000000, gen_random_uuid(), '%CONTACT-' || n, '', 'UNREADABLE', 'it is not',
      1, false, now() FROM generate_series(1, 2) AS n RETURNING 1)
      SELECT count(*)::text FROM parked)",
                                    {{"TENANT", tenant}, {"%CONTACT", contacts[0]}}));
  }
  // A fit takes the purchases of hundreds.
  for (const char* n : {"a", "b"}) {
    lifecycle::v1::PredictionModel model;
    model.set_end_date("2026-01-31");
    for (const double value : {0.243, 4.414, 0.793, 2.426}) {
      model.mutable_purchases()->add_parameters()->set_value(value);
    }
    suite_->Ask("lifecycle",
                absl::StrReplaceAll(R"(WITH made AS (INSERT INTO prediction_model
      SELECT 'TENANT', 'prediction_%N', decode('BODY', 'hex'), now() RETURNING 1)
      SELECT count(*)::text FROM made)",
                                    {{"TENANT", tenant},
                                     {"%N", n},
                                     {"BODY", absl::BytesToHexString(model.SerializeAsString())}}));
    keep(absl::StrCat(parent, "/predictionModels/prediction_", n));
  }
  // Of contacts that no scan for duplicates will come upon.
  suite_->Ask("contact", absl::StrReplaceAll(R"(WITH found AS (INSERT INTO duplicate_candidate
      SELECT 'TENANT', gen_random_uuid(), gen_random_uuid(), 90, '{name}', now()
      FROM generate_series(1, 2) RETURNING 1)
      SELECT count(*)::text FROM found)",
                                             {{"TENANT", tenant}}));

  // The lifecycle service hears of customers a little later, and imports and bonus runs take a
  // moment.
  const auto move = [&](int contact, int model) {
    const Method method = MethodNamed("MoveCustomer");
    const auto request = NewMessage(method->input_type());
    const auto parsed = pb::util::JsonStringToMessage(
        absl::StrReplaceAll(R"({"contact": "%CONTACT", "model": "%MODEL", "to_stage": "one"})",
                            {{"%CONTACT", contacts[contact]}, {"%MODEL", models[model]}}),
        request.get());
    EXPECT_TRUE(parsed.ok()) << parsed.ToString();
    absl::Status moved;
    EXPECT_TRUE(Eventually([&] {
      moved = suite_->Call(method, {request->SerializeAsString()}, estate.token).status;
      return moved.code() != absl::StatusCode::kNotFound;
    }));
    EXPECT_TRUE(moved.ok()) << moved;
  };
  move(0, 0);
  move(1, 0);
  move(0, 1);
  EXPECT_TRUE(Eventually([&] {
    return suite_->Ask("loyalty",
                       absl::StrCat("SELECT count(*)::text FROM bonus_run WHERE state <= 3 "
                                    "AND tenant_id = '",
                                    tenant, "'")) == "0";
  }));
  EXPECT_TRUE(Eventually([&] {
    return suite_->Ask("contact",
                       absl::StrCat("SELECT count(*)::text FROM import_job WHERE state < 4 "
                                    "AND end_time IS NULL AND tenant_id = '",
                                    tenant, "'")) == "0";
  }));
  EXPECT_TRUE(Eventually([&] {
    return suite_->Ask("lifecycle",
                       absl::StrCat("SELECT count(*)::text FROM fact WHERE tenant_id = '", tenant,
                                    "' AND amount_minor IS NOT NULL")) == "4";
  }));
  return estate;
}

TEST_F(ForeignTenantTest, IsNotFoundWhateverMethodIsAskedAboutIt) {
  const Samples real = Of(*other_), unreal = UnrealOf(kOther), nobody = UnrealOf(kNobody);
  for (const Method method : AllMethods()) {
    const auto said = [&](const Samples& samples) {
      const auto request = samples.Request(method);
      const Outcome outcome = AsOwn(method, *request);
      const auto wanted =
          IsForTenants(method) ? absl::StatusCode::kNotFound : absl::StatusCode::kPermissionDenied;
      std::string text = Said(outcome, "none");
      if (outcome.status.code() != wanted || !outcome.responses.empty()) {
        Complain(method, "is not refused", text);
      }
      return text;
    };
    const std::string about_real = said(real);
    for (const std::string& other : {said(unreal), said(nobody)}) {
      if (other != about_real) Complain(method, about_real, other);
    }
  }
}

TEST_F(ForeignTenantTest, IsNotFoundWhateverFieldNamesIt) {
  const Samples own = Of(*own_), real = Of(*other_), unreal = UnrealOf(kOther),
                nobody = UnrealOf(kNobody);
  int fields = 0;
  for (const Method method : AllMethods()) {
    if (!IsForTenants(method)) continue;
    for (const Way& way : WaysInto(method->input_type())) {
      if (!absl::StartsWith(PatternOf(way.back()), "tenants/*")) continue;
      ++fields;
      const auto said = [&](const Samples& samples) {
        const std::string name = samples.Text(way.back());
        const auto request = own.Request(method);
        SetText(own.Holder(*request, way), way.back(), name);
        const Outcome outcome = AsOwn(method, *request);
        std::string text = Said(outcome, name);
        if (outcome.status.code() != absl::StatusCode::kNotFound || !outcome.responses.empty()) {
          Complain(method, PathOf(way), text);
        }
        return text;
      };
      const std::string about_real = said(real);
      for (const std::string& other : {said(unreal), said(nobody)}) {
        if (other != about_real)
          Complain(method, absl::StrCat(PathOf(way), " ", about_real), other);
      }
    }
  }
  EXPECT_GT(fields, 80);
}

// Texts that are no names by their rules: ids, values, subjects, filters.
TEST_F(ForeignTenantTest, IsNotToBeGuessedByAnyText) {
  const Samples own = Of(*own_);
  const std::string contact = other_->NameOf("tenants/*/contacts/*");
  const std::string id = contact.substr(contact.rfind('/') + 1);
  const std::pair<std::string, std::string> guesses[] = {
      {contact, absl::StrCat("tenants/", kOther, "/contacts/", kUnreal)},
      {id, kUnreal},
      {absl::StrCat(kOther, "-1@example.com"), absl::StrCat(kNobody, "-1@example.com")},
      {absl::StrCat(contact, "-1"), absl::StrCat("tenants/", kOther, "/contacts/", kUnreal, "-1")},
      {absl::StrCat("email = \"", kOther, "-1@example.com\""),
       absl::StrCat("email = \"", kNobody, "-1@example.com\"")},
      {absl::StrCat("given_name = \"", kOther, "-1\""),
       absl::StrCat("given_name = \"", kNobody, "-1\"")},
      {absl::StrCat("id = \"", id, "\" OR id != \"\""),
       absl::StrCat("id = \"", kUnreal, "\" OR id != \"\"")},
  };
  for (const Method method : AllMethods()) {
    if (!Reads(method)) continue;
    for (const Way& way : WaysInto(method->input_type())) {
      const pb::FieldDescriptor* field = way.back();
      if (field->is_map() || field->type() != pb::FieldDescriptor::TYPE_STRING) continue;
      // Whether a code was mistyped is told by its own characters, whoever asks.
      if (!PatternOf(field).empty() || field->name() == "code") continue;
      for (const auto& [real, unreal] : guesses) {
        const auto said = [&](const std::string& text) {
          const auto request = own.Request(method);
          SetText(own.Holder(*request, way), field, text);
          const Outcome outcome = AsOwn(method, *request);
          ExpectNothingOfTheOther(method, absl::StrCat(PathOf(way), " = ", text), outcome);
          return absl::StrCat(Said(outcome, text), " ", outcome.responses.size());
        };
        const std::string about_real = said(real), about_unreal = said(unreal);
        if (about_real != about_unreal) {
          Complain(method, absl::StrCat(PathOf(way), " ", about_real), about_unreal);
        }
      }
    }
  }
}

// A change that is given an id or an address of another tenant goes as it does with any.
TEST_F(ForeignTenantTest, IsNotToBeGuessedByAnyChange) {
  const Estate acting = Furnish("tenant-acts");
  const Samples own = Of(acting);
  std::vector<Method> methods = AllMethods();
  methods.erase(std::remove_if(methods.begin(), methods.end(),
                               [](Method method) {
                                 return !IsForTenants(method) || !PolicyOf(method).mutation();
                               }),
                methods.end());
  // What may take things away comes last.
  std::stable_partition(methods.begin(), methods.end(), [](Method method) {
    return absl::StartsWith(method->name(), "Create") || absl::StartsWith(method->name(), "Up");
  });
  const std::string contact = other_->NameOf("tenants/*/contacts/*");
  const std::string id = contact.substr(contact.rfind('/') + 1);
  const auto email = [](const std::string& tenant) { return tenant + "-1@example.com"; };
  int calls = 0;
  for (const Method method : methods) {
    for (const Way& way : WaysInto(method->input_type())) {
      const pb::FieldDescriptor* field = way.back();
      if (field->is_map() || field->type() != pb::FieldDescriptor::TYPE_STRING) continue;
      // A request id of one's own is not to be used again: that it is used by another does not
      // matter is tested where answers are kept.
      if (!PatternOf(field).empty() || field->name() == "request_id") continue;
      if (field->name() == "code") continue;  // As above.
      const auto said = [&](const std::string& text) {
        const auto request = own.Request(method);
        SetText(own.Holder(*request, way), field, text);
        ++calls;
        const Outcome outcome = suite_->Call(method, {request->SerializeAsString()}, acting.token);
        return absl::StrCat(absl::StatusCodeToString(outcome.status.code()), " ",
                            error::Reason(outcome.status));
      };
      // Others come before and after, as a change may be different the second time.
      const std::string guesses[][3] = {
          {Uuid::V7(absl::Now()).ToString(), id, Uuid::V7(absl::Now()).ToString()},
          {email("tenant-beef"), email(kOther), email("tenant-afte")},
      };
      for (const auto& [before, real, after] : guesses) {
        const std::string first = said(before), guessed = said(real), last = said(after);
        if (guessed != first && guessed != last) {
          Complain(method, absl::StrCat(PathOf(way), " ", first), guessed);
        }
      }
    }
  }
  EXPECT_GT(calls, 500);
}

TEST_F(ForeignTenantTest, IsInNoAnswerAboutOnesOwn) {
  const Samples own = Of(*own_);
  const std::string filters[] = {"",
                                 "create_time > \"1970-01-01T00:00:00Z\"",
                                 "NOT email = \"x\"",
                                 absl::StrCat("email : \"", kOther, "\""),
                                 absl::StrCat("tenant = \"", kOther, "\" OR email != \"\""),
                                 "type = \"purchase\" OR type != \"purchase\""};
  int answers = 0;
  for (const Method method : AllMethods()) {
    if (!Reads(method)) continue;
    const auto* filter = method->input_type()->FindFieldByName("filter");
    for (const std::string& text : filters) {
      if (filter == nullptr && !text.empty()) continue;
      const auto request = own.Request(method);
      if (!text.empty()) SetText(*request, filter, text);
      const Outcome outcome = AsOwn(method, *request);
      answers += static_cast<int>(outcome.responses.size());
      ExpectNothingOfTheOther(method, text, outcome);
    }
  }
  EXPECT_GT(answers, 30);
}

TEST_F(ForeignTenantTest, ItsPageTokensOpenNothing) {
  const Samples own = Of(*own_), other = Of(*other_);
  const auto set_token = [](pb::Message& request, const std::string& token) {
    SetText(request, request.GetDescriptor()->FindFieldByName("page_token"), token);
  };
  for (const Method method : AllMethods()) {
    const auto* next = method->output_type()->FindFieldByName("next_page_token");
    const auto* size = method->input_type()->FindFieldByName("page_size");
    if (!IsForTenants(method) || next == nullptr) continue;
    ASSERT_NE(size, nullptr) << method->full_name();
    const auto asked = other.Request(method);
    asked->GetReflection()->SetInt32(asked.get(), size, 1);
    const Outcome page = suite_->Call(method, {asked->SerializeAsString()}, other_->token);
    const auto response = NewMessage(method->output_type());
    if (!page.responses.empty()) {
      EXPECT_TRUE(response->ParseFromString(page.responses.front()));
    }
    const std::string token = response->GetReflection()->GetString(*response, next);
    if (token.empty()) {
      Complain(method, "Furnish() makes no two of what it lists", page.status.ToString());
      continue;
    }
    const auto request = own.Request(method);
    request->GetReflection()->SetInt32(request.get(), size, 1);
    set_token(*request, token);
    const Outcome outcome = AsOwn(method, *request);
    const auto fields = error::FieldViolations(outcome.status);
    if (outcome.status.code() != absl::StatusCode::kInvalidArgument || fields.size() != 1 ||
        fields[0].first != "page_token") {
      Complain(method, "takes it", outcome.status.ToString());
    }
    ExpectNothingOfTheOther(method, "", outcome);
    // Beside the name that it was made for it opens no more.
    set_token(*asked, token);
    const Outcome theirs = AsOwn(method, *asked);
    if (theirs.status.code() != absl::StatusCode::kNotFound) {
      Complain(method, "beside its parent", theirs.status.ToString());
    }
  }
}

}  // namespace
}  // namespace clm::walks
