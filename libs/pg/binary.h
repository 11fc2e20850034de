// Parameters as the server takes them: which type each has, and arrays in that type's binary form,
// which costs the server a tenth of what reading an array literal does.
#ifndef CLM_LIBS_PG_BINARY_H_
#define CLM_LIBS_PG_BINARY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/pg/pg.h"

namespace clm::pg {

// The types that the casts of a statement give its parameters: {"text", "uuid[]"} for
// "... $1::text ... $2::uuid[]". Empty where a parameter has no cast.
std::vector<std::string> ParameterTypes(absl::string_view sql);

// The binary form of an array for a parameter of the type ("bigint[]"); nullopt when the elements
// have to be read as text, or do not fit the type: then the server says what is wrong.
std::optional<std::string> BinaryArray(const Args::Array& array, absl::string_view type);

// A value as text; nullopt is NULL.
std::optional<std::string> ValueText(const Args::Value& value);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_BINARY_H_
