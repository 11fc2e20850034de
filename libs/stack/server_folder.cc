#include "libs/stack/server_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::stack {
namespace {

constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

// Where short-lived folders go; a session's own folder is closed to a user that root drops to.
std::string ShortParent(const std::optional<SystemUser>& user) {
  const char* session = getenv("XDG_RUNTIME_DIR");
  if (!user && session != nullptr && access(session, W_OK | X_OK) == 0) return session;
  return "/tmp";
}

bool IsOwnPrivateFolder(const std::string& folder, const std::optional<SystemUser>& user) {
  struct stat info;
  return lstat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
         info.st_uid == (user ? user->uid : geteuid()) && (info.st_mode & 0777) == 0700;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerFolder>> ServerFolder::Open(const std::string& path,
                                                                 std::optional<SystemUser> user) {
  CLM_RETURN_IF_ERROR(MakePrivateFolder(path, user));
  const std::string file = absl::StrCat(path, "/lock");
  const int lock = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return error::Precondition("FOLDER_UNUSABLE", absl::StrCat(file, ": ", std::strerror(errno)));
  }
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    close(lock);
    return error::Precondition("FOLDER_IN_USE",
                               absl::StrCat(path, ": in use by another running clm"));
  }
  return std::unique_ptr<ServerFolder>(new ServerFolder(path, std::move(user), lock));
}

ServerFolder::~ServerFolder() {
  std::error_code ignored;
  if (!short_folder_.empty()) std::filesystem::remove_all(short_folder_, ignored);
  close(lock_);
}

absl::StatusOr<std::string> ServerFolder::SocketFolder(const std::string& name) {
  const std::string record = File("socket_folder");
  const std::string own = File("run");
  if (own.size() + 1 + name.size() <= kMaxSocketPath) {
    CLM_RETURN_IF_ERROR(MakePrivateFolder(own, user_));
    CLM_RETURN_IF_ERROR(WriteFile(record, own + "\n", user_));
    return own;
  }
  // The one of an earlier run, if it still is what it was.
  std::string folder(absl::StripSuffix(ReadFile(record), "\n"));
  if (folder.empty() || folder == own || !IsOwnPrivateFolder(folder, user_)) {
    folder = absl::StrCat(ShortParent(user_), "/clm-XXXXXX");
    if (mkdtemp(folder.data()) == nullptr) {
      return error::Precondition("FOLDER_UNUSABLE",
                                 absl::StrCat(folder, ": ", std::strerror(errno)));
    }
    CLM_RETURN_IF_ERROR(MakePrivateFolder(folder, user_));
    CLM_RETURN_IF_ERROR(WriteFile(record, folder + "\n", user_));
  }
  if (folder.size() + 1 + name.size() > kMaxSocketPath) {
    return error::Precondition("FOLDER_UNUSABLE",
                               absl::StrCat(folder, ": too long for a socket's path"));
  }
  short_folder_ = folder;
  return folder;
}

}  // namespace clm::stack
