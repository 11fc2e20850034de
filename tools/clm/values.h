// Values between the command line, protobuf messages and tables. Pure functions.
#ifndef CLM_TOOLS_CLM_VALUES_H_
#define CLM_TOOLS_CLM_VALUES_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "tools/terminal/table.h"

namespace clm::cli {

absl::Time ToTime(const google::protobuf::Timestamp& proto);
void SetTime(absl::Time time, google::protobuf::Timestamp* proto);

// "2026-11-21" (begin of the day in UTC), "2026-11-21T08:30:00Z", or a time ago: "90d", "36h",
// "15m". INVALID_ARGUMENT naming `flag`.
absl::StatusOr<absl::Time> ParseMoment(absl::string_view flag, absl::string_view text,
                                       absl::Time now);
// "90d", "36h", "15m", "30s".
absl::StatusOr<absl::Duration> ParseSpan(absl::string_view flag, absl::string_view text);

// "12.50" of a currency as minor units; exact.
absl::StatusOr<int64_t> ParseMoney(absl::string_view flag, absl::string_view text,
                                   absl::string_view currency);

// "key=value" texts in order.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParsePairs(
    absl::string_view flag, const std::vector<std::string>& texts);

// A value of the definition's type; an empty text is none, which clears. STRING_SET: "a,b".
absl::StatusOr<contact::v1::AttributeValue> ParseAttribute(
    absl::string_view flag, contact::v1::AttributeDefinition::Type type, absl::string_view text);
std::string AttributeText(const contact::v1::AttributeValue& value);

// "STATUS_ACTIVE" -> "active".
std::string EnumText(absl::string_view prefix, absl::string_view name);

// The last part of a resource name.
std::string LastPart(absl::string_view name);

// A time for a table; nothing when it is not set.
template <class Message>
terminal::Cell TimeCell(bool has, const Message& proto) {
  return has ? terminal::Cell(ToTime(proto)) : terminal::Cell();
}
// A text for a table; nothing when it is empty.
terminal::Cell TextCell(const std::string& text);

// Reads canonical protobuf JSON from a file, "-" for standard input, into `message`.
absl::Status ReadMessage(const std::string& file, google::protobuf::Message* message);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_VALUES_H_
