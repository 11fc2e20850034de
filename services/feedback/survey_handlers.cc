#include "services/feedback/survey_handlers.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/feedback/v1/survey_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/page_token.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/feedback/survey_work.h"

namespace clm::feedback {
namespace {

constexpr char kSettingsPattern[] = "tenants/*/feedbackSettings";

v1::Survey KeepSurvey(SurveyWork& work, journal::Recorder& recorder, const Survey& survey) {
  work.SaveSurvey(survey);
  v1::SurveyChanged event;
  *event.mutable_survey() = ToProto(survey);
  const SurveyKey key{survey.tenant, survey.id};
  recorder.Record({.shard = ShardOfSurvey(key),
                   .tenant = key.tenant,
                   .subject = NameOf(key),
                   .type = v1::SurveyChanged::descriptor()->full_name(),
                   .subject_version = survey.row_version,
                   .payload = event.SerializeAsString()});
  return event.survey();
}

// What a request says a survey is, checked.
absl::StatusOr<Survey> SurveyFrom(const v1::Survey& proto, const SurveyKey& key) {
  Survey survey = SurveyFromProto(proto);
  survey.tenant = key.tenant;
  survey.id = key.id;
  FillDefaults(survey);
  error::FieldErrors errors;
  errors.AddStatus("survey", ValidateSurvey(survey));
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return survey;
}

std::string SettingsName(const std::string& tenant) {
  return absl::StrCat("tenants/", tenant, "/feedbackSettings");
}

v1::FeedbackSettings ToProto(const std::string& tenant, const PauseSettings& settings) {
  v1::FeedbackSettings out;
  out.set_name(SettingsName(tenant));
  out.set_transactional_pause_days(settings.transactional_days);
  out.set_relational_pause_days(settings.relational_days);
  clm::ToProto(settings.update_time, out.mutable_update_time());
  if (settings.version == 0) out.clear_update_time();
  out.set_etag(Etag(settings.version));
  return out;
}

}  // namespace

void SurveyHandlers::CreateSurvey(const rpc::Call& call, const v1::CreateSurveyRequest& request,
                                  rpc::Reply<v1::Survey> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  const SurveyKey key{*tenant, request.survey_id()};
  auto survey = SurveyFrom(request.survey(), key);
  if (!survey.ok()) return reply(survey.status());
  journal::MutationInfo info = journal::InfoFor(call, *tenant, request);
  info.shards.set(ShardOfSurvey(key));
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [key](FeedbackWork& work) { work.Part<SurveyWork>().NeedSurvey(key); },
      [key, survey = *std::move(survey)](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        auto& surveys = work.Part<SurveyWork>();
        if (surveys.FindSurvey(key) != nullptr) {
          return error::Make(absl::StatusCode::kAlreadyExists, "ALREADY_EXISTS",
                             "survey_id: there is such a survey already");
        }
        Survey created = survey;
        created.create_time = created.update_time = recorder.now();
        created.row_version = 1;
        return KeepSurvey(surveys, recorder, created).SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::Survey> SurveyHandlers::GetSurvey(const rpc::Call& call,
                                                     const v1::GetSurveyRequest& request) {
  CLM_ASSIGN_OR_RETURN(const SurveyKey key, ParseSurveyName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const Survey survey,
                       reader_.GetVersion(key, request.version(), call.deadline));
  return feedback::ToProto(survey);
}

absl::StatusOr<v1::ListSurveysResponse> SurveyHandlers::ListSurveys(
    const rpc::Call& call, const v1::ListSurveysRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListSurveys", request.parent()};
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> after,
                       shared_.tokens->Decode(list, request.page_token()));
  CLM_ASSIGN_OR_RETURN(
      std::vector<Survey> surveys,
      reader_.ListSurveys(tenant, after.empty() ? "" : after[0], size + 1, call.deadline));
  v1::ListSurveysResponse response;
  if (surveys.size() > static_cast<size_t>(size)) {
    surveys.pop_back();
    response.set_next_page_token(shared_.tokens->Encode(list, {surveys.back().id}));
  }
  for (const Survey& survey : surveys) *response.add_surveys() = feedback::ToProto(survey);
  return response;
}

void SurveyHandlers::UpdateSurvey(const rpc::Call& call, const v1::UpdateSurveyRequest& request,
                                  rpc::Reply<v1::Survey> reply) {
  const auto key = ParseSurveyName("survey.name", request.survey().name());
  if (!key.ok()) return reply(key.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.survey());
  if (!paths.ok()) return reply(paths.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(ShardOfSurvey(*key));
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [key = *key](FeedbackWork& work) { work.Part<SurveyWork>().NeedSurvey(key); },
      [key = *key, paths = *std::move(paths), patch = request.survey()](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        auto& surveys = work.Part<SurveyWork>();
        const SurveyWork::Compiled known = surveys.FindSurvey(key);
        if (known == nullptr) return error::NotFound(NameOf(key));
        const Survey& before = known->survey();
        CLM_RETURN_IF_ERROR(CheckEtag("survey.etag", patch.etag(), before.row_version));
        v1::Survey wanted = feedback::ToProto(before);
        rpc::ApplyMask(paths, patch, wanted);
        CLM_ASSIGN_OR_RETURN(const Survey survey, SurveyFrom(wanted, key));
        auto after = EditSurvey(before, survey, recorder.now());
        if (!after.ok() && absl::IsInvalidArgument(after.status())) {
          error::FieldErrors errors;
          errors.AddStatus("survey", after.status());
          return errors.ToStatus();
        }
        CLM_RETURN_IF_ERROR(after.status());
        if (*after == before) return feedback::ToProto(before).SerializeAsString();
        return KeepSurvey(surveys, recorder, *after).SerializeAsString();
      },
      std::move(reply));
}

template <class Req>
void SurveyHandlers::Move(const rpc::Call& call, const Req& request, SurveyVerb verb,
                          rpc::Reply<v1::Survey> reply) {
  const auto key = ParseSurveyName("name", request.name());
  if (!key.ok()) return reply(key.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(ShardOfSurvey(*key));
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [key = *key](FeedbackWork& work) { work.Part<SurveyWork>().NeedSurvey(key); },
      [key = *key, verb, etag = request.etag()](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        auto& surveys = work.Part<SurveyWork>();
        const SurveyWork::Compiled known = surveys.FindSurvey(key);
        if (known == nullptr) return error::NotFound(NameOf(key));
        const Survey& before = known->survey();
        CLM_RETURN_IF_ERROR(CheckEtag("etag", etag, before.row_version));
        CLM_ASSIGN_OR_RETURN(const Survey after, MoveSurvey(before, verb, recorder.now()));
        if (after == before) return feedback::ToProto(before).SerializeAsString();
        return KeepSurvey(surveys, recorder, after).SerializeAsString();
      },
      std::move(reply));
}

void SurveyHandlers::StartSurvey(const rpc::Call& call, const v1::StartSurveyRequest& request,
                                 rpc::Reply<v1::Survey> reply) {
  Move(call, request, SurveyVerb::kStart, std::move(reply));
}

void SurveyHandlers::PauseSurvey(const rpc::Call& call, const v1::PauseSurveyRequest& request,
                                 rpc::Reply<v1::Survey> reply) {
  Move(call, request, SurveyVerb::kPause, std::move(reply));
}

void SurveyHandlers::CompleteSurvey(const rpc::Call& call, const v1::CompleteSurveyRequest& request,
                                    rpc::Reply<v1::Survey> reply) {
  Move(call, request, SurveyVerb::kComplete, std::move(reply));
}

absl::StatusOr<v1::FeedbackSettings> SurveyHandlers::GetFeedbackSettings(
    const rpc::Call& call, const v1::GetFeedbackSettingsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const auto segments,
                       ParseResourceName("name", kSettingsPattern, request.name()));
  CLM_ASSIGN_OR_RETURN(const PauseSettings settings, reader_.Settings(segments[0], call.deadline));
  return ToProto(segments[0], settings);
}

void SurveyHandlers::UpdateFeedbackSettings(const rpc::Call& call,
                                            const v1::UpdateFeedbackSettingsRequest& request,
                                            rpc::Reply<v1::FeedbackSettings> reply) {
  const v1::FeedbackSettings& patch = request.feedback_settings();
  const auto segments = ParseResourceName("feedback_settings.name", kSettingsPattern, patch.name());
  if (!segments.ok()) return reply(segments.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), patch);
  if (!paths.ok()) return reply(paths.status());
  const std::string tenant = (*segments)[0];
  journal::MutationInfo info = journal::InfoFor(call, tenant, request);
  const int shard = ShardOf(tenant, absl::string_view(SettingsName(tenant)));
  info.shards.set(shard);
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [tenant](FeedbackWork& work) { work.Part<SurveyWork>().NeedSettings(tenant); },
      [tenant, shard, patch, paths = *std::move(paths)](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        auto& surveys = work.Part<SurveyWork>();
        PauseSettings settings = surveys.SettingsOf(tenant);
        CLM_RETURN_IF_ERROR(CheckEtag("feedback_settings.etag", patch.etag(), settings.version));
        v1::FeedbackSettings wanted = ToProto(tenant, settings);
        rpc::ApplyMask(paths, patch, wanted);
        const PauseSettings before = settings;
        settings.transactional_days = wanted.transactional_pause_days();
        settings.relational_days = wanted.relational_pause_days();
        if (settings == before) return ToProto(tenant, before).SerializeAsString();
        settings.update_time = recorder.now();
        ++settings.version;
        surveys.SaveSettings(tenant, settings);
        v1::FeedbackSettingsChanged event;
        *event.mutable_settings() = ToProto(tenant, settings);
        recorder.Record({.shard = shard,
                         .tenant = tenant,
                         .subject = SettingsName(tenant),
                         .type = v1::FeedbackSettingsChanged::descriptor()->full_name(),
                         .subject_version = settings.version,
                         .payload = event.SerializeAsString()});
        return event.settings().SerializeAsString();
      },
      std::move(reply));
}

}  // namespace clm::feedback
