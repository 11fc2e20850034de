// A lifecycle database of one test with the handlers of InsightsService over it, called as the
// server would.
#ifndef CLM_SERVICES_LIFECYCLE_INSIGHTS_FIXTURE_H_
#define CLM_SERVICES_LIFECYCLE_INSIGHTS_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "libs/base/time_text.h"
#include "services/lifecycle/insights_module_part.h"
#include "services/lifecycle/lifecycle_fixture.h"

namespace clm::lifecycle {

class InsightsTest : public LifecycleTest {
 protected:
  InsightsTest()
      : tokens_("a secret of the test"),
        insights_(node_->pool.get(), &clock_, &node_->reader, &tokens_) {}

  template <class Req, class Resp>
  absl::StatusOr<Resp> Do(absl::StatusOr<Resp> (InsightsHandlers::*rpc)(const rpc::Call&,
                                                                        const Req&),
                          const Req& request) {
    rpc::Call call;
    call.now = clock_.Now();
    return (insights_.handlers().*rpc)(call, request);
  }
  template <class Req, class Resp>
  absl::StatusOr<Resp> Do(void (InsightsHandlers::*rpc)(const rpc::Call&, const Req&,
                                                        rpc::Reply<Resp>),
                          const Req& request) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    rpc::Call call;
    call.now = clock_.Now();
    call.method = "/clm.lifecycle.v1.InsightsService/Test";
    (insights_.handlers().*rpc)(call, request, rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
                                  result = std::move(r);
                                  done.Notify();
                                }));
    done.WaitForNotification();
    return result;
  }

  // A free model whose stages are entered by events of their own names, in the given order.
  static StageModel OpenModel(const std::string& id, const std::vector<std::string>& stages) {
    StageModel model;
    model.id = id;
    model.display_name = id;
    model.policy = Policy::kFree;
    for (size_t i = 0; i < stages.size(); ++i) {
      model.stages.push_back({.id = stages[i],
                              .label = absl::StrCat("The ", stages[i]),
                              .position = static_cast<int>(i) + 1});
    }
    return model;
  }
  static std::vector<Rule> RulesOf(const StageModel& model) {
    std::vector<Rule> rules;
    for (const Stage& stage : model.stages) {
      Rule rule;
      rule.id = absl::StrCat("to-", stage.id);
      rule.model_id = model.id;
      rule.to_stage = stage.id;
      rule.trigger.kind = Trigger::Kind::kEvent;
      rule.trigger.types = {stage.id};
      rules.push_back(std::move(rule));
    }
    return rules;
  }
  event::v1::Event CostOf(int id, const std::string& source, const std::string& contact,
                          absl::CivilDay start, absl::CivilDay end, int64_t amount) {
    contact::v1::AcquisitionCostRecorded recorded;
    auto* cost = recorded.mutable_cost();
    cost->set_name(EntityName("acquisitionCosts", {"acme", Id(id)}));
    cost->set_source(source);
    cost->set_contact(contact);
    cost->set_start_date(FormatDay(start));
    cost->set_end_date(FormatDay(end));
    cost->set_amount_minor(amount);
    cost->set_currency("EUR");
    event::v1::Event event = Envelope({"acme", Id(id)}, recorded);
    event.set_subject(EntityName(kContacts, {"acme", Id(id)}));
    return event;
  }
  static google::protobuf::Timestamp At(double day) {
    google::protobuf::Timestamp time;
    ToProto(Day(day), &time);
    return time;
  }
  static std::string ModelNameOf(const std::string& model) { return ModelName("acme", model); }

  const PageTokens tokens_;
  InsightsModulePart insights_;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_INSIGHTS_FIXTURE_H_
