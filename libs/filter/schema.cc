#include "absl/strings/string_view.h"
#include "libs/filter/filter.h"

namespace clm::filter {

absl::string_view TypeText(Type type) {
  switch (type) {
    case Type::kString:
      return "a string";
    case Type::kBool:
      return "true or false";
    case Type::kInt64:
      return "a whole number";
    case Type::kDecimal:
      return "a number";
    case Type::kTimestamp:
      return "a timestamp like 2026-11-21T08:30:00Z";
    case Type::kDate:
      return "a date like 2026-11-21";
    case Type::kEnum:
      return "one of a list of words";
    case Type::kStringSet:
      return "a set of strings";
    case Type::kDuration:
      return "a duration like 30d, 12h, 90m or 20s";
    case Type::kAny:
      return "a value";
  }
  return "a value";
}

Schema& Schema::Add(int id, absl::string_view name, Type type) {
  fields_.push_back({.id = id, .name = std::string(name), .type = type});
  return *this;
}

Schema& Schema::AddEnum(int id, absl::string_view name, std::vector<std::string> values) {
  fields_.push_back(
      {.id = id, .name = std::string(name), .type = Type::kEnum, .enum_values = std::move(values)});
  return *this;
}

Schema& Schema::AddString(int id, absl::string_view name, Normalizer normalizer) {
  fields_.push_back({.id = id,
                     .name = std::string(name),
                     .type = Type::kString,
                     .normalizer = std::move(normalizer)});
  return *this;
}

Schema& Schema::AddMap(int id, absl::string_view name, std::optional<Type> fallback) {
  fields_.push_back({.id = id,
                     .name = std::string(name),
                     .type = Type::kAny,
                     .is_map = true,
                     .fallback = fallback});
  return *this;
}

Schema& Schema::AddFunction(FunctionSpec spec) {
  functions_.push_back(std::move(spec));
  return *this;
}

}  // namespace clm::filter
