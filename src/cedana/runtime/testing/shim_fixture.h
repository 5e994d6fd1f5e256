// A real shim, started by a test as the daemon would. The test is a subreaper, so that whatever a
// shim leaves behind comes to it.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/shim_client.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cedana::runtime {

inline constexpr absl::Duration kLong = absl::Seconds(20);

// Looks every few milliseconds until `what` is so.
inline bool Eventually(const std::function<bool()>& what, absl::Duration timeout = kLong) {
  base::Clock& clock = base::SystemClock();
  const absl::Duration deadline = clock.Monotonic() + timeout;
  while (!what()) {
    if (clock.Monotonic() >= deadline) return false;
    clock.Sleep(absl::Milliseconds(5));
  }
  return true;
}

class ShimTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    char name[] = "/tmp/shim-test-XXXXXX";
    dir_ = ::mkdtemp(name);
    ::chmod(dir_.c_str(), 0755);
  }
  void TearDown() override {
    client_.reset();
    // Every process still below us was started by this test.
    const auto tree = Tree(::getpid());
    for (size_t i = 1; tree.ok() && i < tree->size(); ++i) ::kill((*tree)[i], SIGKILL);
    while (::waitpid(-1, nullptr, __WALL) > 0) continue;
    std::filesystem::remove_all(dir_);
  }

  std::string Path(const std::string& name) const { return absl::StrCat(dir_, "/", name); }
  std::string Folder() const { return Path("j"); }
  std::string Text(const std::string& name) const {
    return base::ReadFile(Path(name)).value_or("(no file)");
  }

  void Launch(const std::vector<std::string>& options = {}) {
    auto client = ShimClient::Launch(CEDANA_SHIM, Folder(), options);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  void Reconnect() {
    client_.reset();
    auto client = ShimClient::Connect(Folder());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  ShimState State() { return client_->State().value_or(ShimState{}); }
  bool ShimListens() { return ShimClient::Connect(Folder()).ok(); }

  // A job of the test's own user that runs `script` in a shell.
  StartRequest Shell(const std::string& script) {
    StartRequest request;
    request.argv = {"/bin/sh", "-c", script};
    request.env = {"PATH=/usr/bin:/bin", "GREETING=hi"};
    request.working_dir = "/";
    request.uid = ::geteuid();
    request.gid = ::getegid();
    request.stdio.log_path = Path("log");
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

  // A shell script in the place of CRIU.
  CriuRequest Criu(const std::string& script) {
    CriuRequest request;
    request.argv = {"/bin/sh", "-c", script, "criu"};
    request.stderr_path = Path("stderr");
    return request;
  }
  // `script` is what is restored: a child of the shim while CRIU still runs, as by CRIU's -S. CRIU
  // ends after `seconds`.
  CriuRequest RestoreOf(const std::string& script, const std::string& seconds) {
    CriuRequest request =
        Criu(absl::StrCat("( (", script, ") & printf %s $! >", Path("pf"), "); sleep ", seconds));
    request.argv.insert(request.argv.end(), {"--pidfile", Path("pf")});
    request.restore = true;
    return request;
  }

  // Runs `daemon` in a process of its own and returns its pid.
  int ForkDaemon(const std::function<void()>& daemon) {
    const int pid = ::fork();
    if (pid != 0) return pid;
    daemon();
    ::_exit(0);
  }
  // The wait status of a child, -1 when it has not ended within the time.
  int WaitFor(int pid, absl::Duration timeout = kLong) {
    int status = -1;
    Eventually([&] { return ::waitpid(pid, &status, WNOHANG) != 0; }, timeout);
    return status;
  }

  std::string dir_;
  std::unique_ptr<ShimClient> client_;
};

// Everything that an attach gets until the end of the job.
struct Attached {
  std::string out;
  std::string err;
  std::optional<ExitStatus> exit;
};
inline Attached ReadAll(ShimAttach& attach) {
  Attached all;
  while (true) {
    const auto output = attach.Next();
    if (!output.ok()) return all;
    if (output->stream == 1) all.out += output->bytes;
    if (output->stream == 2) all.err += output->bytes;
    if (output->stream == 0) {
      all.exit = output->exit;
      return all;
    }
  }
}

}  // namespace cedana::runtime
