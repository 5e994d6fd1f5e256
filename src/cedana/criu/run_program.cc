#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cedana/criu/run_program_internal.h"
#include "core/base/environment.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

constexpr size_t kOutputBytesMax = 64 << 10;

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& argv, int output) {
  std::vector<char*> pointers;
  pointers.reserve(argv.size() + 1);
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, output, 2);
  // Our threads block every signal; the program must not inherit that.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, argv[0].c_str(), &actions, &attributes, pointers.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return base::ErrnoStatus(error, argv[0]);
  return pid;
}

// Collects until EOF; false when `deadline` came first.
bool Collect(int fd, absl::Time deadline, std::string* out) {
  while (true) {
    const int64_t left_ms = absl::ToInt64Milliseconds(deadline - absl::Now());
    pollfd polled{fd, POLLIN, 0};
    if (left_ms <= 0) return false;
    if (::poll(&polled, 1, static_cast<int>(std::min<int64_t>(left_ms, 60000))) <= 0) continue;
    char bytes[4096];
    const ssize_t got = ::read(fd, bytes, sizeof(bytes));
    if (got == 0 || (got < 0 && errno != EINTR)) return true;
    if (got > 0 && out->size() < kOutputBytesMax) out->append(bytes, static_cast<size_t>(got));
  }
}

}  // namespace

absl::StatusOr<ProgramResult> RunProgram(const std::vector<std::string>& argv,
                                         absl::Duration timeout) {
  CEDANA_ASSIGN_OR_RETURN(base::Pipe pipe, base::MakePipe());
  CEDANA_ASSIGN_OR_RETURN(const pid_t pid, Spawn(argv, pipe.write.get()));
  pipe.write.Reset();
  ProgramResult result;
  const bool in_time = Collect(pipe.read.get(), absl::Now() + timeout, &result.output);
  if (!in_time) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) {
    return absl::DeadlineExceededError(
        absl::StrCat(argv[0], " did not end within ", absl::FormatDuration(timeout)));
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

std::string FindInPath(const std::string& name) {
  const std::string path =
      absl::StrCat(base::GetEnv("PATH").value_or(""), ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin");
  for (absl::string_view folder : absl::StrSplit(path, ':', absl::SkipEmpty())) {
    if (folder.front() != '/') continue;
    const std::string candidate = absl::StrCat(folder, "/", name);
    struct stat st {};
    if (::stat(candidate.c_str(), &st) == 0 && S_ISREG(st.st_mode) &&
        ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return "";
}

}  // namespace cedana::criu
