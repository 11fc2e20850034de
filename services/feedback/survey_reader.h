// What the services of surveys and scores read for their callers, past the unit of work.
#ifndef CLM_SERVICES_FEEDBACK_SURVEY_READER_H_
#define CLM_SERVICES_FEEDBACK_SURVEY_READER_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/feedback/scores.h"
#include "services/feedback/survey_rows.h"
#include "services/feedback/survey_work.h"

namespace clm::feedback {

// Thread-safe. Where a survey or an invitation is named and there is none, NOT_FOUND.
class SurveyReader {
 public:
  explicit SurveyReader(pg::Pool* pool) : pool_(*pool) {}

  absl::StatusOr<Survey> GetSurvey(const SurveyKey& key, absl::Time deadline);
  // With the questions of that version.
  absl::StatusOr<Survey> GetVersion(const SurveyKey& key, int version, absl::Time deadline);
  // By id, those after `after`.
  absl::StatusOr<std::vector<Survey>> ListSurveys(const std::string& tenant,
                                                  const std::string& after, int limit,
                                                  absl::Time deadline);
  absl::StatusOr<PauseSettings> Settings(const std::string& tenant, absl::Time deadline);

  absl::StatusOr<StoredInvitation> GetInvitation(const EntityKey& key, absl::Time deadline);
  struct Query {
    std::string tenant;
    std::string survey;                                 // Empty: of all.
    std::optional<Uuid> contact;                        // By any of their names.
    bool finished = false;                              // Only what was answered to the end.
    std::optional<std::pair<absl::Time, Uuid>> before;  // create_time and id.
    int limit = 0;
  };
  // Newest first.
  absl::StatusOr<std::vector<StoredInvitation>> ListInvitations(const Query& query,
                                                                absl::Time deadline);

  struct Days {
    std::optional<absl::CivilDay> first, last;  // Both included.
  };
  // By day; days without answers are left out.
  absl::StatusOr<std::map<absl::CivilDay, Histogram>> Histograms(const SurveyKey& survey,
                                                                 const std::string& question,
                                                                 const std::string& dim,
                                                                 const Days& days,
                                                                 absl::Time deadline);
  // Of each customer the latest; of an erased person each.
  absl::StatusOr<std::vector<Fraction>> CustomersRqi(const SurveyKey& survey,
                                                     const std::string& dim, const Days& days,
                                                     absl::Time deadline);

  struct Funnel {
    int64_t invited = 0, displayed = 0, started = 0, finished = 0, dismissed = 0, dropped = 0;
    std::map<std::string, int64_t> answered;     // By question.
    std::map<std::string, int64_t> dropped_off;  // By the question answered last.
  };
  // Of those invited between two instants.
  absl::StatusOr<Funnel> FunnelOf(const Survey& survey, absl::Time from, absl::Time until,
                                  absl::Time deadline);

  struct Recount {
    int64_t responses = 0, counters = 0;
    std::vector<std::string> differences;
  };
  // Adds the answers of a survey up again, by the function that counted them, and compares, in one
  // snapshot.
  absl::StatusOr<Recount> RecountSurvey(const SurveyKey& key, absl::Time deadline);

 private:
  pg::Pool& pool_;
};

std::vector<const pg::Statement*> SurveyReaderStatements();

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SURVEY_READER_H_
