// What programmes, members and orders are known by.
#ifndef CLM_SERVICES_LOYALTY_LOYALTY_KEYS_H_
#define CLM_SERVICES_LOYALTY_LOYALTY_KEYS_H_

#include <string>
#include <utility>

#include "libs/base/uuid.h"

namespace clm::loyalty {

struct ProgramKey {
  std::string tenant;
  std::string program;
  friend auto operator<=>(const ProgramKey&, const ProgramKey&) = default;
  friend bool operator==(const ProgramKey&, const ProgramKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const ProgramKey& key) {
    return H::combine(std::move(h), key.tenant, key.program);
  }
};

struct OrderKey {
  std::string tenant;
  std::string program;
  std::string id;
  friend auto operator<=>(const OrderKey&, const OrderKey&) = default;
  friend bool operator==(const OrderKey&, const OrderKey&) = default;
};

struct MemberKey {
  std::string tenant;
  std::string program;
  Uuid contact;
  friend auto operator<=>(const MemberKey&, const MemberKey&) = default;
  friend bool operator==(const MemberKey&, const MemberKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const MemberKey& key) {
    return H::combine(std::move(h), key.tenant, key.program, key.contact);
  }
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LOYALTY_KEYS_H_
