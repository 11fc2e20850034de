#include "services/contact/import_store.h"

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace clm::contact {
namespace {

// How long an upload may pause before it counts as broken off.
constexpr absl::Duration kUploadLease = absl::Minutes(10);
constexpr absl::Duration kQuick = absl::Seconds(10);

#define CLM_IMPORT_COLUMNS                                                                   \
  "j.tenant_id, j.id, j.display_name, j.format, j.kind, j.columns, j.key, j.source, "        \
  "j.validate_only, j.state, j.content_hash, j.read_count, j.created_count, "                \
  "j.updated_count, j.unchanged_count, j.failed_count, j.size_bytes, j.done_bytes, "         \
  "j.error_code, j.error_message, j.actor, j.create_time, j.end_time, j.topic, j.currency, " \
  "j.owner"

// A job that failed without ever having its file is one whose upload was given up.
constexpr pg::Statement kBegin{"import.begin", R"sql(
  INSERT INTO import_job (tenant_id, id, display_name, format, kind, columns, key, source,
                          validate_only, state, content_hash, actor, owner, lease_until,
                          create_time, topic, currency)
  VALUES ($1::text, $2::uuid, $3::text, $4::smallint, $5::smallint, $6::jsonb, $7::text, $8::text,
          $9::boolean, 1, '', $10::text, $11::uuid, now() + make_interval(secs => $12::float8),
          $13::timestamptz, $14::text, $15::text)
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (display_name, format, kind, columns, key, source, validate_only, state, actor, owner,
     lease_until, create_time, topic, currency, error_code, error_message, end_time) =
    (excluded.display_name, excluded.format, excluded.kind, excluded.columns, excluded.key,
     excluded.source, excluded.validate_only, 1, excluded.actor, excluded.owner,
     excluded.lease_until, excluded.create_time, excluded.topic, excluded.currency, 0, '', NULL)
  WHERE import_job.state IN (1, 4) AND import_job.content_hash = '')sql"};

constexpr pg::Statement kAddChunk{"import.add_chunk", R"sql(
  WITH j AS (
    UPDATE import_job SET lease_until = now() + make_interval(secs => $6::float8)
    WHERE tenant_id = $1::text AND id = $2::uuid AND owner = $3::uuid AND state = 1
    RETURNING tenant_id, id)
  INSERT INTO import_chunk (tenant_id, job_id, seq, data)
  SELECT tenant_id, id, $4::int, $5::bytea FROM j)sql"};

constexpr pg::Statement kLock{"import.lock", "SELECT " CLM_IMPORT_COLUMNS R"sql(
  FROM import_job j WHERE tenant_id = $1::text AND id = $2::uuid FOR UPDATE)sql"};

constexpr pg::Statement kSave{"import.save", R"sql(
  UPDATE import_job SET state = $3::smallint, content_hash = $4::bytea, size_bytes = $5::bigint,
    done_bytes = greatest(done_bytes, $6::bigint), error_code = $7::int, error_message = $8::text,
    end_time = $9::timestamptz, owner = NULL, lease_until = '-infinity'
  WHERE tenant_id = $1::text AND id = $2::uuid)sql"};

constexpr pg::Statement kClaim{"import.claim", R"sql(
  WITH n AS MATERIALIZED (
    SELECT tenant_id, id FROM import_job WHERE state = 2 AND lease_until < now()
    ORDER BY create_time LIMIT 1 FOR UPDATE SKIP LOCKED)
  UPDATE import_job j SET owner = $1::uuid,
    lease_until = now() + make_interval(secs => $2::float8)
  FROM n WHERE j.tenant_id = n.tenant_id AND j.id = n.id
  RETURNING )sql" CLM_IMPORT_COLUMNS};

constexpr pg::Statement kRenew{"import.renew", R"sql(
  UPDATE import_job SET lease_until = now() + make_interval(secs => $4::float8)
  WHERE tenant_id = $1::text AND id = $2::uuid AND owner = $3::uuid AND state = 2)sql"};

constexpr pg::Statement kReadChunk{"import.read_chunk", R"sql(
  SELECT data FROM import_chunk
  WHERE tenant_id = $1::text AND job_id = $2::uuid AND seq = $3::int)sql"};

constexpr pg::Statement kProgress{"import.progress", R"sql(
  UPDATE import_job SET read_count = read_count + $5::bigint,
    created_count = created_count + $6::bigint, updated_count = updated_count + $7::bigint,
    unchanged_count = unchanged_count + $8::bigint, failed_count = failed_count + $9::bigint,
    done_bytes = greatest(done_bytes, $10::bigint),
    lease_until = now() + make_interval(secs => $11::float8)
  WHERE tenant_id = $1::text AND id = $2::uuid AND owner = $3::uuid AND state = 2
    AND read_count = $4::bigint)sql"};

constexpr pg::Statement kAddErrors{"import.add_errors", R"sql(
  INSERT INTO import_error (tenant_id, job_id, row, field, reason)
  SELECT $1::text, $2::uuid, w.row, w.field, w.reason
  FROM unnest($3::bigint[], $4::text[], $5::text[]) AS w (row, field, reason)
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kDropChunks{"import.drop_chunks", R"sql(
  DELETE FROM import_chunk WHERE tenant_id = $1::text AND job_id = $2::uuid)sql"};

constexpr pg::Statement kRelease{"import.release", R"sql(
  UPDATE import_job SET owner = NULL, lease_until = '-infinity'
  WHERE owner = $1::uuid AND state = 2)sql"};

constexpr pg::Statement kExpire{"import.expire", R"sql(
  UPDATE import_job SET state = 4, error_code = 10, owner = NULL, end_time = $1::timestamptz,
    error_message = 'the upload was broken off; send the file again'
  WHERE state = 1 AND lease_until < now() RETURNING tenant_id, id)sql"};

constexpr pg::Statement kGet{"import.get", "SELECT " CLM_IMPORT_COLUMNS R"sql(
  FROM import_job j WHERE tenant_id = $1::text AND id = $2::uuid)sql"};

constexpr pg::Statement kList{"import.list", "SELECT " CLM_IMPORT_COLUMNS R"sql(
  FROM import_job j WHERE tenant_id = $1::text
    AND ($2::timestamptz IS NULL OR (create_time, id) < ($2::timestamptz, $3::uuid))
  ORDER BY create_time DESC, id DESC LIMIT $4::int)sql"};

constexpr pg::Statement kErrors{"import.errors", R"sql(
  SELECT row, field, reason FROM import_error
  WHERE tenant_id = $1::text AND job_id = $2::uuid AND (row, field) > ($3::bigint, $4::text)
  ORDER BY row, field LIMIT $5::int)sql"};

absl::StatusOr<ImportJob> ReadJob(const pg::Row& row) {
  ImportJob job;
  job.key = {std::string(row.Text(0)), row.Uuid(1)};
  job.display_name = std::string(row.Text(2));
  job.format = static_cast<FileFormat>(row.Int(3));
  job.kind = static_cast<ImportKind>(row.Int(4));
  const absl::string_view columns = row.Text(5);
  const auto json = nlohmann::json::parse(columns.begin(), columns.end(), nullptr, false);
  if (!json.is_object()) return error::Internal("the columns of an import are of unknown form");
  for (const auto& [column, field] : json.items()) job.columns[column] = field.get<std::string>();
  job.key_field = std::string(row.Text(6));
  job.source = std::string(row.Text(7));
  job.validate_only = row.Bool(8);
  job.state = static_cast<ImportState>(row.Int(9));
  job.content_hash = row.Bytes(10);
  job.counts = {row.Int(11), row.Int(12), row.Int(13), row.Int(14), row.Int(15)};
  job.size_bytes = row.Int(16);
  job.done_bytes = row.Int(17);
  job.error_code = static_cast<int>(row.Int(18));
  job.error_message = std::string(row.Text(19));
  job.actor = std::string(row.Text(20));
  job.create_time = row.Time(21);
  job.end_time = row.OptTime(22);
  job.topic = std::string(row.Text(23));
  job.currency = std::string(row.Text(24));
  job.owner = row.OptUuid(25);
  return job;
}

pg::Args KeyArgs(const EntityKey& key) {
  pg::Args args;
  args.Add(key.tenant).Add(key.id);
  return args;
}

// Exactly one row, or the writer is not who it takes itself for.
absl::Status ExecOwned(pg::Tx& tx, const pg::Statement& statement, const pg::Args& args) {
  CLM_ASSIGN_OR_RETURN(const pg::Result done, tx.Exec(statement, args));
  return done.affected() == 1 ? absl::OkStatus() : FencedImport();
}

}  // namespace

absl::Status SaveImportProgress(pg::Tx& tx, const ImportProgress& progress) {
  const ImportCounts& counts = progress.counts;
  pg::Args args = KeyArgs(progress.job);
  args.Add(progress.owner).Add(progress.first_row).Add(counts.read).Add(counts.created);
  args.Add(counts.updated).Add(counts.unchanged).Add(counts.failed).Add(progress.done_bytes);
  args.Add(absl::ToDoubleSeconds(progress.lease));
  CLM_RETURN_IF_ERROR(ExecOwned(tx, kProgress, args));
  if (progress.errors.empty()) return absl::OkStatus();
  std::vector<int64_t> rows;
  std::vector<std::string> fields, reasons;
  for (const auto& e : progress.errors) {
    rows.push_back(e.row);
    fields.push_back(e.field);
    reasons.push_back(e.reason);
  }
  pg::Args errors = KeyArgs(progress.job);
  errors.AddArray(rows).AddArray(fields).AddArray(reasons);
  return tx.Exec(kAddErrors, errors).status();
}

absl::StatusOr<std::optional<ImportJob>> LockImportJob(pg::Tx& tx, const EntityKey& job) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLock, KeyArgs(job)));
  if (rows.empty()) return std::nullopt;
  CLM_ASSIGN_OR_RETURN(ImportJob locked, ReadJob(rows[0]));
  return locked;
}

absl::Status SaveImportJob(pg::Tx& tx, const ImportJob& job) {
  pg::Args args = KeyArgs(job.key);
  args.Add(static_cast<int>(job.state)).AddBytes(job.content_hash).Add(job.size_bytes);
  args.Add(job.done_bytes).Add(job.error_code).Add(job.error_message).Add(job.end_time);
  CLM_RETURN_IF_ERROR(tx.Exec(kSave, args).status());
  return job.end_time ? tx.Exec(kDropChunks, KeyArgs(job.key)).status() : absl::OkStatus();
}

absl::StatusOr<std::optional<ImportJob>> ImportStore::Begin(const ImportJob& job, const Uuid& owner,
                                                            absl::Time deadline) {
  nlohmann::json columns = nlohmann::json::object();
  for (const auto& [column, field] : job.columns) columns[column] = field;
  pg::Args args = KeyArgs(job.key);
  args.Add(job.display_name).Add(static_cast<int>(job.format)).Add(static_cast<int>(job.kind));
  args.Add(columns.dump()).Add(job.key_field).Add(job.source).Add(job.validate_only);
  args.Add(job.actor).Add(owner).Add(absl::ToDoubleSeconds(kUploadLease)).Add(job.create_time);
  args.Add(job.topic).Add(job.currency);
  std::optional<ImportJob> complete;
  CLM_RETURN_IF_ERROR(pool_->Transact(
      {pg::Scope::Tenant(job.key.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        complete.reset();
        CLM_ASSIGN_OR_RETURN(const pg::Result begun, tx.Exec(kBegin, args));
        if (begun.affected() == 1) return tx.Exec(kDropChunks, KeyArgs(job.key)).status();
        CLM_ASSIGN_OR_RETURN(const pg::Result found, tx.Exec(kGet, KeyArgs(job.key)));
        if (found.empty()) return pg::Retry();
        CLM_ASSIGN_OR_RETURN(complete, ReadJob(found[0]));
        return absl::OkStatus();
      }));
  return complete;
}

absl::Status ImportStore::AddChunk(const EntityKey& job, const Uuid& owner, int seq,
                                   absl::string_view data, absl::Time deadline) {
  pg::Args args = KeyArgs(job);
  args.Add(owner).Add(seq).AddBytes(data).Add(absl::ToDoubleSeconds(kUploadLease));
  return pool_->Transact({pg::Scope::Tenant(job.tenant), deadline},
                         [&](pg::Tx& tx) { return ExecOwned(tx, kAddChunk, args); });
}

absl::StatusOr<std::optional<ImportJob>> ImportStore::Claim(const Uuid& owner,
                                                            absl::Duration lease) {
  pg::Args args;
  args.Add(owner).Add(absl::ToDoubleSeconds(lease));
  std::optional<ImportJob> job;
  CLM_RETURN_IF_ERROR(
      pool_->Transact({pg::Scope::Suite(), absl::Now() + kQuick}, [&](pg::Tx& tx) -> absl::Status {
        job.reset();
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kClaim, args));
        if (rows.empty()) return absl::OkStatus();
        CLM_ASSIGN_OR_RETURN(job, ReadJob(rows[0]));
        return absl::OkStatus();
      }));
  return job;
}

absl::StatusOr<std::optional<std::string>> ImportStore::ReadChunk(const EntityKey& job,
                                                                  const Uuid& owner, int seq,
                                                                  absl::Duration lease) {
  pg::Args renew = KeyArgs(job);
  renew.Add(owner).Add(absl::ToDoubleSeconds(lease));
  pg::Args read = KeyArgs(job);
  read.Add(seq);
  std::optional<std::string> data;
  CLM_RETURN_IF_ERROR(pool_->Transact(
      {pg::Scope::Tenant(job.tenant), absl::Now() + kQuick}, [&](pg::Tx& tx) -> absl::Status {
        data.reset();
        CLM_RETURN_IF_ERROR(ExecOwned(tx, kRenew, renew));
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kReadChunk, read));
        if (!rows.empty()) data = rows[0].Bytes(0);
        return absl::OkStatus();
      }));
  return data;
}

absl::Status ImportStore::SaveProgress(const ImportProgress& progress) {
  return pool_->Transact({pg::Scope::Tenant(progress.job.tenant), absl::Now() + kQuick},
                         [&](pg::Tx& tx) { return SaveImportProgress(tx, progress); });
}

absl::Status ImportStore::Release(const Uuid& owner) {
  pg::Args args;
  args.Add(owner);
  return pool_->Transact({pg::Scope::Suite(), absl::Now() + kQuick},
                         [&](pg::Tx& tx) { return tx.Exec(kRelease, args).status(); });
}

absl::Status ImportStore::ExpireUploads(absl::Time now) {
  pg::Args args;
  args.Add(now);
  return pool_->Transact(
      {pg::Scope::Suite(), absl::Now() + kQuick}, [&](pg::Tx& tx) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kExpire, args));
        for (int i = 0; i < rows.size(); ++i) {
          CLM_RETURN_IF_ERROR(
              tx.Exec(kDropChunks, KeyArgs({std::string(rows[i].Text(0)), rows[i].Uuid(1)}))
                  .status());
        }
        return absl::OkStatus();
      });
}

absl::StatusOr<ImportJob> ImportStore::Get(const EntityKey& job, absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(job.tenant), deadline}, kGet, KeyArgs(job)));
  if (rows.empty()) return error::NotFound(EntityName(kImportJobs, job));
  return ReadJob(rows[0]);
}

absl::StatusOr<std::vector<ImportJob>> ImportStore::List(
    const std::string& tenant, const std::optional<std::pair<absl::Time, Uuid>>& after, int limit,
    absl::Time deadline) {
  pg::Args args;
  args.Add(tenant);
  if (after) {
    args.Add(after->first).Add(after->second);
  } else {
    args.AddNull().AddNull();
  }
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kList, args));
  std::vector<ImportJob> jobs;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(ImportJob job, ReadJob(rows[i]));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

absl::StatusOr<std::vector<ImportRowError>> ImportStore::Errors(
    const EntityKey& job, const std::pair<int64_t, std::string>& after, int limit,
    absl::Time deadline) {
  pg::Args args = KeyArgs(job);
  args.Add(after.first).Add(after.second).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(job.tenant), deadline}, kErrors, args));
  std::vector<ImportRowError> errors;
  for (int i = 0; i < rows.size(); ++i) {
    errors.push_back({rows[i].Int(0), std::string(rows[i].Text(1)), std::string(rows[i].Text(2))});
  }
  return errors;
}

std::vector<const pg::Statement*> ImportStatements() {
  return {&kBegin,     &kAddChunk, &kLock,   &kSave, &kClaim, &kRenew,      &kReadChunk, &kProgress,
          &kAddErrors, &kRelease,  &kExpire, &kGet,  &kList,  &kDropChunks, &kErrors};
}

}  // namespace clm::contact
