#include "cedana/plugin/program_version.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
#include "core/base/clock.h"
#include "core/base/fd.h"

extern char** environ;

namespace cedana::plugin {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(5);
constexpr size_t kOutputBytesMax = 4096;

// Starts `path --version` with stdout at `out`; -1 when it does not start.
pid_t Start(const std::string& path, int out) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::string program = path;
  std::string flag = "--version";
  std::array<char*, 3> argv{program.data(), flag.data(), nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, path.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -1;
}

// What it printed until it closed its end or `deadline`.
void ReadOutput(int fd, absl::Duration deadline, std::string* output) {
  base::Clock& clock = base::SystemClock();
  while (output->size() < kOutputBytesMax) {
    const int64_t left_ms = absl::ToInt64Milliseconds(deadline - clock.Monotonic());
    pollfd poll_fd{fd, POLLIN, 0};
    if (left_ms <= 0 || ::poll(&poll_fd, 1, static_cast<int>(left_ms)) <= 0) return;
    char buffer[512];
    const ssize_t got = ::read(fd, buffer, sizeof(buffer));
    if (got <= 0) return;
    output->append(buffer, static_cast<size_t>(got));
  }
}

// Its exit status; kills it at `deadline`.
int Reap(pid_t pid, absl::Duration deadline) {
  base::Clock& clock = base::SystemClock();
  int status = 0;
  while (true) {
    const pid_t got = ::waitpid(pid, &status, WNOHANG);
    if (got == pid) return status;
    if (got < 0) return -1;
    if (clock.Monotonic() >= deadline) ::kill(pid, SIGKILL);
    clock.Sleep(absl::Milliseconds(2));
  }
}

}  // namespace

std::string ProgramVersion(const std::string& path) {
  absl::StatusOr<base::Pipe> pipe = base::MakePipe();
  if (!pipe.ok()) return "";
  const pid_t pid = Start(path, pipe->write.get());
  if (pid < 0) return "";
  pipe->write.Reset();
  std::string output;
  base::Clock& clock = base::SystemClock();
  const absl::Duration deadline = clock.Monotonic() + kPatience;
  ReadOutput(pipe->read.get(), deadline, &output);
  const int status = Reap(pid, deadline);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return "";
  const std::vector<std::string> lines = absl::StrSplit(output, '\n');
  const std::vector<std::string> words =
      absl::StrSplit(lines.front(), absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  return words.empty() ? "" : words.back();
}

}  // namespace cedana::plugin
