#include "services/contact/import_handlers.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/fingerprint.h"
#include "services/contact/contact_proto.h"

namespace clm::contact {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 30;
// Chunks are stored in rows of about this size, whatever the caller sends.
constexpr size_t kChunkBytes = 512 * 1024;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }
  void Add(absl::string_view data) { EVP_DigestUpdate(context_.get(), data.data(), data.size()); }
  std::string Finish() {
    std::string hash(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(hash.data()), &size);
    hash.resize(size);
    return hash;
  }

 private:
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

v1::ImportJob ToProto(const ImportJob& job) {
  v1::ImportJob out;
  out.set_name(EntityName(kImportJobs, job.key));
  out.set_display_name(job.display_name);
  out.set_format(static_cast<v1::ImportJob::Format>(job.format));
  out.set_kind(static_cast<v1::ImportJob::Kind>(job.kind));
  for (const auto& [column, field] : job.columns) (*out.mutable_columns())[column] = field;
  out.set_key(job.key_field);
  out.set_source(job.source);
  out.set_topic(job.topic);
  out.set_currency(job.currency);
  out.set_validate_only(job.validate_only);
  out.set_state(static_cast<v1::ImportJob::State>(job.state));
  out.set_read_count(job.counts.read);
  out.set_created_count(job.counts.created);
  out.set_updated_count(job.counts.updated);
  out.set_unchanged_count(job.counts.unchanged);
  out.set_failed_count(job.counts.failed);
  out.set_size_bytes(job.size_bytes);
  out.set_done_bytes(job.done_bytes);
  if (job.error_code != 0) {
    out.mutable_error()->set_code(job.error_code);
    out.mutable_error()->set_message(job.error_message);
  }
  ::clm::contact::ToProto(job.create_time, out.mutable_create_time());
  if (job.end_time) ::clm::contact::ToProto(*job.end_time, out.mutable_end_time());
  return out;
}

// What the caller wants, as a job to be stored.
absl::StatusOr<ImportJob> JobFrom(const rpc::Call& call, const v1::ImportStart& start) {
  ImportJob job;
  CLM_ASSIGN_OR_RETURN(job.key.tenant, ParseTenantName("start.parent", start.parent()));
  const std::string request_id = absl::AsciiStrToLower(start.request_id());
  // The id of a request is that of its job, so a repetition finds it.
  job.key.id = request_id.empty()
                   ? Uuid::V7(call.now)
                   : Uuid::V5(Uuid(), absl::StrCat("import/", job.key.tenant, "/", request_id));
  const v1::ImportJob& wanted = start.import_job();
  job.display_name = wanted.display_name();
  job.format = static_cast<FileFormat>(wanted.format());
  job.kind = static_cast<ImportKind>(wanted.kind());
  for (const auto& [column, field] : wanted.columns()) job.columns[column] = field;
  job.key_field = wanted.key().empty() ? std::string(kEmailType) : wanted.key();
  job.source = wanted.source();
  job.topic = wanted.topic();
  job.currency = wanted.currency();
  job.validate_only = wanted.validate_only();
  job.actor = call.caller.actor;
  job.create_time = call.now;
  const absl::Status valid = ValidateImportOptions(OptionsOf(job));
  if (!valid.ok()) {
    error::FieldErrors errors;
    errors.AddStatus("start.import_job", valid);
    return errors.ToStatus();
  }
  return job;
}

bool SameRequest(const ImportJob& a, const ImportJob& b) {
  return a.display_name == b.display_name && a.format == b.format && a.kind == b.kind &&
         a.columns == b.columns && a.key_field == b.key_field && a.source == b.source &&
         a.topic == b.topic && a.currency == b.currency && a.validate_only == b.validate_only;
}

}  // namespace

void SaveImportJob(ContactWork& work, journal::Recorder& recorder, const ImportJob& job) {
  v1::ImportJobChanged payload;
  payload.set_import_job(EntityName(kImportJobs, job.key));
  payload.set_state(static_cast<v1::ImportJob::State>(job.state));
  payload.set_kind(static_cast<v1::ImportJob::Kind>(job.kind));
  payload.set_validate_only(job.validate_only);
  payload.set_size_bytes(job.size_bytes);
  // States are only left upwards, so they count the changes that are told.
  recorder.Record({ShardOf(job.key.tenant, job.key.id), job.key.tenant, payload.import_job(),
                   v1::ImportJobChanged::descriptor()->full_name(), static_cast<int>(job.state),
                   std::nullopt, "", payload.SerializeAsString()});
  work.SaveImportJob(job);
}

ImportOptions OptionsOf(const ImportJob& job) {
  ImportOptions options;
  options.kind = job.kind;
  options.columns = job.columns;
  options.key = job.key_field;
  options.source = job.source;
  options.topic = job.topic;
  options.currency = job.currency;
  if (job.kind == ImportKind::kEvents && options.source.empty()) options.source = "import";
  return options;
}

absl::StatusOr<v1::ImportJob> ImportHandlers::UploadImport(
    const rpc::Call& call, rpc::Reader<v1::UploadImportRequest>& reader) {
  v1::UploadImportRequest message;
  if (!reader.Read(&message)) return reader.status();
  if (!message.has_start()) {
    return error::InvalidField("start", "the first message must describe the import");
  }
  const v1::ImportStart start = message.start();
  CLM_ASSIGN_OR_RETURN(const ImportJob wanted, JobFrom(call, start));
  const Uuid owner = Uuid::V7(call.now);
  CLM_ASSIGN_OR_RETURN(const std::optional<ImportJob> stored,
                       store_->Begin(wanted, owner, call.deadline));

  Sha256 hash;
  int64_t size = 0;
  int seq = 0;
  std::string pending;
  const auto store = [&]() -> absl::Status {
    if (pending.empty() || stored) return absl::OkStatus();
    CLM_RETURN_IF_ERROR(store_->AddChunk(wanted.key, owner, seq++, pending, call.deadline));
    pending.clear();
    Failpoint("import.chunk");
    return absl::OkStatus();
  };
  while (reader.Read(&message)) {
    if (message.has_start()) {
      return error::InvalidField("start", "only the first message may describe the import");
    }
    size += static_cast<int64_t>(message.chunk().size());
    if (size > kMaxFileBytes) {
      return error::InvalidField("chunk", "the file is larger than 1 GiB; split it");
    }
    hash.Add(message.chunk());
    if (stored) continue;
    pending += message.chunk();
    if (pending.size() >= kChunkBytes) CLM_RETURN_IF_ERROR(store());
  }
  CLM_RETURN_IF_ERROR(reader.status());
  const std::string content_hash = hash.Finish();
  if (stored) {
    if (stored->content_hash != content_hash || !SameRequest(*stored, wanted)) {
      return error::Make(absl::StatusCode::kInvalidArgument, "REQUEST_ID_REUSED",
                         "start.request_id: already used for a different import; make a new one");
    }
    return ToProto(*stored);
  }
  CLM_RETURN_IF_ERROR(store());
  journal::MutationInfo info = journal::InfoFor(call, wanted.key.tenant, start);
  // The file is of the request too.
  if (!info.request_id.empty()) {
    info.fingerprint = rpc::Fingerprint(
        start, absl::StrCat(call.method, "/", absl::BytesToHexString(content_hash)));
  }
  info.shards.set(ShardOf(wanted.key.tenant, wanted.key.id));
  CLM_ASSIGN_OR_RETURN(
      const journal::Answer answer,
      lanes_->Run<ContactWork>(
          std::move(info), [&](ContactWork& work) { work.NeedImportJob(wanted.key); },
          [&](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
            const ImportJob* before = work.FindImportJob(wanted.key);
            if (before == nullptr) return FencedImport();
            CLM_ASSIGN_OR_RETURN(const ImportJob after, Seal(*before, owner, content_hash, size));
            SaveImportJob(work, recorder, after);
            return ToProto(after).SerializeAsString();
          }));
  wake_();
  v1::ImportJob sealed;
  if (!sealed.ParseFromString(answer.response)) return error::Internal("the answer does not parse");
  return sealed;
}

absl::StatusOr<v1::ImportJob> ImportHandlers::GetImportJob(const rpc::Call& call,
                                                           const v1::GetImportJobRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("name", kImportJobs, request.name()));
  CLM_ASSIGN_OR_RETURN(const ImportJob job, store_->Get(key, call.deadline));
  return ToProto(job);
}

absl::StatusOr<v1::ListImportJobsResponse> ImportHandlers::ListImportJobs(
    const rpc::Call& call, const v1::ListImportJobsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListImportJobs", tenant};
  CLM_ASSIGN_OR_RETURN(const auto last, tokens_->Decode(list, request.page_token()));
  std::optional<std::pair<absl::Time, Uuid>> after;
  if (last.size() == 2) {
    int64_t micros = 0;
    const auto id = Uuid::FromBytes(last[1]);
    if (absl::SimpleAtoi(last[0], &micros) && id) after = {absl::FromUnixMicros(micros), *id};
  }
  CLM_ASSIGN_OR_RETURN(const auto jobs, store_->List(tenant, after, size + 1, call.deadline));
  v1::ListImportJobsResponse response;
  const size_t shown = std::min<size_t>(size, jobs.size());
  for (size_t i = 0; i < shown; ++i) *response.add_import_jobs() = ToProto(jobs[i]);
  if (jobs.size() > shown) {
    const ImportJob& end = jobs[shown - 1];
    response.set_next_page_token(tokens_->Encode(
        list, {absl::StrCat(absl::ToUnixMicros(end.create_time)), end.key.id.ToBytes()}));
  }
  return response;
}

void ImportHandlers::CancelImportJob(const rpc::Call& call,
                                     const v1::CancelImportJobRequest& request,
                                     rpc::Reply<v1::ImportJob> reply) {
  const auto key = ParseEntityName("name", kImportJobs, request.name());
  if (!key.ok()) return reply(key.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(ShardOf(key->tenant, key->id));
  journal::Mutate<ContactWork>(
      *lanes_, std::move(info), [key = *key](ContactWork& work) { work.NeedImportJob(key); },
      [key = *key](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const ImportJob* before = work.FindImportJob(key);
        if (before == nullptr) return error::NotFound(EntityName(kImportJobs, key));
        CLM_ASSIGN_OR_RETURN(const auto after, Cancel(*before, recorder.now()));
        if (!after) return ToProto(*before).SerializeAsString();
        SaveImportJob(work, recorder, *after);
        return ToProto(*after).SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::ListImportErrorsResponse> ImportHandlers::ListImportErrors(
    const rpc::Call& call, const v1::ListImportErrorsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key,
                       ParseEntityName("parent", kImportJobs, request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListImportErrors", request.parent()};
  CLM_ASSIGN_OR_RETURN(const auto last, tokens_->Decode(list, request.page_token()));
  std::pair<int64_t, std::string> after;
  if (last.size() == 2 && absl::SimpleAtoi(last[0], &after.first)) after.second = last[1];
  CLM_RETURN_IF_ERROR(store_->Get(key, call.deadline).status());
  CLM_ASSIGN_OR_RETURN(const auto errors, store_->Errors(key, after, size + 1, call.deadline));
  v1::ListImportErrorsResponse response;
  const size_t shown = std::min<size_t>(size, errors.size());
  for (size_t i = 0; i < shown; ++i) {
    auto* out = response.add_errors();
    out->set_row(errors[i].row);
    out->set_field(errors[i].field);
    out->set_reason(errors[i].reason);
  }
  if (errors.size() > shown) {
    const ImportRowError& end = errors[shown - 1];
    response.set_next_page_token(tokens_->Encode(list, {absl::StrCat(end.row), end.field}));
  }
  return response;
}

}  // namespace clm::contact
