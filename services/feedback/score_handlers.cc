#include "services/feedback/score_handlers.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"

namespace clm::feedback {
namespace {

constexpr int kRqiDefinition = 1;
constexpr const char* kDimensions[] = {
    "channel=", "campaign=", "agent=", "stage=", "tier=", "attribute:"};

absl::StatusOr<SurveyReader::Days> DaysOf(const std::string& first, const std::string& last) {
  SurveyReader::Days days;
  error::FieldErrors errors;
  const auto read = [&](const char* field, const std::string& text,
                        std::optional<absl::CivilDay>& day) {
    if (text.empty()) return;
    absl::CivilDay parsed;
    if (!absl::ParseCivilTime(text, &parsed)) {
      errors.Add(field, "must be a day, 2026-11-01");
      return;
    }
    day = parsed;
  };
  read("start_date", first, days.first);
  read("end_date", last, days.last);
  if (days.first && days.last && *days.last < *days.first) {
    errors.Add("end_date", "must not be before start_date");
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return days;
}

absl::Status CheckDimension(const std::string& dimension) {
  if (dimension.empty()) return absl::OkStatus();
  for (const char* known : kDimensions) {
    if (absl::StartsWith(dimension, known)) return absl::OkStatus();
  }
  return error::InvalidField("dimension",
                             "must begin with channel=, campaign=, agent=, stage=, tier= or "
                             "attribute:");
}

// What a report is about, and what was counted of it.
struct Counted {
  SurveyQuestion question;
  Histogram total;
  std::map<absl::CivilDay, Histogram> series;  // By the first day of each interval.
};

absl::CivilDay IntervalOf(absl::CivilDay day, v1::GetScoreRequest::Interval interval) {
  switch (interval) {
    case v1::GetScoreRequest::INTERVAL_WEEK:
      return absl::PrevWeekday(day + 1, absl::Weekday::monday);
    case v1::GetScoreRequest::INTERVAL_MONTH:
      return absl::CivilDay(absl::CivilMonth(day));
    default:
      return day;
  }
}

absl::StatusOr<Counted> CountedOf(SurveyReader& reader, const rpc::Call& call,
                                  const v1::GetScoreRequest& request, QuestionKind kind,
                                  const char* kind_text) {
  CLM_ASSIGN_OR_RETURN(const SurveyKey key, ParseSurveyName("survey", request.survey()));
  CLM_ASSIGN_OR_RETURN(const SurveyReader::Days days,
                       DaysOf(request.start_date(), request.end_date()));
  CLM_RETURN_IF_ERROR(CheckDimension(request.dimension()));
  CLM_ASSIGN_OR_RETURN(const Survey survey, reader.GetSurvey(key, call.deadline));
  Counted counted;
  const SurveyQuestion* question = nullptr;
  if (!request.question().empty()) {
    question = FindQuestionEver(survey, request.question());
  } else {
    for (const SurveyQuestion& one : survey.questions) {
      if (one.kind == kind && question == nullptr) question = &one;
    }
  }
  if (question == nullptr || question->kind != kind) {
    return error::InvalidField(
        "question", absl::StrCat(request.question().empty() ? "the survey has no question of "
                                                            : "is not a question of ",
                                 kind_text));
  }
  counted.question = *question;
  CLM_ASSIGN_OR_RETURN(
      const auto histograms,
      reader.Histograms(key, question->id, request.dimension(), days, call.deadline));
  for (const auto& [day, histogram] : histograms) {
    counted.total += histogram;
    if (request.interval() != v1::GetScoreRequest::INTERVAL_UNSPECIFIED) {
      counted.series[IntervalOf(day, request.interval())] += histogram;
    }
  }
  return counted;
}

void ToProto(const Score& score, v1::ScoreValue* out) {
  out->set_numerator(score.score.numerator);
  out->set_denominator(score.score.denominator);
  out->set_shown(OneDecimal(score.score));
  out->set_half_width(score.half_width);
}

v1::Nps ToProto(const Nps& nps) {
  v1::Nps out;
  out.set_promoters(nps.promoters);
  out.set_passives(nps.passives);
  out.set_detractors(nps.detractors);
  if (nps.score) ToProto(*nps.score, out.mutable_score());
  if (nps.mean) out.set_mean(OneDecimal(*nps.mean));
  out.set_dismissed(nps.dismissed);
  out.set_skipped(nps.skipped);
  return out;
}

v1::Csat ToProto(const Csat& csat) {
  v1::Csat out;
  out.set_satisfied(csat.satisfied);
  out.set_others(csat.others);
  if (csat.score) ToProto(*csat.score, out.mutable_score());
  out.set_dismissed(csat.dismissed);
  out.set_skipped(csat.skipped);
  return out;
}

v1::Ces ToProto(const Ces& ces) {
  v1::Ces out;
  out.set_high_effort(ces.high_effort);
  out.set_neutral(ces.neutral);
  out.set_low_effort(ces.low_effort);
  if (ces.mean) ToProto(*ces.mean, out.mutable_mean());
  if (ces.share) ToProto(*ces.share, out.mutable_share());
  out.set_dismissed(ces.dismissed);
  out.set_skipped(ces.skipped);
  return out;
}

}  // namespace

absl::StatusOr<v1::NpsReport> ScoreHandlers::GetNps(const rpc::Call& call,
                                                    const v1::GetScoreRequest& request) {
  CLM_ASSIGN_OR_RETURN(const Counted counted,
                       CountedOf(reader_, call, request, QuestionKind::kNps, "NPS"));
  v1::NpsReport report;
  report.set_question(counted.question.id);
  *report.mutable_total() = ToProto(NpsOf(counted.total));
  for (const auto& [day, histogram] : counted.series) {
    auto* point = report.add_series();
    point->set_start_date(FormatDay(day));
    *point->mutable_nps() = ToProto(NpsOf(histogram));
  }
  return report;
}

absl::StatusOr<v1::CsatReport> ScoreHandlers::GetCsat(const rpc::Call& call,
                                                      const v1::GetScoreRequest& request) {
  CLM_ASSIGN_OR_RETURN(const Counted counted,
                       CountedOf(reader_, call, request, QuestionKind::kCsat, "CSAT"));
  const auto csat = [&](const Histogram& histogram) {
    return ToProto(CsatOf(histogram, counted.question.min, counted.question.satisfied_from));
  };
  v1::CsatReport report;
  report.set_question(counted.question.id);
  report.set_satisfied_from(counted.question.satisfied_from);
  *report.mutable_total() = csat(counted.total);
  for (const auto& [day, histogram] : counted.series) {
    auto* point = report.add_series();
    point->set_start_date(FormatDay(day));
    *point->mutable_csat() = csat(histogram);
  }
  return report;
}

absl::StatusOr<v1::CesReport> ScoreHandlers::GetCes(const rpc::Call& call,
                                                    const v1::GetScoreRequest& request) {
  CLM_ASSIGN_OR_RETURN(const Counted counted,
                       CountedOf(reader_, call, request, QuestionKind::kCes, "CES"));
  const auto ces = [&](const Histogram& histogram) {
    return ToProto(CesOf(histogram, counted.question.min, counted.question.max));
  };
  v1::CesReport report;
  report.set_question(counted.question.id);
  *report.mutable_total() = ces(counted.total);
  for (const auto& [day, histogram] : counted.series) {
    auto* point = report.add_series();
    point->set_start_date(FormatDay(day));
    *point->mutable_ces() = ces(histogram);
  }
  return report;
}

absl::StatusOr<v1::RqiReport> ScoreHandlers::GetRqi(const rpc::Call& call,
                                                    const v1::GetScoreRequest& request) {
  CLM_ASSIGN_OR_RETURN(const SurveyKey key, ParseSurveyName("survey", request.survey()));
  CLM_ASSIGN_OR_RETURN(const SurveyReader::Days days,
                       DaysOf(request.start_date(), request.end_date()));
  CLM_RETURN_IF_ERROR(CheckDimension(request.dimension()));
  if (!request.question().empty()) {
    return error::InvalidField("question", "is not for the index, which is of all its items");
  }
  if (request.interval() != v1::GetScoreRequest::INTERVAL_UNSPECIFIED) {
    return error::InvalidField("interval", "is not for the index");
  }
  CLM_RETURN_IF_ERROR(reader_.GetSurvey(key, call.deadline).status());
  CLM_ASSIGN_OR_RETURN(const auto customers,
                       reader_.CustomersRqi(key, request.dimension(), days, call.deadline));
  const Rqi rqi = CompanyRqi(customers);
  v1::RqiReport report;
  report.set_definition_version(kRqiDefinition);
  report.set_customers(rqi.customers);
  report.set_shown(rqi.shown);
  report.set_mean(rqi.mean);
  report.set_half_width(rqi.half_width);
  return report;
}

absl::StatusOr<v1::SurveyFunnel> ScoreHandlers::GetSurveyFunnel(
    const rpc::Call& call, const v1::GetSurveyFunnelRequest& request) {
  CLM_ASSIGN_OR_RETURN(const SurveyKey key, ParseSurveyName("survey", request.survey()));
  CLM_ASSIGN_OR_RETURN(const SurveyReader::Days days,
                       DaysOf(request.start_date(), request.end_date()));
  CLM_ASSIGN_OR_RETURN(const Survey survey, reader_.GetSurvey(key, call.deadline));
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(survey.time_zone, &zone)) zone = absl::UTCTimeZone();
  const absl::Time from =
      days.first ? absl::FromCivil(*days.first, zone) : absl::FromUnixSeconds(0);
  const absl::Time until =
      days.last ? absl::FromCivil(*days.last + 1, zone) : call.now + absl::Hours(1);
  CLM_ASSIGN_OR_RETURN(const SurveyReader::Funnel funnel,
                       reader_.FunnelOf(survey, from, until, call.deadline));
  v1::SurveyFunnel out;
  out.set_invited(funnel.invited);
  out.set_displayed(funnel.displayed);
  out.set_started(funnel.started);
  out.set_finished(funnel.finished);
  out.set_dismissed(funnel.dismissed);
  out.set_dropped(funnel.dropped);
  for (const SurveyQuestion& question : survey.questions) {
    auto* to = out.add_questions();
    to->set_question(question.id);
    if (const auto it = funnel.answered.find(question.id); it != funnel.answered.end()) {
      to->set_answered(it->second);
    }
    if (const auto it = funnel.dropped_off.find(question.id); it != funnel.dropped_off.end()) {
      to->set_dropped_off(it->second);
    }
  }
  return out;
}

absl::StatusOr<v1::RecountScoresResponse> ScoreHandlers::RecountScores(
    const rpc::Call& call, const v1::RecountScoresRequest& request) {
  CLM_ASSIGN_OR_RETURN(const SurveyKey key, ParseSurveyName("survey", request.survey()));
  CLM_ASSIGN_OR_RETURN(const SurveyReader::Recount recount,
                       reader_.RecountSurvey(key, call.deadline));
  v1::RecountScoresResponse response;
  response.set_responses(recount.responses);
  response.set_counters(recount.counters);
  for (const std::string& difference : recount.differences) response.add_differences(difference);
  return response;
}

}  // namespace clm::feedback
