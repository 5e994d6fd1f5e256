#include "cedana/runtime/procfs.h"

#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "cedana/runtime/procfs_internal.h"
#include "core/base/fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cedana::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A child that has done `prepare` and waits; killed and reaped at the end.
class Child {
 public:
  explicit Child(const std::function<void()>& prepare) {
    base::Pipe ready = *base::MakePipe();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      prepare();
      base::WriteAll(ready.write.get(), "r").IgnoreError();
      while (true) ::pause();
    }
    uint8_t byte;
    base::ReadFully(ready.read.get(), &byte, 1).IgnoreError();
  }
  ~Child() { End(); }
  void End() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  int pid() const { return pid_; }

 private:
  int pid_;
};

std::string Reason(int pid) {
  std::vector<std::string> warnings;
  return std::string(CheckDumpable(pid, &warnings).message());
}

TEST(ProcFs, ParsesStatWithOddNames) {
  const std::string rest = " S 7 8 9 34816 9 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456789012 1 1 1 1";
  for (const absl::string_view name : {"sh", "a b", "(sd-pam)", ") S 1 2 3", "x)\n(y", ""}) {
    const auto stat = ParseStat(absl::StrCat("42 (", name, ")", rest));
    ASSERT_TRUE(stat.ok()) << name;
    EXPECT_EQ(stat->pid, 42);
    EXPECT_EQ(stat->comm, name);
    EXPECT_EQ(stat->state, 'S');
    EXPECT_EQ(stat->ppid, 7);
    EXPECT_EQ(stat->pgrp, 8);
    EXPECT_EQ(stat->session, 9);
    EXPECT_EQ(stat->flags, 4194560u);
    EXPECT_EQ(stat->start_ticks, 123456789012u);
  }
  for (const absl::string_view bad : {"", "42", "42 (x", "x) (y", "42 (x) S 1 2"}) {
    EXPECT_FALSE(ParseStat(bad).ok()) << bad;
  }
}

TEST(ProcFs, ReadsAProcessNamedToConfuse) {
  const Child child([] { ::prctl(PR_SET_NAME, ") Z 1 (x"); });
  const auto stat = ReadStat(child.pid());
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_EQ(stat->comm, ") Z 1 (x");
  EXPECT_EQ(stat->ppid, ::getpid());
}

TEST(ProcFs, KnowsAPidUsedAgain) {
  Child child([] {});
  const ProcessIdentity process = *Identify(child.pid());
  EXPECT_TRUE(IsAlive(process));
  EXPECT_FALSE(IsAlive({process.pid, process.start_ticks + 1}));
  child.End();
  EXPECT_FALSE(IsAlive(process));
  EXPECT_FALSE(Identify(process.pid).has_value());
  EXPECT_TRUE(absl::IsNotFound(ReadStat(process.pid).status()));
}

TEST(ProcFs, KnowsWhoIsTraced) {
  Child child([] {});
  EXPECT_FALSE(IsTraced(child.pid()));
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr), 0);
  EXPECT_TRUE(IsTraced(child.pid()));
  child.End();
  EXPECT_FALSE(IsTraced(child.pid()));
}

TEST(ProcFs, TreeIsParentsFirst) {
  base::Pipe pipe = *base::MakePipe();
  const Child child([&] {
    const int grandchild = ::fork();
    if (grandchild == 0) {
      while (true) ::pause();
    }
    [[maybe_unused]] auto wrote = ::write(pipe.write.get(), &grandchild, sizeof(grandchild));
  });
  int grandchild = 0;
  ASSERT_TRUE(base::ReadFully(pipe.read.get(), reinterpret_cast<uint8_t*>(&grandchild), 4).ok());
  EXPECT_THAT(Tree(child.pid()).value(), ElementsAre(child.pid(), grandchild));
  ::kill(grandchild, SIGKILL);
  EXPECT_TRUE(absl::IsNotFound(Tree(0x3fffffff).status()));
}

TEST(ProcFs, ArgumentsKeepEmptyOnes) {
  const int pid = ::fork();
  if (pid == 0) {
    ::execl("/bin/sh", "sh", "-c", "kill -STOP $$; :", "", "b c", nullptr);
    ::_exit(1);
  }
  while (CommandLine(pid).find("STOP") == std::string::npos) ::usleep(1000);
  EXPECT_THAT(Arguments(pid), ElementsAre("sh", "-c", "kill -STOP $$; :", "", "b c"));
  const auto tree = Tree(pid);
  for (const int each : tree.value()) ::kill(each, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST(CheckDumpable, RefusesWhatCriuCannotAndSaysWhy) {
  EXPECT_TRUE(absl::IsNotFound(CheckDumpable(0x3fffffff, nullptr)));
  EXPECT_THAT(Reason(::getpid()), HasSubstr("ancestor"));
  EXPECT_THAT(Reason(::getppid()), HasSubstr("ancestor"));
  const Child good([] {});
  EXPECT_EQ(Reason(good.pid()), "");
  if (const auto stat = ReadStat(2); stat.ok() && stat->comm == "kthreadd") {
    EXPECT_THAT(Reason(2), HasSubstr("kernel thread"));
  }
}

TEST(CheckDumpable, RefusesAZombie) {
  const int pid = ::fork();
  if (pid == 0) ::_exit(0);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  EXPECT_THAT(Reason(pid), HasSubstr("zombie"));
  EXPECT_THAT(std::string(CheckPidsFree({pid}).message()), HasSubstr("(zombie)"));
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(CheckPidsFree({pid}).ok());
}

TEST(CheckDumpable, RefusesATracedProcess) {
  const Child child([] {});
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr), 0);
  EXPECT_THAT(Reason(child.pid()), HasSubstr(absl::StrCat("is traced by process ", ::getpid())));
  ::ptrace(PTRACE_INTERRUPT, child.pid(), nullptr, nullptr);
  ::waitpid(child.pid(), nullptr, 0);
  ::ptrace(PTRACE_DETACH, child.pid(), nullptr, nullptr);
}

TEST(CheckDumpable, RefusesIoUring) {
  io_uring_params parameters{};
  const auto ring = ::syscall(SYS_io_uring_setup, 4, &parameters);
  if (ring < 0) GTEST_SKIP() << "no io_uring here";
  const Child child([] {});  // has it from us
  EXPECT_THAT(Reason(child.pid()), HasSubstr("io_uring"));
  ::close(static_cast<int>(ring));
}

TEST(CheckDumpable, RefusesPrivateHugePagesAlsoUntouched) {
  void* const memory = ::mmap(nullptr, 2 << 20, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) GTEST_SKIP() << "no hugetlb here";
  const Child child([] {});
  EXPECT_THAT(Reason(child.pid()), HasSubstr("hugetlb"));
  ::munmap(memory, 2 << 20);
}

TEST(CheckDumpable, WarnsOfAPeriodicTimerfd) {
  const base::UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const Child idle([] {});
  itimerspec period{{1, 0}, {1, 0}};
  ::timerfd_settime(timer.get(), 0, &period, nullptr);
  std::vector<std::string> warnings;
  EXPECT_TRUE(CheckDumpable(idle.pid(), &warnings).ok());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("timerfd"));
  period.it_interval = {0, 0};
  ::timerfd_settime(timer.get(), 0, &period, nullptr);
  warnings.clear();
  EXPECT_TRUE(CheckDumpable(idle.pid(), &warnings).ok());
  EXPECT_TRUE(warnings.empty());
}

TEST(HasEstablishedTcp, TellsAConnectionFromAListener) {
  const base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const Child listening([] {});
  EXPECT_FALSE(*HasEstablishedTcp(listening.pid()));
  const Child connected([&] {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) ::_exit(1);
  });
  EXPECT_TRUE(*HasEstablishedTcp(connected.pid()));
  EXPECT_FALSE(*HasEstablishedTcp(listening.pid()));
}

TEST(CheckPidsFree, NamesWhoHasThePid) {
  const Child child([] {});
  const absl::Status taken = CheckPidsFree({0x3fffffff, child.pid()});
  EXPECT_TRUE(absl::IsFailedPrecondition(taken));
  EXPECT_THAT(std::string(taken.message()),
              HasSubstr(absl::StrCat("pid ", child.pid(), " is taken by `")));
  EXPECT_TRUE(CheckPidsFree({0x3fffffff}).ok());
}

TEST(CheckPidsFree, FindsAPidInUseAsASession) {
  base::Pipe pipe = *base::MakePipe();
  Child leader([&] {
    ::setsid();
    const int member = ::fork();
    if (member == 0) {
      while (true) ::pause();
    }
    [[maybe_unused]] auto wrote = ::write(pipe.write.get(), &member, sizeof(member));
  });
  int member = 0;
  ASSERT_TRUE(base::ReadFully(pipe.read.get(), reinterpret_cast<uint8_t*>(&member), 4).ok());
  const int session = leader.pid();
  leader.End();
  EXPECT_THAT(std::string(CheckPidsFree({session}).message()),
              HasSubstr(absl::StrCat("pid ", session, " is taken as the session of `")));
  ::kill(member, SIGKILL);
}

TEST(ProcFs, NamesUsers) {
  EXPECT_EQ(UserName(0), "root");
  EXPECT_EQ(UserName(4123456789u), "4123456789");
  EXPECT_FALSE(HostName().empty());
}

}  // namespace
}  // namespace cedana::runtime
