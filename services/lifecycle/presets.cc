#include "services/lifecycle/presets.h"

#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::lifecycle {
namespace {

using C = CanonicalStage;

// A stage as a preset lists it; positions follow the listing.
struct Listed {
  const char* id;
  const char* label;
  C canonical;
  StageKind kind = StageKind::kNormal;
};

StageModel Model(const char* id, const char* display_name, const char* description,
                 std::initializer_list<Listed> stages) {
  StageModel model{.id = id, .display_name = display_name, .description = description};
  for (const Listed& listed : stages) {
    model.stages.push_back({.id = listed.id,
                            .label = listed.label,
                            .position = static_cast<int>(model.stages.size()) + 1,
                            .kind = listed.kind,
                            .canonical = listed.canonical});
  }
  return model;
}

Stage& StageOf(StageModel& model, absl::string_view id) {
  for (Stage& stage : model.stages) {
    if (stage.id == id) return stage;
  }
  return model.stages.front();
}

void AddEdges(StageModel& model, const char* from, std::initializer_list<const char*> to) {
  model.policy = Policy::kGraph;
  for (const char* stage : to) model.edges.push_back({from, stage});
}

StageModel HubSpot() {
  StageModel model =
      Model("hubspot-eight", "HubSpot's default stages",
            "The eight default lifecycle stages of HubSpot, in their order. Other is for what fits "
            "none of the seven, and counts as engagement in the crosswalk.",
            {{"subscriber", "Subscriber", C::kAwareness},
             {"lead", "Lead", C::kInterest},
             {"marketing_qualified_lead", "Marketing Qualified Lead", C::kConsideration},
             {"sales_qualified_lead", "Sales Qualified Lead", C::kConsideration},
             {"opportunity", "Opportunity", C::kAcquisition},
             {"customer", "Customer", C::kConversion},
             {"evangelist", "Evangelist", C::kAdvocacy},
             {"other", "Other", C::kEngagement}});
  return model;
}

StageModel Gated() {
  StageModel model = Model(
      "s001-five", "Five stages with influence",
      "The last stages are reached only if the earlier ones had their influence: retention and "
      "loyalty ask for a visit of every earlier stage. The text ends the process at retention in "
      "one place and at loyalty in its list; the list is kept.",
      {{"reach", "Reach", C::kAwareness},
       {"possession", "Possession", C::kAcquisition},
       {"turning", "Turning", C::kConversion},
       {"retention", "Retention", C::kRetention},
       {"loyalty", "Loyalty", C::kLoyalty}});
  StageOf(model, "retention").require_all_earlier = true;
  StageOf(model, "loyalty").require_all_earlier = true;
  return model;
}

StageModel Decline() {
  StageModel model =
      Model("s002-14-decline", "Five stages with decline",
            "Out of decline a customer abandons or renews. Renewing is the edge back to retention; "
            "abandoning is a clear of the stage. Expansion is explained as attracting new "
            "customers.",
            {{"acquisition", "Acquisition", C::kAcquisition},
             {"activation", "Activation", C::kActivation},
             {"retention", "Retention", C::kRetention},
             {"expansion", "Expansion", C::kExpansion},
             {"decline", "Decline", C::kAtRisk, StageKind::kNegative}});
  AddEdges(model, "acquisition", {"activation", "retention", "expansion", "decline"});
  AddEdges(model, "activation", {"retention", "expansion", "decline"});
  AddEdges(model, "retention", {"expansion", "decline"});
  AddEdges(model, "expansion", {"decline"});
  AddEdges(model, "decline", {"retention"});
  return model;
}

Rule MakeRule(const char* model, const char* id, int priority, std::vector<std::string> from,
              const char* to, Trigger trigger) {
  return {.id = id,
          .priority = priority,
          .model_id = model,
          .from_stages = std::move(from),
          .to_stage = to,
          .trigger = std::move(trigger)};
}

Trigger OnEvent(std::string type) {
  return {.kind = Trigger::Kind::kEvent, .types = {std::move(type)}};
}

Trigger OnCount(std::string type, int days, int64_t at_least) {
  return {.kind = Trigger::Kind::kEventCount,
          .types = {std::move(type)},
          .window = absl::Hours(24) * days,
          .at_least = at_least};
}

Trigger OnSilence(std::vector<std::string> types, int days) {
  return {.kind = Trigger::Kind::kTimeSinceEvent,
          .types = std::move(types),
          .duration = absl::Hours(24) * days};
}

std::vector<StageModel> Literature() {
  std::vector<StageModel> models;
  models.push_back(Model("s000-five-steps", "Five steps",
                         "Reach is also called the awareness phase; conversion is the sign-up; the "
                         "relationship decides the tone and the length of what follows.",
                         {{"reach", "Reach or Getting There", C::kAwareness},
                          {"acquiring", "Acquiring the Customer", C::kAcquisition},
                          {"conversion", "Conversion", C::kConversion},
                          {"retaining", "Retaining or Loyalty Building", C::kRetention},
                          {"relationship", "The Relationship", C::kLoyalty}}));
  models.push_back(Gated());
  models.push_back(Model("s002-01-intro", "Opening list",
                         "Announced as five stages; only four are printed.",
                         {{"acquisition", "Acquisition", C::kAcquisition},
                          {"activation", "Activation", C::kActivation},
                          {"retention", "Retention", C::kRetention},
                          {"referral", "Referral", C::kAdvocacy}}));
  models.push_back(Model("s002-02-steps", "Four main steps",
                         "Activation means satisfied and ready to promote here; marketing makes "
                         "advocates of customers.",
                         {{"acquisition", "Acquisition", C::kAcquisition},
                          {"activation", "Activation", C::kActivation},
                          {"retention", "Retention", C::kRetention},
                          {"marketing", "Marketing", C::kAdvocacy}}));
  models.push_back(Model("s002-03-engage", "Engagement first",
                         "Engagement comes before conversion.",
                         {{"acquisition", "Acquisition", C::kAcquisition},
                          {"engagement", "Engagement", C::kEngagement},
                          {"conversion", "Conversion", C::kConversion},
                          {"retention", "Retention", C::kRetention}}));
  models.push_back(Model("s002-04-six", "Six steps",
                         "Retention stands twice, and activation after loyalty. The two retentions "
                         "are stages of their own, apart by id and position.",
                         {{"acquisition", "Acquisition", C::kAcquisition},
                          {"retention", "Retention", C::kRetention},
                          {"loyalty", "Loyalty", C::kLoyalty},
                          {"cross_selling", "Cross-selling and upselling", C::kExpansion},
                          {"activation", "Activation", C::kActivation},
                          {"retention_2", "Retention", C::kRetention}}));
  models.push_back(Model("s002-05-prepost", "Before and after the acquisition", "",
                         {{"pre_acquisition", "Pre-acquisition", C::kAwareness},
                          {"acquisition", "Acquisition", C::kAcquisition},
                          {"conversion", "Conversion", C::kConversion},
                          {"post_acquisition", "Post-acquisition", C::kEngagement},
                          {"retention", "Retention", C::kRetention}}));
  models.push_back(
      Model("s002-06-touch", "Touch phases",
            "Four phases of touch, which the text does not call stages. The two cycles are loops: "
            "customers come back to them.",
            {{"initial_contact", "initial contact", C::kAwareness},
             {"purchase_cycle", "purchase cycle", C::kConversion, StageKind::kLoop},
             {"usage_cycle", "usage cycle", C::kEngagement, StageKind::kLoop},
             {"post_purchase", "post-purchase experience", C::kEngagement}}));
  models.push_back(Model("s002-07-purchase", "Purchase path",
                         "One strategy belongs to each stage: marketing; sales; shipping and "
                         "delivery; customer support.",
                         {{"awareness", "awareness", C::kAwareness},
                          {"consideration", "consideration", C::kConsideration},
                          {"purchase", "purchase", C::kConversion},
                          {"use", "use", C::kEngagement}}));
  models.push_back(
      Model("s002-08-onboard", "Onboarding",
            "Deactivation is the end, with duties of its own: leaving the customer lists, "
            "cancelling orders, settling grievances.",
            {{"new_customer_acquisition", "New customer acquisition", C::kAcquisition},
             {"activation", "Activation", C::kActivation},
             {"retention", "Retention", C::kRetention},
             {"deactivation", "Deactivation", C::kDeactivated, StageKind::kTerminal}}));
  models.push_back(Model("s002-09-engagement", "Relationship before retention", "",
                         {{"acquisition", "Acquisition", C::kAcquisition},
                          {"conversion", "Conversion", C::kConversion},
                          {"relationship", "Relationship", C::kEngagement},
                          {"retention", "Retention", C::kRetention}}));
  models.push_back(Model("s002-10-purchase4", "Around the purchase", "",
                         {{"pre_purchase", "Pre-Purchase", C::kConsideration},
                          {"purchase", "Purchase", C::kConversion},
                          {"post_purchase", "Post-Purchase", C::kEngagement},
                          {"ongoing_relationship", "Ongoing Relationship", C::kRetention}}));
  models.push_back(Model(
      "s002-11-service", "Customer service",
      "The last stage is negative: the customer has had enough and is looking to leave. It is "
      "entered from anywhere, is never progress, and leads back to where the customer was.",
      {{"acquisition", "Acquisition", C::kAcquisition},
       {"engagement", "Engagement", C::kEngagement},
       {"loyalty", "Loyalty", C::kLoyalty},
       {"retention", "Retention", C::kRetention},
       {"dissatisfaction", "Dissatisfaction", C::kAtRisk, StageKind::kNegative}}));
  models.push_back(Model("s002-12-loyalty", "Loyalty programme", "Loyalty comes before retention.",
                         {{"acquiring", "Acquiring", C::kAcquisition},
                          {"engaging", "Engaging", C::kEngagement},
                          {"loyalty", "Loyalty", C::kLoyalty},
                          {"retention", "Retention", C::kRetention}}));
  models.push_back(Model("s002-13-crm", "CRM trends",
                         "Growth means keeping customers and attracting new ones.",
                         {{"acquisition", "acquisition", C::kAcquisition},
                          {"activation", "activation", C::kActivation},
                          {"retention", "retention", C::kRetention},
                          {"growth", "growth", C::kExpansion}}));
  models.push_back(Decline());
  models.push_back(
      Model("s002-15-conclusion", "Four stages to retirement",
            "Retirement is the end: the product is no longer used. It is printed once as "
            "retirements.",
            {{"acquisition", "acquisition", C::kAcquisition},
             {"activation", "activation", C::kActivation},
             {"loyalty", "loyalty", C::kLoyalty},
             {"retirement", "retirement", C::kDeactivated, StageKind::kTerminal}}));
  models.push_back(Model("s002-16-journey", "Customer journey", "",
                         {{"awareness", "awareness", C::kAwareness},
                          {"interest", "interest", C::kInterest},
                          {"engagement", "engagement", C::kEngagement},
                          {"loyalty", "loyalty", C::kLoyalty}}));
  models.push_back(Model("s002-17-software", "Software", "",
                         {{"acquisition", "acquisition", C::kAcquisition},
                          {"engagement", "engagement", C::kEngagement},
                          {"retention", "retention", C::kRetention}}));
  models.push_back(Model("s002-18-phases", "Three phases", "",
                         {{"acquisition", "Acquisition", C::kAcquisition},
                          {"relationship_management", "Relationship Management", C::kEngagement},
                          {"retention", "Retention", C::kRetention}}));
  models.push_back(
      Model("s003-five", "Awareness to advocacy",
            "Conversion is also called acquisition, and is only the second of five. "
            "Retention means a purchase beyond the first, or a renewal when it is due.",
            {{"awareness", "Awareness", C::kAwareness},
             {"conversion", "Conversion", C::kConversion},
             {"nurturing", "Nurturing", C::kEngagement},
             {"retention", "Retention", C::kRetention},
             {"advocacy", "Advocacy", C::kAdvocacy}}));
  models.push_back(
      Model("s004-five", "Loyalty by choice",
            "The text prints no headings; the labels follow its paragraphs. Loyalty is not "
            "retention: somebody may repeat for years out of need; loyalty is by choice.",
            {{"awareness", "awareness (reach)", C::kAwareness},
             {"interest", "interest (acquisition)", C::kAcquisition},
             {"purchase", "purchase (conversion)", C::kConversion},
             {"staying", "staying with added value (retention)", C::kRetention},
             {"loyal_advocates", "loyal advocates (loyalty)", C::kLoyalty}}));
  return models;
}

// A bad experience in the last year puts a customer at risk; about half leave after the first.
std::vector<Rule> ServiceRules() {
  return {MakeRule("s002-11-service", "bad-experience", 100,
                   {"acquisition", "engagement", "loyalty", "retention"}, "dissatisfaction",
                   OnCount("complaint", 365, 1))};
}

}  // namespace

StageModel NonContractualModel() {
  StageModel model =
      Model("non-contractual", "Buyers without a contract",
            "For customers who buy when they like and leave without a word. Silence after the last "
            "purchase leads to at risk and to lapsed, a purchase then to won back, and one more to "
            "repeat.",
            {{"first_purchase", "First purchase", C::kConversion},
             {"repeat", "Repeat", C::kRetention},
             {"at_risk", "At risk", C::kAtRisk, StageKind::kNegative},
             {"lapsed", "Lapsed", C::kDeactivated, StageKind::kNegative},
             {"won_back", "Won back", C::kRetention}});
  AddEdges(model, "first_purchase", {"repeat", "at_risk", "lapsed"});
  AddEdges(model, "repeat", {"at_risk", "lapsed"});
  AddEdges(model, "at_risk", {"lapsed", "won_back"});
  AddEdges(model, "lapsed", {"won_back"});
  AddEdges(model, "won_back", {"repeat", "at_risk", "lapsed"});
  return model;
}

absl::StatusOr<std::vector<Rule>> NonContractualRules(const NonContractualOptions& options) {
  error::FieldErrors errors;
  if (options.purchase_type.empty()) errors.Add("purchase_type", "must not be empty");
  if (options.at_risk_after_days < 1 || options.at_risk_after_days > kMaxDays) {
    errors.Add("at_risk_after_days", absl::StrCat("must be from 1 to ", kMaxDays));
  }
  if (options.lapsed_after_days <= options.at_risk_after_days ||
      options.lapsed_after_days > kMaxDays) {
    errors.Add("lapsed_after_days",
               absl::StrCat("must be more than at_risk_after_days and at most ", kMaxDays));
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  constexpr char kModel[] = "non-contractual";
  const std::string& type = options.purchase_type;
  return std::vector<Rule>{
      MakeRule(kModel, "first-purchase", 10, {kNoStage}, "first_purchase", OnEvent(type)),
      MakeRule(kModel, "repeat-purchase", 10, {"first_purchase", "won_back"}, "repeat",
               OnEvent(type)),
      MakeRule(kModel, "purchase-after-silence", 10, {"at_risk", "lapsed"}, "won_back",
               OnEvent(type)),
      // When both fall due, as after a move by hand, the longer silence decides.
      MakeRule(kModel, "long-silence", 30, {"first_purchase", "repeat", "won_back", "at_risk"},
               "lapsed", OnSilence({type}, options.lapsed_after_days)),
      MakeRule(kModel, "silence", 20, {"first_purchase", "repeat", "won_back"}, "at_risk",
               OnSilence({type}, options.at_risk_after_days)),
  };
}

StageModel SubscriptionModel() {
  StageModel model = Model(
      "subscription", "Shop with subscriptions",
      "A shop that sells once and by subscription. Silence or a failed payment puts a customer "
      "at risk; a cancelled subscription or a closed account ends the episode, and who comes "
      "back begins a new one.",
      {{"visitor", "Visitor", C::kAwareness},
       {"member", "Member", C::kInterest},
       {"trial", "Trial", C::kActivation},
       {"buyer", "Buyer", C::kConversion},
       {"repeat_buyer", "Repeat buyer", C::kRetention},
       {"subscriber", "Subscriber", C::kRetention},
       {"loyal", "Loyal", C::kLoyalty},
       {"returned", "Returned", C::kRetention},
       {"at_risk", "At risk", C::kAtRisk, StageKind::kNegative},
       {"lapsed", "Lapsed", C::kDeactivated, StageKind::kNegative},
       {"churned", "Churned", C::kDeactivated, StageKind::kTerminal}});
  StageOf(model, "member").target_days = 14;
  StageOf(model, "trial").target_days = 14;
  StageOf(model, "at_risk").target_days = 30;
  AddEdges(model, "visitor", {"member", "trial", "buyer", "subscriber", "churned"});
  AddEdges(model, "member", {"trial", "buyer", "subscriber", "churned"});
  AddEdges(model, "trial", {"buyer", "subscriber", "churned"});
  AddEdges(model, "buyer", {"repeat_buyer", "subscriber", "at_risk", "lapsed", "churned"});
  AddEdges(model, "repeat_buyer", {"subscriber", "loyal", "at_risk", "lapsed", "churned"});
  AddEdges(model, "subscriber", {"loyal", "at_risk", "lapsed", "churned"});
  AddEdges(model, "loyal", {"at_risk", "lapsed", "churned"});
  AddEdges(model, "returned",
           {"repeat_buyer", "subscriber", "loyal", "at_risk", "lapsed", "churned"});
  AddEdges(model, "at_risk", {"returned", "subscriber", "lapsed", "churned"});
  AddEdges(model, "lapsed", {"returned", "churned"});
  return model;
}

std::vector<Rule> SubscriptionRules() {
  constexpr char kModel[] = "subscription";
  const std::vector<std::string> before_buying = {kNoStage, "visitor", "member", "trial"};
  const std::vector<std::string> buying = {"buyer", "repeat_buyer", "subscriber", "loyal",
                                           "returned"};
  std::vector<std::string> quiet = buying;
  quiet.push_back("at_risk");
  const std::vector<std::string> signs_of_life = {"purchase", "renewal", "subscription_start"};
  std::vector<Rule> rules = {
      MakeRule(kModel, "visit", 10, {kNoStage}, "visitor", OnEvent("visit")),
      MakeRule(kModel, "sign-up", 10, {kNoStage, "visitor"}, "member", OnEvent("sign_up")),
      MakeRule(kModel, "trial", 10, {kNoStage, "visitor", "member"}, "trial",
               OnEvent("trial_start")),
      MakeRule(kModel, "first-purchase", 10, before_buying, "buyer", OnEvent("purchase")),
      MakeRule(kModel, "repeat-purchase", 10, {"buyer"}, "repeat_buyer", OnEvent("purchase")),
      MakeRule(kModel, "subscription", 10,
               {kNoStage, "visitor", "member", "trial", "buyer", "repeat_buyer"}, "subscriber",
               OnEvent("subscription_start")),
      MakeRule(kModel, "loyal-subscriber", 20, {"subscriber", "returned"}, "loyal",
               OnCount("renewal", 365, 6)),
      MakeRule(kModel, "loyal-buyer", 20, {"repeat_buyer"}, "loyal", OnCount("purchase", 365, 6)),
      MakeRule(kModel, "returned-and-renewed", 10, {"returned"}, "subscriber", OnEvent("renewal")),
      MakeRule(kModel, "returned-and-bought", 10, {"returned"}, "repeat_buyer",
               OnCount("purchase", 60, 2)),
      MakeRule(kModel, "payment-failed", 10, {"subscriber", "loyal", "returned"}, "at_risk",
               OnEvent("payment_failed")),
      MakeRule(kModel, "payment-mended", 10, {"at_risk"}, "subscriber", OnEvent("renewal")),
      MakeRule(kModel, "won-back-by-purchase", 10, {"at_risk", "lapsed"}, "returned",
               OnEvent("purchase")),
      MakeRule(kModel, "won-back-by-subscription", 10, {"at_risk", "lapsed"}, "returned",
               OnEvent("subscription_start")),
      MakeRule(kModel, "long-silence", 30, quiet, "lapsed", OnSilence(signs_of_life, 150)),
      MakeRule(kModel, "silence", 20, buying, "at_risk", OnSilence(signs_of_life, 60)),
      MakeRule(kModel, "cancelled", 40, {}, "churned", OnEvent("subscription_cancel")),
      MakeRule(kModel, "closed", 40, {}, "churned", OnEvent("account_closed")),
      MakeRule(kModel, "reactivated-by-purchase", 50, {"churned"}, "returned", OnEvent("purchase")),
      MakeRule(kModel, "reactivated-by-subscription", 50, {"churned"}, "returned",
               OnEvent("subscription_start")),
  };
  for (Rule& rule : rules)
    rule.reactivate = rule.from_stages == std::vector<std::string>{"churned"};
  return rules;
}

const std::vector<Preset>& Presets() {
  static const std::vector<Preset>* const presets = [] {
    auto* all = new std::vector<Preset>;
    all->push_back({.model = HubSpot()});
    for (StageModel& model : Literature()) all->push_back({.model = std::move(model)});
    for (Preset& preset : *all) {
      if (preset.model.id == "s002-11-service") preset.rules = ServiceRules();
    }
    all->push_back({.model = NonContractualModel(), .rules = NonContractualRules({}).value()});
    all->push_back({.model = SubscriptionModel(), .rules = SubscriptionRules()});
    return all;
  }();
  return *presets;
}

const Preset* FindPreset(absl::string_view id) {
  for (const Preset& preset : Presets()) {
    if (preset.model.id == id) return &preset;
  }
  return nullptr;
}

Preset RenameModel(Preset preset, const std::string& model_id) {
  preset.model.id = model_id;
  for (Rule& rule : preset.rules) rule.model_id = model_id;
  return preset;
}

}  // namespace clm::lifecycle
