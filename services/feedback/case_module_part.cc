#include "services/feedback/case_module_part.h"

#include <string>

#include "clm/feedback/v1/case_service.grpc.pb.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/obs/log.h"
#include "libs/rpc/client.h"
#include "libs/rpc/service.h"
#include "libs/rpc/status.h"

namespace clm::feedback {
namespace {

constexpr char kLoyalty[] = "loyalty";
constexpr char kSource[] = "feedback.case";
constexpr absl::Duration kGrantTimeout = absl::Seconds(2);

class CaseBinding : public rpc::Service {
 public:
  CaseBinding(rpc::Host& host, CaseHandlers& handlers)
      : Service(host, v1::CaseService::service_full_name()) {
    Bind("CreateCase", &handlers, &CaseHandlers::CreateCase);
    Bind("GetCase", &handlers, &CaseHandlers::GetCase);
    Bind("ListCases", &handlers, &CaseHandlers::ListCases);
    Bind("UpdateCase", &handlers, &CaseHandlers::UpdateCase);
    Bind("AcknowledgeCase", &handlers, &CaseHandlers::AcknowledgeCase);
    Bind("InvestigateCase", &handlers, &CaseHandlers::InvestigateCase);
    Bind("AwaitCase", &handlers, &CaseHandlers::AwaitCase);
    Bind("ResumeCase", &handlers, &CaseHandlers::ResumeCase);
    Bind("HoldCase", &handlers, &CaseHandlers::HoldCase);
    Bind("ResolveCase", &handlers, &CaseHandlers::ResolveCase);
    Bind("CloseCase", &handlers, &CaseHandlers::CloseCase);
    Bind("ReopenCase", &handlers, &CaseHandlers::ReopenCase);
    Bind("EscalateCase", &handlers, &CaseHandlers::EscalateCase);
    Bind("WithdrawCase", &handlers, &CaseHandlers::WithdrawCase);
    Bind("AddCaseNote", &handlers, &CaseHandlers::AddCaseNote);
    Bind("ListCaseNotes", &handlers, &CaseHandlers::ListCaseNotes);
    Bind("AddCaseEvidence", &handlers, &CaseHandlers::AddCaseEvidence);
    Bind("CompleteCaseStep", &handlers, &CaseHandlers::CompleteCaseStep);
    Bind("GetBusinessCalendar", &handlers, &CaseHandlers::GetBusinessCalendar);
    Bind("UpdateBusinessCalendar", &handlers, &CaseHandlers::UpdateBusinessCalendar);
    Bind("GetCasePolicy", &handlers, &CaseHandlers::GetCasePolicy);
    Bind("UpdateCasePolicy", &handlers, &CaseHandlers::UpdateCasePolicy);
  }
};

absl::Status NobodyGrants() {
  return error::Unavailable("UNANSWERED", "there is no loyalty service to ask", absl::Seconds(1));
}

absl::StatusOr<std::string> AskLoyalty(app::Runtime& runtime, const PointsGrant& grant) {
  const auto channel = runtime.Channel(kLoyalty);
  if (!channel.ok()) return NobodyGrants();
  const auto stub = loyalty::v1::LedgerService::NewStub(*channel);
  grpc::ClientContext context;
  rpc::PrepareContext(runtime.identity(), kGrantTimeout, &context);
  loyalty::v1::EarnPointsRequest request;
  request.set_member(grant.member);
  request.set_wallet(grant.wallet);
  request.set_amount(grant.points);
  request.set_reason(grant.reason);
  request.set_source(kSource);
  request.set_external_id(grant.external_id);
  request.set_request_id(grant.request_id);
  loyalty::v1::PostingResponse response;
  CLM_RETURN_IF_ERROR(rpc::FromGrpc(stub->EarnPoints(&context, request, &response)));
  return response.posting().name();
}

}  // namespace

CaseModulePart::CaseModulePart(const FeedbackParts& shared)
    : shared_(shared),
      reader_(shared.pool),
      handlers_(shared, &reader_),
      grant_([](const PointsGrant&) { return NobodyGrants(); }),
      due_(shared_, {.reader = &reader_,
                     .grant = [this](const PointsGrant& grant) { return grant_(grant); },
                     .on_trouble =
                         [](const absl::Status& status) {
                           obs::Warn("what is due of cases is held up", {{"error", status}});
                         }}) {}

absl::Status CaseModulePart::Register(app::Runtime& runtime) {
  return runtime.Register(std::make_unique<CaseBinding>(runtime.host(), handlers_));
}

absl::Status CaseModulePart::Serve(app::Runtime& runtime) {
  grant_ = [&runtime](const PointsGrant& grant) { return AskLoyalty(runtime, grant); };
  due_.Start();
  return absl::OkStatus();
}

std::vector<const pg::Statement*> CaseModulePart::Statements() const {
  std::vector<const pg::Statement*> statements = CaseWorkStatements();
  const std::vector<const pg::Statement*> of_reader = CaseReaderStatements();
  statements.insert(statements.end(), of_reader.begin(), of_reader.end());
  return statements;
}

}  // namespace clm::feedback
