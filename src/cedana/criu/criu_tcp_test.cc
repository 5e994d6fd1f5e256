// Established TCP connections across dumps, also when CRIU is killed in the middle (root).
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/testing/criu_trial.h"
#include "cedana/runtime/cgroup.h"
#include "cedana/runtime/tree_hold.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::criu {
namespace {

// An echo server in this process, and a client of it that is dumped.
class CriuTcp : public testing::Test {
 protected:
  void SetUp() override {
    const auto program = CriuTrial::Find();
    ASSERT_TRUE(program.ok()) << program.status();
    auto cgroups = runtime::Cgroups::Open(absl::StrCat("criu-tcp-test-", ::getpid()));
    ASSERT_TRUE(cgroups.ok()) << cgroups.status();
    cgroups_.emplace(*std::move(cgroups));
    base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    std::vector<std::string> command = {CEDANA_TALKER, absl::StrCat(ntohs(address.sin_port))};
    if (!TalksAllTheTime()) command.push_back("wait");
    client_ = trial_.Start(command);
    peer_.Reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(peer_.valid());
    echo_ = base::Thread("echo", [fd = peer_.get()] {
      char bytes[4096];
      for (ssize_t got; (got = ::recv(fd, bytes, sizeof(bytes), 0)) > 0;) {
        if (::send(fd, bytes, static_cast<size_t>(got), MSG_NOSIGNAL) != got) return;
      }
    });
    ASSERT_TRUE(CriuTrial::WaitLog(client_.log, "ok", 0));
    ASSERT_TRUE(runtime::MoveToCgroup(cgroups_->root(), client_.pid).ok());
  }
  void TearDown() override {
    EXPECT_TRUE(runtime::KillCgroup(cgroups_->root(), absl::Seconds(10)).ok());
    EXPECT_TRUE(runtime::RemoveCgroup(cgroups_->root()).ok());
    ::shutdown(peer_.get(), SHUT_RDWR);
    echo_.Join();
  }
  virtual bool TalksAllTheTime() const { return true; }

  // That lock the connection, seen from our end: we have it, whatever becomes of the client.
  std::vector<std::string> Tables() {
    const auto tables = CriuTablesOf({::getpid()});
    EXPECT_TRUE(tables.ok()) << tables.status();
    return tables.value_or(std::vector<std::string>());
  }
  // Data flows both ways, and never went wrong.
  void ExpectConnected() {
    const std::string log = base::ReadFile(client_.log).value_or("");
    ASSERT_TRUE(CriuTrial::Alive(client_.pid)) << log;
    if (!TalksAllTheTime()) ::kill(client_.pid, SIGUSR2);
    EXPECT_TRUE(CriuTrial::WaitLog(client_.log, "ok", log.size())) << log;
    EXPECT_FALSE(CriuTrial::WaitLog(client_.log, "BAD", 0, absl::Milliseconds(50))) << log;
  }
  void ExpectCured() {
    const auto left = CriuTablesOf({client_.pid, 999999999});
    ASSERT_TRUE(left.ok()) << left.status();
    EXPECT_EQ(left->size(), 1u);
    const absl::Status cured = CureTcp({client_.pid, 999999999}, *left);
    EXPECT_TRUE(cured.ok()) << cured;
    ExpectConnected();
    EXPECT_TRUE(CureTcp({client_.pid}, *left).ok());
    EXPECT_TRUE(Tables().empty());
  }
  CriuTrial::DumpRun WithHold() {
    return {.flags = {.pid = client_.pid, .tcp_established = true},
            .environment = HoldEnvironment(CEDANA_CRIU_HOLD, {cgroups_->root()})};
  }
  // CRIU kills itself when the connection has just been put into repair mode.
  CriuTrial::DumpRun KilledAt(const std::string& moment) {
    CriuTrial::DumpRun run = WithHold();
    run.environment[0].append(":" CEDANA_KILL_IN_REPAIR);
    run.environment.push_back("CEDANA_KILL_CRIU_AT=" + moment);
    return run;
  }
  // What a shim does at CRIU's end.
  void ExpectHeldThenThaw() {
    absl::SleepFor(absl::Milliseconds(300));  // runs, it would try to talk
    EXPECT_EQ(base::ReadFile(cgroups_->root() + "/cgroup.freeze").value_or(""), "1\n");
    EXPECT_TRUE(runtime::CureAndThaw({cgroups_->root()}).ok());
  }
  void ExpectNotFrozen() {
    EXPECT_EQ(base::ReadFile(cgroups_->root() + "/cgroup.freeze").value_or(""), "0\n");
  }
  // CRIU stands still at the memory until `then` is done: it waits for room in our pipe, and its
  // program in the process for a command.
  CriuTrial::DumpRun Stuck(std::function<void(ImageCapture&, pid_t)> then) {
    CriuTrial::DumpRun run = WithHold();
    run.store = [this](const std::string& name, transfer::ByteSource& source) {
      if (name == "pages-1.img") {
        reached_.Notify();
        go_on_.WaitForNotification();
      }
      return trial_.images().Store(name, source);
    };
    run.while_running = [this, then = std::move(then)](ImageCapture& capture, pid_t criu) {
      EXPECT_TRUE(reached_.WaitForNotificationWithTimeout(absl::Seconds(60)));
      then(capture, criu);
      go_on_.Notify();
    };
    return run;
  }

  base::UniqueFd peer_;
  base::Thread echo_;
  CriuTrial trial_;
  CriuTrial::Process client_;
  std::optional<runtime::Cgroups> cgroups_;
  absl::Notification reached_;
  absl::Notification go_on_;
};

TEST_F(CriuTcp, AConnectionGoesOnAfterDumpAndRestore) {
  const auto dump = trial_.Dump(WithHold());
  ASSERT_EQ(dump.exit_code, 0) << dump.telling;
  ASSERT_TRUE(CriuTrial::Gone({client_.pid}));
  EXPECT_EQ(Tables().size(), 1u);  // keeps the peer from noticing
  EXPECT_TRUE(runtime::CureAndThaw({cgroups_->root()}).ok());
  const auto restore = trial_.Restore({.flags = {.tcp_established = true}});
  ASSERT_EQ(restore.exit_code, 0) << restore.telling << restore.drained;
  ExpectConnected();
  EXPECT_TRUE(Tables().empty());
}

TEST_F(CriuTcp, AConnectionGoesOnAfterADumpThatLeavesRunning) {
  CriuTrial::DumpRun run = WithHold();
  run.flags.leave_running = true;
  const auto dump = trial_.Dump(std::move(run));
  EXPECT_EQ(dump.exit_code, 0) << dump.telling;
  ExpectNotFrozen();
  ExpectConnected();
  EXPECT_TRUE(Tables().empty());
}

TEST_F(CriuTcp, AConnectionGoesOnAfterANo) {
  CriuTrial::DumpRun run = WithHold();
  run.decide = [](const std::string&, int) -> absl::Status {
    return absl::UnavailableError("commit failed");
  };
  EXPECT_EQ(trial_.Dump(std::move(run)).exit_code, 255);
  ExpectNotFrozen();
  ExpectConnected();
  EXPECT_TRUE(Tables().empty());
}

TEST_F(CriuTcp, CloseInTheMiddleLeavesTheConnection) {
  const auto dump = trial_.Dump(
      Stuck([](ImageCapture& capture, pid_t) { capture.Close(absl::CancelledError("stop")); }));
  EXPECT_EQ(dump.exit_code, 1);
  ExpectConnected();
  EXPECT_TRUE(Tables().empty());
}

TEST_F(CriuTcp, SurvivesCriuKilledWhileItReadsTheConnection) {
  EXPECT_EQ(trial_.Dump(KilledAt("read")).exit_code, 128 + SIGKILL);
  ExpectHeldThenThaw();
  ExpectCured();
}

TEST_F(CriuTcp, SurvivesCriuKilledWhenItWasAboutToEndTheProcess) {
  EXPECT_EQ(trial_.Dump(KilledAt("end")).exit_code, 128 + SIGKILL);
  ExpectHeldThenThaw();
  ExpectCured();
}

TEST_F(CriuTcp, WithoutACgroupAConnectionIsReadAllTheSame) {
  CriuTrial::DumpRun run = WithHold();
  run.environment = HoldEnvironment(CEDANA_CRIU_HOLD, {});
  run.flags.leave_running = true;
  EXPECT_EQ(trial_.Dump(std::move(run)).exit_code, 0);
  ExpectConnected();
}

TEST_F(CriuTcp, SurvivesCriuKilledWhileMemoryIsDumped) {
  const auto dump = trial_.Dump(Stuck([](ImageCapture&, pid_t criu) { ::kill(criu, SIGKILL); }));
  EXPECT_EQ(dump.exit_code, 128 + SIGKILL);
  absl::SleepFor(absl::Seconds(1));  // the program tries to talk meanwhile
  ExpectCured();
}

TEST_F(CriuTcp, SurvivesCriuKilledWhileTheCommitIsWaitedFor) {
  std::atomic<pid_t> criu = 0;
  CriuTrial::DumpRun run = WithHold();
  run.while_running = [&](ImageCapture&, pid_t pid) { criu = pid; };
  run.decide = [&](const std::string&, int) -> absl::Status {
    while (criu == 0) absl::SleepFor(absl::Milliseconds(1));
    ::kill(criu, SIGKILL);
    absl::SleepFor(absl::Seconds(1));
    return absl::AbortedError("CRIU is gone");
  };
  EXPECT_EQ(trial_.Dump(std::move(run)).exit_code, 128 + SIGKILL);
  ExpectCured();
}

// A program that does not talk before the cure needs no hold.
class CriuTcpCure : public CriuTcp {
 protected:
  bool TalksAllTheTime() const override { return false; }
};

TEST_F(CriuTcpCure, EndsRepairMode) {
  CriuTrial::DumpRun run = Stuck([](ImageCapture&, pid_t criu) { ::kill(criu, SIGKILL); });
  run.environment.clear();
  EXPECT_EQ(trial_.Dump(std::move(run)).exit_code, 128 + SIGKILL);
  EXPECT_TRUE(CureTcp({client_.pid}, {}).ok());
  ExpectCured();
}

}  // namespace
}  // namespace cedana::criu
