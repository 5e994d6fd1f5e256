// What needs root: cgroups, other users, a pid of choice.
#include <sys/stat.h>

#include <set>

#include "absl/strings/numbers.h"
#include "cedana/runtime/cgroup.h"
#include "cedana/runtime/testing/shim_fixture.h"
#include "core/base/thread.h"

namespace cedana::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class ShimRootTest : public ShimTest {
 protected:
  void SetUp() override {
    ShimTest::SetUp();
    ASSERT_EQ(::geteuid(), 0u) << "needs root";
    auto cgroups = Cgroups::Open(absl::StrCat("test-", ::getpid()));
    ASSERT_TRUE(cgroups.ok()) << cgroups.status();
    cgroups_.emplace(*std::move(cgroups));
  }
  void TearDown() override {
    ShimTest::TearDown();
    if (!cgroups_) return;
    EXPECT_TRUE(KillCgroup(cgroups_->root(), kLong).ok());
    EXPECT_TRUE(RemoveCgroup(cgroups_->root()).ok());
  }
  // The daemon dies or hangs (`signal`) while a restore runs that has two processes in op/tree.
  int LoseDaemonInRestore(int signal, const std::vector<std::string>& options) {
    const std::string op = *cgroups_->Make("op");
    const std::string tree = *cgroups_->Make("op/tree");
    const std::string criu = *cgroups_->Make("op/criu");
    const int daemon = ForkDaemon([&] {
      Launch(options);
      CriuRequest restore = RestoreOf(
          absl::StrCat("echo 0 >", tree, "/cgroup.procs; trap '' TERM HUP; sleep 1000 & wait"),
          "1000");
      restore.cgroup = criu;
      restore.kill_cgroup = op;
      client_
          ->RunCriu(restore,
                    [&](int) {
                      Eventually([&] { return CgroupPids(tree, false)->size() == 2; });
                      ::raise(signal);
                    })
          .IgnoreError();
    });
    return WaitFor(daemon, absl::Seconds(8));
  }

  std::optional<Cgroups> cgroups_;
};

TEST_F(ShimRootTest, CgroupHoldsKillsAndGoes) {
  const std::string op = *cgroups_->Make("op");
  const std::string tree = *cgroups_->Make("op/tree");
  const int one = ForkDaemon([] { ::pause(); });
  const int two = ForkDaemon([] { ::pause(); });
  ASSERT_TRUE(MoveToCgroup(op, one).ok());
  ASSERT_TRUE(MoveToCgroup(tree, two).ok());
  EXPECT_THAT(*CgroupPids(op, false), UnorderedElementsAre(one));
  EXPECT_THAT(*CgroupPids(op, true), UnorderedElementsAre(one, two));
  EXPECT_TRUE(FreezeCgroup(tree, true, kLong).ok());
  EXPECT_FALSE(RemoveCgroup(tree).ok());
  EXPECT_TRUE(KillCgroup(op, kLong).ok());  // frozen or not
  EXPECT_EQ(WTERMSIG(WaitFor(one)), SIGKILL);
  EXPECT_EQ(WTERMSIG(WaitFor(two)), SIGKILL);
  EXPECT_TRUE(RemoveCgroup(op).ok());
  EXPECT_TRUE(KillCgroup(op, kLong).ok());
  EXPECT_TRUE(RemoveCgroup(op).ok());
}

TEST_F(ShimRootTest, ThawsWhatAKilledDumpLeavesFrozen) {
  const std::string tree = *cgroups_->Make("tree");
  const int process = ForkDaemon([] { ::pause(); });
  ASSERT_TRUE(MoveToCgroup(tree, process).ok());
  Launch();
  CriuRequest dump = Criu(absl::StrCat("echo 1 >", tree, "/cgroup.freeze; kill -KILL $$"));
  dump.hold_cgroups = {tree, *cgroups_->Make("tree/inner"), Path("gone")};
  const auto exit = client_->RunCriu(dump, [](int) {});
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_THAT(*base::ReadFile(tree + "/cgroup.freeze"), "0\n");
}

TEST_F(ShimRootTest, ThawsWhatARunningDumpHoldsForTooLong) {
  const std::string tree = *cgroups_->Make("tree");
  Launch();
  // Ends when it was thawed.
  CriuRequest dump = Criu(absl::StrCat("cd ", tree, "; echo 1 >cgroup.freeze; ",
                                       "while grep -q 1 cgroup.freeze; do sleep 0.1; done"));
  dump.hold_cgroups = {tree};
  const auto exit = client_->RunCriu(dump, [](int) {});
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->code, 0);
}

TEST_F(ShimRootTest, StartsInTheUpperHalfOfThePidsInItsCgroup) {
  Launch();
  int pid_max = 0;
  ASSERT_TRUE(absl::SimpleAtoi(*base::ReadFile("/proc/sys/kernel/pid_max"), &pid_max));
  std::set<int> pids;
  for (int i = 0; i < 5; ++i) {
    StartRequest request = Shell("cat /proc/self/cgroup");
    request.cgroup = *cgroups_->Make("job");
    const ProcessIdentity job = Start(request);
    EXPECT_GE(job.pid, pid_max / 2);
    EXPECT_LT(job.pid, pid_max);
    pids.insert(job.pid);
    EXPECT_EQ(Wait().code, 0);
  }
  EXPECT_GE(pids.size(), 4u);
  EXPECT_THAT(Text("log"), HasSubstr(absl::StrCat("/cedana/test-", ::getpid(), "/job\n")));
  EXPECT_TRUE(CgroupPids(*cgroups_->Make("job"), true)->empty());
}

TEST_F(ShimRootTest, AMissingCgroupIsAnError) {
  Launch();
  StartRequest request = Shell("true");
  request.cgroup = "/sys/fs/cgroup/nonexistent";
  EXPECT_TRUE(absl::IsNotFound(client_->Start(request).status()));
}

TEST_F(ShimRootTest, RunsTheJobAsItsUser) {
  Launch();
  StartRequest request = Shell("id -u; id -g; id -G; echo again >>/proc/self/fd/1");
  request.uid = 65534;
  request.gid = 65534;
  request.groups = {65534, 4242};
  Start(request);
  EXPECT_EQ(Wait().code, 0);
  EXPECT_EQ(Text("log"), "65534\n65534\n65534 4242\nagain\n");
  struct stat st {};
  ASSERT_EQ(::stat(Path("log").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 65534u);
  EXPECT_EQ(st.st_mode & 07777, 0644u);
  // Pipes too can be opened by name.
  request = PipedShell("echo again >/dev/stdout", true);
  request.uid = 65534;
  request.gid = 65534;
  Start(request);
  EXPECT_EQ(ReadAll(**ShimAttach::Connect(Folder())).out, "again\n");
}

TEST_F(ShimRootTest, AUserCannotHaveALogThatHeMayNotWrite) {
  Launch();
  ASSERT_TRUE(base::WriteFileAtomic(Path("secret"), "x\n", 0600).ok());
  StartRequest request = Shell("echo mine");
  request.uid = 65534;
  request.gid = 65534;
  request.stdio.log_path = Path("secret");
  EXPECT_TRUE(absl::IsPermissionDenied(client_->Start(request).status()));
  EXPECT_EQ(Text("secret"), "x\n");
  ASSERT_EQ(::symlink("/etc/cedana-new-file", Path("link").c_str()), 0);
  request.stdio.log_path = Path("link");
  EXPECT_FALSE(client_->Start(request).ok());
  EXPECT_FALSE(std::filesystem::exists("/etc/cedana-new-file"));
}

TEST_F(ShimRootTest, OnlyRootAndItsOwnUserMayConnect) {
  Launch();
  ASSERT_EQ(::chmod(Path("j").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(Path("j/shim.sock").c_str(), 0666), 0);
  const int stranger = ForkDaemon([this] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    ::_exit(ShimClient::Connect(Folder()).ok() ? 1 : 0);
  });
  EXPECT_EQ(WaitFor(stranger), 0);
}

TEST_F(ShimRootTest, CriuRunsInItsCgroup) {
  Launch();
  CriuRequest request = Criu("cat /proc/self/cgroup >&2");
  request.cgroup = *cgroups_->Make("op/criu");
  EXPECT_EQ(client_->RunCriu(request, nullptr)->code, 0);
  EXPECT_THAT(Text("stderr"), HasSubstr("/op/criu\n"));
}

TEST_F(ShimRootTest, ADaemonKilledInARestoreLeavesAnEmptyCgroup) {
  EXPECT_EQ(WTERMSIG(LoseDaemonInRestore(SIGKILL, {})), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(cgroups_->root() + "/op"); }));
  EXPECT_TRUE(Eventually([&] { return !ShimListens(); }, absl::Seconds(15)));
}

TEST_F(ShimRootTest, AHungDaemonIsKilledAndItsRestoreRemoved) {
  EXPECT_EQ(WTERMSIG(LoseDaemonInRestore(SIGSTOP, {"--beat-timeout-ms", "1500"})), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(cgroups_->root() + "/op"); }));
  EXPECT_THAT(Text("j/shim.log"), HasSubstr("daemon killed"));
}

TEST_F(ShimRootTest, ARestoreWithAYesSurvivesTheDaemonInItsCgroup) {
  const std::string op = *cgroups_->Make("op");
  const std::string criu = *cgroups_->Make("op/criu");
  const int daemon = ForkDaemon([&] {
    Launch();
    CriuRequest restore = RestoreOf("sleep 1; exit 21", "0.3");
    restore.cgroup = criu;
    restore.kill_cgroup = op;
    client_
        ->RunCriu(restore,
                  [&](int) {
                    if (client_->RestoreYes().ok()) ::raise(SIGKILL);
                  })
        .IgnoreError();
  });
  EXPECT_EQ(WTERMSIG(WaitFor(daemon)), SIGKILL);
  Reconnect();
  ASSERT_TRUE(Eventually([&] { return State().job.has_value(); }));
  EXPECT_EQ(Wait().code, 21);
}

TEST_F(ShimRootTest, ARestoredLogBelongsToTheRestoredUser) {
  Launch();
  CriuRequest restore = RestoreOf("exit", "0.5");
  restore.argv[0] = "/bin/bash";
  restore.argv[2] = absl::StrCat(
      "setpriv --reuid 65534 --clear-groups sh -c 'echo new; exec sleep 1' >&30 & printf %s $! >",
      Path("pf"), "; sleep 0.5");
  restore.out_log = Path("out");
  restore.out_log_number = 30;
  EXPECT_EQ(client_->RunCriu(restore, [&](int) { client_->RestoreYes().IgnoreError(); })->code, 0);
  EXPECT_EQ(Text("out"), "new\n");
  struct stat st {};
  ASSERT_EQ(::stat(Path("out").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 65534u);
}

}  // namespace
}  // namespace cedana::runtime
