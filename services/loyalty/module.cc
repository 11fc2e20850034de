#include "services/loyalty/module.h"

#include <string>
#include <utility>
#include <vector>

#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
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
#include "services/loyalty/adjustment_module_part.h"
#include "services/loyalty/bonus_module_part.h"
#include "services/loyalty/contact_feed_handler.h"
#include "services/loyalty/coupon_module_part.h"
#include "services/loyalty/dead_letter_service.h"
#include "services/loyalty/due_points.h"
#include "services/loyalty/ledger_handlers.h"
#include "services/loyalty/lifecycle_feed_handler.h"
#include "services/loyalty/loyalty_reader.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/membership_module_part.h"
#include "services/loyalty/order_module_part.h"
#include "services/loyalty/program_handlers.h"
#include "services/loyalty/referral_module_part.h"
#include "services/loyalty/reward_module_part.h"
#include "services/loyalty/schema.h"

namespace clm::loyalty {
namespace {

constexpr char kName[] = "loyalty";
constexpr char kContactSource[] = "contact";
constexpr char kLifecycleSource[] = "lifecycle";
// Between two looks at the lifecycle service's journal.
constexpr absl::Duration kLifecyclePace = absl::Milliseconds(100);
// Lane transactions at a time; the other connections of the pool read.
constexpr int kExecutors = 2;

class ProgramBinding : public rpc::Service {
 public:
  ProgramBinding(rpc::Host& host, ProgramHandlers& handlers)
      : Service(host, v1::ProgramService::service_full_name()) {
    Bind("CreateProgram", &handlers, &ProgramHandlers::CreateProgram);
    Bind("GetProgram", &handlers, &ProgramHandlers::GetProgram);
    Bind("ListPrograms", &handlers, &ProgramHandlers::ListPrograms);
    Bind("UpdateProgram", &handlers, &ProgramHandlers::UpdateProgram);
    Bind("EnrolMember", &handlers, &ProgramHandlers::EnrolMember);
    Bind("SetMemberTier", &handlers, &ProgramHandlers::SetMemberTier);
    Bind("GetMember", &handlers, &ProgramHandlers::GetMember);
    Bind("ListMembers", &handlers, &ProgramHandlers::ListMembers);
  }
};

class LedgerBinding : public rpc::Service {
 public:
  LedgerBinding(rpc::Host& host, LedgerHandlers& handlers)
      : Service(host, v1::LedgerService::service_full_name()) {
    Bind("EarnPoints", &handlers, &LedgerHandlers::EarnPoints);
    Bind("BatchEarnPoints", &handlers, &LedgerHandlers::BatchEarnPoints);
    Bind("ActivatePoints", &handlers, &LedgerHandlers::ActivatePoints);
    Bind("RedeemPoints", &handlers, &LedgerHandlers::RedeemPoints);
    Bind("CancelRedemption", &handlers, &LedgerHandlers::CancelRedemption);
    Bind("HoldPoints", &handlers, &LedgerHandlers::HoldPoints);
    Bind("GetHold", &handlers, &LedgerHandlers::GetHold);
    Bind("CaptureHold", &handlers, &LedgerHandlers::CaptureHold);
    Bind("ReleaseHold", &handlers, &LedgerHandlers::ReleaseHold);
    Bind("ReturnPoints", &handlers, &LedgerHandlers::ReturnPoints);
    Bind("AdjustPoints", &handlers, &LedgerHandlers::AdjustPoints);
    Bind("TransferPoints", &handlers, &LedgerHandlers::TransferPoints);
    Bind("GetPosting", &handlers, &LedgerHandlers::GetPosting);
    Bind("ListPostings", &handlers, &LedgerHandlers::ListPostings);
    Bind("GetLiability", &handlers, &LedgerHandlers::GetLiability);
    Bind("AuditProgram", &handlers, &LedgerHandlers::AuditProgram);
  }
};

class LoyaltyModule : public app::Module {
 public:
  explicit LoyaltyModule(std::shared_ptr<journal::FeedHandlers> feeds) : feeds_(std::move(feeds)) {}

  std::string name() const override { return kName; }
  std::vector<pg::Schema> Schemas() const override { return {FullSchema()}; }

  absl::Status Start(app::Runtime& runtime) override {
    CLM_ASSIGN_OR_RETURN(pool_, runtime.OpenDatabase(FullSchema(), 0));
    if (!runtime.redis_url().empty()) {
      redis::Options options;
      options.url = runtime.redis_url();
      CLM_ASSIGN_OR_RETURN(redis_, redis::NewClient(options));
    }
    doorbell_ = std::make_unique<journal::Doorbell>(redis_.get(), kName, &heads_);
    reader_ = std::make_unique<LoyaltyReader>(pool_.get(), &runtime.clock());
    journal::Lanes::Options lanes;
    lanes.pool = pool_.get();
    lanes.clock = &runtime.clock();
    lanes.executors = kExecutors;
    // A unit of work tells timers, who want the earliest time and not the last one told, and the
    // cache, where versions put in order what is told out of order.
    lanes.free_at_commit = true;
    lanes.told = &told_;
    lanes.recent = &recent_;
    memberships_ = std::make_unique<MembershipModulePart>(runtime, reader_.get(), redis_.get(),
                                                          &heads_, &told_);
    lanes.new_work = [this, clock = &runtime.clock()] {
      return std::make_unique<LoyaltyWork>(
          clock, [this](absl::Time due) { due_->Expect(due); }, &memberships_->cache());
    };
    lanes.on_commit = [this](const journal::Offsets& heads) { doorbell_->Ring(heads); };
    lanes_ = std::make_unique<journal::Lanes>(std::move(lanes));
    DuePoints::Options due;
    due.reader = reader_.get();
    due.lanes = lanes_.get();
    due.clock = &runtime.clock();
    due.on_trouble = [](const absl::Status& status) {
      obs::Warn("what is due of points is held up", {{"error", status}});
    };
    due_ = std::make_unique<DuePoints>(std::move(due));
    feed_ = std::make_unique<journal::Feed>(
        journal::Feed::Options{.pool = pool_.get(), .heads = &heads_, .recent = &recent_});
    feeds_->Add(kName, feed_.get());
    expiry_ = std::make_unique<journal::ExpiryInModule>(runtime, kName, pool_.get());
    tokens_ = std::make_unique<PageTokens>(runtime.secret());

    LoyaltyParts parts;
    parts.lanes = lanes_.get();
    parts.reader = reader_.get();
    parts.tokens = tokens_.get();
    parts.secret = runtime.secret();
    parts.memberships = &memberships_->cache();
    CLM_RETURN_IF_ERROR(runtime.Register(memberships_->Binding(runtime.host())));
    programs_ = std::make_unique<ProgramHandlers>(parts);
    ledger_ = std::make_unique<LedgerHandlers>(parts);
    coupons_ = std::make_unique<CouponModulePart>(
        pool_.get(), &runtime.clock(), tokens_.get(),
        [this](const journal::Offsets& heads) { doorbell_->Ring(heads); });
    CLM_RETURN_IF_ERROR(runtime.Register(coupons_->Binding(runtime.host())));
    referrals_ = std::make_unique<ReferralModulePart>(
        pool_.get(), lanes_.get(), &runtime.clock(), tokens_.get(), runtime.secret(),
        [](const absl::Status& status) {
          obs::Warn("what is due of referrals is held up", {{"error", status}});
        });
    CLM_RETURN_IF_ERROR(runtime.Register(referrals_->Binding(runtime.host())));
    orders_ = std::make_unique<OrderModulePart>(pool_.get(), lanes_.get(), tokens_.get());
    CLM_RETURN_IF_ERROR(runtime.Register(orders_->Binding(runtime.host())));
    adjustments_ = std::make_unique<AdjustmentModulePart>(pool_.get(), lanes_.get(), tokens_.get());
    CLM_RETURN_IF_ERROR(runtime.Register(adjustments_->Binding(runtime.host())));
    bonuses_ = std::make_unique<BonusModulePart>(
        pool_.get(), reader_.get(), lanes_.get(), &runtime.clock(), tokens_.get(),
        [](const absl::Status& status) {
          obs::Warn("a bonus run is held up", {{"error", status}});
        });
    CLM_RETURN_IF_ERROR(runtime.Register(bonuses_->Binding(runtime.host())));
    rewards_ = std::make_unique<RewardModulePart>(
        pool_.get(), &runtime.clock(), tokens_.get(), [this](absl::Time at) { due_->Expect(at); },
        [this](const journal::Offsets& heads) { doorbell_->Ring(heads); }, &memberships_->cache(),
        &told_);
    CLM_RETURN_IF_ERROR(runtime.Register(rewards_->Binding(runtime.host())));
    CLM_RETURN_IF_ERROR(
        runtime.Register(std::make_unique<ProgramBinding>(runtime.host(), *programs_)));
    dead_letters_ = std::make_unique<DeadLetterHandlers>(DeadLetterHandlers::Options{
        .pool = pool_.get(),
        .lanes = lanes_.get(),
        .sources = {{kContactSource, &contact_feed_}, {kLifecycleSource, &lifecycle_feed_}},
        .tokens = tokens_.get()});
    CLM_RETURN_IF_ERROR(
        runtime.Register(std::make_unique<DeadLetterBinding>(runtime.host(), *dead_letters_)));
    return runtime.Register(std::make_unique<LedgerBinding>(runtime.host(), *ledger_));
  }

  absl::Status Serve(app::Runtime& runtime) override {
    journal::Consumer::Options options;
    options.source = kContactSource;
    options.pool = pool_.get();
    options.lanes = lanes_.get();
    options.handler = &contact_feed_;
    CLM_ASSIGN_OR_RETURN(consumer_,
                         journal::ConsumerInModule::New(runtime, kName, std::move(options)));
    consumer_->Start();
    // Without it there are no stages, and nothing to follow.
    if (runtime.Channel(kLifecycleSource).ok()) {
      journal::Consumer::Options lifecycle;
      lifecycle.source = kLifecycleSource;
      lifecycle.pool = pool_.get();
      lifecycle.lanes = lanes_.get();
      lifecycle.handler = &lifecycle_feed_;
      // Most stages bring nothing.
      lifecycle.pace = kLifecyclePace;
      lifecycle.max_records = 128;
      lifecycle.max_ahead = 256;
      CLM_ASSIGN_OR_RETURN(lifecycle_consumer_,
                           journal::ConsumerInModule::New(runtime, kName, std::move(lifecycle)));
      lifecycle_consumer_->Start();
    }
    due_->Start();
    referrals_->due().Start();
    bonuses_->runner().Start();
    expiry_->Start();
    memberships_->Follow({.service = kName,
                          .pool = pool_.get(),
                          .feed = feed_.get(),
                          .heads = &heads_,
                          .told = &told_,
                          .clock = &runtime.clock(),
                          .metrics = &runtime.metrics()});
    return absl::OkStatus();
  }

  void Drain() override {
    if (due_ != nullptr) due_->Stop();
    if (referrals_ != nullptr) referrals_->due().Stop();
    if (bonuses_ != nullptr) bonuses_->runner().Stop();
    if (expiry_ != nullptr) expiry_->Stop();
    if (lifecycle_consumer_ != nullptr) lifecycle_consumer_->Stop();
    if (consumer_ != nullptr) consumer_->Stop();
  }

  void Stop() override {
    Drain();
    lifecycle_consumer_.reset();
    consumer_.reset();
    expiry_.reset();
    if (coupons_ != nullptr) coupons_->Drain();
    if (rewards_ != nullptr) rewards_->Drain();
    if (lanes_ != nullptr) lanes_->Drain();
    if (memberships_ != nullptr) memberships_->Unfollow();
    feeds_->Remove(kName);
    feed_.reset();
    referrals_.reset();
    rewards_.reset();
    coupons_.reset();
    orders_.reset();
    adjustments_.reset();
    bonuses_.reset();
    lanes_.reset();
    due_.reset();
    memberships_.reset();
    reader_.reset();
    doorbell_.reset();
    redis_.reset();
    pool_.reset();
  }

 private:
  const std::shared_ptr<journal::FeedHandlers> feeds_;
  journal::Heads heads_;
  journal::ToldOffsets told_;
  journal::RecentRecords recent_;
  ContactFeedHandler contact_feed_;
  LifecycleFeedHandler lifecycle_feed_;
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<redis::Client> redis_;
  std::unique_ptr<journal::Doorbell> doorbell_;
  std::unique_ptr<LoyaltyReader> reader_;
  std::unique_ptr<MembershipModulePart> memberships_;
  std::unique_ptr<journal::Lanes> lanes_;
  std::unique_ptr<DuePoints> due_;
  std::unique_ptr<journal::Feed> feed_;
  std::unique_ptr<journal::ExpiryInModule> expiry_;
  std::unique_ptr<PageTokens> tokens_;
  std::unique_ptr<ProgramHandlers> programs_;
  std::unique_ptr<LedgerHandlers> ledger_;
  std::unique_ptr<CouponModulePart> coupons_;
  std::unique_ptr<RewardModulePart> rewards_;
  std::unique_ptr<DeadLetterHandlers> dead_letters_;
  std::unique_ptr<ReferralModulePart> referrals_;
  std::unique_ptr<OrderModulePart> orders_;
  std::unique_ptr<AdjustmentModulePart> adjustments_;
  std::unique_ptr<BonusModulePart> bonuses_;
  std::unique_ptr<journal::ConsumerInModule> consumer_;
  std::unique_ptr<journal::ConsumerInModule> lifecycle_consumer_;
};

}  // namespace

pg::Schema FullSchema() {
  pg::Schema schema = LoyaltySchema();
  schema.migrations.insert(schema.migrations.begin(), journal::JournalMigration());
  // It has the number that the files leave out.
  schema.migrations.insert(schema.migrations.begin() + 2, journal::ConsumerMigration(3));
  return schema;
}

std::unique_ptr<app::Module> NewModule(std::shared_ptr<journal::FeedHandlers> feeds) {
  return std::make_unique<LoyaltyModule>(std::move(feeds));
}

}  // namespace clm::loyalty
