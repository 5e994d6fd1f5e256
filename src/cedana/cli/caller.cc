#include "cedana/cli/caller.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cedana/cli/flags.h"
#include "core/base/environment.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

bool CanRun(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

absl::StatusOr<Caller> ThisCaller() {
  Caller caller;
  caller.uid = ::getuid();
  caller.gid = ::getgid();
  const int count = ::getgroups(0, nullptr);
  if (count > 0) {
    std::vector<gid_t> groups(count);
    const int got = ::getgroups(count, groups.data());
    if (got < 0) return base::ErrnoStatus(errno, "getgroups");
    caller.groups.assign(groups.begin(), groups.begin() + got);
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    caller.environment.emplace_back(*variable);
  }
  std::error_code error;
  caller.working_dir = std::filesystem::current_path(error).string();
  if (error) return base::ErrnoStatus(error.value(), "working directory");
  return caller;
}

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    const std::string path = AbsolutePath(name);
    if (CanRun(path)) return path;
    return absl::NotFoundError(absl::StrCat("\"", name, "\": no such executable file"));
  }
  const std::string path = base::GetEnv("PATH").value_or("");
  for (const absl::string_view folder : absl::StrSplit(path, ':', absl::SkipEmpty())) {
    const std::string candidate = AbsolutePath(absl::StrCat(folder, "/", name));
    if (!name.empty() && CanRun(candidate)) return candidate;
  }
  return absl::NotFoundError(absl::StrCat("\"", name, "\": executable file not found in PATH"));
}

}  // namespace cedana::cli
