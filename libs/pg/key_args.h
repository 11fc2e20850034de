// The keys of a unit of work's map as the parameters of the statement that loads its rows.
#ifndef CLM_LIBS_PG_KEY_ARGS_H_
#define CLM_LIBS_PG_KEY_ARGS_H_

#include <string>
#include <utility>
#include <vector>

#include "libs/pg/pg.h"

namespace clm::pg {

// Two arrays, $1 and $2, in the order of `rows`: the tenants of the keys, and what a key has
// besides. A key is an EntityKey or a pair of texts.
template <class Map>
Args KeyArgs(const Map& rows) {
  const auto besides = [](const typename Map::key_type& key) {
    const auto& [tenant, id] = key;
    return id;
  };
  std::vector<std::string> tenants;
  std::vector<decltype(besides(std::declval<const typename Map::key_type&>()))> ids;
  tenants.reserve(rows.size());
  ids.reserve(rows.size());
  for (const auto& [key, _] : rows) {
    const auto& [tenant, id] = key;
    tenants.push_back(tenant);
    ids.push_back(id);
  }
  Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids));
  return args;
}

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_KEY_ARGS_H_
