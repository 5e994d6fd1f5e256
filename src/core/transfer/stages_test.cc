// The parts between the stages: queue, pool, budget, read plan.
#include <gtest/gtest.h>

#include <vector>

#include "absl/time/clock.h"
#include "core/base/limits.h"
#include "core/base/thread.h"
#include "core/format/pack_layout.h"
#include "core/transfer/bounded_queue.h"
#include "core/transfer/budget.h"
#include "core/transfer/buffer_pool.h"
#include "core/transfer/read_plan.h"

namespace cedana::transfer {
namespace {

constexpr size_t kMiB = 1 << 20;

TEST(BoundedQueue, KeepsOrderAndEndsWhenClosed) {
  BoundedQueue<int> queue(2);
  base::Thread producer("producer", [&queue] {
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(queue.Push(i).ok());
    queue.Close();
  });
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(queue.Pop().value(), i);
  EXPECT_EQ(queue.Pop().value(), std::nullopt);
}

TEST(BoundedQueue, ARunIsAFairShareInOrder) {
  BoundedQueue<int> queue(20);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(queue.Push(i).ok());
  queue.Close();
  EXPECT_EQ(queue.PopRun(8, 2).value(), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(queue.PopRun(8, 2).value(), (std::vector<int>{8, 9, 10, 11, 12, 13}));
  EXPECT_EQ(queue.PopRun(8, 6).value(), (std::vector<int>{14}));
  EXPECT_EQ(queue.PopRun(8, 1).value(), (std::vector<int>{15, 16, 17, 18, 19}));
  EXPECT_TRUE(queue.PopRun(8, 1).value().empty());
}

TEST(BoundedQueue, InterruptWakesBothSides) {
  BoundedQueue<int> full(1);
  ASSERT_TRUE(full.Push(1).ok());
  BoundedQueue<int> empty(1);
  base::Thread pusher("pusher", [&] { EXPECT_EQ(full.Push(2).message(), "stop"); });
  base::Thread popper("popper", [&] { EXPECT_EQ(empty.Pop().status().message(), "stop"); });
  absl::SleepFor(absl::Milliseconds(20));
  full.Interrupt(absl::CancelledError("stop"));
  empty.Interrupt(absl::CancelledError("stop"));
}

TEST(BufferPool, GivesEachBufferToOne) {
  auto pool = BufferPool::Create(3, 4096).value();
  std::vector<Buffer> buffers;
  for (int i = 0; i < 3; ++i) {
    buffers.push_back(pool->Acquire().value());
    std::fill(buffers[i].bytes().begin(), buffers[i].bytes().end(), static_cast<uint8_t>(i + 1));
  }
  EXPECT_FALSE(pool->TryAcquire().has_value());
  for (int i = 0; i < 3; ++i) {
    for (uint8_t byte : buffers[i].bytes()) ASSERT_EQ(byte, i + 1);
  }
  buffers.pop_back();
  EXPECT_FALSE(pool->TryAcquire(1).has_value());
  EXPECT_TRUE(pool->TryAcquire().has_value());
  EXPECT_EQ(pool->used_peak(), 3u);
}

TEST(BufferPool, AcquireWaitsForABufferOrAnInterruption) {
  auto pool = BufferPool::Create(1, 4096).value();
  Buffer only = pool->Acquire().value();
  base::Thread waiter("waiter", [&] { EXPECT_TRUE(pool->Acquire().ok()); });
  absl::SleepFor(absl::Milliseconds(10));
  only.Reset();
  waiter.Join();
  only = pool->Acquire().value();
  base::Thread other("other", [&] { EXPECT_FALSE(pool->Acquire().ok()); });
  absl::SleepFor(absl::Milliseconds(10));
  pool->Interrupt(absl::CancelledError("stop"));
}

TEST(Budget, EverySaveFitsItsLimit) {
  for (size_t limit_mib : {128, 200, 256, 512, 4096}) {
    for (int pipelines : {1, 2, 4, 16, 64, 256}) {
      const auto budget = PlanSave(limit_mib * kMiB, pipelines);
      ASSERT_TRUE(budget.ok());
      EXPECT_GE(budget->pipelines, 1);
      EXPECT_LE(budget->pipelines, pipelines);
      EXPECT_LE(budget->pack_bytes, base::kPackBytesMax);
      EXPECT_GE(budget->pack_bytes, 4 * kMiB);
      // Room for one chunk with each pipeline and enough to read ahead.
      EXPECT_GE(budget->chunk_buffers, 64u);
      EXPECT_LE(budget->pack_buffers * budget->pack_bytes +
                    budget->chunk_buffers * base::kBlockBytesMax + base::kSmallFilesBytesMax,
                limit_mib * kMiB);
    }
  }
  EXPECT_EQ(PlanSave(256 * kMiB, 2)->pack_bytes, base::kPackBytesMax);
  EXPECT_EQ(PlanSave(0, 2)->pack_bytes, base::kPackBytesMax);
  EXPECT_EQ(PlanSave(127 * kMiB, 2).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Budget, OneFileNeedsLittle) {
  constexpr size_t kTables = 2 * format::kTrailerPlainBytesMax + 2 * kMiB;  // of a pipeline
  constexpr size_t kMargin = 8 * kMiB;
  for (size_t limit_mib : {32, 40, 64, 128}) {
    const auto save = PlanSave(limit_mib * kMiB, 4, /*one_file=*/true);
    ASSERT_TRUE(save.ok()) << save.status();
    EXPECT_GE(save->pack_bytes, 4 * kMiB);
    EXPECT_GE(save->chunk_buffers, 8u);  // a run of them
    EXPECT_LE(save->pack_buffers * save->pack_bytes + save->small_files_bytes +
                  save->chunk_buffers * base::kBlockBytesMax + kTables + kMargin,
              limit_mib * kMiB);
    // The page map of a file of 128 GiB beside it.
    const auto load = PlanLoad(limit_mib * kMiB, 2, 16 * kMiB, /*one_file=*/true);
    ASSERT_TRUE(load.ok()) << load.status();
    EXPECT_GE(load->stretch_buffers, 2u);
    EXPECT_LE(16 * kMiB + load->stretch_buffers * load->stretch_bytes + kMargin +
                  load->block_buffers * base::kBlockBytesMax + 2 * load->range_bytes,
              limit_mib * kMiB);
  }
  EXPECT_FALSE(PlanSave(31 * kMiB, 1, /*one_file=*/true).ok());
  EXPECT_FALSE(PlanLoad(31 * kMiB, 1, 0, /*one_file=*/true).ok());
}

TEST(Budget, EveryRestoreFitsItsLimit) {
  for (size_t limit_mib : {128, 256, 1024}) {
    for (int connections : {1, 2, 8}) {
      const auto budget = PlanLoad(limit_mib * kMiB, connections, 20 * kMiB);
      ASSERT_TRUE(budget.ok());
      EXPECT_GE(budget->stretch_buffers, 1u);
      EXPECT_LE(20 * kMiB + budget->stretch_buffers * budget->stretch_bytes +
                    budget->block_buffers * base::kBlockBytesMax +
                    static_cast<size_t>(connections) * budget->range_bytes,
                limit_mib * kMiB);
    }
  }
  EXPECT_EQ(PlanLoad(128 * kMiB, 2, 100 * kMiB).status().code(),
            absl::StatusCode::kResourceExhausted);
}

// Two packs whose blocks alternate in the file, as two pipelines leave them.
format::PageMap AlternatingMap(uint32_t blocks) {
  format::PageMap map;
  map.block_starts.push_back(0);
  map.packs.resize(2);
  map.body_packs = 2;
  std::vector<format::BlockPlace> next(2);
  for (format::BlockPlace& place : next) place.offset = 32;
  for (uint32_t i = 0; i < blocks; ++i) {
    format::BlockPlace& place = next[i % 2];
    place.plain_bytes = base::kBlockBytesMax;
    place.sealed_bytes = 100000;
    map.AddBlock({i % 2, place});
    ++place.number;
    place.offset += place.sealed_bytes;
  }
  map.files.push_back({"pages-1.img", blocks * base::kBlockBytesMax, {{0, 0}}});
  return map;
}

TEST(ReadPlan, JoinsAlternatingBlocksIntoOneReadPerPack) {
  const format::PageMap map = AlternatingMap(32);
  ReadPlan plan(map, map.files[0], 0, map.files[0].bytes);
  for (int stretches = 0; stretches < 2; ++stretches) {
    const Stretch stretch = plan.Next(4 * kMiB, 4 * kMiB);
    ASSERT_EQ(stretch.reads.size(), 2u);
    EXPECT_EQ(stretch.reads[0].bytes, 800000u);
    EXPECT_EQ(stretch.reads[0].blocks.size(), 8u);
    ASSERT_EQ(stretch.pieces.size(), 1u);  // one write of 4 MiB
    EXPECT_EQ(stretch.pieces[0].bytes, 4 * kMiB);
  }
  EXPECT_TRUE(plan.done());
}

TEST(ReadPlan, KeepsToTheLengthOfARange) {
  const format::PageMap map = AlternatingMap(16);
  ReadPlan plan(map, map.files[0], 0, map.files[0].bytes);
  const Stretch stretch = plan.Next(4 * kMiB, 250000);
  EXPECT_EQ(stretch.reads.size(), 8u);
  for (const RangeRead& read : stretch.reads) EXPECT_LE(read.bytes, 250000u);
}

TEST(ReadPlan, FitsOneBlockIntoTheSmallestBuffer) {
  const format::PageMap map = AlternatingMap(4);
  ReadPlan plan(map, map.files[0], 1000, 2 * base::kBlockBytesMax);
  uint64_t bytes = 0;
  for (int stretches = 1; !plan.done(); ++stretches) {
    const Stretch stretch = plan.Next(base::kBlockBytesMax, 4 * kMiB);
    EXPECT_EQ(stretch.reads.size(), 1u);
    EXPECT_LE(stretches, 3);
    for (const Piece& piece : stretch.pieces) bytes += piece.bytes;
  }
  EXPECT_EQ(bytes, 2 * base::kBlockBytesMax);
}

TEST(ReadPlan, ReadsABlockOnceHoweverOftenItIsUsed) {
  format::PageMap map = AlternatingMap(1);
  map.files = {{"pages-1.img",
                5 * 4096,
                {{0, 8192}, {4096, format::Extent::kZeroes}, {8192, 0}, {12288, 8192}}}};
  ReadPlan plan(map, map.files[0], 0, 5 * 4096);
  const Stretch stretch = plan.Next(base::kBlockBytesMax, 4 * kMiB);
  EXPECT_TRUE(plan.done());
  ASSERT_EQ(stretch.reads.size(), 1u);
  EXPECT_EQ(stretch.reads[0].blocks.size(), 1u);
  EXPECT_EQ(stretch.pieces.size(), 4u);
}

}  // namespace
}  // namespace cedana::transfer
