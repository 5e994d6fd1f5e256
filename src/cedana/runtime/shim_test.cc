// A real shim, started by the test as a daemon would. The test is a subreaper, so that what a shim
// leaves would be found here.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/shim_client.h"
#include "core/base/fd.h"
#include "core/base/thread.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cedana::runtime {
namespace {

const absl::Duration kLong = absl::Seconds(20);

class ShimTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    char name[] = "/tmp/shim-test-XXXXXX";
    dir_ = ::mkdtemp(name);
  }
  void TearDown() override {
    client_.reset();
    for (const int pid : shims_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    // What lived below a killed shim comes to us.
    while (::waitpid(-1, nullptr, WNOHANG) > 0) continue;
    std::filesystem::remove_all(dir_);
  }

  std::string Folder(const std::string& name = "j") { return absl::StrCat(dir_, "/", name); }

  void Launch(const std::vector<std::string>& options = {}) {
    auto client = ShimClient::Launch(CEDANA_SHIM, Folder(), options);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    Track(*client_);
  }
  void Track(ShimClient& client) {
    const auto state = client.State();
    ASSERT_TRUE(state.ok()) << state.status();
    shims_.push_back(state->shim_pid);
  }

  // A job of the test's own user that runs `script` in a shell.
  StartRequest Shell(const std::string& script) {
    StartRequest request;
    request.argv = {"/bin/sh", "-c", script};
    request.env = {"PATH=/usr/bin:/bin", "GREETING=hi"};
    request.working_dir = "/";
    request.uid = ::geteuid();
    request.gid = ::getegid();
    request.stdio.log_path = absl::StrCat(dir_, "/log");
    return request;
  }
  StartRequest PipedShell(const std::string& script, bool hold = false) {
    StartRequest request = Shell(script);
    request.stdio.mode = StdioMode::kPipes;
    request.stdio.hold_output = hold;
    return request;
  }
  ProcessIdentity Start(const StartRequest& request) {
    const auto process = client_->Start(request);
    EXPECT_TRUE(process.ok()) << process.status();
    return process.ok() ? *process : ProcessIdentity{};
  }
  ExitStatus Wait() {
    const auto exit = client_->WaitExit(kLong);
    EXPECT_TRUE(exit.ok() && exit->has_value()) << exit.status();
    return exit.ok() && *exit ? **exit : ExitStatus{-1, -1, false};
  }
  std::string Log() { return base::ReadFile(absl::StrCat(dir_, "/log")).value_or("(none)"); }

  std::string dir_;
  std::unique_ptr<ShimClient> client_;
  std::vector<int> shims_;
};

TEST_F(ShimTest, TellsHowTheJobEnded) {
  Launch();
  Start(Shell("exit 0"));
  EXPECT_EQ(Wait().ShellCode(), 0);
  Start(Shell("exit 42"));
  EXPECT_EQ(Wait().code, 42);
  const auto file = ReadExitFile(Folder());
  ASSERT_TRUE(file.ok() && file->has_value()) << file.status();
  EXPECT_EQ((*file)->code, 42);
  Start(Shell("kill -9 $$"));
  EXPECT_EQ(Wait().signal, SIGKILL);
}

TEST_F(ShimTest, NoExitFileWhileTheJobRuns) {
  Launch();
  const ProcessIdentity process = Start(Shell("sleep 100"));
  EXPECT_TRUE(IsAlive(process));
  const auto waited = client_->WaitExit(absl::Milliseconds(50));
  ASSERT_TRUE(waited.ok());
  EXPECT_FALSE(waited->has_value());
  EXPECT_FALSE(ReadExitFile(Folder())->has_value());
  ::kill(process.pid, SIGTERM);
  EXPECT_EQ(Wait().signal, SIGTERM);
}

TEST_F(ShimTest, RunsCriuAndTellsHowItEnded) {
  Launch();
  CriuRequest request;
  request.stderr_path = absl::StrCat(dir_, "/stderr");
  request.env = {"WORD=no"};
  request.argv = {"/bin/sh", "-c", "echo $WORD >&2; exit 3"};
  int pid = 0;
  const auto exit = client_->RunCriu(request, [&](int started) { pid = started; });
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->code, 3);
  EXPECT_GT(pid, 0);
  EXPECT_EQ(*base::ReadFile(request.stderr_path), "no\n");
  request.argv = {"/bin/sh", "-c", "kill -9 $$"};
  EXPECT_EQ(client_->RunCriu(request, nullptr)->signal, SIGKILL);
  request.argv = {"/nonexistent/criu"};
  EXPECT_TRUE(absl::IsNotFound(client_->RunCriu(request, nullptr).status()));
}

}  // namespace
}  // namespace cedana::runtime
