#include "services/contact/attribute_index.h"

#include <xxhash.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace clm::contact {
namespace {

bool IsIndexed(const AttributeRegistry& registry, const std::string& attribute) {
  const auto definition = registry.find(attribute);
  return definition != registry.end() && definition->second.indexed;
}

}  // namespace

std::string IndexedText(absl::string_view text) {
  if (text.size() <= kMaxIndexedBytes) return std::string(text);
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return absl::StrFormat("%016x%016x", hash.high64, hash.low64);
}

IndexedValues IndexedValuesOf(const AttributeRegistry& registry, const Contact& contact) {
  IndexedValues values;
  if (contact.merged_into) return values;
  for (const auto& [id, value] : contact.attributes) {
    if (IsIndexed(registry, id)) values.emplace(id, IndexedText(FormatValue(value)));
  }
  return values;
}

std::optional<IndexLookup> LookupFor(const filter::Expression& expression,
                                     const AttributeRegistry& registry) {
  std::optional<IndexLookup> best;
  for (const filter::Field& field : filter::ReferencedFields(expression)) {
    if (field.name != "attributes" || !IsIndexed(registry, field.key)) continue;
    auto values = filter::RequiredValues(expression, absl::StrCat("attributes.", field.key));
    if (!values || (best && best->values.size() <= values->size())) continue;
    for (std::string& value : *values) value = IndexedText(value);
    best = IndexLookup{field.key, *std::move(values)};
  }
  return best;
}

}  // namespace clm::contact
