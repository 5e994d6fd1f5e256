// What a save does when something around it fails: it ends, with one clear error, and leaves either
// a whole checkpoint or none.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/thread.h"
#include "core/transfer/testing/checkpoint_fixture.h"

namespace cedana::transfer {
namespace {

using Moment = FaultPlan::Moment;

class SaveFaults : public CheckpointTest {
 protected:
  // Three packs and more, so that faults hit every stage.
  SaveFaults() {
    images_["core-1.img"] = SomeMemory(5000, 1);
    images_["pages-1.img"] = SomeMemory(6 << 20, 2);
    images_["pages-2.img"] = SomeMemory(3 << 20, 3);
  }
  bool Visible(const std::string& path) {
    return memory_catalog_.Open({}, path, base::DrawId<base::LeaseId>(random_)).ok();
  }
  Images images_;
};

TEST_F(SaveFaults, FailTheNthCallForEveryN) {
  for (const auto& [status, moment] : std::vector<std::pair<absl::Status, Moment>>{
           {absl::ResourceExhaustedError("disk full"), Moment::kBefore},
           {absl::UnknownError("reply lost"), Moment::kAfter}}) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE(absl::StrCat("call ", n, ": ", status.ToString()));
      FaultPlan plan;
      FaultyCatalog catalog(&memory_catalog_, &plan);
      plan.FailCall(n, status, moment);
      const std::string path = absl::StrCat("fault/", status.message(), "/", n);
      auto save = Save::Begin({}, OptionsFor(path), &catalog, [&](const base::SaveId&) {
        return std::make_unique<FaultySink>(store_.OpenSink(), &plan);
      });
      absl::Status result = save.status();
      if (save.ok()) {
        result = StoreAll(**save, images_);
        if (result.ok()) result = (*save)->Finish({}, absl::Seconds(2)).status();
        save->reset();
      }
      // Whole or absent, and nothing is left open.
      EXPECT_EQ(Visible(path), result.ok());
      EXPECT_EQ(memory_catalog_.open_saves(), 0u);
      if (!plan.fired()) {
        EXPECT_TRUE(result.ok()) << result;
        EXPECT_GT(n, 4);  // begin, packs, commit
        break;
      }
      // A commit whose reply is lost is found out; every other fault is final.
      const bool commit_was_hit = moment == Moment::kAfter && plan.calls("Commit") > 0;
      EXPECT_EQ(result.ok(), commit_was_hit) << result;
      EXPECT_NE(result.code(), absl::StatusCode::kUnknown) << result;
    }
  }
}

TEST_F(SaveFaults, ALostCommitReplyIsFoundOut) {
  faults_.FailNext("Commit", absl::UnknownError("reply lost"), Moment::kAfter);
  const auto info = SaveImages(OptionsFor("lost"), images_);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_GT(info->sequence, 0u);
  EXPECT_EQ(faults_.calls("Commit"), 2);
  ExpectImages("lost", images_);
}

TEST_F(SaveFaults, ACommitThatNeverAnswersIsFoundOutByItsOutcome) {
  faults_.FailNext("Commit", absl::UnknownError("reply lost"), Moment::kAfter, 1000);
  const auto info = SaveImages(OptionsFor("silent"), images_, absl::Seconds(1));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_GE(faults_.calls("Outcome"), 1);
  EXPECT_TRUE(Visible("silent"));
}

TEST_F(SaveFaults, ACommitThatNeverArrivesIsTakenBack) {
  faults_.FailNext("Commit", absl::UnknownError("request lost"), Moment::kBefore, 1000);
  const auto info = SaveImages(OptionsFor("lost"), images_, absl::Seconds(1));
  EXPECT_EQ(info.status().code(), absl::StatusCode::kDeadlineExceeded) << info.status();
  EXPECT_GE(faults_.calls("Abort"), 1);
  EXPECT_FALSE(Visible("lost"));
  EXPECT_EQ(memory_catalog_.open_saves(), 0u);
}

TEST_F(SaveFaults, WithoutAnyAnswerTheOutcomeIsUnknown) {
  faults_.FailNext("Commit", absl::UnknownError("reply lost"), Moment::kAfter, 1000);
  faults_.FailNext("Outcome", absl::UnavailableError("dark"), Moment::kBefore, 1000);
  const absl::Time start = absl::Now();
  const auto info = SaveImages(OptionsFor("dark"), images_, absl::Seconds(1));
  EXPECT_EQ(info.status().code(), absl::StatusCode::kUnknown);
  EXPECT_NE(info.status().message().find("outcome unknown"), absl::string_view::npos);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(SaveFaults, ATransientRefusalOfTheCommitIsTriedAgain) {
  faults_.FailNext("Commit", absl::UnavailableError("busy"), Moment::kBefore, 2);
  EXPECT_TRUE(SaveImages(OptionsFor("busy"), images_).ok());
  EXPECT_EQ(faults_.calls("Commit"), 3);
}

TEST_F(SaveFaults, AbortWakesAStoreThatWaitsForMemory) {
  faults_.Block("Put");
  SaveOptions options = OptionsFor("aborted");
  options.memory_limit_bytes = 128 << 20;
  auto save = BeginSave(options);
  ASSERT_TRUE(save.ok());
  // Noise fills packs that cannot leave, then every chunk, then the reader waits.
  std::string memory = SomeMemory(16 << 20, 1, 0);
  for (size_t page = 0; page < memory.size(); page += 4096) {
    random_.Fill(reinterpret_cast<uint8_t*>(&memory[page]), 4096);
  }
  std::atomic<bool> done{false};
  std::vector<base::Thread> threads;
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back("store", [&, i] {
      StringSource source(memory);
      const absl::Status status = (*save)->Store(absl::StrCat("pages-", i, ".img"), source);
      if (!status.ok()) {
        EXPECT_NE(status.message().find("no longer wanted"), absl::string_view::npos) << status;
        done = true;
      }
    });
  }
  faults_.AwaitCalls("Put", 2);
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_FALSE(done);
  (*save)->Abort(absl::CancelledError("no longer wanted"));
  threads.clear();
  EXPECT_TRUE(done);
  EXPECT_FALSE((*save)->Finish({}, absl::Seconds(1)).ok());
  EXPECT_EQ(memory_catalog_.open_saves(), 0u);
  save->reset();
  EXPECT_FALSE(Visible("aborted"));
}

TEST_F(SaveFaults, CancellingTheCallersContextEndsTheSave) {
  faults_.Block("Put");
  base::Context context;
  context.cancel = std::make_shared<base::CancelSource>();
  auto save = BeginSave(OptionsFor("cancelled"), context);
  ASSERT_TRUE(save.ok());
  ASSERT_TRUE(StoreAll(**save, images_).ok());
  base::Thread finish("finish", [&] {
    EXPECT_EQ((*save)->Finish({}, absl::Seconds(10)).status().message(), "the user left");
  });
  faults_.AwaitCalls("Put", 1);
  context.cancel->Cancel(absl::CancelledError("the user left"));
  finish.Join();
  EXPECT_EQ(memory_catalog_.open_saves(), 0u);
}

TEST_F(SaveFaults, TheCallersDeadlineEndsTheSave) {
  faults_.Block("Put");
  auto save = BeginSave(OptionsFor("late"), base::Context{}.WithTimeout(absl::Milliseconds(300)));
  ASSERT_TRUE(save.ok());
  EXPECT_EQ(StoreAndFinish(**save, images_).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(SaveFaults, ALostLeaseEndsTheSave) {
  MemoryCatalog::Options options;
  options.heartbeat = absl::Milliseconds(20);
  MemoryCatalog short_lease(options);
  FaultyCatalog catalog(&short_lease, &faults_);
  faults_.Block("Put");
  auto save = Save::Begin({}, OptionsFor("lease"), &catalog, [this](const base::SaveId&) {
    return std::make_unique<FaultySink>(store_.OpenSink(), &faults_);
  });
  ASSERT_TRUE(save.ok());
  ASSERT_TRUE(StoreAll(**save, images_).ok());
  faults_.AwaitCalls("Heartbeat", 3);  // renewed while it lives
  short_lease.ExpireLeases();
  const absl::Status status = (*save)->Finish({}, absl::Seconds(10)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("lease lost"), absl::string_view::npos) << status;
}

TEST_F(SaveFaults, ALeaseThatCannotBeRenewedEndsTheSave) {
  MemoryCatalog::Options options;
  options.heartbeat = absl::Milliseconds(20);
  options.lease = absl::Milliseconds(200);
  MemoryCatalog short_lease(options);
  FaultyCatalog catalog(&short_lease, &faults_);
  faults_.Block("Put");
  faults_.FailNext("Heartbeat", absl::UnavailableError("dark"), Moment::kBefore, 1000);
  auto save = Save::Begin({}, OptionsFor("lease"), &catalog, [this](const base::SaveId&) {
    return std::make_unique<FaultySink>(store_.OpenSink(), &faults_);
  });
  ASSERT_TRUE(save.ok());
  const absl::Status status = StoreAndFinish(**save, images_);
  EXPECT_NE(status.message().find("lease lost"), absl::string_view::npos) << status;
  EXPECT_GE(faults_.calls("Heartbeat"), 3);
}

class BrokenSource : public ByteSource {
 public:
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    if (++reads_ == 20) return absl::InternalError("pipe broke");
    std::fill(out.begin(), out.end(), uint8_t{7});
    return out.size();
  }

 private:
  int reads_ = 0;
};

TEST_F(SaveFaults, ABrokenSourceEndsTheSave) {
  auto save = BeginSave(OptionsFor("broken"));
  ASSERT_TRUE(save.ok());
  BrokenSource source;
  const absl::Status status = (*save)->Store("pages-1.img", source);
  EXPECT_NE(status.message().find("pages-1.img"), absl::string_view::npos);
  const std::string bytes = "x";
  StringSource next(bytes);
  EXPECT_FALSE((*save)->Store("next.img", next).ok());
  EXPECT_FALSE((*save)->Finish({}, absl::Seconds(1)).ok());
  EXPECT_FALSE(Visible("broken"));
  EXPECT_EQ(memory_catalog_.open_saves(), 0u);
}

TEST_F(SaveFaults, ASaveThatIsDroppedIsAborted) {
  auto save = BeginSave(OptionsFor("dropped"));
  ASSERT_TRUE(save.ok());
  ASSERT_TRUE(StoreAll(**save, images_).ok());
  save->reset();
  EXPECT_EQ(memory_catalog_.open_saves(), 0u);
  EXPECT_FALSE(Visible("dropped"));
}

TEST_F(SaveFaults, FinishHappensOnce) {
  auto save = BeginSave(OptionsFor("once"));
  ASSERT_TRUE(save.ok());
  ASSERT_TRUE((*save)->Finish({}, absl::Seconds(1)).ok());
  EXPECT_EQ((*save)->Finish({}, absl::Seconds(1)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  (*save)->Abort(absl::CancelledError("too late"));
  EXPECT_TRUE(Visible("once"));
}

}  // namespace
}  // namespace cedana::transfer
