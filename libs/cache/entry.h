// What is stored in one slot of the cache: a header in clear text that the scripts compare, and a
// sealed payload that is bound to its slot and its header.
//
//   bytes 0-7   version, big endian; the version of the row the entry was made from
//   byte  8     kind
//   bytes 9-16  expiry, microseconds since 1970, big endian
//   bytes 17-24 note: a number of the user's, big endian
//   bytes 25-   sealed payload
#ifndef CLM_LIBS_CACHE_ENTRY_H_
#define CLM_LIBS_CACHE_ENTRY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/cache/seal.h"

namespace clm::cache {

enum class EntryKind : uint8_t {
  kPayload = 0,
  // No payload: whoever reads it must load, and nothing below its version may be filled in.
  kTombstone = 1,
  // The row does not exist.
  kNegative = 2,
};

struct Entry {
  int64_t version = 0;
  EntryKind kind = EntryKind::kPayload;
  absl::Time expiry;
  int64_t note = 0;
  std::string payload;
  friend bool operator==(const Entry&, const Entry&) = default;
};

// Where an entry lives: a key of its own (empty field) or a field of a hash.
struct Slot {
  std::string tenant;
  std::string key;
  std::string field;
};

std::string EncodeEntry(const Sealer& sealer, const Slot& slot, const Entry& entry);

// nullopt for bytes that were not made for this slot with this secret. A tombstone is believed
// without proof: all it can do is cause a load.
std::optional<Entry> DecodeEntry(const Sealer& sealer, const Slot& slot, absl::string_view bytes);

// Eight bytes, big endian: their order as text is the order of the numbers.
std::string BigEndian(int64_t value);

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_ENTRY_H_
