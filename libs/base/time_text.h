// Times as text, in UTC with microseconds: the form PostgreSQL reads and writes, and RFC 3339.
#ifndef CLM_LIBS_BASE_TIME_TEXT_H_
#define CLM_LIBS_BASE_TIME_TEXT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace clm {

// "2026-11-21T08:30:00.000000Z". Finite times of the years 1 to 9999.
std::string FormatTime(absl::Time time);

// Reads RFC 3339 ("2026-11-21T08:30:00.5+01:00", "…Z") and PostgreSQL's ISO form
// ("2026-11-21 08:30:00.5+00"). Fractions beyond microseconds are cut. nullopt for anything else.
std::optional<absl::Time> ParseTime(absl::string_view text);

// A calendar day, "2026-11-21".
std::string FormatDay(absl::CivilDay day);
std::optional<absl::CivilDay> ParseDay(absl::string_view text);

}  // namespace clm

#endif  // CLM_LIBS_BASE_TIME_TEXT_H_
