// Dumps and restores real processes with a real CRIU (root). What must hold is in criu.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/testing/criu_trial.h"
#include "core/base/fd.h"

namespace cedana::criu {
namespace {

const std::string kWorkloads = CEDANA_WORKLOADS;

class CriuStream : public testing::Test {
 protected:
  void SetUp() override {
    const auto program = CriuTrial::Find();
    ASSERT_TRUE(program.ok()) << program.status();
  }

  CriuTrial::Process StartMemhog(int mib) {
    CriuTrial::Process process = trial_.Start({kWorkloads + "/memhog", "--mib", absl::StrCat(mib)});
    EXPECT_TRUE(CriuTrial::WaitLog(process.log, "tick 1", 0));
    return process;
  }

  // The memory is as it was, and the program goes on.
  void ExpectHealthy(const CriuTrial::Process& process) {
    ASSERT_TRUE(CriuTrial::Alive(process.pid));
    const size_t before = CriuTrial::LogBytes(process.log);
    ASSERT_EQ(::kill(process.pid, SIGUSR1), 0);
    EXPECT_TRUE(CriuTrial::WaitLog(process.log, "verify ok", before));
    EXPECT_TRUE(CriuTrial::WaitLog(process.log, "tick", before));
  }

  void DumpAway(const CriuTrial::Process& process) {
    const std::vector<pid_t> tree = CriuTrial::Tree(process.pid);
    const auto dump = trial_.Dump({.flags = {.pid = process.pid}});
    ASSERT_EQ(dump.exit_code, 0) << dump.telling;
    ASSERT_TRUE(dump.drained.ok()) << dump.drained;
    ASSERT_TRUE(CriuTrial::Gone(tree));
  }

  CriuTrial trial_;
};

TEST_F(CriuStream, DumpsIntoMemoryAndRestores) {
  const auto process = StartMemhog(100);
  DumpAway(process);
  const auto restore = trial_.Restore({});
  ASSERT_EQ(restore.exit_code, 0) << restore.telling << restore.drained;
  EXPECT_EQ(restore.hook_pid, process.pid);
  ExpectHealthy(process);
}

}  // namespace
}  // namespace cedana::criu
