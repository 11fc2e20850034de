// The shared pipeline against a hiredis context per thread, GET of 300 bytes, same server, same
// run: CLM_REDIS_URL=unix:///path/redis.sock redis_bench
#include <benchmark/benchmark.h>
#include <hiredis/hiredis.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "libs/redis/redis.h"

namespace clm::redis {
namespace {

std::string Url() {
  const char* url = std::getenv("CLM_REDIS_URL");
  return url == nullptr ? "" : url;
}

Client& Shared() {
  static Client& client = *[] {
    Client* made = NewClient({.url = Url(), .command_timeout = absl::Seconds(1)})->release();
    made->Command({"SET", "bench", std::string(300, 'x')}).status().IgnoreError();
    return made;
  }();
  return client;
}

void ContextPerThread(benchmark::State& state) {
  const std::string path = Url().substr(7);
  redisContext* context = redisConnectUnix(path.c_str());
  const char* argv[] = {"GET", "bench"};
  const size_t sizes[] = {3, 5};
  for (auto _ : state) {
    freeReplyObject(redisCommandArgv(context, 2, argv, sizes));
  }
  redisFree(context);
  state.SetItemsProcessed(state.iterations());
}

void SharedPipeline(benchmark::State& state) {
  Client& client = Shared();
  for (auto _ : state) {
    if (!client.Command({"GET", "bench"}).ok()) state.SkipWithError("no answer");
  }
  state.SetItemsProcessed(state.iterations());
}

// One caller that keeps range(0) commands under way without waiting for each.
void AsynchronousWindow(benchmark::State& state) {
  Client& client = Shared();
  absl::Mutex mu;
  int64_t under_way = 0;
  const auto room = [&] { return under_way < state.range(0); };
  const auto none = [&] { return under_way == 0; };
  for (auto _ : state) {
    {
      absl::MutexLock lock(&mu);
      mu.Await(absl::Condition(&room));
      ++under_way;
    }
    client.CommandAsync({"GET", "bench"}, [&](const absl::StatusOr<Reply>&) {
      absl::MutexLock lock(&mu);
      --under_way;
    });
  }
  absl::MutexLock lock(&mu);
  mu.Await(absl::Condition(&none));
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(ContextPerThread)->ThreadRange(1, 64)->UseRealTime();
BENCHMARK(SharedPipeline)->ThreadRange(1, 64)->UseRealTime();
BENCHMARK(AsynchronousWindow)->RangeMultiplier(8)->Range(1, 512)->UseRealTime();

}  // namespace
}  // namespace clm::redis

BENCHMARK_MAIN();
