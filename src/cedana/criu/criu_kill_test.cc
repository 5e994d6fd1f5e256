// CRIU is killed after each of the calls by which it steers the processes that it dumps (root).
// They run on as if nothing had been.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/testing/criu_trial.h"
#include "core/base/fd.h"

namespace cedana::criu {
namespace {

// A round is some 0.1 s, and a dump of these two processes some 1100 calls: a sample takes one in
// so many, all of those in whose surroundings a process has died before, a soak takes each.
int Step(int call) {
  const char* mode = std::getenv("CEDANA_TEST_MODE");
  if (mode != nullptr && absl::string_view(mode) == "soak") return 1;
  return call >= 90 && call < 130 ? 1 : 17;
}

bool IsTraced(pid_t pid) {
  const std::string status = base::ReadFile(absl::StrCat("/proc/", pid, "/status")).value_or("");
  return !absl::StrContains(status, "TracerPid:\t0\n");
}

class CriuKill : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const auto program = CriuTrial::Find();
    ASSERT_TRUE(program.ok()) << program.status();
    StartAnew();
  }

  void StartAnew() {
    trial_.Kill(tree_);
    process_ = trial_.Start({CEDANA_SENSITIVE});
    do {
      tree_ = CriuTrial::Tree(process_.pid);
    } while (tree_.size() < 2);
    for (const pid_t pid : tree_) {
      ASSERT_TRUE(CriuTrial::WaitLog(process_.log, absl::StrCat("ready ", pid), 0));
    }
  }

  int Dump(int call) {
    CriuTrial::DumpRun run;
    run.flags = {.pid = process_.pid, .leave_running = true};
    run.environment = HoldEnvironment(CEDANA_CRIU_HOLD, {});
    run.environment[0] = "LD_PRELOAD=" CEDANA_KILL_AT_CALL ":" CEDANA_CRIU_HOLD;
    run.environment.push_back(absl::StrCat("CEDANA_KILL_CRIU_CALL=", call));
    run.environment.push_back(absl::StrCat("CEDANA_KILL_CRIU_US=", GetParam()));
    ImageMap images;
    run.store = [&images](const std::string& name, transfer::ByteSource& source) {
      return images.Store(name, source);
    };
    return trial_.Dump(std::move(run)).exit_code;
  }

  void ExpectUntouched() {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    for (const pid_t pid : tree_) {
      const absl::Time limit = absl::Now() + absl::Seconds(10);
      while (IsTraced(pid) && absl::Now() < limit) absl::SleepFor(absl::Milliseconds(5));
      ASSERT_TRUE(CriuTrial::Alive(pid));
      const size_t before = CriuTrial::LogBytes(process_.log);
      ASSERT_EQ(::kill(pid, SIGUSR1), 0);
      ASSERT_TRUE(CriuTrial::WaitLog(process_.log, absl::StrCat("verify ok ", pid), before,
                                     absl::Seconds(20)))
          << base::ReadFile(process_.log).value_or("").substr(before);
    }
  }

  CriuTrial trial_;
  CriuTrial::Process process_;
  std::vector<pid_t> tree_;
};

TEST_P(CriuKill, AfterEachCallTheProcessesRunOn) {
  int last = 0;
  int kills = 0;
  for (int call = 1;; call += Step(call)) {
    // Each kill leaves some memory behind, which makes the next dump longer.
    if (++kills % 30 == 0) StartAnew();
    SCOPED_TRACE(absl::StrCat("killed after call ", call));
    const int exit_code = Dump(call);
    ASSERT_NO_FATAL_FAILURE(ExpectUntouched());
    if (exit_code == 0) break;  // it makes fewer
    ASSERT_EQ(exit_code, 128 + SIGKILL);
    last = call;
  }
  EXPECT_GE(last, 500);
}

// Whoever kills the keeper is where a killed CRIU was before it. But CRIU hears of it: it neither
// waits for its answers for ever nor ends well.
class CriuKeeper : public CriuKill {};

TEST_P(CriuKeeper, ItsEndEndsTheDump) {
  CriuTrial::DumpRun run;
  run.flags = {.pid = process_.pid, .leave_running = true};
  run.environment = HoldEnvironment(CEDANA_CRIU_HOLD, {});
  bool killed = false;
  run.while_running = [&killed](ImageCapture&, pid_t criu) {
    const absl::Time limit = absl::Now() + absl::Seconds(20);
    while (!killed && absl::Now() < limit) {
      for (const pid_t child : CriuTrial::Tree(criu)) {
        const auto name = base::ReadFile(absl::StrCat("/proc/", child, "/comm"));
        if (name.value_or("") != "cedana-keeper\n") continue;
        absl::SleepFor(absl::Microseconds(GetParam()));
        killed = ::kill(child, SIGKILL) == 0;
      }
    }
  };
  const absl::Time start = absl::Now();
  const auto outcome = trial_.Dump(std::move(run));
  ASSERT_TRUE(killed);
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
}

INSTANTIATE_TEST_SUITE_P(Microseconds, CriuKeeper, testing::Values(0, 1500));

// At once, with what the call has started under way, and a little later, with its end not yet seen.
INSTANTIATE_TEST_SUITE_P(Microseconds, CriuKill, testing::Values(0, 1500));

}  // namespace
}  // namespace cedana::criu
