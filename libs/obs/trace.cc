#include "libs/obs/trace.h"

#include <openssl/rand.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace clm::obs {
namespace {

constexpr size_t kLength = 55;  // 00-<32>-<16>-<2>

bool IsLowerHex(absl::string_view text) {
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

bool AllZero(absl::string_view text) {
  return text.find_first_not_of('0') == absl::string_view::npos;
}

bool Valid(absl::string_view text) {
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const absl::string_view version = text.substr(0, 2);
  if (!IsLowerHex(version) || version == "ff") return false;
  if (text.size() > kLength && (version == "00" || text[kLength] != '-')) return false;
  return IsLowerHex(text.substr(3, 32)) && !AllZero(text.substr(3, 32)) &&
         IsLowerHex(text.substr(36, 16)) && !AllZero(text.substr(36, 16)) &&
         IsLowerHex(text.substr(53, 2));
}

// Ids need to be unique, not unguessable: a per-thread generator seeded by the system (SplitMix64).
uint64_t NextRandom() {
  thread_local uint64_t state = [] {
    uint64_t seed = 0;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof(seed)) != 1) std::abort();
    return seed;
  }();
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void WriteHex(uint64_t value, char* out) {
  for (int i = 15; i >= 0; --i, value >>= 4) out[i] = "0123456789abcdef"[value & 15];
}

void WriteId(char* out) {
  uint64_t id = NextRandom();
  WriteHex(id == 0 ? 1 : id, out);
}

}  // namespace

std::optional<TraceContext> ParseTraceparent(absl::string_view text) {
  if (!Valid(text)) return std::nullopt;
  const char flags = text[54];
  const int low = flags <= '9' ? flags - '0' : flags - 'a' + 10;
  return TraceContext{std::string(text.substr(3, 32)), std::string(text.substr(36, 16)),
                      (low & 1) != 0};
}

std::string FormatTraceparent(const TraceContext& context) {
  return absl::StrCat("00-", context.trace_id, "-", context.parent_id, "-",
                      context.sampled ? "01" : "00");
}

std::string NewTraceparent(bool sampled) {
  std::string result = "00-00000000000000000000000000000000-0000000000000000-00";
  WriteId(&result[3]);
  WriteId(&result[19]);
  WriteId(&result[36]);
  if (sampled) result[54] = '1';
  return result;
}

std::string ChildTraceparent(absl::string_view parent) {
  if (!Valid(parent)) return NewTraceparent();
  std::string result(parent.substr(0, kLength));
  result[0] = result[1] = '0';
  WriteId(&result[36]);
  return result;
}

}  // namespace clm::obs
