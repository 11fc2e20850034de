// The user that servers run as when this process is root: PostgreSQL refuses to be root.
#ifndef CLM_LIBS_STACK_SYSTEM_USER_H_
#define CLM_LIBS_STACK_SYSTEM_USER_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace clm::stack {

struct SystemUser {
  std::string name;
  uid_t uid;
  gid_t gid;
};

// "postgres", else "nobody", when this process is root; nullopt when it is not.
std::optional<SystemUser> UnprivilegedUser();

// Makes `folder` (0700) with its missing parents (0755), owned by `user` if there is one.
// FAILED_PRECONDITION when it belongs to somebody else, or when `user` cannot reach it.
absl::Status MakePrivateFolder(const std::string& folder, const std::optional<SystemUser>& user);

// Replaces the file's content; owned by `user` if there is one.
absl::Status WriteFile(const std::string& file, const std::string& content,
                       const std::optional<SystemUser>& user);

// The content; empty when there is no such file.
std::string ReadFile(const std::string& file);

}  // namespace clm::stack

#endif  // CLM_LIBS_STACK_SYSTEM_USER_H_
