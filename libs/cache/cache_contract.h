// What both caches promise, on either store: run on memory in the unit binary and on a real Redis
// in the integration binary.
#ifndef CLM_LIBS_CACHE_CACHE_CONTRACT_H_
#define CLM_LIBS_CACHE_CACHE_CONTRACT_H_

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/cache/cache.h"
#include "libs/cache/customer_hash.h"
#include "libs/cache/store.h"
#include "libs/testing/at_once.h"

namespace clm::cache {

// A store, and caches on it that are like processes of their own.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::unique_ptr<Cache> NewCache(Options options) = 0;
  virtual std::unique_ptr<CustomerHash> NewHash(Options options) = 0;
  virtual void Flush() = 0;
  virtual std::string Raw(const Slot& slot) = 0;
  virtual void Overwrite(const Slot& slot, const std::string& bytes) = 0;
};
using BackendFactory = std::function<std::unique_ptr<Backend>()>;

class ContractTest : public ::testing::TestWithParam<BackendFactory> {
 protected:
  Options Defaults() const {
    // A reader without the token waits until the holder is done (or ten seconds, for a test that
    // fails).
    return {.secret = "secret", .polls = 1000, .clock = &clock_};
  }

  static Found At(int64_t version) { return Row{version, absl::StrCat("payload ", version)}; }

  ManualClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  std::unique_ptr<Backend> backend_ = GetParam()();
};

class CacheContract : public ContractTest {
 protected:
  // The truth at `version`; 0 is a row that does not exist. Counts.
  absl::StatusOr<Found> LoadAt(int64_t version) {
    ++loads_;
    return version == 0 ? Found() : At(version);
  }
  Found GetAt(Cache& cache, int64_t version) {
    const auto found = cache.Get(key_, [&] { return LoadAt(version); });
    EXPECT_TRUE(found.ok()) << found.status();
    return found.value_or(std::nullopt);
  }
  Cache::Peeked Peek(Cache& cache) {
    absl::Notification answered;
    Cache::Peeked peeked;
    cache.Peek(key_, [&](Cache::Peeked p) {
      peeked = std::move(p);
      answered.Notify();
    });
    answered.WaitForNotification();
    return peeked;
  }
  Slot SlotOfKey() const { return {"acme", "c:{acme}:contact:ada:s1", ""}; }

  const Key key_{"acme", "contact", "ada"};
  std::atomic<int> loads_{0};
  std::unique_ptr<Cache> cache_ = backend_->NewCache(Defaults());
  std::unique_ptr<Cache> other_ = backend_->NewCache(Defaults());
};

TEST_P(CacheContract, AMissLoadsOnceAndEverybodyHitsAfterwards) {
  EXPECT_EQ(GetAt(*cache_, 3), At(3));
  EXPECT_EQ(GetAt(*cache_, 99), At(3));
  EXPECT_EQ(GetAt(*other_, 99), At(3));
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(cache_->stats().misses, 1);
  EXPECT_EQ(cache_->stats().fills, 1);
  EXPECT_EQ(cache_->stats().hits, 1);
  EXPECT_EQ(other_->stats().hits, 1);
}

TEST_P(CacheContract, APeekNeverLoads) {
  EXPECT_FALSE(Peek(*cache_).hit);
  GetAt(*cache_, 3);
  const Cache::Peeked peeked = Peek(*other_);
  EXPECT_TRUE(peeked.hit);
  EXPECT_EQ(peeked.found, At(3));
  EXPECT_FALSE(peeked.renew);
}

TEST_P(CacheContract, TenantsTypesIdsAndSchemasAreEntriesOfTheirOwn) {
  GetAt(*cache_, 3);
  for (const Key& key : {Key{"globex", "contact", "ada"}, Key{"acme", "company", "ada"},
                         Key{"acme", "contact", "bob"}, Key{"acme", "contact", "ada", 2}}) {
    const auto found = cache_->Get(key, [&] { return LoadAt(4); });
    EXPECT_EQ(*found, At(4));
  }
}

TEST_P(CacheContract, AnAbsentRowIsRememberedForAShortTime) {
  EXPECT_EQ(GetAt(*cache_, 0), std::nullopt);
  EXPECT_EQ(GetAt(*other_, 1), std::nullopt);
  EXPECT_TRUE(Peek(*other_).hit);
  EXPECT_EQ(loads_, 1);
  clock_.Advance(absl::Seconds(5));
  EXPECT_FALSE(Peek(*other_).hit);
  EXPECT_EQ(GetAt(*other_, 1), At(1));
}

TEST_P(CacheContract, ACreationIsSeenAtOnceAfterAnAbsentRowWasRemembered) {
  EXPECT_EQ(GetAt(*cache_, 0), std::nullopt);
  EXPECT_TRUE(other_->Invalidate(key_, 1).ok());
  EXPECT_EQ(GetAt(*cache_, 1), At(1));
  EXPECT_EQ(GetAt(*other_, 99), At(1));
}

TEST_P(CacheContract, AnEntryEndsWithItsTtl) {
  GetAt(*cache_, 3);
  clock_.Advance(absl::Seconds(269));
  EXPECT_TRUE(Peek(*cache_).hit);
  clock_.Advance(absl::Seconds(61));
  EXPECT_FALSE(Peek(*cache_).hit);
  EXPECT_EQ(GetAt(*cache_, 4), At(4));
}

TEST_P(CacheContract, AnInvalidationIsSeenByEveryCacheAndTheNextLoadIsKept) {
  GetAt(*cache_, 1);
  EXPECT_TRUE(other_->Invalidate(key_, 2).ok());
  EXPECT_FALSE(Peek(*cache_).hit);
  EXPECT_EQ(GetAt(*cache_, 2), At(2));
  EXPECT_EQ(GetAt(*other_, 99), At(2));
}

TEST_P(CacheContract, AWriteThroughIsAHitForTheNextReader) {
  EXPECT_TRUE(cache_->Put(key_, *At(2)).ok());
  EXPECT_EQ(GetAt(*other_, 99), At(2));
  EXPECT_EQ(loads_, 0);
}

TEST_P(CacheContract, ChangesThatArriveOutOfOrderLeaveTheNewest) {
  EXPECT_TRUE(cache_->Put(key_, *At(5)).ok());
  EXPECT_TRUE(cache_->Put(key_, *At(4)).ok());
  EXPECT_TRUE(cache_->Invalidate(key_, 4).ok());
  EXPECT_EQ(GetAt(*cache_, 99), At(5));
  EXPECT_TRUE(cache_->Invalidate(key_, 6).ok());
  EXPECT_TRUE(cache_->Put(key_, *At(5)).ok());
  EXPECT_EQ(GetAt(*cache_, 6), At(6));
}

TEST_P(CacheContract, TheFeedSayingItAgainDoesNotCostTheEntry) {
  EXPECT_TRUE(cache_->Put(key_, *At(5)).ok());
  EXPECT_TRUE(cache_->Invalidate(key_, 5).ok());
  EXPECT_EQ(GetAt(*cache_, 99), At(5));
}

TEST_P(CacheContract, VersionsBeyondTheRangeOfADoubleAreTold) {
  const int64_t large = (int64_t{1} << 53) + 1;
  EXPECT_TRUE(cache_->Put(key_, *At(large)).ok());
  EXPECT_TRUE(cache_->Put(key_, *At(large - 1)).ok());
  EXPECT_EQ(GetAt(*cache_, 99), At(large));
}

TEST_P(CacheContract, SeveralChangesGoTogether) {
  std::vector<Change> changes;
  for (int i = 0; i < 50; ++i) {
    changes.push_back({{"acme", "contact", absl::StrCat(i)}, 7, absl::StrCat("p", i)});
  }
  EXPECT_TRUE(cache_->Apply(changes).ok());
  EXPECT_TRUE(cache_->Apply({}).ok());
  for (const Change& change : changes) {
    const auto found = other_->Get(change.key, [&] { return LoadAt(1); });
    EXPECT_EQ(*found, (Row{7, *change.payload}));
  }
  EXPECT_EQ(loads_, 0);
}

// The races. A loader that does something before it returns is a slow load, with the interleaving
// that matters and no other.

TEST_P(CacheContract, ChangesOfSeveralTenantsGoTogether) {
  const auto key = [](int i) {
    return Key{i % 2 == 0 ? "acme" : "globex", "contact", absl::StrCat(i)};
  };
  std::vector<Change> changes;
  for (int i = 0; i < 5; ++i) changes.push_back({key(i), 1, absl::StrCat("payload ", i)});
  EXPECT_TRUE(cache_->Apply(changes).ok());
  for (int i = 0; i < 5; ++i) {
    const auto found = other_->Get(key(i), [&] { return LoadAt(0); });
    EXPECT_EQ(*found, (Row{1, absl::StrCat("payload ", i)}));
  }
  EXPECT_EQ(loads_, 0);
}

TEST_P(CacheContract, ASlowFillAfterAnInvalidationIsRefused) {
  const auto slow = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
    const Found read = At(1);
    EXPECT_TRUE(other_->Invalidate(key_, 2).ok());
    return read;
  });
  EXPECT_EQ(*slow, At(1));  // It asked before the change was told.
  EXPECT_EQ(cache_->stats().refused_fills, 1);
  EXPECT_EQ(GetAt(*cache_, 2), At(2));
}

TEST_P(CacheContract, ASlowFillAfterAnInvalidationAndAReloadIsRefused) {
  const auto slow = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
    const Found read = At(1);
    EXPECT_TRUE(other_->Invalidate(key_, 2).ok());
    EXPECT_EQ(GetAt(*other_, 2), At(2));
    return read;
  });
  EXPECT_EQ(GetAt(*cache_, 99), At(2));
}

TEST_P(CacheContract, ASlowFillIsRefusedEvenWhenTheTombstoneWasFlushedAway) {
  const auto slow = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
    const Found read = At(1);
    EXPECT_TRUE(other_->Invalidate(key_, 2).ok());
    backend_->Flush();
    return read;
  });
  EXPECT_EQ(cache_->stats().refused_fills, 1);
  EXPECT_EQ(GetAt(*cache_, 2), At(2));
}

TEST_P(CacheContract, ASlowFillAfterAFlushCannotUseTheTokenOfAnother) {
  absl::Notification other_loading;
  absl::Notification first_done;
  std::thread other;
  const auto slow = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
    const Found read = At(1);
    EXPECT_TRUE(other_->Invalidate(key_, 2).ok());
    backend_->Flush();
    other = std::thread([&] {
      const auto found = other_->Get(key_, [&]() -> absl::StatusOr<Found> {
        other_loading.Notify();
        first_done.WaitForNotification();
        return At(2);
      });
      EXPECT_EQ(*found, At(2));
    });
    other_loading.WaitForNotification();
    return read;
  });
  EXPECT_EQ(cache_->stats().refused_fills, 1);
  EXPECT_FALSE(Peek(*cache_).hit);
  first_done.Notify();
  other.join();
  EXPECT_EQ(GetAt(*cache_, 99), At(2));
}

TEST_P(CacheContract, ASlowAbsenceCannotHideACreation) {
  const auto slow = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
    EXPECT_TRUE(other_->Put(key_, *At(1)).ok());
    return std::nullopt;
  });
  EXPECT_EQ(*slow, std::nullopt);
  EXPECT_EQ(GetAt(*cache_, 99), At(1));
}

TEST_P(CacheContract, ASlowAbsenceAfterAFlushCannotHideACreation) {
  const auto slow = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
    EXPECT_TRUE(other_->Put(key_, *At(1)).ok());
    backend_->Flush();
    return std::nullopt;
  });
  EXPECT_EQ(GetAt(*cache_, 1), At(1));
}

TEST_P(CacheContract, AReaderWithoutTheTokenLoadsAndFillsNothing) {
  const auto slow = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
    Options impatient = Defaults();
    impatient.polls = 0;
    const auto third = backend_->NewCache(impatient);
    EXPECT_EQ(GetAt(*third, 1), At(1));
    EXPECT_EQ(third->stats().fills + third->stats().refused_fills, 0);
    return At(1);
  });
  EXPECT_EQ(cache_->stats().fills, 1);
}

TEST_P(CacheContract, AStampedeOfSixtyFourThreadsIsOneLoad) {
  constexpr int kThreads = 64;
  Options impatient = Defaults();
  impatient.polls = 0;
  const auto cache = backend_->NewCache(impatient);
  std::atomic<int> wrong{0};
  testing::AtOnce(kThreads, [&](int) {
    const auto found = cache->Get(key_, [&] {
      // Nobody is answered before everybody has asked.
      while (cache->stats().misses < kThreads) std::this_thread::yield();
      return LoadAt(1);
    });
    if (!found.ok() || *found != At(1)) ++wrong;
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(loads_, 1);
}

TEST_P(CacheContract, ALoadThatIsBehindTheTombstoneIsNotKept) {
  EXPECT_TRUE(cache_->Invalidate(key_, 5).ok());
  // As a read from a lagging replica would be.
  EXPECT_EQ(GetAt(*cache_, 4), At(4));
  EXPECT_EQ(cache_->stats().refused_fills, 1);
  EXPECT_EQ(GetAt(*cache_, 5), At(5));
}

TEST_P(CacheContract, TwoProcessesShareOneLoad) {
  absl::Notification loading;
  absl::Notification go;
  std::thread first([&] {
    const auto found = cache_->Get(key_, [&] {
      loading.Notify();
      go.WaitForNotification();
      return LoadAt(1);
    });
    EXPECT_EQ(*found, At(1));
  });
  loading.WaitForNotification();
  std::thread second([&] { EXPECT_EQ(GetAt(*other_, 99), At(1)); });
  go.Notify();
  first.join();
  second.join();
  EXPECT_EQ(loads_, 1);
}

TEST_P(CacheContract, WhoComesWhileALoadRunsGetsANewerOne) {
  absl::Notification loading;
  absl::Notification go;
  std::thread first([&] {
    const auto found = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
      const Found read = At(1);
      loading.Notify();
      go.WaitForNotification();
      return read;
    });
    EXPECT_EQ(*found, At(1));
  });
  loading.WaitForNotification();
  // The change is committed and told; its author reads.
  EXPECT_TRUE(other_->Invalidate(key_, 2).ok());
  std::thread author([&] { EXPECT_EQ(GetAt(*cache_, 2), At(2)); });
  go.Notify();
  first.join();
  author.join();
}

TEST_P(CacheContract, AFailingLoadIsNobodyElsesFailure) {
  absl::Notification loading;
  absl::Notification go;
  std::thread first([&] {
    const auto found = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
      loading.Notify();
      go.WaitForNotification();
      return error::Internal("broken");
    });
    EXPECT_EQ(found.status().code(), absl::StatusCode::kInternal);
  });
  loading.WaitForNotification();
  Options impatient = Defaults();
  impatient.polls = 0;
  const auto third = backend_->NewCache(impatient);
  EXPECT_EQ(GetAt(*third, 1), At(1));
  go.Notify();
  first.join();
}

TEST_P(CacheContract, NoReaderSeesARowOlderThanAChangeThatWasTold) {
  constexpr int kReaders = 4;
  constexpr int kChanges = 400;
  Options impatient = Defaults();
  impatient.polls = 0;
  const std::unique_ptr<Cache> caches[] = {backend_->NewCache(impatient),
                                           backend_->NewCache(impatient)};
  std::atomic<int64_t> truth{1};  // Committed.
  std::atomic<int64_t> told{1};   // Committed and told to the cache.
  std::atomic<bool> ended{false};
  std::atomic<int> old{0};
  std::latch start(kReaders + 2);
  std::vector<std::thread> threads;
  for (int i = 0; i < kReaders; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      while (!ended) {
        const int64_t at_least = told;
        const auto found = caches[i % 2]->Get(key_, [&]() -> absl::StatusOr<Found> {
          const Found read = At(truth);
          std::this_thread::yield();
          return read;
        });
        if (!found.ok() || !*found || (*found)->version < at_least) ++old;
      }
    });
  }
  threads.emplace_back([&] {
    start.arrive_and_wait();
    while (!ended) {
      backend_->Flush();
      std::this_thread::yield();
    }
  });
  start.arrive_and_wait();
  for (int i = 0; i < kChanges; ++i) {
    const int64_t version = ++truth;
    const absl::Status status =
        i % 2 == 0 ? caches[0]->Invalidate(key_, version) : caches[1]->Put(key_, *At(version));
    EXPECT_TRUE(status.ok()) << status;
    told = version;
  }
  ended = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(old, 0);
}

// Rubbish in the store.

TEST_P(CacheContract, WhatAnotherSecretSealedIsAMissAndIsReplaced) {
  GetAt(*cache_, 3);
  Options options = Defaults();
  options.secret = "other";
  const auto stranger = backend_->NewCache(options);
  EXPECT_FALSE(Peek(*stranger).hit);
  EXPECT_EQ(GetAt(*stranger, 3), At(3));
  EXPECT_EQ(GetAt(*stranger, 99), At(3));
  EXPECT_EQ(stranger->stats().fills, 1);
}

TEST_P(CacheContract, ATamperedEntryIsAMissAndIsReplaced) {
  GetAt(*cache_, 3);
  const std::string good = backend_->Raw(SlotOfKey());
  std::vector<std::string> rubbish = {"", "x", std::string(24, 'x'), std::string(200, '\xff')};
  for (const size_t i :
       {size_t{0}, size_t{7}, size_t{8}, size_t{12}, size_t{30}, good.size() - 1}) {
    rubbish.push_back(good);
    rubbish.back()[i] ^= 4;
  }
  for (const std::string& bytes : rubbish) {
    backend_->Overwrite(SlotOfKey(), bytes);
    EXPECT_FALSE(Peek(*cache_).hit);
    loads_ = 0;
    EXPECT_EQ(GetAt(*cache_, 3), At(3));
    EXPECT_EQ(GetAt(*cache_, 3), At(3));
    EXPECT_EQ(loads_, 1);
  }
}

TEST_P(CacheContract, AnEntryMovedToAnotherKeyIsAMiss) {
  GetAt(*cache_, 3);
  backend_->Overwrite({"acme", "c:{acme}:contact:bob:s1", ""}, backend_->Raw(SlotOfKey()));
  EXPECT_EQ(*cache_->Get({"acme", "contact", "bob"}, [&] { return LoadAt(1); }), At(1));
}

TEST_P(CacheContract, ThePayloadIsNotToBeReadInTheStore) {
  EXPECT_TRUE(cache_->Put(key_, {1, "ada@example.com"}).ok());
  EXPECT_EQ(backend_->Raw(SlotOfKey()).find("ada@"), std::string::npos);
}

// Renewal and observation.

TEST_P(CacheContract, AnEntryNearItsEndIsRenewedWithTheSameVersion) {
  GetAt(*cache_, 3);
  const std::string before = backend_->Raw(SlotOfKey());
  // One load time is at least a microsecond; a microsecond before the end renewal is likely, and
  // reads go on until it happens.
  const auto entry = DecodeEntry(Sealer("secret"), SlotOfKey(), before);
  clock_.Set(entry->expiry - absl::Microseconds(1));
  while (loads_ < 2) EXPECT_EQ(GetAt(*cache_, 3), At(3));
  const auto renewed = DecodeEntry(Sealer("secret"), SlotOfKey(), backend_->Raw(SlotOfKey()));
  EXPECT_GT(renewed->expiry, entry->expiry);
  EXPECT_EQ(renewed->version, 3);
}

TEST_P(CacheContract, AFailingRenewalKeepsTheEntry) {
  GetAt(*cache_, 3);
  const auto entry = DecodeEntry(Sealer("secret"), SlotOfKey(), backend_->Raw(SlotOfKey()));
  clock_.Set(entry->expiry - absl::Microseconds(1));
  bool failed = false;
  while (!failed) {
    const auto found = cache_->Get(key_, [&]() -> absl::StatusOr<Found> {
      failed = true;
      return error::Internal("broken");
    });
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, At(3));
  }
}

TEST_P(CacheContract, TheSamplerCountsAnEntryThatMissedItsInvalidation) {
  std::atomic<int64_t> truth{3};
  Options options = Defaults();
  options.sample_every = 1;
  options.sample_delay = absl::ZeroDuration();
  options.truth = [&](const Key& key) -> absl::StatusOr<Found> {
    EXPECT_EQ(key.id, "ada");
    return At(truth);
  };
  const auto watched = backend_->NewCache(options);
  GetAt(*watched, 3);
  truth = 4;
  while (watched->stats().stale == 0) EXPECT_EQ(GetAt(*watched, 99), At(3));
  EXPECT_GT(watched->stats().sampled, 0);
}

TEST_P(CacheContract, TheSamplerDoesNotCountAChangeThatArrivedMeanwhile) {
  std::atomic<int> asked{0};
  Options options = Defaults();
  options.sample_every = 1;
  options.sample_delay = absl::ZeroDuration();
  Cache* cache = nullptr;
  options.truth = [&](const Key&) -> absl::StatusOr<Found> {
    EXPECT_TRUE(cache->Put(key_, *At(4)).ok());
    ++asked;
    return At(4);
  };
  const auto watched = backend_->NewCache(options);
  cache = watched.get();
  GetAt(*watched, 3);
  GetAt(*watched, 3);
  // The first sample has been judged when a second one is being judged.
  while (asked < 2) GetAt(*watched, 4);
  EXPECT_EQ(watched->stats().stale, 0);
}

class CustomerHashContract : public ContractTest {
 protected:
  static Part PartAt(int64_t version) {
    return {version, absl::FromUnixMicros(1000 + version), absl::StrCat("part ", version)};
  }
  Parts ReadAll(CustomerHash& hash) {
    const auto parts = hash.Read(ada_);
    EXPECT_TRUE(parts.ok()) << parts.status();
    return parts.value_or(Parts());
  }
  // Loads every missing field at `version`.
  auto LoaderAt(int64_t version) {
    return [this, version](const std::vector<std::string>& missing) -> absl::StatusOr<Parts> {
      ++loads_;
      asked_ = missing;
      Parts parts;
      for (const std::string& field : missing) parts[field] = PartAt(version);
      return parts;
    };
  }
  Parts ThroughAt(CustomerHash& hash, const std::vector<std::string>& fields, int64_t version) {
    const auto parts = hash.ReadThrough(ada_, fields, LoaderAt(version));
    EXPECT_TRUE(parts.ok()) << parts.status();
    return parts.value_or(Parts());
  }
  Slot SlotOfField(const std::string& field) const {
    return {"acme", absl::StrCat("h:{acme}:", ada_.id.ToString()), field};
  }

  const EntityKey ada_{"acme", *Uuid::Parse("0192f000-0000-7000-8000-000000000001")};
  std::atomic<int> loads_{0};
  std::vector<std::string> asked_;
  std::unique_ptr<CustomerHash> hash_ = backend_->NewHash(Defaults());
  std::unique_ptr<CustomerHash> other_ = backend_->NewHash(Defaults());
};

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST_P(CustomerHashContract, EachOwnerWritesItsFieldAndOneReadHasThemAll) {
  EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
  EXPECT_TRUE(hash_->Put(ada_, "core", PartAt(1)).ok());
  EXPECT_TRUE(other_->Put(ada_, "loyalty", PartAt(7)).ok());
  EXPECT_THAT(ReadAll(*hash_),
              UnorderedElementsAre(Pair("core", PartAt(1)), Pair("loyalty", PartAt(7))));
  const EntityKey same_id_elsewhere{"globex", ada_.id};
  EXPECT_THAT(*hash_->Read(same_id_elsewhere), ::testing::IsEmpty());
}

TEST_P(CustomerHashContract, AReadOfSomeFieldsAnswersThoseOfThemThatAreThere) {
  EXPECT_TRUE(hash_->Put(ada_, "core", PartAt(1)).ok());
  EXPECT_TRUE(hash_->Put(ada_, "loyalty", PartAt(7)).ok());
  EXPECT_TRUE(hash_->Invalidate(ada_, "feedback", 2).ok());
  const auto read = [&](const std::vector<std::string>& fields) {
    absl::Notification answered;
    absl::StatusOr<Parts> found;
    other_->ReadAsync(ada_, fields, [&](absl::StatusOr<Parts> parts) {
      found = std::move(parts);
      answered.Notify();
    });
    answered.WaitForNotification();
    EXPECT_TRUE(found.ok()) << found.status();
    return *std::move(found);
  };
  EXPECT_THAT(read({"stages", "loyalty"}), ElementsAre(Pair("loyalty", PartAt(7))));
  EXPECT_THAT(read({"loyalty", "feedback", "core"}),
              UnorderedElementsAre(Pair("core", PartAt(1)), Pair("loyalty", PartAt(7))));
  EXPECT_THAT(read({"stages"}), ::testing::IsEmpty());
}

TEST_P(CustomerHashContract, WritesThatArriveOutOfOrderLeaveTheNewest) {
  EXPECT_TRUE(hash_->Put(ada_, "core", PartAt(5)).ok());
  EXPECT_TRUE(hash_->Put(ada_, "core", PartAt(4)).ok());
  EXPECT_TRUE(hash_->Invalidate(ada_, "core", 4).ok());
  EXPECT_TRUE(hash_->Invalidate(ada_, "core", 5).ok());
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("core", PartAt(5))));
}

TEST_P(CustomerHashContract, ATombstoneHidesItsFieldOnly) {
  EXPECT_TRUE(hash_->Put(ada_, "core", PartAt(1)).ok());
  EXPECT_TRUE(hash_->Put(ada_, "loyalty", PartAt(1)).ok());
  EXPECT_TRUE(other_->Invalidate(ada_, "core", 2).ok());
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("loyalty", PartAt(1))));
  EXPECT_THAT(ThroughAt(*hash_, {"core", "loyalty"}, 2),
              UnorderedElementsAre(Pair("core", PartAt(2)), Pair("loyalty", PartAt(1))));
  EXPECT_THAT(asked_, ElementsAre("core"));
  EXPECT_EQ(ReadAll(*other_).size(), 2);
}

TEST_P(CustomerHashContract, AMissIsLoadedOnceForAll) {
  ThroughAt(*hash_, {"core", "stages"}, 3);
  EXPECT_THAT(ThroughAt(*other_, {"stages", "core"}, 99),
              UnorderedElementsAre(Pair("core", PartAt(3)), Pair("stages", PartAt(3))));
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(hash_->stats().fills, 2);
}

TEST_P(CustomerHashContract, AnOwnerThatDoesNotAnswerCostsItsFieldOnly) {
  const auto parts = hash_->ReadThrough(
      ada_, {"core", "loyalty"}, [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
        return Parts{{"core", PartAt(1)}};
      });
  EXPECT_THAT(*parts, ElementsAre(Pair("core", PartAt(1))));
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("core", PartAt(1))));
}

TEST_P(CustomerHashContract, AnOwnerThatHoldsNothingIsRememberedLikeOneThatHoldsSomething) {
  const Part nothing{0, absl::FromUnixMicros(5), ""};
  const auto load = [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
    ++loads_;
    return Parts{{"loyalty", nothing}};
  };
  EXPECT_EQ(hash_->ReadThrough(ada_, {"loyalty"}, load)->size(), 1);
  clock_.Advance(absl::Seconds(269));
  EXPECT_THAT(*other_->ReadThrough(ada_, {"loyalty"}, load), ElementsAre(Pair("loyalty", nothing)));
  EXPECT_EQ(loads_, 1);
}

TEST_P(CustomerHashContract, WhatAnOwnerHoldsFirstReplacesThatItHeldNothing) {
  const Part nothing{0, absl::FromUnixMicros(5), ""};
  EXPECT_TRUE(hash_->Put(ada_, "loyalty", nothing).ok());
  EXPECT_TRUE(hash_->Put(ada_, "feedback", nothing).ok());
  EXPECT_TRUE(other_->Put(ada_, "loyalty", PartAt(1)).ok());
  EXPECT_TRUE(other_->Invalidate(ada_, "feedback", 1).ok());
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("loyalty", PartAt(1))));
  EXPECT_TRUE(hash_->Put(ada_, "loyalty", nothing).ok());
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("loyalty", PartAt(1))));
}

// Of a customer whose first entry is told while somebody loads that there is none.
TEST_P(CustomerHashContract, ASlowLoadOfNothingDoesNotHideWhatTheOwnerHoldsByNow) {
  const auto slow = [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
    EXPECT_TRUE(other_->Invalidate(ada_, "loyalty", 1).ok());
    return Parts{{"loyalty", Part{0, absl::FromUnixMicros(5), ""}}};
  };
  EXPECT_TRUE(hash_->ReadThrough(ada_, {"loyalty"}, slow).ok());
  EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
}

TEST_P(CustomerHashContract, AFieldEndsWithItsOwnTtlWhileOthersAreWritten) {
  EXPECT_TRUE(hash_->Put(ada_, "core", PartAt(1)).ok());
  clock_.Advance(absl::Seconds(200));
  EXPECT_TRUE(hash_->Put(ada_, "loyalty", PartAt(1)).ok());
  clock_.Advance(absl::Seconds(140));
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("loyalty", PartAt(1))));
}

TEST_P(CustomerHashContract, APartEndsWhenItMayBeUntrueByItself) {
  const auto load = [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
    ++loads_;
    Part part = PartAt(loads_);
    part.hold_until = clock_.Now() + absl::Seconds(10);
    return Parts{{"loyalty", part}};
  };
  EXPECT_TRUE(hash_->ReadThrough(ada_, {"loyalty"}, load).ok());
  clock_.Advance(absl::Seconds(10) - absl::Microseconds(1));
  EXPECT_THAT(ReadAll(*other_), ElementsAre(Pair("loyalty", PartAt(1))));
  clock_.Advance(absl::Microseconds(1));
  EXPECT_THAT(ReadAll(*other_), ::testing::IsEmpty());
  // Without anybody's change, so with the same version.
  loads_ = 0;
  EXPECT_TRUE(other_->ReadThrough(ada_, {"loyalty"}, load).ok());
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("loyalty", PartAt(1))));
  PartChange change{ada_, "core", 3, absl::FromUnixMicros(1003), "part 3"};
  change.hold_until = clock_.Now() + absl::Seconds(1);
  EXPECT_TRUE(hash_->Apply({change}).ok());
  EXPECT_EQ(ReadAll(*other_).count("core"), 1);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(ReadAll(*other_).count("core"), 0);
}

TEST_P(CustomerHashContract, APartWhoseTimeIsOverIsAnsweredAndNotKept) {
  const auto load = [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
    Part part = PartAt(1);
    part.hold_until = clock_.Now();
    return Parts{{"loyalty", part}};
  };
  EXPECT_EQ(hash_->ReadThrough(ada_, {"loyalty"}, load)->size(), 1);
  EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
  PartChange change{ada_, "core", 3, absl::FromUnixMicros(1003), "part 3"};
  change.hold_until = clock_.Now();
  EXPECT_TRUE(hash_->Apply({change}).ok());
  EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
}

TEST_P(CustomerHashContract, APayloadThatGoesOverAnotherOnlyBringsNothingBack) {
  const auto over = [&](int64_t version, const std::string& payload) {
    EXPECT_TRUE(
        hash_->Apply({{ada_, "loyalty", version, absl::FromUnixMicros(1), payload, true}}).ok());
    const Parts parts = ReadAll(*other_);
    const auto it = parts.find("loyalty");
    return it == parts.end() ? "" : it->second.payload;
  };
  EXPECT_EQ(over(5, "a"), "");
  ThroughAt(*hash_, {"loyalty"}, 5);
  EXPECT_EQ(over(5, "b"), "b");
  EXPECT_EQ(over(4, "c"), "b");
  EXPECT_EQ(over(6, "d"), "d");
  EXPECT_TRUE(other_->Invalidate(ada_, "loyalty", 7).ok());
  EXPECT_EQ(over(6, "e"), "");
  EXPECT_EQ(over(8, "f"), "");
}

TEST_P(CustomerHashContract, ASlowFillAfterAWriteIsRefused) {
  const auto slow = hash_->ReadThrough(
      ada_, {"core"}, [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
        EXPECT_TRUE(other_->Put(ada_, "core", PartAt(2)).ok());
        return Parts{{"core", PartAt(1)}};
      });
  EXPECT_EQ(hash_->stats().refused_fills, 1);
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("core", PartAt(2))));
}

TEST_P(CustomerHashContract, ASlowFillAfterATombstoneIsRefused) {
  const auto slow = hash_->ReadThrough(
      ada_, {"core", "loyalty"}, [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
        EXPECT_TRUE(other_->Invalidate(ada_, "core", 2).ok());
        return Parts{{"core", PartAt(1)}, {"loyalty", PartAt(1)}};
      });
  EXPECT_EQ(hash_->stats().refused_fills, 1);
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("loyalty", PartAt(1))));
}

TEST_P(CustomerHashContract, ASlowFillIsRefusedEvenWhenTheTombstoneWasFlushedAway) {
  const auto slow = hash_->ReadThrough(
      ada_, {"core"}, [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
        EXPECT_TRUE(other_->Invalidate(ada_, "core", 2).ok());
        backend_->Flush();
        return Parts{{"core", PartAt(1)}};
      });
  EXPECT_EQ(hash_->stats().refused_fills, 1);
  EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
}

TEST_P(CustomerHashContract, WhatIsOnlyFilledLeavesNoTombstoneAndNoOlderFillGetsBy) {
  const auto change = [&](int64_t version) {
    const PartChange change{ada_, "core", version, absl::UnixEpoch(), std::nullopt, true};
    EXPECT_TRUE(other_->Apply(absl::MakeConstSpan(&change, 1)).ok());
  };
  // A reader that holds a token since before the change.
  const auto parts = hash_->ReadThrough(
      ada_, {"core"}, [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
        change(2);
        return Parts{{"core", PartAt(1)}};
      });
  EXPECT_THAT(*parts, ElementsAre(Pair("core", PartAt(1))));
  EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
  // No version is remembered where nothing was.
  ThroughAt(*hash_, {"core"}, 1);
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("core", PartAt(1))));
  change(1);
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("core", PartAt(1))));
  change(3);
  EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
  ThroughAt(*hash_, {"core"}, 2);
  EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
}

TEST_P(CustomerHashContract, AStampedeOfSixtyFourThreadsIsOneLoad) {
  constexpr int kThreads = 64;
  Options impatient = Defaults();
  impatient.polls = 0;
  const auto hash = backend_->NewHash(impatient);
  std::atomic<int> wrong{0};
  testing::AtOnce(kThreads, [&](int) {
    const auto parts = hash->ReadThrough(
        ada_, {"core"}, [&](const std::vector<std::string>&) -> absl::StatusOr<Parts> {
          while (hash->stats().misses < kThreads) std::this_thread::yield();
          ++loads_;
          return Parts{{"core", PartAt(1)}};
        });
    if (!parts.ok() || !parts->contains("core")) ++wrong;
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(loads_, 1);
}

TEST_P(CustomerHashContract, ATamperedOrMovedFieldIsAMissAndIsReplaced) {
  EXPECT_TRUE(hash_->Put(ada_, "core", PartAt(3)).ok());
  const std::string good = backend_->Raw(SlotOfField("core"));
  EXPECT_EQ(good.find("part 3"), std::string::npos);
  backend_->Overwrite(SlotOfField("loyalty"), good);
  EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("core", PartAt(3))));
  for (const size_t i : {size_t{0}, size_t{7}, size_t{20}, good.size() - 1}) {
    std::string bad = good;
    bad[i] ^= 4;
    backend_->Overwrite(SlotOfField("core"), bad);
    EXPECT_THAT(ReadAll(*hash_), ::testing::IsEmpty());
    ThroughAt(*hash_, {"core"}, 3);
    EXPECT_THAT(ReadAll(*hash_), ElementsAre(Pair("core", PartAt(3))));
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CacheContract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CustomerHashContract);

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_CACHE_CONTRACT_H_
