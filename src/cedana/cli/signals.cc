#include "cedana/cli/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/status.h"

namespace cedana::cli {
namespace {

sigset_t CaughtSet() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
    sigaddset(&set, signal);
  }
  return set;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Signals>> Signals::Catch() {
  std::unique_ptr<Signals> signals(new Signals);
  CEDANA_ASSIGN_OR_RETURN(signals->stop_, base::MakePipe());
  const sigset_t set = CaughtSet();
  signals->signal_fd_.Reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals->signal_fd_.valid()) return base::ErrnoStatus(errno, "signalfd");
  ::pthread_sigmask(SIG_BLOCK, &set, &signals->before_);
  signals->thread_ = base::Thread("signals", [self = signals.get()] { self->Run(); });
  return signals;
}

Signals::~Signals() {
  stop_.write.Reset();
  thread_.Join();
  // What came too late for the handler must not end the program in its last lines.
  signalfd_siginfo info;
  while (signal_fd_.valid() && ::read(signal_fd_.get(), &info, sizeof(info)) > 0) {
  }
  if (signal_fd_.valid()) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Signals::SetHandler(Handler handler) {
  absl::MutexLock lock(&mutex_);
  handler_ = std::move(handler);
}

void Signals::Run() {
  while (true) {
    pollfd fds[] = {{signal_fd_.get(), POLLIN, 0}, {stop_.read.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    signalfd_siginfo info;
    if (::read(signal_fd_.get(), &info, sizeof(info)) != sizeof(info)) continue;
    absl::MutexLock lock(&mutex_);
    if (handler_) handler_(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace cedana::cli
