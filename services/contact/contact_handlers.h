// What the RPCs of ContactService and TimelineService do, in which order. Decisions are in the pure
// rules; SQL is in contact_work and contact_reader.
#ifndef CLM_SERVICES_CONTACT_CONTACT_HANDLERS_H_
#define CLM_SERVICES_CONTACT_CONTACT_HANDLERS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact_service.pb.h"
#include "clm/contact/v1/timeline_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "libs/rpc/stream.h"
#include "libs/rpc/workers.h"
#include "services/contact/contact_context.h"
#include "services/contact/contact_reader.h"
#include "services/contact/contact_work.h"
#include "services/contact/known_policies.h"
#include "services/contact/upsert.h"

namespace clm::contact {

// Everything handlers share; all of it outlives them.
struct ContactParts {
  journal::Lanes* lanes = nullptr;
  ContactReader* reader = nullptr;
  ContactContext* context = nullptr;
  rpc::Workers* workers = nullptr;
  // For what waits for another service: that one may need `workers` of this very process.
  rpc::Workers* callers = nullptr;
  const PageTokens* tokens = nullptr;
  KnownPolicies* policies = nullptr;
};

// Calls `run` with the identity policy of the tenant: at once where the process knows it, on a
// worker otherwise.
void WithPolicy(const ContactParts& parts, const std::string& tenant, absl::Time now,
                absl::Time deadline,
                absl::AnyInvocable<void(absl::StatusOr<IdentityPolicyPtr>)> run);

// Thread-safe.
class ContactHandlers {
 public:
  explicit ContactHandlers(const ContactParts& parts) : parts_(parts) {}

  void CreateContact(const rpc::Call& call, const v1::CreateContactRequest& request,
                     rpc::Reply<v1::Contact> reply);
  void GetContact(const rpc::Call& call, const v1::GetContactRequest& request,
                  rpc::Reply<v1::Contact> reply);
  absl::StatusOr<v1::BatchGetContactsResponse> BatchGetContacts(
      const rpc::Call& call, const v1::BatchGetContactsRequest& request);
  absl::StatusOr<v1::Contact> LookupContact(const rpc::Call& call,
                                            const v1::LookupContactRequest& request);
  absl::StatusOr<v1::ListContactsResponse> ListContacts(const rpc::Call& call,
                                                        const v1::ListContactsRequest& request);
  void UpdateContact(const rpc::Call& call, const v1::UpdateContactRequest& request,
                     rpc::Reply<v1::Contact> reply);
  void UpsertContact(const rpc::Call& call, const v1::UpsertContactRequest& request,
                     rpc::Reply<v1::UpsertContactResponse> reply);
  void BatchUpsertContacts(const rpc::Call& call, const v1::BatchUpsertContactsRequest& request,
                           rpc::Reply<v1::BatchUpsertContactsResponse> reply);
  void BlockContact(const rpc::Call& call, const v1::ContactVerbRequest& request,
                    rpc::Reply<v1::Contact> reply);
  void UnblockContact(const rpc::Call& call, const v1::ContactVerbRequest& request,
                      rpc::Reply<v1::Contact> reply);
  void DeactivateContact(const rpc::Call& call, const v1::ContactVerbRequest& request,
                         rpc::Reply<v1::Contact> reply);
  void ReactivateContact(const rpc::Call& call, const v1::ContactVerbRequest& request,
                         rpc::Reply<v1::Contact> reply);
  void EraseContact(const rpc::Call& call, const v1::EraseContactRequest& request,
                    rpc::Reply<v1::Contact> reply);
  absl::StatusOr<v1::ExportContactResponse> ExportContact(const rpc::Call& call,
                                                          const v1::ExportContactRequest& request);
  absl::Status StreamContactExport(const rpc::Call& call, const v1::ExportContactRequest& request,
                                   rpc::Writer<v1::ExportContactResponse>& writer);
  void MergeContacts(const rpc::Call& call, const v1::MergeContactsRequest& request,
                     rpc::Reply<v1::MergeContactsResponse> reply);
  void GetCustomerContext(const rpc::Call& call, const v1::GetCustomerContextRequest& request,
                          rpc::Reply<v1::CustomerContext> reply);
  absl::StatusOr<v1::ListAttributeHistoryResponse> ListAttributeHistory(
      const rpc::Call& call, const v1::ListAttributeHistoryRequest& request);
  void CreateAttributeDefinition(const rpc::Call& call,
                                 const v1::CreateAttributeDefinitionRequest& request,
                                 rpc::Reply<v1::AttributeDefinition> reply);
  void UpdateAttributeDefinition(const rpc::Call& call,
                                 const v1::UpdateAttributeDefinitionRequest& request,
                                 rpc::Reply<v1::AttributeDefinition> reply);
  absl::StatusOr<v1::ListAttributeDefinitionsResponse> ListAttributeDefinitions(
      const rpc::Call& call, const v1::ListAttributeDefinitionsRequest& request);

 private:
  // One status verb: `move` is the rule.
  void Verb(const rpc::Call& call, const v1::ContactVerbRequest& request,
            absl::StatusOr<Change> (*move)(const Contact& before, absl::Time now),
            rpc::Reply<v1::Contact> reply);
  template <class Resp>
  void Answered(const rpc::Call& call, Answer what, const EntityKey& key,
                const Freshness& freshness, rpc::Workers* workers, rpc::Reply<Resp> reply);

  const ContactParts parts_;
};

// Thread-safe.
class TimelineHandlers {
 public:
  explicit TimelineHandlers(const ContactParts& parts) : parts_(parts) {}

  void IngestEvents(const rpc::Call& call, const v1::IngestEventsRequest& request,
                    rpc::Reply<v1::IngestEventsResponse> reply);
  absl::StatusOr<v1::ListEventsResponse> ListEvents(const rpc::Call& call,
                                                    const v1::ListEventsRequest& request);
  void CreateAcquisitionCost(const rpc::Call& call, const v1::CreateAcquisitionCostRequest& request,
                             rpc::Reply<v1::AcquisitionCost> reply);
  absl::StatusOr<v1::ListIdentityViolationsResponse> ListIdentityViolations(
      const rpc::Call& call, const v1::ListIdentityViolationsRequest& request);
  absl::StatusOr<v1::ListAcquisitionCostsResponse> ListAcquisitionCosts(
      const rpc::Call& call, const v1::ListAcquisitionCostsRequest& request);

 private:
  const ContactParts parts_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_HANDLERS_H_
