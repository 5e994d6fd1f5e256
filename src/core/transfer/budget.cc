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
constexpr size_t kStretchBytesLeast = 1 * kMiB;

constexpr size_t kOneSmallFileBytes = 1 * kMiB;

absl::StatusOr<size_t> CheckedLimit(size_t limit_bytes, bool one_file) {
  if (limit_bytes == 0) return base::kMemoryLimitDefaultMiB * kMiB;
  const size_t least_mib = one_file ? base::kMemoryOneFileMinMiB : base::kMemoryLimitMinMiB;
  if (limit_bytes < least_mib * kMiB) {
    return absl::InvalidArgumentError(absl::StrCat("checkpoint.memory_limit is ",
                                                   limit_bytes / kMiB, " MiB, at least ", least_mib,
                                                   " MiB are needed"));
  }
  return limit_bytes;
}

}  // namespace

absl::StatusOr<SaveBudget> PlanSave(size_t limit_bytes, int pipelines, bool one_file) {
  CEDANA_ASSIGN_OR_RETURN(const size_t limit, CheckedLimit(limit_bytes, one_file));
  SaveBudget budget;
  budget.small_files_bytes = one_file ? kOneSmallFileBytes : base::kSmallFilesBytesMax;
  budget.uploads = kUploads;
  // Half for packs, the rest mostly for chunks: what is read ahead of the pipelines shortens the
  // time for which the process is frozen.
  const size_t for_packs = limit / 2;
  const int pipelines_max = static_cast<int>(for_packs / kPackBytesMin) - kUploads;
  budget.pipelines = std::clamp(pipelines, 1, pipelines_max);
  const size_t fixed = budget.small_files_bytes + kMarginBytes;
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

absl::StatusOr<LoadBudget> PlanLoad(size_t limit_bytes, int connections, size_t resident_bytes,
                                    bool one_file) {
  CEDANA_ASSIGN_OR_RETURN(const size_t limit, CheckedLimit(limit_bytes, one_file));
  LoadBudget budget;
  budget.stretch_bytes = limit < base::kMemoryLimitMinMiB * kMiB       ? kStretchBytesLeast
                         : limit < base::kMemoryLimitDefaultMiB * kMiB ? kStretchBytesSmall
                                                                       : kStretchBytes;
  budget.range_bytes = budget.stretch_bytes;
  // A tree of hundreds of tasks opens as many streams at once; a quarter keeps each of 256 going
  // at the default limit.
  const size_t for_blocks = one_file ? 2 * base::kBlockBytesMax : limit / 4;
  budget.block_buffers = for_blocks / base::kBlockBytesMax;
  const size_t second_reads = one_file ? 0 : base::kSecondReadsBytesMax;
  const size_t used = resident_bytes + kMarginBytes + for_blocks + second_reads +
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
