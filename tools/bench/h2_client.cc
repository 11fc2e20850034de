#include "tools/bench/h2_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::bench {
namespace {

constexpr size_t kFrameHeader = 9;
constexpr size_t kGrpcPrefix = 5;
constexpr size_t kReadSize = 256 * 1024;
constexpr uint32_t kMaxWindow = 0x7fffffff;
constexpr int64_t kDefaultWindow = 65535;
constexpr uint32_t kDefaultMaxFrame = 16384;
constexpr uint32_t kDefaultTableSize = 4096;
constexpr absl::Duration kGrace = absl::Seconds(1);

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kResetStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr uint8_t kAck = 0x1, kEndStream = 0x1, kEndHeaders = 0x4, kPadded = 0x8, kPriority = 0x20;
constexpr uint16_t kSettingTableSize = 1, kSettingPush = 2, kSettingMaxStreams = 3,
                   kSettingInitialWindow = 4, kSettingMaxFrame = 5;
constexpr uint32_t kErrorCancel = 8;

void PutU32(std::string* out, uint32_t value) {
  const char bytes[4] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                         static_cast<char>(value >> 8), static_cast<char>(value)};
  out->append(bytes, sizeof(bytes));
}

uint32_t GetU32(const char* at) {
  const auto* b = reinterpret_cast<const uint8_t*>(at);
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
}

void PutFrameHeader(std::string* out, size_t length, FrameType type, uint8_t flags,
                    uint32_t stream) {
  const char bytes[5] = {static_cast<char>(length >> 16), static_cast<char>(length >> 8),
                         static_cast<char>(length), static_cast<char>(type),
                         static_cast<char>(flags)};
  out->append(bytes, sizeof(bytes));
  PutU32(out, stream);
}

void PutSetting(std::string* out, uint16_t setting, uint32_t value) {
  out->push_back(static_cast<char>(setting >> 8));
  out->push_back(static_cast<char>(setting));
  PutU32(out, value);
}

// An HPACK integer behind `pattern`, whose low `bits` bits are free.
void PutInteger(std::string* out, uint8_t pattern, int bits, uint32_t value) {
  const uint32_t most = (1U << bits) - 1;
  if (value < most) {
    out->push_back(static_cast<char>(pattern | value));
    return;
  }
  out->push_back(static_cast<char>(pattern | most));
  for (value -= most; value >= 128; value >>= 7) {
    out->push_back(static_cast<char>(value % 128 | 128));
  }
  out->push_back(static_cast<char>(value));
}

void PutString(std::string* out, absl::string_view text) {
  PutInteger(out, 0, 7, static_cast<uint32_t>(text.size()));
  out->append(text.data(), text.size());
}

// The headers of all requests to a method: what the first request of a connection says, which fills
// the server's table, and what every other says.
struct RequestHeaders {
  std::string first, others;

  RequestHeaders(absl::string_view method, absl::Duration timeout) {
    constexpr uint32_t kNameAuthority = 1, kPost = 3, kNamePath = 4, kHttp = 6,
                       kNameContentType = 31, kNameUserAgent = 58, kStaticEntries = 61;
    struct Literal {
      uint32_t static_name;  // 0: named by text.
      absl::string_view name;
      std::string value;
    };
    const std::vector<Literal> literals = {
        {kNamePath, "", std::string(method)},
        {kNameAuthority, "", "localhost"},
        {0, "te", "trailers"},
        {kNameContentType, "", "application/grpc"},
        {kNameUserAgent, "", "clm-bench"},
        {0, "grpc-timeout", absl::StrCat(absl::ToInt64Milliseconds(timeout), "m")}};
    for (std::string* block : {&first, &others}) {
      PutInteger(block, 0x80, 7, kPost);
      PutInteger(block, 0x80, 7, kHttp);
    }
    for (const Literal& literal : literals) {
      PutInteger(&first, 0x40, 6, literal.static_name);
      if (literal.static_name == 0) PutString(&first, literal.name);
      PutString(&first, literal.value);
    }
    // The newest entry has the lowest index.
    for (size_t i = 0; i < literals.size(); ++i) {
      PutInteger(&others, 0x80, 7, static_cast<uint32_t>(kStaticEntries + literals.size() - i));
    }
  }
};

// Reads a header block that was made for a table of size 0.
class HeaderReader {
 public:
  explicit HeaderReader(absl::string_view block) : rest_(block) {}

  // False at the end, and at what cannot be: then failed(). A name from the static table is told as
  // empty: none of those that matter here is in it. So is a Huffman-coded one, which gRPC's server
  // does not send.
  bool Next(absl::string_view* name, absl::string_view* value) {
    while (!rest_.empty()) {
      const auto first = static_cast<uint8_t>(rest_[0]);
      uint32_t index = 0;
      *name = *value = {};
      if ((first & 0x80) != 0) {
        constexpr uint32_t kStaticEntries = 61;
        if (!Integer(7, &index) || index == 0 || index > kStaticEntries) return Fail();
        return true;
      }
      if ((first & 0xe0) == 0x20) {
        if (!Integer(5, &index) || index != 0) return Fail();
        continue;
      }
      if (!Integer((first & 0x40) != 0 ? 6 : 4, &index)) return Fail();
      if (index == 0 && !String(name)) return Fail();
      return String(value) || Fail();
    }
    return false;
  }
  bool failed() const { return failed_; }

 private:
  bool Fail() {
    failed_ = true;
    return false;
  }
  bool Integer(int bits, uint32_t* value) {
    const uint32_t most = (1U << bits) - 1;
    *value = static_cast<uint8_t>(rest_[0]) & most;
    rest_.remove_prefix(1);
    if (*value < most) return true;
    for (int shift = 0; shift < 28 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_[0]);
      rest_.remove_prefix(1);
      *value += static_cast<uint32_t>(byte & 127) << shift;
      if (byte < 128) return true;
    }
    return false;
  }
  bool String(absl::string_view* text) {
    if (rest_.empty()) return false;
    const bool huffman = (static_cast<uint8_t>(rest_[0]) & 0x80) != 0;
    uint32_t length = 0;
    if (!Integer(7, &length) || length > rest_.size()) return false;
    *text = huffman ? absl::string_view() : rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

  absl::string_view rest_;
  bool failed_ = false;
};

}  // namespace

class H2Client::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)), headers_(options_.method, options_.timeout) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(options_.connections);
  }
  ~Impl() {
    for (Connection& c : connections_) Close(c);
    close(epoll_);
  }

  // Nobody answers the server's pings between two runs: what it has closed meanwhile is made anew.
  absl::Status ConnectAll() {
    for (Connection& c : connections_) {
      pollfd waiting{.fd = c.fd, .events = POLLIN, .revents = 0};
      while (c.fd >= 0 && poll(&waiting, 1, 0) > 0) Receive(c);
      if (c.fd < 0) CLM_RETURN_IF_ERROR(Open(c));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Slice> Run(const Work& work, int in_flight, absl::Duration length) {
    CLM_RETURN_IF_ERROR(ConnectAll());
    work_ = &work;
    slice_ = Slice();
    calls_.assign(in_flight, Call());
    running_ = in_flight;
    const absl::Time begin = absl::Now();
    end_ = begin + length;
    now_ = begin;
    for (int slot = 0; slot < in_flight; ++slot) Next(slot);
    for (Connection& c : connections_) Flush(c);
    absl::Time looked = begin;
    while (running_ > 0) {
      epoll_event events[16];
      const int count = epoll_wait(epoll_, events, 16, 100);
      now_ = absl::Now();
      for (int i = 0; i < count; ++i) {
        Connection& c = connections_[events[i].data.u32];
        if (c.fd >= 0 && (events[i].events & ~uint32_t{EPOLLOUT}) != 0) Receive(c);
        if (c.fd >= 0) Flush(c);
      }
      if (now_ - looked > absl::Milliseconds(100)) {
        looked = now_;
        GiveUpLate();
      }
    }
    slice_.seconds = absl::ToDoubleSeconds(std::min(length, absl::Now() - begin));
    slice_.operations = static_cast<int64_t>(slice_.latencies_us.size());
    std::sort(slice_.latencies_us.begin(), slice_.latencies_us.end());
    return std::move(slice_);
  }

 private:
  struct Connection {
    int fd = -1;
    bool broken = false;
    bool wants_write = false;   // As epoll knows.
    bool headers_sent = false;  // The server's table is filled.
    uint32_t next_stream = 1;
    std::string out;
    size_t out_at = 0;
    std::string in;  // An incomplete frame.
    int64_t send_window = kDefaultWindow;
    int64_t stream_window = kDefaultWindow;  // Of a new stream.
    uint32_t max_frame = kDefaultMaxFrame;
    uint32_t max_streams = kMaxWindow;
    int64_t received = 0;  // Since the last WINDOW_UPDATE.
    absl::flat_hash_map<uint32_t, int> slots;
    std::deque<uint32_t> blocked;  // Streams that have more to send.
    std::string headers;           // Of a block without its end.
    uint32_t headers_stream = 0;
    bool headers_end_stream = false;
  };

  // The call of a slot.
  struct Call {
    uint32_t stream = 0;  // 0: none.
    absl::Time started;
    std::string request;
    std::string body;  // What of the prefixed request could not be sent yet.
    int64_t window = 0;
    std::string response;
    int64_t answers = 0;
    std::string status, message;
  };

  Connection& ConnectionOf(int slot) { return connections_[slot % connections_.size()]; }

  absl::Status Open(Connection& c) {
    const auto failed = [&](absl::string_view what) {
      return error::Unavailable("NOT_CONNECTED",
                                absl::StrCat(options_.socket, ": ", what, ": ", strerror(errno)),
                                absl::Seconds(1));
    };
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (options_.socket.size() >= sizeof(address.sun_path)) {
      return error::InvalidField("socket", "its path is too long");
    }
    memcpy(address.sun_path, options_.socket.c_str(), options_.socket.size() + 1);
    c = Connection();
    c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c.fd < 0) return failed("no socket");
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      const absl::Status status = failed("nobody listens");
      Close(c);
      return status;
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(&c - connections_.data());
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
    c.out = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    std::string settings;
    PutSetting(&settings, kSettingTableSize, 0);
    PutSetting(&settings, kSettingPush, 0);
    PutSetting(&settings, kSettingInitialWindow, kMaxWindow);
    PutFrameHeader(&c.out, settings.size(), kSettings, 0, 0);
    c.out += settings;
    PutFrameHeader(&c.out, 4, kWindowUpdate, 0, 0);
    PutU32(&c.out, kMaxWindow - static_cast<uint32_t>(kDefaultWindow));
    return absl::OkStatus();
  }

  void Close(Connection& c) {
    if (c.fd >= 0) close(c.fd);
    c.fd = -1;
  }

  // Everything in flight on it fails.
  void Break(Connection& c, const std::string& why) {
    Close(c);
    c.broken = true;
    std::vector<int> slots;
    slots.reserve(c.slots.size());
    for (const auto& [stream, slot] : c.slots) slots.push_back(slot);
    c.slots.clear();
    for (const int slot : slots) {
      Count(slot, why);
      calls_[slot].stream = 0;
      --running_;
    }
  }

  void Count(int slot, const std::string& failure) {
    Call& call = calls_[slot];
    if (!failure.empty()) {
      ++slice_.failures;
      if (slice_.failure.empty()) slice_.failure = failure;
      return;
    }
    ++slice_.completed;
    if (now_ < end_) {
      slice_.latencies_us.push_back(absl::ToInt64Microseconds(now_ - call.started));
    }
  }

  // Starts the next call of a slot that has none.
  void Next(int slot) {
    Call& call = calls_[slot];
    Connection& c = ConnectionOf(slot);
    call.stream = 0;
    const absl::Time now = absl::Now();
    // A slot of a connection that broke has no way to go on; the others have.
    if (c.broken || now >= end_ || !work_->next(slot, &call.request)) {
      --running_;
      return;
    }
    if (c.slots.size() >= c.max_streams || c.next_stream >= kMaxWindow) {
      Count(slot, "the server takes no more streams on this connection");
      --running_;
      return;
    }
    call.started = now;
    call.stream = c.next_stream;
    call.window = c.stream_window;
    call.response.clear();
    call.status.clear();
    call.message.clear();
    c.next_stream += 2;
    c.slots.emplace(call.stream, slot);
    const std::string& headers = c.headers_sent ? headers_.others : headers_.first;
    c.headers_sent = true;
    PutFrameHeader(&c.out, headers.size(), kHeaders, kEndHeaders, call.stream);
    c.out += headers;
    const size_t size = kGrpcPrefix + call.request.size();
    if (size <= c.max_frame && static_cast<int64_t>(size) <= std::min(c.send_window, call.window)) {
      PutFrameHeader(&c.out, size, kData, kEndStream, call.stream);
      c.out.push_back(0);  // Not compressed.
      PutU32(&c.out, static_cast<uint32_t>(call.request.size()));
      c.out += call.request;
      c.send_window -= static_cast<int64_t>(size);
      return;
    }
    call.body.assign(1, 0);
    PutU32(&call.body, static_cast<uint32_t>(call.request.size()));
    call.body += call.request;
    if (!SendBody(c, call)) c.blocked.push_back(call.stream);
  }

  // Sends what the windows allow; true when all of it was sent.
  static bool SendBody(Connection& c, Call& call) {
    size_t sent = 0;
    while (sent < call.body.size()) {
      const int64_t most = std::min({c.send_window, call.window, int64_t{c.max_frame}});
      if (most <= 0) break;
      const size_t size = std::min(call.body.size() - sent, static_cast<size_t>(most));
      const bool last = sent + size == call.body.size();
      PutFrameHeader(&c.out, size, kData, last ? kEndStream : 0, call.stream);
      c.out.append(call.body, sent, size);
      sent += size;
      c.send_window -= static_cast<int64_t>(size);
      call.window -= static_cast<int64_t>(size);
    }
    call.body.erase(0, sent);
    return call.body.empty();
  }

  void SendBlocked(Connection& c) {
    std::deque<uint32_t> still;
    for (const uint32_t stream : c.blocked) {
      const auto it = c.slots.find(stream);
      if (it != c.slots.end() && !SendBody(c, calls_[it->second])) still.push_back(stream);
    }
    c.blocked = std::move(still);
  }

  void ResetStream(Connection& c, uint32_t stream) {
    PutFrameHeader(&c.out, 4, kResetStream, 0, stream);
    PutU32(&c.out, kErrorCancel);
  }

  // The stream has ended; `failure` unless by its status.
  void Ended(Connection& c, uint32_t stream, std::string failure) {
    const auto it = c.slots.find(stream);
    if (it == c.slots.end()) return;
    const int slot = it->second;
    c.slots.erase(it);
    Call& call = calls_[slot];
    if (!call.body.empty()) {
      // Answered before it was all sent.
      ResetStream(c, stream);
      call.body.clear();
    }
    if (failure.empty()) failure = Judge(slot);
    Count(slot, failure);
    Next(slot);
  }

  // What is wrong with the answer; empty: nothing.
  std::string Judge(int slot) {
    Call& call = calls_[slot];
    if (call.status.empty()) return "an answer without a status";
    if (call.status != "0") return absl::StrCat("grpc-status ", call.status, ": ", call.message);
    if (call.response.size() < kGrpcPrefix || call.response[0] != 0 ||
        GetU32(call.response.data() + 1) != call.response.size() - kGrpcPrefix) {
      return "an answer that is not one message";
    }
    if (work_->check && call.answers++ % work_->check_every == 0 &&
        !work_->check(slot, absl::string_view(call.response).substr(kGrpcPrefix))) {
      return "a wrong answer";
    }
    return "";
  }

  void GiveUpLate() {
    for (size_t slot = 0; slot < calls_.size(); ++slot) {
      const Call& call = calls_[slot];
      if (call.stream == 0 || now_ - call.started < options_.timeout + kGrace) continue;
      Connection& c = ConnectionOf(static_cast<int>(slot));
      ResetStream(c, call.stream);
      Ended(c, call.stream, "no answer in time");
    }
    for (Connection& c : connections_) {
      if (c.fd >= 0) Flush(c);
    }
  }

  void Flush(Connection& c) {
    while (c.out_at < c.out.size()) {
      const ssize_t sent =
          send(c.fd, c.out.data() + c.out_at, c.out.size() - c.out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) {
        c.out_at += static_cast<size_t>(sent);
      } else if (errno == EAGAIN) {
        break;
      } else if (errno != EINTR) {
        Break(c, absl::StrCat("the connection broke: ", strerror(errno)));
        return;
      }
    }
    if (c.out_at == c.out.size()) {
      c.out.clear();
      c.out_at = 0;
    }
    const bool wants = !c.out.empty();
    if (wants == c.wants_write) return;
    c.wants_write = wants;
    epoll_event event{};
    event.events = EPOLLIN | (wants ? uint32_t{EPOLLOUT} : 0);
    event.data.u32 = static_cast<uint32_t>(&c - connections_.data());
    epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd, &event);
  }

  void Receive(Connection& c) {
    const size_t kept = c.in.size();
    if (buffer_.size() < kept + kReadSize) buffer_.resize(kept + kReadSize);
    memcpy(buffer_.data(), c.in.data(), kept);
    const ssize_t size = recv(c.fd, buffer_.data() + kept, kReadSize, MSG_DONTWAIT);
    if (size <= 0) {
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      Break(c, size == 0 ? "the server closed the connection"
                         : absl::StrCat("the connection broke: ", strerror(errno)));
      return;
    }
    now_ = absl::Now();
    absl::string_view rest(buffer_.data(), kept + static_cast<size_t>(size));
    while (rest.size() >= kFrameHeader) {
      const size_t length = GetU32(rest.data()) >> 8;
      if (rest.size() < kFrameHeader + length) break;
      const auto type = static_cast<uint8_t>(rest[3]);
      const auto flags = static_cast<uint8_t>(rest[4]);
      const uint32_t stream = GetU32(rest.data() + 5) & kMaxWindow;
      const std::string wrong = Frame(c, type, flags, stream, rest.substr(kFrameHeader, length));
      if (!wrong.empty()) {
        Break(c, wrong);
        return;
      }
      rest.remove_prefix(kFrameHeader + length);
    }
    c.in.assign(rest.data(), rest.size());
  }

  // What is wrong with the frame; empty: nothing.
  std::string Frame(Connection& c, uint8_t type, uint8_t flags, uint32_t stream,
                    absl::string_view payload) {
    if (c.headers_stream != 0 && type != kContinuation) return "a header block without its end";
    switch (type) {
      case kData: {
        c.received += static_cast<int64_t>(payload.size());
        if (c.received > kMaxWindow / 2) {
          PutFrameHeader(&c.out, 4, kWindowUpdate, 0, 0);
          PutU32(&c.out, static_cast<uint32_t>(c.received));
          c.received = 0;
        }
        if ((flags & kPadded) != 0 && !Unpad(&payload)) return "wrong padding";
        const auto it = c.slots.find(stream);
        if (it == c.slots.end()) return "";
        calls_[it->second].response.append(payload.data(), payload.size());
        if ((flags & kEndStream) != 0) Ended(c, stream, "");
        return "";
      }
      case kHeaders:
        if ((flags & kPadded) != 0 && !Unpad(&payload)) return "wrong padding";
        if ((flags & kPriority) != 0) {
          if (payload.size() < 5) return "a short HEADERS frame";
          payload.remove_prefix(5);
        }
        if ((flags & kEndHeaders) != 0) return Headers(c, stream, flags & kEndStream, payload);
        c.headers.assign(payload.data(), payload.size());
        c.headers_stream = stream;
        c.headers_end_stream = (flags & kEndStream) != 0;
        return "";
      case kContinuation:
        if (c.headers_stream == 0 || stream != c.headers_stream) return "a stray CONTINUATION";
        c.headers.append(payload.data(), payload.size());
        if ((flags & kEndHeaders) == 0) return "";
        c.headers_stream = 0;
        return Headers(c, stream, c.headers_end_stream, c.headers);
      case kResetStream:
        if (payload.size() != 4) return "a RST_STREAM frame of a wrong size";
        Ended(c, stream, absl::StrCat("RST_STREAM, error ", GetU32(payload.data())));
        return "";
      case kSettings:
        return Settings(c, flags, payload);
      case kPing:
        if (payload.size() != 8) return "a PING frame of a wrong size";
        if ((flags & kAck) != 0) return "";
        PutFrameHeader(&c.out, payload.size(), kPing, kAck, 0);
        c.out.append(payload.data(), payload.size());
        return "";
      case kGoAway:
        if (payload.size() < 8) return "a GOAWAY frame of a wrong size";
        return absl::StrCat("GOAWAY, error ", GetU32(payload.data() + 4), ": ", payload.substr(8));
      case kWindowUpdate: {
        if (payload.size() != 4) return "a WINDOW_UPDATE frame of a wrong size";
        const int64_t more = GetU32(payload.data()) & kMaxWindow;
        if (stream == 0) {
          c.send_window += more;
        } else if (const auto it = c.slots.find(stream); it != c.slots.end()) {
          calls_[it->second].window += more;
        }
        SendBlocked(c);
        return "";
      }
      default:
        return "";  // To be ignored, says the standard.
    }
  }

  static bool Unpad(absl::string_view* payload) {
    if (payload->empty()) return false;
    const size_t padding = static_cast<uint8_t>((*payload)[0]);
    if (padding >= payload->size()) return false;
    *payload = payload->substr(1, payload->size() - 1 - padding);
    return true;
  }

  std::string Headers(Connection& c, uint32_t stream, bool end_stream, absl::string_view block) {
    const auto it = c.slots.find(stream);
    Call* const call = it == c.slots.end() ? nullptr : &calls_[it->second];
    HeaderReader reader(block);
    absl::string_view name, value;
    while (reader.Next(&name, &value)) {
      if (call == nullptr) continue;
      if (name == "grpc-status") call->status = std::string(value);
      if (name == "grpc-message") call->message = std::string(value);
    }
    if (reader.failed()) return "headers that use a table";
    if (end_stream) Ended(c, stream, "");
    return "";
  }

  std::string Settings(Connection& c, uint8_t flags, absl::string_view payload) {
    if ((flags & kAck) != 0) return "";
    if (payload.size() % 6 != 0) return "a SETTINGS frame of a wrong size";
    for (; !payload.empty(); payload.remove_prefix(6)) {
      const uint32_t setting = GetU32(payload.data()) >> 16;
      const uint32_t value = GetU32(payload.data() + 2);
      if (setting == kSettingTableSize && value < kDefaultTableSize) {
        return "the server's header table is too small";
      }
      if (setting == kSettingMaxStreams) c.max_streams = value;
      if (setting == kSettingMaxFrame) c.max_frame = value;
      if (setting == kSettingInitialWindow) {
        if (value > kMaxWindow) return "a window that is too large";
        const int64_t more = int64_t{value} - c.stream_window;
        c.stream_window = value;
        for (const auto& [stream, slot] : c.slots) calls_[slot].window += more;
      }
    }
    PutFrameHeader(&c.out, 0, kSettings, kAck, 0);
    SendBlocked(c);
    return "";
  }

  const Options options_;
  const RequestHeaders headers_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::vector<char> buffer_;  // For reading.
  const Work* work_ = nullptr;
  absl::Time end_, now_;
  std::vector<Call> calls_;
  int running_ = 0;
  Slice slice_;
};

absl::StatusOr<std::unique_ptr<H2Client>> H2Client::Connect(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  CLM_RETURN_IF_ERROR(impl->ConnectAll());
  return std::unique_ptr<H2Client>(new H2Client(std::move(impl)));
}

H2Client::H2Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
H2Client::~H2Client() = default;

absl::StatusOr<Slice> H2Client::Run(const Work& work, int in_flight, absl::Duration length) {
  return impl_->Run(work, in_flight, length);
}

}  // namespace clm::bench
