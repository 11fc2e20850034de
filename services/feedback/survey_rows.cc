#include "services/feedback/survey_rows.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/base/time_text.h"
#include "services/feedback/contact_changes.h"

namespace clm::feedback {
namespace {

constexpr char kSurveyPattern[] = "tenants/*/surveys/*";
// What is stored as a dimension stays within a key of an index.
constexpr size_t kMostDimension = 300;

template <class Texts>
LocalTexts TextsFromProto(const Texts& texts) {
  LocalTexts result;
  for (const auto& text : texts) result.emplace_back(text.language(), text.text());
  return result;
}

template <class Out>
void TextsToProto(const LocalTexts& texts, Out* out) {
  for (const auto& [language, text] : texts) {
    auto* to = out->Add();
    to->set_language(language);
    to->set_text(text);
  }
}

SurveyQuestion QuestionFromProto(const v1::Question& question) {
  SurveyQuestion result;
  result.id = question.id();
  result.kind = static_cast<QuestionKind>(question.kind());
  result.texts = TextsFromProto(question.texts());
  result.low_labels = TextsFromProto(question.low_labels());
  result.high_labels = TextsFromProto(question.high_labels());
  result.min = question.min();
  result.max = question.max();
  result.satisfied_from = question.satisfied_from();
  for (const auto& choice : question.choices()) {
    result.choices.push_back({choice.id(), TextsFromProto(choice.labels())});
  }
  result.required = question.required();
  result.show_if = question.show_if();
  result.relationship_part = question.relationship_part();
  result.weight = question.weight();
  return result;
}

void QuestionToProto(const SurveyQuestion& question, v1::Question* out) {
  out->set_id(question.id);
  out->set_kind(static_cast<v1::Question::Kind>(question.kind));
  TextsToProto(question.texts, out->mutable_texts());
  TextsToProto(question.low_labels, out->mutable_low_labels());
  TextsToProto(question.high_labels, out->mutable_high_labels());
  out->set_min(question.min);
  out->set_max(question.max);
  out->set_satisfied_from(question.satisfied_from);
  for (const SurveyChoice& choice : question.choices) {
    auto* to = out->add_choices();
    to->set_id(choice.id);
    TextsToProto(choice.labels, to->mutable_labels());
  }
  out->set_required(question.required);
  out->set_show_if(question.show_if);
  out->set_relationship_part(
      static_cast<v1::Question::RelationshipPart>(question.relationship_part));
  out->set_weight(question.weight);
}

std::string AttributeText(const contact::v1::AttributeValue& value) {
  using Value = contact::v1::AttributeValue;
  switch (value.kind_case()) {
    case Value::kStringValue:
      return value.string_value();
    case Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Value::kInt64Value:
      return absl::StrCat(value.int64_value());
    case Value::kDecimalValue:
      return value.decimal_value();
    case Value::kDateValue:
      return value.date_value();
    default:
      // Instants and sets tell no groups apart.
      return "";
  }
}

std::string LastSegment(const std::string& name) { return name.substr(name.rfind('/') + 1); }

}  // namespace

std::string NameOf(const SurveyKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/surveys/", key.id);
}

absl::StatusOr<SurveyKey> ParseSurveyName(absl::string_view field, const std::string& name) {
  CLM_ASSIGN_OR_RETURN(const auto segments, ParseResourceName(field, kSurveyPattern, name));
  return SurveyKey{segments[0], segments[1]};
}

int ShardOfSurvey(const SurveyKey& key) {
  return ShardOf(key.tenant, absl::string_view(NameOf(key)));
}

Survey SurveyFromProto(const v1::Survey& survey) {
  Survey result;
  if (const auto key = ParseSurveyName("name", survey.name()); key.ok()) {
    result.tenant = key->tenant;
    result.id = key->id;
  }
  result.display_name = survey.display_name();
  result.relational = survey.purpose() == v1::Survey::PURPOSE_RELATIONAL;
  result.default_language = survey.default_language();
  result.time_zone = survey.time_zone();
  for (const auto& question : survey.questions()) {
    result.questions.push_back(QuestionFromProto(question));
  }
  const auto& recontact = survey.recontact();
  result.recontact = recontact.policy() == v1::Recontact::POLICY_UNSPECIFIED
                         ? RecontactPolicy::kOnce
                         : static_cast<RecontactPolicy>(recontact.policy());
  result.recontact_times = recontact.times();
  result.recontact_days = recontact.days();
  result.invitation_days = survey.invitation_days();
  result.response_limit = survey.response_limit();
  result.fixed_answers = survey.fixed_answers();
  result.attributes.assign(survey.attributes().begin(), survey.attributes().end());
  for (const auto& trigger : survey.triggers()) {
    result.triggers.push_back(
        {trigger.event_type(), trigger.model(), trigger.stage(), trigger.channel()});
  }
  return result;
}

v1::Survey ToProto(const Survey& survey) {
  v1::Survey out;
  out.set_name(NameOf({survey.tenant, survey.id}));
  out.set_display_name(survey.display_name);
  out.set_purpose(survey.relational ? v1::Survey::PURPOSE_RELATIONAL
                                    : v1::Survey::PURPOSE_TRANSACTIONAL);
  out.set_default_language(survey.default_language);
  out.set_time_zone(survey.time_zone);
  for (const SurveyQuestion& question : survey.questions) {
    QuestionToProto(question, out.add_questions());
  }
  auto* recontact = out.mutable_recontact();
  recontact->set_policy(static_cast<v1::Recontact::Policy>(survey.recontact));
  recontact->set_times(survey.recontact_times);
  recontact->set_days(survey.recontact_days);
  out.set_invitation_days(survey.invitation_days);
  out.set_response_limit(survey.response_limit);
  out.set_fixed_answers(survey.fixed_answers);
  for (const std::string& attribute : survey.attributes) out.add_attributes(attribute);
  for (const SurveyTrigger& trigger : survey.triggers) {
    auto* to = out.add_triggers();
    to->set_event_type(trigger.event_type);
    to->set_model(trigger.model);
    to->set_stage(trigger.stage);
    to->set_channel(trigger.channel);
  }
  out.set_state(static_cast<v1::Survey::State>(survey.state));
  out.set_version(survey.version);
  clm::ToProto(survey.create_time, out.mutable_create_time());
  clm::ToProto(survey.update_time, out.mutable_update_time());
  out.set_etag(Etag(survey.row_version));
  return out;
}

v1::Question QuestionIn(const SurveyQuestion& question, const std::string& language,
                        const std::string& fallback) {
  SurveyQuestion one = question;
  const auto only = [&](LocalTexts& texts) {
    if (texts.empty()) return;
    texts = {{language, TextIn(texts, language, fallback)}};
  };
  only(one.texts);
  only(one.low_labels);
  only(one.high_labels);
  for (SurveyChoice& choice : one.choices) only(choice.labels);
  v1::Question out;
  QuestionToProto(one, &out);
  return out;
}

absl::StatusOr<Survey> ReadSurvey(const pg::Row& row, int first) {
  v1::Survey body, retired;
  if (!body.ParseFromString(row.Bytes(first + 4)) ||
      !retired.ParseFromString(row.Bytes(first + 5))) {
    return error::Internal("a stored survey cannot be read");
  }
  Survey survey = SurveyFromProto(body);
  survey.tenant = std::string(row.Text(first));
  survey.id = std::string(row.Text(first + 1));
  survey.state = static_cast<SurveyState>(row.Int(first + 2));
  survey.version = static_cast<int>(row.Int(first + 3));
  for (const auto& question : retired.questions()) {
    survey.retired.push_back(QuestionFromProto(question));
  }
  survey.start_time = row.OptTime(first + 6).value_or(absl::InfiniteFuture());
  survey.create_time = row.Time(first + 7);
  survey.update_time = row.Time(first + 8);
  survey.row_version = row.Int(first + 9);
  return survey;
}

std::string BodyOf(const Survey& survey) {
  v1::Survey body = ToProto(survey);
  // Columns.
  body.clear_name();
  body.clear_state();
  body.clear_version();
  body.clear_create_time();
  body.clear_update_time();
  body.clear_etag();
  return body.SerializeAsString();
}

std::string RetiredOf(const Survey& survey) {
  v1::Survey retired;
  for (const SurveyQuestion& question : survey.retired) {
    QuestionToProto(question, retired.add_questions());
  }
  return retired.SerializeAsString();
}

absl::StatusOr<KnownSurveys::Compiled> KnownSurveys::Compile(Survey survey, bool of_version) {
  const std::string key = absl::StrCat(survey.tenant, "/", survey.id, of_version ? "/v" : "/r",
                                       of_version ? int64_t{survey.version} : survey.row_version);
  {
    absl::MutexLock lock(&mu_);
    if (const auto it = compiled_.find(key); it != compiled_.end()) return it->second;
  }
  CLM_ASSIGN_OR_RETURN(Compiled compiled, CompiledSurvey::New(std::move(survey)));
  absl::MutexLock lock(&mu_);
  if (compiled_.size() >= kMost) compiled_.clear();
  compiled_[key] = compiled;
  return compiled;
}

AnswerMoment MomentOf(const absl::StatusOr<contact::v1::CustomerContext>& context,
                      const Survey& survey) {
  AnswerMoment moment;
  if (!context.ok()) return moment;
  moment.unknown = false;
  for (const auto& stage : context->stages()) {
    if (stage.stage().empty()) continue;
    moment.stages.push_back(absl::StrCat(LastSegment(stage.model()), "/", stage.stage()));
  }
  for (const auto& membership : context->memberships()) {
    const auto& member = membership.member();
    if (member.tier_standing().tier().empty()) continue;
    const auto segments =
        ParseResourceName("member", "tenants/*/programs/*/members/*", member.name());
    if (!segments.ok()) continue;
    moment.tiers.push_back(absl::StrCat((*segments)[1], "/", member.tier_standing().tier()));
  }
  for (const std::string& key : survey.attributes) {
    const auto it = context->contact().attributes().find(key);
    if (it == context->contact().attributes().end()) continue;
    const std::string text = AttributeText(it->second);
    if (!text.empty()) moment.attributes.push_back(absl::StrCat(key, "=", text));
  }
  return moment;
}

std::vector<std::string> DimsOf(const StoredInvitation& invitation) {
  std::vector<std::string> dims;
  const auto add = [&](const char* dimension, const std::string& value) {
    if (value.empty()) return;
    std::string dim = absl::StrCat(dimension, value);
    if (dim.size() > kMostDimension || dim.find(kDimSeparator) != std::string::npos) return;
    dims.push_back(std::move(dim));
  };
  add("channel=", invitation.about.channel);
  add("campaign=", invitation.about.campaign);
  add("agent=", invitation.about.agent);
  for (const std::string& stage : invitation.moment.stages) add("stage=", stage);
  for (const std::string& tier : invitation.moment.tiers) add("tier=", tier);
  for (const std::string& attribute : invitation.moment.attributes) add("attribute:", attribute);
  std::sort(dims.begin(), dims.end());
  dims.erase(std::unique(dims.begin(), dims.end()), dims.end());
  return dims;
}

v1::Invitation ToProto(const StoredInvitation& invitation) {
  v1::Invitation out;
  out.set_name(EntityName(kInvitations, invitation.key));
  out.set_survey(NameOf(SurveyKey{invitation.key.tenant, invitation.survey}));
  if (invitation.contact) {
    out.set_contact(EntityName(kContacts, {invitation.key.tenant, *invitation.contact}));
  }
  out.set_channel(invitation.about.channel);
  out.set_campaign(invitation.about.campaign);
  out.set_order(invitation.about.order);
  out.set_agent(invitation.about.agent);
  out.set_subject(invitation.subject);
  out.set_language(invitation.about.language);
  out.set_state(static_cast<v1::Invitation::State>(invitation.state));
  out.set_drop_reason(static_cast<v1::Invitation::DropReason>(invitation.drop_reason));
  out.set_survey_version(invitation.survey_version);
  if (invitation.state != InvitationState::kDropped) {
    clm::ToProto(invitation.expire_time, out.mutable_expire_time());
  }
  clm::ToProto(invitation.create_time, out.mutable_create_time());
  if (invitation.display_time) clm::ToProto(*invitation.display_time, out.mutable_display_time());
  if (invitation.start_time) clm::ToProto(*invitation.start_time, out.mutable_start_time());
  if (invitation.submit_time) clm::ToProto(*invitation.submit_time, out.mutable_submit_time());
  if (invitation.dismiss_time) clm::ToProto(*invitation.dismiss_time, out.mutable_dismiss_time());
  return out;
}

std::pair<std::string, AnswerValue> AnswerFromProto(const v1::Answer& answer) {
  AnswerValue value;
  switch (answer.value_case()) {
    case v1::Answer::kNumber:
      value.number = answer.number();
      break;
    case v1::Answer::kText:
      value.text = answer.text();
      break;
    case v1::Answer::kChoices:
      value.choices = {answer.choices().ids().begin(), answer.choices().ids().end()};
      break;
    case v1::Answer::kAgreed:
      value.agreed = answer.agreed();
      break;
    case v1::Answer::VALUE_NOT_SET:
      break;
  }
  return {answer.question(), std::move(value)};
}

v1::Answer ToProto(const std::string& question, const AnswerValue& value) {
  v1::Answer out;
  out.set_question(question);
  if (value.number) out.set_number(*value.number);
  if (value.text) out.set_text(*value.text);
  if (value.agreed) out.set_agreed(*value.agreed);
  if (value.choices) {
    for (const std::string& id : *value.choices) out.mutable_choices()->add_ids(id);
    out.mutable_choices();
  }
  return out;
}

v1::Response ResponseToProto(const StoredInvitation& invitation, const Survey& survey) {
  v1::Response out;
  out.set_name(EntityName(kResponses, invitation.key));
  const v1::Invitation as = ToProto(invitation);
  out.set_survey(as.survey());
  out.set_survey_version(invitation.survey_version);
  out.set_contact(as.contact());
  out.set_state(invitation.submit_time                            ? v1::Response::STATE_SUBMITTED
                : invitation.state == InvitationState::kDismissed ? v1::Response::STATE_DISMISSED
                                                                  : v1::Response::STATE_PARTIAL);
  for (const SurveyQuestion& question : survey.questions) {
    const auto it = invitation.answers.find(question.id);
    if (it != invitation.answers.end()) *out.add_answers() = ToProto(it->first, it->second);
  }
  for (const std::string& id : invitation.skipped) out.add_skipped(id);
  out.set_channel(as.channel());
  out.set_campaign(as.campaign());
  out.set_order(as.order());
  out.set_agent(as.agent());
  out.set_subject(as.subject());
  out.set_language(as.language());
  for (const std::string& stage : invitation.moment.stages) out.mutable_moment()->add_stages(stage);
  for (const std::string& tier : invitation.moment.tiers) out.mutable_moment()->add_tiers(tier);
  for (const std::string& attribute : invitation.moment.attributes) {
    out.mutable_moment()->add_attributes(attribute);
  }
  out.mutable_moment()->set_unknown(invitation.moment.unknown);
  if (invitation.submit_time) *out.mutable_submit_time() = as.submit_time();
  clm::ToProto(invitation.update_time, out.mutable_update_time());
  out.set_corrections(invitation.corrections);
  return out;
}

absl::StatusOr<StoredInvitation> ReadInvitation(const pg::Row& row, int first) {
  StoredInvitation invitation;
  int at = first;
  invitation.key.tenant = std::string(row.Text(at++));
  invitation.key.id = row.Uuid(at++);
  invitation.shard = static_cast<int>(row.Int(at++));
  invitation.survey = std::string(row.Text(at++));
  invitation.contact = row.OptUuid(at++);
  invitation.state = static_cast<InvitationState>(row.Int(at++));
  invitation.relational = row.Bool(at++);
  invitation.survey_version = static_cast<int>(row.Int(at++));
  invitation.drop_reason = static_cast<DropReason>(row.Int(at++));
  invitation.about.channel = std::string(row.Text(at++));
  invitation.about.campaign = std::string(row.Text(at++));
  invitation.about.order = std::string(row.Text(at++));
  invitation.about.agent = std::string(row.Text(at++));
  invitation.subject = std::string(row.Text(at++));
  invitation.about.language = std::string(row.Text(at++));
  invitation.create_time = row.Time(at++);
  invitation.expire_time = row.Time(at++);
  invitation.display_time = row.OptTime(at++);
  invitation.start_time = row.OptTime(at++);
  invitation.submit_time = row.OptTime(at++);
  invitation.dismiss_time = row.OptTime(at++);
  invitation.update_time = row.Time(at++);
  invitation.day = row.OptDay(at++);
  invitation.dims = row.TextArray(at++);
  v1::Response body;
  if (!body.ParseFromString(row.Bytes(at)) || !body.MergeFromString(row.Bytes(at + 1))) {
    return error::Internal("a stored answer cannot be read");
  }
  at += 2;
  for (const auto& answer : body.answers()) invitation.answers.insert(AnswerFromProto(answer));
  invitation.skipped.assign(body.skipped().begin(), body.skipped().end());
  const auto& moment = body.moment();
  invitation.moment.stages.assign(moment.stages().begin(), moment.stages().end());
  invitation.moment.tiers.assign(moment.tiers().begin(), moment.tiers().end());
  invitation.moment.attributes.assign(moment.attributes().begin(), moment.attributes().end());
  invitation.moment.unknown = moment.unknown();
  invitation.corrections = body.corrections();
  const auto numerator = row.OptInt(at++);
  const auto denominator = row.OptInt(at++);
  if (numerator && denominator) invitation.rqi = Fraction{*numerator, *denominator};
  invitation.version = row.Int(at);
  return invitation;
}

std::string BodyOf(const StoredInvitation& invitation) {
  v1::Response body;
  for (const auto& [id, value] : invitation.answers) {
    if (!value.text) *body.add_answers() = ToProto(id, value);
  }
  for (const std::string& id : invitation.skipped) body.add_skipped(id);
  for (const std::string& stage : invitation.moment.stages)
    body.mutable_moment()->add_stages(stage);
  for (const std::string& tier : invitation.moment.tiers) body.mutable_moment()->add_tiers(tier);
  for (const std::string& attribute : invitation.moment.attributes) {
    body.mutable_moment()->add_attributes(attribute);
  }
  body.mutable_moment()->set_unknown(invitation.moment.unknown);
  body.set_corrections(invitation.corrections);
  return body.SerializeAsString();
}

std::string TextsOf(const StoredInvitation& invitation) {
  v1::Response texts;
  for (const auto& [id, value] : invitation.answers) {
    if (value.text) *texts.add_answers() = ToProto(id, value);
  }
  return texts.SerializeAsString();
}

}  // namespace clm::feedback
