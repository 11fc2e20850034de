// What the RPCs of ConsentService do, in which order. Decisions are in consent.h.
#ifndef CLM_SERVICES_CONTACT_CONSENT_HANDLERS_H_
#define CLM_SERVICES_CONTACT_CONSENT_HANDLERS_H_

#include <memory>
#include <string>
#include <vector>

#include "clm/contact/v1/consent_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/contact/contact_handlers.h"

namespace clm::contact {

// Records for the journal that what a contact agreed to has changed: `fields` as
// "topics.newsletter", "consents.marketing", "suppressions.email". The contact is loaded.
void RecordConsentChange(const ContactWork& work, journal::Recorder& recorder,
                         const EntityKey& contact, std::vector<std::string> fields,
                         const std::string& cause = "");

// Thread-safe.
class ConsentHandlers {
 public:
  explicit ConsentHandlers(const ContactParts& parts) : parts_(parts) {}

  void CreateTopic(const rpc::Call& call, const v1::CreateTopicRequest& request,
                   rpc::Reply<v1::Topic> reply);
  absl::StatusOr<v1::ListTopicsResponse> ListTopics(const rpc::Call& call,
                                                    const v1::ListTopicsRequest& request);
  void Subscribe(const rpc::Call& call, const v1::SubscribeRequest& request,
                 rpc::Reply<v1::Subscription> reply);
  void Unsubscribe(const rpc::Call& call, const v1::SubscribeRequest& request,
                   rpc::Reply<v1::Subscription> reply);
  void RecordConsent(const rpc::Call& call, const v1::RecordConsentRequest& request,
                     rpc::Reply<v1::ConsentAct> reply);
  absl::StatusOr<v1::ListConsentActsResponse> ListConsentActs(
      const rpc::Call& call, const v1::ListConsentActsRequest& request);
  absl::StatusOr<v1::ListSubscriptionsResponse> ListSubscriptions(
      const rpc::Call& call, const v1::ListSubscriptionsRequest& request);
  void SuppressAddress(const rpc::Call& call, const v1::SuppressAddressRequest& request,
                       rpc::Reply<v1::Suppression> reply);
  void LiftSuppression(const rpc::Call& call, const v1::LiftSuppressionRequest& request,
                       rpc::Reply<v1::LiftSuppressionResponse> reply);
  absl::StatusOr<v1::ListSuppressionsResponse> ListSuppressions(
      const rpc::Call& call, const v1::ListSuppressionsRequest& request);
  absl::StatusOr<v1::CheckReachResponse> CheckReach(const rpc::Call& call,
                                                    const v1::CheckReachRequest& request);

 private:
  // Subscribe and Unsubscribe.
  void Move(const rpc::Call& call, const v1::SubscribeRequest& request, bool subscribe,
            rpc::Reply<v1::Subscription> reply);

  const ContactParts parts_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONSENT_HANDLERS_H_
