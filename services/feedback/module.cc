#include "services/feedback/module.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "libs/base/page_token.h"
#include "libs/base/status_macros.h"
#include "libs/journal/consumer_in_module.h"
#include "libs/journal/doorbell.h"
#include "libs/journal/expiry_in_module.h"
#include "libs/journal/feed.h"
#include "libs/journal/lanes.h"
#include "libs/journal/schema.h"
#include "libs/obs/log.h"
#include "libs/redis/redis.h"
#include "libs/rpc/service.h"
#include "libs/rpc/status.h"
#include "services/feedback/dead_letter_service.h"
#include "services/feedback/feeds.h"
#include "services/feedback/module_part.h"
#include "services/feedback/schema.h"

namespace clm::feedback {
namespace {

constexpr char kName[] = "feedback";
constexpr char kContactSource[] = "contact";
constexpr char kLifecycleSource[] = "lifecycle";
// Between two looks at a journal of which little concerns the service.
constexpr absl::Duration kPace = absl::Milliseconds(50);
// Lane transactions at a time; the other connections of the pool read.
constexpr int kExecutors = 2;
// Longest wait for a customer context: an answer is kept without it.
constexpr absl::Duration kContextTimeout = absl::Milliseconds(250);
// How old what it says of stage and tier may be.
constexpr int kContextStaleness = 2;

class FeedbackModule : public app::Module {
 public:
  explicit FeedbackModule(std::shared_ptr<journal::FeedHandlers> feeds)
      : feeds_(std::move(feeds)) {}

  std::string name() const override { return kName; }
  std::vector<pg::Schema> Schemas() const override { return {FullSchema()}; }

  absl::Status Start(app::Runtime& runtime) override {
    runtime_ = &runtime;
    CLM_ASSIGN_OR_RETURN(pool_, runtime.OpenDatabase(FullSchema(), 0));
    if (!runtime.redis_url().empty()) {
      redis::Options options;
      options.url = runtime.redis_url();
      CLM_ASSIGN_OR_RETURN(redis_, redis::NewClient(options));
    }
    doorbell_ = std::make_unique<journal::Doorbell>(redis_.get(), kName, &heads_);
    journal::Lanes::Options lanes;
    lanes.pool = pool_.get();
    lanes.clock = &runtime.clock();
    lanes.executors = kExecutors;
    lanes.recent = &recent_;
    lanes.new_work = [this] {
      auto work = std::make_unique<FeedbackWork>();
      for (const auto& part : parts_) part->AddTo(*work);
      return work;
    };
    lanes.on_commit = [this](const journal::Offsets& heads) { doorbell_->Ring(heads); };
    lanes_ = std::make_unique<journal::Lanes>(std::move(lanes));
    feed_ = std::make_unique<journal::Feed>(
        journal::Feed::Options{.pool = pool_.get(), .heads = &heads_, .recent = &recent_});
    feeds_->Add(kName, feed_.get());
    expiry_ = std::make_unique<journal::ExpiryInModule>(runtime, kName, pool_.get());
    tokens_ = std::make_unique<PageTokens>(runtime.secret());

    FeedbackParts shared;
    shared.pool = pool_.get();
    shared.lanes = lanes_.get();
    shared.clock = &runtime.clock();
    shared.tokens = tokens_.get();
    shared.secret = runtime.secret();
    shared.workers = &runtime.workers();
    shared.context_of = [this](const std::string& contact, absl::Time deadline) {
      return ContextOf(contact, deadline);
    };
    parts_ = NewParts(shared);
    for (const auto& part : parts_) {
      contact_feed_.Add(part->contact_feed());
      lifecycle_feed_.Add(part->lifecycle_feed());
      CLM_RETURN_IF_ERROR(part->Register(runtime));
    }
    dead_letters_ = std::make_unique<DeadLetterHandlers>(DeadLetterHandlers::Options{
        .pool = pool_.get(),
        .lanes = lanes_.get(),
        .sources = {{kContactSource, &contact_feed_}, {kLifecycleSource, &lifecycle_feed_}},
        .tokens = tokens_.get()});
    return runtime.Register(std::make_unique<DeadLetterBinding>(runtime.host(), *dead_letters_));
  }

  absl::Status Serve(app::Runtime& runtime) override {
    CLM_ASSIGN_OR_RETURN(consumer_, NewConsumer(runtime, kContactSource, contact_feed_));
    consumer_->Start();
    // Without it there are no stages, and nothing to follow.
    if (runtime.Channel(kLifecycleSource).ok()) {
      CLM_ASSIGN_OR_RETURN(lifecycle_consumer_,
                           NewConsumer(runtime, kLifecycleSource, lifecycle_feed_));
      lifecycle_consumer_->Start();
    }
    for (const auto& part : parts_) CLM_RETURN_IF_ERROR(part->Serve(runtime));
    expiry_->Start();
    return absl::OkStatus();
  }

  void Drain() override {
    for (const auto& part : parts_) part->Drain();
    if (expiry_ != nullptr) expiry_->Stop();
    if (lifecycle_consumer_ != nullptr) lifecycle_consumer_->Stop();
    if (consumer_ != nullptr) consumer_->Stop();
  }

  void Stop() override {
    Drain();
    lifecycle_consumer_.reset();
    consumer_.reset();
    expiry_.reset();
    if (lanes_ != nullptr) lanes_->Drain();
    feeds_->Remove(kName);
    feed_.reset();
    lanes_.reset();
    parts_.clear();
    doorbell_.reset();
    redis_.reset();
    pool_.reset();
  }

 private:
  absl::StatusOr<std::unique_ptr<journal::ConsumerInModule>> NewConsumer(app::Runtime& runtime,
                                                                         const char* source,
                                                                         SharedFeed& handler) {
    journal::Consumer::Options options;
    options.source = source;
    options.pool = pool_.get();
    options.lanes = lanes_.get();
    options.handler = &handler;
    options.pace = kPace;
    options.max_records = 256;
    options.max_ahead = 512;
    return journal::ConsumerInModule::New(runtime, kName, std::move(options));
  }

  absl::StatusOr<contact::v1::CustomerContext> ContextOf(const std::string& contact,
                                                         absl::Time deadline) {
    CLM_ASSIGN_OR_RETURN(const auto channel, runtime_->Channel(kContactSource));
    const auto stub = contact::v1::ContactService::NewStub(channel);
    grpc::ClientContext context;
    rpc::PrepareContext(runtime_->identity(),
                        std::min((deadline - absl::Now()) / 2, kContextTimeout), &context);
    contact::v1::GetCustomerContextRequest request;
    request.set_name(contact);
    request.mutable_max_staleness()->set_seconds(kContextStaleness);
    contact::v1::CustomerContext response;
    CLM_RETURN_IF_ERROR(rpc::FromGrpc(stub->GetCustomerContext(&context, request, &response)));
    return response;
  }

  const std::shared_ptr<journal::FeedHandlers> feeds_;
  app::Runtime* runtime_ = nullptr;
  journal::Heads heads_;
  journal::RecentRecords recent_;
  SharedFeed contact_feed_;
  SharedFeed lifecycle_feed_;
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<redis::Client> redis_;
  std::unique_ptr<journal::Doorbell> doorbell_;
  std::vector<std::unique_ptr<ModulePart>> parts_;
  std::unique_ptr<journal::Lanes> lanes_;
  std::unique_ptr<journal::Feed> feed_;
  std::unique_ptr<journal::ExpiryInModule> expiry_;
  std::unique_ptr<PageTokens> tokens_;
  std::unique_ptr<DeadLetterHandlers> dead_letters_;
  std::unique_ptr<journal::ConsumerInModule> consumer_;
  std::unique_ptr<journal::ConsumerInModule> lifecycle_consumer_;
};

}  // namespace

pg::Schema FullSchema() {
  pg::Schema schema = FeedbackSchema();
  schema.migrations.insert(schema.migrations.begin(), journal::JournalMigration());
  // It has the number that the files leave out.
  schema.migrations.insert(schema.migrations.begin() + 2, journal::ConsumerMigration(3));
  return schema;
}

std::unique_ptr<app::Module> NewModule(std::shared_ptr<journal::FeedHandlers> feeds) {
  return std::make_unique<FeedbackModule>(std::move(feeds));
}

}  // namespace clm::feedback
