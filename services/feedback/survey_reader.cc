#include "services/feedback/survey_reader.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"

namespace clm::feedback {
namespace {

constexpr size_t kMostDifferences = 100;
constexpr int kRecountPage = 2000;

constexpr pg::Statement kGetSurvey{"survey.get", "SELECT " CLM_SURVEY_COLUMNS R"sql(
  FROM survey s WHERE s.tenant_id = $1::text AND s.id = $2::text)sql"};

constexpr pg::Statement kGetVersion{"survey.get_version", R"sql(
  SELECT body FROM survey_version
  WHERE tenant_id = $1::text AND survey_id = $2::text AND version = $3::int)sql"};

constexpr pg::Statement kListSurveys{"survey.list", "SELECT " CLM_SURVEY_COLUMNS R"sql(
  FROM survey s WHERE s.tenant_id = $1::text AND s.id > $2::text
  ORDER BY s.id LIMIT $3::int)sql"};

constexpr pg::Statement kGetSettings{"survey.get_settings", R"sql(
  SELECT transactional_days, relational_days, update_time, version
  FROM feedback_settings WHERE tenant_id = $1::text)sql"};

constexpr pg::Statement kGetInvitation{"invitation.get", "SELECT " CLM_INVITATION_COLUMNS R"sql(
  FROM invitation i WHERE i.tenant_id = $1::text AND i.id = $2::uuid)sql"};

constexpr pg::Statement kHistograms{"score.histograms", R"sql(
  SELECT day, dismissed, skipped, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10
  FROM score_counter WHERE tenant_id = $1::text AND survey_id = $2::text AND dim = $3::text
    AND question_id = $4::text AND day BETWEEN coalesce($5::date, '-infinity')
                                           AND coalesce($6::date, 'infinity')
  ORDER BY day)sql"};

constexpr pg::Statement kCustomersRqi{"score.rqi", R"sql(
  SELECT DISTINCT ON (coalesce(i.contact_id, i.id)) i.rqi_numerator, i.rqi_denominator
  FROM invitation i WHERE i.tenant_id = $1::text AND i.survey_id = $2::text
    AND i.day IS NOT NULL AND i.rqi_denominator IS NOT NULL
    AND ($3::text = '' OR $3::text = ANY (i.dims))
    AND i.day BETWEEN coalesce($4::date, '-infinity') AND coalesce($5::date, 'infinity')
  ORDER BY coalesce(i.contact_id, i.id), i.submit_time DESC)sql"};

constexpr pg::Statement kFunnel{"score.funnel", R"sql(
  SELECT count(*) FILTER (WHERE i.state <> 6),
         count(*) FILTER (WHERE i.display_time IS NOT NULL),
         count(*) FILTER (WHERE i.start_time IS NOT NULL),
         count(*) FILTER (WHERE i.submit_time IS NOT NULL),
         count(*) FILTER (WHERE i.state = 5),
         count(*) FILTER (WHERE i.state = 6)
  FROM invitation i WHERE i.tenant_id = $1::text AND i.survey_id = $2::text
    AND i.create_time >= $3::timestamptz AND i.create_time < $4::timestamptz)sql"};

// In the order of time: a page begins after the last of the one before.
constexpr pg::Statement kFunnelAnswers{"score.funnel_answers",
                                       "SELECT " CLM_INVITATION_COLUMNS R"sql(
  FROM invitation i WHERE i.tenant_id = $1::text AND i.survey_id = $2::text
    AND i.create_time < $4::timestamptz
    AND (i.create_time, i.id) > ($3::timestamptz, $5::uuid) AND i.start_time IS NOT NULL
  ORDER BY i.create_time, i.id LIMIT $6::int)sql"};

constexpr pg::Statement kCounted{"score.counted", "SELECT " CLM_INVITATION_COLUMNS R"sql(
  FROM invitation i WHERE i.tenant_id = $1::text AND i.survey_id = $2::text
    AND i.day IS NOT NULL AND (i.create_time, i.id) > ($3::timestamptz, $4::uuid)
  ORDER BY i.create_time, i.id LIMIT $5::int)sql"};

constexpr pg::Statement kCounters{"score.counters", R"sql(
  SELECT day, dismissed, skipped, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, dim, question_id
  FROM score_counter WHERE tenant_id = $1::text AND survey_id = $2::text)sql"};

Histogram ReadHistogram(const pg::Row& row, int first) {
  Histogram histogram;
  histogram.dismissed = row.Int(first);
  histogram.skipped = row.Int(first + 1);
  for (int i = 0; i < kMostValues; ++i) {
    histogram.values[static_cast<size_t>(i)] = row.Int(first + 2 + i);
  }
  return histogram;
}

std::optional<std::string> DayText(const std::optional<absl::CivilDay>& day) {
  return day ? std::make_optional(FormatDay(*day)) : std::nullopt;
}

absl::StatusOr<Survey> VersionFrom(const std::string& bytes, const SurveyKey& key, int version) {
  v1::Survey body;
  if (!body.ParseFromString(bytes)) return error::Internal("a stored survey cannot be read");
  Survey survey = SurveyFromProto(body);
  survey.tenant = key.tenant;
  survey.id = key.id;
  survey.version = version;
  return survey;
}

}  // namespace

absl::StatusOr<Survey> SurveyReader::GetSurvey(const SurveyKey& key, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query({pg::Scope::Tenant(key.tenant), deadline}, kGetSurvey, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadSurvey(rows[0], 0);
}

absl::StatusOr<Survey> SurveyReader::GetVersion(const SurveyKey& key, int version,
                                                absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(Survey now, GetSurvey(key, deadline));
  if (version == 0 || version == now.version) return now;
  pg::Args args;
  args.Add(key.tenant).Add(key.id).Add(version);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query({pg::Scope::Tenant(key.tenant), deadline}, kGetVersion, args));
  if (rows.empty()) return error::NotFound(absl::StrCat(NameOf(key), ", version ", version));
  CLM_ASSIGN_OR_RETURN(const Survey then, VersionFrom(rows[0].Bytes(0), key, version));
  now.questions = then.questions;
  now.default_language = then.default_language;
  now.version = version;
  return now;
}

absl::StatusOr<std::vector<Survey>> SurveyReader::ListSurveys(const std::string& tenant,
                                                              const std::string& after, int limit,
                                                              absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query({pg::Scope::Tenant(tenant), deadline}, kListSurveys, args));
  std::vector<Survey> surveys;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(Survey survey, ReadSurvey(rows[i], 0));
    surveys.push_back(std::move(survey));
  }
  return surveys;
}

absl::StatusOr<PauseSettings> SurveyReader::Settings(const std::string& tenant,
                                                     absl::Time deadline) {
  pg::Args args;
  args.Add(tenant);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query({pg::Scope::Tenant(tenant), deadline}, kGetSettings, args));
  if (rows.empty()) return PauseSettings();
  return PauseSettings{static_cast<int>(rows[0].Int(0)), static_cast<int>(rows[0].Int(1)),
                       rows[0].Time(2), rows[0].Int(3)};
}

absl::StatusOr<StoredInvitation> SurveyReader::GetInvitation(const EntityKey& key,
                                                             absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, pool_.Query({pg::Scope::Tenant(key.tenant), deadline},
                                                          kGetInvitation, args));
  if (rows.empty()) return error::NotFound(EntityName(kInvitations, key));
  return ReadInvitation(rows[0], 0);
}

absl::StatusOr<std::vector<StoredInvitation>> SurveyReader::ListInvitations(const Query& query,
                                                                            absl::Time deadline) {
  pg::Args args;
  args.Add(query.tenant);
  std::string where = "i.tenant_id = $1::text";
  if (!query.survey.empty()) {
    absl::StrAppend(&where, " AND i.survey_id = $", args.size() + 1, "::text");
    args.Add(query.survey);
  }
  if (query.contact) {
    const int at = args.size() + 1;
    absl::StrAppend(&where, " AND i.contact_id = coalesce((SELECT c.merged_into FROM ",
                    "contact_change c WHERE c.tenant_id = $1::text AND c.contact_id = $", at,
                    "::uuid AND NOT c.pending), $", at, "::uuid)");
    args.Add(*query.contact);
  }
  if (query.finished) absl::StrAppend(&where, " AND i.submit_time IS NOT NULL");
  if (query.before) {
    const int at = args.size();
    absl::StrAppend(&where, " AND (i.create_time, i.id) < ($", at + 1, "::timestamptz, $", at + 2,
                    "::uuid)");
    args.Add(query.before->first).Add(query.before->second);
  }
  const std::string sql =
      absl::StrCat("SELECT " CLM_INVITATION_COLUMNS " FROM invitation i WHERE ", where,
                   " ORDER BY i.create_time DESC, i.id DESC LIMIT ", query.limit);
  std::vector<StoredInvitation> found;
  CLM_RETURN_IF_ERROR(
      pool_.Read({pg::Scope::Tenant(query.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        found.clear();
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.ExecDynamic(sql, args));
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(StoredInvitation one, ReadInvitation(rows[i], 0));
          found.push_back(std::move(one));
        }
        return absl::OkStatus();
      }));
  return found;
}

absl::StatusOr<std::map<absl::CivilDay, Histogram>> SurveyReader::Histograms(
    const SurveyKey& survey, const std::string& question, const std::string& dim, const Days& days,
    absl::Time deadline) {
  pg::Args args;
  args.Add(survey.tenant).Add(survey.id).Add(dim).Add(question);
  args.Add(DayText(days.first)).Add(DayText(days.last));
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Tenant(survey.tenant), deadline}, kHistograms, args));
  std::map<absl::CivilDay, Histogram> histograms;
  for (int i = 0; i < rows.size(); ++i) histograms[rows[i].Day(0)] = ReadHistogram(rows[i], 1);
  return histograms;
}

absl::StatusOr<std::vector<Fraction>> SurveyReader::CustomersRqi(const SurveyKey& survey,
                                                                 const std::string& dim,
                                                                 const Days& days,
                                                                 absl::Time deadline) {
  pg::Args args;
  args.Add(survey.tenant).Add(survey.id).Add(dim);
  args.Add(DayText(days.first)).Add(DayText(days.last));
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Tenant(survey.tenant), deadline}, kCustomersRqi, args));
  std::vector<Fraction> customers;
  for (int i = 0; i < rows.size(); ++i) customers.push_back({rows[i].Int(0), rows[i].Int(1)});
  return customers;
}

absl::StatusOr<SurveyReader::Funnel> SurveyReader::FunnelOf(const Survey& survey, absl::Time from,
                                                            absl::Time until, absl::Time deadline) {
  Funnel funnel;
  CLM_RETURN_IF_ERROR(pool_.Read(
      {pg::Scope::Tenant(survey.tenant), deadline},
      [&](pg::Tx& tx) -> absl::Status {
        funnel = Funnel();
        pg::Args args;
        args.Add(survey.tenant).Add(survey.id).Add(from).Add(until);
        CLM_ASSIGN_OR_RETURN(const pg::Result steps, tx.Exec(kFunnel, args));
        funnel.invited = steps[0].Int(0);
        funnel.displayed = steps[0].Int(1);
        funnel.started = steps[0].Int(2);
        funnel.finished = steps[0].Int(3);
        funnel.dismissed = steps[0].Int(4);
        funnel.dropped = steps[0].Int(5);
        std::pair<absl::Time, Uuid> after{from - absl::Microseconds(1), Uuid()};
        for (;;) {
          pg::Args page;
          page.Add(survey.tenant).Add(survey.id).Add(after.first).Add(until).Add(after.second);
          page.Add(kRecountPage);
          CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kFunnelAnswers, page));
          for (int i = 0; i < rows.size(); ++i) {
            CLM_ASSIGN_OR_RETURN(const StoredInvitation one, ReadInvitation(rows[i], 0));
            after = {one.create_time, one.key.id};
            const std::string* last = nullptr;
            for (const SurveyQuestion& question : survey.questions) {
              if (!one.answers.contains(question.id)) continue;
              ++funnel.answered[question.id];
              last = &question.id;
            }
            if (last != nullptr && !one.submit_time) ++funnel.dropped_off[*last];
          }
          if (rows.size() < kRecountPage) return absl::OkStatus();
        }
      },
      /*repeatable=*/true));
  return funnel;
}

absl::StatusOr<SurveyReader::Recount> SurveyReader::RecountSurvey(const SurveyKey& key,
                                                                  absl::Time deadline) {
  Recount recount;
  CLM_RETURN_IF_ERROR(pool_.Read(
      {pg::Scope::Tenant(key.tenant), deadline},
      [&](pg::Tx& tx) -> absl::Status {
        recount = Recount();
        pg::Args survey_args;
        survey_args.Add(key.tenant).Add(key.id);
        CLM_ASSIGN_OR_RETURN(const pg::Result known, tx.Exec(kGetSurvey, survey_args));
        if (known.empty()) return error::NotFound(NameOf(key));
        std::map<int, Survey> versions;
        // By dimension, question and day.
        std::map<std::tuple<std::string, std::string, std::string>, Histogram> counted;
        std::pair<absl::Time, Uuid> after{absl::FromUnixSeconds(0), Uuid()};
        for (;;) {
          pg::Args page;
          page.Add(key.tenant).Add(key.id).Add(after.first).Add(after.second).Add(kRecountPage);
          CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCounted, page));
          for (int i = 0; i < rows.size(); ++i) {
            CLM_ASSIGN_OR_RETURN(const StoredInvitation one, ReadInvitation(rows[i], 0));
            after = {one.create_time, one.key.id};
            ++recount.responses;
            if (!versions.contains(one.survey_version)) {
              pg::Args args;
              args.Add(key.tenant).Add(key.id).Add(one.survey_version);
              CLM_ASSIGN_OR_RETURN(const pg::Result body, tx.Exec(kGetVersion, args));
              if (body.empty()) return error::Internal("a version of a survey is missing");
              CLM_ASSIGN_OR_RETURN(versions[one.survey_version],
                                   VersionFrom(body[0].Bytes(0), key, one.survey_version));
            }
            const Survey& survey = versions[one.survey_version];
            const Bars bars = one.submit_time ? BarsOfAnswer(survey, one.answers, one.skipped)
                                              : BarsOfDismissal(survey);
            std::vector<std::string> dims = one.dims;
            dims.emplace_back();
            for (const std::string& dim : dims) {
              for (const auto& [question, bar] : bars) {
                Histogram& histogram = counted[{dim, question, FormatDay(*one.day)}];
                ++(bar == kDismissedBar ? histogram.dismissed
                   : bar == kSkippedBar ? histogram.skipped
                                        : histogram.values[static_cast<size_t>(bar)]);
              }
            }
          }
          if (rows.size() < kRecountPage) break;
        }
        CLM_ASSIGN_OR_RETURN(const pg::Result counters, tx.Exec(kCounters, survey_args));
        const auto differs = [&](const std::string& dim, const std::string& question,
                                 const std::string& day, const char* what) {
          if (recount.differences.size() >= kMostDifferences) return;
          recount.differences.push_back(absl::StrCat(
              "question \"", question, "\", ", dim.empty() ? "all" : "one value of a dimension",
              ", ", day, ": ", what));
        };
        for (int i = 0; i < counters.size(); ++i) {
          ++recount.counters;
          const std::string dim(counters[i].Text(14)), question(counters[i].Text(15));
          const std::string day = FormatDay(counters[i].Day(0));
          const auto it = counted.find({dim, question, day});
          const Histogram expected = it == counted.end() ? Histogram() : it->second;
          if (it != counted.end()) counted.erase(it);
          if (ReadHistogram(counters[i], 1) != expected) {
            differs(dim, question, day, "the counter is not what the answers add up to");
          }
        }
        for (const auto& [place, histogram] : counted) {
          const auto& [dim, question, day] = place;
          differs(dim, question, day, "there are answers and no counter");
        }
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return recount;
}

std::vector<const pg::Statement*> SurveyReaderStatements() {
  return {&kGetSurvey,     &kGetVersion, &kListSurveys,  &kGetSettings,
          &kGetInvitation, &kHistograms, &kCustomersRqi, &kFunnel,
          &kFunnelAnswers, &kCounted,    &kCounters};
}

}  // namespace clm::feedback
