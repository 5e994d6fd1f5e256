#include "cedana/runtime/tree_hold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cedana/runtime/cgroup.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/tcp_repair.h"
#include "core/base/fd.h"

namespace cedana::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kLong = absl::Seconds(10);

class TreeHoldTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::geteuid(), 0u) << "needs root";
    auto cgroups = Cgroups::Open(absl::StrCat("hold-test-", ::getpid()));
    ASSERT_TRUE(cgroups.ok()) << cgroups.status();
    cgroups_.emplace(*std::move(cgroups));
  }
  void TearDown() override {
    if (!cgroups_) return;
    EXPECT_TRUE(KillCgroup(cgroups_->root(), kLong).ok());
    for (const int pid : children_) ::waitpid(pid, nullptr, 0);
    EXPECT_TRUE(RemoveCgroup(cgroups_->root()).ok());
  }
  // A child in that cgroup, below ours.
  int Start(
      const std::string& cgroup, const std::function<void()>& body = [] {}) {
    const int pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (!MoveToCgroup(*cgroups_->Make(cgroup), ::getpid()).ok()) ::_exit(1);
      body();
      while (true) ::pause();
    }
    children_.push_back(pid);
    while (*CgroupOf(pid) != Path(cgroup)) ::usleep(1000);
    return pid;
  }
  std::string Path(const std::string& relative) const {
    return absl::StrCat(cgroups_->root(), "/", relative);
  }

  std::optional<Cgroups> cgroups_;
  std::vector<int> children_;
};

TEST_F(TreeHoldTest, AJobIsHeldWhereItIs) {
  const int job = Start("job/inner");
  EXPECT_THAT(*HoldTree(job, Path("job"), "1"), ElementsAre(Path("job")));
  EXPECT_EQ(*CgroupOf(job), Path("job/inner"));
  EXPECT_TRUE(ReleaseTree({Path("job")}).ok());
  EXPECT_EQ(*CgroupOf(job), Path("job/inner"));
}

TEST_F(TreeHoldTest, StrangersOfAProcessAreLeftAlone) {
  const int bare = Start("session");
  const int stranger = Start("session");
  const auto held = HoldTree(bare, "", "1");
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_THAT(*held, ElementsAre(Path("session/cedana-hold-1")));
  EXPECT_EQ(*CgroupOf(bare), held->front());
  EXPECT_EQ(*CgroupOf(stranger), Path("session"));
  EXPECT_EQ(FindHold({stranger, bare, 999999999}, ""), *held);

  ASSERT_TRUE(FreezeCgroup(held->front(), true, kLong).ok());
  EXPECT_TRUE(CureAndThaw(*held).ok());
  EXPECT_TRUE(FreezeCgroup(held->front(), false, kLong).ok());
  EXPECT_TRUE(ReleaseTree(*held).ok());
  EXPECT_EQ(*CgroupOf(bare), Path("session"));
  EXPECT_FALSE(CgroupPids(held->front(), false).ok());
  EXPECT_TRUE(CureAndThaw(*held).ok());
  EXPECT_TRUE(ReleaseTree(*held).ok());
}

TEST_F(TreeHoldTest, ATreeInSeveralCgroupsIsHeldInAllOfThem) {
  const int root = Start("job", [this] { Start("elsewhere"); });
  while (Tree(root)->size() < 2 || *CgroupOf(Tree(root)->at(1)) != Path("elsewhere")) {
    ::usleep(1000);
  }
  const auto held = HoldTree(root, Path("job"), "1");
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_THAT(*held, UnorderedElementsAre(Path("job"), Path("elsewhere/cedana-hold-1")));
  EXPECT_EQ(FindHold(*Tree(root), Path("job")), *held);
  EXPECT_TRUE(ReleaseTree(*held).ok());
  EXPECT_EQ(*CgroupOf(Tree(root)->at(1)), Path("elsewhere"));
}

TEST_F(TreeHoldTest, ReleasedAfterItsProcessesHaveEnded) {
  const int bare = Start("session");
  const auto held = HoldTree(bare, "", "1");
  ASSERT_TRUE(held.ok()) << held.status();
  ASSERT_TRUE(FreezeCgroup(held->front(), true, kLong).ok());
  ::kill(bare, SIGKILL);
  EXPECT_TRUE(CureAndThaw(*held).ok());
  EXPECT_TRUE(ReleaseTree(*held).ok());  // a zombie is in no way
  EXPECT_TRUE(ReleaseTree(FindHold({bare}, Path("gone"))).ok());
}

TEST_F(TreeHoldTest, ThawsOnlyWhatIsOutOfRepairMode) {
  base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  // Talks all the time, and ends at the first error.
  const int talker = Start("job", [&] {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    while (::send(fd, "x", 1, MSG_NOSIGNAL) == 1) ::usleep(100);
    ::_exit(1);
  });
  const base::UniqueFd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  char byte;
  ASSERT_EQ(::recv(peer.get(), &byte, 1, 0), 1);

  ASSERT_TRUE(SetFreeze(Path("job"), true).ok());
  // Of its two sockets one listens.
  const auto sockets = TakeTcpSockets(talker);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  const int on = 1;
  int repaired = 0;
  for (const base::UniqueFd& socket : *sockets) {
    repaired += ::setsockopt(socket.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0;
  }
  ASSERT_EQ(repaired, 1);
  EXPECT_TRUE(CureAndThaw({Path("job"), Path("gone")}).ok());
  EXPECT_TRUE(FreezeCgroup(Path("job"), false, kLong).ok());
  for (size_t got = 0; got < 2000;) {
    char bytes[1000];
    const ssize_t n = ::recv(peer.get(), bytes, sizeof(bytes), 0);
    ASSERT_GT(n, 0);
    got += static_cast<size_t>(n);
  }
}

}  // namespace
}  // namespace cedana::runtime
