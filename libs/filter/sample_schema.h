// A schema with every type, rows for it, and random texts over it. For the tests of libs/filter.
#ifndef CLM_LIBS_FILTER_SAMPLE_SCHEMA_H_
#define CLM_LIBS_FILTER_SAMPLE_SCHEMA_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "libs/filter/filter.h"

namespace clm::filter::sample {

enum FieldId {
  kName,
  kEmail,
  kActive,
  kVisits,
  kBalance,
  kCreatedAt,
  kBirthday,
  kStatus,
  kTags,
  kScore,
  kAttributes,
  kProperties
};
enum FunctionId { kCount, kSum, kDaysSince, kIsMember };

// name, email (normalised), active, visits, balance, created_at, birthday, status (enum), tags,
// stats.score (decimal), attributes.* (typed by Attributes()), properties.* (any type), count(),
// sum(), days_since(), is_member().
const Schema& SampleSchema();

// plan string, seats int64, rate decimal, trial bool, joined timestamp, renewed date, size enum,
// topics string set, "odd key'" string.
const DynamicFields& Attributes();

// Parses with SampleSchema and Attributes.
absl::StatusOr<Expression> Read(absl::string_view text);

// One record. A map's entries are kept as text, sets apart.
struct Row : Record {
  Value Get(const Field& field) const override;
  Value Invoke(const Call& call, absl::Time now) const override;

  std::optional<std::string> name, email, status;
  std::optional<bool> active;
  std::optional<int64_t> visits;
  std::optional<Decimal> balance, score;
  std::optional<absl::Time> created_at;
  std::optional<absl::CivilDay> birthday;
  std::optional<std::vector<std::string>> tags;
  std::map<std::string, std::string> attributes, properties;
  std::map<std::string, std::vector<std::string>> attribute_sets;
  // Times of events by type; what the functions answer from.
  std::map<std::string, std::vector<absl::Time>> events;
};

// The time of every evaluation in the tests.
absl::Time Now();

// Draws a number in [0, n).
using Pick = absl::FunctionRef<int(int)>;

// A valid text with at most `depth` levels. Values are drawn from the same small pools as rows, so
// that terms are true and false about equally often.
std::string RandomText(Pick pick, int depth, bool with_functions);
Row RandomRow(Pick pick);

}  // namespace clm::filter::sample

#endif  // CLM_LIBS_FILTER_SAMPLE_SCHEMA_H_
