// Custom attributes of contacts: a registry of definitions per tenant, and values that have exactly
// the type of their definition. A value of another type is refused, never converted. The same typed
// values are the properties of behaviour events. Pure; everything here is a value type.
#ifndef CLM_SERVICES_CONTACT_ATTRIBUTES_H_
#define CLM_SERVICES_CONTACT_ATTRIBUTES_H_

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace clm::contact {

// The numbers are those of the wire and of the database.
enum class AttributeType {
  kString = 1,
  kBool = 2,
  kInt64 = 3,
  kDecimal = 4,
  kDate = 5,
  kTimestamp = 6,
  kEnum = 7,
  kStringSet = 8,
};

// "STRING", "BOOL", ...: as on the wire, without the prefix.
absl::string_view TypeName(AttributeType type);
std::optional<AttributeType> TypeFromName(absl::string_view name);

// An exact decimal number: at most 18 digits before the point and 9 after it.
class Decimal {
 public:
  Decimal() = default;  // Zero.
  // Accepts "-12.50", "7", ".5" is refused; no exponent, no grouping, no sign but '-'.
  static std::optional<Decimal> Parse(absl::string_view text);
  // Canonical: no leading or trailing zeros, no negative zero: "-12.5", "7", "0".
  const std::string& ToString() const { return text_; }

  friend bool operator==(const Decimal&, const Decimal&) = default;
  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);

 private:
  std::string text_ = "0";
};

using StringSet = std::set<std::string>;

// STRING and ENUM values are both std::string.
using AttributeValue =
    std::variant<std::string, bool, int64_t, Decimal, absl::CivilDay, absl::Time, StringSet>;
using AttributeMap = std::map<std::string, AttributeValue>;

// What the registry knows about an attribute.
struct AttributeDefinition {
  std::string id;  // Unique within the tenant; ValidResourceId.
  AttributeType type = AttributeType::kString;
  std::string display_name;
  std::vector<std::string> enum_values;  // Only for kEnum, then at least one.
  bool personal = false;                 // Purged by erase, never in events.
  bool indexed = false;                  // The store keeps an index for filters on it. Not sets.
  absl::Time create_time = absl::InfinitePast();
  int64_t version = 0;  // Grows with each change; 0: not stored yet.
  friend bool operator==(const AttributeDefinition&, const AttributeDefinition&) = default;
};

// The definitions of one tenant by id.
using AttributeRegistry = std::map<std::string, AttributeDefinition>;

inline constexpr size_t kMaxEnumValues = 200;
inline constexpr size_t kMaxStringBytes = 4096;
inline constexpr size_t kMaxSetMembers = 100;
inline constexpr size_t kMaxSetMemberBytes = 256;

// INVALID_ARGUMENT naming every bad field, as "attribute.enum_values".
absl::Status ValidateDefinition(const AttributeDefinition& definition);

// The definition after an update. The type cannot change and the values of an enum may only be
// added to: values already stored stay valid. Whether it is indexed cannot change either: values
// already stored would be missing.
absl::StatusOr<AttributeDefinition> UpdateDefinition(const AttributeDefinition& before,
                                                     const AttributeDefinition& wanted);

// Sizes and ranges that hold for every value, defined or not. The message has no field path.
absl::Status ValidateValue(const AttributeValue& value);
// ValidateValue, and the type (and for enums the membership) that `definition` demands.
absl::Status ValidateValue(const AttributeDefinition& definition, const AttributeValue& value);

// Reads the text form of a value of `definition`: what import files and command lines contain.
// BOOL is "true" or "false", DATE "2026-11-21", TIMESTAMP RFC 3339, STRING_SET members separated by
// ';' (blanks around members are cut, empty members dropped).
absl::StatusOr<AttributeValue> ParseValue(const AttributeDefinition& definition,
                                          absl::string_view text);

// The inverse of ParseValue; also what people are shown.
std::string FormatValue(const AttributeValue& value);

// A map as one JSON object for a jsonb column: STRING, ENUM, DECIMAL, DATE and TIMESTAMP as JSON
// strings, BOOL and INT64 as such, sets as sorted arrays. Timestamps are UTC with six digits, so
// that their text order is their order in time.
std::string ToJson(const AttributeMap& values);
// Reads what ToJson wrote, taking the types from `registry`. INTERNAL when the two disagree: such
// rows cannot be written through the rules.
absl::StatusOr<AttributeMap> FromJson(const AttributeRegistry& registry, absl::string_view json);

// A map as one JSON object that needs no registry to be read: {"plan":["STRING","pro"]}. For the
// properties of behaviour events, which have no definitions.
std::string ToTaggedJson(const AttributeMap& values);
absl::StatusOr<AttributeMap> FromTaggedJson(absl::string_view json);

// One change of one attribute, or of one field of the record. The history is append-only.
struct AttributeHistoryEntry {
  std::string attribute;                // Or the field: "email", "external_ids.shop".
  std::optional<AttributeValue> value;  // From then on; nullopt: cleared.
  absl::Time set_time;
  std::string actor;
  std::string source;                                   // "api", "import", "merge", "event".
  std::optional<AttributeValue> former = std::nullopt;  // Until then.
  std::string reason = {};                              // As far as the caller said.
  friend bool operator==(const AttributeHistoryEntry&, const AttributeHistoryEntry&) = default;
};

// The entries that lead from `before` to `after`, by attribute id.
std::vector<AttributeHistoryEntry> HistoryOf(const AttributeMap& before, const AttributeMap& after,
                                             absl::Time at, absl::string_view actor,
                                             absl::string_view source);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_ATTRIBUTES_H_
