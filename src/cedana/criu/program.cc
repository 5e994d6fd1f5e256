#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/program_internal.h"
#include "cedana/criu/run_program_internal.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

constexpr int kMinVersion = 40101;  // before it, streaming or current kernels fail
constexpr absl::Duration kVersionTimeout = absl::Seconds(10);
constexpr absl::Duration kCheckTimeout = absl::Seconds(60);

// What `--version` said, kept while the file is the same: every dump asks.
class VersionCache {
 public:
  absl::StatusOr<int> Get(const std::string& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return base::ErrnoStatus(errno, path);
    const Stamp stamp = {static_cast<int64_t>(st.st_dev), static_cast<int64_t>(st.st_ino),
                         st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
    {
      absl::MutexLock lock(&mutex_);
      const auto found = known_.find(path);
      if (found != known_.end() && found->second.first == stamp) return found->second.second;
    }
    CEDANA_ASSIGN_OR_RETURN(const ProgramResult result,
                            RunProgram({path, "--version"}, kVersionTimeout));
    CEDANA_ASSIGN_OR_RETURN(const int version, ParseVersion(result.output));
    absl::MutexLock lock(&mutex_);
    known_[path] = {stamp, version};
    return version;
  }

 private:
  using Stamp = std::array<int64_t, 4>;
  absl::Mutex mutex_;
  std::map<std::string, std::pair<Stamp, int>> known_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<CriuProgram> Probe(const std::string& path) {
  static VersionCache& cache = *new VersionCache;
  if (::access(path.c_str(), X_OK) != 0) return base::ErrnoStatus(errno, path);
  absl::StatusOr<int> version = cache.Get(path);
  if (!version.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": ", version.status().message()));
  }
  if (*version < kMinVersion) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is ", *version / 10000, ".",
                                                      *version / 100 % 100, ", 4.1.1 is needed"));
  }
  return CriuProgram{path, *version};
}

std::string OwnFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

}  // namespace

absl::StatusOr<int> ParseVersion(absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    int major = 0;
    int minor = 0;
    int sublevel = 0;
    if (std::sscanf(std::string(line).c_str(), "Version: %d.%d.%d", &major, &minor, &sublevel) >=
        2) {
      return major * 10000 + minor * 100 + sublevel;
    }
  }
  return absl::FailedPreconditionError("does not say its version");
}

absl::StatusOr<CriuProgram> FindCriu(const std::string& configured, const std::string& bin_dir) {
  // What the user names is taken or is the error; nothing else is tried behind their back.
  if (!configured.empty()) {
    absl::StatusOr<CriuProgram> program = Probe(configured);
    if (program.ok()) return program;
    return absl::FailedPreconditionError(
        absl::StrCat("criu.binary_path: ", program.status().message()));
  }
  std::vector<std::string> candidates;
  if (!bin_dir.empty()) candidates.push_back(absl::StrCat(bin_dir, "/criu"));
  const std::string own = OwnFolder();
  // Beside an installed program; beside the build tree's bin; beside a build tree of its own.
  for (const char* place : {"/criu", "/../criu/criu", "/../../criu/criu"}) {
    candidates.push_back(absl::StrCat(own, place));
  }
  if (const std::string in_path = FindInPath("criu"); !in_path.empty()) {
    candidates.push_back(in_path);
  }
  std::vector<std::string> refused;
  for (const std::string& candidate : candidates) {
    absl::StatusOr<CriuProgram> program = Probe(candidate);
    if (program.ok()) return program;
    if (!absl::IsNotFound(program.status())) {
      refused.push_back(std::string(program.status().message()));
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("no usable CRIU (4.1.1 or later): run `make setup` or set criu.binary_path",
                   refused.empty() ? "" : absl::StrCat(" (", absl::StrJoin(refused, "; "), ")")));
}

absl::Status CheckCriu(const CriuProgram& program) {
  CEDANA_ASSIGN_OR_RETURN(const ProgramResult result,
                          RunProgram({program.path, "check"}, kCheckTimeout));
  if (result.exit_code == 0) return absl::OkStatus();
  std::string why = FirstTellingLine(result.output);
  if (why.empty()) why = absl::StrCat("exit code ", result.exit_code);
  return absl::FailedPreconditionError(absl::StrCat(program.path, " check: ", why));
}

}  // namespace cedana::criu
