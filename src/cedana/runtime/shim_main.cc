// cedana-shim [--beat-timeout-ms N] [--linger-ms N] [--stall-timeout-ms N] FOLDER
//
// Started by ShimClient::Launch with its listening socket as descriptor 3.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cedana/runtime/event_loop.h"
#include "cedana/runtime/shim_server.h"
#include "cedana/runtime/shim_wire.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

struct Arguments {
  std::string folder;
  ShimOptions options;
};

bool ParseArguments(int argc, char** argv, Arguments* out) {
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    absl::Duration* option = argument == "--beat-timeout-ms"    ? &out->options.beat_timeout
                             : argument == "--linger-ms"        ? &out->options.linger
                             : argument == "--stall-timeout-ms" ? &out->options.stall_timeout
                                                                : nullptr;
    if (option != nullptr) {
      int64_t value = 0;
      if (++i >= argc || !absl::SimpleAtoi(argv[i], &value) || value <= 0) return false;
      *option = absl::Milliseconds(value);
    } else if (out->folder.empty()) {
      out->folder = argv[i];
    } else {
      return false;
    }
  }
  return !out->folder.empty();
}

// Leaves whoever started us: a process of its own session whose parent is init or whatever
// subreaper is above, so that nobody who launches a shim has to wait for it.
bool Detach() {
  const pid_t pid = ::fork();
  if (pid < 0) return false;
  if (pid > 0) ::_exit(0);
  if (::setsid() < 0 || ::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return false;
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGINT, SIG_IGN);
  const int null = ::open("/dev/null", O_RDWR);
  if (null < 0) return false;
  for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
  ::close_range(kShimListenFd + 1, ~0U, 0);
  ::fcntl(kShimListenFd, F_SETFD, FD_CLOEXEC);
  ::fcntl(kShimListenFd, F_SETFL, O_NONBLOCK);
  ::umask(077);
  return true;
}

absl::StatusOr<base::UniqueFd> MakeSignalFd() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  if (::sigprocmask(SIG_SETMASK, &set, nullptr) != 0)
    return base::ErrnoStatus(errno, "sigprocmask");
  base::UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return base::ErrnoStatus(errno, "signalfd");
  return fd;
}

absl::Status RunShim(const Arguments& arguments) {
  if (::chdir(arguments.folder.c_str()) != 0) return base::ErrnoStatus(errno, arguments.folder);
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd signals, MakeSignalFd());
  CEDANA_RETURN_IF_ERROR(base::WriteFileAtomic(kShimPidFile, absl::StrCat(::getpid(), "\n"), 0600));
  CEDANA_ASSIGN_OR_RETURN(auto loop, EventLoop::Create(base::SystemClock()));
  ShimServer server(arguments.options, *loop, base::SystemRandom(), base::UniqueFd(kShimListenFd),
                    std::move(signals));
  const absl::Status status = server.Run();
  ::unlink(kShimSocket);
  ::unlink(kShimPidFile);
  return status;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  if (!ParseArguments(argc, argv, &arguments)) {
    std::fputs("cedana-shim is started by the cedana daemon\n", stderr);
    return 2;
  }
  if (!Detach()) return 1;
  base::InitLog("cedana-shim", base::LogLevel::kWarn, base::LogFormat::kText);
  const absl::Status status = RunShim(arguments);
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace cedana::runtime

int main(int argc, char** argv) { return cedana::runtime::Main(argc, argv); }
