#include "services/feedback/case_handlers.h"

#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/page_token.h"
#include "libs/base/time_proto.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/feedback/case_mutation.h"
#include "services/feedback/contact_changes.h"

namespace clm::feedback {
namespace {

using v1::CaseChanged;

// Journal shards of what belongs to a tenant, not to a person.
constexpr char kPolicyShard[] = "casePolicy";
constexpr char kCalendarShard[] = "businessCalendar";

// A case to be opened; its contact may turn out to be another by now.
struct NewCase {
  journal::MutationInfo info;
  Case fresh;
};

void RunNewCase(journal::Lanes& lanes, NewCase made, rpc::Reply<v1::Case> reply,
                int tries = kMovedTries) {
  const EntityKey contact{made.fresh.key.tenant, *made.fresh.contact};
  made.fresh.shard = ShardOf(contact.tenant, contact.id);
  auto kept = std::make_shared<NewCase>(std::move(made));
  journal::MutationInfo info = kept->info;
  info.shards.set(kept->fresh.shard);
  info.aggregate = contact.id;
  lanes.Submit(std::make_unique<journal::MutationOf<FeedbackWork>>(
      std::move(info),
      [kept, contact](FeedbackWork& work) {
        work.Part<ContactsWork>().NeedContact(contact);
        work.Part<CaseWork>().NeedCase(kept->fresh.key);
        work.Part<CaseWork>().NeedOpenCases(contact);
      },
      [kept, contact](FeedbackWork& work,
                      journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(CheckContact(work.Part<ContactsWork>(), contact));
        auto& cases = work.Part<CaseWork>();
        CLM_RETURN_IF_ERROR(OpenNewCase(cases, recorder, kept->fresh));
        return ToProto(*cases.Find(kept->fresh.key), cases.CalendarOf(contact.tenant).calendar)
            .SerializeAsString();
      },
      [&lanes, kept, tries,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (const auto to = MovedTo(answer.status()); to && tries > 1) {
          kept->fresh.contact = *to;
          return RunNewCase(lanes, std::move(*kept), std::move(reply), tries - 1);
        }
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

v1::CaseNote ToProto(const StoredNote& note) {
  v1::CaseNote wire;
  wire.set_name(absl::StrCat(NameOfCase(note.key), "/notes/", note.id.ToString()));
  wire.set_text(note.text);
  wire.set_to_customer(note.to_customer);
  wire.set_author(note.author);
  clm::ToProto(note.create_time, wire.mutable_create_time());
  return wire;
}

absl::StatusOr<Resolution> ResolutionFrom(const v1::ResolveCaseRequest& request,
                                          const std::string& tenant) {
  Resolution resolution;
  resolution.solution = request.solution();
  resolution.root_cause = request.root_cause();
  if (request.remedy() != 0) resolution.remedy = static_cast<Remedy>(request.remedy());
  if (request.outcome() != 0) resolution.outcome = static_cast<DisputeOutcome>(request.outcome());
  if (!request.has_compensation()) return resolution;
  CLM_ASSIGN_OR_RETURN(const auto program,
                       ParseResourceName("compensation.program", "tenants/*/programs/*",
                                         request.compensation().program()));
  if (program[0] != tenant) {
    return error::InvalidField("compensation.program", "is another tenant's");
  }
  resolution.compensation = Compensation{.program = program[1],
                                         .wallet = request.compensation().wallet(),
                                         .points = request.compensation().points()};
  return resolution;
}

absl::StatusOr<v1::BusinessCalendar> UpdateCalendar(CaseWork& work, journal::Recorder& recorder,
                                                    const std::string& tenant,
                                                    const std::vector<std::string>& paths,
                                                    const v1::BusinessCalendar& patch) {
  const StoredCalendar& stored = work.CalendarOf(tenant);
  CLM_RETURN_IF_ERROR(CheckEtag("business_calendar.etag", patch.etag(), stored.version));
  v1::BusinessCalendar wire = ToProto(tenant, stored);
  rpc::ApplyMask(paths, patch, wire);
  error::FieldErrors errors;
  BusinessCalendar next = CalendarFrom("business_calendar", wire, errors);
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (next == stored.calendar) return ToProto(tenant, stored);
  work.SaveCalendar(tenant, {std::move(next), stored.version + 1, recorder.now()}, recorder.now());
  v1::BusinessCalendarChanged changed;
  *changed.mutable_calendar() = ToProto(tenant, work.CalendarOf(tenant));
  recorder.Record({.shard = ShardOf(tenant, absl::string_view(kCalendarShard)),
                   .tenant = tenant,
                   .subject = changed.calendar().name(),
                   .type = v1::BusinessCalendarChanged::descriptor()->full_name(),
                   .subject_version = work.CalendarOf(tenant).version,
                   .payload = changed.SerializeAsString()});
  return changed.calendar();
}

absl::StatusOr<v1::CasePolicy> UpdatePolicy(CaseWork& work, journal::Recorder& recorder,
                                            const std::string& tenant,
                                            const std::vector<std::string>& paths,
                                            const v1::CasePolicy& patch) {
  const StoredCasePolicy& stored = work.PolicyOf(tenant);
  CLM_RETURN_IF_ERROR(CheckEtag("case_policy.etag", patch.etag(), stored.version));
  v1::CasePolicy wire = ToProto(tenant, stored);
  rpc::ApplyMask(paths, patch, wire);
  error::FieldErrors errors;
  CasePolicy next = CasePolicyFrom("case_policy", wire, errors);
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (next == stored.policy) return ToProto(tenant, stored);
  work.SavePolicy(tenant, {std::move(next), stored.version + 1, recorder.now()});
  v1::CasePolicyChanged changed;
  *changed.mutable_policy() = ToProto(tenant, work.PolicyOf(tenant));
  recorder.Record({.shard = ShardOf(tenant, absl::string_view(kPolicyShard)),
                   .tenant = tenant,
                   .subject = changed.policy().name(),
                   .type = v1::CasePolicyChanged::descriptor()->full_name(),
                   .subject_version = work.PolicyOf(tenant).version,
                   .payload = changed.SerializeAsString()});
  return changed.policy();
}

}  // namespace

std::vector<StageThen> CaseHandlers::StagesOf(const std::string& contact,
                                              absl::Time deadline) const {
  std::vector<StageThen> stages;
  if (shared_.context_of == nullptr) return stages;
  // A case is opened without them where nobody answers.
  const auto context = shared_.context_of(contact, deadline);
  if (!context.ok()) return stages;
  for (const contact::v1::ContextStage& stage : context->stages()) {
    const auto model = ParseResourceName("model", "tenants/*/stageModels/*", stage.model());
    if (model.ok() && !stage.stage().empty()) stages.push_back({(*model)[1], stage.stage()});
  }
  return stages;
}

template <class Req>
void CaseHandlers::Run(const rpc::Call& call, const Req& request, CaseChanged::Change change,
                       Rule rule, rpc::Reply<v1::Case> reply) {
  const auto key = ParseEntityName("name", kCases, request.name());
  if (!key.ok()) return reply(key.status());
  CaseMutation<v1::Case> mutation;
  mutation.info = journal::InfoFor(call, key->tenant, request);
  mutation.key = *key;
  mutation.etag = request.etag();
  mutation.apply = [change, rule = std::move(rule)](
                       CaseWork& work, journal::Recorder& recorder,
                       const Case& before) -> absl::StatusOr<v1::Case> {
    CLM_ASSIGN_OR_RETURN(Case after, rule(before, recorder.now()));
    if (after != before) KeepCase(work, recorder, change, std::move(after));
    return ToProto(*work.Find(before.key), work.CalendarOf(before.key.tenant).calendar);
  };
  RunOnCase(shared_, reader_, call.deadline, std::move(mutation), std::move(reply));
}

void CaseHandlers::CreateCase(const rpc::Call& call, const v1::CreateCaseRequest& request,
                              rpc::Reply<v1::Case> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  const Uuid id = Uuid::Parse(request.case_id()).value_or(Uuid::V7(call.now));
  auto fresh = NewCaseFrom(request.case_(), {*tenant, id}, call.now);
  if (!fresh.ok()) return reply(fresh.status());
  fresh->stages = StagesOf(request.case_().contact(), call.deadline);
  RunNewCase(*shared_.lanes, {journal::InfoFor(call, *tenant, request), *std::move(fresh)},
             std::move(reply));
}

absl::StatusOr<v1::Case> CaseHandlers::GetCase(const rpc::Call& call,
                                               const v1::GetCaseRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("name", kCases, request.name()));
  CLM_ASSIGN_OR_RETURN(const Case found, reader_.Get(key, call.deadline));
  CLM_ASSIGN_OR_RETURN(const StoredCalendar calendar, reader_.Calendar(key.tenant, call.deadline));
  return ToProto(found, calendar.calendar);
}

absl::StatusOr<v1::ListCasesResponse> CaseHandlers::ListCases(const rpc::Call& call,
                                                              const v1::ListCasesRequest& request) {
  CaseReader::Query query;
  CLM_ASSIGN_OR_RETURN(query.tenant, ParseTenantName("parent", request.parent()));
  if (!request.contact().empty()) {
    CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                         ParseEntityName("contact", kContacts, request.contact()));
    if (contact.tenant != query.tenant) {
      return error::InvalidField("contact", "is another tenant's");
    }
    query.contact = contact.id;
  }
  query.filter = request.filter();
  query.now = call.now;
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListCases", request.parent(), request.contact(),
                                         request.filter()};
  CLM_ASSIGN_OR_RETURN(const auto last, shared_.tokens->Decode(list, request.page_token()));
  int64_t micros = 0;
  if (last.size() == 2 && absl::SimpleAtoi(last[0], &micros)) {
    query.before = {absl::FromUnixMicros(micros), Uuid::Parse(last[1]).value_or(Uuid())};
  }
  query.limit = size + 1;
  CLM_ASSIGN_OR_RETURN(auto cases, reader_.List(query, call.deadline));
  CLM_ASSIGN_OR_RETURN(const StoredCalendar calendar,
                       reader_.Calendar(query.tenant, call.deadline));
  v1::ListCasesResponse response;
  const bool more = static_cast<int>(cases.size()) > size;
  if (more) cases.resize(size);
  for (const Case& c : cases) *response.add_cases() = ToProto(c, calendar.calendar);
  if (more) {
    response.set_next_page_token(
        shared_.tokens->Encode(list, {absl::StrCat(absl::ToUnixMicros(cases.back().create_time)),
                                      cases.back().key.id.ToString()}));
  }
  return response;
}

void CaseHandlers::UpdateCase(const rpc::Call& call, const v1::UpdateCaseRequest& request,
                              rpc::Reply<v1::Case> reply) {
  const auto key = ParseEntityName("case.name", kCases, request.case_().name());
  if (!key.ok()) return reply(key.status());
  const auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.case_());
  if (!paths.ok()) return reply(paths.status());
  const auto patch = CasePatchFrom(*paths, request.case_());
  if (!patch.ok()) return reply(patch.status());
  CaseMutation<v1::Case> update;
  update.info = journal::InfoFor(call, key->tenant, request);
  update.key = *key;
  update.etag_field = "case.etag";
  update.etag = request.case_().etag();
  update.apply = [patch = *patch](CaseWork& work, journal::Recorder& recorder,
                                  const Case& before) -> absl::StatusOr<v1::Case> {
    CLM_ASSIGN_OR_RETURN(Case after, feedback::UpdateCase(before, patch, recorder.now()));
    if (after != before) {
      KeepCase(work, recorder, CaseChanged::CHANGE_UPDATED, std::move(after));
    }
    return ToProto(*work.Find(before.key), work.CalendarOf(before.key.tenant).calendar);
  };
  RunOnCase(shared_, reader_, call.deadline, std::move(update), std::move(reply));
}

void CaseHandlers::AcknowledgeCase(const rpc::Call& call, const v1::AcknowledgeCaseRequest& request,
                                   rpc::Reply<v1::Case> reply) {
  Run(
      call, request, CaseChanged::CHANGE_ACKNOWLEDGED,
      [owner = request.owner(), actor = call.caller.actor](const Case& before, absl::Time now) {
        return feedback::AcknowledgeCase(before, owner, actor, now);
      },
      std::move(reply));
}

void CaseHandlers::InvestigateCase(const rpc::Call& call, const v1::InvestigateCaseRequest& request,
                                   rpc::Reply<v1::Case> reply) {
  Run(call, request, CaseChanged::CHANGE_INVESTIGATED, &feedback::InvestigateCase,
      std::move(reply));
}

void CaseHandlers::AwaitCase(const rpc::Call& call, const v1::AwaitCaseRequest& request,
                             rpc::Reply<v1::Case> reply) {
  Run(call, request, CaseChanged::CHANGE_AWAITING_CUSTOMER, &AwaitCustomer, std::move(reply));
}

void CaseHandlers::ResumeCase(const rpc::Call& call, const v1::ResumeCaseRequest& request,
                              rpc::Reply<v1::Case> reply) {
  Run(call, request, CaseChanged::CHANGE_RESUMED, &feedback::ResumeCase, std::move(reply));
}

void CaseHandlers::HoldCase(const rpc::Call& call, const v1::HoldCaseRequest& request,
                            rpc::Reply<v1::Case> reply) {
  Run(call, request, CaseChanged::CHANGE_HELD, &feedback::HoldCase, std::move(reply));
}

void CaseHandlers::ResolveCase(const rpc::Call& call, const v1::ResolveCaseRequest& request,
                               rpc::Reply<v1::Case> reply) {
  const auto key = ParseEntityName("name", kCases, request.name());
  if (!key.ok()) return reply(key.status());
  auto resolution = ResolutionFrom(request, key->tenant);
  if (!resolution.ok()) return reply(resolution.status());
  Run(
      call, request, CaseChanged::CHANGE_RESOLVED,
      [resolution = *std::move(resolution)](const Case& before, absl::Time now) {
        return feedback::ResolveCase(before, resolution, now);
      },
      std::move(reply));
}

void CaseHandlers::CloseCase(const rpc::Call& call, const v1::CloseCaseRequest& request,
                             rpc::Reply<v1::Case> reply) {
  Run(call, request, CaseChanged::CHANGE_CLOSED, &feedback::CloseCase, std::move(reply));
}

void CaseHandlers::ReopenCase(const rpc::Call& call, const v1::ReopenCaseRequest& request,
                              rpc::Reply<v1::Case> reply) {
  Run(
      call, request, CaseChanged::CHANGE_REOPENED,
      [reason = request.reason()](const Case& before, absl::Time now) {
        return feedback::ReopenCase(before, reason, now);
      },
      std::move(reply));
}

void CaseHandlers::EscalateCase(const rpc::Call& call, const v1::EscalateCaseRequest& request,
                                rpc::Reply<v1::Case> reply) {
  Run(
      call, request, CaseChanged::CHANGE_ESCALATED,
      [owner = request.owner(), reason = request.reason()](const Case& before, absl::Time now) {
        return feedback::EscalateCase(before, owner, reason, now);
      },
      std::move(reply));
}

void CaseHandlers::WithdrawCase(const rpc::Call& call, const v1::WithdrawCaseRequest& request,
                                rpc::Reply<v1::Case> reply) {
  Run(
      call, request, CaseChanged::CHANGE_WITHDRAWN,
      [reason = request.reason()](const Case& before, absl::Time now) {
        return feedback::WithdrawCase(before, reason, now);
      },
      std::move(reply));
}

void CaseHandlers::AddCaseNote(const rpc::Call& call, const v1::AddCaseNoteRequest& request,
                               rpc::Reply<v1::CaseNote> reply) {
  const auto key = ParseEntityName("parent", kCases, request.parent());
  if (!key.ok()) return reply(key.status());
  if (!request.note().name().empty()) {
    return reply(error::InvalidField("note.name", "must be empty: it is given"));
  }
  CaseMutation<v1::CaseNote> add;
  add.info = journal::InfoFor(call, key->tenant, request);
  add.key = *key;
  add.apply = [text = request.note().text(), to_customer = request.note().to_customer(),
               author = call.caller.actor](CaseWork& work, journal::Recorder& recorder,
                                           const Case& before) -> absl::StatusOr<v1::CaseNote> {
    CLM_ASSIGN_OR_RETURN(Case after, NoteOnCase(before, to_customer, recorder.now()));
    const StoredNote note{before.key, after.notes,   Uuid::V7(recorder.now()), text, to_customer,
                          author,     recorder.now()};
    work.AddNote(note);
    KeepCase(work, recorder, CaseChanged::CHANGE_NOTED, std::move(after));
    return ToProto(note);
  };
  RunOnCase(shared_, reader_, call.deadline, std::move(add), std::move(reply));
}

absl::StatusOr<v1::ListCaseNotesResponse> CaseHandlers::ListCaseNotes(
    const rpc::Call& call, const v1::ListCaseNotesRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("parent", kCases, request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListCaseNotes", request.parent()};
  CLM_ASSIGN_OR_RETURN(const auto last, shared_.tokens->Decode(list, request.page_token()));
  int64_t after = 0;
  if (last.size() == 1 && !absl::SimpleAtoi(last[0], &after)) after = 0;
  CLM_RETURN_IF_ERROR(reader_.Get(key, call.deadline).status());
  CLM_ASSIGN_OR_RETURN(auto notes, reader_.Notes(key, after, size + 1, call.deadline));
  v1::ListCaseNotesResponse response;
  const bool more = static_cast<int>(notes.size()) > size;
  if (more) notes.resize(size);
  for (const StoredNote& note : notes) *response.add_notes() = ToProto(note);
  if (more) {
    response.set_next_page_token(shared_.tokens->Encode(list, {absl::StrCat(notes.back().number)}));
  }
  return response;
}

void CaseHandlers::AddCaseEvidence(const rpc::Call& call, const v1::AddCaseEvidenceRequest& request,
                                   rpc::Reply<v1::Case> reply) {
  const v1::CaseEvidence& wire = request.evidence();
  Evidence evidence{wire.kind(), wire.description(), wire.url(), call.now, call.caller.actor};
  Run(
      call, request, CaseChanged::CHANGE_EVIDENCE_ADDED,
      [evidence = std::move(evidence)](const Case& before, absl::Time now) {
        return AddEvidence(before, evidence, now);
      },
      std::move(reply));
}

void CaseHandlers::CompleteCaseStep(const rpc::Call& call,
                                    const v1::CompleteCaseStepRequest& request,
                                    rpc::Reply<v1::Case> reply) {
  Run(
      call, request, CaseChanged::CHANGE_STEP_DONE,
      [step = request.step(), actor = call.caller.actor](const Case& before, absl::Time now) {
        return CheckStep(before, step, actor, now);
      },
      std::move(reply));
}

absl::StatusOr<v1::BusinessCalendar> CaseHandlers::GetBusinessCalendar(
    const rpc::Call& call, const v1::GetBusinessCalendarRequest& request) {
  CLM_ASSIGN_OR_RETURN(const auto ids, ParseResourceName("name", kCalendarPattern, request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredCalendar stored, reader_.Calendar(ids[0], call.deadline));
  return ToProto(ids[0], stored);
}

void CaseHandlers::UpdateBusinessCalendar(const rpc::Call& call,
                                          const v1::UpdateBusinessCalendarRequest& request,
                                          rpc::Reply<v1::BusinessCalendar> reply) {
  const auto ids = ParseResourceName("business_calendar.name", kCalendarPattern,
                                     request.business_calendar().name());
  if (!ids.ok()) return reply(ids.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.business_calendar());
  if (!paths.ok()) return reply(paths.status());
  journal::MutationInfo info = journal::InfoFor(call, (*ids)[0], request);
  // No case is changed by the old one meanwhile.
  info.shards.set();
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [tenant = (*ids)[0]](FeedbackWork& work) { work.Part<CaseWork>().NeedTenant(tenant); },
      [tenant = (*ids)[0], paths = *std::move(paths), patch = request.business_calendar()](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const v1::BusinessCalendar calendar,
                             UpdateCalendar(work.Part<CaseWork>(), recorder, tenant, paths, patch));
        return calendar.SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::CasePolicy> CaseHandlers::GetCasePolicy(
    const rpc::Call& call, const v1::GetCasePolicyRequest& request) {
  CLM_ASSIGN_OR_RETURN(const auto ids, ParseResourceName("name", kPolicyPattern, request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredCasePolicy stored, reader_.Policy(ids[0], call.deadline));
  return ToProto(ids[0], stored);
}

void CaseHandlers::UpdateCasePolicy(const rpc::Call& call,
                                    const v1::UpdateCasePolicyRequest& request,
                                    rpc::Reply<v1::CasePolicy> reply) {
  const auto ids =
      ParseResourceName("case_policy.name", kPolicyPattern, request.case_policy().name());
  if (!ids.ok()) return reply(ids.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.case_policy());
  if (!paths.ok()) return reply(paths.status());
  journal::MutationInfo info = journal::InfoFor(call, (*ids)[0], request);
  info.shards.set(ShardOf((*ids)[0], absl::string_view(kPolicyShard)));
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [tenant = (*ids)[0]](FeedbackWork& work) { work.Part<CaseWork>().NeedTenant(tenant); },
      [tenant = (*ids)[0], paths = *std::move(paths), patch = request.case_policy()](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const v1::CasePolicy policy,
                             UpdatePolicy(work.Part<CaseWork>(), recorder, tenant, paths, patch));
        return policy.SerializeAsString();
      },
      std::move(reply));
}

}  // namespace clm::feedback
