// Everything MembershipService and the cache of memberships need within the loyalty module, put
// together: the module makes one after its reader and before its lanes, registers Binding(), begins
// Follow() when it serves, ends it before its feed, and destroys it after the lanes.
#ifndef CLM_SERVICES_LOYALTY_MEMBERSHIP_MODULE_PART_H_
#define CLM_SERVICES_LOYALTY_MEMBERSHIP_MODULE_PART_H_

#include <memory>
#include <utility>

#include "clm/loyalty/v1/membership_service.grpc.pb.h"
#include "libs/app/module.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/cache/cache_follower.h"
#include "libs/cache/customer_hash.h"
#include "libs/cache/near_cache.h"
#include "libs/cache/near_watch.h"
#include "libs/journal/heads.h"
#include "libs/journal/told_offsets.h"
#include "libs/redis/redis.h"
#include "libs/rpc/service.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/loyalty_reader.h"
#include "services/loyalty/membership_cache.h"

namespace clm::loyalty {

// What the RPCs of MembershipService do. Thread-safe.
class MembershipHandlers {
 public:
  explicit MembershipHandlers(LoyaltyReader* reader) : reader_(*reader) {}

  absl::StatusOr<v1::GetCustomerMembershipsResponse> GetCustomerMemberships(
      const rpc::Call& call, const v1::GetCustomerMembershipsRequest& request) {
    CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                         ParseEntityName("contact", kContacts, request.contact()));
    CLM_ASSIGN_OR_RETURN(const auto found, reader_.Memberships(contact, call.deadline));
    v1::GetCustomerMembershipsResponse response;
    response.mutable_memberships()->Add(found.memberships.begin(), found.memberships.end());
    response.set_version(found.version);
    clm::ToProto(found.as_of, response.mutable_as_of_time());
    return response;
  }

 private:
  LoyaltyReader& reader_;
};

class MembershipBinding : public rpc::Service {
 public:
  MembershipBinding(rpc::Host& host, MembershipHandlers& handlers)
      : Service(host, v1::MembershipService::service_full_name()) {
    Bind("GetCustomerMemberships", &handlers, &MembershipHandlers::GetCustomerMemberships);
  }
};

class MembershipModulePart {
 public:
  // `redis` may be null. `heads` are those of the service's journal, raised by every process, and
  // `told` what this one has told. All pointers outlive it, and the last raise of the heads.
  MembershipModulePart(app::Runtime& runtime, LoyaltyReader* reader, redis::Client* redis,
                       journal::Heads* heads, const journal::ToldOffsets* told)
      : hash_(NewHash(runtime, redis)),
        near_(NewNear(runtime)),
        near_bytes_(near_ == nullptr ? nullptr : near_->WatchBytes(runtime.metrics(), "loyalty")),
        near_watch_(NewWatch(heads, told)),
        cache_(reader, hash_.get(), near_.get(), &runtime.workers(), &runtime.clock()),
        handlers_(reader) {}

  std::unique_ptr<MembershipBinding> Binding(rpc::Host& host) {
    return std::make_unique<MembershipBinding>(host, handlers_);
  }
  MembershipCache& cache() { return cache_; }

  // Tells the cache again what the lanes may not have told it; `options` lacks the hash and the
  // changes.
  void Follow(cache::CacheFollower::Options options) {
    if (hash_ == nullptr) return;
    options.hash = hash_.get();
    options.changes = &MembershipCache::Outdated;
    follower_ = std::make_unique<cache::CacheFollower>(std::move(options));
  }
  void Unfollow() { follower_.reset(); }

 private:
  static std::unique_ptr<cache::CustomerHash> NewHash(app::Runtime& runtime, redis::Client* redis) {
    if (redis == nullptr) return nullptr;
    cache::Options options;
    options.secret = runtime.secret();
    return cache::NewCustomerHash(redis, std::move(options));
  }

  static std::unique_ptr<cache::NearCache> NewNear(app::Runtime& runtime) {
    if (runtime.near_cache_bytes() <= 0) return nullptr;
    return std::make_unique<cache::NearCache>(runtime.near_cache_bytes(), runtime.metrics());
  }
  std::unique_ptr<cache::NearWatch> NewWatch(journal::Heads* heads,
                                             const journal::ToldOffsets* told) const {
    if (near_ == nullptr) return nullptr;
    return std::make_unique<cache::NearWatch>(
        heads, told, [near = near_.get()](int shard) { near->DropShard(shard); });
  }

  const std::unique_ptr<cache::CustomerHash> hash_;
  const std::unique_ptr<cache::NearCache> near_;
  const std::shared_ptr<void> near_bytes_;
  const std::unique_ptr<cache::NearWatch> near_watch_;
  MembershipCache cache_;
  MembershipHandlers handlers_;
  std::unique_ptr<cache::CacheFollower> follower_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_MEMBERSHIP_MODULE_PART_H_
