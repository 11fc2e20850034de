// Surveys, invitations, answers and their counters as a part of the unit of work.
#ifndef CLM_SERVICES_FEEDBACK_SURVEY_WORK_H_
#define CLM_SERVICES_FEEDBACK_SURVEY_WORK_H_

#include <array>
#include <compare>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/civil_time.h"
#include "libs/pg/pg.h"
#include "services/feedback/feedback_work.h"
#include "services/feedback/survey_rows.h"

namespace clm::feedback {

struct PauseSettings {
  int transactional_days = 7;
  int relational_days = 30;
  absl::Time update_time = absl::InfinitePast();
  int64_t version = 0;  // 0: nobody has set them.
  friend bool operator==(const PauseSettings&, const PauseSettings&) = default;
};

// Used by one thread, like the whole.
class SurveyWork : public WorkPart {
 public:
  using Compiled = KnownSurveys::Compiled;

  explicit SurveyWork(KnownSurveys* known) : known_(*known) {}

  // ---- Before the transaction loads.
  void NeedSurvey(const SurveyKey& key) { surveys_.try_emplace(key); }
  void NeedSettings(const std::string& tenant) { settings_.try_emplace(tenant); }
  // With its survey, and the version of it that was displayed.
  void NeedInvitation(const EntityKey& key) { invitations_.try_emplace(key); }
  // What the contact was asked before.
  void NeedHistory(const EntityKey& contact) { histories_.try_emplace(contact); }
  // The surveys that something invites to, of a tenant; then calls `then`, which may need more.
  void NeedTriggers(const std::string& tenant, std::function<void(SurveyWork&)> then) {
    triggers_.try_emplace(tenant);
    then_.push_back(std::move(then));
  }

  // ---- Of what was needed.
  // Null when there is none.
  Compiled FindSurvey(const SurveyKey& key) const;
  // The survey that an invitation was displayed with: its own version, else the present one.
  Compiled VersionFor(const StoredInvitation& invitation) const;
  const PauseSettings& SettingsOf(const std::string& tenant) const {
    return settings_.at(tenant).settings;
  }
  const StoredInvitation* FindInvitation(const EntityKey& key) const;
  AskedBefore AskedOf(const EntityKey& contact, const std::string& survey, bool relational) const;
  std::vector<Compiled> TriggeredOf(const std::string& tenant) const;
  // How many have finished, of a survey whose shard is locked and that was needed.
  int64_t AnsweredOf(const SurveyKey& key) const;

  // ---- Staged.
  void SaveSurvey(const Survey& survey);
  void SaveSettings(const std::string& tenant, const PauseSettings& settings);
  // New, or changed.
  void SaveInvitation(const StoredInvitation& invitation);
  // Adds `times` (1 or -1) what `bars` say, on a day and in dimensions.
  void Count(const SurveyKey& survey, absl::CivilDay day, const std::vector<std::string>& dims,
             const Bars& bars, int times);

  absl::Status Load(pg::Tx& tx) override;
  void Keep() override { undo_.clear(); }
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;
  absl::Status Sweep(pg::Tx& tx) override;
  void MergeContact(const EntityKey& merged, const EntityKey& survivor,
                    journal::Recorder& recorder) override;
  void EraseContact(const EntityKey& contact, journal::Recorder& recorder) override;

 private:
  struct SurveySlot {
    Compiled survey;
    bool loaded = false;
    bool dirty = false;
    int64_t answered = 0;
    int64_t answered_here = 0;
  };
  struct SettingsSlot {
    PauseSettings settings;
    bool loaded = false;
    bool dirty = false;
  };
  struct InvitationSlot {
    std::optional<StoredInvitation> invitation;
    bool loaded = false;
    bool dirty = false;
  };
  struct Asked {
    bool relational = false;
    AskedBefore asked;
  };
  struct History {
    bool loaded = false;
    std::map<std::string, Asked> by_survey;
  };
  struct CounterKey {
    std::string tenant, survey, dim, question;
    absl::CivilDay day;
    friend auto operator<=>(const CounterKey& a, const CounterKey& b) {
      if (const auto c = a.tenant <=> b.tenant; c != 0) return c;
      if (const auto c = a.survey <=> b.survey; c != 0) return c;
      if (const auto c = a.dim <=> b.dim; c != 0) return c;
      if (const auto c = a.question <=> b.question; c != 0) return c;
      return (a.day - absl::CivilDay()) <=> (b.day - absl::CivilDay());
    }
  };
  // Dismissed, skipped, then the bars.
  using Counts = std::array<int64_t, 2 + kMostValues>;

  absl::Status LoadTriggers(pg::Tx& tx);
  absl::Status LoadInvitations(pg::Tx& tx);
  absl::Status LoadSurveys(pg::Tx& tx);
  absl::Status LoadVersions(pg::Tx& tx);
  absl::Status LoadSettings(pg::Tx& tx);
  absl::Status LoadHistories(pg::Tx& tx);
  absl::Status FlushSurveys(pg::Tx& tx);
  absl::Status FlushInvitations(pg::Tx& tx);
  absl::Status FlushCounts(pg::Tx& tx);

  KnownSurveys& known_;
  std::map<SurveyKey, SurveySlot> surveys_;
  std::map<std::pair<SurveyKey, int>, Compiled> versions_;
  std::map<std::string, SettingsSlot> settings_;
  std::map<EntityKey, InvitationSlot> invitations_;
  std::map<EntityKey, History> histories_;
  std::map<std::string, std::vector<Compiled>> triggers_;
  std::set<std::string> triggers_loaded_;
  std::vector<std::function<void(SurveyWork&)>> then_;
  std::map<CounterKey, Counts> counts_;
  std::vector<std::pair<EntityKey, EntityKey>> merged_;
  std::vector<EntityKey> erased_;
  std::vector<std::function<void()>> undo_;
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> SurveyWorkStatements();

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SURVEY_WORK_H_
