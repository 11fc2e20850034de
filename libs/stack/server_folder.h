// What private servers have in common: a folder that one process owns at a time, and a socket whose
// path is short enough for the kernel.
#ifndef CLM_LIBS_STACK_SERVER_FOLDER_H_
#define CLM_LIBS_STACK_SERVER_FOLDER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "libs/stack/system_user.h"

namespace clm::stack {

class ServerFolder {
 public:
  // Makes `path` where needed and locks it. FAILED_PRECONDITION when another live process holds the
  // lock; a lock ends with its process, however that ends.
  static absl::StatusOr<std::unique_ptr<ServerFolder>> Open(const std::string& path,
                                                            std::optional<SystemUser> user);
  ~ServerFolder();  // Unlocks, and removes a socket folder outside of `path`.
  ServerFolder(const ServerFolder&) = delete;
  ServerFolder& operator=(const ServerFolder&) = delete;

  const std::string& path() const { return path_; }
  const std::optional<SystemUser>& user() const { return user_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

  // A folder (0700) where a socket called `name` can be bound: `path`/run, or one under
  // XDG_RUNTIME_DIR or the temporary folder when that is too long; which one is in the file
  // `path`/socket_folder.
  absl::StatusOr<std::string> SocketFolder(const std::string& name);

 private:
  ServerFolder(std::string path, std::optional<SystemUser> user, int lock)
      : path_(std::move(path)), user_(std::move(user)), lock_(lock) {}

  const std::string path_;
  const std::optional<SystemUser> user_;
  const int lock_;
  std::string short_folder_;  // Empty when sockets are under `path`.
};

}  // namespace clm::stack

#endif  // CLM_LIBS_STACK_SERVER_FOLDER_H_
