// What is kept for filters by indexed attributes, and what of it a filter needs. The rows narrow a
// search and never decide it: the filter itself is still asked of every contact they lead to. Pure.
#ifndef CLM_SERVICES_CONTACT_ATTRIBUTE_INDEX_H_
#define CLM_SERVICES_CONTACT_ATTRIBUTE_INDEX_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/filter/filter.h"
#include "services/contact/attributes.h"
#include "services/contact/contact.h"

namespace clm::contact {

// Longer values have a hash in their place: a row has to fit into a page of the index.
inline constexpr size_t kMaxIndexedBytes = 200;

// What stands in the index for a value whose text (FormatValue) is `text`. Equal for equal texts,
// and all but always different for different ones.
std::string IndexedText(absl::string_view text);

// By attribute; one row of the index each.
using IndexedValues = std::map<std::string, std::string>;

// Those of `contact`, by the definitions of its tenant. None of one that was merged: lists have
// only the survivor.
IndexedValues IndexedValuesOf(const AttributeRegistry& registry, const Contact& contact);

// An indexed attribute of which a contact has to have one of these values (IndexedText).
struct IndexLookup {
  std::string attribute;
  std::vector<std::string> values;
};

// The lookup with the fewest values that finds every contact for which `expression` can be true;
// nullopt when no index helps. Fields of the expression's map "attributes" are the attributes.
std::optional<IndexLookup> LookupFor(const filter::Expression& expression,
                                     const AttributeRegistry& registry);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_ATTRIBUTE_INDEX_H_
