// Resource names of the API (AIP-122): "tenants/{tenant}/contacts/{contact}" and the like. Parsed
// once, in the handler; rules and SQL see typed keys only.
#ifndef CLM_LIBS_BASE_RESOURCE_NAME_H_
#define CLM_LIBS_BASE_RESOURCE_NAME_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/base/uuid.h"

namespace clm {

// Matches `name` against `pattern` ("tenants/*/contacts/*") and returns the segments that stand for
// the stars, in order. INVALID_ARGUMENT naming `field` and the expected pattern otherwise. A
// segment has 1 to 63 characters of [A-Za-z0-9._~-]; the first one, the tenant, is checked by
// ValidTenantId.
absl::StatusOr<std::vector<std::string>> ParseResourceName(absl::string_view field,
                                                           absl::string_view pattern,
                                                           absl::string_view name);

// A tenant id: 1 to 40 characters of [a-z0-9-], beginning with a letter, not ending in a hyphen.
bool ValidTenantId(absl::string_view id);

// An id chosen by a caller for a model, topic, attribute and the like (AIP-122):
// [a-z][a-z0-9_-]{0,62}, not ending in '-' or '_'.
bool ValidResourceId(absl::string_view id);

// Something of a tenant that is identified by a UUID.
struct EntityKey {
  std::string tenant;
  Uuid id;
  friend auto operator<=>(const EntityKey&, const EntityKey&) = default;
  friend bool operator==(const EntityKey&, const EntityKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const EntityKey& key) {
    return H::combine(std::move(h), key.tenant, key.id);
  }
};

// "tenants/{tenant}" -> the tenant id.
absl::StatusOr<std::string> ParseTenantName(absl::string_view field, absl::string_view name);
// "tenants/{tenant}/{collection}/{uuid}".
absl::StatusOr<EntityKey> ParseEntityName(absl::string_view field, absl::string_view collection,
                                          absl::string_view name);
std::string EntityName(absl::string_view collection, const EntityKey& key);

// Etags are the quoted row version, "\"v17\"" (AIP-154). 0 for an empty text; INVALID_ARGUMENT
// naming `field` for anything that is not an etag of ours.
std::string Etag(int64_t version);
absl::StatusOr<int64_t> ParseEtag(absl::string_view field, absl::string_view etag);
// OK for no etag and for that of `version`, the row's present one; see error::EtagMismatch.
absl::Status CheckEtag(absl::string_view field, absl::string_view etag, int64_t version);

}  // namespace clm

#endif  // CLM_LIBS_BASE_RESOURCE_NAME_H_
