#include "services/contact/module.h"

#include <utility>

#include "clm/contact/v1/consent_service.grpc.pb.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/import_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "clm/loyalty/v1/membership_service.grpc.pb.h"
#include "libs/base/page_token.h"
#include "libs/base/status_macros.h"
#include "libs/cache/cache_follower.h"
#include "libs/cache/customer_hash.h"
#include "libs/cache/near_cache.h"
#include "libs/cache/near_watch.h"
#include "libs/cache/sampled_hash.h"
#include "libs/journal/doorbell.h"
#include "libs/journal/expiry_in_module.h"
#include "libs/journal/feed.h"
#include "libs/journal/lanes.h"
#include "libs/journal/schema.h"
#include "libs/obs/log.h"
#include "libs/redis/redis.h"
#include "libs/rpc/client.h"
#include "libs/rpc/service.h"
#include "libs/rpc/status.h"
#include "services/contact/consent_handlers.h"
#include "services/contact/contact_context.h"
#include "services/contact/contact_handlers.h"
#include "services/contact/contact_proto.h"
#include "services/contact/contact_reader.h"
#include "services/contact/contact_work.h"
#include "services/contact/duplicate_handlers.h"
#include "services/contact/duplicate_scan.h"
#include "services/contact/identity_policy_handlers.h"
#include "services/contact/import_handlers.h"
#include "services/contact/import_runner.h"
#include "services/contact/import_store.h"
#include "services/contact/known_policies.h"
#include "services/contact/request_rules.h"
#include "services/contact/schema.h"

namespace clm::contact {
namespace {

constexpr char kName[] = "contact";
// Whose journal tells of stages.
constexpr char kStagesSource[] = "lifecycle";
// And of points and tiers.
constexpr char kLoyaltySource[] = "loyalty";
// How long a context waits for them, and no longer than half of what its caller waits.
constexpr absl::Duration kMembershipsTimeout = absl::Seconds(1);
// Lane transactions at a time; the other connections of the pool read.
constexpr int kExecutors = 2;
// Threads that wait for the lifecycle and loyalty services, and what may wait for them.
constexpr int kCallers = 4;
constexpr int kCallersQueue = 512;

class ContactBinding : public rpc::Service {
 public:
  ContactBinding(rpc::Host& host, ContactHandlers& handlers, IdentityPolicyHandlers& policies,
                 DuplicateHandlers& duplicates)
      : Service(host, v1::ContactService::service_full_name()) {
    Bind("CreateContact", &handlers, &ContactHandlers::CreateContact);
    Bind("GetContact", &handlers, &ContactHandlers::GetContact);
    Bind("BatchGetContacts", &handlers, &ContactHandlers::BatchGetContacts);
    Bind("LookupContact", &handlers, &ContactHandlers::LookupContact);
    Bind("ListContacts", &handlers, &ContactHandlers::ListContacts);
    Bind("UpdateContact", &handlers, &ContactHandlers::UpdateContact);
    Bind("UpsertContact", &handlers, &ContactHandlers::UpsertContact);
    Bind("BatchUpsertContacts", &handlers, &ContactHandlers::BatchUpsertContacts);
    Bind("BlockContact", &handlers, &ContactHandlers::BlockContact);
    Bind("UnblockContact", &handlers, &ContactHandlers::UnblockContact);
    Bind("DeactivateContact", &handlers, &ContactHandlers::DeactivateContact);
    Bind("ReactivateContact", &handlers, &ContactHandlers::ReactivateContact);
    Bind("EraseContact", &handlers, &ContactHandlers::EraseContact);
    Bind("ExportContact", &handlers, &ContactHandlers::ExportContact);
    Bind("StreamContactExport", &handlers, &ContactHandlers::StreamContactExport);
    Bind("MergeContacts", &handlers, &ContactHandlers::MergeContacts);
    Bind("GetCustomerContext", &handlers, &ContactHandlers::GetCustomerContext);
    Bind("ListAttributeHistory", &handlers, &ContactHandlers::ListAttributeHistory);
    Bind("CreateAttributeDefinition", &handlers, &ContactHandlers::CreateAttributeDefinition);
    Bind("UpdateAttributeDefinition", &handlers, &ContactHandlers::UpdateAttributeDefinition);
    Bind("ListAttributeDefinitions", &handlers, &ContactHandlers::ListAttributeDefinitions);
    Bind("GetIdentityPolicy", &policies, &IdentityPolicyHandlers::GetIdentityPolicy);
    Bind("UpdateIdentityPolicy", &policies, &IdentityPolicyHandlers::UpdateIdentityPolicy);
    Bind("ListDuplicateCandidates", &duplicates, &DuplicateHandlers::ListDuplicateCandidates);
  }
};

class TimelineBinding : public rpc::Service {
 public:
  TimelineBinding(rpc::Host& host, TimelineHandlers& handlers)
      : Service(host, v1::TimelineService::service_full_name()) {
    Bind("IngestEvents", &handlers, &TimelineHandlers::IngestEvents);
    Bind("ListEvents", &handlers, &TimelineHandlers::ListEvents);
    Bind("CreateAcquisitionCost", &handlers, &TimelineHandlers::CreateAcquisitionCost);
    Bind("ListAcquisitionCosts", &handlers, &TimelineHandlers::ListAcquisitionCosts);
    Bind("ListIdentityViolations", &handlers, &TimelineHandlers::ListIdentityViolations);
  }
};

class ConsentBinding : public rpc::Service {
 public:
  ConsentBinding(rpc::Host& host, ConsentHandlers& handlers)
      : Service(host, v1::ConsentService::service_full_name()) {
    Bind("CreateTopic", &handlers, &ConsentHandlers::CreateTopic);
    Bind("ListTopics", &handlers, &ConsentHandlers::ListTopics);
    Bind("Subscribe", &handlers, &ConsentHandlers::Subscribe);
    Bind("Unsubscribe", &handlers, &ConsentHandlers::Unsubscribe);
    Bind("RecordConsent", &handlers, &ConsentHandlers::RecordConsent);
    Bind("ListConsentActs", &handlers, &ConsentHandlers::ListConsentActs);
    Bind("ListSubscriptions", &handlers, &ConsentHandlers::ListSubscriptions);
    Bind("SuppressAddress", &handlers, &ConsentHandlers::SuppressAddress);
    Bind("LiftSuppression", &handlers, &ConsentHandlers::LiftSuppression);
    Bind("ListSuppressions", &handlers, &ConsentHandlers::ListSuppressions);
    Bind("CheckReach", &handlers, &ConsentHandlers::CheckReach);
  }
};

class ImportBinding : public rpc::Service {
 public:
  ImportBinding(rpc::Host& host, ImportHandlers& handlers)
      : Service(host, v1::ImportService::service_full_name()) {
    Bind("UploadImport", &handlers, &ImportHandlers::UploadImport);
    Bind("GetImportJob", &handlers, &ImportHandlers::GetImportJob);
    Bind("ListImportJobs", &handlers, &ImportHandlers::ListImportJobs);
    Bind("CancelImportJob", &handlers, &ImportHandlers::CancelImportJob);
    Bind("ListImportErrors", &handlers, &ImportHandlers::ListImportErrors);
  }
};

// The stages of a customer from the lifecycle service.
class RemoteStages {
 public:
  explicit RemoteStages(app::Runtime* runtime) : runtime_(runtime) {}

  absl::StatusOr<v1::CustomerContext> operator()(const EntityKey& contact, absl::Time deadline) {
    CLM_ASSIGN_OR_RETURN(const auto channel, runtime_->Channel("lifecycle"));
    const auto stub = lifecycle::v1::LifecycleService::NewStub(channel);
    grpc::ClientContext context;
    rpc::PrepareContext(runtime_->identity(), std::min(deadline - absl::Now(), absl::Seconds(10)),
                        &context);
    lifecycle::v1::GetCustomerStagesRequest request;
    request.set_contact(EntityName(kContacts, contact));
    lifecycle::v1::GetCustomerStagesResponse response;
    CLM_RETURN_IF_ERROR(rpc::FromGrpc(stub->GetCustomerStages(&context, request, &response)));
    v1::CustomerContext out;
    for (const auto& stage : response.stages()) {
      auto* s = out.add_stages();
      s->set_model(stage.model());
      s->set_stage(stage.stage());
      s->set_label(stage.label());
      if (stage.has_enter_time()) *s->mutable_enter_time() = stage.enter_time();
    }
    out.mutable_stages_part()->set_version(response.version());
    *out.mutable_stages_part()->mutable_as_of_time() = response.as_of_time();
    return out;
  }

 private:
  app::Runtime* runtime_;
};

// The memberships of a customer from the loyalty service.
class RemoteMemberships {
 public:
  explicit RemoteMemberships(app::Runtime* runtime)
      : runtime_(runtime),
        unanswered_(&runtime->metrics().GetCounter(
            "clm_context_memberships_unanswered_total",
            "Times the loyalty service did not say what a customer is and has, so that contexts "
            "were answered without.")) {}

  absl::StatusOr<v1::CustomerContext> operator()(const EntityKey& contact, absl::Time deadline) {
    absl::StatusOr<v1::CustomerContext> memberships = Ask(contact, deadline);
    if (!memberships.ok()) {
      unanswered_->Add();
      obs::Warn("the loyalty service does not answer", {{"error", memberships.status()}});
    }
    return memberships;
  }

 private:
  absl::StatusOr<v1::CustomerContext> Ask(const EntityKey& contact, absl::Time deadline) {
    CLM_ASSIGN_OR_RETURN(const auto channel, runtime_->Channel(kLoyaltySource));
    const auto stub = loyalty::v1::MembershipService::NewStub(channel);
    grpc::ClientContext context;
    rpc::PrepareContext(runtime_->identity(),
                        std::min((deadline - absl::Now()) / 2, kMembershipsTimeout), &context);
    loyalty::v1::GetCustomerMembershipsRequest request;
    request.set_contact(EntityName(kContacts, contact));
    loyalty::v1::GetCustomerMembershipsResponse response;
    CLM_RETURN_IF_ERROR(rpc::FromGrpc(stub->GetCustomerMemberships(&context, request, &response)));
    v1::CustomerContext out;
    out.mutable_memberships()->Swap(response.mutable_memberships());
    out.mutable_loyalty_part()->set_version(response.version());
    *out.mutable_loyalty_part()->mutable_as_of_time() = response.as_of_time();
    return out;
  }

  app::Runtime* runtime_;
  obs::Counter* unanswered_;
};

class ContactModule : public app::Module {
 public:
  explicit ContactModule(std::shared_ptr<journal::FeedHandlers> feeds) : feeds_(std::move(feeds)) {}

  std::string name() const override { return kName; }
  std::vector<pg::Schema> Schemas() const override { return {FullSchema()}; }

  absl::Status Start(app::Runtime& runtime) override {
    AddRequestRules();
    CLM_ASSIGN_OR_RETURN(pool_, runtime.OpenDatabase(FullSchema(), 0));
    if (!runtime.redis_url().empty()) {
      redis::Options options;
      options.url = runtime.redis_url();
      CLM_ASSIGN_OR_RETURN(redis_, redis::NewClient(options));
      cache::Options cache_options;
      cache_options.secret = runtime.secret();
      hash_ = cache::Sampled(cache::NewCustomerHash(redis_.get(), cache_options),
                             Samples(runtime.metrics()));
    }
    if (runtime.near_cache_bytes() > 0) MakeNearCache(runtime);
    doorbell_ = std::make_unique<journal::Doorbell>(redis_.get(), kName, &heads_);
    reader_ = std::make_unique<ContactReader>(pool_.get(), runtime.secret());
    context_ =
        std::make_unique<ContactContext>(reader_.get(), hash_.get(), near_.get(),
                                         RemoteStages(&runtime), RemoteMemberships(&runtime));
    journal::Lanes::Options lanes;
    lanes.pool = pool_.get();
    lanes.clock = &runtime.clock();
    lanes.executors = kExecutors;
    lanes.new_work = [secret = runtime.secret(), observer = context_.get(), known = &known_] {
      return std::make_unique<ContactWork>(secret, observer, known);
    };
    lanes.told = &told_;
    lanes.recent = &recent_;
    // Versions put in order what the cache is told out of order.
    lanes.free_at_commit = true;
    lanes.on_commit = [this](const journal::Offsets& heads) { doorbell_->Ring(heads); };
    lanes_ = std::make_unique<journal::Lanes>(std::move(lanes));
    feed_ = std::make_unique<journal::Feed>(
        journal::Feed::Options{.pool = pool_.get(), .heads = &heads_, .recent = &recent_});
    feeds_->Add(kName, feed_.get());
    expiry_ = std::make_unique<journal::ExpiryInModule>(runtime, kName, pool_.get());
    tokens_ = std::make_unique<PageTokens>(runtime.secret());
    MakeDuplicateScan(runtime);
    policies_ = std::make_unique<KnownPolicies>(
        [reader = reader_.get()](const std::string& tenant, absl::Time deadline) {
          return reader->GetIdentityPolicy(tenant, deadline);
        });

    ContactParts parts;
    parts.lanes = lanes_.get();
    parts.reader = reader_.get();
    parts.context = context_.get();
    parts.workers = &runtime.workers();
    callers_ = std::make_unique<rpc::Workers>("clm-callers", kCallers, kCallersQueue);
    parts.callers = callers_.get();
    parts.tokens = tokens_.get();
    parts.policies = policies_.get();
    contact_handlers_ = std::make_unique<ContactHandlers>(parts);
    timeline_handlers_ = std::make_unique<TimelineHandlers>(parts);
    identity_policy_handlers_ = std::make_unique<IdentityPolicyHandlers>(parts);
    duplicate_handlers_ = std::make_unique<DuplicateHandlers>(parts, pool_.get());
    CLM_RETURN_IF_ERROR(runtime.Register(std::make_unique<ContactBinding>(
        runtime.host(), *contact_handlers_, *identity_policy_handlers_, *duplicate_handlers_)));
    CLM_RETURN_IF_ERROR(
        runtime.Register(std::make_unique<TimelineBinding>(runtime.host(), *timeline_handlers_)));
    consent_handlers_ = std::make_unique<ConsentHandlers>(parts);
    CLM_RETURN_IF_ERROR(
        runtime.Register(std::make_unique<ConsentBinding>(runtime.host(), *consent_handlers_)));
    import_store_ = std::make_unique<ImportStore>(pool_.get());
    ImportRunner::Options imports;
    imports.parts = parts;
    imports.store = import_store_.get();
    imports.clock = &runtime.clock();
    import_runner_ = std::make_unique<ImportRunner>(imports);
    import_handlers_ = std::make_unique<ImportHandlers>(
        import_store_.get(), lanes_.get(), tokens_.get(), [this] { import_runner_->Wake(); });
    return runtime.Register(std::make_unique<ImportBinding>(runtime.host(), *import_handlers_));
  }

  absl::Status Serve(app::Runtime& runtime) override {
    if (runtime.Channel(kLoyaltySource).ok()) context_->AskForMemberships();
    import_runner_->Start();
    expiry_->Start();
    duplicate_scan_->Start();
    if (hash_ != nullptr) {
      cache::CacheFollower::Options options;
      options.service = kName;
      options.pool = pool_.get();
      options.feed = feed_.get();
      options.heads = &heads_;
      options.told = &told_;
      options.clock = &runtime.clock();
      options.hash = hash_.get();
      options.metrics = &runtime.metrics();
      options.changes = &ContactContext::Outdated;
      cache_follower_ = std::make_unique<cache::CacheFollower>(std::move(options));
    }
    return absl::OkStatus();
  }

  void Drain() override {
    if (import_runner_ != nullptr) import_runner_->Stop();
    if (expiry_ != nullptr) expiry_->Stop();
    if (duplicate_scan_ != nullptr) duplicate_scan_->Stop();
  }

  void Stop() override {
    if (callers_ != nullptr) callers_->Stop();
    if (lanes_ != nullptr) lanes_->Drain();
    cache_follower_.reset();
    duplicate_lag_.reset();
    duplicate_scan_.reset();
    expiry_.reset();
    feeds_->Remove(kName);
    feed_.reset();
    lanes_.reset();
    near_watch_.reset();
    loyalty_watch_.reset();
    loyalty_bell_.reset();
    stages_watch_.reset();
    stages_bell_.reset();
    doorbell_.reset();
    hash_.reset();
    redis_.reset();
    reader_.reset();
    pool_.reset();
  }

 private:
  void MakeNearCache(app::Runtime& runtime) {
    near_ = std::make_unique<cache::NearCache>(runtime.near_cache_bytes(), runtime.metrics());
    near_bytes_ = near_->WatchBytes(runtime.metrics(), kName);
    near_watch_ = std::make_unique<cache::NearWatch>(
        &heads_, &told_, [this](int shard) { near_->DropShard(shard); });
    // Of the other services nothing but their bells is heard here, so every ring counts.
    const auto drop = [this](int shard) {
      near_->DropShard(shard, static_cast<int>(Answer::kContext));
    };
    stages_watch_ = std::make_unique<cache::NearWatch>(&stages_heads_, nullptr, drop);
    stages_bell_ = std::make_unique<journal::Doorbell>(redis_.get(), kStagesSource, &stages_heads_);
    loyalty_watch_ = std::make_unique<cache::NearWatch>(&loyalty_heads_, nullptr, drop);
    loyalty_bell_ =
        std::make_unique<journal::Doorbell>(redis_.get(), kLoyaltySource, &loyalty_heads_);
  }

  void MakeDuplicateScan(app::Runtime& runtime) {
    DuplicateScan::Options options;
    options.pool = pool_.get();
    options.reader = reader_.get();
    options.feed = feed_.get();
    options.clock = &runtime.clock();
    obs::Counter& compared =
        runtime.metrics().GetCounter("clm_duplicate_scan_contacts_total",
                                     "Contacts compared with others by the scan for duplicates.");
    options.on_compared = [&compared](int64_t count) {
      compared.Add(static_cast<uint64_t>(count));
    };
    options.on_trouble = [](const absl::Status& status) {
      obs::Warn("the scan for duplicates is held up", {{"error", status}});
    };
    duplicate_scan_ = std::make_unique<DuplicateScan>(std::move(options));
    duplicate_lag_ = runtime.metrics().WatchGauge(
        "clm_duplicate_scan_lag_records",
        "Journal records the scan for duplicates has not looked at; 0 where another process scans.",
        {}, [this] { return static_cast<double>(duplicate_scan_->lag()); });
  }

  // How parts of the hash are compared with their owners.
  cache::SampleOptions Samples(obs::Metrics& metrics) {
    cache::SampleOptions options;
    options.holds = [this](const EntityKey& customer, const std::string& field,
                           const cache::Part& part) {
      return context_->Holds(customer, field, part);
    };
    obs::Counter& stale = metrics.GetCounter(
        "clm_cache_stale_total",
        "Entries of the cache that disagreed with their owner and stayed. Must be 0.",
        {{"service", kName}});
    options.on_stale = [&stale](const EntityKey& customer, const std::string& field) {
      stale.Add();
      obs::Error("the cache is stale",
                 {{"contact", EntityName(kContacts, customer)}, {"part", field}});
    };
    return options;
  }

  const std::shared_ptr<journal::FeedHandlers> feeds_;
  journal::Heads heads_;
  journal::Heads stages_heads_;
  journal::Heads loyalty_heads_;
  journal::ToldOffsets told_;
  journal::RecentRecords recent_;
  KnownStandings known_;
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<redis::Client> redis_;
  std::unique_ptr<cache::CustomerHash> hash_;
  std::unique_ptr<cache::NearCache> near_;
  std::shared_ptr<void> near_bytes_;
  std::unique_ptr<cache::NearWatch> near_watch_;
  std::unique_ptr<cache::NearWatch> stages_watch_;
  std::unique_ptr<cache::NearWatch> loyalty_watch_;
  std::unique_ptr<journal::Doorbell> doorbell_;
  std::unique_ptr<journal::Doorbell> stages_bell_;
  std::unique_ptr<journal::Doorbell> loyalty_bell_;
  std::unique_ptr<rpc::Workers> callers_;
  std::unique_ptr<ContactReader> reader_;
  std::unique_ptr<ContactContext> context_;
  std::unique_ptr<journal::Lanes> lanes_;
  std::unique_ptr<journal::Feed> feed_;
  std::unique_ptr<journal::ExpiryInModule> expiry_;
  std::unique_ptr<DuplicateScan> duplicate_scan_;
  std::shared_ptr<void> duplicate_lag_;
  std::unique_ptr<cache::CacheFollower> cache_follower_;
  std::unique_ptr<PageTokens> tokens_;
  std::unique_ptr<KnownPolicies> policies_;
  std::unique_ptr<ContactHandlers> contact_handlers_;
  std::unique_ptr<TimelineHandlers> timeline_handlers_;
  std::unique_ptr<IdentityPolicyHandlers> identity_policy_handlers_;
  std::unique_ptr<DuplicateHandlers> duplicate_handlers_;
  std::unique_ptr<ConsentHandlers> consent_handlers_;
  std::unique_ptr<ImportStore> import_store_;
  std::unique_ptr<ImportRunner> import_runner_;
  std::unique_ptr<ImportHandlers> import_handlers_;
};

}  // namespace

pg::Schema FullSchema() {
  pg::Schema schema = ContactSchema();
  schema.migrations.insert(schema.migrations.begin(), journal::JournalMigration());
  return schema;
}

std::unique_ptr<app::Module> NewModule(std::shared_ptr<journal::FeedHandlers> feeds) {
  return std::make_unique<ContactModule>(std::move(feeds));
}

}  // namespace clm::contact
