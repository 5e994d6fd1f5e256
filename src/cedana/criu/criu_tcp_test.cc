// Established TCP connections across dumps, also when CRIU is killed in the middle (root).
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/testing/criu_trial.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

const std::string kWorkloads = CEDANA_WORKLOADS;

// A server, and a client that sends every 2 ms; the client is dumped.
class CriuTcp : public testing::Test {
 protected:
  void SetUp() override {
    const auto program = CriuTrial::Find();
    ASSERT_TRUE(program.ok()) << program.status();
    server_ = trial_.Start({kWorkloads + "/tcp_peer", "server", "0"});
    ASSERT_TRUE(CriuTrial::WaitLog(server_.log, "listening", 0));
    const std::string log = base::ReadFile(server_.log).value();
    const std::string port = log.substr(log.find(' ') + 1, log.find('\n') - log.find(' ') - 1);
    client_ = trial_.Start({kWorkloads + "/tcp_peer", "client", port});
    ASSERT_TRUE(CriuTrial::WaitLog(client_.log, "ok", 0));
  }

  // That lock the connection, seen from the server: it has it, whatever becomes of the client.
  std::vector<std::string> Tables() {
    const auto tables = CriuTablesOf({server_.pid});
    EXPECT_TRUE(tables.ok()) << tables.status();
    return tables.value_or(std::vector<std::string>());
  }
  // Data flows both ways, and never went wrong.
  void ExpectConnected() {
    for (const CriuTrial::Process& process : {client_, server_}) {
      const std::string log = base::ReadFile(process.log).value_or("");
      ASSERT_TRUE(CriuTrial::Alive(process.pid)) << log;
      EXPECT_TRUE(CriuTrial::WaitLog(process.log, "ok", log.size())) << log;
      EXPECT_FALSE(CriuTrial::WaitLog(process.log, "BAD", 0, absl::Milliseconds(50))) << log;
    }
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
            .on_open = [this](const std::string& name) { hold_.OnImage(name); }};
  }
  // Stands still at the memory until `then` is done.
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
      EXPECT_TRUE(reached_.WaitForNotificationWithTimeout(absl::Seconds(20)));
      then(capture, criu);
      go_on_.Notify();
    };
    return run;
  }

  CriuTrial trial_;
  CriuTrial::Process server_;
  CriuTrial::Process client_;
  TcpHold hold_;
  absl::Notification reached_;
  absl::Notification go_on_;
};

TEST_F(CriuTcp, AConnectionGoesOnAfterDumpAndRestore) {
  CriuTrial::DumpRun run = WithHold();
  run.decide = [this](const std::string&, int) { return hold_.Reenter(); };
  const auto dump = trial_.Dump(std::move(run));
  ASSERT_EQ(dump.exit_code, 0) << dump.telling;
  ASSERT_TRUE(CriuTrial::Gone({client_.pid}));
  EXPECT_EQ(Tables().size(), 1u);  // keeps the peer from noticing
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
  ExpectConnected();
  EXPECT_TRUE(Tables().empty());
}

TEST_F(CriuTcp, AConnectionGoesOnAfterANo) {
  CriuTrial::DumpRun run = WithHold();
  run.decide = [this](const std::string&, int) -> absl::Status {
    EXPECT_TRUE(hold_.Reenter().ok());
    return absl::UnavailableError("commit failed");
  };
  EXPECT_EQ(trial_.Dump(std::move(run)).exit_code, 255);
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

// Without a hold, for a program that does not talk before the cure.
TEST(CriuTcpCure, EndsRepairMode) {
  base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  CriuTrial trial;
  const auto process = trial.Start(
      {"/bin/bash", "-c",
       absl::StrCat("exec 3<>/dev/tcp/127.0.0.1/", ntohs(address.sin_port),
                    "; echo hello >&3; read line; sleep 4; echo again >&3; sleep 100")});
  base::UniqueFd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const auto next_line = [&](absl::Duration timeout) -> std::string {
    pollfd polled{peer.get(), POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) != 1) return "";
    char bytes[100];
    const ssize_t got = ::recv(peer.get(), bytes, sizeof(bytes), 0);
    return got < 0 ? "error" : std::string(bytes, static_cast<size_t>(got));
  };
  ASSERT_EQ(next_line(absl::Seconds(10)), "hello\n");
  absl::SleepFor(absl::Milliseconds(300));
  absl::Notification reached;
  absl::Notification go_on;
  const auto dump =
      trial.Dump({.flags = {.pid = process.pid, .tcp_established = true},
                  .store =
                      [&](const std::string& name, transfer::ByteSource& source) {
                        if (name == "pages-1.img") {
                          reached.Notify();
                          go_on.WaitForNotification();
                        }
                        return trial.images().Store(name, source);
                      },
                  .while_running =
                      [&](ImageCapture&, pid_t criu) {
                        EXPECT_TRUE(reached.WaitForNotificationWithTimeout(absl::Seconds(20)));
                        ::kill(criu, SIGKILL);
                        go_on.Notify();
                      }});
  EXPECT_EQ(dump.exit_code, 128 + SIGKILL);
  EXPECT_TRUE(CureTcp(CriuTrial::Tree(process.pid), {}).ok());
  const auto left = CriuTablesOf(CriuTrial::Tree(process.pid));
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_EQ(left->size(), 1u);
  EXPECT_TRUE(CureTcp(CriuTrial::Tree(process.pid), *left).ok());
  EXPECT_EQ(next_line(absl::Seconds(20)), "again\n");
}

}  // namespace
}  // namespace cedana::criu
