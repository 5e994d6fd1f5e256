#include "core/transfer/budget.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/format/pack_layout.h"

namespace cedana::transfer {
namespace {

constexpr size_t kMiB = 1 << 20;
constexpr size_t kPackBytesMin = 4 * kMiB;  // smaller ones would be mostly requests
constexpr size_t kPackBytesStep = 64 << 10;
constexpr int kUploads = 2;  // 1 and 4 measured slower

// Tables of one open pack, a codec's state and a gathered block.
constexpr size_t kPipelineTableBytes = 2 * format::kTrailerPlainBytesMax + 2 * kMiB;
constexpr size_t kMarginBytes = 8 * kMiB;  // page tables of the map being made, stacks, queues

// Longer reads serve distant stores better; with little memory, more streams go on at once.
constexpr size_t kStretchBytes = 8 * kMiB;
constexpr size_t kStretchBytesSmall = 4 * kMiB;

absl::StatusOr<size_t> CheckedLimit(size_t limit_bytes) {
  if (limit_bytes == 0) return base::kMemoryLimitDefaultMiB * kMiB;
  if (limit_bytes < base::kMemoryLimitMinMiB * kMiB) {
    return absl::InvalidArgumentError(absl::StrCat("checkpoint.memory_limit is ",
                                                   limit_bytes / kMiB, " MiB, at least ",
                                                   base::kMemoryLimitMinMiB, " MiB are needed"));
  }
  return limit_bytes;
}

}  // namespace

absl::StatusOr<SaveBudget> PlanSave(size_t limit_bytes, int pipelines) {
  CEDANA_ASSIGN_OR_RETURN(const size_t limit, CheckedLimit(limit_bytes));
  SaveBudget budget;
  budget.uploads = kUploads;
  // Half for packs, the rest mostly for chunks: what is read ahead of the pipelines shortens the
  // time for which the process is frozen.
  const size_t for_packs = limit / 2;
  const int pipelines_max = static_cast<int>(for_packs / kPackBytesMin) - kUploads;
  budget.pipelines = std::clamp(pipelines, 1, pipelines_max);
  const size_t fixed = base::kSmallFilesBytesMax + kMarginBytes;
  while (budget.pipelines > 1 && budget.pipelines * kPipelineTableBytes > limit / 8) {
    --budget.pipelines;
  }
  budget.pack_buffers = static_cast<size_t>(budget.pipelines) + static_cast<size_t>(budget.uploads);
  budget.pack_bytes = std::min(base::kPackBytesMax, for_packs / budget.pack_buffers);
  budget.pack_bytes -= budget.pack_bytes % kPackBytesStep;
  const size_t used = fixed + budget.pack_buffers * budget.pack_bytes +
                      static_cast<size_t>(budget.pipelines) * kPipelineTableBytes;
  budget.chunk_buffers = (limit - used) / base::kBlockBytesMax;
  return budget;
}

absl::StatusOr<LoadBudget> PlanLoad(size_t limit_bytes, int connections, size_t resident_bytes) {
  CEDANA_ASSIGN_OR_RETURN(const size_t limit, CheckedLimit(limit_bytes));
  LoadBudget budget;
  const bool small = limit < base::kMemoryLimitDefaultMiB * kMiB;
  budget.stretch_bytes = small ? kStretchBytesSmall : kStretchBytes;
  budget.range_bytes = budget.stretch_bytes;
  // A tree of hundreds of tasks opens as many streams at once; a quarter keeps each of 256 going
  // at the default limit.
  const size_t for_blocks = limit / 4;
  budget.block_buffers = for_blocks / base::kBlockBytesMax;
  const size_t used = resident_bytes + kMarginBytes + for_blocks + base::kSecondReadsBytesMax +
                      static_cast<size_t>(std::max(connections, 1)) *
                          (budget.range_bytes + 2 * base::kBlockBytesMax);
  if (used + budget.stretch_bytes > limit) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "checkpoint.memory_limit of ", limit / kMiB,
        " MiB is too small: the page map and small files take ", resident_bytes / kMiB, " MiB"));
  }
  budget.stretch_buffers = (limit - used) / budget.stretch_bytes;
  return budget;
}

}  // namespace cedana::transfer
