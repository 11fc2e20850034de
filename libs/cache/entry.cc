#include "libs/cache/entry.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace clm::cache {
namespace {

constexpr size_t kHeaderBytes = 25;

int64_t FromBigEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return static_cast<int64_t>(value);
}

std::string Bound(const Slot& slot, absl::string_view header) {
  const absl::string_view separator("\0", 1);
  return absl::StrCat(slot.key, separator, slot.field, separator, header);
}

}  // namespace

std::string BigEndian(int64_t value) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(static_cast<uint64_t>(value) >> (56 - 8 * i));
  }
  return bytes;
}

std::string EncodeEntry(const Sealer& sealer, const Slot& slot, const Entry& entry) {
  std::string bytes =
      absl::StrCat(BigEndian(entry.version), std::string(1, static_cast<char>(entry.kind)),
                   BigEndian(absl::ToUnixMicros(entry.expiry)), BigEndian(entry.note));
  // A tombstone has nothing to hide, and nobody believes more of it than its header.
  if (entry.kind == EntryKind::kTombstone) return bytes;
  bytes += sealer.Seal(slot.tenant, Bound(slot, bytes), entry.payload);
  return bytes;
}

std::optional<Entry> DecodeEntry(const Sealer& sealer, const Slot& slot, absl::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  const uint8_t kind = static_cast<uint8_t>(bytes[8]);
  if (kind > static_cast<uint8_t>(EntryKind::kNegative)) return std::nullopt;
  Entry entry{.version = FromBigEndian(bytes),
              .kind = static_cast<EntryKind>(kind),
              .expiry = absl::FromUnixMicros(FromBigEndian(bytes.substr(9))),
              .note = FromBigEndian(bytes.substr(17))};
  if (entry.kind == EntryKind::kTombstone) return entry;
  std::optional<std::string> payload = sealer.Open(
      slot.tenant, Bound(slot, bytes.substr(0, kHeaderBytes)), bytes.substr(kHeaderBytes));
  if (!payload) return std::nullopt;
  entry.payload = *std::move(payload);
  return entry;
}

}  // namespace clm::cache
