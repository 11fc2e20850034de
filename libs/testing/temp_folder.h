// A folder under TMPDIR (or /tmp) that is removed with everything in it.
#ifndef CLM_LIBS_TESTING_TEMP_FOLDER_H_
#define CLM_LIBS_TESTING_TEMP_FOLDER_H_

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace clm::testing {

class TempFolder {
 public:
  TempFolder() {
    const char* parent = std::getenv("TMPDIR");
    path_ =
        std::string(parent != nullptr && *parent != '\0' ? parent : "/tmp") + "/clm-test-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) std::abort();
    // Passable for the user that servers run as when this is root; the folders within are private.
    chmod(path_.c_str(), 0711);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace clm::testing

#endif  // CLM_LIBS_TESTING_TEMP_FOLDER_H_
