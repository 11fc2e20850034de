#include "services/lifecycle/module.h"

#include <string>
#include <utility>
#include <vector>

#include "clm/contact/v1/contact.pb.h"
#include "libs/base/page_token.h"
#include "libs/base/status_macros.h"
#include "libs/cache/cache_follower.h"
#include "libs/cache/customer_hash.h"
#include "libs/journal/consumer_in_module.h"
#include "libs/journal/doorbell.h"
#include "libs/journal/expiry_in_module.h"
#include "libs/journal/feed.h"
#include "libs/journal/lanes.h"
#include "libs/obs/log.h"
#include "libs/redis/redis.h"
#include "services/lifecycle/contact_feed_handler.h"
#include "services/lifecycle/due_timers.h"
#include "services/lifecycle/insights_module_part.h"
#include "services/lifecycle/lifecycle_handlers.h"
#include "services/lifecycle/lifecycle_proto.h"
#include "services/lifecycle/lifecycle_service.h"
#include "services/lifecycle/loyalty_feed_handler.h"
#include "services/lifecycle/pg_lifecycle_store.h"
#include "services/lifecycle/prediction_module_part.h"
#include "services/lifecycle/totals_check.h"

namespace clm::lifecycle {
namespace {

constexpr char kName[] = "lifecycle";
// Lane transactions at a time; the other connections of the pool read.
constexpr int kExecutors = 2;
// Between two looks at the loyalty service's journal.
constexpr absl::Duration kLoyaltyPace = absl::Milliseconds(100);

// Writes the field "stages" of the customer hash, in the form in which the contact service reads
// it: a clm.contact.v1.CustomerContext with `stages` only.
class StagesInHash : public StageCacheHook {
 public:
  explicit StagesInHash(cache::CustomerHash* hash) : hash_(hash) {}

  absl::Status StagesChanged(const std::vector<ChangedStages>& changed) override {
    std::vector<cache::PartChange> changes;
    changes.reserve(changed.size());
    for (const ChangedStages& one : changed) {
      v1::GetCustomerStagesResponse stages;
      if (!stages.ParseFromString(one.stages)) continue;
      contact::v1::CustomerContext context;
      for (const v1::CustomerStage& stage : stages.stages()) {
        auto* out = context.add_stages();
        out->set_model(stage.model());
        out->set_stage(stage.stage());
        out->set_label(stage.label());
        if (stage.has_enter_time()) *out->mutable_enter_time() = stage.enter_time();
      }
      changes.push_back(
          {one.contact, kField, one.version, one.as_of, context.SerializeAsString(), false});
    }
    return hash_->Apply(changes);
  }

  // What of the cache these events of the lifecycle service make old. A move's event has the
  // version that the customer had after it.
  static std::vector<cache::PartChange> Outdated(absl::Span<const journal::Placed> events) {
    cache::Tombstones tombstones;
    for (const journal::Placed& placed : events) {
      const auto subject = ParseEntityName("subject", kContacts, placed.event.subject());
      if (!subject.ok()) continue;  // Of a model or a KPI.
      tombstones.Add(*subject, kField, placed.event.subject_version());
      if (placed.event.type() != v1::StagesSuperseded::descriptor()->full_name()) continue;
      v1::StagesSuperseded superseded;
      if (!superseded.ParseFromString(placed.event.payload())) continue;
      for (const v1::Transition& transition : superseded.transitions()) {
        const auto owner = ParseEntityName("contact", kContacts, transition.contact());
        // Of who was merged into the subject, and has no stages of its own any more.
        if (owner.ok() && *owner != *subject) {
          tombstones.Add(*owner, kField, cache::kFinalVersion);
        }
      }
    }
    return tombstones.Take();
  }

 private:
  static constexpr char kField[] = "stages";

  cache::CustomerHash* const hash_;
};

class LifecycleModule : public app::Module {
 public:
  explicit LifecycleModule(std::shared_ptr<journal::FeedHandlers> feeds)
      : feeds_(std::move(feeds)) {}

  std::string name() const override { return kName; }
  std::vector<pg::Schema> Schemas() const override { return {LifecycleDatabase()}; }

  absl::Status Start(app::Runtime& runtime) override {
    CLM_ASSIGN_OR_RETURN(pool_, runtime.OpenDatabase(LifecycleDatabase(), 0));
    if (!runtime.redis_url().empty()) {
      redis::Options options;
      options.url = runtime.redis_url();
      CLM_ASSIGN_OR_RETURN(redis_, redis::NewClient(options));
      cache::Options cache_options;
      cache_options.secret = runtime.secret();
      hash_ = cache::NewCustomerHash(redis_.get(), cache_options);
      stages_ = std::make_unique<StagesInHash>(hash_.get());
    }
    doorbell_ = std::make_unique<journal::Doorbell>(redis_.get(), kName, &heads_);
    reader_ = std::make_unique<LifecycleReader>(pool_.get(), &models_);
    context_.models = &models_;
    context_.known = &known_;
    context_.clock = &runtime.clock();
    context_.cache = stages_.get();
    context_.on_due = [this](absl::Time due) { timers_->Expect(due); };
    journal::Lanes::Options lanes;
    lanes.pool = pool_.get();
    lanes.clock = &runtime.clock();
    lanes.executors = kExecutors;
    lanes.new_work = [this] { return std::make_unique<LifecycleWork>(&context_); };
    lanes.told = &told_;
    lanes.on_commit = [this](const journal::Offsets& heads) { doorbell_->Ring(heads); };
    lanes_ = std::make_unique<journal::Lanes>(std::move(lanes));
    DueTimers::Options timers;
    timers.reader = reader_.get();
    timers.lanes = lanes_.get();
    timers.clock = &runtime.clock();
    timers.on_trouble = [](const absl::Status& status) {
      obs::Warn("timers are held up", {{"error", status}});
    };
    timers_ = std::make_unique<DueTimers>(std::move(timers));
    feed_ = std::make_unique<journal::Feed>(journal::Feed::Options{pool_.get(), &heads_});
    feeds_->Add(kName, feed_.get());
    expiry_ = std::make_unique<journal::ExpiryInModule>(runtime, kName, pool_.get());
    tokens_ = std::make_unique<PageTokens>(runtime.secret());

    LifecycleParts parts;
    parts.pool = pool_.get();
    parts.lanes = lanes_.get();
    parts.reader = reader_.get();
    parts.contact_feed = &contact_feed_;
    parts.loyalty_feed = &loyalty_feed_;
    parts.tokens = tokens_.get();
    handlers_ = std::make_unique<LifecycleHandlers>(parts);
    CLM_RETURN_IF_ERROR(
        runtime.Register(std::make_unique<LifecycleBinding>(runtime.host(), *handlers_)));
    insights_ = std::make_unique<InsightsModulePart>(
        pool_.get(), &runtime.clock(), reader_.get(), tokens_.get(),
        [this](const journal::Offsets& heads) { doorbell_->Ring(heads); });
    CLM_RETURN_IF_ERROR(runtime.Register(insights_->Binding(runtime.host())));
    predictions_ = std::make_unique<PredictionModulePart>(
        pool_.get(), &runtime.clock(), tokens_.get(),
        [this](const journal::Offsets& heads) { doorbell_->Ring(heads); });
    return runtime.Register(predictions_->Binding(runtime.host()));
  }

  absl::Status Serve(app::Runtime& runtime) override {
    journal::Consumer::Options options;
    options.source = kContactSource;
    options.pool = pool_.get();
    options.lanes = lanes_.get();
    options.handler = &contact_feed_;
    // All shards together stay below what the lanes let wait.
    options.max_records = 128;
    options.max_ahead = 256;
    CLM_ASSIGN_OR_RETURN(consumer_,
                         journal::ConsumerInModule::New(runtime, kName, std::move(options)));
    consumer_->Start();
    // Without loyalty there are no tiers, and nothing to follow.
    if (runtime.Channel(kLoyaltySource).ok()) {
      journal::Consumer::Options loyalty;
      loyalty.source = kLoyaltySource;
      loyalty.pool = pool_.get();
      loyalty.lanes = lanes_.get();
      loyalty.handler = &loyalty_feed_;
      // Nearly all of it are points, which move nobody.
      loyalty.pace = kLoyaltyPace;
      loyalty.max_records = 32;
      loyalty.max_ahead = 32;
      CLM_ASSIGN_OR_RETURN(loyalty_consumer_,
                           journal::ConsumerInModule::New(runtime, kName, std::move(loyalty)));
      loyalty_consumer_->Start();
    }
    timers_->Start();
    expiry_->Start();
    if (runtime.totals_check_interval() > absl::ZeroDuration()) {
      TotalsCheck::Options totals;
      totals.pool = pool_.get();
      totals.store = &insights_->store();
      totals.clock = &runtime.clock();
      totals.interval = runtime.totals_check_interval();
      totals.on_difference = [](const std::string& tenant, const Recount& recount) {
        const Recount::Difference& first = recount.differences.front();
        obs::Error("running totals differ from the log",
                   {{"tenant", tenant},
                    {"differing", static_cast<int64_t>(recount.differences.size())},
                    {"total", first.total},
                    {"running", first.running},
                    {"recounted", first.recounted}});
      };
      totals.on_failure = [](const std::string& tenant, const absl::Status& status) {
        obs::Warn("running totals could not be recounted", {{"tenant", tenant}, {"error", status}});
      };
      totals.on_trouble = [](const absl::Status& status) {
        obs::Warn("the comparison of running totals is held up", {{"error", status}});
      };
      totals_ = std::make_unique<TotalsCheck>(std::move(totals));
      totals_differ_ = runtime.metrics().WatchGauge(
          "clm_totals_differ",
          "Running totals that differed from a recount of the log at the last comparison; must be "
          "0. 0 where another process compares.",
          {{"service", kName}}, [this] { return static_cast<double>(totals_->differing()); });
      totals_->Start();
    }
    if (hash_ != nullptr) {
      cache::CacheFollower::Options cache;
      cache.service = kName;
      cache.pool = pool_.get();
      cache.feed = feed_.get();
      cache.heads = &heads_;
      cache.told = &told_;
      cache.clock = &runtime.clock();
      cache.hash = hash_.get();
      cache.metrics = &runtime.metrics();
      cache.changes = &StagesInHash::Outdated;
      cache_follower_ = std::make_unique<cache::CacheFollower>(std::move(cache));
    }
    return absl::OkStatus();
  }

  void Drain() override {
    if (timers_ != nullptr) timers_->Stop();
    if (expiry_ != nullptr) expiry_->Stop();
    if (totals_ != nullptr) totals_->Stop();
    if (loyalty_consumer_ != nullptr) loyalty_consumer_->Stop();
    if (consumer_ != nullptr) consumer_->Stop();
  }

  void Stop() override {
    Drain();
    totals_differ_.reset();
    loyalty_consumer_.reset();
    consumer_.reset();
    expiry_.reset();
    totals_.reset();
    if (lanes_ != nullptr) lanes_->Drain();
    if (insights_ != nullptr) insights_->Drain();
    if (predictions_ != nullptr) predictions_->Drain();
    cache_follower_.reset();
    feeds_->Remove(kName);
    feed_.reset();
    lanes_.reset();
    timers_.reset();
    doorbell_.reset();
    hash_.reset();
    redis_.reset();
    pool_.reset();
  }

 private:
  const std::shared_ptr<journal::FeedHandlers> feeds_;
  journal::Heads heads_;
  journal::ToldOffsets told_;
  ModelCache models_;
  KnownCustomers known_;
  ContactFeedHandler contact_feed_;
  LoyaltyFeedHandler loyalty_feed_;
  LifecycleWork::Context context_;
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<redis::Client> redis_;
  std::unique_ptr<cache::CustomerHash> hash_;
  std::unique_ptr<StagesInHash> stages_;
  std::unique_ptr<journal::Doorbell> doorbell_;
  std::unique_ptr<LifecycleReader> reader_;
  std::unique_ptr<journal::Lanes> lanes_;
  std::unique_ptr<DueTimers> timers_;
  std::unique_ptr<journal::Feed> feed_;
  std::unique_ptr<journal::ExpiryInModule> expiry_;
  std::unique_ptr<cache::CacheFollower> cache_follower_;
  std::unique_ptr<PageTokens> tokens_;
  std::unique_ptr<LifecycleHandlers> handlers_;
  std::unique_ptr<InsightsModulePart> insights_;
  std::unique_ptr<PredictionModulePart> predictions_;
  std::unique_ptr<journal::ConsumerInModule> consumer_;
  std::unique_ptr<journal::ConsumerInModule> loyalty_consumer_;
  std::unique_ptr<TotalsCheck> totals_;
  std::shared_ptr<void> totals_differ_;
};

}  // namespace

std::unique_ptr<app::Module> NewModule(std::shared_ptr<journal::FeedHandlers> feeds) {
  return std::make_unique<LifecycleModule>(std::move(feeds));
}

}  // namespace clm::lifecycle
