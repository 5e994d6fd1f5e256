// A process through CRIU and through the whole flow of data, with packs and catalog in memory
// (root).
#include <gtest/gtest.h>
#include <signal.h>

#include "cedana/criu/criu.h"
#include "cedana/criu/testing/criu_trial.h"
#include "core/base/random.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/memory_catalog.h"
#include "core/transfer/testing/memory_store.h"

namespace cedana::criu {
namespace {

const std::string kWorkloads = CEDANA_WORKLOADS;

class CriuSaveLoad : public testing::Test {
 protected:
  void SetUp() override {
    const auto program = CriuTrial::Find();
    ASSERT_TRUE(program.ok()) << program.status();
    process_ = trial_.Start(
        {kWorkloads + "/memhog", "--mib", "300", "--half-compressible", "--zero-percent", "10"});
    ASSERT_TRUE(CriuTrial::WaitLog(process_.log, "tick 1", 0));
  }
  void ExpectHealthy() {
    ASSERT_TRUE(CriuTrial::Alive(process_.pid));
    const size_t before = CriuTrial::LogBytes(process_.log);
    ASSERT_EQ(::kill(process_.pid, SIGUSR1), 0);
    EXPECT_TRUE(CriuTrial::WaitLog(process_.log, "verify ok", before));
  }
  std::unique_ptr<transfer::Save> BeginSave() {
    transfer::SaveOptions options;
    options.save = base::DrawId<base::SaveId>(base::SystemRandom());
    options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    options.path = "a/b";
    options.codec = "lz4";
    return transfer::Save::Begin({}, options, &catalog_,
                                 [this](const base::SaveId&) { return store_.OpenSink(); })
        .value();
  }
  absl::StatusOr<std::unique_ptr<transfer::Load>> OpenLoad() {
    transfer::LoadOptions options;
    options.path = "a/b";
    options.lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    return transfer::Load::Open({}, options, &catalog_,
                                [this](const base::LeaseId&) { return store_.OpenSource(); });
  }
  // Ends the process after the commit.
  void DumpAway() {
    const auto save = BeginSave();
    const auto dump = trial_.Dump(
        {.flags = {.pid = process_.pid},
         .store = [&](const std::string& name,
                      transfer::ByteSource& source) { return save->Store(name, source); },
         .decide = [&](const std::string&,
                       int) { return save->Finish({}, absl::Seconds(30)).status(); }});
    ASSERT_EQ(dump.exit_code, 0) << dump.telling << dump.drained;
    ASSERT_TRUE(CriuTrial::Gone({process_.pid}));
  }
  CriuTrial::Outcome Restore(transfer::Load& load) {
    return trial_.Restore(
        {.exists = [&](const std::string& name) { return load.Find(name) != nullptr; },
         .serve = [&](const std::string& name,
                      transfer::ByteSink& sink) { return load.Serve(name, sink); }});
  }

  transfer::MemoryCatalog catalog_;
  transfer::MemoryStore store_;
  CriuTrial trial_;
  CriuTrial::Process process_;
};

TEST_F(CriuSaveLoad, TheProcessEndsAfterTheCommitAndComesBack) {
  DumpAway();
  const auto load = OpenLoad();
  ASSERT_TRUE(load.ok()) << load.status();
  const auto restore = Restore(**load);
  ASSERT_EQ(restore.exit_code, 0) << restore.telling << restore.drained;
  ExpectHealthy();
}

TEST_F(CriuSaveLoad, ASaveThatIsAbortedLeavesTheProcessRunning) {
  const auto save = BeginSave();
  const auto dump =
      trial_.Dump({.flags = {.pid = process_.pid},
                   .store = [&](const std::string& name, transfer::ByteSource& source) {
                     if (name == "pages-1.img") save->Abort(absl::CancelledError("stop"));
                     return save->Store(name, source);
                   }});
  EXPECT_EQ(dump.exit_code, 1);
  ExpectHealthy();
}

TEST_F(CriuSaveLoad, AFlippedBitInAnyPackFailsTheRestoreAndLeavesNothing) {
  DumpAway();
  for (const base::PackId& pack : store_.packs()) {
    const size_t middle = store_.Bytes(pack).size() / 3;
    store_.FlipBit(pack, middle, 3);
    // Some packs are needed to open the checkpoint at all.
    if (const auto load = OpenLoad(); load.ok()) {
      const auto restore = Restore(**load);
      EXPECT_NE(restore.exit_code, 0);
      EXPECT_TRUE(CriuTrial::Gone({process_.pid}));
    }
    store_.FlipBit(pack, middle, 3);
  }
  const auto load = OpenLoad();
  ASSERT_TRUE(load.ok()) << load.status();
  EXPECT_EQ(Restore(**load).exit_code, 0);
  ExpectHealthy();
}

}  // namespace
}  // namespace cedana::criu
