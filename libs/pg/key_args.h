// The keys of rows as the parameters of the statement that loads them.
#ifndef CLM_LIBS_PG_KEY_ARGS_H_
#define CLM_LIBS_PG_KEY_ARGS_H_

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "libs/base/resource_name.h"
#include "libs/pg/pg.h"

namespace clm::pg {

namespace internal {
inline const EntityKey& KeyOf(const EntityKey& key) { return key; }
template <class Key, class Row>
const Key& KeyOf(const std::pair<const Key, Row>& entry) {
  return entry.first;
}
}  // namespace internal

// Two arrays, $1 and $2, in the order of `rows`: the tenants of the keys, and what a key has
// besides. `rows` are keys, or a map by keys; a key is an EntityKey or, in a map, a pair of texts.
template <class Rows>
Args KeyArgs(const Rows& rows) {
  const auto besides = [](const auto& row) {
    const auto& [tenant, id] = internal::KeyOf(row);
    return id;
  };
  std::vector<std::string> tenants;
  std::vector<decltype(besides(*rows.begin()))> ids;
  tenants.reserve(rows.size());
  ids.reserve(rows.size());
  for (const auto& row : rows) {
    const auto& [tenant, id] = internal::KeyOf(row);
    tenants.push_back(tenant);
    ids.push_back(id);
  }
  Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids));
  return args;
}

inline Args KeyArgs(std::initializer_list<EntityKey> keys) {
  return KeyArgs(std::vector<EntityKey>(keys));
}

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_KEY_ARGS_H_
