#include "libs/base/uuid.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstring>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/synchronization/mutex.h"

namespace clm {
namespace {

struct Sequence {
  absl::Mutex mu;
  int64_t last_millis ABSL_GUARDED_BY(mu) = 0;
  uint32_t counter ABSL_GUARDED_BY(mu) = 0;
  std::array<uint8_t, 4096> pool ABSL_GUARDED_BY(mu);
  size_t used ABSL_GUARDED_BY(mu) = 4096;
};

// -1 for what is no hexadecimal digit.
constexpr std::array<int8_t, 256> HexDigits() {
  std::array<int8_t, 256> digits{};
  for (auto& digit : digits) digit = -1;
  for (int i = 0; i < 10; ++i) digits['0' + i] = static_cast<int8_t>(i);
  for (int i = 0; i < 6; ++i) {
    digits['a' + i] = digits['A' + i] = static_cast<int8_t>(10 + i);
  }
  return digits;
}
constexpr std::array<int8_t, 256> kHexDigits = HexDigits();

void SetVersion(std::array<uint8_t, 16>& b, uint8_t version) {
  b[6] = static_cast<uint8_t>((b[6] & 0x0f) | (version << 4));
  b[8] = static_cast<uint8_t>((b[8] & 0x3f) | 0x80);
}

}  // namespace

Uuid Uuid::V7(absl::Time now) {
  static Sequence& sequence = *new Sequence;
  std::array<uint8_t, 16> b;
  int64_t millis = absl::ToUnixMillis(now);
  uint32_t counter;
  {
    absl::MutexLock lock(&sequence.mu);
    // A 12-bit counter in rand_a (RFC 9562 section 6.2 method 1); when it is used up, or the clock
    // went back, the time part runs ahead by a millisecond instead of losing the order.
    if (millis > sequence.last_millis) {
      sequence.counter = 0;
    } else {
      millis = sequence.last_millis;
      if (++sequence.counter > 0xfff) {
        ++millis;
        sequence.counter = 0;
      }
    }
    sequence.last_millis = millis;
    counter = sequence.counter;
    if (sequence.used + 8 > sequence.pool.size()) {
      RAND_bytes(sequence.pool.data(), static_cast<int>(sequence.pool.size()));
      sequence.used = 0;
    }
    std::memcpy(b.data() + 8, sequence.pool.data() + sequence.used, 8);
    sequence.used += 8;
  }
  for (int i = 0; i < 6; ++i) b[i] = static_cast<uint8_t>(millis >> (8 * (5 - i)));
  b[6] = static_cast<uint8_t>(counter >> 8);
  b[7] = static_cast<uint8_t>(counter);
  SetVersion(b, 7);
  return Uuid(b);
}

Uuid Uuid::V5(const Uuid& space, absl::string_view name) {
  std::string input = space.ToBytes();
  input.append(name.data(), name.size());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(input.data(), input.size(), digest, &size, EVP_sha1(), nullptr);
  std::array<uint8_t, 16> b;
  std::memcpy(b.data(), digest, b.size());
  SetVersion(b, 5);
  return Uuid(b);
}

std::optional<Uuid> Uuid::Parse(absl::string_view text) {
  if (text.size() != 36) return std::nullopt;
  if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return std::nullopt;
  std::array<uint8_t, 16> b;
  const auto* from = reinterpret_cast<const unsigned char*>(text.data());
  int seen = 0;
  for (size_t i = 0; i < b.size(); ++i, from += 2) {
    if (i == 4 || i == 6 || i == 8 || i == 10) ++from;
    const int high = kHexDigits[from[0]];
    const int low = kHexDigits[from[1]];
    seen |= high | low;  // Negative once one is.
    b[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (seen < 0) return std::nullopt;
  return Uuid(b);
}

std::optional<Uuid> Uuid::FromBytes(absl::string_view bytes) {
  std::array<uint8_t, 16> b;
  if (bytes.size() != b.size()) return std::nullopt;
  std::memcpy(b.data(), bytes.data(), b.size());
  return Uuid(b);
}

std::string Uuid::ToString() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text(36, '-');
  char* to = text.data();
  for (size_t i = 0; i < bytes_.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) ++to;
    *to++ = kHex[bytes_[i] >> 4];
    *to++ = kHex[bytes_[i] & 0xf];
  }
  return text;
}

std::string Uuid::ToBytes() const {
  return std::string(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
}

}  // namespace clm
