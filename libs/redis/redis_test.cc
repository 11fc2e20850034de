#include "libs/redis/redis.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <latch>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"
#include "libs/redis/frozen.h"
#include "libs/testing/servers.h"

namespace clm::redis {
namespace {

using ::testing::ElementsAre;

// Tests share the machine with others, so answers may take long; only tests of a server that never
// answers use the short times of production.
Options Patient(const std::string& url) {
  return {.url = url,
          .connect_timeout = absl::Seconds(20),
          .command_timeout = absl::Seconds(20),
          .probe_interval = absl::Milliseconds(20)};
}

Options Brisk(const std::string& url) {
  Options options{.url = url};
  options.probe_interval = absl::Milliseconds(20);
  return options;
}

std::unique_ptr<Client> Connect(Options options) { return *NewClient(std::move(options)); }

std::string Text(const absl::StatusOr<Reply>& reply) {
  if (!reply.ok()) return reply.status().ToString();
  if (reply->AsString() != nullptr) return *reply->AsString();
  if (reply->AsInteger() != nullptr) return absl::StrCat(*reply->AsInteger());
  return reply->IsNil() ? "nil" : "array";
}

// Repeats until Redis answers; the ctest timeout is the limit.
void AwaitAnswer(Client& client) {
  while (!client.Command({"PING"}).ok()) std::this_thread::yield();
}

// The same for a command that may be repeated.
std::string Ask(Client& client, const Args& args) {
  while (true) {
    const auto reply = client.Command(args);
    if (reply.ok()) return Text(reply);
  }
}

TEST(RedisTest, CommandsAreAnsweredBinarySafe) {
  testing::RedisServer server;
  const auto client = Connect(Patient(server.url()));
  const std::string value("a\0b\r\n%s", 7);
  EXPECT_EQ(Text(client->Command({"SET", "k", value})), "OK");
  EXPECT_EQ(Text(client->Command({"GET", "k"})), value);
  EXPECT_EQ(Text(client->Command({"GET", "absent"})), "nil");
  EXPECT_EQ(Text(client->Command({"INCR", "n"})), "1");
}

TEST(RedisTest, ALargeValueGoesThereAndBack) {
  testing::RedisServer server;
  const auto client = Connect(Patient(server.url()));
  const std::string value(8 << 20, 'x');
  EXPECT_EQ(Text(client->Command({"SET", "k", value})), "OK");
  EXPECT_TRUE(Text(client->Command({"GET", "k"})) == value);
}

TEST(RedisTest, APipelineAnswersEachCommandForItself) {
  testing::RedisServer server;
  const auto client = Connect(Patient(server.url()));
  const auto replies =
      client->Pipeline({{"SET", "k", "v"}, {"LPUSH", "k", "x"}, {}, {"SELECT", "1"}, {"GET", "k"}});
  ASSERT_EQ(replies.size(), 5);
  EXPECT_EQ(Text(replies[0]), "OK");
  EXPECT_EQ(error::MetadataValue(replies[1].status(), "code"), "WRONGTYPE");
  EXPECT_EQ(replies[2].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(replies[3].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Text(replies[4]), "v");
  EXPECT_EQ(client->Pipeline({}).size(), 0);
}

TEST(RedisTest, CommandsThatWouldHoldTheSharedConnectionAreRefused) {
  const auto client = Connect(Patient("unix:///nowhere"));
  for (const char* verb : {"blpop", "MULTI", "Subscribe", "MONITOR", "AUTH", "WAIT"}) {
    EXPECT_EQ(client->Command({verb, "x", "0"}).status().code(), absl::StatusCode::kInvalidArgument)
        << verb;
  }
}

TEST(RedisTest, AScriptSurvivesAServerThatForgotIt) {
  testing::RedisServer server;
  const auto client = Connect(Patient(server.url()));
  const Script add("return redis.call('INCRBY', KEYS[1], ARGV[1])");
  EXPECT_EQ(Text(client->Eval(add, {"n"}, {"2"})), "2");
  EXPECT_EQ(Text(client->Eval(add, {"n"}, {"2"})), "4");
  EXPECT_EQ(Text(client->Command({"SCRIPT", "FLUSH"})), "OK");
  EXPECT_EQ(Text(client->Eval(add, {"n"}, {"2"})), "6");
}

TEST(RedisTest, ManyThreadsGetTheirOwnAnswers) {
  testing::RedisServer server;
  const auto client = Connect(Patient(server.url()));
  constexpr int kThreads = 16;
  std::latch start(kThreads);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      start.arrive_and_wait();
      for (int i = 0; i < 500; ++i) {
        const std::string text = absl::StrCat(t, ":", i);
        if (Text(client->Command({"ECHO", text})) != text) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(client->stats().commands, kThreads * 500);
  EXPECT_EQ(client->stats().connections, 1);
  EXPECT_EQ(client->stats().failures, 0);
}

TEST(RedisTest, TheAsynchronousFormAnswersInOrderAndOnOneThread) {
  testing::RedisServer server;
  const auto client = Connect(Patient(server.url()));
  std::vector<std::string> order;  // Written by the I/O thread only.
  absl::Notification last;
  for (int i = 0; i < 100; ++i) {
    client->CommandAsync({"ECHO", absl::StrCat(i)}, [&, i](absl::StatusOr<Reply> reply) {
      order.push_back(Text(reply));
      if (i == 99) last.Notify();
    });
  }
  last.WaitForNotification();
  ASSERT_EQ(order.size(), 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], absl::StrCat(i));
}

TEST(RedisTest, ABlockingCallInsideACallbackIsRefusedInsteadOfWaitingForItself) {
  testing::RedisServer server;
  const auto client = Connect(Patient(server.url()));
  absl::Notification done;
  absl::Status inner;
  client->CommandAsync({"PING"}, [&](absl::StatusOr<Reply>) {
    inner = client->Command({"PING"}).status();
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_EQ(inner.code(), absl::StatusCode::kInternal);
}

TEST(RedisTest, AClientStartsWithoutAServerAndFindsItLater) {
  testing::RedisServer server;
  server->Kill();
  const auto client = Connect(Brisk(server.url()));
  while (!client->stats().breaker_open) {
    const absl::Status status = client->Command({"PING"}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(error::Reason(status), "REDIS_UNAVAILABLE");
  }
  EXPECT_EQ(client->Command({"PING"}).status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(server->Restart().ok());
  AwaitAnswer(*client);
  EXPECT_FALSE(client->stats().breaker_open);
  EXPECT_EQ(client->stats().breaker_opens, 1);
}

TEST(RedisTest, AFrozenServerOpensTheBreakerAndAThawedOneClosesIt) {
  testing::RedisServer server;
  const auto client = Connect(Brisk(server.url()));
  AwaitAnswer(*client);
  Freeze(server);
  while (!client->stats().breaker_open) {
    EXPECT_EQ(error::Reason(client->Command({"PING"}).status()), "REDIS_UNAVAILABLE");
  }
  const int64_t connections = client->stats().connections;
  // Refused at once: nothing of this reaches the socket.
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(client->Command({"SET", "k", "v"}).ok());
  Thaw(server);
  AwaitAnswer(*client);
  EXPECT_FALSE(client->stats().breaker_open);
  EXPECT_EQ(Ask(*client, {"EXISTS", "k"}), "0");
  EXPECT_GE(client->stats().connections, connections);
}

TEST(RedisTest, CommandsLostWithOneConnectionAreOneError) {
  testing::RedisServer server;
  const auto client = Connect(Brisk(server.url()));
  AwaitAnswer(*client);
  Freeze(server);
  const int64_t failures = client->stats().failures;
  std::vector<Args> commands(100, Args{"PING"});
  for (const auto& reply : client->Pipeline(commands)) {
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(client->stats().failures - failures, 100);
  EXPECT_EQ(client->stats().breaker_opens, 0);
  Thaw(server);
  AwaitAnswer(*client);
}

TEST(RedisTest, ACommandWhoseAnswerIsLostIsNotSentAgain) {
  testing::RedisServer server;
  const auto client = Connect(Brisk(server.url()));
  AwaitAnswer(*client);
  Freeze(server);
  EXPECT_FALSE(client->Command({"INCR", "n"}).ok());
  Thaw(server);
  AwaitAnswer(*client);
  // It may have been run once, from the socket's buffer.
  const std::string count = Ask(*client, {"GET", "n"});
  EXPECT_TRUE(count == "nil" || count == "1") << count;
}

TEST(RedisTest, ARestartedServerIsUsedAgain) {
  testing::RedisServer server;
  const auto client = Connect(Brisk(server.url()));
  AwaitAnswer(*client);
  server->Kill();
  EXPECT_FALSE(client->Command({"PING"}).ok());
  ASSERT_TRUE(server->Restart().ok());
  AwaitAnswer(*client);
  EXPECT_GE(client->stats().connections, 2);
}

// A TCP port that was free a moment ago.
int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

TEST(RedisTest, TheHostPasswordAndDatabaseAreThoseOfTheUrl) {
  testing::RedisServer server;
  const auto admin = Connect(Patient(server.url()));
  int port = FreePort();
  // Somebody else may have taken the port in between.
  while (!admin->Command({"CONFIG", "SET", "port", absl::StrCat(port)}).ok()) port = FreePort();
  ASSERT_EQ(Text(admin->Command({"CONFIG", "SET", "requirepass", "s p@ce"})), "OK");
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const auto knows =
        Connect(Patient(absl::StrCat("redis://:s%20p%40ce@", host, ":", port, "/2")));
    // The first commands may come before the name is looked up.
    AwaitAnswer(*knows);
    EXPECT_EQ(Text(knows->Command({"SET", "k", host})), "OK");
    EXPECT_EQ(Text(knows->Command({"GET", "k"})), host);
  }
  EXPECT_EQ(Text(admin->Command({"EXISTS", "k"})), "0");
  const auto guesses = Connect(Patient(absl::StrCat("redis://:wrong@127.0.0.1:", port)));
  EXPECT_EQ(guesses->Command({"PING"}).status().code(), absl::StatusCode::kUnavailable);
  const auto anonymous = Connect(Patient(absl::StrCat("redis://127.0.0.1:", port)));
  EXPECT_EQ(error::MetadataValue(anonymous->Command({"GET", "k"}).status(), "code"), "NOAUTH");
}

TEST(RedisTest, ADatabaseOtherThanTheFirstIsSelectedBeforeAnyCommand) {
  testing::RedisServer server;
  const auto second = Connect(Patient(absl::StrCat(server.url(), "?db=2")));
  EXPECT_EQ(Text(second->Command({"SET", "k", "v"})), "OK");
  EXPECT_EQ(Text(Connect(Patient(server.url()))->Command({"EXISTS", "k"})), "0");
  // Out of the server's range: no command may reach another database.
  EXPECT_EQ(
      Connect(Patient(absl::StrCat(server.url(), "?db=99")))->Command({"PING"}).status().code(),
      absl::StatusCode::kUnavailable);
}

TEST(RedisTest, EveryCallbackIsCalledBeforeTheClientIsGone) {
  testing::RedisServer server;
  auto client = Connect(Patient(server.url()));
  AwaitAnswer(*client);
  Freeze(server);
  std::atomic<int> called{0};
  for (int i = 0; i < 10; ++i) {
    client->CommandAsync({"PING"}, [&](absl::StatusOr<Reply> reply) {
      EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
      ++called;
    });
  }
  client.reset();
  EXPECT_EQ(called, 10);
  Thaw(server);
}

// What a listener heard, for tests to wait on.
class Heard {
 public:
  Listener AsListener() {
    return {.on_message =
                [this](const Message& message) {
                  absl::MutexLock lock(&mu_);
                  messages_.push_back(absl::StrCat(message.channel, "=", message.payload));
                },
            .on_live =
                [this] {
                  absl::MutexLock lock(&mu_);
                  ++live_;
                }};
  }
  void AwaitLive(int times) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&] { return live_ >= times; };
    mu_.Await(absl::Condition(&enough));
  }
  std::vector<std::string> AwaitMessages(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&] { return messages_.size() >= count; };
    mu_.Await(absl::Condition(&enough));
    return messages_;
  }

 private:
  absl::Mutex mu_;
  int live_ = 0;
  std::vector<std::string> messages_;
};

TEST(SubscriptionTest, MessagesOfEveryChannelArriveInOrder) {
  testing::RedisServer server;
  const auto client = Connect(Patient(server.url()));
  Heard heard;
  const auto subscription = client->Subscribe({"a", "b"}, heard.AsListener());
  heard.AwaitLive(1);
  EXPECT_TRUE(client->Publish("a", std::string("x\0y", 3)).ok());
  EXPECT_TRUE(client->Publish("other", "not for us").ok());
  client->PublishAsync("b", "2");
  EXPECT_THAT(heard.AwaitMessages(2), ElementsAre(std::string("a=x\0y", 5), "b=2"));
}

TEST(SubscriptionTest, ARestartOfTheServerIsToldAndSurvived) {
  testing::RedisServer server;
  const auto client = Connect(Brisk(server.url()));
  Heard heard;
  const auto subscription = client->Subscribe({"a"}, heard.AsListener());
  heard.AwaitLive(1);
  server->Kill();
  ASSERT_TRUE(server->Restart().ok());
  heard.AwaitLive(2);
  AwaitAnswer(*client);
  EXPECT_TRUE(client->Publish("a", "again").ok());
  EXPECT_THAT(heard.AwaitMessages(1), ElementsAre("a=again"));
}

TEST(SubscriptionTest, EndsWhileTheServerIsFrozenOrAbsent) {
  testing::RedisServer server;
  const auto client = Connect(Brisk(server.url()));
  Heard heard;
  auto subscription = client->Subscribe({"a"}, heard.AsListener());
  heard.AwaitLive(1);
  Freeze(server);
  subscription.reset();
  Thaw(server);
  server->Kill();
  subscription = client->Subscribe({"a"}, heard.AsListener());
  subscription.reset();
}

TEST(AbsentClientTest, EverythingIsUnavailable) {
  const auto client = NewAbsentClient();
  EXPECT_EQ(client->Command({"PING"}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client->Pipeline({{"PING"}, {"PING"}}).size(), 2);
  EXPECT_EQ(client->Subscribe({"a"}, {.on_message = [](const Message&) {}}) == nullptr, false);
  EXPECT_TRUE(client->stats().breaker_open);
}

}  // namespace
}  // namespace clm::redis
