#include "services/feedback/survey_work.h"

#include <algorithm>

#include "clm/feedback/v1/survey_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/pg/key_args.h"
#include "services/feedback/contact_changes.h"

namespace clm::feedback {
namespace {

constexpr pg::Statement kLoadSurveys{"survey.load", "SELECT w.place, " CLM_SURVEY_COLUMNS R"sql(
  , CASE WHEN s.response_limit > 0 THEN
      coalesce((SELECT sum(c.v0)::bigint FROM score_counter c
                WHERE c.tenant_id = s.tenant_id AND c.survey_id = s.id AND c.dim = ''
                  AND c.question_id = ''), 0) ELSE 0 END
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS id,
               generate_subscripts($2::text[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM survey s WHERE s.tenant_id = w.tenant_id
    AND s.id = w.id OFFSET 0) s)sql"};

constexpr pg::Statement kLoadTriggers{"survey.triggers", "SELECT " CLM_SURVEY_COLUMNS R"sql(
  FROM survey s WHERE s.tenant_id = ANY ($1::text[]) AND s.triggered
  ORDER BY s.tenant_id, s.id)sql"};

constexpr pg::Statement kLoadVersions{"survey.versions", R"sql(
  SELECT w.place, v.body
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS survey_id,
               unnest($3::int[]) AS version, generate_subscripts($2::text[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM survey_version v WHERE v.tenant_id = w.tenant_id
    AND v.survey_id = w.survey_id AND v.version = w.version OFFSET 0) v)sql"};

constexpr pg::Statement kLoadSettings{"survey.settings", R"sql(
  SELECT tenant_id, transactional_days, relational_days, update_time, version
  FROM feedback_settings WHERE tenant_id = ANY ($1::text[]))sql"};

constexpr pg::Statement kLoadInvitations{"invitation.load", "SELECT " CLM_INVITATION_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS id) AS w
  CROSS JOIN LATERAL (SELECT * FROM invitation i WHERE i.tenant_id = w.tenant_id
    AND i.id = w.id OFFSET 0) i)sql"};

// What was dropped was neither sent nor shown.
constexpr pg::Statement kLoadHistories{"invitation.histories", R"sql(
  SELECT w.place, i.survey_id, bool_or(i.relational), count(*),
         bool_or(i.submit_time IS NOT NULL), max(greatest(i.create_time, i.display_time))
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               generate_subscripts($2::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM invitation i WHERE i.contact_id = w.contact_id
    AND i.tenant_id = w.tenant_id AND i.state <> 6 OFFSET 0) i
  GROUP BY w.place, i.survey_id)sql"};

constexpr pg::Statement kSaveSurveys{"survey.save", R"sql(
  INSERT INTO survey (tenant_id, id, state, version, body, retired, triggered, start_time,
                      create_time, update_time, row_version, response_limit)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::smallint[]), unnest($4::int[]),
         unnest($5::bytea[]), unnest($6::bytea[]), unnest($7::boolean[]),
         unnest($8::timestamptz[]), unnest($9::timestamptz[]), unnest($10::timestamptz[]),
         unnest($11::bigint[]), unnest($12::bigint[])
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (state, version, body, retired, triggered, start_time, update_time, row_version,
     response_limit) =
    (excluded.state, excluded.version, excluded.body, excluded.retired, excluded.triggered,
     excluded.start_time, excluded.update_time, excluded.row_version,
     excluded.response_limit))sql"};

// A version is what people were asked: it does not change.
constexpr pg::Statement kSaveVersions{"survey.save_versions", R"sql(
  INSERT INTO survey_version (tenant_id, survey_id, version, body)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::int[]), unnest($4::bytea[])
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kSaveSettings{"survey.save_settings", R"sql(
  INSERT INTO feedback_settings (tenant_id, transactional_days, relational_days, update_time,
                                 version)
  SELECT unnest($1::text[]), unnest($2::int[]), unnest($3::int[]), unnest($4::timestamptz[]),
         unnest($5::bigint[])
  ON CONFLICT (tenant_id) DO UPDATE SET
    (transactional_days, relational_days, update_time, version) =
    (excluded.transactional_days, excluded.relational_days, excluded.update_time,
     excluded.version))sql"};

// Whose it is does not change here: see kMoveInvitations.
constexpr pg::Statement kSaveInvitations{"invitation.save", R"sql(
  INSERT INTO invitation (tenant_id, id, shard, survey_id, contact_id, state, relational,
                          survey_version, drop_reason, channel, campaign, order_id, agent,
                          subject, language, create_time, expire_time, display_time, start_time,
                          submit_time, dismiss_time, update_time, day, dims, body, texts,
                          rqi_numerator, rqi_denominator, version)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::smallint[]), unnest($4::text[]),
         unnest($5::uuid[]), unnest($6::smallint[]), unnest($7::boolean[]), unnest($8::int[]),
         unnest($9::smallint[]), unnest($10::text[]), unnest($11::text[]), unnest($12::text[]),
         unnest($13::text[]), unnest($14::text[]), unnest($15::text[]),
         unnest($16::timestamptz[]), unnest($17::timestamptz[]), unnest($18::timestamptz[]),
         unnest($19::timestamptz[]), unnest($20::timestamptz[]), unnest($21::timestamptz[]),
         unnest($22::timestamptz[]), unnest($23::text[])::date,
         string_to_array(unnest($24::text[]), E'\x1f'), unnest($25::bytea[]),
         unnest($26::bytea[]), unnest($27::bigint[]), unnest($28::bigint[]),
         unnest($29::bigint[])
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (state, survey_version, display_time, start_time, submit_time, dismiss_time, update_time, day,
     dims, body, texts, rqi_numerator, rqi_denominator, version) =
    (excluded.state, excluded.survey_version, excluded.display_time, excluded.start_time,
     excluded.submit_time, excluded.dismiss_time, excluded.update_time, excluded.day,
     excluded.dims, excluded.body, excluded.texts, excluded.rqi_numerator,
     excluded.rqi_denominator, excluded.version))sql"};

constexpr pg::Statement kMoveInvitations{"invitation.move", R"sql(
  UPDATE invitation SET contact_id = $3::uuid
  WHERE contact_id = $2::uuid AND tenant_id = $1::text)sql"};

// Numbers stay, as nobody's: the counters hold them.
constexpr pg::Statement kForgetInvitations{"invitation.forget", R"sql(
  UPDATE invitation SET (contact_id, texts, order_id, subject) = (NULL, '', '', '')
  WHERE contact_id = $2::uuid AND tenant_id = $1::text)sql"};

// Answers to requests name whom they were about.
constexpr pg::Statement kForgetRequests{"invitation.forget_requests", R"sql(
  DELETE FROM request WHERE tenant_id = $1::text AND (aggregate_id = $2::uuid
    OR aggregate_id IN (SELECT c.contact_id FROM contact_change c
                        WHERE c.tenant_id = $1::text AND c.merged_into = $2::uuid)))sql"};

// In the order of their keys, so that two transactions that count the same wait for each other and
// never in a circle.
constexpr pg::Statement kAddCounts{"score.add", R"sql(
  INSERT INTO score_counter AS c (tenant_id, survey_id, dim, question_id, day, dismissed, skipped,
                                  v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]),
         unnest($5::text[])::date, unnest($6::bigint[]), unnest($7::bigint[]),
         unnest($8::bigint[]), unnest($9::bigint[]), unnest($10::bigint[]),
         unnest($11::bigint[]), unnest($12::bigint[]), unnest($13::bigint[]),
         unnest($14::bigint[]), unnest($15::bigint[]), unnest($16::bigint[]),
         unnest($17::bigint[]), unnest($18::bigint[])
  ON CONFLICT (tenant_id, survey_id, dim, question_id, day) DO UPDATE SET
    (dismissed, skipped, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10) =
    (c.dismissed + excluded.dismissed, c.skipped + excluded.skipped, c.v0 + excluded.v0,
     c.v1 + excluded.v1, c.v2 + excluded.v2, c.v3 + excluded.v3, c.v4 + excluded.v4,
     c.v5 + excluded.v5, c.v6 + excluded.v6, c.v7 + excluded.v7, c.v8 + excluded.v8,
     c.v9 + excluded.v9, c.v10 + excluded.v10))sql"};

}  // namespace

SurveyWork::Compiled SurveyWork::FindSurvey(const SurveyKey& key) const {
  const auto it = surveys_.find(key);
  return it == surveys_.end() ? nullptr : it->second.survey;
}

SurveyWork::Compiled SurveyWork::VersionFor(const StoredInvitation& invitation) const {
  const SurveyKey key{invitation.key.tenant, invitation.survey};
  const auto it = versions_.find({key, invitation.survey_version});
  return it != versions_.end() ? it->second : FindSurvey(key);
}

const StoredInvitation* SurveyWork::FindInvitation(const EntityKey& key) const {
  const auto it = invitations_.find(key);
  return it == invitations_.end() || !it->second.invitation ? nullptr : &*it->second.invitation;
}

AskedBefore SurveyWork::AskedOf(const EntityKey& contact, const std::string& survey,
                                bool relational) const {
  AskedBefore asked;
  for (const auto& [id, before] : histories_.at(contact).by_survey) {
    if (id == survey) {
      asked.times = before.asked.times;
      asked.answered = before.asked.answered;
      asked.last = before.asked.last;
    }
    if (before.relational == relational) {
      asked.last_of_kind = std::max(asked.last_of_kind, before.asked.last);
    }
  }
  return asked;
}

std::vector<SurveyWork::Compiled> SurveyWork::TriggeredOf(const std::string& tenant) const {
  const auto it = triggers_.find(tenant);
  return it == triggers_.end() ? std::vector<Compiled>() : it->second;
}

int64_t SurveyWork::AnsweredOf(const SurveyKey& key) const {
  const SurveySlot& slot = surveys_.at(key);
  return slot.answered + slot.answered_here;
}

void SurveyWork::SaveSurvey(const Survey& survey) {
  SurveySlot& slot = surveys_[{survey.tenant, survey.id}];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  auto compiled = CompiledSurvey::New(survey);
  // It was validated, conditions included.
  slot.survey = compiled.ok() ? *std::move(compiled) : nullptr;
  slot.dirty = true;
}

void SurveyWork::SaveSettings(const std::string& tenant, const PauseSettings& settings) {
  SettingsSlot& slot = settings_[tenant];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  slot.settings = settings;
  slot.dirty = true;
}

void SurveyWork::SaveInvitation(const StoredInvitation& invitation) {
  InvitationSlot& slot = invitations_[invitation.key];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  const bool is_new = !slot.invitation;
  slot.invitation = invitation;
  slot.dirty = true;
  if (!invitation.contact) return;
  const auto it = histories_.find({invitation.key.tenant, *invitation.contact});
  if (it == histories_.end() || invitation.state == InvitationState::kDropped) return;
  History& history = it->second;
  undo_.emplace_back([&history, before = history] { history = before; });
  Asked& asked = history.by_survey[invitation.survey];
  asked.relational = invitation.relational;
  if (is_new) ++asked.asked.times;
  asked.asked.answered = asked.asked.answered || invitation.submit_time.has_value();
  asked.asked.last = std::max(
      asked.asked.last,
      std::max(invitation.create_time, invitation.display_time.value_or(absl::InfinitePast())));
}

void SurveyWork::Count(const SurveyKey& survey, absl::CivilDay day,
                       const std::vector<std::string>& dims, const Bars& bars, int times) {
  const auto add = [&](const std::string& dim) {
    for (const auto& [question, bar] : bars) {
      Counts& counts = counts_[{survey.tenant, survey.id, dim, question, day}];
      int64_t& count = counts[static_cast<size_t>(bar + 2)];
      count += times;
      undo_.emplace_back([&count, times] { count -= times; });
    }
  };
  add("");
  for (const std::string& dim : dims) add(dim);
  const auto slot = surveys_.find(survey);
  const auto whole = bars.find("");
  if (slot == surveys_.end() || whole == bars.end() || whole->second != 0) return;
  int64_t& answered = slot->second.answered_here;
  answered += times;
  undo_.emplace_back([&answered, times] { answered -= times; });
}

void SurveyWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

void SurveyWork::MergeContact(const EntityKey& merged, const EntityKey& survivor,
                              journal::Recorder& recorder) {
  merged_.emplace_back(merged, survivor);
  undo_.emplace_back([this] { merged_.pop_back(); });
  v1::ContactFeedbackMerged event;
  event.set_contact(EntityName(kContacts, survivor));
  event.set_merged_contact(EntityName(kContacts, merged));
  recorder.Record({.shard = ShardOf(survivor.tenant, survivor.id),
                   .tenant = survivor.tenant,
                   .subject = event.contact(),
                   .type = v1::ContactFeedbackMerged::descriptor()->full_name(),
                   .payload = event.SerializeAsString()});
}

void SurveyWork::EraseContact(const EntityKey& contact, journal::Recorder& recorder) {
  erased_.push_back(contact);
  undo_.emplace_back([this] { erased_.pop_back(); });
  v1::ContactFeedbackErased event;
  event.set_contact(EntityName(kContacts, contact));
  recorder.Record({.shard = ShardOf(contact.tenant, contact.id),
                   .tenant = contact.tenant,
                   .subject = event.contact(),
                   .type = v1::ContactFeedbackErased::descriptor()->full_name(),
                   .payload = event.SerializeAsString()});
}

absl::Status SurveyWork::Load(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(LoadTriggers(tx));
  for (auto& then : std::exchange(then_, {})) then(*this);
  CLM_RETURN_IF_ERROR(LoadInvitations(tx));
  CLM_RETURN_IF_ERROR(LoadSurveys(tx));
  CLM_RETURN_IF_ERROR(LoadVersions(tx));
  CLM_RETURN_IF_ERROR(LoadSettings(tx));
  return LoadHistories(tx);
}

absl::Status SurveyWork::LoadTriggers(pg::Tx& tx) {
  std::vector<std::string> tenants;
  for (const auto& [tenant, surveys] : triggers_) {
    if (triggers_loaded_.insert(tenant).second) tenants.push_back(tenant);
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadTriggers, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(Survey survey, ReadSurvey(rows[i], 0));
    const std::string tenant = survey.tenant;
    CLM_ASSIGN_OR_RETURN(Compiled compiled, known_.Compile(std::move(survey), false));
    triggers_[tenant].push_back(std::move(compiled));
  }
  return absl::OkStatus();
}

absl::Status SurveyWork::LoadInvitations(pg::Tx& tx) {
  std::vector<EntityKey> keys;
  for (auto& [key, slot] : invitations_) {
    if (!std::exchange(slot.loaded, true)) keys.push_back(key);
  }
  if (keys.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadInvitations, pg::KeyArgs(keys)));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredInvitation invitation, ReadInvitation(rows[i], 0));
    NeedSurvey({invitation.key.tenant, invitation.survey});
    invitations_[invitation.key].invitation = std::move(invitation);
  }
  return absl::OkStatus();
}

absl::Status SurveyWork::LoadSurveys(pg::Tx& tx) {
  std::vector<SurveySlot*> places;
  std::vector<std::string> tenants, ids;
  for (auto& [key, slot] : surveys_) {
    if (std::exchange(slot.loaded, true)) continue;
    tenants.push_back(key.tenant);
    ids.push_back(key.id);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadSurveys, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(Survey survey, ReadSurvey(rows[i], 1));
    SurveySlot& slot = *places[static_cast<size_t>(rows[i].Int(0) - 1)];
    CLM_ASSIGN_OR_RETURN(slot.survey, known_.Compile(std::move(survey), false));
    slot.answered = rows[i].Int(11);
  }
  return absl::OkStatus();
}

absl::Status SurveyWork::LoadVersions(pg::Tx& tx) {
  std::vector<std::pair<SurveyKey, int>> wanted;
  for (const auto& [key, slot] : invitations_) {
    if (!slot.invitation || slot.invitation->survey_version == 0) continue;
    const SurveyKey survey{key.tenant, slot.invitation->survey};
    const Compiled now = FindSurvey(survey);
    const int version = slot.invitation->survey_version;
    if (now != nullptr && now->survey().version == version) continue;
    if (!versions_.contains({survey, version})) wanted.emplace_back(survey, version);
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  if (wanted.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, ids;
  std::vector<int64_t> numbers;
  for (const auto& [survey, version] : wanted) {
    tenants.push_back(survey.tenant);
    ids.push_back(survey.id);
    numbers.push_back(version);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids)).AddArray(std::move(numbers));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadVersions, args));
  for (int i = 0; i < rows.size(); ++i) {
    const auto& [key, version] = wanted[static_cast<size_t>(rows[i].Int(0) - 1)];
    v1::Survey body;
    if (!body.ParseFromString(rows[i].Bytes(1))) {
      return error::Internal("a stored survey cannot be read");
    }
    Survey survey = SurveyFromProto(body);
    survey.tenant = key.tenant;
    survey.id = key.id;
    survey.version = version;
    CLM_ASSIGN_OR_RETURN(const Compiled compiled, known_.Compile(std::move(survey), true));
    versions_[{key, version}] = compiled;
  }
  return absl::OkStatus();
}

absl::Status SurveyWork::LoadSettings(pg::Tx& tx) {
  std::vector<std::string> tenants;
  for (auto& [tenant, slot] : settings_) {
    if (!std::exchange(slot.loaded, true)) tenants.push_back(tenant);
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadSettings, args));
  for (int i = 0; i < rows.size(); ++i) {
    settings_[std::string(rows[i].Text(0))].settings = {static_cast<int>(rows[i].Int(1)),
                                                        static_cast<int>(rows[i].Int(2)),
                                                        rows[i].Time(3), rows[i].Int(4)};
  }
  return absl::OkStatus();
}

absl::Status SurveyWork::LoadHistories(pg::Tx& tx) {
  std::vector<EntityKey> keys;
  std::vector<History*> places;
  for (auto& [key, history] : histories_) {
    if (std::exchange(history.loaded, true)) continue;
    keys.push_back(key);
    places.push_back(&history);
  }
  if (keys.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadHistories, pg::KeyArgs(keys)));
  for (int i = 0; i < rows.size(); ++i) {
    Asked& asked =
        places[static_cast<size_t>(rows[i].Int(0) - 1)]->by_survey[std::string(rows[i].Text(1))];
    asked.relational = rows[i].Bool(2);
    asked.asked.times = rows[i].Int(3);
    asked.asked.answered = rows[i].Bool(4);
    asked.asked.last = rows[i].Time(5);
  }
  return absl::OkStatus();
}

absl::Status SurveyWork::FlushSurveys(pg::Tx& tx) {
  std::vector<std::string> tenants, ids, bodies, retired;
  std::vector<std::string> version_tenants, version_ids, version_bodies;
  std::vector<int64_t> states, versions, row_versions, limits, version_numbers;
  std::vector<bool> triggered;
  std::vector<std::optional<absl::Time>> started;
  std::vector<absl::Time> created, updated;
  for (const auto& [key, slot] : surveys_) {
    if (!slot.dirty || slot.survey == nullptr) continue;
    const Survey& survey = slot.survey->survey();
    tenants.push_back(key.tenant);
    ids.push_back(key.id);
    states.push_back(static_cast<int64_t>(survey.state));
    versions.push_back(survey.version);
    bodies.push_back(BodyOf(survey));
    retired.push_back(RetiredOf(survey));
    triggered.push_back(survey.state == SurveyState::kInProgress && !survey.triggers.empty());
    started.push_back(survey.start_time == absl::InfiniteFuture()
                          ? std::nullopt
                          : std::make_optional(survey.start_time));
    created.push_back(survey.create_time);
    updated.push_back(survey.update_time);
    row_versions.push_back(survey.row_version);
    limits.push_back(survey.response_limit);
    if (survey.version == 0) continue;
    version_tenants.push_back(key.tenant);
    version_ids.push_back(key.id);
    version_numbers.push_back(survey.version);
    version_bodies.push_back(bodies.back());
  }
  if (!ids.empty()) {
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(ids)).AddArray(std::move(states));
    args.AddArray(std::move(versions)).AddBytesArray(std::move(bodies));
    args.AddBytesArray(std::move(retired)).AddArray(std::move(triggered));
    args.AddArray(std::move(started)).AddArray(std::move(created)).AddArray(std::move(updated));
    args.AddArray(std::move(row_versions)).AddArray(std::move(limits));
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveSurveys, args).status());
  }
  if (!version_ids.empty()) {
    pg::Args args;
    args.AddArray(std::move(version_tenants)).AddArray(std::move(version_ids));
    args.AddArray(std::move(version_numbers)).AddBytesArray(std::move(version_bodies));
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveVersions, args).status());
  }
  std::vector<std::string> of;
  std::vector<int64_t> transactional, relational, numbers;
  std::vector<absl::Time> times;
  for (const auto& [tenant, slot] : settings_) {
    if (!slot.dirty) continue;
    of.push_back(tenant);
    transactional.push_back(slot.settings.transactional_days);
    relational.push_back(slot.settings.relational_days);
    times.push_back(slot.settings.update_time);
    numbers.push_back(slot.settings.version);
  }
  if (of.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(of)).AddArray(std::move(transactional)).AddArray(std::move(relational));
  args.AddArray(std::move(times)).AddArray(std::move(numbers));
  return tx.Exec(kSaveSettings, args).status();
}

absl::Status SurveyWork::FlushInvitations(pg::Tx& tx) {
  std::vector<std::string> tenants, surveys, channels, campaigns, orders, agents, subjects,
      languages, dims, bodies, texts;
  std::vector<Uuid> ids;
  std::vector<std::optional<Uuid>> contacts;
  std::vector<std::optional<std::string>> days;
  std::vector<int64_t> shards, states, survey_versions, reasons, versions;
  std::vector<std::optional<int64_t>> numerators, denominators;
  std::vector<bool> relational;
  std::vector<absl::Time> created, expires, updated;
  std::vector<std::optional<absl::Time>> displayed, started, submitted, dismissed;
  for (const auto& [key, slot] : invitations_) {
    if (!slot.dirty) continue;
    const StoredInvitation& one = *slot.invitation;
    tenants.push_back(key.tenant);
    ids.push_back(key.id);
    shards.push_back(one.shard);
    surveys.push_back(one.survey);
    contacts.push_back(one.contact);
    states.push_back(static_cast<int64_t>(one.state));
    relational.push_back(one.relational);
    survey_versions.push_back(one.survey_version);
    reasons.push_back(static_cast<int64_t>(one.drop_reason));
    channels.push_back(one.about.channel);
    campaigns.push_back(one.about.campaign);
    orders.push_back(one.about.order);
    agents.push_back(one.about.agent);
    subjects.push_back(one.subject);
    languages.push_back(one.about.language);
    created.push_back(one.create_time);
    expires.push_back(one.expire_time);
    displayed.push_back(one.display_time);
    started.push_back(one.start_time);
    submitted.push_back(one.submit_time);
    dismissed.push_back(one.dismiss_time);
    updated.push_back(one.update_time);
    days.push_back(one.day ? std::make_optional(FormatDay(*one.day)) : std::nullopt);
    std::string joined;
    for (const std::string& dim : one.dims) {
      if (!joined.empty()) joined += kDimSeparator;
      joined += dim;
    }
    dims.push_back(std::move(joined));
    bodies.push_back(BodyOf(one));
    texts.push_back(TextsOf(one));
    numerators.push_back(one.rqi ? std::make_optional(one.rqi->numerator) : std::nullopt);
    denominators.push_back(one.rqi ? std::make_optional(one.rqi->denominator) : std::nullopt);
    versions.push_back(one.version);
  }
  if (!ids.empty()) {
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(ids)).AddArray(std::move(shards));
    args.AddArray(std::move(surveys)).AddArray(std::move(contacts)).AddArray(std::move(states));
    args.AddArray(std::move(relational)).AddArray(std::move(survey_versions));
    args.AddArray(std::move(reasons)).AddArray(std::move(channels)).AddArray(std::move(campaigns));
    args.AddArray(std::move(orders)).AddArray(std::move(agents)).AddArray(std::move(subjects));
    args.AddArray(std::move(languages)).AddArray(std::move(created)).AddArray(std::move(expires));
    args.AddArray(std::move(displayed)).AddArray(std::move(started));
    args.AddArray(std::move(submitted)).AddArray(std::move(dismissed));
    args.AddArray(std::move(updated)).AddArray(std::move(days)).AddArray(std::move(dims));
    args.AddBytesArray(std::move(bodies)).AddBytesArray(std::move(texts));
    args.AddArray(std::move(numerators)).AddArray(std::move(denominators));
    args.AddArray(std::move(versions));
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveInvitations, args).status());
  }
  // After what was saved: that moves too, and is forgotten.
  for (const auto& [from, into] : merged_) {
    pg::Args args;
    args.Add(from.tenant).Add(from.id).Add(into.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kMoveInvitations, args).status());
  }
  for (const EntityKey& contact : erased_) {
    pg::Args args;
    args.Add(contact.tenant).Add(contact.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetInvitations, args).status());
  }
  return absl::OkStatus();
}

absl::Status SurveyWork::FlushCounts(pg::Tx& tx) {
  std::vector<std::string> tenants, surveys, dims, questions, days;
  std::array<std::vector<int64_t>, 2 + kMostValues> columns;
  for (const auto& [key, counts] : counts_) {
    if (std::all_of(counts.begin(), counts.end(), [](int64_t count) { return count == 0; })) {
      continue;
    }
    tenants.push_back(key.tenant);
    surveys.push_back(key.survey);
    dims.push_back(key.dim);
    questions.push_back(key.question);
    days.push_back(FormatDay(key.day));
    for (size_t i = 0; i < columns.size(); ++i) columns[i].push_back(counts[i]);
  }
  if (tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(surveys)).AddArray(std::move(dims));
  args.AddArray(std::move(questions)).AddArray(std::move(days));
  for (auto& column : columns) args.AddArray(std::move(column));
  return tx.Exec(kAddCounts, args).status();
}

absl::Status SurveyWork::Flush(pg::Tx& tx) {
  CLM_RETURN_IF_ERROR(FlushSurveys(tx));
  CLM_RETURN_IF_ERROR(FlushInvitations(tx));
  return FlushCounts(tx);
}

absl::Status SurveyWork::Sweep(pg::Tx& tx) {
  for (const EntityKey& contact : erased_) {
    pg::Args args;
    args.Add(contact.tenant).Add(contact.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetRequests, args).status());
  }
  return absl::OkStatus();
}

std::vector<const pg::Statement*> SurveyWorkStatements() {
  return {&kLoadSurveys,     &kLoadTriggers,    &kLoadVersions,    &kLoadSettings,
          &kLoadInvitations, &kLoadHistories,   &kSaveSurveys,     &kSaveVersions,
          &kSaveSettings,    &kSaveInvitations, &kMoveInvitations, &kForgetInvitations,
          &kForgetRequests,  &kAddCounts};
}

}  // namespace clm::feedback
