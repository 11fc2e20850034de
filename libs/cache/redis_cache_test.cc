#include "libs/cache/cache_contract.h"
#include "libs/redis/frozen.h"
#include "libs/redis/redis.h"
#include "libs/testing/servers.h"

namespace clm::cache {
namespace {

// Tests share the machine with others, so answers may take long.
std::unique_ptr<redis::Client> PatientClient(const testing::RedisServer& server) {
  return *redis::NewClient({.url = server.url(),
                            .connect_timeout = absl::Seconds(20),
                            .command_timeout = absl::Seconds(20)});
}

// Every cache has a client of its own, as in another process.
class RedisBackend final : public Backend {
 public:
  RedisBackend() { Flush(); }
  std::unique_ptr<Cache> NewCache(Options options) override {
    return cache::NewCache(NewClient(), std::move(options));
  }
  std::unique_ptr<CustomerHash> NewHash(Options options) override {
    return NewCustomerHash(NewClient(), std::move(options));
  }
  void Flush() override { EXPECT_TRUE(admin_->Command({"FLUSHALL"}).ok()); }
  std::string Raw(const Slot& slot) override {
    const auto reply =
        admin_->Command(slot.field.empty() ? redis::Args{"GET", slot.key}
                                           : redis::Args{"HGET", slot.key, slot.field});
    return *reply->AsString();
  }
  void Overwrite(const Slot& slot, const std::string& bytes) override {
    EXPECT_TRUE(admin_
                    ->Command(slot.field.empty() ? redis::Args{"SET", slot.key, bytes}
                                                 : redis::Args{"HSET", slot.key, slot.field, bytes})
                    .ok());
  }

 private:
  redis::Client* NewClient() {
    return clients_.emplace_back(PatientClient(testing::RedisServer::Shared())).get();
  }
  const std::unique_ptr<redis::Client> admin_ = PatientClient(testing::RedisServer::Shared());
  std::vector<std::unique_ptr<redis::Client>> clients_;
};

const BackendFactory kRedis = [] { return std::make_unique<RedisBackend>(); };

INSTANTIATE_TEST_SUITE_P(Redis, CacheContract, ::testing::Values(kRedis));
INSTANTIATE_TEST_SUITE_P(Redis, CustomerHashContract, ::testing::Values(kRedis));

const Key kKey{"acme", "contact", "ada"};
const EntityKey kAda{"acme", *Uuid::Parse("0192f000-0000-7000-8000-000000000001")};

TEST(RedisCacheTest, EntriesTokensAndHashesEndByThemselves) {
  testing::RedisServer server;
  const auto client = PatientClient(server);
  const auto cache = NewCache(client.get(), {.secret = "s"});
  const auto hash = NewCustomerHash(client.get(), {.secret = "s"});
  const auto ttl = [&](const std::string& key) {
    return *client->Command({"PTTL", key})->AsInteger();
  };
  const auto found = cache->Get(kKey, [&]() -> absl::StatusOr<Found> {
    const int64_t token = ttl("c:{acme}:contact:ada:s1:l");
    EXPECT_TRUE(token > 0 && token <= 1000) << token;
    return Row{1, "p"};
  });
  const int64_t entry = ttl("c:{acme}:contact:ada:s1");
  EXPECT_TRUE(entry > 60'000 && entry <= 330'000) << entry;
  EXPECT_EQ(ttl("c:{acme}:contact:ada:s1:l"), -2);
  EXPECT_TRUE(cache->Invalidate(kKey, 2).ok());
  const int64_t tombstone = ttl("c:{acme}:contact:ada:s1");
  EXPECT_TRUE(tombstone > 5'000 && tombstone <= 60'000) << tombstone;

  EXPECT_TRUE(hash->Put(kAda, "core", {1, absl::UnixEpoch(), "p"}).ok());
  EXPECT_TRUE(hash->Invalidate(kAda, "loyalty", 1).ok());
  const int64_t whole = ttl("h:{acme}:0192f000-0000-7000-8000-000000000001");
  EXPECT_TRUE(whole > 60'000 && whole <= 330'000) << whole;
}

TEST(RedisCacheTest, AKeyOfAnotherTypeIsAMiss) {
  testing::RedisServer server;
  const auto client = PatientClient(server);
  const auto cache = NewCache(client.get(), {.secret = "s"});
  EXPECT_TRUE(client->Command({"LPUSH", "c:{acme}:contact:ada:s1", "x"}).ok());
  const auto found = cache->Get(kKey, []() -> absl::StatusOr<Found> { return Row{1, "p"}; });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, (Row{1, "p"}));
}

// Everything is answered by the loaders, and nothing is remembered.
void ExpectAnswersFromTheLoaders(redis::Client* client) {
  const auto cache = NewCache(client, {.secret = "s"});
  const auto hash = NewCustomerHash(client, {.secret = "s"});
  for (int64_t version = 1; version <= 20; ++version) {
    const auto found = cache->Get(kKey, [&]() -> absl::StatusOr<Found> {
      return Row{version, "p"};
    });
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, (Row{version, "p"}));
    const Part part{version, absl::UnixEpoch(), "p"};
    const auto parts = hash->ReadThrough(
        kAda, {"core"}, [&](const std::vector<std::string>& missing) -> absl::StatusOr<Parts> {
          return Parts{{missing.at(0), part}};
        });
    ASSERT_TRUE(parts.ok()) << parts.status();
    EXPECT_EQ(parts->at("core"), part);
  }
  absl::Notification peeked;
  cache->Peek(kKey, [&](Cache::Peeked answer) {
    EXPECT_FALSE(answer.hit);
    peeked.Notify();
  });
  peeked.WaitForNotification();
  EXPECT_EQ(cache->Invalidate(kKey, 1).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(hash->Invalidate(kAda, "core", 1).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(hash->Read(kAda).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_GT(cache->stats().unavailable, 0);
}

void ExpectCachesAgain(redis::Client* client) {
  while (!client->Command({"PING"}).ok()) std::this_thread::yield();
  const auto cache = NewCache(client, {.secret = "s"});
  while (cache->stats().hits == 0) {
    EXPECT_TRUE(cache->Get(kKey, []() -> absl::StatusOr<Found> { return Row{21, "p"}; }).ok());
  }
}

redis::Options Brisk(const testing::RedisServer& server) {
  redis::Options options{.url = server.url()};
  options.probe_interval = absl::Milliseconds(20);
  return options;
}

TEST(RedisCacheTest, AFrozenRedisCostsTimeOnlyAndIsUsedAgainAfterwards) {
  testing::RedisServer server;
  const auto client = *redis::NewClient(Brisk(server));
  ExpectCachesAgain(client.get());
  redis::Freeze(server);
  ExpectAnswersFromTheLoaders(client.get());
  EXPECT_TRUE(client->stats().breaker_open);
  redis::Thaw(server);
  ExpectCachesAgain(client.get());
}

TEST(RedisCacheTest, AKilledRedisCostsTimeOnlyAndIsUsedAgainAfterwards) {
  testing::RedisServer server;
  const auto client = *redis::NewClient(Brisk(server));
  ExpectCachesAgain(client.get());
  server->Kill();
  ExpectAnswersFromTheLoaders(client.get());
  ASSERT_TRUE(server->Restart().ok());
  ExpectCachesAgain(client.get());
}

TEST(RedisCacheTest, ASuiteWithoutRedisIsAnsweredByItsLoaders) {
  const auto client = redis::NewAbsentClient();
  ExpectAnswersFromTheLoaders(client.get());
}

}  // namespace
}  // namespace clm::cache
