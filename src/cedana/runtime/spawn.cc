#include "cedana/runtime/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

constexpr int kPidTries = 64;
// A child that joins a frozen cgroup never reaches exec; nobody waits longer for it.
constexpr int kExecTimeoutMs = 10000;

enum Step : int { kStepSetUp, kStepCgroup, kStepUser, kStepFolder, kStepExec };

// What the child writes to the error pipe when it cannot go on.
struct Failure {
  int step = kStepSetUp;
  int error = 0;
};

// Everything the child needs, made before the fork, so that the child only makes system calls.
struct ChildPlan {
  std::vector<char*> argv;
  std::vector<char*> env;
  std::vector<SpawnSpec::Descriptor> descriptors;
  int highest = 2;  // of the child's descriptor numbers
  base::UniqueFd cgroup_procs;
  base::Pipe errors;
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& value : strings) out.push_back(const_cast<char*>(value.c_str()));
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void Fail(int error_fd, Step step) {
  const Failure failure{step, errno};
  [[maybe_unused]] const ssize_t wrote = ::write(error_fd, &failure, sizeof(failure));
  ::_exit(127);
}

void DefaultSignals() {
  // By system call: the library's function leaves out the two signals that it uses itself, and
  // those may have been ignored by whoever started the daemon.
  const uint64_t all_default[4] = {};  // the kernel's struct sigaction
  for (int number = 1; number <= 64; ++number) {
    ::syscall(SYS_rt_sigaction, number, all_default, nullptr, sizeof(uint64_t));
  }
  const uint64_t none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof(none));
}

bool BecomeUser(const SpawnUser& user) {
  // Who may not change users can only stay who he is.
  if (::geteuid() != 0) {
    errno = EPERM;
    return user.uid == ::geteuid() && user.gid == ::getegid();
  }
  return ::setgroups(user.groups.size(), user.groups.data()) == 0 &&
         ::setresgid(user.gid, user.gid, user.gid) == 0 &&
         ::setresuid(user.uid, user.uid, user.uid) == 0;
}

// Puts the descriptors at their numbers and marks the rest to close at exec; returns the error
// pipe's new number.
int PlaceDescriptors(ChildPlan* plan) {
  // First all out of the way, so that none is overwritten before it is moved.
  const int errors = ::fcntl(plan->errors.write.get(), F_DUPFD_CLOEXEC, plan->highest + 1);
  if (errors < 0) ::_exit(127);
  for (SpawnSpec::Descriptor& descriptor : plan->descriptors) {
    descriptor.fd = ::fcntl(descriptor.fd, F_DUPFD_CLOEXEC, plan->highest + 1);
    if (descriptor.fd < 0) Fail(errors, kStepSetUp);
  }
  // What we have open below stays out of the child, even where nobody asked for CLOEXEC.
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) Fail(errors, kStepSetUp);
  for (const SpawnSpec::Descriptor& descriptor : plan->descriptors) {
    if (::dup2(descriptor.fd, descriptor.number) < 0) Fail(errors, kStepSetUp);
  }
  return errors;
}

[[noreturn]] void RunChild(const SpawnSpec& spec, ChildPlan* plan) {
  if (plan->cgroup_procs.valid() && ::write(plan->cgroup_procs.get(), "0", 1) != 1) {
    Fail(plan->errors.write.get(), kStepCgroup);
  }
  const int errors = PlaceDescriptors(plan);
  if (spec.new_session && ::setsid() < 0) Fail(errors, kStepSetUp);
  ::umask(022);
  if (spec.user != nullptr && !BecomeUser(*spec.user)) Fail(errors, kStepUser);
  if (::chdir(spec.working_dir.c_str()) != 0) Fail(errors, kStepFolder);
  DefaultSignals();
  ::execve(plan->argv[0], plan->argv.data(), plan->env.data());
  Fail(errors, kStepExec);
}

absl::StatusOr<int> PidMax() {
  CEDANA_ASSIGN_OR_RETURN(std::string text, base::ReadFile("/proc/sys/kernel/pid_max"));
  int value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < 4) return absl::InternalError("pid_max");
  return value;
}

// A fork, at a random high pid if wanted and permitted. The kernel refuses a pid that is in use as
// a session or a process group too, which is just what would keep a restore from having it.
absl::StatusOr<int> Fork(bool high_pid, base::Random& random) {
  const auto pid_max = high_pid ? PidMax() : absl::StatusOr<int>(0);
  for (int i = 0; pid_max.ok() && *pid_max > 0 && i < kPidTries; ++i) {
    pid_t wanted = *pid_max / 2 + static_cast<int>(random.Below(*pid_max - *pid_max / 2));
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = reinterpret_cast<uintptr_t>(&wanted);
    arguments.set_tid_size = 1;
    const auto pid = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid >= 0) return static_cast<int>(pid);
    if (errno != EEXIST) break;  // not permitted, or an old kernel
  }
  const pid_t pid = ::fork();
  if (pid < 0) return base::ErrnoStatus(errno, "fork");
  return pid;
}

absl::Status Explain(const SpawnSpec& spec, const Failure& failure) {
  switch (failure.step) {
    case kStepCgroup:
      return base::ErrnoStatus(failure.error, absl::StrCat("cannot join ", spec.cgroup));
    case kStepUser:
      return base::ErrnoStatus(failure.error, absl::StrCat("cannot become user ", spec.user->uid));
    case kStepFolder:
      return base::ErrnoStatus(failure.error, absl::StrCat("cannot enter ", spec.working_dir));
    case kStepExec:
      return base::ErrnoStatus(failure.error, absl::StrCat("cannot run ", spec.argv[0]));
    default:
      return base::ErrnoStatus(failure.error, absl::StrCat("cannot set up ", spec.argv[0]));
  }
}

// OK once the child's exec has closed the pipe.
absl::Status AwaitExec(const SpawnSpec& spec, int errors) {
  pollfd entry{errors, POLLIN, 0};
  int ready;
  do {
    ready = ::poll(&entry, 1, kExecTimeoutMs);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    return absl::DeadlineExceededError(absl::StrCat(spec.argv[0], " did not start in 10 s"));
  }
  Failure failure;
  CEDANA_ASSIGN_OR_RETURN(
      const size_t got,
      base::ReadFully(errors, reinterpret_cast<uint8_t*>(&failure), sizeof(failure)));
  return got == sizeof(failure) ? Explain(spec, failure) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> Spawn(const SpawnSpec& spec, base::Random& random) {
  ChildPlan plan;
  plan.argv = Pointers(spec.argv);
  plan.env = Pointers(spec.env);
  plan.descriptors = spec.descriptors;
  for (const SpawnSpec::Descriptor& descriptor : spec.descriptors) {
    plan.highest = std::max(plan.highest, descriptor.number);
  }
  if (!spec.cgroup.empty()) {
    const std::string path = absl::StrCat(spec.cgroup, "/cgroup.procs");
    plan.cgroup_procs.Reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!plan.cgroup_procs.valid()) return base::ErrnoStatus(errno, path);
  }
  CEDANA_ASSIGN_OR_RETURN(plan.errors, base::MakePipe());
  CEDANA_ASSIGN_OR_RETURN(const int pid, Fork(spec.high_pid, random));
  if (pid == 0) RunChild(spec, &plan);
  plan.errors.write.Reset();
  const absl::Status status = AwaitExec(spec, plan.errors.read.get());
  if (!status.ok()) {
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) continue;
    return status;
  }
  return pid;
}

}  // namespace cedana::runtime
