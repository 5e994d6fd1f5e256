// Dumps and restores real processes with a real CRIU (root). What must hold is in criu.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

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

// Writes `before` bytes of what passes, then does as told.
class CutSink final : public transfer::ByteSink {
 public:
  CutSink(transfer::ByteSink& sink, size_t before, absl::Status then)
      : sink_(sink), left_(before), then_(std::move(then)) {}
  absl::Status Write(std::span<const uint8_t> bytes) override {
    if (bytes.size() <= left_) {
      left_ -= bytes.size();
      return sink_.Write(bytes);
    }
    CEDANA_RETURN_IF_ERROR(sink_.Write(bytes.first(left_)));
    return then_;
  }

 private:
  transfer::ByteSink& sink_;
  size_t left_;
  absl::Status then_;
};

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
  CriuTrial::Process StartLargeImages() {
    CriuTrial::Process process = trial_.Start({CEDANA_LARGE_IMAGES, trial_.folder() + "/ghost"});
    EXPECT_TRUE(CriuTrial::WaitLog(process.log, "tick", 0));
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
    tree_ = CriuTrial::Tree(process.pid);
    const auto dump = trial_.Dump({.flags = {.pid = process.pid}});
    ASSERT_EQ(dump.exit_code, 0) << dump.telling;
    ASSERT_TRUE(dump.drained.ok()) << dump.drained;
    ASSERT_TRUE(CriuTrial::Gone(tree_));
    const auto stats = ReadDumpStats(dump.folder);
    ASSERT_TRUE(stats.ok()) << stats.status();
    EXPECT_GT(stats->frozen_us, 1000u);
  }
  // And a second try, with everything served, works.
  void ExpectNothingLeft() {
    EXPECT_TRUE(CriuTrial::Gone(tree_));
    const auto restore = trial_.Restore({});
    EXPECT_EQ(restore.exit_code, 0) << restore.telling << restore.drained;
  }

  CriuTrial trial_;
  std::vector<pid_t> tree_;  // as it was dumped
};

TEST_F(CriuStream, DumpsIntoMemoryAndRestoresTwice) {
  const auto process = StartMemhog(100);
  DumpAway(process);
  for (int round = 0; round < 2; ++round) {
    const auto restore = trial_.Restore({});
    ASSERT_EQ(restore.exit_code, 0) << restore.telling << restore.drained;
    EXPECT_EQ(restore.hook_pid, process.pid);
    EXPECT_EQ(base::ReadFile(restore.folder + "/pf").value(), absl::StrCat(process.pid));
    ExpectHealthy(process);
    trial_.Kill({process.pid});
  }
}

TEST_F(CriuStream, ServesFilesLargerThanAPipeOfEveryKind) {
  const auto process = StartLargeImages();
  DumpAway(process);
  const auto restore = trial_.Restore({});
  ASSERT_EQ(restore.exit_code, 0) << restore.telling << restore.drained;
  const size_t before = CriuTrial::LogBytes(process.log);
  ASSERT_EQ(::kill(process.pid, SIGUSR1), 0);
  EXPECT_TRUE(CriuTrial::WaitLog(process.log, "verify done", before));
  EXPECT_TRUE(CriuTrial::WaitLog(process.log, "child ok", before));
  EXPECT_FALSE(CriuTrial::WaitLog(process.log, "BAD", 0, absl::Milliseconds(100)));
}

TEST_F(CriuStream, LeavesRunningAndWhatWasStoredIsTheMomentOfTheDump) {
  const auto process =
      trial_.Start({kWorkloads + "/memhog", "--mib", "64", "--dirty-percent", "50"});
  ASSERT_TRUE(CriuTrial::WaitLog(process.log, "tick 1", 0));
  const auto dump = trial_.Dump({.flags = {.pid = process.pid, .leave_running = true}});
  ASSERT_EQ(dump.exit_code, 0) << dump.telling;
  ExpectHealthy(process);  // which rewrites pages meanwhile
  trial_.Kill({process.pid});
  const auto restore = trial_.Restore({});
  ASSERT_EQ(restore.exit_code, 0) << restore.telling << restore.drained;
  ExpectHealthy(process);
}

TEST_F(CriuStream, NoOfTheHookLeavesTheProcessRunning) {
  const auto process = StartMemhog(50);
  const auto dump =
      trial_.Dump({.flags = {.pid = process.pid}, .decide = [](const std::string&, int) {
                     return absl::UnavailableError("commit failed");
                   }});
  EXPECT_EQ(dump.exit_code, 255);
  EXPECT_EQ(dump.telling, "");
  ExpectHealthy(process);
}

TEST_F(CriuStream, ADaemonThatHangsAtTheHookLeavesTheProcessRunning) {
  const auto process = StartMemhog(10);
  const absl::Time start = absl::Now();
  const auto dump = trial_.Dump({.flags = {.pid = process.pid}, .hook_hangs = true});
  EXPECT_EQ(dump.exit_code, 255);
  EXPECT_GE(absl::Now() - start, absl::Seconds(14));
  EXPECT_LE(absl::Now() - start, absl::Seconds(40));  // the hook takes 15 s, a busy machine more
  ExpectHealthy(process);
}

TEST_F(CriuStream, CloseInTheMiddleOfADumpLeavesTheProcessRunning) {
  const auto process = StartMemhog(100);
  absl::Notification reading;
  const auto dump = trial_.Dump(
      {.flags = {.pid = process.pid},
       .store = [&](const std::string& name, transfer::ByteSource& source) -> absl::Status {
         std::vector<uint8_t> buffer(64 << 10);
         uint64_t total = 0;
         while (true) {
           CEDANA_ASSIGN_OR_RETURN(const size_t got, source.Read(buffer));
           if (got == 0) return absl::OkStatus();
           total += got;
           if (total > 20 << 20) absl::SleepFor(absl::Milliseconds(20));
           if (total > 20 << 20 && !reading.HasBeenNotified()) reading.Notify();
         }
       },
       .while_running =
           [&](ImageCapture& capture, pid_t) {
             ASSERT_TRUE(reading.WaitForNotificationWithTimeout(absl::Seconds(60)));
             capture.Close(absl::CancelledError("the user does not want it any more"));
           }});
  EXPECT_EQ(dump.exit_code, 1);
  ExpectHealthy(process);
  EXPECT_EQ(ReadDumpStats(dump.folder).status().code(), absl::StatusCode::kNotFound);
  DumpAway(process);
}

TEST_F(CriuStream, AStoreThatFailsLeavesTheProcessRunning) {
  const auto process = StartMemhog(50);
  const auto dump = trial_.Dump(
      {.flags = {.pid = process.pid},
       .store = [](const std::string& name, transfer::ByteSource& source) -> absl::Status {
         std::vector<uint8_t> buffer(1 << 20);
         while (true) {
           CEDANA_ASSIGN_OR_RETURN(const size_t got, source.Read(buffer));
           if (got == 0) return absl::OkStatus();
           if (name == "pages-1.img") return absl::ResourceExhaustedError("disk full");
         }
       }});
  EXPECT_EQ(dump.exit_code, 1);
  ExpectHealthy(process);
}

TEST_F(CriuStream, NoAfterTheRestoreLeavesNothing) {
  const auto process = StartMemhog(50);
  DumpAway(process);
  const auto restore =
      trial_.Restore({.decide = [](const std::string&, int) { return absl::DataLossError("no"); }});
  EXPECT_EQ(restore.exit_code, 1);
  EXPECT_TRUE(restore.drained.ok()) << restore.drained;
  ExpectNothingLeft();
}

// CRIU itself would end with 0 after a page stream of shared memory that ended early.
TEST_F(CriuStream, EveryPageFileCutShortFailsTheRestore) {
  const auto process = StartLargeImages();
  DumpAway(process);
  for (const std::string& name : trial_.images().Names()) {
    if (name.rfind("pages-", 0) != 0) continue;
    SCOPED_TRACE(name);
    const absl::Status damage = absl::DataLossError("block 3");
    const auto restore =
        trial_.Restore({.serve = [&](const std::string& asked, transfer::ByteSink& sink) {
          CutSink cut(sink, asked == name ? 5 << 20 : SIZE_MAX, damage);
          return trial_.images().Serve(asked, cut);
        }});
    EXPECT_NE(restore.exit_code, 0);
    EXPECT_TRUE(CriuTrial::Gone(tree_));
  }
  ExpectNothingLeft();
}

TEST_F(CriuStream, CloseInTheMiddleOfARestoreLeavesNothing) {
  const auto process = StartMemhog(100);
  DumpAway(process);
  absl::Notification serving;
  absl::Notification closed;
  const auto restore =
      trial_.Restore({.serve =
                          [&](const std::string& name, transfer::ByteSink& sink) {
                            if (name != "pages-1.img") return trial_.images().Serve(name, sink);
                            CutSink cut(sink, 20 << 20, absl::OkStatus());
                            const absl::Status status = trial_.images().Serve(name, cut);
                            serving.Notify();
                            closed.WaitForNotification();
                            return status;
                          },
                      .while_running =
                          [&](ImageServe& serve, pid_t) {
                            EXPECT_TRUE(serving.WaitForNotificationWithTimeout(absl::Seconds(60)));
                            serve.Close(absl::CancelledError("stop"));
                            closed.Notify();
                          }});
  EXPECT_EQ(restore.exit_code, 1);
  ExpectNothingLeft();
}

TEST_F(CriuStream, ATreeIsRestoredFromSeveralPageFilesAtOnce) {
  const auto process =
      trial_.Start({"/bin/sh", "-c",
                    absl::StrCat(kWorkloads, "/memhog --mib 100 --seed 1 & ", kWorkloads,
                                 "/memhog --mib 100 --seed 2 & wait; wait")});
  ASSERT_TRUE(CriuTrial::WaitLog(process.log, "tick 2", 0));
  tree_ = CriuTrial::Tree(process.pid);
  ASSERT_EQ(tree_.size(), 3u);
  DumpAway(process);
  absl::Mutex mutex;
  int now = 0;
  int most = 0;
  const auto restore =
      trial_.Restore({.serve = [&](const std::string& name, transfer::ByteSink& sink) {
        const bool large = trial_.images().Bytes(name) > 50 << 20;
        {
          absl::MutexLock lock(&mutex);
          now += large ? 1 : 0;
          most = std::max(most, now);
        }
        const absl::Status status = trial_.images().Serve(name, sink);
        absl::MutexLock lock(&mutex);
        now -= large ? 1 : 0;
        return status;
      }});
  ASSERT_EQ(restore.exit_code, 0) << restore.telling << restore.drained;
  EXPECT_EQ(most, 2);
  EXPECT_EQ(CriuTrial::Tree(process.pid), tree_);
  for (const pid_t pid : tree_) {
    if (pid == process.pid) continue;
    const size_t before = CriuTrial::LogBytes(process.log);
    ASSERT_EQ(::kill(pid, SIGUSR1), 0);
    EXPECT_TRUE(CriuTrial::WaitLog(process.log, "verify ok", before)) << pid;
  }
}

}  // namespace
}  // namespace cedana::criu
