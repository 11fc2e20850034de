#include "libs/redis/transport.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/error.h"

namespace clm::redis {
namespace {

constexpr size_t kReadBytes = 64 * 1024;

// What the socket and the reader say: total over every type that hiredis knows.
absl::StatusOr<Reply> FromHiredis(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_NIL:
      return Reply();
    case REDIS_REPLY_INTEGER:
      return Reply(static_cast<int64_t>(reply.integer));
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      return Reply(std::string(reply.str, reply.len));
    case REDIS_REPLY_ERROR:
      return Reply(Reply::Error{std::string(reply.str, reply.len)});
    case REDIS_REPLY_ARRAY: {
      Reply::Array array;
      array.reserve(reply.elements);
      for (size_t i = 0; i < reply.elements; ++i) {
        absl::StatusOr<Reply> element = FromHiredis(*reply.element[i]);
        if (!element.ok()) return element;
        array.push_back(*std::move(element));
      }
      return Reply(std::move(array));
    }
    default:
      return error::Make(absl::StatusCode::kInternal, "REDIS_ERROR",
                         "redis: a reply of an unknown type", {{"code", "UNKNOWN_TYPE"}});
  }
}

// Only the first word of an error reply is told: the rest may quote the command's arguments.
absl::Status FromErrorReply(absl::string_view text) {
  const std::string code(text.substr(0, text.find(' ')));
  for (const char* state : {"LOADING", "OOM", "READONLY", "MASTERDOWN", "BUSY", "MISCONF",
                            "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"}) {
    if (code == state) {
      return error::Make(absl::StatusCode::kUnavailable, "REDIS_NOT_READY",
                         absl::StrCat("redis: not ready, ", code), {{"code", code}});
    }
  }
  return error::Make(absl::StatusCode::kInternal, "REDIS_ERROR",
                     absl::StrCat("redis: the command was refused, ", code), {{"code", code}});
}

absl::StatusOr<Reply> Convert(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR) {
    return FromErrorReply(absl::string_view(reply.str, reply.len));
  }
  return FromHiredis(reply);
}

absl::Status Drain(redisReader* reader, absl::FunctionRef<void(absl::StatusOr<Reply>)> on_reply) {
  while (true) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
      return Unreachable("the answer is not of the Redis protocol");
    }
    if (reply == nullptr) return absl::OkStatus();
    absl::StatusOr<Reply> converted = Convert(*static_cast<redisReply*>(reply));
    freeReplyObject(reply);
    on_reply(std::move(converted));
  }
}

std::string UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return std::string(reinterpret_cast<const char*>(&address), sizeof(address));
}

std::vector<std::string> LookUp(const std::string& host, int port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  std::vector<std::string> addresses;
  if (getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found) != 0) return addresses;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    addresses.emplace_back(reinterpret_cast<const char*>(a->ai_addr), a->ai_addrlen);
  }
  freeaddrinfo(found);
  return addresses;
}

}  // namespace

absl::Status Unreachable(absl::string_view what) {
  return error::Unavailable("REDIS_UNAVAILABLE", absl::StrCat("redis: ", what),
                            absl::Milliseconds(500));
}

struct Resolver::Lookup {
  absl::Mutex mu;
  bool running ABSL_GUARDED_BY(mu) = false;
  size_t next ABSL_GUARDED_BY(mu) = 0;
  std::vector<std::string> addresses ABSL_GUARDED_BY(mu);
};

Resolver::Resolver(Endpoint endpoint)
    : endpoint_(std::move(endpoint)), lookup_(std::make_shared<Lookup>()) {
  absl::MutexLock lock(&lookup_->mu);
  if (!endpoint_.path.empty()) {
    lookup_->addresses = {UnixAddress(endpoint_.path)};
    return;
  }
  lookup_->addresses = LookUp(endpoint_.host, endpoint_.port, AI_NUMERICHOST);
  by_name_ = lookup_->addresses.empty();
  if (by_name_) Refresh();
}

void Resolver::Refresh() {
  lookup_->mu.AssertHeld();
  if (std::exchange(lookup_->running, true)) return;
  // Detached, with shared state: a resolver that hangs must not hang a shutdown.
  std::thread([lookup = lookup_, host = endpoint_.host, port = endpoint_.port] {
    std::vector<std::string> addresses = LookUp(host, port, 0);
    absl::MutexLock lock(&lookup->mu);
    lookup->running = false;
    if (!addresses.empty()) lookup->addresses = std::move(addresses);
  }).detach();
}

std::string Resolver::Next() {
  absl::MutexLock lock(&lookup_->mu);
  if (by_name_) Refresh();
  if (lookup_->addresses.empty()) return "";
  return lookup_->addresses[lookup_->next++ % lookup_->addresses.size()];
}

absl::Status Transport::StartConnect(const std::string& address) {
  Close();
  if (address.empty()) return Unreachable("the host has no address yet");
  const auto* to = reinterpret_cast<const sockaddr*>(address.data());
  fd_ = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return Unreachable("no socket to be had");
  if (to->sa_family != AF_UNIX) {
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  // A Unix socket whose queue is full says EAGAIN, which is a refusal, not progress.
  if (connect(fd_, to, address.size()) != 0 && errno != EINPROGRESS) {
    Close();
    return Unreachable("no connection");
  }
  reader_ = redisReaderCreate();
  if (!buffer_) buffer_.reset(new char[kReadBytes]);
  return absl::OkStatus();
}

absl::Status Transport::FinishConnect() {
  int failure = 0;
  socklen_t size = sizeof(failure);
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0) {
    return Unreachable("no connection");
  }
  return absl::OkStatus();
}

void Transport::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  if (reader_ != nullptr) redisReaderFree(reader_);
  reader_ = nullptr;
  out_.clear();
}

absl::Status Transport::Write() {
  size_t written = 0;
  while (written < out_.size()) {
    const ssize_t n = send(fd_, out_.data() + written, out_.size() - written, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) return Unreachable("connection lost");
    written += n;
  }
  out_.erase(0, written);
  return absl::OkStatus();
}

absl::Status Transport::Read(absl::FunctionRef<void(absl::StatusOr<Reply>)> on_reply) {
  const ssize_t n = recv(fd_, buffer_.get(), kReadBytes, 0);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    return absl::OkStatus();
  }
  if (n <= 0) return Unreachable("connection lost");
  if (redisReaderFeed(reader_, buffer_.get(), n) != REDIS_OK) {
    return Unreachable("the answer is not of the Redis protocol");
  }
  return Drain(reader_, on_reply);
}

std::string Encode(const Args& args) {
  std::vector<const char*> argv;
  std::vector<size_t> sizes;
  argv.reserve(args.size());
  sizes.reserve(args.size());
  for (const std::string& arg : args) {
    argv.push_back(arg.data());
    sizes.push_back(arg.size());
  }
  char* wire = nullptr;
  const int size = redisFormatCommandArgv(&wire, args.size(), argv.data(), sizes.data());
  std::string out(wire, size > 0 ? size : 0);
  redisFreeCommand(wire);
  return out;
}

std::vector<Args> Handshake(const Endpoint& endpoint) {
  std::vector<Args> commands;
  if (!endpoint.password.empty()) {
    commands.push_back(endpoint.user.empty() ? Args{"AUTH", endpoint.password}
                                             : Args{"AUTH", endpoint.user, endpoint.password});
  }
  if (endpoint.db != 0) commands.push_back({"SELECT", absl::StrCat(endpoint.db)});
  return commands;
}

absl::StatusOr<std::vector<absl::StatusOr<Reply>>> Decode(absl::string_view bytes) {
  const std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader(redisReaderCreate(),
                                                                        &redisReaderFree);
  std::vector<absl::StatusOr<Reply>> replies;
  absl::Status status = Unreachable("out of memory");
  if (redisReaderFeed(reader.get(), bytes.data(), bytes.size()) == REDIS_OK) {
    status = Drain(reader.get(), [&](absl::StatusOr<Reply> r) { replies.push_back(std::move(r)); });
  }
  if (!status.ok()) return status;
  return replies;
}

}  // namespace clm::redis
