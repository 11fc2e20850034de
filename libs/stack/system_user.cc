#include "libs/stack/system_user.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::stack {
namespace {

absl::Status FolderError(absl::string_view message) {
  return error::Precondition("FOLDER_UNUSABLE", message);
}

// Root may go anywhere; the unprivileged user must be able to pass every folder above.
absl::Status CheckReachable(const std::filesystem::path& folder, const SystemUser& user) {
  for (auto path = folder.parent_path(); !path.empty(); path = path.parent_path()) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) {
      return FolderError(absl::StrCat(path.string(), ": ", std::strerror(errno)));
    }
    const mode_t bit = info.st_uid == user.uid   ? S_IXUSR
                       : info.st_gid == user.gid ? S_IXGRP
                                                 : S_IXOTH;
    if ((info.st_mode & bit) == 0) {
      return FolderError(absl::StrCat(
          folder.string(), ": PostgreSQL must not run as root, and its user ", user.name,
          " cannot pass ", path.string(), "; choose another data folder, such as /var/lib/clm"));
    }
    if (path == path.root_path()) break;
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<SystemUser> UnprivilegedUser() {
  if (geteuid() != 0) return std::nullopt;
  for (const char* name : {"postgres", "nobody"}) {
    const passwd* entry = getpwnam(name);
    if (entry != nullptr) return SystemUser{name, entry->pw_uid, entry->pw_gid};
  }
  return SystemUser{"nobody", 65534, 65534};
}

absl::Status MakePrivateFolder(const std::string& folder, const std::optional<SystemUser>& user) {
  const std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
  if (!path.is_absolute()) return error::Internal("a data folder is given by its absolute path");
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (failed) {
    return FolderError(absl::StrCat(path.parent_path().string(), ": ", failed.message()));
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return FolderError(absl::StrCat(folder, ": ", std::strerror(errno)));
  }
  const uid_t owner = user ? user->uid : geteuid();
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return FolderError(absl::StrCat(folder, ": not a folder"));
  }
  // A folder that root has just made is root's; anybody else's is not ours to take.
  if (info.st_uid != owner && info.st_uid != geteuid()) {
    return FolderError(absl::StrCat(folder, ": belongs to another user"));
  }
  if (user && info.st_uid != owner && chown(path.c_str(), user->uid, user->gid) != 0) {
    return FolderError(absl::StrCat(folder, ": ", std::strerror(errno)));
  }
  if ((info.st_mode & 0777) != 0700 && chmod(path.c_str(), 0700) != 0) {
    return FolderError(absl::StrCat(folder, ": ", std::strerror(errno)));
  }
  return user ? CheckReachable(path, *user) : absl::OkStatus();
}

absl::Status WriteFile(const std::string& file, const std::string& content,
                       const std::optional<SystemUser>& user) {
  {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out << content;
    if (!out.flush()) return FolderError(absl::StrCat(file, ": cannot be written"));
  }
  if (user && chown(file.c_str(), user->uid, user->gid) != 0) {
    return FolderError(absl::StrCat(file, ": ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

std::string ReadFile(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

}  // namespace clm::stack
